package login

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/limit"
)

// The attempt limiter. An attempt is reserved and committed before anything is compared (SEC T-AC2), so 64 callers at
// once get exactly the limit. What was right gives its reservation back.
//
//   - Counted per person and kind, in the database, never in a cookie or in memory (SEC T-6). Before the person is known
//     the canonical address stands for them, known or not, so both count alike.
//   - A browser in which this person has signed in before has a lane of its own: strangers' failures cannot lock it out,
//     and it cannot use strangers' budget (SEC T-LOCK).
//   - Counted per network as well, for guesses spread over many people. The network never lets anybody in.
//   - The streak of failures belongs to the newest credential of the kind: one that was bound since has none. Only who is
//     signed in, or has a reset behind them, binds one.
//   - The first refusal in a window is an event; more would let a stranger fill the trail.
const (
	attempts       = 10
	attemptsWindow = 15 * time.Minute
	netAttempts    = 100
	streak         = 100 // consecutive failures of one factor, then only a reset helps (NIST SP 800-63B 5.2.2)
	streakWindow   = 10 * 365 * 24 * time.Hour
)

// lane is a set of reservations made for one attempt.
type lane struct{ keys []string }

// Budgets of a network besides its guesses.
func beginning(c Caller) limit.Budget {
	return limit.Budget{Key: netKey("start", c), Limit: 60, Window: 10 * time.Minute, Code: "too-many-starts"}
}
func following(c Caller) limit.Budget {
	return limit.Budget{Key: netKey("link", c), Limit: 60, Window: 10 * time.Minute, Code: "too-many-links"}
}
func mailing(c Caller) limit.Budget {
	return limit.Budget{Key: netKey("forgot", c), Limit: 20, Window: time.Hour, Code: "too-many-mails"}
}
func binding(c Caller) limit.Budget { return attempting(netKey("bind", c), netAttempts) }

// attempting is a budget of guesses.
func attempting(key string, most int) limit.Budget {
	return limit.Budget{Key: key, Limit: most, Window: attemptsWindow, Code: "too-many-attempts"}
}

// reserve takes one attempt of every budget that applies, or none: the transaction is rolled back when one is empty.
// The address stands for the person in every flow, so that a step-up shares its budget with a sign-in.
func (s *Service) reserve(tx Tx, c Caller, st standing, k authn.Kind, stored []authn.Credential, device string, now time.Time) (lane, error) {
	base := "try:" + c.Realm + ":" + string(k) + ":"
	who, factor := s.addressKey(st.flow.Subject.Address), newest(stored)
	budgets := []limit.Budget{attempting(netKey("try", c), netAttempts)}
	if k == authn.Cert {
		return take(tx, budgets, now) // nothing to guess, see certificate.go
	}
	if device != "" {
		who, factor = who+":device:"+device, factor+":device:"+device
		budgets = nil
	}
	budgets = append(budgets, attempting(base+who, attempts))
	if k != authn.Password { // no lasting lock on a password: a stranger could lock its owner out
		budgets = append(budgets, limit.Budget{Key: base + factor + streakSuffix, Limit: streak, Window: streakWindow, Code: "factor-locked"})
	}
	return take(tx, budgets, now)
}

// take takes one of each budget.
func take(tx Tx, budgets []limit.Budget, now time.Time) (l lane, err error) {
	for _, b := range budgets {
		if err := b.Take(tx, now); err != nil {
			return lane{}, err
		}
		l.keys = append(l.keys, b.Key)
	}
	return l, nil
}

const streakSuffix = ":streak"

// newest names the credential that was bound last.
func newest(stored []authn.Credential) (id string) {
	var at time.Time
	for _, c := range stored {
		if id == "" || c.Created.After(at) {
			id, at = c.ID, c.Created
		}
	}
	return id
}

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

// tripped counts and writes down that a budget was empty, and returns the fault for the caller. Any other error goes
// through. It is called once the transaction that found the budget empty is over. about is what is known of the attempt;
// the events are as many for nobody as for somebody.
func (s *Service) tripped(ctx context.Context, c Caller, err error, now time.Time, about audit.Event) error {
	e := limit.Of(err)
	if e == nil {
		return err
	}
	s.Count("throttled", "code", e.Code)
	about.Realm, about.At, about.Actor, about.Network, about.Browser = c.Realm, now, "anonymous", c.Network, c.Agent
	if err := s.Store.Write(ctx, func(tx Tx) error { return e.Note(tx, about) }); err != nil {
		s.Log.WarnContext(ctx, "a refusal of the limiter could not be written down", slog.String("error", err.Error()))
	}
	return e.Refusal
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

func netKey(what string, c Caller) string { return what + ":net:" + c.Realm + ":" + c.Net() }

// Net is the caller's network as budgets count it: an IPv4 address or an IPv6 /64, since a single household holds a
// whole /64.
func (c Caller) Net() string {
	network := c.Network[:min(len(c.Network), 64)] // what is no address (a socket's name) is no reason for an endless key
	if a, err := netip.ParseAddr(c.Network); err == nil {
		a = a.Unmap().WithZone("") // ::ffff:192.0.2.1 is 192.0.2.1
		network = a.String()
		if p, err := a.Prefix(64); err == nil && a.Is6() {
			network = p.String()
		}
	}
	return network
}
