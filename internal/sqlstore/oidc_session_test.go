package sqlstore_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// Sessions end and run out; what hangs on them is found until it ended, or, offline, until its client is told.
func TestSEC_S4_AuthorizationsOfSessionsThatAreOver(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			var errs []error
			for id, v := range map[string]session.Session{
				"live": {Until: noon.Add(tick)}, "out": {Until: noon}, "ended": {Until: noon.Add(time.Hour), Ended: noon},
			} {
				v.ID, v.Realm, v.Person, v.Hash = id, "r", "p", []byte(id)
				errs = append(errs, tx.AddSession(v),
					tx.AddAuthorization(token.Authorization{ID: id + " 1", Realm: "r", Person: "p", Client: "shop", Session: id}),
					tx.AddAuthorization(token.Authorization{ID: id + " 2", Realm: "r", Person: "p", Client: "shop", Session: id, Offline: true}),
					tx.AddAuthorization(token.Authorization{ID: id + " 3", Realm: "r", Person: "p", Client: "shop", Session: id, Ended: noon}),
					tx.AddAuthorization(token.Authorization{ID: id + " 4", Realm: "wealth", Person: "p", Client: "shop", Session: id}))
			}
			errs = append(errs, tx.AddAuthorization(token.Authorization{ID: "robot", Realm: "r", Client: "robot"}))
			return errors.Join(errs...)
		})
		over := func(limit int) (ids []string) {
			for _, a := range get(t, s, func(tx *sqlstore.Tx) ([]token.Authorization, error) { return tx.AuthorizationsOver("r", noon, limit) }) {
				ids = append(ids, a.ID)
			}
			return ids
		}
		same(t, over(0), []string{"ended 1", "ended 2", "out 1", "out 2"})
		same(t, over(3), []string{"ended 1", "ended 2", "out 1"})
		put(t, s, func(tx *sqlstore.Tx) error {
			_, err := tx.EndAuthorization("r", "ended 1", "session-ended", noon)
			return errors.Join(err,
				tx.AddLogout(token.Logout{ID: "1", Realm: "r", Client: "shop", Session: "ended", Created: noon, Due: noon}),
				tx.AddLogout(token.Logout{ID: "2", Realm: "r", Client: "complaints", Session: "out", Created: noon, Due: noon}))
		})
		same(t, over(9), []string{"out 1", "out 2"})
	})
}

func TestSEC_O6_AuthorizationIsBoundToOneKey(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			return errors.Join(tx.AddAuthorization(token.Authorization{ID: "a", Realm: "r"}), tx.AddAuthorization(token.Authorization{ID: "b", Realm: "r"}))
		})
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error { return tx.BindAuthorization("r", "a", fmt.Sprint(i)) })
		one(t, winners(t, errs, fault.Conflict, "stale"))
		is := func(id string) token.Authorization {
			return get(t, stores[0], func(tx *sqlstore.Tx) (token.Authorization, error) { return tx.Authorization("r", id) })
		}
		if a := is("a"); a.JKT != fmt.Sprint(slices.Index(errs, nil)) {
			t.Errorf("bound to another's key: %+v", a)
		}
		refused(t, write(t, stores[0], func(tx *sqlstore.Tx) error { return tx.BindAuthorization("wealth", "b", "k") }), fault.Conflict, "stale")
		if b := is("b"); b.JKT != "" {
			t.Errorf("bound from another realm: %+v", b)
		}
	})
}

// The same for certificates; a key and a certificate do not stand in each other's way.
func TestSEC_O6_AuthorizationIsBoundToOneCertificate(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			return errors.Join(tx.AddAuthorization(token.Authorization{ID: "a", Realm: "r"}), tx.AddAuthorization(token.Authorization{ID: "b", Realm: "r"}),
				tx.BindAuthorization("r", "a", "key"))
		})
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error { return tx.BindCertificate("r", "a", fmt.Sprint(i)) })
		one(t, winners(t, errs, fault.Conflict, "stale"))
		is := func(id string) token.Authorization {
			return get(t, stores[0], func(tx *sqlstore.Tx) (token.Authorization, error) { return tx.Authorization("r", id) })
		}
		if a := is("a"); a.X5T != fmt.Sprint(slices.Index(errs, nil)) || a.JKT != "key" {
			t.Errorf("bound to another's certificate: %+v", a)
		}
		refused(t, write(t, stores[0], func(tx *sqlstore.Tx) error { return tx.BindCertificate("wealth", "b", "k") }), fault.Conflict, "stale")
		if b := is("b"); b.X5T != "" {
			t.Errorf("bound from another realm: %+v", b)
		}
	})
}

func TestSessionIsFoundByItsID(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			return tx.AddSession(session.Session{ID: "1", Realm: "r", Person: "p", Hash: []byte("1"), Created: noon})
		})
		is := func() session.Session {
			return get(t, s, func(tx *sqlstore.Tx) (session.Session, error) { return tx.Session("r", "1") })
		}
		if v := is(); !v.Ended.IsZero() {
			t.Errorf("ended: %+v", v)
		}
		put(t, s, func(tx *sqlstore.Tx) error { _, err := tx.EndSession("r", "p", "1", "signed-out", noon); return err })
		if v := is(); !v.Ended.Equal(noon) || v.Why != "signed-out" {
			t.Errorf("an ended session is not seen as ended: %+v", v)
		}
	})
}
