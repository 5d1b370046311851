package web

import (
	"errors"
	"fmt"
	"html"
	"html/template"
	"net/url"
	"strings"
	"time"

	"doorward/internal/fault"
	"doorward/internal/web/catalog"
)

// View is what every page struct embeds. The handler sets what applies; Show fills in the rest.
type View struct {
	*Visit  `json:"-"`
	Layout  Layout
	Status  int    // HTTP status, 0 for 200
	Step    int    // "Step 2 of 6" in a wizard; 0: none
	Of      int    //
	Back    string // path the back link leads to, empty for none
	Refresh int    // seconds after which a waiting page reloads itself where there is no script; 0: never
	Events  string // path of the event stream that moves a waiting page on, empty for none
	Problem *Problem
	Nav     []NavItem // tabs of the desk, side navigation of the console
	Me      Me        // who is signed in, for Desk and Console
}

func (v *View) view() *View { return v }

// NavItem is one entry of a navigation.
type NavItem struct {
	Href    string
	Label   string // message key
	Icon    string // console only
	Current bool
	Badge   int // how many wait, 0 for none
}

// Me is the person who is signed in, as layouts show them.
type Me struct {
	Name string
	Role string // a line below the name in the console, already in words
}

// Problem is what went wrong with a form.
type Problem struct {
	Items []ProblemItem
}

// ProblemItem is one thing to mend. Field is empty when the whole form is meant.
type ProblemItem struct {
	Field string
	Text  string
}

// problem puts an error into words; joined errors give one item each.
func (v *Visit) problem(err error) *Problem {
	p := &Problem{}
	var add func(error)
	add = func(err error) {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				add(e)
			}
			return
		}
		var f *fault.Error
		if errors.As(err, &f) {
			p.Items = append(p.Items, ProblemItem{Field: f.Field, Text: v.Say(f)})
		}
	}
	add(err)
	return p
}

// For returns the words beside a field; empty when it is right.
func (p *Problem) For(field string) string {
	if p == nil {
		return ""
	}
	for _, i := range p.Items {
		if i.Field == field {
			return i.Text
		}
	}
	return ""
}

// Say puts a fault into words: "error." + Code, or a general text of its kind where the catalogue has none. The
// placeholder retry is the time to wait. Anything else than a fault is never shown.
func (v *Visit) Say(err error) string {
	f := fault.As(err)
	if f == nil {
		return v.T("error.ours")
	}
	args := make([]any, 0, 2*len(f.Args)+2)
	for name, value := range f.Args {
		args = append(args, name, value)
	}
	if f.RetryAfter > 0 {
		args = append(args, "retry", f.RetryAfter)
	}
	key := "error." + f.Code
	if !catalog.Has("en", key) {
		key = "error.kind." + strings.ReplaceAll(f.Kind.String(), " ", "-")
		if f.RetryAfter > 0 {
			key += ".retry"
		}
	}
	return v.T(key, args...)
}

// T is the message of a key in the reader's language. args are pairs of name and value.
func (v *Visit) T(key string, args ...any) string {
	text, _ := catalog.Find(v.Lang, key, count(args))
	return catalog.Fill(text, v.filler(args))
}

// Rich is T for messages with **strong** and [words](name), where name is an argument that holds an address. Everything
// that comes from arguments is escaped, and an address must be a path of ours, a fragment, https:, tel: or mailto:.
func (v *Visit) Rich(key string, args ...any) template.HTML {
	text, _ := catalog.Find(v.Lang, key, count(args))
	return rich(text, v.filler(args))
}

// Markup is Rich for texts of the house that stand outside of the catalogues, such as articles: links may lead straight
// to a path of ours. Never hand it what an operator or a person wrote.
func (v *Visit) Markup(text string, args ...any) template.HTML { return rich(text, v.filler(args)) }

// Has reports whether the catalogue knows a key, for words that only some kinds have.
func (v *Visit) Has(key string) bool { return catalog.Has("en", key) }

// count finds the argument n, which chooses the plural form.
func count(args []any) int {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == "n" {
			switch n := args[i+1].(type) {
			case int:
				return n
			case int64:
				return int(n)
			}
		}
	}
	return 0
}

func (v *Visit) filler(args []any) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i+1 < len(args); i += 2 {
			if args[i] == name {
				return v.write(args[i+1]), true
			}
		}
		return "", false
	}
}

