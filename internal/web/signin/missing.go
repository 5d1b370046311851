package signin

import (
	"net/http"

	"doorward/internal/login"
	"doorward/internal/selfservice"
	"doorward/internal/web"
)

// MissingPage lets whoever has shown their password say that what is asked next is lost (SEC H-5).
type MissingPage struct {
	web.View
	Flow    string
	Address string
	Ways    []WayRow
	Codes   bool // recovery codes help afterwards
}

var missingPage = web.Define(Pages, "missing", web.Door,
	web.Sample("one", MissingPage{View: web.View{Back: "/signin/f"}, Flow: "f", Address: "a.sample@northline.example", Codes: true, Ways: []WayRow{{With: "c1", Name: "Work phone", Used: web.SampleTime}}}),
	web.Sample("several", MissingPage{View: web.View{Back: "/signin/f"}, Flow: "f", Address: "a.sample@northline.example", Ways: []WayRow{
		{With: "c1", Name: "Work phone", Used: web.SampleTime}, {With: "c2", Name: "Office computer"},
	}}))

func (d *Door) missing(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	return d.showMissing(w, r, v, nil)
}

func (d *Door) showMissing(w http.ResponseWriter, r *http.Request, v login.View, err error) error {
	lost := selfservice.Missing(v)
	if len(lost) == 0 {
		return web.Redirect(w, r, path(v))
	}
	known(r, v)
	web.KeepAsking(w, v.Flow.Address)
	p := MissingPage{View: web.View{Back: path(v)}, Flow: v.Flow.ID, Address: v.Flow.Address, Codes: v.Codes}
	for _, way := range lost {
		p.Ways = append(p.Ways, WayRow{With: way.Credential, Name: way.Name, Used: way.LastUsed})
	}
	return answer(missingPage, w, r, p, err)
}

func (d *Door) miss(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	v, err := d.Logins.Look(r.Context(), c, r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	by := login.By{Signed: login.Signed{Person: v.Person, Realm: v.Realm}, Network: c.Network, Agent: c.Agent}
	if err := d.Miss(r.Context(), by, v, r.PostFormValue("credential")); err != nil {
		return d.showMissing(w, r, v, err)
	}
	web.Flash(w, r, "ok", "signin.missing.done")
	return web.Redirect(w, r, path(v))
}
