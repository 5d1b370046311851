package authn

import (
	"slices"
	"time"
)

// CredentialState says whether a credential can be shown. Suspended ones are still held: losing sight of a factor must
// never make another, weaker way count.
type CredentialState string

// States of a credential.
const (
	Active    CredentialState = "active"
	Suspended CredentialState = "suspended"
	Ended     CredentialState = "ended"
)

// Credential is an enrolled authenticator of a person. Data belongs to the method alone; the store seals it under the
// key ring, bound to its row.
type Credential struct {
	ID       string
	Realm    string
	Person   string
	Kind     Kind
	State    CredentialState
	Name     string // given by the person: "Work phone"
	Model    string // which of the realm's authenticators it is ("microsoft", "extension"), empty where it does not matter
	Data     []byte
	Created  time.Time
	LastUsed time.Time // zero: never
	Ended    time.Time // zero: not ended
	Expires  time.Time // zero: never; from then on it is not held
	Version  int64     // rises at every change; the store refuses a change of an older one
}

// Evidence says that a kind was shown in this flow, by which credential, and when. Bound evidence comes from enrolling:
// it lets the flow enrol further, but does not admit where the policy says fresh.
type Evidence struct {
	Kind       Kind      `json:"kind"`
	Credential string    `json:"credential,omitempty"`
	At         time.Time `json:"at"`
	Bound      bool      `json:"bound,omitempty"`
}

// Way says behind which list of the policy a credential is bound.
type Way string

// Ways to bind.
const (
	ByReplace Way = "replace" // something was lost or forgotten
	ByEnrol   Way = "enrol"   // a spare, or a change by a person who is signed in
)

// Goal is what a flow is for: to admit, or to bind one kind. Replaces names the credential that ends when the new one is
// confirmed, empty for a spare or for all of the kind (ByReplace). Client is the relying party that asked, whose own
// policy counts too, and ACR the classes it asked for, apart by spaces (acr_values); both make the rules stricter only.
type Goal struct {
	Bind     Kind   `json:"bind,omitempty"`
	Way      Way    `json:"way,omitempty"`
	Replaces string `json:"replaces,omitempty"`
	Client   string `json:"client,omitempty"`
	ACR      string `json:"acr,omitempty"`
}

// Admit reports whether the goal is to be let in.
func (g Goal) Admit() bool { return g.Bind == "" }

// Anew is the goal of who has no certificate that lives, and shows what remains (REQ A54). It begins with a password: whoever
// has a living certificate is nobody there, so nobody is guessed at who would be asked for it first (REQ A31).
var Anew = Goal{Bind: Cert, Way: ByReplace}

// FlowState says whether a flow still takes evidence.
type FlowState string

// States of a flow.
const (
	FlowOpen FlowState = "open"
	FlowDone FlowState = "done"
	FlowVoid FlowState = "void"
)

// Flow is a durable row that gathers evidence. What comes next is computed by Next, never stored.
type Flow struct {
	ID       string
	Realm    string
	Person   string // empty until the first evidence fixes it
	Browser  []byte // look-up hash of the browser's secret; only that browser may go on
	Address  string // as typed at the start, canonical; it names nobody until evidence does
	Goal     Goal
	Evidence []Evidence
	Open     Question // zero: nothing asked
	Wrong    int      // wrong answers to the open question
	Return   string   // where the person goes afterwards: an opaque id, resolved by the server, never an address
	OneTime  string   // the one-time secret (invitation) that leads back here and is spent by the last step
	Choice   string   // the authenticator chosen for set-up, of the realm's list
	Language string
	Session  string // the session this flow rose from (step-up, a spare), empty otherwise
	State    FlowState
	Created  time.Time
	Expires  time.Time
	Version  int64

	Now     time.Time `json:"-"` // the time of this call, from the injected clock; not stored
	Later   bool      `json:"-"` // the person puts off what the rules ask for Soon, in this call; not stored
	Subject Subject   `json:"-"` // whom this is about, for methods; not stored
}

// Subject is what a method may know of the person and realm: to label an authenticator and to refuse a password that
// contains a name.
type Subject struct {
	Address      string
	Name         string
	Organization string
	Realm        string // the realm's id
	Issuer       string // the realm's name as the authenticator app shows it
	Words        []string
}

// Question is what was asked and not yet answered: a seed not yet confirmed, a challenge, a number to match. Data is
// sealed at rest and belongs to the method. It dies at Expires, at the third wrong answer, or with the flow.
type Question struct {
	Kind    Kind
	Binding bool // asked to enrol, not to prove
	Data    []byte
	Asked   time.Time
	Expires time.Time
}

// For reports whether q is an open question of the kind at the time.
func (q Question) For(k Kind, binding bool, now time.Time) bool {
	return q.Kind == k && q.Binding == binding && now.Before(q.Expires)
}

// OneTime is a one-time secret as stored: only its keyed hash is kept. Used and voided ones stay, so that reuse is seen
// and can be explained.
type OneTime struct {
	ID      string
	Realm   string
	Person  string
	Kind    Kind   // Invite or Mail; other rooms add theirs. Kinds never stand in for each other.
	Purpose string // what it was made for: "set-up", "password"; part of the hash's domain
	Flow    string // the flow it leads to, once started
	By      string // id of the person who caused it, empty for the command line or its owner
	Return  string // opaque, handed on to the flow
	Hash    []byte
	Created time.Time
	Expires time.Time
	Used    time.Time // zero: not used
	Voided  time.Time // zero: not voided
}

// Lasting leaves out what has run out.
func Lasting(all []Credential, now time.Time) []Credential {
	return slices.DeleteFunc(all, func(c Credential) bool { return !c.Expires.IsZero() && !now.Before(c.Expires) })
}

// Holdings is what the engine knows of credentials: ended ones are not held.
func Holdings(all []Credential) []Holding {
	var held []Holding
	for _, c := range all {
		if c.State != Ended {
			held = append(held, Holding{Kind: c.Kind, Credential: c.ID, Suspended: c.State == Suspended, Bound: c.Created, LastUsed: c.LastUsed})
		}
	}
	return held
}
