package sqlstore_test

import (
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/selfservice"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// Every service's needs of a transaction are met.
var (
	_ login.Tx       = (*sqlstore.Tx)(nil)
	_ admin.PeopleTx = (*sqlstore.Tx)(nil)
	_ selfservice.Tx = (*sqlstore.Tx)(nil)
	_ audit.Tx       = (*sqlstore.Tx)(nil)
)

func TestSmoke(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		now := time.Now()
		if err := s.Write(t.Context(), func(tx *sqlstore.Tx) error {
			tx.Bump()
			return tx.AddPerson(directory.Person{ID: "p", Realm: "r", Address: "a@b", Name: "Ann", Created: now})
		}); err != nil {
			t.Fatal(err)
		}
		at, err := s.Clock(t.Context())
		t.Log(at, err, s.Epoch())
	})
}
