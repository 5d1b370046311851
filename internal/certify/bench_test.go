package certify

import (
	"crypto/x509"
	"testing"

	"golang.org/x/crypto/ocsp"

	"doorward/internal/testdb"
)

// Rows 10 and 11 of the benchmarks: an issuance, durable twice and linted once; an answer from memory and one that is signed.
func BenchmarkIssue(b *testing.B) {
	h := newHouse(b, testdb.SQLite(b))
	h.found(b, "wealth")
	orders := make([]Order, b.N)
	for i := range orders {
		orders[i] = order(b)
	}
	b.ResetTimer()
	for _, o := range orders {
		if _, err := h.Issue(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	h := newHouse(b, testdb.SQLite(b))
	a := h.found(b, "wealth")
	c := h.issue(b)
	h.publish(b)
	issuer, err := a.Certificate()
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		b.Fatal(err)
	}
	request, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, epoch := range map[string]func() int64{"ahead": h.Epoch, "signed": nil} {
		b.Run(name, func(b *testing.B) {
			h.Epoch = epoch
			for b.Loop() {
				h.answer(b, request)
			}
		})
	}
}
