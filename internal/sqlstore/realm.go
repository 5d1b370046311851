package sqlstore

import (
	"encoding/json"

	"doorward/internal/directory"
)

var (
	selectRealms = statement(`SELECT document, version FROM realm ORDER BY id`)
	selectRealm  = statement(`SELECT document, version FROM realm WHERE id = $1`)
	insertRealm  = statement(`INSERT INTO realm (id, host, document, version) VALUES ($1, $2, $3, 1) ON CONFLICT DO NOTHING`)
	updateRealm  = statement(`UPDATE realm SET host = $2, document = $3, version = version + 1 WHERE id = $1 AND version = $4`)
	realmStates  = statement(`SELECT id, version FROM realm`)
	existsRealm  = statement(`SELECT 1 FROM realm WHERE id = $1`)
)

func scanRealm(_ *Tx, r row) (v directory.Realm, err error) {
	var version int64
	err = r.Scan(document{&v}, &version)
	v.Version = version
	return v, err
}

// Realms returns all realms by id.
func (t *Tx) Realms() ([]directory.Realm, error) { return list(t, scanRealm, selectRealms) }

// RealmVersions returns the version of every realm, so that a cache need not read documents that have not changed.
func (t *Tx) RealmVersions() (map[string]int64, error) {
	type state struct {
		id      string
		version int64
	}
	states, err := list(t, func(_ *Tx, r row) (s state, err error) { err = r.Scan(&s.id, &s.version); return s, err }, realmStates)
	versions := make(map[string]int64, len(states))
	for _, s := range states {
		versions[s.id] = s.version
	}
	return versions, err
}

// Realm returns one realm.
func (t *Tx) Realm(id string) (directory.Realm, error) { return one(t, scanRealm, selectRealm, id) }

// PutRealm stores a whole realm: one of version 0 is new and becomes version 1, any other must have the stored version.
// It fails with fault.Exists when the id, or the host of another realm, is taken.
func (t *Tx) PutRealm(v directory.Realm) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return t.fail(err)
	}
	t.Bump()
	if v.Version == 0 {
		return t.insert(insertRealm, v.ID, v.Host, string(doc))
	}
	return t.update(existsRealm, v.ID, updateRealm, v.ID, v.Host, string(doc), v.Version)
}
