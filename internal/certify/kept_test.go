package certify

import (
	"bytes"
	"crypto/x509"
	"testing"

	"golang.org/x/crypto/ocsp"

	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// What is kept is what holds: another node's work is seen when the epoch has risen, or some seconds later, and what this node
// made at once.
func TestSEC_C5_WhatIsKeptHolds(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := newHouse(t, s)
		a := h.found(t, "wealth")
		if _, err := h.CRL(t.Context(), "wealth", "", 0); !fault.Of(err, fault.NotFound) {
			t.Fatalf("before the first: %v", err)
		}
		number := func(want int64) {
			t.Helper()
			l, err := h.CRL(t.Context(), "wealth", a.ID, 0)
			if err != nil || l.Number != want {
				t.Errorf("CRL %d, want %d (%v)", l.Number, want, err)
			}
		}
		h.publish(t)
		number(1)

		other := serve(s) // another node, in the same house
		other.Clock = h.time.now
		h.time.add(pki.CRLValid)
		if err := other.Publish(t.Context(), "wealth"); err != nil {
			t.Fatal(err)
		}
		number(2) // that one was read long ago
		h.time.add(pki.CRLValid)
		number(2)
		if err := other.Publish(t.Context(), "wealth"); err != nil {
			t.Fatal(err)
		}
		h.time.add(answerFresh)
		number(3)
		gone := h.issue(t)
		if err := h.Revoke(t.Context(), Changed{Realm: "wealth", ID: gone.ID, Reason: pki.KeyCompromise, By: Operator}); err != nil {
			t.Fatal(err)
		}
		number(3) // until the job makes the next one
		h.publish(t)
		number(4)

		issuer, err := a.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		c := h.issue(t)
		leaf, err := x509.ParseCertificate(c.DER)
		if err != nil {
			t.Fatal(err)
		}
		request, err := ocsp.CreateRequest(leaf, issuer, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.answer(t, request); bytes.Equal(got, pki.AnswerUnauthorized) {
			t.Error("nobody answers for the authority")
		}
		if _, err := h.Certificate(t.Context(), "wealth", ""); err != nil {
			t.Error(err)
		}
		if err := other.RevokeAuthority(t.Context(), "wealth", a.ID, pki.CACompromise); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Certificate(t.Context(), "wealth", ""); !fault.Of(err, fault.Unavailable) {
			t.Errorf("the certificate of a revoked authority that signed: %v", err)
		}
		if got := h.answer(t, request); !bytes.Equal(got, pki.AnswerUnauthorized) {
			t.Errorf("a revoked authority answers %x", got)
		}
	})
}
