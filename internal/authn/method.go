package authn

import (
	"context"
	"errors"
	"time"

	"doorward/internal/fault"
)

// ErrRejected says that evidence did not hold. Every method's error for a wrong answer wraps it and carries a
// *fault.Error with the words; any other error means that the method itself failed.
var ErrRejected = errors.New("evidence rejected")

// Reject makes an error that wraps ErrRejected under a message code.
func Reject(code string, args ...any) *fault.Error {
	return fault.New(fault.Rejected, code, args...).Because(ErrRejected)
}

// Answer is what a person (or their browser, phone, mailbox) handed in. Values are untrusted and may hold secrets:
// an Answer is never logged.
type Answer struct {
	Kind       Kind
	Address    string // user name, where the person is not known yet
	Text       string // password, code or token
	Confirm    string // "yes" where the person confirms that they keep what they were shown
	Credential string // the credential the person picked, empty for any
	Name       string // a name for a new credential
	Model      string // which of the realm's authenticators, for a new credential

	Presented *Presented // what the ticket in Text leads to; login fills it in
}

// Presented is a certificate that a browser showed outside of the pages, in the way of this very flow, and whose
// certificates count in the realm at that moment.
type Presented struct {
	Sighting string // id
	Expires  time.Time
	Leaf     []byte   // DER
	Issuers  [][]byte // DER of the realm's issuing CAs that are trusted
}

// Shown is what a method found. It is a list of wishes: login.Prove alone carries them out, in one transaction.
type Shown struct {
	Credential Credential // the credential shown; when enrolling, the new one without ID
	Changed    bool       // Credential.Data changed and must be stored (also on rejection: learned drift, a new hash)
	Spend      []Once     // single uses to spend; on rejection they are burnt all the same
	Question   *Question  // replaces the flow's open question (also on rejection); nil leaves it
	Left       int        // how often the credential can still be shown, for kinds that run out
	Replayed   error      // what to answer when one of Spend was spent before, instead of a plain rejection
}

// Once is a single use: a TOTP step, a nonce. Keys are unique per credential and kind.
type Once struct {
	Key     string
	Expires time.Time // when the row may be swept
}

// A Method knows one kind of evidence. It is handed what is stored and what was answered; it reads and writes nothing
// itself, so throttling, single use, auditing and storing happen in one place for every kind.
type Method interface {
	Kind() Kind
	// Verify compares. stored is empty where the person is unknown or holds none of the kind: the method then does the
	// same work and rejects. The error wraps ErrRejected, or the method failed.
	Verify(ctx context.Context, f Flow, stored []Credential, a Answer) (Shown, error)
}

// An Asker prepares a question for a person who is to show its kind: a challenge, a number to match.
type Asker interface {
	Method
	Ask(ctx context.Context, f Flow, stored []Credential) (Question, error)
}

// An Identifier names its credential or one-time secret before the person is known.
type Identifier interface {
	Method
	// Identify returns what to look up: for a one-time kind the purpose and the secret, from which the store's hash is made.
	Identify(a Answer) (purpose, secret string, err error)
}

// An Enroller is a method that people add themselves.
type Enroller interface {
	Method
	// Enrol checks the answer and returns the new credential in Shown.Credential (no ID, Data filled).
	Enrol(ctx context.Context, f Flow, stored []Credential, a Answer) (Shown, error)
}

// An Offerer is an Enroller that first shows something to be confirmed, such as a seed.
type Offerer interface {
	Enroller
	Offer(ctx context.Context, f Flow, stored []Credential) (Question, error)
}

// A Waiter says how long a person must wait before a kind can be shown again: a TOTP code was spent and the next one is
// not due yet. Zero means now.
type Waiter interface {
	Wait(f Flow, stored []Credential) time.Duration
}
