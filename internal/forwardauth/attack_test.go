package forwardauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/forwardauth"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/token"
	"doorward/realms"
)

// ticket walks somebody who is signed in up to the callback of a host, and returns its address, not yet opened.
func (s *street) ticket(b *walker.Client, host string) string {
	s.t.Helper()
	stops(b)
	at := "https://" + host + "/.doorward/start?to=%2Fhome"
	for range 5 {
		page, err := b.Get(at)
		if err != nil {
			s.t.Fatal(err)
		}
		to := page.Header.Get("Location")
		if strings.HasPrefix(to, "/") {
			to = rig.Origin + to
		}
		if at = to; strings.Contains(at, "/.doorward/callback?ticket=") {
			return at
		}
	}
	s.t.Fatalf("no ticket, last at %s", at)
	return ""
}

// opens reports whether a browser's cookies open a host.
func (s *street) opens(b *walker.Client, host string) bool {
	s.t.Helper()
	return s.ask("/forward-auth/check", about(host, "/"), cookieOf(b, host)).StatusCode == http.StatusOK
}

func (s *street) get(b *walker.Client, address string) *walker.Page {
	s.t.Helper()
	page, err := b.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

func TestSEC_O4_ATicketWorksOnceAmong64(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.through(s.SignIn(s.anna, "192.0.2.65"))
		at := s.ticket(b, wiki)
		cookies := cookieOf(b, wiki)
		ticket := forwardauth.Said{Host: []string{wiki}, Proto: []string{"https"}}
		got := make([]string, 64)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				u, _ := url.Parse(at)
				req, _ := http.NewRequest(http.MethodGet, rig.Origin+u.RequestURI(), nil)
				req.Header.Set("Cookie", cookies)
				res, err := s.Browser("192.0.2.65").HTTP.Transport.RoundTrip(forwardauth.Told(req, ticket))
				if err != nil {
					t.Error(err)
					return
				}
				for _, c := range res.Cookies() {
					if c.Name == "__Host-doorward" && c.Value != "" {
						got[i] = c.Value
					}
				}
			})
		}
		all.Wait()
		winners := 0
		for _, cookie := range got {
			if cookie == "" {
				continue
			}
			winners++
			if !s.over("__Host-doorward=" + cookie) {
				t.Error("the ticket came again, and what it had given still opens")
			}
		}
		if n := len(s.events("client.authorized")); winners != 1 || n != 1 {
			t.Errorf("%d cookies, %d events", winners, n)
		}
		// It costs the person a redirect, nothing more.
		b.HTTP.CheckRedirect = nil
		if page := s.get(b, "https://wiki.example/x"); !arrives(page) {
			t.Errorf("at %s", page.URL)
		}
	})
}

