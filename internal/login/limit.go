package login

import (
	"net/netip"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

// The attempt limiter. An attempt is reserved and committed before anything is compared (SEC T-AC2), so 64 callers at
// once get exactly the limit. What was right gives its reservation back.
//
//   - Counted per person and kind, in the database, never in a cookie or in memory (SEC T-6). Before the person is known
//     the canonical address stands for them, known or not, so both count alike.
//   - A browser in which this person has signed in before has a lane of its own: strangers' failures cannot lock it out,
//     and it cannot use strangers' budget (SEC T-LOCK).
//   - Counted per network as well, for guesses spread over many people. The network never lets anybody in.
const (
	attempts       = 10
	attemptsWindow = 15 * time.Minute
	netAttempts    = 100
	streak         = 100 // consecutive failures of one factor, then only a reset helps (NIST SP 800-63B 5.2.2)
	streakWindow   = 10 * 365 * 24 * time.Hour
)

// lane is a set of reservations made for one attempt.
type lane struct{ keys []string }

// budget is one limit of attempts.
type budget struct {
	key    string
	limit  int
	window time.Duration
	code   string
}

// reserve takes one attempt of every budget that applies, or none: the transaction is rolled back when one is empty.
// The address stands for the person in every flow, so that a step-up shares its budget with a sign-in.
func (s *Service) reserve(tx Tx, c Caller, st standing, k authn.Kind, device string, now time.Time) (lane, error) {
	base := "try:" + c.Realm + ":" + string(k) + ":" + s.addressKey(st.flow.Subject.Address)
	budgets := []budget{{netKey("try", c), netAttempts, attemptsWindow, "too-many-attempts"}}
	if device != "" {
		base += ":device:" + device
		budgets = nil
	}
	budgets = append(budgets, budget{base, attempts, attemptsWindow, "too-many-attempts"})
	if k != authn.Password { // no lasting lock on a password: a stranger could lock its owner out
		budgets = append(budgets, budget{base + streakSuffix, streak, streakWindow, "factor-locked"})
	}
	var l lane
	for _, b := range budgets {
		if err := s.throttle(tx, b.key, b.limit, b.window, now, b.code); err != nil {
			return lane{}, err
		}
		l.keys = append(l.keys, b.key)
	}
	return l, nil
}

const streakSuffix = ":streak"

// release gives the reservations of a right answer back; a streak ends.
func (l lane) release(tx Tx) error {
	for _, k := range l.keys {
		if strings.HasSuffix(k, streakSuffix) {
			if err := tx.Clear(k); err != nil {
				return err
			}
			continue
		}
		if err := tx.Release(k); err != nil {
			return err
		}
	}
	return nil
}

// throttle takes one of a budget or fails with fault.Throttled.
func (s *Service) throttle(tx Tx, key string, limit int, window time.Duration, now time.Time, code string) error {
	ok, retry, err := tx.Reserve(key, limit, window, now)
	if err != nil || ok {
		return err
	}
	s.Count("throttled", "code", code)
	minutes := int((retry + time.Minute - 1) / time.Minute)
	return fault.New(fault.Throttled, code, "minutes", minutes).After(retry)
}

// overLimit takes one of a budget and says whether it was empty, for places where the answer must not tell.
func (s *Service) overLimit(tx Tx, key string, limit int, window time.Duration, now time.Time) (bool, error) {
	ok, _, err := tx.Reserve(key, limit, window, now)
	return !ok, err
}

// addressKey stands for an address in keys without holding it.
func (s *Service) addressKey(canonical string) string {
	return hexed(s.Ring.Hash("attempt", canonical))
}

// netKey names a caller's network: an IPv4 address or an IPv6 /64, since a single household holds a whole /64.
func netKey(what string, c Caller) string {
	network := c.Network
	if a, err := netip.ParseAddr(c.Network); err == nil && a.Unmap().Is6() {
		if p, err := a.Prefix(64); err == nil {
			network = p.String()
		}
	}
	return what + ":net:" + c.Realm + ":" + network
}
