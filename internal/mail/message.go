// Package mail writes to people: messages are rows in the causing transaction (outbox), composed from templates in the
// person's language when they are delivered, retried with back-off and given up visibly.
package mail

import "time"

// State of a message.
type State string

// States: waiting (also between retries), sent (the next hop took it), failed (given up), void (overtaken).
const (
	Waiting State = "waiting"
	Sent    State = "sent"
	Failed  State = "failed"
	Void    State = "void"
)

// Message is one mail to one person. Args may hold a link's secret, so the store seals them and wipes them once the
// mail is sent or given up. A message with To empty is a decoy: it goes through every step of the outbox except the
// network, so that a stranger cannot tell a known address from an unknown one.
type Message struct {
	ID        string
	Realm     string
	Person    string
	To        string
	Template  string // "invitation", "password-reset", "factor-added", ...
	Language  string
	Args      map[string]string
	State     State
	Attempts  int
	LastError string
	Created   time.Time
	Due       time.Time
	Done      time.Time
}
