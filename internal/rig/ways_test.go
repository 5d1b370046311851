package rig_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// copies is how the four languages say that a click on the code copies it.
var copies = map[string]string{"en": "copies it", "de": "kopiert ihn", "fr": "le copie", "it": "lo copia"}

// Somebody without a smartphone sets up the browser extension and stands in their account, and is told that a click on the
// code copies it; the guide says so in every language.
func TestREQ_B11_B36_WithoutASmartphone(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r := rig.New(t, s)
		_, link := r.Invite(r.Organization("Alder Works", false), directory.Member, "Max Alder", "max@alder.example")
		c, me := r.Browser("192.0.2.10"), r.Mind("max@alder.example")
		told, chosen := false, false
		me.Seen = func(p *walker.Page) {
			told = told || p.Text("totp-key") != "" && strings.Contains(p.Main(), copies["en"])
		}
		me.Asked = func(_ *walker.Page, f *walker.Form) bool {
			if !f.Fill("authenticator", "extension") {
				return false
			}
			chosen = f.Values.Get("authenticator") == "extension"
			return true
		}
		page, err := c.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := me.Walk(c, page, walker.At("/account")); err != nil {
			t.Fatal(err)
		}
		if !chosen || !told {
			t.Errorf("extension chosen %t, told that a click copies %t", chosen, told)
		}
		for lang, words := range copies {
			reader := r.Browser("192.0.2.11")
			reader.Language = lang
			guide, err := reader.Get(rig.Origin + "/help/authenticator/extension")
			if err != nil || guide.Status != http.StatusOK || guide.Language() != lang || !strings.Contains(guide.Main(), words) {
				t.Errorf("%s: the guide does not say that a click copies: %v %s", lang, err, guide.Main())
			}
		}
	})
}

// The second factor is asked at every sign-in, in the browser of yesterday too, and without it nobody is in.
func TestREQ_B51_ASecondFactorAtEverySignIn(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r := rig.New(t, s)
		staff, org := r.Organization("Northline Supply AG", true), r.Organization("Alder Works", false)
		for i, role := range []directory.Role{directory.Member, directory.Administrator, directory.Agent, directory.Owner} {
			in := org
			if role.Staff() {
				in = staff
			}
			p := r.Join(in, role, "Max Alder", fmt.Sprintf("max%d@alder.example", i))
			for round := range 3 {
				page, err := p.Browser.Get(rig.Origin + "/signout")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Browser.Submit(page.Form()); err != nil {
					t.Fatal(err)
				}
				codes, halfway := 0, false
				p.Mind.Seen = func(page *walker.Page) {
					f := page.Form()
					if f == nil || !f.Asks("one-time-code") {
						return
					}
					codes++
					account, err := p.Browser.Get(rig.Origin + "/account")
					halfway = err == nil && strings.HasPrefix(account.URL.Path, "/account")
				}
				page, err = p.Browser.Get(rig.Origin + "/signin")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Mind.Walk(p.Browser, page, walker.At("/account")); err != nil {
					t.Fatal(err)
				}
				if codes != 1 || halfway {
					t.Errorf("%s, sign-in %d in the same browser: %d codes asked, in before it: %t", role, round+1, codes, halfway)
				}
			}
		}
	})
}

// No mail carries a password, and nobody but its owner is ever asked for one: not in the console, not on the way there.
func TestREQ_B72_SEC_K6_PasswordsAreNeverSent(t *testing.T) {
	w := newTown(t, testdb.SQLite(t))
	letters := w.Deliver()
	if len(letters) < 12 {
		t.Fatalf("only %d mails: little was looked at", len(letters))
	}
	for _, l := range letters {
		all := l.Text + fmt.Sprint(l.Args)
		if strings.Contains(all, rig.Password) || strings.Contains(strings.ToLower(all), "temporary password") {
			t.Errorf("the mail %s to %s holds a password", l.Template, l.To)
		}
	}
	looked := 0
	for _, route := range routes(t) {
		if route.Method != http.MethodGet || !strings.HasPrefix(route.Path, "/console") {
			continue
		}
		path, err := route.With(w.values(t)[1])
		if err != nil {
			t.Fatal(err)
		}
		page, err := w.owner.Browser.Get(rig.Origin + path)
		if err != nil {
			t.Fatal(err)
		}
		looked++
		for _, f := range page.Forms() {
			if slices.ContainsFunc([]string{"current-password", "new-password", "password"}, f.Asks) || f.Fill("password", "x") {
				t.Errorf("%s asks staff for somebody's password", route)
			}
		}
	}
	if looked < 4 {
		t.Errorf("only %d pages of the console were looked at", looked)
	}
}
