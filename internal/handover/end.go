package handover

import (
	"context"
	"slices"
	"unicode/utf8"

	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
)

// What those who look after somebody do with a certificate that is there. A customer's administrator may end one as they may
// reset a factor, and cannot issue one: a lost device does not wait for the operator (REQ A56).

// Whys are the reasons of a revocation that are offered to people.
var Whys = []string{pki.KeyCompromise, pki.Cessation, pki.Affiliation, pki.Unspecified}

// Revoke ends a certificate for good, and what travels of it: one commit. Sessions that stand on it end within five seconds.
//
// Errors: what directory.May returns for ResetFactor; fault.NotFound; fault.Invalid "reason-short" (reason), "revoke-why" (why).
func (s *Service) Revoke(ctx context.Context, by login.By, id, why, reason string) (pki.Certificate, error) {
	if !slices.Contains(Whys, why) {
		return pki.Certificate{}, fault.New(fault.Invalid, "revoke-why").In("why")
	}
	return s.change(ctx, by, id, reason, "certificate-withdrawn", func(ch certify.Changed) error {
		ch.Reason = why
		stored, ended := ch.Stored, false
		ch.Stored = func(tx certify.Tx, c pki.Certificate) error {
			ended = true
			if err := certify.Within(tx, func(tx Tx) error { return endParcel(tx, c) }); err != nil {
				return err
			}
			return stored(tx, c)
		}
		if err := s.Issuer.Revoke(ctx, ch); err != nil || ended {
			return err
		}
		return s.Store.Write(ctx, func(tx Tx) error { // it was revoked before, and what travels is worth nothing
			return endParcel(tx, pki.Certificate{Realm: ch.Realm, ID: ch.ID})
		})
	})
}

// Hold keeps a certificate from being accepted until Resume. Errors: as Revoke, and fault.Conflict "certificate-other" for one
// that is not in use.
func (s *Service) Hold(ctx context.Context, by login.By, id, reason string) (pki.Certificate, error) {
	return s.change(ctx, by, id, reason, "certificate-held", func(ch certify.Changed) error {
		ch.Reason = pki.Hold
		return s.Issuer.Suspend(ctx, ch)
	})
}

// Resume lets a certificate that is on hold be accepted again. Only staff may: what is on hold may be stolen. Errors: as Hold.
func (s *Service) Resume(ctx context.Context, by login.By, id, reason string) (pki.Certificate, error) {
	return s.change(ctx, by, id, reason, "certificate-resumed", func(ch certify.Changed) error { return s.Issuer.Resume(ctx, ch) })
}

// change asks whether the actor may, and lets do change the certificate with the letter about it in the same commit.
func (s *Service) change(ctx context.Context, by login.By, id, reason, letter string, do func(certify.Changed) error) (c pki.Certificate, err error) {
	now := s.Clock()
	if reason = directory.Line(reason); utf8.RuneCountInString(reason) < reasonLeast {
		return c, fault.New(fault.Invalid, "reason-short", "min", reasonLeast).In("reason")
	}
	act := directory.ResetFactor
	if letter == "certificate-resumed" {
		act = directory.Certify
	}
	var who directory.Person
	if err = s.Store.Read(ctx, func(tx Tx) (err error) {
		c, who, err = certificate(tx, by, act, id)
		return err
	}); err != nil {
		return c, err
	}
	err = do(certify.Changed{
		Realm: c.Realm, ID: c.ID, Words: reason, Organization: who.Organization, By: actor(by),
		Stored: func(tx certify.Tx, _ pki.Certificate) error {
			return certify.Within(tx, func(tx Tx) error {
				if _, who, err := certificate(tx, by, act, id); err != nil { // what was read before may have changed
					return err
				} else if err := tx.Enqueue(by.NoticeTo(who, now, letter, map[string]string{"certificate": c.Name})); err != nil {
					return err
				}
				return nil
			})
		},
	})
	if err == nil {
		s.count(letter[len("certificate-"):])
	}
	return c, err
}

// certificate loads a certificate and its owner, and asks whether the actor may do the act to them.
func certificate(tx Tx, by login.By, act directory.Act, id string) (c pki.Certificate, who directory.Person, err error) {
	if c, err = tx.Certificate(by.Person.Realm, id); err != nil {
		return c, who, err
	}
	if who, err = tx.Person(c.Realm, c.Person); err != nil {
		return c, who, err
	}
	c.DER = nil
	return c, who, directory.May(by.Person, act, who)
}
