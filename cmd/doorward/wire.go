package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"

	"doorward/internal/admin"
	"doorward/internal/apply"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/devicecert"
	"doorward/internal/authn/onetime"
	"doorward/internal/authn/password"
	"doorward/internal/authn/recovery"
	"doorward/internal/authn/spoken"
	"doorward/internal/authn/totp"
	"doorward/internal/breakglass"
	"doorward/internal/calls"
	"doorward/internal/certhost"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/enrolment"
	"doorward/internal/est"
	"doorward/internal/forwardauth"
	"doorward/internal/handover"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/oidc"
	"doorward/internal/renewal"
	"doorward/internal/repository"
	"doorward/internal/rollout"
	"doorward/internal/roster"
	"doorward/internal/secret"
	"doorward/internal/selfservice"
	"doorward/internal/server"
	"doorward/internal/sqlstore"
	"doorward/internal/web"
	"doorward/internal/web/account"
	"doorward/internal/web/certificates"
	"doorward/internal/web/console"
	"doorward/internal/web/help"
	"doorward/internal/web/parcel"
	"doorward/internal/web/requests"
	"doorward/internal/web/signin"
)

// The wiring: every part is made here, once, by hand, and handed what it needs. Nothing registers itself.

// ground is what every command stands on: the key ring and the database.
type ground struct {
	conf  config
	clock func() time.Time
	log   *slog.Logger
	ring  *secret.Ring
	store *sqlstore.Store
}

// open reads the configuration and opens ring and database.
func (c *call) open() (*ground, error) {
	conf, err := readConfig(c.Config, c.environ)
	if err != nil {
		return nil, err
	}
	return openGround(c.ctx, conf, c.clock, c.logger(conf.Log))
}

func openGround(ctx context.Context, conf config, clock func() time.Time, log *slog.Logger) (*ground, error) {
	g := &ground{conf: conf, clock: clock, log: log}
	var err error
	if g.ring, err = secret.LoadRing(conf.Keys.File); err != nil {
		return nil, err
	}
	g.store, err = sqlstore.Open(ctx, conf.Database.Address, g.ring, sqlstore.Options{Clock: clock, Conns: conf.Database.Connections})
	return g, err
}

// Close gives the database back.
func (g *ground) Close() error { return g.store.Close() }

func (g *ground) realms() *apply.Realms {
	return &apply.Realms{Store: sqlstore.For[apply.RealmTx](g.store), Clock: g.clock, Kinds: built}
}

// built are the kinds that this release can set up and take: no roll-out may ask for another. A test holds it against the
// methods that are wired.
var built = []authn.Kind{authn.Password, authn.TOTP, authn.Cert}

// signer signs checkpoints of the audit trail.
func (g *ground) signer() (note.Signer, error) { return audit.NewSigner(g.ring.Signer("audit")) }

// verifierKey is the public side of signer, in the form to keep elsewhere.
func (g *ground) verifierKey() (string, error) {
	return audit.VerifierKey(g.ring.Signer("audit").Public().(ed25519.PublicKey))
}

// anchors are the places outside of the database that keep checkpoints.
func (g *ground) anchors() []audit.Anchor {
	if g.conf.Audit.Anchor == "" {
		return nil
	}
	return []audit.Anchor{&audit.File{Path: g.conf.Audit.Anchor}}
}

// house is the running program behind its doors.
type house struct {
	*ground
	metrics   *server.Metrics
	cache     *apply.Cache
	passwords *password.Method
	login     *login.Service
	people    *admin.People
	requests  *admin.Requests
	roster    *roster.Service
	rollouts  *rollout.Service
	exempts   *breakglass.Service
	calls     *calls.Desk
	certs     *certify.Service
	renewals  *renewal.Service
	parcels   *handover.Service
	enrols    *enrolment.Service
	provider  *oidc.Provider
	guard     *forwardauth.Door
	outbound  *http.Client // to applications; follows no redirects
	site      *web.Site
	mux       *http.ServeMux
	mtls      *http.ServeMux // what applications call where they show certificates
	shown     *http.ServeMux // where people's browsers show the certificates of their devices
	issuers   *certhost.Issuers
	stops     []func()
}

