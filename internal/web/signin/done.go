package signin

import (
	"net/http"
	"net/url"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/web"
)

// DonePage says that a factor was changed.
type DonePage struct {
	web.View
	What   string // a kind with words of its own: password, totp, recovery
	Signed bool
	To     string // where the sign-in leads that comes next: where this one was going, opaque
}

// SignIn is the address of that sign-in.
func (p DonePage) SignIn() string {
	if p.To == "" {
		return "/signin"
	}
	return "/signin?" + url.Values{"to": {p.To}}.Encode()
}

var donePage = web.Define(Pages, "done", web.Door,
	web.Sample("password", DonePage{What: "password"}),
	web.Sample("authenticator", DonePage{What: "totp", Signed: true}),
	web.Sample("certificate", DonePage{What: "cert"}),
	web.Sample("recovery codes", DonePage{What: "recovery", Signed: true}))

func (d *Door) done(w http.ResponseWriter, r *http.Request) error {
	what := r.URL.Query().Get("what")
	if what != string(authn.Password) && what != string(authn.TOTP) && what != string(authn.Recovery) && what != string(authn.Cert) {
		return fault.New(fault.NotFound, "no-page")
	}
	return donePage.Show(w, r, DonePage{What: what, Signed: d.signed(r), To: short(r.URL.Query().Get("to"))})
}

// StuckPage says why a flow cannot go on and what helps. Reason is the rest of two message keys.
type StuckPage struct {
	web.View
	Reason  string
	Flow    string
	Codes   bool // recovery codes would help
	Alone   bool // nothing is left but what the person knows
	Address string
	Number  string    // of the request that is being worked on; empty when there is none
	From    time.Time // a grant's, while it is not due
	Since   time.Time // when the account was frozen because its owner said "this was not me"
}

// reasons have words of their own: those of the engine, "blocked" of login, and "no-page" of this door.
var reasons = map[string]bool{
	string(authn.GrantNotYet): true, string(authn.GrantEnded): true, string(authn.NeedsGrant): true,
	string(authn.FactorSuspended): true, string(authn.NeedsGrant2): true, string(authn.NeedsCertificate): true,
	string(authn.NoCodes): true, string(authn.NeedsSignIn): true, string(authn.NothingLeft): true,
	string(authn.SetUpOver): true, string(authn.NotOffered): true, string(authn.NoWay): true,
	string(login.Blocked): true, "no-page": true,
}

func sampleStuck(reason authn.Reason) web.SampleOf[StuckPage] {
	return web.Sample(string(reason), StuckPage{Reason: string(reason), Address: "a.sample@northline.example"})
}

var stuckPage = web.Define(Pages, "stuck", web.Door,
	sampleStuck(login.Blocked), web.Sample("frozen", StuckPage{Reason: string(login.Blocked), Number: "K7QD-94MT", Since: web.SampleTime.Add(-time.Hour)}),
	web.Sample("due", StuckPage{Reason: string(authn.GrantNotYet), Number: "K7QD-94MT", From: web.SampleTime.Add(time.Hour)}), sampleStuck(authn.GrantEnded), sampleStuck(authn.NeedsGrant),
	web.Sample("alone", StuckPage{Reason: string(authn.NeedsGrant), Flow: "f", Alone: true}),
	sampleStuck(authn.FactorSuspended), web.Sample("suspended, with codes", StuckPage{Reason: string(authn.FactorSuspended), Flow: "f", Codes: true}), sampleStuck(authn.NeedsGrant2), sampleStuck(authn.NeedsCertificate),
	sampleStuck(authn.NoCodes), sampleStuck(authn.NeedsSignIn), sampleStuck(authn.NothingLeft), sampleStuck(authn.SetUpOver),
	sampleStuck(authn.NotOffered), sampleStuck(authn.NoWay), sampleStuck("no-page"))

func (d *Door) showStuck(w http.ResponseWriter, r *http.Request, v login.View, reason string, err error) error {
	if !reasons[reason] {
		reason = string(authn.NoWay)
	}
	web.KeepAsking(w, v.Flow.Address)
	page := StuckPage{Reason: reason, Flow: v.Flow.ID, Codes: v.Codes, Alone: v.Alone, Address: v.Flow.Address, Number: v.Helped.Number}
	switch {
	case reason == string(authn.GrantNotYet):
		page.From = v.Helped.From
	case v.Person.State == directory.Frozen && v.Helped.Why == helpdesk.NotMe:
		page.Since = v.Helped.Created
	}
	return answer(stuckPage, w, r, page, err)
}

// OverPage says that a flow is over and how to begin again.
type OverPage struct {
	web.View
	Why string // in words, when there is more to say than that it is over
}

var overPage = web.Define(Pages, "over", web.Door,
	web.Sample("plain", OverPage{}),
	web.Sample("too many wrong", OverPage{Why: "That was wrong five times, so we have stopped here for your safety. Nothing is lost."}))

// gone answers for a flow that cannot be shown. People who are signed in have simply gone back in their browser: they
// are led on to their account. Other faults become pages of their own.
func (d *Door) gone(w http.ResponseWriter, r *http.Request, err error) error {
	f := fault.As(err)
	switch {
	case f == nil || f.Kind != fault.Expired && f.Kind != fault.Rejected:
		return err
	case f.Kind == fault.Expired && r.Method == http.MethodGet && d.signed(r):
		return web.Redirect(w, r, account)
	}
	p := OverPage{View: web.View{Status: http.StatusGone}}
	if f.Kind == fault.Rejected {
		p.Why = web.From(r).Say(f)
	}
	return overPage.Show(w, r, p)
}
