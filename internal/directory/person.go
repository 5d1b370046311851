// Package directory holds who there is: realms, organizations, people and their roles, and who may do what to whom.
package directory

import "time"

// Role is what a person may do for others.
type Role string

// Roles. Staff belong to the realm's own organization.
const (
	Member        Role = "member"
	Administrator Role = "administrator" // customer administrator: of their own organization
	Agent         Role = "agent"
	Supervisor    Role = "supervisor"
	Auditor       Role = "auditor"
	Owner         Role = "owner"
)

// Roles are all roles, from the least to the most.
var Roles = []Role{Member, Administrator, Agent, Supervisor, Auditor, Owner}

// Staff reports whether the role belongs to the operator's own people.
func (r Role) Staff() bool { return r == Agent || r == Supervisor || r == Auditor || r == Owner }

// PersonState is the life of a person. Progress inside "invited" is derived from credentials and events (Stage).
type PersonState string

// States of a person.
const (
	Invited  PersonState = "invited"
	Active   PersonState = "active"
	Disabled PersonState = "disabled"
	Frozen   PersonState = "frozen" // somebody with a notice in hand said that a change was not theirs
)

// Shut reports whether nobody gets in: until the account is enabled again, what is held stays and counts for nothing.
func (s PersonState) Shut() bool { return s == Disabled || s == Frozen }

// Stage is how far a person has come (REQ B81), derived, never stored.
type Stage string

// Stages in order.
const (
	StageInvited     Stage = "invited"
	StageCertificate Stage = "certificate" // of who is not invited: a certificate was issued
	StageCall        Stage = "call"        // and a call confirmed it
	StagePassword    Stage = "password"
	StageFactor      Stage = "factor"
	StageFirstLogin  Stage = "first_login"
	StageTerms       Stage = "terms"
	StagePreferences Stage = "preferences"
	StageActive      Stage = "active"
)

// WayIn are the stages that somebody goes through: invited, or called, who comes in with a certificate and a call.
func WayIn(called bool) []Stage {
	if called {
		return []Stage{StageCertificate, StageCall, StageFactor, StagePassword, StageTerms, StageActive}
	}
	return []Stage{StageInvited, StagePassword, StageFactor, StageFirstLogin, StageTerms, StagePreferences, StageActive}
}

// Person is a member, an administrator or staff. Address is canonical (see Canonical) and unique in the realm.
type Person struct {
	ID           string
	Realm        string
	Organization string
	Address      string // canonical e-mail address: the user name
	Name         string
	Role         Role
	State        PersonState
	Language     string // one of the realm's languages
	Zone         string // IANA name, empty for the realm's
	Contact      string // id of the staff member assigned to this person, empty for none
	Created      time.Time
	FirstActive  time.Time // first complete admission; zero: never active
	LastSignIn   time.Time
	Invitation   time.Time // when the last invitation was made; zero: none
	Bounced      bool      // the last mail to the address came back
	Phone        string    // number on file, where a caller is called back; empty for none
	PhoneSince   time.Time // when it was put on file
	Exempt       string    // kind from which two of staff exempted the person (REQ B65), empty for none; see IsExempt
	ExemptUntil  time.Time // when that ends by itself
	Version      int64
}

// EverActive reports whether the person was admitted at least once: from then on a mailbox alone binds nothing.
func (p Person) EverActive() bool { return !p.FirstActive.IsZero() }

// IsExempt reports whether an exemption counts now: for members alone, and not a moment longer than it was given for.
func (p Person) IsExempt(now time.Time) bool {
	return p.Exempt != "" && p.Role == Member && now.Before(p.ExemptUntil)
}

// Organization is one business customer of the realm, or the realm's own (Staff).
type Organization struct {
	ID      string
	Realm   string
	Name    string
	Staff   bool
	State   PersonState // Active or Disabled
	Policy  string      // its stricter policy text, empty for none
	Manager string      // id of its account manager among staff
	Created time.Time
	Version int64

	Phone      string    // its switchboard, on file for calling back; empty for none
	PhoneSince time.Time // when it was put on file
}

// Acceptance is the proof that a person accepted a version of the terms (REQ B24): what they saw and what they typed.
type Acceptance struct {
	ID       string
	Realm    string
	Person   string
	Version  string
	Language string
	Hash     string // SHA-256 of the text shown, hex
	Typed    string // the address they typed
	At       time.Time
	Network  string
	Browser  string
}

// Preference is one topic a person may be written to about. Off unless chosen.
type Preference struct {
	Person  string
	Topic   string
	On      bool
	Changed time.Time
}

// Standing is how people stand by what else is known about them (REQ B45).
type Standing string

// Standings to filter by.
const (
	Unset   Standing = "unset"   // no second factor is set up
	Helped  Standing = "helped"  // a request about them is open, or a new set-up is allowed
	Blocked Standing = "blocked" // disabled or frozen: nobody gets in
)

// PersonFilter selects people of one realm, keyset-paged by (name, id).
type PersonFilter struct {
	Realm        string
	Organization string // empty: all of the realm; only staff may ask that
	Query        string // prefix of name or address, case-insensitive
	State        PersonState
	Role         Role
	Standing     Standing
	Stalled      time.Time // only people invited before this who were never active; zero: no matter
	AfterName    string
	AfterID      string
	Limit        int
}

// Administration is how many administrators an organization has (REQ B44, B48).
type Administration string

// Administrations to filter by.
const (
	NoAdministrator  Administration = "none"
	OneAdministrator Administration = "one"
)

// OrganizationFilter selects customers' organizations of one realm, keyset-paged by (name, id).
type OrganizationFilter struct {
	Realm          string
	Query          string // prefix of the name, case-insensitive
	Administrators Administration
	AfterName      string
	AfterID        string
	Limit          int
}
