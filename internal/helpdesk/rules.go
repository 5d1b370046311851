package helpdesk

import (
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
)

// The rules of requests (DESIGN R5, R6; SEC H-1 to H-6). What the policy lets a grant open stands in authn; here stands
// what it takes to get one. The engine asks for the rest: what remains, and a round trip to the stored mailbox.
//
//   - Q1 A request names kinds, or everything. Approvers are counted as the policy wants for these kinds (grant: one,
//     grant2: two), and never fewer: a request that no line of the policy could use is refused at once.
//   - Q2 Two approvers, whatever the policy says: for an administrator or staff, and for who was one in the last seven days
//     (else whoever may give roles takes one away first, and then decides alone); where the number to call back was put on
//     file in the last seven days, unless somebody vouches who knows them; for everything; where a check about
//     this person failed, or a request was refused, in the last seven days; for a share of all others that nobody can
//     predict, nor shake off by asking again; for a second grant within a day; and beyond an agent's daily number.
//   - Q3 An approver is not the person, not below them, and no two approvals are of one person. Who opened a request may
//     be the first to approve it, never the second. The second is of a higher role than agent where the first was an
//     agent (directory.Approve), and of staff where the person is, or lately was, more than a member: an administrator
//     can invite a second account of their own and give it their role. An owner can, too: so neither of the two invited
//     the other, or gave them a role, in the last seven days. Whoever else decides was told of that invitation.
//   - Q4 Every required check of the realm has passed, with a note, before anybody of staff approves. An administrator
//     who vouches for a person of their own organization gives a reason instead: they know them. A required check that
//     failed stands until the same check passed at the hands of somebody who never failed it; before that nobody
//     approves, whoever they are. An optional one that failed brings a second approver.
//   - Q5 The cooling-off runs from the last approval. It is nothing where the person still has to show something that
//     remains, and their mailbox; otherwise an hour, and a day for administrators and staff.
//   - Q6 Nobody approves that the same person's password and their second factor go within 72 hours of each other: the
//     second of the two needs two, and neither is somebody who approved the first.
//   - Q7 An approval counts as long as its approver could still give it: who was disabled or demoted since, does not.
//   - Q9 to Q11, for who has nothing left and asks nobody, stand in alone.go.
//   - Q8 One request per person at a time. Cancelling works until the grant is used up, by a link without a login.

// Need is what one request takes to become a grant.
type Need struct {
	Approvers int
	Checks    []string // ids of the checks that have to pass
	Cooling   time.Duration
	Because   []string // why two: "privileged", "demoted", "number", "everything", "policy", "failed-check", "refused", "sample", "limit", "again", "both"
	Raised    bool     // see Case
}

// Case is what a need is computed from.
type Case struct {
	Target   directory.Person
	Kinds    []authn.Kind
	All      bool
	Policy   int           // approvers that the policy asks for, 1 or 2
	Remains  bool          // however many approve, every way asks for something that the person holds and for the mailbox
	Vouched  bool          // the first approver is an administrator of the person's own organization
	Failed   bool          // a check about this person failed lately
	Refused  bool          // a request about them was refused lately
	Sampled  bool          // chosen for a second look
	Beyond   bool          // the approver's daily number is used up
	Demoted  bool          // was an administrator or staff lately
	Number   bool          // the number to call back is on file since lately
	Again    bool          // there was a grant for them within a day already
	Both     bool          // the other factor was let go within 72 hours, or both go now
	Raised   bool          // who is asked was lately invited, or given a role, by who approved already, or the other way round
	Required []string      // checks the realm requires for this case
	Cooling  time.Duration // where nothing that remains is shown
	Longer   time.Duration // the same for administrators and staff
}

