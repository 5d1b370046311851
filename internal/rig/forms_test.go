package rig

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/helpdesk"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// traces are what forms can leave behind: requests, how people stand, letters, and the trail.
func (h *house) traces(people ...*Somebody) (out string) {
	h.T.Helper()
	h.Read(func(tx *sqlstore.Tx) error {
		out = ""
		for _, state := range []helpdesk.State{"", helpdesk.Ended} {
			all, err := tx.HelpFound(helpdesk.Search{Realm: h.Realm.ID, State: state, Limit: 100})
			if err != nil {
				return err
			}
			for _, q := range all {
				out += fmt.Sprintf("%s %s %d; ", q.Number, q.State, q.Version)
			}
		}
		for _, s := range people {
			p, err := tx.Person(h.Realm.ID, s.Is.ID)
			if err != nil {
				return err
			}
			mails, err := tx.Mails(h.Realm.ID, s.Is.ID, 500)
			if err != nil {
				return err
			}
			out += fmt.Sprintf("%s %s %d letters %d sessions; ", p.Name, p.State, len(mails), h.Sessions(s))
		}
		events, err := tx.Events(audit.Query{Realm: h.Realm.ID, Limit: 1000})
		if err != nil {
			return err
		}
		out += fmt.Sprint(len(events), " events")
		return nil
	})
	return out
}

