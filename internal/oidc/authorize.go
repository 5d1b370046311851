package oidc

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/session"
	"doorward/internal/token"
	"doorward/internal/web"
)

// Lifetimes of requests. One that waits for a person lives as long as an invitation may: whoever was invited on the way to
// an application still gets there (REQ B28).
const (
	requestLife = time.Hour
	pushedLife  = time.Minute // until a request_uri is presented (RFC 9126 2.2)
	waitingLife = 14 * 24 * time.Hour
	seconds     = int(waitingLife / time.Second)
)

// requestURI is the beginning of every request_uri (RFC 9126 2.2).
const requestURI = "urn:ietf:params:oauth:request_uri:"

// asked is an authorization request on its way: the row, its client and what it says.
type asked struct {
	realm *login.Realm
	row   token.Request
	rp    directory.RelyingParty
	ask   token.Ask
	fresh bool // answered at once: it was never kept
}

// device reports that a device asked, and not a browser that was sent here (RFC 8628).
func (a asked) device() bool { return a.row.Params["grant_type"] == directory.GrantDevice }

// authorize takes an authorization request, keeps it, and leads to its own address: from there it survives everything
// that signing in may take.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) error {
	realm, err := p.realm(r)
	if err != nil {
		return err
	}
	params, err := parameters(r)
	if err != nil {
		return p.refuse(w, r, err)
	}
	now := p.Clock()
	if done, err := p.atOnce(w, r, realm, params, now); done || err != nil {
		return err
	}
	if err := p.throttle(r, "authorize", authorizations, time.Minute); err != nil {
		return err
	}
	var id string
	params, signed, err := p.unwrap(r.Context(), realm, params, now)
	switch {
	case err != nil:
	case strings.HasPrefix(params["request_uri"], requestURI):
		id, err = p.present(r.Context(), realm, params, now)
	default:
		id, err = p.keep(r.Context(), realm, params, signed, token.Request{}, now)
	}
	if e := token.AsOAuth(err); e != nil {
		if e.ToClient {
			return p.answerEarly(w, r, realm, params, e)
		}
		return p.refuse(w, r, e)
	}
	if err != nil {
		return err
	}
	web.SetCookie(w, "request", id, seconds)
	return web.Redirect(w, r, "/oauth2/authorize/"+id)
}

// keep checks a request and stores it. What row already says (a handle, a shorter life) is kept.
func (p *Provider) keep(ctx context.Context, realm *login.Realm, params token.Params, signed bool, row token.Request, now time.Time) (string, error) {
	rp, _ := client(realm, params["client_id"])
	ask, err := token.CheckRequest(params, rp, token.Channel{Pushed: row.Handle != nil, Signed: signed})
	if err != nil {
		return "", err
	}
	if signed {
		ask.Params[wasSigned] = "yes"
	}
	row = fill(row, realm, rp, ask, now)
	return row.ID, p.Store.Write(ctx, func(tx Tx) error { return tx.AddRequest(row) })
}

// fill writes down a request that was checked.
func fill(row token.Request, realm *login.Realm, rp directory.RelyingParty, ask token.Ask, now time.Time) token.Request {
	row.ID, row.Realm, row.Client, row.Params = newID(), realm.ID, rp.ID, ask.Params
	// Kept in whole milliseconds, and never earlier than now: a sign-in that came just before must not pass for one that
	// was done for this request (max_age=0, prompt=login).
	row.Created = now.Add(time.Millisecond - 1).Truncate(time.Millisecond)
	if row.JKT == "" {
		row.JKT = ask.JKT
	}
	if row.Expires.IsZero() {
		row.Expires = now.Add(requestLife)
	}
	return row
}

