package signin

import (
	"context"
	"net/http"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/renewal"
	"doorward/internal/secret"
	"doorward/internal/web"
)

// Renewals make a certificate in a flow; see renewal.Service for what each promises.
type Renewals interface {
	Anew(ctx context.Context, c login.Caller, flow string) (renewal.Anew, error)
	Make(ctx context.Context, c login.Caller, flow string, target keyfile.Target) (pki.Certificate, error)
	SayAnew(ctx context.Context, c login.Caller, flow string) (secret.Text, error)
	FetchAnew(ctx context.Context, c login.Caller, flow string) (name string, file []byte, err error)
	Withdraw(ctx context.Context, c login.Caller, flow string) error
}

// AnewPage is the checklist of who gets a new certificate in this flow: make it, the password once, the file once, show it.
type AnewPage struct {
	web.View
	Flow     string
	Name     string    // of the device
	New      time.Time // when the new one ends; zero before it was made
	Until    time.Time // when this flow ends, and what was made with it
	Made     bool
	Said     bool
	Fetched  bool
	Password string
	Target   string
	Try      int // the host of the next try
}

// Current is the step to do now, from 1.
func (p AnewPage) Current() int {
	for i, done := range []bool{p.Made, p.Said, p.Fetched} {
		if !done {
			return i + 1
		}
	}
	return 4
}

// Targets are the systems to choose from.
func (p AnewPage) Targets() (all []web.Choice) {
	for _, t := range keyfile.Targets {
		all = append(all, web.Choice{Value: string(t), Label: p.T("account.renew.target." + string(t)), Current: string(t) == p.Target})
	}
	return all
}

func sampleAnew(name string, change func(*AnewPage)) web.SampleOf[AnewPage] {
	p := AnewPage{View: web.View{Step: 4, Of: 4}, Flow: "f", Name: "Study laptop", Until: web.SampleTime.Add(12 * time.Minute), Target: "windows", Try: 1}
	change(&p)
	return web.Sample(name, p)
}

func madeAnew(p *AnewPage) { p.Made, p.New = true, web.SampleTime.AddDate(2, 0, 0) }

var anewPage = web.Define(Pages, "anew", web.DoorWide,
	sampleAnew("begin", func(*AnewPage) {}),
	sampleAnew("made", madeAnew),
	sampleAnew("password", func(p *AnewPage) { madeAnew(p); p.Said, p.Password = true, "tamo-7krv-hq4n-w2ce-pd9x" }),
	sampleAnew("fetched", func(p *AnewPage) { madeAnew(p); p.Said, p.Fetched = true, true }),
	web.Sample("another", AnewPage{Flow: "f", Name: "Study laptop", Made: true, Said: true, Fetched: true, Target: "linux", New: web.SampleTime.AddDate(2, 0, 0), Until: web.SampleTime.Add(12 * time.Minute), Try: 2}).
		With(fault.New(fault.Rejected, "certificate-not-this")))

// binds reports whether the policy of members has a way back for who has lost their certificate, so that the page offers it.
func binds(v login.View) bool {
	return authn.Next(v.Realm.Policies.Rules(authn.Members), authn.Person{}, authn.Flow{Goal: authn.Anew, Now: v.Flow.Now}).Act == authn.ActProve
}

// beginAnew begins the way back of who has no certificate that lives, for the address that was typed.
func (d *Door) beginAnew(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	v, err := d.Logins.Look(r.Context(), c, r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	v, err = d.Logins.Begin(r.Context(), c, login.Start{Address: v.Flow.Address, Goal: authn.Anew, Return: v.Flow.Return})
	if err != nil {
		return d.again(w, r, typed{with: string(authn.Cert)}, err)
	}
	keep(w, v)
	return web.Redirect(w, r, path(v))
}

func (d *Door) showAnew(w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error {
	a, failed := d.Renewals.Anew(r.Context(), caller(r), v.Flow.ID)
	if failed != nil {
		if fault.Of(failed, fault.Conflict) {
			return d.showStuck(w, r, v, "no-page", nil)
		}
		return failed
	}
	toCertificates(r)
	p := AnewPage{
		View: wizard(v), Flow: v.Flow.ID, Name: a.Old.Name, New: a.New.NotAfter, Until: v.Flow.Expires, Made: a.Made(), Said: a.Said(), Fetched: a.Fetched(),
		Password: in.Said.Reveal(), Target: string(a.File.Target), Try: max(1, in.try),
	}
	if p.Target == "" {
		p.Target = string(keyfile.TargetOf(web.From(r).Agent.Name, web.From(r).Agent.System))
	}
	return answer(anewPage, w, r, p, err)
}

// makeAnew makes the file.
func (d *Door) makeAnew(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("flow")
	_, err := d.Renewals.Make(r.Context(), caller(r), id, keyfile.Target(r.PostFormValue("target")))
	if e := fault.As(err); err != nil && (e == nil || e.Code != "certificate-succeeded") { // another tab was quicker
		return d.againAnew(w, r, err)
	}
	return web.Redirect(w, r, "/signin/"+id)
}

// againAnew shows the checklist as it is now, with what went wrong.
func (d *Door) againAnew(w http.ResponseWriter, r *http.Request, err error) error {
	if f := fault.As(err); f != nil && (f.Code == "flow-over" || f.Code == "not-expected" || f.Code == "stale") {
		return d.again(w, r, typed{}, err)
	}
	v, failed := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if failed != nil {
		return d.gone(w, r, failed)
	}
	return d.show(w, r, v, typed{}, err)
}

// sayAnew shows the password of the file, once: it stands in no address, and looking at the page again does not show it.
func (d *Door) sayAnew(w http.ResponseWriter, r *http.Request) error {
	password, err := d.Renewals.SayAnew(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.againAnew(w, r, err)
	}
	v, err := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	return d.show(w, r, v, typed{Said: password}, nil)
}

func (d *Door) fileAnew(w http.ResponseWriter, r *http.Request) error {
	name, file, err := d.Renewals.FetchAnew(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.againAnew(w, r, err)
	}
	return web.WriteFile(w, name, keyfile.PKCS12Type, file)
}

// overAnew gives up what was made, to make another.
func (d *Door) overAnew(w http.ResponseWriter, r *http.Request) error {
	if err := d.Renewals.Withdraw(r.Context(), caller(r), r.PathValue("flow")); err != nil {
		return d.againAnew(w, r, err)
	}
	return web.Redirect(w, r, "/signin/"+r.PathValue("flow"))
}

// fromAnew takes what came back from the host for certificates to a flow that waits for the one it has made.
func (d *Door) fromAnew(w http.ResponseWriter, r *http.Request, v login.View, seen authn.Sighting, err error) error {
	return d.show(w, r, v, typed{try: (seen.Try + 1) % directory.CertTries}, err)
}
