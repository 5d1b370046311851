package certify

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// The next authority is published before it signs; what the one before has signed lives on, and it goes on speaking of it.
func TestREQ_A57_AnAuthorityIsRotated(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		before := h.found(t, "wealth")
		if _, err := h.Rotate(t.Context(), "wealth"); !fault.Of(err, fault.Conflict) || fault.As(err).Code != "authority-none-published" {
			t.Errorf("with none that follows: %v", err)
		}
		old := h.issue(t)
		next := h.found(t, "wealth")
		if before.State != pki.Signs || next.State != pki.Published || before.Name == next.Name {
			t.Errorf("%s %s, %s %s", before.Name, before.State, next.Name, next.State)
		}
		if _, err := h.Found(t.Context(), "wealth", h.root, h.rootKey); !fault.Of(err, fault.Exists) {
			t.Errorf("a third: %v", err)
		}
		h.publish(t) // a published one has its CRL already
		if _, list := h.crl(t, next.ID, 0); len(list.RevokedCertificateEntries) != 0 {
			t.Error("it speaks of what another has signed")
		}
		if c := h.issue(t, func(o *Order) { o.Person = "0195-a" }); c.Authority != before.ID {
			t.Error("the published one signs already")
		}
		var all sync.WaitGroup
		won := make(chan bool, 64)
		for range 64 {
			all.Go(func() {
				_, err := h.Rotate(t.Context(), "wealth")
				won <- err == nil
			})
		}
		all.Wait()
		close(won)
		n := 0
		for ok := range won {
			if ok {
				n++
			}
		}
		if n != 1 || h.events(t, "authority.rotated") != 1 {
			t.Errorf("rotated %d times", n)
		}
		if c := h.issue(t, func(o *Order) { o.Person = "0195-b" }); c.Authority != next.ID {
			t.Error("the one before signs still")
		}
		if !h.row(t, old.ID).Live(noon) {
			t.Error("a certificate ended with the rotation")
		}
		renewed := h.issue(t, func(o *Order) { o.Device, o.Replaces = old.Device, old.ID })
		if renewed.Authority != next.ID {
			t.Error("renewed by the one before")
		}
		h.end(t, old, pki.Superseded)
		h.publish(t)
		if _, list := h.crl(t, before.ID, 0); len(list.RevokedCertificateEntries) != 1 {
			t.Error("the one before is silent about what it has signed")
		}
	})
}

// The drill of docs/pki.md: the issuing authority's key is in other hands. From its revocation on nothing that it signed is
// accepted, and everybody gets a certificate of the next one.
func TestSEC_C10_TheAuthorityIsInOtherHands(t *testing.T) {
	people := 50
	if os.Getenv("DOORWARD_TORTURE") != "" {
		people = 1000
	}
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		bad := h.found(t, "wealth")
		var issued []pki.Certificate
		for i := range people {
			issued = append(issued, h.issue(t, func(o *Order) { o.Person = fmt.Sprintf("0195-%d", i) }))
		}
		next := h.found(t, "wealth")
		h.publish(t)
		key, err := h.signer(bad) // the thief's copy
		if err != nil {
			t.Fatal(err)
		}

		if err := h.RevokeAuthority(t.Context(), "wealth", bad.ID, pki.CACompromise); err != nil {
			t.Fatal(err)
		}
		for _, c := range issued {
			row := h.row(t, c.ID)
			if row.Live(noon) || row.Reason != pki.CACompromise {
				t.Fatalf("lives on: %+v", row)
			}
		}
		all, err := h.Authorities(t.Context(), "wealth")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if below := a.ID == bad.ID || a.Parent == bad.ID; below == a.Trusted(noon) {
				t.Errorf("%s %s is %s", a.Class, a.Name, a.State)
			}
		}
		// What the thief signs has a trusted name and no trusted key, and no row.
		issuer, err := bad.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		forged, err := pki.Device(issued[0], deviceKey(t).Public(), issuer, "Meridian", pki.PlacesAt("https://wealth.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		der, err := forged.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		good, err := next.Certificate()
		if err != nil || leaf.CheckSignatureFrom(good) == nil || pki.Hash(der) == issued[0].SHA256 {
			t.Error("the forgery is accepted")
		}
		for _, c := range issued {
			again := h.issue(t, func(o *Order) { o.Person, o.Device = c.Person, c.Device })
			if again.Authority != next.ID {
				t.Fatal("signed by the wrong one")
			}
		}
		if err := h.RevokeAuthority(t.Context(), "wealth", bad.ID, pki.CACompromise); err != nil {
			t.Errorf("once more: %v", err)
		}
		if err := h.RevokeAuthority(t.Context(), "wealth", "nobody", pki.CACompromise); !fault.Of(err, fault.NotFound) {
			t.Errorf("one that is not there: %v", err)
		}
		// The root: everything below goes with it.
		root := ""
		for _, a := range all {
			if a.Class == pki.Root {
				root = a.ID
			}
		}
		if err := h.RevokeAuthority(t.Context(), "wealth", root, pki.CACompromise); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Issue(t.Context(), order(t)); !fault.Of(err, fault.Unavailable) {
			t.Errorf("issued below a revoked root: %v", err)
		}
	})
}

