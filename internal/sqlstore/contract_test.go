package sqlstore_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"doorward/internal/admin"
	"doorward/internal/apply"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/job"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/selfservice"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// What every service needs of a transaction is there.
var (
	_ login.Tx       = (*sqlstore.Tx)(nil)
	_ admin.PeopleTx = (*sqlstore.Tx)(nil)
	_ selfservice.Tx = (*sqlstore.Tx)(nil)
	_ audit.Tx       = (*sqlstore.Tx)(nil)
	_ apply.RealmTx  = (*sqlstore.Tx)(nil)
	_ apply.CacheTx  = (*sqlstore.Tx)(nil)
	_ job.Tx         = (*sqlstore.Tx)(nil)
	_ mail.Tx        = (*sqlstore.Tx)(nil)
)

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// put writes and fails the test when that fails.
func put(t testing.TB, s *sqlstore.Store, fn func(*sqlstore.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// get reads one value and fails the test when that fails.
func get[T any](t testing.TB, s *sqlstore.Store, fn func(*sqlstore.Tx) (T, error)) (v T) {
	t.Helper()
	if err := s.Read(t.Context(), func(tx *sqlstore.Tx) (err error) { v, err = fn(tx); return err }); err != nil {
		t.Fatal(err)
	}
	return v
}

// refused expects an error of a kind and code.
func refused(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	if !errors.Is(err, fault.New(kind, code)) {
		t.Errorf("got %v, want %v: %s", err, kind, code)
	}
}

// filled returns a value whose every stored field differs from zero, so that a field the store forgets is seen.
func filled[T any](change func(*T)) T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	change(&v)
	return v
}

func fill(v reflect.Value, n *int) {
	*n++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(noon.Add(time.Duration(*n) * time.Second)))
		return
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(time.Duration(*n) * time.Second))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("value %d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		m.SetMapIndex(key, value)
		v.Set(m)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" && v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	default:
		panic("fill " + v.Type().String())
	}
}

