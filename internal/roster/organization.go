package roster

import (
	"context"
	"strings"
	"time"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
)

// Customer is an organization in a list or on its page.
type Customer struct {
	directory.Organization
	Administrators []directory.Person // at work; with none or one, somebody has to act (REQ B44, B48)
	Looks          directory.Person   // its account manager, zero for none
	Timeline       []audit.Event      // on its page alone: what happened in it lately
	MayChange      bool
}

// Customers is one page of organizations.
type Customers struct {
	List      []Customer
	More      bool
	MayChange bool // add and change
}

// CustomerQuery selects organizations.
type CustomerQuery struct {
	Text           string
	Administrators directory.Administration
	AfterName      string
	AfterID        string
}

// Organizations pages through the customers of the realm, for staff. It fails with fault.Forbidden "not-allowed" for
// others.
func (s *Service) Organizations(ctx context.Context, by login.By, q CustomerQuery) (page Customers, err error) {
	if !directory.MayListAll(by.Person) {
		return page, fault.New(fault.Forbidden, "not-allowed")
	}
	f := directory.OrganizationFilter{
		Realm: by.Person.Realm, Query: q.Text, Administrators: q.Administrators, AfterName: q.AfterName, AfterID: q.AfterID, Limit: admin.PageSize + 1,
	}
	err = s.Store.Read(ctx, func(tx Tx) error {
		page = Customers{MayChange: directory.MayOrganize(by.Person)}
		found, err := tx.Customers(f)
		if err != nil {
			return err
		}
		if page.More = len(found) > admin.PageSize; page.More {
			found = found[:admin.PageSize]
		}
		for _, o := range found {
			one, err := s.customer(tx, by, o)
			if err != nil {
				return err
			}
			page.List = append(page.List, one)
		}
		return nil
	})
	return page, err
}

func (s *Service) customer(tx Tx, by login.By, o directory.Organization) (c Customer, err error) {
	c = Customer{Organization: o, MayChange: directory.MayOrganize(by.Person)}
	if c.Administrators, err = tx.Administrators(o.Realm, o.ID); err != nil {
		return c, err
	}
	for i, a := range c.Administrators {
		if directory.Veils(by.Person, a) {
			c.Administrators[i] = a.Veiled()
		}
	}
	c.Looks, err = someone(tx, o.Realm, o.Manager)
	return c, err
}

// Organization loads a customer's page, for staff. It fails with fault.NotFound for others, and for the realm's own.
func (s *Service) Organization(ctx context.Context, by login.By, id string) (c Customer, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		o, err := s.theirs(tx, by, id)
		if err != nil {
			return err
		}
		if c, err = s.customer(tx, by, o); err != nil {
			return err
		}
		c.Timeline, err = tx.Events(audit.Query{Realm: o.Realm, Organization: o.ID, Types: []string{
			"organization.added", "organization.changed", "organization.disabled", "organization.enabled", "person.added", "person.deleted",
			"person.disabled", "person.enabled", "person.frozen", "person.role",
		}, Limit: 40})
		return err
	})
	return c, err
}

// theirs loads a customer's organization for staff: like a missing one for anybody else.
func (s *Service) theirs(tx Tx, by login.By, id string) (o directory.Organization, err error) {
	if !directory.MayListAll(by.Person) {
		return o, fault.New(fault.NotFound, "not-found")
	}
	if o, err = tx.Organization(by.Person.Realm, id); err == nil && o.Staff {
		err = fault.New(fault.NotFound, "not-found")
	}
	return o, err
}

// About is what staff say about a customer.
type About struct {
	Name    string
	Manager string // id of a staff member, empty for none
	Phone   string // of its switchboard, as typed; empty for none
	Version int64
}

// AddOrganization adds a customer and invites its first administrator, both or neither.
//
// Errors: fault.Forbidden "not-allowed"; fault.Invalid "name-missing", "name-too-long" (name), "phone-invalid" (phone),
// "staff-unknown" (manager); fault.Exists "organization-exists" (name); for the administrator those of admin.People.Invite,
// whose name is then in the field "person".
func (s *Service) AddOrganization(ctx context.Context, by login.By, in About, first admin.Invitation) (o directory.Organization, err error) {
	now := s.Clock()
	o = directory.Organization{ID: newID(), Realm: by.Person.Realm, State: directory.Active, Created: now}
	first.Organization, first.Role, first.First = o.ID, directory.Administrator, true
	err = s.Store.Write(ctx, func(tx Tx) error {
		actor, err := admin.Actor(tx, by)
		if err != nil {
			return err
		}
		if !directory.MayOrganize(actor.Person) { // who may not, learns that and nothing else
			return fault.New(fault.Forbidden, "not-allowed")
		}
		if err := tidy(&o, in, now); err != nil {
			return err
		}
		if err := colleague(tx, o.Realm, o.Manager, "manager"); err != nil {
			return err
		}
		if err := tx.AddOrganization(o); fault.Of(err, fault.Exists) {
			return fault.New(fault.Exists, "organization-exists").In("name")
		} else if err != nil {
			return err
		}
		if err := tx.Audit(ofCustomer(by, o, by.Event(now, "organization.added", "", nil))); err != nil {
			return err
		}
		_, refused, err := s.People.InviteIn(tx, actor, first, now)
		if err == nil {
			err = refused // undoes the organization, too
		}
		if f := fault.As(err); f != nil && f.Field == "name" {
			err = f.In("person")
		}
		return err
	})
	return o, err
}

