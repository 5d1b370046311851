// Package renewal is what people do with the certificates of their own devices: look at them, renew one before it runs out,
// suspend one, end one, and be reminded in time.
//
// Rules:
//   - Who renews is completely signed in since five minutes at most, by the very certificate that is renewed (SECURITY S3): only
//     then file and password may meet on one page. Nobody of the desk sees either, and there is a new key every time.
//   - A certificate has one successor, a device at most two that live. The database says so, whoever asks at once.
//   - The old one ends a day after the new one was first shown, and before that only when its owner says so (A50, A55). It is
//     certhost.Desk that notes the first use, because every sign-in is one.
//   - File and password are there once, for an hour. Nobody has the key of what was not fetched by then: it is revoked, and
//     so nothing is left of a renewal that was given up.
//   - Who has none that lives gets one in a sign-in that shows what remains and was confirmed by a call (REQ A54): the file is
//     made, given out and shown in that one flow. Until it was shown there it is pending, which counts nowhere; a flow that
//     ends before leaves nothing.
//   - To suspend needs no fresh login, since whoever has lost something must be quick; everything that is for good does.
package renewal

import (
	"context"
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/secret"
)

// FileLife is how long a file waits for its owner.
const FileLife = time.Hour

// listed bounds how many certificates of a person are looked at, newest first.
const listed = 200

// Tx is what renewing needs of one transaction.
type Tx interface {
	Authority(realm, id string) (pki.Authority, error)
	Certificate(realm, id string) (pki.Certificate, error)
	CertificatesOf(realm, person string, limit int) ([]pki.Certificate, error)
	UpdateCertificate(pki.Certificate) error
	CertificatesDue(realm string, after, until time.Time, days, limit int) ([]pki.Certificate, error)
	NoteCertificate(certificate string, days int, at time.Time) (fresh bool, err error)
	Person(realm, id string) (directory.Person, error)
	Flow(realm, id string) (authn.Flow, error)
	AddParcel(keyfile.Parcel) error
	ParcelOf(realm, certificate string) (keyfile.Parcel, error)
	ParcelsOf(realm, person string, limit int) ([]keyfile.Parcel, error)
	OwnParcelsLeft(realm string, now time.Time, limit int) ([]keyfile.Parcel, error)
	FetchParcel(p keyfile.Parcel, at time.Time) error
	SayParcel(p keyfile.Parcel, at time.Time) error
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
	Flows  Flows // needed where people may get a certificate anew
	Ring   *secret.Ring
	Clock  func() time.Time
	Count  func(metric string, labels ...string) // nil for none
}

// Certificate is one of a person's, as they see it.
type Certificate struct {
	pki.Certificate
	Standing  pki.State
	Here      bool           // this session was opened with it
	Due       bool           // it can be renewed now, and was not
	Successor string         // id of the one that renews it, empty for none
	Parcel    keyfile.Parcel // of one that its owner made: without what is sealed; zero for others
}

// Over reports whether it will never be accepted again.
func (c Certificate) Over() bool { return c.Standing == pki.Expired || c.Standing == pki.Revoked }

// Device is one of a person's, with its certificates, newest first.
type Device struct {
	ID   string
	Name string
	All  []Certificate
}

// Over reports whether nothing of the device will ever be accepted again.
func (d Device) Over() bool {
	return !slices.ContainsFunc(d.All, func(c Certificate) bool { return !c.Over() })
}

// Devices are the actor's own, those used most lately first.
func (s *Service) Devices(ctx context.Context, by login.By) (all []Device, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		all, err = s.devices(tx, by)
		return err
	})
	return all, err
}

