package rig_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// wealth is a rig whose members show certificates, with a CA and one member who is in.
type wealth struct {
	*rig.Rig
	ca  *rig.CA
	of  pki.Authority
	org directory.Organization
	ann *rig.Somebody
	dev rig.Device
}

// enter invites somebody who has a device, and walks them in.
func (w *wealth) enter(name, address string) (*rig.Somebody, rig.Device) {
	w.T.Helper()
	p, link := w.Invite(w.org, directory.Member, name, address)
	dev := w.Device(w.ca, w.of, p, "Tablet")
	s := &rig.Somebody{Is: p, Mind: w.Mind(address), Browser: w.BrowserWith("192.0.2.10", dev.Cert)}
	page, err := s.Browser.Get(link)
	if err != nil {
		w.T.Fatal(err)
	}
	if _, err = s.Mind.Walk(s.Browser, page, walker.At("/account")); err != nil {
		w.T.Fatalf("%s comes in: %v", address, err)
	}
	return s, dev
}

func withDevices(t *testing.T, store *sqlstore.Store, changes ...func(*directory.Realm)) *wealth {
	t.Helper()
	return withDevicesOf(t, store, rig.NewCA(t, "Issuing CA"), changes...)
}

// withDevicesOf is withDevices with a CA of the test's own.
func withDevicesOf(t *testing.T, store *sqlstore.Store, ca *rig.CA, changes ...func(*directory.Realm)) *wealth {
	t.Helper()
	w := &wealth{Rig: rig.New(t, store, append(changes, rig.WithCertificates)...), ca: ca}
	w.of = w.Trust(w.ca)
	w.org = w.Organization("Customer", false)
	w.ann, w.dev = w.enter("Ann Client", "ann@client.example")
	w.Clock.Advance(rig.Step)
	return w
}

// at begins a sign-in in a browser and goes as far as the page about the certificate.
func (w *wealth) at(c *walker.Client, address string) *walker.Page {
	w.T.Helper()
	page, err := c.Get(rig.Origin + "/signin")
	if err != nil {
		w.T.Fatal(err)
	}
	f := page.Form()
	f.Fill("username", address)
	if page, err = c.Submit(f); err != nil {
		w.T.Fatal(err)
	}
	if page.FormTo("/certificate") == nil {
		w.T.Fatalf("no certificate is asked for: %q", page.Main())
	}
	return page
}

// show presses the button of a page about certificates.
func (w *wealth) show(c *walker.Client, page *walker.Page) *walker.Page {
	w.T.Helper()
	page, err := c.Submit(page.FormTo("/certificate"))
	if err != nil {
		w.T.Fatal(err)
	}
	return page
}

func wants(p *walker.Page, what string) bool {
	f := p.Form()
	return f != nil && f.Asks(what)
}

// A certificate, the password and a code, in this order, let somebody in; no two of them do.
func TestREQ_A1_AllThreeAndNoTwo(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		c := w.BrowserWith("192.0.2.10", w.dev.Cert)
		page := w.show(c, w.at(c, w.ann.Is.Address))
		if !wants(page, "current-password") {
			t.Fatalf("after the certificate: %q", page.Main())
		}
		if _, err := w.ann.Mind.Walk(c, page, walker.At("/account")); err != nil {
			t.Fatal(err)
		}
		// Without the certificate neither password nor code is looked at, right or wrong.
		none := w.Browser("192.0.2.11")
		flow := strings.TrimPrefix(w.at(none, w.ann.Is.Address).URL.Path, "/signin/")
		before := w.count("signin.failed")
		for kind, field := range map[string]string{"password": rig.Password, "totp": w.ann.Mind.NextCode()} {
			req, _ := http.NewRequest(http.MethodPost, rig.Origin+"/signin/"+flow+"/prove", strings.NewReader(url.Values{"kind": {kind}, "password": {field}, "code": {field}}.Encode()))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, err := none.HTTP.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		}
		if page, err := none.Get(rig.Origin + "/signin/" + flow); err != nil || page.FormTo("/certificate") == nil {
			t.Errorf("two factors without the certificate lead to %q, %v", page.Main(), err)
		}
		if got := w.count("signin.failed"); got != before+1 {
			t.Errorf("%d attempts with a right password before the certificate were refused as wrong, want 1", got-before)
		}
		// The certificate and the password without the code, the certificate and the code without the password.
		half := w.BrowserWith("192.0.2.12", w.dev.Cert)
		page = w.show(half, w.at(half, w.ann.Is.Address))
		if f := page.Form(); !f.Fill("current-password", rig.Password) {
			t.Fatal("no password is asked for")
		} else if page, _ = half.Submit(f); !wants(page, "one-time-code") {
			t.Fatalf("after certificate and password: %q", page.Main())
		}
		if page, err := half.Get(rig.Origin + "/account"); err != nil || strings.HasPrefix(page.URL.Path, "/account") {
			t.Errorf("certificate and password let in: %s %v", page.URL, err)
		}
	})
}

