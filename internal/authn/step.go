package authn

import (
	"slices"
	"time"
)

// Act is what a step asks for.
type Act string

// Acts. ActAdmit means that the goal is reached: for the goal admit a session may be minted, for the goal bind the flow
// is complete and mints nothing.
const (
	ActProve   Act = "prove"
	ActBind    Act = "bind"
	ActPerform Act = "perform"
	ActAdmit   Act = "admit"
	ActStuck   Act = "stuck"
)

// Duty is something to be done between proof and admission.
type Duty string

// Duties.
const (
	Terms       Duty = "terms"
	Preferences Duty = "preferences"
)

// Reason says why a flow is stuck, in words a help desk can act on (message key "stuck." + Reason).
type Reason string

// Reasons, the most useful first: where several ways are closed, the first of these is told.
const (
	GrantNotYet      Reason = "grant-not-yet"       // approved, the cooling-off still runs
	GrantEnded       Reason = "grant-ended"         // approved once, the time is over: ask again
	NeedsGrant       Reason = "needs-grant"         // an administrator or agent has to approve a request
	FactorSuspended  Reason = "suspended"           // what has to be shown is suspended: lift it, or approve a request for it
	NeedsCertificate Reason = "needs-certificate"   // staff have to issue a certificate first
	NeedsGrant2      Reason = "needs-two-approvals" // nothing is left to show, or more than one kind is gone
	NoCodes          Reason = "no-recovery-codes"   // only a recovery code would help and there is none
	NeedsSignIn      Reason = "needs-sign-in"       // only after a complete sign-in, which this person cannot make
	NothingLeft      Reason = "nothing-left"        // nothing is left to show and the policy has no way for that
	SetUpOver        Reason = "set-up-over"         // only at the first set-up, and this person was active before
	NotOffered       Reason = "not-offered"         // the policy never binds this kind in this way
	NoWay            Reason = "no-way"              // the policy has no way in for this person
)

var reasons = []Reason{GrantNotYet, GrantEnded, NeedsGrant, FactorSuspended, NeedsCertificate, NeedsGrant2, NoCodes,
	NeedsSignIn, NothingLeft, SetUpOver, NotOffered, NoWay}

// Step is what comes next. Kinds lists what is offered now, best first: for prove the ways to go on, for bind what may
// be enrolled, the recommended one first and beside it only what completes a combination too.
//
// Also lists kinds that are accepted as proof now without being offered: the token of a link that leads here, or a
// factor that was reported lost and is found again. It may stand beside prove, bind and stuck.
//
// Gate is set where the first of Kinds opens a gate (invite, mail, call, spoken, recovery, login), and where a missing
// grant is why the flow is stuck. Reason is set for stuck; beside prove it says what another way would need
// (needs-grant: "ask your administrator"), or that an approved request is still cooling off.
//
// Behind says for each of Kinds, when the act is bind, which line lets it be bound.
//
// Later says that the person may put this off (Flow.Later) and is let in then: it is what the rules will ask for Soon.
//
// At and Of count the steps of this flow ("Step 3 of 6") along the offered way; both are 0 while nobody can know.
type Step struct {
	Act    Act
	Kinds  []Kind
	Also   []Kind
	Duty   Duty
	Reason Reason
	Gate   Gate
	Behind []Behind
	Later  bool
	At, Of int
}

// Behind is the line of the policy behind which a kind is bound. ByReplace: the older credentials of the kind end when
// the new one is confirmed. Grant is the id of the approved request that was used, empty where none was needed.
type Behind struct {
	Way   Way
	Gates []Gate
	Grant string
}

// Offers reports whether kind k stands among the step's offered kinds.
func (s Step) Offers(k Kind) bool { return slices.Contains(s.Kinds, k) }

// BehindOf returns what k is bound behind; zero unless the step offers to bind it.
func (s Step) BehindOf(k Kind) Behind {
	if i := slices.Index(s.Kinds, k); i >= 0 && i < len(s.Behind) {
		return s.Behind[i]
	}
	return Behind{}
}

// Accepts reports whether kind k may be handed in now to be proven (ActProve) or bound (ActBind).
func (s Step) Accepts(act Act, k Kind) bool {
	return s.Act == act && s.Offers(k) || act == ActProve && slices.Contains(s.Also, k)
}

// Holding is what the engine knows of one credential of a person: held is active or suspended.
type Holding struct {
	Kind       Kind
	Credential string
	Suspended  bool
	Bound      time.Time // when it was bound; a grant is used up for a kind that was bound since
	LastUsed   time.Time // zero: never; the way used last is offered first
}

// Grant is an approved request that lets a person enrol again. It names kinds (Any: all), counts its approvers and ends.
// From and Until must both be set: one without is never live, or counts as used. Cancelled requests are left out.
type Grant struct {
	ID        string
	Kinds     []Kind
	Any       bool
	Approvers int
	From      time.Time // after the cooling-off
	Until     time.Time
}

// Person is what the engine sees of a person. Owed lists the duties not yet done, in any order.
type Person struct {
	ID         string
	EverActive bool
	Held       []Holding
	Grants     []Grant
	Owed       []Duty
	Never      []Kind // kinds of which this person never held a credential, ended ones included; nil is the strict answer
}
