package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func request(peer string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "https://shop.localhost/", nil)
	r.RemoteAddr = peer
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1]) // as it came, without canonical spelling
	}
	return r
}

func edge(t testing.TB, header string) Edge {
	t.Helper()
	e, err := NewEdge([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8:ffff::/48"}, header)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSEC_N3_ClientIsTheRightmostUntrustedHop(t *testing.T) {
	for _, c := range []struct{ name, header, peer, value, want string }{
		{"no proxy, header ignored", "", "203.0.113.9:1", "198.51.100.1", "203.0.113.9"},
		{"one proxy", "", "10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"the client's own claim stands left", "", "10.0.0.1:1", "127.0.0.1, 198.51.100.1", "198.51.100.1"},
		{"two proxies", "", "10.0.0.1:1", "1.1.1.1, 198.51.100.1, 192.0.2.7", "198.51.100.1"},
		{"a proxy's claim about itself only", "", "10.0.0.1:1", "10.0.0.2", "10.0.0.2"},
		{"no header", "", "10.0.0.1:1", "", "10.0.0.1"},
		{"rubbish at the right", "", "10.0.0.1:1", "198.51.100.1, unknown", "10.0.0.1"},
		{"rubbish behind a proxy", "", "10.0.0.1:1", "198.51.100.1, x, 192.0.2.7", "192.0.2.7"},
		{"with a port", "", "10.0.0.1:1", "198.51.100.1:4711", "198.51.100.1"},
		{"IPv6", "", "10.0.0.1:1", "2001:db8::1", "2001:db8::1"},
		{"IPv6 with a port", "", "10.0.0.1:1", "[2001:db8::1]:80", "2001:db8::1"},
		{"IPv4 in IPv6 is IPv4", "", "10.0.0.1:1", "::ffff:198.51.100.1", "198.51.100.1"},
		{"a proxy in IPv6 clothes is still one", "", "[::ffff:10.0.0.1]:1", "198.51.100.1", "198.51.100.1"},
		{"a zone is refused", "", "10.0.0.1:1", "fe80::1%eth0", "10.0.0.1"},
		{"octal-looking is refused", "", "10.0.0.1:1", "010.0.0.1", "10.0.0.1"},
		{"the other header is not read", "", "10.0.0.1:1", "for=198.51.100.1", "10.0.0.1"},
		{"RFC 7239", Forwarded, "10.0.0.1:1", "for=1.2.3.4, for=198.51.100.1;proto=https;by=10.0.0.9", "198.51.100.1"},
		{"RFC 7239, IPv6", Forwarded, "10.0.0.1:1", `For="[2001:db8::1]:4711"`, "2001:db8::1"},
		{"RFC 7239, IPv6 unquoted", Forwarded, "10.0.0.1:1", `for=[2001:db8::1]`, "10.0.0.1"},
		{"RFC 7239, hidden", Forwarded, "10.0.0.1:1", `for=198.51.100.1, for=_hidden`, "10.0.0.1"},
		{"RFC 7239, twice", Forwarded, "10.0.0.1:1", `for=198.51.100.1;for=1.2.3.4`, "10.0.0.1"},
		{"RFC 7239, a quote that does not end", Forwarded, "10.0.0.1:1", `for="198.51.100.1`, "10.0.0.1"},
		{"RFC 7239, none", Forwarded, "10.0.0.1:1", `proto=https`, "10.0.0.1"},
		{"a chain without end", "", "10.0.0.1:1", strings.Repeat("10.0.0.2,", 1000) + "10.0.0.3", "10.0.0.2"},
	} {
		e, name := edge(t, c.header), http.CanonicalHeaderKey(XForwardedFor)
		if c.header != "" {
			name = http.CanonicalHeaderKey(c.header)
		}
		r := request(c.peer)
		if c.value != "" {
			r.Header.Set(name, c.value)
		}
		if got := e.Client(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSEC_N3_SeveralHeaderLinesAreOneList(t *testing.T) {
	r := request("10.0.0.1:1", "X-Forwarded-For", "1.1.1.1", "X-Forwarded-For", "198.51.100.1, 10.0.0.9")
	if got := edge(t, "").Client(r).String(); got != "198.51.100.1" {
		t.Fatal(got)
	}
}

func TestSEC_C11_NothingOfTheEdgeReachesAHandler(t *testing.T) {
	names := []string{
		"X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "X-Forwarded_For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
		"X-Forwarded-Prefix", "X-Forwarded-Client-Cert", "Forwarded", "FORWARDED", "X-Real-Ip", "X-Real-IP", "True-Client-Ip", "Client-Ip",
		"Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "X-Client-Cert", "X-Client-Cert-Chain", "Client-Cert", "Client-Cert-Chain", "X-SSL-Client-Verify",
		"SSL_CLIENT_CERT", "Ssl-Client-Cert", "X-ARR-ClientCert", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Http-Method",
		"X-Method-Override", "Remote-User", "REMOTE_USER", "X-Remote-User", "X-Auth-Request-Email", "Via", "X-Host", "Proxy", "X-Envoy-External-Address",
	}
	for _, peer := range []string{"203.0.113.9:1", "10.0.0.1:1"} {
		dropped := 0
		r := request(peer, "Accept", "text/html", "User-Agent", "x", "Cookie", "a=b")
		for _, n := range names {
			r.Header[n] = []string{"198.51.100.1"}
		}
		edge(t, "").Admit(r, func(string) { dropped++ })
		if len(r.Header) != 3 {
			t.Errorf("%s: left over: %v", peer, r.Header)
		}
		want := len(names)
		if peer == "10.0.0.1:1" {
			want -= 3 // X-Forwarded-For in two spellings is used, Via is what a proxy says
		}
		if dropped != want {
			t.Errorf("%s: %d counted, want %d", peer, dropped, want)
		}
	}
}

func TestSEC_N3_ResultStandsInRemoteAddr(t *testing.T) {
	r := request("10.0.0.1:1", "X-Forwarded-For", "2001:db8::1")
	edge(t, "").Admit(r, func(string) {})
	if r.RemoteAddr != "[2001:db8::1]:0" {
		t.Fatal(r.RemoteAddr)
	}
	r = request("203.0.113.9:55", "X-Forwarded-For", "2001:db8::1")
	edge(t, "").Admit(r, func(string) {})
	if r.RemoteAddr != "203.0.113.9:55" {
		t.Fatal(r.RemoteAddr)
	}
}

func TestNewEdgeRefuses(t *testing.T) {
	for _, bad := range []string{"", "x", "10.0.0.0/33", "0.0.0.0/0", "::/0", "fe80::1%eth0", "10.0.0.1:80", "::ffff:10.0.0.0/104"} {
		if _, err := NewEdge([]string{bad}, ""); err == nil {
			t.Errorf("%q is accepted as a proxy", bad)
		}
	}
	if _, err := NewEdge(nil, "X-Real-IP"); err == nil {
		t.Error("a header that cannot be walked is accepted")
	}
}

// What a client writes itself stands left of what the proxies add and never changes the result; and without a proxy
// nothing it writes does.
func FuzzSEC_N3_Edge(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", "10.0.0.1", "unknown", `for="[::1]:2"`, "for=_x;proto=https", `for="a,b"`, "a, b, c", "\"", "[::]", "::ffff:0:0"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, claim string, rfc bool) {
		header, honest := XForwardedFor, "198.51.100.1"
		if rfc {
			header, honest = Forwarded, "for=198.51.100.1"
		}
		e, name := edge(t, header), http.CanonicalHeaderKey(header)
		if got := e.Client(request("203.0.113.9:1", name, claim)); got != netip.MustParseAddr("203.0.113.9") {
			t.Fatalf("without a proxy: %v", got)
		}
		for _, r := range []*http.Request{
			request("10.0.0.1:1", name, claim+", "+honest),
			request("10.0.0.1:1", name, claim, name, honest),
		} {
			if got := e.Client(r); got != netip.MustParseAddr("198.51.100.1") {
				t.Fatalf("%q moved the client to %v", claim, got)
			}
		}
		r := request("10.0.0.1:1", name, claim)
		e.Admit(r, func(string) {})
		if peerOf(r.RemoteAddr).String() == "invalid IP" || len(r.Header) != 0 {
			t.Fatalf("%q: %s %v", claim, r.RemoteAddr, r.Header)
		}
	})
}

// What a proxy says of another request is handed on to a door that was asked for it, from configured proxies only, and
// reaches no handler as a header either way.
func TestSEC_N2_AProxysWordsAboutAnotherRequestGoOneWay(t *testing.T) {
	names := []string{"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Original-URL", "X-Original-Method"}
	for _, c := range []struct {
		peer        string
		asked, told bool
	}{
		{"10.0.0.1:1", true, true}, {"10.0.0.1:1", false, false}, {"203.0.113.9:1", true, false}, {"203.0.113.9:1", false, false},
	} {
		var got *Original
		var left http.Header
		d := Door{
			Name: "x", Serves: func(string) bool { return true }, Asked: func(*http.Request) bool { return c.asked },
			Told:    func(r *http.Request, o Original) *http.Request { got = &o; return r },
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { left = r.Header.Clone() }),
		}
		m := NewMetrics()
		s, err := New(Config{Settings: Settings{Plain: true, Proxies: []string{"10.0.0.0/8"}}, Clock: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: m}, d)
		if err != nil {
			t.Fatal(err)
		}
		r := request(c.peer, "Cookie", "a=b", "X-Forwarded-For", "198.51.100.1")
		r.TLS = nil
		for _, n := range names {
			r.Header.Add(n, "one "+n)
			r.Header.Add(n, "two")
		}
		r.Header["X_Forwarded_Host"] = []string{"underscore"}
		s.pages.Handler.ServeHTTP(httptest.NewRecorder(), r)
		if len(left) != 1 || left.Get("Cookie") != "a=b" {
			t.Errorf("%+v: the handler sees %v", c, left)
		}
		if (got != nil) != c.told {
			t.Fatalf("%+v: told %t", c, got != nil)
		}
		if got == nil {
			continue
		}
		for i, values := range [][]string{got.Method, got.Proto, got.Host, got.URI, got.URL, got.URLMethod} {
			if !slices.Equal(values, []string{"one " + names[i], "two"}) {
				t.Errorf("%s: %q", names[i], values)
			}
		}
	}
}

// What is let through without a look is nothing that the list removes, and is spelled as net/http spells it.
func TestSEC_N3_OrdinaryHeadersAreNotStrange(t *testing.T) {
	for name := range ordinary {
		if as, strange := found(name); strange || http.CanonicalHeaderKey(name) != name {
			t.Errorf("%s is removed as %q, or not canonical", name, as)
		}
	}
	if _, strange := isStrange("X-Forwarded-For"); !strange {
		t.Error("a strange header is let through")
	}
}
