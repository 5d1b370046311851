package admin

import (
	"context"
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
)

// InboxPage is how many requests a page of the inbox holds.
const InboxPage = 50

// Item is one request in the inbox, with whom it is about as far as anybody knows.
type Item struct {
	helpdesk.Request
	Who      directory.Person // zero where nobody has the address
	Customer directory.Organization
	Waits    string // who has to act: "check", "approve", "second", "cooling", "ready", "answer", "over"
}

// Inbox is one page of requests, newest first.
type Inbox struct {
	Items    []Item
	Next     string // id that the next page begins after, empty where this is the last
	Staff    bool
	Open     int // of those that the filter lets through, whatever state it asks for and on every page
	Approved int
	More     bool // there may be more than were counted
}

// Filter narrows the inbox; what the actor may not see is left out whatever it asks for.
type Filter struct {
	State    helpdesk.State // Open, Approved or Ended; empty: Open and Approved
	Mine     bool           // opened, checked, approved or ended by the actor
	Customer string         // the beginning of an organization's name; for staff
	Before   string         // Next of the page before
}

// countMost is how many requests are counted: more than an inbox should ever hold.
const countMost = 200

// whose is the organization whose requests the actor looks after, empty for all of the realm.
func whose(by login.By) (string, error) {
	switch {
	case directory.MayListAll(by.Person):
		return "", nil
	case by.Person.Role == directory.Administrator:
		return by.Person.Organization, nil
	}
	return "", fault.New(fault.Forbidden, "not-allowed")
}

// List pages through the requests that the actor looks after: staff see all of the realm, customer administrators those of
// their own people. Nobody sees requests about themselves here. It fails with fault.Forbidden "not-allowed" for others.
func (s *Requests) List(ctx context.Context, by login.By, f Filter) (box Inbox, err error) {
	organization, err := whose(by)
	if err != nil {
		return box, err
	}
	search := helpdesk.Search{Realm: by.Person.Realm, Organization: organization, State: f.State, Before: f.Before, Limit: InboxPage + 1}
	if f.Mine {
		search.Mine = by.Person.ID
	}
	if organization == "" {
		search.Customer = f.Customer
	}
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx RequestTx) error {
		box = Inbox{Staff: organization == ""}
		count := search
		count.Limit = countMost
		if err := s.tally(tx, by, count, &box, now); err != nil {
			return err
		}
		found, err := tx.HelpFound(search)
		if err != nil {
			return err
		}
		if len(found) > InboxPage {
			found = found[:InboxPage]
			box.Next = found[InboxPage-1].ID
		}
		for _, r := range found {
			item, err := s.item(tx, by, r, now)
			if err != nil {
				return err
			}
			if item.Who.ID == by.Person.ID || item.Who.ID != "" && directory.May(by.Person, directory.SeeHistory, item.Who) != nil {
				continue
			}
			if item.Who.ID != "" {
				hide, err := veils(tx, by, item.Who, helpdesk.Request{})
				if err != nil {
					return err
				}
				if hide {
					item.veil()
				}
			}
			box.Items = append(box.Items, item)
		}
		return nil
	})
	return box, err
}

// item finds whom a request is about, and who has to act.
func (s *Requests) item(tx RequestTx, by login.By, r helpdesk.Request, now time.Time) (item Item, err error) {
	item = Item{Request: r, Waits: "answer"}
	if item.Who, err = about(tx, r); err != nil {
		return item, err
	}
	if item.Who.ID != "" {
		if item.Customer, err = tx.Organization(r.Realm, item.Who.Organization); err != nil {
			return item, err
		}
	}
	switch {
	case r.Over(now):
		item.Waits = "over"
	case r.State == helpdesk.Approved && now.Before(r.From):
		item.Waits = "cooling"
	case r.State == helpdesk.Approved:
		item.Waits = "ready"
	case len(r.Approvals) > 0:
		item.Waits = "second"
	case r.Person != "" && (r.Everything || len(r.Kinds) > 0):
		item.Waits = "check"
		if len(r.Missing(by.Realm.Requests.Strict().Required())) == 0 {
			item.Waits = "approve"
		}
	}
	return item, nil
}

