package admin

import (
	"context"
	"errors"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/limit"
	"doorward/internal/login"
	"doorward/internal/secret"
)

// What one network, or one person, may ask in askWindow.
const (
	askLimit   = 6 // with a proof of work
	plainLimit = 2 // and without
	askWindow  = time.Hour
)

// Challenge is what the next form carries: the one before where it can still be sent, else a new one.
func (s *Requests) Challenge(realm, before string) string {
	now := s.Clock()
	if made, ok := (helpdesk.Proof{Challenge: before}).Made(s.Ring, realm, now); ok && now.Sub(made) < helpdesk.ChallengeFor/2 {
		return before
	}
	return helpdesk.NewChallenge(s.Ring, realm, now)
}

// Receipt is the number of a request as an address carries it.
func (s *Requests) Receipt(realm, number string) string {
	return helpdesk.Receipt(s.Ring, realm, number)
}

// Received is the number of a receipt; ok is false for one that this house did not write for the realm.
func (s *Requests) Received(realm, receipt string) (number string, ok bool) {
	number, _, _ = strings.Cut(receipt, ".")
	return number, secret.Equal(receipt, s.Receipt(realm, number))
}

// proven checks what came with a form and spends it. number is that of the request it leads to, the same each time;
// fresh is false where it came before. Errors: fault.Invalid "form-old", "form-quick"; fault.Throttled "too-many-requests".
func (s *Requests) proven(tx RequestTx, c login.Caller, p helpdesk.Proof, now time.Time) (number string, fresh bool, err error) {
	made, ok := p.Made(s.Ring, c.Realm, now)
	if !ok {
		return "", false, fault.New(fault.Invalid, "form-old")
	}
	number, once := p.Number(s.Ring, c.Realm)
	if fresh, err = tx.Spend(once, made.Add(helpdesk.ChallengeFor+time.Minute)); err != nil || !fresh {
		return number, false, err
	}
	if p.Works() {
		return number, true, asking("proof:"+c.Realm+":"+c.Net(), askLimit).Take(tx, now)
	}
	if now.Sub(made) < helpdesk.ReadingTime {
		return "", false, fault.New(fault.Invalid, "form-quick")
	}
	return number, true, asking("plain:"+c.Realm+":"+c.Net(), plainLimit).Take(tx, now)
}

// asking is the budget of the form for a network or a person.
func asking(of string, most int) limit.Budget {
	return limit.Budget{Key: "ask:" + of, Limit: most, Window: askWindow, Code: "too-many-requests"}
}

// tripped counts and writes down that a budget was empty, and returns the fault for whoever asked. Any other error goes
// through. It is called once the transaction that found the budget empty is over. about says who asked, and about whom as
// far as that was proven: an address that was typed names nobody.
func (s *Requests) tripped(ctx context.Context, err error, about audit.Event) error {
	e := limit.Of(err)
	if e == nil {
		return err
	}
	if s.Count != nil {
		s.Count("throttled", "code", e.Code)
	}
	return errors.Join(e.Refusal, s.Store.Write(ctx, func(tx RequestTx) error { return e.Note(tx, about) }))
}
