package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"doorward/internal/directory"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// twoRealms is one program with two realms, the same clients declared at both with the same secrets and addresses, and a
// person of the same name and address at each: whatever keeps them apart, it is the realm alone.
func twoRealms(t *testing.T, test func(t *testing.T, here, there *stage)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		here := newStage(t, store)
		text := strings.Replace(string(realms.Shop), `realm = "shop"`, `realm = "other"`, 1)
		text = strings.Replace(text, `host = "shop.localhost"`, `host = "other.localhost"`, 1)
		for _, c := range declared {
			text += c.entry(t)
		}
		other, err := directory.ParseRealm("other.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		second := *here.rig
		second.Write(func(tx *sqlstore.Tx) error { return tx.PutRealm(other) })
		if err := second.Realms.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		if second.Realm, err = second.Realms.Realm("other"); err != nil {
			t.Fatal(err)
		}
		there := stageOf(t, &second)
		if there.issuer == here.issuer || there.anna.Is.ID == here.anna.Is.ID {
			t.Fatalf("not two realms: %s, %s", here.issuer, there.issuer)
		}
		test(t, here, there)
	})
}

func TestSEC_O8_RealmsShareNoKeysAndNoAddresses(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		theirs := there.keys()
		for _, k := range here.keys().Keys {
			if len(theirs.Key(k.KeyID)) != 0 {
				t.Errorf("key %s is published twice", k.KeyID)
			}
		}
		for name, v := range here.meta {
			if u := text(v); strings.HasPrefix(u, "https://") && (u != here.issuer && !strings.HasPrefix(u, here.issuer+"/") || u == there.meta[name]) {
				t.Errorf("%s is %s", name, u)
			}
		}
	})
}

// A client that is registered at two providers is led to the wrong one (RFC 9207 2). It notices by iss; and where it does
// not look, what it was given is worth nothing there.
func TestSEC_O8_ACodeOfOneRealmIsNothingAtAnother(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		b, a := here.browser(), here.ask(basic)
		q := here.walk(b, a, here.open(b, here.address(a)))
		if q.Get("iss") != here.issuer || q.Get("iss") == there.issuer { // what the client compares
			t.Errorf("iss is %q", q.Get("iss"))
		}
		code := here.code(q)
		status, got := there.redeem(a, code)
		there.refused(status, got, "invalid_grant")
		here.trade(a, code) // and it was not burnt
		// Nor does a second use at the other realm end what the first gave here.
		status, got = there.redeem(a, code)
		there.refused(status, got, "invalid_grant")
	})
}

func TestSEC_O8_TokensOfOneRealmAreNothingAtAnother(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		got := here.signIn(here.browser(), here.ask(basic))
		there.signIn(there.browser(), there.ask(basic)) // so that the other realm has sessions and keys, too

		status, answer := there.refresh(basic, got.refresh)
		there.refused(status, answer, "invalid_grant")
		if there.alive(got.access) {
			t.Error("the access token is taken")
		}
		for name, value := range map[string]string{"access token": got.access, "refresh token": got.refresh, "ID token": got.id} {
			status, _, answer := there.send(http.MethodPost, there.endpoint("introspection_endpoint"), url.Values{"token": {value}}, there.asBasic)
			if status != http.StatusOK || answer["active"] != false || len(answer) != 1 {
				t.Errorf("%s, introspected: %d %v", name, status, answer)
			}
			if status, _, answer := there.send(http.MethodPost, there.endpoint("revocation_endpoint"), url.Values{"token": {value}}, there.asBasic); status != http.StatusOK {
				t.Errorf("%s, revoked: %d %v", name, status, answer)
			}
		}
		if !here.alive(got.access) {
			t.Error("the other realm ended the access token")
		}
		if status, answer := here.refresh(basic, got.refresh); status != http.StatusOK {
			t.Errorf("the other realm ended the refresh token: %d %v", status, answer)
		}
	})
}

// asBasic authenticates the client that has a secret.
func (s *stage) asBasic(r *http.Request) { s.proves(basic)(r, nil) }

// The check of iss, the keys and the audience that an ordinary library makes is enough to tell two realms apart, for ID
// tokens and for logout tokens.
func TestSEC_O8_AClientLibraryNotices(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		l := here.leaving()
		l.leave()
		here.farewells()
		v, n := here.sites.last(basic.told())
		if n != 1 {
			t.Fatalf("told %d times", n)
		}
		for name, raw := range map[string]string{"ID token": l.got.id, "logout token": v.form.Get("logout_token")} {
			for _, s := range []*stage{here, there} {
				ctx := gooidc.ClientContext(t.Context(), s.server())
				provider, err := gooidc.NewProvider(ctx, s.issuer)
				if err != nil {
					t.Fatal(err)
				}
				_, err = provider.Verifier(&gooidc.Config{ClientID: basic.id, Now: s.rig.Clock.Now}).Verify(ctx, raw)
				if (err == nil) != (s == here) {
					t.Errorf("%s of %s at %s: %v", name, here.issuer, s.issuer, err)
				}
			}
		}
		// The metadata of one realm under the name of the other is refused before anything else.
		ctx := gooidc.ClientContext(t.Context(), &http.Client{Transport: led{there.server().Transport, here.issuer, there.issuer}})
		if _, err := gooidc.NewProvider(ctx, here.issuer); err == nil {
			t.Error("the metadata of the other realm is taken")
		}
	})
}

