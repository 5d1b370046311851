package account

import (
	"net/http"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/selfservice"
	"doorward/internal/web"
)

// ApplicationsPage lists every application that knows the person (SEC O-14).
type ApplicationsPage struct {
	web.View
	Applications []selfservice.Application
}

var applicationsPage = web.Define(Pages, "applications", web.Desk,
	web.Sample("several", ApplicationsPage{View: sampleView("/account/applications"), Applications: sampleApplications}),
	web.Sample("none", ApplicationsPage{View: sampleView("/account/applications")}))

func (d *Door) applications(w http.ResponseWriter, r *http.Request, by login.By) error {
	all, err := d.Self.Applications(r.Context(), by)
	if err != nil {
		return err
	}
	return applicationsPage.Show(w, r, ApplicationsPage{View: web.Signed(by, "/account/applications"), Applications: all})
}

// ApplicationPage asks whether to remove the access of an application.
type ApplicationPage struct {
	web.View
	Application selfservice.Application
}

var applicationPage = web.Define(Pages, "application", web.Desk,
	web.Sample("strange", ApplicationPage{View: sampleView("/account/applications"), Application: sampleApplications[0]}),
	web.Sample("own", ApplicationPage{View: sampleView("/account/applications"), Application: sampleApplications[1]}))

// application loads the application a page is about.
func (d *Door) application(r *http.Request, by login.By) (selfservice.Application, error) {
	all, err := d.Self.Applications(r.Context(), by)
	if err != nil {
		return selfservice.Application{}, err
	}
	for _, a := range all {
		if a.Client == r.PathValue("client") {
			return a, nil
		}
	}
	return selfservice.Application{}, fault.New(fault.NotFound, "not-found")
}

func (d *Door) removeApplicationPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	a, err := d.application(r, by)
	if err != nil {
		return err
	}
	p := ApplicationPage{View: web.Signed(by, "/account/applications"), Application: a}
	p.Back = "/account/applications"
	return applicationPage.Show(w, r, p)
}

// removeApplication ends the access of an application. Where the login is older than five minutes the person signs in
// again and comes back.
func (d *Door) removeApplication(w http.ResponseWriter, r *http.Request, by login.By) error {
	a, err := d.application(r, by)
	if err != nil {
		return err
	}
	err = d.Self.RemoveApplication(r.Context(), by, a.Client)
	if e := fault.As(err); e != nil && e.Code == "login-not-fresh" {
		web.Flash(w, r, "warn", "account.flash.fresh")
		return d.begin(w, r, by, authn.Goal{}, "/account/applications")
	}
	if err != nil {
		return err
	}
	web.Flash(w, r, "ok", "account.flash.application-removed", "name", a.Name)
	return web.Redirect(w, r, "/account/applications")
}

var sampleApplications = []selfservice.Application{
	{Client: "harbour", Name: "Harbour Logistics", Home: "https://app.harbour.example", Scopes: []string{"openid", "profile", "email", "organization", "offline_access", "orders"}, Since: sampleTime.AddDate(0, -2, 0), Used: sampleTime, Away: true},
	{Client: "store", Name: "Northline store", Home: "https://store.northline.example", Own: true, Scopes: []string{"openid", "email"}, Since: sampleTime.AddDate(0, 0, -1), Used: sampleTime.AddDate(0, 0, -1)},
	{Client: "old", Name: "old", Scopes: []string{"openid"}, Since: sampleTime.AddDate(-1, 0, 0)},
}
