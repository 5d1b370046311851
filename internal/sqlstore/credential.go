package sqlstore

import (
	"strconv"
	"strings"

	"doorward/internal/authn"
)

const (
	credentialColumns = `id, realm, person, kind, state, name, model, created, last_used, ended, version`

	// A certificate is a credential of its person from the moment it is stored until it is revoked. What there is to know
	// of it stands in its own row alone, so that there are no two states that could disagree. What has run out is left to
	// whoever knows the time.
	certificateAsCredential = `id, realm, person, 'cert', CASE state WHEN 'suspended' THEN 'suspended' ELSE 'active' END, name, '', created,
		last_used, 0, version`
	certificateEnds = `CASE WHEN ends <> 0 AND ends < not_after THEN ends ELSE not_after END`
	certificateHeld = `state IN ('issued', 'active', 'suspended')`
	credentialBatch = 50 // people per statement of CredentialsOf
)

var (
	selectCredentials = statement(`SELECT ` + credentialColumns + `, 0, data FROM credential
		WHERE realm = $1 AND person = $2 AND state <> 'ended'
		UNION ALL SELECT ` + certificateAsCredential + `, ` + certificateEnds + `, NULL FROM pki_certificate
		WHERE realm = $1 AND person = $2 AND ` + certificateHeld + ` ORDER BY 1`)
	selectCredentialsOf = statement(`SELECT ` + credentialColumns + `, 0 FROM credential
		WHERE realm = $1 AND person IN (` + placeholders(2, credentialBatch) + `) AND state <> 'ended'
		UNION ALL SELECT ` + certificateAsCredential + `, ` + certificateEnds + ` FROM pki_certificate
		WHERE realm = $1 AND person IN (` + placeholders(2, credentialBatch) + `) AND ` + certificateHeld + ` ORDER BY 3, 1`)
	selectKindsEver = statement(`SELECT kind FROM credential WHERE realm = $1 AND person = $2
		UNION SELECT 'cert' FROM pki_certificate WHERE realm = $1 AND person = $2 AND state <> 'reserved' ORDER BY 1`)
	insertCredential = statement(`INSERT INTO credential (` + credentialColumns + `, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`)
	updateCredential = statement(`UPDATE credential SET state = $4, name = $5, model = $6, data = $7, last_used = $8, ended = $9, version = version + 1
		WHERE id = $1 AND realm = $2 AND person = $3 AND version = $10`)
	existsCredential = statement(`SELECT 1 FROM credential WHERE id = $1`)
)

// placeholders are n parameters from $from on.
func placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(from+i))
	}
	return b.String()
}

func scanBareCredential(_ *Tx, r row) (c authn.Credential, err error) {
	err = r.Scan(&c.ID, &c.Realm, &c.Person, &c.Kind, &c.State, &c.Name, &c.Model, stamp{&c.Created}, stamp{&c.LastUsed}, stamp{&c.Ended}, &c.Version,
		stamp{&c.Expires})
	return c, err
}

func scanCredential(t *Tx, r row) (c authn.Credential, err error) {
	var sealed []byte
	err = r.Scan(&c.ID, &c.Realm, &c.Person, &c.Kind, &c.State, &c.Name, &c.Model, stamp{&c.Created}, stamp{&c.LastUsed}, stamp{&c.Ended}, &c.Version,
		stamp{&c.Expires}, &sealed)
	if err == nil {
		c.Data, err = t.unseal("credential", "data", c.ID, sealed)
	}
	return c, err
}

// Credentials returns what a person holds, active and suspended, oldest first, certificates of their devices among it. Those
// are changed as certificates, never with UpdateCredential.
func (t *Tx) Credentials(realm, person string) ([]authn.Credential, error) {
	return list(t, scanCredential, selectCredentials, realm, person)
}

// CredentialsOf returns what several people hold, without Data, for lists.
func (t *Tx) CredentialsOf(realm string, people []string) ([]authn.Credential, error) {
	var out []authn.Credential
	for len(people) > 0 {
		n := min(len(people), credentialBatch)
		args := []any{realm}
		for i := range credentialBatch { // the last one again where there are fewer
			args = append(args, people[min(i, n-1)])
		}
		some, err := list(t, scanBareCredential, selectCredentialsOf, args...)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
		people = people[n:]
	}
	return out, nil
}

// KindsEver returns the kinds of which a person holds or ever held a credential, ended ones included.
func (t *Tx) KindsEver(realm, person string) ([]authn.Kind, error) {
	return list(t, func(_ *Tx, r row) (k authn.Kind, err error) { return k, r.Scan(&k) }, selectKindsEver, realm, person)
}

// AddCredential adds a credential; its Data is sealed for its row.
func (t *Tx) AddCredential(c authn.Credential) error {
	data, err := t.seal("credential", "data", c.ID, c.Data)
	if err != nil {
		return err
	}
	return t.insert(insertCredential, c.ID, c.Realm, c.Person, c.Kind, c.State, c.Name, c.Model,
		millis(c.Created), millis(c.LastUsed), millis(c.Ended), c.Version, data)
}

// UpdateCredential changes state, name, model, Data, LastUsed and Ended.
func (t *Tx) UpdateCredential(c authn.Credential) error {
	if c.State != authn.Active {
		t.Bump()
	}
	data, err := t.seal("credential", "data", c.ID, c.Data)
	if err != nil {
		return err
	}
	return t.update(existsCredential, c.ID, updateCredential, c.ID, c.Realm, c.Person, c.State, c.Name, c.Model, data,
		millis(c.LastUsed), millis(c.Ended), c.Version)
}
