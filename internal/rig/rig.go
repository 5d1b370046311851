// Package rig is the whole program in a test, in process: the store, the use cases and every door of a realm, with a clock
// that stands still and a mailbox that can be read. What it serves is what the program serves, without sockets.
package rig

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"doorward/internal/admin"
	"doorward/internal/apply"
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
	authority "doorward/internal/certify"
	"doorward/internal/clientkeys"
	"doorward/internal/directory"
	"doorward/internal/enrolment"
	"doorward/internal/est"
	"doorward/internal/forwardauth"
	"doorward/internal/handover"
	"doorward/internal/login"
	"doorward/internal/oidc"
	"doorward/internal/renewal"
	"doorward/internal/repository"
	"doorward/internal/rollout"
	"doorward/internal/roster"
	"doorward/internal/selfservice"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/web"
	"doorward/internal/web/account"
	"doorward/internal/web/certificates"
	"doorward/internal/web/console"
	"doorward/internal/web/help"
	"doorward/internal/web/parcel"
	"doorward/internal/web/requests"
	"doorward/internal/web/signin"
	"doorward/realms"
)

// Host is where the rig's realm is.
const Host = "shop.localhost"

// MTLSHost is where its applications show certificates, once one of them has to.
const MTLSHost = directory.MTLSPrefix + Host

// Rig is one realm with everything behind it.
type Rig struct {
	T         testing.TB
	Store     *sqlstore.Store
	Clock     *Clock
	Realm     *login.Realm
	Realms    *apply.Cache
	Login     *login.Service
	People    *admin.People
	Requests  *admin.Requests
	Roster    *roster.Service
	Calls     *calls.Desk
	Certs     *authority.Service
	Renewals  *renewal.Service
	Parcels   *handover.Service
	Enrols    *enrolment.Service
	Rollouts  *rollout.Service
	Exempts   *breakglass.Service
	Provider  *oidc.Provider
	Guard     *forwardauth.Door
	Passwords *password.Method
	Handler   http.Handler
	MTLS      http.Handler // where applications show certificates, as Handler of the last Doors
	CertHost  http.Handler // where browsers show them
	Issuers   *certhost.Issuers
	Log       *Log
	Fetch     clientkeys.Fetch // what clients publish at their jwks_uri; nil: nothing is there

	site  *web.Site
	shown *certhost.Desk
}

// Clock stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the time.
func (c *Clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// Until moves the clock to a time, never back.
func (c *Clock) Until(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.now) {
		c.now = t
	}
}

// Log keeps what the program logged.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

// String is everything so far.
func (l *Log) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// A realm cannot make hashes cheaper than the floor, so the floor is lowered wherever a rig is: its tests make thousands.
// What a hash has to cost is tested in internal/authn/password, and paid by the tests of the program itself.
var cheap = sync.OnceFunc(func() {
	password.Floor = password.Params{Length: password.Floor.Length, Memory: 64, Passes: 1, Lanes: 1}
})

// New wires the program on a store.
func New(t testing.TB, store *sqlstore.Store, changes ...func(*directory.Realm)) *Rig {
	t.Helper()
	cheap()
	r := &Rig{T: t, Store: store, Clock: &Clock{now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}, Log: &Log{}}
	realm, err := directory.ParseRealm("shop.toml", realms.Shop)
	r.must(err)
	for _, change := range changes {
		change(&realm)
	}
	r.Write(func(tx *sqlstore.Tx) error { return tx.PutRealm(realm) })
	r.build(realm.ID, store.Epoch)
	return r
}

// Open wires the program on a store that another rig has written, at a time: the world as it was when that one stopped.
func Open(t testing.TB, store *sqlstore.Store, realm string, now time.Time) *Rig {
	t.Helper()
	cheap()
	r := &Rig{T: t, Store: store, Clock: &Clock{now: now}, Log: &Log{}}
	r.build(realm, store.Epoch)
	return r
}

// Beside is another node of the same house, with a memory of its own: its store leads to the same database. epoch is what
// it hears of the others, nil for what its store hears.
func (r *Rig) Beside(store *sqlstore.Store, epoch func() int64) *Rig {
	r.T.Helper()
	other := &Rig{T: r.T, Store: store, Clock: r.Clock, Log: r.Log, Fetch: r.Fetch}
	if epoch == nil {
		epoch = store.Epoch
	}
	other.build(r.Realm.ID, epoch)
	return other
}