func TestSEC_S2_ATicketOpensItsOwnHostInItsOwnBrowser(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		mallory := s.Join(s.Organization("Mallow", false), directory.Member, "Mallory", "mallory@mallow.example")
		s.through(mallory.Browser)
		for name, c := range map[string]func(b, victim *walker.Client) (*walker.Client, string){
			// A stranger's ticket in somebody's browser: they would work in the stranger's name.
			"in another browser": func(_, victim *walker.Client) (*walker.Client, string) {
				return victim, s.ticket(mallory.Browser, wiki)
			},
			"in another browser that is on its way itself": func(_, victim *walker.Client) (*walker.Client, string) {
				stops(victim)
				s.get(victim, "https://wiki.example/.doorward/start")
				return victim, s.ticket(mallory.Browser, wiki)
			},
			"at another host": func(b, _ *walker.Client) (*walker.Client, string) {
				at := s.ticket(b, wiki)
				s.ticket(b, files)
				return b, strings.Replace(at, wiki, files, 1)
			},
			"after a minute": func(b, _ *walker.Client) (*walker.Client, string) {
				at := s.ticket(b, wiki)
				s.Clock.Advance(time.Minute)
				return b, at
			},
			"made up": func(b, _ *walker.Client) (*walker.Client, string) {
				s.ticket(b, wiki)
				return b, "https://wiki.example/.doorward/callback?ticket=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			},
			"none": func(b, _ *walker.Client) (*walker.Client, string) {
				s.ticket(b, wiki)
				return b, "https://wiki.example/.doorward/callback"
			},
		} {
			b, victim := s.through(s.SignIn(s.anna, "192.0.2.66")), s.browse("192.0.2.67")
			before := len(s.events("client.authorized"))
			who, at := c(b, victim)
			page := s.get(stops(who), at)
			to := page.Header.Get("Location")
			if page.Status != http.StatusSeeOther || !strings.HasPrefix(to, rig.Origin+"/forward-auth/again?host=") {
				t.Errorf("%s: %d to %s", name, page.Status, to)
			}
			if s.opens(who, wiki) || s.opens(who, files) || len(s.events("client.authorized")) != before {
				t.Errorf("%s: opens", name)
			}
			if page := s.get(who, to); page.Status != http.StatusOK || !strings.HasPrefix(page.Link("Open "), "https://") {
				t.Errorf("%s: the page that leads on: %d", name, page.Status)
			}
			// A ticket that was somewhere it should not be is worth nothing where it should.
			if strings.HasPrefix(name, "in another browser") {
				if s.get(mallory.Browser, at); s.opens(mallory.Browser, wiki) {
					t.Errorf("%s: still good at home", name)
				}
			}
		}
	})
}

// An application that knows what a browser sends to another one cannot take that one's ticket.
func TestSEC_S2_ATicketWithItsSecretOpensNoOtherHost(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.through(s.SignIn(s.anna, "192.0.2.74"))
		at, err := url.Parse(s.ticket(b, wiki))
		if err != nil {
			t.Fatal(err)
		}
		own := cookieOf(b, wiki)
		res := s.ask(at.RequestURI(), forwardauth.Said{Host: []string{files}, Proto: []string{"https"}}, own)
		if to := res.Header.Get("Location"); len(res.Cookies()) != 0 || len(s.events("client.authorized")) != 0 || strings.Contains(to, "home") {
			t.Errorf("taken: %v", res.Header)
		}
		res = s.ask(at.RequestURI(), forwardauth.Said{Host: []string{wiki}, Proto: []string{"https"}}, own)
		if len(res.Cookies()) != 0 || len(s.events("client.authorized")) != 0 {
			t.Errorf("still good at home: %v", res.Header)
		}
	})
}

// One sign-in gives one ticket, however many tabs go on with it at once; the others begin anew.
func TestSEC_O4_OneSignInOneTicketAmong64(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := stops(s.through(s.SignIn(s.anna, "192.0.2.75")))
		at := s.get(b, "https://wiki.example/.doorward/start?to=%2Fhome").Header.Get("Location")
		at = s.get(b, at).Header.Get("Location")
		cookies, got := cookieOf(b, rig.Host), make([]string, 64)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				req, _ := http.NewRequest(http.MethodGet, rig.Origin+at, nil)
				req.Header.Set("Cookie", cookies)
				res, err := s.Browser("192.0.2.75").HTTP.Transport.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = res.Header.Get("Location")
			})
		}
		all.Wait()
		tickets := 0
		for _, to := range got {
			if strings.HasPrefix(to, "https://wiki.example/.doorward/callback?ticket=") {
				tickets++
			} else if to != "https://wiki.example/.doorward/start?to=%2Fhome" {
				t.Errorf("leads to %q", to)
			}
		}
		if tickets != 1 {
			t.Errorf("%d tickets", tickets)
		}
	})
}

