package sqlstore_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// BenchmarkEvents measures durable events from 64 callers at once (PERFORMANCE, row 17). Events per second and the 99th
// percentile of a caller's wait are reported; nothing is asserted, because machines differ.
func BenchmarkEvents(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchEvents(b, testdb.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { benchEvents(b, testdb.Postgres(b)) })
}

func benchEvents(b *testing.B, s *sqlstore.Store) {
	const callers = 64
	e := audit.Event{
		Realm: "r", At: time.Now(), Type: "signin.succeeded", Actor: "p", Person: "p", Organization: "o", Network: "192.0.2.1",
		Browser: "Firefox on Windows", Data: map[string]string{"amr": "pwd otp"},
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	waits := make([][]time.Duration, callers)
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				begun := time.Now()
				if err := s.Write(b.Context(), func(tx *sqlstore.Tx) error { return tx.Audit(e) }); err != nil {
					b.Error(err)
					return
				}
				waits[i] = append(waits[i], time.Since(begun))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	w := slices.Concat(waits...)
	slices.Sort(w)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(w[len(w)*99/100].Microseconds()), "p99-µs")
}
