package roster_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
)

// Somebody calls whose phone is stolen: whoever looks after them suspends it at once, with the sessions that it opened. It is
// told, it happens once however many do it, and nobody does it to who is not theirs.
func TestSEC_H5_TRACE_WhoLooksAfterSomebodySuspendsWhatTheyLost(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ctx := context.Background()
		ada, ben, hana := d.active("Ada", "Alder Works", directory.Administrator), d.active("Ben", "Birch Ltd", directory.Administrator), d.active("Hana", "Northline", directory.Agent)
		audrey, max := d.active("Audrey", "Northline", directory.Auditor), d.active("Max", "Alder Works", directory.Member)
		const why = "Phone stolen on the train"
		if _, err := d.roster.Suspend(ctx, ada, max.Person.ID, why); code(err) != "not-expected" {
			t.Errorf("nothing is held: %v", err)
		}
		opened := map[string]string{"by the phone": "phone", "by the password": "word"}
		d.write(func(tx *sqlstore.Tx) error {
			for c, kind := range map[string]authn.Kind{"word": authn.Password, "phone": authn.TOTP, "tablet": authn.TOTP, "paper": authn.Recovery} {
				if err := tx.AddCredential(authn.Credential{ID: c, Realm: max.Person.Realm, Person: max.Person.ID, Kind: kind, State: authn.Active, Name: c, Created: d.now}); err != nil {
					return err
				}
			}
			for s, c := range opened {
				if err := tx.AddSession(session.Session{ID: s, Realm: max.Person.Realm, Person: max.Person.ID, Hash: []byte(s), Created: d.now, Seen: d.now, Until: d.now.Add(time.Hour),
					Evidence: []authn.Evidence{{Kind: authn.TOTP, Credential: c, At: d.now}}}); err != nil {
					return err
				}
			}
			return nil
		})
		if _, err := d.roster.Suspend(ctx, ada, max.Person.ID, "lost"); code(err) != "reason-short" {
			t.Errorf("without a reason: %v", err)
		}
		if _, err := d.roster.Suspend(ctx, ben, max.Person.ID, why); code(err) != "not-found" {
			t.Errorf("another customer's administrator: %v", err)
		}
		if _, err := d.roster.Suspend(ctx, audrey, max.Person.ID, why); code(err) != "not-allowed" {
			t.Errorf("an auditor: %v", err)
		}
		if _, err := d.roster.Suspend(ctx, max, max.Person.ID, why); err == nil {
			t.Error("the person themselves, by the console")
		}
		d.mails()
		var done atomic.Int64
		epoch := d.store.Epoch()
		finished := make(chan struct{})
		for i := range 64 {
			go func() {
				defer func() { finished <- struct{}{} }()
				by := ada
				if i%2 == 0 {
					by = hana
				}
				switch _, err := d.roster.Suspend(ctx, by, max.Person.ID, why); code(err) {
				case "<nil>":
					done.Add(1)
				case "stale", "not-expected":
				default:
					t.Errorf("who comes later is told %v", err)
				}
			}()
		}
		for range 64 {
			<-finished
		}
		if done.Load() != 1 || d.store.Epoch() == epoch {
			t.Errorf("%d did it; whether other nodes hear: %t", done.Load(), d.store.Epoch() != epoch)
		}
		var left []string
		d.write(func(tx *sqlstore.Tx) error {
			creds, err := tx.Credentials(max.Person.Realm, max.Person.ID)
			for _, c := range creds {
				if c.State == authn.Active {
					left = append(left, c.ID)
				}
			}
			if err != nil {
				return err
			}
			live, err := tx.Sessions(max.Person.Realm, max.Person.ID)
			if len(live) != 2 || slices.ContainsFunc(live, func(s session.Session) bool { return s.ID == "by the phone" }) { // and the one of Max as an actor
				t.Errorf("sessions left: %+v", live)
			}
			return err
		})
		slices.Sort(left)
		if !slices.Equal(left, []string{"paper", "word"}) {
			t.Errorf("what can be shown still: %v", left)
		}
		if got := d.mails(); !slices.Equal(got, []string{"factor-suspended max@example.com", "factor-suspended max@example.com"}) {
			t.Errorf("told: %v", got)
		}
	})
}
