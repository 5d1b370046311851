package signin

import (
	"net/http"
	"time"

	"doorward/internal/login"
	"doorward/internal/web"
)

// AheadPage leads to what a roll-out in grace asks for, and lets put it off (REQ B2).
type AheadPage struct {
	web.View
	Flow  string
	Items []AheadItem
}

// AheadItem is one roll-out: the realm's own words, and from when on it is needed.
type AheadItem struct {
	Name, About string
	Until       time.Time
}

var aheadPage = web.Define(Pages, "ahead", web.Door,
	web.Sample("one", AheadPage{Flow: "f", Items: []AheadItem{{Name: "A second step at every sign-in", About: "Beside your password you show a code from an app on your phone.", Until: web.SampleTime.Add(9 * 24 * time.Hour)}}}),
	web.Sample("two", AheadPage{Flow: "f", Items: []AheadItem{{Name: "A second step at every sign-in", About: "Beside your password you show a code.", Until: web.SampleTime.Add(9 * 24 * time.Hour)}, {Name: "Passkeys", About: "You sign in with a passkey.", Until: web.SampleTime.Add(30 * 24 * time.Hour)}}}))

// announces reports whether a step that can be put off is announced first: when it is met, and when the person asks for it.
func announces(r *http.Request, v login.View) bool {
	q := r.URL.Query()
	return v.Step.Later && r.Method == http.MethodGet && (q.Get("later") != "" || v.Flow.Choice == "" && q.Get("go") == "")
}

func (d *Door) showAhead(w http.ResponseWriter, r *http.Request, v login.View) error {
	p := AheadPage{Flow: v.Flow.ID}
	lang := web.From(r).Lang
	for _, due := range v.Ahead {
		p.Items = append(p.Items, AheadItem{Name: due.Rollout.Name.For(lang), About: due.Rollout.About.For(lang), Until: due.Until})
	}
	return aheadPage.Show(w, r, p)
}

// later puts off what was announced. From the end of grace on it does not: the step is shown as it is then.
func (d *Door) later(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Logins.Later(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.again(w, r, typed{}, err)
	}
	return d.next(w, r, v)
}
