package forwardauth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/forwardauth"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
)

// assertion verifies what an application got, with the published keys and a library that is not ours.
func (s *street) assertion(raw string) map[string]any {
	s.t.Helper()
	parsed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		s.t.Fatalf("%q: %v", raw, err)
	}
	req, err := http.NewRequest(http.MethodGet, rig.Origin+"/oauth2/jwks", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res := s.send(req)
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		s.t.Fatal(err)
	}
	payload, err := parsed.Verify(set)
	if err != nil {
		s.t.Fatal(err)
	}
	if typ := parsed.Signatures[0].Header.ExtraHeaders["typ"]; typ != "forward-auth+jwt" {
		s.t.Errorf("typ is %v", typ)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		s.t.Fatal(err)
	}
	return claims
}

func TestREQ_B70_GuardedApplicationsShareTheSignIn(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.browse("192.0.2.60")
		page := s.open(b, s.anna.Mind, "https://wiki.example/deep/link?x=1&y=%2F%20")
		if got := page.URL.String(); got != "https://wiki.example/deep/link?x=1&y=%2F%20" {
			t.Errorf("back at %s", got)
		}
		in := s.last()
		c := s.assertion(in.Header.Get("Doorward-Assertion"))
		now := float64(s.Clock.Now().Unix())
		for name, want := range map[string]any{
			"iss": rig.Origin, "sub": s.anna.Is.ID, "aud": "https://wiki.example", "email": "anna@alder.example", "name": "Anna Alder",
			"org_name": "Alder Works", "iat": now, "exp": now + 300,
		} {
			if c[name] != want {
				t.Errorf("%s is %v, want %v", name, c[name], want)
			}
		}
		for name, want := range map[string]string{
			"Remote-User": s.anna.Is.ID, "Remote-Email": "anna@alder.example", "Remote-Name": "Anna Alder", "Remote-Organization": "Alder Works", "Remote-Groups": "member",
		} {
			if got := in.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		// Another application: no page on the way, and no more than the realm file says.
		page, err := b.Get("https://files.example/")
		if err != nil || !arrives(page) {
			t.Fatalf("%v at %s", err, page.URL)
		}
		if in = s.last(); in.Header.Get("Remote-User") != s.anna.Is.ID || in.Header.Get("Remote-Email") != "" || in.Header.Get("Remote-Name") != "" {
			t.Errorf("told %v", in.Header)
		}
		if c := s.assertion(in.Header.Get("Doorward-Assertion")); c["aud"] != "https://files.example" {
			t.Errorf("aud is %v", c["aud"])
		}
		// And one at another port.
		if page = s.open(b, s.anna.Mind, "https://ports.example:8443/p"); page.URL.Host != "ports.example:8443" {
			t.Errorf("at %s", page.URL)
		}
		if c := s.assertion(s.last().Header.Get("Doorward-Assertion")); c["aud"] != "https://ports.example:8443" {
			t.Errorf("aud is %v", c["aud"])
		}
		events := s.events("client.authorized")
		if len(events) != 3 || events[2].Data["name"] != "Northline wiki" || events[2].Data["host"] != wiki || events[2].Person != s.anna.Is.ID || events[2].Organization != s.anna.Is.Organization ||
			events[2].Network != "192.0.2.60" || !strings.Contains(events[2].Browser, "Firefox") {
			t.Errorf("%d events: %+v", len(events), events)
		}
		for range 5 { // passing is no event
			s.open(b, s.anna.Mind, "https://wiki.example/")
		}
		if n := len(s.events("client.authorized")); n != 3 {
			t.Errorf("%d events after more requests", n)
		}
	})
}

