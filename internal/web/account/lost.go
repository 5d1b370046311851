package account

import (
	"net/http"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// LostPage is what to do about an authenticator that is gone: the quickest first, then what brings a new one.
type LostPage struct {
	web.View
	Factor Factor
	Spare  bool  // another one can be shown
	Codes  Codes // recovery codes
	Here   bool  // this session was opened with it
}

var lostPage = web.Define(Pages, "lost", web.Desk,
	web.Sample("only", LostPage{View: sampleView("/account/security"), Factor: sampleFactors[0], Here: true}),
	web.Sample("codes", LostPage{View: sampleView("/account/security"), Factor: sampleFactors[0], Here: true, Codes: sampleCodes(9)}),
	web.Sample("spare", LostPage{View: sampleView("/account/security"), Factor: sampleFactors[0], Spare: true, Codes: sampleCodes(9)}))

// change begins the guided way to another device: the old one ends when the new one is confirmed (REQ B56). The engine
// asks for a fresh complete login first.
func (d *Door) change(w http.ResponseWriter, r *http.Request, by login.By) error {
	f, err := d.one(r, by)
	if err != nil {
		return err
	}
	return d.begin(w, r, by, authn.Goal{Bind: f.Kind, Way: authn.ByEnrol, Replaces: f.ID}, "/account/security")
}

// renew begins the way to a new one without the old one: what remains is shown, and what the policy asks for beside it.
func (d *Door) renew(w http.ResponseWriter, r *http.Request, by login.By) error {
	f, err := d.one(r, by)
	if err != nil {
		return err
	}
	return d.begin(w, r, by, authn.Goal{Bind: f.Kind, Way: authn.ByReplace}, "/account/security")
}

func (d *Door) lostPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	f, err := d.one(r, by)
	if err != nil {
		return err
	}
	o, err := d.Self.Overview(r.Context(), by)
	if err != nil {
		return err
	}
	p := LostPage{View: web.Signed(by, "/account/security"), Factor: f, Spare: o.Spare, Codes: codes(o)}
	p.Back = "/account/security"
	for _, e := range by.Session.Evidence {
		p.Here = p.Here || e.Credential == f.ID
	}
	return lostPage.Show(w, r, p)
}

// suspend is the second click of two (SEC H-5). Where the session that does it ends with it, the sign-in page says so.
func (d *Door) suspend(w http.ResponseWriter, r *http.Request, by login.By) error {
	own, err := d.Self.Suspend(r.Context(), by, r.PathValue("credential"))
	if err != nil {
		return err
	}
	web.Flash(w, r, "ok", "account.flash.suspended")
	if own {
		return web.Redirect(w, r, "/signin")
	}
	return web.Redirect(w, r, "/account/security")
}

// resume lets it be used again. Where the login is older than five minutes the person signs in again and comes back.
func (d *Door) resume(w http.ResponseWriter, r *http.Request, by login.By) error {
	err := d.Self.Resume(r.Context(), by, r.PathValue("credential"))
	switch e := fault.As(err); {
	case e != nil && e.Code == "login-not-fresh":
		web.Flash(w, r, "warn", "account.flash.fresh-change")
		return d.begin(w, r, by, authn.Goal{}, "/account/security")
	case err != nil:
		return err
	}
	web.Flash(w, r, "ok", "account.flash.resumed")
	return web.Redirect(w, r, "/account/security")
}
