// Package farewell tells applications that a session is over (OpenID Connect Back-Channel Logout 1.0), and ends what came from
// it.
package farewell

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/token"
)

// Tx is what the job needs of one transaction.
type Tx interface {
	SettleSessions(realm string, now time.Time, limit int) (ids []string, err error)                     // that are over, each once
	EndAuthorizationsOfSessions(realm string, sessions []string, why string, now time.Time) (int, error) // not offline ones
	ClientsOfSessions(realm string, sessions []string) ([]token.Logout, error)                           // whom to tell that was not told
	AddLogout(token.Logout) error
	ClaimLogouts(now time.Time, lease time.Duration, limit int) ([]token.Logout, error)
	FinishLogout(token.Logout) error
	Bump()
}

// Store begins transactions.
type Store interface {
	Write(context.Context, func(Tx) error) error
}

// Send posts a form to an application, and fails unless it took it.
type Send func(ctx context.Context, to string, form url.Values) error

// Job is the work. All fields are needed.
type Job struct {
	Store  Store
	Ring   *secret.Ring
	Realms login.Realms
	Keys   func(ctx context.Context, realm string) (*token.KeySet, error) // that sign
	Clock  func() time.Time
	Log    *slog.Logger
	Count  func(metric string, labels ...string)
}

// party finds a client of a realm.
func party(r *login.Realm, id string) (directory.RelyingParty, bool) {
	i := slices.IndexFunc(r.Relying, func(c directory.RelyingParty) bool { return c.ID == id && c.Auth != "" })
	if i < 0 {
		return directory.RelyingParty{}, false
	}
	return r.Relying[i], true
}

// Back-channel log-out: rows in the outbox, delivered by a job, retried, given up visibly.
const (
	settleBatch  = 200 // sessions in one transaction
	settleRounds = 50  // in one run
	logoutLease  = time.Minute
	logoutBatch  = 50
	logoutTries  = 8
	logoutWait   = 5 * time.Second // for one answer
)

// Run tells clients about sessions that ended: it finds authorizations whose session is over, ends them, and
// delivers what is due. It is run as a job on one node at a time and may be run again at any moment.
func (j *Job) Run(ctx context.Context, realms []string, send Send) error {
	var all []error
	for _, id := range realms {
		if err := j.collect(ctx, id); err != nil {
			all = append(all, err)
		}
	}
	var due []token.Logout
	now := j.Clock()
	if err := j.Store.Write(ctx, func(tx Tx) (err error) {
		due, err = tx.ClaimLogouts(now, logoutLease, logoutBatch)
		return err
	}); err != nil {
		return errors.Join(append(all, err)...)
	}
	for _, l := range due {
		if err := j.deliver(ctx, l, send); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// collect settles sessions that are over, each once: their authorizations end but for what outlives a session, and every
// client that wants to know, and got something in it, is told. The length of its work is that of what ended, however much
// is alive.
func (j *Job) collect(ctx context.Context, realmID string) error {
	realm, err := j.Realms.Realm(realmID)
	if err != nil {
		return err
	}
	for range settleRounds {
		now, settled := j.Clock(), 0
		if err := j.Store.Write(ctx, func(tx Tx) error {
			ids, err := tx.SettleSessions(realmID, now, settleBatch)
			if settled = len(ids); err != nil || settled == 0 {
				return err
			}
			ended, err := tx.EndAuthorizationsOfSessions(realmID, ids, "session-ended", now)
			if err != nil {
				return err
			}
			told, err := tx.ClientsOfSessions(realmID, ids)
			if err != nil {
				return err
			}
			for _, l := range told {
				if rp, ok := party(realm, l.Client); !ok || rp.BackchannelLogoutURI == "" {
					continue
				}
				l.ID, l.Created, l.Due = uuid.Must(uuid.NewV7()).String(), now, now
				if err := tx.AddLogout(l); err != nil {
					return err
				}
			}
			if ended > 0 {
				tx.Bump()
			}
			return nil
		}); err != nil || settled < settleBatch {
			return err
		}
	}
	return nil
}

// deliver sends one logout token (OpenID Connect Back-Channel Logout 1.0, 2.5).
func (j *Job) deliver(ctx context.Context, l token.Logout, send Send) error {
	now := j.Clock()
	l.Attempts++
	err := j.sendLogout(ctx, l, now, send)
	switch {
	case err == nil:
		l.Done, l.Error = now, ""
	case l.Attempts >= logoutTries:
		l.Done, l.Error = now, err.Error()
		j.Log.LogAttrs(ctx, slog.LevelWarn, "back-channel log-out given up", slog.String("client", l.Client), slog.String("error", err.Error()))
	default:
		l.Error, l.Due = err.Error(), now.Add(time.Minute<<min(l.Attempts, 8))
	}
	j.Count("logout_delivery", "result", map[bool]string{true: "sent", false: "failed"}[err == nil])
	return j.Store.Write(ctx, func(tx Tx) error { return tx.FinishLogout(l) })
}

func (j *Job) sendLogout(ctx context.Context, l token.Logout, now time.Time, send Send) error {
	realm, err := j.Realms.Realm(l.Realm)
	if err != nil {
		return err
	}
	rp, ok := party(realm, l.Client)
	if !ok || rp.BackchannelLogoutURI == "" {
		return nil // it was taken away meanwhile
	}
	keys, err := j.Keys(ctx, l.Realm)
	if err != nil {
		return err
	}
	alg := rp.IDTokenAlg
	if alg == "" {
		alg = token.ES256
	}
	signer, err := keys.Signer(alg, now)
	if err != nil {
		return err
	}
	signed, err := signer.SignLogoutToken(token.LogoutToken{
		Issuer: realm.Origin, Subject: token.Subject(j.Ring, l.Realm, rp, l.Person), Audience: token.Audience{rp.ID},
		Issued: now.Unix(), Expires: now.Add(token.LogoutLife).Unix(), ID: uuid.Must(uuid.NewV7()).String(), Session: l.Session,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, logoutWait)
	defer cancel()
	return send(ctx, rp.BackchannelLogoutURI, url.Values{"logout_token": {signed}})
}
