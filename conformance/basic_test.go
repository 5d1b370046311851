package conformance

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"doorward/internal/rig/walker"
)

// basicOP is the plan for a client that the operator declared (client_registration=static_client).
var basicOP = plan{"Basic OP", "oidcc-basic-certification-test-plan", []module{
	{"oidcc-server", "TestBasic_Server", ""},
	{"oidcc-response-type-missing", "TestBasic_ResponseTypeMissing", "`invalid_request`, sent to the client"},
	{"oidcc-userinfo-get", "TestBasic_UserinfoGet", ""},
	{"oidcc-userinfo-post-header", "TestBasic_UserinfoPostHeader", ""},
	{"oidcc-userinfo-post-body", "TestBasic_UserinfoPostBody", "supported; optional in the plan"},
	{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", "TestBasic_RequestWithoutNonce", ""},
	{"oidcc-scope-profile", "TestBasic_ScopeProfile", "`name`, `locale`, `zoneinfo`; what is not known about a person is left out"},
	{"oidcc-scope-email", "TestBasic_ScopeEmail", ""},
	{"oidcc-scope-address", "TestBasic_ScopeAddress", "not offered, not in `scopes_supported`: ignored, and left out of what was granted"},
	{"oidcc-scope-phone", "TestBasic_ScopePhone", "as `oidcc-scope-address`"},
	{"oidcc-scope-all", "TestBasic_ScopeAll", "`profile` and `email` are granted, the other two left out"},
	{"oidcc-alternate-happy-flow", "TestBasic_OtherOrder", "once called `oidcc-ensure-other-scope-order-succeeds`"},
	{"oidcc-display-page", "TestBasic_DisplayPage", ""},
	{"oidcc-display-popup", "TestBasic_DisplayPopup", "the same pages; they fit every width"},
	{"oidcc-prompt-login", "TestBasic_PromptLogin", ""},
	{"oidcc-prompt-none-not-logged-in", "TestBasic_PromptNoneNotLoggedIn", "`login_required`"},
	{"oidcc-prompt-none-logged-in", "TestBasic_PromptNoneLoggedIn", ""},
	{"oidcc-max-age-1", "TestBasic_MaxAge1", ""},
	{"oidcc-max-age-10000", "TestBasic_MaxAge10000", ""},
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", "TestBasic_UnknownParameter", ""},
	{"oidcc-id-token-hint", "TestBasic_IDTokenHint", ""},
	{"oidcc-login-hint", "TestBasic_LoginHint", "the address stands in the form already"},
	{"oidcc-ui-locales", "TestBasic_UILocales", "the first of the languages that the realm speaks; none of them is no error"},
	{"oidcc-claims-locales", "TestBasic_ClaimsLocales", "ignored: no claim has several languages"},
	{"oidcc-ensure-request-with-acr-values-succeeds", "TestBasic_ACRValues", "`acr` is one of those asked for that was reached"},
	{"oidcc-codereuse", "TestBasic_CodeReuse", "`invalid_grant`"},
	{"oidcc-codereuse-30seconds", "TestBasic_CodeReuseAfter30Seconds", "`invalid_grant`, and the access token ends"},
	{"oidcc-ensure-registered-redirect-uri", "TestBasic_RegisteredRedirectURI", "a page for the person; nothing is sent to either address"},
	{"oidcc-ensure-post-request-succeeds", "TestBasic_PostRequest", ""},
	{"oidcc-server-client-secret-post", "TestBasic_ServerClientSecretPost", ""},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", "TestBasic_UnsignedRequestObject", "rejected with `request_not_supported`; with a page where the client has keys to sign it with"},
	{"oidcc-claims-essential", "TestBasic_ClaimsEssential", ""},
	{"oidcc-ensure-request-object-with-redirect-uri", "TestBasic_RequestObjectWithRedirectURI", "rejected with a page: the address beside the object is not the client's"},
	{"oidcc-refresh-token", "TestBasic_RefreshToken", ""},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", "TestBasic_ValidPKCE", "and every request without it is refused"},
}}

// basicMore are the modules of the plan that the suite runs only where clients register themselves, asked of declared
// clients, and its happy flow with another way of client authentication.
var basicMore = plan{"Basic OP, further variants", "oidcc-basic-certification-test-plan", []module{
	{"oidcc-idtoken-signature", "TestBasic_IDTokenSignature", "RS256 for a client whose entry says so; the default is ES256"},
	{"oidcc-idtoken-unsigned", "TestBasic_IDTokenUnsigned", "not supported: `none` is not in the metadata, and no token has it"},
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", "TestBasic_RequestURIUnsigned", "rejected with `request_uri_not_supported`; nothing is fetched"},
	{"oidcc-server (private_key_jwt)", "TestBasic_ServerPrivateKeyJWT", ""},
}}

func TestBasic_Server(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		codes := map[string]bool{}
		for _, c := range []client{basic, second} {
			b, a := s.browser(), s.ask(c)
			code := s.code(s.walk(b, a, s.open(b, s.address(a))))
			if codes[code] || len(code) < 22 { // 128 bits in base64url
				t.Errorf("code %q", code)
			}
			codes[code] = true
			got := s.trade(a, code)
			if got.claims["at_hash"] == nil || got.claims["auth_time"] == nil || got.claims["sid"] == nil {
				t.Errorf("claims are %v", got.claims)
			}
			for name := range got.claims {
				if !slices.Contains(strings.Fields("iss sub aud exp iat auth_time nonce acr amr azp at_hash sid jti"), name) {
					t.Errorf("nobody asked for %s", name)
				}
			}
		}
		s.library()
	})
}

