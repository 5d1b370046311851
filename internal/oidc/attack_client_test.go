package oidc_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/token"
)

// desk is the complaints desk's own way to authenticate.
var desk = url.Values{"client_id": {"complaints"}, "client_secret": {storeSecret}}

func plus(v url.Values, more ...string) url.Values {
	out := url.Values{}
	for k, all := range v {
		out[k] = slices.Clone(all)
	}
	for i := 0; i+1 < len(more); i += 2 {
		out.Set(more[i], more[i+1])
	}
	return out
}

// One way at a time, and it is the one that the client is registered for; what stands in an address, twice, or in another
// form than a form, is nothing (SEC O-7; RFC 6749 2.3).
func TestSEC_O7_OneWayToAuthenticate(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		good := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders"}}
		if status, got := s.post("/oauth2/token", good, basic("store", storeSecret)); status != http.StatusOK {
			t.Fatalf("the right way: %d %v", status, got)
		}
		header := func(v ...string) func(*http.Request) {
			return func(r *http.Request) { r.Header["Authorization"] = v }
		}
		fine := "Basic c3RvcmU6YS1yYW5kb20tc2VjcmV0LW9mLTI1Ni1iaXRzLWluLXJlYWwtbGlmZQ=="
		type try struct {
			form url.Values
			edit func(*http.Request)
		}
		nothing := func(*http.Request) {}
		for name, c := range map[string]try{
			"no way":                     {good, nothing},
			"a name only":                {plus(good, "client_id", "store"), nothing},
			"basic and post":             {plus(good, "client_id", "store", "client_secret", storeSecret), basic("store", storeSecret)},
			"basic and a wrong post":     {plus(good, "client_secret", "x"), basic("store", storeSecret)},
			"basic and another name":     {plus(good, "client_id", "complaints"), basic("store", storeSecret)},
			"basic and an assertion":     {plus(good, "client_assertion", "e30.e30.AA", "client_assertion_type", token.AssertionType), basic("store", storeSecret)},
			"basic and a type":           {plus(good, "client_assertion_type", token.AssertionType), basic("store", storeSecret)},
			"post for a client of basic": {plus(good, "client_id", "store", "client_secret", storeSecret), nothing},
			"basic for a client of post": {good, basic("complaints", storeSecret)},
			"a secret of a public one":   {plus(good, "client_id", "harbour", "client_secret", storeSecret), nothing},
			"a public one in basic":      {good, basic("harbour", "")},
			"an empty secret":            {good, basic("store", "")},
			"the hash as the secret":     {good, basic("store", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")},
			"a secret cut":               {good, basic("store", storeSecret[:len(storeSecret)-1])},
			"a secret with more":         {good, basic("store", storeSecret+"\x00")},
			"another case":               {good, basic("store", strings.ToUpper(storeSecret))},
			"a name in another case":     {good, basic("Store", storeSecret)},
			"a name with a blank":        {good, basic("store ", storeSecret)},
			"two headers":                {good, header(fine, fine)},
			"two headers, one wrong":     {good, header(fine, "Basic eDp5")},
			"bearer":                     {good, header("Bearer " + storeSecret)},
			"basic without colon":        {good, header("Basic c3RvcmU=")},
			"basic and bearer":           {good, header(fine, "Bearer x")},
			"bearer and basic":           {plus(good, "client_id", "complaints", "client_secret", storeSecret), header("Bearer x")},
			"in the address":             {good, func(r *http.Request) { r.URL.RawQuery = "client_id=complaints&client_secret=" + storeSecret }},
			"as JSON":                    {good, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }},
			"as text":                    {plus(good, "client_id", "complaints", "client_secret", storeSecret), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		} {
			a := s.raw(http.MethodPost, "/oauth2/token", c.form, c.edit)
			if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.body, `"invalid_client"`) || strings.Contains(a.body, storeSecret) {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			}
		}
		// A parameter twice is two readers' two values.
		for _, twice := range []string{"client_id=complaints&client_id=store", "grant_type=client_credentials&grant_type=refresh_token", "client_secret=x&client_secret=" + storeSecret, "client_secret=&client_secret=" + storeSecret, "scope=a&scope=b", "SCOPE=x&SCOPE=y"} {
			req, err := http.NewRequest(http.MethodPost, rig.Origin+"/oauth2/token", strings.NewReader(twice+"&"+plus(good, "client_id", "complaints").Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if a := s.send(req); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, `"invalid_request"`) {
				t.Errorf("%s: %d %s", twice, a.StatusCode, a.body)
			}
		}
	})
}

