package login_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// links says how many links of somebody work.
func (h *house) links(person string) (live int) {
	h.t.Helper()
	h.read(func(tx *sqlstore.Tx) error {
		live = 0
		for _, k := range []authn.Kind{authn.Invite, authn.Mail} {
			all, err := tx.OneTimes(h.realm.ID, person, k)
			if err != nil {
				return err
			}
			for _, ot := range all {
				if ot.Used.IsZero() && ot.Voided.IsZero() && h.clock.now().Before(ot.Expires) {
					live++
				}
			}
		}
		return nil
	})
	return live
}

// Sixteen people are shut out, each while three strangers ask for a link to them: whoever comes first, nobody who is shut
// out has a link that works, and nobody who asks is told that something happened.
func TestSEC_A2_TRACE_NoLinkOutlivesThatItsPersonIsShutOut(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		ada := h.by("Ada", directory.Administrator)
		people := &admin.People{Store: sqlstore.For[admin.PeopleTx](h.store), Ring: testdb.Ring(), Realms: h.realms, Clock: h.clock.now}
		for round := range 2 {
			var all []directory.Person
			token := map[string]string{}
			for i := range 16 {
				p := h.by(fmt.Sprintf("P%d-%d", round, i), directory.Member).Person
				if i%2 == 1 { // was never active: asks for the invitation again
					u := h.person(fmt.Sprintf("I%d-%d", round, i), directory.Member)
					token[u.id] = u.invite()
					h.read(func(tx *sqlstore.Tx) (err error) { p, err = tx.Person(h.realm.ID, u.id); return err })
				}
				all = append(all, p)
			}
			h.clock.advance(2 * time.Hour)
			together(runners, func(i int) bool {
				p, c := all[i/4], login.Caller{Realm: h.realm.ID, Network: fmt.Sprintf("198.51.%d.%d", round, i)}
				var err error
				switch {
				case i%4 == 3:
					for range 4 { // a new invitation moves them on
						if _, err = people.Disable(ctx, ada, p.ID, "left the company"); !fault.Of(err, fault.Conflict) {
							break
						}
					}
				case token[p.ID] != "" && i%4 == 0:
					err = h.login.Resend(ctx, c, token[p.ID])
				default:
					err = h.login.Forgot(ctx, c, p.Address)
				}
				if err != nil {
					t.Errorf("%d is told %v", i%4, err)
				}
				return true
			})
			for _, p := range all {
				h.read(func(tx *sqlstore.Tx) (err error) { p, err = tx.Person(h.realm.ID, p.ID); return err })
				if n := h.links(p.ID); n != 0 || p.State != directory.Disabled {
					t.Errorf("%s is %s and has %d links that work", p.Name, p.State, n)
				}
			}
		}
	})
}

// The same for the link of a grant, which its person asks for again where they sign in.
func TestSEC_A2_H2_TRACE_TheLinkOfAGrantDoesNotOutliveItsPersonEither(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		r := newRegrant(h)
		u := *r.u
		u.browser, u.session, u.device = "", "", ""
		h.clock.advance(time.Minute)
		v := u.proves(u.begin(), authn.Password, u.password)
		if !v.Step.Offers(authn.Mail) {
			t.Fatalf("the mailbox is not asked for: %s", describe(v))
		}
		caller := u.caller()
		var said sync.Map
		together(runners, func(i int) bool {
			if i%16 == 7 {
				for {
					if _, err := r.people.Disable(ctx, r.ada, u.id, "left the company"); !fault.Of(err, fault.Conflict) {
						return err == nil
					}
				}
			}
			said.Store(word(h.login.Remind(ctx, caller, v.Flow.ID)), true)
			return true
		})
		if n := h.links(u.id); n != 0 {
			t.Errorf("%d links work of somebody who is shut out", n)
		}
		said.Range(func(k, _ any) bool {
			switch k {
			case "<nil>", "flow-over", "not-expected", "too-many-mails":
			default:
				t.Errorf("who asks is told %v", k)
			}
			return true
		})
	})
}
