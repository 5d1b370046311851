package admin

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
)

// Invitation is whom to invite.
type Invitation struct {
	Address      string
	Name         string
	Role         directory.Role
	Organization string // empty: the actor's own
	Language     string // empty: the realm's first
	Show         func(link string)
	First        bool // with the organization itself, in one transaction: there is nobody yet who could be harmed, nor anybody to ask
}

// maxName bounds a person's name, in characters.
const maxName = 100

// Invite adds a person and mails the invitation, where the realm's policy lets one lead anywhere: who needs a certificate first
// hears of the portal with its file. Nobody who invites sees its secret (Show is for the command line,
// which has the machine anyway). A person withdrawn before, or invited already, keeps no trace that would tell.
//
// Errors: fault.Invalid "address-invalid" (email), "name-missing", "name-too-long" (name), "language-unknown",
// "role-invalid"; fault.Exists "person-exists" when the address is one of the actor's own people, "address-taken" when
// it cannot be used, without saying why or by whom (REQ B69); fault.Throttled "too-many-invitations". An agent does
// not invite administrators (fault.Forbidden "role-higher"), and the others hear of one who is invited.
func (s *People) Invite(ctx context.Context, by login.By, in Invitation) (directory.Person, error) {
	now := s.Clock()
	p, err := s.newPerson(by, in, now)
	if err != nil {
		return p, err
	}
	var refused error
	err = s.Store.Write(ctx, func(tx PeopleTx) (err error) {
		refused, err = s.invite(tx, by, p, in, now)
		return err
	})
	if err == nil {
		err = refused
	}
	return p, err
}

// InviteIn is Invite within a transaction that does more. refused is why the address cannot be used: then nothing but the
// attempt is kept, unless the caller undoes that as well.
func (s *People) InviteIn(tx PeopleTx, by login.By, in Invitation, now time.Time) (p directory.Person, refused, err error) {
	if p, err = s.newPerson(by, in, now); err != nil {
		return p, nil, err
	}
	refused, err = s.invite(tx, by, p, in, now)
	return p, refused, err
}

func (s *People) invite(tx PeopleTx, by login.By, p directory.Person, in Invitation, now time.Time) (refused, err error) {
	realm, err := s.Realms.Realm(by.Person.Realm)
	if err != nil {
		return nil, err
	}
	org, err := tx.Organization(p.Realm, p.Organization)
	if err != nil {
		return nil, err
	}
	if by, err = Actor(tx, by); err != nil {
		return nil, err
	}
	if err := directory.MayInvite(by.Person, p.Role, org); err != nil {
		return nil, err
	}
	if err := directory.MayAppoint(by.Person, p.Role); err != nil && !in.First {
		return nil, err
	}
	ok, retry, err := tx.Reserve("invite:"+by.Person.Realm+":"+by.Person.ID, 200, 24*time.Hour, now)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.Throttled, "too-many-invitations").After(retry)
	}
	if refused, err = s.taken(tx, by, p, now); refused != nil || err != nil {
		return refused, err
	}
	if err := tx.AddPerson(p); err != nil {
		if fault.Of(err, fault.Exists) {
			return nil, fault.New(fault.Exists, "address-taken").In("email")
		}
		return nil, err
	}
	e := by.EventAbout(p, now, "person.added", "", map[string]string{"name": p.Name, "role": string(p.Role)})
	if err := tx.Audit(e); err != nil {
		return nil, err
	}
	if err := tellAdministrators(tx, by, p, now); err != nil {
		return nil, err
	}
	if !realm.Invites(p.Role) {
		return nil, nil // their way in begins with what staff give them
	}
	return nil, login.Invite(tx, s.Ring, realm.Realm, p, s.invitation(by, now, in.Show, false))
}

// tellAdministrators writes to the administrators of an organization that another one is invited, or to the owners that
// somebody will be staff: nobody widens the circle of those who decide without the others hearing of it.
func tellAdministrators(tx PeopleTx, by login.By, p directory.Person, now time.Time) error {
	if p.Role == directory.Member {
		return nil
	}
	var others []directory.Person
	var err error
	if p.Role.Staff() {
		others, err = tx.People(directory.PersonFilter{Realm: p.Realm, Role: directory.Owner, State: directory.Active, Limit: PageSize})
	} else {
		others, err = tx.Administrators(p.Realm, p.Organization)
	}
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == by.Person.ID {
			continue
		}
		m := by.NoticeTo(o, now, "privileged-invited-console", map[string]string{"role": string(p.Role), "name": p.Name, "address": p.Address})
		if err := tx.Enqueue(m); err != nil {
			return err
		}
	}
	return nil
}

func (s *People) newPerson(by login.By, in Invitation, now time.Time) (directory.Person, error) {
	address, err := directory.Canonical(in.Address)
	if err != nil {
		return directory.Person{}, fault.New(fault.Invalid, "address-invalid").In("email").Because(err)
	}
	name := directory.Line(in.Name)
	if name == "" {
		return directory.Person{}, fault.New(fault.Invalid, "name-missing").In("name")
	}
	if utf8.RuneCountInString(name) > maxName {
		return directory.Person{}, fault.New(fault.Invalid, "name-too-long", "max", maxName).In("name")
	}
	p := directory.Person{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: by.Person.Realm, Organization: in.Organization, Address: address, Name: name,
		Role: in.Role, State: directory.Invited, Language: in.Language, Created: now, Invitation: now,
	}
	if p.Organization == "" {
		p.Organization = by.Person.Organization
	}
	if p.Role == "" {
		p.Role = directory.Member
	}
	if p.Language == "" {
		p.Language = by.Realm.Languages[0]
	}
	if !slices.Contains(by.Realm.Languages, p.Language) {
		return p, fault.New(fault.Invalid, "language-unknown").In("language")
	}
	return p, nil
}

