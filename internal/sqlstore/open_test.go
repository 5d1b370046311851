package sqlstore_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/mail"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

func clock() time.Time { return noon }

func open(t *testing.T, dsn string, ring *secret.Ring) (*sqlstore.Store, error) {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), dsn, ring, sqlstore.Options{Clock: clock, Conns: 2})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func newRing(t *testing.T) *secret.Ring {
	t.Helper()
	r, err := secret.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWrongRingIsRefused(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		ring := newRing(t)
		first, err := open(t, dsn, ring)
		if err != nil {
			t.Fatal(err)
		}
		_, err = open(t, dsn, newRing(t))
		refused(t, err, fault.Invalid, "wrong-ring")
		if err := first.CheckRing(t.Context()); err != nil {
			t.Errorf("the attempt changed something: %v", err)
		}
		if err := ring.Rotate(); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, dsn, ring); err != nil {
			t.Errorf("a rotated ring is refused: %v", err)
		}
	})
}

// Nodes that start at once on an empty database: the schema is made once, and of several rings one is the database's.
func TestManyOpenAtOnce(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		wipe(t, dsn)
		rings := []*secret.Ring{newRing(t), newRing(t)}
		errs := make([]error, 6)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { _, errs[i] = open(t, dsn, rings[i%2]) })
		}
		all.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && (won < 0 || won == i%2):
				won = i % 2
			case err == nil:
				t.Error("stores with different rings opened")
			case !errors.Is(err, fault.New(fault.Invalid, "wrong-ring")):
				t.Error(err)
			}
		}
		if won < 0 {
			t.Error("none opened")
		}
	})
}

// wipe takes the schema out of a PostgreSQL database; a SQLite one is new anyway.
func wipe(t *testing.T, dsn string) {
	t.Helper()
	if strings.HasPrefix(dsn, "sqlite:") {
		return
	}
	execute(t, dsn, `DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
}

func execute(t *testing.T, dsn, text string) {
	t.Helper()
	driver, name := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, name = "sqlite", path
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// A node of the previous version goes on, and starts again, after another has brought the schema ahead.
func TestDatabaseAheadOfTheProgramOpens(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		ring := newRing(t)
		if _, err := open(t, dsn, ring); err != nil {
			t.Fatal(err)
		}
		execute(t, dsn, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)`)
		execute(t, dsn, `ALTER TABLE person ADD COLUMN later TEXT NOT NULL DEFAULT ''`)
		t.Cleanup(func() {
			execute(t, dsn, `DELETE FROM goose_db_version WHERE version_id = 9999`)
			execute(t, dsn, `ALTER TABLE person DROP COLUMN later`)
		})
		s, err := open(t, dsn, ring)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddPerson(someone("p")) })
	})
}

func TestAddressesAreRefused(t *testing.T) {
	for _, dsn := range []string{"", "sqlite:", "sqlite::memory:", "mysql://x", "postgres://a b:c/%zz", "/var/lib/x.db"} {
		_, err := open(t, dsn, newRing(t))
		if !fault.Of(err, fault.Invalid) {
			t.Errorf("%q: %v", dsn, err)
		}
	}
	_, err := open(t, "sqlite:"+filepath.Join(t.TempDir(), "no", "such", "dir", "x.db"), newRing(t))
	refused(t, err, fault.Unavailable, "store-unavailable")
	_, err = open(t, "postgres:///x?host="+t.TempDir()+"&user=u&password=hunter2", newRing(t))
	refused(t, err, fault.Unavailable, "store-unavailable")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error gives the password away: %v", err)
	}
	_, err = open(t, "postgres://u:hunter2@[::1/x", newRing(t))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error gives the password away: %v", err)
	}
}

// Only its owner may read the file, and names that mean something in an address are names all the same.
func TestSQLiteFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a dir? with #1 100% odd&_pragma=x")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := open(t, "sqlite:"+filepath.Join(dir, "d?w#.db"), newRing(t))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, func(tx *sqlstore.Tx) error { return tx.AddPerson(someone("p")) })
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 { // with the write-ahead log
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(f.Name(), "d?w#.db") {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000", "query_only": "1"} {
		var got string
		if err := s.DB().QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %s, %v", pragma, got, err)
		}
	}
}

