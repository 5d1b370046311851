package signin

import (
	"net/http"
	"time"

	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// LinkPage is what a link in a mail opens: one button, and nothing happens before it is pressed. Mail scanners open
// links and run their scripts (SEC A-1), so no script presses it either.
type LinkPage struct {
	web.View
	Purpose string // "set-up", "password" or "recovery"
	Action  string // path of the link itself
	Address string
	Inviter string
	Until   time.Time
	From    time.Time // not before; zero where the link works now
	Resumes bool
}

var linkPage = web.Define(Pages, "link", web.Door,
	web.Sample("set-up", LinkPage{Purpose: login.SetUp, Action: "/link/set-up/x", Address: "a.sample@northline.example", Inviter: "C. Placeholder", Until: web.SampleTime.Add(7 * 24 * time.Hour)}),
	web.Sample("set-up, nobody", LinkPage{Purpose: login.SetUp, Action: "/link/set-up/x", Address: "a.sample@northline.example", Until: web.SampleTime.Add(7 * 24 * time.Hour)}),
	web.Sample("resumed", LinkPage{Purpose: login.SetUp, Action: "/link/set-up/x", Address: "a.sample@northline.example", Until: web.SampleTime.Add(2 * time.Hour), Resumes: true}),
	web.Sample("password", LinkPage{Purpose: login.Password, Action: "/link/password/x", Address: "a.sample@northline.example", Until: web.SampleTime.Add(20 * time.Minute)}),
	web.Sample("recovery", LinkPage{Purpose: login.Recover, Action: "/link/recovery/x", Address: "a.sample@northline.example", Until: web.SampleTime.Add(24 * time.Hour)}),
	web.Sample("recovery, not yet", LinkPage{Purpose: login.Recover, Action: "/link/recovery/x", Address: "a.sample@northline.example", From: web.SampleTime.Add(24 * time.Hour), Until: web.SampleTime.Add(48 * time.Hour)}),
	web.Sample("too often", LinkPage{Purpose: login.SetUp, Action: "/link/set-up/x", Address: "a.sample@northline.example"}).With(fault.New(fault.Throttled, "too-many-links").After(3*time.Minute)))

// DeadLinkPage says why a link no longer opens anything and offers a new one.
type DeadLinkPage struct {
	web.View
	Why     string // rest of the message keys: link-used, link-expired, link-voided, link-unknown
	Purpose string
	Action  string
}

func sampleDead(why, purpose string) web.SampleOf[DeadLinkPage] {
	return web.Sample(why+" "+purpose, DeadLinkPage{Why: why, Purpose: purpose, Action: "/link/" + purpose + "/x"})
}

var deadLinkPage = web.Define(Pages, "dead-link", web.Door,
	sampleDead("link-used", login.SetUp), sampleDead("link-expired", login.SetUp), sampleDead("link-voided", login.SetUp),
	sampleDead("link-unknown", login.SetUp), sampleDead("link-used", login.Password), sampleDead("link-expired", login.Password),
	sampleDead("link-voided", login.Password), sampleDead("link-used", login.Recover), sampleDead("link-expired", login.Recover),
	sampleDead("link-voided", login.Recover), sampleDead("link-unknown", login.Recover))

func (d *Door) peek(w http.ResponseWriter, r *http.Request) error {
	return d.showLink(w, r, nil)
}

// showLink draws the page of a link as it is now, with what was wrong with following it.
func (d *Door) showLink(w http.ResponseWriter, r *http.Request, why error) error {
	purpose := r.PathValue("purpose")
	l, err := d.Logins.Peek(r.Context(), caller(r), purpose, r.PathValue("token"))
	if err != nil {
		return d.dead(w, r, err)
	}
	web.From(r).For(l.Person.Language, l.Person.Zone)
	return answer(linkPage, w, r, LinkPage{
		Purpose: purpose, Action: r.URL.Path, Address: l.Person.Address, Inviter: l.Inviter, Until: l.Expires, From: l.From, Resumes: l.Resumes,
	}, why)
}

// deadCodes are the ends of a link that have words of their own.
var deadCodes = map[string]bool{"link-used": true, "link-expired": true, "link-voided": true, "link-unknown": true}

func (d *Door) dead(w http.ResponseWriter, r *http.Request, err error) error {
	f := fault.As(err)
	if f == nil || !deadCodes[f.Code] {
		return err
	}
	return deadLinkPage.Show(w, r, DeadLinkPage{
		View: web.View{Status: web.StatusOf(err)}, Why: f.Code, Purpose: r.PathValue("purpose"), Action: r.URL.Path,
	})
}

// follow begins or resumes the flow behind a link. The answer leads away from it, so that the secret leaves the address
// bar and the history shows the flow. The form of a dead link asks for a new one instead.
func (d *Door) follow(w http.ResponseWriter, r *http.Request) error {
	c, purpose, token := caller(r), r.PathValue("purpose"), r.PathValue("token")
	if r.PostFormValue("resend") != "" {
		if err := d.Logins.Resend(r.Context(), c, token); err != nil {
			return err
		}
		return web.Redirect(w, r, sentInvitation)
	}
	v, err := d.Logins.Follow(r.Context(), c, purpose, token)
	switch {
	case err == nil:
		return d.next(w, r, v)
	case fault.Of(err, fault.Throttled), fault.Of(err, fault.Unavailable), fault.Of(err, fault.Conflict):
		return d.showLink(w, r, err)
	}
	return d.dead(w, r, err)
}
