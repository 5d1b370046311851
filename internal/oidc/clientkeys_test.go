package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// pen is a key of a client, by a library that the product's own signing does not use.
type pen struct {
	t   *testing.T
	kid string
	key *ecdsa.PrivateKey
}

func newPen(t *testing.T, kid string) *pen {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &pen{t: t, kid: kid, key: key}
}

// write signs claims under a typ; for a proof with the key itself in the header.
func (p *pen) write(typ string, claims map[string]any) string {
	p.t.Helper()
	o := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	var key any = jose.JSONWebKey{Key: p.key, KeyID: p.kid}
	if o.EmbedJWK = typ == "dpop+jwt"; o.EmbedJWK {
		key = p.key
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, o)
	if err != nil {
		p.t.Fatal(err)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatal(err)
	}
	signed, err := s.Sign(b)
	if err != nil {
		p.t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return raw
}

func (p *pen) set() string {
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: p.kid, Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

const signedCallback = "https://signed.example/cb"

// signing adds a client with keys to the street.
func signing(r *directory.Realm, rp directory.RelyingParty) {
	clients(r)
	rp.ID, rp.Name, rp.Home, rp.RedirectURIs = "signed", "Signed", "https://signed.example", []string{signedCallback}
	rp.Grants, rp.Scopes, rp.FirstParty = []string{directory.GrantCode, directory.GrantRefresh}, []string{"openid", "email", "offline_access"}, true
	rp.Auth = directory.AuthPrivateKeyJWT
	r.Relying = append(r.Relying, rp)
}

func eachSigning(t *testing.T, rp func(*pen) directory.RelyingParty, test func(*testing.T, *street, *pen)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPen(t, "k1")
		s := &street{Rig: rig.New(t, store, func(r *directory.Realm) { signing(r, rp(p)) }), t: t}
		s.anna = s.Join(s.Organization("Alder Works", false), directory.Member, "Anna Alder", "anna@alder.example")
		test(t, s, p)
	})
}

func withKeys(p *pen) directory.RelyingParty { return directory.RelyingParty{JWKS: p.set()} }

// object is a request object; pairs change its claims, nil takes one away.
func (s *street) object(p *pen, pairs ...any) string {
	now := s.Clock.Now().Unix()
	c := map[string]any{
		"iss": "signed", "aud": rig.Origin, "nbf": now, "exp": now + 300, "client_id": "signed", "redirect_uri": signedCallback, "response_type": "code",
		"scope": "openid email", "state": "inside", "nonce": "n-1", "code_challenge": token.Challenge(verifier), "code_challenge_method": "S256",
	}
	for i := 0; i < len(pairs); i += 2 {
		if c[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(c, pairs[i].(string))
		}
	}
	return p.write("oauth-authz-req+jwt", c)
}

// proves is how the client authenticates, once each.
func (s *street) proves(p *pen, form url.Values) url.Values {
	now := s.Clock.Now().Unix()
	form.Set("client_assertion_type", token.AssertionType)
	form.Set("client_assertion", p.write("JWT", map[string]any{"iss": "signed", "sub": "signed", "aud": rig.Origin, "iat": now, "exp": now + 60, "jti": uuid.NewString()}))
	return form
}

func at(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return rig.Origin + "/oauth2/authorize?" + q.Encode()
}

