package console

import (
	"net/http"
	"net/url"
	"strings"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/handover"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/web"
)

// IssuePage asks for what a new certificate needs, or one in the place of another (REQ A11).
type IssuePage struct {
	web.View
	Row       Row
	Action    string
	Replaces  string // the device's name, where a certificate is replaced; empty otherwise
	Replacing bool
	Device    string
	Targets   []web.Choice
	Languages []web.Choice
	Contacts  []web.Choice
	Reason    string
	Signs     bool // the realm has an authority that signs
	Shut      bool
	Attached  bool // the file goes with the letter
}

var (
	sampleTargets  = []web.Choice{{Label: "Choose"}, {Value: "windows", Label: "Windows"}, {Value: "ios", Label: "iPhone or iPad"}}
	sampleContacts = []web.Choice{{Label: "Nobody"}, {Value: "2", Label: "Hana Operator", Current: true}}
	sampleIssue    = IssuePage{View: sampleView, Row: sampleRows[0], Action: "/console/people/1/certificates/issue", Targets: sampleTargets, Contacts: sampleContacts, Languages: []web.Choice{{Value: "en", Label: "English", Current: true}}, Signs: true}
)

var issuePage = web.Define(Pages, "issue", web.Console,
	web.Sample("plain", sampleIssue),
	web.Sample("attached", with(sampleIssue, func(p *IssuePage) { p.Attached = true })),
	web.Sample("instead of another", with(sampleIssue, func(p *IssuePage) {
		p.Replacing, p.Replaces, p.Device = true, "Laptop in the office", "Laptop in the office"
	})),
	web.Sample("nobody signs", with(sampleIssue, func(p *IssuePage) { p.Signs = false })),
	web.Sample("shut", with(sampleIssue, func(p *IssuePage) { p.Shut = true })),
	web.Sample("no device", with(sampleIssue, func(p *IssuePage) { p.Reason = "New client since Monday" })).With(fault.New(fault.Invalid, "device-missing").In("device")),
	web.Sample("no contact", with(sampleIssue, func(p *IssuePage) { p.Device = "iPad" })).With(fault.New(fault.Invalid, "contact-missing").In("contact")),
	web.Sample("too many", sampleIssue).With(fault.New(fault.Conflict, "devices-many", "max", 20)))

// with is a sample with something changed.
func with[T any](v T, change func(*T)) T { change(&v); return v }

// CertificatePage is one certificate of somebody: how it stands, what comes next, and what can be done.
type CertificatePage struct {
	web.View
	Row    Row
	Phone  string
	Veiled bool
	handover.Held
}

var sampleHeldCert = handover.Held{
	Certificate: pki.Certificate{ID: "1", Person: "1", Name: "Laptop in the office", Serial: "4f1d0ac95c2f6e1be33f7d2d07a1b9c2", SHA256: strings.Repeat("0a1b2c3d", 8), Created: sampleTime, NotBefore: sampleTime, NotAfter: sampleTime.AddDate(2, 0, 0), State: pki.Issued},
	Parcel:      keyfile.Parcel{ID: "1", Device: "Laptop in the office", Target: keyfile.Windows, State: keyfile.Ready, Sent: 1, Created: sampleTime, Until: sampleTime.AddDate(0, 0, 7)},
	Stand:       handover.Sent, Issuer: "Ivo Operator", Contact: "Hana Operator", Letter: mail.Message{ID: "1", State: mail.Sent, Created: sampleTime},
	MaySay: true, MayResend: true, MayRevoke: true, MayHold: true, MayReplace: true,
}

func sampleStand(s handover.Stand, change func(*handover.Held)) CertificatePage {
	h := sampleHeldCert
	h.Stand, h.MaySay, h.MayResend = s, false, false
	if change != nil {
		change(&h)
	}
	return CertificatePage{View: sampleView, Row: sampleRows[0], Phone: "+41445550142", Held: h}
}

