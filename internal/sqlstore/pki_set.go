package sqlstore

import (
	"math"

	"doorward/internal/pki"
)

// Rules of the sets of certificates: each is a range of one index, which its page comes sorted out of and its count stays
// within. Of an organization the few of its people are looked at, and sorted. What was never signed (no SHA-256) is none.

// setTexts are the statements of a set, for a realm and for one organization.
type setTexts struct{ count, list, countOf, listOf string }

// $1 realm, $2 from, $3 until, then of lists $4 way, $5 and $6 the keyset, $7 limit; last the organization.
var certificateSets = map[pki.Set]setTexts{
	pki.Made:   setOf(`created >= $2 AND created < $3 AND sha256 <> ''`, "created", true),
	pki.Ending: setOf(`not_after > $2 AND not_after <= $3 AND state IN ('issued', 'active') AND ends = 0 AND NOT EXISTS (`+successor+`)`, "not_after", false),
	pki.Sent: setOf(`state = 'issued' AND created <= $3 AND not_after > $2 AND EXISTS (`+parcelOfIt+` AND parcel.state = 'ready'
		AND parcel.until > $2)`, "created", true),
	pki.Late: setOf(`state = 'issued' AND created <= $3 AND not_after > $2 AND EXISTS (`+parcelOfIt+` AND (parcel.state = 'ended'
		OR parcel.state = 'ready' AND parcel.until <= $2))`, "created", true),
	pki.Held:  setOf(`state = 'suspended' AND created <= $3 AND not_after > $2 AND (ends = 0 OR ends > $2)`, "created", true),
	pki.Ended: setOf(`state = 'revoked' AND ended >= $2 AND ended < $3 AND sha256 <> ''`, "ended", true),
}

const (
	successor = `SELECT 1 FROM pki_certificate AS next WHERE next.replaces = pki_certificate.id AND next.replaces <> '' AND next.state <> 'revoked'`
	// parcelOfIt is a file that staff sent; what owners renewed stays on their own page.
	parcelOfIt = `SELECT 1 FROM parcel WHERE parcel.certificate = pki_certificate.id AND parcel.contact <> ''`
	wayOfIt    = `CASE WHEN replaces = '' THEN 'first' WHEN approver = '' THEN 'renewal' ELSE 'replacement' END`
)

func setOf(fits, by string, newest bool) setTexts {
	const ofOrganization = ` AND person IN (SELECT person.id FROM person WHERE person.realm = $1 AND person.organization = `
	from := ` FROM pki_certificate WHERE realm = $1 AND ` + fits
	page, order := ` AND (`+by+`, id) > ($5, $6)`, ` ORDER BY `+by+`, id LIMIT $7`
	if newest {
		page, order = ` AND (`+by+`, id) < ($5, $6)`, ` ORDER BY `+by+` DESC, id DESC LIMIT $7`
	}
	count := `SELECT COALESCE(SUM(CASE WHEN replaces = '' THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN replaces <> '' AND approver = '' THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN replaces <> '' AND approver <> '' THEN 1 ELSE 0 END), 0)` + from
	list := `SELECT ` + certificateColumns + from + ` AND ($4 = '' OR ` + wayOfIt + ` = $4)` + page
	return setTexts{
		count: statement(count), list: statement(list + order),
		countOf: statement(count + ofOrganization + `$4)`), listOf: statement(list + ofOrganization + `$8)` + order),
	}
}

// CountCertificates counts what is selected, of every way; Way, After and Limit are of no concern.
func (t *Tx) CountCertificates(q pki.Selection) (pki.Tally, error) {
	texts, args := certificateSets[q.Set], []any{q.Realm, millis(q.From), millis(q.Until)}
	text := texts.count
	if q.Organization != "" {
		text, args = texts.countOf, append(args, q.Organization)
	}
	return one(t, func(_ *Tx, r row) (n pki.Tally, err error) { return n, r.Scan(&n.First, &n.Renewal, &n.Replacement) }, text, args...)
}

// CertificatesIn returns a page of what is selected.
func (t *Tx) CertificatesIn(q pki.Selection) ([]pki.Certificate, error) {
	after, id := int64(math.MaxInt64), afterEverything
	if q.Set == pki.Ending {
		after, id = -1, ""
	}
	if !q.After.IsZero() {
		after, id = millis(q.After), q.AfterID
	}
	texts, args := certificateSets[q.Set], []any{q.Realm, millis(q.From), millis(q.Until), q.Way, after, id, limited(q.Limit)}
	text := texts.list
	if q.Organization != "" {
		text, args = texts.listOf, append(args, q.Organization)
	}
	return list(t, scanCertificate, text, args...)
}