// Every form in which people tell the desk something, or the desk about people: what is wrong is said in words, everything
// that was typed stays, and nothing has happened.
func TestREQ_B40_B59_WhatIsWrongInAFormIsSaidAndNothingIsLost(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		person := "/console/people/" + h.max.Is.ID
		helped := h.opened(h.agent)
		request, number := helped.URL.Path, h.request(helped).Number
		other := "/console/people/" + h.ben.Is.ID
		stranger := &Somebody{Is: h.max.Is, Browser: h.Browser("203.0.113.50")}
		letters := h.Deliver()
		stop := stopIn.FindString(to(letters, h.max, "request-opened")[0].Text)
		h.Write(func(tx *sqlstore.Tx) error {
			return tx.Enqueue(h.as(h.max).Notice(h.Clock.Now(), "factor-added", map[string]string{"factor": "x", "kind": "totp"}))
		})
		notMe := notMeIn.FindString(to(h.Deliver(), h.max, "factor-added")[0].Text)
		many := strings.Repeat("word ", 401) + "end"
		const unprocessable, conflict = http.StatusUnprocessableEntity, http.StatusConflict
		const reasonShort = "Give a reason in at least 10 characters"
		for i, c := range []struct {
			by     *Somebody
			at     string   // page with the form
			form   string   // end of its action, empty: the page's own
			typed  []string // names and values
			status int
			says   string
			gone   string // a value that does not stay, besides those that are not typed
		}{
			{by: h.ada, at: "/console/people/invite", typed: []string{"email", "nobody", "name", "Nora New", "role", "administrator"}, status: unprocessable, says: "This is not a whole e-mail address"},
			{by: h.ada, at: "/console/people/invite", typed: []string{"email", "nora@alder.example", "name", " ", "role", "administrator"}, status: unprocessable, says: "Please type a name"},
			{by: h.ada, at: "/console/people/invite", typed: []string{"email", h.max.Is.Address, "name", "Max Again"}, status: unprocessable, says: "with this address is here already"},
			{by: h.super, at: other + "/reset", form: "/reset", typed: []string{"kinds", "totp", "reason", "x", "channel", "phone"}, status: unprocessable, says: reasonShort},
			{by: h.super, at: other + "/reset", form: "/reset", typed: []string{"kinds", "totp", "reason", many, "channel", "phone"}, status: unprocessable, says: "This text is too long"},
			{by: h.super, at: other + "/reset", form: "/reset", typed: []string{"reason", "Lost the phone and more", "channel", "person"}, status: unprocessable, says: "Choose what is lost"},
			{by: h.super, at: other + "/reset", form: "/reset", typed: []string{"kinds", "totp", "reason", "Lost the phone and more"}, status: unprocessable, says: "Say how the wish reached you"},
			{by: h.super, at: person + "/reset", form: "/reset", typed: []string{"kinds", "totp", "reason", "Called me as well", "channel", "phone"}, status: unprocessable, says: "request " + number + ", opened by Aged Agent"},
			{by: h.ada, at: person + "/reset", form: "/reset", typed: []string{"kinds", "totp", "reason", "Came to my desk", "channel", "person"}, status: unprocessable, says: "request " + number + ", opened by Aged Agent"},
			{by: h.ada, at: person + "/disable", form: "/disable", typed: []string{"reason", "x"}, status: unprocessable, says: reasonShort},
			{by: h.ada, at: person + "/sessions", form: "/sessions", typed: []string{"reason", ""}, status: unprocessable, says: reasonShort},
			{by: h.agent, at: request, form: "/check", typed: []string{"note-call-back", "Reached her at the desk", "evidence-call-back", "CALL-7"}, status: unprocessable, says: "Say whether the check passed or failed"},
			{by: h.agent, at: request, form: "/check", typed: []string{"result-call-back", "passed", "note-call-back", "x", "evidence-call-back", "CALL-7"}, status: unprocessable, says: "at least 3 characters"},
			{by: h.agent, at: request, form: "/check", typed: []string{"result-call-back", "failed", "note-call-back", many, "evidence-call-back", "CALL-7"}, status: unprocessable, says: "This text is too long"},
			{by: h.agent, at: request, form: "/refuse", typed: []string{"reason-refuse", "x", "suspicious", "yes"}, status: unprocessable, says: reasonShort},
			{by: h.agent, at: request, form: "/refuse", typed: []string{"reason-refuse", many, "suspicious", "yes"}, status: unprocessable, says: "This text is too long"},
			{by: h.agent, at: request, form: "/refuse", typed: []string{"reason-refuse", "The office knew nothing of it", "version", "99"}, status: conflict, says: "This request has changed meanwhile", gone: "version"},
			{by: h.agent, at: request, form: "/answer", typed: []string{"reason-answer", "x"}, status: unprocessable, says: reasonShort},
			{by: h.agent, at: request, form: "/stop", typed: []string{"reason-stop", ""}, status: unprocessable, says: reasonShort},
			{by: h.ada, at: request, form: "/stop", typed: []string{"reason-stop", "because"}, status: unprocessable, says: reasonShort},
			{by: stranger, at: "/help/request", form: "/help/request", typed: []string{"why", "factor", "address", "max@", "words", "It fell into the lake"}, status: unprocessable, says: "This is not a whole e-mail address"},
			{by: stranger, at: "/help/request", form: "/help/request", typed: []string{"why", "", "address", h.max.Is.Address, "words", "It fell into the lake"}, status: unprocessable, says: "Choose what you need help with", gone: "why"},
			{by: stranger, at: "/help/request", form: "/help/request", typed: []string{"why", "other", "address", h.max.Is.Address, "words", ""}, status: unprocessable, says: "Write in a few words what happened"},
			{by: stranger, at: "/help/request", form: "/help/request", typed: []string{"why", "other", "address", h.max.Is.Address, "words", many}, status: unprocessable, says: "This text is too long"},
			{by: stranger, at: "/help/request", form: "/help/request", typed: []string{"why", "factor", "address", h.max.Is.Address, "words", "It fell into the lake", "subject", "Cheap pills"}, status: unprocessable, says: "A part of the form that people do not see was filled in", gone: "subject"},
			{by: stranger, at: "/help/request", form: "/help/request", typed: []string{"why", "factor", "address", h.max.Is.Address, "words", "It fell into the lake", "challenge", "x"}, status: unprocessable, says: "", gone: "challenge"},
			{by: stranger, at: "/help/administrator", form: "/help/administrator", typed: []string{"address", "max"}, status: unprocessable, says: "This is not a whole e-mail address"},
			{by: stranger, at: "/help/administrator", form: "/help/administrator", typed: []string{"address", h.max.Is.Address, "subject", "Cheap pills"}, status: unprocessable, says: "A part of the form that people do not see was filled in", gone: "subject"},
			{by: h.max, at: "/help/request", form: "/help/request", typed: []string{"why", "other", "words", " "}, status: unprocessable, says: "Write in a few words what happened", gone: "words"},
			{by: h.max, at: "/help/request", form: "/help/request", typed: []string{"why", "factor", "words", "The new phone is here"}, status: unprocessable, says: "request " + number + ", opened by Aged Agent"},
			{by: stranger, at: strings.TrimPrefix(stop, Origin), typed: nil, status: unprocessable, says: "Tick the box"},
			{by: stranger, at: strings.TrimPrefix(notMe, Origin), typed: nil, status: unprocessable, says: "Tick the box"},
		} {
			t.Run(fmt.Sprintf("%02d %s%s", i, c.at[:min(20, len(c.at))], c.form), func(t *testing.T) {
				before := h.traces(h.max, h.ben)
				page, err := c.by.Browser.Get(Origin + c.at)
				h.must(err)
				form := func(p *walker.Page) (f *walker.Form) {
					if f = p.Form(); c.form != "" {
						f = p.FormTo(c.form)
					}
					if f == nil {
						t.Fatalf("no form %s at %s (%d): %s", c.form, p.URL.Path, p.Status, p.Main())
					}
					return f
				}
				f := form(page)
				if at := slices.Index(c.typed, "version"); at >= 0 {
					f.Values.Set("version", c.typed[at+1])
				}
				for j := 0; j < len(c.typed); j += 2 {
					f.Values.Set(c.typed[j], c.typed[j+1])
				}
				h.Clock.Advance(5 * time.Second)
				p, err := c.by.Browser.Submit(f)
				h.must(err)
				if p.Status != c.status || !strings.Contains(p.Main(), c.says) || p.Text("error-summary") == "" {
					t.Errorf("%d, not %d with %q:\n%s", p.Status, c.status, c.says, p.Main())
				}
				f = form(p)
				for j := 0; j < len(c.typed); j += 2 {
					name, want := c.typed[j], c.typed[j+1]
					if got := f.Values.Get(name); c.gone != name && got != want {
						t.Errorf("%s was %q and is %q now", name, cmp.Or(want, "nothing"), got)
					} else if c.gone == name && want != "" && got == want {
						t.Errorf("%s is still %q", name, got)
					}
				}
				if after := h.traces(h.max, h.ben); after != before {
					t.Errorf("something happened:\n%s\n%s", before, after)
				}
			})
		}
	})
}

