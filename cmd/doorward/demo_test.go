package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"doorward/internal/demo"
	"doorward/internal/rig/walker"
)

// started is a demo that answers.
type started struct {
	dir   string
	sheet demo.Sheet
	out   *logged
	errs  *logged
	roots *x509.CertPool
	stop  func() int
}

func startDemo(t *testing.T, dir string) *started {
	t.Helper()
	return startDemoAt(t, dir, func() time.Time { return time.Now().UTC() })
}

// startDemoAt starts a demo with a clock that the test can move.
func startDemoAt(t *testing.T, dir string, clock func() time.Time) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &started{dir: dir, out: newLogged(), errs: newLogged(), roots: x509.NewCertPool()}
	ended, code := make(chan struct{}), 0
	go func() {
		defer close(ended)
		code = run(ctx, world{
			args: []string{"demo", "--dir", dir, "--listen", "127.0.0.1:0"}, out: s.out, errs: s.errs, clock: clock,
		})
	}()
	s.stop = func() int { cancel(); <-ended; return code }
	t.Cleanup(func() { s.stop() })
	s.out.until(t, "everything a script needs", ended, s.errs)
	read(t, filepath.Join(dir, "demo.json"), &s.sheet)
	ca, err := os.ReadFile(filepath.Join(dir, s.sheet.CAFile))
	if err != nil || !s.roots.AppendCertsFromPEM(ca) {
		t.Fatalf("ca.pem: %v", err)
	}
	return s
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func (s *started) person(email string) demo.Person {
	i := slices.IndexFunc(s.sheet.People, func(p demo.Person) bool { return p.Email == email })
	return s.sheet.People[i]
}

// browser is one of a person's, with the certificate of their device.
func (s *started) browser(t *testing.T, p demo.Person) *walker.Client {
	t.Helper()
	c := walker.New(s.roots, "")
	if p.CertificateFile == "" {
		return c
	}
	file, err := os.ReadFile(filepath.Join(s.dir, p.CertificateFile))
	if err != nil {
		t.Fatal(err)
	}
	key, leaf, issuers, err := pkcs12.DecodeChain(file, p.CertificatePassword)
	if err != nil || len(issuers) != 1 {
		t.Fatalf("%s: %v, %d issuers", p.CertificateFile, err, len(issuers))
	}
	shown := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	c.HTTP.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return shown, nil
	}
	return c
}

// signIn walks a person in as they come every day.
func (s *started) signIn(t *testing.T, p demo.Person) {
	t.Helper()
	c := s.browser(t, p)
	page, err := c.Get(s.sheet.Realms[p.Realm].URL + "/signin")
	if err != nil {
		t.Fatal(err)
	}
	mind := &walker.Person{Address: p.Email, Password: p.Password, Secret: p.TOTPSecret, Now: time.Now}
	if _, err := mind.Walk(c, page, walker.At("/account")); err != nil {
		t.Errorf("%s cannot sign in: %v", p.Email, err)
	}
}

