package help

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/web"
	"doorward/internal/web/catalog"
	"doorward/internal/web/webtest"
)

func TestPages(t *testing.T) { webtest.Pages(t, Pages) }

const (
	firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
	safari  = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15"
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)

func door(lang, agent string) *webtest.Browser {
	site := webtest.NewSite(Pages)
	mux := http.NewServeMux()
	site.Mount(mux)
	New(site).Mount(mux)
	return &webtest.Browser{Handler: site.Handler(mux), Lang: lang, Agent: agent}
}

// shape is what must be the same in all languages.
type shape struct {
	Group, Version, Needs, Icon string
	Also                        []string
	Steps                       bool
	Blocks                      []string
	Links, Holders              []string
}

var (
	target = regexp.MustCompile(`\]\(([^)]+)\)`)
	holder = regexp.MustCompile(`\{[a-z]+\}`)
)

func shapeOf(t *testing.T, lang string, a *article) shape {
	s := shape{Group: a.Group, Version: a.Version, Needs: a.Needs, Icon: a.Icon, Also: a.Also, Steps: a.Steps}
	raw, err := contentFiles.ReadFile("content/" + lang + "/" + a.Slug + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(raw), "\n---\n")
	for _, m := range target.FindAllStringSubmatch(body, -1) {
		s.Links = append(s.Links, m[1])
	}
	s.Holders = holder.FindAllString(body, -1)
	slices.Sort(s.Links)
	slices.Sort(s.Holders)
	for _, sec := range a.Sections {
		s.Blocks = append(s.Blocks, "section "+sec.System)
		for _, b := range sec.Blocks {
			kind := b.Kind
			if b.Kind == "figure" {
				kind += " " + b.Text
				if len(b.Alt) < 20 || b.Alt == b.Caption {
					t.Errorf("REQ_B78: %s/%s: the figure %s has no text for people who do not see it", lang, a.Slug, b.Text)
				}
			}
			for range b.Items {
				kind += " -"
			}
			s.Blocks = append(s.Blocks, kind)
		}
	}
	return s
}

// Every language has the same articles, and they say the same things in the same places.
func TestREQ_B3_ArticlesInAllLanguages(t *testing.T) {
	en, err := load("en")
	if err != nil {
		t.Fatal(err)
	}
	if len(en.sorted) < 20 {
		t.Fatalf("only %d articles", len(en.sorted))
	}
	for _, lang := range catalog.Languages {
		l, err := load(lang)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.sorted) != len(en.sorted) {
			t.Errorf("%s has %d articles, English %d", lang, len(l.sorted), len(en.sorted))
		}
		for _, want := range en.sorted {
			got := l.all[want.Slug]
			if got == nil {
				t.Errorf("%s lacks %s", lang, want.Slug)
				continue
			}
			if a, b := shapeOf(t, lang, got), shapeOf(t, "en", want); !reflect.DeepEqual(a, b) {
				t.Errorf("%s/%s differs from English:\n%+v\n%+v", lang, want.Slug, a, b)
			}
			if lang != "en" && (got.Title == want.Title || got.Lead == want.Lead) {
				t.Errorf("%s/%s is not translated", lang, want.Slug)
			}
		}
	}
}

