package signin

import (
	"net/http"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// PasswordPage asks for the password a person has.
type PasswordPage struct {
	web.View
	Flow    string
	Address string
	With    string
	First   bool // the first sign-in after set-up
	Reset   bool // a flow that changes a factor, not a sign-in
	Others  bool // there is another way
}

var passwordPage = web.Define(Pages, "password", web.Door,
	web.Sample("plain", PasswordPage{Flow: "f", Address: "a.sample@northline.example", Others: true}),
	web.Sample("wrong", PasswordPage{Flow: "f", Address: "a.sample@northline.example"}).With(authn.Reject("password-wrong").In("password")),
	web.Sample("first", PasswordPage{View: web.View{Step: 4, Of: 6}, Flow: "f", Address: "a.sample-with-a-long-name@a-very-long-host-name.northline.example", First: true}),
	web.Sample("change", PasswordPage{Flow: "f", Address: "a.sample@northline.example", Reset: true}),
	web.Sample("busy", PasswordPage{Flow: "f", Address: "a.sample@northline.example"}).With(fault.New(fault.Unavailable, "busy").After(5e9)))

func (d *Door) showPassword(w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error {
	return answer(passwordPage, w, r, PasswordPage{
		View: wizard(v), Flow: v.Flow.ID, Address: v.Flow.Address, With: in.with,
		First: setUp(v), Reset: !v.Flow.Goal.Admit(), Others: others(v),
	}, err)
}

// others reports whether there is anything to choose under "try another way".
func others(v login.View) bool {
	if len(v.Ways) > 1 {
		return true
	}
	n := 0
	for _, k := range v.Step.Kinds {
		if provePage(k) != nil {
			n++
		}
	}
	return n > 1
}
