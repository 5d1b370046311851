package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"doorward/internal/rig/walker"
	"doorward/realms"
)

const siteURL = "https://shop.localhost"

// site is a node of the product with people who can sign in.
type site struct {
	*process
	bin, dir string
	address  string // where it listens
	pool     *x509.CertPool
	people   []*walker.Person
	cookies  []string // a live session each
	cold     []time.Duration
}

const config = `
[database]
address = "sqlite:doorward.db"
[keys]
file = "keyring"
[server]
listen = "127.0.0.1:0"
operations = ""
certificate = ["cert.pem"]
key = ["key.pem"]
proxies = ["127.0.0.1"]
[mail]
directory = "mail"
[log]
level = "info"
`

// newSite makes a fresh installation as an operator would, by the command line, and starts it.
func newSite(bin, dir string) (*site, error) {
	s := &site{bin: bin, dir: dir}
	if err := s.command(nil, "init", "--dir", dir); err != nil {
		return nil, err
	}
	if err := certificates(dir); err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{"doorward.toml": []byte(config), "shop.toml": slices.Concat(realms.Shop, relying())} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	if err := s.command(nil, "apply", "--config", s.config(), filepath.Join(dir, "shop.toml")); err != nil {
		return nil, err
	}
	var err error
	if s.pool, err = roots(filepath.Join(dir, "cert.pem")); err != nil {
		return nil, err
	}
	for range rounds {
		if s.process != nil {
			s.stop()
		}
		took, err := s.serve()
		if err != nil {
			return nil, err
		}
		s.cold = append(s.cold, took)
	}
	return s, nil
}

func (s *site) config() string { return filepath.Join(s.dir, "doorward.toml") }

// command runs the program once; answer, when not nil, is filled from its JSON.
func (s *site) command(answer any, args ...string) error {
	if answer != nil {
		args = append(args, "--json")
	}
	cmd := exec.Command(s.bin, args...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("doorward %s: %s", args[0], exit.Stderr)
		}
		return err
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(out, answer)
}

var listening = regexp.MustCompile(`"listen":"(127\.0\.0\.1:\d+)"`)

// serve starts the server and returns the time from the start of the process to the first page.
func (s *site) serve() (time.Duration, error) {
	p, err := start(s.bin, "serve", "--config", s.config())
	if err != nil {
		return 0, err
	}
	s.process = p
	var c *http.Client
	return p.ready(func() bool {
		if c == nil {
			m := listening.FindStringSubmatch(p.log.String())
			if m == nil {
				return false
			}
			s.address = m[1]
			c = client(s.pool, s.address)
		}
		return send(c, request(http.MethodGet, siteURL+"/signin", "", ""), http.StatusOK) == nil
	})
}

// browser is a new browser at a network address of its own: the limits that count per network would otherwise see one
// single stranger.
func (s *site) browser(n int) *walker.Client {
	c := walker.New(s.pool, s.address)
	c.Header.Set("X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", n>>8&255, n&255))
	return c
}

// invite makes it n people, and walks each who is new through the set-up. Their codes need a wait of up to a minute, all
// at once.
func (s *site) invite(n int) error {
	have := len(s.people)
	if n > have {
		s.cookies = append(s.cookies, make([]string, n-have)...)
	}
	inside := make(chan struct{}, 4) // few at a time, so that nobody is turned away while the measurements are prepared
	var mu sync.Mutex
	var first error
	var wait sync.WaitGroup
	for i := have; i < n; i++ {
		var answer struct{ Email, Link string }
		err := s.command(&answer, "user", "invite", "--config", s.config(), "--realm", "shop", "--role", "member", "--organization", "Bench Ltd",
			"--email", fmt.Sprintf("person%d@bench.example", i), "--name", fmt.Sprintf("Person %d", i))
		if err != nil {
			return err
		}
		p := &walker.Person{
			Address: answer.Email, Password: "quiet lantern 58 marble", Now: time.Now,
			Wait: func(until time.Time) { <-inside; time.Sleep(time.Until(until)); inside <- struct{}{} },
		}
		s.people = append(s.people, p)
		wait.Go(func() {
			inside <- struct{}{}
			defer func() { <-inside }()
			cookie, err := s.arrive(p, s.browser(i), answer.Link)
			mu.Lock()
			defer mu.Unlock()
			s.cookies[i] = cookie
			if err != nil && first == nil {
				first = err
			}
		})
	}
	wait.Wait()
	for _, p := range s.people[min(have, len(s.people)):] {
		p.Wait = func(until time.Time) { time.Sleep(time.Until(until)) }
	}
	return first
}

// arrive walks from an address to the account and returns the session's cookie.
func (s *site) arrive(p *walker.Person, c *walker.Client, address string) (string, error) {
	page, err := c.Get(address)
	if err != nil {
		return "", err
	}
	if _, err = p.Walk(c, page, walker.At("/account")); err != nil {
		return "", err
	}
	u, err := url.Parse(siteURL)
	if err != nil {
		return "", err
	}
	for _, k := range c.HTTP.Jar.Cookies(u) {
		if k.Name == "__Host-session" {
			return k.Value, nil
		}
	}
	return "", errors.New("no session cookie after the sign-in")
}

// certificates makes the node's certificate, which is its own CA.
func certificates(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "bench"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		DNSNames: []string{"shop.localhost", "cert.shop.localhost", "cert2.shop.localhost", "cert3.shop.localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
