package requests

import (
	"net/http"
	"time"

	"doorward/internal/admin"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/web"
)

// StopPage says what a link of a notice would stop.
type StopPage struct {
	web.View
	Action     string
	Address    string
	Kinds      []string // what is to be set up anew, as message keys of their names
	Everything bool
	Number     string
	Reason     string // as it was given, empty for none
	Approved   bool
	From       time.Time // when an approved request can be used
	Asked      time.Time
}

var sampleStop = StopPage{
	Action: "/requests/stop/x", Address: "a.sample@northline.example", Kinds: []string{"event.kind.totp"}, Number: "K7QD-94MT",
	Reason: "New phone, the old one was handed in", Asked: web.SampleTime.Add(-time.Hour),
}

func sampleStopped(change func(*StopPage)) StopPage {
	p := sampleStop
	change(&p)
	return p
}

var stopPage = web.Define(Pages, "stop", web.Door,
	web.Sample("open", sampleStop),
	web.Sample("approved", sampleStopped(func(p *StopPage) { p.Approved, p.From = true, web.SampleTime.Add(time.Hour) })),
	web.Sample("everything", sampleStopped(func(p *StopPage) { p.Kinds, p.Everything = nil, true })),
	web.Sample("asked by a form", sampleStopped(func(p *StopPage) { p.Kinds, p.Reason = nil, "" })),
	web.Sample("no tick", sampleStop).With(errTick))

// OverPage says what became of a request that cannot be stopped any more.
type OverPage struct {
	web.View
	State  string // rest of the message keys: cancelled, done, refused, expired
	Number string
}

func sampleOver(state string) web.SampleOf[OverPage] {
	return web.Sample(state, OverPage{State: state, Number: "K7QD-94MT"})
}

var overPage = web.Define(Pages, "over", web.Door,
	sampleOver("cancelled"), sampleOver("done"), sampleOver("refused"), sampleOver("expired"))

func (d *Door) stopPage(w http.ResponseWriter, r *http.Request) error { return d.showStop(w, r, nil) }

func (d *Door) showStop(w http.ResponseWriter, r *http.Request, why error) error {
	v := web.From(r)
	st, err := d.Requests.Peek(r.Context(), v.Realm.ID, r.PathValue("token"))
	if err == nil || st.Person.ID != "" {
		v.For(st.Person.Language, st.Person.Zone)
	}
	switch f := fault.As(err); {
	case f != nil && f.Code == "help-over":
		return overPage.Show(w, r, OverPage{View: web.View{Status: web.StatusOf(err)}, State: ended(st.Request), Number: st.Request.Number})
	case err != nil:
		return dead(w, r, err)
	case why != nil:
		return stopPage.Fail(w, r, stopping(r, st), why)
	}
	return stopPage.Show(w, r, stopping(r, st))
}

func stopping(r *http.Request, st admin.Stopping) StopPage {
	q := st.Request
	p := StopPage{
		Action: r.URL.Path, Address: st.Person.Address, Everything: q.Everything, Number: q.Number, Reason: q.Reason,
		Approved: q.State == helpdesk.Approved, From: q.From, Asked: q.Created,
	}
	for _, k := range q.Kinds {
		p.Kinds = append(p.Kinds, "event.kind."+string(k))
	}
	return p
}

// ended is how a request came to its end, as its page says it.
func ended(r helpdesk.Request) string {
	switch r.State {
	case helpdesk.Cancelled:
		if r.ClosedWhy == "expired" {
			return "expired"
		}
		return "cancelled"
	case helpdesk.Done:
		return "done"
	case helpdesk.Refused:
		return "refused"
	}
	return "expired"
}

// stop ends the request. The answer leads back to the link, whose page says what became of it.
func (d *Door) stop(w http.ResponseWriter, r *http.Request) error {
	if err := ticked(r); err != nil {
		return d.showStop(w, r, err)
	}
	_, err := d.Requests.StopByLink(r.Context(), caller(r), r.PathValue("token"))
	f := fault.As(err)
	switch {
	case err == nil, f != nil && f.Code == "help-over":
		return web.Redirect(w, r, r.URL.Path)
	case f != nil && f.Kind == fault.Conflict: // it moved at the same moment: the page shows where to
		return d.showStop(w, r, err)
	}
	return dead(w, r, err)
}
