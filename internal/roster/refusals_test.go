package roster_test

import (
	"context"
	"strings"
	"testing"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/roster"
	"doorward/internal/sqlstore"
)

// Who may not is refused by the use case, whatever page they come from, and with everything else right; nothing has changed.
func TestREQ_B45_SEC_Z2_WhoMayNotChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada, max, eve := d.active("Ada", "Alder Works", directory.Administrator), d.active("Max", "Alder Works", directory.Member), d.active("Eve", "Alder Works", directory.Member)
		otto := d.active("Otto", "Birch Ltd", directory.Administrator)
		hana, audrey, susi := d.active("Hana", "Northline", directory.Agent), d.active("Audrey", "Northline", directory.Auditor), d.active("Susi", "Northline", directory.Supervisor)
		gone := d.active("Gone", "Northline", directory.Supervisor)
		d.write(func(tx *sqlstore.Tx) error { // on another node, a moment ago
			p := gone.Person
			p.Role = directory.Auditor
			return tx.UpdatePerson(p)
		})
		alder := d.orgs["Alder Works"].ID
		edit := func(by login.By) error {
			_, err := d.roster.Edit(ctx, by, max.Person.ID, facts(max.Person, func(f *roster.Facts) { f.Name = "Taken Over" }))
			return err
		}
		change := func(by login.By, how func(*roster.About)) error {
			in := roster.About{Name: "Alder Holding"}
			how(&in)
			_, err := d.roster.ChangeOrganization(ctx, by, alder, in)
			return err
		}
		right := func(*roster.About) {}
		stand := func(by login.By, id, reason string) error {
			_, err := d.roster.StandOrganization(ctx, by, id, false, reason)
			return err
		}
		add := func(by login.By) error {
			_, err := d.roster.AddOrganization(ctx, by, roster.About{Name: "Cedar"}, admin.Invitation{Address: "cleo@cedar.example", Name: "Cleo", Language: "en"})
			return err
		}
		staff := func(by login.By) error { _, err := d.roster.Staff(ctx, by); return err }
		for _, c := range []struct {
			what string
			err  error
			want string
		}{
			{"a colleague edits", edit(eve), "not-found"}, {"another administrator edits", edit(otto), "not-found"}, {"an auditor edits", edit(audrey), "not-allowed"},
			{"a demoted supervisor edits", edit(gone), "not-allowed"},
			{"an administrator changes their organization", change(ada, right), "not-found"}, {"an auditor changes one", change(audrey, right), "not-allowed"},
			{"a demoted supervisor changes one", change(gone, right), "not-allowed"}, {"nothing as a name", change(hana, func(a *roster.About) { a.Name = "" }), "name-missing"},
			{"a long name", change(hana, func(a *roster.About) { a.Name = strings.Repeat("x", 500) }), "name-too-long"},
			{"a member as account manager", change(hana, func(a *roster.About) { a.Manager = max.Person.ID }), "staff-unknown"},
			{"an agent shuts one out", stand(hana, alder, why), "not-allowed"}, {"an administrator shuts theirs out", stand(ada, alder, why), "not-found"},
			{"a demoted supervisor shuts one out", stand(gone, alder, why), "not-allowed"}, {"for no reason", stand(susi, alder, " "), "reason-short"},
			{"the operator's own", stand(susi, d.orgs["Northline"].ID, why), "not-found"},
			{"an administrator adds one", add(ada), "not-allowed"}, {"a demoted supervisor adds one", add(gone), "not-allowed"},
			{"an administrator asks whether there is a Birch", func() error {
				_, err := d.roster.AddOrganization(ctx, ada, roster.About{Name: "Birch Ltd"}, admin.Invitation{Address: "otto@example.com", Name: " ", Language: "en"})
				return err
			}(), "not-allowed"},
			{"an administrator lists the staff", staff(ada), "not-allowed"}, {"a member lists the staff", staff(max), "not-allowed"},
		} {
			if code(c.err) != c.want {
				t.Errorf("%s: %v, want %s", c.what, c.err, c.want)
			}
		}
		if p, _ := d.is(max); p.Name != "Max" || p.Version != max.Person.Version {
			t.Errorf("%+v", p)
		}
		page, err := d.roster.Organizations(ctx, hana, roster.CustomerQuery{})
		if err != nil || len(page.List) != 2 {
			t.Errorf("%+v %v", page.List, err)
		}
		if got, err := d.roster.Organization(ctx, hana, alder); err != nil || got.Name != "Alder Works" || got.State != directory.Active || got.Manager != "" {
			t.Errorf("%+v %v", got, err)
		}
		if got := d.mails(); len(got) != 0 {
			t.Errorf("mails about what was refused: %v", got)
		}
	})
}
