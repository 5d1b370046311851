package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/secret"
)

// Examples of RFC 9449 4.1 and 7.1, whose key has the thumbprint of 6.1.
const (
	proofExample    = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	resourceExample = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	exampleJKT      = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	exampleAccess   = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
)

func TestRFC9449Examples(t *testing.T) {
	p, err := VerifyProof(proofExample, ProofRules{Method: "POST", URL: "https://server.example.com/token", Now: time.Unix(1562262616, 0)})
	if err != nil || p.JKT != exampleJKT {
		t.Errorf("4.1: %+v %v", p, err)
	}
	p, err = VerifyProof(resourceExample, ProofRules{Method: "GET", URL: "https://resource.example.org/protectedresource", AccessToken: exampleAccess, Now: time.Unix(1562262620, 0)})
	if err != nil || p.JKT != exampleJKT {
		t.Errorf("7.1: %+v %v", p, err)
	}
	if got := AccessHash(exampleAccess); got != "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" {
		t.Errorf("ath %s", got)
	}
}

// TestSEC_O6_Proof is the list of RFC 9449 4.3, each point broken once.
func TestSEC_O6_Proof(t *testing.T) {
	key := privateOf(t, ES256)
	private, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	head := m{"alg": ES256, "typ": "dpop+jwt", "jwk": publicJWK(t, key.Public(), "", "")}
	body := m{"jti": "j", "htm": "POST", "htu": endpoint, "iat": now.Unix()}
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	jwk := head["jwk"].(m)
	for _, c := range []struct {
		name         string
		header, body m
		access       string
		nonces       []string
		code         string
	}{
		{"as it should be", head, body, "", nil, ""},
		{"typ in capitals", clone(head, "typ", "DPoP+JWT"), body, "", nil, ""},
		{"typ with application/", clone(head, "typ", "application/dpop+jwt"), body, "", nil, ""},
		{"jwk with kid and use", clone(head, "jwk", clone(jwk, "kid", "x", "use", "sig", "key_ops", []string{"verify"})), body, "", nil, ""},
		{"jwk with its alg", clone(head, "jwk", clone(jwk, "alg", ES256)), body, "", nil, ""},
		{"jwk with junk in x5c", clone(head, "jwk", clone(jwk, "x5c", []string{"junk"})), body, "", nil, ""},
		{"no typ", clone(head, "typ", nil), body, "", nil, CodeInvalidProof},
		{"no jwk", clone(head, "jwk", nil), body, "", nil, CodeInvalidProof},
		{"private jwk", clone(head, "jwk", clone(jwk, "d", encode(private))), body, "", nil, CodeInvalidProof},
		{"jwk with an odd private member", clone(head, "jwk", clone(jwk, "dp", "AA")), body, "", nil, CodeInvalidProof},
		{"jwk with null d", clone(head, "jwk", func() m { c := clone(jwk); c["d"] = any(nil); return c }()), body, "", nil, CodeInvalidProof},
		{"symmetric jwk", clone(head, "jwk", m{"kty": "oct", "k": "AAAA"}), body, "", nil, CodeInvalidProof},
		{"jwk for another algorithm", clone(head, "jwk", clone(jwk, "alg", "ES384")), body, "", nil, CodeInvalidProof},
		{"jwk of another curve", clone(head, "jwk", clone(jwk, "crv", "P-384")), body, "", nil, CodeInvalidProof},
		{"jwk a string", clone(head, "jwk", "x"), body, "", nil, CodeInvalidProof},
		{"another key", clone(head, "jwk", publicJWK(t, freshEC(t).Public(), "", "")), body, "", nil, CodeInvalidProof},
		{"no jti", head, clone(body, "jti", nil), "", nil, CodeInvalidProof},
		{"long jti", head, clone(body, "jti", strings.Repeat("j", 513)), "", nil, CodeInvalidProof},
		{"no htm", head, clone(body, "htm", nil), "", nil, CodeInvalidProof},
		{"htm in lower case", head, clone(body, "htm", "post"), "", nil, CodeInvalidProof},
		{"another method", head, clone(body, "htm", "GET"), "", nil, CodeInvalidProof},
		{"no htu", head, clone(body, "htu", nil), "", nil, CodeInvalidProof},
		{"another address", head, clone(body, "htu", issuer+"/oauth2/par"), "", nil, CodeInvalidProof},
		{"another host", head, clone(body, "htu", "https://other.example/oauth2/token"), "", nil, CodeInvalidProof},
		{"http", head, clone(body, "htu", "http://login.example.com/oauth2/token"), "", nil, CodeInvalidProof},
		{"htu with query", head, clone(body, "htu", endpoint+"?a=b#c"), "", nil, ""},
		{"htu spelled otherwise", head, clone(body, "htu", "HTTPS://LOGIN.example.com:443/x/../oauth2/%74oken"), "", nil, ""},
		{"htu with user", head, clone(body, "htu", "https://u@login.example.com/oauth2/token"), "", nil, CodeInvalidProof},
		{"htu with backslash", head, clone(body, "htu", `https://login.example.com\oauth2/token`), "", nil, CodeInvalidProof},
		{"no iat", head, clone(body, "iat", nil), "", nil, CodeInvalidProof},
		{"iat 60 s past", head, clone(body, "iat", at(-60*time.Second)), "", nil, ""},
		{"iat 61 s past", head, clone(body, "iat", at(-61*time.Second)), "", nil, CodeInvalidProof},
		{"iat 10 s ahead", head, clone(body, "iat", at(10*time.Second)), "", nil, ""},
		{"iat 11 s ahead", head, clone(body, "iat", at(11*time.Second)), "", nil, CodeInvalidProof},
		{"expired", head, clone(body, "exp", at(-20*time.Second)), "", nil, CodeInvalidProof},
		{"not yet valid", head, clone(body, "nbf", at(20*time.Second)), "", nil, CodeInvalidProof},
		{"ath missing", head, body, "tok", nil, CodeInvalidProof},
		{"ath of another token", head, clone(body, "ath", AccessHash("other")), "tok", nil, CodeInvalidProof},
		{"ath right", head, clone(body, "ath", AccessHash("tok")), "tok", nil, ""},
		{"ath where none is wanted", head, clone(body, "ath", AccessHash("tok")), "", nil, ""},
		{"nonce missing", head, body, "", []string{"n"}, CodeUseNonce},
		{"nonce wrong", head, clone(body, "nonce", "x"), "", []string{"n"}, CodeUseNonce},
		{"nonce empty", head, clone(body, "nonce", ""), "", []string{""}, CodeUseNonce},
		{"nonce before", head, clone(body, "nonce", "old"), "", []string{"n", "old"}, ""},
		{"nonce where none is wanted", head, clone(body, "nonce", "x"), "", nil, ""},
	} {
		p, err := VerifyProof(forge(t, ES256, key, c.header, c.body), ProofRules{Method: "POST", URL: endpoint, AccessToken: c.access, Nonces: c.nonces, Now: now})
		if c.code != "" {
			refused(t, c.name, err, c.code)
			continue
		}
		if err != nil || p.JKT != keyOf(t, ES256).ID || !strings.HasPrefix(p.Once.Key, "dpop:") || p.Once.Expires.Before(now) {
			t.Errorf("%s: %+v %v", c.name, p, err)
		}
	}
}

