package handover_test

import (
	"crypto/x509"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"

	"doorward/internal/apply"
	"doorward/internal/audit"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/handover"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// desk is a wealth realm with an authority, a client and staff.
type desk struct {
	*handover.Service
	t                   *testing.T
	store               *sqlstore.Store
	mu                  sync.Mutex
	at                  time.Time
	box                 []mail.Message
	realm               *login.Realm
	staff, org          directory.Organization
	cleo                directory.Person // the client
	mira, ben, outsider directory.Person // her contact, another agent, a customer's administrator elsewhere
}

func (d *desk) now() time.Time { d.mu.Lock(); defer d.mu.Unlock(); return d.at }
func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func each(t *testing.T, test func(d *desk)) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		d := &desk{t: t, store: s, at: start}
		a := &apply.Realms{Store: sqlstore.For[apply.RealmTx](s), Clock: d.now}
		_, err := a.Apply(t.Context(), "wealth.toml", realms.Wealth, false)
		d.must(err)
		cache, err := apply.NewCache(t.Context(), sqlstore.For[apply.CacheTx](s), slog.New(slog.DiscardHandler))
		d.must(err)
		d.realm, err = cache.Realm("wealth")
		d.must(err)
		issuer := &certify.Service{Store: sqlstore.For[certify.Tx](s), Clock: d.now, Epoch: s.Epoch, Realm: func(id string) (directory.Realm, error) {
			r, err := cache.Realm(id)
			if err != nil {
				return directory.Realm{}, err
			}
			return r.Realm, nil
		}}
		key, _, err := pki.NewKey(pki.Root)
		d.must(err)
		der, err := pki.MakeRoot(key, "Sample Root", "Sample", start)
		d.must(err)
		root, err := x509.ParseCertificate(der)
		d.must(err)
		_, err = issuer.Found(t.Context(), "wealth", root, key)
		d.must(err)
		d.Service = &handover.Service{Store: sqlstore.For[handover.Tx](s), Issuer: issuer, Ring: testdb.Ring(), Realms: cache, Clock: d.now}
		d.org = directory.Organization{ID: uuid.Must(uuid.NewV7()).String(), Realm: "wealth", Name: "Alder", State: directory.Active, Created: start}
		other := d.org
		other.ID, other.Name = uuid.Must(uuid.NewV7()).String(), "Birch"
		d.must(s.Write(t.Context(), func(tx *sqlstore.Tx) (err error) {
			if d.staff, err = tx.StaffOrganization("wealth"); err != nil {
				return err
			}
			if err := tx.AddOrganization(d.org); err != nil {
				return err
			}
			return tx.AddOrganization(other)
		}))
		d.mira, d.ben = d.add("mira", directory.Agent, d.staff, ""), d.add("ben", directory.Agent, d.staff, "")
		d.outsider = d.add("otto", directory.Administrator, other, "")
		d.cleo = d.add("cleo", directory.Member, d.org, d.mira.ID)
		test(d)
	})
}

func (d *desk) add(name string, role directory.Role, in directory.Organization, contact string) directory.Person {
	p := directory.Person{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: "wealth", Organization: in.ID, Address: name + "@sample.example", Name: name, Role: role,
		State: directory.Active, Language: "en", Created: start, FirstActive: start, Contact: contact,
	}
	d.must(d.store.Write(d.t.Context(), func(tx *sqlstore.Tx) error { return tx.AddPerson(p) }))
	return p
}

func (d *desk) as(p directory.Person) login.By {
	org := d.org
	if p.Role.Staff() {
		org = d.staff
	}
	return login.By{Signed: login.Signed{Realm: d.realm, Organization: org, Person: p}, Network: "192.0.2.1"}
}

func (d *desk) order() handover.Order {
	return handover.Order{Person: d.cleo.ID, Device: "Laptop in the office", Target: keyfile.Windows, Reason: "new client, opened on Monday"}
}

// link is the newest one that was mailed.
func (d *desk) link() string {
	d.t.Helper()
	newest := mail.Message{}
	for _, m := range d.letters(d.cleo, "certificate-file") {
		if m.ID > newest.ID {
			newest = m
		}
	}
	_, link, ok := strings.Cut(newest.Args["link"], handover.Path)
	if !ok {
		d.t.Fatalf("no link was mailed: %+v", newest)
	}
	return link
}

