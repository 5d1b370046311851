package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// A sign-in that came before a request never answers max_age=0, however short before; the one that is done for it does.
func TestSEC_O10_MaxAgeZeroAsksEachTime(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.70")
		for _, more := range [][]string{{"max_age", "0"}, {"prompt", "login"}, {"prompt", "select_account"}} {
			s.tokens(b, s.anna.Mind, more...)
			s.Clock.Advance(700 * time.Microsecond) // the same millisecond as it is kept
			if page := get(t, b, request("store", callback, more...)); page.URL.Host != rig.Host || !strings.HasPrefix(page.URL.Path, "/signin/") {
				t.Errorf("%v: answered by a sign-in of the same second: %s", more, page.URL)
			}
			s.Clock.Advance(300 * time.Millisecond)
			if more[0] == "max_age" {
				if q := get(t, b, request("store", callback, append(more, "prompt", "none")...)).URL.Query(); q.Get("error") != "login_required" {
					t.Errorf("none: %v", q)
				}
			}
			if q := s.walks(b, s.anna.Mind, request("store", callback, more...), callback); q.Get("code") == "" {
				t.Errorf("%v: %v", more, q)
			}
		}
		if q := get(t, b, request("store", callback, "max_age", "1")).URL.Query(); q.Get("code") == "" {
			t.Errorf("a sign-in within max_age is asked for again: %v", q)
		}
	})
}

// A class that is only a wish never makes prompt=none fail; an essential one asks for a person.
func TestSEC_O10_PromptNoneAndClasses(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.71")
		none := func(more ...string) url.Values {
			return get(t, b, request("store", callback, append(more, "prompt", "none")...)).URL.Query()
		}
		if q := none("acr_values", "phrh"); q.Get("error") != "login_required" {
			t.Errorf("nobody is signed in: %v", q)
		}
		first := s.claims("store", s.tokens(b, s.anna.Mind)["id_token"])
		for _, more := range [][]string{{"acr_values", "phrh"}, {"acr_values", "phr phrh"}, {"claims", `{"id_token":{"acr":{"value":"phrh"}}}`}} {
			q := none(more...)
			status, got := s.redeem(q.Get("code"))
			if status != http.StatusOK {
				t.Errorf("%v: %v, %d", more, q, status)
				continue
			}
			if id := s.claims("store", got["id_token"]); id["acr"] != first["acr"] {
				t.Errorf("%v: acr is %v, which nobody showed", more, id["acr"])
			}
		}
		if q := none("claims", `{"id_token":{"acr":{"essential":true,"value":"phrh"}}}`); q.Get("error") != "interaction_required" {
			t.Errorf("essential: %v", q)
		}
		if q := none("claims", `{"id_token":{"acr":{"essential":true,"values":["phrh","urn:doorward:acr:mfa"]}}}`); q.Get("code") == "" {
			t.Errorf("essential and reached: %v", q)
		}
	})
}

// A client that expects somebody gets nobody else.
func TestSEC_O10_SomebodyElseIsNoAnswer(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		bert := s.Join(s.Organization("Birch Ltd", false), directory.Member, "Bert Birch", "bert@birch.example")
		berts := s.tokens(s.Browser("192.0.2.72"), bert.Mind)["id_token"].(string)
		b := s.Browser("192.0.2.73")
		annas := s.tokens(b, s.anna.Mind)["id_token"].(string)
		sub := func(is string) string { return `{"id_token":{"sub":{"value":"` + is + `"}}}` }
		for _, c := range []struct{ name, value, want string }{
			{"id_token_hint", annas, ""},
			{"id_token_hint", berts, "login_required"},
			{"id_token_hint", annas[:len(annas)-4], "invalid_request"},
			{"claims", sub(s.anna.Is.ID), ""},
			{"claims", sub(bert.Is.ID), "login_required"},
		} {
			q := get(t, b, request("store", callback, c.name, c.value, "prompt", "none")).URL.Query()
			if q.Get("error") != c.want || (c.want == "") != (q.Get("code") != "") {
				t.Errorf("%s: %v, want %q", c.name, q, c.want)
			}
		}
		// Anna is asked, with the way out "not you?". When she signs in all the same, the client is told, and she is not
		// asked for ever.
		s.Clock.Advance(time.Minute)
		q := s.walks(b, s.anna.Mind, request("store", callback, "id_token_hint", berts), callback)
		if q.Get("error") != "login_required" {
			t.Errorf("anna for bert: %v", q)
		}
		s.Clock.Advance(time.Minute)
		page := get(t, b, request("store", callback, "id_token_hint", berts))
		leave := ""
		for _, l := range page.Links() {
			if strings.Contains(l, "leave=") {
				leave = l
			}
		}
		if q := s.walks(b, bert.Mind, rig.Origin+strings.TrimPrefix(leave, rig.Origin), callback); q.Get("code") == "" {
			t.Errorf("bert by \"not you?\": %v", q)
		}
	})
}

