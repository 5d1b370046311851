package rig

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Proxy is one of Debian's reverse proxies before a rig, with a configuration of the documentation as it stands there: only
// addresses and file names are the test's. It ends with the test.
type Proxy struct {
	t      testing.TB
	Dir    string // for its files, readable by its workers
	Addr   string // where it listens
	listen *tls.Config
}

// NewProxy makes the files that every proxy needs in a folder of its own: tls.pem, tls.key and, of both, both.pem, for the
// hosts.
func NewProxy(t testing.TB, hosts ...string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, Dir: t.TempDir()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(filepath.Dir(p.Dir), 0o711)) // workers are another user when the tests are root
	own := SelfSigned(t, func(c *x509.Certificate) {
		Always(c)
		c.DNSNames, c.ExtKeyUsage = hosts, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	must(err)
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for file, b := range map[string][]byte{"tls.pem": certPEM, "tls.key": keyPEM, "both.pem": append(bytes.Clone(certPEM), keyPEM...)} {
		must(os.WriteFile(filepath.Join(p.Dir, file), b, 0o600))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	p.Addr = l.Addr().String()
	must(l.Close())
	p.listen = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	p.listen.RootCAs.AddCert(own.Leaf)
	return p
}

// Always makes a certificate that proxies find in time, whatever their clock says.
func Always(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
}

// TLS is what a client that trusts the proxy connects with.
func (p *Proxy) TLS() *tls.Config { return p.listen.Clone() }

// Dial connects to the proxy, whatever address is asked for.
func (p *Proxy) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, p.Addr)
}

// Configure copies a file into the proxy's folder and returns where. Every text to be changed must be in it.
func (p *Proxy) Configure(file string, change ...string) string {
	p.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			p.t.Fatalf("%s does not say %q", file, change[i])
		}
		text = strings.ReplaceAll(text, change[i], change[i+1])
	}
	return p.Write(filepath.Base(file), text)
}

// Write puts a file into the proxy's folder.
func (p *Proxy) Write(name, text string) string {
	p.t.Helper()
	to := filepath.Join(p.Dir, name)
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return to
}

// Nginx runs nginx with a file that holds servers.
func (p *Proxy) Nginx(site string) {
	p.t.Helper()
	main := strings.NewReplacer("DIR", p.Dir, "SITE", site).Replace("daemon off; master_process off; pid DIR/pid; error_log stderr; events {} http { access_log off;" +
		" client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s; include SITE; }")
	p.run("nginx", "-c", p.Write("main.conf", main), "-p", p.Dir, "-e", "stderr")
}

// HAProxy runs HAProxy.
func (p *Proxy) HAProxy(file string) { p.t.Helper(); p.run("haproxy", "-db", "-f", file) }

// Caddy runs Caddy with a file in its own form, JSON.
func (p *Proxy) Caddy(file string) {
	p.t.Helper()
	p.run("caddy", "run", "--config", file)
}

// Apache runs Apache with a file that holds virtual hosts, with the modules that Debian enables for them.
func (p *Proxy) Apache(site string) {
	p.t.Helper()
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data"
	}
	main := strings.NewReplacer("DIR", p.Dir, "SITE", site, "ADDR", p.Addr, "USER", user, "MODULES", "/usr/lib/apache2/modules").Replace(`ServerRoot DIR
ServerName 127.0.0.1
DefaultRuntimeDir DIR
Mutex file:DIR default
PidFile DIR/pid
ErrorLog /dev/stderr
Listen ADDR
USER
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule headers_module MODULES/mod_headers.so
LoadModule proxy_module MODULES/mod_proxy.so
LoadModule proxy_http_module MODULES/mod_proxy_http.so
LoadModule socache_shmcb_module MODULES/mod_socache_shmcb.so
LoadModule ssl_module MODULES/mod_ssl.so
Include SITE
`)
	p.run("apache2", "-f", p.Write("main.conf", main), "-DFOREGROUND")
}

// run starts a program and waits until it takes connections.
func (p *Proxy) run(program string, args ...string) {
	p.t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil {
			p.t.Fatalf("%s is missing: run .ci/packages", program)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+p.Dir, "XDG_CONFIG_HOME="+p.Dir, "HOME="+p.Dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
		if p.t.Failed() {
			p.t.Logf("%s said:\n%.4000s", program, said.String())
		}
	})
	for {
		c, err := net.Dial("tcp", p.Addr)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ended:
			p.t.Fatalf("%s ended:\n%s", program, said.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
