package login_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
)

func (h *house) stranger(address, network string) *user {
	return &user{h: h, address: address, network: network}
}

// guess makes one wrong guess at the password, and says whether the limiter let it through. It is too long to be hashed:
// that is refused like any wrong one and costs nothing.
func (u *user) guess(v login.View) bool {
	u.h.t.Helper()
	_, err := u.prove(v, authn.Password, strings.Repeat("x", 2000))
	if f := fault.As(err); f == nil || f.Kind != fault.Throttled && f.Kind != fault.Rejected {
		u.h.t.Fatalf("a guess is answered with %v", err)
	}
	return !fault.Of(err, fault.Throttled)
}

// guesses makes one guess each at so many people from a network, begun from others.
func (h *house) guesses(n int, network func(i int) string, between func(i int)) (through int) {
	h.t.Helper()
	for i := range n {
		s := h.stranger(fmt.Sprintf("person%d@sampleworks.example", i), fmt.Sprintf("198.51.%d.1", i))
		v := s.begin()
		s.network = network(i)
		if s.guess(v) {
			through++
		}
		between(i)
	}
	return through
}

// T-6: at most 5 wrong codes in one flow, 10 in a quarter of an hour, 100 in a row; and what a thief of the password has
// locked is opened again by a new authenticator, which nobody has guessed at yet.
func TestSEC_T6_CodesPerFlowPerWindowAndInARow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Hour)
		thief := h.stranger(u.address, "203.0.113.5")
		compared, windows := 0, 0
		for locked := false; !locked; windows++ {
			if windows > 20 {
				t.Fatal("the factor is never locked")
			}
			h.clock.advance(15 * time.Minute)
			inWindow := 0
			for open := true; open; {
				v := thief.proves(thief.begin(), authn.Password, u.password)
				inFlow := 0
				for {
					_, err := thief.prove(v, authn.TOTP, "000000")
					f := fault.As(err)
					if f == nil {
						t.Fatalf("000000 is answered with %v", err)
					}
					locked = locked || f.Code == "factor-locked"
					if f.Kind == fault.Throttled {
						open = false
						break
					}
					inFlow++
					if f.Code == "too-many-wrong" {
						break
					}
				}
				if inWindow += inFlow; inFlow > 5 {
					t.Fatalf("%d guesses in one flow", inFlow)
				}
			}
			if compared += inWindow; inWindow > 10 {
				t.Fatalf("%d guesses in one window", inWindow)
			}
		}
		if compared != 100 {
			t.Errorf("%d guesses in a row, want 100", compared)
		}
		h.clock.advance(time.Hour)
		u.session = ""
		u.signIn() // where the owner is known nothing was locked
		other := *u
		other.browser, other.device, other.session = "", "", ""
		_, err := other.prove(other.proves(other.begin(), authn.Password, u.password), authn.TOTP, other.code())
		wantCode(t, err, "factor-locked")
		var old string
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials(h.realm.ID, u.id)
			for _, c := range all {
				if c.Kind == authn.TOTP {
					old = c.ID
				}
			}
			return err
		})
		h.clock.advance(time.Hour)
		u.session = ""
		u.signIn()
		v, err := h.login.Begin(context.Background(), u.caller(), login.Start{Goal: authn.Goal{Bind: authn.TOTP, Way: authn.ByEnrol, Replaces: old}})
		must(t, err)
		u.proves(u.chooses(u.took(v)), authn.TOTP, u.code())
		h.clock.advance(time.Minute)
		other.key, other.device = u.key, ""
		other.signIn()
	})
}

func TestSEC_N3_OneNetworkHasOneBudgetHoweverItIsSpelt(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		spellings := []string{"192.0.2.44", "::ffff:192.0.2.44", "::ffff:c000:22c", "0:0:0:0:0:ffff:192.0.2.44"}
		if n := h.guesses(108, func(i int) string { return spellings[i%len(spellings)] }, func(int) {}); n != 100 {
			t.Errorf("%d guesses from one network, want 100", n)
		}
		if n := h.guesses(108, func(i int) string { return fmt.Sprintf("2001:db8:1:2:%x::%d", i, i) }, func(int) {}); n != 100 {
			t.Errorf("%d guesses from one IPv6 household, want 100", n)
		}
	})
}

// Somebody with an account of their own cannot refill what their network has used up: a right answer gives back its own
// reservation and no other.
func TestSEC_TSPRAY_RightAnswersRefillNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		own := h.person("Otto", directory.Member).setUp()
		h.clock.advance(time.Hour)
		n := h.guesses(110, func(int) string { return "203.0.113.7" }, func(i int) {
			if i%10 == 5 && i < 100 {
				me := h.stranger(own.address, "203.0.113.7")
				me.proves(me.begin(), authn.Password, own.password)
			}
		})
		if n != 100 {
			t.Errorf("%d guesses, want 100", n)
		}
	})
}

// A request that is given up while it waits for a hash was never compared: it must not count against the owner.
func TestSEC_TLOCK_AGivenUpRequestIsNoAttempt(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Hour)
		s := h.stranger(u.address, "203.0.113.5")
		for range 12 {
			v := s.begin()
			ctx, stop := context.WithCancel(context.Background())
			h.mid = stop
			if _, err := h.login.Prove(ctx, s.caller(), v.Flow.ID, authn.Answer{Kind: authn.Password, Text: u.password}); err == nil {
				t.Fatal("a request that was given up has succeeded")
			}
			h.mid = nil
		}
		s.proves(s.begin(), authn.Password, u.password)
	})
}

// What the limiter refuses is seen where the owner and the operator look, once in a window: a stranger cannot flood it.
func TestSEC_G2_TheLimiterIsSeenOnceInAWindow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		invited := h.person("Ida", directory.Member)
		count := func(of []string) (n int) {
			for _, e := range of {
				if e == "limiter.tripped" {
					n++
				}
			}
			return n
		}
		for round := 1; round <= 2; round++ {
			h.clock.advance(time.Hour)
			for _, address := range []string{u.address, invited.address, "nobody@sampleworks.example"} {
				for i := range 25 {
					s := h.stranger(address, fmt.Sprintf("203.0.%d.%d", round, i))
					s.guess(s.begin())
				}
			}
			for _, who := range []*user{u, invited} {
				if n := count(who.events()); n != round {
					t.Errorf("%s: %d events after window %d", who.address, n, round)
				}
			}
			if n := count(h.trail()); n != 3*round {
				t.Errorf("%d events in all after window %d, want %d: nobody counts like somebody", n, round, 3*round)
			}
		}
		if failed := slices.Index(invited.events(), "signin.failed"); failed < 0 {
			t.Error("guesses at somebody without a password do not stand in their history")
		}
		h.clock.advance(time.Hour)
		for range 70 {
			_, err := h.login.Begin(context.Background(), h.stranger(u.address, "203.0.113.9").caller(), login.Start{Address: u.address})
			if err != nil && !fault.Of(err, fault.Throttled) {
				t.Fatal(err)
			}
		}
		if n := count(h.trail()); n != 7 {
			t.Errorf("a network that begins too often: %d events, want one more than 6", n)
		}
	})
}

// trail is the types of all events of the realm.
func (h *house) trail() (types []string) {
	h.read(func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: h.realm.ID, Limit: 1000})
		types = nil
		for _, e := range all {
			types = append(types, e.Type)
		}
		return err
	})
	return types
}
