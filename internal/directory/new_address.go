package directory

import "time"

// ChangeState is where a change of an address stands.
type ChangeState string

// States of a change.
const (
	ChangeProposed ChangeState = "proposed" // by somebody who looks after the person: the owner decides
	ChangeOpen     ChangeState = "open"     // the owner wants it; both ends are asked
	ChangeDone     ChangeState = "done"
	ChangeStopped  ChangeState = "stopped" // by the owner, by the link of a mail, or since the address is taken
)

// AddressChange is a new address on its way (REQ B80): only the owner begins it, and it happens when both the mailbox of
// old and the new one have said yes.
type AddressChange struct {
	ID         string
	Realm      string
	Person     string
	Was        string // the address it is to replace, canonical
	Address    string // the new one, canonical
	ProposedBy string // id of who proposed it, empty for the owner
	Name       string // of who proposed it, as it was then
	Reason     string
	State      ChangeState
	Session    string    // in which the owner began it: the one that stays when it is done
	AtOld      time.Time // confirmed there; zero: not yet
	AtNew      time.Time
	Created    time.Time
	Expires    time.Time
	Closed     time.Time
}

// Live reports whether something can still come of it.
func (c AddressChange) Live(now time.Time) bool {
	return (c.State == ChangeProposed || c.State == ChangeOpen) && now.Before(c.Expires)
}

// Confirmed reports whether both ends said yes.
func (c AddressChange) Confirmed() bool { return !c.AtOld.IsZero() && !c.AtNew.IsZero() }