// present redeems a request_uri of ours, once, for the client that pushed it. Any other is refused when the request is
// checked: nothing is fetched from where a request points to.
func (p *Provider) present(ctx context.Context, realm *login.Realm, params token.Params, now time.Time) (string, error) {
	gone := &token.OAuthError{Code: token.CodeInvalidRequest, Description: "request_uri is unknown, expired or used"}
	handle := strings.TrimPrefix(params["request_uri"], requestURI)
	var id string
	err := p.Store.Write(ctx, func(tx Tx) error {
		row, err := tx.RequestByHandle(realm.ID, p.Ring.Hash("oidc-request", handle))
		if fault.Of(err, fault.NotFound) || err == nil && row.Client != params["client_id"] {
			return gone
		}
		if err != nil {
			return err
		}
		if err := tx.UseRequest(realm.ID, row.ID, now); err != nil {
			if fault.As(err) != nil {
				return gone.Because(err)
			}
			return err
		}
		id = row.ID
		return tx.KeepRequest(realm.ID, row.ID, now.Add(requestLife))
	})
	return id, err
}

// load reads a kept request and checks it again, with its client as it is now.
func (p *Provider) load(r *http.Request, id string) (a asked, err error) {
	if a.realm, err = p.realm(r); err != nil {
		return a, err
	}
	if err = p.Store.Read(r.Context(), func(tx Tx) error {
		a.row, err = tx.Request(a.realm.ID, id)
		return err
	}); err != nil {
		if fault.Of(err, fault.NotFound) {
			err = errRequestOver
		}
		return a, err
	}
	if !a.row.Over.IsZero() || !p.Clock().Before(a.row.Expires) {
		if a.device() {
			return a, errDeviceOver
		}
		return a, errRequestOver
	}
	a.rp, _ = client(a.realm, a.row.Client)
	if a.device() {
		a.ask, err = checkDevice(token.Params(a.row.Params), a.rp)
		return a, err
	}
	a.ask, err = token.CheckRequest(token.Params(a.row.Params), a.rp, channel(a.row))
	return a, err
}

var errRequestOver = fault.New(fault.Expired, "request-over")

// resume goes on with a request: to sign-in where nobody is signed in, to a step-up where more was asked for than was
// shown, to consent where the client is not the operator's own, and to the client with a code where nothing is missing.
func (p *Provider) resume(w http.ResponseWriter, r *http.Request) error {
	a, err := p.load(r, r.PathValue("request"))
	if token.AsOAuth(err) != nil {
		return p.refuse(w, r, err)
	}
	if err != nil {
		return err
	}
	signed, err := p.Logins.Authenticate(r.Context(), a.realm.ID, secret.Text(web.Cookie(r, web.SessionCookie)))
	switch {
	case fault.Of(err, fault.Expired):
		if a.ask.Prompt.None {
			return p.answer(w, r, a, token.Refuse(token.CodeLoginRequired, "nobody is signed in"))
		}
		if !a.device() { // its code ends after ten minutes, whoever signs in
			if err := p.Store.Write(r.Context(), func(tx Tx) error {
				return tx.KeepRequest(a.realm.ID, a.row.ID, p.Clock().Add(waitingLife))
			}); err != nil {
				return err
			}
		}
		p.speak(w, a)
		return web.Redirect(w, r, "/signin?to=request:"+a.row.ID)
	case err != nil:
		return err
	}
	step, err := p.enough(r.Context(), a, signed)
	switch e := token.AsOAuth(err); {
	case e != nil:
		return p.answer(w, r, a, e)
	case err != nil:
		return err
	case !step.ok:
		return p.stepUp(w, r, a, signed, step)
	}
	return p.conclude(w, r, a, signed)
}

// conclude follows when enough was shown: consent where it is needed, then the code. A device is always asked about.
func (p *Provider) conclude(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed) error {
	if a.device() {
		return p.askAboutDevice(w, r, a, signed)
	}
	needed, err := p.needsConsent(r.Context(), a, signed)
	if err != nil {
		return err
	}
	if needed {
		if a.ask.Prompt.None {
			return p.answer(w, r, a, token.Refuse(token.CodeConsentRequired, "the person has not allowed this yet"))
		}
		return p.askConsent(w, r, a, signed)
	}
	return p.issue(w, r, a, signed)
}

