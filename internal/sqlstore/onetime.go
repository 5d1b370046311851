package sqlstore

import (
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

// Rules of one-time secrets: only a keyed hash is stored. Using one is a single UPDATE that names every condition, so of
// any number of callers, nodes and retries one wins. Used, voided and expired ones stay for thirty days, so that a
// second use is seen for what it is. The kind is part of every condition: a link of one kind never works as another.

const oneTimeColumns = `id, realm, person, kind, purpose, flow, caused_by, return_to, hash, created, expires, used, voided`

var (
	selectOneTimeByHash = statement(`SELECT ` + oneTimeColumns + ` FROM one_time WHERE kind = $1 AND hash = $2`)
	selectOneTimes      = statement(`SELECT ` + oneTimeColumns + ` FROM one_time WHERE realm = $1 AND person = $2 AND kind = $3 ORDER BY id DESC`)
	insertOneTime       = statement(`INSERT INTO one_time (` + oneTimeColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`)
	useOneTime = statement(`UPDATE one_time SET used = $3
		WHERE id = $1 AND kind = $2 AND used = 0 AND voided = 0 AND expires > $3 RETURNING 1`)
	selectOneTime = statement(`SELECT ` + oneTimeColumns + ` FROM one_time WHERE id = $1 AND kind = $2`)
	leadOneTime   = statement(`UPDATE one_time SET flow = $3 WHERE id = $1 AND flow = $2 AND used = 0 AND voided = 0`)
	voidOneTimes  = statement(`UPDATE one_time SET voided = $4 WHERE realm = $1 AND person = $2 AND kind = $3 AND used = 0 AND voided = 0
		AND ($5 = '' OR purpose = $5)`)
)

func scanOneTime(_ *Tx, r row) (o authn.OneTime, err error) {
	err = r.Scan(&o.ID, &o.Realm, &o.Person, &o.Kind, &o.Purpose, &o.Flow, &o.By, &o.Return, &o.Hash,
		stamp{&o.Created}, stamp{&o.Expires}, stamp{&o.Used}, stamp{&o.Voided})
	return o, err
}

// AddOneTime stores a one-time secret by its hash.
func (t *Tx) AddOneTime(o authn.OneTime) error {
	return t.insert(insertOneTime, o.ID, o.Realm, o.Person, o.Kind, o.Purpose, o.Flow, o.By, o.Return, o.Hash,
		millis(o.Created), millis(o.Expires), millis(o.Used), millis(o.Voided))
}

// OneTimeByHash finds a one-time secret of a kind by its hash, also a used, voided or expired one.
func (t *Tx) OneTimeByHash(kind authn.Kind, hash []byte) (authn.OneTime, error) {
	return one(t, scanOneTime, selectOneTimeByHash, kind, hash)
}

// OneTimes returns a person's one-time secrets of a kind, newest first, in whatever state.
func (t *Tx) OneTimes(realm, person string, kind authn.Kind) ([]authn.OneTime, error) {
	return list(t, scanOneTime, selectOneTimes, realm, person, kind)
}

// UseOneTime uses up a one-time secret. It fails with fault.Conflict "one-time-used" when it was used before, with
// fault.Expired "one-time-voided" when another took its place, and with fault.Expired "one-time-expired" from the moment
// it expires.
func (t *Tx) UseOneTime(id string, kind authn.Kind, now time.Time) error {
	used, err := returning(t, scanInt, useOneTime, id, kind, millis(now))
	if err != nil || len(used) == 1 {
		return err
	}
	o, err := one(t, scanOneTime, selectOneTime, id, kind)
	switch {
	case err != nil:
		return err
	case !o.Used.IsZero():
		return fault.New(fault.Conflict, "one-time-used")
	case !o.Voided.IsZero():
		return fault.New(fault.Expired, "one-time-voided")
	}
	return fault.New(fault.Expired, "one-time-expired")
}

// LeadOneTime makes a secret lead to the flow to instead of from (empty: none yet). Of callers at once one wins; for the
// others, and where it was used or voided meanwhile, it is fault.Conflict "stale".
func (t *Tx) LeadOneTime(id, from, to string) error {
	n, err := t.exec(leadOneTime, id, from, to)
	if err == nil && n == 0 {
		err = errStale
	}
	return err
}

// VoidOneTimes voids what is unused of a person, kind and purpose (empty: every purpose), and says how many.
func (t *Tx) VoidOneTimes(realm, person string, kind authn.Kind, purpose string, now time.Time) (int, error) {
	return t.exec(voidOneTimes, realm, person, kind, millis(now), purpose)
}
