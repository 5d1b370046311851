package sqlstore

import (
	"encoding/hex"
	"time"

	"doorward/internal/fault"
	"doorward/internal/token"
)

// Rules of codes and refresh tokens: only a keyed hash is stored. Using one is a single UPDATE that names every condition,
// so of any number of callers and nodes one wins (SEC O-4, O-6). Used rows stay, so that a second use is seen and what was
// issued can be ended. A closure that ends an authorization because of "code-used" or "refresh-used" must return nil, or
// the end is undone with the rest.

const (
	codeColumns    = `hash, realm, client, authorization_id, redirect, challenge, created, expires, used`
	refreshColumns = `hash, realm, client, authorization_id, created, expires, used, answer`
)

var (
	insertCode = statement(`INSERT INTO oidc_code (` + codeColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`)
	selectCode = statement(`SELECT ` + codeColumns + ` FROM oidc_code WHERE hash = $1`)
	useCode    = statement(`UPDATE oidc_code SET used = $2 WHERE hash = $1 AND used = 0 AND expires > $2 RETURNING ` + codeColumns)

	insertRefresh = statement(`INSERT INTO oidc_refresh (` + refreshColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`)
	selectRefresh = statement(`SELECT ` + refreshColumns + ` FROM oidc_refresh WHERE hash = $1`)
	useRefresh    = statement(`UPDATE oidc_refresh SET used = $2, answer = $3 WHERE hash = $1 AND used = 0 AND expires > $2
		AND NOT EXISTS (SELECT 1 FROM oidc_authorization AS a WHERE a.id = authorization_id AND a.ended <> 0) RETURNING 1`)
	usedRefresh = statement(`SELECT used FROM oidc_refresh WHERE hash = $1`)
)

func scanCode(_ *Tx, r row) (c token.Code, err error) {
	err = r.Scan(&c.Hash, &c.Realm, &c.Client, &c.Authorization, &c.Redirect, &c.Challenge, stamp{&c.Created}, stamp{&c.Expires}, stamp{&c.Used})
	return c, err
}

// AddCode stores an authorization code by its hash.
func (t *Tx) AddCode(c token.Code) error {
	return t.insert(insertCode, c.Hash, c.Realm, c.Client, c.Authorization, c.Redirect, c.Challenge, millis(c.Created), millis(c.Expires), millis(c.Used))
}

// Code finds a code by its hash, also a used or expired one.
func (t *Tx) Code(hash []byte) (token.Code, error) {
	return one(t, scanCode, selectCode, hash)
}

// UseCode uses up a code and returns it. It fails with fault.Conflict "code-used" when it was used before, and with
// fault.Expired "code-expired" from the moment it expires; the code is returned then too, so that the caller can end the
// authorization it led to (RFC 9700 4.5).
func (t *Tx) UseCode(hash []byte, now time.Time) (token.Code, error) {
	used, err := returning(t, scanCode, useCode, hash, millis(now))
	if err != nil {
		return token.Code{}, err
	}
	if len(used) == 1 {
		return used[0], nil
	}
	c, err := t.Code(hash)
	switch {
	case err != nil:
		return c, err
	case !c.Used.IsZero():
		return c, fault.New(fault.Conflict, "code-used")
	}
	return c, fault.New(fault.Expired, "code-expired")
}

func scanRefresh(t *Tx, r row) (f token.Refresh, err error) {
	var sealed []byte
	if err = r.Scan(&f.Hash, &f.Realm, &f.Client, &f.Authorization, stamp{&f.Created}, stamp{&f.Expires}, stamp{&f.Used}, &sealed); err != nil {
		return f, err
	}
	f.Answer, err = t.unseal("oidc_refresh", "answer", hex.EncodeToString(f.Hash), sealed)
	return f, err
}

// AddRefresh stores a refresh token by its hash.
func (t *Tx) AddRefresh(f token.Refresh) error {
	answer, err := t.seal("oidc_refresh", "answer", hex.EncodeToString(f.Hash), f.Answer)
	if err != nil {
		return err
	}
	return t.insert(insertRefresh, f.Hash, f.Realm, f.Client, f.Authorization, millis(f.Created), millis(f.Expires), millis(f.Used), answer)
}

// Refresh finds a refresh token by its hash, also a used or expired one. Its Answer is there until the sweep that comes
// after ten seconds; whether it may still be given is the caller's to judge.
func (t *Tx) Refresh(hash []byte) (token.Refresh, error) {
	return one(t, scanRefresh, selectRefresh, hash)
}

// UseRefresh uses up a refresh token and keeps the answer, sealed for its row. It fails with fault.Conflict "refresh-used"
// when it was used before, and then Refresh returns the answer that the first use gave; and with fault.Expired
// "refresh-expired" from the moment it expires, or its authorization has ended.
func (t *Tx) UseRefresh(hash, answer []byte, now time.Time) error {
	sealed, err := t.seal("oidc_refresh", "answer", hex.EncodeToString(hash), answer)
	if err != nil {
		return err
	}
	done, err := returning(t, scanInt, useRefresh, hash, millis(now), sealed)
	if err != nil || len(done) == 1 {
		return err
	}
	used, err := one(t, scanInt, usedRefresh, hash)
	switch {
	case err != nil:
		return err
	case used != 0:
		return fault.New(fault.Conflict, "refresh-used")
	}
	return fault.New(fault.Expired, "refresh-expired")
}
