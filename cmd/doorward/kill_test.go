package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/rig/walker"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// Gate: kill -9 of the node at random points of a set-up over HTTP (SECURITY). The node dies at a random moment of a
// random request, on each database. After it has started again
//
//   - what a page has acknowledged is not asked again,
//   - what is half there lets nobody in: not with the password alone, not with the code of a seed that was not confirmed,
//   - the set-up is finished with the same link, in the same browser or in another one,
//   - and leaves one password, one authenticator and one acceptance, all in a trail that proves itself.
func TestSEC_HardGate_KillDuringSetUp(t *testing.T) {
	rounds := 4
	if os.Getenv("DOORWARD_TORTURE") != "" {
		rounds = 150
	}
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := newSite(t, dsn)
		n := s.start()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		cut := 0
		for round := range rounds {
			v := &victim{site: s, email: fmt.Sprintf("p%d@alder.example", round)}
			v.link = s.invite("member", "Jonas Weber", v.email)
			v.walkUntilKilled(t, n, 1+random.IntN(20), time.Duration(random.Int64N(int64(25*time.Millisecond))))
			n = s.start()
			v.halfGrantsNothing(t, n)
			v.finish(t, n, round%2 == 0)
			if !v.whole {
				cut++
			}
			// The authenticator's life goes on: codes of the next person come from other steps, limits of this network end.
			s.advance(16 * time.Minute)
		}
		if cut == 0 {
			t.Error("no set-up was cut: nothing was proven")
		}
		t.Logf("%d of %d were cut before their end", cut, rounds)
		n.stop()
		verify := s.do("audit", "verify", "--json")
		if !strings.Contains(verify, `"ok": true`) {
			t.Errorf("the trail after %d kills: %s", rounds, verify)
		}
	})
}

// victim is somebody whose set-up is cut.
type victim struct {
	site        *site
	email, link string
	mind        *walker.Person
	browser     *walker.Client
	whole       bool     // stood in the account before the kill
	done        []string // what pages have acknowledged, see step
	last        string   // what was sent last
}

// step says what a page asks, by what it holds.
func step(p *walker.Page) string {
	f := p.Form()
	switch {
	case strings.HasPrefix(p.URL.Path, "/account"):
		return "account"
	case f == nil:
		return ""
	case f.Asks("new-password"):
		return "password"
	case p.ID("totp-key") != nil:
		return "authenticator"
	case strings.Contains(p.Title(), "Terms"):
		return "terms"
	case strings.HasSuffix(p.URL.Path, "/preferences") || strings.Contains(p.Title(), "references"):
		return "preferences"
	}
	return ""
}

// killer ends a node in the middle of a request.
type killer struct {
	http.RoundTripper
	node  *node
	left  int
	after time.Duration
}

// RoundTrip implements http.RoundTripper.
func (k *killer) RoundTrip(r *http.Request) (*http.Response, error) {
	if k.left--; k.left == 0 {
		time.AfterFunc(k.after, func() { _ = k.node.cmd.Process.Kill() })
	}
	return k.RoundTripper.RoundTrip(r)
}

// walkUntilKilled walks until the node dies, at the latest in the account.
func (v *victim) walkUntilKilled(t *testing.T, n *node, request int, after time.Duration) {
	t.Helper()
	v.browser, v.mind = n.browser(), v.site.mind(v.email)
	v.browser.HTTP.Transport = &killer{v.browser.HTTP.Transport, n, request, after}
	v.mind.Seen = func(p *walker.Page) {
		if v.last != "" && p.Text("error-summary") == "" {
			v.done = append(v.done, v.last)
		}
		v.last = step(p)
	}
	page, err := v.browser.Get(v.link)
	if err == nil {
		_, err = v.mind.Walk(v.browser, page, walker.At("/account"))
	}
	v.whole = err == nil
	n.kill()
	t.Logf("%s: killed %s after request %d was begun; acknowledged %q, whole %t", v.email, after, request, v.done, v.whole)
}

