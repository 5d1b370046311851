package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// mutual are clients that show certificates (RFC 8705): one of a CA that the operator knows, one of its own, and one that
// signs an assertion and has its tokens bound to whatever certificate it shows.
const mutual = `
[[relying_party]]
id = "mutual"
name = "Mutual"
home = "https://app.example/"
auth = "tls_client_auth"
tls_client_auth_ca = '''CA'''
tls_client_auth_san_dns = "mutual.app.example"
tls_bound_tokens = true
redirect_uris = ["REDIRECT"]
grants = ["authorization_code", "refresh_token", "client_credentials"]
scopes = ["openid", "email", "orders"]
first_party = true

[[relying_party]]
id = "self"
name = "Self"
home = "https://app.example/"
auth = "self_signed_tls_client_auth"
profile = "fapi2"
jwks = '''OWN'''
redirect_uris = ["REDIRECT"]
scopes = ["openid", "email"]
first_party = true

[[relying_party]]
id = "bound"
name = "Bound"
home = "https://app.example/"
auth = "private_key_jwt"
profile = "fapi2"
tls_bound_tokens = true
jwks = '''JWKS:bound'''
redirect_uris = ["REDIRECT"]
scopes = ["openid", "email"]
first_party = true
`

// mutuals makes the certificates: of the client, of somebody else by the same CA, of another CA with the same name, and one
// that signs itself.
func (s *site) mutuals() (string, error) {
	known, err := newAuthority()
	if err != nil {
		return "", err
	}
	unknown, err := newAuthority()
	if err != nil {
		return "", err
	}
	s.Mutual = map[string]identity{}
	for who, of := range map[string]struct {
		ca   *authority
		name string
	}{"mutual": {known, "mutual.app.example"}, "neighbour": {known, "neighbour.app.example"}, "stranger": {unknown, "mutual.app.example"}} {
		cert, key, err := of.ca.issue(&x509.Certificate{
			Subject: pkix.Name{CommonName: who}, DNSNames: []string{of.name}, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		if err != nil {
			return "", err
		}
		s.Mutual[who] = identity{string(cert), string(key)}
	}
	own, err := s.selfSigned()
	return strings.NewReplacer("'''CA'''", "'''"+string(known.pem())+"'''", "OWN", own).Replace(mutual), err
}

// selfSigned makes a certificate that nobody vouches for, and the JWK set that names it.
func (s *site) selfSigned() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "self"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, nil, key, &key.PublicKey)
	if err != nil {
		return "", err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	s.Mutual["self"] = identity{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "self", Use: "sig", Certificates: []*x509.Certificate{cert}}}})
	return string(set), err
}

// Certificates of clients as oauth4webapi, openid-client and undici show them, over real TLS.
func TestREQ_B70_SEC_O6_O7_ClientCertificatesInNode(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, scenario := range []string{"chain", "selfSigned", "privateKey", "openidClient"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			s.node(t, "mutual", scenario)
		})
	}
}
