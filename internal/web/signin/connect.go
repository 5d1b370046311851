package signin

import (
	"net/http"

	"doorward/internal/authn"
	"doorward/internal/authn/totp"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// ConnectPage hands a seed over to an authenticator and asks for the first code, on one page (REQ B20).
type ConnectPage struct {
	web.View
	Flow      string
	Leave     string // see leaving
	App       string
	Extension bool
	Steps     []string // what to press, up to the point where the code is scanned
	StepsLang string   // language of the steps, when it is not the page's
	URI       string   // a secret: shown here and nowhere else
	Key       string   // the same, base32 in groups of four
	Phone     bool     // "open on this phone" comes first
	Left      int      // wrong codes until there is a new key; 0: do not say
	Fresh     bool     // the key before was given up
	Name      string   // of the device
	Code      string
}

const (
	sampleKey = "NB2H I4DT HIXS 65LO MFWG S3TF FZSX QYLN"
	sampleURI = "otpauth://totp/Northline%20Supply:a.sample%40northline.example?secret=NB2HI4DTHIXS65LOMFWGS3TFFZSXQYLN&issuer=Northline%20Supply&algorithm=SHA1&digits=6&period=30"
)

var sampleSteps = []string{"Open Microsoft Authenticator on your phone.", "Tap “+” at the top right.", "Tap “Work or school account”.", "Tap “Scan a QR code” and allow the camera."}

func sampleConnect(change func(*ConnectPage)) ConnectPage {
	p := ConnectPage{
		View: web.View{Step: 2, Of: 6, Back: "/signin/f/app"}, Flow: "f", Leave: "stop", App: "Microsoft Authenticator", Steps: sampleSteps,
		URI: sampleURI, Key: sampleKey, Name: "Phone",
	}
	change(&p)
	return p
}

var connectPage = web.Define(Pages, "connect", web.DoorWide,
	web.Sample("plain", sampleConnect(func(*ConnectPage) {})),
	web.Sample("phone", sampleConnect(func(p *ConnectPage) { p.Phone = true })),
	web.Sample("extension", sampleConnect(func(p *ConnectPage) {
		p.App, p.Extension, p.Name = "Authenticator", true, "Firefox on Windows"
		p.Steps, p.StepsLang = []string{"Press the button of the extension.", "Press the frame at the top, then draw a box round the code below."}, "en"
	})),
	web.Sample("wrong", sampleConnect(func(p *ConnectPage) { p.Code, p.Left = "482 917", 2 })).With(authn.Reject("code-wrong").In("code")),
	web.Sample("last try", sampleConnect(func(p *ConnectPage) { p.Code, p.Left = "482 917", 1 })).With(clock(authn.Reject("code-clock", "seconds", 94, "direction", "slow").In("code"))),
	web.Sample("new key", sampleConnect(func(p *ConnectPage) { p.Fresh = true })).With(authn.Reject("code-wrong-new-key").In("code")),
	web.Sample("new key, clock", sampleConnect(func(p *ConnectPage) { p.Fresh = true })).With(clock(authn.Reject("code-wrong-new-key", "seconds", 94, "direction", "fast").In("code"))))

// tries is how many wrong codes a key takes before it is given up (REQ B83).
const tries = 3

func (d *Door) showConnect(w http.ResponseWriter, r *http.Request, v login.View, a *directory.App, in typed, err error) error {
	uri, keyErr := totp.URI(v.Question, v.Flow.Subject)
	if keyErr != nil {
		return keyErr
	}
	key, keyErr := totp.KeyText(v.Question)
	if keyErr != nil {
		return keyErr
	}
	visit := web.From(r)
	p := ConnectPage{
		View: wizard(v), Flow: v.Flow.ID, Leave: leaving(v), App: a.Name, Extension: a.Kind == extension, URI: uri.Reveal(), Key: key.Reveal(),
		Phone: visit.Agent.Mobile && a.Kind != extension, Name: in.name, Code: in.code,
	}
	p.Back = path(v, "choose")
	if len(stores(a)) > 0 {
		p.Back = path(v, "app")
	}
	p.Steps, p.StepsLang = steps(a, visit.Lang)
	if p.Name == "" {
		p.Name = deviceName(visit, p.Extension)
	}
	if f := fault.As(err); f != nil && (f.Code == "code-wrong-new-key" || f.Code == "key-expired") {
		p.Fresh, p.Code = f.Code == "code-wrong-new-key", ""
	} else if v.Flow.Wrong > 0 {
		p.Left = max(tries-v.Flow.Wrong, 0)
	}
	return answer(connectPage, w, r, p, clock(err))
}

// steps are the app's steps in a language; lang is empty when it is the one asked for.
func steps(a *directory.App, asked string) (list []string, lang string) {
	if s := a.Steps[asked]; len(s) > 0 {
		return s, ""
	}
	for _, l := range []string{"en", "de", "fr", "it"} {
		if s := a.Steps[l]; len(s) > 0 {
			return s, l
		}
	}
	return nil, ""
}

// deviceName is what the device is called until the person says better.
func deviceName(v *web.Visit, ext bool) string {
	if ext && v.Browser != "" {
		return v.On(v.Browser)
	}
	if ext {
		return v.T("signin.connect.default-computer")
	}
	return v.T("signin.connect.default-phone")
}

// seedCode draws the QR code of the open question. The address holds no secret, and the answer is never stored.
func (d *Door) seedCode(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := d.binding(w, r)
	if !ok {
		return err
	}
	uri, err := totp.URI(v.Question, v.Flow.Subject)
	if err != nil {
		return fault.New(fault.NotFound, "no-page")
	}
	return web.WriteQR(w, uri.Reveal())
}
