package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
)

// stage is a provider, somebody who signs in, and the sites of the clients.
type stage struct {
	*testing.T
	rig    *rig.Rig
	issuer string
	meta   map[string]any // the discovery document
	anna   *rig.Somebody
	sites  *sites
	asked  int // pages that Anna had to answer
}

func newStage(t *testing.T, store *sqlstore.Store) *stage {
	t.Helper()
	r := rig.New(t, store, func(r *directory.Realm) { *r = realm(t) })
	shareKeys(r)
	return stageOf(t, r)
}

// keys gives a new provider the keys that the first one of this process made: an RSA key takes longer to make than
// everything else that a module does.
var keys struct {
	sync.Mutex
	give func(*rig.Rig)
}

func shareKeys(r *rig.Rig) {
	r.T.Helper()
	keys.Lock()
	defer keys.Unlock()
	if keys.give != nil {
		keys.give(r)
		return
	}
	if _, err := r.Browser("198.51.100.20").Get(r.Realm.Origin + "/oauth2/jwks"); err != nil {
		r.T.Fatal(err)
	}
	r.Read(func(tx *sqlstore.Tx) error {
		made, err := tx.Keys(r.Realm.ID)
		keys.give = func(r *rig.Rig) {
			r.Write(func(tx *sqlstore.Tx) error {
				for _, k := range made {
					if err := tx.AddKey(k); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return err
	})
}

// stageOf is a stage at the realm of a rig.
func stageOf(t *testing.T, r *rig.Rig) *stage {
	t.Helper()
	s := &stage{T: t, rig: r, issuer: r.Realm.Origin, sites: &sites{}}
	s.anna = s.rig.Join(s.rig.Organization("Alder Works", false), directory.Member, "Anna Alder", "anna@alder.example")
	s.anna.Mind.Seen = func(p *walker.Page) {
		if p.Form() != nil {
			s.asked++
		}
	}
	status, _, doc := s.get(s.issuer + "/.well-known/openid-configuration")
	if status != http.StatusOK {
		t.Fatalf("discovery: %d", status)
	}
	s.meta = doc
	return s
}

// endpoint is an address of the discovery document.
func (s *stage) endpoint(name string) string {
	s.Helper()
	u, _ := s.meta[name].(string)
	if u == "" {
		s.Fatalf("%s is not in the discovery document", name)
	}
	return u
}

// lists reports whether a list of the discovery document has a value.
func (s *stage) lists(name, value string) bool {
	all, _ := s.meta[name].([]any)
	return slices.Contains(all, any(value))
}

// sites are the clients' own servers: what came to them.
type sites struct {
	mu     sync.Mutex
	visits []visit
}

// visit is one request at a client's site.
type visit struct {
	method string
	url    *url.URL
	kind   string // content type
	form   url.Values
}

// last is the newest visit to an address, its query aside.
func (s *sites) last(address string) (v visit, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.visits {
		u := *one.url
		u.RawQuery = ""
		if u.String() == address {
			v = one
			n++
		}
	}
	return v, n
}

// network leads requests for the clients' hosts to their sites, and all others to the provider.
type network struct {
	provider http.RoundTripper
	sites    *sites
}

// RoundTrip implements http.RoundTripper.
func (n network) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.URL.Hostname(), clientDomain) {
		return n.provider.RoundTrip(req)
	}
	v := visit{method: req.Method, url: req.URL, kind: req.Header.Get("Content-Type")}
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		if v.form, err = url.ParseQuery(string(b)); err != nil {
			return nil, err
		}
	}
	n.sites.mu.Lock()
	n.sites.visits = append(n.sites.visits, v)
	n.sites.mu.Unlock()
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, Body: io.NopCloser(strings.NewReader("<title>Client</title><main>Here is the client.</main>")),
	}, nil
}

