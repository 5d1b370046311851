package sqlstore

import (
	"time"

	"doorward/internal/fault"
	"doorward/internal/session"
)

const sessionColumns = `id, realm, person, hash, evidence, created, seen, until, idle, network, browser, device, ended, why, epoch`

var (
	selectSessionByHash = statement(`SELECT ` + sessionColumns + ` FROM session WHERE hash = $1`)
	selectSessions      = statement(`SELECT ` + sessionColumns + ` FROM session WHERE realm = $1 AND person = $2 AND ended = 0 ORDER BY id DESC`)
	selectSession       = statement(`SELECT ` + sessionColumns + ` FROM session WHERE realm = $1 AND id = $2`)
	insertSession       = statement(`INSERT INTO session (` + sessionColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`)
	renewSession = statement(`UPDATE session SET hash = $4, evidence = $5, created = $6, seen = $7, until = $8, idle = $9, network = $10,
		browser = $11, device = $12 WHERE id = $1 AND realm = $2 AND person = $3 AND ended = 0 AND settled = 0`)
	holdSession = statement(`UPDATE session SET seen = seen
		WHERE realm = $1 AND id = $2 AND ended = 0 AND settled = 0 AND until > $3 RETURNING 1`)
	settleEnded = statement(`UPDATE session SET settled = $2 WHERE settled = 0
		AND id IN (SELECT id FROM session WHERE realm = $1 AND settled = 0 AND ended <> 0 LIMIT $3) RETURNING id`)
	settleOver = statement(`UPDATE session SET settled = $2 WHERE settled = 0
		AND id IN (SELECT id FROM session WHERE realm = $1 AND settled = 0 AND until <= $2 ORDER BY until LIMIT $3) RETURNING id`)
	touchSession = statement(`UPDATE session SET seen = $2 WHERE id = $1 AND ended = 0 AND seen < $2`)
	endSession   = statement(`UPDATE session SET ended = $4, why = $5 WHERE realm = $1 AND person = $2 AND id = $3 AND ended = 0`)
	endSessions  = statement(`UPDATE session SET ended = $4, why = $5 WHERE realm = $1 AND person = $2 AND id <> $3 AND ended = 0`)

	selectDeviceByHash = statement(`SELECT id, realm, person, hash, created, seen FROM device WHERE hash = $1`)
	insertDevice       = statement(`INSERT INTO device (id, realm, person, hash, created, seen) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`)
	forgetDevices      = statement(`DELETE FROM device WHERE realm = $1 AND person = $2 AND id <> $3`)
	touchDevice        = statement(`UPDATE device SET seen = $2 WHERE id = $1 AND seen < $2`)
)

func scanSession(_ *Tx, r row) (v session.Session, err error) {
	var idle int64
	err = r.Scan(&v.ID, &v.Realm, &v.Person, &v.Hash, document{&v.Evidence}, stamp{&v.Created}, stamp{&v.Seen}, stamp{&v.Until}, &idle,
		&v.Network, &v.Browser, &v.Device, stamp{&v.Ended}, &v.Why, &v.Epoch)
	v.Idle = time.Duration(idle) * time.Millisecond
	return v, err
}

// AddSession adds a session; its Idle is kept in whole milliseconds.
func (t *Tx) AddSession(v session.Session) error {
	evidence, err := t.text(v.Evidence)
	if err != nil {
		return err
	}
	return t.insert(insertSession, v.ID, v.Realm, v.Person, v.Hash, evidence, millis(v.Created), millis(v.Seen), millis(v.Until),
		v.Idle.Milliseconds(), v.Network, v.Browser, v.Device, millis(v.Ended), v.Why, v.Epoch)
}

// RenewSession gives a live session a new secret, new evidence and new times; its id stays. It fails with fault.Conflict
// "stale" when the session ended meanwhile.
func (t *Tx) RenewSession(v session.Session) error {
	evidence, err := t.text(v.Evidence)
	if err != nil {
		return err
	}
	n, err := t.exec(renewSession, v.ID, v.Realm, v.Person, v.Hash, evidence, millis(v.Created), millis(v.Seen), millis(v.Until),
		v.Idle.Milliseconds(), v.Network, v.Browser, v.Device)
	if _, err = t.ended(n, err); err == nil && n == 0 {
		err = errStale
	}
	return err
}

// SessionByHash finds a session by the hash of its secret, also an ended one, so that the page can say why it ended.
func (t *Tx) SessionByHash(hash []byte) (session.Session, error) {
	return one(t, scanSession, selectSessionByHash, hash)
}

// Session returns one session of a realm by its id, live or ended.
func (t *Tx) Session(realm, id string) (session.Session, error) {
	return one(t, scanSession, selectSession, realm, id)
}

// TouchSession remembers when a session was last seen. It never moves back and leaves an ended session alone.
func (t *Tx) TouchSession(id string, seen time.Time) error {
	_, err := t.exec(touchSession, id, millis(seen))
	return err
}

// EndSession ends one session of a person, and reports whether it was live.
func (t *Tx) EndSession(realm, person, id, why string, now time.Time) (bool, error) {
	n, err := t.ended(t.exec(endSession, realm, person, id, millis(now), why))
	return n == 1, err
}

// EndSessions ends the live sessions of a person but one, and says how many.
func (t *Tx) EndSessions(realm, person, exceptID, why string, now time.Time) (int, error) {
	return t.ended(t.exec(endSessions, realm, person, exceptID, millis(now), why))
}

// HoldSession keeps a live session from ending until this transaction is over, so that whatever is hung on it is there when
// it ends. It fails with fault.Expired "session-over" when the session is over or gone.
func (t *Tx) HoldSession(realm, id string, now time.Time) error {
	held, err := returning(t, scanInt, holdSession, realm, id, millis(now))
	if err == nil && len(held) == 0 {
		err = fault.New(fault.Expired, "session-over")
	}
	return err
}

// SettleSessions hands out sessions of a realm that ended or ran out, at most limit, each once: whoever gets them ends what
// hangs on them and tells whom it concerns, in this transaction.
func (t *Tx) SettleSessions(realm string, now time.Time, limit int) ([]string, error) {
	scan := func(_ *Tx, r row) (id string, err error) { return id, r.Scan(&id) }
	limit = limited(limit)
	ids, err := returning(t, scan, settleEnded, realm, millis(now), limit)
	if err != nil || len(ids) == limit {
		return ids, err
	}
	over, err := returning(t, scan, settleOver, realm, millis(now), limit-len(ids))
	return append(ids, over...), err
}

// Sessions returns the sessions of a person that were not ended, newest first. Whether their time has run out is the
// caller's to judge.
func (t *Tx) Sessions(realm, person string) ([]session.Session, error) {
	return list(t, scanSession, selectSessions, realm, person)
}

func scanDevice(_ *Tx, r row) (d session.Device, err error) {
	return d, r.Scan(&d.ID, &d.Realm, &d.Person, &d.Hash, stamp{&d.Created}, stamp{&d.Seen})
}

// AddDevice adds a known device.
func (t *Tx) AddDevice(d session.Device) error {
	return t.insert(insertDevice, d.ID, d.Realm, d.Person, d.Hash, millis(d.Created), millis(d.Seen))
}

// DeviceByHash finds a known device by the hash of its secret.
func (t *Tx) DeviceByHash(hash []byte) (session.Device, error) {
	return one(t, scanDevice, selectDeviceByHash, hash)
}

// ForgetDevices forgets the known devices of a person but one, and says how many.
func (t *Tx) ForgetDevices(realm, person, exceptID string) (int, error) {
	return t.exec(forgetDevices, realm, person, exceptID)
}

// TouchDevice remembers when a device was last seen. It never moves back.
func (t *Tx) TouchDevice(id string, seen time.Time) error {
	_, err := t.exec(touchDevice, id, millis(seen))
	return err
}
