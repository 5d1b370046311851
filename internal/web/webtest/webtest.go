// Package webtest helps the tests of pages: a site with two realms as people know them from the samples, requests as
// they arrive behind the site, and the checks that every set of pages owes (see the rules of package web).
package webtest

import (
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/web"
	"doorward/internal/web/catalog"
)

// Shop and Wealth are the realms of the samples.
var (
	Shop = &directory.Realm{
		ID: "shop", Name: "Northline Supply", Host: "shop.test", Origin: "https://shop.test", Languages: catalog.Languages, Zone: "Europe/Zurich", Operator: "Northline Supply",
		Brand: directory.Brand{Hue: 187, Chroma: .082, Paper: 200, Tint: .006, Panel: .44, Round: 1.8, Heading: "sans", Motif: "north"},
		Desk: directory.Desk{Phone: "+41 61 555 02 00", Mail: "help@northline.example", Place: "Northline Supply, 4000 Basel",
			Hours: directory.Localized{"en": "Mon–Fri 07:30–17:00 (Basel)", "de": "Mo–Fr 07:30–17:00 (Basel)", "fr": "lu–ve 07:30–17:00 (Bâle)", "it": "lu–ve 07:30–17:00 (Basilea)"}},
		Apps: []directory.App{
			{ID: "microsoft", Name: "Microsoft Authenticator", Kind: "app", Recommended: true, Version: "1",
				Stores: map[string]string{"ios": "https://apps.apple.com/app/id983156458", "android": "https://play.google.com/store/apps/details?id=com.azure.authenticator"}},
			{ID: "google", Name: "Google Authenticator", Kind: "app", Version: "1",
				Stores: map[string]string{"ios": "https://apps.apple.com/app/id388497605", "android": "https://play.google.com/store/apps/details?id=com.google.android.apps.authenticator2"}},
			{ID: "extension", Name: "Authenticator", Kind: "extension", Version: "1",
				Stores: map[string]string{"chrome": "https://chromewebstore.google.com/detail/authenticator/bhghoamapcdpbohphigoooaddinpkbai", "firefox": "https://addons.mozilla.org/firefox/addon/auth-helper/", "edge": "https://microsoftedge.microsoft.com/addons/detail/ocglkepbibnalbgmbachknglpdipeoio"}},
		},
		Manager: directory.Localized{"en": "Bitwarden or 1Password", "de": "Bitwarden oder 1Password", "fr": "Bitwarden ou 1Password", "it": "Bitwarden o 1Password"}, Version: 1,
	}
	Wealth = &directory.Realm{
		ID: "wealth", Name: "Meridian Portal", Host: "wealth.test", Origin: "https://wealth.test", Languages: catalog.Languages, Zone: "Europe/Zurich", Operator: "Meridian",
		Brand: directory.Brand{Hue: 262, Chroma: .085, Paper: 84, Tint: .009, Panel: .275, Round: 1, Heading: "serif", Motif: "meridian"},
		Desk: directory.Desk{Phone: "+41 44 555 01 00", Mail: "desk@meridian.example", Place: "Meridian, 8001 Zürich",
			Hours: directory.Localized{"en": "Mon–Fri 08:00–18:00 (Zurich)", "de": "Mo–Fr 08:00–18:00 (Zürich)", "fr": "lu–ve 08:00–18:00 (Zurich)", "it": "lu–ve 08:00–18:00 (Zurigo)"}},
		Version: 1,
	}
)

// Realms answers for Shop and Wealth.
type Realms struct{}

// ByHost implements web.Realms.
func (Realms) ByHost(host string) (*directory.Realm, bool) {
	for _, r := range (Realms{}).All() {
		if r.Host == host {
			return r, true
		}
	}
	return nil, false
}

// All implements web.Realms.
func (Realms) All() []*directory.Realm { return []*directory.Realm{Shop, Wealth} }

// Keys is a web.Keys for tests.
type Keys struct{}

// Hash implements web.Keys.
func (Keys) Hash(purpose, secret string) []byte {
	h := sha256.Sum256([]byte("test\x00" + purpose + "\x00" + secret))
	return h[:]
}

