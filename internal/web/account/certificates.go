package account

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/renewal"
	"doorward/internal/web"
)

// certificates is where a person's own certificates are.
const certificates = "/account/certificates"

// Gadget is one of the person's devices, as a card.
type Gadget struct {
	Name string
	All  []CertificateRow
}

// CertificateRow is one certificate of a device.
type CertificateRow struct {
	ID       string
	Standing string // rest of a message key
	Tone     string // of its pill
	Since    time.Time
	Until    time.Time
	Used     time.Time
	Words    string // six, to compare on the phone
	Days     int    // left, where it has to be renewed
	Here     bool
	Due      bool
	Renewing bool // its successor was made and is not in place yet
	Live     bool // can be suspended
	Over     bool
}

// CertificatesPage lists the certificates of the person's devices; what is over is hidden unless asked for (REQ A52).
type CertificatesPage struct {
	web.View
	Devices []Gadget
	Hidden  int
	All     bool
}

var sampleGadgets = []Gadget{
	{Name: "Study laptop", All: []CertificateRow{
		{ID: "c2", Standing: "issued", Tone: "info", Since: sampleTime, Until: sampleTime.AddDate(2, 0, 0), Words: "amber banana cobra domino echo forum", Live: true},
		{ID: "c1", Standing: "active", Tone: "warn", Since: sampleTime.AddDate(-2, 0, 12), Until: sampleTime.AddDate(0, 0, 12), Used: sampleTime, Words: "gala harmony iris jazz karma lemon", Days: 12, Here: true, Renewing: true, Live: true}}},
	{Name: "A tablet with a rather long name in the kitchen", All: []CertificateRow{
		{ID: "c3", Standing: "active", Tone: "warn", Since: sampleTime.AddDate(-2, 0, 50), Until: sampleTime.AddDate(0, 0, 50), Used: sampleTime.AddDate(0, 0, -3), Words: "macaroni nectar olive panda quartet radar", Days: 50, Due: true, Live: true}}},
	{Name: "Old phone", All: []CertificateRow{
		{ID: "c4", Standing: "suspended", Tone: "warn", Since: sampleTime.AddDate(-1, 0, 0), Until: sampleTime.AddDate(1, 0, 0), Used: sampleTime.AddDate(0, -2, 0), Words: "robot safari tango umbrella vanilla yoga"},
		{ID: "c5", Standing: "expired", Since: sampleTime.AddDate(-3, 0, 0), Until: sampleTime.AddDate(-1, 0, 0), Words: "samba tempo tulip tunnel taxi sofa", Over: true}}},
}

var certificatesPage = web.Define(Pages, "certificates", web.Desk,
	web.Sample("several", CertificatesPage{View: sampleView(certificates), Devices: sampleGadgets, All: true}),
	web.Sample("hidden", CertificatesPage{View: sampleView(certificates), Devices: sampleGadgets[1:2], Hidden: 2}),
	web.Sample("none", CertificatesPage{View: sampleView(certificates)}))

func (d *Door) certificates(w http.ResponseWriter, r *http.Request, by login.By) error {
	all, err := d.Renewals.Devices(r.Context(), by)
	if err != nil {
		return err
	}
	p := CertificatesPage{View: web.Signed(by, certificates), All: r.URL.Query().Get("all") == "yes"}
	now := web.From(r).Now
	for _, device := range all {
		g := Gadget{Name: device.Name}
		for _, c := range device.All {
			if c.Over() && !p.All {
				p.Hidden++
				continue
			}
			g.All = append(g.All, row(c, device, now))
		}
		if len(g.All) > 0 {
			p.Devices = append(p.Devices, g)
		}
	}
	return certificatesPage.Show(w, r, p)
}