func TestREQ_B79_ArticlesAreWrittenAsTheLanguageIs(t *testing.T) {
	wrong := map[string]*regexp.Regexp{
		"en": regexp.MustCompile(`["']`), "de": regexp.MustCompile(`["']|ß|\b[Dd]u\b|“|„`), "fr": regexp.MustCompile(`["']|\b[Tt]u\b|“|[^ \n][?!;»]\s|«[^ ]`), "it": regexp.MustCompile(`["']|\b[Tt]uo\b|“`),
	}
	for _, lang := range catalog.Languages {
		files, err := contentFiles.ReadDir("content/" + lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := contentFiles.ReadFile("content/" + lang + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			if found := wrong[lang].FindString(string(b)); found != "" {
				t.Errorf("%s/%s: %q", lang, f.Name(), found)
			}
		}
		l, err := load(lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range l.sorted {
			texts := []string{a.Lead}
			for _, sec := range a.Sections {
				for _, b := range sec.Blocks {
					texts = append(append(texts, b.Text, b.Alt, b.Caption), b.Items...)
				}
			}
			for _, text := range texts {
				for _, sentence := range regexp.MustCompile(`[.!?:;]\s`).Split(text, -1) {
					if n := len(strings.Fields(sentence)); n > 28 {
						t.Errorf("%s/%s: a sentence of %d words: %q", lang, a.Slug, n, sentence)
					}
				}
			}
		}
	}
}

var hrefs = regexp.MustCompile(`href="(/[^"#?]*)`)

// No link of the help leads nowhere, in any language and for both realms.
func TestLinksLeadSomewhere(t *testing.T) {
	elsewhere := regexp.MustCompile(`^/$|^/(signin|account|language|assets|brand)(/|$)`)
	for _, lang := range catalog.Languages {
		b := door(lang, firefox)
		queue, seen := []string{"/help"}, map[string]bool{"/help": true}
		for len(queue) > 0 {
			path := queue[0]
			queue = queue[1:]
			w := b.Get(path)
			if w.Code != 200 {
				t.Errorf("%s: %s answers %d", lang, path, w.Code)
			}
			for _, m := range hrefs.FindAllStringSubmatch(w.Body.String(), -1) {
				if !seen[m[1]] && !elsewhere.MatchString(m[1]) {
					seen[m[1]] = true
					queue = append(queue, m[1])
				}
			}
			if left := regexp.MustCompile(`>[^<]*(\{[a-z]+\}|\*\*|\]\()`).FindString(w.Body.String()); left != "" {
				t.Errorf("%s: %s shows %q", lang, path, left)
			}
			if n := strings.Count(w.Body.String(), "<figure class=\"qr"); n > 1 {
				t.Errorf("REQ_B12: %s shows %d QR codes", path, n)
			}
		}
		if len(seen) < 25 {
			t.Errorf("%s: the walk saw only %d pages", lang, len(seen))
		}
	}
}

func TestREQ_B1_SearchWithoutScript(t *testing.T) {
	for _, c := range []struct{ lang, query, want string }{
		{"en", "clock", "clock"}, {"en", "lost phone", "lost-phone"}, {"en", "forgot password", "password"}, {"en", "who is my administrator?", "administrator"},
		{"de", "verloren", "lost-phone"}, {"de", "gerat", "clock"}, {"de", "GERÄT", "clock"}, {"fr", "oublie", "password"}, {"fr", "sans telephone", "no-smartphone"},
		{"it", "gia usato", "used-code"}, {"it", "orologio", "clock"}, {"de", "Code schon benutzt", "used-code"},
	} {
		page := door(c.lang, firefox).Get("/help?q=" + strings.ReplaceAll(c.query, " ", "+")).Body.String()
		if !strings.Contains(page, `href="/help/`+c.want+`"`) {
			t.Errorf("%s: %q does not find %s", c.lang, c.query, c.want)
		}
	}
	page := door("en", "").Get("/help?q=%3Cscript%3Ealert(1)%3C/script%3E").Body.String()
	if strings.Contains(page, "<script>alert") || !strings.Contains(page, "We found nothing") {
		t.Error("a query comes back as it was, or finds something")
	}
	if w := door("en", "").Get("/help?q=" + strings.Repeat("a%20", 3000)); w.Code != 200 {
		t.Errorf("a long query: %d", w.Code)
	}
	if got := libraries["en"]().search("clock"); len(got) == 0 || got[0].Slug != "clock" {
		t.Error("the article about the clock is not the first for its own word")
	}
}

func FuzzSearch(f *testing.F) {
	f.Add("clock é 李 \xff")
	f.Fuzz(func(t *testing.T, q string) {
		for _, a := range libraries["de"]().search(q) {
			if a == nil {
				t.Fatal("found nothing as something")
			}
		}
	})
}

func TestREQ_B8_GuideForExactlyThatApp(t *testing.T) {
	b := door("en", firefox)
	page := b.Get("/help/authenticator/microsoft").Body.String()
	for _, want := range []string{"Set up Microsoft Authenticator", `src="/help/authenticator/microsoft/ios/qr.png"`, "Get the app", "apps.apple.com", "?on=android"} {
		if !strings.Contains(page, want) {
			t.Errorf("the guide lacks %q", want)
		}
	}
	if strings.Contains(page, "Connect your account") {
		t.Error("REQ_B12: the guide speaks of the secret's code")
	}
	if page := b.Get("/help/authenticator/microsoft?on=android").Body.String(); !strings.Contains(page, `src="/help/authenticator/microsoft/android/qr.png"`) {
		t.Error("the other platform cannot be chosen")
	}
	b.Agent = iphone
	if page := b.Get("/help/authenticator/google").Body.String(); strings.Contains(page, "qr.png") || !strings.Contains(page, `href="https://apps.apple.com/app/id388497605"`) {
		t.Error("on a phone a link opens the store, and a code cannot be scanned")
	}
	if w := b.Get("/help/authenticator/none"); w.Code != 404 {
		t.Errorf("an unknown app: %d", w.Code)
	}
}

func TestREQ_B9_StoreCodeLeadsToTheStore(t *testing.T) {
	w := door("en", firefox).Get("/help/authenticator/google/android/qr.png")
	path := filepath.Join(t.TempDir(), "qr.png")
	if err := os.WriteFile(path, w.Body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("zbarimg", "-q", "--raw", "--nodbus", path).Output() //nolint:gosec // our own file
	if want := webtest.Shop.Apps[1].Stores["android"]; err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("zbarimg reads %q (%v), want %q", out, err, want)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "image/png" {
		t.Errorf("%v", w.Header())
	}
	if w := door("en", firefox).Get("/help/authenticator/google/amiga/qr.png"); w.Code != 404 {
		t.Errorf("an unknown store: %d", w.Code)
	}
}

func TestREQ_B30_NoExtensionInSafari(t *testing.T) {
	page := door("en", safari).Get("/help/authenticator/extension").Body.String()
	if !strings.Contains(page, "do not offer it for Safari") || !strings.Contains(page, "/help/no-smartphone") {
		t.Error("Safari is not told why, or not where else to go")
	}
	page = door("en", firefox).Get("/help/authenticator/extension").Body.String()
	if strings.Contains(page, "Not for Safari") || !strings.Contains(page, "addons.mozilla.org/firefox") {
		t.Error("Firefox is told about Safari, or does not get its own store")
	}
	for id, want := range map[string]string{"REQ_B31": "Pin to Toolbar", "REQ_B36": "A click on the code copies it"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s: the guide lacks %q", id, want)
		}
	}
}

func TestREQ_B53_ClockPage(t *testing.T) {
	b := door("de", iphone)
	page := b.Get("/help/clock").Body.String()
	for _, want := range []string{`id="server-time">10:14:00<`, `data-server-time="/help/clock/now"`, `id="ios" open`, `id="windows">`, "iPhone", "Android", "Windows", "Mac"} {
		if !strings.Contains(page, want) {
			t.Errorf("the clock page lacks %q", want)
		}
	}
	w := b.Get("/help/clock/now")
	var now struct{ Now int64 }
	if err := json.Unmarshal(w.Body.Bytes(), &now); err != nil || now.Now != web.SampleTime.UnixMilli() || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", w.Body, err)
	}
}

// The guides to certificates are for each system and browser, and open at the part for this one.
func TestREQ_A9_A10_A50b_GuidesToCertificates(t *testing.T) {
	for agent, open := range map[string]string{firefox: "windows", safari: "macos", iphone: "ios"} {
		for _, slug := range []string{"certificate", "certificate-remove"} {
			page := door("de", agent).Get("/help/" + slug).Body.String()
			for _, system := range []string{"windows", "macos", "linux", "ios", "android"} {
				part := `id="` + system + `">`
				if system == open {
					part = `id="` + system + `" open>`
				}
				if !strings.Contains(page, part) {
					t.Errorf("%s for %s lacks %s", slug, open, part)
				}
			}
			if !strings.Contains(page, `<ol class="numbers"><li>`) || !strings.Contains(page, "data-print") {
				t.Errorf("%s has no numbered steps, or cannot be printed", slug)
			}
			if slug == "certificate" && strings.Count(page, "<figure>") != 3 {
				t.Errorf("%s has %d drawings", slug, strings.Count(page, "<figure>"))
			}
		}
	}
	if find("en", "certificate", &directory.Realm{Policy: "login password + totp"}) != nil {
		t.Error("a realm without certificates explains them")
	}
}

func TestREQ_B74_WellKnown(t *testing.T) {
	b := door("en", "")
	if w := b.Get("/.well-known/change-password"); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/account/security") {
		t.Errorf("change-password: %d %s", w.Code, w.Header().Get("Location"))
	}
	text := b.Get("/.well-known/security.txt").Body.String()
	for _, want := range []string{"Contact: mailto:help@northline.example\n", "Expires: 2027-05-21T00:00:00Z\n", "Preferred-Languages: en, de, fr, it\n", "Canonical: https://shop.test/.well-known/security.txt\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("RFC 9116: security.txt lacks %q:\n%s", want, text)
		}
	}
}

