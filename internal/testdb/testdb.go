// Package testdb gives tests a store of their own: SQLite in a file, PostgreSQL in a fresh database. Without PostgreSQL
// tests fail; they never skip, because a suite that skips proves nothing about half of the product.
package testdb

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of admin connections

	"github.com/google/uuid"

	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb/postgres"
)

// Env names a running cluster: the address of a database in it, as a user who may create others. Without it each test
// process starts a cluster of its own when it first needs one.
const Env = "DOORWARD_TEST_POSTGRES"

// template is the database that new ones are copied from: migrated and empty.
const template = "doorward_template"

// templateLock keeps test processes that share a cluster from making the template at once.
const templateLock = 5_390_771

// Ring is the key ring of all stores of this test process.
var Ring = sync.OnceValue(func() *secret.Ring {
	r, err := secret.NewRing()
	if err != nil {
		panic(err)
	}
	return r
})

// Each runs a test on both databases, each with a fresh store, as subtests "sqlite" and "postgres".
func Each(t *testing.T, test func(t *testing.T, s *sqlstore.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// EachAddress is Each for tests that open stores themselves: it hands over the address of a fresh, empty database.
func EachAddress(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLiteAddress(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, PostgresAddress(t)) })
}

// SQLite opens a store in a new file. The file is a copy of one that was migrated once in this process: the migrations cost
// more than most tests.
func SQLite(t testing.TB) *sqlstore.Store {
	t.Helper()
	file, err := migrated()
	if err != nil {
		t.Fatalf("make a database: %v", err)
	}
	dsn := SQLiteAddress(t)
	if err := os.WriteFile(strings.TrimPrefix(dsn, "sqlite:"), file, 0o600); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return Open(t, dsn)
}

// migrated is a migrated, empty SQLite database.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "doorward-template-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "doorward.db")
	if err := migrate(context.Background(), "sqlite:"+path); err != nil {
		return nil, err
	}
	return os.ReadFile(path) // whole: whoever closes last writes everything back into it
})

// Postgres opens a store in a new database.
func Postgres(t testing.TB) *sqlstore.Store { t.Helper(); return Open(t, PostgresAddress(t)) }

// Postgres2 opens two stores in one new database, as two nodes do.
func Postgres2(t testing.TB) (a, b *sqlstore.Store) {
	t.Helper()
	dsn := PostgresAddress(t)
	return Open(t, dsn), Open(t, dsn)
}

// Open opens a store and closes it with the test.
func Open(t testing.TB, dsn string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), dsn, Ring(), sqlstore.Options{Clock: func() time.Time { return time.Now().UTC() }, Conns: 8})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

// SQLiteAddress is the address of a new SQLite database, which is not there yet.
func SQLiteAddress(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "doorward.db")
}

// PostgresAddress is the address of a migrated, empty PostgreSQL database. Making one costs more than most tests, so
// after a test its database is emptied and serves the next one of this process. A test that changes the schema must
// change it back.
func PostgresAddress(t testing.TB) string {
	t.Helper()
	admin, err := cluster()
	if err != nil {
		t.Fatalf("tests need PostgreSQL: %v", err)
	}
	dsn, err := take(admin)
	if err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		if err := empty(dsn); err != nil {
			t.Errorf("empty the database: %v", err) // and it is not used again
			return
		}
		pool.Lock()
		defer pool.Unlock()
		pool.free = append(pool.free, dsn)
	})
	return dsn
}

// pool holds the databases of this process that no test uses.
var pool struct {
	sync.Mutex
	free []string
}

func take(admin string) (string, error) {
	pool.Lock()
	if n := len(pool.free); n > 0 {
		dsn := pool.free[n-1]
		pool.free = pool.free[:n-1]
		pool.Unlock()
		return dsn, nil
	}
	pool.Unlock()
	name := "t" + uuid.NewString()
	if err := execute(admin, fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %s`, name, template)); err != nil {
		return "", err
	}
	return sibling(admin, name)
}

// empty ends what is still connected and takes out every row but the schema's version.
func empty(dsn string) error {
	return execute(dsn, `DO $$
		DECLARE name TEXT;
		BEGIN
			PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
			FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version' LOOP
				EXECUTE format('DELETE FROM %I', name);
			END LOOP;
			INSERT INTO epoch (id, value) VALUES (1, 1);
		END $$`)
}

// cluster returns the address of an admin connection to a cluster that has the template.
var cluster = sync.OnceValues(func() (string, error) {
	admin := os.Getenv(Env)
	if admin == "" {
		c, err := postgres.Start() // ends with this process
		if err != nil {
			return "", err
		}
		admin = c.DSN("postgres")
	}
	return admin, makeTemplate(admin)
})

func makeTemplate(admin string) error {
	ctx := context.Background()
	db, err := sql.Open("pgx", admin)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // and with it the lock
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, templateLock); err != nil {
		return err
	}
	var have bool
	if err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, template).Scan(&have); err != nil || have {
		return err
	}
	const half = template + "_half"
	for _, q := range []string{`DROP DATABASE IF EXISTS ` + half, `CREATE DATABASE ` + half + ` TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	dsn, err := sibling(admin, half)
	if err != nil {
		return err
	}
	if err := migrate(ctx, dsn); err != nil {
		return err
	}
	if err := execute(dsn, `DELETE FROM canary`); err != nil { // any ring may be the first
		return err
	}
	_, err = conn.ExecContext(ctx, `ALTER DATABASE `+half+` RENAME TO `+template)
	return err
}

// migrate brings a database up to date.
func migrate(ctx context.Context, dsn string) error {
	s, err := sqlstore.Open(ctx, dsn, Ring(), sqlstore.Options{Clock: time.Now, Conns: 1})
	if err != nil {
		return err
	}
	return s.Close()
}

func execute(dsn, query string) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(query)
	return err
}

// sibling is the address of another database of the same cluster.
func sibling(dsn, database string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	return u.String(), nil
}
