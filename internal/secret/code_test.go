package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
)

func TestSEC_X5_TokensAre256Bits(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := Token()
		if b, err := base64.RawURLEncoding.DecodeString(s); err != nil || len(b) != 32 || seen[s] {
			t.Fatalf("%q: %v", s, err)
		}
		seen[s] = true
	}
}

func TestTypedRoundTrip(t *testing.T) {
	for range 500 {
		s := Typed()
		if len(strings.ReplaceAll(s, "-", "")) != 26 || len(s) != 31 {
			t.Fatalf("%q has not 26 letters in 6 groups", s)
		}
		slip := strings.NewReplacer("0", "o", "1", "l").Replace(s)
		wide := strings.Map(func(c rune) rune {
			if c == '-' {
				return ' '
			}
			return c + 0xFF01 - '!'
		}, s)
		for _, typed := range []string{
			s, strings.ToLower(s), strings.ReplaceAll(s, "-", ""), strings.ReplaceAll(s, "-", " \t"), "\u00a0" + s + "\r\n",
			strings.ReplaceAll(s, "-", "–"), slip, strings.ToUpper(slip), strings.ReplaceAll(s, "1", "I"), strings.ReplaceAll(s, "1", "i"), wide,
		} {
			if got, ok := CanonicalTyped(typed); !ok || got != s {
				t.Fatalf("%q became %q, %v; want %q", typed, got, ok, s)
			}
		}
	}
}

func TestSEC_O1_UserCodes(t *testing.T) {
	count := map[rune]int{}
	for range 2000 {
		s := UserCode()
		if len(s) != 9 || s[4] != '-' {
			t.Fatalf("%q", s)
		}
		for _, c := range strings.ReplaceAll(s, "-", "") {
			count[c]++
		}
		for _, typed := range []string{s, strings.ToLower(s), strings.ReplaceAll(s, "-", ""), " " + strings.ReplaceAll(s, "-", " ") + "\n", strings.ReplaceAll(s, "-", "–")} {
			if got, ok := CanonicalUserCode(typed); !ok || got != s {
				t.Fatalf("%q became %q, %v; want %q", typed, got, ok, s)
			}
		}
	}
	if len(count) != 20 { // 800 of each are expected; a letter that is left out or half as likely is seen
		t.Errorf("letters %v", count)
	}
	for c, n := range count {
		if strings.ContainsRune("AEIOUY0123456789", c) || n < 640 || n > 960 {
			t.Errorf("%c came %d times", c, n)
		}
	}
	for name, typed := range map[string]string{
		"empty": "", "one short": "WDJB-MJH", "one more": "WDJB-MJHTB", "a vowel": "WDJA-MJHT", "a digit": "WDJ8-MJHT", "other script": "WDJВ-MJHT", "far too long": strings.Repeat(" ", typedMax) + "WDJB-MJHT",
	} {
		if got, ok := CanonicalUserCode(typed); ok || got != "" {
			t.Errorf("%s: %q became %q", name, typed, got)
		}
	}
}

func TestCanonicalTypedRefuses(t *testing.T) {
	s := Typed()
	for name, typed := range map[string]string{
		"empty": "", "one short": s[:len(s)-1], "one more": s + "0", "letter U": "U" + s[1:], "a sign": "!" + s[1:], "other script": "А" + s[1:],
		"broken UTF-8": "\xff" + s[1:], "far too long": strings.Repeat(" ", typedMax) + s, "zero-width": "\u200b" + s, "NUL": s + "\x00",
	} {
		if got, ok := CanonicalTyped(typed); ok || got != "" {
			t.Errorf("%s: %q became %q", name, typed, got)
		}
	}
}

// chiSquare is the distance of counts from an even spread, in standard deviations (Wilson-Hilferty).
func chiSquare(counts []int) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	want, x := float64(total)/float64(len(counts)), 0.0
	for _, n := range counts {
		x += (float64(n) - want) * (float64(n) - want) / want
	}
	df := float64(len(counts) - 1)
	return (math.Cbrt(x/df) - (1 - 2/(9*df))) / math.Sqrt(2/(9*df))
}

