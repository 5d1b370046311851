package rig

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// answer is what one of a crowd gets: where it is sent, or what it is told.
type answer struct {
	status int
	to     string
	text   string
}

// crowd sends one form 64 times at the same moment, from one browser.
func (h *house) crowd(s *Somebody, p *walker.Page, suffix string, pairs ...string) []answer {
	h.T.Helper()
	f := p.FormTo(suffix)
	if f == nil {
		h.T.Fatalf("%s has no form to %s: %s", p.URL.Path, suffix, p.Main())
	}
	for i := 0; i < len(pairs); i += 2 {
		if !f.Fill(pairs[i], pairs[i+1]) {
			h.T.Fatalf("%s: the form to %s has no %s", p.URL.Path, suffix, pairs[i])
		}
	}
	to, err := url.Parse(f.Action)
	h.must(err)
	out, start := make([]answer, 64), make(chan struct{})
	var all sync.WaitGroup
	for i := range out {
		all.Go(func() {
			req, err := http.NewRequest(http.MethodPost, f.Action, strings.NewReader(f.Values.Encode()))
			if err != nil {
				h.T.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", Origin)
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			for _, c := range s.Browser.HTTP.Jar.Cookies(to) {
				req.AddCookie(c)
			}
			<-start
			res, err := s.Browser.HTTP.Transport.RoundTrip(req)
			if err != nil {
				h.T.Error(err)
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				h.T.Error(err)
			}
			out[i] = answer{res.StatusCode, res.Header.Get("Location"), string(body)}
		})
	}
	close(start)
	all.Wait()
	return out
}

// told fails on every answer that neither leads on nor says one of some words, and counts those that lead on.
func (h *house) told(what string, answers []answer, words ...string) (on int) {
	h.T.Helper()
	for _, a := range answers {
		switch {
		case a.status == http.StatusSeeOther:
			on++
		case a.status >= 400 && a.status < 500 && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(a.text, w) }):
		default:
			_, said, _ := strings.Cut(a.text, "error-summary")
			h.T.Errorf("%s: one of many is answered %d: %.400s", what, a.status, said)
		}
	}
	return on
}

// happened is how often something stands in the trail.
func (h *house) happened(kind string) (n int) {
	h.T.Helper()
	h.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: h.Realm.ID, Limit: 1000})
		n = 0
		for _, e := range all {
			if e.Type == kind {
				n++
			}
		}
		return err
	})
	return n
}

