package sqlstore_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

func TestSEC_O4_CodeIsUsedOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		code := token.Code{Hash: []byte("h"), Realm: "r", Authorization: "a", Created: noon, Expires: noon.Add(time.Minute)}
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddCode(code) })
		errs := race(t, stores, func(_ int, tx *sqlstore.Tx) error {
			c, err := tx.UseCode(code.Hash, noon)
			if c.Authorization != "a" || !c.Used.Equal(noon) {
				return fmt.Errorf("the code that is used comes as %+v (%w)", c, err)
			}
			return err
		})
		one(t, winners(t, errs, fault.Conflict, "code-used"))
	})
}

// A code that leaked and is used again ends what was issued, once, whoever comes first.
func TestSEC_O4_SecondUseEndsTheAuthorization(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			return errors.Join(tx.AddAuthorization(token.Authorization{ID: "a", Realm: "r", Person: "p", Client: "shop"}),
				tx.AddCode(token.Code{Hash: []byte("h"), Realm: "r", Authorization: "a", Created: noon, Expires: noon.Add(time.Minute)}))
		})
		used, ended := make([]bool, runners), make([]bool, runners)
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error {
			c, err := tx.UseCode([]byte("h"), noon)
			used[i] = err == nil
			if fault.Of(err, fault.Conflict) {
				ended[i], err = tx.EndAuthorization(c.Realm, c.Authorization, "code-used-again", noon)
			}
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		isTrue := func(all []bool) (n int) {
			for _, v := range all {
				if v {
					n++
				}
			}
			return n
		}
		one(t, isTrue(used))
		one(t, isTrue(ended))
		a := get(t, stores[0], func(tx *sqlstore.Tx) (token.Authorization, error) { return tx.Authorization("r", "a") })
		if a.Why != "code-used-again" {
			t.Errorf("the authorization lives on: %+v", a)
		}
	})
}

// Of all that present a refresh token at once one is answered, and the others see that very answer (SEC O-6).
func TestSEC_O6_RefreshIsUsedOnceAndTheAnswerIsTheSame(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			return tx.AddRefresh(token.Refresh{Hash: []byte("h"), Realm: "r", Created: noon, Expires: noon.Add(time.Hour)})
		})
		answers := make([]string, runners)
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error {
			err := tx.UseRefresh([]byte("h"), fmt.Appendf(nil, "answer %d", i), noon)
			if err != nil && !fault.Of(err, fault.Conflict) {
				return err
			}
			f, failed := tx.Refresh([]byte("h"))
			answers[i] = string(f.Answer)
			return errors.Join(err, failed)
		})
		one(t, winners(t, errs, fault.Conflict, "refresh-used"))
		for i, err := range errs {
			if err == nil && answers[i] != fmt.Sprintf("answer %d", i) {
				t.Errorf("the winner %d reads %q", i, answers[i])
			}
		}
		if different := slices.Compact(slices.Sorted(slices.Values(answers))); len(different) != 1 {
			t.Errorf("answers %q", different)
		}
	})
}

func TestSEC_T_RACE_RequestIsUsedAndFinishedOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			return tx.AddRequest(token.Request{ID: "q", Realm: "r", Handle: []byte("h"), Created: noon, Expires: noon.Add(time.Minute)})
		})
		errs := race(t, stores, func(_ int, tx *sqlstore.Tx) error { return tx.UseRequest("r", "q", noon) })
		one(t, winners(t, errs, fault.Conflict, "request-used"))
		errs = race(t, stores, func(_ int, tx *sqlstore.Tx) error { return tx.FinishRequest("r", "q", noon) })
		one(t, winners(t, errs, fault.Conflict, "request-over"))
	})
}

// A person who allows, one who denies and a device that polls at once: one of them wins, and what it stored stands.
func TestSEC_T_RACE_DeviceGrantGoesOneWay(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		d := token.Device{ID: "d", Realm: "r", Hash: []byte("h"), UserCode: []byte("u"), State: token.DeviceWaiting}
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddDeviceGrant(d) })
		states := []token.DeviceState{token.DeviceWaiting, token.DeviceAllowed, token.DeviceDenied, token.DeviceUsed}
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error {
			mine := d
			mine.State, mine.Authorization = states[i%4], fmt.Sprint(i)
			return tx.UpdateDeviceGrant(mine)
		})
		one(t, winners(t, errs, fault.Conflict, "stale"))
		won := slices.Index(errs, nil)
		got := get(t, stores[0], func(tx *sqlstore.Tx) (token.Device, error) { return tx.DeviceGrant([]byte("h")) })
		if got.Authorization != fmt.Sprint(won) || got.State != states[won%4] || got.Version != 1 {
			t.Errorf("%d won, and the grant is %+v", won, got)
		}
	})
}

