package rig

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

var confirmIn = regexp.MustCompile(`https://\S+/requests/confirm/\S+`)

// bereft walks somebody who is signed in to where nothing is left: lost, the password once more, stuck.
func (r *Rig) bereft(s *Somebody) *walker.Page {
	r.T.Helper()
	credential := strings.Fields(r.Holds(s))[slices.Index(strings.Fields(r.Holds(s)), "totp")+1]
	page, err := s.Browser.Get(Origin + "/account/security/" + credential + "/lost")
	r.must(err)
	f := page.FormTo("/renew")
	if f == nil {
		r.T.Fatalf("%s", page.Main())
	}
	page, err = s.Browser.Submit(f)
	r.must(err)
	page, err = s.Mind.Walk(s.Browser, page, func(p *walker.Page) bool {
		return p.FormTo("/alone") != nil || strings.Contains(p.Main(), "approve this first")
	})
	r.must(err)
	return page
}

// later waits until the password is old enough, and signs in once more.
func (r *Rig) later(s *Somebody) {
	r.T.Helper()
	r.Clock.Advance(helpdesk.FactorsApart)
	s.Browser = r.SignIn(s, "192.0.2.10")
	r.Deliver()
	r.Clock.Advance(10 * time.Minute) // the sign-in is not fresh any more
}

func TestSEC_H2_AloneWithSessionPasswordMailboxAndADay(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r := New(t, store)
		alder := r.Organization("Alder Works", false)
		ada := r.Join(alder, directory.Administrator, "Ada Admin", "ada@alder.example")
		max := r.Join(alder, directory.Member, "Max Member", "max@alder.example")
		// The password is of today: this way is closed.
		r.Clock.Advance(10 * time.Minute)
		page := submit(t, max.Browser, r.bereft(max), "/alone")
		if !strings.Contains(page.Text("error-summary")+page.Main(), "not open for your account at the moment") || len(to(r.Deliver(), max, "request-alone")) != 0 {
			t.Fatalf("%s", page.Main())
		}
		r.later(max)
		before := r.Holds(max)
		page = submit(t, max.Browser, r.bereft(max), "/alone")
		if page.URL.Path != "/account/security" || !strings.Contains(page.Text("flash"), "Its number is") {
			t.Fatalf("%s: %s", page.URL, page.Main())
		}
		letters := to(r.Deliver(), max, "request-alone")
		if len(letters) != 1 || stopIn.FindString(letters[0].Text) == "" {
			t.Fatalf("%+v", letters)
		}
		mailbox := r.Browser("198.51.100.20") // on another device
		confirm := confirmIn.FindString(letters[0].Text)
		if page, _ = mailbox.Get(confirm); page.FormTo("") == nil || len(r.Deliver()) != 0 {
			t.Fatal("opening the link did something")
		}
		page = submit(t, mailbox, page, "") // without the box ticked
		if page.Text("error-summary") == "" || len(to(r.Deliver(), ada, "request-approved-console")) != 0 {
			t.Fatal("confirmed without a tick")
		}
		f := page.FormTo("")
		f.Values.Set("confirm", "yes")
		page, err := mailbox.Submit(f)
		r.must(err)
		if !strings.Contains(page.Main(), "You can set up a new authenticator from") {
			t.Fatalf("%s", page.Main())
		}
		all := r.Deliver()
		mine, theirs := to(all, max, "request-approved"), to(all, ada, "request-approved-console")
		if len(mine) != 1 || len(theirs) != 1 || stopIn.FindString(mine[0].Text) == "" {
			t.Fatalf("%d to the person, %d to the administrator", len(mine), len(theirs))
		}
		link := linkIn.FindString(mine[0].Text)
		// A minute before the day is over nothing opens; then it does, for mailbox and password.
		r.Clock.Advance(helpdesk.AloneCooling - time.Minute)
		b := r.Browser("198.51.100.77")
		page, err = b.Get(link)
		r.must(err)
		page, err = max.Mind.Walk(b, page, func(p *walker.Page) bool {
			return p.Form() != nil && p.Form().Asks("one-time-code")
		})
		r.must(err)
		if page.ID("totp-key") != nil || r.Holds(max) != before {
			t.Fatal("it opened before the day was over")
		}
		r.Clock.Advance(2 * time.Minute)
		max.Mind.Secret = ""
		page, err = b.Get(link)
		r.must(err)
		if _, err = max.Mind.Walk(b, page, walker.At("/account")); err != nil {
			t.Fatal(err)
		}
		if max.Mind.Secret == "" || strings.Count(r.Holds(max), "totp") != 1 || r.Holds(max) == before {
			t.Errorf("holds %s", r.Holds(max))
		}
		r.Read(func(tx *sqlstore.Tx) error {
			events, err := tx.Events(audit.Query{Realm: max.Is.Realm, Person: max.Is.ID, Limit: 200})
			for _, want := range []string{"request.asked", "request.confirmed", "request.used"} {
				if !slices.ContainsFunc(events, func(e audit.Event) bool { return e.Type == want }) {
					t.Errorf("no %s", want)
				}
			}
			return err
		})
	})
}

