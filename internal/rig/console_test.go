package rig

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// house is a customer with two administrators and a member, and a help desk.
type house struct {
	*Rig
	ada, ben, max           *Somebody
	agent, super, colleague *Somebody
}

func newHouse(t *testing.T, store *sqlstore.Store, changes ...func(*directory.Realm)) *house {
	t.Helper()
	h := &house{Rig: New(t, store, changes...)}
	alder, staff := h.Organization("Alder Works", false), h.Organization("Northline Supply AG", true)
	h.ada = h.Join(alder, directory.Administrator, "Ada Admin", "ada@alder.example")
	h.ben = h.Join(alder, directory.Administrator, "Ben Admin", "ben@alder.example")
	h.max = h.Join(alder, directory.Member, "Max Member", "max@alder.example")
	h.agent = h.Join(staff, directory.Agent, "Aged Agent", "agent@northline.example")
	h.colleague = h.Join(staff, directory.Agent, "Alma Agent", "alma@northline.example")
	h.super = h.Join(staff, directory.Supervisor, "Susi Supervisor", "super@northline.example")
	h.Deliver()
	return h
}

// open asks for a page and wants a status.
func (h *house) open(s *Somebody, path string, status int) *walker.Page {
	h.T.Helper()
	p, err := s.Browser.Get(Origin + path)
	h.must(err)
	if p.Status != status {
		h.T.Fatalf("GET %s answers %d to %s: %s", path, p.Status, s.Is.Name, p.Main())
	}
	return p
}

// send fills the form whose action ends with suffix and sends it; pairs are names and values.
func (h *house) send(s *Somebody, p *walker.Page, suffix string, pairs ...string) *walker.Page {
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
	out, err := s.Browser.Submit(f)
	h.must(err)
	return out
}

// says fails where a page does not say something, or does.
func (h *house) says(p *walker.Page, want bool, words ...string) {
	h.T.Helper()
	for _, w := range words {
		if strings.Contains(p.Main(), w) != want {
			h.T.Errorf("%s (%d): says %q is %t, want %t:\n%s", p.URL.Path, p.Status, w, !want, want, p.Main())
		}
	}
}

// opened opens a request about Max as the agent does, on the page.
func (h *house) opened(by *Somebody) *walker.Page {
	h.T.Helper()
	p := h.open(by, "/console/people/"+h.max.Is.ID+"/reset", http.StatusOK)
	p = h.send(by, p, "/reset", "kinds", "totp", "reason", "Phone lost on the train", "channel", "phone")
	if !strings.HasPrefix(p.URL.Path, "/console/requests/") {
		h.T.Fatalf("at %s: %s", p.URL.Path, p.Main())
	}
	return p
}

func (h *house) org(s *Somebody) (o directory.Organization) {
	h.T.Helper()
	h.Read(func(tx *sqlstore.Tx) (err error) { o, err = tx.Organization(s.Is.Realm, s.Is.Organization); return err })
	return o
}

func (h *house) request(p *walker.Page) (q helpdesk.Request) {
	h.T.Helper()
	id := strings.Split(strings.TrimPrefix(p.URL.Path, "/console/requests/"), "/")[0]
	h.Read(func(tx *sqlstore.Tx) (err error) { q, err = tx.HelpRequest(h.Realm.ID, id); return err })
	return q
}

