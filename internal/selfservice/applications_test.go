package selfservice_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/selfservice"
	"doorward/internal/sqlstore"
	"doorward/internal/token"
)

// allowed gives clients of the realm something of the person: the store, the operator's own, and two strangers.
func (h *home) allowed() {
	h.t.Helper()
	h.by.Realm.Relying = []directory.RelyingParty{
		{ID: "store", Name: "Northline store", Home: "https://store.example", Auth: "none", FirstParty: true, BackchannelLogoutURI: "https://store.example/logout"},
		{ID: "harbour", Name: "Harbour Logistics", Home: "https://harbour.example", Auth: "none", BackchannelLogoutURI: "https://harbour.example/logout"},
		{ID: "unused", Name: "Unused", Home: "https://unused.example", Auth: "none"},
	}
	me, ago := h.by.Person.ID, func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	auth := func(client, session string, created, seen, until time.Time, offline bool, scopes ...string) token.Authorization {
		return token.Authorization{ID: id(), Realm: "shop", Client: client, Person: me, Session: session, Scopes: scopes, Created: created, Seen: seen, Until: until, Offline: offline}
	}
	later, other := now.Add(time.Hour), h.session(now).ID
	h.write(func(tx *sqlstore.Tx) error {
		for _, a := range []token.Authorization{
			auth("store", h.by.Session.ID, ago(3), ago(2), later, false, "openid", "email"),
			auth("harbour", h.by.Session.ID, ago(5), ago(1), later, true, "openid", "orders"),
			auth("harbour", h.by.Session.ID, ago(4), ago(4), later, false, "openid"),
			auth("harbour", other, ago(4), ago(3), later, false, "openid"),
			auth("unused", h.by.Session.ID, ago(9), ago(9), ago(1), true, "openid"), // its time has run out
		} {
			if err := tx.AddAuthorization(a); err != nil {
				return err
			}
		}
		for _, c := range []token.Consent{
			{Realm: "shop", Person: me, Client: "harbour", Scopes: []string{"openid", "profile"}, At: ago(48)},
			{Realm: "shop", Person: me, Client: "gone", Scopes: []string{"openid"}, At: ago(72)},
			{Realm: "shop", Person: "somebody", Client: "unused", Scopes: []string{"openid"}, At: now},
		} {
			if err := tx.PutConsent(c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *home) applications() (names []string, all []selfservice.Application) {
	h.t.Helper()
	all, err := h.self.Applications(context.Background(), h.by)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, a := range all {
		names = append(names, a.Client)
	}
	return names, all
}

func (h *home) logouts() (all []token.Logout) {
	h.t.Helper()
	h.write(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.ClaimLogouts(now, time.Minute, 100)
		return err
	})
	return all
}

func (h *home) removals() (events, mails int) {
	h.t.Helper()
	h.write(func(tx *sqlstore.Tx) error {
		events, mails = 0, 0
		all, err := tx.Events(audit.Query{Realm: "shop", Person: h.by.Person.ID, Limit: 100})
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.Type == "client.removed" {
				events++
			}
		}
		due, err := tx.ClaimMail(now, time.Nanosecond, 100)
		for _, m := range due {
			if m.Template == "application-removed" {
				mails++
			}
		}
		return err
	})
	return events, mails
}

func TestREQ_B70_SEC_O14_ApplicationsThatKnowThePerson(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		if names, _ := h.applications(); len(names) != 0 {
			t.Errorf("to begin with: %v", names)
		}
		h.allowed()
		names, all := h.applications()
		if !slices.Equal(names, []string{"gone", "harbour", "store"}) {
			t.Fatalf("%v", names)
		}
		gone, harbour, store := all[0], all[1], all[2]
		if gone.Name != "gone" || gone.Home != "" || !gone.Used.IsZero() || gone.Away || gone.Own {
			t.Errorf("a client that the realm has no more: %+v", gone)
		}
		if harbour.Name != "Harbour Logistics" || !harbour.Since.Equal(now.Add(-48*time.Hour)) || !harbour.Used.Equal(now.Add(-time.Hour)) || !harbour.Away || harbour.Own ||
			!slices.Equal(slices.Sorted(slices.Values(harbour.Scopes)), []string{"openid", "orders", "profile"}) {
			t.Errorf("a stranger: %+v", harbour)
		}
		if !store.Own || store.Away || !store.Since.Equal(now.Add(-3*time.Hour)) || !slices.Equal(store.Scopes, []string{"openid", "email"}) {
			t.Errorf("the operator's own: %+v", store)
		}
	})
}

func TestSEC_O14_AccessIsRemoved(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		h.allowed()
		h.by.Session.Created, h.by.Session.Evidence[0].At, h.by.Session.Evidence[1].At = now.Add(-time.Hour), now.Add(-6*time.Minute), now.Add(-6*time.Minute)
		if err := h.self.RemoveApplication(context.Background(), h.by, "harbour"); !fault.Of(err, fault.Forbidden) {
			t.Fatalf("with an old sign-in: %v", err)
		}
		if names, _ := h.applications(); len(names) != 3 || len(h.logouts()) != 0 {
			t.Fatalf("refused, and yet: %v", names)
		}
		h.by.Session = h.session(now)
		for _, client := range []string{"nobody", "", "HARBOUR"} {
			if err := h.self.RemoveApplication(context.Background(), h.by, client); !fault.Of(err, fault.NotFound) {
				t.Errorf("%q: %v", client, err)
			}
		}
		if err := h.self.RemoveApplication(context.Background(), h.by, "harbour"); err != nil {
			t.Fatal(err)
		}
		if names, _ := h.applications(); !slices.Equal(names, []string{"gone", "store"}) {
			t.Errorf("left are %v", names)
		}
		told := h.logouts()
		sessions := map[string]bool{}
		for _, l := range told {
			sessions[l.Session] = l.Client == "harbour" && l.Person == h.by.Person.ID
		}
		if len(told) != 2 || len(sessions) != 2 || slices.Contains([]bool{sessions[told[0].Session], sessions[told[1].Session]}, false) {
			t.Errorf("told: %+v", told)
		}
		if events, mails := h.removals(); events != 1 || mails != 1 {
			t.Errorf("%d events, %d mails", events, mails)
		}
		h.write(func(tx *sqlstore.Tx) error { // nobody else's
			_, err := tx.Consent("shop", "somebody", "unused")
			return err
		})
	})
}

func TestSEC_O14_TRACE_ManyRemovalsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		h.allowed()
		var done sync.WaitGroup
		var removed atomic.Int64
		for range 64 {
			done.Go(func() {
				switch err := h.self.RemoveApplication(context.Background(), h.by, "harbour"); {
				case err == nil:
					removed.Add(1)
				case !fault.Of(err, fault.NotFound):
					t.Error(err)
				}
			})
		}
		done.Wait()
		told := h.logouts()
		if events, mails := h.removals(); removed.Load() != 1 || events != 1 || mails != 1 || len(told) != 2 {
			t.Errorf("%d removals, %d events, %d mails, %d told", removed.Load(), events, mails, len(told))
		}
	})
}
