package rig_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"doorward/internal/authn"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/server"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

const certHost = "cert." + rig.Host

// gate is one way to the host for certificates: Doorward's own listener, or a proxy before it.
type gate struct {
	name   string
	dial   func(t testing.TB, conf *tls.Config) *tls.Conn
	behind *rig.Served // the listener at the end of it
	alone  bool        // no proxy is before it
}

// gates opens a listener behind each of the four proxies of docs/certificates, and two that have none before them.
func (w *wealth) gates() (all []gate) {
	w.T.Helper()
	t := w.T
	behind := map[string]*rig.Served{}
	for _, header := range []string{"Client-Cert", "X-Forwarded-Client-Cert"} {
		alone := w.Serve(func(s *server.Settings) { s.Proxies, s.CertHeader = []string{"192.0.2.77"}, header })
		behind[header] = w.Serve(func(s *server.Settings) { s.Plain, s.Proxies, s.CertHeader = true, []string{"127.0.0.1"}, header })
		all = append(all, gate{"no proxy, " + header, func(t testing.TB, conf *tls.Config) *tls.Conn {
			base := alone.TLS()
			conf.RootCAs, conf.Time = base.RootCAs, base.Time
			return handshake(t, alone.Addr, conf)
		}, alone, true})
	}
	hosts := append(w.Realm.CertHosts(), rig.Host)
	for _, c := range []struct {
		name, header string
		start        func(p *rig.Proxy, door string)
	}{
		{"nginx", "X-Forwarded-Client-Cert", func(p *rig.Proxy, door string) {
			p.Nginx(p.Configure("../../docs/certificates/nginx.conf", "listen 443", "listen "+p.Addr, "127.0.0.1:8080", door, "login.example.com", rig.Host,
				"/etc/nginx/tls/login.pem", p.Dir+"/tls.pem", "/etc/nginx/tls/login.key", p.Dir+"/tls.key", "/etc/nginx/tls", p.Dir))
		}},
		{"haproxy", "Client-Cert", func(p *rig.Proxy, door string) {
			p.Configure("../../docs/certificates/haproxy.list", "/etc/haproxy/tls/login.pem", p.Dir+"/both.pem", "/etc/haproxy/tls", p.Dir, "login.example.com", rig.Host)
			p.HAProxy(p.Configure("../../docs/certificates/haproxy.cfg", "bind :443", "bind "+p.Addr, "127.0.0.1:8080", door, "/etc/haproxy", p.Dir))
		}},
		{"apache", "Client-Cert", func(p *rig.Proxy, door string) {
			p.Apache(p.Configure("../../docs/certificates/apache.conf", "*:443", p.Addr, "127.0.0.1:8080", door, "login.example.com", rig.Host,
				"/etc/apache2/tls/login.pem", p.Dir+"/tls.pem", "/etc/apache2/tls/login.key", p.Dir+"/tls.key", "/etc/apache2/tls", p.Dir))
		}},
		{"caddy", "Client-Cert", func(p *rig.Proxy, door string) {
			p.Caddy(p.Configure("../../docs/certificates/caddy.json", `":443"`, `"`+p.Addr+`"`, "127.0.0.1:8080", door, "login.example.com", rig.Host,
				"/etc/caddy/tls/login.pem", p.Dir+"/tls.pem", "/etc/caddy/tls/login.key", p.Dir+"/tls.key", "/etc/caddy/tls", p.Dir))
		}},
	} {
		p := rig.NewProxy(t, hosts...)
		p.Write("devices.pem", w.ca.PEM())
		c.start(p, behind[c.header].Addr)
		all = append(all, gate{c.name, func(t testing.TB, conf *tls.Config) *tls.Conn {
			conf.RootCAs = p.TLS().RootCAs
			return handshake(t, p.Addr, conf)
		}, behind[c.header], false})
	}
	return all
}

// handshake opens a connection. What goes wrong in it is seen at the first read.
func handshake(t testing.TB, addr string, conf *tls.Config) *tls.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
	c := tls.Client(raw, conf)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// shows is a client for a host that shows certificates to whoever asks; asked takes in what the server said when asking.
func shows(host string, asked *[]*tls.CertificateRequestInfo, certificates ...tls.Certificate) *tls.Config {
	return &tls.Config{ServerName: host, GetClientCertificate: func(how *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if asked != nil {
			*asked = append(*asked, how)
		}
		if len(certificates) == 0 {
			return &tls.Certificate{}, nil
		}
		return &certificates[0], nil
	}}
}

// browser walks through a gate.
func (g gate) browser(t testing.TB, certificates ...tls.Certificate) *walker.Client {
	c := walker.New(nil, "")
	c.HTTP.Transport = &http.Transport{DialTLSContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		host, _, _ := strings.Cut(addr, ":")
		conn := g.dial(t, shows(host, nil, certificates...))
		return conn, conn.Handshake()
	}}
	return c
}

