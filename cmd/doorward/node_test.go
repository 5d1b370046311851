package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorward/internal/rig/walker"
)

// shopHost is where the shop's realm file says that it is.
const shopHost = "shop.localhost"

// clockFile names a file with the milliseconds by which a node's clock is ahead, so that nobody waits for a code.
const clockFile = "NODE_CLOCK"

// onTime is the program with a clock that a test can move on while the program runs.
func onTime() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	file := os.Getenv(clockFile)
	os.Exit(run(ctx, world{
		args: os.Args[1:], environ: os.Environ(), out: os.Stdout, errs: os.Stderr, clock: func() time.Time { return ahead(file) },
	}))
}

func ahead(file string) time.Time {
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	ms, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		panic(err)
	}
	return time.Now().UTC().Add(time.Duration(ms) * time.Millisecond)
}

// site is one database with its configuration, its key ring and the realm shop, on which nodes can be started.
type site struct {
	t       *testing.T
	dir     string
	environ []string
	roots   *x509.CertPool
	clock   struct {
		sync.Mutex
		ahead time.Duration
	}
}

// newSite makes everything a node needs; more are settings for all nodes.
func newSite(t *testing.T, dsn string, more ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), roots: x509.NewCertPool()}
	do(t, nil, "init", "--dir", s.dir)
	s.certificate("node.pem", "node.key", shopHost, "wealth.localhost")
	s.environ = append([]string{
		"DOORWARD_DATABASE_ADDRESS=" + dsn, "DOORWARD_SERVER_LISTEN=127.0.0.1:0", "DOORWARD_SERVER_OPERATIONS=127.0.0.1:0",
		"DOORWARD_SERVER_CERTIFICATE=" + s.path("node.pem"), "DOORWARD_SERVER_KEY=" + s.path("node.key"),
		"DOORWARD_AUDIT_ANCHOR=anchor", "DOORWARD_CONFIG=" + s.path("doorward.toml"),
	}, more...)
	if !strings.Contains(strings.Join(more, " "), "DOORWARD_MAIL_") {
		s.environ = append(s.environ, "DOORWARD_MAIL_DIRECTORY=mail")
	}
	s.advance(0)
	s.do("apply", filepath.Join("..", "..", "realms", "shop.toml"))
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// certificate is its own root: nothing else is trusted by the browsers of the test.
func (s *site) certificate(certFile, keyFile string, hosts ...string) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	s.must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.must(os.WriteFile(s.path(certFile), text, 0o600))
	s.must(os.WriteFile(s.path(keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	s.roots.AppendCertsFromPEM(text)
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// do runs a command beside the nodes, as an operator does.
func (s *site) do(args ...string) string {
	s.t.Helper()
	code, out, errs := s.try(args...)
	if code != done {
		s.t.Fatalf("%q: %d: %s", args, code, errs)
	}
	return out
}

// try is do for commands that may fail.
func (s *site) try(args ...string) (code int, out, errs string) {
	s.t.Helper()
	var o, e bytes.Buffer
	code = run(s.t.Context(), world{args: args, environ: s.environ, out: &o, errs: &e, clock: s.now})
	return code, o.String(), e.String()
}

// now is the time on all nodes and of everybody's authenticator; until moves it on.
func (s *site) now() time.Time {
	s.clock.Lock()
	defer s.clock.Unlock()
	return time.Now().UTC().Add(s.clock.ahead)
}

func (s *site) advance(d time.Duration) {
	s.clock.Lock()
	defer s.clock.Unlock()
	s.clock.ahead += d
	// Renamed into place: a node must never read half a number.
	s.must(os.WriteFile(s.path("clock.new"), strconv.AppendInt(nil, s.clock.ahead.Milliseconds(), 10), 0o600))
	s.must(os.Rename(s.path("clock.new"), s.path("clock")))
}

func (s *site) until(at time.Time) {
	if d := at.Sub(s.now()); d > 0 {
		s.advance(d + 10*time.Millisecond)
	}
}

// invite adds somebody and returns the link of their invitation.
func (s *site) invite(role, name, email string) (link string) {
	s.t.Helper()
	args := []string{"user", "invite", "--json", "--realm", "shop", "--role", role, "--name", name, "--email", email}
	if role == "member" || role == "administrator" {
		args = append(args, "--organization", "Alder Joinery")
	}
	var answer struct{ Link string }
	s.must(json.Unmarshal([]byte(s.do(args...)), &answer))
	return answer.Link
}

// mind is somebody of the realm with an authenticator that keeps the nodes' time.
func (s *site) mind(email string) *walker.Person {
	return &walker.Person{Address: email, Password: "plum harbour 77 violin", Now: s.now, Wait: s.until}
}

// node is a real process that serves.
type node struct {
	site       *site
	cmd        *exec.Cmd
	Address    string // of the pages
	Operations string
	ended      chan struct{}
	mu         sync.Mutex
	log        bytes.Buffer
}

// start starts a node and waits until it serves.
func (s *site) start() *node {
	s.t.Helper()
	n := &node{site: s, cmd: exec.Command("doorward-on-time", "serve"), ended: make(chan struct{})}
	// What is meant for the tests is no key of the configuration.
	around := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "DOORWARD_") })
	n.cmd.Env = append(append(around, clockFile+"="+s.path("clock")), s.environ...)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := n.cmd.StderrPipe()
	s.must(err)
	s.must(n.cmd.Start())
	s.t.Cleanup(n.kill)
	serving := make(chan struct{})
	go func() {
		defer close(n.ended)
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			n.hear(lines.Bytes(), serving)
		}
		_ = n.cmd.Wait() // killed, mostly
	}()
	select {
	case <-serving:
	case <-n.ended:
		s.t.Fatalf("the node ended:\n%s", n.said())
	}
	return n
}

