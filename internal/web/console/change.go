package console

import (
	"net/http"
	"net/url"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/roster"
	"doorward/internal/web"
)

// EditPage changes the facts about a person. What was typed stays.
type EditPage struct {
	web.View
	Row       Row
	Name      string
	Languages []web.Choice
	Zone      string
	Zones     []web.Choice
	Phone     string
	Kept      bool         // a number is on file that the actor must not read: nothing typed leaves it
	Staff     []web.Choice // who can be the contact; only for staff
	Version   int64
}

var sampleEdit = EditPage{
	View: sampleView, Row: sampleRows[0], Name: "Anna Sample", Languages: []web.Choice{{Value: "en", Label: "English", Current: true}, {Value: "de", Label: "Deutsch"}},
	Zone: "Europe/Zurich", Zones: []web.Choice{{Value: "Europe/Zurich", Label: "Europe/Zurich"}}, Phone: "+41445550142", Version: 3,
}

func sampleEdited(change func(*EditPage)) EditPage {
	p := sampleEdit
	change(&p)
	return p
}

var editPage = web.Define(Pages, "edit", web.Console,
	web.Sample("administrator", sampleEdit),
	web.Sample("staff", sampleEdited(func(p *EditPage) {
		p.Phone, p.Staff = "", []web.Choice{{Label: "Nobody"}, {Value: "9", Label: "Hana Operator", Current: true}}
	})),
	web.Sample("a number that is not shown", sampleEdited(func(p *EditPage) { p.Phone, p.Kept = "", true })),
	web.Sample("no number", sampleEdited(func(p *EditPage) { p.Phone = "044 555" })).With(fault.New(fault.Invalid, "phone-invalid").In("phone")),
	web.Sample("being helped", sampleEdit).With(fault.New(fault.Conflict, "phone-helped").In("phone")),
	web.Sample("no name", sampleEdited(func(p *EditPage) { p.Name = "" })).With(fault.New(fault.Invalid, "name-missing").In("name")))

func (d *Door) editView(r *http.Request, by login.By) (EditPage, admin.Detail, error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return EditPage{}, one, err
	}
	if !one.MayEdit {
		return EditPage{}, one, fault.New(fault.Forbidden, "not-allowed")
	}
	frame, err := d.about(r, by, one)
	if err != nil {
		return EditPage{}, one, err
	}
	v := web.From(r)
	p := EditPage{View: frame, Row: row(one.Listed), Name: one.Name, Zone: one.Zone, Phone: one.Phone, Version: one.Version}
	if p.Kept = one.Veiled && one.Phone != ""; p.Kept {
		p.Phone = ""
	}
	if p.Zone == "" {
		p.Zone = by.Realm.Zone
	}
	p.Zones = web.ZoneChoices(p.Zone)
	for _, l := range by.Realm.Languages {
		p.Languages = append(p.Languages, web.Choice{Value: l, Label: v.LanguageName(l), Current: l == one.Language})
	}
	if !by.Person.Role.Staff() || one.Role.Staff() {
		return p, one, nil
	}
	p.Staff, err = d.staffChoices(r, by, one.Contact)
	return p, one, err
}

// staffChoices are the operator's own people, and nobody.
func (d *Door) staffChoices(r *http.Request, by login.By, current string) ([]web.Choice, error) {
	people, err := d.Roster.Staff(r.Context(), by)
	if err != nil {
		return nil, err
	}
	out := []web.Choice{{Label: web.From(r).T("console.contact.nobody"), Current: current == ""}}
	for _, p := range people {
		out = append(out, web.Choice{Value: p.ID, Label: p.Name, Current: p.ID == current})
	}
	return out, nil
}

func (d *Door) editPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, _, err := d.editView(r, by)
	if err != nil {
		return err
	}
	return editPage.Show(w, r, p)
}

func (d *Door) edit(w http.ResponseWriter, r *http.Request, by login.By) error {
	in := roster.Facts{
		Name: r.PostFormValue("name"), Language: r.PostFormValue("language"), Zone: r.PostFormValue("zone"), Phone: r.PostFormValue("phone"),
		Contact: r.PostFormValue("contact"), Version: version(r),
	}
	in.KeepPhone = in.Phone == "" && r.PostFormValue("keep") == "yes"
	id := r.PathValue("person")
	if _, err := d.Roster.Edit(r.Context(), by, id, in); err != nil {
		p, _, later := d.editView(r, by)
		if later != nil {
			return later
		}
		p.Name, p.Phone = in.Name, in.Phone
		return editPage.Fail(w, r, p, err)
	}
	web.Flash(w, r, "ok", "console.flash.edited")
	return web.Redirect(w, r, "/console/people/"+url.PathEscape(id))
}

