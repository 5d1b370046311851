package forwardauth_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/server"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// The proxies of Debian, with the configurations that the documentation shows: the very files, only with other addresses.

const guardedName = "wiki.localhost"

// front is a proxy before a rig and a small application.
type front struct {
	*street
	port  string
	roots *x509.CertPool

	mu   sync.Mutex
	seen []*http.Request // by the application
}

// configure copies a file of the documentation with the addresses of this test.
func (f *front) configure(t *testing.T, name, to string, change ...string) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/forward-auth/" + name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			t.Fatalf("%s does not say %q", name, change[i])
		}
		text = strings.ReplaceAll(text, change[i], change[i+1])
	}
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// certificate writes a certificate for both names and its key, apart and in one file, and trusts it.
func (f *front) certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{rig.Host, guardedName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, secret := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, b := range map[string][]byte{"tls.pem": cert, "tls.key": secret, "both.pem": append(slices.Clone(cert), secret...)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.roots = x509.NewCertPool()
	f.roots.AppendCertsFromPEM(cert)
}

// run starts a proxy and waits until it takes connections.
func (f *front) run(t *testing.T, program string, env []string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil {
			t.Fatalf("%s is missing: run .ci/packages", program)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", program, said.String())
		}
	})
	for {
		c, err := net.Dial("tcp", "127.0.0.1:"+f.port)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended", program)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// proxies start one each. door and app are addresses, dir holds certificates and takes what they write.
var proxies = map[string]func(t *testing.T, f *front, dir, door, app string){
	"nginx": func(t *testing.T, f *front, dir, door, app string) {
		conf := f.configure(t, "nginx.conf", filepath.Join(dir, "site.conf"),
			"listen 443 ssl", "listen 127.0.0.1:"+f.port+" ssl", "127.0.0.1:8080", door, "127.0.0.1:3000", app,
			"/etc/nginx/tls/auth.example.pem", dir+"/tls.pem", "/etc/nginx/tls/auth.example.key", dir+"/tls.key",
			"/etc/nginx/tls/wiki.example.pem", dir+"/tls.pem", "/etc/nginx/tls/wiki.example.key", dir+"/tls.key",
			"auth.example", rig.Host, "wiki.example", guardedName)
		main := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log stderr; events {} http { access_log %[1]s/access.log;"+
			" client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; include %[2]s; }", dir, conf)
		if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(main), 0o600); err != nil {
			t.Fatal(err)
		}
		f.run(t, "nginx", nil, "-c", filepath.Join(dir, "nginx.conf"), "-p", dir, "-e", "stderr")
	},
	"caddy": func(t *testing.T, f *front, dir, door, app string) {
		conf := f.configure(t, "Caddyfile", filepath.Join(dir, "Caddyfile"),
			"127.0.0.1:8080", door, "127.0.0.1:3000", app,
			"/etc/caddy/tls/auth.example.pem", dir+"/tls.pem", "/etc/caddy/tls/auth.example.key", dir+"/tls.key",
			"/etc/caddy/tls/wiki.example.pem", dir+"/tls.pem", "/etc/caddy/tls/wiki.example.key", dir+"/tls.key",
			"\nauth.example {", "\n"+rig.Host+":"+f.port+" {\n\tbind 127.0.0.1", "\nwiki.example {", "\n"+guardedName+":"+f.port+" {\n\tbind 127.0.0.1",
			"auth.example", rig.Host, "wiki.example", guardedName)
		b, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(conf, append([]byte("{\n\tadmin off\n\tauto_https off\n}\n"), b...), 0o600); err != nil {
			t.Fatal(err)
		}
		f.run(t, "caddy", []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, "run", "--config", conf, "--adapter", "caddyfile")
	},
	"haproxy": func(t *testing.T, f *front, dir, door, app string) {
		lua := f.configure(t, "doorward.lua", filepath.Join(dir, "doorward.lua"))
		conf := f.configure(t, "haproxy.cfg", filepath.Join(dir, "haproxy.cfg"),
			"/etc/haproxy/doorward.lua", lua, "bind :443", "bind 127.0.0.1:"+f.port, "127.0.0.1:8080", door, "127.0.0.1:3000", app,
			"/etc/haproxy/tls/auth.example.pem", dir+"/both.pem", " crt /etc/haproxy/tls/wiki.example.pem", "",
			"hdr(host) -i wiki.example", "hdr(host) -i "+guardedName+":"+f.port, "hdr(host) -i auth.example", "hdr(host) -i "+rig.Host+":"+f.port,
			"auth.example", rig.Host, "wiki.example", guardedName)
		f.run(t, "haproxy", nil, "-db", "-f", conf)
	},
}

