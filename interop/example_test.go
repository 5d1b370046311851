package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/rig/walker"
)

// example is an application of docs/integrate, running.
type example struct {
	*site
	t   *testing.T
	url string // its home
	id  string // client_id
}

// start runs an application until the test ends, and waits until it answers.
func (s *site) start(t *testing.T, name, id string, cmd *exec.Cmd, env ...string) *example {
	t.Helper()
	f := s.fronts[name]
	if f == nil {
		t.Fatalf("docs/integrate/%s has no realm.toml", name)
	}
	if err := f.held.Close(); err != nil {
		t.Fatal(err)
	}
	said := new(output)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Env = append(os.Environ(), "ISSUER="+s.Issuer, "CLIENT_ID="+id, "CLIENT_SECRET="+s.Secret, "BASE_URL="+f.URL, "PORT="+f.Port,
		"NODE_EXTRA_CA_CERTS="+s.ca, "SSL_CERT_FILE="+s.ca)
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if t.Failed() {
			t.Logf("%s said:\n%s", name, tail(said.String(), 4000))
		}
	})
	e := &example{s, t, f.URL + "/", id}
	c := walker.New(s.pool, "").HTTP
	if err := s.wait(name, func() bool {
		select {
		case <-done:
			t.Fatalf("%s ended: %s", name, said)
		default:
		}
		res, err := c.Get(e.url)
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	}); err != nil {
		t.Fatal(err)
	}
	return e
}

// home is the application's page as a browser sees it now.
func (e *example) home(g *guest) *walker.Page {
	e.t.Helper()
	page, err := g.Get(e.url)
	if err != nil || page.Status != http.StatusOK {
		e.t.Fatalf("%v: %v", err, page)
	}
	return page
}

// knows reports whether the application says who is signed in.
func (e *example) knows(g *guest) bool { return e.home(g).Text("email") == g.mind.Address }

// signIn follows the link of the application and answers whatever Doorward asks.
func (e *example) signIn(g *guest) {
	e.t.Helper()
	page, err := g.Get(e.home(g).Link("Sign in"))
	if err == nil {
		page, err = g.mind.Walk(g.Client, page, func(p *walker.Page) bool { return p.URL.String() == e.url })
	}
	if err != nil {
		e.t.Fatal(err)
	}
	if page.Text("email") != g.mind.Address {
		e.t.Fatalf("signed in, and the page says %q", page.Main())
	}
}

// begin follows the link, and returns where it leads without going there.
func (e *example) begin(g *guest) *url.URL {
	e.t.Helper()
	to, err := g.leaves(e.home(g).Link("Sign in"), e.Issuer)
	if err != nil {
		e.t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		e.t.Fatal(err)
	}
	return u
}

// answers lets Doorward answer a request, and returns the answer before the application has it.
func (e *example) answers(g *guest, request *url.URL) *url.URL {
	e.t.Helper()
	to, err := g.leaves(request.String(), e.url+"callback")
	if err != nil {
		e.t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		e.t.Fatal(err)
	}
	return u
}

func with(u *url.URL, name, value string) *url.URL {
	v := *u
	q := v.Query()
	q.Set(name, value)
	v.RawQuery = q.Encode()
	return &v
}

// tellsLies hands the application answers that it must refuse.
func (e *example) tellsLies(g *guest) {
	e.t.Helper()
	refused := func(what string, answer *url.URL) {
		e.t.Helper()
		page, err := g.Get(answer.String())
		if err != nil || page.Status < http.StatusBadRequest || e.knows(g) {
			e.t.Errorf("%s: %v, status %d, signed in: %v", what, err, page.Status, e.knows(g))
		}
	}
	refused("another state", with(e.answers(g, e.begin(g)), "state", "another"))
	refused("another issuer", with(e.answers(g, e.begin(g)), "iss", "https://elsewhere.example"))
	refused("another code", with(e.answers(g, e.begin(g)), "code", "another"))
	refused("another nonce", e.answers(g, with(e.begin(g), "nonce", "another")))
	refused("another verifier", e.answers(g, with(e.begin(g), "code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")))
	refused("an error", with(e.answers(g, e.begin(g)), "error", "access_denied"))
	true1 := e.answers(g, e.begin(g))
	other := walker.New(e.pool, "")
	page, err := other.Get(true1.String())
	if err != nil || page.Status < http.StatusBadRequest {
		e.t.Errorf("an answer in another browser: %v, status %d", err, page.Status)
	}
}

// signOut presses the button of the application. It returns the ID token that the browser carried to Doorward.
func (e *example) signOut(g *guest, arrive bool) (idToken string) {
	e.t.Helper()
	form := e.home(g).FormTo("/signout")
	if form == nil {
		e.t.Fatalf("no button to sign out: %s", e.home(g).Main())
	}
	g.HTTP.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), e.Issuer) {
			idToken = r.URL.Query().Get("id_token_hint")
			if !arrive {
				return http.ErrUseLastResponse
			}
		}
		return nil
	}
	defer func() { g.HTTP.CheckRedirect = nil }()
	page, err := g.Submit(form)
	if err != nil || arrive && page.URL.String() != e.url {
		e.t.Fatalf("%v: at %s", err, page.URL)
	}
	if e.home(g).Text("email") != "" || idToken == "" {
		e.t.Fatalf("signed out with the hint %q, and still %q", idToken, e.home(g).Main())
	}
	return idToken
}

