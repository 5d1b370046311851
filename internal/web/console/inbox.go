package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/web"
)

// InboxPage is the list of requests.
type InboxPage struct {
	web.View
	Items    []admin.Item
	Staff    bool
	Text     string // beginning of an organization's name
	States   []web.Choice
	By       []web.Choice
	Filtered bool // by more than whether they are over
	Ended    bool
	Open     int
	Approved int
	More     bool
	Pager    web.Pager
}

var inboxPage = web.Define(Pages, "requests", web.Console,
	web.Sample("open", InboxPage{View: sampleInboxView, Staff: true, States: sampleInboxStates, By: sampleInboxBy, Open: 2, Items: sampleItems, Pager: web.Pager{Next: "/console/requests?before=x"}}),
	web.Sample("administrator", InboxPage{View: sampleInboxView, States: sampleInboxStates, By: sampleInboxBy, Open: 1, Items: sampleItems[:1]}),
	web.Sample("filtered", InboxPage{View: sampleInboxView, Staff: true, Text: "Sample", Filtered: true, States: sampleInboxStates, By: sampleInboxBy, Open: 180, Approved: 20, More: true, Items: sampleItems[:1]}),
	web.Sample("closed", InboxPage{View: sampleInboxView, Staff: true, States: sampleInboxStates, By: sampleInboxBy, Ended: true, Items: []admin.Item{sampleClosed}}),
	web.Sample("none", InboxPage{View: sampleInboxView, States: sampleInboxStates, By: sampleInboxBy}),
	web.Sample("nothing found", InboxPage{View: sampleInboxView, Staff: true, Text: "zz", Filtered: true, States: sampleInboxStates, By: sampleInboxBy}),
	web.Sample("none closed", InboxPage{View: sampleInboxView, States: sampleInboxStates, By: sampleInboxBy, Ended: true}))

// inboxStates are the states that the list can be narrowed to; the first is what waits, open or approved.
var inboxStates = []helpdesk.State{"", helpdesk.Open, helpdesk.Approved, helpdesk.Ended}

func (d *Door) inbox(w http.ResponseWriter, r *http.Request, by login.By) error {
	v, in := web.From(r), r.URL.Query()
	f := admin.Filter{Mine: in.Get("by") == "me", Customer: strings.TrimSpace(in.Get("q")), Before: in.Get("before")}
	if state := helpdesk.State(in.Get("state")); slices.Contains(inboxStates, state) {
		f.State = state
	}
	box, err := d.Requests.List(r.Context(), by, f)
	if err != nil {
		return err
	}
	frame, err := d.view(r, by, "/console/requests")
	if err != nil {
		return err
	}
	p := InboxPage{View: frame, Items: box.Items, Staff: box.Staff, Text: f.Customer, Filtered: f.Mine || box.Staff && f.Customer != "" || f.State == helpdesk.Open || f.State == helpdesk.Approved,
		Ended: f.State == helpdesk.Ended, Open: box.Open, Approved: box.Approved, More: box.More}
	for _, s := range inboxStates {
		key := "console.requests.waiting"
		if s != "" {
			key = "console.requests." + string(s)
		}
		p.States = append(p.States, web.Choice{Value: string(s), Label: v.T(key), Current: s == f.State})
	}
	p.By = []web.Choice{{Label: v.T("console.filter.all"), Current: !f.Mine}, {Value: "me", Label: v.T("console.requests.by-me"), Current: f.Mine}}
	keep := url.Values{}
	for _, k := range []string{"q", "state", "by"} {
		if in.Get(k) != "" {
			keep.Set(k, in.Get(k))
		}
	}
	if f.Before != "" {
		p.Pager.First = "/console/requests?" + keep.Encode()
	}
	if box.Next != "" {
		keep.Set("before", box.Next)
		p.Pager.Next = "/console/requests?" + keep.Encode()
	}
	return inboxPage.Show(w, r, p)
}

// Pill says what a request waits for, or how it ended.
func (p InboxPage) Pill(i admin.Item) Pill { return waits(&p.View, i) }

func waits(v *web.View, i admin.Item) Pill {
	if i.State != helpdesk.Open && i.State != helpdesk.Approved {
		tone := map[helpdesk.State]string{helpdesk.Refused: "bad", helpdesk.Done: "ok"}[i.State]
		return Pill{tone, v.T("console.ended." + string(i.State))}
	}
	tone := map[string]string{"check": "warn", "approve": "info", "second": "warn", "cooling": "info", "ready": "ok", "answer": "warn"}[i.Waits]
	return Pill{tone, v.T("console.waits." + i.Waits)}
}

// Samples of requests.
var (
	sampleInboxView = frame("Hana Operator", "Help desk · Northline Supply", "/console/requests", 2)
	sampleWho       = directory.Person{ID: "1", Name: "Anna Sample", Address: "a.sample@sampleworks.example", Role: directory.Member, State: directory.Active}
	sampleCustomer  = directory.Organization{ID: "1", Name: "Sample Works Ltd"}
	sampleRequest   = helpdesk.Request{
		ID: "1", Number: "K7QD-94MT", Person: "1", Address: "a.sample@sampleworks.example", Why: helpdesk.FactorLost, Kinds: []authn.Kind{authn.TOTP},
		Words: "I left my phone on a train this morning and cannot sign in.", Reason: "Phone lost on a train, called at 8", Channel: helpdesk.ByPhone,
		State: helpdesk.Open, Opener: "9", Created: sampleTime.Add(-50 * 60e9), Version: 3,
	}
	sampleItems = []admin.Item{
		{Request: sampleRequest, Who: sampleWho, Customer: sampleCustomer, Waits: "check"},
		{Request: helpdesk.Request{ID: "2", Number: "M3ZX-81QA", Address: "somebody.with.a.long.address@unknown-customer.example", Why: helpdesk.EverythingLost, Channel: helpdesk.ByForm, State: helpdesk.Open, Created: sampleTime.Add(-40 * 3600e9), Asked: 1}, Waits: "answer"},
	}
	sampleInboxStates = []web.Choice{{Label: "Open and approved"}, {Value: "ended", Label: "Ended"}}
	sampleInboxBy     = []web.Choice{{Label: "All"}, {Value: "me", Label: "Me"}}
	samplePast        = []admin.Past{{Request: sampleClosed.Request, EndedBy: "Hana Operator"}, {EndedBy: "Anna Sample", Request: helpdesk.Request{ID: "4", Number: "T5WB-20KN", Everything: true,
		Approvals: []helpdesk.Approval{{Name: "Hana Operator"}, {Name: "Susi Supervisor"}}, State: helpdesk.Done, Created: sampleTime.AddDate(0, -3, 0), Closed: sampleTime.AddDate(0, -3, 1)}}}
	sampleClosed = admin.Item{Request: helpdesk.Request{ID: "3", Number: "R2YC-77DE", Address: sampleWho.Address, Person: "1", Why: helpdesk.FactorLost, Kinds: []authn.Kind{authn.TOTP},
		Channel: helpdesk.ByPhone, State: helpdesk.Refused, Created: sampleTime.AddDate(0, 0, -2), Closed: sampleTime.AddDate(0, 0, -2), ClosedWhy: "Did not know the customer number, hung up on the call back"}, Who: sampleWho, Customer: sampleCustomer}
)
