package selfservice_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
)

func (h *home) states() (all []string) {
	h.t.Helper()
	h.write(func(tx *sqlstore.Tx) error {
		creds, err := tx.Credentials("shop", h.by.Person.ID)
		all = nil
		for _, c := range creds {
			all = append(all, c.Name+" "+string(c.State))
		}
		return err
	})
	slices.Sort(all)
	return all
}

// count is how many events of a type there are, and mails of a template.
func (h *home) count(event, template string) (events, mails int) {
	h.t.Helper()
	h.write(func(tx *sqlstore.Tx) error {
		events, mails = 0, 0
		all, err := tx.Events(audit.Query{Realm: "shop", Person: h.by.Person.ID, Limit: 200})
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.Type == event {
				events++
			}
		}
		sent, err := tx.Mails("shop", h.by.Person.ID, 200)
		for _, m := range sent {
			if m.Template == template {
				mails++
			}
		}
		return err
	})
	return events, mails
}

func TestSEC_H5_SuspendedAtOnceWithTheSessionsItOpened(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		ctx := context.Background()
		key := h.holds(authn.Password, "")
		phone, spare := h.holds(authn.TOTP, "Phone"), h.holds(authn.TOTP, "Spare")
		opened := func(by string) session.Session {
			se := session.Session{
				ID: id(), Realm: "shop", Person: h.by.Person.ID, Hash: []byte(id()), Created: now, Seen: now, Until: now.Add(12 * time.Hour), Idle: time.Hour,
				Evidence: []authn.Evidence{{Kind: authn.Password, Credential: key, At: now}, {Kind: authn.TOTP, Credential: by, At: now}},
			}
			h.write(func(tx *sqlstore.Tx) error { return tx.AddSession(se) })
			return se
		}
		stolen, mine := opened(phone), opened(spare)
		h.by.Session = mine
		old := h.by // a login of an hour ago will do: whoever has lost something is quick
		old.Session.Evidence = []authn.Evidence{{Kind: authn.Password, Credential: key, At: now.Add(-time.Hour)}, {Kind: authn.TOTP, Credential: spare, At: now.Add(-time.Hour)}}
		if _, err := h.self.Suspend(ctx, old, key); code(err) != "not-expected" {
			t.Errorf("a password is not lost: %v", err)
		}
		stranger := old
		stranger.Person.ID = id()
		if _, err := h.self.Suspend(ctx, stranger, phone); code(err) != "not-found" {
			t.Errorf("somebody else did it: %v", err)
		}
		own, err := h.self.Suspend(ctx, old, phone)
		if err != nil || own {
			t.Fatalf("%t %v", own, err)
		}
		if got := h.states(); !slices.Equal(got, []string{" active", "Phone suspended", "Spare active"}) {
			t.Errorf("%q", got)
		}
		h.write(func(tx *sqlstore.Tx) error {
			live, err := tx.Sessions("shop", h.by.Person.ID)
			has := func(id string) bool {
				return slices.ContainsFunc(live, func(s session.Session) bool { return s.ID == id })
			}
			if has(stolen.ID) || !has(mine.ID) {
				t.Errorf("%d sessions live", len(live))
			}
			return err
		})
		if events, mails := h.count("credential.suspended", "factor-suspended"); events != 1 || mails != 1 {
			t.Errorf("%d events, %d mails", events, mails)
		}
		// Found again: behind a fresh login.
		if err := h.self.Resume(ctx, old, phone); code(err) != "login-not-fresh" {
			t.Errorf("%v", err)
		}
		if err := h.self.Resume(ctx, h.by, spare); code(err) != "not-expected" {
			t.Errorf("%v", err)
		}
		if err := h.self.Resume(ctx, h.by, phone); err != nil || h.states()[1] != "Phone active" {
			t.Errorf("%v %q", err, h.states())
		}
		// The last ones, too, and the session that does it ends with it.
		for _, c := range []string{phone, spare} {
			if own, err = h.self.Suspend(ctx, h.by, c); err != nil {
				t.Fatal(err)
			}
		}
		if !own {
			t.Error("the page does not know that its session is over")
		}
	})
}

func TestSEC_H5_TRACE_SuspendedOnce(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		h.holds(authn.Password, "")
		phone := h.holds(authn.TOTP, "Phone")
		var wait sync.WaitGroup
		var done atomic.Int64
		for range 64 {
			wait.Go(func() {
				_, err := h.self.Suspend(context.Background(), h.by, phone)
				if err == nil {
					done.Add(1)
				} else if !fault.Of(err, fault.Conflict) {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if events, mails := h.count("credential.suspended", "factor-suspended"); done.Load() != 1 || events != 1 || mails != 1 {
			t.Errorf("%d times, %d events, %d mails", done.Load(), events, mails)
		}
	})
}
