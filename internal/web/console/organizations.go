package console

import (
	"net/http"
	"net/url"
	"slices"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/roster"
	"doorward/internal/web"
)

// OrganizationsPage is the list of customers.
type OrganizationsPage struct {
	web.View
	Text      string
	States    []web.Choice
	Filtered  bool
	List      []roster.Customer
	Pager     web.Pager
	MayChange bool
}

var (
	sampleOrganizationsView = staffFrame("Hana Operator", "Help desk · Northline Supply", "/console/organizations", 2)
	sampleAdministrator     = directory.Person{ID: "2", Name: "Dora Muster", Address: "d•••@s•••", Role: directory.Administrator, State: directory.Active}
	sampleCustomers         = []roster.Customer{
		{Organization: directory.Organization{ID: "1", Name: "Sample Works Ltd", State: directory.Active, Phone: "+41615550200", PhoneSince: sampleTime.AddDate(-1, 0, 0)}, Administrators: []directory.Person{sampleAdministrator, {ID: "5", Name: "Clara Placeholder", Address: "c•••@s•••"}}, Looks: directory.Person{ID: "9", Name: "Hana Operator"}, MayChange: true},
		{Organization: directory.Organization{ID: "2", Name: "A customer with a rather long name that does not fit into one line of a phone", State: directory.Active}, Administrators: []directory.Person{sampleAdministrator}, MayChange: true},
		{Organization: directory.Organization{ID: "3", Name: "Muster & Partner", State: directory.Active}, Looks: directory.Person{ID: "9", Name: "Hana Operator"}, MayChange: true},
		{Organization: directory.Organization{ID: "4", Name: "Template AG", State: directory.Disabled}},
	}
	sampleOrganizationStates = []web.Choice{{Label: "All"}, {Value: "none", Label: "No administrator"}}
)

var organizationsPage = web.Define(Pages, "organizations", web.Console,
	web.Sample("some", OrganizationsPage{View: sampleOrganizationsView, States: sampleOrganizationStates, List: sampleCustomers, MayChange: true, Pager: web.Pager{Next: "/console/organizations?after=x"}}),
	web.Sample("auditor", OrganizationsPage{View: sampleOrganizationsView, States: sampleOrganizationStates, List: sampleCustomers[:1]}),
	web.Sample("none", OrganizationsPage{View: sampleOrganizationsView, States: sampleOrganizationStates, MayChange: true}),
	web.Sample("nothing found", OrganizationsPage{View: sampleOrganizationsView, States: sampleOrganizationStates, Text: "zz", Filtered: true, MayChange: true}))

func (d *Door) organizations(w http.ResponseWriter, r *http.Request, by login.By) error {
	in := r.URL.Query()
	q := roster.CustomerQuery{Text: in.Get("q"), AfterName: in.Get("name"), AfterID: in.Get("after")}
	if state := directory.Administration(in.Get("state")); slices.Contains([]directory.Administration{directory.NoAdministrator, directory.OneAdministrator}, state) {
		q.Administrators = state
	}
	page, err := d.Roster.Organizations(r.Context(), by, q)
	if err != nil {
		return err
	}
	frame, err := d.view(r, by, "/console/organizations")
	if err != nil {
		return err
	}
	v := web.From(r)
	p := OrganizationsPage{View: frame, Text: q.Text, Filtered: q.Text != "" || q.Administrators != "", List: page.List, MayChange: page.MayChange}
	for _, s := range []directory.Administration{"", directory.NoAdministrator, directory.OneAdministrator} {
		key := "console.filter.all"
		if s != "" {
			key = "console.organizations." + string(s)
		}
		p.States = append(p.States, web.Choice{Value: string(s), Label: v.T(key), Current: s == q.Administrators})
	}
	keep := url.Values{}
	for _, k := range []string{"q", "state"} {
		if in.Get(k) != "" {
			keep.Set(k, in.Get(k))
		}
	}
	if q.AfterID != "" {
		p.Pager.First = "/console/organizations?" + keep.Encode()
	}
	if page.More && len(page.List) > 0 {
		last := page.List[len(page.List)-1]
		keep.Set("name", last.Name)
		keep.Set("after", last.ID)
		p.Pager.Next = "/console/organizations?" + keep.Encode()
	}
	return organizationsPage.Show(w, r, p)
}

