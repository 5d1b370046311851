package sqlstore_test

import (
	"errors"
	"testing"
	"time"

	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

func TestAuthorizationsRememberTheirLastUse(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(tx.AddAuthorization(token.Authorization{ID: "a", Realm: "r", Person: "p", Client: "shop"}),
				tx.AddAuthorization(token.Authorization{ID: "b", Realm: "r", Person: "p", Client: "shop"}))
		})
		touch := func(realm string, at time.Time) {
			put(t, s, func(tx *sqlstore.Tx) error { return tx.TouchAuthorization(realm, "a", at) })
		}
		seen := func(id string) time.Time {
			return get(t, s, func(tx *sqlstore.Tx) (token.Authorization, error) { return tx.Authorization("r", id) }).Seen
		}
		touch("other", noon)
		if !seen("a").IsZero() {
			t.Errorf("another realm's touch: %s", seen("a"))
		}
		touch("r", noon)
		touch("r", noon.Add(-time.Hour))
		if !seen("a").Equal(noon) || !seen("b").IsZero() {
			t.Errorf("seen %s, the other %s", seen("a"), seen("b"))
		}
	})
}

// A client that was told while its access was removed, and was allowed anew in the same session, is told again when that
// session ends (SEC O-11).
func TestSEC_O11_ALogoutBeforeItBeganDoesNotCount(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(
				tx.AddSession(session.Session{ID: "s", Realm: "r", Person: "p", Hash: []byte("s"), Created: noon.Add(-time.Hour), Seen: noon, Until: noon.Add(time.Minute)}),
				tx.AddLogout(token.Logout{ID: "l", Realm: "r", Client: "shop", Person: "p", Session: "s", Created: noon.Add(-time.Minute), Due: noon}),
				tx.AddLogout(token.Logout{ID: "m", Realm: "r", Client: "stock", Person: "p", Session: "s", Created: noon.Add(-time.Minute), Due: noon}),
				tx.AddAuthorization(token.Authorization{ID: "other", Realm: "r", Person: "p", Client: "stock", Session: "s", Offline: true, Created: noon.Add(-time.Hour)}),
				tx.AddAuthorization(token.Authorization{ID: "before", Realm: "r", Person: "p", Client: "shop", Session: "s", Offline: true, Created: noon.Add(-time.Hour)}),
				tx.AddAuthorization(token.Authorization{ID: "after", Realm: "r", Person: "p", Client: "shop", Session: "s", Offline: true, Created: noon}))
		})
		tell := get(t, s, func(tx *sqlstore.Tx) ([]token.Logout, error) { return tx.ClientsOfSessions("r", []string{"s"}) })
		if len(tell) != 1 || tell[0].Client != "shop" {
			t.Errorf("to be told: %+v", tell)
		}
	})
}
