package renewal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"doorward/internal/certify"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/secret"
)

// cut is after how long a row without a certificate is one whose issuance was cut short, see certify.Orphans.
const cut = 5 * time.Minute

// Renew makes a new key and certificate for the device of one that the actor has shown, in a file for its system. Certificate,
// file, mails and event are one commit.
//
// Errors: fault.Forbidden "login-not-fresh" (sign in again first); fault.NotFound; fault.Invalid "target-unknown" (target);
// fault.Conflict "renewal-elsewhere" where this session was not opened with it, "renewal-early" before its time,
// "certificate-other" where it no longer lives, "stale" where it changed meanwhile; fault.Exists "certificate-succeeded" where
// it was renewed already; what the issuer returns.
func (s *Service) Renew(ctx context.Context, by login.By, id string, target keyfile.Target) (made pki.Certificate, err error) {
	now := s.Clock()
	if !by.Fresh(now) {
		return made, fault.New(fault.Forbidden, "login-not-fresh")
	}
	if target, err = keyfile.ParseTarget(string(target)); err != nil {
		return made, err
	}
	var r Renewal
	var cutShort []string
	err = s.Store.Read(ctx, func(tx Tx) error {
		if r, err = s.of(tx, by, id); err != nil {
			return err
		}
		cutShort, err = unfinished(tx, by, id, now)
		return err
	})
	if err != nil {
		return made, err
	}
	switch {
	case r.Made():
		return made, fault.New(fault.Exists, "certificate-succeeded")
	case !r.Old.Live(now):
		return made, fault.New(fault.Conflict, "certificate-other")
	case !r.Old.Here:
		return made, fault.New(fault.Conflict, "renewal-elsewhere", "name", r.Old.Name)
	case !r.Old.Due:
		return made, fault.New(fault.Conflict, "renewal-early", "day", Opens(by.Realm.Realm, r.Old.Certificate).UTC().Format(time.DateOnly))
	}
	for _, row := range cutShort {
		if err := s.discard(ctx, by, row); err != nil {
			return made, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return made, fmt.Errorf("renewal: %w", err)
	}
	made, err = s.Issuer.Issue(ctx, certify.Order{
		Realm: by.Person.Realm, Person: by.Person.ID, Organization: by.Person.Organization, Device: r.Old.Device, Name: r.Old.Name,
		Key: key.Public(), Requester: by.Person.ID, Replaces: id, By: actor(by),
		Stored: func(tx certify.Tx, c pki.Certificate) error {
			return certify.Within(tx, func(tx Tx) error { return s.pack(tx, by, c, key, target, now) })
		},
	})
	if err != nil && made.ID != "" { // its row, if there is one, must not stand in the way of the next
		return made, errors.Join(err, s.discard(context.WithoutCancel(ctx), by, made.ID))
	}
	if err == nil {
		s.count("made")
	}
	return made, err
}

// unfinished are the rows of renewals of a certificate that were cut short.
func unfinished(tx Tx, by login.By, id string, now time.Time) (rows []string, err error) {
	all, err := tx.CertificatesOf(by.Person.Realm, by.Person.ID, listed)
	for _, c := range all {
		if c.Replaces == id && c.State == pki.Reserved && !now.Before(c.Created.Add(cut)) {
			rows = append(rows, c.ID)
		}
	}
	return rows, err
}

// discard revokes what nobody has got. That there is nothing is no error.
func (s *Service) discard(ctx context.Context, by login.By, id string) error {
	err := s.Issuer.Revoke(ctx, certify.Changed{
		Realm: by.Person.Realm, ID: id, Reason: pki.Cessation, Organization: by.Person.Organization, By: actor(by),
	})
	if fault.Of(err, fault.NotFound) {
		return nil
	}
	return err
}

// pack stores the file of a new certificate, with mails and event. Nothing but the parcel keeps the key.
func (s *Service) pack(tx Tx, by login.By, made pki.Certificate, key *ecdsa.PrivateKey, target keyfile.Target, now time.Time) error {
	old, err := Succeed(tx, made, now)
	if err != nil {
		return err
	}
	if err := s.wrap(tx, made, key, target, s.Ring.Hash("parcel-link", secret.Token()), now, now.Add(FileLife)); err != nil {
		return err
	}
	args := map[string]string{"certificate": made.Name, "until": made.NotAfter.UTC().Format(time.RFC3339)}
	if err := tx.Enqueue(by.Notice(now, "certificate-renewed", args)); err != nil {
		return err
	}
	if err := s.tell(tx, by, now, "certificate-renewed-console", made.Name); err != nil {
		return err
	}
	return tx.Audit(by.Event(now, "certificate.renewed", "", map[string]string{
		"name": made.Name, "certificate": made.ID, "old": old.ID, "target": string(target), "until": made.NotAfter.UTC().Format(time.DateOnly),
	}))
}

// wrap stores the file of a new certificate for its owner, until a moment. Of those with the same link one is stored, the others
// are fault.Exists.
func (s *Service) wrap(tx Tx, made pki.Certificate, key *ecdsa.PrivateKey, target keyfile.Target, link []byte, now, until time.Time) error {
	leaf, issuer, err := certify.Chain(tx, made)
	if err != nil {
		return err
	}
	password := secret.Said()
	file, err := keyfile.PKCS12(target, key, leaf, []*x509.Certificate{issuer}, password)
	if err != nil {
		return err
	}
	p := keyfile.Parcel{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: made.Realm, Certificate: made.ID, Person: made.Person, Sender: made.Person, Target: target,
		Device: made.Name, Year: made.NotAfter.Year(), Link: link, State: keyfile.Ready, Created: now, Until: until,
	}
	if p.File, err = s.Ring.Seal(p.Place("file"), file); err != nil {
		return err
	}
	if p.Password, err = s.Ring.Seal(p.Place("password"), []byte(password)); err != nil {
		return err
	}
	return tx.AddParcel(p)
}

// Certificates are what Succeed needs of a transaction.
type Certificates interface {
	Certificate(realm, id string) (pki.Certificate, error)
	CertificatesOf(realm, person string, limit int) ([]pki.Certificate, error)
	UpdateCertificate(pki.Certificate) error
}

// Succeed is what holds in the commit of a certificate that renews another, whoever asked for it: the old one, which it
// returns, lives, and whatever else of the device lives ends: there are never more than two. It fails with fault.Conflict
// "certificate-other" where the old one ended, and "stale" where it ends at this moment.
func Succeed(tx Certificates, made pki.Certificate, now time.Time) (old pki.Certificate, err error) {
	if old, err = tx.Certificate(made.Realm, made.Replaces); err != nil {
		return old, err
	}
	if !old.Live(now) {
		return old, fault.New(fault.Conflict, "certificate-other")
	}
	if err := tx.UpdateCertificate(old); err != nil { // whoever ends it at this moment and this commit see each other
		return old, err
	}
	all, err := tx.CertificatesOf(made.Realm, made.Person, listed)
	if err != nil {
		return old, err
	}
	for _, c := range all {
		if c.Device != made.Device || c.ID == made.ID || c.ID == old.ID || c.State == pki.Reserved || c.State == pki.Revoked || c.Standing(now) == pki.Expired {
			continue
		}
		c.Ends = now
		if err := tx.UpdateCertificate(c); err != nil {
			return old, err
		}
	}
	return old, nil
}

// tell writes to the actor's contact, if they have one who is at work.
func (s *Service) tell(tx Tx, by login.By, now time.Time, template, device string) error {
	m, err := s.toContact(tx, by.Person.Realm, by.Person.Contact, func(to contact) mail.Message {
		return by.NoticeTo(to, now, template, map[string]string{"name": by.Person.Name, "address": by.Person.Address, "certificate": device})
	})
	if err != nil || m.ID == "" {
		return err
	}
	return tx.Enqueue(m)
}

// Password shows the password of the new certificate's file to its owner, once, and erases it. id is the certificate that is
// renewed.
//
// Errors: fault.Forbidden "login-not-fresh"; fault.NotFound; fault.Expired "password-said", "parcel-ended".
func (s *Service) Password(ctx context.Context, by login.By, id string) (password secret.Text, err error) {
	now := s.Clock()
	err = s.parcel(ctx, by, id, now, func(tx Tx, p keyfile.Parcel) error {
		password, err = s.say(tx, by, p, now)
		return err
	})
	if err != nil {
		return "", err
	}
	s.count("said")
	return password, nil
}

// say takes the password out of a parcel.
func (s *Service) say(tx Tx, by login.By, p keyfile.Parcel, now time.Time) (secret.Text, error) {
	if len(p.Password) == 0 {
		return "", fault.New(fault.Expired, "password-said")
	}
	plain, err := s.Ring.Open(p.Place("password"), p.Password)
	if err != nil {
		return "", err
	}
	if err := tx.SayParcel(p, now); err != nil {
		if fault.Of(err, fault.Conflict) {
			return "", fault.New(fault.Expired, "password-said")
		}
		return "", err
	}
	return secret.Text(plain), tx.Audit(by.Event(now, "certificate.password-shown", "", map[string]string{"device": p.Device, "certificate": p.Certificate}))
}

// File gives out the file of the new certificate to its owner, once, and erases it. id is the certificate that is renewed.
//
// Errors: fault.Forbidden "login-not-fresh"; fault.NotFound; fault.Expired "parcel-fetched", "parcel-ended".
func (s *Service) File(ctx context.Context, by login.By, id string) (name string, file []byte, err error) {
	now := s.Clock()
	err = s.parcel(ctx, by, id, now, func(tx Tx, p keyfile.Parcel) error {
		name, file, err = s.give(tx, by, p, now)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	s.count("fetched")
	return name, file, nil
}

// give takes the file out of a parcel.
func (s *Service) give(tx Tx, by login.By, p keyfile.Parcel, now time.Time) (name string, file []byte, err error) {
	if p.State == keyfile.Fetched {
		return "", nil, fault.New(fault.Expired, "parcel-fetched")
	}
	if file, err = s.Ring.Open(p.Place("file"), p.File); err != nil {
		return "", nil, err
	}
	if err := tx.FetchParcel(p, now); err != nil {
		if fault.Of(err, fault.Conflict) {
			return "", nil, fault.New(fault.Expired, "parcel-fetched")
		}
		return "", nil, err
	}
	if err := tx.Audit(by.Event(now, "certificate.fetched", "", map[string]string{"device": p.Device, "certificate": p.Certificate})); err != nil {
		return "", nil, err
	}
	return keyfile.Name(p.Realm, p.Year, "p12"), file, tx.Enqueue(by.Notice(now, "certificate-fetched", map[string]string{"certificate": p.Device}))
}

// parcel loads what waits for the owner of a renewed certificate, in the transaction that gives it out.
func (s *Service) parcel(ctx context.Context, by login.By, id string, now time.Time, take func(Tx, keyfile.Parcel) error) error {
	if !by.Fresh(now) {
		return fault.New(fault.Forbidden, "login-not-fresh")
	}
	return s.Store.Write(ctx, func(tx Tx) error {
		r, err := s.of(tx, by, id)
		if err != nil {
			return err
		}
		if !r.Made() {
			return fault.New(fault.NotFound, "not-found")
		}
		p, err := tx.ParcelOf(by.Person.Realm, r.New.ID)
		if err != nil {
			return err
		}
		if p.State == keyfile.Ended || p.State == keyfile.Ready && !p.Open(now) || r.New.Over() {
			return fault.New(fault.Expired, "parcel-ended")
		}
		return take(tx, p)
	})
}

// Cancel gives a renewal up before its certificate was shown: that one is revoked, file and password are erased. Errors:
// fault.NotFound; fault.Conflict "certificate-other" where it was shown.
func (s *Service) Cancel(ctx context.Context, by login.By, id string) error {
	r, err := s.Of(ctx, by, id)
	if err != nil {
		return err
	}
	switch {
	case !r.Made():
		return fault.New(fault.NotFound, "not-found")
	case r.Shown():
		return fault.New(fault.Conflict, "certificate-other")
	}
	err = s.Issuer.Revoke(ctx, certify.Changed{
		Realm: by.Person.Realm, ID: r.New.ID, Reason: pki.Cessation, Organization: by.Person.Organization, By: actor(by), Stored: s.emptied,
	})
	if err == nil {
		s.count("given-up")
	}
	return err
}

// emptied erases what waits of a certificate in the commit that ends it.
func (s *Service) emptied(tx certify.Tx, c pki.Certificate) error {
	return certify.Within(tx, func(tx Tx) error {
		p, err := tx.ParcelOf(c.Realm, c.ID)
		if fault.Of(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.EndParcel(p)
	})
}
