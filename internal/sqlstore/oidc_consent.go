package sqlstore

import "doorward/internal/token"

const consentColumns = `realm, person, client, scopes, at`

var (
	selectConsent  = statement(`SELECT ` + consentColumns + ` FROM oidc_consent WHERE realm = $1 AND person = $2 AND client = $3`)
	selectConsents = statement(`SELECT ` + consentColumns + ` FROM oidc_consent WHERE realm = $1 AND person = $2 ORDER BY client`)
	putConsent     = statement(`INSERT INTO oidc_consent (` + consentColumns + `) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (realm, person, client) DO UPDATE SET scopes = excluded.scopes, at = excluded.at`)
	deleteConsent = statement(`DELETE FROM oidc_consent WHERE realm = $1 AND person = $2 AND client = $3`)
)

func scanConsent(_ *Tx, r row) (c token.Consent, err error) {
	return c, r.Scan(&c.Realm, &c.Person, &c.Client, document{&c.Scopes}, stamp{&c.At})
}

// Consent returns what a person allowed a client.
func (t *Tx) Consent(realm, person, client string) (token.Consent, error) {
	return one(t, scanConsent, selectConsent, realm, person, client)
}

// Consents returns what a person allowed, by client.
func (t *Tx) Consents(realm, person string) ([]token.Consent, error) {
	return list(t, scanConsent, selectConsents, realm, person)
}

// PutConsent stores what a person allows a client from now on, instead of what was allowed before.
func (t *Tx) PutConsent(c token.Consent) error {
	scopes, err := t.text(c.Scopes)
	if err != nil {
		return err
	}
	_, err = t.exec(putConsent, c.Realm, c.Person, c.Client, scopes, millis(c.At))
	return err
}

// DeleteConsent takes a consent back, and reports whether there was one.
func (t *Tx) DeleteConsent(realm, person, client string) (bool, error) {
	n, err := t.ended(t.exec(deleteConsent, realm, person, client))
	return n == 1, err
}