// taken says why an address cannot be invited; nil when it can. Only about the actor's own people it says more than
// "no". The owner of a taken address hears of it, at most once a day, and not from whom.
func (s *People) taken(tx PeopleTx, by login.By, p directory.Person, now time.Time) (refusal, err error) {
	have, err := tx.PersonByAddress(p.Realm, p.Address)
	if fault.Of(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if directory.May(by.Person, directory.See, have) == nil {
		return fault.New(fault.Exists, "person-exists").In("email"), nil
	}
	refusal = fault.New(fault.Exists, "address-taken").In("email")
	// Who tries address after address is seen by those who look after the realm; whose address it was stays untold.
	if err := tx.Audit(by.Event(now, "invitation.refused", "address-taken", nil)); err != nil {
		return nil, err
	}
	if have.State != directory.Active {
		return refusal, nil
	}
	first, _, err := tx.Reserve("already:"+have.ID, 1, 24*time.Hour, now)
	if err != nil || !first {
		return refusal, err
	}
	m := login.Notice(by.Realm.Realm, have, have, "address-already", now, "", "", map[string]string{"link": by.Realm.Origin + "/signin"})
	return refusal, tx.Enqueue(m)
}

func (s *People) invitation(by login.By, now time.Time, show func(string), again bool) login.Invitation {
	in := login.Invitation{Now: now, Actor: by.Person.ID, Name: by.Person.Name, Network: by.Network, Agent: by.Agent, Resent: again, Show: show}
	if by.Session.ID != "" {
		in.Inviter = by.Person.ID
	}
	return in
}

// Resend makes a new invitation for somebody who was never active; the older one is dead at once. At most five a day
// for one person. Errors: fault.NotFound, fault.Conflict "already-active" and "no-invitation" where it would open nothing, fault.Throttled "too-many-invitations".
func (s *People) Resend(ctx context.Context, by login.By, id string) error {
	now := s.Clock()
	realm, err := s.Realms.Realm(by.Person.Realm)
	if err != nil {
		return err
	}
	return s.Store.Write(ctx, func(tx PeopleTx) error {
		p, err := s.whom(tx, by, directory.Invite, id)
		if err != nil {
			return err
		}
		if p.State != directory.Invited {
			return fault.New(fault.Conflict, "already-active")
		}
		if !realm.Invites(p.Role) {
			return fault.New(fault.Conflict, "no-invitation")
		}
		ok, retry, err := tx.Reserve("resend-by:"+p.ID, 5, 24*time.Hour, now)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.Throttled, "too-many-invitations").After(retry)
		}
		p.Bounced = false
		return login.Invite(tx, s.Ring, realm.Realm, p, s.invitation(by, now, nil, true))
	})
}

// Withdraw takes an invitation back: its link, its flow and whatever was set up by it are gone, and the address is free
// again. It fails with fault.Conflict "already-active" once the person was let in.
func (s *People) Withdraw(ctx context.Context, by login.By, id string) error {
	now := s.Clock()
	return s.Store.Write(ctx, func(tx PeopleTx) error {
		p, err := s.whom(tx, by, directory.Withdraw, id)
		if err != nil {
			return err
		}
		if p.State != directory.Invited || p.EverActive() {
			return fault.New(fault.Conflict, "already-active")
		}
		if _, err := tx.VoidOneTimes(p.Realm, p.ID, authn.Invite, "", now); err != nil {
			return err
		}
		if _, err := tx.VoidFlows(p.Realm, p.ID, ""); err != nil {
			return err
		}
		for _, template := range []string{"invitation", "invitation-reminder"} {
			if _, err := tx.VoidMails(p.Realm, p.ID, template, now); err != nil {
				return err
			}
		}
		e := by.EventAbout(p, now, "invitation.revoked", "", map[string]string{"name": p.Name})
		if err := tx.Audit(e); err != nil {
			return err
		}
		// The version was checked by this update: somebody who is let in at the same moment stays (one of the two fails).
		if err := tx.UpdatePerson(p); err != nil {
			return err
		}
		return tx.DeletePerson(p.Realm, p.ID)
	})
}

// Organizations lists the organizations somebody may invite into, for the form of staff.
func (s *People) Organizations(ctx context.Context, by login.By, afterName, afterID string) (orgs []directory.Organization, err error) {
	if !directory.MayListAll(by.Person) {
		return []directory.Organization{by.Organization}, nil
	}
	err = s.Store.Read(ctx, func(tx PeopleTx) error {
		orgs, err = tx.Organizations(by.Person.Realm, afterName, afterID, 200)
		return err
	})
	return orgs, err
}

// RolesToInvite lists the roles the actor may invite into an organization.
func RolesToInvite(by login.By, into directory.Organization) []directory.Role {
	var roles []directory.Role
	for _, r := range directory.Roles {
		if directory.MayInvite(by.Person, r, into) == nil && directory.MayAppoint(by.Person, r) == nil {
			roles = append(roles, r)
		}
	}
	return roles
}
