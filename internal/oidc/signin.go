package oidc

import (
	"net/http"
	"strings"

	"doorward/internal/web"
)

// What the pages of a sign-in learn about the request that it was begun for.

// forget takes back what a browser was told about a request that is over.
func forget(w http.ResponseWriter) {
	web.SetCookie(w, "request", "", -1)
	web.SetCookie(w, web.LocaleCookie, "", -1)
}

// speak has the pages of a sign-in speak the language that the client asked for, until the person is known or chooses.
func (p *Provider) speak(w http.ResponseWriter, a asked) {
	if lang := a.ask.Language(a.realm.Languages); lang != "" {
		web.SetCookie(w, web.LocaleCookie, lang, 0)
	}
}

// Expected is the address of who is expected to sign in for a request (login_hint), "" where the client said nothing.
func (p *Provider) Expected(r *http.Request, id string) string {
	request, ok := strings.CutPrefix(id, "request:")
	if !ok {
		return ""
	}
	a, err := p.load(r, request)
	if err != nil {
		return "" // a hint is never a reason to fail
	}
	return a.ask.LoginHint
}

// Landing is where a sign-in that was begun for a request leads, "" for any other id. It lets the forms of the page lead
// on to the client, which they do by redirects.
func (p *Provider) Landing(r *http.Request, id string) string {
	request, ok := strings.CutPrefix(id, "request:")
	if !ok {
		return ""
	}
	v := web.From(r)
	err := p.Store.Read(r.Context(), func(tx Tx) error {
		row, err := tx.Request(v.Realm.ID, request)
		if err == nil && (!row.Over.IsZero() || !p.Clock().Before(row.Expires)) {
			return errRequestOver // answered in another tab
		}
		if err == nil {
			v.AllowForm(row.Params["redirect_uri"])
		}
		return err
	})
	if err != nil {
		return "/account"
	}
	return "/oauth2/authorize/" + request
}
