package job_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/job"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

func node(s *sqlstore.Store, holder string, clock func() time.Time) *job.Runner {
	return &job.Runner{Store: sqlstore.For[job.Tx](s), Clock: clock, Holder: holder, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func TestSEC_D7_ManyNodesOneRunForEachTurn(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		at := time.UnixMilli(1_800_000_000_000).UTC()
		for turn := range 5 {
			now := at.Add(time.Duration(turn) * time.Hour)
			var ran, running atomic.Int32
			j := job.Job{Name: "reminders", Every: time.Hour, Run: func(context.Context, time.Time) error {
				if running.Add(1) > 1 {
					t.Error("two nodes at once")
				}
				ran.Add(1)
				running.Add(-1)
				return nil
			}}
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					r := node(s, fmt.Sprint("node", i), func() time.Time { return now })
					if _, err := r.Turn(context.Background(), j, false); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := ran.Load(); n != 1 {
				t.Errorf("turn %d: %d runs", turn, n)
			}
		}
	})
}

func TestLeaseRowsTellWhatHappened(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		now := time.UnixMilli(1_800_000_000_000).UTC()
		row := func() (l job.Lease) {
			if err := s.Read(t.Context(), func(tx *sqlstore.Tx) error {
				all, err := tx.Leases()
				if len(all) == 1 {
					l = all[0]
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return l
		}
		var during job.Lease
		result := errors.New("no disk")
		j := job.Job{Name: "crl", Every: time.Hour, Run: func(context.Context, time.Time) error { during = row(); return result }}
		r := node(s, "a", func() time.Time { return now })
		turn := func(woken bool) bool {
			ran, err := r.Turn(t.Context(), j, woken)
			if err != nil {
				t.Fatal(err)
			}
			return ran
		}
		if !turn(false) || during.Holder != "a" || !during.Until.Equal(now.Add(job.TTL)) {
			t.Errorf("while it runs: %+v", during)
		}
		if l := row(); l.Error != "no disk" || !l.Last.IsZero() || l.Until.After(now) {
			t.Errorf("after a failure: %+v", l)
		}
		result = nil
		if !turn(false) {
			t.Error("a failed job is not tried again")
		}
		if l := row(); l.Error != "" || !l.Last.Equal(now) {
			t.Errorf("after a good run: %+v", l)
		}
		if turn(false) {
			t.Error("ran although it is not due")
		}
		if l := row(); l.Until.After(now) {
			t.Errorf("a turn that was not due kept the lease: %+v", l)
		}
		if !turn(true) {
			t.Error("was not woken")
		}
		now = now.Add(time.Hour)
		if !turn(false) {
			t.Error("did not run although it is due")
		}
		now = now.Add(-30 * time.Minute)
		if !turn(false) {
			t.Error("a clock set back stops the job")
		}
	})
}
