package sqlstore

import (
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
)

// A change of address is moved on by the database alone: each step says in its condition what must not have happened yet,
// so that of a confirmation, a stop and the end of its time one comes first.

const addressChangeColumns = `id, realm, person, was, address, proposed_by, name, reason, state, session, at_old, at_new, created, expires, closed`

var (
	insertAddressChange = statement(`INSERT INTO address_change (` + addressChangeColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`)
	selectAddressChange   = statement(`SELECT ` + addressChangeColumns + ` FROM address_change WHERE realm = $1 AND id = $2`)
	selectAddressChangeOf = statement(`SELECT ` + addressChangeColumns + ` FROM address_change
		WHERE realm = $1 AND person = $2 AND state IN ('proposed', 'open')`)
	openAddressChange = statement(`UPDATE address_change SET state = 'open', session = $4, expires = $5
		WHERE realm = $1 AND id = $2 AND state = 'proposed' AND expires > $3 RETURNING ` + addressChangeColumns)
	confirmAddressOld = statement(`UPDATE address_change SET at_old = CASE WHEN at_old = 0 THEN $3 ELSE at_old END
		WHERE realm = $1 AND id = $2 AND state = 'open' AND expires > $3 RETURNING ` + addressChangeColumns)
	confirmAddressNew = statement(`UPDATE address_change SET at_new = CASE WHEN at_new = 0 THEN $3 ELSE at_new END
		WHERE realm = $1 AND id = $2 AND state = 'open' AND expires > $3 RETURNING ` + addressChangeColumns)
	closeAddressChange = statement(`UPDATE address_change SET state = $4, closed = $3
		WHERE realm = $1 AND id = $2 AND state IN ('proposed', 'open') RETURNING ` + addressChangeColumns)
	expireAddressChange = statement(`UPDATE address_change SET state = 'stopped', closed = expires
		WHERE realm = $1 AND person = $2 AND state IN ('proposed', 'open') AND expires <= $3`)
)

func scanAddressChange(_ *Tx, r row) (c directory.AddressChange, err error) {
	return c, r.Scan(&c.ID, &c.Realm, &c.Person, &c.Was, &c.Address, &c.ProposedBy, &c.Name, &c.Reason, &c.State, &c.Session,
		stamp{&c.AtOld}, stamp{&c.AtNew}, stamp{&c.Created}, stamp{&c.Expires}, stamp{&c.Closed})
}

// AddAddressChange adds a change. It fails with fault.Exists while the person has another one whose time is not over.
func (t *Tx) AddAddressChange(c directory.AddressChange) error {
	if _, err := t.exec(expireAddressChange, c.Realm, c.Person, millis(c.Created)); err != nil {
		return err
	}
	return t.insert(insertAddressChange, c.ID, c.Realm, c.Person, c.Was, c.Address, c.ProposedBy, c.Name, c.Reason, c.State, c.Session,
		millis(c.AtOld), millis(c.AtNew), millis(c.Created), millis(c.Expires), millis(c.Closed))
}

// AddressChange finds a change of a realm.
func (t *Tx) AddressChange(realm, id string) (directory.AddressChange, error) {
	return one(t, scanAddressChange, selectAddressChange, realm, id)
}

// AddressChangesOf returns what is proposed or open for a person: one at most, perhaps over its time.
func (t *Tx) AddressChangesOf(realm, person string) ([]directory.AddressChange, error) {
	return list(t, scanAddressChange, selectAddressChangeOf, realm, person)
}

// OpenAddressChange begins what was proposed. It fails with fault.Expired "change-over" when that is over.
func (t *Tx) OpenAddressChange(realm, id, session string, now, expires time.Time) (directory.AddressChange, error) {
	return changed(returning(t, scanAddressChange, openAddressChange, realm, id, millis(now), session, millis(expires)))
}

// ConfirmAddress notes that one end said yes; twice is once. It fails with fault.Expired "change-over" when it is over.
func (t *Tx) ConfirmAddress(realm, id string, atNew bool, now time.Time) (directory.AddressChange, error) {
	text := confirmAddressOld
	if atNew {
		text = confirmAddressNew
	}
	return changed(returning(t, scanAddressChange, text, realm, id, millis(now)))
}

// CloseAddressChange ends a change. It fails with fault.Expired "change-over" when somebody else did.
func (t *Tx) CloseAddressChange(realm, id string, state directory.ChangeState, now time.Time) (directory.AddressChange, error) {
	return changed(returning(t, scanAddressChange, closeAddressChange, realm, id, millis(now), state))
}

func changed(found []directory.AddressChange, err error) (c directory.AddressChange, _ error) {
	if err != nil {
		return c, err
	}
	if len(found) == 0 {
		return c, fault.New(fault.Expired, "change-over")
	}
	return found[0], nil
}
