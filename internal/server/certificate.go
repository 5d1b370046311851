package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"doorward/internal/fault"
)

// Whose certificate it is (SEC C-11, N-3). A request has one of three:
//
//   - Without a proxy: that of the connection. TLS has proven that its holder has the key.
//   - From a configured proxy: the one that the proxy names in the one configured header, in one of two forms. The proxy's
//     own certificate is nobody's, and without a configured header nobody has any.
//   - From anybody else the header is dropped, in every spelling, as everything that only the edge may read.
//
// What a proxy sends must be readable in one way only: one header line, one certificate, nothing around it. Anything else
// is refused. It never counts as "no certificate": the client showed one, and must not be taken for one that did not.
// Whether a certificate counts is not decided here.

// Forms in which a proxy may be configured to name the client's certificate.
const (
	ClientCert           = "client-cert"             // RFC 9440, with Client-Cert-Chain
	ForwardedClientCert  = "x-forwarded-client-cert" // Envoy, one element
	clientCertChain      = "Client-Cert-Chain"
	certificateHeaderMax = 24 << 10 // bytes of the header line
	certificatesMax      = 10       // of a chain
)

// WithCertificate returns the edge with the header in which its proxies name the client's certificate; empty for none. It
// fails with fault.Invalid, code "certificate-header-invalid".
func (e Edge) WithCertificate(header string) (Edge, error) {
	e.certificate = strings.ToLower(header)
	if !slices.Contains([]string{"", ClientCert, ForwardedClientCert}, e.certificate) {
		return Edge{}, fault.New(fault.Invalid, "certificate-header-invalid", "header", header)
	}
	return e, nil
}

// certificateHeader reports whether a header is one in which this edge's proxies speak of certificates.
func (e Edge) certificateHeader(name string) bool {
	return e.certificate != "" && strings.EqualFold(name, e.certificate) || e.certificate == ClientCert && strings.EqualFold(name, clientCertChain)
}

var errCertificateHeader = errors.New("server: a client certificate in a header that cannot be read")

// Certificates finds the client's certificates, its own first, unverified; none where it showed none. It must run before
// Admit, which takes the headers away.
func (e Edge) Certificates(r *http.Request) ([]*x509.Certificate, error) {
	if !e.Trusts(peerOf(r.RemoteAddr)) {
		if r.TLS == nil {
			return nil, nil
		}
		return r.TLS.PeerCertificates, nil
	}
	switch e.certificate {
	case ClientCert:
		return rfc9440(r.Header.Values(ClientCert), r.Header.Values(clientCertChain))
	case ForwardedClientCert:
		return envoy(r.Header.Values(ForwardedClientCert))
	}
	return nil, nil
}

// show lets a door see the certificates of a request, and only those.
func show(r *http.Request, host string, chain []*x509.Certificate) {
	switch {
	case r.TLS != nil:
		state := *r.TLS
		state.PeerCertificates, state.VerifiedChains = chain, nil
		r.TLS = &state
	case len(chain) > 0: // plain, from a proxy
		r.TLS = &tls.ConnectionState{ServerName: host, PeerCertificates: chain}
	}
}

// rfc9440 reads Client-Cert, a byte sequence (RFC 8941 3.3.5), and Client-Cert-Chain, a list of them.
func rfc9440(own, between []string) ([]*x509.Certificate, error) {
	if len(own) == 0 && len(between) == 0 {
		return nil, nil
	}
	if len(own) != 1 || len(between) > 1 {
		return nil, errCertificateHeader
	}
	items := own
	for _, list := range between {
		if len(list) > certificateHeaderMax {
			return nil, errCertificateHeader
		}
		for item := range strings.SplitSeq(list, ",") {
			items = append(slices.Clip(items), strings.Trim(item, " \t"))
		}
	}
	if len(items) > certificatesMax {
		return nil, errCertificateHeader
	}
	var chain []*x509.Certificate
	for _, item := range items {
		cert, ok := byteSequence(item)
		if !ok {
			return nil, errCertificateHeader
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

func byteSequence(s string) (*x509.Certificate, bool) {
	if len(s) > certificateHeaderMax || len(s) < 2 || s[0] != ':' || s[len(s)-1] != ':' || strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	der, err := base64.StdEncoding.Strict().DecodeString(s[1 : len(s)-1])
	if err != nil {
		return nil, false
	}
	cert, err := x509.ParseCertificate(der)
	return cert, err == nil
}

// envoyKeys are what an element of x-forwarded-client-cert may say; true where it may say it more than once.
var envoyKeys = map[string]bool{"By": true, "Hash": false, "Cert": false, "Chain": false, "Subject": false, "URI": true, "DNS": true}

// envoy reads one element of x-forwarded-client-cert with Cert in it. Several elements are several proxies, each with a
// certificate of its own: which of them is the client's is not ours to guess.
func envoy(lines []string) ([]*x509.Certificate, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	if len(lines) != 1 || len(lines[0]) > certificateHeaderMax {
		return nil, errCertificateHeader
	}
	found := map[string]string{}
	for rest, more := lines[0], true; more; {
		var key, value string
		var ok bool
		if key, value, rest, more, ok = envoyPair(rest); !ok {
			return nil, errCertificateHeader
		}
		often, known := envoyKeys[key]
		if _, twice := found[key]; !known || twice && !often {
			return nil, errCertificateHeader
		}
		found[key] = value
	}
	own, ok := escapedPEM(found["Cert"])
	if !ok || len(own) != 1 {
		return nil, errCertificateHeader
	}
	if hash, there := found["Hash"]; there {
		if sum := sha256.Sum256(own[0].Raw); !strings.EqualFold(hash, hex.EncodeToString(sum[:])) {
			return nil, errCertificateHeader
		}
	}
	if _, there := found["Chain"]; !there {
		return own, nil
	}
	chain, ok := escapedPEM(found["Chain"]) // with the client's own
	if !ok || len(chain) > certificatesMax || !chain[0].Equal(own[0]) {
		return nil, errCertificateHeader
	}
	return chain, nil
}

// envoyPair cuts key=value or key="value" from the front, and the semicolon behind it.
func envoyPair(s string) (key, value, rest string, more, ok bool) {
	key, s, ok = strings.Cut(s, "=")
	if !ok {
		return
	}
	if !strings.HasPrefix(s, `"`) {
		value, rest, more = strings.Cut(s, ";")
		return key, value, rest, more, !strings.ContainsAny(value, `",= `)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			rest = s[i+1:]
			if rest == "" {
				return key, b.String(), "", false, true
			}
			return key, b.String(), rest[1:], true, rest[0] == ';'
		default:
			b.WriteByte(s[i])
		}
	}
	return key, "", "", false, false // a quote that does not end
}

// escapedPEM reads certificates as PEM text whose special letters are percent-encoded: at least one, and nothing else.
func escapedPEM(s string) ([]*x509.Certificate, bool) {
	text, err := url.PathUnescape(s)
	if err != nil || text == "" {
		return nil, false
	}
	var out []*x509.Certificate
	for rest := []byte(text); len(bytes.TrimSpace(rest)) > 0; {
		if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("-----BEGIN CERTIFICATE-----")) {
			return nil, false
		}
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return nil, false
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, false
		}
		out = append(out, cert)
	}
	return out, len(out) > 0
}
