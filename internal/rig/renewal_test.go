package rig_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// renewing is a rig whose members show certificates, at a time when those have to be renewed, with an authority that signs.
func renewing(t *testing.T, store *sqlstore.Store) *wealth {
	t.Helper()
	w := withDevices(t, store)
	key, _, err := pki.NewKey(pki.Root)
	if err != nil {
		t.Fatal(err)
	}
	der, err := pki.MakeRoot(key, "Root", "Customer", w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Certs.Found(t.Context(), w.Realm.ID, root, key); err != nil {
		t.Fatal(err)
	}
	w.Clock.Until(w.dev.Row.NotAfter.AddDate(0, 0, -20))
	return w
}

// in signs somebody in with a certificate.
func (w *wealth) in(s *rig.Somebody, certificate tls.Certificate) *walker.Client {
	w.T.Helper()
	c := w.BrowserWith("192.0.2.10", certificate)
	w.Clock.Advance(rig.Step)
	if _, err := s.Mind.Walk(c, w.at(c, s.Is.Address), walker.At("/account")); err != nil {
		w.T.Fatal(err)
	}
	return c
}

func (w *wealth) get(c *walker.Client, path string) *walker.Page {
	w.T.Helper()
	page, err := c.Get(rig.Origin + path)
	if err != nil {
		w.T.Fatal(err)
	}
	return page
}

// press submits the form that leads there.
func (w *wealth) press(c *walker.Client, page *walker.Page, to string, fill ...string) *walker.Page {
	w.T.Helper()
	f := page.FormTo(to)
	if f == nil {
		w.T.Fatalf("no form leads to %s: %q", to, page.Main())
	}
	for i := 0; i+1 < len(fill); i += 2 {
		f.Values.Set(fill[i], fill[i+1])
	}
	page, err := c.Submit(f)
	if err != nil {
		w.T.Fatal(err)
	}
	return page
}

// fetch posts to a path and returns what a browser would keep as a file.
func (w *wealth) fetch(c *walker.Client, path string) (status int, kind string, file []byte) {
	w.T.Helper()
	req, _ := http.NewRequest(http.MethodPost, rig.Origin+path, nil)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", rig.Origin)
	res, err := c.HTTP.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer res.Body.Close()
	file, err = io.ReadAll(res.Body)
	if err != nil {
		w.T.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), file
}

func says(t *testing.T, page *walker.Page, what string) {
	t.Helper()
	if !strings.Contains(page.Main()+" "+page.Title(), what) {
		t.Errorf("%s says nothing of %q: %q", page.URL.Path, what, page.Main())
	}
}

// The whole renewal through the pages, without JavaScript: the banner, the list, the password once, the file once, the new one
// shown at its host, both accepted for a day, the old one removed (REQ A46 to A50, A52, A53, A55).
func TestREQ_A46_A47_A48_A49_A52_A53_RenewedThroughThePages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := renewing(t, store)
		c := w.in(w.ann, w.dev.Cert)
		renew := "/account/certificates/" + w.dev.Row.ID + "/renew"
		says(t, w.get(c, "/account"), "The certificate of “Tablet” ends on")
		list := w.get(c, "/account/certificates")
		says(t, list, "20 days left")
		says(t, list, strings.Join(pki.Words(w.dev.Row.DER), " "))
		if !strings.Contains(strings.Join(list.Links(), " "), renew) {
			t.Fatal("the list leads to no renewal")
		}
		w.press(c, w.get(c, renew), "/renew", "target", "windows")
		page := w.get(c, renew)
		if page.FormTo("/renew/file") != nil {
			t.Error("the file is offered before its password")
		}
		page = w.press(c, page, "/renew/password")
		password := page.Text("p12-password")
		if len(password) != 24 || page.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("the password %q, cached %q", password, page.Header.Get("Cache-Control"))
		}
		if again := w.get(c, renew); strings.Contains(again.Main(), password) || again.Text("p12-password") != "" {
			t.Error("the password is shown again")
		}
		status, kind, file := w.fetch(c, renew+"/file")
		if status != http.StatusOK || kind != "application/x-pkcs12" {
			t.Fatalf("%d %s", status, kind)
		}
		key, leaf, chain, err := pkcs12.DecodeChain(file, password)
		if err != nil {
			t.Fatal(err)
		}
		if status, kind, _ := w.fetch(c, renew+"/file"); status != http.StatusGone || !strings.HasPrefix(kind, "text/html") {
			t.Errorf("a second download: %d %s", status, kind)
		}
		page = w.get(c, renew)
		says(t, page, "It was downloaded")
		if page.FormTo("/renew/show") == nil {
			t.Fatalf("the new one cannot be shown: %q", page.Main())
		}
		// Nothing and the old one first: both are told, and the next try is at another host.
		none := w.BrowserWith("192.0.2.10")
		none.HTTP.Jar = c.HTTP.Jar
		if page = w.press(none, page, "/renew/show"); page.FormTo("/renew/show").Values.Get("try") != "2" {
			t.Error("the same host again")
		}
		says(t, page, "No certificate arrived")
		says(t, w.press(c, page, "/renew/show"), "That was another certificate")
		fresh := tls.Certificate{Certificate: [][]byte{leaf.Raw, chain[0].Raw}, PrivateKey: key.(*ecdsa.PrivateKey), Leaf: leaf}
		both := w.BrowserWith("192.0.2.10", fresh)
		both.HTTP.Jar = c.HTTP.Jar
		page = w.press(both, w.get(both, renew), "/renew/show")
		says(t, page, "It was shown and works")
		says(t, page, "It ends by itself")
		// Both are accepted for a day. The session of the old one is told what its removal means.
		in := w.in(w.ann, fresh)
		w.in(w.ann, w.dev.Cert)
		says(t, w.get(in, renew), "Remove the old one now")
		w.Clock.Advance(24 * time.Hour)
		late := w.BrowserWith("192.0.2.10", w.dev.Cert)
		says(t, w.show(late, w.at(late, w.ann.Is.Address)), "You picked the old certificate")
		// What is over is hidden unless asked for.
		in = w.in(w.ann, fresh)
		if list := w.get(in, "/account/certificates"); strings.Contains(list.Main(), "Expired") || strings.Contains(strings.Join(list.Links(), " "), w.dev.Row.ID) {
			t.Errorf("the old one is listed: %q", list.Main())
		}
		says(t, w.get(in, "/account/certificates?all=yes"), "Expired")
		says(t, w.get(in, renew), "Renewed")
	})
}

