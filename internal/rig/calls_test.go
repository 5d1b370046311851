package rig

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/activation"
	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/calls"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// village is a realm in which somebody has lost everything, and a desk of four: the agent who opened and first approved the
// request, the supervisor who was the second, and two agents who take calls.
type village struct {
	*Rig
	max, ann, sue, cal, cleo *Somebody
	request                  helpdesk.Request
}

func newVillage(t *testing.T, store *sqlstore.Store, changes ...func(*directory.Realm)) *village {
	t.Helper()
	v := &village{Rig: New(t, store, changes...)}
	staff, alder := v.Organization("Northline Supply AG", true), v.Organization("Alder Works", false)
	v.ann = v.Join(staff, directory.Agent, "Ann Agent", "ann@northline.example")
	v.sue = v.Join(staff, directory.Supervisor, "Sue Second", "sue@northline.example")
	v.cal = v.Join(staff, directory.Agent, "Cal Caller", "cal@northline.example")
	v.cleo = v.Join(staff, directory.Agent, "Cleo Caller", "cleo@northline.example")
	v.max = v.Join(alder, directory.Member, "Max Member", "max@alder.example")
	v.Deliver()
	return v
}

// waits brings somebody who lost everything to the page that shows a code: request, two approvals, mail, link.
func (v *village) waits(who *Somebody, network string) (b *walker.Client, page *walker.Page, a activation.Activation) {
	v.T.Helper()
	ctx := context.Background()
	q, err := v.Requests.Open(ctx, v.as(v.ann), admin.Wish{Person: who.Is.ID, Everything: true, Reason: "Everything burnt with the house", Channel: helpdesk.ByPhone})
	v.must(err)
	q, err = v.Requests.Check(ctx, v.as(v.ann), q.ID, helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "called back"})
	v.must(err)
	q, err = v.Requests.Approve(ctx, v.as(v.ann), q.ID, q.Version)
	v.must(err)
	q, err = v.Requests.Approve(ctx, v.as(v.sue), q.ID, q.Version)
	v.must(err)
	if q.State != helpdesk.Approved {
		v.T.Fatalf("the request is %s", q.State)
	}
	v.request = q
	v.Clock.Until(q.From)
	letters := to(v.Deliver(), who, "request-approved")
	if len(letters) != 1 {
		v.T.Fatalf("%d letters", len(letters))
	}
	b = v.Browser(network)
	page, err = b.Get(linkIn.FindString(letters[0].Text))
	v.must(err)
	mind := v.Mind(who.Is.Address)
	shows := func(p *walker.Page) bool { return p.Text("activation-code") != "" }
	if page, err = mind.Walk(b, page, shows); err != nil {
		v.T.Fatalf("no code: %v", err)
	}
	return b, page, v.newest(who)
}

// newest is the newest activation of somebody.
func (v *village) newest(who *Somebody) (a activation.Activation) {
	v.T.Helper()
	v.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.ActivationsOf(who.Is.Realm, who.Is.ID, 1)
		if len(all) > 0 {
			a = all[0]
		}
		return err
	})
	return a
}

// renew asks for a new code on a page that shows one.
func (v *village) renew(b *walker.Client, page *walker.Page) (activation.Activation, string) {
	v.T.Helper()
	p, err := b.Submit(&walker.Form{Action: Origin + page.URL.Path + "/code", Method: http.MethodPost, Values: url.Values{}})
	v.must(err)
	return v.newest(v.max), code(p)
}

// code reads the page as a person does.
func code(p *walker.Page) string { return strings.ReplaceAll(p.Text("activation-code"), " ", "") }

// other is a code that is not the one.
func other(code string) string {
	if code[0] == '1' {
		return "2" + code[1:]
	}
	return "1" + code[1:]
}

func (v *village) open(by *Somebody, a activation.Activation) {
	v.T.Helper()
	v.must(v.Calls.Open(context.Background(), v.as(by), a.Person, a.ID))
}

func (v *village) enter(by *Somebody, a activation.Activation, typed string) string {
	return word(v.Calls.Enter(context.Background(), v.as(by), a.Person, a.ID, typed))
}

var passed = []helpdesk.Check{{Rule: "call-back", Result: helpdesk.Passed, Note: "called back at the number on file", Evidence: "CALL-1"}}

