package oidc

import (
	"context"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/farewell"
	"doorward/internal/mail"
	"doorward/internal/session"
	"doorward/internal/token"
)

// Tx is what the provider needs of one transaction.
type Tx interface {
	farewell.Tx
	breakglass.Tx

	Keys(realm string) ([]token.Key, error) // not ended, oldest first
	AddKey(token.Key) error
	RetireKey(realm, id string, retires, ends time.Time) error

	AddRequest(token.Request) error
	Request(realm, id string) (token.Request, error)
	RequestByHandle(realm string, hash []byte) (token.Request, error)
	UseRequest(realm, id string, now time.Time) error    // once, unexpired; Conflict "request-used", Expired "request-expired"
	FinishRequest(realm, id string, now time.Time) error // once: a code or an error was sent back; Conflict "request-over"
	KeepRequest(realm, id string, until time.Time) error // lengthens, never shortens

	AddAuthorization(token.Authorization) error
	Authorization(realm, id string) (token.Authorization, error)
	Standing(realm, id string) (token.Standing, error) // an authorization of a person with all it stands on; NotFound without any of it
	EndAuthorization(realm, id, why string, now time.Time) (bool, error)
	EndAuthorizations(realm, person, client, why string, now time.Time) (int, error)
	Authorizations(realm, person string) ([]token.Authorization, error) // live, newest first
	TouchAuthorization(realm, id string, seen time.Time) error
	BindAuthorization(realm, id, jkt string) error                                // to a DPoP key, where it is bound to none yet
	BindCertificate(realm, id, x5t string) error                                  // likewise to a client certificate
	AuthorizationsOfSession(realm, session string) ([]token.Authorization, error) // live and ended

	AddCode(token.Code) error
	Code(hash []byte) (token.Code, error)
	UseCode(hash []byte, now time.Time) (token.Code, error) // one UPDATE … RETURNING; Conflict "code-used" / Expired "code-expired" with the Code filled
	AddRefresh(token.Refresh) error
	Refresh(hash []byte) (token.Refresh, error)
	UseRefresh(hash, answer []byte, now time.Time) error // one UPDATE; Conflict "refresh-used", Expired "refresh-expired"

	Consent(realm, person, client string) (token.Consent, error)
	Consents(realm, person string) ([]token.Consent, error)
	PutConsent(token.Consent) error
	DeleteConsent(realm, person, client string) (bool, error)

	AddDeviceGrant(token.Device) error
	DeviceGrant(hash []byte) (token.Device, error)
	DeviceGrantByUserCode(realm string, hash []byte) (token.Device, error)
	UpdateDeviceGrant(token.Device) error // version check: Conflict "stale"

	Person(realm, id string) (directory.Person, error)
	Organization(realm, id string) (directory.Organization, error)
	Credentials(realm, person string) ([]authn.Credential, error)
	Session(realm, id string) (session.Session, error) // live or ended, by id
	HoldSession(realm, id string, now time.Time) error // Expired "session-over"
	EndSession(realm, person, id, why string, now time.Time) (bool, error)
	Spend(key string, expires time.Time) (fresh bool, err error)
	Reserve(key string, limit int, window time.Duration, now time.Time) (ok bool, retry time.Duration, err error)
	Release(key string) error // gives one reserved attempt back
	Audit(audit.Event) error
	Enqueue(mail.Message) error
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}