// Compute says what a case needs.
func Compute(c Case) Need {
	n := Need{Approvers: max(1, c.Policy), Raised: c.Raised}
	two := func(yes bool, why string) {
		if yes {
			n.Approvers = 2
			n.Because = append(n.Because, why)
		}
	}
	privileged := c.Target.Role != directory.Member
	two(c.Policy > 1, "policy")
	two(privileged, "privileged")
	two(!privileged && c.Demoted, "demoted")
	two(c.Number && !c.Vouched, "number")
	two(c.All, "everything")
	two(c.Failed, "failed-check")
	two(c.Refused, "refused")
	two(c.Sampled, "sample")
	two(c.Beyond, "limit")
	two(c.Again, "again")
	two(c.Both, "both")
	if !c.Vouched || c.Failed || c.Refused {
		n.Checks = slices.Clone(c.Required)
	}
	if !c.Remains || c.All {
		n.Cooling = c.Cooling
		if privileged || c.Demoted {
			n.Cooling = c.Longer
		}
	}
	return n
}

// Second reports whether somebody may be the second to approve what needs this (Q3): nil, or fault.Forbidden
// "second-staff" or "second-raised".
func (n Need) Second(by directory.Person) error {
	if n.Raised {
		return fault.New(fault.Forbidden, "second-raised")
	}
	if !by.Role.Staff() && (slices.Contains(n.Because, "privileged") || slices.Contains(n.Because, "demoted")) {
		return fault.New(fault.Forbidden, "second-staff")
	}
	return nil
}

// Missing are the required checks that have not passed. A check that failed counts as passed only when its last word is a
// pass by somebody who never failed it (Q4).
func (r Request) Missing(required []string) []string {
	return slices.DeleteFunc(slices.Clone(required), r.passed)
}

// Failed reports whether a check of the rule failed at any time.
func (r Request) Failed(rule string) bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Rule == rule && c.Result == Failed })
}

func (r Request) passed(rule string) bool {
	var last Check
	failed := map[string]bool{}
	for _, c := range r.Checks {
		if c.Rule != rule {
			continue
		}
		if last = c; c.Result == Failed {
			failed[c.By] = true
		}
	}
	return last.Result == Passed && !failed[last.By]
}

// AnyFailed reports whether a check of the request failed at any time.
func (r Request) AnyFailed() bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Result == Failed })
}

// MayApprove reports whether somebody may give the next approval (Q3): nil, or what directory.May returns, or
// fault.Forbidden "own-request" for the person themselves, "approved-already", "second-approver" for who opened it, and
// fault.Conflict "help-over".
func MayApprove(by, target directory.Person, r Request, now time.Time) error {
	if r.State != Open || r.Over(now) {
		return fault.New(fault.Conflict, "help-over")
	}
	if by.ID == target.ID || by.ID == r.Person {
		return fault.New(fault.Forbidden, "own-request")
	}
	if slices.ContainsFunc(r.Approvals, func(a Approval) bool { return a.By == by.ID }) {
		return fault.New(fault.Forbidden, "approved-already")
	}
	if len(r.Approvals) == 0 {
		return directory.May(by, directory.ResetFactor, target)
	}
	if by.ID == r.Opener {
		return fault.New(fault.Forbidden, "second-approver")
	}
	return directory.May(by, directory.Approve, target)
}

// Counting are the approvals that still count: of people who could give them now (Q7). people are the approvers as they
// are now; one who is missing does not count.
func (r Request) Counting(target directory.Person, people []directory.Person) int {
	n := 0
	for i, a := range r.Approvals {
		j := slices.IndexFunc(people, func(p directory.Person) bool { return p.ID == a.By })
		if j < 0 {
			continue
		}
		act := directory.ResetFactor
		if i > 0 {
			act = directory.Approve
		}
		if directory.May(people[j], act, target) == nil {
			n++
		}
	}
	return n
}

// Grant is what an approved request opens, for the engine; ok is false for one that opens nothing: closed, over, of
// another person, or with fewer approvals that count than it needed.
func (r Request) Grant(target directory.Person, people []directory.Person) (g authn.Grant, ok bool) {
	if r.State != Approved || r.Person != target.ID || r.From.IsZero() || r.Until.IsZero() {
		return g, false
	}
	if r.Alone() {
		return authn.Grant{ID: r.ID, Kinds: r.Kinds, Approvers: 1, From: r.From, Until: r.Until}, target.Role == directory.Member
	}
	n := r.Counting(target, people)
	if n < r.Needed || n == 0 {
		return g, false
	}
	return authn.Grant{ID: r.ID, Kinds: r.Kinds, Any: r.Everything, Approvers: n, From: r.From, Until: r.Until}, true
}

