package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"doorward/internal/fault"
)

// NewKey makes a key for an authority or a responder, on P-256 or, for a root, on P-384, and returns it as PKCS #8 too.
func NewKey(class Class) (crypto.Signer, []byte, error) {
	curve := elliptic.P256()
	if class == Root {
		curve = elliptic.P384()
	}
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("pki: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("pki: %w", err)
	}
	return k, der, nil
}

// ParseKey reads a private key in PKCS #8. The error quotes nothing of it.
func ParseKey(der []byte) (crypto.Signer, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("pki: a private key cannot be read")
	}
	signer, ok := k.(crypto.Signer)
	if !ok {
		return nil, errors.New("pki: a private key cannot sign")
	}
	return signer, nil
}

// MakeRoot makes the certificate of a new root for its own key.
func MakeRoot(key crypto.Signer, name, organization string, now time.Time) ([]byte, error) {
	template := rootTemplate(name, organization, now)
	var err error
	if template.SerialNumber, err = serialNumber(NewSerial()); err != nil {
		return nil, err
	}
	d, err := drafts(template, template, key.Public(), ownRoot)
	if err != nil {
		return nil, err
	}
	return d.Sign(key)
}

// IssuingSubject is the name of a new issuing authority of a realm. The month and the key tell it from its predecessors: two
// authorities of one name would be taken for one.
func IssuingSubject(realm, operator string, public crypto.PublicKey, now time.Time) (pkix.Name, error) {
	hash, err := KeyHash(public)
	if err != nil {
		return pkix.Name{}, err
	}
	tail := " devices " + now.Format(rfc3339Month) + " " + hash[:4]
	return pkix.Name{CommonName: short(realm, subjectMax-len(tail)) + tail, Organization: []string{short(operator, subjectMax)}}, nil
}

// AskIssuing makes the request with which an issuing authority goes to whoever holds the root.
func AskIssuing(key crypto.Signer, subject pkix.Name) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	return der, nil
}

// SignIssuing signs the certificate of an issuing authority with a root. Only key and subject of the request count.
func SignIssuing(request *x509.CertificateRequest, root *x509.Certificate, key crypto.Signer, now time.Time) ([]byte, error) {
	if !root.IsCA || now.Before(root.NotBefore) || !now.Before(root.NotAfter) {
		return nil, fault.New(fault.Invalid, "authority-unfit", "why", "the root is none, or its time is over")
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fault.New(fault.Invalid, "csr-signature").Because(err)
	}
	if err := CheckKey(request.PublicKey); err != nil {
		return nil, err
	}
	template := issuingTemplate(request.Subject, now, root.NotAfter)
	var err error
	if template.SerialNumber, err = serialNumber(NewSerial()); err != nil {
		return nil, err
	}
	d, err := drafts(template, root, request.PublicKey, ownIssuing)
	if err != nil {
		return nil, err
	}
	return d.Sign(key)
}

// RespondFor drafts the certificate of a responder for an issuing authority, whose id it is published under.
func RespondFor(public crypto.PublicKey, serial, name string, authority *x509.Certificate, id string, at Places, now time.Time) (*Draft, error) {
	organization := ""
	if len(authority.Subject.Organization) > 0 {
		organization = authority.Subject.Organization[0]
	}
	template := responderTemplate(name, organization, authority, id, at, now)
	var err error
	if template.SerialNumber, err = serialNumber(serial); err != nil {
		return nil, err
	}
	return drafts(template, authority, public, ownResponder)
}

// CheckIssuing says whether a certificate that came from outside fits an issuing authority: it is for the key, may sign
// certificates and CRLs, may not sign other authorities, is signed by the parent, and holds for a year at least. What does
// not fit fails with fault.Invalid "authority-unfit" and Args["why"], in words for an operator.
func CheckIssuing(c, parent *x509.Certificate, public crypto.PublicKey, now time.Time) error {
	unfit := func(why string) error { return fault.New(fault.Invalid, "authority-unfit", "why", why) }
	switch {
	case !Holds(c.PublicKey, public):
		return unfit("it is for another key than the one that was asked for")
	case !c.BasicConstraintsValid || !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero:
		return unfit("basic constraints must be critical, CA:TRUE, pathlen:0")
	case c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign:
		return unfit("key usage must be critical, keyCertSign, cRLSign")
	case len(c.SubjectKeyId) == 0:
		return unfit("it needs a subject key identifier")
	case c.CheckSignatureFrom(parent) != nil:
		return unfit("it is not signed by the root that came with it")
	case now.Before(c.NotBefore) || now.AddDate(1, 0, 0).After(c.NotAfter):
		return unfit("it must hold now and for a year at least")
	case len(c.Subject.CommonName) == 0:
		return unfit("its subject needs a common name")
	}
	client, responder := len(c.ExtKeyUsage) == 0, len(c.ExtKeyUsage) == 0
	for _, u := range c.ExtKeyUsage {
		client = client || u == x509.ExtKeyUsageClientAuth
		responder = responder || u == x509.ExtKeyUsageOCSPSigning
	}
	if !client || !responder {
		return unfit("where it has extended key usages they must name clientAuth and OCSPSigning")
	}
	return nil
}

// ReadCertificate reads one certificate, PEM or DER.
func ReadCertificate(in []byte) (*x509.Certificate, error) {
	if block, _ := pem.Decode(in); block != nil {
		in = block.Bytes
	}
	c, err := x509.ParseCertificate(in)
	if err != nil {
		return nil, fault.New(fault.Invalid, "authority-unfit", "why", "it is no certificate, PEM or DER").Because(err)
	}
	return c, nil
}

// PEM is a certificate as people hand it on.
func PEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
