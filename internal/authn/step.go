package authn

import "time"

// Act is what a step asks for.
type Act string

// Acts. ActAdmit means that the goal is reached: for the goal admit a session may be minted, for the goal bind the flow
// is complete and mints nothing.
const (
	ActProve   Act = "prove"
	ActBind    Act = "bind"
	ActPerform Act = "perform"
	ActAdmit   Act = "admit"
	ActStuck   Act = "stuck"
)

// Duty is something to be done between proof and admission.
type Duty string

// Duties.
const (
	Terms       Duty = "terms"
	Preferences Duty = "preferences"
)

// Reason says why a flow is stuck, in words a help desk can act on (message key "stuck." + Reason).
type Reason string

// Step is what comes next. Kinds lists what would be accepted now, best first: for prove the ways, for bind the kinds
// that would complete a combination. Gate is set when a once-only kind or a grant is what is missing.
type Step struct {
	Act    Act
	Kinds  []Kind
	Duty   Duty
	Reason Reason
}

// Accepts reports whether the step is act with kind k among what is accepted now.
func (s Step) Accepts(act Act, k Kind) bool {
	if s.Act != act {
		return false
	}
	for _, have := range s.Kinds {
		if have == k {
			return true
		}
	}
	return false
}

// Holding is what the engine knows of one credential of a person: held is active or suspended.
type Holding struct {
	Kind       Kind
	Credential string
	Suspended  bool
	Bound      time.Time
}

// Grant is an approved request that lets a person enrol again. It names kinds (Any: all), counts its approvers and ends.
type Grant struct {
	ID        string
	Kinds     []Kind
	Any       bool
	Approvers int
	From      time.Time // after the cooling-off
	Until     time.Time
}

// Person is what the engine sees of a person. Owed lists the duties not yet done, in any order.
type Person struct {
	ID         string
	EverActive bool
	Held       []Holding
	Grants     []Grant
	Owed       []Duty
}
