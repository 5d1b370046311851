package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/token"
)

// at64 does something sixty-four times at once and says how often it succeeded.
func at64(do func(i int) bool) int64 {
	var won atomic.Int64
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	for i := range 64 {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-begin
			if do(i) {
				won.Add(1)
			}
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
	return won.Load()
}

// here sends a request as one browser or client would, without following and without a cookie jar: safe to race.
func (s *street) here(method, address string, form url.Values, edit ...func(*http.Request)) *http.Response {
	req, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, e := range edit {
		e(req)
	}
	res, err := s.lane.HTTP.Transport.RoundTrip(req)
	if err != nil {
		panic(err)
	}
	return res
}

// keyed is a signer and the key behind it.
type keyed struct {
	jose.Signer
	private *ecdsa.PrivateKey
}

// warehouse is a client with a key, of which assertions are taken.
func warehouse(t *testing.T) (jose.Signer, func(*directory.Realm)) {
	t.Helper()
	key := newECKey(t)
	set := fmt.Sprintf(`{"keys":[%s]}`, jsonOf(t, jose.JSONWebKey{Key: key.Public(), KeyID: "w-1", Algorithm: "ES256", Use: "sig"}))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "w-1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &keyed{signer, key}, func(r *directory.Realm) {
		r.Relying = append(r.Relying, directory.RelyingParty{
			ID: "warehouse", Name: "Warehouse", Home: "https://warehouse.example", RedirectURIs: []string{"https://warehouse.example/cb"}, Auth: directory.AuthPrivateKeyJWT, JWKS: set,
			Grants: []string{directory.GrantCode, directory.GrantRefresh, directory.GrantClientCredentials}, Scopes: []string{"openid", "orders"}, FirstParty: true,
		})
	}
}

// asserted adds a client assertion to a form.
func (s *street) asserted(by jose.Signer, jti string, form url.Values) url.Values {
	now := s.Clock.Now().Unix()
	return plus(form, "client_assertion_type", token.AssertionType, "client_assertion", sign(s.t, by, map[string]any{
		"iss": "warehouse", "sub": "warehouse", "aud": rig.Origin, "iat": now, "exp": now + 120, "jti": jti,
	}))
}

// What works once works once, of sixty-four who try at the same moment.
func TestSEC_TRACE_WhatWorksOnceWorksOnce(t *testing.T) {
	signer, change := warehouse(t)
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.SignIn(s.anna, "192.0.2.60")
		mine := as(b)
		push := func() string {
			status, got := s.post("/oauth2/par", query(t, request("store", callback)), basic("store", storeSecret))
			if status != http.StatusCreated {
				t.Fatalf("%d %v", status, got)
			}
			return got["request_uri"].(string)
		}
		uri := url.Values{"client_id": {"store"}, "request_uri": {push()}}
		if n := at64(func(int) bool {
			return s.here(http.MethodGet, rig.Origin+"/oauth2/authorize?"+uri.Encode(), nil, mine).StatusCode == http.StatusSeeOther
		}); n != 1 {
			t.Errorf("one request_uri was presented %d times", n)
		}

		// One request, sixty-four tabs: one code.
		kept := url.Values{"client_id": {"store"}, "request_uri": {push()}}
		open := s.here(http.MethodGet, rig.Origin+"/oauth2/authorize?"+kept.Encode(), nil, mine).Header.Get("Location")
		if n := at64(func(int) bool {
			return strings.Contains(s.here(http.MethodGet, rig.Origin+open, nil, mine).Header.Get("Location"), "code=")
		}); n != 1 {
			t.Errorf("one request gave %d codes", n)
		}

		// Allowed and denied at once: one answer.
		page := s.asked(b, s.anna)
		shown := page.Form().Values.Get("shown")
		var codes atomic.Int64
		if n := at64(func(i int) bool {
			form := url.Values{"shown": {shown}, "answer": {[]string{"allow", "deny"}[i%2]}}
			to := s.here(http.MethodPost, page.URL.String(), form, mine, sameOrigin).Header.Get("Location")
			if strings.Contains(to, "code=") {
				codes.Add(1)
			}
			return strings.HasPrefix(to, harbour)
		}); n != 1 {
			t.Errorf("one question was answered %d times", n)
		}
		given := s.allowed(s.anna) != nil
		if given != (codes.Load() == 1) {
			t.Errorf("consent is stored: %v, codes: %d", given, codes.Load())
		}

		// One assertion, one call; also where the call that it came with is refused.
		for name, form := range map[string]url.Values{
			"token":         {"grant_type": {"client_credentials"}, "scope": {"orders"}},
			"introspection": {"token": {"x"}},
			"revocation":    {"token": {"x"}},
			"pushing":       query(t, request("warehouse", "https://warehouse.example/cb")),
		} {
			path := map[string]string{"token": "token", "introspection": "introspect", "revocation": "revoke", "pushing": "par"}[name]
			form = s.asserted(signer, "race "+name, form)
			if n := at64(func(int) bool { return s.here(http.MethodPost, rig.Origin+"/oauth2/"+path, form).StatusCode < 300 }); n != 1 {
				t.Errorf("%s: one assertion worked %d times", name, n)
			}
			for _, other := range []string{"token", "introspect", "revoke", "par"} {
				form := plus(query(t, request("warehouse", "https://warehouse.example/cb")), "grant_type", "client_credentials", "token", "x", "scope", "orders",
					"client_assertion", form.Get("client_assertion"), "client_assertion_type", token.AssertionType)
				if status := s.here(http.MethodPost, rig.Origin+"/oauth2/"+other, form).StatusCode; status != http.StatusUnauthorized {
					t.Errorf("%s, then at %s: %d", name, other, status)
				}
			}
		}
		for i, refused := range []url.Values{
			{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {callback}, "code_verifier": {verifier}},
			{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, {"grant_type": {"password"}}, {}, {"grant_type": {"client_credentials"}, "scope": {"openid"}},
		} {
			form := s.asserted(signer, fmt.Sprint("refused ", i), refused)
			if status, got := s.post("/oauth2/token", form); status != http.StatusBadRequest {
				t.Errorf("%v: %d %v", refused, status, got)
			}
			again := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders"}, "client_assertion": form["client_assertion"], "client_assertion_type": form["client_assertion_type"]}
			if status, got := s.post("/oauth2/token", again); status != http.StatusUnauthorized {
				t.Errorf("the assertion of a call that was refused (%v) works: %d %v", refused, status, got)
			}
		}

		// One proof, one call.
		k := newPocket(t)
		for _, path := range []string{"/oauth2/token", "/oauth2/par"} {
			proof := dpop(k.proof(s.Clock.Now(), http.MethodPost, path, ""))
			form := plus(query(t, request("store", callback)), "grant_type", "client_credentials", "scope", "orders")
			if n := at64(func(int) bool {
				return s.here(http.MethodPost, rig.Origin+path, form, basic("store", storeSecret), proof).StatusCode < 300
			}); n != 1 {
				t.Errorf("%s: one proof worked %d times", path, n)
			}
		}
		code := get(t, b, request("store", callback, "dpop_jkt", thumbprint(t, k))).URL.Query().Get("code")
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		_, got := s.post("/oauth2/token", form, basic("store", storeSecret), dpop(k.proof(s.Clock.Now(), http.MethodPost, "/oauth2/token", "")))
		access, _ := got["access_token"].(string)
		proof := dpop(k.proof(s.Clock.Now(), http.MethodGet, "/oauth2/userinfo", access))
		if n := at64(func(int) bool {
			return s.here(http.MethodGet, rig.Origin+"/oauth2/userinfo", nil, proof, func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+access) }).StatusCode == http.StatusOK
		}); n != 1 {
			t.Errorf("userinfo: one proof worked %d times", n)
		}
	}, change)
}

