package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// shown makes a client certificate.
func shown(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func sequence(c tls.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Leaf.Raw) + ":"
}

func escaped(certs ...tls.Certificate) string {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw})
	}
	return url.QueryEscape(strings.ReplaceAll(b.String(), " ", "\x00"))
}

// pemOf is escaped as Envoy and nginx write it: a space is %20.
func pemOf(certs ...tls.Certificate) string {
	return strings.ReplaceAll(escaped(certs...), "%00", "%20")
}

// tell says whose certificates a request came with.
func tell(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		_, _ = io.WriteString(w, "nobody")
		return
	}
	for _, c := range r.TLS.PeerCertificates {
		_, _ = io.WriteString(w, c.Subject.CommonName+" ")
	}
}

// asking is a server of which wealth.localhost asks for certificates and shop.localhost does not.
func asking(t *testing.T, change func(*Config)) *house {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", tell)
	asks := Door{Name: "asks", AsksCertificate: true, Handler: mux, Serves: func(host string) bool { return host == "wealth.localhost" }}
	return start(t, change, mux, asks)
}

// with shows a certificate to whoever asks, and says that it was asked.
func with(c *http.Client, cert tls.Certificate, asked *int) *http.Client {
	c.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(how *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		*asked++
		if len(how.AcceptableCAs) > 0 {
			*asked += 100
		}
		return &cert, nil
	}
	return c
}

// The name in the handshake decides who is asked, and what was shown at one host is not known at another.
func TestSEC_O7_OnlyItsOwnHostAsksForACertificate(t *testing.T) {
	h := asking(t, nil)
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			host, want string
			asked      int
			major      int
		}{{"shop.localhost", "nobody", 0, 2}, {"wealth.localhost", "anna ", 1, 1}} {
			asked := 0
			res, body := h.get(t, with(h.client("", v), shown(t, "anna"), &asked), "https://"+c.host+"/")
			if body != c.want || asked != c.asked || res.ProtoMajor != c.major {
				t.Errorf("%x %s: %q, asked %d times, %s", v, c.host, body, asked, res.Proto)
			}
		}
	}
	if res, body := h.get(t, h.client(""), "https://wealth.localhost/"); res.StatusCode != 200 || body != "nobody" {
		t.Errorf("without a certificate: %s %q", res.Status, body)
	}
	asked := 0
	for _, host := range []string{"shop.localhost", "wealth.localhost"} {
		other := map[string]string{"shop.localhost": "wealth.localhost", "wealth.localhost": "shop.localhost"}[host]
		if res, body := h.get(t, with(h.client(host), shown(t, "anna"), &asked), "https://"+host+"/", "Host", other); res.StatusCode != 421 || strings.Contains(body, "anna") {
			t.Errorf("%s over the connection of %s: %s %q", other, host, res.Status, body)
		}
	}
}

// A ticket would let a connection come back with a certificate that was shown on another one (SEC C-4).
func TestSEC_O7_NoConnectionIsResumedWhereCertificatesAreShown(t *testing.T) {
	h := asking(t, nil)
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for host, want := range map[string]bool{"shop.localhost": true, "wealth.localhost": false} {
			cache, asked := tls.NewLRUClientSessionCache(8), 0
			resumed := false
			for range 3 {
				c := with(h.client("", v), shown(t, "anna"), &asked)
				c.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = cache
				res, _ := h.get(t, c, "https://"+host+"/")
				resumed = resumed || res.TLS.DidResume
			}
			if resumed != want {
				t.Errorf("%x %s: resumed %v", v, host, resumed)
			}
		}
		// A ticket of the quiet host is of no use at the asking one.
		cache, asked := tls.NewLRUClientSessionCache(8), 0
		for _, host := range []string{"shop.localhost", "wealth.localhost"} {
			c := with(h.client("shop.localhost", v), shown(t, "anna"), &asked)
			conf := c.Transport.(*http.Transport).TLSClientConfig
			conf.ClientSessionCache = sharedTicket{cache}
			conf.ServerName, conf.InsecureSkipVerify = host, true
			res, body := h.get(t, c, "https://"+host+"/")
			if res.TLS.DidResume || host == "wealth.localhost" && body != "anna " {
				t.Errorf("%x: %s after the other: %q, resumed %v", v, host, body, res.TLS.DidResume)
			}
		}
	}
}

