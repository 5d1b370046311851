package sqlstore

import (
	"context"
	"sync"

	"doorward/internal/audit"
)

// Recording events that stand alone, such as "a token was issued": nothing else changes with them, so many callers' can
// share one transaction, and on PostgreSQL one statement. While one batch commits the next one gathers by itself.

const recordCap = 512 // events in one transaction

// recorder gathers events.
type recorder struct {
	store *Store
	mu    sync.Mutex
	queue []*recorded
	busy  bool // its goroutine runs
	idle  sync.WaitGroup
}

type recorded struct {
	event  audit.Event
	answer chan error
}

func newRecorder(s *Store) *recorder { return &recorder{store: s} }

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
func (r *recorder) drain() { r.idle.Wait() }

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
		r.record(batch)
	}
}

func (r *recorder) record(batch []*recorded) {
	ctx := context.Background() // one caller who leaves must not take the others' events along
	err := r.store.dialect.write(ctx, r.store, func(t *Tx) error { return t.auditAll(batch) })
	for _, e := range batch {
		if err != nil && len(batch) > 1 { // one of them may be the reason, so each for itself
			e.answer <- r.store.dialect.write(ctx, r.store, func(t *Tx) error { return t.Audit(e.event) })
		} else {
			e.answer <- err
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