// build wires the use cases and the doors of a realm that is there.
func (r *Rig) build(realm string, epoch func() int64) {
	r.T.Helper()
	log, store := r.logger(), r.Store
	var err error
	r.Realms, err = apply.NewCache(context.Background(), sqlstore.For[apply.CacheTx](store), log)
	r.must(err)
	r.Realm, err = r.Realms.Realm(realm)
	r.must(err)
	ring := testdb.Ring()
	r.Passwords = password.New(password.Config{
		Pepper: ring.Pepper, Workers: 2, Queue: 1024, Deadline: time.Minute,
	})
	r.shown = &certhost.Desk{Ring: ring, Method: devicecert.New(), Clock: r.Clock.Now}
	r.Login, err = login.New(login.Config{
		Store: sqlstore.For[login.Tx](store), Ring: ring, Realms: r.Realms, Clock: r.Clock.Now, Epoch: epoch, Log: log,
		Methods:      []authn.Method{r.Passwords, totp.New(totp.Config{}), recovery.New(testdb.Ring().Hash), onetime.New(authn.Invite), onetime.New(authn.Mail), spoken.New(authn.Call), spoken.New(authn.Spoken), devicecert.New()},
		Certificates: r.shown,
	})
	r.must(err)
	r.People = &admin.People{Store: sqlstore.For[admin.PeopleTx](store), Ring: ring, Realms: r.Realms, Clock: r.Clock.Now}
	r.Requests = &admin.Requests{Store: sqlstore.For[admin.RequestTx](store), Ring: ring, Realms: r.Realms, Rules: r.Login, Clock: r.Clock.Now}
	r.Roster = &roster.Service{Store: sqlstore.For[roster.Tx](store), Ring: ring, Realms: r.Realms, People: r.People, Clock: r.Clock.Now}
	r.Calls = &calls.Desk{Store: sqlstore.For[calls.Tx](store), Ring: ring, Requests: r.Requests, Clock: r.Clock.Now}
	r.Certs = &authority.Service{
		Store: sqlstore.For[authority.Tx](store), Clock: r.Clock.Now, Epoch: epoch, Realm: func(id string) (directory.Realm, error) {
			realm, err := r.Realms.Realm(id)
			if err != nil {
				return directory.Realm{}, err
			}
			return realm.Realm, nil
		},
		Ended: renewal.EndSessions(r.Clock.Now),
	}
	r.Renewals = &renewal.Service{Store: sqlstore.For[renewal.Tx](store), Flows: r.Login, Issuer: r.Certs, Ring: ring, Clock: r.Clock.Now}
	r.Parcels = &handover.Service{Store: sqlstore.For[handover.Tx](store), Issuer: r.Certs, Ring: ring, Realms: r.Realms, Clock: r.Clock.Now}
	r.Enrols = &enrolment.Service{Store: sqlstore.For[enrolment.Tx](store), Issuer: r.Certs, Desk: r.shown, Ring: ring, Realms: r.Realms, Clock: r.Clock.Now}
	r.Rollouts = &rollout.Service{Store: sqlstore.For[rollout.Tx](store), Clock: r.Clock.Now}
	r.Exempts = &breakglass.Service{Store: sqlstore.For[breakglass.GiveTx](store), Clock: r.Clock.Now,
		Rules: func(_ string, p directory.Person, o directory.Organization) (authn.Rules, error) {
			return r.Login.RulesOf(r.Realm, p, o)
		}}

	r.Provider = oidc.New(oidc.Options{
		Store: sqlstore.For[oidc.Tx](store), Ring: ring, Logins: r.Login, Realms: r.Realms, Fetch: r.fetch, Clock: r.Clock.Now, Epoch: epoch, Log: log, Record: store.RecordLater,
	})
	r.Guard = forwardauth.New(forwardauth.Options{
		Store: sqlstore.For[forwardauth.Tx](store), Ring: ring, Logins: r.Login, Realms: r.Realms, Keys: r.Provider.Keys, Clock: r.Clock.Now,
		Epoch: store.Epoch, Log: log,
	})
	r.Issuers = &certhost.Issuers{Store: sqlstore.For[certhost.IssuersTx](store), Epoch: epoch, Clock: r.Clock.Now, Log: log}
	r.Handler = r.Doors(r.Login)
}

// fetch answers for the addresses at which clients publish their keys.
func (r *Rig) fetch(ctx context.Context, uri string) ([]byte, time.Duration, error) {
	if r.Fetch == nil {
		return nil, 0, errors.New("nothing is published at " + uri)
	}
	return r.Fetch(ctx, uri)
}