func TestSEC_J1_ARequestObjectIsTheWholeRequest(t *testing.T) {
	eachSigning(t, withKeys, func(t *testing.T, s *street, p *pen) {
		b := s.Browser("192.0.2.60")
		// What stands outside counts for nothing.
		q := s.walks(b, s.anna.Mind, at("client_id", "signed", "request", s.object(p), "state", "outside", "redirect_uri", "https://evil.example/", "scope", "openid"), signedCallback)
		if q.Get("state") != "inside" || q.Get("code") == "" {
			t.Fatalf("answer is %v", q)
		}
		status, got := s.post("/oauth2/token", s.proves(p, url.Values{"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {signedCallback}, "code_verifier": {verifier}}))
		if status != http.StatusOK || got["scope"] != "openid email" {
			t.Errorf("%d %v", status, got)
		}
		// As a form, too.
		f := &walker.Form{Method: http.MethodPost, Action: rig.Origin + "/oauth2/authorize", Values: url.Values{"client_id": {"signed"}, "request": {s.object(p)}}}
		page, err := b.Submit(f)
		if err != nil || page.URL.Query().Get("code") == "" {
			t.Errorf("POST: %v at %s", err, page.URL)
		}
		// Once the object is read, what is wrong in it is told to its own address.
		if q := get(t, b, at("client_id", "signed", "request", s.object(p, "code_challenge", nil), "state", "outside")).URL.Query(); q.Get("error") != "invalid_request" || q.Get("state") != "inside" {
			t.Errorf("no challenge: %v", q)
		}
		stranger := newPen(t, "k1")
		cut := s.object(p)
		for what, pairs := range map[string][]string{
			"another key":        {"client_id", "signed", "request", s.object(stranger)},
			"another client":     {"client_id", "signed", "request", s.object(p, "client_id", "store")},
			"another issuer":     {"client_id", "signed", "request", s.object(p, "iss", "store")},
			"another audience":   {"client_id", "signed", "request", s.object(p, "aud", "https://other.example")},
			"another outside":    {"client_id", "store", "request", s.object(p)},
			"no client outside":  {"request", s.object(p)},
			"another type":       {"client_id", "signed", "request", s.object(p), "response_type", "token"},
			"expired":            {"client_id", "signed", "request", s.object(p, "exp", s.Clock.Now().Unix()-60)},
			"a client assertion": {"client_id", "signed", "request", s.object(p, "sub", "signed")},
			"cut":                {"client_id", "signed", "request", cut[:len(cut)-4]},
			"a foreign address":  {"client_id", "signed", "request", s.object(p, "redirect_uri", "https://evil.example/")},
			"both":               {"client_id", "signed", "request", s.object(p), "request_uri", "urn:ietf:params:oauth:request_uri:x"},
			"by reference":       {"client_id", "signed", "request_uri", "https://signed.example/request.jwt"},
			"none":               {"client_id", "signed", "request", "eyJhbGciOiJub25lIn0.e30."},
		} {
			page := get(t, b, at(pairs...))
			if page.Status != http.StatusBadRequest || page.URL.Host != rig.Host {
				t.Errorf("%s: %d at %s", what, page.Status, page.URL)
			}
		}
		_, _, body := s.call("GET", "/.well-known/openid-configuration", nil)
		var doc map[string]any
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			t.Fatal(err)
		}
		if doc["request_parameter_supported"] != true || doc["request_uri_parameter_supported"] != false || doc["request_object_signing_alg_values_supported"] == nil {
			t.Errorf("discovery: %v", doc)
		}
	})
}

func TestSEC_O5_ARequestObjectIsPushed(t *testing.T) {
	must := func(p *pen) directory.RelyingParty { return directory.RelyingParty{JWKS: p.set(), RequireSigned: true} }
	eachSigning(t, must, func(t *testing.T, s *street, p *pen) {
		b := s.Browser("192.0.2.61")
		status, got := s.post("/oauth2/par", s.proves(p, url.Values{"request": {s.object(p)}}))
		if status != http.StatusCreated {
			t.Fatalf("%d %v", status, got)
		}
		q := s.walks(b, s.anna.Mind, at("client_id", "signed", "request_uri", got["request_uri"].(string)), signedCallback)
		if q.Get("code") == "" || q.Get("state") != "inside" {
			t.Errorf("%v", q)
		}
		plain := url.Values{"client_id": {"signed"}, "redirect_uri": {signedCallback}, "response_type": {"code"}, "scope": {"openid"}, "code_challenge": {token.Challenge(verifier)}, "code_challenge_method": {"S256"}}
		if status, got := s.post("/oauth2/par", s.proves(p, plain)); status != http.StatusBadRequest || got["error"] != "invalid_request" {
			t.Errorf("unsigned, pushed: %d %v", status, got)
		}
		plain.Del("client_assertion")
		plain.Set("signed request", "yes")
		if q := get(t, b, rig.Origin+"/oauth2/authorize?"+plain.Encode()).URL.Query(); q.Get("error") != "invalid_request" {
			t.Errorf("unsigned: %v", q)
		}
		if status, got := s.post("/oauth2/par", s.proves(p, url.Values{"request": {s.object(newPen(t, "k1"))}})); status != http.StatusBadRequest || got["error"] != "invalid_request_object" {
			t.Errorf("another key: %d %v", status, got)
		}
		if status, got := s.post("/oauth2/par", s.proves(p, url.Values{"request": {s.object(p, "client_id", "store")}})); status != http.StatusBadRequest || got["error"] != "invalid_request_object" {
			t.Errorf("another client: %d %v", status, got)
		}
	})
}

// site is where a client publishes its keys.
type site struct {
	mu    sync.Mutex
	body  string
	keep  time.Duration
	fails bool
	reads atomic.Int64
	gate  chan struct{} // nil: answers at once
	began chan struct{} // hears of a reading that waits at the gate
}

func (p *site) fetch(_ context.Context, uri string) ([]byte, time.Duration, error) {
	if p.reads.Add(1); p.gate != nil {
		p.began <- struct{}{}
		<-p.gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails || uri != "https://signed.example/keys" {
		return nil, 0, errors.New("nothing there")
	}
	return []byte(p.body), p.keep, nil
}

func (p *site) set(body string, fails bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body, p.fails = body, fails
}

func published(*pen) directory.RelyingParty {
	return directory.RelyingParty{JWKSURI: "https://signed.example/keys"}
}

func TestSEC_J1_KeysOfAClientAreFetchedAndKept(t *testing.T) {
	eachSigning(t, published, func(t *testing.T, s *street, first *pen) {
		there := &site{body: first.set()}
		s.Rig.Fetch = there.fetch
		takes := func(p *pen) int { // a client that proves itself and asks for nothing is told invalid_request
			t.Helper()
			status, got := s.post("/oauth2/token", s.proves(p, url.Values{}))
			if got["error"] == "invalid_request" {
				return http.StatusOK
			}
			return status
		}
		reads := func(want int64, why string) {
			t.Helper()
			if n := there.reads.Swap(0); n != want {
				t.Errorf("%s: read %d times, want %d", why, n, want)
			}
		}
		for range 2 {
			if takes(first) != http.StatusOK {
				t.Error("a published key is not taken")
			}
		}
		reads(1, "two requests")

		// Unknown keys make us call once a minute at most.
		stranger := newPen(t, "k9")
		for range 5 {
			if takes(stranger) != http.StatusUnauthorized {
				t.Error("a key that nobody published is taken")
			}
		}
		reads(0, "unknown keys in the minute of a reading")
		s.Clock.Advance(time.Minute)
		for range 5 {
			takes(stranger)
		}
		reads(1, "unknown keys a minute later")

		// A new key is found before the old set is stale, and the old one is gone with it.
		second := newPen(t, "k2")
		there.set(second.set(), false)
		s.Clock.Advance(time.Minute)
		if takes(second) != http.StatusOK {
			t.Error("a new key is not found")
		}
		if takes(first) != http.StatusUnauthorized {
			t.Error("a key that was taken away still works")
		}
		reads(1, "a new key")

		// Fresh for five minutes where nothing is said, for fifteen at most.
		s.Clock.Advance(5*time.Minute - time.Second)
		takes(second)
		reads(0, "within five minutes")
		there.keep = time.Hour
		s.Clock.Advance(time.Second)
		takes(second)
		reads(1, "after five minutes")
		s.Clock.Advance(15*time.Minute - time.Second)
		takes(second)
		reads(0, "within fifteen minutes")
		s.Clock.Advance(time.Second)
		takes(second)
		reads(1, "after fifteen minutes")

		// The last good set holds on for a day when it cannot be read; the next try is a minute later.
		for why, body := range map[string]string{"fails": "", "no set": "<html>", "private": `{"keys":[{"kty":"oct","k":"AAAA"}]}`} {
			there.set(body, why == "fails")
			s.Clock.Advance(15 * time.Minute)
			for range 2 {
				if takes(second) != http.StatusOK {
					t.Errorf("%s: the last good set is not used", why)
				}
			}
			reads(1, why)
		}
		if !strings.Contains(s.Log.String(), "client-keys-private") {
			t.Error("the log does not say what is wrong with the keys")
		}
		s.Clock.Advance(24 * time.Hour)
		if got := takes(second); got != http.StatusServiceUnavailable {
			t.Errorf("after a day: %d", got)
		}
		if page := get(t, s.Browser("192.0.2.62"), at("client_id", "signed", "request", s.object(second))); page.Status != http.StatusServiceUnavailable {
			t.Errorf("a request object that nobody can check: %d at %s", page.Status, page.URL)
		}
		there.set(second.set(), false)
		s.Clock.Advance(time.Minute)
		if takes(second) != http.StatusOK {
			t.Error("keys that are there again are not taken")
		}
	})
}

func TestSEC_TRACE_KeysAreReadOnceForMany(t *testing.T) {
	eachSigning(t, published, func(t *testing.T, s *street, p *pen) {
		there := &site{body: p.set(), gate: make(chan struct{}), began: make(chan struct{}, 64)}
		s.Rig.Fetch = there.fetch
		rp := s.Realm.Relying[len(s.Realm.Relying)-1]
		gone, leave := context.WithCancel(t.Context())
		leave()
		var done sync.WaitGroup
		var good atomic.Int64
		for range 64 {
			done.Go(func() {
				keys, err := s.Provider.ClientKeys(t.Context(), rp, func(k *token.ClientKeys) bool { return k.Len() == 1 })
				if err == nil && keys.Len() == 1 {
					good.Add(1)
				}
			})
		}
		<-there.began
		// Who leaves does not wait, and takes nobody with them.
		if _, err := s.Provider.ClientKeys(gone, rp, func(*token.ClientKeys) bool { return true }); !errors.Is(err, context.Canceled) {
			t.Errorf("left: %v", err)
		}
		close(there.gate)
		done.Wait()
		if good.Load() != 64 || there.reads.Load() != 1 {
			t.Errorf("%d of 64 have keys, read %d times", good.Load(), there.reads.Load())
		}
		there.set("", true)
		rp.JWKSURI += "/elsewhere"
		if _, err := s.Provider.ClientKeys(t.Context(), rp, func(*token.ClientKeys) bool { return true }); !fault.Of(err, fault.Unavailable) {
			t.Errorf("nothing is published: %v", err)
		}
	})
}

// prove is a DPoP proof.
func (s *street) prove(p *pen, method, path, access, nonce string) func(*http.Request) {
	c := map[string]any{"jti": uuid.NewString(), "htm": method, "htu": rig.Origin + path, "iat": s.Clock.Now().Unix()}
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		c["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if nonce != "" {
		c["nonce"] = nonce
	}
	raw := p.write("dpop+jwt", c)
	return func(r *http.Request) { r.Header.Set("DPoP", raw) }
}

// call is post with the headers of the answer.
func (s *street) call(method, path string, form url.Values, edit ...func(*http.Request)) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, rig.Origin+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, e := range edit {
		e(req)
	}
	res, err := s.Browser("198.51.100.22").HTTP.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

func TestSEC_O6_AProofHoldsANonceOfOurs(t *testing.T) {
	nonced := func(p *pen) directory.RelyingParty {
		return directory.RelyingParty{JWKS: p.set(), RequireDPoP: true, DPoPNonce: true, RequirePAR: true}
	}
	eachSigning(t, nonced, func(t *testing.T, s *street, p *pen) {
		holder := newPen(t, "")
		push := func(nonce string) (int, http.Header, string) {
			form := url.Values{"client_id": {"signed"}, "redirect_uri": {signedCallback}, "response_type": {"code"}, "scope": {"openid email"}, "state": {"s"}, "code_challenge": {token.Challenge(verifier)}, "code_challenge_method": {"S256"}}
			return s.call("POST", "/oauth2/par", s.proves(p, form), s.prove(holder, "POST", "/oauth2/par", "", nonce))
		}
		status, head, body := push("")
		nonce := head.Get("DPoP-Nonce")
		if status != http.StatusBadRequest || !strings.Contains(body, `"use_dpop_nonce"`) || nonce == "" {
			t.Fatalf("%d %q %s", status, nonce, body)
		}
		if status, _, body := push("made up"); status != http.StatusBadRequest || !strings.Contains(body, `"use_dpop_nonce"`) {
			t.Errorf("a nonce that is not ours: %d %s", status, body)
		}
		status, head, body = push(nonce)
		if status != http.StatusCreated || head.Get("DPoP-Nonce") == "" {
			t.Fatalf("%d %s", status, body)
		}
		var pushed struct {
			URI string `json:"request_uri"`
		}
		if err := json.Unmarshal([]byte(body), &pushed); err != nil {
			t.Fatal(err)
		}
		code := s.walks(s.Browser("192.0.2.63"), s.anna.Mind, at("client_id", "signed", "request_uri", pushed.URI), signedCallback).Get("code")
		redeem := func(nonce string) (int, http.Header, string) {
			return s.call("POST", "/oauth2/token", s.proves(p, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {signedCallback}, "code_verifier": {verifier}}),
				s.prove(holder, "POST", "/oauth2/token", "", nonce))
		}
		if status, head, body = redeem(""); status != http.StatusBadRequest || !strings.Contains(body, `"use_dpop_nonce"`) {
			t.Fatalf("%d %s", status, body)
		}
		nonce = head.Get("DPoP-Nonce")
		if status, head, body = redeem(nonce); status != http.StatusOK || head.Get("DPoP-Nonce") == "" {
			t.Fatalf("%d %s", status, body)
		}
		var got struct {
			Access string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		who := func(nonce string) (int, http.Header, string) {
			return s.call("GET", "/oauth2/userinfo", nil, func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+got.Access) }, s.prove(holder, "GET", "/oauth2/userinfo", got.Access, nonce))
		}
		status, head, _ = who("")
		if status != http.StatusUnauthorized || !strings.Contains(head.Get("WWW-Authenticate"), `error="use_dpop_nonce"`) || head.Get("DPoP-Nonce") == "" {
			t.Errorf("userinfo: %d %v", status, head)
		}
		if status, next, body := who(head.Get("DPoP-Nonce")); status != http.StatusOK || next.Get("DPoP-Nonce") == "" {
			t.Errorf("userinfo: %d %s", status, body)
		}
		s.Clock.Advance(5 * time.Minute)
		if status, _, body := push(nonce); status != http.StatusBadRequest || !strings.Contains(body, `"use_dpop_nonce"`) {
			t.Errorf("an old nonce: %d %s", status, body)
		}
	})
}

func TestREQ_B28_UserinfoIsSignedForWhoWantsIt(t *testing.T) {
	signed := func(p *pen) directory.RelyingParty {
		return directory.RelyingParty{JWKS: p.set(), UserinfoAlg: "EdDSA"}
	}
	eachSigning(t, signed, func(t *testing.T, s *street, p *pen) {
		code := s.walks(s.Browser("192.0.2.64"), s.anna.Mind, at("client_id", "signed", "request", s.object(p)), signedCallback).Get("code")
		_, got := s.post("/oauth2/token", s.proves(p, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {signedCallback}, "code_verifier": {verifier}}))
		status, head, body := s.call("GET", "/oauth2/userinfo", nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+got["access_token"].(string)) })
		if status != http.StatusOK || head.Get("Content-Type") != "application/jwt" || head.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v %s", status, head, body)
		}
		_, _, published := s.call("GET", "/oauth2/jwks", nil)
		var keys jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(published), &keys); err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseSignedCompact(body, []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := jws.Verify(keys.Key(jws.Signatures[0].Header.KeyID)[0])
		if err != nil {
			t.Fatal(err)
		}
		var c map[string]any
		if err := json.Unmarshal(payload, &c); err != nil {
			t.Fatal(err)
		}
		if c["iss"] != rig.Origin || c["aud"] != "signed" || c["sub"] != s.anna.Is.ID || c["email"] != "anna@alder.example" {
			t.Errorf("%v", c)
		}
	})
}

