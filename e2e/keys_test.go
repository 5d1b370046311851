package e2e

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"doorward/internal/directory"
	"doorward/internal/handover"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
)

// reads runs a program that reads a file with a key as somebody's system would.
func reads(t *testing.T, want string, name string, args ...string) {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "HOME="+t.TempDir())
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s: %v, and no %q in %s", name, err, want, out)
	}
}

// The browser makes the key: a wrong password is refused in words, the right one gives a file that everybody's programs read,
// and with it in another browser its owner comes through the host for certificates.
func TestREQ_A16b_TheBrowserMakesTheKey(t *testing.T) {
	t.Parallel()
	d := startDevices(t)
	ann, _ := d.enter("Ann Client", "ann@client.example", "Ann, tablet")
	key, _, err := pki.NewKey(pki.Root)
	d.must(err)
	der, err := pki.MakeRoot(key, "Northline Root", "Northline", d.Clock.Now())
	d.must(err)
	root, err := x509.ParseCertificate(der)
	d.must(err)
	_, err = d.Certs.Found(t.Context(), d.Realm.ID, root, key)
	d.must(err)
	staff := d.Organization("Northline Supply AG", true)
	contact := directory.Person{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: d.Realm.ID, Organization: staff.ID, Address: "hana@northline.example", Name: "Hana Contact", Role: directory.Agent,
		State: directory.Active, Language: "en", Created: d.Clock.Now(), FirstActive: d.Clock.Now(),
	}
	ben := contact
	ben.ID, ben.Address, ben.Name = uuid.Must(uuid.NewV7()).String(), "ben@northline.example", "Ben Agent"
	d.Write(func(tx *sqlstore.Tx) error {
		if err := tx.AddPerson(ben); err != nil {
			return err
		}
		return tx.AddPerson(contact)
	})
	realm, err := d.Realms.Realm(d.Realm.ID)
	d.must(err)
	as := func(p directory.Person) login.By {
		return login.By{Signed: login.Signed{Realm: realm, Organization: staff, Person: p}, Network: "192.0.2.1"}
	}
	d.Deliver()
	parcel, err := d.Parcels.Send(t.Context(), as(ben), handover.Order{
		Person: ann.Is.ID, Device: "Ann, laptop", Target: keyfile.Linux, Contact: contact.ID, Language: "en", Reason: "New client since Monday",
	})
	d.must(err)
	var link string
	for _, l := range d.Deliver() {
		if l.Template == "certificate-file" {
			link = l.Args["link"]
		}
	}
	password, _, err := d.Parcels.Say(t.Context(), as(contact), parcel.ID)
	d.must(err)

	b := d.browser(nil)
	downloads := t.TempDir()
	p := b.person(t, "de") // the page speaks the language of the letter's owner, and so do its errors
	p.call("downloads", func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
			Behavior: "allow", DownloadPath: downloads, BrowserContextID: chromedp.FromContext(p.ctx).BrowserContextID,
		})
		return err
	})
	p.open(link)
	p.check("file")
	say := func(password string) {
		p.do("type the password", chromedp.SetValue(chromedp.CSS("#file-password"), password), chromedp.Click(chromedp.CSS("form[data-key] button")))
	}
	say("aaaa-bbbb-cccc-dddd-eeee")
	p.await(`!document.querySelector("#file-password-error").hidden`)
	if got := p.text("#file-password-error"); !strings.Contains(got, "Tries left: 4") {
		t.Errorf("a wrong password: %q", got)
	}
	p.check("wrong")
	say(string(password))
	p.await(`!document.querySelector("#here-done").hidden`)
	p.check("done")
	var file string
	within(t, "the file is saved", func() bool {
		all, _ := filepath.Glob(filepath.Join(downloads, "*.p12"))
		if len(all) == 1 {
			file = all[0]
		}
		return file != ""
	})
	d.Read(func(tx *sqlstore.Tx) error {
		now, err := tx.Parcel(d.Realm.ID, parcel.ID)
		if now.State != keyfile.Fetched || len(now.File)+len(now.Password) != 0 || now.Certificate == parcel.Certificate {
			t.Errorf("%+v", now)
		}
		return err
	})
	if filepath.Base(file) != keyfile.Name(d.Realm.ID, parcel.Year, "p12") {
		t.Errorf("it is called %s", file)
	}
	reads(t, "2048", "openssl", "pkcs12", "-in", file, "-info", "-noout", "-passin", "pass:"+string(password))
	reads(t, "BEGIN", "certtool", "--p12-info", "--inder", "--infile", file, "--password", string(password))
	reads(t, "chain length: 2", "keytool", "-list", "-v", "-storetype", "PKCS12", "-keystore", file, "-storepass", string(password))

	// What pk12util reads, and the host accepts.
	chosen, err := json.Marshal(map[string]any{"profile": map[string]any{"content_settings": map[string]any{"exceptions": map[string]any{"auto_select_certificate": map[string]any{
		fmt.Sprintf("https://[*.]%s,*", rig.Host): map[string]any{"setting": map[string]any{"filters": []any{map[string]any{}}}},
	}}}}})
	d.must(err)
	other := openBrowserAt(t, "MAP *.localhost:443 "+d.Addr+", MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", string(chosen), []keyFile{{file, string(password)}}, d.CAFile)
	p = other.person(t, "en")
	p.begins(ann.Is.Address)
	if !p.has(`main form [autocomplete~="current-password"]`) {
		p.keep("failed")
		t.Fatalf("the certificate leads to %s (%s)", p.address(), p.title())
	}
	p.fill("current-password", rig.Password)
	p.submit()
	d.Clock.Until(time.Now())
	p.fill("one-time-code", ann.Mind.NextCode())
	p.submit()
	p.at("/account")
}

func (d *devices) must(err error) {
	d.T.Helper()
	if err != nil {
		d.T.Fatal(err)
	}
}
