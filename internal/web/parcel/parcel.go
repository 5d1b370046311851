// Package parcel is where the link of a letter leads: somebody takes the file with the certificate of their device.
//
//   - GET changes nothing. Scanners of mail open links, run scripts and post forms that they find: the file is given out behind a
//     box ticked by hand (REQ A16, SEC A-1, C-8).
//   - What was taken is gone. The page behind the link says so from then on, when it was, and what helps.
//   - Nothing here shows a password. One is asked for where the browser makes the key itself, because the link alone must get
//     no certificate; the key never leaves the browser (REQ A12, A13, A16b).
package parcel

import (
	"context"
	"embed"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"doorward/internal/fault"
	"doorward/internal/handover"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room.
var Pages = web.NewSet("parcel", files)

// Parcels is what the pages need of handover.Service; see there for what each promises.
type Parcels interface {
	Peek(ctx context.Context, realm, link string) (handover.Waiting, error)
	Fetch(ctx context.Context, c login.Caller, link string) (handover.File, handover.Waiting, error)
	FetchProfile(ctx context.Context, c login.Caller, link string, about keyfile.Profile) (handover.File, handover.Waiting, error)
	Certify(ctx context.Context, c login.Caller, link, password string, request []byte) (handover.Signed, handover.Waiting, error)
	Arrived(ctx context.Context, c login.Caller, link string, request []byte) error
}

var _ Parcels = (*handover.Service)(nil)

// Door shows the pages. It is safe for concurrent use.
type Door struct {
	Site    *web.Site
	Parcels Parcels
}

// Mount adds the routes.
func (d *Door) Mount(mux *http.ServeMux) {
	d.Site.Handle(mux, "GET /certificate-file/{link}", d.page)
	d.Site.Handle(mux, "POST /certificate-file/{link}", d.fetch)
	d.Site.HandleBig(mux, "POST /certificate-file/{link}/certificate", requestLimit, d.certify)
}

// requestLimit is what a certificate request with its password may weigh as a form, in bytes.
const requestLimit = 16 << 10

// FilePage shows what waits, for which system it was made, and how it is opened there.
type FilePage struct {
	web.View
	Action  string
	Device  string
	Name    string // whose
	Contact string
	Target  keyfile.Target
	Until   time.Time
	Profile bool
	Here    bool   // the browser can make the key itself
	Other   string // the system of this browser, where the file was made for another one
	InApp   string // the application in whose built-in browser this is
}

var samplePage = FilePage{Action: "/certificate-file/x", Device: "Laptop in the office", Name: "Anna Sample", Contact: "Hana Operator", Target: keyfile.Windows, Until: web.SampleTime.AddDate(0, 0, 7), Here: true}

func sample(target keyfile.Target, change func(*FilePage)) FilePage {
	p := samplePage
	if p.Target, p.Here = target, target.Modern(); change != nil {
		change(&p)
	}
	return p
}

var filePage = web.Define(Pages, "file", web.Door,
	web.Sample("Windows", samplePage),
	web.Sample("Mac", sample(keyfile.MacOS, nil)),
	web.Sample("iPad", sample(keyfile.IOS, func(p *FilePage) { p.Profile, p.Device = true, "iPad" })),
	web.Sample("iPad, nothing signs", sample(keyfile.IOS, nil)),
	web.Sample("Android", sample(keyfile.Android, nil)),
	web.Sample("Linux", sample(keyfile.Linux, nil)),
	web.Sample("Firefox", sample(keyfile.Firefox, nil)),
	web.Sample("any", sample(keyfile.Widest, nil)),
	web.Sample("another system", sample(keyfile.IOS, func(p *FilePage) { p.Other = "Windows" })),
	web.Sample("inside an application", sample(keyfile.Android, func(p *FilePage) { p.InApp = "WhatsApp" })),
	web.Sample("no tick", samplePage).With(errTick))

// DeadPage says why a link gives no file, and what helps.
type DeadPage struct {
	web.View
	Why     string // code of the fault
	Device  string
	Contact string
	Fetched time.Time
	Target  keyfile.Target
}

var deadPage = web.Define(Pages, "dead", web.Door,
	web.Sample("fetched", DeadPage{Why: "parcel-fetched", Device: "Laptop in the office", Contact: "Hana Operator", Fetched: web.SampleTime, Target: keyfile.Windows}),
	web.Sample("ended", DeadPage{Why: "parcel-ended", Device: "Laptop in the office", Contact: "Hana Operator"}),
	web.Sample("expired", DeadPage{Why: "link-expired", Device: "Laptop in the office", Contact: "Hana Operator"}),
	web.Sample("unknown", DeadPage{Why: "link-unknown"}))

var errTick = fault.New(fault.Invalid, "confirm-missing").In("confirm")

// systems are the targets that a system's own browser opens a file for.
var systems = map[string][]keyfile.Target{
	"Windows": {keyfile.Windows, keyfile.Firefox}, "macOS": {keyfile.MacOS, keyfile.Firefox, keyfile.IOS}, // an iPad says that it is a Mac
	"iOS": {keyfile.IOS}, "iPadOS": {keyfile.IOS}, "Android": {keyfile.Android, keyfile.Firefox}, "Linux": {keyfile.Linux, keyfile.Firefox}, "ChromeOS": {keyfile.Linux},
}

// Keys are the message keys of the steps on the target's system.
func (p FilePage) Keys() (out []string) {
	for i := 1; p.Has("parcel." + string(p.Target) + "-" + strconv.Itoa(i)); i++ {
		out = append(out, "parcel."+string(p.Target)+"-"+strconv.Itoa(i))
	}
	return out
}

func caller(r *http.Request) login.Caller {
	v := web.From(r)
	return login.Caller{Realm: v.Realm.ID, Network: v.Network, Agent: v.Browser, Language: v.Lang}
}

func (d *Door) page(w http.ResponseWriter, r *http.Request) error { return d.show(w, r, nil) }

func (d *Door) show(w http.ResponseWriter, r *http.Request, why error) error {
	v := web.From(r)
	waiting, err := d.Parcels.Peek(r.Context(), v.Realm.ID, r.PathValue("link"))
	if err != nil {
		return dead(w, r, waiting, err)
	}
	v.For(waiting.Person.Language, waiting.Person.Zone)
	p := FilePage{
		Action: r.URL.Path, Device: waiting.Parcel.Device, Name: waiting.Person.Name, Contact: waiting.Contact.Name, Target: waiting.Parcel.Target,
		Until: waiting.Parcel.Until, Profile: waiting.Profile, Here: waiting.Here, InApp: v.Agent.InApp,
	}
	if targets, known := systems[v.Agent.System]; known && p.Target != keyfile.Widest {
		p.Other = v.Agent.System
		for _, t := range targets {
			if t == p.Target {
				p.Other = ""
			}
		}
	}
	if why != nil {
		return filePage.Fail(w, r, p, why)
	}
	return filePage.Show(w, r, p)
}

// fetch answers with the file itself. Who comes back to the page sees that it was taken.
func (d *Door) fetch(w http.ResponseWriter, r *http.Request) error {
	if r.PostFormValue("confirm") != "yes" {
		return d.show(w, r, errTick)
	}
	v, link := web.From(r), r.PathValue("link")
	var f handover.File
	var waiting handover.Waiting
	var err error
	if r.PostFormValue("as") == "profile" {
		if waiting, err = d.Parcels.Peek(r.Context(), v.Realm.ID, link); err == nil {
			v.For(waiting.Person.Language, waiting.Person.Zone)
			f, waiting, err = d.Parcels.FetchProfile(r.Context(), caller(r), link, keyfile.Profile{
				Title: v.T("parcel.profile-title", "realm", v.Realm.Name, "device", waiting.Parcel.Device), About: v.T("parcel.profile-about", "realm", v.Realm.Name),
			})
		}
	} else {
		f, waiting, err = d.Parcels.Fetch(r.Context(), caller(r), link)
	}
	if fault.Of(err, fault.Unavailable) {
		return d.show(w, r, err)
	}
	if err != nil {
		return dead(w, r, waiting, err)
	}
	h := w.Header()
	h.Set("Content-Type", f.Type)
	h.Set("Content-Disposition", `attachment; filename="`+f.Name+`"`)
	h.Set("Content-Length", strconv.Itoa(len(f.Bytes)))
	_, _ = w.Write(f.Bytes) // who goes away now is told by the page that it was taken
	return nil
}

// signed is what the script makes a file of. Bytes are base64.
type signed struct {
	Certificate []byte   `json:"certificate"`
	Issuers     [][]byte `json:"issuers"`
	Name        string   `json:"name"`
	Label       string   `json:"label"`
}

// refused says why there is no certificate, in the reader's language.
type refused struct {
	Code  string `json:"code"`
	Words string `json:"words"`
}

// certify signs a request that the page's script has made, and takes its word that the certificate arrived.
func (d *Door) certify(w http.ResponseWriter, r *http.Request) error {
	link, request := r.PathValue("link"), []byte(r.PostFormValue("request"))
	var out handover.Signed
	var waiting handover.Waiting
	var err error
	if r.PostFormValue("arrived") == "yes" {
		err = d.Parcels.Arrived(r.Context(), caller(r), link, request)
	} else {
		out, waiting, err = d.Parcels.Certify(r.Context(), caller(r), link, r.PostFormValue("password"), request)
	}
	if waiting.Person.ID != "" { // as the page is
		web.From(r).For(waiting.Person.Language, waiting.Person.Zone)
	}
	f := fault.As(err)
	if err != nil && f == nil {
		return err // ours: logged, and said without a word about it
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(web.StatusOf(err))
		return json.NewEncoder(w).Encode(refused{f.Code, web.From(r).Say(err)})
	}
	return json.NewEncoder(w).Encode(signed(out))
}

// dead answers for a link that gives no file.
func dead(w http.ResponseWriter, r *http.Request, waiting handover.Waiting, err error) error {
	f := fault.As(err)
	if f == nil || f.Kind != fault.NotFound && f.Kind != fault.Expired {
		return err
	}
	if waiting.Person.ID != "" {
		web.From(r).For(waiting.Person.Language, waiting.Person.Zone)
	}
	p := DeadPage{View: web.View{Status: web.StatusOf(err)}, Why: f.Code, Device: waiting.Parcel.Device, Contact: waiting.Contact.Name, Fetched: waiting.Parcel.Fetched, Target: waiting.Parcel.Target}
	if f.Kind == fault.NotFound {
		p.Why = "link-unknown"
	}
	return deadPage.Show(w, r, p)
}
