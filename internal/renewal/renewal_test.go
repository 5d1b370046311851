package renewal_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"

	"doorward/internal/apply"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/renewal"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// house is a wealth realm with an authority and a client who has one device.
type house struct {
	*renewal.Service
	t      *testing.T
	store  *sqlstore.Store
	certs  *certify.Service
	mu     sync.Mutex
	at     time.Time
	box    []mail.Message
	realm  *login.Realm
	cleo   directory.Person // the client
	mira   directory.Person // her contact
	tablet pki.Certificate
}

func (h *house) now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.at }
func (h *house) until(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = at
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func each(t *testing.T, test func(h *house)) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		h := &house{t: t, store: s, at: start}
		a := &apply.Realms{Store: sqlstore.For[apply.RealmTx](s), Clock: h.now}
		_, err := a.Apply(t.Context(), "wealth.toml", realms.Wealth, false)
		h.must(err)
		cache, err := apply.NewCache(t.Context(), sqlstore.For[apply.CacheTx](s), slog.New(slog.DiscardHandler))
		h.must(err)
		h.realm, err = cache.Realm("wealth")
		h.must(err)
		h.certs = &certify.Service{Store: sqlstore.For[certify.Tx](s), Clock: h.now, Epoch: s.Epoch, Ended: renewal.EndSessions(h.now),
			Realm: func(string) (directory.Realm, error) { return h.realm.Realm, nil }}
		key, _, err := pki.NewKey(pki.Root)
		h.must(err)
		der, err := pki.MakeRoot(key, "Sample Root", "Sample", start)
		h.must(err)
		root, err := x509.ParseCertificate(der)
		h.must(err)
		_, err = h.certs.Found(t.Context(), "wealth", root, key)
		h.must(err)
		h.Service = &renewal.Service{Store: sqlstore.For[renewal.Tx](s), Issuer: h.certs, Ring: testdb.Ring(), Clock: h.now}
		org := directory.Organization{ID: uuid.Must(uuid.NewV7()).String(), Realm: "wealth", Name: "Alder", State: directory.Active, Created: start}
		var staff directory.Organization
		h.must(s.Write(t.Context(), func(tx *sqlstore.Tx) (err error) {
			if staff, err = tx.StaffOrganization("wealth"); err != nil {
				return err
			}
			return tx.AddOrganization(org)
		}))
		add := func(name string, role directory.Role, org, contact string) directory.Person {
			p := directory.Person{
				ID: uuid.Must(uuid.NewV7()).String(), Realm: "wealth", Organization: org, Address: name + "@sample.example", Name: name, Role: role,
				State: directory.Active, Language: "en", Created: start, FirstActive: start, Contact: contact,
			}
			h.must(s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.AddPerson(p) }))
			return p
		}
		h.mira = add("mira", directory.Agent, staff.ID, "")
		h.cleo = add("cleo", directory.Member, org.ID, h.mira.ID)
		h.tablet = h.issue("Tablet")
		test(h)
	})
}

// issue gives the client a device whose certificate was shown.
func (h *house) issue(name string) pki.Certificate {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	c, err := h.certs.Issue(h.t.Context(), certify.Order{Realm: "wealth", Person: h.cleo.ID, Organization: h.cleo.Organization, Name: name, Key: key.Public(),
		Requester: h.mira.ID, Approver: h.mira.ID})
	h.must(err)
	h.show(c.ID)
	return h.row(c.ID)
}

// show notes a use, as a sign-in does.
func (h *house) show(id string) {
	h.t.Helper()
	h.must(h.store.Write(h.t.Context(), func(tx *sqlstore.Tx) error { return tx.UseCertificate("wealth", id, h.now()) }))
}

func (h *house) row(id string) (c pki.Certificate) {
	h.t.Helper()
	h.must(h.store.Read(h.t.Context(), func(tx *sqlstore.Tx) (err error) { c, err = tx.Certificate("wealth", id); return err }))
	return c
}

