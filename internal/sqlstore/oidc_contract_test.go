package sqlstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/oidc"
	"doorward/internal/secret"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// What the provider needs of a transaction is there.
var _ oidc.Tx = (*sqlstore.Tx)(nil)

// issued is one of each thing the provider keeps, every field set, all of realm "shop".
type issued struct {
	key     token.Key
	request token.Request
	grant   token.Authorization
	code    token.Code
	refresh token.Refresh
	consent token.Consent
	device  token.Device
	logout  token.Logout
	session session.Session
}

func issue() issued {
	return issued{
		key:     filled(func(k *token.Key) { k.Realm = "shop" }),
		request: filled(func(q *token.Request) { q.ID, q.Realm = newID(), "shop" }),
		grant:   filled(func(a *token.Authorization) { a.ID, a.Realm = newID(), "shop" }),
		code:    filled(func(c *token.Code) { c.Realm = "shop" }),
		refresh: filled(func(f *token.Refresh) { f.Realm = "shop" }),
		consent: filled(func(c *token.Consent) { c.Realm = "shop" }),
		device:  filled(func(d *token.Device) { d.ID, d.Realm = newID(), "shop" }),
		logout:  filled(func(l *token.Logout) { l.ID, l.Realm, l.Due, l.Done = newID(), "shop", noon, time.Time{} }),
		session: filled(func(v *session.Session) { v.ID, v.Realm = newID(), "shop" }),
	}
}

func (i issued) add(tx *sqlstore.Tx) error {
	return errors.Join(tx.AddKey(i.key), tx.AddRequest(i.request), tx.AddAuthorization(i.grant), tx.AddCode(i.code), tx.AddRefresh(i.refresh),
		tx.PutConsent(i.consent), tx.AddDeviceGrant(i.device), tx.AddLogout(i.logout), tx.AddSession(i.session))
}

func TestEveryFieldOfTheProviderIsKept(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		i := issue()
		live := i.grant
		live.ID, live.Ended = newID(), time.Time{}
		put(t, s, func(tx *sqlstore.Tx) error { return errors.Join(i.add(tx), tx.AddAuthorization(live)) })
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]token.Key, error) { return tx.Keys("shop") }), []token.Key{i.key})
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Request, error) { return tx.Request("shop", i.request.ID) }), i.request)
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Request, error) { return tx.RequestByHandle("shop", i.request.Handle) }), i.request)
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Authorization, error) { return tx.Authorization("shop", i.grant.ID) }), i.grant)
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]token.Authorization, error) { return tx.Authorizations("shop", i.grant.Person) }), []token.Authorization{live})
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]token.Authorization, error) {
			return tx.AuthorizationsOfSession("shop", i.grant.Session)
		}),
			[]token.Authorization{i.grant, live})
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Code, error) { return tx.Code(i.code.Hash) }), i.code)
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Refresh, error) { return tx.Refresh(i.refresh.Hash) }), i.refresh)
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Consent, error) {
			return tx.Consent("shop", i.consent.Person, i.consent.Client)
		}), i.consent)
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]token.Consent, error) { return tx.Consents("shop", i.consent.Person) }), []token.Consent{i.consent})
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Device, error) { return tx.DeviceGrant(i.device.Hash) }), i.device)
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Device, error) {
			return tx.DeviceGrantByUserCode("shop", i.device.UserCode)
		}), i.device)
		same(t, get(t, s, func(tx *sqlstore.Tx) (session.Session, error) { return tx.Session("shop", i.session.ID) }), i.session)
		put(t, s, func(tx *sqlstore.Tx) error {
			claimed, err := tx.ClaimLogouts(noon, time.Minute, 9)
			same(t, claimed, []token.Logout{i.logout})
			return err
		})
	})
}