// letters are those of a template to somebody, taken from the outbox as the worker does.
func (d *desk) letters(to directory.Person, template string) (found []mail.Message) {
	d.must(d.store.Write(d.t.Context(), func(tx *sqlstore.Tx) error {
		due, err := tx.ClaimMail(d.now(), 24*365*time.Hour, 100)
		d.box = append(d.box, due...)
		return err
	}))
	for _, m := range d.box {
		if m.Person == to.ID && m.Template == template {
			found = append(found, m)
		}
	}
	return found
}

func (d *desk) events(p directory.Person) (types []string) {
	d.must(d.store.Read(d.t.Context(), func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: "wealth", Person: p.ID, Limit: 100})
		for _, e := range all {
			types = append(types, e.Type+" "+e.Actor)
		}
		return err
	}))
	return types
}

func (d *desk) certificate(id string) (c pki.Certificate) {
	d.must(d.store.Read(d.t.Context(), func(tx *sqlstore.Tx) (err error) { c, err = tx.Certificate("wealth", id); return err }))
	return c
}

func (d *desk) stored(id string) (p keyfile.Parcel) {
	d.must(d.store.Read(d.t.Context(), func(tx *sqlstore.Tx) (err error) { p, err = tx.Parcel("wealth", id); return err }))
	return p
}

func code(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return ""
}

// The file opens with the password that the contact was shown, and holds the certificate that was issued; both are there
// once, and what remains in the database opens nothing.
func TestREQ_A11_A12_A16_SEC_C8_FileAndPasswordOnce(t *testing.T) {
	each(t, func(d *desk) {
		ctx := d.t.Context()
		p, err := d.Send(ctx, d.as(d.ben), d.order())
		d.must(err)
		if p.Contact != d.mira.ID || p.File != nil || p.Password != nil || d.certificate(p.Certificate).State != pki.Issued {
			t.Fatalf("%+v", p)
		}
		if n := len(d.letters(d.mira, "certificate-contact")); n != 1 {
			t.Errorf("%d letters to the contact", n)
		}
		link := d.link()
		for range 50 { // what scanners do
			if w, err := d.Peek(ctx, "wealth", link); err != nil || w.Contact.ID != d.mira.ID || w.Parcel.File != nil || w.Parcel.Password != nil {
				t.Fatalf("%v %+v", err, w)
			}
		}
		if _, _, err := d.Say(ctx, d.as(d.ben), p.ID); code(err) != "contact-only" {
			t.Errorf("the issuer sees the password: %v", err)
		}
		if _, _, err := d.Say(ctx, d.as(d.outsider), p.ID); !fault.Of(err, fault.NotFound) {
			t.Errorf("another customer: %v", err)
		}
		password, _, err := d.Say(ctx, d.as(d.mira), p.ID)
		d.must(err)
		if _, _, err := d.Say(ctx, d.as(d.mira), p.ID); code(err) != "password-said" {
			t.Errorf("twice: %v", err)
		}
		caller := login.Caller{Realm: "wealth", Network: "198.51.100.7", Agent: "Firefox"}
		f, w, err := d.Fetch(ctx, caller, link)
		d.must(err)
		if f.Name != "wealth-2028.p12" || f.Type != keyfile.PKCS12Type || w.Person.ID != d.cleo.ID {
			t.Errorf("%q %q %+v", f.Name, f.Type, w)
		}
		_, leaf, chain, err := pkcs12.DecodeChain(f.Bytes, string(password))
		d.must(err)
		if pki.Hash(leaf.Raw) != d.certificate(p.Certificate).SHA256 || len(chain) != 1 {
			t.Errorf("another certificate, or %d above it", len(chain))
		}
		if _, _, err := d.Fetch(ctx, caller, link); code(err) != "parcel-fetched" {
			t.Errorf("twice: %v", err)
		}
		if s := d.stored(p.ID); len(s.File)+len(s.Password) != 0 || s.State != keyfile.Fetched || s.Said.IsZero() {
			t.Errorf("left: %+v", s)
		}
		for _, m := range append(d.letters(d.cleo, "certificate-file"), d.letters(d.mira, "certificate-contact")...) {
			for k, v := range m.Args {
				if strings.Contains(v, string(password)) {
					t.Errorf("%s of %s holds the password", k, m.Template)
				}
			}
		}
		if n := len(d.letters(d.cleo, "certificate-fetched")); n != 1 {
			t.Errorf("%d letters about the fetch", n)
		}
		trail := strings.Join(d.events(d.cleo), "\n")
		for _, want := range []string{"certificate.issued " + d.ben.ID, "certificate.sent " + d.ben.ID, "certificate.password-said " + d.mira.ID, "certificate.fetched " + d.cleo.ID} {
			if !strings.Contains(trail, want) {
				t.Errorf("no %s in\n%s", want, trail)
			}
		}
	})
}

