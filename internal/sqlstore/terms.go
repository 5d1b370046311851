package sqlstore

import "doorward/internal/directory"

const acceptanceColumns = `id, realm, person, version, language, hash, typed, at, network, browser`

var (
	insertAcceptance = statement(`INSERT INTO acceptance (` + acceptanceColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`)
	selectAcceptances = statement(`SELECT ` + acceptanceColumns + ` FROM acceptance WHERE realm = $1 AND person = $2 ORDER BY at, id`)
	selectPreferences = statement(`SELECT person, topic, chosen, changed FROM preference WHERE realm = $1 AND person = $2 ORDER BY topic`)
	putPreference     = statement(`INSERT INTO preference (realm, person, topic, chosen, changed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (realm, person, topic) DO UPDATE SET chosen = excluded.chosen, changed = excluded.changed`)
)

func scanAcceptance(_ *Tx, r row) (a directory.Acceptance, err error) {
	return a, r.Scan(&a.ID, &a.Realm, &a.Person, &a.Version, &a.Language, &a.Hash, &a.Typed, stamp{&a.At}, &a.Network, &a.Browser)
}

func scanPreference(_ *Tx, r row) (p directory.Preference, err error) {
	return p, r.Scan(&p.Person, &p.Topic, &p.On, stamp{&p.Changed})
}

// AddAcceptance keeps the proof of an acceptance. Nothing changes or removes it.
func (t *Tx) AddAcceptance(a directory.Acceptance) error {
	return t.insert(insertAcceptance, a.ID, a.Realm, a.Person, a.Version, a.Language, a.Hash, a.Typed, millis(a.At), a.Network, a.Browser)
}

// Acceptances returns what a person accepted, oldest first.
func (t *Tx) Acceptances(realm, person string) ([]directory.Acceptance, error) {
	return list(t, scanAcceptance, selectAcceptances, realm, person)
}

// Preferences returns the topics a person has decided on, by topic.
func (t *Tx) Preferences(realm, person string) ([]directory.Preference, error) {
	return list(t, scanPreference, selectPreferences, realm, person)
}

// PutPreference stores a decision over the one before.
func (t *Tx) PutPreference(realm string, p directory.Preference) error {
	_, err := t.exec(putPreference, realm, p.Person, p.Topic, p.On, millis(p.Changed))
	return err
}
