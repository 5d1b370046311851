// Package clientcert decides whether the certificate of a connection proves an OAuth client (RFC 8705 2).
//
// The rules:
//
//   - That somebody holds the certificate's key is the listener's to know, ours, or that of a proxy the operator named. Whose
//     certificate it is and whether it counts is decided here, at every call: nothing is kept of an earlier one.
//   - tls_client_auth (2.1): a chain to one of the CAs that the realm file names for this very client, for client
//     authentication, in time; and then exactly one name of the certificate, letter by letter. The trust store of the
//     machine is never asked: anybody can have a certificate of a public CA.
//   - self_signed_tls_client_auth (2.2): the very certificate that the client registered, in time. Another certificate for
//     the same key is another certificate.
//   - RSA keys below 2048 bits count for nothing (SEC J-1).
//
// Revocation lists are not read: a certificate that must not count any more is taken out with its name or its CA in the
// realm file, which holds within seconds.
package clientcert

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"doorward/internal/directory"
	"doorward/internal/token"
)

// Bounds.
const (
	maxAnchors = 20
	maxText    = 64 << 10 // bytes of PEM
	maxChain   = 10       // certificates that a client may send along
	rsaBits    = 2048
)

// Anchors reads the CA certificates of tls_client_auth_ca. The error says what is wrong, in words for whoever wrote the
// realm file.
func Anchors(text string) ([]*x509.Certificate, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("longer than %d KiB", maxText>>10)
	}
	var out []*x509.Certificate
	rest := []byte(text)
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		before := rest
		if block, rest = pem.Decode(rest); block == nil || !bytes.HasPrefix(bytes.TrimSpace(before), []byte("-----BEGIN")) {
			return nil, errors.New("not PEM text: only -----BEGIN CERTIFICATE----- and what belongs to it")
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s: only certificates belong here", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("holds a certificate that cannot be read")
		}
		if !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
			return nil, fmt.Errorf("%q is not the certificate of a CA", token.SubjectDN(cert))
		}
		if weak(cert) {
			return nil, fmt.Errorf("%q has an RSA key below %d bits", token.SubjectDN(cert), rsaBits)
		}
		if out = append(out, cert); len(out) > maxAnchors {
			return nil, fmt.Errorf("more than %d certificates", maxAnchors)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("empty")
	}
	return out, nil
}

var errNone = errors.New("no certificate was shown")

// Prove reports why the certificates of a connection, the client's own first, do not prove rp at the given time; nil when
// they do. keys are the client's registered keys, needed for self_signed_tls_client_auth only. The reason is for the log:
// it names nothing of the certificate, and the client is told none.
func Prove(rp directory.RelyingParty, keys *token.ClientKeys, chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 {
		return errNone
	}
	switch own := chain[0]; {
	case len(chain) > maxChain:
		return errors.New("too many certificates came along")
	case weak(own):
		return fmt.Errorf("the certificate has an RSA key below %d bits", rsaBits)
	case rp.Auth == directory.AuthTLS:
		return issued(rp, own, chain[1:], now)
	case rp.Auth == directory.AuthSelfSignedTLS:
		return registered(keys, own, now)
	}
	return errors.New("the client does not prove itself by a certificate")
}

// issued is tls_client_auth.
func issued(rp directory.RelyingParty, own *x509.Certificate, between []*x509.Certificate, now time.Time) error {
	anchors, err := Anchors(rp.TLSClientAuthCA)
	if err != nil {
		return fmt.Errorf("tls_client_auth_ca: %w", err)
	}
	how := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, c := range anchors {
		how.Roots.AddCert(c)
	}
	for _, c := range between {
		if !weak(c) {
			how.Intermediates.AddCert(c)
		}
	}
	if own.IsCA {
		return errors.New("the certificate is one of a CA")
	}
	if _, err := own.Verify(how); err != nil {
		return fmt.Errorf("no chain to tls_client_auth_ca: %w", err)
	}
	if !named(rp, own) {
		return errors.New("the certificate has another name than the client's")
	}
	return nil
}

// named compares the one name that is registered.
func named(rp directory.RelyingParty, own *x509.Certificate) bool {
	switch {
	case rp.TLSClientAuthSubject != "":
		return token.SubjectDN(own) == rp.TLSClientAuthSubject
	case rp.TLSClientAuthDNS != "":
		return slices.Contains(own.DNSNames, rp.TLSClientAuthDNS)
	case rp.TLSClientAuthEmail != "":
		return slices.Contains(own.EmailAddresses, rp.TLSClientAuthEmail)
	case rp.TLSClientAuthURI != "":
		for _, u := range own.URIs {
			if u.String() == rp.TLSClientAuthURI {
				return true
			}
		}
	case rp.TLSClientAuthIP != "":
		want, err := netip.ParseAddr(rp.TLSClientAuthIP)
		for _, ip := range own.IPAddresses {
			if have, ok := netip.AddrFromSlice(ip); err == nil && ok && have == want {
				return true
			}
		}
	}
	return false
}

// registered is self_signed_tls_client_auth.
func registered(keys *token.ClientKeys, own *x509.Certificate, now time.Time) error {
	if !keys.HasCertificate(own.Raw) {
		return errors.New("the certificate is not one of the client's x5c")
	}
	if now.Before(own.NotBefore) || now.After(own.NotAfter) {
		return errors.New("the certificate is not in time")
	}
	return nil
}

// weak finds RSA keys that are too short to prove anything.
func weak(cert *x509.Certificate) bool {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() < rsaBits
}
