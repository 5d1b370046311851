package directory

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"doorward/internal/fault"
)

var allActs = []Act{See, SeeHistory, Invite, Withdraw, Edit, AssignRole, Disable, Delete, EndSessions, ResetPassword, ResetFactor, Approve}

// who builds a person of realm r in the relation to an actor of organization "own".
func who(role Role, as Relation) Person {
	p := Person{ID: "whom", Realm: "r", Organization: "own", Role: role, State: Active}
	switch as {
	case Self:
		p.ID = "actor"
	case Customer, Operator:
		p.Organization = "other"
	}
	return p
}

// The expectation is written out by hand, as letters in the order of allActs, and compared with the table cell by cell:
// a row that is widened or lost by mistake changes a cell. s see, h history, i invite, w withdraw, e edit, r role,
// d disable, x delete, o end sessions, p password, f factor, a approve.
func TestREQ_B86_WhoMayDoWhatToWhom(t *testing.T) {
	const letters = "shiwerdxopfa"
	want := map[Role]map[Relation]map[Role]string{
		Member: {
			Self:      {Member: "sh"},
			Colleague: {Administrator: "s"},
		},
		Administrator: {
			Self:      {Administrator: "sh"},
			Colleague: {Member: "shiwerdxopfa", Administrator: "shiwerdxopfa"},
		},
		Agent: {
			Self:      {Agent: "sh"},
			Colleague: {Agent: "s", Supervisor: "s", Auditor: "s", Owner: "s"},
			Customer:  {Member: "shiwerdopf", Administrator: "shiwerdopf"},
		},
		Supervisor: {
			Self:      {Supervisor: "sh"},
			Colleague: {Agent: "shdopfa", Supervisor: "s", Auditor: "s", Owner: "s"},
			Customer:  {Member: "shiwerdxopfa", Administrator: "shiwerdxopfa"},
		},
		Auditor: {
			Self:      {Auditor: "sh"},
			Colleague: {Agent: "sh", Supervisor: "sh", Auditor: "sh", Owner: "sh"},
			Customer:  {Member: "sh", Administrator: "sh"},
		},
		Owner: {
			Self:      {Owner: "sh"},
			Colleague: {Agent: "shiwerdxopfa", Supervisor: "shiwerdxopfa", Auditor: "shiwerdxopfa", Owner: "shiwerdxopfa"},
			Customer:  {Member: "shiwerdxopfa", Administrator: "shiwerdxopfa"},
		},
	}
	allowed, refused := 0, 0
	for _, by := range everybody {
		for _, as := range []Relation{Self, Colleague, Customer, Operator} {
			for _, to := range everybody {
				if as == Self && to != by || as == Operator != (to.Staff() && !by.Staff()) && as == Operator {
					continue // no such pair
				}
				actor := Person{ID: "actor", Realm: "r", Organization: "own", Role: by, State: Active}
				whom := who(to, as)
				for i, act := range allActs {
					expect := strings.Contains(want[by][Relate(actor, whom)][to], letters[i:i+1])
					err := May(actor, act, whom)
					if (err == nil) != expect {
						t.Errorf("%s, %s, %s who is a %s: got %v, want allowed=%v", by, act, as, to, err, expect)
					}
					if err == nil {
						allowed++
						continue
					}
					refused++
					visible := strings.Contains(want[by][Relate(actor, whom)][to], "s")
					if f := fault.As(err); f == nil || visible && f.Code != "not-allowed" || !visible && f.Code != "not-found" {
						t.Errorf("%s, %s, %s %s: refused with %v, visible=%v", by, act, as, to, err, visible)
					}
				}
			}
		}
	}
	if allowed < 100 || refused < 500 {
		t.Fatalf("%d allowed, %d refused: this proves too little", allowed, refused)
	}
}

func TestEveryRuleHasAReason(t *testing.T) {
	for i, r := range Rules {
		if r.Why == "" || len(r.By) == 0 || len(r.Acts) == 0 || len(r.To) == 0 {
			t.Errorf("row %d says too little", i)
		}
	}
}

