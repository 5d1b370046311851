package rig

import (
	"strings"
	"testing"

	"doorward/internal/authn"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// Whoever signs in as always after a request was approved is told about the link, gets it again three times a day at most,
// and comes in as before if they have found what was lost.
func TestREQ_B43_B61_SigningInWhereALinkIsMeant(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, ada, max := family(t, store)
		r.reset(ada, max, authn.TOTP)
		r.Deliver()
		b := r.Browser("198.51.100.77")
		mind := r.Mind(max.Is.Address)
		page, err := b.Get(Origin + "/signin")
		r.must(err)
		waits := func(p *walker.Page) bool { return strings.Contains(p.Title(), "Open the link") }
		if page, err = mind.Walk(b, page, waits); err != nil {
			t.Fatal(err)
		}
		flow := page.URL.Path
		link := ""
		for n := 1; n <= 5; n++ {
			if page, err = b.Submit(page.Form()); err != nil {
				t.Fatal(err)
			}
			if !waits(page) || !strings.Contains(page.Main(), "Sent once more") {
				t.Fatalf("%s: %s", page.URL, page.Main())
			}
			mails := to(r.Deliver(), max, "request-approved")
			if want := n <= 3; (len(mails) == 1) != want {
				t.Fatalf("reminder %d: %d mails", n, len(mails))
			}
			for _, m := range mails {
				link = linkIn.FindString(m.Text)
			}
		}
		page, err = b.Get(Origin + flow + "?with=totp")
		r.must(err)
		found := *max.Mind
		if _, err = found.Walk(b, page, walker.At("/account")); err != nil {
			t.Fatalf("the phone that was found: %v", err)
		}
		phone := r.Browser("198.51.100.78")
		if page, err = phone.Get(link); err != nil {
			t.Fatal(err)
		}
		mind.Secret = ""
		if _, err = mind.Walk(phone, page, walker.At("/account")); err != nil || mind.Secret == "" {
			t.Fatalf("the link: %v", err)
		}
	})
}
