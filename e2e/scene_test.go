package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/web/catalog"
)

// scene is a demo in which everybody speaks one language, and what the journeys of people who need help share. A journey
// changes what its people hold, so each has a demo of its own; the browser is one for all.
type scene struct {
	t     *testing.T
	d     *demo
	b     *browser
	lang  string
	shop  string          // address of the realm
	realm string          // which; the shop where nothing is said
	all   *sync.Map       // names of the pages that were looked at, by whichever journey
	said  map[string]bool // addresses of those who chose the language; the others of the demo read English
}

// stages are the demos of a run, and a browser that trusts them all.
func stages(t *testing.T, n int) ([]*demo, *browser) {
	t.Helper()
	demos, begun := make([]*demo, n), make(chan int)
	for i := range demos {
		go func() {
			defer func() { begun <- i }()
			demos[i] = startDemo(t)
		}()
	}
	for range demos {
		<-begun
	}
	var roots []string
	for _, d := range demos {
		if d == nil {
			t.Fatal("a demo did not start")
		}
		roots = append(roots, d.path(d.CAFile))
	}
	return demos, openBrowser(t, roots...)
}

// step is one named step of a journey; after one that failed there is no next.
func (s *scene) step(name string, f func(t *testing.T), who ...*hands) {
	s.t.Helper()
	if s.t.Failed() {
		s.t.FailNow()
	}
	s.t.Run(name, func(t *testing.T) {
		for _, h := range who {
			h.t = t
		}
		f(t)
	})
}

// T are the words of a page in the language of the scene. pairs are placeholders and what they stand for.
func (s *scene) T(key string, pairs ...string) string {
	s.t.Helper()
	text, ok := catalog.Find(s.lang, key, 1)
	if !ok {
		s.t.Fatalf("the catalogue has no %s", key)
	}
	return catalog.Fill(text, func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	})
}

// says fails unless a page says something in the words of the scene.
func (s *scene) says(h *hands, key string, pairs ...string) {
	h.t.Helper()
	want := s.T(key, pairs...)
	if !strings.Contains(unspaced(h.text("main")), unspaced(want)) {
		h.keep("failed")
		h.t.Fatalf("%s does not say %q: %s", h.address(), want, h.text("main"))
	}
}

// unspaced folds white space, that of narrow and of wide blanks too.
func unspaced(s string) string { return strings.Join(strings.Fields(s), " ") }

// look does what is owed to every page: axe finds nothing, nothing is cut off at 320 px, and it speaks the scene's language.
// A page is looked at once in a run, and in every language and with pictures where those are asked for.
func (s *scene) look(h *hands, name string) {
	h.t.Helper()
	if lang := eval[string](h.tab, "document.documentElement.lang"); lang != s.lang {
		h.t.Errorf("%s is in %q, not %q", name, lang, s.lang)
	}
	if _, seen := s.all.LoadOrStore(name, true); seen && !pictures() {
		return
	}
	h.axe(name)
	if pictures() {
		for _, scheme := range []string{"light", "dark"} {
			h.screen(1440, 900, scheme)
			h.keep(name + "-" + s.lang + "-1440-" + scheme)
			h.screen(320, 640, scheme)
			h.keep(name + "-" + s.lang + "-320-" + scheme)
		}
	}
	h.screen(320, 640, "dark")
	if wide := eval[int](h.tab, "document.documentElement.scrollWidth"); wide > 320 {
		h.keep("failed")
		h.t.Errorf("%s is %d px wide on a screen of 320", name, wide)
	}
	h.screen(1440, 900, "light")
}

// letter waits for the nth mail of a template to somebody. It tells templates by their subject.
func (s *scene) letter(t testing.TB, to person, template string, n int) letter {
	t.Helper()
	lang := "en"
	if s.said[to.Email] {
		lang = s.lang
	}
	subject := mailWords(t, lang, template+".subject")
	var found []letter
	within(t, fmt.Sprintf("mail %d of %s to %s", n, template, to.Email), func() bool {
		found = slices.DeleteFunc(s.d.to(t, to.Email), func(l letter) bool { return !subject.MatchString(l.Subject) })
		return len(found) >= n
	})
	return found[n-1]
}

// mailWords matches a text of the mails, whatever stands for its placeholders.
func mailWords(t testing.TB, lang, key string) *regexp.Regexp {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("..", "internal", "mail", "catalog", lang+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var words map[string]string
	if err := json.Unmarshal(src, &words); err != nil || words[key] == "" {
		t.Fatalf("no words for %s: %v", key, err)
	}
	return regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(words[key]), ".*") + "$")
}

