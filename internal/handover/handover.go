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
//   - H6 Nobody has more than DevicesMost devices at once. Counting is the database's business: each order for somebody
//     changes their row, so of two at once one is told to look again.
package handover

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
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

// Path is where a link leads at a realm's host: this, and the link's secret.
const Path = "/certificate-file/"

// LinkLife is how long a link to a file works.
const LinkLife = 7 * 24 * time.Hour

// DevicesMost is how many devices of one person have a certificate that lives.
const DevicesMost = 20

const (
	deviceMost  = 40 // letters of a device's name
	reasonLeast = 10
	listed      = 50
	counted     = 1000
)

// Tx is what handing over needs of one transaction.
type Tx interface {
	Authorities(realm string) ([]pki.Authority, error)
	Authority(realm, id string) (pki.Authority, error)
	Certificate(realm, id string) (pki.Certificate, error)
	CertificatesOf(realm, person string, limit int) ([]pki.Certificate, error)
	CertificatesIn(pki.Selection) ([]pki.Certificate, error)
	CountCertificates(pki.Selection) (pki.Tally, error)
	Person(realm, id string) (directory.Person, error)
	Organization(realm, id string) (directory.Organization, error)
	UpdatePerson(directory.Person) error
	AddParcel(keyfile.Parcel) error
	Parcel(realm, id string) (keyfile.Parcel, error)
	ParcelByLink(realm string, link []byte) (keyfile.Parcel, error)
	ParcelOf(realm, certificate string) (keyfile.Parcel, error)
	ParcelsOf(realm, person string, limit int) ([]keyfile.Parcel, error)
	FetchParcel(p keyfile.Parcel, at time.Time) error
	SayParcel(p keyfile.Parcel, at time.Time) error
	SendParcel(keyfile.Parcel) error
	TryParcel(p keyfile.Parcel, limit int, now time.Time) (int, error)
	UntryParcel(keyfile.Parcel) error
	SignParcel(p keyfile.Parcel, at time.Time) error
	KeepParcel(keyfile.Parcel) error
	SignedParcelsLeft(realm string, now time.Time, limit int) ([]keyfile.Parcel, error)
	EndParcel(p keyfile.Parcel) error
	Mail(realm, id string) (mail.Message, error)
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
	// Signer signs configuration profiles in the name of a host, with the chain of its certificate, which devices trust already.
	// It is nil, or returns a nil key, where this program has no certificate of the host: a proxy speaks TLS.
	Signer func(host string) (crypto.Signer, []*x509.Certificate)
}

// Order is what staff ask for.
type Order struct {
	Person  string
	Device  string // its name, as the person will read it
	Target  keyfile.Target
	Contact string // id of the staff member who says the password; empty: the person's own contact
	// Language is that of the letter; empty: the person's.
	Language string
	Reason   string
	// Replaces is the id of the certificate of the same device in whose place the new one comes. It is revoked in the same
	// commit, and what travels of it ends.
	Replaces string

	made string // id of the certificate that is being stored: it takes the place that is looked for
}

// Tidy cleans what staff typed of a device and why. It fails with fault.Invalid "device-missing", "device-long" (device),
// "reason-short" (reason).
func Tidy(device, reason string) (string, string, error) {
	device, reason = directory.Line(device), directory.Line(reason)
	switch n := utf8.RuneCountInString(device); {
	case n == 0:
		return device, reason, fault.New(fault.Invalid, "device-missing").In("device")
	case n > deviceMost:
		return device, reason, fault.New(fault.Invalid, "device-long", "max", deviceMost).In("device")
	}
	if utf8.RuneCountInString(reason) < reasonLeast {
		return device, reason, fault.New(fault.Invalid, "reason-short", "min", reasonLeast).In("reason")
	}
	return device, reason, nil
}

func (o *Order) tidy(languages []string) (err error) {
	if o.Device, o.Reason, err = Tidy(o.Device, o.Reason); err != nil {
		return err
	}
	if o.Language != "" && !slices.Contains(languages, o.Language) {
		return fault.New(fault.Invalid, "language-unknown").In("language")
	}
	target, err := keyfile.ParseTarget(string(o.Target))
	o.Target = target
	return err
}

// Send makes a key and a certificate for a new device of a person, and sends both on their way: certificate, file, mails and
// event are one commit.
//
// Errors: what directory.May returns for Certify; fault.Invalid "device-missing", "device-long" (device), "reason-short"
// (reason), "target-unknown" (target), "language-unknown" (language), "contact-missing", "contact-self" (contact);
// fault.Conflict "person-shut", "devices-many", and "stale" where the person was changed at the same moment; what the issuer
// returns, for what is replaced too.
func (s *Service) Send(ctx context.Context, by login.By, o Order) (p keyfile.Parcel, err error) {
	now := s.Clock()
	if err := o.tidy(by.Realm.Languages); err != nil {
		return p, err
	}
	var who directory.Person
	var old pki.Certificate
	err = s.Store.Read(ctx, func(tx Tx) (err error) {
		if who, _, err = s.parties(tx, by, o); err != nil || o.Replaces == "" {
			return err
		}
		if old, err = tx.Certificate(who.Realm, o.Replaces); err == nil && old.Person != who.ID {
			err = fault.New(fault.NotFound, "not-found")
		}
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
		Realm: who.Realm, Person: who.ID, Organization: who.Organization, Device: old.Device, Replaces: old.ID, Name: o.Device, Key: key.Public(),
		Requester: by.Person.ID, Approver: by.Person.ID, By: actor(by),
		Stored: func(tx certify.Tx, c pki.Certificate) (err error) {
			if old.ID != "" {
				if err := s.supersede(tx, by, old, who.Organization, o.Reason); err != nil {
					return err
				}
			}
			return certify.Within(tx, func(tx Tx) error {
				p, err = s.pack(tx, by, o, key, c, now)
				return err
			})
		},
	})
	if err == nil {
		s.count("sent")
	}
	return bare(p), err
}

