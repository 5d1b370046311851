package directory

import (
	"slices"

	"doorward/internal/fault"
)

// Who may do what to whom (REQ B44 to B49, B86; the organization guard of SECURITY). The table below is the whole answer;
// what is not in it is refused. Every door and every use case asks May, none decides itself.
//
//   - A customer administrator reaches only their own organization: people elsewhere do not exist for them.
//   - Nobody reaches above their own role, and nobody does to themselves what would let one stolen session strip a factor.
//     What people do to their own account stands in selfservice, behind a fresh sign-in.
//   - An auditor reads everything and changes nothing.
//   - Only an owner invites staff.
//   - Who is not active does nothing, and nothing crosses a realm.
//
// That the last administrator cannot vanish, daily maxima, reasons and second approvers depend on more than two people;
// they stand in the use case.

// Act is what one person may do to another.
type Act string

// Acts.
const (
	See           Act = "see"            // name, address, state
	SeeHistory    Act = "see-history"    // events, factors, sessions
	Invite        Act = "invite"         // also again, and by import
	Withdraw      Act = "withdraw"       // revoke an invitation
	Edit          Act = "edit"           // name and language; an address is proposed only
	AssignRole    Act = "assign-role"    // asked for the role they have and the role they get
	Disable       Act = "disable"        // and enable again
	Delete        Act = "delete"         //
	EndSessions   Act = "end-sessions"   //
	ResetPassword Act = "reset-password" // send a link; nobody ever sees a password
	ResetFactor   Act = "reset-factor"   // grant a new set-up
	Certify       Act = "certify"        // issue a certificate for a device, and send it
	Approve       Act = "approve"        // be the second to say yes to a reset
	Exempt        Act = "exempt"         // let in without one kind for a time, by two (break-glass)
)

// Relation is how two people of one realm stand to each other, seen from the one who acts.
type Relation string

// Relations.
const (
	Self      Relation = "self"
	Colleague Relation = "colleague" // of the same organization; among staff: other staff
	Customer  Relation = "customer"  // of another organization, a customer's
	Operator  Relation = "operator"  // staff, seen by a customer
)

// Relate names the relation of actor to whom; both are of one realm.
func Relate(actor, whom Person) Relation {
	switch {
	case actor.ID != "" && actor.ID == whom.ID:
		return Self
	case actor.Organization == whom.Organization:
		return Colleague
	case whom.Role.Staff():
		return Operator
	default:
		return Customer
	}
}

// Rule is one row: people with one of the roles By may do Acts to people in the relation who have one of the roles To.
type Rule struct {
	By   []Role
	Acts []Act
	As   Relation
	To   []Role
	Why  string
}

var (
	customers = []Role{Member, Administrator}
	everybody = []Role{Member, Administrator, Agent, Supervisor, Auditor, Owner}
	staff     = []Role{Agent, Supervisor, Auditor, Owner}
	manage    = []Act{Invite, Withdraw, Edit, AssignRole, Disable, EndSessions, ResetPassword, ResetFactor}
)

// Rules is the table.
var Rules = []Rule{
	{everybody, []Act{See, SeeHistory}, Self, everybody,
		"an account is open to its owner"},
	{[]Role{Member}, []Act{See}, Colleague, []Role{Administrator},
		"everybody can see who their administrators are (REQ B41)"},
	{[]Role{Administrator}, []Act{See, SeeHistory}, Colleague, customers,
		"administrators look after their own people"},
	{[]Role{Administrator}, append([]Act{Delete, Approve}, manage...), Colleague, customers,
		"customers manage their own people without us (REQ B45)"},
	{staff, []Act{See, SeeHistory}, Customer, customers,
		"the help desk needs the whole picture"},
	{staff, []Act{See}, Colleague, staff,
		"staff know who their colleagues are"},
	{[]Role{Auditor, Owner}, []Act{SeeHistory}, Colleague, staff,
		"what staff do is looked at by others"},
	{[]Role{Agent, Supervisor, Owner}, manage, Customer, customers,
		"the help desk stands in where no administrator can"},
	{[]Role{Agent, Supervisor, Owner}, []Act{Certify}, Customer, customers,
		"certificates come from the operator: a customer's administrator neither issues nor sees one (REQ A11)"},
	{[]Role{Supervisor, Owner}, []Act{Delete, Approve}, Customer, customers,
		"what cannot be undone, or needs two, takes a second and higher role"},
	{[]Role{Supervisor, Owner}, []Act{Exempt}, Customer, []Role{Member},
		"in an emergency two may let somebody in with less, but nobody who looks after others (REQ B65)"},
	{[]Role{Supervisor}, []Act{SeeHistory, EndSessions, Disable, ResetPassword, ResetFactor, Approve}, Colleague, []Role{Agent},
		"supervisors answer for the agents"},
	{[]Role{Owner}, append([]Act{Delete, Approve}, manage...), Colleague, staff,
		"only owners decide who is staff"},
}

