package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/server"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

const (
	mtlsOrigin = "https://" + rig.MTLSHost
	appBack    = "https://app.example/cb"
)

// yard is a realm whose applications show certificates, behind the real listener.
type yard struct {
	*street
	served  *rig.Served
	ca      *rig.CA
	own     tls.Certificate // the self-signed one that is registered
	key     *ecdsa.PrivateKey
	dpopKey *ecdsa.PrivateKey
}

func freshKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keySet(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// name is the subject that is registered.
var name = pkix.Name{CommonName: "app.example", Organization: []string{"Example"}}

func subject(c *x509.Certificate) { c.Subject = name }

func eachYard(t *testing.T, test func(t *testing.T, y *yard), settings ...func(*server.Settings)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		y := &yard{ca: rig.NewCA(t, "Example CA"), own: rig.SelfSigned(t, subject), key: freshKey(t), dpopKey: freshKey(t)}
		grants := []string{directory.GrantCode, directory.GrantRefresh, directory.GrantClientCredentials}
		scopes := []string{"openid", "email", "offline_access", "orders"}
		party := func(id, auth string, change func(*directory.RelyingParty)) directory.RelyingParty {
			rp := directory.RelyingParty{
				ID: id, Name: id, Home: "https://app.example/", Auth: auth, RedirectURIs: []string{appBack}, Grants: grants, Scopes: scopes, FirstParty: true, IDTokenAlg: token.ES256,
			}
			if auth == directory.AuthTLS {
				rp.TLSClientAuthCA = y.ca.PEM()
			}
			change(&rp)
			return rp
		}
		withDN := func(rp *directory.RelyingParty) { rp.TLSClientAuthSubject = "CN=app.example,O=Example" }
		jwks := keySet(t, jose.JSONWebKey{Key: y.key.Public(), KeyID: "1", Use: "sig"})
		set := func(r *directory.Realm) {
			r.Relying = append(r.Relying,
				party("pki", directory.AuthTLS, withDN),
				party("pki-bound", directory.AuthTLS, func(rp *directory.RelyingParty) { withDN(rp); rp.TLSBoundTokens = true }),
				party("pki-dns", directory.AuthTLS, func(rp *directory.RelyingParty) { rp.TLSClientAuthDNS = "app.example" }),
				party("pki-uri", directory.AuthTLS, func(rp *directory.RelyingParty) { rp.TLSClientAuthURI = "spiffe://example/app" }),
				party("pki-ip", directory.AuthTLS, func(rp *directory.RelyingParty) { rp.TLSClientAuthIP = "192.0.2.7" }),
				party("pki-email", directory.AuthTLS, func(rp *directory.RelyingParty) { rp.TLSClientAuthEmail = "app@app.example" }),
				party("own", directory.AuthSelfSignedTLS, func(rp *directory.RelyingParty) {
					rp.JWKS = keySet(t, jose.JSONWebKey{Key: y.own.Leaf.PublicKey, KeyID: "c", Use: "sig", Certificates: []*x509.Certificate{y.own.Leaf}})
				}),
				party("strict", directory.AuthTLS, func(rp *directory.RelyingParty) { withDN(rp); rp.Profile, rp.RequirePAR = directory.FAPI2, true }),
				party("jwt", directory.AuthPrivateKeyJWT, func(rp *directory.RelyingParty) {
					rp.JWKS, rp.Profile, rp.RequirePAR, rp.TLSBoundTokens = jwks, directory.FAPI2, true, true
				}),
				party("native", directory.AuthNone, func(rp *directory.RelyingParty) { rp.TLSBoundTokens, rp.Grants = true, grants[:2] }),
			)
		}
		y.street = &street{Rig: rig.New(t, store, clients, set), t: t}
		y.anna = y.Join(y.Organization("Alder Works", false), directory.Member, "Anna Alder", "anna@alder.example")
		y.served = y.Serve(settings...)
		test(t, y)
	})
}

// call calls an endpoint over the listener, with a certificate or none.
func (y *yard) call(certificate *tls.Certificate, address string, form url.Values, edit ...func(*http.Request)) (int, map[string]any) {
	y.t.Helper()
	c := y.served.Client()
	if certificate != nil {
		c = y.served.Client(*certificate)
	}
	return y.callBy(c, address, form, edit...)
}

