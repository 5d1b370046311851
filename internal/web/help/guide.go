package help

import (
	"html/template"
	"net/http"
	"slices"

	"doorward/internal/directory"
	"doorward/internal/web"
)

// AppLink is one authenticator in the list.
type AppLink struct {
	ID, Name, About string
	Extension       bool
	Recommended     bool
}

// AppsPage says which authenticator suits whom (REQ B8, B11).
type AppsPage struct {
	web.View
	Apps    []AppLink
	Passkey bool
	Safari  bool
}

var appsPage = web.Define(Pages, "apps", web.Article,
	web.Sample("plain", AppsPage{Passkey: true, Apps: []AppLink{{ID: "microsoft", Name: "Microsoft Authenticator", Recommended: true}, {ID: "extension", Name: "Authenticator", About: "In the browser.", Extension: true}}}),
	web.Sample("safari", AppsPage{Safari: true, Apps: []AppLink{{ID: "extension", Name: "Authenticator", Extension: true}}}))

func (d *Door) apps(w http.ResponseWriter, r *http.Request) error {
	v := web.From(r)
	p := AppsPage{View: web.View{Back: "/help"}, Safari: v.Agent.Name == "Safari", Passkey: find(v.Lang, "passkey", v.Realm) != nil}
	for _, a := range v.Realm.Apps {
		if !a.Hidden {
			p.Apps = append(p.Apps, AppLink{ID: a.ID, Name: a.Name, About: a.About.For(v.Lang), Extension: a.Kind == "extension", Recommended: a.Recommended})
		}
	}
	if len(p.Apps) == 0 {
		return errNoArticle
	}
	return appsPage.Show(w, r, p)
}

// Store is where an authenticator is had for one platform.
type Store struct {
	Platform string // ios android chrome firefox edge
	Address  string
	Current  bool
	Here     bool // this browser or device is of the platform: a link is enough
}

// AppPage is the guide to one authenticator (REQ B8–B12, B17, B18, B30, B31, B36). It shows one QR code at most, and
// never that of a secret.
type AppPage struct {
	web.View
	App       string
	Name      string
	Extension bool
	Safari    bool // there is no extension for this browser
	Stores    []Store
	Shown     Store
	QRShown   bool
	Steps     []string // the operator's words
	Figure    template.HTML
	Copy      template.HTML
	Version   string
}

var appPage = web.Define(Pages, "app", web.Article,
	web.Sample("app on a computer", AppPage{App: "microsoft", Name: "Microsoft Authenticator", QRShown: true, Shown: Store{Platform: "ios", Address: "https://apps.apple.com/app/id983156458", Current: true},
		Stores: []Store{{Platform: "ios", Address: "https://apps.apple.com/app/id983156458", Current: true}, {Platform: "android", Address: "https://play.google.com/store/apps/details?id=com.azure.authenticator"}},
		Steps:  []string{"Press +.", "Press Work account."}, Version: "1"}),
	web.Sample("app on a phone", AppPage{App: "google", Name: "Google Authenticator", Shown: Store{Platform: "android", Address: "https://play.google.com/store/apps/details?id=x", Current: true, Here: true},
		Stores: []Store{{Platform: "android", Address: "https://play.google.com/store/apps/details?id=x", Current: true, Here: true}}}),
	web.Sample("extension", AppPage{App: "extension", Name: "Authenticator", Extension: true, Shown: Store{Platform: "firefox", Address: "https://addons.mozilla.org/firefox/addon/auth-helper/", Current: true, Here: true},
		Stores: []Store{{Platform: "firefox", Address: "https://addons.mozilla.org/firefox/addon/auth-helper/", Current: true, Here: true}}, Steps: []string{"Click the icon."}}),
	web.Sample("extension in Safari", AppPage{App: "extension", Name: "Authenticator", Extension: true, Safari: true}))

// platforms in the order in which they are offered.
var platforms = []string{"ios", "android", "chrome", "edge", "firefox"}

// here is the platform of this browser, empty when it is none of ours.
func here(a web.Agent, extension bool) string {
	if !extension {
		switch a.System {
		case "iOS", "iPadOS":
			return "ios"
		case "Android":
			return "android"
		}
		return ""
	}
	switch {
	case a.Mobile:
		return ""
	case a.Name == "Firefox":
		return "firefox"
	case a.Name == "Edge":
		return "edge"
	case a.Name == "Chrome" || a.Name == "Chromium" || a.Name == "Opera" || a.Name == "Vivaldi" || a.Name == "Brave":
		return "chrome"
	}
	return ""
}

func offered(realm *directory.Realm, id string) (directory.App, bool) {
	i := slices.IndexFunc(realm.Apps, func(a directory.App) bool { return a.ID == id && !a.Hidden })
	if i < 0 {
		return directory.App{}, false
	}
	return realm.Apps[i], true
}

func (d *Door) app(w http.ResponseWriter, r *http.Request) error {
	v := web.From(r)
	app, ok := offered(v.Realm, r.PathValue("app"))
	if !ok {
		return errNoArticle
	}
	p := AppPage{View: web.View{Back: "/help/authenticators"}, App: app.ID, Name: app.Name, Extension: app.Kind == "extension", Version: app.Version}
	p.Safari = p.Extension && v.Agent.Name == "Safari"
	mine, on := here(v.Agent, p.Extension), r.URL.Query().Get("on")
	for _, platform := range platforms {
		if address := app.Stores[platform]; address != "" {
			p.Stores = append(p.Stores, Store{Platform: platform, Address: address, Here: platform == mine})
		}
	}
	if shown := pick(p.Stores, on); shown != nil {
		shown.Current = true
		p.Shown = *shown
		p.QRShown = !p.Extension && !v.Agent.Mobile
	}
	if p.Steps = app.Steps[v.Lang]; p.Steps == nil {
		p.Steps = app.Steps["en"]
	}
	drawing := "app-plus"
	if p.Extension {
		drawing = "extension-scan"
	}
	p.Figure = figure(drawing, v.T("help.app.figure-"+drawing), v.T("help.app.caption-"+drawing))
	p.Copy = figure("copy-code", v.T("help.app.figure-copy-code"), v.T("help.app.caption-copy-code"))
	return appPage.Show(w, r, p)
}

// pick chooses the store to show: the asked one, else the one for this device, else the first.
func pick(stores []Store, asked string) *Store {
	if len(stores) == 0 {
		return nil
	}
	best := 0
	for i, s := range stores {
		if s.Platform == asked {
			return &stores[i]
		}
		if s.Here {
			best = i
		}
	}
	return &stores[best]
}

// storeCode is the QR code of a store's address, from the realm's own data: nothing in the request can choose where it
// leads.
func (d *Door) storeCode(w http.ResponseWriter, r *http.Request) error {
	app, ok := offered(web.From(r).Realm, r.PathValue("app"))
	address := app.Stores[r.PathValue("store")]
	if !ok || address == "" {
		return errNoArticle
	}
	return web.WriteQR(w, address)
}
