package login_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/onetime"
	"doorward/internal/authn/password"
	"doorward/internal/authn/recovery"
	"doorward/internal/authn/spoken"
	"doorward/internal/authn/totp"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// house is login with everything real but the clock and the cost of a hash.
type house struct {
	t      *testing.T
	store  *sqlstore.Store
	login  *login.Service
	realm  *login.Realm
	realms *oneRealm
	pw     *password.Method
	mid    func() // called between phase 2 and phase 4 of a proof by password, nil for nothing
	org    directory.Organization
	clock  *clock
}

type clock struct{ ms atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// oneRealm is a login.Realms of one.
type oneRealm struct {
	mu sync.Mutex
	r  *login.Realm
}

func (o *oneRealm) Realm(id string) (*login.Realm, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id != o.r.ID {
		return nil, fault.New(fault.NotFound, "not-found")
	}
	return o.r, nil
}

// These tests are about what follows from a hash, not about what one costs.
func init() {
	password.Floor = password.Params{Length: password.Floor.Length, Memory: 64, Passes: 1, Lanes: 1}
}

// hooked lets a test do something while a password is being compared.
type hooked struct {
	*password.Method
	h *house
}

func (m *hooked) Verify(ctx context.Context, f authn.Flow, stored []authn.Credential, a authn.Answer) (authn.Shown, error) {
	if m.h.mid != nil {
		m.h.mid()
	}
	return m.Method.Verify(ctx, f, stored, a)
}

// each runs a test in a house on each database.
func each(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) { test(t, newHouse(t, s)) })
}

func newHouse(t *testing.T, s *sqlstore.Store) *house {
	t.Helper()
	h := &house{t: t, store: s, clock: &clock{}}
	h.clock.ms.Store(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC).UnixMilli())
	r, err := directory.ParseRealm("shop.toml", realms.Shop)
	must(t, err)
	policies, err := authn.ParsePolicies(r.Policy)
	must(t, err)
	h.realm = &login.Realm{Realm: r, Policies: policies}
	h.realms = &oneRealm{r: h.realm}
	h.pw = password.New(password.Config{Pepper: testdb.Ring().Pepper, Queue: 256, Deadline: time.Minute})
	h.login, err = login.New(login.Config{
		Store: sqlstore.For[login.Tx](s), Ring: testdb.Ring(), Realms: h.realms, Clock: h.clock.now, Epoch: s.Epoch,
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
		Methods: []authn.Method{&hooked{h.pw, h}, totp.New(totp.Config{}), recovery.New(testdb.Ring().Hash), onetime.New(authn.Invite), onetime.New(authn.Mail), spoken.New(authn.Call), spoken.New(authn.Spoken)},
	})
	must(t, err)
	h.org = directory.Organization{ID: newID(), Realm: r.ID, Name: "Sample Works Ltd", State: directory.Active, Created: h.clock.now()}
	h.write(func(tx *sqlstore.Tx) error {
		if err := tx.PutRealm(r); err != nil {
			return err
		}
		return tx.AddOrganization(h.org)
	})
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (h *house) write(fn func(*sqlstore.Tx) error) {
	h.t.Helper()
	must(h.t, h.store.Write(context.Background(), fn))
}

func (h *house) read(fn func(*sqlstore.Tx) error) {
	h.t.Helper()
	must(h.t, h.store.Read(context.Background(), fn))
}

// user is a person with their browser, password and phone.
type user struct {
	h        *house
	id       string
	address  string
	password string
	key      totp.Key
	browser  secret.Text
	device   secret.Text
	session  secret.Text
	network  string
}

func (h *house) person(name string, role directory.Role) *user {
	h.t.Helper()
	u := &user{h: h, id: newID(), address: strings.ToLower(name) + "@sampleworks.example", password: fmt.Sprintf("an early boat across the lake %d", len(name)), network: "192.0.2.7"}
	h.write(func(tx *sqlstore.Tx) error {
		return tx.AddPerson(directory.Person{
			ID: u.id, Realm: h.realm.ID, Organization: h.org.ID, Address: u.address, Name: name + " Sample", Role: role,
			State: directory.Invited, Language: "en", Created: h.clock.now(),
		})
	})
	return u
}

// invite makes an invitation and returns its token, as the mailbox sees it.
func (u *user) invite() string {
	u.h.t.Helper()
	u.h.write(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(u.h.realm.ID, u.id)
		if err != nil {
			return err
		}
		return login.Invite(tx, testdb.Ring(), u.h.realm.Realm, p, login.Invitation{Now: u.h.clock.now(), Actor: "cli"})
	})
	return u.link(login.SetUp)
}

// link reads the newest link of a purpose from the outbox.
func (u *user) link(purpose string) string {
	u.h.t.Helper()
	for _, m := range u.h.outbox() {
		if _, token, ok := strings.Cut(m.Args["link"], "/link/"+purpose+"/"); ok && m.To == u.address {
			return token
		}
	}
	u.h.t.Fatalf("no mail with a link for %s to %s", purpose, u.address)
	return ""
}

