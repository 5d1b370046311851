package sqlstore

import (
	"strings"

	"doorward/internal/token"
)

// What an authorization stands on is read whole, in one statement: everything that is looked at when a token is used
// again (SEC O-9), and nothing that is sealed.

var (
	selectStanding = statement(`SELECT ` + qualified("a", authorizationColumns) + `, ` + qualified("p", personColumns) + `, ` +
		qualified("o", organizationColumns) + `, COALESCE(s.evidence, '[]'), COALESCE(s.until, 0), COALESCE(s.ended, 0),
		COALESCE((SELECT string_agg(c.id, ' ') FROM credential AS c WHERE c.realm = a.realm AND c.person = a.person AND c.state = 'active'), '')
		FROM oidc_authorization AS a
		JOIN person AS p ON p.realm = a.realm AND p.id = a.person
		JOIN organization AS o ON o.realm = a.realm AND o.id = p.organization
		LEFT JOIN session AS s ON s.realm = a.realm AND s.id = a.session
		WHERE a.realm = $1 AND a.id = $2`)
)

// qualified puts a table's name before each column.
func qualified(table, columns string) string {
	all := strings.Split(columns, ",")
	for i, c := range all {
		all[i] = table + "." + strings.TrimSpace(c)
	}
	return strings.Join(all, ", ")
}

func scanStanding(_ *Tx, r row) (s token.Standing, err error) {
	fields := append(authorizationFields(&s.Authorization), personFields(&s.Person)...)
	fields = append(fields, organizationFields(&s.Organization)...)
	var active string // ids have no spaces
	err = r.Scan(append(fields, document{&s.Evidence}, stamp{&s.SessionUntil}, stamp{&s.SessionEnded}, &active)...)
	s.Active = strings.Fields(active)
	return s, err
}

// Standing returns an authorization of a person with what it stands on. The session may have been forgotten: its times are
// zero then. It is "not-found" where any of the others is not there; a client's own has nobody behind it and is never found here.
func (t *Tx) Standing(realm, id string) (token.Standing, error) {
	return one(t, scanStanding, selectStanding, realm, id)
}
