package breakglass

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/mail"
)

// GiveTx is what giving and ending exemptions needs of one transaction.
type GiveTx interface {
	Tx
	audit.Trail
	Organization(realm, id string) (directory.Organization, error)
	Credentials(realm, person string) ([]authn.Credential, error)
	People(directory.PersonFilter) ([]directory.Person, error)
	AddExemption(helpdesk.Exemption) error
	Exemption(realm, id string) (helpdesk.Exemption, error)
	Exemptions(realm string) ([]helpdesk.Exemption, error)
	SecondExemption(helpdesk.Exemption) error
	CloseExemption(helpdesk.Exemption) error
}

// GiveStore begins transactions.
type GiveStore interface {
	Read(context.Context, func(GiveTx) error) error
	Write(context.Context, func(GiveTx) error) error
}

// Actor is who acts: a person behind a live session.
type Actor interface {
	EventAbout(p directory.Person, now time.Time, kind, reason string, data map[string]string) audit.Event
	NoticeTo(to directory.Person, now time.Time, template string, args map[string]string) mail.Message
}

// By is an actor with who they are and the realm they act in.
type By struct {
	Actor
	Person directory.Person
	Realm  directory.Realm
}

// Service gives and ends exemptions. It is safe for concurrent use.
type Service struct {
	Store GiveStore
	// Rules is the plain policy that counts for a person.
	Rules func(realm string, p directory.Person, o directory.Organization) (authn.Rules, error)
	Clock func() time.Time
	Count func(metric string, labels ...string) // may be nil
}

// Bounds of what is written.
const (
	reasonLeast = 10
	reasonMost  = 500
)

// kinds are those from which a person could be exempt, by what they hold.
func (s *Service) kinds(tx GiveTx, p directory.Person) ([]authn.Kind, error) {
	org, err := tx.Organization(p.Realm, p.Organization)
	if err != nil {
		return nil, err
	}
	rules, err := s.Rules(p.Realm, p, org)
	if err != nil {
		return nil, err
	}
	creds, err := tx.Credentials(p.Realm, p.ID)
	if err != nil {
		return nil, err
	}
	return authn.Excusable(rules, authn.Person{ID: p.ID, EverActive: true, Held: authn.Holdings(creds)}), nil
}

// Proposal is what the first of the two says.
type Proposal struct {
	Person string
	Kind   authn.Kind
	Hours  int
	Reason string
}

func (in Proposal) check(most int) error {
	switch n := utf8.RuneCountInString(in.Reason); {
	case n < reasonLeast:
		return fault.New(fault.Invalid, "reason-short", "min", reasonLeast).In("reason")
	case n > reasonMost:
		return fault.New(fault.Invalid, "text-long", "max", reasonMost).In("reason")
	case in.Hours < 1 || in.Hours > most:
		return fault.New(fault.Invalid, "exemption-hours", "max", most).In("hours")
	}
	return nil
}

// Propose is the first yes. It changes nothing for the person until somebody else seconds it.
//
// Errors: fault.Invalid "reason-short" (reason), "text-long", "exemption-hours" (hours), "exemption-kind" (kind: nothing
// would be left to show, or nothing would change); fault.Exists "exemption-open"; fault.Conflict "person-shut",
// "not-active-yet"; what directory.May returns.
func (s *Service) Propose(ctx context.Context, by By, in Proposal) (e helpdesk.Exemption, err error) {
	now := s.Clock()
	in.Reason = directory.Line(in.Reason)
	err = s.Store.Write(ctx, func(tx GiveTx) error {
		p, err := tx.Person(by.Person.Realm, in.Person)
		if err != nil {
			return err
		}
		switch err := helpdesk.MayExempt(by.Person, p); {
		case err != nil:
			return err
		case p.State.Shut():
			return fault.New(fault.Conflict, "person-shut")
		case !p.EverActive():
			return fault.New(fault.Conflict, "not-active-yet")
		}
		if err := in.check(by.Realm.Exemptions.Hours); err != nil { // whoever may not, learns that and nothing else
			return err
		}
		kinds, err := s.kinds(tx, p)
		if err != nil {
			return err
		}
		if !slices.Contains(kinds, in.Kind) {
			return fault.New(fault.Invalid, "exemption-kind").In("kind")
		}
		if err := s.lapse(tx, p, now); err != nil {
			return err
		}
		e = helpdesk.Exemption{
			ID: newID(), Realm: p.Realm, Person: p.ID, Organization: p.Organization, Kind: in.Kind, Reason: in.Reason, Hours: in.Hours,
			State: helpdesk.Proposed, By: by.Person.ID, ByName: by.Person.Name, Created: now,
		}
		if err := tx.AddExemption(e); fault.Of(err, fault.Exists) {
			return fault.New(fault.Exists, "exemption-open")
		} else if err != nil {
			return err
		}
		s.count("proposed")
		if err := tx.Audit(by.EventAbout(p, now, "exemption.proposed", e.Reason, facts(e))); err != nil {
			return err
		}
		return s.wake(tx, by, p, e, now)
	})
	return e, err
}

