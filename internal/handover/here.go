package handover

import (
	"context"
	"crypto/hmac"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"doorward/internal/audit"
	"doorward/internal/certify"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
)

// Keys that the owner's browser makes (REQ A16b): the page sends a certificate request and makes the file itself; the key is
// never here.
//
//   - The link alone, which is in a mailbox, gets no certificate: the password that the contact said on the phone is asked for
//     before anything is signed, and the browser locks the file with it. It has 100 random bits, so a keyed hash is enough to
//     know it again; each time it is typed is counted before it is compared, and after triesMost wrong ones the parcel is
//     withdrawn and its certificate revoked.
//   - What was made for who has no script, key and certificate, ends in the commit that stores the new certificate: of a device
//     there is one that counts, and of the file and a key of the browser's one is given out.
//   - An answer that was lost on the way is given again to whoever has signed with the same key. Where the page never says that
//     it arrived, the certificate is revoked after arriveWithin, unless it was shown by then: nobody has it.

const (
	triesMost    = 5
	arriveWithin = time.Hour
	tidied       = 100 // parcels of one round
)

// Signed is what a browser makes its file of.
type Signed struct {
	Certificate []byte   // DER
	Issuers     [][]byte // DER, from the one that signed it upwards, without the root
	Name        string   // of the file
	Label       string   // what the file calls the key
}

// Certify issues a certificate for a key that the owner's browser has made, in the place of the one that waits behind the
// link. password is that of the file, request a certificate request as pki.ReadRequest takes it. Whoever asks again with the
// same key gets the same.
//
// Errors: those of Peek and of pki.ReadRequest; fault.NotFound "not-found" where the file is for a system that does not read
// what browsers make; fault.Rejected "file-password" (password) with how many tries are left; fault.Expired "parcel-ended" after
// the last; fault.Exists "key-certified"; fault.Conflict "stale" while another one is being made; what the issuer returns.
func (s *Service) Certify(ctx context.Context, c login.Caller, link, password string, request []byte) (out Signed, w Waiting, err error) {
	defer func() { w.Parcel = bare(w.Parcel) }()
	key, err := pki.ReadRequest(request)
	if err != nil {
		return out, w, err
	}
	hash, err := pki.KeyHash(key)
	if err != nil {
		return out, w, err
	}
	if out, w, err = s.signed(ctx, c.Realm, link, hash); err != nil || len(out.Certificate) > 0 {
		return out, w, err
	}
	if !w.Here {
		return out, w, fault.New(fault.NotFound, "not-found")
	}
	if err := s.knows(ctx, c, link, password); err != nil {
		return out, w, err
	}
	var old pki.Certificate
	if err := s.Store.Read(ctx, func(tx Tx) (err error) {
		old, err = tx.Certificate(w.Parcel.Realm, w.Parcel.Certificate)
		return err
	}); err != nil {
		return out, w, err
	}
	if err := s.clear(ctx, c, w, old); err != nil {
		return out, w, err
	}
	made, err := s.Issuer.Issue(ctx, certify.Order{
		Realm: old.Realm, Person: old.Person, Organization: w.Person.Organization, Device: old.Device, Replaces: old.ID, Name: old.Name, Key: key,
		Requester: old.Requester, Approver: old.Approver, By: owner(c, w),
		Stored: func(tx certify.Tx, made pki.Certificate) error {
			return certify.Within(tx, func(tx Tx) error { return s.sign(tx, c, link, made, old) })
		},
	})
	if err != nil {
		if made.ID != "" { // its row, if there is one, must not stand in the way of the next
			err = errors.Join(err, s.discard(context.WithoutCancel(ctx), c, w, made.ID))
		}
		if f := fault.As(err); f != nil && (f.Code == "certificate-succeeded" || f.Code == "certificate-other") { // another one was faster
			err = fault.New(fault.Conflict, "stale").Because(err)
		}
		return out, w, err
	}
	s.count("signed")
	out, w, err = s.signed(ctx, c.Realm, link, hash)
	return out, w, err
}

