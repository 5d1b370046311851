package signin

import (
	"net/http"
	"net/url"
	"strings"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/web"
)

// typed is what a person handed in, to show it again, or is to see once. A password of theirs is never among it.
type typed struct {
	with   string // the credential or kind picked under "try another way"
	code   string
	name   string
	email  string
	read   bool
	Said   secret.Text // the password of a file, which is shown by this very answer; exported because fmt hides no other
	try    int         // the host for certificates of the next try
	topics map[string]bool
}

// stepPage draws the page of one kind.
type stepPage func(d *Door, w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error

// provePage is the page on which a kind is shown, nil where this door has none.
func provePage(k authn.Kind) stepPage {
	switch k {
	case authn.Password:
		return (*Door).showPassword
	case authn.TOTP:
		return (*Door).showCode
	case authn.Recovery:
		return (*Door).showRecovery
	case authn.Call, authn.Spoken:
		return (*Door).showCall
	case authn.Cert:
		return (*Door).showCertificate
	}
	return nil
}

// bindPage is the page on which a kind is set up, nil where this door has none.
func bindPage(k authn.Kind) stepPage {
	switch k {
	case authn.Password:
		return (*Door).showNewPassword
	case authn.TOTP:
		return (*Door).showAuthenticator
	case authn.Recovery:
		return (*Door).showSheet
	case authn.Cert:
		return (*Door).showAnew
	}
	return nil
}

// step draws the step of a flow as it is now.
func (d *Door) step(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	if v.Minted != nil || v.Finished { // the rest was done in another tab
		return d.next(w, r, v)
	}
	return d.show(w, r, v, typed{with: r.URL.Query().Get("with")}, nil)
}

// show draws the step of v, with what was typed and what was wrong with it.
func (d *Door) show(w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error {
	known(r, v)
	if to := d.Landing(r, v.Flow.Return); !web.LocalPath(to) {
		web.From(r).AllowForm(to)
	}
	if announces(r, v) {
		return d.showAhead(w, r, v)
	}
	switch v.Step.Act {
	case authn.ActProve:
		if k, _ := pick(v, in.with); k != "" {
			return provePage(k)(d, w, r, v, in, err)
		}
		if v.Step.Offers(authn.Mail) {
			return d.showMailed(w, r, v, err)
		}
	case authn.ActBind:
		for _, k := range v.Step.Kinds {
			if page := bindPage(k); page != nil {
				return page(d, w, r, v, in, err)
			}
		}
	case authn.ActPerform:
		switch v.Step.Duty {
		case authn.Terms:
			return d.showTerms(w, r, v, in, err)
		case authn.Preferences:
			return d.showPreferences(w, r, v, in, err)
		}
	case authn.ActStuck:
		return d.showStuck(w, r, v, string(v.Step.Reason), err)
	}
	return d.showStuck(w, r, v, "no-page", nil)
}

// known makes the pages speak the language of the person, once the flow knows them.
func known(r *http.Request, v login.View) {
	if v.Person.ID != "" {
		web.From(r).For(v.Person.Language, v.Person.Zone)
	}
}

// pick decides which kind a prove step shows: the one asked for, else the one used last, else the first that has a page.
// way is filled when one credential is meant. An unknown wish is ignored: it may come from an old page.
func pick(v login.View, with string) (k authn.Kind, way login.Way) {
	for _, one := range v.Ways {
		if one.Credential == with && provePage(one.Kind) != nil {
			return one.Kind, one
		}
	}
	if k := authn.Kind(with); v.Step.Accepts(authn.ActProve, k) && provePage(k) != nil {
		return k, only(v, k)
	}
	for _, one := range v.Ways {
		if provePage(one.Kind) != nil {
			return one.Kind, only(v, one.Kind)
		}
	}
	for _, k := range v.Step.Kinds {
		if provePage(k) != nil && !(activation.Leads(k) && v.Step.Offers(authn.Mail)) { // the link in the mail first: nobody calls for nothing
			return k, login.Way{}
		}
	}
	return "", login.Way{}
}

// only is the person's credential of a kind, when they have just one.
func only(v login.View, k authn.Kind) (way login.Way) {
	for _, one := range v.Ways {
		if one.Kind != k {
			continue
		}
		if way.Credential != "" {
			return login.Way{}
		}
		way = one
	}
	return way
}

// prove takes an answer to the step, whether it proves or enrols; the engine knows which.
func (d *Door) prove(w http.ResponseWriter, r *http.Request) error {
	c, id := caller(r), r.PathValue("flow")
	in := typed{with: r.PostFormValue("with"), name: r.PostFormValue("name")}
	a := authn.Answer{Kind: authn.Kind(r.PostFormValue("kind")), Name: in.name, Confirm: r.PostFormValue("kept")}
	switch a.Kind {
	case authn.Password:
		a.Text = r.PostFormValue("password")
	default:
		in.code = r.PostFormValue("code")
		a.Text = in.code
	}
	if authn.Kind(in.with) != a.Kind {
		a.Credential = in.with
	}
	v, err := d.Logins.Prove(r.Context(), c, id, a)
	if err == nil {
		return d.next(w, r, v)
	}
	keep(w, v)
	if fault.Of(err, fault.Rejected) && v.Flow.State == authn.FlowVoid {
		return d.gone(w, r, err)
	}
	if v.Flow.ID != "" { // refused: v is the step as it is after that
		return d.show(w, r, v, in, err)
	}
	return d.again(w, r, in, err)
}

// next leads on after an answer that was accepted.
func (d *Door) next(w http.ResponseWriter, r *http.Request, v login.View) error {
	keep(w, v)
	switch {
	case v.Minted != nil:
		return d.land(w, r, v.Minted.Return)
	case v.Finished:
		q := url.Values{"what": {string(v.Flow.Goal.Bind)}}
		if v.Flow.Return != "" {
			q.Set("to", v.Flow.Return)
		}
		return web.Redirect(w, r, "/signin/done?"+q.Encode())
	}
	return web.Redirect(w, r, "/signin/"+v.Flow.ID)
}

// again shows the step after an error that left the flow as it was: too often, too busy, wrong input. When the step has
// moved on meanwhile (another tab, a double click) the person is led to where it is now.
func (d *Door) again(w http.ResponseWriter, r *http.Request, in typed, err error) error {
	switch {
	case fault.Of(err, fault.Expired):
		return d.gone(w, r, err)
	case fault.Of(err, fault.Conflict) && fault.As(err).Code != "terms-changed": // those are shown anew, with the reason
		web.Flash(w, r, "warn", "signin.moved")
		return web.Redirect(w, r, "/signin/"+r.PathValue("flow"))
	case fault.As(err) == nil:
		return err
	}
	v, lookErr := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if lookErr != nil {
		return d.gone(w, r, lookErr)
	}
	return d.show(w, r, v, in, err)
}

// setUp reports whether the flow is somebody's first set-up.
func setUp(v login.View) bool {
	return v.Flow.OneTime != "" && v.Flow.Goal.Admit() && !v.Person.EverActive()
}

// wizard numbers the steps of a set-up and of a changed factor, as the engine counts them; a plain sign-in and a
// change of one step are short and have no numbers.
func wizard(v login.View) web.View {
	if v.Flow.OneTime == "" && v.Flow.Goal.Admit() || v.Step.Of < 2 {
		return web.View{}
	}
	return web.View{Step: v.Step.At, Of: v.Step.Of}
}

// path is an address inside a flow.
func path(v login.View, more ...string) string {
	return strings.Join(append([]string{"/signin/" + v.Flow.ID}, more...), "/")
}
