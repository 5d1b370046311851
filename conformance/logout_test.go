package conformance

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"doorward/internal/rig/walker"
)

var logoutOP = plan{"RP-Initiated OP", "oidcc-rp-initiated-logout-certification-test-plan", []module{
	{"oidcc-rp-initiated-logout-discovery-endpoint-verification", "TestLogout_DiscoveryEndpointVerification", ""},
	{"oidcc-rp-initiated-logout", "TestLogout_RPInitiated", "at once, without a question: the hint is of the session in this browser"},
	{"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", "TestLogout_BadPostLogoutRedirectURI", "an error page; nobody is signed out"},
	{"oidcc-rp-initiated-logout-modified-id-token-hint", "TestLogout_ModifiedIDTokenHint", "an error page; nobody is signed out"},
	{"oidcc-rp-initiated-logout-no-id-token-hint", "TestLogout_NoIDTokenHint", "an error page: without hint and `client_id` the address is nobody's. With a `client_id` the person is asked"},
	{"oidcc-rp-initiated-logout-no-params", "TestLogout_NoParams", "the person is asked first: any site can send a browser here"},
	{"oidcc-rp-initiated-logout-no-post-logout-redirect-uri", "TestLogout_NoPostLogoutRedirectURI", "at once; our own page says so"},
	{"oidcc-rp-initiated-logout-no-state", "TestLogout_NoState", ""},
	{"oidcc-rp-initiated-logout-only-state", "TestLogout_OnlyState", "the person is asked first"},
	{"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", "TestLogout_QueryAdded", "an error page; nobody is signed out"},
	{"oidcc-rp-initiated-logout-bad-id-token-hint", "TestLogout_BadIDTokenHint", "an error page; nobody is signed out"},
}}

var backchannelOP = plan{"Back-Channel OP", "oidcc-backchannel-rp-initiated-logout-certification-test-plan", []module{
	{"oidcc-backchannel-logout-discovery-endpoint-verification", "TestBackchannel_DiscoveryEndpointVerification", ""},
	{"oidcc-backchannel-rp-initiated-logout", "TestBackchannel_RPInitiated", ""},
}}

func TestLogout_DiscoveryEndpointVerification(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		for name, v := range s.meta {
			s.member(name, v)
		}
		s.endpoint("end_session_endpoint")
	})
}

func TestBackchannel_DiscoveryEndpointVerification(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.endpoint("end_session_endpoint")
		if s.meta["backchannel_logout_supported"] != true || s.meta["backchannel_logout_session_supported"] != true {
			t.Errorf("%v %v", s.meta["backchannel_logout_supported"], s.meta["backchannel_logout_session_supported"])
		}
	})
}

// leaving is somebody who is signed in and about to leave.
type leaving struct {
	*stage
	b     *walker.Client
	got   tokens
	state string
}

func (s *stage) leaving() *leaving {
	s.Helper()
	l := &leaving{stage: s, b: s.browser(), state: random(43)}
	l.got = s.signIn(l.b, s.ask(basic))
	return l
}

// leave sends the browser to the end-session endpoint as the plan does, with parameters changed; "-" takes one out.
func (l *leaving) leave(more ...string) *walker.Page {
	l.Helper()
	q := url.Values{"id_token_hint": {l.got.id}, "post_logout_redirect_uri": {basic.goodbye()}, "state": {l.state}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
		if more[i+1] == "-" {
			q.Del(more[i])
		}
	}
	return l.open(l.b, l.endpoint("end_session_endpoint")+"?"+q.Encode())
}

// back checks that the browser is where the client wanted it, with these parameters and no others.
func (l *leaving) back(page *walker.Page, want url.Values) {
	l.Helper()
	address, query, _ := strings.Cut(page.URL.String(), "?")
	if address != basic.goodbye() || query != want.Encode() {
		l.Errorf("at %s, want %s with %v", page.URL, basic.goodbye(), want)
	}
	if _, n := l.sites.last(basic.goodbye()); n != 1 {
		l.Errorf("%d visits at the client", n)
	}
}

// in checks whether the session still stands, with prompt=none as a client would.
func (l *leaving) in(want bool) {
	l.Helper()
	a := l.ask(basic, "prompt", "none")
	q := l.response(a, l.open(l.b, l.address(a)))
	if got := q.Get("code") != ""; got != want || !want && q.Get("error") != "login_required" {
		l.Errorf("signed in is not %v: %v", want, q)
	}
}

// stays checks a refusal: an error page, no way to the client, and the session as it was.
func (l *leaving) stays(page *walker.Page) {
	l.Helper()
	if page.Status != http.StatusBadRequest || !strings.HasPrefix(page.URL.String(), l.issuer+"/") {
		l.Errorf("%d at %s: %s", page.Status, page.URL, page.Main())
	}
	l.nobodyCame()
	l.in(true)
}

func (l *leaving) nobodyCame() {
	l.Helper()
	if _, n := l.sites.last(basic.goodbye()); n != 0 {
		l.Errorf("%d visits at %s", n, basic.goodbye())
	}
}

