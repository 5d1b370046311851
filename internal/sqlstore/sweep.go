package sqlstore

import "time"

// Rules of sweeping: what can no longer be used for anything goes, in small transactions. One-time secrets and sessions
// stay for thirty days after their end, so that a late visitor is told what happened. A count of consecutive attempts
// outlives its window: an attacker must not shed it by waiting for the sweep.

const (
	sweepBatch   = 500
	explained    = 30 * 24 * time.Hour
	attemptsKept = 180 * 24 * time.Hour
)

var sweeps = []struct {
	text string
	age  time.Duration
}{
	{statement(`DELETE FROM flow WHERE id IN (SELECT id FROM flow WHERE expires <= $1 LIMIT $2)`), 0},
	{statement(`DELETE FROM spent WHERE key IN (SELECT key FROM spent WHERE expires <= $1 LIMIT $2)`), 0},
	{statement(`DELETE FROM attempt WHERE key IN (SELECT key FROM attempt WHERE until <= $1 AND consecutive = 0 LIMIT $2)`), 0},
	{statement(`DELETE FROM attempt WHERE key IN (SELECT key FROM attempt WHERE until <= $1 LIMIT $2)`), attemptsKept},
	{statement(`DELETE FROM one_time WHERE id IN (SELECT id FROM one_time WHERE expires <= $1 LIMIT $2)`), explained},
	{statement(`DELETE FROM session WHERE id IN (SELECT id FROM session WHERE until <= $1 LIMIT $2)`), explained},
}

// Sweep deletes some of what has run out at now and says how many rows. The caller goes on in a new transaction while
// there are any.
func (t *Tx) Sweep(now time.Time) (int, error) {
	total := 0
	for _, s := range sweeps {
		n, err := t.exec(s.text, millis(now.Add(-s.age)), sweepBatch)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}
