package signin

import (
	"net/http"
	"time"

	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// AddressPage asks who wants to come in.
type AddressPage struct {
	web.View
	Address string
	To      string // where to go afterwards, opaque
	Leave   string // the flow that ends when another begins: "not you?"
}

var addressPage = web.Define(Pages, "address", web.Door,
	web.Sample("plain", AddressPage{}),
	web.Sample("invalid", AddressPage{Address: "a.sample@"}).With(errAddress),
	web.Sample("too often", AddressPage{Address: "a.sample@northline.example"}).With(fault.New(fault.Throttled, "too-many-starts").After(4*time.Minute)))

var errAddress = fault.New(fault.Invalid, "address-invalid").In("address")

// longest is what an opaque id of ours may be; more comes from nobody honest.
const longest = 200

func short(s string) string {
	if len(s) > longest {
		return ""
	}
	return s
}

func (d *Door) address(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	p := AddressPage{To: short(q.Get("to")), Leave: short(q.Get("leave"))}
	if p.Leave != "" && p.To == "" { // who says "not me" still wants to get to where the other one was going
		p.To = waiting(r)
	}
	if p.Leave == "" && d.signed(r) {
		return d.land(w, r, p.To)
	}
	if p.Leave == "" { // who says "not me" knows better than the application
		p.Address = d.Expected(r, p.To)
	}
	return addressPage.Show(w, r, p)
}

// begin starts a flow. Whether the address is known changes nothing in the answer.
func (d *Door) begin(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	p := AddressPage{Address: r.PostFormValue("address"), To: short(r.PostFormValue("to")), Leave: short(r.PostFormValue("leave"))}
	if p.Leave != "" {
		if err := d.Logins.Abandon(r.Context(), c, p.Leave); err != nil {
			return err
		}
	}
	if p.Address == "" { // login would take an empty address for a flow that rises from the session
		return addressPage.Fail(w, r, p, errAddress)
	}
	v, err := d.Logins.Begin(r.Context(), c, login.Start{Address: p.Address, Return: p.To})
	if err != nil {
		return addressPage.Fail(w, r, p, err)
	}
	return d.next(w, r, v)
}
