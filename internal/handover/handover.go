// Package handover gets a certificate and its key to the device they are for: a file by mail, its password by voice.
//
// Rules:
//   - H1 File and password travel on two channels (REQ A12, A13): the link to the file goes to the person's stored address, the
//     password is shown to their contact, who says it on the phone. The contact is staff, and nobody is their own contact.
//   - H2 Each is there once. What was fetched or said is erased in the transaction that gives it out; a second time says so and
//     what to do next (REQ A16, SEC C-8). Opening the link changes nothing: mail scanners do that.
//   - H3 Nobody who issues sees the password, unless they are the contact. Nobody who could fetch the file is shown it.
//   - H4 A certificate that nobody can use any more is revoked: when its parcel is withdrawn, or replaced.
//   - H5 Whatever happens is told to the person, and stands in their history with who did it and why.
package handover

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/secret"
)

// LinkLife is how long a link to a file works.
const LinkLife = 7 * 24 * time.Hour

const (
	deviceMost  = 40 // letters of a device's name
	reasonLeast = 10
	listed      = 50
)

// Tx is what handing over needs of one transaction.
type Tx interface {
	Authority(realm, id string) (pki.Authority, error)
	Certificate(realm, id string) (pki.Certificate, error)
	Person(realm, id string) (directory.Person, error)
	UpdatePerson(directory.Person) error
	AddParcel(keyfile.Parcel) error
	Parcel(realm, id string) (keyfile.Parcel, error)
	ParcelByLink(realm string, link []byte) (keyfile.Parcel, error)
	ParcelsOf(realm, person string, limit int) ([]keyfile.Parcel, error)
	FetchParcel(p keyfile.Parcel, at time.Time) error
	SayParcel(p keyfile.Parcel, at time.Time) error
	SendParcel(p keyfile.Parcel, link []byte, until time.Time) error
	EndParcel(p keyfile.Parcel) error
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
	Ring   *secret.Ring
	Realms login.Realms
	Clock  func() time.Time
	Count  func(metric string, labels ...string) // nil for none
}

// Order is what staff ask for.
type Order struct {
	Person  string
	Device  string // its name, as the person will read it
	Target  keyfile.Target
	Contact string // id of the staff member who says the password; empty: the person's own contact
	Reason  string
}

func (o *Order) tidy() error {
	o.Device, o.Reason = directory.Line(o.Device), directory.Line(o.Reason)
	switch n := utf8.RuneCountInString(o.Device); {
	case n == 0:
		return fault.New(fault.Invalid, "device-missing").In("device")
	case n > deviceMost:
		return fault.New(fault.Invalid, "device-long", "max", deviceMost).In("device")
	}
	if utf8.RuneCountInString(o.Reason) < reasonLeast {
		return fault.New(fault.Invalid, "reason-short", "min", reasonLeast).In("reason")
	}
	target, err := keyfile.ParseTarget(string(o.Target))
	o.Target = target
	return err
}

// Send makes a key and a certificate for a new device of a person, and sends both on their way: certificate, file, mails and
// event are one commit.
//
// Errors: what directory.May returns for Certify; fault.Invalid "device-missing", "device-long" (device), "reason-short"
// (reason), "target-unknown" (target), "contact-missing", "contact-self" (contact); fault.Conflict "person-shut"; what the issuer
// returns.
func (s *Service) Send(ctx context.Context, by login.By, o Order) (p keyfile.Parcel, err error) {
	now := s.Clock()
	if err := o.tidy(); err != nil {
		return p, err
	}
	var who directory.Person
	err = s.Store.Read(ctx, func(tx Tx) (err error) {
		who, _, err = s.parties(tx, by, o)
		return err
	})
	if err != nil {
		return p, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return p, fmt.Errorf("handover: %w", err)
	}
	_, err = s.Issuer.Issue(ctx, certify.Order{
		Realm: who.Realm, Person: who.ID, Organization: who.Organization, Name: o.Device, Key: key.Public(),
		Requester: by.Person.ID, Approver: by.Person.ID, By: actor(by),
		Stored: func(tx certify.Tx, c pki.Certificate) (err error) {
			return within(tx, func(tx Tx) error {
				p, err = s.pack(tx, by, o, key, c, now)
				return err
			})
		},
	})
	p.File, p.Password, p.Link = nil, nil, nil
	if err == nil {
		s.count("sent")
	}
	return p, err
}

