package requests

import (
	"net/http"
	"net/url"
	"strconv"

	"doorward/internal/admin"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/web"
)

// Challenge is the part of a form that keeps programs away: what is signed, and how much work the script has to show.
type Challenge struct {
	Text string
	Bits int
}

// Script is the work in words of an attribute.
func (c Challenge) Script() string { return strconv.Itoa(c.Bits) }

var sampleChallenge = Challenge{Text: "challenge", Bits: 1}

// AskPage is the request form.
type AskPage struct {
	web.View
	Challenge Challenge // none for who is signed in
	Signed    bool
	Address   string
	Why       string
	Words     string
}

// Whys are the reasons in words, in the order of the form.
func (p AskPage) Whys() []web.Choice {
	out := []web.Choice{{Label: p.T("requests.ask.choose")}}
	for _, w := range helpdesk.Whys {
		out = append(out, web.Choice{Value: string(w), Label: p.T("requests.why." + string(w))})
	}
	return out
}

var askPage = web.Define(Pages, "ask", web.Door,
	web.Sample("plain", AskPage{Challenge: sampleChallenge}),
	web.Sample("prefilled", AskPage{Challenge: sampleChallenge, Address: "a.sample@northline.example", Why: "blocked"}),
	web.Sample("signed in", AskPage{Signed: true, Address: "a.sample@northline.example", Why: "only-administrator"}),
	web.Sample("wrong", AskPage{Challenge: sampleChallenge, Address: "a.sample@", Words: "…"}).With(fault.New(fault.Invalid, "why-missing").In("why")),
	web.Sample("by a program", AskPage{Challenge: sampleChallenge, Address: "a.sample@northline.example", Why: "factor", Words: "My phone is lost"}).With(fault.New(fault.Invalid, "form-filled")),
	web.Sample("too often", AskPage{Challenge: sampleChallenge}).With(fault.New(fault.Throttled, "too-many-requests", "minutes", 12)))

// WhoPage asks for an address, so that the administrators hear of it: their names are not told to strangers (REQ B42).
type WhoPage struct {
	web.View
	Challenge Challenge
	Signed    bool
	Address   string
}

var whoPage = web.Define(Pages, "who", web.Door,
	web.Sample("plain", WhoPage{Challenge: sampleChallenge}), web.Sample("signed in", WhoPage{Signed: true}),
	web.Sample("too old", WhoPage{Challenge: sampleChallenge, Address: "a.sample@northline.example"}).With(fault.New(fault.Invalid, "form-old")))

// SentPage says the number and what happens next. It knows nobody.
type SentPage struct {
	web.View
	Number string
}

var sentPage = web.Define(Pages, "sent", web.Door, web.Sample("plain", SentPage{Number: "K7QD-94MT"}))

// topics are the reasons that a page sends people with, besides those of the form itself: where the engine got stuck.
var topics = map[string]helpdesk.Why{
	"needs-grant": helpdesk.FactorLost, "suspended": helpdesk.FactorLost, "no-recovery-codes": helpdesk.FactorLost, "grant-ended": helpdesk.FactorLost,
	"needs-two-approvals": helpdesk.EverythingLost, "nothing-left": helpdesk.EverythingLost, "needs-sign-in": helpdesk.EverythingLost,
	"blocked": helpdesk.Blocked, "no-way": helpdesk.Other, "not-offered": helpdesk.Other, "no-page": helpdesk.Other, "needs-certificate": helpdesk.Other,
}

// who is the person signed in at this browser, if there is one.
func (d *Door) who(r *http.Request) (by login.By, ok bool, err error) {
	v, cookie := web.From(r), web.Cookie(r, web.SessionCookie)
	if cookie == "" {
		return by, false, nil
	}
	signed, err := d.Auth.Authenticate(r.Context(), v.Realm.ID, secret.Text(cookie))
	if fault.Of(err, fault.Expired) {
		return by, false, nil
	}
	if err != nil {
		return by, false, err
	}
	v.For(signed.Person.Language, signed.Person.Zone)
	return login.By{Signed: signed, Network: v.Network, Agent: v.Browser}, true, nil
}

// challenge is what the next form carries: the one that came, where it can still be sent.
func (d *Door) challenge(r *http.Request) Challenge {
	return Challenge{d.Requests.Challenge(web.From(r).Realm.ID, r.PostFormValue("challenge")), helpdesk.ProofBits}
}

// unseen is the field of the form that nobody sees. Its name is one that programs know and that no browser fills in.
const unseen = "subject"

func proof(r *http.Request) helpdesk.Proof {
	return helpdesk.Proof{Challenge: r.PostFormValue("challenge"), Answer: r.PostFormValue("answer")}
}

func (d *Door) askForm(w http.ResponseWriter, r *http.Request) error {
	by, signed, err := d.who(r)
	if err != nil {
		return err
	}
	topic := r.URL.Query().Get("topic")
	p := AskPage{Signed: signed, Why: topic}
	if why, ok := topics[topic]; ok {
		p.Why = string(why)
	}
	if signed {
		p.Address = by.Person.Address
	} else {
		p.Challenge = d.challenge(r)
		p.Address = web.Asking(r)
	}
	return askPage.Show(w, r, p)
}

func (d *Door) ask(w http.ResponseWriter, r *http.Request) error {
	by, signed, err := d.who(r)
	if err != nil {
		return err
	}
	p := AskPage{Signed: signed, Address: r.PostFormValue("address"), Why: r.PostFormValue("why"), Words: r.PostFormValue("words")}
	f := admin.Form{Address: p.Address, Why: helpdesk.Why(p.Why), Words: p.Words, Unseen: r.PostFormValue(unseen)}
	var number string
	if signed {
		p.Address = by.Person.Address
		number, err = d.Requests.AskFor(r.Context(), by, f)
	} else {
		number, err = d.Requests.Ask(r.Context(), caller(r), f, proof(r))
	}
	if err == nil {
		return d.receipt(w, r, number)
	}
	if !signed {
		p.Challenge = d.challenge(r)
	}
	return askPage.Fail(w, r, p, err)
}

func (d *Door) receipt(w http.ResponseWriter, r *http.Request, number string) error {
	return web.Redirect(w, r, "/help/request/"+url.PathEscape(d.Requests.Receipt(web.From(r).Realm.ID, number)))
}

func (d *Door) sent(w http.ResponseWriter, r *http.Request) error {
	number, ok := d.Requests.Received(web.From(r).Realm.ID, r.PathValue("receipt"))
	if !ok {
		return fault.New(fault.NotFound, "no-page")
	}
	return sentPage.Show(w, r, SentPage{Number: number})
}

func (d *Door) whoForm(w http.ResponseWriter, r *http.Request) error {
	_, signed, err := d.who(r)
	if err != nil {
		return err
	}
	p := WhoPage{Signed: signed, Address: web.Asking(r)}
	if !signed {
		p.Challenge = d.challenge(r)
	}
	return whoPage.Show(w, r, p)
}

func (d *Door) askWho(w http.ResponseWriter, r *http.Request) error {
	p := WhoPage{Address: r.PostFormValue("address")}
	number, err := d.Requests.Ask(r.Context(), caller(r), admin.Form{Address: p.Address, Why: helpdesk.WhoHelps, Unseen: r.PostFormValue(unseen)}, proof(r))
	if err == nil {
		return d.receipt(w, r, number)
	}
	p.Challenge = d.challenge(r)
	return whoPage.Fail(w, r, p, err)
}
