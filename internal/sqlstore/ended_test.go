package sqlstore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/pki"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// Whatever takes something away from somebody raises the epoch, whether its caller thought of it or not: what is cached
// of it on any node is worth nothing from then on.
func TestSEC_O9_WhateverEndsSomethingRaisesTheEpoch(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		person := directory.Person{ID: newID(), Realm: "r", Organization: "o", Address: "a@example.com", State: directory.Active}
		invited := directory.Person{ID: newID(), Realm: "r", Organization: "o", Address: "b@example.com", State: directory.Invited}
		factor := authn.Credential{ID: newID(), Realm: "r", Person: person.ID, Kind: authn.Password, State: authn.Active}
		kept := device(func(c *pki.Certificate) { c.State = pki.Reserved })
		signer := pki.Authority{ID: "a", Realm: "r"}
		put(t, s, func(tx *sqlstore.Tx) error {
			for _, err := range []error{
				tx.AddCertificate(kept), tx.AddAuthority(signer),
				tx.AddPerson(person), tx.AddPerson(invited), tx.AddCredential(factor),
				tx.AddOrganization(directory.Organization{ID: "o", Realm: "r", Name: "O", State: directory.Active}),
				tx.AddKey(token.Key{ID: "k", Realm: "r", Alg: token.ES256, Private: []byte("k")}),
				tx.PutConsent(token.Consent{Realm: "r", Person: person.ID, Client: "c"}),
			} {
				if err != nil {
					return err
				}
			}
			for _, id := range []string{"1", "2", "3"} {
				if err := tx.AddSession(session.Session{ID: id, Realm: "r", Person: person.ID, Hash: []byte(id), Until: noon}); err != nil {
					return err
				}
				if err := tx.AddAuthorization(token.Authorization{ID: id, Realm: "r", Person: person.ID, Client: "c", Session: id}); err != nil {
					return err
				}
			}
			return nil
		})
		suspended, disabled := factor, person
		suspended.State, disabled.State = authn.Suspended, directory.Disabled
		shut := directory.Organization{ID: "o", Realm: "r", Name: "O", State: directory.Disabled}
		renamed, moved := factor, person
		renamed.Name, moved.Name = "other", "Other"
		for _, c := range []struct {
			what  string
			rises bool
			do    func(*sqlstore.Tx) error
		}{
			{"nothing", false, func(tx *sqlstore.Tx) error { return nil }},
			{"a factor is renamed", false, func(tx *sqlstore.Tx) error { return tx.UpdateCredential(renamed) }},
			{"a factor is suspended", true, func(tx *sqlstore.Tx) error { suspended.Version = 1; return tx.UpdateCredential(suspended) }},
			{"a person is renamed", false, func(tx *sqlstore.Tx) error { return tx.UpdatePerson(moved) }},
			{"a person is disabled", true, func(tx *sqlstore.Tx) error { disabled.Version = 1; return tx.UpdatePerson(disabled) }},
			{"a person is withdrawn", true, func(tx *sqlstore.Tx) error { return tx.DeletePerson("r", invited.ID) }},
			{"an organization changes", true, func(tx *sqlstore.Tx) error { return tx.UpdateOrganization(shut) }},
			{"a session rises", true, func(tx *sqlstore.Tx) error {
				return tx.RenewSession(session.Session{ID: "1", Realm: "r", Person: person.ID, Hash: []byte("new"), Until: noon})
			}},
			{"a session ends", true, func(tx *sqlstore.Tx) error { _, err := tx.EndSession("r", person.ID, "1", "x", noon); return err }},
			{"it ends again", false, func(tx *sqlstore.Tx) error { _, err := tx.EndSession("r", person.ID, "1", "x", noon); return err }},
			{"other sessions end", true, func(tx *sqlstore.Tx) error { _, err := tx.EndSessions("r", person.ID, "2", "x", noon); return err }},
			{"an authorization ends", true, func(tx *sqlstore.Tx) error { _, err := tx.EndAuthorization("r", "1", "x", noon); return err }},
			{"it ends again", false, func(tx *sqlstore.Tx) error { _, err := tx.EndAuthorization("r", "1", "x", noon); return err }},
			{"those of sessions end", true, func(tx *sqlstore.Tx) error {
				_, err := tx.EndAuthorizationsOfSessions("r", []string{"2"}, "x", noon)
				return err
			}},
			{"all of a person end", true, func(tx *sqlstore.Tx) error { _, err := tx.EndAuthorizations("r", person.ID, "", "x", noon); return err }},
			{"a client's own is added", false, func(tx *sqlstore.Tx) error {
				return tx.AddAuthorization(token.Authorization{ID: "4", Realm: "r", Client: "c"})
			}},
			{"a client's own is revoked", true, func(tx *sqlstore.Tx) error {
				return tx.AddAuthorization(token.Authorization{ID: "5", Realm: "r", Client: "c", Ended: noon})
			}},
			{"a consent is taken back", true, func(tx *sqlstore.Tx) error { _, err := tx.DeleteConsent("r", person.ID, "c"); return err }},
			{"a certificate is stored", false, func(tx *sqlstore.Tx) error {
				stored := kept
				stored.State = pki.Issued
				return tx.UpdateCertificate(stored)
			}},
			{"a certificate is suspended", true, func(tx *sqlstore.Tx) error {
				held := kept
				held.State, held.Version = pki.Suspended, 1
				return tx.UpdateCertificate(held)
			}},
			{"an authority changes", true, func(tx *sqlstore.Tx) error { return tx.UpdateAuthority(signer) }},
			{"a key retires", true, func(tx *sqlstore.Tx) error { return tx.RetireKey("r", "k", noon, noon.Add(time.Hour)) }},
			{"a realm is put", true, func(tx *sqlstore.Tx) error { return tx.PutRealm(directory.Realm{ID: "r", Host: "r.example"}) }},
		} {
			before := s.Epoch()
			put(t, s, c.do)
			if got := s.Epoch() > before; got != c.rises {
				t.Errorf("%s: the epoch rises is %v, want %v", c.what, got, c.rises)
			}
		}
	})
}