// categories are what kinds prove together.
func categories(kinds []authn.Kind) (all authn.Category) {
	for _, k := range kinds {
		info, _ := authn.Info(k)
		all |= info.Categories
	}
	return all
}

// FactorsApart is how far apart a person's password and their second factor may be let go (SEC H-3).
const FactorsApart = 72 * time.Hour

// Both reports whether, with this request, what somebody knows and what they have would both have been let go within
// FactorsApart; earlier are the other requests about the person.
func Both(kinds []authn.Kind, all bool, earlier []Request, now time.Time) bool {
	if all || categories(kinds) == authn.Knowledge|authn.Possession {
		return true
	}
	return slices.ContainsFunc(earlier, func(e Request) bool {
		if e.Alone() {
			return !e.From.IsZero() && other(kinds, e) && now.Sub(e.From) < FactorsApart
		}
		return !e.From.IsZero() && other(kinds, e) && slices.ContainsFunc(e.Approvals, func(a Approval) bool { return now.Sub(a.At) < FactorsApart })
	})
}

// LetGo reports whether somebody approved that the other factor goes, within FactorsApart: they do not approve this one,
// not even as one of two. What came of the other request does not matter.
func LetGo(by string, kinds []authn.Kind, all bool, earlier []Request, now time.Time) bool {
	return slices.ContainsFunc(earlier, func(e Request) bool {
		return (all || e.Everything || other(kinds, e)) && slices.ContainsFunc(e.Approvals, func(a Approval) bool {
			return a.By == by && now.Sub(a.At) < FactorsApart
		})
	})
}

// other reports whether an earlier request names something that kinds do not prove.
func other(kinds []authn.Kind, e Request) bool {
	mine := categories(kinds)
	return e.Everything || categories(e.Kinds)|mine != mine
}

// Again reports whether there was a grant about the person within a day, used or not (SEC H-2).
func Again(earlier []Request, now time.Time) bool {
	return slices.ContainsFunc(earlier, func(e Request) bool {
		if e.From.IsZero() || len(e.Approvals) == 0 && !e.Alone() {
			return false
		}
		last := e.From
		if !e.Alone() {
			last = e.Approvals[len(e.Approvals)-1].At
		}
		if e.State == Done && e.Closed.After(last) {
			last = e.Closed
		}
		return now.Sub(last) < 24*time.Hour
	})
}

// Lately is how long a refusal, a failed check, a lost role or a new number makes the next request about the same person harder (Q2).
const Lately = 7 * 24 * time.Hour

// Suspect says what earlier requests about a person tell: whether a check failed, or a request was refused, lately.
func Suspect(earlier []Request, now time.Time) (failed, refused bool) {
	for _, e := range earlier {
		if e.State == Refused && now.Sub(e.Closed) < Lately {
			refused = true
		}
		for _, c := range e.Checks {
			if c.Result == Failed && now.Sub(c.At) < Lately {
				failed = true
			}
		}
	}
	return failed, refused
}

// MustPass are the checks that have to pass before somebody approves: customers make none, what failed stands for them too.
func MustPass(by directory.Person, r Request, need Need) []string {
	if by.Role.Staff() {
		return need.Checks
	}
	return slices.DeleteFunc(slices.Clone(need.Checks), func(rule string) bool { return !r.Failed(rule) })
}

// Lockable reports whether kinds name something that can be enrolled anew, each once.
func Lockable(kinds []authn.Kind) bool {
	for i, k := range kinds {
		if info, ok := authn.Info(k); !ok || !info.Held || k == authn.Recovery || slices.Contains(kinds[:i], k) {
			return false
		}
	}
	return len(kinds) > 0
}