// The owner removes the old one at once: a session that stands on it ends, the new one goes on.
func TestREQ_A50_TheOldOneIsRemovedThroughThePages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := renewing(t, store)
		c := w.in(w.ann, w.dev.Cert)
		fresh := w.renewed(c)
		in := w.in(w.ann, fresh)
		page := w.press(in, w.get(in, "/account/certificates/"+w.dev.Row.ID+"/renew"), "/remove")
		if page.URL.Path != "/account/certificates" {
			t.Fatalf("%s: %q", page.URL, page.Main())
		}
		if page = w.get(c, "/account"); strings.HasPrefix(page.URL.Path, "/account") {
			t.Error("the session of the old one goes on")
		}
		late := w.BrowserWith("192.0.2.10", w.dev.Cert)
		says(t, w.show(late, w.at(late, w.ann.Is.Address)), "You picked the old certificate")
		if page = w.get(in, "/account"); page.URL.Path != "/account" {
			t.Error("the session of the new one ended")
		}
	})
}

// renewed renews the certificate of the rig and returns the new one.
func (w *wealth) renewed(c *walker.Client) tls.Certificate {
	w.T.Helper()
	renew := "/account/certificates/" + w.dev.Row.ID + "/renew"
	w.press(c, w.get(c, renew), "/renew", "target", "linux")
	password := w.press(c, w.get(c, renew), "/renew/password").Text("p12-password")
	_, _, file := w.fetch(c, renew+"/file")
	key, leaf, chain, err := pkcs12.DecodeChain(file, password)
	if err != nil {
		w.T.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, chain[0].Raw}, PrivateKey: key.(*ecdsa.PrivateKey), Leaf: leaf}
}