// count counts events of a type.
func (w *wealth) count(kind string) (n int) {
	w.T.Helper()
	w.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: w.Realm.ID, Types: []string{kind}, Limit: 1000})
		n = len(all)
		return err
	})
	return n
}

// What is refused, and the words for it: each page says something else, its status is 200, and no evidence enters.
func TestREQ_A21_SEC_C3_C4_EveryWrongCertificateHasItsPage(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		bob, bobs := w.enter("Bob Client", "bob@client.example")
		sibling, stranger := rig.NewCA(t, "Issuing CA"), rig.NewCA(t, "Company CA")
		copyOf := func(from rig.Device) func(*x509.Certificate) {
			return func(c *x509.Certificate) {
				c.Subject, c.SerialNumber, c.PublicKey = from.Cert.Leaf.Subject, from.Cert.Leaf.SerialNumber, from.Cert.Leaf.PublicKey
			}
		}
		revoked, suspended, replaced, overlapped := w.Device(w.ca, w.of, w.ann.Is, "R"), w.Device(w.ca, w.of, w.ann.Is, "S"), w.Device(w.ca, w.of, w.ann.Is, "O"), w.Device(w.ca, w.of, w.ann.Is, "P")
		w.Change(revoked, func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Revoked, pki.KeyCompromise, w.Clock.Now() })
		w.Change(suspended, func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Suspended, pki.Hold, w.Clock.Now() })
		w.Change(replaced, func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Revoked, pki.Superseded, w.Clock.Now() })
		w.Change(overlapped, func(c *pki.Certificate) { c.State, c.Ends = pki.Active, w.Clock.Now() })
		ended := w.Device(w.ca, w.of, w.ann.Is, "E", func(c *x509.Certificate) { c.NotAfter = w.Clock.Now().Add(-time.Second) })
		early := w.Device(w.ca, w.of, w.ann.Is, "F", func(c *x509.Certificate) { c.NotBefore = w.Clock.Now().Add(time.Hour) })
		server := w.Device(w.ca, w.of, w.ann.Is, "K", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
		unlisted := w.ca.Issue(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "never on record"} })
		retired := rig.NewCA(t, "Revoked CA")
		gone := w.Trust(retired)
		fallen := w.Device(retired, gone, w.ann.Is, "C")
		w.Write(func(tx *sqlstore.Tx) error {
			gone.State, gone.Ended = pki.Revoked, w.Clock.Now()
			return tx.UpdateAuthority(gone)
		})
		sub := w.ca.Below("A CA below")
		for name, c := range map[string]struct {
			cert tls.Certificate
			want string
		}{
			"nothing":                     {tls.Certificate{}, "No certificate arrived"},
			"revoked":                     {revoked.Cert, "was revoked"},
			"suspended":                   {suspended.Cert, "is on hold"},
			"replaced":                    {replaced.Cert, "picked the old certificate"},
			"after the overlap":           {overlapped.Cert, "picked the old certificate"},
			"expired":                     {ended.Cert, "has run out"},
			"not yet":                     {early.Cert, "not valid yet"},
			"somebody else's":             {bobs.Cert, "belongs to somebody else"},
			"of a stranger's CA":          {stranger.Issue(copyOf(w.dev)), "is not one of"},
			"of a sibling CA, same names": {sibling.Issue(copyOf(w.dev)), "is not one of"},
			"self-signed twin":            {rig.SelfSigned(t, func(c *x509.Certificate) { copyOf(w.dev)(c); c.PublicKey = nil }), "is not one of"},
			"same serial, other content":  {w.ca.Issue(copyOf(w.dev)), "is not one of"},
			"ours, but on no record":      {unlisted, "is not one of"},
			"for servers":                 {server.Cert, "is not one of"},
			"of a CA that was revoked":    {fallen.Cert, "is not one of"},
			"of a CA below ours":          {sub.Issue(copyOf(w.dev)), "is not one of"},
			"the CA itself":               {tls.Certificate{Leaf: w.ca.Cert}, "is not one of"},
		} {
			var client *walker.Client
			if client = w.BrowserWith("192.0.2.30", c.cert); c.cert.Leaf == nil {
				client = w.Browser("192.0.2.30")
			}
			page := w.show(client, w.at(client, w.ann.Is.Address))
			if !strings.Contains(page.Title(), c.want) || page.Status != 200 || wants(page, "current-password") {
				t.Errorf("%s: %d %q, want %q", name, page.Status, page.Title(), c.want)
			}
			if f := page.FormTo("/certificate"); f == nil || f.Values.Get("try") != "1" {
				t.Errorf("%s: the page offers no other try", name)
			}
		}
		if w.count("person.mismatch") != 1 || w.count("signin.failed") < 10 {
			t.Errorf("audited: %d mismatches, %d failures", w.count("person.mismatch"), w.count("signin.failed"))
		}
		// The typed address decides as well: a certificate that holds leads nobody in under another name, known or not.
		for _, address := range []string{bob.Is.Address, "nobody@client.example"} {
			c := w.BrowserWith("192.0.2.31", w.dev.Cert)
			if page := w.show(c, w.at(c, address)); !strings.Contains(page.Title(), "belongs to somebody else") {
				t.Errorf("as %s: %q", address, page.Title())
			}
		}
		// And what holds still does: none of this shut its owner out.
		c := w.BrowserWith("192.0.2.30", w.dev.Cert)
		if page := w.show(c, w.at(c, w.ann.Is.Address)); !wants(page, "current-password") {
			t.Errorf("the good certificate: %q", page.Main())
		}
	})
}