// Endpoints of clients answer POST alone (userinfo GET too), to no other origin, whatever a header says about the method.
func TestSEC_O12_EndpointsOfClientsAreNoPages(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		for _, path := range []string{"/oauth2/token", "/oauth2/par", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/userinfo"} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, "TRACE"} {
				if method == http.MethodGet && path == "/oauth2/userinfo" {
					continue
				}
				a := s.raw(method, path, desk, func(r *http.Request) {
					r.Header.Set("X-HTTP-Method-Override", "POST")
					r.Header.Set("Origin", "https://evil.example")
					r.Header.Set("Access-Control-Request-Method", "POST")
				})
				if a.StatusCode != http.StatusMethodNotAllowed && a.StatusCode != http.StatusForbidden {
					t.Errorf("%s %s: %d", method, path, a.StatusCode)
				}
				if v := a.Header.Get("Access-Control-Allow-Origin"); v != "" {
					t.Errorf("%s %s: open to %s", method, path, v)
				}
			}
			for _, more := range []func(*http.Request){
				func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
				func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
				func(r *http.Request) { r.Header.Set("Origin", "null") },
			} {
				a := s.raw(http.MethodPost, path, plus(desk, "grant_type", "client_credentials", "token", "x"), more)
				if a.StatusCode != http.StatusForbidden || a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s from a page of somebody else's: %d %v", path, a.StatusCode, a.Header)
				}
			}
			a := s.raw(http.MethodPost, path, url.Values{"client_id": {strings.Repeat("x", 70<<10)}})
			if a.StatusCode != http.StatusRequestEntityTooLarge && a.StatusCode != http.StatusBadRequest {
				t.Errorf("%s, 70 KiB: %d", path, a.StatusCode)
			}
			many := url.Values{}
			for i := range 200 {
				many.Set(fmt.Sprint("p", i), "x")
			}
			if a := s.raw(http.MethodPost, path, many); a.StatusCode != http.StatusBadRequest {
				t.Errorf("%s, 200 parameters: %d", path, a.StatusCode)
			}
		}
	})
}

// What the operator takes from a client is taken from what it holds, too (SEC O-9).
func TestSEC_O9_ANarrowedClientGetsLess(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		s.relying(func(rp *directory.RelyingParty) {
			rp.Resources = []string{"https://api.example/orders", "https://api.example/stock"}
		})
		b := s.SignIn(s.anna, "192.0.2.60")
		claims := `{"userinfo":{"email":null},"id_token":{"email":null}}`
		got := s.tokens(b, s.anna.Mind, "scope", "openid profile organization offline_access", "claims", claims)
		if _, who := s.userinfo(got["access_token"].(string)); who["email"] == nil || who["org"] == nil {
			t.Fatalf("to begin with: %v", who)
		}
		q := get(t, b, request("store", callback, "resource", "https://api.example/orders")).URL.Query()
		_, held := s.redeem(q.Get("code"))
		open := get(t, b, request("store", callback, "resource", "https://api.example/orders")).URL.Query()
		s.relying(func(rp *directory.RelyingParty) {
			rp.Scopes, rp.Resources = []string{"openid", "profile", "offline_access"}, []string{"https://api.example/stock"}
		})
		status, less := s.refresh(got["refresh_token"].(string))
		if status != http.StatusOK || slices.Contains(strings.Fields(less["scope"].(string)), "organization") {
			t.Errorf("a scope that was taken: %d %v", status, less["scope"])
		}
		if id := s.claims("store", less["id_token"]); id["org"] != nil || id["email"] != nil || id["roles"] != nil {
			t.Errorf("ID token: %v", id)
		}
		for name, access := range map[string]any{"new": less["access_token"], "old": got["access_token"]} {
			if _, who := s.userinfo(access.(string)); who["email"] != nil || who["org"] != nil || who["sub"] == nil {
				t.Errorf("userinfo by the %s token: %v", name, who)
			}
		}
		if status, got := s.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {less["refresh_token"].(string)}, "scope": {"openid organization"}}, basic("store", storeSecret)); status == http.StatusOK && strings.Contains(fmt.Sprint(got["scope"]), "organization") {
			t.Errorf("asked for by name: %v", got["scope"])
		}
		if status, got := s.refresh(held["refresh_token"].(string)); status == http.StatusOK || got["error"] != "invalid_target" {
			t.Errorf("a resource that was taken: %d %v", status, got)
		}
		if status, got := s.redeem(open.Get("code")); status == http.StatusOK || got["error"] != "invalid_target" {
			t.Errorf("a code for a resource that was taken: %d %v", status, got)
		}
		s.relying(func(rp *directory.RelyingParty) { rp.Grants = []string{directory.GrantCode} })
		if status, got := s.refresh(less["refresh_token"].(string)); status != http.StatusBadRequest || got["error"] != "unauthorized_client" {
			t.Errorf("a grant that was taken: %d %v", status, got)
		}
	})
}

