package roster_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/roster"
	"doorward/internal/sqlstore"
	"doorward/internal/token"
)

const why = "agreed with the management"

func facts(p directory.Person, change func(*roster.Facts)) roster.Facts {
	f := roster.Facts{Name: p.Name, Language: p.Language, Zone: p.Zone, Phone: p.Phone, Contact: p.Contact, Version: p.Version}
	change(&f)
	return f
}

func TestREQ_B45_SEC_H7_FactsAreEditedAndTold(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada, max, hana := d.active("Ada", "Alder Works", directory.Administrator), d.active("Max", "Alder Works", directory.Member), d.active("Hana", "Northline", directory.Agent)
		edit := func(by login.By, change func(*roster.Facts)) error {
			p, _ := d.is(max)
			_, err := d.roster.Edit(ctx, by, p.ID, facts(p, change))
			return err
		}
		if err := edit(ada, func(*roster.Facts) {}); err != nil || len(d.mails()) != 0 || len(d.events(max.Person.ID, "person.edited")) != 0 {
			t.Errorf("nothing changed, and yet: %v", err)
		}
		for field, change := range map[string]func(*roster.Facts){
			"name-missing": func(f *roster.Facts) { f.Name = " " }, "language-unknown": func(f *roster.Facts) { f.Language = "xx" },
			"zone-unknown": func(f *roster.Facts) { f.Zone = "Local" }, "phone-invalid": func(f *roster.Facts) { f.Phone = "044 55" },
			"stale": func(f *roster.Facts) { f.Version = 99 },
		} {
			if err := edit(ada, change); code(err) != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if err := edit(ada, func(f *roster.Facts) { f.Name, f.Phone, f.Contact = "Max Power", "+41 44 555 01 42", hana.Person.ID }); err != nil {
			t.Fatal(err)
		}
		p, _ := d.is(max)
		if p.Name != "Max Power" || p.Phone != "+41445550142" || !p.PhoneSince.Equal(d.now) || p.Contact != "" || p.Address != max.Person.Address {
			t.Errorf("%+v", p)
		}
		if got := d.mails(); !slices.Equal(got, []string{"details-changed max@example.com"}) {
			t.Errorf("mails: %v", got)
		}
		e := d.events(p.ID, "person.edited")
		if len(e) != 1 || e[0].Actor != ada.Person.ID || e[0].Data["was"] != "Max" || e[0].Data["phone"] != "••• 42" {
			t.Errorf("events: %+v", e)
		}
		// Staff name the contact, one of their own.
		if err := edit(hana, func(f *roster.Facts) { f.Contact = ada.Person.ID }); code(err) != "staff-unknown" {
			t.Errorf("a customer as contact: %v", err)
		}
		if err := edit(hana, func(f *roster.Facts) { f.Contact = hana.Person.ID }); err != nil {
			t.Error(err)
		}
	})
}

// A number that comes up while somebody asks for help is the impostor's way to be called back.
func TestSEC_H6_TheNumberOnFileStandsWhileARequestIsOpen(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		max, hana := d.active("Max", "Alder Works", directory.Member), d.active("Hana", "Northline", directory.Agent)
		r := helpdesk.Request{ID: id(), Realm: d.realm.ID, Number: "K7QD-94MT", Person: max.Person.ID, Organization: max.Person.Organization, Address: max.Person.Address, Why: helpdesk.FactorLost, Kinds: []authn.Kind{authn.TOTP}, State: helpdesk.Open, Created: d.now}
		d.write(func(tx *sqlstore.Tx) error { return tx.AddHelpRequest(r) })
		_, err := d.roster.Edit(context.Background(), hana, max.Person.ID, facts(max.Person, func(f *roster.Facts) { f.Phone = "+41 44 555 01 42" }))
		if code(err) != "phone-helped" {
			t.Fatal(err)
		}
		if p, _ := d.is(max); p.Phone != "" {
			t.Errorf("the number is %q", p.Phone)
		}
		d.now = d.now.Add(helpdesk.OpenFor)
		if _, err = d.roster.Edit(context.Background(), hana, max.Person.ID, facts(max.Person, func(f *roster.Facts) { f.Phone = "+41 44 555 01 42" })); err != nil {
			t.Errorf("when it is over: %v", err)
		}
	})
}

