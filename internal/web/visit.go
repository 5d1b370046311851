package web

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones of people, wherever the program runs

	"golang.org/x/text/language"

	"doorward/internal/directory"
	"doorward/internal/web/catalog"
)

// Visit is one request as the pages see it. It lives as long as the request and belongs to one goroutine.
type Visit struct {
	Realm   *directory.Realm
	Lang    string // one of the realm's languages
	Zone    *time.Location
	Now     time.Time
	Network string // the client's address, without port
	Browser string // "Firefox on Windows"
	Agent   Agent
	Path    string // where this page is, without query
	Chosen  bool   // the language was chosen in this browser, not guessed
	MTLS    bool   // at a host where certificates are shown: nothing is a page

	site    *Site
	cookies []*http.Cookie // of the request, read once
	read    bool
	forms   []string // further origins that forms may lead to
	flash   *flash
	query   string
	get     bool
}

// LocaleCookie holds the language that an application asked for. It comes before what the browser says, and after what the
// person chose.
const LocaleCookie = "locale"

type visitKey struct{}

// From returns the visit of a request that came through Site.Handler. It panics on any other.
func From(r *http.Request) *Visit { return r.Context().Value(visitKey{}).(*Visit) }

func (s *Site) visit(r *http.Request, realm *directory.Realm) *Visit {
	v := &Visit{Realm: realm, Now: s.Clock(), Network: r.RemoteAddr, Path: r.URL.Path, query: r.URL.RawQuery, get: r.Method == http.MethodGet, site: s}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		v.Network = host
	}
	v.Agent = ParseAgent(r.UserAgent())
	v.Browser = v.Agent.String()
	v.Lang = pickLanguage(realm.Languages, Cookie(r, LocaleCookie), r.Header.Get("Accept-Language"))
	v.cookies, v.read = r.Cookies(), true
	if l := cookie(v.cookies, "lang"); slices.Contains(realm.Languages, l) {
		v.Lang, v.Chosen = l, true
	}
	v.Zone = zone(realm.Zone)
	return v
}

// zones keeps what was loaded: the standard library reads the file anew at every call. There are some hundred names.
var zones sync.Map

// zone loads an IANA zone; UTC where it is unknown, since a wrong name in the data must not break a page.
func zone(name string) *time.Location {
	if l, ok := zones.Load(name); ok {
		return l.(*time.Location)
	}
	l, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return time.UTC
	}
	zones.Store(name, l)
	return l
}

// For makes the visit speak the language and keep the time zone of a person who is known, unless they chose another
// language in this browser. Empty values change nothing.
func (v *Visit) For(lang, zoneName string) {
	if !v.Chosen && slices.Contains(v.Realm.Languages, lang) {
		v.Lang = lang
	}
	if zoneName != "" {
		v.Zone = zone(zoneName)
	}
}

// AllowForm lets the forms of this page lead, by redirects, to the origin of a relying party. Anything that is no https
// address (or http on loopback) is ignored.
func (v *Visit) AllowForm(address string) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.ContainsAny(u.Host, " ;,'\"") {
		return
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1")) {
		return
	}
	if origin := u.Scheme + "://" + u.Host; !slices.Contains(v.forms, origin) {
		v.forms = append(v.forms, origin)
	}
}

// Forget leaves the query out of the links of this page: on the answer to a request that was refused it holds whatever a
// stranger wanted to be shown under our name.
func (v *Visit) Forget() { v.query = "" }

// pickLanguage chooses among what the realm speaks; the first is the default.
func pickLanguage(offered []string, preferred, accept string) string {
	if slices.Contains(offered, preferred) {
		return preferred
	}
	if len(offered) == 0 {
		return "en"
	}
	if len(accept) > 512 { // no honest browser sends more; parsing is not free
		accept = ""
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return offered[0]
	}
	for _, tag := range wanted {
		base, _ := tag.Base()
		if slices.Contains(offered, base.String()) {
			return base.String()
		}
	}
	return offered[0]
}

// ChangeLanguage is the address of the language page that leads back here.
func (v *Visit) ChangeLanguage() string {
	back := v.Path
	if v.get && v.query != "" {
		back += "?" + v.query
	}
	return "/language?next=" + url.QueryEscape(back)
}

// LanguageName is the name of a language in itself.
func (v *Visit) LanguageName(lang string) string { return catalog.Names[lang] }

// LanguagePage lets a person choose the language without script.
type LanguagePage struct {
	View
	Next string
}

var languagePage = Define(Pages, "language", Door, Sample("plain", LanguagePage{Next: "/signin"}))

func (s *Site) languagePage(w http.ResponseWriter, r *http.Request) error {
	next := r.URL.Query().Get("next")
	if !LocalPath(next) {
		next = "/"
	}
	return languagePage.Show(w, r, LanguagePage{View: View{Back: next}, Next: next})
}

// year is how long a chosen language is remembered, in seconds.
const year = 365 * 24 * 3600

func (s *Site) language(w http.ResponseWriter, r *http.Request) error {
	if lang := r.PostFormValue("lang"); slices.Contains(From(r).Realm.Languages, lang) {
		SetCookie(w, "lang", lang, year)
	}
	next := r.PostFormValue("next")
	if !LocalPath(next) {
		next = "/"
	}
	return Redirect(w, r, next)
}

// WithVisit gives a request the visit v, for tests and the gallery.
func WithVisit(r *http.Request, v *Visit) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
}
