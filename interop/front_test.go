package interop

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// front speaks TLS for an application that listens on loopback in the clear, as the proxy of a machine does.
type front struct {
	listener net.Listener
	held     net.Listener // keeps the application's port until it is started, so that nobody else is given the same
	URL      string       // of the application, as browsers know it
	Port     string       // at which the application is to listen
}

func (s *site) newFront(secure bool) (*front, error) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{held: held, URL: "https://" + held.Addr().String()}
	if _, f.Port, err = net.SplitHostPort(held.Addr().String()); err != nil || !secure {
		return f, err
	}
	l, err := s.issuer.listen()
	if err != nil {
		return nil, err
	}
	f.listener, f.URL = l, "https://"+l.Addr().String()
	to := &url.URL{Scheme: "http", Host: "127.0.0.1:" + f.Port}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	go func() { _ = http.Serve(l, proxy) }() // ends with its listener
	return f, nil
}

var (
	exampleHost = regexp.MustCompile(`https://[a-z]+\.example\.com/`)
	secretLine  = regexp.MustCompile(`secret_sha256 = "[^"]*"`)
)

// applications are the realm-file entries of docs/integrate, at the addresses where their applications stand here.
func (s *site) applications(secret string) (string, error) {
	files, err := filepath.Glob("../docs/integrate/*/realm.toml")
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		name := filepath.Base(filepath.Dir(file))
		f, err := s.newFront(name != "apache") // which speaks TLS by itself
		if err != nil {
			return "", err
		}
		s.fronts[name] = f
		for line := range strings.Lines(string(src)) {
			if !strings.HasPrefix(line, "home = ") { // where a link leads; an address without a name is none
				line = exampleHost.ReplaceAllString(line, f.URL+"/")
			}
			all.WriteString(secretLine.ReplaceAllString(line, `secret_sha256 = "`+secret+`"`))
		}
		all.WriteString("\n")
	}
	return "\n" + all.String(), nil
}
