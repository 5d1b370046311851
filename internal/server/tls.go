package server

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"doorward/internal/fault"
)

// Certificates hold the server's own certificates and find the one for a host name. They can be loaded again while the
// server runs, so that a renewed certificate needs no restart.
type Certificates struct {
	certs, keys []string
	loaded      atomic.Pointer[[]tls.Certificate]
}

// LoadCertificates reads PEM files, a certificate with its chain and the key of the same place in keys. A key that
// others may read is refused: fault.Forbidden "key-readable". Pairs that do not fit, or cannot be read, are fault.Invalid
// "certificate-invalid".
func LoadCertificates(certs, keys []string) (*Certificates, error) {
	c := &Certificates{certs: certs, keys: keys}
	return c, c.Reload()
}

// Reload reads the files again. When one is not usable nothing changes.
func (c *Certificates) Reload() error {
	if c.certs == nil && c.loaded.Load() != nil {
		return nil // of the local CA, made at start
	}
	if len(c.certs) == 0 || len(c.certs) != len(c.keys) {
		return fault.New(fault.Invalid, "certificate-invalid")
	}
	var all []tls.Certificate
	for i := range c.certs {
		info, err := os.Stat(c.keys[i])
		if err != nil {
			return fault.New(fault.Invalid, "certificate-invalid").Because(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return fault.New(fault.Forbidden, "key-readable", "file", c.keys[i]).Because(fmt.Errorf("%s can be read by others: chmod 600", c.keys[i]))
		}
		pair, err := tls.LoadX509KeyPair(c.certs[i], c.keys[i])
		if err != nil {
			return fault.New(fault.Invalid, "certificate-invalid", "file", c.certs[i]).Because(err)
		}
		all = append(all, pair)
	}
	c.loaded.Store(&all)
	return nil
}

// For answers tls.Config.GetCertificate: the first certificate that covers the name and that the client can use, or the
// first of all. Who asks for a name we do not have gets a certificate that does not fit: the browser says so.
func (c *Certificates) For(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := *c.loaded.Load()
	for i := range all {
		if hello.SupportsCertificate(&all[i]) == nil {
			return &all[i], nil
		}
	}
	return &all[0], nil
}

// Signer is the key and the chain of the certificate for a host name, for what is signed in the server's name; a nil key
// where no certificate covers it.
func (c *Certificates) Signer(host string) (crypto.Signer, []*x509.Certificate) {
	for _, pair := range *c.loaded.Load() {
		key, ok := pair.PrivateKey.(crypto.Signer)
		if !ok || pair.Leaf == nil || pair.Leaf.VerifyHostname(host) != nil {
			continue
		}
		chain := []*x509.Certificate{pair.Leaf}
		for _, der := range pair.Certificate[1:] {
			if above, err := x509.ParseCertificate(der); err == nil {
				chain = append(chain, above)
			}
		}
		return key, chain
	}
	return nil, nil
}

// suites are the TLS 1.2 suites: forward secrecy and authenticated encryption only (SEC N-1). TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// tlsConfig is one listener for two kinds of hosts; the name in the handshake decides. Hosts that ask for a certificate
//
//   - ask and never require: a door answers in its own words to whoever has none, or a wrong one;
//   - name the CAs that their door names. Where applications call it names none: which ones count differs from client to
//     client, and is nobody else's business. Where people come it names the realm's own, or nothing is asked;
//   - issue and take no session ticket: a resumed connection carries a certificate that was not shown on it (SEC C-4);
//   - speak http/1.1 only, so that no browser carries requests for another host over the connection.
func tlsConfig(c *Certificates, asks func(host string) (issuers *x509.CertPool, how asked)) *tls.Config {
	quiet := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   slices.Clone(suites),
		GetCertificate: c.For,
		NextProtos:     []string{"h2", "http/1.1"},
	}
	alone := quiet.Clone()
	alone.SessionTicketsDisabled = true
	alone.NextProtos = []string{"http/1.1"}
	anybody := alone.Clone()
	anybody.ClientAuth = tls.RequestClientCert
	quiet.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		issuers, how := asks(hostOf(hello.ServerName))
		switch how {
		case asksNobody:
			return nil, nil // quiet itself
		case asksNotYet:
			return alone, nil
		case asksAnybody:
			return anybody, nil
		}
		named := anybody.Clone()
		named.ClientCAs = issuers // named only: what is shown is judged by the door
		return named, nil
	}
	return quiet
}

// asked is what a host does about client certificates.
type asked int

const (
	asksNobody  asked = iota
	asksNotYet        // it would, but there is no CA to name
	asksAnybody       // and names no CA
	asksNamed
)

// asks finds out what the host does.
func (f *front) asks(host string) (*x509.CertPool, asked) {
	d := f.doorOf(host)
	switch {
	case d == nil || !d.AsksCertificate:
		return nil, asksNobody
	case d.Issuers == nil:
		return nil, asksAnybody
	}
	if issuers := d.Issuers(host); issuers != nil {
		return issuers, asksNamed
	}
	return nil, asksNotYet
}

// hostOf is the name a request is for, lower case, without port and without the dot of a full name.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// misdirected reports whether a request came over a connection that was opened for another name. Browsers reuse one
// connection for all names a certificate covers; what was decided for one name (whether a client certificate was asked
// for) must not count for another. They try again on a connection of its own when told 421.
func misdirected(r *http.Request) bool {
	return r.TLS != nil && hostOf(r.TLS.ServerName) != hostOf(r.Host)
}