// Every form of the console and of the ladder, sent 64 times at once: it happens once, with one event and one letter, and
// whoever came later is told so in words.
func TestSEC_TRACE_EveryFormSentByManyAtOnceHappensOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		person := "/console/people/" + h.max.Is.ID
		const faster, over, helped = "Somebody was faster", "This request is over", "This person is being helped already"
		// once wants an event to have happened one more time, and a template to have been sent to Max as often.
		once := func(what, event, template string, before int, letters int) {
			t.Helper()
			if n := h.happened(event) - before; n != 1 {
				t.Errorf("%s: %d events %s", what, n, event)
			}
			if got := len(to(h.Deliver(), h.max, template)); template != "" && got != letters {
				t.Errorf("%s: %d letters %s", what, got, template)
			}
		}
		each := func(what string, by *Somebody, at, suffix, event, template string, words []string, pairs ...string) int {
			t.Helper()
			h.Deliver()
			page, before := h.open(by, at, http.StatusOK), h.happened(event)
			on := h.told(what, h.crowd(by, page, suffix, pairs...), words...)
			if on == 0 {
				t.Errorf("%s: nobody was sent on", what)
			}
			once(what, event, template, before, 1)
			return on
		}
		stranger := &Somebody{Is: h.max.Is, Browser: h.Browser("203.0.113.50")}
		form := h.open(stranger, "/help/request", http.StatusOK)
		h.Clock.Advance(5 * time.Second)
		answers := h.crowd(stranger, form, "/help/request", "why", "factor", "address", h.max.Is.Address, "words", "Lake")
		for _, a := range answers {
			if a.status != http.StatusSeeOther || a.to != answers[0].to {
				t.Errorf("the request form: %d to %s, not %s", a.status, a.to, answers[0].to)
			}
		}
		once("the request form", "request.asked", "request-asked", 0, 1)

		open := func(by *Somebody, reason string) string {
			t.Helper()
			if on := each("open", by, person+"/reset", "/reset", "request.opened", "request-opened", []string{faster, helped}, "kinds", "totp", "reason", reason, "channel", "phone"); on != 1 {
				t.Errorf("opened %d times", on)
			}
			return "/console/requests/" + h.live(h.max).ID
		}
		request := open(h.agent, "Phone lost on the train")
		each("check", h.agent, request, "/check", "request.checked", "", []string{faster}, "result-call-back", "passed", "note-call-back", "Reached her at the desk")
		if n := len(h.live(h.max).Checks); n != 1 {
			t.Errorf("one check was noted %d times", n)
		}
		approved := func(by *Somebody, event string) {
			t.Helper()
			if on := each("approve", by, request, "/approve", event, "", []string{faster, "You have approved this already", over}); on != 1 {
				t.Errorf("approved %d times", on)
			}
		}
		if h.chosen(request) {
			approved(h.agent, "request.seconded")
			approved(h.super, "request.approved")
		} else {
			approved(h.agent, "request.approved")
		}
		each("stop", h.ada, request, "/stop", "request.cancelled", "request-cancelled", []string{faster, over}, "reason-stop", "Max says it was not him")
		request = open(h.colleague, "Phone lost once more")
		each("refuse", h.colleague, request, "/refuse", "request.refused", "request-refused", []string{faster, over}, "reason-refuse", "Hung up on the call back", "suspicious", "yes")
		request = open(h.agent, "Phone lost, says the caller")
		each("answer", h.agent, request, "/answer", "request.answered", "", []string{faster, over}, "reason-answer", "The clock of the phone was off")

		request = open(h.agent, "Phone lost, and again")
		h.must(h.Store.Write(t.Context(), func(tx *sqlstore.Tx) error {
			return tx.Enqueue(h.as(h.max).NoticeTo(h.person(h.max), h.Clock.Now(), "request-opened", map[string]string{
				"number": h.live(h.max).Number, "cancel": Origin + "/requests/stop/" + helpdesk.StopToken(testdb.Ring(), h.live(h.max)),
			}))
		}))
		stop := one(t, h.Deliver(), h.max, "request-opened", stopIn)
		each("stop by a link", stranger, strings.TrimPrefix(stop, Origin), "", "request.cancelled", "request-cancelled", []string{faster}, "confirm", "yes")

		h.SignIn(h.max, "192.0.2.10")
		each("end sessions", h.ada, person+"/sessions", "/sessions", "session.ended", "sessions-ended", []string{faster}, "reason", "Laptop left in a taxi")
		each("disable", h.ada, person+"/disable", "/disable", "person.disabled", "", []string{faster, "You are not allowed to do this"}, "reason", "Left the company today")
		each("enable", h.ada, person+"/enable", "/enable", "person.enabled", "account-enabled", []string{faster, "You are not allowed to do this"}, "reason", "Came back after all")
		h.SignIn(h.max, "198.51.100.9")
		link := one(t, h.Deliver(), h.max, "signin-new-device", notMeIn)
		each("not me", stranger, strings.TrimPrefix(link, Origin), "", "person.frozen", "account-frozen", []string{faster}, "confirm", "yes")

		on := each("invite", h.ada, "/console/people/invite", "/invite", "invitation.sent", "", []string{faster, "is here already", "Too many invitations"}, "email", "nora@alder.example", "name", "Nora New")
		if on != 1 {
			t.Errorf("invited %d times", on)
		}
		var nora directory.Person
		h.Read(func(tx *sqlstore.Tx) (err error) {
			nora, err = tx.PersonByAddress(h.Realm.ID, "nora@alder.example")
			return err
		})
		at := "/console/people/" + nora.ID
		if sent := h.told("resend", h.crowd(h.ada, h.open(h.ada, at, http.StatusOK), "/resend"), faster, "Too many invitations"); sent == 0 || sent > 5 {
			t.Errorf("sent again %d times", sent)
		}
		h.Read(func(tx *sqlstore.Tx) error {
			all, err := tx.OneTimes(h.Realm.ID, nora.ID, authn.Invite)
			alive := 0
			for _, ot := range all {
				if ot.Voided.IsZero() {
					alive++
				}
			}
			if alive != 1 {
				t.Errorf("%d links of one invitation work", alive)
			}
			return err
		})
		each("withdraw", h.ada, at+"/withdraw", "/withdraw", "invitation.revoked", "", []string{faster, "We could not find this"})
	})
}

