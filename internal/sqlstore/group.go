package sqlstore

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"doorward/internal/fault"
)

// Group commit on SQLite. One goroutine owns the writing connection. It takes whatever waits, runs the closures one
// after the other in one transaction, commits once, and only then answers all of them. What the first one wrote is taken
// back with the whole transaction, where it has to be, and of those after it each has a savepoint of its own. While the disk works the next batch gathers by itself, so there is no delay to tune: alone, a caller pays for one commit;
// together, many share it.
//
// Rules of this file:
//   - Nobody is answered "done" before the COMMIT has returned.
//   - A closure that fails, panics or exits its goroutine takes back only what it did itself.
//   - Statements here never run under a caller's context: SQLite answers an interrupted write by undoing the whole
//     transaction, and with it what others did in the batch.
//   - When a savepoint cannot be taken back, or the COMMIT fails, the transaction is lost: everybody who ran in it is
//     told, nobody is answered "done", and those who had not begun run in the next one.
type group struct {
	store *Store

	mu     sync.Mutex
	queue  []*request
	ending bool
	wake   chan struct{} // holds at most one
	done   chan struct{} // closed when the last batch is answered

	commits atomic.Int64 // so far

	// Of the writing goroutine alone:
	line    *line
	open    bool // a transaction is open on line
	kept    bool // and holds what a closure did
	batch   []*request
	next    int      // batch[:next] has run in the open transaction
	current *request // runs now
}

// batchCap bounds how long the first of a batch waits for the last.
const batchCap = 256

// request is one closure that waits for its turn.
type request struct {
	ctx     context.Context
	fn      func(*Tx) error
	tx      *Tx
	begun   atomic.Bool // taken by the writer or given up by the caller, whoever is first
	wrote   bool
	pointed bool // its savepoint is set; where it is not, nothing was kept before it
	err     error
	panics  any
	stack   []byte
	exited  bool // fn ended its goroutine (runtime.Goexit)
	answer  chan struct{}
}

