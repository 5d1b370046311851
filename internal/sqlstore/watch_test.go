package sqlstore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/mail"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// called returns a watcher and a channel that holds one call.
func called() (fn func(), calls chan struct{}) {
	calls = make(chan struct{}, 1)
	return func() {
		select {
		case calls <- struct{}{}:
		default:
		}
	}, calls
}

func bump(tx *sqlstore.Tx) error { tx.Bump(); return nil }

func openPolling(t *testing.T, dsn string, poll time.Duration) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), dsn, testdb.Ring(), sqlstore.Options{Clock: clock, Conns: 2, Poll: poll})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestBumpWakesThisProcess(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := openPolling(t, dsn, time.Hour)
		fn, calls := called()
		stop := s.Watch(fn)
		before := s.Epoch()
		put(t, s, bump)
		if s.Epoch() != before+1 { // already when Write returns: a revocation holds at once where it was made
			t.Errorf("epoch %d after %d", s.Epoch(), before)
		}
		<-calls
		if err := s.Write(t.Context(), func(tx *sqlstore.Tx) error { tx.Bump(); return errMine }); err == nil {
			t.Error("no error")
		}
		put(t, s, func(*sqlstore.Tx) error { return nil })
		if s.Epoch() != before+1 {
			t.Error("what was undone raised the epoch")
		}
		stop()
		stop()
		put(t, s, bump)
		fn2, calls2 := called()
		defer s.Watch(fn2)()
		put(t, s, bump)
		<-calls2
		select {
		case <-calls:
			t.Error("a stopped watcher was called")
		default:
		}
	})
}

// The command line is another process: it bumps, and the server hears of it by polling on SQLite and by NOTIFY on
// PostgreSQL, where polling is switched off to prove it.
func TestBumpWakesOtherProcesses(t *testing.T) {
	for name, c := range map[string]struct {
		address func(testing.TB) string
		poll    time.Duration
	}{
		"sqlite by polling":   {testdb.SQLiteAddress, time.Millisecond},
		"postgres by polling": {testdb.PostgresAddress, time.Millisecond},
		"postgres by notify":  {testdb.PostgresAddress, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := c.address(t)
			a, b := openPolling(t, dsn, c.poll), openPolling(t, dsn, time.Hour)
			fn, calls := called()
			defer a.Watch(fn)()
			if c.poll == time.Hour {
				a.AwaitListening()
			}
			put(t, b, bump)
			<-calls
			if a.Epoch() != b.Epoch() {
				t.Errorf("epochs %d and %d", a.Epoch(), b.Epoch())
			}
		})
	}
}

// A listening connection that is lost comes back, and what was said meanwhile is not missed.
func TestListenerComesBack(t *testing.T) {
	dsn := testdb.PostgresAddress(t)
	a, b := openPolling(t, dsn, time.Hour), openPolling(t, dsn, time.Hour)
	fn, calls := called()
	defer a.Watch(fn)()
	a.AwaitListening()
	put(t, b, bump)
	<-calls
	execute(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN doorward'`)
	put(t, b, bump) // nobody listens, or the new connection does
	<-calls
	put(t, b, bump)
	for a.Epoch() != b.Epoch() {
		<-calls
	}
}

func TestMailWakesTheWorker(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := openPolling(t, dsn, time.Hour)
		fn, calls := called()
		defer s.WatchTopic(sqlstore.MailTopic, fn)()
		put(t, s, func(tx *sqlstore.Tx) error { return tx.Enqueue(mail.Message{ID: newID(), Realm: "r"}) })
		<-calls
		s.Wake(sqlstore.MailTopic)
		<-calls
	})
}

// Watchers run one call at a time, may use the store, and calls that pile up are one.
func TestWatcherMayUseTheStore(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		var running int
		var seen atomic.Int64 // stop does not wait for a call that has begun
		done := make(chan int, 100)
		stop := s.Watch(func() {
			running++ // not guarded: the race detector sees two calls at once
			defer func() { running-- }()
			if running != 1 {
				t.Error("two calls at once")
			}
			err := s.Read(context.Background(), func(tx *sqlstore.Tx) error { _, err := tx.Realms(); return err })
			if err != nil {
				t.Error(err)
			}
			seen.Add(1)
			done <- int(s.Epoch())
		})
		var last int
		for range 20 {
			put(t, s, bump)
			last = int(s.Epoch())
		}
		for at := range done {
			if at == last {
				break
			}
		}
		stop()
		if n := seen.Load(); n == 0 || n > 20 {
			t.Errorf("%d calls for 20 commits", n)
		}
	})
}