var certificatePage = web.Define(Pages, "certificate", web.Console,
	web.Sample("sent, for the contact", CertificatePage{View: sampleView, Row: sampleRows[0], Phone: "+41445550142", Held: sampleHeldCert}),
	web.Sample("no tick", CertificatePage{View: sampleView, Row: sampleRows[0], Held: sampleHeldCert}).With(errTick),
	web.Sample("sent, mail waits", sampleStand(handover.Sent, func(h *handover.Held) {
		h.MayResend = true
		h.Letter.State, h.Letter.LastError, h.Letter.Attempts = mail.Waiting, "dial tcp 192.0.2.25:25: connection refused", 3
	})),
	web.Sample("late, mail failed", sampleStand(handover.Late, func(h *handover.Held) { h.Letter.State, h.Letter.LastError = mail.Failed, "550 no such mailbox" })),
	web.Sample("left with the letter", sampleStand(handover.Left, func(h *handover.Held) { h.MaySay = true })),
	web.Sample("fetched", sampleStand(handover.Fetched, func(h *handover.Held) { h.Parcel.Fetched, h.Parcel.Said = sampleTime, sampleTime })),
	web.Sample("in use", sampleStand(handover.InUse, func(h *handover.Held) {
		h.Certificate.FirstUsed, h.Certificate.LastUsed = sampleTime, sampleTime
		h.Parcel = keyfile.Parcel{}
	})),
	web.Sample("on hold", sampleStand(handover.OnHold, func(h *handover.Held) { h.MayHold, h.MayResume = false, true })),
	web.Sample("over", sampleStand(handover.Over, func(h *handover.Held) { h.MayHold, h.MayRevoke, h.MayReplace = false, false, false })),
	web.Sample("gone, veiled", CertificatePage{View: sampleView, Row: sampleVeiled, Veiled: true, Held: handover.Held{Stand: handover.Gone, Certificate: pki.Certificate{ID: "1", Reason: pki.KeyCompromise, Ended: sampleTime, Created: sampleTime, NotAfter: sampleTime.AddDate(2, 0, 0)}}}))

// PasswordPage shows the contact the password of a file, this once (REQ A12, A13).
type PasswordPage struct {
	web.View
	Row      Row
	Device   string
	Password string
	Phone    string
}

var passwordPage = web.Define(Pages, "certificate-password", web.Console,
	web.Sample("plain", PasswordPage{View: sampleView, Row: sampleRows[0], Device: "Laptop in the office", Password: "tam0-7krv-hq4n-w2ce-pd9x", Phone: "+41445550142"}))

// Group is four letters of a password, and how they are said.
type Group struct {
	Letters string
	Said    string
}

// Groups are the password's, each with the words of the reader's spelling alphabet.
func (p PasswordPage) Groups() []Group {
	return spelled(p.Password, p.T("console.certificate.alphabet"))
}

// spelled says each letter of each group by the word of the alphabet that begins with it, and digits as they are.
func spelled(password, alphabet string) (out []Group) {
	words := map[rune]string{}
	for _, w := range strings.Fields(alphabet) {
		words[[]rune(strings.ToLower(w))[0]] = w
	}
	for g := range strings.SplitSeq(password, "-") {
		var said []string
		for _, c := range g {
			if w, ok := words[c]; ok {
				said = append(said, w)
			} else {
				said = append(said, string(c))
			}
		}
		out = append(out, Group{g, strings.Join(said, " · ")})
	}
	return out
}

// EndPage asks why before a certificate is revoked, put on hold, or accepted again.
type EndPage struct {
	web.View
	Row    Row
	Device string
	Act    string // "revoke", "hold", "resume"
	Whys   []web.Choice
	Reason string
	OnWay  bool // its file has not been fetched
}

var sampleWhys = []web.Choice{{Label: "Choose"}, {Value: "key-compromise", Label: "The device is lost"}}

var endPage = web.Define(Pages, "certificate-end", web.Console,
	web.Sample("revoke", EndPage{View: sampleView, Row: sampleRows[0], Device: "Laptop in the office", Act: "revoke", Whys: sampleWhys}),
	web.Sample("withdraw", EndPage{View: sampleView, Row: sampleRows[0], Device: "Laptop in the office", Act: "revoke", Whys: sampleWhys, OnWay: true}),
	web.Sample("no reason", EndPage{View: sampleView, Row: sampleRows[0], Device: "Laptop in the office", Act: "revoke", Whys: sampleWhys, Reason: "x"}).With(fault.New(fault.Invalid, "reason-short", "min", 10).In("reason")),
	web.Sample("hold", EndPage{View: sampleView, Row: sampleRows[0], Device: "Laptop in the office", Act: "hold"}),
	web.Sample("resume", EndPage{View: sampleView, Row: sampleRows[0], Device: "Laptop in the office", Act: "resume"}))

