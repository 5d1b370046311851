package mail

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"doorward/internal/directory"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	now   = time.Date(2026, 11, 21, 9, 15, 0, 0, time.UTC)
	shop  = realm("shop", "Northline Supply", "shop.northline.example", directory.Brand{Hue: 187, Chroma: .082, Paper: 200, Tint: .006, Panel: .44, Round: 1.8, Heading: "sans"})
	wealt = realm("wealth", "Meridian Portal", "login.meridian.example", directory.Brand{Hue: 262, Chroma: .085, Paper: 84, Tint: .009, Panel: .275, Round: 1, Heading: "serif"})
)

func realm(id, name, host string, b directory.Brand) directory.Realm {
	return directory.Realm{
		ID: id, Name: name, Host: host, Origin: "https://" + host, Languages: []string{"en", "de", "fr", "it"}, Zone: "Europe/Zurich", Brand: b,
		Desk: directory.Desk{Phone: "+41 44 555 01 00", Mail: "desk@" + host, Place: "1 Sample Street, 8000 Zurich",
			Hours: directory.Localized{"en": "Mon to Fri, 8 to 18", "de": "Mo bis Fr, 8 bis 18 Uhr", "fr": "lu à ve, 8 h à 18 h", "it": "lun–ven, 8–18"}},
		Terms: directory.Terms{Version: "2026-01", Text: directory.Localized{
			"en": "# Scope\nThese terms hold for the portal.\n\n# Changes\nWe announce changes.", "de": "# Geltung\nDiese Bedingungen gelten für das Portal.",
			"fr": "# Portée\nCes conditions valent pour le portail.", "it": "# Ambito\nQueste condizioni valgono per il portale."}},
	}
}

var ada = directory.Person{ID: "p1", Realm: "shop", Name: "Ada Sample", Address: "ada@customer.example", Language: "en"}

// message is a complete one of a template.
func message(r directory.Realm, template, lang string) Message {
	return Message{
		ID: "018f2b7c-0000-7000-8000-000000000001", Realm: r.ID, Person: "p1", To: "ada@customer.example", Template: template, Language: lang,
		Created: now.Add(-time.Minute),
		Args: map[string]string{
			"link": r.Origin + "/link/set-up/7ZK2M4Q9XT1B3C5D7E9F0G2H4J", "code": "7ZK2-M4Q9-XT1B3-C5D7-E9F0-G2H4J", "expires": "2026-11-28T09:14:00Z",
			"inviter": "Ben Example", "who": "Ada Sample", "at": "2026-11-21T09:14:00Z", "network": "192.0.2.7", "browser": "Firefox on Windows",
			"cancel": r.Origin + "/requests/stop/018f2b7c-0000-7000-8000-000000000009.7zk2m4q9xt1b3c5d7e9f0g2h4j", "number": "K7QD-94MT",
			"reason": "New phone, the old one was handed in", "left": "8", "why": "factor", "from": "2026-11-21T10:14:00Z",
			"until": "2026-11-22T09:14:00Z", "rollout": "A second step", "about-rollout": "From spring on you show a code from your phone as well.",
			"not_me": r.Origin + "/not-me/018f2b7c-0000-7000-8000-000000000001.7zk2m4q9xt1b3c5d7e9f0g2h4j", "factor": "Work phone", "kind": "totp", "name": "Cleo Sample", "address": "cleo@customer.example",
			"role": "administrator", "file": "MIIDAgEDMA==", "file_name": "shop-2028.p12", "certificate": "Laptop in the office", "contact": "Mira Example", "device_network": "198.51.100.20", "device_browser": "Safari on iOS", "version": "2026-01", "language": lang, "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		},
	}
}

func compose(t testing.TB, r directory.Realm, p directory.Person, m Message) Composed {
	t.Helper()
	c, err := Compose(r, p, m, now)
	if err != nil {
		t.Fatalf("%s %s: %v", m.Template, m.Language, err)
	}
	return c
}

var firstLink = regexp.MustCompile(`https?://\S+`)

func eachMail(t *testing.T, do func(t *testing.T, m Message)) {
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		for _, lang := range Languages {
			t.Run(name+"/"+lang, func(t *testing.T) { do(t, message(shop, name, lang)) })
		}
	}
}