// Whatever the table says, these hold for any two people.
func TestREQ_B86_PromisesOfTheTable(t *testing.T) {
	person := rapid.Custom(func(t *rapid.T) Person {
		role := rapid.SampledFrom(everybody).Draw(t, "role")
		org := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "organization")
		if role.Staff() {
			org = "staff"
		}
		return Person{
			ID: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "id"), Realm: rapid.SampledFrom([]string{"r", "q"}).Draw(t, "realm"),
			Organization: org, Role: role, State: rapid.SampledFrom([]PersonState{Active, Active, Invited, Disabled}).Draw(t, "state"),
		}
	})
	rank := map[Role]int{Member: 0, Administrator: 1, Agent: 2, Auditor: 2, Supervisor: 3, Owner: 4}
	rapid.Check(t, func(t *rapid.T) {
		actor, whom := person.Draw(t, "actor"), person.Draw(t, "whom")
		if actor.ID == whom.ID {
			whom = actor
		}
		act := rapid.SampledFrom(allActs).Draw(t, "act")
		if May(actor, act, whom) != nil {
			return
		}
		changes := act != See && act != SeeHistory
		switch {
		case actor.State != Active:
			t.Fatal("somebody who is not active acts")
		case actor.Realm != whom.Realm:
			t.Fatal("across realms")
		case !actor.Role.Staff() && actor.Organization != whom.Organization:
			t.Fatal("a customer reaches another organization")
		case changes && actor.Role == Auditor:
			t.Fatal("an auditor changes something")
		case changes && actor.ID == whom.ID:
			t.Fatal("somebody does it to themselves")
		case changes && rank[whom.Role] > rank[actor.Role]:
			t.Fatal("above their own role")
		case changes && actor.Role == Member:
			t.Fatal("a member changes somebody")
		case act == Invite && whom.Role.Staff() && actor.Role != Owner:
			t.Fatal("staff invited by somebody else than an owner")
		}
	})
}

func TestMayInviteAndAssign(t *testing.T) {
	own := Organization{ID: "own", Realm: "r", State: Active}
	desk := Organization{ID: "staff", Realm: "r", Staff: true, State: Active}
	admin := Person{ID: "a", Realm: "r", Organization: "own", Role: Administrator, State: Active}
	owner := Person{ID: "o", Realm: "r", Organization: "staff", Role: Owner, State: Active}
	agent := Person{ID: "g", Realm: "r", Organization: "staff", Role: Agent, State: Active}
	member := Person{ID: "m", Realm: "r", Organization: "own", Role: Member, State: Active}
	for _, c := range []struct {
		name string
		err  error
		code string
	}{
		{"administrator invites a colleague", MayInvite(admin, Member, own), ""},
		{"administrator invites elsewhere", MayInvite(admin, Member, Organization{ID: "x", Realm: "r"}), "not-found"},
		{"administrator invites staff at home", MayInvite(admin, Agent, own), "not-found"},
		{"member invites", MayInvite(member, Member, own), "not-found"},
		{"owner invites staff", MayInvite(owner, Agent, desk), ""},
		{"owner invites a customer among staff", MayInvite(owner, Member, desk), "not-found"},
		{"owner invites a customer", MayInvite(owner, Administrator, own), ""},
		{"owner invites staff into a customer", MayInvite(owner, Agent, own), "not-found"},
		{"agent invites an agent", MayInvite(agent, Agent, desk), "not-allowed"},
		{"administrator lifts a member", MayAssign(admin, member, Administrator, own), ""},
		{"administrator makes staff", MayAssign(admin, member, Agent, own), "not-allowed"},
		{"administrator lifts themselves", MayAssign(admin, admin, Member, own), "not-allowed"},
		{"owner makes a supervisor", MayAssign(owner, agent, Supervisor, desk), ""},
		{"owner makes staff a member", MayAssign(owner, agent, Member, desk), "not-allowed"},
		{"agent makes a colleague supervisor", MayAssign(agent, Person{ID: "h", Realm: "r", Organization: "staff", Role: Agent}, Supervisor, desk), "not-allowed"},
		{"no such role", RoleFits("king", own), "role-invalid"},
	} {
		got := ""
		if f := fault.As(c.err); f != nil {
			got = f.Code
		}
		if got != c.code {
			t.Errorf("%s: %v, want %q", c.name, c.err, c.code)
		}
	}
	if MayListAll(admin) || !MayListAll(agent) || MayOrganize(admin) || !MayOrganize(agent) {
		t.Error("lists and organizations")
	}
}
