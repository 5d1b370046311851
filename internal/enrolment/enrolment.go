// Package enrolment lets managed devices ask for their certificates by themselves (EST, RFC 7030): the first one with a secret
// that staff made for this device, the next ones with the certificate they have. Keys are made by devices and never travel.
//
// Rules:
//   - A secret has 256 random bits, is kept as its keyed hash, and is good for one certificate of one device, for seven days.
//     It is spent in the commit that stores the certificate: of many who come at once one gets one, and what fails spends
//     nothing.
//   - Of a request the key alone counts, which must have signed it (package pki). Whose the certificate is, what the device is
//     called and how long it holds is known here, whatever the request says.
//   - What was answered is answered again to the same key with the same proof: a line that breaks costs no secret (RFC 7030
//     4.2.3). The same secret with another key is refused, and seen in the trail.
//   - Only devices that were enrolled so renew so, in the time in which their owners could. A file that was fetched
//     is renewed by its owner, who signs in with more than the certificate (package renewal).
//   - A certificate is no more than any other: it is one kind of evidence at a sign-in, and its first sign-in needs the call
//     where the policy says so. Who made the secret cannot confirm that call.
package enrolment

import (
	"context"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/certhost"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/handover"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/secret"
)

// Life is how long a secret waits for its device.
const Life = 7 * 24 * time.Hour

const (
	listed  = 50
	counted = 1000
)

// Tx is what enrolling needs of one transaction.
type Tx interface {
	Authorities(realm string) ([]pki.Authority, error)
	Certificate(realm, id string) (pki.Certificate, error)
	CertificateByKey(realm, key string) (pki.Certificate, error)
	CertificateBySerial(realm, issuer, serial string) (pki.Certificate, error)
	CertificatesOf(realm, person string, limit int) ([]pki.Certificate, error)
	UpdateCertificate(pki.Certificate) error
	Person(realm, id string) (directory.Person, error)
	HoldPerson(directory.Person) error
	UpdatePerson(directory.Person) error
	AddEnrolment(pki.Enrolment) error
	Enrolment(realm, id string) (pki.Enrolment, error)
	EnrolmentBySecret(realm string, secret []byte) (pki.Enrolment, error)
	EnrolmentOf(realm, device string) (pki.Enrolment, error)
	EnrolmentsOf(realm, person string, limit int) ([]pki.Enrolment, error)
	SpendEnrolment(e pki.Enrolment, certificate string, at time.Time) error
	EndEnrolment(pki.Enrolment) error
	Reserve(key string, limit int, window time.Duration, now time.Time) (ok bool, retry time.Duration, err error)
	Enqueue(mail.Message) error
	Audit(audit.Event) error
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Service is the use case. It is safe for concurrent use.
type Service struct {
	Store  Store
	Issuer *certify.Service
	Desk   *certhost.Desk // judges what is shown
	Ring   *secret.Ring
	Realms login.Realms
	Clock  func() time.Time
	Count  func(metric string, labels ...string) // nil for none
}

// Order is what staff ask for: a secret for one device of a person.
type Order struct {
	Person string
	Device string // its name, as the person will read it
	Reason string
}

// Offer makes a secret for a device. It is returned this once; nobody can look it up.
//
// Errors: what directory.May returns for Certify; fault.Invalid "device-missing", "device-long" (device), "reason-short"
// (reason); fault.Conflict "person-shut", "devices-many", and "stale" where the person was changed at the same moment;
// fault.Unavailable "authority-none".
func (s *Service) Offer(ctx context.Context, by login.By, o Order) (e pki.Enrolment, typed secret.Text, err error) {
	if o.Device, o.Reason, err = handover.Tidy(o.Device, o.Reason); err != nil {
		return e, "", err
	}
	now, word := s.Clock(), secret.Token()
	err = s.Store.Write(ctx, func(tx Tx) error {
		who, err := s.owner(tx, by, o.Person)
		if err != nil {
			return err
		}
		if who.State.Shut() {
			return fault.New(fault.Conflict, "person-shut")
		}
		if signs, err := signs(tx, who.Realm, now); err != nil || !signs {
			return orNone(err)
		}
		if who, err = held(tx, who); err != nil {
			return err
		}
		if err := room(tx, who, now, pki.Certificate{}); err != nil {
			return err
		}
		e = pki.Enrolment{
			ID: newID(), Realm: who.Realm, Person: who.ID, Device: newID(), Name: o.Device, Sender: by.Person.ID, Secret: s.hash(word),
			State: pki.EnrolmentReady, Created: now, Until: now.Add(Life),
		}
		if err := tx.AddEnrolment(e); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(who, now, "enrolment.offered", o.Reason, facts(e)))
	})
	if err != nil {
		return pki.Enrolment{}, "", err
	}
	s.count("offered")
	e.Secret = nil
	return e, secret.Text(word), nil
}

// List shows the newest secrets that were made for a person's devices, without what leads to them. Errors: what directory.May
// returns for Certify.
func (s *Service) List(ctx context.Context, by login.By, person string) (all []pki.Enrolment, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		if _, err := s.owner(tx, by, person); err != nil {
			return err
		}
		all, err = tx.EnrolmentsOf(by.Person.Realm, person, listed)
		return err
	})
	for i := range all {
		all[i].Secret = nil
	}
	return all, err
}