// golden holds a text against its file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at it, then run with -update\n%s", path, got)
	}
}

func TestREQ_B89_GoldenMails(t *testing.T) {
	eachMail(t, func(t *testing.T, m Message) {
		c := compose(t, shop, ada, m)
		var b strings.Builder
		for _, h := range c.Headers() {
			fmt.Fprintf(&b, "%s: %s\n", h.Name, h.Value)
		}
		golden(t, m.Template+"."+m.Language+".txt", b.String()+"\n"+c.Text)
		golden(t, m.Template+"."+m.Language+".html", sheet(t, c.HTML))
	})
	t.Run("whole", func(t *testing.T) {
		for _, lang := range []string{"en", "de", "fr", "it"} {
			golden(t, "whole."+lang+".html", compose(t, shop, ada, message(shop, "factor-removed", lang)).HTML)
		}
		golden(t, "serif.html", compose(t, wealt, ada, message(wealt, "factor-removed", "de")).HTML)
	})
}

// sheet is what a mail does not share with all others: five whole ones hold the frame.
func sheet(t *testing.T, html string) string {
	t.Helper()
	_, rest, begins := strings.Cut(html, "<div class=\"sheet\">\n")
	own, _, ends := strings.Cut(rest, "</div>\n<p class=\"small foot\">")
	if !begins || !ends {
		t.Fatalf("a mail in another frame:\n%s", html)
	}
	return own
}

func TestTheFirstLinkIsTheOneToFollow(t *testing.T) {
	eachMail(t, func(t *testing.T, m Message) {
		s := templates[m.Template]
		want := shop.Origin + s.To
		if s.Notice {
			want = m.Args["not_me"]
		} else if s.Link != "" {
			want = m.Args[s.Link]
		}
		// Names that would like to come first.
		evil := "Ada https://evil.example/x www.evil.example http://evil.example"
		for _, arg := range []string{"inviter", "who", "factor", "name", "browser", "network", "place", "version", "hash", "kind", "reason", "number", "why", "from"} {
			m.Args[arg] = evil
		}
		p := ada
		p.Name = evil
		c := compose(t, shop, p, m)
		if got := firstLink.FindString(c.Text); got != want {
			t.Errorf("first link %q, want %q\n%s", got, want, c.Text)
		}
		if strings.Contains(c.Text, "evil.example") || strings.Contains(c.HTML, "evil.example") || strings.Contains(c.Subject, "evil.example") {
			t.Errorf("a name became a link\n%s", c.Text)
		}
	})
}