// wake writes to those who can second it.
func (s *Service) wake(tx GiveTx, by By, p directory.Person, e helpdesk.Exemption, now time.Time) error {
	for _, role := range []directory.Role{directory.Supervisor, directory.Owner} {
		some, err := tx.People(directory.PersonFilter{Realm: p.Realm, Role: role, State: directory.Active, Limit: 50})
		if err != nil {
			return err
		}
		for _, o := range some {
			if helpdesk.MaySecond(o, p, e) != nil {
				continue
			}
			if err := tx.Enqueue(by.NoticeTo(o, now, "exemption-proposed", map[string]string{
				"kind": string(e.Kind), "reason": e.Reason, "name": p.Name, "address": p.Address, "person": p.ID,
			})); err != nil {
				return err
			}
		}
	}
	return nil
}

// Second is the other yes: from this moment the exemption counts, for as long as was proposed.
//
// Errors: fault.Forbidden "exemption-own" for who proposed it, "second-raised" where one of the two invited the other, or gave
// them a role, lately; fault.Conflict "exemption-over" where it is none any more,
// "person-shut"; what directory.May returns.
func (s *Service) Second(ctx context.Context, by By, person, id string) (e helpdesk.Exemption, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx GiveTx) error {
		p, err := s.load(tx, by, person, id, &e)
		if err != nil {
			return err
		}
		switch err := maySecond(tx, by, p, e, now); {
		case err != nil:
			return err
		case e.State != helpdesk.Proposed || e.Over(now):
			return fault.New(fault.Conflict, "exemption-over")
		case p.State.Shut():
			return fault.New(fault.Conflict, "person-shut")
		}
		first, err := tx.Person(p.Realm, e.By)
		if err != nil && !fault.Of(err, fault.NotFound) {
			return err
		}
		if err != nil || helpdesk.MayExempt(first, p) != nil { // who proposed it could not do so any more
			return fault.New(fault.Conflict, "exemption-over")
		}
		hours := min(e.Hours, by.Realm.Exemptions.Hours)
		e.State, e.Second, e.SecondName, e.Until = helpdesk.Exempt, by.Person.ID, by.Person.Name, now.Add(time.Duration(hours)*time.Hour)
		if err := tx.SecondExemption(e); fault.Of(err, fault.Conflict) {
			return fault.New(fault.Conflict, "exemption-over")
		} else if err != nil {
			return err
		}
		s.count("started")
		if err := tx.Audit(by.EventAbout(p, now, "exemption.started", e.Reason, facts(e))); err != nil {
			return err
		}
		return tell(tx, p, e, letterOf(by, now), "exemption-started")
	})
	return e, err
}

// maySecond is helpdesk.MaySecond, and what the trail says about the two (helpdesk, Q3).
func maySecond(tx GiveTx, by By, p directory.Person, e helpdesk.Exemption, now time.Time) error {
	if err := helpdesk.MaySecond(by.Person, p, e); err != nil {
		return err
	}
	raised, err := audit.Raised(tx, p.Realm, by.Person.ID, e.By, now.Add(-helpdesk.Lately))
	if raised && err == nil {
		err = fault.New(fault.Forbidden, "second-raised")
	}
	return err
}

// End ends what is proposed or live, at once. Whoever may reset the person may do it, and the person. It fails with
// fault.Conflict "exemption-over" where there is nothing to end, and with what directory.May returns.
func (s *Service) End(ctx context.Context, by By, person, id string) error {
	now := s.Clock()
	return s.Store.Write(ctx, func(tx GiveTx) error {
		var e helpdesk.Exemption
		p, err := s.load(tx, by, person, id, &e)
		if err != nil {
			return err
		}
		if !mayEnd(by.Person, p) {
			return directory.May(by.Person, directory.ResetFactor, p)
		}
		was := e.State
		e.Closed, e.ClosedBy, e.ClosedWhy = now, by.Person.ID, "stopped"
		if err := tx.CloseExemption(e); fault.Of(err, fault.Conflict) {
			return fault.New(fault.Conflict, "exemption-over")
		} else if err != nil {
			return err
		}
		s.count("ended")
		if err := tx.Audit(by.EventAbout(p, now, "exemption.ended", "stopped", facts(e))); err != nil || was == helpdesk.Proposed {
			return err
		}
		return tell(tx, p, e, letterOf(by, now), "exemption-ended")
	})
}