// need is what a session lacks for a request: the goal of a step-up, and since when proofs count for it.
type need struct {
	ok    bool // nothing is lacking
	goal  authn.Goal
	since time.Time
}

// enough reports what the session lacks for this request. An *OAuthError is the answer to a request that no step-up can
// fulfil.
func (p *Provider) enough(ctx context.Context, a asked, signed login.Signed) (need, error) {
	now := p.Clock()
	n := need{goal: authn.Goal{Client: a.rp.ID, ACR: strings.Join(a.ask.ACR, " ")}, since: now.Add(-login.ProofLife)}
	authTime := session.AuthTime(signed.Session.Evidence)
	other, err := p.another(ctx, a, signed, now)
	if err != nil {
		return n, err
	}
	if other && !authTime.Before(a.row.Created) {
		return n, token.Refuse(token.CodeLoginRequired, "somebody else than the one expected has signed in")
	}
	if other || a.ask.Stale(authTime, a.row.Created, now) {
		if n.since = a.row.Created; a.ask.Prompt.None {
			return n, token.Refuse(token.CodeLoginRequired, "the person has to sign in again")
		}
		return n, nil
	}
	if n.ok, err = p.Logins.Suffices(ctx, signed, n.goal, time.Time{}); n.ok || err != nil {
		return n, err
	}
	// A wish is left out where nobody may be asked, and where this person could not fulfil it a moment ago. Without it the
	// policies must hold all the same.
	if n.goal.ACR != "" && !a.ask.ACRMust && (a.ask.Prompt.None || signed.Session.Created.After(a.row.Created)) {
		n.goal.ACR = ""
		if n.ok, err = p.Logins.Suffices(ctx, signed, n.goal, time.Time{}); n.ok || err != nil {
			return n, err
		}
	}
	switch {
	case a.ask.Prompt.None && a.ask.ACRMust:
		err = token.Refuse(token.CodeInteractionRequired, "the person has to show more")
	case a.ask.Prompt.None:
		err = token.Refuse(token.CodeLoginRequired, "the person has to show more")
	}
	return n, err
}

// another reports whether the client expects somebody else than who is signed in: by id_token_hint, or by a value for sub
// in claims (OpenID Connect Core 3.1.2.1 and 5.5.1).
func (p *Provider) another(ctx context.Context, a asked, signed login.Signed, now time.Time) (bool, error) {
	is, expected := token.Subject(p.Ring, a.realm.ID, a.rp, signed.Person.ID), a.ask.Claims.Subject()
	if expected != "" && expected != is || a.ask.Hint == "" {
		return expected != "" && expected != is, nil
	}
	keys, err := p.Keys(ctx, a.realm.ID)
	if err != nil {
		return false, err
	}
	hint, err := keys.VerifyIDTokenHint(a.ask.Hint, a.realm.Origin, now)
	return hint.Subject != is, err
}

// stepUp asks the person for what is missing. A class that they cannot reach is an error where the client insists, and
// left out where it was a wish.
func (p *Provider) stepUp(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed, n need) error {
	v := web.From(r)
	caller := login.Caller{
		Realm: a.realm.ID, Browser: secret.Text(web.Cookie(r, "browser")), Device: secret.Text(web.Cookie(r, "device")),
		Session: secret.Text(web.Cookie(r, web.SessionCookie)), Network: v.Network, Agent: v.Browser, Language: signed.Person.Language,
	}
	start := login.Start{Goal: n.goal, Return: "request:" + a.row.ID, Since: n.since}
	view, err := p.Logins.Begin(r.Context(), caller, start)
	if err == nil && view.Step.Act == authn.ActStuck && n.goal.ACR != "" {
		if a.ask.ACRMust {
			return p.answer(w, r, a, token.Refuse(token.CodeUnmetAuthentication, "this person cannot reach the class that was asked for"))
		}
		n.goal.ACR = ""
		if ok, err := p.Logins.Suffices(r.Context(), signed, n.goal, time.Time{}); err != nil {
			return err
		} else if ok && n.since.Before(a.row.Created) {
			return p.conclude(w, r, a, signed)
		}
		start.Goal = n.goal
		view, err = p.Logins.Begin(r.Context(), caller, start)
	}
	if err != nil {
		return err
	}
	if view.Browser != "" {
		web.SetCookie(w, "browser", view.Browser.Reveal(), 24*3600)
	}
	p.speak(w, a)
	return web.Redirect(w, r, "/signin/"+view.Flow.ID)
}

