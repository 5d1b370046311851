package rig_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/keyfile"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// counter is a rig whose realm has an authority: an agent who issues, one who is the contact, a member and their administrator.
type counter struct {
	*rig.Rig
	ben, hana, anna, ada *rig.Somebody
}

func newCounter(t *testing.T, store *sqlstore.Store, change ...func(*directory.Realm)) *counter {
	t.Helper()
	c := &counter{Rig: rig.New(t, store, change...)}
	key, _, err := pki.NewKey(pki.Root)
	c.must(err)
	der, err := pki.MakeRoot(key, "Sample Root", "Sample", c.Clock.Now())
	c.must(err)
	root, err := x509.ParseCertificate(der)
	c.must(err)
	_, err = c.Certs.Found(t.Context(), c.Realm.ID, root, key)
	c.must(err)
	staff, org := c.Organization("Northline Supply AG", true), c.Organization("Alder Works", false)
	c.ben = c.Join(staff, directory.Agent, "Ben Agent", "ben@northline.example")
	c.hana = c.Join(staff, directory.Agent, "Hana Contact", "hana@northline.example")
	c.anna = c.Join(org, directory.Member, "Anna Alder", "anna@alder.example")
	c.ada = c.Join(org, directory.Administrator, "Ada Alder", "ada@alder.example")
	return c
}

func (c *counter) must(err error) {
	c.T.Helper()
	if err != nil {
		c.T.Fatal(err)
	}
}

func (c *counter) page() string { return rig.Origin + "/console/people/" + c.anna.Is.ID }

func (c *counter) get(b *walker.Client, address string) *walker.Page {
	c.T.Helper()
	p, err := b.Get(address)
	c.must(err)
	return p
}

func (c *counter) post(b *walker.Client, address string, pairs ...string) *walker.Page {
	c.T.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	p, err := b.Submit(&walker.Form{Action: address, Method: http.MethodPost, Values: v})
	c.must(err)
	return p
}

// issue sends Anna a certificate from her page and returns its page and the link she gets.
func (c *counter) issue(device, target string) (page *walker.Page, link string) {
	c.T.Helper()
	c.Deliver()
	page = c.post(c.ben.Browser, c.page()+"/certificates/issue", "device", device, "target", target, "contact", c.hana.Is.ID, "language", "de", "reason", "New client since Monday")
	if page.Status != http.StatusOK || !strings.Contains(page.URL.Path, "/certificates/") || strings.HasSuffix(page.URL.Path, "/issue") {
		c.T.Fatalf("issue: %d %s", page.Status, page.Main())
	}
	for _, l := range c.Deliver() {
		if l.Person == c.anna.Is.ID && l.Template == "certificate-file" {
			if link = l.Args["link"]; l.Language != "de" {
				c.T.Errorf("the letter is in %q", l.Language)
			}
		}
	}
	return page, link
}

func (c *counter) certificates() (all []pki.Certificate) {
	c.Read(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.CertificatesOf(c.Realm.ID, c.anna.Is.ID, 0)
		return err
	})
	return all
}

