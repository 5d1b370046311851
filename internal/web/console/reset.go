package console

import (
	"net/http"
	"net/url"
	"slices"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/web"
)

// ResetPage asks what somebody lost, why, and how they asked. Nothing is chosen beforehand but by who sent the form.
type ResetPage struct {
	web.View
	Row        Row
	Password   bool // the password alone is meant
	Kinds      []web.Choice
	Everything bool
	Channels   []web.Choice
	Reason     string
	Ticket     string // id of the request that this answers
	Staff      bool   // a request is opened; administrators approve in the same step
}

var sampleKinds = []web.Choice{{Value: "totp", Label: "Authenticator app (Work phone)"}}
var sampleChannels = []web.Choice{{Value: "phone", Label: "On the phone"}, {Value: "person", Label: "Face to face"}}

var resetPage = web.Define(Pages, "reset", web.Console,
	web.Sample("administrator", ResetPage{View: sampleView, Row: sampleRows[0], Kinds: sampleKinds, Channels: sampleChannels}),
	web.Sample("staff", ResetPage{View: sampleView, Row: sampleRows[0], Kinds: sampleKinds, Channels: sampleChannels, Staff: true, Ticket: "1"}),
	web.Sample("password", ResetPage{View: sampleView, Row: sampleRows[0], Password: true, Channels: sampleChannels}),
	web.Sample("helped already", ResetPage{View: sampleView, Row: sampleRows[0], Kinds: sampleKinds, Channels: sampleChannels, Reason: "New phone, the old one was handed in"}).With(fault.New(fault.Exists, "request-open", "number", "K7QD-94MT", "by", "Hana Operator")),
	web.Sample("wrong", ResetPage{View: sampleView, Row: sampleRows[0], Kinds: sampleKinds, Channels: sampleChannels, Reason: "x"}).With(fault.New(fault.Invalid, "reason-short", "min", 10).In("reason")))

// wish is what the form says.
func wish(r *http.Request) admin.Wish {
	in := admin.Wish{
		Person: r.PathValue("person"), Ticket: r.PostFormValue("ticket"), Reason: r.PostFormValue("reason"), Channel: helpdesk.Channel(r.PostFormValue("channel")),
		Everything: r.PostFormValue("kinds") == "everything" || slices.Contains(r.PostForm["kinds"], "everything"),
	}
	for _, k := range r.PostForm["kinds"] {
		if k != "everything" && !in.Everything {
			in.Kinds = append(in.Kinds, authn.Kind(k))
		}
	}
	return in
}

func (d *Door) resetView(r *http.Request, by login.By, in admin.Wish, password bool) (ResetPage, error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return ResetPage{}, err
	}
	if !one.MayReset {
		return ResetPage{}, fault.New(fault.Forbidden, "not-allowed")
	}
	frame, err := d.about(r, by, one)
	if err != nil {
		return ResetPage{}, err
	}
	v := web.From(r)
	p := ResetPage{View: frame, Row: row(one.Listed), Password: password, Everything: in.Everything, Reason: in.Reason, Ticket: in.Ticket, Staff: by.Person.Role.Staff()}
	if in.Ticket != "" {
		p.Back = "/console/requests/" + url.PathEscape(in.Ticket)
	}
	for _, k := range []authn.Kind{authn.TOTP, authn.Cert, authn.Phone, authn.Passkey, authn.Password} {
		label, held := v.T("event.kind."+string(k)), k == authn.TOTP
		for _, c := range one.Held {
			if c.Kind == k {
				if held = true; c.Name != "" {
					label += " (" + c.Name + ")"
				}
			}
		}
		if held {
			p.Kinds = append(p.Kinds, web.Choice{Value: string(k), Label: label, Current: slices.Contains(in.Kinds, k)})
		}
	}
	for _, c := range helpdesk.Channels {
		p.Channels = append(p.Channels, web.Choice{Value: string(c), Label: v.T("console.channel." + string(c)), Current: c == in.Channel})
	}
	return p, nil
}

func (d *Door) resetPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	in := r.URL.Query()
	p, err := d.resetView(r, by, admin.Wish{Ticket: in.Get("ticket")}, in.Get("what") == "password")
	if err != nil {
		return err
	}
	return resetPage.Show(w, r, p)
}

func (d *Door) reset(w http.ResponseWriter, r *http.Request, by login.By) error {
	in := wish(r)
	do := d.Requests.Reset
	if by.Person.Role.Staff() {
		do = d.Requests.Open
	}
	done, err := do(r.Context(), by, in)
	if err != nil {
		p, later := d.resetView(r, by, in, r.PostFormValue("what") == "password")
		if later != nil {
			return later
		}
		return resetPage.Fail(w, r, p, err)
	}
	key := "console.flash.opened"
	switch {
	case done.State == helpdesk.Approved:
		key = "console.flash.approved"
	case len(done.Approvals) > 0:
		key = "console.flash.seconded"
	}
	web.Flash(w, r, "ok", key, "number", done.Number)
	return web.Redirect(w, r, "/console/requests/"+url.PathEscape(done.ID))
}
