package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
)

// variant is how a client of the FAPI 2.0 plan proves itself and what its tokens are bound to.
type variant struct{ name, auth, bind string }

var variants = []variant{
	{"private_key_jwt and dpop", "private_key_jwt", "dpop"},
	{"private_key_jwt and mtls", "private_key_jwt", "mtls"},
	{"mtls and dpop", "tls_client_auth", "dpop"},
	{"mtls and mtls", "tls_client_auth", "mtls"},
}

func withKey(v variant) bool  { return v.auth == "private_key_jwt" }
func withDPoP(v variant) bool { return v.bind == "dpop" }
func always(variant) bool     { return true }

// party is a client of a variant: two of each, so that one can try what is the other's.
type party struct {
	id    string
	v     variant
	key   *ecdsa.PrivateKey // by which it signs assertions
	proof *ecdsa.PrivateKey // of its DPoP proofs
	cert  tls.Certificate
}

func (p *party) callback() string { return "https://" + p.id + clientDomain + "/callback" }

// parties are made once: their keys and certificates are the same in every stage.
var parties struct {
	sync.Once
	ca  *rig.CA
	all []*party
	rsa *rsa.PrivateKey // of the first, for RS256
}

func fapiParties(t testing.TB) []*party {
	t.Helper()
	parties.Do(func() {
		fresh := func() *ecdsa.PrivateKey {
			k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		var err error
		if parties.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
		parties.ca = rig.NewCA(t, "The clients' CA")
		for i, v := range variants {
			for _, n := range []string{"a", "b"} {
				p := &party{id: fmt.Sprintf("fapi-%d%s", i, n), v: v, key: fresh(), proof: fresh()}
				p.cert = parties.ca.Issue(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: p.id} })
				parties.all = append(parties.all, p)
			}
		}
	})
	return parties.all
}

// fapiRealm adds the parties to a realm file.
func fapiRealm(t testing.TB) directory.Realm {
	t.Helper()
	all := fapiParties(t)
	text := realmText(t)
	for _, p := range all {
		text += fmt.Sprintf("\n[[relying_party]]\nid = %q\nname = \"Party %s\"\nhome = \"https://%s%s/\"\nprofile = \"fapi2\"\nauth = %q\nredirect_uris = [%q]\n", p.id, p.id, p.id, clientDomain, p.v.auth, p.callback())
		text += "grants = [\"authorization_code\", \"refresh_token\"]\nscopes = [\"openid\", \"profile\", \"email\", \"offline_access\"]\n"
		if p.v.auth == "private_key_jwt" {
			set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: p.id}, {Key: parties.rsa.Public(), KeyID: "rsa"}}})
			if err != nil {
				t.Fatal(err)
			}
			text += "jwks = '''" + string(set) + "'''\n"
		} else {
			text += "tls_client_auth_subject_dn = \"CN=" + p.id + "\"\ntls_client_auth_ca = '''\n" + parties.ca.PEM() + "'''\n"
		}
		if p.v.bind == "dpop" {
			text += "require_dpop = true\n"
		} else {
			text += "tls_bound_tokens = true\n"
		}
	}
	r, err := directory.ParseRealm("conformance.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fapi is one variant on a stage: over a real listener with TLS, client certificates and all.
type fapi struct {
	*testing.T
	s      *stage
	me     *party
	other  *party
	served *rig.Served
	b      *walker.Client
}

// inVariants is the test of a module in each variant to which it applies.
func inVariants(applies func(variant) bool, test func(f *fapi)) func(*testing.T, *stage) {
	return func(t *testing.T, plain *stage) {
		t.Helper()
		s, r := *plain, plain.rig
		r.Write(func(tx *sqlstore.Tx) error {
			old, err := tx.Realm(r.Realm.ID)
			next := fapiRealm(t)
			next.Version = old.Version
			if err == nil {
				err = tx.PutRealm(next)
			}
			return err
		})
		if err := r.Realms.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		served := r.Serve()
		ran := 0
		for i, v := range variants {
			if !applies(v) {
				continue
			}
			ran++
			t.Run(v.name, func(t *testing.T) {
				st := s
				st.T = t
				f := &fapi{T: t, s: &st, me: parties.all[2*i], other: parties.all[2*i+1], served: served}
				f.b = served.Browser()
				f.b.HTTP.Transport = network{f.b.HTTP.Transport, st.sites}
				f.b.HTTP.Jar = st.anna.Browser.HTTP.Jar
				_, _, f.s.meta = f.do(http.MethodGet, st.issuer+"/.well-known/openid-configuration", nil, nil)
				test(f)
			})
		}
		if ran == 0 {
			t.Error("the module applies to no variant")
		}
	}
}

// at is an endpoint as this variant reaches it: at its alias where a certificate is shown (RFC 8705 5).
func (f *fapi) at(name string) string {
	f.Helper()
	if f.me.v.auth != "private_key_jwt" || f.me.v.bind == "mtls" {
		aliases, _ := f.s.meta["mtls_endpoint_aliases"].(map[string]any)
		u, _ := aliases[name].(string)
		if u == "" {
			f.Fatalf("%s has no alias", name)
		}
		return u
	}
	return f.s.endpoint(name)
}

// do sends a request with the certificate of a party, nil for none, and reads a JSON answer.
func (f *fapi) do(method, address string, form url.Values, by *party, edit ...func(*http.Request)) (int, http.Header, map[string]any) {
	f.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, address, body)
	if err != nil {
		f.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, e := range edit {
		e(req)
	}
	client := f.served.Client()
	if by != nil {
		client = f.served.Client(by.cert)
	}
	res, err := client.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.Fatal(err)
	}
	out := map[string]any{}
	_ = json.Unmarshal(b, &out) // a refusal may be a page; then there is no member to look at
	return res.StatusCode, res.Header, out
}