// A stolen copy of the database holds no seed, no question and no link; what a thief would look for is planted and
// looked for in every table.
func TestSEC_T7_SecretsAreNotInTheDatabase(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := testdb.Open(t, dsn)
		const seed, challenge, link, name = "canary-seed-5151", "canary-challenge-5252", "canary-link-5353", "canary-name-5454"
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(
				tx.AddCredential(authn.Credential{ID: "c", Realm: "r", Person: "p", Kind: authn.TOTP, State: authn.Active, Name: name, Data: []byte(seed)}),
				tx.AddFlow(authn.Flow{ID: "f", Realm: "r", State: authn.FlowOpen, Open: authn.Question{Kind: authn.TOTP, Data: []byte(challenge)}}),
				tx.Enqueue(mail.Message{ID: "m", Realm: "r", Args: map[string]string{"link": link}}),
			)
		})
		dump := dumped(t, s)
		if !bytes.Contains(dump, []byte(name)) {
			t.Fatal("the dump does not even hold what is in clear")
		}
		for _, secret := range []string{seed, challenge, link} {
			if bytes.Contains(dump, []byte(secret)) {
				t.Errorf("%s stands in the database", secret)
			}
		}
		// A sealed value opens in its own row only.
		execute(t, dsn, `INSERT INTO credential (id, realm, person, kind, state, name, model, data, created, last_used, ended, version)
			SELECT 'thief', realm, 'q', kind, state, name, model, data, created, last_used, ended, version FROM credential WHERE id = 'c'`)
		err := s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.Credentials("r", "q"); return err })
		if !errors.Is(err, secret.ErrSealed) {
			t.Errorf("a credential moved to another row opens: %v", err)
		}
		// A message that is done keeps nothing.
		put(t, s, func(tx *sqlstore.Tx) error { return tx.FinishMail(mail.Message{ID: "m", State: mail.Sent}) })
		var args []byte
		if err := s.DB().QueryRow(`SELECT args FROM mail WHERE id = 'm'`).Scan(&args); err != nil || args != nil {
			t.Errorf("args of a sent message: %q, %v", args, err)
		}
	})
}

// dumped is every value of every table.
func dumped(t *testing.T, s *sqlstore.Store) []byte {
	t.Helper()
	list := `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	if s.SQLite() {
		list = `SELECT name FROM sqlite_schema WHERE type = 'table'`
	}
	var tables []string
	each(t, s, list, func(v []any) { tables = append(tables, fmt.Sprintf("%s", v[0])) })
	if len(tables) < 20 {
		t.Fatalf("tables %q", tables)
	}
	var out bytes.Buffer
	for _, table := range tables {
		each(t, s, `SELECT * FROM `+table, func(v []any) {
			for _, x := range v {
				fmt.Fprintf(&out, "%s\n", x)
			}
		})
	}
	return out.Bytes()
}

func each(t *testing.T, s *sqlstore.Store, query string, do func([]any)) {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		do(values)
	}
}

func TestClockAndPing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		before := time.Now().Add(-time.Minute)
		at, err := s.Clock(t.Context())
		if err != nil || at.Before(before) || at.After(before.Add(10*time.Minute)) || at.Location() != time.UTC {
			t.Errorf("the database's clock says %v, %v", at, err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

type small interface {
	Realm(string) (directory.Realm, error)
	Bump()
}

func TestForNarrowsTheStore(t *testing.T) {
	s := testdb.SQLite(t)
	door := sqlstore.For[small](s)
	if err := door.Write(t.Context(), func(tx small) error { tx.Bump(); return nil }); err != nil {
		t.Error(err)
	}
	refused(t, door.Read(t.Context(), func(tx small) error { _, err := tx.Realm("r"); return err }), fault.NotFound, "not-found")
	defer func() {
		if recover() == nil {
			t.Error("an interface that *Tx does not have was accepted")
		}
	}()
	sqlstore.For[interface{ Levitate() }](s)
}

func TestSEC_N6_RemoteDatabaseIsEncrypted(t *testing.T) {
	for dsn, want := range map[string]bool{
		"postgres://u@db.example/x":                           true,
		"postgres://u@db1.example:1,db2.example:2/x":          true,
		"postgres://u@db.example/x?sslmode=verify-full":       true,
		"postgres://u@localhost,db.example/x":                 true,
		"postgres://u@192.0.2.1/x?connect_timeout=3":          true,
		"postgres://u@db.example/x?sslmode=disable":           false, // said aloud by the operator
		"postgres://u@127.0.0.1/x":                            false,
		"postgres:///x?host=/run/postgresql":                  false,
		"postgres://u@[::1]:5432/x?sslmode=verify-full":       true,
		"postgresql://u@db.example:6432/x?application_name=n": true,
	} {
		if got, err := sqlstore.Encrypted(dsn); err != nil || got != want {
			t.Errorf("%s: encrypted %v, %v", dsn, got, err)
		}
	}
	for _, mode := range []string{"allow", "prefer"} {
		_, err := sqlstore.Encrypted("postgres://u@db.example/x?sslmode=" + mode)
		refused(t, err, fault.Invalid, "store-tls")
	}
}