func TestREQ_B89_CatalogsAreTheSame(t *testing.T) {
	all, err := catalogs()
	if err != nil {
		t.Fatal(err)
	}
	holes := regexp.MustCompile(`\{[a-z]+\}`)
	for _, lang := range Languages {
		for key, text := range all["en"] {
			other, ok := all[lang][key]
			if !ok || other == "" {
				t.Errorf("%s lacks %q", lang, key)
			}
			a, b := holes.FindAllString(text, -1), holes.FindAllString(other, -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(slices.Compact(a), slices.Compact(b)) {
				t.Errorf("%s %q has the placeholders %v, English %v", lang, key, b, a)
			}
			if lang != "en" && other == text && len(text) > 12 && !strings.Contains(text, "{") && !strings.Contains(text, "SHA-256") {
				t.Errorf("%s %q is not translated: %s", lang, key, text)
			}
		}
		for key := range all[lang] {
			if _, ok := all["en"][key]; !ok {
				t.Errorf("%s has %q and English has not", lang, key)
			}
		}
		var again map[string]json.RawMessage
		data, err := catalogFiles.ReadFile("catalog/" + lang + ".json")
		if err != nil || json.Unmarshal(data, &again) != nil || strings.Count(string(data), "\": \"") != len(again) {
			t.Errorf("%s holds a key twice", lang)
		}
	}
	used := map[string]bool{}
	for name, s := range templates {
		for _, part := range []string{"subject", "title", "lead", "lead-nobody", "user", "check", "action"} {
			used[name+"."+part] = true
		}
		used["why."+s.Why] = true
	}
	for key := range all["en"] {
		prefix, _, _ := strings.Cut(key, ".")
		if _, isTemplate := templates[prefix]; isTemplate && !used[key] || prefix == "why" && !used[key] {
			t.Errorf("%q is used by nobody", key)
		}
	}
}

func TestAccountMailsSayWhoWhenWhereAndNotMe(t *testing.T) {
	n := 0
	eachMail(t, func(t *testing.T, m Message) {
		s := templates[m.Template]
		c := compose(t, shop, ada, m)
		if s.Notice {
			n++
			if m.Template != "terms-accepted" && m.Template != "signin-new-device" && !strings.Contains(c.Text, "Ada Sample") {
				t.Error("it does not say who")
			}
			delete(m.Args, "not_me")
			if _, err := Compose(shop, ada, m, now); err == nil {
				t.Error("it goes out without a way to say that it was not me")
			}
		}
		if len(s.Facts) > 0 {
			said := []string{"10:14 ", "2026", "(Zurich)"}
			if slices.Contains(s.Facts, "where") {
				said = append(said, "Firefox", "Windows", "192.0.2.7")
			}
			for _, want := range said {
				if !strings.Contains(c.Text, want) || !strings.Contains(c.HTML, want) {
					t.Errorf("it does not say %q\n%s", want, c.Text)
				}
			}
		}
		if strings.Contains(c.Text, "{") || strings.Contains(c.Text, "<no value>") {
			t.Errorf("a placeholder is left\n%s", c.Text)
		}
		if m.Template != "terms-accepted" && strings.Contains(c.Text, "9f86d081") {
			t.Error("a mail tells what is not its own")
		}
	})
	notices := 0
	for _, s := range templates {
		if s.Notice {
			notices++
		}
	}
	if n != notices*4 || notices < 12 {
		t.Errorf("%d mails about one's own account, of %d templates", n, notices)
	}
}

func TestREQ_B89_LanguageAndZoneOfThePerson(t *testing.T) {
	m := message(shop, "password-changed", "")
	p := ada
	for _, c := range []struct{ message, person, zone, at, want string }{
		{"", "fr", "", "2026-03-01T09:14:00Z", "1er mars 2026 à 10:14 (Zurich)"},
		{"it", "fr", "", "2026-08-01T09:14:00Z", "1º agosto 2026, ore 11:14 (Zurich)"},
		{"de", "", "America/New_York", "2026-11-21T09:14:00Z", "21. November 2026, 04:14 Uhr (New York)"},
		{"", "", "", "2026-11-21T09:14:00Z", "21 November 2026, 10:14 (Zurich)"},
		{"xx", "yy", "No/Where", "2026-11-21T23:30:00Z", "22 November 2026, 00:30 (Zurich)"},
		{"en", "", "Local", "no time", "21 November 2026, 10:14 (Zurich)"}, // when it was made
	} {
		m.Language, p.Language, p.Zone = c.message, c.person, c.zone
		m.Args["at"] = c.at
		if got := compose(t, shop, p, m).Text; !strings.Contains(got, c.want) {
			t.Errorf("%+v\n%s", c, got)
		}
	}
}

func TestSEC_N2_LinksLeadToTheRealmOnly(t *testing.T) {
	for _, link := range []string{
		"", "https://evil.example/link/x", "http://shop.northline.example/link/x", "https://shop.northline.example", "https://shop.northline.example.evil.example/x",
		"https://shop.northline.example@evil.example/", "//shop.northline.example/x", "javascript:alert(1)", "https://shop.northline.example/ https://evil.example/",
		"https://shop.northline.example/x\r\nBcc: x", "https://shop.northline.example/x\"onclick=", "https://shop.northline.example/é", "https://shop.northline.example/<b>",
		"https://shop.northline.example:8443/x", "https://shop.northline.example/" + strings.Repeat("x", 900),
	} {
		m := message(shop, "invitation", "en")
		m.Args["link"] = link
		var bad *ErrCompose
		if _, err := Compose(shop, ada, m, now); !errors.As(err, &bad) || link != "" && strings.Contains(err.Error(), link) {
			t.Errorf("%q: %v", link, err)
		}
	}
}

func TestComposeRefuses(t *testing.T) {
	for name, change := range map[string]func(m *Message){
		"template": func(m *Message) { m.Template = "gone" }, "expires": func(m *Message) { delete(m.Args, "expires") }, "id": func(m *Message) { m.ID = "" },
		"id with a break": func(m *Message) { m.ID = "x\r\nBcc: y" }, "address with a break": func(m *Message) { m.To = "a@b.example\r\nBcc: c@d.example" },
		"two addresses": func(m *Message) { m.To = "a@b.example, c@d.example" }, "address with a name": func(m *Message) { m.To = "A <a@b.example>" }, "no address": func(m *Message) { m.To = "nobody" },
	} {
		m := message(shop, "invitation", "en")
		change(&m)
		var bad *ErrCompose
		if _, err := Compose(shop, ada, m, now); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADecoyIsComposedLikeAnyOther(t *testing.T) {
	m := message(shop, "password-reset", "de")
	m.To, m.Person = "", ""
	c := compose(t, shop, directory.Person{}, m)
	if c.Text == "" || c.HTML == "" || c.To != "" || !strings.HasPrefix(c.Text, "Neues Passwort setzen\n\nGuten Tag\n") {
		t.Errorf("%s", c.Text)
	}
}

// parts reads a mail with the standard library, as its receiver would.
func parts(t testing.TB, data []byte) (h netmail.Header, text, html string) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	body := m.Body
	if err == nil && kind == "multipart/mixed" {
		whole := multipart.NewReader(m.Body, params["boundary"])
		first, err := whole.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		texts, err := io.ReadAll(first)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(texts)
		kind, params, _ = mime.ParseMediaType(first.Header.Get("Content-Type"))
		file, err := whole.NextRawPart()
		if err != nil || file.Header.Get("Content-Type") != `application/x-pkcs12; name="shop-2028.p12"` || file.Header.Get("Content-Disposition") != `attachment; filename="shop-2028.p12"` {
			t.Fatalf("%+v %v", file, err)
		}
		if b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, file)); err != nil || !bytes.Equal(b, []byte{0x30, 0x82, 3, 2, 1, 3, 0x30}) {
			t.Fatalf("%x %v", b, err)
		}
	}
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s: %v", kind, err)
	}
	r := multipart.NewReader(body, params["boundary"])
	var out []string
	for _, want := range []string{"text/plain; charset=utf-8", "text/html; charset=utf-8"} {
		p, err := r.NextRawPart()
		if err != nil || p.Header.Get("Content-Type") != want {
			t.Fatalf("%v %v", p, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(body))
	}
	if _, err := r.NextRawPart(); err != io.EOF {
		t.Fatalf("more parts: %v", err)
	}
	return m.Header, out[0], out[1]
}