// pack makes the parcel of a certificate, and the mails and the event that go with it. Nothing but the parcel keeps the key.
func (s *Service) pack(tx Tx, by login.By, o Order, key crypto.Signer, made pki.Certificate, now time.Time) (p keyfile.Parcel, err error) {
	who, contact, err := s.parties(tx, by, o) // what was read before may have changed
	if err != nil {
		return p, err
	}
	password, link := secret.Said(), secret.Typed()
	leaf, err := x509.ParseCertificate(made.DER)
	if err != nil {
		return p, fmt.Errorf("handover: %w", err)
	}
	authority, err := tx.Authority(made.Realm, made.Authority)
	if err != nil {
		return p, err
	}
	issuer, err := authority.Certificate()
	if err != nil {
		return p, err
	}
	file, err := keyfile.PKCS12(o.Target, key, leaf, []*x509.Certificate{issuer}, password)
	if err != nil {
		return p, err
	}
	p = keyfile.Parcel{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: who.Realm, Certificate: made.ID, Person: who.ID, Contact: contact.ID, Sender: by.Person.ID,
		Target: o.Target, Device: o.Device, Year: made.NotAfter.Year(), Link: s.hash(link), Sent: 1, State: keyfile.Ready,
		Created: now, Until: now.Add(LinkLife),
	}
	if p.File, err = s.Ring.Seal(place(p, "file"), file); err != nil {
		return p, err
	}
	if p.Password, err = s.Ring.Seal(place(p, "password"), []byte(password)); err != nil {
		return p, err
	}
	if who.Contact != contact.ID {
		who.Contact = contact.ID
		if err := tx.UpdatePerson(who); err != nil {
			return p, err
		}
	}
	if err := tx.AddParcel(p); err != nil {
		return p, err
	}
	if err := tx.Enqueue(s.letter(by, who, contact, p, link, now)); err != nil {
		return p, err
	}
	if err := tx.Enqueue(by.NoticeTo(contact, now, "certificate-contact", facts(who, contact, p))); err != nil {
		return p, err
	}
	return p, tx.Audit(by.EventAbout(who, now, "certificate.sent", o.Reason, history(p)))
}

func actor(by login.By) certify.Actor {
	return certify.Actor{ID: by.Person.ID, Session: by.Session.ID, Network: by.Network, Browser: by.Agent}
}

// within lets the commit of a certificate carry what belongs to its parcel: the store's transaction is both.
func within(tx certify.Tx, do func(Tx) error) error {
	own, ok := tx.(Tx)
	if !ok {
		return fmt.Errorf("handover: a transaction of %T knows no parcels", tx)
	}
	return do(own)
}

// parties loads whom a parcel is for and who says its password.
func (s *Service) parties(tx Tx, by login.By, o Order) (who, contact directory.Person, err error) {
	if who, err = tx.Person(by.Person.Realm, o.Person); err != nil {
		return who, contact, err
	}
	if err = directory.May(by.Person, directory.Certify, who); err != nil {
		return who, contact, err
	}
	if who.State.Shut() {
		return who, contact, fault.New(fault.Conflict, "person-shut")
	}
	id := o.Contact
	if id == "" {
		id = who.Contact
	}
	if id == "" {
		return who, contact, fault.New(fault.Invalid, "contact-missing").In("contact")
	}
	contact, err = tx.Person(who.Realm, id)
	if fault.Of(err, fault.NotFound) || err == nil && (!contact.Role.Staff() || contact.Role == directory.Auditor || contact.State != directory.Active) {
		return who, contact, fault.New(fault.Invalid, "contact-missing").In("contact")
	}
	if contact.ID == who.ID {
		return who, contact, fault.New(fault.Invalid, "contact-self").In("contact")
	}
	return who, contact, err
}

func place(p keyfile.Parcel, column string) secret.Place {
	return secret.Place{Table: "parcel", Column: column, Row: p.ID}
}

func (s *Service) hash(link string) []byte { return s.Ring.Hash("parcel-link", link) }

func (s *Service) count(what string) {
	if s.Count != nil {
		s.Count("doorward_parcels_total", "event", what)
	}
}

// history is what the audit trail keeps of a parcel.
func history(p keyfile.Parcel) map[string]string {
	return map[string]string{"certificate": p.Certificate, "device": p.Device, "target": string(p.Target), "contact": p.Contact}
}

func facts(who, contact directory.Person, p keyfile.Parcel) map[string]string {
	return map[string]string{"name": who.Name, "address": who.Address, "certificate": p.Device, "contact": contact.Name}
}

// letter is the mail with the link. The password is in no mail.
func (s *Service) letter(by login.By, who, contact directory.Person, p keyfile.Parcel, link string, now time.Time) mail.Message {
	args := facts(who, contact, p)
	args["link"] = by.Realm.Origin + "/certificate/" + link
	args["until"] = p.Until.UTC().Format(time.RFC3339)
	return by.NoticeTo(who, now, "certificate-file", args)
}