func (h *house) change(id string, how func(*pki.Certificate)) {
	h.t.Helper()
	h.must(h.store.Write(h.t.Context(), func(tx *sqlstore.Tx) error {
		c, err := tx.Certificate("wealth", id)
		if err != nil {
			return err
		}
		how(&c)
		return tx.UpdateCertificate(c)
	}))
}

// by is the client, who has shown this certificate, a password and a code so long ago.
func (h *house) by(certificate string, ago time.Duration) login.By {
	at := h.now().Add(-ago)
	return login.By{
		Signed: login.Signed{Realm: h.realm, Person: h.cleo, Session: session.Session{ID: "s", Evidence: []authn.Evidence{
			{Kind: authn.Cert, Credential: certificate, At: at}, {Kind: authn.Password, Credential: "p", At: at}, {Kind: authn.TOTP, Credential: "t", At: at},
		}}}, Network: "192.0.2.1",
	}
}

// letters counts mails by who got them and their template, taken from the outbox as the worker does.
func (h *house) letters() map[string]int {
	h.must(h.store.Write(h.t.Context(), func(tx *sqlstore.Tx) error {
		due, err := tx.ClaimMail(h.now(), 20*365*24*time.Hour, 1000)
		h.box = append(h.box, due...)
		return err
	}))
	n := map[string]int{}
	for _, m := range h.box {
		n[m.To+" "+m.Template]++
	}
	return n
}

func (h *house) events() (types []string) {
	h.must(h.store.Read(h.t.Context(), func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: "wealth", Person: h.cleo.ID, Limit: 200})
		for _, e := range all {
			types = append(types, e.Type)
		}
		return err
	}))
	return types
}

// live are the certificates of a device that are accepted now.
func (h *house) live(device string) (n int) {
	h.must(h.store.Read(h.t.Context(), func(tx *sqlstore.Tx) error {
		all, err := tx.CertificatesOf("wealth", h.cleo.ID, 100)
		n = 0
		for _, c := range all {
			if c.Device == device && c.Live(h.now()) {
				n++
			}
		}
		return err
	}))
	return n
}

// due is inside the renewal window of a certificate.
func (h *house) due() { h.until(h.tablet.NotAfter.AddDate(0, 0, -20)) }

func wants(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if e := fault.As(err); e == nil || e.Kind != kind || e.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// Who may renew: the owner, completely signed in just now, by that certificate, in its time.
func TestREQ_A46_SEC_C9_WhoMayRenew(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		ctx := t.Context()
		_, err := h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Windows)
		wants(t, err, fault.Conflict, "renewal-early")
		h.until(h.tablet.NotAfter.AddDate(0, 0, -60).Add(-time.Second))
		_, err = h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Windows)
		wants(t, err, fault.Conflict, "renewal-early")
		h.until(h.tablet.NotAfter.AddDate(0, 0, -60))
		other := h.issue("Laptop")
		h.change(other.ID, func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Suspended, pki.Hold, h.now() })
		for name, c := range map[string]struct {
			by   login.By
			id   string
			kind fault.Kind
			code string
		}{
			"six minutes ago":           {h.by(h.tablet.ID, 6*time.Minute), h.tablet.ID, fault.Forbidden, "login-not-fresh"},
			"without its certificate":   {h.by("another", 0), h.tablet.ID, fault.Conflict, "renewal-elsewhere"},
			"one on hold":               {h.by(other.ID, 0), other.ID, fault.Conflict, "certificate-other"},
			"one that is not there":     {h.by(h.tablet.ID, 0), "none", fault.NotFound, "not-found"},
			"somebody else's, in a way": {login.By{Signed: login.Signed{Realm: h.realm, Person: h.mira, Session: h.by(h.tablet.ID, 0).Session}}, h.tablet.ID, fault.NotFound, "not-found"},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := h.Renew(ctx, c.by, c.id, keyfile.Windows)
				wants(t, err, c.kind, c.code)
			})
		}
		_, err = h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, "toaster")
		wants(t, err, fault.Invalid, "target-unknown")
		if got := h.live(h.tablet.Device); got != 1 {
			t.Fatalf("%d certificates of the device live after refusals", got)
		}
		made, err := h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Windows)
		h.must(err)
		if made.Device != h.tablet.Device || made.Replaces != h.tablet.ID || made.Key == h.tablet.Key || made.Approver != "" || made.Requester != h.cleo.ID {
			t.Errorf("made %+v", made)
		}
		_, err = h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Windows)
		wants(t, err, fault.Exists, "certificate-succeeded")
		if l := h.letters(); l["cleo@sample.example certificate-renewed"] != 1 || l["mira@sample.example certificate-renewed-console"] != 1 {
			t.Errorf("told %v", l)
		}
		if !slices.Contains(h.events(), "certificate.renewed") {
			t.Errorf("the trail says %v", h.events())
		}
	})
}

