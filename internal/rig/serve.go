package rig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"time"

	"doorward/internal/directory"
	"doorward/internal/forwardauth"
	"doorward/internal/rig/walker"
	"doorward/internal/server"
)

// Served is a rig behind the program's own listener on loopback: TLS, host names, client certificates and the edge are
// the real ones. It ends with the test.
type Served struct {
	*Rig
	Addr    string // where it listens, such as 127.0.0.1:43210
	CA      *x509.CertPool
	CAFile  string          // the same, as PEM, for programs that are not ours
	Metrics *server.Metrics // of the listener
}

// Serve opens a listener with a certificate of a local CA for each of the realm's hosts, those at which clients show
// certificates too. change may set what a test needs of the settings, such as proxies. The listener keeps the time of
// the rig's clock, and so do the clients made here.
func (r *Rig) Serve(change ...func(*server.Settings)) *Served {
	r.T.Helper()
	settings := server.Settings{Listen: "127.0.0.1:0"}
	for _, c := range change {
		c(&settings)
	}
	certs, file, err := server.LocalCA(r.T.TempDir(), append(r.Realm.CertHosts(), r.Realm.Host, directory.MTLSPrefix+r.Realm.Host), r.Clock.Now())
	r.must(err)
	ca, err := os.ReadFile(file)
	r.must(err)
	s := &Served{Rig: r, CA: x509.NewCertPool(), CAFile: file, Metrics: server.NewMetrics()}
	s.CA.AppendCertsFromPEM(ca)
	if settings.Plain {
		certs = nil
	}
	listener, err := server.New(server.Config{Settings: settings, Certificates: certs, Clock: r.Clock.Now, Log: r.logger(), Metrics: s.Metrics}, r.doors()...)
	r.must(err)
	r.must(listener.Listen())
	s.Addr = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- listener.Serve(ctx) }()
	r.T.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.T.Errorf("the listener ended: %v", err)
		}
	})
	return s
}

// doors are what the program mounts on its listener.
func (r *Rig) doors() []server.Door {
	return []server.Door{
		{Name: "mtls", Serves: func(host string) bool { _, ok := r.site.MTLSRealm(host); return ok }, Handler: r.MTLS, AsksCertificate: true},
		{
			Name: "certificate", Serves: func(host string) bool { _, ok := r.site.CertRealm(host); return ok }, AsksCertificate: true,
			Issuers: func(host string) *x509.CertPool { realm, _ := r.site.CertRealm(host); return r.Issuers.Pool(realm.ID) },
			Handler: r.CertHost,
		},
		{
			Name: "realm", Serves: r.Realms.Serves, Handler: r.Handler, Asked: r.Guard.Asked,
			Told: func(req *http.Request, o server.Original) *http.Request {
				return forwardauth.Told(req, forwardauth.Said(o))
			},
		},
	}
}

// TLS is what a client of the rig trusts: its local CA, at its time. The certificates, if any, are shown to every server
// that asks, whatever CAs it names; the first alone counts.
func (s *Served) TLS(certificates ...tls.Certificate) *tls.Config {
	c := &tls.Config{RootCAs: s.CA, Time: s.Clock.Now, MinVersion: tls.VersionTLS12}
	if len(certificates) > 0 {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
	}
	return c
}

// Client makes calls as an application does: it reaches the rig under every host name and port, follows no redirect,
// keeps no cookies, and shows the certificate, if there is one, to whoever asks.
func (s *Served) Client(certificates ...tls.Certificate) *http.Client {
	return s.ClientWith(s.TLS(certificates...))
}

// ClientWith is Client with a TLS configuration of the test's own, for handshakes that a proper client would not do.
func (s *Served) ClientWith(c *tls.Config) *http.Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Addr)
		},
		TLSClientConfig: c, ForceAttemptHTTP2: true,
	}
	s.T.Cleanup(t.CloseIdleConnections)
	return &http.Client{
		Transport: t, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Browser is a new browser without JavaScript that comes over the listener: Origin leads to it, cookies and redirects
// work, and somebody's Mind can walk in it as in one of the rig's own.
func (s *Served) Browser() *walker.Client {
	s.T.Helper()
	c := walker.New(s.CA, s.Addr)
	c.HTTP.Transport = s.Client().Transport
	return c
}