func newFront(t *testing.T, store *sqlstore.Store, start func(t *testing.T, f *front, dir, door, app string)) *front {
	t.Helper()
	f := &front{port: freePort(t)}
	host := guardedName + ":" + f.port
	f.street = &street{t: t, Rig: rig.New(t, store, func(r *directory.Realm) {
		r.Origin = rig.Origin + ":" + f.port
		r.Relying = []directory.RelyingParty{{
			ID: "wiki", Name: "Northline wiki", Home: "https://" + host + "/", Hosts: []string{host}, Policy: "login password + totp",
			ForwardHeaders: []string{directory.ForwardEmail, directory.ForwardName, directory.ForwardGroups},
		}}
	})}
	f.anna = f.Join(f.Organization("Alder Works", false), directory.Member, "Anna Älder", "anna@alder.example")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, r)
		f.mu.Unlock()
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body><main id=main>application</main></body></html>")
	}))
	t.Cleanup(app.Close)
	served := f.Serve(func(s *server.Settings) { s.Plain, s.Proxies = true, []string{"127.0.0.1"} })
	dir := t.TempDir()
	f.certificate(t, dir)
	start(t, f, dir, served.Addr, strings.TrimPrefix(app.URL, "http://"))
	return f
}

func (f *front) reached() int { f.mu.Lock(); defer f.mu.Unlock(); return len(f.seen) }

func (f *front) latest() *http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[len(f.seen)-1]
}

func (f *front) at(path string) string { return "https://" + guardedName + ":" + f.port + path }

// browser reaches everything through the proxy.
func (f *front) browser() *walker.Client { return walker.New(f.roots, "127.0.0.1:"+f.port) }

// call asks as a program does, with somebody's cookies or none. Headers are pairs, in the spelling given.
func (f *front) call(method string, b *walker.Client, path string, headers ...string) *http.Response {
	f.t.Helper()
	req, err := http.NewRequest(method, f.at(path), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1])
	}
	// HTTP/1.1: the other version refuses on this side what shall reach the proxy.
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.roots}, DialContext: f.browser().HTTP.Transport.(*http.Transport).DialContext}
	defer t.CloseIdleConnections()
	c := http.Client{Transport: t, Timeout: time.Minute}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if b != nil {
		c.Jar = b.HTTP.Jar
	}
	res, err := c.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res
}

// raw sends a request line as it is, and returns the status line.
func (f *front) raw(target string, headers ...string) string {
	f.t.Helper()
	c, err := tls.Dial("tcp", "127.0.0.1:"+f.port, &tls.Config{RootCAs: f.roots, ServerName: guardedName})
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	lines := append([]string{"GET " + target + " HTTP/1.1", "Host: " + guardedName + ":" + f.port, "Connection: close"}, headers...)
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		f.t.Fatal(err)
	}
	line, _ := bufio.NewReader(c).ReadString('\n') // a proxy may close without a word
	return strings.TrimSpace(line)
}

func TestREQ_B70_TheProxiesOfTheDocumentation(t *testing.T) {
	for name, start := range proxies {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, store *sqlstore.Store) { f := newFront(t, store, start); f.journey(t) })
		})
	}
}

