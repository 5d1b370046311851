package signin

import (
	"maps"
	"net/http"
	"slices"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// Setting up an authenticator app takes three pages: choose one, get it, connect it. The store's QR code and the one of
// the secret never share a page (REQ B9), and going back to choose another makes another secret.

// extension is the kind of an app that lives in a browser.
const extension = "extension"

// AuthenticatorsPage lets a person choose among the realm's authenticators.
type AuthenticatorsPage struct {
	web.View
	Flow    string
	Leave   string // see leaving
	Apps    []AppChoice
	Refused *AppChoice // an extension that this browser cannot have
	Phone   bool       // why not: this is a phone; else it is Safari
}

// AppChoice is one authenticator to choose.
type AppChoice struct {
	ID, Name, About string
	Extension       bool
	Recommended     bool
	Chosen          bool
}

var sampleApps = []AppChoice{
	{ID: "microsoft", Name: "Microsoft Authenticator", About: "Phone app. A good choice if you use Microsoft at work.", Recommended: true, Chosen: true},
	{ID: "google", Name: "Google Authenticator", About: "Phone app. Small and simple."},
	{ID: "extension", Name: "Authenticator", About: "For Chrome, Edge and Firefox.", Extension: true},
}

var errNoneChosen = fault.New(fault.Invalid, "authenticator-missing").In("authenticator")

var authenticatorsPage = web.Define(Pages, "authenticators", web.Door,
	web.Sample("plain", AuthenticatorsPage{View: web.View{Step: 2, Of: 6}, Flow: "f", Leave: "later", Apps: sampleApps}),
	web.Sample("safari", AuthenticatorsPage{View: web.View{Step: 2, Of: 6}, Flow: "f", Apps: sampleApps[:2], Refused: &sampleApps[2]}),
	web.Sample("phone", AuthenticatorsPage{View: web.View{Step: 2, Of: 6}, Flow: "f", Apps: sampleApps[:2], Refused: &sampleApps[2], Phone: true}),
	web.Sample("nothing chosen", AuthenticatorsPage{View: web.View{Step: 2, Of: 6}, Flow: "f", Apps: sampleApps[1:]}).With(errNoneChosen),
	web.Sample("empty", AuthenticatorsPage{Flow: "f"}))

// showAuthenticator draws the page of the three that is due.
func (d *Door) showAuthenticator(w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error {
	if app := chosen(v); app != nil && len(v.Question.Data) > 0 {
		return d.showConnect(w, r, v, app, in, err)
	}
	return d.showAuthenticators(w, r, v, err)
}

// chosen is the app of the flow's choice, nil when there is none yet.
func chosen(v login.View) *directory.App {
	i := slices.IndexFunc(v.Realm.Apps, func(a directory.App) bool { return a.ID == v.Flow.Choice && !a.Hidden })
	if i < 0 {
		return nil
	}
	return &v.Realm.Apps[i]
}

// binding loads a flow whose step is to set up an authenticator app; otherwise it answers itself and ok is false.
func (d *Door) binding(w http.ResponseWriter, r *http.Request) (v login.View, ok bool, err error) {
	v, err = d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return v, false, d.gone(w, r, err)
	}
	if !v.Step.Accepts(authn.ActBind, authn.TOTP) || v.Step.Accepts(authn.ActBind, authn.Password) {
		return v, false, web.Redirect(w, r, path(v))
	}
	known(r, v)
	return v, true, nil
}

func (d *Door) authenticators(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := d.binding(w, r)
	if !ok {
		return err
	}
	return d.showAuthenticators(w, r, v, nil)
}

func (d *Door) showAuthenticators(w http.ResponseWriter, r *http.Request, v login.View, err error) error {
	visit := web.From(r)
	p := AuthenticatorsPage{View: wizard(v), Flow: v.Flow.ID, Leave: leaving(v), Phone: visit.Agent.Mobile}
	for _, a := range v.Realm.Apps {
		if a.Hidden {
			continue
		}
		c := AppChoice{ID: a.ID, Name: a.Name, About: a.About.For(visit.Lang), Extension: a.Kind == extension, Recommended: a.Recommended}
		c.Chosen = a.ID == v.Flow.Choice
		if c.Extension && (p.Phone || visit.Agent.Name == "Safari") {
			p.Refused = &c
			continue
		}
		p.Apps = append(p.Apps, c)
	}
	if !slices.ContainsFunc(p.Apps, func(c AppChoice) bool { return c.Chosen }) {
		if i := slices.IndexFunc(p.Apps, func(c AppChoice) bool { return c.Recommended }); i >= 0 {
			p.Apps[i].Chosen = true
		}
	}
	return answer(authenticatorsPage, w, r, p, err)
}

// choose keeps the choice and leads to the app's store, or straight on where it has none.
func (d *Door) choose(w http.ResponseWriter, r *http.Request) error {
	model := r.PostFormValue("authenticator")
	if model == "" {
		return d.unchosen(w, r, errNoneChosen)
	}
	v, err := d.Logins.Choose(r.Context(), caller(r), r.PathValue("flow"), model)
	if fault.Of(err, fault.Invalid) {
		return d.unchosen(w, r, err)
	}
	if err != nil {
		return d.again(w, r, typed{}, err)
	}
	if app := chosen(v); app != nil && len(stores(app)) > 0 {
		return web.Redirect(w, r, path(v, "app"))
	}
	return web.Redirect(w, r, path(v))
}

func (d *Door) unchosen(w http.ResponseWriter, r *http.Request, why error) error {
	v, ok, err := d.binding(w, r)
	if !ok {
		return err
	}
	return d.showAuthenticators(w, r, v, why)
}

// platforms in the order in which they are offered.
var platforms = []string{"ios", "android", "chrome", "edge", "firefox"}

// stores are the platforms of an app that have a store address.
func stores(a *directory.App) []string {
	return slices.DeleteFunc(slices.Clone(platforms), func(p string) bool { return a.Stores[p] == "" })
}

// AppPage says where to get the chosen authenticator. Seen on a computer it shows the QR code of one store at a time,
// seen on a phone the link.
type AppPage struct {
	web.View
	Flow      string
	Name      string
	Extension bool
	Phone     bool // this browser runs on a phone
	Stores    []Store
	Shown     Store // the one whose QR code is shown, or whose link comes first
}

// Store is where an authenticator comes from on one platform.
type Store struct {
	Platform string // ios, android, chrome, edge, firefox
	Address  string
}

var sampleStores = []Store{{"ios", "https://apps.example/app"}, {"android", "https://play.example/app"}}

var appPage = web.Define(Pages, "app", web.Door,
	web.Sample("computer", AppPage{View: web.View{Step: 2, Of: 6, Back: "/signin/f/choose"}, Flow: "f", Name: "Microsoft Authenticator", Stores: sampleStores, Shown: sampleStores[0]}),
	web.Sample("phone", AppPage{View: web.View{Step: 2, Of: 6, Back: "/signin/f/choose"}, Flow: "f", Name: "Microsoft Authenticator", Stores: sampleStores, Shown: sampleStores[1], Phone: true}),
	web.Sample("extension", AppPage{View: web.View{Step: 2, Of: 6, Back: "/signin/f/choose"}, Flow: "f", Name: "Authenticator", Extension: true, Stores: []Store{
		{"chrome", "https://chrome.example"}, {"edge", "https://edge.example"}, {"firefox", "https://firefox.example"}}, Shown: Store{"firefox", "https://firefox.example"}}))

func (d *Door) app(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := d.binding(w, r)
	if !ok {
		return err
	}
	a := chosen(v)
	if a == nil || len(stores(a)) == 0 {
		return web.Redirect(w, r, path(v))
	}
	agent := web.From(r).Agent
	p := AppPage{View: wizard(v), Flow: v.Flow.ID, Name: a.Name, Extension: a.Kind == extension, Phone: agent.Mobile}
	p.Back = path(v, "choose")
	for _, platform := range stores(a) {
		p.Stores = append(p.Stores, Store{platform, a.Stores[platform]})
	}
	p.Shown = p.Stores[0]
	for _, s := range p.Stores {
		if s.Platform == native(agent) {
			p.Shown = s
		}
	}
	for _, s := range p.Stores {
		if s.Platform == r.URL.Query().Get("on") {
			p.Shown = s
		}
	}
	return appPage.Show(w, r, p)
}

// native is the platform of this browser, empty when none is.
func native(a web.Agent) string {
	if !a.Mobile {
		return map[string]string{"Chrome": "chrome", "Edge": "edge", "Firefox": "firefox"}[a.Name]
	}
	return map[string]string{"iOS": "ios", "iPadOS": "ios", "Android": "android"}[a.System]
}

// storeCode draws the QR code of a store's address.
func (d *Door) storeCode(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := d.binding(w, r)
	if !ok {
		return err
	}
	a := chosen(v)
	if a == nil || !slices.Contains(slices.Collect(maps.Keys(a.Stores)), r.PathValue("platform")) {
		return fault.New(fault.NotFound, "no-page")
	}
	return web.WriteQR(w, a.Stores[r.PathValue("platform")])
}
