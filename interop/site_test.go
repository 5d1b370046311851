package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/rig/walker"
	"doorward/realms"
)

// redirect is where answers go when the client under test has no server of its own: nobody ever connects there.
const redirect = "https://app.example/callback"

// site is an installation as an operator makes one, and what its clients were told. Every client has the same secret.
type site struct {
	Issuer   string                     `json:"issuer"`
	Redirect string                     `json:"redirect"`
	Goodbye  string                     `json:"goodbye"` // registered for after sign-out
	Secret   string                     `json:"secret"`
	Key      map[string]json.RawMessage `json:"keys"` // private keys of clients, as JWK
	Mutual   map[string]identity        `json:"mutual"`

	dir    string
	bin    string
	ca     string // PEM file
	pool   *x509.CertPool
	issuer *authority
	fronts map[string]*front
	cmd    *exec.Cmd
	done   chan struct{}
	log    *output
	guests atomic.Int32
}

// output keeps what a process writes while others read it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) { o.mu.Lock(); defer o.mu.Unlock(); return o.b.Write(p) }
func (o *output) String() string              { o.mu.Lock(); defer o.mu.Unlock(); return o.b.String() }

var (
	one    sync.Once
	here   *site
	hereIs error
)

// open starts the installation, once for all tests.
func open(t testing.TB) *site {
	t.Helper()
	one.Do(func() { here, hereIs = newSite() })
	if hereIs != nil {
		t.Fatal(hereIs)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the program said:\n%s", tail(here.log.String(), 4000))
		}
	})
	return here
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func TestMain(m *testing.M) {
	code := m.Run()
	if here != nil {
		here.close()
	}
	os.Exit(code)
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
proxies = ["127.0.0.2"]
[mail]
directory = "mail"
[log]
level = "info"
`

func newSite() (_ *site, err error) {
	dir, err := os.MkdirTemp("", "doorward-interop-")
	if err != nil {
		return nil, err
	}
	s := &site{
		dir: dir, bin: filepath.Join(dir, "doorward"), ca: filepath.Join(dir, "ca.pem"), done: make(chan struct{}), log: new(output),
		Redirect: redirect, Goodbye: "https://app.example/bye", Secret: rand.Text(), Key: map[string]json.RawMessage{}, fronts: map[string]*front{},
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := look(); err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-o", s.bin, "./cmd/doorward")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	if s.issuer, err = newAuthority(); err != nil {
		return nil, err
	}
	cert, key, err := s.issuer.server()
	if err != nil {
		return nil, err
	}
	if err := s.command(nil, "init", "--dir", dir); err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{"doorward.toml": []byte(config), "ca.pem": s.issuer.pem(), "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	s.pool = s.issuer.pool()
	if err := s.serve(); err != nil {
		return nil, err
	}
	text, err := s.realm()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "realm.toml"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	if err := s.command(nil, "apply", "--config", s.config(), filepath.Join(dir, "realm.toml")); err != nil {
		return nil, err
	}
	told, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.told(), told, 0o600); err != nil {
		return nil, err
	}
	return s, s.ready()
}

// look opens every folder that the program and the scripts are made of, so that the go command's test cache knows that a
// change there is a reason to run these tests again: what other processes read, it does not see.
func look() error {
	for _, top := range []string{"../cmd", "../internal", "../realms", "../docs/integrate", "node", "python"} {
		if err := filepath.WalkDir(top, func(_ string, _ os.DirEntry, err error) error { return err }); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) config() string { return filepath.Join(s.dir, "doorward.toml") }

// told is the file from which scripts read what their clients know.
func (s *site) told() string { return filepath.Join(s.dir, "told.json") }

// command runs the program once; answer, when not nil, is filled from its JSON.
func (s *site) command(answer any, args ...string) error {
	if answer != nil {
		args = append(args, "--json")
	}
	out, err := exec.Command(s.bin, args...).Output()
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

var listening = regexp.MustCompile(`"listen":"127\.0\.0\.1:(\d+)"`)

// serve starts the server: its port is known then, and with it the issuer. It trusts our CA when it calls applications.
func (s *site) serve() error {
	s.cmd = exec.Command(s.bin, "serve", "--config", s.config())
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.ca)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	return s.wait("the port", func() bool {
		m := listening.FindStringSubmatch(s.log.String())
		if m != nil {
			s.Issuer = "https://localhost:" + m[1]
		}
		return m != nil
	})
}

// wait polls until ok; nothing outside of the program says when it has begun to serve, or has read its realm.
func (s *site) wait(what string, ok func() bool) error {
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-s.done:
			return fmt.Errorf("the program ended: %s", s.log)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited a minute for %s: %s", what, s.log)
		}
	}
	return nil
}

func (s *site) ready() error {
	c := walker.New(s.pool, "").HTTP
	return s.wait("the realm", func() bool {
		res, err := c.Get(s.Issuer + "/.well-known/openid-configuration")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

func (s *site) close() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		<-s.done
	}
	for _, f := range s.fronts {
		if f.listener != nil {
			_ = f.listener.Close()
		}
	}
	_ = os.RemoveAll(s.dir)
}

// clients is the part of the realm file that names the clients without a server of their own.
const clients = `
[[relying_party]]
id = "web"
name = "Web"
home = "https://app.example/"
auth = "client_secret_basic"
secret_sha256 = "SECRET"
redirect_uris = ["REDIRECT"]
post_logout_redirect_uris = ["GOODBYE"]
grants = ["authorization_code", "refresh_token", "client_credentials"]
scopes = ["openid", "profile", "email", "organization", "offline_access", "orders"]
resources = ["https://api.example/"]
first_party = true

[[relying_party]]
id = "post"
name = "Post"
home = "https://app.example/"
auth = "client_secret_post"
secret_sha256 = "SECRET"
redirect_uris = ["REDIRECT"]
grants = ["authorization_code", "refresh_token"]
scopes = ["openid", "email"]
id_token_alg = "RS256"
pairwise = true

[[relying_party]]
id = "native"
name = "Native"
home = "https://app.example/"
auth = "none"
redirect_uris = ["http://127.0.0.1/callback"]
grants = ["authorization_code", "refresh_token"]
scopes = ["openid", "email"]
id_token_alg = "EdDSA"

[[relying_party]]
id = "keys"
name = "Keys"
home = "https://app.example/"
auth = "private_key_jwt"
jwks = '''JWKS:keys'''
redirect_uris = ["REDIRECT"]
grants = ["authorization_code", "refresh_token", "client_credentials"]
scopes = ["openid", "email", "orders"]
id_token_alg = "PS256"
first_party = true

[[relying_party]]
id = "strict"
name = "Strict"
home = "https://app.example/"
auth = "private_key_jwt"
profile = "fapi2"
jwks = '''JWKS:strict'''
redirect_uris = ["REDIRECT"]
grants = ["authorization_code", "refresh_token"]
scopes = ["openid", "email", "orders"]
first_party = true
`

// scanner is a device without a browser.
const scanner = `
[[relying_party]]
id = "scanner"
name = "Scanner"
home = "https://app.example/"
auth = "none"
grants = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scopes = ["openid", "email", "orders"]
`

// published is a client whose keys stand at an address of its own, and that signs everything.
const published = `
[[relying_party]]
id = "signed"
name = "Signed"
home = "https://app.example/"
auth = "private_key_jwt"
jwks_uri = "KEYS/jwks.json"
require_signed_request = true
dpop_nonce = true
userinfo_signed_response_alg = "PS256"
redirect_uris = ["REDIRECT"]
grants = ["authorization_code", "refresh_token"]
scopes = ["openid", "email"]
first_party = true
`

var jwksMark = regexp.MustCompile(`JWKS:([a-z]+)`)

// realm is the shop's realm for this site: at localhost, without the duties of a first set-up, with clients of every kind
// and the applications of docs/integrate.
func (s *site) realm() (string, error) {
	text := string(realms.Shop)
	for _, r := range []struct{ old, with string }{
		{`host = "shop.localhost"`, "host = \"localhost\"\norigin = \"" + s.Issuer + "\""},
		{"    fresh                                                  # what was enrolled here is shown again before admission\n", ""},
		{"    then     terms, preferences\n", ""},
	} {
		if !strings.Contains(text, r.old) {
			return "", fmt.Errorf("realms/shop.toml has no %q", r.old)
		}
		text = strings.Replace(text, r.old, r.with, 1)
	}
	sum := sha256.Sum256([]byte(s.Secret))
	secret := hex.EncodeToString(sum[:])
	keys, err := s.publish("signed")
	if err != nil {
		return "", err
	}
	certified, err := s.mutuals()
	if err != nil {
		return "", err
	}
	own := strings.NewReplacer("SECRET", secret, "REDIRECT", s.Redirect, "GOODBYE", s.Goodbye, "KEYS", keys).Replace(clients + scanner + published + certified)
	for _, m := range jwksMark.FindAllStringSubmatch(own, -1) {
		public, err := s.makeKey(m[1])
		if err != nil {
			return "", err
		}
		own = strings.Replace(own, m[0], public, 1)
	}
	apps, err := s.applications(secret)
	return text + own + apps, err
}

// makeKey makes the key of a client and returns its JWK set.
func (s *site) makeKey(client string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: client, Algorithm: "ES256", Use: "sig"}
	if s.Key[client], err = json.Marshal(jwk); err != nil {
		return "", err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}})
	return string(set), err
}

// publish serves the keys of a client and returns the origin of its jwks_uri.
func (s *site) publish(client string) (string, error) {
	set, err := s.makeKey(client)
	if err != nil {
		return "", err
	}
	l, err := s.issuer.listen()
	if err != nil {
		return "", err
	}
	s.fronts["jwks"] = &front{listener: l}
	go func() { // ends with its listener
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/jwk-set+json")
			_, _ = w.Write([]byte(set))
		}))
	}()
	return "https://" + l.Addr().String(), nil
}

// guest is somebody with an account and a browser of their own, at a network address of their own: limits per network
// would otherwise see one single stranger. Their way leads over the proxy at 127.0.0.2, that of applications does not.
type guest struct {
	*walker.Client
	mind    *walker.Person
	invited string // the link of their invitation
	t       testing.TB
}

// invites adds somebody who has not been here yet.
func (s *site) invites(t testing.TB) *guest {
	t.Helper()
	n := s.guests.Add(1)
	var answer struct{ Email, Link string }
	if err := s.command(&answer, "user", "invite", "--config", s.config(), "--realm", "shop", "--role", "member", "--organization", "Alder Works",
		"--email", fmt.Sprintf("guest%d@alder.example", n), "--name", fmt.Sprintf("Anna Guest%d", n)); err != nil {
		t.Fatal(err)
	}
	g := &guest{Client: walker.New(s.pool, ""), invited: answer.Link, t: t, mind: &walker.Person{
		Address: answer.Email, Password: "quiet lantern 58 marble", Now: time.Now, Wait: func(until time.Time) { time.Sleep(time.Until(until)) },
	}}
	g.HTTP.Transport.(*http.Transport).DialContext = overProxy
	g.Header.Set("X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", n>>8&255, n&255))
	return g
}

// overProxy dials loopback from the address of the site's proxy, whatever the host.
func overProxy(ctx context.Context, network, asked string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(asked)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// signedIn adds somebody who has set up their account and is signed in.
func (s *site) signedIn(t testing.TB) *guest {
	t.Helper()
	g := s.invites(t)
	page, err := g.Get(g.invited)
	if err == nil {
		_, err = g.mind.Walk(g.Client, page, walker.At("/account"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// forget throws the browser's cookies away: the person is a stranger again.
func (g *guest) forget() {
	jar, err := cookiejar.New(nil)
	if err != nil { // documented never to happen without a public suffix list
		panic(err)
	}
	g.HTTP.Jar = jar
}

// leaves walks from an address until the browser is sent to another one, which is returned and not opened.
func (g *guest) leaves(address, to string) (string, error) {
	g.HTTP.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), to) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { g.HTTP.CheckRedirect = nil }()
	sent := func(p *walker.Page) bool { return strings.HasPrefix(p.Header.Get("Location"), to) }
	page, err := g.Get(address)
	if err == nil {
		page, err = g.mind.Walk(g.Client, page, sent)
	}
	if err != nil {
		return "", err
	}
	return page.Header.Get("Location"), nil
}
