package admin_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

const runners = 64

// atOnce lets 64 goroutines go at the same moment.
func atOnce(do func(i int) error) []error {
	errs := make([]error, runners)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range runners {
		all.Go(func() { <-start; errs[i] = do(i) })
	}
	close(start)
	all.Wait()
	return errs
}

// got counts what came out by its code.
func got(errs []error) map[string]int {
	n := map[string]int{}
	for _, err := range errs {
		n[word(err)]++
	}
	return n
}

func only(t *testing.T, n map[string]int, may ...string) {
	t.Helper()
	for what, times := range n {
		known := false
		for _, m := range may {
			known = known || m == what
		}
		if !known {
			t.Errorf("%d times %s", times, what)
		}
	}
}

// mailed counts the letters of a template to somebody.
func (d *desk) mailed(who login.By, template string) (n int) {
	d.t.Helper()
	d.write(func(tx *sqlstore.Tx) error {
		all, err := tx.Mails(d.realm.ID, who.Person.ID, 500)
		n = 0
		for _, m := range all {
			if m.Template == template {
				n++
			}
		}
		return err
	})
	return n
}

func TestSEC_Races_OneRequestPerPersonIsOpened(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		s := d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		agent := d.active("Agent", "Northline", directory.Agent)
		ticket := d.plant(max, "", func(r *helpdesk.Request) { r.Person, r.Kinds, r.Checks = "", nil, nil })
		n := got(atOnce(func(i int) error {
			w := admin.Wish{Person: max.Person.ID, Kinds: []authn.Kind{authn.TOTP}, Reason: why, Channel: helpdesk.ByPhone}
			if i%4 == 0 {
				w.Ticket = ticket.ID
			}
			_, err := s.Open(context.Background(), agent, w)
			return err
		}))
		only(t, n, "ok", "request-open", "stale", "help-over", "too-many-requests")
		if n["ok"] == 0 {
			t.Fatalf("%v", n)
		}
		d.write(func(tx *sqlstore.Tx) error {
			live, err := tx.HelpRequestsLive(d.realm.ID, max.Person.ID)
			if len(live) != 1 {
				t.Errorf("%d requests are open, %v", len(live), n)
			}
			return err
		})
		if letters := d.mailed(max, "request-opened"); letters != n["ok"] {
			t.Errorf("%d letters about %d openings", letters, n["ok"])
		}
	})
}

// One person through many sessions gives one approval; of two needed, one is theirs.
func TestSEC_Races_OnePersonApprovesOnce(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		s := d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		r := d.plant(max, "x", func(r *helpdesk.Request) { r.Needed = 2 })
		n := got(atOnce(func(i int) error {
			by := ada
			by.Session.ID = fmt.Sprint("session ", i)
			v := int64(0)
			if i%2 == 1 { // and some who look again
				v = d.versionOf(s, r.ID)
			}
			_, err := s.Approve(context.Background(), by, r.ID, v)
			return err
		}))
		only(t, n, "ok", "stale", "approved-already")
		if now := d.request(r.ID); n["ok"] != 1 || len(now.Approvals) != 1 || now.State != helpdesk.Open {
			t.Errorf("%v: %+v", n, now)
		}
	})
}

// versionOf reads a version without failing the test from a goroutine.
func (d *desk) versionOf(s *admin.Requests, id string) (v int64) {
	_ = s.Store.Read(context.Background(), func(tx admin.RequestTx) error {
		r, err := tx.HelpRequest(d.realm.ID, id)
		v = r.Version
		return err
	})
	return v
}

// Approved and cancelled at once: the owner's cancellation always stands, and no link of a grant is left behind it.
func TestSEC_Races_CancelWinsAgainstApprove(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		s := d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		ada, eve := d.active("Ada", "Alder Works", directory.Administrator), d.active("Eve", "Alder Works", directory.Administrator)
		agent := d.active("Agent", "Northline", directory.Agent)
		r := d.plant(max, "x")
		ctx := context.Background()
		stopped := make([]error, runners)
		n := got(atOnce(func(i int) error {
			switch i % 8 {
			case 0:
				_, stopped[i] = s.Cancel(ctx, max, r.ID, "that was not me")
				return stopped[i]
			case 1:
				_, err := s.Refuse(ctx, agent, r.ID, 0, why, true)
				return err
			case 2:
				_, err := s.Check(ctx, agent, r.ID, helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "good"})
				return err
			case 3:
				_, err := s.Answer(ctx, agent, r.ID, 0, why)
				return err
			}
			by := []login.By{ada, eve}[i%2]
			_, err := s.Approve(ctx, by, r.ID, d.versionOf(s, r.ID))
			return err
		}))
		only(t, n, "ok", "stale", "help-over", "approved-already")
		for _, err := range stopped {
			if err != nil && code(err) != "help-over" {
				t.Errorf("the owner could not stop it: %v", err)
			}
		}
		now := d.request(r.ID)
		if now.State == helpdesk.Open || now.State == helpdesk.Approved {
			t.Errorf("still %s", now.State)
		}
		d.write(func(tx *sqlstore.Tx) error {
			all, err := tx.OneTimes(d.realm.ID, max.Person.ID, authn.Mail)
			for _, ot := range all {
				if ot.Voided.IsZero() {
					t.Error("a link of the grant is left")
				}
			}
			return err
		})
	})
}

