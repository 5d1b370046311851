package account

import (
	"net/http"
	"net/url"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/selfservice"
	"doorward/internal/web"
)

// HistoryPage is everything that happened to the account, newest first.
type HistoryPage struct {
	web.View
	History []web.Happening
	Pager   web.Pager
}

var historyPage = web.Define(Pages, "history", web.Desk,
	web.Sample("plain", HistoryPage{View: sampleView("/account/history"), History: sampleHistory, Pager: web.Pager{Next: "/account/history?before=x"}}),
	web.Sample("empty", HistoryPage{View: sampleView("/account/history")}))

func (d *Door) history(w http.ResponseWriter, r *http.Request, by login.By) error {
	before := r.URL.Query().Get("before")
	events, more, err := d.Self.History(r.Context(), by, before)
	if err != nil {
		return err
	}
	p := HistoryPage{View: web.Signed(by, "/account/history"), History: happenings(by, events)}
	if before != "" {
		p.Pager.First = "/account/history"
	}
	if more {
		p.Pager.Next = "/account/history?before=" + url.QueryEscape(events[len(events)-1].ID)
	}
	return historyPage.Show(w, r, p)
}

// Topic is one thing a person may be written to about, in their language.
type Topic struct {
	ID    string
	Name  string
	About string
	On    bool
}

// PreferencesPage holds language, time zone and topics. Its two forms are saved one by one.
type PreferencesPage struct {
	web.View
	Address   string
	Language  string
	Languages []web.Choice
	TimeZone  string
	Zones     []web.Choice
	Topics    []Topic
}

var preferencesPage = web.Define(Pages, "preferences", web.Desk,
	web.Sample("plain", PreferencesPage{View: sampleView("/account/preferences"), Address: "a.sample@sampleworks.example", Language: "en", Languages: sampleLanguages, TimeZone: "Europe/Zurich", Zones: web.ZoneChoices("Europe/Zurich"),
		Topics: []Topic{{ID: "offers", Name: "Offers", About: "Once a month.", On: true}, {ID: "stock", Name: "Stock", About: "When something is back."}}}),
	web.Sample("no topics", PreferencesPage{View: sampleView("/account/preferences"), Address: "a.sample@sampleworks.example", Language: "de", Languages: sampleLanguages, TimeZone: "Asia/Kathmandu", Zones: web.ZoneChoices("Asia/Kathmandu")}),
	web.Sample("bad zone", PreferencesPage{View: sampleView("/account/preferences"), Address: "a.sample@sampleworks.example", Language: "en", Languages: sampleLanguages, TimeZone: "Europe/Zurich", Zones: web.ZoneChoices("Europe/Zurich")}).With(fault.New(fault.Invalid, "zone-unknown").In("zone")))

func (d *Door) preferencesView(r *http.Request, by login.By) (PreferencesPage, error) {
	on, err := d.Self.Topics(r.Context(), by)
	v := web.From(r)
	p := PreferencesPage{View: web.Signed(by, "/account/preferences"), Address: by.Person.Address, Language: by.Person.Language, TimeZone: by.Person.Zone}
	if p.TimeZone == "" {
		p.TimeZone = by.Realm.Zone
	}
	p.Zones = web.ZoneChoices(p.TimeZone)
	for _, l := range by.Realm.Languages {
		p.Languages = append(p.Languages, web.Choice{Value: l, Label: v.LanguageName(l), Current: l == p.Language})
	}
	for _, t := range by.Realm.Topics {
		p.Topics = append(p.Topics, Topic{ID: t.ID, Name: t.Name.For(v.Lang), About: t.About.For(v.Lang), On: on[t.ID]})
	}
	return p, err
}

func (d *Door) preferencesPage(w http.ResponseWriter, r *http.Request, by login.By) error {
	p, err := d.preferencesView(r, by)
	if err != nil {
		return err
	}
	return preferencesPage.Show(w, r, p)
}

func (d *Door) preferences(w http.ResponseWriter, r *http.Request, by login.By) error {
	on := map[string]bool{}
	for _, id := range r.PostForm["topic"] {
		on[id] = true
	}
	if err := d.Self.SaveTopics(r.Context(), by, on); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "account.flash.saved")
	return web.Redirect(w, r, "/account/preferences")
}

