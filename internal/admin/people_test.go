package admin_test

import (
	"context"
	"fmt"
	"slices"
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
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// desk is a realm with two customers, for tests of what people do to people.
type desk struct {
	t      *testing.T
	store  *sqlstore.Store
	people *admin.People
	realm  *login.Realm
	now    time.Time
	orgs   map[string]directory.Organization
}

type fixedRealm struct{ r *login.Realm }

func (f fixedRealm) Realm(string) (*login.Realm, error) { return f.r, nil }

var deskNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func eachDesk(t *testing.T, test func(t *testing.T, d *desk)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r, err := directory.ParseRealm("shop.toml", realms.Shop)
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{t: t, store: s, realm: &login.Realm{Realm: r}, now: deskNow, orgs: map[string]directory.Organization{}}
		if d.realm.Policies, err = authn.ParsePolicies(r.Policy); err != nil {
			t.Fatal(err)
		}
		d.people = &admin.People{Store: sqlstore.For[admin.PeopleTx](s), Ring: testdb.Ring(), Realms: fixedRealm{d.realm}, Clock: func() time.Time { return d.now }}
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

// active adds somebody who was let in before and returns them as an actor.
func (d *desk) active(name, org string, role directory.Role) login.By {
	d.t.Helper()
	p := directory.Person{
		ID: id(), Realm: d.realm.ID, Organization: d.orgs[org].ID, Address: strings.ToLower(name) + "@example.com", Name: name,
		Role: role, State: directory.Active, Language: "en", Created: d.now, FirstActive: d.now,
	}
	d.write(func(tx *sqlstore.Tx) error { return tx.AddPerson(p) })
	return login.By{Signed: login.Signed{Person: p, Organization: d.orgs[org], Realm: d.realm, Session: session.Session{ID: id()}}, Network: "192.0.2.1"}
}

func (d *desk) mails() (all []mail.Message) {
	d.write(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.ClaimMail(d.now, 0, 100)
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

func TestREQ_B69_ATakenAddressSaysNothingAboutItsOwner(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		d.active("Bert", "Birch Ltd", directory.Member)
		d.active("Otto", "Northline", directory.Agent)
		own := d.active("Max", "Alder Works", directory.Member)
		for _, c := range []struct{ address, want string }{
			{"bert@example.com", "address-taken"}, {" BERT@Example.com ", "address-taken"}, {"otto@example.com", "address-taken"},
			{own.Person.Address, "person-exists"}, {"no address", "address-invalid"},
		} {
			_, err := d.people.Invite(ctx, ada, admin.Invitation{Address: c.address, Name: "Somebody New"})
			if code(err) != c.want {
				t.Errorf("%q: %v, want %s", c.address, err, c.want)
			}
			if f := fault.As(err); f != nil && (len(f.Args) > 0 || strings.Contains(err.Error(), "Birch")) {
				t.Errorf("%q: the answer tells more than it may: %v", c.address, f)
			}
		}
		// The owners of taken addresses hear of it, once a day, and not from whom.
		mails := d.mails()
		for _, m := range mails {
			if m.Template != "address-already" || strings.Contains(fmt.Sprint(m.Args), "Ada") || strings.Contains(fmt.Sprint(m.Args), "Alder") {
				t.Errorf("mail %+v", m)
			}
		}
		if len(mails) != 2 {
			t.Errorf("%d mails were written, want one to Bert and one to Otto", len(mails))
		}
	})
}

func TestREQ_B45_InviteAgainAndWithdraw(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		p, err := d.people.Invite(ctx, ada, admin.Invitation{Address: "New.Person@Example.com", Name: "  New   Person ", Language: "de"})
		if err != nil || p.Address != "new.person@example.com" || p.Name != "New Person" || p.Organization != ada.Person.Organization {
			t.Fatalf("%+v, %v", p, err)
		}
		d.now = d.now.Add(time.Hour)
		if err := d.people.Resend(ctx, ada, p.ID); err != nil {
			t.Fatal(err)
		}
		var links []authn.OneTime
		d.write(func(tx *sqlstore.Tx) (err error) {
			links, err = tx.OneTimes(d.realm.ID, p.ID, authn.Invite)
			return err
		})
		if len(links) != 2 || !links[0].Voided.IsZero() || links[1].Voided.IsZero() {
			t.Fatalf("links are %+v", links)
		}
		detail, err := d.people.Person(ctx, ada, p.ID)
		if err != nil || !detail.MayInvite || !detail.MayWithdraw || detail.Stage != directory.StageInvited || detail.Invitation.ID != links[0].ID {
			t.Fatalf("%+v, %v", detail, err)
		}
		if detail.Invitation.Hash != nil {
			t.Error("the hash of the link leaves the use case")
		}
		for _, m := range detail.Mails {
			if len(m.Args) > 0 {
				t.Error("an administrator sees what is in the invitation") // REQ D: never its secret
			}
		}
		for range 4 {
			if err := d.people.Resend(ctx, ada, p.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.people.Resend(ctx, ada, p.ID); code(err) != "too-many-invitations" {
			t.Errorf("the sixth of a day: %v", err)
		}
		if err := d.people.Withdraw(ctx, ada, p.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := d.people.Person(ctx, ada, p.ID); code(err) != "not-found" {
			t.Errorf("withdrawn, and still there: %v", err)
		}
		if n := len(d.mails()); n != 0 {
			t.Errorf("%d mails with a dead link still go out", n)
		}
		again, err := d.people.Invite(ctx, ada, admin.Invitation{Address: p.Address, Name: "New Person"})
		if err != nil || again.ID == p.ID {
			t.Errorf("invited again: %+v, %v (SEC Z-5: ids are never used twice)", again, err)
		}
	})
}

func TestREQ_B86_OtherOrganizationsAnswerLikeNothing(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		bea := d.active("Bea", "Birch Ltd", directory.Administrator)
		p, err := d.people.Invite(ctx, bea, admin.Invitation{Address: "birk@example.com", Name: "Birk"})
		if err != nil {
			t.Fatal(err)
		}
		missing := id()
		for what, do := range map[string]func(id string) error{
			"see":      func(id string) error { _, err := d.people.Person(ctx, ada, id); return err },
			"resend":   func(id string) error { return d.people.Resend(ctx, ada, id) },
			"withdraw": func(id string) error { return d.people.Withdraw(ctx, ada, id) },
			"disable":  func(id string) error { _, err := d.people.Disable(ctx, ada, id, "x"); return err },
		} {
			if theirs, nobody := do(p.ID), do(missing); code(theirs) != "not-found" || theirs.Error() != nobody.Error() {
				t.Errorf("%s: %v for theirs, %v for nobody", what, theirs, nobody)
			}
		}
		if _, err := d.people.Invite(ctx, ada, admin.Invitation{Address: "spy@example.com", Name: "Spy", Organization: d.orgs["Birch Ltd"].ID}); err == nil {
			t.Error("invited into another organization")
		}
		for _, role := range []directory.Role{directory.Agent, directory.Owner, "root"} {
			if _, err := d.people.Invite(ctx, ada, admin.Invitation{Address: "up@example.com", Name: "Up", Role: role}); err == nil {
				t.Errorf("invited a %s", role)
			}
		}
		page, err := d.people.List(ctx, ada, admin.Query{Organization: d.orgs["Birch Ltd"].ID})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.People {
			if l.Person.Organization != ada.Person.Organization {
				t.Errorf("%s of another organization is listed", l.Name)
			}
		}
		member := d.active("Max", "Alder Works", directory.Member)
		if _, err := d.people.List(ctx, member, admin.Query{}); code(err) != "not-allowed" {
			t.Errorf("a member lists people: %v", err)
		}
		for _, whose := range []string{ada.Person.ID, member.Person.ID} {
			if _, err := d.people.Person(ctx, member, whose); code(err) != "not-found" {
				t.Errorf("a member reads when %s signed in last and with what: %v", whose, err)
			}
		}
	})
}

func TestREQ_B44_TheOnlyAdministratorIsSeenAndStays(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		page, err := d.people.List(ctx, ada, admin.Query{})
		if err != nil || !page.Only {
			t.Fatalf("%+v, %v", page, err)
		}
		second := d.active("Sue", "Alder Works", directory.Administrator)
		if page, _ = d.people.List(ctx, ada, admin.Query{}); page.Only {
			t.Error("two administrators, and still the only one")
		}
		// Each disables the other at the same moment: one of them stays.
		results := make(chan error, 64)
		for i := range 64 {
			go func() {
				by, whom := ada, second
				if i%2 == 1 {
					by, whom = second, ada
				}
				_, err := d.people.Disable(ctx, by, whom.Person.ID, "race")
				results <- err
			}()
		}
		for range 64 {
			<-results
		}
		var left []directory.Person
		d.write(func(tx *sqlstore.Tx) (err error) {
			left, err = tx.Administrators(d.realm.ID, ada.Person.Organization)
			return err
		})
		if len(left) != 1 {
			t.Errorf("%d administrators are left, want 1", len(left))
		}
	})
}

