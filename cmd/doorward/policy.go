package main

import (
	"fmt"
	"time"

	"doorward/internal/apply"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/rollout"
	"doorward/internal/sqlstore"
)

type policyCommand struct {
	Check policyCheckCommand `cmd:"" help:"Check the policy of a realm file; with --people also who would be stranded."`
}

type policyCheckCommand struct {
	File   string `arg:"" help:"Realm file." type:"path"`
	People bool   `help:"Run the policy over the people in the database of --config."`
}

// stranded is somebody who could not come in under the new policy.
type stranded struct {
	Email        string `json:"email"`
	Role         string `json:"role"`
	Organization string `json:"organization"`
	Reason       string `json:"reason"`
	From         string `json:"from,omitempty"` // the end of grace from which on; empty: today
}

// checked is what the command prints.
type checked struct {
	Realm    string     `json:"realm"`
	Warnings []string   `json:"warnings"`
	People   int        `json:"people"`
	Stranded []stranded `json:"stranded"`
}

// Run reads the file and fails when the policy strands people or opens a hole. With --people it fails when somebody who
// is there could not come in any more.
func (cmd policyCheckCommand) Run(c *call) error {
	text, err := readRealmFile(cmd.File)
	if err != nil {
		return err
	}
	r, policies, warnings, err := apply.ReadRealm(cmd.File, text)
	if err != nil {
		return err
	}
	out := checked{Realm: r.ID, Warnings: []string{}, Stranded: []stranded{}}
	for _, w := range warnings {
		out.Warnings = append(out.Warnings, w.Error())
		c.say("warning: %s", w.Error())
	}
	c.say("The policy of realm %s is sound: nothing in it strands people or opens a hole.", r.ID)
	if cmd.People {
		g, err := c.open()
		if err != nil {
			return err
		}
		defer g.Close()
		if err := g.store.Read(c.ctx, func(tx *sqlstore.Tx) error {
			// Names of organizations are looked up as applying the file would.
			if r, err = apply.Resolve(tx, cmd.File, r); err != nil {
				return err
			}
			return out.run(tx, r, policies, c.clock())
		}); err != nil {
			return err
		}
		for _, s := range out.Stranded {
			when := ""
			if s.From != "" {
				when = " from " + s.From + " on"
			}
			c.say("stranded%s: %s (%s, %s): %s", when, s.Email, s.Role, s.Organization, s.Reason)
		}
		c.say("%d people looked at, %d would be stranded.", out.People, len(out.Stranded))
	}
	if err := c.print(out); err != nil {
		return err
	}
	if len(out.Stranded) > 0 {
		return errSaid
	}
	return nil
}

const peoplePage = 500

// run asks the engine about everybody in the realm who is not disabled: today, and at the end of every grace to come.
func (out *checked) run(tx *sqlstore.Tx, r directory.Realm, policies *authn.Policies, now time.Time) error {
	filter := directory.PersonFilter{Realm: r.ID, Limit: peoplePage}
	orgs := map[string]directory.Organization{}
	ends := append([]time.Time{now}, rollout.Ends(r, now)...)
	for {
		people, err := tx.People(filter)
		if err != nil {
			return err
		}
		known, err := rollout.Known(tx, r.ID, people)
		if err != nil {
			return err
		}
		for _, p := range people {
			if p.State == directory.Disabled {
				continue
			}
			o, ok := orgs[p.Organization]
			if !ok {
				if o, err = tx.Organization(r.ID, p.Organization); err != nil {
					return err
				}
				orgs[p.Organization] = o
			}
			out.People++
			if err := out.judge(r, policies, p, o, known[p.ID], ends); err != nil {
				return err
			}
		}
		if len(people) < peoplePage {
			return nil
		}
		last := people[len(people)-1]
		filter.AfterName, filter.AfterID = last.Name, last.ID
	}
}

// judge says at which of some moments a person is stranded first; what strands them today is not said again.
func (out *checked) judge(r directory.Realm, policies *authn.Policies, p directory.Person, o directory.Organization, known authn.Person, ends []time.Time) error {
	for i, at := range ends {
		rules, err := rollout.At(r, policies, p, o, at)
		if err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
		reason, is := authn.Stranded(rules, known)
		if !is {
			continue
		}
		s := stranded{Email: p.Address, Role: string(p.Role), Organization: o.Name, Reason: string(reason)}
		if i > 0 {
			s.From = at.Format(time.RFC3339)
		}
		out.Stranded = append(out.Stranded, s)
		return nil
	}
	return nil
}
