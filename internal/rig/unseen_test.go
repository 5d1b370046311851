package rig

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// The table of the forms that anybody can send is made from the routes: each has the field that nobody sees, whoever fills it
// is told so and nothing has happened, and the same form with the field left empty is heard.
func TestREQ_B59_EveryFormThatAnybodySendsHasTheFieldThatNobodySees(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		found := 0
		for _, route := range h.Registry() {
			if route.Method != http.MethodPost || !strings.HasPrefix(route.Path, "/help/") {
				continue
			}
			found++
			for _, filled := range []string{"Cheap pills", ""} {
				stranger := &Somebody{Is: h.max.Is, Browser: h.Browser("203.0.113.50")}
				form := h.open(stranger, route.Path, http.StatusOK).FormTo(route.Path)
				if form == nil || !form.Fill("subject", filled) {
					t.Fatalf("%s has no form with the field", route)
				}
				for name, value := range map[string]string{"address": h.max.Is.Address, "why": "factor", "words": "It fell into the lake"} {
					form.Fill(name, value)
				}
				h.Clock.Advance(5 * time.Second)
				before, waiting := h.traces(h.max), len(h.inbox())
				page, err := stranger.Browser.Submit(form)
				h.must(err)
				if filled == "" {
					if page.Status != http.StatusOK || len(h.inbox()) != waiting+1 {
						t.Errorf("%s, left empty: %d, %s", route, page.Status, page.Main())
					}
					continue
				}
				if page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Main(), "A part of the form that people do not see was filled in") {
					t.Errorf("%s, filled: %d, %s", route, page.Status, page.Main())
				}
				if after := h.traces(h.max); after != before {
					t.Errorf("%s, filled: something happened:\n%s\n%s", route, before, after)
				}
			}
		}
		if found < 2 {
			t.Errorf("%d forms among the routes", found)
		}
	})
}
