package signin

import (
	"net/http"
	"time"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/login"
	"doorward/internal/web"
)

// WaysPage offers everything the step takes, last used first.
type WaysPage struct {
	web.View
	Flow    string
	Address string
	Ways    []WayRow
	Codes   bool // recovery codes would help
}

// WayRow is one way.
type WayRow struct {
	With  string // credential or kind
	Label string // message key
	Icon  string
	Name  string
	Used  time.Time
}

var waysPage = web.Define(Pages, "ways", web.Door,
	web.Sample("plain", WaysPage{Flow: "f", Codes: true, Address: "a.sample@northline.example", Ways: []WayRow{
		{With: "c1", Label: "signin.ways.totp", Icon: "phone", Name: "Work phone", Used: web.SampleTime.Add(-26 * time.Hour)},
		{With: "c2", Label: "signin.ways.extension", Icon: "puzzle", Name: "Office computer"},
		{With: "password", Label: "signin.ways.password", Icon: "key"},
	}}))

func (d *Door) ways(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	if v.Step.Act != authn.ActProve || !others(v) {
		return web.Redirect(w, r, path(v))
	}
	known(r, v)
	web.KeepAsking(w, v.Flow.Address)
	back := web.View{Back: path(v)}
	return waysPage.Show(w, r, WaysPage{View: back, Flow: v.Flow.ID, Address: v.Flow.Address, Ways: rows(v), Codes: v.Codes})
}

// rows lists the person's credentials, and kinds of which nothing is known yet.
func rows(v login.View) (all []WayRow) {
	listed := map[authn.Kind]bool{}
	for _, way := range v.Ways {
		if provePage(way.Kind) == nil || way.Kind == authn.Password || way.Kind == authn.Cert { // the browser asks which
			continue
		}
		listed[way.Kind] = true
		row := WayRow{With: way.Credential, Name: way.Name, Used: way.LastUsed, Icon: "phone", Label: "signin.ways.totp"}
		for _, app := range v.Realm.Apps {
			if app.ID == way.Model && app.Kind == extension {
				row.Icon, row.Label = "puzzle", "signin.ways.extension"
			}
		}
		all = append(all, row)
	}
	for _, k := range v.Step.Kinds {
		if provePage(k) == nil || listed[k] {
			continue
		}
		switch k {
		case authn.Password:
			all = append(all, WayRow{With: string(k), Label: "signin.ways.password", Icon: "key"})
		case authn.Cert:
			all = append(all, WayRow{With: string(k), Label: "signin.ways.certificate", Icon: "shield"})
		}
		if activation.Leads(k) {
			all = append(all, WayRow{With: string(k), Label: "signin.ways.spoken", Icon: "call"})
		}
	}
	return all
}
