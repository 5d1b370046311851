package demo

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/oauth2"

	"doorward/internal/secret"
	"doorward/internal/web"
)

// Payment is money that is to move.
type Payment struct {
	Payee  string
	Amount int // francs
}

// Paid is money that moved, and what was proven for it.
type Paid struct {
	Payment
	ACR      string
	AMR      []string
	AuthTime time.Time
}

// Whom money may go to, and how much of it. The form offers nothing else, so that nobody types an account number.
var (
	payees  = []string{"Clara Weiss", "Stiftung Bergwald"}
	amounts = []int{500, 2500, 12000}
)

// AppPage is the one page of an application.
type AppPage struct {
	web.View
	App      string // part of its message keys
	Provider string // name of the realm
	Known    *Known
	Pays     bool
	Paid     []Paid
}

// Payees are the choices of the form.
func (p *AppPage) Payees() (all []web.Choice) {
	for _, name := range payees {
		all = append(all, web.Choice{Value: name, Label: name})
	}
	return all
}

// Amounts are the choices of the form.
func (p *AppPage) Amounts() (all []web.Choice) {
	for _, n := range amounts {
		all = append(all, web.Choice{Value: strconv.Itoa(n), Label: p.T("demo.app.francs", "amount", n)})
	}
	return all
}

var sampleKnown = &Known{
	Subject: "0192", Email: "paul.moser@moser.example", Name: "Paul Moser", Organization: "Family Moser", Roles: []string{"member"},
	ACR: "urn:doorward:acr:mfa", AMR: []string{"pwd", "otp", "mfa"}, AuthTime: web.SampleTime, Session: "0193a5c2",
}

var (
	appPage = web.Define(Set, "app", web.Desk,
		web.Sample("stranger", AppPage{App: "store", Provider: "Northline Supply"}),
		web.Sample("complaints", AppPage{App: "complaints", Provider: "Northline Supply", Known: sampleKnown}),
		web.Sample("portfolio", AppPage{App: "portfolio", Provider: "Meridian Portal", Known: sampleKnown, Pays: true,
			Paid: []Paid{{Payment: Payment{payees[0], 2500}, ACR: sampleKnown.ACR, AMR: sampleKnown.AMR, AuthTime: web.SampleTime}}}))
)

// App is a sample application.
type App struct {
	application
	site   *Site
	op     *provider
	memory *memory
}

// Cookies of an application, each of its own host.
const (
	visitCookie = "visit"
	againCookie = "again" // a sign-in was begun anew by us
	againLife   = 60      // seconds
)

// mountApps adds the applications to the demo's pages.
func (s *Site) mountApps(site *web.Site) {
	for _, a := range applications {
		home, issuer := s.Origin(a.Host), s.Shop
		if a.Realm == "wealth" {
			issuer = s.Wealth
		}
		app := &App{application: a, site: s, memory: newMemory(), op: &provider{
			issuer: issuer, id: a.ID, Secret: secret.Text(s.Secrets[a.ID]), auth: a.Auth, callback: home + callbackPath, home: home + "/", client: s.Call, clock: s.Clock,
		}}
		site.Handle(s.mux, "GET "+a.Host+"/{$}", app.home)
		site.Handle(s.mux, "GET "+a.Host+"/events", app.events)
		site.Handle(s.mux, "GET "+a.Host+"/signin", app.signIn)
		site.Handle(s.mux, "GET "+a.Host+callbackPath, app.callback)
		site.Handle(s.mux, "POST "+a.Host+"/signout", app.signOut)
		site.Handle(s.mux, "POST "+a.Host+backchannelPath, app.backchannel)
		if a.Pays {
			site.Handle(s.mux, "POST "+a.Host+"/transfer", app.transfer)
		}
	}
}

func (a *App) provider() string {
	if a.Realm == "wealth" {
		return "Meridian Portal"
	}
	return "Northline Supply"
}

func (a *App) nav() []web.NavItem {
	items := []web.NavItem{{Href: a.site.Tour + "/", Label: "demo.nav.tour"}}
	for _, other := range applications {
		if other.Realm == a.Realm {
			items = append(items, web.NavItem{Href: a.site.Origin(other.Host) + "/", Label: "demo.app." + other.ID, Current: other.ID == a.ID})
		}
	}
	return items
}

func (a *App) home(w http.ResponseWriter, r *http.Request) error {
	page := AppPage{View: web.View{Nav: a.nav(), Events: "/events"}, App: a.ID, Provider: a.provider(), Pays: a.Pays}
	if v, ok := a.memory.look(web.Cookie(r, visitCookie), a.site.Clock()); ok && v.known != nil {
		page.Known, page.Paid = v.known, v.paid
		web.From(r).AllowForm(a.op.issuer) // where sign-out and the fresh proof lead
	}
	return appPage.Show(w, r, page)
}

// events tells an open page that its session has ended, also when that happened elsewhere.
func (a *App) events(w http.ResponseWriter, r *http.Request) error {
	cookie := web.Cookie(r, visitCookie)
	in := func() bool { v, ok := a.memory.look(cookie, a.site.Clock()); return ok && v.known != nil }
	last := in()
	return stream(w, r, func() time.Duration { return time.Second }, func() bool {
		now := in()
		changed := now != last
		last = now
		return changed
	})
}

func (a *App) signIn(w http.ResponseWriter, r *http.Request) error { return a.leave(w, r, nil) }

// leave sends the browser to the provider.
func (a *App) leave(w http.ResponseWriter, r *http.Request, pay *Payment) error {
	address, state, b, err := a.op.leave(r.Context(), web.From(r).Lang, pay)
	if err != nil {
		return a.refuse(w, r, "demo.app.refused-away", err)
	}
	web.SetCookie(w, visitCookie, a.memory.begin(web.Cookie(r, visitCookie), state, b), 0)
	return web.Leave(w, r, address)
}

