package oidc_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"testing"

	"doorward/internal/rig"
	"doorward/internal/server"
)

// The proxies of the documentation, as they stand there: a certificate comes through, none is none, and nobody can write
// the header themselves.
func TestSEC_O7_C11_TheProxiesOfTheDocumentation(t *testing.T) {
	for _, p := range []struct {
		program, header string
		start           func(p *rig.Proxy, door string)
	}{
		{"nginx", "X-Forwarded-Client-Cert", func(p *rig.Proxy, door string) {
			p.Nginx(p.Configure("../../docs/mtls/nginx.conf", "listen 443", "listen "+p.Addr, "127.0.0.1:8080", door, "mtls.login.example.com", rig.MTLSHost,
				"/etc/nginx/tls/mtls.pem", p.Dir+"/tls.pem", "/etc/nginx/tls/mtls.key", p.Dir+"/tls.key"))
		}},
		{"haproxy", "Client-Cert", func(p *rig.Proxy, door string) {
			p.HAProxy(p.Configure("../../docs/mtls/haproxy.cfg", "bind :443", "bind "+p.Addr, "127.0.0.1:8080", door,
				"/etc/haproxy/tls/mtls.pem", p.Dir+"/both.pem", "/etc/haproxy/tls/ca.pem", p.Dir+"/tls.pem"))
		}},
	} {
		t.Run(p.program, func(t *testing.T) {
			behind := func(s *server.Settings) { s.Plain, s.Proxies, s.CertHeader = true, []string{"127.0.0.1"}, p.header }
			eachYard(t, func(t *testing.T, y *yard) {
				before := rig.NewProxy(t, rig.MTLSHost)
				p.start(before, y.served.Addr)
				by := func(certificates ...tls.Certificate) *http.Client {
					conf := before.TLS()
					conf.ServerName = rig.MTLSHost
					if len(certificates) > 0 {
						conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
					}
					return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true, DialContext: before.Dial}}
				}
				good := y.ca.Issue(func(c *x509.Certificate) { subject(c); rig.Always(c) })
				wrong := rig.NewCA(t, "Example CA").Issue(func(c *x509.Certificate) { subject(c); rig.Always(c) })
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
				cached := by(good)
				cached.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(4)
				for range 3 {
					res, err := cached.Get(mtlsOrigin + "/")
					if err != nil {
						t.Fatal(err)
					}
					if _ = res.Body.Close(); res.TLS.DidResume {
						t.Error("a connection is resumed, with a certificate that was not shown on it")
					}
				}
			}, behind)
		})
	}
}