// standing is how an organization stands, as a pill.
func standing(v *web.View, c roster.Customer) Pill {
	switch {
	case c.State.Shut():
		return Pill{"", v.T("console.status.disabled")}
	case len(c.Administrators) == 0:
		return Pill{"bad", v.T("console.organizations.none")}
	case len(c.Administrators) == 1:
		return Pill{"warn", v.T("console.organizations.one")}
	}
	return Pill{"ok", v.T("console.status.active")}
}

// Pill is how an organization stands.
func (p OrganizationsPage) Pill(c roster.Customer) Pill { return standing(&p.View, c) }

// Pill is how the organization stands.
func (p OrganizationPage) Pill() Pill { return standing(&p.View, p.One) }

// OrganizationPage is one customer.
type OrganizationPage struct {
	web.View
	One       roster.Customer
	MayStand  bool
	Certified bool // certificates are asked for in the realm
	History   []web.Happening
}

var organizationPage = web.Define(Pages, "organization", web.Console,
	web.Sample("two administrators", OrganizationPage{View: sampleOrganizationsView, One: sampleCustomers[0], MayStand: true, Certified: true, History: sampleTimeline[:1]}),
	web.Sample("one administrator", OrganizationPage{View: sampleOrganizationsView, One: sampleCustomers[1]}),
	web.Sample("no administrator", OrganizationPage{View: sampleOrganizationsView, One: sampleCustomers[2], MayStand: true}),
	web.Sample("disabled", OrganizationPage{View: sampleOrganizationsView, One: sampleCustomers[3], MayStand: true}))

func (d *Door) oneOrganization(r *http.Request, by login.By, back string) (roster.Customer, web.View, error) {
	one, err := d.Roster.Organization(r.Context(), by, r.PathValue("organization"))
	if err != nil {
		return one, web.View{}, err
	}
	frame, err := d.view(r, by, "/console/organizations")
	frame.Back = back
	return one, frame, err
}

func (d *Door) organization(w http.ResponseWriter, r *http.Request, by login.By) error {
	one, frame, err := d.oneOrganization(r, by, "/console/organizations")
	if err != nil {
		return err
	}
	p := OrganizationPage{View: frame, One: one, MayStand: directory.MayStand(by.Person), Certified: by.Realm.Policies.Asks(authn.Cert)}
	for _, e := range one.Timeline {
		p.History = append(p.History, web.HappeningOf(e, ""))
	}
	return organizationPage.Show(w, r, p)
}

// OrganizationFormPage adds a customer with its first administrator, or changes one.
type OrganizationFormPage struct {
	web.View
	New       bool
	Name      string
	Phone     string
	Staff     []web.Choice
	Version   int64
	Person    string // of the first administrator
	Address   string
	Languages []web.Choice
}

var organizationFormPage = web.Define(Pages, "organization-form", web.Console,
	web.Sample("new", OrganizationFormPage{View: sampleOrganizationsView, New: true, Staff: []web.Choice{{Label: "Nobody"}, {Value: "9", Label: "Hana Operator"}}, Languages: []web.Choice{{Value: "en", Label: "English"}}}),
	web.Sample("taken", OrganizationFormPage{View: sampleOrganizationsView, New: true, Name: "Sample Works Ltd", Person: "Anna Sample", Address: "a.sample@sampleworks.example", Staff: []web.Choice{{Label: "Nobody"}}, Languages: []web.Choice{{Value: "en", Label: "English"}}}).With(fault.New(fault.Exists, "organization-exists").In("name")),
	web.Sample("change", OrganizationFormPage{View: sampleOrganizationsView, Name: "Sample Works Ltd", Phone: "+41615550200", Staff: []web.Choice{{Label: "Nobody"}, {Value: "9", Label: "Hana Operator", Current: true}}, Version: 2}))