// signed is what the key was given before, the zero Signed for nothing. Otherwise it fails as Peek does.
func (s *Service) signed(ctx context.Context, realm, link, hash string) (out Signed, w Waiting, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		out = Signed{}
		var why error
		if w, why = s.waiting(tx, realm, link); w.Parcel.ID == "" || !w.Parcel.Taken() {
			return why
		}
		c, err := tx.Certificate(w.Parcel.Realm, w.Parcel.Certificate)
		if err != nil {
			return err
		}
		if c.Key != hash || !c.Live(s.Clock()) {
			return why
		}
		_, issuer, err := certify.Chain(tx, c)
		if err != nil {
			return err
		}
		out = Signed{Certificate: c.DER, Name: keyfile.Name(c.Realm, c.NotAfter.Year(), "p12"), Label: c.Name}
		for _, i := range keyfile.Chain([]*x509.Certificate{issuer}) {
			out.Issuers = append(out.Issuers, i.Raw)
		}
		return nil
	})
	return out, w, err
}

// knows fails unless the password is that of the parcel. The try is taken first, in the same commit: of many at once no more
// are compared than there are tries.
func (s *Service) knows(ctx context.Context, c login.Caller, link, password string) error {
	now := s.Clock()
	var refused error
	err := s.Store.Write(ctx, func(tx Tx) error {
		refused = nil
		w, err := s.waiting(tx, c.Realm, link)
		if err != nil {
			return err
		}
		n, err := tx.TryParcel(w.Parcel, triesMost, now)
		if err != nil {
			return err
		}
		if n == 0 { // the last was taken, or the file fetched, at this moment
			return fault.New(fault.Expired, "parcel-ended")
		}
		if hmac.Equal(s.proof(password), w.Parcel.Proof) {
			return tx.UntryParcel(w.Parcel)
		}
		refused = fault.New(fault.Rejected, "file-password", "left", triesMost-n).In("password")
		if err := tx.Audit(audit.Event{
			Realm: c.Realm, At: now, Type: "certificate.password-wrong", Actor: "anonymous", Person: w.Person.ID, Organization: w.Person.Organization,
			Network: c.Network, Browser: c.Agent, Data: history(w.Parcel),
		}); err != nil || n < triesMost {
			return err
		}
		refused = fault.New(fault.Expired, "parcel-ended")
		return s.withdraw(tx, c, w, now)
	})
	if err != nil {
		return err
	}
	if refused != nil {
		s.count("refused")
	}
	return refused
}

// withdraw ends a parcel, and the certificate that waits in it, because somebody guesses at its password.
func (s *Service) withdraw(tx Tx, c login.Caller, w Waiting, now time.Time) error {
	p, err := tx.Parcel(w.Parcel.Realm, w.Parcel.ID)
	if err != nil {
		return err
	}
	if err := tx.EndParcel(p); err != nil {
		return err
	}
	if err := s.revoke(tx, certify.Changed{
		Realm: p.Realm, ID: p.Certificate, Reason: pki.Unspecified, Words: "the password of its file was typed wrongly too often",
		Organization: w.Person.Organization, By: certify.System,
	}); err != nil {
		return err
	}
	letter, err := s.withdrawn(w, c, now)
	if err != nil {
		return err
	}
	return tx.Enqueue(letter)
}

// withdrawn is the letter to the owner of a certificate that ended before it was used.
func (s *Service) withdrawn(w Waiting, c login.Caller, now time.Time) (mail.Message, error) {
	realm, err := s.Realms.Realm(w.Parcel.Realm)
	if err != nil {
		return mail.Message{}, err
	}
	return login.Notice(realm.Realm, w.Person, w.Person, "certificate-withdrawn", now, c.Network, c.Agent, map[string]string{"certificate": w.Parcel.Device}), nil
}

// sign is the rest of the commit that stores the certificate: the one that waited ends, its file and key are erased.
func (s *Service) sign(tx Tx, c login.Caller, link string, made, old pki.Certificate) error {
	now := s.Clock()
	w, err := s.waiting(tx, c.Realm, link) // what was read before may have changed
	if err != nil {
		return err
	}
	p := w.Parcel
	if p.Certificate != old.ID {
		return fault.New(fault.Conflict, "stale")
	}
	if err := s.revoke(tx, certify.Changed{
		Realm: old.Realm, ID: old.ID, Reason: pki.Superseded, Organization: w.Person.Organization, By: owner(c, w),
	}); err != nil {
		return err
	}
	p.Certificate, p.Year, p.Until = made.ID, made.NotAfter.Year(), now.Add(arriveWithin)
	if err := tx.SignParcel(p, now); err != nil {
		return err
	}
	told := history(p)
	told["key"] = "browser"
	if err := tx.Audit(audit.Event{
		Realm: p.Realm, At: now, Type: "certificate.fetched", Actor: p.Person, Person: p.Person, Organization: w.Person.Organization,
		Network: c.Network, Browser: c.Agent, Data: told,
	}); err != nil {
		return err
	}
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return err
	}
	return tx.Enqueue(login.Notice(realm.Realm, w.Person, w.Person, "certificate-fetched", now, c.Network, c.Agent, map[string]string{"certificate": p.Device}))
}

