package directory

import (
	"strings"
	"testing"
	"unicode"

	"doorward/internal/fault"
)

func TestSEC_V1_OneCanonicalForm(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"alice@northline.example", "alice@northline.example"},
		{"  Alice@Northline.Example\r\n", "alice@northline.example"},
		{"ALICE@NORTHLINE.EXAMPLE", "alice@northline.example"},
		{"\u00a0a@b.example\u2003", "a@b.example"},
		{"a.b.c@x.example", "a.b.c@x.example"},
		{"abc@x.example", "abc@x.example"}, // dots are kept: not the same as a.b.c
		{"alice+shop@x.example", "alice+shop@x.example"},
		{"o'brien@x.example", "o'brien@x.example"},
		{"jürg@müller.example", "jürg@xn--mller-kva.example"},
		{"ju\u0308rg@MU\u0308LLER.example", "jürg@xn--mller-kva.example"}, // decomposed, the domain upper case
		{"a@xn--mller-kva.example", "a@xn--mller-kva.example"},
		{"a@XN--MLLER-KVA.example", "a@xn--mller-kva.example"},
		{"a@faß.example", "a@xn--fa-hia.example"}, // not fass.example
		{"a@ｎｏｒｔｈ.example", "a@north.example"},    // full width in a domain is the same domain
		{"a@north。example", "a@north.example"},
		{"ΑΣ@x.example", "ασ@x.example"},
		{strings.Repeat("a", 64) + "@x.example", strings.Repeat("a", 64) + "@x.example"},
	} {
		got, err := Canonical(c.in)
		if err != nil || got != c.want {
			t.Errorf("Canonical(%+q) = %+q, %v; want %+q", c.in, got, err, c.want)
		}
	}
}

func TestSEC_V1_LookalikesStayDifferent(t *testing.T) {
	seen := map[string]string{}
	for _, in := range []string{
		"paypal@x.example", "p\u0430ypal@x.example", // Cyrillic a
		"payp\u0251l@x.example", "paypa1@x.example", "paypai@x.example",
		"pay.pal@x.example", "paypal+1@x.example", "paypal@xx.example",
		"ｐaypal@x.example", "paypal@х.example", // a Cyrillic domain
		"ırmak@x.example", "irmak@x.example", // dotless i
		"straße@x.example", "strasse@x.example",
	} {
		got, err := Canonical(in)
		if err != nil {
			t.Errorf("%+q: %v", in, err)
			continue
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%+q and %+q are one person", in, other)
		}
		seen[got] = in
	}
}

func TestSEC_V1_Refused(t *testing.T) {
	for _, in := range []string{
		"", " ", "@", "a@", "@x.example", "a", "a@b", "a@localhost", "a b@x.example", "a@x .example", "a@x.example.",
		"a@.x.example", "a@x..example", ".a@x.example", "a.@x.example", "a..b@x.example", "a@@x.example", "a@b@x.example",
		`"a b"@x.example`, `"a"@x.example`, "a(comment)@x.example", "(c)a@x.example", "a@x.example (c)", "<a@x.example>",
		"Alice <a@x.example>", "a@x.example,b@x.example", "a@x.example;b", "a\\b@x.example", "mailto:a@x.example",
		"a\x00@x.example", "a\r\nBcc: b@x.example", "a@x.example\r\nBcc: b@y.example", "a\t@x.example", "a\x7f@x.example",
		"a\u200b@x.example", "a\u200d@x.example", "\u202ea@x.example", "a\ufeff@x.example", "a\u00ad@x.example", "a\u034fb@x.example",
		"a\u3164@x.example", "a\ufe0f@x.example", "a\U000e0100@x.example", "a\u2028@x.example", "a\ue000@x.example", "\u0301a@x.example",
		"a😀@x.example", "a\xff@x.example", "a@[192.0.2.1]", "a@192.0.2.1", "a@1.2", "a@0x7f.1", "a@x.0x7f", "a@-x.example",
		"a@x-.example", "a@x_y.example", "a@ab--cd.example", "a@xn--.example", "a@xn--a.example",
		"a@x.example:25", "a@x.example/", "a@x.example?", "a@%78.example", "a@\u200bx.example\u0378",
		strings.Repeat("a", 65) + "@x.example", "a@" + strings.Repeat("b", 64) + ".example",
		strings.Repeat("ü", 33) + "@x.example",
		"a@" + strings.Repeat(strings.Repeat("b", 60)+".", 4) + "exampleexample", strings.Repeat("a@x.example", 300),
	} {
		got, err := Canonical(in)
		if err == nil {
			t.Errorf("Canonical(%+q) = %+q: should be refused", in, got)
		} else if f := fault.As(err); f == nil || f.Kind != fault.Invalid || f.Code != "address-invalid" || f.Field != "email" {
			t.Errorf("%+q: %v", in, err)
		}
	}
}

func TestCanonicalHost(t *testing.T) {
	for in, want := range map[string]string{
		"Shop.Localhost": "shop.localhost", "localhost": "localhost", "login.northline.example": "login.northline.example",
		"bücher.example": "xn--bcher-kva.example", "1und1.example": "1und1.example", "127.0.0.1": "", "shop.localhost:8443": "",
		"": "", "a..b": "", "a/b": "", "*.example": "", "x.example.": "", "[::1]": "", "::1": "", "a b": "",
	} {
		got, err := CanonicalHost(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("CanonicalHost(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzSEC_V1_Canonical(f *testing.F) {
	for _, s := range []string{"Alice@Northline.example", "ju\u0308rg@mu\u0308ller.example", "İ@x.example", "ẞ@faß.example", "\u1e9b\u0323@x.example", "ǅ@x.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := Canonical(in)
		if err != nil {
			return
		}
		if again, err := Canonical(got); err != nil || again != got {
			t.Fatalf("not idempotent: %+q -> %+q -> %+q, %v", in, got, again, err)
		}
		if upper, err := Canonical(" " + got + "\n"); err != nil || upper != got {
			t.Fatalf("space matters: %+q -> %+q, %v", got, upper, err)
		}
		if len(got) > 254 || strings.Count(got, "@") != 1 {
			t.Fatalf("%+q", got)
		}
		for _, r := range got {
			if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`"(),:;<>[\]`, r) {
				t.Fatalf("%+q holds %+q", got, r)
			}
		}
	})
}