// Nodes that start at once on a new realm make one key, and nodes that rotate at once make one more.
func TestSEC_T_RACE_OneKeyIsTheNewest(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		key := func(i int, at time.Time) token.Key {
			return token.Key{ID: newID(), Realm: "r", Alg: "ES256", Private: fmt.Appendf(nil, "key %d", i), Created: at, Signs: at}
		}
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error { return tx.AddKey(key(i, noon)) })
		one(t, winners(t, errs, fault.Exists, "exists"))
		keys := get(t, stores[0], func(tx *sqlstore.Tx) ([]token.Key, error) { return tx.Keys("r") })
		if len(keys) != 1 {
			t.Fatalf("%d keys", len(keys))
		}
		refused(t, write(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddKey(key(0, noon)) }), fault.Exists, "exists") // add first, retire then: no
		soon := noon.Add(time.Hour)
		errs = race(t, stores, func(i int, tx *sqlstore.Tx) error {
			if err := tx.RetireKey("r", keys[0].ID, soon, soon.Add(time.Hour)); err != nil {
				return err
			}
			return tx.AddKey(key(i, soon))
		})
		one(t, winners(t, errs, fault.Conflict, "stale"))
		keys = get(t, stores[0], func(tx *sqlstore.Tx) ([]token.Key, error) { return tx.Keys("r") })
		if len(keys) != 2 || !keys[0].Retires.Equal(soon) || !keys[1].Retires.IsZero() || !keys[0].Created.Before(keys[1].Created) {
			t.Errorf("after the rotation: %+v", keys)
		}
		put(t, stores[0], func(tx *sqlstore.Tx) error { // another algorithm's newest stands beside it
			k := key(0, noon)
			k.Alg = "RS256"
			return tx.AddKey(k)
		})
	})
}

// What was said of a key's end can be brought forward, when it is feared to be stolen, and never put off.
func TestKeysRetire(t *testing.T) {
	at := func(hours int) time.Time {
		if hours == 0 {
			return time.Time{}
		}
		return noon.Add(time.Duration(hours) * time.Hour)
	}
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			return tx.AddKey(token.Key{ID: "k", Realm: "r", Alg: "ES256", Private: []byte("k")})
		})
		for _, step := range []struct {
			retires, ends int
			ok            bool
		}{
			{5, 0, true}, {6, 9, false}, {5, 9, true}, {5, 9, false}, {5, 10, false}, {5, 0, false}, {6, 8, false}, {4, 8, true}, {4, 3, true},
		} {
			err := write(t, s, func(tx *sqlstore.Tx) error { return tx.RetireKey("r", "k", at(step.retires), at(step.ends)) })
			if step.ok && err != nil {
				t.Errorf("%v: %v", step, err)
			} else if !step.ok {
				refused(t, err, fault.Conflict, "stale")
			}
		}
		k := get(t, s, func(tx *sqlstore.Tx) ([]token.Key, error) { return tx.Keys("r") })[0]
		if !k.Retires.Equal(at(4)) || !k.Ends.Equal(at(3)) {
			t.Errorf("got %+v", k)
		}
	})
}

func TestLogoutIsClaimedOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		const all = 100
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			for range all {
				if err := tx.AddLogout(token.Logout{ID: newID(), Realm: "r", Due: noon}); err != nil {
					return err
				}
			}
			return nil
		})
		var mu sync.Mutex
		var claimed []string
		for range 3 { // those that met another claimer got less than they asked for, so go again
			for _, err := range race(t, stores, func(_ int, tx *sqlstore.Tx) error {
				some, err := tx.ClaimLogouts(noon, time.Minute, 7)
				mu.Lock()
				defer mu.Unlock()
				for _, l := range some {
					claimed = append(claimed, l.ID)
				}
				return err
			}) {
				if err != nil {
					t.Error(err)
				}
			}
		}
		slices.Sort(claimed)
		if n := len(claimed); n != all || len(slices.Compact(claimed)) != all {
			t.Errorf("%d claims of %d log-outs", n, all)
		}
	})
}

func TestAuthorizationsOfSessionsEndOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			for i := range runners {
				if err := tx.AddAuthorization(token.Authorization{ID: newID(), Realm: "r", Session: fmt.Sprint(i % 3), Person: "p"}); err != nil {
					return err
				}
			}
			return nil
		})
		counts := make([]int, runners)
		for _, err := range race(t, stores, func(i int, tx *sqlstore.Tx) (err error) { // some in the other order
			sessions := []string{"0", "1", "2"}
			if i%2 == 0 {
				slices.Reverse(sessions)
			}
			counts[i], err = tx.EndAuthorizationsOfSessions("r", sessions, "signed-out", noon)
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		total := 0
		for _, n := range counts {
			total += n
		}
		if total != runners {
			t.Errorf("%d ends of %d authorizations", total, runners)
		}
	})
}
