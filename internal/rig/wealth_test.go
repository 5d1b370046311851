package rig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"doorward/internal/activation"
	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/authn"
	authority "doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/handover"
	"doorward/internal/helpdesk"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// portal is a realm with the shipped wealth policy and a desk: who issues, who is the clients' contact, and two who take calls.
type portal struct {
	*Rig
	org                    directory.Organization
	ines, karl, luca, lena *Somebody
}

func newPortal(t *testing.T, store *sqlstore.Store, changes ...func(*directory.Realm)) *portal {
	t.Helper()
	shipped, err := directory.ParseRealm("wealth.toml", realms.Wealth)
	if err != nil {
		t.Fatal(err)
	}
	p := &portal{Rig: New(t, store, append(changes, func(r *directory.Realm) { r.Policy, r.PolicyLine = shipped.Policy, shipped.PolicyLine })...)}
	desk := p.Organization("Northline Supply AG", true)
	p.org = p.Organization("Family Moser", false)
	p.ines = p.Join(desk, directory.Supervisor, "Ines Issuer", "ines@northline.example")
	p.karl = p.Join(desk, directory.Agent, "Karl Contact", "karl@northline.example")
	p.luca = p.Join(desk, directory.Agent, "Luca Caller", "luca@northline.example")
	p.lena = p.Join(desk, directory.Agent, "Lena Caller", "lena@northline.example")
	key, _, err := pki.NewKey(pki.Root)
	p.must(err)
	der, err := pki.MakeRoot(key, "Sample devices root", "Sample", p.Clock.Now())
	p.must(err)
	root, err := x509.ParseCertificate(der)
	p.must(err)
	_, err = p.Certs.Found(context.Background(), p.Realm.ID, root, key)
	p.must(err)
	p.Deliver()
	return p
}

// client adds somebody who was never there.
func (p *portal) client(name, address string) *Somebody {
	p.T.Helper()
	is, link := p.Invite(p.org, directory.Member, name, address)
	if link != "" {
		p.T.Errorf("%s got the link %s, which leads nowhere here", address, link)
	}
	return &Somebody{Is: is, Mind: p.Mind(address)}
}

// device sends a client a certificate for a device: the file over its link, the password over the contact, and both read as a
// device reads them.
func (p *portal) device(who *Somebody, name string) (tls.Certificate, keyfile.Parcel) {
	p.T.Helper()
	ctx := context.Background()
	parcel, err := p.Parcels.Send(ctx, p.as(p.ines), handover.Order{
		Person: who.Is.ID, Device: name, Target: keyfile.Linux, Contact: p.karl.Is.ID, Reason: "The first device of a client",
	})
	p.must(err)
	letters := to(p.Deliver(), who, "certificate-file")
	if len(letters) != 1 {
		p.T.Fatalf("%d letters with a file", len(letters))
	}
	file, _, err := p.Parcels.Fetch(ctx, login.Caller{Realm: p.Realm.ID}, path.Base(letters[0].Args["link"]))
	p.must(err)
	password, _, err := p.Parcels.Say(ctx, p.as(p.karl), parcel.ID)
	p.must(err)
	key, leaf, _, err := pkcs12.DecodeChain(file.Bytes, password.Reveal())
	p.must(err)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, parcel
}

// at begins a sign-in and gives an address.
func (p *portal) at(b *walker.Client, address string) *walker.Page {
	p.T.Helper()
	page, err := b.Get(Origin + "/signin")
	p.must(err)
	f := page.Form()
	f.Fill("username", address)
	page, err = b.Submit(f)
	p.must(err)
	return page
}

// shows presses the button of a page about the certificate.
func (p *portal) shows(b *walker.Client, page *walker.Page) *walker.Page {
	p.T.Helper()
	f := page.FormTo("/certificate")
	if f == nil {
		p.T.Fatalf("no certificate is asked for: %q %s", page.Title(), page.Main())
	}
	page, err := b.Submit(f)
	p.must(err)
	return page
}

func (p *portal) again(b *walker.Client, page *walker.Page) *walker.Page {
	p.T.Helper()
	page, err := b.Get(Origin + "/signin/" + strings.Split(page.URL.Path, "/")[2])
	p.must(err)
	return page
}

