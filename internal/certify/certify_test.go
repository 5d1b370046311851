package certify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// clock is set by tests.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// house is a service over a store, with a root.
type house struct {
	*Service
	store   *sqlstore.Store
	time    *clock
	root    *x509.Certificate
	rootKey crypto.Signer
}

func newHouse(t testing.TB, s *sqlstore.Store) *house {
	t.Helper()
	h := serve(s)
	h.root, h.rootKey = newRoot(t)
	return h
}

// serve is newHouse without a root.
func serve(s *sqlstore.Store) *house {
	h := &house{store: s, time: &clock{at: noon}}
	h.Service = &Service{
		Store: sqlstore.For[Tx](s), Clock: h.time.now, Epoch: s.Epoch,
		Realm: func(id string) (directory.Realm, error) {
			if id != "wealth" && id != "shop" {
				return directory.Realm{}, fault.New(fault.NotFound, "not-found")
			}
			return directory.Realm{ID: id, Name: "Meridian " + id, Operator: "Meridian AG", Origin: "https://" + id + ".example.com"}, nil
		},
	}
	return h
}

func newRoot(t testing.TB) (*x509.Certificate, crypto.Signer) { t.Helper(); return newRootAt(t, noon) }

func newRootAt(t testing.TB, now time.Time) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, _, err := pki.NewKey(pki.Root)
	if err != nil {
		t.Fatal(err)
	}
	der, err := pki.MakeRoot(key, "Meridian root", "Meridian AG", now)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return root, key
}

