package enrolment

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/limit"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/renewal"
)

// Ask is what a device sends.
type Ask struct {
	Request []byte // as sent
	// Channel are the values by which a request may be tied to its connection (RFC 7030 3.5); nil where this program does not
	// see the connection, and then one that is tied is refused.
	Channel []string
}

const (
	cut   = 5 * time.Minute // after that a row without a certificate is one whose issuance was cut short, see certify.Orphans
	wait  = 5 * time.Second // until a device asks again whose certificate is being made
	wrong = 20              // how many refusals one network gets in a quarter of an hour
)

// errBusy is fault.Unavailable: this device's certificate is being made at this moment.
var errBusy = fault.New(fault.Unavailable, "enrolment-busy").After(wait)

// Enrol issues the first certificate of a device to whoever has its secret and signs a request with a new key (RFC 7030 4.2.1).
//
// Errors: fault.Rejected "enrolment-unknown"; fault.Expired "enrolment-used", "enrolment-late", "enrolment-ended";
// fault.Throttled "too-many-attempts"; fault.Invalid as pki.ReadEST says, and "csr-channel" where the request is tied to
// another connection; fault.Unavailable "enrolment-busy" with when to ask again; fault.Conflict "devices-many" and "stale";
// what the issuer returns.
func (s *Service) Enrol(ctx context.Context, c login.Caller, word string, ask Ask) (made pki.Certificate, err error) {
	now := s.Clock()
	var e pki.Enrolment
	err = s.Store.Read(ctx, func(tx Tx) error {
		e, err = s.known(tx, c.Realm, word)
		return err
	})
	if err != nil {
		return made, s.refused(ctx, c, e, pki.Certificate{}, err)
	}
	request, hash, err := read(ask)
	if err != nil {
		return made, s.refused(ctx, c, e, pki.Certificate{}, err)
	}
	if !e.Open(now) {
		if made, err = s.again(ctx, e.Realm, hash, func(was pki.Certificate) bool { return was.ID == e.Certificate }); err != nil || made.ID != "" {
			return made, err
		}
		return made, s.refused(ctx, c, e, pki.Certificate{}, dead(e, now))
	}
	var who directory.Person
	err = s.Store.Read(ctx, func(tx Tx) error {
		who, err = alive(tx, e.Realm, e.Person)
		return err
	})
	if err != nil {
		return made, s.refused(ctx, c, e, pki.Certificate{}, err)
	}
	made, err = s.issue(ctx, hash, certify.Order{
		Realm: e.Realm, Person: e.Person, Organization: who.Organization, Device: e.Device, Name: e.Name, Key: request.Key,
		Requester: e.Sender, Approver: e.Sender, By: certify.Actor{ID: "anonymous", Network: c.Network, Browser: c.Agent},
		Stored: func(tx certify.Tx, made pki.Certificate) error {
			return certify.Within(tx, func(tx Tx) error { return s.enrolled(tx, c, e, made, now) })
		},
	})
	if err != nil {
		return made, s.refused(ctx, c, e, pki.Certificate{}, err)
	}
	s.count("enrolled")
	return made, nil
}

// known finds the enrolment of a secret.
func (s *Service) known(tx Tx, realm, word string) (e pki.Enrolment, err error) {
	if e, err = tx.EnrolmentBySecret(realm, s.hash(word)); fault.Of(err, fault.NotFound) {
		return e, fault.New(fault.Rejected, "enrolment-unknown")
	}
	return e, err
}

// alive is the owner of a device, who may have left since. Then the secret is worth nothing.
func alive(tx Tx, realm, id string) (who directory.Person, err error) {
	who, err = tx.Person(realm, id)
	if fault.Of(err, fault.NotFound) || err == nil && who.State.Shut() {
		return who, fault.New(fault.Expired, "enrolment-ended")
	}
	return who, err
}

