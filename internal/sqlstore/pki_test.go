package sqlstore_test

import (
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// device is a certificate with every field filled, live at noon.
func device(change ...func(*pki.Certificate)) pki.Certificate {
	return filled(func(c *pki.Certificate) {
		c.ID, c.Realm, c.Person, c.State, c.Version = newID(), "wealth", "max", pki.Issued, 0
		c.Device, c.Issuer, c.Serial, c.Key, c.Replaces = newID(), newID(), newID(), newID(), ""
		c.NotBefore, c.NotAfter, c.Ends, c.FirstUsed, c.LastUsed = noon.Add(-time.Hour), noon.Add(time.Hour), time.Time{}, time.Time{}, time.Time{}
		for _, ch := range change {
			ch(c)
		}
	})
}

func TestSEC_C2_EveryFieldOfACertificateIsKept(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		c := filled(func(c *pki.Certificate) { c.ID, c.Realm, c.State, c.Version = newID(), "wealth", pki.Issued, 0 })
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddCertificate(c) })
		find := map[string]func(tx *sqlstore.Tx, realm string) (pki.Certificate, error){
			"id": func(tx *sqlstore.Tx, realm string) (pki.Certificate, error) { return tx.Certificate(realm, c.ID) },
			"serial": func(tx *sqlstore.Tx, realm string) (pki.Certificate, error) {
				return tx.CertificateBySerial(realm, c.Issuer, c.Serial)
			},
			"key": func(tx *sqlstore.Tx, realm string) (pki.Certificate, error) { return tx.CertificateByKey(realm, c.Key) },
		}
		for name, by := range find {
			same(t, get(t, s, func(tx *sqlstore.Tx) (pki.Certificate, error) { return by(tx, "wealth") }), c)
			if err := s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := by(tx, "shop"); return err }); !fault.Of(err, fault.NotFound) {
				t.Errorf("another realm finds it by %s: %v", name, err)
			}
		}
		for _, list := range []func(*sqlstore.Tx) ([]pki.Certificate, error){
			func(tx *sqlstore.Tx) ([]pki.Certificate, error) { return tx.CertificatesOf("wealth", c.Person, 0) },
			func(tx *sqlstore.Tx) ([]pki.Certificate, error) { return tx.Certificates("wealth", "", 0) },
			func(tx *sqlstore.Tx) ([]pki.Certificate, error) {
				return tx.CertificatesEnding("wealth", c.NotAfter.Add(-tick), c.NotAfter, 0)
			},
		} {
			same(t, get(t, s, list), []pki.Certificate{c})
		}
		changed := c
		changed.Name, changed.SHA256, changed.DER, changed.State, changed.Reason = "n", "sha", []byte("der"), pki.Suspended, pki.Hold
		changed.Ended, changed.Ends = noon, noon.Add(time.Hour)
		put(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateCertificate(changed) })
		refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateCertificate(changed) }), fault.Conflict, "stale")
		changed.Version++
		same(t, get(t, s, func(tx *sqlstore.Tx) (pki.Certificate, error) { return tx.Certificate("wealth", c.ID) }), changed)
		listed := get(t, s, func(tx *sqlstore.Tx) ([]pki.Certificate, error) {
			return tx.RevokedCertificates(c.Authority, c.Part, noon)
		})
		same(t, listed, []pki.Certificate{{Serial: c.Serial, State: pki.Suspended, Reason: pki.Hold, Ended: noon}})
		if late := get(t, s, func(tx *sqlstore.Tx) ([]pki.Certificate, error) {
			return tx.RevokedCertificates(c.Authority, c.Part, c.NotAfter)
		}); len(late) != 0 {
			t.Error("a CRL speaks of what has run out")
		}
	})
}

func TestSEC_C2_RowsWithoutACertificateAreListed(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		orphan := device(func(c *pki.Certificate) { c.State, c.SHA256, c.DER = pki.Reserved, "", nil })
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddCertificate(device()) })
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddCertificate(orphan) })
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]pki.Certificate, error) { return tx.ReservedCertificates("wealth", 0) }), []pki.Certificate{orphan})
	})
}

// One key, one serial number, one successor, one first certificate of a device: whatever else the rows say.
func TestSEC_C7_WhatIsCertifiedOnceIsCertifiedOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		first := device()
		renewed := device(func(c *pki.Certificate) { c.Device, c.Replaces = first.Device, first.ID })
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddCertificate(first) })
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddCertificate(renewed) })
		for name, c := range map[string]pki.Certificate{
			"the same key":                      device(func(c *pki.Certificate) { c.Key = first.Key }),
			"the same key in another realm":     device(func(c *pki.Certificate) { c.Key, c.Realm, c.Person = first.Key, "shop", "moritz" }),
			"the same serial number":            device(func(c *pki.Certificate) { c.Issuer, c.Serial = first.Issuer, first.Serial }),
			"a second successor":                device(func(c *pki.Certificate) { c.Device, c.Replaces = first.Device, first.ID }),
			"a second first one of the device":  device(func(c *pki.Certificate) { c.Device = first.Device }),
			"a second one that is only planned": device(func(c *pki.Certificate) { c.Device, c.State = first.Device, pki.Reserved }),
		} {
			refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.AddCertificate(c) }), fault.Exists, "exists")
			_ = name
		}
		renewed.State = pki.Revoked
		put(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateCertificate(renewed) })
		put(t, s, func(tx *sqlstore.Tx) error {
			return tx.AddCertificate(device(func(c *pki.Certificate) { c.Device, c.Replaces = first.Device, first.ID }))
		})
		refused(t, write(t, s, func(tx *sqlstore.Tx) error {
			return tx.AddCertificate(device(func(c *pki.Certificate) { c.Key = renewed.Key })) // revoked, and still known
		}), fault.Exists, "exists")
	})
}

