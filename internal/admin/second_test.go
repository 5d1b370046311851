package admin_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
)

// An administrator can invite a second account of their own and make it one, too. So where somebody is, or was lately, more than
// a member, no administrator is the second: not after another one, and not after the desk. For members one may be.
func TestSEC_H3_TADM_AnAdministratorIsNoSecondForWhoLooksAfterOthers(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		ada, eve := d.active("Ada", "Alder Works", directory.Administrator), d.active("Eve", "Alder Works", directory.Administrator)
		agent, super := d.active("Agent", "Northline", directory.Agent), d.active("Super", "Northline", directory.Supervisor)
		bea, carl := d.holding("Bea", "Alder Works", directory.Administrator), d.holding("Carl", "Alder Works", directory.Administrator)
		was, max := d.holding("Was", "Alder Works", directory.Member), d.holding("Max", "Alder Works", directory.Member)
		d.write(func(tx *sqlstore.Tx) error { // an administrator until yesterday
			return tx.Audit(ada.EventAbout(was.Person, d.now.Add(-24*time.Hour), "person.role", why, map[string]string{"was": "administrator", "role": "member"}))
		})
		everything := func(r *helpdesk.Request) { r.Kinds, r.Everything = []authn.Kind{authn.Password, authn.TOTP}, true }
		for _, c := range []struct {
			name        string
			whom, first login.By
			change      func(*helpdesk.Request)
			want        string
		}{
			{"an administrator, by two others", bea, ada, func(*helpdesk.Request) {}, "second-staff"},
			{"an administrator, by the desk and another", carl, agent, func(*helpdesk.Request) {}, "second-staff"},
			{"who was one lately", was, ada, func(*helpdesk.Request) {}, "second-staff"},
			{"a member, where it takes two", max, ada, everything, "ok"},
		} {
			r, err := s.Approve(ctx, c.first, d.plant(c.whom, "somebody", c.change).ID, 0)
			if err != nil || r.State != helpdesk.Open || r.Needed != 2 {
				t.Errorf("%s: %s, %d needed, %v", c.name, r.State, r.Needed, err)
				continue
			}
			asked := slices.Sorted(func(yield func(string) bool) {
				for _, m := range d.mails() {
					if m.Template == "request-second" && !yield(m.Person) {
						return
					}
				}
			})
			if is := slices.Contains(asked, eve.Person.ID); is != (c.want == "ok") || !slices.Contains(asked, super.Person.ID) {
				t.Errorf("%s: asked to be the second: %v", c.name, asked)
			}
			look, err := s.Look(ctx, eve, r.ID)
			if err != nil || word(look.Approving) != c.want {
				t.Errorf("%s: the page says %v, %v", c.name, look.Approving, err)
			}
			if _, err := s.Approve(ctx, eve, r.ID, r.Version); word(err) != c.want {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			if c.want == "ok" {
				continue
			}
			if now := d.request(r.ID); now.State != helpdesk.Open || len(now.Approvals) != 1 {
				t.Errorf("%s: %s with %d", c.name, now.State, len(now.Approvals))
			}
			if r, err = s.Approve(ctx, super, r.ID, r.Version); err != nil || r.State != helpdesk.Approved {
				t.Errorf("%s, and a supervisor: %s, %v", c.name, r.State, err)
			}
		}
	})
}

// An owner can invite a second account of their own, too. Neither of the two who approve invited the other, or gave them their
// role, within a week: by then whoever else decides has long read the mail about it. A week later it counts for nothing.
func TestSEC_H3_TOPS_NobodyIsSecondToWhoRaisedThem(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		olga, oskar := d.active("Olga", "Northline", directory.Owner), d.active("Oskar", "Northline", directory.Owner)
		puppet, lifted := d.active("Puppet", "Northline", directory.Owner), d.active("Lifted", "Northline", directory.Owner)
		event := func(by, whom login.By, kind string, ago time.Duration) {
			d.write(func(tx *sqlstore.Tx) error {
				return tx.Audit(by.EventAbout(whom.Person, d.now.Add(-ago), kind, why, map[string]string{"was": "agent", "role": "owner"}))
			})
		}
		event(olga, puppet, "person.added", helpdesk.Lately-time.Second)
		event(olga, lifted, "person.role", helpdesk.Lately-time.Second)
		event(olga, oskar, "person.added", helpdesk.Lately)
		for _, c := range []struct {
			name          string
			first, second login.By
			want          string
		}{
			{"invited by the first", olga, puppet, "second-raised"},
			{"given a role by the first", olga, lifted, "second-raised"},
			{"who invited the first", puppet, olga, "second-raised"},
			{"invited by the first a week ago", olga, oskar, "ok"},
			{"invited by the same third", puppet, lifted, "ok"},
		} {
			whom := d.holding("Whom"+id(), "Northline", directory.Owner)
			r, err := s.Approve(ctx, c.first, d.plant(whom, "somebody").ID, 0)
			if err != nil || r.State != helpdesk.Open || r.Needed != 2 {
				t.Errorf("%s: %s, %d needed, %v", c.name, r.State, r.Needed, err)
				continue
			}
			if look, err := s.Look(ctx, c.second, r.ID); err != nil || word(look.Approving) != c.want {
				t.Errorf("%s: the page says %v, %v", c.name, look.Approving, err)
			}
			if _, err := s.Approve(ctx, c.second, r.ID, r.Version); word(err) != c.want {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			if now := d.request(r.ID); (now.State == helpdesk.Approved) != (c.want == "ok") {
				t.Errorf("%s: %s with %d", c.name, now.State, len(now.Approvals))
			}
		}
	})
}
