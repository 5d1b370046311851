package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/web"
)

// RequestPage is one request beside the timeline of its person, with all that somebody who decides looks at. What was
// typed into a form that failed stays.
type RequestPage struct {
	web.View
	Case       admin.Case
	Status     Status // of the person
	Held       []Holding
	History    []web.Happening
	Checks     []Check
	Changed    bool // the form was of an older version; this page shows what is now
	Blocked    string
	Typed      map[string]string
	Suspicious bool
}

// Check is one line of the checklist with what was noted for it so far.
type Check struct {
	directory.CheckRule
	Done    []helpdesk.Check
	Missing bool // has to pass and has not
}

// Passed says that nothing more is needed here.
func (c Check) Passed() bool {
	return !c.Missing && len(c.Done) > 0 && c.Done[len(c.Done)-1].Result == helpdesk.Passed
}

var requestPage = web.Define(Pages, "request", web.Console,
	web.Sample("to be checked", sampleCase(func(p *RequestPage) {})),
	web.Sample("veiled", sampleCase(func(p *RequestPage) {
		p.Case.Veiled, p.Case.MayBegin, p.Case.Who, p.Case.Address = true, true, sampleWho.Veiled(), "a•••@s•••"
	})),
	web.Sample("note too short", sampleCase(func(p *RequestPage) { p.Typed = map[string]string{"note-call-back": "x", "result-call-back": "passed"} })).With(fault.New(fault.Invalid, "note-short", "min", 3).In("note-call-back")),
	web.Sample("changed meanwhile", sampleCase(func(p *RequestPage) { p.Changed = true })).With(fault.New(fault.Conflict, "stale")),
	web.Sample("second person", sampleCase(func(p *RequestPage) {
		p.Checks[0].Missing, p.Checks[0].Done = false, []helpdesk.Check{{Rule: "call-back", Result: helpdesk.Failed, Note: "No answer", Name: "Hana Operator", At: sampleTime}, {Rule: "call-back", Result: helpdesk.Passed, Note: "Number in the customer file, knew of it", Evidence: "CALL-2291", Name: "Ivo Supervisor", At: sampleTime}}
		p.Case.Missing, p.Case.Waits, p.Case.Needed = nil, "second", 2
		p.Case.Approvals = []helpdesk.Approval{{Name: "Hana Operator", Role: directory.Agent, At: sampleTime}}
		p.Case.Need.Because = []string{"failed-check", "refused"}
		p.Case.Need.Approvers = 2
	})),
	web.Sample("own approval", sampleCase(func(p *RequestPage) {
		p.Case.Missing, p.Blocked = nil, "You have approved this already. Another person has to look at it now."
	})),
	web.Sample("approved", sampleCase(func(p *RequestPage) {
		p.Case.State, p.Case.Waits, p.Case.From, p.Case.Until = helpdesk.Approved, "cooling", sampleTime.Add(3600e9), sampleTime.AddDate(0, 0, 1)
		p.Case.MayCheck, p.Case.MayRefuse = false, false
		p.Case.Approvals = []helpdesk.Approval{{Name: "Hana Operator", Role: directory.Agent, At: sampleTime}}
	})),
	web.Sample("nobody", RequestPage{View: sampleInboxView, Case: admin.Case{Item: sampleItems[1], MayRefuse: true, MayStop: true}}),
	web.Sample("from the form", RequestPage{View: sampleInboxView, Status: sampleRows[0].Status, Case: admin.Case{
		Item:    admin.Item{Request: helpdesk.Request{ID: "4", Number: "T5UV-30KL", Address: sampleWho.Address, Why: helpdesk.FactorLost, Words: "Phone broken", Channel: helpdesk.ByForm, State: helpdesk.Open, Asked: 3, Created: sampleTime}, Who: sampleWho, Customer: sampleCustomer, Waits: "answer"},
		MayName: true, MayRefuse: true, MayStop: true, Earlier: []helpdesk.Request{sampleClosed.Request}}, History: sampleTimeline}),
	web.Sample("refused", RequestPage{View: sampleInboxView, Status: sampleRows[0].Status, Case: admin.Case{Item: sampleClosed, EndedBy: "Hana Operator"}, History: sampleTimeline}))

func sampleCase(change func(*RequestPage)) RequestPage {
	p := RequestPage{View: sampleInboxView, Status: sampleRows[0].Status, Held: sampleHeld, History: sampleTimeline, Case: admin.Case{
		Item: sampleItems[0], OpenedBy: "Hana Operator", Missing: []string{"call-back"}, Earlier: []helpdesk.Request{sampleClosed.Request},
		Need: helpdesk.Need{Approvers: 1, Checks: []string{"call-back"}}, MayCheck: true, MayRefuse: true, MayStop: true,
	}}
	for i, rule := range directory.Checklist {
		p.Checks = append(p.Checks, Check{CheckRule: rule, Missing: i == 0})
	}
	change(&p)
	return p
}

