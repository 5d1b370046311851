// Package certhost leads a flow to the host at which browsers show certificates, and back.
//
// The rules:
//
//   - A realm's own host never asks for a certificate, and a host that asks shows no page (DESIGN 7). A browser passes
//     through it: a ticket leads there, another one back. What was shown is kept in between and proves nothing yet; it
//     becomes evidence where all evidence does, at the realm's host, by login.Prove.
//   - Only the browser of the flow gets a ticket, and what comes back counts in that flow and that browser alone. Whoever
//     lures somebody with a ticket of their own gets nothing: the answer goes to the browser that has the certificate, and
//     that one has not the flow (SEC C-4, T-RELAY).
//   - A ticket has 256 random bits, is stored as its keyed hash, works once, and lives as long as a person needs to choose a
//     certificate; the one back as long as a browser needs to follow a redirect.
//   - Nothing here judges a certificate.
package certhost

import (
	"context"
	"crypto/x509"
	"strings"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/limit"
	"doorward/internal/login"
	"doorward/internal/secret"
)

// Lifetimes of tickets. The browser asks its person which certificate to show before it sends the request, so the ticket
// there waits for a person. The one back outlives a slow line and a reload, no more.
const (
	ThereLife = 10 * time.Minute
	BackLife  = 2 * time.Minute
)

// perFlow is how often one flow may be led to the host in half an hour.
const perFlow = 30

// Tx is what the ways need of one transaction.
type Tx interface {
	AddSighting(authn.Sighting) error
	See(realm string, there []byte, s authn.Sighting) (authn.Sighting, error)
	SightingByBack(realm string, back []byte) (authn.Sighting, error)
	Audit(audit.Event) error
	Reserve(key string, limit int, window time.Duration, now time.Time) (ok bool, retry time.Duration, err error)
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Flows are the flows of login.
type Flows interface {
	Look(ctx context.Context, c login.Caller, flow string) (login.View, error)
}

// Service leads there and back. All fields but Count are needed.
type Service struct {
	Store  Store
	Flows  Flows
	Ring   *secret.Ring
	Realms login.Realms
	Clock  func() time.Time
	Count  func(metric string, labels ...string)
}

// Leave makes the ticket there for the caller's own flow and returns the address that it leads to, at the host of the nth
// try, counted from 0. Errors as login.Look; fault.Conflict "not-expected" where the flow wants no certificate now,
// fault.Throttled "too-many-attempts".
func (s *Service) Leave(ctx context.Context, c login.Caller, flow string, try int) (address string, err error) {
	v, err := s.Flows.Look(ctx, c, flow)
	if err != nil {
		return "", err
	}
	if !v.Step.Accepts(authn.ActProve, authn.Cert) && !v.Step.Accepts(authn.ActBind, authn.Cert) {
		return "", fault.New(fault.Conflict, "not-expected")
	}
	return s.leave(ctx, c, v.Realm, v.Flow.ID, v.Flow.Person, try)
}

// leave makes the ticket for whoever takes what comes back: the id of a flow, or the path of a page (Own).
func (s *Service) leave(ctx context.Context, c login.Caller, realm *login.Realm, back, person string, try int) (address string, err error) {
	now, ticket := s.Clock(), secret.Token()
	err = s.Store.Write(ctx, func(tx Tx) error {
		if err := (limit.Budget{Key: "sighting:" + back, Limit: perFlow, Window: login.FlowLife, Code: "too-many-attempts"}).Take(tx, now); err != nil {
			return err
		}
		return tx.AddSighting(authn.Sighting{
			ID: uuid.Must(uuid.NewV7()).String(), Realm: realm.ID, Flow: back, Try: try, There: s.hash(ticket), Created: now, Expires: now.Add(ThereLife),
		})
	})
	if e := limit.Of(err); e != nil {
		note := audit.Event{Realm: c.Realm, At: now, Actor: "anonymous", Person: person, Network: c.Network, Browser: c.Agent}
		if !isPlace(back) {
			note.Flow = back
		}
		if err := s.Store.Write(ctx, func(tx Tx) error { return e.Note(tx, note) }); err != nil {
			return "", err
		}
		return "", e.Refusal
	}
	return realm.CertOrigin(try) + "/certificate/" + ticket, err
}

// isPlace tells the path of a page from the id of a flow.
func isPlace(back string) bool { return strings.HasPrefix(back, "/") }

// Pass takes what a browser shows at the host and returns where it goes from there: back to the flow with the ticket back,
// or, where the ticket is none that can be used, to the page that says so. leaf is nil where no certificate was shown.
func (s *Service) Pass(ctx context.Context, c login.Caller, ticket string, leaf *x509.Certificate) (address string, err error) {
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return "", err
	}
	now, back := s.Clock(), secret.Token()
	shown := authn.Sighting{Back: backHash(s.Ring, back), Network: c.Network, Seen: now, Expires: now.Add(BackLife)}
	result := "none"
	if leaf != nil {
		shown.Leaf, result = leaf.Raw, "some"
	}
	var seen authn.Sighting
	err = s.Store.Write(ctx, func(tx Tx) error {
		seen, err = tx.See(realm.ID, s.hash(ticket), shown)
		return err
	})
	if fault.Of(err, fault.Expired) {
		s.count("over")
		return realm.Origin + "/signin/certificate", nil
	}
	if err != nil {
		return "", err
	}
	s.count(result)
	if isPlace(seen.Flow) {
		return realm.Origin + seen.Flow + "/shown/" + back, nil
	}
	return realm.Origin + "/signin/" + seen.Flow + "/certificate/" + back, nil
}

// Seen says what came back to the caller's flow with a ticket, for the page that explains it. It proves nothing. It fails
// with fault.Expired "ticket-over" where the ticket leads to no way of this flow.
func (s *Service) Seen(ctx context.Context, c login.Caller, flow, ticket string) (seen authn.Sighting, err error) {
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx Tx) error {
		seen, err = tx.SightingByBack(c.Realm, backHash(s.Ring, ticket))
		return err
	})
	if fault.Of(err, fault.NotFound) || err == nil && (seen.Flow != flow || !now.Before(seen.Expires)) {
		return authn.Sighting{}, fault.New(fault.Expired, "ticket-over")
	}
	return seen, err
}

func (s *Service) hash(ticket string) []byte { return s.Ring.Hash("sighting:there", ticket) }

func backHash(r *secret.Ring, ticket string) []byte { return r.Hash("sighting:back", ticket) }

func (s *Service) count(result string) {
	if s.Count != nil {
		s.Count("certificate_shown", "result", result)
	}
}
