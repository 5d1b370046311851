package roster

import (
	"context"
	"slices"
	"strings"
	"time"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/mail"
)

// Facts are what others may change about a person. The address is not among them: it is its owner's
// (REQ B80).
type Facts struct {
	Name      string
	Language  string
	Zone      string // IANA name; empty for the realm's
	Phone     string // number on file, as typed; empty for none
	KeepPhone bool   // nothing is typed since it was not shown: the number stays
	Contact   string // id of the staff member assigned, empty for none; only staff change it
	Version   int64  // of the person that the form was made for
}

// Edit changes the facts about somebody and tells them. Changing nothing tells nobody.
//
// Errors: what directory.May returns; fault.Conflict "stale"; fault.Invalid "name-missing", "name-too-long" (name),
// "language-unknown" (language), "zone-unknown" (zone), "phone-invalid" (phone), "staff-unknown" (contact); fault.Conflict
// "phone-helped" while a request about them is open or approved: a number that a caller names is none to call back.
func (s *Service) Edit(ctx context.Context, by login.By, id string, in Facts) (p directory.Person, err error) {
	now := s.Clock()
	if in.Name, err = named(in.Name); err != nil {
		return p, err
	}
	if !slices.Contains(by.Realm.Languages, in.Language) {
		return p, fault.New(fault.Invalid, "language-unknown").In("language")
	}
	if _, err := time.LoadLocation(in.Zone); err != nil || strings.EqualFold(in.Zone, "local") {
		return p, fault.New(fault.Invalid, "zone-unknown").In("zone")
	}
	if in.Phone, err = directory.CanonicalPhone(in.Phone); err != nil {
		return p, err
	}
	err = s.Store.Write(ctx, func(tx Tx) (err error) {
		if p, err = admin.Whom(tx, by, directory.Edit, id); err != nil {
			return err
		}
		if p.Version != in.Version {
			return fault.New(fault.Conflict, "stale")
		}
		was := p
		p.Name, p.Language, p.Zone, p.Phone = in.Name, in.Language, in.Zone, in.Phone
		if in.KeepPhone {
			p.Phone = was.Phone
		}
		if by.Person.Role.Staff() && in.Contact != was.Contact {
			if err := colleague(tx, p.Realm, in.Contact, "contact"); err != nil {
				return err
			}
			p.Contact = in.Contact
		}
		data := differences(was, p)
		if len(data) == 0 {
			return nil
		}
		if p.Phone != was.Phone {
			live, err := tx.HelpRequestsLive(p.Realm, p.ID)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(live, func(r helpdesk.Request) bool { return !r.Over(now) }) {
				return fault.New(fault.Conflict, "phone-helped").In("phone")
			}
			p.PhoneSince = now
		}
		if err := tx.UpdatePerson(p); err != nil {
			return err
		}
		p.Version++
		tx.Bump() // sessions keep the person in memory
		if err := tx.Enqueue(by.NoticeTo(p, now, "details-changed", nil)); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(p, now, "person.edited", "", data))
	})
	return p, err
}

// differences is what an event says of a change: the new values, and that the number on file is another one, not which.
func differences(was, is directory.Person) map[string]string {
	data := map[string]string{}
	for _, d := range []struct{ name, was, is string }{
		{"name", was.Name, is.Name}, {"language", was.Language, is.Language}, {"zone", was.Zone, is.Zone}, {"contact", was.Contact, is.Contact},
	} {
		if d.was != d.is {
			data[d.name] = d.is
		}
	}
	if was.Name != is.Name {
		data["was"] = was.Name
	}
	if was.Phone != is.Phone {
		data["phone"] = directory.VeiledPhone(is.Phone)
	}
	return data
}