// ours checks that the browser is on our own page after signing out.
func (l *leaving) ours(page *walker.Page) {
	l.Helper()
	if page.Status != http.StatusOK || !strings.HasPrefix(page.URL.String(), l.issuer+"/") || page.Title() == "" {
		l.Errorf("%d at %s: %s", page.Status, page.URL, page.Main())
	}
	l.nobodyCame()
	l.in(false)
}

// asksFirst checks that the person is asked, that nothing has happened until then, and presses the first button.
func (l *leaving) asksFirst(page *walker.Page) *walker.Page {
	l.Helper()
	f := page.Form()
	if page.Status != http.StatusOK || f == nil || len(f.Buttons()) < 2 {
		l.Fatalf("%d at %s: %s", page.Status, page.URL, page.Main())
	}
	l.in(true)
	next, err := l.b.Submit(f)
	if err != nil {
		l.Fatal(err)
	}
	return next
}

func TestLogout_RPInitiated(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		l.back(l.leave(), url.Values{"state": {l.state}})
		l.in(false)
	})
}

func TestLogout_NoState(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		l.back(l.leave("state", "-"), url.Values{})
		l.in(false)
	})
}

func TestLogout_BadPostLogoutRedirectURI(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		l.stays(l.leave("post_logout_redirect_uri", basic.goodbye()+random(8)))
		l.stays(l.leave("post_logout_redirect_uri", second.goodbye()))
	})
}

func TestLogout_QueryAdded(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		l.stays(l.leave("post_logout_redirect_uri", basic.goodbye()+"?foo=bar"))
	})
}

func TestLogout_ModifiedIDTokenHint(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		parts := strings.Split(l.got.id, ".")
		l.stays(l.leave("id_token_hint", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))+"."+parts[1]+"."))
	})
}

func TestLogout_BadIDTokenHint(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		k := ecKey(l.got.header.KeyID)()
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k}, (&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			t.Fatal(err)
		}
		forged, err := jwt.Signed(signer).Claims(l.got.claims).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		l.stays(l.leave("id_token_hint", forged))
	})
}

func TestLogout_NoIDTokenHint(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		l.stays(l.leave("id_token_hint", "-"))
		next := l.asksFirst(l.leave("id_token_hint", "-", "client_id", basic.id))
		l.back(next, url.Values{"state": {l.state}})
		l.in(false)
	})
}

func TestLogout_NoParams(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		l.ours(l.asksFirst(l.leave("id_token_hint", "-", "post_logout_redirect_uri", "-", "state", "-")))
	})
}

func TestLogout_OnlyState(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		l.ours(l.asksFirst(l.leave("id_token_hint", "-", "post_logout_redirect_uri", "-")))
	})
}

func TestLogout_NoPostLogoutRedirectURI(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		l.ours(l.leave("post_logout_redirect_uri", "-"))
	})
}

func TestBackchannel_RPInitiated(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		l := s.leaving()
		s.farewells()
		if _, n := s.sites.last(basic.told()); n != 0 {
			t.Errorf("told %d times before anybody left", n)
		}
		l.back(l.leave(), url.Values{"state": {l.state}})
		s.farewells()
		s.farewells()
		v, n := s.sites.last(basic.told())
		if n != 1 || v.method != http.MethodPost || v.kind != "application/x-www-form-urlencoded" || v.url.RawQuery != "" {
			t.Fatalf("told %d times: %s %s %q", n, v.method, v.url, v.kind)
		}
		if len(v.form) != 1 || len(v.form["logout_token"]) != 1 {
			t.Fatalf("told %v", v.form)
		}
		s.logoutToken(v.form.Get("logout_token"), l.got)
		if _, n := s.sites.last(second.told()); n != 0 {
			t.Errorf("a client that nobody was signed in to was told %d times", n)
		}
		l.in(false)
	})
}

// logoutToken checks a logout token (OpenID Connect Back-Channel Logout 1.0, 2.4).
func (s *stage) logoutToken(raw string, of tokens) {
	s.Helper()
	header, c := s.verify(raw, basic.alg)
	now := s.rig.Clock.Now()
	if typ := header.ExtraHeaders["typ"]; typ != "logout+jwt" {
		s.Errorf("typ is %v", typ)
	}
	if c["iss"] != s.issuer || !audience(c["aud"], basic.id) || text(c["jti"]) == "" {
		s.Errorf("claims are %v", c)
	}
	if iat, exp := when(c["iat"]), when(c["exp"]); iat.After(now) || iat.Before(now.Add(-time.Minute)) || !exp.After(now) || exp.After(now.Add(2*time.Minute)) {
		s.Errorf("iat %v, exp %v at %v", iat, exp, now)
	}
	if c["sub"] != of.claims["sub"] || c["sid"] == nil || c["sid"] != of.claims["sid"] {
		s.Errorf("sub %v, sid %v; the ID token had %v, %v", c["sub"], c["sid"], of.claims["sub"], of.claims["sid"])
	}
	events, _ := c["events"].(map[string]any)
	event, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	if !ok || len(events) != 1 || len(event) != 0 {
		s.Errorf("events is %v", c["events"])
	}
	if _, ok := c["nonce"]; ok {
		s.Error("there is a nonce")
	}
}
