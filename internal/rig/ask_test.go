package rig

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// asks fills in a form of the ladder as a person without script does: it lies a while.
func (r *Rig) asks(b *walker.Client, path string, fields map[string]string) *walker.Page {
	r.T.Helper()
	page, err := b.Get(Origin + path)
	r.must(err)
	f := page.FormTo(path)
	if f == nil {
		r.T.Fatalf("no form on %s: %s", path, page.Main())
	}
	for k, v := range fields {
		f.Values.Set(k, v)
	}
	r.Clock.Advance(5 * time.Second)
	page, err = b.Submit(f)
	r.must(err)
	return page
}

// inbox are all requests of the realm that are open or approved.
func (r *Rig) inbox() (all []helpdesk.Request) {
	r.T.Helper()
	r.Read(func(tx *sqlstore.Tx) (err error) { all, err = tx.HelpInbox(r.Realm.ID, "", "", 100); return err })
	return all
}

func TestREQ_B59_B42_KnownAndUnknownAddressesAskTheSame(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, ada, max := family(t, store)
		for i, path := range []string{"/help/request", "/help/administrator"} {
			bodies := map[string]string{}
			for j, address := range []string{max.Is.Address, "nobody@alder.example"} {
				b := r.Browser("203.0.113." + strconv.Itoa(10+2*i+j))
				page := r.asks(b, path, map[string]string{"address": address, "why": "factor", "words": "My phone fell into the lake"})
				number := numberIn.FindString(page.Main())
				if page.Status != http.StatusOK || number == "" {
					t.Fatalf("%d: %s", page.Status, page.Main())
				}
				body := strings.ReplaceAll(string(page.Body), number, "NUMBER")
				body = strings.ReplaceAll(body, page.URL.Path, "PATH")
				body = stamps.ReplaceAllString(body, "STAMP")
				bodies[address] = linked.ReplaceAllString(body, "LINK")
				if asked := r.inbox(); asked[0].Number != number || asked[0].Address != address || asked[0].Person != "" {
					t.Errorf("%+v", asked[0])
				}
				letters := r.Deliver()
				if len(letters) != 2 {
					t.Errorf("%s, %s: %d letters", path, address, len(letters))
				}
				if known := j == 0; known != (len(to(letters, max, "request-asked")) == 1) || known != (len(to(letters, ada, "request-task")) == 1) {
					t.Errorf("%s, %s: %+v", path, address, letters)
				}
			}
			if bodies[max.Is.Address] != bodies["nobody@alder.example"] {
				t.Errorf("%s tells who is known:\n%s\n%s", path, bodies[max.Is.Address], bodies["nobody@alder.example"])
			}
		}
	})
}

func TestREQ_B59_TheFormIsKeptFromPrograms(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		r, _, max := family(t, store)
		ask := func(network string, p helpdesk.Proof) (string, error) {
			return r.Requests.Ask(context.Background(), login.Caller{Realm: r.Realm.ID, Network: network}, admin.Form{Address: max.Is.Address, Why: helpdesk.PasswordLost}, p)
		}
		refused := func(err error, code string) {
			t.Helper()
			if f := fault.As(err); f == nil || f.Code != code {
				t.Errorf("%v, not %s", err, code)
			}
		}
		fresh := func() helpdesk.Proof { return helpdesk.Proof{Challenge: r.Requests.Challenge(r.Realm.ID, "")} }
		_, err := ask("203.0.113.1", fresh())
		refused(err, "form-quick")
		_, err = ask("203.0.113.1", helpdesk.Proof{})
		refused(err, "form-old")
		_, err = ask("203.0.113.1", Prove("1."+r.Requests.Challenge("elsewhere", "")))
		refused(err, "form-old")
		old := fresh()
		r.Clock.Advance(10*time.Minute + time.Second)
		_, err = ask("203.0.113.1", old)
		refused(err, "form-old")

		// By hand: two an hour. With the work: six. An IPv6 household is one network.
		for i := range 3 {
			p := fresh()
			r.Clock.Advance(5 * time.Second)
			if _, err = ask("2001:db8::"+strconv.Itoa(i), p); i < 2 && err != nil {
				t.Fatal(err)
			}
		}
		refused(err, "too-many-requests")
		for i := range 7 {
			if _, err = ask("2001:db8::"+strconv.Itoa(i), r.Proof()); i < 6 && err != nil {
				t.Fatal(err)
			}
		}
		refused(err, "too-many-requests")

		// The same form 64 times is one request.
		before, p := len(r.inbox()), r.Proof()
		numbers := make([]string, 64)
		var all sync.WaitGroup
		for i := range numbers {
			all.Go(func() {
				n, err := ask("203.0.113."+strconv.Itoa(i+1), p)
				if err != nil {
					t.Error(err)
				}
				numbers[i] = n
			})
		}
		all.Wait()
		for _, n := range numbers {
			if n == "" || n != numbers[0] {
				t.Fatalf("%v", numbers)
			}
		}
		if n := len(r.inbox()) - before; n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestREQ_B75_SignedInTheFormKnowsWhoAsks(t *testing.T) {
	r, _, max := family(t, testdb.SQLite(t))
	page := r.asks(max.Browser, "/help/request", map[string]string{"address": "else@alder.example", "why": "other"})
	if page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Main(), max.Is.Address[:3]) {
		t.Fatalf("without words: %d %s", page.Status, page.Main())
	}
	page = r.asks(max.Browser, "/help/request", map[string]string{"address": "else@alder.example", "why": "other", "words": "May I have two phones?"})
	if q := r.live(max); q.Number != numberIn.FindString(page.Main()) || q.Person != max.Is.ID || q.Channel != helpdesk.ByAccount || q.Address != max.Is.Address {
		t.Errorf("%+v; %s", q, page.Main())
	}
	if page = r.asks(max.Browser, "/help/request", map[string]string{"why": "factor"}); page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Main(), r.live(max).Number) {
		t.Errorf("asked twice: %d %s", page.Status, page.Main())
	}
	if page, _ = r.Browser("203.0.113.9").Get(Origin + "/help/request/K7QD-94MT.0000000000000000"); page.Status != http.StatusNotFound {
		t.Errorf("a number that was made up: %d", page.Status)
	}
}