// arrived is what came to the host for certificates: for each path, the certificates with which requests came, nil for none.
type arrived struct {
	http.Handler
	mu   sync.Mutex
	with map[string][]*x509.Certificate
}

func (a *arrived) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var leaf *x509.Certificate
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		leaf = r.TLS.PeerCertificates[0]
	}
	a.mu.Lock()
	a.with[r.URL.Path] = append(a.with[r.URL.Path], leaf)
	a.mu.Unlock()
	a.Handler.ServeHTTP(w, r)
}

// at is what came with a ticket so far.
func (a *arrived) at(ticket string) []*x509.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.with["/certificate/"+ticket]
}

// dropped is how many headers the edge of a listener has removed.
func dropped(t testing.TB, s *rig.Served) (n int) {
	t.Helper()
	all, err := s.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		if family.GetName() == "doorward_edge_headers_dropped_total" {
			for _, m := range family.Metric {
				n += int(m.Counter.GetValue())
			}
		}
	}
	return n
}

// behindProxies is a realm with devices, its gates, and what arrives behind them.
func behindProxies(t *testing.T, store *sqlstore.Store) (*wealth, *arrived, []gate) {
	w := withDevicesOf(t, store, rig.NewCA(t, "Issuing CA", rig.Always)) // proxies go by the machine's clock
	w.dev = w.Device(w.ca, w.of, w.ann.Is, "Tablet", rig.Always)
	door := &arrived{Handler: w.CertHost, with: map[string][]*x509.Certificate{}}
	w.CertHost = door
	return w, door, w.gates()
}

// Nobody is let in by a header: at Doorward's own listener and through nginx, HAProxy, Apache and Caddy, with no certificate
// of one's own and with one that is somebody else's. What each of them passes on when it is genuine arrives.
func TestSEC_C11_ForgedCertificateHeadersThroughFourProxies(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w, door, gates := behindProxies(t, store)
		mallory, _ := w.enter("Mallory Client", "mallory@client.example")
		malice := w.Device(w.ca, w.of, mallory.Is, "Laptop", rig.Always).Cert
		all, claimed := forgeries(), claims(w.dev.Cert)
		if len(all) < 200 {
			t.Fatalf("only %d forgeries", len(all))
		}
		flow := strings.TrimPrefix(w.at(w.Browser("203.0.113.9"), w.ann.Is.Address).URL.Path, "/signin/")
		var running sync.WaitGroup
		for _, g := range gates {
			running.Go(func() {
				before, tickets, headers := dropped(t, g.behind), w.tickets(flow, len(all)), 0
				attempt := func(i int) {
					own := []tls.Certificate{}
					if i%2 == 1 {
						own = append(own, malice)
					}
					send(t, g, all[i].is(certHost, tickets[i], claimed), own...)
				}
				atATime(8, len(all), func(i int) {
					if all[i].header != "" {
						attempt(i)
					}
				})
				counted := dropped(t, g.behind) - before
				atATime(8, len(all), func(i int) {
					if all[i].header == "" {
						attempt(i)
					}
				})
				accepted, reached := 0, 0
				for i, f := range all {
					if f.header != "" {
						headers++
					}
					for _, c := range door.at(tickets[i]) {
						reached++
						if c != nil && (i%2 == 0 || !c.Equal(malice.Leaf)) {
							accepted++
							t.Errorf("%s: %s: taken for %s", g.name, f.name, c.Subject)
						}
						if c == nil && i%2 == 1 && f.header != "" {
							t.Errorf("%s: %s: the certificate that was shown is lost", g.name, f.name)
						}
					}
				}
				t.Logf("%-36s %d forgeries, %d requests reached the host for certificates, %d accepted", g.name, len(all), reached, accepted)
				if reached < headers {
					t.Errorf("%s: only %d requests came so far that a header could have counted", g.name, reached)
				}
				if g.alone && counted != headers {
					t.Errorf("%s: of %d headers %d are counted", g.name, headers, counted)
				}
			})
		}
		running.Wait()
		if page, err := w.Browser("203.0.113.9").Get(rig.Origin + "/signin/" + flow); err != nil || wants(page, "current-password") {
			t.Errorf("the flow went on: %q, %v", page.Main(), err)
		}
	})
}

