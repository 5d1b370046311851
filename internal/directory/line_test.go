package directory

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSEC_V1_ANameIsOneVisibleLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " Ada  Lovelace\t": "Ada Lovelace", "Ada\x00\r\nBcc: x": "Ada Bcc: x", "\u202eevil\u2066": "evil", "\ufeff\u200b": "",
		"\u200c\u200d": "", "a\xffb": "ab", "\u0646\u06cc\u200c\u0645": "\u0646\u06cc\u200c\u0645", "Zoë": "Zoë", "李": "李", "\u00a0": "", "\ue000x": "x",
	} {
		if got := Line(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("Ada\x00\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Line(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\u202e\u2028") || Line(got) != got {
			t.Errorf("%q is %q", s, got)
		}
	})
}