func (d *Door) requestView(r *http.Request, by login.By) (RequestPage, error) {
	c, err := d.Requests.Look(r.Context(), by, r.PathValue("request"))
	if err != nil {
		return RequestPage{}, err
	}
	frame, err := d.view(r, by, "/console/requests")
	if err != nil {
		return RequestPage{}, err
	}
	p := RequestPage{View: frame, Case: c, Held: holdings(c.Factors), Status: statusOf(admin.Listed{Person: c.Who, Factors: c.Factors, Helped: c.State == helpdesk.Open || c.State == helpdesk.Approved})}
	p.Back = "/console/requests"
	for _, rule := range c.Rules {
		one := Check{CheckRule: rule, Missing: slices.Contains(c.Missing, rule.ID)}
		for _, done := range c.Checks {
			if done.Rule == rule.ID {
				one.Done = append(one.Done, done)
			}
		}
		p.Checks = append(p.Checks, one)
	}
	for _, e := range c.Timeline {
		p.History = append(p.History, web.HappeningOf(e, c.Who.ID))
	}
	if c.State == helpdesk.Open && c.Approving != nil {
		if p.Blocked = web.From(r).Say(c.Approving); fault.As(c.Approving) == nil {
			return p, c.Approving
		}
	}
	return p, nil
}

func (d *Door) request(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.requestView(r, by)
	if err != nil {
		return err
	}
	return requestPage.Show(w, r, p)
}

// decided answers a form of the page: on to the request as it is now, or the page again with what was typed and what went
// wrong. suffix tells fields of several forms apart.
func (d *Door) decided(w http.ResponseWriter, r *http.Request, by login.By, err error, suffix, flash, number string) error {
	if err == nil {
		web.Flash(w, r, "ok", flash, "number", number)
		return web.Redirect(w, r, "/console/requests/"+url.PathEscape(r.PathValue("request")))
	}
	p, later := d.requestView(r, by)
	if later != nil {
		return later
	}
	f := fault.As(err)
	if f == nil {
		return err
	}
	if f.Field != "" && f.Field != "checks" {
		err = f.In(f.Field + suffix)
	}
	p.Changed = f.Code == "stale"
	p.Typed = map[string]string{}
	for name, values := range r.PostForm {
		p.Typed[name] = strings.Join(values, " ")
	}
	return requestPage.Fail(w, r, p, err)
}

// version is that of the request which the form was made for.
func version(r *http.Request) int64 {
	n, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		return -1 // no request has it: stale
	}
	return n
}

// begin shows what a caller could be asked for to whoever checks them from now on.
func (d *Door) begin(w http.ResponseWriter, r *http.Request, by login.By) error {
	q, err := d.Requests.Begin(r.Context(), by, r.PathValue("request"))
	return d.decided(w, r, by, err, "", "console.flash.begun", q.Number)
}

func (d *Door) check(w http.ResponseWriter, r *http.Request, by login.By) error {
	rule := r.PostFormValue("rule")
	q, err := d.Requests.Check(r.Context(), by, r.PathValue("request"), helpdesk.Check{
		Rule: rule, Result: helpdesk.Result(r.PostFormValue("result-" + rule)), Note: r.PostFormValue("note-" + rule), Evidence: r.PostFormValue("evidence-" + rule),
	})
	return d.decided(w, r, by, err, "-"+rule, "console.flash.checked", q.Number)
}

func (d *Door) approve(w http.ResponseWriter, r *http.Request, by login.By) error {
	q, err := d.Requests.Approve(r.Context(), by, r.PathValue("request"), version(r))
	flash := "console.flash.approved"
	if q.State == helpdesk.Open {
		flash = "console.flash.seconded"
	}
	return d.decided(w, r, by, err, "", flash, q.Number)
}

func (d *Door) refuse(w http.ResponseWriter, r *http.Request, by login.By) error {
	q, err := d.Requests.Refuse(r.Context(), by, r.PathValue("request"), version(r), r.PostFormValue("reason-refuse"), r.PostFormValue("suspicious") == "yes")
	return d.decided(w, r, by, err, "-refuse", "console.flash.refused", q.Number)
}

func (d *Door) answer(w http.ResponseWriter, r *http.Request, by login.By) error {
	q, err := d.Requests.Answer(r.Context(), by, r.PathValue("request"), version(r), r.PostFormValue("reason-answer"))
	return d.decided(w, r, by, err, "-answer", "console.flash.answered", q.Number)
}

func (d *Door) stop(w http.ResponseWriter, r *http.Request, by login.By) error {
	q, err := d.Requests.Cancel(r.Context(), by, r.PathValue("request"), r.PostFormValue("reason-stop"))
	return d.decided(w, r, by, err, "-stop", "console.flash.stopped", q.Number)
}