// library goes the same way with the client library that most Go programs use.
func (s *stage) library() {
	s.Helper()
	ctx := gooidc.ClientContext(context.Background(), s.server())
	provider, err := gooidc.NewProvider(ctx, s.issuer)
	if err != nil {
		s.Fatal(err)
	}
	a := s.ask(basic, "scope", "openid email")
	conf := oauth2.Config{ClientID: basic.id, ClientSecret: basic.secret(), Endpoint: provider.Endpoint(), RedirectURL: basic.callback(), Scopes: []string{"openid", "email"}}
	b := s.browser()
	code := s.code(s.walk(b, a, s.open(b, conf.AuthCodeURL(a.params.Get("state"), gooidc.Nonce(a.params.Get("nonce")), oauth2.S256ChallengeOption(a.verifier)))))
	got, err := conf.Exchange(ctx, code, oauth2.VerifierOption(a.verifier))
	if err != nil {
		s.Fatal(err)
	}
	id, err := provider.Verifier(&gooidc.Config{ClientID: basic.id, Now: s.rig.Clock.Now}).Verify(ctx, got.Extra("id_token").(string))
	if err != nil {
		s.Fatal(err)
	}
	if err := id.VerifyAccessToken(got.AccessToken); err != nil || id.Nonce != a.params.Get("nonce") {
		s.Errorf("%v, nonce %q", err, id.Nonce)
	}
	who, err := provider.UserInfo(ctx, conf.TokenSource(ctx, got))
	if err != nil || who.Subject != id.Subject || who.Email != s.anna.Mind.Address {
		s.Errorf("%v %+v", err, who)
	}
}

func TestBasic_ResponseTypeMissing(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		a := s.ask(basic, "response_type", "-")
		if q := s.response(a, s.open(s.browser(), s.address(a))); q.Get("error") != "invalid_request" {
			t.Errorf("response is %v", q)
		}
	})
}

func TestBasic_UserinfoGet(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.userinfo(s.signIn(s.browser(), s.ask(basic)))
	})
}

func TestBasic_UserinfoPostHeader(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		got := s.signIn(s.browser(), s.ask(basic))
		status, _, who := s.send(http.MethodPost, s.endpoint("userinfo_endpoint"), nil, bearer(got.access))
		s.person(got, status, who)
	})
}

func TestBasic_UserinfoPostBody(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		got := s.signIn(s.browser(), s.ask(basic))
		status, _, who := s.send(http.MethodPost, s.endpoint("userinfo_endpoint"), url.Values{"access_token": {got.access}})
		s.person(got, status, who)
	})
}

func TestBasic_RequestWithoutNonce(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if got := s.signIn(s.browser(), s.ask(basic, "nonce", "-")); got.claims["nonce"] != nil {
			t.Errorf("a nonce from nowhere: %v", got.claims["nonce"])
		}
	})
}

// scope signs in with a scope and checks exactly which claims the userinfo endpoint tells, besides sub.
func (s *stage) scope(scope string, claims ...string) map[string]any {
	s.Helper()
	got := s.signIn(s.browser(), s.ask(basic, "scope", scope))
	for _, word := range strings.Fields(scope) {
		if granted := slices.Contains(strings.Fields(got.scope), word); granted != s.lists("scopes_supported", word) {
			s.Errorf("%s: granted %q", scope, got.scope)
		}
	}
	who := s.userinfo(got)
	for _, name := range claims {
		if who[name] == nil {
			s.Errorf("%s: no %s in %v", scope, name, who)
		}
	}
	if len(who) != len(claims)+1 {
		s.Errorf("%s: told %v, want sub and %v", scope, who, claims)
	}
	return who
}

