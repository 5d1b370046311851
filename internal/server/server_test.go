package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"doorward/internal/fault"
)

var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// lines is a log that tests can read while the server writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *lines) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// house is a server with two hosts on real sockets.
type house struct {
	*Server
	log    *lines
	pool   *x509.CertPool
	cancel context.CancelFunc
	ended  chan error
}

func start(t *testing.T, change func(*Config), handler http.Handler, before ...Door) *house {
	t.Helper()
	dir := t.TempDir()
	certs, file, err := LocalCA(dir, []string{"shop.localhost", "wealth.localhost"}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{log: &lines{}, pool: x509.NewCertPool(), ended: make(chan error, 1)}
	if !h.pool.AppendCertsFromPEM(ca) {
		t.Fatal("no CA in ca.pem")
	}
	c := Config{
		Settings: Settings{Listen: "127.0.0.1:0", Operations: "127.0.0.1:0", HSTS: true}, Certificates: certs,
		Clock: func() time.Time { return testNow }, Log: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	mux, _ := handler.(*http.ServeMux)
	d := Door{Name: "shop", Handler: handler, Serves: func(host string) bool { return host == "shop.localhost" || host == "wealth.localhost" }}
	if mux != nil {
		d.Pattern = func(r *http.Request) string { _, p := mux.Handler(r); return p }
	}
	if h.Server, err = New(c, append(before, d)...); err != nil {
		t.Fatal(err)
	}
	if err := h.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() { h.ended <- h.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-h.ended })
	return h
}

// client speaks to the server whatever the name, with the given name in the handshake (empty: the one of the address).
func (h *house) client(sni string, versions ...uint16) *http.Client {
	c := &tls.Config{RootCAs: h.pool, ServerName: sni, Time: func() time.Time { return testNow }}
	if len(versions) == 1 {
		c.MinVersion, c.MaxVersion = versions[0], versions[0]
	}
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: c, ForceAttemptHTTP2: true, DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", h.Addr().String())
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (h *house) get(t *testing.T, c *http.Client, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func echo() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /link/{purpose}/{token}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RemoteAddr+" "+r.Host)
	})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("the password is canary-5b1e") })
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of it")
		panic(errors.New("canary-5b1e"))
	})
	return mux
}

