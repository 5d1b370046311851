// Package fault says what went wrong in kinds a caller can act on. A Code is also the message key in the catalogues
// ("error." + Code), so the core never holds words for people and no HTTP status. Each door maps kinds once; an error
// that is no *Error is ours: it is logged with a reference and the visitor sees the reference only.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what a caller can do about an error.
type Kind uint8

// The kinds. Invalid: the input must be changed. Rejected: evidence did not hold. Forbidden: known, but not allowed.
// NotFound: no such thing, or not visible to the caller (the two are never told apart). Exists: a unique thing is taken.
// Conflict: the state moved meanwhile, load and try again. Expired: it was right once. Throttled: too often, see
// RetryAfter. Unavailable: a part we need is down or full, see RetryAfter.
const (
	Invalid Kind = iota + 1
	Rejected
	Forbidden
	NotFound
	Exists
	Conflict
	Expired
	Throttled
	Unavailable
)

var names = [...]string{"unknown", "invalid", "rejected", "forbidden", "not found", "exists", "conflict", "expired", "throttled", "unavailable"}

// String names the kind for logs.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// Error is an expected failure. Args fill the placeholders of the message; they must never hold a secret. Field names
// the input at fault ("password"), empty when the whole form is. RetryAfter is set for Throttled and Unavailable.
type Error struct {
	Kind       Kind
	Code       string
	Field      string
	Args       map[string]any
	RetryAfter time.Duration
	Err        error
}

// New makes an Error; args are pairs of name and value.
func New(kind Kind, code string, args ...any) *Error {
	e := &Error{Kind: kind, Code: code}
	for i := 0; i+1 < len(args); i += 2 {
		if e.Args == nil {
			e.Args = make(map[string]any, len(args)/2)
		}
		e.Args[fmt.Sprint(args[i])] = args[i+1]
	}
	return e
}

// In returns a copy of e that names the field at fault.
func (e *Error) In(field string) *Error { c := *e; c.Field = field; return &c }

// After returns a copy of e that says when to try again.
func (e *Error) After(d time.Duration) *Error { c := *e; c.RetryAfter = d; return &c }

// Because returns a copy of e that wraps its cause.
func (e *Error) Because(err error) *Error { c := *e; c.Err = err; return &c }

// Error implements error, for logs.
func (e *Error) Error() string {
	s := e.Kind.String() + ": " + e.Code
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports equality of kind and code, so that errors.Is works against sentinels.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && (t.Code == "" || t.Code == e.Code)
}

// As finds the *Error in err's chain, or nil.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Of reports whether err is an *Error of the kind.
func Of(err error, kind Kind) bool { e := As(err); return e != nil && e.Kind == kind }