// outbox claims all waiting mails, newest first, and puts them back.
func (h *house) outbox() (all []mail.Message) {
	h.t.Helper()
	h.write(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.ClaimMail(h.clock.now(), 0, 1000)
		return err
	})
	slices.SortFunc(all, func(a, b mail.Message) int { // PostgreSQL returns what it claims in any order
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
	return all
}

func (u *user) caller() login.Caller {
	return login.Caller{
		Realm: u.h.realm.ID, Browser: u.browser, Device: u.device, Session: u.session, Network: u.network,
		Agent: "Firefox on Windows", Language: "en",
	}
}

// took keeps what a door would put into cookies.
func (u *user) took(v login.View) login.View {
	if v.Browser != "" {
		u.browser = v.Browser
	}
	if v.Minted != nil {
		u.session = v.Minted.Cookie
		if v.Minted.Device != "" {
			u.device = v.Minted.Device
		}
	}
	return v
}

func (u *user) begin() login.View {
	u.h.t.Helper()
	v, err := u.h.login.Begin(context.Background(), u.caller(), login.Start{Address: u.address})
	must(u.h.t, err)
	return u.took(v)
}

func (u *user) follow(purpose, token string) login.View {
	u.h.t.Helper()
	v, err := u.h.login.Follow(context.Background(), u.caller(), purpose, token)
	must(u.h.t, err)
	return u.took(v)
}

func (u *user) prove(v login.View, k authn.Kind, text string) (login.View, error) {
	next, err := u.h.login.Prove(context.Background(), u.caller(), v.Flow.ID, authn.Answer{Kind: k, Text: text, Name: "Work phone"})
	return u.took(next), err
}

func (u *user) proves(v login.View, k authn.Kind, text string) login.View {
	u.h.t.Helper()
	next, err := u.prove(v, k, text)
	must(u.h.t, err)
	return next
}

// code waits for a code that was not used yet and reads it.
func (u *user) code() string {
	u.h.clock.advance(30 * time.Second)
	return u.key.Code(u.h.clock.now())
}

// connects reads the seed of an offer like an app would.
func (u *user) connects(v login.View) {
	u.h.t.Helper()
	uri, err := totp.URI(v.Question, v.Flow.Subject)
	must(u.h.t, err)
	u.key, _, _, err = totp.ParseURI(uri)
	must(u.h.t, err)
}

// laxer takes fresh out of the realm's policy.
func (h *house) laxer(t *testing.T) {
	t.Helper()
	policies, err := authn.ParsePolicies(strings.Replace(h.realm.Policy, "fresh ", "# ", 1))
	must(t, err)
	if policies.Rules(authn.Members).Fresh {
		t.Fatal("the policy is as fresh as before")
	}
	h.realm.Policies = policies
}

// expect fails unless the view asks for the act with the kind.
func expect(t *testing.T, v login.View, act authn.Act, what any) {
	t.Helper()
	ok := v.Step.Act == act
	switch w := what.(type) {
	case authn.Kind:
		ok = ok && v.Step.Offers(w)
	case authn.Duty:
		ok = ok && v.Step.Duty == w
	}
	if !ok {
		t.Fatalf("step is %+v, want %s %v", v.Step, act, what)
	}
}

// setUp walks the whole set-up up to the first session.
func (u *user) setUp() *user {
	t := u.h.t
	t.Helper()
	v := u.follow(login.SetUp, u.invite())
	expect(t, v, authn.ActBind, authn.Password)
	v = u.proves(v, authn.Password, u.password)
	expect(t, v, authn.ActBind, authn.TOTP)
	v = u.chooses(v)
	v = u.proves(v, authn.TOTP, u.code())
	u.firstSignIn(v)
	return u
}

func (u *user) chooses(v login.View) login.View {
	u.h.t.Helper()
	v, err := u.h.login.Choose(context.Background(), u.caller(), v.Flow.ID, u.h.realm.Apps[0].ID)
	must(u.h.t, err)
	u.connects(v)
	return v
}

// firstSignIn shows what was enrolled once more, accepts the terms and chooses preferences.
func (u *user) firstSignIn(v login.View) {
	t := u.h.t
	t.Helper()
	expect(t, v, authn.ActProve, authn.Password)
	v = u.proves(v, authn.Password, u.password)
	expect(t, v, authn.ActProve, authn.TOTP)
	v = u.proves(v, authn.TOTP, u.code())
	expect(t, v, authn.ActPerform, authn.Terms)
	v, err := u.perform(v, login.Done{Duty: authn.Terms, Typed: u.address, Read: true, Version: u.h.realm.Terms.Version, Language: "en"})
	must(t, err)
	expect(t, v, authn.ActPerform, authn.Preferences)
	v, err = u.perform(v, login.Done{Duty: authn.Preferences})
	must(t, err)
	if v.Minted == nil {
		t.Fatalf("not let in: %+v", v.Step)
	}
}

func (u *user) perform(v login.View, d login.Done) (login.View, error) {
	next, err := u.h.login.Perform(context.Background(), u.caller(), v.Flow.ID, d)
	return u.took(next), err
}

// signIn signs in with password and code.
func (u *user) signIn() login.View {
	u.h.t.Helper()
	v := u.proves(u.begin(), authn.Password, u.password)
	v = u.proves(v, authn.TOTP, u.code())
	if v.Minted == nil {
		u.h.t.Fatalf("not let in: %+v", v.Step)
	}
	return v
}

func (u *user) signedIn() bool {
	u.h.t.Helper()
	_, err := u.h.login.Authenticate(context.Background(), u.h.realm.ID, u.session)
	if err != nil && !fault.Of(err, fault.Expired) {
		u.h.t.Fatal(err)
	}
	return err == nil
}

// events lists the types of what happened to a person, oldest first.
func (u *user) events() (types []string) {
	u.h.t.Helper()
	u.h.read(func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: u.h.realm.ID, Person: u.id, Limit: 200})
		for _, e := range all {
			types = append([]string{e.Type}, types...)
		}
		return err
	})
	return types
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if f := fault.As(err); f == nil || f.Code != code {
		t.Fatalf("error is %v, want code %s", err, code)
	}
}

// together runs fn in n goroutines that start at once and counts those that return true.
func together(n int, fn func(i int) bool) int {
	var yes atomic.Int64
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			if fn(i) {
				yes.Add(1)
			}
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
	return int(yes.Load())
}

func describe(v login.View) string { return fmt.Sprintf("%s %v", v.Step.Act, v.Step.Kinds) }
