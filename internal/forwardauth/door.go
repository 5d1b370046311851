// Package forwardauth is the door for applications that speak no protocol of ours: a reverse proxy in front of them asks
// for every request whether it may pass, and who is there.
//
// What this door promises:
//
//   - It answers configured proxies alone: an answer tells who somebody is (SEC N-2). Nothing of a question is believed
//     that the trusted edge did not hand on.
//   - A host that no application guards gets 403. What the path says never matters: exceptions stand in the proxy's
//     configuration, where one reader decides what a path means.
//   - The session's cookie stays on the realm's host. A guarded host has a cookie of its own, also __Host-, which opens
//     that host alone and is worth nothing when the session is over, on every node within five seconds.
//   - It comes into a browser only by a ticket that works once, for a minute, on that host, in the browser that asked for
//     it: a stranger can neither use somebody's ticket nor bring somebody into the stranger's session.
//   - People are led back to the guarded host only, to the letter.
package forwardauth

import (
	"context"
	"embed"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room. They are on the realm's host: a guarded host shows the application's pages.
var Pages = web.NewSet("forwardauth", files)

// Logins is what this door needs of login.Service.
type Logins interface {
	web.Authenticator
	Begin(context.Context, login.Caller, login.Start) (login.View, error)
	Suffices(ctx context.Context, s login.Signed, goal authn.Goal, since time.Time) (bool, error)
	Vouch(ctx context.Context, realm, id string) (login.Signed, error)
	SignOutOf(ctx context.Context, c login.Caller, id string) error
}

// Realms finds realms and guarded hosts from memory.
type Realms interface {
	ByHost(host string) (*directory.Realm, bool)
	// Guards reports whether a host name, without port, is guarded.
	Guards(host string) bool
	// Guard finds whose a guarded host is, with its port where that is not 443.
	Guard(host string) (*login.Realm, *directory.RelyingParty, bool)
}

// Options are what a Door is made of. All are needed but Count.
type Options struct {
	Store  Store
	Ring   *secret.Ring
	Logins Logins
	Realms Realms
	Keys   func(ctx context.Context, realm string) (*token.KeySet, error)
	Clock  func() time.Time
	Epoch  func() int64 // rises when a session, person, organization, credential or realm may have changed
	Log    *slog.Logger
	Count  func(metric string, labels ...string)
}

// Door answers proxies, and shows the few pages that lead to a guarded host. It is safe for concurrent use.
type Door struct {
	Options
	passes passes
}

// New makes a Door.
func New(o Options) *Door {
	if o.Count == nil {
		o.Count = func(string, ...string) {}
	}
	return &Door{Options: o, passes: passes{byKey: map[passKey]*pass{}}}
}

// Mount adds the pages on the realm's own host.
func (d *Door) Mount(site *web.Site, mux *http.ServeMux) {
	site.Handle(mux, "GET /forward-auth/start", d.start)
	site.Handle(mux, "GET /forward-auth/start/{request}", d.resume)
	site.Handle(mux, "GET /forward-auth/again", d.again)
}

// Paths of questions, and those that a proxy hands on from the guarded host.
const (
	pathCheck   = "/forward-auth/check"  // answers with a redirect where somebody has to sign in
	pathNginx   = "/forward-auth/nginx"  // answers with 401 and Doorward-Location: nginx knows no redirect here
	pathEnvoy   = "/forward-auth/envoy/" // the original path follows
	pathHost    = "/.doorward/"
	pathStart   = "/.doorward/start"
	pathTicket  = "/.doorward/callback"
	pathSignOut = "/.doorward/signout"
)

// Asked reports whether a request is one that only proxies send: a question, or what came for a guarded host.
func (d *Door) Asked(r *http.Request) bool {
	p := r.URL.Path
	return p == pathCheck || p == pathNginx || strings.HasPrefix(p, pathEnvoy) || strings.HasPrefix(p, pathHost) ||
		d.Realms.Guards(hostName(r.Host))
}

// Handler answers what proxies send, and leaves everything else to next. No page of next is ever shown under the name of a
// guarded host.
func (d *Door) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.Asked(r) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Del("Strict-Transport-Security") // the guarded host's own to say
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		d.proxied(w, r)
	})
}

// Pattern names the route of a request that Asked is true for, for the log: paths carry what people do in applications.
func (d *Door) Pattern(r *http.Request) string {
	switch p := r.URL.Path; {
	case p == pathCheck, p == pathNginx, p == pathStart, p == pathTicket, p == pathSignOut:
		return "proxy " + p
	case strings.HasPrefix(p, pathEnvoy):
		return "proxy " + pathEnvoy
	}
	return "proxy (no route)"
}

// proxied answers one request of a proxy. Paths are compared as they are, not cleaned: a redirect to a tidier path would
// be an answer to a question nobody asked.
func (d *Door) proxied(w http.ResponseWriter, r *http.Request) {
	said, ok := r.Context().Value(saidKey{}).(Said)
	if !ok {
		d.Count("forward_auth_checks", "result", "untrusted")
		say(w, http.StatusForbidden, "Only a configured proxy is answered here (server.proxies).")
		return
	}
	switch p := r.URL.Path; {
	case p == pathCheck, p == pathNginx, strings.HasPrefix(p, pathEnvoy):
		d.check(w, r, said)
	case p == pathStart || p == pathTicket || p == pathSignOut:
		d.onHost(w, r, said)
	default:
		say(w, http.StatusNotFound, "There is nothing here.")
	}
}

// say answers with a line of text: there is no page of ours on somebody else's host.
func say(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(words + "\n")) // the proxy has gone away
}

func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}