// found makes the realm's authority.
func (h *house) found(t testing.TB, realm string) pki.Authority {
	t.Helper()
	a, err := h.Found(t.Context(), realm, h.root, h.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func deviceKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func order(t testing.TB, change ...func(*Order)) Order {
	o := Order{
		Realm: "wealth", Person: "0195-max", Name: "Laptop", Key: deviceKey(t).Public(), Requester: "0195-agent", Approver: "0195-agent",
		By: Actor{ID: "0195-agent", Network: "192.0.2.0/24"}, Organization: "0195-org",
	}
	for _, ch := range change {
		ch(&o)
	}
	return o
}

func (h *house) issue(t testing.TB, change ...func(*Order)) pki.Certificate {
	t.Helper()
	c, err := h.Issue(t.Context(), order(t, change...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *house) row(t testing.TB, id string) (c pki.Certificate) {
	t.Helper()
	if err := h.store.Read(t.Context(), func(tx *sqlstore.Tx) (err error) { c, err = tx.Certificate("wealth", id); return err }); err != nil {
		t.Fatal(err)
	}
	return c
}

// events counts those of a type.
func (h *house) events(t testing.TB, kind string) (n int) {
	t.Helper()
	err := h.store.Read(t.Context(), func(tx *sqlstore.Tx) error {
		page, err := tx.Events(audit.Query{Realm: "wealth", Types: []string{kind}, Limit: 1000})
		n = len(page)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func is(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	if !errors.Is(err, fault.New(kind, code)) {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestSEC_C2_ACertificateIsIssued(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		if _, err := h.Issue(t.Context(), order(t)); err == nil {
			t.Error("issued without an authority")
		} else {
			is(t, err, fault.Unavailable, "authority-none")
		}
		a := h.found(t, "wealth")
		var steps []string
		h.after = func(step string) { steps = append(steps, step) }
		var within pki.Certificate
		o := order(t, func(o *Order) { o.Stored = func(_ Tx, c pki.Certificate) error { within = c; return nil } })
		c, err := h.Issue(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(steps) != "[lint row sign store]" {
			t.Errorf("steps %v", steps)
		}
		leaf, err := x509.ParseCertificate(c.DER)
		if err != nil {
			t.Fatal(err)
		}
		issuer, err := a.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		row := h.row(t, c.ID)
		for what, ok := range map[string]bool{
			"signed": leaf.CheckSignatureFrom(issuer) == nil, "key": pki.Holds(leaf.PublicKey, o.Key), "live": row.Live(noon) && row.State == pki.Issued,
			"found by": row.Issuer == pki.Hash(issuer.RawSubjectPublicKeyInfo) && row.Serial == pki.SerialText(leaf.SerialNumber),
			"hashes":   row.SHA256 == pki.Hash(leaf.Raw) && row.TBS == pki.Hash(leaf.RawTBSCertificate) && string(row.DER) == string(leaf.Raw),
			"life":     leaf.NotAfter.Equal(noon.AddDate(0, 0, 730)) && leaf.NotBefore.Equal(noon.Add(-5*time.Minute)),
			"who":      row.Person == o.Person && row.Requester == o.Requester && row.Approver == o.Approver && row.Device != "",
			"versions": within.Version == c.Version && row.Version == c.Version, "audit": h.events(t, "certificate.issued") == 1,
		} {
			if !ok {
				t.Errorf("%s: %+v", what, row)
			}
		}
	})
}

func TestSEC_C7_WhatIsRefused(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		h.found(t, "wealth")
		h.found(t, "shop")
		key := deviceKey(t).Public()
		first := h.issue(t, func(o *Order) { o.Key = key })
		same := func(o *Order) { o.Key = key }
		_, err := h.Issue(t.Context(), order(t, same))
		is(t, err, fault.Exists, "key-certified")
		_, err = h.Issue(t.Context(), order(t, same, func(o *Order) { o.Person = "0195-moritz" }))
		is(t, err, fault.Exists, "key-certified")
		if _, err = h.Issue(t.Context(), order(t, same, func(o *Order) { o.Realm = "shop" })); !fault.Of(err, fault.Exists) {
			t.Errorf("the key in another realm: %v", err)
		}
		if err := h.Revoke(t.Context(), Changed{Realm: "wealth", ID: first.ID, Reason: pki.KeyCompromise, By: Operator}); err != nil {
			t.Fatal(err)
		}
		_, err = h.Issue(t.Context(), order(t, same))
		is(t, err, fault.Exists, "key-certified") // revoked, and still known
		_, err = h.Issue(t.Context(), order(t, func(o *Order) { o.Device, o.Replaces = first.Device, first.ID }))
		is(t, err, fault.Conflict, "certificate-other") // a revoked one is replaced by a new first one

		second := h.issue(t)
		_, err = h.Issue(t.Context(), order(t, func(o *Order) { o.Person, o.Device, o.Replaces = "0195-moritz", second.Device, second.ID }))
		is(t, err, fault.Conflict, "certificate-other")
		_, err = h.Issue(t.Context(), order(t, func(o *Order) { o.Device = second.Device }))
		is(t, err, fault.Exists, "certificate-succeeded")
		_, err = h.Issue(t.Context(), order(t, func(o *Order) { o.Key = "no key" }))
		is(t, err, fault.Invalid, "key-kind")
		_, err = h.Issue(t.Context(), order(t, func(o *Order) { o.Person = "max:moritz" }))
		if err == nil {
			t.Error("a person's id with a colon")
		}
		orphans := 0
		if err := s.Read(t.Context(), func(tx *sqlstore.Tx) error {
			all, err := tx.ReservedCertificates("wealth", 0)
			orphans = len(all)
			return err
		}); err != nil || orphans != 0 {
			t.Errorf("%d orphans, %v", orphans, err)
		}
	})
}

// Sixty-four renewals of one certificate at once: one new one, and no orphan.
func TestSEC_C9_OneRenewalAmong64(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		h.found(t, "wealth")
		old := h.issue(t)
		errs := make([]error, 64)
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range errs {
			o := order(t, func(o *Order) { o.Device, o.Replaces = old.Device, old.ID })
			all.Go(func() {
				<-start
				_, errs[i] = h.Issue(t.Context(), o)
			})
		}
		close(start)
		all.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				is(t, err, fault.Exists, "certificate-succeeded")
			}
		}
		if won != 1 || h.events(t, "certificate.issued") != 2 {
			t.Errorf("%d renewals, %d events", won, h.events(t, "certificate.issued"))
		}
	})
}

// What the caller adds belongs to the commit that stores the certificate: where it fails there is no certificate.
func TestSEC_C2_WhatTheCallerAddsIsOneCommit(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		h.found(t, "wealth")
		broken := fmt.Errorf("no mail can be written")
		_, err := h.Issue(t.Context(), order(t, func(o *Order) { o.Stored = func(Tx, pki.Certificate) error { return broken } }))
		if !errors.Is(err, broken) || h.events(t, "certificate.issued") != 0 {
			t.Fatalf("%v", err)
		}
		if orphans, err := h.Orphans(t.Context(), "wealth"); err != nil || len(orphans) != 0 {
			t.Errorf("an orphan is listed while it may be in the making: %d, %v", len(orphans), err)
		}
		h.time.add(orphaned)
		orphans, err := h.Orphans(t.Context(), "wealth")
		if err != nil || len(orphans) != 1 {
			t.Fatalf("%d orphans, %v", len(orphans), err)
		}
		if err := h.Revoke(t.Context(), Changed{Realm: "wealth", ID: orphans[0].ID, Reason: pki.Cessation, By: Operator}); err != nil {
			t.Fatal(err)
		}
		if left, err := h.Orphans(t.Context(), "wealth"); err != nil || len(left) != 0 {
			t.Errorf("%d left, %v", len(left), err)
		}
	})
}

