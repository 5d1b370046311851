// Package recovery knows recovery codes: a sheet of ten, kept on paper, of which one stands in for a lost factor while a new
// one is set up (NIST SP 800-63B 4.2.1.2, saved recovery codes).
//
// The rules of this package:
//
//   - A code has 80 random bits. What is stored of it is a keyed hash, bound to its owner: neither a dump nor another
//     person's row makes one work (SEC H-4, ASVS 6.5.2).
//   - A sheet is shown until its owner says that they keep it, at most half an hour, and never again. Only then it counts; the
//     sheet before it works until that moment, so that nobody stands there without one.
//   - Each code works once, and one flow takes one code: who has found a sheet replaces one factor with it, not two. The
//     referee is the version of the stored row: of two that come at once, one finds the code spent.
//   - A code opens the gate "recovery" and nothing else: it never admits (SECURITY 15; the engine sees to that).
package recovery

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

const (
	sheetCodes = 10
	offerLife  = 30 * time.Minute // of a sheet that nobody confirmed: as long as a flow, time to find a printer
	Few        = 3                // from so many on the owner is told to make new ones
)

// Method implements authn.Method and authn.Offerer. It has no state and is safe for concurrent use.
type Method struct {
	hash func(purpose, text string) []byte
}

var _ authn.Offerer = (*Method)(nil)

// New makes the method. hash is a keyed hash, see secret.Ring.
func New(hash func(purpose, text string) []byte) *Method { return &Method{hash} }

// Kind implements authn.Method.
func (m *Method) Kind() authn.Kind { return authn.Recovery }

// code is one code as stored.
type code struct {
	Hash []byte `json:"hash"`
	Used int64  `json:"used,omitempty"` // Unix ms; 0: not used
}

// Sheet is what is shown to be kept. Mark names this sheet among others, so that nobody confirms one that they do not hold.
type Sheet struct {
	Mark  string   `json:"mark"`
	Codes []string `json:"codes"`
}

// Read is the sheet of an open question.
func Read(q authn.Question) (s Sheet, ok bool) {
	if q.Kind != authn.Recovery || !q.Binding || json.Unmarshal(q.Data, &s) != nil {
		return Sheet{}, false
	}
	return s, len(s.Codes) == sheetCodes && s.Mark != ""
}

// Left counts the codes of a credential that were not used, and all of them. It is 0, 0 for data that cannot be read.
func Left(c authn.Credential) (left, of int) {
	codes, err := read(c)
	if err != nil {
		return 0, 0
	}
	for _, one := range codes {
		if one.Used == 0 {
			left++
		}
	}
	return left, len(codes)
}

func read(c authn.Credential) (codes []code, err error) {
	if json.Unmarshal(c.Data, &codes) != nil || len(codes) == 0 {
		return nil, fmt.Errorf("recovery codes %s: their data cannot be read", c.ID)
	}
	return codes, nil
}

// hashed binds a code to its owner.
func (m *Method) hashed(person, canonical string) []byte {
	return m.hash("recovery-code", person+" "+canonical)
}

// Verify compares a code with those of the person's sheet. It rejects with "recovery-once" (this flow has taken one),
// "recovery-format", "recovery-wrong", "recovery-used" (that code was used before) or "recovery-none" (none is left).
// Another error means that stored data is damaged.
func (m *Method) Verify(_ context.Context, f authn.Flow, stored []authn.Credential, a authn.Answer) (authn.Shown, error) {
	for _, e := range f.Evidence {
		if e.Kind == authn.Recovery && !e.Bound {
			return authn.Shown{}, authn.Reject("recovery-once").In("code")
		}
	}
	typed, ok := secret.CanonicalRecoveryCode(a.Text)
	if !ok {
		return authn.Shown{}, authn.Reject("recovery-format").In("code")
	}
	for _, c := range stored {
		if c.State != authn.Active {
			continue
		}
		codes, err := read(c)
		if err != nil {
			return authn.Shown{}, err
		}
		at, sum := -1, m.hashed(c.Person, typed)
		for i, one := range codes {
			if subtle.ConstantTimeCompare(one.Hash, sum) == 1 {
				at = i
			}
		}
		left, _ := Left(c)
		switch {
		case left == 0:
			return authn.Shown{}, authn.Reject("recovery-none").In("code")
		case at < 0:
			continue
		case codes[at].Used != 0:
			return authn.Shown{}, authn.Reject("recovery-used").In("code")
		}
		codes[at].Used = f.Now.UnixMilli()
		c.Data, err = json.Marshal(codes)
		return authn.Shown{Credential: c, Changed: true, Left: left - 1}, err
	}
	m.hashed(f.Person, typed)
	return authn.Shown{}, authn.Reject("recovery-wrong").In("code")
}

// Offer makes a fresh sheet to be kept.
func (m *Method) Offer(_ context.Context, f authn.Flow, _ []authn.Credential) (authn.Question, error) {
	return offer(f)
}

func offer(f authn.Flow) (authn.Question, error) {
	s := Sheet{Mark: secret.Token()[:12]}
	for range sheetCodes {
		s.Codes = append(s.Codes, secret.RecoveryCode())
	}
	d, err := json.Marshal(s)
	return authn.Question{Kind: authn.Recovery, Binding: true, Data: d, Asked: f.Now, Expires: f.Now.Add(offerLife)}, err
}

// Enrol takes the word of the person that they keep the sheet they were shown (Answer.Text is its mark, Answer.Confirm is
// "yes"). It fails with fault.Invalid "recovery-not-kept" (field kept), and rejects with "recovery-other" a sheet that is
// not the open one: time was over, or another one was made in another tab. A fresh one is asked then where none is open.
func (m *Method) Enrol(_ context.Context, f authn.Flow, _ []authn.Credential, a authn.Answer) (authn.Shown, error) {
	if !f.Open.For(authn.Recovery, true, f.Now) {
		q, err := offer(f)
		if err != nil {
			return authn.Shown{}, err
		}
		return authn.Shown{Question: &q}, authn.Reject("recovery-other")
	}
	s, ok := Read(f.Open)
	switch {
	case !ok:
		return authn.Shown{}, fmt.Errorf("recovery: the open question of flow %s holds no sheet", f.ID)
	case !secret.Equal(a.Text, s.Mark):
		return authn.Shown{}, authn.Reject("recovery-other")
	case a.Confirm != "yes":
		return authn.Shown{}, fault.New(fault.Invalid, "recovery-not-kept").In("kept")
	}
	d, err := m.newData(f.Person, s.Codes)
	return authn.Shown{Credential: authn.Credential{
		Realm: f.Realm, Person: f.Person, Kind: authn.Recovery, State: authn.Active, Data: d, Created: f.Now,
	}}, err
}

// newData is the credential data of codes in canonical form for their owner.
func (m *Method) newData(person string, canonical []string) ([]byte, error) {
	codes := make([]code, len(canonical))
	for i, c := range canonical {
		codes[i].Hash = m.hashed(person, c)
	}
	return json.Marshal(codes)
}
