package signin

import (
	"net/http"

	"doorward/internal/web"
)

// SignOutPage asks before a session ends, for whoever came by a link.
type SignOutPage struct{ web.View }

var signOutPage = web.Define(Pages, "signout", web.Door, web.Sample("plain", SignOutPage{View: web.View{Back: "/account"}}))

func (d *Door) askSignOut(w http.ResponseWriter, r *http.Request) error {
	if !d.signed(r) {
		return web.Redirect(w, r, "/signout/done")
	}
	return signOutPage.Show(w, r, SignOutPage{View: web.View{Back: account}})
}

// signOut ends the session. Clear-Site-Data drops what the browser keeps of pages, not "cookies", which hold the mark of
// a known browser, and not "storage", which holds the key of a phone that is paired with this host (SEC S-5).
func (d *Door) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := d.Logins.SignOut(r.Context(), caller(r)); err != nil {
		return err
	}
	forget(w)
	w.Header().Set("Clear-Site-Data", `"cache"`)
	return web.Redirect(w, r, "/signout/done")
}

// forget removes the session from the browser.
func forget(w http.ResponseWriter) { web.SetCookie(w, web.SessionCookie, "", -1) }

// SignedOutPage says what ended and what remains (REQ A23, A43).
type SignedOutPage struct {
	web.View
	Keeps string // how this browser goes on showing a certificate, rest of a message key; empty where it showed none
}

var signedOutPage = web.Define(Pages, "signedout", web.Door, web.Sample("plain", SignedOutPage{}),
	web.Sample("chromium", SignedOutPage{Keeps: "chromium"}), web.Sample("firefox", SignedOutPage{Keeps: "firefox"}),
	web.Sample("mac", SignedOutPage{Keeps: "mac"}), web.Sample("ios", SignedOutPage{Keeps: "ios"}), web.Sample("other", SignedOutPage{Keeps: "other"}))

// signedOut tells a browser that has shown a certificate what it goes on doing: no site can make it forget that.
func (d *Door) signedOut(w http.ResponseWriter, r *http.Request) error {
	p := SignedOutPage{}
	if web.Cookie(r, shownBefore) != "" {
		p.Keeps = keeps(web.From(r).Agent)
	}
	return signedOutPage.Show(w, r, p)
}

// keeps picks how a browser treats the certificate that was chosen.
func keeps(a web.Agent) string {
	switch {
	case a.System == "iOS" || a.System == "iPadOS":
		return "ios"
	case a.Name == "Firefox":
		return "firefox"
	case a.Name == "Safari":
		return "mac"
	case a.Name == "Chrome" || a.Name == "Edge":
		return "chromium"
	}
	return "other"
}
