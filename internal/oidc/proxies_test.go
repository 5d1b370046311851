package oidc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorward/internal/rig"
	"doorward/internal/server"
)

// documented copies a configuration of the documentation with the addresses of this test.
func documented(t *testing.T, file, to string, change ...string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/mtls/" + file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			t.Fatalf("%s does not say %q", file, change[i])
		}
		text = strings.ReplaceAll(text, change[i], change[i+1])
	}
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// always is a certificate that proxies find in time, whatever their clock says.
func always(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
}

// The proxies of the documentation, as they stand there: a certificate comes through, none is none, and nobody can write
// the header themselves.
func TestSEC_O7_C11_TheProxiesOfTheDocumentation(t *testing.T) {
	for _, p := range []struct {
		program, header string
		start           func(t *testing.T, dir, at, door string) []string
	}{
		{"nginx", "X-Forwarded-Client-Cert", func(t *testing.T, dir, at, door string) []string {
			documented(t, "nginx.conf", filepath.Join(dir, "site.conf"), "listen 443", "listen "+at, "127.0.0.1:8080", door, "mtls.login.example.com", rig.MTLSHost,
				"/etc/nginx/tls/mtls.pem", dir+"/tls.pem", "/etc/nginx/tls/mtls.key", dir+"/tls.key")
			main := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log stderr; events {} http { access_log off;"+
				" client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; include %[1]s/site.conf; }", dir)
			if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(main), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"-c", filepath.Join(dir, "nginx.conf"), "-p", dir, "-e", "stderr"}
		}},
		{"haproxy", "Client-Cert", func(t *testing.T, dir, at, door string) []string {
			documented(t, "haproxy.cfg", filepath.Join(dir, "haproxy.cfg"), "bind :443", "bind "+at, "127.0.0.1:8080", door,
				"/etc/haproxy/tls/mtls.pem", dir+"/both.pem", "/etc/haproxy/tls/ca.pem", dir+"/tls.pem")
			return []string{"-db", "-f", filepath.Join(dir, "haproxy.cfg")}
		}},
	} {
		t.Run(p.program, func(t *testing.T) {
			behind := func(s *server.Settings) { s.Plain, s.Proxies, s.CertHeader = true, []string{"127.0.0.1"}, p.header }
			eachYard(t, func(t *testing.T, y *yard) {
				dir := t.TempDir()
				own := rig.SelfSigned(t, func(c *x509.Certificate) {
					always(c)
					c.DNSNames, c.ExtKeyUsage = []string{rig.MTLSHost}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
				})
				key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
				if err != nil {
					t.Fatal(err)
				}
				certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
				for file, b := range map[string][]byte{"tls.pem": certPEM, "tls.key": keyPEM, "both.pem": append(bytes.Clone(certPEM), keyPEM...)} {
					if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				at := l.Addr().String()
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				runProxy(t, p.program, at, p.start(t, dir, at, y.served.Addr))
				by := func(certificates ...tls.Certificate) *http.Client {
					conf := &tls.Config{InsecureSkipVerify: true, ServerName: rig.MTLSHost}
					if len(certificates) > 0 {
						conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
					}
					return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
						return (&net.Dialer{}).DialContext(ctx, network, at)
					}}}
				}
				good := y.ca.Issue(func(c *x509.Certificate) { subject(c); always(c) })
				wrong := rig.NewCA(t, "Example CA").Issue(func(c *x509.Certificate) { subject(c); always(c) })
				form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"strict"}, "scope": {"orders"}}
				forged := func(r *http.Request) {
					certificateHeader(good)(r)
					r.Header.Set("Client-Cert-Chain", r.Header.Get("Client-Cert"))
					text := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Leaf.Raw})))
					r.Header.Set("X-Forwarded-Client-Cert", `Cert="`+text+`"`)
				}
				token := mtlsOrigin + "/oauth2/token"
				status, got := y.callBy(by(good), token, form)
				if status != http.StatusOK || y.confirmation(got["access_token"])["x5t#S256"] != x5t(good) {
					t.Fatalf("%d %v", status, got)
				}
				if status, got := y.callBy(by(good), token, form, forged); status != http.StatusOK || y.confirmation(got["access_token"])["x5t#S256"] != x5t(good) {
					t.Errorf("with a header of its own: %d %v", status, got)
				}
				for what, c := range map[string]*http.Client{"no certificate": by(), "another CA's": by(wrong)} {
					for _, edit := range []func(*http.Request){func(*http.Request) {}, forged} {
						if status, got := y.callBy(c, token, form, edit); status != http.StatusUnauthorized || got["error"] != "invalid_client" {
							t.Errorf("%s: %d %v", what, status, got)
						}
					}
				}
			}, behind)
		})
	}
}

// runProxy starts a proxy and waits until it takes connections.
func runProxy(t *testing.T, program, at string, args []string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil {
			t.Fatalf("%s is missing: run .ci/packages", program)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
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
		c, err := net.Dial("tcp", at)
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
