package job

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// leases is a store of leases in memory: these tests are about time, which only runs as they say inside synctest.
type leases struct {
	mu   sync.Mutex
	rows map[string]Lease
	fail error // what every transaction ends with
}

func (s *leases) Read(ctx context.Context, f func(Tx) error) error { return s.Write(ctx, f) }

func (s *leases) Write(ctx context.Context, f func(Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	old := make(map[string]Lease, len(s.rows))
	for k, v := range s.rows {
		old[k] = v
	}
	if err := f((*leaseTx)(s)); err != nil {
		s.rows = old
		return err
	}
	return nil
}

func (s *leases) row(name string) Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[name]
}

func (s *leases) set(fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

type leaseTx leases

func (s *leaseTx) TakeLease(name, holder string, now time.Time, ttl time.Duration) (bool, error) {
	l := s.rows[name]
	if l.Until.After(now) {
		return false, nil
	}
	l.Name, l.Holder, l.Until = name, holder, now.Add(ttl)
	s.rows[name] = l
	return true, nil
}

func (s *leaseTx) RenewLease(name, holder string, now time.Time, ttl time.Duration) (bool, error) {
	l := s.rows[name]
	if l.Holder != holder || !l.Until.After(now) {
		return false, nil
	}
	l.Until = now.Add(ttl)
	s.rows[name] = l
	return true, nil
}

func (s *leaseTx) EndLease(name, holder string, now time.Time, fault string) error {
	l := s.rows[name]
	if l.Holder != holder {
		return nil
	}
	l.Until, l.Error = time.Time{}, fault
	if fault == "" {
		l.Last = now
	}
	s.rows[name] = l
	return nil
}

func (s *leaseTx) Leases() (all []Lease, err error) {
	for _, l := range s.rows {
		all = append(all, l)
	}
	return all, nil
}

func runner(s Store, holder string, jobs ...Job) *Runner {
	return &Runner{Store: s, Clock: time.Now, Holder: holder, Jobs: jobs, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func startRunner(t *testing.T, r *Runner) {
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestJobsRunOnTime(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		var ran []time.Duration
		begin := time.Now()
		r := runner(s, "a", Job{Name: "sweep", Every: time.Hour, Run: func(_ context.Context, now time.Time) error {
			ran = append(ran, now.Sub(begin))
			time.Sleep(7 * time.Minute) // a run's own length makes no drift
			return nil
		}})
		startRunner(t, r)
		time.Sleep(3*time.Hour + time.Minute)
		r.Stop()
		if len(ran) != 4 || ran[0] != 0 || ran[1] != time.Hour || ran[3] != 3*time.Hour {
			t.Errorf("ran at %v", ran)
		}
		if l := s.row("sweep"); !l.Last.Equal(begin.Add(3*time.Hour)) || l.Error != "" || !l.Until.IsZero() {
			t.Errorf("%+v", l) // the fourth run was under way when the node stopped, and was finished
		}
	})
}

func TestTwoNodesRunEachTurnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		var mu sync.Mutex
		ran, at, running := map[string]int{}, map[time.Duration]int{}, 0
		begin := time.Now()
		node := func(name string) *Runner {
			return runner(s, name, Job{Name: "reminders", Every: 10 * time.Minute, Run: func(_ context.Context, now time.Time) error {
				mu.Lock()
				ran[name]++
				at[now.Sub(begin).Truncate(10*time.Minute)]++
				if running++; running > 1 {
					t.Error("two nodes at once")
				}
				mu.Unlock()
				time.Sleep(3 * time.Minute) // beyond the lease: it must be renewed
				mu.Lock()
				running--
				mu.Unlock()
				return nil
			}})
		}
		a, b := node("a"), node("b")
		startRunner(t, a)
		time.Sleep(17 * time.Second)
		startRunner(t, b)
		time.Sleep(5 * time.Hour)
		a.Stop() // b goes on alone
		time.Sleep(5 * time.Hour)
		b.Stop()
		for slot, n := range at {
			if n != 1 {
				t.Errorf("%s: %d runs", slot, n)
			}
		}
		if len(at) < 58 || ran["b"] < 29 {
			t.Errorf("%d turns, %v", len(at), ran)
		}
	})
}

func TestADeadNodesLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{"mail": {Name: "mail", Holder: "dead", Until: time.Now().Add(TTL)}}}
		begin, ran := time.Now(), time.Duration(-1)
		r := runner(s, "a", Job{Name: "mail", Every: 24 * time.Hour, Run: func(_ context.Context, now time.Time) error { ran = now.Sub(begin); return nil }})
		startRunner(t, r)
		time.Sleep(2 * TTL)
		r.Stop()
		if ran != TTL {
			t.Errorf("taken over after %s", ran)
		}
	})
}

func TestALostLeaseCancelsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		var cause error
		r := runner(s, "a", Job{Name: "mail", Every: time.Hour, Run: func(ctx context.Context, _ time.Time) error {
			s.mu.Lock()
			s.rows["mail"] = Lease{Name: "mail", Holder: "b", Until: time.Now().Add(time.Hour)} // this node was thought dead
			s.mu.Unlock()
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		}})
		startRunner(t, r)
		time.Sleep(renewal)
		synctest.Wait()
		if !errors.Is(cause, errLost) {
			t.Errorf("the run went on: %v", cause)
		}
		if l := s.row("mail"); l.Holder != "b" || l.Error != "" || l.Until.IsZero() {
			t.Errorf("the other node's lease was touched: %+v", l)
		}
		r.Stop()
	})
}

func TestADatabaseAwayCancelsTheRunWhenTheLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		begin, ended := time.Now(), time.Duration(0)
		r := runner(s, "a", Job{Name: "mail", Every: time.Hour, Run: func(ctx context.Context, _ time.Time) error {
			s.set(errors.New("no connection"))
			<-ctx.Done()
			ended = time.Since(begin)
			s.set(nil)
			return ctx.Err()
		}})
		startRunner(t, r)
		time.Sleep(TTL + renewal) // before it is tried again
		r.Stop()
		if ended != TTL {
			t.Errorf("canceled after %s, the lease held %s", ended, TTL)
		}
	})
}

func TestFailuresShowAndAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		n := 0
		counts := map[string]int{}
		r := runner(s, "a", Job{Name: "crl", Every: 24 * time.Hour, Run: func(context.Context, time.Time) error {
			switch n++; n {
			case 1:
				return errors.New("no disk: " + strings.Repeat("ä", errorMax))
			case 2:
				panic("nil map")
			}
			return nil
		}})
		r.Count = func(metric string, labels ...string) { counts[metric+" "+strings.Join(labels, " ")]++ }
		startRunner(t, r)
		synctest.Wait()
		if l := s.row("crl"); !strings.HasPrefix(l.Error, "no disk") || len(l.Error) > errorMax+3 || !l.Last.IsZero() || !l.Until.IsZero() {
			t.Errorf("%+v", l)
		}
		time.Sleep(retrySoon)
		synctest.Wait()
		if l := s.row("crl"); l.Error != "panic: nil map" {
			t.Errorf("%+v", l)
		}
		time.Sleep(retrySoon)
		synctest.Wait()
		if l := s.row("crl"); l.Error != "" || l.Last.IsZero() || n != 3 {
			t.Errorf("%+v after %d runs", l, n)
		}
		time.Sleep(23 * time.Hour)
		r.Stop()
		if n != 3 || counts["job name crl result failed"] != 2 || counts["job name crl result done"] != 1 {
			t.Errorf("%d runs, %v", n, counts)
		}
	})
}

func TestADatabaseAwayIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}, fail: errors.New("no connection")}
		n := 0
		r := runner(s, "a", Job{Name: "sweep", Every: time.Hour, Run: func(context.Context, time.Time) error { n++; return nil }})
		startRunner(t, r)
		time.Sleep(5 * time.Minute)
		if n != 0 {
			t.Error("ran without a lease")
		}
		s.set(nil)
		time.Sleep(retrySoon)
		synctest.Wait()
		r.Stop()
		if n != 1 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestWakeRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		var n atomic.Int32
		gate := make(chan struct{})
		r := runner(s, "a", Job{Name: "mail", Every: time.Hour, Run: func(context.Context, time.Time) error { n.Add(1); <-gate; return nil }})
		r.Wake("mail") // before the start: nobody to wake
		startRunner(t, r)
		synctest.Wait()
		for range 100 { // while it runs: once more, not a hundred times
			r.Wake("mail")
		}
		r.Wake("unknown")
		close(gate)
		synctest.Wait()
		if n.Load() != 2 {
			t.Errorf("%d runs", n.Load())
		}

		// Another node has the lease when we are woken: we come back when it is done.
		s.mu.Lock()
		l := s.rows["mail"]
		l.Holder, l.Until = "b", time.Now().Add(30*time.Second)
		s.rows["mail"] = l
		s.mu.Unlock()
		r.Wake("mail")
		synctest.Wait()
		if n.Load() != 2 {
			t.Error("ran beside another node")
		}
		time.Sleep(30*time.Second + wakeSoon)
		synctest.Wait()
		if n.Load() != 3 {
			t.Errorf("%d runs: the wake-up was lost", n.Load())
		}
		r.Stop()
	})
}

func TestIdleJobsDoNotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		n, asked := 0, 0
		var busy atomic.Bool
		r := runner(s, "a", Job{Name: "audit", Every: time.Second, Run: func(context.Context, time.Time) error { n++; return nil },
			Idle: func(context.Context, time.Time) (bool, error) { asked++; return !busy.Load(), nil }})
		startRunner(t, r)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n != 0 || len(s.rows) != 0 || asked != 61 {
			t.Errorf("%d runs, %d rows, asked %d times", n, len(s.rows), asked)
		}
		r.Wake("audit")
		synctest.Wait()
		if n != 1 {
			t.Error("not woken")
		}
		busy.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r.Stop()
		if n != 11 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestStopWaitsForRuns(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		done := false
		r := runner(s, "a", Job{Name: "mail", Every: time.Hour, Run: func(ctx context.Context, _ time.Time) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // finishing the mail at hand
			done = true
			return nil
		}})
		startRunner(t, r)
		synctest.Wait()
		r.Stop()
		if !done {
			t.Error("the run was left behind")
		}
		if l := s.row("mail"); l.Error != "" || !l.Until.IsZero() {
			t.Errorf("%+v", l)
		}
		r.Stop()
	})
}

func TestARunThatEndsSlowlyKeepsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		var running atomic.Int32
		slow := Job{Name: "mail", Every: time.Second, Run: func(ctx context.Context, _ time.Time) error {
			if running.Add(1) > 1 {
				t.Error("two nodes at once")
			}
			<-ctx.Done()
			time.Sleep(10 * TTL)
			running.Add(-1)
			return nil
		}}
		a, b := runner(s, "a", slow), runner(s, "b", slow)
		startRunner(t, a)
		synctest.Wait()
		startRunner(t, b)
		a.Stop()
		b.Stop()
	})
}

func TestARunCutShortIsNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &leases{rows: map[string]Lease{}}
		n := 0
		wait := Job{Name: "mail", Every: time.Hour, Run: func(ctx context.Context, _ time.Time) error { n++; <-ctx.Done(); return ctx.Err() }}
		a := runner(s, "a", wait)
		startRunner(t, a)
		synctest.Wait()
		a.Stop()
		if l := s.row("mail"); l.Error != "stopped before it was done" || !l.Last.IsZero() || !l.Until.IsZero() {
			t.Errorf("%+v", l)
		}
		b := runner(s, "b", wait) // takes it up at once
		startRunner(t, b)
		synctest.Wait()
		b.Stop()
		if n != 2 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	ok := Job{Name: "a", Every: time.Second, Run: func(context.Context, time.Time) error { return nil }}
	for name, jobs := range map[string][]Job{
		"twice the same": {ok, ok}, "no name": {{Every: 1, Run: ok.Run}}, "no interval": {{Name: "a", Run: ok.Run}}, "nothing to do": {{Name: "a", Every: 1}},
	} {
		if err := runner(&leases{}, "a", jobs...).Start(t.Context()); err == nil {
			t.Errorf("%s: started", name)
		}
	}
	runner(&leases{}, "a").Stop() // never started
	r := runner(&leases{}, "a")
	startRunner(t, r)
	if r.Start(t.Context()) == nil {
		t.Error("started twice")
	}
	r.Stop()
}
