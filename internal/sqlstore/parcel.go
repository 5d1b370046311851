package sqlstore

import (
	"time"

	"doorward/internal/keyfile"
)

// Rules of parcels: the statement that says a file was fetched, or a password said, empties it, and finds only what nobody
// took before. Of many who take it at once one does. What nobody fetched in time is emptied by the sweep. That a password was
// typed is counted by a statement of its own, before anything is compared.

const parcelColumns = `id, realm, certificate, person, contact, sender, target, device, year, file, password, link, sent, state, created, until,
	fetched, said, language, letter, proof, tries, version`

var (
	insertParcel = statement(`INSERT INTO parcel (` + parcelColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) ON CONFLICT DO NOTHING`)
	selectParcel       = statement(`SELECT ` + parcelColumns + ` FROM parcel WHERE realm = $1 AND id = $2`)
	selectParcelByLink = statement(`SELECT ` + parcelColumns + ` FROM parcel WHERE realm = $1 AND link = $2`)
	selectParcelsOf    = statement(`SELECT ` + parcelColumns + ` FROM parcel WHERE realm = $1 AND person = $2 ORDER BY id DESC LIMIT $3`)
	tryParcel          = statement(`UPDATE parcel SET tries = tries + 1 WHERE realm = $1 AND id = $2 AND state = 'ready' AND until > $3 AND tries < $4 RETURNING tries`)
	untryParcel        = statement(`UPDATE parcel SET tries = tries - 1 WHERE realm = $1 AND id = $2 AND tries > 0`)
	signParcel         = statement(`UPDATE parcel SET file = NULL, password = NULL, state = 'signed', certificate = $5, year = $6, fetched = $3, until = $7, version = version + 1
		WHERE realm = $1 AND id = $2 AND state = 'ready' AND until > $3 AND version = $4`)
	keepParcel       = statement(`UPDATE parcel SET state = 'fetched', version = version + 1 WHERE realm = $1 AND id = $2 AND state = 'signed'`)
	selectSignedLeft = statement(`SELECT ` + parcelColumns + ` FROM parcel WHERE realm = $1 AND state = 'signed' AND until <= $2
		AND EXISTS (SELECT 1 FROM pki_certificate c WHERE c.id = parcel.certificate AND c.state = 'issued') ORDER BY until LIMIT $3`)
	fetchParcel = statement(`UPDATE parcel SET file = NULL, state = 'fetched', fetched = $3, version = version + 1
		WHERE realm = $1 AND id = $2 AND state = 'ready' AND until > $3 AND version = $4`)
	sayParcel = statement(`UPDATE parcel SET password = NULL, said = $3, version = version + 1
		WHERE realm = $1 AND id = $2 AND password IS NOT NULL AND version = $4`)
	sendParcel = statement(`UPDATE parcel SET link = $3, sent = sent + 1, until = $4, letter = $5, version = version + 1
		WHERE realm = $1 AND id = $2 AND state = 'ready' AND version = $6`)
	endParcel = statement(`UPDATE parcel SET file = NULL, password = NULL, state = CASE WHEN state IN ('ready', 'signed') THEN 'ended' ELSE state END,
		version = version + 1 WHERE realm = $1 AND id = $2 AND version = $3`)
	selectParcelOf = statement(`SELECT ` + parcelColumns + ` FROM parcel WHERE realm = $1 AND certificate = $2`)
	selectOwnLeft  = statement(`SELECT ` + parcelColumns + ` FROM parcel WHERE realm = $1 AND contact = '' AND fetched = 0 AND until <= $2
		AND EXISTS (SELECT 1 FROM pki_certificate c WHERE c.id = parcel.certificate AND c.state <> 'revoked') ORDER BY until LIMIT $3`)
	selectNotShown = statement(`SELECT ` + parcelColumns + ` FROM parcel WHERE fetched > 0 AND until <= $2
		AND certificate IN (SELECT id FROM pki_certificate WHERE realm = $1 AND state = 'pending') LIMIT $3`)
	existsParcel = statement(`SELECT 1 FROM parcel WHERE id = $1`)
)

func scanParcel(_ *Tx, r row) (p keyfile.Parcel, err error) {
	err = r.Scan(&p.ID, &p.Realm, &p.Certificate, &p.Person, &p.Contact, &p.Sender, &p.Target, &p.Device, &p.Year, &p.File, &p.Password, &p.Link,
		&p.Sent, &p.State, stamp{&p.Created}, stamp{&p.Until}, stamp{&p.Fetched}, stamp{&p.Said}, &p.Language, &p.Letter, &p.Proof, &p.Tries, &p.Version)
	return p, err
}

// AddParcel adds a parcel. It fails with fault.Exists where the certificate travels already.
func (t *Tx) AddParcel(p keyfile.Parcel) error {
	return t.insert(insertParcel, p.ID, p.Realm, p.Certificate, p.Person, p.Contact, p.Sender, p.Target, p.Device, p.Year, p.File, p.Password, p.Link,
		p.Sent, p.State, millis(p.Created), millis(p.Until), millis(p.Fetched), millis(p.Said), p.Language, p.Letter, p.Proof, p.Tries, p.Version)
}

// Parcel finds a parcel of a realm.
func (t *Tx) Parcel(realm, id string) (keyfile.Parcel, error) {
	return one(t, scanParcel, selectParcel, realm, id)
}

// ParcelByLink finds the parcel that a link leads to, by the keyed hash of its secret.
func (t *Tx) ParcelByLink(realm string, link []byte) (keyfile.Parcel, error) {
	return one(t, scanParcel, selectParcelByLink, realm, link)
}

// ParcelsOf returns the newest parcels of a person.
func (t *Tx) ParcelsOf(realm, person string, limit int) ([]keyfile.Parcel, error) {
	return list(t, scanParcel, selectParcelsOf, realm, person, limited(limit))
}

// ParcelOf finds the parcel of a certificate.
func (t *Tx) ParcelOf(realm, certificate string) (keyfile.Parcel, error) {
	return one(t, scanParcel, selectParcelOf, realm, certificate)
}

// OwnParcelsLeft returns those that their owner made and did not fetch in time, or did not show in time where nothing else makes
// the certificate count, and whose certificate was not revoked yet.
func (t *Tx) OwnParcelsLeft(realm string, now time.Time, limit int) ([]keyfile.Parcel, error) {
	left, err := list(t, scanParcel, selectOwnLeft, realm, millis(now), limited(limit))
	if err != nil {
		return nil, err
	}
	more, err := list(t, scanParcel, selectNotShown, realm, millis(now), limited(limit))
	return append(left, more...), err
}

// FetchParcel says that the file was fetched, and empties it. It fails with fault.Conflict "stale" when somebody was
// faster, or it is too late.
func (t *Tx) FetchParcel(p keyfile.Parcel, at time.Time) error {
	return t.update(existsParcel, p.ID, fetchParcel, p.Realm, p.ID, millis(at), p.Version)
}

// TryParcel takes one of the times that a file's password may be typed wrongly, and says the how manieth it is; 0 where none
// is left, or the file cannot be fetched any more.
func (t *Tx) TryParcel(p keyfile.Parcel, limit int, now time.Time) (int, error) {
	n, err := returning(t, scanInt, tryParcel, p.Realm, p.ID, millis(now), limit)
	if err != nil || len(n) == 0 {
		return 0, err
	}
	return int(n[0]), nil
}

// UntryParcel gives back what TryParcel took: the password was right.
func (t *Tx) UntryParcel(p keyfile.Parcel) error {
	_, err := t.exec(untryParcel, p.Realm, p.ID)
	return err
}

// SignParcel says that the owner's browser has a certificate for a key of its own, and empties the parcel: Certificate, Year and
// Until are stored. It fails with fault.Conflict "stale" when somebody was faster, or it is too late.
func (t *Tx) SignParcel(p keyfile.Parcel, at time.Time) error {
	return t.update(existsParcel, p.ID, signParcel, p.Realm, p.ID, millis(at), p.Version, p.Certificate, p.Year, millis(p.Until))
}

// KeepParcel says that the browser has the certificate. It fails with fault.Conflict "stale" where nothing was signed.
func (t *Tx) KeepParcel(p keyfile.Parcel) error {
	return t.update(existsParcel, p.ID, keepParcel, p.Realm, p.ID)
}

// SignedParcelsLeft returns those that were signed, of which no browser has said in time that it has the certificate, and
// whose certificate was not shown or revoked since.
func (t *Tx) SignedParcelsLeft(realm string, now time.Time, limit int) ([]keyfile.Parcel, error) {
	return list(t, scanParcel, selectSignedLeft, realm, millis(now), limited(limit))
}

// SayParcel says that the contact was shown the password, and empties it. It fails with fault.Conflict "stale" when it
// was shown before.
func (t *Tx) SayParcel(p keyfile.Parcel, at time.Time) error {
	return t.update(existsParcel, p.ID, sayParcel, p.Realm, p.ID, millis(at), p.Version)
}

// SendParcel gives the parcel another link, which makes the one before worthless: Link, Until and Letter are stored.
func (t *Tx) SendParcel(p keyfile.Parcel) error {
	return t.update(existsParcel, p.ID, sendParcel, p.Realm, p.ID, p.Link, millis(p.Until), p.Letter, p.Version)
}

// EndParcel empties a parcel: nobody fetches it or is shown its password any more.
func (t *Tx) EndParcel(p keyfile.Parcel) error {
	return t.update(existsParcel, p.ID, endParcel, p.Realm, p.ID, p.Version)
}

// parcelsKept is how long a parcel's row stays after its link has ended, to say what became of it.
const parcelsKept = 2 * 365 * day
