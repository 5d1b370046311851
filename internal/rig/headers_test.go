package rig_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/testdb"
)

// watched looks at every answer, redirects too, and gathers what is wrong with it.
type watched struct {
	http.RoundTripper
	answers int
	cookies map[string]bool
	wrong   func(format string, args ...any)
}

// RoundTrip implements http.RoundTripper.
func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return res, err
	}
	w.answers++
	what := fmt.Sprintf("%s %s (%d)", r.Method, r.URL.Path, res.StatusCode)
	h := res.Header
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Referrer-Policy": "no-referrer",
	} {
		if got := h.Get(name); got != want && (name != "Referrer-Policy" || got != "same-origin") {
			w.wrong("%s: %s %q", what, name, got)
		}
	}
	csp := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, part) {
			w.wrong("%s: no %s in %q", what, part, csp)
		}
	}
	for _, part := range []string{"unsafe-inline", "unsafe-eval", "http:", "*"} {
		if strings.Contains(csp, part) {
			w.wrong("%s: %s in %q", what, part, csp)
		}
	}
	if kind := h.Get("Content-Type"); strings.HasPrefix(kind, "text/html") && !strings.Contains(h.Get("Cache-Control"), "no-store") {
		w.wrong("%s: a page that may be kept: %q", what, h.Get("Cache-Control"))
	}
	if h.Get("Server") != "" || h.Get("X-Powered-By") != "" {
		w.wrong("%s: says what it is made of", what)
	}
	for _, c := range res.Cookies() {
		w.cookies[c.Name] = true
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode {
			w.wrong("%s: cookie %s", what, c.Raw)
		}
	}
	return res, nil
}

func (w *watched) watch(c *walker.Client) *walker.Client {
	w.RoundTripper = c.HTTP.Transport
	c.HTTP.Transport = w
	return c
}

// every asks each route that there is, with ids that exist where the town knows some, as a visitor and as somebody who is in.
func (w *town) every(t *testing.T, ask func(c *walker.Client, route rig.Route, path string)) {
	t.Helper()
	all := routes(t)
	values := w.values(t)[1]
	for _, c := range []*walker.Client{w.Browser("192.0.2.77"), w.SignIn(w.owner, "192.0.2.78")} {
		for _, route := range all {
			if strings.HasPrefix(route.Path, "/dev/") || route.Path == "/signout" && route.Method == http.MethodPost {
				continue // not there outside of development; the walk would end
			}
			path, err := route.With(values)
			if err != nil {
				t.Fatal(err)
			}
			ask(c, route, path)
		}
	}
}

// Every answer of every route carries the headers, and every cookie belongs to this host alone.
func TestSEC_F1_S1_TCLK_EveryRouteKeepsTheHeaders(t *testing.T) {
	w := newTown(t, testdb.SQLite(t))
	see := &watched{cookies: map[string]bool{}, wrong: t.Errorf}
	w.every(t, func(c *walker.Client, route rig.Route, path string) {
		if _, ok := c.HTTP.Transport.(*watched); !ok {
			see.watch(c)
		}
		if _, err := w.ask(c, route.Method, path); err != nil {
			t.Errorf("%s: %v", route, err)
		}
	})
	// The cookie of a session is set by a sign-in, that of a flow at its beginning.
	c := see.watch(w.Browser("192.0.2.79"))
	page, err := c.Get(rig.Origin + "/signin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.memberA.Mind.Walk(c, page, walker.At("/account")); err != nil {
		t.Fatal(err)
	}
	if see.answers < 80 || len(see.cookies) < 2 {
		t.Errorf("only %d answers and the cookies %v: little was looked at", see.answers, see.cookies)
	}
}

// No route takes a form that another site has sent, whoever is signed in, and nothing changes.
func TestSEC_F3_TCSRF_EveryRouteRefusesFormsOfOthers(t *testing.T) {
	w := newTown(t, testdb.SQLite(t))
	refused := 0
	before := w.about()
	w.every(t, func(c *walker.Client, route rig.Route, path string) {
		if route.Method == http.MethodGet {
			return
		}
		for _, from := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}},
		} {
			c.Header = from
			page, err := c.Submit(&walker.Form{Action: rig.Origin + path, Method: route.Method, Values: url.Values{"name": {"x"}}})
			c.Header = http.Header{}
			if err != nil {
				t.Fatal(err)
			}
			if page.Status != http.StatusForbidden {
				t.Errorf("%s from %v: %d", route, from, page.Status)
			}
			refused++
		}
	})
	if after := w.about(); after != before {
		t.Errorf("a form of others has changed\n%s\nto\n%s", before, after)
	}
	if all := routes(t); refused < 40 || !slices.ContainsFunc(all, func(r rig.Route) bool { return r.Method == http.MethodPost }) {
		t.Errorf("only %d forms were tried", refused)
	}
}
