package testdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Rows reads and writes everything that a database holds, beside the store that has it open: a state can be kept, compared
// with another, and come back as often as a test likes, without opening a store anew. What the store remembers is not part
// of a state: what was begun later must have ended, and caches must hang on the epoch or be made anew.
type Rows struct {
	t        testing.TB
	db       *sql.DB
	postgres bool
	tables   []string
	yes      map[string]bool      // columns that are true or false, by table.column: SQLite has numbers there
	ready    map[string]*sql.Stmt // by their text: preparing them costs more than running them
	have     State                // what Put or Take saw last: tables that are still the same are shared
}

// State is what a database holds, by table, and may be put into the other kind of database. It is never changed.
type State map[string]*table

type table struct {
	columns []string
	rows    [][]any
	print   string
}

// OpenRows opens the database at an address that a store has brought up to date. It is closed with the test.
func OpenRows(t testing.TB, dsn string) *Rows {
	t.Helper()
	r := &Rows{t: t, postgres: !strings.HasPrefix(dsn, "sqlite:"), have: State{}, yes: map[string]bool{}, ready: map[string]*sql.Stmt{}}
	driver, name, list := "pgx", dsn, `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version'`
	if !r.postgres {
		driver, name = "sqlite", "file:"+strings.TrimPrefix(dsn, "sqlite:")+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=synchronous(OFF)"
		list = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`
	}
	var err error
	if r.db, err = sql.Open(driver, name); err != nil {
		t.Fatal(err)
	}
	r.db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = r.db.Close() })
	rows, err := r.db.Query(list)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		r.tables = append(r.tables, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(r.tables) < 10 {
		t.Fatalf("%d tables: %v", len(r.tables), err)
	}
	for _, name := range r.tables {
		for _, text := range []string{all + name, clear + name} {
			if r.ready[text], err = r.db.Prepare(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

const (
	all   = `SELECT * FROM `
	clear = `DELETE FROM `
)

// Take reads what the database holds.
func (r *Rows) Take() State {
	r.t.Helper()
	tx, err := r.db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: r.postgres, Isolation: r.isolation()})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	r.have = r.read(tx)
	return r.have
}

// Put makes the database hold what a state says. Tables that hold it already are left alone.
func (r *Rows) Put(s State) {
	r.t.Helper()
	tx, err := r.db.BeginTx(context.Background(), &sql.TxOptions{Isolation: r.isolation()})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for name, now := range r.read(tx) {
		if then := s[name]; then.print != now.print {
			if err := r.write(tx, name, then); err != nil {
				r.t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		r.t.Fatal(err)
	}
	r.have = s
}

// isolation lets all tables be read as they were at one moment; SQLite knows no other.
func (r *Rows) isolation() sql.IsolationLevel {
	if r.postgres {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

func (r *Rows) read(tx *sql.Tx) State {
	r.t.Helper()
	s := State{}
	for _, name := range r.tables {
		t, err := r.table(tx, name)
		if err != nil {
			r.t.Fatalf("%s: %v", name, err)
		}
		if had := r.have[name]; had != nil && had.print == t.print {
			t = had
		}
		s[name] = t
	}
	return s
}

func (r *Rows) table(tx *sql.Tx, name string) (*table, error) {
	rows, err := tx.Stmt(r.ready[all+name]).Query()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	t := &table{}
	if t.columns, err = rows.Columns(); err != nil {
		return nil, err
	}
	kinds, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	for i, kind := range kinds {
		if r.postgres && kind.DatabaseTypeName() == "BOOL" {
			r.yes[name+"."+t.columns[i]] = true
		}
	}
	var print []string
	for rows.Next() {
		row := make([]any, len(t.columns))
		to := make([]any, len(t.columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		for i, v := range row {
			if v == true {
				row[i] = int64(1)
			} else if v == false {
				row[i] = int64(0)
			}
		}
		t.rows = append(t.rows, row)
		print = append(print, t.text(row))
	}
	slices.Sort(print) // PostgreSQL gives a row another place when it changes
	t.print = strings.Join(print, "\n")
	return t, rows.Err()
}

// text is a row in one line.
func (t *table) text(row []any) string {
	var b []byte
	for i, v := range row {
		b = append(append(b, ' '), t.columns[i]...)
		switch v := v.(type) {
		case int64:
			b = strconv.AppendInt(append(b, '='), v, 10)
		case string:
			b = strconv.AppendQuote(append(b, '='), v)
		case []byte:
			b = fmt.Appendf(append(b, '='), "%x", v)
		default:
			b = fmt.Appendf(append(b, '='), "%v", v)
		}
	}
	return string(b)
}

func (r *Rows) write(tx *sql.Tx, name string, t *table) error {
	if _, err := tx.Stmt(r.ready[clear+name]).Exec(); err != nil || len(t.rows) == 0 {
		return err
	}
	columns, places := make([]string, len(t.columns)), make([]string, len(t.columns))
	for i, c := range t.columns {
		columns[i], places[i] = strconv.Quote(c), "$"+strconv.Itoa(i+1)
	}
	insert, err := tx.Prepare(`INSERT INTO ` + strconv.Quote(name) + ` (` + strings.Join(columns, ", ") + `) VALUES (` + strings.Join(places, ", ") + `)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, row := range t.rows {
		row = slices.Clone(row)
		for i, c := range t.columns {
			if r.yes[name+"."+c] {
				row[i] = row[i] == int64(1)
			}
		}
		if _, err := insert.Exec(row...); err != nil {
			return err
		}
	}
	return nil
}

// Changed lists the rows that are in one of two states alone, those of the earlier behind "-", of the later behind "+",
// under the name of their table.
func (s State) Changed(later State) map[string][]string {
	out := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		before, after := s[name], later[name]
		if before.print == after.print {
			continue
		}
		a, b := strings.Split(before.print, "\n"), strings.Split(after.print, "\n")
		for _, row := range a {
			if row != "" && !slices.Contains(b, row) {
				out[name] = append(out[name], "-"+row)
			}
		}
		for _, row := range b {
			if row != "" && !slices.Contains(a, row) {
				out[name] = append(out[name], "+"+row)
			}
		}
	}
	return out
}
