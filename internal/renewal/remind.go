package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/keyfile"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/session"
)

// What runs by itself: reminders, and the end of what was given up. Which reminder was sent is a row with a unique key, in the
// commit that enqueues the mails, so that many nodes at once write each one once.

// reminders are on how many days before the end somebody is written to, ascending (REQ A53). Those from before the renewal
// window opens are left out: there would be nothing to do.
var reminders = []int{1, 7, 14, 30, 60}

// page bounds the certificates of one commit.
const page = 100

// Remind writes to owners and their contacts about certificates that end soon: each at most once for each of the days, and
// only the last that is due, so that who was away is not written to five times at once. It is run every few minutes.
func (s *Service) Remind(ctx context.Context, r directory.Realm) error {
	now := s.Clock()
	after := now
	for _, days := range reminders {
		if days > r.Certificates.Window() {
			return nil
		}
		until := now.AddDate(0, 0, days)
		for more := true; more; {
			err := s.Store.Write(ctx, func(tx Tx) error {
				due, err := tx.CertificatesDue(r.ID, after, until, days, page)
				more = len(due) == page
				for _, c := range due {
					err = errors.Join(err, s.remind(tx, r, c, days, now))
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("renewal: reminders of realm %s: %w", r.ID, err)
			}
		}
		after = until
	}
	return nil
}

// remind notes the reminder, whoever reads it, and writes the mails.
func (s *Service) remind(tx Tx, r directory.Realm, c pki.Certificate, days int, now time.Time) error {
	fresh, err := tx.NoteCertificate(c.ID, days, now)
	if err != nil || !fresh {
		return err
	}
	who, err := tx.Person(c.Realm, c.Person)
	if fault.Of(err, fault.NotFound) || err == nil && who.State.Shut() {
		return nil
	}
	if err != nil {
		return err
	}
	args := map[string]string{"certificate": c.Name, "until": c.NotAfter.UTC().Format(time.RFC3339), "at": now.UTC().Format(time.RFC3339)}
	letter := func(to contact, template string) mail.Message {
		return mail.Message{
			ID: uuid.Must(uuid.NewV7()).String(), Realm: r.ID, Person: to.ID, To: to.Address, Template: template, Language: to.Language, Args: args,
			State: mail.Waiting, Created: now, Due: now,
		}
	}
	if err := tx.Enqueue(letter(who, "certificate-ending")); err != nil {
		return err
	}
	s.count("reminded")
	m, err := s.toContact(tx, c.Realm, who.Contact, func(to contact) mail.Message {
		m := letter(to, "certificate-ending-console")
		m.Args = map[string]string{"name": who.Name, "address": who.Address}
		for k, v := range args {
			m.Args[k] = v
		}
		return m
	})
	if err != nil || m.ID == "" {
		return err
	}
	return tx.Enqueue(m)
}

// toContact makes a mail to a contact who is at work; zero where there is none.
func (s *Service) toContact(tx Tx, realm, id string, letter func(contact) mail.Message) (m mail.Message, err error) {
	if id == "" {
		return m, nil
	}
	to, err := tx.Person(realm, id)
	if fault.Of(err, fault.NotFound) || err == nil && (!to.Role.Staff() || to.State.Shut()) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	return letter(to), nil
}

// Tidy revokes the certificates of a realm whose file nobody fetched in time, and those that wait for a flow which is over:
// nobody needs their key, and they would stand in the way of the next one.
func (s *Service) Tidy(ctx context.Context, realm string) error {
	var left []keyfile.Parcel
	err := s.Store.Read(ctx, func(tx Tx) (err error) {
		left, err = tx.OwnParcelsLeft(realm, s.Clock(), page)
		return err
	})
	errs := []error{err}
	for _, p := range left {
		errs = append(errs, s.giveUp(ctx, p))
	}
	return errors.Join(errs...)
}

func (s *Service) giveUp(ctx context.Context, p keyfile.Parcel) error {
	var organization string // whose trail the event stands in; a person who is gone has none
	err := s.Store.Read(ctx, func(tx Tx) error {
		who, err := tx.Person(p.Realm, p.Person)
		if fault.Of(err, fault.NotFound) {
			return nil
		}
		organization = who.Organization
		return err
	})
	if err != nil {
		return fmt.Errorf("renewal: file of %s that nobody fetched: %w", p.Person, err)
	}
	err = s.Issuer.Revoke(ctx, certify.Changed{
		Realm: p.Realm, ID: p.Certificate, Reason: pki.Cessation, By: certify.System, Stored: s.unused, Organization: organization,
	})
	if err != nil {
		return err
	}
	s.count("given-up")
	return nil
}

// sessions are what EndSessions needs of a transaction.
type sessions interface {
	Sessions(realm, person string) ([]session.Session, error)
	EndSession(realm, person, id, why string, now time.Time) (bool, error)
}

// EndSessions ends the sessions that were opened with a certificate in the commit that suspends or revokes it, for
// certify.Service.Ended: applications are told, and lists of sessions are true. That none of them goes on does not depend
// on it: what a session stands on is asked at every use.
func EndSessions(clock func() time.Time) func(certify.Tx, pki.Certificate) error {
	return func(tx certify.Tx, c pki.Certificate) error {
		return certify.Within(tx, func(tx sessions) error {
			all, err := tx.Sessions(c.Realm, c.Person)
			for _, se := range all {
				if err == nil && se.Proved(c.ID) {
					_, err = tx.EndSession(se.Realm, se.Person, se.ID, "certificate-"+string(c.State), clock())
				}
			}
			return err
		})
	}
}