// An imported certificate is looked at, and only what was asked for is taken.
func TestREQ_A57_OnlyWhatWasAskedForIsImported(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		a, request, err := h.Ask(t.Context(), "wealth", "")
		if err != nil || a.State != pki.Waiting {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificateRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		der, err := pki.SignIssuing(parsed, h.root, h.rootKey, noon)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		otherRoot, _ := newRoot(t)
		if _, err := h.Import(t.Context(), "wealth", cert, otherRoot); !fault.Of(err, fault.Invalid) {
			t.Errorf("with another root: %v", err)
		}
		if _, err := h.Import(t.Context(), "wealth", cert, cert); !fault.Of(err, fault.Invalid) {
			t.Errorf("with itself for a root: %v", err)
		}
		if _, err := h.Import(t.Context(), "shop", cert, h.root); !fault.Of(err, fault.NotFound) {
			t.Errorf("in another realm: %v", err)
		}
		if _, err := h.Import(t.Context(), "wealth", h.root, h.root); !fault.Of(err, fault.NotFound) {
			t.Errorf("the root itself: %v", err)
		}
		if got, err := h.Import(t.Context(), "wealth", cert, h.root); err != nil || got.State != pki.Signs {
			t.Errorf("%v, %v", got.State, err)
		}
		if _, err := h.Import(t.Context(), "wealth", cert, h.root); !fault.Of(err, fault.NotFound) {
			t.Errorf("a second time: %v", err)
		}
	})
}

// A key that cannot be reached stops an issuance before anything is durable.
func TestSEC_C10_AKeyThatIsElsewhere(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		key := deviceKey(t)
		if _, _, err := h.Ask(t.Context(), "wealth", "pkcs11:token=a;object=b"); !fault.Of(err, fault.Unavailable) {
			t.Errorf("no way to that place: %v", err)
		}
		opened := 0
		h.KeyAt = func(where string) (_ crypto.Signer, err error) { opened++; return key, err }
		a, request, err := h.Ask(t.Context(), "wealth", "pkcs11:token=a;object=b")
		if err != nil || opened == 0 || len(a.Private) != 0 {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificateRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		der, err := pki.SignIssuing(parsed, h.root, h.rootKey, noon)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Import(t.Context(), "wealth", cert, h.root); err != nil {
			t.Fatal(err)
		}
		h.issue(t)
		h.publish(t)
		h.KeyAt = nil
		if _, err := h.Issue(t.Context(), order(t)); !fault.Of(err, fault.Unavailable) || fault.As(err).Code != "authority-key" {
			t.Errorf("the device is away: %v", err)
		}
		h.time.add(orphaned)
		if orphans, err := h.Orphans(t.Context(), "wealth"); err != nil || len(orphans) != 0 {
			t.Errorf("%d orphans, %v", len(orphans), err)
		}
	})
}

// A monitor sees how long the authority that signs has left, and how old the oldest CRL is; a realm without any has neither.
func TestREQ_A57_WhatAMonitorWatches(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		if end, oldest, err := h.Horizon(t.Context(), "wealth"); err != nil || !end.IsZero() || !oldest.IsZero() {
			t.Errorf("without an authority: %v %v %v", end, oldest, err)
		}
		a := h.found(t, "wealth")
		h.time.add(time.Hour)
		if end, oldest, err := h.Horizon(t.Context(), "wealth"); err != nil || !end.Equal(a.NotAfter) || !oldest.Equal(a.Created) {
			t.Errorf("no CRL was made yet: %v %v %v", end, oldest, err)
		}
		if err := h.Publish(t.Context(), "wealth"); err != nil {
			t.Fatal(err)
		}
		made := h.time.now()
		h.time.add(3 * time.Hour)
		if _, oldest, err := h.Horizon(t.Context(), "wealth"); err != nil || !oldest.Equal(made) {
			t.Errorf("the CRL is of %v, want %v, %v", oldest, made, err)
		}
		if err := h.RevokeAuthority(t.Context(), "wealth", a.ID, pki.CACompromise); err != nil {
			t.Fatal(err)
		}
		ended := h.time.now()
		h.time.add(time.Hour)
		if end, oldest, err := h.Horizon(t.Context(), "wealth"); err != nil || !end.Equal(ended) || !oldest.IsZero() {
			t.Errorf("revoked: %v %v %v, want %v", end, oldest, err, ended)
		}
	})
}
