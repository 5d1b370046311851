package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
)

// userCommands are about people. Whoever holds the machine acts as an owner; the trail says "cli".
type userCommands struct {
	Invite  inviteCommand  `cmd:"" help:"Invite somebody and print their one-time link."`
	List    listCommand    `cmd:"" help:"List people."`
	Disable disableCommand `cmd:"" help:"Shut somebody out at once."`
	Enable  enableCommand  `cmd:"" help:"Let somebody in again who was disabled."`
	Role    roleCommand    `cmd:"" help:"Give somebody another role."`
	Delete  deleteCommand  `cmd:"" help:"Remove somebody for good; their history stays."`
}

// realmHouse is a house with one realm to act in.
type realmHouse struct {
	*house
	realm *login.Realm
	staff directory.Organization
}

func (c *call) inRealm(id string) (h *realmHouse, closeAll func(), err error) {
	g, err := c.open()
	if err != nil {
		return nil, nil, err
	}
	inner, err := build(c.ctx, g, false)
	if err != nil {
		_ = g.Close() // the first error tells more
		return nil, nil, err
	}
	closeAll = func() { inner.Close(); _ = g.Close() } // everything was committed by then
	h = &realmHouse{house: inner}
	if h.realm, err = inner.cache.Realm(id); err == nil {
		err = g.store.Read(c.ctx, func(tx *sqlstore.Tx) (err error) { h.staff, err = tx.StaffOrganization(id); return err })
	} else {
		err = fmt.Errorf("there is no realm %q; doorward apply its file first", id)
	}
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return h, closeAll, nil
}

func (h *realmHouse) by() login.By { return admin.CommandLine(h.realm, h.staff) }

type inviteCommand struct {
	Realm        string `required:"" help:"Id of the realm."`
	Role         string `required:"" enum:"member,administrator,agent,supervisor,auditor,owner" help:"One of member, administrator, agent, supervisor, auditor, owner."`
	Email        string `required:"" help:"Address: the user name."`
	Name         string `required:"" help:"Name as others see it."`
	Organization string `help:"Name of the customer's organization; made when it is new. Staff belong to the operator's own."`
	Language     string `help:"en, de, fr or it; the realm's first when left out."`
}

// Run invites: the mail goes out as always, and the link is printed for whoever stands at the machine.
func (cmd inviteCommand) Run(c *call) error {
	role := directory.Role(cmd.Role)
	if role.Staff() == (cmd.Organization != "") {
		if role.Staff() {
			return usageError("staff belong to the operator's own organization: leave out --organization")
		}
		return usageError("members and administrators belong to a customer: --organization names it")
	}
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	org := h.staff
	if !role.Staff() {
		if org, err = h.organization(c.ctx, cmd.Organization); err != nil {
			return err
		}
	}
	var link string
	p, err := h.people.Invite(c.ctx, h.by(), admin.Invitation{
		Address: cmd.Email, Name: cmd.Name, Role: role, Organization: org.ID, Language: cmd.Language, Show: func(l string) { link = l },
	})
	if err != nil {
		return err
	}
	until := h.clock().AddDate(0, 0, h.realm.Invitation.Days)
	c.say("%s may set up their account until %s. The link works once; it is in the mail as well:\n%s", p.Address, until.Format(time.DateOnly), link)
	return c.print(map[string]string{"id": p.ID, "email": p.Address, "link": link, "until": until.Format(time.RFC3339)})
}

