package account

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/renewal"
	"doorward/internal/secret"
	"doorward/internal/web"
)

// Showing leads browsers to the host for certificates and back; see certhost.Own for what each promises.
type Showing interface {
	Leave(ctx context.Context, by login.By, place string, try int) (address string, err error)
	Shown(ctx context.Context, by login.By, place, ticket, id string) (try int, err error)
}

// RenewPage is the checklist of a renewal. What was done is seen from what is on record, so that it is right after a reload,
// in another tab and tomorrow.
type RenewPage struct {
	web.View
	ID       string
	Name     string
	Until    time.Time // of the old one
	New      time.Time // when the new one ends; zero before it was made
	OldEnds  time.Time // when the old one is not accepted any more by itself; zero while the new one was not shown
	Here     bool      // this session was opened with the old one
	Made     bool
	Said     bool
	Fetched  bool
	Shown    bool
	Done     bool
	Lost     bool // what was made can no longer be had
	Password string
	Target   string // the system the file was made for, or is made for by what is seen of the browser
	Try      int    // the host of the next try
	Due      bool
}

// Current is the step to do now, from 1.
func (p RenewPage) Current() int {
	for i, done := range []bool{p.Made, p.Said, p.Fetched, p.Shown, p.Done} {
		if !done {
			return i + 1
		}
	}
	return 0
}

// Targets are the systems to choose from.
func (p RenewPage) Targets() (all []web.Choice) {
	for _, t := range keyfile.Targets {
		all = append(all, web.Choice{Value: string(t), Label: p.T("account.renew.target." + string(t)), Current: string(t) == p.Target})
	}
	return all
}

func sampleRenew(name string, change func(*RenewPage)) web.SampleOf[RenewPage] {
	p := RenewPage{View: sampleView(certificates), ID: "c", Name: "Study laptop", Until: sampleTime.AddDate(0, 0, 12), Here: true, Due: true, Target: "windows", Try: 1}
	p.Back = certificates
	change(&p)
	return web.Sample(name, p)
}

var renewPage = web.Define(Pages, "certificate-renew", web.Desk,
	sampleRenew("begin", func(p *RenewPage) {}),
	sampleRenew("elsewhere", func(p *RenewPage) { p.Here = false }),
	sampleRenew("made", func(p *RenewPage) { p.Made, p.New = true, sampleTime.AddDate(2, 0, 0) }),
	sampleRenew("password", func(p *RenewPage) {
		p.Made, p.Said, p.New, p.Password = true, true, sampleTime.AddDate(2, 0, 0), "tamo-7krv-hq4n-w2ce-pd9x"
	}),
	sampleRenew("fetched", func(p *RenewPage) { p.Made, p.Said, p.Fetched, p.New = true, true, true, sampleTime.AddDate(2, 0, 0) }),
	sampleRenew("shown", func(p *RenewPage) {
		p.Made, p.Said, p.Fetched, p.Shown, p.New, p.OldEnds = true, true, true, true, sampleTime.AddDate(2, 0, 0), sampleTime.Add(24*time.Hour)
	}),
	sampleRenew("lost", func(p *RenewPage) { p.Made, p.Said, p.Lost, p.New = true, true, true, sampleTime.AddDate(2, 0, 0) }),
	sampleRenew("done", func(p *RenewPage) {
		p.Made, p.Said, p.Fetched, p.Shown, p.Done, p.New = true, true, true, true, true, sampleTime.AddDate(2, 0, 0)
	}))

// place is the path of the checklist of a certificate.
func place(id string) string { return certificates + "/" + id + "/renew" }

func (d *Door) checklist(r *http.Request, by login.By, of renewal.Renewal) RenewPage {
	v := web.From(r)
	p := RenewPage{
		View: web.Signed(by, certificates), ID: of.Old.ID, Name: of.Old.Name, Until: of.Old.NotAfter, Here: of.Old.Here, Due: of.Old.Due,
		Made: of.Made(), Said: of.Said(), Fetched: of.Fetched(), Shown: of.Shown(), Done: of.Done(), Lost: of.Lost(v.Now), Target: string(of.New.Parcel.Target),
		Try: 1, // where the browser did not choose the old one for this very sign-in
	}
	p.Back = certificates
	if p.Made {
		p.New, p.OldEnds = of.New.NotAfter, of.Old.Ends
	}
	if p.Shown { // a file of the desk, or one whose password was never looked at, counts as well
		p.Said, p.Fetched = true, true
	}
	if p.Target == "" {
		p.Target = string(keyfile.TargetOf(v.Agent.Name, v.Agent.System))
	}
	return p
}

