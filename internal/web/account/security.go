package account

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/selfservice"
	"doorward/internal/session"
	"doorward/internal/web"
)

// Factor is one way to prove who one is, as a card.
type Factor struct {
	ID        string
	Kind      authn.Kind
	Name      string
	App       string // the authenticator it is, empty where unknown
	Extension bool   // it lives in a browser, not on a phone
	Added     time.Time
	Used      time.Time
	Suspended bool
}

// Password reports whether the factor is the password, which is changed and never removed.
func (f Factor) Password() bool { return f.Kind == authn.Password }

// Certificate reports whether the factor is a certificate, which has a page of its own.
func (f Factor) Certificate() bool { return f.Kind == authn.Cert }

// Place is one session, as a row.
type Place struct {
	ID      string
	Browser string
	Network string
	Since   time.Time
	Seen    time.Time
	Here    bool
}

// Phone reports whether the browser runs on a phone or tablet, as far as its name tells.
func (p Place) Phone() bool {
	return slices.ContainsFunc([]string{"iOS", "iPadOS", "Android"}, func(s string) bool { return strings.Contains(p.Browser, s) })
}

// OverviewPage is the start page of the account.
type OverviewPage struct {
	web.View
	Name         string
	Address      string
	Organization string
	LastSignIn   time.Time
	Factors      int
	Spare        bool
	Codes        Codes
	Applications []directory.RelyingParty
	Ahead        []Ahead
	Exempt       authn.Kind // not asked for, for a time; empty for none
	ExemptUntil  time.Time
	Ending       *Ending // a certificate that has to be renewed; nil for none
}

// Ending is a certificate that ends soon.
type Ending struct {
	ID    string
	Name  string
	Until time.Time
}

// Codes are the recovery codes of an account, as a card.
type Codes struct {
	selfservice.Codes
	Can bool // the policy lets the person make some
}

func sampleCodes(left int) Codes {
	return Codes{selfservice.Codes{Made: sampleTime.Add(-40 * 24 * time.Hour), Left: left, Of: 10}, true}
}

func codes(o selfservice.Overview) Codes {
	return Codes{o.Codes, slices.Contains(o.CanAdd, authn.Recovery)}
}

// None reports whether codes can be made and were not.
func (c Codes) None() bool { return c.Can && c.Made.IsZero() }

var overviewPage = web.Define(Pages, "overview", web.Desk,
	web.Sample("new", OverviewPage{View: sampleView("/account"), Name: "Anna Sample", Address: "a.sample@sampleworks.example", Organization: "Sample Works Ltd", LastSignIn: sampleTime, Factors: 1, Codes: Codes{Can: true}}),
	web.Sample("spare", OverviewPage{View: sampleView("/account"), Name: "Anna Sample", Address: "a.sample@sampleworks.example", Organization: "Sample Works Ltd", LastSignIn: sampleTime, Factors: 2, Spare: true, Codes: sampleCodes(2),
		Applications: []directory.RelyingParty{{ID: "store", Name: "Northline store", Home: "https://store.northline.example"}}}),
	web.Sample("asked and exempt", OverviewPage{View: sampleView("/account"), Name: "Anna Sample", Address: "a.sample@sampleworks.example", Organization: "Sample Works Ltd", LastSignIn: sampleTime, Factors: 1, Spare: true,
		Ahead: []Ahead{{Name: "A second step", About: "Beside your password you show a code.", Until: sampleTime.AddDate(0, 0, 9)}, {Name: "Passkeys", About: "You sign in with a passkey.", Until: sampleTime.AddDate(0, 0, 30), Stranded: true}}, Exempt: authn.TOTP, ExemptUntil: sampleTime.Add(24 * time.Hour), Ending: &Ending{ID: "c", Name: "Study laptop", Until: sampleTime.AddDate(0, 0, 12)}}))

