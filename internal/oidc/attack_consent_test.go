package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
)

const harbour = "https://harbour.example/cb"

// asked brings somebody to the consent page of Harbour Logistics in a browser.
func (s *street) asked(b *walker.Client, who *rig.Somebody, more ...string) *walker.Page {
	s.t.Helper()
	page, err := b.Get(request("harbour", harbour, more...))
	if err == nil {
		page, err = who.Mind.Walk(b, page, func(p *walker.Page) bool { return strings.Contains(p.URL.Path, "/oauth2/authorize/") })
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

// allowed is what somebody allowed Harbour Logistics.
func (s *street) allowed(who *rig.Somebody) []string {
	s.t.Helper()
	var out []string
	s.Read(func(tx *sqlstore.Tx) error {
		c, err := tx.Consent("shop", who.Is.ID, "harbour")
		if fault.Of(err, fault.NotFound) {
			err = nil
		}
		out = c.Scopes
		return err
	})
	return out
}

// become puts the session of one browser into another, as if somebody had signed in there meanwhile.
func become(b, other *walker.Client) {
	u, _ := url.Parse(rig.Origin)
	for _, c := range other.HTTP.Jar.Cookies(u) {
		if c.Name == "__Host-session" {
			b.HTTP.Jar.SetCookies(u, []*http.Cookie{{Name: c.Name, Value: c.Value, Path: "/", Secure: true}})
		}
	}
}

// What is allowed is what was shown, to the person it was shown to: a page that waited on a shared desk, in another tab, or
// while the operator changed the client allows nothing else.
func TestSEC_O14_TheAnswerIsToTheQuestion(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		ben := s.Join(s.Organization("Birch Ltd", false), directory.Member, "Ben Birch", "ben@birch.example")
		other := s.SignIn(ben, "192.0.2.61")

		b := s.Browser("192.0.2.60")
		page := s.asked(b, s.anna)
		become(b, other)
		again := press(t, b, page, "Allow")
		if got := s.allowed(ben); got != nil {
			t.Errorf("Ben allowed %v on a page that Anna was shown", got)
		}
		if again.URL.Host != rig.Host || !strings.Contains(again.Main(), "ben@birch.example") {
			t.Errorf("Ben is not asked himself: at %s: %s", again.URL, again.Main())
		}
		if q := press(t, b, again, "Allow").URL.Query(); q.Get("code") == "" || s.allowed(ben) == nil {
			t.Errorf("Ben allowed it: %v", q)
		}

		b = s.SignIn(s.anna, "192.0.2.62")
		s.relying(func(rp *directory.RelyingParty) {
			if rp.ID == "harbour" {
				rp.Scopes = []string{"openid", "profile"}
			}
		})
		page = s.asked(b, s.anna)
		s.relying(func(rp *directory.RelyingParty) {
			if rp.ID == "harbour" {
				rp.Scopes = []string{"openid", "profile", "email", "organization"}
			}
		})
		again = press(t, b, page, "Allow")
		if got := s.allowed(s.anna); len(got) > 2 {
			t.Errorf("Anna was shown two scopes and allowed %v", got)
		}
		if again.URL.Host != rig.Host {
			t.Errorf("more than she was shown: %s", again.URL)
		}

		// The answer to one request is none to another, whoever's form it is.
		first, second := s.asked(b, s.anna, "scope", "openid"), s.asked(b, s.anna, "prompt", "consent")
		before := s.allowed(s.anna)
		f := first.Form()
		f.Action = second.URL.String()
		f.Values.Set("answer", "allow")
		if p, err := b.Submit(f); err != nil || p.URL.Host != rig.Host {
			t.Errorf("the form of one request answered another: %v %v", p.URL, err)
		}
		if got := s.allowed(s.anna); len(got) != len(before) {
			t.Errorf("%v allowed by the form of another request", got)
		}
		if a := s.raw(http.MethodPost, second.URL.Path, url.Values{"answer": {"allow"}}, sameOrigin, as(b)); strings.Contains(a.Header.Get("Location"), "code=") {
			t.Error("a form that was never shown is an answer")
		}
		// A form of another site is none at all.
		for _, site := range []string{"cross-site", "same-site"} {
			f := second.Form()
			a := s.raw(http.MethodPost, second.URL.Path, f.Values, as(b), func(r *http.Request) {
				r.Header.Set("Origin", "https://evil.localhost")
				r.Header.Set("Sec-Fetch-Site", site)
			})
			if a.StatusCode != http.StatusForbidden || a.Header.Get("Location") != "" {
				t.Errorf("%s: %d %s", site, a.StatusCode, a.Header.Get("Location"))
			}
		}
		// Each works once.
		if q := press(t, b, second, "Allow").URL.Query(); q.Get("code") == "" {
			t.Errorf("the right form: %v", q)
		}
		if p := press(t, b, second, "Allow"); p.Status != http.StatusGone || p.URL.Host != rig.Host {
			t.Errorf("twice: %d at %s", p.Status, p.URL)
		}
	})
}

// as sends the cookies of a browser.
func as(b *walker.Client) func(*http.Request) {
	return func(r *http.Request) {
		for _, c := range b.HTTP.Jar.Cookies(r.URL) {
			r.AddCookie(c)
		}
	}
}

// No page on which something is allowed or ended can be framed, cached or told to others by its address (F-1, O-12).
func TestSEC_O12_PagesThatDecideStandAlone(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.63")
		pages := map[string]*walker.Page{
			"consent":  s.asked(b, s.anna),
			"log-out":  get(t, b, rig.Origin+"/oauth2/logout?client_id=store"),
			"refusal":  get(t, b, request("store", "https://evil.example/")),
			"over":     get(t, b, rig.Origin+"/oauth2/authorize/01900000-0000-7000-8000-000000000000"),
			"discover": get(t, b, rig.Origin+"/oauth2/par"),
		}
		for name, p := range pages {
			csp := p.Header.Get("Content-Security-Policy")
			if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "base-uri 'none'") {
				t.Errorf("%s can be framed: %s", name, csp)
			}
			if p.Header.Get("Cache-Control") != "no-store" || p.Header.Get("Referrer-Policy") != "same-origin" {
				t.Errorf("%s: %s, %s", name, p.Header.Get("Cache-Control"), p.Header.Get("Referrer-Policy"))
			}
			if name != "consent" && strings.Contains(csp, "harbour") || strings.Contains(csp, "evil") || strings.Count(csp, "form-action") != 1 {
				t.Errorf("%s: forms may lead to %s", name, csp)
			}
		}
		if csp := pages["consent"].Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://harbour.example") {
			t.Errorf("the form of consent leads nowhere: %s", csp)
		}
	})
}
