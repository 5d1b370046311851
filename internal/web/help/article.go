package help

import (
	"embed"
	"fmt"
	"html"
	"html/template"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"doorward/internal/directory"
	"doorward/internal/web"
)

//go:embed content
var contentFiles embed.FS

//go:embed figure/*.svg
var figureFiles embed.FS

// article is one file, parsed.
type article struct {
	Slug, Title, Lead, Group, Version, Words, Needs, Icon string
	Also                                                  []string
	Steps                                                 bool
	Sections                                              []section // the first may have no heading
}

type section struct {
	System  string // ios, android, windows, macos, linux; empty for everybody
	Heading string
	Blocks  []block
}

// block is a paragraph, list item group, notice or figure.
type block struct {
	Kind    string // text, list, numbers, note, warn, figure
	Text    string
	Items   []string
	Alt     string
	Caption string
}

// parseArticle reads a file; what it does not know is an error, so that a slip of the pen does not reach a page.
func parseArticle(slug, text string) (*article, error) {
	head, body, ok := strings.Cut(text, "\n---\n")
	if !ok {
		return nil, fmt.Errorf("help: %s: no line of three dashes", slug)
	}
	a := &article{Slug: slug}
	for _, line := range strings.Split(strings.TrimSpace(head), "\n") {
		name, value, ok := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); !ok || value == "" {
			return nil, fmt.Errorf("help: %s: %q is no \"name: value\"", slug, line)
		}
		switch name {
		case "title":
			a.Title = value
		case "lead":
			a.Lead = value
		case "group":
			a.Group = value
		case "version":
			a.Version = value
		case "words":
			a.Words = value
		case "needs":
			a.Needs = value
		case "icon":
			a.Icon = value
		case "also":
			a.Also = strings.Fields(value)
		case "steps":
			a.Steps = value == "yes"
		default:
			return nil, fmt.Errorf("help: %s: nobody knows %q", slug, name)
		}
	}
	if a.Title == "" || a.Lead == "" || a.Version == "" || a.Icon == "" || !slices.Contains(groups, a.Group) {
		return nil, fmt.Errorf("help: %s: title, lead, group, version or icon is missing or unknown", slug)
	}
	return a, a.body(body)
}

var forSystem = regexp.MustCompile(`^\[(ios|android|windows|macos|linux)\] `)