// chosen reports whether two have to approve a request.
func (h *house) chosen(path string) bool {
	h.T.Helper()
	id := strings.TrimPrefix(path, "/console/requests/")
	var q helpdesk.Request
	h.Read(func(tx *sqlstore.Tx) (err error) { q, err = tx.HelpRequest(h.Realm.ID, id); return err })
	return int(testdb.Ring().Hash("second-look", q.ID)[0])*100 < h.Realm.Requests.Strict().SecondLook*256
}

// T-HD2 on the pages: one impostor calls twenty times, five agents take turns, and half of them are fooled. At most one call
// leads to a grant, and from the second refusal on the supervisor is told each time.
func TestSEC_THD2_TwentyCallsThroughTheConsole(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		staff := h.org(h.agent)
		agents := []*Somebody{h.agent, h.colleague}
		for _, name := range []string{"Cleo", "Dora", "Emil"} {
			agents = append(agents, h.Join(staff, directory.Agent, name+" Agent", strings.ToLower(name)+"@northline.example"))
		}
		h.Deliver()
		grants, refusals, calls := 0, 0, 0
		for call := range 20 {
			by := agents[call%5]
			h.Clock.Advance(time.Minute)
			p := h.open(by, "/console/people/"+h.max.Is.ID, http.StatusOK)
			if p.Link("Reset a factor") == "" {
				continue
			}
			p = h.send(by, h.open(by, "/console/people/"+h.max.Is.ID+"/reset", http.StatusOK), "/reset", "kinds", "totp", "reason", "Phone lost, says the caller", "channel", "phone")
			if !strings.HasPrefix(p.URL.Path, "/console/requests/") {
				h.says(p, true, "That was often")
				continue
			}
			calls++
			fooled := call%2 == 0
			result := map[bool]string{true: "passed", false: "failed"}[fooled]
			p = h.send(by, p, "/check", "result-call-back", result, "note-call-back", "said the right things")
			if fooled {
				if p, err := by.Browser.Submit(p.FormTo("/approve")); err != nil || p.Status >= http.StatusInternalServerError {
					t.Fatalf("%v %v", p, err)
				}
				if h.live(h.max).State == helpdesk.Approved {
					grants++
				}
				h.send(by, h.open(by, "/console/requests/"+h.live(h.max).ID, http.StatusOK), "/stop", "reason-stop", "The caller asks for something else")
				h.Deliver()
				continue
			}
			h.send(by, p, "/refuse", "reason-refuse", "Gave a wrong number to call back", "suspicious", "yes")
			refusals++
			if alarms := len(to(h.Deliver(), h.super, "request-alarm")); alarms != yes(refusals > 1) {
				t.Errorf("%d alarms at refusal %d", alarms, refusals)
			}
		}
		if grants > 1 || refusals < 2 || calls < 6 || calls > 10 {
			t.Errorf("%d calls, %d grants, %d refusals", calls, grants, refusals)
		}
	})
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}