// to is the link of a mail that leads to a path.
func (l letter) to(t testing.TB, path string) string {
	t.Helper()
	for _, found := range links.FindAllString(l.Text, -1) {
		if u, err := url.Parse(strings.TrimRight(found, ".,)")); err == nil && strings.HasPrefix(u.Path, path) {
			return u.String()
		}
	}
	t.Fatalf("no link to %s in the mail %q:\n%s", path, l.Subject, l.Text)
	return ""
}

// person is somebody of the realm.
func (s *scene) person(role string) person {
	return s.d.person(s.t, cmp.Or(s.realm, "shop"), role, "active")
}

// comes is somebody at a browser of their own, on a day before anything was lost: they sign in and make the pages speak
// their language.
func (s *scene) comes(who person, keys bool) (*hands, *authenticator) {
	s.t.Helper()
	h := withHands(s.b.person(s.t, s.lang), keys)
	app := &authenticator{t: s.t, secret: who.TOTP}
	h.signIn(s.shop, who.Email, who.Password, app)
	h.open(s.shop + "/account/preferences")
	if s.lang != "en" {
		h.choose("#language", s.lang)
		h.press(`form[action="/account/settings"] button`)
	}
	s.look(h, "account-preferences")
	s.said[who.Email] = true
	return h, app
}

// answer goes on from the link of a mail: whatever the pages ask, until the address begins with back. It sets up a new
// authenticator where a page wants one, and returns it.
func (s *scene) answer(h *hands, who person, back string) *authenticator {
	h.t.Helper()
	var fresh *authenticator
	for range 12 {
		switch {
		case strings.HasPrefix(h.address(), back):
			return fresh
		case h.has("#totp-qr"):
			s.look(h, "again-connect")
			found := h.scan()
			if len(found) != 1 {
				h.t.Fatalf("%d codes on the page: %q", len(found), found)
			}
			u, err := url.Parse(found[0])
			if err != nil {
				h.t.Fatal(err)
			}
			fresh = &authenticator{t: h.t, secret: u.Query().Get("secret")}
			h.write("#code", fresh.code())
			h.press(`form[action$="/prove"] button.btn`)
		case h.has("input[name=authenticator]"):
			s.look(h, "again-choose")
			h.mark("input[name=authenticator][value=google]")
			h.press(`form[action$="/choose"] button.btn`)
		case h.has(`main form[method=get] button.btn`):
			s.look(h, "again-app")
			h.press(`main form[method=get] button.btn`)
		case h.has(`input[name=password]`):
			s.look(h, "again-password")
			h.write("#password", who.Password)
			h.press(`form[action$="/prove"] button.btn`)
		case h.has(`input[autocomplete~="one-time-code"]`):
			s.look(h, "again-code")
			if fresh == nil {
				h.t.Fatalf("a code of what was lost is asked for at %s: %s", h.address(), h.text("main"))
			}
			h.write("#code", fresh.code())
			h.press(`form[action$="/prove"] button.btn`)
		default:
			s.look(h, "link-recovery")
			h.press(`main form[method=post] button.btn`)
		}
		if wrong := h.text("#error-summary"); wrong != "" {
			h.keep("failed")
			h.t.Fatalf("refused at %s (%s): %s", h.address(), time.Now(), wrong)
		}
	}
	h.keep("failed")
	h.t.Fatalf("twelve steps, and still at %s (%s)", h.address(), h.title())
	return nil
}

// find opens the page of a person in the console, by searching for them.
func (s *scene) find(h *hands, who person) {
	h.t.Helper()
	h.open(s.shop + "/console/people")
	h.write("#q", who.Name)
	h.press("form.filters button")
	s.look(h, "console-people")
	h.press("table a.who")
	h.at("/console/people/")
}

// lost fills in the form that opens a request about somebody's authenticator, from their page.
func (s *scene) lost(h *hands, what, reason string) {
	h.t.Helper()
	s.look(h, "console-reset")
	h.mark(`input[name=kinds][value="` + what + `"]`)
	h.write("#reason", reason)
	h.mark("input[name=channel][value=phone]")
	h.press(`form[action$="/reset"] button.btn:not(.btn--quiet)`)
	h.at("/console/requests/")
}

// checks notes how one check of the list went.
func (s *scene) checks(h *hands, rule, result, note string) {
	h.t.Helper()
	h.mark(`#result-` + rule + ` input[value=` + result + `]`)
	h.write("#note-"+rule, note)
	h.press(`form:has(#result-` + rule + `) button`)
}
