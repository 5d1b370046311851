// Package activation is the call that proves both sides: a session that waits shows a code and a person reads it to an
// agent, who says two words first that the person sees beside it. It is pure: it decides what an activation allows, and
// stores nothing.
//
// The rules of activations (REQ A24 to A31; SECURITY S1; SEC ):
//
//   - V1 The code matches a call to one waiting session, and opens nothing by itself. It is compared only with the
//     activation that an agent has opened, of the person they have opened; nobody looks codes up. What binds is the
//     browser that shows the code: it collects the confirmation, nobody else can.
//   - V2 A code is six random digits, unique among the open ones of its realm, and lives for ten minutes at most. A new
//     one kills the old one at once. Nothing renews itself: a page that was left lying shows a code that is over.
//   - V3 Three entries are compared for one activation, however many agents take it over; the third that is wrong ends it.
//     An entry is counted and committed before anything is compared.
//   - V4 An agent has five wrong entries within ten minutes and twenty within an hour; then they are locked for the rest
//     of that time, and supervisors and owners are told.
//   - V5 The words come with the agent who opens the activation and change with them. No words, no desk.
//   - V6 Whoever confirms is staff who may reset the person, and never the person themselves, their contact, who had a hand in
//     issuing the certificate or handing it over, or who opened the request behind it or gave its first approval: so there are always two of them, whatever
//     the policy asks for. Where the realm says so, two confirm.
//   - V7 Every required check of the realm's list has passed in this call, with a note, before anybody confirms. A failed
//     one is kept, and ends in a rejection.
//   - V8 A confirmation counts as long as whoever gave it could still give it, and is collected within ten minutes. It is
//     evidence once.
//   - V9 A rejection ends everything: the flow, the request behind it and, for a certificate, its use, until somebody looks
//     at it again.
package activation

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/secret"
)

// Bounds that no realm can widen.
const (
	Life       = directory.CallMinutes * time.Minute // of a code
	CallFor    = 20 * time.Minute                    // from the right code until a confirmation: a call-back takes a while
	CollectFor = 10 * time.Minute                    // from the confirmation until the browser has it
	Entries    = 3                                   // compared for one activation

	AgentWrong  = 5 // wrong entries of an agent
	AgentWindow = 10 * time.Minute
	AgentHour   = 20 // and within an hour
)

// State is where an activation stands. Whether it can still be used is a matter of its times, see Live.
type State string

// States.
const (
	Waiting   State = "waiting"   // shows its code
	Opened    State = "opened"    // an agent has it before them, the person sees the words
	Matched   State = "matched"   // the code was right; the checks are being made
	Confirmed State = "confirmed" // evidence, once the waiting browser collects it
	Used      State = "used"      // it was collected
	Ended     State = "ended"     // three wrong entries
	Replaced  State = "replaced"  // a newer code was asked for
	Rejected  State = "rejected"  // as suspicious, by an agent
	Expired   State = "expired"   // its code was given to another activation after its time
)

// Device is what a certificate's session is known by; zero where there is no certificate.
type Device struct {
	Name        string   `json:"name,omitempty"`
	Words       string   `json:"words,omitempty"` // of the certificate's fingerprint, to be compared by voice
	Certificate string   `json:"certificate,omitempty"`
	New         string   `json:"new,omitempty"`     // name of the device that gets a new certificate behind this call, empty for none
	Was         string   `json:"was,omitempty"`     // how the one before stands: pki.Expired, Suspended or Revoked, or Active where it is accepted again
	Issuers     []string `json:"issuers,omitempty"` // ids of everybody who had a hand in issuing it
}

// Confirmation is one yes.
type Confirmation struct {
	By      string    `json:"by"`
	Name    string    `json:"name"`
	Session string    `json:"session,omitempty"`
	At      time.Time `json:"at"`
}

// Activation is one code of one flow. Hash is that of the code, keyed; the code itself lies sealed in the flow, for the
// browser that shows it.
type Activation struct {
	ID            string
	Realm         string
	Person        string
	Flow          string
	Kind          authn.Kind // authn.Call or authn.Spoken
	Number        string     // the ticket, to be said on the phone: no secret
	Hash          []byte
	State         State
	Tries         int // entries that were compared, or reserved to be
	Device        Device
	Network       string // of the browser that waits
	Browser       string
	Words         string // what the agent says first; empty until one has opened it
	Agent         string // id of the agent who has it
	AgentName     string
	Checks        []helpdesk.Check
	Confirmations []Confirmation
	Created       time.Time
	Opened        time.Time // when the agent who has it opened it
	Expires       time.Time
	Closed        time.Time
	ClosedBy      string
	ClosedWhy     string
	Version       int64
}