// organization finds a customer's organization by name or makes it.
func (h *realmHouse) organization(ctx context.Context, name string) (o directory.Organization, err error) {
	name = strings.Join(strings.Fields(name), " ")
	err = h.store.Write(ctx, func(tx *sqlstore.Tx) error {
		o, err = tx.OrganizationByName(h.realm.ID, name)
		if !fault.Of(err, fault.NotFound) {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		o = directory.Organization{ID: id.String(), Realm: h.realm.ID, Name: name, State: directory.Active, Created: h.clock()}
		if err := tx.AddOrganization(o); err != nil {
			return err
		}
		return tx.Audit(audit.Event{
			Realm: o.Realm, At: o.Created, Type: "organization.added", Actor: "cli", Organization: o.ID, Data: map[string]string{"name": o.Name},
		})
	})
	return o, err
}

type listCommand struct {
	Realm        string `required:"" help:"Id of the realm."`
	Organization string `help:"Only of this organization."`
}

// listed is a person as printed.
type listed struct {
	ID           string     `json:"id"`
	Email        string     `json:"email"`
	Name         string     `json:"name"`
	Role         string     `json:"role"`
	State        string     `json:"state"`
	Stage        string     `json:"stage"`
	Organization string     `json:"organization"`
	LastSignIn   *time.Time `json:"last_sign_in,omitempty"`
}

// Run lists everybody, page by page, so that a large realm takes little memory.
func (cmd listCommand) Run(c *call) error {
	h, closeAll, err := c.inRealm(cmd.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	q := admin.Query{}
	if cmd.Organization != "" {
		var o directory.Organization
		err := h.store.Read(c.ctx, func(tx *sqlstore.Tx) (err error) {
			o, err = tx.OrganizationByName(cmd.Realm, cmd.Organization)
			return err
		})
		if err != nil {
			return fmt.Errorf("organization %q: %s", cmd.Organization, words(err))
		}
		q.Organization = o.ID
	}
	all := []listed{}
	for {
		page, err := h.people.List(c.ctx, h.by(), q)
		if err != nil {
			return err
		}
		for _, p := range page.People {
			l := listed{
				ID: p.ID, Email: p.Address, Name: p.Name, Role: string(p.Role), State: string(p.State), Stage: string(p.Stage), Organization: p.Organization.Name,
			}
			if !p.LastSignIn.IsZero() {
				l.LastSignIn = &p.LastSignIn
			}
			if c.JSON {
				all = append(all, l)
			} else {
				c.say("%-36s %-14s %-9s %s, %s", l.Email, l.Role, l.State, l.Name, l.Organization)
			}
			q.AfterName, q.AfterID = p.Name, p.ID
		}
		if !page.More || len(page.People) == 0 {
			return c.print(all)
		}
	}
}

type whom struct {
	Realm  string `required:"" help:"Id of the realm."`
	Email  string `required:"" help:"Whose account."`
	Reason string `help:"Why; it stands in the trail."`
}

func (w whom) find(ctx context.Context, h *realmHouse) (p directory.Person, err error) {
	address, err := directory.Canonical(w.Email)
	if err != nil {
		return p, err
	}
	err = h.store.Read(ctx, func(tx *sqlstore.Tx) (err error) { p, err = tx.PersonByAddress(h.realm.ID, address); return err })
	if fault.Of(err, fault.NotFound) {
		return p, fmt.Errorf("nobody in realm %s has the address %s", h.realm.ID, address)
	}
	return p, err
}

type disableCommand struct{ whom }

// Run disables; sessions everywhere end within seconds.
func (cmd disableCommand) Run(c *call) error {
	return cmd.people(c, (*admin.People).Disable, "disabled")
}

type enableCommand struct{ whom }

// Run enables.
func (cmd enableCommand) Run(c *call) error { return cmd.people(c, (*admin.People).Enable, "enabled") }

func (w whom) people(c *call, do func(*admin.People, context.Context, login.By, string, string) (directory.Person, error), what string) error {
	return w.set(c, func(h *realmHouse, by login.By, p directory.Person) (directory.Person, error) {
		return do(h.people, c.ctx, by, p.ID, w.Reason)
	}, what)
}

// set does something about the account of an address, and says what it is then.
func (w whom) set(c *call, do func(*realmHouse, login.By, directory.Person) (directory.Person, error), what string) error {
	h, closeAll, err := c.inRealm(w.Realm)
	if err != nil {
		return err
	}
	defer closeAll()
	p, err := w.find(c.ctx, h)
	if err != nil {
		return err
	}
	if p, err = do(h, h.by(), p); err != nil {
		return err
	}
	c.say("%s is %s.", p.Address, what)
	return c.print(map[string]string{"id": p.ID, "email": p.Address, "role": string(p.Role), "state": string(p.State)})
}

type roleCommand struct {
	whom
	Role string `required:"" enum:"member,administrator,agent,supervisor,auditor,owner" help:"One of member, administrator; or of agent, supervisor, auditor, owner for staff."`
}

// Run gives somebody another role; they sign in again with it.
func (cmd roleCommand) Run(c *call) error {
	return cmd.set(c, func(h *realmHouse, by login.By, p directory.Person) (directory.Person, error) {
		return h.roster.SetRole(c.ctx, by, p.ID, directory.Role(cmd.Role), cmd.Reason, p.Version)
	}, "now "+cmd.Role)
}

type deleteCommand struct {
	whom
	Name string `required:"" help:"Their name, to be sure that it is them."`
}

// Run removes somebody: nothing brings them back.
func (cmd deleteCommand) Run(c *call) error {
	return cmd.set(c, func(h *realmHouse, by login.By, p directory.Person) (directory.Person, error) {
		return h.roster.Delete(c.ctx, by, p.ID, cmd.Name, cmd.Reason)
	}, "deleted")
}
