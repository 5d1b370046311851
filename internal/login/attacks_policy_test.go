package login_test

import (
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/sqlstore"
)

// stricter gives the house's organization a policy of its own.
func (h *house) stricter(text string) {
	h.write(func(tx *sqlstore.Tx) error {
		o, err := tx.Organization(h.realm.ID, h.org.ID)
		if err != nil {
			return err
		}
		o.Policy = text
		tx.Bump()
		return tx.UpdateOrganization(o)
	})
}

// An organization turns a stricter policy on. Its people enrol what is new to them behind a fresh sign-in with what they
// have; who once held that kind and lost it does not, or ending a factor would weaken the account.
func TestREQ_B63_AStricterPolicyIsRolledOutToWhoNeverHeldTheKind(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		policies, err := authn.ParsePolicies("members\n login password\n enrol invite -> password\n enrol login -> totp\n fresh\n")
		must(t, err)
		h.realm.Policies = policies
		anna := h.person("Anna", directory.Member)
		bert := h.person("Bert", directory.Member)
		for _, u := range []*user{anna, bert} {
			u.proves(u.proves(u.follow("set-up", u.invite()), authn.Password, u.password), authn.Password, u.password)
			if !u.signedIn() {
				t.Fatal("not signed in by a password alone")
			}
		}
		h.write(func(tx *sqlstore.Tx) error { // Bert's phone was revoked long ago
			return tx.AddCredential(authn.Credential{
				ID: newID(), Realm: h.realm.ID, Person: bert.id, Kind: authn.TOTP, State: authn.Ended, Data: []byte("{}"),
				Created: h.clock.now().Add(-time.Hour), Ended: h.clock.now().Add(-time.Minute),
			})
		})
		v := bert.proves(bert.begin(), authn.Password, bert.password)
		if v.Minted == nil {
			t.Fatalf("before the stricter policy the step is %s", describe(v))
		}
		h.stricter("login password + totp")
		h.clock.advance(time.Second)
		if anna.signedIn() || bert.signedIn() {
			t.Error("a session holds that the stricter policy would not admit")
		}
		anna.session, bert.session = "", ""
		v = anna.begin()
		expect(t, v, authn.ActProve, authn.Password)
		v = anna.proves(v, authn.Password, anna.password)
		expect(t, v, authn.ActBind, authn.TOTP)
		v = anna.proves(anna.chooses(v), authn.TOTP, anna.code())
		expect(t, v, authn.ActProve, authn.TOTP)
		if v = anna.proves(v, authn.TOTP, anna.code()); v.Minted == nil {
			t.Errorf("Anna is not let in: %s", describe(v))
		}
		v = bert.proves(bert.begin(), authn.Password, bert.password)
		if v.Step.Act == authn.ActBind || v.Minted != nil {
			t.Errorf("Bert, who held the kind once: %s", describe(v))
		}
		if _, err := bert.prove(v, authn.TOTP, "123456"); err == nil {
			t.Error("Bert enrolled again by a password alone")
		}
		// The half hour that a proof lives is no fresh sign-in.
		clara := h.person("Clara", directory.Member)
		h.stricter("")
		clara.proves(clara.proves(clara.follow("set-up", clara.invite()), authn.Password, clara.password), authn.Password, clara.password)
		h.stricter("login password + totp")
		v = clara.proves(clara.begin(), authn.Password, clara.password)
		expect(t, v, authn.ActBind, authn.TOTP)
		v = clara.chooses(v)
		h.clock.advance(6 * time.Minute)
		if _, err := clara.prove(v, authn.TOTP, clara.code()); err == nil {
			t.Error("enrolled behind a sign-in of six minutes ago")
		}
	})
}
