package console

import (
	"net/http"
	"net/url"
	"time"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/calls"
	"doorward/internal/directory"
	"doorward/internal/handover"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/web"
)

// Holding is one thing a person can show, as whoever looks after them sees it: never its secret.
type Holding struct {
	Kind      authn.Kind
	Name      string
	Added     time.Time
	Used      time.Time
	Suspended bool
}

func holdings(creds []authn.Credential) []Holding {
	out := make([]Holding, len(creds))
	for i, c := range creds {
		out[i] = Holding{Kind: c.Kind, Name: c.Name, Added: c.Created, Used: c.LastUsed, Suspended: c.State == authn.Suspended}
	}
	return out
}

// PersonPage is one person.
type PersonPage struct {
	web.View
	Row         Row
	Language    string
	Steps       []admin.Step
	Active      bool
	History     []web.Happening
	Mails       []mail.Message
	Expires     time.Time // of the open invitation; zero: none
	MayInvite   bool
	MayWithdraw bool
	Called      bool // not invited: a certificate and a call are their way in
	MayHistory  bool

	State      directory.PersonState
	Held       []Holding
	Sessions   int
	Live       helpdesk.Request
	Earlier    []admin.Past
	Advice     admin.Advice // empty: the actor only reads
	Failures   []web.Happening
	MayReset   bool
	MayDisable bool
	MayEnd     bool
	MaySuspend bool

	Veiled    bool
	Exempt    ExemptItem // zero: none
	MayExempt bool

	Certificates []handover.Held
	MayIssue     bool

	MayEdit    bool
	MayDelete  bool
	MayRole    bool
	Phone      string
	PhoneSince time.Time
	Zone       string
	Contact    string       // name of the staff member assigned
	Waiting    []calls.Call // sessions that wait for a call; staff only
}

var personPage = web.Define(Pages, "person", web.Console,
	web.Sample("invited", PersonPage{View: sampleView, Row: sampleRows[1], Language: "Deutsch", Steps: sampleSteps, Expires: sampleTime.AddDate(0, 0, 5), MayInvite: true, MayWithdraw: true, MayHistory: true, MayDisable: true,
		State: directory.Invited, Advice: admin.AdviceResend,
		Mails:   []mail.Message{{ID: "1", Template: "invitation", State: mail.Sent, Created: sampleTime, Done: sampleTime}, {ID: "2", Template: "invitation", State: mail.Failed, Created: sampleTime, LastError: "550 no such mailbox"}},
		History: []web.Happening{{ID: "1", Type: "invitation.sent", By: "Clara Placeholder", At: sampleTime, Icon: "mail"}}}),
	web.Sample("waits for the first sign-in", PersonPage{View: sampleView, Row: sampleRows[1], Language: "Deutsch", Called: true, MayWithdraw: true, MayHistory: true, Advice: admin.AdviceCall, MayIssue: true,
		Steps: []admin.Step{{Stage: directory.StageCertificate, At: sampleTime}, {Stage: directory.StageCall}, {Stage: directory.StageFactor}, {Stage: directory.StagePassword}, {Stage: directory.StageTerms}, {Stage: directory.StageActive}}}),
	web.Sample("active", PersonPage{View: sampleView, Row: sampleRows[0], Language: "English", Active: true, Steps: sampleSteps, MayHistory: true,
		State: directory.Active, Held: sampleHeld, Sessions: 2, Advice: admin.AdviceCodes, MayReset: true, MayDisable: true, MayEnd: true, MaySuspend: true, MayEdit: true, MayDelete: true, MayRole: true, MayIssue: true, Certificates: []handover.Held{sampleHeldCert, sampleStand(handover.InUse, nil).Held}, Phone: "+41445550142", PhoneSince: sampleTime.AddDate(0, 0, -2), Zone: "Europe/Lisbon", Contact: "Hana Operator", Failures: sampleTimeline[1:2], Earlier: samplePast, History: sampleTimeline}),
	web.Sample("no certificate yet", PersonPage{View: sampleView, Row: sampleRows[0], Language: "English", Active: true, Steps: sampleSteps, MayHistory: true, State: directory.Active, Held: sampleHeld, MayIssue: true}),
	web.Sample("veiled", PersonPage{View: sampleView, Certificates: []handover.Held{{Stand: handover.Fetched, Certificate: sampleHeldCert.Certificate}}, Veiled: true, Row: sampleVeiled, Language: "English", Active: true, Steps: sampleSteps, MayHistory: true,
		State: directory.Active, Held: []Holding{{Kind: authn.Password, Added: sampleTime}, {Kind: authn.TOTP, Added: sampleTime}}, Phone: "••• 42", PhoneSince: sampleTime.AddDate(-1, 0, 0), Advice: admin.AdviceNothing, MayReset: true}),
	web.Sample("being helped", PersonPage{View: sampleView, Waiting: []calls.Call{sampleCall(nil).Call}, Row: sampleRows[0], Language: "English", Active: true, Steps: sampleSteps, MayHistory: true,
		State: directory.Active, Held: sampleHeld, Live: sampleRequest, Advice: admin.AdviceRequest, MayReset: true, MayDisable: true, History: sampleTimeline}),
	web.Sample("frozen", PersonPage{View: sampleView, Row: sampleRows[3], Language: "English", Active: true, Steps: sampleSteps, MayHistory: true,
		State: directory.Frozen, Held: sampleHeld, Live: helpdesk.Request{ID: "2", Number: "K7QD-94MT", Why: helpdesk.NotMe, State: helpdesk.Open, Words: "factor-added", Created: sampleTime}, Advice: admin.AdviceThaw, MayDisable: true, History: sampleTimeline}),
	web.Sample("exempt", PersonPage{View: sampleView, Row: sampleRows[0], Language: "English", Active: true, Steps: sampleSteps, MayHistory: true,
		State: directory.Active, Held: sampleHeld, Exempt: ExemptItem{Given: sampleGiven, MayEnd: true}, MayReset: true, History: sampleTimeline}),
	web.Sample("could be exempt", PersonPage{View: sampleView, Row: sampleRows[0], Language: "English", Active: true, Steps: sampleSteps, MayHistory: true,
		State: directory.Active, Held: sampleHeld, MayExempt: true, MayReset: true, History: sampleTimeline}),
	web.Sample("little", PersonPage{View: sampleView, Row: sampleRows[0], Language: "English", Active: true}))

