package roster_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/roster"
	"doorward/internal/sqlstore"
)

func TestREQ_B44_B48_OrganizationsAreListedByWhoCouldHelp(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		hana, audrey, ada := d.active("Hana", "Northline", directory.Agent), d.active("Audrey", "Northline", directory.Auditor), d.active("Ada", "Alder Works", directory.Administrator)
		names := func(by login.By, q roster.CustomerQuery) (all []string) {
			page, err := d.roster.Organizations(ctx, by, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page.List {
				all = append(all, c.Name)
			}
			return all
		}
		for _, c := range []struct {
			q    roster.CustomerQuery
			want []string
		}{
			{roster.CustomerQuery{}, []string{"Alder Works", "Birch Ltd"}}, {roster.CustomerQuery{Text: "bI"}, []string{"Birch Ltd"}}, {roster.CustomerQuery{Text: "north"}, nil},
			{roster.CustomerQuery{Administrators: directory.NoAdministrator}, []string{"Birch Ltd"}},
			{roster.CustomerQuery{Administrators: directory.OneAdministrator}, []string{"Alder Works"}},
			{roster.CustomerQuery{AfterName: "Alder Works", AfterID: d.orgs["Alder Works"].ID}, []string{"Birch Ltd"}},
		} {
			if got := names(hana, c.q); !slices.Equal(got, c.want) {
				t.Errorf("%+v: %v, want %v", c.q, got, c.want)
			}
		}
		d.active("Ben", "Alder Works", directory.Administrator)
		if got := names(audrey, roster.CustomerQuery{Administrators: directory.OneAdministrator}); got != nil {
			t.Errorf("with two: %v", got)
		}
		if _, err := d.roster.Organizations(ctx, ada, roster.CustomerQuery{}); code(err) != "not-allowed" {
			t.Errorf("a customer lists organizations: %v", err)
		}
		for _, id := range []string{d.orgs["Alder Works"].ID, d.orgs["Birch Ltd"].ID, d.orgs["Northline"].ID, "none"} {
			if _, err := d.roster.Organization(ctx, ada, id); code(err) != "not-found" {
				t.Errorf("a customer looks at %s: %v", id, err)
			}
		}
		if _, err := d.roster.Organization(ctx, hana, d.orgs["Northline"].ID); code(err) != "not-found" {
			t.Errorf("the realm's own: %v", err)
		}
	})
}

func TestREQ_B45_AnOrganizationComesWithItsAdministratorOrNotAtAll(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		hana, audrey, ada := d.active("Hana", "Northline", directory.Agent), d.active("Audrey", "Northline", directory.Auditor), d.active("Ada", "Alder Works", directory.Administrator)
		first := func(address string) admin.Invitation {
			return admin.Invitation{Address: address, Name: "Cleo", Language: "en"}
		}
		for _, c := range []struct {
			by    login.By
			about roster.About
			first admin.Invitation
			want  string
		}{
			{audrey, roster.About{Name: "Cedar"}, first("cleo@cedar.example"), "not-allowed"}, {ada, roster.About{Name: "Cedar"}, first("cleo@cedar.example"), "not-allowed"},
			{hana, roster.About{Name: " "}, first("cleo@cedar.example"), "name-missing"}, {hana, roster.About{Name: "alder works"}, first("cleo@cedar.example"), "organization-exists"},
			{hana, roster.About{Name: "Cedar", Manager: ada.Person.ID}, first("cleo@cedar.example"), "staff-unknown"}, {hana, roster.About{Name: "Cedar", Phone: "55"}, first("cleo@cedar.example"), "phone-invalid"},
			{hana, roster.About{Name: "Cedar"}, first("nobody"), "address-invalid"}, {hana, roster.About{Name: "Cedar"}, first("ada@example.com"), "person-exists"},
		} {
			if _, err := d.roster.AddOrganization(ctx, c.by, c.about, c.first); code(err) != c.want {
				t.Errorf("%+v: %v, want %s", c.about, err, c.want)
			}
		}
		if page, _ := d.roster.Organizations(ctx, hana, roster.CustomerQuery{}); len(page.List) != 2 {
			t.Fatalf("something is left of what failed: %+v", page.List)
		}
		o, err := d.roster.AddOrganization(ctx, hana, roster.About{Name: "Cedar", Manager: hana.Person.ID}, first("cleo@cedar.example"))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.mails(); !slices.Contains(got, "invitation cleo@cedar.example") {
			t.Errorf("mails: %v", got)
		}
		c, err := d.roster.Organization(ctx, audrey, o.ID)
		if err != nil || c.Looks.ID != hana.Person.ID || c.MayChange || len(c.Timeline) != 2 {
			t.Errorf("%+v %v", c, err)
		}
		if _, err = d.roster.ChangeOrganization(ctx, hana, o.ID, roster.About{Name: "Birch ltd", Version: c.Version}); code(err) != "organization-exists" {
			t.Error(err)
		}
		if _, err = d.roster.ChangeOrganization(ctx, hana, o.ID, roster.About{Name: "Cedar AG", Version: c.Version + 1}); code(err) != "stale" {
			t.Error(err)
		}
		if _, err = d.roster.ChangeOrganization(ctx, hana, o.ID, roster.About{Name: "Cedar AG", Phone: "+41 61 555 02 00", Version: c.Version}); err != nil {
			t.Error(err)
		}
	})
}