// tickets makes as many tickets of a flow as are asked for.
func (w *wealth) tickets(flow string, n int) []string {
	w.T.Helper()
	all := make([]string, n)
	w.Write(func(tx *sqlstore.Tx) error {
		for i := range all {
			all[i] = uuid.NewString()
			if err := tx.AddSighting(authn.Sighting{
				ID: uuid.NewString(), Realm: w.Realm.ID, Flow: flow, There: testdb.Ring().Hash("sighting:there", all[i]),
				Created: w.Clock.Now(), Expires: w.Clock.Now().Add(10 * time.Minute),
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return all
}

// atATime calls do for every number below n, many at a time.
func atATime(many, n int, do func(i int)) {
	var running sync.WaitGroup
	next := make(chan int)
	for range many {
		running.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	running.Wait()
}

// send writes a request as it is and waits for the answer, or the end.
func send(t testing.TB, g gate, request []byte, own ...tls.Certificate) {
	t.Helper()
	conn := g.dial(t, shows(certHost, nil, own...))
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		return
	}
	// It stays open until everything that was in the request has had its answer: who hangs up is not served any more.
	for piece := make([]byte, 64<<10); ; {
		if _, err := conn.Read(piece); err != nil {
			return
		}
		_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	}
}

// asking says how one handshake with a host went: what it was answered with, what it was asked for, whether it was resumed.
func (g gate) asking(t testing.TB, conf *tls.Config, host string) (status int, resumed bool, err error) {
	t.Helper()
	conn := g.dial(t, conf)
	defer conn.Close()
	req, err := http.NewRequest(http.MethodGet, "https://"+host+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if err := req.Write(conn); err != nil {
		return 0, false, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return 0, false, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, conn.ConnectionState().DidResume, nil
}

// The genuine certificate arrives through each of the proxies as it does without one; those that do not count are explained;
// the list that browsers show names the realm's authority alone; and no connection counts for another.
func TestREQ_A20_SEC_C4_C11_TheHostsForCertificatesBehindProxies(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w, _, gates := behindProxies(t, store)
		expired := w.Device(w.ca, w.of, w.ann.Is, "Old", func(c *x509.Certificate) {
			rig.Always(c)
			c.NotAfter = c.NotBefore.Add(time.Hour)
		})
		stranger := rig.NewCA(t, "Company CA").Issue(rig.Always)
		for _, g := range gates {
			t.Run(g.name, func(t *testing.T) {
				for name, c := range map[string]struct {
					shown []tls.Certificate
					want  string
				}{
					"genuine": {[]tls.Certificate{w.dev.Cert}, "Enter your password"}, "none": {nil, "No certificate arrived"},
					"expired": {[]tls.Certificate{expired.Cert}, "has run out"}, "a stranger's": {[]tls.Certificate{stranger}, "is not one of"},
				} {
					b := g.browser(t, c.shown...)
					if g.name == "apache" && name == "expired" {
						if _, err := b.Get("https://" + certHost + "/"); err == nil {
							t.Error("Apache lets a certificate through that is out of time, which the documentation denies")
						}
						continue
					}
					page := w.show(b, w.at(b, w.ann.Is.Address))
					if page.Status != 200 || !strings.Contains(page.Title(), c.want) {
						t.Errorf("%s: %d %q, want %q", name, page.Status, page.Title(), c.want)
					}
				}
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					cache := sharedTicket{tls.NewLRUClientSessionCache(8)}
					connect := func(sni, host string) (status int, resumed bool, asked []*tls.CertificateRequestInfo) {
						conf := shows(sni, &asked, w.dev.Cert)
						conf.MinVersion, conf.MaxVersion, conf.ClientSessionCache = version, version, cache
						status, resumed, err := g.asking(t, conf, host)
						if err != nil {
							t.Errorf("%x %s: %v", version, host, err)
						}
						return status, resumed, asked
					}
					if _, _, asked := connect(rig.Host, rig.Host); len(asked) != 0 {
						t.Errorf("%x: the realm's own host asks for a certificate", version)
					}
					for range 2 {
						for _, host := range w.Realm.CertHosts() {
							status, resumed, asked := connect(host, host)
							if status != http.StatusSeeOther || resumed || len(asked) != 1 {
								t.Errorf("%x %s: status %d, resumed %v, asked %d times", version, host, status, resumed, len(asked))
							} else if names := asked[0].AcceptableCAs; len(names) != 1 || !bytes.Equal(names[0], w.ca.Cert.RawSubject) {
								t.Errorf("%x %s names %q", version, host, names)
							}
						}
					}
					for _, pair := range [][2]string{{rig.Host, certHost}, {certHost, rig.Host}} {
						if pair[0] == certHost && g.name == "nginx" {
							continue // of what was shown nothing goes on to the realm's own host
						}
						if status, _, _ := connect(pair[0], pair[1]); status != http.StatusMisdirectedRequest {
							t.Errorf("%x: %s over the connection of %s: %d", version, pair[1], pair[0], status)
						}
					}
				}
			})
		}
	})
}

// sharedTicket offers the ticket of one host to every other.
type sharedTicket struct{ tls.ClientSessionCache }

func (s sharedTicket) Get(string) (*tls.ClientSessionState, bool) {
	return s.ClientSessionCache.Get("")
}
func (s sharedTicket) Put(_ string, c *tls.ClientSessionState) { s.ClientSessionCache.Put("", c) }