// Without a complete fresh login nothing of a renewal happens, whatever the form; after it the person is back where they were.
func TestREQ_A46_SEC_S3_ARenewalNeedsAFreshLogin(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := renewing(t, store)
		c := w.in(w.ann, w.dev.Cert)
		at := "/account/certificates/" + w.dev.Row.ID
		page := w.get(c, at+"/renew")
		w.Clock.Advance(6 * time.Minute)
		page = w.press(c, page, "/renew", "target", "linux")
		if !strings.HasPrefix(page.URL.Path, "/signin/") {
			t.Fatalf("renewed after six minutes: %s %q", page.URL, page.Main())
		}
		page, err := w.ann.Mind.Walk(c, page, walker.At("/account"))
		if err != nil || page.URL.Path != "/account/certificates" {
			t.Fatalf("back at %v, %v", page.URL, err)
		}
		w.press(c, w.get(c, at+"/renew"), "/renew", "target", "linux")
		w.Clock.Advance(6 * time.Minute)
		for _, what := range []string{"/renew/password", "/renew/file"} {
			if status, kind, body := w.fetch(c, at+what); strings.Contains(string(body), "p12-password") || kind == "application/x-pkcs12" {
				t.Errorf("%s after six minutes: %d", what, status)
			}
		}
		if page = w.press(c, w.get(c, at+"/remove"), "/remove", "why", "lost", "sure", "yes"); !strings.HasPrefix(page.URL.Path, "/signin/") {
			t.Errorf("removed after six minutes: %s", page.URL)
		}
	})
}

// Nobody reaches a certificate of somebody else's by any of the routes, and what they show at the host counts for them alone.
func TestSEC_TIDOR_CertificatesOfOthers(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := renewing(t, store)
		bob, bobs := w.enter("Bob Client", "bob@client.example")
		c := w.in(bob, bobs.Cert)
		w.press(w.in(w.ann, w.dev.Cert), w.get(w.in(w.ann, w.dev.Cert), "/account/certificates/"+w.dev.Row.ID+"/renew"), "/renew", "target", "linux")
		before := w.certificates(w.ann.Is)
		for _, r := range w.Registry() {
			if !strings.HasPrefix(r.Path, "/account/certificates/") {
				continue
			}
			path, err := r.With(map[string]string{"certificate": w.dev.Row.ID, "ticket": "none"})
			if err != nil {
				t.Fatal(err)
			}
			req, _ := http.NewRequest(r.Method, rig.Origin+path, strings.NewReader(url.Values{"target": {"linux"}, "why": {"lost"}, "sure": {"yes"}, "try": {"1"}}.Encode()))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Origin", rig.Origin)
			res, err := c.HTTP.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %d", r, res.StatusCode)
			}
		}
		if after := w.certificates(w.ann.Is); after != before {
			t.Errorf("%s became %s", before, after)
		}
	})
}

func (w *wealth) certificates(p directory.Person) (all string) {
	w.T.Helper()
	w.Read(func(tx *sqlstore.Tx) error {
		rows, err := tx.CertificatesOf(w.Realm.ID, p.ID, 100)
		all = ""
		for _, c := range rows {
			all += c.ID + " " + string(c.State) + "; "
		}
		return err
	})
	return all
}

// Lost: suspended in two clicks without signing in anew, removed for good with words about the last one, and both are over on
// another node within five seconds (REQ A56).
func TestREQ_A56_LostThroughThePages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := renewing(t, store)
		spare := w.Device(w.ca, w.of, w.ann.Is, "Spare")
		c := w.in(w.ann, w.dev.Cert)
		other := w.in(w.ann, spare.Cert)
		elsewhere := w.Beside(store, func() int64 { return 0 }) // a node that hears nothing of the others
		deaf := elsewhere.BrowserWith("192.0.2.10", spare.Cert)
		deaf.HTTP.Jar = other.HTTP.Jar
		if w.get(deaf, "/account").URL.Path != "/account" {
			t.Fatal("not in before")
		}
		w.Clock.Advance(6 * time.Minute)
		w.get(deaf, "/account")
		page := w.press(c, w.get(c, "/account/certificates/"+spare.Row.ID+"/remove"), "/suspend")
		says(t, page, "Suspended")
		w.Clock.Advance(4 * time.Second)
		if w.get(other, "/account").URL.Path == "/account" || w.get(deaf, "/account").URL.Path == "/account" {
			t.Error("its session goes on")
		}
		if w.count("certificate.suspended") != 1 || w.count("session.ended") != 0 {
			t.Errorf("the trail: %d suspended", w.count("certificate.suspended"))
		}
		w.Clock.Advance(rig.Step)
		c = w.in(w.ann, w.dev.Cert)
		at := w.get(c, "/account/certificates/"+w.dev.Row.ID+"/remove")
		says(t, at, "It is the last one that works")
		page = w.press(c, at, "/remove", "why", "lost")
		says(t, page, "This is your last certificate")
		page = w.press(c, page, "/remove", "why", "lost", "sure", "yes")
		if !strings.HasPrefix(page.URL.Path, "/signin") {
			t.Errorf("after the end of the last one: %s", page.URL)
		}
		gone := w.BrowserWith("192.0.2.10", w.dev.Cert)
		says(t, w.show(gone, w.at(gone, w.ann.Is.Address)), "was revoked")
	})
}