// Doors mounts every door of the realm, with auth to say who is signed in: the rig's own, or a broken one, to prove that a
// test notices.
func (r *Rig) Doors(auth Auth) http.Handler {
	site := web.New(web.Options{
		Realms: r.Realms, Keys: testdb.Ring(), Clock: r.Clock.Now, Log: r.logger(),
	}, signin.Pages, account.Pages, console.Pages, certificates.Pages, parcel.Pages, help.Pages, requests.Pages, oidc.Pages, forwardauth.Pages)
	mux := http.NewServeMux()
	site.Mount(mux)
	ways := &certhost.Service{
		Store: sqlstore.For[certhost.Tx](r.Store), Flows: r.Login, Ring: testdb.Ring(), Realms: r.Realms, Clock: r.Clock.Now,
	}
	self := &selfservice.Service{Store: sqlstore.For[selfservice.Tx](r.Store), Rules: r.Login, Clock: r.Clock.Now}
	in := signin.New(signin.Options{Logins: r.Login, Alone: r.Requests.Alone, Miss: self.Miss, Landing: r.landing, Expected: r.Provider.Expected, Certificates: ways, Renewals: r.Renewals})
	in.Mount(site, mux)
	certs := http.NewServeMux()
	in.MountCertificates(site, certs)
	(&est.Door{Site: site, Enrolments: r.Enrols}).Mount(certs)
	r.Provider.Mount(site, mux)
	r.Guard.Mount(site, mux)
	mtls := http.NewServeMux()
	r.Provider.MountEndpoints(site, mtls)
	r.site, r.MTLS, r.CertHost = site, site.MTLSHandler(mtls), site.CertHandler(certs)
	(&repository.Door{Site: site, Authorities: r.Certs, Clock: r.Clock.Now}).Mount(mux)
	(&parcel.Door{Site: site, Parcels: r.Parcels}).Mount(mux)
	help.New(site).Mount(mux)
	(&requests.Door{Site: site, Auth: auth, Requests: r.Requests}).Mount(mux)
	(&account.Door{Site: site, Flows: auth, Self: self, Exempts: r.Exempts, Rollouts: r.Rollouts, Renewals: r.Renewals, Showing: &certhost.Own{
		Ways: ways, Desk: r.shown, Store: sqlstore.For[certhost.OwnTx](r.Store),
	}}).Mount(mux)
	desk := &console.Door{Site: site, Auth: auth, People: r.People, Requests: r.Requests, Roster: r.Roster, Calls: r.Calls, Rollouts: r.Rollouts, Exempts: r.Exempts, Parcels: r.Parcels, Enrolments: r.Enrols}
	desk.Mount(mux)
	(&certificates.Door{Site: site, Auth: auth, Parcels: r.Parcels, Frame: desk.Frame}).Mount(mux)
	return r.Guard.Handler(site.Handler(mux))
}

// Registry are the routes of all doors as they are mounted, those at the host for certificates too.
func (r *Rig) Registry() (all []Route) {
	for _, p := range r.site.Patterns() {
		method, path, _ := strings.Cut(p, " ")
		all = append(all, Route{Method: method, Path: strings.TrimSuffix(path, "{$}")})
	}
	slices.SortFunc(all, func(a, b Route) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all)
}

// landing is where people go who were let in.
func (r *Rig) landing(req *http.Request, id string) string {
	if to := r.Guard.Landing(req, id); to != "" {
		return to
	}
	if to := r.Provider.Landing(req, id); to != "" {
		return to
	}
	return web.SectionPath(id)
}

// Auth is what the doors for people who are signed in need of login.
type Auth interface {
	account.Flows
}

func (r *Rig) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(r.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (r *Rig) must(err error) {
	r.T.Helper()
	if err != nil {
		r.T.Fatal(err)
	}
}

// Write changes something behind the program's back.
func (r *Rig) Write(fn func(*sqlstore.Tx) error) {
	r.T.Helper()
	r.must(r.Store.Write(context.Background(), fn))
}

// Read looks into the store.
func (r *Rig) Read(fn func(*sqlstore.Tx) error) {
	r.T.Helper()
	r.must(r.Store.Read(context.Background(), fn))
}

// Organization adds a business customer; staff is the realm's own.
func (r *Rig) Organization(name string, staff bool) directory.Organization {
	r.T.Helper()
	o := directory.Organization{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: r.Realm.ID, Name: name, Staff: staff, State: directory.Active, Created: r.Clock.Now(),
	}
	r.Write(func(tx *sqlstore.Tx) error { return tx.AddOrganization(o) })
	return o
}

// Invite adds somebody as the command line does, and returns the link they got.
func (r *Rig) Invite(org directory.Organization, role directory.Role, name, address string) (p directory.Person, link string) {
	r.T.Helper()
	by := login.By{Signed: login.Signed{
		Realm: r.Realm, Organization: org,
		Person: directory.Person{
			ID: "cli", Realm: r.Realm.ID, Name: "command line", Role: directory.Owner, State: directory.Active, Organization: org.ID,
		},
	}}
	if !org.Staff {
		by.Person.Organization = "none" // an owner, who belongs to the realm's own organization
	}
	p, err := r.People.Invite(context.Background(), by, admin.Invitation{
		Address: address, Name: name, Role: role, Organization: org.ID, Language: "en", Show: func(l string) { link = l },
	})
	if err != nil {
		r.T.Fatalf("invite %s: %v", address, err)
	}
	return p, link
}