// led takes requests for one origin to another, as a wrong address in a configuration does.
type led struct {
	http.RoundTripper
	from, to string
}

// RoundTrip implements http.RoundTripper.
func (l led) RoundTrip(req *http.Request) (*http.Response, error) {
	u, err := url.Parse(strings.Replace(req.URL.String(), l.from, l.to, 1))
	if err != nil {
		return nil, err
	}
	in := req.Clone(req.Context())
	in.URL, in.Host = u, u.Host
	return l.RoundTripper.RoundTrip(in)
}

func TestSEC_O8_RequestsOfOneRealmAreNothingAtAnother(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		a := here.ask(basic)
		status, _, pushed := here.send(http.MethodPost, here.endpoint("pushed_authorization_request_endpoint"), a.params, here.asBasic)
		if status != http.StatusCreated {
			t.Fatalf("%d %v", status, pushed)
		}
		by := url.Values{"client_id": {basic.id}, "request_uri": {text(pushed["request_uri"])}}.Encode()
		there.page(there.open(there.browser(), there.endpoint("authorization_endpoint")+"?"+by))
		b := here.browser()
		page := here.open(b, here.endpoint("authorization_endpoint")+"?"+by) // it was not used up

		// A request and a sign-in that have begun, taken to the other host.
		kept := page.URL.Query().Get("to")
		if !strings.HasPrefix(kept, "request:") {
			t.Fatalf("at %s", page.URL)
		}
		if p := there.open(there.browser(), there.issuer+"/oauth2/authorize/"+strings.TrimPrefix(kept, "request:")); p.Status < 400 {
			t.Errorf("the request goes on at the other realm: %d at %s", p.Status, p.URL)
		}
		strange := there.browser()
		p, err := there.anna.Mind.Walk(strange, there.open(strange, there.issuer+"/signin?to="+url.QueryEscape(kept)), func(p *walker.Page) bool {
			return a.arrived(p) || p.URL.Path == "/account" || p.Status >= 400
		})
		if err != nil || a.arrived(p) {
			t.Errorf("a sign-in at one realm answered a request of the other: %s, %v", p.URL, err)
		}
		here.trade(a, here.code(here.walk(b, a, page)))
	})
}

func TestSEC_O8_AHintOfOneRealmIsNothingAtAnother(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		got := here.signIn(here.browser(), here.ask(basic))
		l := there.leaving()
		for hint, want := range map[string]string{l.got.id: "", got.id: "invalid_request"} {
			a := there.ask(basic, "prompt", "none", "id_token_hint", hint)
			if q := there.response(a, there.open(l.b, there.address(a))); q.Get("error") != want {
				t.Errorf("response is %v, want error %q", q, want)
			}
		}
		l.stays(l.leave("id_token_hint", got.id))
	})
}

func TestSEC_O8_CookiesOfOneRealmAreNothingAtAnother(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		b := here.browser()
		here.signIn(b, here.ask(basic))
		at, err := url.Parse(there.issuer)
		if err != nil {
			t.Fatal(err)
		}
		from, err := url.Parse(here.issuer)
		if err != nil {
			t.Fatal(err)
		}
		a := there.ask(basic, "prompt", "none")
		if q := there.response(a, there.open(b, there.address(a))); q.Get("error") != "login_required" {
			t.Errorf("the browser's own way: %v", q)
		}
		planted := 0
		for _, c := range b.HTTP.Jar.Cookies(from) { // a browser would never do it: __Host- cookies stay with their host
			c.Path, c.Secure = "/", true
			b.HTTP.Jar.SetCookies(at, []*http.Cookie{c})
			planted++
		}
		if planted == 0 {
			t.Fatal("there are no cookies")
		}
		a = there.ask(basic, "prompt", "none")
		if q := there.response(a, there.open(b, there.address(a))); q.Get("error") != "login_required" {
			t.Errorf("planted: %v", q)
		}
		if p := there.open(b, there.issuer+"/account"); p.URL.Path == "/account" {
			t.Error("planted: at the account")
		}
		a = here.ask(basic, "prompt", "none")
		here.code(here.response(a, here.open(b, here.address(a)))) // and here it still stands
	})
}