func (d *Door) overview(w http.ResponseWriter, r *http.Request, by login.By) error {
	o, err := d.Self.Overview(r.Context(), by)
	if err != nil {
		return err
	}
	p := OverviewPage{
		View: web.Signed(by, "/account"), Name: by.Person.Name, Address: by.Person.Address, Organization: by.Organization.Name,
		LastSignIn: by.Session.Created, Spare: o.Spare, Codes: codes(o), Applications: by.Realm.Relying,
	}
	for _, c := range o.Credentials {
		if c.Kind != authn.Password && c.Kind != authn.Recovery {
			p.Factors++
		}
	}
	if p.Ahead, err = d.asked(r, by); err != nil {
		return err
	}
	if due, err := d.Renewals.Due(r.Context(), by); err != nil {
		return err
	} else if len(due) > 0 {
		p.Ending = &Ending{ID: due[0].ID, Name: due[0].Name, Until: due[0].NotAfter}
	}
	if by.Person.IsExempt(web.From(r).Now) {
		p.Exempt, p.ExemptUntil = authn.Kind(by.Person.Exempt), by.Person.ExemptUntil
	}
	return overviewPage.Show(w, r, p)
}

// SecurityPage is everything about the safety of an account on one page.
type SecurityPage struct {
	web.View
	Factors   []Factor
	Places    []Place
	History   []web.Happening
	Spare     bool
	CanAdd    bool // another authenticator app can be added
	Elsewhere bool
	Codes     Codes
}

var securityPage = web.Define(Pages, "security", web.Desk,
	web.Sample("one", SecurityPage{View: sampleView("/account/security"), Factors: sampleFactors[:2], Places: samplePlaces[:1], History: sampleHistory[:2], CanAdd: true, Codes: Codes{Can: true}}),
	web.Sample("several", SecurityPage{View: sampleView("/account/security"), Factors: sampleFactors, Places: samplePlaces, History: sampleHistory, Spare: true, CanAdd: true, Elsewhere: true, Codes: sampleCodes(9)}))

func (d *Door) security(w http.ResponseWriter, r *http.Request, by login.By) error {
	o, err := d.Self.Overview(r.Context(), by)
	if err != nil {
		return err
	}
	p := SecurityPage{
		View: web.Signed(by, "/account/security"), Factors: factors(by, o), Places: places(by, o.Sessions),
		History: happenings(by, o.History), Spare: o.Spare, CanAdd: slices.Contains(o.CanAdd, authn.TOTP), Codes: codes(o),
	}
	p.Elsewhere = len(p.Places) > 1
	return securityPage.Show(w, r, p)
}

// factors lists the ways in: what is used most lately first, the password last.
func factors(by login.By, o selfservice.Overview) []Factor {
	var out []Factor
	for _, c := range o.Credentials {
		if c.Kind != authn.Recovery {
			out = append(out, factor(by, c))
		}
	}
	slices.SortStableFunc(out, func(a, b Factor) int {
		if a.Password() != b.Password() {
			return map[bool]int{true: 1, false: -1}[a.Password()]
		}
		return b.Used.Compare(a.Used)
	})
	return out
}

func factor(by login.By, c authn.Credential) Factor {
	f := Factor{ID: c.ID, Kind: c.Kind, Name: c.Name, Added: c.Created, Used: c.LastUsed, Suspended: c.State == authn.Suspended}
	for _, a := range by.Realm.Apps {
		if a.ID == c.Model {
			f.App, f.Extension = a.Name, a.Kind == "extension"
		}
	}
	return f
}

func places(by login.By, sessions []session.Session) []Place {
	var out []Place
	for _, s := range sessions {
		p := Place{ID: s.ID, Browser: s.Browser, Network: s.Network, Since: s.Created, Seen: s.Seen, Here: s.ID == by.Session.ID}
		if p.Here {
			out = append([]Place{p}, out...)
			continue
		}
		out = append(out, p)
	}
	return out
}

// FactorPage asks for a new name, or whether to remove a factor.
type FactorPage struct {
	web.View
	Factor Factor
	Name   string
}

