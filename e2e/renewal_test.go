package e2e

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorward/internal/pki"
	"doorward/internal/rig"
)

// signs gives the realm an authority that signs new certificates.
func (d *devices) signs() {
	d.T.Helper()
	key, _, err := pki.NewKey(pki.Root)
	if err != nil {
		d.T.Fatal(err)
	}
	der, err := pki.MakeRoot(key, "Northline devices root", "Northline", d.Clock.Now())
	if err != nil {
		d.T.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		d.T.Fatal(err)
	}
	if _, err := d.Certs.Found(d.T.Context(), d.Realm.ID, root, key); err != nil {
		d.T.Fatal(err)
	}
}

// comesIn shows the certificate of this browser, then password and code.
func (d *devices) comesIn(p *tab, who *rig.Somebody) {
	p.t.Helper()
	d.Clock.Advance(rig.Step)
	p.begins(who.Is.Address)
	p.fill("current-password", rig.Password)
	p.submit()
	p.fill("one-time-code", who.Mind.NextCode())
	p.submit()
	p.at("/account")
}

// ticked is how many steps of the checklist are done, and which one is to do now.
func (p *tab) ticked() string {
	p.t.Helper()
	return eval[string](p, `[...document.querySelectorAll('ol.checklist > li')].map(n => n.classList.contains('done') ? 'x' : n.getAttribute('aria-current') ? '>' : '.').join('')`)
}

// A certificate that ends soon is renewed by its owner, in Chromium: the page ticks what is done by itself, the file that the
// browser kept goes into the store of a second profile with the password that was shown, and comes in there; the old one is
// removed, its session ends, and what it is told afterwards helps.
func TestREQ_A23_A46_A47_A48_A49_A50_A55_RenewedInChromium(t *testing.T) {
	t.Parallel()
	d := startDevices(t)
	d.signs()
	ann, old := d.enter("Ann Client", "ann@client.example", "Ann, tablet", func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, 20) })
	before := d.browser(map[string]string{"[*.]" + rig.Host: "Ann, tablet"}, old.Cert).person(t, "en").asChrome()
	d.comesIn(before, ann)
	if text := before.text("main"); !strings.Contains(text, "Ann, tablet") {
		t.Errorf("no banner: %s", text)
	}
	before.check("account-banner")
	before.open(rig.Origin + "/account/certificates")
	before.check("account-certificates")
	before.follow("Renew")
	renew := before.address()
	before.check("renew-1")
	if got := before.ticked(); got != ">...." {
		t.Errorf("at the beginning %s", got)
	}

	before.click(`form[action$="/renew"] button`)
	before.open(renew)
	before.check("renew-2")
	before.click(`form[action$="/renew/password"] button`)
	password := before.text("#p12-password")
	before.check("renew-password")
	if got := before.ticked(); got != "xx>.." {
		t.Errorf("after the password %s", got)
	}
	dir := t.TempDir()
	before.keepsIn(dir)
	file := before.fetch(dir, `form[action$="/renew/file"] button`)
	if name := strings.ToLower(filepath.Base(file)); strings.Contains(name, "ann") {
		t.Errorf("the name of the file says whose it is: %s", name)
	}
	before.open(renew)
	before.check("renew-3")
	if got := before.ticked(); got != "xxx>." {
		t.Errorf("after the file %s", got)
	}
	if strings.Contains(before.text("body"), password) {
		t.Error("the password is shown twice")
	}
	// The browser goes on to show the old one: the page says so, and the next try is at a host that asks anew.
	before.click(`form[action$="/renew/show"] button`)
	before.check("renew-other")
	if got := before.ticked(); got != "xxx>." {
		t.Errorf("the old one counts as the new one: %s", got)
	}

	prefers, err := json.Marshal(map[string]any{"profile": map[string]any{"content_settings": map[string]any{"exceptions": map[string]any{
		"auto_select_certificate": map[string]any{"https://[*.]" + rig.Host + ",*": map[string]any{"setting": map[string]any{"filters": []any{map[string]any{}}}}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	after := openBrowserAt(t, fmt.Sprintf("MAP *.localhost:443 %s, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", d.Addr), string(prefers), []keyFile{{file, password}}, d.CAFile).person(t, "en").asChrome()
	d.comesIn(after, ann)
	after.open(renew)
	after.check("renew-4")
	if got := after.ticked(); got != "xxxx>" {
		t.Errorf("after the sign-in with the new one %s", got)
	}
	after.click(`form[action$="/remove"] button`)
	after.at("/account/certificates")
	after.check("account-certificates-renewed")
	after.open(renew)
	after.check("renew-5")
	if got := after.ticked(); got != "xxxxx" {
		t.Errorf("at the end %s", got)
	}

	before.open(rig.Origin + "/account")
	if strings.HasPrefix(before.address(), rig.Origin+"/account") {
		t.Errorf("the session of the old one goes on: %s", before.text("main"))
	}
	before.begins(ann.Is.Address)
	before.says("replaced", "old certificate")
	if !before.has(`a[href^="/help/certificate-remove"]`) {
		t.Error("nothing says how to remove the old one")
	}
	before.follow("How to remove")
	before.says("guide-remove", "Remove a certificate")

	after.open(rig.Origin + "/signout")
	after.click("main form button")
	if !strings.Contains(after.text("main"), "Chrome and Edge") {
		t.Errorf("nothing says what the browser keeps: %s", after.text("main"))
	}
	after.check("signed-out")
}
