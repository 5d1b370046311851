package web_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/web"
	"doorward/internal/web/assets/bundle"
	"doorward/internal/web/webtest"
)

// door is a site with a few routes that answer as rooms do.
func door(t testing.TB, log *bytes.Buffer) http.Handler {
	t.Helper()
	site := web.New(web.Options{Realms: webtest.Realms{}, Keys: webtest.Keys{}, Clock: func() time.Time { return web.SampleTime },
		Log: slog.New(slog.NewTextHandler(log, nil)), Dev: true})
	mux := http.NewServeMux()
	site.Mount(mux)
	fails := func(path string, err error) {
		site.Handle(mux, "GET "+path, func(http.ResponseWriter, *http.Request) error { return err })
	}
	fails("/invalid", fault.New(fault.Invalid, "form-broken"))
	fails("/forbidden", fault.New(fault.Forbidden, "no-such-words"))
	fails("/throttled", fault.New(fault.Throttled, "no-such-words").After(90*time.Second))
	fails("/unavailable", fault.New(fault.Unavailable, "no-such-words").After(1500*time.Millisecond))
	fails("/expired", fault.New(fault.Expired, "no-such-words"))
	fails("/conflict", fault.New(fault.Conflict, "no-such-words"))
	fails("/ours", errors.New("the disk says CANARY"))
	site.Handle(mux, "GET /panic", func(http.ResponseWriter, *http.Request) error { panic("password CANARY") })
	site.Handle(mux, "GET /rp", func(w http.ResponseWriter, r *http.Request) error {
		web.From(r).AllowForm("https://store.example/callback?x=1")
		web.From(r).AllowForm("javascript:alert(1)")
		web.From(r).AllowForm("https://evil.example; script-src *")
		return web.Pages.Entries()[0].ShowSample(w, r, "plain")
	})
	site.Handle(mux, "POST /save", func(w http.ResponseWriter, r *http.Request) error {
		web.Flash(w, r, "ok", "base.left", "time", r.PostFormValue("name"))
		return web.Redirect(w, r, "/rp")
	})
	site.Handle(mux, "GET /away", func(w http.ResponseWriter, r *http.Request) error { return web.Redirect(w, r, r.URL.Query().Get("to")) })
	return site.Handler(mux)
}

func TestSEC_F1_HeadersOnEveryAnswer(t *testing.T) {
	b := &webtest.Browser{Handler: door(t, &bytes.Buffer{})}
	for _, path := range []string{"/language", "/no/such/page", "/ours", "/panic", "/invalid", "/assets/none.js"} {
		h := b.Get(path).Header()
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "img-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy lacks %q: %s", path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "data:") || strings.Contains(csp, "*") {
			t.Errorf("%s: the policy allows too much: %s", path, csp)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Referrer-Policy": "same-origin"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
	}
	if csp := b.Get("/rp").Header().Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self' https://store.example") {
		t.Errorf("a form that leads to a relying party: %s", csp)
	}
}