// sharedTicket offers every ticket to every host.
type sharedTicket struct{ tls.ClientSessionCache }

func (s sharedTicket) Get(string) (*tls.ClientSessionState, bool) {
	return s.ClientSessionCache.Get("all")
}
func (s sharedTicket) Put(_ string, c *tls.ClientSessionState) { s.ClientSessionCache.Put("all", c) }

// What the proxy says counts, and nothing of what it merely passes on; its own certificate is nobody's.
func TestSEC_O7_AProxyNamesTheCertificate(t *testing.T) {
	anna, ca := shown(t, "anna"), shown(t, "ca")
	sum := sha256.Sum256(anna.Leaf.Raw)
	behind := func(header string) *house {
		return asking(t, func(c *Config) { c.Settings.Proxies, c.Settings.CertHeader = []string{"127.0.0.1"}, header })
	}
	for _, c := range []struct {
		header, want string
		headers      []string
	}{
		{"Client-Cert", "anna ", []string{"Client-Cert", sequence(anna)}},
		{"Client-Cert", "anna ca ", []string{"Client-Cert", sequence(anna), "Client-Cert-Chain", sequence(ca)}},
		{"Client-Cert", "anna ca ca ", []string{"Client-Cert", sequence(anna), "Client-Cert-Chain", sequence(ca) + ", " + sequence(ca)}},
		{"Client-Cert", "nobody", nil},
		{"Client-Cert", "nobody", []string{"X-Forwarded-Client-Cert", `Cert="` + pemOf(anna) + `"`}},
		{"X-Forwarded-Client-Cert", "anna ", []string{"X-Forwarded-Client-Cert", `Cert="` + pemOf(anna) + `"`}},
		{"X-Forwarded-Client-Cert", "anna ", []string{"X-Forwarded-Client-Cert", "Cert=" + pemOf(anna)}},
		{"X-Forwarded-Client-Cert", "anna ca ", []string{"X-Forwarded-Client-Cert",
			`By=spiffe://a/b;URI=spiffe://a;URI=spiffe://b;Hash=` + hex.EncodeToString(sum[:]) + `;Cert="` + pemOf(anna) + `";Chain="` + pemOf(anna, ca) + `";Subject="CN=a, O=\"b; c\""`}},
		{"X-Forwarded-Client-Cert", "nobody", []string{"Client-Cert", sequence(anna)}},
		{"", "nobody", []string{"Client-Cert", sequence(anna), "X-Forwarded-Client-Cert", `Cert="` + pemOf(anna) + `"`}},
	} {
		h, asked := behind(c.header), 0
		if res, body := h.get(t, with(h.client(""), shown(t, "the proxy"), &asked), "https://wealth.localhost/", c.headers...); body != c.want {
			t.Errorf("%s, %.60v: %s %q, want %q", c.header, c.headers, res.Status, body, c.want)
		}
		if _, body := h.get(t, h.client(""), "https://shop.localhost/", c.headers...); body != "nobody" {
			t.Errorf("%s at the host that does not ask: %q", c.header, body)
		}
	}
	// A proxy on this machine speaks plain HTTP.
	h := asking(t, func(c *Config) {
		c.Certificates = nil
		c.Settings.Plain, c.Settings.Proxies, c.Settings.CertHeader = true, []string{"127.0.0.1"}, "Client-Cert"
	})
	if _, body := h.get(t, h.client(""), "http://wealth.localhost/", "Client-Cert", sequence(anna)); body != "anna " {
		t.Errorf("plain: %q", body)
	}
	if _, body := h.get(t, h.client(""), "http://shop.localhost/", "Client-Cert", sequence(anna)); body != "nobody" {
		t.Errorf("plain, at the host that does not ask: %q", body)
	}
}

