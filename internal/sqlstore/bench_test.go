package sqlstore_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// BenchmarkEvents measures durable events from 64 callers at once (PERFORMANCE, row 17). Events per second and the 99th
// percentile of a caller's wait are reported; nothing is asserted, because machines differ.
func BenchmarkEvents(b *testing.B) {
	for _, way := range []struct {
		name string
		add  func(context.Context, *sqlstore.Store, audit.Event) error
	}{
		{"alone", func(ctx context.Context, s *sqlstore.Store, e audit.Event) error { return s.Record(ctx, e) }},
		{"in a transaction", func(ctx context.Context, s *sqlstore.Store, e audit.Event) error {
			return s.Write(ctx, func(tx *sqlstore.Tx) error { return tx.Audit(e) })
		}},
	} {
		b.Run("sqlite "+way.name, func(b *testing.B) { benchEvents(b, testdb.SQLite(b), way.add) })
		b.Run("postgres "+way.name, func(b *testing.B) { benchEvents(b, testdb.Postgres(b), way.add) })
	}
}

func benchEvents(b *testing.B, s *sqlstore.Store, add func(context.Context, *sqlstore.Store, audit.Event) error) {
	const callers = 64
	e := audit.Event{
		Realm: "r", At: time.Now(), Type: "signin.succeeded", Actor: "p", Person: "p", Organization: "o", Network: "192.0.2.1",
		Browser: "Firefox on Windows", Data: map[string]string{"amr": "pwd otp"},
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	waits := make([][]time.Duration, callers)
	var all sync.WaitGroup
	before := cpu(b)
	b.ResetTimer()
	for i := range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				begun := time.Now()
				if err := add(b.Context(), s, e); err != nil {
					b.Error(err)
					return
				}
				waits[i] = append(waits[i], time.Since(begun))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/event")
	w := slices.Concat(waits...)
	slices.Sort(w)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(w[len(w)*99/100].Microseconds()), "p99-µs")
}

// cpu is what this process has used: of a busy machine the only number that says something (PERFORMANCE).
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