var renamePage = web.Define(Pages, "rename", web.Desk,
	web.Sample("plain", FactorPage{View: sampleView("/account/security"), Factor: sampleFactors[0], Name: "Work phone"}),
	web.Sample("empty", FactorPage{View: sampleView("/account/security"), Factor: sampleFactors[0]}).With(fault.New(fault.Invalid, "name-missing").In("name")))

var removePage = web.Define(Pages, "remove", web.Desk,
	web.Sample("plain", FactorPage{View: sampleView("/account/security"), Factor: sampleFactors[0]}),
	web.Sample("last", FactorPage{View: sampleView("/account/security"), Factor: sampleFactors[0]}).With(fault.New(fault.Conflict, "last-way-in")))

// one loads the factor a page is about; the password and recovery codes have no such page, and certificates have their own.
func (d *Door) one(r *http.Request, by login.By) (Factor, error) {
	o, err := d.Self.Overview(r.Context(), by)
	if err != nil {
		return Factor{}, err
	}
	for _, c := range o.Credentials {
		if c.ID == r.PathValue("credential") && c.Kind != authn.Password && c.Kind != authn.Recovery && c.Kind != authn.Cert {
			return factor(by, c), nil
		}
	}
	return Factor{}, fault.New(fault.NotFound, "not-found")
}

func (d *Door) renamePage(w http.ResponseWriter, r *http.Request, by login.By) error {
	f, err := d.one(r, by)
	if err != nil {
		return err
	}
	return renamePage.Show(w, r, dialog(by, f, f.Name))
}

func dialog(by login.By, f Factor, name string) FactorPage {
	v := web.Signed(by, "/account/security")
	v.Back = "/account/security"
	return FactorPage{View: v, Factor: f, Name: name}
}

func (d *Door) rename(w http.ResponseWriter, r *http.Request, by login.By) error {
	f, err := d.one(r, by)
	if err != nil {
		return err
	}
	name := r.PostFormValue("name")
	if err := d.Self.Rename(r.Context(), by, f.ID, name); err != nil {
		return renamePage.Fail(w, r, dialog(by, f, name), err)
	}
	web.Flash(w, r, "ok", "account.flash.renamed")
	return web.Redirect(w, r, "/account/security")
}

func (d *Door) removePage(w http.ResponseWriter, r *http.Request, by login.By) error {
	f, err := d.one(r, by)
	if err != nil {
		return err
	}
	return removePage.Show(w, r, dialog(by, f, f.Name))
}

// remove ends a factor. Where the login is older than five minutes the person signs in again and comes back.
func (d *Door) remove(w http.ResponseWriter, r *http.Request, by login.By) error {
	f, err := d.one(r, by)
	if err != nil {
		return err
	}
	err = d.Self.Remove(r.Context(), by, f.ID)
	switch e := fault.As(err); {
	case e != nil && e.Code == "login-not-fresh":
		web.Flash(w, r, "warn", "account.flash.fresh")
		return d.begin(w, r, by, authn.Goal{}, "/account/security")
	case err != nil:
		return removePage.Fail(w, r, dialog(by, f, f.Name), err)
	}
	web.Flash(w, r, "ok", "account.flash.removed")
	return web.Redirect(w, r, "/account/security")
}

func (d *Door) endSession(w http.ResponseWriter, r *http.Request, by login.By) error {
	if err := d.Self.EndSession(r.Context(), by, r.PathValue("session")); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "account.flash.session-ended")
	return web.Redirect(w, r, "/account/security")
}

func (d *Door) endOthers(w http.ResponseWriter, r *http.Request, by login.By) error {
	if _, err := d.Self.EndOtherSessions(r.Context(), by); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "account.flash.sessions-ended")
	return web.Redirect(w, r, "/account/security")
}

func happenings(by login.By, events []audit.Event) []web.Happening {
	out := make([]web.Happening, len(events))
	for i, e := range events {
		out[i] = web.HappeningOf(e, by.Person.ID).Own()
	}
	return out
}
