package oidc

import (
	"net/http"
	"time"

	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

// authorizations is how many requests a network may begin in a minute.
const authorizations = 300

// atOnce answers a plain authorization request of somebody who is signed in and of whom nothing more is needed: they are
// sent back with a code, and the request is never kept. Whatever is missing, wrong or has to be asked goes the long way, by
// a kept request: done is false then, and nothing was written.
func (p *Provider) atOnce(w http.ResponseWriter, r *http.Request, realm *login.Realm, params token.Params, now time.Time) (done bool, err error) {
	cookie := secret.Text(web.Cookie(r, web.SessionCookie))
	if cookie == "" || params["request"] != "" || params["request_uri"] != "" {
		return false, nil
	}
	a := asked{realm: realm, fresh: true}
	a.rp, _ = client(realm, params["client_id"])
	if a.ask, err = token.CheckRequest(params, a.rp, token.Channel{}); err != nil {
		return false, nil
	}
	a.row = fill(token.Request{}, realm, a.rp, a.ask, now)
	signed, err := p.Logins.Authenticate(r.Context(), realm.ID, cookie)
	if err != nil {
		return false, nil
	}
	if step, err := p.enough(r.Context(), a, signed); err != nil || !step.ok {
		return false, nil
	}
	if needed, err := p.needsConsent(r.Context(), a, signed); err != nil || needed {
		return false, nil
	}
	return true, p.issue(w, r, a, signed, p.reserve(r, "authorize", authorizations, time.Minute))
}
