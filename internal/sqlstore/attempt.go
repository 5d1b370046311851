package sqlstore

import (
	"errors"
	"time"
)

// Rules of attempts: an attempt is counted before anything is compared, in a transaction of its own, by one statement.
// So of any number of guesses at once, on any number of nodes, no more than the limit get to compare. A window begins
// with its first attempt and does not slide. Consecutive counts attempts since the last success, over all windows.

var (
	reserveAttempt = statement(`INSERT INTO attempt (key, until, count, consecutive) VALUES ($1, $3, 1, 1)
		ON CONFLICT (key) DO UPDATE SET
			count = CASE WHEN attempt.until <= $2 THEN 1 ELSE attempt.count + 1 END,
			until = CASE WHEN attempt.until <= $2 THEN $3 ELSE attempt.until END,
			consecutive = attempt.consecutive + 1
		WHERE attempt.until <= $2 OR attempt.count < $4
		RETURNING count`)
	releaseAttempt = statement(`UPDATE attempt SET count = CASE WHEN count > 0 THEN count - 1 ELSE 0 END, consecutive = 0 WHERE key = $1`)
	clearAttempt   = statement(`DELETE FROM attempt WHERE key = $1`)
	selectAttempt  = statement(`SELECT until, consecutive FROM attempt WHERE key = $1`)
)

type attempts struct {
	until       time.Time
	consecutive int
}

func scanAttempts(_ *Tx, r row) (a attempts, err error) {
	return a, r.Scan(stamp{&a.until}, &a.consecutive)
}

// Reserve takes one of limit attempts under key within window, counted from the window's first attempt. When none is
// left ok is false and retry says how long until the window ends. A limit of 0 lets nobody through.
func (t *Tx) Reserve(key string, limit int, window time.Duration, now time.Time) (ok bool, retry time.Duration, err error) {
	if limit <= 0 {
		return false, window, nil
	}
	n, err := returning(t, scanInt, reserveAttempt, key, millis(now), millis(now.Add(window)), limit)
	if err != nil || len(n) == 1 {
		return err == nil, 0, err
	}
	a, err := one(t, scanAttempts, selectAttempt, key)
	if errors.Is(err, errNotFound) { // swept meanwhile; it had run out
		return false, 0, nil
	}
	return false, max(0, a.until.Sub(now)), err
}

// Release gives one attempt back after a success and begins to count consecutive ones anew.
func (t *Tx) Release(key string) error {
	_, err := t.exec(releaseAttempt, key)
	return err
}

// Clear forgets a key: its whole budget is there again. For streaks, which end with a success.
func (t *Tx) Clear(key string) error {
	_, err := t.exec(clearAttempt, key)
	return err
}

// Consecutive says how many attempts were reserved since the last success.
func (t *Tx) Consecutive(key string) (int, error) {
	a, err := one(t, scanAttempts, selectAttempt, key)
	if errors.Is(err, errNotFound) {
		return 0, nil
	}
	return a.consecutive, err
}