// stranger reports whether Doorward asks for a sign-in again.
func (e *example) stranger(g *guest) bool {
	e.t.Helper()
	page, err := g.Get(e.home(g).Link("Sign in"))
	if err != nil {
		e.t.Fatal(err)
	}
	return page.Form() != nil && page.Form().Asks("username")
}

// forge makes log-out tokens that are none, each about the session of an ID token.
func (e *example) forge(idToken string) map[string]string {
	e.t.Helper()
	signed, err := jose.ParseSignedCompact(idToken, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		e.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims); err != nil {
		e.t.Fatal(err)
	}
	claims["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	claims["jti"] = "1"
	delete(claims, "nonce")
	payload, err := json.Marshal(claims)
	if err != nil {
		e.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		e.t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: signed.Signatures[0].Protected.KeyID}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jwk}, (&jose.SignerOptions{}).WithType("logout+jwt"))
	if err != nil {
		e.t.Fatal(err)
	}
	own, err := signer.Sign(payload)
	if err != nil {
		e.t.Fatal(err)
	}
	compact, err := own.CompactSerialize()
	if err != nil {
		e.t.Fatal(err)
	}
	parts := strings.Split(compact, ".")
	return map[string]string{
		"an ID token": idToken, "another's signature": compact, "no signature": parts[0] + "." + parts[1] + ".",
		"alg none": "eyJhbGciOiJub25lIiwidHlwIjoibG9nb3V0K2p3dCJ9." + parts[1] + ".", "nothing": "", "noise": "a.b.c",
	}
}

// tellsLogout posts what is no log-out token to the application, which must refuse it and go on.
func (e *example) tellsLogout(g *guest, at string, forged map[string]string) {
	e.t.Helper()
	for what, token := range forged {
		res, err := g.HTTP.PostForm(e.url+at, url.Values{"logout_token": {token}})
		if err != nil {
			e.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode < http.StatusBadRequest {
			e.t.Errorf("%s as a log-out token: status %d", what, res.StatusCode)
		}
	}
}

// leavesDoorward signs out in the person's account.
func (s *site) leavesDoorward(t *testing.T, g *guest) {
	t.Helper()
	page, err := g.Get(s.Issuer + "/signout")
	if err == nil {
		_, err = g.Submit(page.FormTo("/signout"))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tour is everything an application must do, whatever it is written in.
func (e *example) tour() {
	g := e.signedIn(e.t)
	if e.home(g).Text("email") != "" {
		e.t.Fatal("knows somebody who never came")
	}
	e.tellsLies(g)
	e.signIn(g)

	idToken := e.signOut(g, false) // Doorward does not hear of it: its session lives
	e.signIn(g)
	e.tellsLogout(g, "backchannel-logout", e.forge(idToken))
	if !e.knows(g) {
		e.t.Error("a forged log-out token ends the session")
	}
	bystander := e.signedIn(e.t)
	e.signIn(bystander)
	e.signOut(g, true)
	if !e.stranger(g) {
		e.t.Error("signed out at the application, and still signed in at Doorward")
	}

	e.leavesDoorward(e.t, bystander)
	if err := e.wait("back-channel log-out", func() bool { return !e.knows(bystander) }); err != nil {
		e.t.Fatal(err)
	}
}

// absolute is a path below the project.
func absolute(t *testing.T, path ...string) string {
	t.Helper()
	p, err := filepath.Abs(filepath.Join(append([]string{".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func copyTo(t *testing.T, dir string, path ...string) string {
	t.Helper()
	src, err := os.ReadFile(absolute(t, path...))
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, path[len(path)-1])
	if err := os.WriteFile(to, src, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestREQ_B70_TheExampleInGo(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "orders")
	if out, err := exec.Command("go", "build", "-o", bin, "../docs/integrate/go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	open(t).start(t, "go", "orders", exec.Command(bin)).tour()
}

func TestREQ_B70_TheExampleInNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app := copyTo(t, dir, "docs", "integrate", "node", "app.mjs")
	if err := os.Symlink(absolute(t, "interop", "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	open(t).start(t, "node", "booking", exec.Command("node", app)).tour()
}

func TestREQ_B70_TheExampleInPHP(t *testing.T) {
	t.Parallel()
	s, dir := open(t), t.TempDir()
	cmd := exec.Command("php", "-d", "curl.cainfo="+s.ca, "-d", "session.save_path="+dir, "-S", "127.0.0.1:"+s.fronts["php"].Port, absolute(t, "docs", "integrate", "php", "index.php"))
	s.start(t, "php", "catalog", cmd, "STATE_DIR="+dir).tour()
}

func TestREQ_B70_TheExampleInJava(t *testing.T) {
	t.Parallel()
	s := open(t)
	store := filepath.Join(t.TempDir(), "trust.p12")
	if out, err := exec.Command("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", s.ca, "-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command("java", "-Djavax.net.ssl.trustStore="+store, "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", "/usr/share/java/gson.jar",
		absolute(t, "docs", "integrate", "java", "App.java"))
	s.start(t, "java", "invoices", cmd).tour()
}
