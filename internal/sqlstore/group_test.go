package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

var errMine = errors.New("mine")

func someone(id string) directory.Person {
	return directory.Person{ID: id, Realm: "r", Address: id + "@example.com", Name: id}
}

func isThere(t testing.TB, s *sqlstore.Store, id string) bool {
	t.Helper()
	err := s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.Person("r", id); return err })
	if err != nil && !fault.Of(err, fault.NotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// batch holds the writer until all requests wait, so that they share one transaction, and returns when all are answered.
func batch(t *testing.T, s *sqlstore.Store, n int, do func(i int)) {
	t.Helper()
	held, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = s.Write(context.Background(), func(*sqlstore.Tx) error { close(held); <-release; return nil })
	})
	<-held
	for i := range n {
		all.Go(func() { do(i) })
	}
	s.Await(n)
	close(release)
	all.Wait()
}

// The first of a batch has no savepoint: what it wrote goes with the whole transaction. In every order of two failures
// among four, what failed is gone and what did not is there.
func TestWhoFailsFirstInABatchTakesNobodyAlong(t *testing.T) {
	s := testdb.SQLite(t)
	for round, fails := range []string{"xx..", "x.x.", "x..x", ".xx.", ".x.x", "..xx", "xxxx", "...."} {
		held, release := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			_ = s.Write(context.Background(), func(*sqlstore.Tx) error { close(held); <-release; return nil })
		})
		<-held
		name := func(i int) string { return fmt.Sprintf("%d-%d", round, i) }
		for i := range fails {
			all.Go(func() {
				defer func() { _ = recover() }()
				_ = s.Write(t.Context(), func(tx *sqlstore.Tx) error {
					if err := tx.AddPerson(someone(name(i))); err != nil || fails[i] == '.' {
						return err
					}
					switch round % 3 {
					case 0:
						panic("boom")
					case 1:
						runtime.Goexit()
					}
					return errMine
				})
			})
			s.Await(i + 1)
		}
		close(release)
		all.Wait()
		for i, c := range fails {
			if there := isThere(t, s, name(i)); there != (c == '.') {
				t.Errorf("%s: of the closure %d something is there: %v", fails, i, there)
			}
		}
	}
}

// In one batch every fourth closure fails, panics, ends its goroutine or is cancelled while it runs, each after it has
// written. What they wrote is gone, what the others wrote is there.
func TestFailingClosuresOfABatchAreUndoneAlone(t *testing.T) {
	s := testdb.SQLite(t)
	const n = 80
	ends := make([]string, n)
	batch(t, s, n, func(i int) {
		ends[i] = "exited"
		defer func() {
			if v := recover(); v != nil {
				ends[i] = "panicked"
				if !strings.Contains(fmt.Sprint(v), "boom") || !strings.Contains(fmt.Sprint(v), "group_test.go") {
					t.Errorf("the panic lost its words or its place: %v", v)
				}
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := s.Write(ctx, func(tx *sqlstore.Tx) error {
			if err := tx.AddPerson(someone(fmt.Sprint(i))); err != nil {
				return err
			}
			switch i % 8 {
			case 1:
				return errMine
			case 3:
				panic("boom")
			case 5:
				runtime.Goexit()
			case 7:
				cancel()
			}
			return nil
		})
		switch {
		case err == nil:
			ends[i] = "done"
		case errors.Is(err, errMine):
			ends[i] = "failed"
		case errors.Is(err, context.Canceled):
			ends[i] = "canceled"
		default:
			t.Error(err)
		}
	})
	want := [8]string{"done", "failed", "done", "panicked", "done", "exited", "done", "canceled"}
	for i, got := range ends {
		if got != want[i%8] {
			t.Errorf("closure %d %s, want %s", i, got, want[i%8])
		}
		if isThere(t, s, fmt.Sprint(i)) != (i%2 == 0) {
			t.Errorf("closure %d %s, and what it wrote is there: %v", i, got, i%2 != 0)
		}
	}
}

// The same promises hold on both databases for one closure at a time.
func TestFailingClosureLeavesNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		if err := s.Write(t.Context(), func(tx *sqlstore.Tx) error { return errors.Join(tx.AddPerson(someone("fails")), errMine) }); !errors.Is(err, errMine) {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach the caller")
				}
			}()
			_ = s.Write(t.Context(), func(tx *sqlstore.Tx) error { _ = tx.AddPerson(someone("panics")); panic("boom") })
		}()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.Write(t.Context(), func(tx *sqlstore.Tx) error { _ = tx.AddPerson(someone("exits")); runtime.Goexit(); return nil })
			t.Error("the goroutine went on")
		}()
		<-done
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Write(ctx, func(tx *sqlstore.Tx) error {
			err := tx.AddPerson(someone("canceled"))
			cancel()
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		for _, id := range []string{"fails", "panics", "exits", "canceled"} {
			if isThere(t, s, id) {
				t.Errorf("who %s left something", id)
			}
		}
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddPerson(someone("next")) })
	})
}