func TestSEC_H2_WhoHasPasswordAndMailboxAloneGetsNowhere(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, ctx := New(t, store), context.Background()
		alder := r.Organization("Alder Works", false)
		max := r.Join(alder, directory.Member, "Max Member", "max@alder.example")
		r.later(max)
		// A sign-in up to the code: no session, no way.
		b := r.Browser("203.0.113.66")
		page, err := b.Get(Origin + "/signin")
		r.must(err)
		page, err = max.Mind.Walk(b, page, func(p *walker.Page) bool { return strings.Contains(p.Title(), "Enter the code") })
		r.must(err)
		if page.FormTo("/alone") != nil {
			t.Error("offered")
		}
		c := *page.FormTo("/prove")
		c.Action = strings.Replace(c.Action, "/prove", "/alone", 1)
		if page, err = b.Submit(&c); err != nil || len(to(r.Deliver(), max, "request-alone")) != 0 {
			t.Fatalf("%v %s", err, page.Main())
		}
		// A stolen session without the password: the flow asks for it first.
		page, err = max.Browser.Get(Origin + "/account/security")
		r.must(err)
		if f := page.FormTo("/alone"); f != nil {
			t.Error("offered to a session alone")
		}
		// The owner has the phone all the time: their next sign-in stops what a thief has opened and confirmed.
		submit(t, max.Browser, r.bereft(max), "/alone")
		confirm := confirmIn.FindString(to(r.Deliver(), max, "request-alone")[0].Text)
		token := confirm[strings.LastIndex(confirm, "/")+1:]
		st, err := r.Requests.ConfirmAlone(ctx, login.Caller{Realm: r.Realm.ID, Network: "203.0.113.66"}, token)
		r.must(err)
		link := linkIn.FindString(to(r.Deliver(), max, "request-approved")[0].Text)
		r.SignIn(max, "192.0.2.10")
		if n := len(to(r.Deliver(), max, "request-cancelled")); n != 1 {
			t.Errorf("%d mails", n)
		}
		r.Read(func(tx *sqlstore.Tx) error {
			q, err := tx.HelpRequest(r.Realm.ID, st.Request.ID)
			if q.State != helpdesk.Cancelled || q.ClosedWhy != "found" {
				t.Errorf("%+v", q)
			}
			return err
		})
		r.Clock.Advance(25 * time.Hour)
		if page, err = b.Get(link); err != nil || page.Form() != nil && strings.Contains(page.Form().Action, "/link/") {
			t.Errorf("the link still leads on: %v %s", err, page.Main())
		}
		if _, err := r.Requests.ConfirmAlone(ctx, login.Caller{Realm: r.Realm.ID}, token); !fault.Of(err, fault.Expired) {
			t.Errorf("confirmed after it was stopped: %v", err)
		}
		for _, wrong := range []string{"", "x", token[:len(token)-1], strings.Split(token, ".")[0] + ".x", helpdesk.StopToken(testdb.Ring(), st.Request)} {
			if _, err := r.Requests.PeekAlone(ctx, r.Realm.ID, wrong); !fault.Of(err, fault.NotFound) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
	})
}

func TestSEC_H2_TRACE_ConfirmMeetsStop(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, ctx := New(t, store), context.Background()
		alder := r.Organization("Alder Works", false)
		max := r.Join(alder, directory.Member, "Max Member", "max@alder.example")
		r.later(max)
		by := r.as(max)
		var opened atomic.Int64
		var wait sync.WaitGroup
		for range 64 {
			wait.Go(func() {
				if _, err := r.Requests.Alone(ctx, by, authn.TOTP); err == nil {
					opened.Add(1)
				} else if !fault.Of(err, fault.Exists) && !fault.Of(err, fault.Throttled) && !fault.Of(err, fault.Conflict) {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if opened.Load() != 1 {
			t.Fatalf("%d opened", opened.Load())
		}
		var q helpdesk.Request
		r.Read(func(tx *sqlstore.Tx) error {
			live, err := tx.HelpRequestsLive(max.Is.Realm, max.Is.ID)
			q = live[0]
			return err
		})
		c := login.Caller{Realm: r.Realm.ID, Network: "198.51.100.20"}
		confirm, stop := helpdesk.ConfirmToken(testdb.Ring(), q), helpdesk.StopToken(testdb.Ring(), q)
		for i := range 64 {
			wait.Go(func() {
				if i%2 == 0 {
					_, _ = r.Requests.ConfirmAlone(ctx, c, confirm)
				} else {
					_, _ = r.Requests.StopByLink(ctx, c, stop)
				}
			})
		}
		wait.Wait()
		if _, err := r.Requests.StopByLink(ctx, c, stop); !fault.Of(err, fault.Expired) {
			t.Fatalf("not stopped: %v", err)
		}
		letters := r.Deliver()
		if n := len(to(letters, max, "request-approved")); n > 1 {
			t.Errorf("confirmed %d times", n)
		}
		if n := len(to(letters, max, "request-cancelled")); n != 1 {
			t.Errorf("stopped %d times", n)
		}
	})
}
