package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"doorward/internal/rig/walker"
	"doorward/internal/testdb"
)

// hop is a mail server that can be silent, gone or well.
type hop struct {
	t    *testing.T
	port int

	mu     sync.Mutex
	silent []net.Conn // accepted, and never spoken to
	asked  int
	letter map[string]string // by address
	end    func()
}

// NewSession implements smtp.Backend.
func (h *hop) NewSession(*smtp.Conn) (smtp.Session, error) { return &delivery{h: h}, nil }

type delivery struct {
	h  *hop
	to string
}

func (d *delivery) Reset()                                    {}
func (d *delivery) Logout() error                             { return nil }
func (d *delivery) Mail(string, *smtp.MailOptions) error      { return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error { d.to = to; return nil }
func (d *delivery) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	d.h.letter[d.to] += string(text)
	return err
}

func (h *hop) listen() net.Listener {
	h.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)))
	if err != nil {
		h.t.Fatal(err)
	}
	h.port = l.Addr().(*net.TCPAddr).Port
	return l
}

// hang takes connections and says nothing.
func (h *hop) hang() {
	l := h.listen()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.silent = append(h.silent, c)
			h.asked++
			h.mu.Unlock()
		}
	}()
	h.end = func() { _ = l.Close() }
}

// gone refuses connections, and cuts those that hang.
func (h *hop) gone() {
	h.end()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.silent {
		_ = c.Close()
	}
}

// well takes mail.
func (h *hop) well() {
	s := smtp.NewServer(h)
	s.Domain = "localhost"
	l := h.listen()
	go func() { _ = s.Serve(l) }()
	h.end = func() { _ = s.Close() }
}

func (h *hop) connections() int        { h.mu.Lock(); defer h.mu.Unlock(); return h.asked }
func (h *hop) mailTo(to string) string { h.mu.Lock(); defer h.mu.Unlock(); return h.letter[to] }

// eventually looks again until ok says so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// A mail server that hangs, and then is gone, never delays a page: set-ups and invitations go on while the only worker is
// held by the silent server, whose time limit is longer than the browser's. What waits shows in the console, and goes
// out once the server is back.
func TestREQ_B16_SEC_D4_ADeadMailServerDelaysNoPage(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		h := &hop{t: t, letter: map[string]string{}}
		h.hang()
		s := newSite(t, dsn, "DOORWARD_MAIL_SMTP_HOST=127.0.0.1", "DOORWARD_MAIL_SMTP_TLS=none", "DOORWARD_MAIL_SMTP_TIMEOUT_SECONDS=300",
			"DOORWARD_MAIL_SMTP_PORT="+strconv.Itoa(h.port))
		n := s.start()
		s.do("user", "invite", "--realm", "shop", "--role", "member", "--organization", "Alder Joinery", "--name", "First", "--email", "first@alder.example")
		eventually(t, "the worker to be held", func() bool { return h.connections() > 0 })

		eva, c := n.join("owner", "Eva Lang", "eva@northline.example")
		page, err := c.Get("https://" + shopHost + "/console/people/invite")
		s.must(err)
		f := page.Form()
		for field, value := range map[string]string{"email": "late@alder.example", "name": "Lea Late", "role": "member"} {
			if !f.Fill(field, value) {
				t.Fatalf("no field %s", field)
			}
		}
		if page, err = c.Submit(f); err != nil || page.Status != http.StatusOK || page.Text("error-summary") != "" {
			t.Fatalf("invite while the mail server hangs: %v %d %s", err, page.Status, page.Text("error-summary"))
		}
		// The console says so once it is worth saying.
		const warning = "Mails are not getting out"
		people := func() string {
			page, err := c.Get("https://" + shopHost + "/console/people")
			s.must(err)
			return page.Main()
		}
		if !strings.Contains(people(), "late@alder.example") || strings.Contains(people(), warning) {
			t.Errorf("a mail of this minute is no trouble: %s", people())
		}
		s.advance(11 * time.Minute)
		if text := people(); !strings.Contains(text, warning) {
			t.Errorf("nobody is told that mail waits: %s", text)
		}
		h.gone()
		if h.connections() != 1 {
			t.Errorf("%d connections: a page has dialled, or a worker did not wait for its hop", h.connections())
		}
		c = n.signIn(eva) // with nobody listening at all
		h.well()
		s.advance(5 * time.Minute)
		eventually(t, "the mail", func() bool {
			return strings.Contains(h.mailTo("late@alder.example"), "https://"+shopHost+"/link/set-up/")
		})
		eventually(t, "the other mail", func() bool { return h.mailTo("first@alder.example") != "" })
		eventually(t, "the warning to go", func() bool { return !strings.Contains(people(), warning) })
		n.stop()
		h.end()
	})
}

