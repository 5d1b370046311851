// Package web is what all pages share: layout, components, words, assets, headers and errors. The pages themselves live
// in web/signin, web/account, web/console, web/phone and web/help.
//
// # A page
//
// A page is a Go struct that embeds View, with its .html beside it, registered once with samples:
//
//	//go:embed *.html
//	var files embed.FS
//
//	// Pages are the pages of this room.
//	var Pages = web.NewSet("signin", files)
//
//	type PasswordPage struct {
//		web.View
//		Address string
//	}
//
//	var passwordPage = web.Define(Pages, "password", web.Door,
//		web.Sample("plain", PasswordPage{Address: "a.sample@northline.example"}),
//		web.Sample("wrong", PasswordPage{Address: "a.sample@northline.example"}).With(authn.Reject("password-wrong").In("password")))
//
// password.html defines "title" and "main" (and "aside" for Article):
//
//	{{define "title"}}{{.T "signin.password.title"}}{{end}}
//	{{define "main"}}
//	<div><h1>{{template "title" .}}</h1><p class="lead">{{.T "signin.password.lead" "app" .App}}</p></div>
//	<form class="stack" method="post">
//	  {{template "username" .Address}}
//	  {{template "field" ($.Field "password" "signin.password.label").Password}}
//	  <button class="btn btn--block">{{.T "base.continue"}}</button>
//	</form>
//	{{end}}
//
// The layout draws the rest: head, brand, wizard (View.Step, Of, Back), flash, error summary, foot. Inside range and with
// write $.T. Handlers return error:
//
//	site.Handle(mux, "GET /signin/password", func(w http.ResponseWriter, r *http.Request) error {
//		return passwordPage.Show(w, r, PasswordPage{Address: a})
//	})
//	site.Handle(mux, "POST /signin/password", func(w http.ResponseWriter, r *http.Request) error {
//		if err := prove(r.PostFormValue("password")); err != nil {
//			return passwordPage.Fail(w, r, PasswordPage{Address: a}, err) // the form again, with the words of err
//		}
//		return web.Redirect(w, r, "/signin/code") // 303
//	})
//
// # Components
//
// Drawn as {{template "NAME" VALUE}}, where the value comes from a method of View: "field" ($.Field and its chain: Of, Help,
// Email, Password, NewPassword, Code, Typed, Search, Select, Lines, Maybe, First …), "note" ($.Note tone head text),
// "empty" ($.Empty icon head text, then Do), "countdown" ($.Countdown until total over), "qr" ($.QR, or $.StoreQR for a
// store's address), "copy" ($.Copy id label), "pager" (a field of type Pager), "username" (the address). Functions: icon,
// address, tel, initials, groups, seq, list. Times and numbers: Time, Day, Date, Exact, Clock, Ago, Span, Number, Machine.
// A page's own field or method of the same name hides that of View. /dev/pages/web/components shows them all.
//
// # The rules
//
//   - Words come from the catalogue (see web/catalog), through T, or Rich where a message has **strong** or [link](name).
//     Arguments are pairs of name and value; times, durations and numbers are written as the reader writes them.
//     Text that an operator or a person wrote is data: printed by the template, never parsed, never template.HTML.
//   - Every key stands literally in Go or in a template; where it is put together, its constant beginning does
//     ("account.kind." + kind, printf "account.kind.%s" .Kind). A test finds keys that are missing or unused.
//   - Every state of a page has a sample. A test type-checks each template against its struct and executes all samples
//     in all languages (webtest.Pages); /dev/pages shows them.
//   - One form per step, and the main button first in it. Buttons that only work with script carry hidden and an
//     attribute data-reveal, data-copy …; the script shows them (see assets/src).
//   - No inline script or style, no style attribute, nothing from another host: the policy would refuse it.
//   - A QR code is a PNG at an address of its own, written by WriteQR, and never two on a page.
//   - Expected faults are returned as *fault.Error. Page.Fail shows the form again; elsewhere returning the error gives
//     a page of its own. Any other error is logged with a reference, and the visitor sees the reference only.
//   - After a POST answer with Redirect. To tell what happened on the next page call Flash before.
//   - A POST that ends at a relying party must call AllowForm with its origin on the page that holds the form: browsers
//     apply form-action to the redirects after a form as well.
//   - Cookies start with __Host- and are set through SetCookie.
package web
