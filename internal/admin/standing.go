package admin

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
)

// Disable shuts somebody out: sessions, open flows and links end in the same transaction, and nothing lets them in until
// they are enabled again; what they hold stays. They are told by mail. It fails with fault.NotFound or fault.Forbidden where the actor may not,
// and with fault.Conflict "last-administrator" for the only active administrator of an organization (REQ B49). Doing it
// twice changes nothing.
func (s *People) Disable(ctx context.Context, by login.By, id, reason string) (directory.Person, error) {
	now := s.Clock()
	var p directory.Person
	err := s.Store.Write(ctx, func(tx PeopleTx) (err error) {
		if p, err = s.whom(tx, by, directory.Disable, id); err != nil || p.State == directory.Disabled {
			return err
		}
		if err := KeepAdministrator(tx, p); err != nil {
			return err
		}
		p.State = directory.Disabled
		if err := tx.UpdatePerson(p); err != nil {
			return err
		}
		if _, err := Shut(tx, p, "disabled", now); err != nil {
			return err
		}
		if err := tx.Enqueue(by.NoticeTo(p, now, "account-disabled", map[string]string{"reason": reason})); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(p, now, "person.disabled", reason, map[string]string{"name": p.Name}))
	})
	return p, err
}

// KeepAdministrator refuses what would leave an organization without an active administrator, or the realm without an
// owner (REQ B49), and has to be asked in the transaction that takes the role or the account away from p. It fails with
// fault.Conflict "last-administrator" or "last-owner". Two who do it to each other at once do not both succeed: it moves
// the versions of all others, in one order.
func KeepAdministrator(tx PeopleTx, p directory.Person) error {
	if p.State != directory.Active || p.Role != directory.Administrator && p.Role != directory.Owner {
		return nil
	}
	refusal := fault.New(fault.Conflict, "last-administrator")
	all, err := []directory.Person(nil), error(nil)
	if p.Role == directory.Owner {
		refusal = fault.New(fault.Conflict, "last-owner")
		all, err = tx.People(directory.PersonFilter{Realm: p.Realm, Role: directory.Owner, State: directory.Active, Limit: PageSize})
	} else {
		all, err = tx.Administrators(p.Realm, p.Organization)
	}
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b directory.Person) int { return strings.Compare(a.ID, b.ID) })
	others := 0
	for _, a := range all {
		if a.ID == p.ID {
			continue
		}
		others++
		if err := tx.UpdatePerson(a); err != nil {
			return err
		}
	}
	if others == 0 {
		return refusal
	}
	return nil
}

// Actor is the actor as they are in this transaction: who lost their role or their account a moment ago does nothing more
// with a session that another node still remembers. The command line is nobody's account.
func Actor(tx PeopleTx, by login.By) (login.By, error) {
	if by.Session.ID == "" {
		return by, nil
	}
	p, err := tx.Person(by.Person.Realm, by.Person.ID)
	if fault.Of(err, fault.NotFound) {
		return by, fault.New(fault.Forbidden, "not-allowed")
	}
	by.Person = p
	return by, err
}

// Whom loads a person and asks whether the actor, as they are now, may do the act to them: the organization guard. It fails
// as directory.May does.
func Whom(tx PeopleTx, by login.By, act directory.Act, id string) (p directory.Person, err error) {
	if by, err = Actor(tx, by); err != nil {
		return p, err
	}
	if p, err = tx.Person(by.Person.Realm, id); err != nil {
		return p, err
	}
	return p, directory.May(by.Person, act, p)
}

// Enable lets somebody in again who was disabled: back to where they were before, but for links, which stay dead; who
// was only invited needs a new invitation. Doing it twice changes nothing.
func (s *People) Enable(ctx context.Context, by login.By, id, reason string) (directory.Person, error) {
	now := s.Clock()
	var p directory.Person
	err := s.Store.Write(ctx, func(tx PeopleTx) (err error) {
		if p, err = s.whom(tx, by, directory.Disable, id); err != nil || !p.State.Shut() {
			return err
		}
		p.State = directory.Invited
		if p.EverActive() {
			p.State = directory.Active
		}
		if err := tx.UpdatePerson(p); err != nil {
			return err
		}
		tx.Bump()
		if err := unfreeze(tx, by, p, now); err != nil {
			return err
		}
		if err := tx.Enqueue(by.NoticeTo(p, now, "account-enabled", nil)); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(p, now, "person.enabled", reason, map[string]string{"name": p.Name}))
	})
	return p, err
}

// unfreeze closes the request that "this was not me" has opened: what it asked for is done. Left open, it would stand in
// the way of the next request about the person.
func unfreeze(tx PeopleTx, by login.By, p directory.Person, now time.Time) error {
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	if err != nil {
		return err
	}
	for _, r := range live {
		if r.Why != helpdesk.NotMe || r.State != helpdesk.Open {
			continue
		}
		r.State, r.Closed, r.ClosedBy, r.ClosedWhy = helpdesk.Done, now, by.Person.ID, "enabled"
		if err := tx.UpdateHelpRequest(r); err != nil {
			return err
		}
		if err := tx.Audit(by.EventAbout(p, now, "request.answered", "enabled", facts(r))); err != nil {
			return err
		}
	}
	return nil
}

// EndSessions signs somebody out everywhere; what they hold stays, and they can sign in again. It fails with
// fault.Invalid "reason-short" (reason), and with fault.NotFound or fault.Forbidden where the actor may not. Doing it twice
// changes nothing.
func (s *People) EndSessions(ctx context.Context, by login.By, id, reason string) (n int, err error) {
	now := s.Clock()
	if reason, err = Reason(reason); err != nil {
		return 0, err
	}
	err = s.Store.Write(ctx, func(tx PeopleTx) error {
		p, err := s.whom(tx, by, directory.EndSessions, id)
		if err != nil {
			return err
		}
		if n, err = tx.EndSessions(p.Realm, p.ID, "", "ended-for-them", now); err != nil || n == 0 {
			return err
		}
		tx.Bump()
		if err := tx.Enqueue(by.NoticeTo(p, now, "sessions-ended", nil)); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(p, now, "session.ended", reason, nil))
	})
	return n, err
}

// Reason is what somebody gives for an act on another's account, tidied. It fails with fault.Invalid "reason-short" or
// "text-long" (reason): the person reads it in their history.
func Reason(text string) (string, error) {
	text = directory.Line(text)
	switch n := utf8.RuneCountInString(text); {
	case n < reasonLeast:
		return "", fault.New(fault.Invalid, "reason-short", "min", reasonLeast).In("reason")
	case n > wordsMost:
		return "", fault.New(fault.Invalid, "text-long", "max", wordsMost).In("reason")
	}
	return text, nil
}

// CommandLine is who acts when somebody at the machine does: as an owner, named "cli" in the trail (DESIGN 15: whoever
// holds the machine holds the command line).
func CommandLine(r *login.Realm, staff directory.Organization) login.By {
	return login.By{Signed: login.Signed{Realm: r, Organization: staff, Person: directory.Person{
		ID: "cli", Realm: r.ID, Organization: staff.ID, Name: r.Operator, Role: directory.Owner, State: directory.Active,
	}}}
}
