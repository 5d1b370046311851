// Package limit holds budgets: how often something may be tried within a while. They are counted in the database, never in
// a cookie or in memory (SEC T-6), and somebody who looks into the trail sees that one was empty (SEC G-2).
//
//   - Taking is one statement of the store: of 64 callers at once exactly as many get through as the budget has.
//   - That a budget was empty is one event in its window, however often it was asked: more would let a stranger fill the
//     trail. It needs a transaction of its own, since the one that found the budget empty is undone.
package limit

import (
	"errors"
	"time"

	"doorward/internal/audit"
	"doorward/internal/fault"
)

// Tx is what budgets need of one transaction.
type Tx interface {
	// Reserve takes one of what a key has in a window, or says when there will be one again.
	Reserve(key string, limit int, window time.Duration, now time.Time) (ok bool, retry time.Duration, err error)
	Audit(audit.Event) error
}

// Budget is one limit. Code is the fault of whoever finds it empty; its text may name {minutes} until something is there
// again, and {max}.
type Budget struct {
	Key    string
	Limit  int
	Window time.Duration
	Code   string
}

// Empty is a budget of which nothing was left. It unwraps to the fault for the caller, which is fault.Throttled.
type Empty struct {
	Budget
	Refusal *fault.Error
}

func (e *Empty) Error() string { return e.Refusal.Error() }

// Unwrap gives the fault.
func (e *Empty) Unwrap() error { return e.Refusal }

// Take takes one of a budget. It fails with an *Empty where none is left; the caller's transaction is undone then.
func (b Budget) Take(tx Tx, now time.Time) error {
	ok, retry, err := tx.Reserve(b.Key, b.Limit, b.Window, now)
	if err != nil || ok {
		return err
	}
	minutes := int((retry + time.Minute - 1) / time.Minute)
	return &Empty{b, fault.New(fault.Throttled, b.Code, "minutes", minutes, "max", b.Limit).After(retry)}
}

// Of finds the empty budget in an error, nil where it is another one.
func Of(err error) *Empty {
	var e *Empty
	errors.As(err, &e)
	return e
}

// Note writes down that the budget was empty, once in its window, or in a day where the window is longer. about is what is
// known of the attempt: who, when, from where. Its type and its code are filled in here.
func (e *Empty) Note(tx Tx, about audit.Event) error {
	ok, _, err := tx.Reserve("tripped:"+e.Key, 1, min(e.Window, 24*time.Hour), about.At)
	if err != nil || !ok {
		return err
	}
	about.Type = "limiter.tripped"
	data := map[string]string{"code": e.Code}
	for k, v := range about.Data {
		data[k] = v
	}
	about.Data = data
	return tx.Audit(about)
}