func (y *yard) callBy(c *http.Client, address string, form url.Values, edit ...func(*http.Request)) (int, map[string]any) {
	y.t.Helper()
	req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		y.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, e := range edit {
		e(req)
	}
	res, err := c.Do(req)
	if err != nil {
		y.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		y.t.Fatal(err)
	}
	out := map[string]any{"text": string(b)}
	if res.Header.Get("Content-Type") == "application/json" {
		out = map[string]any{}
		if err := json.Unmarshal(b, &out); err != nil {
			y.t.Fatalf("%d %s: %v", res.StatusCode, b, err)
		}
	}
	if len(res.Header.Values("Set-Cookie")) > 0 {
		y.t.Errorf("%s sets a cookie", address)
	}
	return res.StatusCode, out
}

// itself asks for a token of the client's own, as mutual TLS wants it: client_id and certificate.
func (y *yard) itself(client string, certificate *tls.Certificate) (int, map[string]any) {
	y.t.Helper()
	return y.call(certificate, mtlsOrigin+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "scope": {"orders"}})
}

// x5t is the thumbprint as RFC 8705 3.1 writes it.
func x5t(c tls.Certificate) string {
	sum := sha256.Sum256(c.Leaf.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// confirmation is the cnf of an access token.
func (y *yard) confirmation(access any) map[string]any {
	y.t.Helper()
	parts := strings.Split(access.(string), ".")
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		y.t.Fatal(err)
	}
	var claims struct {
		Confirmation map[string]any `json:"cnf"`
	}
	if err := json.Unmarshal(b, &claims); err != nil {
		y.t.Fatal(err)
	}
	return claims.Confirmation
}

// signed is a JWS with these headers.
func (y *yard) signed(key *ecdsa.PrivateKey, typ string, embed bool, claims map[string]any) string {
	y.t.Helper()
	o := (&jose.SignerOptions{EmbedJWK: embed}).WithType(jose.ContentType(typ))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, o)
	if err != nil {
		y.t.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		y.t.Fatal(err)
	}
	s, err := signer.Sign(b)
	if err != nil {
		y.t.Fatal(err)
	}
	out, err := s.CompactSerialize()
	if err != nil {
		y.t.Fatal(err)
	}
	return out
}

// asserts adds a client assertion.
func (y *yard) asserts(client string, form url.Values) url.Values {
	now := y.Clock.Now().Unix()
	form.Set("client_assertion_type", token.AssertionType)
	form.Set("client_assertion", y.signed(y.key, "JWT", false, map[string]any{
		"iss": client, "sub": client, "aud": rig.Origin, "jti": uuid.NewString(), "iat": now, "exp": now + 60,
	}))
	return form
}

// proves adds a DPoP proof for an address.
func (y *yard) proves(htu, access string) func(*http.Request) {
	return func(r *http.Request) {
		claims := map[string]any{"htm": r.Method, "htu": htu, "jti": uuid.NewString(), "iat": y.Clock.Now().Unix()}
		if access != "" {
			sum := sha256.Sum256([]byte(access))
			claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
		}
		r.Header.Set("DPoP", y.signed(y.dpopKey, "dpop+jwt", true, claims))
	}
}

func shows(scheme, access string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", scheme+" "+access) }
}

// code signs anna in for a client that pushes its requests, and returns a code.
func (y *yard) code(client string, certificate *tls.Certificate, edit func(url.Values) url.Values) string {
	y.t.Helper()
	u, err := url.Parse(request(client, appBack, "scope", "openid email orders"))
	if err != nil {
		y.t.Fatal(err)
	}
	status, got := y.call(certificate, mtlsOrigin+"/oauth2/par", edit(u.Query()))
	if status != http.StatusCreated {
		y.t.Fatalf("push: %d %v", status, got)
	}
	address := rig.Origin + "/oauth2/authorize?" + url.Values{"client_id": {client}, "request_uri": {got["request_uri"].(string)}}.Encode()
	return y.walks(y.Browser("192.0.2.30"), y.anna.Mind, address, appBack).Get("code")
}

func asIs(form url.Values) url.Values { return form }

