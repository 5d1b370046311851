package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/web"
)

// ExemptPage is the first of the two who let somebody in with less (REQ B65).
type ExemptPage struct {
	web.View
	Row    Row
	Kinds  []web.Choice
	Hours  string
	Most   int
	Reason string
}

var exemptPage = web.Define(Pages, "exempt", web.Console,
	web.Sample("plain", ExemptPage{View: sampleView, Row: sampleRows[0], Kinds: sampleKinds, Hours: "24", Most: 72}),
	web.Sample("wrong", ExemptPage{View: sampleView, Row: sampleRows[0], Kinds: sampleKinds, Hours: "100", Most: 72, Reason: "Phone left in a hotel, back on Friday"}).With(fault.New(fault.Invalid, "exemption-hours", "max", 72).In("hours")))

// ExemptionsPage lists the exemptions that are proposed or live.
type ExemptionsPage struct {
	web.View
	Items []ExemptItem
}

// ExemptItem is one, and what the actor can do about it.
type ExemptItem struct {
	breakglass.Given
	MaySecond, MayEnd bool
}

// Proposed says that it waits for its second.
func (i ExemptItem) Proposed() bool { return i.State == helpdesk.Proposed }

var sampleGiven = breakglass.Given{Who: sampleWho, Exemption: helpdesk.Exemption{ID: "1", Person: "1", Kind: authn.TOTP, Reason: "Phone left in a hotel, back on Friday", Hours: 24,
	State: helpdesk.Exempt, ByName: "Hana Operator", SecondName: "Ivo Operator", Created: sampleTime, Until: sampleTime.Add(24 * time.Hour), Uses: 2}}

var exemptionsPage = web.Define(Pages, "exemptions", web.Console,
	web.Sample("live", ExemptionsPage{View: sampleView, Items: []ExemptItem{{Given: sampleGiven, MayEnd: true}}}),
	web.Sample("proposed", ExemptionsPage{View: sampleView, Items: []ExemptItem{{Given: breakglass.Given{Who: sampleWho, Exemption: helpdesk.Exemption{ID: "2", Person: "1", Kind: authn.TOTP, Reason: "Phone left in a hotel, back on Friday", Hours: 24, State: helpdesk.Proposed, ByName: "Hana Operator", Created: sampleTime}}, MaySecond: true, MayEnd: true}}}),
	web.Sample("none", ExemptionsPage{View: sampleView}))

// Kind names what is not asked for.
func (p ExemptionsPage) Kind(k authn.Kind) string { return p.T("event.kind." + string(k)) }

func exemptBy(by login.By) breakglass.By {
	return breakglass.By{Actor: by, Person: by.Person, Realm: by.Realm.Realm}
}

func (d *Door) exemptions(w http.ResponseWriter, r *http.Request, by login.By) error {
	if !directory.MayListAll(by.Person) && by.Person.Role != directory.Administrator {
		return fault.New(fault.Forbidden, "not-allowed")
	}
	given, err := d.Exempts.Live(r.Context(), exemptBy(by))
	if err != nil {
		return err
	}
	frame, err := d.view(r, by, "/console/exemptions")
	if err != nil {
		return err
	}
	p := ExemptionsPage{View: frame}
	for _, g := range given {
		p.Items = append(p.Items, ExemptItem{
			Given:     g,
			MaySecond: g.State == helpdesk.Proposed && helpdesk.MaySecond(by.Person, g.Who, g.Exemption) == nil,
			MayEnd:    directory.May(by.Person, directory.ResetFactor, g.Who) == nil,
		})
	}
	return exemptionsPage.Show(w, r, p)
}

func (d *Door) exemptView(r *http.Request, by login.By) (ExemptPage, error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return ExemptPage{}, err
	}
	c, err := d.Exempts.Look(r.Context(), exemptBy(by), one.ID)
	if err != nil {
		return ExemptPage{}, err
	}
	if len(c.Kinds) == 0 {
		return ExemptPage{}, fault.New(fault.Forbidden, "not-allowed")
	}
	frame, err := d.about(r, by, one)
	v := web.From(r)
	p := ExemptPage{View: frame, Row: row(one.Listed), Most: c.Hours, Hours: strconv.Itoa(min(24, c.Hours))}
	for _, k := range c.Kinds {
		p.Kinds = append(p.Kinds, web.Choice{Value: string(k), Label: v.T("event.kind." + string(k)), Current: r.PostFormValue("kind") == string(k)})
	}
	return p, err
}

func (d *Door) exemptPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.exemptView(r, by)
	if err != nil {
		return err
	}
	return exemptPage.Show(w, r, p)
}

func (d *Door) exempt(w http.ResponseWriter, r *http.Request, by login.By) error {
	hours, _ := strconv.Atoi(r.PostFormValue("hours"))
	_, err := d.Exempts.Propose(r.Context(), exemptBy(by), breakglass.Proposal{
		Person: r.PathValue("person"), Kind: authn.Kind(r.PostFormValue("kind")), Hours: hours, Reason: r.PostFormValue("reason"),
	})
	if err != nil {
		p, later := d.exemptView(r, by)
		if later != nil {
			return err
		}
		p.Hours, p.Reason = r.PostFormValue("hours"), r.PostFormValue("reason")
		return exemptPage.Fail(w, r, p, err)
	}
	web.Flash(w, r, "ok", "console.flash.exempt-proposed")
	return web.Redirect(w, r, "/console/people/"+url.PathEscape(r.PathValue("person")))
}

func (d *Door) exemptSecond(w http.ResponseWriter, r *http.Request, by login.By) error {
	if _, err := d.Exempts.Second(r.Context(), exemptBy(by), r.PathValue("person"), r.PostFormValue("exemption")); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "console.flash.exempt-started")
	return web.Redirect(w, r, "/console/exemptions")
}

func (d *Door) exemptEnd(w http.ResponseWriter, r *http.Request, by login.By) error {
	if err := d.Exempts.End(r.Context(), exemptBy(by), r.PathValue("person"), r.PostFormValue("exemption")); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "console.flash.exempt-ended")
	return web.Redirect(w, r, "/console/exemptions")
}
