package catalog

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// cldr is which plural forms a language has for whole numbers.
var cldr = map[string][]string{"en": {"one", "other"}, "de": {"one", "other"}, "fr": {"one", "many", "other"}, "it": {"one", "many", "other"}}

func TestREQ_B89_SameKeysAndPlaceholders(t *testing.T) {
	en, err := Load("en")
	if err != nil {
		t.Fatal(err)
	}
	if len(en) < 50 {
		t.Fatalf("only %d keys: the catalogue is not read", len(en))
	}
	for _, lang := range Languages {
		all, err := Load(lang)
		if err != nil {
			t.Fatal(err)
		}
		for key := range en {
			if _, ok := all[key]; !ok {
				t.Errorf("%s lacks %q", lang, key)
			}
		}
		for key, m := range all {
			want, ok := en[key]
			if !ok {
				t.Errorf("%s has %q, English has not", lang, key)
				continue
			}
			if len(m) > 1 != (len(want) > 1) {
				t.Errorf("%s: %q: plural in one language and not in the other", lang, key)
			}
			if len(m) > 1 {
				for _, form := range []string{"one", "other"} { // "many" is for millions and falls back to "other"
					if _, ok := m[form]; !ok {
						t.Errorf("%s: %q lacks the form %q", lang, key, form)
					}
				}
			}
			for form, text := range m {
				if strings.TrimSpace(text) == "" {
					t.Errorf("%s: %q is empty", lang, key)
				}
				if !slices.Contains(cldr[lang], form) {
					t.Errorf("%s: %q has the form %q, which the language has not", lang, key, form)
				}
				got, wanted := names(text), names(want["other"])
				if len(m) > 1 { // a form may say "one" instead of {n}
					got, wanted = slices.DeleteFunc(got, isN), slices.DeleteFunc(wanted, isN)
				}
				if !slices.Equal(got, wanted) {
					t.Errorf("%s: %q has placeholders %v, English %v", lang, key, got, wanted)
				}
				if a, b := links(text), links(want["other"]); !slices.Equal(a, b) {
					t.Errorf("%s: %q has links %v, English %v", lang, key, a, b)
				}
			}
		}
	}
}

func isN(s string) bool { return s == "n" }

func names(text string) []string {
	p := Placeholders(text)
	slices.Sort(p)
	return slices.Compact(p)
}

var linked = regexp.MustCompile(`\]\(([a-z-]+)\)`)

func links(text string) []string {
	var out []string
	for _, m := range linked.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return out
}

// How each language is written: the first group must not appear.
var wrong = map[string]*regexp.Regexp{
	"en": regexp.MustCompile(`["']|\benroll`),
	"de": regexp.MustCompile(`["']|ß|\b[Dd]u\b|\b[Dd]ein|“|„|\bDir\b`),
	"fr": regexp.MustCompile(`["']|\b[Tt]u\b|\b[Tt]on\b|“|[^\x{a0}\x{202f}]»|«[^\x{a0}\x{202f}]|[^\x{a0}\x{202f} ][?!;]`),
	"it": regexp.MustCompile(`["']|\b[Tt]uo\b|\b[Tt]ua\b|“`),
}

func TestREQ_B79_WrittenAsTheLanguageIs(t *testing.T) {
	for _, lang := range Languages {
		all, err := Load(lang)
		if err != nil {
			t.Fatal(err)
		}
		for key, m := range all {
			for _, text := range m {
				if found := wrong[lang].FindString(text); found != "" {
					t.Errorf("%s: %q: %q in %q", lang, key, found, text)
				}
			}
		}
	}
	for lang, bad := range map[string]string{"en": `say "no"`, "de": "Straße", "fr": "Vraiment?", "it": "l'ora"} {
		if !wrong[lang].MatchString(bad) {
			t.Errorf("%s: %q passes, so this test proves nothing", lang, bad)
		}
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		lang string
		n    int
		want string
	}{{"en", 1, "{n} minute"}, {"en", 0, "{n} minutes"}, {"de", 2, "{n} Minuten"}, {"fr", 0, "{n} minute"}, {"fr", 1, "{n} minute"}, {"fr", 2, "{n} minutes"}, {"it", 1, "{n} minuto"}, {"it", 1000000, "{n} minuti"}} {
		if got, ok := Find(c.lang, "base.minutes", c.n); !ok || got != c.want {
			t.Errorf("%s %d: %q, want %q", c.lang, c.n, got, c.want)
		}
	}
	if got, ok := Find("en", "base.no-such", 0); ok || got != "⟦base.no-such⟧" {
		t.Errorf("an unknown key gave %q", got)
	}
	if got, _ := Find("xx", "base.back", 0); got != "Back" {
		t.Errorf("an unknown language gave %q, want English", got)
	}
}

func FuzzFill(f *testing.F) {
	f.Add("{a} and {b", "x")
	f.Add("}{}{a}{", "{a}")
	f.Fuzz(func(t *testing.T, text, value string) {
		got := Fill(text, func(string) (string, bool) { return value, true })
		if !strings.Contains(text, "{") && got != text {
			t.Errorf("changed %q to %q", text, got)
		}
		if value == "" && len(got) > len(text) {
			t.Errorf("%q grew to %q", text, got)
		}
	})
}
