package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"doorward/internal/fault"
)

// hop is a mail server of another make, in this process.
type hop struct {
	port int
	ca   string

	mu     sync.Mutex
	mails  [][]byte
	to     []string
	users  []string
	rcpt   error
	data   error
	onRcpt func()
}

func (h *hop) NewSession(c *smtp.Conn) (smtp.Session, error) { return &hopSession{h: h}, nil }

type hopSession struct {
	h    *hop
	to   string
	user string
}

func (s *hopSession) Reset()                               {}
func (s *hopSession) Logout() error                        { return nil }
func (s *hopSession) AuthMechanisms() []string             { return []string{sasl.Plain} }
func (s *hopSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *hopSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.h.onRcpt != nil {
		s.h.onRcpt()
	}
	s.to = to
	return s.h.rcpt
}

func (s *hopSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "doorward" || password != "relay-password" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *hopSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.h.data == nil {
		s.h.mails, s.h.to, s.h.users = append(s.h.mails, data), append(s.h.to, s.to), append(s.h.users, s.user)
	}
	return s.h.data
}

// certificate makes a CA and a certificate of localhost under it; the CA's file is in dir.
func certificate(t testing.TB, dir string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true,
		BasicConstraintsValid: true, DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// newHop starts the server; mode is that of SMTPConfig.
func newHop(t testing.TB, mode string) *hop {
	t.Helper()
	cert, ca := certificate(t, t.TempDir())
	h := &hop{ca: ca}
	s := smtp.NewServer(h)
	s.Domain = "localhost"
	s.ErrorLog = quiet{}
	if mode != Clear {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.port = l.Addr().(*net.TCPAddr).Port
	if mode == Implicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return h
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (h *hop) config(mode string) SMTPConfig {
	c := SMTPConfig{Host: "localhost", Port: h.port, TLS: mode, CAFile: h.ca, User: "doorward", Password: "relay-password"}
	if mode == Clear {
		c.CAFile, c.User = "", ""
	}
	return c
}

func sender(t testing.TB, c SMTPConfig) *SMTP {
	t.Helper()
	s, err := NewSMTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sample(t testing.TB) Composed { return compose(t, shop, ada, message(shop, "invitation", "de")) }

func TestSMTPDelivers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, mode := range []string{StartTLS, Implicit, Clear} {
		t.Run(mode, func(t *testing.T) {
			h := newHop(t, mode)
			c := sample(t)
			if err := sender(t, h.config(mode)).Send(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			want, err := c.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if len(h.mails) != 1 || !bytes.Equal(bytes.TrimSpace(h.mails[0]), bytes.TrimSpace(want)) || h.to[0] != c.To {
				t.Fatalf("%d mails to %v\n%s", len(h.mails), h.to, h.mails)
			}
			if user := h.users[0]; (mode != Clear) != (user == "doorward") {
				t.Errorf("user %q", user)
			}
			if _, text, _ := parts(t, h.mails[0]); text != crlf(c.Text) && text != c.Text {
				t.Error("the text changed on its way")
			}
		})
	}
}

// script is a server that says what it is told, and keeps all it hears.
func script(t testing.TB, say func(w io.Writer, r *bufio.Reader)) (port int, heard *bytes.Buffer, wait func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard = &bytes.Buffer{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(io.TeeReader(conn, heard))
		say(conn, r)
		_, _ = io.Copy(io.Discard, r) // until the client hangs up
	}()
	wait = func() { l.Close(); <-done }
	t.Cleanup(wait)
	return l.Addr().(*net.TCPAddr).Port, heard, wait
}

func TestSEC_N6_AStrippedSTARTTLSSendsNothing(t *testing.T) {
	_, ca := certificate(t, t.TempDir())
	for name, greeting := range map[string]string{
		"not offered": "250-localhost\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n", "nothing offered": "250 localhost\r\n",
		"offered under another name": "250-localhost\r\n250 XSTARTTLS\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			port, heard, wait := script(t, func(w io.Writer, r *bufio.Reader) {
				fmt.Fprint(w, "220 localhost ESMTP\r\n")
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					if strings.HasPrefix(line, "EHLO") {
						fmt.Fprint(w, greeting)
					} else {
						fmt.Fprint(w, "250 ok\r\n")
					}
				}
			})
			c := SMTPConfig{Host: "localhost", Port: port, CAFile: ca, User: "doorward", Password: "relay-password"}
			err := sender(t, c).Send(t.Context(), sample(t))
			wait()
			expectNothing(t, err, heard.String())
		})
	}
	t.Run("refused", func(t *testing.T) {
		port, heard, wait := script(t, func(w io.Writer, r *bufio.Reader) {
			fmt.Fprint(w, "220 localhost ESMTP\r\n")
			line(r)
			fmt.Fprint(w, "250-localhost\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
			line(r)
			fmt.Fprint(w, "454 not now\r\n")
		})
		err := sender(t, SMTPConfig{Host: "localhost", Port: port, CAFile: ca, User: "doorward", Password: "relay-password"}).Send(t.Context(), sample(t))
		wait()
		expectNothing(t, err, heard.String())
	})
	t.Run("answered in clear text", func(t *testing.T) {
		port, heard, wait := script(t, func(w io.Writer, r *bufio.Reader) {
			fmt.Fprint(w, "220 localhost ESMTP\r\n")
			line(r)
			fmt.Fprint(w, "250-localhost\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
			line(r)
			fmt.Fprint(w, "220 go\r\n250-localhost\r\n250 AUTH PLAIN\r\n235 welcome\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n") // as if TLS were there
		})
		s := sender(t, SMTPConfig{Host: "localhost", Port: port, CAFile: ca, User: "doorward", Password: "relay-password"})
		s.timeout = 200 * time.Millisecond
		err := s.Send(t.Context(), sample(t))
		wait()
		expectNothing(t, err, heard.String())
	})
}

func line(r *bufio.Reader) { _, _ = r.ReadString('\n') }

func expectNothing(t *testing.T, err error, heard string) {
	t.Helper()
	var refused *Refused
	if !errors.As(err, &refused) || refused.Stage != "tls" || refused.Permanent() || !refused.General() {
		t.Errorf("%v", err)
	}
	if heard == "" {
		t.Error("the server heard nothing, so the test proves nothing")
	}
	for _, secret := range []string{"MAIL", "RCPT", "DATA", "AUTH", "customer.example", "relay-password", "link/"} {
		if strings.Contains(heard, secret) {
			t.Errorf("%q went out without TLS:\n%s", secret, heard)
		}
	}
}

func TestSEC_N6_TheServersCertificateIsVerified(t *testing.T) {
	_, foreign := certificate(t, t.TempDir())
	for _, mode := range []string{StartTLS, Implicit} {
		for name, change := range map[string]func(c *SMTPConfig){
			"another CA": func(c *SMTPConfig) { c.CAFile = foreign }, "the system's CAs": func(c *SMTPConfig) { c.CAFile = "" },
			"another name": func(c *SMTPConfig) { c.Host = "127.0.0.1" },
		} {
			h := newHop(t, mode)
			c := h.config(mode)
			change(&c)
			err := sender(t, c).Send(t.Context(), sample(t))
			var refused *Refused
			if !errors.As(err, &refused) || refused.Stage != "tls" || len(h.mails) != 0 {
				t.Errorf("%s, %s: %v, %d mails", mode, name, err, len(h.mails))
			}
		}
	}
}

func TestSMTPConfig(t *testing.T) {
	for key, c := range map[string]SMTPConfig{
		"host": {}, "port": {Host: "h", Port: 70000}, "tls": {Host: "h", TLS: "maybe"}, "timeout_seconds": {Host: "h", Seconds: 1000},
		"helo": {Host: "h", Helo: "a b"}, "ca_file": {Host: "h", CAFile: "/nowhere"}, "user": {Host: "localhost", TLS: Clear, User: "u"},
	} {
		_, err := NewSMTP(c)
		if f := fault.As(err); f == nil || f.Code != "smtp-config" || f.Args["key"] != key {
			t.Errorf("%s: %v", key, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewSMTP(SMTPConfig{Host: "h", CAFile: empty}); err == nil {
		t.Error("a file without a certificate")
	}
	for host, ok := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "::1": true, "127.9.9.9": true, "mail.example": false, "192.0.2.1": false, "localhost.example": false,
		"0.0.0.0": false, "127.0.0.1.example": false, "10.0.0.1": false,
	} {
		if _, err := NewSMTP(SMTPConfig{Host: host, TLS: Clear}); (err == nil) != ok {
			t.Errorf("SEC N-6: clear text to %s: %v", host, err)
		}
	}
	for mode, port := range map[string]int{"": 587, StartTLS: 587, Implicit: 465} {
		if s := sender(t, SMTPConfig{Host: "h", TLS: mode}); s.c.Port != port {
			t.Errorf("%q: port %d", mode, s.c.Port)
		}
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	for _, c := range []struct {
		name                       string
		rcpt, data                 error
		user                       string
		stage                      string
		code                       int
		permanent, bounced, global bool
	}{
		{name: "greylisted", rcpt: &smtp.SMTPError{Code: 451, Message: "later"}, stage: "to", code: 451},
		{name: "no such address", rcpt: &smtp.SMTPError{Code: 550, Message: "no such user"}, stage: "to", code: 550, permanent: true, bounced: true},
		{name: "mailbox full", rcpt: &smtp.SMTPError{Code: 552, Message: "full"}, stage: "to", code: 552},
		{name: "content refused", data: &smtp.SMTPError{Code: 554, Message: "spam"}, stage: "data", code: 554, permanent: true},
		{name: "disk full", data: &smtp.SMTPError{Code: 452, Message: "no space"}, stage: "data", code: 452},
		{name: "our password is wrong", user: "somebody", stage: "auth", code: 535, global: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHop(t, StartTLS)
			h.rcpt, h.data = c.rcpt, c.data
			config := h.config(StartTLS)
			if c.user != "" {
				config.User = c.user
			}
			err := sender(t, config).Send(t.Context(), sample(t))
			var refused *Refused
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			if refused.Stage != c.stage || refused.Code != c.code || refused.Permanent() != c.permanent || refused.Bounced() != c.bounced || refused.General() != c.global {
				t.Errorf("%+v", refused)
			}
			if len(h.mails) != 0 || strings.Contains(err.Error(), "relay-password") {
				t.Errorf("%d mails, %v", len(h.mails), err)
			}
		})
	}
}

func TestDeadAndSilentServers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var refused *Refused
	if err := sender(t, SMTPConfig{Host: "127.0.0.1", Port: port}).Send(t.Context(), sample(t)); !errors.As(err, &refused) || refused.Stage != "connect" || refused.Permanent() {
		t.Errorf("dead: %v", err)
	}

	for name, say := range map[string]func(w io.Writer, r *bufio.Reader){
		"no greeting": func(io.Writer, *bufio.Reader) {}, "half a greeting": func(w io.Writer, _ *bufio.Reader) { fmt.Fprint(w, "220 loc") },
		"no answer to EHLO": func(w io.Writer, _ *bufio.Reader) { fmt.Fprint(w, "220 localhost\r\n") },
		"no TLS after STARTTLS": func(w io.Writer, r *bufio.Reader) {
			fmt.Fprint(w, "220 localhost\r\n")
			line(r)
			fmt.Fprint(w, "250-localhost\r\n250 STARTTLS\r\n")
			line(r)
			fmt.Fprint(w, "220 go\r\n")
		},
	} {
		t.Run("limit, "+name, func(t *testing.T) {
			port, _, wait := script(t, say)
			s := sender(t, SMTPConfig{Host: "127.0.0.1", Port: port})
			s.timeout = 50 * time.Millisecond
			var refused *Refused
			if err := s.Send(t.Context(), sample(t)); !errors.As(err, &refused) || refused.Text != "no answer in time" || refused.Permanent() {
				t.Errorf("%v", err)
			}
			wait()
		})
		t.Run("stopped, "+name, func(t *testing.T) {
			said := make(chan struct{})
			port, _, wait := script(t, func(w io.Writer, r *bufio.Reader) { say(w, r); close(said) })
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-said; cancel() }()
			if err := sender(t, SMTPConfig{Host: "127.0.0.1", Port: port}).Send(ctx, sample(t)); err == nil {
				t.Error("sent")
			}
			wait()
		})
	}
}

func TestDirectoryWritesWholeFilesInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	d := &Directory{Path: dir}
	ids := []string{"018f0000-0000-7000-8000-000000000009", "018f0000-0000-7000-8000-000000000001", "018f0000-0000-7000-8000-000000000005"}
	for _, id := range append(ids, ids[1]) { // the last comes again
		c := sample(t)
		c.ID = id
		if err := d.Send(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	files := eml(t, dir)
	if len(files) != 3 {
		t.Fatalf("%v", files)
	}
	for i, name := range files {
		if !strings.HasPrefix(name, fmt.Sprintf("%010d-invitation-%s", i, ids[i])) {
			t.Errorf("%d: %s", i, name)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if h, _, _ := parts(t, data); h.Get("Message-Id") != "<"+ids[i]+"@shop.northline.example>" {
			t.Errorf("%s: %v", name, h)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}

	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			c := sample(t)
			c.ID = fmt.Sprintf("018f0000-0000-7000-9000-%012d", i)
			if err := d.Send(context.Background(), c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, name := range eml(t, dir) {
		if !strings.HasPrefix(name, fmt.Sprintf("%010d-", i)) {
			t.Errorf("%d: %s", i, name)
		}
	}
	if n := len(eml(t, dir)); n != 67 {
		t.Errorf("%d files", n)
	}
	again := &Directory{Path: dir} // the next start
	c := sample(t)
	c.ID = "018f0000-0000-7000-a000-000000000000"
	if err := again.Send(t.Context(), c); err != nil || !strings.HasPrefix(eml(t, dir)[67], "0000000067-") {
		t.Errorf("%v", err)
	}
	bad := sample(t)
	bad.ID = "../x"
	if err := d.Send(t.Context(), bad); err == nil {
		t.Error("a name that leads out of the directory")
	}
}

func eml(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name()) // a file left half-written would show here
	}
	return names
}