func (p *portal) newest(who *Somebody) (a activation.Activation) {
	p.T.Helper()
	p.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.ActivationsOf(who.Is.Realm, who.Is.ID, 1)
		if a = (activation.Activation{}); len(all) > 0 {
			a = all[0]
		}
		return err
	})
	return a
}

// asks says what a page asks for, in the words of the policy.
func asks(page *walker.Page) string {
	f := page.Form()
	switch {
	case page.Text("activation-code") != "":
		return "call"
	case page.FormTo("/certificate") != nil:
		return "cert"
	case strings.Contains(page.Title(), "Terms"):
		return "terms"
	case f != nil && f.Asks("new-password"):
		return "set password"
	case page.FormTo("/choose") != nil || page.Text("totp-key") != "":
		return "set totp"
	case f != nil && f.Asks("current-password"):
		return "password"
	case f != nil && f.Asks("one-time-code"):
		return "totp"
	}
	return page.Title()
}

// matched is a call in which the code was right.
func (p *portal) matched(who *Somebody, by *Somebody, page *walker.Page) activation.Activation {
	p.T.Helper()
	ctx, a := context.Background(), p.newest(who)
	p.must(p.Calls.Open(ctx, p.as(by), a.Person, a.ID))
	p.must(p.Calls.Enter(ctx, p.as(by), a.Person, a.ID, code(page)))
	return a
}

func (p *portal) confirm(by *Somebody, a activation.Activation) string {
	c, err := p.Calls.Look(context.Background(), p.as(by), a.Person, a.ID)
	p.must(err)
	_, err = p.Calls.Confirm(context.Background(), p.as(by), a.Person, a.ID, c.Version, passed)
	return word(err)
}

func (p *portal) revoke(parcel keyfile.Parcel) {
	p.T.Helper()
	p.must(p.Certs.Revoke(context.Background(), authority.Changed{Realm: p.Realm.ID, ID: parcel.Certificate, Reason: pki.KeyCompromise, By: authority.Operator}))
}

