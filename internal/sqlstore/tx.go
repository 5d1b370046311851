package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Tx is one transaction. It belongs to the closure it was handed to and to its goroutine, and is dead afterwards.
//
// What its methods promise in common: reading one thing that is not there is fault.NotFound "not-found"; adding what is
// there already is fault.Exists "exists", and the transaction can go on; changing what has another version by now is
// fault.Conflict "stale". Add stores the version as it comes (0 for a new thing), an update stores the next one: who
// wants to go on with the copy in hand raises its Version by one. Any error that is not a fault.Error undoes the whole
// transaction, whatever the closure returns.
type Tx struct {
	store  *Store
	ctx    context.Context // the caller's: looked at before each statement
	run    context.Context // what statements run under; on SQLite it is never cancelled, see group
	runner runner
	write  bool
	first  func() error // called before the first write, may be nil
	over   bool
	doomed error
	bumped bool
	epoch  int64 // after this transaction, when it bumped
	topics []string
	again  bool // may run again: the database undid it, see note
	moved  bool // its connection leads to a machine that takes no writes any more
}

// runner runs one statement text.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

var (
	errNotFound = fault.New(fault.NotFound, "not-found")
	errExists   = fault.New(fault.Exists, "exists")
	errStale    = fault.New(fault.Conflict, "stale")
	errOver     = errors.New("sqlstore: the transaction is over")
	errReadOnly = errors.New("sqlstore: a reading transaction cannot write")
)

// texts are all statements there are, for the test that prepares them.
var texts []string

// statement registers the text of a statement.
func statement(text string) string {
	texts = append(texts, text)
	return text
}

func (t *Tx) ready(write bool) error {
	switch {
	case t.over:
		return errOver
	case t.doomed != nil:
		return t.doomed
	case write && !t.write:
		return errReadOnly
	}
	if err := t.ctx.Err(); err != nil || !write || t.first == nil {
		return err
	}
	if err := t.first(); err != nil {
		return t.fail(err)
	}
	t.first = nil
	return nil
}

// fail explains an error of the database and dooms the transaction: after one, PostgreSQL would refuse to go on and
// SQLite would not, so neither may.
func (t *Tx) fail(err error) error {
	if t.doomed == nil {
		t.note(err)
		t.doomed = t.store.explain(err)
	}
	return t.doomed
}

// exec writes and returns how many rows it touched.
func (t *Tx) exec(text string, args ...any) (int, error) {
	if err := t.ready(true); err != nil {
		return 0, err
	}
	clean(args)
	res, err := t.runner.ExecContext(t.run, text, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, t.fail(err)
	}
	return int(n), nil
}

