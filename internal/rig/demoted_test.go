package rig

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"doorward/internal/helpdesk"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// change sends the form of a person's page with their version.
func (h *house) change(by, whom *Somebody, what string, pairs ...string) {
	h.T.Helper()
	v := url.Values{"version": {strconv.FormatInt(h.person(whom).Version, 10)}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	p, err := by.Browser.Submit(&walker.Form{Action: Origin + "/console/people/" + whom.Is.ID + "/" + what, Method: http.MethodPost, Values: v})
	h.must(err)
	if p.Status != http.StatusOK {
		h.T.Fatalf("%s: %d %s", what, p.Status, p.Main())
	}
}

// An administrator who is made a member first is still nobody for one person to decide about.
func TestSEC_H2_H3_TADM_ARoleTakenAwayFirstSavesNobodyTheSecond(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		h.change(h.ada, h.ben, "role", "role", "member", "reason", "Moves to another department")
		p := h.send(h.ada, h.open(h.ada, "/console/people/"+h.ben.Is.ID+"/reset", http.StatusOK), "/reset", "kinds", "totp", "reason", "New phone, the old one was handed in", "channel", "person")
		h.says(p, true, "Until lately this person looked after others", "A second person has to approve")
		if q := h.request(p); q.State != helpdesk.Open || q.Needed != 2 {
			t.Errorf("%+v", q)
		}
	})
}

// A number that was put on file a moment ago is none to call back alone: whoever changed it may be who answers.
func TestSEC_H2_THD1_ANumberPutOnFileJustNowTakesTwo(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		h.change(h.agent, h.max, "edit", "name", h.max.Is.Name, "language", "en", "phone", "+41 79 555 01 99")
		p := h.opened(h.agent)
		p = h.send(h.agent, p, "/check", "result-call-back", "passed", "note-call-back", "Reached on the number on file")
		p = h.send(h.agent, p, "/approve")
		q := h.request(p)
		if q.State != helpdesk.Open || q.Needed != 2 {
			t.Errorf("%+v", q)
		}
		h.says(p, true, "The number to call back was changed in the last seven days")
		if slices.ContainsFunc(q.Approvals, func(a helpdesk.Approval) bool { return a.By != h.agent.Is.ID }) {
			t.Errorf("%+v", q.Approvals)
		}
	})
}

// Whoever is signed in nowhere is told that their account was disabled as well.
func TestSEC_H7_DisablingIsNeverSilent(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		h.change(h.ada, h.max, "sessions", "reason", "Laptop left in a taxi")
		h.Deliver()
		h.change(h.ada, h.max, "disable", "reason", "Left the company today")
		letters := to(h.Deliver(), h.max, "account-disabled")
		if len(letters) != 1 || !strings.Contains(letters[0].Text, "Left the company today") || !strings.Contains(letters[0].Text, "Ada") {
			t.Errorf("%+v", letters)
		}
	})
}