// From the person's page to the device: issued by one, its password said by another, fetched once, opened with it.
func TestREQ_A11_A12_A13_A16_SEC_C8_ACertificateReachesItsDeviceThroughPages(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		c := newCounter(t, store)
		if !strings.Contains(string(c.get(c.ben.Browser, c.page()).Body), c.anna.Is.ID+"/certificates/issue\"") {
			t.Fatal("nothing on the page of the person leads to issuing")
		}
		good := map[string]string{"device": "Laptop", "target": "windows", "contact": c.hana.Is.ID, "language": "en", "reason": "New client since Monday"}
		for field, bad := range map[string]string{"device": " ", "target": "beos", "contact": "", "language": "xx", "reason": "x"} {
			var pairs []string
			for k, v := range good {
				if k == field {
					v = bad
				}
				pairs = append(pairs, k, v)
			}
			p := c.post(c.ben.Browser, c.page()+"/certificates/issue", pairs...)
			if p.Status != http.StatusUnprocessableEntity || p.Text("error-summary") == "" || field != "device" && p.Form() != nil && p.Form().Values.Get("device") != "Laptop" {
				t.Errorf("a wrong %s: %d %q", field, p.Status, p.Text("error-summary"))
			}
		}
		if n := len(c.certificates()); n != 0 {
			t.Fatalf("%d certificates of refused forms", n)
		}
		for who, b := range map[string]*walker.Client{"a customer's administrator": c.ada.Browser, "herself": c.anna.Browser} {
			if p := c.post(b, c.page()+"/certificates/issue", "device", "Laptop", "target", "windows", "contact", c.hana.Is.ID, "reason", "New client since Monday"); p.Status < 400 {
				t.Errorf("%s issues: %d", who, p.Status)
			}
		}
		page, link := c.issue("Laptop in the office", "windows")
		at := page.URL.String()
		if !strings.HasPrefix(link, rig.Origin+"/certificate-file/") || !strings.Contains(page.Main(), "Sent, not fetched yet") {
			t.Fatalf("%q %s", link, page.Main())
		}
		// Who issued it is not shown the password, and neither is anybody but the contact, who ticks and sees it once.
		if page.FormTo("/password") != nil || c.post(c.ben.Browser, at+"/password", "confirm", "yes").Text("p12-password") != "" {
			t.Error("the issuer is shown the password")
		}
		if p := c.post(c.ada.Browser, at+"/password", "confirm", "yes"); p.Status != http.StatusForbidden && p.Text("p12-password") != "" {
			t.Errorf("the administrator: %d", p.Status)
		}
		if p := c.post(c.hana.Browser, at+"/password"); p.Status != http.StatusUnprocessableEntity || p.Text("p12-password") != "" {
			t.Errorf("without a tick: %d", p.Status)
		}
		if c.get(c.hana.Browser, at).Text("p12-password") != "" {
			t.Error("looking shows the password")
		}
		shown := c.post(c.hana.Browser, at+"/password", "confirm", "yes")
		password := shown.Text("p12-password")
		if len(password) != 24 || !strings.Contains(shown.Main(), "·") {
			t.Fatalf("%q %s", password, shown.Main())
		}
		if p := c.post(c.hana.Browser, at+"/password", "confirm", "yes"); p.Status != http.StatusGone || p.Text("p12-password") != "" {
			t.Errorf("the password a second time: %d", p.Status)
		}
		// Her own side: looking spends nothing, a form without a tick neither, 64 who fetch at once get one file.
		phone := c.Browser("198.51.100.7")
		for range 20 {
			if p := c.get(phone, link); p.Status != http.StatusOK || p.Language() != "en" || !strings.Contains(p.Main(), "Laptop in the office") || !strings.Contains(p.Main(), "Hana Contact") {
				t.Fatalf("the link: %d %s", p.Status, p.Main())
			}
		}
		if p := c.post(phone, link, "as", "file"); p.Status != http.StatusUnprocessableEntity {
			t.Errorf("without a tick: %d", p.Status)
		}
		if p := c.post(phone, link, "as", "profile", "confirm", "yes"); p.Status != http.StatusServiceUnavailable || p.FormTo(link[len(rig.Origin):]) == nil {
			t.Errorf("a profile that nobody can sign: %d", p.Status)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		var file []byte
		got := 0
		for i := range 64 {
			wg.Go(func() {
				b := c.Browser(fmt.Sprintf("198.51.100.%d", i+10))
				p, err := b.Submit(&walker.Form{Action: link, Method: http.MethodPost, Values: url.Values{"confirm": {"yes"}, "as": {"file"}}})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case p.Status == http.StatusOK:
					got, file = got+1, p.Body
					if k, d := p.Header.Get("Content-Type"), p.Header.Get("Content-Disposition"); k != "application/x-pkcs12" || d != `attachment; filename="shop-2028.p12"` || p.Header.Get("Cache-Control") != "no-store" {
						t.Errorf("%q %q", k, d)
					}
				case p.Status != http.StatusGone:
					t.Errorf("%d %s", p.Status, p.Main())
				}
			})
		}
		wg.Wait()
		if got != 1 {
			t.Fatalf("%d of 64 got the file", got)
		}
		key, leaf, chain, err := pkcs12.DecodeChain(file, password)
		if err != nil || len(chain) != 1 || leaf.PublicKey.(*ecdsa.PublicKey).Equal(key.(*ecdsa.PrivateKey).Public()) == false {
			t.Fatalf("%v", err)
		}
		if p := c.get(phone, link); p.Status != http.StatusGone || !strings.Contains(p.Main(), "The file was fetched") || !strings.Contains(p.Main(), "Hana Contact") {
			t.Errorf("afterwards: %d %s", p.Status, p.Main())
		}
		if p := c.get(c.ben.Browser, at); !strings.Contains(p.Main(), "Fetched, not used yet") || p.FormTo("/resend") != nil {
			t.Errorf("afterwards the page says %s", p.Main())
		}
		told := c.get(c.ada.Browser, c.page()).Main()
		for _, want := range []string{"A certificate for Laptop in the office was sent.", "The file with the certificate for Laptop in the office was fetched."} {
			if !strings.Contains(told, want) {
				t.Errorf("the history does not say %q: %s", want, told)
			}
		}
		if strings.Contains(c.get(c.ben.Browser, c.page()).Main(), "Laptop in the office") {
			t.Error("the veil does not hide what the device is called")
		}
	})
}

