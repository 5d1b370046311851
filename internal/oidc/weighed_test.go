package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
)

// pair are the tokens of one sign-in at one client, the newest of each.
type pair struct {
	client, access, refresh string
}

// keeps takes tokens for somebody at a client.
func (s *street) keeps(who *rig.Somebody, client string, more ...string) *pair {
	s.t.Helper()
	redirect := callback
	if client == "complaints" {
		redirect = "https://complaints.example/cb"
	}
	answer := s.walks(s.SignIn(who, "192.0.2.30"), who.Mind, request(client, redirect, more...), redirect)
	status, got := s.as(client, "/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	})
	if status != http.StatusOK {
		s.t.Fatalf("%s: %d %v (answer %v)", client, status, got, answer)
	}
	return &pair{client, got["access_token"].(string), got["refresh_token"].(string)}
}

// as sends a form as a client.
func (s *street) as(client, path string, form url.Values) (int, map[string]any) {
	s.t.Helper()
	if client == "complaints" {
		form.Set("client_id", client)
		form.Set("client_secret", storeSecret)
		return s.post(path, form)
	}
	return s.post(path, form, basic(client, storeSecret))
}

// lives says which uses of the tokens have an answer, and keeps what a refresh gives. The refresh is used last.
func (s *street) lives(k *pair) string {
	s.t.Helper()
	var out []string
	if _, got := s.as(k.client, "/oauth2/introspect", url.Values{"token": {k.access}}); got["active"] == true {
		out = append(out, "access")
	}
	if _, got := s.as(k.client, "/oauth2/introspect", url.Values{"token": {k.refresh}}); got["active"] == true {
		out = append(out, "refresh")
	}
	if status, _ := s.userinfo(k.access); status == http.StatusOK {
		out = append(out, "userinfo")
	}
	status, got := s.as(k.client, "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}})
	switch {
	case status == http.StatusOK:
		k.access, k.refresh = got["access_token"].(string), got["refresh_token"].(string)
		out = append(out, "refreshed")
	case status != http.StatusBadRequest || got["error"] != "invalid_grant":
		s.t.Errorf("refresh at %s: %d %v", k.client, status, got)
	}
	return strings.Join(out, " ")
}

// What answers: everything, the refresh token alone because five minutes are over, nothing.
const alive, aged, dead = "access refresh userinfo refreshed", "refresh refreshed", ""

func (s *street) expect(when string, k *pair, want string) {
	s.t.Helper()
	if got := s.lives(k); got != want {
		s.t.Errorf("%s, at %s: what answers is %q, want %q", when, k.client, got, want)
	}
}

// realm changes the realm, as an operator does.
func (s *street) realm(change func(*directory.Realm)) {
	s.t.Helper()
	s.Write(func(tx *sqlstore.Tx) error {
		r, err := tx.Realm("shop")
		if change(&r); err == nil {
			err = tx.PutRealm(r)
		}
		return err
	})
	if err := s.Realms.Refresh(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// What was given when less was asked for is over at its next use once more is asked for, whoever asks: the realm, the
// organization, a roll-out that has ended, the client. Where the policy is taken back it lives: nothing was ended.
func TestREQ_B84_SEC_O9_TokensAreWeighedAgainstAStricterPolicy(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		online, offline := s.keeps(s.anna, "store"), s.keeps(s.anna, "store", "scope", "openid offline_access")
		other := s.keeps(s.anna, "complaints")
		all := func(when string, atStore, atOther string) {
			t.Helper()
			s.expect(when+", with the session", online, atStore)
			s.expect(when+", offline", offline, atStore)
			s.expect(when, other, atOther)
			s.Clock.Advance(11 * time.Second) // no answer is given twice
		}
		all("at first", alive, alive)

		s.relying(func(rp *directory.RelyingParty) {
			if rp.ID == "store" {
				rp.Policy = "login passkey"
			}
		})
		all("when the client asks for more", dead, alive)
		s.relying(func(rp *directory.RelyingParty) { rp.Policy = "" })
		all("when it does not any more", alive, alive)

		organization := func(policy string) {
			s.Write(func(tx *sqlstore.Tx) error {
				o, err := tx.Organization("shop", s.org.ID)
				if o.Policy = policy; err == nil {
					err = tx.UpdateOrganization(o)
				}
				tx.Bump()
				return err
			})
		}
		organization("login passkey")
		all("when the organization asks for more", dead, dead)
		organization("")
		all("when it does not any more", alive, alive)

		before := ""
		s.realm(func(r *directory.Realm) {
			before = r.Policy
			r.Policy = strings.Replace(r.Policy, "login    password + totp | password + phone | passkey", "login    passkey", 1)
			if r.Policy == before {
				t.Fatal("the realm's policy has no such line")
			}
		})
		all("when the realm asks for more", dead, dead)
		s.realm(func(r *directory.Realm) { r.Policy = before })
		all("when it does not any more", alive, alive)

		until := s.Clock.Now().Add(25 * time.Hour)
		s.realm(func(r *directory.Realm) {
			r.Rollouts = []directory.Rollout{{
				ID: "keys", Name: directory.Localized{"en": "A passkey"}, About: directory.Localized{"en": "You show a passkey."}, Policy: "login passkey",
				Waves: []directory.Wave{{Organizations: []string{s.org.ID}, From: s.Clock.Now(), Until: until}},
			}}
		})
		all("in grace", alive, alive)
		s.Clock.Until(until.Add(-10 * time.Second))
		s.expect("before the end of grace", offline, aged)
		s.Clock.Until(until)
		s.expect("from the end of grace on", offline, dead)
	})
}

// What is set up later ends nothing that was given before, also where the policy prefers it; what ends, does.
func TestSEC_O9_WhatIsAddedLaterEndsNothing(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		s.realm(func(r *directory.Realm) {
			r.Policy = strings.Replace(r.Policy, "login    password + totp | password + phone | passkey", "login    passkey else password + totp", 1)
		})
		k := s.keeps(s.anna, "store", "scope", "openid offline_access")
		s.Clock.Advance(time.Minute)
		s.Write(func(tx *sqlstore.Tx) error {
			tx.Bump()
			return tx.AddCredential(authn.Credential{ID: "later", Realm: "shop", Person: s.anna.Is.ID, Kind: authn.Passkey, State: authn.Active, Created: s.Clock.Now()})
		})
		s.expect("after a passkey was added", k, alive)
		s.Write(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials("shop", s.anna.Is.ID)
			for _, c := range all {
				if c.Kind == authn.TOTP && err == nil {
					c.State = authn.Suspended
					err = tx.UpdateCredential(c)
				}
			}
			tx.Bump()
			return err
		})
		s.expect("after what was shown is suspended", k, dead)
	})
}

