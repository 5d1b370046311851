package sqlstore

import (
	"time"

	"doorward/internal/fault"
	"doorward/internal/token"
)

// Rules of authorization requests: a pushed one is presented once and every one is answered once, each by a single UPDATE
// that names the unused state and the time. Used and answered ones stay for thirty days after their end, so that a
// second use is seen for what it is, and a late visitor is told what happened.

const requestColumns = `id, realm, client, handle, params, jkt, created, expires, used, finished`

var (
	insertRequest = statement(`INSERT INTO oidc_request (` + requestColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`)
	selectRequest         = statement(`SELECT ` + requestColumns + ` FROM oidc_request WHERE realm = $1 AND id = $2`)
	selectRequestByHandle = statement(`SELECT ` + requestColumns + ` FROM oidc_request WHERE realm = $1 AND handle = $2`)
	useRequest            = statement(`UPDATE oidc_request SET used = $3
		WHERE realm = $1 AND id = $2 AND used = 0 AND finished = 0 AND expires > $3 RETURNING 1`)
	finishRequest = statement(`UPDATE oidc_request SET finished = $3
		WHERE realm = $1 AND id = $2 AND finished = 0 AND expires > $3 RETURNING 1`)
	keepRequest = statement(`UPDATE oidc_request SET expires = $3 WHERE realm = $1 AND id = $2 AND finished = 0 AND expires < $3`)
)

func scanRequest(_ *Tx, r row) (q token.Request, err error) {
	err = r.Scan(&q.ID, &q.Realm, &q.Client, &q.Handle, document{&q.Params}, &q.JKT,
		stamp{&q.Created}, stamp{&q.Expires}, stamp{&q.Used}, stamp{&q.Over})
	return q, err
}

// AddRequest keeps a checked authorization request.
func (t *Tx) AddRequest(q token.Request) error {
	params, err := t.text(q.Params)
	if err != nil {
		return err
	}
	var handle any // requests that were not pushed have none, and must not be found by an empty one
	if len(q.Handle) > 0 {
		handle = q.Handle
	}
	return t.insert(insertRequest, q.ID, q.Realm, q.Client, handle, params, q.JKT,
		millis(q.Created), millis(q.Expires), millis(q.Used), millis(q.Over))
}

// Request returns one request of a realm, in whatever state.
func (t *Tx) Request(realm, id string) (token.Request, error) {
	return one(t, scanRequest, selectRequest, realm, id)
}

// RequestByHandle finds a pushed request of a realm by the hash of its handle, in whatever state.
func (t *Tx) RequestByHandle(realm string, hash []byte) (token.Request, error) {
	return one(t, scanRequest, selectRequestByHandle, realm, hash)
}

// UseRequest uses up the request_uri of a pushed request. It fails with fault.Conflict "request-used" when it was used or
// answered before, and with fault.Expired "request-expired" from the moment it expires (RFC 9126 2.2 and 7.3).
func (t *Tx) UseRequest(realm, id string, now time.Time) error {
	return t.onceOfRequest(useRequest, "request-used", realm, id, now)
}

// FinishRequest says that a code or an error was sent back. It fails with fault.Conflict "request-over" when that has
// happened before, and with fault.Expired "request-expired" from the moment the request expires: from then on nobody gets a
// code by it.
func (t *Tx) FinishRequest(realm, id string, now time.Time) error {
	return t.onceOfRequest(finishRequest, "request-over", realm, id, now)
}

func (t *Tx) onceOfRequest(text, code, realm, id string, now time.Time) error {
	done, err := returning(t, scanInt, text, realm, id, millis(now))
	if err != nil || len(done) == 1 {
		return err
	}
	q, err := t.Request(realm, id)
	switch {
	case err != nil:
		return err
	case !q.Over.IsZero(), text == useRequest && !q.Used.IsZero():
		return fault.New(fault.Conflict, code)
	}
	return fault.New(fault.Expired, "request-expired")
}

// KeepRequest lets a request that is not over live until then, for a sign-in that takes longer. It never shortens.
func (t *Tx) KeepRequest(realm, id string, until time.Time) error {
	n, err := t.exec(keepRequest, realm, id, millis(until))
	if err == nil && n == 0 {
		_, err = t.Request(realm, id)
	}
	return err
}
