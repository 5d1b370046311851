// Package sqlstore keeps everything that must survive: SQLite for one machine, PostgreSQL for several. It decides
// nothing; it is the referee of what may happen once.
//
// Rules of this package:
//   - SQL is written once, with $1 parameters, in constants that a test prepares on both databases. What the two
//     databases differ in is the struct dialect and nothing else.
//   - The database is the referee. A single use is an UPDATE that names the unused state, a lost update is refused by
//     its version, an attempt is counted by one statement. Reading first and writing then is a bug.
//   - Times come in as parameters, and are kept as Unix milliseconds in UTC; 0 is the zero time.
//   - What must be readable again and is secret is sealed under the key ring, bound to table, column and row.
//   - A closure handed to Write may run more than once (PostgreSQL) and holds back every other writer while it runs
//     (SQLite): it computes nothing slow, sends nothing, and never begins a second transaction.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Options are what a Store takes besides its address.
type Options struct {
	// Clock is the injected clock; it is asked only for the time of an event that comes without one. Required.
	Clock func() time.Time
	// Conns is the size of the pool: readers on SQLite, all connections on PostgreSQL. 0 chooses by the processors.
	Conns int
	// Poll is how often the epoch of other processes is read, 0 for one second.
	Poll time.Duration
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	dialect  *dialect
	ring     *secret.Ring
	clock    func() time.Time
	db       *sql.DB         // PostgreSQL: everything; SQLite: readers
	postgres *pgx.ConnConfig // PostgreSQL only
	writer   *sql.DB         // SQLite only: the one connection that writes
	group    *group          // SQLite only
	readers  readers         // SQLite only

	epoch     atomic.Int64
	watchers  watchers
	recorder  *recorder
	listening atomic.Bool // a notification would be heard

	stop    context.CancelFunc // ends the goroutines of watch.go
	running sync.WaitGroup
	gate    gate
}

var errClosed = fault.New(fault.Unavailable, "store-closed")

// Open opens the database at dsn, "sqlite:PATH" or "postgres://…", brings its schema up to date and checks that ring is
// the one it was written under (see CheckRing). It fails with fault.Invalid for an address it does not understand, and
// with fault.Unavailable when the database cannot be reached.
func Open(ctx context.Context, dsn string, ring *secret.Ring, o Options) (*Store, error) {
	if ring == nil || o.Clock == nil {
		return nil, errors.New("sqlstore: a key ring and a clock are required")
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	s := &Store{ring: ring, clock: o.Clock}
	var err error
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		s.dialect = sqliteDialect
		err = s.openSQLite(strings.TrimPrefix(dsn, "sqlite:"), o)
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		s.dialect = postgresDialect
		err = s.openPostgres(ctx, dsn, o)
	default:
		return nil, fault.New(fault.Invalid, "store-address")
	}
	if err == nil {
		err = s.begin(ctx, o)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begin brings an opened database into service.
func (s *Store) begin(ctx context.Context, o Options) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.writer != nil {
		s.group = newGroup(s)
	}
	s.recorder = newRecorder(s)
	if err := s.CheckRing(ctx); err != nil {
		return err
	}
	if err := s.readEpoch(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.running.Go(func() { s.poll(run, o.Poll) })
	if s.postgres != nil {
		s.running.Go(func() { s.warm(run) })
	}
	if s.dialect.listen != nil {
		s.running.Go(func() { s.dialect.listen(run, s) })
	}
	return nil
}

// Read runs fn on what was committed before. Its Tx refuses to write. On SQLite the whole closure sees one state; on
// PostgreSQL every statement sees what was committed before that statement.
func (s *Store) Read(ctx context.Context, fn func(*Tx) error) error {
	if !s.gate.enter() {
		return errClosed
	}
	defer s.gate.leave()
	return s.dialect.read(ctx, s, fn)
}

// Write runs fn in one transaction and returns after it is durable. When fn returns an error, panics or exits its
// goroutine, nothing it did remains. An unexpected error of the database undoes the transaction even if fn returns nil.
// A cancelled ctx undoes what has not begun to commit, and never harms another caller. After an error while committing
// (fault.Unavailable) the outcome is unknown. fn may run again when PostgreSQL asks for it, so it must set, not add to,
// what lies outside.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	if !s.gate.enter() {
		return errClosed
	}
	defer s.gate.leave()
	return s.dialect.write(ctx, s, fn)
}

// Ping reports whether the database answers and takes writes.
func (s *Store) Ping(ctx context.Context) error {
	if !s.gate.enter() {
		return errClosed
	}
	defer s.gate.leave()
	if s.group != nil { // an empty transaction: the file can be locked and the writer is not stuck
		return s.group.do(ctx, func(*Tx) error { return nil })
	}
	return s.explain(s.db.PingContext(ctx))
}

// Clock is the time by the database's clock, in whole milliseconds. Nodes compare it with their own before they say that they are ready:
// a node whose clock is off would take codes of other minutes.
func (s *Store) Clock(ctx context.Context) (time.Time, error) {
	var ms int64
	if err := s.db.QueryRowContext(ctx, s.dialect.now).Scan(&ms); err != nil {
		return time.Time{}, s.explain(err)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// Close refuses further transactions, waits for those that have begun, and closes the database.
func (s *Store) Close() error {
	if !s.gate.shut() {
		return nil
	}
	if s.stop != nil {
		s.stop()
	}
	var errs []error
	if s.recorder != nil {
		errs = append(errs, s.recorder.drain())
	}
	if s.group != nil {
		s.group.drain()
	}
	s.running.Wait()
	s.watchers.end()
	if s.readers != nil {
		errs = append(errs, s.readers.end())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// gate counts who is inside, and lets nobody in once shut.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // closed when the last one leaves a shut gate
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// shut shuts the gate and waits until nobody is inside. It reports whether it was open.
func (g *gate) shut() bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	g.closed, g.empty = true, make(chan struct{})
	if g.inside == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	<-g.empty
	return true
}

// Door is a Store as one service sees it: its transactions have only the methods the service has declared.
type Door[T any] struct{ store *Store }

// For narrows a store to the interface T, which *Tx must satisfy.
func For[T any](s *Store) Door[T] {
	if _, ok := any((*Tx)(nil)).(T); !ok {
		panic(fmt.Sprintf("sqlstore: *Tx does not have the methods of %T", (*T)(nil)))
	}
	return Door[T]{s}
}

// Read is Store.Read.
func (d Door[T]) Read(ctx context.Context, fn func(T) error) error {
	return d.store.Read(ctx, func(tx *Tx) error { return fn(any(tx).(T)) })
}

// Write is Store.Write.
func (d Door[T]) Write(ctx context.Context, fn func(T) error) error {
	return d.store.Write(ctx, func(tx *Tx) error { return fn(any(tx).(T)) })
}
