package apply

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/tomlfile"
)

// What a realm file says of roll-outs (REQ B2, B84) that needs the language of policies, the methods of this release, or
// the organizations there are.
//
//   - A roll-out that leaves a whole audience without a way in after the end of grace is refused: an active person who
//     lacks the new kind, or somebody who is invited then.
//   - Whoever holds one of the old combinations and could not set up the rest alone is a warning: staff can help them in
//     time. `doorward policy check --people` says who that is.
//   - Names of organizations become ids when the file is applied: another name does not take an organization out of it.

// rollouts reads the policies of roll-outs. p is the realm's policy, nil when it was not understood.
func rollouts(file string, r directory.Realm, p *authn.Policies) (problems, warnings tomlfile.Problems) {
	for _, ro := range r.Rollouts {
		at := func(line int, reason string) tomlfile.Problem {
			return tomlfile.Problem{File: file, Line: line, Key: "rollout.policy", Reason: ro.ID + ": " + reason}
		}
		overlay, err := authn.ParseOverlay(ro.Policy)
		var wrong *authn.PolicyError
		switch {
		case errors.As(err, &wrong):
			problems = append(problems, at(ro.PolicyLine+max(wrong.Line, 1)-1, wrong.Reason))
			continue
		case err != nil:
			problems = append(problems, at(ro.PolicyLine, err.Error()))
			continue
		case p == nil:
			continue
		}
		for _, a := range reached(ro) {
			grave, some := left(p.Rules(a), overlay)
			if grave != "" {
				problems = append(problems, at(ro.PolicyLine, string(a)+": "+grave))
			}
			for _, s := range some {
				warnings = append(warnings, at(ro.PolicyLine, string(a)+": "+s))
			}
		}
	}
	return problems, warnings
}

// reached are the audiences that some wave of a roll-out reaches.
func reached(ro directory.Rollout) (all []authn.Audience) {
	customers, operators := false, false
	for _, w := range ro.Waves {
		for _, o := range w.Organizations {
			customers = customers || o != directory.Operators
			operators = operators || o == directory.Operators
		}
	}
	if customers {
		all = append(all, authn.Members, authn.Administrators)
	}
	if operators {
		all = append(all, authn.Staff)
	}
	return all
}

// left says who is left outside after the end, by what they hold before.
func left(old authn.Rules, o authn.Overlay) (grave string, some []string) {
	after := authn.Effective(old, o)
	stuck := 0
	for _, c := range old.Login {
		p := authn.Person{EverActive: true}
		for _, k := range c.Kinds {
			p.Held = append(p.Held, authn.Holding{Kind: k, Credential: string(k)})
		}
		for _, i := range authn.Kinds {
			if i.Held && !slices.Contains(c.Kinds, i.Kind) {
				p.Never = append(p.Never, i.Kind)
			}
		}
		if reason, is := authn.Stranded(after, p); is {
			stuck++
			some = append(some, "who has only "+plus(c.Kinds)+" cannot set up the rest alone ("+string(reason)+"): they need help before the end of grace")
		}
	}
	if stuck == len(old.Login) {
		return "nobody who comes in now could come in after the end of grace: there is no `enrol login ->` line for what is missing", nil
	}
	if _, before := authn.Stranded(old, authn.Person{}); !before {
		if reason, is := authn.Stranded(after, authn.Person{}); is {
			return "whoever is invited after the end of grace could never come in (" + string(reason) + ")", nil
		}
	}
	return "", some
}

func plus(kinds []authn.Kind) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, " + ")
}