var errTick = fault.New(fault.Invalid, "confirm-missing").In("confirm")

// certificates is what somebody has, behind the veil where there is one.
func (d *Door) certificates(r *http.Request, by login.By, one admin.Detail) (handover.Desk, error) {
	desk, err := d.Parcels.Look(r.Context(), by, one.ID)
	if one.Veiled {
		desk.Veil()
	}
	return desk, err
}

// certificate loads the certificate that the path names, and the frame of a page about it.
func (d *Door) certificate(r *http.Request, by login.By) (p CertificatePage, desk handover.Desk, err error) {
	one, err := d.People.Person(r.Context(), by, r.PathValue("person"))
	if err != nil {
		return p, desk, err
	}
	if desk, err = d.certificates(r, by, one); err != nil {
		return p, desk, err
	}
	h, err := desk.Find(r.PathValue("certificate"))
	if err != nil {
		return p, desk, err
	}
	frame, err := d.about(r, by, one)
	return CertificatePage{View: frame, Row: row(one.Listed), Phone: one.Phone, Veiled: one.Veiled, Held: h}, desk, err
}

func (d *Door) certificatePage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, _, err := d.certificate(r, by)
	if err != nil {
		return err
	}
	return certificatePage.Show(w, r, p)
}

// certificatePath leads to the certificate's page.
func certificatePath(r *http.Request) string {
	return "/console/people/" + url.PathEscape(r.PathValue("person")) + "/certificates/" + url.PathEscape(r.PathValue("certificate"))
}

// say shows the password in the answer to the form, and nowhere else: no address leads to it, and a reload shows it no more.
func (d *Door) say(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, _, err := d.certificate(r, by)
	if err != nil {
		return err
	}
	if p.MaySay && r.PostFormValue("confirm") != "yes" {
		return certificatePage.Fail(w, r, p, errTick)
	}
	password, _, err := d.Parcels.Say(r.Context(), by, p.Parcel.ID)
	if err != nil {
		return certificatePage.Fail(w, r, p, err)
	}
	shown := PasswordPage{View: p.View, Row: p.Row, Device: p.Certificate.Name, Password: string(password), Phone: p.Phone}
	shown.Back = certificatePath(r)
	return passwordPage.Show(w, r, shown)
}

func (d *Door) resendFile(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, _, err := d.certificate(r, by)
	if err != nil {
		return err
	}
	if _, err := d.Parcels.Resend(r.Context(), by, p.Parcel.ID); err != nil {
		return certificatePage.Fail(w, r, p, err)
	}
	web.Flash(w, r, "ok", "console.flash.certificate-resent")
	return web.Redirect(w, r, certificatePath(r))
}

// issueView is the form, filled as far as is known. Where the path names a certificate, that one is replaced.
func (d *Door) issueView(r *http.Request, by login.By, o handover.Order) (p IssuePage, err error) {
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
	frame, err := d.about(r, by, one)
	if err != nil {
		return p, err
	}
	v := web.From(r)
	p = IssuePage{View: frame, Row: row(one.Listed), Action: r.URL.Path, Device: o.Device, Reason: o.Reason, Signs: desk.Signs, Shut: one.State.Shut(), Attached: by.Realm.Certificates.Attach}
	if id := r.PathValue("certificate"); id != "" {
		h, err := desk.Find(id)
		if err == nil && !h.MayReplace {
			err = fault.New(fault.Forbidden, "not-allowed")
		}
		if err != nil {
			return p, err
		}
		p.Replacing, p.Replaces, p.Back = true, h.Certificate.Name, certificatePath(r)
		if r.Method == http.MethodGet {
			p.Device, o.Target = h.Certificate.Name, h.Parcel.Target
		}
	}
	p.Targets = []web.Choice{{Label: v.T("console.certificate.choose")}}
	for _, t := range keyfile.Targets {
		p.Targets = append(p.Targets, web.Choice{Value: string(t), Label: v.T("console.certificate.target-" + string(t)), Current: t == o.Target})
	}
	language := o.Language
	if language == "" {
		language = one.Language
	}
	for _, l := range by.Realm.Languages {
		p.Languages = append(p.Languages, web.Choice{Value: l, Label: v.LanguageName(l), Current: l == language})
	}
	contact := o.Contact
	if r.Method == http.MethodGet {
		contact = one.Contact
	}
	people, err := d.Roster.Staff(r.Context(), by)
	if err != nil {
		return p, err
	}
	p.Contacts = []web.Choice{{Label: v.T("console.certificate.choose"), Current: contact == ""}}
	for _, s := range people {
		if handover.CanSay(s) {
			p.Contacts = append(p.Contacts, web.Choice{Value: s.ID, Label: s.Name, Current: s.ID == contact})
		}
	}
	return p, nil
}