func (v *village) confirm(by *Somebody, a activation.Activation) string {
	c, err := v.Calls.Look(context.Background(), v.as(by), a.Person, a.ID)
	v.must(err)
	_, err = v.Calls.Confirm(context.Background(), v.as(by), a.Person, a.ID, c.Version, passed)
	return word(err)
}

func word(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// Somebody who lost everything: a request, two people, the mail, the call, and everything is set up anew. The pages of both
// sides are the ones they use; nothing runs before it is complete; the words stand on both.
func TestREQ_A24_A27_A28_A29_SEC_A3_A4_TAC4_TheCallProvesBothSides(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		v := newVillage(t, store)
		before := v.Holds(v.max)
		b, page, a := v.waits(v.max, "198.51.100.77")
		shown := code(page)
		if len(shown) != 6 || page.Text("agent-words") != "" || !strings.Contains(string(page.Body), `href="tel:`) {
			t.Fatalf("code %q, words %q", shown, page.Text("agent-words"))
		}
		again, err := b.Get(page.URL.String())
		v.must(err)
		want(t, "the code after a reload", code(again), shown)

		// A node that is started anew shows the same page: nothing of it lived in memory.
		v.Handler = v.Beside(store, nil).Handler
		again, err = b.Get(page.URL.String())
		v.must(err)
		want(t, "the code after a restart", code(again), shown)

		v.cal.Browser = v.SignIn(v.cal, "192.0.2.11") // the cooling-off was longer than a session idles
		desk := Origin + "/console/people/" + v.max.Is.ID
		person, err := v.cal.Browser.Get(desk)
		v.must(err)
		if !strings.Contains(string(person.Body), "/calls/"+a.ID) || strings.Contains(string(person.Body), shown) {
			t.Fatal("the person's page does not lead to the call, or shows the code")
		}
		at := desk + "/calls/" + a.ID
		post := func(what string, values url.Values) *walker.Page {
			p, err := v.cal.Browser.Submit(&walker.Form{Action: at + "/" + what, Method: http.MethodPost, Values: values})
			v.must(err)
			return p
		}
		post("open", nil)
		words := v.newest(v.max).Words
		mine, err := v.cal.Browser.Get(at)
		v.must(err)
		page, err = b.Get(page.URL.String())
		v.must(err)
		if words == "" || !strings.Contains(mine.Text("agent-words"), words) || !strings.Contains(page.Text("agent-words"), words) ||
			!strings.Contains(page.Main(), "Cal Caller") || !strings.Contains(page.Main(), a.Number) {
			t.Fatalf("words %q: agent %q, person %q", words, mine.Text("agent-words"), page.Text("agent-words"))
		}
		if p := post("confirm", url.Values{"version": {"1"}, "result-call-back": {"passed"}, "note-call-back": {"called"}}); p.Status < 400 {
			t.Error("confirmed before a code was compared")
		}
		if p := post("code", url.Values{"code": {other(shown)}}); p.Status != http.StatusUnprocessableEntity || !strings.Contains(p.Main(), "2 left") {
			t.Errorf("a wrong code: %d %s", p.Status, p.Main())
		}
		post("code", url.Values{"code": {shown[:3] + " " + shown[3:]}})
		if s := v.newest(v.max).State; s != activation.Matched {
			t.Fatalf("after the right code: %s", s)
		}
		c, err := v.Calls.Look(t.Context(), v.as(v.cal), v.max.Is.ID, a.ID)
		v.must(err)
		_, err = v.Calls.Confirm(t.Context(), v.as(v.cal), v.max.Is.ID, a.ID, c.Version, nil)
		want(t, "without the checks", word(err), "checks-missing")
		page, err = b.Get(page.URL.String())
		v.must(err)
		if page.Text("activation-code") != "" || v.Holds(v.max) != before {
			t.Error("the page moved on before anybody confirmed")
		}
		want(t, "confirm", v.confirm(v.cal, a), "ok")
		if n := len(to(v.Deliver(), v.max, "activation-confirmed")); n != 1 {
			t.Errorf("%d mails about the confirmation", n)
		}

		// Only the browser that showed the code collects it.
		thief := v.Browser("203.0.113.9")
		if p, err := thief.Get(page.URL.String()); err != nil || p.Text("totp-key") != "" || p.Form() != nil && p.Form().Asks("new-password") {
			t.Error("another browser goes on")
		}
		mind := v.Mind(v.max.Is.Address)
		mind.Password = "an entirely new violin 88"
		page, err = b.Get(page.URL.String())
		v.must(err)
		if _, err = mind.Walk(b, page, walker.At("/account")); err != nil {
			t.Fatalf("after the call: %v", err)
		}
		want(t, "the activation", string(v.newest(v.max).State), "used")
		want(t, "its code once more", v.enter(v.cal, a, shown), "call-over")
		v.max.Mind = mind
		v.Clock.Advance(time.Minute)
		v.SignIn(v.max, "198.51.100.78")
	})
}

