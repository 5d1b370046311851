package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/calls"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/web"
)

// CallPage is the agent's side of a call: the words to say, the field for the code, who and what waits where, the checklist,
// and the two ways it ends (REQ A27, A28). What was typed into a form that failed stays.
type CallPage struct {
	web.View
	Call    calls.Call
	Blocked string // why the agent cannot go on, in words
	Typed   map[string]string
}

var callPage = web.Define(Pages, "call", web.Console,
	web.Sample("waiting", sampleCall(nil)),
	web.Sample("opened", sampleCall(func(p *CallPage) { opened(&p.Call) })),
	web.Sample("wrong", sampleCall(func(p *CallPage) { opened(&p.Call); p.Call.Tries = 1 })).With(fault.New(fault.Rejected, "call-wrong", "left", 2).In("code")),
	web.Sample("matched", sampleCall(func(p *CallPage) { opened(&p.Call); p.Call.State = activation.Matched })),
	web.Sample("note too short", sampleCall(func(p *CallPage) {
		opened(&p.Call)
		p.Call.State = activation.Matched
		p.Typed = map[string]string{"result-call-back": "passed", "note-call-back": "x"}
	})).With(fault.New(fault.Invalid, "note-short", "min", 3).In("note-call-back")),
	web.Sample("second agent", sampleCall(func(p *CallPage) {
		opened(&p.Call)
		p.Call.Mine, p.Call.State, p.Call.Needed, p.Call.Missing = false, activation.Matched, 2, nil
		p.Call.Checks = []helpdesk.Check{{Rule: "call-back", Result: helpdesk.Passed, Note: "Number in the customer file", Name: "Hana Operator", At: sampleTime}}
		p.Call.Confirmations = []activation.Confirmation{{Name: "Hana Operator", At: sampleTime}}
	})),
	web.Sample("device, of another agent", sampleCall(func(p *CallPage) {
		opened(&p.Call)
		p.Call.Mine, p.Call.Kind, p.Call.Device = false, authn.Call, activation.Device{Name: "Study laptop", Words: "amber violin harbour"}
	})),
	web.Sample("not for this agent", sampleCall(func(p *CallPage) {
		p.Call.May, p.Blocked = fault.New(fault.Forbidden, "call-opener"), "You opened the request behind this call."
	})),
	web.Sample("over", sampleCall(func(p *CallPage) {
		p.Call.May, p.Call.Reject, p.Call.State = fault.New(fault.Conflict, "call-over"), false, activation.Ended
	})))

func opened(c *calls.Call) {
	c.State, c.Mine, c.Words, c.Agent, c.AgentName, c.Opened = activation.Opened, true, "maple river", "a", "Hana Operator", sampleTime
}

func sampleCall(change func(*CallPage)) CallPage {
	a := activation.Activation{ID: "k1", Person: "p1", Kind: authn.Spoken, Number: "K7QD-94MT", State: activation.Waiting, Network: "198.51.100.7", Browser: "Firefox on Windows",
		Created: sampleTime.Add(-2 * time.Minute), Expires: sampleTime.Add(8 * time.Minute)}
	p := CallPage{View: sampleView, Call: calls.Call{Activation: a, Who: sampleWho, Customer: sampleCustomer, Request: helpdesk.Request{ID: "1", Number: "T5UV-30KL", Everything: true},
		Rules: directory.Checklist, Missing: []string{"call-back"}, Needed: 1, Reject: true,
		Earlier: []activation.Activation{{ID: "k0", Number: "M2ND-55PQ", State: activation.Rejected, Network: "203.0.113.9", Browser: "Chrome on Android", ClosedWhy: "Did not know the company", Created: sampleTime.AddDate(0, 0, -2)}},
	}}
	if change != nil {
		change(&p)
	}
	return p
}

// Typing says that the agent has it open and the code is still to be typed.
func (p CallPage) Typing() bool {
	return p.Call.May == nil && p.Call.Mine && p.Call.State == activation.Opened
}

// Checking says that the code was right and the actor may confirm now.
func (p CallPage) Checking() bool {
	return p.Call.May == nil && p.Call.State == activation.Matched && (p.Call.Mine || len(p.Call.Confirmations) > 0)
}

// Takes says that the actor may open it, or take it over.
func (p CallPage) Takes() bool { return p.Call.May == nil && !p.Call.Mine && !p.Checking() }

// Failed says that a check failed in this call.
func (p CallPage) Failed() bool {
	for _, c := range p.Call.Checks {
		if c.Result == helpdesk.Failed {
			return true
		}
	}
	return false
}

// Result is how a check went, in words.
func (p CallPage) Result(c helpdesk.Check) Pill { return RequestPage{View: p.View}.Result(c) }