func TestRealmsSeeOnlyWhatTheyUse(t *testing.T) {
	realm := *webtest.Wealth
	realm.Policy = "policy wealth\n  members\n    login cert + password + phone\n"
	for slug, want := range map[string]bool{"recovery-codes": false, "passkey": false, "code": false, "password": true, "not-me": true} {
		if got := find("en", slug, &realm) != nil; got != want {
			t.Errorf("%s: %v, want %v", slug, got, want)
		}
	}
	if find("en", "passkey", &directory.Realm{Policy: "login passkey"}) == nil {
		t.Error("a realm with passkeys does not explain them")
	}
}

func TestBrokenArticlesAreRefused(t *testing.T) {
	good := "title: T\nlead: L\ngroup: start\nicon: key\nversion: 1\n---\ntext\n"
	if _, err := parseArticle("x", good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "---", strings.Replace(good, "title: T\n", "", 1), strings.Replace(good, "start", "nowhere", 1), strings.Replace(good, "icon: key", "icno: key", 1),
		strings.Replace(good, "text", "figure none | a | b", 1), strings.Replace(good, "text", "figure switch | a", 1), strings.Replace(good, "text", "1. one\n3. three", 1), strings.Replace(good, "\ntext\n", "\n\n", 1)} {
		if _, err := parseArticle("x", bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestFiguresAreDrawings(t *testing.T) {
	files, err := figureFiles.ReadDir("figure")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d figures, %v", len(files), err)
	}
	for _, f := range files {
		b, err := figureFiles.ReadFile("figure/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("style")) || bytes.Contains(b, []byte("href")) || bytes.Contains(b, []byte("<script")) || !bytes.HasPrefix(b, []byte("<svg ")) {
			t.Errorf("%s holds more than a drawing", f.Name())
		}
	}
}