// The first sign-in of a client: certificate, call, certificate once more, authenticator, password, terms; nothing earlier, nothing
// in another order. And from then on certificate, password, code.
func TestREQ_A1_A24_A26_A27_A29_A31_SEC_A3_TheFirstSignInOfAClient(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		cleo := p.client("Cleo Client", "cleo@moser.example")
		cert, parcel := p.device(cleo, "Study laptop")
		spare, _ := p.device(cleo, "Tablet")
		b := p.BrowserWith("198.51.100.77", cert)
		page := p.at(b, cleo.Is.Address)
		want(t, "first", asks(page), "cert")
		page = p.shows(b, page)
		want(t, "behind the certificate", asks(page), "call")
		a := p.newest(cleo)
		if a.Device.Name != "Study laptop" || a.Device.Words != strings.Join(pki.Words(cert.Leaf.Raw), " ") || a.Device.Certificate != parcel.Certificate || len(code(page)) != 6 {
			t.Errorf("the agent sees %+v", a.Device)
		}
		for _, phone := range []string{`href="tel:`, "Study laptop", a.Device.Words} {
			if !strings.Contains(string(page.Body), phone) {
				t.Errorf("the page does not say %s", phone)
			}
		}
		ctx := t.Context()
		want(t, "who issued it", word(p.Calls.Open(ctx, p.as(p.ines), a.Person, a.ID)), "call-issuer")
		want(t, "the contact", word(p.Calls.Open(ctx, p.as(p.karl), a.Person, a.ID)), "call-contact")
		p.Write(func(tx *sqlstore.Tx) error {
			who, err := tx.Person(p.Realm.ID, cleo.Is.ID)
			if err != nil {
				return err
			}
			who.Contact = p.lena.Is.ID
			return tx.UpdatePerson(who)
		})
		want(t, "who said the password, and is the contact no more", word(p.Calls.Open(ctx, p.as(p.karl), a.Person, a.ID)), "call-issuer")
		want(t, "the new contact", word(p.Calls.Open(ctx, p.as(p.lena), a.Person, a.ID)), "call-contact")

		desk, err := p.luca.Browser.Get(Origin + "/console/people/" + cleo.Is.ID + "/calls/" + a.ID)
		p.must(err)
		if !strings.Contains(desk.Main(), a.Device.Words) || !strings.Contains(desk.Main(), "Study laptop") || !strings.Contains(desk.Main(), "198.51.100.77") {
			t.Errorf("the agent's page: %s", desk.Main())
		}
		a = p.matched(cleo, p.luca, page)
		page = p.again(b, page)
		if asks(page) == "cert" || strings.HasPrefix(asks(page), "set") {
			t.Errorf("before anybody confirmed: %s", asks(page))
		}
		want(t, "confirm", p.confirm(p.luca, a), "ok")
		page = p.again(b, page)
		want(t, "behind the call", asks(page), "cert")
		seen, err := p.People.Person(ctx, p.as(p.luca), cleo.Is.ID)
		p.must(err)
		reached := []string{string(seen.Advise(p.Clock.Now()))}
		for _, step := range seen.Steps {
			if !step.At.IsZero() {
				reached = append(reached, string(step.Stage))
			}
		}
		want(t, "what the desk reads: nobody was invited here", strings.Join(reached, " "), "call certificate call")
		if held := p.Holds(cleo); strings.Contains(held, "totp") || strings.Contains(held, "password") {
			t.Errorf("bound already: %s", held)
		}

		// Another browser has not the flow, another certificate is not the one of the call, and none is none.
		other := b.HTTP.Transport
		b.HTTP.Transport = p.BrowserWith("198.51.100.77", spare).HTTP.Transport
		if refused := p.shows(b, page); !strings.Contains(refused.Title(), "another certificate of yours") {
			t.Errorf("another certificate: %q", refused.Title())
		}
		b.HTTP.Transport = p.Browser("198.51.100.77").HTTP.Transport
		if refused := p.shows(b, p.again(b, page)); asks(refused) != "cert" || strings.Contains(refused.Main(), "password") && asks(refused) != "cert" {
			t.Errorf("no certificate: %q", refused.Title())
		}
		b.HTTP.Transport = other
		page = p.shows(b, p.again(b, page))
		want(t, "behind the certificate of the call", asks(page), "set totp")
		order := []string{}
		_, err = cleo.Mind.Walk(b, page, func(at *walker.Page) bool {
			if a := asks(at); (strings.HasPrefix(a, "set ") || a == "terms" || a == "cert" || a == "call") && (len(order) == 0 || order[len(order)-1] != a) {
				order = append(order, a)
			}
			return walker.At("/account")(at)
		})
		if err != nil {
			t.Fatalf("%v; so far %v", err, order)
		}
		if got := strings.Join(order, ", "); got != "set totp, set password, terms" {
			t.Errorf("the order is %s", got)
		}
		want(t, "the activation", string(p.newest(cleo).State), "used")

		// Every day.
		p.Clock.Advance(Step)
		b = p.BrowserWith("198.51.100.78", cert)
		page, order = p.at(b, cleo.Is.Address), nil
		if _, err = cleo.Mind.Walk(b, page, func(at *walker.Page) bool { order = append(order, asks(at)); return walker.At("/account")(at) }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(order[:3], ", "); got != "cert, password, totp" {
			t.Errorf("every day: %s", got)
		}
	})
}

