package web_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorward/internal/web"
	"doorward/internal/web/webtest"
)

var (
	agentWords = regexp.MustCompile(`^[A-Za-z ]{0,24}( on [A-Za-z]{1,8})?$`)
	digits     = regexp.MustCompile(`^[0-9]{0,8}$`)
)

// What a browser says it is never becomes a sentence of the writer's choice.
func FuzzParseAgent(f *testing.F) {
	for _, s := range []string{
		"", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
		"Your account is locked, call +1 900 555/1.0", "Firefox/<b>.1", "Mozilla/5.0 (X11; CrOS x86_64) Chrome/140.0 Safari/537.36 Teams/2", "((((((;;;;", "Firefox/\xff\xfe.0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		a := web.ParseAgent(header)
		if s := a.String(); !agentWords.MatchString(s) {
			t.Errorf("%q is shown as %q", header, s)
		}
		if !digits.MatchString(a.Version) {
			t.Errorf("%q has version %q", header, a.Version)
		}
		if a.System != "" && !slices.Contains([]string{"Windows", "macOS", "iOS", "iPadOS", "Android", "Linux", "ChromeOS"}, a.System) {
			t.Errorf("%q runs on %q", header, a.System)
		}
	})
}

// Whatever stands in the headers and cookies that a page reads: it is drawn, in a language of the realm, and says nothing
// that our words do not say.
func FuzzRequestHeaders(f *testing.F) {
	h := door(f, &bytes.Buffer{})
	real := &webtest.Browser{Handler: h}
	real.Post("/save", map[string][]string{"name": {"noon"}})
	flash := real.Cookies["__Host-flash"]
	if flash == "" {
		f.Fatal("no flash to change")
	}
	f.Add("de-CH, fr;q=0.8", "en", flash)
	f.Add("*;q=0", "xx", flash+"x")
	f.Add(strings.Repeat("a-", 300), "../de", "eyJLZXkiOiJiYXNlLmxlZnQifQ.AAAA")
	f.Add("de;q=NaN", "\"", ".")
	f.Fuzz(func(t *testing.T, accept, chosen, note string) {
		r := httptest.NewRequest("GET", "https://"+webtest.Shop.Host+"/language", nil)
		r.Header["Accept"] = []string{"text/html"}
		r.Header["Accept-Language"] = []string{accept}
		r.Header["Cookie"] = []string{"__Host-language=" + chosen + "; __Host-flash=" + note} // as it comes, not as we would write it
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		page := w.Body.String()
		if w.Code != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(page), "</html>") {
			t.Fatalf("%d: %.200s", w.Code, page)
		}
		if said := strings.Contains(page, "noon"); said && note != flash && !strings.Contains(chosen, flash) && strings.Trim(note, "\" \t") != flash {
			t.Errorf("a flash that we did not write is shown: %q", note)
		}
		lang := regexp.MustCompile(`<html[^>]* lang="?([a-z]+)`).FindStringSubmatch(page)
		if lang == nil || !slices.Contains(webtest.Shop.Languages, lang[1]) {
			t.Errorf("in %v", lang)
		}
	})
}