func TestSEC_C8_SixtyFourFetchesAreOne(t *testing.T) {
	each(t, func(d *desk) {
		p, err := d.Send(d.t.Context(), d.as(d.ben), d.order())
		d.must(err)
		link := d.link()
		var wg sync.WaitGroup
		var mu sync.Mutex
		files, said := 0, 0
		for range 64 {
			wg.Go(func() {
				f, _, err := d.Fetch(d.t.Context(), login.Caller{Realm: "wealth"}, link)
				_, _, err2 := d.Say(d.t.Context(), d.as(d.mira), p.ID)
				mu.Lock()
				defer mu.Unlock()
				if err == nil && len(f.Bytes) > 0 {
					files++
				} else if code(err) != "parcel-fetched" {
					t.Errorf("fetch: %v", err)
				}
				if err2 == nil {
					said++
				} else if code(err2) != "password-said" {
					t.Errorf("say: %v", err2)
				}
			})
		}
		wg.Wait()
		if files != 1 || said != 1 {
			t.Errorf("%d files, %d passwords", files, said)
		}
	})
}

// Nothing half-issued: what is refused leaves neither certificate nor parcel nor mail, and typed text is the caller's.
func TestREQ_A11_WhatIsRefusedLeavesNothing(t *testing.T) {
	each(t, func(d *desk) {
		ctx := d.t.Context()
		none := d.add("nora", directory.Member, d.org, "")
		gone := d.add("gus", directory.Member, d.org, d.mira.ID)
		gone.State = directory.Disabled
		d.must(d.store.Write(ctx, func(tx *sqlstore.Tx) error { return tx.UpdatePerson(gone) }))
		auditor := d.add("audrey", directory.Auditor, d.staff, "")
		for _, c := range []struct {
			name, want string
			by         directory.Person
			change     func(*handover.Order)
		}{
			{"no device", "device-missing", d.ben, func(o *handover.Order) { o.Device = " \t" }},
			{"a long device", "device-long", d.ben, func(o *handover.Order) { o.Device = strings.Repeat("x", 41) }},
			{"no reason", "reason-short", d.ben, func(o *handover.Order) { o.Reason = "x" }},
			{"another system", "target-unknown", d.ben, func(o *handover.Order) { o.Target = "beos" }},
			{"no contact", "contact-missing", d.ben, func(o *handover.Order) { o.Person = none.ID }},
			{"a member as contact", "contact-missing", d.ben, func(o *handover.Order) { o.Contact = none.ID }},
			{"an auditor as contact", "contact-missing", d.ben, func(o *handover.Order) { o.Contact = auditor.ID }},
			{"somebody shut", "person-shut", d.ben, func(o *handover.Order) { o.Person = gone.ID }},
			{"an auditor", "not-allowed", auditor, nil},
			{"another customer", "not-found", d.outsider, nil},
			{"herself", "not-allowed", d.cleo, nil},
		} {
			o := d.order()
			if c.change != nil {
				c.change(&o)
			}
			if _, err := d.Send(ctx, d.as(c.by), o); code(err) != c.want {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
		}
		d.must(d.store.Read(ctx, func(tx *sqlstore.Tx) error {
			all, err := tx.Certificates("wealth", "", 10)
			if len(all) != 0 {
				t.Errorf("%d certificates", len(all))
			}
			return err
		}))
		if n := len(d.letters(d.cleo, "certificate-file")); n != 0 {
			t.Errorf("%d letters", n)
		}
		// A contact that is chosen becomes the person's.
		o := d.order()
		o.Person, o.Contact = none.ID, d.ben.ID
		_, err := d.Send(ctx, d.as(d.ben), o)
		d.must(err)
		d.must(d.store.Read(ctx, func(tx *sqlstore.Tx) error {
			p, err := tx.Person("wealth", none.ID)
			if p.Contact != d.ben.ID {
				t.Errorf("contact %q", p.Contact)
			}
			return err
		}))
	})
}

// A link ends, a new one voids the old, a withdrawn parcel takes its certificate along, and a revoked certificate's file is
// given to nobody.
func TestREQ_A16_LinksEndAndParcelsAreWithdrawn(t *testing.T) {
	each(t, func(d *desk) {
		ctx := d.t.Context()
		caller := login.Caller{Realm: "wealth"}
		p, err := d.Send(ctx, d.as(d.ben), d.order())
		d.must(err)
		first := d.link()
		d.at = d.at.Add(handover.LinkLife - time.Second)
		_, err = d.Peek(ctx, "wealth", first)
		d.must(err)
		d.at = d.at.Add(time.Second)
		if _, _, err := d.Fetch(ctx, caller, first); code(err) != "link-expired" {
			t.Errorf("a second late: %v", err)
		}
		_, err = d.Resend(ctx, d.as(d.ben), p.ID)
		d.must(err)
		second := d.link()
		if _, err := d.Peek(ctx, "wealth", first); code(err) != "link-unknown" || first == second {
			t.Errorf("the old link: %v", err)
		}
		for _, bad := range []string{"", "x", second[:len(second)-1], strings.Repeat("Z", 300), second + "A"} {
			if _, _, err := d.Fetch(ctx, caller, bad); code(err) != "link-unknown" {
				t.Errorf("%q: %v", bad, err)
			}
		}
		if _, err := d.Revoke(ctx, d.as(d.ben), p.Certificate, pki.Cessation, "no"); code(err) != "reason-short" {
			t.Error(err)
		}
		_, err = d.Revoke(ctx, d.as(d.ben), p.Certificate, pki.Cessation, "sent to the wrong device")
		d.must(err)
		if s, c := d.stored(p.ID), d.certificate(p.Certificate); s.State != keyfile.Ended || len(s.File)+len(s.Password) != 0 || c.State != pki.Revoked {
			t.Errorf("%+v %s", s, c.State)
		}
		if _, _, err := d.Fetch(ctx, caller, second); code(err) != "parcel-ended" {
			t.Errorf("withdrawn: %v", err)
		}
		if _, _, err := d.Say(ctx, d.as(d.mira), p.ID); code(err) != "parcel-ended" {
			t.Errorf("withdrawn: %v", err)
		}
		if n := len(d.letters(d.cleo, "certificate-withdrawn")); n != 1 {
			t.Errorf("%d letters", n)
		}

		p, err = d.Send(ctx, d.as(d.ben), d.order())
		d.must(err)
		d.must(d.Issuer.Revoke(ctx, certify.Changed{Realm: "wealth", ID: p.Certificate, Reason: pki.KeyCompromise, By: certify.Operator}))
		if _, _, err := d.Fetch(ctx, caller, d.link()); code(err) != "parcel-ended" {
			t.Errorf("revoked elsewhere: %v", err)
		}
		_, err = d.Revoke(ctx, d.as(d.ben), p.Certificate, pki.Cessation, "it was revoked before")
		d.must(err)
		if s := d.stored(p.ID); s.State != keyfile.Ended || len(s.File) != 0 {
			t.Errorf("%+v", s)
		}

		// What nobody fetches is erased by the sweep.
		p, err = d.Send(ctx, d.as(d.ben), d.order())
		d.must(err)
		d.at = d.at.Add(handover.LinkLife)
		d.must(d.store.Write(ctx, func(tx *sqlstore.Tx) error { _, err := tx.Sweep(d.now()); return err }))
		if s := d.stored(p.ID); s.State != keyfile.Ended || len(s.File)+len(s.Password) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// The last place among somebody's devices is given once, whoever asks for it at the same moment.
func TestREQ_A11_TheLastPlaceAmongDevicesIsGivenOnce(t *testing.T) {
	each(t, func(d *desk) {
		d.must(d.store.Write(d.t.Context(), func(tx *sqlstore.Tx) error {
			for range 19 {
				id := uuid.Must(uuid.NewV7()).String()
				if err := tx.AddCertificate(pki.Certificate{
					ID: id, Realm: "wealth", Person: d.cleo.ID, Device: id, Name: "one of many", Issuer: "none", Serial: id, Key: id, State: pki.Issued,
					Created: start, NotBefore: start, NotAfter: start.AddDate(2, 0, 0),
				}); err != nil {
					return err
				}
			}
			return nil
		}))
		var wg sync.WaitGroup
		var mu sync.Mutex
		sent := 0
		for range 64 {
			wg.Go(func() {
				_, err := d.Send(d.t.Context(), d.as(d.ben), d.order())
				mu.Lock()
				defer mu.Unlock()
				switch c := code(err); {
				case err == nil:
					sent++
				case c != "devices-many" && c != "stale":
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if sent != 1 {
			t.Errorf("%d were sent", sent)
		}
		if _, err := d.Send(d.t.Context(), d.as(d.ben), d.order()); code(err) != "devices-many" {
			t.Errorf("one more: %v", err)
		}
	})
}
