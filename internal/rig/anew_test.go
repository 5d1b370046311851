package rig

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	authority "doorward/internal/certify"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/rig/walker"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// press submits the form of a page that leads there.
func (p *portal) press(b *walker.Client, page *walker.Page, to string, fill ...string) *walker.Page {
	p.T.Helper()
	f := page.FormTo(to)
	if f == nil {
		p.T.Fatalf("no form leads to %s: %q %s", to, page.Title(), page.Main())
	}
	for i := 0; i+1 < len(fill); i += 2 {
		f.Values.Set(fill[i], fill[i+1])
	}
	page, err := b.Submit(f)
	p.must(err)
	return page
}

// remains goes the way back of who has no certificate that lives as far as the call, and shows what remains.
func (p *portal) remains(who *Somebody, b *walker.Client) *walker.Page {
	p.T.Helper()
	p.Clock.Advance(Step)
	page := p.press(b, p.shows(b, p.at(b, who.Is.Address)), "/anew")
	for _, what := range []string{"password", "totp"} {
		if got := asks(page); got != what {
			p.T.Fatalf("%s is asked for, not %s: %q", got, what, page.Main())
		}
		page = p.answers(who.Mind, b, page)
	}
	if got := asks(page); got != "call" {
		p.T.Fatalf("behind what remains: %s %q", got, page.Main())
	}
	return page
}

// answers gives a page what it asks for.
func (p *portal) answers(mind *walker.Person, b *walker.Client, page *walker.Page) *walker.Page {
	p.T.Helper()
	f, err := mind.Answer(page)
	p.must(err)
	page, err = b.Submit(f)
	p.must(err)
	return page
}

// anew goes on from there, as far as the page behind the call.
func (p *portal) anew(who *Somebody, b *walker.Client) *walker.Page {
	p.T.Helper()
	page := p.remains(who, b)
	a := p.matched(who, p.luca, page)
	if got := p.confirm(p.luca, a); got != "ok" {
		p.T.Fatalf("the agent: %s", got)
	}
	return p.again(b, page)
}

// file takes password and file of what was made in a flow, and reads them as a device does.
func (p *portal) file(b *walker.Client, page *walker.Page) tls.Certificate {
	p.T.Helper()
	page = p.press(b, page, "/anew/password")
	password := page.Text("p12-password")
	if again := p.again(b, page); again.Text("p12-password") != "" || strings.Contains(again.Main(), password) {
		p.T.Error("the password is shown again")
	}
	got := p.press(b, page, "/anew/file")
	if kind := got.Header.Get("Content-Type"); kind != keyfile.PKCS12Type || got.Header.Get("Cache-Control") != "no-store" {
		p.T.Fatalf("the file: %d %s", got.Status, kind)
	}
	key, leaf, _, err := pkcs12.DecodeChain(got.Body, password)
	p.must(err)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func (p *portal) on(who *Somebody, cert tls.Certificate) (found pki.Certificate) {
	p.T.Helper()
	p.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.CertificatesOf(p.Realm.ID, who.Is.ID, 100)
		for _, c := range all {
			if c.SHA256 == pki.Hash(cert.Leaf.Raw) {
				found = c
			}
		}
		return err
	})
	if found.ID == "" {
		p.T.Fatal("not on record")
	}
	return found
}

// with is the browser on its device with another certificate, cookies and all.
func (p *portal) with(b *walker.Client, cert tls.Certificate) *walker.Client {
	c := p.BrowserWith("198.51.100.77", cert)
	c.HTTP.Jar = b.HTTP.Jar
	return c
}