// supersede ends the certificate that another one replaces, and what travels of it.
func (s *Service) supersede(tx certify.Tx, by login.By, old pki.Certificate, organization, why string) error {
	err := s.Issuer.RevokeIn(tx, certify.Changed{Realm: old.Realm, ID: old.ID, Reason: pki.Superseded, Words: why, Organization: organization, By: actor(by)})
	if err != nil {
		return err
	}
	return certify.Within(tx, func(tx Tx) error { return endParcel(tx, old) })
}

// endParcel ends what travels of a certificate, if anything does.
func endParcel(tx Tx, c pki.Certificate) error {
	p, err := tx.ParcelOf(c.Realm, c.ID)
	if fault.Of(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.EndParcel(p)
}

// bare is a parcel without what is sealed or leads to it.
func bare(p keyfile.Parcel) keyfile.Parcel {
	p.File, p.Password, p.Link, p.Proof = nil, nil, nil, nil
	return p
}

// pack makes the parcel of a certificate, and the mails and the event that go with it. Nothing but the parcel keeps the key.
func (s *Service) pack(tx Tx, by login.By, o Order, key crypto.Signer, made pki.Certificate, now time.Time) (p keyfile.Parcel, err error) {
	o.made = made.ID
	who, contact, err := s.parties(tx, by, o) // what was read before may have changed
	if err != nil {
		return p, err
	}
	password, link := secret.Said(), secret.Typed()
	leaf, issuer, err := certify.Chain(tx, made)
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
		Created: now, Until: now.Add(LinkLife), Language: cmp.Or(o.Language, who.Language), Proof: s.proof(password),
	}
	letter := s.letter(by, who, contact, p, link, now)
	if by.Realm.Certificates.Attach { // the letter takes it along; nothing is left to be fetched
		p.State, letter.Template = keyfile.Attached, "certificate-attached"
		letter.Args["file"], letter.Args["file_name"] = base64.StdEncoding.EncodeToString(file), keyfile.Name(p.Realm, p.Year, "p12")
	} else if p.File, err = s.Ring.Seal(p.Place("file"), file); err != nil {
		return p, err
	}
	if p.Password, err = s.Ring.Seal(p.Place("password"), []byte(password)); err != nil {
		return p, err
	}
	who.Contact = contact.ID
	if err := tx.UpdatePerson(who); err != nil { // also where nothing changes: H6
		return p, err
	}
	p.Letter = letter.ID
	if err := tx.AddParcel(p); err != nil {
		return p, err
	}
	if err := tx.Enqueue(letter); err != nil {
		return p, err
	}
	if err := tx.Enqueue(by.NoticeTo(contact, now, "certificate-contact", facts(who, contact, p))); err != nil {
		return p, err
	}
	return p, tx.Audit(by.EventAbout(who, now, "certificate.sent", o.Reason, history(p)))
}

func actor(by login.By) certify.Actor {
	return certify.Actor{ID: by.Person.ID, Name: by.Person.Name, Session: by.Session.ID, Network: by.Network, Browser: by.Agent}
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
	if err = s.room(tx, who, o); err != nil {
		return who, contact, err
	}
	id := o.Contact
	if id == "" {
		id = who.Contact
	}
	if id == "" {
		return who, contact, fault.New(fault.Invalid, "contact-missing").In("contact")
	}
	contact, err = tx.Person(who.Realm, id)
	if fault.Of(err, fault.NotFound) || err == nil && !CanSay(contact) {
		return who, contact, fault.New(fault.Invalid, "contact-missing").In("contact")
	}
	if contact.ID == who.ID {
		return who, contact, fault.New(fault.Invalid, "contact-self").In("contact")
	}
	return who, contact, err
}

// CanSay reports whether somebody can be the contact who says a password: staff who work with people.
func CanSay(p directory.Person) bool {
	return p.Role.Staff() && p.Role != directory.Auditor && p.State == directory.Active
}

// room fails with fault.Conflict "devices-many" where somebody has as many devices as anybody may have.
func (s *Service) room(tx Tx, who directory.Person, o Order) error {
	all, err := tx.CertificatesOf(who.Realm, who.ID, counted)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(all, func(c pki.Certificate) bool { return c.ID == o.Replaces || c.ID == o.made })
	if o.Replaces == "" && Devices(rest, s.Clock()) >= DevicesMost {
		return fault.New(fault.Conflict, "devices-many", "max", DevicesMost)
	}
	return nil
}

// Devices counts those with a certificate that lives or is on hold.
func Devices(all []pki.Certificate, now time.Time) int {
	devices := map[string]bool{}
	for _, c := range all {
		if state := c.Standing(now); state == pki.Issued || state == pki.Active || state == pki.Suspended {
			devices[c.Device] = true
		}
	}
	return len(devices)
}

func (s *Service) hash(link string) []byte { return s.Ring.Hash("parcel-link", link) }

// proof is what is kept of a password that was said: enough to know it again, of no use to open a file.
func (s *Service) proof(password string) []byte { return s.Ring.Hash("parcel-password", password) }

func (s *Service) count(what string) {
	if s.Count != nil {
		s.Count("parcel", "event", what)
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
	args["link"] = by.Realm.Origin + Path + link
	args["until"] = p.Until.UTC().Format(time.RFC3339)
	who.Language = p.Language
	return by.NoticeTo(who, now, "certificate-file", args)
}