// tidy reads what was typed into an organization.
func tidy(o *directory.Organization, in About, now time.Time) (err error) {
	if o.Name, err = named(in.Name); err != nil {
		return err
	}
	phone, err := directory.CanonicalPhone(in.Phone)
	if err != nil {
		return err
	}
	if phone != o.Phone {
		o.Phone, o.PhoneSince = phone, now
	}
	o.Manager = in.Manager
	return nil
}

// ofCustomer makes the actor's event one about an organization.
func ofCustomer(by login.By, o directory.Organization, e audit.Event) audit.Event {
	e.Person, e.Organization, e.Data = "", o.ID, map[string]string{"name": o.Name, "by": by.Person.Name}
	return e
}

// ChangeOrganization changes what is said about a customer; its administrators are told. Errors: fault.NotFound,
// fault.Forbidden "not-allowed", fault.Conflict "stale", and those of AddOrganization about the organization.
func (s *Service) ChangeOrganization(ctx context.Context, by login.By, id string, in About) (o directory.Organization, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx Tx) error {
		if o, err = s.mine(tx, by, id); err != nil {
			return err
		}
		if o.Version != in.Version {
			return fault.New(fault.Conflict, "stale")
		}
		was := o
		if err := tidy(&o, in, now); err != nil {
			return err
		}
		if o.Name == was.Name && o.Manager == was.Manager && o.Phone == was.Phone {
			return nil
		}
		if o.Manager != was.Manager {
			if err := colleague(tx, o.Realm, o.Manager, "manager"); err != nil {
				return err
			}
		}
		if !strings.EqualFold(o.Name, was.Name) {
			if other, err := tx.OrganizationByName(o.Realm, o.Name); err == nil && other.ID != o.ID {
				return fault.New(fault.Exists, "organization-exists").In("name")
			} else if err != nil && !fault.Of(err, fault.NotFound) {
				return err
			}
		}
		if err := tx.UpdateOrganization(o); err != nil {
			return err
		}
		if err := s.tellAdministrators(tx, by, o, "organization-changed", "", now); err != nil {
			return err
		}
		return tx.Audit(ofCustomer(by, o, by.Event(now, "organization.changed", "", nil)))
	})
	return o, err
}

// mine loads a customer that the actor, as they are now, may change.
func (s *Service) mine(tx Tx, by login.By, id string) (o directory.Organization, err error) {
	if by, err = admin.Actor(tx, by); err != nil {
		return o, err
	}
	if o, err = s.theirs(tx, by, id); err == nil && !directory.MayOrganize(by.Person) {
		err = fault.New(fault.Forbidden, "not-allowed")
	}
	return o, err
}

// StandOrganization shuts a whole customer out, or lets it in again: nobody of a disabled organization signs in, and whoever
// is signed in is out within seconds; nothing is lost. Shutting out a whole company takes a supervisor or an owner. Doing it
// twice changes nothing. Errors: fault.Invalid "reason-short", "text-long" (reason), fault.NotFound, fault.Forbidden
// "not-allowed".
func (s *Service) StandOrganization(ctx context.Context, by login.By, id string, enabled bool, reason string) (o directory.Organization, err error) {
	now := s.Clock()
	if reason, err = admin.Reason(reason); err != nil {
		return o, err
	}
	err = s.Store.Write(ctx, func(tx Tx) error {
		if o, err = s.mine(tx, by, id); err != nil {
			return err
		}
		actor, err := admin.Actor(tx, by)
		if err != nil {
			return err
		}
		if !directory.MayStand(actor.Person) {
			return fault.New(fault.Forbidden, "not-allowed")
		}
		state, kind, template := directory.Disabled, "organization.disabled", "organization-disabled"
		if enabled {
			state, kind, template = directory.Active, "organization.enabled", "organization-enabled"
		}
		if o.State == state {
			return nil
		}
		o.State = state
		if err := tx.UpdateOrganization(o); err != nil {
			return err
		}
		if err := s.tellAdministrators(tx, by, o, template, reason, now); err != nil {
			return err
		}
		return tx.Audit(ofCustomer(by, o, by.Event(now, kind, reason, nil)))
	})
	return o, err
}

func (s *Service) tellAdministrators(tx Tx, by login.By, o directory.Organization, template, reason string, now time.Time) error {
	admins, err := tx.Administrators(o.Realm, o.ID)
	if err != nil {
		return err
	}
	for _, a := range admins {
		if err := tx.Enqueue(by.NoticeTo(a, now, template, map[string]string{"name": o.Name, "reason": reason})); err != nil {
			return err
		}
	}
	return nil
}