func (d *Door) issuePage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.issueView(r, by, handover.Order{})
	if err != nil {
		return err
	}
	return issuePage.Show(w, r, p)
}

func (d *Door) issue(w http.ResponseWriter, r *http.Request, by login.By) error {
	o := handover.Order{
		Person: r.PathValue("person"), Device: r.PostFormValue("device"), Target: keyfile.Target(r.PostFormValue("target")), Contact: r.PostFormValue("contact"),
		Language: r.PostFormValue("language"), Reason: r.PostFormValue("reason"), Replaces: r.PathValue("certificate"),
	}
	form, err := d.issueView(r, by, o)
	if err != nil {
		return err
	}
	if o.Contact == "" { // whom the form shows is whom it is about
		return issuePage.Fail(w, r, form, fault.New(fault.Invalid, "contact-missing").In("contact"))
	}
	sent, err := d.Parcels.Send(r.Context(), by, o)
	if err != nil {
		return issuePage.Fail(w, r, form, err)
	}
	web.Flash(w, r, "ok", "console.flash.certificate-sent")
	return web.Redirect(w, r, "/console/people/"+url.PathEscape(o.Person)+"/certificates/"+url.PathEscape(sent.Certificate))
}

func (d *Door) endView(r *http.Request, by login.By, act string) (EndPage, error) {
	p, _, err := d.certificate(r, by)
	if err != nil {
		return EndPage{}, err
	}
	if !map[string]bool{"revoke": p.MayRevoke, "hold": p.MayHold, "resume": p.MayResume}[act] {
		return EndPage{}, fault.New(fault.Forbidden, "not-allowed")
	}
	out := EndPage{View: p.View, Row: p.Row, Device: p.Certificate.Name, Act: act, Reason: r.PostFormValue("reason"), OnWay: p.Stand == handover.Sent || p.Stand == handover.Late}
	out.Back = certificatePath(r)
	if act == "revoke" {
		v := web.From(r)
		out.Whys = []web.Choice{{Label: v.T("console.certificate.choose")}}
		for _, why := range handover.Whys {
			out.Whys = append(out.Whys, web.Choice{Value: why, Label: v.T("console.certificate.why-" + why), Current: why == r.PostFormValue("why")})
		}
	}
	return out, nil
}

func (d *Door) endPage(act string) web.SignedHandler {
	return func(w http.ResponseWriter, r *http.Request, by login.By) error {
		p, err := d.endView(r, by, act)
		if err != nil {
			return err
		}
		return endPage.Show(w, r, p)
	}
}

func (d *Door) end(act string) web.SignedHandler {
	return func(w http.ResponseWriter, r *http.Request, by login.By) error {
		p, err := d.endView(r, by, act)
		if err != nil {
			return err
		}
		id, reason := r.PathValue("certificate"), p.Reason
		switch act {
		case "revoke":
			_, err = d.Parcels.Revoke(r.Context(), by, id, r.PostFormValue("why"), reason)
		case "hold":
			_, err = d.Parcels.Hold(r.Context(), by, id, reason)
		default:
			_, err = d.Parcels.Resume(r.Context(), by, id, reason)
		}
		if err != nil {
			return endPage.Fail(w, r, p, err)
		}
		web.Flash(w, r, "ok", "console.flash.certificate-"+act)
		return web.Redirect(w, r, certificatePath(r))
	}
}