// A code exists behind a certificate and nowhere else; and with the certificate of somebody who has more, it exists behind all
// they have. Every route of a sign-in is tried.
func TestREQ_A26_SEC_A3_A5_TAC3_NoRouteShowsACodeWithoutItsCertificate(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		nora := p.client("Nora New", "nora@moser.example") // has a certificate, elsewhere
		p.device(nora, "Laptop")
		cleo, cert := p.enters("Cleo Client", "cleo@moser.example")
		bob, _ := p.device(p.client("Bob Client", "bob@moser.example"), "Laptop")
		p.Clock.Advance(time.Minute)
		before := p.newest(cleo).ID
		tried := 0
		for name, c := range map[string]struct {
			who  *Somebody
			b    *walker.Client
			show bool
		}{
			"a stranger": {nora, p.Browser("203.0.113.9"), true}, "somebody else's certificate": {nora, p.BrowserWith("203.0.113.8", bob), true},
			"a stolen laptop": {cleo, p.BrowserWith("203.0.113.7", cert), true}, "an address alone": {cleo, p.Browser("203.0.113.6"), false},
		} {
			page := p.at(c.b, c.who.Is.Address)
			flow := strings.Split(page.URL.Path, "/")[2]
			if c.show {
				p.shows(c.b, page)
			}
			for _, r := range p.Registry() {
				if !strings.Contains(r.Path, "/signin/{flow}") || strings.HasSuffix(r.Path, "/leave") || strings.HasSuffix(r.Path, "/events") {
					continue
				}
				at := strings.NewReplacer("{flow}", flow, "{ticket}", "none", "{platform}", "ios").Replace(r.Path)
				for _, kind := range []string{"call", "spoken", "totp"} {
					form := url.Values{"kind": {kind}, "with": {kind}, "code": {"123456"}, "password": {Password}, "credential": {""}}
					page, err := c.b.Submit(&walker.Form{Action: Origin + at, Method: r.Method, Values: form})
					if err != nil {
						t.Fatalf("%s: %s: %v", name, r, err)
					}
					tried++
					if page.Text("activation-code") != "" {
						t.Errorf("%s: %s %s shows a code", name, r, kind)
					}
				}
			}
			if a := p.newest(c.who); a.ID != "" && a.ID != before {
				t.Errorf("%s: there is a code: %+v", name, a)
			}
		}
		if tried < 200 {
			t.Errorf("%d tries prove nothing", tried)
		}
	})
}

// enters is a client who is in.
func (p *portal) enters(name, address string) (*Somebody, tls.Certificate) {
	p.T.Helper()
	who := p.client(name, address)
	cert, _ := p.device(who, "Laptop")
	who.Browser = p.BrowserWith("198.51.100.77", cert)
	page := p.shows(who.Browser, p.at(who.Browser, address))
	a := p.matched(who, p.luca, page)
	if got := p.confirm(p.luca, a); got != "ok" {
		p.T.Fatalf("%s: %s", address, got)
	}
	if _, err := who.Mind.Walk(who.Browser, p.again(who.Browser, page), walker.At("/account")); err != nil {
		p.T.Fatalf("%s: %v", address, err)
	}
	return who, cert
}

// Whoever has two of the three, or one, with the mailbox or without, comes in nowhere; who has all three does.
func TestREQ_A1_NoTwoOfTheThreeLetIn(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		cleo, cert := p.enters("Cleo Client", "cleo@moser.example")
		held := p.Holds(cleo)
		in := func(has string, link string) error {
			p.Clock.Advance(40 * time.Minute) // every budget is full, every code is fresh
			b := p.Browser("203.0.113.9")
			if strings.Contains(has, "cert") {
				b = p.BrowserWith("203.0.113.9", cert)
			}
			mind := p.Mind(cleo.Is.Address)
			if mind.Password = "nobody chose this one 55"; strings.Contains(has, "password") {
				mind.Password = Password
			}
			if mind.Secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"; strings.Contains(has, "totp") {
				mind.Secret = cleo.Mind.Secret
			}
			start := Origin + "/signin"
			if link != "" {
				start = link
			}
			page, err := b.Get(start)
			p.must(err)
			_, err = mind.Walk(b, page, walker.At("/account"))
			if page, later := b.Get(Origin + "/account"); later != nil || err != nil && page.URL.Path == "/account" {
				t.Errorf("%s: in all the same (%v)", has, later)
			}
			return err
		}
		for _, has := range []string{"", "cert", "password", "totp", "cert password", "cert totp", "password totp"} {
			if in(has, "") == nil {
				t.Errorf("%q lets in", has)
			}
			p.Clock.Advance(2 * time.Hour)
			if err := p.Login.Forgot(t.Context(), login.Caller{Realm: p.Realm.ID, Network: "203.0.113.9"}, cleo.Is.Address); err != nil {
				t.Fatal(err)
			}
			letters := to(p.Deliver(), cleo, "password-reset")
			if len(letters) != 1 {
				t.Fatalf("%d letters about a forgotten password", len(letters))
			}
			if in(has+" mail", linkIn.FindString(letters[0].Text)) == nil {
				t.Errorf("%q and the mailbox let in", has)
			}
		}
		if p.Holds(cleo) != held {
			t.Errorf("something was bound or ended: %s", p.Holds(cleo))
		}
		if err := in("cert password totp", ""); err != nil {
			t.Errorf("all three: %v", err)
		}
	})
}