// 10:00 works, 10:01 does not; a new code kills the old one; three wrong end it; five wrong lock the agent and alarm those who
// answer for them, and nobody else.
func TestREQ_A25_A26_SEC_A3_TAC1_TheBoundsOfACode(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		v := newVillage(t, store)
		b, page, a := v.waits(v.max, "198.51.100.77")
		renew := func() (activation.Activation, string) { return v.renew(b, page) }
		old, oldCode := a, code(page)
		a, shown := renew()
		if a.ID == old.ID || shown == oldCode {
			t.Error("the new code is the old one")
		}
		want(t, "opening the old one", word(v.Calls.Open(t.Context(), v.as(v.cal), old.Person, old.ID)), "call-over")
		v.open(v.cal, a)
		v.Clock.Advance(activation.Life)
		want(t, "at 10:00", v.enter(v.cal, a, shown), "ok")
		want(t, "twice", v.enter(v.cal, a, shown), "call-matched")

		a, shown = renew()
		v.open(v.cal, a)
		v.Clock.Advance(activation.Life + time.Second)
		want(t, "at 10:01", v.enter(v.cal, a, shown), "call-over")
		p, err := b.Get(page.URL.String())
		v.must(err)
		if code(p) != "" || v.newest(v.max).ID != a.ID {
			t.Error("a page that was left lying shows a code, or made a new one")
		}

		v.Clock.Advance(time.Hour)
		a, shown = renew()
		v.open(v.cal, a)
		want(t, "no code", v.enter(v.cal, a, "12 34"), "call-code-form")
		want(t, "another's code", v.enter(v.cal, a, oldCode), "call-wrong")
		want(t, "wrong", v.enter(v.cal, a, other(shown)), "call-wrong")
		want(t, "wrong a third time", v.enter(v.cal, a, other(shown)), "call-ended")
		want(t, "the right one afterwards", v.enter(v.cal, a, shown), "call-over")
		if n := len(to(v.Deliver(), v.max, "activation-ended")); n != 1 {
			t.Errorf("%d mails about the end", n)
		}
		a, shown = renew()
		v.open(v.cal, a)
		want(t, "the fourth of the agent", v.enter(v.cal, a, other(shown)), "call-wrong")
		if n := len(to(v.Deliver(), v.sue, "activation-locked")); n != 0 {
			t.Error("an alarm before the fifth")
		}
		want(t, "the fifth of the agent", v.enter(v.cal, a, other(shown)), "call-wrong")
		if n := len(to(v.Deliver(), v.sue, "activation-locked")); n != 1 {
			t.Errorf("%d alarms", n)
		}
		want(t, "a locked agent", v.enter(v.cal, a, shown), "call-locked")
		v.open(v.cleo, a) // a colleague takes it over, with words of their own
		want(t, "who has it no more", v.enter(v.cal, a, shown), "call-taken")
		want(t, "the colleague", v.enter(v.cleo, a, shown), "ok")
	})
}