// A certificate ran out before it was renewed: the page says so and leads on. What remains is shown first, then the call, about a
// new certificate; then password and file once each; and it counts once it was shown in this very flow, not before and nowhere else.
func TestREQ_A54_ACertificateThatRanOut(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		cleo, old := p.enters("Cleo Client", "cleo@moser.example")
		p.Clock.Until(old.Leaf.NotAfter.Add(time.Hour))
		b := p.BrowserWith("198.51.100.77", old)
		page := p.anew(cleo, b)
		if a := p.newest(cleo); a.Device.New != "Laptop" || a.Device.Was != "expired" || a.Device.Certificate != "" {
			t.Errorf("the agent sees %+v", a.Device)
		}
		if page.FormTo("/anew/password") != nil || page.FormTo("/certificate") != nil {
			t.Error("steps are offered before their turn")
		}
		page = p.press(b, page, "/anew/make", "target", "linux")
		fresh := p.file(b, page)
		if c := p.on(cleo, fresh); c.State != pki.Pending || c.Device != p.on(cleo, old).Device {
			t.Fatalf("it is %s", c.State)
		}

		// Elsewhere it is nothing: in another sign-in, and with it nobody is asked for a password.
		other := p.BrowserWith("198.51.100.78", fresh)
		if got := p.shows(other, p.at(other, cleo.Is.Address)); !strings.Contains(got.Title(), "not") || asks(got) == "password" {
			t.Errorf("in another sign-in: %q", got.Title())
		}
		if held := p.Holds(cleo); strings.Contains(held, "cert "+p.on(cleo, fresh).ID) {
			t.Errorf("held before it was shown: %s", held)
		}

		// The old one does not do, and neither does none.
		page = p.again(b, page)
		if got := p.shows(b, page); got.FormTo("/certificate") == nil || !strings.Contains(got.Main(), "another certificate") {
			t.Errorf("the old one: %q", got.Main())
		}
		none := p.Browser("198.51.100.77")
		none.HTTP.Jar = b.HTTP.Jar
		if got := p.shows(none, page); got.FormTo("/certificate") == nil || !strings.Contains(got.Main(), "No certificate arrived") {
			t.Errorf("none: %q", got.Main())
		}
		b = p.with(b, fresh)
		if page = p.shows(b, p.again(b, page)); !strings.HasPrefix(page.URL.Path, "/signin/done") {
			t.Fatalf("the new one: %s %q", page.URL, page.Main())
		}
		if c := p.on(cleo, fresh); c.State != pki.Active || c.FirstUsed.IsZero() {
			t.Errorf("it is %s", c.State)
		}
		if c := p.on(cleo, old); c.Standing(p.Clock.Now()) != pki.Expired || !c.Ends.IsZero() {
			t.Errorf("the old one is %s", c.State)
		}
		letters := p.Deliver()
		if len(to(letters, cleo, "factor-replaced")) != 1 || len(to(letters, p.karl, "certificate-renewed-console")) != 1 {
			t.Error("owner and contact are not told")
		}
		p.Clock.Advance(Step)
		in := p.BrowserWith("198.51.100.79", fresh)
		if _, err := cleo.Mind.Walk(in, p.at(in, cleo.Is.Address), walker.At("/account")); err != nil {
			t.Errorf("all three, afterwards: %v", err)
		}
	})
}

// What was suspended or revoked as lost is replaced the same way. The suspended one ends with it: lifted later, it is not accepted.
func TestREQ_A54_ALostCertificate(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		for address, end := range map[string]func(context.Context, authority.Changed) error{"suspended": p.Certs.Suspend, "revoked": p.Certs.Revoke} {
			who, old := p.enters("Cleo "+address, address+"@moser.example")
			p.must(end(t.Context(), authority.Changed{Realm: p.Realm.ID, ID: p.on(who, old).ID, Reason: pki.KeyCompromise, By: authority.Operator}))
			b := p.Browser("198.51.100.77") // the device is gone
			page := p.anew(who, b)
			if a := p.newest(who); a.Device.New != "Laptop" || a.Device.Was != address {
				t.Errorf("%s: the agent sees %+v", address, a.Device)
			}
			fresh := p.file(b, p.press(b, page, "/anew/make", "target", "linux"))
			if page = p.shows(p.with(b, fresh), p.again(b, page)); !strings.HasPrefix(page.URL.Path, "/signin/done") {
				t.Fatalf("%s: %s %q", address, page.URL, page.Main())
			}
			if address == "suspended" {
				p.must(p.Certs.Resume(t.Context(), authority.Changed{Realm: p.Realm.ID, ID: p.on(who, old).ID, By: authority.Operator}))
			}
			if p.on(who, old).Live(p.Clock.Now()) || !p.on(who, fresh).Live(p.Clock.Now()) {
				t.Errorf("%s: the old one is %+v", address, p.on(who, old).Standing(p.Clock.Now()))
			}
		}
	})
}

// Who has a certificate that lives is nobody on this way: no password is compared, right or wrong, so a stranger learns and
// guesses nothing (REQ A31), and gets no mail, no code, no call.
func TestREQ_A31_A54_NotForWhoHasOneThatLives(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		cleo, _ := p.enters("Cleo Client", "cleo@moser.example")
		p.Clock.Advance(Step)
		before := p.newest(cleo).ID
		said := map[string]string{}
		for _, address := range []string{cleo.Is.Address, "charles@moser.example"} {
			b := p.Browser("203.0.113.9")
			page := p.press(b, p.shows(b, p.at(b, address)), "/anew")
			want(t, "first", asks(page), "password")
			mind := p.Mind(address)
			f, err := mind.Answer(page)
			p.must(err)
			page, err = b.Submit(f)
			p.must(err)
			want(t, address, asks(page), "password")
			said[address] = strings.ReplaceAll(page.Main(), address, "")
		}
		if said[cleo.Is.Address] != said["charles@moser.example"] {
			t.Errorf("a stranger is told more: %q", said)
		}
		if p.newest(cleo).ID != before {
			t.Error("there is a code")
		}
	})
}

