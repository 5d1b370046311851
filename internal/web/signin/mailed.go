package signin

import (
	"net/http"

	"doorward/internal/login"
	"doorward/internal/web"
)

// MailedPage is where a sign-in waits for the link of an approved request: it proves the mailbox, and leads on from there.
type MailedPage struct {
	web.View
	Flow  string
	Again bool   // sent once more
	Found string // a kind that was reported lost, and lets its owner in all the same if they have found it; empty for none
}

var mailedPage = web.Define(Pages, "mailed", web.Door,
	web.Sample("plain", MailedPage{Flow: "f"}), web.Sample("again", MailedPage{Flow: "f", Again: true, Found: "totp"}))

func (d *Door) showMailed(w http.ResponseWriter, r *http.Request, v login.View, err error) error {
	p := MailedPage{View: wizard(v), Flow: v.Flow.ID, Again: r.URL.Query().Get("sent") != ""}
	p.Found = found(v)
	if err != nil {
		return mailedPage.Fail(w, r, p, err)
	}
	return mailedPage.Show(w, r, p)
}

// found is a kind that is taken although it was reported lost.
func found(v login.View) (kind string) {
	for _, k := range v.Step.Also {
		if provePage(k) != nil {
			kind = string(k)
		}
	}
	return kind
}

func (d *Door) remind(w http.ResponseWriter, r *http.Request) error {
	if err := d.Logins.Remind(r.Context(), caller(r), r.PathValue("flow")); err != nil {
		return d.again(w, r, typed{}, err)
	}
	return web.Redirect(w, r, "/signin/"+r.PathValue("flow")+"?sent=again")
}
