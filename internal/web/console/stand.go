package console

import (
	"net/http"
	"net/url"
	"slices"

	"doorward/internal/admin"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// StandPage asks for the reason before somebody is shut out, let in again, or signed out everywhere.
type StandPage struct {
	web.View
	Row    Row
	Act    string // "disable", "enable", "sessions", "suspend"
	Frozen bool
	Reason string
}

var standPage = web.Define(Pages, "stand", web.Console,
	web.Sample("disable", StandPage{View: sampleView, Row: sampleRows[0], Act: "disable"}),
	web.Sample("enable", StandPage{View: sampleView, Row: sampleRows[0], Act: "enable"}),
	web.Sample("enable who is frozen", StandPage{View: sampleView, Row: sampleRows[3], Act: "enable", Frozen: true}),
	web.Sample("end sessions", StandPage{View: sampleView, Row: sampleRows[0], Act: "sessions"}),
	web.Sample("suspend", StandPage{View: sampleView, Row: sampleRows[0], Act: "suspend"}),
	web.Sample("no reason", StandPage{View: sampleView, Row: sampleRows[0], Act: "disable", Reason: "x"}).With(fault.New(fault.Invalid, "reason-short", "min", 10).In("reason")))

func (d *Door) standView(r *http.Request, by login.By, act string) (StandPage, error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return StandPage{}, err
	}
	able := map[string]bool{"disable": one.MayDisable && !one.State.Shut(), "enable": one.MayDisable && one.State.Shut(), "sessions": one.MayEnd, "suspend": suspendable(one)}
	if !able[act] {
		return StandPage{}, fault.New(fault.Forbidden, "not-allowed")
	}
	frame, err := d.about(r, by, one)
	return StandPage{View: frame, Row: row(one.Listed), Act: act, Frozen: one.State == "frozen"}, err
}

// suspendable reports whether the actor may suspend what the person could have lost.
func suspendable(one admin.Detail) bool {
	return one.MayReset && slices.ContainsFunc(one.Held, login.MayBeLost)
}

func (d *Door) standPage(act string) web.SignedHandler {
	return func(w http.ResponseWriter, r *http.Request, by login.By) error {
		p, err := d.standView(r, by, act)
		if err != nil {
			return err
		}
		return standPage.Show(w, r, p)
	}
}

func (d *Door) stand(act string) web.SignedHandler {
	return func(w http.ResponseWriter, r *http.Request, by login.By) error {
		id := r.PathValue("person")
		reason, err := admin.Reason(r.PostFormValue("reason"))
		if err == nil {
			switch act {
			case "disable":
				_, err = d.People.Disable(r.Context(), by, id, reason)
			case "enable":
				_, err = d.People.Enable(r.Context(), by, id, reason)
			case "suspend":
				_, err = d.Roster.Suspend(r.Context(), by, id, reason)
			default:
				_, err = d.People.EndSessions(r.Context(), by, id, reason)
			}
		}
		if err != nil {
			p, later := d.standView(r, by, act)
			if later != nil {
				return later
			}
			p.Reason = r.PostFormValue("reason")
			return standPage.Fail(w, r, p, err)
		}
		web.Flash(w, r, "ok", "console.flash.stand-"+act)
		return web.Redirect(w, r, "/console/people/"+url.PathEscape(id))
	}
}
