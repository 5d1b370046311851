package console

import (
	"net/http"
	"net/url"
	"time"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// Row is one person in the list.
type Row struct {
	ID           string
	Name         string
	Address      string
	Organization string
	Role         directory.Role
	Status       Status
	Factors      []string // names of the authenticators
	Kinds        []authn.Kind
	LastSignIn   time.Time
}

// Status is how a person stands, as a pill: a word and a tone.
type Status struct {
	Key  string // message key
	Tone string
	Time time.Time // for invited: since when
}

// statusOf reads the status of a person.
func statusOf(p admin.Listed) Status {
	switch {
	case p.State == directory.Disabled:
		return Status{Key: "console.status.disabled"}
	case p.State == directory.Frozen:
		return Status{Key: "console.status.frozen", Tone: "bad"}
	case p.Exempt != "":
		return Status{Key: "console.status.exempt", Tone: "warn"}
	case p.Bounced:
		return Status{Key: "console.status.bounced", Tone: "bad"}
	case p.State == directory.Invited && p.Stage == directory.StageInvited:
		return Status{Key: "console.status.invited", Tone: "info", Time: p.Invitation}
	case p.State == directory.Invited:
		return Status{Key: "console.status.setting-up", Tone: "warn"}
	case p.Helped:
		return Status{Key: "console.status.helped", Tone: "warn"}
	case len(p.Factors) == 0:
		return Status{Key: "console.status.no-factor", Tone: "warn"}
	default:
		return Status{Key: "console.status.active", Tone: "ok"}
	}
}

func row(p admin.Listed) Row {
	r := Row{
		ID: p.ID, Name: p.Name, Address: p.Address, Organization: p.Organization.Name, Role: p.Role, Status: statusOf(p),
		LastSignIn: p.LastSignIn,
	}
	for _, f := range p.Factors {
		if f.Name != "" {
			r.Factors = append(r.Factors, f.Name)
		}
		r.Kinds = append(r.Kinds, f.Kind)
	}
	return r
}

// PeoplePage is the list of people.
type PeoplePage struct {
	web.View
	Organization string // empty: all of the realm
	Staff        bool
	Text         string
	Within       string // id of the organization that a filter names
	States       []web.Choice
	Roles        []web.Choice
	Filtered     bool
	Rows         []Row
	Only         bool
	Pager        web.Pager
	MailTrouble  bool
	MailWaiting  int
	MailOldest   time.Time
}

var peoplePage = web.Define(Pages, "people", web.Console,
	web.Sample("some", PeoplePage{View: sampleView, Organization: "Sample Works Ltd", States: sampleStates, Roles: sampleRoles, Rows: sampleRows, Pager: web.Pager{Next: "/console/people?after=x"}}),
	web.Sample("only administrator, mail trouble", PeoplePage{View: sampleView, Organization: "Sample Works Ltd", States: sampleStates, Roles: sampleRoles, Rows: sampleRows[:1], Only: true, MailTrouble: true, MailWaiting: 3, MailOldest: sampleTime}),
	web.Sample("staff", PeoplePage{View: sampleView, Staff: true, States: sampleStates, Roles: sampleRoles, Rows: sampleRows}),
	web.Sample("nobody", PeoplePage{View: sampleView, Organization: "Sample Works Ltd", States: sampleStates, Roles: sampleRoles}),
	web.Sample("nothing found", PeoplePage{View: sampleView, Organization: "Sample Works Ltd", Text: "zz", Filtered: true, States: sampleStates, Roles: sampleRoles}))

// mailTrouble is when waiting mails are worth a warning: the oldest has waited longer than a few retries.
const mailTrouble = 10 * time.Minute

func (d *Door) list(w http.ResponseWriter, r *http.Request, by login.By) error {
	v, in := web.From(r), r.URL.Query()
	q := admin.Query{Text: in.Get("q"), Role: directory.Role(in.Get("role")), AfterName: in.Get("name"), AfterID: in.Get("after"), Organization: in.Get("organization")}
	state := in.Get("state")
	switch state {
	case "stalled":
		q.Stalled = true
	case "unset", "helped", "blocked":
		q.Standing = directory.Standing(state)
	default:
		q.State = directory.PersonState(state)
	}
	page, err := d.People.List(r.Context(), by, q)
	if err != nil {
		return err
	}
	frame, err := d.view(r, by, "/console/people")
	if err != nil {
		return err
	}
	p := PeoplePage{View: frame, Organization: by.Organization.Name, Staff: page.StaffView, Text: q.Text, Only: page.Only,
		Filtered: q.Text != "" || state != "" || q.Role != "" || page.StaffView && q.Organization != "", Within: in.Get("organization")}
	if p.Staff {
		p.Organization = ""
	}
	p.MailTrouble = page.Mail.Waiting > 0 && v.Now.Sub(page.Mail.Oldest) > mailTrouble || page.Mail.Failed > 0
	p.MailWaiting, p.MailOldest = page.Mail.Waiting, page.Mail.Oldest
	for _, s := range []string{"", "active", "unset", "helped", "blocked", "invited", "stalled"} {
		key := "console.filter.all"
		if s != "" {
			key = "console.filter." + s
		}
		p.States = append(p.States, web.Choice{Value: s, Label: v.T(key), Current: s == state})
	}
	roles := []directory.Role{directory.Member, directory.Administrator}
	if p.Staff {
		roles = append(roles, directory.Agent, directory.Supervisor, directory.Auditor, directory.Owner)
	}
	p.Roles = append([]web.Choice{{Label: v.T("console.filter.all"), Current: q.Role == ""}}, roleChoices(v, roles, q.Role)...)
	for _, one := range page.People {
		p.Rows = append(p.Rows, row(one))
	}
	p.Pager = pager(in, page)
	return peoplePage.Show(w, r, p)
}

// pager keeps the filters of a list while paging through it.
func pager(in url.Values, page admin.Page) web.Pager {
	var p web.Pager
	keep := url.Values{}
	for _, k := range []string{"q", "state", "role", "organization"} {
		if in.Get(k) != "" {
			keep.Set(k, in.Get(k))
		}
	}
	if in.Get("after") != "" {
		p.First = "/console/people?" + keep.Encode()
	}
	if page.More && len(page.People) > 0 {
		last := page.People[len(page.People)-1]
		keep.Set("name", last.Name)
		keep.Set("after", last.ID)
		p.Next = "/console/people?" + keep.Encode()
	}
	return p
}

func (d *Door) resend(w http.ResponseWriter, r *http.Request, by login.By) error {
	id := r.PathValue("person")
	if err := d.People.Resend(r.Context(), by, id); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "console.flash.resent")
	return web.Redirect(w, r, "/console/people/"+url.PathEscape(id))
}

