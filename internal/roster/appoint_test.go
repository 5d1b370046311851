package roster_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/roster"
)

// An agent makes nobody an administrator of a customer that is there already, neither by an invitation nor by a role; the
// first of a customer that is added with them harms nobody. Whoever may is not alone with it: the others hear of it.
func TestSEC_H3_TADM_WhoWidensTheCircleIsNoAgentAndNotSilent(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		hana, susi, olga := d.active("Hana", "Northline", directory.Agent), d.active("Susi", "Northline", directory.Supervisor), d.active("Olga", "Northline", directory.Owner)
		d.active("Oskar", "Northline", directory.Owner)
		ada, max := d.active("Ada", "Alder Works", directory.Administrator), d.active("Max", "Alder Works", directory.Member)
		for _, c := range []struct {
			by   login.By
			to   directory.Organization
			role directory.Role
			want string
			told string
		}{
			{hana, ada.Organization, directory.Administrator, "role-higher", ""},
			{hana, ada.Organization, directory.Member, "<nil>", ""},
			{susi, ada.Organization, directory.Administrator, "<nil>", "ada@example.com"},
			{ada, ada.Organization, directory.Administrator, "<nil>", ""}, // there is no other
			{olga, ada.Organization, directory.Administrator, "<nil>", "ada@example.com"},
			{olga, hana.Organization, directory.Agent, "<nil>", "oskar@example.com"},
			{susi, hana.Organization, directory.Agent, "not-allowed", ""},
		} {
			d.mails()
			in := admin.Invitation{Address: id() + "@alder.example", Name: "Nora New", Role: c.role, Organization: c.to.ID, Language: "en"}
			_, err := d.roster.People.Invite(ctx, c.by, in)
			if code(err) != c.want {
				t.Errorf("%s invites as %s: %v, want %q", c.by.Person.Name, c.role, err, c.want)
			}
			var told []string
			for _, m := range d.mails() {
				if to, is := strings.CutPrefix(m, "privileged-invited-console "); is {
					told = append(told, to)
				}
			}
			if c.told == "" && len(told) > 0 || c.told != "" && !slices.Equal(told, []string{c.told}) {
				t.Errorf("%s invites as %s: told are %v, want %q", c.by.Person.Name, c.role, told, c.told)
			}
		}
		if roles := admin.RolesToInvite(hana, ada.Organization); !slices.Equal(roles, []directory.Role{directory.Member}) {
			t.Errorf("the agent's form offers %v", roles)
		}
		// Nor by a detour: a member first and another role then, or a demotion that another node has not heard of.
		if _, err := d.roster.SetRole(ctx, hana, max.Person.ID, directory.Administrator, "they asked on the telephone", max.Person.Version); code(err) != "role-higher" {
			t.Errorf("by a role: %v", err)
		}
		susi.Session.ID = "remembered"
		if _, err := d.roster.SetRole(ctx, olga, susi.Person.ID, directory.Agent, "back to the desk again", susi.Person.Version); err != nil {
			t.Fatal(err)
		}
		if _, err := d.roster.People.Invite(ctx, susi, admin.Invitation{Address: "late@alder.example", Name: "Nora New", Role: directory.Administrator, Organization: ada.Organization.ID}); code(err) != "role-higher" {
			t.Errorf("who was a supervisor a moment ago: %v", err)
		}
		if _, err := d.roster.AddOrganization(ctx, hana, roster.About{Name: "Cedar"}, admin.Invitation{Address: "cleo@cedar.example", Name: "Cleo", Language: "en"}); err != nil {
			t.Errorf("the first administrator of a new customer: %v", err)
		}
	})
}