func TestREQ_B45_AWholeOrganizationIsShutOutByThoseAbove(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada, hana, susi := d.active("Ada", "Alder Works", directory.Administrator), d.active("Hana", "Northline", directory.Agent), d.active("Susi", "Northline", directory.Supervisor)
		alder := d.orgs["Alder Works"].ID
		for _, c := range []struct {
			by   login.By
			want string
		}{{ada, "not-found"}, {hana, "not-allowed"}} {
			if _, err := d.roster.StandOrganization(ctx, c.by, alder, false, why); code(err) != c.want {
				t.Errorf("%s: %v", c.by.Person.Name, err)
			}
		}
		if _, err := d.roster.StandOrganization(ctx, susi, d.orgs["Northline"].ID, false, why); code(err) != "not-found" {
			t.Errorf("the realm's own people are shut out: %v", err)
		}
		var wait sync.WaitGroup
		var wrong atomic.Int64
		for range 64 {
			wait.Go(func() {
				if _, err := d.roster.StandOrganization(ctx, susi, alder, false, why); err != nil && code(err) != "stale" {
					wrong.Add(1)
				}
			})
		}
		wait.Wait()
		var o directory.Organization
		var events int
		d.write(func(tx *sqlstore.Tx) (err error) { o, err = tx.Organization(d.realm.ID, alder); return err })
		for _, e := range d.events("", "organization.disabled") {
			if e.Organization == alder {
				events++
			}
		}
		if o.State != directory.Disabled || events != 1 || wrong.Load() != 0 {
			t.Errorf("%s, %d events, %d other errors", o.State, events, wrong.Load())
		}
		if got := d.mails(); !slices.Equal(got, []string{"organization-disabled ada@example.com"}) {
			t.Errorf("mails: %v", got)
		}
		if _, err := d.roster.StandOrganization(ctx, susi, alder, true, why); err != nil {
			t.Error(err)
		}
	})
}

// With nobody to help, the account manager hears of a request, and reads no address in the mail.
func TestREQ_B48b_SEC_H6_TheAccountManagerIsTheFirstContact(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		max, hana := d.active("Max", "Alder Works", directory.Member), d.active("Hana", "Northline", directory.Agent)
		d.write(func(tx *sqlstore.Tx) error {
			o, err := tx.Organization(d.realm.ID, max.Person.Organization)
			if err != nil {
				return err
			}
			o.Manager = hana.Person.ID
			return tx.UpdateOrganization(o)
		})
		requests := &admin.Requests{Store: sqlstore.For[admin.RequestTx](d.store), Ring: d.roster.Ring, Realms: fixedRealm{d.realm}, Clock: d.roster.Clock}
		tasks := func() (all []string) {
			for _, m := range d.letters() {
				if m.Template == "request-task" {
					all = append(all, m.To+" "+m.Args["address"])
				}
			}
			return all
		}
		ask := func() []string {
			t.Helper()
			if _, err := requests.AskFor(context.Background(), max, admin.Form{Why: "no-administrator"}); err != nil {
				t.Fatal(err)
			}
			return tasks()
		}
		if got := ask(); !slices.Equal(got, []string{"hana@example.com m•••@e•••"}) {
			t.Errorf("%q", got)
		}
	})
}