// buildable refuses a roll-out that asks for kinds which this release cannot set up: nobody would come in after the end.
func (s *Realms) buildable(file string, r directory.Realm) (problems tomlfile.Problems) {
	if s.Kinds == nil {
		return nil
	}
	p, err := authn.ParsePolicies(r.Policy)
	if err != nil {
		return nil // blamed already
	}
	for _, ro := range r.Rollouts {
		overlay, err := authn.ParseOverlay(ro.Policy)
		if err != nil {
			continue
		}
		for _, a := range reached(ro) {
			can := func(c authn.Combination) bool {
				return !slices.ContainsFunc(c.Kinds, func(k authn.Kind) bool { return !slices.Contains(s.Kinds, k) })
			}
			if !slices.ContainsFunc(authn.Effective(p.Rules(a), overlay).Login, can) {
				problems = append(problems, tomlfile.Problem{File: file, Line: ro.PolicyLine, Key: "rollout.policy",
					Reason: ro.ID + ": " + string(a) + ": every way in asks for a kind that this release cannot set up; it can " + plus(s.Kinds)})
			}
		}
	}
	return problems
}

// Resolve is the realm of a file as applying it would store it: with ids in the place of names of organizations. It fails
// with tomlfile.Problems for those that are not there.
func Resolve(tx Organizations, file string, r directory.Realm) (directory.Realm, error) {
	err := resolve(tx, file, &r)
	return r, err
}

// Organizations finds organizations.
type Organizations interface {
	Organization(realm, id string) (directory.Organization, error)
	OrganizationByName(realm, name string) (directory.Organization, error)
}

// resolve puts ids in the place of names of organizations.
func resolve(tx Organizations, file string, r *directory.Realm) error {
	var problems tomlfile.Problems
	out := slices.Clone(r.Rollouts)
	for i := range out {
		out[i].Waves = slices.Clone(out[i].Waves)
		seen := map[string]string{}
		for j := range out[i].Waves {
			w := &out[i].Waves[j]
			names := w.Organizations
			w.Organizations = make([]string, len(names))
			for n, name := range names {
				id, reason, err := organization(tx, r.ID, name)
				if err != nil {
					return err
				}
				if other, twice := seen[id]; twice && reason == "" {
					reason = "is the same organization as " + other
				}
				if reason != "" {
					problems = append(problems, tomlfile.Problem{File: file, Line: w.Line, Key: "rollout.wave.organizations", Reason: out[i].ID + ": " + name + " " + reason})
				}
				seen[id], w.Organizations[n] = name, id
			}
		}
	}
	if len(problems) > 0 {
		return problems
	}
	r.Rollouts = out
	return nil
}

// organization finds what a file calls by id or by name.
func organization(tx Organizations, realm, name string) (id, reason string, err error) {
	if name == directory.Everywhere || name == directory.Operators {
		return name, "", nil
	}
	o, err := tx.Organization(realm, name)
	if fault.Of(err, fault.NotFound) {
		o, err = tx.OrganizationByName(realm, name)
	}
	switch {
	case fault.Of(err, fault.NotFound):
		return name, "is no organization of this realm", nil
	case err != nil:
		return "", "", err
	case o.Staff:
		return directory.Operators, "", nil
	}
	return o.ID, "", nil
}

func number(i int) string { return strconv.Itoa(i + 1) }

// waves says what a change of roll-outs means for people, one line each.
func waves(old, r directory.Realm, now time.Time) (out []string) {
	find := func(in directory.Realm, id string) (directory.Rollout, bool) {
		i := slices.IndexFunc(in.Rollouts, func(ro directory.Rollout) bool { return ro.ID == id })
		if i < 0 {
			return directory.Rollout{}, false
		}
		return in.Rollouts[i], true
	}
	for _, ro := range r.Rollouts {
		_, had := find(old, ro.ID)
		for i, w := range ro.Waves {
			switch {
			case !now.Before(w.Until):
				if !had {
					out = append(out, "The roll-out "+ro.ID+" counts at once for its wave "+number(i)+": its grace is over.")
				}
			case !had:
				out = append(out, "The roll-out "+ro.ID+" begins for its wave "+number(i)+" on "+w.From.Format(time.RFC3339)+" and counts from "+w.Until.Format(time.RFC3339)+" on. `doorward policy check --people` says who would be stranded.")
			}
		}
	}
	for _, ro := range old.Rollouts {
		if _, has := find(r, ro.ID); !has {
			out = append(out, "The roll-out "+ro.ID+" is taken back: who set up nothing yet comes in by the policy before it.")
		}
	}
	return out
}