func TestMailsAreWellFormed(t *testing.T) {
	eachMail(t, func(t *testing.T, m Message) {
		c := compose(t, shop, ada, m)
		data, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Bytes()
		if err != nil || !bytes.Equal(data, again) {
			t.Error("the same mail gives other bytes")
		}
		for i, line := range strings.Split(string(data), "\r\n") {
			if len(line) > 78 || strings.ContainsAny(line, "\r\n") || !ascii(strings.ReplaceAll(line, "\t", " ")) {
				t.Errorf("line %d: %q", i, line)
			}
		}
		h, text, html := parts(t, data)
		if text != crlf(c.Text) && text != c.Text {
			t.Errorf("the text changed on its way:\n%s", text)
		}
		if html != crlf(c.HTML) && html != c.HTML {
			t.Error("the HTML changed on its way")
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
		if err != nil || subject != c.Subject || subject == "" {
			t.Errorf("%q, %v", subject, err)
		}
		for name, want := range map[string]string{
			"Auto-Submitted": "auto-generated", "Message-Id": "<" + m.ID + "@shop.northline.example>", "Date": "Sat, 21 Nov 2026 09:15:00 +0000",
			"To": "<ada@customer.example>", "From": `"Northline Supply" <desk@shop.northline.example>`, "Content-Language": m.Language, "Mime-Version": "1.0",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %q", name, h.Get(name))
			}
		}
		for name := range h {
			if strings.HasPrefix(name, "List-") {
				t.Errorf("%s in a mail about safety", name)
			}
		}
	})
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestREQ_B90_HTMLFetchesNothingAndHasNoTables(t *testing.T) {
	eachMail(t, func(t *testing.T, m Message) {
		c := compose(t, shop, ada, m)
		doc, err := html.Parse(strings.NewReader(c.HTML))
		if err != nil {
			t.Fatal(err)
		}
		links, headings := 0, 0
		for n := range doc.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			switch n.Data {
			case "table", "img", "script", "link", "iframe", "object", "form", "input", "svg", "video", "audio", "base":
				t.Errorf("<%s>", n.Data)
			case "h1":
				headings++
			case "html":
				if len(n.Attr) == 0 || n.Attr[0].Val != m.Language {
					t.Errorf("language %v", n.Attr)
				}
			}
			for _, a := range n.Attr {
				switch {
				case a.Key == "style" || strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "background":
					t.Errorf("<%s %s>", n.Data, a.Key)
				case a.Key == "href":
					links++
					if n.Data != "a" || !strings.HasPrefix(a.Val, shop.Origin+"/") {
						t.Errorf("<%s href=%q>", n.Data, a.Val)
					}
				}
			}
		}
		if links != 1 || headings != 1 {
			t.Errorf("%d links and %d headings", links, headings)
		}
		if strings.Contains(c.HTML, "url(") || strings.Contains(c.HTML, "@import") || strings.Contains(c.HTML, "ZgotmplZ") || !strings.Contains(c.HTML, "prefers-color-scheme: dark") {
			t.Error("styles")
		}
	})
}

