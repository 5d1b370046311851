package handover

import (
	"context"
	"crypto"
	"crypto/x509"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/secret"
)

// Waiting is a parcel as its owner sees it behind the link.
type Waiting struct {
	Parcel  keyfile.Parcel // without what is sealed
	Person  directory.Person
	Contact directory.Person
	Profile bool // it can be had as a signed configuration profile
	Here    bool // the browser can make the key itself, see Service.Certify
}

// File is what a device takes.
type File struct {
	Name  string
	Type  string // media type
	Bytes []byte
}

// Peek shows what a link leads to. It changes nothing.
//
// Errors: fault.NotFound "link-unknown"; fault.Expired "link-expired" when it is too late, and fault.Expired "parcel-fetched",
// "parcel-ended" when the file is gone; the parcel comes with the latter three.
func (s *Service) Peek(ctx context.Context, realm, link string) (w Waiting, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		w, err = s.waiting(tx, realm, link)
		w.Parcel = bare(w.Parcel)
		return err
	})
	return w, err
}

func (s *Service) waiting(tx Tx, realm, link string) (w Waiting, err error) {
	link, ok := secret.CanonicalTyped(link)
	if !ok {
		return w, fault.New(fault.NotFound, "link-unknown")
	}
	p, err := tx.ParcelByLink(realm, s.hash(link))
	if fault.Of(err, fault.NotFound) {
		return w, fault.New(fault.NotFound, "link-unknown")
	}
	if err != nil {
		return w, err
	}
	w.Parcel, w.Here = p, p.Target.Modern() && len(p.Proof) > 0
	if realm, err := s.Realms.Realm(p.Realm); err == nil && p.Target == keyfile.IOS {
		key, _ := s.signer(realm.Host)
		w.Profile = key != nil
	}
	if w.Person, err = tx.Person(p.Realm, p.Person); err != nil {
		return w, err
	}
	if w.Contact, err = tx.Person(p.Realm, p.Contact); err != nil && !fault.Of(err, fault.NotFound) {
		return w, err
	}
	c, err := tx.Certificate(p.Realm, p.Certificate)
	if err != nil && !fault.Of(err, fault.NotFound) {
		return w, err
	}
	switch {
	case p.Own() || p.State == keyfile.Attached: // no link leads there
		return Waiting{}, fault.New(fault.NotFound, "link-unknown")
	case p.Taken():
		return w, fault.New(fault.Expired, "parcel-fetched")
	case p.State == keyfile.Ended || w.Person.State.Shut() || !c.Live(s.Clock()): // revoked elsewhere
		return w, fault.New(fault.Expired, "parcel-ended")
	case !p.Open(s.Clock()):
		return w, fault.New(fault.Expired, "link-expired")
	}
	return w, nil
}

// Fetch gives out the file, once, and erases it. Errors are those of Peek; of many who fetch at once one gets the file.
func (s *Service) Fetch(ctx context.Context, c login.Caller, link string) (File, Waiting, error) {
	return s.fetch(ctx, c, link, func(p keyfile.Parcel, file []byte, _ directory.Realm) (File, error) {
		return File{Name: keyfile.Name(p.Realm, p.Year, "p12"), Type: keyfile.PKCS12Type, Bytes: file}, nil
	})
}

// FetchProfile gives out the file within a signed configuration profile, once, and erases it. Of about Title and About are
// taken: what the device shows. Errors: as Fetch; fault.Unavailable "profile-unsigned" where nothing can sign it, and then nothing
// is spent.
func (s *Service) FetchProfile(ctx context.Context, c login.Caller, link string, about keyfile.Profile) (File, Waiting, error) {
	return s.fetch(ctx, c, link, func(p keyfile.Parcel, file []byte, r directory.Realm) (File, error) {
		key, chain := s.signer(r.Host)
		if key == nil {
			return File{}, fault.New(fault.Unavailable, "profile-unsigned")
		}
		about.Realm, about.Device, about.Organization, about.File = p.Realm, p.ID, r.Operator, keyfile.Name(p.Realm, p.Year, "p12")
		profile, err := about.MobileConfig(file)
		if err != nil {
			return File{}, err
		}
		signed, err := keyfile.Sign(profile, key, chain[0], chain[1:])
		return File{Name: keyfile.Name(p.Realm, p.Year, "mobileconfig"), Type: keyfile.ProfileType, Bytes: signed}, err
	})
}

func (s *Service) signer(host string) (crypto.Signer, []*x509.Certificate) {
	if s.Signer == nil {
		return nil, nil
	}
	return s.Signer(host)
}

