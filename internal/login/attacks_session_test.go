package login_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
)

// spare begins a flow that adds an authenticator, from the person's session.
func (u *user) spare() login.View {
	u.h.t.Helper()
	v, err := u.h.login.Begin(context.Background(), u.caller(), login.Start{Goal: authn.Goal{Bind: authn.TOTP, Way: authn.ByEnrol}})
	must(u.h.t, err)
	return u.took(v)
}

// A thief at an unlocked laptop has begun to add an authenticator. The owner ends the session from elsewhere: what rose
// from it falls with it.
func TestSEC_S4_AFlowEndsWithTheSessionItRoseFrom(t *testing.T) {
	ends := map[string]func(h *house, u *user){
		"ended from elsewhere": func(h *house, u *user) {
			h.write(func(tx *sqlstore.Tx) error {
				tx.Bump()
				_, err := tx.EndSessions(h.realm.ID, u.id, "", "signed-out-elsewhere", h.clock.now())
				return err
			})
		},
		"signed out": func(h *house, u *user) { must(h.t, h.login.SignOut(context.Background(), u.caller())) },
		"renewed": func(h *house, u *user) {
			other := *u
			other.browser = ""
			other.signIn() // the same browser signs in anew: the older session ends
		},
	}
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		for name, end := range ends {
			h.clock.advance(time.Minute)
			u.session = ""
			u.signIn()
			key := u.key
			v := u.chooses(u.spare())
			thief := *u
			u.key = key
			end(h, u)
			if _, err := h.login.Look(context.Background(), thief.caller(), v.Flow.ID); !fault.Of(err, fault.Expired) {
				t.Errorf("%s: the flow is still shown: %v", name, err)
			}
			if next, err := thief.prove(v, authn.TOTP, thief.key.Code(h.clock.now())); err == nil || next.Finished {
				t.Errorf("%s: the flow bound an authenticator", name)
			}
		}
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials(h.realm.ID, u.id)
			if len(all) != 2 {
				t.Errorf("%d credentials, want 2", len(all))
			}
			return err
		})
	})
}

// Noting that a session is in use must not stretch how long an answer is believed without looking (S-4: 5 seconds).
func TestSEC_S4_UseDoesNotStretchARevocation(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(58 * time.Second)
		if !u.signedIn() {
			t.Fatal("no session to begin with")
		}
		h.write(func(tx *sqlstore.Tx) error { // without Bump: as if the epoch were lost on the way
			_, err := tx.EndSessions(h.realm.ID, u.id, "", "test", h.clock.now())
			return err
		})
		h.clock.advance(3 * time.Second) // more than a minute since it was noted: it is noted again
		u.signedIn()
		h.clock.advance(2 * time.Second)
		if u.signedIn() {
			t.Error("the session lives five seconds after its end")
		}
	})
}

// A set-up can be left for a day before its last step. What was shown the day before is no part of the session: it
// would claim proofs that did not count, and the session would never be fresh.
func TestSEC_O10_ASessionStandsOnWhatCountedOnly(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member)
		v := u.proves(u.follow(login.SetUp, u.invite()), authn.Password, u.password)
		v = u.proves(u.chooses(v), authn.TOTP, u.code())
		v = u.proves(v, authn.Password, u.password)
		v = u.proves(v, authn.TOTP, u.code())
		expect(t, v, authn.ActPerform, authn.Terms)
		h.clock.advance(24 * time.Hour)
		v, err := h.login.Look(context.Background(), u.caller(), v.Flow.ID)
		must(t, err)
		u.firstSignIn(v)
		signed, err := h.login.Authenticate(context.Background(), h.realm.ID, u.session)
		must(t, err)
		if !signed.Fresh(h.clock.now()) {
			t.Error("somebody who has just signed in is not fresh")
		}
		for _, e := range signed.Session.Evidence {
			if h.clock.now().Sub(e.At) > login.ProofLife {
				t.Errorf("the session stands on a proof of %s", e.At)
			}
		}
	})
}

// K-5: a new password takes the marks of known browsers along; else a thief's browser keeps a lane of its own past the
// limiter, and the next break-in is not even told as a new browser.
func TestSEC_K5_ANewPasswordForgetsKnownBrowsers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Minute)
		thief := *u
		thief.browser, thief.device, thief.session, thief.network = "", "", "", "203.0.113.9"
		thief.signIn()
		h.clock.advance(time.Minute)
		must(t, h.login.Forgot(ctx, u.caller(), u.address))
		v := u.proves(u.follow(login.Password, u.link(login.Password)), authn.TOTP, u.code())
		u.password = "quite another long sentence 42"
		u.proves(v, authn.Password, u.password)
		for range 10 { // strangers use up what strangers have
			h.clock.advance(time.Second)
			s := &user{h: h, address: u.address, network: "198.51.100.7"}
			s.prove(s.begin(), authn.Password, "wrong, but long enough")
		}
		before := h.pw.Runs()
		thief.session = ""
		thief.prove(thief.begin(), authn.Password, "wrong, but long enough")
		if h.pw.Runs() != before {
			t.Error("the thief's browser still has a lane of its own")
		}
		u.session = ""
		u.signIn() // the browser in which the password was changed stays known
	})
}

