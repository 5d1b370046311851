// Package calls is the agent's side of a call in which a person reads a code (package activation): find the session that
// waits, say the words, type the code, check the caller, confirm or reject.
//
// Its rules stand in package activation; here they meet the people there are.
//
//   - An activation is reached through its person and nowhere else: who opened somebody else finds nothing, whatever was
//     typed (SEC A-3). There is no search by code.
//   - An entry goes the way of all evidence: load, expected now, reserve and commit, compare outside of any transaction, then
//     one transaction that looks again and records what came of it. What it leads to enters the flow by login.Prove, in the
//     browser that waits.
//   - Every step loads the agent's and the person's standing in the transaction that acts, and goes through the version: of a
//     confirmation and a rejection at once one happens.
//   - A flow that is over takes nothing: its code is dead with it. So is that of a certificate that has ended.
package calls

import (
	"context"
	"slices"
	"time"

	"doorward/internal/activation"
	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/secret"
)

// Desk is the agent's side. It is safe for concurrent use.
type Desk struct {
	Store    Store
	Ring     *secret.Ring
	Requests *admin.Requests // for what a rejection refuses
	Clock    func() time.Time
	Count    func(metric string, labels ...string) // nil for none
	Compared func()                                // called at each comparison of a code, for tests; nil for none
}

