package rig

import (
	"context"
	"net/http"
	"testing"

	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

func TestREQ_B40_TheInboxIsFilteredAndNeverShowsAnotherCustomersRequests(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		birch := h.Organization("Birch Mills", false)
		bill := h.Join(birch, directory.Administrator, "Bill Birch", "bill@birch.example")
		bea := h.Join(birch, directory.Member, "Bea Birch", "bea@birch.example")
		max := h.opened(h.agent)
		p := h.open(h.colleague, "/console/people/"+bea.Is.ID+"/reset", http.StatusOK)
		of := h.send(h.colleague, p, "/reset", "kinds", "totp", "reason", "Called, the phone is broken", "channel", "phone")
		_, err := h.Requests.Ask(context.Background(), login.Caller{Realm: h.Realm.ID, Network: "198.51.100.9"},
			admin.Form{Address: h.ben.Is.Address, Why: helpdesk.FactorLost, Words: "It fell into the lake"}, h.Proof())
		h.must(err)
		const alder, other = "Max Member", "Bea Birch"

		// What each of them sees at first, and how many: nobody a request about themselves, nobody another customer's.
		p = h.open(h.agent, "/console/requests", http.StatusOK)
		h.says(p, true, alder, other, "Ben Admin", "Open: 3 · approved: 0")
		p = h.open(h.ada, "/console/requests", http.StatusOK)
		h.says(p, true, alder, "Ben Admin", "Open: 2 · approved: 0")
		h.says(p, false, other, "Name of the organization")
		p = h.open(h.ben, "/console/requests", http.StatusOK)
		h.says(p, true, alder, "Open: 1 · approved: 0")
		h.says(p, false, other, "It fell into the lake", "ben@alder.example")

		// Whatever an administrator asks for, it stays among their own.
		for _, path := range []string{"?q=Birch", "?state=open&q=Birch+Mills", "?state=open", "?state=approved", "?state=ended", "?by=me", "?before=zzzz", "?state=refused"} {
			h.says(h.open(h.ada, "/console/requests"+path, http.StatusOK), false, other, h.request(of).Number)
			h.says(h.open(bill, "/console/requests"+path, http.StatusOK), false, alder, "Ben Admin", h.request(max).Number)
		}

		// Staff narrow by the beginning of a name, and find what they typed again.
		p = h.send(h.agent, h.open(h.agent, "/console/requests", http.StatusOK), "/console/requests", "q", "bIRch", "state", "open", "by", "")
		h.says(p, true, other, "Open: 1 · approved: 0")
		h.says(p, false, alder)
		if f := p.FormTo("/console/requests"); f.Values.Get("q") != "bIRch" || f.Values.Get("state") != "open" {
			t.Errorf("what was chosen is lost: %v", f.Values)
		}
		h.says(h.open(h.agent, "/console/requests?q=%25", http.StatusOK), true, "No request found", "Show all requests")
		h.says(h.open(h.agent, "/console/requests?state=approved", http.StatusOK), true, "No request found", "Open: 3 · approved: 0")

		// Mine are those that I opened, and those that I checked.
		p = h.open(h.agent, "/console/requests?by=me", http.StatusOK)
		h.says(p, true, alder, "Open: 1 · approved: 0")
		h.says(p, false, other, "Ben Admin")
		p = h.open(h.agent, of.URL.Path, http.StatusOK)
		h.send(h.agent, p, "/check", "result-call-back", "passed", "note-call-back", `Reached her, "by":"`+h.super.Is.ID+`"`)
		h.says(h.open(h.agent, "/console/requests?by=me", http.StatusOK), true, alder, other, "Open: 2 · approved: 0")
		h.says(h.open(h.super, "/console/requests?by=me", http.StatusOK), true, "No request found", "Open: 0 · approved: 0")

		// Over: it moves to what has ended, and the person's page tells how and by whom.
		h.send(h.colleague, h.open(h.colleague, max.URL.Path, http.StatusOK), "/refuse", "reason-refuse", "Hung up on the call back")
		h.says(h.open(h.agent, "/console/requests", http.StatusOK), false, alder)
		for _, by := range []string{"", "&by=me"} {
			h.says(h.open(h.agent, "/console/requests?state=ended"+by, http.StatusOK), true, alder, "Refused")
			h.says(h.open(h.colleague, "/console/requests?state=ended"+by, http.StatusOK), true, alder, "Refused")
		}
		h.says(h.open(h.ada, "/console/requests?state=ended", http.StatusOK), true, alder)
		h.says(h.open(h.ada, "/console/requests?state=ended&by=me", http.StatusOK), true, "No request found")
		h.says(h.open(bill, "/console/requests?state=ended", http.StatusOK), true, "Nothing closed yet")
		for _, s := range []*Somebody{h.ada, h.agent} {
			p = h.open(s, "/console/people/"+h.max.Is.ID, http.StatusOK)
			h.says(p, true, "Earlier requests", h.request(max).Number, "Refused", "ended by Alma Agent", "Hung up on the call back")
			h.says(p, false, h.request(of).Number)
		}
		h.says(h.open(h.agent, "/console/people/"+bea.Is.ID, http.StatusOK), false, "Earlier requests") // the only one helps her now
	})
}