// forgeries are header lines of which none may count as anna's certificate, whoever sends them.
func forgeries(t testing.TB, own, other tls.Certificate) (out [][]string) {
	t.Helper()
	raw := base64.StdEncoding.EncodeToString(own.Leaf.Raw)
	good, pemText, upper := sequence(own), pemOf(own), strings.ToUpper(raw)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := strings.IndexByte(raw, '=') - 1 // the bits that it does not need are zero
	loose := raw[:last] + string(alphabet[strings.IndexByte(alphabet, raw[last])+1]) + raw[last+1:]
	broken := append([]byte(nil), own.Leaf.Raw...)
	broken[1] ^= 0x40
	for _, v := range []string{
		"", ":", "::", ": :", raw, ":" + raw, raw + ":", `"` + raw + `"`, "'" + raw + "'", ":" + raw[:len(raw)-1] + ":", ":" + raw + "=:", ":" + raw + "A:",
		":" + upper + ":", ":" + loose + ":", ": " + raw + ":", ":" + raw + " :", ":" + raw[:40] + " " + raw[40:] + ":", ":" + raw[:40] + "\t" + raw[40:] + ":",
		good + ";a=1", good + "; a", good + "," + good, good + ", " + sequence(other), good + good, "," + good, good + ",", "cert=" + good, "(" + good + ")", "?1", "1", "null", "NULL", "-", "none",
		":" + base64.URLEncoding.EncodeToString(append([]byte{0xfb, 0xff}, own.Leaf.Raw...)) + ":", ":" + base64.StdEncoding.EncodeToString(append(append([]byte(nil), own.Leaf.Raw...), 0)) + ":",
		":" + base64.StdEncoding.EncodeToString(own.Leaf.Raw[:len(own.Leaf.Raw)-1]) + ":", ":" + base64.StdEncoding.EncodeToString(broken) + ":",
		":" + base64.StdEncoding.EncodeToString(own.Leaf.RawTBSCertificate) + ":", ":" + base64.StdEncoding.EncodeToString(append(own.Leaf.Raw[:len(own.Leaf.Raw):len(own.Leaf.Raw)], other.Leaf.Raw...)) + ":",
		":" + base64.StdEncoding.EncodeToString([]byte(pemText)) + ":", pemText, `Cert="` + pemText + `"`, ":" + strings.Repeat("A", certificateHeaderMax) + ":",
	} {
		out = append(out, []string{"Client-Cert", v})
	}
	out = append(out,
		[]string{"Client-Cert", good, "Client-Cert", good}, []string{"Client-Cert", good, "Client-Cert", sequence(other)}, []string{"Client-Cert", good, "Client-Cert", ""},
		[]string{"Client-Cert-Chain", good}, []string{"Client-Cert", good, "Client-Cert-Chain", ""}, []string{"Client-Cert", good, "Client-Cert-Chain", ":,"},
		[]string{"Client-Cert", good, "Client-Cert-Chain", good, "Client-Cert-Chain", good}, []string{"Client-Cert", good, "Client-Cert-Chain", good + ";" + good},
		[]string{"Client-Cert", good, "Client-Cert-Chain", strings.Repeat(good+", ", certificatesMax) + good},
	)
	for _, v := range []string{
		"", "Cert", "Cert=", `Cert=""`, pemText, `Cert="` + pemText, `Cert=` + pemText + `"`, `"Cert"="` + pemText + `"`, `cert="` + pemText + `"`, `CERT="` + pemText + `"`, ` Cert="` + pemText + `"`, `Cert ="` + pemText + `"`, `Cert= "` + pemText + `"`,
		`Cert="` + pemText + `";`, `;Cert="` + pemText + `"`, `Cert="` + pemText + `";;By=a`, `Cert="` + pemText + `" ;By=a`, `Cert="` + pemText + `"x`, `Cert="` + pemText + `";Cert="` + pemText + `"`, `Cert="` + pemText + `";Cert="` + pemOf(other) + `"`,
		`Cert="` + pemText + `",Cert="` + pemText + `"`, `By=a;Hash=00,Cert="` + pemText + `"`, `Cert="` + pemText + `";Hash=00`, `Cert="` + pemText + `";Hash=` + strings.Repeat("0", 64), `Cert="` + pemText + `";Key=1`, `Subject="CN=anna"`, `By=a;Hash=b;Subject="CN=anna"`,
		`Subject="a\";Cert="` + pemText + `"`, `Cert="` + pemOf(own, other) + `"`, `Cert="x` + pemText + `"`, `Cert="` + pemText + `x"`, `Cert="` + strings.ReplaceAll(pemText, "CERTIFICATE", "PUBLIC%20KEY") + `"`, `Cert="` + pemText[:200] + `"`, `Cert="%zz` + pemText + `"`,
		`Cert="` + url.PathEscape(pemText) + `"`, `Cert="` + pemText + `";Chain=""`, `Cert="` + pemText + `";Chain="` + pemOf(other) + `"`, `Cert="` + pemText + `";Chain="` + pemOf(other, own) + `"`, `Chain="` + pemText + `"`, `Cert=:` + raw + `:`, good,
		`Cert="` + strings.Repeat("%20", certificateHeaderMax) + pemText + `"`,
	} {
		out = append(out, []string{"X-Forwarded-Client-Cert", v})
	}
	out = append(out,
		[]string{"X-Forwarded-Client-Cert", `Cert="` + pemText + `"`, "X-Forwarded-Client-Cert", `Cert="` + pemText + `"`},
		[]string{"X-Forwarded-Client-Cert", `Cert="` + pemText + `"`, "X-Forwarded-Client-Cert", ``},
	)
	return out
}

