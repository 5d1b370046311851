package certify

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"slices"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/pki"
)

// Order is what is to be issued.
type Order struct {
	Realm, Person string
	Device        string // id of the device; empty: a new one
	Name          string // the device's name
	Key           crypto.PublicKey
	Requester     string // who asked for it
	Approver      string // who decided, empty where the requester renews their own
	Replaces      string // id of the certificate it renews
	Pending       bool   // it counts nowhere until the flow that it is made for has seen it shown
	Organization  string // whose trail the event stands in
	By            Actor
	// Stored adds to the commit that stores the certificate. Where it fails, nobody gets the certificate, and its row is an
	// orphan.
	Stored func(Tx, pki.Certificate) error
}

// Issue issues a certificate in the order of docs/ISSUANCE.md and returns it.
//
// Errors: what pki.CheckKey says about the key; fault.Unavailable "authority-none" and "authority-key"; fault.Exists
// "key-certified" (the key had a certificate before, whoever's and whatever became of it) and "certificate-succeeded" (there
// is a successor already, or a first certificate of the device); fault.Conflict "certificate-other" where what is replaced is
// another person's or device's, or was revoked.
func (s *Service) Issue(ctx context.Context, o Order) (pki.Certificate, error) {
	if err := pki.CheckKey(o.Key); err != nil {
		return pki.Certificate{}, err
	}
	realm, err := s.Realm(o.Realm)
	if err != nil {
		return pki.Certificate{}, err
	}
	c, authority, err := s.row(ctx, o, realm)
	if err != nil {
		return c, err
	}
	issuer, err := authority.Certificate()
	if err != nil {
		return c, err
	}
	key, err := s.signer(authority) // before anything is durable: without it there would be an orphan for nothing
	if err != nil {
		return c, err
	}
	draft, err := pki.Device(c, o.Key, issuer, realm.Name, places(realm))
	if err != nil {
		return c, err
	}
	s.done("lint")

	c.TBS = draft.TBS()
	if err := s.Store.Write(ctx, func(tx Tx) error { return s.reserve(tx, c) }); err != nil {
		return c, err
	}
	s.done("row")

	if c.DER, err = draft.Sign(key); err != nil {
		return c, err
	}
	if s.stolen != nil {
		s.stolen(c.DER)
	}
	s.done("sign")

	if c.SHA256, c.State = pki.Hash(c.DER), pki.Issued; o.Pending {
		c.State = pki.Pending
	}
	err = s.Store.Write(ctx, func(tx Tx) error {
		if err := tx.UpdateCertificate(c); err != nil {
			return err // revoked meanwhile: it is thrown away
		}
		told := s.event(o.By, c.Realm, "certificate.issued", audit.Event{Person: c.Person, Organization: o.Organization, Data: facts(c)})
		if o.By.Name != "" {
			told.Data["by"] = o.By.Name
		}
		if err := tx.Audit(told); err != nil || o.Stored == nil {
			return err
		}
		stored := c
		stored.Version++
		return o.Stored(tx, stored)
	})
	if err != nil {
		return c, err
	}
	c.Version++
	s.done("store")
	s.count("issued")
	return c, nil
}