// File and password are there once each, the file opens with the password, and neither is left afterwards.
func TestREQ_A47_SEC_C8_FileAndPasswordOnce(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		ctx := t.Context()
		h.due()
		made, err := h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Windows)
		h.must(err)
		_, err = h.Password(ctx, h.by(h.tablet.ID, 6*time.Minute), h.tablet.ID)
		wants(t, err, fault.Forbidden, "login-not-fresh")
		_, _, err = h.File(ctx, h.by(h.tablet.ID, 6*time.Minute), h.tablet.ID)
		wants(t, err, fault.Forbidden, "login-not-fresh")
		password, err := h.Password(ctx, h.by(h.tablet.ID, 0), h.tablet.ID)
		h.must(err)
		_, err = h.Password(ctx, h.by(h.tablet.ID, 0), h.tablet.ID)
		wants(t, err, fault.Expired, "password-said")
		name, file, err := h.File(ctx, h.by(h.tablet.ID, 0), h.tablet.ID)
		h.must(err)
		_, _, err = h.File(ctx, h.by(h.tablet.ID, 0), h.tablet.ID)
		wants(t, err, fault.Expired, "parcel-fetched")
		key, leaf, _, err := pkcs12.DecodeChain(file, password.Reveal())
		h.must(err)
		if !leaf.PublicKey.(*ecdsa.PublicKey).Equal(key.(*ecdsa.PrivateKey).Public()) || pki.Hash(leaf.Raw) != made.SHA256 {
			t.Error("the file holds another certificate")
		}
		if strings.Contains(name, "cleo") || !strings.HasSuffix(name, ".p12") {
			t.Errorf("the file is called %q", name)
		}
		h.must(h.store.Read(ctx, func(tx *sqlstore.Tx) error {
			p, err := tx.ParcelOf("wealth", made.ID)
			if len(p.File) > 0 || len(p.Password) > 0 || !p.Own() {
				t.Errorf("left: %d bytes of file, %d of password", len(p.File), len(p.Password))
			}
			return err
		}))
		r, err := h.Of(ctx, h.by(h.tablet.ID, 0), h.tablet.ID)
		if err != nil || !r.Made() || !r.Said() || !r.Fetched() || r.Shown() || r.Done() {
			t.Errorf("the checklist: %+v, %v", r, err)
		}
	})
}