func redemption(client, code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code}, "redirect_uri": {appBack}, "code_verifier": {verifier}}
}

// Every way in which a client may prove itself by a certificate lets it in, and no other certificate does.
func TestSEC_O7_ACertificateProvesAClient(t *testing.T) {
	eachYard(t, func(t *testing.T, y *yard) {
		good := y.ca.Issue(subject)
		names := y.ca.Issue(func(c *x509.Certificate) {
			u, err := url.Parse("spiffe://example/app")
			if err != nil {
				t.Fatal(err)
			}
			c.DNSNames, c.URIs, c.IPAddresses, c.EmailAddresses = []string{"other.example", "app.example"}, []*url.URL{u}, []net.IP{net.IPv4(192, 0, 2, 7).To4()}, []string{"app@app.example"}
		})
		below := y.ca.Below("Example CA 2").Issue(subject)
		for client, cert := range map[string]tls.Certificate{
			"pki": good, "pki-dns": names, "pki-uri": names, "pki-ip": names, "pki-email": names, "own": y.own, "strict": good, "pki-bound": below,
		} {
			status, got := y.itself(client, &cert)
			if status != http.StatusOK || got["token_type"] != "Bearer" {
				t.Errorf("%s: %d %v", client, status, got)
				continue
			}
			cnf := y.confirmation(got["access_token"])
			if bound := client == "strict" || client == "pki-bound"; bound && cnf["x5t#S256"] != x5t(cert) || !bound && cnf != nil {
				t.Errorf("%s: cnf is %v", client, cnf)
			}
		}

		other := rig.NewCA(t, "Example CA") // the same name, another key
		in := func(ca *rig.CA, change func(*x509.Certificate)) *tls.Certificate {
			c := ca.Issue(func(c *x509.Certificate) { c.Subject = name; change(c) })
			return &c
		}
		same := func(*x509.Certificate) {}
		now := y.Clock.Now()
		sameKey := tls.Certificate{PrivateKey: y.own.PrivateKey, Certificate: [][]byte{reissue(t, y.own.PrivateKey.(crypto.Signer), y.own.Leaf)}}
		for _, c := range []struct {
			what, client string
			cert         *tls.Certificate
		}{
			{"no certificate", "pki", nil},
			{"another CA of the same name", "pki", in(other, same)},
			{"self-signed with the right subject", "pki", &y.own},
			{"right CA, other subject", "pki", in(y.ca, func(c *x509.Certificate) { c.Subject.CommonName = "other.example" })},
			{"right CA, longer subject", "pki", in(y.ca, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"X"} })},
			{"right CA, subject in another order", "pki", in(y.ca, func(c *x509.Certificate) {
				c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "app.example"}, {Type: []int{2, 5, 4, 10}, Value: "Example"}}}
			})},
			{"right CA, subject in capitals", "pki", in(y.ca, func(c *x509.Certificate) { c.Subject.CommonName = "APP.EXAMPLE" })},
			{"right CA, the subject as one attribute", "pki", in(y.ca, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "app.example,O=Example"} })},
			{"right CA, no subject", "pki", in(y.ca, func(c *x509.Certificate) { c.Subject = pkix.Name{} })},
			{"the name only as a DNS name", "pki", in(y.ca, func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{}, []string{"app.example"} })},
			{"expired", "pki", in(y.ca, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })},
			{"not yet valid", "pki", in(y.ca, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) })},
			{"for servers only", "pki", in(y.ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
			{"a CA's own", "pki", in(y.ca, func(c *x509.Certificate) {
				c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
			})},
			{"issued by a client's certificate", "pki", issuedByALeaf(t, y.ca)},
			{"DNS name: other", "pki-dns", in(y.ca, func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} })},
			{"DNS name: wildcard", "pki-dns", in(y.ca, func(c *x509.Certificate) { c.DNSNames = []string{"*.example"} })},
			{"DNS name: in the subject only", "pki-dns", &good},
			{"address: other", "pki-ip", in(y.ca, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 8)} })},
			{"address: as a DNS name", "pki-ip", in(y.ca, func(c *x509.Certificate) { c.DNSNames = []string{"192.0.2.7"} })},
			{"mail: as a DNS name", "pki-email", in(y.ca, func(c *x509.Certificate) { c.DNSNames = []string{"app.example"} })},
			{"URI: none", "pki-uri", &good},
			{"self-signed: one of a CA", "own", &good},
			{"self-signed: same key, other certificate", "own", &sameKey},
			{"a secret's client with a certificate", "store", &good},
			{"a client of private_key_jwt with a certificate", "jwt", &good},
			{"a client that is not there", "nobody", &good},
		} {
			status, got := y.itself(c.client, c.cert)
			if status != http.StatusUnauthorized || got["error"] != "invalid_client" || got["error_description"] != "the client is unknown, or did not authenticate as it is registered" {
				t.Errorf("%s: %d %v", c.what, status, got)
			}
		}
		// Beside a second way of proving, or at the realm's own host, it proves nothing.
		form := func() url.Values {
			return url.Values{"grant_type": {"client_credentials"}, "client_id": {"pki"}, "scope": {"orders"}}
		}
		if status, got := y.call(&good, rig.Origin+"/oauth2/token", form()); status != http.StatusUnauthorized {
			t.Errorf("at the realm's own host: %d %v", status, got)
		}
		if status, got := y.call(&good, mtlsOrigin+"/oauth2/token", form(), basic("pki", "x")); status != http.StatusUnauthorized {
			t.Errorf("with a secret too: %d %v", status, got)
		}
		if status, got := y.call(&good, mtlsOrigin+"/oauth2/token", y.asserts("pki", form())); status != http.StatusUnauthorized {
			t.Errorf("with an assertion too: %d %v", status, got)
		}
		// The log says why, the client learns nothing.
		for _, reason := range []string{"no certificate was shown", "no chain to tls_client_auth_ca", "another name than the client's", "not one of the client's x5c", "one of a CA"} {
			if !strings.Contains(y.Log.String(), reason) {
				t.Errorf("the log does not say %q", reason)
			}
		}
		// Time passes, and operators change their mind.
		y.Clock.Until(good.Leaf.NotAfter.Add(time.Second))
		y.served = y.Serve()
		for client, cert := range map[string]tls.Certificate{"pki": good, "own": y.own} {
			if status, got := y.itself(client, &cert); status != http.StatusUnauthorized {
				t.Errorf("%s after its end: %d %v", client, status, got)
			}
		}
	})
}

