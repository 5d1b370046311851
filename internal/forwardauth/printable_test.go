package forwardauth

import (
	"net/url"
	"strings"
	"testing"
)

// Every byte comes out as something that a header can hold, and can be read back.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"", "Anna", "a\r\nb: c", "100 %", "\x00\x7f\xff", "ü", "%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := printable(s)
		if strings.ContainsFunc(out, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q is written as %q", s, out)
		}
		if back, err := url.PathUnescape(out); err != nil || back != s {
			t.Fatalf("%q comes back as %q, %v", s, back, err)
		}
	})
}

// Whatever is put behind a guarded host, an address that may be returned to is one of that host.
func FuzzMayReturn(f *testing.F) {
	for _, s := range []string{"/", "//evil.example", "/\\evil.example", "/a?b#c", "https://evil.example", "/\t/evil.example", "/%", "/:80", "@evil.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !mayReturn(s) {
			return
		}
		rest, ok := strings.CutPrefix("https://wiki.example"+s, "https://wiki.example/")
		if !ok || strings.ContainsAny(rest, "\\\t\r\n ") || len(s) > maxReturn {
			t.Fatalf("%q", s)
		}
		if u, err := url.Parse("https://wiki.example" + s); err == nil && (u.Host != "wiki.example" || u.User != nil) {
			t.Fatalf("%q leads to %s", s, u.Host)
		}
	})
}

// Nobody is led round in a circle: our own paths on a guarded host are no place to return to.
func TestSEC_F4_NobodyReturnsToTheSignInItself(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/.doorward-notes": true, "/.doorward": false, "/.doorward/": false, "/.doorward/start?to=/": false, "/.doorward/callback?ticket=x": false, "": false,
		"/" + strings.Repeat("a", maxReturn-1): true, "/" + strings.Repeat("a", maxReturn): false,
	} {
		if mayReturn(path) != want {
			t.Errorf("%.40q: %t", path, !want)
		}
	}
}