// halfGrantsNothing comes as a thief who has the password, and every code of the seed that a page has shown.
func (v *victim) halfGrantsNothing(t *testing.T, n *node) {
	t.Helper()
	confirmed, active := v.holds(t)
	if v.whole && !active {
		t.Errorf("%s stood in the account and is not active", v.email)
	}
	thieves := []*walker.Person{v.site.mind(v.email)}
	thieves[0].Code = func(string, time.Time) string { return "000000" }
	if v.mind.Secret != "" && !confirmed { // a confirmed one is theirs: with it and the password one comes in
		thieves = append(thieves, v.site.mind(v.email))
		thieves[1].Secret = v.mind.Secret
	}
	for _, thief := range thieves {
		c := n.browser()
		page, err := c.Get("https://" + shopHost + "/signin")
		v.site.must(err)
		if _, err := thief.Walk(c, page, walker.At("/account")); err == nil {
			t.Errorf("%s: half a set-up lets somebody in", v.email)
		}
		if n.inside(c) {
			t.Errorf("%s: half a set-up has a session", v.email)
		}
	}
	if n.moves(v.browser); !active && n.inside(v.browser) {
		t.Errorf("%s: the browser of half a set-up has a session", v.email)
	}
}

// holds looks into the database: is there a confirmed authenticator, is the person active; and nothing else may be there.
func (v *victim) holds(t *testing.T) (confirmed, active bool) {
	t.Helper()
	ring, err := secret.LoadRing(v.site.path("keyring"))
	v.site.must(err)
	store, err := sqlstore.Open(t.Context(), dsnOf(v.site), ring, sqlstore.Options{Clock: v.site.now, Conns: 1})
	v.site.must(err)
	defer store.Close()
	v.site.must(store.Read(t.Context(), func(tx *sqlstore.Tx) error {
		p, err := tx.PersonByAddress("shop", v.email)
		if err != nil {
			return err
		}
		creds, err := tx.Credentials("shop", p.ID)
		if err != nil {
			return err
		}
		count := map[authn.Kind]int{}
		for _, c := range creds {
			count[c.Kind]++
			if c.State != authn.Active {
				t.Errorf("%s: %s is %s", v.email, c.Kind, c.State)
			}
		}
		sessions, err := tx.Sessions("shop", p.ID)
		if err != nil {
			return err
		}
		accepted, err := tx.Acceptances("shop", p.ID)
		if err != nil {
			return err
		}
		confirmed, active = count[authn.TOTP] == 1, p.State == directory.Active
		for kind, many := range count {
			if many > 1 {
				t.Errorf("%s has %d of %s", v.email, many, kind)
			}
		}
		if len(accepted) > 1 {
			t.Errorf("%s has accepted %d times", v.email, len(accepted))
		}
		if !active && len(sessions) > 0 {
			t.Errorf("%s is %s and has %d sessions", v.email, p.State, len(sessions))
		}
		return nil
	}))
	return confirmed, active
}

// finish comes back with the link, in the same browser or a new one, and then signs in as every day.
func (v *victim) finish(t *testing.T, n *node, same bool) {
	t.Helper()
	if n.moves(v.browser); !same {
		v.browser = n.browser()
	}
	v.site.until(v.site.now().Add(31 * time.Second)) // whatever code was on its way may be spent
	v.mind.Seen = func(p *walker.Page) {
		asked := step(p)
		for _, d := range v.done {
			if d == asked && asked != "account" {
				t.Errorf("%s: %s was acknowledged and is asked again (killed with %q)", v.email, asked, v.done)
			}
		}
	}
	page, err := v.browser.Get(v.link)
	v.site.must(err)
	if f := page.Form(); v.whole || f == nil || page.Status != http.StatusOK {
		// Spent by the last step, which nobody heard of: from now on they come in as everybody does.
		page, err = v.browser.Get("https://" + shopHost + "/signin")
		v.site.must(err)
	}
	if _, err := v.mind.Walk(v.browser, page, walker.At("/account")); err != nil {
		t.Fatalf("%s cannot finish (%q acknowledged, whole %t): %v", v.email, v.done, v.whole, err)
	}
	v.mind.Seen = nil
	n.signIn(v.mind)
	if confirmed, active := v.holds(t); !confirmed || !active {
		t.Errorf("%s stands in the account: authenticator %t, active %t", v.email, confirmed, active)
	}
}