// reissue signs another certificate for the same key.
func reissue(t testing.TB, key crypto.Signer, like *x509.Certificate) []byte {
	t.Helper()
	template := &x509.Certificate{Subject: like.Subject, NotBefore: like.NotBefore, NotAfter: like.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// issuedByALeaf is a certificate with the right subject under a client's certificate that is no CA.
func issuedByALeaf(t testing.TB, ca *rig.CA) *tls.Certificate {
	t.Helper()
	leaf := ca.Issue(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "somebody"} })
	key := freshKey(t)
	template := &x509.Certificate{Subject: name, NotBefore: leaf.Leaf.NotBefore, NotAfter: leaf.Leaf.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, leaf.Leaf, key.Public(), leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, leaf.Certificate[0]}, PrivateKey: key}
}

// What the host serves, and what the metadata says of it; without a client that needs it there is no such host.
func TestSEC_O7_TheHostWhereCertificatesAreShown(t *testing.T) {
	eachYard(t, func(t *testing.T, y *yard) {
		good := y.ca.Issue(subject)
		metadata := func() map[string]any {
			res, err := y.served.Client().Get(rig.Origin + "/.well-known/oauth-authorization-server")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			out := map[string]any{}
			if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		doc := metadata()
		alias, _ := doc["mtls_endpoint_aliases"].(map[string]any)
		if doc["issuer"] != rig.Origin || doc["tls_client_certificate_bound_access_tokens"] != true || alias["token_endpoint"] != mtlsOrigin+"/oauth2/token" || len(alias) < 5 {
			t.Errorf("metadata: %v %v", doc["issuer"], alias)
		}
		methods, _ := doc["token_endpoint_auth_methods_supported"].([]any)
		if !slices.Contains(methods, any("tls_client_auth")) || !slices.Contains(methods, any("self_signed_tls_client_auth")) {
			t.Errorf("methods: %v", methods)
		}
		for key, address := range alias {
			status, got := y.call(&good, address.(string), url.Values{"client_id": {"pki"}, "token": {"x"}, "grant_type": {"client_credentials"}, "scope": {"orders"}})
			if status == http.StatusNotFound || doc[key] != strings.Replace(address.(string), mtlsOrigin, rig.Origin, 1) {
				t.Errorf("%s at %v: %d %v", key, address, status, got)
			}
		}
		get := func(path string) (int, string, http.Header) {
			res, err := y.served.Client(good).Get(mtlsOrigin + path)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, string(b), res.Header
		}
		for _, path := range []string{
			"/", "/signin", "/account", "/console", "/help", "/oauth2/authorize?client_id=pki", "/oauth2/jwks", "/oauth2/logout", "/language",
			"/.well-known/openid-configuration", "/assets/app.css", "/brand/logo.svg",
		} {
			if status, text, h := get(path); status != http.StatusNotFound || text != "Not Found\n" || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") || h.Get("Set-Cookie") != "" || h.Get("Content-Security-Policy") == "" {
				t.Errorf("%s: %d %q %v", path, status, text, h)
			}
		}
		if status, text, _ := get("/oauth2/token"); status != http.StatusMethodNotAllowed || text != "Method Not Allowed\n" {
			t.Errorf("the wrong method: %d %q", status, text)
		}
		// A browser that has a certificate shows it for any page: pages of others are refused.
		if status, got := y.call(&good, mtlsOrigin+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"pki"}, "scope": {"orders"}},
			func(r *http.Request) {
				r.Header.Set("Origin", "https://evil.example")
				r.Header.Set("Sec-Fetch-Site", "cross-site")
			}); status != http.StatusForbidden {
			t.Errorf("from another site: %d %v", status, got)
		}
		if res, err := y.served.Client().Get(rig.Origin + "/signin"); err != nil || res.StatusCode != http.StatusOK || len(res.TLS.PeerCertificates) == 0 {
			t.Errorf("the realm's own host: %v", err)
		}

		y.relying(func(rp *directory.RelyingParty) {
			if rp.ShowsCertificate() {
				rp.Auth = ""
			}
		})
		if doc := metadata(); doc["mtls_endpoint_aliases"] != nil || doc["tls_client_certificate_bound_access_tokens"] != nil || slices.Contains(doc["token_endpoint_auth_methods_supported"].([]any), any("tls_client_auth")) {
			t.Errorf("without such a client: %v", doc)
		}
		if status, got := y.itself("pki", &good); status != http.StatusMisdirectedRequest {
			t.Errorf("without such a client the host answers %d %v", status, got)
		}
	})
}

