package sqlstore

import (
	"time"

	"doorward/internal/token"
)

// Rules of device grants: every step, the polling too, goes through the version, so that of a person who allows, one who
// denies and a device that polls none undoes another, and one poll gets the tokens (RFC 8628 3.5).

const deviceGrantColumns = `id, realm, client, hash, user_code, scopes, state, authorization_id, created, expires, polled, pace, version`

var (
	insertDeviceGrant = statement(`INSERT INTO oidc_device (` + deviceGrantColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`)
	selectDeviceGrant           = statement(`SELECT ` + deviceGrantColumns + ` FROM oidc_device WHERE hash = $1`)
	selectDeviceGrantByUserCode = statement(`SELECT ` + deviceGrantColumns + ` FROM oidc_device WHERE realm = $1 AND user_code = $2`)
	updateDeviceGrant           = statement(`UPDATE oidc_device SET state = $3, authorization_id = $4, polled = $5, pace = $6, version = version + 1
		WHERE id = $1 AND realm = $2 AND version = $7`)
	existsDeviceGrant = statement(`SELECT 1 FROM oidc_device WHERE id = $1`)
)

func scanDeviceGrant(_ *Tx, r row) (d token.Device, err error) {
	var pace int64
	err = r.Scan(&d.ID, &d.Realm, &d.Client, &d.Hash, &d.UserCode, document{&d.Scopes}, &d.State, &d.Authorization,
		stamp{&d.Created}, stamp{&d.Expires}, stamp{&d.Polled}, &pace, &d.Version)
	d.Interval = time.Duration(pace) * time.Millisecond
	return d, err
}

// AddDeviceGrant adds a device that waits; its Interval is kept in whole milliseconds. When its user code is taken in the
// realm, by an old grant too, it fails with fault.Exists and the caller draws another.
func (t *Tx) AddDeviceGrant(d token.Device) error {
	scopes, err := t.text(d.Scopes)
	if err != nil {
		return err
	}
	return t.insert(insertDeviceGrant, d.ID, d.Realm, d.Client, d.Hash, d.UserCode, scopes, d.State, d.Authorization,
		millis(d.Created), millis(d.Expires), millis(d.Polled), d.Interval.Milliseconds(), d.Version)
}

// DeviceGrant finds a grant by the hash of its device code, in whatever state.
func (t *Tx) DeviceGrant(hash []byte) (token.Device, error) {
	return one(t, scanDeviceGrant, selectDeviceGrant, hash)
}

// DeviceGrantByUserCode finds a grant of a realm by the hash of its user code, in whatever state.
func (t *Tx) DeviceGrantByUserCode(realm string, hash []byte) (token.Device, error) {
	return one(t, scanDeviceGrant, selectDeviceGrantByUserCode, realm, hash)
}

// UpdateDeviceGrant stores state, authorization, when it was last polled and the interval. Of two that started from the
// same version one wins, the other is "stale".
func (t *Tx) UpdateDeviceGrant(d token.Device) error {
	return t.update(existsDeviceGrant, d.ID, updateDeviceGrant, d.ID, d.Realm, d.State, d.Authorization,
		millis(d.Polled), d.Interval.Milliseconds(), d.Version)
}
