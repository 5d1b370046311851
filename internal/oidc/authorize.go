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
}

// authorize takes an authorization request, keeps it, and leads to its own address: from there it survives everything
// that signing in may take.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) error {
	realm, err := p.realm(r)
	if err != nil {
		return err
	}
	raw := r.URL.Query()
	if r.Method == http.MethodPost {
		raw = r.PostForm
	}
	params, err := token.ParamsOf(raw)
	if err != nil {
		return p.refuse(w, r, err)
	}
	now := p.Clock()
	if err := p.throttle(r, "authorize", 300, time.Minute); err != nil {
		return err
	}
	var id string
	if params["request_uri"] != "" {
		id, err = p.present(r.Context(), realm, params, now)
	} else {
		id, err = p.keep(r.Context(), realm, params, token.Request{}, now)
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
func (p *Provider) keep(ctx context.Context, realm *login.Realm, params token.Params, row token.Request, now time.Time) (string, error) {
	rp, _ := client(realm, params["client_id"])
	ask, err := token.CheckRequest(params, rp, token.Channel{Pushed: row.Handle != nil})
	if err != nil {
		return "", err
	}
	row.ID, row.Realm, row.Client, row.Params, row.Created = newID(), realm.ID, rp.ID, ask.Params, now
	if row.JKT == "" {
		row.JKT = ask.JKT
	}
	if row.Expires.IsZero() {
		row.Expires = now.Add(requestLife)
	}
	return row.ID, p.Store.Write(ctx, func(tx Tx) error { return tx.AddRequest(row) })
}

// present redeems a request_uri, once, for the client that pushed it.
func (p *Provider) present(ctx context.Context, realm *login.Realm, params token.Params, now time.Time) (string, error) {
	gone := &token.OAuthError{Code: token.CodeInvalidRequest, Description: "request_uri is unknown, expired or used"}
	handle, ok := strings.CutPrefix(params["request_uri"], requestURI)
	if !ok {
		return "", &token.OAuthError{Code: token.CodeInvalidRequest, Description: "request_uri must come from the pushed authorization request endpoint"}
	}
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
func (p *Provider) load(r *http.Request) (a asked, err error) {
	if a.realm, err = p.realm(r); err != nil {
		return a, err
	}
	if err = p.Store.Read(r.Context(), func(tx Tx) error {
		a.row, err = tx.Request(a.realm.ID, r.PathValue("request"))
		return err
	}); err != nil {
		if fault.Of(err, fault.NotFound) {
			err = errRequestOver
		}
		return a, err
	}
	if !a.row.Over.IsZero() || !p.Clock().Before(a.row.Expires) {
		return a, errRequestOver
	}
	a.rp, _ = client(a.realm, a.row.Client)
	a.ask, err = token.CheckRequest(token.Params(a.row.Params), a.rp, token.Channel{Pushed: a.row.Handle != nil})
	return a, err
}

var errRequestOver = fault.New(fault.Expired, "request-over")

// resume goes on with a request: to sign-in where nobody is signed in, to a step-up where more was asked for than was
// shown, to consent where the client is not the operator's own, and to the client with a code where nothing is missing.
func (p *Provider) resume(w http.ResponseWriter, r *http.Request) error {
	a, err := p.load(r)
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
		if err := p.Store.Write(r.Context(), func(tx Tx) error {
			return tx.KeepRequest(a.realm.ID, a.row.ID, p.Clock().Add(waitingLife))
		}); err != nil {
			return err
		}
		return web.Redirect(w, r, "/signin?to=request:"+a.row.ID)
	case err != nil:
		return err
	}
	goal, since, enough, err := p.enough(r.Context(), a, signed)
	if err != nil {
		return err
	}
	if !enough {
		return p.stepUp(w, r, a, signed, goal, since)
	}
	return p.conclude(w, r, a, signed)
}

// conclude follows when enough was shown: consent where it is needed, then the code.
func (p *Provider) conclude(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed) error {
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

// enough reports whether what the session showed is enough for this request. Where it is not, goal and since are what a
// step-up has to reach.
func (p *Provider) enough(ctx context.Context, a asked, signed login.Signed) (goal authn.Goal, since time.Time, ok bool, err error) {
	now := p.Clock()
	goal = authn.Goal{Client: a.rp.ID, ACR: strings.Join(a.ask.ACR, " ")}
	since = now.Add(-login.ProofLife)
	authTime := time.Unix(token.Assure(signed.Session.Evidence).AuthTime, 0)
	if a.ask.Stale(authTime, a.row.Created.Truncate(time.Second), now) || p.another(a, signed, now) {
		return goal, a.row.Created, false, nil
	}
	if ok, err = p.Logins.Suffices(ctx, signed, goal, time.Time{}); ok || err != nil || goal.ACR == "" || a.ask.ACRMust {
		return goal, since, ok, err
	}
	if signed.Session.Created.After(a.row.Created) { // a wish that this person could not fulfil a moment ago
		goal.ACR = ""
		ok, err = p.Logins.Suffices(ctx, signed, goal, time.Time{})
	}
	return goal, since, ok, err
}

// another reports whether the id_token_hint names somebody else than who is signed in.
func (p *Provider) another(a asked, signed login.Signed, now time.Time) bool {
	if a.ask.Hint == "" {
		return false
	}
	keys, err := p.keys(context.Background(), a.realm.ID)
	if err != nil {
		return true
	}
	hint, err := keys.VerifyIDTokenHint(a.ask.Hint, a.realm.Origin, now)
	return err != nil || hint.Subject != token.Subject(p.Ring, a.realm.ID, a.rp, signed.Person.ID)
}

// stepUp asks the person for what is missing. A class that they cannot reach is an error where the client insists, and
// left out where it was a wish.
func (p *Provider) stepUp(w http.ResponseWriter, r *http.Request, a asked, signed login.Signed, goal authn.Goal, since time.Time) error {
	if a.ask.Prompt.None {
		return p.answer(w, r, a, token.Refuse(token.CodeLoginRequired, "the person has to show more, or again"))
	}
	v := web.From(r)
	caller := login.Caller{
		Realm: a.realm.ID, Browser: secret.Text(web.Cookie(r, "browser")), Device: secret.Text(web.Cookie(r, "device")),
		Session: secret.Text(web.Cookie(r, web.SessionCookie)), Network: v.Network, Agent: v.Browser, Language: signed.Person.Language,
	}
	start := login.Start{Goal: goal, Return: "request:" + a.row.ID, Since: since}
	view, err := p.Logins.Begin(r.Context(), caller, start)
	if err == nil && view.Step.Act == authn.ActStuck && goal.ACR != "" {
		if a.ask.ACRMust {
			return p.answer(w, r, a, token.Refuse(token.CodeUnmetAuthentication, "this person cannot reach the class that was asked for"))
		}
		goal.ACR = ""
		if ok, err := p.Logins.Suffices(r.Context(), signed, goal, time.Time{}); err != nil {
			return err
		} else if ok && since.Before(a.row.Created) {
			return p.conclude(w, r, a, signed)
		}
		start.Goal = goal
		view, err = p.Logins.Begin(r.Context(), caller, start)
	}
	if err != nil {
		return err
	}
	if view.Browser != "" {
		web.SetCookie(w, "browser", view.Browser.Reveal(), 24*3600)
	}
	return web.Redirect(w, r, "/signin/"+view.Flow.ID)
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

// answer sends the person back to the client with a refusal, and closes the request.
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, a asked, e *token.OAuthError) error {
	if err := p.Store.Write(r.Context(), func(tx Tx) error { return tx.FinishRequest(a.realm.ID, a.row.ID, p.Clock()) }); err != nil {
		return err
	}
	web.SetCookie(w, "request", "", -1)
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
	v := web.From(r)
	return p.Store.Write(r.Context(), func(tx Tx) error {
		ok, retry, err := tx.Reserve("oidc:"+what+":"+v.Realm.ID+":"+v.Network, limit, window, p.Clock())
		if err == nil && !ok {
			err = fault.New(fault.Throttled, "too-many-starts", "minutes", int(retry/time.Minute)+1).After(retry)
		}
		return err
	})
}
