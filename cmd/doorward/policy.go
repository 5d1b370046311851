package main

import (
	"fmt"

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
	Email  string `json:"email"`
	Role   string `json:"role"`
	Reason string `json:"reason"`
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
		if err := g.store.Read(c.ctx, func(tx *sqlstore.Tx) error { return out.run(tx, r.ID, policies) }); err != nil {
			return err
		}
		for _, s := range out.Stranded {
			c.say("stranded: %s (%s): %s", s.Email, s.Role, s.Reason)
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

// run asks the engine about everybody in the realm who is not disabled.
func (out *checked) run(tx *sqlstore.Tx, realm string, policies *authn.Policies) error {
	filter := directory.PersonFilter{Realm: realm, Limit: peoplePage}
	orgs := map[string]authn.Overlay{}
	for {
		people, err := tx.People(filter)
		if err != nil {
			return err
		}
		ids := make([]string, len(people))
		for i, p := range people {
			ids[i] = p.ID
		}
		credentials, err := tx.CredentialsOf(realm, ids)
		if err != nil {
			return err
		}
		held := map[string][]authn.Holding{}
		for _, cr := range credentials {
			held[cr.Person] = append(held[cr.Person], authn.Holding{Kind: cr.Kind, Credential: cr.ID, Suspended: cr.State == authn.Suspended, Bound: cr.Created})
		}
		for _, p := range people {
			if p.State == directory.Disabled {
				continue
			}
			overlay, ok := orgs[p.Organization]
			if !ok {
				o, err := tx.Organization(realm, p.Organization)
				if err != nil {
					return err
				}
				if overlay, err = authn.ParseOverlay(o.Policy); err != nil {
					return fmt.Errorf("policy of organization %s: %w", o.Name, err)
				}
				orgs[p.Organization] = overlay
			}
			out.People++
			rules := authn.Effective(policies.Rules(rollout.AudienceOf(p.Role)), overlay)
			if reason, is := authn.Stranded(rules, authn.Person{ID: p.ID, EverActive: p.EverActive(), Held: held[p.ID]}); is {
				out.Stranded = append(out.Stranded, stranded{p.Address, string(p.Role), string(reason)})
			}
		}
		if len(people) < peoplePage {
			return nil
		}
		last := people[len(people)-1]
		filter.AfterName, filter.AfterID = last.Name, last.ID
	}
}
