package sqlstore_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// Sessions end and run out, and each is handed out once; then nothing hangs on it any more.
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
			errs = append(errs, tx.AddAuthorization(token.Authorization{ID: "robot", Realm: "r", Client: "robot", Session: "out"}),
				tx.AddSession(session.Session{ID: "far", Realm: "wealth", Hash: []byte("far"), Ended: noon}))
			return errors.Join(errs...)
		})
		settle := func(limit int) (ids []string) {
			put(t, s, func(tx *sqlstore.Tx) (err error) { ids, err = tx.SettleSessions("r", noon, limit); return err })
			return ids
		}
		hold := func(id string) error {
			return s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.HoldSession("r", id, noon) })
		}
		if err := hold("live"); err != nil {
			t.Error(err)
		}
		for _, id := range []string{"out", "ended", "none", "far"} {
			refused(t, hold(id), fault.Expired, "session-over")
		}
		same(t, settle(1), []string{"ended"})
		same(t, settle(9), []string{"out"})
		same(t, len(settle(9)), 0)
		// What has been settled is not begun again, even where its time would be made longer.
		refused(t, write(t, s, func(tx *sqlstore.Tx) error {
			return tx.RenewSession(session.Session{ID: "out", Realm: "r", Person: "p", Hash: []byte("new"), Until: noon.Add(time.Hour)})
		}), fault.Conflict, "stale")

		tell := func() []token.Logout {
			return get(t, s, func(tx *sqlstore.Tx) ([]token.Logout, error) {
				return tx.ClientsOfSessions("r", []string{"ended", "out"})
			})
		}
		same(t, tell(), []token.Logout{{Realm: "r", Session: "ended", Person: "p", Client: "shop"}, {Realm: "r", Session: "out", Person: "p", Client: "shop"}})
		put(t, s, func(tx *sqlstore.Tx) error {
			n, err := tx.EndAuthorizationsOfSessions("r", []string{"ended", "out"}, "session-ended", noon)
			if n != 3 { // two of them, and the robot's
				t.Errorf("%d ended", n)
			}
			return errors.Join(err,
				tx.AddLogout(token.Logout{ID: "1", Realm: "r", Client: "shop", Session: "ended", Created: noon, Due: noon}),
				tx.AddLogout(token.Logout{ID: "2", Realm: "r", Client: "complaints", Session: "out", Created: noon, Due: noon}))
		})
		same(t, tell(), []token.Logout{{Realm: "r", Session: "out", Person: "p", Client: "shop"}})
	})
}

// Of everybody who settles at once, each session goes to one; and what is hung on a session while it ends is either there
// when it is settled, or never.
func TestSEC_TRACE_SessionsAreSettledOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		const many = 64
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			var errs []error
			for i := range many {
				id := fmt.Sprint("s", i)
				errs = append(errs, tx.AddSession(session.Session{ID: id, Realm: "r", Person: "p", Hash: []byte(id), Until: noon.Add(time.Hour)}))
			}
			return errors.Join(errs...)
		})
		var mu sync.Mutex
		settled := map[string]int{}
		hung := make([]bool, many)
		race(t, stores, func(i int, tx *sqlstore.Tx) error {
			if err := tx.HoldSession("r", fmt.Sprint("s", i%many), noon); err != nil {
				return err
			}
			return tx.AddAuthorization(token.Authorization{ID: fmt.Sprint("before ", i), Realm: "r", Person: "p", Client: "shop", Session: fmt.Sprint("s", i%many)})
		})
		var done sync.WaitGroup
		for i := range many {
			done.Go(func() {
				id := fmt.Sprint("s", i)
				err := write(t, stores[i%len(stores)], func(tx *sqlstore.Tx) error { _, err := tx.EndSession("r", "p", id, "test", noon); return err })
				if err != nil {
					t.Error(err)
				}
			})
			done.Go(func() {
				id := fmt.Sprint("s", i)
				hung[i] = write(t, stores[(i+1)%len(stores)], func(tx *sqlstore.Tx) error {
					if err := tx.HoldSession("r", id, noon); err != nil {
						return err
					}
					return tx.AddAuthorization(token.Authorization{ID: "beside " + id, Realm: "r", Person: "p", Client: "shop", Session: id})
				}) == nil
			})
			done.Go(func() {
				var ids []string
				err := write(t, stores[i%len(stores)], func(tx *sqlstore.Tx) (err error) {
					if ids, err = tx.SettleSessions("r", noon, 5); err == nil {
						_, err = tx.EndAuthorizationsOfSessions("r", ids, "session-ended", noon)
					}
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				for _, id := range ids {
					if err == nil {
						settled[id]++
					}
				}
			})
		}
		done.Wait()
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			ids, err := tx.SettleSessions("r", noon, 100)
			for _, id := range ids {
				settled[id]++
			}
			_, other := tx.EndAuthorizationsOfSessions("r", ids, "session-ended", noon)
			return errors.Join(err, other)
		})
		for i := range many {
			id := fmt.Sprint("s", i)
			if settled[id] != 1 {
				t.Errorf("%s was settled %d times", id, settled[id])
			}
			for _, a := range get(t, stores[0], func(tx *sqlstore.Tx) ([]token.Authorization, error) { return tx.AuthorizationsOfSession("r", id) }) {
				if a.Ended.IsZero() {
					t.Errorf("%s outlived its session (hung: %v)", a.ID, hung[i])
				}
			}
		}
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
