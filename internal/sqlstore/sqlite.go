package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"doorward/internal/fault"
)

// Rules of SQLite here: one connection writes, so that a writer never meets another of this process, and begins
// IMMEDIATE, so that it never finds its snapshot outdated when it wants to write. Every commit is on the disk before it
// is answered (synchronous=FULL). Readers have their own connections, which cannot write, and never wait (WAL).

func (s *Store) openSQLite(path string, o Options) error {
	if path == "" || path == ":memory:" {
		return fault.New(fault.Invalid, "store-address")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	// Created here, so that nobody else on the machine can read it from the first moment. SQLite gives its side files
	// the same mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fault.New(fault.Unavailable, "store-unavailable").Because(err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if s.writer, err = sql.Open("sqlite", sqliteName(path, "journal_mode(WAL)")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if err := s.writer.Ping(); err != nil { // WAL is in the file before a reader opens it
		return s.explain(err)
	}
	if s.db, err = sql.Open("sqlite", sqliteName(path, "query_only(1)")); err != nil {
		return err
	}
	if o.Conns <= 0 {
		o.Conns = max(4, 2*runtime.GOMAXPROCS(0))
	}
	s.readers = newReaders(o.Conns)
	return nil
}

// sqliteName is the name of a database for the driver, with what every connection sets.
func sqliteName(path, pragma string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)", pragma, "synchronous(FULL)", "foreign_keys(ON)", "trusted_schema(OFF)", "journal_size_limit(67108864)",
	}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// line is one connection with its prepared statements. One goroutine uses it at a time.
type line struct {
	conn  *sql.Conn
	ready map[string]*sql.Stmt
}

func newLine(ctx context.Context, db *sql.DB) (*line, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &line{conn: conn, ready: map[string]*sql.Stmt{}}, nil
}

func (l *line) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := l.ready[text]; ok {
		return st, nil
	}
	st, err := l.conn.PrepareContext(ctx, text)
	if err == nil {
		l.ready[text] = st
	}
	return st, err
}

// ExecContext implements runner.
func (l *line) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	st, err := l.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

// QueryContext implements runner.
func (l *line) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	st, err := l.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (l *line) do(ctx context.Context, text string) error {
	_, err := l.ExecContext(ctx, text)
	return err
}

// close closes the connection itself, not only this use of it: it may still be in a transaction, and nobody may be
// handed it again. Its statements go first; the driver would touch freed memory otherwise.
func (l *line) close() error {
	var errs []error
	for _, st := range l.ready {
		errs = append(errs, st.Close())
	}
	if err := l.conn.Raw(func(any) error { return driver.ErrBadConn }); err != nil && !errors.Is(err, driver.ErrBadConn) {
		errs = append(errs, err)
	}
	if err := l.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// readers is a pool of lines; a nil one is opened when it is first taken.
type readers chan *line

func newReaders(n int) readers {
	r := make(readers, n)
	for range n {
		r <- nil
	}
	return r
}

func (r readers) take(ctx context.Context, db *sql.DB) (*line, error) {
	select {
	case l := <-r:
		if l != nil {
			return l, nil
		}
		l, err := newLine(ctx, db)
		if err != nil {
			r <- nil
		}
		return l, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// end closes all lines, after those in use have come back.
func (r readers) end() error {
	var errs []error
	for range cap(r) {
		if l := <-r; l != nil {
			errs = append(errs, l.close())
		}
	}
	return errors.Join(errs...)
}

func readSQLite(ctx context.Context, s *Store, fn func(*Tx) error) (err error) {
	l, err := s.readers.take(ctx, s.db)
	if err != nil {
		return s.explain(err)
	}
	run := context.WithoutCancel(ctx)
	t := &Tx{store: s, ctx: ctx, run: run, runner: l}
	defer func() {
		t.over = true
		// A line that does not end its transaction is of no more use.
		if end := l.do(run, `ROLLBACK`); end != nil {
			err = errors.Join(err, l.close())
			l = nil
		}
		s.readers <- l
	}()
	if err = l.do(run, `BEGIN DEFERRED`); err != nil {
		return s.explain(err)
	}
	if err = fn(t); err == nil {
		err = t.doomed
	}
	return err
}

func writeSQLite(ctx context.Context, s *Store, fn func(*Tx) error) error { return s.group.do(ctx, fn) }
