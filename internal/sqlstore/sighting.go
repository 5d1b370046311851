package sqlstore

import (
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

// Rules of sightings: the ticket there is used by one UPDATE that names every condition, so of any number of browsers and
// nodes one leaves its certificate. The ticket back is spent where evidence is spent (Spend), with what it proves.

const sightingColumns = `id, realm, flow, try, there, back, leaf, network, created, seen, expires`

var (
	insertSighting = statement(`INSERT INTO sighting (` + sightingColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`)
	seeSighting = statement(`UPDATE sighting SET back = $3, leaf = $4, network = $5, seen = $6, expires = $7
		WHERE realm = $1 AND there = $2 AND seen = 0 AND expires > $6 RETURNING ` + sightingColumns)
	selectSightingByBack = statement(`SELECT ` + sightingColumns + ` FROM sighting WHERE realm = $1 AND back = $2`)
)

func scanSighting(_ *Tx, r row) (s authn.Sighting, err error) {
	err = r.Scan(&s.ID, &s.Realm, &s.Flow, &s.Try, &s.There, &s.Back, &s.Leaf, &s.Network, stamp{&s.Created}, stamp{&s.Seen}, stamp{&s.Expires})
	return s, err
}

// AddSighting stores the way there.
func (t *Tx) AddSighting(s authn.Sighting) error {
	return t.insert(insertSighting, s.ID, s.Realm, s.Flow, s.Try, s.There, s.Back, s.Leaf, s.Network, millis(s.Created), millis(s.Seen), millis(s.Expires))
}

// See uses the ticket there and stores what the browser showed, with the ticket back and how long that lives. It fails with
// fault.Expired "ticket-over" where the ticket is unknown, was used, or has run out.
func (t *Tx) See(realm string, there []byte, s authn.Sighting) (authn.Sighting, error) {
	seen, err := returning(t, scanSighting, seeSighting, realm, there, s.Back, s.Leaf, s.Network, millis(s.Seen), millis(s.Expires))
	if err != nil {
		return authn.Sighting{}, err
	}
	if len(seen) == 0 {
		return authn.Sighting{}, errTicket
	}
	return seen[0], nil
}

var errTicket = fault.New(fault.Expired, "ticket-over")

// SightingByBack finds a sighting by the hash of its ticket back.
func (t *Tx) SightingByBack(realm string, back []byte) (authn.Sighting, error) {
	return one(t, scanSighting, selectSightingByBack, realm, back)
}

// sightingKept is how long a sighting stays after its ticket has run out.
const sightingKept = time.Hour