// With the hashing pool full a sign-in is answered 503 with Retry-After and the address stays; who is in goes on.
func TestSEC_K4_BeyondTheQueueTheRestGoesOn(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := newSite(t, dsn, "DOORWARD_PASSWORDS_WORKERS=1", "DOORWARD_PASSWORDS_QUEUE=1")
		n := s.start()
		_, inside := n.join("member", "Jonas Weber", "jonas@alder.example")
		const crowd = 8
		forms, browsers := make([]*walker.Form, crowd), make([]*walker.Client, crowd)
		for i := range crowd {
			browsers[i] = n.browser()
			page, err := browsers[i].Get("https://" + shopHost + "/signin")
			s.must(err)
			f := page.Form()
			f.Fill("username", "nobody"+strconv.Itoa(i)+"@alder.example") // a stranger's password costs a hash too
			page, err = browsers[i].Submit(f)
			s.must(err)
			if forms[i] = page.Form(); forms[i] == nil || !forms[i].Fill("current-password", "wrong, but long enough") {
				t.Fatalf("no password asked at %s: %s", page.URL, page.Main())
			}
		}
		// Whether two hashes meet is up to the machine; all at once, again and again, they do.
		busy := 0
		for round := 0; busy == 0 && round < 5; round++ {
			pages := make([]*walker.Page, crowd)
			errs := make([]error, crowd)
			var all sync.WaitGroup
			for i := range crowd {
				all.Go(func() { pages[i], errs[i] = browsers[i].Submit(forms[i]) })
			}
			if !n.inside(inside) {
				t.Error("somebody who is in was sent out")
			}
			all.Wait()
			for i, page := range pages {
				s.must(errs[i])
				if page.Status != http.StatusServiceUnavailable {
					continue
				}
				busy++
				again := page.Form()
				if wait, err := strconv.Atoi(page.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
					t.Errorf("Retry-After %q", page.Header.Get("Retry-After"))
				}
				if again == nil || !again.Asks("current-password") || again.Values.Get("username") != "nobody"+strconv.Itoa(i)+"@alder.example" {
					t.Errorf("the form is not the same: %s", page.Main())
				}
				if page.Text("error-summary") == "" {
					t.Error("nothing says why")
				}
			}
		}
		if busy == 0 {
			t.Error("the pool was never full: nothing was proven")
		}
		n.stop()
	})
}

// A ring that is not the database's, that others may read or that is gone stops a start, in words, and changes nothing.
func TestSEC_X3_AStartNeedsTheRightRing(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := newSite(t, dsn)
		ring := s.path("keyring")
		right, err := os.ReadFile(ring)
		s.must(err)
		other := t.TempDir()
		do(t, nil, "init", "--dir", other)
		wrong, err := os.ReadFile(filepath.Join(other, "keyring"))
		s.must(err)
		put := func(text []byte, mode os.FileMode) func() {
			return func() {
				_ = os.Remove(ring)
				s.must(os.WriteFile(ring, text, mode))
				s.must(os.Chmod(ring, mode))
			}
		}
		for _, c := range []struct {
			name   string
			change func()
			says   string
		}{
			{"another ring", put(wrong, 0o600), "key ring"},
			{"cut off", put(right[:len(right)/2], 0o600), "key ring"},
			{"readable", put(right, 0o640), "chmod 600"},
			{"gone", func() { s.must(os.Remove(ring)) }, "keyring"},
		} {
			c.change()
			for _, command := range [][]string{{"serve"}, {"user", "list", "--realm", "shop"}, {"apply", filepath.Join("..", "..", "realms", "wealth.toml")}} {
				code, out, errs := s.try(command...)
				if code != failed || out != "" || !strings.Contains(errs, c.says) || strings.Count(errs, "\n") != 1 {
					t.Errorf("%s, %s: %d %q %q", c.name, command[0], code, out, errs)
				}
			}
		}
		put(right, 0o600)()
		if out := s.do("user", "list", "--realm", "shop"); strings.Contains(out, "@") {
			t.Errorf("who is that: %s", out)
		}
		if code, _, errs := s.try("user", "list", "--realm", "wealth"); code != failed || !strings.Contains(errs, "no realm") {
			t.Errorf("a refused start has applied a realm: %d %s", code, errs)
		}
	})
}