// Kinds are the kinds of evidence that an activation leads to.
var Kinds = []authn.Kind{authn.Call, authn.Spoken}

// Leads reports whether a kind is shown by an activation.
func Leads(k authn.Kind) bool { return slices.Contains(Kinds, k) }

// Live reports whether an agent can go on with it now.
func (a Activation) Live(now time.Time) bool {
	switch a.State {
	case Waiting, Opened:
		return a.Tries < Entries && !now.After(a.Expires)
	case Matched:
		return !now.After(a.Expires)
	}
	return false
}

// Collectable reports whether the waiting browser can take it as evidence now (V8).
func (a Activation) Collectable(now time.Time) bool {
	return a.State == Confirmed && !now.After(a.Expires)
}

// Left is how many entries are left.
func (a Activation) Left() int { return max(0, Entries-a.Tries) }

// Shows reports whether the waiting page shows the code.
func (a Activation) Shows(now time.Time) bool {
	return (a.State == Waiting || a.State == Opened) && a.Live(now)
}

// NewCode draws a code of six digits.
func NewCode() string { return secret.Digits(6) }

// Canonical brings what an agent typed to the form of NewCode: blanks and dashes do not count. It is false for what cannot
// be a code.
func Canonical(typed string) (string, bool) {
	code := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == 0xA0 || r == 0x202F || r == 0x2009 {
			return -1
		}
		return r
	}, typed)
	return code, len(code) == 6 && strings.Trim(code, "0123456789") == ""
}

// Hash is what is stored of a code: a look-up hash of its realm, so that the database keeps open codes apart.
func Hash(ring *secret.Ring, realm, code string) []byte {
	return ring.Hash("activation", realm+" "+code)
}

// Matches compares a code in constant time.
func (a Activation) Matches(ring *secret.Ring, code string) bool {
	return secret.Equal(string(Hash(ring, a.Realm, code)), string(a.Hash))
}

// Mark stands for what a waiting page shows of a call: it changes whenever the page does, and tells nothing of it. It is part of
// an address.
func (a Activation) Mark() string {
	sum := sha256.Sum256([]byte(string(a.State) + " " + a.ID + " " + a.Words))
	return hex.EncodeToString(sum[:8])
}

// MayConfirm reports whether somebody may open, compare and confirm (V6): nil; what directory.May returns;
// fault.Forbidden "not-allowed" for who is no staff, "call-own" for the person themselves, "call-contact", "call-issuer" for
// who had a hand in issuing the certificate, "call-opener" for who opened one of the requests behind it or gave its first approval, and
// "call-second" for who has confirmed already. requests are the live ones about the person.
func (a Activation) MayConfirm(by, target directory.Person, requests []helpdesk.Request) error {
	if by.ID == target.ID {
		return fault.New(fault.Forbidden, "call-own")
	}
	if err := directory.May(by, directory.ResetFactor, target); err != nil {
		return err
	}
	switch {
	case !by.Role.Staff():
		return fault.New(fault.Forbidden, "not-allowed")
	case by.ID == target.Contact:
		return fault.New(fault.Forbidden, "call-contact")
	case slices.Contains(a.Device.Issuers, by.ID):
		return fault.New(fault.Forbidden, "call-issuer")
	}
	for _, r := range requests {
		if by.ID == r.Opener || len(r.Approvals) > 0 && r.Approvals[0].By == by.ID {
			return fault.New(fault.Forbidden, "call-opener")
		}
	}
	if a.State == Matched && slices.ContainsFunc(a.Confirmations, func(c Confirmation) bool { return c.By == by.ID }) {
		return fault.New(fault.Forbidden, "call-second")
	}
	return nil
}

// Counts reports whether every confirmation still counts (V8): people are those who gave them, as they are now; one who is
// missing does not count.
func (a Activation) Counts(target directory.Person, people []directory.Person) bool {
	for _, c := range a.Confirmations {
		i := slices.IndexFunc(people, func(p directory.Person) bool { return p.ID == c.By })
		if i < 0 || directory.May(people[i], directory.ResetFactor, target) != nil {
			return false
		}
	}
	return len(a.Confirmations) > 0
}

// Missing are the required checks that have not passed in this call (V7): the last word about each counts, and one that
// failed at anybody's hands is not made good.
func (a Activation) Missing(required []string) []string {
	return slices.DeleteFunc(slices.Clone(required), func(rule string) bool {
		passed := false
		for _, c := range a.Checks {
			if c.Rule != rule {
				continue
			}
			if c.Result != helpdesk.Passed {
				return false
			}
			passed = true
		}
		return passed
	})
}
