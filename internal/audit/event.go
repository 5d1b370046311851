// Package audit is the trail that proves itself: events as plain rows in the causing transaction, a tree over them
// (RFC 6962), signed checkpoints, and verification against an anchor kept outside.
package audit

import "time"

// Event is one thing that happened. Data holds names and values for the sentence under the message key
// "event." + Type; never a secret, never a password, code or link.
type Event struct {
	ID           string // UUIDv7
	Realm        string
	At           time.Time
	Type         string // "signin.succeeded", "credential.enrolled", ...
	Actor        string // person id, or "system", "cli", "anonymous"
	Person       string // whom it is about, empty for none
	Organization string // whose trail it stands in, empty for the realm's
	Session      string
	Flow         string
	Network      string
	Browser      string
	Reason       string
	Data         map[string]string
}