// Sent again, put on hold, accepted, replaced, revoked: by whom the table of rights says, each with its letter.
func TestREQ_A16_A56_StaffResendHoldReplaceAndRevoke(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		c := newCounter(t, store)
		page, first := c.issue("Laptop", "windows")
		at, phone := page.URL.String(), c.Browser("198.51.100.7")
		page, err := c.ben.Browser.Submit(page.FormTo("/resend"))
		c.must(err)
		var second string
		for _, l := range c.Deliver() {
			if l.Template == "certificate-file" {
				second = l.Args["link"]
			}
		}
		if c.get(phone, first).Status != http.StatusNotFound || c.get(phone, second).Status != http.StatusOK {
			t.Errorf("the older link lives, or the newer does not: %s", page.Main())
		}
		reason := "Left in a train on Tuesday"
		stand := func() pki.State { return c.certificates()[0].State }
		for _, step := range []struct {
			who    *walker.Client
			act    string
			status int
			want   pki.State
		}{
			{c.anna.Browser, "hold", http.StatusForbidden, pki.Issued},
			{c.ada.Browser, "hold", http.StatusOK, pki.Suspended},
			{c.ada.Browser, "resume", http.StatusForbidden, pki.Suspended},
			{c.ben.Browser, "resume", http.StatusOK, pki.Issued},
		} {
			p := c.post(step.who, at+"/"+step.act, "reason", reason)
			if p.Status != step.status && !(step.status == http.StatusForbidden && p.Status == http.StatusNotFound) || stand() != step.want {
				t.Errorf("%s: %d, %s", step.act, p.Status, stand())
			}
		}
		if p := c.post(c.ada.Browser, at+"/revoke", "reason", reason); p.Status != http.StatusUnprocessableEntity || stand() != pki.Issued {
			t.Errorf("revoked without a why: %d", p.Status)
		}
		old := c.certificates()[0]
		p := c.post(c.ben.Browser, at+"/replace", "device", "Laptop", "target", "macos", "contact", c.hana.Is.ID, "language", "en", "reason", "The file was lost by mistake")
		all := c.certificates()
		if p.Status != http.StatusOK || len(all) != 2 || all[0].Device != old.Device || all[0].Replaces != old.ID || all[1].State != pki.Revoked || all[1].Reason != pki.Superseded {
			t.Fatalf("replaced: %d %+v", p.Status, all)
		}
		c.Read(func(tx *sqlstore.Tx) error {
			left, err := tx.ParcelOf(c.Realm.ID, old.ID)
			if err == nil && (len(left.File)+len(left.Password) != 0 || left.State != keyfile.Ended) {
				t.Errorf("what was replaced keeps a file of %d bytes and a password of %d, and is %s", len(left.File), len(left.Password), left.State)
			}
			return err
		})
		if d := c.get(phone, second); d.Status != http.StatusGone || !strings.Contains(d.Main(), "not there any more") {
			t.Errorf("the link of what was replaced: %d", d.Status)
		}
		if p := c.post(c.ben.Browser, at+"/replace", "device", "Laptop", "target", "macos", "contact", c.hana.Is.ID, "language", "en", "reason", "The file was lost by mistake"); p.Status != http.StatusForbidden || len(c.certificates()) != 2 {
			t.Errorf("replaced twice: %d", p.Status)
		}
		now := c.page() + "/certificates/" + all[0].ID
		if p := c.post(c.ada.Browser, now+"/revoke", "reason", reason, "why", "key-compromise"); p.Status != http.StatusOK || c.certificates()[0].State != pki.Revoked {
			t.Errorf("revoked: %d", p.Status)
		}
		letters := map[string]int{}
		for _, l := range c.Deliver() {
			if l.Person == c.anna.Is.ID {
				letters[l.Template]++
			}
		}
		if letters["certificate-held"] != 1 || letters["certificate-resumed"] != 1 || letters["certificate-withdrawn"] != 1 {
			t.Errorf("letters: %v", letters)
		}
	})
}