func TestREQ_B40_B45_AnAdministratorHelpsOnThePages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		before := h.Holds(h.max)
		p := h.open(h.ada, "/console/people/"+h.max.Is.ID, http.StatusOK)
		h.says(p, true, "Never read anything out", "Nothing speaks for trouble", "Reset a factor")
		form := h.open(h.ada, "/console/people/"+h.max.Is.ID+"/reset", http.StatusOK)

		// A reason of one letter: clear words, nothing lost, nothing done.
		p = h.send(h.ada, form, "/reset", "kinds", "totp", "reason", "x", "channel", "person")
		if p.Status != http.StatusUnprocessableEntity {
			t.Fatalf("%d", p.Status)
		}
		h.says(p, true, "Give a reason in at least 10 characters")
		f := p.FormTo("/reset")
		if f.Values.Get("reason") != "x" || f.Values.Get("kinds") != "totp" || f.Values.Get("channel") != "person" {
			t.Errorf("what was typed is lost: %v", f.Values)
		}
		h.Read(func(tx *sqlstore.Tx) error {
			if live, err := tx.HelpRequestsLive(h.Realm.ID, h.max.Is.ID); err != nil || len(live) != 0 {
				t.Errorf("%v %v", live, err)
			}
			return nil
		})

		p = h.send(h.ada, p, "/reset", "reason", "New phone, the old one was handed in")
		if q := h.request(p); q.State == helpdesk.Open { // chosen for a second look, which nobody can tell beforehand
			h.says(p, true, "Chosen at random", "A second person has to approve")
			p = h.send(h.ben, h.open(h.ben, p.URL.Path, http.StatusOK), "/approve")
		}
		if q := h.request(p); q.State != helpdesk.Approved || q.Opener != h.ada.Is.ID {
			t.Fatalf("%+v\n%s", q, p.Main())
		}
		h.says(p, true, "What happens next", "Ada Admin said yes")
		if h.Holds(h.max) != before {
			t.Error("an approval changed what somebody holds")
		}
		if len(to(h.Deliver(), h.max, "request-approved")) != 1 {
			t.Error("no link was sent")
		}

		// Being helped already: the second form says so and keeps what was typed.
		p = h.send(h.ben, form, "/reset", "kinds", "totp", "reason", "Asked me as well", "channel", "phone")
		h.says(p, true, "being helped already")
		if f := p.FormTo("/reset"); f == nil || f.Values.Get("reason") != "Asked me as well" {
			t.Error("what was typed is lost")
		}
		h.says(h.open(h.ben, "/console/people/"+h.max.Is.ID, http.StatusOK), true, "Being helped already")
		h.says(h.open(h.ben, "/console/people/"+h.max.Is.ID, http.StatusOK), false, "Reset a factor")
		h.says(h.open(h.ben, "/console/requests", http.StatusOK), true, "Max Member", "Authenticator app")
		for state, shown := range map[string]bool{"helped": true, "active": true, "unset": false, "blocked": false} {
			h.says(h.open(h.ben, "/console/people?state="+state, http.StatusOK), shown, "max@alder.example")
			h.says(h.open(h.ben, "/console/people?q=max&state="+state, http.StatusOK), shown, "max@alder.example")
			h.says(h.open(h.ben, "/console/people?state="+state, http.StatusOK), state == "active", "ada@alder.example")
		}

		// Nobody helps themselves, and the history speaks in whole sentences.
		h.open(h.ada, "/console/people/"+h.ada.Is.ID+"/reset", http.StatusForbidden)
		h.says(h.open(h.ada, "/console/people/"+h.max.Is.ID, http.StatusOK), false, "{number}", "⟦")
		h.says(h.open(h.ada, "/console/people/"+h.ben.Is.ID, http.StatusOK), false, "⟦")
		h.says(h.open(h.agent, "/console/people/"+h.max.Is.ID, http.StatusOK), true, "Link for a new set-up")
	})
}