// read reads a request, and the hash of its key.
func read(ask Ask) (r pki.Request, hash string, err error) {
	if r, err = pki.ReadEST(ask.Request); err != nil {
		return r, "", err
	}
	if r.Bound && !slices.Contains(ask.Channel, r.Challenge) { // somebody else's request, sent on (RFC 7030 3.5)
		return r, "", fault.New(fault.Invalid, "csr-channel")
	}
	hash, err = pki.KeyHash(r.Key)
	return r, hash, err
}

// again is what the key got before, where it is that. It is the zero Certificate for a key that got nothing of the kind, and
// fails with errBusy while it is being made.
func (s *Service) again(ctx context.Context, realm, hash string, same func(pki.Certificate) bool) (was pki.Certificate, err error) {
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx Tx) error {
		was, err = tx.CertificateByKey(realm, hash)
		return err
	})
	switch {
	case fault.Of(err, fault.NotFound):
		return pki.Certificate{}, nil
	case err != nil || !same(was):
		return pki.Certificate{}, err
	case was.State == pki.Reserved && now.Before(was.Created.Add(cut)):
		return pki.Certificate{}, errBusy
	case !was.Live(now):
		return pki.Certificate{}, nil
	}
	s.count("again")
	return was, nil
}

// issue issues in the order of docs/ISSUANCE.md. Rows that were cut short, of this order or of one before, do not stand in its
// way.
func (s *Service) issue(ctx context.Context, hash string, o certify.Order) (made pki.Certificate, err error) {
	same := func(was pki.Certificate) bool {
		return was.Person == o.Person && was.Device == o.Device && was.Replaces == o.Replaces
	}
	if made, err = s.again(ctx, o.Realm, hash, same); err != nil || made.ID != "" {
		return made, err
	}
	var left []string
	err = s.Store.Read(ctx, func(tx Tx) error {
		left = nil
		all, err := tx.CertificatesOf(o.Realm, o.Person, counted)
		for _, c := range all {
			if same(c) && c.State == pki.Reserved && !s.Clock().Before(c.Created.Add(cut)) {
				left = append(left, c.ID)
			}
		}
		return err
	})
	if err != nil {
		return made, err
	}
	for _, id := range left {
		if err := s.discard(ctx, o, id); err != nil {
			return made, err
		}
	}
	made, err = s.Issuer.Issue(ctx, o)
	if err == nil {
		return made, nil
	}
	switch f := fault.As(err); {
	case f == nil:
	case f.Code == "certificate-succeeded": // another one has the row at this moment
		return pki.Certificate{}, errBusy
	case f.Code == "key-certified": // perhaps this very request, sent twice at this moment
		if was, err := s.again(ctx, o.Realm, hash, same); err != nil || was.ID != "" {
			return was, err
		}
	}
	if made.ID != "" { // its row, if there is one, must not stand in the way of the next
		err = errors.Join(err, s.discard(context.WithoutCancel(ctx), o, made.ID))
	}
	return pki.Certificate{}, err
}

// discard revokes a row whose certificate nobody got. That there is none is no error.
func (s *Service) discard(ctx context.Context, o certify.Order, id string) error {
	err := s.Issuer.Revoke(ctx, certify.Changed{Realm: o.Realm, ID: id, Reason: pki.Cessation, Organization: o.Organization, By: o.By})
	if fault.Of(err, fault.NotFound) {
		return nil
	}
	return err
}

// enrolled spends the secret in the commit that stores the certificate, and tells the owner and whoever looks after them.
func (s *Service) enrolled(tx Tx, c login.Caller, e pki.Enrolment, made pki.Certificate, now time.Time) error {
	who, err := alive(tx, e.Realm, e.Person)
	if err != nil {
		return err
	}
	if who, err = held(tx, who); err != nil {
		return err
	}
	if err := room(tx, who, now, made); err != nil {
		return err
	}
	if err := tx.SpendEnrolment(e, made.ID, now); fault.Of(err, fault.Conflict) {
		return gone(tx, e, now)
	} else if err != nil {
		return err
	}
	sender, err := tx.Person(e.Realm, e.Sender)
	if err != nil && !fault.Of(err, fault.NotFound) {
		return err
	}
	if err := tx.Audit(s.event(c, who, now, "certificate.enrolled", "anonymous", map[string]string{
		"name": made.Name, "certificate": made.ID, "enrolment": e.ID, "sender": e.Sender,
	})); err != nil {
		return err
	}
	return s.tell(tx, c, who, sender, now, "certificate-enrolled", made)
}

