package admin

import (
	"strings"
	"time"

	"doorward/internal/fault"
	"doorward/internal/helpdesk"
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
		return number, true, budget(tx, "ask:proof:"+c.Realm+":"+c.Net(), askLimit, now)
	}
	if now.Sub(made) < helpdesk.ReadingTime {
		return "", false, fault.New(fault.Invalid, "form-quick")
	}
	return number, true, budget(tx, "ask:plain:"+c.Realm+":"+c.Net(), plainLimit, now)
}

// budget takes one of what may be asked under a key.
func budget(tx RequestTx, key string, limit int, now time.Time) error {
	ok, retry, err := tx.Reserve(key, limit, askWindow, now)
	if err == nil && !ok {
		err = fault.New(fault.Throttled, "too-many-requests", "minutes", int(retry/time.Minute)+1).After(retry)
	}
	return err
}
