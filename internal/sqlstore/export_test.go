package sqlstore

import (
	"context"
	"database/sql"
	"runtime"
	"sync/atomic"

	"doorward/internal/fault"
)

// Texts are all statements of a store's dialect.
func (s *Store) Texts() []string {
	all := append([]string{s.dialect.now}, texts...)
	if s.dialect.notify != "" {
		all = append(all, s.dialect.notify)
	}
	return all
}

// DB is the handle of readers, on PostgreSQL of everybody.
func (s *Store) DB() *sql.DB { return s.db }

// SQLite says which database it is.
func (s *Store) SQLite() bool { return s.writer != nil }

// Raw runs any statement in the transaction.
func (t *Tx) Raw(text string) error {
	_, err := t.runner.ExecContext(t.run, text)
	return err
}

// Await returns when n requests wait for the writer.
func (s *Store) Await(n int) {
	for {
		s.group.mu.Lock()
		waiting := len(s.group.queue)
		s.group.mu.Unlock()
		if waiting >= n {
			return
		}
		runtime.Gosched()
	}
}

// Commits counts the commits of the writer so far.
func (s *Store) Commits() int64 { return s.group.commits.Load() }

// AwaitListening returns when notifications are heard.
func (s *Store) AwaitListening() {
	for !s.listening.Load() {
		runtime.Gosched()
	}
}

// Encrypted reports whether every way a PostgreSQL address leads is encrypted with a verified certificate.
func Encrypted(dsn string) (bool, error) {
	c, err := postgresConfig(dsn)
	if err != nil {
		return false, err
	}
	ok := c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify
	for _, f := range c.Fallbacks {
		ok = ok && f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify
	}
	return ok, nil
}

// RecordQueue is how many events may wait.
const RecordQueue = recordQueue

// Break makes events fail to be recorded as when the database is away, until it is mended. With unsure every other failure
// comes after the commit, when nobody knows what became of it. It is called before anything is recorded.
func (s *Store) Break(unsure bool) (mend func()) {
	var mended atomic.Bool
	var tries atomic.Int64
	s.recorder.write = func(ctx context.Context, s *Store, fn func(*Tx) error) error {
		if mended.Load() {
			return s.dialect.write(ctx, s, fn)
		}
		if tries.Add(1)%2 == 0 && unsure {
			if err := s.dialect.write(ctx, s, fn); err != nil {
				return err
			}
		}
		return fault.New(fault.Unavailable, "store-unavailable")
	}
	return func() { mended.Store(true) }
}