// RolePage gives a person another role.
type RolePage struct {
	web.View
	Row     Row
	Roles   []web.Choice
	Reason  string
	Version int64
}

var sampleRole = RolePage{View: sampleView, Row: sampleRows[0], Roles: []web.Choice{{Value: "member", Label: "Member", Current: true}, {Value: "administrator", Label: "Administrator"}}, Version: 3}

var rolePage = web.Define(Pages, "role", web.Console,
	web.Sample("plain", sampleRole),
	web.Sample("last administrator", sampleRole).With(fault.New(fault.Conflict, "last-administrator")),
	web.Sample("agent", sampleRole).With(fault.New(fault.Forbidden, "role-higher").In("role")),
	web.Sample("no reason", sampleRole).With(fault.New(fault.Invalid, "reason-short", "min", 10).In("reason")))

func (d *Door) roleView(r *http.Request, by login.By) (RolePage, error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return RolePage{}, err
	}
	if len(one.Roles) == 0 {
		return RolePage{}, fault.New(fault.Forbidden, "not-allowed")
	}
	frame, err := d.about(r, by, one)
	p := RolePage{View: frame, Row: row(one.Listed), Version: one.Version}
	p.Roles = roleChoices(web.From(r), one.Roles, one.Role)
	return p, err
}

func (d *Door) rolePage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.roleView(r, by)
	if err != nil {
		return err
	}
	return rolePage.Show(w, r, p)
}

func (d *Door) role(w http.ResponseWriter, r *http.Request, by login.By) error {
	id, role := r.PathValue("person"), directory.Role(r.PostFormValue("role"))
	if _, err := d.Roster.SetRole(r.Context(), by, id, role, r.PostFormValue("reason"), version(r)); err != nil {
		p, later := d.roleView(r, by)
		if later != nil {
			return later
		}
		p.Reason = r.PostFormValue("reason")
		for i := range p.Roles {
			p.Roles[i].Current = p.Roles[i].Value == string(role)
		}
		return rolePage.Fail(w, r, p, err)
	}
	web.Flash(w, r, "ok", "console.flash.role")
	return web.Redirect(w, r, "/console/people/"+url.PathEscape(id))
}

// DeletePage asks whom and why before somebody is removed for good.
type DeletePage struct {
	web.View
	Row    Row
	Typed  string
	Reason string
}

var deletePage = web.Define(Pages, "delete", web.Console,
	web.Sample("plain", DeletePage{View: sampleView, Row: sampleRows[0]}),
	web.Sample("another name", DeletePage{View: sampleView, Row: sampleRows[0], Typed: "Anna", Reason: "Left the company in November"}).With(fault.New(fault.Invalid, "name-other").In("typed")),
	web.Sample("last administrator", DeletePage{View: sampleView, Row: sampleRows[1], Typed: "Dora Muster", Reason: "Left the company in November"}).With(fault.New(fault.Conflict, "last-administrator")))

func (d *Door) deleteView(r *http.Request, by login.By) (DeletePage, error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return DeletePage{}, err
	}
	if !one.MayDelete {
		return DeletePage{}, fault.New(fault.Forbidden, "not-allowed")
	}
	frame, err := d.about(r, by, one)
	return DeletePage{View: frame, Row: row(one.Listed)}, err
}

func (d *Door) deletePage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.deleteView(r, by)
	if err != nil {
		return err
	}
	return deletePage.Show(w, r, p)
}

func (d *Door) delete(w http.ResponseWriter, r *http.Request, by login.By) error {
	gone, err := d.Roster.Delete(r.Context(), by, r.PathValue("person"), r.PostFormValue("typed"), r.PostFormValue("reason"))
	if err != nil {
		p, later := d.deleteView(r, by)
		if later != nil {
			return later
		}
		p.Typed, p.Reason = r.PostFormValue("typed"), r.PostFormValue("reason")
		return deletePage.Fail(w, r, p, err)
	}
	web.Flash(w, r, "ok", "console.flash.deleted", "name", gone.Name)
	return web.Redirect(w, r, "/console/people")
}