// Sixty-four renewals of one certificate make one new one, sixty-four looks at the password show it once, and so the file.
func TestREQ_A46_RenewedAmong64(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.due()
		race := func(what string, do func() error, code string) {
			var lock sync.Mutex
			var all sync.WaitGroup
			good := 0
			for range 64 {
				all.Go(func() {
					err := do()
					lock.Lock()
					defer lock.Unlock()
					if e := fault.As(err); err == nil {
						good++
					} else if e == nil || e.Code != code {
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			all.Wait()
			if good != 1 {
				t.Errorf("%s: %d of 64 got through", what, good)
			}
		}
		ctx := context.WithoutCancel(t.Context())
		race("renewed", func() error {
			_, err := h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Widest)
			return err
		}, "certificate-succeeded")
		if n := h.live(h.tablet.Device); n != 2 {
			t.Errorf("%d certificates of the device live", n)
		}
		race("password", func() error { _, err := h.Password(ctx, h.by(h.tablet.ID, 0), h.tablet.ID); return err }, "password-said")
		race("file", func() error { _, _, err := h.File(ctx, h.by(h.tablet.ID, 0), h.tablet.ID); return err }, "parcel-fetched")
		if l := h.letters(); l["cleo@sample.example certificate-renewed"] != 1 || l["cleo@sample.example certificate-fetched"] != 1 {
			t.Errorf("told %v", l)
		}
		orphans, err := h.certs.Orphans(ctx, "wealth")
		if err != nil || len(orphans) != 0 {
			t.Errorf("%d orphans, %v", len(orphans), err)
		}
	})
}

// A renewal that is given up leaves nothing: cancelled by its owner, or left lying, it makes room for the next.
func TestREQ_A46_GivenUpLeavesNothing(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		ctx := t.Context()
		h.due()
		renew := func() pki.Certificate {
			t.Helper()
			c, err := h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.IOS)
			h.must(err)
			return c
		}
		first := renew()
		h.must(h.Cancel(ctx, h.by(h.tablet.ID, time.Hour), h.tablet.ID))
		second := renew()
		h.until(h.now().Add(renewal.FileLife - time.Second))
		h.must(h.Tidy(ctx, "wealth"))
		if !h.row(second.ID).Live(h.now()) {
			t.Error("ended before its time")
		}
		h.until(h.now().Add(time.Second))
		_, _, err := h.File(ctx, h.by(h.tablet.ID, 0), h.tablet.ID)
		wants(t, err, fault.Expired, "parcel-ended")
		h.must(h.Tidy(ctx, "wealth"))
		h.must(h.Tidy(ctx, "wealth"))
		third := renew()
		for _, c := range []pki.Certificate{first, second} {
			if got := h.row(c.ID); got.State != pki.Revoked {
				t.Errorf("given up, and %s", got.State)
			}
			h.must(h.store.Read(ctx, func(tx *sqlstore.Tx) error {
				p, err := tx.ParcelOf("wealth", c.ID)
				if len(p.File)+len(p.Password) > 0 {
					t.Error("a file is left")
				}
				return err
			}))
		}
		if _, _, err := h.File(ctx, h.by(h.tablet.ID, 0), h.tablet.ID); err != nil {
			t.Error(err)
		}
		h.until(h.now().Add(2 * renewal.FileLife)) // who has fetched it may install it when they like
		h.must(h.Tidy(ctx, "wealth"))
		h.show(third.ID)
		wants(t, h.Cancel(ctx, h.by(h.tablet.ID, 0), h.tablet.ID), fault.Conflict, "certificate-other")
	})
}

// What a crash left between the row and the certificate stands in nobody's way for longer than five minutes.
func TestSEC_C2_ARenewalThatWasCutShort(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.due()
		row := h.tablet
		row.ID, row.Serial, row.Key, row.Replaces, row.State, row.SHA256, row.DER = uuid.Must(uuid.NewV7()).String(), pki.NewSerial(), "k", h.tablet.ID, pki.Reserved, "", nil
		row.Created, row.Version = h.now(), 0
		h.must(h.store.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.AddCertificate(row) }))
		_, err := h.Renew(t.Context(), h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Linux)
		wants(t, err, fault.Exists, "certificate-succeeded")
		h.until(h.now().Add(5 * time.Minute))
		_, err = h.Renew(t.Context(), h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Linux)
		h.must(err)
		if h.row(row.ID).State != pki.Revoked {
			t.Error("the orphan is still there")
		}
	})
}

// bare hides from a renewal what it needs of a transaction, so that the commit that stores its certificate fails.
type bare struct{ certify.Store }

func (b bare) Write(ctx context.Context, do func(certify.Tx) error) error {
	return b.Store.Write(ctx, func(tx certify.Tx) error { return do(struct{ certify.Tx }{tx}) })
}

// A renewal whose commit fails leaves no row in the way of the next one.
func TestSEC_C2_ARenewalThatFails(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.due()
		good := h.certs.Store
		h.certs.Store, h.certs.Ended = bare{good}, nil
		if _, err := h.Renew(t.Context(), h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Linux); err == nil {
			t.Fatal("renewed without a file")
		}
		h.certs.Store, h.certs.Ended = good, renewal.EndSessions(h.now)
		if n := h.live(h.tablet.Device); n != 1 {
			t.Errorf("%d live", n)
		}
		_, err := h.Renew(t.Context(), h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Linux)
		h.must(err)
	})
}