// Tx is what calls need of one transaction.
type Tx interface {
	admin.RequestTx
	Activation(realm, id string) (activation.Activation, error)
	ActivationsOf(realm, person string, limit int) ([]activation.Activation, error)
	TryActivation(id, agent string, limit int, now time.Time) (int, error)
	UpdateActivation(activation.Activation) error
	Certificate(realm, id string) (pki.Certificate, error)
	UpdateCertificate(pki.Certificate) error
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// lastFew is how many earlier attempts an agent is shown.
const lastFew = 20

// Call is one activation as an agent sees it: who waits, where, for what, and what they can do about it. The code is no part
// of it.
type Call struct {
	activation.Activation
	Who      directory.Person
	Customer directory.Organization
	Request  helpdesk.Request // the live one about the person, zero for none
	Binds    authn.Kind       // what the flow is for; empty where it is to come in
	Rules    []directory.CheckRule
	Missing  []string // checks that have not passed yet
	Needed   int      // confirmations
	May      error    // why the agent cannot go on with it, nil where they can
	Mine     bool     // the agent has it open
	Reject   bool     // the agent may reject it
	Earlier  []activation.Activation
}

func unseen() error { return fault.New(fault.NotFound, "not-found") }

func over() error { return fault.New(fault.Conflict, "call-over") }

// load finds an activation of a person, and everything a decision about it needs. It fails with fault.NotFound for one of
// somebody else, and for an actor who is no staff or may not see the person.
func (d *Desk) load(tx Tx, by login.By, person, id string, now time.Time) (c Call, err error) {
	realm := by.Person.Realm
	if c.Who, err = tx.Person(realm, person); err != nil {
		return c, err
	}
	if err := directory.May(by.Person, directory.SeeHistory, c.Who); err != nil || !by.Person.Role.Staff() {
		return c, unseen()
	}
	if c.Activation, err = tx.Activation(realm, id); err != nil {
		return c, err
	}
	if c.Person != c.Who.ID {
		return c, unseen()
	}
	return c, d.fill(tx, by, &c, now)
}

func (d *Desk) fill(tx Tx, by login.By, c *Call, now time.Time) error {
	live, err := tx.HelpRequestsLive(c.Realm, c.Person)
	if err != nil {
		return err
	}
	if len(live) > 0 {
		c.Request = live[0]
	}
	q := by.Realm.Requests.Strict()
	c.Rules, c.Missing, c.Needed = q.Checks, c.Activation.Missing(q.Required()), 1
	if by.Realm.Calls.SecondAgent {
		c.Needed = 2
	}
	c.Mine = c.Agent == by.Person.ID
	c.May = c.MayConfirm(by.Person, c.Who, live)
	c.Reject = by.Person.ID != c.Who.ID && directory.May(by.Person, directory.ResetFactor, c.Who) == nil
	f, err := tx.Flow(c.Realm, c.Flow)
	if err != nil && !fault.Of(err, fault.NotFound) {
		return err
	}
	c.Binds = f.Goal.Bind
	waits := f.ID != "" && f.State == authn.FlowOpen && now.Before(f.Expires) && f.Person == c.Person
	lives, err := d.lives(tx, c.Activation, now)
	if err != nil {
		return err
	}
	switch {
	case !waits || !lives || !c.Live(now):
		c.May = over()
	case c.May == nil && c.Who.State.Shut():
		c.May = fault.New(fault.Conflict, "person-shut")
	}
	c.Reject = c.Reject && waits && (c.Live(now) || c.Collectable(now))
	return nil
}

// lives reports whether the certificate still does in whose session somebody waits: a call does not outlive it.
func (d *Desk) lives(tx Tx, a activation.Activation, now time.Time) (bool, error) {
	if a.Device.Certificate == "" {
		return true, nil
	}
	on, err := tx.Certificate(a.Realm, a.Device.Certificate)
	if fault.Of(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && on.Live(now), err
}

// Waiting are the sessions of a person that wait for a call, newest first. It fails with fault.NotFound as every step does.
func (d *Desk) Waiting(ctx context.Context, by login.By, person string) (waiting []Call, err error) {
	now := d.Clock()
	err = d.Store.Read(ctx, func(tx Tx) error {
		waiting = nil
		who, err := tx.Person(by.Person.Realm, person)
		if err != nil {
			return err
		}
		if err := directory.May(by.Person, directory.SeeHistory, who); err != nil || !by.Person.Role.Staff() {
			return unseen()
		}
		all, err := tx.ActivationsOf(who.Realm, who.ID, lastFew)
		for _, a := range all {
			c := Call{Activation: a, Who: who}
			if !a.Live(now) && !a.Collectable(now) {
				continue
			}
			if err := d.fill(tx, by, &c, now); err != nil {
				return err
			}
			if c.Reject || c.May == nil {
				c.Hash = nil
				waiting = append(waiting, c)
			}
		}
		return err
	})
	return waiting, err
}

// Look loads one activation of a person with their earlier ones.
func (d *Desk) Look(ctx context.Context, by login.By, person, id string) (c Call, err error) {
	now := d.Clock()
	err = d.Store.Read(ctx, func(tx Tx) error {
		if c, err = d.load(tx, by, person, id, now); err != nil {
			return err
		}
		if c.Customer, err = tx.Organization(c.Realm, c.Who.Organization); err != nil {
			return err
		}
		c.Earlier, err = tx.ActivationsOf(c.Realm, c.Person, lastFew)
		c.Earlier = slices.DeleteFunc(c.Earlier, func(e activation.Activation) bool { return e.ID == c.ID })
		c.Hash = nil
		for i := range c.Earlier {
			c.Earlier[i].Hash = nil
		}
		return err
	})
	return c, err
}

// Open takes a session that waits: the person sees words from now on, which the agent says first. Who opens one that
// another agent has takes it over with words of their own. Opening one's own again changes nothing.
//
// Errors: fault.Conflict "call-over", "stale", "person-shut"; those of activation.MayConfirm; fault.NotFound.
func (d *Desk) Open(ctx context.Context, by login.By, person, id string) error {
	now := d.Clock()
	return d.Store.Write(ctx, func(tx Tx) error {
		c, err := d.load(tx, by, person, id, now)
		if err != nil || c.May != nil || c.Mine {
			return first(err, c.May)
		}
		a := c.Activation
		a.Words, a.Agent, a.AgentName, a.Opened = activation.Words(c.Who.Language), by.Person.ID, by.Person.Name, now
		if a.State == activation.Waiting {
			a.State = activation.Opened
		}
		if err := tx.UpdateActivation(a); err != nil {
			return err
		}
		d.count("opened", a)
		return tx.Audit(by.EventAbout(c.Who, now, "activation.opened", "", facts(a)))
	})
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) count(what string, a activation.Activation) {
	if d.Count != nil {
		d.Count("activation", "what", what, "kind", string(a.Kind))
	}
}

// facts are what an event about an activation keeps.
func facts(a activation.Activation) map[string]string {
	return map[string]string{"activation": a.ID, "number": a.Number, "kind": string(a.Kind)}
}
