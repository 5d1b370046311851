package certify

import (
	"context"
	"crypto"
	"crypto/x509"
	"strconv"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/pki"
)

// Rules of authorities: the root's key is never here. An issuing authority's key is made here, or in a device, and its request
// goes to whoever holds the root; what comes back is looked at before it counts. The next authority is published before it
// signs, so that whoever keeps a list of them has it in time; the one before it stays trusted until it runs out.

// Authorities are those of a realm, oldest first, responders included.
func (s *Service) Authorities(ctx context.Context, realm string) (all []pki.Authority, err error) {
	err = s.Store.Read(ctx, func(tx Tx) (err error) { all, err = tx.Authorities(realm); return err })
	return all, err
}

// Ask makes a new issuing authority's key, or takes the one at keyAt, and returns its row, which waits, and its request as
// DER. Nothing trusts it yet.
func (s *Service) Ask(ctx context.Context, realm, keyAt string) (pki.Authority, []byte, error) {
	r, err := s.Realm(realm)
	if err != nil {
		return pki.Authority{}, nil, err
	}
	a, key, err := s.fresh(pki.Issuing, r, keyAt)
	if err != nil {
		return a, nil, err
	}
	subject, err := pki.IssuingSubject(r.Name, r.Operator, key.Public(), s.Clock())
	if err != nil {
		return a, nil, err
	}
	a.Name = subject.CommonName
	request, err := pki.AskIssuing(key, subject)
	if err != nil {
		return a, nil, err
	}
	err = s.Store.Write(ctx, func(tx Tx) error {
		if err := tx.AddAuthority(a); err != nil {
			return err
		}
		return tx.Audit(s.event(Operator, realm, "authority.asked", audit.Event{Data: map[string]string{"name": a.Name, "authority": a.ID}}))
	})
	return a, request, err
}

// fresh is the row of an authority with a new key, or one that is elsewhere.
func (s *Service) fresh(class pki.Class, r directory.Realm, keyAt string) (a pki.Authority, key crypto.Signer, err error) {
	a = pki.Authority{Realm: r.ID, Class: class, KeyAt: keyAt, Parts: 1, State: pki.Waiting, Created: s.Clock()}
	if a.ID, err = newID(); err != nil {
		return a, nil, err
	}
	if keyAt == "" {
		key, a.Private, err = pki.NewKey(class)
	} else {
		key, err = s.signer(a)
	}
	if err != nil {
		return a, nil, err
	}
	if err := pki.CheckKey(key.Public()); err != nil {
		return a, nil, err
	}
	a.SPKI, err = pki.KeyHash(key.Public())
	return a, key, err
}

// Import takes the certificate of an issuing authority that was asked for, and its root's. The realm's first one signs at
// once; a later one is published, and signs after Rotate. It fails with fault.Invalid "authority-unfit", fault.NotFound
// where nobody asked for it, and fault.Exists where another one is published already.
func (s *Service) Import(ctx context.Context, realm string, cert, root *x509.Certificate) (a pki.Authority, err error) {
	hash, now := pki.Hash(cert.RawSubjectPublicKeyInfo), s.Clock()
	if !root.IsCA || now.Before(root.NotBefore) || !now.Before(root.NotAfter) || root.CheckSignatureFrom(root) != nil {
		return a, fault.New(fault.Invalid, "authority-unfit", "why", "the root is none, does not sign itself, or its time is over")
	}
	err = s.Store.Write(ctx, func(tx Tx) error {
		all, err := tx.Authorities(realm)
		if err != nil {
			return err
		}
		parent, signs := "", false
		a = pki.Authority{}
		for _, have := range all {
			switch {
			case have.Class == pki.Root && have.SHA256 == pki.Hash(root.Raw):
				parent = have.ID
			case have.Class == pki.Issuing && have.State == pki.Signs && have.Trusted(now):
				signs = true
			case have.Class == pki.Issuing && have.State == pki.Waiting && have.SPKI == hash:
				a = have
			}
		}
		if a.ID == "" {
			return fault.New(fault.NotFound, "not-found")
		}
		if err := pki.CheckIssuing(cert, root, cert.PublicKey, now); err != nil {
			return err
		}
		if parent == "" {
			if parent, err = s.keepRoot(tx, realm, root); err != nil {
				return err
			}
		}
		a.Parent, a.DER, a.SHA256, a.NotBefore, a.NotAfter, a.State = parent, cert.Raw, pki.Hash(cert.Raw), cert.NotBefore, cert.NotAfter, pki.Published
		if !signs {
			a.State = pki.Signs
		}
		if err := tx.UpdateAuthority(a); err != nil {
			return err
		}
		a.Version++
		return tx.Audit(s.event(Operator, realm, "authority.added", audit.Event{Data: map[string]string{"name": a.Name, "authority": a.ID, "root": pki.Hash(root.Raw)}}))
	})
	return a, err
}