func TestREQ_B45_SEC_S2_ARoleChangesWithItsSessions(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada, ben, max := d.active("Ada", "Alder Works", directory.Administrator), d.active("Ben", "Alder Works", directory.Administrator), d.active("Max", "Alder Works", directory.Member)
		hana, susi, olga := d.active("Hana", "Northline", directory.Agent), d.active("Susi", "Northline", directory.Supervisor), d.active("Olga", "Northline", directory.Owner)
		other := d.active("Otto", "Birch Ltd", directory.Administrator)
		set := func(by login.By, whom login.By, role directory.Role) error {
			p, _ := d.is(whom)
			_, err := d.roster.SetRole(ctx, by, p.ID, role, why, p.Version)
			return err
		}
		for _, c := range []struct {
			by, whom login.By
			role     directory.Role
			want     string
		}{
			{ada, ada, directory.Member, "not-allowed"}, {max, ada, directory.Member, "not-allowed"}, {other, max, directory.Administrator, "not-found"},
			{ada, max, directory.Owner, "not-allowed"}, {ada, max, directory.Agent, "not-allowed"}, {hana, max, directory.Administrator, "role-higher"},
			{hana, susi, directory.Agent, "not-allowed"}, {susi, hana, directory.Owner, "not-allowed"}, {olga, hana, directory.Member, "not-allowed"},
			{olga, max, directory.Agent, "not-allowed"},
		} {
			if err := set(c.by, c.whom, c.role); code(err) != c.want {
				t.Errorf("%s makes %s %s: %v, want %s", c.by.Person.Name, c.whom.Person.Name, c.role, err, c.want)
			}
		}
		if _, err := d.roster.SetRole(ctx, ada, max.Person.ID, directory.Administrator, "x", 0); code(err) != "reason-short" {
			t.Error(err)
		}
		if _, err := d.roster.SetRole(ctx, ada, max.Person.ID, directory.Administrator, why, 7); code(err) != "stale" {
			t.Error(err)
		}
		if err := set(ada, max, directory.Administrator); err != nil {
			t.Fatal(err)
		}
		p, _ := d.is(max)
		var open int
		d.write(func(tx *sqlstore.Tx) error { s, err := tx.Sessions(p.Realm, p.ID); open = len(s); return err })
		if p.Role != directory.Administrator || open != 0 {
			t.Errorf("%s with %d sessions", p.Role, open)
		}
		got := d.mails()
		slices.Sort(got)
		if !slices.Equal(got, []string{"role-changed max@example.com", "role-changed-console ben@example.com"}) {
			t.Errorf("mails: %v", got)
		}
		if e := d.events(p.ID, "person.role"); len(e) != 1 || e[0].Data["was"] != "member" || e[0].Data["role"] != "administrator" || e[0].Reason != why {
			t.Errorf("%+v", e)
		}
		if err := set(susi, ben, directory.Member); err != nil {
			t.Error(err)
		}
		if err := set(olga, hana, directory.Supervisor); err != nil {
			t.Error(err)
		}
	})
}

func TestREQ_B45_SomebodyIsDeletedAndTheirHistoryStays(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada, max := d.active("Ada", "Alder Works", directory.Administrator), d.active("Max", "Alder Works", directory.Member)
		d.active("Ben", "Alder Works", directory.Administrator)
		hana, other := d.active("Hana", "Northline", directory.Agent), d.active("Otto", "Birch Ltd", directory.Administrator)
		r := helpdesk.Request{ID: id(), Realm: d.realm.ID, Number: "K7QD-94MT", Person: max.Person.ID, Organization: max.Person.Organization, Address: max.Person.Address, Why: helpdesk.FactorLost, Kinds: []authn.Kind{authn.TOTP}, State: helpdesk.Open, Created: d.now}
		d.write(func(tx *sqlstore.Tx) error {
			if err := tx.AddHelpRequest(r); err != nil {
				return err
			}
			if err := tx.PutConsent(token.Consent{Realm: d.realm.ID, Person: max.Person.ID, Client: "shop", Scopes: []string{"openid"}, At: d.now}); err != nil {
				return err
			}
			return tx.AddCredential(authn.Credential{ID: id(), Realm: d.realm.ID, Person: max.Person.ID, Kind: authn.Password, State: authn.Active, Data: []byte("x"), Created: d.now})
		})
		for _, c := range []struct {
			by          login.By
			id, typed   string
			reason, err string
		}{
			{ada, ada.Person.ID, "Ada", why, "not-allowed"}, {hana, max.Person.ID, "Max", why, "not-allowed"}, {other, max.Person.ID, "Max", why, "not-found"},
			{ada, max.Person.ID, "Maxi", why, "name-other"}, {ada, max.Person.ID, "Max", "x", "reason-short"},
		} {
			if _, err := d.roster.Delete(ctx, c.by, c.id, c.typed, c.reason); code(err) != c.err {
				t.Errorf("%s: %v, want %s", c.by.Person.Name, err, c.err)
			}
		}
		if _, there := d.is(max); !there {
			t.Fatal("gone too early")
		}
		if _, err := d.roster.Delete(ctx, ada, max.Person.ID, " max ", why); err != nil {
			t.Fatal(err)
		}
		if _, there := d.is(max); there {
			t.Fatal("still there")
		}
		d.write(func(tx *sqlstore.Tx) error {
			sessions, err := tx.Sessions(d.realm.ID, max.Person.ID)
			if err != nil || len(sessions) != 0 {
				t.Errorf("sessions: %v %v", sessions, err)
			}
			creds, err := tx.Credentials(d.realm.ID, max.Person.ID)
			if err != nil || len(creds) != 0 {
				t.Errorf("credentials: %v %v", creds, err)
			}
			consents, err := tx.Consents(d.realm.ID, max.Person.ID)
			if err != nil || len(consents) != 0 {
				t.Errorf("consents: %v %v", consents, err)
			}
			q, err := tx.HelpRequest(d.realm.ID, r.ID)
			if err != nil || q.State != helpdesk.Cancelled {
				t.Errorf("request: %+v %v", q, err)
			}
			return nil
		})
		if e := d.events(max.Person.ID, "person.deleted"); len(e) != 1 || e[0].Data["name"] != "Max" || e[0].Data["by"] != "Ada" || e[0].Organization != max.Person.Organization {
			t.Errorf("history: %+v", e)
		}
		if got := d.mails(); !slices.Contains(got, "account-deleted max@example.com") {
			t.Errorf("mails: %v", got)
		}
		d.active("Max", "Birch Ltd", directory.Member) // the address is free again
		if _, err := d.roster.Delete(ctx, ada, max.Person.ID, "Max", why); code(err) != "not-found" {
			t.Errorf("twice: %v", err)
		}
	})
}

