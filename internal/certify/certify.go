// Package certify runs the certificate authorities of realms: it issues certificates to devices, ends them, and publishes
// what others have to know of that.
//
// Rules:
//   - The order of an issuance is written down (docs/ISSUANCE.md) and has five steps: lint a draft that a throwaway key has
//     signed; make the row durable; sign; store the certificate; with it, in one commit, the audit event and whatever the
//     caller has to add. Whoever is killed between two of them leaves a row without a certificate, never the other way
//     round: that is an orphan, listed and revocable, and what it was to become is accepted nowhere.
//   - Whether an authority may sign is asked in the commit that makes the row durable. An authority that was revoked at that
//     moment signs nothing that anybody accepts, because its own row is asked at every use.
//   - A key is seen as crypto.Signer, wherever it is: sealed in the row, or in a device that the row names.
package certify

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/pki"
)

// Tx is what authorities need of one transaction.
type Tx interface {
	Authorities(realm string) ([]pki.Authority, error)
	Authority(realm, id string) (pki.Authority, error)
	AddAuthority(pki.Authority) error
	UpdateAuthority(pki.Authority) error

	AddCertificate(pki.Certificate) error
	UpdateCertificate(pki.Certificate) error
	Certificate(realm, id string) (pki.Certificate, error)
	CertificateBySerial(realm, issuer, serial string) (pki.Certificate, error)
	CertificateByKey(realm, key string) (pki.Certificate, error)
	ReservedCertificates(realm string, limit int) ([]pki.Certificate, error)
	RevokeCertificates(realm, authority, reason string, at time.Time) (int, error)
	RevokedCertificates(authority string, part int, since time.Time) ([]pki.Certificate, error)

	CRL(realm, authority string, part int) (pki.CRL, error)
	PutCRL(pki.CRL) error

	Audit(audit.Event) error
	Bump()
}

// Within lets the commit of a certificate carry what its caller stores with it: the store's transaction is both. T is what the
// caller needs of one.
func Within[T any](tx Tx, do func(T) error) error {
	own, ok := tx.(T)
	if !ok {
		return fmt.Errorf("certify: a transaction of %T is none of its caller", tx)
	}
	return do(own)
}

// Chain is a certificate that was issued, and the one of the authority that signed it.
func Chain(tx interface {
	Authority(realm, id string) (pki.Authority, error)
}, c pki.Certificate) (leaf, issuer *x509.Certificate, err error) {
	if leaf, err = x509.ParseCertificate(c.DER); err != nil {
		return nil, nil, fmt.Errorf("certify: certificate %s: %w", c.ID, err)
	}
	a, err := tx.Authority(c.Realm, c.Authority)
	if err != nil {
		return nil, nil, err
	}
	issuer, err = a.Certificate()
	return leaf, issuer, err
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Service runs the authorities. Store, Clock and Realm are needed.
type Service struct {
	Store Store
	Clock func() time.Time
	Realm func(id string) (directory.Realm, error)
	// KeyAt opens a key that is elsewhere, by Authority.KeyAt; nil where this program knows no such place.
	KeyAt func(where string) (crypto.Signer, error)
	Epoch func() int64 // rises with every revocation, on whatever node; nil: nothing is remembered
	Count func(name string, pairs ...string)
	// Ended adds to the commit that suspends or revokes one certificate; nil for nothing. Where it fails nothing has ended.
	Ended func(Tx, pki.Certificate) error

	after  func(step string) // of tests: called between two steps of an issuance
	stolen func(der []byte)  // of tests: sees what was signed before anybody else

	answers  answers
	speakers kept[speakers]
	lists    kept[pki.CRL]
	papers   kept[[]byte] // certificates of authorities
}

// Actor is who causes something, for the audit. Name stands in a person's history where somebody else acted (REQ B82).
type Actor struct{ ID, Name, Session, Network, Browser string }

// System is the actor of what runs by itself, Operator whoever holds the command line.
var (
	System   = Actor{ID: "system"}
	Operator = Actor{ID: "cli"}
)

func (s *Service) event(a Actor, realm, kind string, e audit.Event) audit.Event {
	e.Realm, e.Type, e.At, e.Actor, e.Session, e.Network, e.Browser = realm, kind, s.Clock(), a.ID, a.Session, a.Network, a.Browser
	return e
}

func (s *Service) count(what string) {
	if s.Count != nil {
		s.Count("certificate", "what", what)
	}
}

func (s *Service) done(step string) {
	if s.after != nil {
		s.after(step)
	}
}

func newID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}

// places are where a realm's papers are published.
func places(r directory.Realm) pki.Places {
	if r.Certificates.Publish != "" {
		return pki.PlacesAt(r.Certificates.Publish)
	}
	return pki.PlacesAt(r.Origin)
}

// signer opens the key of an authority. It fails with fault.Unavailable "authority-key" where the key is in no place that
// this program can reach.
func (s *Service) signer(a pki.Authority) (crypto.Signer, error) {
	switch {
	case len(a.Private) > 0:
		return pki.ParseKey(a.Private)
	case a.KeyAt != "" && s.KeyAt != nil:
		k, err := s.KeyAt(a.KeyAt)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "authority-key", "name", a.Name).Because(err)
		}
		return k, nil
	}
	return nil, fault.New(fault.Unavailable, "authority-key", "name", a.Name)
}

// signing finds the authority of a realm that signs, and its certificate. There is none: fault.Unavailable "authority-none".
func signing(tx Tx, realm string, now time.Time) (pki.Authority, *x509.Certificate, error) {
	all, err := tx.Authorities(realm)
	if err != nil {
		return pki.Authority{}, nil, err
	}
	for _, a := range all {
		if a.Class == pki.Issuing && a.State == pki.Signs && a.Trusted(now) {
			c, err := a.Certificate()
			return a, c, err
		}
	}
	return pki.Authority{}, nil, fault.New(fault.Unavailable, "authority-none")
}