func (s *Service) devices(tx Tx, by login.By) (all []Device, err error) {
	certificates, err := tx.CertificatesOf(by.Person.Realm, by.Person.ID, listed)
	if err != nil {
		return nil, err
	}
	parcels, err := tx.ParcelsOf(by.Person.Realm, by.Person.ID, listed)
	if err != nil {
		return nil, err
	}
	now := s.Clock()
	for _, c := range certificates {
		if c.State == pki.Reserved || c.State == pki.Pending { // never finished: nobody has it
			continue
		}
		one := Certificate{Certificate: c, Standing: c.Standing(now), Here: here(by, c.ID), Successor: successor(certificates, c.ID)}
		one.Due = one.Successor == "" && c.Live(now) && !now.Before(Opens(by.Realm.Realm, c))
		for _, p := range parcels {
			if p.Own() && p.Certificate == c.ID {
				p.File, p.Password, p.Link = nil, nil, nil
				one.Parcel = p
			}
		}
		i := slices.IndexFunc(all, func(d Device) bool { return d.ID == c.Device })
		if i < 0 {
			all, i = append(all, Device{ID: c.Device, Name: c.Name}), len(all)
		}
		all[i].All = append(all[i].All, one)
	}
	slices.SortStableFunc(all, func(a, b Device) int { return lately(b).Compare(lately(a)) })
	return all, nil
}

func lately(d Device) (at time.Time) {
	for _, c := range d.All {
		if c.LastUsed.After(at) {
			at = c.LastUsed
		}
	}
	return at
}

// successor is the one that renews a certificate and was not revoked.
func successor(all []pki.Certificate, id string) string {
	for _, c := range all {
		if c.Replaces == id && c.State != pki.Revoked && c.State != pki.Reserved {
			return c.ID
		}
	}
	return ""
}

// here reports whether the actor's session was opened with the certificate.
func here(by login.By, id string) bool {
	return by.Session.Proved(id)
}

// Opens is when a certificate can be renewed from.
func Opens(r directory.Realm, c pki.Certificate) time.Time {
	return c.NotAfter.AddDate(0, 0, -r.Certificates.Window())
}

// Due are those of the actor that have to be renewed: the next to end first.
func (s *Service) Due(ctx context.Context, by login.By) (due []Certificate, err error) {
	all, err := s.Devices(ctx, by)
	for _, d := range all {
		for _, c := range d.All {
			if c.Due {
				due = append(due, c)
			}
		}
	}
	slices.SortFunc(due, func(a, b Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	return due, err
}

// Renewal is where the renewal of a certificate stands.
type Renewal struct {
	Old Certificate
	New Certificate // zero until it was made
}

// Made, Said, Fetched, Shown and Done report how far it came.
func (r Renewal) Made() bool    { return r.New.ID != "" }
func (r Renewal) Said() bool    { return !r.New.Parcel.Said.IsZero() }
func (r Renewal) Fetched() bool { return r.New.Parcel.State == keyfile.Fetched }
func (r Renewal) Shown() bool   { return !r.New.FirstUsed.IsZero() }
func (r Renewal) Done() bool    { return r.Shown() && r.Old.Over() }

// Lost reports whether file or password can no longer be had: then a new one has to be made.
func (r Renewal) Lost(now time.Time) bool {
	return r.Made() && !r.Shown() && !r.Fetched() && !r.New.Parcel.Open(now)
}

// Of is the renewal of one of the actor's certificates. It fails with fault.NotFound.
func (s *Service) Of(ctx context.Context, by login.By, id string) (r Renewal, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		r, err = s.of(tx, by, id)
		return err
	})
	return r, err
}

func (s *Service) of(tx Tx, by login.By, id string) (r Renewal, err error) {
	all, err := s.devices(tx, by)
	if err != nil {
		return r, err
	}
	for _, d := range all {
		i := slices.IndexFunc(d.All, func(c Certificate) bool { return c.ID == id })
		if i < 0 {
			continue
		}
		r.Old = d.All[i]
		if j := slices.IndexFunc(d.All, func(c Certificate) bool { return c.ID == r.Old.Successor }); j >= 0 {
			r.New = d.All[j]
		}
		return r, nil
	}
	return r, fault.New(fault.NotFound, "not-found")
}

func (s *Service) count(what string) {
	if s.Count != nil {
		s.Count("certificate_renewal", "what", what)
	}
}

func actor(by login.By) certify.Actor {
	return certify.Actor{ID: by.Person.ID, Session: by.Session.ID, Network: by.Network, Browser: by.Agent}
}