// Signing out races signing out, and tells each application once; a code or refresh that races it leaves nothing alive.
func TestSEC_TRACE_SigningOutMeetsCodesAndRefreshes(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.SignIn(s.anna, "192.0.2.60")
		mine := as(b)
		got := s.tokens(b, s.anna.Mind)
		refresh, id := got["refresh_token"].(string), got["id_token"].(string)
		var codes []string
		for range 16 {
			codes = append(codes, get(t, b, request("store", callback)).URL.Query().Get("code"))
		}
		var mu sync.Mutex
		held := map[string]bool{}
		hold := func(status int, got map[string]any) {
			mu.Lock()
			defer mu.Unlock()
			if status == http.StatusOK {
				held[got["refresh_token"].(string)] = true
			}
		}
		out := at64(func(i int) bool {
			switch i % 4 {
			case 0:
				return s.here(http.MethodGet, rig.Origin+"/oauth2/logout?id_token_hint="+id, nil, mine).StatusCode == http.StatusSeeOther
			case 1:
				hold(s.redeem(codes[i/4]))
			case 2:
				hold(s.refresh(refresh))
			case 3:
				s.here(http.MethodGet, request("store", callback), nil, mine)
			}
			return false
		})
		if out != 16 {
			t.Errorf("%d of 16 were told that they are signed out", out)
		}
		for old := range held {
			if status, _ := s.refresh(old); status == http.StatusOK {
				t.Error("a refresh token outlived the session")
			}
		}
		if page := get(t, b, rig.Origin+"/account"); page.URL.Path == "/account" {
			t.Error("still signed in")
		}
		var mail sync.Map
		sent := at64(func(int) bool {
			err := s.Provider.Farewells(context.Background(), []string{"shop"}, func(_ context.Context, to string, _ url.Values) error {
				n, _ := mail.LoadOrStore(to, new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
				return nil
			})
			return err == nil
		})
		n, _ := mail.LoadOrStore("https://store.example/logout", new(atomic.Int64))
		if got := n.(*atomic.Int64).Load(); got != 1 || sent == 0 {
			t.Errorf("the store was told %d times, %d runs succeeded", got, sent)
		}
		s.Read(func(tx *sqlstore.Tx) error {
			all, err := tx.Authorizations("shop", s.anna.Is.ID)
			for _, a := range all {
				t.Errorf("an authorization outlived the session: %s", a.Client)
			}
			return err
		})
	})
}