func same(t testing.TB, got, want any, options ...cmp.Option) {
	t.Helper()
	if d := cmp.Diff(want, got, append(options, cmpopts.EquateEmpty())...); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Everything that is put in comes out, field by field.
func TestEveryFieldIsKept(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		realm := filled(func(r *directory.Realm) { r.ID, r.Version = "shop", 0 })
		org := filled(func(o *directory.Organization) { o.ID, o.Realm = newID(), "shop" })
		// What lets somebody in for a time is marked by a statement of its own (exemption.go), and no write of a person takes it back;
		// until when a certificate holds stands with the certificate.
		person := filled(func(p *directory.Person) { p.ID, p.Realm, p.Exempt, p.ExemptUntil = newID(), "shop", "", time.Time{} })
		cred := filled(func(c *authn.Credential) {
			c.ID, c.Realm, c.Person, c.State, c.Expires = newID(), "shop", person.ID, authn.Suspended, time.Time{}
		})
		flow := filled(func(f *authn.Flow) { f.ID, f.Realm, f.Now, f.Subject = newID(), "shop", time.Time{}, authn.Subject{} })
		link := filled(func(o *authn.OneTime) { o.ID, o.Realm, o.Person = newID(), "shop", person.ID })
		sess := filled(func(v *session.Session) { v.ID, v.Realm, v.Person = newID(), "shop", person.ID })
		device := filled(func(d *session.Device) { d.ID = newID() })
		accepted := filled(func(a *directory.Acceptance) { a.ID, a.Realm, a.Person = newID(), "shop", person.ID })
		preferred := filled(func(p *directory.Preference) { p.Person = person.ID })
		event := filled(func(e *audit.Event) { e.ID, e.Realm = newID(), "shop" })
		letter := filled(func(m *mail.Message) { m.ID, m.State, m.Due = newID(), mail.Waiting, noon })
		point := filled(func(*audit.Checkpoint) {})
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(tx.PutRealm(realm), tx.AddOrganization(org), tx.AddPerson(person), tx.AddCredential(cred), tx.AddFlow(flow),
				tx.AddOneTime(link), tx.AddSession(sess), tx.AddDevice(device), tx.AddAcceptance(accepted),
				tx.PutPreference("shop", preferred), tx.Audit(event), tx.Enqueue(letter), tx.AddCheckpoint(point))
		})
		realm.Version = 1
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Realm, error) { return tx.Realm("shop") }), realm)
		same(t, get(t, s, (*sqlstore.Tx).Realms), []directory.Realm{realm})
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Organization, error) { return tx.Organization("shop", org.ID) }), org)
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Organization, error) {
			return tx.OrganizationByName("shop", strings.ToUpper(org.Name))
		}), org)
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Organization, error) { return tx.StaffOrganization("shop") }), org)
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Person, error) { return tx.Person("shop", person.ID) }), person)
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Person, error) { return tx.PersonByAddress("shop", person.Address) }), person)
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]authn.Credential, error) { return tx.Credentials("shop", person.ID) }), []authn.Credential{cred})
		bare := cred
		bare.Data = nil
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]authn.Credential, error) {
			return tx.CredentialsOf("shop", []string{person.ID})
		}), []authn.Credential{bare})
		same(t, get(t, s, func(tx *sqlstore.Tx) (authn.Flow, error) { return tx.Flow("shop", flow.ID) }), flow)
		same(t, get(t, s, func(tx *sqlstore.Tx) (authn.OneTime, error) { return tx.OneTimeByHash(link.Kind, link.Hash) }), link)
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]authn.OneTime, error) { return tx.OneTimes("shop", person.ID, link.Kind) }), []authn.OneTime{link})
		same(t, get(t, s, func(tx *sqlstore.Tx) (session.Session, error) { return tx.SessionByHash(sess.Hash) }), sess)
		same(t, get(t, s, func(tx *sqlstore.Tx) (session.Device, error) { return tx.DeviceByHash(device.Hash) }), device)
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]directory.Acceptance, error) { return tx.Acceptances("shop", person.ID) }), []directory.Acceptance{accepted})
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]directory.Preference, error) { return tx.Preferences("shop", person.ID) }), []directory.Preference{preferred})
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]audit.Event, error) { return tx.Events(audit.Query{Realm: "shop"}) }), []audit.Event{event})
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]audit.Checkpoint, error) { return tx.Checkpoints(1) }), []audit.Checkpoint{point})
		noArgs := letter
		noArgs.Args = nil
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]mail.Message, error) { return tx.Mails(letter.Realm, letter.Person, 9) }), []mail.Message{noArgs})
		put(t, s, func(tx *sqlstore.Tx) error {
			claimed, err := tx.ClaimMail(noon, time.Minute, 9)
			same(t, claimed, []mail.Message{letter})
			return err
		})

		// And what an update stores, with every other value.
		realm2 := filled(func(r *directory.Realm) { r.ID, r.Version, r.Name = "shop", 1, "another" })
		org2, person2, cred2, flow2 := org, person, cred, flow
		org2.Name, org2.State, org2.Policy, org2.Manager = "n", "s", "p", "m"
		person2 = filled(func(p *directory.Person) {
			p.Name, p.Bounced, p.Exempt, p.ExemptUntil = "Zoe", false, "", time.Time{}
			p.ID, p.Realm, p.Created, p.FirstActive, p.Version = person.ID, "shop", person.Created, person.FirstActive, person.Version
		})
		cred2.State, cred2.Name, cred2.Model, cred2.Data, cred2.LastUsed, cred2.Ended = authn.Active, "n", "m", []byte("d"), noon, noon
		flow2 = filled(func(f *authn.Flow) {
			f.ID, f.Realm, f.Version, f.Now, f.Subject = flow.ID, "shop", flow.Version, time.Time{}, authn.Subject{}
			f.Evidence, f.Open = nil, authn.Question{}
		})
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(tx.PutRealm(realm2), tx.UpdateOrganization(org2), tx.UpdatePerson(person2), tx.UpdateCredential(cred2), tx.UpdateFlow(flow2))
		})
		realm2.Version++
		org2.Version++
		person2.Version++
		cred2.Version++
		flow2.Version++
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Realm, error) { return tx.Realm("shop") }), realm2)
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Organization, error) { return tx.Organization("shop", org.ID) }), org2)
		same(t, get(t, s, func(tx *sqlstore.Tx) (directory.Person, error) { return tx.Person("shop", person.ID) }), person2)
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]authn.Credential, error) { return tx.Credentials("shop", person.ID) }), []authn.Credential{cred2})
		same(t, get(t, s, func(tx *sqlstore.Tx) (authn.Flow, error) { return tx.Flow("shop", flow.ID) }), flow2)

		// A stale copy changes nothing.
		for name, update := range map[string]func(*sqlstore.Tx) error{
			"realm":        func(tx *sqlstore.Tx) error { return tx.PutRealm(realm) },
			"organization": func(tx *sqlstore.Tx) error { return tx.UpdateOrganization(org) },
			"person":       func(tx *sqlstore.Tx) error { return tx.UpdatePerson(person) },
			"credential":   func(tx *sqlstore.Tx) error { return tx.UpdateCredential(cred) },
			"flow":         func(tx *sqlstore.Tx) error { return tx.UpdateFlow(flow) },
		} {
			t.Run(name, func(t *testing.T) { refused(t, s.Write(t.Context(), update), fault.Conflict, "stale") })
		}
	})
}

