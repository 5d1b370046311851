package account

import (
	"net/http"
	"time"

	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/login"
	"doorward/internal/rollout"
	"doorward/internal/web"
)

// Ahead is what a roll-out in grace asks of the person.
type Ahead struct {
	Name     string
	About    string
	Until    time.Time
	Stranded bool // it cannot be set up alone
}

// asked are the roll-outs that ask something of the person now.
func (d *Door) asked(r *http.Request, by login.By) (all []Ahead, err error) {
	v := web.From(r)
	due, err := d.Rollouts.Mine(r.Context(), by.Person, by.Organization, by.Realm.Realm, by.Realm.Policies)
	for _, one := range due {
		all = append(all, Ahead{Name: one.Due.Rollout.Name.For(v.Lang), About: one.Due.Rollout.About.For(v.Lang), Until: one.Due.Until, Stranded: one.Readiness == rollout.Stranded})
	}
	return all, err
}

// ahead begins a sign-in that leads to what is asked for.
func (d *Door) ahead(w http.ResponseWriter, r *http.Request, by login.By) error {
	return d.begin(w, r, by, authn.Goal{}, "/account")
}

func (d *Door) endExemption(w http.ResponseWriter, r *http.Request, by login.By) error {
	if err := d.Exempts.EndOwn(r.Context(), breakglass.By{Actor: by, Person: by.Person, Realm: by.Realm.Realm}); err != nil {
		return err
	}
	web.Flash(w, r, "ok", "account.flash.exempt-ended")
	return web.Redirect(w, r, "/account")
}
