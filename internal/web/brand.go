package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"doorward/internal/directory"
)

// marks are the built-in logos, motifs the drawings behind the brand panel.
var marks = map[string]string{
	"north":    `<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M6 26V10l20 14V8M21 12l5-5.5 5 5.5"/></svg>`,
	"meridian": `<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true"><circle cx="16" cy="16" r="13.25"/><ellipse cx="16" cy="16" rx="5.5" ry="13.25"/><path d="M2.75 16h26.5"/></svg>`,
	"plain":    `<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round" aria-hidden="true"><path d="M7 28V9l9-5 9 5v19M3 28h26M12.500 28V16h7v12"/></svg>`,
}

var motifs = map[string]string{
	"north": `<path d="M-20 640 180 440a24 24 0 0 1 34 0l206 206"/><path d="M-20 696 180 496a24 24 0 0 1 34 0l206 206"/><path d="M-20 752 180 552a24 24 0 0 1 34 0l206 206"/>` +
		`<path d="M-20 808 180 608a24 24 0 0 1 34 0l206 206"/><path d="M-20 864 180 664a24 24 0 0 1 34 0l206 206"/><path d="M-20 920 180 720a24 24 0 0 1 34 0l206 206"/><path d="M-20 976 180 776a24 24 0 0 1 34 0l206 206"/>`,
	"meridian": `<ellipse cx="400" cy="560" rx="60" ry="380"/><ellipse cx="400" cy="560" rx="140" ry="380"/><ellipse cx="400" cy="560" rx="220" ry="380"/>` +
		`<ellipse cx="400" cy="560" rx="300" ry="380"/><ellipse cx="400" cy="560" rx="380" ry="380"/><path d="M0 560h400M0 380h400M0 740h400"/>`,
	"plain": `<path d="M-10 640h420M-10 700h420M-10 760h420M-10 820h420M-10 880h420"/>`,
}

func drawing(from map[string]string, name string) string {
	if d, ok := from[name]; ok {
		return d
	}
	return from["plain"]
}

// Mark is the realm's logo, one of ours.
func (v *Visit) Mark() template.HTML {
	return template.HTML(drawing(marks, v.Realm.Brand.Motif)) //nolint:gosec // our own drawing
}

// Motif is the drawing behind the brand panel, one of ours.
func (v *Visit) Motif() template.HTML {
	return template.HTML(`<svg class="door__motif" viewBox="0 0 400 900" preserveAspectRatio="xMidYMax slice" aria-hidden="true">` + //nolint:gosec // our own drawing
		drawing(motifs, v.Realm.Brand.Motif) + `</svg>`)
}

// brands keeps the style sheet of each realm by its version.
type brands struct {
	mu  sync.Mutex
	all map[string]*sheet
}

type sheet struct {
	of   *directory.Realm
	css  []byte
	icon []byte
	hash string
}

func (b *brands) sheet(r *directory.Realm) *sheet {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.all[r.ID]; s != nil && s.of == r {
		return s
	}
	s := &sheet{of: r, css: brandCSS(r.Brand), icon: brandIcon(r.Brand)}
	sum := sha256.Sum256(append(append([]byte(nil), s.css...), s.icon...))
	s.hash = hex.EncodeToString(sum[:8])
	if b.all == nil {
		b.all = map[string]*sheet{}
	}
	b.all[r.ID] = s
	return s
}

// BrandSheet is the address of the realm's own style sheet; it changes with the brand.
func (v *Visit) BrandSheet() string { return "/brand/" + v.site.brands.sheet(v.Realm).hash + ".css" }

// BrandIcon is the address of the icon in the browser's tab.
func (v *Visit) BrandIcon() string { return "/brand/" + v.site.brands.sheet(v.Realm).hash + ".svg" }

// named is the sheet of the hash: that of the realm, or of another one whose pages the gallery shows under this host.
func (b *brands) named(hash string, r *directory.Realm) *sheet {
	own := b.sheet(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.all {
		if s.hash == hash && own.hash != hash {
			return s
		}
	}
	return own
}

// brand serves both. Another node may already have a newer brand, so an unknown hash gets the present sheet, not stored.
func (s *Site) brand(w http.ResponseWriter, r *http.Request) error {
	hash, ext, _ := strings.Cut(r.PathValue("name"), ".")
	sheet := s.brands.named(hash, From(r).Realm)
	if hash == sheet.hash {
		w.Header().Set("Cache-Control", immutable)
	}
	body, kind := sheet.css, "text/css; charset=utf-8"
	switch ext {
	case "css":
	case "svg":
		body, kind = sheet.icon, "image/svg+xml"
	default:
		return errNoPage
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // the visitor has gone away
	return nil
}

// clamp keeps a number of the realm's within what the colours can bear: contrast holds for any hue inside these bounds.
func clamp(x, lower, upper, otherwise float64) float64 {
	if !(x >= lower && x <= upper) { // also NaN
		return otherwise
	}
	return x
}

// numbers are the realm's tokens, made safe.
func numbers(b directory.Brand) directory.Brand {
	return directory.Brand{
		Hue: clamp(b.Hue, 0, 360, 262), Chroma: clamp(b.Chroma, 0, .16, .09), Paper: clamp(b.Paper, 0, 360, 262),
		Tint: clamp(b.Tint, 0, .02, .006), Panel: clamp(b.Panel, .15, .44, .3), Round: clamp(b.Round, 1, 2, 1), Heading: b.Heading,
	}
}

func brandCSS(b directory.Brand) []byte {
	n := numbers(b)
	display := ""
	if n.Heading == "serif" {
		display = "--display:var(--serif);--display-weight:400;"
	}
	return fmt.Appendf(nil, ":root{--hue:%g;--chroma:%g;--paper:%g;--tint:%g;--panel:%g;--round:%g;%s}\n", n.Hue, n.Chroma, n.Paper, n.Tint, n.Panel, n.Round, display)
}

func brandIcon(b directory.Brand) []byte {
	n := numbers(b)
	inner := strings.NewReplacer(` aria-hidden="true"`, "", `<svg `, `<svg x="6" y="6" width="20" height="20" color="#fff" `).Replace(drawing(marks, b.Motif))
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="oklch(%g %g %g)"/>%s</svg>`, n.Panel, n.Chroma, n.Hue, inner)
}