// Never more than two of a device live: the third ends the first.
func TestREQ_A55_AtMostTwoOfADevice(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.due()
		second, err := h.Renew(t.Context(), h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Linux)
		h.must(err)
		h.show(second.ID)
		h.realm.Certificates.Renewal = 729 // it can be renewed the day it was made
		h.until(h.now().Add(25 * time.Hour))
		_, err = h.Renew(t.Context(), h.by(second.ID, 0), second.ID, keyfile.Linux)
		h.must(err)
		if n := h.live(h.tablet.Device); n != 2 || h.row(h.tablet.ID).Live(h.now()) {
			t.Errorf("%d live, the first %v", n, h.row(h.tablet.ID).Live(h.now()))
		}
	})
}

// Ended by its owner: for good only after a fresh login, the last one only on purpose; what is lost takes its whole device
// along, and the sessions.
func TestREQ_A56_EndedByItsOwner(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		ctx := t.Context()
		h.due()
		in := func(id, certificate string) {
			h.must(h.store.Write(ctx, func(tx *sqlstore.Tx) error {
				return tx.AddSession(session.Session{ID: id, Realm: "wealth", Person: h.cleo.ID, Hash: []byte(id), Evidence: []authn.Evidence{{Kind: authn.Cert, Credential: certificate, At: h.now()}},
					Created: h.now(), Seen: h.now(), Until: h.now().Add(time.Hour)})
			}))
		}
		sessions := func() (n int) {
			h.must(h.store.Read(ctx, func(tx *sqlstore.Tx) error {
				all, err := tx.Sessions("wealth", h.cleo.ID)
				n = len(all)
				return err
			}))
			return n
		}
		laptop := h.issue("Laptop")
		in("one", h.tablet.ID)
		in("two", laptop.ID)
		own, err := h.Suspend(ctx, h.by(laptop.ID, time.Hour), laptop.ID)
		if err != nil || !own || h.row(laptop.ID).State != pki.Suspended || sessions() != 1 {
			t.Errorf("suspended: %v, own %v, %s, %d sessions", err, own, h.row(laptop.ID).State, sessions())
		}
		_, err = h.Suspend(ctx, h.by(h.tablet.ID, time.Hour), laptop.ID)
		wants(t, err, fault.Conflict, "certificate-other")
		made, err := h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Linux)
		h.must(err)
		wants(t, h.End(ctx, h.by(h.tablet.ID, 6*time.Minute), laptop.ID, renewal.Unused, true), fault.Forbidden, "login-not-fresh")
		wants(t, h.End(ctx, h.by(h.tablet.ID, 0), laptop.ID, "boredom", true), fault.Invalid, "reason-unknown")
		wants(t, h.End(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, renewal.Replaced, true), fault.Conflict, "certificate-other")
		h.must(h.End(ctx, h.by(h.tablet.ID, 0), laptop.ID, renewal.Unused, false))
		wants(t, h.End(ctx, h.by(h.tablet.ID, 0), laptop.ID, renewal.Unused, false), fault.Conflict, "certificate-other")
		wants(t, h.End(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, renewal.Lost, false), fault.Invalid, "certificate-last")
		if h.row(h.tablet.ID).State != pki.Active || sessions() != 1 {
			t.Error("something ended")
		}
		h.must(h.End(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, renewal.Lost, true))
		for _, id := range []string{h.tablet.ID, made.ID} {
			if c := h.row(id); c.State != pki.Revoked || c.Reason != pki.KeyCompromise {
				t.Errorf("of the lost device: %s, %s", c.State, c.Reason)
			}
		}
		if sessions() != 0 {
			t.Error("a session goes on")
		}
		_, _, err = h.File(ctx, h.by(h.tablet.ID, 0), h.tablet.ID)
		wants(t, err, fault.NotFound, "not-found")
		if l := h.letters(); l["cleo@sample.example factor-suspended"] != 1 || l["cleo@sample.example factor-removed"] != 2 || l["mira@sample.example certificate-ended-console"] != 3 {
			t.Errorf("told %v", l)
		}
	})
}