func (f *front) journey(t *testing.T) {
	const deep = "/handbook/a%20b?page=2&q=%C3%BC%2F&to=https%3A%2F%2Fx.example"
	f.strangers(t)

	// Signed out, to the sign-in, and back where they wanted to go.
	b := f.browser()
	if page := f.open(b, f.anna.Mind, f.at(deep)); page.URL.String() != f.at(deep) || f.latest().RequestURI != deep {
		t.Fatalf("back at %s, the application saw %s", page.URL, f.latest().RequestURI)
	}
	for _, forged := range [][]string{
		nil,
		{"Remote-User", "root", "Remote-Email", "root@x.example", "Remote-Groups", "owner", "Remote-Organization", "x", "Doorward-Assertion", "e30.e30."},
		{"Remote_User", "root", "remote_email", "root@x.example", "REMOTE_GROUPS", "owner", "remote-ORGANIZATION", "x", "Doorward_Assertion", "e30.e30."},
		{"Remote-User", "", "Remote-User", "root", "Connection", "Remote-User, Remote-Email, Doorward-Assertion"},
	} {
		before := f.reached()
		res := f.call(http.MethodPost, b, "/api", forged...)
		if res.StatusCode == http.StatusBadRequest && slices.Contains(forged, "Connection") && f.reached() == before {
			continue // Caddy takes away what the client's Connection names, whoever wrote it; its configuration refuses that
		}
		if res.StatusCode != http.StatusOK || f.reached() != before+1 {
			t.Fatalf("%v: %d", forged, res.StatusCode)
		}
		in := f.latest()
		for name, want := range map[string]string{
			"remoteuser": f.anna.Is.ID, "remoteemail": "anna@alder.example", "remotename": "Anna %C3%84lder", "remotegroups": "member", "remoteorganization": "",
		} {
			got := ""
			for k, v := range in.Header { // as applications read them that know no difference
				if strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(k)) == name {
					got += strings.Join(v, ",")
				}
			}
			if got != want {
				t.Errorf("%v: the application reads %s as %q, want %q", forged, name, got, want)
			}
		}
		if c := f.assertion(in.Header.Get("Doorward-Assertion")); len(in.Header["Doorward-Assertion"]) != 1 || len(in.Header["Doorward_assertion"]) != 0 ||
			c["sub"] != f.anna.Is.ID || c["aud"] != f.at("") {
			t.Errorf("%v: %v", forged, c)
		}
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "DELETE"} {
		if res := f.call(method, b, "/api"); res.StatusCode != http.StatusOK || f.latest().Method != method {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}

	// Signed out by a form of the application.
	before := f.reached()
	if res := f.call(http.MethodPost, b, "/.doorward/signout", "Sec-Fetch-Site", "cross-site"); res.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign form: %d", res.StatusCode)
	}
	kept := b.HTTP.Jar.Cookies(&url.URL{Scheme: "https", Host: guardedName, Path: "/"})
	if res := f.call(http.MethodPost, b, "/.doorward/signout", "Sec-Fetch-Site", "same-origin"); res.StatusCode != http.StatusSeeOther {
		t.Errorf("signs out: %d", res.StatusCode)
	}
	b.HTTP.Jar.SetCookies(&url.URL{Scheme: "https", Host: guardedName, Path: "/"}, kept) // also for whoever kept it
	if res := f.call(http.MethodGet, b, "/api"); res.StatusCode != http.StatusUnauthorized || f.reached() != before {
		t.Errorf("after the sign-out: %d", res.StatusCode)
	}

	// The realm asks for less than this application: it asks for the rest.
	f.Write(func(tx *sqlstore.Tx) error {
		r, err := tx.Realm(f.Realm.ID)
		if err != nil {
			return err
		}
		r.Policy = strings.Replace(r.Policy, "login    password + totp | password + phone | passkey", "login    password", 1)
		tx.Bump()
		return tx.PutRealm(r)
	})
	if err := f.Realms.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	b = f.browser()
	page, err := b.Get(f.Realm.Origin + "/signin")
	if err == nil {
		_, err = f.anna.Mind.Walk(b, page, walker.At("/account"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if page, err = b.Get(f.at(deep)); err != nil || !strings.HasPrefix(page.URL.Path, "/signin/") || f.reached() != before {
		t.Fatalf("%v, at %s", err, page.URL)
	}
	if page, err = f.anna.Mind.Walk(b, page, arrives); err != nil || page.URL.String() != f.at(deep) {
		t.Fatalf("%v, at %s", err, page.URL)
	}

	// Disabled.
	before = f.reached()
	f.Write(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(f.Realm.ID, f.anna.Is.ID)
		if err != nil {
			return err
		}
		p.State = directory.Disabled
		tx.Bump()
		return tx.UpdatePerson(p)
	})
	if res := f.call(http.MethodGet, b, "/api"); res.StatusCode != http.StatusUnauthorized || f.reached() != before {
		t.Errorf("disabled: %d", res.StatusCode)
	}
}

// strangers try to get past the proxy without any cookie.
func (f *front) strangers(t *testing.T) {
	t.Helper()
	other := rig.Host + ":" + f.port
	for _, lie := range [][]string{
		nil, {"Accept", "application/json"}, {"X-Requested-With", "XMLHttpRequest", "Accept", "text/html"},
		{"Remote-User", "root", "Doorward-Assertion", "e30.e30."}, {"Cookie", "__Host-doorward=x; __Host-session=y"},
		{"X-Forwarded-Host", other}, {"X-Forwarded-Uri", "/.doorward/start"}, {"X-Forwarded-Method", "OPTIONS"}, {"X-Forwarded-Proto", "http"},
		{"X-Original-URL", "https://" + other + "/"}, {"X-Original-Method", "OPTIONS"}, {"X-Rewrite-URL", "/.doorward/start"}, {"X-Original-URI", "/health"},
		{"X_Forwarded_Host", other}, {"Forwarded", "host=" + other}, {"Upgrade", "websocket", "Connection", "Upgrade"},
		{"Connection", "X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Method, X-Forwarded-Uri, Cookie"}, {"X-Forwarded-For", "127.0.0.1"},
	} {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS"} {
			res := f.call(method, nil, "/api", lie...)
			if res.StatusCode < 400 || f.reached() != 0 {
				t.Fatalf("%s with %v: %d, %d reached the application", method, lie, res.StatusCode, f.reached())
			}
			if len(lie) == 0 && (res.StatusCode != http.StatusUnauthorized || res.Header.Get("Location") != "") {
				t.Errorf("%s: %d to %q", method, res.StatusCode, res.Header.Get("Location"))
			}
		}
	}
	for _, target := range []string{
		"/", "//", "/./", "/../", "/..;/", "/;/", "/%2e%2e/", "/%2f", "/%5c", "/%00", "/a%0d%0aRemote-User:%20root", "/.doorward", "/.doorward/", "/.doorward/x",
		"/.doorward/../", "/.doorward/..%2f", "/.doorward/%2e%2e/secret", "/.doorward/start/../../secret", "/.doorward/start;/../../secret", "/.doorward//../secret",
		"//.doorward/start", "/.Doorward/start", "/%2edoorward/../secret", "/.doorward/start%00", "/.doorward/start%2f..%2f..%2fsecret", "/_doorward", "/forward-auth/check",
		"/secret?/.doorward/start", "/secret#/.doorward/start", "/secret%3f/.doorward/start", "http://" + guardedName + "/secret", "https://" + other + "/secret", "*", "secret",
	} {
		for _, more := range [][]string{nil, {"Remote-User: root", "Doorward-Assertion: x"}, {"Cookie: __Host-doorward=a; __Host-doorward=b"}} {
			if line := f.raw(target, more...); f.reached() != 0 || strings.Contains(line, " 200 ") {
				t.Fatalf("%s: %q, %d reached the application", target, line, f.reached())
			}
		}
	}
	for _, request := range []string{ // one request that two readers cut differently
		"GET / HTTP/1.1\r\nHost: %[1]s\r\nHost: %[2]s\r\n\r\n",
		"GET https://%[2]s/ HTTP/1.1\r\nHost: %[1]s\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: %[1]s\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: %[1]s\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
	} {
		c, err := tls.Dial("tcp", "127.0.0.1:"+f.port, &tls.Config{RootCAs: f.roots, ServerName: guardedName})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = fmt.Fprintf(c, request, guardedName+":"+f.port, other)
		_, _ = io.Copy(io.Discard, c) // until it closes or the deadline comes
		_ = c.Close()
		if f.reached() != 0 {
			t.Fatalf("%q reached the application", request)
		}
	}
}