func (s *Service) event(c login.Caller, who directory.Person, now time.Time, kind, actor string, data map[string]string) audit.Event {
	return audit.Event{
		Realm: c.Realm, At: now, Type: kind, Actor: actor, Person: who.ID, Organization: who.Organization, Network: c.Network, Browser: c.Agent, Data: data,
	}
}

// tell writes to the owner, and with the template's sister for the console to their contact who is at work.
func (s *Service) tell(tx Tx, c login.Caller, who, by directory.Person, now time.Time, template string, made pki.Certificate) error {
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return err
	}
	args := map[string]string{
		"name": who.Name, "address": who.Address, "certificate": made.Name, "until": made.NotAfter.UTC().Format(time.RFC3339),
	}
	letter := func(to directory.Person, template string) mail.Message {
		return login.Notice(realm.Realm, to, by, template, now, c.Network, c.Agent, args)
	}
	if err := tx.Enqueue(letter(who, template)); err != nil || who.Contact == "" {
		return err
	}
	contact, err := tx.Person(c.Realm, who.Contact)
	if fault.Of(err, fault.NotFound) || err == nil && (!contact.Role.Staff() || contact.State.Shut()) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.Enqueue(letter(contact, template+"-console"))
}

// Reenrol issues the next certificate of a managed device to whoever shows the one it has on the same connection and signs a
// request with a new key (RFC 7030 4.2.2). leaf is nil where none was shown.
//
// Errors: fault.Rejected "enrolment-certificate" where none was, and with a code of devicecert; fault.Forbidden "certificate-unmanaged" for a
// device that was not enrolled so, "renewal-early" before its time; fault.Exists "certificate-succeeded" where another key
// has renewed it; the others of Enrol.
func (s *Service) Reenrol(ctx context.Context, c login.Caller, leaf *x509.Certificate, ask Ask) (made pki.Certificate, err error) {
	now := s.Clock()
	var old pki.Certificate
	var who directory.Person
	var e pki.Enrolment
	err = s.Store.Read(ctx, func(tx Tx) error {
		if leaf == nil {
			return fault.New(fault.Rejected, "enrolment-certificate")
		}
		if old, err = s.Desk.Judge(ctx, tx, c.Realm, leaf.Raw); err != nil {
			return err
		}
		if who, err = alive(tx, c.Realm, old.Person); err != nil {
			return err
		}
		e, err = tx.EnrolmentOf(c.Realm, old.Device)
		if fault.Of(err, fault.NotFound) || err == nil && (e.State != pki.EnrolmentUsed || e.Person != old.Person) {
			return fault.New(fault.Forbidden, "certificate-unmanaged")
		}
		return err
	})
	if err != nil {
		return made, s.refused(ctx, c, e, old, err)
	}
	request, hash, err := read(ask)
	if err != nil {
		return made, s.refused(ctx, c, e, old, err)
	}
	made, err = s.again(ctx, c.Realm, hash, func(was pki.Certificate) bool { return was.Replaces == old.ID })
	if err != nil || made.ID != "" {
		return made, err
	}
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return made, err
	}
	if from := renewal.Opens(realm.Realm, old); now.Before(from) {
		return made, s.refused(ctx, c, e, old, fault.New(fault.Forbidden, "renewal-early", "day", from.UTC().Format(time.DateOnly)))
	}
	if err := s.first(ctx, old); err != nil {
		return made, s.refused(ctx, c, e, old, err)
	}
	made, err = s.issue(ctx, hash, certify.Order{
		Realm: c.Realm, Person: old.Person, Organization: who.Organization, Device: old.Device, Name: old.Name, Key: request.Key,
		Requester: old.Person, Replaces: old.ID, By: certify.Actor{ID: old.Person, Network: c.Network, Browser: c.Agent},
		Stored: func(tx certify.Tx, made pki.Certificate) error {
			return certify.Within(tx, func(tx Tx) error { return s.reenrolled(tx, c, made, now) })
		},
	})
	if err != nil {
		return made, s.refused(ctx, c, e, old, err)
	}
	s.count("reenrolled")
	return made, nil
}