// row is the row of what is ordered, not stored yet, and who will sign.
func (s *Service) row(ctx context.Context, o Order, realm directory.Realm) (c pki.Certificate, a pki.Authority, err error) {
	now := s.Clock()
	c = pki.Certificate{
		Realm: o.Realm, Person: o.Person, Device: o.Device, Name: o.Name, Serial: pki.NewSerial(), State: pki.Reserved,
		Requester: o.Requester, Approver: o.Approver, Replaces: o.Replaces, Created: now, NotBefore: now.Add(-pki.Backdated).Truncate(time.Second),
	}
	if c.ID, err = newID(); err != nil {
		return c, a, err
	}
	if c.Device == "" {
		if c.Device, err = newID(); err != nil {
			return c, a, err
		}
	}
	if c.Key, err = pki.KeyHash(o.Key); err != nil {
		return c, a, err
	}
	err = s.Store.Read(ctx, func(tx Tx) (err error) { a, _, err = signing(tx, o.Realm, now); return err })
	if err != nil {
		return c, a, err
	}
	c.Authority, c.Issuer, c.Part = a.ID, a.SPKI, pki.PartOf(c.Serial, a.Parts)
	days := realm.Certificates.Days
	if days == 0 {
		days = directory.CertificateDays
	}
	c.NotAfter = now.AddDate(0, 0, days).Truncate(time.Second)
	if c.NotAfter.After(a.NotAfter) { // nothing holds longer than who has signed it
		c.NotAfter = a.NotAfter
	}
	return c, a, nil
}

// reserve makes the row durable. Of many at once for one key, or one certificate to renew, one gets through.
func (s *Service) reserve(tx Tx, c pki.Certificate) error {
	a, err := tx.Authority(c.Realm, c.Authority)
	if err != nil {
		return err
	}
	if a.State != pki.Signs {
		return fault.New(fault.Unavailable, "authority-none")
	}
	if c.Replaces != "" {
		old, err := tx.Certificate(c.Realm, c.Replaces)
		if err != nil {
			return err
		}
		if old.Person != c.Person || old.Device != c.Device || old.State == pki.Revoked || old.State == pki.Reserved {
			return fault.New(fault.Conflict, "certificate-other")
		}
	}
	err = tx.AddCertificate(c)
	if !fault.Of(err, fault.Exists) {
		return err
	}
	switch _, found := tx.CertificateByKey(c.Realm, c.Key); {
	case found == nil:
		return fault.New(fault.Exists, "key-certified").Because(err)
	case !fault.Of(found, fault.NotFound):
		return found
	}
	return fault.New(fault.Exists, "certificate-succeeded").Because(err)
}

// facts are what an event says about a certificate: nothing that anybody could use.
func facts(c pki.Certificate) map[string]string {
	return map[string]string{"name": c.Name, "certificate": c.ID, "serial": c.Serial, "until": c.NotAfter.UTC().Format(time.DateOnly)}
}

// Changed is one certificate that is suspended, resumed or revoked.
type Changed struct {
	Realm, ID, Reason string
	Words             string // why, in the words of whoever does it; may be empty
	Organization      string
	By                Actor
	Stored            func(Tx, pki.Certificate) error // adds to the commit
}

// Revoke revokes a certificate, or an orphan, for good. One that is revoked already stays as it is: no error, and no second
// event. An unknown reason is fault.Invalid "reason-unknown".
func (s *Service) Revoke(ctx context.Context, ch Changed) error {
	if !slices.Contains(pki.Reasons, ch.Reason) {
		return fault.New(fault.Invalid, "reason-unknown", "reason", ch.Reason)
	}
	return s.change(ctx, ch, s.event(ch.By, ch.Realm, "certificate.revoked", ch.told()), s.revoked(ch))
}

// RevokeIn is Revoke within a transaction of the caller's, for what has to be one commit with something else.
func (s *Service) RevokeIn(tx Tx, ch Changed) error {
	if !slices.Contains(pki.Reasons, ch.Reason) {
		return fault.New(fault.Invalid, "reason-unknown", "reason", ch.Reason)
	}
	_, err := s.changeIn(tx, ch, s.event(ch.By, ch.Realm, "certificate.revoked", ch.told()), s.revoked(ch))
	return err
}

func (s *Service) revoked(ch Changed) func(*pki.Certificate) (bool, error) {
	return func(c *pki.Certificate) (bool, error) {
		if c.State == pki.Revoked {
			return false, nil
		}
		c.State, c.Reason, c.Ended = pki.Revoked, ch.Reason, s.Clock()
		return true, nil
	}
}

