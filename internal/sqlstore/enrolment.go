package sqlstore

import (
	"time"

	"doorward/internal/pki"
)

// Rules of enrolments: the statement that spends a secret finds only one that is ready and not over. Of many who come with
// the same secret at once, one spends it; what was spent, withdrawn or is over stays, so that a second use is seen.

const enrolmentColumns = `id, realm, person, device, name, sender, secret, state, certificate, created, until, used, version`

var (
	insertEnrolment = statement(`INSERT INTO enrolment (` + enrolmentColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`)
	selectEnrolment         = statement(`SELECT ` + enrolmentColumns + ` FROM enrolment WHERE realm = $1 AND id = $2`)
	selectEnrolmentBySecret = statement(`SELECT ` + enrolmentColumns + ` FROM enrolment WHERE realm = $1 AND secret = $2`)
	selectEnrolmentOf       = statement(`SELECT ` + enrolmentColumns + ` FROM enrolment WHERE realm = $1 AND device = $2`)
	selectEnrolmentsOf      = statement(`SELECT ` + enrolmentColumns + ` FROM enrolment WHERE realm = $1 AND person = $2 ORDER BY id DESC LIMIT $3`)
	spendEnrolment          = statement(`UPDATE enrolment SET state = 'used', used = $3, certificate = $4, version = version + 1
		WHERE realm = $1 AND id = $2 AND state = 'ready' AND until > $3`)
	endEnrolment    = statement(`UPDATE enrolment SET state = 'ended', version = version + 1 WHERE realm = $1 AND id = $2 AND state = 'ready'`)
	existsEnrolment = statement(`SELECT 1 FROM enrolment WHERE id = $1`)
)

func scanEnrolment(_ *Tx, r row) (e pki.Enrolment, err error) {
	err = r.Scan(&e.ID, &e.Realm, &e.Person, &e.Device, &e.Name, &e.Sender, &e.Secret, &e.State, &e.Certificate, stamp{&e.Created}, stamp{&e.Until},
		stamp{&e.Used}, &e.Version)
	return e, err
}

// AddEnrolment adds an enrolment. It fails with fault.Exists where the device or the secret has one already.
func (t *Tx) AddEnrolment(e pki.Enrolment) error {
	return t.insert(insertEnrolment, e.ID, e.Realm, e.Person, e.Device, e.Name, e.Sender, e.Secret, e.State, e.Certificate, millis(e.Created),
		millis(e.Until), millis(e.Used), e.Version)
}

// Enrolment finds an enrolment of a realm.
func (t *Tx) Enrolment(realm, id string) (pki.Enrolment, error) {
	return one(t, scanEnrolment, selectEnrolment, realm, id)
}

// EnrolmentBySecret finds an enrolment by the keyed hash of its secret.
func (t *Tx) EnrolmentBySecret(realm string, secret []byte) (pki.Enrolment, error) {
	return one(t, scanEnrolment, selectEnrolmentBySecret, realm, secret)
}

// EnrolmentOf finds the enrolment of a device.
func (t *Tx) EnrolmentOf(realm, device string) (pki.Enrolment, error) {
	return one(t, scanEnrolment, selectEnrolmentOf, realm, device)
}

// EnrolmentsOf returns the newest enrolments for a person.
func (t *Tx) EnrolmentsOf(realm, person string, limit int) ([]pki.Enrolment, error) {
	return list(t, scanEnrolment, selectEnrolmentsOf, realm, person, limited(limit))
}

// SpendEnrolment spends the secret for a certificate. It fails with fault.Conflict "stale" when it was spent or withdrawn
// before, or it is too late.
func (t *Tx) SpendEnrolment(e pki.Enrolment, certificate string, at time.Time) error {
	return t.update(existsEnrolment, e.ID, spendEnrolment, e.Realm, e.ID, millis(at), certificate)
}

// EndEnrolment withdraws an enrolment. It fails with fault.Conflict "stale" when it was spent or withdrawn before.
func (t *Tx) EndEnrolment(e pki.Enrolment) error {
	return t.update(existsEnrolment, e.ID, endEnrolment, e.Realm, e.ID)
}