// TestSEC_O6_ProofOutlivesNothing: the single use is kept for as long as the proof could be shown.
func TestSEC_O6_ProofOutlivesNothing(t *testing.T) {
	key := privateOf(t, EdDSA)
	head := m{"alg": EdDSA, "typ": "dpop+jwt", "jwk": publicJWK(t, key.Public(), "", "")}
	raw := forge(t, EdDSA, key, head, m{"jti": "j", "htm": "POST", "htu": endpoint, "iat": now.Unix()})
	var spent Once
	for d := -ProofAhead; d <= ProofPast; d += time.Second {
		p, err := VerifyProof(raw, ProofRules{Method: "POST", URL: endpoint, Now: now.Add(d)})
		if err != nil {
			t.Fatalf("after %v: %v", d, err)
		}
		if spent.Key != "" && p.Once != spent {
			t.Fatalf("after %v: another single use", d)
		}
		if spent = p.Once; !p.Once.Expires.After(now.Add(d)) {
			t.Fatalf("after %v: the single use is forgotten and the proof is not", d)
		}
	}
}

func TestProofRefusesRS256AndWeakKeys(t *testing.T) {
	for _, alg := range []string{PS256, RS256} {
		key := privateOf(t, alg)
		raw := forge(t, alg, key, m{"alg": alg, "typ": "dpop+jwt", "jwk": publicJWK(t, key.Public(), "", "")}, m{"jti": "j", "htm": "POST", "htu": endpoint, "iat": now.Unix()})
		if _, err := VerifyProof(raw, ProofRules{Method: "POST", URL: endpoint, Now: now}); (err == nil) != (alg == PS256) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestNormalizedAddresses(t *testing.T) {
	same := []string{
		"https://h.example/a/b", "HTTPS://H.EXAMPLE:443/a/b", "https://h.example/a/./b", "https://h.example/a/c/../b", "https://h.example/%61/b", "https://h.example/a/b?q", "https://h.example/a/b#f", "https://h.example/x/y/../../a/b",
	}
	for _, s := range same {
		if got, ok := normalized(s); !ok || got != same[0] {
			t.Errorf("%q became %q %v", s, got, ok)
		}
	}
	for in, want := range map[string]string{
		"https://h.example": "https://h.example/", "https://h.example:8443/": "https://h.example:8443/", "http://[::1]:80/x": "http://[::1]/x", "http://[::1]:81/x": "http://[::1]:81/x",
		"https://h.example/a%2fb": "https://h.example/a%2Fb", "https://h.example/a/": "https://h.example/a/", "https://h.example/a/..": "https://h.example/", "https://h.example/a/b/..": "https://h.example/a/",
		"https://h.example/A": "https://h.example/A", "https://h.example//a": "https://h.example//a",
	} {
		if got, ok := normalized(in); !ok || got != want {
			t.Errorf("%q became %q %v, want %q", in, got, ok, want)
		}
	}
	for _, bad := range []string{"", "/a", "h.example/a", "https:a", "https:///a", "ftp://h/a", "javascript:1", "https://u:p@h/a", "https://h/%zz", "https://h/%", "https://h/ a", "https://h\\a", "https://h/\n", "https://" + strings.Repeat("x", 3000)} {
		if got, ok := normalized(bad); ok {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestProofNoncesChangeAndOverlap(t *testing.T) {
	ring, err := secret.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	a := ProofNonces(ring, "shop", now)
	if len(a) != 2 || a[0] == a[1] || len(a[0]) < 22 {
		t.Fatalf("%v", a)
	}
	if b := ProofNonces(ring, "shop", now.Add(2*time.Minute)); b[1] != a[0] || b[0] == a[0] {
		t.Errorf("the nonce of before is not taken: %v %v", a, b)
	}
	if b := ProofNonces(ring, "shop", now.Add(4*time.Minute)); slices.Contains(b, a[0]) {
		t.Errorf("a nonce lives too long: %v %v", a, b)
	}
	if b := ProofNonces(ring, "wealth", now); slices.Contains(b, a[0]) {
		t.Error("two realms share a nonce")
	}
}

func TestSEC_O6_Confirmation(t *testing.T) {
	for _, c := range []struct {
		cnf      *Confirmation
		jkt, x5t string
		want     bool
	}{
		{nil, "", "", true}, {nil, "", "c", true}, {nil, "k", "", false}, {&Confirmation{}, "", "", true},
		{Bind("k", ""), "k", "", true}, {Bind("k", ""), "", "", false}, {Bind("k", ""), "x", "", false}, {Bind("k", ""), "K", "", false}, {Bind("k", ""), "", "k", false}, {Bind("k", ""), "k", "c", true},
		{Bind("", "c"), "", "c", true}, {Bind("", "c"), "", "", false}, {Bind("", "c"), "", "x", false}, {Bind("", "c"), "c", "", false}, {Bind("", "c"), "k", "c", false},
		{Bind("k", "c"), "k", "c", true}, {Bind("k", "c"), "k", "", false}, {Bind("k", "c"), "", "c", false},
	} {
		if err := c.cnf.Held(c.jkt, c.x5t); (err == nil) != c.want {
			t.Errorf("%+v with %q %q: %v", c.cnf, c.jkt, c.x5t, err)
		} else if err != nil {
			refused(t, "cnf", err, CodeInvalidToken)
		}
	}
	if Bind("", "") != nil {
		t.Error("no key is no confirmation")
	}
}

// The certificate of RFC 8705 A, whose thumbprint is given there.
const certExample = `-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----`

func TestRFC8705Example(t *testing.T) {
	block, _ := pem.Decode([]byte(certExample))
	if got := CertificateThumbprint(block.Bytes); got != "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" {
		t.Errorf("x5t#S256 %s", got)
	}
}

func TestSubjectDNAndRegisteredCertificate(t *testing.T) {
	key := freshEC(t)
	make := func(name pkix.Name) *x509.Certificate {
		t.Helper()
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, NotBefore: now, NotAfter: now.Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := make(pkix.Name{CommonName: "shop", Organization: []string{"Acme, Inc"}, Country: []string{"CH"}}), make(pkix.Name{CommonName: "shop,O=Acme\\, Inc"})
	if got := SubjectDN(a); got != `CN=shop,O=Acme\, Inc,C=CH` {
		t.Errorf("subject %s", got)
	}
	if SubjectDN(a) == SubjectDN(b) || SubjectDN(make(pkix.Name{})) != "" || SubjectDN(&x509.Certificate{RawSubject: []byte{1}}) != "" {
		t.Errorf("subjects %q %q", SubjectDN(a), SubjectDN(b))
	}
	set := m{"keys": []any{clone(publicJWK(t, key.Public(), "c", ""), "x5c", []any{a.Raw})}}
	keys, err := ParseClientKeys([]byte(jsonOf(t, set)))
	if err != nil || keys.Len() != 1 {
		t.Fatal(err, keys.Len())
	}
	if !keys.HasCertificate(a.Raw) || keys.HasCertificate(b.Raw) || keys.HasCertificate(nil) || (*ClientKeys)(nil).HasCertificate(a.Raw) {
		t.Error("the registered certificate, and no other of the same key")
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set = m{"keys": []any{clone(publicJWK(t, other.Public(), "c", ""), "x5c", []any{a.Raw})}}
	if keys, err := ParseClientKeys([]byte(jsonOf(t, set))); err != nil || keys.Len() != 0 || keys.HasCertificate(a.Raw) {
		t.Errorf("a certificate of another key: %v %d", err, keys.Len())
	}
}