// hop follows a browser to the host for certificates without letting it go on: it returns the address that the host sends
// it to.
func (w *wealth) hop(c *walker.Client, page *walker.Page) (there, back string) {
	w.T.Helper()
	jar := c.HTTP
	defer func(old func(*http.Request, []*http.Request) error) { jar.CheckRedirect = old }(jar.CheckRedirect)
	jar.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	first, err := c.Submit(page.FormTo("/certificate"))
	if err != nil {
		w.T.Fatal(err)
	}
	there = first.Header.Get("Location")
	second, err := c.Get(there)
	if err != nil {
		w.T.Fatal(err)
	}
	return there, second.Header.Get("Location")
}

// A ticket moves no evidence into a flow it was not made for, nor into another browser, and works once.
func TestSEC_A5_C4_ATicketIsBoundToFlowAndBrowser(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		victim := func() *walker.Client { return w.BrowserWith("192.0.2.10", w.dev.Cert) }

		// The thief begins a flow and lures the victim to the host for certificates with their own ticket.
		thief := w.Browser("203.0.113.9")
		lure := w.at(thief, w.ann.Is.Address)
		stay := thief.HTTP.CheckRedirect
		thief.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		sent, err := thief.Submit(lure.FormTo("/certificate"))
		if err != nil {
			t.Fatal(err)
		}
		thief.HTTP.CheckRedirect = stay
		lured := victim()
		page, err := lured.Get(sent.Header.Get("Location"))
		if err != nil || wants(page, "current-password") {
			t.Errorf("the lured browser goes on in the thief's flow: %q, %v", page.Main(), err)
		}
		if page, err := thief.Get(lure.URL.String()); err != nil || page.FormTo("/certificate") == nil {
			t.Errorf("the thief's flow moved on: %q, %v", page.Main(), err)
		}
		// Should the ticket back leak as well, it works in the thief's browser: but it is shown to the victim's alone. Seen by
		// nobody else, it is of no use to a third browser, nor in another flow of the victim's.
		mine := victim()
		own := w.at(mine, w.ann.Is.Address)
		there, back := w.hop(mine, own)
		if page, err := thief.Get(back); err != nil || wants(page, "current-password") {
			t.Errorf("another browser takes the ticket back: %q, %v", page.Main(), err)
		}
		other := w.at(mine, w.ann.Is.Address)
		moved := strings.Replace(back, strings.TrimPrefix(own.URL.Path, "/signin/"), strings.TrimPrefix(other.URL.Path, "/signin/"), 1)
		if page, err := mine.Get(moved); err != nil || wants(page, "current-password") || moved == back {
			t.Errorf("the ticket counts in another flow: %q, %v", page.Main(), err)
		}
		// The way there is used: it leads nobody anywhere.
		if page, err := mine.Get(there); err != nil || page.URL.Path != "/signin/certificate" {
			t.Errorf("the ticket there works twice: %s, %v", page.URL, err)
		}
		if page, err := mine.Get(back); err != nil || !wants(page, "current-password") {
			t.Fatalf("the honest way: %q, %v", page.Main(), err)
		}
		if page, err := mine.Get(back); err != nil || !wants(page, "current-password") {
			t.Errorf("opened again, the flow goes on where it is: %q, %v", page.Main(), err)
		}

		// Time runs out on both.
		late := victim()
		there, back = w.hop(late, w.at(late, w.ann.Is.Address))
		w.Clock.Advance(2*time.Minute - time.Second)
		if page, err := late.Get(back); err != nil || !wants(page, "current-password") {
			t.Errorf("just in time: %q, %v", page.Main(), err)
		}
		_, back = w.hop(late, w.at(late, w.ann.Is.Address))
		w.Clock.Advance(2 * time.Minute)
		if page, err := late.Get(back); err != nil || wants(page, "current-password") || page.FormTo("/certificate") == nil {
			t.Errorf("too late: %q, %v", page.Main(), err)
		}
		late.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		again, err := late.Submit(w.at2(late).FormTo("/certificate"))
		if err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(10 * time.Minute)
		if page, err := late.Get(again.Header.Get("Location")); err != nil || !strings.HasSuffix(page.Header.Get("Location"), "/signin/certificate") {
			t.Errorf("the ticket there after ten minutes leads to %s, %v", page.Header.Get("Location"), err)
		}
		_ = there
	})
}