// A certificate that ends takes its call along, at whatever moment.
func TestREQ_A25_A26_SEC_A3_C5_ACallDiesWithItsCertificate(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		for i, when := range []string{"waits", "matched", "confirmed", "collected", "late"} {
			who := p.client("Client "+when, fmt.Sprintf("c%d@moser.example", i))
			cert, parcel := p.device(who, "Laptop")
			b := p.BrowserWith("198.51.100.77", cert)
			page := p.shows(b, p.at(b, who.Is.Address))
			a, shown := p.newest(who), code(page)
			p.must(p.Calls.Open(t.Context(), p.as(p.luca), a.Person, a.ID))
			enter := func() string { return word(p.Calls.Enter(t.Context(), p.as(p.luca), a.Person, a.ID, shown)) }
			switch when {
			case "late":
				p.Clock.Advance(activation.Life + time.Second)
				want(t, "at 10:01", enter(), "call-over")
				continue
			case "waits":
				p.revoke(parcel)
				want(t, when, enter(), "call-over")
			case "matched":
				p.Clock.Advance(activation.Life)
				want(t, "at 10:00", enter(), "ok")
				p.revoke(parcel)
				want(t, when, p.confirm(p.luca, a), "call-over")
			case "confirmed":
				want(t, when, enter(), "ok")
				want(t, when, p.confirm(p.luca, a), "ok")
				p.revoke(parcel)
			case "collected":
				want(t, when, enter(), "ok")
				want(t, when, p.confirm(p.luca, a), "ok")
				page = p.again(b, page)
				want(t, when, asks(page), "cert")
				p.revoke(parcel)
				page = p.shows(b, page)
			}
			page = p.again(b, page)
			if got := asks(page); got == "call" || strings.HasPrefix(got, "set") || strings.Contains(p.Holds(who), "password") {
				t.Errorf("%s: the page goes on with %s", when, got)
			}
		}
	})
}

// Two agents confirm where the realm says so; a call that is not what it seems ends the sign-in and suspends the certificate.
func TestREQ_A28_A28b_SEC_A3_ASecondAgentAndARejection(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store, func(r *directory.Realm) { r.Calls.SecondAgent = true })
		cleo := p.client("Cleo Client", "cleo@moser.example")
		cert, parcel := p.device(cleo, "Laptop")
		b := p.BrowserWith("198.51.100.77", cert)
		page := p.shows(b, p.at(b, cleo.Is.Address))
		a := p.matched(cleo, p.luca, page)
		want(t, "the first yes", p.confirm(p.luca, a), "ok")
		want(t, "the same twice", p.confirm(p.luca, a), "call-second")
		want(t, "who issued it", p.confirm(p.ines, a), "call-issuer")
		if got := asks(p.again(b, page)); got == "cert" {
			t.Error("one yes is enough")
		}
		want(t, "a second", p.confirm(p.lena, a), "ok")
		page = p.again(b, page)
		want(t, "behind two", asks(page), "cert")

		// Once more, by somebody who is not who they say.
		b = p.BrowserWith("203.0.113.9", cert)
		page = p.shows(b, p.at(b, cleo.Is.Address))
		want(t, "another sign-in", asks(page), "call")
		a = p.matched(cleo, p.luca, page)
		p.must(p.Calls.Reject(t.Context(), p.as(p.luca), a.Person, a.ID, "Did not know their adviser's name"))
		var on pki.Certificate
		var events []audit.Event
		p.Read(func(tx *sqlstore.Tx) (err error) {
			if on, err = tx.Certificate(p.Realm.ID, parcel.Certificate); err != nil {
				return err
			}
			events, err = tx.Events(audit.Query{Realm: p.Realm.ID, Types: []string{"certificate.suspended", "activation.rejected"}, Limit: 10})
			return err
		})
		if on.State != pki.Suspended || on.Reason != pki.Hold || len(events) != 2 {
			t.Errorf("the certificate is %s, %d events", on.State, len(events))
		}
		if n := len(to(p.Deliver(), cleo, "activation-rejected")); n != 1 {
			t.Errorf("%d letters about the rejection", n)
		}
		if got := asks(p.again(b, page)); got == "call" || got == "cert" {
			t.Errorf("the session goes on with %s", got)
		}
		b = p.BrowserWith("203.0.113.9", cert)
		if page = p.shows(b, p.at(b, cleo.Is.Address)); !strings.Contains(page.Title(), "on hold") {
			t.Errorf("the certificate afterwards: %q", page.Title())
		}
		if page, err := b.Get(Origin + "/account"); err != nil || page.Status == http.StatusOK && page.URL.Path == "/account" {
			t.Errorf("in: %v", err)
		}
	})
}

