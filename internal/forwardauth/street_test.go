package forwardauth_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/forwardauth"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

const (
	wiki  = "wiki.example"
	files = "files.example"
)

// street is a realm with guarded applications, a proxy in front of them, and somebody who signs in.
type street struct {
	*rig.Rig
	t    *testing.T
	anna *rig.Somebody

	mu     sync.Mutex
	passed []*http.Request // what reached an application, as the proxy made it
}

func guarded(r *directory.Realm) {
	r.Relying = []directory.RelyingParty{
		{ID: "wiki", Name: "Northline wiki", Home: "https://wiki.example/", Hosts: []string{wiki, "notes.example"},
			ForwardHeaders: []string{directory.ForwardEmail, directory.ForwardName, directory.ForwardOrganization, directory.ForwardGroups}},
		{ID: "files", Name: "Files", Home: "https://files.example/", Hosts: []string{files}},
		{ID: "ports", Name: "Ports", Home: "https://ports.example:8443/", Hosts: []string{"ports.example:8443"}},
		{ID: "vault", Name: "Vault", Home: "https://vault.example/", Hosts: []string{"vault.example"}, ACR: []string{"phrh"}},
	}
}

func eachStreet(t *testing.T, test func(t *testing.T, s *street), changes ...func(*directory.Realm)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		s := &street{Rig: rig.New(t, store, append([]func(*directory.Realm){guarded}, changes...)...), t: t}
		s.anna = s.Join(s.Organization("Alder Works", false), directory.Member, "Anna Alder", "anna@alder.example")
		test(t, s)
	})
}

// proxy stands in front of every host but the realm's: it asks about each request, takes its own headers from nobody, and
// hands /.doorward/ on. What it says to the door goes the way the trusted edge hands it on.
type proxy struct {
	s    *street
	door http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (p proxy) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == rig.Host {
		return p.door.RoundTrip(req)
	}
	said := forwardauth.Said{
		Method: []string{req.Method}, Proto: []string{"https"}, Host: []string{req.URL.Host}, URI: []string{req.URL.RequestURI()},
	}
	in := req.Clone(req.Context())
	in.URL.Host = rig.Host
	if strings.HasPrefix(req.URL.Path, "/.doorward/") {
		res, err := p.door.RoundTrip(forwardauth.Told(in, said))
		if err == nil {
			res.Request = req
		}
		return res, err
	}
	in.Method, in.Body, in.URL = http.MethodGet, nil, &url.URL{Scheme: "https", Host: rig.Host, Path: "/forward-auth/check"}
	res, err := p.door.RoundTrip(forwardauth.Told(in, said))
	if err != nil || res.StatusCode != http.StatusOK {
		if err == nil {
			res.Request = req
		}
		return res, err
	}
	out := req.Clone(req.Context())
	for _, name := range told {
		out.Header.Del(name)
		if v := res.Header.Get(name); v != "" {
			out.Header.Set(name, v)
		}
	}
	p.s.mu.Lock()
	p.s.passed = append(p.s.passed, out)
	p.s.mu.Unlock()
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"text/html"}},
		Body: io.NopCloser(strings.NewReader("<html><body><main id=main>application</main></body></html>")), Request: req}, nil
}

var told = []string{"Doorward-Assertion", "Remote-User", "Remote-Email", "Remote-Name", "Remote-Organization", "Remote-Groups"}

// browse is a new browser that reaches guarded hosts through the proxy.
func (s *street) browse(network string) *walker.Client {
	c := s.Browser(network)
	c.HTTP.Transport = proxy{s, c.HTTP.Transport}
	return c
}

// through makes somebody's browser reach guarded hosts through the proxy.
func (s *street) through(b *walker.Client) *walker.Client {
	b.HTTP.Transport = proxy{s, b.HTTP.Transport}
	return b
}

// arrives reports that the application answered.
func arrives(p *walker.Page) bool { return p.Status == http.StatusOK && p.URL.Hostname() != rig.Host }

// open opens an address and answers what is asked until the application answers.
func (s *street) open(b *walker.Client, mind *walker.Person, address string) *walker.Page {
	s.t.Helper()
	page, err := b.Get(address)
	if err == nil {
		page, err = mind.Walk(b, page, arrives)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

// last is the last request that reached an application.
func (s *street) last() *http.Request {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.passed) == 0 {
		s.t.Fatal("nothing has reached an application")
	}
	return s.passed[len(s.passed)-1]
}

// ask asks the door as a proxy does, and returns its answer. Headers are pairs.
func (s *street) ask(path string, said forwardauth.Said, cookie string, headers ...string) *http.Response {
	s.t.Helper()
	return s.askAt(rig.Host, path, said, cookie, headers...)
}

func (s *street) askAt(host, path string, said forwardauth.Said, cookie string, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "https://"+host+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return s.send(forwardauth.Told(req, said))
}

func (s *street) send(req *http.Request) *http.Response {
	s.t.Helper()
	res, err := s.Browser("192.0.2.77").HTTP.Transport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

// about is what an honest proxy says of a page that is opened.
func about(host, uri string) forwardauth.Said {
	return forwardauth.Said{Method: []string{"GET"}, Proto: []string{"https"}, Host: []string{host}, URI: []string{uri}}
}

// cookieOf is the cookie header that a browser sends to a host.
func cookieOf(b *walker.Client, host string) string {
	var out []string
	for _, c := range b.HTTP.Jar.Cookies(&url.URL{Scheme: "https", Host: host, Path: "/"}) {
		out = append(out, c.Name+"="+c.Value)
	}
	return strings.Join(out, "; ")
}

func (s *street) events(kind string) []audit.Event {
	s.t.Helper()
	var out []audit.Event
	s.Read(func(tx *sqlstore.Tx) (err error) {
		out, err = tx.Events(audit.Query{Realm: s.Realm.ID, Limit: 1000})
		return err
	})
	return slices.DeleteFunc(out, func(e audit.Event) bool { return e.Type != kind })
}

// stops has a browser follow no redirects, so that a test sees each.
func stops(b *walker.Client) *walker.Client {
	b.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}