// Tokens that stand on an exemption end with it, within five seconds: when its time is over, when somebody ends it, and
// when one of the two could not give it any more. What was shown in full lives on.
func TestREQ_B65_SEC_O9_TokensEndWithTheExemptionTheyStandOn(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		staff := s.Organization("Northline", true)
		sue, olga := s.Join(staff, directory.Supervisor, "Sue Desk", "sue@northline.example"), s.Join(staff, directory.Owner, "Olga Own", "olga@northline.example")
		full := s.keeps(s.anna, "store", "scope", "openid offline_access")
		by := func(who *rig.Somebody) breakglass.By {
			b := login.By{}
			b.Signed.Realm = s.Realm
			s.Read(func(tx *sqlstore.Tx) (err error) {
				if b.Person, err = tx.Person("shop", who.Is.ID); err == nil {
					b.Organization, err = tx.Organization("shop", b.Person.Organization)
				}
				return err
			})
			return breakglass.By{Actor: b, Person: b.Person, Realm: b.Realm.Realm}
		}
		give := func() (string, *pair) {
			t.Helper()
			e, err := s.Exempts.Propose(t.Context(), by(sue), breakglass.Proposal{Person: s.anna.Is.ID, Kind: authn.TOTP, Hours: 2, Reason: "Phone left in a hotel, back on Friday"})
			if err == nil {
				_, err = s.Exempts.Second(t.Context(), by(olga), s.anna.Is.ID, e.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			s.Clock.Advance(5 * time.Second)
			k := s.keeps(s.anna, "store", "scope", "openid offline_access")
			s.expect("while it lasts", k, alive)
			return e.ID, k
		}
		for _, c := range []struct {
			when string
			full string // what was shown in full
			over func(id string)
		}{
			{"when its time is over", aged, func(string) { s.Clock.Advance(2 * time.Hour) }},
			{"when somebody ended it", alive, func(id string) {
				if err := s.Exempts.End(t.Context(), by(sue), s.anna.Is.ID, id); err != nil {
					t.Fatal(err)
				}
			}},
			{"when one of the two is no supervisor any more", alive, func(string) {
				s.Write(func(tx *sqlstore.Tx) error {
					p, err := tx.Person("shop", sue.Is.ID)
					if p.Role = directory.Agent; err == nil {
						err = tx.UpdatePerson(p)
					}
					tx.Bump()
					return err
				})
			}},
		} {
			id, k := give()
			c.over(id)
			s.Clock.Advance(5 * time.Second)
			s.expect(c.when, k, dead)
			s.expect(c.when+", what was shown in full", full, c.full)
			if err := s.Exempts.Close(t.Context(), []*directory.Realm{&s.Realm.Realm}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