// A refresh gives no more than was given.
func TestSEC_O6_ARefreshNeverWidens(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		s.relying(func(rp *directory.RelyingParty) {
			rp.Resources = []string{"https://api.example/orders", "https://api.example/stock"}
		})
		b := s.SignIn(s.anna, "192.0.2.60")
		q := get(t, b, request("store", callback, "scope", "openid email", "resource", "https://api.example/orders")).URL.Query()
		_, got := s.redeem(q.Get("code"))
		refresh := got["refresh_token"].(string)
		for want, more := range map[string][]string{
			"invalid_scope":  {"scope", "openid email organization"},
			"invalid_target": {"resource", "https://api.example/stock"},
		} {
			form := plus(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, more...)
			if status, got := s.post("/oauth2/token", form, basic("store", storeSecret)); status != http.StatusBadRequest || got["error"] != want {
				t.Errorf("%v: %d %v", more, status, got)
			}
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "scope": {"openid"}}
		status, narrow := s.post("/oauth2/token", form, basic("store", storeSecret))
		if status != http.StatusOK || narrow["scope"] != "openid" {
			t.Fatalf("%d %v", status, narrow)
		}
		if status, got := s.userinfo(narrow["access_token"].(string)); status != http.StatusUnauthorized {
			t.Errorf("a token for another resource opens userinfo: %d %v", status, got)
		}
	})
}

// A refresh token names its authorization, and that opens nothing: it is known as a whole, in one spelling, or not at all.
// Whoever tries with the name of another's changes nothing of it.
func TestSEC_J2_WhatARefreshTokenNamesOpensNothing(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.SignIn(s.anna, "192.0.2.60")
		held := []string{s.tokens(b, s.anna.Mind)["refresh_token"].(string), s.tokens(b, s.anna.Mind)["refresh_token"].(string)}
		one, first, _ := strings.Cut(held[0], ".")
		two, second, _ := strings.Cut(held[1], ".")
		if one == two || first == second || first == "" || second == "" {
			t.Fatal(held)
		}
		for _, made := range []string{
			one + "." + second, two + "." + first, one + ".", one, "." + first, first, strings.ToUpper(one) + "." + first,
			held[0] + ".", held[0] + "=", " " + held[0], one + ".." + first, two + "." + held[0],
		} {
			if status, got := s.refresh(made); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
				t.Errorf("%q: %d %v", made, status, got)
			}
		}
		for _, whole := range held {
			if status, got := s.refresh(whole); status != http.StatusOK {
				t.Errorf("%d %v", status, got)
			}
		}
	})
}

// What one client holds is nothing in the hands of another: not redeemed, not ended, not told about.
func TestSEC_O4_WhatIsAnothersIsNothing(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		got := s.tokens(s.SignIn(s.anna, "192.0.2.60"), s.anna.Mind)
		access, refresh := got["access_token"].(string), got["refresh_token"].(string)
		if status, got := s.post("/oauth2/token", plus(desk, "grant_type", "refresh_token", "refresh_token", refresh)); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("refreshed: %d %v", status, got)
		}
		if _, about := s.post("/oauth2/introspect", plus(desk, "token", refresh)); len(about) != 1 || about["active"] != false {
			t.Errorf("told about a refresh token: %v", about)
		}
		if _, about := s.post("/oauth2/introspect", url.Values{"token": {refresh}}, basic("store", storeSecret)); about["active"] != true {
			t.Errorf("its own client: %v", about)
		}
		if status, got := s.post("/oauth2/introspect", url.Values{"token": {access}, "client_id": {"harbour"}}); status != http.StatusUnauthorized {
			t.Errorf("told a public client: %d %v", status, got)
		}
		for name, tok := range map[string]string{"access": access, "refresh": refresh} {
			for _, form := range []url.Values{plus(desk, "token", tok), {"client_id": {"harbour"}, "token": {tok}}, plus(desk, "token", tok, "token_type_hint", "refresh_token")} {
				if a := s.raw(http.MethodPost, "/oauth2/revoke", form); a.StatusCode != http.StatusOK || a.body != "" {
					t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
				}
			}
		}
		if status, _ := s.userinfo(access); status != http.StatusOK {
			t.Errorf("another client ended it: %d", status)
		}
		if status, _ := s.refresh(refresh); status != http.StatusOK {
			t.Errorf("another client ended it: %d", status)
		}
	})
}