// answer sends the person back to the client with a refusal, and closes the request.
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, a asked, e *token.OAuthError) error {
	if a.device() { // there is nowhere to send it: the device reads it when it polls, or goes without
		return p.refuse(w, r, e)
	}
	if err := p.Store.Write(r.Context(), func(tx Tx) error { return tx.FinishRequest(a.realm.ID, a.row.ID, p.Clock()) }); err != nil {
		return err
	}
	forget(w)
	p.Count("authorization", "result", e.Code)
	return web.Leave(w, r, token.AnswerError(a.ask.Redirect, a.realm.Origin, a.ask.State, e))
}

// answerEarly is answer for a request that was never kept: its redirect address is the client's, its rest is wrong.
func (p *Provider) answerEarly(w http.ResponseWriter, r *http.Request, realm *login.Realm, params token.Params, e *token.OAuthError) error {
	rp, _ := client(realm, params["client_id"])
	if !token.MatchRedirect(rp, params["redirect_uri"]) {
		return p.refuse(w, r, e)
	}
	ask, _ := token.CheckRequest(params, rp, token.Channel{}) // only for state, which is checked there
	p.Count("authorization", "result", e.Code)
	return web.Leave(w, r, token.AnswerError(params["redirect_uri"], realm.Origin, ask.State, e))
}

// RefusalPage tells a person that an application asked wrongly, and the developer what is wrong (logged under the
// reference).
type RefusalPage struct {
	web.View
	Reference string
	Code      string
	Why       string
}

var refusalPage = web.Define(Pages, "refusal", web.Door,
	web.Sample("plain", RefusalPage{Reference: "K7QD-94MT", Code: "invalid_request", Why: "redirect_uri is not one that is registered for this client"}))

// refuse shows an error that must not be sent anywhere.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	web.From(r).Forget()
	e := token.AsOAuth(err)
	page := RefusalPage{Reference: web.Reference(), Code: e.Code, Why: e.Description}
	page.Status = http.StatusBadRequest
	p.Log.LogAttrs(r.Context(), slog.LevelWarn, "authorization request refused",
		slog.String("reference", page.Reference), slog.String("realm", web.From(r).Realm.ID), slog.String("error", e.Error()))
	p.Count("authorization", "result", e.Code)
	return refusalPage.Show(w, r, page)
}

// throttle bounds what one network may ask for.
func (p *Provider) throttle(r *http.Request, what string, limit int, window time.Duration) error {
	return p.Store.Write(r.Context(), p.reserve(r, what, limit, window))
}

// reserve is throttle as part of a transaction.
func (p *Provider) reserve(r *http.Request, what string, limit int, window time.Duration) func(Tx) error {
	v := web.From(r)
	return func(tx Tx) error {
		ok, retry, err := tx.Reserve("oidc:"+what+":"+v.Realm.ID+":"+login.Caller{Network: v.Network}.Net(), limit, window, p.Clock())
		if err == nil && !ok {
			err = fault.New(fault.Throttled, "too-many-starts", "minutes", int(retry/time.Minute)+1).After(retry)
		}
		return err
	}
}