func TestSEC_V3_NothingTypedBecomesAHeaderOrMarkup(t *testing.T) {
	nasty := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"x\r\nBcc: evil@evil.example", "x\nSubject: y", "\r\n\r\n<script>alert(1)</script>", "</title><script>x</script>", "\" onmouseover=\"x", "{realm}{link}", "\u202egpj.exe", "a\x00b",
		"=?utf-8?q?=0D=0ABcc:_evil?=", "--=_0123", "\u2028Bcc: x", strings.Repeat("long ", 400), "https://evil.example", "}} {{.Link}}",
	}))
	names := slices.Sorted(maps.Keys(templates))
	rapid.Check(t, func(t *rapid.T) {
		m := message(shop, rapid.SampledFrom(names).Draw(t, "template"), rapid.SampledFrom(Languages).Draw(t, "language"))
		plainMail := message(shop, m.Template, m.Language)
		for _, arg := range []string{"inviter", "who", "factor", "name", "address", "browser", "network", "place", "version", "kind", "hash", "at", "code"} {
			if rapid.Bool().Draw(t, "set "+arg) {
				m.Args[arg] = nasty.Draw(t, arg)
			}
		}
		p := ada
		p.Name = nasty.Draw(t, "person")
		r := shop
		r.Name = "Northline " + nasty.Draw(t, "realm")
		c, err := Compose(r, p, m, now)
		if err != nil {
			t.Fatal(err)
		}
		data, err := c.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		msg, err := netmail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(msg.Header) != len(c.Headers()) {
			t.Fatalf("%d header fields instead of %d: %v", len(msg.Header), len(c.Headers()), msg.Header)
		}
		to, err := msg.Header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != "ada@customer.example" {
			t.Fatalf("%v, %v", to, err)
		}
		head, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
		for _, line := range bytes.Split(head, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("%q", line)
			}
		}
		was, err := Compose(shop, ada, plainMail, now)
		if err != nil {
			t.Fatal(err)
		}
		a, b := elements(was.HTML), elements(c.HTML)
		if m.Args["code"] == "" || plain(m.Args["code"]) == "" || templates[m.Template].Copy || len(templates[m.Template].Facts) > 0 {
			return // lines come and go with what is known
		}
		if !maps.Equal(a, b) {
			t.Fatalf("other elements: %v instead of %v", b, a)
		}
	})
}

