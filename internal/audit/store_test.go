package audit_test

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/mod/sumdb/note"

	"doorward/internal/audit"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// anchor keeps checkpoints where no SQL reaches them.
type anchor struct {
	mu    sync.Mutex
	notes []string
}

func (a *anchor) Put(_ context.Context, s string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, s)
	return nil
}

func (a *anchor) Last(context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.notes) == 0 {
		return "", nil
	}
	return a.notes[len(a.notes)-1], nil
}

var begin = time.UnixMilli(1_790_000_000_000).UTC()

// trail is a store with n events in the tree, a checkpoint every ten.
func trail(t *testing.T, s *sqlstore.Store, n int) (*audit.Sequencer, *anchor, note.Verifier, []string) {
	t.Helper()
	key := testdb.Ring().Signer("audit")
	signer, err := audit.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := audit.VerifierKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	out := &anchor{}
	seq := &audit.Sequencer{Store: sqlstore.For[audit.Tx](s), Signer: signer, Anchors: []audit.Anchor{out}}
	var ids []string
	for i := 0; i < n; i += 10 {
		ids = append(ids, add(t, s, i, 10)...)
		if err := seq.Checkpoint(t.Context(), at(i+9)); err != nil {
			t.Fatal(err)
		}
	}
	return seq, out, v, ids
}

func at(i int) time.Time { return begin.Add(time.Duration(i) * time.Second) }

// add commits n events, the first of number i.
func add(t *testing.T, s *sqlstore.Store, i, n int) (ids []string) {
	t.Helper()
	for range n {
		ids = append(ids, uuid.Must(uuid.NewV7()).String())
	}
	if err := s.Write(context.Background(), func(tx *sqlstore.Tx) error {
		for k, id := range ids {
			if err := tx.Audit(audit.Event{
				ID: id, Realm: "shop", At: at(i + k), Type: "signin.succeeded", Actor: "p1", Person: "p1", Organization: "o1",
				Network: "2001:db8::1", Browser: "Firefox “ESR” on Windows", Data: map[string]string{"kind": "totp", "ä\"\\": "\u2028<&>"},
			}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Error(err) // not Fatal: goroutines call it too
	}
	return ids
}

func verify(t *testing.T, s *sqlstore.Store, v note.Verifier, anchored []string) (r audit.Report) {
	t.Helper()
	if err := s.Read(t.Context(), func(tx *sqlstore.Tx) (err error) {
		r, err = audit.Verify(t.Context(), tx, v, anchored)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSEC_G1_RowsTouchedInTheDatabaseAreNamed(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		kind      audit.FindingKind
		row       int // the one that must be named; -1 for none
	}{
		{"honest", "", "", -1},
		{"edited", "UPDATE event SET actor = 'p2' WHERE id = '$42'", audit.Edited, 42},
		{"backdated", "UPDATE event SET at = at - 1 WHERE id = '$42'", audit.Edited, 42},
		{"another realm's", "UPDATE event SET realm = 'wealth' WHERE id = '$0'", audit.Edited, 0},
		{"deleted", "DELETE FROM event WHERE id = '$42'", audit.Deleted, 42},
		{"leaf deleted", "DELETE FROM leaf WHERE event = '$42'", audit.Deleted, 42},
		{"reordered", "UPDATE leaf SET event = 'x' WHERE place = 42; UPDATE leaf SET event = '$42' WHERE place = 77; UPDATE leaf SET event = '$77' WHERE place = 42", audit.Reordered, 42},
		{"slipped in", "INSERT INTO event SELECT '00000000-0000-7000-8000-000000000000', realm, at, type, 'p2', person, organization, session, flow, network, browser, reason, data, sequenced FROM event WHERE id = '$42'", audit.Inserted, -2},
		{"cut off", "DELETE FROM event WHERE id >= '$90'; DELETE FROM leaf WHERE place >= 90; DELETE FROM tree_hash WHERE place >= 176; DELETE FROM checkpoint WHERE size > 90", audit.Truncated, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			testdb.EachAddress(t, func(t *testing.T, dsn string) {
				s := testdb.Open(t, dsn)
				_, out, v, ids := trail(t, s, 100)
				statements := c.sql
				for _, i := range []int{42, 77, 90, 0} {
					statements = strings.ReplaceAll(statements, fmt.Sprintf("'$%d'", i), "'"+ids[i]+"'")
				}
				tamper(t, dsn, statements)
				r := verify(t, s, v, out.notes)
				if c.kind == "" {
					if !r.OK() || r.Proven != 100 || r.Pending != 0 {
						t.Errorf("%+v", r)
					}
					return
				}
				if !slices.ContainsFunc(r.Findings, func(f audit.Finding) bool {
					return f.Kind == c.kind && (c.row == -2 && strings.HasPrefix(f.Event, "00000000-") || c.row == -1 && f.Index == 90 && f.Until == 100 || c.row >= 0 && f.Event == ids[c.row])
				}) {
					t.Errorf("row %d is not named: %v", c.row, r.Findings)
				}
				if c.kind == audit.Truncated {
					if r := verify(t, s, v, nil); !r.OK() {
						t.Errorf("the cut was not clean, so the anchor proves nothing: %v", r.Findings)
					}
				}
			})
		})
	}
}

// tamper changes rows behind the program's back.
func tamper(t *testing.T, dsn, statements string) {
	t.Helper()
	driver, source := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, one := range strings.Split(statements, ";") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		if res, err := db.Exec(one); err != nil {
			t.Fatalf("%s: %v", one, err)
		} else if n, err := res.RowsAffected(); err != nil || n == 0 {
			t.Fatalf("%s: %d rows, %v", one, n, err)
		}
	}
}

func TestSEC_G1_ManySequencersMakeOneTree(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		seq, out, v, _ := trail(t, s, 0)
		const writers, each = 64, 4
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					add(t, s, w*each+i, 1)
					// Losing the race for a place is an error; the next run goes on.
					if err := seq.Run(context.Background(), at(w*each+i)); err != nil {
						t.Logf("lost a race: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if err := seq.Checkpoint(t.Context(), at(writers*each)); err != nil {
			t.Fatal(err)
		}
		r := verify(t, s, v, out.notes[len(out.notes)-1:])
		if r.Size != writers*each || r.Proven != writers*each || r.Pending != 0 {
			t.Errorf("%+v", r)
		}
		for _, f := range r.Findings {
			t.Error(f)
		}
	})
}

func TestProofsFromTheStore(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		_, _, v, ids := trail(t, s, 30)
		for _, i := range []int64{0, 7, 29} {
			if err := s.Read(t.Context(), func(tx *sqlstore.Tx) error {
				p, err := audit.Prove(tx, i)
				if err == nil && p.Event.ID != ids[i] {
					err = fmt.Errorf("event %s", p.Event.ID)
				}
				if err == nil {
					err = p.Check(v)
				}
				return err
			}); err != nil {
				t.Errorf("leaf %d: %v", i, err)
			}
		}
	})
}
