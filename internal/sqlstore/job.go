package sqlstore

import (
	"time"

	"doorward/internal/job"
)

var (
	takeLease = statement(`INSERT INTO lease (name, holder, until, last, error) VALUES ($1, $2, $4, 0, '')
		ON CONFLICT (name) DO UPDATE SET holder = $2, until = $4 WHERE lease.until <= $3`)
	renewLease = statement(`UPDATE lease SET until = $4 WHERE name = $1 AND holder = $2 AND until > $3`)
	endLease   = statement(`UPDATE lease SET until = 0, error = $4, last = CASE WHEN $4 = '' THEN CAST($3 AS BIGINT) ELSE last END
		WHERE name = $1 AND holder = $2`)
	selectLeases = statement(`SELECT name, holder, until, last, error FROM lease ORDER BY name`)
)

// TakeLease takes a lease that nobody holds at now, until now + ttl. It is not given twice, not even to its holder.
func (t *Tx) TakeLease(name, holder string, now time.Time, ttl time.Duration) (bool, error) {
	n, err := t.exec(takeLease, name, holder, millis(now), millis(now.Add(ttl)))
	return n == 1, err
}

// RenewLease prolongs a lease until now + ttl, and reports whether holder still had it at now.
func (t *Tx) RenewLease(name, holder string, now time.Time, ttl time.Duration) (bool, error) {
	n, err := t.exec(renewLease, name, holder, millis(now), millis(now.Add(ttl)))
	return n == 1, err
}

// EndLease gives a lease back, with what went wrong in the run, empty when nothing did. Who has lost the lease meanwhile
// changes nothing.
func (t *Tx) EndLease(name, holder string, now time.Time, fault string) error {
	_, err := t.exec(endLease, name, holder, millis(now), fault)
	return err
}

// Leases returns all leases by name.
func (t *Tx) Leases() ([]job.Lease, error) {
	return list(t, func(_ *Tx, r row) (l job.Lease, err error) {
		return l, r.Scan(&l.Name, &l.Holder, stamp{&l.Until}, stamp{&l.Last}, &l.Error)
	}, selectLeases)
}
