package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"reflect"
	"sync"

	"doorward/internal/fault"
)

//go:embed layout/*.html page/*.html
var ownFiles embed.FS

// Pages are the pages of this package: language, errors.
var Pages = NewSet("web", sub(ownFiles, "page"))

func sub(f fs.FS, dir string) fs.FS {
	s, err := fs.Sub(f, dir)
	if err != nil {
		panic(err)
	}
	return s
}

// Layout is the frame of a page.
type Layout string

// The layouts. Door: one card beside the brand. DoorWide: the same with a wide card. Desk: the account, with tabs.
// Console: side navigation. Article: help, printable; it may define "aside".
const (
	Door     Layout = "door"
	DoorWide Layout = "door-wide"
	Desk     Layout = "desk"
	Console  Layout = "console"
	Article  Layout = "article"
)

// Set is the pages of one room.
type Set struct {
	Name  string
	files fs.FS
	pages []Entry
}

// NewSet makes a set; files holds NAME.html of each page, and part-*.html with templates that all pages of the set share.
func NewSet(name string, files fs.FS) *Set { return &Set{Name: name, files: files} }

// Entry is a page as the gallery and the tests see it.
type Entry interface {
	Name() string
	Layout() Layout
	Samples() []string
	// ShowSample writes the sample, with the visit of the request.
	ShowSample(w http.ResponseWriter, r *http.Request, sample string) error
	// Check type-checks the template against the struct and returns what is wrong.
	Check() []error
}

// Entries lists the pages in the order of their definition.
func (s *Set) Entries() []Entry { return s.pages }

// Page shows values of T in a template. It is made by Define, once, at package level.
type Page[T any] struct {
	set     *Set
	name    string
	layout  Layout
	samples []SampleOf[T]
	parse   func() (*template.Template, error)
}

// SampleOf is a value of a page as it may come, for the tests and the gallery.
type SampleOf[T any] struct {
	name string
	data T
	err  error
}

// Sample names a value.
func Sample[T any](name string, data T) SampleOf[T] { return SampleOf[T]{name: name, data: data} }

// With shows the sample as Fail would, with err.
func (s SampleOf[T]) With(err error) SampleOf[T] { s.err = err; return s }

// viewer is a struct that embeds View.
type viewer interface{ view() *View }

// Define registers a page: set/NAME.html, shown in a layout. T embeds View; samples cover every state of the page.
// A broken definition panics at start, which every test sees.
func Define[T any](set *Set, name string, layout Layout, samples ...SampleOf[T]) *Page[T] {
	if _, ok := any(new(T)).(viewer); !ok {
		panic(fmt.Sprintf("web: the struct of page %s/%s does not embed web.View", set.Name, name))
	}
	if len(samples) == 0 {
		panic(fmt.Sprintf("web: page %s/%s has no sample", set.Name, name))
	}
	p := &Page[T]{set: set, name: name, layout: layout, samples: samples}
	p.parse = sync.OnceValues(func() (*template.Template, error) { return parsePage(set.files, name, layout) })
	set.pages = append(set.pages, p)
	return p
}

// frame is the parsed layouts and components, cloned by each page; parsed when the first page is shown.
var frame = sync.OnceValues(func() (*template.Template, error) {
	return template.New("").Option("missingkey=error").Funcs(functions).ParseFS(ownFiles, "layout/*.html")
})

func parsePage(files fs.FS, name string, layout Layout) (*template.Template, error) {
	f, err := frame()
	if err != nil {
		return nil, err
	}
	t, err := f.Clone()
	if err != nil {
		return nil, err
	}
	if parts, _ := fs.Glob(files, "part-*.html"); len(parts) > 0 {
		if t, err = t.ParseFS(files, parts...); err != nil {
			return nil, err
		}
	}
	if t, err = t.ParseFS(files, name+".html"); err != nil {
		return nil, err
	}
	if t.Lookup("title") == nil || t.Lookup("main") == nil {
		return nil, fmt.Errorf("web: %s.html must define title and main", name)
	}
	if t.Lookup("aside") == nil {
		if t, err = t.New("aside").Parse(""); err != nil {
			return nil, err
		}
	}
	root := layout
	if root == DoorWide {
		root = Door
	}
	if t = t.Lookup("layout-" + string(root)); t == nil {
		return nil, fmt.Errorf("web: no layout %q", layout)
	}
	return t, nil
}

// Name of the page.
func (p *Page[T]) Name() string { return p.name }

// Layout of the page.
func (p *Page[T]) Layout() Layout { return p.layout }

// Samples names the samples.
func (p *Page[T]) Samples() []string {
	names := make([]string, len(p.samples))
	for i, s := range p.samples {
		names[i] = s.name
	}
	return names
}

// ShowSample implements Entry.
func (p *Page[T]) ShowSample(w http.ResponseWriter, r *http.Request, sample string) error {
	for _, s := range p.samples {
		if s.name != sample {
			continue
		}
		if s.err != nil {
			return p.Fail(w, r, s.data, s.err)
		}
		return p.Show(w, r, s.data)
	}
	return errNoPage
}

// Show writes the page. Nothing is written when it returns an error.
func (p *Page[T]) Show(w http.ResponseWriter, r *http.Request, data T) error {
	t, err := p.parse()
	if err != nil {
		return err
	}
	v := From(r)
	view := any(&data).(viewer).view()
	view.Visit, view.Layout = v, p.layout
	if v.flash == nil {
		v.flash = v.site.takeFlash(w, r)
	}
	for _, f := range reflect.ValueOf(&data).Elem().Fields() {
		if f.CanAddr() && f.Type() == reflect.TypeFor[Pager]() {
			f.Addr().Interface().(*Pager).view = view
		}
	}
	var b bytes.Buffer
	if err := t.Execute(&b, &data); err != nil {
		return err
	}
	if len(v.forms) > 0 {
		w.Header().Set("Content-Security-Policy", policy(v.forms))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", v.Lang)
	w.Header().Add("Vary", "Accept-Language, Cookie")
	if view.Status != 0 {
		w.WriteHeader(view.Status)
	}
	_, _ = w.Write(b.Bytes()) // the visitor has gone away
	return nil
}

// Fail shows the page again with what went wrong: a summary that links to the fields, the words beside each field, the
// status of the fault. An error that is no fault is returned, so that it becomes an error page.
func (p *Page[T]) Fail(w http.ResponseWriter, r *http.Request, data T, err error) error {
	if fault.As(err) == nil {
		return err
	}
	view := any(&data).(viewer).view()
	view.Problem = From(r).problem(err)
	if view.Status == 0 {
		view.Status = StatusOf(err)
	}
	retryAfter(w, err)
	return p.Show(w, r, data)
}

// ErrorPage says that something did not work, where there is no form to show again.
type ErrorPage struct {
	View
	Status    int
	Message   string
	Reference string // of an error of ours, to find it in the log
}

var errorPage = Define(Pages, "error", Door,
	Sample("not found", ErrorPage{Status: 404, Message: "There is no such page."}),
	Sample("ours", ErrorPage{Status: 500, Reference: "K7QD-94MT"}),
	Sample("busy", ErrorPage{Status: 503, Message: "We are very busy. Please try again in 30 seconds."}))