// A step-up ends the session it rose from even when the last request comes without its cookie.
func TestSEC_S2_ARiseEndsTheSessionItRoseFrom(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(login.FreshLife + time.Second)
		old := u.session
		v, err := h.login.Begin(context.Background(), u.caller(), login.Start{})
		must(t, err)
		v = u.proves(u.took(v), authn.Password, u.password)
		u.session = ""
		u.proves(v, authn.TOTP, u.code())
		if !u.signedIn() {
			t.Error("the new session does not hold")
		}
		u.session = old
		if u.signedIn() {
			t.Error("the session before the rise still holds")
		}
	})
}

// Two tabs at the last duty: the second finds it done, and is let in as well instead of being stuck.
func TestSEC_TRACE_ADutyDoneInAnotherTabIsDone(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		h.realm.Terms.Version = "99"
		tabs := make([]login.View, 2)
		for i := range tabs {
			h.clock.advance(time.Minute)
			tabs[i] = u.proves(u.proves(u.begin(), authn.Password, u.password), authn.TOTP, u.code())
			expect(t, tabs[i], authn.ActPerform, authn.Terms)
		}
		old := *u
		done := login.Done{Duty: authn.Terms, Typed: u.address, Read: true, Version: "99", Language: "en"}
		v, err := u.perform(tabs[0], done)
		must(t, err)
		if v.Minted == nil {
			t.Fatal("the first tab is not let in")
		}
		old.session = u.session
		v, err = h.login.Look(ctx, old.caller(), tabs[1].Flow.ID)
		must(t, err)
		if v.Minted == nil {
			t.Errorf("the second tab is at %s", describe(v))
		}
	})
}

// T-CLK2: a clock that ran ahead and came back lengthens nothing.
func TestSEC_TCLK2_AClockThatJumpsBackLengthensNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		for _, ahead := range []time.Duration{time.Hour, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
			h.clock.advance(ahead)
			u.session = ""
			other := &user{h: h, address: u.address, network: "198.51.100.4"}
			flow := other.begin()
			u.signIn()
			must(t, h.login.Forgot(ctx, u.caller(), u.address))
			token := u.link(login.Password)
			h.clock.advance(-ahead)
			if u.signedIn() {
				t.Errorf("%s: a session from the future holds", ahead)
			}
			if _, err := h.login.Look(ctx, other.caller(), flow.Flow.ID); err == nil {
				t.Errorf("%s: a flow from the future is open", ahead)
			}
			if _, err := h.login.Follow(ctx, u.caller(), login.Password, token); err == nil {
				t.Errorf("%s: a link from the future opens", ahead)
			}
			h.clock.advance(ahead + 24*time.Hour)
		}
		// A few seconds between the clocks of two nodes are nothing.
		u.session = ""
		u.signIn()
		h.clock.advance(-5 * time.Second)
		if !u.signedIn() {
			t.Error("a node five seconds behind refuses the session")
		}
	})
}

func TestSEC_TCLK2_ProofsFromTheFutureAreNotFresh(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	at := func(d time.Duration) login.Signed {
		return login.Signed{Session: session.Session{Evidence: []authn.Evidence{{Kind: authn.Password, At: now.Add(d)}}}}
	}
	for d, want := range map[time.Duration]bool{
		-login.FreshLife - 1: false, -login.FreshLife: true, 0: true, time.Second: true, 2 * time.Minute: false, 24 * time.Hour: false,
	} {
		if got := at(d).Fresh(now); got != want {
			t.Errorf("proof at %s: fresh is %t", d, got)
		}
	}
}

// What is proven while the world changes is recorded as what it was, or not at all: here the step turns from showing
// the password to setting one while the old one is being compared.
func TestSEC_TRACE2_AProofNeverBecomesABinding(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member)
		v := u.proves(u.follow(login.SetUp, u.invite()), authn.Password, u.password)
		v = u.proves(u.chooses(v), authn.TOTP, u.code())
		expect(t, v, authn.ActProve, authn.Password)
		h.mid = func() {
			h.mid = nil
			h.write(func(tx *sqlstore.Tx) error {
				all, err := tx.Credentials(h.realm.ID, u.id)
				for _, c := range all {
					if c.Kind == authn.Password {
						c.State, c.Ended = authn.Ended, h.clock.now()
						err = tx.UpdateCredential(c)
					}
				}
				return err
			})
		}
		if _, err := u.prove(v, authn.Password, u.password); !fault.Of(err, fault.Conflict) {
			t.Errorf("error is %v, want a conflict", err)
		}
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials(h.realm.ID, u.id)
			if slices.ContainsFunc(all, func(c authn.Credential) bool { return c.Kind == authn.Password }) {
				t.Error("the ended password came back as a new one")
			}
			return err
		})
	})
}
