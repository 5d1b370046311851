package login_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
)

func TestSEC_T4_OneCodeLetsOneIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		flows := make([]login.View, 64)
		callers := make([]*user, 64)
		for i := range flows {
			c := *u
			c.browser = ""
			h.clock.advance(11 * time.Second)
			callers[i] = &c
			flows[i] = c.proves(c.begin(), authn.Password, u.password)
		}
		h.clock.advance(30 * time.Second)
		code := u.key.Code(h.clock.now())
		got := together(64, func(i int) bool {
			v, err := callers[i].prove(flows[i], authn.TOTP, code)
			return err == nil && v.Minted != nil
		})
		if got != 1 {
			t.Errorf("one code let %d in", got)
		}
	})
}

func TestSEC_TRACE_OneFlowMintsOneSession(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Minute)
		v := u.proves(u.begin(), authn.Password, u.password)
		code := u.code()
		c := u.caller()
		got := together(64, func(int) bool {
			next, err := h.login.Prove(context.Background(), c, v.Flow.ID, authn.Answer{Kind: authn.TOTP, Text: code})
			return err == nil && next.Minted != nil
		})
		if got != 1 {
			t.Errorf("one flow minted %d sessions", got)
		}
	})
}

func TestSEC_TRACE_OneInvitationSetsUpOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member)
		token := u.invite()
		users := make([]*user, 64)
		for i := range users {
			c := *u
			c.network = fmt.Sprintf("198.51.100.%d", i)
			users[i] = &c
		}
		together(64, func(i int) bool {
			v, err := h.login.Follow(context.Background(), users[i].caller(), login.SetUp, token)
			if err != nil {
				return false
			}
			users[i].took(v)
			_, err = users[i].prove(v, authn.Password, u.password)
			return err == nil
		})
		var passwords int
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials(h.realm.ID, u.id)
			passwords = len(all)
			return err
		})
		if passwords != 1 {
			t.Errorf("%d live passwords after a race, want 1", passwords)
		}
		v := u.follow(login.SetUp, token)
		expect(t, v, authn.ActBind, authn.TOTP)
		v = u.chooses(v)
		u.firstSignIn(u.proves(v, authn.TOTP, u.code()))
	})
}

func TestSEC_TRACE_TheLimitIsComparedExactly(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Hour)
		strangers := make([]*user, 64)
		flows := make([]login.View, 64)
		for i := range strangers {
			strangers[i] = &user{h: h, address: u.address, network: fmt.Sprintf("198.51.100.%d", i)}
			flows[i] = strangers[i].begin()
		}
		before := h.pw.Runs()
		together(64, func(i int) bool {
			_, err := strangers[i].prove(flows[i], authn.Password, "wrong, but long enough")
			return err == nil
		})
		if got := h.pw.Runs() - before; got != 10 {
			t.Errorf("64 guesses at once were compared %d times, want 10", got)
		}
		// The owner's own browser has a lane of its own.
		u.signIn()
	})
}

func TestSEC_TLOCK_StrangersCannotLockOutAKnownDevice(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		for round := range 5 {
			h.clock.advance(time.Minute)
			for i := range 40 {
				s := &user{h: h, address: u.address, network: fmt.Sprintf("203.0.%d.%d", round, i)}
				s.prove(s.begin(), authn.Password, "wrong, but long enough")
			}
			u.session = ""
			u.signIn()
		}
		// A new browser of the owner waits a quarter of an hour at most.
		other := *u
		other.browser, other.device, other.session = "", "", ""
		_, err := other.prove(other.begin(), authn.Password, u.password)
		wantCode(t, err, "too-many-attempts")
		h.clock.advance(15 * time.Minute)
		other.signIn()
	})
}

