package rig

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/web"
)

var codeOnPage = regexp.MustCompile(`[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}`)

// submit presses the button of the form that leads to an address.
func submit(t *testing.T, c *walker.Client, page *walker.Page, to string) *walker.Page {
	t.Helper()
	f := page.FormTo(to)
	if f == nil {
		t.Fatalf("no form to %s at %s (%q): %s", to, page.URL, page.Title(), page.Main())
	}
	next, err := c.Submit(f)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestSEC_H4_RecoveryCodesFromTheSheetToANewPhone(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r := New(t, store)
		alder := r.Organization("Alder Works", false)
		max := r.Join(alder, directory.Member, "Max Member", "max@alder.example")
		get := func(c *walker.Client, path string) *walker.Page {
			t.Helper()
			page, err := c.Get(Origin + path)
			if err != nil {
				t.Fatal(err)
			}
			return page
		}

		// The account offers them, and makes them behind the sign-in that has just been.
		if page := get(max.Browser, "/account"); !strings.Contains(page.Main(), "Put recovery codes aside") {
			t.Fatalf("not offered: %s", page.Main())
		}
		make := func() (codes []string) {
			t.Helper()
			page := get(max.Browser, "/account/security")
			var form *walker.Form
			for _, f := range page.Forms() {
				if f.Values.Get("kind") == "recovery" {
					form = f
				}
			}
			if form == nil {
				t.Fatalf("no codes to make: %s", page.Main())
			}
			page, err := max.Browser.Submit(form)
			if err != nil {
				t.Fatal(err)
			}
			if codes = codeOnPage.FindAllString(page.Main(), -1); len(codes) != 10 {
				t.Fatalf("%d codes at %s: %s", len(codes), page.URL, page.Main())
			}
			file := get(max.Browser, page.URL.Path+"/codes")
			if got := codeOnPage.FindAllString(string(file.Body), -1); !slices.Equal(got, codes) || !strings.HasPrefix(file.Header.Get("Content-Disposition"), "attachment") {
				t.Errorf("the file says %q", file.Body)
			}
			page = submit(t, max.Browser, page, "/prove") // without the tick
			if !strings.Contains(page.Text("error-summary"), "confirm that you have kept") || !slices.Equal(codeOnPage.FindAllString(page.Main(), -1), codes) {
				t.Fatalf("%s", page.Main())
			}
			form = page.FormTo("/prove")
			form.Values.Set("kept", "yes")
			if page, err = max.Browser.Submit(form); err != nil || page.URL.Path != "/signin/done" || codeOnPage.MatchString(page.Main()) {
				t.Fatalf("%v %s: %s", err, page.URL, page.Main())
			}
			return codes
		}
		old := make()
		codes := make()
		if page := get(max.Browser, "/account/security"); !strings.Contains(page.Main(), "10 codes left") || strings.Contains(page.Main(), codes[0]) {
			t.Errorf("%s", page.Main())
		}
		if n := len(to(r.Deliver(), max, "recovery-made")); n != 2 {
			t.Errorf("%d mails about new codes", n)
		}

		// The phone is gone: password, then the sheet, then a new phone.
		b := r.Browser("198.51.100.77")
		page, err := max.Mind.Walk(b, get(b, "/signin?to="+url.QueryEscape(web.Section("/account/history"))), func(p *walker.Page) bool { return p.FormTo("/lost") != nil })
		if err != nil {
			t.Fatal(err)
		}
		page = submit(t, b, page, "/lost")
		for _, wrong := range []string{old[0], "7K2M"} {
			form := page.FormTo("/prove")
			form.Values.Set("code", wrong)
			if page, err = b.Submit(form); err != nil || page.Text("error-summary") == "" {
				t.Fatalf("%v %s", err, page.Main())
			}
		}
		form := page.FormTo("/prove")
		form.Values.Set("code", strings.ToLower(codes[3]))
		if page, err = b.Submit(form); err != nil {
			t.Fatal(err)
		}
		letters := to(r.Deliver(), max, "recovery-used")
		if len(letters) != 1 || !strings.Contains(letters[0].Text, "/not-me/") || !strings.Contains(letters[0].Text, "9") {
			t.Fatalf("%+v", letters)
		}
		before := max.Mind.Secret
		max.Mind.Secret = ""
		if page, err = max.Mind.Walk(b, page, walker.At("/signin/done")); err != nil {
			t.Fatal(err)
		}
		if max.Mind.Secret == "" || max.Mind.Secret == before || r.Sessions(max) != 0 {
			t.Errorf("%d sessions", r.Sessions(max))
		}
		// The sign-in after it still leads to where the first one was going.
		if page, err = b.Get(page.Link("Sign in")); err == nil {
			page, err = max.Mind.Walk(b, page, walker.At("/account"))
		}
		if err != nil || page.URL.Path != "/account/history" {
			t.Fatalf("%v: at %s", err, page.URL)
		}
		c := r.SignIn(max, "198.51.100.77")
		if page := get(c, "/account/security"); !strings.Contains(page.Main(), "9 codes left") {
			t.Errorf("%s", page.Main())
		}
		if page := get(c, "/account/history"); !strings.Contains(page.Main(), "A recovery code was used.") {
			t.Errorf("%s", page.Main())
		}
	})
}