func (d *Door) settings(w http.ResponseWriter, r *http.Request, by login.By) error {
	in := selfservice.Settings{Language: r.PostFormValue("language"), Zone: r.PostFormValue("zone")}
	if err := d.Self.SaveSettings(r.Context(), by, in); err != nil {
		p, later := d.preferencesView(r, by)
		if later != nil {
			return later
		}
		p.Language = in.Language // the zone that was refused is not among the choices: the stored one stands there again
		return preferencesPage.Fail(w, r, p, err)
	}
	web.SetCookie(w, "lang", in.Language, 365*24*3600) // this browser speaks it too, also when signed out
	web.Flash(w, r, "ok", "account.flash.saved")
	return web.Redirect(w, r, "/account/preferences")
}

// AdministratorsPage answers "who is my administrator?" (REQ B41, B48b).
type AdministratorsPage struct {
	web.View
	Organization string
	People       []directory.Person
	Own          bool             // the person is one of them
	Manager      directory.Person // whom to turn to where there is no administrator, zero for nobody
}

var administratorsPage = web.Define(Pages, "administrators", web.Desk,
	web.Sample("two", AdministratorsPage{View: sampleView("/account"), Organization: "Sample Works Ltd", People: []directory.Person{
		{Name: "Clara Placeholder", Address: "c.placeholder@sampleworks.example"}, {Name: "Emil Template", Address: "e.template@sampleworks.example"}}}),
	web.Sample("none, but somebody looks after them", AdministratorsPage{View: sampleView("/account"), Organization: "Sample Works Ltd", Manager: directory.Person{ID: "9", Name: "Hana Operator", Address: "h.operator@northline.example"}}),
	web.Sample("none", AdministratorsPage{View: sampleView("/account"), Organization: "Sample Works Ltd"}))

func (d *Door) administrators(w http.ResponseWriter, r *http.Request, by login.By) error {
	people, err := d.Self.Administrators(r.Context(), by)
	if err != nil {
		return err
	}
	p := AdministratorsPage{View: web.Signed(by, "/account"), Organization: by.Organization.Name, People: people, Own: by.Person.Role == directory.Administrator}
	p.Back = "/account"
	if len(people) == 0 {
		if p.Manager, err = d.Self.Manager(r.Context(), by); err != nil {
			return err
		}
	}
	return administratorsPage.Show(w, r, p)
}

// Samples of what comes from the store.
var (
	sampleTime      = time.Date(2026, 11, 21, 9, 41, 0, 0, time.UTC)
	sampleLanguages = []web.Choice{{Value: "en", Label: "English"}, {Value: "de", Label: "Deutsch"}}
	sampleFactors   = []Factor{
		{ID: "1", Kind: "totp", Name: "Work phone", App: "Microsoft Authenticator", Added: sampleTime.AddDate(0, -8, 0), Used: sampleTime},
		{ID: "2", Kind: "password", Added: sampleTime.AddDate(0, -8, 0), Used: sampleTime},
		{ID: "3", Kind: "totp", Name: "Office computer", App: "Authenticator extension", Extension: true, Added: sampleTime.AddDate(0, -2, 0), Suspended: true},
	}
	samplePlaces = []Place{
		{ID: "1", Browser: "Firefox on Windows", Network: "192.0.2.7", Since: sampleTime, Seen: sampleTime, Here: true},
		{ID: "2", Browser: "Safari on iPhone", Network: "2001:db8::7", Since: sampleTime.AddDate(0, 0, -1), Seen: sampleTime.Add(-time.Hour)},
	}
	sampleHistory = []web.Happening{
		{Type: "request.approved", Number: "K7QD-94MT", By: "Ada Admin", Said: "Spoke with him at his desk, the old phone was handed in", At: web.SampleTime.Add(-5 * time.Minute), Icon: "inbox", Browser: "Firefox on Windows", Network: "192.0.2.10"},
		{ID: "1", Type: "signin.succeeded", At: sampleTime, Tone: "ok", Icon: "check", Browser: "Firefox on Windows", Network: "192.0.2.7"},
		{ID: "2", Type: "credential.enrolled", Kind: "totp", Name: "Work phone", At: sampleTime.Add(-time.Hour), Icon: "phone", Browser: "Firefox on Windows", Network: "192.0.2.7"},
		{ID: "3", Type: "signin.failed", Kind: "totp", Code: "code-used", At: sampleTime.Add(-2 * time.Hour), Tone: "bad", Icon: "block", Browser: "Safari on iPhone", Network: "2001:db8::7"},
		{ID: "4", Type: "invitation.sent", By: "Clara Placeholder", At: sampleTime.AddDate(0, -8, 0), Icon: "mail"},
	}
)

// sampleView is the frame of a signed-in page without anybody behind it.
func sampleView(current string) web.View {
	return web.Signed(login.By{Signed: login.Signed{Person: directory.Person{Name: "Anna Sample", Role: directory.Member}}}, current)
}
