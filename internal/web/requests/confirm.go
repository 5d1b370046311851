package requests

import (
	"net/http"
	"time"

	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/web"
)

// ConfirmPage lets the mailbox confirm a request that nobody approves, and says afterwards from when on it can be used.
type ConfirmPage struct {
	web.View
	Action  string
	Address string
	Number  string
	Asked   time.Time
	From    time.Time // zero: not confirmed yet
}

var sampleConfirm = ConfirmPage{Action: "/requests/confirm/x", Address: "a.sample@northline.example", Number: "K7QD-94MT", Asked: web.SampleTime.Add(-time.Minute)}

var confirmPage = web.Define(Pages, "confirm", web.Door,
	web.Sample("plain", sampleConfirm),
	web.Sample("no tick", sampleConfirm).With(errTick),
	web.Sample("closed", sampleConfirm).With(fault.New(fault.Forbidden, "alone-closed")),
	web.Sample("confirmed", ConfirmPage{Address: "a.sample@northline.example", Number: "K7QD-94MT", From: web.SampleTime.Add(24 * time.Hour)}))

func (d *Door) confirmPage(w http.ResponseWriter, r *http.Request) error {
	return d.showConfirm(w, r, nil)
}

func (d *Door) showConfirm(w http.ResponseWriter, r *http.Request, why error) error {
	v := web.From(r)
	st, err := d.Requests.PeekAlone(r.Context(), v.Realm.ID, r.PathValue("token"))
	if st.Person.ID != "" {
		v.For(st.Person.Language, st.Person.Zone)
	}
	p := ConfirmPage{Action: r.URL.Path, Address: st.Person.Address, Number: st.Request.Number, Asked: st.Request.Created}
	switch f := fault.As(err); {
	case f != nil && f.Code == "help-over":
		return overPage.Show(w, r, OverPage{View: web.View{Status: web.StatusOf(err)}, State: ended(st.Request), Number: st.Request.Number})
	case err != nil:
		return dead(w, r, err)
	case why != nil:
		return confirmPage.Fail(w, r, p, why)
	}
	if st.Request.State == helpdesk.Approved {
		p.From = st.Request.From
	}
	return confirmPage.Show(w, r, p)
}

// confirm is the round trip. The answer leads back to the link, whose page says what became of it.
func (d *Door) confirm(w http.ResponseWriter, r *http.Request) error {
	if err := ticked(r); err != nil {
		return d.showConfirm(w, r, err)
	}
	_, err := d.Requests.ConfirmAlone(r.Context(), caller(r), r.PathValue("token"))
	f := fault.As(err)
	switch {
	case err == nil, f != nil && f.Code == "help-over":
		return web.Redirect(w, r, r.URL.Path)
	case f != nil && (f.Kind == fault.Conflict || f.Kind == fault.Forbidden):
		return d.showConfirm(w, r, err)
	}
	return dead(w, r, err)
}
