// Package walker is a browser without JavaScript: it follows links, keeps cookies, and fills the one form of a step by
// the standard autocomplete values, as any script outside can. Tests use it to prove that no page needs a script.
package walker

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// Page is one answer, parsed.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   []byte
	Doc    *html.Node
}

// parse reads an answer's body as HTML.
func parse(u *url.URL, status int, header http.Header, body []byte) (*Page, error) {
	doc, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u, err)
	}
	return &Page{URL: u, Status: status, Header: header, Body: body, Doc: doc}, nil
}

// Title is the page's title.
func (p *Page) Title() string {
	if n := find(p.Doc, func(n *html.Node) bool { return n.Data == "title" }); n != nil {
		return text(n)
	}
	return ""
}

// Text is the text of the element with an id, white space folded; empty when there is none.
func (p *Page) Text(id string) string {
	if n := p.ID(id); n != nil {
		return text(n)
	}
	return ""
}

// ID is the element with an id, or nil.
func (p *Page) ID(id string) *html.Node {
	return find(p.Doc, func(n *html.Node) bool { return attr(n, "id") == id })
}

// Main is the text of the page's main part, for assertions on what a person reads.
func (p *Page) Main() string {
	if n := p.main(); n != nil {
		return text(n)
	}
	return ""
}

// Language is the language the page says it is in.
func (p *Page) Language() string {
	if n := find(p.Doc, func(n *html.Node) bool { return n.Data == "html" }); n != nil {
		return attr(n, "lang")
	}
	return ""
}

// Refresh is where a waiting page leads by itself without a script, and whether it does.
func (p *Page) Refresh() (string, bool) {
	for _, m := range []string{"<meta http-equiv=\"refresh\"", "<meta http-equiv=refresh"} {
		_, rest, ok := strings.Cut(strings.ToLower(string(p.Body)), m)
		if !ok {
			continue
		}
		tag, _, _ := strings.Cut(rest, ">")
		if _, target, ok := strings.Cut(tag, "url="); ok {
			return strings.Trim(target, "\"' /"), true
		}
		return p.URL.String(), true
	}
	return "", false
}

// Link finds the address of the first link whose text contains part, resolved; empty when there is none.
func (p *Page) Link(part string) string {
	n := find(p.Doc, func(n *html.Node) bool {
		return n.Data == "a" && attr(n, "href") != "" && strings.Contains(text(n), part)
	})
	if n == nil {
		return ""
	}
	return p.resolve(attr(n, "href"))
}

// Links are the addresses of all links of the page, resolved, in order.
func (p *Page) Links() []string {
	var out []string
	each(p.Doc, func(n *html.Node) {
		if h := attr(n, "href"); n.Data == "a" && h != "" {
			out = append(out, p.resolve(h))
		}
	})
	return out
}

func (p *Page) resolve(ref string) string {
	u, err := p.URL.Parse(ref)
	if err != nil {
		return ref
	}
	return u.String()
}

func (p *Page) main() *html.Node {
	if n := find(p.Doc, func(n *html.Node) bool { return n.Data == "main" }); n != nil {
		return n
	}
	return find(p.Doc, func(n *html.Node) bool { return n.Data == "body" })
}

// Form is a form of a page with the values that a browser would send if its first button was pressed.
type Form struct {
	Action string
	Method string
	Values url.Values
	fields []*html.Node
	submit []*html.Node
	page   *Page
}

// Forms are the forms in the page's main part, in order.
func (p *Page) Forms() []*Form {
	var out []*Form
	if m := p.main(); m != nil {
		each(m, func(n *html.Node) {
			if n.Data == "form" {
				out = append(out, p.form(n))
			}
		})
	}
	return out
}

// Form is the form of the step: the first in the page's main part that posts, else the first. nil when there is none.
func (p *Page) Form() *Form {
	forms := p.Forms()
	for _, f := range forms {
		if f.Method == http.MethodPost {
			return f
		}
	}
	if len(forms) > 0 {
		return forms[0]
	}
	return nil
}

// FormTo is the first form, anywhere on the page, whose action's path ends with suffix; nil when there is none.
func (p *Page) FormTo(suffix string) *Form {
	var out *Form
	each(p.Doc, func(n *html.Node) {
		if n.Data != "form" || out != nil {
			return
		}
		f := p.form(n)
		if u, err := url.Parse(f.Action); err == nil && strings.HasSuffix(u.Path, suffix) {
			out = f
		}
	})
	return out
}