// Why returns the reason of the row that allows the act, or ok false.
func Why(by Role, act Act, as Relation, to Role) (reason string, ok bool) {
	for _, r := range Rules {
		if r.As == as && slices.Contains(r.By, by) && slices.Contains(r.Acts, act) && slices.Contains(r.To, to) {
			return r.Why, true
		}
	}
	return "", false
}

// May reports whether actor may do the act to whom: nil, or fault.NotFound "not-found" when actor may not even see
// them (so that no answer tells that they exist), or fault.Forbidden "not-allowed". For an invitation, and for the role
// somebody gets, whom is a Person with that realm, organization and role and no id.
func May(actor Person, act Act, whom Person) error {
	if actor.State != Active {
		return fault.New(fault.Forbidden, "not-allowed")
	}
	if actor.Realm != whom.Realm {
		return fault.New(fault.NotFound, "not-found")
	}
	as := Relate(actor, whom)
	if _, ok := Why(actor.Role, act, as, whom.Role); ok {
		return nil
	}
	if _, ok := Why(actor.Role, See, as, whom.Role); !ok {
		return fault.New(fault.NotFound, "not-found")
	}
	return fault.New(fault.Forbidden, "not-allowed")
}

// MayInvite reports whether actor may invite somebody with the role into the organization. A role that the kind of
// organization does not have is fault.Invalid "role-invalid": staff stand in the realm's own organization, nobody else does.
func MayInvite(actor Person, role Role, into Organization) error {
	if err := May(actor, Invite, Person{Realm: into.Realm, Organization: into.ID, Role: role}); err != nil {
		return err
	}
	return RoleFits(role, into)
}

// RoleFits returns fault.Invalid "role-invalid" where an organization cannot hold somebody with the role.
func RoleFits(role Role, in Organization) error {
	if !slices.Contains(everybody, role) || role.Staff() != in.Staff {
		return fault.New(fault.Invalid, "role-invalid").In("role")
	}
	return nil
}

// MayAssign reports whether actor may give whom the role instead of theirs: the rules are asked for both, so nobody is
// pulled down from above nor lifted above the one who acts. It returns what May and RoleFits return.
func MayAssign(actor, whom Person, role Role, in Organization) error {
	if err := May(actor, AssignRole, whom); err != nil {
		return err
	}
	after := whom
	after.Role = role
	if err := May(actor, AssignRole, after); err != nil {
		return fault.New(fault.Forbidden, "not-allowed")
	}
	return RoleFits(role, in)
}

// MayAppoint refuses an agent who would make somebody an administrator, by an invitation as by a new role: who can be talked
// into something on the telephone must not hand out the power to approve. It fails with fault.Forbidden "role-higher".
func MayAppoint(actor Person, role Role) error {
	if role == Administrator && actor.Role == Agent {
		return fault.New(fault.Forbidden, "role-higher").In("role")
	}
	return nil
}

// MayListAll reports whether actor may list people of every organization; others may only list their own.
func MayListAll(actor Person) bool { return actor.State == Active && actor.Role.Staff() }

// MayOrganize reports whether actor may add and change customers' organizations.
func MayOrganize(actor Person) bool {
	return actor.State == Active && slices.Contains([]Role{Agent, Supervisor, Owner}, actor.Role)
}

// MayStand reports whether actor may shut a customer's whole organization out, and let it in again.
func MayStand(actor Person) bool {
	return actor.State == Active && slices.Contains([]Role{Supervisor, Owner}, actor.Role)
}

// MayHandle reports whether somebody may do an act about a request that names no person. who has its address; where nobody
// has, it is for those who look after customers.
func MayHandle(by Person, act Act, who Person) error {
	switch {
	case who.ID != "":
		return May(by, act, who)
	case MayOrganize(by):
		return nil
	case MayListAll(by):
		return fault.New(fault.Forbidden, "not-allowed")
	}
	return fault.New(fault.NotFound, "not-found")
}