func TestSEC_N1_OnlyStrongTLS(t *testing.T) {
	h := start(t, nil, echo())
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		res, _ := h.get(t, h.client("", v), "https://shop.localhost/link/a/b")
		if res.StatusCode != 200 || res.ProtoMajor != 2 || res.TLS.Version != v {
			t.Errorf("%x: %s %s", v, res.Status, res.Proto)
		}
	}
	for name, c := range map[string]*tls.Config{
		"TLS 1.0":            {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
		"TLS 1.1":            {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"no forward secrecy": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		"CBC":                {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
	} {
		c.ServerName, c.RootCAs, c.Time = "shop.localhost", h.pool, func() time.Time { return testNow }
		if conn, err := tls.Dial("tcp", h.Addr().String(), c); err == nil {
			conn.Close()
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestSEC_N2_HostMustBeOursAndTheConnectionsOwn(t *testing.T) {
	h := start(t, nil, echo())
	for _, c := range []struct {
		name, sni, host string
		want            int
	}{
		{"ours", "shop.localhost", "shop.localhost", 200},
		{"another port is the same host", "shop.localhost", "shop.localhost:8443", 200},
		{"upper case and a final dot", "shop.localhost", "SHOP.localhost.", 200},
		{"the other host over this connection", "shop.localhost", "wealth.localhost", 421},
		{"unknown host", "shop.localhost", "evil.example", 421},
		{"an address", "shop.localhost", "127.0.0.1", 421},
	} {
		res, body := h.get(t, h.client(c.sni), "https://shop.localhost/link/a/b", "Host", c.host)
		if res.StatusCode != c.want {
			t.Errorf("%s: %s", c.name, res.Status)
		}
		if c.want == 421 && (strings.Contains(body, "shop") || res.Header.Get("Content-Security-Policy") == "") {
			t.Errorf("%s: %q %v", c.name, body, res.Header)
		}
	}
	if strings.Contains(h.log.String(), "evil.example") {
		t.Error("a host that a stranger made up stands in the log")
	}
}

func TestSEC_N1_HSTSWhereConfigured(t *testing.T) {
	for _, on := range []bool{true, false} {
		h := start(t, func(c *Config) { c.Settings.HSTS = on }, echo())
		res, _ := h.get(t, h.client(""), "https://shop.localhost/link/a/b")
		if got := res.Header.Get("Strict-Transport-Security"); (got == "max-age=63072000; includeSubDomains") != on || !on && got != "" {
			t.Errorf("HSTS %v: %q", on, got)
		}
	}
}

func TestSEC_N3_TheEdgeStandsBeforeTheDoor(t *testing.T) {
	h := start(t, func(c *Config) { c.Settings.Proxies = []string{"127.0.0.1"} }, echo())
	_, body := h.get(t, h.client(""), "https://shop.localhost/link/a/b", "X-Forwarded-For", "198.51.100.1", "X-Forwarded-Host", "evil.example")
	if body != "198.51.100.1:0 shop.localhost" {
		t.Errorf("%q", body)
	}
	h = start(t, nil, echo())
	_, body = h.get(t, h.client(""), "https://shop.localhost/link/a/b", "X-Forwarded-For", "198.51.100.1")
	if !strings.HasPrefix(body, "127.0.0.1:") {
		t.Errorf("%q", body)
	}
	if n := scrape(t, h)[`doorward_edge_headers_dropped_total{header="xforwarded*"}`]; n != "1" {
		t.Errorf("%q headers counted", n)
	}
}

func TestSEC_G3_NoSecretReachesTheLog(t *testing.T) {
	h := start(t, nil, echo())
	h.get(t, h.client(""), "https://shop.localhost/link/set-up/canary-77aa?code=canary-77aa", "Cookie", "x=canary-77aa", "Referer", "https://x/canary-77aa")
	h.get(t, h.client(""), "https://shop.localhost/nowhere/canary-77aa", "User-Agent", "canary-77aa")
	res, body := h.get(t, h.client(""), "https://shop.localhost/panic")
	id := res.Header.Get("X-Request-Id")
	if res.StatusCode != 500 || !strings.Contains(body, id) || strings.Contains(body, "canary") {
		t.Errorf("%s %q", res.Status, body)
	}
	h.cancel()
	h.ended <- <-h.ended // everything is written
	log := h.log.String()
	for _, want := range []string{`"route":"GET /link/{purpose}/{token}"`, `"route":"GET (no route)"`, `"what":"value of type string"`, `"request":"` + id, `"network":"127.0.0.1"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, "canary") || strings.Contains(log, "nowhere") {
		t.Errorf("a secret stands in the log:\n%s", log)
	}
}

func TestHalfAnAnswerIsNotAWholeOne(t *testing.T) {
	h := start(t, nil, echo())
	res, err := h.client("").Get("https://shop.localhost/half")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("the visitor cannot tell that the answer broke off")
	}
}

func scrape(t *testing.T, h *house) map[string]string {
	t.Helper()
	res, err := http.Get("http://" + h.OperationsAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(name, "#") {
			found[name] = value
		}
	}
	return found
}

func TestSEC_D5_Readiness(t *testing.T) {
	var off time.Duration
	down := errors.New("the database does not answer")
	var db error
	h := start(t, func(c *Config) {
		c.Ready = []Check{
			{"database", func(context.Context) error { return db }},
			CheckClock(c.Clock, func(context.Context) (time.Time, error) { return testNow.Add(off), nil }),
		}
	}, echo())
	for _, c := range []struct {
		off  time.Duration
		db   error
		want int
		say  string
	}{
		{0, nil, 200, `"ready":true`}, {5 * time.Second, nil, 200, ""}, {-5 * time.Second, nil, 200, ""},
		{5*time.Second + 1, nil, 503, "check time synchronization"}, {-6 * time.Second, nil, 503, "6s"},
		{0, down, 503, "does not answer"},
	} {
		off, db = c.off, c.db
		res, err := http.Get("http://" + h.OperationsAddr().String() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.want || !strings.Contains(string(b), c.say) || !json.Valid(b) {
			t.Errorf("%v, %v: %s %s", c.off, c.db, res.Status, b)
		}
	}
	if res, err := http.Get("http://" + h.OperationsAddr().String() + "/healthz"); err != nil || res.StatusCode != 200 {
		t.Errorf("%v %v", res, err)
	}
}

// What has begun is finished; a stream ends at once; nothing new is taken.
func TestSEC_D7_Drain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "done")
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		entered <- struct{}{}
		<-r.Context().Done()
	})
	h := start(t, nil, mux)
	answers := make(chan string, 2)
	for _, c := range []struct{ path, accept string }{{"/slow", ""}, {"/stream", "text/event-stream"}} {
		go func() {
			r, _ := http.NewRequest("GET", "https://shop.localhost"+c.path, nil)
			r.Header.Set("Accept", c.accept)
			res, err := h.client("").Do(r)
			if err != nil {
				answers <- c.path + " failed: " + err.Error()
				return
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil {
				b = []byte(err.Error())
			}
			answers <- c.path + " " + string(b)
		}()
		<-entered
	}
	h.cancel()
	if got := <-answers; got != "/stream " {
		t.Errorf("the stream: %q", got)
	}
	close(release)
	if got := <-answers; got != "/slow done" {
		t.Errorf("%q", got)
	}
	if err := <-h.ended; err != nil {
		t.Error(err)
	}
	h.ended <- nil
	if c, err := net.Dial("tcp", h.Addr().String()); err == nil {
		c.Close()
		t.Error("the socket is still open")
	}
}

func TestLocalCA(t *testing.T) {
	dir := t.TempDir()
	first, file, err := LocalCA(dir, []string{"a.localhost", "b.localhost"}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := os.ReadFile(file)
	if _, _, err := LocalCA(dir, []string{"a.localhost"}, testNow.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if two, _ := os.ReadFile(file); !bytes.Equal(one, two) {
		t.Error("a new CA at the second start: people would have to trust it again")
	}
	if info, _ := os.Stat(filepath.Join(dir, "ca.key")); info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v", info.Mode())
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(one)
	for _, c := range *first.loaded.Load() {
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: c.Leaf.DNSNames[0], CurrentTime: testNow}); err != nil {
			t.Error(err)
		}
	}
	bank, _, err := LocalCA(dir, []string{"bank.example"}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (*bank.loaded.Load())[0].Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "bank.example", CurrentTime: testNow}); err == nil {
		t.Error("the demo's CA can speak for a bank")
	}
	if err := os.Chmod(filepath.Join(dir, "ca.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LocalCA(dir, []string{"a.localhost"}, testNow); !fault.Of(err, fault.Forbidden) {
		t.Errorf("a key everybody can read: %v", err)
	}
	if _, _, err := LocalCA(t.TempDir(), nil, testNow); err == nil {
		t.Error("no hosts")
	}
}

func TestCertificatesFromFiles(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := LocalCA(dir, []string{"a.localhost"}, testNow); err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	c, err := LoadCertificates([]string{cert}, []string{key})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cert, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := c.loaded.Load()
	if err := c.Reload(); !fault.Of(err, fault.Invalid) || c.loaded.Load() != before {
		t.Errorf("a broken file: %v", err)
	}
	for _, bad := range [][2][]string{{nil, nil}, {{cert}, nil}, {{"/nowhere"}, {"/nowhere"}}} {
		if _, err := LoadCertificates(bad[0], bad[1]); !fault.Of(err, fault.Invalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestSettingsCheck(t *testing.T) {
	ok := Settings{Listen: ":443", Operations: "127.0.0.1:9443", Certificate: []string{"c"}, Key: []string{"k"}}
	for _, c := range []struct {
		name   string
		change func(*Settings)
		want   string
	}{
		{"good", func(*Settings) {}, ""},
		{"no port", func(s *Settings) { s.Listen = "localhost" }, "listen"},
		{"port out of range", func(s *Settings) { s.Listen = ":65536" }, "listen"},
		{"same address", func(s *Settings) { s.Operations = s.Listen }, "operations"},
		{"no operations", func(s *Settings) { s.Operations = "" }, ""},
		{"no certificate", func(s *Settings) { s.Certificate, s.Key = nil, nil }, "certificate"},
		{"key missing", func(s *Settings) { s.Key = nil }, "key"},
		{"plain on every address", func(s *Settings) { *s = Settings{Listen: ":80", Plain: true, Proxies: []string{"10.0.0.1"}} }, "plain"},
		{"plain without proxy", func(s *Settings) { *s = Settings{Listen: "127.0.0.1:80", Plain: true} }, "plain"},
		{"plain", func(s *Settings) { *s = Settings{Listen: "127.0.0.1:80", Plain: true, Proxies: []string{"127.0.0.1"}} }, ""},
		{"plain and certificate", func(s *Settings) { s.Plain, s.Listen = true, "127.0.0.1:80" }, "plain"},
		{"everybody a proxy", func(s *Settings) { s.Proxies = []string{"0.0.0.0/0"} }, "proxies"},
		{"odd header", func(s *Settings) { s.ProxyHeader = "X-Real-IP" }, "proxy_header"},
	} {
		s := ok
		c.change(&s)
		var got []string
		s.Check(func(key, reason string) { got = append(got, key) })
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %q", c.name, got, c.want)
		}
	}
}

// A client that sends its headers too slowly is let go, however long it would go on.
func TestSEC_N4_SlowHeadersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{
			Settings: Settings{Plain: true}, Clock: time.Now, Log: slog.New(slog.DiscardHandler),
		}, Door{Name: "x", Serves: func(string) bool { return true }, Handler: echo()})
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		l := &single{conn: make(chan net.Conn, 1), done: make(chan struct{})}
		l.conn <- far
		go func() { _ = s.pages.Serve(l) }()
		if _, err := near.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-")); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _ = io.ReadAll(near)
		if took := time.Since(began); took > headerTimeout+time.Second {
			t.Errorf("held for %v", took)
		}
		s.endStreams()
		_ = s.pages.Close()
		synctest.Wait()
	})
}

// single is a listener with one connection.
type single struct {
	conn chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *single) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *single) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *single) Addr() net.Addr { return &net.TCPAddr{} }

func TestSEC_N4_HeadersAreBounded(t *testing.T) {
	h := start(t, nil, echo())
	r, _ := http.NewRequest("GET", "https://shop.localhost/link/a/b", nil)
	r.Header.Set("X-Long", strings.Repeat("a", 64<<10))
	res, err := h.client("").Do(r)
	if err == nil {
		res.Body.Close()
		if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s", res.Status)
		}
	}
}

func TestMetricsAreCounted(t *testing.T) {
	h := start(t, nil, echo())
	h.get(t, h.client(""), "https://shop.localhost/link/a/b")
	h.get(t, h.client(""), "https://shop.localhost/nothing")
	h.Metrics.Count("signin", "result", "succeeded")
	h.Metrics.Count("evidence", "result", "rejected", "kind", "totp")
	got := scrape(t, h)
	for name, want := range map[string]string{
		`doorward_requests_total{door="shop",status="2xx"}`: "1", `doorward_requests_total{door="shop",status="4xx"}`: "1",
		`doorward_signin_total{result="succeeded"}`: "1", `doorward_evidence_total{kind="totp",result="rejected"}`: "1",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %s", name, got[name], want)
		}
	}
	for _, f := range []func(){func() { h.Metrics.Count("nonsense") }, func() { h.Metrics.Count("signin", "who", "x") }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a wrong counter goes unnoticed")
				}
			}()
			f()
		}()
	}
}