func (n *node) hear(line []byte, serving chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log.Write(append(line, '\n'))
	var heard struct{ Msg, Listen, Operations string }
	if json.Unmarshal(line, &heard) != nil || heard.Msg != "serving" || n.Address != "" {
		return
	}
	n.Address, n.Operations = heard.Listen, heard.Operations
	close(serving)
}

func (n *node) said() string { n.mu.Lock(); defer n.mu.Unlock(); return n.log.String() }

// kill is kill -9; it returns when the process is gone.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // gone already
	<-n.ended
}

// stop ends the node in order.
func (n *node) stop() {
	n.site.t.Helper()
	n.site.must(n.cmd.Process.Signal(syscall.SIGTERM))
	<-n.ended
	if code := n.cmd.ProcessState.ExitCode(); code != done {
		n.site.t.Errorf("exit code %d:\n%s", code, n.said())
	}
}

// browser is a new browser without scripts that reaches this node.
func (n *node) browser() *walker.Client { return walker.New(n.site.roots, n.Address) }

// moves takes a browser with its cookies to another node.
func (n *node) moves(c *walker.Client) {
	c.HTTP.CloseIdleConnections()
	c.HTTP.Transport = walker.New(n.site.roots, n.Address).HTTP.Transport
}

// join walks somebody from their invitation into their account.
func (n *node) join(role, name, email string) (*walker.Person, *walker.Client) {
	n.site.t.Helper()
	c, p := n.browser(), n.site.mind(email)
	page, err := c.Get(n.site.invite(role, name, email))
	n.site.must(err)
	if _, err := p.Walk(c, page, walker.At("/account")); err != nil {
		n.site.t.Fatalf("%s joins: %v", email, err)
	}
	return p, c
}

// signIn walks somebody in as they come every day.
func (n *node) signIn(p *walker.Person) *walker.Client {
	n.site.t.Helper()
	c := n.browser()
	page, err := c.Get("https://" + shopHost + "/signin")
	n.site.must(err)
	if _, err := p.Walk(c, page, walker.At("/account")); err != nil {
		n.site.t.Fatalf("%s signs in: %v", p.Address, err)
	}
	return c
}

// inside reports whether a browser stands in somebody's account.
func (n *node) inside(c *walker.Client) bool {
	n.site.t.Helper()
	page, err := c.Get("https://" + shopHost + "/account")
	n.site.must(err)
	if page.Status >= http.StatusInternalServerError {
		n.site.t.Fatalf("/account answers %d", page.Status)
	}
	return strings.HasPrefix(page.URL.Path, "/account")
}

// refused waits until a browser is out, and says how long that took; it fails when nobody ever shuts it out.
func (n *node) refused(c *walker.Client, why string) {
	n.site.t.Helper()
	begun := time.Now()
	for n.inside(c) {
		if time.Since(begun) > time.Minute {
			n.site.t.Fatalf("%s: still let in", why)
		}
		<-time.After(20 * time.Millisecond)
	}
	n.site.t.Logf("%s: refused after %s", why, time.Since(begun).Round(time.Millisecond))
}

// operations asks the node's own listener.
func (n *node) operations(path string) (int, string) {
	n.site.t.Helper()
	res, err := http.Get("http://" + n.Operations + path)
	n.site.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	n.site.must(err)
	return res.StatusCode, string(body)
}