// A token that is bound to a certificate is of no use with another one, with none, or with something else.
func TestSEC_O6_TokensAreBoundToTheCertificate(t *testing.T) {
	eachYard(t, func(t *testing.T, y *yard) {
		a, b := y.ca.Issue(subject), y.ca.Issue(subject)
		code := y.code("strict", &a, asIs)
		// Without the certificate there is no client, and with it alone the code is good.
		if status, got := y.call(nil, mtlsOrigin+"/oauth2/token", redemption("strict", code)); status != http.StatusUnauthorized {
			t.Fatalf("without a certificate: %d %v", status, got)
		}
		status, got := y.call(&a, mtlsOrigin+"/oauth2/token", redemption("strict", code))
		if status != http.StatusOK || got["token_type"] != "Bearer" || y.confirmation(got["access_token"])["x5t#S256"] != x5t(a) {
			t.Fatalf("%d %v", status, got)
		}
		access := got["access_token"].(string)
		userinfo := mtlsOrigin + "/oauth2/userinfo"
		if status, who := y.call(&a, userinfo, nil, shows("Bearer", access)); status != http.StatusOK || who["email"] != "anna@alder.example" {
			t.Errorf("with its certificate: %d %v", status, who)
		}
		for what, c := range map[string]struct {
			cert *tls.Certificate
			at   string
			edit []func(*http.Request)
		}{
			"another certificate":      {&b, userinfo, []func(*http.Request){shows("Bearer", access)}},
			"no certificate":           {nil, userinfo, []func(*http.Request){shows("Bearer", access)}},
			"the realm's own host":     {&a, rig.Origin + "/oauth2/userinfo", []func(*http.Request){shows("Bearer", access)}},
			"as DPoP":                  {&a, userinfo, []func(*http.Request){shows("DPoP", access), y.proves(userinfo, access)}},
			"as DPoP, no certificate":  {nil, userinfo, []func(*http.Request){shows("DPoP", access), y.proves(userinfo, access)}},
			"DPoP without a proof":     {&a, userinfo, []func(*http.Request){shows("DPoP", access)}},
			"a header of a stranger's": {nil, userinfo, []func(*http.Request){shows("Bearer", access), certificateHeader(a)}},
		} {
			if status, who := y.call(c.cert, c.at, nil, c.edit...); status != http.StatusUnauthorized || who["email"] != nil {
				t.Errorf("%s: %d %v", what, status, who)
			}
		}
		// Whoever may introspect sees what it is bound to.
		status, seen := y.call(&a, mtlsOrigin+"/oauth2/introspect", url.Values{"client_id": {"pki"}, "token": {access}})
		if cnf, _ := seen["cnf"].(map[string]any); status != http.StatusOK || seen["active"] != true || cnf["x5t#S256"] != x5t(a) || seen["token_type"] != "Bearer" {
			t.Errorf("introspection: %d %v", status, seen)
		}
		// A confidential client may come back with its next certificate; the tokens are bound to that one then.
		refresh := url.Values{"grant_type": {"refresh_token"}, "client_id": {"strict"}, "refresh_token": {got["refresh_token"].(string)}}
		status, got = y.call(&b, mtlsOrigin+"/oauth2/token", refresh)
		if status != http.StatusOK || y.confirmation(got["access_token"])["x5t#S256"] != x5t(b) {
			t.Errorf("refresh with the next certificate: %d %v", status, got)
		}
		if status, _ := y.call(&a, userinfo, nil, shows("Bearer", got["access_token"].(string))); status != http.StatusUnauthorized {
			t.Errorf("the new token with the old certificate: %d", status)
		}
		// A client that is taken out of the realm takes its tokens with it.
		fresh := got["access_token"].(string)
		y.relying(func(rp *directory.RelyingParty) {
			if rp.ID == "strict" {
				rp.Auth = ""
			}
		})
		if status, _ := y.call(&b, userinfo, nil, shows("Bearer", fresh)); status != http.StatusUnauthorized {
			t.Errorf("a client that is gone: %d", status)
		}
	})
}