func (a *article) body(text string) error {
	now := &section{}
	flush := func() {
		if now.Heading != "" || len(now.Blocks) > 0 {
			a.Sections = append(a.Sections, *now)
		}
	}
	for _, part := range strings.Split(strings.TrimSpace(text), "\n\n") {
		part = strings.TrimSpace(part)
		switch {
		case part == "":
		case strings.HasPrefix(part, "# "):
			heading, rest, _ := strings.Cut(part[2:], "\n")
			flush()
			now = &section{Heading: heading}
			if m := forSystem.FindStringSubmatch(heading); m != nil {
				now.System, now.Heading = m[1], heading[len(m[0]):]
			}
			if rest != "" {
				now.Blocks = append(now.Blocks, block{Kind: "text", Text: oneLine(rest)})
			}
		case strings.HasPrefix(part, "- "):
			b := block{Kind: "list"}
			for _, line := range strings.Split(part, "\n") {
				b.Items = append(b.Items, strings.TrimPrefix(line, "- "))
			}
			now.Blocks = append(now.Blocks, b)
		case strings.HasPrefix(part, "1. "):
			b := block{Kind: "numbers"}
			for i, line := range strings.Split(part, "\n") {
				text, ok := strings.CutPrefix(line, strconv.Itoa(i+1)+". ")
				if !ok {
					return fmt.Errorf("help: %s: %q is not step %d", a.Slug, line, i+1)
				}
				b.Items = append(b.Items, text)
			}
			now.Blocks = append(now.Blocks, b)
		case strings.HasPrefix(part, "> "):
			now.Blocks = append(now.Blocks, block{Kind: "note", Text: oneLine(part[2:])})
		case strings.HasPrefix(part, "! "):
			now.Blocks = append(now.Blocks, block{Kind: "warn", Text: oneLine(part[2:])})
		case strings.HasPrefix(part, "figure "):
			f := strings.Split(part[len("figure "):], " | ")
			if len(f) != 3 {
				return fmt.Errorf("help: %s: a figure needs name, alternative text and caption", a.Slug)
			}
			if _, err := figureFiles.ReadFile("figure/" + f[0] + ".svg"); err != nil {
				return fmt.Errorf("help: %s: no figure %q", a.Slug, f[0])
			}
			now.Blocks = append(now.Blocks, block{Kind: "figure", Text: f[0], Alt: f[1], Caption: f[2]})
		default:
			now.Blocks = append(now.Blocks, block{Kind: "text", Text: oneLine(part)})
		}
	}
	flush()
	if len(a.Sections) == 0 {
		return fmt.Errorf("help: %s is empty", a.Slug)
	}
	return nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// library is the articles of one language, by slug and in order.
type library struct {
	all    map[string]*article
	sorted []*article
	index  []entry
}

// load reads all articles of a language.
func load(lang string) (*library, error) {
	files, err := contentFiles.ReadDir("content/" + lang)
	if err != nil {
		return nil, err
	}
	l := &library{all: map[string]*article{}}
	for _, f := range files {
		b, err := contentFiles.ReadFile("content/" + lang + "/" + f.Name())
		if err != nil {
			return nil, err
		}
		text := string(b)
		if lang == "fr" {
			text = unbreakable.Replace(text)
		}
		a, err := parseArticle(strings.TrimSuffix(path.Base(f.Name()), ".txt"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", lang, err)
		}
		l.all[a.Slug] = a
		l.sorted = append(l.sorted, a)
	}
	for _, a := range l.sorted {
		l.index = append(l.index, entryOf(a))
	}
	return l, nil
}

// unbreakable puts the spaces of French typography where a line must not break. The body's own marks stay: they stand at
// the beginning of a line.
var unbreakable = strings.NewReplacer(" ?", "\u202f?", " !", "\u202f!", " ;", "\u202f;", " :", "\u00a0:", "« ", "«\u00a0", " »", "\u00a0»")

// libraries are read when a language is first asked for.
var libraries = map[string]func() *library{"en": once("en"), "de": once("de"), "fr": once("fr"), "it": once("it")}

func once(lang string) func() *library {
	return sync.OnceValue(func() *library {
		l, err := load(lang)
		if err != nil { // embedded files that every test reads
			panic(err)
		}
		return l
	})
}

// shelf is what a realm needs of the library: its articles about kinds that it does not use stay out.
func shelf(lang string, realm *directory.Realm) []*article {
	var out []*article
	for _, a := range libraries[lang]().sorted {
		if wanted(a, realm) {
			out = append(out, a)
		}
	}
	return out
}

func wanted(a *article, realm *directory.Realm) bool {
	return a.Needs == "" || realm.Policy == "" || strings.Contains(realm.Policy, a.Needs)
}

func find(lang, slug string, realm *directory.Realm) *article {
	if a := libraries[lang]().all[slug]; a != nil && wanted(a, realm) {
		return a
	}
	return nil
}

// Part is a section ready to be shown.
type Part struct {
	Heading template.HTML
	System  string
	Mine    bool // it is for the system this browser runs on, or for all
	Blocks  []Piece
}

// Piece is a block ready to be shown.
type Piece struct {
	Kind  string
	HTML  template.HTML
	Items []template.HTML
}

// parts fills in what the realm has set.
func (a *article) parts(v *web.Visit) []Part {
	args := []any{"realm", v.Realm.Name, "host", v.Realm.Host, "phone", v.Realm.Desk.Phone, "mail", v.Realm.Desk.Mail,
		"hours", v.Realm.Desk.Hours.For(v.Lang), "managers", v.Realm.Manager.For(v.Lang), "tel", v.DeskCall(), "mailto", "mailto:" + v.Realm.Desk.Mail}
	own := systems[v.Agent.System]
	var out []Part
	for _, s := range a.Sections {
		p := Part{Heading: v.Markup(s.Heading, args...), System: s.System, Mine: s.System == "" || s.System == own || own == ""}
		for _, b := range s.Blocks {
			piece := Piece{Kind: b.Kind}
			switch b.Kind {
			case "list", "numbers":
				for _, i := range b.Items {
					piece.Items = append(piece.Items, v.Markup(i, args...))
				}
			case "figure":
				piece.HTML = figure(b.Text, b.Alt, b.Caption)
			default:
				piece.HTML = v.Markup(b.Text, args...)
			}
			p.Blocks = append(p.Blocks, piece)
		}
		out = append(out, p)
	}
	return out
}

// systems maps what a browser says to the systems of sections.
var systems = map[string]string{"iOS": "ios", "iPadOS": "ios", "Android": "android", "Windows": "windows", "macOS": "macos", "Linux": "linux", "ChromeOS": "linux"}

// figure is a drawing of ours with its words.
func figure(name, alt, caption string) template.HTML {
	svg, err := figureFiles.ReadFile("figure/" + name + ".svg")
	if err != nil { // parseArticle has looked
		return ""
	}
	text := strings.TrimSpace(strings.Replace(string(svg), "<svg ", `<svg role="img" aria-label="`+html.EscapeString(alt)+`" `, 1))
	return template.HTML("<figure>" + text + "<figcaption>" + html.EscapeString(caption) + "</figcaption></figure>") //nolint:gosec // our own drawing and escaped words
}
