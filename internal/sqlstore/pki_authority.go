package sqlstore

import "doorward/internal/pki"

// Rules of authorities: a private key is sealed for its realm and id. Of a realm one authority signs and one is published
// to follow it, which unique indexes keep; whoever rotates retires the one that signs first, in the same transaction.

const authorityColumns = `id, realm, class, parent, name, spki, sha256, der, private, key_at, parts, not_before, not_after, state, reason,
	created, ended, version`

var (
	insertAuthority = statement(`INSERT INTO pki_authority (` + authorityColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT DO NOTHING`)
	updateAuthority = statement(`UPDATE pki_authority SET parent = $3, sha256 = $4, der = $5, parts = $6, not_before = $7, not_after = $8, state = $9,
		reason = $10, ended = $11, private = $12, version = version + 1 WHERE realm = $1 AND id = $2 AND version = $13`)
	existsAuthority   = statement(`SELECT 1 FROM pki_authority WHERE id = $1`)
	selectAuthority   = statement(`SELECT ` + authorityColumns + ` FROM pki_authority WHERE realm = $1 AND id = $2`)
	selectAuthorities = statement(`SELECT ` + authorityColumns + ` FROM pki_authority WHERE realm = $1 ORDER BY id`)
)

func scanAuthority(t *Tx, r row) (a pki.Authority, err error) {
	var sealed []byte
	err = r.Scan(&a.ID, &a.Realm, &a.Class, &a.Parent, &a.Name, &a.SPKI, &a.SHA256, &a.DER, &sealed, &a.KeyAt, &a.Parts, stamp{&a.NotBefore},
		stamp{&a.NotAfter}, &a.State, &a.Reason, stamp{&a.Created}, stamp{&a.Ended}, &a.Version)
	if err == nil {
		a.Private, err = t.unseal("pki_authority", "private", keyRow(a.Realm, a.ID), sealed)
	}
	return a, err
}

// AddAuthority adds an authority; its Private is sealed for its row. It fails with fault.Exists where its key is one of the
// realm already, or where the realm has another one that signs, or that is published, as it does.
func (t *Tx) AddAuthority(a pki.Authority) error {
	t.Bump() // whoever keeps the names of those that count has to hear of it
	private, err := t.seal("pki_authority", "private", keyRow(a.Realm, a.ID), a.Private)
	if err != nil {
		return err
	}
	return t.insert(insertAuthority, a.ID, a.Realm, a.Class, a.Parent, a.Name, a.SPKI, a.SHA256, a.DER, private, a.KeyAt, a.Parts,
		millis(a.NotBefore), millis(a.NotAfter), a.State, a.Reason, millis(a.Created), millis(a.Ended), a.Version)
}

// UpdateAuthority changes everything but what its key makes of it: realm, class, name, key and Created stay. It fails with
// fault.Exists where another one signs, or is published, as this one would.
func (t *Tx) UpdateAuthority(a pki.Authority) error {
	t.Bump()
	private, err := t.seal("pki_authority", "private", keyRow(a.Realm, a.ID), a.Private)
	if err != nil {
		return err
	}
	return t.update(existsAuthority, a.ID, updateAuthority, a.Realm, a.ID, a.Parent, a.SHA256, a.DER, a.Parts, millis(a.NotBefore),
		millis(a.NotAfter), a.State, a.Reason, millis(a.Ended), private, a.Version)
}

// Authority finds an authority of a realm.
func (t *Tx) Authority(realm, id string) (pki.Authority, error) {
	return one(t, scanAuthority, selectAuthority, realm, id)
}

// Authorities returns those of a realm, roots and responders included, oldest first.
func (t *Tx) Authorities(realm string) ([]pki.Authority, error) {
	return list(t, scanAuthority, selectAuthorities, realm)
}