// takeAway are the ways in which an administrator or an owner can lose what they are.
func (d *desk) takeAway() map[string]func(by, whom login.By) error {
	ctx := context.Background()
	return map[string]func(by, whom login.By) error{
		"delete": func(by, whom login.By) error {
			_, err := d.roster.Delete(ctx, by, whom.Person.ID, whom.Person.Name, why)
			return err
		},
		"disable": func(by, whom login.By) error { _, err := d.people.Disable(ctx, by, whom.Person.ID, why); return err },
		"demote": func(by, whom login.By) error {
			role := directory.Member
			if whom.Person.Role == directory.Owner {
				role = directory.Agent
			}
			p, _ := d.is(whom)
			_, err := d.roster.SetRole(ctx, by, whom.Person.ID, role, why, p.Version)
			return err
		},
	}
}

func TestREQ_B49_TheLastAdministratorAndTheLastOwnerStay(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		susi, olga := d.active("Susi", "Northline", directory.Supervisor), d.active("Olga", "Northline", directory.Owner)
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		cli := login.By{Signed: login.Signed{Person: directory.Person{ID: "cli", Realm: d.realm.ID, Organization: d.orgs["Northline"].ID, Role: directory.Owner, State: directory.Active}, Organization: d.orgs["Northline"], Realm: d.realm}}
		for name, do := range d.takeAway() {
			if err := do(susi, ada); code(err) != "last-administrator" {
				t.Errorf("%s: %v", name, err)
			}
			if err := do(cli, olga); code(err) != "last-owner" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p, there := d.is(ada); !there || p.Role != directory.Administrator || p.State != directory.Active {
			t.Errorf("%+v", p)
		}
	})
}

// Two administrators take each other's rights away, sixty-four times at once and in every way: one of them stays.
func TestREQ_B49_SEC_TRACE_TwoAdministratorsTurnOnEachOther(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		for round, role := range []directory.Role{directory.Administrator, directory.Administrator, directory.Owner} {
			org := "Alder Works"
			if role == directory.Owner {
				org = "Northline"
			} else if round == 1 {
				org = "Birch Ltd"
			}
			pair := [2]login.By{d.active("One"+org, org, role), d.active("Two"+org, org, role)}
			var ways []func(by, whom login.By) error
			for _, do := range d.takeAway() {
				ways = append(ways, do)
			}
			var wait sync.WaitGroup
			var done atomic.Int64
			start := make(chan struct{})
			for i := range 64 {
				wait.Go(func() {
					<-start
					if ways[i%len(ways)](pair[i%2], pair[1-i%2]) == nil {
						done.Add(1)
					}
				})
			}
			close(start)
			wait.Wait()
			left := 0
			for _, one := range pair {
				if p, there := d.is(one); there && p.Role == role && p.State == directory.Active {
					left++
				}
			}
			if left != 1 || done.Load() == 0 {
				t.Errorf("%s: %d of two are left, %d went through", role, left, done.Load())
			}
		}
	})
}
