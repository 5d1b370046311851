package console

import (
	"net/http"
	"net/url"

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
	Items  []admin.Item
	Closed bool
	Staff  bool
	Pager  web.Pager
}

var inboxPage = web.Define(Pages, "requests", web.Console,
	web.Sample("open", InboxPage{View: sampleInboxView, Staff: true, Items: sampleItems, Pager: web.Pager{Next: "/console/requests?before=x"}}),
	web.Sample("administrator", InboxPage{View: sampleInboxView, Items: sampleItems[:1]}),
	web.Sample("closed", InboxPage{View: sampleInboxView, Staff: true, Closed: true, Items: []admin.Item{sampleClosed}}),
	web.Sample("none", InboxPage{View: sampleInboxView}),
	web.Sample("none closed", InboxPage{View: sampleInboxView, Closed: true}))

func (d *Door) inbox(w http.ResponseWriter, r *http.Request, by login.By) error {
	in := r.URL.Query()
	box, err := d.Requests.List(r.Context(), by, in.Get("tab") == "closed", in.Get("before"))
	if err != nil {
		return err
	}
	frame, err := d.view(r, by, "/console/requests")
	if err != nil {
		return err
	}
	p := InboxPage{View: frame, Items: box.Items, Closed: box.Closed, Staff: box.Staff}
	keep := url.Values{}
	if box.Closed {
		keep.Set("tab", "closed")
	}
	if in.Get("before") != "" {
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
	sampleClosed = admin.Item{Request: helpdesk.Request{ID: "3", Number: "R2YC-77DE", Address: sampleWho.Address, Person: "1", Why: helpdesk.FactorLost, Kinds: []authn.Kind{authn.TOTP},
		Channel: helpdesk.ByPhone, State: helpdesk.Refused, Created: sampleTime.AddDate(0, 0, -2), Closed: sampleTime.AddDate(0, 0, -2), ClosedWhy: "Did not know the customer number, hung up on the call back"}, Who: sampleWho, Customer: sampleCustomer}
)