// shows is the title of the page that somebody sees behind their certificate.
func (s *started) shows(t *testing.T, p demo.Person) string {
	t.Helper()
	c := s.browser(t, p)
	page, err := c.Get(s.sheet.Realms[p.Realm].URL + "/signin")
	if err == nil {
		f := page.Form()
		f.Fill("username", p.Email)
		page, err = c.Submit(f)
	}
	if err == nil {
		page, err = c.Submit(page.FormTo("/certificate"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return page.Title()
}

// What CONTRACT promises of demo.json and the directory, from nothing; and the same people, passwords and CA at the
// second start.
func TestDemoFromNothingAndAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	one := startDemo(t, dir)
	if one.sheet.MailDir != "mail" || !strings.HasPrefix(one.sheet.Tour, "https://tour.localhost:") {
		t.Errorf("%+v", one.sheet)
	}
	for _, realm := range []string{"shop", "wealth"} {
		r := one.sheet.Realms[realm]
		asks := map[string]string{"wealth": strings.Replace(r.URL, "https://", "https://cert.", 1)}[realm]
		if !strings.HasPrefix(r.URL, "https://"+realm+".localhost:") || r.Issuer != r.URL || r.CertificateURL != asks {
			t.Errorf("%s: %+v", realm, r)
		}
		for _, want := range []string{"customer administrator active", "member active", "member invited", "agent active", "supervisor active", "owner active"} {
			i := slices.IndexFunc(one.sheet.People, func(p demo.Person) bool { return p.Realm == realm && p.Role+" "+p.State == want })
			if i < 0 {
				t.Errorf("%s has no %s", realm, want)
				continue
			}
			p := one.sheet.People[i]
			if has := p.Password != "" && p.TOTPSecret != ""; p.Organization == "" || p.Email == "" || p.Name == "" || has != (p.State == "active") {
				t.Errorf("%s, %s: %+v", realm, want, p)
			}
		}
	}
	for _, file := range []string{"demo.json", "people.json", "ca.key", "keyring"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v: others may read it", file, info, err)
		}
	}
	var mails []string
	for len(mails) < 3 {
		<-time.After(20 * time.Millisecond)
		mails, _ = filepath.Glob(filepath.Join(dir, "mail", "*.eml"))
	}
	for _, m := range mails {
		if !strings.Contains(m, "-invitation-") && !strings.Contains(m, "-certificate-file-") && !strings.Contains(m, "-certificate-contact-") {
			t.Errorf("mail nobody needs: %s", m)
		}
	}
	one.signIn(t, one.person("paul.moser@moser.example"))
	for email, state := range map[string]string{"anna": "valid", "paul": "valid", "sofia": "mailed", "emil": "expired", "rosa": "revoked"} {
		p := one.person(email + ".moser@moser.example")
		file, err := os.Stat(filepath.Join(dir, p.CertificateFile))
		if p.Certificate != state || state != "mailed" && (err != nil || file.Mode().Perm() != 0o600 || p.CertificatePassword == "") {
			t.Errorf("%s: %+v, %v", email, p, err)
		}
		if title := map[string]string{"expired": "has run out", "revoked": "was revoked"}[state]; title != "" && !strings.Contains(one.shows(t, p), title) {
			t.Errorf("%s certificate: %q", state, one.shows(t, p))
		}
	}
	if code := one.stop(); code != done || one.errs.String() != "" {
		t.Errorf("%d: %s", code, one.errs.String())
	}

	two := startDemo(t, dir)
	if !slices.Equal(two.sheet.People, one.sheet.People) {
		t.Error("other people at the second start")
	}
	if !two.roots.Equal(one.roots) {
		t.Error("another CA at the second start")
	}
	two.signIn(t, two.person("nina.frei@northline.example"))
	for _, text := range []string{two.out.String(), readFile(t, filepath.Join(dir, "people.json"))} {
		if !strings.Contains(text, two.person("mara.keller@alder.example").Password) {
			t.Error("nobody can find Mara's password")
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A start that was cut off while people were made is begun anew; the CA, which somebody may trust, stays.
func TestDemoAfterAStartThatWasCutOff(t *testing.T) {
	dir := t.TempDir()
	one := startDemo(t, dir)
	if code := one.stop(); code != done {
		t.Fatalf("%d: %s", code, one.errs)
	}
	if err := os.WriteFile(filepath.Join(dir, "people.begun"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	two := startDemo(t, dir)
	if !two.roots.Equal(one.roots) {
		t.Error("another CA")
	}
	if two.sheet.People[0].Password == one.sheet.People[0].Password {
		t.Error("the half-made people are still there")
	}
	two.signIn(t, two.person("jonas.weber@alder.example"))
}

// The tour shows codes and passwords, the mailbox the mails, both on this machine only and in the look of the product.
func TestDemoPages(t *testing.T) {
	s := startDemo(t, t.TempDir())
	c := walker.New(s.roots, "")
	page, err := c.Get(s.sheet.Tour + "/")
	if err != nil {
		t.Fatal(err)
	}
	mara := s.person("mara.keller@alder.example")
	if page.Status != http.StatusOK || !strings.Contains(page.Main(), mara.Password) || !strings.Contains(page.Main(), "Lea Rossi") {
		t.Errorf("%d: %s", page.Status, page.Main())
	}
	for {
		if page, err = c.Get(s.sheet.Mailbox + "/"); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page.Main(), "lea.rossi@") {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	message := ""
	for _, l := range page.Links() { // there are others, with certificates
		if !strings.Contains(l, "/message/") {
			continue
		}
		if page, err = c.Get(l); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		if strings.Contains(page.Main(), "lea.rossi@") {
			message = l
			break
		}
	}
	link := linkTo(page, "/link/set-up/")
	if page, err = c.Get(link); err != nil || page.Status != http.StatusOK {
		t.Fatalf("%q: %v", link, err)
	}
	res, err := c.HTTP.Get(message + "/html")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	policy := res.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "sandbox ") || strings.Contains(policy, "allow-scripts") || !strings.Contains(string(body), `<base target="_top">`) {
		t.Errorf("%s\n%.300s", policy, body)
	}
	for _, bad := range []string{"/message/..%2fpeople.json", "/message/people.json", "/message/0000000009-x-y.eml", "/message/0000000000-x%2f..%2f..%2fdemo.json.eml"} {
		res, err := c.HTTP.Get(s.sheet.Mailbox + bad)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", bad, res.Status)
		}
	}
}

// linkTo is the first link of a page whose address holds the part.
func linkTo(p *walker.Page, part string) string {
	all := p.Links()
	if i := slices.IndexFunc(all, func(l string) bool { return strings.Contains(l, part) }); i >= 0 {
		return all[i]
	}
	return "no link to " + part
}
