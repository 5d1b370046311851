// Package console is where customer administrators look after their own people and staff after everybody's. It
// translates between pages and the use cases of admin; who may do what is decided there.
package console

import (
	"embed"
	"net/http"
	"slices"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/calls"
	"doorward/internal/directory"
	"doorward/internal/enrolment"
	"doorward/internal/handover"
	"doorward/internal/login"
	"doorward/internal/rollout"
	"doorward/internal/roster"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room.
var Pages = web.NewSet("console", files)

// Door is the console's pages.
type Door struct {
	Site     *web.Site
	Auth     web.Authenticator
	People   *admin.People
	Requests *admin.Requests
	Roster   *roster.Service
	Calls    *calls.Desk
	Rollouts *rollout.Service
	Exempts  *breakglass.Service
	Parcels  *handover.Service

	Enrolments *enrolment.Service
}

// Mount adds the routes. Every one is for people who are signed in; the use cases refuse who may not.
func (d *Door) Mount(mux *http.ServeMux) {
	for pattern, h := range d.routes() {
		d.Site.HandleSigned(mux, pattern, d.Auth, h)
	}
}

func (d *Door) routes() map[string]web.SignedHandler {
	return map[string]web.SignedHandler{
		"GET /console":                           d.home,
		"GET /console/people":                    d.list,
		"GET /console/people/invite":             d.invitePage,
		"POST /console/people/invite":            d.invite,
		"GET /console/people/{person}":           d.person,
		"POST /console/people/{person}/resend":   d.resend,
		"GET /console/people/{person}/withdraw":  d.withdrawPage,
		"POST /console/people/{person}/withdraw": d.withdraw,
		"GET /console/people/{person}/reset":     d.resetPage,
		"POST /console/people/{person}/reset":    d.reset,
		"GET /console/people/{person}/disable":   d.standPage("disable"),
		"POST /console/people/{person}/disable":  d.stand("disable"),
		"GET /console/people/{person}/enable":    d.standPage("enable"),
		"POST /console/people/{person}/enable":   d.stand("enable"),
		"GET /console/people/{person}/sessions":  d.standPage("sessions"),
		"POST /console/people/{person}/sessions": d.stand("sessions"),
		"GET /console/people/{person}/suspend":   d.standPage("suspend"),
		"POST /console/people/{person}/suspend":  d.stand("suspend"),
		"GET /console/people/{person}/exempt":    d.exemptPage,
		"POST /console/people/{person}/exempt":   d.exempt,

		"POST /console/people/{person}/exempt/second": d.exemptSecond,
		"POST /console/people/{person}/exempt/end":    d.exemptEnd,

		"GET /console/exemptions": d.exemptions,
		"GET /console/rollouts":   d.rollouts,

		"GET /console/people/{person}/edit":    d.editPage,
		"POST /console/people/{person}/edit":   d.edit,
		"GET /console/people/{person}/role":    d.rolePage,
		"POST /console/people/{person}/role":   d.role,
		"GET /console/people/{person}/delete":  d.deletePage,
		"POST /console/people/{person}/delete": d.delete,

		"GET /console/people/{person}/calls/{call}":          d.call,
		"POST /console/people/{person}/calls/{call}/open":    d.openCall,
		"POST /console/people/{person}/calls/{call}/code":    d.enterCode,
		"POST /console/people/{person}/calls/{call}/confirm": d.confirmCall,
		"POST /console/people/{person}/calls/{call}/reject":  d.rejectCall,

		"GET /console/people/{person}/certificates/issue":                   d.issuePage,
		"POST /console/people/{person}/certificates/issue":                  d.issue,
		"GET /console/people/{person}/certificates/{certificate}":           d.certificatePage,
		"POST /console/people/{person}/certificates/{certificate}/password": d.say,
		"POST /console/people/{person}/certificates/{certificate}/resend":   d.resendFile,
		"GET /console/people/{person}/certificates/{certificate}/replace":   d.issuePage,
		"POST /console/people/{person}/certificates/{certificate}/replace":  d.issue,
		"GET /console/people/{person}/certificates/{certificate}/revoke":    d.endPage("revoke"),
		"POST /console/people/{person}/certificates/{certificate}/revoke":   d.end("revoke"),
		"GET /console/people/{person}/certificates/{certificate}/hold":      d.endPage("hold"),
		"POST /console/people/{person}/certificates/{certificate}/hold":     d.end("hold"),
		"GET /console/people/{person}/certificates/{certificate}/resume":    d.endPage("resume"),
		"POST /console/people/{person}/certificates/{certificate}/resume":   d.end("resume"),

		"GET /console/people/{person}/managed":                       d.managedPage,
		"POST /console/people/{person}/managed":                      d.manage,
		"POST /console/people/{person}/managed/{enrolment}/withdraw": d.unmanage,

		"GET /console/organizations":                         d.organizations,
		"GET /console/organizations/add":                     d.organizationFormPage,
		"POST /console/organizations/add":                    d.organizationSave,
		"GET /console/organizations/{organization}":          d.organization,
		"GET /console/organizations/{organization}/edit":     d.organizationFormPage,
		"POST /console/organizations/{organization}/edit":    d.organizationSave,
		"GET /console/organizations/{organization}/disable":  d.organizationStandPage("disable"),
		"POST /console/organizations/{organization}/disable": d.organizationStand("disable"),
		"GET /console/organizations/{organization}/enable":   d.organizationStandPage("enable"),
		"POST /console/organizations/{organization}/enable":  d.organizationStand("enable"),

		"GET /console/requests":                    d.inbox,
		"GET /console/requests/{request}":          d.request,
		"POST /console/requests/{request}/begin":   d.begin,
		"POST /console/requests/{request}/check":   d.check,
		"POST /console/requests/{request}/approve": d.approve,
		"POST /console/requests/{request}/refuse":  d.refuse,
		"POST /console/requests/{request}/answer":  d.answer,
		"POST /console/requests/{request}/stop":    d.stop,
	}
}

func (d *Door) home(w http.ResponseWriter, r *http.Request, _ login.By) error {
	return web.Redirect(w, r, "/console/people")
}

// certificatesPath is where web/certificates counts them.
const certificatesPath = "/console/certificates"

// Frame is the frame of a page of the console in another room.
func (d *Door) Frame(r *http.Request, by login.By, current string) (web.View, error) {
	return d.view(r, by, current)
}

// view is the frame of a console page. Its navigation says how many requests wait.
func (d *Door) view(r *http.Request, by login.By, current string) (web.View, error) {
	v := web.From(r)
	waiting, err := d.Requests.Waiting(r.Context(), by)
	shape := frame
	if by.Person.Role.Staff() {
		shape = staffFrame
	}
	if err != nil {
		return web.View{}, err
	}
	given, err := d.Exempts.Live(r.Context(), exemptBy(by))
	out := shape(by.Person.Name, v.T("console.role."+string(by.Person.Role))+" · "+by.Organization.Name, current, waiting)
	if by.Realm.Policies.Asks(authn.Cert) || current == certificatesPath {
		out.Nav = slices.Insert(out.Nav, len(out.Nav)-1, web.NavItem{Href: certificatesPath, Label: "console.nav.certificates", Icon: "certificate", Current: current == certificatesPath})
	}
	if len(by.Realm.Rollouts) > 0 {
		out.Nav = slices.Insert(out.Nav, len(out.Nav)-1, web.NavItem{Href: "/console/rollouts", Label: "console.nav.rollouts", Icon: "shield", Current: current == "/console/rollouts"})
	}
	if len(given) > 0 || current == "/console/exemptions" {
		out.Nav = slices.Insert(out.Nav, len(out.Nav)-1, web.NavItem{Href: "/console/exemptions", Label: "console.nav.exemptions", Icon: "alert", Badge: len(given), Current: current == "/console/exemptions"})
	}
	return out, err
}

// staffFrame is the frame for staff, who look after organizations as well.
func staffFrame(name, role, current string, waiting int) web.View {
	v := frame(name, role, current, waiting)
	v.Nav = slices.Insert(v.Nav, 1, web.NavItem{Href: "/console/organizations", Label: "console.nav.organizations", Icon: "globe", Current: current == "/console/organizations"})
	return v
}

func frame(name, role, current string, waiting int) web.View {
	nav := []web.NavItem{
		{Href: "/console/people", Label: "console.nav.people", Icon: "users"},
		{Href: "/console/requests", Label: "console.nav.requests", Icon: "inbox", Badge: waiting},
		{Href: "/account", Label: "console.nav.account", Icon: "user"},
	}
	for i := range nav {
		nav[i].Current = nav[i].Href == current
	}
	return web.View{Nav: nav, Me: web.Me{Name: name, Role: role}}
}

// roleChoices lists roles for a select, in the reader's words.
func roleChoices(v *web.Visit, roles []directory.Role, current directory.Role) []web.Choice {
	out := make([]web.Choice, len(roles))
	for i, r := range roles {
		out[i] = web.Choice{Value: string(r), Label: v.T("console.role." + string(r)), Current: r == current}
	}
	return out
}
