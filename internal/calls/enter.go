package calls

import (
	"context"
	"time"

	"doorward/internal/activation"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/limit"
	"doorward/internal/login"
)

// budgets are those of an agent's wrong entries (V4). An entry takes one of each before it is compared; a right one gives it
// back. The wrong ones are counted once more, so that the one that locks is known.
func budgets(agent string) []limit.Budget {
	return []limit.Budget{
		{Key: "activation:agent:" + agent, Limit: activation.AgentWrong, Window: activation.AgentWindow, Code: "call-locked"},
		{Key: "activation:hour:" + agent, Limit: activation.AgentHour, Window: time.Hour, Code: "call-locked"},
	}
}

// Enter compares what an agent typed with the code of the session they have open. nil says that it was right: the checks
// come next.
//
// Errors: fault.Invalid "call-code-form" for what is no code, which counts for nothing; fault.Rejected "call-wrong" with what
// is left, "call-ended" at the last; fault.Throttled "call-locked"; fault.Conflict "call-over", "call-matched" and "call-taken"
// where another agent has it now; those of activation.MayConfirm; fault.NotFound.
func (d *Desk) Enter(ctx context.Context, by login.By, person, id, typed string) error {
	now := d.Clock()
	code, ok := activation.Canonical(typed)
	if !ok {
		return fault.New(fault.Invalid, "call-code-form").In("code")
	}
	var c Call
	load := func(tx Tx) (err error) {
		if c, err = d.load(tx, by, person, id, now); err != nil || c.May != nil {
			return first(err, c.May)
		}
		switch {
		case c.State == activation.Matched && c.Mine:
			return fault.New(fault.Conflict, "call-matched")
		case c.State != activation.Opened || !c.Mine:
			return fault.New(fault.Conflict, "call-taken")
		}
		return nil
	}
	if err := d.Store.Read(ctx, load); err != nil {
		return err
	}
	tries := 0
	if err := d.Store.Write(ctx, func(tx Tx) error {
		for _, b := range budgets(by.Person.ID) {
			if err := b.Take(tx, now); err != nil {
				return err
			}
		}
		n, err := tx.TryActivation(id, by.Person.ID, activation.Entries, now)
		if err == nil && n == 0 {
			err = over()
		}
		tries = n
		return err
	}); err != nil {
		return err
	}
	if d.Compared != nil {
		d.Compared()
	}
	right := c.Matches(d.Ring, code)
	var outcome error
	err := again(func() error {
		return d.Store.Write(ctx, func(tx Tx) (err error) {
			if outcome = nil; right {
				return d.matched(tx, by, person, id, now)
			}
			outcome, err = d.mismatched(tx, by, c, tries, now)
			return err
		})
	})
	return first(err, outcome)
}

// matched notes a right entry, unless something has moved meanwhile that forbids it.
func (d *Desk) matched(tx Tx, by login.By, person, id string, now time.Time) error {
	c, err := d.load(tx, by, person, id, now)
	if err != nil {
		return err
	}
	// The third entry was reserved by this one: that none is left does not end it.
	if a := c.Activation; a.State != activation.Opened || !c.Mine || now.After(a.Expires) {
		return over()
	}
	c.Tries = 0
	if err := d.fill(tx, by, &c, now); err != nil || c.May != nil {
		return first(err, c.May)
	}
	for _, b := range budgets(by.Person.ID) {
		if err := tx.Release(b.Key); err != nil {
			return err
		}
	}
	a := c.Activation
	a.State, a.Expires = activation.Matched, now.Add(activation.CallFor)
	if err := tx.UpdateActivation(a); err != nil {
		return err
	}
	d.count("matched", a)
	return tx.Audit(by.EventAbout(c.Who, now, "activation.matched", "", facts(a)))
}

// mismatched notes a wrong entry. The last one ends the activation and tells the person; the one that empties an agent's
// budget tells those who answer for the agents.
func (d *Desk) mismatched(tx Tx, by login.By, c Call, tries int, now time.Time) (outcome, err error) {
	d.count("mismatched", c.Activation)
	data := facts(c.Activation)
	data["left"] = string(rune('0' + max(0, activation.Entries-tries)))
	if err := tx.Audit(by.EventAbout(c.Who, now, "activation.mismatched", "", data)); err != nil {
		return nil, err
	}
	locked := false
	for _, b := range budgets(by.Person.ID) {
		ok, _, err := tx.Reserve(b.Key+":wrong", b.Limit-1, b.Window, now)
		if err != nil {
			return nil, err
		}
		locked = locked || !ok
	}
	if locked {
		if err := d.alert(tx, by, c, now); err != nil {
			return nil, err
		}
	}
	if tries < activation.Entries {
		return fault.New(fault.Rejected, "call-wrong", "left", activation.Entries-tries).In("code"), nil
	}
	outcome = fault.New(fault.Rejected, "call-ended").In("code")
	a, err := tx.Activation(c.Realm, c.ID)
	if err != nil || a.State != activation.Opened {
		return outcome, err // a right entry of the same moment was quicker, or the person has a new code
	}
	a.State, a.Closed, a.ClosedBy, a.ClosedWhy = activation.Ended, now, by.Person.ID, "wrong"
	if err := tx.UpdateActivation(a); err != nil {
		return outcome, err
	}
	d.count("ended", a)
	if err := tx.Audit(by.EventAbout(c.Who, now, "activation.ended", "wrong", facts(a))); err != nil {
		return outcome, err
	}
	return outcome, tx.Enqueue(by.NoticeTo(c.Who, now, "activation-ended", map[string]string{"number": a.Number}))
}

// alert tells supervisors and owners that an agent has typed too many wrong codes.
func (d *Desk) alert(tx Tx, by login.By, c Call, now time.Time) error {
	d.count("locked", c.Activation)
	if err := tx.Audit(by.EventAbout(c.Who, now, "activation.locked", "", facts(c.Activation))); err != nil {
		return err
	}
	for _, role := range []directory.Role{directory.Supervisor, directory.Owner} {
		people, err := tx.People(directory.PersonFilter{Realm: c.Realm, Role: role, State: directory.Active, Limit: 50})
		if err != nil {
			return err
		}
		for _, o := range people {
			if err := tx.Enqueue(by.NoticeTo(o, now, "activation-locked", map[string]string{
				"number": c.Number, "name": c.Who.Name, "address": c.Who.Address, "person": c.Who.ID,
			})); err != nil {
				return err
			}
		}
	}
	return nil
}

// again repeats what lost a race: who typed has typed, whoever else was at it in the same moment.
func again(do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if f := fault.As(err); try == 8 || f == nil || f.Code != "stale" {
			return err
		}
	}
}
