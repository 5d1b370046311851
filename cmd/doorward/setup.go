package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"doorward/internal/fault"
	"doorward/internal/secret"
)

// firstConfig is what `doorward init` writes: everything a node may be told, most of it as a comment with its default.
const firstConfig = `# Configuration of one Doorward node. Every key can also be given as DOORWARD_SECTION_KEY in the environment.
# Paths are relative to this file. Realms stand in the database: doorward apply realm.toml

[database]
address = "sqlite:doorward.db"        # or postgres://user@host/doorward?sslmode=verify-full for several nodes
# connections = 0                     # 0: by the processors

[keys]
file = "keyring"                      # keep a copy elsewhere: without it the database is of no use to anybody
# pkcs11_module = "/usr/lib/softhsm/libsofthsm2.so" # a device that holds keys of certificate authorities, in a build with PKCS #11
# pkcs11_pin_file = "hsm.pin"         # chmod 600

[server]
listen = ":443"
operations = "127.0.0.1:9443"         # /healthz /readyz /metrics
# certificate = ["login.example.com.pem"]
# key = ["login.example.com.key"]     # chmod 600
# plain = false                       # HTTP on a loopback address, for a proxy on this machine that speaks TLS
# proxies = ["127.0.0.1"]             # whose word about the client's address counts
# proxy_header = "X-Forwarded-For"    # or Forwarded (RFC 7239)
# certificate_header = "Client-Cert"  # or X-Forwarded-Client-Cert: in which they name an application's certificate
# hsts = true

[mail]
# from = "no-reply@example.com"       # the realm's desk when empty
# directory = "mail"                  # write mails as files instead of sending them

[mail.smtp]
# host = "smtp.example.com"
# port = 587
# tls = "starttls"                    # or implicit, or none to this machine
# user = "doorward"
# password = ""                       # better: DOORWARD_MAIL_SMTP_PASSWORD
# ca_file = "internal-ca.pem"
# helo = "login.example.com"
# timeout_seconds = 60

[passwords]
# workers = 0                         # hashes at the same time; 0: one less than there are processors
# queue = 0                           # sign-ins that may wait for a place; 0: 32 for each worker
# list = "breached.list"              # your own list of breached passwords beside the built-in one

[audit]
# anchor = "/mnt/other/doorward.anchor"   # signed checkpoints outside of the database

[log]
# level = "info"
# format = "json"                     # or text
`

type initCommand struct {
	Dir string `help:"Where to write doorward.toml and keyring." default:"." type:"path"`
}

// Run writes both files or says which is there. Nothing is ever overwritten: a lost key ring is a lost database.
func (cmd initCommand) Run(c *call) error {
	conf, ring := filepath.Join(cmd.Dir, "doorward.toml"), filepath.Join(cmd.Dir, "keyring")
	for _, file := range []string{conf, ring} {
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("%s is there already; nothing was written", file)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(cmd.Dir, 0o700); err != nil {
		return err
	}
	if err := newRing(ring); err != nil {
		return err
	}
	f, err := os.OpenFile(conf, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(firstConfig)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	c.say("Wrote %s and %s (keep a copy of the key ring elsewhere).", conf, ring)
	c.say("Next: name certificate and key in %s, then\n  doorward apply realm.toml\n  doorward user invite --realm R --role owner --email you@example.com --name \"Your Name\"\n  doorward serve", filepath.Base(conf))
	return c.print(map[string]string{"config": conf, "keys": ring})
}

// newRing writes a fresh key ring, readable by its owner only.
func newRing(path string) error {
	ring, err := secret.NewRing()
	if err != nil {
		return err
	}
	err = ring.SaveNew(path)
	if fault.Of(err, fault.Exists) {
		return fmt.Errorf("%s is there already; it was left alone", path)
	}
	return err
}