func TestREQ_A56_CertificatesAreSuspendedAndRevoked(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		h.found(t, "wealth")
		c := h.issue(t)
		ch := Changed{Realm: "wealth", ID: c.ID, Reason: pki.KeyCompromise, By: Operator}
		do := func(what string, fn func(context.Context, Changed) error, live bool, events int) {
			t.Helper()
			if err := fn(t.Context(), ch); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if row := h.row(t, c.ID); row.Live(noon) != live || h.events(t, "certificate."+what) != events {
				t.Errorf("%s: %+v, %d events", what, row, h.events(t, "certificate."+what))
			}
		}
		is(t, h.Resume(t.Context(), ch), fault.Conflict, "certificate-other")
		before := s.Epoch()
		do("suspended", h.Suspend, false, 1)
		do("suspended", h.Suspend, false, 1) // once more changes nothing
		if s.Epoch() == before {
			t.Error("no node would notice")
		}
		do("resumed", h.Resume, true, 1)
		do("revoked", h.Revoke, false, 1)
		do("revoked", h.Revoke, false, 1)
		is(t, h.Resume(t.Context(), ch), fault.Conflict, "certificate-other")
		is(t, h.Suspend(t.Context(), ch), fault.Conflict, "certificate-other")
		row := h.row(t, c.ID)
		if row.Reason != pki.KeyCompromise || !row.Ended.Equal(noon) {
			t.Errorf("%+v", row)
		}
		is(t, h.Revoke(t.Context(), Changed{Realm: "wealth", ID: c.ID, Reason: "because"}), fault.Invalid, "reason-unknown")
		if err := h.Revoke(t.Context(), Changed{Realm: "shop", ID: c.ID, Reason: pki.Superseded}); !fault.Of(err, fault.NotFound) {
			t.Errorf("another realm revokes it: %v", err)
		}
	})
}

// Revocations at once from everywhere: it is revoked, and one event says so.
func TestREQ_A56_RevokedAmong64(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		h.found(t, "wealth")
		c := h.issue(t)
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				err := h.Revoke(t.Context(), Changed{Realm: "wealth", ID: c.ID, Reason: pki.Superseded, By: Operator})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := h.events(t, "certificate.revoked"); n != 1 || h.row(t, c.ID).State != pki.Revoked {
			t.Errorf("%d events", n)
		}
	})
}

// Many issuances: none is refused by the linters, each is what its row says, and there is none without a row.
func TestSEC_C1_ManyIssuances(t *testing.T) {
	n := 150
	if os.Getenv("DOORWARD_TORTURE") != "" {
		n = 10_000
	}
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) { manyIssuances(t, s, n) })
}

func manyIssuances(t *testing.T, s *sqlstore.Store, n int) {
	t.Helper()
	h := newHouse(t, s)
	a := h.found(t, "wealth")
	issuer, err := a.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"Laptop", "iPad von Jürg", "Büro/PC #2", "電話", "x", "a name that is longer than any subject may be, by far and by a lot, and goes on"}
	work := make(chan int)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range work {
				c, err := h.Issue(t.Context(), order(t, func(o *Order) { o.Name, o.Person = names[i%len(names)], fmt.Sprintf("0195-%d", i) }))
				if err != nil {
					t.Error(err)
					continue
				}
				leaf, err := x509.ParseCertificate(c.DER)
				if err != nil || leaf.CheckSignatureFrom(issuer) != nil || pki.Hash(leaf.RawTBSCertificate) != c.TBS {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	all.Wait()
	left, rows := 0, 0
	if err := s.Read(t.Context(), func(tx *sqlstore.Tx) error {
		all, err := tx.ReservedCertificates("wealth", 0)
		if err != nil {
			return err
		}
		left, rows = len(all), 0
		for before := ""; ; {
			page, err := tx.Certificates("wealth", before, 1000)
			if err != nil || len(page) == 0 {
				return err
			}
			rows, before = rows+len(page), page[len(page)-1].ID
		}
	}); err != nil || left != 0 || rows != n {
		t.Errorf("%d certificates have %d rows, %d rows have no certificate, %v", n, rows, left, err)
	}
}
