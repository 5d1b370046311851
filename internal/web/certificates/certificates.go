// Package certificates is where those who look after people see how many certificates of devices there are, and the list
// behind each number. What can be done with one stands on its own page in the console.
package certificates

import (
	"embed"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"doorward/internal/directory"
	"doorward/internal/handover"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/web"
)

//go:embed *.html
var files embed.FS

// Pages are the pages of this room.
var Pages = web.NewSet("certificates", files)

// Door is the pages. It is safe for concurrent use.
type Door struct {
	Site    *web.Site
	Auth    web.Authenticator
	Parcels *handover.Service
	// Frame is the console's frame of a page, with the item of its navigation that is current.
	Frame func(r *http.Request, by login.By, current string) (web.View, error)
}

// Mount adds the routes, for people who are signed in; the use cases refuse who may not.
func (d *Door) Mount(mux *http.ServeMux) {
	d.Site.HandleSigned(mux, "GET /console/certificates", d.Auth, d.figures)
	d.Site.HandleSigned(mux, "GET /console/certificates/{set}", d.Auth, d.set)
}

// FiguresPage says how many certificates there are, and which of them want something of somebody (REQ A56, A57).
type FiguresPage struct {
	web.View
	handover.Figures
}

// Figure is a number and the list behind it.
type Figure struct {
	Key  string // of the words
	Days int
	N    int
	Tone string
	Icon string
	Href string
}

const setsPath = "/console/certificates"

var tones = map[handover.Stand]string{
	handover.Sent: "info", handover.Late: "warn", handover.Left: "info", handover.Fetched: "info", handover.InUse: "ok", handover.OnHold: "warn",
}

// setPath leads to a list; pairs are name and value, and those without a value are left out.
func setPath(set pki.Set, organization string, pairs ...string) string {
	keep := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			keep.Set(pairs[i], pairs[i+1])
		}
	}
	if organization != "" {
		keep.Set("organization", organization)
	}
	at := setsPath + "/" + url.PathEscape(string(set))
	if len(keep) > 0 {
		at += "?" + keep.Encode()
	}
	return at
}

// narrowed is the organization that links keep: staff may leave it, an administrator has no other.
func (p FiguresPage) narrowed() string {
	if p.Staff {
		return p.Organization.ID
	}
	return ""
}

// Open are the figures that want something of somebody, the most urgent first.
func (p FiguresPage) Open() []Figure {
	out := []Figure{
		{Key: "late", N: p.Late, Tone: "warn", Icon: "alert", Href: setPath(pki.Late, p.narrowed())},
		{Key: "held", N: p.Held, Tone: "warn", Icon: "lock", Href: setPath(pki.Held, p.narrowed())},
		{Key: "sent", N: p.Sent, Tone: "info", Icon: "mail", Href: setPath(pki.Sent, p.narrowed())},
	}
	for i, n := range p.Ending {
		days := handover.EndingDays[i]
		out = append(out, Figure{Key: "ending", Days: days, N: n, Tone: "info", Icon: "clock", Href: setPath(pki.Ending, p.narrowed(), "days", strconv.Itoa(days))})
	}
	return append(out, Figure{Key: "revoked", N: p.Revoked, Icon: "block", Href: setPath(pki.Ended, p.narrowed(), "month", p.Figures.Months[0].Name())})
}

// Cells are a month's numbers by way, and all of them.
func (p FiguresPage) Cells(m handover.Month) []Figure {
	n := map[pki.Way]int{pki.First: m.Count.First, pki.Renewal: m.Count.Renewal, pki.Replacement: m.Count.Replacement}
	var out []Figure
	for _, w := range pki.Ways {
		out = append(out, Figure{Key: string(w), N: n[w], Href: setPath(pki.Made, p.narrowed(), "month", m.Name(), "way", string(w))})
	}
	return append(out, Figure{Key: "all", N: m.Count.All(), Href: setPath(pki.Made, p.narrowed(), "month", m.Name())})
}

// SetPage is the list behind a figure.
type SetPage struct {
	web.View
	handover.Listing
	Pager web.Pager
}