// clean replaces what PostgreSQL does not take as text and SQLite would: NUL, and bytes that are no UTF-8. Visitors send
// such things to see which error they get. Types made of strings (a role, a kind) come from fields of forms as well.
func clean(args []any) {
	for i, a := range args {
		s, ok := a.(string)
		if v := reflect.ValueOf(a); !ok && v.Kind() == reflect.String {
			s, ok = v.String(), true
		}
		if ok && (!utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0) {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
}

// insert runs an INSERT … ON CONFLICT DO NOTHING; no row means that the thing is there already.
func (t *Tx) insert(text string, args ...any) error {
	n, err := t.exec(text, args...)
	if err == nil && n == 0 {
		err = errExists
	}
	return err
}

// update runs an UPDATE that names the version; no row means that another was quicker, or that there is none.
func (t *Tx) update(exists, id, text string, args ...any) error {
	n, err := t.exec(text, args...)
	if err != nil || n > 0 {
		return err
	}
	if _, err = one(t, scanInt, exists, id); err != nil {
		return err
	}
	return errStale
}

// row is what a scan function reads from.
type row interface{ Scan(dest ...any) error }

// list reads all rows of a query.
func list[T any](t *Tx, scan func(*Tx, row) (T, error), text string, args ...any) ([]T, error) {
	return rows(t, false, scan, text, args...)
}

// returning is list for a statement that writes and returns rows.
func returning[T any](t *Tx, scan func(*Tx, row) (T, error), text string, args ...any) ([]T, error) {
	return rows(t, true, scan, text, args...)
}

func rows[T any](t *Tx, write bool, scan func(*Tx, row) (T, error), text string, args ...any) ([]T, error) {
	if err := t.ready(write); err != nil {
		return nil, err
	}
	clean(args)
	rows, err := t.runner.QueryContext(t.run, text, args...)
	if err != nil {
		return nil, t.fail(err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(t, rows)
		if err != nil {
			return nil, t.fail(err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, t.fail(err)
	}
	return out, nil
}

// one reads the first row of a query, or fails with "not-found".
func one[T any](t *Tx, scan func(*Tx, row) (T, error), text string, args ...any) (T, error) {
	var zero T
	all, err := list(t, scan, text, args...)
	if err != nil {
		return zero, err
	}
	if len(all) == 0 {
		return zero, errNotFound
	}
	return all[0], nil
}

func scanInt(_ *Tx, r row) (n int64, err error) { return n, r.Scan(&n) }

// Bump says that this transaction changes what others may have cached: after its commit the epoch has risen and the
// watchers of every node are woken. Whatever ends something does so by itself (see ended): a caller who forgot would let
// what is dead live on in the memory of every node.
func (t *Tx) Bump() { t.bumped = true }

// ended raises the epoch where rows were touched by what takes something away from somebody.
func (t *Tx) ended(n int, err error) (int, error) {
	if err == nil && n > 0 {
		t.Bump()
	}
	return n, err
}

// wake says whom to wake after the commit.
func (t *Tx) wake(topic string) {
	for _, have := range t.topics {
		if have == topic {
			return
		}
	}
	t.topics = append(t.topics, topic)
}

var bumpEpoch = statement(`UPDATE epoch SET value = value + 1 WHERE id = 1 RETURNING value`)

// finish does what belongs to the end of the transaction, before its commit.
func (t *Tx) finish() error {
	if t.doomed != nil {
		return t.doomed
	}
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if t.bumped {
		epoch, err := returning(t, scanInt, bumpEpoch)
		if err != nil {
			return err
		}
		t.epoch = epoch[0]
		t.wake(epochTopic)
	}
	if t.store.dialect.notify == "" {
		return nil
	}
	for _, topic := range t.topics {
		if _, err := t.exec(t.store.dialect.notify, topic); err != nil {
			return err
		}
	}
	return nil
}

// seal seals a value for its row; nothing stays nothing.
func (t *Tx) seal(table, column, id string, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	sealed, err := t.store.ring.Seal(secret.Place{Table: table, Column: column, Row: id}, plain)
	if err != nil {
		return nil, t.fail(err)
	}
	return sealed, nil
}

func (t *Tx) unseal(table, column, id string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	return t.store.ring.Open(secret.Place{Table: table, Column: column, Row: id}, sealed)
}

// millis is a time as stored.
func millis(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// stamp scans a stored time into dst.
type stamp struct{ dst *time.Time }

// Scan implements sql.Scanner.
func (s stamp) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("sqlstore: a time stored as %T", v)
	}
	*s.dst = instant(n)
	return nil
}

// document scans stored JSON into dst.
type document struct{ dst any }

// Scan implements sql.Scanner.
func (d document) Scan(v any) error {
	switch v := v.(type) {
	case string:
		return json.Unmarshal([]byte(v), d.dst)
	case []byte:
		return json.Unmarshal(v, d.dst)
	}
	return fmt.Errorf("sqlstore: a document stored as %T", v)
}

// text is a value as a JSON document. The nouns of this house always have one.
func (t *Tx) text(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", t.fail(err)
	}
	return string(b), nil
}

// folded is a name as it is sorted and searched by: lower case.
func folded(name string) string { return strings.ToLower(name) }

// limited keeps a page between 1 and 1000 rows; 0 asks for 50.
func limited(n int) int {
	switch {
	case n <= 0:
		return 50
	case n > 1000:
		return 1000
	}
	return n
}

// instant is a stored time.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// digest scans a stored hash into dst.
type digest struct{ dst *tlog.Hash }

// Scan implements sql.Scanner.
func (d digest) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(d.dst) {
		return fmt.Errorf("sqlstore: a hash stored as %T of %d bytes", v, len(b))
	}
	copy(d.dst[:], b)
	return nil
}
