package sqlstore_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"doorward/internal/audit"
	"doorward/internal/fault"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

func later(t *testing.T, s *sqlstore.Store, ctx context.Context, what string) error {
	t.Helper()
	return s.RecordLater(ctx, audit.Event{Realm: "r", At: noon, Type: "client.token", Data: map[string]string{"n": what}})
}

// told returns how often each event was recorded.
func told(t *testing.T, s *sqlstore.Store) map[string]int {
	t.Helper()
	all := map[string]int{}
	for before := ""; ; {
		page := get(t, s, func(tx *sqlstore.Tx) ([]audit.Event, error) {
			return tx.Events(audit.Query{Realm: "r", BeforeID: before, Limit: 1000})
		})
		for _, e := range page {
			all[e.Data["n"]]++
			before = e.ID
		}
		if len(page) == 0 {
			return all
		}
	}
}

// What was taken to be recorded later is recorded before the store is closed, each once, whoever called at once.
func TestSEC_G1_EventsRecordedLaterAreThereAfterTheEnd(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := testdb.Open(t, dsn)
		var all sync.WaitGroup
		for i := range runners {
			all.Go(func() {
				for j := range 20 {
					if err := later(t, s, t.Context(), strconv.Itoa(i*20+j)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := later(t, s, t.Context(), "late"); !fault.Of(err, fault.Unavailable) {
			t.Errorf("after the end: %v", err)
		}
		got := told(t, testdb.Open(t, dsn))
		if len(got) != runners*20 {
			t.Errorf("%d events, want %d", len(got), runners*20)
		}
		for what, n := range got {
			if n != 1 {
				t.Errorf("event %s is told %d times", what, n)
			}
		}
	})
}

// A database that takes nothing for a while loses nothing: the queue fills, callers wait or are refused, and everything
// that was taken is written afterwards, once.
func TestSEC_G1_EventsRecordedLaterOutliveAnOutage(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := testdb.Open(t, dsn)
		mend := s.Break(true)
		gone, leave := context.WithCancel(t.Context())
		leave()
		taken := 0
		for ; taken < sqlstore.RecordQueue; taken++ {
			if err := later(t, s, t.Context(), strconv.Itoa(taken)); err != nil {
				t.Fatal(err)
			}
		}
		// Whoever writes them may hold a batch in hand, which leaves room for as many more.
		for ; taken <= 2*sqlstore.RecordQueue; taken++ {
			if err := later(t, s, gone, strconv.Itoa(taken)); fault.Of(err, fault.Unavailable) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if taken > 2*sqlstore.RecordQueue {
			t.Fatal("the queue takes everything")
		}
		waited := make(chan error)
		go func() { waited <- later(t, s, t.Context(), "waited") }()
		mend()
		if err := <-waited; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		got := told(t, testdb.Open(t, dsn))
		if refused := got[strconv.Itoa(taken)]; len(got) != taken+1 || got["waited"] != 1 || refused != 0 {
			t.Errorf("%d events, want %d; waited %d, refused %d", len(got), taken+1, got["waited"], refused)
		}
		for what, n := range got {
			if n != 1 {
				t.Errorf("event %s is told %d times", what, n)
			}
		}
	})
}

// Events that can never be written are told of at the end, not kept quiet about.
func TestSEC_G1_EventsThatAreLostAreTold(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s, err := sqlstore.Open(t.Context(), dsn, testdb.Ring(), sqlstore.Options{Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		s.Break(false)
		if err := later(t, s, t.Context(), "lost"); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); !fault.Of(err, fault.Unavailable) {
			t.Errorf("an event was lost and the end says %v", err)
		}
	})
}
