package interop

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"doorward/internal/rig/walker"
)

// What an Apache of its own needs around the file of docs/integrate: Debian's modules, a certificate, and pages.
const apacheAround = `
ServerRoot DIR
ServerName 127.0.0.1
DefaultRuntimeDir DIR
Mutex file:DIR default
PidFile DIR/pid
ErrorLog /dev/stderr
LogLevel warn
Listen 127.0.0.1:${PORT}
USER
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authn_core_module MODULES/mod_authn_core.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule authz_user_module MODULES/mod_authz_user.so
LoadModule dir_module MODULES/mod_dir.so
LoadModule mime_module MODULES/mod_mime.so
LoadModule include_module MODULES/mod_include.so
LoadModule socache_shmcb_module MODULES/mod_socache_shmcb.so
LoadModule ssl_module MODULES/mod_ssl.so
LoadModule auth_openidc_module MODULES/mod_auth_openidc.so
TypesConfig /dev/null
AddType text/html .html .shtml
AddOutputFilter INCLUDES .shtml
DocumentRoot DIR/pages
DirectoryIndex index.html index.shtml
SSLEngine On
SSLCertificateFile DIR/cert.pem
SSLCertificateKeyFile DIR/key.pem
OIDCCABundlePath DIR/ca.pem
<Directory DIR/pages>
    Options +IncludesNOEXEC
    Require all granted
</Directory>
Include INTRANET
`

// apache starts Debian's Apache with the configuration of docs/integrate.
func (s *site) apache(t *testing.T) *example {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // its workers are another user when the tests are root
		t.Fatal(err)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data"
	}
	around := strings.NewReplacer("DIR", dir, "MODULES", "/usr/lib/apache2/modules", "USER", user,
		"INTRANET", absolute(t, "docs", "integrate", "apache", "intranet.conf")).Replace(apacheAround)
	cert, key, err := s.issuer.server()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "pages", "private"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"httpd.conf": around, "cert.pem": string(cert), "key.pem": string(key), "ca.pem": string(s.issuer.pem()),
		"pages/index.html": `<main><a href="/private/">Sign in</a></main>`,
		"pages/private/index.shtml": `<main><p id="user"><!--#echo var="REMOTE_USER" --></p><p id="email"><!--#echo var="OIDC_CLAIM_email" --></p>` +
			`<p id="acr"><!--#echo var="OIDC_CLAIM_acr" --></p><p id="header"><!--#echo var="HTTP_OIDC_CLAIM_EMAIL" --></p></main>`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e := s.start(t, "apache", "intranet", exec.Command("/usr/sbin/apache2", "-f", filepath.Join(dir, "httpd.conf"), "-DFOREGROUND"), "OIDC_PASSPHRASE="+s.Secret)
	e.url += "private/"
	return e
}

// asks reports whether the protected page sends the browser to Doorward.
func (e *example) asks(g *guest) bool {
	e.t.Helper()
	to := ""
	g.HTTP.CheckRedirect = func(r *http.Request, _ []*http.Request) error { to = r.URL.String(); return http.ErrUseLastResponse }
	defer func() { g.HTTP.CheckRedirect = nil }()
	if _, err := g.Get(e.url); err != nil {
		e.t.Fatal(err)
	}
	return strings.HasPrefix(to, e.Issuer)
}

// arrives opens the protected page and answers whatever Doorward asks.
func (e *example) arrives(g *guest) *walker.Page {
	e.t.Helper()
	page, err := g.Get(e.url)
	if err == nil {
		page, err = g.mind.Walk(g.Client, page, func(p *walker.Page) bool { return p.URL.String() == e.url })
	}
	if err != nil {
		e.t.Fatal(err)
	}
	if page.Text("email") != g.mind.Address {
		e.t.Fatalf("at the protected page: %q", page.Main())
	}
	return page
}

// Debian's mod_auth_openidc: a stranger signs in with password and code, the page knows who it is, and both sign-outs work.
func TestREQ_B70_SEC_O3_O8_TheExampleWithApache(t *testing.T) {
	t.Parallel()
	s := open(t)
	e := s.apache(t)
	e.noticesLies(s.signedIn(t))
	g := s.signedIn(t)
	g.forget()
	g.Header.Set("OIDC_CLAIM_email", "boss@alder.example")
	g.Header.Set("OIDC-CLAIM-email", "boss@alder.example")
	page := e.arrives(g)
	if page.Text("acr") != "urn:doorward:acr:mfa" || len(page.Text("user")) < 30 {
		t.Errorf("told: %s", page.Main())
	}
	if strings.Contains(page.Main(), "boss@") {
		t.Errorf("a header of the browser's reaches the page: %s", page.Main())
	}
	if e.asks(g) {
		t.Error("asks again")
	}

	out := e.url + "oidc?" + url.Values{"logout": {strings.TrimSuffix(e.url, "private/")}}.Encode()
	address, err := g.leaves(out, s.Issuer) // Doorward does not hear of it
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if !e.asks(g) {
		t.Error("signed out, and still let in")
	}
	e.arrives(g) // Doorward's session lives
	e.tellsLogout(g, "oidc?logout=backchannel", e.forge(to.Query().Get("id_token_hint")))
	if e.asks(g) {
		t.Error("a forged log-out token ends the session")
	}

	bystander := s.signedIn(t)
	e.arrives(bystander)
	page, err = g.Get(out)
	if err != nil || page.URL.String() != strings.TrimSuffix(e.url, "private/") {
		t.Fatalf("%v: after sign-out at %s", err, page.URL)
	}
	if page, err = g.Get(e.url); err != nil || page.Form() == nil || !page.Form().Asks("username") {
		t.Errorf("signed out, and nobody asks who comes: %v, %s", err, page.URL)
	}
	s.leavesDoorward(t, bystander)
	if err := s.wait("back-channel log-out", func() bool { return e.asks(bystander) }); err != nil {
		t.Fatal(err)
	}
}

// noticesLies hands mod_auth_openidc answers that are there to be noticed. Its page about them has the status 200: what
// counts is that nobody is let in.
func (e *example) noticesLies(g *guest) {
	t := e.t
	t.Helper()
	answer := func(edit func(request *url.URL) *url.URL) *url.URL {
		t.Helper()
		request, err := g.leaves(e.url, e.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(request)
		if err != nil {
			t.Fatal(err)
		}
		to, err := g.leaves(edit(u).String(), e.url+"oidc")
		if err != nil {
			t.Fatal(err)
		}
		if u, err = url.Parse(to); err != nil {
			t.Fatal(err)
		}
		return u
	}
	plain := func(u *url.URL) *url.URL { return u }
	for what, forged := range map[string]*url.URL{
		"another state":  with(answer(plain), "state", "another"),
		"another code":   with(answer(plain), "code", "another"),
		"another issuer": with(with(answer(plain), "iss", "https://elsewhere.example"), "client_id", "intranet"),
		"another nonce":  answer(func(u *url.URL) *url.URL { return with(u, "nonce", "another") }),
		"another verifier": answer(func(u *url.URL) *url.URL {
			return with(u, "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
		}),
	} {
		if _, err := g.Get(forged.String()); err != nil || !e.asks(g) {
			t.Errorf("%s: %v, let in: %v", what, err, !e.asks(g))
		}
	}
	true1 := answer(plain)
	page, err := g.Get(true1.String())
	if err != nil || page.Text("email") != g.mind.Address {
		t.Errorf("the true answer: %v, %s", err, page.Main())
	}
}