// toCertificates lets the forms of this page lead to the hosts for certificates.
func toCertificates(r *http.Request) {
	visit := web.From(r)
	for try := range directory.CertTries {
		visit.AllowForm(visit.Realm.CertOrigin(try))
	}
}

func (d *Door) renewPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	of, err := d.own(r, by)
	if err != nil {
		return err
	}
	toCertificates(r)
	return renewPage.Show(w, r, d.checklist(r, by, of))
}

// again shows the checklist as it is now, with what went wrong. Where the login is older than five minutes the person signs in
// again and comes back.
func (d *Door) again(w http.ResponseWriter, r *http.Request, by login.By, err error, try int) error {
	if e := fault.As(err); e == nil {
		return err
	} else if e.Code == "login-not-fresh" {
		web.Flash(w, r, "warn", "account.flash.fresh-renew")
		return d.begin(w, r, by, authn.Goal{}, certificates)
	}
	of, failed := d.own(r, by)
	if failed != nil {
		return failed
	}
	toCertificates(r)
	p := d.checklist(r, by, of)
	p.Try = try
	return renewPage.Fail(w, r, p, err)
}

// renewCertificate makes the new one.
func (d *Door) renewCertificate(w http.ResponseWriter, r *http.Request, by login.By) error {
	id := r.PathValue("certificate")
	_, err := d.Renewals.Renew(r.Context(), by, id, keyfile.Target(r.PostFormValue("target")))
	if e := fault.As(err); err != nil && (e == nil || e.Code != "certificate-succeeded") { // another tab was quicker
		return d.again(w, r, by, err, 1)
	}
	return web.Redirect(w, r, place(id))
}

// filePassword shows the password of the file, once: it stands in no address, and looking at the page again does not show it.
func (d *Door) filePassword(w http.ResponseWriter, r *http.Request, by login.By) error {
	var password secret.Text
	password, err := d.Renewals.Password(r.Context(), by, r.PathValue("certificate"))
	if err != nil {
		return d.again(w, r, by, err, 1)
	}
	of, err := d.own(r, by)
	if err != nil {
		return err
	}
	toCertificates(r)
	p := d.checklist(r, by, of)
	p.Password = password.Reveal()
	return renewPage.Show(w, r, p)
}

func (d *Door) file(w http.ResponseWriter, r *http.Request, by login.By) error {
	name, file, err := d.Renewals.File(r.Context(), by, r.PathValue("certificate"))
	if err != nil {
		return d.again(w, r, by, err, 1)
	}
	return web.WriteFile(w, name, keyfile.PKCS12Type, file)
}

// showCertificate leads to the host for certificates, another one with every try: a browser asks no more where it got an
// answer.
func (d *Door) showCertificate(w http.ResponseWriter, r *http.Request, by login.By) error {
	try, err := strconv.Atoi(r.PostFormValue("try"))
	if err != nil || try < 0 || try >= directory.CertTries {
		try = 1
	}
	of, err := d.own(r, by)
	if err != nil {
		return err
	}
	if !of.Made() {
		return fault.New(fault.NotFound, "not-found")
	}
	address, err := d.Showing.Leave(r.Context(), by, place(of.Old.ID), try)
	if err != nil {
		return d.again(w, r, by, err, try)
	}
	return web.Leave(w, r, address)
}

// shownCertificate takes what came back from there.
func (d *Door) shownCertificate(w http.ResponseWriter, r *http.Request, by login.By) error {
	of, err := d.own(r, by)
	if err != nil {
		return err
	}
	if !of.Made() {
		return fault.New(fault.NotFound, "not-found")
	}
	try, err := d.Showing.Shown(r.Context(), by, place(of.Old.ID), r.PathValue("ticket"), of.New.ID)
	if fault.Of(err, fault.Expired) {
		web.Flash(w, r, "warn", "account.flash.certificate-over")
		return web.Redirect(w, r, place(of.Old.ID))
	}
	if err != nil {
		return d.again(w, r, by, err, (try+1)%directory.CertTries)
	}
	web.Flash(w, r, "ok", "account.flash.certificate-shown", "name", of.New.Name)
	return web.Redirect(w, r, place(of.Old.ID))
}

func (d *Door) cancelRenewal(w http.ResponseWriter, r *http.Request, by login.By) error {
	id := r.PathValue("certificate")
	if err := d.Renewals.Cancel(r.Context(), by, id); err != nil {
		return d.again(w, r, by, err, 1)
	}
	web.Flash(w, r, "ok", "account.flash.renewal-cancelled")
	return web.Redirect(w, r, place(id))
}
