package rig

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"net/netip"

	"github.com/google/uuid"

	"doorward/internal/directory"
	"doorward/internal/pki"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
)

// WithCertificates makes the realm one where members show a certificate before everything else.
func WithCertificates(r *directory.Realm) {
	r.Policy = `policy shop
  members
    login    cert + password + totp
    enrol    invite -> password, totp
    enrol    login  -> totp
    replace  mail   -> password
    replace  grant + mail -> totp
    fresh
  administrators
    login    cert + password + totp
  staff
    login    password + totp
    enrol    invite -> password, totp
    enrol    login  -> totp
    replace  grant2 + mail -> any
`
	r.Terms, r.Topics = directory.Terms{}, nil
}

// Trust makes the CA one of the realm's.
func (r *Rig) Trust(ca *CA) pki.Authority {
	r.T.Helper()
	a := pki.Authority{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: r.Realm.ID, Class: pki.Issuing, Name: ca.Cert.Subject.CommonName, SPKI: sum(ca.Cert.RawSubjectPublicKeyInfo),
		SHA256: sum(ca.Cert.Raw), DER: ca.Cert.Raw, KeyAt: "offline", Parts: 1, NotBefore: ca.Cert.NotBefore, NotAfter: ca.Cert.NotAfter, State: pki.Retired,
		Created: r.Clock.Now(),
	}
	r.Write(func(tx *sqlstore.Tx) error { return tx.AddAuthority(a) })
	return a
}

// Device is one of somebody's with its certificate and key.
type Device struct {
	Row  pki.Certificate
	Cert tls.Certificate
}

// Device gives somebody a device with a certificate of a CA that the realm trusts. change may spoil the certificate; what
// is on record is what it is.
func (r *Rig) Device(ca *CA, a pki.Authority, owner directory.Person, name string, change ...func(*x509.Certificate)) Device {
	r.T.Helper()
	cert := ca.Issue(func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: r.Realm.Name + ", " + name}
		for _, f := range change {
			f(c)
		}
	})
	row := pki.Certificate{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: r.Realm.ID, Person: owner.ID, Device: uuid.Must(uuid.NewV7()).String(), Name: name, Authority: a.ID,
		Issuer: a.SPKI, Serial: fmt.Sprintf("%032x", cert.Leaf.SerialNumber), Key: sum(cert.Leaf.RawSubjectPublicKeyInfo), TBS: sum(cert.Leaf.RawTBSCertificate),
		SHA256: sum(cert.Leaf.Raw), DER: cert.Leaf.Raw, NotBefore: cert.Leaf.NotBefore, NotAfter: cert.Leaf.NotAfter, State: pki.Issued, Created: r.Clock.Now(),
	}
	r.Write(func(tx *sqlstore.Tx) error { return tx.AddCertificate(row) })
	return Device{row, cert}
}

// Change changes what is on record about a device's certificate.
func (r *Rig) Change(d Device, how func(*pki.Certificate)) {
	r.T.Helper()
	r.Write(func(tx *sqlstore.Tx) error {
		c, err := tx.Certificate(d.Row.Realm, d.Row.ID)
		if err != nil {
			return err
		}
		how(&c)
		return tx.UpdateCertificate(c)
	})
}

// BrowserWith is Browser on a device with certificates, of which the first is shown to whoever asks.
func (r *Rig) BrowserWith(network string, certificates ...tls.Certificate) *walker.Client {
	r.T.Helper()
	c := walker.New(nil, "")
	c.HTTP.Transport = inProcess{r, netip.MustParseAddr(network), certificates}
	return c
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
