package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/fault"
)

// Recording events that stand alone, such as "a token was issued": nothing else changes with them, so many callers' can
// share one transaction, and on PostgreSQL one statement. While one batch commits the next one gathers by itself.
//
// Record returns when its event is durable; RecordLater when it is queued. What was queued is written as soon as the
// database takes it, again and again until it does, and before Close returns. The queue is bounded: beyond it callers
// wait, and nothing is dropped. A node that is killed loses what its queue holds, which is mostly less than a millisecond
// of events; while the database is away it holds at most recordQueue, and then nothing is given out that would need one.

const (
	recordCap   = 512  // events in one transaction
	recordQueue = 4096 // events that RecordLater lets wait
	recordPause = 200 * time.Millisecond
)

// recorder gathers events.
type recorder struct {
	store *Store
	write func(context.Context, *Store, func(*Tx) error) error // the dialect's
	room  chan struct{}                                        // one for each event of RecordLater that waits
	mu    sync.Mutex
	queue []*recorded
	busy  bool // its goroutine runs
	idle  sync.WaitGroup
	end   chan struct{} // closed when the store closes: what cannot be written then is given up
	lost  int           // of them
}

type recorded struct {
	event  audit.Event
	answer chan error // nil: nobody waits
}

func newRecorder(s *Store) *recorder {
	return &recorder{store: s, write: s.dialect.write, room: make(chan struct{}, recordQueue), end: make(chan struct{})}
}

// Record adds one event in no transaction of the caller's and returns after it is durable. When ctx ends first the event
// may still be recorded. An event that must not be missing when a change is there belongs into the change's own
// transaction (Tx.Audit).
func (s *Store) Record(ctx context.Context, e audit.Event) error {
	if !s.gate.enter() {
		return errClosed
	}
	defer s.gate.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &recorded{event: e, answer: make(chan error, 1)}
	s.recorder.add(r)
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RecordLater adds one event and returns before it is durable, see the rules above. It waits while the queue is full, and
// fails with fault.Unavailable "store-unavailable" when ctx ends first: then the event is not recorded.
func (s *Store) RecordLater(ctx context.Context, e audit.Event) error {
	if !s.gate.enter() {
		return errClosed
	}
	defer s.gate.leave()
	if e.ID == "" { // now: written again after a commit of which nobody knows, it is seen to be there
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		e.ID = id.String()
	}
	if e.At.IsZero() {
		e.At = s.clock()
	}
	select {
	case s.recorder.room <- struct{}{}:
	default:
		select {
		case s.recorder.room <- struct{}{}:
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "store-unavailable").Because(ctx.Err())
		}
	}
	s.recorder.add(&recorded{event: e})
	return nil
}

func (r *recorder) add(e *recorded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, e)
	if !r.busy {
		r.busy = true
		r.idle.Go(r.work)
	}
}

// drain waits for what is queued. The store's gate is shut by then.
func (r *recorder) drain() error {
	close(r.end)
	r.idle.Wait()
	if r.lost > 0 {
		return fault.New(fault.Unavailable, "store-unavailable").Because(errors.New("events of the audit trail could not be written before the end"))
	}
	return nil
}

// work records batches until none waits.
func (r *recorder) work() {
	for {
		r.mu.Lock()
		n := min(len(r.queue), recordCap)
		if n == 0 {
			r.queue, r.busy = nil, false
			r.mu.Unlock()
			return
		}
		batch := r.queue[:n:n]
		r.queue = r.queue[n:]
		r.mu.Unlock()
		for _, e := range r.record(batch) {
			r.insist(e)
		}
	}
}

// record writes a batch, answers those who wait, and returns those that nobody waits for and that could not be written.
func (r *recorder) record(batch []*recorded) (left []*recorded) {
	ctx := context.Background() // one caller who leaves must not take the others' events along
	err := r.write(ctx, r.store, func(t *Tx) error { return t.auditAll(batch) })
	for _, e := range batch {
		mine := err
		if err != nil && len(batch) > 1 { // one of them may be the reason, so each for itself
			mine = r.one(e)
		}
		switch {
		case e.answer != nil:
			e.answer <- mine
		case mine == nil || fault.Of(mine, fault.Exists):
			<-r.room
		default:
			left = append(left, e)
		}
	}
	return left
}

func (r *recorder) one(e *recorded) error {
	return r.write(context.Background(), r.store, func(t *Tx) error { return t.Audit(e.event) })
}

// insist writes an event until the database takes it. Everything that comes later waits behind it: the database is away.
func (r *recorder) insist(e *recorded) {
	defer func() { <-r.room }()
	for {
		err := r.one(e)
		if err == nil || fault.Of(err, fault.Exists) {
			return
		}
		select {
		case <-r.end:
			r.lost++
			return
		case <-time.After(recordPause):
		}
	}
}

// auditAll adds events, many per statement where there are many.
func (t *Tx) auditAll(batch []*recorded) error {
	for t.store.dialect.together && len(batch) >= eventRows {
		values := make([]any, 0, eventRows*eventValues)
		for _, e := range batch[:eventRows] {
			v, err := t.valuesOf(e.event)
			if err != nil {
				return err
			}
			values = append(values, v...)
		}
		if _, err := t.exec(insertManyEvents, values...); err != nil {
			return err
		}
		batch = batch[eventRows:]
	}
	for _, e := range batch {
		if err := t.Audit(e.event); err != nil {
			return err
		}
	}
	return nil
}