// A realm may have a certificate suspended that is in use in two browsers at once.
func TestREQ_A4_OneInTwoBrowsersIsSuspendedWhereTheRealmSaysSo(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		r := w.Realm.Realm
		r.Certificates.Twice = true
		w.Write(func(tx *sqlstore.Tx) error { return tx.PutRealm(r) })
		if err := w.Realms.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
		c := w.BrowserWith("192.0.2.10", w.dev.Cert) // and the browser in which they were set up
		w.Clock.Advance(rig.Step)
		_, _ = w.ann.Mind.Walk(c, w.at(c, w.ann.Is.Address), walker.At("/account")) // which asks to sign in again
		if page := w.get(c, "/account"); strings.HasPrefix(page.URL.Path, "/account") {
			t.Error("the second browser is in")
		}
		if page := w.get(w.ann.Browser, "/account"); strings.HasPrefix(page.URL.Path, "/account") {
			t.Error("the first browser is in")
		}
		says(t, w.show(c, w.at(c, w.ann.Is.Address)), "is on hold")
		if w.count("certificate.suspended") != 1 {
			t.Error("the trail does not say so")
		}
	})
}

// What was shown for a sign-in counts for no renewal, what was shown for a renewal leads into no flow, and neither counts
// twice.
func TestSEC_C4_ATicketOfARenewalIsItsOwn(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := renewing(t, store)
		c := w.in(w.ann, w.dev.Cert)
		fresh := w.renewed(c)
		renew := "/account/certificates/" + w.dev.Row.ID + "/renew"
		both := w.BrowserWith("192.0.2.10", fresh)
		both.HTTP.Jar = c.HTTP.Jar
		stay := func(_ *http.Request, _ []*http.Request) error { return http.ErrUseLastResponse }
		follow := both.HTTP.CheckRedirect
		ticket := func(address string) string { return address[strings.LastIndex(address, "/")+1:] }

		other := w.BrowserWith("192.0.2.10", fresh)
		begun := w.at(other, w.ann.Is.Address)
		_, back := w.hop(other, begun)
		if page := w.get(both, renew+"/shown/"+ticket(back)); !strings.HasSuffix(page.URL.Path, "/renew") || page.FormTo("/renew/show") == nil {
			t.Errorf("a ticket of a sign-in counts for the renewal: %q", page.Main())
		}
		page := w.get(both, renew)
		both.HTTP.CheckRedirect = stay
		there := w.press(both, page, "/renew/show").Header.Get("Location")
		shown, err := both.Get(there)
		if err != nil {
			t.Fatal(err)
		}
		back = shown.Header.Get("Location")
		if !strings.Contains(back, renew+"/shown/") {
			t.Fatalf("the host leads to %s", back)
		}
		both.HTTP.CheckRedirect = follow
		flow := strings.TrimPrefix(begun.URL.Path, "/signin/")
		if page := w.get(other, "/signin/"+flow+"/certificate/"+ticket(back)); wants(page, "current-password") || page.FormTo("/certificate") == nil {
			t.Errorf("a ticket of a renewal leads into a flow: %q", page.Main())
		}
		late, err := both.Get(back)
		if err != nil {
			t.Fatal(err)
		}
		says(t, late, "It was shown and works")
		if w.count("certificate.replaced") != 1 {
			t.Errorf("%d first uses", w.count("certificate.replaced"))
		}
		if again, err := both.Get(back); err != nil || strings.Contains(again.Main(), "The new certificate of “Tablet” works") {
			t.Errorf("the ticket counts again: %q, %v", again.Main(), err)
		}
	})
}