// Heading is what the list holds.
func (p SetPage) Heading() string {
	switch {
	case p.Set == pki.Made && p.Way != "":
		return p.T("console.certificates.list-"+string(p.Way), "month", p.MonthOf(p.From))
	case p.Set == pki.Made, p.Set == pki.Ended:
		return p.T("console.certificates.list-"+string(p.Set), "month", p.MonthOf(p.From))
	}
	return p.T("console.certificates.list-"+string(p.Set), "days", p.Days)
}

// Tone is that of how the certificate of a line stands.
func (p SetPage) Tone(l handover.Line) string { return tones[l.Stand] }

// Next is what helps the person of a line most.
func (p SetPage) Next(l handover.Line) string {
	lives := l.Stand != handover.Gone && l.Stand != handover.Over
	switch {
	case l.Who.ID == "":
		return p.T("console.certificates.next-nobody")
	case lives && l.Who.State.Shut():
		return p.T("console.certificates.next-shut")
	case l.Stand == handover.Gone && l.Certificate.Reason == pki.Superseded:
		return p.T("console.certificates.next-replaced")
	case p.Set == pki.Ending && (l.Stand == handover.InUse || l.Stand == handover.Fetched):
		if opens := l.Certificate.NotAfter.Add(-p.Renewal); opens.After(p.Now) {
			return p.T("console.certificates.next-renew-from", "date", p.Date(opens))
		}
		return p.T("console.certificates.next-renew")
	}
	return p.T("console.certificate.next-"+string(l.Stand), "until", p.Time(l.Parcel.Until), "contact", l.Contact)
}

var (
	sampleView     = web.View{Nav: []web.NavItem{{Href: "/console/people", Label: "console.nav.people", Icon: "users"}, {Href: setsPath, Label: "console.nav.certificates", Icon: "certificate", Current: true}}, Me: web.Me{Name: "Hana Operator", Role: "Help desk · Northline Supply"}}
	sampleTime     = time.Date(2026, 11, 21, 9, 41, 0, 0, time.UTC)
	sampleCustomer = directory.Organization{ID: "1", Name: "Sample Works Ltd"}
	sampleCert     = pki.Certificate{ID: "1", Person: "1", Name: "Laptop in the office", Created: sampleTime, NotBefore: sampleTime, NotAfter: sampleTime.AddDate(2, 0, 0), State: pki.Issued}
	sampleParcel   = keyfile.Parcel{ID: "1", Device: "Laptop in the office", Target: keyfile.Windows, State: keyfile.Ready, Sent: 1, Created: sampleTime, Until: sampleTime.AddDate(0, 0, 7)}
	sampleWho      = directory.Person{ID: "1", Name: "Anna Sample", Address: "a.sample@sampleworks.example", Role: directory.Member, State: directory.Active}
	sampleFigures  = handover.Figures{Staff: true, Months: sampleMonths(), Ending: []int{3, 17, 1240}, Sent: 4, Late: 1, Held: 2, Revoked: 6}
	sampleLine     = handover.Line{Certificate: sampleCert, Who: sampleWho, Organization: sampleCustomer, Parcel: sampleParcel, Contact: "Hana Operator", Stand: handover.Sent, MayOpen: true}
	sampleLate     = with(sampleLine, func(l *handover.Line) {
		l.Stand, l.Certificate.Name, l.Parcel.State = handover.Late, "", keyfile.Ended
		l.Who = directory.Person{ID: "2", Name: "Dora Muster", Address: "d•••@s•••", State: directory.Active}
		l.Organization.Name = "Muster Metallbau und Maschinenfabrik AG"
	})
	sampleInUse = with(sampleLine, func(l *handover.Line) { l.Stand, l.Parcel = handover.InUse, keyfile.Parcel{} })
)

// with is a sample with something changed.
func with[T any](v T, change func(*T)) T { change(&v); return v }

// sampleMonths are twelve with fewer and fewer.
func sampleMonths() (all []handover.Month) {
	for i := range handover.MonthsBack {
		n := pki.Tally{First: 120 - 10*i, Renewal: 33 * (i % 3), Replacement: i % 4}
		all = append(all, handover.Month{From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).AddDate(0, -i, 0), Count: n})
	}
	return all
}

func sampleSet(set pki.Set, lines ...handover.Line) SetPage {
	return SetPage{View: sampleView, Listing: handover.Listing{Wanted: handover.Wanted{Set: set, Days: 30}, Staff: true, From: sampleMonths()[0].From, Renewal: 60 * 24 * time.Hour, Lines: lines}}
}