func TestBasic_ScopeProfile(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if who := s.scope("openid profile", "name", "locale", "zoneinfo"); who["name"] != "Anna Alder" || who["locale"] != "en" || who["zoneinfo"] != "Europe/Zurich" {
			t.Errorf("%v", who)
		}
	})
}

func TestBasic_ScopeEmail(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if who := s.scope("openid email", "email", "email_verified"); who["email"] != "anna@alder.example" || who["email_verified"] != true {
			t.Errorf("%v", who)
		}
	})
}

func TestBasic_ScopeAddress(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if s.lists("scopes_supported", "address") {
			t.Error("offered")
		}
		s.scope("openid address")
	})
}

func TestBasic_ScopePhone(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if s.lists("scopes_supported", "phone") {
			t.Error("offered")
		}
		s.scope("openid phone")
	})
}

func TestBasic_ScopeAll(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.scope("openid email phone address profile", "name", "locale", "zoneinfo", "email", "email_verified")
	})
}

func TestBasic_OtherOrder(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		a := s.ask(basic, "scope", "email openid")
		pairs := strings.Split(a.params.Encode(), "&")
		slices.Reverse(pairs)
		b := s.browser()
		page := s.open(b, s.endpoint("authorization_endpoint")+"?"+strings.Join(pairs, "&"))
		if who := s.userinfo(s.trade(a, s.code(s.walk(b, a, page)))); who["email"] != "anna@alder.example" {
			t.Errorf("%v", who)
		}
	})
}

func TestBasic_DisplayPage(t *testing.T) {
	each(t, func(t *testing.T, s *stage) { s.signIn(s.browser(), s.ask(basic, "display", "page")) })
}

func TestBasic_DisplayPopup(t *testing.T) {
	each(t, func(t *testing.T, s *stage) { s.signIn(s.browser(), s.ask(basic, "display", "popup")) })
}

func TestBasic_PromptLogin(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		b := s.browser()
		first := s.signIn(b, s.ask(basic))
		s.rig.Clock.Advance(time.Second)
		s.asked = 0
		again := s.signIn(b, s.ask(basic, "prompt", "login"))
		if s.asked == 0 || !when(again.claims["auth_time"]).After(when(first.claims["auth_time"])) {
			t.Errorf("asked %d times, auth_time %v, then %v", s.asked, first.claims["auth_time"], again.claims["auth_time"])
		}
	})
}

func TestBasic_PromptNoneNotLoggedIn(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		a := s.ask(basic, "prompt", "none")
		if q := s.response(a, s.open(s.browser(), s.address(a))); q.Get("error") != "login_required" {
			t.Errorf("response is %v", q)
		}
	})
}

// twice signs Anna in and asks a second time, where nothing may be asked of her and she must be the same.
func (s *stage) twice(first, again func(tokens) attempt) {
	s.Helper()
	b := s.browser()
	one := s.signIn(b, first(tokens{}))
	s.rig.Clock.Advance(5 * time.Second)
	two := s.silently(b, again(one))
	if one.claims["auth_time"] == nil || one.claims["auth_time"] != two.claims["auth_time"] || one.claims["sub"] != two.claims["sub"] {
		s.Errorf("first %v, then %v", one.claims, two.claims)
	}
}

func (s *stage) asks(more ...string) func(tokens) attempt {
	return func(tokens) attempt { return s.ask(basic, more...) }
}

func TestBasic_PromptNoneLoggedIn(t *testing.T) {
	each(t, func(t *testing.T, s *stage) { s.twice(s.asks(), s.asks("prompt", "none")) })
}

func TestBasic_MaxAge1(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		b := s.browser()
		first := s.signIn(b, s.ask(basic))
		s.rig.Clock.Advance(2 * time.Second)
		s.asked = 0
		before := s.rig.Clock.Now()
		again := s.signIn(b, s.ask(basic, "max_age", "1"))
		if s.asked == 0 || !when(again.claims["auth_time"]).After(when(first.claims["auth_time"])) || when(again.claims["auth_time"]).Before(before) {
			t.Errorf("asked %d times, auth_time %v, then %v", s.asked, first.claims["auth_time"], again.claims["auth_time"])
		}
	})
}

func TestBasic_MaxAge10000(t *testing.T) {
	each(t, func(t *testing.T, s *stage) { s.twice(s.asks("max_age", "15000"), s.asks("max_age", "10000")) })
}

