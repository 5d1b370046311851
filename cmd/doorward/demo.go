package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"doorward/internal/apply"
	"doorward/internal/authn"
	"doorward/internal/demo"
	"doorward/internal/directory"
	"doorward/internal/handover"
	"doorward/internal/mail"
	"doorward/internal/server"
	"doorward/internal/sqlstore"
	"doorward/realms"
)

type demoCommand struct {
	Dir    string `help:"Where everything is kept; made on the first start, continued on the next." default:"./doorward-demo" type:"path"`
	Listen string `help:"Address on this machine." default:"127.0.0.1:8443"`
	Trust  bool   `help:"Put the demo's own CA into this user's trust stores, and say how to do it by hand."`
}

// idleMemory is where the garbage collector begins to work harder: a demo that nobody uses stays small.
const idleMemory = 48 << 20

// Run starts the demo and serves until it is told to end.
func (cmd demoCommand) Run(c *call) error { return c.orderly(cmd.run(c)) }

func (cmd demoCommand) run(c *call) error {
	host, port, err := net.SplitHostPort(cmd.Listen)
	if err != nil {
		return usageError("--listen wants an address such as 127.0.0.1:8443")
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usageError("the demo shows everybody's password: --listen must be an address of this machine alone, such as 127.0.0.1:8443")
	}
	if err := os.MkdirAll(cmd.Dir, 0o700); err != nil {
		return err
	}
	if err := demo.Remove(cmd.Dir); err != nil {
		return err
	}
	people, known, err := demo.Load(cmd.Dir)
	if err != nil {
		return fmt.Errorf("%s is no demo directory that can be continued: %w", cmd.Dir, err)
	}
	ring := filepath.Join(cmd.Dir, demo.Keys)
	if _, err := os.Lstat(ring); errors.Is(err, os.ErrNotExist) {
		if err := newRing(ring); err != nil {
			return err
		}
	}
	// The port is opened first: with port 0 the addresses follow from what was given.
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return fmt.Errorf("%w; another demo may be running, --listen picks another port", err)
	}
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	d := &running{call: c, dir: cmd.Dir, port: port, clock: &demo.Clock{Real: c.clock}}
	if err := d.open(); err != nil {
		return errors.Join(err, listener.Close())
	}
	defer d.close()
	if !known {
		if people, err = d.populate(); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	return d.serve(listener, people, cmd.Trust)
}

// running is a demo that runs.
type running struct {
	*call
	dir, port string
	clock     *demo.Clock
	secrets   map[string]string // of the sample applications
	ground    *ground
	house     *house
}

func (d *running) origin(host string) string { return "https://" + host + ":" + d.port }

// open opens the directory's database and applies both realms, which come with the program; the sample applications are
// added to them, with this directory's secrets.
func (d *running) open() (err error) {
	if d.secrets, err = demo.Secrets(d.dir); err != nil {
		return err
	}
	conf := config{
		Database: database{Address: "sqlite:" + filepath.Join(d.dir, demo.Database)},
		Keys:     keys{File: filepath.Join(d.dir, demo.Keys)},
		Mail:     outgoing{Directory: filepath.Join(d.dir, demo.MailDir)},
		Audit:    trail{Anchor: filepath.Join(d.dir, demo.Anchor)},
		// Nobody is there while the demo makes its people: every processor hashes.
		Passwords: passwords{Workers: runtime.GOMAXPROCS(0)},
	}
	if d.ground, err = openGround(d.ctx, conf, d.clock.Now, d.logger(logging{Level: "warn", Format: "text"})); err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		text []byte
	}{{"shop.toml", realms.Shop}, {"wealth.toml", realms.Wealth}} {
		r, _, warnings, err := apply.ReadRealm(file.name, file.text)
		if err != nil {
			return err
		}
		r.Origin = d.origin(r.Host)
		r.Relying = append(r.Relying, demo.RelyingParties(r.ID, d.origin, d.secrets)...)
		if _, err := d.ground.realms().Put(d.ctx, file.name, r, warnings, false); err != nil {
			return err
		}
	}
	d.house, err = build(d.ctx, d.ground, true)
	return err
}

func (d *running) close() {
	d.house.Close()
	if err := d.ground.Close(); err != nil {
		d.ground.log.Error("close the database", slog.String("error", err.Error()))
	}
}

// populate makes the people of a new directory, and gives back the memory their hashes took.
func (d *running) populate() ([]demo.Person, error) {
	if err := demo.Begin(d.dir); err != nil {
		return nil, err
	}
	defer d.house.passwords.Remember()()
	maker := &demo.Maker{
		Store: sqlstore.For[demo.Tx](d.ground.store), Login: d.house.login, People: d.house.people, Realms: d.house.cache, Clock: d.clock, Dir: d.dir,
		Certificates: demo.Certificates{
			Issuer: d.house.certs, Files: d.house.parcels, Brief: d.brief(), Hosts: d.house.ways(), Calls: d.house.calls,
		},
	}
	people, err := maker.Make(d.ctx)
	if err != nil {
		return nil, fmt.Errorf("make the demo's people: %w", err)
	}
	debug.FreeOSMemory()
	return people, demo.End(d.dir, people)
}