// What is not there is "not-found", also for the right id in the wrong realm; what is there already "exists".
func TestMissingAndTaken(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		p := directory.Person{ID: newID(), Realm: "shop", Address: "ann@example.com", Name: "Ann"}
		o := directory.Organization{ID: newID(), Realm: "shop", Name: "North", Staff: true}
		f := authn.Flow{ID: newID(), Realm: "shop", State: authn.FlowOpen}
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(tx.AddPerson(p), tx.AddOrganization(o), tx.AddFlow(f),
				tx.PutRealm(directory.Realm{ID: "shop", Host: "shop.example"}), tx.PutRealm(directory.Realm{ID: "wealth", Host: "wealth.example"}))
		})
		missing := map[string]func(*sqlstore.Tx) error{
			"realm":                      func(tx *sqlstore.Tx) error { _, err := tx.Realm("none"); return err },
			"person":                     func(tx *sqlstore.Tx) error { _, err := tx.Person("shop", "none"); return err },
			"person of another realm":    func(tx *sqlstore.Tx) error { _, err := tx.Person("wealth", p.ID); return err },
			"address of another realm":   func(tx *sqlstore.Tx) error { _, err := tx.PersonByAddress("wealth", p.Address); return err },
			"organization of another":    func(tx *sqlstore.Tx) error { _, err := tx.Organization("wealth", o.ID); return err },
			"staff of another":           func(tx *sqlstore.Tx) error { _, err := tx.StaffOrganization("wealth"); return err },
			"flow of another realm":      func(tx *sqlstore.Tx) error { _, err := tx.Flow("wealth", f.ID); return err },
			"session":                    func(tx *sqlstore.Tx) error { _, err := tx.SessionByHash([]byte("x")); return err },
			"device":                     func(tx *sqlstore.Tx) error { _, err := tx.DeviceByHash([]byte("x")); return err },
			"one-time secret":            func(tx *sqlstore.Tx) error { _, err := tx.OneTimeByHash(authn.Mail, []byte("x")); return err },
			"tree hash":                  func(tx *sqlstore.Tx) error { _, err := tx.TreeHashes([]int64{0}); return err },
			"person to update":           func(tx *sqlstore.Tx) error { return tx.UpdatePerson(directory.Person{ID: "none"}) },
			"flow to update":             func(tx *sqlstore.Tx) error { return tx.UpdateFlow(authn.Flow{ID: "none"}) },
			"credential to update":       func(tx *sqlstore.Tx) error { return tx.UpdateCredential(authn.Credential{ID: "none"}) },
			"realm to update":            func(tx *sqlstore.Tx) error { return tx.PutRealm(directory.Realm{ID: "none", Version: 3}) },
			"one-time secret to use":     func(tx *sqlstore.Tx) error { return tx.UseOneTime("none", authn.Mail, noon) },
			"person to sign in":          func(tx *sqlstore.Tx) error { return tx.SignedIn("shop", "none", noon) },
			"mail to finish":             func(tx *sqlstore.Tx) error { return tx.FinishMail(mail.Message{ID: "none"}) },
			"address with a NUL":         func(tx *sqlstore.Tx) error { _, err := tx.PersonByAddress("shop", "a\x00b"); return err },
			"address that is not UTF-8":  func(tx *sqlstore.Tx) error { _, err := tx.PersonByAddress("shop", "a\xffb"); return err },
			"flow by an id with a quote": func(tx *sqlstore.Tx) error { _, err := tx.Flow("shop", "' OR 1=1 --"); return err },
		}
		for name, do := range missing {
			t.Run(name, func(t *testing.T) { refused(t, s.Write(t.Context(), do), fault.NotFound, "not-found") })
		}
		taken := map[string]func(*sqlstore.Tx) error{
			"id": func(tx *sqlstore.Tx) error { return tx.AddPerson(directory.Person{ID: p.ID, Realm: "wealth"}) },
			"address": func(tx *sqlstore.Tx) error {
				return tx.AddPerson(directory.Person{ID: newID(), Realm: "shop", Address: p.Address})
			},
			"organization name": func(tx *sqlstore.Tx) error {
				return tx.AddOrganization(directory.Organization{ID: newID(), Realm: "shop", Name: "NORTH"})
			},
			"staff organization": func(tx *sqlstore.Tx) error {
				return tx.AddOrganization(directory.Organization{ID: newID(), Realm: "shop", Name: "South", Staff: true})
			},
			"flow":  func(tx *sqlstore.Tx) error { return tx.AddFlow(f) },
			"realm": func(tx *sqlstore.Tx) error { return tx.PutRealm(directory.Realm{ID: "shop", Host: "other.example"}) },
			"host":  func(tx *sqlstore.Tx) error { return tx.PutRealm(directory.Realm{ID: "third", Host: "shop.example"}) },
			"host by an update": func(tx *sqlstore.Tx) error {
				return tx.PutRealm(directory.Realm{ID: "wealth", Host: "shop.example", Version: 1})
			},
		}
		for name, do := range taken {
			t.Run(name, func(t *testing.T) { refused(t, s.Write(t.Context(), do), fault.Exists, "exists") })
		}
		t.Run("the transaction goes on after exists", func(t *testing.T) {
			put(t, s, func(tx *sqlstore.Tx) error {
				refused(t, tx.AddPerson(directory.Person{ID: newID(), Realm: "shop", Address: p.Address}), fault.Exists, "exists")
				return tx.AddPerson(directory.Person{ID: "second", Realm: "shop", Address: "bob@example.com"})
			})
			get(t, s, func(tx *sqlstore.Tx) (directory.Person, error) { return tx.Person("shop", "second") })
		})
		t.Run("an error of the database undoes the transaction even when swallowed", func(t *testing.T) {
			err := s.Write(t.Context(), func(tx *sqlstore.Tx) error {
				if err := tx.AddPerson(directory.Person{ID: "third", Realm: "shop", Address: "cyd@example.com"}); err != nil {
					return err
				}
				_ = tx.PutRealm(directory.Realm{ID: "wealth", Host: "shop.example", Version: 1})
				return nil
			})
			refused(t, err, fault.Exists, "exists")
			refused(t, s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.Person("shop", "third"); return err }), fault.NotFound, "not-found")
		})
	})
}

// A reading transaction cannot write, and none can be used after its end.
func TestReadersCannotWrite(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		var kept *sqlstore.Tx
		err := s.Read(t.Context(), func(tx *sqlstore.Tx) error {
			kept = tx
			for name, do := range map[string]func() error{
				"AddPerson":  func() error { return tx.AddPerson(directory.Person{ID: "p"}) },
				"Reserve":    func() error { _, _, err := tx.Reserve("k", 1, time.Minute, noon); return err },
				"UseOneTime": func() error { return tx.UseOneTime("x", authn.Mail, noon) },
				"ClaimMail":  func() error { _, err := tx.ClaimMail(noon, time.Minute, 1); return err },
				"Audit":      func() error { return tx.Audit(audit.Event{}) },
			} {
				if do() == nil {
					t.Errorf("%s writes in a reading transaction", name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kept.Person("r", "p"); err == nil || fault.As(err) != nil {
			t.Errorf("a transaction works after its end: %v", err)
		}
		put(t, s, func(tx *sqlstore.Tx) error { kept = tx; return nil })
		if err := kept.Audit(audit.Event{}); err == nil {
			t.Error("a transaction writes after its commit")
		}
	})
}