// Withdraw makes a secret worthless that was not used. Errors: what directory.May returns for Certify; fault.NotFound;
// fault.Expired "enrolment-used", "enrolment-ended".
func (s *Service) Withdraw(ctx context.Context, by login.By, id string) error {
	now := s.Clock()
	err := s.Store.Write(ctx, func(tx Tx) error {
		e, err := tx.Enrolment(by.Person.Realm, id)
		if err != nil {
			return err
		}
		who, err := s.owner(tx, by, e.Person)
		if err != nil {
			return err
		}
		if e.State != pki.EnrolmentReady {
			return dead(e, now)
		}
		if err := tx.EndEnrolment(e); fault.Of(err, fault.Conflict) {
			return gone(tx, e, now)
		} else if err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(who, now, "enrolment.withdrawn", "", facts(e)))
	})
	if err == nil {
		s.count("withdrawn")
	}
	return err
}

// owner is the person whom it is about, where the actor may issue certificates to them.
func (s *Service) owner(tx Tx, by login.By, id string) (who directory.Person, err error) {
	if who, err = tx.Person(by.Person.Realm, id); err != nil {
		return who, err
	}
	return who, directory.May(by.Person, directory.Certify, who)
}

// Authorities are the certificates a device needs to know whom to trust: the realm's issuing authorities that count, the one
// that signs first, and the roots above them (RFC 7030 4.1.3). It fails with fault.Unavailable "authority-none".
func (s *Service) Authorities(ctx context.Context, realm string) (ders [][]byte, err error) {
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx Tx) error {
		ders = nil
		all, err := tx.Authorities(realm)
		if err != nil {
			return err
		}
		for _, class := range []pki.Class{pki.Issuing, pki.Root} {
			for _, first := range []bool{true, false} {
				for _, a := range all {
					if a.Class == class && a.Trusted(now) && (a.State == pki.Signs) == first {
						ders = append(ders, a.DER)
					}
				}
			}
		}
		if signs, err := signs(tx, realm, now); err != nil || !signs {
			return orNone(err)
		}
		return nil
	})
	return ders, err
}

func signs(tx Tx, realm string, now time.Time) (bool, error) {
	all, err := tx.Authorities(realm)
	for _, a := range all {
		if a.Class == pki.Issuing && a.State == pki.Signs && a.Trusted(now) {
			return true, err
		}
	}
	return false, err
}

// orNone is an error, or that nobody signs.
func orNone(err error) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Unavailable, "authority-none")
}

// held locks a person's row until the end of the transaction, so that of two orders for somebody the second counts what the
// first has made, and raises its version for those that count before they lock (handover).
func held(tx Tx, who directory.Person) (directory.Person, error) {
	if err := tx.HoldPerson(who); err != nil {
		return who, err
	}
	who, err := tx.Person(who.Realm, who.ID)
	if err != nil {
		return who, err
	}
	err = tx.UpdatePerson(who)
	return who, err
}

// room fails with fault.Conflict "devices-many" where somebody has as many devices as anybody may have, those that a secret
// waits for among them. made is the certificate that is being stored, of a device whose secret was counted.
func room(tx Tx, who directory.Person, now time.Time, made pki.Certificate) error {
	all, err := tx.CertificatesOf(who.Realm, who.ID, counted)
	if err != nil {
		return err
	}
	devices := handover.Devices(all, now)
	if made.ID == "" {
		devices++ // the one that is asked for
		waiting, err := tx.EnrolmentsOf(who.Realm, who.ID, counted)
		if err != nil {
			return err
		}
		for _, e := range waiting {
			if e.Open(now) {
				devices++
			}
		}
	}
	if devices > handover.DevicesMost {
		return fault.New(fault.Conflict, "devices-many", "max", handover.DevicesMost)
	}
	return nil
}

// dead says why a secret is worth nothing.
func dead(e pki.Enrolment, now time.Time) error {
	switch {
	case e.State == pki.EnrolmentUsed:
		return fault.New(fault.Expired, "enrolment-used")
	case e.State == pki.EnrolmentReady && !now.Before(e.Until):
		return fault.New(fault.Expired, "enrolment-late")
	}
	return fault.New(fault.Expired, "enrolment-ended")
}

// gone is dead for a secret that somebody else spent or withdrew at this moment.
func gone(tx Tx, e pki.Enrolment, now time.Time) error {
	e, err := tx.Enrolment(e.Realm, e.ID)
	if err != nil {
		return err
	}
	return dead(e, now)
}

func (s *Service) hash(word string) []byte { return s.Ring.Hash("enrolment", word) }

func (s *Service) count(what string) {
	if s.Count != nil {
		s.Count("enrolment", "what", what)
	}
}

// facts are what the trail keeps of an enrolment.
func facts(e pki.Enrolment) map[string]string {
	return map[string]string{"enrolment": e.ID, "name": e.Name, "device": e.Device}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
