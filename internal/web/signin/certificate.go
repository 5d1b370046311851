package signin

import (
	"context"
	"crypto/x509"
	"net/http"
	"strconv"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/authn/devicecert"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// Certificates lead browsers to the host for certificates and back; see certhost.Service for what each promises.
type Certificates interface {
	Leave(ctx context.Context, c login.Caller, flow string, try int) (address string, err error)
	Pass(ctx context.Context, c login.Caller, ticket string, leaf *x509.Certificate) (address string, err error)
	Seen(ctx context.Context, c login.Caller, flow, ticket string) (authn.Sighting, error)
}

// CertificatePage comes before the browser's own list of certificates.
type CertificatePage struct {
	web.View
	Flow    string
	Address string
	Reset   bool
	Others  bool
}

var certificatePage = web.Define(Pages, "certificate", web.Door,
	web.Sample("plain", CertificatePage{Flow: "f", Address: "a.sample@northline.example", Others: true}),
	web.Sample("change", CertificatePage{Flow: "f", Address: "a.sample@northline.example", Reset: true}),
	web.Sample("too often", CertificatePage{Flow: "f", Address: "a.sample@northline.example"}).With(fault.New(fault.Throttled, "too-many-attempts", "minutes", 12).After(12*time.Minute)))

func (d *Door) showCertificate(w http.ResponseWriter, r *http.Request, v login.View, _ typed, err error) error {
	toCertificates(r)
	return answer(certificatePage, w, r, CertificatePage{
		View: wizard(v), Flow: v.Flow.ID, Address: v.Flow.Address, Reset: !v.Flow.Goal.Admit(), Others: others(v),
	}, err)
}

// toCertificates lets the forms of this page lead to the hosts for certificates.
func toCertificates(r *http.Request) {
	visit := web.From(r)
	for try := range directory.CertTries {
		visit.AllowForm(visit.Realm.CertOrigin(try))
	}
}

// DiagnosisPage says what came back from the host for certificates, and what to do next with this browser and system. Its
// status is 200: Safari shows its own page for others (REQ A21).
type DiagnosisPage struct {
	web.View
	Flow    string
	Address string
	Why     string    // rest of the message keys, one of whys
	Ended   time.Time // when the certificate ran out
	Try     int       // the host of the next try
	Hint    string    // rest of a message key: what to know of this browser, empty for nothing
	Fold    string    // the part of the guides for this system, empty where it is not known
	Call    bool      // only the help desk can help
	Others  bool
	Anew    bool // there is a way back without it
}

// Whys of a diagnosis that are no codes of a rejection: no certificate came, no certificate came from a browser that has
// shown one before, every host was tried, and the certificate is somebody else's.
const (
	whyNone      = "none"
	whyCancelled = "cancelled"
	whyAsked     = "asked"
	whyOther     = "other"
)

// byCode are the whys of rejections; true where only the help desk can help.
var byCode = map[string]struct {
	why  string
	call bool
}{
	devicecert.Foreign:       {"foreign", false},
	devicecert.Early:         {"early", true},
	devicecert.Ran:           {"expired", true},
	devicecert.Revoked:       {"revoked", true},
	devicecert.Suspended:     {"suspended", true},
	devicecert.Replaced:      {"replaced", false},
	"evidence-of-another":    {whyOther, false},
	"certificate-not-called": {"not-this", false},
}

func sampleDiagnosis(why, hint string, more ...func(*DiagnosisPage)) web.SampleOf[DiagnosisPage] {
	p := DiagnosisPage{Flow: "f", Address: "a.sample-with-a-long-name@a-very-long-host-name.northline.example", Why: why, Try: 1, Hint: hint}
	for _, change := range more {
		change(&p)
	}
	return web.Sample(why+" "+hint, p)
}

func calls(p *DiagnosisPage) { p.Call, p.Anew = true, true }

var diagnosisPage = web.Define(Pages, "diagnosis", web.Door,
	sampleDiagnosis(whyNone, "windows", func(p *DiagnosisPage) { p.Others = true }), sampleDiagnosis(whyNone, "macos"), sampleDiagnosis(whyNone, "ios"),
	sampleDiagnosis(whyNone, "ios-other"), sampleDiagnosis(whyNone, "android"), sampleDiagnosis(whyNone, "linux"), sampleDiagnosis(whyNone, "firefox"),
	sampleDiagnosis(whyNone, "in-app"), sampleDiagnosis(whyCancelled, ""), sampleDiagnosis(whyAsked, ""),
	sampleDiagnosis("expired", "", calls, func(p *DiagnosisPage) { p.Ended = web.SampleTime.Add(-50 * time.Hour) }),
	sampleDiagnosis("revoked", "", calls), sampleDiagnosis("suspended", "", calls), sampleDiagnosis("early", "", calls),
	sampleDiagnosis("foreign", ""), sampleDiagnosis("replaced", ""), sampleDiagnosis("not-this", ""), sampleDiagnosis(whyOther, ""))

// hint picks what there is to know about certificates in this browser: where it keeps them, or that it has none.
func hint(a web.Agent) string {
	switch {
	case a.InApp != "":
		return "in-app"
	case a.System == "iOS" || a.System == "iPadOS":
		if a.Name == "Safari" || a.Name == "" {
			return "ios"
		}
		return "ios-other"
	case a.Name == "Firefox":
		return "firefox"
	case a.System == "Windows" || a.System == "macOS" || a.System == "Android" || a.System == "Linux":
		return strings.ToLower(a.System)
	}
	return ""
}

// shownBefore marks a browser that has shown a certificate that counted: it has one, so that nothing means "cancelled".
const shownBefore = "certificate"

// toCertificate leads to the host for certificates.
func (d *Door) toCertificate(w http.ResponseWriter, r *http.Request) error {
	try, err := strconv.Atoi(r.PostFormValue("try"))
	if err != nil || try < 0 || try >= directory.CertTries {
		try = 0
	}
	address, err := d.Certificates.Leave(r.Context(), caller(r), r.PathValue("flow"), try)
	if err != nil {
		return d.again(w, r, typed{with: string(authn.Cert)}, err)
	}
	return web.Leave(w, r, address)
}

// fromCertificate takes what came back from there. Looking at it again finds the flow where it is by then.
func (d *Door) fromCertificate(w http.ResponseWriter, r *http.Request) error {
	c, flow, ticket := caller(r), r.PathValue("flow"), r.PathValue("ticket")
	seen, err := d.Certificates.Seen(r.Context(), c, flow, ticket)
	if fault.Of(err, fault.Expired) {
		web.Flash(w, r, "warn", "signin.certificate.over")
		return web.Redirect(w, r, "/signin/"+flow)
	}
	if err != nil {
		return err
	}
	if len(seen.Leaf) == 0 {
		v, err := d.Logins.Look(r.Context(), c, flow)
		if err != nil {
			return d.gone(w, r, err)
		}
		if v.Step.Accepts(authn.ActBind, authn.Cert) {
			return d.fromAnew(w, r, v, seen, fault.New(fault.Rejected, "certificate-none"))
		}
		if !v.Step.Accepts(authn.ActProve, authn.Cert) {
			return web.Redirect(w, r, path(v))
		}
		why := whyNone
		switch {
		case seen.Try+1 >= directory.CertTries:
			why = whyAsked
		case web.Cookie(r, shownBefore) != "":
			why = whyCancelled
		}
		return d.diagnose(w, r, v, seen, DiagnosisPage{Why: why, Hint: hint(web.From(r).Agent)})
	}
	v, err := d.Logins.Prove(r.Context(), c, flow, authn.Answer{Kind: authn.Cert, Text: ticket})
	if err == nil {
		web.SetCookie(w, shownBefore, "1", deviceLife)
		return d.next(w, r, v)
	}
	f := fault.As(err)
	if f == nil {
		return err
	}
	if f.Code == devicecert.TicketOver {
		web.Flash(w, r, "warn", "signin.certificate.over")
		return web.Redirect(w, r, "/signin/"+flow)
	}
	if f.Kind == fault.Rejected && v.Step.Accepts(authn.ActBind, authn.Cert) {
		return d.fromAnew(w, r, v, seen, fault.New(fault.Rejected, devicecert.NotThis))
	}
	if found, ok := byCode[f.Code]; ok && v.Flow.ID != "" && v.Flow.State == authn.FlowOpen {
		p := DiagnosisPage{Why: found.why, Call: found.call}
		if at, ok := f.Args["at"].(string); ok {
			p.Ended, _ = time.Parse(time.RFC3339, at) // of our own making
		}
		return d.diagnose(w, r, v, seen, p)
	}
	if f.Kind == fault.Rejected {
		return d.gone(w, r, err)
	}
	return d.again(w, r, typed{with: string(authn.Cert)}, err)
}

// diagnose shows what came back. A browser asks no more at a host where it got an answer; the next try is at another.
func (d *Door) diagnose(w http.ResponseWriter, r *http.Request, v login.View, seen authn.Sighting, p DiagnosisPage) error {
	known(r, v)
	toCertificates(r)
	p.Fold = web.From(r).Agent.Fold("")
	p.Flow, p.Address, p.Try, p.Others = v.Flow.ID, v.Flow.Address, (seen.Try+1)%directory.CertTries, others(v)
	p.Anew = p.Why != whyOther && v.Flow.Person == "" && binds(v)
	web.KeepAsking(w, v.Flow.Address)
	return diagnosisPage.Show(w, r, p)
}

// ticketOver is where a browser arrives whose ticket could not be used: a page was opened again, or the list of
// certificates stood open for too long.
func (d *Door) ticketOver(w http.ResponseWriter, r *http.Request) error {
	return overPage.Show(w, r, OverPage{Why: web.From(r).T("signin.certificate.over")})
}

// MountCertificates adds the routes of the hosts for certificates. There are no pages there.
func (d *Door) MountCertificates(s *web.Site, mux *http.ServeMux) {
	s.Handle(mux, "GET /certificate/{ticket}", d.passCertificate)
	s.Handle(mux, "GET /{$}", func(w http.ResponseWriter, r *http.Request) error {
		return web.Leave(w, r, web.From(r).Realm.Origin+"/")
	})
}

// passCertificate takes what the browser shows and sends it back.
func (d *Door) passCertificate(w http.ResponseWriter, r *http.Request) error {
	v := web.From(r)
	var leaf *x509.Certificate
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		leaf = r.TLS.PeerCertificates[0]
	}
	address, err := d.Certificates.Pass(r.Context(), login.Caller{Realm: v.Realm.ID, Network: v.Network, Agent: v.Browser}, r.PathValue("ticket"), leaf)
	if err != nil {
		return err
	}
	return web.Leave(w, r, address)
}
