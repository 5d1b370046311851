package admin

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/limit"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/secret"
)

// Requests is what administrators and staff do about people who lost something: open a request, check who asked, approve,
// refuse, cancel. Its rules stand in package helpdesk; here they meet the people there are. What it gives is a grant to
// enrol: nobody here ever sees or sets anything that signs in (SECURITY S8), and nothing is deleted.
//
//   - Every method loads the person in the transaction that acts, and asks directory.May for the pair (SEC Z).
//   - Every step is told to the person, and to the others who look after them, in the same transaction (SEC H-7).
//   - Every change of a request goes through its version: of two at once one happens, the other is told to look again.
type Requests struct {
	Store  RequestStore
	Ring   *secret.Ring
	Realms login.Realms
	Rules  PolicyOf
	Clock  func() time.Time
	Count  func(metric string, labels ...string) // nil for none
}

// PolicyOf tells which policy counts for a person.
type PolicyOf interface {
	RulesOf(*login.Realm, directory.Person, directory.Organization) (authn.Rules, error)
}

// RequestTx is what requests need of one transaction.
type RequestTx interface {
	PeopleTx
	AddHelpRequest(helpdesk.Request) error
	BeginCallerCheck(realm, request, agent string, now time.Time) (fresh bool, err error)
	HelpFound(helpdesk.Search) ([]helpdesk.Request, error)
	Mail(realm, id string) (mail.Message, error)
}

// RequestStore begins transactions.
type RequestStore interface {
	Read(context.Context, func(RequestTx) error) error
	Write(context.Context, func(RequestTx) error) error
}

// Bounds of what is typed, and of how often somebody is asked about.
const (
	reasonLeast = 10
	wordsMost   = 2000
	noteLeast   = 3
	openLimit   = 10 // requests opened about one person within a day
)

// Wish is what somebody opens for another person.
type Wish struct {
	Person     string
	Ticket     string // id of a request from the form that this one answers, empty for none
	Kinds      []authn.Kind
	Everything bool
	Reason     string
	Channel    helpdesk.Channel
}

// Open opens a request for another person. It approves nothing.
//
// Errors: what directory.May returns; fault.Invalid "reason-short" (field reason), "kinds-missing" (kinds), "channel-missing"
// (channel), "text-long" (reason); fault.Conflict "never-active" (an invitation is what helps), "person-shut" (the account
// must be enabled first), "request-no-way" (the policy has no line that such a request could open), "help-over" (the
// ticket was closed); fault.NotFound for a ticket that is about somebody else; fault.Exists "request-open" with the number
// and who opened it; fault.Throttled "too-many-requests": about one person only so many are opened within a day.
func (s *Requests) Open(ctx context.Context, by login.By, w Wish) (r helpdesk.Request, err error) {
	now := s.Clock()
	var p directory.Person
	err = s.Store.Write(ctx, func(tx RequestTx) (err error) {
		r, p, err = s.open(tx, by, w, now)
		return err
	})
	return r, s.tripped(ctx, err, by.EventAbout(p, now, "", "", nil))
}

// Reset opens and approves in one go: how an administrator gives somebody of their own organization a new set-up. Where a
// second person has to look as well, it stays open until they have. Errors are those of Open and Approve.
func (s *Requests) Reset(ctx context.Context, by login.By, w Wish) (r helpdesk.Request, err error) {
	now := s.Clock()
	var p directory.Person
	err = s.Store.Write(ctx, func(tx RequestTx) (err error) {
		if r, p, err = s.open(tx, by, w, now); err != nil {
			return err
		}
		r, err = s.approve(tx, by, r, p, now)
		return err
	})
	return r, s.tripped(ctx, err, by.EventAbout(p, now, "", "", nil))
}