var sampleVeiled = Row{ID: "1", Name: "Anna Sample", Address: "a•••@s•••", Organization: "Sample Works Ltd", Role: directory.Member, Status: Status{Key: "console.status.active", Tone: "ok"}, Kinds: []authn.Kind{authn.TOTP}, LastSignIn: sampleTime}

// about is the frame of a page about one person that leads back to them.
func (d *Door) about(r *http.Request, by login.By, one admin.Detail) (web.View, error) {
	v, err := d.view(r, by, "/console/people")
	v.Back = "/console/people/" + url.PathEscape(one.ID)
	return v, err
}

func (d *Door) person(w http.ResponseWriter, r *http.Request, by login.By) error {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return err
	}
	v := web.From(r)
	frame, err := d.view(r, by, "/console/people")
	if err != nil {
		return err
	}
	p := PersonPage{
		View: frame, Row: row(one.Listed), Language: v.LanguageName(one.Language), Steps: one.Steps,
		Active: one.EverActive(), Mails: one.Mails, Called: one.Called, MayInvite: one.MayInvite, MayWithdraw: one.MayWithdraw, MayHistory: one.MayHistory,
		State: one.State, Held: holdings(one.Held), Sessions: one.Sessions, Live: one.Live, Earlier: one.Earlier,
		MayReset: one.MayReset, MayDisable: one.MayDisable, MayEnd: one.MayEnd, MaySuspend: suspendable(one),
		Veiled: one.Veiled, MayEdit: one.MayEdit, MayDelete: one.MayDelete, MayRole: len(one.Roles) > 0, Phone: one.Phone, PhoneSince: one.PhoneSince, Zone: one.Zone,
		Contact: one.Assigned.Name,
	}
	if one.MayHistory && (one.MayReset || one.MayDisable) {
		p.Advice = one.Advise(v.Now)
	}
	if one.MayHistory {
		c, err := d.Exempts.Look(r.Context(), exemptBy(by), one.ID)
		if err != nil {
			return err
		}
		p.Exempt = ExemptItem{Given: breakglass.Given{Exemption: c.Exemption, Who: one.Person}, MaySecond: c.MaySecond, MayEnd: c.MayEnd}
		p.MayExempt = len(c.Kinds) > 0
	}
	if one.MayHistory {
		desk, err := d.certificates(r, by, one)
		if err != nil {
			return err
		}
		p.Certificates, p.MayIssue = desk.Held, desk.MayIssue
	}
	p.Back = "/console/people"
	if by.Person.Role.Staff() && one.MayHistory {
		if p.Waiting, err = d.Calls.Waiting(r.Context(), by, one.ID); err != nil {
			return err
		}
	}
	if i := one.Invitation; i.ID != "" && i.Used.IsZero() && i.Voided.IsZero() {
		p.Expires = i.Expires
	}
	for _, e := range one.Timeline {
		p.History = append(p.History, web.HappeningOf(e, one.ID))
	}
	for _, e := range one.Failures(v.Now) {
		p.Failures = append(p.Failures, web.HappeningOf(e, one.ID))
	}
	return personPage.Show(w, r, p)
}

// Frozen says that somebody with a notice in hand froze the account.
func (p PersonPage) Frozen() bool { return p.State == directory.Frozen }

// Shut says that the account lets nobody in.
func (p PersonPage) Shut() bool { return p.State.Shut() }

// freshPhone is how long a number on file is too new to prove anything: whoever put it there may be who calls.
const freshPhone = 7 * 24 * time.Hour

// PhoneIsNew warns of a number that was put on file a short while ago.
func (p PersonPage) PhoneIsNew() bool { return p.Phone != "" && p.Now.Sub(p.PhoneSince) < freshPhone }