func TestSEC_H6_TheDeskChecksAndTwoDecideOnThePages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		p := h.opened(h.agent)
		h.says(p, true, "Never read anything out", "Not yet. Still to pass: Called back at the number on file", "Phone lost on the train")
		path := p.URL.Path
		if f := p.FormTo("/check"); f.Values.Has("result-call-back") {
			t.Error("a result is chosen beforehand")
		}

		// Half filled: nothing is kept, nothing is lost.
		p = h.send(h.agent, p, "/check", "note-call-back", "Reached her at the desk")
		h.says(p, true, "Say whether the check passed or failed")
		if p.FormTo("/check").Values.Get("note-call-back") != "Reached her at the desk" || len(h.request(p).Checks) != 0 {
			t.Error("a half filled check")
		}
		// Approving without it, past the button that is off.
		raw := &walker.Form{Action: Origin + path + "/approve", Method: http.MethodPost, Values: url.Values{"version": {"0"}}}
		p, err := h.agent.Browser.Submit(raw)
		h.must(err)
		h.says(p, true, "Not yet: every required check has to pass first")
		p = h.send(h.agent, h.open(h.agent, path, http.StatusOK), "/check", "result-call-back", "passed", "note-call-back", "Reached her at the desk", "evidence-call-back", "CALL-7")
		h.says(p, true, "Passed", "CALL-7", "Aged Agent")
		h.says(p, false, "Still to pass")

		// A form of before: the page says so, and decides nothing.
		stale := h.open(h.super, path, http.StatusOK)
		for _, f := range h.open(h.colleague, path, http.StatusOK).Forms() {
			if f.Values.Get("rule") == "second-person" && f.Fill("result-second-person", "failed") && f.Fill("note-second-person", "Their office knew nothing of it") {
				_, err := h.colleague.Browser.Submit(f)
				h.must(err)
			}
		}
		p = h.send(h.super, stale, "/refuse", "reason-refuse", "The office knew nothing of it")
		if p.Status != http.StatusConflict || h.request(p).State != helpdesk.Open {
			t.Fatalf("%d %+v", p.Status, h.request(p))
		}
		h.says(p, true, "This request has changed meanwhile", "Their office knew nothing of it")
		if p.FormTo("/refuse").Values.Get("reason-refuse") != "The office knew nothing of it" {
			t.Error("what was typed is lost")
		}

		// A check failed: two people, the first never twice, the second of a higher role.
		p = h.send(h.agent, h.open(h.agent, path, http.StatusOK), "/approve")
		h.says(p, true, "A second person has to approve", "A check about this person failed", "You have approved this already")
		p, err = h.agent.Browser.Submit(p.FormTo("/approve"))
		h.must(err)
		h.says(p, true, "You have approved this already")
		p, err = h.colleague.Browser.Submit(h.open(h.colleague, path, http.StatusOK).FormTo("/approve"))
		h.must(err)
		if h.request(p).State != helpdesk.Open {
			t.Fatal("an agent was the second")
		}
		p = h.send(h.super, h.open(h.super, path, http.StatusOK), "/approve")
		h.says(p, true, "What happens next", "Aged Agent said yes", "Susi Supervisor said yes")
		if q := h.request(p); q.State != helpdesk.Approved {
			t.Fatalf("%+v", q)
		}
		// Stopped by anybody who looks after the person.
		p = h.send(h.ada, h.open(h.ada, path, http.StatusOK), "/stop", "reason-stop", "Max says it was not him")
		if h.request(p).State != helpdesk.Cancelled {
			t.Fatal(p.Main())
		}
		h.says(h.open(h.ada, "/console/requests?state=ended", http.StatusOK), true, "Max Member", "Stopped")
	})
}

func TestSEC_THD2_AnImpostorRefusedTwiceRaisesTheAlarm(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		for i, by := range []*Somebody{h.agent, h.colleague} {
			p := h.opened(by)
			if i == 1 { // the next agent sees what was refused, and why
				h.says(p, true, "Somebody was refused before", "Earlier requests", "Hung up on the call back")
			}
			p = h.send(by, p, "/refuse", "reason-refuse", "Hung up on the call back", "suspicious", "yes")
			h.says(p, true, "Refused")
			if got := len(to(h.Deliver(), h.super, "request-alarm")); got != i {
				t.Errorf("%d alarms after %d refusals", got, i+1)
			}
		}
		p := h.opened(h.agent)
		h.says(p, true, "Why two people", "was refused in the last seven days")
		h.says(h.open(h.agent, "/console/people/"+h.max.Is.ID, http.StatusOK), false, "⟦")
	})
}