func TestSEC_C5_ALivingCertificateIsUsedAndNoOther(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		use := func(c pki.Certificate, realm string) error {
			put(t, s, func(tx *sqlstore.Tx) error { return tx.AddCertificate(c) })
			return write(t, s, func(tx *sqlstore.Tx) error { return tx.UseCertificate(realm, c.ID, noon) })
		}
		for name, c := range map[string]struct {
			change func(*pki.Certificate)
			ok     bool
		}{
			"issued":            {func(c *pki.Certificate) {}, true},
			"active":            {func(c *pki.Certificate) { c.State = pki.Active }, true},
			"from now":          {func(c *pki.Certificate) { c.NotBefore = noon }, true},
			"for a moment":      {func(c *pki.Certificate) { c.NotAfter = noon.Add(tick) }, true},
			"succeeded soon":    {func(c *pki.Certificate) { c.Ends = noon.Add(tick) }, true},
			"reserved":          {func(c *pki.Certificate) { c.State = pki.Reserved }, false},
			"suspended":         {func(c *pki.Certificate) { c.State = pki.Suspended }, false},
			"revoked":           {func(c *pki.Certificate) { c.State = pki.Revoked }, false},
			"not yet":           {func(c *pki.Certificate) { c.NotBefore = noon.Add(tick) }, false},
			"expired":           {func(c *pki.Certificate) { c.NotAfter = noon }, false},
			"succeeded":         {func(c *pki.Certificate) { c.Ends = noon }, false},
			"of another realm":  {func(c *pki.Certificate) { c.Realm = "shop" }, false},
			"not there, by far": {func(c *pki.Certificate) { c.Realm = "shop"; c.State = pki.Revoked }, false},
		} {
			cert := device(c.change)
			err := use(cert, "wealth")
			if c.ok != (err == nil) || err != nil && !fault.Of(err, fault.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
			if cert.Realm == "wealth" && cert.Live(noon) != c.ok {
				t.Errorf("%s: the row says %v", name, cert.Live(noon))
			}
			now := get(t, s, func(tx *sqlstore.Tx) (pki.Certificate, error) { return tx.Certificate(cert.Realm, cert.ID) })
			if c.ok && (now.State != pki.Active || !now.FirstUsed.Equal(noon) || !now.LastUsed.Equal(noon)) || !c.ok && now.State != cert.State {
				t.Errorf("%s: %+v", name, now)
			}
		}
		twice := device()
		if err := use(twice, "wealth"); err != nil {
			t.Fatal(err)
		}
		put(t, s, func(tx *sqlstore.Tx) error { return tx.UseCertificate("wealth", twice.ID, noon.Add(time.Minute)) })
		put(t, s, func(tx *sqlstore.Tx) error { return tx.UseCertificate("wealth", twice.ID, noon.Add(time.Second)) })
		now := get(t, s, func(tx *sqlstore.Tx) (pki.Certificate, error) { return tx.Certificate("wealth", twice.ID) })
		if !now.FirstUsed.Equal(noon) || !now.LastUsed.Equal(noon.Add(time.Minute)) {
			t.Errorf("used at %v and %v", now.FirstUsed, now.LastUsed)
		}
	})
}

func TestSEC_C9_OneRenewalOfACertificateIsMadeRaced(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		old := device()
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddCertificate(old) })
		errs := race(t, stores, func(_ int, tx *sqlstore.Tx) error {
			return tx.AddCertificate(device(func(c *pki.Certificate) { c.Device, c.Replaces = old.Device, old.ID }))
		})
		one(t, winners(t, errs, fault.Exists, "exists"))
	})
}

// A revocation and a use at once: after the revocation was committed no use succeeds.
func TestSEC_C5_NoUseAfterARevocationRaced(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		c := device()
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddCertificate(c) })
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error {
			if i%2 == 0 {
				return tx.UseCertificate("wealth", c.ID, noon)
			}
			gone := c
			gone.State, gone.Reason, gone.Ended = pki.Revoked, pki.KeyCompromise, noon
			return tx.UpdateCertificate(gone)
		})
		revoked := 0
		for i, err := range errs {
			if i%2 == 1 && err == nil {
				revoked++
			}
		}
		one(t, revoked)
		for _, s := range stores {
			refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.UseCertificate("wealth", c.ID, noon) }), fault.Conflict, "stale")
		}
	})
}

