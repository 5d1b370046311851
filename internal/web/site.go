package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"doorward/internal/directory"
)

// Realms finds the realm of a host name. It is asked at every request and must answer from memory.
type Realms interface {
	// ByHost finds the realm that shows pages under host: lower case, without port. The hosts that ask for certificates
	// belong to their realm too. The result is never changed afterwards.
	ByHost(host string) (*directory.Realm, bool)
	// All lists the realms, for the gallery.
	All() []*directory.Realm
}

// Keys makes keyed hashes, so that a cookie of ours cannot be made up by somebody else. secret.Ring is one.
type Keys interface {
	Hash(purpose, secret string) []byte
}

// Options are what a Site is made of. All but Dev are needed.
type Options struct {
	Realms Realms
	Keys   Keys
	Clock  func() time.Time
	Log    *slog.Logger
	Dev    bool // shows the gallery at /dev/pages
}

// Site is everything the pages share. It is made once and safe for concurrent use.
type Site struct {
	Options
	sets     []*Set
	patterns []string // as registered
	csrf     *http.CrossOriginProtection
	brands   brands
}

// New makes a Site. sets are the pages of all rooms, for the gallery.
func New(o Options, sets ...*Set) *Site {
	s := &Site{Options: o, sets: append([]*Set{Pages}, sets...), csrf: http.NewCrossOriginProtection()}
	s.csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, errForeign)
	}))
	return s
}

// AllowForeign lets forms of other sites reach one pattern ("POST /path"): requests of applications come from their own
// pages. What is behind it must change nothing by itself.
func (s *Site) AllowForeign(pattern string) { s.csrf.AddInsecureBypassPattern(pattern) }

// Mount adds the site's own routes: assets, brand, language, and in dev the gallery.
func (s *Site) Mount(mux *http.ServeMux) {
	s.Handle(mux, "GET /assets/{name}", s.asset)
	s.Handle(mux, "GET /brand/{name}", s.brand)
	s.Handle(mux, "GET /language", s.languagePage)
	s.Handle(mux, "POST /language", s.language)
	if s.Dev {
		s.mountGallery(mux)
	}
}

// Handler wraps the mux of all pages: it finds the realm and the language, sets the headers, refuses forms of other
// sites, and answers unknown paths and methods with pages. A host of no realm gets 421 and no page.
func (s *Site) Handler(mux *http.ServeMux) http.Handler {
	return s.visited(s.Realms.ByHost, false, mux)
}

// MTLSRealm finds the realm whose clients show certificates at host: lower case, without port (RFC 8705).
func (s *Site) MTLSRealm(host string) (*directory.Realm, bool) {
	name, ok := directory.HostOfMTLS(host)
	if !ok {
		return nil, false
	}
	realm, ok := s.Realms.ByHost(name)
	return realm, ok && realm.MTLSHost() == host
}

// MTLSHandler wraps the mux of what programs call at the hosts where they show certificates. There are no pages: what the
// mux does not know, and every error that would be a page, is plain text. Other sites are refused as everywhere: a browser
// that has a certificate would show it for them.
func (s *Site) MTLSHandler(mux *http.ServeMux) http.Handler {
	return s.visited(s.MTLSRealm, true, mux)
}

// CertRealm finds the realm whose people show device certificates at host: lower case, without port.
func (s *Site) CertRealm(host string) (*directory.Realm, bool) {
	name, ok := directory.HostOfCert(host)
	if !ok {
		return nil, false
	}
	return s.Realms.ByHost(name)
}

// CertHandler wraps the mux of the hosts where people's browsers show device certificates. Nothing there is a page: a browser
// passes through, and what it finds is told at the realm's own host.
func (s *Site) CertHandler(mux *http.ServeMux) http.Handler {
	return s.visited(s.CertRealm, true, mux)
}

// visited finds the realm of a request's host, makes the visit and goes into the mux.
func (s *Site) visited(find func(host string) (*directory.Realm, bool), mtls bool, mux *http.ServeMux) http.Handler {
	inner := s.csrf.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			s.unmatched(mux, w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		realm, ok := find(hostName(r.Host))
		if !ok {
			http.Error(w, "no such door", http.StatusMisdirectedRequest)
			return
		}
		v := s.visit(r, realm)
		v.MTLS = mtls
		setHeaders(w.Header())
		inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	})
}

// unmatched answers what no pattern takes. The mux knows whether that is 404, 405 (with Allow) or a redirect to the
// clean path; only its text is replaced by a page.
func (s *Site) unmatched(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	seen := &statusOnly{header: http.Header{}}
	mux.ServeHTTP(seen, r)
	switch {
	case seen.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", seen.header.Get("Allow"))
		s.fail(w, r, errMethod)
	case seen.status >= 300 && seen.status < 400:
		http.Redirect(w, r, seen.header.Get("Location"), seen.status)
	default:
		s.fail(w, r, errNoPage)
	}
}

// statusOnly keeps status and headers and drops the body.
type statusOnly struct {
	header http.Header
	status int
}

func (w *statusOnly) Header() http.Header         { return w.header }
func (w *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (w *statusOnly) WriteHeader(status int)      { w.status = status }

func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// setHeaders sets what holds for every answer (SEC F-1). Referrer-Policy is same-origin: nothing leaves the house, and
// browsers that do not send Sec-Fetch-Site still name their origin in a POST, which no-referrer would turn to "null" and
// so lock them out.
func setHeaders(h http.Header) {
	for i, header := range everywhere {
		h[header.name] = everywhere[i].value
	}
}

// everywhere are these headers, made once. Nobody writes into a value: Set puts another in its place, and Add copies.
var everywhere = func() (all []struct {
	name  string
	value []string
}) {
	for _, pair := range [][2]string{
		{"Content-Security-Policy", policy(nil)},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "same-origin"},
		{"Permissions-Policy", "camera=(self), publickey-credentials-get=(self), publickey-credentials-create=(self), " +
			"geolocation=(), microphone=(), payment=(), usb=(), serial=(), hid=(), midi=(), display-capture=(), browsing-topics=()"},
		{"Cache-Control", "no-store"},
	} {
		all = append(all, struct {
			name  string
			value []string
		}{http.CanonicalHeaderKey(pair[0]), []string{pair[1]}[:1:1]})
	}
	return all
}()

// policy is the content security policy; forms may additionally lead to the given origins.
func policy(forms []string) string {
	p := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
		"worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
	for _, f := range forms {
		p += " " + f
	}
	return p
}
