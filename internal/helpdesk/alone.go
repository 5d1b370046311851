package helpdesk

import (
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

// A way back without anybody's approval (DESIGN 15, SECURITY S5): signed in, the authenticator lost, nothing else left.
//
//   - Q9 It takes, in this order: a live session of a complete sign-in; the password once more, at most five minutes ago, in
//     a flow that rose from that session; a round trip to the stored mailbox within half an hour; and 24 hours of notices to
//     everybody, each with a link that stops it. Then the grant asks for mailbox and password again, as any other. So who has
//     password and mailbox, and was never signed in, opens none; and whoever stole a browser waits a day in full view.
//   - Q10 A complete sign-in that shows what was said to be lost stops it: its owner has it, so somebody else asked.
//   - Q11 It lets one thing go that people have, never a password, and only for members. It is closed where the policy wants
//     two approvers; wherever Q2 or Q6 would (a failed check or a refusal lately, a second grant within a day, the other
//     factor let go within 72 hours); and within 72 hours of a new password, which is letting go as well.

// AloneCooling is how long notices have time to stop it; no realm can shorten it. ConfirmFor is how long the mailbox has.
const (
	AloneCooling = 24 * time.Hour
	ConfirmFor   = 30 * time.Minute
)

// Alone reports whether this is the person's own request, which nobody approves. One that somebody took over, or has
// approved, is as any other.
func (r Request) Alone() bool {
	return r.Channel == Unaided && r.Person != "" && r.Opener == r.Person && len(r.Approvals) == 0
}

// MayAlone says whether a case may go this way (Q11). password is when the person's password was set. It fails with
// fault.Forbidden "alone-closed", the same whatever the reason: who asks may not be who they seem.
func MayAlone(c Case, password, now time.Time) error {
	if c.Target.Role == directory.Member && !c.All && categories(c.Kinds) == authn.Possession && c.Policy == 1 && c.Remains &&
		!c.Failed && !c.Refused && !c.Again && !c.Both && !password.IsZero() && now.Sub(password) >= FactorsApart {
		return nil
	}
	return fault.New(fault.Forbidden, "alone-closed")
}

// ConfirmToken is the secret of the link that confirms a request of this kind from the mailbox, made as StopToken is.
func ConfirmToken(ring *secret.Ring, r Request) string {
	return r.ID + "." + ring.Mark("request-confirm", r.Realm, r.ID)
}
