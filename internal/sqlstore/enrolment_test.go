package sqlstore_test

import (
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

func TestSEC_C6_EveryFieldOfAnEnrolmentIsKept(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		e := filled(func(e *pki.Enrolment) {
			e.ID, e.Realm, e.State, e.Certificate, e.Until, e.Used, e.Version = newID(), "wealth", pki.EnrolmentReady, "", noon.Add(time.Hour), time.Time{}, 0
		})
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddEnrolment(e) })
		for name, by := range map[string]func(tx *sqlstore.Tx, realm string) (pki.Enrolment, error){
			"id": func(tx *sqlstore.Tx, realm string) (pki.Enrolment, error) { return tx.Enrolment(realm, e.ID) },
			"secret": func(tx *sqlstore.Tx, realm string) (pki.Enrolment, error) {
				return tx.EnrolmentBySecret(realm, e.Secret)
			},
			"device": func(tx *sqlstore.Tx, realm string) (pki.Enrolment, error) { return tx.EnrolmentOf(realm, e.Device) },
		} {
			same(t, get(t, s, func(tx *sqlstore.Tx) (pki.Enrolment, error) { return by(tx, "wealth") }), e)
			if err := s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := by(tx, "shop"); return err }); !fault.Of(err, fault.NotFound) {
				t.Errorf("another realm finds it by %s: %v", name, err)
			}
		}
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]pki.Enrolment, error) { return tx.EnrolmentsOf("wealth", e.Person, 0) }), []pki.Enrolment{e})
		for _, taken := range []func(*pki.Enrolment){func(o *pki.Enrolment) { o.Device = newID() }, func(o *pki.Enrolment) { o.Secret = []byte(newID()) }} {
			other := e
			other.ID = newID()
			taken(&other)
			refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.AddEnrolment(other) }), fault.Exists, "exists")
		}
		spend := func(at time.Time) error {
			return write(t, s, func(tx *sqlstore.Tx) error { return tx.SpendEnrolment(e, "made", at) })
		}
		refused(t, spend(e.Until), fault.Conflict, "stale")
		if err := spend(noon); err != nil {
			t.Fatal(err)
		}
		refused(t, spend(noon), fault.Conflict, "stale")
		refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.EndEnrolment(e) }), fault.Conflict, "stale")
		e.State, e.Certificate, e.Used, e.Version = pki.EnrolmentUsed, "made", noon, 1
		same(t, get(t, s, func(tx *sqlstore.Tx) (pki.Enrolment, error) { return tx.Enrolment("wealth", e.ID) }), e)

		// It stays for as long as it says of a certificate that its device is managed, and goes afterwards.
		managed := device(func(c *pki.Certificate) { c.Person, c.Device, c.NotAfter = e.Person, e.Device, noon.AddDate(2, 0, 0) })
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddCertificate(managed) })
		swept := func(at time.Time) error {
			for {
				n := 0
				put(t, s, func(tx *sqlstore.Tx) (err error) { n, err = tx.Sweep(at); return err })
				if n == 0 {
					return s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.Enrolment("wealth", e.ID); return err })
				}
			}
		}
		if err := swept(noon.AddDate(2, 0, 0)); err != nil {
			t.Errorf("beside its certificate: %v", err)
		}
		if err := swept(noon.AddDate(20, 0, 0)); !fault.Of(err, fault.NotFound) {
			t.Errorf("after its certificate: %v", err)
		}
	})
}

func TestSEC_C6_OneSpendsAnEnrolmentRaced(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		e := filled(func(e *pki.Enrolment) {
			e.ID, e.State, e.Until, e.Version = newID(), pki.EnrolmentReady, noon.Add(time.Hour), 0
		})
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddEnrolment(e) })
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error {
			if i%2 == 0 {
				return tx.EndEnrolment(e)
			}
			return tx.SpendEnrolment(e, "made", noon)
		})
		one(t, winners(t, errs, fault.Conflict, "stale"))
	})
}