// certificateHeader claims a certificate in a header.
func certificateHeader(c tls.Certificate) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(c.Leaf.Raw)+":")
	}
}

// Under FAPI 2.0 a client with private_key_jwt may bind its tokens to a certificate instead of a DPoP key, any one it likes;
// a request with neither is refused, and so is one with a certificate where DPoP was promised.
func TestSEC_O6_FAPIBindsByCertificateOrDPoP(t *testing.T) {
	eachYard(t, func(t *testing.T, y *yard) {
		any := rig.SelfSigned(t, func(c *x509.Certificate) { c.Subject.CommonName = "nobody knows" })
		push := func(form url.Values) url.Values { return y.asserts("jwt", form) }
		code := y.code("jwt", nil, push)
		at := mtlsOrigin + "/oauth2/token"
		redeem := func() url.Values { return y.asserts("jwt", redemption("jwt", code)) }
		if status, got := y.call(nil, at, redeem()); status != http.StatusBadRequest || got["error"] != "invalid_request" {
			t.Errorf("with neither: %d %v", status, got)
		}
		if status, got := y.call(&any, rig.Origin+"/oauth2/token", redeem()); status != http.StatusBadRequest || got["error"] != "invalid_request" {
			t.Errorf("at the realm's own host: %d %v", status, got)
		}
		status, got := y.call(&any, at, redeem())
		if status != http.StatusOK || y.confirmation(got["access_token"])["x5t#S256"] != x5t(any) || got["token_type"] != "Bearer" {
			t.Fatalf("%d %v", status, got)
		}
		if status, _ := y.call(&any, mtlsOrigin+"/oauth2/userinfo", nil, shows("Bearer", got["access_token"].(string))); status != http.StatusOK {
			t.Errorf("userinfo: %d", status)
		}
		// With both, both are needed.
		code = y.code("jwt", nil, push)
		status, got = y.call(&any, at, redeem(), y.proves(at, ""))
		if cnf := y.confirmation(got["access_token"]); status != http.StatusOK || got["token_type"] != "DPoP" || cnf["x5t#S256"] != x5t(any) || cnf["jkt"] == nil {
			t.Fatalf("with both: %d %v", status, got)
		}
		access, userinfo := got["access_token"].(string), mtlsOrigin+"/oauth2/userinfo"
		if status, _ := y.call(&any, userinfo, nil, shows("DPoP", access), y.proves(userinfo, access)); status != http.StatusOK {
			t.Errorf("both shown: %d", status)
		}
		if status, _ := y.call(nil, userinfo, nil, shows("DPoP", access), y.proves(userinfo, access)); status != http.StatusUnauthorized {
			t.Errorf("the proof alone: %d", status)
		}
		if status, _ := y.call(&any, userinfo, nil, shows("Bearer", access)); status != http.StatusUnauthorized {
			t.Errorf("the certificate alone: %d", status)
		}
		// A client that proves itself by its certificate may choose DPoP for its tokens. The address in the proof is the one it calls.
		good := y.ca.Issue(subject)
		code = y.code("strict", &good, asIs)
		if status, got := y.call(&good, at, redemption("strict", code), y.proves(rig.Origin+"/oauth2/token", "")); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("a proof for the other host: %d %v", status, got)
		}
		status, got = y.call(&good, at, redemption("strict", code), y.proves(at, ""))
		if cnf := y.confirmation(got["access_token"]); status != http.StatusOK || got["token_type"] != "DPoP" || cnf["x5t#S256"] != nil || cnf["jkt"] == nil {
			t.Fatalf("tls_client_auth with DPoP: %d %v", status, got)
		}
		access = got["access_token"].(string)
		if status, _ := y.call(nil, rig.Origin+"/oauth2/userinfo", nil, shows("DPoP", access), y.proves(rig.Origin+"/oauth2/userinfo", access)); status != http.StatusOK {
			t.Errorf("a DPoP token at the realm's own host: %d", status)
		}
		// require_dpop is not met by a certificate.
		y.relying(func(rp *directory.RelyingParty) { rp.RequireDPoP = rp.RequireDPoP || rp.ID == "strict" })
		code = y.code("strict", &good, asIs)
		if status, got := y.call(&good, at, redemption("strict", code)); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("a certificate where DPoP is required: %d %v", status, got)
		}
	})
}

