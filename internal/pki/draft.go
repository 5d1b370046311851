package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
)

// Draft is a certificate that was linted and not yet signed. What is signed is, byte for byte, what was linted.
type Draft struct {
	template, parent *x509.Certificate
	public           crypto.PublicKey
	tbs              []byte
}

// TBS is the Hash of what is to be signed.
func (d *Draft) TBS() string { return Hash(d.tbs) }

// drafts makes the draft: it signs with a throwaway key of the authority's kind and has that read. An ECDSA signature says
// nothing about the key that made it, and a throwaway key is trusted by nobody, so no paper of ours gets out this way.
func drafts(template, parent *x509.Certificate, public crypto.PublicKey, own func(*x509.Certificate) error) (*Draft, error) {
	var err error
	if template.SubjectKeyId, err = keyID(public); err != nil {
		return nil, err
	}
	d := &Draft{template: template, parent: parent, public: public}
	real := parent.PublicKey
	if parent == template { // a root; signed by a throwaway key it does not look like one, and has to name its issuer's key
		real, template.AuthorityKeyId = public, template.SubjectKeyId
	}
	throwaway, err := throwawayFor(real)
	if err != nil {
		return nil, err
	}
	signer := *parent
	signer.PublicKey = throwaway.Public()
	signer.SubjectKeyId = parent.SubjectKeyId
	der, err := x509.CreateCertificate(rand.Reader, template, &signer, public, throwaway)
	if err != nil {
		return nil, fmt.Errorf("pki: draft a certificate: %w", err)
	}
	if err := lintCertificate(der, own); err != nil {
		return nil, err
	}
	if d.tbs, err = tbsOf(der); err != nil {
		return nil, err
	}
	return d, nil
}

// Sign signs what was linted with the authority's key, which must be that of its certificate, and returns the certificate.
func (d *Draft) Sign(key crypto.Signer) ([]byte, error) {
	parent := *d.parent
	if d.parent == d.template { // a root
		parent.PublicKey = d.public
	}
	der, err := x509.CreateCertificate(rand.Reader, d.template, &parent, d.public, key)
	if err != nil {
		return nil, fmt.Errorf("pki: sign a certificate: %w", err)
	}
	tbs, err := tbsOf(der)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tbs, d.tbs) {
		return nil, errors.New("pki: what was signed is not what was linted")
	}
	return der, nil
}

func tbsOf(der []byte) ([]byte, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	return c.RawTBSCertificate, nil
}

// throwaways are keys that sign drafts, one for each kind; an RSA key takes a tenth of a second to make.
var throwaways sync.Map

// throwawayFor is a key of the same kind as a real one, so that the algorithm in the draft is the one in the certificate.
func throwawayFor(real crypto.PublicKey) (crypto.Signer, error) {
	var kind string
	var fresh func() (crypto.Signer, error)
	switch k := real.(type) {
	case *ecdsa.PublicKey:
		kind = k.Curve.Params().Name
		fresh = func() (crypto.Signer, error) { return ecdsa.GenerateKey(k.Curve, rand.Reader) }
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, fmt.Errorf("pki: an authority's key is on P-256 or P-384, not %s", kind)
		}
	case *rsa.PublicKey:
		kind = "RSA"
		fresh = func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }
	default:
		return nil, fmt.Errorf("pki: an authority's key is ECDSA or RSA, not %T", real)
	}
	if k, ok := throwaways.Load(kind); ok {
		return k.(crypto.Signer), nil
	}
	k, err := fresh()
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	throwaways.Store(kind, k)
	return k, nil
}

// Device drafts the certificate of a device from its row, for its public key. realm is the realm's name as people know it.
// The row's Authority is the one that will sign.
func Device(c Certificate, public crypto.PublicKey, authority *x509.Certificate, realm string, at Places) (*Draft, error) {
	template, err := deviceTemplate(c, realm, at)
	if err != nil {
		return nil, err
	}
	return drafts(template, authority, public, ownDevice(DeviceURI(c.Realm, c.Person, c.Device)))
}

// Holds reports whether two public keys are the same.
func Holds(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
