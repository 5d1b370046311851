package helpdesk

import (
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
)

// Exemptions are the break-glass (REQ B4, B65): for a time a member comes in without one kind, because two of staff said
// so. The rules:
//
//   - Two supervisors or owners, each by themselves: who proposes does not second, and neither is the person.
//   - For members alone. An administrator resets others and staff look after everybody: who can do that proves all of what
//     the policy asks, and is helped by requests.
//   - It ends by itself, after the realm's hours at most, and with a click of anybody who may reset the person.
//   - It counts as long as both who gave it could still give it.
//   - Something that is held has to be shown still, and it opens nothing but the way in (authn, E19).

// ExemptionState is where an exemption stands. A live one counts until its end also where nobody has closed it yet.
type ExemptionState string

// States of an exemption.
const (
	Proposed ExemptionState = "proposed"
	Exempt   ExemptionState = "live"
	Lapsed   ExemptionState = "ended"
)

// Exemption is one, with who gave it and what it was used for.
type Exemption struct {
	ID           string
	Realm        string
	Person       string
	Organization string
	Kind         authn.Kind
	Reason       string
	Hours        int // how long, from the second yes on
	State        ExemptionState
	By, ByName   string // who proposed it
	Second       string // who seconded it, empty until then
	SecondName   string
	Created      time.Time
	Until        time.Time // zero until seconded
	Uses         int       // sign-ins that nothing else explains
	Used         time.Time // the last of them
	Closed       time.Time
	ClosedBy     string // id, empty where its time was over
	ClosedWhy    string
}

// ProposedFor is how long a proposal waits for its second.
const ProposedFor = 4 * time.Hour

// Over reports whether nothing more can come of it.
func (e Exemption) Over(now time.Time) bool {
	switch e.State {
	case Proposed:
		return !now.Before(e.Created.Add(ProposedFor))
	case Exempt:
		return !now.Before(e.Until)
	}
	return true
}

// MayExempt reports whether somebody may propose an exemption for a person: nil, or what directory.May returns.
func MayExempt(by, whom directory.Person) error { return directory.May(by, directory.Exempt, whom) }

// MaySecond reports whether somebody may second an exemption: not who proposed it. It fails with fault.Forbidden
// "exemption-own" for that one, or with what directory.May returns.
func MaySecond(by, whom directory.Person, e Exemption) error {
	if err := MayExempt(by, whom); err != nil {
		return err
	}
	if e.By == by.ID {
		return fault.New(fault.Forbidden, "exemption-own")
	}
	return nil
}