// refuse says at home why it went no further, so that no answer stays in the address; the cause is for the log alone.
func (a *App) refuse(w http.ResponseWriter, r *http.Request, reason string, cause error, args ...any) error {
	if cause != nil {
		a.site.Log.LogAttrs(r.Context(), slog.LevelWarn, "a sample application's sign-in failed", slog.String("application", a.ID), slog.String("error", cause.Error()))
	}
	web.Flash(w, r, "warn", reason, args...)
	return web.Redirect(w, r, "/")
}

// callback takes the provider's answer. One that nobody here began, such as that of somebody who went on with another
// device or of an application that was restarted meanwhile, is thrown away and the sign-in begun anew: whoever is signed
// in at the provider is back at once, and a planted answer signs nobody in.
func (a *App) callback(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if q.Get("iss") != a.op.issuer {
		return a.refuse(w, r, "demo.app.refused-failed", errors.New("the answer is of another provider"))
	}
	cookie := web.Cookie(r, visitCookie)
	b, ok := a.memory.take(cookie, q.Get("state"), a.site.Clock())
	if !ok {
		if web.Cookie(r, againCookie) != "" {
			return a.refuse(w, r, "demo.app.refused-failed", errAnswer)
		}
		web.SetCookie(w, againCookie, "1", againLife)
		return web.Redirect(w, r, "/signin")
	}
	if code := q.Get("error"); code != "" {
		return a.refuse(w, r, "demo.app.refused-denied", nil, "code", known(code))
	}
	k, idToken, err := a.op.redeem(r.Context(), b, q.Get("code"))
	if err != nil {
		return a.refuse(w, r, "demo.app.refused-failed", withoutAnswer(err))
	}
	web.SetCookie(w, againCookie, "", -1)
	if b.pay == nil {
		web.SetCookie(w, visitCookie, a.memory.enter(cookie, k, idToken, nil, a.site.Clock()), 0)
		return web.Redirect(w, r, "/")
	}
	// Money moves for the person who asked for it, after a proof that is younger than the wish and is not the one they
	// came in with: times are whole seconds, and both may lie in the same one.
	v, in := a.memory.look(cookie, a.site.Clock())
	if !in || v.known == nil || v.known.Subject != k.Subject || !k.fresh(b.at) || !k.AuthTime.After(v.known.AuthTime) {
		return a.refuse(w, r, "demo.app.refused-weak", nil)
	}
	paid := &Paid{Payment: *b.pay, ACR: k.ACR, AMR: k.AMR, AuthTime: k.AuthTime}
	web.SetCookie(w, visitCookie, a.memory.enter(cookie, k, idToken, paid, a.site.Clock()), 0)
	web.Flash(w, r, "ok", "demo.app.paid", "amount", strconv.Itoa(paid.Amount), "payee", paid.Payee)
	return web.Redirect(w, r, "/")
}

// withoutAnswer leaves out of an error what the provider wrote: the body of a token answer may hold tokens.
func withoutAnswer(err error) error {
	var e *oauth2.RetrieveError
	if errors.As(err, &e) {
		return errors.New("the token endpoint answers " + strconv.Quote(e.ErrorCode))
	}
	return err
}

// known lets through an error code that the standards name, and nothing else of what stood in the address.
func known(code string) string {
	codes := []string{
		"access_denied", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_response_type", "server_error", "temporarily_unavailable",
		"login_required", "interaction_required", "consent_required", "unmet_authentication_requirements", "invalid_target",
	}
	if slices.Contains(codes, code) {
		return code
	}
	return "error"
}

// signOut forgets the browser here first, then has the session ended for every application.
func (a *App) signOut(w http.ResponseWriter, r *http.Request) error {
	cookie := web.Cookie(r, visitCookie)
	v, ok := a.memory.look(cookie, a.site.Clock())
	a.memory.leave(cookie)
	web.SetCookie(w, visitCookie, "", -1)
	if !ok || v.known == nil {
		return web.Redirect(w, r, "/")
	}
	address, err := a.op.signOut(r.Context(), v.idToken, web.From(r).Lang)
	if err != nil {
		return a.refuse(w, r, "demo.app.refused-away", err)
	}
	return web.Leave(w, r, address)
}

// backchannel hears from the provider that a session has ended (OpenID Connect Back-Channel Logout 2.8).
func (a *App) backchannel(w http.ResponseWriter, r *http.Request) error {
	t, err := a.op.ended(r.Context(), r.PostForm.Get("logout_token"))
	if err != nil || !a.memory.spend(t.TokenID, a.site.Clock()) {
		a.site.Log.LogAttrs(r.Context(), slog.LevelWarn, "a log-out token was refused", slog.String("application", a.ID), slog.Any("error", err))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_request"}`)) // the provider has gone away
		return nil
	}
	a.memory.end(t.SessionID, t.Subject)
	w.WriteHeader(http.StatusOK)
	return nil
}

// transfer asks for a fresh proof before money moves.
func (a *App) transfer(w http.ResponseWriter, r *http.Request) error {
	v, ok := a.memory.look(web.Cookie(r, visitCookie), a.site.Clock())
	if !ok || v.known == nil {
		return web.Redirect(w, r, "/")
	}
	amount, err := strconv.Atoi(r.PostForm.Get("amount"))
	pay := Payment{Payee: r.PostForm.Get("payee"), Amount: amount}
	if err != nil || !slices.Contains(amounts, amount) || !slices.Contains(payees, pay.Payee) {
		return web.Redirect(w, r, "/")
	}
	return a.leave(w, r, &pay)
}
