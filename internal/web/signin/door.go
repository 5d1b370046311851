package signin

import (
	"context"
	"embed"
	"net/http"
	"strings"

	"doorward/internal/authn"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room.
var Pages = web.NewSet("signin", files)

// Logins is what the pages need of login.Service; see there for what each promises.
type Logins interface {
	Begin(context.Context, login.Caller, login.Start) (login.View, error)
	Look(ctx context.Context, c login.Caller, flow string) (login.View, error)
	Prove(ctx context.Context, c login.Caller, flow string, a authn.Answer) (login.View, error)
	Choose(ctx context.Context, c login.Caller, flow, model string) (login.View, error)
	Perform(ctx context.Context, c login.Caller, flow string, d login.Done) (login.View, error)
	Decline(ctx context.Context, c login.Caller, flow string) error
	Later(ctx context.Context, c login.Caller, flow string) (login.View, error)
	Abandon(ctx context.Context, c login.Caller, flow string) error
	Bereft(ctx context.Context, c login.Caller, flow string) (login.Signed, authn.Kind, error)
	Lose(ctx context.Context, c login.Caller, flow string, found bool) (login.View, error)

	Peek(ctx context.Context, c login.Caller, purpose, token string) (login.Link, error)
	Follow(ctx context.Context, c login.Caller, purpose, token string) (login.View, error)
	Forgot(ctx context.Context, c login.Caller, address string) error
	Resend(ctx context.Context, c login.Caller, token string) error
	Remind(ctx context.Context, c login.Caller, flow string) error
	Renew(ctx context.Context, c login.Caller, flow string) (login.View, error)
	Awaits(ctx context.Context, c login.Caller, flow string) (mark string, err error)

	Authenticate(ctx context.Context, realm string, cookie secret.Text) (login.Signed, error)
	SignOut(context.Context, login.Caller) error
}

var _ Logins = (*login.Service)(nil)

// Options are what a Door is made of.
type Options struct {
	Logins Logins
	// Certificates lead to the host for certificates; needed where a realm's people have some.
	Certificates Certificates
	// Renewals make a certificate in a flow; needed with Certificates.
	Renewals Renewals
	// Landing resolves where a person goes who was let in, from the opaque id the flow was begun with: a path of this
	// host, or the address of a relying party from the realm's own data. Without it the id names a section of the
	// account (web.SectionPath).
	Landing func(r *http.Request, id string) string
	// Alone opens a request that nobody approves, for who has lost what they have and has nothing else left.
	Alone func(ctx context.Context, by login.By, lost authn.Kind) (helpdesk.Request, error)
	// Miss suspends what the person in a flow says is lost (SEC H-5).
	Miss func(ctx context.Context, by login.By, v login.View, credential string) error
	// Expected is the address that an application said would sign in, from the same id; empty, or nil, for none.
	Expected func(r *http.Request, id string) string
}

// Door shows the pages of flows. It is safe for concurrent use.
type Door struct {
	Options
	rating chan struct{} // bounds how many passwords are rated at once
}

// New makes a Door.
func New(o Options) *Door {
	if o.Landing == nil {
		o.Landing = func(_ *http.Request, id string) string { return web.SectionPath(id) }
	}
	if o.Expected == nil {
		o.Expected = func(*http.Request, string) string { return "" }
	}
	return &Door{Options: o, rating: make(chan struct{}, 2)}
}

// account is where people go who are signed in.
const account = "/account"

// Lifetimes of cookies in seconds. The browser's outlives a restart in the middle of a sign-in (REQ A31); a longer set-up
// goes on through its link. The session's ends with the browser, or earlier when the server says so.
const (
	browserLife = 24 * 3600
	deviceLife  = 365 * 24 * 3600
)

// caller is who is on the other side, for the use cases.
func caller(r *http.Request) login.Caller {
	v := web.From(r)
	return login.Caller{
		Realm:    v.Realm.ID,
		Browser:  secret.Text(web.Cookie(r, "browser")),
		Device:   secret.Text(web.Cookie(r, "device")),
		Session:  secret.Text(web.Cookie(r, web.SessionCookie)),
		Network:  v.Network,
		Agent:    v.Browser,
		Language: v.Lang,
		Return:   waiting(r),
	}
}

// waiting is the application's request that this browser came with, kept by the provider in a cookie: whoever has to set
// up first still gets there (REQ B28). What is no id is nothing.
func waiting(r *http.Request) string {
	id := web.Cookie(r, "request")
	if len(id) != 36 || strings.Trim(id, "0123456789abcdef-") != "" {
		return ""
	}
	return "request:" + id
}

// keep writes the cookies that an answer of the use cases asks for.
func keep(w http.ResponseWriter, v login.View) {
	if v.Browser != "" {
		web.SetCookie(w, "browser", v.Browser.Reveal(), browserLife)
	}
	if v.Minted == nil {
		return
	}
	web.SetCookie(w, web.SessionCookie, v.Minted.Cookie.Reveal(), 0)
	if v.Minted.Device != "" {
		web.SetCookie(w, "device", v.Minted.Device.Reveal(), deviceLife)
	}
}

// land sends a person who was let in to where they wanted to go.
func (d *Door) land(w http.ResponseWriter, r *http.Request, id string) error {
	to := d.Landing(r, id)
	switch {
	case to == "":
		return web.Redirect(w, r, account)
	case web.LocalPath(to):
		return web.Redirect(w, r, to)
	default:
		return web.Leave(w, r, to)
	}
}

// signed reports whether the browser has a live session. If so, the page speaks the person's language: a page about
// one's own account must not change it between two steps.
func (d *Door) signed(r *http.Request) bool {
	c := caller(r)
	if c.Session == "" {
		return false
	}
	who, err := d.Logins.Authenticate(r.Context(), c.Realm, c.Session)
	if err == nil {
		web.From(r).For(who.Person.Language, who.Person.Zone)
	}
	return err == nil
}

// answer shows a page, or shows it again with what went wrong.
func answer[T any](p *web.Page[T], w http.ResponseWriter, r *http.Request, data T, err error) error {
	if err != nil {
		return p.Fail(w, r, data, err)
	}
	return p.Show(w, r, data)
}