// Suspend keeps a certificate from being accepted until Resume. What is not in use is fault.Conflict "certificate-other".
func (s *Service) Suspend(ctx context.Context, ch Changed) error {
	return s.change(ctx, ch, s.event(ch.By, ch.Realm, "certificate.suspended", ch.told()), func(c *pki.Certificate) (bool, error) {
		switch c.State {
		case pki.Suspended:
			return false, nil
		case pki.Issued, pki.Active:
			c.State, c.Reason, c.Ended = pki.Suspended, pki.Hold, s.Clock()
			return true, nil
		}
		return false, fault.New(fault.Conflict, "certificate-other")
	})
}

// Resume ends a suspension.
func (s *Service) Resume(ctx context.Context, ch Changed) error {
	return s.change(ctx, ch, s.event(ch.By, ch.Realm, "certificate.resumed", ch.told()), func(c *pki.Certificate) (bool, error) {
		if c.State != pki.Suspended {
			return false, fault.New(fault.Conflict, "certificate-other")
		}
		c.State, c.Reason, c.Ended = pki.Issued, "", time.Time{}
		if !c.FirstUsed.IsZero() {
			c.State = pki.Active
		}
		return true, nil
	})
}

// told is what the event says beside what was changed.
func (ch Changed) told() audit.Event {
	return audit.Event{Reason: cmp.Or(ch.Words, ch.Reason), Organization: ch.Organization}
}

var errStale = fault.New(fault.Conflict, "stale")

func (s *Service) change(ctx context.Context, ch Changed, told audit.Event, do func(*pki.Certificate) (bool, error)) error {
	changed := false
	write := func(tx Tx) (err error) {
		changed, err = s.changeIn(tx, ch, told, do)
		return err
	}
	err := s.Store.Write(ctx, write)
	for i := 0; i < 3 && errors.Is(err, errStale); i++ { // somebody changed it at the same moment: what is asked may hold still
		err = s.Store.Write(ctx, write)
	}
	if err == nil && changed {
		s.count(strings.TrimPrefix(told.Type, "certificate."))
	}
	return err
}

// changeIn changes a certificate in a transaction, with the event that says so and whatever the caller adds.
func (s *Service) changeIn(tx Tx, ch Changed, told audit.Event, do func(*pki.Certificate) (bool, error)) (bool, error) {
	c, err := tx.Certificate(ch.Realm, ch.ID)
	if err != nil {
		return false, err
	}
	if changed, err := do(&c); err != nil || !changed {
		return false, err
	}
	tx.Bump() // a suspension that is over has to be noticed, too
	if err := tx.UpdateCertificate(c); err != nil {
		return false, err
	}
	told.Person, told.Data = c.Person, facts(c)
	told.Data["why"] = ch.Reason
	if ch.By.Name != "" {
		told.Data["by"] = ch.By.Name
	}
	if err := tx.Audit(told); err != nil {
		return true, err
	}
	c.Version++
	if s.Ended != nil && (c.State == pki.Suspended || c.State == pki.Revoked) {
		if err := s.Ended(tx, c); err != nil {
			return true, err
		}
	}
	if ch.Stored == nil {
		return true, nil
	}
	return true, ch.Stored(tx, c)
}

// orphaned is after how long a row without a certificate is one that was cut short: an issuance takes milliseconds, and
// half a minute where a key is in a device that is slow.
const orphaned = 5 * time.Minute

// Orphans are the rows of a realm whose issuance was cut short.
func (s *Service) Orphans(ctx context.Context, realm string) ([]pki.Certificate, error) {
	var out []pki.Certificate
	err := s.Store.Read(ctx, func(tx Tx) error {
		out = nil
		all, err := tx.ReservedCertificates(realm, 0)
		for _, c := range all {
			if !s.Clock().Before(c.Created.Add(orphaned)) {
				out = append(out, c)
			}
		}
		return err
	})
	return out, err
}