// browser is a new browser of Anna's.
func (s *stage) browser() *walker.Client {
	s.Helper()
	b := s.rig.Browser("192.0.2.30")
	b.HTTP.Transport = network{b.HTTP.Transport, s.sites}
	return b
}

// server is the HTTP client of a client's own server.
func (s *stage) server() *http.Client {
	s.Helper()
	b := s.rig.Browser("198.51.100.20")
	b.HTTP.Jar = nil
	b.HTTP.Transport = network{b.HTTP.Transport, s.sites}
	return b.HTTP
}

// open sends a browser to an address and follows where it leads.
func (s *stage) open(b *walker.Client, address string) *walker.Page {
	s.Helper()
	p, err := b.Get(address)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

// call sends a request of a client's server and reads a JSON answer; the answer is nil when the body is empty.
func (s *stage) call(req *http.Request) (int, http.Header, map[string]any) {
	s.Helper()
	res, err := s.server().Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	var out map[string]any
	if len(bytes.TrimSpace(b)) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			s.Fatalf("%s: %d %s: %v", req.URL, res.StatusCode, b, err)
		}
		if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" && kind != "application/jwk-set+json" {
			s.Errorf("%s: Content-Type is %q", req.URL, res.Header.Get("Content-Type"))
		}
	}
	return res.StatusCode, res.Header, out
}

func (s *stage) get(address string, edit ...func(*http.Request)) (int, http.Header, map[string]any) {
	s.Helper()
	return s.send(http.MethodGet, address, nil, edit...)
}

// send is call, with a form as its body; nil for none.
func (s *stage) send(method, address string, form url.Values, edit ...func(*http.Request)) (int, http.Header, map[string]any) {
	s.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, address, body)
	if err != nil {
		s.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, e := range edit {
		e(req)
	}
	return s.call(req)
}

func bearer(access string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+access) }
}

// random is n characters that nobody guesses.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // documented never to fail
	return base64.RawURLEncoding.EncodeToString(b)[:n]
}

// attempt is one authorization request and what its client remembers of it.
type attempt struct {
	client   client
	params   url.Values
	verifier string
}

// ask makes an authorization request with a fresh state, nonce and verifier. more are further parameters, name and value;
// a value "-" takes a parameter out.
func (s *stage) ask(c client, more ...string) attempt {
	a := attempt{client: c, verifier: random(64)}
	sum := sha256.Sum256([]byte(a.verifier))
	a.params = url.Values{
		"client_id": {c.id}, "redirect_uri": {c.callback()}, "response_type": {"code"}, "scope": {"openid"}, "state": {random(128)},
		"nonce": {random(43)}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		a.params.Set(more[i], more[i+1])
		if more[i+1] == "-" {
			a.params.Del(more[i])
		}
	}
	return a
}

// address is where the client sends a browser with a request.
func (s *stage) address(a attempt) string {
	s.Helper()
	return s.endpoint("authorization_endpoint") + "?" + a.params.Encode()
}

// arrived reports that a browser is at the client's callback.
func (a attempt) arrived(p *walker.Page) bool {
	u := *p.URL
	u.RawQuery = ""
	return u.String() == a.client.callback()
}

// walk answers what Anna is asked until her browser is back at the client, and returns the response.
func (s *stage) walk(b *walker.Client, a attempt, page *walker.Page) url.Values {
	s.Helper()
	page, err := s.anna.Mind.Walk(b, page, a.arrived)
	if err != nil {
		s.Fatal(err)
	}
	return s.response(a, page)
}