// Given up, or left alone: nothing is left. The certificate is revoked, file and password are gone, and the next time works.
func TestREQ_A54_AbandonedLeavesNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		cleo, old := p.enters("Cleo Client", "cleo@moser.example")
		p.Clock.Until(old.Leaf.NotAfter.Add(time.Hour))
		b := p.BrowserWith("198.51.100.77", old)
		page := p.anew(cleo, b)
		first := p.file(b, p.press(b, page, "/anew/make", "target", "linux"))
		page = p.press(b, p.again(b, page), "/anew/over")
		if c := p.on(cleo, first); c.State != pki.Revoked {
			t.Errorf("given up, it is %s", c.State)
		}
		second := p.file(b, p.press(b, page, "/anew/make", "target", "linux"))
		if got := p.shows(p.with(b, first), p.again(b, page)); strings.HasPrefix(got.URL.Path, "/signin/done") {
			t.Fatal("what was given up binds")
		}
		p.must(p.Renewals.Tidy(t.Context(), p.Realm.ID))
		if c := p.on(cleo, second); c.State != pki.Pending {
			t.Errorf("while its flow lives it is %s", c.State)
		}
		p.Clock.Advance(login.FlowLife)
		if got := p.again(p.with(b, second), page); got.FormTo("/certificate") != nil {
			t.Errorf("the flow goes on: %q", got.Main())
		}
		p.must(p.Renewals.Tidy(t.Context(), p.Realm.ID))
		p.Read(func(tx *sqlstore.Tx) error {
			parcels, err := tx.ParcelsOf(p.Realm.ID, cleo.Is.ID, 10)
			for _, one := range parcels {
				if len(one.File) > 0 || len(one.Password) > 0 {
					t.Errorf("something waits still: %s", one.State)
				}
			}
			return err
		})
		if c := p.on(cleo, second); c.State != pki.Revoked {
			t.Errorf("left alone, it is %s", c.State)
		}
		fresh := p.file(b, p.press(b, p.anew(cleo, b), "/anew/make", "target", "linux"))
		if c := p.on(cleo, fresh); c.State != pki.Pending {
			t.Errorf("the next time it is %s", c.State)
		}
	})
}

// Sixty-four tabs make it at once, sixty-four take its password and its file: each happens once.
func TestREQ_A54_RacedInOneFlow(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		for address, revoked := range map[string]bool{"a": false, "b": true} { // with one to take the place of, and without
			cleo, old := p.enters("Cleo Client", address+"@moser.example")
			end := p.Certs.Suspend
			if revoked {
				end = p.Certs.Revoke
			}
			p.must(end(t.Context(), authority.Changed{Realm: p.Realm.ID, ID: p.on(cleo, old).ID, Reason: pki.KeyCompromise, By: authority.Operator}))
			b := p.Browser("198.51.100.77")
			page := p.anew(cleo, b)
			flow := strings.Split(page.URL.Path, "/")[2]
			c := login.Caller{Realm: p.Realm.ID, Browser: browserOf(t, b), Network: "198.51.100.77"}
			once := func(what string, do func() error) {
				t.Helper()
				var all sync.WaitGroup
				var lock sync.Mutex
				done := 0
				for range 64 {
					all.Go(func() {
						if do() == nil {
							lock.Lock()
							done++
							lock.Unlock()
						}
					})
				}
				all.Wait()
				if done != 1 {
					t.Errorf("%s: %s happened %d times", address, what, done)
				}
			}
			once("making", func() error { _, err := p.Renewals.Make(t.Context(), c, flow, keyfile.Linux); return err })
			once("the password", func() error { _, err := p.Renewals.SayAnew(t.Context(), c, flow); return err })
			once("the file", func() error { _, _, err := p.Renewals.FetchAnew(t.Context(), c, flow); return err })
			pending := 0
			p.Read(func(tx *sqlstore.Tx) error {
				rows, err := tx.CertificatesOf(p.Realm.ID, cleo.Is.ID, 200)
				pending = 0
				for _, one := range rows {
					if one.State == pki.Pending {
						pending++
					}
				}
				return err
			})
			if pending != 1 {
				t.Errorf("%s: %d are pending", address, pending)
			}
		}
	})
}

func browserOf(t testing.TB, b *walker.Client) secret.Text {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, Origin+"/signin", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.HTTP.Jar.Cookies(req.URL) {
		if strings.HasSuffix(c.Name, "browser") {
			return secret.Text(c.Value)
		}
	}
	t.Fatal("the browser has no secret")
	return ""
}
