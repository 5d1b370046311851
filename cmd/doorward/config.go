package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"doorward/internal/mail"
	"doorward/internal/server"
	"doorward/internal/tomlfile"
)

// config is what a node needs to know (DESIGN 12); everything about realms stands in the database. Each section is
// owned by the room it is handed to.
type config struct {
	Database  database        `toml:"database"`
	Keys      keys            `toml:"keys"`
	Server    server.Settings `toml:"server"`
	Mail      outgoing        `toml:"mail"`
	Passwords passwords       `toml:"passwords"`
	Audit     trail           `toml:"audit"`
	Log       logging         `toml:"log"`
}

type database struct {
	Address     string `toml:"address"`     // sqlite:PATH or postgres://…
	Connections int    `toml:"connections"` // 0: by the processors
}

type keys struct {
	File   string `toml:"file"`
	Module string `toml:"pkcs11_module"`   // library of a device that holds keys of certificate authorities
	PIN    string `toml:"pkcs11_pin_file"` // file with its PIN, readable by its owner only
}

type outgoing struct {
	SMTP      mail.SMTPConfig `toml:"smtp"`
	From      string          `toml:"from"`      // sender of every mail; the realm's desk when empty
	Directory string          `toml:"directory"` // write mails as files instead of sending them
}

type passwords struct {
	Workers int    `toml:"workers"` // hashes at the same time; 0: one less than there are processors
	Queue   int    `toml:"queue"`   // sign-ins that may wait for a place; 0: 32 for each worker
	List    string `toml:"list"`    // file of breached passwords, made by `doorward passwords build`; empty: the built-in list
}

type trail struct {
	Anchor string `toml:"anchor"` // file that keeps signed checkpoints outside of the database; on another disk, best
}

type logging struct {
	Level  string `toml:"level"`  // debug info warn error
	Format string `toml:"format"` // json or text
}

// notKeys are variables with our prefix that are no keys of the configuration.
var notKeys = []string{"DOORWARD_CONFIG", "DOORWARD_TEST_POSTGRES"}

// readConfig reads the file and the environment. Paths in it are relative to the file. The error is tomlfile.Problems.
func readConfig(file string, environ []string) (config, error) {
	c := config{Server: server.Defaults(), Log: logging{Level: "info", Format: "json"}}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, tomlfile.Problems{{File: file, Reason: "there is no such file; `doorward init` writes one, --config names another"}}
	}
	if err != nil {
		return c, err
	}
	d := tomlfile.Read(file, text, &c)
	if d.Unreadable() {
		return c, d.Err()
	}
	problems := tomlfile.Override(&c, "DOORWARD", environ, notKeys...)
	c.check(d.Bad)
	if err := d.Err(); err != nil {
		var more tomlfile.Problems
		errors.As(err, &more)
		problems = append(problems, more...)
	}
	if len(problems) > 0 {
		return c, problems
	}
	c.resolve(filepath.Dir(file))
	return c, nil
}

// check looks at everything that can be known without opening anything. What a command does not need (certificates, a
// mail server) is checked when it is opened.
func (c *config) check(bad func(key, format string, args ...any)) {
	if !strings.HasPrefix(c.Database.Address, "sqlite:") && !strings.HasPrefix(c.Database.Address, "postgres://") && !strings.HasPrefix(c.Database.Address, "postgresql://") {
		bad("database.address", "sqlite:PATH or postgres://…")
	}
	if c.Database.Connections < 0 || c.Database.Connections > 1000 {
		bad("database.connections", "%d is not between 0 and 1000", c.Database.Connections)
	}
	if c.Keys.File == "" {
		bad("keys.file", "the path of the key ring; `doorward init` makes one")
	}
	if c.Passwords.Workers < 0 || c.Passwords.Workers > 256 {
		bad("passwords.workers", "%d is not between 0 and 256", c.Passwords.Workers)
	}
	if c.Passwords.Queue < 0 || c.Passwords.Queue > 10_000 {
		bad("passwords.queue", "%d is not between 0 and 10000", c.Passwords.Queue)
	}
	if _, ok := c.Log.level(); !ok {
		bad("log.level", "debug, info, warn or error")
	}
	if c.Log.Format != "json" && c.Log.Format != "text" {
		bad("log.format", "json or text")
	}
	if c.Mail.Directory != "" && c.Mail.SMTP.Host != "" {
		bad("mail.directory", "either a directory or mail.smtp, not both")
	}
}

// resolve makes paths relative to the configuration's directory.
func (c *config) resolve(dir string) {
	at := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if path, ok := strings.CutPrefix(c.Database.Address, "sqlite:"); ok {
		at(&path)
		c.Database.Address = "sqlite:" + path
	}
	at(&c.Keys.File)
	at(&c.Keys.Module)
	at(&c.Keys.PIN)
	at(&c.Mail.Directory)
	at(&c.Mail.SMTP.CAFile)
	at(&c.Passwords.List)
	at(&c.Audit.Anchor)
	for _, list := range [][]string{c.Server.Certificate, c.Server.Key} {
		for i := range list {
			at(&list[i])
		}
	}
}

func (l logging) level() (slog.Level, bool) {
	var level slog.Level
	err := level.UnmarshalText([]byte(l.Level))
	return level, err == nil && strings.ToLower(l.Level) == l.Level
}

// logger writes to the given place as configured.
func (c *call) logger(l logging) *slog.Logger {
	level, _ := l.level()
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "text" {
		return slog.New(slog.NewTextHandler(c.errs, o))
	}
	return slog.New(slog.NewJSONHandler(c.errs, o))
}
