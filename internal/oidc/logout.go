package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

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

// Back-channel log-out: rows in the outbox, delivered by a job, retried, given up visibly.
const (
	settleBatch  = 200 // sessions in one transaction
	settleRounds = 50  // in one run
	logoutLease  = time.Minute
	logoutBatch  = 50
	logoutTries  = 8
	logoutWait   = 5 * time.Second // for one answer
)

// Farewells tells clients about sessions that ended: it finds authorizations whose session is over, ends them, and
// delivers what is due. It is run as a job on one node at a time and may be run again at any moment.
func (p *Provider) Farewells(ctx context.Context, realms []string, send func(context.Context, string, url.Values) error) error {
	var all []error
	for _, id := range realms {
		if err := p.collect(ctx, id); err != nil {
			all = append(all, err)
		}
	}
	var due []token.Logout
	now := p.Clock()
	if err := p.Store.Write(ctx, func(tx Tx) (err error) {
		due, err = tx.ClaimLogouts(now, logoutLease, logoutBatch)
		return err
	}); err != nil {
		return errors.Join(append(all, err)...)
	}
	for _, l := range due {
		if err := p.deliver(ctx, l, send); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// collect settles sessions that are over, each once: their authorizations end but for what outlives a session, and every
// client that wants to know, and got something in it, is told. The length of its work is that of what ended, however much
// is alive.
func (p *Provider) collect(ctx context.Context, realmID string) error {
	realm, err := p.Realms.Realm(realmID)
	if err != nil {
		return err
	}
	for range settleRounds {
		now, settled := p.Clock(), 0
		if err := p.Store.Write(ctx, func(tx Tx) error {
			ids, err := tx.SettleSessions(realmID, now, settleBatch)
			if settled = len(ids); err != nil || settled == 0 {
				return err
			}
			ended, err := tx.EndAuthorizationsOfSessions(realmID, ids, "session-ended", now)
			if err != nil {
				return err
			}
			told, err := tx.ClientsOfSessions(realmID, ids)
			if err != nil {
				return err
			}
			for _, l := range told {
				if rp, ok := client(realm, l.Client); !ok || rp.BackchannelLogoutURI == "" {
					continue
				}
				l.ID, l.Created, l.Due = newID(), now, now
				if err := tx.AddLogout(l); err != nil {
					return err
				}
			}
			if ended > 0 {
				tx.Bump()
			}
			return nil
		}); err != nil || settled < settleBatch {
			return err
		}
	}
	return nil
}

// deliver sends one logout token (OpenID Connect Back-Channel Logout 1.0, 2.5).
func (p *Provider) deliver(ctx context.Context, l token.Logout, send func(context.Context, string, url.Values) error) error {
	now := p.Clock()
	l.Attempts++
	err := p.sendLogout(ctx, l, now, send)
	switch {
	case err == nil:
		l.Done, l.Error = now, ""
	case l.Attempts >= logoutTries:
		l.Done, l.Error = now, err.Error()
		p.Log.LogAttrs(ctx, slog.LevelWarn, "back-channel log-out given up", slog.String("client", l.Client), slog.String("error", err.Error()))
	default:
		l.Error, l.Due = err.Error(), now.Add(time.Minute<<min(l.Attempts, 8))
	}
	p.Count("logout_delivery", "result", map[bool]string{true: "sent", false: "failed"}[err == nil])
	return p.Store.Write(ctx, func(tx Tx) error { return tx.FinishLogout(l) })
}

func (p *Provider) sendLogout(ctx context.Context, l token.Logout, now time.Time, send func(context.Context, string, url.Values) error) error {
	realm, err := p.Realms.Realm(l.Realm)
	if err != nil {
		return err
	}
	rp, ok := client(realm, l.Client)
	if !ok || rp.BackchannelLogoutURI == "" {
		return nil // it was taken away meanwhile
	}
	keys, err := p.Keys(ctx, l.Realm)
	if err != nil {
		return err
	}
	alg := rp.IDTokenAlg
	if alg == "" {
		alg = token.ES256
	}
	signer, err := keys.Signer(alg, now)
	if err != nil {
		return err
	}
	signed, err := signer.SignLogoutToken(token.LogoutToken{
		Issuer: realm.Origin, Subject: token.Subject(p.Ring, l.Realm, rp, l.Person), Audience: token.Audience{rp.ID},
		Issued: now.Unix(), Expires: now.Add(token.LogoutLife).Unix(), ID: newID(), Session: l.Session,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, logoutWait)
	defer cancel()
	return send(ctx, rp.BackchannelLogoutURI, url.Values{"logout_token": {signed}})
}
