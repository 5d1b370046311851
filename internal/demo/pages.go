package demo

import (
	"embed"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"doorward/internal/directory"
	"doorward/internal/web"
	"doorward/internal/web/catalog"
)

// Hosts of the demo's own pages.
const (
	TourHost = "tour.localhost"
	MailHost = "mail.localhost"
)

//go:embed *.html
var files embed.FS

// Set are the pages of the demo, for the gallery and the tests.
var Set = web.NewSet("demo", files)

// Pages is what the demo's own pages know.
type Pages struct {
	Dir     string
	People  []Person
	Clock   func() time.Time
	Keys    web.Keys
	Log     *slog.Logger
	Shop    string // addresses of the hosts, with port
	Wealth  string
	Tour    string
	Mailbox string
	Origin  func(host string) string
	Secrets map[string]string // of the applications, by client
	Call    *http.Client      // how they call their realm
}

// Site answers for the demo's own hosts, in the look of the product.
type Site struct {
	Pages
	mux     *http.ServeMux
	handler http.Handler
}

// NewPages makes the demo's own pages.
func NewPages(p Pages) *Site {
	s := &Site{Pages: p, mux: http.NewServeMux()}
	site := web.New(web.Options{Realms: own{}, Keys: p.Keys, Clock: p.Clock, Log: p.Log}, Set)
	site.Mount(s.mux)
	site.Handle(s.mux, "GET "+TourHost+"/{$}", s.tour)
	site.Handle(s.mux, "GET "+TourHost+"/events", s.tourEvents)
	site.Handle(s.mux, "GET "+MailHost+"/{$}", s.mailbox)
	site.Handle(s.mux, "GET "+MailHost+"/events", s.mailEvents)
	site.Handle(s.mux, "GET "+MailHost+"/message/{name}", s.message)
	site.Handle(s.mux, "GET "+MailHost+"/message/{name}/html", s.messageHTML)
	s.mountApps(site)
	// The layout's links to help lead to the shop's.
	site.Handle(s.mux, "GET /help/{article...}", func(w http.ResponseWriter, r *http.Request) error {
		return web.Leave(w, r, p.Shop+"/help/"+r.PathValue("article"))
	})
	site.Handle(s.mux, "GET /help", func(w http.ResponseWriter, r *http.Request) error { return web.Leave(w, r, p.Shop+"/help") })
	s.handler = site.Handler(s.mux)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serves reports whether the host is one of the demo's own.
func (s *Site) Serves(host string) bool { return slices.Contains(Hosts(), host) }

// Pattern is the route a request takes, for the log.
func (s *Site) Pattern(r *http.Request) string { _, p := s.mux.Handler(r); return p }

// own is the pseudo realm that gives the demo's pages a name and a look.
type own struct{}

// ByHost implements web.Realms.
func (own) ByHost(host string) (*directory.Realm, bool) {
	for _, r := range (own{}).All() {
		if r.Host == host {
			return r, true
		}
	}
	return nil, false
}

var looks = func() (all []*directory.Realm) {
	for _, host := range []string{TourHost, MailHost} {
		all = append(all, &directory.Realm{
			ID: "demo", Name: "Doorward", Host: host, Origin: "https://" + host, Languages: catalog.Languages, Zone: "Europe/Zurich",
			Brand: directory.Brand{Hue: 285, Chroma: .09, Paper: 285, Tint: .004, Panel: .3, Round: 1.5, Heading: "sans", Motif: "north"},
		})
	}
	for _, a := range applications {
		all = append(all, &directory.Realm{
			ID: "demo-" + a.ID, Name: a.Name, Host: a.Host, Origin: "https://" + a.Host, Languages: catalog.Languages, Zone: "Europe/Zurich", Brand: a.Brand,
		})
	}
	return all
}()

// All implements web.Realms.
func (own) All() []*directory.Realm { return looks }

// nav are the tabs of the demo's pages.
func (s *Site) nav(at string) []web.NavItem {
	return []web.NavItem{
		{Href: s.Tour + "/", Label: "demo.nav.tour", Current: at == "tour"},
		{Href: s.Mailbox + "/", Label: "demo.nav.mailbox", Current: at == "mailbox"},
		{Href: s.Shop + "/", Label: "demo.nav.shop"},
		{Href: s.Wealth + "/", Label: "demo.nav.wealth"},
	}
}