// A public client proves nothing by its certificate, so its refresh token is bound to it as well.
func TestSEC_O6_ARefreshTokenOfAPublicClientIsBoundToItsCertificate(t *testing.T) {
	eachYard(t, func(t *testing.T, y *yard) {
		a, b := rig.SelfSigned(t, subject), rig.SelfSigned(t, subject)
		at := mtlsOrigin + "/oauth2/token"
		code := y.code("native", nil, asIs)
		if status, got := y.call(nil, at, redemption("native", code)); status != http.StatusBadRequest || got["error"] != "invalid_request" {
			t.Errorf("without a certificate: %d %v", status, got)
		}
		status, got := y.call(&a, at, redemption("native", code))
		if status != http.StatusOK || y.confirmation(got["access_token"])["x5t#S256"] != x5t(a) {
			t.Fatalf("%d %v", status, got)
		}
		refresh := url.Values{"grant_type": {"refresh_token"}, "client_id": {"native"}, "refresh_token": {got["refresh_token"].(string)}}
		for what, cert := range map[string]*tls.Certificate{"another certificate": &b, "none": nil} {
			if status, got := y.call(cert, at, refresh); status != http.StatusBadRequest || got["access_token"] != nil {
				t.Errorf("refresh with %s: %d %v", what, status, got)
			}
		}
		// Refused is not used: the client's own try still works, and the answer is not given to others either.
		status, got = y.call(&a, at, refresh)
		if status != http.StatusOK || y.confirmation(got["access_token"])["x5t#S256"] != x5t(a) {
			t.Fatalf("refresh with its certificate: %d %v", status, got)
		}
		if status, got := y.call(&b, at, refresh); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("the same answer with another certificate: %d %v", status, got)
		}
		// The operator changes their mind: what is bound stays bound.
		y.relying(func(rp *directory.RelyingParty) { rp.TLSBoundTokens = rp.TLSBoundTokens && rp.ID != "native" })
		refresh.Set("refresh_token", got["refresh_token"].(string))
		if status, got := y.call(&b, at, refresh); status != http.StatusBadRequest {
			t.Errorf("another certificate after the change: %d %v", status, got)
		}
		if status, got := y.call(&a, at, refresh); status != http.StatusOK || y.confirmation(got["access_token"]) != nil {
			t.Errorf("its certificate after the change: %d %v", status, got)
		}
		// And what was allowed before certificates were demanded is bound by the first that is shown.
		code = y.code("native", nil, asIs)
		status, got = y.call(nil, at, redemption("native", code))
		if status != http.StatusOK || y.confirmation(got["access_token"]) != nil {
			t.Fatalf("without the demand: %d %v", status, got)
		}
		y.relying(func(rp *directory.RelyingParty) { rp.TLSBoundTokens = rp.TLSBoundTokens || rp.ID == "native" })
		refresh.Set("refresh_token", got["refresh_token"].(string))
		if status, got = y.call(&b, at, refresh); status != http.StatusOK || y.confirmation(got["access_token"])["x5t#S256"] != x5t(b) {
			t.Fatalf("the first refresh with a certificate: %d %v", status, got)
		}
		refresh.Set("refresh_token", got["refresh_token"].(string))
		if status, got := y.call(&a, at, refresh); status != http.StatusBadRequest {
			t.Errorf("the next with another: %d %v", status, got)
		}
	})
}