func TestBasic_UnknownParameter(t *testing.T) {
	each(t, func(t *testing.T, s *stage) { s.signIn(s.browser(), s.ask(basic, "extra", "foobar")) })
}

func TestBasic_IDTokenHint(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.twice(s.asks(), func(one tokens) attempt { return s.ask(basic, "prompt", "none", "id_token_hint", one.id) })
	})
}

func TestBasic_LoginHint(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		b, a := s.browser(), s.ask(basic, "login_hint", "anna@alder.example")
		page := s.open(b, s.address(a))
		if f := page.Form(); f == nil || f.Values.Get("address") != "anna@alder.example" {
			t.Errorf("the address is not in the form at %s", page.URL)
		}
		s.trade(a, s.code(s.walk(b, a, page)))
	})
}

func TestBasic_UILocales(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for locales, want := range map[string]string{"se fr-CH de": "fr", "se": "en"} {
			b, a := s.browser(), s.ask(basic, "ui_locales", locales)
			b.Language = "en"
			page := s.open(b, s.address(a))
			if page.Language() != want {
				t.Errorf("%s: the page is in %q, want %s", locales, page.Language(), want)
			}
			s.trade(a, s.code(s.walk(b, a, page)))
		}
	})
}

func TestBasic_ClaimsLocales(t *testing.T) {
	each(t, func(t *testing.T, s *stage) { s.signIn(s.browser(), s.ask(basic, "claims_locales", "se")) })
}

func TestBasic_ACRValues(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		var all []string
		offered, _ := s.meta["acr_values_supported"].([]any)
		for _, v := range offered {
			all = append(all, text(v))
		}
		if got := s.signIn(s.browser(), s.ask(basic, "acr_values", strings.Join(all, " "))); len(all) == 0 || !slices.Contains(all, text(got.claims["acr"])) {
			t.Errorf("acr is %v of %v", got.claims["acr"], all)
		}
	})
}

func TestBasic_CodeReuse(t *testing.T) {
	each(t, func(t *testing.T, s *stage) { s.reuse(0) })
}

func TestBasic_CodeReuseAfter30Seconds(t *testing.T) {
	each(t, func(t *testing.T, s *stage) { s.reuse(30 * time.Second) })
}

// reuse redeems a code twice. Whenever the second time comes, what the first gave ends.
func (s *stage) reuse(after time.Duration) {
	s.Helper()
	b, a := s.browser(), s.ask(basic)
	code := s.code(s.walk(b, a, s.open(b, s.address(a))))
	got := s.trade(a, code)
	if !s.alive(got.access) {
		s.Error("not alive to begin with")
	}
	s.rig.Clock.Advance(after)
	status, again := s.redeem(a, code)
	s.refused(status, again, "invalid_grant")
	if s.alive(got.access) {
		s.Error("the access token outlives the second use of its code")
	}
}

func TestBasic_RegisteredRedirectURI(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		a := s.ask(basic, "redirect_uri", basic.callback()+random(8))
		s.page(s.open(s.browser(), s.address(a)))
	})
}

// page checks that a refusal is a page of the provider, and that no client was sent anybody.
func (s *stage) page(p *walker.Page) {
	s.Helper()
	if p.Status != http.StatusBadRequest || !strings.HasPrefix(p.URL.String(), s.issuer+"/") || p.Main() == "" {
		s.Errorf("%d at %s: %s", p.Status, p.URL, p.Main())
	}
	if n := len(s.sites.visits); n != 0 {
		s.Errorf("%d visits at the clients", n)
	}
}

func TestBasic_PostRequest(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		b, a := s.browser(), s.ask(basic)
		page, err := b.Submit(&walker.Form{Action: s.endpoint("authorization_endpoint"), Method: http.MethodPost, Values: a.params})
		if err != nil {
			t.Fatal(err)
		}
		s.trade(a, s.code(s.walk(b, a, page)))
		// As browsers send a form of another site.
		b.Header.Set("Origin", basic.origin())
		b.Header.Set("Sec-Fetch-Site", "cross-site")
		a = s.ask(basic)
		if page, err = b.Submit(&walker.Form{Action: s.endpoint("authorization_endpoint"), Method: http.MethodPost, Values: a.params}); err != nil {
			t.Fatal(err)
		}
		s.trade(a, s.code(s.walk(b, a, page)))
	})
}

func TestBasic_ServerClientSecretPost(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if !s.lists("token_endpoint_auth_methods_supported", post.auth) {
			t.Error("not in the metadata")
		}
		s.userinfo(s.signIn(s.browser(), s.ask(post)))
		s.onlyAsRegistered(post, basic.auth)
	})
}

