package rig_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// ids, tokens and times differ between any two answers; the address is what was typed.
var varying = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|data-until="\d+"|\d{1,2}:\d{2}(:\d{2})?`)

func same(p *walker.Page, address string) string {
	s := varying.ReplaceAllString(string(p.Body), "…")
	for _, a := range []string{address, strings.ReplaceAll(address, "@", "@<wbr>"), url.QueryEscape(address), strings.ReplaceAll(address, "@", "&#64;")} {
		s = strings.ReplaceAll(s, a, "ADDRESS")
	}
	initials := regexp.MustCompile(`<span class="avatar"[^>]*>[^<]*</span>`)
	return initials.ReplaceAllString(s, "AVATAR")
}

// What a stranger sees is the same whether an address is known, invited, disabled or unknown: same pages, same number of
// hashes, same number of mails in the outbox (SEC T-ENUM).
func TestSEC_TENUM_A1_NobodyLearnsWhoIsKnown(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r := rig.New(t, s)
		org := r.Organization("Alder Works", false)
		r.Join(org, directory.Member, "Kuno Known", "known@alder.example")
		gone := r.Join(org, directory.Member, "Dora Disabled", "gone4@alder.example")
		r.Write(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(gone.Is.Realm, gone.Is.ID)
			if err != nil {
				return err
			}
			p.State = directory.Disabled
			return tx.UpdatePerson(p)
		})
		r.Invite(org, directory.Member, "Ivo Invited", "invit@alder.example")
		r.Deliver()

		type seen struct {
			pages  []string
			hashes uint64
			mails  int
		}
		try := func(address string) (out seen) {
			c := r.Browser("198.51.100.7")
			before := r.Passwords.Runs()
			page, err := c.Get(rig.Origin + "/signin")
			if err != nil {
				t.Fatal(err)
			}
			for _, fill := range []map[string]string{{"username": address}, {"current-password": "a wrong guess 123"}, {"current-password": "another wrong guess"}} {
				f := page.Form()
				for k, v := range fill {
					if !f.Fill(k, v) {
						t.Fatalf("%s: no field %s at %s (%s)", address, k, page.URL, page.Title())
					}
				}
				if page, err = c.Submit(f); err != nil {
					t.Fatal(err)
				}
				out.pages = append(out.pages, same(page, address))
			}
			if page, err = c.Get(rig.Origin + "/signin/forgot"); err != nil {
				t.Fatal(err)
			}
			f := page.Form()
			if !f.Fill("username", address) && !f.Fill("email", address) {
				t.Fatalf("no field for the address at %s", page.URL)
			}
			if page, err = c.Submit(f); err != nil {
				t.Fatal(err)
			}
			out.pages = append(out.pages, same(page, address))
			out.hashes, out.mails = r.Passwords.Runs()-before, len(r.Deliver())
			return out
		}
		want := try("known@alder.example")
		if want.hashes != 2 || want.mails != 1 {
			t.Errorf("two guesses and a forgotten password: %d hashes, %d mails", want.hashes, want.mails)
		}
		for _, address := range []string{"gone4@alder.example", "invit@alder.example", "nobod@alder.example"} {
			got := try(address)
			if got.hashes != want.hashes || got.mails != want.mails {
				t.Errorf("%s: %d hashes and %d mails, a known address has %d and %d", address, got.hashes, got.mails, want.hashes, want.mails)
			}
			for i := range want.pages {
				if got.pages[i] != want.pages[i] {
					t.Errorf("%s: answer %d differs:\n%s\n--- known:\n%s", address, i, diff(got.pages[i], want.pages[i]), diff(want.pages[i], got.pages[i]))
				}
			}
		}
	})
}

// diff shows a where it leaves b.
func diff(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return a[max(0, i-100):min(len(a), i+300)]
}