// Whoever sends a form again after it was refused for the field that nobody sees is heard, and a form that is sent too
// often stands in the trail once in its window, in the name of nobody.
func TestREQ_B59_SEC_G2_AFormRefusedForAProgramIsSentAgainAndTooManyAreWrittenDown(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		h := newHouse(t, store)
		h.Requests.Count = func(metric string, labels ...string) { fmt.Fprintln(h.Log, "counted", metric, labels) }
		b := &Somebody{Is: h.max.Is, Browser: h.Browser("203.0.113.50")}
		p := h.send(b, h.open(b, "/help/request", http.StatusOK), "/help/request", "why", "factor", "address", h.max.Is.Address, "words", "Lake", "subject", "Buy now")
		h.Clock.Advance(5 * time.Second)
		if p = h.send(b, p, "/help/request"); p.Status != http.StatusOK || len(h.inbox()) != 1 {
			t.Fatalf("%d %s", p.Status, p.Main())
		}
		for range 5 {
			p = h.asks(b.Browser, "/help/request", map[string]string{"why": "factor", "address": h.max.Is.Address, "words": "Once more"})
		}
		if p.Status != http.StatusTooManyRequests || p.FormTo("/help/request").Values.Get("words") != "Once more" || len(h.inbox()) != 2 {
			t.Fatalf("%d, %d requests: %s", p.Status, len(h.inbox()), p.Main())
		}
		if n := strings.Count(h.Log.String(), "counted throttled [code too-many-requests]"); n != 4 {
			t.Errorf("counted %d times", n)
		}
		if n := strings.Count(h.Log.String(), "counted request [what filled why factor]"); n != 1 {
			t.Errorf("%d programs counted", n)
		}
		h.Read(func(tx *sqlstore.Tx) error {
			all, err := tx.Events(audit.Query{Realm: h.Realm.ID, Limit: 1000})
			all = slices.DeleteFunc(all, func(e audit.Event) bool { return e.Type != "limiter.tripped" })
			if len(all) != 1 || all[0].Data["code"] != "too-many-requests" || all[0].Actor != "anonymous" || all[0].Person != "" || all[0].Network != "203.0.113.50" {
				t.Errorf("%+v", all)
			}
			return err
		})
	})
}
