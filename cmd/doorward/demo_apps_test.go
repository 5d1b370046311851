package main

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/demo"
	"doorward/internal/rig/walker"
)

// stranger opens an application and presses its only button.
func (s *started) press(t *testing.T, c *walker.Client, app string) *walker.Page {
	t.Helper()
	page, err := c.Get(s.sheet.Parties[app]["url"] + "/")
	if err != nil {
		t.Fatal(err)
	}
	if page.ID("email") != nil {
		t.Fatalf("%s knows a stranger", app)
	}
	if page, err = c.Get(linkTo(page, "/signin")); err != nil {
		t.Fatal(err)
	}
	return page
}

// at reports whether a browser is back at an application.
func (s *started) at(t *testing.T, app string) func(*walker.Page) bool {
	t.Helper()
	u, err := url.Parse(s.sheet.Parties[app]["url"])
	if err != nil {
		t.Fatal(err)
	}
	return func(p *walker.Page) bool { return p.URL.Host == u.Host }
}

func mind(p demo.Person, now func() time.Time) *walker.Person {
	return &walker.Person{Address: p.Email, Password: p.Password, Secret: p.TOTPSecret, Now: now}
}

// One sign-in for two applications, and one sign-out: what each knows stands on its page.
func TestREQ_B28_OnToTheStoreAndComplaintsKnowsYou(t *testing.T) {
	s := startDemo(t, t.TempDir())
	for _, app := range []string{"store", "complaints", "portfolio"} {
		if p := s.sheet.Parties[app]; p["client_id"] != app || len(p["client_secret"]) < 43 || !strings.HasPrefix(p["url"], "https://"+app+".localhost:") {
			t.Errorf("%s: %v", app, p)
		}
	}
	jonas := s.person("jonas.weber@alder.example")
	c := walker.New(s.roots, "")
	page, err := mind(jonas, time.Now).Walk(c, s.press(t, c, "store"), s.at(t, "store"))
	if err != nil {
		t.Fatalf("%v\n%s", err, s.errs)
	}
	for id, want := range map[string]string{
		"email": jonas.Email, "name": jonas.Name, "organization": jonas.Organization, "roles": "member", "acr": "urn:doorward:acr:mfa",
	} {
		if got := page.Text(id); got != want {
			t.Errorf("the store says %s is %q, want %q", id, got, want)
		}
	}
	if amr := strings.Fields(page.Text("amr")); len(amr) < 2 || page.Text("sid") == "" {
		t.Errorf("amr %q, sid %q", amr, page.Text("sid"))
	}
	sid := page.Text("sid")

	page = s.press(t, c, "complaints")
	if !s.at(t, "complaints")(page) || page.Text("email") != jonas.Email || page.Text("sid") != sid {
		t.Fatalf("complaints does not know who is signed in: %s %s", page.URL, page.Main())
	}

	// Sign out at the store: the way leads over the realm and back, and complaints hears of it by itself.
	if page, err = c.Get(s.sheet.Parties["store"]["url"] + "/"); err != nil {
		t.Fatal(err)
	}
	if page, err = c.Submit(page.FormTo("/signout")); err != nil || !s.at(t, "store")(page) || page.ID("email") != nil {
		t.Fatalf("after sign-out at %s: %v\n%s", page.URL, err, page.Main())
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if page, err = c.Get(s.sheet.Parties["complaints"]["url"] + "/"); err != nil {
			t.Fatal(err)
		}
		if page.ID("email") == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("complaints never hears of the sign-out")
		}
		<-time.After(20 * time.Millisecond)
	}
	if page = s.press(t, c, "complaints"); s.at(t, "complaints")(page) {
		t.Error("signed in again without being asked")
	}
	if errs := s.errs.String(); errs != "" {
		t.Errorf("it complains: %s", errs)
	}
}

// Money moves after a proof that is younger than the wish, although the session is a moment old.
func TestREQ_B28_APortfolioAsksOnceMore(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().UTC().Add(time.Duration(ahead.Load())) }
	s := startDemoAt(t, t.TempDir(), now)
	paul := s.person("paul.moser@moser.example")
	c := s.browser(t, paul)
	m := mind(paul, now)
	m.Wait = func(until time.Time) { ahead.Add(int64(until.Sub(now()))) } // an authenticator's next code, without waiting for it
	page, err := m.Walk(c, s.press(t, c, "portfolio"), s.at(t, "portfolio"))
	if err != nil {
		t.Fatalf("%v\n%s", err, s.errs)
	}
	before := page.Text("auth-time")
	first := page.ID("auth-time")
	form := page.FormTo("/transfer")
	if form == nil || first == nil {
		t.Fatalf("no transfer: %s\n%s", page.Main(), s.errs)
	}
	ahead.Add(int64(2 * time.Second)) // auth_time is in whole seconds
	if page, err = c.Submit(form); err != nil || s.at(t, "portfolio")(page) {
		t.Fatalf("money moved without a question: %v, %s\n%s\n%s", err, page.URL, page.Main(), s.errs)
	}
	if page, err = m.Walk(c, page, s.at(t, "portfolio")); err != nil {
		t.Fatalf("%v\n%s", err, s.errs)
	}
	if page.Status != http.StatusOK || !strings.Contains(page.Text("flash"), "Clara Weiss") || !strings.Contains(page.Main(), "urn:doorward:acr:mfa") {
		t.Errorf("%d: %s (signed in %s)", page.Status, page.Main(), before)
	}
	// Giving up half-way moves nothing.
	ahead.Add(int64(2 * time.Second))
	if page, err = c.Submit(page.FormTo("/transfer")); err != nil || s.at(t, "portfolio")(page) {
		t.Fatalf("the second transfer was not asked for: %v, %s", err, page.URL)
	}
	if page, err = c.Get(s.sheet.Parties["portfolio"]["url"] + "/"); err != nil || strings.Count(page.Main(), "urn:doorward:acr:mfa") != 2 {
		t.Errorf("%v: %s", err, page.Main())
	}
}