func TestErrorsBecomePages(t *testing.T) {
	var log bytes.Buffer
	b := &webtest.Browser{Handler: door(t, &log)}
	for _, c := range []struct {
		path, words, retry string
		status             int
	}{
		{"/invalid", "could not read the form", "", 422}, {"/forbidden", "not allowed", "", 403}, {"/throttled", "try again in 1 min 30 s", "90", 429},
		{"/unavailable", "try again in 2 seconds", "2", 503}, {"/expired", "start again", "", 410}, {"/conflict", "changed this meanwhile", "", 409},
		{"/nothing", "mistyped", "", 404},
	} {
		w := b.Get(c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.words) || w.Header().Get("Retry-After") != c.retry {
			t.Errorf("%s: %d, Retry-After %q; want %d %q with %q in\n%s", c.path, w.Code, w.Header().Get("Retry-After"), c.status, c.retry, c.words, w.Body)
		}
	}
	if log.Len() != 0 {
		t.Errorf("expected faults are no news for the log: %s", &log)
	}
	w := b.Do(http.MethodDelete, "/language", nil)
	if w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), "POST") || !strings.Contains(w.Body.String(), "<h1") {
		t.Errorf("DELETE: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestSEC_G4_OurErrorsShowOnlyAReference(t *testing.T) {
	var log bytes.Buffer
	b := &webtest.Browser{Handler: door(t, &log)}
	for _, path := range []string{"/ours", "/panic"} {
		log.Reset()
		w := b.Get(path)
		m := regexp.MustCompile(`id="reference">([0-9A-Z]{4}-[0-9A-Z]{4})<`).FindStringSubmatch(w.Body.String())
		if w.Code != 500 || m == nil {
			t.Fatalf("%s: %d without a reference", path, w.Code)
		}
		if strings.Contains(w.Body.String(), "CANARY") {
			t.Errorf("%s: the visitor sees the inside", path)
		}
		if !strings.Contains(log.String(), m[1]) {
			t.Errorf("%s: the log does not know %s: %s", path, m[1], &log)
		}
	}
	if strings.Contains(log.String(), "CANARY") {
		t.Error("the value of a panic is in the log")
	}
}

func TestSEC_F3_FormsOfOthersAreRefused(t *testing.T) {
	h := door(t, &bytes.Buffer{})
	for _, c := range []struct {
		name, site, origin string
		status             int
	}{
		{"our own form", "same-origin", "", 303}, {"another site", "cross-site", "https://evil.example", 403}, {"a sister host", "same-site", "https://store.test", 403},
		{"old browser, ours", "", "https://shop.test", 303}, {"old browser, other", "", "https://evil.example", 403}, {"old browser, null", "", "null", 403},
		{"no browser", "", "", 303}, {"typed", "none", "", 303},
	} {
		r := httptest.NewRequest(http.MethodPost, "https://shop.test/language", strings.NewReader("lang=de&next=/help"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.status)
		}
	}
}

func TestSEC_F4_TRED_NoOpenRedirect(t *testing.T) {
	b := &webtest.Browser{Handler: door(t, &bytes.Buffer{})}
	for _, to := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "\\/evil.example", "evil", "", "/a\r\nSet-Cookie: x=1"} {
		if w := b.Get("/away?to=" + url.QueryEscape(to)); w.Code != 500 || w.Header().Get("Location") != "" {
			t.Errorf("%q: %d to %q", to, w.Code, w.Header().Get("Location"))
		}
		w := b.Post("/language", url.Values{"lang": {"en"}, "next": {to}})
		if w.Code != 303 || w.Header().Get("Location") != "/" {
			t.Errorf("language with %q: %d to %q", to, w.Code, w.Header().Get("Location"))
		}
	}
	if w := b.Get("/away?to=" + url.QueryEscape("/help?q=a b")); w.Code != 303 {
		t.Errorf("a path of ours: %d", w.Code)
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//x", "/\\x", "/a?b#c", "/%2f/x", "/\x00", "https://x", "/ /x"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://shop.test/signin")
	f.Fuzz(func(t *testing.T, s string) {
		if !web.LocalPath(s) {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		if got := base.ResolveReference(u); got.Host != "shop.test" || got.Scheme != "https" {
			t.Errorf("%q leads to %s", s, got)
		}
	})
}

func TestForms(t *testing.T) {
	b := &webtest.Browser{Handler: door(t, &bytes.Buffer{})}
	if w := b.Post("/save", url.Values{"name": {strings.Repeat("x", web.BodyLimit)}}); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a form above the limit: %d", w.Code)
	}
	r := httptest.NewRequest(http.MethodPost, "https://shop.test/save", strings.NewReader("a=%zz"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	b.Handler.ServeHTTP(w, r)
	if w.Code != 422 {
		t.Errorf("a broken form: %d", w.Code)
	}
}

func TestFlash(t *testing.T) {
	b := &webtest.Browser{Handler: door(t, &bytes.Buffer{})}
	w := b.Post("/save", url.Values{"name": {"<b>“x”</b>"}})
	if w.Code != 303 || w.Header().Get("Location") != "/rp" {
		t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	planted := b.Cookies["__Host-flash"]
	page := b.Get("/rp").Body.String()
	if !strings.Contains(page, `id="flash"`) || !strings.Contains(page, "&lt;b&gt;“x”&lt;/b&gt; left") {
		t.Errorf("the flash is not on the next page, or not escaped:\n%s", page)
	}
	if strings.Contains(b.Get("/rp").Body.String(), `id="flash"`) {
		t.Error("the flash came twice")
	}
	b.Cookies["__Host-flash"] = planted[:len(planted)-2] + "AA"
	if strings.Contains(b.Get("/rp").Body.String(), `id="flash"`) {
		t.Error("a flash with a wrong hash is shown")
	}
	other := &webtest.Browser{Handler: b.Handler, Host: webtest.Wealth.Host, Cookies: map[string]string{"__Host-flash": planted}}
	if strings.Contains(other.Get("/rp").Body.String(), `id="flash"`) {
		t.Error("the flash of another realm is shown")
	}
}

// What an application asks for stands above the browser's own list and below what the person chose.
func TestREQ_B89_TheLanguageThatAnApplicationAsksFor(t *testing.T) {
	h := door(t, &bytes.Buffer{})
	for _, c := range []struct{ asked, chosen, want string }{{"fr", "", "fr"}, {"fr", "it", "it"}, {"xx", "", "de"}, {"", "", "de"}} {
		b := &webtest.Browser{Handler: h, Lang: "de", Cookies: map[string]string{}}
		for name, v := range map[string]string{web.LocaleCookie: c.asked, "lang": c.chosen} {
			if v != "" {
				b.Cookies["__Host-"+name] = v
			}
		}
		if page := b.Get("/language").Body.String(); !strings.Contains(page, `<html lang="`+c.want+`"`) {
			t.Errorf("asked %q, chosen %q: not in %s", c.asked, c.chosen, c.want)
		}
	}
}

func TestREQ_B89_Language(t *testing.T) {
	h := door(t, &bytes.Buffer{})
	for accept, want := range map[string]string{"": "en", "de-CH,de;q=0.9": "de", "es,it;q=0.5": "it", "fr-CA": "fr", "xx": "en", "*": "en", ";;;": "en", strings.Repeat("de,", 400): "en"} {
		b := &webtest.Browser{Handler: h, Lang: accept}
		if page := b.Get("/language").Body.String(); !strings.Contains(page, `<html lang="`+want+`"`) {
			t.Errorf("Accept-Language %.20q does not give %s", accept, want)
		}
	}
	b := &webtest.Browser{Handler: h, Lang: "de"}
	w := b.Post("/language", url.Values{"lang": {"fr"}, "next": {"/signin?x=1"}})
	if w.Header().Get("Location") != "/signin?x=1" {
		t.Errorf("the language page leads to %q", w.Header().Get("Location"))
	}
	c := w.Result().Cookies()[0]
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is not this host's alone: %v", c)
	}
	if page := b.Get("/language").Body.String(); !strings.Contains(page, "Choisissez votre langue") {
		t.Error("the chosen language is not kept")
	}
	b.Post("/language", url.Values{"lang": {"tlh"}})
	if b.Cookies["__Host-lang"] != "fr" {
		t.Error("a language that the realm does not speak was kept")
	}
}

func TestUnknownHost(t *testing.T) {
	for _, host := range []string{"evil.example", "", "SHOP.TEST.evil.example", "shop.test@evil"} {
		b := &webtest.Browser{Handler: door(t, &bytes.Buffer{}), Host: host + "x"}
		if w := b.Get("/language"); w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%q: %d", host, w.Code)
		}
	}
	b := &webtest.Browser{Handler: door(t, &bytes.Buffer{}), Host: "Shop.Test:8443"}
	if w := b.Get("/language"); w.Code != 200 {
		t.Errorf("our host in capitals with a port: %d", w.Code)
	}
}

func TestAssets(t *testing.T) {
	b := &webtest.Browser{Handler: door(t, &bytes.Buffer{})}
	page := b.Get("/language").Body.String()
	found := regexp.MustCompile(`(?:href|src)="(/(?:assets|brand)/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(found) != 4 {
		t.Fatalf("%d assets on a page, want style, brand, icon and script", len(found))
	}
	for _, m := range found {
		w := b.Get(m[1])
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Body.Len() < 50 {
			t.Errorf("%s: %d, %s", m[1], w.Code, w.Header().Get("Cache-Control"))
		}
	}
	if w := b.Get("/assets/site.css"); w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("an address without hash must not be kept: %d %s", w.Code, w.Header().Get("Cache-Control"))
	}
	if w := b.Get("/assets/..%2fsite.go"); w.Code != 404 {
		t.Errorf("outside of the assets: %d", w.Code)
	}
	for _, m := range regexp.MustCompile(`(?i)https?://[^" )]+`).FindAllString(page, -1) {
		if !strings.HasPrefix(m, "http://www.w3.org/") {
			t.Errorf("REQ_B90: the page calls %s", m)
		}
	}
}

// What is committed is what the sources make.
func TestAssetsAreBuilt(t *testing.T) {
	made, err := bundle.Make("assets")
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 3 {
		t.Fatalf("%d files", len(made))
	}
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join("assets", "dist", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is older than its sources: run make assets", name)
		}
		if bytes.Contains(got, []byte("eval(")) || regexp.MustCompile(`https?://`).Match(bytes.ReplaceAll(got, []byte("http://www.w3.org/"), nil)) {
			t.Errorf("%s calls out", name)
		}
	}
}

func TestREQ_B33_QRCanBeRead(t *testing.T) {
	text := "otpauth://totp/Northline%20Supply:a.sample@northline.example?secret=NB2HI4DTHIXS65LOMFWGS3TFFZSXQYLN&issuer=Northline%20Supply"
	png, err := web.QR(text)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "qr.png")
	if err := os.WriteFile(path, png, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("zbarimg", "-q", "--raw", "--nodbus", path).Output() //nolint:gosec // our own file
	if err != nil || strings.TrimSpace(string(out)) != text {
		t.Errorf("zbarimg reads %q (%v)", out, err)
	}
	if _, err := web.QR(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text that fits no code was drawn")
	}
	w := httptest.NewRecorder()
	if err := web.WriteQR(w, text); err != nil || w.Header().Get("Content-Type") != "image/png" {
		t.Errorf("%v %s", err, w.Header().Get("Content-Type"))
	}
}

type nobody struct{}

func (nobody) Authenticate(context.Context, string, secret.Text) (login.Signed, error) {
	return login.Signed{}, fault.New(fault.Expired, "session-over")
}

// Who comes back to a session that ended is told so once; who never had one is simply asked to sign in.
func TestAnEndedSessionSaysSoOnce(t *testing.T) {
	site := web.New(web.Options{Realms: webtest.Realms{}, Keys: webtest.Keys{}, Clock: func() time.Time { return web.SampleTime }, Log: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	site.HandleSigned(mux, "GET /account", nobody{}, func(http.ResponseWriter, *http.Request, login.By) error { panic("let in") })
	site.Handle(mux, "GET /signin", func(w http.ResponseWriter, r *http.Request) error {
		return web.Pages.Entries()[0].ShowSample(w, r, "plain")
	})
	b := &webtest.Browser{Handler: site.Handler(mux), Cookies: map[string]string{}}
	visit := func() string {
		if to := b.Get("/account").Header().Get("Location"); to != "/signin?to=account" {
			t.Errorf("led to %q", to)
		}
		return b.Get("/signin").Body.String()
	}
	const words = "Your session is over"
	if strings.Contains(visit(), words) {
		t.Error("somebody who never had a session is told that it ended")
	}
	b.Cookies["__Host-session"] = "old"
	if !strings.Contains(visit(), words) {
		t.Error("an ended session does not say so")
	}
	if strings.Contains(visit(), words) {
		t.Error("an ended session says so again and again")
	}
}

// The gallery shows every realm's pages under one host: each must come with its own colors.
func TestTheGalleryShowsEachRealmInItsOwnBrand(t *testing.T) {
	b := &webtest.Browser{Handler: door(t, &bytes.Buffer{})}
	hue := map[string]string{"shop": "--hue:187;", "wealth": "--hue:262;"}
	for _, realm := range []string{"shop", "wealth"} {
		page := b.Get("/dev/pages/web/language/plain?realm=" + realm).Body.String()
		m := regexp.MustCompile(`href="(/brand/[0-9a-f]+\.css)"`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("%s: no brand sheet in\n%s", realm, page)
		}
		if css := b.Get(m[1]).Body.String(); !strings.Contains(css, hue[realm]) {
			t.Errorf("%s: the page wears %s", realm, css)
		}
	}
	if css := b.Get("/brand/0123456789abcdef.css"); !strings.Contains(css.Body.String(), hue["shop"]) || css.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("a brand of another node: %q, %s", css.Header().Get("Cache-Control"), css.Body)
	}
}

// Redirects say where to, whatever the path holds, and never more than a path of this host.
func TestSEC_F4_TRED_RedirectsStayOnTheHost(t *testing.T) {
	for path, want := range map[string]string{
		"/account": "/account", "/signin?to=request:1": "/signin?to=request:1", "/a//b": "/a/b", "/a/../b": "/b", "/a?x=//y": "/a?x=//y",
		"/é": "/%c3%a9", "//evil.example": "", "/\\evil.example": "", "https://evil.example": "", "/a\nb": "",
	} {
		w := httptest.NewRecorder()
		err := web.Redirect(w, httptest.NewRequest(http.MethodGet, "/", nil), path)
		if want == "" {
			if err == nil || w.Header().Get("Location") != "" {
				t.Errorf("%q leads to %q", path, w.Header().Get("Location"))
			}
		} else if err != nil || w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Errorf("%q leads to %q (%d, %v)", path, w.Header().Get("Location"), w.Code, err)
		}
	}
}
