package breakglass

import (
	"context"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
)

// Case is what somebody sees of a person's exemption.
type Case struct {
	Exemption helpdesk.Exemption // zero where there is none, or it is over
	Kinds     []authn.Kind       // from which the person could be exempt; empty where the actor may not propose
	Hours     int                // at most
	MaySecond bool
	MayEnd    bool
	Unhelpful bool // the actor may propose, and nothing that the person holds would let them in
}

// Look loads a person's exemption for whoever looks after them. It fails with fault.NotFound where the actor may not see
// the person.
func (s *Service) Look(ctx context.Context, by By, id string) (c Case, err error) {
	now := s.Clock()
	err = s.Store.Read(ctx, func(tx GiveTx) error {
		c = Case{Hours: by.Realm.Exemptions.Hours}
		p, err := tx.Person(by.Person.Realm, id)
		if err != nil {
			return err
		}
		if err := directory.May(by.Person, directory.SeeHistory, p); err != nil {
			return fault.New(fault.NotFound, "not-found")
		}
		e, err := tx.ExemptionOf(p.Realm, p.ID)
		if err != nil && !fault.Of(err, fault.NotFound) {
			return err
		}
		if err == nil && !e.Over(now) {
			c.Exemption = e
			c.MaySecond = e.State == helpdesk.Proposed && maySecond(tx, by, p, e, now) == nil
			c.MayEnd = mayEnd(by.Person, p)
			return nil
		}
		if c.Hours == 0 || !p.EverActive() || p.State.Shut() || helpdesk.MayExempt(by.Person, p) != nil {
			return nil
		}
		c.Kinds, err = s.kinds(tx, p)
		c.Unhelpful = len(c.Kinds) == 0
		return err
	})
	return c, err
}

// mayEnd: whoever may reset the person, and the person: stopping needs no second.
func mayEnd(by, p directory.Person) bool {
	return by.ID == p.ID || directory.May(by, directory.ResetFactor, p) == nil
}

// Live lists the exemptions of a realm that are proposed or live, with their people, as far as the actor may see them.
func (s *Service) Live(ctx context.Context, by By) (all []Given, err error) {
	now := s.Clock()
	if !directory.MayListAll(by.Person) && by.Person.Role != directory.Administrator {
		return nil, nil
	}
	err = s.Store.Read(ctx, func(tx GiveTx) error {
		all = nil
		open, err := tx.Exemptions(by.Person.Realm)
		if err != nil {
			return err
		}
		for _, e := range open {
			p, err := tx.Person(e.Realm, e.Person)
			if err != nil || e.Over(now) || directory.May(by.Person, directory.SeeHistory, p) != nil {
				continue
			}
			all = append(all, Given{Exemption: e, Who: p})
		}
		return nil
	})
	return all, err
}

// Given is an exemption with its person.
type Given struct {
	helpdesk.Exemption
	Who directory.Person
}
