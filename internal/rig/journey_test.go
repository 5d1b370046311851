package rig_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// The main job on both databases, without a browser: invited, set up, in the account, and in again.
func TestREQ_B13_B22_FromTheInvitationToTheAccount(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r := rig.New(t, s)
		org := r.Organization("Alder Works", false)
		_, link := r.Invite(org, directory.Member, "Max Alder", "max@alder.example")
		letters := r.Deliver()
		if len(letters) != 1 || !strings.Contains(letters[0].Text, link) || !strings.Contains(letters[0].Text, "max@alder.example") {
			t.Fatalf("the invitation: %+v", letters)
		}
		c, me := r.Browser("192.0.2.10"), r.Mind("max@alder.example")
		var titles []string
		me.Seen = func(p *walker.Page) { titles = append(titles, p.Title()) }
		page, err := c.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = me.Walk(c, page, walker.At("/account")); err != nil {
			t.Fatalf("%v\nafter %q", err, titles)
		}
		if !slices.ContainsFunc(titles, func(s string) bool { return strings.Contains(s, "Terms") }) {
			t.Errorf("nobody was asked for the terms: %q", titles)
		}
		before := r.Clock.Now()
		again := r.Browser("192.0.2.11")
		if page, err = again.Get(rig.Origin + "/signin"); err != nil {
			t.Fatal(err)
		}
		titles = nil
		if _, err = me.Walk(again, page, walker.At("/account")); err != nil {
			t.Fatalf("%v\nafter %q", err, titles)
		}
		if !r.Clock.Now().After(before) {
			t.Error("the same code was taken twice")
		}
		if len(titles) != 4 {
			t.Errorf("a day's sign-in is not address, password, code: %q", titles)
		}
	})
}

// A revocation holds at the next request, and within 5 seconds on another node that shares only the database.
func TestSEC_S4_RevocationHoldsEverywhere(t *testing.T) {
	r := rig.New(t, testdb.SQLite(t))
	org := r.Organization("Alder Works", false)
	max := r.Join(org, directory.Member, "Max Alder", "max@alder.example")
	second := r.SignIn(max, "192.0.2.20")
	check := func(c *walker.Client, want string) {
		t.Helper()
		page, err := c.Get(rig.Origin + "/account")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(page.URL.Path, want) {
			t.Errorf("at %s, not at %s", page.URL.Path, want)
		}
	}
	check(max.Browser, "/account")
	check(second, "/account")
	page, err := second.Get(rig.Origin + "/account/security")
	if err != nil {
		t.Fatal(err)
	}
	f := page.FormTo("/account/sessions/end-others")
	if f == nil {
		t.Fatal("nobody can end the other sessions")
	}
	if _, err = second.Submit(f); err != nil {
		t.Fatal(err)
	}
	check(second, "/account")
	check(max.Browser, "/signin")

	r.Write(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(max.Is.Realm, max.Is.ID)
		if err != nil {
			return err
		}
		p.State = directory.Disabled
		tx.Bump()
		return tx.UpdatePerson(p)
	})
	r.Clock.Advance(5 * time.Second)
	check(second, "/signin")
}

// Sessions end when nobody used them, and after twelve hours whatever happens.
func TestSEC_S3_SessionsEndIdleAndForGood(t *testing.T) {
	r := rig.New(t, testdb.SQLite(t))
	org := r.Organization("Alder Works", false)
	max := r.Join(org, directory.Member, "Max Alder", "max@alder.example")
	in := func() bool {
		page, err := max.Browser.Get(rig.Origin + "/account")
		if err != nil {
			t.Fatal(err)
		}
		return page.Status == http.StatusOK && strings.HasPrefix(page.URL.Path, "/account")
	}
	for range 3 {
		r.Clock.Advance(29 * time.Minute)
		if !in() {
			t.Fatal("a session in use has ended")
		}
	}
	r.Clock.Advance(31 * time.Minute)
	if in() {
		t.Error("an idle session lives")
	}
	max.Browser = r.SignIn(max, "192.0.2.12")
	for end := r.Clock.Now().Add(12 * time.Hour); r.Clock.Now().Before(end); {
		r.Clock.Advance(20 * time.Minute)
		if !in() && r.Clock.Now().Before(end) {
			t.Fatalf("ended %s before its time", end.Sub(r.Clock.Now()))
		}
	}
	if in() {
		t.Error("a session lives for ever")
	}
}

// Whatever happens to an account is told in its history.
func TestREQ_B82_TheHistoryTells(t *testing.T) {
	w := newTown(t, testdb.SQLite(t))
	var types []string
	w.Read(func(tx *sqlstore.Tx) error {
		types = nil
		events, err := tx.Events(audit.Query{Realm: w.Realm.ID, Person: w.memberB.Is.ID, Limit: 100})
		for _, e := range events {
			types = append(types, e.Type)
		}
		return err
	})
	if len(types) < 5 {
		t.Errorf("only %q", types)
	}
	page, err := w.memberB.Browser.Get(rig.Origin + "/account/history")
	if err != nil || page.Status != http.StatusOK || len(page.Main()) < 200 {
		t.Errorf("history %v %v", page, err)
	}
}