func TestMissingAndTakenOfTheProvider(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		i := issue()
		put(t, s, i.add)
		missing := map[string]func(*sqlstore.Tx) error{
			"request of another realm": func(tx *sqlstore.Tx) error { _, err := tx.Request("wealth", i.request.ID); return err },
			"handle of another realm":  func(tx *sqlstore.Tx) error { _, err := tx.RequestByHandle("wealth", i.request.Handle); return err },
			"request to use":           func(tx *sqlstore.Tx) error { return tx.UseRequest("wealth", i.request.ID, noon) },
			"request to finish":        func(tx *sqlstore.Tx) error { return tx.FinishRequest("wealth", i.request.ID, noon) },
			"request to keep":          func(tx *sqlstore.Tx) error { return tx.KeepRequest("wealth", i.request.ID, noon) },
			"authorization of another": func(tx *sqlstore.Tx) error { _, err := tx.Authorization("wealth", i.grant.ID); return err },
			"code":                     func(tx *sqlstore.Tx) error { _, err := tx.Code([]byte("x")); return err },
			"code to use":              func(tx *sqlstore.Tx) error { _, err := tx.UseCode([]byte("x"), noon); return err },
			"no code at all":           func(tx *sqlstore.Tx) error { _, err := tx.UseCode(nil, noon); return err },
			"refresh":                  func(tx *sqlstore.Tx) error { _, err := tx.Refresh([]byte("x")); return err },
			"refresh to use":           func(tx *sqlstore.Tx) error { return tx.UseRefresh([]byte("x"), []byte("a"), noon) },
			"consent of another realm": func(tx *sqlstore.Tx) error {
				_, err := tx.Consent("wealth", i.consent.Person, i.consent.Client)
				return err
			},
			"device": func(tx *sqlstore.Tx) error { _, err := tx.DeviceGrant([]byte("x")); return err },
			"user code of another realm": func(tx *sqlstore.Tx) error {
				_, err := tx.DeviceGrantByUserCode("wealth", i.device.UserCode)
				return err
			},
			"device to update":         func(tx *sqlstore.Tx) error { return tx.UpdateDeviceGrant(token.Device{ID: "none"}) },
			"key to retire":            func(tx *sqlstore.Tx) error { return tx.RetireKey("wealth", i.key.ID, noon, noon) },
			"log-out to finish":        func(tx *sqlstore.Tx) error { return tx.FinishLogout(token.Logout{ID: "none"}) },
			"session of another realm": func(tx *sqlstore.Tx) error { _, err := tx.Session("wealth", i.session.ID); return err },
		}
		for name, do := range missing {
			t.Run(name, func(t *testing.T) { refused(t, s.Write(t.Context(), do), fault.NotFound, "not-found") })
		}
		with := func(change func(*issued)) issued { c := issue(); change(&c); return c }
		taken := map[string]func(*sqlstore.Tx) error{
			"request": func(tx *sqlstore.Tx) error { return tx.AddRequest(i.request) },
			"handle": func(tx *sqlstore.Tx) error {
				return tx.AddRequest(with(func(c *issued) { c.request.Handle = i.request.Handle }).request)
			},
			"authorization": func(tx *sqlstore.Tx) error { return tx.AddAuthorization(i.grant) },
			"code":          func(tx *sqlstore.Tx) error { return tx.AddCode(i.code) },
			"refresh":       func(tx *sqlstore.Tx) error { return tx.AddRefresh(i.refresh) },
			"key":           func(tx *sqlstore.Tx) error { return tx.AddKey(i.key) },
			"device code": func(tx *sqlstore.Tx) error {
				return tx.AddDeviceGrant(with(func(c *issued) { c.device.UserCode = []byte("another") }).device)
			},
			"user code": func(tx *sqlstore.Tx) error {
				return tx.AddDeviceGrant(with(func(c *issued) { c.device.Hash = []byte("another") }).device)
			},
			"log-out": func(tx *sqlstore.Tx) error { return tx.AddLogout(i.logout) },
		}
		for name, do := range taken {
			t.Run(name, func(t *testing.T) { refused(t, s.Write(t.Context(), do), fault.Exists, "exists") })
		}
		put(t, s, func(tx *sqlstore.Tx) error { // what is taken in one realm is free in another
			other := issue()
			other.key.Realm, other.device.Realm, other.request.Realm = "wealth", "wealth", "wealth"
			other.device.Hash = []byte("another")
			return errors.Join(tx.AddKey(other.key), tx.AddDeviceGrant(other.device), tx.AddRequest(other.request))
		})
		err := s.Read(t.Context(), func(tx *sqlstore.Tx) error {
			for name, do := range map[string]func() error{
				"UseCode":       func() error { _, err := tx.UseCode(i.code.Hash, noon); return err },
				"UseRefresh":    func() error { return tx.UseRefresh(i.refresh.Hash, nil, noon) },
				"UseRequest":    func() error { return tx.UseRequest("shop", i.request.ID, noon) },
				"FinishRequest": func() error { return tx.FinishRequest("shop", i.request.ID, noon) },
				"ClaimLogouts":  func() error { _, err := tx.ClaimLogouts(noon, time.Minute, 1); return err },
			} {
				if err := do(); err == nil || fault.As(err) != nil {
					t.Errorf("%s writes in a reading transaction: %v", name, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A stolen copy of the database signs nothing and holds no token; what is sealed opens in its own row only.
func TestSEC_T7_KeysAndAnswersAreNotInTheDatabase(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := testdb.Open(t, dsn)
		const private, answer, later, nonce = "canary-private-6161", "canary-answer-6262", "canary-later-6363", "canary-nonce-6464"
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(
				tx.AddKey(token.Key{ID: "k", Realm: "shop", Alg: "ES256", Private: []byte(private)}),
				tx.AddAuthorization(token.Authorization{ID: "a", Realm: "shop", Nonce: nonce}),
				tx.AddRefresh(token.Refresh{Hash: []byte("f"), Realm: "shop", Answer: []byte(answer)}),
				tx.AddRefresh(token.Refresh{Hash: []byte("g"), Realm: "shop", Expires: noon.Add(time.Hour)}),
				tx.UseRefresh([]byte("g"), []byte(later), noon),
			)
		})
		dump := dumped(t, s)
		if !bytes.Contains(dump, []byte(nonce)) {
			t.Fatal("the dump does not even hold what is in clear")
		}
		for _, secret := range []string{private, answer, later} {
			if bytes.Contains(dump, []byte(secret)) {
				t.Errorf("%s stands in the database", secret)
			}
		}
		execute(t, dsn, `INSERT INTO oidc_key (id, realm, alg, private, created, signs, retires, ends)
			SELECT id, 'wealth', alg, private, created, signs, retires, ends FROM oidc_key`)
		execute(t, dsn, `UPDATE oidc_refresh SET answer = (SELECT f.answer FROM oidc_refresh f WHERE f.used = 0) WHERE used <> 0`)
		for name, read := range map[string]func(*sqlstore.Tx) error{
			"key":    func(tx *sqlstore.Tx) error { _, err := tx.Keys("wealth"); return err },
			"answer": func(tx *sqlstore.Tx) error { _, err := tx.Refresh([]byte("g")); return err },
		} {
			if err := s.Read(t.Context(), read); !errors.Is(err, secret.ErrSealed) {
				t.Errorf("the %s of another row opens: %v", name, err)
			}
		}
		if keys := get(t, s, func(tx *sqlstore.Tx) ([]token.Key, error) { return tx.Keys("shop") }); len(keys) != 1 || string(keys[0].Private) != private {
			t.Errorf("the key does not open in its own row: %v", keys)
		}
	})
}

// A database of the version before, with people in it, gets the provider's tables and keeps what it has. What that
// version's statements name is as it was: the migrations add tables and a column with a default.
func TestProviderComesToADatabaseInUse(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		ring := newRing(t)
		wipe(t, dsn) // the ring is another than the template's
		first, err := open(t, dsn, ring)
		if err != nil {
			t.Fatal(err)
		}
		p := someone("p")
		put(t, first, func(tx *sqlstore.Tx) error { return tx.AddPerson(p) })
		for _, table := range []string{"key", "request", "authorization", "code", "refresh", "consent", "device", "logout"} {
			execute(t, dsn, fmt.Sprintf(`DROP TABLE oidc_%s`, table))
		}
		for _, table := range []string{"help_request", "activation", "caller_check", "parcel", "pki_authority", "pki_certificate", "pki_crl", "sighting", "certificate_notice", "enrolment"} {
			execute(t, dsn, `DROP TABLE `+table)
		}
		for _, back := range []string{`DROP INDEX session_ended`, `DROP INDEX session_over`, `ALTER TABLE session DROP COLUMN settled`,
			`DROP TABLE exemption`, `DROP TABLE rollout_notice`, `DROP TABLE rollout_delay`,
			`ALTER TABLE person DROP COLUMN exempt`, `ALTER TABLE person DROP COLUMN exempt_until`, `DROP INDEX credential_recovery`, `DROP INDEX person_administrators`,
			`ALTER TABLE person DROP COLUMN phone`, `ALTER TABLE person DROP COLUMN phone_since`,
			`ALTER TABLE organization DROP COLUMN phone`, `ALTER TABLE organization DROP COLUMN phone_since`} {
			execute(t, dsn, back)
		}
		execute(t, dsn, `DELETE FROM goose_db_version WHERE version_id >= 2`)
		second, err := open(t, dsn, ring)
		if err != nil {
			t.Fatal(err)
		}
		put(t, second, issue().add)
		same(t, get(t, second, func(tx *sqlstore.Tx) (directory.Person, error) { return tx.Person(p.Realm, p.ID) }), p)
		// The first store still stands where it stood, as a node of the version before does.
		put(t, first, func(tx *sqlstore.Tx) error {
			q := p
			q.Name = "Another Name"
			return tx.UpdatePerson(q)
		})
	})
}