func TestSEC_X5_DigitsAndTypedAreEven(t *testing.T) {
	digits, letters := make([]int, 10*6), make([]int, 32)
	for range 50_000 {
		for i, c := range Digits(6) {
			digits[10*i+int(c-'0')]++
		}
	}
	for range 5_000 {
		for _, c := range strings.ReplaceAll(Typed(), "-", "") {
			letters[strings.IndexRune(crockford, c)]++
		}
	}
	for i := range 6 {
		if z := chiSquare(digits[10*i : 10*i+10]); z > 6 { // one run in a billion
			t.Errorf("digit %d is uneven: z = %.1f, %v", i, z, digits[10*i:10*i+10])
		}
	}
	if z := chiSquare(letters); z > 6 {
		t.Errorf("letters are uneven: z = %.1f, %v", z, letters)
	}

	// The slip this stands against: a remainder of a byte, where 0 to 5 are likelier.
	biased := make([]int, 10)
	for i := range 300_000 {
		biased[i%256%10]++
	}
	if chiSquare(biased) < 6 {
		t.Error("the measure would not see a biased source")
	}
	if Digits(0) != "" || Digits(-1) != "" || len(Digits(1000)) != 1000 {
		t.Error("length of Digits")
	}
}

func TestSEC_X4_Equal(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"", "", true}, {"a", "a", true}, {"a", "b", false}, {"a", "aa", false}, {"a", "", false}, {"a\x00", "a", false}} {
		if Equal(c.a, c.b) != c.want {
			t.Errorf("%q, %q", c.a, c.b)
		}
	}
}

func TestSEC_G3_TextPrintsRedacted(t *testing.T) {
	const canary = "canary-7Q"
	type holder struct {
		S Text
		P *Text
		L []Text
		M map[string]Text
		A any
	}
	s := Text(canary)
	h := holder{s, &s, []Text{s}, map[string]Text{"k": s}, s}
	check := func(name, out string) {
		t.Helper()
		if !strings.Contains(out, redacted) || strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) || strings.Contains(out, fmt.Sprintf("%X", canary)) {
			t.Errorf("%s: %s", name, out)
		}
	}
	for verb := 'A'; verb <= 'z'; verb++ {
		if verb > 'Z' && verb < 'a' || verb == 'p' || verb == 'T' || verb == 'w' { // %p and %T never read the value, %w is vet's
			continue
		}
		for _, flag := range []string{"", "+", "#", "-20", " ", "0", ".2"} {
			f := "%" + flag + string(verb)
			check(f, fmt.Sprintf(f, s))
			check(f+" in a struct", fmt.Sprintf(f, h))
		}
	}
	check("String", s.String())
	check("error", fmt.Errorf("wrong: %w %v", fmt.Errorf("%s", s), s).Error())
	js, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	check("JSON", string(js))
	x, err := xml.Marshal([]Text{s})
	if err != nil {
		t.Fatal(err)
	}
	check("XML", string(x))
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("m", "secret", s, "holder", h, slog.Group("g", "s", s))
		check(name, b.String())
	}
	if s.Reveal() != canary {
		t.Error("Reveal")
	}
	var back holder
	if err := json.Unmarshal([]byte(`{"S":"`+canary+`"}`), &back); err != nil || back.S != canary {
		t.Errorf("a secret cannot be read from a file: %v", err)
	}
}

func FuzzCanonicalTyped(f *testing.F) {
	f.Add(Typed())
	f.Add("oOiIlL")
	f.Add("０１ＡＢ")
	f.Fuzz(func(t *testing.T, in string) {
		s, ok := CanonicalTyped(in)
		if !ok {
			if s != "" {
				t.Errorf("%q refused but became %q", in, s)
			}
			return
		}
		if again, ok := CanonicalTyped(s); !ok || again != s || len(s) != 31 {
			t.Errorf("%q became %q, then %q", in, s, again)
		}
	})
}
