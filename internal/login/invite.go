package login

import (
	"context"
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/onetime"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Invitations. Before somebody was ever active their mailbox is them (SECURITY, the promise's small print). The rules:
//
//   - A new invitation begins anew: the older links, their flows and what was set up by them end. Else whoever had an
//     older link could sign in with a password and a phone of their own choice.
//   - Whoever invited learns when and where the set-up was finished, also when the invitation was asked for again or the
//     last step was an ordinary sign-in.
//   - Nobody who merely knows an address interrupts a set-up that is under way.

// Invitation says who invites, when and from where.
type Invitation struct {
	Now     time.Time
	Actor   string // person id, "cli", or the person's own id when they ask for it again
	Inviter string // person id of who invited first, kept in the link; empty for the command line
	Name    string // name of the inviter, for the mail
	Network string
	Agent   string
	Resent  bool
	Return  string
	Show    func(link string) // receives the link where it is printed instead of mailed (command line); nil otherwise
}

// Invite makes an invitation for a person who was never active: it voids the older ones and their flows, and mails the
// new one. The secret goes to the mailbox only; nobody who invites can see it.
// It fails with fault.Conflict "already-active" for anybody who was active: a mailbox alone binds nothing for them.
func Invite(tx Tx, ring *secret.Ring, r directory.Realm, p directory.Person, in Invitation) error {
	if p.EverActive() {
		return fault.New(fault.Conflict, "already-active")
	}
	before, err := invitation(tx, r.ID, p.ID)
	if err != nil {
		return err
	}
	if in.Actor == p.ID {
		in.Inviter = before.By
	}
	if before.Return != "" { // who invited says where it leads, not whoever asks for it again
		in.Return = before.Return
	}
	ot, token := onetime.Make(authn.Invite, SetUp)
	ot.ID, ot.Realm, ot.Person, ot.By, ot.Return = newID(), r.ID, p.ID, in.Inviter, in.Return
	ot.Created, ot.Expires = in.Now, in.Now.AddDate(0, 0, r.Invitation.Days)
	ot.Hash = ring.Hash("onetime:"+string(authn.Invite)+":"+SetUp, string(token))
	if err := beginAnew(tx, p, in); err != nil {
		return err
	}
	kind, template := "invitation.sent", "invitation"
	if in.Resent {
		kind = "invitation.resent"
		if in.Actor != p.ID { // whoever asks for it themselves needs no reminder
			template = "invitation-reminder"
		}
	}
	p.Invitation = in.Now
	if err := tx.UpdatePerson(p); err != nil {
		return err
	}
	if in.Show != nil {
		in.Show(r.Origin + "/link/" + SetUp + "/" + string(token))
	}
	return sendLink(tx, r, p, ot, token, template, map[string]string{"inviter": in.Name},
		audit.Event{Type: kind, Actor: in.Actor, Network: in.Network, Browser: in.Agent, Data: map[string]string{"by": in.Name}})
}

// Resend sends a new invitation to the stored address of the person a link was made for, at most three a day. The
// answer is the same whatever the link was; a new mail voids the older link.
func (s *Service) Resend(ctx context.Context, c Caller, token string) error {
	now := s.Clock()
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return err
	}
	err = s.insist(ctx, func(tx Tx) error {
		if err := mailing(c).Take(tx, now); err != nil {
			return err
		}
		ot, _, _, err := s.link(ctx, tx, c.Realm, SetUp, token)
		if err != nil {
			return ignoreMissing(err)
		}
		if over, err := s.overLimit(tx, "resend:"+ot.Person, 3, 24*time.Hour, now); err != nil || over {
			return err
		}
		p, err := tx.Person(c.Realm, ot.Person)
		if err != nil || p.EverActive() || p.State.Shut() {
			return ignoreMissing(err)
		}
		if busy, err := underWay(tx, p, now); err != nil || busy {
			return err
		}
		return Invite(tx, s.Ring, realm.Realm, p, Invitation{Now: now, Actor: p.ID, Network: c.Network, Agent: c.Agent, Resent: true, Return: c.Return})
	})
	return s.tripped(ctx, c, err, now, audit.Event{})
}

// insist runs a transaction again that lost a race. Where the answer must not tell whether there is a person, the
// conflict with another request about that person must not tell either.
func (s *Service) insist(ctx context.Context, fn func(Tx) error) error {
	err := s.Store.Write(ctx, fn)
	for range 3 {
		if !fault.Of(err, fault.Conflict) {
			break
		}
		err = s.Store.Write(ctx, fn)
	}
	return err
}

// invitation finds the newest invitation of a person; zero where there is none.
func invitation(tx Tx, realm, person string) (newest authn.OneTime, err error) {
	all, err := tx.OneTimes(realm, person, authn.Invite)
	for _, ot := range all {
		if ot.Created.After(newest.Created) || newest.ID == "" {
			newest = ot
		}
	}
	return newest, err
}

// beginAnew voids the older links first and their flows then: a flow that starts meanwhile either holds its link's row,
// and is seen here, or finds the link voided.
func beginAnew(tx Tx, p directory.Person, in Invitation) error {
	if _, err := tx.VoidOneTimes(p.Realm, p.ID, authn.Invite, "", in.Now); err != nil {
		return err
	}
	if _, err := tx.VoidFlows(p.Realm, p.ID, ""); err != nil {
		return err
	}
	creds, err := tx.Credentials(p.Realm, p.ID)
	if err != nil {
		return err
	}
	for _, c := range creds {
		if c.Kind == authn.Cert {
			continue // staff gave it to them, not the invitation
		}
		c.State, c.Ended = authn.Ended, in.Now
		if err := tx.UpdateCredential(c); err != nil {
			return err
		}
		if err := tx.Audit(audit.Event{
			Realm: p.Realm, At: in.Now, Type: "credential.ended", Actor: in.Actor, Person: p.ID, Organization: p.Organization,
			Network: in.Network, Browser: in.Agent, Reason: "invited-again",
			Data: map[string]string{"kind": string(c.Kind), "name": c.Name, "credential": c.ID},
		}); err != nil {
			return err
		}
	}
	return nil
}

// underWay reports whether somebody has got somewhere with the set-up behind the person's invitation in the last half
// hour. That a link was opened does not count: mail scanners do that.
func underWay(tx Tx, p directory.Person, now time.Time) (bool, error) {
	ot, err := invitation(tx, p.Realm, p.ID)
	if err != nil || ot.Flow == "" {
		return false, err
	}
	f, err := tx.Flow(p.Realm, ot.Flow)
	if err != nil {
		return false, ignoreMissing(err)
	}
	return f.State == authn.FlowOpen && now.Before(f.Expires) && slices.ContainsFunc(f.Evidence, func(e authn.Evidence) bool {
		info, _ := authn.Info(e.Kind)
		return info.Held && now.Sub(e.At) <= ProofLife
	}), nil
}
