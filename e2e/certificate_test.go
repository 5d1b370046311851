package e2e

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/keyfile"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/testdb"
)

// devices is a realm whose members show certificates, behind the program's own listener, at the machine's time: browsers look
// at the clock themselves.
type devices struct {
	*rig.Served
	ca    *rig.CA
	of    pki.Authority
	owner directory.Organization
}

func startDevices(t *testing.T) *devices {
	t.Helper()
	r := rig.New(t, testdb.SQLite(t), rig.WithCertificates)
	r.Clock.Until(time.Now())
	d := &devices{ca: rig.NewCA(t, "Northline devices", rig.Always)}
	d.of, d.owner = r.Trust(d.ca), r.Organization("Customer", false)
	d.Served = r.Serve()
	return d
}

// enter invites somebody and walks them in with a device, as a browser without a script.
func (d *devices) enter(name, address, device string, change ...func(*x509.Certificate)) (*rig.Somebody, rig.Device) {
	d.T.Helper()
	p, link := d.Invite(d.owner, directory.Member, name, address)
	dev := d.Device(d.ca, d.of, p, device, append([]func(*x509.Certificate){subjectOf(device)}, change...)...)
	s := &rig.Somebody{Is: p, Mind: d.Mind(address), Browser: d.BrowserWith("192.0.2.10", dev.Cert)}
	page, err := s.Browser.Get(link)
	if err == nil {
		_, err = s.Mind.Walk(s.Browser, page, walker.At("/account"))
	}
	if err != nil {
		d.T.Fatalf("%s comes in: %v", address, err)
	}
	d.Clock.Advance(rig.Step)
	return s, dev
}

// subjectOf names a certificate as the list of a browser shows it.
func subjectOf(device string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { rig.Always(c); c.Subject.CommonName = device }
}

// browser opens Chromium for somebody who has installed certificates from our own files, and who chooses at each host the one
// with that name.
func (d *devices) browser(chosen map[string]string, all ...tls.Certificate) *browser {
	d.T.Helper()
	const password = "abcde-fghjk-mnpqr-stuvw"
	var files []keyFile
	for i, c := range all {
		file, err := keyfile.PKCS12(keyfile.Linux, c.PrivateKey.(crypto.Signer), c.Leaf, []*x509.Certificate{d.ca.Cert}, password)
		if err != nil {
			d.T.Fatal(err)
		}
		name := filepath.Join(d.T.TempDir(), fmt.Sprintf("%d.p12", i))
		if err := os.WriteFile(name, file, 0o600); err != nil {
			d.T.Fatal(err)
		}
		files = append(files, keyFile{name, password})
	}
	rules := map[string]any{}
	for host, subject := range chosen {
		rules["https://"+host+",*"] = map[string]any{"setting": map[string]any{"filters": []any{map[string]any{"SUBJECT": map[string]string{"CN": subject}}}}}
	}
	prefers, err := json.Marshal(map[string]any{"profile": map[string]any{"content_settings": map[string]any{"exceptions": map[string]any{"auto_select_certificate": rules}}}})
	if err != nil {
		d.T.Fatal(err)
	}
	return openBrowserAt(d.T, "MAP *.localhost:443 "+d.Addr+", MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", string(prefers), files, d.CAFile)
}

// begins types the address and presses the button that leads to the host for certificates.
func (p *tab) begins(address string) {
	p.t.Helper()
	p.open(rig.Origin + "/signin")
	p.fill("username", address)
	p.submit()
	p.submit()
}

// says fails unless the heading has the words; it keeps pictures of the page at every size, iPad among them.
func (p *tab) says(name, words string) {
	p.t.Helper()
	if got := p.text("h1"); !strings.Contains(got, words) {
		p.keep("failed")
		p.t.Fatalf("%s: %q at %s, want %q", name, got, p.address(), words)
	}
	p.check(name)
}

// Chromium with certificates in its own store, over real TLS: a revoked one, somebody else's, and at the third host, which asks
// anew, the right one, with which its owner comes in.
func TestREQ_A8_A20_A21_A22_CertificatesInChromium(t *testing.T) {
	t.Parallel()
	d := startDevices(t)
	ann, right := d.enter("Ann Client", "ann@client.example", "Ann, tablet")
	_, bobs := d.enter("Bob Client", "bob@client.example", "Bob, laptop")
	revoked := d.Device(d.ca, d.of, ann.Is, "Old tablet", subjectOf("Ann, old tablet"))
	d.Change(revoked, func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Revoked, pki.KeyCompromise, d.Clock.Now() })
	b := d.browser(map[string]string{
		"cert." + rig.Host: "Ann, old tablet", "cert2." + rig.Host: "Bob, laptop", "cert3." + rig.Host: "Ann, tablet",
	}, right.Cert, bobs.Cert, revoked.Cert)
	p := b.person(t, "en")
	p.begins(ann.Is.Address)
	p.says("revoked", "was revoked")
	p.follow("Try again")
	p.says("somebody-elses", "belongs to somebody else")
	p.follow("Try again")
	if !p.has(`main form [autocomplete~="current-password"]`) {
		p.keep("failed")
		t.Fatalf("the right certificate leads to %s (%s)", p.address(), p.title())
	}
	p.fill("current-password", rig.Password)
	p.submit()
	p.fill("one-time-code", ann.Mind.NextCode())
	p.submit()
	p.at("/account")
	// The guides, in the words of the page that leads to them.
	p.open(rig.Origin + "/help/certificate")
	p.says("guide", "install it on a device")
	p.open(rig.Origin + "/help/certificate-remove")
	p.says("guide-remove", "Remove a certificate")
}

// A certificate that has run out is not even offered by Chromium: its owner is told what to look for. Asked three times, the
// browser has to be closed once. A browser that has shown one before is told that none was chosen.
func TestREQ_A21_NoCertificateInChromium(t *testing.T) {
	t.Parallel()
	d := startDevices(t)
	ann, _ := d.enter("Ann Client", "ann@client.example", "Ann, tablet")
	ended := d.Device(d.ca, d.of, ann.Is, "E", subjectOf("Ann, ended"), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	b := d.browser(map[string]string{"[*.]" + rig.Host: "Ann, ended"}, ended.Cert)
	p := b.person(t, "de")
	p.begins(ann.Is.Address)
	p.says("none", "Es kam kein Zertifikat an")
	if p.text(`a[href^="/help/certificate#linux"]`) == "" {
		t.Error("the page leads to no guide for this system")
	}
	p.follow("Noch einmal versuchen")
	p.says("none-again", "Es kam kein Zertifikat an")
	p.follow("Noch einmal versuchen")
	p.says("close-once", "Schliessen Sie den Browser einmal")
}