// Who may confirm: never the person, their contact, who opened the request or first approved it; never a customer, an auditor or
// somebody demoted meanwhile; where the realm says so never one alone.
func TestSEC_A3_H3_WhoMayConfirmACall(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		v := newVillage(t, store, func(r *directory.Realm) { r.Calls.SecondAgent = true })
		b, page, a := v.waits(v.max, "198.51.100.77")
		shown := code(page)
		ctx := t.Context()
		open := func(by *Somebody) string { return word(v.Calls.Open(ctx, v.as(by), a.Person, a.ID)) }
		want(t, "who opened the request", open(v.ann), "call-opener")
		want(t, "the person", open(v.max), "not-found")
		set := func(who *Somebody, change func(*directory.Person)) {
			v.Write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person(who.Is.Realm, who.Is.ID)
				if err != nil {
					return err
				}
				change(&p)
				return tx.UpdatePerson(p)
			})
		}
		set(v.max, func(p *directory.Person) { p.Contact = v.cal.Is.ID })
		want(t, "the contact", open(v.cal), "call-contact")
		set(v.max, func(p *directory.Person) { p.Contact = "" })
		v.open(v.cal, a)
		other := v.Join(v.Organization("Birch Ltd", false), directory.Member, "Mia Birch", "mia@birch.example")
		_, err := v.Calls.Look(ctx, v.as(v.cal), other.Is.ID, a.ID)
		want(t, "through another person", word(err), "not-found")
		want(t, "the code", v.enter(v.cal, a, shown), "ok")
		want(t, "the first yes", v.confirm(v.cal, a), "ok")
		want(t, "still", string(v.newest(v.max).State), "matched")
		want(t, "the same twice", v.confirm(v.cal, a), "call-second")
		set(v.cleo, func(p *directory.Person) { p.Role = directory.Auditor })
		want(t, "an auditor", v.confirm(v.cleo, a), "not-allowed")
		set(v.cleo, func(p *directory.Person) { p.Role = directory.Agent })
		want(t, "a second", v.confirm(v.cleo, a), "ok")
		want(t, "confirmed", string(v.newest(v.max).State), "confirmed")

		// Demoted before the page came back: it counts for nothing, and with the role it counts again.
		set(v.cleo, func(p *directory.Person) { p.Role = directory.Auditor })
		v.Read(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(a.Realm, a.Person)
			if err != nil {
				return err
			}
			got, err := activation.Of(tx, a.Flow, p)
			want(t, "a confirmation of somebody demoted", string(got.State), "ended")
			return err
		})
		page, err = b.Get(page.URL.String())
		v.must(err)
		if f := page.Form(); code(page) != "" || f != nil && f.Asks("new-password") {
			t.Errorf("the page goes on: %s", page.Main())
		}
	})
}

// A call that is not what it seems: everything half-done is over, the link is dead, the request refused, the person told.
func TestREQ_A28b_ARejectedCallStopsEverything(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		v := newVillage(t, store)
		b, page, a := v.waits(v.max, "198.51.100.77")
		shown, before := code(page), v.Holds(v.max)
		v.open(v.cal, a)
		want(t, "the code", v.enter(v.cal, a, shown), "ok")
		c, err := v.Calls.Look(t.Context(), v.as(v.cal), a.Person, a.ID)
		v.must(err)
		failed := []helpdesk.Check{{Rule: "call-back", Result: helpdesk.Failed, Note: "the number on file knew of nothing"}}
		_, err = v.Calls.Confirm(t.Context(), v.as(v.cal), a.Person, a.ID, c.Version, failed)
		want(t, "a failed check", word(err), "call-failed-check")
		want(t, "made good", v.confirm(v.cal, a), "call-failed-check")
		want(t, "a reason of one letter", word(v.Calls.Reject(t.Context(), v.as(v.cal), a.Person, a.ID, "x")), "reason-short")
		v.must(v.Calls.Reject(t.Context(), v.as(v.cal), a.Person, a.ID, "The number on file knew of nothing"))
		want(t, "again", word(v.Calls.Reject(t.Context(), v.as(v.cal), a.Person, a.ID, "The number on file knew of nothing")), "call-over")
		p, err := b.Get(page.URL.String())
		v.must(err)
		if p.Text("activation-code") != "" || v.Holds(v.max) != before {
			t.Error("the session goes on")
		}
		letters := v.Deliver()
		if len(to(letters, v.max, "activation-rejected")) != 1 || len(to(letters, v.max, "request-refused")) != 1 {
			t.Error("the person was not told")
		}
		v.Read(func(tx *sqlstore.Tx) error {
			q, err := tx.HelpRequest(a.Realm, v.request.ID)
			want(t, "the request", string(q.State), "refused")
			links, err2 := tx.OneTimes(a.Realm, a.Person, authn.Mail)
			for _, o := range links {
				if o.Used.IsZero() && o.Voided.IsZero() {
					t.Error("the link is alive")
				}
			}
			if err == nil {
				err = err2
			}
			return err
		})
	})
}

