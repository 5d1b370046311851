package sqlstore

import (
	"strconv"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/token"
)

// What an authorization stands on is read whole, in one statement: everything that is looked at when a token is used
// again (SEC O-9), and nothing that is sealed.

var (
	selectStanding = statement(`SELECT ` + qualified("a", authorizationColumns) + `, ` + qualified("p", personColumns) + `, ` +
		qualified("o", organizationColumns) + `, COALESCE(s.evidence, '[]'), COALESCE(s.until, 0), COALESCE(s.ended, 0),
		COALESCE((SELECT string_agg(c.id || ':' || c.kind || ':' || c.state || ':' || c.created || ':0', ' ') FROM credential AS c
			WHERE c.realm = a.realm AND c.person = a.person AND c.state <> 'ended'), ''),
		COALESCE((SELECT string_agg(h.id || ':cert:' || CASE h.state WHEN 'suspended' THEN 'suspended' ELSE 'active' END || ':' || h.created || ':' || ` + certificateEnds + `, ' ')
			FROM pki_certificate AS h WHERE h.realm = a.realm AND h.person = a.person AND ` + certificateHeld + `), '')
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
	var held, certificates string
	err = r.Scan(append(fields, document{&s.Evidence}, stamp{&s.SessionUntil}, stamp{&s.SessionEnded}, &held, &certificates)...)
	for c := range strings.FieldsSeq(held + " " + certificates) {
		s.Credentials = append(s.Credentials, gathered(c, s.Authorization))
	}
	return s, err
}

// gathered reads one credential of those that selectStanding puts into one text. Neither ids nor kinds have spaces or colons.
func gathered(text string, of token.Authorization) authn.Credential {
	part := strings.Split(text, ":")
	at := func(i int) time.Time {
		ms, _ := strconv.ParseInt(part[i], 10, 64)
		return instant(ms)
	}
	return authn.Credential{
		ID: part[0], Realm: of.Realm, Person: of.Person, Kind: authn.Kind(part[1]), State: authn.CredentialState(part[2]), Created: at(3), Expires: at(4),
	}
}

// Standing returns an authorization of a person with what it stands on. The session may have been forgotten: its times are
// zero then. It is "not-found" where any of the others is not there; a client's own has nobody behind it and is never found here.
func (t *Tx) Standing(realm, id string) (token.Standing, error) {
	return one(t, scanStanding, selectStanding, realm, id)
}
