package sqlstore

import (
	"time"

	"doorward/internal/token"
)

// Rules of signing keys: the private part is sealed for its realm and id, so that a key moved to another realm's row does
// not open. Of a realm and algorithm one key is the newest; the index oidc_key_newest is the referee between nodes that
// rotate at once. Whoever rotates retires the old key first and adds the new one then, in one transaction.

const keyColumns = `id, realm, alg, private, created, signs, retires, ends`

var (
	selectKeys = statement(`SELECT ` + keyColumns + ` FROM oidc_key WHERE realm = $1 ORDER BY created, id`)
	insertKey  = statement(`INSERT INTO oidc_key (` + keyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`)
	retireKey  = statement(`UPDATE oidc_key SET retires = $3, ends = $4 WHERE realm = $1 AND id = $2
		AND (retires = 0 OR (retires >= $3 AND (ends = 0 OR (ends > $4 AND $4 <> 0))))`)
	existsKey = statement(`SELECT 1 FROM oidc_key WHERE realm = $1 AND id = $2`)
)

func keyRow(realm, id string) string { return realm + "/" + id }

func scanKey(t *Tx, r row) (k token.Key, err error) {
	var sealed []byte
	if err = r.Scan(&k.ID, &k.Realm, &k.Alg, &sealed, stamp{&k.Created}, stamp{&k.Signs}, stamp{&k.Retires}, stamp{&k.Ends}); err != nil {
		return k, err
	}
	k.Private, err = t.unseal("oidc_key", "private", keyRow(k.Realm, k.ID), sealed)
	return k, err
}

// Keys returns the signing keys of a realm that the sweep has not taken, oldest first. Whether the end of one has come is
// the caller's to judge.
func (t *Tx) Keys(realm string) ([]token.Key, error) {
	return list(t, scanKey, selectKeys, realm)
}

// AddKey adds a signing key; its Private is sealed for its row. While the realm has another one of this algorithm that
// does not retire it fails with fault.Exists: another node has made one, and that one is to be used.
func (t *Tx) AddKey(k token.Key) error {
	private, err := t.seal("oidc_key", "private", keyRow(k.Realm, k.ID), k.Private)
	if err != nil {
		return err
	}
	return t.insert(insertKey, k.ID, k.Realm, k.Alg, private, millis(k.Created), millis(k.Signs), millis(k.Retires), millis(k.Ends))
}

// RetireKey says when a key stops signing and when it stops being published. What was said before can be brought forward,
// never put off: that is fault.Conflict "stale".
func (t *Tx) RetireKey(realm, id string, retires, ends time.Time) error {
	n, err := t.ended(t.exec(retireKey, realm, id, millis(retires), millis(ends)))
	if err != nil || n > 0 {
		return err
	}
	if _, err = one(t, scanInt, existsKey, realm, id); err != nil {
		return err
	}
	return errStale
}
