package requests

import (
	"context"
	"embed"
	"net/http"

	"doorward/internal/admin"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room.
var Pages = web.NewSet("requests", files)

// Asking is what the pages need of admin.Requests; see there for what each promises.
type Asking interface {
	Peek(ctx context.Context, realm, token string) (admin.Stopping, error)
	StopByLink(ctx context.Context, c login.Caller, token string) (admin.Stopping, error)
	PeekAlone(ctx context.Context, realm, token string) (admin.Stopping, error)
	ConfirmAlone(ctx context.Context, c login.Caller, token string) (admin.Stopping, error)
	PeekDenial(ctx context.Context, realm, token string) (admin.Denial, error)
	Deny(ctx context.Context, c login.Caller, token string) (admin.Denial, error)

	Ask(ctx context.Context, c login.Caller, f admin.Form, p helpdesk.Proof) (number string, err error)
	AskFor(ctx context.Context, by login.By, f admin.Form) (number string, err error)
	Challenge(realm, before string) string
	Receipt(realm, number string) string
	Received(realm, receipt string) (number string, ok bool)
}

var _ Asking = (*admin.Requests)(nil)

// Door shows the pages. It is safe for concurrent use.
type Door struct {
	Site     *web.Site
	Auth     web.Authenticator
	Requests Asking
}

// Mount adds the routes.
func (d *Door) Mount(mux *http.ServeMux) {
	d.Site.Handle(mux, "GET /help/request", d.askForm)
	d.Site.Handle(mux, "POST /help/request", d.ask)
	d.Site.Handle(mux, "GET /help/request/{receipt}", d.sent)
	d.Site.Handle(mux, "GET /help/administrator", d.whoForm)
	d.Site.Handle(mux, "POST /help/administrator", d.askWho)
	d.Site.Handle(mux, "GET /requests/stop/{token}", d.stopPage)
	d.Site.Handle(mux, "POST /requests/stop/{token}", d.stop)
	d.Site.Handle(mux, "GET /requests/confirm/{token}", d.confirmPage)
	d.Site.Handle(mux, "POST /requests/confirm/{token}", d.confirm)
	d.Site.Handle(mux, "GET /not-me/{token}", d.denyPage)
	d.Site.Handle(mux, "POST /not-me/{token}", d.deny)
}

func caller(r *http.Request) login.Caller {
	v := web.From(r)
	return login.Caller{Realm: v.Realm.ID, Network: v.Network, Agent: v.Browser, Language: v.Lang}
}

// ticked is the box that no scanner ticks.
func ticked(r *http.Request) error {
	if r.PostFormValue("confirm") != "yes" {
		return errTick
	}
	return nil
}

var errTick = fault.New(fault.Invalid, "confirm-missing").In("confirm")

// DeadPage says why a link opens nothing.
type DeadPage struct {
	web.View
	Why string // rest of the message keys: link-unknown, link-expired
}

var deadPage = web.Define(Pages, "dead", web.Door,
	web.Sample("unknown", DeadPage{Why: "link-unknown"}), web.Sample("expired", DeadPage{Why: "link-expired"}))

// dead answers for a link that leads nowhere.
func dead(w http.ResponseWriter, r *http.Request, err error) error {
	f := fault.As(err)
	if f == nil || f.Code != "link-unknown" && f.Code != "link-expired" {
		return err
	}
	return deadPage.Show(w, r, DeadPage{View: web.View{Status: web.StatusOf(err)}, Why: f.Code})
}
