package signin

import (
	"net/http"

	"doorward/internal/authn"
	"doorward/internal/login"
	"doorward/internal/web"
)

// PreferencesPage asks what a person wants to be written to about. Everything is off until they say so (REQ B27).
type PreferencesPage struct {
	web.View
	Flow   string
	Topics []TopicRow
}

// TopicRow is one topic in the reader's language.
type TopicRow struct {
	ID, Name, About string
	On              bool
}

var preferencesPage = web.Define(Pages, "preferences", web.Door,
	web.Sample("plain", PreferencesPage{View: web.View{Step: 6, Of: 6}, Flow: "f", Topics: []TopicRow{
		{ID: "products", Name: "New products", About: "Once a month."}, {ID: "offers", Name: "Offers and clearance sales"},
	}}))

func (d *Door) showPreferences(w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error {
	p := PreferencesPage{View: wizard(v), Flow: v.Flow.ID}
	lang := web.From(r).Lang
	for _, t := range v.Realm.Topics {
		p.Topics = append(p.Topics, TopicRow{ID: t.ID, Name: t.Name.For(lang), About: t.About.For(lang), On: in.topics[t.ID]})
	}
	return answer(preferencesPage, w, r, p, err)
}

func (d *Door) prefer(w http.ResponseWriter, r *http.Request) error {
	in := typed{topics: map[string]bool{}}
	for _, id := range r.PostForm["topic"] {
		in.topics[id] = true
	}
	v, err := d.Logins.Perform(r.Context(), caller(r), r.PathValue("flow"), login.Done{Duty: authn.Preferences, Topics: in.topics})
	if err != nil {
		return d.again(w, r, in, err)
	}
	return d.next(w, r, v)
}