// Case is everything that somebody who decides about a request looks at.
type Case struct {
	Item
	Veiled    bool // what a caller could be asked for is left out: the actor has not begun to check
	MayBegin  bool
	Rules     []directory.CheckRule // the checklist
	Missing   []string              // checks that have to pass before the actor can approve
	Need      helpdesk.Need         // as if the actor approved now
	NoWay     bool                  // the policy has no line that this could open
	Factors   []authn.Credential    // what the person holds, without Data
	Earlier   []helpdesk.Request    // other requests about them, newest first: what was refused is seen by the next
	Timeline  []audit.Event
	OpenedBy  string // name of who opened it for another, empty for whoever asked
	EndedBy   string // name of who closed it
	MayName   bool   // the actor may say what is lost: nobody has yet
	MayCheck  bool
	Approving error // why the actor cannot approve, nil where they can
	MayRefuse bool  // and answer
	MayStop   bool
}

// Waiting counts the requests that nobody has decided yet and that the actor looks after, for a glance from every page: a
// full page says no more than that it is full. It fails as List does.
func (s *Requests) Waiting(ctx context.Context, by login.By) (n int, err error) {
	organization, err := whose(by)
	if err != nil {
		return 0, err
	}
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx RequestTx) error {
		var box Inbox
		err := s.tally(tx, by, helpdesk.Search{Realm: by.Person.Realm, Organization: organization, Limit: InboxPage}, &box, now)
		n = box.Open
		return err
	})
	return n, err
}

// tally counts what waits whatever state a search asks for, by the rules of the list: no figure tells of a request that the actor does not see.
func (s *Requests) tally(tx RequestTx, by login.By, search helpdesk.Search, box *Inbox, now time.Time) error {
	search.State, search.Before = "", ""
	found, err := tx.HelpFound(search)
	if err != nil {
		return err
	}
	box.More = len(found) == search.Limit
	for _, r := range found {
		seen, err := shown(tx, by, r)
		if err != nil {
			return err
		}
		switch {
		case !seen || r.Over(now):
		case r.State == helpdesk.Open:
			box.Open++
		default:
			box.Approved++
		}
	}
	return nil
}

// shown reports whether the list shows a request of those that the actor looks after. It leaves out only some about people
// of the actor's own organization, so that the others are not looked up.
func shown(tx RequestTx, by login.By, r helpdesk.Request) (bool, error) {
	if r.Organization != by.Person.Organization {
		return true, nil
	}
	p, err := about(tx, r)
	if err != nil || p.ID == "" {
		return true, err
	}
	return p.ID != by.Person.ID && directory.May(by.Person, directory.SeeHistory, p) == nil, nil
}

// about is whom a request is about: its person, or whoever has the address that a form named; zero for nobody.
func about(tx RequestTx, r helpdesk.Request) (p directory.Person, err error) {
	if r.Person != "" {
		p, err = tx.Person(r.Realm, r.Person)
	} else {
		p, err = tx.PersonByAddress(r.Realm, r.Address)
	}
	if fault.Of(err, fault.NotFound) {
		return directory.Person{}, nil
	}
	return p, err
}

// Look loads one request. It fails with fault.NotFound for one that the actor may not see.
func (s *Requests) Look(ctx context.Context, by login.By, id string) (c Case, err error) {
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx RequestTx) error {
		r, err := tx.HelpRequest(by.Person.Realm, id)
		if err != nil {
			return err
		}
		c = Case{Rules: by.Realm.Requests.Strict().Checks}
		if c.Item, err = s.item(tx, by, r, now); err != nil {
			return err
		}
		unseen := fault.New(fault.NotFound, "not-found")
		switch {
		case c.Who.ID == by.Person.ID:
			return unseen // the person's own page tells them
		case c.Who.ID == "" && !directory.MayListAll(by.Person):
			return unseen
		case c.Who.ID != "" && directory.May(by.Person, directory.SeeHistory, c.Who) != nil:
			return unseen
		}
		able := directory.MayHandle(by.Person, directory.ResetFactor, c.Who) == nil
		c.MayRefuse = able && r.State == helpdesk.Open
		c.MayStop = able && (r.State == helpdesk.Open || r.State == helpdesk.Approved)
		c.MayName = able && r.State == helpdesk.Open && !r.Over(now) && c.Who.ID != "" && !r.Everything && len(r.Kinds) == 0
		if c.OpenedBy, err = nameOf(tx, r.Realm, r.Opener); err != nil {
			return err
		}
		if c.EndedBy, err = nameOf(tx, r.Realm, r.ClosedBy); err != nil || c.Who.ID == "" {
			return err
		}
		if c.Factors, err = tx.CredentialsOf(r.Realm, []string{c.Who.ID}); err != nil {
			return err
		}
		for i := range c.Factors {
			c.Factors[i].Data = nil
		}
		if c.Earlier, err = tx.HelpRequestsOf(r.Realm, c.Who.ID, lastFew); err != nil {
			return err
		}
		c.Earlier = slices.DeleteFunc(c.Earlier, func(e helpdesk.Request) bool { return e.ID == r.ID })
		if c.Timeline, err = tx.Events(audit.Query{Realm: r.Realm, Person: c.Who.ID, Limit: 40}); err != nil {
			return err
		}
		if err := s.decision(tx, by, &c, now); err != nil {
			return err
		}
		hide, err := veils(tx, by, c.Who, r)
		if hide {
			c.veil()
			c.MayBegin = able && r.Person != "" && !r.Over(now)
		}
		return err
	})
	return c, err
}