func TestREQ_A57_EveryFieldOfAnAuthorityIsKept(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		a := filled(func(a *pki.Authority) {
			a.ID, a.Realm, a.Class, a.State, a.Version = newID(), "wealth", pki.Issuing, pki.Waiting, 0
		})
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddAuthority(a) })
		find := func() pki.Authority {
			return get(t, s, func(tx *sqlstore.Tx) (pki.Authority, error) { return tx.Authority("wealth", a.ID) })
		}
		same(t, find(), a)
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]pki.Authority, error) { return tx.Authorities("wealth") }), []pki.Authority{a})
		same(t, get(t, s, func(tx *sqlstore.Tx) ([]pki.Authority, error) { return tx.Authorities("shop") }), []pki.Authority(nil))
		var raw []byte
		if err := s.DB().QueryRow(`SELECT private FROM pki_authority`).Scan(&raw); err != nil || len(raw) < 40 || string(raw) == string(a.Private) {
			t.Errorf("the key lies open: %v", err)
		}
		changed := filled(func(c *pki.Authority) { *c = fillAuthority(*c, a) })
		put(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateAuthority(changed) })
		refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateAuthority(changed) }), fault.Conflict, "stale")
		changed.Version++
		same(t, find(), changed)
		twin := a
		twin.ID = newID()
		refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.AddAuthority(twin) }), fault.Exists, "exists")

		// A key that was moved to another realm's row does not open there.
		put(t, s, func(tx *sqlstore.Tx) error { return tx.Raw(`UPDATE pki_authority SET realm = 'shop'`) })
		if err := s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.Authority("shop", a.ID); return err }); err == nil {
			t.Error("a key opens in another realm")
		}
	})
}

// fillAuthority is what may change of an authority, on what may not.
func fillAuthority(changed, kept pki.Authority) pki.Authority {
	changed.ID, changed.Realm, changed.Class, changed.Name, changed.SPKI, changed.KeyAt = kept.ID, kept.Realm, kept.Class, kept.Name, kept.SPKI, kept.KeyAt
	changed.Created, changed.Version, changed.State = kept.Created, kept.Version, pki.Published
	changed.DER, changed.Private, changed.Parts = []byte("another"), []byte("another key"), 99
	changed.NotAfter = noon.Add(99 * time.Hour)
	return changed
}

func TestREQ_A57_OneAuthoritySignsRaced(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		authority := func(state pki.State) pki.Authority {
			return filled(func(a *pki.Authority) {
				a.ID, a.Realm, a.Class, a.State, a.SPKI, a.Version = newID(), "wealth", pki.Issuing, state, newID(), 0
			})
		}
		errs := race(t, stores, func(_ int, tx *sqlstore.Tx) error { return tx.AddAuthority(authority(pki.Signs)) })
		one(t, winners(t, errs, fault.Exists, "exists"))

		// The next one takes over: of many that try one retires the one before and signs.
		next := authority(pki.Published)
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddAuthority(next) })
		all := get(t, stores[0], func(tx *sqlstore.Tx) ([]pki.Authority, error) { return tx.Authorities("wealth") })
		errs = race(t, stores, func(_ int, tx *sqlstore.Tx) error {
			before, after := all[0], all[1]
			before.State, after.State = pki.Retired, pki.Signs
			if err := tx.UpdateAuthority(before); err != nil {
				return err
			}
			return tx.UpdateAuthority(after)
		})
		one(t, winners(t, errs, fault.Conflict, "stale"))
		signing := 0
		for _, a := range get(t, stores[0], func(tx *sqlstore.Tx) ([]pki.Authority, error) { return tx.Authorities("wealth") }) {
			if a.State == pki.Signs {
				signing++
				same(t, a.ID, next.ID)
			}
		}
		one(t, signing)
	})
}

func TestSEC_C5_NumbersOfCRLsRiseByOne(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		l := filled(func(l *pki.CRL) { l.Realm, l.Number, l.ThisUpdate = "wealth", 1, noon })
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.PutCRL(l) })
		same(t, get(t, stores[0], func(tx *sqlstore.Tx) (pki.CRL, error) { return tx.CRL("wealth", l.Authority, l.Part) }), l)
		for name, change := range map[string]func(*pki.CRL){
			"the same number": func(l *pki.CRL) { l.Number = 1 },
			"a gap":           func(l *pki.CRL) { l.Number = 3 },
			"older":           func(l *pki.CRL) { l.Number, l.ThisUpdate = 2, noon.Add(-tick) },
			"another realm's": func(l *pki.CRL) { l.Number, l.Realm = 2, "shop" },
		} {
			bad := l
			change(&bad)
			if err := write(t, stores[0], func(tx *sqlstore.Tx) error { return tx.PutCRL(bad) }); !fault.Of(err, fault.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		errs := race(t, stores, func(_ int, tx *sqlstore.Tx) error { next := l; next.Number = 2; return tx.PutCRL(next) })
		one(t, winners(t, errs, fault.Conflict, "stale"))
	})
}
