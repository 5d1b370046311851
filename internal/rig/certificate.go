package rig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// CA issues client certificates, as that of an application's operator does.
type CA struct {
	t    testing.TB
	Cert *x509.Certificate
	key  crypto.Signer
}

// Certificates made here live around the rig's own time, unless a test says otherwise.
var (
	certificatesBegin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	certificatesEnd   = time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC)
)

// NewCA makes a CA of its own.
func NewCA(t testing.TB, name string, change ...func(*x509.Certificate)) *CA {
	t.Helper()
	made := certify(t, nil, nil, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		for _, f := range change {
			f(c)
		}
	})
	return &CA{t, made.Leaf, made.PrivateKey.(crypto.Signer)}
}

// Below makes a CA under this one. What it issues brings its certificate along.
func (c *CA) Below(name string) *CA {
	c.t.Helper()
	made := certify(c.t, c.Cert, c.key, func(t *x509.Certificate) {
		t.Subject = pkix.Name{CommonName: name}
		t.IsCA, t.BasicConstraintsValid, t.KeyUsage, t.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
	return &CA{c.t, made.Leaf, made.PrivateKey.(crypto.Signer)}
}

// PEM is the CA's certificate as a realm file has it.
func (c *CA) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Cert.Raw}))
}

// Issue makes a certificate for client authentication with the names that change sets. A key in PublicKey is taken instead
// of a fresh one; the result has no PrivateKey then.
func (c *CA) Issue(change func(*x509.Certificate)) tls.Certificate {
	c.t.Helper()
	made := certify(c.t, c.Cert, c.key, func(t *x509.Certificate) {
		t.SerialNumber = new(big.Int).SetBytes(serial())
		change(t)
	})
	if c.Cert.Issuer.String() != c.Cert.Subject.String() {
		made.Certificate = append(made.Certificate, c.Cert.Raw)
	}
	return made
}

// serial is 128 random bits.
func serial() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	b[0] &= 0x7f
	return b
}

// SelfSigned makes a certificate that nobody issued.
func SelfSigned(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return certify(t, nil, nil, change)
}

// certify signs a certificate, by its own key where there is no CA.
func certify(t testing.TB, ca *x509.Certificate, caKey crypto.Signer, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		NotBefore: certificatesBegin, NotAfter: certificatesEnd, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if ca == nil {
		ca, caKey = template, key
	}
	public, private := crypto.PublicKey(key.Public()), crypto.PrivateKey(key)
	if template.PublicKey != nil {
		public, private = template.PublicKey, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, public, caKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}