var figuresPage = web.Define(Pages, "figures", web.Console,
	web.Sample("staff", FiguresPage{View: sampleView, Figures: sampleFigures}),
	web.Sample("one organization", FiguresPage{View: sampleView, Figures: with(sampleFigures, func(f *handover.Figures) { f.Organization = sampleCustomer })}),
	web.Sample("administrator", FiguresPage{View: sampleView, Figures: with(sampleFigures, func(f *handover.Figures) {
		f.Staff, f.Organization, f.Sent, f.Late, f.Held, f.Revoked, f.Ending = false, sampleCustomer, 0, 0, 0, 0, []int{0, 0, 2}
	})}))

var setPage = web.Define(Pages, "set", web.Console,
	web.Sample("sent", sampleSet(pki.Sent, sampleLine)),
	web.Sample("late", sampleSet(pki.Late, sampleLate)),
	web.Sample("ending", sampleSet(pki.Ending, sampleInUse, with(sampleInUse, func(l *handover.Line) { l.Certificate.NotAfter = sampleTime.AddDate(0, 0, 12) }))),
	web.Sample("renewals of a month", with(sampleSet(pki.Made, sampleInUse), func(p *SetPage) { p.Way, p.Pager.Next = pki.Renewal, "/console/certificates/made?after=x" })),
	web.Sample("revoked", sampleSet(pki.Ended, with(sampleInUse, func(l *handover.Line) {
		l.Stand, l.Certificate.State, l.Certificate.Reason, l.Certificate.Ended = handover.Gone, pki.Revoked, pki.Superseded, sampleTime
	}), with(sampleInUse, func(l *handover.Line) {
		l.Stand, l.Certificate.Ended, l.Who, l.Organization, l.MayOpen = handover.Gone, sampleTime, directory.Person{}, directory.Organization{}, false
	}))),
	web.Sample("administrator", with(sampleSet(pki.Held, with(sampleInUse, func(l *handover.Line) { l.Stand = handover.OnHold })), func(p *SetPage) { p.Staff = false })),
	web.Sample("nothing", sampleSet(pki.Late)))

func (d *Door) figures(w http.ResponseWriter, r *http.Request, by login.By) error {
	f, err := d.Parcels.Figures(r.Context(), by, r.URL.Query().Get("organization"))
	if err != nil {
		return err
	}
	frame, err := d.Frame(r, by, setsPath)
	if err != nil {
		return err
	}
	return figuresPage.Show(w, r, FiguresPage{View: frame, Figures: f})
}

func (d *Door) set(w http.ResponseWriter, r *http.Request, by login.By) error {
	in := r.URL.Query()
	days, _ := strconv.Atoi(in.Get("days"))
	wanted := handover.Wanted{
		Set: pki.Set(r.PathValue("set")), Month: in.Get("month"), Days: days, Way: pki.Way(in.Get("way")), Organization: in.Get("organization"), AfterID: in.Get("after"),
	}
	if at, err := strconv.ParseInt(in.Get("at"), 10, 64); err == nil {
		wanted.After = time.UnixMilli(at)
	}
	l, err := d.Parcels.List(r.Context(), by, wanted)
	if err != nil {
		return err
	}
	frame, err := d.Frame(r, by, setsPath)
	if err != nil {
		return err
	}
	p := SetPage{View: frame, Listing: l}
	var organization, span string
	if l.Staff {
		organization = l.Narrow.ID
	}
	if l.Days > 0 {
		span = strconv.Itoa(l.Days)
	}
	keep := []string{"month", l.Wanted.Month, "days", span, "way", string(l.Way)}
	if in.Get("at") != "" {
		p.Pager.First = setPath(l.Set, organization, keep...)
	}
	if l.More {
		last := l.Lines[len(l.Lines)-1].Certificate
		p.Pager.Next = setPath(l.Set, organization, append(keep, "at", strconv.FormatInt(l.Set.By(last).UnixMilli(), 10), "after", last.ID)...)
	}
	p.Back = setsPath
	if organization != "" {
		p.Back += "?organization=" + url.QueryEscape(organization)
	}
	return setPage.Show(w, r, p)
}