// pocket holds a key for DPoP proofs.
type pocket struct {
	t   *testing.T
	key jose.Signer
	n   int
}

func newPocket(t *testing.T) *pocket {
	t.Helper()
	private := newECKey(t)
	k, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	return &pocket{t: t, key: &keyed{k, private}}
}

// proof is a fresh proof for one call, with ath when there is an access token.
func (k *pocket) proof(now time.Time, method, path, access string) string {
	k.t.Helper()
	k.n++
	claims := map[string]any{"jti": fmt.Sprint("j-", k.n), "htm": method, "htu": rig.Origin + path, "iat": now.Unix()}
	if access != "" {
		claims["ath"] = token.AccessHash(access)
	}
	return sign(k.t, k.key, claims)
}

func dpop(proof string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add("DPoP", proof) }
}

// What is bound to a key is worth nothing without it, at every turn; and a client of which keys are demanded gets nothing
// that is not bound, also from what it got before that was demanded (SEC O-6).
func TestSEC_O6_BoundStaysBound(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		k, thief := newPocket(t), newPocket(t)
		b := s.SignIn(s.anna, "192.0.2.60")
		call := func(form url.Values, edit ...func(*http.Request)) (int, map[string]any) {
			return s.post("/oauth2/token", form, append([]func(*http.Request){basic("store", storeSecret)}, edit...)...)
		}
		at := func(p *pocket) func(*http.Request) {
			return dpop(p.proof(s.Clock.Now(), "POST", "/oauth2/token", ""))
		}
		redeem := func(code string) url.Values {
			return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		}
		jkt := thumbprint(t, k)
		code := get(t, b, request("store", callback, "dpop_jkt", jkt)).URL.Query().Get("code")
		if status, got := call(redeem(code)); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("without a proof: %d %v", status, got)
		}
		if status, got := call(redeem(code), at(thief)); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("by another key: %d %v", status, got)
		}
		if status, got := call(redeem(code), at(k), at(k)); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("two proofs: %d %v", status, got)
		}
		status, got := call(redeem(code), at(k))
		if status != http.StatusOK || got["token_type"] != "DPoP" {
			t.Fatalf("%d %v", status, got)
		}
		access, refresh := got["access_token"].(string), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
		if status, _ := s.userinfo(access); status != http.StatusUnauthorized {
			t.Errorf("as a bearer token: %d", status)
		}
		for name, p := range map[string]*pocket{"right": k, "thief": thief} {
			for _, scheme := range []string{"DPoP", "Bearer"} {
				a := s.raw(http.MethodGet, "/oauth2/userinfo", nil, dpop(p.proof(s.Clock.Now(), "GET", "/oauth2/userinfo", access)), func(r *http.Request) { r.Header.Set("Authorization", scheme+" "+access) })
				if ok := a.StatusCode == http.StatusOK; ok != (name == "right" && scheme == "DPoP") {
					t.Errorf("%s with the %s key: %d", scheme, name, a.StatusCode)
				}
			}
		}
		if status, got := call(refresh); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("refreshed without a proof: %d %v", status, got)
		}
		if status, got := call(refresh, at(thief)); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("refreshed by another key: %d %v", status, got)
		}
		if status, got := call(refresh, at(k)); status != http.StatusOK || got["token_type"] != "DPoP" {
			t.Errorf("refreshed: %d %v", status, got)
		}
		// From before keys were demanded.
		old := s.tokens(b, s.anna.Mind)
		s.relying(func(rp *directory.RelyingParty) { rp.RequireDPoP = rp.ID == "store" })
		refresh.Set("refresh_token", old["refresh_token"].(string))
		if status, got := call(refresh); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("keys are demanded: %d %v", status, got)
		}
		status, got = call(refresh, at(k))
		if status != http.StatusOK || got["token_type"] != "DPoP" {
			t.Fatalf("a token bound to nothing, although a proof came: %d %v", status, got)
		}
		refresh.Set("refresh_token", got["refresh_token"].(string))
		if status, got := call(refresh, at(thief)); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("not bound from then on: %d %v", status, got)
		}
		s.Read(func(tx *sqlstore.Tx) error {
			all, err := tx.Authorizations("shop", s.anna.Is.ID)
			for _, a := range all {
				if a.JKT == "" && a.Client == "store" {
					t.Errorf("an authorization is bound to nothing: %v", a.Created)
				}
			}
			return err
		})
	})
}
