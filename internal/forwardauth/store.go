package forwardauth

import (
	"context"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/token"
)

// Tx is what this door needs of one transaction. It keeps nothing of a kind of its own: a sign-in on its way to a guarded
// host is a Request, what a person may use there an Authorization, the ticket a Code, and the cookie of the host a Refresh
// that is never used up. Their hashes are of purposes of their own, so that none of them opens anything at the provider.
type Tx interface {
	AddRequest(token.Request) error
	Request(realm, id string) (token.Request, error)
	FinishRequest(realm, id string, now time.Time) error // once; Conflict "request-over"
	KeepRequest(realm, id string, until time.Time) error

	AddAuthorization(token.Authorization) error
	Authorization(realm, id string) (token.Authorization, error)
	EndAuthorization(realm, id, why string, now time.Time) (bool, error)
	AddCode(token.Code) error
	UseCode(hash []byte, now time.Time) (token.Code, error) // once; Conflict "code-used" / Expired "code-expired" with the Code filled
	AddRefresh(token.Refresh) error
	Refresh(hash []byte) (token.Refresh, error)

	Person(realm, id string) (directory.Person, error)
	Reserve(key string, limit int, window time.Duration, now time.Time) (ok bool, retry time.Duration, err error)
	Audit(audit.Event) error
	Bump()
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}
