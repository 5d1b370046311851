package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Rules of sending (SEC N-6):
//   - Either TLS from the first byte, or STARTTLS, and then without it nothing goes out: not the mail, not the address,
//     not a password. Whoever strips STARTTLS from the greeting gets no mail.
//   - The server's certificate is verified. There is no switch against that.
//   - Clear text only to this machine itself, when the configuration says so, and never with a password.
//   - A whole delivery has one time limit, so that a server that is slow or silent holds nothing up.

// TLS modes of SMTPConfig.
const (
	StartTLS = "starttls" // submission, port 587
	Implicit = "implicit" // submissions, port 465
	Clear    = "none"     // to loopback only
)

// SMTPConfig is the mail server as configured.
type SMTPConfig struct {
	Host     string      `toml:"host"`
	Port     int         `toml:"port"` // 587, or 465 with implicit TLS, when zero
	TLS      string      `toml:"tls"`  // starttls (default), implicit, none
	User     string      `toml:"user"`
	Password secret.Text `toml:"password"`
	CAFile   string      `toml:"ca_file"` // PEM; the system's roots when empty
	Helo     string      `toml:"helo"`    // our name; "localhost" when empty
	Seconds  int         `toml:"timeout_seconds"`
}

// SMTP sends over one connection per mail. It is safe for concurrent use.
type SMTP struct {
	c       SMTPConfig
	tls     *tls.Config
	timeout time.Duration
}

// NewSMTP checks the configuration: fault.Invalid "smtp-config" with Args "key" and "why".
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	bad := func(key, why string) error { return fault.New(fault.Invalid, "smtp-config", "key", key, "why", why) }
	if c.TLS == "" {
		c.TLS = StartTLS
	}
	if c.Port == 0 {
		c.Port = map[string]int{StartTLS: 587, Implicit: 465, Clear: 25}[c.TLS]
	}
	if c.Helo == "" {
		c.Helo = "localhost"
	}
	if c.Seconds == 0 {
		c.Seconds = int(Within / time.Second)
	}
	s := &SMTP{c: c, timeout: time.Duration(c.Seconds) * time.Second}
	switch {
	case c.Host == "":
		return nil, bad("host", "it is missing")
	case c.TLS != StartTLS && c.TLS != Implicit && c.TLS != Clear:
		return nil, bad("tls", "it must be starttls, implicit or none")
	case c.Port < 1 || c.Port > 65535:
		return nil, bad("port", "it is none")
	case c.Seconds < 1 || c.Seconds > 300:
		return nil, bad("timeout_seconds", "it must be 1 to 300")
	case strings.ContainsAny(c.Helo, " \t\r\n"):
		return nil, bad("helo", "it is no host name")
	case c.TLS == Clear && !loopbackName(c.Host):
		return nil, bad("tls", "without TLS mail goes to this machine only")
	case c.TLS == Clear && c.User != "":
		return nil, bad("user", "without TLS there is no password to send")
	}
	s.tls = &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, bad("ca_file", "it cannot be read")
		}
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, bad("ca_file", "it holds no certificate")
		}
	}
	return s, nil
}

func loopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// Limit is how long one delivery may take, for Worker.Within.
func (s *SMTP) Limit() time.Duration { return s.timeout }

// Send implements Sender.
func (s *SMTP) Send(ctx context.Context, c Composed) error {
	data, err := c.Bytes()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(s.c.Host, strconv.Itoa(s.c.Port)))
	if err != nil {
		return &Refused{Stage: "connect", Text: err.Error()}
	}
	defer conn.Close()
	// Closing under the reader is what ends a silent server's hold, at the limit and when the program stops.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	err = s.deliver(ctx, conn, c, data)
	var refused *Refused
	if ctx.Err() != nil && errors.As(err, &refused) && refused.Code == 0 {
		refused.Text = "no answer in time"
	}
	return err
}

func (s *SMTP) deliver(ctx context.Context, conn net.Conn, c Composed, data []byte) error {
	if s.c.TLS == Clear {
		if a, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() { // "localhost" can be made to lead elsewhere
			return &Refused{Stage: "tls", Text: "the server is another machine, and TLS is off"}
		}
	}
	if s.c.TLS == Implicit {
		t := tls.Client(conn, s.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			return refusal("tls", err)
		}
		conn = t
	}
	hop, err := smtp.NewClient(conn, s.c.Host)
	if err != nil {
		return refusal("connect", err)
	}
	if err := hop.Hello(s.c.Helo); err != nil {
		return refusal("connect", err)
	}
	if s.c.TLS == StartTLS {
		if ok, _ := hop.Extension("STARTTLS"); !ok {
			return &Refused{Stage: "tls", Text: "the server offers no STARTTLS"}
		}
		if err := hop.StartTLS(s.tls.Clone()); err != nil {
			return refusal("tls", err)
		}
	}
	if s.c.User != "" {
		if err := s.authenticate(hop); err != nil {
			return err
		}
	}
	if err := hop.Mail("<" + c.From + ">"); err != nil {
		return refusal("from", err)
	}
	if err := hop.Rcpt("<" + c.To + ">"); err != nil {
		return refusal("to", err)
	}
	body, err := hop.Data()
	if err != nil {
		return refusal("data", err)
	}
	if _, err := body.Write(data); err != nil {
		return refusal("data", err)
	}
	if err := body.Close(); err != nil {
		return refusal("data", err)
	}
	// The server has taken it. What becomes of the good-bye changes nothing, and an error here would send it twice.
	_ = hop.Quit()
	return nil
}

// authenticate picks the strongest mechanism that both sides know; all of them run inside TLS here.
func (s *SMTP) authenticate(hop *smtp.Client) error {
	_, offered := hop.Extension("AUTH")
	user, password := s.c.User, s.c.Password.Reveal()
	for _, m := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(user, password)},
		{"PLAIN", smtp.PlainAuth("", user, password, s.c.Host, false)},
		{"LOGIN", smtp.LoginAuth(user, password, s.c.Host, false)},
	} {
		for _, have := range strings.Fields(offered) {
			if strings.EqualFold(have, m.name) {
				if err := hop.Auth(m.auth); err != nil {
					return refusal("auth", err)
				}
				return nil
			}
		}
	}
	return &Refused{Stage: "auth", Text: "the server offers no way to log in that we know"}
}

func refusal(stage string, err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return &Refused{Stage: stage, Code: answer.Code, Text: answer.Msg}
	}
	return &Refused{Stage: stage, Text: fmt.Sprint(err)}
}
