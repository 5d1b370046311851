package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Rules for migrations: one sequence for both databases, written for PostgreSQL. A migration keeps the previous version
// of the program working, so that nodes are upgraded one by one: add columns with a default and new tables; take away
// only what the previous version no longer names. A database that is ahead of this program is therefore in order. There
// is no way down.

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Several processes may do so at once.
func (s *Store) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := s.db
	var options []goose.ProviderOption
	if s.writer != nil {
		db = s.writer
	} else {
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(s.dialect.goose, db, typed{dir, s.dialect.types}, append(options, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return err
	}
	// On SQLite nothing keeps a second process from reading the version before the first has raised it; its migration
	// then finds the tables there, and the next try finds nothing to do.
	for try := 1; ; try++ {
		if _, err = provider.Up(ctx); err == nil || try == 3 || s.writer == nil {
			break
		}
		if err := pause(ctx, 5+try); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("sqlstore: bring the schema up to date: %w", err)
	}
	return nil
}

// typed is a directory of migrations with the column types of a dialect.
type typed struct {
	fs.FS
	types *strings.Replacer
}

// Open implements fs.FS.
func (t typed) Open(name string) (fs.File, error) {
	f, err := t.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	body, err := fs.ReadFile(t.FS, name)
	if err != nil {
		return nil, err
	}
	return &typedFile{File: f, Reader: strings.NewReader(t.types.Replace(string(body)))}, nil
}

type typedFile struct {
	fs.File
	*strings.Reader
}

// Read implements fs.File.
func (f *typedFile) Read(p []byte) (int, error) { return f.Reader.Read(p) }

var (
	insertCanary = statement(`INSERT INTO canary (id, sealed, created) VALUES (1, $1, $2) ON CONFLICT DO NOTHING`)
	selectCanary = statement(`SELECT sealed FROM canary WHERE id = 1`)
)

// canaryText is what the sealed row says.
const canaryText = "doorward"

// CheckRing checks that the store's key ring is the one the database was written under: on the first use it leaves a
// sealed row, later it opens that row. With another ring it fails with fault.Invalid "wrong-ring": nothing stored could
// be opened and no link or session found, so the program must not start and above all must not write.
func (s *Store) CheckRing(ctx context.Context) error {
	place := secret.Place{Table: "canary", Column: "sealed", Row: "1"}
	read := func() (sealed []byte, err error) {
		err = s.dialect.read(ctx, s, func(t *Tx) error {
			sealed, err = one(t, func(_ *Tx, r row) (b []byte, err error) { return b, r.Scan(&b) }, selectCanary)
			return err
		})
		return sealed, err
	}
	sealed, err := read()
	if errors.Is(err, errNotFound) {
		if sealed, err = s.ring.Seal(place, s.canary()); err != nil {
			return err
		}
		if err = s.dialect.write(ctx, s, func(t *Tx) error { _, err := t.exec(insertCanary, sealed, millis(s.clock())); return err }); err != nil {
			return err
		}
		sealed, err = read() // another process may have been first, with another ring
	}
	if err != nil {
		return err
	}
	plain, err := s.ring.Open(place, sealed)
	if err != nil {
		return fault.New(fault.Invalid, "wrong-ring").Because(err)
	}
	if string(plain) != string(s.canary()) {
		return fault.New(fault.Invalid, "wrong-ring")
	}
	return nil
}

// canary is what is sealed: a hash under the look-up key, which a ring with the right sealing keys could lack.
func (s *Store) canary() []byte { return s.ring.Hash("canary", canaryText) }