// Going back to the callback, or loading it again, changes nothing for the browser that used the ticket.
func TestSEC_O4_LoadingTheCallbackAgainIsHarmless(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.through(s.SignIn(s.anna, "192.0.2.68"))
		at := s.ticket(b, wiki)
		for range 3 {
			if page := s.get(b, at); page.Header.Get("Location") != "https://wiki.example/home" || !s.opens(b, wiki) {
				t.Fatalf("%d to %s", page.Status, page.Header.Get("Location"))
			}
		}
		// Two tabs that began at the same time both arrive.
		other := s.through(s.SignIn(s.anna, "192.0.2.69"))
		first, second := s.ticket(other, wiki), s.ticket(other, wiki)
		for _, at := range []string{first, second} {
			if page := s.get(other, at); page.Header.Get("Location") != "https://wiki.example/home" || !s.opens(other, wiki) {
				t.Errorf("%d to %s", page.Status, page.Header.Get("Location"))
			}
		}
	})
}

func TestSEC_O15_CookiesTicketsAndRequestsStayApart(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.through(s.SignIn(s.anna, "192.0.2.70"))
		s.get(b, "https://wiki.example/")
		own, session := cookieOf(b, wiki), cookieOf(b, rig.Host)
		value := strings.TrimPrefix(own, "__Host-doorward=")
		if !s.opens(b, wiki) || strings.Contains(own, ";") {
			t.Fatalf("cookies of the host: %q", own)
		}
		_, real, _ := strings.Cut(session, "__Host-session=")
		real, _, _ = strings.Cut(real, ";")
		var id string
		s.Read(func(tx *sqlstore.Tx) error {
			all, err := tx.Sessions(s.Realm.ID, s.anna.Is.ID)
			id = all[0].ID
			return err
		})
		for name, cookie := range map[string]string{
			"the session's":           "__Host-doorward=" + real,
			"the session's, its name": "__Host-session=" + real,
			"the session's id":        "__Host-doorward=" + id,
			"without prefix":          "doorward=" + value,
			"another prefix":          "__Secure-doorward=" + value,
			"another case":            "__host-doorward=" + value,
			"a little longer":         own + "A",
			"a little shorter":        own[:len(own)-1],
			"empty":                   "__Host-doorward=",
		} {
			if !s.over(cookie) {
				t.Errorf("%s opens", name)
			}
		}
		for _, twice := range []string{own + "; " + own, own + "; __Host-doorward=x", "__Host-doorward=x; " + own, "__Host-doorward=; " + own} {
			if res := s.ask("/forward-auth/check", about(wiki, "/"), twice); res.StatusCode != http.StatusForbidden {
				t.Errorf("%.40s…: %d", twice, res.StatusCode)
			}
		}
		for _, host := range []string{files, "notes.example"} { // of another application, and of the same
			if res := s.ask("/forward-auth/check", about(host, "/"), own); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("one host's cookie at %s: %d", host, res.StatusCode)
			}
		}
		if !s.opens(b, wiki) {
			t.Error("asking for another host closed this one")
		}
		// At the realm the host's cookie is nothing.
		req, _ := http.NewRequest(http.MethodGet, rig.Origin+"/account", nil)
		req.Header.Set("Cookie", "__Host-session="+value)
		if res := s.send(req); res.StatusCode != http.StatusSeeOther {
			t.Errorf("/account answers %d", res.StatusCode)
		}
		// A sign-in for a host is no authorization request, and the other way round.
		stops(b)
		page := s.get(b, "https://files.example/.doorward/start")
		row := strings.TrimPrefix(s.get(b, page.Header.Get("Location")).Header.Get("Location"), "/forward-auth/start/")
		if page = s.get(b, rig.Origin+"/oauth2/authorize/"+row); page.Status != http.StatusBadRequest {
			t.Errorf("the provider answers %d", page.Status)
		}
		foreign := "0191d6a0-0000-7000-8000-00000000000f"
		s.Write(func(tx *sqlstore.Tx) error {
			return tx.AddRequest(token.Request{ID: foreign, Realm: s.Realm.ID, Client: "wiki", Params: map[string]string{"redirect_uri": "https://x.example/"},
				Created: s.Clock.Now(), Expires: s.Clock.Now().Add(time.Hour)})
		})
		if page = s.get(b, rig.Origin+"/forward-auth/start/"+foreign); page.Status != http.StatusNotFound {
			t.Errorf("an authorization request: %d to %s", page.Status, page.Header.Get("Location"))
		}
	})
}

