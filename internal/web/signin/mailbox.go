package signin

import (
	"net/http"
	"time"

	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// ForgotPage asks where to send a link: for a forgotten password, or for an invitation that never came. Both lead to the
// same use case and to the same page afterwards, whoever the address belongs to.
type ForgotPage struct {
	web.View
	Address string
	Invited bool
}

var forgotPage = web.Define(Pages, "forgot", web.Door,
	web.Sample("password", ForgotPage{View: web.View{Back: "/signin"}}),
	web.Sample("invitation", ForgotPage{View: web.View{Back: "/signin"}, Invited: true}),
	web.Sample("invalid", ForgotPage{Address: "a.sample@"}).With(errAddress),
	web.Sample("too often", ForgotPage{Address: "a.sample@northline.example"}).With(fault.New(fault.Throttled, "too-many-mails").After(40*time.Minute)))

func (d *Door) forgotten(w http.ResponseWriter, r *http.Request) error {
	return forgotPage.Show(w, r, ForgotPage{View: web.View{Back: "/signin"}})
}

func (d *Door) unreceived(w http.ResponseWriter, r *http.Request) error {
	return forgotPage.Show(w, r, ForgotPage{View: web.View{Back: "/signin"}, Invited: true})
}

func (d *Door) forgot(w http.ResponseWriter, r *http.Request) error { return d.send(w, r, false) }

func (d *Door) resend(w http.ResponseWriter, r *http.Request) error { return d.send(w, r, true) }

func (d *Door) send(w http.ResponseWriter, r *http.Request, invited bool) error {
	p := ForgotPage{View: web.View{Back: "/signin"}, Address: r.PostFormValue("address"), Invited: invited}
	if err := d.Logins.Forgot(r.Context(), caller(r), p.Address); err != nil {
		return forgotPage.Fail(w, r, p, err)
	}
	if invited {
		return web.Redirect(w, r, sentInvitation)
	}
	return web.Redirect(w, r, "/signin/sent")
}

// sentInvitation is the page after the form for an invitation that never came, so that it leads back to that form.
const sentInvitation = "/signin/sent?for=invitation"

// SentPage says where to look. It knows which form was sent and nothing of who sent it, so it cannot tell.
type SentPage struct {
	web.View
	Invited bool
}

var sentPage = web.Define(Pages, "sent", web.Door,
	web.Sample("plain", SentPage{View: web.View{Back: "/signin"}}),
	web.Sample("invitation", SentPage{View: web.View{Back: "/signin"}, Invited: true}))

func (d *Door) sent(w http.ResponseWriter, r *http.Request) error {
	return sentPage.Show(w, r, SentPage{View: web.View{Back: "/signin"}, Invited: r.URL.Query().Get("for") == "invitation"})
}

// TypedCodePage takes the code of a mail instead of its link, for whoever reads mail on another device (REQ B15).
type TypedCodePage struct {
	web.View
	Code string
}

var typedCodePage = web.Define(Pages, "typed-code", web.Door,
	web.Sample("plain", TypedCodePage{View: web.View{Back: "/signin"}}),
	web.Sample("unknown", TypedCodePage{Code: "K7QD-94MT"}).With(fault.New(fault.NotFound, "mail-code-unknown").In("code")),
	web.Sample("expired", TypedCodePage{Code: "K7QD-94MT"}).With(fault.New(fault.Expired, "link-expired").In("code")))

func (d *Door) typedCode(w http.ResponseWriter, r *http.Request) error {
	return typedCodePage.Show(w, r, TypedCodePage{View: web.View{Back: "/signin"}})
}

// followTyped does what the link does. The code does not say what it was made for, so each purpose is tried.
func (d *Door) followTyped(w http.ResponseWriter, r *http.Request) error {
	p := TypedCodePage{View: web.View{Back: "/signin"}, Code: r.PostFormValue("code")}
	var err error
	for _, purpose := range []string{login.SetUp, login.Password, login.Recover} {
		var v login.View
		if v, err = d.Logins.Follow(r.Context(), caller(r), purpose, p.Code); err == nil {
			return d.next(w, r, v)
		}
		if !fault.Of(err, fault.NotFound) {
			break
		}
	}
	switch f := fault.As(err); {
	case f == nil:
		return err
	case f.Kind == fault.NotFound:
		p.Status = http.StatusUnprocessableEntity
		err = fault.New(fault.NotFound, "mail-code-unknown").In("code")
	case f.Kind == fault.Expired:
		p.Status = http.StatusUnprocessableEntity
		err = f.In("code")
	}
	return typedCodePage.Fail(w, r, p, err)
}
