package console

import (
	"net/http"
	"net/url"
	"time"

	"doorward/internal/directory"
	"doorward/internal/enrolment"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/web"
)

// ManagedPage asks for what a managed device needs to fetch its certificate by itself, and lists the secrets there are.
type ManagedPage struct {
	web.View
	Row    Row
	Device string
	Reason string
	Signs  bool // the realm has an authority that signs
	Shut   bool
	All    []Enrolment
}

// Enrolment is a secret for a device, as the page lists it.
type Enrolment struct {
	pki.Enrolment
	Stand string // "ready", "used", "ended", "late"
}

func enrolments(all []pki.Enrolment, now time.Time) (out []Enrolment) {
	for _, e := range all {
		stand := string(e.State)
		if e.State == pki.EnrolmentReady && !e.Open(now) {
			stand = "late"
		}
		out = append(out, Enrolment{e, stand})
	}
	return out
}

var (
	sampleEnrolments = enrolments([]pki.Enrolment{
		{ID: "3", Name: "Laptop in the office", State: pki.EnrolmentReady, Created: sampleTime, Until: sampleTime.Add(enrolment.Life)},
		{ID: "2", Name: "Terminal in the warehouse with a very long name", State: pki.EnrolmentUsed, Created: sampleTime, Until: sampleTime.Add(enrolment.Life), Used: sampleTime},
		{ID: "1", Name: "Tablet", State: pki.EnrolmentReady, Created: sampleTime.AddDate(0, 0, -9), Until: sampleTime.AddDate(0, 0, -2)},
		{ID: "0", Name: "Old laptop", State: pki.EnrolmentEnded, Created: sampleTime.AddDate(0, 0, -9), Until: sampleTime.AddDate(0, 0, -2)},
	}, sampleTime)
	sampleManaged = ManagedPage{View: sampleView, Row: sampleRows[0], Signs: true}
)

var managedPage = web.Define(Pages, "managed", web.Console,
	web.Sample("plain", sampleManaged),
	web.Sample("some", with(sampleManaged, func(p *ManagedPage) { p.All = sampleEnrolments })),
	web.Sample("nobody signs", with(sampleManaged, func(p *ManagedPage) { p.Signs = false })),
	web.Sample("shut", with(sampleManaged, func(p *ManagedPage) { p.Shut = true })),
	web.Sample("no device", with(sampleManaged, func(p *ManagedPage) { p.Reason = "New client since Monday" })).With(fault.New(fault.Invalid, "device-missing").In("device")),
	web.Sample("too many", sampleManaged).With(fault.New(fault.Conflict, "devices-many", "max", 20)))

// ManagedSecretPage shows the secret for a device, this once.
type ManagedSecretPage struct {
	web.View
	Row     Row
	Device  string
	Secret  string
	Address string
	Until   time.Time
}

var managedSecretPage = web.Define(Pages, "managed-secret", web.Console,
	web.Sample("plain", ManagedSecretPage{
		View: sampleView, Row: sampleRows[0], Device: "Laptop in the office", Secret: "3f1c0ac95c2f6e1be33f7d2d07a1b9c2f6e1be33f7d", Until: sampleTime.Add(enrolment.Life),
		Address: "https://cert.login.northline.example/.well-known/est",
	}))

// managedView is the form, filled as far as is known.
func (d *Door) managedView(r *http.Request, by login.By) (p ManagedPage, err error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return p, err
	}
	if err := directory.May(by.Person, directory.Certify, one.Person); err != nil {
		return p, err
	}
	desk, err := d.certificates(r, by, one)
	if err != nil {
		return p, err
	}
	all, err := d.Enrolments.List(r.Context(), by, one.ID)
	if err != nil {
		return p, err
	}
	frame, err := d.about(r, by, one)
	return ManagedPage{
		View: frame, Row: row(one.Listed), Device: r.PostFormValue("device"), Reason: r.PostFormValue("reason"), Signs: desk.Signs, Shut: one.State.Shut(),
		All: enrolments(all, web.From(r).Now),
	}, err
}

func managedPath(r *http.Request) string {
	return "/console/people/" + url.PathEscape(r.PathValue("person")) + "/managed"
}

func (d *Door) managedPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.managedView(r, by)
	if err != nil {
		return err
	}
	return managedPage.Show(w, r, p)
}

// manage shows the secret in the answer to the form, and nowhere else: no address leads to it, and a reload makes another.
func (d *Door) manage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.managedView(r, by)
	if err != nil {
		return err
	}
	e, word, err := d.Enrolments.Offer(r.Context(), by, enrolment.Order{Person: r.PathValue("person"), Device: p.Device, Reason: p.Reason})
	if err != nil {
		return managedPage.Fail(w, r, p, err)
	}
	shown := ManagedSecretPage{
		View: p.View, Row: p.Row, Device: e.Name, Secret: string(word), Until: e.Until, Address: by.Realm.CertOrigin(0) + "/.well-known/est",
	}
	shown.Back = managedPath(r)
	return managedSecretPage.Show(w, r, shown)
}

func (d *Door) unmanage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.managedView(r, by)
	if err != nil {
		return err
	}
	if err := d.Enrolments.Withdraw(r.Context(), by, r.PathValue("enrolment")); err != nil {
		return managedPage.Fail(w, r, p, err)
	}
	web.Flash(w, r, "ok", "console.flash.managed-withdrawn")
	return web.Redirect(w, r, managedPath(r))
}
