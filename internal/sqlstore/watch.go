package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Rules of this file: a node keeps answers in memory only as long as the epoch stands. The epoch rises with every commit
// that bumped it, on whatever node or process. This process hears of its own commits at once, of other nodes' by NOTIFY
// (PostgreSQL), and of everybody's by reading the row every Options.Poll, which is also what holds when a notification
// is lost. Watchers are called one call at a time each, and a call that has not begun stands for all that came before.

const epochTopic = "epoch"

// relisten is how long a lost listening connection waits before it is opened again.
const relisten = time.Second

// Epoch is the newest epoch this process has heard of. It costs nothing.
func (s *Store) Epoch() int64 { return s.epoch.Load() }

// Watch calls fn, on a goroutine of its own, whenever the epoch has risen, until stop is called or the store is closed.
func (s *Store) Watch(fn func()) (stop func()) { return s.watchers.add(epochTopic, fn) }

// WatchTopic calls fn whenever topic was woken: "mail" after a commit that enqueued mail.
func (s *Store) WatchTopic(topic string, fn func()) (stop func()) { return s.watchers.add(topic, fn) }

// Wake wakes the watchers of a topic in this process.
func (s *Store) Wake(topic string) { s.watchers.wake(topic) }

// committed tells this process what a transaction changed.
func (s *Store) committed(t *Tx) {
	if t.bumped {
		s.advance(t.epoch)
	}
	for _, topic := range t.topics {
		if topic != epochTopic {
			s.watchers.wake(topic)
		}
	}
}

// advance raises the epoch and wakes its watchers when it was lower.
func (s *Store) advance(epoch int64) {
	for {
		have := s.epoch.Load()
		if have >= epoch {
			return
		}
		if s.epoch.CompareAndSwap(have, epoch) {
			s.watchers.wake(epochTopic)
			return
		}
	}
}

var selectEpoch = statement(`SELECT value FROM epoch WHERE id = 1`)

func (s *Store) readEpoch(ctx context.Context) error {
	return s.dialect.read(ctx, s, func(t *Tx) error {
		epoch, err := one(t, scanInt, selectEpoch)
		if err == nil {
			s.advance(epoch)
		}
		return err
	})
}

// poll reads the epoch until ctx ends. A database that does not answer is no reason to stop: the next reading catches up.
func (s *Store) poll(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = s.readEpoch(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// listenPostgres hears notifications until ctx ends, on a connection of its own that is opened again when it is lost.
func listenPostgres(ctx context.Context, s *Store) {
	for ctx.Err() == nil {
		_ = s.hear(ctx)
		timer := time.NewTimer(relisten)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (s *Store) hear(ctx context.Context) (err error) {
	conn, err := pgx.ConnectConfig(ctx, s.postgres)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, conn.Close(end))
	}()
	if _, err := conn.Exec(ctx, `LISTEN doorward`); err != nil {
		return err
	}
	s.listening.Store(true)
	defer s.listening.Store(false)
	_ = s.readEpoch(ctx) // what was said while nobody listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if n.Payload == epochTopic {
			_ = s.readEpoch(ctx)
		} else {
			s.watchers.wake(n.Payload)
		}
	}
}

// watchers are the functions to call per topic.
type watchers struct {
	mu    sync.Mutex
	of    map[string][]*watcher
	ended bool
	calls sync.WaitGroup
}

type watcher struct {
	wake chan struct{} // holds at most one
	stop chan struct{}
	once sync.Once
}

func (w *watcher) end() { w.once.Do(func() { close(w.stop) }) }

func (ws *watchers) add(topic string, fn func()) (stop func()) {
	w := &watcher{wake: make(chan struct{}, 1), stop: make(chan struct{})}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.ended {
		return func() {}
	}
	if ws.of == nil {
		ws.of = map[string][]*watcher{}
	}
	ws.of[topic] = append(ws.of[topic], w)
	ws.calls.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-w.wake:
			}
			select {
			case <-w.stop: // both were ready
				return
			default:
				fn()
			}
		}
	})
	return func() { ws.remove(topic, w) }
}

func (ws *watchers) remove(topic string, w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i, have := range ws.of[topic] {
		if have == w {
			ws.of[topic] = append(ws.of[topic][:i:i], ws.of[topic][i+1:]...)
			break
		}
	}
	w.end()
}

func (ws *watchers) wake(topic string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.of[topic] {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// end stops all watchers and waits for the calls that have begun.
func (ws *watchers) end() {
	ws.mu.Lock()
	ws.ended = true
	for _, all := range ws.of {
		for _, w := range all {
			w.end()
		}
	}
	ws.mu.Unlock()
	ws.calls.Wait()
}
