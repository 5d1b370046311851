package sqlstore_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/mail"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// nodes runs a race on SQLite and on two stores over one PostgreSQL database.
func nodes(t *testing.T, test func(t *testing.T, stores []*sqlstore.Store)) {
	t.Run("sqlite", func(t *testing.T) { test(t, []*sqlstore.Store{testdb.SQLite(t)}) })
	t.Run("postgres", func(t *testing.T) {
		a, b := testdb.Postgres2(t)
		test(t, []*sqlstore.Store{a, b})
	})
}

const runners = 64

// race lets 64 goroutines do the same at once and returns their errors.
func race(t *testing.T, stores []*sqlstore.Store, do func(i int, tx *sqlstore.Tx) error) []error {
	t.Helper()
	errs := make([]error, runners)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range runners {
		all.Go(func() {
			<-start
			errs[i] = stores[i%len(stores)].Write(t.Context(), func(tx *sqlstore.Tx) error { return do(i, tx) })
		})
	}
	close(start)
	all.Wait()
	return errs
}

// winners counts who got through, and expects everybody else to be told kind and code.
func winners(t *testing.T, errs []error, kind fault.Kind, code string) (won int) {
	t.Helper()
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			refused(t, err, kind, code)
		}
	}
	return won
}

func one(t *testing.T, won int) {
	t.Helper()
	if won != 1 {
		t.Errorf("%d of %d got through, want 1", won, runners)
	}
}

func TestSEC_A1_OneTimeSecretIsUsedOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		o := authn.OneTime{ID: newID(), Realm: "r", Person: "p", Kind: authn.Mail, Hash: []byte("h"), Created: noon, Expires: noon.Add(time.Hour)}
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddOneTime(o) })
		errs := race(t, stores, func(_ int, tx *sqlstore.Tx) error { return tx.UseOneTime(o.ID, authn.Mail, noon) })
		one(t, winners(t, errs, fault.Conflict, "one-time-used"))
	})
}

func TestSEC_T4_StepIsSpentOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		var fresh atomic.Int64
		for _, err := range race(t, stores, func(_ int, tx *sqlstore.Tx) error {
			ok, err := tx.Spend("totp:c:4711", noon)
			if err == nil && ok {
				fresh.Add(1)
			}
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		one(t, int(fresh.Load()))
	})
}

func TestSEC_T6_ReserveLetsExactlyTheLimitThrough(t *testing.T) {
	for _, limit := range []int{1, 5, 63} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
				for window := range 2 { // and again when the first window is over
					now := noon.Add(time.Duration(window) * 15 * time.Minute)
					var let atomic.Int64
					for _, err := range race(t, stores, func(_ int, tx *sqlstore.Tx) error {
						ok, retry, err := tx.Reserve("k", limit, 15*time.Minute, now)
						if err != nil {
							return err
						}
						if ok {
							let.Add(1)
						} else if retry != 15*time.Minute {
							return fmt.Errorf("retry after %v", retry)
						}
						return nil
					}) {
						if err != nil {
							t.Error(err)
						}
					}
					if let.Load() != int64(limit) {
						t.Errorf("window %d let %d through, want %d", window, let.Load(), limit)
					}
				}
				if n := get(t, stores[0], func(tx *sqlstore.Tx) (int, error) { return tx.Consecutive("k") }); n != 2*limit {
					t.Errorf("%d consecutive attempts, want %d", n, 2*limit)
				}
			})
		})
	}
}

func TestOfEqualVersionsOneWins(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		p := directory.Person{ID: newID(), Realm: "r", Address: "a@example.com"}
		c := authn.Credential{ID: newID(), Realm: "r", Person: p.ID, Kind: authn.TOTP, State: authn.Active}
		f := authn.Flow{ID: newID(), Realm: "r", Person: p.ID, State: authn.FlowOpen}
		r := directory.Realm{ID: "r", Host: "h"}
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			return errors.Join(tx.AddPerson(p), tx.AddCredential(c), tx.AddFlow(f), tx.PutRealm(r))
		})
		r.Version = 1
		for name, do := range map[string]func(*sqlstore.Tx) error{
			"person":     func(tx *sqlstore.Tx) error { return tx.UpdatePerson(p) },
			"credential": func(tx *sqlstore.Tx) error { return tx.UpdateCredential(c) },
			"flow":       func(tx *sqlstore.Tx) error { return tx.UpdateFlow(f) },
			"realm":      func(tx *sqlstore.Tx) error { return tx.PutRealm(r) },
		} {
			t.Run(name, func(t *testing.T) {
				one(t, winners(t, race(t, stores, func(_ int, tx *sqlstore.Tx) error { return do(tx) }), fault.Conflict, "stale"))
			})
		}
	})
}