// response checks what every authorization response must have, whether it has a code or an error: state as it was sent,
// iss (RFC 9207), nothing in a fragment, and no parameter twice.
func (s *stage) response(a attempt, page *walker.Page) url.Values {
	s.Helper()
	if !a.arrived(page) {
		s.Fatalf("at %s (%q), not at the client: %s", page.URL, page.Title(), page.Main())
	}
	q := page.URL.Query()
	if q.Get("state") != a.params.Get("state") {
		s.Errorf("state is %q, sent %q", q.Get("state"), a.params.Get("state"))
	}
	if q.Get("iss") != s.issuer {
		s.Errorf("iss is %q", q.Get("iss"))
	}
	if page.URL.Fragment != "" {
		s.Errorf("a fragment: %s", page.URL)
	}
	if q.Has("code") == q.Has("error") {
		s.Errorf("not one of code and error: %v", q)
	}
	for name, values := range q {
		if len(values) != 1 || !slices.Contains([]string{"code", "state", "iss", "error", "error_description", "error_uri"}, name) {
			s.Errorf("%s is %q", name, values)
		}
	}
	return q
}

// code checks that a response carries a code, and returns it.
func (s *stage) code(q url.Values) string {
	s.Helper()
	if q.Get("error") != "" || len(q.Get("code")) < 22 {
		s.Fatalf("response is %v", q)
	}
	return q.Get("code")
}

// proves authenticates a client as it is registered to.
func (s *stage) proves(c client) func(*http.Request, url.Values) {
	s.Helper()
	switch c.auth {
	case "client_secret_basic":
		return func(r *http.Request, _ url.Values) {
			r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret()))
		}
	case "client_secret_post":
		return func(_ *http.Request, form url.Values) {
			form.Set("client_id", c.id)
			form.Set("client_secret", c.secret())
		}
	case "private_key_jwt":
		return func(_ *http.Request, form url.Values) {
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", s.assertion(c, s.issuer))
		}
	}
	s.Fatalf("%s: no way %s", c.id, c.auth)
	return nil
}

// assertion is a client's signed proof of who it is (RFC 7523).
func (s *stage) assertion(c client, audience string) string {
	s.Helper()
	k := c.key()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: k}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		s.Fatal(err)
	}
	now := s.rig.Clock.Now()
	out, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: c.id, Subject: c.id, Audience: jwt.Audience{audience}, ID: random(22), IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize()
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// token calls the token endpoint as a client.
func (s *stage) token(c client, form url.Values) (int, map[string]any) {
	s.Helper()
	req, err := http.NewRequest(http.MethodPost, s.endpoint("token_endpoint"), nil)
	if err != nil {
		s.Fatal(err)
	}
	s.proves(c)(req, form)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Body = io.NopCloser(strings.NewReader(form.Encode()))
	status, header, got := s.call(req)
	if header.Get("Cache-Control") != "no-store" {
		s.Errorf("token endpoint: Cache-Control is %q (RFC 6749 5.1)", header.Get("Cache-Control"))
	}
	return status, got
}

func (s *stage) redeem(a attempt, code string) (int, map[string]any) {
	s.Helper()
	return s.token(a.client, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.client.callback()}, "code_verifier": {a.verifier},
	})
}

// refused checks an error of the token endpoint (RFC 6749 5.2).
func (s *stage) refused(status int, got map[string]any, code string) {
	s.Helper()
	if status != http.StatusBadRequest || got["error"] != code || got["access_token"] != nil {
		s.Errorf("%d %v, want %s", status, got, code)
	}
}

// signIn walks Anna through a request and trades the code for tokens.
func (s *stage) signIn(b *walker.Client, a attempt) tokens {
	s.Helper()
	return s.trade(a, s.code(s.walk(b, a, s.open(b, s.address(a)))))
}

// silently is signIn where nothing may be asked.
func (s *stage) silently(b *walker.Client, a attempt) tokens {
	s.Helper()
	return s.trade(a, s.code(s.response(a, s.open(b, s.address(a)))))
}

// farewells lets the provider do what it does all the time in the background: tell clients about sessions that ended.
func (s *stage) farewells() {
	s.Helper()
	err := s.rig.Provider.Farewells(context.Background(), []string{s.rig.Realm.ID}, func(_ context.Context, to string, form url.Values) error {
		res, err := s.server().PostForm(to, form)
		if err == nil {
			err = res.Body.Close()
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}