// SetRole gives somebody another role. Their sessions end, so that none goes on with rights of before (SEC S-2), and the
// other administrators are told of a new one.
//
// Errors: what directory.MayAssign returns; fault.Invalid "reason-short", "text-long" (reason), "role-invalid" (role);
// fault.Conflict "stale", and "last-administrator" or "last-owner"; fault.Forbidden "role-higher", see directory.MayAppoint.
func (s *Service) SetRole(ctx context.Context, by login.By, id string, role directory.Role, reason string, version int64) (p directory.Person, err error) {
	now := s.Clock()
	if reason, err = admin.Reason(reason); err != nil {
		return p, err
	}
	err = s.Store.Write(ctx, func(tx Tx) error {
		actor, err := admin.Actor(tx, by)
		if err != nil {
			return err
		}
		if p, err = admin.Whom(tx, actor, directory.AssignRole, id); err != nil {
			return err
		}
		org, err := tx.Organization(p.Realm, p.Organization)
		if err != nil {
			return err
		}
		if err := directory.MayAssign(actor.Person, p, role, org); err != nil {
			return err
		}
		switch {
		case p.Version != version:
			return fault.New(fault.Conflict, "stale")
		case p.Role == role:
			return nil
		}
		if err := directory.MayAppoint(actor.Person, role); err != nil {
			return err
		}
		if err := admin.KeepAdministrator(tx, p); err != nil {
			return err
		}
		was := p.Role
		p.Role = role
		if err := tx.UpdatePerson(p); err != nil {
			return err
		}
		p.Version++
		if _, err := tx.EndSessions(p.Realm, p.ID, "", "role-changed", now); err != nil {
			return err
		}
		if _, err := tx.VoidFlows(p.Realm, p.ID, ""); err != nil {
			return err
		}
		tx.Bump()
		if err := s.tellRole(tx, by, p, was, reason, now); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(p, now, "person.role", reason, map[string]string{"name": p.Name, "was": string(was), "role": string(role)}))
	})
	return p, err
}

// tellRole writes to the person, and to the other administrators when one comes or goes.
func (s *Service) tellRole(tx Tx, by login.By, p directory.Person, was directory.Role, reason string, now time.Time) error {
	args := map[string]string{"role": string(p.Role), "reason": reason, "name": p.Name, "address": p.Address}
	if err := tx.Enqueue(by.NoticeTo(p, now, "role-changed", args)); err != nil {
		return err
	}
	if p.Role != directory.Administrator && was != directory.Administrator {
		return nil
	}
	others, err := tx.Administrators(p.Realm, p.Organization)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == p.ID || o.ID == by.Person.ID {
			continue
		}
		if err := tx.Enqueue(by.NoticeTo(o, now, "role-changed-console", args)); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes somebody for good: sessions, credentials, links, open flows, what applications were allowed and requests
// about them end. Their history stays with their name, and so do what they accepted and whom they helped. The address is
// free again: whoever is invited with it is somebody else.
//
// Errors: what directory.May returns; fault.Invalid "reason-short", "text-long" (reason), "name-other" (typed) when typed is
// not the person's name: who deletes says whom; fault.Conflict "last-administrator", "last-owner", "stale".
func (s *Service) Delete(ctx context.Context, by login.By, id, typed, reason string) (p directory.Person, err error) {
	now := s.Clock()
	if reason, err = admin.Reason(reason); err != nil {
		return p, err
	}
	err = s.Store.Write(ctx, func(tx Tx) error {
		if p, err = admin.Whom(tx, by, directory.Delete, id); err != nil {
			return err
		}
		if !strings.EqualFold(directory.Line(typed), directory.Line(p.Name)) {
			return fault.New(fault.Invalid, "name-other").In("typed")
		}
		if err := admin.KeepAdministrator(tx, p); err != nil {
			return err
		}
		if _, err := admin.Shut(tx, p, "deleted", now); err != nil {
			return err
		}
		if err := s.endRequests(tx, by, p, now); err != nil {
			return err
		}
		if _, err := tx.EndAuthorizations(p.Realm, p.ID, "", "deleted", now); err != nil {
			return err
		}
		for _, template := range []string{"invitation", "invitation-reminder", "password-reset", "request-approved"} {
			if _, err := tx.VoidMails(p.Realm, p.ID, template, now); err != nil {
				return err
			}
		}
		if err := tx.RemovePerson(p); err != nil {
			return err
		}
		if err := tx.Enqueue(farewell(by, p, reason, now)); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(p, now, "person.deleted", reason, map[string]string{"name": p.Name, "role": string(p.Role)}))
	})
	return p, err
}

// endRequests closes what is open or approved about somebody who goes.
func (s *Service) endRequests(tx Tx, by login.By, p directory.Person, now time.Time) error {
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	if err != nil {
		return err
	}
	for _, r := range live {
		r.State, r.Closed, r.ClosedBy, r.ClosedWhy = helpdesk.Cancelled, now, by.Person.ID, "deleted"
		if err := tx.UpdateHelpRequest(r); err != nil {
			return err
		}
		if err := tx.Audit(by.EventAbout(p, now, "request.cancelled", "deleted", map[string]string{"number": r.Number})); err != nil {
			return err
		}
	}
	return nil
}

// farewell is the last mail to somebody. It is addressed to nobody's account, since there is none when it goes out.
func farewell(by login.By, p directory.Person, reason string, now time.Time) mail.Message {
	m := by.NoticeTo(p, now, "account-deleted", map[string]string{"reason": reason})
	m.Person = ""
	delete(m.Args, "not_me") // there is nothing left to freeze
	return m
}