// write signs claims; header adds to or, with nil, takes from the header.
func (f *fapi) write(key any, alg jose.SignatureAlgorithm, header, claims map[string]any) string {
	f.Helper()
	o := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for k, v := range header {
		o.ExtraHeaders[jose.HeaderKey(k)] = v
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		f.Fatal(err)
	}
	signed, err := signer.Sign(b)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		f.Fatal(err)
	}
	return raw
}

// change sets claims by pairs of name and value; nil takes one away.
func change(claims map[string]any, pairs ...any) map[string]any {
	for i := 0; i+1 < len(pairs); i += 2 {
		if claims[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(claims, pairs[i].(string))
		}
	}
	return claims
}

func (f *fapi) now() int64 { return f.s.rig.Clock.Now().Unix() }

// assertion proves a party with a key.
func (f *fapi) assertion(by *party, pairs ...any) string {
	f.Helper()
	return f.write(by.key, jose.ES256, map[string]any{"kid": by.id}, change(map[string]any{
		"iss": by.id, "sub": by.id, "aud": f.s.issuer, "iat": f.now(), "exp": f.now() + 60, "jti": random(22),
	}, pairs...))
}

// proves adds to a form how a party proves itself; pairs change the assertion.
func (f *fapi) proves(by *party, form url.Values, pairs ...any) url.Values {
	f.Helper()
	if by.v.auth == "private_key_jwt" {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", f.assertion(by, pairs...))
	}
	form.Set("client_id", by.id)
	return form
}