// fetch takes the file out of the database. pack makes of it what leaves; where it fails nothing is spent.
func (s *Service) fetch(ctx context.Context, c login.Caller, link string, pack func(keyfile.Parcel, []byte, directory.Realm) (File, error)) (f File, w Waiting, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx Tx) error {
		if w, err = s.waiting(tx, c.Realm, link); err != nil {
			return err
		}
		p := w.Parcel
		file, err := s.Ring.Open(p.Place("file"), p.File)
		if err != nil {
			return err
		}
		realm, err := s.Realms.Realm(c.Realm)
		if err != nil {
			return err
		}
		if f, err = pack(p, file, realm.Realm); err != nil {
			return err
		}
		if err := tx.FetchParcel(p, now); err != nil {
			if fault.Of(err, fault.Conflict) {
				return fault.New(fault.Expired, "parcel-fetched")
			}
			return err
		}
		if err := tx.Audit(audit.Event{
			Realm: p.Realm, At: now, Type: "certificate.fetched", Actor: p.Person, Person: p.Person, Organization: w.Person.Organization,
			Network: c.Network, Browser: c.Agent, Data: history(p),
		}); err != nil {
			return err
		}
		return tx.Enqueue(login.Notice(realm.Realm, w.Person, w.Person, "certificate-fetched", now, c.Network, c.Agent,
			map[string]string{"certificate": p.Device}))
	})
	w.Parcel = bare(w.Parcel)
	if err != nil {
		return File{}, w, err
	}
	s.count("fetched")
	return f, w, nil
}

// Say shows the password of a file to the contact, once, and erases it.
//
// Errors: fault.NotFound for who may not see the person; fault.Forbidden "contact-only" for anybody but the contact;
// fault.Expired "password-said", "parcel-ended".
func (s *Service) Say(ctx context.Context, by login.By, id string) (password secret.Text, p keyfile.Parcel, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx Tx) error {
		var who directory.Person
		if p, who, err = s.parcel(tx, by, directory.SeeHistory, id); err != nil {
			return err
		}
		switch {
		case by.Person.ID != p.Contact || by.Person.ID == p.Person:
			return fault.New(fault.Forbidden, "contact-only")
		case p.State == keyfile.Ended:
			return fault.New(fault.Expired, "parcel-ended")
		case len(p.Password) == 0:
			return fault.New(fault.Expired, "password-said")
		}
		plain, err := s.Ring.Open(p.Place("password"), p.Password)
		if err != nil {
			return err
		}
		if err := tx.SayParcel(p, now); err != nil {
			if fault.Of(err, fault.Conflict) {
				return fault.New(fault.Expired, "password-said")
			}
			return err
		}
		password = secret.Text(plain)
		return tx.Audit(by.EventAbout(who, now, "certificate.password-said", "", history(p)))
	})
	if err != nil {
		return "", bare(p), err
	}
	s.count("said")
	return password, bare(p), nil
}

// parcel loads a parcel and its person, and asks whether the actor may do the act to them.
func (s *Service) parcel(tx Tx, by login.By, act directory.Act, id string) (p keyfile.Parcel, who directory.Person, err error) {
	if p, err = tx.Parcel(by.Person.Realm, id); err == nil && p.Own() {
		err = fault.New(fault.NotFound, "not-found") // package renewal: nobody but its owner is shown anything of it
	}
	if err != nil {
		return p, who, err
	}
	if who, err = tx.Person(p.Realm, p.Person); err != nil {
		return p, who, err
	}
	return p, who, directory.May(by.Person, act, who)
}

// Resend mails a new link to the same file, and the old one dies. Errors: what directory.May returns; fault.Expired
// "parcel-fetched", "parcel-attached", "parcel-ended"; fault.Throttled "links-many" after five.
func (s *Service) Resend(ctx context.Context, by login.By, id string) (p keyfile.Parcel, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx Tx) error {
		var who, contact directory.Person
		if p, who, err = s.parcel(tx, by, directory.Certify, id); err != nil {
			return err
		}
		switch {
		case p.Taken():
			return fault.New(fault.Expired, "parcel-fetched")
		case p.State == keyfile.Attached:
			return fault.New(fault.Expired, "parcel-attached")
		case p.State != keyfile.Ready:
			return fault.New(fault.Expired, "parcel-ended")
		case p.Sent >= linksMost:
			return fault.New(fault.Throttled, "links-many", "max", linksMost)
		}
		if contact, err = tx.Person(p.Realm, p.Contact); err != nil {
			return err
		}
		link := secret.Typed()
		p.Link, p.Until = s.hash(link), now.Add(LinkLife)
		letter := s.letter(by, who, contact, p, link, now)
		p.Letter = letter.ID
		if err := tx.SendParcel(p); err != nil {
			return err
		}
		if err := tx.Enqueue(letter); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(who, now, "certificate.sent", "again", history(p)))
	})
	return bare(p), err
}

const linksMost = 5