// brief sends certificates that hold for one day: the demo has somebody whose certificate ran out.
func (d *running) brief() *handover.Service {
	issuer := d.ground.certificateAuthorities(d.house.cache)
	long := issuer.Realm
	issuer.Epoch, issuer.Realm = d.ground.store.Epoch, func(id string) (directory.Realm, error) {
		r, err := long(id)
		r.Certificates.Days = 1
		return r, err
	}
	sends := *d.house.parcels
	sends.Issuer = issuer
	return &sends
}

// serve answers until the end; demo.json is written once it does.
func (d *running) serve(listener net.Listener, people []demo.Person, trust bool) error {
	debug.SetMemoryLimit(idleMemory)
	hosts := demo.Hosts()
	for _, r := range d.house.cache.All() {
		hosts = append(hosts, r.Host, directory.MTLSPrefix+r.Host) // also while no application shows a certificate yet
		hosts = append(hosts, r.CertHosts()...)
	}
	certs, ca, err := server.LocalCA(d.dir, hosts, d.clock.Now())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	d.house.parcels.Signer = certs.Signer
	// Applications call the realms, and are called by them, in this very process.
	if d.house.outbound, err = demo.Client(listener.Addr().String(), ca); err != nil {
		return errors.Join(err, listener.Close())
	}
	pages := demo.NewPages(demo.Pages{
		Dir: d.dir, People: people, Clock: d.clock.Now, Keys: d.ground.ring, Log: d.ground.log,
		Shop: d.origin("shop.localhost"), Wealth: d.origin("wealth.localhost"), Tour: d.origin(demo.TourHost), Mailbox: d.origin(demo.MailHost),
		Origin: d.origin, Secrets: d.secrets, Call: d.house.outbound,
	})
	s, err := server.New(server.Config{
		Settings:     server.Settings{Operations: net.JoinHostPort("127.0.0.1", "0")},
		Certificates: certs, Clock: d.clock.Now, Log: d.ground.log, Ready: d.house.checks(), Metrics: d.house.metrics,
	}, append(d.house.doors(), server.Door{Name: "demo", Serves: pages.Serves, Pattern: pages.Pattern, Handler: pages})...)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := s.ListenOn(listener); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(d.ctx)
	defer cancel()
	work, err := d.house.work(ctx, &mail.Directory{Path: d.ground.conf.Mail.Directory})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	if err := d.announce(s, people, trust); err != nil {
		cancel()
		return errors.Join(err, <-ended, work())
	}
	err = <-ended
	cancel()
	return errors.Join(err, work())
}

// announce waits for the first answer, writes demo.json and says who can sign in where.
func (d *running) announce(s *server.Server, people []demo.Person, trust bool) error {
	ca := filepath.Join(d.dir, "ca.pem")
	if err := demo.Answers(d.ctx, s.Addr().String(), ca); err != nil {
		return err
	}
	sheet := demo.Sheet{
		CAFile: "ca.pem", MailDir: demo.MailDir, Tour: d.origin(demo.TourHost), Mailbox: d.origin(demo.MailHost),
		Ready: "http://" + s.OperationsAddr().String(), Realms: map[string]demo.SheetRealm{}, Parties: demo.Parties(d.origin, d.secrets), People: people,
	}
	for _, r := range d.house.cache.All() {
		sheet.Realms[r.ID] = demo.SheetRealm{URL: r.Origin, Issuer: r.Origin}
		if known, err := d.house.cache.Realm(r.ID); err == nil && known.Policies.Asks(authn.Cert) {
			sheet.Realms[r.ID] = demo.SheetRealm{URL: r.Origin, CertificateURL: r.CertOrigin(0), Issuer: r.Origin}
		}
	}
	if err := sheet.Write(d.dir); err != nil {
		return err
	}
	if d.JSON {
		return d.print(sheet)
	}
	d.say("Doorward is ready. Start here: %s\n", sheet.Tour)
	d.say("  Mailbox   %s", sheet.Mailbox)
	for _, r := range d.house.cache.All() {
		d.say("  %-9s %s", r.ID, r.Origin)
		d.people(r, people)
	}
	for _, id := range slices.Sorted(maps.Keys(sheet.Parties)) {
		d.say("  %-11s %s", id, sheet.Parties[id]["url"])
	}
	d.say("\nThe codes of their authenticators are on the start page; everything a script needs is in %s.", filepath.Join(d.dir, "demo.json"))
	if trust {
		for _, line := range demo.Trust(d.ctx, ca, d.environ) {
			d.say("%s", line)
		}
	} else {
		d.say("Browsers do not know the demo's CA: --trust tells yours, or import %s by hand.", ca)
	}
	return nil
}

func (d *running) people(r *directory.Realm, people []demo.Person) {
	for _, p := range people {
		switch {
		case p.Realm != r.ID:
		case p.State == "active":
			d.say("            %-32s %-23s %s", p.Email, p.Role, p.Password)
			if p.CertificateFile != "" {
				d.say("              certificate, %-17s %-23s %s", p.Certificate, p.CertificateFile, p.CertificatePassword)
			}
		default:
			d.say("            %-32s %-23s %s", p.Email, p.Role, strings.ToLower(p.State)+", the link is in the mailbox")
		}
	}
}
