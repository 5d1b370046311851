package handover

import (
	"context"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
)

// Stand is how a certificate stands for those who look after its owner.
type Stand string

// The stands. Sent: its file waits to be fetched. Late: nobody fetched it in time. Left: it went with the letter. Fetched: its
// owner has it and has not shown it yet. InUse, OnHold, Over and Gone say what became of it.
const (
	Sent    Stand = "sent"
	Late    Stand = "late"
	Left    Stand = "left"
	Fetched Stand = "fetched"
	InUse   Stand = "in-use"
	OnHold  Stand = "on-hold"
	Over    Stand = "over"
	Gone    Stand = "gone"
)

// StandOf is how a certificate and its parcel stand at a moment; p is the zero Parcel for one that did not travel.
func StandOf(c pki.Certificate, p keyfile.Parcel, now time.Time) Stand {
	switch c.Standing(now) {
	case pki.Revoked, pki.Reserved, pki.Pending:
		return Gone
	case pki.Expired:
		return Over
	case pki.Suspended:
		return OnHold
	case pki.Active:
		return InUse
	}
	switch {
	case p.ID == "" || p.Taken():
		return Fetched
	case p.State == keyfile.Attached:
		return Left
	case p.Open(now):
		return Sent
	}
	return Late
}

// Held is a certificate of somebody as those see it who look after them, and what they may do with it.
type Held struct {
	Certificate pki.Certificate // without the certificate itself
	Parcel      keyfile.Parcel  // how it travels or travelled, without what is sealed; its ID is empty where it did not
	Stand       Stand
	Issuer      string       // name of who issued it; empty: its owner renewed it
	Contact     string       // name of who says the password
	Letter      mail.Message // the newest with the link; its ID is empty where there is none any more

	MaySay, MayResend, MayRevoke, MayHold, MayResume, MayReplace bool
}

// Desk is what somebody has, newest first.
type Desk struct {
	Person   directory.Person
	Contact  directory.Person // zero for none
	Held     []Held
	Signs    bool // the realm has an authority that signs
	MayIssue bool
}

// Look shows the certificates of somebody. Those that ran out a year ago and more are left out. Errors: what directory.May
// returns for SeeHistory.
func (s *Service) Look(ctx context.Context, by login.By, person string) (d Desk, err error) {
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx Tx) error {
		d = Desk{}
		if d.Person, err = tx.Person(by.Person.Realm, person); err != nil {
			return err
		}
		if err := directory.May(by.Person, directory.SeeHistory, d.Person); err != nil {
			return err
		}
		if d.Contact, err = named(tx, d.Person.Realm, d.Person.Contact); err != nil {
			return err
		}
		all, err := tx.CertificatesOf(d.Person.Realm, person, listed)
		if err != nil {
			return err
		}
		if len(all) == 0 && directory.May(by.Person, directory.Certify, d.Person) != nil {
			return nil
		}
		authorities, err := tx.Authorities(d.Person.Realm)
		if err != nil {
			return err
		}
		for _, a := range authorities {
			d.Signs = d.Signs || a.Class == pki.Issuing && a.State == pki.Signs && a.Trusted(now)
		}
		d.MayIssue = d.Signs && !d.Person.State.Shut() && directory.May(by.Person, directory.Certify, d.Person) == nil
		for _, c := range all {
			if c.State == pki.Reserved || c.State == pki.Pending || now.After(c.NotAfter.AddDate(1, 0, 0)) {
				continue
			}
			h, err := s.held(tx, by, d, c, now)
			if err != nil {
				return err
			}
			d.Held = append(d.Held, h)
		}
		return nil
	})
	return d, err
}

// Find is the certificate of that id among what Look has found; fault.NotFound for none.
func (d Desk) Find(id string) (Held, error) {
	for _, h := range d.Held {
		if h.Certificate.ID == id {
			return h, nil
		}
	}
	return Held{}, fault.New(fault.NotFound, "not-found")
}

// Veil leaves out what a caller could be asked for (see directory.Veils): what devices are called, and where letters went.
func (d *Desk) Veil() {
	d.Person = d.Person.Veiled()
	for i := range d.Held {
		d.Held[i].Certificate.Name, d.Held[i].Parcel.Device, d.Held[i].Letter.To, d.Held[i].Letter.LastError = "", "", "", ""
	}
}

func (s *Service) held(tx Tx, by login.By, d Desk, c pki.Certificate, now time.Time) (h Held, err error) {
	c.DER = nil
	h.Certificate = c
	if h.Parcel, err = tx.ParcelOf(c.Realm, c.ID); err != nil && !fault.Of(err, fault.NotFound) {
		return h, err
	}
	if h.Parcel.Own() {
		h.Parcel = keyfile.Parcel{} // its owner renewed it: how that went is theirs to see
	}
	p := h.Parcel
	h.Parcel, h.Stand = bare(p), StandOf(c, p, now)
	for _, n := range []struct {
		id string
		to *string
	}{{c.Approver, &h.Issuer}, {p.Contact, &h.Contact}} {
		one, err := named(tx, c.Realm, n.id)
		if err != nil {
			return h, err
		}
		*n.to = one.Name
	}
	if p.Letter != "" {
		if h.Letter, err = tx.Mail(c.Realm, p.Letter); err != nil && !fault.Of(err, fault.NotFound) {
			return h, err
		}
		h.Letter.Args = nil
	}
	state := c.Standing(now)
	lives := state == pki.Issued || state == pki.Active || state == pki.Suspended
	certifies, ends := directory.May(by.Person, directory.Certify, d.Person) == nil, directory.May(by.Person, directory.ResetFactor, d.Person) == nil
	h.MaySay = lives && p.ID != "" && p.Contact == by.Person.ID && len(p.Password) > 0
	h.MayResend = lives && certifies && p.ID != "" && p.State == keyfile.Ready && p.Sent < linksMost && !d.Person.State.Shut()
	h.MayRevoke = lives && ends
	h.MayHold = lives && ends && state != pki.Suspended
	h.MayResume = certifies && state == pki.Suspended
	h.MayReplace = lives && d.MayIssue
	return h, nil
}

// named is a person whose name is wanted; the zero Person for an empty id, or for somebody who is there no more.
func named(tx Tx, realm, id string) (p directory.Person, err error) {
	if id == "" {
		return p, nil
	}
	if p, err = tx.Person(realm, id); fault.Of(err, fault.NotFound) {
		return directory.Person{}, nil
	}
	return p, err
}
