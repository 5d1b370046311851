package signin

import (
	"net/http"
	"time"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// CallPage is where a sign-in waits for a call: the person reads the code to an agent, who says the words first (REQ A24 to
// A29). It takes no code: there is nothing to type.
type CallPage struct {
	web.View
	Flow   string
	Kind   authn.Kind
	Code   string // shown while an agent can still type it
	Until  int64  // Unix ms, end of the code
	Total  int    // seconds it lives
	Words  string // what the agent says first; empty until one has opened it
	Agent  string
	Number string
	Device string           // name on the certificate, empty without one
	New    string           // name of the device that gets a new certificate behind this call, empty for none
	Print  string           // words of its fingerprint, which an agent may ask for
	State  activation.State // empty before a code was asked for
	Others bool
	Found  string // a kind that was reported lost, and lets its owner in all the same if they have found it; empty for none
}

// Matched says that the agent has the code and makes the checks.
func (p CallPage) Matched() bool { return p.State == activation.Matched }

// Over says that there was a code and it cannot be used any more.
func (p CallPage) Over() bool { return p.Code == "" && p.State != "" && !p.Matched() }

var sampleCall = CallPage{View: web.View{Step: 2, Of: 5}, Flow: "f", Kind: authn.Spoken, Found: "totp", Code: "418206", Until: web.SampleTime.Add(7*time.Minute + 42*time.Second).UnixMilli(), Total: 600, Number: "K7QD-94MT", State: activation.Waiting}

func sampleCallWith(change func(*CallPage)) CallPage {
	p := sampleCall
	change(&p)
	return p
}

var callPage = web.Define(Pages, "call", web.DoorWide,
	web.Sample("waiting", sampleCall),
	web.Sample("words", sampleCallWith(func(p *CallPage) {
		p.State, p.Words, p.Agent = activation.Opened, "maple river", "Hana Operator"
	})),
	web.Sample("device", sampleCallWith(func(p *CallPage) { p.Device, p.Print = "Study laptop", "amber violin harbour lemon opera tango" })),
	web.Sample("new certificate", sampleCallWith(func(p *CallPage) { p.New = "Study laptop" })),
	web.Sample("matched", sampleCallWith(func(p *CallPage) {
		p.State, p.Code, p.Words, p.Agent = activation.Matched, "", "maple river", "Hana Operator"
	})),
	web.Sample("expired", sampleCallWith(func(p *CallPage) { p.Code = "" })),
	web.Sample("three wrong", sampleCallWith(func(p *CallPage) { p.State, p.Code = activation.Ended, "" })),
	web.Sample("no code yet", CallPage{Flow: "f", Kind: authn.Spoken, Others: true}),
	web.Sample("too many codes", sampleCallWith(func(p *CallPage) { p.Code = "" })).With(fault.New(fault.Throttled, "too-many-codes").After(40*time.Minute)))

func (d *Door) showCall(w http.ResponseWriter, r *http.Request, v login.View, _ typed, err error) error {
	a, now := v.Call, web.From(r).Now
	p := CallPage{View: wizard(v), Flow: v.Flow.ID, State: a.State, Number: a.Number, Device: a.Device.Name, New: a.Device.New, Print: a.Device.Words, Others: others(v)}
	for _, k := range v.Step.Kinds {
		if activation.Leads(k) {
			p.Kind = k
		}
	}
	p.Found = found(v)
	if a.Shows(now) && v.Question.Kind == a.Kind {
		p.Code, p.Until, p.Total = string(v.Question.Data), a.Expires.UnixMilli(), int(a.Expires.Sub(a.Created)/time.Second)
	}
	if a.Live(now) {
		p.Words, p.Agent = a.Words, a.AgentName
	} else if p.Matched() {
		p.State = activation.Expired
	}
	if a.Live(now) {
		p.Refresh, p.Events = 5, path(v, "events")+"?at="+a.Mark()
	}
	return answer(callPage, w, r, p, err)
}

// newCode shows a new code; the old one is dead at once.
func (d *Door) newCode(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.Logins.Renew(r.Context(), caller(r), r.PathValue("flow")); err != nil {
		return d.again(w, r, typed{with: r.PostFormValue("with")}, err)
	}
	to := "/signin/" + r.PathValue("flow")
	if k := authn.Kind(r.PostFormValue("with")); activation.Leads(k) {
		to += "?with=" + string(k)
	}
	return web.Redirect(w, r, to)
}

// How long a stream of a waiting page lasts, and how often it looks. The browser opens the next one by itself, so that a node
// that goes away does not wait for its streams.
const (
	streamFor  = 20 * time.Second
	streamLook = time.Second
)

// events moves a waiting page on (REQ A29). It collects nothing: the page that it opens does. Its address has the mark of what
// the page shows: what happens before the stream is there, or between two streams, is noticed too.
func (d *Door) events(w http.ResponseWriter, r *http.Request) error {
	c, id := caller(r), r.PathValue("flow")
	mark, err := d.Logins.Awaits(r.Context(), c, id)
	if err != nil {
		return err
	}
	if at := r.URL.Query().Get("at"); at != "" {
		mark = at
	}
	stream, err := web.NewEvents(w)
	if err != nil {
		return err
	}
	look, end := time.NewTicker(streamLook), time.NewTimer(streamFor)
	defer look.Stop()
	defer end.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-end.C:
			return nil
		case <-look.C:
		}
		now, err := d.Logins.Awaits(r.Context(), c, id)
		if err == nil && now == mark {
			if stream.Beat() != nil {
				return nil // the browser has gone
			}
			continue
		}
		_ = stream.Send("reload", "") // whatever it is: the page says it
		return nil
	}
}