// The desk sees nothing of a file that its owner made, whatever it asks for: it can neither be sent nor shown to anybody else.
func TestREQ_A46_SEC_C8_TheDeskHasNoPartInARenewal(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := renewing(t, store)
		desk := w.Organization("Desk", true)
		owner := w.Join(desk, directory.Owner, "Olga Owner", "olga@desk.example")
		c := w.in(w.ann, w.dev.Cert)
		w.press(c, w.get(c, "/account/certificates/"+w.dev.Row.ID+"/renew"), "/renew", "target", "linux")
		var id string
		w.Read(func(tx *sqlstore.Tx) error {
			all, err := tx.ParcelsOf(w.Realm.ID, w.ann.Is.ID, 10)
			if err == nil && len(all) == 1 {
				id = all[0].ID
			}
			return err
		})
		by := login.By{Signed: login.Signed{Realm: w.Realm, Organization: desk, Person: owner.Is}}
		seen, err := w.Parcels.Look(t.Context(), by, w.ann.Is.ID)
		if err != nil || len(seen.Held) != 2 || id == "" {
			t.Fatalf("the desk sees %d certificates, %v, of %q", len(seen.Held), err, id)
		}
		for _, h := range seen.Held {
			if h.Parcel.ID != "" || h.MaySay || h.MayResend {
				t.Errorf("the desk sees %+v", h)
			}
		}
		_, _, said := w.Parcels.Say(t.Context(), by, id)
		_, sent := w.Parcels.Resend(t.Context(), by, id)
		for what, err := range map[string]error{"said": said, "sent": sent} {
			if !fault.Of(err, fault.NotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// Two nodes on one PostgreSQL: what is suspended at one is over at the other within five seconds, for whatever it was signed in.
func TestREQ_A56_SEC_C5_TwoNodesOnPostgreSQL(t *testing.T) {
	dsn := testdb.PostgresAddress(t)
	w := renewing(t, testdb.Open(t, dsn))
	second := w.Beside(testdb.Open(t, dsn), nil)
	spare := w.Device(w.ca, w.of, w.ann.Is, "Spare")
	c, lost := w.in(w.ann, w.dev.Cert), w.in(w.ann, spare.Cert)
	there := second.BrowserWith("192.0.2.10", spare.Cert)
	there.HTTP.Jar = lost.HTTP.Jar
	if w.get(there, "/account").URL.Path != "/account" {
		t.Fatal("not in on the second node")
	}
	w.press(c, w.get(c, "/account/certificates/"+spare.Row.ID+"/remove"), "/suspend")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if strings.HasPrefix(w.get(there, "/account").URL.Path, "/signin") {
			break
		}
		if time.Now().After(end) { // the clock of the rig stands: it is the epoch that has to arrive
			t.Fatal("the session goes on at the second node after five seconds")
		}
	}
}

// A customer's administrator revokes the certificate of a lost device, staff put one on hold: the sessions of each are over at
// once, those of the person's other devices are not.
func TestREQ_A56_EndedByThoseWhoLookAfterThem(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store)
		desk := w.Organization("Desk", true)
		first, second, third := w.dev, w.Device(w.ca, w.of, w.ann.Is, "Second"), w.Device(w.ca, w.of, w.ann.Is, "Third")
		a, b, c := w.in(w.ann, first.Cert), w.in(w.ann, second.Cert), w.in(w.ann, third.Cert)
		as := func(in directory.Organization, role directory.Role, address string) login.By {
			p, _ := w.Invite(in, role, "Somebody", address)
			p.State = directory.Active
			return login.By{Signed: login.Signed{Realm: w.Realm, Organization: in, Person: p}}
		}
		if _, err := w.Parcels.Revoke(t.Context(), as(w.org, directory.Administrator, "ada@client.example"), first.Row.ID, pki.KeyCompromise, "the tablet was stolen"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Parcels.Hold(t.Context(), as(desk, directory.Agent, "agnes@desk.example"), second.Row.ID, "seen in a strange place"); err != nil {
			t.Fatal(err)
		}
		other := w.Organization("Another customer", false)
		if _, err := w.Parcels.Revoke(t.Context(), as(other, directory.Administrator, "otto@other.example"), third.Row.ID, pki.KeyCompromise, "just because I can"); err == nil {
			t.Error("the administrator of another customer revokes")
		}
		for name, is := range map[string]struct {
			c    *walker.Client
			over bool
		}{"revoked": {a, true}, "on hold": {b, true}, "untouched": {c, false}} {
			if over := w.get(is.c, "/account").URL.Path != "/account"; over != is.over {
				t.Errorf("%s: over %v", name, over)
			}
		}
	})
}
