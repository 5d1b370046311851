package certify

import (
	"context"
	"sync"
	"time"

	"doorward/internal/fault"
	"doorward/internal/pki"
)

// Rules of OCSP answers: what was signed is kept for half of its time and given again while the row says the same. The row
// is asked again when anything was revoked anywhere, and at the latest every few seconds: a node that has missed that may
// not go on. What has a nonce is signed for it alone. Nothing is kept about certificates that are not ours, so that a stranger cannot fill
// the memory.

const (
	answersMost = 20_000
	answerFresh = 4 * time.Second // a row that was looked at counts for that long while the epoch stands
)

type answers struct {
	mu   sync.Mutex
	kept map[string]answer
}

// answer is what was signed, and what the row said.
type answer struct {
	der      []byte
	made     time.Time
	until    time.Time
	looked   time.Time
	epoch    int64
	state    pki.State
	reason   string
	row      string // id
	serial   string
	issuer   string // hash of the authority's key
	reusable bool
}

// Answer answers an OCSP request about certificates of a realm, with when that answer runs out. One that cannot be read, or
// that asks about no authority of the realm, gets the unsigned refusals of RFC 6960 2.3 and 4.2.1; an error is ours alone.
func (s *Service) Answer(ctx context.Context, realm string, request []byte) ([]byte, time.Time, error) {
	query, err := pki.ParseQuery(request)
	if err != nil {
		return pki.AnswerMalformed, time.Time{}, nil
	}
	now, epoch, key := s.Clock(), int64(0), ""
	if s.Epoch != nil && query.Nonce == nil && len(query.Subjects) == 1 {
		epoch, key = s.Epoch(), realm+"\x00"+string(query.Subjects[0].ID)
		if a, ok := s.kept(key, now); ok {
			fresh, err := s.stillSays(ctx, realm, key, a, now, epoch)
			if err != nil {
				return nil, time.Time{}, err
			}
			if fresh {
				return a.der, a.until, nil
			}
		}
	}
	a, err := s.sign(ctx, realm, query, now)
	switch {
	case fault.Of(err, fault.NotFound):
		return pki.AnswerUnauthorized, time.Time{}, nil
	case fault.Of(err, fault.Unavailable) && fault.As(err).Code == "authority-none":
		return pki.AnswerLater, time.Time{}, nil
	case err != nil:
		return nil, time.Time{}, err
	}
	if key != "" && a.reusable {
		a.epoch = epoch
		s.keep(key, a)
	}
	return a.der, a.until, nil
}

func (s *Service) kept(key string, now time.Time) (answer, bool) {
	s.answers.mu.Lock()
	defer s.answers.mu.Unlock()
	a, ok := s.answers.kept[key]
	return a, ok && !now.Before(a.made) && now.Before(a.made.Add(pki.AnswerValid/2))
}

func (s *Service) keep(key string, a answer) {
	s.answers.mu.Lock()
	defer s.answers.mu.Unlock()
	if len(s.answers.kept) >= answersMost || s.answers.kept == nil { // all of them: they come back one by one
		s.answers.kept = map[string]answer{}
	}
	s.answers.kept[key] = a
}

// stillSays reports whether the row says what the answer said, and its authority is trusted.
func (s *Service) stillSays(ctx context.Context, realm, key string, a answer, now time.Time, epoch int64) (bool, error) {
	if a.epoch == epoch && !now.Before(a.looked) && now.Before(a.looked.Add(answerFresh)) {
		return true, nil
	}
	same := false
	err := s.Store.Read(ctx, func(tx Tx) error {
		c, err := tx.CertificateBySerial(realm, a.issuer, a.serial)
		if err != nil {
			return err
		}
		authority, err := tx.Authority(realm, c.Authority)
		same = err == nil && authority.Trusted(now) && c.ID == a.row && c.State == a.state && c.Reason == a.reason
		return err
	})
	if fault.Of(err, fault.NotFound) {
		return false, nil
	}
	if err == nil && same {
		a.looked, a.epoch = now, epoch
		s.keep(key, a)
	}
	return same, err
}

// sign makes an answer.
func (s *Service) sign(ctx context.Context, realm string, query pki.Query, now time.Time) (answer, error) {
	out := answer{made: now, looked: now}
	known, err := s.speakersOf(ctx, realm)
	if err != nil {
		return out, err
	}
	authority, err := known.issuer(query.Subjects, now)
	if err != nil {
		return out, err
	}
	by := responder(known.all, authority.ID, now)
	if by == nil {
		return out, fault.New(fault.Unavailable, "authority-none")
	}
	statuses := make([]pki.Status, len(query.Subjects))
	err = s.Store.Read(ctx, func(tx Tx) error {
		for i, subject := range query.Subjects {
			c, err := tx.CertificateBySerial(realm, authority.SPKI, subject.Serial)
			if err != nil && !fault.Of(err, fault.NotFound) {
				return err
			}
			if err != nil {
				statuses[i] = pki.StatusOf(subject, nil)
				continue
			}
			statuses[i] = pki.StatusOf(subject, &c)
			out.state, out.reason, out.row, out.serial, out.issuer, out.reusable = c.State, c.Reason, c.ID, c.Serial, c.Issuer, true
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	cert := known.certs[by.ID]
	out.until = now.UTC().Truncate(time.Second).Add(pki.AnswerValid)
	if out.until.After(cert.NotAfter) {
		out.until = cert.NotAfter
	}
	out.der, err = pki.Answer(statuses, query.Nonce, cert, known.keys[by.ID], now.UTC().Truncate(time.Second), out.until)
	return out, err
}