func (d *Door) organizationForm(r *http.Request, by login.By) (p OrganizationFormPage, err error) {
	if !directory.MayOrganize(by.Person) {
		return p, fault.New(fault.NotFound, "not-found")
	}
	v := web.From(r)
	manager := by.Person.ID
	if p.New = r.PathValue("organization") == ""; p.New {
		if p.View, err = d.view(r, by, "/console/organizations"); err != nil {
			return p, err
		}
		p.Back = "/console/organizations"
		for _, l := range by.Realm.Languages {
			p.Languages = append(p.Languages, web.Choice{Value: l, Label: v.LanguageName(l)})
		}
	} else {
		one, frame, err := d.oneOrganization(r, by, "/console/organizations/"+url.PathEscape(r.PathValue("organization")))
		if err != nil {
			return p, err
		}
		p.View, p.Name, p.Phone, p.Version, manager = frame, one.Name, one.Phone, one.Version, one.Manager
	}
	p.Staff, err = d.staffChoices(r, by, manager)
	return p, err
}

func (d *Door) organizationFormPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.organizationForm(r, by)
	if err != nil {
		return err
	}
	return organizationFormPage.Show(w, r, p)
}

func (d *Door) organizationSave(w http.ResponseWriter, r *http.Request, by login.By) (err error) {
	in := roster.About{Name: r.PostFormValue("name"), Manager: r.PostFormValue("manager"), Phone: r.PostFormValue("phone"), Version: version(r)}
	first := admin.Invitation{Address: r.PostFormValue("email"), Name: r.PostFormValue("person"), Language: r.PostFormValue("language")}
	id, flash := r.PathValue("organization"), "console.flash.edited"
	if id == "" {
		var o directory.Organization
		o, err = d.Roster.AddOrganization(r.Context(), by, in, first)
		id, flash = o.ID, "console.flash.organization"
	} else {
		_, err = d.Roster.ChangeOrganization(r.Context(), by, id, in)
	}
	if err == nil {
		web.Flash(w, r, "ok", flash, "name", in.Name)
		return web.Redirect(w, r, "/console/organizations/"+url.PathEscape(id))
	}
	p, later := d.organizationForm(r, by)
	if later != nil {
		return later
	}
	p.Name, p.Phone, p.Person, p.Address = in.Name, in.Phone, first.Name, first.Address
	for i := range p.Staff {
		p.Staff[i].Current = p.Staff[i].Value == in.Manager
	}
	return organizationFormPage.Fail(w, r, p, err)
}

// OrganizationStandPage asks for the reason before a whole customer is shut out or let in again.
type OrganizationStandPage struct {
	web.View
	Name   string
	Act    string // "disable", "enable"
	Reason string
}

var organizationStandPage = web.Define(Pages, "organization-stand", web.Console,
	web.Sample("disable", OrganizationStandPage{View: sampleOrganizationsView, Name: "Sample Works Ltd", Act: "disable"}),
	web.Sample("enable", OrganizationStandPage{View: sampleOrganizationsView, Name: "Sample Works Ltd", Act: "enable"}),
	web.Sample("no reason", OrganizationStandPage{View: sampleOrganizationsView, Name: "Sample Works Ltd", Act: "disable", Reason: "x"}).With(fault.New(fault.Invalid, "reason-short", "min", 10).In("reason")))

func (d *Door) organizationStandView(r *http.Request, by login.By, act string) (p OrganizationStandPage, err error) {
	one, frame, err := d.oneOrganization(r, by, "/console/organizations/"+url.PathEscape(r.PathValue("organization")))
	if err == nil && !directory.MayStand(by.Person) {
		err = fault.New(fault.Forbidden, "not-allowed")
	}
	return OrganizationStandPage{View: frame, Name: one.Name, Act: act}, err
}

func (d *Door) organizationStandPage(act string) web.SignedHandler {
	return func(w http.ResponseWriter, r *http.Request, by login.By) error {
		p, err := d.organizationStandView(r, by, act)
		if err != nil {
			return err
		}
		return organizationStandPage.Show(w, r, p)
	}
}

func (d *Door) organizationStand(act string) web.SignedHandler {
	return func(w http.ResponseWriter, r *http.Request, by login.By) error {
		id := r.PathValue("organization")
		if _, err := d.Roster.StandOrganization(r.Context(), by, id, act == "enable", r.PostFormValue("reason")); err != nil {
			p, later := d.organizationStandView(r, by, act)
			if later != nil {
				return later
			}
			p.Reason = r.PostFormValue("reason")
			return organizationStandPage.Fail(w, r, p, err)
		}
		web.Flash(w, r, "ok", "console.flash.organization-"+act)
		return web.Redirect(w, r, "/console/organizations/"+url.PathEscape(id))
	}
}