// Behind a proxy the certificate comes in a header: the proxy's word counts, a second value or a broken one is an error.
func TestSEC_O7_ACertificateThroughAProxy(t *testing.T) {
	behind := func(s *server.Settings) {
		s.Plain, s.Proxies, s.CertHeader = true, []string{"127.0.0.1"}, "Client-Cert"
	}
	eachYard(t, func(t *testing.T, y *yard) {
		good, other := y.ca.Issue(subject), rig.NewCA(t, "Example CA").Issue(subject)
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"strict"}, "scope": {"orders"}}
		at := "http://" + rig.MTLSHost + "/oauth2/token"
		status, got := y.call(nil, at, form, certificateHeader(good))
		if status != http.StatusOK || y.confirmation(got["access_token"])["x5t#S256"] != x5t(good) {
			t.Fatalf("%d %v", status, got)
		}
		access := got["access_token"].(string)
		for what, c := range map[string]struct {
			at     string
			edit   func(*http.Request)
			status int
		}{
			"none":        {at, func(*http.Request) {}, http.StatusUnauthorized},
			"a wrong one": {at, certificateHeader(other), http.StatusUnauthorized},
			"two": {at, func(r *http.Request) {
				certificateHeader(good)(r)
				r.Header.Add("Client-Cert", r.Header.Get("Client-Cert"))
			}, http.StatusBadRequest},
			"a broken one":         {at, func(r *http.Request) { r.Header.Set("Client-Cert", ":AAAA:") }, http.StatusBadRequest},
			"the other form":       {at, func(r *http.Request) { r.Header.Set("X-Forwarded-Client-Cert", "Cert=x") }, http.StatusUnauthorized},
			"the realm's own host": {"http://" + rig.Host + "/oauth2/token", certificateHeader(good), http.StatusUnauthorized},
		} {
			if status, got := y.call(nil, c.at, form, c.edit); status != c.status || got["access_token"] != nil {
				t.Errorf("%s: %d %v", what, status, got)
			}
		}
		status, seen := y.call(nil, "http://"+rig.MTLSHost+"/oauth2/introspect", url.Values{"client_id": {"strict"}, "token": {access}}, certificateHeader(good))
		if status != http.StatusOK || seen["active"] != true {
			t.Errorf("introspection: %d %v", status, seen)
		}
	}, behind)
}
