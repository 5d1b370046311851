package password

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

func TestSEC_K4_ThePoolIsBounded(t *testing.T) {
	const callers, workers, queue = 64, 3, 20
	synctest.Test(t, func(t *testing.T) {
		p := newPool(workers, queue, time.Minute)
		var inside, most, done, refused atomic.Int64
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				err := p.run(context.Background(), func() {
					n := inside.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					time.Sleep(time.Second) // of the bubble's clock: as long as a hash takes
					inside.Add(-1)
					done.Add(1)
				})
				if err == nil {
					return
				}
				f := fault.As(err)
				if f == nil || f.Kind != fault.Unavailable || f.Code != "busy" || f.RetryAfter < 2*time.Second || f.RetryAfter > 5*time.Second || errors.Is(err, authn.ErrRejected) {
					t.Errorf("refused with %v", err)
				}
				refused.Add(1)
			})
		}
		all.Wait()
		if most.Load() != workers || done.Load() != workers+queue || refused.Load() != callers-workers-queue {
			t.Errorf("%d at once, %d done, %d refused", most.Load(), done.Load(), refused.Load())
		}
		if len(p.places) != 0 || p.waiting.Load() != 0 {
			t.Errorf("%d places and %d waits are left", len(p.places), p.waiting.Load())
		}
	})
}

func TestSEC_K4_TheWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, 10, 2*time.Second)
		release := make(chan struct{})
		go p.run(context.Background(), func() { <-release })
		synctest.Wait()
		began := time.Now()
		err := p.run(context.Background(), func() { t.Error("worked without a place") })
		if !fault.Of(err, fault.Unavailable) || time.Since(began) != 2*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		left, leave := context.WithCancel(context.Background())
		go func() { time.Sleep(time.Second); leave() }()
		if err := p.run(left, func() { t.Error("worked for nobody") }); !fault.Of(err, fault.Unavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("the caller left: %v", err)
		}
		if err := p.run(left, func() { t.Error("worked for nobody") }); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller had left before: %v", err)
		}
		close(release)
		synctest.Wait()
		ran := false
		if err := p.run(context.Background(), func() { ran = true }); err != nil || !ran {
			t.Errorf("the pool does not recover: %v", err)
		}
	})
}

func TestCloseWaitsForWorkAndTurnsTheRestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := cheap(Config{Workers: 1, Queue: 10, Deadline: time.Hour})
		release := make(chan struct{})
		done := false
		go m.pool.run(context.Background(), func() { <-release; done = true })
		synctest.Wait()
		var waited error
		go func() { waited = m.pool.run(context.Background(), func() { t.Error("worked after the end") }) }()
		synctest.Wait()
		closed := false
		go func() { m.Close(); closed = true }()
		synctest.Wait()
		if !fault.Of(waited, fault.Unavailable) || closed {
			t.Errorf("who waited got %v; closed before the work was done: %v", waited, closed)
		}
		close(release)
		synctest.Wait()
		if !done || !closed {
			t.Errorf("work done %v, closed %v", done, closed)
		}
		if _, err := verify(m, good); !fault.Of(err, fault.Unavailable) || m.Runs() != 0 {
			t.Errorf("after the end: %v, %d hashes", err, m.Runs())
		}
		m.Close() // twice is once
	})
}

func TestAPanicFreesItsPlace(t *testing.T) {
	p := newPool(1, 1, time.Second)
	func() {
		defer func() { _ = recover() }()
		_ = p.run(context.Background(), func() { panic("x") })
	}()
	if err := p.run(context.Background(), func() {}); err != nil {
		t.Error(err)
	}
}

func TestRetriesAreSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 200 {
		f := fault.As(busy(nil))
		if f.RetryAfter < 2*time.Second || f.RetryAfter > 5*time.Second {
			t.Fatalf("%v", f.RetryAfter)
		}
		seen[f.RetryAfter] = true
	}
	if len(seen) < 20 {
		t.Errorf("%d different times: a crowd comes back together", len(seen))
	}
}

// 64 people at once, right and wrong, on two places: everybody gets their own answer, for one hash each.
func TestSEC_K4_SixtyFourAtOnce(t *testing.T) {
	m := cheap(Config{Workers: 2, Queue: 64, Deadline: time.Minute})
	held := stored(hashOf(t, m, good))
	before := m.Runs()
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			text, who := good, []authn.Credential{held}
			switch i % 4 {
			case 1:
				text = "wrong-" + good
			case 2:
				who = nil
			}
			_, err := verify(m, text, who...)
			if want := i%4 == 0 || i%4 == 3; (err == nil) != want || err != nil && !errors.Is(err, authn.ErrRejected) {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if n := m.Runs() - before; n != 64 {
		t.Errorf("%d hashes", n)
	}
}

func TestBusyIsNoRejectionAndNoHash(t *testing.T) {
	m := newMethod(Config{Workers: 1, Queue: 1})
	gone, leave := context.WithCancel(context.Background())
	leave()
	f := authn.Flow{Realm: "shop"}
	_, err := m.Verify(gone, f, nil, authn.Answer{Text: good})
	_, err2 := m.Enrol(gone, f, nil, authn.Answer{Text: good})
	_, err3 := m.Hash(gone, "shop", good)
	for _, err := range []error{err, err2, err3} {
		if !fault.Of(err, fault.Unavailable) || errors.Is(err, authn.ErrRejected) {
			t.Errorf("got %v", err)
		}
	}
	if m.Runs() != 0 {
		t.Errorf("%d hashes", m.Runs())
	}
}
