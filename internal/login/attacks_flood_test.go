package login_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
)

// T-LOCK: hostile failures against one person from a thousand addresses within an hour: a browser in which they signed in
// before lets them in every time, and a new one within a quarter of an hour of the end.
func TestSEC_TLOCK_AFloodOfFailuresAgainstOnePerson(t *testing.T) {
	failures, signIns := 500, 20
	if os.Getenv("DOORWARD_TORTURE") != "" {
		failures, signIns = 10_000, 100
	}
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Hour)
		step, refused := time.Hour/time.Duration(failures), 0
		for i := range failures {
			s := h.stranger(u.address, fmt.Sprintf("203.%d.%d.9", i%1000/250, i%250))
			v := s.begin()
			if i%10 == 0 { // they have the password, too, and guess at codes
				if next, err := s.prove(v, authn.Password, u.password); err == nil {
					_, err = s.prove(next, authn.TOTP, "000000")
					refused += yes(err != nil)
				}
			} else if !s.guess(v) {
				refused++
			}
			h.clock.advance(step)
			if i%(failures/signIns) == 0 {
				u.session = ""
				u.signIn()
				if !u.signedIn() {
					t.Fatalf("after %d failures the known device is out", i)
				}
			}
		}
		if refused < failures/2 {
			t.Errorf("only %d of %d were refused unseen: little was tried", refused, failures)
		}
		fresh := *u
		fresh.browser, fresh.device, fresh.session = "", "", ""
		h.clock.advance(15 * time.Minute)
		fresh.signIn()
	})
}

func yes(b bool) int {
	if b {
		return 1
	}
	return 0
}