// spellings are names under which the header is nobody's.
var spellings = []string{
	"Client_cert", "CLIENT_CERT", "Client_Cert", "X-Client-Cert", "X-Client-Cert-Chain", "Client-Cert-", "Client--Cert", "Clientcert", "X-Ssl-Client-Cert", "Ssl-Client-Cert", "SSL_CLIENT_CERT",
	"X-Arr-Clientcert", "X-Forwarded-Client_cert", "X_Forwarded_Client_Cert", "X-Forwarded-Client-Certificate", "X-Forwarded-Tls-Client-Cert", "X-Tls-Client-Cert", "X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf",
	"X-Forwarded-Clientcert",
}

// No forged header is a certificate: from a stranger none is read at all, and from a proxy a broken one is an error, never
// "no certificate".
func TestSEC_O7_ForgedCertificateHeaders(t *testing.T) {
	own, other := shown(t, "anna"), shown(t, "bert")
	for len(own.Leaf.Raw)%3 == 0 {
		own = shown(t, "anna") // without padding there are no bits to play with
	}
	forged, accepted := forgeries(t, own, other), 0
	for _, name := range spellings {
		forged = append(forged, []string{name, sequence(own)}, []string{name, `Cert="` + pemOf(own) + `"`})
	}
	if len(forged) < 60 {
		t.Fatalf("only %d forgeries", len(forged))
	}
	for _, configured := range []string{ClientCert, ForwardedClientCert} {
		e, err := edge(t, "").WithCertificate(configured)
		if err != nil {
			t.Fatal(err)
		}
		well := [][]string{{"Client-Cert", sequence(own)}, {"X-Forwarded-Client-Cert", `Cert="` + pemOf(own) + `"`}}
		for _, headers := range append(forged, well...) {
			if chain, err := e.Certificates(request("203.0.113.9:1", headers...)); err != nil || len(chain) > 0 {
				accepted++
				t.Errorf("from a stranger: %.80q gives %d certificates, %v", headers, len(chain), err)
			}
		}
		for _, headers := range forged {
			chain, err := e.Certificates(request("10.0.0.1:1", headers...))
			mine := e.certificateHeader(headers[0])
			if len(chain) > 0 || mine != (err != nil) {
				accepted++
				t.Errorf("from a proxy with %s: %.80q gives %d certificates, %v", configured, headers, len(chain), err)
			}
			r := request("10.0.0.1:1", headers...)
			e.Admit(r, func(string) {})
			if len(r.Header) != 0 {
				t.Errorf("%.80q reaches the door", headers)
			}
		}
	}
	t.Logf("%d forgeries, %d accepted", len(forged), accepted)
}