func elements(s string) map[string]int {
	n := map[string]int{}
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return n
		case html.StartTagToken:
			name, _ := z.TagName()
			n[string(name)]++
		}
	}
}

func TestLongAddressesAndNamesKeepTheirShape(t *testing.T) {
	long := strings.Repeat("a", 64) + "@" + strings.Repeat("b", 60) + "." + strings.Repeat("c", 60) + "." + strings.Repeat("d", 60) + ".ex"
	m := message(shop, "invitation", "de")
	m.To = long
	m.Args["inviter"] = strings.Repeat("Donaudampfschifffahrt", 40)
	c := compose(t, shop, ada, m)
	if !strings.Contains(c.Text, long) || !strings.Contains(c.HTML, long) {
		t.Error("the address was cut")
	}
	if len(c.Text) > 3000 {
		t.Error("the name was not cut")
	}
	data, err := c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	h, _, _ := parts(t, data)
	if to, err := h.AddressList("To"); err != nil || to[0].Address != long {
		t.Errorf("%v, %v", to, err)
	}
	m = message(shop, "setup-complete", "fr")
	m.Args["name"] = strings.Repeat("Élodie ", 30)
	data, err = compose(t, shop, ada, m).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	h, _, _ = parts(t, data)
	if s, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject")); err != nil || !strings.HasPrefix(s, "Élodie Élodie") {
		t.Errorf("%q, %v", s, err)
	}
}

func TestTermsCopyIsOfTheVersionAccepted(t *testing.T) {
	m := message(shop, "terms-accepted", "en")
	if c := compose(t, shop, ada, m); !strings.Contains(c.Text, "These terms hold") || !strings.Contains(c.HTML, "<h2>Scope</h2>") {
		t.Error(c.Text)
	}
	m.Args["version"] = "2025-01"
	if c := compose(t, shop, ada, m); strings.Contains(c.Text, "These terms hold") || !strings.Contains(c.Text, "9f86d081") {
		t.Error("a copy of a text that was not the one accepted")
	}
}

func TestSubjectsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := plain(rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z =?éö’漢]{0,200}`), rapid.SampledFrom([]string{"=?utf-8?q?=0D=0ABcc:_x?=", "é=?", "", strings.Repeat("漢", 300)})).Draw(t, "subject"))
		got, err := new(mime.WordDecoder).DecodeHeader(encoded(s))
		if err != nil || got != s {
			t.Fatalf("%q became %q (%s), %v", s, got, encoded(s), err)
		}
		for _, line := range strings.Split(fold(Header{"Subject", encoded(s)}), "\r\n") {
			if !ascii(line) || len(line) > 78 && strings.Contains(line, "=?utf-8") {
				t.Fatalf("%q", line)
			}
		}
	})
}
