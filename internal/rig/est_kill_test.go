package rig_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/enrolment"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// The program is killed with SIGKILL between every two steps of an issuance that a device asked for (docs/ISSUANCE.md). The
// secret is spent with the certificate or not at all, and the same request, sent again, gets one.
//
// The victim is this test's own program, started again with the variables below: it enrols a device, and kills itself where
// the issuer goes from one step to the next.
const (
	killStep  = "DOORWARD_TEST_ENROL_KILL"
	killDSN   = "DOORWARD_TEST_ENROL_DSN"
	killRealm = "DOORWARD_TEST_ENROL_REALM"
	killDir   = "DOORWARD_TEST_ENROL_DIR"
)

// deadly is a store that kills the program around the commits of an issuance: before the first it is linted, after it the
// row is durable, before the second it is signed, in it everything is written and nothing committed, after it it is stored.
type deadly struct {
	certify.Store
	step   string
	commit *int
}

func (d deadly) at(step string) {
	if step == d.step {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (d deadly) Write(ctx context.Context, f func(certify.Tx) error) error {
	*d.commit++
	before, within, after := "lint", "", "row"
	if *d.commit == 2 {
		before, within, after = "sign", "written", "store"
	}
	d.at(before)
	err := d.Store.Write(ctx, func(tx certify.Tx) error {
		err := f(tx)
		if err == nil && within != "" {
			d.at(within)
		}
		return err
	})
	d.at(after)
	return err
}

// die enrols a device until it is killed after a step.
func die(step string) {
	check := func(err error) {
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(3)
		}
	}
	ctx, dir := context.Background(), os.Getenv(killDir)
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		check(err)
		return b
	}
	now, err := time.Parse(time.RFC3339Nano, string(read("now")))
	check(err)
	ring, err := secret.LoadRing(filepath.Join(dir, "ring"))
	check(err)
	store, err := sqlstore.Open(ctx, os.Getenv(killDSN), ring, sqlstore.Options{Clock: func() time.Time { return now }, Conns: 4})
	check(err)
	c := rig.Open(&testing.T{}, store, os.Getenv(killRealm), now)
	c.Enrols.Ring, c.Certs.Store = ring, deadly{c.Certs.Store, step, new(int)}
	_, err = c.Enrols.Enrol(ctx, login.Caller{Realm: c.Realm.ID, Network: "198.51.100.1"}, string(read("word")), enrolment.Ask{Request: read("request")})
	check(err)
	os.Exit(4) // the step does not exist
}

func TestSEC_C6_C2_KilledBetweenEveryTwoStepsOfAnEnrolment(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		c := newCounter(t, testdb.Open(t, dsn))
		dir := t.TempDir()
		c.must(testdb.Ring().SaveNew(filepath.Join(dir, "ring")))
		write := func(name string, b []byte) { c.must(os.WriteFile(filepath.Join(dir, name), b, 0o600)) }
		for _, x := range []struct {
			step   string
			row    bool // there is one
			stored bool
		}{{"lint", false, false}, {"row", true, false}, {"sign", true, false}, {"written", true, false}, {"store", true, true}} {
			e, word := c.offer(x.step)
			ask := enrolment.Ask{Request: request(t, newKey(t))}
			write("word", []byte(word))
			write("request", ask.Request)
			write("now", []byte(c.Clock.Now().Format(time.RFC3339Nano)))
			victim := exec.CommandContext(t.Context(), os.Args[0])
			victim.Env = append(os.Environ(), killStep+"="+x.step, killDSN+"="+dsn, killRealm+"="+c.Realm.ID, killDir+"="+dir)
			out, err := victim.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Fatalf("%s: %v: %s", x.step, err, out)
			}
			state := func() (spent pki.EnrolmentState, rows []pki.Certificate) {
				c.Read(func(tx *sqlstore.Tx) error {
					now, err := tx.Enrolment(c.Realm.ID, e.ID)
					spent = now.State
					return err
				})
				rows = slices.DeleteFunc(c.certificates(), func(r pki.Certificate) bool { return r.Device != e.Device })
				return spent, rows
			}
			spent, rows := state()
			if (len(rows) == 1) != x.row || len(rows) > 1 || (spent == pki.EnrolmentUsed) != x.stored || x.row && rows[0].Live(c.Clock.Now()) != x.stored {
				t.Errorf("%s: the secret is %s, on record %+v", x.step, spent, rows)
			}
			before := c.events("certificate.enrolled")
			from := login.Caller{Realm: c.Realm.ID, Network: "198.51.100.1"}
			if x.row && !x.stored {
				if _, err := c.Enrols.Enrol(t.Context(), from, word, ask); !fault.Of(err, fault.Unavailable) {
					t.Errorf("%s: while it could be in the making: %v", x.step, err)
				}
				c.Clock.Advance(5 * time.Minute)
				ask.Request = request(t, newKey(t)) // the key of the row that was cut short has had its certificate
			}
			made, err := c.Enrols.Enrol(t.Context(), from, word, ask)
			spent, rows = state()
			live := slices.DeleteFunc(slices.Clone(rows), func(r pki.Certificate) bool { return !r.Live(c.Clock.Now()) })
			if err != nil || spent != pki.EnrolmentUsed || len(live) != 1 || live[0].SHA256 != made.SHA256 {
				t.Errorf("%s: asked again: %v, the secret is %s, on record %+v", x.step, err, spent, rows)
			}
			if n := c.events("certificate.enrolled") - before; (n == 0) != x.stored || n > 1 {
				t.Errorf("%s: %d events", x.step, n)
			}
		}
	})
}