func TestSEC_H6_ATicketNamesNobodyUntilSomebodySaysWho(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		ask := func(address string) string {
			t.Helper()
			_, err := h.Requests.Ask(context.Background(), login.Caller{Realm: h.Realm.ID, Network: "198.51.100.9"}, admin.Form{Address: address, Why: helpdesk.FactorLost, Words: "It fell into the lake"}, h.Proof())
			h.must(err)
			var id string
			h.Read(func(tx *sqlstore.Tx) error {
				all, err := tx.HelpInbox(h.Realm.ID, "", "", 1)
				id = all[0].ID
				return err
			})
			return "/console/requests/" + id
		}
		path := ask(h.max.Is.Address)
		p := h.open(h.agent, path, http.StatusOK)
		h.says(p, true, "It fell into the lake", "This is Max Member")
		p, err := h.agent.Browser.Get(p.Link("This is Max Member"))
		h.must(err)
		p = h.send(h.agent, p, "/reset", "kinds", "totp", "reason", "Called back, knew of it", "channel", "phone")
		if q := h.request(p); q.Person != h.max.Is.ID || Origin+path != p.URL.String() || len(q.Kinds) != 1 || q.Kinds[0] != authn.TOTP {
			t.Fatalf("%s %+v", p.URL, q)
		}

		// Nobody has the address: the desk alone sees it. Members and customers cannot decide about any ticket.
		nobody := ask("nobody@elsewhere.example")
		h.says(h.open(h.agent, nobody, http.StatusOK), true, "Nobody has this address")
		h.open(h.ada, nobody, http.StatusNotFound)
		own := ask(h.ben.Is.Address)
		for _, act := range []string{"/refuse", "/answer", "/stop"} {
			for _, s := range []*Somebody{h.max, h.ben} {
				p, err := s.Browser.Submit(&walker.Form{Action: Origin + own + act, Method: http.MethodPost, Values: url.Values{
					"version": {"0"}, "reason-refuse": {"because it has to be"}, "reason-answer": {"because it has to be"}, "reason-stop": {"because"},
				}})
				h.must(err)
				if p.Status < 400 || h.request(p).State != helpdesk.Open {
					t.Errorf("%s to a ticket about Ben: %d for %s, now %s", act, p.Status, s.Is.Name, h.request(p).State)
				}
			}
		}
		h.says(h.open(h.ada, "/console/requests", http.StatusOK), true, "Ben Admin")
		h.says(h.send(h.ada, h.open(h.ada, own, http.StatusOK), "/answer", "reason-answer", "The clock of the phone was off"), true, "Done")
	})
}

func TestREQ_B45_ShutOutAndLetInOnThePages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		at := "/console/people/" + h.max.Is.ID
		p := h.send(h.ada, h.open(h.ada, at+"/sessions", http.StatusOK), "/sessions", "reason", "Laptop left in a taxi")
		h.says(p, true, "They are signed out everywhere")
		if h.Sessions(h.max) != 0 || len(to(h.Deliver(), h.max, "sessions-ended")) != 1 {
			t.Error("still signed in, or not told")
		}
		p = h.send(h.ada, h.open(h.ada, at+"/disable", http.StatusOK), "/disable", "reason", "x")
		h.says(p, true, "Give a reason in at least 10 characters")
		p = h.send(h.ada, p, "/disable", "reason", "Left the company today")
		h.says(p, true, "The account is disabled", "Enable the account")
		h.says(h.open(h.ada, "/console/people?state=blocked", http.StatusOK), true, "max@alder.example")
		h.open(h.ada, at+"/reset", http.StatusForbidden)
		p = h.send(h.ada, h.open(h.ada, at+"/enable", http.StatusOK), "/enable", "reason", "Came back after all")
		h.says(p, true, "The account is enabled")
		h.SignIn(h.max, "192.0.2.10")
		h.Invite(h.org(h.max), directory.Member, "Ina Invited", "ina@alder.example")
		h.says(h.open(h.ada, "/console/people?state=unset", http.StatusOK), true, "ina@alder.example")
	})
}

// Who could see that a request was chosen for a second look would stop it and open another one.
func TestSEC_H2_ASecondLookIsNotToldBeforeTheFirstYes(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store, func(r *directory.Realm) { r.Requests.SecondLook = 100 })
		p := h.opened(h.agent)
		p = h.send(h.agent, p, "/check", "result-call-back", "passed", "note-call-back", "Reached her at the desk")
		h.says(p, false, "Why two people", "Chosen at random")
		p = h.send(h.agent, p, "/approve")
		h.says(p, true, "Why two people", "Chosen at random")
		if h.request(p).State != helpdesk.Open {
			t.Error("one was enough")
		}
	})
}
