package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"doorward/internal/apply"
	"doorward/internal/authn"
	"doorward/internal/server"
	"doorward/internal/sqlstore"
)

type doctorCommand struct{}

// finding is the result of one look.
type finding struct {
	Look string `json:"look"`
	OK   bool   `json:"ok"`
	Say  string `json:"say,omitempty"`
}

// Run looks at everything this node needs and says what to do. It fails when something is missing.
func (doctorCommand) Run(c *call) error {
	var found []finding
	look := func(name string, err error) bool {
		f := finding{Look: name, OK: err == nil}
		if err != nil {
			f.Say = oneLine(words(err))
			c.say("MISSING  %-14s %s", name, f.Say)
		} else {
			c.say("ok       %s", name)
		}
		found = append(found, f)
		return err == nil
	}
	conf, err := readConfig(c.Config, c.environ)
	if look("configuration", err) {
		c.examine(conf, look)
	}
	if err := c.print(found); err != nil {
		return err
	}
	for _, f := range found {
		if !f.OK {
			return errSaid
		}
	}
	return nil
}

func (c *call) examine(conf config, look func(string, error) bool) {
	g, err := openGround(c.ctx, conf, c.clock, c.logger(logging{Level: "error", Format: "text"}))
	if !look("database, keys", err) {
		return
	}
	defer g.Close()
	look("clock", server.CheckClock(c.clock, g.store.Clock).Run(c.ctx))
	cache, err := apply.NewCache(c.ctx, sqlstore.For[apply.CacheTx](g.store), g.log)
	if err == nil && len(cache.All()) == 0 {
		err = errors.New("no realm yet: doorward apply realm.toml")
	}
	realms := look("realms", err)
	certs, err := g.certificates()
	if look("certificates", err) && certs != nil && realms {
		for _, r := range cache.All() {
			look("certificate of "+r.Host, covers(certs, r.Host, c.clock()))
			hosts := []string{r.MTLSHost()}
			if full, err := cache.Realm(r.ID); err == nil && full.Policies.Asks(authn.Cert) {
				hosts = append(hosts, r.CertHosts()...)
			}
			for _, host := range hosts {
				if host != "" {
					look("certificate of "+host, covers(certs, host, c.clock()))
				}
			}
		}
	}
	if realms && len(conf.Server.Proxies) > 0 && conf.Server.CertHeader == "" {
		for _, r := range cache.All() {
			host := r.MTLSHost()
			if full, err := cache.Realm(r.ID); err == nil && full.Policies.Asks(authn.Cert) {
				host = r.CertHosts()[0]
			}
			if host != "" {
				look("certificates shown at "+host, errors.New("behind a proxy they come in a header: server.certificate_header is missing"))
			}
		}
	}
	if realms {
		authorities := g.certificateAuthorities(cache)
		for _, r := range cache.All() {
			for name, err := range authorities.Examine(c.ctx, r.ID) {
				look(name+" of "+r.ID, err)
			}
		}
	}
	look("mail", g.mailAnswers(c.ctx))
	_, err = blocklist(conf.Passwords.List)
	look("passwords", err)
	if conf.Audit.Anchor == "" {
		err = errors.New("without audit.anchor nobody can tell whether the end of the trail was cut off")
	} else {
		_, err = os.Stat(filepath.Dir(conf.Audit.Anchor))
	}
	look("audit anchor", err)
}

// covers says whether there is a certificate for the host that is valid for two more weeks.
func covers(certs *server.Certificates, host string, now time.Time) error {
	cert, err := certs.For(&tls.ClientHelloInfo{
		ServerName: host, SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{
			tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.PSSWithSHA256, tls.PSSWithSHA384, tls.Ed25519,
		},
	})
	if err != nil {
		return err
	}
	if err := cert.Leaf.VerifyHostname(host); err != nil {
		return errors.New("no certificate covers " + host)
	}
	if now.AddDate(0, 0, 14).After(cert.Leaf.NotAfter) {
		return errors.New("the certificate of " + host + " ends on " + cert.Leaf.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// mailAnswers opens a connection to the mail server and closes it; nothing is sent.
func (g *ground) mailAnswers(ctx context.Context) error {
	if _, err := g.sender(); err != nil || g.conf.Mail.Directory != "" {
		return err
	}
	smtp := g.conf.Mail.SMTP
	port := smtp.Port
	if port == 0 {
		port = map[string]int{"": 587, "starttls": 587, "implicit": 465, "none": 25}[smtp.TLS]
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(smtp.Host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}
