package pki

import "time"

// Set names certificates of a realm that those who look after people count and list.
type Set string

// The sets. Made: issued within a span. Ending: accepted until a moment within a span, and without a successor. Sent: the link
// to the file works and nobody fetched it. Late: nobody fetched it in time. Held: suspended. Ended: revoked within a span.
const (
	Made   Set = "made"
	Ending Set = "ending"
	Sent   Set = "sent"
	Late   Set = "late"
	Held   Set = "held"
	Ended  Set = "ended"
)

// Sets are all of them.
var Sets = []Set{Made, Ending, Sent, Late, Held, Ended}

// Way is how a certificate came to its device.
type Way string

// The ways. First: the device had none before. Renewal: its owner renewed one. Replacement: staff put it in the place of one.
const (
	First       Way = "first"
	Renewal     Way = "renewal"
	Replacement Way = "replacement"
)

// Ways are all of them.
var Ways = []Way{First, Renewal, Replacement}

// Way is how the certificate came to its device.
func (c Certificate) Way() Way {
	switch {
	case c.Replaces == "":
		return First
	case c.Approver == "":
		return Renewal
	}
	return Replacement
}

// Tally counts certificates by their way.
type Tally struct{ First, Renewal, Replacement int }

// All is how many there are.
func (t Tally) All() int { return t.First + t.Renewal + t.Replacement }

// Selection narrows a set. From and Until bound the span of Made and Ended (from From, before Until) and of Ending
// (after From, not after Until); of the others Until is the present. Newest come first, of Ending what ends next.
type Selection struct {
	Realm        string
	Organization string // whose people's; empty: everybody's
	Set          Set
	From, Until  time.Time
	Way          Way       // empty: all
	After        time.Time // keyset: By and ID of the last one of the page before; zero for the first page
	AfterID      string
	Limit        int
}

// By is the moment that a set is sorted by.
func (s Set) By(c Certificate) time.Time {
	switch s {
	case Ending:
		return c.NotAfter
	case Ended:
		return c.Ended
	}
	return c.Created
}
