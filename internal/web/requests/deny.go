package requests

import (
	"net/http"
	"time"

	"doorward/internal/mail"
	"doorward/internal/web"
)

// DenyPage asks whether a change was not the reader's, and says what happens then.
type DenyPage struct {
	web.View
	Action  string
	Address string
	Subject string // what the message was about
	Sent    time.Time
}

var sampleDeny = DenyPage{Action: "/not-me/x", Address: "a.sample@northline.example", Subject: "Your password was changed", Sent: web.SampleTime.Add(-2 * time.Hour)}

var denyPage = web.Define(Pages, "deny", web.Door, web.Sample("plain", sampleDeny), web.Sample("no tick", sampleDeny).With(errTick))

// FrozenPage says that the account is frozen and how it is opened again.
type FrozenPage struct {
	web.View
	Address string
	Number  string
}

var frozenPage = web.Define(Pages, "frozen", web.Door, web.Sample("plain", FrozenPage{Address: "a.sample@northline.example", Number: "K7QD-94MT"}))

func (d *Door) denyPage(w http.ResponseWriter, r *http.Request) error { return d.showDeny(w, r, nil) }

func (d *Door) showDeny(w http.ResponseWriter, r *http.Request, why error) error {
	v := web.From(r)
	n, err := d.Requests.PeekDenial(r.Context(), v.Realm.ID, r.PathValue("token"))
	if err != nil {
		return dead(w, r, err)
	}
	v.For(n.Person.Language, n.Person.Zone)
	if n.Number != "" {
		return frozenPage.Show(w, r, FrozenPage{Address: n.Person.Address, Number: n.Number})
	}
	p := DenyPage{Action: r.URL.Path, Address: n.Person.Address, Subject: mail.Title(v.Lang, n.Mail.Template), Sent: n.Mail.Created}
	if why != nil {
		return denyPage.Fail(w, r, p, why)
	}
	return denyPage.Show(w, r, p)
}

// deny freezes the account. The answer leads back to the link, whose page now says so, with the number.
func (d *Door) deny(w http.ResponseWriter, r *http.Request) error {
	if err := ticked(r); err != nil {
		return d.showDeny(w, r, err)
	}
	if _, err := d.Requests.Deny(r.Context(), caller(r), r.PathValue("token")); err != nil {
		return dead(w, r, err)
	}
	return web.Redirect(w, r, r.URL.Path)
}