// The old one goes at once where the owner says so, once the new one was shown; nobody is asked twice about that.
func TestREQ_A50_TheOldOneIsRemoved(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.due()
		made, err := h.Renew(t.Context(), h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Linux)
		h.must(err)
		h.show(made.ID)
		h.must(h.End(t.Context(), h.by(made.ID, 0), h.tablet.ID, renewal.Replaced, false))
		r, err := h.Of(t.Context(), h.by(made.ID, 0), h.tablet.ID)
		if err != nil || !r.Done() || h.row(h.tablet.ID).Reason != pki.Superseded || !h.row(made.ID).Live(h.now()) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// Reminders 60, 30, 14, 7 and 1 days before the end, once each, to owner and contact, and none after the renewal.
func TestREQ_A53_SEC_C9_Reminders(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		ctx := t.Context()
		left := func(days int) { h.until(h.tablet.NotAfter.AddDate(0, 0, -days)) }
		mine, hers := "cleo@sample.example certificate-ending", "mira@sample.example certificate-ending-console"
		want := 0
		for days := 70; days > 0; days-- {
			left(days)
			if slices.Contains([]int{60, 30, 14, 7, 1}, days) {
				want++
			}
			for range 2 {
				h.must(h.Remind(ctx, h.realm.Realm))
			}
			if l := h.letters(); l[mine] != want || l[hers] != want {
				t.Fatalf("%d days before: %v, want %d each", days, l, want)
			}
		}
		h.until(h.tablet.NotAfter)
		h.must(h.Remind(ctx, h.realm.Realm))
		if l := h.letters(); l[mine] != 5 {
			t.Errorf("after the end: %v", l)
		}
		// Who was away gets the last that is due, not all.
		h.tablet = h.issue("Laptop")
		left(5)
		h.must(h.Remind(ctx, h.realm.Realm))
		if l := h.letters(); l[mine] != 6 {
			t.Errorf("late: %v", l)
		}
		_, err := h.Renew(ctx, h.by(h.tablet.ID, 0), h.tablet.ID, keyfile.Linux)
		h.must(err)
		left(1)
		h.must(h.Remind(ctx, h.realm.Realm))
		if l := h.letters(); l[mine] != 6 {
			t.Errorf("after the renewal: %v", l)
		}
		// A realm whose certificates live for a month writes when they can be renewed, not before.
		h.realm.Certificates.Days = 30
		h.tablet = h.issue("Phone")
		left(20)
		h.must(h.Remind(ctx, h.realm.Realm))
		if l := h.letters(); l[mine] != 6 {
			t.Errorf("before the window: %v", l)
		}
		left(14)
		h.must(h.Remind(ctx, h.realm.Realm))
		if l := h.letters(); l[mine] != 7 {
			t.Errorf("in the window: %v", l)
		}
		// Who may not sign in is not written to, and neither is their contact.
		h.must(h.store.Write(ctx, func(tx *sqlstore.Tx) error {
			p, err := tx.Person("wealth", h.cleo.ID)
			p.State = directory.Disabled
			return errors.Join(err, tx.UpdatePerson(p))
		}))
		left(7)
		h.must(h.Remind(ctx, h.realm.Realm))
		if l := h.letters(); l[mine] != 7 || l[hers] != 7 {
			t.Errorf("disabled: %v", l)
		}
	})
}

// Sixty-four nodes write each reminder once.
func TestREQ_A53_RemindedAmong64(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		for _, name := range []string{"A", "B", "C"} {
			h.issue(name)
		}
		h.due()
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				if err := h.Remind(context.WithoutCancel(t.Context()), h.realm.Realm); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if l := h.letters(); l["cleo@sample.example certificate-ending"] != 4 || l["mira@sample.example certificate-ending-console"] != 4 {
			t.Errorf("told %v", l)
		}
	})
}