// EndOwn is End for the person themselves.
func (s *Service) EndOwn(ctx context.Context, by By) error {
	var e helpdesk.Exemption
	err := s.Store.Read(ctx, func(tx GiveTx) (err error) {
		e, err = tx.ExemptionOf(by.Person.Realm, by.Person.ID)
		return err
	})
	if fault.Of(err, fault.NotFound) {
		return fault.New(fault.Conflict, "exemption-over")
	}
	if err != nil {
		return err
	}
	return s.End(ctx, by, by.Person.ID, e.ID)
}

// load finds an exemption and its person. Whether the actor may do something about it is asked next, and who may not see the
// person gets the same answer then as where there is none.
func (s *Service) load(tx GiveTx, by By, person, id string, e *helpdesk.Exemption) (p directory.Person, err error) {
	if p, err = tx.Person(by.Person.Realm, person); err != nil {
		return p, err
	}
	if *e, err = tx.Exemption(p.Realm, id); err == nil && e.Person != p.ID {
		err = fault.New(fault.NotFound, "not-found")
	}
	return p, err
}

// Close ends by itself what is over: the trail and the mails say so, and nobody waits for a click. It is run every minute
// or so; an exemption does not count a moment longer where it runs late.
func (s *Service) Close(ctx context.Context, realms []*directory.Realm) error {
	now := s.Clock()
	for _, r := range realms {
		var open []helpdesk.Exemption
		if err := s.Store.Read(ctx, func(tx GiveTx) (err error) { open, err = tx.Exemptions(r.ID); return err }); err != nil {
			return err
		}
		for _, e := range open {
			if !e.Over(now) {
				continue
			}
			err := s.Store.Write(ctx, func(tx GiveTx) error { return s.close(tx, *r, e, now) })
			if err != nil && !fault.Of(err, fault.Conflict) { // somebody was faster
				return err
			}
		}
	}
	return nil
}

func (s *Service) close(tx GiveTx, r directory.Realm, e helpdesk.Exemption, now time.Time) error {
	p, err := tx.Person(e.Realm, e.Person)
	if err != nil {
		return err
	}
	was := e.State
	e.Closed, e.ClosedWhy = now, "time"
	if err := tx.CloseExemption(e); err != nil {
		return err
	}
	s.count("ended")
	if err := tx.Audit(audit.Event{
		Realm: e.Realm, At: now, Type: "exemption.ended", Actor: "system", Person: p.ID, Organization: p.Organization, Reason: "time", Data: facts(e),
	}); err != nil || was == helpdesk.Proposed {
		return err
	}
	return tell(tx, p, e, func(to directory.Person, template string, args map[string]string) mail.Message {
		args["at"] = now.UTC().Format(time.RFC3339)
		return mail.Message{ID: newID(), Realm: r.ID, Person: to.ID, To: to.Address, Template: template, Language: to.Language, Args: args,
			State: mail.Waiting, Created: now, Due: now}
	}, "exemption-ended")
}

// lapse closes a person's exemption that is over, so that another can be proposed.
func (s *Service) lapse(tx GiveTx, p directory.Person, now time.Time) error {
	e, err := tx.ExemptionOf(p.Realm, p.ID)
	if fault.Of(err, fault.NotFound) || err == nil && !e.Over(now) {
		return nil
	}
	if err != nil {
		return err
	}
	e.Closed, e.ClosedWhy = now, "time"
	if err := tx.CloseExemption(e); err != nil {
		return err
	}
	return tx.Audit(audit.Event{
		Realm: e.Realm, At: now, Type: "exemption.ended", Actor: "system", Person: p.ID, Organization: p.Organization, Reason: "time", Data: facts(e),
	})
}

func letterOf(by By, now time.Time) Letter {
	return func(to directory.Person, template string, args map[string]string) mail.Message {
		return by.NoticeTo(to, now, template, args)
	}
}

func (s *Service) count(what string) {
	if s.Count != nil {
		s.Count("exemption", "what", what)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