func TestSEC_N2_OnlyProxiesAreAnsweredAndOnlyOneStory(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.through(s.SignIn(s.anna, "192.0.2.71"))
		s.get(b, "https://wiki.example/")
		cookie := cookieOf(b, wiki)
		for _, host := range []string{rig.Host, wiki} { // nobody vouches for what is said
			for _, path := range []string{"/forward-auth/check", "/forward-auth/nginx", "/forward-auth/envoy/", "/.doorward/start", "/.doorward/callback?ticket=x", "/.doorward/signout", "/.doorward/x"} {
				req, _ := http.NewRequest(http.MethodGet, "https://"+host+path, nil)
				req.Header.Set("Cookie", cookie)
				req.Header.Set("X-Forwarded-Host", wiki)
				if res := s.send(req); res.StatusCode != http.StatusForbidden || res.Header.Get("Doorward-Assertion") != "" {
					t.Errorf("%s%s: %d", host, path, res.StatusCode)
				}
			}
		}
		one := func(v string) []string { return []string{v} }
		full := func(change func(*forwardauth.Said)) forwardauth.Said {
			said := about(wiki, "/x")
			change(&said)
			return said
		}
		for name, c := range map[string]struct {
			said forwardauth.Said
			want int
		}{
			"as it should be":      {about(wiki, "/x"), 200},
			"with the port":        {about(wiki+":443", "/x"), 200},
			"in capitals":          {about("WIKI.example", "/x"), 200},
			"a web socket":         {full(func(s *forwardauth.Said) { s.Proto = one("wss") }), 200},
			"a full address":       {forwardauth.Said{URL: one("https://wiki.example/x?y"), URLMethod: one("GET")}, 200},
			"both, the same":       {full(func(s *forwardauth.Said) { s.URL, s.URLMethod = one("https://wiki.example/x"), one("GET") }), 200},
			"nothing":              {forwardauth.Said{}, 400},
			"no host":              {full(func(s *forwardauth.Said) { s.Host = nil }), 400},
			"an empty host":        {full(func(s *forwardauth.Said) { s.Host = one("") }), 400},
			"no method":            {full(func(s *forwardauth.Said) { s.Method = nil }), 400},
			"plain HTTP":           {full(func(s *forwardauth.Said) { s.Proto = one("http") }), 400},
			"plain HTTP, in full":  {forwardauth.Said{URL: one("http://wiki.example/x"), URLMethod: one("GET")}, 400},
			"two hosts":            {full(func(s *forwardauth.Said) { s.Host = []string{wiki, files} }), 400},
			"two protocols":        {full(func(s *forwardauth.Said) { s.Proto = []string{"https", "http"} }), 400},
			"two paths":            {full(func(s *forwardauth.Said) { s.URI = []string{"/x", "/y"} }), 400},
			"one host twice":       {full(func(s *forwardauth.Said) { s.Host = []string{wiki, wiki} }), 400},
			"two methods":          {full(func(s *forwardauth.Said) { s.Method = []string{"GET", "POST"} }), 400},
			"another host in full": {full(func(s *forwardauth.Said) { s.URL = one("https://files.example/x") }), 400},
			"another path in full": {full(func(s *forwardauth.Said) { s.URL = one("https://wiki.example/y") }), 400},
			"another method":       {full(func(s *forwardauth.Said) { s.URLMethod = one("DELETE") }), 400},
			"another scheme":       {full(func(s *forwardauth.Said) { s.URL = one("http://wiki.example/x") }), 400},
			"a list of hosts":      {about(wiki+", "+files, "/x"), 403},
			"the realm itself":     {about(rig.Host, "/x"), 403},
			"nobody's host":        {about("other.example", "/x"), 403},
			"a host below":         {about("a.wiki.example", "/x"), 403},
			"with a dot":           {about("wiki.example.", "/x"), 403},
			"another port":         {about("wiki.example:8443", "/x"), 403},
			"no port where needed": {about("ports.example", "/x"), 403},
			"with a user name":     {about("x@wiki.example", "/x"), 403},
			"in full, user name":   {forwardauth.Said{URL: one("https://wiki.example@evil.example/x"), URLMethod: one("GET")}, 403},
			"no address":           {forwardauth.Said{URL: one("wiki.example"), URLMethod: one("GET")}, 400},
		} {
			if res := s.ask("/forward-auth/check", c.said, cookie); res.StatusCode != c.want || (res.Header.Get("Doorward-Assertion") != "") != (c.want == 200) {
				t.Errorf("%s: %d, want %d", name, res.StatusCode, c.want)
			}
		}
		// Under the guarded host itself nothing of the realm answers, and no other host can be named.
		for path, want := range map[string]int{"/": 404, "/account": 404, "/signin": 404, "/assets/site.css": 404, "/forward-auth/start": 404, "/forward-auth/check": 200} {
			if res := s.askAt(wiki, path, about(wiki, "/"), cookie); res.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
			}
		}
		if res := s.askAt(files, "/forward-auth/check", about(wiki, "/"), cookie); res.StatusCode != http.StatusBadRequest {
			t.Errorf("one host asks for another: %d", res.StatusCode)
		}
		// Another realm's application is not asked about here.
		s.Write(func(tx *sqlstore.Tx) error {
			r, err := directory.ParseRealm("wealth.toml", realms.Wealth)
			if err != nil {
				return err
			}
			r.Relying = []directory.RelyingParty{{ID: "bank", Name: "Bank", Home: "https://bank.example/", Hosts: []string{"bank.example"}}}
			return tx.PutRealm(r)
		})
		if err := s.Realms.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if res := s.ask("/forward-auth/check", about("bank.example", "/"), cookie); res.StatusCode != http.StatusForbidden {
			t.Errorf("another realm's application: %d", res.StatusCode)
		}
		if res := s.askAt("bank.example", "/forward-auth/check", about("bank.example", "/"), cookie); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("another realm's application, under its own name: %d", res.StatusCode)
		}
		if page := s.get(stops(b), rig.Origin+"/forward-auth/start?host=bank.example&to=/&nonce="+strings.Repeat("A", 43)); page.Status != http.StatusNotFound {
			t.Errorf("a sign-in for another realm's application: %d", page.Status)
		}
		// What the path looks like never matters.
		for _, path := range []string{"/health", "/public/x", "/.well-known/acme-challenge/x", "/forward-auth/check", "/.doorward/start", "//", "/%2e%2e/", "/x;/../y", "*", ""} {
			if res := s.ask("/forward-auth/check", about(wiki, path), ""); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%q: %d", path, res.StatusCode)
			}
		}
	})
}