// NewSite makes a site at web.SampleTime that logs nowhere.
func NewSite(sets ...*web.Set) *web.Site {
	return web.New(web.Options{Realms: Realms{}, Keys: Keys{}, Clock: func() time.Time { return web.SampleTime },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Dev: true}, sets...)
}

// Browser keeps cookies over requests to one handler and follows nothing by itself.
type Browser struct {
	Handler http.Handler
	Host    string
	Lang    string
	Agent   string
	Cookies map[string]string
}

// Get asks for a path.
func (b *Browser) Get(path string) *httptest.ResponseRecorder { return b.Do(http.MethodGet, path, nil) }

// Post sends a form as a browser does from our own page.
func (b *Browser) Post(path string, form url.Values) *httptest.ResponseRecorder {
	return b.Do(http.MethodPost, path, form)
}

// Do sends a request and keeps the cookies of the answer.
func (b *Browser) Do(method, path string, form url.Values) *httptest.ResponseRecorder {
	host := b.Host
	if host == "" {
		host = Shop.Host
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, "https://"+host+path, body)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", b.Lang)
	r.Header.Set("User-Agent", b.Agent)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range b.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.Handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.Cookies == nil {
			b.Cookies = map[string]string{}
		}
		if c.MaxAge < 0 {
			delete(b.Cookies, c.Name)
			continue
		}
		b.Cookies[c.Name] = c.Value
	}
	return w
}

// marks of a page that went wrong without an error: an unknown key, an unfilled placeholder, a refused address or value.
var broken = regexp.MustCompile(`⟦[^⟧]*⟧|>[^<]*\{[a-z]+\}[^<]*<|ZgotmplZ|&lt;nil&gt;|%!|style="|<script>|on(click|load|submit)=`)

// english is how browsers are kept, which pages write as their reader does (View.On).
var english = regexp.MustCompile(`(Firefox|Chrome|Safari|Edge) on (Windows|macOS|Linux|iOS|iPadOS|Android)`)

// Pages runs what every set owes: each template fits its struct in all branches, and each sample is drawn in all
// languages and both realms without a missing word.
func Pages(t *testing.T, set *web.Set) {
	t.Helper()
	if len(set.Entries()) == 0 {
		t.Fatal("the set has no pages: nothing would be tested")
	}
	site := NewSite(set)
	mux := http.NewServeMux()
	site.Mount(mux)
	for _, e := range set.Entries() {
		for _, err := range e.Check() {
			t.Error(err)
		}
		for _, sample := range e.Samples() {
			for _, realm := range (Realms{}).All() {
				for _, lang := range catalog.Languages {
					b := &Browser{Handler: site.Handler(mux), Host: realm.Host}
					w := b.Get("/dev/pages/" + set.Name + "/" + e.Name() + "/" + url.PathEscape(sample) + "?lang=" + lang)
					page := w.Body.String()
					if !strings.Contains(page, "</html>") || strings.Contains(page, `id="reference"`) && e.Name() != "error" {
						t.Errorf("%s/%s %q in %s: not drawn (status %d)", set.Name, e.Name(), sample, lang, w.Code)
					}
					for _, m := range broken.FindAllString(page, -1) {
						t.Errorf("%s/%s %q in %s: %s", set.Name, e.Name(), sample, lang, m)
					}
					if m := english.FindString(page); m != "" && lang != "en" && e.Name() != "connect" { // there it is what the person typed
						t.Errorf("%s/%s %q in %s: %s", set.Name, e.Name(), sample, lang, m)
					}
					if n := strings.Count(page, "<h1"); n != 1 {
						t.Errorf("%s/%s %q: %d h1", set.Name, e.Name(), sample, n)
					}
					for _, id := range repeated(page) {
						t.Errorf("%s/%s %q: id %q twice", set.Name, e.Name(), sample, id)
					}
					if n := strings.Count(page, `class="qr`); n > 1 {
						t.Errorf("%s/%s %q: %d QR codes", set.Name, e.Name(), sample, n)
					}
				}
			}
		}
	}
}

var ids = regexp.MustCompile(` id="([^"]*)"`)

func repeated(page string) []string {
	seen, twice := map[string]bool{}, []string(nil)
	for _, m := range ids.FindAllStringSubmatch(page, -1) {
		if seen[m[1]] {
			twice = append(twice, m[1])
		}
		seen[m[1]] = true
	}
	return twice
}
