package certify

import (
	"context"
	"crypto"
	"crypto/x509"
	"sync"
	"time"

	"doorward/internal/fault"
	"doorward/internal/pki"
)

// Rules of what is kept: it was read while this very epoch stood, which rises with everything that is done to an authority and
// with every revocation, and no longer than answerFresh ago, since a node can miss that. What is not there is not kept, so that a
// stranger cannot fill the memory. Of keys only those of responders are kept: they say what rows say, for 30 days, and nothing
// else. Whether a certificate lives is asked of its row each time.

// kept remembers what was read.
type kept[T any] struct {
	mu    sync.Mutex
	epoch int64
	found map[string]dated[T]
}

type dated[T any] struct {
	what T
	read time.Time
}

// keptMost bounds what one of them holds: more than all parts of the CRLs of an authority.
const keptMost = 4096

// get returns what is kept under a key, or what read finds. Without an epoch nothing is kept.
func (k *kept[T]) get(s *Service, key string, read func() (T, error)) (T, error) {
	if s.Epoch == nil {
		return read()
	}
	now, epoch := s.Clock(), s.Epoch()
	k.mu.Lock()
	if k.epoch != epoch || k.found == nil || len(k.found) >= keptMost {
		k.epoch, k.found = epoch, map[string]dated[T]{}
	}
	have, ok := k.found[key]
	k.mu.Unlock()
	if ok && !now.Before(have.read) && now.Before(have.read.Add(answerFresh)) {
		return have.what, nil
	}
	what, err := read()
	if err != nil {
		return what, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch == epoch { // else it may be of before
		k.found[key] = dated[T]{what, now}
	}
	return what, nil
}

// forget drops everything.
func (k *kept[T]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found = nil
}

// speakers are the issuing authorities of a realm and who answers for them.
type speakers struct {
	all   []pki.Authority // without keys
	certs map[string]*x509.Certificate
	keys  map[string]crypto.Signer // of responders
}

// speakersOf reads those of a realm.
func (s *Service) speakersOf(ctx context.Context, realm string) (speakers, error) {
	return s.speakers.get(s, realm, func() (speakers, error) {
		out := speakers{certs: map[string]*x509.Certificate{}, keys: map[string]crypto.Signer{}}
		all, err := s.Authorities(ctx, realm)
		for _, a := range all {
			if a.Class == pki.Root || len(a.DER) == 0 || a.State == pki.Revoked {
				continue
			}
			if out.certs[a.ID], err = a.Certificate(); err != nil {
				return out, err
			}
			if a.Class == pki.Responder {
				if out.keys[a.ID], err = s.signer(a); err != nil {
					return out, err
				}
			}
			a.Private = nil
			out.all = append(out.all, a)
		}
		return out, err
	})
}

// issuer finds the one authority that all subjects name. A responder speaks for one: whoever asks about two asks twice.
func (k speakers) issuer(subjects []pki.Subject, now time.Time) (pki.Authority, error) {
	for _, a := range k.all {
		if a.Class != pki.Issuing || !a.Trusted(now) {
			continue
		}
		named := 0
		for _, s := range subjects {
			if s.Names(k.certs[a.ID]) {
				named++
			}
		}
		if named == len(subjects) {
			return a, nil
		}
	}
	return pki.Authority{}, fault.New(fault.NotFound, "not-found")
}