// resource and claims, from the request to the tokens (RFC 8707, OpenID Connect Core 5.5).
func TestREQ_B28_ResourcesAndClaims(t *testing.T) {
	resources := func(r *directory.Realm) {
		clients(r)
		r.Relying[0].Resources = []string{"https://api.example/orders", "https://api.example/stock"}
	}
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		s := &street{Rig: rig.New(t, store, resources), t: t}
		s.anna = s.Join(s.Organization("Alder Works", false), directory.Member, "Anna Alder", "anna@alder.example")
		b := s.Browser("192.0.2.74")
		audience := func(got map[string]any) string {
			t.Helper()
			parsed, err := jwt.ParseSigned(got["access_token"].(string), []jose.SignatureAlgorithm{jose.ES256})
			if err != nil {
				t.Fatal(err)
			}
			var c jwt.Claims
			if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil {
				t.Fatal(err)
			}
			return strings.Join(c.Audience, " ")
		}
		both := request("store", callback) + "&resource=https%3A%2F%2Fapi.example%2Forders&resource=https%3A%2F%2Fapi.example%2Fstock"
		status, got := s.redeem(s.walks(b, s.anna.Mind, both, callback).Get("code"))
		if status != http.StatusOK || audience(got) != "https://api.example/orders https://api.example/stock" {
			t.Errorf("both: %d %s", status, audience(got))
		}
		if status, _ := s.userinfo(got["access_token"].(string)); status != http.StatusUnauthorized {
			t.Errorf("a token for others opens userinfo: %d", status)
		}
		narrow := func(what string) (int, map[string]any) {
			return s.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}, "resource": {what}}, basic("store", storeSecret))
		}
		if status, got := narrow("https://api.example/people"); status != http.StatusBadRequest || got["error"] != "invalid_target" {
			t.Errorf("wider: %d %v", status, got)
		}
		if status, got := narrow("https://api.example/stock"); status != http.StatusOK || audience(got) != "https://api.example/stock" {
			t.Errorf("narrower: %d %v", status, got)
		}
		if q := get(t, b, request("store", callback, "resource", "https://api.example/people")).URL.Query(); q.Get("error") != "invalid_target" {
			t.Errorf("not registered: %v", q)
		}

		got = s.tokens(b, s.anna.Mind, "scope", "openid", "claims", `{"userinfo":{"name":null,"phone_number":null},"id_token":{"email":{"essential":true},"auth_time":{"essential":true}}}`)
		if id := s.claims("store", got["id_token"]); id["email"] != "anna@alder.example" || id["name"] != nil || id["auth_time"] == nil {
			t.Errorf("ID token: %v", id)
		}
		if _, who := s.userinfo(got["access_token"].(string)); who["name"] != "Anna Alder" || who["email"] != nil {
			t.Errorf("userinfo: %v", who)
		}
	})
}

// login_hint fills in the address; ui_locales has the sign-in speak a language until the person is known (Core 3.1.2.1).
func TestREQ_B28_HintsReachTheSignIn(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.75")
		b.Language = "en"
		page := get(t, b, request("store", callback, "login_hint", "anna@alder.example", "ui_locales", "rm fr-CH de"))
		if got := page.Form().Values.Get("address"); got != "anna@alder.example" {
			t.Errorf("the address is %q", got)
		}
		if page.Language() != "fr" {
			t.Errorf("the page speaks %q", page.Language())
		}
		var spoken []string
		s.anna.Mind.Seen = func(p *walker.Page) { spoken = append(spoken, p.Language()) }
		if _, err := s.anna.Mind.Walk(b, page, out(callback)); err != nil {
			t.Fatal(err)
		}
		if len(spoken) < 3 || spoken[1] != "fr" { // the password; then Anna's own
			t.Errorf("the pages spoke %q", spoken)
		}
		if page := get(t, b, rig.Origin+"/help"); page.Language() != "en" {
			t.Errorf("after the sign-in everybody here speaks %q", page.Language())
		}
		// What makes no sense is left out, and who says "not me" is not contradicted.
		other := s.Browser("192.0.2.76")
		other.Language = "it"
		page = get(t, other, request("store", callback, "login_hint", strings.Repeat("x", 400), "ui_locales", "<script> tlh"))
		if page.Form().Values.Get("address") != "" || page.Language() != "it" {
			t.Errorf("%q, %q", page.Form().Values.Get("address"), page.Language())
		}
		page = get(t, other, request("store", callback, "login_hint", "anna@alder.example"))
		f := page.Form()
		f.Fill("username", "anna@alder.example")
		next, err := other.Submit(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range next.Links() {
			if strings.Contains(l, "leave=") {
				if page := get(t, other, l); page.Form().Values.Get("address") != "" {
					t.Error("\"not you?\" leads to the same address")
				}
				return
			}
		}
		t.Error("no way out of the sign-in of somebody else")
	})
}
