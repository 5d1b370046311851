package token

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorward/internal/directory"
)

func TestSEC_O1_O3_CheckRequest(t *testing.T) {
	fapi, par, poor := shop(), shop(), shop()
	fapi.Profile, par.RequirePAR, poor.Grants = directory.FAPI2, true, []string{directory.GrantClientCredentials}
	for _, c := range []struct {
		name   string
		change []string
		rp     directory.RelyingParty
		how    Channel
		code   string
		told   bool
	}{
		{"as it should be", nil, shop(), Channel{}, "", true},
		{"pushed", nil, fapi, Channel{Pushed: true}, "", true},
		{"not pushed under FAPI 2.0", nil, fapi, Channel{}, CodeInvalidRequest, true},
		{"signed is not pushed", nil, fapi, Channel{Signed: true}, CodeInvalidRequest, true},
		{"not pushed", nil, par, Channel{}, CodeInvalidRequest, true},
		{"another client", []string{"client_id", "other"}, shop(), Channel{}, CodeUnauthorizedClient, false},
		{"no client", []string{"client_id", ""}, shop(), Channel{}, CodeUnauthorizedClient, false},
		{"nobody", []string{"client_id", ""}, directory.RelyingParty{}, Channel{}, CodeUnauthorizedClient, false},
		{"a link that is no client", []string{"client_id", "x"}, directory.RelyingParty{ID: "x"}, Channel{}, CodeUnauthorizedClient, false},
		{"no redirect", []string{"redirect_uri", ""}, shop(), Channel{}, CodeInvalidRequest, false},
		{"another redirect", []string{"redirect_uri", "https://shop.example.com/cb/"}, shop(), Channel{}, CodeInvalidRequest, false},
		{"client may not", nil, poor, Channel{}, CodeUnauthorizedClient, true},
		{"no response_type", []string{"response_type", ""}, shop(), Channel{}, CodeInvalidRequest, true},
		{"token", []string{"response_type", "token"}, shop(), Channel{}, CodeUnsupportedResponseType, true},
		{"id_token", []string{"response_type", "id_token"}, shop(), Channel{}, CodeUnsupportedResponseType, true},
		{"hybrid", []string{"response_type", "code id_token"}, shop(), Channel{}, CodeUnsupportedResponseType, true},
		{"code twice", []string{"response_type", "code code"}, shop(), Channel{}, CodeUnsupportedResponseType, true},
		{"CODE", []string{"response_type", "CODE"}, shop(), Channel{}, CodeUnsupportedResponseType, true},
		{"none", []string{"response_type", "none"}, shop(), Channel{}, CodeUnsupportedResponseType, true},
		{"query", []string{"response_mode", "query"}, shop(), Channel{}, "", true},
		{"fragment", []string{"response_mode", "fragment"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"request", []string{"request", "x"}, shop(), Channel{}, CodeRequestNotSupported, true},
		{"request_uri", []string{"request_uri", "https://evil.example/r"}, shop(), Channel{}, CodeRequestURINotSupported, true},
		{"registration", []string{"registration", "{}"}, shop(), Channel{}, CodeRegistrationUnsupported, true},
		{"no challenge", []string{"code_challenge", ""}, shop(), Channel{}, CodeInvalidRequest, true},
		{"no method means plain", []string{"code_challenge_method", ""}, shop(), Channel{}, CodeInvalidRequest, true},
		{"plain", []string{"code_challenge_method", "plain"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"s256", []string{"code_challenge_method", "s256"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"S512", []string{"code_challenge_method", "S512"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"neither", []string{"code_challenge", "", "code_challenge_method", ""}, shop(), Channel{}, CodeInvalidRequest, true},
		{"short challenge", []string{"code_challenge", "abc"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"padded challenge", []string{"code_challenge", Challenge("x") + "="}, shop(), Channel{}, CodeInvalidRequest, true},
		{"loose challenge", []string{"code_challenge", Challenge("x")[:42] + "B"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"long nonce", []string{"nonce", strings.Repeat("n", 513)}, shop(), Channel{}, CodeInvalidRequest, true},
		{"dpop_jkt", []string{"dpop_jkt", Challenge("k")}, shop(), Channel{}, "", true},
		{"odd dpop_jkt", []string{"dpop_jkt", "k"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"none alone", []string{"prompt", "none"}, shop(), Channel{}, "", true},
		{"none and login", []string{"prompt", "none login"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"login and consent", []string{"prompt", "login consent select_account"}, shop(), Channel{}, "", true},
		{"odd prompt", []string{"prompt", "create"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"prompt in capitals", []string{"prompt", "None"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"max_age", []string{"max_age", "0"}, shop(), Channel{}, "", true},
		{"max_age negative", []string{"max_age", "-1"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"max_age with sign", []string{"max_age", "+1"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"max_age huge", []string{"max_age", "99999999999999999999"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"max_age words", []string{"max_age", "1h"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"claims", []string{"claims", `{"userinfo":{"email":null}}`}, shop(), Channel{}, "", true},
		{"odd claims", []string{"claims", `{"userinfo":[]}`}, shop(), Channel{}, CodeInvalidRequest, true},
		{"claims twice", []string{"claims", `{"userinfo":{},"userinfo":{}}`}, shop(), Channel{}, CodeInvalidRequest, true},
		{"many acr_values", []string{"acr_values", strings.Repeat("a ", 17)}, shop(), Channel{}, CodeInvalidRequest, true},
		{"no scope", []string{"scope", ""}, shop(), Channel{}, CodeInvalidScope, true},
		{"scope of others", []string{"scope", "admin"}, shop(), Channel{}, CodeInvalidScope, true},
		{"scope with a quote", []string{"scope", `openid "`}, shop(), Channel{}, CodeInvalidScope, true},
		{"resource", []string{"resource", "https://api.example.com/orders urn:example:stock"}, shop(), Channel{}, "", true},
		{"resource of others", []string{"resource", "https://api.example.com/"}, shop(), Channel{}, CodeInvalidTarget, true},
		{"relative resource", []string{"resource", "/orders"}, shop(), Channel{}, CodeInvalidTarget, true},
		{"resource with fragment", []string{"resource", "https://api.example.com/orders#x"}, shop(), Channel{}, CodeInvalidTarget, true},
		{"long state", []string{"state", strings.Repeat("s", 2049)}, shop(), Channel{}, CodeInvalidRequest, true},
		{"state with a line end", []string{"state", "a\nb"}, shop(), Channel{}, CodeInvalidRequest, true},
		{"parameters nobody knows", []string{"odd", "x"}, shop(), Channel{}, "", true},
	} {
		p := with(goodParams(), c.change...)
		a, err := CheckRequest(p, c.rp, c.how)
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			// What is kept gives the same again.
			again, err := CheckRequest(a.Params, c.rp, c.how)
			if err != nil || !maps.Equal(again.Params, a.Params) || again.Challenge != a.Challenge || !slices.Equal(again.Scopes, a.Scopes) {
				t.Errorf("%s, kept: %v", c.name, err)
			}
			if _, there := a.Params["odd"]; there {
				t.Errorf("%s: kept what nobody knows", c.name)
			}
			continue
		}
		refused(t, c.name, err, c.code)
		e := AsOAuth(err)
		if e == nil {
			continue
		}
		if e.ToClient != c.told || (a.Redirect != "") != c.told {
			t.Errorf("%s: told %v to %q", c.name, e.ToClient, a.Redirect)
		}
		if c.told && !strings.Contains(c.name, "state") && a.State != "s1" || strings.Contains(c.name, "state") && a.State != "" {
			t.Errorf("%s: state %q", c.name, a.State)
		}
		if len(a.Params) != 0 || a.Challenge != "" {
			t.Errorf("%s: a refused request is filled in: %+v", c.name, a)
		}
	}
}

// TestSEC_O9_KeptRequestsFollowTheClient: what was fine when it was kept is not when the client was narrowed.
func TestSEC_O9_KeptRequestsFollowTheClient(t *testing.T) {
	a, err := CheckRequest(with(goodParams(), "resource", "urn:example:stock"), shop(), Channel{Pushed: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, narrow := range map[string]func(*directory.RelyingParty){
		"redirect taken away": func(r *directory.RelyingParty) { r.RedirectURIs = nil },
		"grant taken away":    func(r *directory.RelyingParty) { r.Grants = nil },
		"no client any more":  func(r *directory.RelyingParty) { r.Auth = "" },
		"resource taken away": func(r *directory.RelyingParty) { r.Resources = nil },
	} {
		rp := shop()
		narrow(&rp)
		if _, err := CheckRequest(a.Params, rp, Channel{Pushed: true}); err == nil {
			t.Errorf("%s: still taken", name)
		}
	}
}

func TestAskReadsWhatIsAsked(t *testing.T) {
	rp := shop()
	rp.ACR = []string{"phr"}
	a, err := CheckRequest(with(goodParams(), "scope", "openid  email email offline_access admin orders:read", "prompt", "login consent", "max_age", "60", "ui_locales", "gsw-CH de-AT <x> fr", "login_hint", "ann@example.com", "id_token_hint", "h"), rp, Channel{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Scopes, []string{"openid", "email", "offline_access", "orders:read"}) || !a.OpenID() {
		t.Errorf("scopes %v", a.Scopes)
	}
	if a.Prompt != (Prompt{Login: true, Consent: true}) || a.MaxAge != time.Minute || a.LoginHint != "ann@example.com" || a.Hint != "h" {
		t.Errorf("%+v", a)
	}
	if a.Language([]string{"en", "de", "fr"}) != "de" || a.Language([]string{"it"}) != "" {
		t.Errorf("locales %v", a.Locales)
	}
	if !slices.Equal(a.ACR, []string{"phr"}) || a.ACRMust {
		t.Errorf("acr %v %v", a.ACR, a.ACRMust)
	}
	for p, want := range map[string]struct {
		acr  string
		must bool
	}{
		`{"id_token":{"acr":{"essential":true,"values":["phrh","phr"]}}}`: {"phrh phr", true},
		`{"id_token":{"acr":{"essential":true,"value":"phr"}}}`:           {"phr", true},
		`{"id_token":{"acr":{"values":["phrh"]}}}`:                        {"phrh", false},
		`{"id_token":{"acr":{"essential":true}}}`:                         {"urn:x", false}, // any will do
		`{"id_token":{"acr":null}}`:                                       {"urn:x", false},
	} {
		a, err := CheckRequest(with(goodParams(), "claims", p, "acr_values", "urn:x"), rp, Channel{})
		if err != nil || strings.Join(a.ACR, " ") != want.acr || a.ACRMust != want.must {
			t.Errorf("%s: %v %v %v", p, a.ACR, a.ACRMust, err)
		}
		if !a.Meets([]string{"urn:a", a.ACR[0]}) || a.Meets([]string{"urn:a"}) || a.Meets(nil) {
			t.Errorf("%s: meets", p)
		}
	}
	if !(Ask{}).Meets(nil) {
		t.Error("nothing asked is met")
	}
	for _, hint := range []string{strings.Repeat("x", 321), "a\nb", "a\u202eb"} {
		if a, err := CheckRequest(with(goodParams(), "login_hint", hint), rp, Channel{}); err != nil || a.LoginHint != "" {
			t.Errorf("hint %q: %q %v", hint, a.LoginHint, err)
		}
	}
}

func TestSEC_O10_Stale(t *testing.T) {
	asked := now.Add(-time.Minute)
	for _, c := range []struct {
		name string
		ask  Ask
		auth time.Time
		want bool
	}{
		{"nothing asked", Ask{MaxAge: -1}, now.Add(-10 * time.Hour), false},
		{"never shown", Ask{MaxAge: -1}, time.Time{}, true},
		{"prompt=login, before", Ask{MaxAge: -1, Prompt: Prompt{Login: true}}, asked.Add(-time.Second), true},
		{"prompt=login, since", Ask{MaxAge: -1, Prompt: Prompt{Login: true}}, asked.Add(time.Second), false},
		{"max_age 0, before", Ask{MaxAge: 0}, asked.Add(-time.Second), true},
		{"max_age 0, since", Ask{MaxAge: 0}, asked.Add(time.Second), false},
		{"max_age, young", Ask{MaxAge: time.Hour}, asked.Add(-59 * time.Minute), false},
		{"max_age, old", Ask{MaxAge: time.Hour}, asked.Add(-61 * time.Minute), true},
		{"max_age, a request of days ago", Ask{MaxAge: time.Minute}, now.Add(-time.Hour), true},
	} {
		if got := c.ask.Stale(c.auth, asked, now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if !(Ask{MaxAge: time.Minute}).Stale(now.Add(-time.Hour), now.Add(-72*time.Hour), now) {
		t.Error("a request that waited for days takes an old session")
	}
}

func TestSEC_O5_Params(t *testing.T) {
	for raw, want := range map[string]Params{
		"":                           {},
		"a=1&b=2":                    {"a": "1", "b": "2"},
		"a=&b=2":                     {"b": "2"},
		"a&b=2":                      {"b": "2"},
		"a=1+2%203":                  {"a": "1 2 3"},
		"&&a=1&":                     {"a": "1"},
		"resource=x:1&resource=x:2":  {"resource": "x:1 x:2"},
		"resource=&resource=x:2":     {"resource": "x:2"},
		"claims=%7B%0A%09%22a%22%7D": {"claims": "{\n\t\"a\"}"},
		"state=a%3Db%26c":            {"state": "a=b&c"},
		"state=a=b":                  {"state": "a=b"},
		"%61=1":                      {"a": "1"},
	} {
		if got, err := ReadParams(raw); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v %v", raw, got, err)
		}
	}
	for name, raw := range map[string]string{
		"twice": "a=1&a=1", "twice, encoded": "a=1&%61=2", "twice, first empty": "a=&a=1", "twice, last empty": "a=1&a=", "redirect twice": "redirect_uri=x&redirect_uri=y", "scope twice": "scope=a&b=1&scope=a",
		"no name": "=1", "bad escape": "a=%zz", "bad escape in a name": "%z=1", "half an escape": "a=%", "NUL": "a=%00", "DEL": "a=%7f", "escape letter": "a=%1b", "C1": "a=%c2%85", "bad UTF-8": "a=%ff", "overlong": "a=%c0%af", "surrogate": "a=%ed%a0%80",
		"semicolon": "a=1;b=2", "long name": strings.Repeat("n", 65) + "=1", "long value": "a=" + strings.Repeat("v", MaxSize+1), "huge": strings.Repeat("a", MaxForm+1), "too many": strings.Repeat("a=&", 64) + "b=1",
	} {
		_, err := ReadParams(raw)
		refused(t, name, err, CodeInvalidRequest)
		if e := AsOAuth(err); e != nil && e.ToClient {
			t.Errorf("%s: told to an address that nobody checked", name)
		}
	}
	_, err := ReadParams("resource=a%20b")
	refused(t, "a blank in resource", err, CodeInvalidTarget)
	if _, err := ParamsOf(url.Values{"a": {"1", "2"}}); err == nil {
		t.Error("net/http's values, twice")
	}
	if p, err := ParamsOf(url.Values{"a": {"1 &;"}}); err != nil || p["a"] != "1 &;" {
		t.Errorf("%v %v", p, err)
	}
}

func TestParamsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := url.Values{}
		want := Params{}
		for name, value := range rapid.MapOfN(rapid.StringMatching(`[a-z_]{1,20}`), rapid.String(), 0, 10).Draw(t, "params") {
			if name == "resource" || !text(value) {
				continue
			}
			v.Set(name, value)
			if value != "" {
				want[name] = value
			}
		}
		if got, err := ReadParams(v.Encode()); err != nil || !maps.Equal(got, want) {
			t.Fatalf("%v %v, want %v", got, err, want)
		}
	})
}

func TestScopes(t *testing.T) {
	rp := shop()
	rp.Grants = []string{directory.GrantCode}
	if got, err := RequestScopes(rp, []string{"openid", "offline_access"}); err != nil || !slices.Equal(got, []string{"openid"}) {
		t.Errorf("offline_access without refresh: %v %v", got, err)
	}
	if got, err := ClientScopes(shop(), nil); err != nil || !slices.Equal(got, []string{"orders:read"}) {
		t.Errorf("client_credentials: %v %v", got, err)
	}
	for _, s := range append(slices.Clone(Scopes), "admin") {
		_, err := ClientScopes(shop(), []string{"orders:read", s})
		refused(t, s, err, CodeInvalidScope)
	}
	if got, err := NarrowScopes([]string{"a", "b"}, nil); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
	if got, err := NarrowScopes([]string{"a", "b"}, []string{"b"}); err != nil || !slices.Equal(got, []string{"b"}) {
		t.Errorf("%v %v", got, err)
	}
	_, err := NarrowScopes([]string{"a"}, []string{"a", "b"})
	refused(t, "wider", err, CodeInvalidScope)
	if got, err := NarrowResources([]string{"x:1", "x:2"}, []string{"x:2"}); err != nil || !slices.Equal(got, []string{"x:2"}) {
		t.Errorf("%v %v", got, err)
	}
	_, err = NarrowResources([]string{"x:1"}, []string{"x:3"})
	refused(t, "wider", err, CodeInvalidTarget)
	refused(t, "many", CheckResources(shop(), slices.Repeat([]string{"urn:example:stock"}, 9)), CodeInvalidTarget)
	_, err = ParseScope(strings.Repeat("x", 129))
	refused(t, "long", err, CodeInvalidScope)
	many := strings.Builder{}
	for i := range 33 {
		many.WriteString(strings.Repeat("s", i+1) + " ")
	}
	_, err = ParseScope(many.String())
	refused(t, "many", err, CodeInvalidScope)
	for _, bad := range []string{"a\tb", "a\\b", "ä", "a\x7f"} {
		_, err := ParseScope(bad)
		refused(t, bad, err, CodeInvalidScope)
	}
}