func TestBasic_ServerPrivateKeyJWT(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if !s.lists("token_endpoint_auth_methods_supported", signed.auth) || !s.lists("token_endpoint_auth_signing_alg_values_supported", "ES256") {
			t.Error("not in the metadata")
		}
		s.userinfo(s.signIn(s.browser(), s.ask(signed)))
		s.onlyAsRegistered(signed, basic.auth)
	})
}

// onlyAsRegistered checks that a client that comes in another way than it is registered for is nobody, and that this
// costs it nothing.
func (s *stage) onlyAsRegistered(c client, other string) {
	s.Helper()
	b, a := s.browser(), s.ask(c)
	code := s.code(s.walk(b, a, s.open(b, s.address(a))))
	a.client.auth = other
	if status, got := s.redeem(a, code); status != http.StatusUnauthorized || got["error"] != "invalid_client" {
		s.Errorf("%s as %s: %d %v", c.id, other, status, got)
	}
	a.client.auth = c.auth
	s.trade(a, code)
}

func TestBasic_ClaimsEssential(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		got := s.signIn(s.browser(), s.ask(basic, "claims", `{"userinfo":{"name":{"essential":true}}}`))
		if who := s.userinfo(got); who["name"] != "Anna Alder" {
			t.Errorf("%v", who)
		}
	})
}

func TestBasic_RefreshToken(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		if !s.lists("grant_types_supported", "refresh_token") || !s.lists("scopes_supported", "offline_access") {
			t.Error("not in the metadata")
		}
		var last tokens
		for _, c := range []client{basic, second} {
			a := s.ask(c, "scope", "openid offline_access", "prompt", "consent")
			first := s.signIn(s.browser(), a)
			if first.refresh == "" || strings.ContainsFunc(first.refresh, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
				t.Fatalf("refresh token is %q", first.refresh)
			}
			s.rig.Clock.Advance(time.Minute)
			status, got := s.refresh(c, first.refresh)
			last = s.answer(a, status, got)
			if last.access == first.access || last.refresh == "" {
				t.Error("nothing new")
			}
			for _, same := range []string{"iss", "sub", "aud", "auth_time", "azp"} { // OpenID Connect Core 12.2
				if x, y := first.claims[same], last.claims[same]; same != "aud" && x != y {
					t.Errorf("%s is %v, then %v", same, x, y)
				}
			}
			if !when(last.claims["iat"]).After(when(first.claims["iat"])) {
				t.Errorf("iat is %v, then %v", first.claims["iat"], last.claims["iat"])
			}
			s.userinfo(last)
		}
		// The second client's token in the hands of the first.
		status, got := s.refresh(basic, last.refresh)
		s.refused(status, got, "invalid_grant")
		if status, got = s.refresh(second, last.refresh); status != http.StatusOK {
			t.Errorf("the attempt of another client cost its owner the token: %d %v", status, got)
		}
	})
}

func TestBasic_ValidPKCE(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		b, a := s.browser(), s.ask(basic)
		code := s.code(s.walk(b, a, s.open(b, s.address(a))))
		wrong := a
		wrong.verifier = random(64)
		status, got := s.redeem(wrong, code)
		s.refused(status, got, "invalid_grant")
		s.trade(a, code)
		for _, more := range [][]string{{"code_challenge", "-", "code_challenge_method", "-"}, {"code_challenge_method", "plain"}, {"code_challenge_method", "-"}} {
			a = s.ask(basic, more...)
			if q := s.response(a, s.open(b, s.address(a))); q.Get("error") != "invalid_request" {
				t.Errorf("%v: %v", more, q)
			}
		}
	})
}

func TestBasic_IDTokenSignature(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for _, c := range []client{basic, post, signed} { // RS256, the default, EdDSA
			if got := s.signIn(s.browser(), s.ask(c)); got.header.Algorithm != c.alg || got.header.KeyID == "" {
				t.Errorf("%s: alg %s, kid %q", c.id, got.header.Algorithm, got.header.KeyID)
			}
		}
	})
}

func TestBasic_IDTokenUnsigned(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for _, list := range []string{
			"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported", "request_object_signing_alg_values_supported",
			"token_endpoint_auth_signing_alg_values_supported",
		} {
			if s.lists(list, "none") {
				t.Errorf("%s has none", list)
			}
		}
		if got := s.signIn(s.browser(), s.ask(basic, "id_token_signed_response_alg", "none")); got.header.Algorithm != "RS256" {
			t.Errorf("alg is %s", got.header.Algorithm)
		}
	})
}
