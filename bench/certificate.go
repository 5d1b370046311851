package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"doorward/internal/secret"
	"doorward/internal/sqlstore"
)

// requests makes n certificate requests, each for a key of its own.
func requests(n int) ([][]byte, error) {
	all := make([][]byte, n)
	for i := range all {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		if all[i], err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func posting(c *http.Client, address, kind string, body []byte) error {
	req, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	return send(c, req, http.StatusOK)
}

// issuing is row 10.
func issuing(f *floorServer, s *site) ([]result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, "issuer")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p, err := start(self, "-issuer", dir)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var address string
	if _, err = p.ready(func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "address"))
		address = string(b)
		return err == nil
	}); err != nil {
		return nil, err
	}
	pool, err := roots(filepath.Join(dir, "cert.pem"))
	if err != nil {
		return nil, err
	}
	c := client(pool, address)
	const n, callers = 400, 4
	var out []result
	for _, row := range []struct {
		path, name string
		callers    int
	}{{"/issue", "certificate issue, linted, two durable commits, audited", callers}, {"/renew", "certificate renew, the same", 1}} {
		var floors, ours []time.Duration
		for range rounds {
			all, err := requests(n + max(n/10, row.callers))
			if err != nil {
				return out, err
			}
			d, err := perRequest(f.process, n, row.callers, func(i int) error { return posting(f.client, floorURL+"/issue", "application/pkcs10", all[i]) })
			if err != nil {
				return out, err
			}
			floors = append(floors, d)
			address := siteURL + row.path
			if row.path == "/renew" {
				address += "?device=1"
			}
			var used atomic.Int64 // each key has one certificate, in the warm-up too
			d, err = perRequest(p, n, row.callers, func(int) error { return posting(c, address, "application/pkcs10", all[used.Add(1)-1]) })
			if err != nil {
				return out, err
			}
			ours = append(ours, d)
		}
		out = append(out, compared("10", row.name, median(floors), median(ours), 1.4))
	}
	return out, nil
}

// revocation is rows 11 and 12, at a realm that has an authority and a certificate.
func revocation(f *floorServer, s *site, asked func(string) bool) ([]result, error) {
	leaf, key, issuer, err := s.authority()
	if err != nil {
		return nil, err
	}
	plain, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return nil, err
	}
	c := client(s.pool, s.address)
	const kind = "application/ocsp-request"
	var out []result
	add := func(row, path string, n int, most float64, floor, ours func(int) error) error {
		if !asked(row) {
			return nil
		}
		r, err := beside(f, s, row, path, n, most, floor, ours)
		out = append(out, r)
		return err
	}
	if err := add("11", "OCSP, signed ahead", 3000, 1.35,
		func(int) error { return posting(f.client, floorURL+"/ocsp", kind, plain) },
		func(int) error { return posting(c, siteURL+"/pki/ocsp", kind, plain) }); err != nil {
		return out, err
	}
	if err := add("11", "OCSP with a nonce, signed live", 2000, 1.15,
		func(int) error { return posting(f.client, floorURL+"/ocsp/live", kind, plain) },
		func(i int) error { return posting(c, siteURL+"/pki/ocsp", kind, withNonce(plain, i)) }); err != nil {
		return out, err
	}
	if err := add("11", "CRL", 3000, 1.5,
		func(int) error { return get(f.client, floorURL+"/crl", "") },
		func(int) error { return get(c, siteURL+"/pki/crl", "") }); err != nil {
		return out, err
	}
	shows := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	one := func(base *http.Client, address string, want int) error {
		t := base.Transport.(*http.Transport).Clone()
		t.DisableKeepAlives = true
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shows, nil }
		return send(&http.Client{Timeout: base.Timeout, Transport: t, CheckRedirect: base.CheckRedirect}, request(http.MethodGet, address, "", ""), want)
	}
	return out, add("12", "handshake with a certificate, and one statement about what led there", 400, 1.1,
		func(int) error { return one(f.client, "https://shown.localhost/shown", http.StatusNoContent) },
		func(i int) error {
			return one(c, fmt.Sprintf("https://cert.shop.localhost/certificate/%043d", i), http.StatusSeeOther)
		})
}

// authority gives the realm an authority as an operator would, by the command line, and somebody a certificate.
func (s *site) authority() (leaf *x509.Certificate, key crypto.Signer, issuer *x509.Certificate, err error) {
	at := func(name string) string { return filepath.Join(s.dir, name) }
	for _, args := range [][]string{
		{"ca", "init-root", "--dir", at("root"), "--name", "Bench root", "--organization", "Bench Ltd", "--hands", "1"},
		{"ca", "request", "--config", s.config(), "--realm", issuerRealm, "--out", at("issuing.csr")},
		{"ca", "sign", "--root", at("root/root.crt"), "--key", at("root/root-key.pem"), "--request", at("issuing.csr"), "--out", at("issuing.crt")},
		{"ca", "import", "--config", s.config(), "--realm", issuerRealm, "--certificate", at("issuing.crt"), "--root", at("root/root.crt")},
	} {
		if err := s.command(nil, args...); err != nil {
			return nil, nil, nil, err
		}
	}
	ring, err := secret.LoadRing(at("keyring"))
	if err != nil {
		return nil, nil, nil, err
	}
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, "sqlite:"+at("doorward.db"), ring, sqlstore.Options{Clock: time.Now})
	if err != nil {
		return nil, nil, nil, err
	}
	defer store.Close()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	certs := authorities(store)
	on, err := certs.Issue(ctx, order(private.Public()))
	if err != nil {
		return nil, nil, nil, err
	}
	der, err := certs.Certificate(ctx, issuerRealm, "")
	if err != nil {
		return nil, nil, nil, err
	}
	if issuer, err = x509.ParseCertificate(der); err != nil {
		return nil, nil, nil, err
	}
	leaf, err = x509.ParseCertificate(on.DER)
	return leaf, private, issuer, err
}

// withNonce is an OCSP request with the nth nonce (RFC 9654 2.1).
func withNonce(plain []byte, n int) []byte {
	in := cryptobyte.String(plain)
	var request, tbs cryptobyte.String
	if !in.ReadASN1(&request, cryptobyte_asn1.SEQUENCE) || !request.ReadASN1(&tbs, cryptobyte_asn1.SEQUENCE) {
		panic("bench: no OCSP request") // a library made it
	}
	nonce := []byte(strings.Repeat("0", 32-len(strconv.Itoa(n))) + strconv.Itoa(n))
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			b.AddASN1(cryptobyte_asn1.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier([]int{1, 3, 6, 1, 5, 5, 7, 48, 1, 2})
						b.AddASN1(cryptobyte_asn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
					})
				})
			})
		})
	})
	return b.BytesOrPanic()
}
