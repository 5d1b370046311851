package roster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/roster"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// desk is a realm with two customers and the operator's own people.
type desk struct {
	t      *testing.T
	store  *sqlstore.Store
	roster *roster.Service
	people *admin.People
	realm  *login.Realm
	now    time.Time
	orgs   map[string]directory.Organization
}

type fixedRealm struct{ r *login.Realm }

func (f fixedRealm) Realm(string) (*login.Realm, error) { return f.r, nil }

func each(t *testing.T, test func(t *testing.T, d *desk)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r, err := directory.ParseRealm("shop.toml", realms.Shop)
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{t: t, store: s, realm: &login.Realm{Realm: r}, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), orgs: map[string]directory.Organization{}}
		if d.realm.Policies, err = authn.ParsePolicies(r.Policy); err != nil {
			t.Fatal(err)
		}
		clock := func() time.Time { return d.now }
		d.people = &admin.People{Store: sqlstore.For[admin.PeopleTx](s), Ring: testdb.Ring(), Realms: fixedRealm{d.realm}, Clock: clock}
		d.roster = &roster.Service{Store: sqlstore.For[roster.Tx](s), Ring: testdb.Ring(), Realms: fixedRealm{d.realm}, People: d.people, Clock: clock}
		d.write(func(tx *sqlstore.Tx) error { return tx.PutRealm(r) })
		for _, o := range []directory.Organization{{Name: "Alder Works"}, {Name: "Birch Ltd"}, {Name: "Northline", Staff: true}} {
			o.ID, o.Realm, o.State, o.Created = id(), r.ID, directory.Active, d.now
			d.write(func(tx *sqlstore.Tx) error { return tx.AddOrganization(o) })
			d.orgs[o.Name] = o
		}
		test(t, d)
	})
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

func (d *desk) write(fn func(*sqlstore.Tx) error) {
	d.t.Helper()
	if err := d.store.Write(context.Background(), fn); err != nil {
		d.t.Fatal(err)
	}
}

// active adds somebody who was let in before, with a session, and returns them as an actor.
func (d *desk) active(name, org string, role directory.Role) login.By {
	d.t.Helper()
	p := directory.Person{
		ID: id(), Realm: d.realm.ID, Organization: d.orgs[org].ID, Address: strings.ToLower(name) + "@example.com", Name: name,
		Role: role, State: directory.Active, Language: "en", Created: d.now, FirstActive: d.now,
	}
	s := session.Session{ID: id(), Realm: p.Realm, Person: p.ID, Hash: []byte(p.ID), Created: d.now, Seen: d.now, Until: d.now.Add(24 * time.Hour), Idle: time.Hour}
	s.Evidence = []authn.Evidence{{Kind: authn.Password, At: d.now}, {Kind: authn.TOTP, At: d.now}}
	d.write(func(tx *sqlstore.Tx) error {
		if err := tx.AddPerson(p); err != nil {
			return err
		}
		return tx.AddSession(s)
	})
	return login.By{Signed: login.Signed{Person: p, Organization: d.orgs[org], Realm: d.realm, Session: s}, Network: "192.0.2.1"}
}

// is is somebody as the database has them.
func (d *desk) is(by login.By) (p directory.Person, there bool) {
	d.t.Helper()
	d.write(func(tx *sqlstore.Tx) (err error) {
		p, err = tx.Person(by.Person.Realm, by.Person.ID)
		if there = err == nil; fault.Of(err, fault.NotFound) {
			err = nil
		}
		return err
	})
	return p, there
}

// mails says which mails went to whom since the last look: "template to".
func (d *desk) mails() (all []string) {
	for _, m := range d.letters() {
		all = append(all, m.Template+" "+m.To)
	}
	return all
}

func (d *desk) letters() (due []mail.Message) {
	d.t.Helper()
	d.write(func(tx *sqlstore.Tx) (err error) {
		if due, err = tx.ClaimMail(d.now, time.Minute, 200); err != nil {
			return err
		}
		for _, m := range due {
			m.State, m.Done = mail.Sent, d.now
			if err := tx.FinishMail(m); err != nil {
				return err
			}
		}
		return nil
	})
	return due
}

func (d *desk) events(person, kind string) (all []audit.Event) {
	d.t.Helper()
	d.write(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.Events(audit.Query{Realm: d.realm.ID, Person: person, Types: []string{kind}, Limit: 100})
		return err
	})
	return all
}

func code(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return fmt.Sprint(err)
}
