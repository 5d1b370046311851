package console

import (
	"net/http"
	"net/url"
	"slices"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// InvitePage is the form to invite somebody. What was typed stays.
type InvitePage struct {
	web.View
	Address       string
	Name          string
	Organizations []web.Choice // only for staff
	Roles         []web.Choice
	Languages     []web.Choice
	Days          int
}

var invitePage = web.Define(Pages, "invite", web.Console,
	web.Sample("administrator", InvitePage{View: sampleView, Roles: sampleRoles[1:], Languages: []web.Choice{{Value: "en", Label: "English"}}, Days: 7}),
	web.Sample("staff", InvitePage{View: sampleView, Organizations: []web.Choice{{Value: "1", Label: "Sample Works Ltd"}}, Roles: sampleRoles[1:], Languages: []web.Choice{{Value: "en", Label: "English"}, {Value: "de", Label: "Deutsch"}}, Days: 7}),
	web.Sample("taken", InvitePage{View: sampleView, Address: "a.sample@sampleworks.example", Name: "Anna Sample", Roles: sampleRoles[1:], Languages: []web.Choice{{Value: "en", Label: "English"}}, Days: 7}).With(fault.New(fault.Exists, "address-taken").In("email")))

func (d *Door) inviteView(r *http.Request, by login.By, in admin.Invitation) (InvitePage, error) {
	v := web.From(r)
	orgs, err := d.People.Organizations(r.Context(), by, "", "")
	if err != nil {
		return InvitePage{}, err
	}
	frame, err := d.view(r, by, "/console/people")
	if err != nil {
		return InvitePage{}, err
	}
	p := InvitePage{View: frame, Address: in.Address, Name: in.Name, Days: by.Realm.Invitation.Days}
	p.Back = "/console/people"
	var roles []directory.Role
	for _, o := range orgs {
		able := admin.RolesToInvite(by, o)
		if len(able) == 0 {
			continue
		}
		p.Organizations = append(p.Organizations, web.Choice{Value: o.ID, Label: o.Name, Current: o.ID == in.Organization})
		for _, role := range able {
			if !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	if len(roles) == 0 {
		return p, fault.New(fault.Forbidden, "not-allowed")
	}
	if len(p.Organizations) == 1 {
		p.Organizations = nil
	}
	p.Roles = roleChoices(v, roles, in.Role)
	language := in.Language
	if language == "" {
		language = by.Person.Language
	}
	for _, l := range by.Realm.Languages {
		p.Languages = append(p.Languages, web.Choice{Value: l, Label: v.LanguageName(l), Current: l == language})
	}
	return p, nil
}

func (d *Door) invitePage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.inviteView(r, by, admin.Invitation{Organization: r.URL.Query().Get("organization")})
	if err != nil {
		return err
	}
	return invitePage.Show(w, r, p)
}

func (d *Door) invite(w http.ResponseWriter, r *http.Request, by login.By) error {
	in := admin.Invitation{
		Address: r.PostFormValue("email"), Name: r.PostFormValue("name"), Role: directory.Role(r.PostFormValue("role")),
		Organization: r.PostFormValue("organization"), Language: r.PostFormValue("language"),
	}
	person, err := d.People.Invite(r.Context(), by, in)
	if err != nil {
		p, later := d.inviteView(r, by, in)
		if later != nil {
			return later
		}
		return invitePage.Fail(w, r, p, err)
	}
	flash := "console.flash.invited"
	if !by.Realm.Invites(person.Role) {
		flash = "console.flash.added"
	}
	web.Flash(w, r, "ok", flash, "name", person.Name, "address", person.Address)
	return web.Redirect(w, r, "/console/people/"+url.PathEscape(person.ID))
}