// Nothing a stranger can vary buys another attempt: spelling of the address, language, browser, cookies, parallel flows.
func TestSEC_T6_TheLimiterCannotBeWalkedRound(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		other := h.person("Emil", directory.Member).setUp()
		h.clock.advance(time.Hour)
		spellings := []string{u.address, strings.ToUpper(u.address), " " + u.address + "\t", strings.Replace(u.address, "anna", "AnNa", 1), "\u00a0" + u.address}
		compared := 0
		for i := range 60 {
			s := &user{h: h, address: spellings[i%len(spellings)], network: fmt.Sprintf("2001:db8:%x::1", i)}
			switch i % 4 {
			case 1:
				s.browser = secret.Text(secret.Token())
			case 2:
				s.device = other.device // of somebody else: no lane here
			case 3:
				s.device, s.session = secret.Text(secret.Token()), secret.Text(secret.Token())
			}
			before := h.pw.Runs()
			v, err := h.login.Begin(context.Background(), s.caller(), login.Start{Address: s.address})
			if fault.Of(err, fault.Invalid) {
				continue // a spelling that no address has
			}
			must(t, err)
			s.prove(s.took(v), authn.Password, "wrong, but long enough")
			compared += int(h.pw.Runs() - before)
		}
		if compared != 10 {
			t.Errorf("%d comparisons, want 10", compared)
		}
	})
}

func TestSEC_TENUM_KnownAndUnknownCostTheSame(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		invited := h.person("Ida", directory.Member)
		invited.invite()
		h.clock.advance(time.Hour)
		for _, address := range []string{u.address, "nobody@sampleworks.example", invited.address} {
			s := &user{h: h, address: address, network: "203.0.113.77"}
			before := h.pw.Runs()
			v := s.begin()
			if v.Person.ID != "" || v.Ways != nil {
				t.Errorf("%s: the first step tells who it is", address)
			}
			next, err := s.prove(v, authn.Password, "wrong, but long enough")
			f := fault.As(err)
			if f == nil || f.Code != "password-wrong" && f.Code != "signin-failed" {
				t.Fatalf("%s: %v", address, err)
			}
			if runs := h.pw.Runs() - before; runs != 1 {
				t.Errorf("%s: %d hash runs, want 1", address, runs)
			}
			if next.Person.ID != "" || next.Ways != nil || describe(next) != describe(v) {
				t.Errorf("%s: the answer tells: %+v", address, next.Step)
			}
			mails := len(h.outbox())
			must(t, h.login.Forgot(context.Background(), s.caller(), address))
			if got := len(h.outbox()) - mails; got != 1 {
				t.Errorf("%s: %d rows in the outbox, want 1 (a decoy counts)", address, got)
			}
		}
	})
}

func TestSEC_S2_TFIX_AFlowBelongsToItsBrowser(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Minute)
		v := u.proves(u.begin(), authn.Password, u.password)
		for _, c := range []login.Caller{
			{Realm: h.realm.ID},
			{Realm: h.realm.ID, Browser: secret.Text(secret.Token())},
			{Realm: h.realm.ID, Browser: u.session, Session: u.session, Device: u.device},
			{Realm: "wealth", Browser: u.browser},
		} {
			if _, err := h.login.Look(ctx, c, v.Flow.ID); err == nil {
				t.Errorf("%+v sees the flow", c.Realm)
			}
			if next, err := h.login.Prove(ctx, c, v.Flow.ID, authn.Answer{Kind: authn.TOTP, Text: u.key.Code(h.clock.now())}); err == nil || next.Minted != nil {
				t.Error("a foreign browser went on")
			}
		}
		before := u.browser
		v = u.proves(v, authn.TOTP, u.code())
		if u.browser == before || v.Minted == nil {
			t.Error("the browser's secret did not change at the rise")
		}
		old := *u
		old.browser = before
		if _, err := h.login.Look(ctx, old.caller(), v.Flow.ID); err == nil {
			t.Error("the old secret still opens the flow")
		}
	})
}

