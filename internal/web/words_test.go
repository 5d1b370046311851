package web

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
)

func visitIn(lang string) *Visit {
	return &Visit{Lang: lang, Zone: zone("Europe/Zurich"), Now: SampleTime, Realm: &directory.Realm{}}
}

func TestREQ_B89_TimesAndNumbers(t *testing.T) {
	at := func(s string) time.Time {
		x, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct {
		what, en, de, fr, it string
		say                  func(*Visit) string
	}{
		{"today", "today, 09:41", "heute, 09:41", "aujourd’hui, 09:41", "oggi, 09:41", func(v *Visit) string { return v.Time(at("2026-11-21 08:41")) }},
		{"just after midnight here, yesterday in UTC", "today", "heute", "aujourd’hui", "oggi", func(v *Visit) string { return v.Day(at("2026-11-20 23:30")) }},
		{"yesterday", "yesterday, 18:20", "gestern, 18:20", "hier, 18:20", "ieri, 18:20", func(v *Visit) string { return v.Time(at("2026-11-20 17:20")) }},
		{"this year", "1 March, 08:55", "1. März, 08:55", "1er mars, 08:55", "1º marzo, 08:55", func(v *Visit) string { return v.Time(at("2026-03-01 07:55")) }},
		{"another year", "2 August 2024", "2. August 2024", "2 août 2024", "2 agosto 2024", func(v *Visit) string { return v.Day(at("2024-08-02 12:00")) }},
		{"never", "never", "nie", "jamais", "mai", func(v *Visit) string { return v.Time(time.Time{}) }},
		{"ago", "3 days ago", "vor 3 Tagen", "il y a 3 jours", "3 giorni fa", func(v *Visit) string { return v.Ago(SampleTime.Add(-73 * time.Hour)) }},
		{"a minute ago", "1 minute ago", "vor 1 Minute", "il y a 1 minute", "1 minuto fa", func(v *Visit) string { return v.Ago(SampleTime.Add(-time.Minute)) }},
		{"span", "7 min 42 s", "7 min 42 s", "7 min 42 s", "7 min 42 s", func(v *Visit) string { return v.Span(462 * time.Second) }},
		{"seconds are rounded up", "1 second", "1 Sekunde", "1 seconde", "1 secondo", func(v *Visit) string { return v.Span(time.Millisecond) }},
		{"number", "12,345", "12’345", "12\u202f345", "12’345", func(v *Visit) string { return v.Number(12345) }},
		{"negative", "−1,000,000", "−1’000’000", "−1\u202f000\u202f000", "−1’000’000", func(v *Visit) string { return v.Number(-1000000) }},
		{"small", "999", "999", "999", "999", func(v *Visit) string { return v.Number(999) }},
	} {
		for lang, want := range map[string]string{"en": c.en, "de": c.de, "fr": c.fr, "it": c.it} {
			if got := c.say(visitIn(lang)); got != want {
				t.Errorf("%s in %s: %q, want %q", c.what, lang, got, want)
			}
		}
	}
}

func TestSEC_F5_RichEscapesWhatIsNotOurs(t *testing.T) {
	arg := func(name string) (string, bool) {
		switch name {
		case "x":
			return `<img src=x onerror=alert(1)>**[a](b)`, true
		case "bad":
			return "javascript:alert(1)", true
		case "other":
			return "//evil.example", true
		case "ok":
			return "/help?q=\"><b>", true
		}
		return "", false
	}
	for text, want := range map[string]string{
		"**Hi** {x}":       `<strong>Hi</strong> &lt;img src=x onerror=alert(1)&gt;**[a](b)`,
		"[go](bad)":        "go",
		"[go](other)":      "go",
		"[{x}](ok)":        `<a href="/help?q=&#34;&gt;&lt;b&gt;">&lt;img src=x onerror=alert(1)&gt;**[a](b)</a>`,
		"a < b & {missing": "a &lt; b &amp; {missing",
		"**open":           "<strong>open</strong>",
		"[no link":         "[no link",
		"{unknown}":        "{unknown}",
		"5 * 3":            "5 * 3",
	} {
		if got := string(rich(text, arg)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzRich(f *testing.F) {
	f.Add("**a** [b](c) {d}", "<script>")
	f.Fuzz(func(t *testing.T, text, value string) {
		got := string(rich(text, func(string) (string, bool) { return value, true }))
		rest := strings.NewReplacer("<strong>", "", "</strong>", "", "</a>", "").Replace(got)
		for i := strings.Index(rest, "<"); i >= 0; i = strings.Index(rest, "<") {
			if !strings.HasPrefix(rest[i:], `<a href="`) {
				t.Fatalf("a tag that is not ours: %s", got)
			}
			rest = rest[i+1:]
		}
	})
}

func TestProblem(t *testing.T) {
	v := visitIn("en")
	p := v.problem(errors.Join(fault.New(fault.Invalid, "form-broken").In("name"), errors.Join(fault.New(fault.Throttled, "x").After(time.Minute), errors.New("inside"))))
	if len(p.Items) != 2 || p.For("name") == "" || p.For("other") != "" || !strings.Contains(p.Items[1].Text, "1 minute") {
		t.Errorf("%+v", p)
	}
	if got := v.Say(errors.New("secret inside")); strings.Contains(got, "secret") {
		t.Errorf("an error of ours is shown: %s", got)
	}
	f := (&View{Visit: v, Problem: p}).Field("name", "base.reference").Help("base.help")
	if f.Error == "" || f.DescribedBy() != "name-error name-hint" {
		t.Errorf("%+v", f)
	}
}

func TestPasswordsAreNeverPrinted(t *testing.T) {
	v := &View{Visit: visitIn("en")}
	for _, f := range []Field{v.Field("p", "base.reference").Of("CANARY").Password(), v.Field("p", "base.reference").Of("CANARY").NewPassword("")} {
		if f.Value != "" {
			t.Error("a password comes back into the page")
		}
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{"Anna Sample": "AS", "a.sample@northline.example": "AS", "élodie": "É", "Jean Claude van Damme": "JD", "": "?", "@x": "?", "  ": "?", "李 明": "李明"} {
		if got := initials(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestBrandKeepsItsBounds(t *testing.T) {
	for _, b := range []directory.Brand{{}, {Hue: 1e9, Chroma: 3, Panel: .9, Round: 50, Tint: 1}, {Hue: math.NaN(), Chroma: math.Inf(1), Panel: -1}, {Heading: "serif;} body{display:none"}} {
		n := numbers(b)
		if !(n.Hue >= 0 && n.Hue <= 360 && n.Chroma <= .16 && n.Panel <= .44 && n.Round <= 2 && n.Tint <= .02) {
			t.Errorf("%+v gives %+v", b, n)
		}
		if css := string(brandCSS(b)); strings.Count(css, "{") != 1 || strings.Contains(css, "body") {
			t.Errorf("%s", css)
		}
	}
}

func TestAgent(t *testing.T) {
	for header, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0":                                                        "Firefox on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1": "Safari on iOS",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                                   "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36":                   "Chrome on Android",
		"": "", "<script>alert(1)</script>": "", "Please call +41 79 000 00 00 now!": "", strings.Repeat("Firefox/1 ", 200): "",
	} {
		if got := ParseAgent(header).String(); got != want {
			t.Errorf("%.60q: %q, want %q", header, got, want)
		}
	}
	if a := ParseAgent("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [FBAN/FBIOS;FBAV/500.0]"); a.InApp != "Facebook" {
		t.Errorf("REQ_A42: %+v", a)
	}
}