// keepRoot stores a root's certificate.
func (s *Service) keepRoot(tx Tx, realm string, root *x509.Certificate) (string, error) {
	id, err := newID()
	if err != nil {
		return "", err
	}
	return id, tx.AddAuthority(pki.Authority{
		ID: id, Realm: realm, Class: pki.Root, Name: root.Subject.CommonName, SPKI: pki.Hash(root.RawSubjectPublicKeyInfo), SHA256: pki.Hash(root.Raw),
		DER: root.Raw, KeyAt: "offline", Parts: 1, NotBefore: root.NotBefore, NotAfter: root.NotAfter, State: pki.Published, Created: s.Clock(),
	})
}

// Found makes a realm's issuing authority with a root whose key is at hand for this moment: for the demo, for tests, and for
// whoever is content with a root on the same machine.
func (s *Service) Found(ctx context.Context, realm string, root *x509.Certificate, rootKey crypto.Signer) (pki.Authority, error) {
	a, request, err := s.Ask(ctx, realm, "")
	if err != nil {
		return a, err
	}
	parsed, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return a, err
	}
	der, err := pki.SignIssuing(parsed, root, rootKey, s.Clock())
	if err != nil {
		return a, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return a, err
	}
	return s.Import(ctx, realm, cert, root)
}

// Rotate lets the published authority sign from now on, and retires the one before. Certificates that one signed hold on,
// and it goes on publishing CRLs. Without a published one it is fault.Conflict "authority-none-published".
func (s *Service) Rotate(ctx context.Context, realm string) (next pki.Authority, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx Tx) error {
		all, err := tx.Authorities(realm)
		if err != nil {
			return err
		}
		next = pki.Authority{}
		for _, a := range all {
			if a.Class == pki.Issuing && a.State == pki.Published && a.Trusted(now) {
				next = a
			}
		}
		if next.ID == "" {
			return fault.New(fault.Conflict, "authority-none-published")
		}
		for _, a := range all {
			if a.Class == pki.Issuing && a.State == pki.Signs {
				a.State = pki.Retired
				if err := tx.UpdateAuthority(a); err != nil {
					return err
				}
			}
		}
		next.State = pki.Signs
		if err := tx.UpdateAuthority(next); err != nil {
			return err
		}
		next.Version++
		return tx.Audit(s.event(Operator, realm, "authority.rotated", audit.Event{Data: map[string]string{"name": next.Name, "authority": next.ID}}))
	})
	return next, err
}

// RevokeAuthority ends an authority for good, root, issuing or responder, with whatever stands below it: the certificates it
// signed are revoked in the same commit, those in the making too. A published one signs in its place at once, unless it
// stands below the same.
func (s *Service) RevokeAuthority(ctx context.Context, realm, id, reason string) error {
	now := s.Clock()
	return s.Store.Write(ctx, func(tx Tx) error {
		all, err := tx.Authorities(realm)
		if err != nil {
			return err
		}
		var gone []pki.Authority
		var next pki.Authority
		for _, a := range all { // whoever signs or is published below the same root comes after it
			switch {
			case a.State != pki.Revoked && (a.ID == id || a.Parent == id || below(all, a, id)):
				gone = append(gone, a)
			case a.Class == pki.Issuing && a.State == pki.Published && a.Trusted(now):
				next = a
			}
		}
		if len(gone) == 0 {
			_, err := tx.Authority(realm, id)
			return err
		}
		signed := false
		for _, a := range gone {
			signed = signed || a.Class == pki.Issuing && a.State == pki.Signs
			a.State, a.Reason, a.Ended = pki.Revoked, reason, now
			if err := tx.UpdateAuthority(a); err != nil {
				return err
			}
			n, err := tx.RevokeCertificates(realm, a.ID, reason, now)
			if err != nil {
				return err
			}
			if err := tx.Audit(s.event(Operator, realm, "authority.revoked", audit.Event{
				Reason: reason, Data: map[string]string{"name": a.Name, "authority": a.ID, "why": reason, "certificates": strconv.Itoa(n)},
			})); err != nil {
				return err
			}
		}
		if signed && next.ID != "" {
			next.State = pki.Signs
			return tx.UpdateAuthority(next)
		}
		return nil
	})
}

// below reports whether an authority's parent stands below id.
func below(all []pki.Authority, a pki.Authority, id string) bool {
	for _, p := range all {
		if p.ID == a.Parent && p.Parent == id {
			return true
		}
	}
	return false
}