// State is how an activation stands, in words.
func (p CallPage) State(a activation.Activation) Pill { return callState(&p.View, a) }

// CallState is how an activation stands, in words.
func (p PersonPage) CallState(a activation.Activation) Pill { return callState(&p.View, a) }

func callState(v *web.View, a activation.Activation) Pill {
	state := a.State
	if (state == activation.Waiting || state == activation.Opened || state == activation.Matched) && !a.Live(v.Now) {
		state = activation.Expired
	}
	tone := map[activation.State]string{
		activation.Waiting: "info", activation.Opened: "warn", activation.Matched: "warn", activation.Confirmed: "ok", activation.Used: "ok",
		activation.Ended: "bad", activation.Rejected: "bad",
	}[state]
	return Pill{tone, v.T("console.call.state." + string(state))}
}

// Binds says what the person sets up behind the call.
func (p CallPage) Binds() string {
	switch {
	case p.Call.Request.ID != "":
		return lost(&p.View, p.Call.Request)
	case p.Call.Binds != "":
		return p.T("event.kind." + string(p.Call.Binds))
	}
	return ""
}

// Of are the checks of a rule that were made in this call.
func (p CallPage) Of(rule string) (made []helpdesk.Check) {
	for _, c := range p.Call.Checks {
		if c.Rule == rule {
			made = append(made, c)
		}
	}
	return made
}

func callPath(r *http.Request) string {
	return "/console/people/" + url.PathEscape(r.PathValue("person")) + "/calls/" + url.PathEscape(r.PathValue("call"))
}

func (d *Door) callView(r *http.Request, by login.By) (p CallPage, err error) {
	if p.Call, err = d.Calls.Look(r.Context(), by, r.PathValue("person"), r.PathValue("call")); err != nil {
		return p, err
	}
	if p.View, err = d.view(r, by, "/console/people"); err != nil {
		return p, err
	}
	p.Back = "/console/people/" + url.PathEscape(r.PathValue("person"))
	if p.Call.May != nil {
		if p.Blocked = web.From(r).Say(p.Call.May); fault.As(p.Call.May) == nil {
			return p, p.Call.May
		}
	}
	return p, nil
}

func (d *Door) call(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.callView(r, by)
	if err != nil {
		return err
	}
	return callPage.Show(w, r, p)
}

// called answers a form of the page: on to the call as it is now, or the page again with what was typed and what went wrong.
func (d *Door) called(w http.ResponseWriter, r *http.Request, by login.By, err error, flash, to string) error {
	if err == nil {
		if flash != "" {
			web.Flash(w, r, "ok", flash)
		}
		return web.Redirect(w, r, to)
	}
	if fault.As(err) == nil {
		return err
	}
	p, later := d.callView(r, by)
	if later != nil {
		return later
	}
	p.Typed = map[string]string{}
	for name, values := range r.PostForm {
		if name != "code" {
			p.Typed[name] = strings.Join(values, " ")
		}
	}
	return callPage.Fail(w, r, p, err)
}

func (d *Door) openCall(w http.ResponseWriter, r *http.Request, by login.By) error {
	err := d.Calls.Open(r.Context(), by, r.PathValue("person"), r.PathValue("call"))
	return d.called(w, r, by, err, "", callPath(r))
}

func (d *Door) enterCode(w http.ResponseWriter, r *http.Request, by login.By) error {
	err := d.Calls.Enter(r.Context(), by, r.PathValue("person"), r.PathValue("call"), r.PostFormValue("code"))
	return d.called(w, r, by, err, "console.call.flash-matched", callPath(r))
}

func (d *Door) confirmCall(w http.ResponseWriter, r *http.Request, by login.By) error {
	var checks []helpdesk.Check
	for _, rule := range by.Realm.Requests.Strict().Checks {
		checks = append(checks, helpdesk.Check{
			Rule: rule.ID, Result: helpdesk.Result(r.PostFormValue("result-" + rule.ID)), Note: r.PostFormValue("note-" + rule.ID), Evidence: r.PostFormValue("evidence-" + rule.ID),
		})
	}
	version, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		version = -1 // none has it: stale
	}
	confirmed, err := d.Calls.Confirm(r.Context(), by, r.PathValue("person"), r.PathValue("call"), version, checks)
	flash := "console.call.flash-seconded"
	if confirmed {
		flash = "console.call.flash-confirmed"
	}
	return d.called(w, r, by, err, flash, callPath(r))
}

func (d *Door) rejectCall(w http.ResponseWriter, r *http.Request, by login.By) error {
	err := d.Calls.Reject(r.Context(), by, r.PathValue("person"), r.PathValue("call"), r.PostFormValue("reason"))
	return d.called(w, r, by, err, "console.call.flash-rejected", "/console/people/"+url.PathEscape(r.PathValue("person")))
}