// row draws one certificate.
func row(c renewal.Certificate, of renewal.Device, now time.Time) CertificateRow {
	out := CertificateRow{
		ID: c.ID, Standing: string(c.Standing), Since: c.Created, Until: c.NotAfter, Used: c.LastUsed, Words: strings.Join(pki.Words(c.DER), " "),
		Here: c.Here, Due: c.Due, Over: c.Over(), Live: c.Standing == pki.Issued || c.Standing == pki.Active,
		Tone: map[pki.State]string{pki.Active: "ok", pki.Issued: "info", pki.Suspended: "warn"}[c.Standing],
	}
	if !c.Ends.IsZero() && c.Ends.Before(c.NotAfter) {
		out.Until = c.Ends
	}
	out.Renewing = !out.Over && slices.ContainsFunc(of.All, func(o renewal.Certificate) bool { return o.ID == c.Successor && !o.Over() })
	if c.Due {
		out.Tone, out.Days = "warn", int((c.NotAfter.Sub(now)+24*time.Hour-1)/(24*time.Hour))
	}
	return out
}

// own loads the renewal of the certificate a page is about.
func (d *Door) own(r *http.Request, by login.By) (renewal.Renewal, error) {
	return d.Renewals.Of(r.Context(), by, r.PathValue("certificate"))
}

// EndPage asks why a certificate is to end.
type EndPage struct {
	web.View
	ID       string
	Name     string
	Until    time.Time
	Here     bool
	Live     bool // can be suspended instead
	Replaced bool // its successor was shown
	Last     bool // nothing else would be left
	Why      string
}

var endPage = web.Define(Pages, "certificate-end", web.Desk,
	web.Sample("plain", EndPage{View: sampleView(certificates), ID: "c", Name: "Study laptop", Until: sampleTime.AddDate(0, 0, 50), Live: true}),
	web.Sample("last", EndPage{View: sampleView(certificates), ID: "c", Name: "Study laptop", Here: true, Last: true, Live: true, Why: "lost"}).With(fault.New(fault.Invalid, "certificate-last").In("sure")),
	web.Sample("replaced", EndPage{View: sampleView(certificates), ID: "c", Name: "Study laptop", Replaced: true, Live: true, Why: "replaced"}))

// ending is the page about the end of a certificate. Whether it is the last is asked for the reason that ends most.
func (d *Door) ending(r *http.Request, by login.By) (p EndPage, err error) {
	of, err := d.own(r, by)
	if err != nil {
		return p, err
	}
	if of.Old.State == pki.Revoked {
		return p, fault.New(fault.Conflict, "certificate-other")
	}
	p = EndPage{
		View: web.Signed(by, certificates), ID: of.Old.ID, Name: of.Old.Name, Until: of.Old.NotAfter, Here: of.Old.Here,
		Live: of.Old.Standing == pki.Issued || of.Old.Standing == pki.Active, Replaced: of.Shown() && !of.New.Over(), Why: r.PostFormValue("why"),
	}
	p.Back = certificates
	if p.Why == "" && p.Replaced {
		p.Why = string(renewal.Replaced)
	}
	p.Last, err = d.Renewals.Last(r.Context(), by, p.ID, renewal.Lost)
	return p, err
}

func (d *Door) endPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.ending(r, by)
	if err != nil {
		return err
	}
	return endPage.Show(w, r, p)
}

// end removes a certificate for good. Where the login is older than five minutes the person signs in again and comes back.
func (d *Door) end(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.ending(r, by)
	if err != nil {
		return err
	}
	err = d.Renewals.End(r.Context(), by, p.ID, renewal.Why(p.Why), r.PostFormValue("sure") == "yes")
	switch e := fault.As(err); {
	case e != nil && e.Code == "login-not-fresh":
		web.Flash(w, r, "warn", "account.flash.fresh")
		return d.begin(w, r, by, authn.Goal{}, certificates)
	case err != nil:
		return endPage.Fail(w, r, p, err)
	}
	web.Flash(w, r, "ok", "account.flash.certificate-ended", "name", p.Name)
	if p.Here {
		return web.Redirect(w, r, "/signin")
	}
	return web.Redirect(w, r, certificates)
}

// suspendCertificate keeps it from being accepted until the desk has looked.
func (d *Door) suspendCertificate(w http.ResponseWriter, r *http.Request, by login.By) error {
	own, err := d.Renewals.Suspend(r.Context(), by, r.PathValue("certificate"))
	if err != nil {
		return err
	}
	web.Flash(w, r, "ok", "account.flash.certificate-suspended")
	if own {
		return web.Redirect(w, r, "/signin")
	}
	return web.Redirect(w, r, certificates)
}