func TestOfEqualAddressesOneIsAdded(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		errs := race(t, stores, func(_ int, tx *sqlstore.Tx) error {
			return tx.AddPerson(directory.Person{ID: newID(), Realm: "r", Address: "same@example.com"})
		})
		one(t, winners(t, errs, fault.Exists, "exists"))
	})
}

func TestLeaseIsTakenOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		for turn := range 2 { // a new lease, then one that has run out
			now := noon.Add(time.Duration(turn) * time.Minute)
			var taken atomic.Int64
			for _, err := range race(t, stores, func(i int, tx *sqlstore.Tx) error {
				ok, err := tx.TakeLease("sweep", fmt.Sprint(i), now, time.Minute)
				if err == nil && ok {
					taken.Add(1)
				}
				return err
			}) {
				if err != nil {
					t.Error(err)
				}
			}
			one(t, int(taken.Load()))
		}
	})
}

func TestMailIsClaimedOnce(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		const messages = 100
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			for range messages {
				if err := tx.Enqueue(mail.Message{ID: newID(), Realm: "r", Due: noon, Args: map[string]string{"link": "x"}}); err != nil {
					return err
				}
			}
			return nil
		})
		var mu sync.Mutex
		var claimed []string
		for range 3 { // those that met another claimer got less than they asked for, so go again
			for _, err := range race(t, stores, func(_ int, tx *sqlstore.Tx) error {
				some, err := tx.ClaimMail(noon, time.Minute, 7)
				mu.Lock()
				defer mu.Unlock()
				for _, m := range some {
					claimed = append(claimed, m.ID)
				}
				return err
			}) {
				if err != nil {
					t.Error(err)
				}
			}
		}
		slices.Sort(claimed)
		if n := len(claimed); n != messages || len(slices.Compact(claimed)) != messages {
			t.Errorf("%d claims of %d messages", n, messages)
		}
	})
}

func TestTreeNeverForks(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		put(t, stores[0], func(tx *sqlstore.Tx) error {
			for i := range runners {
				if err := tx.Audit(audit.Event{ID: fmt.Sprintf("e%02d", i), Realm: "r", At: noon}); err != nil {
					return err
				}
			}
			return nil
		})
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error {
			e := fmt.Sprintf("e%02d", i)
			return tx.AppendLeaves(0, []audit.Leaf{{Index: 0, Event: e, Hash: tlog.RecordHash([]byte(e))}}, []tlog.Hash{tlog.RecordHash([]byte(e))})
		})
		one(t, winners(t, errs, fault.Conflict, "stale"))
		if n := get(t, stores[0], (*sqlstore.Tx).TreeSize); n != 1 {
			t.Errorf("the tree has %d leaves", n)
		}
		if left := get(t, stores[0], func(tx *sqlstore.Tx) ([]audit.Event, error) { return tx.EventsWithoutLeaf(1000) }); len(left) != runners-1 {
			t.Errorf("%d events wait for a leaf, want %d", len(left), runners-1)
		}
	})
}

// Two that lock the same rows in opposite order meet on PostgreSQL; both get through, and nobody sees the deadlock.
func TestDeadlocksAreRunAgain(t *testing.T) {
	a, b := testdb.Postgres2(t)
	put(t, a, func(tx *sqlstore.Tx) error {
		return errors.Join(tx.AddPerson(directory.Person{ID: "1", Realm: "r", Address: "1"}), tx.AddPerson(directory.Person{ID: "2", Realm: "r", Address: "2"}))
	})
	var met sync.WaitGroup
	met.Add(2)
	var tries atomic.Int64
	run := func(s *sqlstore.Store, first, second string, wait *sync.Once) error {
		return s.Write(t.Context(), func(tx *sqlstore.Tx) error {
			tries.Add(1)
			if err := tx.SignedIn("r", first, noon); err != nil {
				return err
			}
			wait.Do(func() { met.Done(); met.Wait() })
			return tx.SignedIn("r", second, noon)
		})
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := run(a, "1", "2", new(sync.Once)); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() {
		if err := run(b, "2", "1", new(sync.Once)); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
	if tries.Load() < 3 {
		t.Errorf("%d tries: there was no deadlock to prove anything by", tries.Load())
	}
}
