package web

import (
	_ "embed"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

//go:embed assets/icons.svg
var iconFile string

var symbol = regexp.MustCompile(`(?s)<symbol id="([a-z-]+)" viewBox="0 0 24 24">(.*?)</symbol>`)

// icons maps a name to the drawing inside its svg element.
var icons = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, m := range symbol.FindAllStringSubmatch(iconFile, -1) {
		all[m[1]] = strings.TrimSpace(m[2])
	}
	return all
})

// functions are what all templates can call besides the methods of View. They depend on nothing but their arguments.
var functions = template.FuncMap{
	"icon":     icon,
	"address":  address,
	"tel":      tel,
	"initials": initials,
	"list":     func(items ...string) []string { return items },
	"seq":      seq,
	"groups":   groups,
}

// icon draws an icon of icons.svg, always beside a word; size "s" is the small one. An unknown name fails the page.
func icon(name string, size ...string) (template.HTML, error) {
	inner, ok := icons()[name]
	if !ok {
		return "", fmt.Errorf("web: no icon %q", name)
	}
	class := "i"
	if len(size) == 1 && size[0] == "s" {
		class = "i i--s"
	}
	return template.HTML(`<svg class="` + class + `" viewBox="0 0 24 24" aria-hidden="true">` + inner + `</svg>`), nil //nolint:gosec // our own drawing
}

// address prints an e-mail address that may break after the @.
func address(a string) template.HTML {
	local, host, ok := strings.Cut(a, "@")
	if !ok {
		return template.HTML(html.EscapeString(a)) //nolint:gosec // escaped
	}
	return template.HTML(html.EscapeString(local) + "@<wbr>" + html.EscapeString(host)) //nolint:gosec // escaped
}

// tel links a telephone number as written; empty for none.
func tel(number string) template.HTML {
	if number == "" {
		return ""
	}
	return template.HTML(`<a href="tel:` + dial(number) + `">` + html.EscapeString(number) + `</a>`) //nolint:gosec // digits and escaped text
}

// dial keeps what can be dialled.
func dial(number string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c == '+' {
			return c
		}
		return -1
	}, number)
}

// initials are one or two letters for the avatar, from a name or an address.
func initials(name string) string {
	local, _, isAddress := strings.Cut(name, "@")
	words := strings.FieldsFunc(local, func(c rune) bool {
		return unicode.IsSpace(c) || isAddress && strings.ContainsRune("._-+", c)
	})
	var out []rune
	for _, w := range words {
		for _, c := range w {
			if unicode.IsLetter(c) || unicode.IsDigit(c) {
				out = append(out, unicode.ToUpper(c))
				break
			}
		}
	}
	switch {
	case len(out) == 0:
		return "?"
	case len(out) > 2:
		return string([]rune{out[0], out[len(out)-1]})
	}
	return string(out)
}

// seq counts from 1 to n.
func seq(n int) []int {
	s := make([]int, max(n, 0))
	for i := range s {
		s[i] = i + 1
	}
	return s
}

// groups cuts a key or code into groups of n, for reading out.
func groups(n int, s string) []string {
	var out []string
	for len(s) > n {
		out, s = append(out, s[:n]), s[n:]
	}
	return append(out, s)
}
