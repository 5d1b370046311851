// Package helpdesk holds the wish for help with an account: why, what was checked about whoever asked, who approved it,
// and the grant to enrol that it becomes. It is pure: it decides what a request needs and what it opens, and stores
// nothing.
package helpdesk

import (
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
)

// Why is what somebody needs help with (REQ B59, B75).
type Why string

// Reasons a person can give.
const (
	FactorLost        Why = "factor"             // the authenticator is gone, or shows codes that are refused
	PasswordLost      Why = "password"           // and no way to set a new one alone
	EverythingLost    Why = "everything"         // nothing is left to show
	NoAdministrator   Why = "no-administrator"   // the organization has none who could help
	OnlyAdministrator Why = "only-administrator" // who asks is the only one
	Blocked           Why = "blocked"            // the account was disabled or frozen
	WhoHelps          Why = "who-helps"          // signed out: "who is my administrator?"
	NotMe             Why = "not-me"             // somebody said that a change was not theirs; the account is frozen
	Other             Why = "other"
)

// Whys are the reasons in the order of the form; those that the program gives by itself are not among them.
var Whys = []Why{FactorLost, PasswordLost, EverythingLost, Blocked, NoAdministrator, OnlyAdministrator, Other}

// Channel is how a wish came to us.
type Channel string

// Channels.
const (
	ByForm      Channel = "form"      // the request form, signed out: the address is as typed and proves nothing
	ByAccount   Channel = "account"   // the person themselves, signed in
	ByPhone     Channel = "phone"     // a call that an agent or an administrator took
	ByMail      Channel = "mail"      // a mail, or a link in one
	InPerson    Channel = "person"    // face to face
	Unaided     Channel = "alone"     // the person, signed in, without anybody's help; see Alone
	ByColleague Channel = "colleague" // somebody the administrator or agent knows asked on behalf
)

// Channels are those that somebody who opens a request for another can name.
var Channels = []Channel{ByPhone, InPerson, ByMail, ByColleague}

// State is where a request stands. Whether an approved one can be used now is a matter of its times, see Live.
type State string

// States.
const (
	Open      State = "open"      // being looked at
	Approved  State = "approved"  // a grant: from From until Until, unless it is cancelled
	Refused   State = "refused"   // by who looked at it
	Cancelled State = "cancelled" // by the owner, by a notice's link, by who opened it, or because the account was frozen
	Done      State = "done"      // what it granted was used, or what was asked was answered
)

// Ended stands, in a Search, for every state that nothing more comes of. No request has it.
const Ended State = "ended"

// Search selects requests of a realm, newest first. What is empty selects nothing away.
type Search struct {
	Realm        string
	Organization string // id
	Customer     string // the beginning of an organization's name, in any case of letters
	State        State  // Open, Approved or Ended; empty: Open and Approved
	Mine         string // id of somebody who opened, checked, approved or ended it
	Before       string // id of the last one of the page before
	Limit        int
}

// Result is how one check went.
type Result string

// Results. A check that was not made is not among them: it has no row.
const (
	Passed Result = "passed"
	Failed Result = "failed"
)

// Check is one thing that was checked about whoever asked. Checks are added and never changed: a later one of the same
// rule counts instead, and the earlier stays to be seen (SEC H-6, T-HD2).
type Check struct {
	Rule     string    `json:"rule"` // id of the realm's rule
	Result   Result    `json:"result"`
	Note     string    `json:"note,omitempty"`
	Evidence string    `json:"evidence,omitempty"` // a ticket, a recording, the number that was called
	By       string    `json:"by"`
	Name     string    `json:"name"` // of who checked, as it was then
	At       time.Time `json:"at"`
}

// Approval is one yes. Role is what the approver was; whether they still are is looked at again when the grant is used.
type Approval struct {
	By      string         `json:"by"`
	Name    string         `json:"name"`
	Role    directory.Role `json:"role"`
	Session string         `json:"session,omitempty"`
	At      time.Time      `json:"at"`
}

// Request is a wish for help with one account. Person is empty where nobody has the typed address: staff see it all the
// same, and whoever asked is told the same.
type Request struct {
	ID           string
	Realm        string
	Number       string // to be said on the phone: no secret
	Person       string
	Organization string
	Address      string // canonical, as typed or as stored
	Why          Why
	Kinds        []authn.Kind // what is to be enrolled anew; empty until somebody who may says so
	Everything   bool         // instead of Kinds: nothing is left
	Words        string       // of whoever asked
	Reason       string       // of who opened it for another, or who approved
	Channel      Channel
	Opener       string // id of who opened it; empty: whoever asked, signed out
	Asked        int    // how often the same was asked while it was open
	Checks       []Check
	Approvals    []Approval
	Needed       int // approvers, as decided when the first one approved; 0 before
	State        State
	From         time.Time // the grant's window; zero until approved
	Until        time.Time
	Created      time.Time
	Closed       time.Time
	ClosedBy     string
	ClosedWhy    string
	Version      int64
}

// Over reports whether nothing more can come of it: it was closed, or its time is over.
func (r Request) Over(now time.Time) bool {
	switch r.State {
	case Open:
		if r.Alone() {
			return !now.Before(r.Created.Add(ConfirmFor))
		}
		return !now.Before(r.Created.Add(OpenFor))
	case Approved:
		return !now.Before(r.Until)
	}
	return true
}

// Latest is the newest check of each rule, in the order in which the rules were first checked.
func (r Request) Latest() []Check {
	var out []Check
	for _, c := range r.Checks {
		if i := slices.IndexFunc(out, func(o Check) bool { return o.Rule == c.Rule }); i >= 0 {
			out[i] = c
		} else {
			out = append(out, c)
		}
	}
	return out
}

// Noted reports whether a check says nothing new: the last word about its rule is the same, and of the same person. A form
// that is sent twice notes one.
func (r Request) Noted(c Check) bool {
	for _, last := range r.Latest() {
		if last.Rule == c.Rule {
			last.At, last.Name = c.At, c.Name
			return last == c
		}
	}
	return false
}

// Lifetimes. None can be lengthened by a realm.
const (
	OpenFor  = 14 * 24 * time.Hour // a request that nobody decided
	GrantFor = 24 * time.Hour      // a grant, from the end of the cooling-off
)
