package rig

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

func TestREQ_B54_B56_ANewPhoneEndsTheOldOneWhenItIsConfirmed(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r := New(t, store)
		alder := r.Organization("Alder Works", false)
		max := r.Join(alder, directory.Member, "Max Member", "max@alder.example")
		other := r.SignIn(max, "198.51.100.5")
		r.Deliver()
		before, old := r.Holds(max), max.Mind.Secret

		r.Clock.Advance(10 * Step * 2) // the sign-in is no longer fresh: it is asked again, with the old phone
		page, err := max.Browser.Get(Origin + "/account/security")
		r.must(err)
		page = submit(t, max.Browser, page, "/change")
		page, err = max.Mind.Walk(max.Browser, page, func(p *walker.Page) bool { return p.ID("totp-key") != nil })
		r.must(err)
		if r.Holds(max) != before || r.Sessions(max) != 2 {
			t.Fatal("something ended before the new phone was confirmed")
		}
		if _, err = max.Mind.Walk(max.Browser, page, walker.At("/signin/done")); err != nil {
			t.Fatal(err)
		}
		if max.Mind.Secret == old || strings.Count(r.Holds(max), "totp") != 1 || r.Holds(max) == before {
			t.Errorf("holds %s", r.Holds(max))
		}
		if page, err = other.Get(Origin + "/account"); err != nil || page.URL.Path == "/account" {
			t.Errorf("another session goes on: %v %s", err, page.URL)
		}
		if n := len(to(r.Deliver(), max, "factor-replaced")); n != 1 {
			t.Errorf("%d mails", n)
		}
		r.SignIn(max, "198.51.100.6")
	})
}

func TestSEC_H5_TPHN_ALostPhoneInTwoClicksAndBackByACode(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r := New(t, store)
		alder := r.Organization("Alder Works", false)
		max := r.Join(alder, directory.Member, "Max Member", "max@alder.example")
		thief := r.SignIn(max, "203.0.113.66")
		// A sheet first.
		page, err := max.Browser.Get(Origin + "/account/security")
		r.must(err)
		for _, f := range page.Forms() {
			if f.Values.Get("kind") == "recovery" {
				page, err = max.Browser.Submit(f)
				r.must(err)
			}
		}
		codes := codeOnPage.FindAllString(page.Main(), -1)
		form := page.FormTo("/prove")
		form.Values.Set("kept", "yes")
		_, err = max.Browser.Submit(form)
		r.must(err)
		r.Deliver()

		page, err = max.Browser.Get(Origin + "/account/security")
		r.must(err)
		page, err = max.Browser.Get(Origin + page.URL.Path + "/" + strings.Fields(r.Holds(max))[4] + "/lost") // one
		r.must(err)
		if !strings.Contains(page.Main(), "you will be signed out") || !strings.Contains(page.Main(), "recovery code") {
			t.Errorf("%s", page.Main())
		}
		page = submit(t, max.Browser, page, "/lost") // two
		if page.URL.Path != "/signin" || r.Sessions(max) != 0 {
			t.Errorf("%s, %d sessions", page.URL, r.Sessions(max))
		}
		if page, err = thief.Get(Origin + "/account"); err != nil || page.URL.Path == "/account" {
			t.Errorf("the thief goes on: %v %s", err, page.URL)
		}
		if letters := to(r.Deliver(), max, "factor-suspended"); len(letters) != 1 || !strings.Contains(letters[0].Text, "/not-me/") {
			t.Errorf("%+v", letters)
		}
		// The password leads to the reason and to the way back.
		b := r.Browser("198.51.100.77")
		page, err = b.Get(Origin + "/signin")
		r.must(err)
		page, err = max.Mind.Walk(b, page, func(p *walker.Page) bool { return p.FormTo("/lost") != nil })
		r.must(err)
		if !strings.Contains(page.Main(), "suspended") {
			t.Errorf("%s", page.Main())
		}
		page = submit(t, b, page, "/lost")
		form = page.FormTo("/prove")
		form.Values.Set("code", codes[0])
		page, err = b.Submit(form)
		r.must(err)
		if _, err = max.Mind.Walk(b, page, walker.At("/signin/done")); err != nil {
			t.Fatal(err)
		}
		r.SignIn(max, "198.51.100.77")
		if holds := r.Holds(max); strings.Count(holds, "totp") != 1 || strings.Contains(holds, "suspended") {
			t.Errorf("holds %s", holds)
		}
	})
}

// Who is signed out and still knows the password stops a phone that is gone in two clicks, and what was opened with it ends on
// every node at its next use. Without the password nobody is asked, and nobody stops what is somebody else's.
func TestSEC_H5_TPHN_SignedOutALostPhoneIsStoppedWithThePassword(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r := New(t, store)
		alder := r.Organization("Alder Works", false)
		max, bea := r.Join(alder, directory.Member, "Max Member", "max@alder.example"), r.Join(alder, directory.Member, "Bea Member", "bea@alder.example")
		thief := r.SignIn(max, "203.0.113.66")
		r.Deliver()
		phone, hers := strings.Fields(r.Holds(max))[4], strings.Fields(r.Holds(bea))[4]

		b := r.Browser("198.51.100.77")
		page, err := b.Get(Origin + "/signin")
		r.must(err)
		f := page.Form()
		f.Fill("address", max.Is.Address)
		page, err = b.Submit(f)
		r.must(err)
		flow := page.URL.Path
		try := func(credential string) *walker.Page {
			page, err := b.Submit(&walker.Form{Action: Origin + flow + "/missing", Method: "POST", Values: url.Values{"credential": {credential}}})
			r.must(err)
			return page
		}
		if again, err := b.Get(Origin + flow + "/missing"); err != nil || again.URL.Path != flow {
			t.Errorf("before the password: %v %s", err, again.URL)
		}
		if page := try(phone); page.URL.Path != flow || r.Sessions(max) != 2 {
			t.Errorf("before the password: %s, %d sessions", page.URL, r.Sessions(max))
		}
		f = page.FormTo("/prove")
		f.Fill("password", max.Mind.Password)
		page, err = b.Submit(f)
		r.must(err)
		if !slices.ContainsFunc(page.Links(), func(l string) bool { return strings.HasSuffix(l, flow+"/missing") }) {
			t.Fatalf("no link: %s", page.Main())
		}
		for _, other := range []string{hers, strings.Fields(r.Holds(max))[1], "none", ""} {
			if page := try(other); !strings.Contains(page.Main(), "does not fit") && page.Status < 400 || r.Holds(bea) == "" {
				t.Errorf("%q: %d %s", other, page.Status, page.Main())
			}
		}
		if r.Sessions(max) != 2 || len(r.Deliver()) != 0 {
			t.Error("something was stopped")
		}
		if page, err = b.Get(Origin + flow + "/missing"); err != nil { // one
			t.Fatal(err)
		}
		page = submit(t, b, page, "/missing") // two
		if !strings.Contains(page.Main(), "suspended") || page.FormTo("/prove") != nil || r.Sessions(max) != 0 {
			t.Errorf("%d sessions: %s", r.Sessions(max), page.Main())
		}
		if page, err = thief.Get(Origin + "/account"); err != nil || page.URL.Path == "/account" {
			t.Errorf("the thief goes on: %v %s", err, page.URL)
		}
		if letters := to(r.Deliver(), max, "factor-suspended"); len(letters) != 1 || !strings.Contains(letters[0].Text, "/not-me/") {
			t.Errorf("%+v", letters)
		}
		if page := try(phone); len(r.Deliver()) != 0 || page.Status >= 500 {
			t.Errorf("twice: %d", page.Status)
		}
	})
}
