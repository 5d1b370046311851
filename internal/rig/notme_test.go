package rig

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

var (
	notMeIn  = regexp.MustCompile(`https://\S+/not-me/\S+`)
	stopIn   = regexp.MustCompile(`https://\S+/requests/stop/\S+`)
	numberIn = regexp.MustCompile(`\b[0-9A-Z]{4}-[0-9A-Z]{4}\b`)
	stamps   = regexp.MustCompile(`data-now="[0-9]+"`)
	linked   = regexp.MustCompile(`/language\?[^"]*`)
)

// family is an organization with an administrator and a member, and the mail so far taken away.
func family(t *testing.T, store *sqlstore.Store) (r *Rig, ada, max *Somebody) {
	t.Helper()
	r = New(t, store)
	alder := r.Organization("Alder Works", false)
	ada = r.Join(alder, directory.Administrator, "Ada Admin", "ada@alder.example")
	max = r.Join(alder, directory.Member, "Max Member", "max@alder.example")
	r.Deliver()
	return r, ada, max
}

// person loads somebody anew.
func (r *Rig) person(s *Somebody) (p directory.Person) {
	r.T.Helper()
	r.Read(func(tx *sqlstore.Tx) (err error) { p, err = tx.Person(s.Is.Realm, s.Is.ID); return err })
	return p
}

// live is the request about somebody that is open or approved, zero for none.
func (r *Rig) live(s *Somebody) (q helpdesk.Request) {
	r.T.Helper()
	r.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.HelpRequestsLive(s.Is.Realm, s.Is.ID)
		q = helpdesk.Request{}
		if len(all) > 0 {
			q = all[0]
		}
		return err
	})
	return q
}

// one is the link in the only letter of a template to somebody.
func one(t *testing.T, letters []Letter, s *Somebody, template string, link *regexp.Regexp) string {
	t.Helper()
	mine := to(letters, s, template)
	if len(mine) != 1 {
		t.Fatalf("%d letters of %s", len(mine), template)
	}
	found := link.FindString(mine[0].Text)
	if found == "" {
		t.Fatalf("no link in %s", mine[0].Text)
	}
	return found
}

// pokes does to a link what mail scanners do: open it again and again, ask for its head, post the form as it stands.
func pokes(t *testing.T, b *walker.Client, link string) {
	t.Helper()
	for range 50 {
		if page, err := b.Get(link); err != nil || page.Status != http.StatusOK {
			t.Fatalf("%v %v", page, err)
		}
	}
	res, err := b.HTTP.Head(link)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("HEAD: %v %v", res, err)
	}
	page, err := b.Submit(&walker.Form{Action: link, Method: http.MethodPost, Values: url.Values{}})
	if err != nil || page.Status != http.StatusUnprocessableEntity || page.Text("error-summary") == "" {
		t.Fatalf("a form without its tick: %v %v", page.Status, err)
	}
}

// tick sends the form of a page with its box ticked.
func tick(t *testing.T, b *walker.Client, link string) *walker.Page {
	t.Helper()
	page, err := b.Submit(&walker.Form{Action: link, Method: http.MethodPost, Values: url.Values{"confirm": {"yes"}}})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestSEC_H7_A1_ThisWasNotMeFreezesAtOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, ada, max := family(t, store)
		in := r.SignIn(max, "198.51.100.9")
		link := one(t, r.Deliver(), max, "signin-new-device", notMeIn)

		stranger := r.Browser("203.0.113.5")
		pokes(t, stranger, link)
		if p := r.person(max); p.State != directory.Active || r.Sessions(max) != 2 {
			t.Fatalf("looking froze: %s, %d sessions", p.State, r.Sessions(max))
		}

		// A sign-in that waits for its second factor, and an approved request.
		half := r.Browser("198.51.100.10")
		open, err := half.Get(Origin + "/signin")
		r.must(err)
		if open, err = max.Mind.Walk(half, open, func(p *walker.Page) bool { return p.Form() != nil && p.Form().Asks("one-time-code") }); err != nil {
			t.Fatal(err)
		}
		q := r.reset(ada, max, authn.TOTP)

		done := tick(t, stranger, link)
		number := r.live(max).Number
		if done.Status != http.StatusOK || numberIn.FindString(done.Main()) != number || number == "" || number == q.Number {
			t.Fatalf("%d: %s; the request is %q", done.Status, done.Main(), number)
		}
		if p := r.person(max); p.State != directory.Frozen || r.Sessions(max) != 0 {
			t.Fatalf("%s, %d sessions", p.State, r.Sessions(max))
		}
		if page, err := in.Get(Origin + "/account"); err != nil || strings.HasPrefix(page.URL.Path, "/account") {
			t.Errorf("the session lives on: %v", page.URL)
		}
		if page, err := half.Get(open.URL.String()); err != nil || page.Status != http.StatusGone {
			t.Errorf("the open flow lives on: %d", page.Status)
		}
		if recovery, err := stranger.Get(one(t, r.Deliver(), max, "request-approved", linkIn)); err != nil || recovery.Status != http.StatusGone {
			t.Errorf("the link of the request lives on: %d", recovery.Status)
		}

		// Again: nothing more happens.
		if again := tick(t, stranger, link); numberIn.FindString(again.Main()) != number {
			t.Errorf("twice: %s", again.Main())
		}
		if late := to(r.Deliver(), max, "account-frozen"); len(late) != 0 {
			t.Errorf("%d more letters", len(late))
		}

		// Sign-in says so after everything right, and not before.
		max.Mind.Ready()
		b := r.Browser("198.51.100.11")
		page, err := b.Get(Origin + "/signin")
		r.must(err)
		frozen := func(p *walker.Page) bool { return strings.Contains(p.Main(), "blocked") }
		asked := 0
		max.Mind.Seen = func(p *walker.Page) {
			if asked++; frozen(p) && asked < 3 {
				t.Errorf("page %d says it: %s", asked, p.Main())
			}
		}
		if page, err = max.Mind.Walk(b, page, frozen); err != nil {
			t.Fatalf("%v", err)
		}
		max.Mind.Seen = nil
		if !strings.Contains(page.Main(), number) || !strings.Contains(page.Main(), "Frozen since") {
			t.Errorf("nothing to name on the phone: %s", page.Main())
		}

		// Enabled: in again, and the next denial freezes again.
		_, err = r.People.Enable(context.Background(), r.as(ada), max.Is.ID, "talked to him in the office")
		r.must(err)
		if l := r.live(max); l.ID != "" {
			t.Fatalf("the request stays open: %+v", l)
		}
		if n := len(to(r.Deliver(), max, "account-enabled")); n != 1 {
			t.Errorf("%d letters about the opening", n)
		}
		max.Mind.Ready()
		r.SignIn(max, "198.51.100.12")
		tick(t, stranger, one(t, r.Deliver(), max, "signin-new-device", notMeIn))
		if second := r.live(max).Number; r.person(max).State != directory.Frozen || second == "" || second == number {
			t.Errorf("denied anew: %s %q", r.person(max).State, second)
		}
	})
}