func newGroup(s *Store) *group {
	g := &group{store: s, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go g.loop()
	return g
}

// do queues fn and waits for its answer.
func (g *group) do(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{ctx: ctx, fn: fn, answer: make(chan struct{})}
	g.mu.Lock()
	if g.ending {
		g.mu.Unlock()
		return errClosed
	}
	g.queue = append(g.queue, r)
	g.mu.Unlock()
	g.ring()
	select {
	case <-r.answer:
	case <-ctx.Done():
		if r.begun.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-r.answer // fn may be running, and what it sets is the caller's
	}
	switch {
	case r.panics != nil:
		panic(fmt.Sprintf("%v\n\nin a transaction:\n%s", r.panics, r.stack))
	case r.exited:
		runtime.Goexit()
	}
	return r.err
}

func (g *group) ring() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// drain refuses further requests and returns when those queued are answered.
func (g *group) drain() {
	g.mu.Lock()
	g.ending = true
	g.mu.Unlock()
	g.ring()
	<-g.done
}

// loop works until drained. When a closure ends the goroutine, a new one goes on where this one was.
func (g *group) loop() {
	whole := false
	defer func() {
		if !whole && g.current != nil && g.current.exited {
			g.settle(g.current)
			go g.loop()
		}
	}()
	for g.work() {
	}
	if g.line != nil {
		g.discard()
	}
	whole = true
	close(g.done)
}

// work runs one batch, or what is left of one, and reports whether there may be more.
func (g *group) work() bool {
	if len(g.batch) == 0 && !g.gather() {
		return false
	}
	if !g.open {
		if err := g.begin(); err != nil {
			g.answer(len(g.batch), err)
			return true
		}
	}
	for g.open && g.next < len(g.batch) {
		r := g.batch[g.next]
		g.next++
		if r.begun.CompareAndSwap(false, true) {
			g.current = r
			g.perform(r)
			g.settle(r)
		}
	}
	if g.open {
		g.commit()
	}
	return true
}

// gather waits for requests and takes up to batchCap of them. It reports false when there will be none.
func (g *group) gather() bool {
	for {
		g.mu.Lock()
		n := min(len(g.queue), batchCap)
		g.batch, g.queue = g.queue[:n:n], g.queue[n:]
		ending, more := g.ending, len(g.queue) > 0
		if !more {
			g.queue = nil
		}
		g.mu.Unlock()
		switch {
		case more:
			g.ring()
			return true
		case n > 0:
			return true
		case ending:
			return false
		}
		<-g.wake
	}
}

func (g *group) begin() error {
	ctx := context.Background()
	if g.line == nil {
		l, err := newLine(ctx, g.store.writer)
		if err != nil {
			return g.store.explain(err)
		}
		g.line = l
	}
	if err := g.line.do(ctx, `BEGIN IMMEDIATE`); err != nil {
		g.discard()
		return g.store.explain(err)
	}
	g.open, g.kept = true, false
	return nil
}

// perform runs one closure. A savepoint is set before its first write, so a closure that writes nothing costs none; nor
// does one that has nothing before it that would have to stay.
func (g *group) perform(r *request) {
	r.tx = &Tx{store: g.store, ctx: r.ctx, run: context.Background(), runner: g.line, write: true}
	r.tx.first = func() error {
		if g.kept {
			if err := g.line.do(r.tx.run, `SAVEPOINT closure`); err != nil {
				return err
			}
		}
		r.wrote, r.pointed = true, g.kept
		return nil
	}
	whole := false
	defer func() {
		r.tx.over = true
		if whole {
			return
		}
		if r.panics = recover(); r.panics != nil {
			r.stack = debug.Stack()
		} else {
			r.exited = true
		}
	}()
	if r.err = r.fn(r.tx); r.err == nil {
		r.err = r.tx.finish()
	}
	whole = true
}

// settle keeps what the closure did, or takes it back.
func (g *group) settle(r *request) {
	if !r.wrote {
		return
	}
	ctx, failed := context.Background(), r.err != nil || r.panics != nil || r.exited
	if !r.pointed {
		g.kept = !failed
		if failed {
			g.anew()
		}
		return
	}
	if failed {
		if err := g.line.do(ctx, `ROLLBACK TO closure`); err != nil {
			g.lose(err)
			return
		}
	}
	if err := g.line.do(ctx, `RELEASE closure`); err != nil {
		g.lose(err)
	}
}

// anew takes back a transaction of which nothing is to be kept, and begins the next one for the rest of the batch.
func (g *group) anew() {
	if err := g.line.do(context.Background(), `ROLLBACK`); err != nil {
		g.lose(err)
		return
	}
	g.open = false
	if err := g.begin(); err != nil {
		g.answer(g.next, err)
	}
}

func (g *group) commit() {
	if err := g.line.do(context.Background(), `COMMIT`); err != nil {
		g.lose(err)
		return
	}
	g.open = false
	g.commits.Add(1)
	for _, r := range g.batch {
		if r.tx != nil && r.err == nil && r.panics == nil && !r.exited {
			g.store.committed(r.tx)
		}
	}
	g.answer(len(g.batch), nil)
}

// lose gives up the open transaction. Whoever ran in it is told; the others of the batch run in the next one.
func (g *group) lose(err error) {
	g.open = false
	if g.line.do(context.Background(), `ROLLBACK`) != nil {
		g.discard()
	}
	err = g.store.explain(err)
	if fault.As(err) == nil {
		err = fault.New(fault.Unavailable, "store-unavailable").Because(err)
	}
	g.answer(g.next, err)
}

// discard closes the connection; the next batch opens another.
func (g *group) discard() {
	_ = g.line.close() // it was in trouble already
	g.line = nil
}

// answer answers the first n requests of the batch and drops them. err is the answer of those who have none of their own.
func (g *group) answer(n int, err error) {
	for _, r := range g.batch[:n] {
		if r.err == nil {
			r.err = err
		}
		close(r.answer)
	}
	g.batch, g.next, g.current = g.batch[n:], 0, nil
}