// decision fills in what the actor can do with a request that names its person and what it is about.
func (s *Requests) decision(tx RequestTx, by login.By, c *Case, now time.Time) error {
	c.MayCheck = c.State == helpdesk.Open && c.Person != "" && by.Person.Role.Staff() && directory.May(by.Person, directory.ResetFactor, c.Who) == nil
	c.Approving = helpdesk.MayApprove(by.Person, c.Who, c.Request, now)
	if c.Person == "" || !c.Everything && len(c.Kinds) == 0 {
		c.Approving = fault.New(fault.Conflict, "request-nobody")
		return nil
	}
	if c.State != helpdesk.Open {
		return nil
	}
	if c.Who.State.Shut() && c.Approving == nil {
		c.Approving = fault.New(fault.Conflict, "person-shut")
	}
	facts, earlier, err := s.judge(tx, by, c.Request, c.Who, now)
	if is(err, "request-no-way") {
		c.NoWay, c.Approving = true, err
		return nil
	}
	if err != nil {
		return err
	}
	if len(c.Approvals) == 0 {
		facts.Sampled = false // who saw it before the first yes would stop the request and open one that was not chosen
	}
	c.Need = helpdesk.Compute(facts)
	c.Missing = c.Request.Missing(helpdesk.MustPass(by.Person, c.Request, c.Need))
	if c.Approving == nil && len(c.Approvals) > 0 {
		c.Approving = c.Need.Second(by.Person)
	}
	if c.Approving == nil && helpdesk.LetGo(by.Person.ID, c.Kinds, c.Everything, earlier, now) {
		c.Approving = fault.New(fault.Forbidden, "factors-apart")
	}
	return nil
}

// Answer closes a request that was answered otherwise: no grant was needed, or the form asked for something else. Errors
// are those of Refuse.
func (s *Requests) Answer(ctx context.Context, by login.By, id string, version int64, words string) (r helpdesk.Request, err error) {
	now := s.Clock()
	if words, err = Reason(words); err != nil {
		return r, err
	}
	err = s.Store.Write(ctx, func(tx RequestTx) error {
		var p directory.Person
		if r, p, err = s.about(tx, by, directory.ResetFactor, id); err != nil && !is(err, "request-nobody") {
			return err
		}
		if r.Version != version {
			return fault.New(fault.Conflict, "stale")
		}
		if r.State != helpdesk.Open {
			return fault.New(fault.Conflict, "help-over")
		}
		r.State, r.Closed, r.ClosedBy, r.ClosedWhy = helpdesk.Done, now, by.Person.ID, words
		r.Approvals = nil
		if err := s.update(tx, &r); err != nil {
			return err
		}
		s.count("answered", r)
		if r.Person == "" {
			e := by.Event(now, "request.answered", words, facts(r))
			e.Person, e.Organization = "", r.Organization
			return tx.Audit(e)
		}
		if err := tx.Enqueue(s.notice(by, p, "request-answered", r, now)); err != nil {
			return err
		}
		return tx.Audit(by.EventAbout(p, now, "request.answered", words, facts(r)))
	})
	return r, err
}
