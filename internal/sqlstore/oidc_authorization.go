package sqlstore

import (
	"slices"
	"time"

	"doorward/internal/token"
)

// Rules of authorizations: everything that was issued from one lives as long as it does, so ending it is what revokes.
// Ended ones stay for thirty days. An authorization ends with its session unless it is offline; whoever ends sessions
// ends their authorizations in the same transaction and tells the clients from a list.

const (
	authorizationColumns = `id, realm, client, person, session, scopes, resources, claims, nonce, acr, amr, auth_time, offline,
	jkt, x5t, created, until, ended, why, seen, shown`
	authorizationsCap = 1000 // of one person in one list
)

var (
	insertAuthorization = statement(`INSERT INTO oidc_authorization (` + authorizationColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) ON CONFLICT DO NOTHING`)
	selectAuthorization = statement(`SELECT ` + authorizationColumns + ` FROM oidc_authorization WHERE realm = $1 AND id = $2`)
	endAuthorization    = statement(`UPDATE oidc_authorization SET ended = $3, why = $4 WHERE realm = $1 AND id = $2 AND ended = 0`)
	endAuthorizations   = statement(`UPDATE oidc_authorization SET ended = $3, why = $4 WHERE realm = $1 AND person = $2 AND ended = 0
		AND ($5 = '' OR client = $5)`)
	selectAuthorizations = statement(`SELECT ` + authorizationColumns + ` FROM oidc_authorization
		WHERE realm = $1 AND person = $2 AND ended = 0 ORDER BY id DESC LIMIT $3`)
	selectAuthorizationsOfSession = statement(`SELECT ` + authorizationColumns + ` FROM oidc_authorization
		WHERE realm = $1 AND session = $2 ORDER BY id`)
	touchAuthorization          = statement(`UPDATE oidc_authorization SET seen = $3 WHERE realm = $1 AND id = $2 AND seen < $3`)
	bindAuthorization           = statement(`UPDATE oidc_authorization SET jkt = $3 WHERE realm = $1 AND id = $2 AND jkt = ''`)
	bindCertificate             = statement(`UPDATE oidc_authorization SET x5t = $3 WHERE realm = $1 AND id = $2 AND x5t = ''`)
	endAuthorizationsOfSessions = statement(`UPDATE oidc_authorization SET ended = $2, why = $3
		WHERE realm = $1 AND session IN (` + placeholders(4, eventBatch) + `) AND NOT offline AND ended = 0`)
	selectClientsOfSessions = statement(`SELECT DISTINCT session, person, client FROM oidc_authorization AS a
		WHERE realm = $1 AND session IN (` + placeholders(2, eventBatch) + `) AND person <> ''
		AND NOT EXISTS (SELECT 1 FROM oidc_logout AS l WHERE l.realm = a.realm AND l.client = a.client AND l.session = a.session
			AND l.created >= a.created)
		ORDER BY session, person, client`)
)

func scanAuthorization(_ *Tx, r row) (a token.Authorization, err error) {
	return a, r.Scan(authorizationFields(&a)...)
}

func authorizationFields(a *token.Authorization) []any {
	return []any{
		&a.ID, &a.Realm, &a.Client, &a.Person, &a.Session, document{&a.Scopes}, document{&a.Resources}, &a.Claims, &a.Nonce, &a.ACR,
		document{&a.AMR}, stamp{&a.AuthTime}, &a.Offline, &a.JKT, &a.X5T, stamp{&a.Created}, stamp{&a.Until}, stamp{&a.Ended}, &a.Why,
		stamp{&a.Seen}, document{&a.Shown},
	}
}

// AddAuthorization adds what a person allowed a client. One that is added ended is what a client's own token, which has no
// row while it lives, is revoked by.
func (t *Tx) AddAuthorization(a token.Authorization) error {
	if !a.Ended.IsZero() {
		t.Bump()
	}
	scopes, err := t.text(a.Scopes)
	if err != nil {
		return err
	}
	resources, err := t.text(a.Resources)
	if err != nil {
		return err
	}
	amr, err := t.text(a.AMR)
	if err != nil {
		return err
	}
	shown, err := t.text(a.Shown)
	if err != nil {
		return err
	}
	return t.insert(insertAuthorization, a.ID, a.Realm, a.Client, a.Person, a.Session, scopes, resources, a.Claims, a.Nonce, a.ACR,
		amr, millis(a.AuthTime), a.Offline, a.JKT, a.X5T, millis(a.Created), millis(a.Until), millis(a.Ended), a.Why, millis(a.Seen), shown)
}

// Authorization returns one authorization of a realm, live or ended.
func (t *Tx) Authorization(realm, id string) (token.Authorization, error) {
	return one(t, scanAuthorization, selectAuthorization, realm, id)
}

// BindAuthorization binds an authorization to a DPoP key, once. It fails with fault.Conflict "stale" where it is bound.
func (t *Tx) BindAuthorization(realm, id, jkt string) error {
	n, err := t.exec(bindAuthorization, realm, id, jkt)
	if err == nil && n == 0 {
		err = errStale
	}
	return err
}

// TouchAuthorization remembers when tokens were last given of an authorization. It never moves back.
func (t *Tx) TouchAuthorization(realm, id string, seen time.Time) error {
	_, err := t.exec(touchAuthorization, realm, id, millis(seen))
	return err
}

// BindCertificate binds an authorization to a client certificate, once. It fails with fault.Conflict "stale" where it is
// bound.
func (t *Tx) BindCertificate(realm, id, x5t string) error {
	n, err := t.exec(bindCertificate, realm, id, x5t)
	if err == nil && n == 0 {
		err = errStale
	}
	return err
}

// EndAuthorization ends an authorization, and reports whether it was live.
func (t *Tx) EndAuthorization(realm, id, why string, now time.Time) (bool, error) {
	n, err := t.ended(t.exec(endAuthorization, realm, id, millis(now), why))
	return n == 1, err
}

// EndAuthorizations ends the live authorizations of a person at a client, at every client when client is empty, offline
// ones too, and says how many. An empty person means what a client holds for itself, and then the client must be named.
func (t *Tx) EndAuthorizations(realm, person, client, why string, now time.Time) (int, error) {
	if person == "" && client == "" {
		return 0, nil // nobody's at no client are strangers' to each other
	}
	return t.ended(t.exec(endAuthorizations, realm, person, millis(now), why, client))
}

// Authorizations returns the authorizations of a person that were not ended, newest first, at most a thousand. Whether
// their time has run out is the caller's to judge.
func (t *Tx) Authorizations(realm, person string) ([]token.Authorization, error) {
	return list(t, scanAuthorization, selectAuthorizations, realm, person, authorizationsCap)
}

// AuthorizationsOfSession returns every authorization that came from a session, live and ended, oldest first.
func (t *Tx) AuthorizationsOfSession(realm, session string) ([]token.Authorization, error) {
	if session == "" {
		return nil, nil // those without a session have none in common
	}
	return list(t, scanAuthorization, selectAuthorizationsOfSession, realm, session)
}

// EndAuthorizationsOfSessions ends the live authorizations that came from any of the sessions, except offline ones, and
// says how many.
func (t *Tx) EndAuthorizationsOfSessions(realm string, sessions []string, why string, now time.Time) (int, error) {
	total := 0
	err := batches(named(sessions), func(ids []any) error {
		n, err := t.ended(t.exec(endAuthorizationsOfSessions, append([]any{realm, millis(now), why}, ids...)...))
		total += n
		return err
	})
	return total, err
}

// ClientsOfSessions returns whom to tell when sessions end: one log-out for each session and client that got something for
// a person in it, also when that has ended since, but for what was before a log-out of that session that is there. Realm,
// Session, Person and Client are filled; the caller adds those whose client wants
// to be told.
func (t *Tx) ClientsOfSessions(realm string, sessions []string) ([]token.Logout, error) {
	scan := func(_ *Tx, r row) (token.Logout, error) {
		l := token.Logout{Realm: realm}
		return l, r.Scan(&l.Session, &l.Person, &l.Client)
	}
	var out []token.Logout
	err := batches(named(sessions), func(ids []any) error {
		some, err := list(t, scan, selectClientsOfSessions, append([]any{realm}, ids...)...)
		out = append(out, some...)
		return err
	})
	return out, err
}

// named are ids without repetition and without the empty one: what has no session has none in common. They are sorted, so
// that two who end the same sessions lock them in the same order.
func named(ids []string) []string {
	ids = slices.Sorted(slices.Values(ids))
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
}