func TestREQ_B81_ListingFiltersAndPages(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		for i := range 120 {
			if _, err := d.people.Invite(ctx, ada, admin.Invitation{Address: fmt.Sprintf("p%03d@example.com", i), Name: fmt.Sprintf("Person %03d", i/2)}); err != nil {
				t.Fatal(err)
			}
		}
		var seen []string
		q := admin.Query{State: directory.Invited}
		for {
			page, err := d.people.List(ctx, ada, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.People {
				seen = append(seen, p.Address)
			}
			if !page.More {
				break
			}
			last := page.People[len(page.People)-1]
			q.AfterName, q.AfterID = last.Name, last.ID
		}
		slices.Sort(seen)
		if len(seen) != 120 || len(slices.Compact(seen)) != 120 {
			t.Fatalf("%d rows over all pages, want each of 120 once", len(seen))
		}
		page, err := d.people.List(ctx, ada, admin.Query{Text: "P01"})
		if err != nil || len(page.People) != 10 {
			t.Errorf("%d found by the start of the address, want 10: %v", len(page.People), err)
		}
		if page, _ = d.people.List(ctx, ada, admin.Query{Stalled: true}); len(page.People) != 0 {
			t.Error("fresh invitations count as stalled")
		}
		d.now = d.now.Add(admin.StalledAfter + time.Second)
		if page, err = d.people.List(ctx, ada, admin.Query{Stalled: true}); len(page.People) != admin.PageSize {
			t.Errorf("%d stalled on the first page: %v", len(page.People), err)
		}
	})
}

func TestREQ_B82_TheHistorySaysWho(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		p, err := d.people.Invite(context.Background(), ada, admin.Invitation{Address: "new@example.com", Name: "New Person"})
		if err != nil {
			t.Fatal(err)
		}
		var events []audit.Event
		d.write(func(tx *sqlstore.Tx) (err error) {
			events, err = tx.Events(audit.Query{Realm: d.realm.ID, Person: p.ID, Limit: 10})
			return err
		})
		if len(events) != 2 {
			t.Fatalf("events are %+v", events)
		}
		for _, e := range events {
			if e.Actor != ada.Person.ID || e.Data["by"] != "Ada" || e.Organization != ada.Person.Organization || e.Network == "" {
				t.Errorf("%s does not say who: %+v", e.Type, e)
			}
		}
	})
}
