package sqlstore

import (
	"time"

	"doorward/internal/pki"
)

// Rules of certificates: the row comes before the certificate. No key is certified twice, a certificate has one successor
// that was not revoked, and a device one first certificate: unique indexes say so. Whether one lives is asked here at every
// use, in the statement that notes the use. Whatever ends one raises the epoch.

const certificateColumns = `id, realm, person, device, name, authority, issuer, serial, part, key_hash, tbs, sha256, der, not_before, not_after,
	state, reason, requester, approver, replaces, created, ended, ends, first_used, last_used, version`

var (
	insertCertificate = statement(`INSERT INTO pki_certificate (` + certificateColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)
		ON CONFLICT DO NOTHING`)
	updateCertificate = statement(`UPDATE pki_certificate SET name = $3, sha256 = $4, der = $5, state = $6, reason = $7, ended = $8, ends = $9,
		version = version + 1 WHERE realm = $1 AND id = $2 AND version = $10`)
	existsCertificate = statement(`SELECT 1 FROM pki_certificate WHERE id = $1`)
	useCertificate    = statement(`UPDATE pki_certificate SET last_used = CASE WHEN last_used > $3 THEN last_used ELSE $3 END,
		first_used = CASE WHEN first_used = 0 THEN $3 ELSE first_used END, state = 'active'
		WHERE realm = $1 AND id = $2 AND state IN ('issued', 'active') AND not_before <= $3 AND not_after > $3 AND (ends = 0 OR ends > $3)`)
	confirmCertificate = statement(`UPDATE pki_certificate SET state = 'active', first_used = $3, last_used = $3, version = version + 1
		WHERE realm = $1 AND id = $2 AND state = 'pending' AND not_before <= $3 AND not_after > $3`)
	revokeCertificates = statement(`UPDATE pki_certificate SET state = 'revoked', reason = $3, ended = $4, version = version + 1
		WHERE authority = $2 AND realm = $1 AND state <> 'revoked'`)
	selectCertificate         = statement(`SELECT ` + certificateColumns + ` FROM pki_certificate WHERE realm = $1 AND id = $2`)
	selectCertificateBySerial = statement(`SELECT ` + certificateColumns + ` FROM pki_certificate WHERE issuer = $2 AND serial = $3 AND realm = $1`)
	selectCertificateByKey    = statement(`SELECT ` + certificateColumns + ` FROM pki_certificate WHERE key_hash = $2 AND realm = $1`)
	selectCertificatesOf      = statement(`SELECT ` + certificateColumns + ` FROM pki_certificate
		WHERE realm = $1 AND person = $2 ORDER BY id DESC LIMIT $3`)
	selectCertificates = statement(`SELECT ` + certificateColumns + ` FROM pki_certificate
		WHERE realm = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`)
	selectOrphans = statement(`SELECT ` + certificateColumns + ` FROM pki_certificate
		WHERE realm = $1 AND state = 'reserved' ORDER BY id LIMIT $2`)
	selectEnding = statement(`SELECT ` + certificateColumns + ` FROM pki_certificate
		WHERE realm = $1 AND not_after > $2 AND not_after <= $3 ORDER BY not_after LIMIT $4`)
	selectDue = statement(`SELECT ` + certificateColumns + ` FROM pki_certificate
		WHERE realm = $1 AND not_after > $2 AND not_after <= $3 AND state IN ('issued', 'active') AND ends = 0
			AND NOT EXISTS (SELECT 1 FROM certificate_notice n WHERE n.certificate = pki_certificate.id AND n.days = $4)
			AND NOT EXISTS (SELECT 1 FROM pki_certificate s WHERE s.replaces = pki_certificate.id AND s.replaces <> '' AND s.state <> 'revoked')
		ORDER BY not_after LIMIT $5`)
	insertNotice  = statement(`INSERT INTO certificate_notice (certificate, days, sent) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`)
	selectRevoked = statement(`SELECT serial, state, reason, ended FROM pki_certificate
		WHERE authority = $1 AND part = $2 AND state IN ('revoked', 'suspended') AND not_after > $3 ORDER BY serial`)
	selectCRL = statement(`SELECT realm, authority, part, number, der, this_update, next_update FROM pki_crl
		WHERE authority = $2 AND part = $3 AND realm = $1`)
	insertCRL = statement(`INSERT INTO pki_crl (realm, authority, part, number, der, this_update, next_update)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`)
	updateCRL = statement(`UPDATE pki_crl SET number = $4, der = $5, this_update = $6, next_update = $7
		WHERE realm = $1 AND authority = $2 AND part = $3 AND number = $4 - 1 AND this_update <= $6`)
)

func scanCertificate(_ *Tx, r row) (c pki.Certificate, err error) {
	err = r.Scan(&c.ID, &c.Realm, &c.Person, &c.Device, &c.Name, &c.Authority, &c.Issuer, &c.Serial, &c.Part, &c.Key, &c.TBS, &c.SHA256, &c.DER,
		stamp{&c.NotBefore}, stamp{&c.NotAfter}, &c.State, &c.Reason, &c.Requester, &c.Approver, &c.Replaces, stamp{&c.Created}, stamp{&c.Ended},
		stamp{&c.Ends}, stamp{&c.FirstUsed}, stamp{&c.LastUsed}, &c.Version)
	return c, err
}

// AddCertificate adds a certificate's row. It fails with fault.Exists where its key or serial number was certified before,
// where what it replaces has a successor already, or its device a first certificate.
func (t *Tx) AddCertificate(c pki.Certificate) error {
	return t.insert(insertCertificate, c.ID, c.Realm, c.Person, c.Device, c.Name, c.Authority, c.Issuer, c.Serial, c.Part, c.Key, c.TBS, c.SHA256,
		c.DER, millis(c.NotBefore), millis(c.NotAfter), c.State, c.Reason, c.Requester, c.Approver, c.Replaces, millis(c.Created),
		millis(c.Ended), millis(c.Ends), millis(c.FirstUsed), millis(c.LastUsed), c.Version)
}

// UpdateCertificate changes name, SHA256, DER, state, reason, Ended and Ends.
func (t *Tx) UpdateCertificate(c pki.Certificate) error {
	if c.State == pki.Suspended || c.State == pki.Revoked || !c.Ends.IsZero() {
		t.Bump()
	}
	return t.update(existsCertificate, c.ID, updateCertificate, c.Realm, c.ID, c.Name, c.SHA256, c.DER, c.State, c.Reason, millis(c.Ended),
		millis(c.Ends), c.Version)
}

// UseCertificate notes that a certificate was shown, in the statement that asks whether it lives at that moment. One that
// does not live is fault.Conflict "stale"; what is wrong with it says its row.
func (t *Tx) UseCertificate(realm, id string, at time.Time) error {
	return t.update(existsCertificate, id, useCertificate, realm, id, millis(at))
}

// ConfirmCertificate makes a pending certificate one that counts, as it is shown for the first time. One that is not pending at
// that moment is fault.Conflict "stale".
func (t *Tx) ConfirmCertificate(realm, id string, at time.Time) error {
	return t.update(existsCertificate, id, confirmCertificate, realm, id, millis(at))
}

// RevokeCertificates revokes all certificates of an authority that are not, also those in the making, and says how many.
func (t *Tx) RevokeCertificates(realm, authority, reason string, at time.Time) (int, error) {
	return t.ended(t.exec(revokeCertificates, realm, authority, reason, millis(at)))
}

// Certificate finds a certificate of a realm.
func (t *Tx) Certificate(realm, id string) (pki.Certificate, error) {
	return one(t, scanCertificate, selectCertificate, realm, id)
}

// CertificateBySerial finds a certificate by its issuer's key, as Certificate.Issuer, and its serial number.
func (t *Tx) CertificateBySerial(realm, issuer, serial string) (pki.Certificate, error) {
	return one(t, scanCertificate, selectCertificateBySerial, realm, issuer, serial)
}

// CertificateByKey finds the certificate of a key, as Certificate.Key.
func (t *Tx) CertificateByKey(realm, key string) (pki.Certificate, error) {
	return one(t, scanCertificate, selectCertificateByKey, realm, key)
}

// CertificatesOf returns the newest certificates of a person, in whatever state.
func (t *Tx) CertificatesOf(realm, person string, limit int) ([]pki.Certificate, error) {
	return list(t, scanCertificate, selectCertificatesOf, realm, person, limited(limit))
}

// Certificates pages through those of a realm, newest first; before is the last id of the page before.
func (t *Tx) Certificates(realm, before string, limit int) ([]pki.Certificate, error) {
	return list(t, scanCertificate, selectCertificates, realm, before, limited(limit))
}

// ReservedCertificates returns the rows of a realm without a stored certificate, oldest first.
func (t *Tx) ReservedCertificates(realm string, limit int) ([]pki.Certificate, error) {
	return list(t, scanCertificate, selectOrphans, realm, limited(limit))
}

// CertificatesEnding returns those that run out after from and not after until, in whatever state, the next to end first.
func (t *Tx) CertificatesEnding(realm string, from, until time.Time, limit int) ([]pki.Certificate, error) {
	return list(t, scanCertificate, selectEnding, realm, millis(from), millis(until), limited(limit))
}

// CertificatesDue returns those that run out after a moment and not after another, that live, have no successor, and whose
// owner was not written to on that many days before the end, the next to end first.
func (t *Tx) CertificatesDue(realm string, after, until time.Time, days, limit int) ([]pki.Certificate, error) {
	return list(t, scanCertificate, selectDue, realm, millis(after), millis(until), days, limited(limit))
}

// NoteCertificate notes that somebody was written to that many days before a certificate's end. Of all who note it at once
// exactly one is told that it was fresh.
func (t *Tx) NoteCertificate(certificate string, days int, at time.Time) (fresh bool, err error) {
	n, err := t.exec(insertNotice, certificate, days, millis(at))
	return n == 1, err
}

// RevokedCertificates returns what a part of an authority's CRL says: suspended and revoked ones that have not run out
// before since, by serial number, with serial, state, reason and Ended alone.
func (t *Tx) RevokedCertificates(authority string, part int, since time.Time) ([]pki.Certificate, error) {
	return list(t, func(_ *Tx, r row) (c pki.Certificate, err error) {
		return c, r.Scan(&c.Serial, &c.State, &c.Reason, stamp{&c.Ended})
	}, selectRevoked, authority, part, millis(since))
}

// CRL finds the newest CRL of a part.
func (t *Tx) CRL(realm, authority string, part int) (pki.CRL, error) {
	return one(t, func(_ *Tx, r row) (l pki.CRL, err error) {
		return l, r.Scan(&l.Realm, &l.Authority, &l.Part, &l.Number, &l.DER, stamp{&l.ThisUpdate}, stamp{&l.NextUpdate})
	}, selectCRL, realm, authority, part)
}

// PutCRL stores the CRL that follows the one there is: its number is one more, and it is not older. Of two made at once
// one is stored, the other is fault.Conflict "stale".
func (t *Tx) PutCRL(l pki.CRL) error {
	text := updateCRL
	if l.Number == 1 {
		text = insertCRL
	}
	n, err := t.exec(text, l.Realm, l.Authority, l.Part, l.Number, l.DER, millis(l.ThisUpdate), millis(l.NextUpdate))
	if err == nil && n == 0 {
		err = errStale
	}
	return err
}

// certificatesKept is how long the row of a certificate stays after it has run out.
const certificatesKept = 2 * 365 * day
