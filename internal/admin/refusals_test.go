package admin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
)

// What an administrator or agent may not, or may no more, is refused by the use case itself, whatever page they come from.
func TestREQ_B40_SEC_Z2_WhatIsOverOrNotTheirs(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		ada, max := d.active("Ada", "Alder Works", directory.Administrator), d.holding("Max", "Alder Works", directory.Member)
		agent := d.active("Agent", "Northline", directory.Agent)
		gone := d.active("Gone", "Alder Works", directory.Administrator)
		shut := d.holding("Shut", "Alder Works", directory.Member)
		never := directory.Person{
			ID: id(), Realm: d.realm.ID, Organization: d.orgs["Alder Works"].ID, Address: "never@example.com", Name: "Never", Role: directory.Member,
			State: directory.Disabled, Language: "en", Created: d.now,
		}
		d.write(func(tx *sqlstore.Tx) error {
			p := shut.Person
			p.State = directory.Frozen
			if err := tx.UpdatePerson(p); err != nil {
				return err
			}
			if err := tx.AddPerson(never); err != nil {
				return err
			}
			return tx.RemovePerson(gone.Person)
		})
		invite := func(in admin.Invitation) error {
			_, err := d.people.Invite(ctx, ada, in)
			return err
		}
		end := func(by login.By, reason string) error {
			_, err := d.people.EndSessions(ctx, by, max.Person.ID, reason)
			return err
		}
		closed := d.plant(max, "x", func(r *helpdesk.Request) { r.Person, r.Kinds, r.State, r.Closed = "", nil, helpdesk.Refused, d.now })
		old := d.plant(shut, "x")
		bare := d.plant(d.holding("Bare", "Alder Works", directory.Member), "x", func(r *helpdesk.Request) { r.Kinds = nil })
		for _, c := range []struct {
			what string
			err  error
			want string
		}{
			{"a language that nobody speaks here", invite(admin.Invitation{Address: "new@alder.example", Name: "New", Language: "xx"}), "language-unknown"},
			{"a long name", invite(admin.Invitation{Address: "new@alder.example", Name: strings.Repeat("x", 500), Language: "en"}), "name-too-long"},
			{"an invitation to who is in, again", d.people.Resend(ctx, ada, max.Person.ID), "already-active"},
			{"an invitation to who was shut out before they were in", d.people.Resend(ctx, ada, never.ID), "already-active"},
			{"an invitation of who is in, withdrawn", d.people.Withdraw(ctx, ada, max.Person.ID), "already-active"},
			{"sessions, for no reason", end(ada, " "), "reason-short"}, {"sessions, by who is deleted", end(gone, why), "not-allowed"},
			{"a ticket that is closed", func() error {
				_, err := s.Open(ctx, agent, admin.Wish{Person: max.Person.ID, Kinds: []authn.Kind{authn.TOTP}, Reason: why, Channel: helpdesk.ByPhone, Ticket: closed.ID})
				return err
			}(), "help-over"},
			{"a yes to nothing yet", func() error { _, err := s.Approve(ctx, ada, bare.ID, 0); return err }(), "request-nobody"},
			{"a count, for a member", func() error { _, err := s.Waiting(ctx, max); return err }(), "not-allowed"},
			{"alone, though frozen", func() error { _, err := s.Alone(ctx, shut, authn.TOTP); return err }(), "person-shut"},
		} {
			if code(c.err) != c.want {
				t.Errorf("%s: %v, want %s", c.what, c.err, c.want)
			}
		}
		if got := d.mails(); len(got) != 0 {
			t.Errorf("%d mails about what was refused", len(got))
		}
		d.now = d.now.Add(helpdesk.OpenFor + time.Hour)
		if _, err := s.Begin(ctx, agent, old.ID); code(err) != "help-over" {
			t.Errorf("a check begins after a fortnight: %v", err)
		}

		// Whoever is signed in asks no more often than the form lets anybody ask about them.
		busy, asked := d.holding("Busy", "Alder Works", directory.Member), 0
		for range 20 {
			if _, err := s.AskFor(ctx, busy, admin.Form{Why: helpdesk.Blocked}); err != nil {
				if code(err) != "too-many-requests" && code(err) != "too-many-attempts" {
					t.Errorf("after %d: %v", asked, err)
				}
				break
			}
			asked++
			d.forget()
		}
		if asked < 2 || asked > 10 {
			t.Errorf("%d requests of one person", asked)
		}
	})
}
