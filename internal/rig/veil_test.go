package rig

import (
	"net/http"
	"strings"
	"testing"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// Nothing that a caller could be asked for can be read out before the check of the caller has begun, on no page and in no mail to the
// desk; from then on it is shown to whoever began, and to nobody else.
func TestSEC_H6_NothingCanBeReadOutBeforeTheCheckBegins(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		auditor := h.Join(h.org(h.agent), directory.Auditor, "Audrey Auditor", "audit@northline.example")
		h.Write(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(h.max.Is.Realm, h.max.Is.ID)
			if err != nil {
				return err
			}
			p.Phone, p.PhoneSince = "+41445550142", h.Clock.Now().AddDate(-1, 0, 0)
			return tx.UpdatePerson(p)
		})
		answers := []string{"max@alder.example", "max@", "alder.example", "45550142", "192.0.2.10"}
		person := "/console/people/" + h.max.Is.ID
		h.says(h.open(h.agent, "/console/people?q=max@alder", http.StatusOK), true, "Max Member") // what the caller says still finds them
		p := h.opened(h.agent)
		request := p.URL.Path
		shown := func(by *Somebody, want bool, paths ...string) {
			t.Helper()
			for _, path := range paths {
				page := h.open(by, path, http.StatusOK)
				for _, a := range answers[:3] {
					if strings.Contains(strings.ReplaceAll(string(page.Body), "<wbr>", ""), a) && !want {
						t.Errorf("%s shows %q to %s", path, a, by.Is.Name)
					}
				}
				if path != "/console/people" && path != "/console/requests" {
					h.says(page, want, "45550142")
				}
				if !want {
					h.says(page, false, answers[3:]...)
				}
			}
		}
		pages := []string{"/console/people", person, person + "/reset", person + "/edit", person + "/disable", person + "/role", "/console/requests", request}
		for _, by := range []*Somebody{h.agent, h.colleague, h.super} {
			for _, path := range pages {
				if strings.HasSuffix(path, "/reset") || strings.HasSuffix(path, "/edit") || strings.HasSuffix(path, "/disable") || strings.HasSuffix(path, "/role") {
					page := h.open(by, path, http.StatusOK)
					if body := strings.ReplaceAll(string(page.Body), "<wbr>", ""); strings.Contains(body, "max@alder.example") || strings.Contains(body, "45550142") {
						t.Errorf("%s reads the answer out to %s", path, by.Is.Name)
					}
					continue
				}
				shown(by, false, path)
			}
		}
		shown(h.ada, true, person, request)
		shown(auditor, true, person, request)
		for _, m := range h.Deliver() {
			if strings.HasSuffix(m.To, "@northline.example") && (strings.Contains(m.Text, "max@alder.example") || strings.Contains(m.Text, "45550142")) {
				t.Errorf("a mail to %s reads the answer out:\n%s", m.To, m.Text)
			}
		}

		// Saving the form does not lose the number that was not shown.
		form := h.open(h.agent, person+"/edit", http.StatusOK)
		h.send(h.agent, form, "/edit", "name", "Max Member-Rossi")
		h.Read(func(tx *sqlstore.Tx) error {
			now, err := tx.Person(h.max.Is.Realm, h.max.Is.ID)
			if now.Phone != "+41445550142" || now.Name != "Max Member-Rossi" {
				t.Errorf("saved: %q %q", now.Name, now.Phone)
			}
			return err
		})

		p = h.send(h.agent, h.open(h.agent, request, http.StatusOK), "/begin")
		p = h.open(h.agent, p.URL.Path, http.StatusOK)
		if p.FormTo("/begin") != nil {
			t.Error("it can begin twice")
		}
		shown(h.agent, true, person, request)
		shown(h.colleague, false, person, request)
		for range 2 { // a second time changes nothing
			if _, err := h.Requests.Begin(t.Context(), login.By{Signed: login.Signed{Person: h.agent.Is, Organization: h.org(h.agent), Realm: h.Realm}}, h.request(p).ID); err != nil {
				t.Error(err)
			}
		}
		h.Read(func(tx *sqlstore.Tx) error {
			begun, err := tx.Events(audit.Query{Realm: h.Realm.ID, Person: h.max.Is.ID, Types: []string{"request.check-begun"}, Limit: 10})
			if len(begun) != 1 || begun[0].Actor != h.agent.Is.ID {
				t.Errorf("%d events: %+v", len(begun), begun)
			}
			return err
		})
		// When the request is over, the veil falls again.
		h.send(h.agent, h.open(h.agent, request, http.StatusOK), "/stop", "reason-stop", "Solved on the phone")
		shown(h.agent, false, person)
	})
}
