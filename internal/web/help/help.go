package help

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room.
var Pages = web.NewSet("help", files)

// Door serves the help pages.
type Door struct{ site *web.Site }

// New makes the door.
func New(site *web.Site) *Door { return &Door{site} }

// Mount adds the routes.
func (d *Door) Mount(mux *http.ServeMux) {
	d.site.Handle(mux, "GET /help", d.index)
	d.site.Handle(mux, "GET /help/{slug}", d.article)
	d.site.Handle(mux, "GET /help/article/{slug}", d.article) // those at whose address a form stands: request, administrator
	d.site.Handle(mux, "GET /help/clock", d.clock)
	d.site.Handle(mux, "GET /help/clock/now", d.now)
	d.site.Handle(mux, "GET /help/authenticators", d.apps)
	d.site.Handle(mux, "GET /help/authenticator/{app}", d.app)
	d.site.Handle(mux, "GET /help/authenticator/{app}/{store}/qr.png", d.storeCode)
	d.site.Handle(mux, "GET /.well-known/change-password", func(w http.ResponseWriter, r *http.Request) error {
		return web.Redirect(w, r, "/account/security#password")
	})
	d.site.Handle(mux, "GET /.well-known/security.txt", d.securityTxt)
}

var errNoArticle = fault.New(fault.NotFound, "no-article")

// groups of the start page, in order. Their names are "help.group." + name.
var groups = []string{"start", "codes", "access", "safety", "people"}

// Link is an article in a list.
type Link struct {
	Href, Title, Lead, Icon string
}

func linkTo(a *article) Link {
	return Link{Href: "/help/" + a.Slug, Title: a.Title, Lead: a.Lead, Icon: a.Icon}
}

// Group is the articles of one group.
type Group struct {
	Name  string
	Links []Link
}

// IndexPage is the start page of the help, and the results of a search.
type IndexPage struct {
	web.View
	Query  string
	Found  []Link
	Groups []Group
}

var sampleLink = Link{Href: "/help/code", Title: "Problems with the code?", Lead: "What to do when a code is refused.", Icon: "clock"}

var indexPage = web.Define(Pages, "index", web.Article,
	web.Sample("plain", IndexPage{Groups: []Group{{Name: "start", Links: []Link{sampleLink}}}}),
	web.Sample("found", IndexPage{Query: "clock", Found: []Link{sampleLink}}),
	web.Sample("nothing", IndexPage{Query: "<unicorn>"}))

func (d *Door) index(w http.ResponseWriter, r *http.Request) error {
	v := web.From(r)
	p := IndexPage{Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	if p.Query != "" {
		for _, a := range libraries[v.Lang]().search(p.Query) {
			if wanted(a, v.Realm) {
				p.Found = append(p.Found, linkTo(a))
			}
		}
		return indexPage.Show(w, r, p)
	}
	for _, name := range groups {
		g := Group{Name: name}
		if name == "codes" && offersApps(v.Realm) {
			g.Links = append(g.Links, Link{Href: "/help/authenticators", Title: v.T("help.apps.title"), Lead: v.T("help.apps.lead"), Icon: "phone"})
		}
		for _, a := range shelf(v.Lang, v.Realm) {
			if a.Group == name {
				g.Links = append(g.Links, linkTo(a))
			}
		}
		if len(g.Links) > 0 {
			p.Groups = append(p.Groups, g)
		}
	}
	return indexPage.Show(w, r, p)
}

// ArticlePage is one article.
type ArticlePage struct {
	web.View
	Head  string
	Lead  template.HTML
	Steps bool
	Parts []Part
	Also  []Link
}

var articlePage = web.Define(Pages, "article", web.Article,
	web.Sample("steps", ArticlePage{Head: "Your code is refused", Lead: "Two minutes to mend.", Steps: true, Also: []Link{sampleLink}, Parts: []Part{
		{Heading: "Open the settings", Mine: true, Blocks: []Piece{{Kind: "text", HTML: "Look for <strong>Date and time</strong>."}, {Kind: "figure", HTML: figure("switch", "A switch that is on.", "The switch.")}}},
		{Heading: "On Windows", System: "windows", Blocks: []Piece{{Kind: "list", Items: []template.HTML{"One", "Two"}}, {Kind: "note", HTML: "Good to know."}, {Kind: "warn", HTML: "Take care."}}}}}),
	web.Sample("plain", ArticlePage{Head: "Privacy", Lead: "What we keep.", Parts: []Part{{Mine: true, Blocks: []Piece{{Kind: "text", HTML: "Text."}}}, {Heading: "Cookies", Mine: true, Blocks: []Piece{{Kind: "list", Items: []template.HTML{"One"}}}}}}))

func (d *Door) article(w http.ResponseWriter, r *http.Request) error {
	v := web.From(r)
	a := find(v.Lang, r.PathValue("slug"), v.Realm)
	if a == nil {
		return errNoArticle
	}
	return articlePage.Show(w, r, pageOf(v, a))
}

func pageOf(v *web.Visit, a *article) ArticlePage {
	p := ArticlePage{View: web.View{Back: "/help"}, Head: a.Title, Lead: v.Markup(a.Lead, "realm", v.Realm.Name), Steps: a.Steps, Parts: a.parts(v)}
	for _, slug := range a.Also {
		if other := find(v.Lang, slug, v.Realm); other != nil {
			p.Also = append(p.Also, linkTo(other))
		}
	}
	return p
}

// ClockPage compares the clocks and says how to mend a wrong one (REQ B52, B53).
type ClockPage struct {
	ArticlePage
	Server string // our time of day, with seconds
}

var clockPage = web.Define(Pages, "clock", web.Article,
	web.Sample("plain", ClockPage{Server: "10:14:00", ArticlePage: ArticlePage{Head: "Set the clock right", Lead: "Codes depend on the time.", Parts: []Part{
		{Heading: "On iPhone", System: "ios", Mine: true, Blocks: []Piece{{Kind: "text", HTML: "Open Settings."}}},
		{Heading: "On Windows", System: "windows", Blocks: []Piece{{Kind: "text", HTML: "Open Settings."}}}}}}))

func (d *Door) clock(w http.ResponseWriter, r *http.Request) error {
	v := web.From(r)
	a := find(v.Lang, "clock", v.Realm)
	if a == nil {
		return errNoArticle
	}
	return clockPage.Show(w, r, ClockPage{ArticlePage: pageOf(v, a), Server: v.Now.In(v.Zone).Format("15:04:05")})
}

// now tells the server's time to the clock page's script.
func (d *Door) now(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]int64{"now": d.site.Clock().UnixMilli()})
}

// securityTxt is RFC 9116: where to report what is wrong with the door.
func (d *Door) securityTxt(w http.ResponseWriter, r *http.Request) error {
	realm := web.From(r).Realm
	if realm.Desk.Mail == "" {
		return errNoArticle
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// The field must not lie far ahead (RFC 9116, 2.5.5): half a year from today, at midnight.
	expires := d.site.Clock().UTC().AddDate(0, 6, 0).Truncate(24 * time.Hour)
	_, _ = fmt.Fprintf(w, "Contact: mailto:%s\nExpires: %s\nPreferred-Languages: %s\nCanonical: %s/.well-known/security.txt\n",
		realm.Desk.Mail, expires.Format(time.RFC3339), strings.Join(realm.Languages, ", "), realm.Origin)
	return nil
}

// offersApps reports whether the realm has authenticators to choose from.
func offersApps(r *directory.Realm) bool {
	return slices.ContainsFunc(r.Apps, func(a directory.App) bool { return !a.Hidden })
}
