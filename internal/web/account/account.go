// Package account is "My account": what a person sees of their own sign-in, and what they may change themselves. It
// translates between pages and the use cases of selfservice and login, and holds no rule of its own.
package account

import (
	"context"
	"embed"
	"net/http"

	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/renewal"
	"doorward/internal/rollout"
	"doorward/internal/secret"
	"doorward/internal/selfservice"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room.
var Pages = web.NewSet("account", files)

// Flows begins what leads through a flow: a spare, a new password.
type Flows interface {
	web.Authenticator
	Begin(context.Context, login.Caller, login.Start) (login.View, error)
	Forgot(ctx context.Context, c login.Caller, typed string) error
}

// Door is the account's pages.
type Door struct {
	Site  *web.Site
	Flows Flows
	Self  *selfservice.Service
	// Exempts ends an exemption for its owner.
	Exempts *breakglass.Service
	// Renewals is what people do with the certificates of their devices, Showing how they show one.
	Renewals *renewal.Service
	Showing  Showing
	// Rollouts says what a roll-out asks of a person.
	Rollouts *rollout.Service
}

// Mount adds the routes.
func (d *Door) Mount(mux *http.ServeMux) {
	for pattern, h := range d.routes() {
		d.Site.HandleSigned(mux, pattern, d.Flows, h)
	}
}

func (d *Door) routes() map[string]web.SignedHandler {
	return map[string]web.SignedHandler{
		"GET /account":                               d.overview,
		"POST /account/ahead":                        d.ahead,
		"POST /account/exempt/end":                   d.endExemption,
		"GET /account/security":                      d.security,
		"POST /account/security/add":                 d.add,
		"POST /account/security/password":            d.password,
		"GET /account/security/{credential}/rename":  d.renamePage,
		"POST /account/security/{credential}/rename": d.rename,
		"GET /account/security/{credential}/remove":  d.removePage,
		"POST /account/security/{credential}/remove": d.remove,
		"POST /account/security/{credential}/change": d.change,
		"GET /account/security/{credential}/lost":    d.lostPage,
		"POST /account/security/{credential}/lost":   d.suspend,
		"POST /account/security/{credential}/renew":  d.renew,
		"POST /account/security/{credential}/resume": d.resume,
		"POST /account/sessions/{session}/end":       d.endSession,
		"POST /account/sessions/end-others":          d.endOthers,
		"GET /account/certificates":                  d.certificates,
		"GET /account/applications":                  d.applications,
		"GET /account/applications/{client}/remove":  d.removeApplicationPage,
		"POST /account/applications/{client}/remove": d.removeApplication,
		"GET /account/history":                       d.history,
		"GET /account/preferences":                   d.preferencesPage,
		"POST /account/preferences":                  d.preferences,
		"POST /account/settings":                     d.settings,
		"GET /account/administrators":                d.administrators,

		"GET /account/certificates/{certificate}/renew":                d.renewPage,
		"POST /account/certificates/{certificate}/renew":               d.renewCertificate,
		"POST /account/certificates/{certificate}/renew/password":      d.filePassword,
		"POST /account/certificates/{certificate}/renew/file":          d.file,
		"POST /account/certificates/{certificate}/renew/show":          d.showCertificate,
		"GET /account/certificates/{certificate}/renew/shown/{ticket}": d.shownCertificate,
		"POST /account/certificates/{certificate}/renew/cancel":        d.cancelRenewal,
		"GET /account/certificates/{certificate}/remove":               d.endPage,
		"POST /account/certificates/{certificate}/remove":              d.end,
		"POST /account/certificates/{certificate}/suspend":             d.suspendCertificate,
	}
}

// caller is the person as flows see them.
func caller(r *http.Request, by login.By) login.Caller {
	return login.Caller{
		Realm: by.Person.Realm, Browser: secret.Text(web.Cookie(r, "browser")), Device: secret.Text(web.Cookie(r, "device")),
		Session: secret.Text(web.Cookie(r, web.SessionCookie)), Network: by.Network, Agent: by.Agent, Language: by.Person.Language,
	}
}

// begin starts a flow of the signed-in person and leads to its first step. back is the place to return to.
func (d *Door) begin(w http.ResponseWriter, r *http.Request, by login.By, goal authn.Goal, back string) error {
	view, err := d.Flows.Begin(r.Context(), caller(r, by), login.Start{Goal: goal, Return: web.Section(back)})
	if err != nil {
		return err
	}
	if view.Browser != "" {
		web.SetCookie(w, "browser", view.Browser.Reveal(), 0)
	}
	return web.Redirect(w, r, "/signin/"+view.Flow.ID)
}

// add begins a spare: another authenticator beside the ones there are (REQ B63). The engine asks for a fresh complete
// login first where the last one is older than five minutes.
func (d *Door) add(w http.ResponseWriter, r *http.Request, by login.By) error {
	kind := authn.Kind(r.PostFormValue("kind"))
	if info, ok := authn.Info(kind); !ok || !info.Held {
		return fault.New(fault.Invalid, "not-expected")
	}
	return d.begin(w, r, by, authn.Goal{Bind: kind, Way: authn.ByEnrol}, "/account/security")
}

// password sends the link for a new password to the stored address; the flow behind it proves the second factor too.
func (d *Door) password(w http.ResponseWriter, r *http.Request, by login.By) error {
	if err := d.Flows.Forgot(r.Context(), caller(r, by), by.Person.Address); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "account.flash.password-mail")
	return web.Redirect(w, r, "/account/security")
}