// Of 64 that renew the certificate of a device at once one gets a new one, whatever keys they bring; and who sends the same
// request gets the same.
func TestSEC_C6_OneRenewalOfADeviceAmong64(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		m := withManaged(t, store, rig.NewCA(t, "Issuing CA"), time.Date(2027, 12, 1, 9, 0, 0, 0, time.UTC))
		for _, same := range []bool{false, true} {
			name := map[bool]string{false: "Many keys", true: "One key"}[same]
			dev := m.managed(m.Device(m.ca, m.of, m.ann.Is, name))
			asks := make([]enrolment.Ask, 64)
			for i := range asks {
				if asks[i].Request = asks[0].Request; i == 0 || !same {
					asks[i].Request = request(t, newKey(t))
				}
			}
			var wait sync.WaitGroup
			made, errs := make([]pki.Certificate, len(asks)), make([]error, len(asks))
			for i := range asks {
				wait.Go(func() {
					made[i], errs[i] = m.Enrols.Reenrol(t.Context(), login.Caller{Realm: m.Realm.ID, Network: "198.51.100.1"}, dev.Cert.Leaf, asks[i])
				})
			}
			wait.Wait()
			next := slices.DeleteFunc(m.all(), func(c pki.Certificate) bool { return c.Replaces != dev.Row.ID || c.State == pki.Revoked })
			if len(next) != 1 || !next[0].Live(m.Clock.Now()) {
				t.Fatalf("%s: on record %+v", name, next)
			}
			won := 0
			for i, err := range errs {
				switch f := fault.As(err); {
				case err == nil:
					won++
					if made[i].ID != next[0].ID {
						t.Errorf("%s: got %s beside %s", name, made[i].ID, next[0].ID)
					}
				case f == nil || !slices.Contains([]string{"enrolment-busy", "certificate-succeeded", "too-many-attempts"}, f.Code):
					t.Errorf("%s: refused with %v", name, err)
				}
			}
			if won == 0 || won > 1 && !same {
				t.Errorf("%s: %d got one", name, won)
			}
			if a, err := m.Enrols.Reenrol(t.Context(), login.Caller{Realm: m.Realm.ID, Network: "198.51.100.2"}, dev.Cert.Leaf, asks[slices.Index(errs, nil)]); err != nil || a.ID != next[0].ID {
				t.Errorf("%s: asked again: %v, %+v", name, err, a)
			}
		}
	})
}

// meanwhile is a store in which something happens between the signature of a certificate and the commit that stores it.
type meanwhile struct {
	certify.Store
	commit *int
	do     func()
}

func (m meanwhile) Write(ctx context.Context, f func(certify.Tx) error) error {
	if *m.commit++; *m.commit == 2 {
		m.do()
	}
	return m.Store.Write(ctx, f)
}