// hostile are addresses that would lead away, as redirects of others were tricked.
func hostile(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/returns.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, line := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		out = append(out, strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\r`, "\r", `\0`, "\x00", `\b`, "\\").Replace(line))
	}
	if len(out) < 100 {
		t.Fatalf("only %d addresses", len(out))
	}
	return out
}

func TestSEC_F4_NobodyIsLedAwayFromTheGuardedHost(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := stops(s.through(s.SignIn(s.anna, "192.0.2.72")))
		// stays reports whether every reader of an address ends at the host: ours, and one that follows what browsers do.
		stays := func(address string) bool {
			u, err := url.Parse(address)
			return err == nil && u.Scheme == "https" && u.Host == wiki && u.User == nil && !strings.ContainsAny(address, "\\\t\r\n\x00 ") &&
				strings.HasPrefix(address, "https://wiki.example/")
		}
		left, refused := 0, 0
		for i, bad := range hostile(t) {
			if i%50 == 0 {
				s.Clock.Advance(time.Minute) // the limit on sign-ins from one network
			}
			// From the proxy, as the address of the request.
			res := s.ask("/forward-auth/check", about(wiki, bad), "", "Accept", "text/html")
			if to := res.Header.Get("Location"); !stays(to) || !strings.HasPrefix(to, "https://wiki.example/.doorward/start?to=") {
				t.Fatalf("%q: the check leads to %q", bad, to)
			}
			// At the realm, past the proxy. The last redirect is the ticket's, which keeps the address on our side.
			page := s.get(b, rig.Origin+"/forward-auth/start?"+url.Values{"host": {wiki}, "to": {bad}, "nonce": {strings.Repeat("A", 43)}}.Encode())
			if page.Status == http.StatusUnprocessableEntity {
				refused++
			} else if page.Status != http.StatusSeeOther || !strings.HasPrefix(page.Header.Get("Location"), "/forward-auth/start/") {
				t.Fatalf("%q: %d to %q", bad, page.Status, page.Header.Get("Location"))
			}
			// On the host.
			page = s.get(b, "https://wiki.example/.doorward/start?"+url.Values{"to": {bad}}.Encode())
			if page.Status == http.StatusBadRequest {
				continue
			}
			at := page.Header.Get("Location")
			at = rig.Origin + s.get(b, at).Header.Get("Location")
			at = s.get(b, at).Header.Get("Location")
			if !strings.HasPrefix(at, "https://wiki.example/.doorward/callback?ticket=") {
				t.Fatalf("%q: leads to %q", bad, at)
			}
			if to := s.get(b, at).Header.Get("Location"); !stays(to) || to != "https://wiki.example"+bad {
				t.Fatalf("%q: ends at %q", bad, to)
			}
			left++
			// And on the page that leads on.
			page = s.get(b, rig.Origin+"/forward-auth/again?"+url.Values{"host": {wiki}, "to": {bad}}.Encode())
			if to := page.Link("Open "); !stays(to) {
				t.Fatalf("%q: the page leads to %q", bad, to)
			}
		}
		if left < 10 || refused < 50 {
			t.Errorf("%d led back, %d refused: this proves nothing", left, refused)
		}
		for _, host := range []string{"evil.example", "", "wiki.example.evil.example", "WIKI.example", "wiki.example:443", "wiki.example/", "wiki.example@evil.example", rig.Host, "files.example\\@evil.example"} {
			for _, path := range []string{"/forward-auth/start?", "/forward-auth/again?"} {
				page := s.get(b, rig.Origin+path+url.Values{"host": {host}, "to": {"/"}, "nonce": {strings.Repeat("A", 43)}}.Encode())
				if page.Status != http.StatusNotFound || page.Header.Get("Location") != "" {
					t.Errorf("%s with %q: %d to %q", path, host, page.Status, page.Header.Get("Location"))
				}
			}
		}
		for _, q := range []string{"", "host=wiki.example", "host=wiki.example&to=/", "host=wiki.example&host=wiki.example&to=/&nonce=" + strings.Repeat("A", 43), "host=wiki.example&to=/&nonce=x", "host=wiki.example&to=/&nonce=" + strings.Repeat("=", 43)} {
			if page := s.get(b, rig.Origin+"/forward-auth/start?"+q); page.Status != http.StatusUnprocessableEntity {
				t.Errorf("%q: %d", q, page.Status)
			}
		}
	})
}

// A name is whatever somebody is called; in a header it stays one line of one header.
func TestSEC_F4_NamesCannotWriteHeaders(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.through(s.SignIn(s.anna, "192.0.2.73"))
		s.get(b, "https://wiki.example/")
		for name, want := range map[string]string{
			"Jürg Böhm":                              "J%C3%BCrg B%C3%B6hm",
			"Eve\r\nRemote-User: root":               "Eve%0D%0ARemote-User: root",
			"Eve\nSet-Cookie: a=b\r\n\r\n<script>":   "Eve%0ASet-Cookie: a=b%0D%0A%0D%0A<script>",
			"100 % \x7f":                             "100 %25 %7F",
			"\u202eroot":                             "%E2%80%AEroot",
			strings.Repeat("ü", 60):                  strings.Repeat("%C3%BC", 60),
			"Anna, Remote-User=root; Remote-Email=x": "Anna, Remote-User=root; Remote-Email=x",
		} {
			s.Write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person(s.Realm.ID, s.anna.Is.ID)
				if err != nil {
					return err
				}
				p.Name = name
				tx.Bump()
				return tx.UpdatePerson(p)
			})
			res := s.ask("/forward-auth/check", about(wiki, "/"), cookieOf(b, wiki))
			if got := res.Header.Get("Remote-Name"); got != want || res.Header.Get("Remote-User") != s.anna.Is.ID || len(res.Header["Set-Cookie"]) != 0 {
				t.Errorf("%q: %q, %v", name, got, res.Header)
			}
			if back, err := url.PathUnescape(res.Header.Get("Remote-Name")); err != nil || back != name {
				t.Errorf("%q comes back as %q, %v", name, back, err)
			}
			if c := s.assertion(res.Header.Get("Doorward-Assertion")); c["name"] != name {
				t.Errorf("%q in the assertion: %q", name, c["name"])
			}
		}
	})
}

// What is kept in memory belongs to one cookie at one host.
func TestSEC_O9_MemoryMixesNobody(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		bert := s.Join(s.Organization("Beech", false), directory.Member, "Bert Beech", "bert@beech.example")
		type seat struct {
			who  *rig.Somebody
			host string
			at   string
		}
		var seats []seat
		for i, who := range []*rig.Somebody{s.anna, bert} {
			b := s.through(s.SignIn(who, fmt.Sprintf("192.0.2.8%d", i)))
			for _, host := range []string{wiki, files} {
				s.get(b, "https://"+host+"/")
				seats = append(seats, seat{who, host, cookieOf(b, host)})
			}
		}
		type issued struct {
			raw    string
			issued int64
		}
		kept, renewed := map[seat]issued{}, false
		for range 20 {
			for _, x := range seats {
				for _, host := range []string{wiki, files} {
					res := s.ask("/forward-auth/check", about(host, "/"), x.at)
					if host != x.host {
						if res.StatusCode != http.StatusUnauthorized {
							t.Fatalf("%s's cookie of %s opens %s", x.who.Is.Name, x.host, host)
						}
						continue
					}
					raw := res.Header.Get("Doorward-Assertion")
					c := s.assertion(raw)
					if res.Header.Get("Remote-User") != x.who.Is.ID || c["sub"] != x.who.Is.ID || c["aud"] != "https://"+host {
						t.Fatalf("%s at %s is told as %v", x.who.Is.Name, host, c)
					}
					if left := c["exp"].(float64) - float64(s.Clock.Now().Unix()); left <= 150 || left > 300 {
						t.Fatalf("%v seconds are left", left)
					}
					if last, ok := kept[x]; ok {
						age := s.Clock.Now().Unix() - last.issued
						if same := last.raw == raw; same != (age < 150) {
							t.Fatalf("after %d s the same assertion: %t", age, same)
						}
						renewed = renewed || last.raw != raw
					}
					kept[x] = issued{raw, int64(c["iat"].(float64))}
				}
			}
			s.Clock.Advance(10 * time.Second)
		}
		if !renewed {
			t.Error("no assertion was ever renewed: this proves nothing")
		}
	})
}