// at2 is at for a browser that follows no redirects.
func (w *wealth) at2(c *walker.Client) *walker.Page {
	w.T.Helper()
	old := c.HTTP.CheckRedirect
	c.HTTP.CheckRedirect = nil
	defer func() { c.HTTP.CheckRedirect = old }()
	return w.at(c, w.ann.Is.Address)
}

// Sixty-four browsers with one ticket leave one certificate, and sixty-four returns make one piece of evidence.
func TestSEC_C4_ATicketIsUsedOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		c := w.BrowserWith("192.0.2.10", w.dev.Cert)
		page := w.at(c, w.ann.Is.Address)
		c.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		sent, err := c.Submit(page.FormTo("/certificate"))
		if err != nil {
			t.Fatal(err)
		}
		at := sent.Header.Get("Location")
		race := func(get func() (*walker.Page, error), good func(*walker.Page) bool) (n int, last string) {
			var lock sync.Mutex
			var all sync.WaitGroup
			for range 64 {
				all.Go(func() {
					page, err := get()
					lock.Lock()
					defer lock.Unlock()
					if err != nil {
						t.Error(err)
					} else if good(page) {
						n, last = n+1, page.Header.Get("Location")
					}
				})
			}
			all.Wait()
			return n, last
		}
		n, back := race(func() (*walker.Page, error) { return c.Get(at) }, func(p *walker.Page) bool { return strings.Contains(p.Header.Get("Location"), "/certificate/") })
		if n != 1 {
			t.Fatalf("%d browsers left their certificate", n)
		}
		before := w.count("evidence.shown")
		race(func() (*walker.Page, error) { return c.Get(back) }, func(*walker.Page) bool { return true })
		if got := w.count("evidence.shown") - before; got != 1 {
			t.Errorf("%d pieces of evidence of one certificate", got)
		}
	})
}