// The answer to a header that cannot be read is an error that the client sees, and a number that the operator sees.
func TestSEC_O7_ABrokenCertificateHeaderIsAnError(t *testing.T) {
	h := asking(t, func(c *Config) { c.Settings.Proxies, c.Settings.CertHeader = []string{"127.0.0.1"}, "Client-Cert" })
	res, body := h.get(t, h.client(""), "https://wealth.localhost/", "Client-Cert", "rubbish")
	if res.StatusCode != 400 || !strings.Contains(body, "cannot be read") {
		t.Errorf("%s %q", res.Status, body)
	}
	if res, body := h.get(t, h.client(""), "https://shop.localhost/", "Client-Cert", "rubbish"); res.StatusCode != 200 || body != "nobody" {
		t.Errorf("where no certificate is asked for: %s %q", res.Status, body)
	}
	found := scrape(t, h)
	if found[`doorward_refused_total{why="client-certificate"}`] != "1" || found[`doorward_edge_headers_dropped_total{header="clientcert*"}`] != "" {
		t.Errorf("counted: %v", found)
	}
}

func TestSEC_O7_SettingsOfTheCertificateHeader(t *testing.T) {
	for _, c := range []struct {
		header  string
		proxies []string
		bad     string
	}{
		{"", nil, ""}, {"Client-Cert", []string{"10.0.0.1"}, ""}, {"x-forwarded-client-cert", []string{"10.0.0.1"}, ""},
		{"Client-Cert", nil, "certificate_header"}, {"X-SSL-Client-Cert", []string{"10.0.0.1"}, "certificate_header"},
	} {
		s := Defaults()
		s.Certificate, s.Key, s.CertHeader, s.Proxies = []string{"a"}, []string{"b"}, c.header, c.proxies
		var bad []string
		s.Check(func(key, _ string) { bad = append(bad, key) })
		if got := strings.Join(bad, " "); got != c.bad {
			t.Errorf("%q with %v: %q, want %q", c.header, c.proxies, got, c.bad)
		}
	}
}

// Whatever a proxy passes on, there is one certificate that was in it, or an error.
func FuzzSEC_O7_CertificateHeader(f *testing.F) {
	own := shown(f, "anna")
	for len(own.Leaf.Raw)%3 == 0 {
		own = shown(f, "anna")
	}
	for _, headers := range forgeries(f, own, shown(f, "bert")) {
		f.Add(headers[1])
	}
	f.Add(sequence(own))
	f.Add(`Cert="` + pemOf(own) + `"`)
	f.Fuzz(func(t *testing.T, value string) {
		for _, form := range []string{ClientCert, ForwardedClientCert} {
			e, err := edge(t, "").WithCertificate(form)
			if err != nil {
				t.Fatal(err)
			}
			chain, err := e.Certificates(request("10.0.0.1:1", http.CanonicalHeaderKey(form), value))
			if (err == nil) == (len(chain) == 0) {
				t.Fatalf("%d certificates and error %v", len(chain), err)
			}
			if chain, err := e.Certificates(request("203.0.113.9:1", http.CanonicalHeaderKey(form), value)); err != nil || chain != nil {
				t.Fatalf("from a stranger: %d certificates, %v", len(chain), fmt.Sprint(err))
			}
		}
	})
}
