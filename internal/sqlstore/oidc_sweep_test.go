package sqlstore_test

import (
	"errors"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// The sweep takes what ended long enough ago, and nothing a moment earlier: what is still there a second use is seen by.
func TestSweepOfTheProvider(t *testing.T) {
	const day = 24 * time.Hour
	const month = 30 * day
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			var errs []error
			add := func(err error) { errs = append(errs, err) }
			for id, end := range map[string]time.Time{"old": noon, "fresh": noon.Add(tick)} {
				hash, long := []byte(id), end.Add(-month)
				add(tx.AddKey(token.Key{ID: id, Realm: "r", Private: hash, Retires: noon.Add(-day), Ends: end}))
				add(tx.AddRequest(token.Request{ID: id, Realm: "r", Expires: long}))
				add(tx.AddCode(token.Code{Hash: hash, Expires: end.Add(-day)}))
				add(tx.AddRefresh(token.Refresh{Hash: []byte(id + " expired"), Expires: long}))
				add(tx.AddRefresh(token.Refresh{Hash: []byte(id + " used"), Expires: noon.Add(month), Used: long}))
				add(tx.AddRefresh(token.Refresh{Hash: []byte(id + " answer"), Expires: noon.Add(month), Used: end.Add(-70 * time.Second), Answer: hash}))
				add(tx.AddAuthorization(token.Authorization{ID: id + " ended", Realm: "r", Until: noon.Add(month), Ended: long}))
				add(tx.AddAuthorization(token.Authorization{ID: id + " over", Realm: "r", Until: long}))
				add(tx.AddAuthorization(token.Authorization{ID: id + " forgotten", Realm: "r", Session: "swept long ago", Created: long}))
				add(tx.AddDeviceGrant(token.Device{ID: id, Realm: "r", Hash: hash, UserCode: hash, Expires: end.Add(-day)}))
				add(tx.AddLogout(token.Logout{ID: id, Realm: "r", Created: long, Due: noon.Add(day)}))
			}
			// Without an end: a key that signs, a session's own, what lives on without one.
			add(tx.AddKey(token.Key{ID: "newest", Realm: "r", Private: []byte("k")}))
			add(tx.AddSession(session.Session{ID: "s", Realm: "r", Hash: []byte("s"), Until: noon}))
			add(tx.AddAuthorization(token.Authorization{ID: "of a session", Realm: "r", Session: "s"}))
			add(tx.AddAuthorization(token.Authorization{ID: "told", Realm: "r", Session: "s", Person: "p", Client: "shop", Offline: true}))
			add(tx.AddLogout(token.Logout{ID: "told", Realm: "r", Session: "s", Client: "shop", Created: noon.Add(-2 * month), Done: noon.Add(-2 * month)}))
			add(tx.AddAuthorization(token.Authorization{ID: "offline", Realm: "r", Session: "swept long ago", Offline: true}))
			add(tx.PutConsent(token.Consent{Realm: "r", Person: "p", Client: "shop"}))
			return errors.Join(errs...)
		})
		sweep := func() (n int) {
			put(t, s, func(tx *sqlstore.Tx) (err error) { n, err = tx.Sweep(noon); return err })
			return n
		}
		if n := sweep(); n != 11 {
			t.Errorf("swept %d rows, want 11", n)
		}
		if n := sweep(); n != 0 {
			t.Errorf("swept %d more rows", n)
		}
		kept := func(want bool, name string, read func(*sqlstore.Tx) error) {
			t.Helper()
			err := s.Read(t.Context(), read)
			if want && err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !want {
				refused(t, err, fault.NotFound, "not-found")
			}
		}
		for id, want := range map[string]bool{"old": false, "fresh": true} {
			kept(want, id+" request", func(tx *sqlstore.Tx) error { _, err := tx.Request("r", id); return err })
			kept(want, id+" code", func(tx *sqlstore.Tx) error { _, err := tx.Code([]byte(id)); return err })
			kept(want, id+" device", func(tx *sqlstore.Tx) error { _, err := tx.DeviceGrant([]byte(id)); return err })
			for _, why := range []string{" expired", " used"} {
				kept(want, id+why, func(tx *sqlstore.Tx) error { _, err := tx.Refresh([]byte(id + why)); return err })
			}
			for _, why := range []string{" ended", " over", " forgotten"} {
				kept(want, id+why, func(tx *sqlstore.Tx) error { _, err := tx.Authorization("r", id+why); return err })
			}
			f := get(t, s, func(tx *sqlstore.Tx) (token.Refresh, error) { return tx.Refresh([]byte(id + " answer")) })
			if (f.Answer != nil) != want || f.Used.IsZero() {
				t.Errorf("%s answer: %+v", id, f)
			}
		}
		for _, id := range []string{"of a session", "offline"} {
			kept(true, id, func(tx *sqlstore.Tx) error { _, err := tx.Authorization("r", id); return err })
		}
		if over := get(t, s, func(tx *sqlstore.Tx) ([]token.Logout, error) { return tx.ClientsOfSessions("r", []string{"s"}) }); len(over) != 0 {
			t.Errorf("a client that was told is to be told again: %+v", over)
		}
		kept(true, "consent", func(tx *sqlstore.Tx) error { _, err := tx.Consent("r", "p", "shop"); return err })
		var ids []string
		for _, k := range get(t, s, func(tx *sqlstore.Tx) ([]token.Key, error) { return tx.Keys("r") }) {
			ids = append(ids, k.ID)
		}
		same(t, ids, []string{"fresh", "newest"})
		put(t, s, func(tx *sqlstore.Tx) error {
			all, err := tx.ClaimLogouts(noon.Add(day), time.Minute, 9)
			if len(all) != 1 || all[0].ID != "fresh" {
				t.Errorf("log-outs %+v", all)
			}
			return err
		})
	})
}
