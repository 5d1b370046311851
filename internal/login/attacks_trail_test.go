package login_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/password"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
)

// replaceData puts other data under the person's credential of a kind.
func (u *user) replaceData(k authn.Kind, data []byte) {
	u.h.t.Helper()
	u.h.write(func(tx *sqlstore.Tx) error {
		all, err := tx.Credentials(u.h.realm.ID, u.id)
		for _, c := range all {
			if c.Kind == k {
				c.Data = data
				err = tx.UpdateCredential(c)
			}
		}
		return err
	})
}

// What a sign-in changes beside letting somebody in stands in the trail: a hash made anew, a browser that is new.
func TestSEC_G2_WhatASignInChangesStandsInTheTrail(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		old, err := bcrypt.GenerateFromPassword([]byte(u.password), bcrypt.MinCost)
		must(t, err)
		data, err := password.Import(string(old))
		must(t, err)
		u.replaceData(authn.Password, data)
		h.clock.advance(time.Minute)
		u.signIn()
		if got := u.events(); slices.Contains(got, "device.added") || !slices.Contains(got, "password.rehashed") {
			t.Errorf("after the first sign-in: %v", got)
		}
		h.clock.advance(time.Minute)
		u.device = ""
		u.signIn()
		rehashed, devices := 0, 0
		for _, e := range u.events() {
			switch e {
			case "password.rehashed":
				rehashed++
			case "device.added":
				devices++
			}
		}
		if rehashed != 1 || devices != 1 {
			t.Errorf("%d new hashes and %d new browsers, want one each", rehashed, devices)
		}
	})
}

// No event and no error holds what was typed or made: passwords, codes, links, seeds, cookies (SEC G-3).
func TestSEC_G3_TheTrailHoldsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member)
		token := u.invite()
		v := u.proves(u.follow(login.SetUp, token), authn.Password, u.password)
		v = u.chooses(v)
		seed := string(v.Question.Data)
		u.firstSignIn(u.proves(v, authn.TOTP, u.code()))
		h.clock.advance(time.Minute)
		code := u.key.Code(h.clock.now())
		secrets := []string{token, u.password, seed, "my other password 123", code, string(u.browser), string(u.device), string(u.session)}
		v = u.begin()
		var said []string
		for _, text := range []string{"my other password 123", u.password} {
			if _, err := u.prove(v, authn.Password, text); err != nil {
				said = append(said, err.Error())
			}
		}
		for _, text := range []string{"999999", code} {
			if _, err := u.prove(v, authn.TOTP, text); err != nil {
				said = append(said, err.Error())
			}
		}
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Events(audit.Query{Realm: h.realm.ID, Limit: 1000})
			for _, e := range all {
				said = append(said, e.Reason, e.Network, e.Browser)
				for _, v := range e.Data {
					said = append(said, v)
				}
			}
			return err
		})
		for _, s := range said {
			for _, secret := range secrets {
				if secret != "" && strings.Contains(s, secret) {
					t.Errorf("%q holds a secret", s)
				}
			}
		}
		if len(said) < 20 {
			t.Errorf("only %d texts were looked at", len(said))
		}
	})
}
