package oidc

import (
	"context"
	"net/http"
	"net/url"

	"doorward/internal/farewell"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

// LogoutPage asks before somebody is signed out at the wish of an application that did not prove who it is about.
type LogoutPage struct {
	web.View
	Client string // empty: unknown
	To     string // where to go afterwards: an address of the client, or empty
	ID     string // client_id, to check To again
	State  string
}

var logoutPage = web.Define(Pages, "logout", web.Door,
	web.Sample("plain", LogoutPage{Client: "Northline store", To: "https://store.northline.example/", ID: "store"}),
	web.Sample("unknown", LogoutPage{}))

// logout takes a wish to be signed out (OpenID Connect RP-Initiated Logout 1.0). With an id_token_hint of the person who
// is signed in here it is done at once; otherwise it is asked, since any site can send a browser here (SEC O-11).
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) error {
	realm, err := p.realm(r)
	if err != nil {
		return err
	}
	params, err := parameters(r)
	if err != nil {
		return p.refuse(w, r, err)
	}
	page, hint, err := p.farewell(r, realm, params)
	if err != nil {
		return p.refuse(w, r, err)
	}
	signed, err := p.Logins.Authenticate(r.Context(), realm.ID, secret.Text(web.Cookie(r, web.SessionCookie)))
	if fault.Of(err, fault.Expired) {
		return p.gone(w, r, page) // nobody is signed in: done already
	}
	if err != nil {
		return err
	}
	if hint.Session == signed.Session.ID && hint.Session != "" {
		return p.signOut(w, r, page)
	}
	web.From(r).For(signed.Person.Language, signed.Person.Zone)
	if page.To != "" {
		web.From(r).AllowForm(page.To)
	}
	return logoutPage.Show(w, r, page)
}

// farewell checks what a wish says: whose it is, and where it may lead.
func (p *Provider) farewell(r *http.Request, realm *login.Realm, params token.Params) (page LogoutPage, hint token.IDToken, err error) {
	id := params["client_id"]
	if raw := params["id_token_hint"]; raw != "" {
		keys, err := p.Keys(r.Context(), realm.ID)
		if err != nil {
			return page, hint, err
		}
		hint, err = keys.VerifyIDTokenHint(raw, realm.Origin, p.Clock())
		if err != nil || len(hint.Audience) != 1 || id != "" && id != hint.Audience[0] {
			return page, hint, &token.OAuthError{Code: token.CodeInvalidRequest, Description: "id_token_hint is not an ID token of this client"}
		}
		id = hint.Audience[0]
	}
	rp, ok := client(realm, id)
	if ok {
		page.Client, page.ID = rp.Name, rp.ID
	}
	if to := params["post_logout_redirect_uri"]; to != "" {
		if !ok || !token.MatchPostLogout(rp, to) {
			return page, hint, &token.OAuthError{Code: token.CodeInvalidRequest, Description: "post_logout_redirect_uri is not one that is registered for this client"}
		}
		page.To = to
		if state := params["state"]; len(state) <= 2048 {
			page.State = state
		}
	}
	return page, hint, nil
}

// confirmLogout takes the answer of the page.
func (p *Provider) confirmLogout(w http.ResponseWriter, r *http.Request) error {
	realm, err := p.realm(r)
	if err != nil {
		return err
	}
	page := LogoutPage{}
	if rp, ok := client(realm, r.PostFormValue("client")); ok {
		page.Client, page.ID = rp.Name, rp.ID
		if to := r.PostFormValue("to"); to != "" && token.MatchPostLogout(rp, to) {
			page.To, page.State = to, r.PostFormValue("state")
		}
	}
	if r.PostFormValue("answer") != "yes" {
		return web.Redirect(w, r, "/account")
	}
	return p.signOut(w, r, page)
}

func (p *Provider) signOut(w http.ResponseWriter, r *http.Request, page LogoutPage) error {
	v := web.From(r)
	if err := p.Logins.SignOut(r.Context(), login.Caller{
		Realm: v.Realm.ID, Session: secret.Text(web.Cookie(r, web.SessionCookie)), Network: v.Network, Agent: v.Browser,
	}); err != nil {
		return err
	}
	web.SetCookie(w, web.SessionCookie, "", -1)
	return p.gone(w, r, page)
}

// gone leads on after a sign-out: to the client where it said so, else to our own page.
func (p *Provider) gone(w http.ResponseWriter, r *http.Request, page LogoutPage) error {
	if page.To == "" {
		return web.Redirect(w, r, "/signout/done")
	}
	to := page.To
	if page.State != "" {
		u, err := url.Parse(to)
		if err != nil {
			return err
		}
		q := u.Query()
		q.Set("state", page.State)
		u.RawQuery = q.Encode()
		to = u.String()
	}
	return web.Leave(w, r, to)
}

// Farewells ends what came from sessions that are over, and tells applications, see package farewell.
func (p *Provider) Farewells(ctx context.Context, realms []string, send farewell.Send) error {
	return (&farewell.Job{
		Store: farewells{p.Store}, Ring: p.Ring, Realms: p.Realms, Keys: p.Keys, Clock: p.Clock, Log: p.Log, Count: p.Count,
	}).Run(ctx, realms, send)
}

type farewells struct{ Store }

// Write implements farewell.Store.
func (s farewells) Write(ctx context.Context, fn func(farewell.Tx) error) error {
	return s.Store.Write(ctx, func(tx Tx) error { return fn(tx) })
}