// Whoever was invited on the way to an application still gets there, in the browser that brought them and, with one press
// more, in another one.
func TestREQ_B28_TheWayToAGuardedHostSurvivesTheSetUp(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		org := s.Organization("Birch Ltd", false)
		_, link := s.Invite(org, directory.Member, "Ida Birch", "ida@birch.example")
		b := s.browse("192.0.2.50")
		if page, err := b.Get("https://wiki.example/handbook?page=2"); err != nil || page.URL.Path != "/signin" {
			t.Fatalf("%v, at %s", err, page.URL)
		}
		s.Clock.Advance(3 * 24 * time.Hour)
		if page := s.open(b, s.Mind("ida@birch.example"), link); page.URL.String() != "https://wiki.example/handbook?page=2" {
			t.Errorf("back at %s", page.URL)
		}

		s.Invite(org, directory.Member, "Otto Birch", "otto@birch.example")
		s.Deliver()
		b = s.browse("192.0.2.51")
		if _, err := b.Get("https://wiki.example/handbook?page=3"); err != nil {
			t.Fatal(err)
		}
		page, err := b.Get(rig.Origin + "/signin/resend")
		if err != nil {
			t.Fatal(err)
		}
		f := page.Form()
		f.Fill("username", "otto@birch.example")
		f.Fill("email", "otto@birch.example")
		if _, err := b.Submit(f); err != nil {
			t.Fatal(err)
		}
		link = ""
		for _, l := range s.Deliver() {
			if _, rest, ok := strings.Cut(l.Text, rig.Origin+"/link/set-up/"); ok && l.To == "otto@birch.example" {
				link = rig.Origin + "/link/set-up/" + strings.Fields(rest)[0]
			}
		}
		other := s.browse("192.0.2.52") // where the mail is read
		if page, err = other.Get(link); err != nil {
			t.Fatal(err)
		}
		if page, err = s.Mind("otto@birch.example").Walk(other, page, walker.At("/forward-auth/again")); err != nil {
			t.Fatal(err)
		}
		if n := len(s.events("client.authorized")); n != 1 {
			t.Errorf("%d authorizations: a ticket for one browser was taken in another", n)
		}
		if page, err = other.Get(page.Link("Northline wiki")); err != nil || page.URL.String() != "https://wiki.example/handbook?page=3" {
			t.Errorf("%v, at %s", err, page.URL)
		}
	})
}

// over asks with a cookie until nothing can be younger than five seconds, and reports whether it opens nothing any more.
func (s *street) over(cookie string) bool {
	s.t.Helper()
	return s.ask("/forward-auth/check", about(wiki, "/"), cookie).StatusCode == http.StatusUnauthorized
}

