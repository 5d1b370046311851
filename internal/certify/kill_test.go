package certify

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// The program is killed with SIGKILL between every two steps of an issuance. There may be rows without a certificate, which
// are listed and can be revoked; never a certificate without a row, and never one that is accepted and was not finished.
//
// The victim is this test's own program: it is started again with the variables below, issues, writes what was signed beside
// the database the moment it was, as somebody who steals it would, and kills itself.
const (
	killStep = "DOORWARD_TEST_KILL"
	killDSN  = "DOORWARD_TEST_KILL_DSN"
	killDir  = "DOORWARD_TEST_KILL_DIR"
)

func TestMain(m *testing.M) {
	if step := os.Getenv(killStep); step != "" {
		die(step)
	}
	os.Exit(m.Run())
}

// die issues certificates until it is killed after a step of the second.
func die(step string) {
	check := func(err error) {
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(3)
		}
	}
	ctx, dir := context.Background(), os.Getenv(killDir)
	ring, err := secret.LoadRing(filepath.Join(dir, "ring"))
	check(err)
	s, err := sqlstore.Open(ctx, os.Getenv(killDSN), ring, sqlstore.Options{Clock: func() time.Time { return noon }, Conns: 4})
	check(err)
	h := serve(s)
	t := &testing.T{}
	_, err = h.Issue(ctx, order(t))
	check(err)
	h.after = func(at string) {
		if at == step {
			check(syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {}
		}
	}
	h.stolen = func(der []byte) { check(os.WriteFile(filepath.Join(dir, "stolen"), der, 0o600)) }
	_, err = h.Issue(ctx, order(t))
	check(err)
	os.Exit(4) // the step does not exist
}

func TestSEC_C2_KilledBetweenEveryTwoSteps(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		dir := t.TempDir()
		if err := testdb.Ring().SaveNew(filepath.Join(dir, "ring")); err != nil {
			t.Fatal(err)
		}
		s := testdb.Open(t, dsn)
		h := newHouse(t, s)
		h.found(t, "wealth")
		orphans, stored := 0, 0
		for _, c := range []struct {
			step   string
			orphan int // rows without a certificate it leaves
			signed bool
			stored int
		}{{"lint", 0, false, 1}, {"row", 1, false, 1}, {"sign", 1, true, 1}, {"store", 0, true, 2}} {
			_ = os.Remove(filepath.Join(dir, "stolen"))
			victim := exec.CommandContext(t.Context(), os.Args[0])
			victim.Env = append(os.Environ(), killStep+"="+c.step, killDSN+"="+dsn, killDir+"="+dir)
			out, err := victim.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Fatalf("%s: %v: %s", c.step, err, out)
			}
			orphans, stored = orphans+c.orphan, stored+c.stored
			h.time.add(orphaned)
			listed, err := h.Orphans(t.Context(), "wealth")
			if err != nil || len(listed) != orphans {
				t.Errorf("%s: %d orphans, want %d, %v", c.step, len(listed), orphans, err)
			}
			if n := h.events(t, "certificate.issued"); n != stored {
				t.Errorf("%s: %d events, want %d", c.step, n, stored)
			}
			der, err := os.ReadFile(filepath.Join(dir, "stolen"))
			if (err == nil) != c.signed {
				t.Errorf("%s: stolen: %v", c.step, err)
			}
			if err != nil {
				continue
			}
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			// Its row is there, and says whether it is accepted.
			var row pki.Certificate
			err = s.Read(t.Context(), func(tx *sqlstore.Tx) (err error) {
				row, err = tx.CertificateBySerial("wealth", pki.Hash(mustAuthority(t, h).RawSubjectPublicKeyInfo), pki.SerialText(leaf.SerialNumber))
				return err
			})
			if err != nil || row.TBS != pki.Hash(leaf.RawTBSCertificate) || row.Live(noon) != (c.step == "store") {
				t.Errorf("%s: %+v, %v", c.step, row, err)
			}
			use := s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.UseCertificate("wealth", row.ID, noon) })
			if (use == nil) != (c.step == "store") || use != nil && !fault.Of(use, fault.Conflict) {
				t.Errorf("%s: used: %v", c.step, use)
			}
		}
		listed, err := h.Orphans(t.Context(), "wealth")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range listed {
			if err := h.Revoke(t.Context(), Changed{Realm: "wealth", ID: o.ID, Reason: pki.Cessation, By: Operator}); err != nil {
				t.Error(err)
			}
		}
		if left, err := h.Orphans(t.Context(), "wealth"); err != nil || len(left) != 0 {
			t.Errorf("%d left, %v", len(left), err)
		}
	})
}

func mustAuthority(t *testing.T, h *house) *x509.Certificate {
	t.Helper()
	der, err := h.Certificate(t.Context(), "wealth", "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
