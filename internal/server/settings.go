package server

import (
	"net"
	"net/netip"
	"strconv"

	"doorward/internal/fault"
)

// Settings are what a node needs to be reached; the section [server] of the configuration.
type Settings struct {
	Listen      string   `toml:"listen" help:"address of the pages, such as :443"`
	Operations  string   `toml:"operations" help:"address of /healthz, /readyz and /metrics; empty for none"`
	Certificate []string `toml:"certificate" help:"PEM files with a certificate and its chain, one per set of host names"`
	Key         []string `toml:"key" help:"PEM files with the keys, in the same order"`
	Plain       bool     `toml:"plain" help:"speak HTTP to a proxy on this machine, which speaks TLS to the world"`
	Proxies     []string `toml:"proxies" help:"addresses or networks of the proxies in front"`
	ProxyHeader string   `toml:"proxy_header" help:"the header in which they name the client: X-Forwarded-For or Forwarded"`
	CertHeader  string   `toml:"certificate_header" help:"the header in which they name the client's certificate: Client-Cert or X-Forwarded-Client-Cert"`
	HSTS        bool     `toml:"hsts" help:"tell browsers to come back with TLS only, for two years"`
}

// Defaults are the settings where the configuration says nothing.
func Defaults() Settings {
	return Settings{Listen: ":443", Operations: "127.0.0.1:9443", HSTS: true}
}

// Check says what is wrong with the settings, as key and reason. It opens no file and no socket.
func (s Settings) Check(bad func(key, reason string)) {
	if _, ok := addressOf(s.Listen); !ok {
		bad("listen", "an address such as :443 or 127.0.0.1:8443")
	}
	if s.Operations != "" {
		if _, ok := addressOf(s.Operations); !ok {
			bad("operations", "an address such as 127.0.0.1:9443, or empty")
		} else if s.Operations == s.Listen && !zeroPort(s.Listen) {
			bad("operations", "needs an address of its own: what it tells is not for visitors")
		}
	}
	if len(s.Key) != len(s.Certificate) {
		bad("key", "as many keys as certificates")
	}
	switch host, ok := addressOf(s.Listen); {
	case s.Plain && len(s.Certificate) > 0:
		bad("plain", "leave out the certificates where a proxy speaks TLS")
	case s.Plain && ok && !loopback(host):
		bad("plain", "only on a loopback address: passwords would cross the network in the clear")
	case s.Plain && len(s.Proxies) == 0:
		bad("plain", "name the proxy in proxies, or every visitor looks the same")
	case !s.Plain && len(s.Certificate) == 0:
		bad("certificate", "a certificate is needed, or plain = true behind a proxy on this machine")
	}
	if _, err := s.edge(); err != nil {
		key := "proxies"
		switch f := fault.As(err); {
		case f != nil && f.Code == "proxy-header-invalid":
			key = "proxy_header"
		case f != nil && f.Code == "certificate-header-invalid":
			key = "certificate_header"
		}
		bad(key, err.Error())
	}
	if s.CertHeader != "" && len(s.Proxies) == 0 {
		bad("certificate_header", "name the proxy in proxies: from anybody else the header is dropped")
	}
}

// edge is the edge that these settings describe.
func (s Settings) edge() (Edge, error) {
	e, err := NewEdge(s.Proxies, s.ProxyHeader)
	if err != nil {
		return e, err
	}
	return e.WithCertificate(s.CertHeader)
}

// addressOf cuts a listening address into host and port and returns the host.
func addressOf(s string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", false
	}
	n, err := strconv.Atoi(port)
	return host, err == nil && n >= 0 && n <= 65535
}

func zeroPort(s string) bool { _, port, _ := net.SplitHostPort(s); return port == "0" }

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
