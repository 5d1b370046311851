package main

import (
	"database/sql"
	"encoding/json"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/mod/sumdb/tlog"
	_ "modernc.org/sqlite"

	"doorward/internal/testdb"
)

// raw opens the database behind the program's back.
func raw(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver, address := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, address = "sqlite", path
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// The trail of a whole journey, from the realm file to somebody in their account, proves itself; then whoever can write
// to the database touches one row, or cuts off the end, and `doorward audit verify` says where, in words and in JSON.
func TestSEC_G1_TAUD_ATrailOfAWholeJourney(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := newSite(t, dsn)
		n := s.start()
		jonas, _ := n.join("member", "Jonas Weber", "jonas@alder.example")
		n.signIn(jonas)
		n.stop()

		type report struct {
			OK                bool
			Leaves, Proven    int64
			Pending, Anchored int
			Findings          []struct{ Kind, Event string }
		}
		verify := func(args ...string) (code int, r report, errs string) {
			code, out, errs := s.try(append([]string{"audit", "verify", "--json"}, args...)...)
			s.must(json.Unmarshal([]byte(out), &r))
			return code, r, errs
		}
		code, whole, errs := verify()
		if code != done || !whole.OK || whole.Leaves < 15 || whole.Proven != whole.Leaves || whole.Pending != 0 || whole.Anchored == 0 {
			t.Fatalf("the honest trail: %d %+v %s", code, whole, errs)
		}

		db := raw(t, dsn)
		change := func(query string, args ...any) {
			t.Helper()
			res, err := db.Exec(query, args...)
			s.must(err)
			if rows, err := res.RowsAffected(); err != nil || rows == 0 {
				t.Fatalf("%s: changed nothing: %v", query, err)
			}
		}
		var id, actor string
		s.must(db.QueryRow(`SELECT id, actor FROM event WHERE type LIKE 'signin%' ORDER BY id LIMIT 1`).Scan(&id, &actor))
		change(`UPDATE event SET actor = 'somebody-else' WHERE id = $1`, id)
		code, r, errs := verify()
		if code != failed || r.OK || len(r.Findings) == 0 || r.Findings[0].Event != id || !strings.Contains(errs, id) {
			t.Errorf("an event was changed: %d %+v %s", code, r, errs)
		}
		change(`UPDATE event SET actor = $1 WHERE id = $2`, actor, id)
		if code, _, errs := verify(); code != done {
			t.Fatalf("put back as it was: %d %s", code, errs)
		}

		// The end is cut off without a trace: events, leaves, hashes and checkpoints. Only the anchor remembers.
		size := whole.Leaves - 3
		change(`DELETE FROM event WHERE id IN (SELECT event FROM leaf WHERE place >= $1)`, size)
		change(`DELETE FROM leaf WHERE place >= $1`, size)
		change(`DELETE FROM tree_hash WHERE place >= $1`, tlog.StoredHashCount(size))
		change(`DELETE FROM checkpoint WHERE size > $1`, size)
		if code, r, errs = verify(); code != failed || r.OK || !strings.Contains(errs, "truncated leaves") {
			t.Errorf("the end was cut off, and the anchor is there: %d %+v %s", code, r, errs)
		}
		s.must(os.Remove(s.path("anchor")))
		if code, r, errs = verify(); code != done || r.Anchored != 0 {
			t.Errorf("without the anchor it was something else that noticed: %d %+v %s", code, r, errs)
		}
		if _, out, _ := s.try("audit", "verify"); !strings.Contains(out, "Without an anchor nobody can tell") {
			t.Errorf("nobody is told what an anchor is for: %s", out)
		}
	})
}