// outbound is the client for what applications publish and want to be told. It follows no redirects: the address is the
// operator's choice, and nobody else's.
func outbound() *http.Client {
	return &http.Client{
		Timeout:       5 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// build makes the house on its ground. dev shows the gallery of pages.
func build(ctx context.Context, g *ground, dev bool) (_ *house, err error) {
	h := &house{ground: g, metrics: server.NewMetrics(), mux: http.NewServeMux(), mtls: http.NewServeMux(), shown: http.NewServeMux(), outbound: outbound()}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	if h.cache, err = apply.NewCache(ctx, sqlstore.For[apply.CacheTx](g.store), g.log); err != nil {
		return nil, err
	}
	run, end := context.WithCancel(ctx)
	h.stops = append(h.stops, g.store.Watch(func() { h.refresh(run) }), end)
	list, err := blocklist(g.conf.Passwords.List)
	if err != nil {
		return nil, err
	}
	h.passwords = password.New(password.Config{
		Pepper: g.ring.Pepper, Params: h.hashing, Workers: g.conf.Passwords.Workers, Queue: g.conf.Passwords.Queue, Blocklist: list,
	})
	shown := &certhost.Desk{Ring: g.ring, Method: devicecert.New(), Clock: g.clock, Count: h.metrics.Count}
	h.login, err = login.New(login.Config{
		Store: sqlstore.For[login.Tx](g.store), Ring: g.ring, Realms: h.cache, Clock: g.clock, Epoch: g.store.Epoch, Log: g.log,
		Count:        h.metrics.Count,
		Methods:      methods(g.ring, h.passwords),
		Certificates: shown,
	})
	if err != nil {
		return nil, err
	}
	h.people = &admin.People{Store: sqlstore.For[admin.PeopleTx](g.store), Ring: g.ring, Realms: h.cache, Clock: g.clock}
	h.roster = &roster.Service{Store: sqlstore.For[roster.Tx](g.store), Ring: g.ring, Realms: h.cache, People: h.people, Clock: g.clock}
	h.requests = &admin.Requests{
		Store: sqlstore.For[admin.RequestTx](g.store), Ring: g.ring, Realms: h.cache, Rules: h.login, Clock: g.clock, Count: h.metrics.Count,
	}
	h.rollouts = &rollout.Service{Store: sqlstore.For[rollout.Tx](g.store), Clock: g.clock, Count: h.metrics.Count}
	h.exempts = &breakglass.Service{Store: sqlstore.For[breakglass.GiveTx](g.store), Rules: h.rulesOf, Clock: g.clock, Count: h.metrics.Count}
	h.calls = &calls.Desk{Store: sqlstore.For[calls.Tx](g.store), Ring: g.ring, Requests: h.requests, Clock: g.clock, Count: h.metrics.Count}
	h.certs = g.certificateAuthorities(h.cache)
	h.certs.Epoch, h.certs.Count = g.store.Epoch, h.metrics.Count
	h.watch()
	h.renewals = &renewal.Service{Store: sqlstore.For[renewal.Tx](g.store), Flows: h.login, Issuer: h.certs, Ring: g.ring, Clock: g.clock, Count: h.metrics.Count}
	h.parcels = &handover.Service{Store: sqlstore.For[handover.Tx](g.store), Issuer: h.certs, Ring: g.ring, Realms: h.cache, Clock: g.clock, Count: h.metrics.Count}
	h.enrols = &enrolment.Service{
		Store: sqlstore.For[enrolment.Tx](g.store), Issuer: h.certs, Desk: shown, Ring: g.ring, Realms: h.cache, Clock: g.clock, Count: h.metrics.Count,
	}
	own := &selfservice.Service{Store: sqlstore.For[selfservice.Tx](g.store), Rules: h.login, Clock: g.clock}

	h.provider = oidc.New(oidc.Options{
		Store: sqlstore.For[oidc.Tx](g.store), Ring: g.ring, Logins: h.login, Realms: h.cache, Fetch: fetch(h.outbound), Clock: g.clock, Epoch: g.store.Epoch,
		Log: g.log, Count: h.metrics.Count, Record: g.store.RecordLater,
	})
	h.guard = forwardauth.New(forwardauth.Options{
		Store: sqlstore.For[forwardauth.Tx](g.store), Ring: g.ring, Logins: h.login, Realms: h.cache, Keys: h.provider.Keys, Clock: g.clock,
		Epoch: g.store.Epoch, Log: g.log, Count: h.metrics.Count,
	})

	h.site = web.New(web.Options{Realms: h.cache, Keys: g.ring, Clock: g.clock, Log: g.log, Dev: dev},
		signin.Pages, account.Pages, console.Pages, certificates.Pages, parcel.Pages, help.Pages, requests.Pages, oidc.Pages, forwardauth.Pages)
	h.site.Mount(h.mux)
	ways := h.ways()
	in := signin.New(signin.Options{Logins: h.login, Alone: h.requests.Alone, Miss: own.Miss, Landing: h.landing, Expected: h.provider.Expected, Certificates: ways, Renewals: h.renewals})
	in.Mount(h.site, h.mux)
	in.MountCertificates(h.site, h.shown)
	(&est.Door{Site: h.site, Enrolments: h.enrols}).Mount(h.shown)
	h.issuers = &certhost.Issuers{Store: sqlstore.For[certhost.IssuersTx](g.store), Epoch: g.store.Epoch, Clock: g.clock, Log: g.log}
	h.provider.Mount(h.site, h.mux)
	h.guard.Mount(h.site, h.mux)
	h.provider.MountEndpoints(h.site, h.mtls)
	(&account.Door{
		Site: h.site, Flows: h.login, Self: own, Exempts: h.exempts, Rollouts: h.rollouts, Renewals: h.renewals,
		Showing: &certhost.Own{Ways: ways, Desk: shown, Store: sqlstore.For[certhost.OwnTx](g.store)},
	}).Mount(h.mux)
	desk := &console.Door{Site: h.site, Auth: h.login, People: h.people, Requests: h.requests, Roster: h.roster, Calls: h.calls, Rollouts: h.rollouts, Exempts: h.exempts, Parcels: h.parcels, Enrolments: h.enrols}
	desk.Mount(h.mux)
	(&certificates.Door{Site: h.site, Auth: h.login, Parcels: h.parcels, Frame: desk.Frame}).Mount(h.mux)
	(&repository.Door{Site: h.site, Authorities: h.certs, Clock: g.clock}).Mount(h.mux)
	(&parcel.Door{Site: h.site, Parcels: h.parcels}).Mount(h.mux)
	help.New(h.site).Mount(h.mux)
	(&requests.Door{Site: h.site, Auth: h.login, Requests: h.requests}).Mount(h.mux)
	h.site.Handle(h.mux, "GET /{$}", func(w http.ResponseWriter, r *http.Request) error {
		return web.Redirect(w, r, "/account") // which asks to sign in first where it must
	})
	return h, nil
}

// ways lead browsers to the hosts for certificates and back.
func (h *house) ways() *certhost.Service {
	return &certhost.Service{
		Store: sqlstore.For[certhost.Tx](h.store), Flows: h.login, Ring: h.ring, Realms: h.cache, Clock: h.clock, Count: h.metrics.Count,
	}
}

// refresh reads the realms again after the epoch has risen. It tries until it has them: a node that went on with those
// before would take a client for alive that was removed.
func (h *house) refresh(ctx context.Context) {
	for {
		err := h.cache.Refresh(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		h.log.Error("the realms could not be read again; those before stay until they can", slog.String("error", err.Error()))
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// methods are what people can show and set up.
func methods(ring *secret.Ring, passwords *password.Method) []authn.Method {
	return []authn.Method{
		passwords,
		totp.New(totp.Config{}),
		recovery.New(ring.Hash),
		onetime.New(authn.Invite),
		onetime.New(authn.Mail),
		spoken.New(authn.Call),
		spoken.New(authn.Spoken),
		devicecert.New(),
	}
}

// rulesOf is the plain policy that counts for a person.
func (h *house) rulesOf(realm string, p directory.Person, o directory.Organization) (authn.Rules, error) {
	r, err := h.cache.Realm(realm)
	if err != nil {
		return authn.Rules{}, err
	}
	return h.login.RulesOf(r, p, o)
}

// landing is where people go who were let in: on to the application that sent them, or to a section of their account.
func (h *house) landing(r *http.Request, id string) string {
	if to := h.guard.Landing(r, id); to != "" {
		return to
	}
	if to := h.provider.Landing(r, id); to != "" {
		return to
	}
	return web.SectionPath(id)
}

// Close stops what the house runs by itself; the ground stays.
func (h *house) Close() {
	for _, stop := range h.stops {
		stop()
	}
	if h.passwords != nil {
		h.passwords.Close()
	}
}

// hashing is what a realm asks of password hashes.
func (h *house) hashing(realm string) password.Params {
	r, err := h.cache.Realm(realm)
	if err != nil {
		return password.Floor
	}
	return password.Params(r.Password)
}

// doors are those of all realms: the endpoints where applications show certificates, the hosts where browsers do, and the
// pages with the hosts that are guarded. A guarded host never stands before the others.
func (h *house) doors() []server.Door {
	return []server.Door{
		{
			Name: "mtls", Serves: func(host string) bool { _, ok := h.site.MTLSRealm(host); return ok }, AsksCertificate: true,
			Handler: h.site.MTLSHandler(h.mtls), Pattern: func(r *http.Request) string { _, p := h.mtls.Handler(r); return p },
		},
		{
			Name: "certificate", Serves: func(host string) bool { _, ok := h.site.CertRealm(host); return ok },
			AsksCertificate: true, Issuers: h.named,
			Handler: h.site.CertHandler(h.shown), Pattern: func(r *http.Request) string { _, p := h.shown.Handler(r); return p },
		},
		{
			Name: "realm", Serves: h.cache.Serves, Handler: h.guard.Handler(h.site.Handler(h.mux)), Asked: h.guard.Asked,
			Told: func(r *http.Request, o server.Original) *http.Request {
				return forwardauth.Told(r, forwardauth.Said(o))
			},
			Pattern: func(r *http.Request) string {
				if h.guard.Asked(r) {
					return h.guard.Pattern(r)
				}
				_, p := h.mux.Handler(r)
				return p
			},
		},
	}
}

// named are the CAs that are named at a host where browsers show certificates.
func (h *house) named(host string) *x509.CertPool {
	realm, ok := h.site.CertRealm(host)
	if !ok {
		return nil
	}
	return h.issuers.Pool(realm.ID)
}

// checks are what this node needs to be ready.
func (h *house) checks() []server.Check {
	return []server.Check{
		{Name: "database", Run: h.store.Ping},
		{Name: "keys", Run: h.store.CheckRing},
		server.CheckClock(h.clock, h.store.Clock),
		{Name: "realms", Run: func(context.Context) error {
			if len(h.cache.All()) == 0 {
				return errors.New("no realm yet: doorward apply realm.toml")
			}
			return nil
		}},
	}
}

// sender is how mail leaves.
func (g *ground) sender() (mail.Sender, error) {
	if g.conf.Mail.Directory != "" {
		return &mail.Directory{Path: g.conf.Mail.Directory}, os.MkdirAll(g.conf.Mail.Directory, 0o700)
	}
	return mail.NewSMTP(g.conf.Mail.SMTP)
}

// blocklist reads the operator's list of breached passwords; nil without one.
func blocklist(path string) (*password.List, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("passwords.list: %w", err)
	}
	defer f.Close()
	list, err := password.LoadList(f)
	if err != nil {
		return nil, fmt.Errorf("passwords.list %s: %w", path, err)
	}
	return list, nil
}