// write turns an argument into text as the reader writes it.
func (v *Visit) write(value any) string {
	switch x := value.(type) {
	case string:
		return x
	case int:
		return v.Number(int64(x))
	case int64:
		return v.Number(x)
	case time.Time:
		return v.Time(x)
	case time.Duration:
		return v.Span(x)
	case template.HTML: // never: it would be escaped in T and believed in Rich
		return html.EscapeString(string(x))
	}
	return fmt.Sprint(value)
}

// rich renders the small markup of messages.
func rich(text string, arg func(string) (string, bool)) template.HTML {
	var b strings.Builder
	strong := false
	for len(text) > 0 {
		i := strings.IndexAny(text, "*{[")
		if i < 0 {
			b.WriteString(html.EscapeString(text))
			break
		}
		b.WriteString(html.EscapeString(text[:i]))
		text = text[i:]
		switch {
		case strings.HasPrefix(text, "**"):
			if strong = !strong; strong {
				b.WriteString("<strong>")
			} else {
				b.WriteString("</strong>")
			}
			text = text[2:]
		case text[0] == '{':
			j := strings.IndexByte(text, '}')
			if j < 0 {
				j = len(text) - 1
			}
			if s, ok := arg(text[1:j]); ok {
				b.WriteString(html.EscapeString(s))
			} else {
				b.WriteString(html.EscapeString(text[:j+1]))
			}
			text = text[j+1:]
		case text[0] == '[':
			words, name, rest, ok := link(text)
			if !ok {
				b.WriteByte('[')
				text = text[1:]
				break
			}
			href, known := arg(name)
			if !known { // a path that stands in our own text
				href = name
			}
			label := html.EscapeString(catalog.Fill(words, arg))
			if safeLink(href) {
				fmt.Fprintf(&b, `<a href="%s">%s</a>`, html.EscapeString(href), label)
			} else {
				b.WriteString(label)
			}
			text = rest
		default:
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	if strong {
		b.WriteString("</strong>")
	}
	return template.HTML(b.String()) //nolint:gosec // built above from escaped pieces only
}

// link splits "[words](name)rest".
func link(text string) (words, name, rest string, ok bool) {
	i := strings.Index(text, "](")
	if i < 0 {
		return "", "", "", false
	}
	j := strings.IndexByte(text[i:], ')')
	if j < 0 {
		return "", "", "", false
	}
	return text[1:i], text[i+2 : i+j], text[i+j+1:], true
}

// safeLink refuses what a link must not be: script, data, other hosts without TLS.
func safeLink(href string) bool {
	if LocalPath(href) || strings.HasPrefix(href, "#") {
		return true
	}
	u, err := url.Parse(href)
	return err == nil && (u.Scheme == "https" && u.Host != "" || u.Scheme == "tel" || u.Scheme == "mailto")
}

// On says "Firefox on Windows" in the reader's language.
func (v *Visit) On(browser string) string {
	if browser == "" {
		return v.T("base.browser-unknown")
	}
	name, system, ok := strings.Cut(browser, " on ")
	if !ok {
		return browser
	}
	return v.T("base.browser-on", "browser", name, "system", system)
}

// Scope says what a scope lets an application see or do; one that is the application's own is quoted.
func (v *Visit) Scope(name string) string {
	if key := "oidc.scope." + name; v.Has(key) {
		return v.T(key)
	}
	return v.T("oidc.scope.other", "name", name)
}

// DeskOpen is the operator's words on office hours in the reader's language.
func (v *Visit) DeskOpen() string { return v.Realm.Desk.Hours.For(v.Lang) }

// DeskCall is the address that calls the help desk: digits and a plus, so that it may stand in a link as it is.
func (v *Visit) DeskCall() template.URL { return template.URL("tel:" + dial(v.Realm.Desk.Phone)) } //nolint:gosec // see dial

// Flash is what happened on the page before, nil for nothing.
func (v *Visit) Flash() *FlashNote {
	if v.flash == nil || v.flash.Key == "" {
		return nil
	}
	args := make([]any, 0, len(v.flash.Args))
	for _, a := range v.flash.Args {
		args = append(args, a)
	}
	return &FlashNote{Tone: v.flash.Tone, Text: v.Rich(v.flash.Key, args...)}
}