// Frozen while it is approved, opened and checked: frozen it is, and nothing that was granted stays.
func TestSEC_Races_FreezingWins(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		s := d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		m := login.Notice(d.realm.Realm, max.Person, max.Person, "factor-added", d.now, "", "", map[string]string{"factor": "x", "kind": "totp"})
		d.write(func(tx *sqlstore.Tx) error { return tx.Enqueue(m) })
		token := denialToken(d, m.ID)
		r := d.plant(max, "x")
		ctx := context.Background()
		n := got(atOnce(func(i int) error {
			switch i % 4 {
			case 0:
				_, err := s.Deny(ctx, login.Caller{Realm: d.realm.ID, Network: "198.51.100.1"}, token)
				if err != nil {
					return fmt.Errorf("deny: %w", err)
				}
				return nil
			case 1:
				_, err := s.Reset(ctx, ada, admin.Wish{Person: max.Person.ID, Kinds: []authn.Kind{authn.TOTP}, Reason: why, Channel: helpdesk.InPerson})
				return err
			}
			_, err := s.Approve(ctx, ada, r.ID, d.versionOf(s, r.ID))
			return err
		}))
		only(t, n, "ok", "stale", "help-over", "approved-already", "request-open", "person-shut", "too-many-resets", "too-many-requests")
		d.write(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(d.realm.ID, max.Person.ID)
			if err != nil {
				return err
			}
			if p.State != directory.Frozen {
				t.Errorf("%s", p.State)
			}
			live, err := tx.HelpRequestsLive(d.realm.ID, max.Person.ID)
			if len(live) != 1 || live[0].Why != helpdesk.NotMe {
				t.Errorf("live: %+v", live)
			}
			return err
		})
		if letters := d.mailed(max, "account-frozen"); letters != 1 {
			t.Errorf("%d letters about it", letters)
		}
	})
}

// Disabled while 60 give them a new set-up: disabled they are, and nothing that was sent meanwhile works, not even once they
// are enabled again (SEC S-4).
func TestSEC_Races_ResetMeetsDisable(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		s := d.helps()
		ctx := context.Background()
		ada, ben := d.active("Ada", "Alder Works", directory.Administrator), d.active("Ben", "Alder Works", directory.Administrator)
		for round := range 4 {
			max := d.holding(fmt.Sprint("Max", round), "Alder Works", directory.Member)
			n := got(atOnce(func(i int) error {
				if i%16 == 8 {
					for {
						if _, err := d.people.Disable(ctx, ada, max.Person.ID, "left the company"); !is(err, "stale") {
							return err
						}
					}
				}
				_, err := s.Reset(ctx, ben, admin.Wish{Person: max.Person.ID, Kinds: []authn.Kind{authn.TOTP}, Reason: why, Channel: helpdesk.InPerson})
				return err
			}))
			only(t, n, "ok", "stale", "request-open", "person-shut", "too-many-resets", "too-many-requests")
			d.write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person(d.realm.ID, max.Person.ID)
				if err != nil {
					return err
				}
				links, err := tx.OneTimes(d.realm.ID, p.ID, authn.Mail)
				for _, ot := range links {
					if ot.Voided.IsZero() {
						t.Errorf("a link outlived the disabling: %v", n)
					}
				}
				if p.State != directory.Disabled {
					t.Errorf("%s: %v", p.State, n)
				}
				return err
			})
			d.now = d.now.Add(25 * time.Hour)
		}
	})
}

func is(err error, what string) bool { return err != nil && code(err) == what }

// An approver who is disabled or demoted while they approve: whatever comes first, the grant opens nothing without them.
func TestSEC_Races_AnApproverWhoIsDemotedMeanwhileDoesNotCount(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		s := d.helps()
		ctx := context.Background()
		boss := d.active("Boss", "Alder Works", directory.Administrator)
		type pair struct {
			ada, max login.By
			r        helpdesk.Request
		}
		var pairs []pair
		for i := range runners / 2 {
			p := pair{ada: d.active(fmt.Sprint("Ada", i), "Alder Works", directory.Administrator), max: d.holding(fmt.Sprint("Max", i), "Alder Works", directory.Member)}
			p.r = d.plant(p.max, "x")
			pairs = append(pairs, p)
		}
		n := got(atOnce(func(i int) error {
			p := pairs[i/2]
			switch {
			case i%2 == 0:
				_, err := s.Approve(ctx, p.ada, p.r.ID, 0)
				return err
			case i%4 == 1:
				_, err := d.people.Disable(ctx, boss, p.ada.Person.ID, "left")
				return err
			}
			return s.Store.Write(ctx, func(tx admin.RequestTx) error {
				who, err := tx.Person(d.realm.ID, p.ada.Person.ID)
				if err != nil {
					return err
				}
				who.Role = directory.Member
				return tx.UpdatePerson(who)
			})
		}))
		only(t, n, "ok", "stale")
		fallen := 0
		for _, p := range pairs {
			r := d.request(p.r.ID)
			var ada directory.Person
			d.write(func(tx *sqlstore.Tx) (err error) { ada, err = tx.Person(d.realm.ID, p.ada.Person.ID); return err })
			if ada.Role == directory.Administrator && ada.State == directory.Active {
				continue // the guard of the last administrator was asked by many at once, and told this one to look again
			}
			fallen++
			if _, ok := r.Grant(p.max.Person, []directory.Person{ada}); ok {
				t.Errorf("%s, now %s and %s, still grants", ada.Name, ada.Role, ada.State)
			}
		}
		if fallen < 8 {
			t.Errorf("only %d fell: little was tried", fallen)
		}
	})
}

func denialToken(d *desk, message string) string {
	return mail.DenialToken(testdb.Ring(), d.realm.ID, message)
}
