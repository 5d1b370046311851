package admin_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"doorward/internal/admin"
	"doorward/internal/apply"
	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// office is a realm with one customer and the people use cases.
type office struct {
	people *admin.People
	realm  *login.Realm
	staff  directory.Organization
	org    directory.Organization
	store  *sqlstore.Store
}

func newOffice(t *testing.T, s *sqlstore.Store) *office {
	t.Helper()
	a := &apply.Realms{Store: sqlstore.For[apply.RealmTx](s), Clock: func() time.Time { return deskNow }}
	if _, err := a.Apply(t.Context(), "shop.toml", realms.Shop, false); err != nil {
		t.Fatal(err)
	}
	cache, err := apply.NewCache(t.Context(), sqlstore.For[apply.CacheTx](s), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d := &office{store: s, people: &admin.People{Store: sqlstore.For[admin.PeopleTx](s), Ring: testdb.Ring(), Realms: cache, Clock: a.Clock}}
	if d.realm, err = cache.Realm("shop"); err != nil {
		t.Fatal(err)
	}
	d.org = directory.Organization{ID: uuid.Must(uuid.NewV7()).String(), Realm: "shop", Name: "Alder", State: directory.Active, Created: deskNow}
	err = s.Write(t.Context(), func(tx *sqlstore.Tx) error {
		if d.staff, err = tx.StaffOrganization("shop"); err != nil {
			return err
		}
		return tx.AddOrganization(d.org)
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *office) add(t *testing.T, name string, role directory.Role) directory.Person {
	t.Helper()
	p := directory.Person{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: "shop", Organization: d.org.ID, Address: name + "@alder.example", Name: name, Role: role,
		State: directory.Active, Language: "en", Created: deskNow, FirstActive: deskNow,
	}
	if err := d.store.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.AddPerson(p) }); err != nil {
		t.Fatal(err)
	}
	return p
}

func (d *office) as(p directory.Person) login.By {
	return login.By{Signed: login.Signed{Realm: d.realm, Organization: d.org, Person: p}}
}

func (d *office) state(t *testing.T, p directory.Person) directory.PersonState {
	t.Helper()
	err := d.store.Read(t.Context(), func(tx *sqlstore.Tx) (err error) { p, err = tx.Person("shop", p.ID); return err })
	if err != nil {
		t.Fatal(err)
	}
	return p.State
}

func TestDisableAndEnable(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		d := newOffice(t, s)
		mara, jonas := d.add(t, "mara", directory.Administrator), d.add(t, "jonas", directory.Member)
		cli := admin.CommandLine(d.realm, d.staff)
		for _, c := range []struct {
			name string
			by   login.By
			whom directory.Person
			want string
		}{
			{"a member disables", d.as(jonas), mara, "not-allowed"},
			{"oneself", d.as(mara), mara, "not-allowed"},
			{"the only administrator", cli, mara, "last-administrator"},
			{"an administrator's colleague", d.as(mara), jonas, ""},
			{"twice", d.as(mara), jonas, ""},
			{"somebody who is not there", cli, directory.Person{ID: uuid.NewString()}, "not-found"},
		} {
			_, err := d.people.Disable(t.Context(), c.by, c.whom.ID, "why")
			code := ""
			if f := fault.As(err); f != nil {
				code = f.Code
			}
			if code != c.want || err != nil && code == "" {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
		}
		if got := d.state(t, jonas); got != directory.Disabled {
			t.Errorf("jonas is %s", got)
		}
		var events []audit.Event
		err := s.Read(t.Context(), func(tx *sqlstore.Tx) (err error) {
			events, err = tx.Events(audit.Query{Realm: "shop", Limit: 100})
			return err
		})
		if err != nil || len(events) != 2 || events[0].Type != "person.disabled" || events[0].Reason != "why" {
			t.Errorf("%+v", events)
		}
		if _, err := d.people.Enable(t.Context(), cli, jonas.ID, ""); err != nil || d.state(t, jonas) != directory.Active {
			t.Errorf("%v, %s", err, d.state(t, jonas))
		}
	})
}

// Two administrators who disable each other at once, many times over: one always remains.
func TestTheLastAdministratorCannotVanish(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		d := newOffice(t, s)
		mara, lea := d.add(t, "mara", directory.Administrator), d.add(t, "lea", directory.Administrator)
		var all sync.WaitGroup
		for i := range 64 {
			by, whom := mara, lea
			if i%2 == 1 {
				by, whom = lea, mara
			}
			all.Go(func() {
				_, err := d.people.Disable(context.WithoutCancel(t.Context()), d.as(by), whom.ID, "")
				if f := fault.As(err); err != nil && (f == nil || f.Code != "last-administrator" && f.Code != "stale" && f.Kind != fault.Unavailable) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		active := 0
		for _, p := range []directory.Person{mara, lea} {
			if d.state(t, p) == directory.Active {
				active++
			}
		}
		if active != 1 {
			t.Errorf("%d administrators are left", active)
		}
	})
}