// A caller who gives up while waiting is answered at once, and its closure never runs.
func TestWaitingCallerCanGiveUp(t *testing.T) {
	s := testdb.SQLite(t)
	held, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = s.Write(context.Background(), func(*sqlstore.Tx) error { close(held); <-release; return nil })
	})
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error)
	go func() {
		answer <- s.Write(ctx, func(tx *sqlstore.Tx) error { t.Error("it ran"); return tx.AddPerson(someone("late")) })
	}()
	s.Await(1)
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) { // while the writer is still held
		t.Errorf("got %v", err)
	}
	close(release)
	all.Wait()
	put(t, s, func(tx *sqlstore.Tx) error { return tx.AddPerson(someone("next")) })
	if isThere(t, s, "late") {
		t.Error("it ran")
	}
}

// When the transaction itself is lost in the middle of a batch, those who ran in it are told, and the rest is done.
func TestLostTransactionAnswersNobodyDone(t *testing.T) {
	s := testdb.SQLite(t)
	const n = 40
	var mu sync.Mutex
	said, position, lost := map[string]error{}, 0, -1
	order := map[string]int{}
	batch(t, s, n, func(i int) {
		id := fmt.Sprint(i)
		err := s.Write(context.Background(), func(tx *sqlstore.Tx) error {
			if err := tx.AddPerson(someone(id)); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			order[id] = position
			if position++; position == n/2 {
				lost = position - 1
				return tx.Raw(`ROLLBACK`) // as SQLite does by itself when the disk is full
			}
			return nil
		})
		mu.Lock()
		said[id] = err
		mu.Unlock()
	})
	for id, err := range said {
		if (err == nil) != isThere(t, s, id) {
			t.Errorf("closure %s was told %v, and what it wrote is there: %v", id, err, err != nil)
		}
		if (order[id] > lost) != (err == nil) {
			t.Errorf("closure at %d was told %v; the transaction was lost at %d", order[id], err, lost)
		}
		if err != nil && !fault.Of(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
	}
}

// Close answers everybody who was let in, and lets nobody in afterwards.
func TestCloseDrains(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := testdb.Open(t, dsn)
		var all sync.WaitGroup
		var mu sync.Mutex
		var done []string
		started := make(chan struct{}, 64)
		for i := range 64 {
			all.Go(func() {
				id := fmt.Sprint(i)
				started <- struct{}{}
				err := s.Write(context.Background(), func(tx *sqlstore.Tx) error { return tx.AddPerson(someone(id)) })
				if err == nil {
					mu.Lock()
					done = append(done, id)
					mu.Unlock()
				} else if !errors.Is(err, fault.New(fault.Unavailable, "store-closed")) {
					t.Error(err)
				}
			})
		}
		for range 64 {
			<-started
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		refused(t, s.Write(t.Context(), func(*sqlstore.Tx) error { return nil }), fault.Unavailable, "store-closed")
		refused(t, s.Read(t.Context(), func(*sqlstore.Tx) error { return nil }), fault.Unavailable, "store-closed")
		refused(t, s.Ping(t.Context()), fault.Unavailable, "store-closed")
		again := testdb.Open(t, dsn)
		for _, id := range done {
			if !isThere(t, again, id) {
				t.Errorf("%s was answered and is lost", id)
			}
		}
	})
}

// A batch commits once however many share it.
func TestBatchSharesOneCommit(t *testing.T) {
	s := testdb.SQLite(t)
	put(t, s, func(tx *sqlstore.Tx) error { tx.Bump(); return nil })
	before := s.Commits()
	batch(t, s, 100, func(i int) {
		if err := s.Write(context.Background(), func(tx *sqlstore.Tx) error { return tx.AddPerson(someone(fmt.Sprint(i))) }); err != nil {
			t.Error(err)
		}
	})
	if n := s.Commits() - before; n != 2 { // the one that held the writer, and all others
		t.Errorf("%d commits, want 2", n)
	}
}

// Another process may hold the file; writers wait for it and readers do not.
func TestSecondProcessOnSQLite(t *testing.T) {
	dsn := testdb.SQLiteAddress(t)
	a, b := testdb.Open(t, dsn), testdb.Open(t, dsn)
	held, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := a.Write(context.Background(), func(tx *sqlstore.Tx) error {
			err := tx.AddPerson(someone("a"))
			close(held)
			<-release
			return err
		}); err != nil {
			t.Error(err)
		}
	})
	<-held
	if isThere(t, b, "a") {
		t.Error("b sees what is not committed")
	}
	all.Go(func() {
		if err := b.Write(context.Background(), func(tx *sqlstore.Tx) error { return tx.AddPerson(someone("b")) }); err != nil {
			t.Error(err)
		}
	})
	time.AfterFunc(20*time.Millisecond, func() { close(release) }) // b may have begun to wait by then, or not; both must do
	all.Wait()
	if !isThere(t, a, "b") || !isThere(t, b, "a") {
		t.Error("one of them is missing")
	}
}