func (s *Requests) open(tx RequestTx, by login.By, w Wish, now time.Time) (r helpdesk.Request, p directory.Person, err error) {
	act := directory.ResetFactor
	if slices.Equal(w.Kinds, []authn.Kind{authn.Password}) && !w.Everything {
		act = directory.ResetPassword
	}
	if p, err = tx.Person(by.Person.Realm, w.Person); err != nil {
		return r, p, err
	}
	if err = directory.May(by.Person, act, p); err != nil {
		return r, p, err
	}
	w.Reason = directory.Line(w.Reason)
	switch {
	case utf8.RuneCountInString(w.Reason) < reasonLeast:
		return r, p, fault.New(fault.Invalid, "reason-short", "min", reasonLeast).In("reason")
	case utf8.RuneCountInString(w.Reason) > wordsMost:
		return r, p, fault.New(fault.Invalid, "text-long", "max", wordsMost).In("reason")
	case !w.Everything && !helpdesk.Lockable(w.Kinds):
		return r, p, fault.New(fault.Invalid, "kinds-missing").In("kinds")
	case !slices.Contains(helpdesk.Channels, w.Channel):
		return r, p, fault.New(fault.Invalid, "channel-missing").In("channel")
	case !p.EverActive():
		return r, p, fault.New(fault.Conflict, "never-active")
	case p.State.Shut():
		return r, p, fault.New(fault.Conflict, "person-shut")
	}
	if err := s.clear(tx, p, now); err != nil {
		return r, p, err
	}
	if err := s.pace(tx, p, now); err != nil {
		return r, p, err
	}
	if _, _, err := s.policy(tx, by.Realm, p, w.Kinds, w.Everything); err != nil {
		return r, p, err
	}
	why := helpdesk.FactorLost
	switch {
	case w.Everything:
		why = helpdesk.EverythingLost
	case act == directory.ResetPassword:
		why = helpdesk.PasswordLost
	}
	fresh := func(r *helpdesk.Request) {
		r.Person, r.Organization, r.Address, r.Kinds, r.Everything = p.ID, p.Organization, p.Address, w.Kinds, w.Everything
		r.Why, r.Reason, r.Opener = why, w.Reason, by.Person.ID
		r.Approvals, r.Needed = nil, 0 // a yes was to what was asked then
	}
	if w.Ticket != "" {
		if r, err = tx.HelpRequest(by.Person.Realm, w.Ticket); err != nil {
			return r, p, err
		}
		if r.Person != "" && r.Person != p.ID || r.Address != p.Address {
			return r, p, fault.New(fault.NotFound, "not-found")
		}
		if r.State != helpdesk.Open || r.Over(now) {
			return r, p, fault.New(fault.Conflict, "help-over")
		}
		if live, err := tx.HelpRequestsLive(p.Realm, p.ID); err != nil {
			return r, p, err
		} else if len(live) > 0 && live[0].ID != r.ID {
			return r, p, s.inTheWay(tx, live[0], p)
		}
		fresh(&r)
		err = s.update(tx, &r)
	} else {
		r = helpdesk.Request{ID: newID(), Realm: p.Realm, Number: newNumber(), Channel: w.Channel, State: helpdesk.Open, Asked: 1, Created: now}
		fresh(&r)
		err = tx.AddHelpRequest(r)
	}
	if fault.Of(err, fault.Exists) {
		return r, p, s.taken(tx, p)
	}
	if err != nil {
		return r, p, err
	}
	s.count("opened", r)
	if err := tx.Audit(by.EventAbout(p, now, "request.opened", w.Reason, facts(r))); err != nil {
		return r, p, err
	}
	return r, p, s.tell(tx, by, p, "request-opened", r, now)
}

// pace counts what is opened about a person. Without it, asking again and again would push what was refused out of the
// newest requests, which are what the next decision looks at.
func (s *Requests) pace(tx RequestTx, p directory.Person, now time.Time) error {
	return limit.Budget{Key: "request:" + p.ID, Limit: openLimit, Window: daily, Code: "too-many-requests"}.Take(tx, now)
}

// clear closes a request about a person whose time is over, so that a new one can be opened.
func (s *Requests) clear(tx RequestTx, p directory.Person, now time.Time) error {
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	if err != nil {
		return err
	}
	for _, r := range live {
		if !r.Over(now) {
			continue
		}
		r.State, r.Closed, r.ClosedWhy = helpdesk.Cancelled, now, "expired"
		if err := tx.UpdateHelpRequest(r); err != nil {
			return err
		}
	}
	return nil
}

// taken says which request is in the way.
func (s *Requests) taken(tx RequestTx, p directory.Person) error {
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	if err != nil {
		return err
	}
	if len(live) == 0 {
		return fault.New(fault.Conflict, "stale") // the number was taken: the next try draws another
	}
	return s.inTheWay(tx, live[0], p)
}

// inTheWay names the request by which a person is being helped already, and who opened it: the colleague to speak with. A
// freeze was asked for by the person.
func (s *Requests) inTheWay(tx RequestTx, r helpdesk.Request, p directory.Person) error {
	by, err := nameOf(tx, r.Realm, r.Opener)
	if err != nil {
		return err
	}
	if by == "" {
		by = p.Name
	}
	return fault.New(fault.Exists, "request-open", "number", r.Number, "by", by)
}

