package forwardauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"doorward/internal/audit"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

// What happens on the guarded host itself, under /.doorward/, which its proxy hands on to us: a cookie before a sign-in, the
// ticket after it, and the sign-out. Nothing here is a page.

func (d *Door) onHost(w http.ResponseWriter, r *http.Request, said Said) {
	o, err := d.original(r, said)
	switch {
	case errors.Is(err, errUnknown):
		say(w, http.StatusForbidden, "No application is guarded under this name.")
		return
	case err != nil:
		d.Log.LogAttrs(r.Context(), slog.LevelWarn, "a proxy's request cannot be read", slog.String("error", err.Error()))
		say(w, http.StatusBadRequest, "This cannot be answered: "+err.Error()+".")
		return
	}
	var answer func(http.ResponseWriter, *http.Request, original) error
	switch r.Method + " " + r.URL.Path {
	case "GET " + pathStart:
		answer = d.begin
	case "GET " + pathTicket:
		answer = d.callback
	case "GET " + pathSignOut:
		answer = func(w http.ResponseWriter, r *http.Request, o original) error {
			return web.Leave(w, r, o.realm.Origin+"/signout") // which asks: any page can send a browser here
		}
	case "POST " + pathSignOut:
		answer = d.signOut
	default:
		say(w, http.StatusMethodNotAllowed, "This cannot be asked for in this way.")
		return
	}
	if err := answer(w, r, o); err != nil {
		d.Log.LogAttrs(r.Context(), slog.LevelError, "forward-auth failed", slog.String("host", o.host), slog.String("error", err.Error()))
		say(w, http.StatusServiceUnavailable, "This does not work right now. Please try again.")
	}
}

// begin leaves a secret in the browser and sends it to the realm with the secret's hash: a ticket that comes back opens this
// host in this browser and in no other. Tabs that begin at the same time share it.
func (d *Door) begin(w http.ResponseWriter, r *http.Request, o original) error {
	q := r.URL.Query()
	to := "/"
	if q.Has("to") {
		to = q.Get("to")
	}
	if len(q["to"]) > 1 || !mayReturn(to) {
		say(w, http.StatusBadRequest, "The address to return to must be a path of this host.")
		return nil
	}
	own := web.Cookie(r, cookieStart)
	if !isNonce(own) {
		own = secret.Token()
	}
	web.SetCookie(w, cookieStart, own, int(waitingLife.Seconds()))
	return web.Leave(w, r, o.realm.Origin+"/forward-auth/start?"+url.Values{"host": {o.host}, "to": {to}, "nonce": {nonce(own)}}.Encode())
}

// nonce is what the realm's host learns of the secret in the browser.
func nonce(own string) string {
	sum := sha256.Sum256([]byte("doorward forward-auth " + own))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// isNonce reports whether a text has the form of 256 bits, as nonces and the secrets behind them have.
func isNonce(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == sha256.Size && len(s) == 43
}

// callback takes a ticket, once, and leaves the cookie of this host. A ticket of another host, another browser or another
// time opens nothing, and what it stood for is ended: somebody has it who should not.
func (d *Door) callback(w http.ResponseWriter, r *http.Request, o original) error {
	now, cookie := d.Clock(), secret.Text(secret.Token())
	ticket, own, have := secret.Text(r.URL.Query().Get("ticket")), web.Cookie(r, cookieStart), secret.Text(web.Cookie(r, cookieHost))
	var to string        // where to go on: an address of this host, from a ticket of this host
	var taken, here bool // the ticket was good; this browser has used it before
	err := d.Store.Write(r.Context(), func(tx Tx) error {
		to, taken, here = o.origin+"/", false, false
		code, err := tx.UseCode(d.hash("ticket", ticket), now)
		if fault.Of(err, fault.NotFound) {
			return nil
		}
		if err != nil && !fault.Of(err, fault.Conflict) && !fault.Of(err, fault.Expired) {
			return err
		}
		auth, missing := tx.Authorization(code.Realm, code.Authorization)
		if missing != nil {
			return missing
		}
		this := code.Realm == o.realm.ID && code.Client == o.rp.ID && len(auth.Resources) == 1 && auth.Resources[0] == o.origin
		if this {
			to = code.Redirect
		}
		if fault.Of(err, fault.Conflict) && this && have != "" { // the page was loaded again
			row, err := tx.Refresh(d.hash(cookieHost, have))
			if err != nil && !fault.Of(err, fault.NotFound) {
				return err
			}
			if here = err == nil && row.Authorization == auth.ID; here {
				return nil
			}
		}
		if err != nil || !this || !isNonce(own) || !secret.Equal(code.Challenge, nonce(own)) || !auth.Ended.IsZero() {
			if _, err := tx.EndAuthorization(code.Realm, auth.ID, "ticket-misused", now); err != nil {
				return err
			}
			tx.Bump()
			return nil
		}
		taken = true
		if err := tx.AddRefresh(token.Refresh{
			Hash: d.hash(cookieHost, cookie), Realm: auth.Realm, Client: auth.Client, Authorization: auth.ID, Created: now, Expires: auth.Until,
		}); err != nil {
			return err
		}
		who, err := tx.Person(auth.Realm, auth.Person)
		if err != nil {
			return err
		}
		c := caller(r, o)
		return tx.Audit(audit.Event{
			Realm: auth.Realm, At: now, Type: "client.authorized", Actor: who.ID, Person: who.ID, Organization: who.Organization, Session: auth.Session,
			Network: c.Network, Browser: c.Agent, Data: map[string]string{"client": o.rp.ID, "name": o.rp.Name, "host": o.host},
		})
	})
	switch {
	case err != nil:
		return err
	case taken:
		web.SetCookie(w, cookieHost, cookie.Reveal(), 0)
		web.SetCookie(w, cookieStart, "", -1)
		return web.Leave(w, r, to)
	case here:
		return web.Leave(w, r, to)
	}
	if p, err := d.pass(r.Context(), o, have); err == nil && p.enough { // another tab was faster
		return web.Leave(w, r, to)
	}
	q := url.Values{"host": {o.host}, "to": {to[len(o.origin):]}}
	return web.Leave(w, r, o.realm.Origin+"/forward-auth/again?"+q.Encode())
}

// signOut ends the session, at the application's own wish: a form of its pages. Forms of other sites are refused, or they
// could sign people out.
func (d *Door) signOut(w http.ResponseWriter, r *http.Request, o original) error {
	site, from := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
	if site != "same-origin" && (site != "" || from != o.origin) {
		say(w, http.StatusForbidden, "This form is not of this host.")
		return nil
	}
	if p, err := d.pass(r.Context(), o, secret.Text(web.Cookie(r, cookieHost))); err == nil {
		if err := d.Logins.SignOutOf(r.Context(), caller(r, o), p.session.ID); err != nil {
			return err
		}
	} else if !fault.Of(err, fault.Expired) {
		return err
	}
	web.SetCookie(w, cookieHost, "", -1)
	w.Header().Set("Clear-Site-Data", `"cache"`)
	return web.Leave(w, r, o.realm.Origin+"/signout/done")
}

// caller is who is on the other side of the proxy.
func caller(r *http.Request, o original) login.Caller {
	return login.Caller{Realm: o.realm.ID, Network: hostName(r.RemoteAddr), Agent: web.ParseAgent(r.UserAgent()).String()}
}
