package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/web/catalog"
)

// SampleTime is "now" in samples, so that pictures of them can be compared.
var SampleTime = time.Date(2026, time.November, 21, 9, 14, 0, 0, time.UTC)

// GalleryPage lists every sample of every page.
type GalleryPage struct {
	View
	Rows   []GalleryRow
	Langs  []string
	Realms []GalleryRealm
}

// GalleryRow is one page.
type GalleryRow struct {
	Set, Page string
	Samples   []GallerySample
}

// GallerySample is one sample, with its address but for language and realm.
type GallerySample struct {
	Name string
	Href string
}

// GalleryRealm is a theme.
type GalleryRealm struct{ ID, Name string }

var galleryPage = Define(Pages, "gallery", Desk, Sample("plain", GalleryPage{
	Langs: catalog.Languages, Realms: []GalleryRealm{{"shop", "Northline Supply"}},
	Rows: []GalleryRow{{Set: "signin", Page: "password", Samples: []GallerySample{{"wrong", "/dev/pages/signin/password/wrong"}}}},
}))

// ComponentsPage shows every component once, so that each is checked, drawn and looked at.
type ComponentsPage struct {
	View
	Pager Pager
	Until time.Time
}

var _ = Define(Pages, "components", Desk,
	Sample("plain", ComponentsPage{Pager: Pager{First: "/", Next: "/?after=x"}, Until: SampleTime.Add(462 * time.Second)}),
	Sample("wrong", ComponentsPage{View: View{Me: Me{Name: "A. Sample"}, Nav: []NavItem{{Href: "/", Label: "base.account", Current: true}}}, Until: SampleTime}).With(
		errors.Join(fault.New(fault.Invalid, "form-broken").In("name"), fault.New(fault.Throttled, "form-broken").In("code"))))

// mountGallery adds /dev/pages, which shows each sample × language × realm.
func (s *Site) mountGallery(mux *http.ServeMux) {
	s.Handle(mux, "GET /dev/pages", func(w http.ResponseWriter, r *http.Request) error {
		p := GalleryPage{Langs: catalog.Languages}
		for _, realm := range s.Realms.All() {
			p.Realms = append(p.Realms, GalleryRealm{realm.ID, realm.Name})
		}
		for _, set := range s.sets {
			for _, e := range set.Entries() {
				row := GalleryRow{Set: set.Name, Page: e.Name()}
				for _, sample := range e.Samples() {
					row.Samples = append(row.Samples, GallerySample{sample, "/dev/pages/" + set.Name + "/" + e.Name() + "/" + url.PathEscape(sample)})
				}
				p.Rows = append(p.Rows, row)
			}
		}
		return galleryPage.Show(w, r, p)
	})
	s.Handle(mux, "GET /dev/qr.png", func(w http.ResponseWriter, _ *http.Request) error {
		return WriteQR(w, "https://northline.example/sample")
	})
	s.Handle(mux, "GET /dev/pages/{set}/{page}/{sample}", func(w http.ResponseWriter, r *http.Request) error {
		for _, set := range s.sets {
			for _, e := range set.Entries() {
				if set.Name == r.PathValue("set") && e.Name() == r.PathValue("page") {
					return e.ShowSample(w, s.SampleRequest(r, r.URL.Query().Get("realm"), r.URL.Query().Get("lang")), r.PathValue("sample"))
				}
			}
		}
		return errNoPage
	})
}

// SampleRequest is r as if it came at SampleTime, to another realm, in another language; empty or unknown values change
// nothing.
func (s *Site) SampleRequest(r *http.Request, realmID, lang string) *http.Request {
	v := *From(r)
	all := s.Realms.All()
	if i := slices.IndexFunc(all, func(x *directory.Realm) bool { return x.ID == realmID }); i >= 0 {
		v.Realm = all[i]
		v.Zone = zone(v.Realm.Zone)
	}
	if slices.Contains(catalog.Languages, lang) {
		v.Lang = lang
	}
	v.Now, v.flash = SampleTime, nil
	return WithVisit(r, &v)
}
