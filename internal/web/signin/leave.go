package signin

import (
	"net/http"
	"time"

	"doorward/internal/login"
	"doorward/internal/web"
)

// LeavePage asks before a flow is thrown away. A set-up need not be: its link leads back (REQ B15).
type LeavePage struct {
	web.View
	Flow  string
	Later time.Time // until when the link leads back; zero: there is none
}

var leavePage = web.Define(Pages, "leave", web.Door,
	web.Sample("change", LeavePage{View: web.View{Back: "/signin/f"}, Flow: "f"}),
	web.Sample("set-up", LeavePage{View: web.View{Back: "/signin/f"}, Flow: "f", Later: web.SampleTime.Add(5 * 24 * time.Hour)}))

func (d *Door) askLeave(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	known(r, v)
	return leavePage.Show(w, r, LeavePage{View: web.View{Back: path(v)}, Flow: v.Flow.ID, Later: later(v)})
}

// leaving is which way out a page offers: "later" when a link leads back, "stop" when what was begun is thrown away,
// "put-off" for what a roll-out in grace asks for, none for a plain sign-in, which has "not you?".
func leaving(v login.View) string {
	switch {
	case v.Step.Later:
		return "put-off"
	case v.Flow.OneTime != "":
		return "later"
	case !v.Flow.Goal.Admit():
		return "stop"
	}
	return ""
}

func later(v login.View) time.Time {
	if v.Flow.OneTime == "" {
		return time.Time{}
	}
	return v.Flow.Expires
}

func (d *Door) leave(w http.ResponseWriter, r *http.Request) error {
	if err := d.Logins.Abandon(r.Context(), caller(r), r.PathValue("flow")); err != nil {
		return err
	}
	if d.signed(r) {
		return web.Redirect(w, r, account)
	}
	return web.Redirect(w, r, "/signin")
}