func TestSEC_O8_ProofsForOneRealmAreNothingAtAnother(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		// A client's assertion names the realm that it is for.
		b, a := there.browser(), there.ask(signed)
		code := there.code(there.walk(b, a, there.open(b, there.address(a))))
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {signed.callback()}, "code_verifier": {a.verifier}}
		with := func(audience string) url.Values {
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", there.assertion(signed, audience))
			return form
		}
		for _, audience := range []string{here.issuer, here.endpoint("token_endpoint")} {
			if status, _, got := there.send(http.MethodPost, there.endpoint("token_endpoint"), with(audience)); status != http.StatusUnauthorized || got["error"] != "invalid_client" {
				t.Errorf("an assertion for %s: %d %v", audience, status, got)
			}
		}
		// And so does a proof of a key. The code is not lost over it.
		key := ecKey("proof")()
		at := func(address string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("DPoP", there.proof(key, http.MethodPost, address, "")) }
		}
		if status, _, got := there.send(http.MethodPost, there.endpoint("token_endpoint"), with(there.issuer), at(here.endpoint("token_endpoint"))); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("a proof for the other realm: %d %v", status, got)
		}
		status, _, got := there.send(http.MethodPost, there.endpoint("token_endpoint"), with(there.issuer), at(there.endpoint("token_endpoint")))
		if status != http.StatusOK || got["token_type"] != "DPoP" {
			t.Fatalf("%d %v", status, got)
		}
		// A bound token at the other realm, with a proof made for there.
		for _, c := range []struct {
			s    *stage
			want int
		}{{here, http.StatusUnauthorized}, {there, http.StatusOK}} {
			access, address := text(got["access_token"]), c.s.endpoint("userinfo_endpoint")
			status, _, _ := c.s.get(address, func(r *http.Request) {
				r.Header.Set("Authorization", "DPoP "+access)
				r.Header.Set("DPoP", c.s.proof(key, http.MethodGet, address, access))
			})
			if status != c.want {
				t.Errorf("at %s: %d, want %d", address, status, c.want)
			}
		}
	})
}

// A request object names the realm that it is for, as an assertion does (RFC 9101 4).
func TestSEC_O8_ARequestObjectForOneRealmIsNothingAtAnother(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		b, a := there.browser(), there.ask(signed)
		object := func(audience string) string {
			now := there.rig.Clock.Now().Unix()
			claims := map[string]any{"iss": signed.id, "aud": audience, "iat": now, "nbf": now, "exp": now + 60, "jti": random(22)}
			for name := range a.params {
				claims[name] = a.params.Get(name)
			}
			k := signed.key()
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k}, (&jose.SignerOptions{}).WithType("oauth-authz-req+jwt"))
			if err != nil {
				t.Fatal(err)
			}
			out, err := jwt.Signed(signer).Claims(claims).Serialize()
			if err != nil {
				t.Fatal(err)
			}
			return there.endpoint("authorization_endpoint") + "?" + url.Values{"client_id": {signed.id}, "request": {out}}.Encode()
		}
		there.page(there.open(b, object(here.issuer)))
		there.trade(a, there.code(there.walk(b, a, there.open(b, object(there.issuer)))))
	})
}

// One browser is signed in at both, to the same client. Leaving one realm is no farewell to the other.
func TestSEC_O8_SigningOutOfOneRealmLeavesTheOther(t *testing.T) {
	twoRealms(t, func(t *testing.T, here, there *stage) {
		l := here.leaving()
		beside := &leaving{stage: there, b: l.b, state: random(43)}
		beside.got = there.signIn(l.b, there.ask(basic))
		l.back(l.leave(), url.Values{"state": {l.state}})
		l.in(false)
		beside.in(true)
		there.farewells()
		if _, n := here.sites.last(basic.told()); n != 0 {
			t.Errorf("the other realm told the client %d times", n)
		}
		here.farewells()
		if _, n := here.sites.last(basic.told()); n != 1 {
			t.Errorf("told %d times", n)
		}
		if !there.alive(beside.got.access) || here.alive(l.got.access) {
			t.Errorf("access tokens: there %v, here %v", there.alive(beside.got.access), here.alive(l.got.access))
		}
	})
}

// proof shows that a client holds a key, for one request (RFC 9449 4.2).
func (s *stage) proof(k jose.JSONWebKey, method, address, access string) string {
	s.Helper()
	public := k.Public()
	public.KeyID, public.Use, public.Algorithm = "", "", ""
	o := (&jose.SignerOptions{}).WithType("dpop+jwt").WithHeader("jwk", public)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.Key}, o)
	if err != nil {
		s.Fatal(err)
	}
	claims := map[string]any{"htm": method, "htu": address, "iat": s.rig.Clock.Now().Unix(), "jti": random(22)}
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	out, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		s.Fatal(err)
	}
	return out
}