// What was true when a device asked is asked again in the commit that stores its certificate: what changed between gets it
// nothing, and spends nothing.
func TestSEC_C6_WhatChangesBeforeTheCommit(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		m := withManaged(t, store, rig.NewCA(t, "Issuing CA"), time.Date(2027, 12, 1, 9, 0, 0, 0, time.UTC))
		from, issuer := login.Caller{Realm: m.Realm.ID, Network: "198.51.100.1"}, m.Certs.Store
		person := func(state directory.PersonState) {
			m.Write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person(m.Realm.ID, m.ann.Is.ID)
				if err != nil {
					return err
				}
				p.State = state
				return tx.UpdatePerson(p)
			})
		}
		whileIssued := func(do func(), ask func() error) error {
			m.Certs.Store = meanwhile{issuer, new(int), do}
			defer func() { m.Certs.Store = issuer }()
			return ask()
		}
		enrol := func(word string) func() error {
			return func() error {
				_, err := m.Enrols.Enrol(t.Context(), from, word, enrolment.Ask{Request: request(t, newKey(t))})
				return err
			}
		}
		live := func(device string) (n int) {
			for _, c := range m.all() {
				if c.Device == device && c.Live(m.Clock.Now()) {
					n++
				}
			}
			return n
		}
		enrolled := func(word string) (e pki.Enrolment) {
			m.Read(func(tx *sqlstore.Tx) (err error) {
				e, err = tx.EnrolmentBySecret(m.Realm.ID, testdb.Ring().Hash("enrolment", word))
				return err
			})
			return e
		}
		by := login.By{Signed: login.Signed{Realm: m.Realm, Person: m.ben.Is}}
		for name, x := range map[string]struct {
			change, back func(pki.Enrolment)
			code         string
			state        pki.EnrolmentState
		}{
			"its owner is shut out": {func(pki.Enrolment) { person(directory.Disabled) }, func(pki.Enrolment) { person(directory.Active) }, "enrolment-ended", pki.EnrolmentReady},
			"it is withdrawn":       {func(e pki.Enrolment) { m.must(m.Enrols.Withdraw(t.Context(), by, e.ID)) }, nil, "enrolment-ended", pki.EnrolmentEnded},
			"it is used": {func(e pki.Enrolment) {
				m.Write(func(tx *sqlstore.Tx) error { return tx.SpendEnrolment(e, "another", m.Clock.Now()) })
			}, nil, "enrolment-used", pki.EnrolmentUsed},
			"no room is left": {
				func(pki.Enrolment) {
					for range 20 {
						m.Device(m.ca, m.of, m.ann.Is, "One of many")
					}
				},
				func(pki.Enrolment) {
					for _, c := range m.all() {
						if c.Name == "One of many" {
							m.Change(rig.Device{Row: c}, func(c *pki.Certificate) { c.State, c.Reason = pki.Revoked, pki.Cessation })
						}
					}
				}, "devices-many", pki.EnrolmentReady,
			},
		} {
			word := m.offer("Laptop")
			e := enrolled(word)
			err := whileIssued(func() { x.change(e) }, enrol(word))
			if f := fault.As(err); f == nil || f.Code != x.code {
				t.Errorf("%s: %v", name, err)
			}
			if now := enrolled(word); now.State != x.state || live(e.Device) != 0 {
				t.Errorf("%s: the secret is %s, %d certificates", name, now.State, live(e.Device))
			}
			if x.back == nil {
				continue
			}
			x.back(e)
			if err := enrol(word)(); err != nil || live(e.Device) != 1 {
				t.Errorf("%s no more: %v, %d certificates", name, err, live(e.Device))
			}
		}

		old := m.managed(m.Device(m.ca, m.of, m.ann.Is, "Tablet"))
		reenrol := func() error {
			_, err := m.Enrols.Reenrol(t.Context(), from, old.Cert.Leaf, enrolment.Ask{Request: request(t, newKey(t))})
			return err
		}
		err := whileIssued(func() { person(directory.Disabled) }, reenrol)
		if f := fault.As(err); f == nil || f.Code != "enrolment-ended" || live(old.Row.Device) != 1 {
			t.Errorf("renewed while its owner is shut out: %v, %d certificates", err, live(old.Row.Device))
		}
		person(directory.Active)
		err = whileIssued(func() {
			m.Change(old, func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Revoked, pki.KeyCompromise, m.Clock.Now() })
		}, reenrol)
		if f := fault.As(err); f == nil || f.Code != "certificate-other" || live(old.Row.Device) != 0 {
			t.Errorf("renewed while it is revoked: %v, %d certificates", err, live(old.Row.Device))
		}
	})
}