// The same by the letter itself, where the realm wants that: nothing stays to be fetched, and the key is gone with the letter.
func TestREQ_A11_A14_TheFileGoesWithTheLetter(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		c := newCounter(t, store, func(r *directory.Realm) { r.Certificates.Attach = true })
		c.Deliver()
		page := c.post(c.ben.Browser, c.page()+"/certificates/issue", "device", "iPad", "target", "ios", "contact", c.hana.Is.ID, "language", "en", "reason", "New client since Monday")
		if !strings.Contains(page.Main(), "Sent with the mail") || page.FormTo("/resend") != nil {
			t.Fatalf("%d %s", page.Status, page.Main())
		}
		var file []byte
		for _, l := range c.Deliver() {
			if l.Template == "certificate-attached" {
				file, _ = base64.StdEncoding.DecodeString(l.Args["file"])
			}
		}
		password := c.post(c.hana.Browser, page.URL.String()+"/password", "confirm", "yes").Text("p12-password")
		if _, _, _, err := pkcs12.DecodeChain(file, password); err != nil {
			t.Fatal(err)
		}
		c.Read(func(tx *sqlstore.Tx) error {
			p, err := tx.ParcelOf(c.Realm.ID, c.certificates()[0].ID)
			if err != nil || p.State != keyfile.Attached || len(p.File)+len(p.Password) != 0 {
				t.Errorf("%v %+v", err, p)
			}
			m, err := tx.Mail(c.Realm.ID, p.Letter)
			if m.State != mail.Sent || len(m.Args) != 0 {
				t.Errorf("the letter keeps %d arguments", len(m.Args))
			}
			return err
		})
	})
}

// down is a mail server that nobody reaches.
type down struct{}

func (down) Send(_ context.Context, _ mail.Composed) error {
	return errors.New("dial tcp 192.0.2.25:25: connection refused")
}

// A mail server that is away: the certificate is issued, the page says that the letter waits, and nothing is half-done.
func TestREQ_A11_TheMailServerIsAway(t *testing.T) {
	c := newCounter(t, testdb.SQLite(t))
	c.Deliver()
	page := c.post(c.ben.Browser, c.page()+"/certificates/issue", "device", "iPad", "target", "ios", "contact", c.hana.Is.ID, "language", "en", "reason", "New client since Monday")
	w := &mail.Worker{Store: sqlstore.For[mail.Tx](c.Store), Sender: down{}, Clock: c.Clock.Now, Ring: testdb.Ring()}
	_, err := w.Deliver(t.Context())
	c.must(err)
	page = c.get(c.ben.Browser, page.URL.String())
	if !strings.Contains(page.Main(), "We try again for three days") {
		t.Errorf("the page does not say that the letter waits: %s", page.Main())
	}
	c.Clock.Advance(time.Hour)
	var link string
	for _, l := range c.Deliver() {
		if l.Template == "certificate-file" {
			link = l.Args["link"]
		}
	}
	if p := c.get(c.Browser("198.51.100.7"), link); p.Status != http.StatusOK {
		t.Errorf("the letter that waited: %d", p.Status)
	}
}