func TestSEC_O9_AGuardedHostClosesWithTheSession(t *testing.T) {
	set := func(change func(*sqlstore.Tx, *street) error, bump bool) func(*street, *walker.Client) {
		return func(s *street, _ *walker.Client) {
			s.Write(func(tx *sqlstore.Tx) error {
				if bump {
					tx.Bump()
				}
				return change(tx, s)
			})
			if !bump {
				s.Clock.Advance(4 * time.Second) // a node that has lost sight of the epoch
			}
		}
	}
	disable := func(tx *sqlstore.Tx, s *street) error {
		p, err := tx.Person(s.Realm.ID, s.anna.Is.ID)
		if err != nil {
			return err
		}
		p.State = directory.Disabled
		return tx.UpdatePerson(p)
	}
	suspend := func(tx *sqlstore.Tx, s *street) error {
		all, err := tx.Credentials(s.Realm.ID, s.anna.Is.ID)
		if err != nil {
			return err
		}
		for _, c := range all {
			if c.Kind == authn.TOTP {
				c.State = authn.Suspended
				return tx.UpdateCredential(c)
			}
		}
		return nil
	}
	organization := func(tx *sqlstore.Tx, s *street) error {
		o, err := tx.Organization(s.Realm.ID, s.anna.Is.Organization)
		if err != nil {
			return err
		}
		o.State = directory.Disabled
		return tx.UpdateOrganization(o)
	}
	ended := func(tx *sqlstore.Tx, s *street) error {
		_, err := tx.EndSessions(s.Realm.ID, s.anna.Is.ID, "", "ended", s.Clock.Now())
		return err
	}
	revoked := func(tx *sqlstore.Tx, s *street) error {
		_, err := tx.EndAuthorizations(s.Realm.ID, s.anna.Is.ID, "wiki", "revoked", s.Clock.Now())
		return err
	}
	policy := func(tx *sqlstore.Tx, s *street) error {
		r, err := tx.Realm(s.Realm.ID)
		if err != nil {
			return err
		}
		r.Relying[0].ACR = []string{"phrh"}
		return tx.PutRealm(r)
	}
	refresh := func(change func(*street, *walker.Client)) func(*street, *walker.Client) {
		return func(s *street, b *walker.Client) {
			change(s, b)
			if err := s.Realms.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, end := range map[string]func(*street, *walker.Client){
		"signed out at the realm": func(s *street, b *walker.Client) {
			page, err := b.Get(rig.Origin + "/signout")
			if err == nil {
				_, err = b.Submit(page.FormTo("/signout"))
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"the person":                    set(disable, true),
		"the person, unseen":            set(disable, false),
		"the organization":              set(organization, true),
		"the organization, unseen":      set(organization, false),
		"a factor":                      set(suspend, true),
		"a factor, unseen":              set(suspend, false),
		"the session":                   set(ended, true),
		"the session, unseen":           set(ended, false),
		"the authorization":             set(revoked, true),
		"the authorization, unseen":     set(revoked, false),
		"the application's classes":     refresh(set(policy, true)),
		"idle for longer than it may":   func(s *street, _ *walker.Client) { s.Clock.Advance(30 * time.Minute) },
		"the clock goes back":           func(s *street, _ *walker.Client) { s.Clock.Advance(-2 * time.Minute) },
		"twelve hours, in steady use":   steady,
		"the application is taken away": nil,
	} {
		t.Run(name, func(t *testing.T) {
			eachStreet(t, func(t *testing.T, s *street) {
				b := s.browse("192.0.2.61")
				s.open(b, s.anna.Mind, "https://wiki.example/")
				cookie := cookieOf(b, wiki)
				if s.over(cookie) {
					t.Fatal("does not open at all: this proves nothing")
				}
				if end == nil {
					s.Write(func(tx *sqlstore.Tx) error {
						r, err := tx.Realm(s.Realm.ID)
						if err != nil {
							return err
						}
						r.Relying = r.Relying[1:]
						return tx.PutRealm(r)
					})
					if err := s.Realms.Refresh(t.Context()); err != nil {
						t.Fatal(err)
					}
					if res := s.ask("/forward-auth/check", about(wiki, "/"), cookie); res.StatusCode != http.StatusForbidden {
						t.Errorf("answers %d", res.StatusCode)
					}
					return
				}
				end(s, b)
				if !s.over(cookie) {
					t.Error("still opens")
				}
			})
		})
	}
}

// steady uses a host all day: it ends with the session's absolute end.
func steady(s *street, b *walker.Client) {
	for range 36 {
		if s.over(cookieOf(b, wiki)) {
			s.t.Fatal("a session in use is over before its time")
		}
		s.Clock.Advance(20 * time.Minute)
	}
}

func TestREQ_A43_SignOutOnAGuardedHostEndsTheSession(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.browse("192.0.2.62")
		s.open(b, s.anna.Mind, "https://wiki.example/")
		s.open(b, s.anna.Mind, "https://files.example/")
		before := s.Sessions(s.anna)
		post := func(headers ...string) int {
			req, err := http.NewRequest(http.MethodPost, "https://wiki.example/.doorward/signout", nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(headers); i += 2 {
				req.Header.Set(headers[i], headers[i+1])
			}
			res, err := stops(b).HTTP.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if to := res.Header.Get("Location"); res.StatusCode == http.StatusSeeOther && to != rig.Origin+"/signout/done" {
				t.Errorf("leads to %s", to)
			}
			return res.StatusCode
		}
		for _, foreign := range [][]string{
			{}, {"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site", "Origin", "https://wiki.example"},
			{"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "none"}, {"Origin", "https://wiki.example.evil.example"}, {"Origin", "http://wiki.example"},
		} {
			if got := post(foreign...); got != http.StatusForbidden || s.Sessions(s.anna) != before {
				t.Errorf("%v: %d, %d sessions", foreign, got, s.Sessions(s.anna))
			}
		}
		// A link only asks, on the realm's own page.
		req, _ := http.NewRequest(http.MethodGet, "https://wiki.example/.doorward/signout", nil)
		if res, err := b.HTTP.Do(req); err != nil || res.Header.Get("Location") != rig.Origin+"/signout" || s.Sessions(s.anna) != before {
			t.Errorf("%v %v", err, res.Header)
		}
		cookies := [2]string{cookieOf(b, wiki), cookieOf(b, files)}
		if got := post("Sec-Fetch-Site", "same-origin", "Origin", "https://wiki.example"); got != http.StatusSeeOther {
			t.Fatalf("signs out: %d", got)
		}
		if s.Sessions(s.anna) != before-1 || strings.Contains(cookieOf(b, wiki), "__Host-doorward=") {
			t.Errorf("%d sessions, cookies %q", s.Sessions(s.anna), cookieOf(b, wiki))
		}
		for i, host := range []string{wiki, files} {
			if res := s.ask("/forward-auth/check", about(host, "/"), cookies[i]); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s answers %d", host, res.StatusCode)
			}
		}
		if n := len(s.events("session.ended")); n != 1 {
			t.Errorf("%d events", n)
		}
		if got := post("Sec-Fetch-Site", "same-origin"); got != http.StatusSeeOther { // nobody is signed in: done already
			t.Errorf("again: %d", got)
		}
	})
}

// An application may ask for more than the realm does: whoever came in with less shows the rest, and whoever cannot is told
// so.
func TestREQ_B70_AGuardedApplicationAsksForMore(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		s.Write(func(tx *sqlstore.Tx) error {
			r, err := tx.Realm(s.Realm.ID)
			if err != nil {
				return err
			}
			r.Policy = strings.Replace(r.Policy, "login    password + totp | password + phone | passkey", "login    password", 1)
			r.Relying[0].Policy = "login password + totp"
			tx.Bump()
			return tx.PutRealm(r)
		})
		if err := s.Realms.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := s.browse("192.0.2.63")
		if page, err := b.Get(rig.Origin + "/signin"); err != nil {
			t.Fatal(err)
		} else if _, err = s.anna.Mind.Walk(b, page, walker.At("/account")); err != nil {
			t.Fatal(err)
		}
		page, err := b.Get("https://files.example/") // asks for nothing more
		if err != nil || !arrives(page) {
			t.Fatalf("%v, at %s", err, page.URL)
		}
		if c := s.assertion(s.last().Header.Get("Doorward-Assertion")); len(c["amr"].([]any)) != 1 {
			t.Fatalf("amr %v: nothing is left to show", c["amr"])
		}
		if page, err = b.Get("https://wiki.example/secret"); err != nil || !strings.HasPrefix(page.URL.Path, "/signin/") {
			t.Fatalf("%v, at %s", err, page.URL)
		}
		if page, err = s.anna.Mind.Walk(b, page, arrives); err != nil || page.URL.String() != "https://wiki.example/secret" {
			t.Fatalf("%v, at %s", err, page.URL)
		}
		if c := s.assertion(s.last().Header.Get("Doorward-Assertion")); len(c["amr"].([]any)) < 2 {
			t.Errorf("amr %v", c["amr"])
		}
		if page, err = b.Get("https://files.example/"); err != nil || !arrives(page) { // the session keeps its id
			t.Errorf("%v, at %s", err, page.URL)
		}
		page, err = b.Get("https://vault.example/")
		if err != nil || page.Status != http.StatusForbidden || !strings.Contains(page.Main(), "Vault") {
			t.Fatalf("%v, %d at %s: %s", err, page.Status, page.URL, page.Main())
		}
		if page, err = b.Get(page.Link("What is missing")); err != nil || page.Status != http.StatusOK {
			t.Errorf("the reason: %v %d", err, page.Status)
		}
	})
}

// Programs are told that they cannot pass; only a browser that opens a page is led to a sign-in.
func TestREQ_B70_ProgramsAreNotSentToPages(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		const html = "text/html,application/xhtml+xml,*/*;q=0.8"
		for name, c := range map[string]struct {
			method  string
			headers []string
			leads   bool
		}{
			"a page":              {"GET", []string{"Accept", html}, true},
			"a page, marked":      {"GET", []string{"Accept", html, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true},
			"a script's call":     {"GET", []string{"Accept", "*/*", "Sec-Fetch-Mode", "cors"}, false},
			"JSON":                {"GET", []string{"Accept", "application/json"}, false},
			"fetch for HTML":      {"GET", []string{"Accept", html, "Sec-Fetch-Mode", "cors"}, false},
			"jQuery":              {"GET", []string{"Accept", html, "X-Requested-With", "XMLHttpRequest"}, false},
			"nothing said":        {"GET", nil, false},
			"a form":              {"POST", []string{"Accept", html, "Sec-Fetch-Mode", "navigate"}, false},
			"HEAD":                {"HEAD", []string{"Accept", html}, false},
			"OPTIONS":             {"OPTIONS", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, false},
			"a web socket":        {"GET", []string{"Accept", html, "Upgrade", "websocket", "Connection", "Upgrade"}, false},
			"an unheard-of verb":  {"PURGE", []string{"Accept", html}, false},
			"a verb in lowercase": {"get", []string{"Accept", html}, false},
		} {
			said := about(wiki, "/api/items?x=1")
			said.Method = []string{c.method}
			for _, path := range []string{"/forward-auth/check", "/forward-auth/nginx"} {
				res := s.ask(path, said, "", c.headers...)
				to := res.Header.Get("Location")
				want := http.StatusUnauthorized
				if path == "/forward-auth/nginx" {
					to = res.Header.Get("Doorward-Location")
				} else if c.leads {
					want = http.StatusFound
				}
				if res.StatusCode != want || c.leads != (to == "https://wiki.example/.doorward/start?to="+url.QueryEscape("/api/items?x=1")) || !c.leads && to != "" {
					t.Errorf("%s at %s: %d %v", name, path, res.StatusCode, res.Header)
				}
				if !c.leads && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Doorward ") {
					t.Errorf("%s: no WWW-Authenticate", name)
				}
				if res.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: may be kept", name)
				}
			}
		}
		// With the cookie all of them pass.
		b := s.browse("192.0.2.64")
		s.open(b, s.anna.Mind, "https://wiki.example/")
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PURGE"} {
			said := about(wiki, "/api")
			said.Method = []string{method}
			if res := s.ask("/forward-auth/check", said, cookieOf(b, wiki), "Upgrade", "websocket"); res.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", method, res.StatusCode)
			}
		}
		// Envoy asks with the method and the path of the original, under its host.
		req, err := http.NewRequest(http.MethodDelete, "https://wiki.example/forward-auth/envoy/a//b/../c?x=%2F", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res := s.send(forwardauth.Told(req, forwardauth.Said{})); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("Envoy, DELETE: %d", res.StatusCode)
		}
		res := s.askAt(wiki, "/forward-auth/envoy/a//b/../c?x=%2F", forwardauth.Said{Proto: []string{"https"}}, "", "Accept", html)
		if to := res.Header.Get("Location"); res.StatusCode != http.StatusFound || to != "https://wiki.example/.doorward/start?to="+url.QueryEscape("/a//b/../c?x=%2F") {
			t.Errorf("Envoy: %d to %s", res.StatusCode, to)
		}
		if res := s.askAt(wiki, "/forward-auth/envoy/a", forwardauth.Said{}, cookieOf(b, wiki)); res.StatusCode != http.StatusOK {
			t.Errorf("Envoy with the cookie: %d", res.StatusCode)
		}
	})
}
