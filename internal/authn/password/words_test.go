package password

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"doorward/internal/authn"
)

var anna = authn.Subject{
	Name: "Anna-Maria Müller", Address: "am.mueller87@kunde-sued.example.com", Organization: "Bäckerei Süd GmbH", Realm: "shop",
	Issuer: "Northline Supply", Words: []string{"Northline Supply", "door.northline.test", "Helpdesk"},
}

func TestREQ_A6_OwnWordsAreRefused(t *testing.T) {
	m := newMethod(Config{})
	for text, word := range map[string]string{
		"otter-müller-basalt-77":    "Müller",
		"otter-MÜLLER-basalt-77":    "Müller",
		"otter-mueller-basalt-77":   "Müller",
		"otter-muller-basalt-77":    "Müller",
		"otter-mu\u0308ller-basalt": "Müller",
		"otter-mü11er-basalt-77":    "Müller",
		"otter-m.u.l.l.e.r-basalt":  "Müller",
		"otter@nna-basalt-violin":   "Anna",
		"otter-4NN4-basalt-77":      "Anna",
		"basalt-violin-maria-9":     "Maria",
		"basalt-violin-b4ck3r31":    "Bäckerei",
		"basalt-baeckerei-violin":   "Bäckerei",
		"violin-kunde-basalt-77":    "kunde",
		"violin-nörthline-basalt":   "Northline",
		"violin-$upply-basalt-77":   "Supply",
		"violin-he1pdesk-basalt":    "Helpdesk",
		"basalt-5h0p-violin-otter":  "shop",
	} {
		f := wantCode(t, m.Check("shop", anna, text), "password-own-words")
		if f.Args["word"] != word {
			t.Errorf("%q: told %v, want %q", text, f.Args["word"], word)
		}
	}
	for _, text := range []string{good, "basalt-otter-violin-am", "basalt-otter-violin-com-87", "unrelated-Walküre-77-otter"} {
		if err := m.Check("shop", anna, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"otter-weiß-basalt-77", "otter-weiss-basalt-77", "otter-WEISS-basalt-77"} {
		wantCode(t, m.Check("shop", authn.Subject{Name: "Ida Weiß"}, text), "password-own-words")
		wantCode(t, m.Check("shop", authn.Subject{Name: "Ida Weiss"}, text), "password-own-words")
	}
	if err := m.Check("shop", authn.Subject{}, good); err != nil {
		t.Errorf("nobody's words: %v", err)
	}
}

func TestWordsAreWholeAndUnique(t *testing.T) {
	got := words(anna)
	for _, want := range []string{"Anna", "Maria", "Müller", "mueller87", "mueller", "kunde", "sued", "example", "Bäckerei", "GmbH", "shop", "Northline", "Supply", "door", "test", "Helpdesk"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
	seen := map[string]bool{}
	for _, w := range got {
		if utf8.RuneCountInString(w) < wordMin || seen[strings.ToLower(w)] || w == "com" {
			t.Errorf("%q should not be in %q", w, got)
		}
		seen[strings.ToLower(w)] = true
	}
}

func TestREQ_A6_StrengthAndHints(t *testing.T) {
	for _, c := range []struct {
		text      string
		low, high int
		hint      string
	}{
		{"", 0, 0, HintLonger},
		{"password", 0, 0, HintCommon},
		{"passwordpassword", 0, 1, HintRepeat},
		{"poiuytghjkl", 0, 2, HintKeyboard},
		{"abcdefghijklmno", 0, 1, HintSequence},
		{"p4$$w0rd", 0, 1, HintReplaced},
		{"drowssap", 0, 1, HintReversed},
		{"19870412", 0, 1, HintDate},
		{"elizabeth", 0, 1, HintName},
		{"nevertheless", 0, 1, HintWord},
		{"müllermüller", 0, 1, HintRepeat},
		{"mueller87", 0, 1, HintOwn},
		{"\xff\xfe", 0, 0, HintLonger},
		{good, 4, 4, ""},
		{strings.Repeat("correct horse ", 18), 0, 4, ""},
	} {
		score, hints := Strength(anna, c.text)
		if score < c.low || score > c.high {
			t.Errorf("%q: score %d", c.text, score)
		}
		if c.hint != "" && !slices.Contains(hints, c.hint) {
			t.Errorf("%q: hints %q, want %q", c.text, hints, c.hint)
		}
		if (score == 4) != (len(hints) == 0) || len(hints) > 4 {
			t.Errorf("%q: score %d, hints %q", c.text, score, hints)
		}
	}
}

func TestSEC_K1_WeakOnesAreRefusedWithAHint(t *testing.T) {
	f := wantCode(t, newMethod(Config{}).Check("shop", anna, "aaaaaaaaaaaaaaaaaaaa"), "password-weak")
	if f.Args["score"] != 0 || f.Args["hint"] != HintRepeat {
		t.Errorf("told %v", f.Args)
	}
}

// What is estimated is bounded in bytes, whatever the script, and keeps what makes a password weak.
func TestSEC_TDOS_TheEstimateIsBounded(t *testing.T) {
	for text, want := range map[string]string{
		"short": "short", "Müßig": "Mussig", "mu\u0308de": "mude", "": "",
		strings.Repeat("a", 256): strings.Repeat("a", estimated), strings.Repeat("ß", 99): strings.Repeat("s", estimated),
	} {
		if got := ascii(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	for _, text := range []string{strings.Repeat("ü", 12), strings.Repeat("ä", 256), strings.Repeat("😀", 20), "абвгдежзийклм", strings.Repeat("漢字", 10)} {
		if score, _ := Strength(authn.Subject{}, text); score >= minScore {
			t.Errorf("%q: score %d", text, score)
		}
		if got := ascii(text); len(got) > estimated {
			t.Errorf("%q: %d bytes", text, len(got))
		}
	}
	if signs := fewerSigns.Replace("4@8({[<369!1|0$5+7%2"); strings.ContainsAny(signs, "@{[<!|$+9") {
		t.Errorf("%q leaves choices", signs)
	}
	hostile := strings.Repeat("4@8({[<369!1|0$5+7%2", 5)
	if n := testing.AllocsPerRun(1, func() { Strength(authn.Subject{}, hostile) }); n > 20_000 { // 29,000 and half a second without fewerSigns
		t.Errorf("%v allocations", n)
	}
}

func FuzzOwnWord(f *testing.F) {
	f.Add("Anna Müller", "otter-mueller-basalt")
	f.Add("\xff\u0308", "ßßßß")
	f.Add("İstanbul", "i̇stanbul")
	f.Fuzz(func(t *testing.T, name, text string) {
		s := authn.Subject{Name: name, Address: name + "@" + text, Words: []string{text}}
		if w, ok := ownWord(s, text); ok && utf8.RuneCountInString(w) < wordMin {
			t.Fatalf("%q is too short to refuse", w)
		}
		for _, w := range words(s) {
			for _, folded := range foldings(w) {
				if utf8.RuneCountInString(folded) < wordMin {
					continue
				}
				if _, ok := ownWord(s, "basalt-"+w+"-violin"); !ok {
					t.Fatalf("%q is not found in a password that holds it", w)
				}
				break
			}
		}
	})
}