// An iPad gets a profile that the host itself has signed, with the file in it; and the file is spent by that.
func TestREQ_A36_A39_ASignedProfileForAnIPad(t *testing.T) {
	c := newCounter(t, testdb.SQLite(t))
	ca := rig.NewCA(t, "Public CA")
	host := ca.Issue(func(x *x509.Certificate) { x.DNSNames = []string{c.Realm.Host} })
	c.Parcels.Signer = func(name string) (crypto.Signer, []*x509.Certificate) {
		if name != c.Realm.Host {
			return nil, nil
		}
		return host.PrivateKey.(crypto.Signer), []*x509.Certificate{host.Leaf, ca.Cert}
	}
	page, link := c.issue("iPad", "ios")
	password := c.post(c.hana.Browser, page.URL.String()+"/password", "confirm", "yes").Text("p12-password")
	tablet := c.Browser("198.51.100.7")
	p := c.get(tablet, link)
	if len(p.FormTo(link[len(rig.Origin):]).Buttons()) != 2 {
		t.Fatalf("no choice between profile and file: %s", p.Main())
	}
	p = c.post(tablet, link, "as", "profile", "confirm", "yes")
	if k, d := p.Header.Get("Content-Type"), p.Header.Get("Content-Disposition"); p.Status != http.StatusOK || k != keyfile.ProfileType || d != `attachment; filename="shop-2028.mobileconfig"` {
		t.Fatalf("%d %q %q", p.Status, k, d)
	}
	signed, err := pkcs7.Parse(p.Body)
	c.must(err)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	signed.Content = bytes.Clone(signed.Content)
	if err := signed.VerifyWithChain(roots); err != nil {
		t.Fatal(err)
	}
	text := string(signed.Content)
	for _, want := range []string{"com.apple.security.pkcs12", "shop-2028.p12", "iPad"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the profile", want)
		}
	}
	if strings.Contains(text, password) {
		t.Error("the profile holds the password")
	}
	_, content, _ := strings.Cut(text[strings.Index(text, "shop-2028.p12"):], "<data>")
	content, _, _ = strings.Cut(content, "</data>")
	file, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(content), ""))
	c.must(err)
	if _, _, _, err := pkcs12.DecodeChain(file, password); err != nil {
		t.Error(err)
	}
	if p := c.post(tablet, link, "as", "file", "confirm", "yes"); p.Status != http.StatusGone {
		t.Errorf("the file after the profile: %d", p.Status)
	}
}

// After delivery neither the key nor its password is anywhere: not in the database and its journal, the log, the audit, a mail.
func TestREQ_A16_SEC_C8_G3_TheKeyIsGoneAfterDelivery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "canary.db")
	c := newCounter(t, testdb.Open(t, "sqlite:"+path))
	page, link := c.issue("Laptop", "widest")
	password := c.post(c.hana.Browser, page.URL.String()+"/password", "confirm", "yes").Text("p12-password")
	file := c.post(c.Browser("198.51.100.7"), link, "confirm", "yes").Body
	key, _, _, err := pkcs12.DecodeChain(file, password)
	c.must(err)
	secret, err := key.(*ecdsa.PrivateKey).Bytes()
	c.must(err)
	planted := canaries{}
	for _, s := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret)[:40]} {
		planted.plant("private key", s)
	}
	for _, s := range []string{password, strings.ReplaceAll(password, "-", ""), base64.StdEncoding.EncodeToString([]byte(password))[:28]} {
		planted.plant("password of a file", s)
	}
	planted.plant("file", string(file[40:120]))
	planted.plant("file", base64.StdEncoding.EncodeToString(file[30:90]))
	planted.plant("link", link[strings.LastIndex(link, "/")+1:])
	planted.search(t, "the log", c.Log.String())
	c.Read(func(tx *sqlstore.Tx) error {
		events, err := tx.Events(audit.Query{Realm: c.Realm.ID, Limit: 1000})
		planted.search(t, "the audit", fmt.Sprintf("%+v", events))
		return err
	})
	for _, l := range c.Deliver() {
		planted.search(t, "the mail "+l.Template, l.Text+fmt.Sprint(l.Args))
	}
	for _, suffix := range []string{"", "-wal"} {
		dump, err := os.ReadFile(path + suffix)
		if err != nil && suffix == "" {
			t.Fatal(err)
		}
		planted.search(t, "the database file"+suffix, string(dump))
	}
	c.Read(func(tx *sqlstore.Tx) error {
		p, err := tx.ParcelOf(c.Realm.ID, c.certificates()[0].ID)
		if len(p.File)+len(p.Password) != 0 {
			t.Error("the parcel keeps something")
		}
		return err
	})
	found := &quiet{TB: t}
	planted.search(found, "a test", string(secret)+password)
	if found.n < 2 {
		t.Error("the search finds nothing at all")
	}
}