// policy says how many approvers the policy wants for what is named, and whether something that remains, and the mailbox,
// have to be shown whichever way is taken.
func (s *Requests) policy(tx RequestTx, realm *login.Realm, p directory.Person, kinds []authn.Kind, everything bool) (approvers int, remains bool, err error) {
	org, err := tx.Organization(p.Realm, p.Organization)
	if err != nil {
		return 0, false, err
	}
	rules, err := s.Rules.RulesOf(realm, p, org)
	if err != nil {
		return 0, false, err
	}
	creds, err := tx.Credentials(p.Realm, p.ID)
	if err != nil {
		return 0, false, err
	}
	who := authn.Person{ID: p.ID, EverActive: true, Held: authn.Holdings(creds)}
	var left []authn.Kind
	for _, c := range creds {
		if c.State == authn.Active && !everything && !slices.Contains(kinds, c.Kind) {
			left = append(left, c.Kind)
		}
	}
	once := []authn.Kind{authn.Mail, authn.Call, authn.Spoken}
	remains = true
	for n := 1; n <= 2; n++ {
		g := authn.Grant{ID: "wish", Kinds: kinds, Any: everything, Approvers: n}
		if !authn.Helps(rules, who, g, slices.Concat(left, once)...) {
			continue
		}
		if approvers == 0 {
			approvers = n
		}
		// Two may approve where one would do, and open what one does not: that way counts as well.
		remains = remains && !authn.Helps(rules, who, g, once...) && !authn.Helps(rules, who, g, slices.Concat(left, once[1:])...)
	}
	if approvers == 0 {
		return 0, false, fault.New(fault.Conflict, "request-no-way")
	}
	return approvers, remains, nil
}

// update stores a request and moves its version on.
func (s *Requests) update(tx RequestTx, r *helpdesk.Request) error {
	if err := tx.UpdateHelpRequest(*r); err != nil {
		return err
	}
	r.Version++
	return nil
}

func (s *Requests) count(what string, r helpdesk.Request) {
	if s.Count != nil {
		s.Count("request", "what", what, "why", string(r.Why))
	}
}

// facts are what an event about a request keeps.
func facts(r helpdesk.Request) map[string]string {
	kinds := make([]string, len(r.Kinds))
	for i, k := range r.Kinds {
		kinds[i] = string(k)
	}
	if r.Everything {
		kinds = []string{"everything"}
	}
	return map[string]string{"request": r.ID, "number": r.Number, "kinds": strings.Join(kinds, " "), "channel": string(r.Channel)}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newNumber is 40 random bits to say on the phone. It opens nothing.
func newNumber() string { return secret.Typed()[:9] }

// tell writes to the person what was done about them, with a link that stops it, and to the others who look after them
// (SEC H-2: every channel there is, and all administrators). The actor is not written to.
func (s *Requests) tell(tx RequestTx, by login.By, p directory.Person, template string, r helpdesk.Request, now time.Time) error {
	args := s.args(by, p, r)
	if template != "request-approved" { // that one carries the link, see login.SendRecovery
		if err := tx.Enqueue(by.NoticeTo(p, now, template, args)); err != nil {
			return err
		}
	}
	others, err := s.beside(tx, p)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == by.Person.ID || o.ID == p.ID {
			continue
		}
		args["address"] = named(o, p, p.Address)
		if err := tx.Enqueue(by.NoticeTo(o, now, template+"-console", args)); err != nil {
			return err
		}
	}
	return nil
}

// notice is a mail to the person alone.
func (s *Requests) notice(by login.By, p directory.Person, template string, r helpdesk.Request, now time.Time) mail.Message {
	return by.NoticeTo(p, now, template, s.args(by, p, r))
}

func (s *Requests) args(by login.By, p directory.Person, r helpdesk.Request) map[string]string {
	return map[string]string{
		"number": r.Number, "reason": r.Reason, "name": p.Name, "address": p.Address,
		"cancel": by.Realm.Origin + "/requests/stop/" + helpdesk.StopToken(s.Ring, r),
	}
}

// beside are the others who look after a person: the administrators of a customer's organization, the owners for staff.
func (s *Requests) beside(tx RequestTx, p directory.Person) ([]directory.Person, error) {
	if !p.Role.Staff() {
		return tx.Administrators(p.Realm, p.Organization)
	}
	return s.staff(tx, p.Realm, directory.Owner)
}

// staff are the active people of the realm's own organization with a role.
func (s *Requests) staff(tx RequestTx, realm string, role directory.Role) ([]directory.Person, error) {
	return tx.People(directory.PersonFilter{Realm: realm, Role: role, State: directory.Active, Limit: 50})
}
