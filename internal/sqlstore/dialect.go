package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"doorward/internal/fault"
)

// dialect is everything the two databases differ in.
type dialect struct {
	goose goose.Dialect
	types *strings.Replacer // column types and collations of the migrations, which are written for PostgreSQL
	// together says that many rows in one INSERT cost less than one after the other. They save round trips to PostgreSQL;
	// SQLite has none and takes longer over a statement with hundreds of parameters.
	together bool
	now      string // reads the database's clock, Unix ms
	notify   string // tells topic $1 to other processes at the commit, empty when there is no such way
	read     func(context.Context, *Store, func(*Tx) error) error
	write    func(context.Context, *Store, func(*Tx) error) error
	listen   func(context.Context, *Store) // hears what notify says; nil when there is no such way
	cause    func(error) cause
}

var sqliteDialect = &dialect{
	goose: goose.DialectSQLite3,
	types: strings.NewReplacer(`BYTEA`, `BLOB`, ` COLLATE "C"`, ``, `/* WITHOUT ROWID */`, `WITHOUT ROWID`),
	now:   `SELECT CAST(unixepoch('subsec') * 1000 AS BIGINT)`,
	read:  readSQLite,
	write: writeSQLite,
	cause: causeSQLite,
}

var postgresDialect = &dialect{
	goose:    goose.DialectPostgres,
	together: true,
	types:    strings.NewReplacer(),
	now:      `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`,
	notify:   `SELECT pg_notify('doorward', $1)`,
	read:     readPostgres,
	write:    writePostgres,
	listen:   listenPostgres,
	cause:    causePostgres,
}

// cause is what can be done about an error of the database.
type cause uint8

const (
	broken cause = iota // a mistake of ours, or data that does not open
	taken               // a unique thing is taken
	again               // the transaction was undone for no fault of its own
	gone                // the database cannot be reached, is full, locked or moved to another machine
)

func causeSQLite(err error) cause {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return broken
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return taken
	}
	switch e.Code() & 0xff { // the primary code; the rest says where
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM:
		return gone
	}
	return broken
}

func causePostgres(err error) cause {
	var e *pgconn.PgError
	var n net.Error
	var c *pgconn.ConnectError
	switch {
	case errors.As(err, &e):
		return causeOfState(e.Code)
	case errors.As(err, &c), errors.As(err, &n), errors.Is(err, driver.ErrBadConn), pgconn.SafeToRetry(err), pgconn.Timeout(err):
		return gone
	}
	return broken
}

// causeOfState reads an SQLSTATE (PostgreSQL manual, appendix A).
func causeOfState(state string) cause {
	switch state {
	case "23505": // unique_violation
		return taken
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return again
	case "25006": // read_only_sql_transaction: this machine is no longer the primary
		return gone
	}
	for _, class := range []string{"08", "53", "57P", "58"} { // connection, resources, operator's intervention, system
		if strings.HasPrefix(state, class) {
			return gone
		}
	}
	return broken
}

// explain turns an error of the database into one of this house.
func (s *Store) explain(err error) error {
	if err == nil || fault.As(err) != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch s.dialect.cause(err) {
	case taken:
		return errExists.Because(err)
	case again:
		return fault.New(fault.Unavailable, "store-busy").Because(err)
	case gone:
		return fault.New(fault.Unavailable, "store-unavailable").Because(err)
	}
	return fmt.Errorf("sqlstore: %w", err)
}
