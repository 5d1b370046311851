package certify

import (
	"context"
	"fmt"
	"iter"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/pki"
)

// Examine looks whether a realm's authorities are in order, for `doorward doctor`: one name and what is wrong for each. A
// realm without any has nothing to look at.
func (s *Service) Examine(ctx context.Context, realm string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		now := s.Clock()
		all, err := s.Authorities(ctx, realm)
		if err != nil {
			yield("authorities", err)
			return
		}
		signs := false
		var issuing []pki.Authority
		for _, a := range all {
			if a.Class == pki.Issuing && a.Trusted(now) {
				issuing = append(issuing, a)
				signs = signs || a.State == pki.Signs
			}
		}
		if len(all) == 0 {
			return
		}
		if !signs && !yield("authorities", fmt.Errorf("none signs: doorward ca request, sign, import")) {
			return
		}
		for _, a := range issuing {
			if !yield("authority "+a.Name, s.examine(ctx, a, now)) {
				return
			}
		}
		orphans, err := s.Orphans(ctx, realm)
		if err == nil && len(orphans) > 0 {
			err = fmt.Errorf("%d rows were never finished: doorward ca inspect lists them, doorward ca revoke closes them", len(orphans))
		}
		yield("issuances", err)
	}
}

// Horizon is what a monitor watches of a realm: when the authority that signs ends, and of when its oldest CRL is. Both are
// zero where the realm has no authority; where none signs any more, end is when the last one that did so ended, or ends.
func (s *Service) Horizon(ctx context.Context, realm string) (end, oldest time.Time, err error) {
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx Tx) error {
		all, err := tx.Authorities(realm)
		if err != nil {
			return err
		}
		signs := false
		for _, a := range all {
			if a.Class != pki.Issuing || a.State == pki.Waiting {
				continue
			}
			if does := a.State == pki.Signs; does && !signs || does == signs && a.NotAfter.After(end) {
				end, signs = a.NotAfter, signs || does
				if !a.Ended.IsZero() {
					end = a.Ended
				}
			}
			if !a.Trusted(now) {
				continue
			}
			for part := range a.Parts {
				l, err := tx.CRL(realm, a.ID, part)
				if err != nil && !fault.Of(err, fault.NotFound) {
					return err
				}
				if made := l.ThisUpdate; err == nil && (oldest.IsZero() || made.Before(oldest)) {
					oldest = made
				} else if err != nil && (oldest.IsZero() || a.Created.Before(oldest)) {
					oldest = a.Created // never made
				}
			}
		}
		return nil
	})
	return end, oldest, err
}

// examine looks at one issuing authority: its key, its time, its CRLs.
func (s *Service) examine(ctx context.Context, a pki.Authority, now time.Time) error {
	cert, err := a.Certificate()
	if err != nil {
		return err
	}
	key, err := s.signer(a)
	if err != nil {
		return err
	}
	if !pki.Holds(key.Public(), cert.PublicKey) {
		return fmt.Errorf("its key is not that of its certificate")
	}
	r, err := s.Realm(a.Realm)
	if err != nil {
		return err
	}
	days := r.Certificates.Days
	if days == 0 {
		days = directory.CertificateDays
	}
	// Two months, because the root may lie in a safe.
	if a.State == pki.Signs && now.AddDate(0, 2, days).After(a.NotAfter) {
		return fmt.Errorf("it ends on %s, and certificates of devices would end with it: make the next one (doorward ca request)", a.NotAfter.Format(time.DateOnly))
	}
	for part := range a.Parts {
		l, err := s.CRL(ctx, a.Realm, a.ID, part)
		if err != nil {
			return fmt.Errorf("its CRL %d is not published: is a server running? doorward ca publish makes it", part)
		}
		if now.After(l.ThisUpdate.Add(pki.CRLEvery + time.Hour)) {
			return fmt.Errorf("its CRL %d is of %s: is a server running? doorward ca publish makes the next", part, l.ThisUpdate.Format(time.RFC3339))
		}
	}
	return nil
}