// first fails with fault.Exists "certificate-succeeded" where another certificate renews it already.
func (s *Service) first(ctx context.Context, old pki.Certificate) error {
	return s.Store.Read(ctx, func(tx Tx) error {
		all, err := tx.CertificatesOf(old.Realm, old.Person, counted)
		if err == nil && slices.ContainsFunc(all, func(c pki.Certificate) bool {
			return c.Replaces == old.ID && c.State != pki.Revoked && c.State != pki.Reserved
		}) {
			err = fault.New(fault.Exists, "certificate-succeeded")
		}
		return err
	})
}

// reenrolled is the rest of the commit that stores the next certificate of a device.
func (s *Service) reenrolled(tx Tx, c login.Caller, made pki.Certificate, now time.Time) error {
	who, err := alive(tx, made.Realm, made.Person)
	if err != nil {
		return err
	}
	if err := tx.HoldPerson(who); err != nil {
		return err
	}
	old, err := renewal.Succeed(tx, made, now)
	if err != nil {
		return err
	}
	if err := tx.Audit(s.event(c, who, now, "certificate.renewed", who.ID, map[string]string{
		"name": made.Name, "certificate": made.ID, "old": old.ID, "target": "est", "until": made.NotAfter.UTC().Format(time.DateOnly),
	})); err != nil {
		return err
	}
	return s.tell(tx, c, who, who, now, "certificate-renewed", made)
}

// refused notes that a device was refused, and returns why, or that its network was refused too often. What is known of whom
// it is about stands in the trail; strangers cannot fill it.
func (s *Service) refused(ctx context.Context, c login.Caller, e pki.Enrolment, on pki.Certificate, why error) error {
	f := fault.As(why)
	if f == nil || f.Kind == fault.Unavailable || f.Kind == fault.Conflict {
		return why // ours, or a matter of the moment
	}
	now := s.Clock()
	about := audit.Event{Realm: c.Realm, At: now, Type: "enrolment.refused", Actor: "anonymous", Network: c.Network, Browser: c.Agent, Data: map[string]string{"code": f.Code}}
	if about.Person, about.Data["name"] = on.Person, on.Name; about.Person == "" {
		about.Person, about.Data["name"], about.Data["enrolment"] = e.Person, e.Name, e.ID
	}
	err := s.Store.Write(ctx, func(tx Tx) error {
		if err := (limit.Budget{Key: "enrolment:" + c.Network, Limit: wrong, Window: 15 * time.Minute, Code: "too-many-attempts"}).Take(tx, now); err != nil {
			return err
		}
		if about.Person == "" {
			return nil
		}
		who, err := tx.Person(c.Realm, about.Person)
		if fault.Of(err, fault.NotFound) {
			return nil
		}
		about.Organization = who.Organization
		return errors.Join(err, tx.Audit(about))
	})
	s.count("refused")
	if empty := limit.Of(err); empty != nil {
		about.Type, about.Data = "", nil
		if err := s.Store.Write(ctx, func(tx Tx) error { return empty.Note(tx, about) }); err != nil {
			return err
		}
		return empty.Refusal
	}
	if err != nil {
		return err
	}
	return why
}
