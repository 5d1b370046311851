package signin

import (
	"maps"
	"net/http"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// NewPasswordPage lets a person choose a password. The rules stand above the field, before anybody breaks them.
type NewPasswordPage struct {
	web.View
	Flow    string
	Leave   string // see leaving
	Address string
	Length  int    // at least so many characters
	Manager string // the operator's words on password managers; empty for ours
	Set     bool   // the first password, in set-up
}

var newPasswordPage = web.Define(Pages, "new-password", web.Door,
	web.Sample("set-up", NewPasswordPage{View: web.View{Step: 1, Of: 6}, Flow: "f", Leave: "later", Address: "a.sample@northline.example", Length: 12, Set: true}),
	web.Sample("reset", NewPasswordPage{View: web.View{Step: 2, Of: 2}, Flow: "f", Address: "a.sample@northline.example", Length: 15, Manager: "We recommend a password manager, for example the one in your browser."}),
	web.Sample("short", NewPasswordPage{Flow: "f", Address: "a.sample@northline.example", Length: 12}).With(fault.New(fault.Invalid, "password-too-short", "min", 12, "length", 7).In("password")),
	web.Sample("breached", NewPasswordPage{Flow: "f", Address: "a.sample@northline.example", Length: 12}).With(fault.New(fault.Invalid, "password-breached").In("password")),
	web.Sample("weak", NewPasswordPage{Flow: "f", Address: "a.sample@northline.example", Length: 12}).With(fault.New(fault.Invalid, "password-weak", "hint", "Add a word or two.").In("password")))

// shortest is the floor for every realm (REQ A6).
const shortest = 12

func (d *Door) showNewPassword(w http.ResponseWriter, r *http.Request, v login.View, _ typed, err error) error {
	return answer(newPasswordPage, w, r, NewPasswordPage{
		View: wizard(v), Flow: v.Flow.ID, Leave: leaving(v), Address: v.Flow.Address, Length: max(shortest, v.Realm.Password.Length),
		Manager: v.Realm.Manager.For(web.From(r).Lang), Set: v.Flow.Goal.Bind != authn.Password,
	}, advised(web.From(r), err))
}

// advised puts the hint of a weak password into words.
func advised(v *web.Visit, err error) error {
	f := fault.As(err)
	if f == nil {
		return err
	}
	hint, ok := f.Args["hint"].(string)
	if !ok {
		return err
	}
	c := *f
	c.Args = maps.Clone(f.Args)
	c.Args["hint"] = advice(v, hint)
	return &c
}