func (p *Page) form(n *html.Node) *Form {
	f := &Form{Action: p.URL.String(), Method: http.MethodGet, Values: url.Values{}, page: p}
	if a := attr(n, "action"); a != "" {
		f.Action = p.resolve(a)
	}
	if strings.EqualFold(attr(n, "method"), "post") {
		f.Method = http.MethodPost
	}
	each(n, func(n *html.Node) {
		switch n.Data {
		case "input", "select", "textarea":
			f.field(n)
		case "button":
			if t := attr(n, "type"); t == "" || t == "submit" {
				f.submit = append(f.submit, n)
			}
		}
	})
	if len(f.submit) > 0 {
		f.Press(0)
	}
	return f
}

func (f *Form) field(n *html.Node) {
	name := attr(n, "name")
	if name == "" || has(n, "disabled") {
		return
	}
	switch kind := attr(n, "type"); {
	case n.Data == "select":
		each(n, func(o *html.Node) {
			if o.Data == "option" && (has(o, "selected") || f.Values.Get(name) == "") {
				v := attr(o, "value")
				if !has(o, "value") {
					v = text(o)
				}
				f.Values.Set(name, v)
			}
		})
	case n.Data == "textarea":
		f.Values.Add(name, text(n))
	case kind == "submit" || kind == "image":
		f.submit = append(f.submit, n)
		return
	case kind == "button" || kind == "reset" || kind == "file":
		return
	case kind == "checkbox" || kind == "radio":
		if has(n, "checked") {
			f.Values.Add(name, on(n))
		}
	default:
		f.Values.Add(name, attr(n, "value"))
	}
	f.fields = append(f.fields, n)
}

func on(n *html.Node) string {
	if v := attr(n, "value"); v != "" {
		return v
	}
	return "on"
}

// Buttons are the texts of the form's submit buttons, in order; the first is the main action.
func (f *Form) Buttons() []string {
	var out []string
	for _, b := range f.submit {
		if b.Data == "input" {
			out = append(out, attr(b, "value"))
		} else {
			out = append(out, text(b))
		}
	}
	return out
}

// Press chooses the submit button at index i: its name and value are sent, and those of the others are not.
func (f *Form) Press(i int) {
	for _, b := range f.submit {
		if name := attr(b, "name"); name != "" {
			f.Values.Del(name)
		}
	}
	b := f.submit[i]
	if name := attr(b, "name"); name != "" {
		f.Values.Set(name, attr(b, "value"))
	}
	if a := attr(b, "formaction"); a != "" {
		f.Action = f.page.resolve(a)
	}
}

// Fill sets the fields whose autocomplete value (or, failing that, name, id or type) is key. It reports whether there was one.
func (f *Form) Fill(key, value string) bool {
	for _, match := range []func(*html.Node) bool{
		func(n *html.Node) bool { return containsWord(attr(n, "autocomplete"), key) },
		func(n *html.Node) bool { return attr(n, "name") == key },
		func(n *html.Node) bool { return attr(n, "id") == key },
		func(n *html.Node) bool { return attr(n, "type") == key },
	} {
		done := false
		for _, n := range f.fields {
			if !match(n) || attr(n, "type") == "hidden" {
				continue
			}
			done = true
			switch attr(n, "type") {
			case "radio", "checkbox":
				if on(n) == value {
					f.Values.Set(attr(n, "name"), value)
				}
			default:
				f.Values.Set(attr(n, "name"), value)
			}
		}
		if done {
			return true
		}
	}
	return false
}

// Asks reports whether the form has a visible field with the autocomplete value.
func (f *Form) Asks(autocomplete string) bool {
	for _, n := range f.fields {
		if attr(n, "type") != "hidden" && containsWord(attr(n, "autocomplete"), autocomplete) {
			return true
		}
	}
	return false
}

func containsWord(s, word string) bool {
	for _, w := range strings.Fields(s) {
		if w == word {
			return true
		}
	}
	return false
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

func find(n *html.Node, match func(*html.Node) bool) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && match(d) {
			return d
		}
	}
	return nil
}

func each(n *html.Node, visit func(*html.Node)) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode {
			visit(d)
		}
	}
}

// text is what a person reads, white space folded; scripts and styles are not read.
func text(n *html.Node) string {
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
			return
		}
		if n.Type == html.ElementNode && (n.Data == "script" || n.Data == "style" || n.Data == "template") {
			return
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
		switch n.Data {
		case "p", "li", "h1", "h2", "h3", "div", "td", "th", "dt", "dd", "label", "option", "button", "br", "section":
			b.WriteByte(' ')
		}
	}
	walk(n)
	return strings.Join(strings.Fields(b.String()), " ")
}