// WithdrawPage asks before an invitation is taken back.
type WithdrawPage struct {
	web.View
	Row Row
}

var withdrawPage = web.Define(Pages, "withdraw", web.Console,
	web.Sample("plain", WithdrawPage{View: sampleView, Row: sampleRows[1]}),
	web.Sample("too late", WithdrawPage{View: sampleView, Row: sampleRows[1]}).With(fault.New(fault.Conflict, "already-active")))

func (d *Door) withdrawView(r *http.Request, by login.By) (WithdrawPage, error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err == nil && !one.MayWithdraw {
		err = fault.New(fault.NotFound, "not-found")
	}
	if err != nil {
		return WithdrawPage{}, err
	}
	frame, err := d.about(r, by, one)
	return WithdrawPage{View: frame, Row: row(one.Listed)}, err
}

func (d *Door) withdrawPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.withdrawView(r, by)
	if err != nil {
		return err
	}
	return withdrawPage.Show(w, r, p)
}

func (d *Door) withdraw(w http.ResponseWriter, r *http.Request, by login.By) error {
	if err := d.People.Withdraw(r.Context(), by, r.PathValue("person")); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "console.flash.withdrawn")
	return web.Redirect(w, r, "/console/people")
}

// Samples of what comes from the store.
var (
	sampleTime   = time.Date(2026, 11, 21, 9, 41, 0, 0, time.UTC)
	sampleView   = frame("Clara Placeholder", "Administrator · Sample Works Ltd", "/console/people", 2)
	sampleStates = []web.Choice{{Label: "All"}, {Value: "active", Label: "Active"}}
	sampleRoles  = []web.Choice{{Label: "All"}, {Value: "member", Label: "Member"}}
	sampleRows   = []Row{
		{ID: "1", Name: "Anna Sample", Address: "a.sample@sampleworks.example", Organization: "Sample Works Ltd", Role: directory.Member, Status: Status{Key: "console.status.active", Tone: "ok"}, Factors: []string{"Work phone", "Office computer"}, Kinds: []authn.Kind{authn.TOTP, authn.TOTP}, LastSignIn: sampleTime},
		{ID: "2", Name: "Dora Muster", Address: "d.muster.purchasing.department@sampleworks.example", Organization: "Sample Works Ltd", Role: directory.Administrator, Status: Status{Key: "console.status.invited", Tone: "info", Time: sampleTime.AddDate(0, 0, -2)}},
		{ID: "3", Name: "Emil Template", Address: "e.template@sampleworks.example", Organization: "Sample Works Ltd", Role: directory.Member, Status: Status{Key: "console.status.bounced", Tone: "bad"}},
		{ID: "4", Name: "Fritz Dummy", Address: "f.dummy@sampleworks.example", Organization: "Sample Works Ltd", Role: directory.Member, Status: Status{Key: "console.status.frozen", Tone: "bad"}, Kinds: []authn.Kind{authn.TOTP}, LastSignIn: sampleTime},
	}
	sampleHeld     = []Holding{{Kind: authn.Password, Added: sampleTime.AddDate(0, -2, 0), Used: sampleTime}, {Kind: authn.TOTP, Name: "Work phone", Added: sampleTime.AddDate(0, -2, 0), Used: sampleTime}, {Kind: authn.TOTP, Name: "Old phone", Added: sampleTime.AddDate(-1, 0, 0), Suspended: true}}
	sampleTimeline = []web.Happening{
		{ID: "3", Type: "request.opened", Number: "K7QD-94MT", By: "Hana Operator", Said: "Phone lost on a train, called at 8", At: sampleTime.Add(-50 * 60e9), Icon: "inbox", Browser: "Firefox on Windows", Network: "192.0.2.10"},
		{ID: "2", Type: "signin.failed", Kind: authn.TOTP, Code: "code-used", At: sampleTime.Add(-time.Hour), Tone: "bad", Icon: "block", Browser: "Firefox on Windows", Network: "192.0.2.7"},
		{ID: "1", Type: "signin.succeeded", At: sampleTime.AddDate(0, 0, -1), Tone: "ok", Icon: "check", Browser: "Firefox on Windows", Network: "192.0.2.7"},
	}
	sampleSteps = []admin.Step{{Stage: directory.StageInvited, At: sampleTime}, {Stage: directory.StagePassword, At: sampleTime}, {Stage: directory.StageFactor}, {Stage: directory.StageFirstLogin}, {Stage: directory.StageTerms}, {Stage: directory.StagePreferences}, {Stage: directory.StageActive}}
)