// Arrived says that the owner's browser has made its file of what Certify gave it. request is the one that was signed. It
// changes nothing a second time. Errors: those of Peek, where nothing was signed for that key.
func (s *Service) Arrived(ctx context.Context, c login.Caller, link string, request []byte) error {
	key, err := pki.ReadRequest(request)
	if err != nil {
		return err
	}
	hash, err := pki.KeyHash(key)
	if err != nil {
		return err
	}
	out, w, err := s.signed(ctx, c.Realm, link, hash)
	if err != nil {
		return err
	}
	if len(out.Certificate) == 0 {
		return fault.New(fault.Conflict, "stale")
	}
	if w.Parcel.State == keyfile.Fetched {
		return nil
	}
	err = s.Store.Write(ctx, func(tx Tx) error { return tx.KeepParcel(w.Parcel) })
	if fault.Of(err, fault.Conflict) { // said twice at once, or ended at this moment
		_, _, err = s.signed(ctx, c.Realm, link, hash)
	}
	return err
}

// Tidy revokes the certificates of a realm that a browser asked for and never said it has.
func (s *Service) Tidy(ctx context.Context, realm string) error {
	var left []keyfile.Parcel
	err := s.Store.Read(ctx, func(tx Tx) (err error) {
		left, err = tx.SignedParcelsLeft(realm, s.Clock(), tidied)
		return err
	})
	errs := []error{err}
	for _, p := range left {
		errs = append(errs, s.lose(ctx, p))
	}
	return errors.Join(errs...)
}

// lose ends what never arrived, and tells the owner.
func (s *Service) lose(ctx context.Context, p keyfile.Parcel) error {
	w := Waiting{Parcel: p}
	err := s.Store.Read(ctx, func(tx Tx) (err error) {
		w.Person, err = named(tx, p.Realm, p.Person)
		return err
	})
	if err != nil {
		return err
	}
	err = s.Issuer.Revoke(ctx, certify.Changed{
		Realm: p.Realm, ID: p.Certificate, Reason: pki.Cessation, Organization: w.Person.Organization, By: certify.System,
		Stored: func(tx certify.Tx, _ pki.Certificate) error {
			return certify.Within(tx, func(tx Tx) error {
				if err := tx.EndParcel(p); err != nil || w.Person.ID == "" {
					return err
				}
				letter, err := s.withdrawn(w, login.Caller{}, s.Clock())
				if err != nil {
					return err
				}
				return tx.Enqueue(letter)
			})
		},
	})
	if fault.Of(err, fault.Conflict) { // it arrived at this moment
		return nil
	}
	if err == nil {
		s.count("lost")
	}
	return err
}

// clear revokes the row of an issuance for the same link that was cut short.
func (s *Service) clear(ctx context.Context, c login.Caller, w Waiting, old pki.Certificate) error {
	rows, err := s.Issuer.Orphans(ctx, old.Realm)
	for _, row := range rows {
		if row.Replaces == old.ID {
			err = errors.Join(err, s.discard(ctx, c, w, row.ID))
		}
	}
	return err
}

// discard revokes a row whose certificate nobody got. That there is none is no error.
func (s *Service) discard(ctx context.Context, c login.Caller, w Waiting, id string) error {
	err := s.Issuer.Revoke(ctx, certify.Changed{Realm: c.Realm, ID: id, Reason: pki.Cessation, Organization: w.Person.Organization, By: owner(c, w)})
	if fault.Of(err, fault.NotFound) {
		return nil
	}
	return err
}

// revoke ends a certificate in a transaction of this package, which is one of the issuer's as well.
func (s *Service) revoke(tx Tx, ch certify.Changed) error {
	own, ok := tx.(certify.Tx)
	if !ok {
		return fmt.Errorf("handover: a transaction of %T knows no certificates", tx)
	}
	return s.Issuer.RevokeIn(own, ch)
}

// owner is whoever holds the link and knows the password.
func owner(c login.Caller, w Waiting) certify.Actor {
	return certify.Actor{ID: w.Person.ID, Network: c.Network, Browser: c.Agent}
}
