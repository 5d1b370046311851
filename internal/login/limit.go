package login

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"doorward/internal/audit"
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

// budget is one limit of attempts.
type budget struct {
	key    string
	limit  int
	window time.Duration
	code   string
}

// Budgets of a network besides its guesses.
func beginning(c Caller) budget {
	return budget{netKey("start", c), 60, 10 * time.Minute, "too-many-starts"}
}
func following(c Caller) budget {
	return budget{netKey("link", c), 60, 10 * time.Minute, "too-many-links"}
}
func mailing(c Caller) budget { return budget{netKey("forgot", c), 20, time.Hour, "too-many-mails"} }
func binding(c Caller) budget {
	return budget{netKey("bind", c), netAttempts, attemptsWindow, "too-many-attempts"}
}

// empty is a budget of which nothing is left.
type empty struct {
	budget
	refusal *fault.Error
}

func (e *empty) Error() string { return e.refusal.Error() }
func (e *empty) Unwrap() error { return e.refusal }

// reserve takes one attempt of every budget that applies, or none: the transaction is rolled back when one is empty.
// The address stands for the person in every flow, so that a step-up shares its budget with a sign-in.
func (s *Service) reserve(tx Tx, c Caller, st standing, k authn.Kind, stored []authn.Credential, device string, now time.Time) (lane, error) {
	base := "try:" + c.Realm + ":" + string(k) + ":"
	who, factor := s.addressKey(st.flow.Subject.Address), newest(stored)
	budgets := []budget{{netKey("try", c), netAttempts, attemptsWindow, "too-many-attempts"}}
	if device != "" {
		who, factor = who+":device:"+device, factor+":device:"+device
		budgets = nil
	}
	budgets = append(budgets, budget{base + who, attempts, attemptsWindow, "too-many-attempts"})
	if k != authn.Password { // no lasting lock on a password: a stranger could lock its owner out
		budgets = append(budgets, budget{base + factor + streakSuffix, streak, streakWindow, "factor-locked"})
	}
	var l lane
	for _, b := range budgets {
		if err := s.throttle(tx, b, now); err != nil {
			return lane{}, err
		}
		l.keys = append(l.keys, b.key)
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

// throttle takes one of a budget or fails with fault.Throttled. The caller hands that error to tripped once its
// transaction is over.
func (s *Service) throttle(tx Tx, b budget, now time.Time) error {
	ok, retry, err := tx.Reserve(b.key, b.limit, b.window, now)
	if err != nil || ok {
		return err
	}
	s.Count("throttled", "code", b.code)
	minutes := int((retry + time.Minute - 1) / time.Minute)
	return &empty{b, fault.New(fault.Throttled, b.code, "minutes", minutes).After(retry)}
}

// tripped writes down that a budget was empty, once in its window (a day where the window is longer), and returns the
// fault for the caller. Any other error goes through. It needs a transaction of its own: what found the budget empty
// was undone. about is what is known of the attempt; the events are as many for nobody as for somebody.
func (s *Service) tripped(ctx context.Context, c Caller, err error, now time.Time, about audit.Event) error {
	var e *empty
	if !errors.As(err, &e) {
		return err
	}
	about.Realm, about.At, about.Type, about.Actor, about.Network, about.Browser = c.Realm, now, "limiter.tripped", "anonymous", c.Network, c.Agent
	data := map[string]string{"code": e.code}
	for k, v := range about.Data {
		data[k] = v
	}
	about.Data = data
	if err := s.Store.Write(ctx, func(tx Tx) error {
		if over, err := s.overLimit(tx, "tripped:"+e.key, 1, min(e.window, 24*time.Hour), now); err != nil || over {
			return err
		}
		return tx.Audit(about)
	}); err != nil {
		s.Log.WarnContext(ctx, "a refusal of the limiter could not be written down", slog.String("error", err.Error()))
	}
	return e.refusal
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
