package sqlstore

import (
	"time"

	"doorward/internal/token"
)

// Rules of back-channel log-outs: as with mail, one is a row in the transaction that ended the session, and is claimed for
// a time by one statement whose outer condition is looked at again under the row's lock.

// LogoutTopic is woken after a commit that added a log-out.
const LogoutTopic = "logout"

const logoutColumns = `id, realm, client, person, session, attempts, last_error, created, due, done`

var (
	insertLogout = statement(`INSERT INTO oidc_logout (` + logoutColumns + `, leased)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0) ON CONFLICT DO NOTHING`)
	claimLogouts = statement(`UPDATE oidc_logout SET leased = $2
		WHERE done = 0 AND leased <= $1
		AND id IN (SELECT id FROM oidc_logout WHERE done = 0 AND due <= $1 AND leased <= $1 ORDER BY due, id LIMIT $3)
		RETURNING ` + logoutColumns)
	finishLogout = statement(`UPDATE oidc_logout SET attempts = $2, last_error = $3, due = $4, done = $5, leased = 0 WHERE id = $1 AND done = 0`)
	existsLogout = statement(`SELECT 1 FROM oidc_logout WHERE id = $1`)
)

func scanLogout(_ *Tx, r row) (l token.Logout, err error) {
	err = r.Scan(&l.ID, &l.Realm, &l.Client, &l.Person, &l.Session, &l.Attempts, &l.Error, stamp{&l.Created}, stamp{&l.Due}, stamp{&l.Done})
	return l, err
}

// AddLogout adds a log-out to be delivered and wakes the watchers of LogoutTopic after the commit.
func (t *Tx) AddLogout(l token.Logout) error {
	t.wake(LogoutTopic)
	return t.insert(insertLogout, l.ID, l.Realm, l.Client, l.Person, l.Session, l.Attempts, l.Error, millis(l.Created), millis(l.Due), millis(l.Done))
}

// ClaimLogouts hands out log-outs that are due, at most limit, until now + lease. Whoever does not finish one by then may
// see it claimed by another.
func (t *Tx) ClaimLogouts(now time.Time, lease time.Duration, limit int) ([]token.Logout, error) {
	return returning(t, scanLogout, claimLogouts, millis(now), millis(now.Add(lease)), limited(limit))
}

// FinishLogout stores what became of a claimed log-out: attempts, error, due, done. One that is done stays done.
func (t *Tx) FinishLogout(l token.Logout) error {
	n, err := t.exec(finishLogout, l.ID, l.Attempts, l.Error, millis(l.Due), millis(l.Done))
	if err == nil && n == 0 {
		_, err = one(t, scanInt, existsLogout, l.ID)
	}
	return err
}
