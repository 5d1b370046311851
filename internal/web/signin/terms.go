package signin

import (
	"io"
	"net/http"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/web"
)

// TermsPage shows the terms and takes the typed address as proof (REQ B24).
type TermsPage struct {
	web.View
	Flow     string
	Version  string
	InForce  time.Time
	Language string // of the text shown: kept in the proof
	Blocks   []Block
	Address  string // as typed
	Read     bool
}

// Block is a heading or a paragraph of an operator's text. It is printed, never parsed.
type Block struct {
	Heading bool
	Text    string
}

var sampleTerms = blocks("# 1 What these terms cover\nNorthline Supply runs a webshop and a complaints service for business customers. These terms apply to everyone who signs in for a customer.\n# 2 Your account\nYour account belongs to you alone. It must not be shared, not even with colleagues. Your company’s administrators can invite, disable and remove people. They cannot see your password or your authenticator.\n# 3 Signing in\nYou sign in with a password and a second step. Keep both to yourself. Tell your administrator at once if you lose your phone or notice something unusual in your history.\n# 4 Orders\nAn order is binding once we confirm it by e-mail. Limits that your company has agreed with us apply to every order.\n# 5 Data\nWe keep a record of sign-ins and of changes to your account for 24 months. You can read your own record at any time under Account, History.")

var sampleForce = time.Date(2026, time.September, 1, 0, 0, 0, 0, time.UTC)

var termsPage = web.Define(Pages, "terms", web.DoorWide,
	web.Sample("plain", TermsPage{View: web.View{Step: 5, Of: 6}, Flow: "f", Version: "4", InForce: sampleForce, Language: "en", Blocks: sampleTerms}),
	web.Sample("other address", TermsPage{View: web.View{Step: 5, Of: 6}, Flow: "f", Version: "4", InForce: sampleForce, Language: "en", Blocks: sampleTerms, Address: "b.sample@northline.example", Read: true}).With(fault.New(fault.Invalid, "terms-address").In("email")),
	web.Sample("not read", TermsPage{Flow: "f", Version: "4", Language: "fr", Blocks: sampleTerms, Address: "a.sample@northline.example"}).With(fault.New(fault.Invalid, "terms-read").In("read")))

func (d *Door) showTerms(w http.ResponseWriter, r *http.Request, v login.View, in typed, err error) error {
	t := v.Realm.Terms
	lang := termsLanguage(t.Text, web.From(r).Lang)
	return answer(termsPage, w, r, TermsPage{
		View: wizard(v), Flow: v.Flow.ID, Version: t.Version, InForce: t.InForce, Language: lang, Blocks: blocks(t.Text[lang]),
		Address: in.email, Read: in.read,
	}, err)
}

// termsLanguage is the language of the text that a reader of lang gets to see.
func termsLanguage(text directory.Localized, lang string) string {
	for _, l := range []string{lang, "en", "de", "fr", "it"} {
		if _, ok := text[l]; ok {
			return l
		}
	}
	return lang
}

// blocks cuts a text into lines; one that starts with "# " is a heading.
func blocks(text string) (all []Block) {
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		heading, is := strings.CutPrefix(line, "# ")
		if line != "" {
			all = append(all, Block{Heading: is, Text: heading})
		}
	}
	return all
}

// termsText is the same text to print or save, without script.
func (d *Door) termsText(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	known(r, v)
	text := v.Realm.Terms.Text
	lang := termsLanguage(text, web.From(r).Lang)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Language", lang)
	_, _ = io.WriteString(w, text[lang]) // the visitor has gone away
	return nil
}

func (d *Door) accept(w http.ResponseWriter, r *http.Request) error {
	in := typed{email: r.PostFormValue("email"), read: r.PostFormValue("read") != ""}
	v, err := d.Logins.Perform(r.Context(), caller(r), r.PathValue("flow"), login.Done{
		Duty: authn.Terms, Typed: in.email, Read: in.read, Version: r.PostFormValue("version"), Language: r.PostFormValue("language"),
	})
	if err != nil {
		in.read = in.read && !fault.Of(err, fault.Conflict) // another version: nobody has read that yet
		return d.again(w, r, in, err)
	}
	return d.next(w, r, v)
}

// DeclinePage says what declining the terms means, before it happens.
type DeclinePage struct {
	web.View
	Flow string
}

var declinePage = web.Define(Pages, "decline", web.Door,
	web.Sample("plain", DeclinePage{View: web.View{Back: "/signin/f"}, Flow: "f"}))

func (d *Door) askDecline(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Logins.Look(r.Context(), caller(r), r.PathValue("flow"))
	if err != nil {
		return d.gone(w, r, err)
	}
	if v.Step.Act != authn.ActPerform || v.Step.Duty != authn.Terms {
		return web.Redirect(w, r, path(v))
	}
	known(r, v)
	return declinePage.Show(w, r, DeclinePage{View: web.View{Back: path(v)}, Flow: v.Flow.ID})
}

func (d *Door) decline(w http.ResponseWriter, r *http.Request) error {
	if err := d.Logins.Decline(r.Context(), caller(r), r.PathValue("flow")); err != nil {
		return d.again(w, r, typed{}, err)
	}
	forget(w)
	return web.Redirect(w, r, "/signin/declined")
}

// DeclinedPage says what happened.
type DeclinedPage struct{ web.View }

var declinedPage = web.Define(Pages, "declined", web.Door, web.Sample("plain", DeclinedPage{}))

func (d *Door) declined(w http.ResponseWriter, r *http.Request) error {
	return declinedPage.Show(w, r, DeclinedPage{})
}