func TestSEC_S4_WhatASessionStandsOnMustLive(t *testing.T) {
	kill := map[string]func(h *house, u *user){
		"person disabled": func(h *house, u *user) {
			h.write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person(h.realm.ID, u.id)
				if err != nil {
					return err
				}
				p.State = directory.Disabled
				tx.Bump()
				return tx.UpdatePerson(p)
			})
		},
		"organization disabled": func(h *house, u *user) {
			h.write(func(tx *sqlstore.Tx) error {
				o, err := tx.Organization(h.realm.ID, h.org.ID)
				if err != nil {
					return err
				}
				o.State = directory.Disabled
				tx.Bump()
				return tx.UpdateOrganization(o)
			})
		},
		"factor suspended": func(h *house, u *user) { u.changeFactor(authn.Suspended) },
		"factor ended":     func(h *house, u *user) { u.changeFactor(authn.Ended) },
		"signed out":       func(h *house, u *user) { must(h.t, h.login.SignOut(context.Background(), u.caller())) },
		"idle":             func(h *house, u *user) { h.clock.advance(31 * time.Minute) },
		"absolute": func(h *house, u *user) {
			for range 48 {
				h.clock.advance(15 * time.Minute)
				u.signedIn()
			}
		},
	}
	each(t, func(t *testing.T, h *house) {
		i := 0
		for name, end := range kill {
			i++
			u := h.person(fmt.Sprintf("Person%d", i), directory.Member).setUp()
			if !u.signedIn() {
				t.Fatal("no session to begin with")
			}
			end(h, u)
			if u.signedIn() {
				t.Errorf("%s: the session lives", name)
			}
			if name == "organization disabled" {
				h.write(func(tx *sqlstore.Tx) error {
					o, err := tx.Organization(h.realm.ID, h.org.ID)
					if err != nil {
						return err
					}
					o.State = directory.Active
					tx.Bump()
					return tx.UpdateOrganization(o)
				})
			}
		}
	})
}

func (u *user) changeFactor(to authn.CredentialState) {
	u.h.write(func(tx *sqlstore.Tx) error {
		all, err := tx.Credentials(u.h.realm.ID, u.id)
		if err != nil {
			return err
		}
		for _, c := range all {
			if c.Kind == authn.TOTP {
				c.State = to
				if err := tx.UpdateCredential(c); err != nil {
					return err
				}
			}
		}
		tx.Bump()
		return nil
	})
}

// A revocation on one node holds on the other without anybody telling it, within the time an answer is kept.
func TestSEC_S4_ARevocationHoldsWithinFiveSecondsEvenUnseen(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		if !u.signedIn() {
			t.Fatal("no session to begin with")
		}
		h.write(func(tx *sqlstore.Tx) error { // without Bump: as if the epoch were lost on the way
			_, err := tx.EndSessions(h.realm.ID, u.id, "", "test", h.clock.now())
			return err
		})
		h.clock.advance(5 * time.Second)
		if u.signedIn() {
			t.Error("the session lives after five seconds")
		}
	})
}

func TestREQ_B71_WhyOneIsBlockedIsSaidAfterRightCredentialsOnly(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.write(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(h.realm.ID, u.id)
			if err != nil {
				return err
			}
			p.State = directory.Disabled
			tx.Bump()
			return tx.UpdatePerson(p)
		})
		s := &user{h: h, address: u.address, network: "203.0.113.4"}
		v := s.begin()
		next, _ := s.prove(v, authn.Password, "wrong, but long enough")
		if next.Step.Reason == login.Blocked {
			t.Error("a stranger learns that the person is blocked")
		}
		next, err := s.prove(next, authn.Password, u.password)
		must(t, err)
		if next.Step.Reason == login.Blocked {
			t.Error("whoever has the password alone learns that the person is blocked")
		}
		next, err = s.prove(next, authn.TOTP, u.code())
		must(t, err)
		if next.Step.Reason != login.Blocked || next.Minted != nil {
			t.Errorf("step is %+v", next.Step)
		}
		if got := u.events(); got[len(got)-1] != "signin.refused" {
			t.Errorf("the last event is %s", got[len(got)-1])
		}
	})
}