// Whatever ends a certificate ends what stands on it: the session within five seconds on every node, and what was begun.
func TestREQ_A56_SEC_C5_ARevokedCertificateEndsItsSessions(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		spare := w.Device(w.ca, w.of, w.ann.Is, "Spare")
		in := func(d rig.Device) *walker.Client {
			c := w.BrowserWith("192.0.2.10", d.Cert)
			w.Clock.Advance(rig.Step)
			if _, err := w.ann.Mind.Walk(c, w.at(c, w.ann.Is.Address), walker.At("/account")); err != nil {
				t.Fatal(err)
			}
			return c
		}
		live := func(c *walker.Client) bool {
			page, err := c.Get(rig.Origin + "/account")
			return err == nil && page.URL.Path == "/account"
		}
		for name, change := range map[string]func(*pki.Certificate){
			"suspended": func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Suspended, pki.Hold, w.Clock.Now() },
			"revoked":   func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Revoked, pki.KeyCompromise, w.Clock.Now() },
		} {
			d := w.Device(w.ca, w.of, w.ann.Is, "Laptop")
			first, other := in(d), in(spare)
			half := w.BrowserWith("192.0.2.10", d.Cert)
			begun := w.show(half, w.at(half, w.ann.Is.Address))
			elsewhere := w.Beside(store, func() int64 { return 0 }) // a node that hears nothing of the others
			deaf := elsewhere.BrowserWith("192.0.2.10", d.Cert)
			deaf.HTTP.Jar = first.HTTP.Jar
			if !live(first) || !live(other) || !live(deaf) || !wants(begun, "current-password") {
				t.Fatalf("%s: not in before", name)
			}
			w.Change(d, change)
			if live(first) || !live(other) {
				t.Errorf("%s: its session lives %v, that of another device %v", name, live(first), live(other))
			}
			w.Clock.Advance(4 * time.Second)
			if live(deaf) {
				t.Errorf("%s: its session lives on another node", name)
			}
			if page, err := half.Get(begun.URL.String()); err != nil || wants(page, "current-password") {
				t.Errorf("%s: what was begun goes on: %q, %v", name, page.Main(), err)
			}
		}
	})
}

// The same certificate in two browsers at once is told to its owner and to the staff member who looks after them, once.
func TestREQ_A4_OneCertificateInTwoBrowsersIsTold(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		desk := w.Organization("Desk", true)
		agent := w.Join(desk, directory.Agent, "Agnes Agent", "agnes@desk.example")
		w.Write(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(w.Realm.ID, w.ann.Is.ID)
			if err != nil {
				return err
			}
			p.Contact = agent.Is.ID
			return tx.UpdatePerson(p)
		})
		w.Deliver()
		for range 2 { // with the browser of the set-up: the third and the second at once
			w.Clock.Advance(rig.Step)
			c := w.BrowserWith("203.0.113.7", w.dev.Cert)
			if _, err := w.ann.Mind.Walk(c, w.at(c, w.ann.Is.Address), walker.At("/account")); err != nil {
				t.Fatal(err)
			}
		}
		told := map[string]int{}
		for _, l := range w.Deliver() {
			if strings.HasPrefix(l.Template, "certificate-twice") {
				told[l.To+" "+l.Template]++
			}
		}
		if len(told) != 2 || told["ann@client.example certificate-twice"] != 1 || told["agnes@desk.example certificate-twice-console"] != 1 || w.count("certificate.twice") != 2 {
			t.Errorf("told %v, noted %d times", told, w.count("certificate.twice"))
		}
	})
}
