package password

import (
	"context"
	"crypto/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"doorward/internal/fault"
)

// pool bounds hashing: a fixed number of places, a queue of bounded length before them, and a deadline for the wait.
// Without it a storm of sign-ins takes 19 MiB each until the machine has none (SEC K-4, T-DOS).
//
// The places are handed to the callers' own goroutines. Goroutines of the pool pinned to threads would gain nothing: the
// Argon2 implementation starts a goroutine per lane and slice by itself, and the block of memory belongs to it as well.
// Waiting callers are served in order.
type pool struct {
	places   chan struct{}
	queue    int64
	waiting  atomic.Int64
	deadline time.Duration
	closing  sync.Once
	closed   chan struct{}
}

func newPool(workers, queue int, deadline time.Duration) *pool {
	if workers <= 0 {
		// One processor is left to everything else: in a storm of sign-ins, people who are in must not wait for those who
		// want in.
		workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if queue <= 0 {
		queue = 32 * workers
	}
	if deadline <= 0 {
		deadline = 2 * time.Second
	}
	return &pool{places: make(chan struct{}, workers), queue: int64(queue), deadline: deadline, closed: make(chan struct{})}
}

// close turns away who waits and who comes, and returns when the last work is done.
func (p *pool) close() {
	p.closing.Do(func() {
		close(p.closed)
		for range cap(p.places) {
			p.places <- struct{}{}
		}
	})
}

// run does work in a place of the pool. It fails with fault.Unavailable "busy" when the queue is full, the wait was too
// long, the caller has left or the pool is closed; work is then not done.
func (p *pool) run(ctx context.Context, work func()) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer func() { <-p.places }()
	work()
	return nil
}

func (p *pool) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return busy(err)
	}
	select {
	case <-p.closed:
		return busy(nil)
	default:
	}
	select {
	case p.places <- struct{}{}:
		return nil
	default:
	}
	if p.waiting.Add(1) > p.queue {
		p.waiting.Add(-1)
		return busy(nil)
	}
	defer p.waiting.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, p.deadline)
	defer cancel()
	select {
	case p.places <- struct{}{}:
		return nil
	case <-p.closed:
		return busy(nil)
	case <-ctx.Done():
		return busy(ctx.Err())
	}
}

// busy asks to try again in 2 to 5 seconds, at random: a crowd that was sent away together must not come back together.
func busy(cause error) error {
	var b [1]byte
	rand.Read(b[:])
	e := fault.New(fault.Unavailable, "busy").After(2*time.Second + time.Duration(b[0])*3*time.Second/255)
	e.Err = cause
	return e
}