func TestSEC_H7_SixtyFourDenialsAreOne(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, _, max := family(t, store)
		r.SignIn(max, "198.51.100.9")
		link := one(t, r.Deliver(), max, "signin-new-device", notMeIn)
		token := link[strings.LastIndex(link, "/")+1:]
		numbers := make([]string, 64)
		var all sync.WaitGroup
		for i := range numbers {
			all.Go(func() {
				d, err := r.Requests.Deny(context.Background(), login.Caller{Realm: max.Is.Realm, Network: "203.0.113.5"}, token)
				if err != nil {
					t.Error(err)
				}
				numbers[i] = d.Number
			})
		}
		all.Wait()
		for _, n := range numbers {
			if n == "" || n != numbers[0] {
				t.Fatalf("numbers %v", numbers)
			}
		}
		if n := len(to(r.Deliver(), max, "account-frozen")); n != 1 {
			t.Errorf("%d letters", n)
		}
	})
}

func TestSEC_A1_H2_ALinkStopsARequestWithoutALogin(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, ada, max := family(t, store)
		q := r.reset(ada, max, authn.TOTP)
		letters := r.Deliver()
		link, enrol := one(t, letters, max, "request-approved", stopIn), one(t, letters, max, "request-approved", linkIn)

		// Somebody has followed the link already and shown the password.
		thief := r.Browser("203.0.113.6")
		page, err := thief.Get(enrol)
		r.must(err)
		before := max.Mind.Secret
		max.Mind.Secret = ""
		if page, err = max.Mind.Walk(thief, page, walker.At("/signin/")); err != nil {
			t.Fatal(err)
		}

		stranger := r.Browser("203.0.113.5")
		pokes(t, stranger, link)
		if got := r.live(max); got.ID != q.ID || got.Version != q.Version {
			t.Fatalf("looking changed it: %+v", got)
		}
		done := tick(t, stranger, link)
		if done.Status != http.StatusGone || !strings.Contains(done.Main(), q.Number) || !strings.Contains(done.Main(), "stopped") {
			t.Fatalf("%d: %s", done.Status, done.Main())
		}
		if got := r.live(max); got.ID != "" {
			t.Fatalf("%+v", got)
		}
		if again := tick(t, stranger, link); again.Status != http.StatusGone {
			t.Errorf("twice: %d", again.Status)
		}
		if page, err = thief.Get(page.URL.String()); err == nil {
			_, err = max.Mind.Walk(thief, page, walker.At("/account"))
		}
		if err == nil {
			t.Error("a stopped request let somebody in")
		}
		max.Mind.Secret = before
		for _, dead := range []string{link[:len(link)-1], Origin + "/requests/stop/x", Origin + "/requests/stop/" + q.ID + ".00000000000000000000000000", Origin + "/not-me/x"} {
			if page, err := stranger.Get(dead); err != nil || page.Status != http.StatusNotFound || page.Title() == "" {
				t.Errorf("%s: %d", dead, page.Status)
			}
		}
	})
}

// Whoever has the mailbox alone, and with it the link of an approved request, is asked for the password and stays there.
func TestREQ_B61_SEC_H2_TheLinkOfARequestIsNoLogin(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, ada, max := family(t, store)
		before := r.Holds(max)
		r.reset(ada, max, authn.TOTP)
		link := one(t, r.Deliver(), max, "request-approved", linkIn)
		thief := r.Browser("203.0.113.6")
		page, err := thief.Get(link)
		r.must(err)
		if page.Status != http.StatusOK || !strings.Contains(page.Main(), "what you still have") {
			t.Fatalf("%d: %s", page.Status, page.Main())
		}
		mind := r.Mind(max.Is.Address)
		mind.Password = "not the one of before 17"
		if page, err = mind.Walk(thief, page, walker.At("/account")); err == nil {
			t.Fatalf("the link let somebody in: %s", page.URL)
		}
		if r.Holds(max) != before || r.Sessions(max) != 1 {
			t.Errorf("%s, %d sessions; before %s", r.Holds(max), r.Sessions(max), before)
		}
	})
}
