package mail

import (
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"doorward/internal/directory"
)

func TestOKLCHAgreesWithTheSpecification(t *testing.T) {
	for _, c := range []struct {
		l, c, h float64
		want    string
	}{
		{0, 0, 0, "#000000"}, {1, 0, 0, "#ffffff"}, {.627955, .257683, 29.2339, "#ff0000"}, {.86644, .294827, 142.4953, "#00ff00"},
		{.452014, .313214, 264.052, "#0000ff"}, {.5998, 0, 0, "#808080"}, {.5, .4, 150, ""}, // the last has no screen color
	} {
		got := oklch(c.l, c.c, c.h)
		if c.want != "" && got != c.want {
			t.Errorf("oklch(%v %v %v) = %s, want %s", c.l, c.c, c.h, got, c.want)
		}
		if len(got) != 7 {
			t.Errorf("%q", got)
		}
	}
}

// luminance is the relative one of WCAG 2.2.
func luminance(t *rapid.T, hex string) float64 {
	n, err := strconv.ParseUint(hex[1:], 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	part := func(v uint64) float64 {
		if c := float64(v&255) / 255; c <= .04045 {
			return c / 12.92
		} else {
			return math.Pow((c+.055)/1.055, 2.4)
		}
	}
	return .2126*part(n>>16) + .7152*part(n>>8) + .0722*part(n)
}

func TestTextIsReadableForEveryBrand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := directory.Brand{
			Hue: rapid.Float64Range(0, 360).Draw(t, "hue"), Chroma: rapid.Float64Range(0, .16).Draw(t, "chroma"),
			Paper: rapid.Float64Range(0, 360).Draw(t, "paper"), Tint: rapid.Float64Range(0, .02).Draw(t, "tint"),
		}
		for name, p := range map[string]palette{"light": light(b), "dark": dark(b)} {
			for what, pair := range map[string][2]string{
				"text": {p.Ink, p.Surface}, "text on the page": {p.Ink, p.Bg}, "facts": {p.Ink, p.Sunken}, "small": {p.Ink2, p.Surface}, "foot": {p.Ink2, p.Bg},
				"link": {p.Link, p.Surface}, "button": {p.OnAccent, p.Accent}, "not me": {p.OnDeny, p.Deny},
			} {
				x, y := luminance(t, pair[0]), luminance(t, pair[1])
				if ratio := (max(x, y) + .05) / (min(x, y) + .05); ratio < 4.5 {
					t.Fatalf("%s, %s: %.2f (%v)", name, what, ratio, pair)
				}
			}
		}
	})
}
