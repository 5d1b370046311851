package sqlstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/secret"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/testdb/postgres"
)

// What the crash tests hand to their child process.
const (
	crashAddress = "DOORWARD_TEST_CRASH_ADDRESS"
	crashRing    = "DOORWARD_TEST_CRASH_RING"
)

// TestMain makes this binary its own victim: started with an address it writes until it is killed.
func TestMain(m *testing.M) {
	if dsn := os.Getenv(crashAddress); dsn != "" {
		if err := writeUntilKilled(dsn, os.Getenv(crashRing)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes from 32 goroutines. Each transaction writes two rows; each that is answered is said aloud. Of
// every four one fails after it has written, and says so before it begins.
func writeUntilKilled(dsn, ringFile string) error {
	ring, err := secret.LoadRing(ringFile)
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, dsn, ring, sqlstore.Options{Clock: clock, Conns: 8})
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(what, id string) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(what, id)
	}
	var all sync.WaitGroup
	for g := range 32 {
		all.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", g, i)
				fails := i%4 == 3
				if fails {
					say("never", id)
				}
				err := s.Write(ctx, func(tx *sqlstore.Tx) error {
					if err := tx.AddFlow(authn.Flow{ID: id, Realm: "r", State: authn.FlowOpen, Open: authn.Question{Kind: authn.TOTP, Data: []byte(id)}}); err != nil {
						return err
					}
					if fails {
						return errMine
					}
					return tx.AddSession(session.Session{ID: id, Realm: "r", Person: "p", Hash: []byte(id)})
				})
				if err == nil {
					say("done", id)
				}
			}
		})
	}
	all.Wait()
	return nil
}

// victim starts the child and reads what it says.
func victim(t *testing.T, dsn string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	ring := filepath.Join(t.TempDir(), "ring")
	if err := testdb.Ring().SaveNew(ring); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashAddress+"="+dsn, crashRing+"="+ring)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// said collects what the child says.
type said struct{ done, never []string }

func (s *said) read(in *bufio.Scanner) bool {
	if !in.Scan() {
		return false
	}
	switch what, id, _ := strings.Cut(in.Text(), " "); what {
	case "done":
		s.done = append(s.done, id)
	case "never":
		s.never = append(s.never, id)
	}
	return true
}

func (s *said) until(t *testing.T, in *bufio.Scanner, done int) {
	t.Helper()
	for len(s.done) < done {
		if !s.read(in) {
			t.Fatalf("the child ended after %d writes", len(s.done))
		}
	}
}

// check looks at every row: what was answered is there and whole, what failed is not there, and no row stands alone.
func (s *said) check(t *testing.T, store *sqlstore.Store) {
	t.Helper()
	err := store.Read(t.Context(), func(tx *sqlstore.Tx) error {
		for _, id := range s.done {
			f, err := tx.Flow("r", id)
			if err != nil || string(f.Open.Data) != id {
				t.Errorf("write %s was answered and is lost: %v", id, err)
			}
			if _, err := tx.SessionByHash([]byte(id)); err != nil {
				t.Errorf("write %s was answered and is half lost: %v", id, err)
			}
		}
		for _, id := range s.never {
			if _, err := tx.Flow("r", id); err == nil {
				t.Errorf("write %s failed and is there", id)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	each(t, store, `SELECT COUNT(*) FROM flow WHERE id NOT IN (SELECT id FROM session)`, func(v []any) {
		if v[0] != int64(0) {
			t.Errorf("%v transactions are half there", v[0])
		}
	})
}

// Gate: kill -9 at random points loses no acknowledged write (SECURITY). Each round kills somewhere else.
func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		for round := range 3 {
			var heard said
			cmd, in := victim(t, dsn)
			heard.until(t, in, 400*(round+1)+37*round)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			for heard.read(in) { // what it had said before it died
			}
			store := testdb.Open(t, dsn)
			heard.check(t, store)
			put(t, store, func(tx *sqlstore.Tx) error {
				return tx.Raw(`DELETE FROM flow`)
			})
			put(t, store, func(tx *sqlstore.Tx) error { return tx.Raw(`DELETE FROM session`) })
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Kill -9 of a server process makes PostgreSQL drop everybody and recover from its log. The store goes on by itself, and
// nothing it has answered, before or after, is lost.
func TestKillOfTheServerLosesNoAcknowledgedWrite(t *testing.T) {
	cluster, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn := cluster.DSN("postgres")
	var heard said
	_, in := victim(t, dsn)
	for round := range 3 {
		heard.until(t, in, 500*(round+1))
		if err := syscall.Kill(writer(t, dsn), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		heard.until(t, in, len(heard.done)+300) // it goes on
	}
	store := reopen(t, dsn)
	heard.check(t, store)
}

// writer finds a server process that serves the child.
func writer(t *testing.T, dsn string) (pid int) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT MAX(pid) FROM pg_stat_activity WHERE application_name = 'doorward' AND query NOT LIKE 'LISTEN%'`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// reopen opens a store on a server that may be recovering.
func reopen(t *testing.T, dsn string) *sqlstore.Store {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		s, err := sqlstore.Open(t.Context(), dsn, testdb.Ring(), sqlstore.Options{Clock: clock, Conns: 2})
		if err == nil {
			t.Cleanup(func() { s.Close() })
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
