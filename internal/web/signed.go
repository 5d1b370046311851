package web

import (
	"context"
	"net/http"
	"slices"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
)

// Authenticator finds the person behind a session's secret; login.Service is one.
type Authenticator interface {
	Authenticate(ctx context.Context, realm string, cookie secret.Text) (login.Signed, error)
}

// SignedHandler answers one request of a person who is signed in.
type SignedHandler func(w http.ResponseWriter, r *http.Request, by login.By) error

// SessionCookie is the name of the session's cookie, without prefix.
const SessionCookie = "session"

// HandleSigned registers h for people who are signed in. Everybody else is led to the sign-in page: nothing of the page
// is computed for them, and a form they sent is not kept, since somebody else may sit there now.
func (s *Site) HandleSigned(mux *http.ServeMux, pattern string, auth Authenticator, h SignedHandler) {
	s.Handle(mux, pattern, func(w http.ResponseWriter, r *http.Request) error {
		v := From(r)
		signed, err := auth.Authenticate(r.Context(), v.Realm.ID, secret.Text(Cookie(r, SessionCookie)))
		if fault.Of(err, fault.Expired) {
			if Cookie(r, SessionCookie) != "" { // there was a session: say once that it ended, not at every visit
				SetCookie(w, SessionCookie, "", -1)
				Flash(w, r, "warn", "error.session-over")
			}
			return Redirect(w, r, "/signin?to="+Section(r.URL.Path))
		}
		if err != nil {
			return err
		}
		v.For(signed.Person.Language, signed.Person.Zone)
		return h(w, r, login.By{Signed: signed, Network: v.Network, Agent: v.Browser})
	})
}

// sections are the places a sign-in may lead back to, by name: a name in an address can be made up by anybody, so it
// must not be able to say more than this (SEC F-4).
var sections = map[string]string{
	"account": "/account", "security": "/account/security", "history": "/account/history", "applications": "/account/applications", "certificates": "/account/certificates",
	"preferences": "/account/preferences", "console": "/console", "people": "/console/people", "requests": "/console/requests",
}

// Section is the name of the place a path belongs to, "account" for any other.
func Section(path string) string {
	best := "account"
	for name, p := range sections {
		if (path == p || len(path) > len(p) && path[:len(p)+1] == p+"/") && len(p) > len(sections[best]) {
			best = name
		}
	}
	return best
}

// SectionPath is where a name leads; "/account" for an unknown one.
func SectionPath(name string) string {
	if p, ok := sections[name]; ok {
		return p
	}
	return sections["account"]
}

// Signed fills the view of a page for a person who is signed in: the navigation of the account, and the way to the
// console for those who look after others. current is the path of the page's tab.
func Signed(by login.By, current string) View {
	v := View{Me: Me{Name: by.Person.Name}}
	tabs := []NavItem{
		{Href: "/account", Label: "account.nav.overview"},
		{Href: "/account/security", Label: "account.nav.security"},
		{Href: "/account/applications", Label: "account.nav.applications"},
		{Href: "/account/history", Label: "account.nav.history"},
		{Href: "/account/preferences", Label: "account.nav.preferences"},
	}
	if by.Realm != nil && by.Realm.Policies.Asks(authn.Cert) {
		tabs = slices.Insert(tabs, 2, NavItem{Href: "/account/certificates", Label: "account.nav.certificates"})
	}
	if Manages(by.Person.Role) {
		tabs = append(tabs, NavItem{Href: "/console/people", Label: "account.nav.people"})
	}
	for i := range tabs {
		tabs[i].Current = tabs[i].Href == current
	}
	v.Nav = tabs
	return v
}

// Manages reports whether the console is of use to a role.
func Manages(r directory.Role) bool { return r == directory.Administrator || r.Staff() }