// A request that was kept unsigned is worth nothing once its client must sign.
func TestSEC_O9_AKeptRequestIsSignedWhereItMustBe(t *testing.T) {
	eachSigning(t, withKeys, func(t *testing.T, s *street, p *pen) {
		b := s.Browser("192.0.2.65")
		plain := get(t, b, request("signed", signedCallback, "scope", "openid"))
		object := get(t, s.Browser("192.0.2.66"), at("client_id", "signed", "request", s.object(p)))
		s.Write(func(tx *sqlstore.Tx) error {
			r, err := tx.Realm("shop")
			r.Relying[len(r.Relying)-1].RequireSigned = true
			if err == nil {
				err = tx.PutRealm(r)
			}
			return err
		})
		if err := s.Realms.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept := func(p *walker.Page) string {
			return rig.Origin + "/oauth2/authorize/" + strings.TrimPrefix(p.URL.Query().Get("to"), "request:")
		}
		if page := get(t, b, kept(plain)); page.Status != http.StatusBadRequest {
			t.Errorf("unsigned: %d at %s", page.Status, page.URL)
		}
		if page := get(t, s.Browser("192.0.2.66"), kept(object)); page.URL.Path != "/signin" {
			t.Errorf("signed: %d at %s", page.Status, page.URL)
		}
	})
}
