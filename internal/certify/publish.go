package certify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/pki"
)

// Rules of publishing: one node at a time makes what is due (a leased job), every node serves it out of the database. It is
// for others: whether a certificate lives is asked of its row here, and a CRL that is late lets nobody in (SEC C-5).

// Publish makes what is due for a realm: responders that follow those that run out, CRLs that are due or do not say what holds any more. What
// cannot be made for one authority does not keep the others from theirs.
func (s *Service) Publish(ctx context.Context, realm string) error {
	r, err := s.Realm(realm)
	if err != nil {
		return err
	}
	all, err := s.Authorities(ctx, realm)
	if err != nil {
		return err
	}
	now := s.Clock()
	var failed []error
	for _, a := range all {
		if a.Class != pki.Issuing || !a.Trusted(now) {
			continue
		}
		if err := errors.Join(s.respond(ctx, r, a, all), s.list(ctx, r, a)); err != nil {
			failed = append(failed, fmt.Errorf("authority %s of realm %s: %w", a.Name, realm, err))
		}
	}
	return errors.Join(failed...)
}

// respond makes the next responder of an authority when the one there is has little time left. The one before answers until
// the next is ready.
func (s *Service) respond(ctx context.Context, r directory.Realm, a pki.Authority, all []pki.Authority) error {
	now := s.Clock()
	if has := responder(all, a.ID, now); has != nil && has.State == pki.Signs && now.Add(pki.ResponderLeft).Before(has.NotAfter) {
		return nil
	}
	next, key, err := s.fresh(pki.Responder, r, "")
	if err != nil {
		return err
	}
	next.Parent, next.Name = a.ID, r.Name+" OCSP "+next.SPKI[:4]
	issuer, err := a.Certificate()
	if err != nil {
		return err
	}
	draft, err := pki.RespondFor(key.Public(), pki.NewSerial(), next.Name, issuer, a.ID, places(r), now)
	if err != nil {
		return err
	}
	signer, err := s.signer(a)
	if err != nil {
		return err
	}
	err = s.Store.Write(ctx, func(tx Tx) error { // the row, before the certificate exists
		for _, old := range all {
			if old.Class != pki.Responder || old.Parent != a.ID || old.State != pki.Signs && old.State != pki.Waiting {
				continue
			}
			if old.State == pki.Waiting {
				old.State, old.Reason, old.Ended = pki.Revoked, pki.Cessation, now // cut short, and never used
			} else {
				old.State = pki.Retired
			}
			if err := tx.UpdateAuthority(old); err != nil {
				return err
			}
		}
		return tx.AddAuthority(next)
	})
	if err != nil {
		return err
	}
	der, err := draft.Sign(signer)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	next.DER, next.SHA256, next.NotBefore, next.NotAfter, next.State = der, pki.Hash(der), cert.NotBefore, cert.NotAfter, pki.Signs
	return s.Store.Write(ctx, func(tx Tx) error {
		if err := tx.UpdateAuthority(next); err != nil {
			return err
		}
		return tx.Audit(s.event(System, a.Realm, "authority.responder", audit.Event{Data: map[string]string{"name": a.Name, "authority": next.ID}}))
	})
}

// responder is the newest one that may answer for an authority; nil for none.
func responder(all []pki.Authority, authority string, now time.Time) (found *pki.Authority) {
	for i, a := range all {
		if a.Class == pki.Responder && a.Parent == authority && a.State != pki.Published && a.Trusted(now) && (found == nil || a.NotAfter.After(found.NotAfter)) {
			found = &all[i]
		}
	}
	return found
}

// list makes the CRLs of an authority that are due, or that do not say what holds.
func (s *Service) list(ctx context.Context, r directory.Realm, a pki.Authority) error {
	now := s.Clock()
	full := false
	for part := range a.Parts {
		var have pki.CRL
		var revoked []pki.Certificate
		err := s.Store.Read(ctx, func(tx Tx) (err error) {
			if have, err = tx.CRL(a.Realm, a.ID, part); err != nil && !fault.Of(err, fault.NotFound) {
				return err
			}
			revoked, err = tx.RevokedCertificates(a.ID, part, now.Add(-pki.CRLKept))
			return err
		})
		if err != nil {
			return err
		}
		full = full || len(revoked) > pki.PartMost
		if !have.Due(now) && says(have, revoked) {
			continue
		}
		key, err := s.signer(a)
		if err != nil {
			return err
		}
		next := pki.CRL{
			Realm: a.Realm, Authority: a.ID, Part: part, Number: have.Number + 1, ThisUpdate: now.UTC().Truncate(time.Second),
			NextUpdate: now.UTC().Truncate(time.Second).Add(pki.CRLValid),
		}
		if next, err = pki.MakeCRL(next, revoked, a, key, places(r)); err != nil {
			return err
		}
		err = s.Store.Write(ctx, func(tx Tx) error { return tx.PutCRL(next) })
		if err != nil && !fault.Of(err, fault.Conflict) { // another node was quicker
			return err
		}
		s.lists.forget()
		s.count("crl")
	}
	if full && a.Parts < pki.PartsMost {
		a.Parts *= 2
		return s.Store.Write(ctx, func(tx Tx) error { return tx.UpdateAuthority(a) })
	}
	return nil
}

// says reports whether a CRL speaks of just these certificates, for the same reasons.
func says(l pki.CRL, revoked []pki.Certificate) bool {
	list, err := x509.ParseRevocationList(l.DER)
	if err != nil {
		return false
	}
	return slices.EqualFunc(list.RevokedCertificateEntries, revoked, func(e x509.RevocationListEntry, c pki.Certificate) bool {
		reason := c.Reason
		if c.State == pki.Suspended {
			reason = pki.Hold
		}
		return pki.SerialText(e.SerialNumber) == c.Serial && e.ReasonCode == pki.ReasonCode(reason)
	})
}

// CRL is the newest CRL of a part; authority empty is the one that signs. It fails with fault.NotFound. One that another node
// has just made may be some seconds away.
func (s *Service) CRL(ctx context.Context, realm, authority string, part int) (pki.CRL, error) {
	return s.lists.get(s, realm+"\x00"+authority+"\x00"+strconv.Itoa(part), func() (l pki.CRL, err error) {
		err = s.Store.Read(ctx, func(tx Tx) error {
			of := authority
			if of == "" {
				a, _, err := signing(tx, realm, s.Clock())
				if err != nil {
					return err
				}
				of = a.ID
			}
			l, err = tx.CRL(realm, of, part)
			return err
		})
		return l, err
	})
}

// Certificate is the certificate of an issuing authority or root, as DER; id empty is the authority that signs.
func (s *Service) Certificate(ctx context.Context, realm, id string) ([]byte, error) {
	return s.papers.get(s, realm+"\x00"+id, func() (der []byte, err error) {
		err = s.Store.Read(ctx, func(tx Tx) error {
			if id == "" {
				a, _, err := signing(tx, realm, s.Clock())
				der = a.DER
				return err
			}
			a, err := tx.Authority(realm, id)
			if err != nil {
				return err
			}
			if len(a.DER) == 0 || a.Class == pki.Responder {
				return fault.New(fault.NotFound, "not-found")
			}
			der = a.DER
			return nil
		})
		return der, err
	})
}