// 64 entries at once: exactly three are compared. 64 confirmations, half of them rejections: one happens.
func TestSEC_TAC2_Races_EntriesConfirmationsRejections(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		v := newVillage(t, store)
		b, page, a := v.waits(v.max, "198.51.100.77")
		shown := code(page)
		var compared atomic.Int32
		desk := &calls.Desk{Store: v.Calls.Store, Ring: v.Calls.Ring, Requests: v.Calls.Requests, Clock: v.Calls.Clock, Compared: func() { compared.Add(1) }}
		by := v.as(v.cal)
		v.open(v.cal, a)
		at := func(do func(i int) error) map[string]int {
			errs := make([]error, 64)
			start := make(chan struct{})
			var all sync.WaitGroup
			for i := range errs {
				all.Go(func() { <-start; errs[i] = do(i) })
			}
			close(start)
			all.Wait()
			n := map[string]int{}
			for _, err := range errs {
				n[word(err)]++
			}
			return n
		}
		n := at(func(int) error { return desk.Enter(t.Context(), by, a.Person, a.ID, other(shown)) })
		if compared.Load() != activation.Entries || n["call-wrong"] != 2 || n["call-ended"] != 1 {
			t.Errorf("%d compared: %v", compared.Load(), n)
		}
		v.Clock.Advance(time.Hour)
		a, shown = v.renew(b, page)
		v.open(v.cal, a)
		n = at(func(int) error { return desk.Enter(t.Context(), by, a.Person, a.ID, shown) })
		if n["ok"] != 1 {
			t.Errorf("the right code at once: %v", n)
		}
		c, err := v.Calls.Look(t.Context(), by, a.Person, a.ID)
		v.must(err)
		n = at(func(i int) error {
			if i%2 == 0 {
				return desk.Reject(t.Context(), by, a.Person, a.ID, "The number on file knew of nothing")
			}
			_, err := desk.Confirm(t.Context(), by, a.Person, a.ID, c.Version, passed)
			return err
		})
		if s := v.newest(v.max).State; s != activation.Rejected || n["ok"] < 1 || n["ok"] > 2 {
			t.Errorf("%s: %v", s, n)
		}
	})
}

// The waiting page moves on by itself: its stream says so within seconds once an agent has the call, over the program's own
// listener, and to nobody but the browser that waits.
func TestREQ_A29_TheWaitingPageMovesOnByItself(t *testing.T) {
	v := newVillage(t, testdb.SQLite(t))
	b, page, a := v.waits(v.max, "198.51.100.77")
	if every, ok := page.Refresh(); !ok {
		t.Errorf("without script the page never looks again: %q", every)
	}
	c := v.Serve().Client()
	events := Origin + page.URL.Path + "/events"
	stranger, err := c.Get(events)
	v.must(err)
	stranger.Body.Close()
	if stranger.StatusCode == http.StatusOK {
		t.Error("a stranger is told how the call stands")
	}
	c.Jar = b.HTTP.Jar
	stream, err := c.Get(events)
	v.must(err)
	defer stream.Body.Close()
	if kind := stream.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("%s, %s", stream.Status, kind)
	}
	v.open(v.cal, a)
	told, err := io.ReadAll(stream.Body) // it ends with what it has to say
	if err != nil || !strings.Contains(string(told), "event: reload") {
		t.Errorf("the stream says %q: %v", told, err)
	}
	// What happened before the page had its stream, or while the browser opens the next one, is said at once.
	own := regexp.MustCompile(`data-events="([^"]+)"`).FindSubmatch(page.Body)
	if own == nil {
		t.Fatal("the page names no stream")
	}
	late, err := c.Get(Origin + string(own[1]))
	v.must(err)
	defer late.Body.Close()
	if told, err := io.ReadAll(late.Body); err != nil || !strings.Contains(string(told), "event: reload") {
		t.Errorf("a stream that begins late says %q: %v", told, err)
	}
}