// proof is a DPoP proof by a key; pairs change its claims.
func (f *fapi) proof(key *ecdsa.PrivateKey, method, address, access string, pairs ...any) func(*http.Request) {
	f.Helper()
	c := map[string]any{"jti": random(22), "htm": method, "htu": address, "iat": f.now()}
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		c["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	raw := f.write(key, jose.ES256, map[string]any{"typ": "dpop+jwt", "jwk": jose.JSONWebKey{Key: key.Public()}}, change(c, pairs...))
	return func(r *http.Request) { r.Header.Set("DPoP", raw) }
}

func thumb(key *ecdsa.PrivateKey) string {
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(5) // crypto.SHA256
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// ask is an authorization request of a party.
func (f *fapi) ask(by *party, more ...string) attempt {
	a := attempt{client: client{id: by.id, alg: "ES256"}, verifier: random(64)}
	sum := sha256.Sum256([]byte(a.verifier))
	a.params = url.Values{
		"redirect_uri": {by.callback()}, "response_type": {"code"}, "scope": {"openid email"}, "state": {random(22)}, "nonce": {random(22)},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		if a.params.Set(more[i], more[i+1]); more[i+1] == "-" {
			a.params.Del(more[i])
		}
	}
	return a
}

// push pushes a request as a party.
func (f *fapi) push(by *party, a attempt, edit ...func(*http.Request)) (int, map[string]any) {
	f.Helper()
	form := url.Values{}
	for k, v := range a.params {
		form[k] = slices.Clone(v)
	}
	status, _, got := f.do(http.MethodPost, f.at("pushed_authorization_request_endpoint"), f.proves(by, form), by, edit...)
	return status, got
}

// pushed is push that succeeds: the request_uri.
func (f *fapi) pushed(by *party, a attempt, edit ...func(*http.Request)) string {
	f.Helper()
	status, got := f.push(by, a, edit...)
	if status != http.StatusCreated || text(got["request_uri"]) == "" {
		f.Fatalf("PAR: %d %v", status, got)
	}
	if n, _ := got["expires_in"].(float64); n < 5 || n > 600 {
		f.Errorf("expires_in is %v (FAPI 2.0 5.3.2.2)", got["expires_in"])
	}
	return text(got["request_uri"])
}

// notPushed checks that a request is refused by an error of the PAR endpoint.
func (f *fapi) notPushed(codes []string, more ...string) {
	f.Helper()
	status, got := f.push(f.me, f.ask(f.me, more...))
	if status != http.StatusBadRequest || !slices.Contains(codes, text(got["error"])) || got["request_uri"] != nil {
		f.Errorf("PAR: %d %v, want one of %q", status, got, codes)
	}
}

// open brings Anna to the authorization endpoint with a request_uri.
func (f *fapi) open(by *party, uri string, more ...string) *walker.Page {
	f.Helper()
	q := url.Values{"client_id": {by.id}, "request_uri": {uri}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return f.s.open(f.b, f.s.endpoint("authorization_endpoint")+"?"+q.Encode())
}

// respond lets Anna answer what she is asked, until she is at the client.
func (f *fapi) respond(a attempt, page *walker.Page) url.Values {
	f.Helper()
	page, err := f.s.anna.Mind.Walk(f.b, page, a.arrived)
	if err != nil {
		f.Fatal(err)
	}
	return f.s.response(a, page)
}

// code is a code for a request, by PAR and with Anna's consent.
func (f *fapi) code(a attempt, edit ...func(*http.Request)) string {
	f.Helper()
	return f.s.code(f.respond(a, f.open(f.me, f.pushed(f.me, a, edit...))))
}

// token calls the token endpoint as a party does that holds its key.
func (f *fapi) token(by *party, form url.Values, edit ...func(*http.Request)) (int, map[string]any) {
	f.Helper()
	address := f.at("token_endpoint")
	if by.v.bind == "dpop" {
		edit = append([]func(*http.Request){f.proof(by.proof, "POST", address, "")}, edit...)
	}
	status, _, got := f.do(http.MethodPost, address, form, by, edit...)
	return status, got
}

// grant is the form that redeems a code.
func (f *fapi) grant(by *party, a attempt, code string, pairs ...any) url.Values {
	return f.proves(by, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.me.callback()}, "code_verifier": {a.verifier}}, pairs...)
}

// signIn is the whole flow: tokens of a request.
func (f *fapi) signIn(a attempt) tokens {
	f.Helper()
	status, got := f.token(f.me, f.grant(f.me, a, f.code(a)))
	return f.tokens(a, status, got)
}

// tokens checks an answer of the token endpoint, and that the access token is bound as the variant says.
func (f *fapi) tokens(a attempt, status int, got map[string]any) tokens {
	f.Helper()
	if status != http.StatusOK {
		f.Fatalf("token endpoint: %d %v", status, got)
	}
	t := tokens{access: text(got["access_token"]), refresh: text(got["refresh_token"]), id: text(got["id_token"]), scope: text(got["scope"])}
	if kind := map[string]string{"dpop": "DPoP", "mtls": "Bearer"}[f.me.v.bind]; text(got["token_type"]) != kind {
		f.Errorf("token_type is %v", got["token_type"])
	}
	t.header, t.claims = f.s.verify(t.id, "ES256")
	f.s.checkIDToken(a, t)
	if status := f.use(t.access, f.me); status != http.StatusOK {
		f.Errorf("the access token does not work: %d", status)
	}
	return t
}

// use takes an access token to userinfo, with what a party holds.
func (f *fapi) use(access string, by *party, edit ...func(*http.Request)) int {
	f.Helper()
	address, scheme := f.at("userinfo_endpoint"), "Bearer "
	all := []func(*http.Request){}
	if f.me.v.bind == "dpop" {
		scheme = "DPoP "
		all = append(all, f.proof(by.proof, "GET", address, access))
	}
	all = append(all, func(r *http.Request) { r.Header.Set("Authorization", scheme+access) })
	status, _, _ := f.do(http.MethodGet, address, nil, by, append(all, edit...)...)
	return status
}

// no checks that the token endpoint refuses with one of some errors.
func (f *fapi) no(status int, got map[string]any, codes ...string) {
	f.Helper()
	if status != http.StatusBadRequest && status != http.StatusUnauthorized || got["access_token"] != nil || !slices.Contains(codes, text(got["error"])) {
		f.Errorf("%d %v, want one of %q", status, got, codes)
	}
}

// page checks that a person is told, and nothing is sent anywhere.
func (f *fapi) page(p *walker.Page) {
	f.Helper()
	if p.Status < 400 || p.URL.Host != rig.Host {
		f.Errorf("%d at %s", p.Status, p.URL)
	}
}

func (f *fapi) wait(d time.Duration) { f.s.rig.Clock.Advance(d) }