// An authorization is found with everything it stands on, and not without.
func TestSEC_O9_StandingIsReadWhole(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		a := filled(func(a *token.Authorization) {
			a.ID, a.Realm, a.Person, a.Session, a.Ended = "a", "r", "p", "s", time.Time{}
		})
		p := filled(func(p *directory.Person) {
			p.ID, p.Realm, p.Organization, p.Exempt, p.ExemptUntil = "p", "r", "o", "", time.Time{}
		})
		o := filled(func(o *directory.Organization) { o.ID, o.Realm = "o", "r" })
		v := filled(func(v *session.Session) { v.ID, v.Realm, v.Person = "s", "r", "p" })
		steps := []func(*sqlstore.Tx) error{
			func(tx *sqlstore.Tx) error { return tx.AddSession(v) }, // the one that may be forgotten
			func(tx *sqlstore.Tx) error { return tx.AddAuthorization(a) },
			func(tx *sqlstore.Tx) error { return tx.AddPerson(p) },
			func(tx *sqlstore.Tx) error { return tx.AddOrganization(o) },
		}
		read := func(realm string) (out token.Standing, err error) {
			err = s.Read(t.Context(), func(tx *sqlstore.Tx) (err error) { out, err = tx.Standing(realm, "a"); return err })
			return out, err
		}
		for _, step := range steps {
			if _, err := read("r"); err == nil {
				t.Error("found before everything was there")
			}
			put(t, s, step)
		}
		put(t, s, func(tx *sqlstore.Tx) error {
			for i, state := range []authn.CredentialState{authn.Active, authn.Suspended, authn.Ended} {
				c := authn.Credential{ID: string(state), Realm: "r", Person: "p", Kind: authn.TOTP, State: state, Data: []byte{byte(i)}, Created: noon}
				if err := tx.AddCredential(c); err != nil {
					return err
				}
			}
			for _, state := range []pki.State{pki.Issued, pki.Active, pki.Suspended, pki.Revoked, pki.Reserved} {
				if err := tx.AddCertificate(device(func(c *pki.Certificate) { c.Realm, c.Person, c.State, c.Name = "r", "p", state, string(state) })); err != nil {
					return err
				}
			}
			return tx.AddCredential(authn.Credential{ID: "other", Realm: "r", Person: "q", Kind: authn.TOTP, State: authn.Active})
		})
		got, err := read("r")
		if err != nil {
			t.Fatal(err)
		}
		var held []authn.Credential // as they are read one by one
		if err := s.Read(t.Context(), func(tx *sqlstore.Tx) (err error) { held, err = tx.Credentials("r", "p"); return err }); err != nil || len(held) != 5 {
			t.Fatal(held, err)
		}
		for i, c := range held {
			held[i] = authn.Credential{ID: c.ID, Realm: c.Realm, Person: c.Person, Kind: c.Kind, State: c.State, Created: c.Created, Expires: c.Expires}
		}
		slices.SortFunc(got.Credentials, func(a, b authn.Credential) int { return strings.Compare(a.ID, b.ID) })
		slices.SortFunc(held, func(a, b authn.Credential) int { return strings.Compare(a.ID, b.ID) })
		same(t, got, token.Standing{
			Authorization: a, Person: p, Organization: o, Evidence: v.Evidence, SessionUntil: v.Until, SessionEnded: v.Ended, Credentials: held,
		})
		if _, err := read("wealth"); err == nil {
			t.Error("found from another realm")
		}
	})
}
