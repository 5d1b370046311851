package demo

import (
	"net/http"
	"time"

	"doorward/internal/directory"
	"doorward/internal/web"
)

// TourPage says who lives in the demo and what to try, in order.
type TourPage struct {
	web.View
	Shop, Wealth, Mailbox        string
	Store, Complaints, Portfolio string
	Realms                       []TourRealm
}

// TourRealm is one realm's people.
type TourRealm struct {
	Name   string
	URL    string
	People []TourPerson
}

// TourPerson is somebody with the code their authenticator shows now; empty for who has none yet.
type TourPerson struct {
	Person
	Code string
	Kind directory.Role
}

var sampleTour = TourPage{
	Shop: "https://shop.localhost:8443", Wealth: "https://wealth.localhost:8443", Mailbox: "https://mail.localhost:8443",
	Store: "https://store.localhost:8443", Complaints: "https://complaints.localhost:8443", Portfolio: "https://portfolio.localhost:8443",
	Realms: []TourRealm{{Name: "Northline Supply", URL: "https://shop.localhost:8443", People: []TourPerson{
		{Person: Person{Name: "Mara Keller", Email: "mara.keller@alder.example", Organization: "Alder Joinery", Password: "bado-kuni-fela", State: "active"}, Code: "123 456", Kind: directory.Administrator},
		{Person: Person{Name: "Lea Rossi", Email: "lea.rossi@alder.example", Organization: "Alder Joinery", State: "invited"}, Kind: directory.Member},
	}}, {Name: "Meridian Portal", URL: "https://wealth.localhost:8443", People: []TourPerson{
		{Person: Person{Name: "Paul Moser", Email: "paul.moser@moser.example", Organization: "Family Moser", Password: "bado-kuni-fela", State: "active", Certificate: held,
			CertificateFile: "certificates/paul.moser.p12", CertificatePassword: "8t4t-6j1k-w3fc-f09x-8hb2"}, Code: "123 456", Kind: directory.Member},
		{Person: Person{Name: "Sofia Moser", Email: "sofia.moser@moser.example", Organization: "Family Moser", State: "invited", Certificate: mailed}, Kind: directory.Member},
	}}},
}

var tourPage = web.Define(Set, "tour", web.Desk, web.Sample("plain", sampleTour))

// codeLife is how long an authenticator shows a code.
const codeLife = 30 * time.Second

func (s *Site) tour(w http.ResponseWriter, r *http.Request) error {
	now := s.Clock()
	page := TourPage{
		View: web.View{Nav: s.nav("tour"), Refresh: 15, Events: "/events"},
		Shop: s.Shop, Wealth: s.Wealth, Mailbox: s.Mailbox,
		Store: s.Origin(StoreHost), Complaints: s.Origin(ComplaintsHost), Portfolio: s.Origin(PortfolioHost),
		Realms: []TourRealm{{Name: "Northline Supply", URL: s.Shop}, {Name: "Meridian Portal", URL: s.Wealth}},
	}
	for _, p := range s.People {
		in := &page.Realms[0]
		if p.Realm == "wealth" {
			in = &page.Realms[1]
		}
		one := TourPerson{Person: p, Kind: Roles[p.Role]}
		if p.TOTPSecret != "" {
			k, err := key(p.TOTPSecret)
			if err != nil {
				return err
			}
			code := k.Code(now)
			one.Code = code[:3] + " " + code[3:]
		}
		in.People = append(in.People, one)
	}
	return tourPage.Show(w, r, page)
}

// tourEvents refreshes the codes as they change.
func (s *Site) tourEvents(w http.ResponseWriter, r *http.Request) error {
	return stream(w, r, func() time.Duration {
		now := s.Clock()
		return now.Truncate(codeLife).Add(codeLife).Sub(now)
	}, func() bool { return true })
}

const beat = 15 * time.Second

// stream sends "update" whenever changed says so, asked after each wait, until the browser is gone.
func stream(w http.ResponseWriter, r *http.Request, wait func() time.Duration, changed func() bool) error {
	events, err := web.NewEvents(w)
	if err != nil {
		return nil // the browser has gone away, or it is no stream
	}
	pulse := time.NewTicker(beat)
	defer pulse.Stop()
	for {
		timer := time.NewTimer(wait())
		select {
		case <-r.Context().Done():
			timer.Stop()
			return nil
		case <-pulse.C:
			err = events.Beat()
		case <-timer.C:
			if changed() {
				err = events.Send("update", "now")
			}
		}
		timer.Stop()
		if err != nil {
			return nil
		}
	}
}
