package mail

import (
	"fmt"
	"math"

	"doorward/internal/directory"
)

// Mail programs know no oklch() and no custom properties, so the design's colours are computed here, at the same fixed
// lightness as in the pages (which is what keeps text readable for every hue), and written as #rrggbb.

// palette is one colour scheme.
type palette struct {
	Bg, Surface, Sunken, Line, Ink, Ink2, Accent, Link, Deny, OnDeny, OnAccent string
}

func light(b directory.Brand) palette {
	return palette{
		Bg: oklch(.972, b.Tint, b.Paper), Surface: oklch(.994, b.Tint/3, b.Paper), Sunken: oklch(.957, b.Tint, b.Paper),
		Line: oklch(.895, b.Tint*1.4, b.Paper), Ink: oklch(.24, .022, b.Hue), Ink2: oklch(.45, .018, b.Hue),
		Accent: oklch(.41, b.Chroma, b.Hue), Link: oklch(.41, b.Chroma, b.Hue), OnAccent: oklch(.995, 0, 0),
		Deny: oklch(.47, .165, 27), OnDeny: oklch(.995, 0, 0),
	}
}

func dark(b directory.Brand) palette {
	return palette{
		Bg: oklch(.185, .02, b.Hue), Surface: oklch(.23, .024, b.Hue), Sunken: oklch(.272, .026, b.Hue),
		Line: oklch(.345, .026, b.Hue), Ink: oklch(.945, .008, b.Paper), Ink2: oklch(.775, .014, b.Paper),
		Accent: oklch(.82, b.Chroma*.85, b.Hue), Link: oklch(.82, b.Chroma*.85, b.Hue), OnAccent: oklch(.2, .03, b.Hue),
		Deny: oklch(.8, .11, 25), OnDeny: oklch(.2, .03, 25),
	}
}

// oklch is CSS Color 4's oklch() as sRGB. A colour that no screen has loses chroma until one has it; lightness and hue stay.
func oklch(l, c, h float64) string {
	rgb, ok := srgb(l, c, h)
	if !ok {
		lo, hi := 0.0, c
		for range 20 {
			mid := (lo + hi) / 2
			if _, ok := srgb(l, mid, h); ok {
				lo = mid
			} else {
				hi = mid
			}
		}
		rgb, _ = srgb(l, lo, h)
	}
	return fmt.Sprintf("#%02x%02x%02x", channel(rgb[0]), channel(rgb[1]), channel(rgb[2]))
}

func channel(v float64) int { return int(math.Round(255 * min(max(v, 0), 1))) }

// srgb converts over Oklab and linear light; the matrices are those of CSS Color 4.
func srgb(l, c, h float64) (rgb [3]float64, inside bool) {
	sin, cos := math.Sincos(h * math.Pi / 180)
	a, b := c*cos, c*sin
	x := cube(l + 0.3963377773761749*a + 0.2158037573099136*b)
	y := cube(l - 0.1055613458156586*a - 0.0638541728258133*b)
	z := cube(l - 0.0894841775298119*a - 1.2914855480194092*b)
	inside = true
	for i, v := range [3]float64{
		4.0767416360759574*x - 3.3077115392580616*y + 0.2309699031821044*z,
		-1.2684379732850317*x + 2.6097573492876882*y - 0.3413193760026573*z,
		-0.0041960761386756*x - 0.7034186179359362*y + 1.7076146940746117*z,
	} {
		if v < -1e-6 || v > 1+1e-6 {
			inside = false
		}
		if v <= 0.0031308 {
			rgb[i] = 12.92 * v
		} else {
			rgb[i] = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
	}
	return rgb, inside
}

func cube(v float64) float64 { return v * v * v }