// granted is a request about one thing that a client lost, opened, checked and approved by an agent, and by a supervisor where
// it was chosen for a second look.
func (p *portal) granted(who *Somebody, kind authn.Kind) {
	p.T.Helper()
	ctx := context.Background()
	q, err := p.Requests.Open(ctx, p.as(p.lena), admin.Wish{Person: who.Is.ID, Kinds: []authn.Kind{kind}, Reason: "Known for years, called back", Channel: helpdesk.ByPhone})
	p.must(err)
	q, err = p.Requests.Check(ctx, p.as(p.lena), q.ID, helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "called back"})
	p.must(err)
	for _, by := range []*Somebody{p.lena, p.ines} {
		if q.State != helpdesk.Approved {
			q, err = p.Requests.Approve(ctx, p.as(by), q.ID, q.Version)
			p.must(err)
		}
	}
	p.Clock.Until(q.From)
}

// A forgotten password, and a lost authenticator: what remains, an approval, the call in the certificate's session, and the
// certificate once more. Who approved does not confirm, and the call of a certificate that was revoked sets up nothing, whatever
// else was shown.
func TestSEC_A3_H3_AClientWhoLostOneOfTheThree(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		for i, kind := range []authn.Kind{authn.TOTP, authn.Password, "stolen"} {
			who, cert := p.enters("Client "+string(kind), fmt.Sprintf("lost%d@moser.example", i))
			lost := kind
			if kind == "stolen" {
				lost = authn.Password
			}
			p.granted(who, lost)
			held := p.Holds(who)
			b := p.BrowserWith("198.51.100.80", cert)
			page := p.shows(b, p.at(b, who.Is.Address))
			f, err := who.Mind.Answer(page)
			p.must(err)
			if page, err = b.Submit(f); err != nil || asks(page) != "call" {
				t.Fatalf("%s: behind what remains: %s %v", kind, asks(page), err)
			}
			a := p.newest(who)
			want(t, "who approved", word(p.Calls.Open(t.Context(), p.as(p.lena), a.Person, a.ID)), "call-opener")
			a = p.matched(who, p.luca, page)
			want(t, "confirm", p.confirm(p.luca, a), "ok")
			page = p.again(b, page)
			want(t, "behind the call", asks(page), "cert")
			if kind == "stolen" {
				p.must(p.Certs.Revoke(t.Context(), authority.Changed{Realm: p.Realm.ID, ID: a.Device.Certificate, Reason: pki.KeyCompromise, By: authority.Operator}))
				page = p.again(b, page)
				if got := asks(page); strings.HasPrefix(got, "set") || strings.ReplaceAll(held, "cert "+a.Device.Certificate+" active; ", "") != p.Holds(who) {
					t.Errorf("the certificate was revoked, and it goes on with %s: %s", got, p.Holds(who))
				}
				continue
			}
			page = p.shows(b, page)
			want(t, "behind the certificate", asks(page), "set "+string(kind))
			who.Mind.Password = "an entirely new violin 88"
			if kind == authn.TOTP {
				who.Mind.Password = Password
			}
			if _, err = who.Mind.Walk(b, page, walker.At("/account")); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			p.Clock.Advance(Step)
			b = p.BrowserWith("198.51.100.81", cert)
			if _, err = who.Mind.Walk(b, p.at(b, who.Is.Address), walker.At("/account")); err != nil {
				t.Errorf("%s, the next day: %v", kind, err)
			}
		}
	})
}
