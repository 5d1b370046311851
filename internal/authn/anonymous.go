package authn

import "slices"

// anonymous offers what names a person (R2). It is the same for everybody: it depends on the rules and the goal alone.
func (v *view) anonymous() Step {
	goal := v.flow.Goal
	var step Step
	switch {
	case goal.Admit():
		step.Kinds = v.identify(0)
		// Links lead here as well: an invitation's, and the mail after an approved request. They are not offered, for
		// nobody has one in the hand; they are taken.
		for _, b := range slices.Concat(v.Enrol, v.Replace) {
			for _, gates := range b.Gates {
				step.Also = add(step.Also, tokens(gates)...)
			}
		}
	case goal.Way == ByEnrol:
		step.Kinds = v.identify(0)
	default:
		for _, r := range v.routes(goal.Bind) {
			named := tokens(r.Gates)
			switch {
			case len(named) == 0:
				step.Kinds = add(step.Kinds, v.identify(bit(goal.Bind))...)
			case slices.Contains(named, Invite):
				step.Also = add(step.Also, named...) // a set-up that is under way is reached by its own link
			default:
				step.Kinds = add(step.Kinds, named...)
			}
		}
		if len(step.Kinds) == 0 {
			step.Kinds, step.Also = step.Also, nil
		}
		if len(step.Kinds) > 0 && len(tokens([]Gate{Gate(step.Kinds[0])})) > 0 {
			step.Gate = Gate(step.Kinds[0])
		}
	}
	step.Act = ActProve
	if len(step.Kinds) == 0 {
		return v.stuck(nil) // narrowed until nobody can come in, or a kind that is never bound
	}
	return step
}

// Anybody is the first step of a flow of which nobody knows yet which of several rules count for its person: what names
// anybody under any of them, the first rules first.
func Anybody(f Flow, all ...Rules) Step {
	var step Step
	for _, r := range all {
		next := Next(r, Person{}, f)
		switch {
		case step.Act != ActProve:
			if step.Act == "" || next.Act == ActProve {
				step = next
			}
		case next.Act == ActProve:
			step.Kinds, step.Also = add(slices.Clip(step.Kinds), next.Kinds...), add(slices.Clip(step.Also), next.Also...)
		}
	}
	return step
}

// identify returns the first kind of each combination that names its person, leaving out what is lost.
func (v *view) identify(lost set) []Kind {
	var kinds []Kind
	for _, c := range v.Login {
		for _, k := range c.Kinds {
			if info, _ := Info(k); info.Identifies && !lost.has(k) {
				kinds = add(kinds, k)
				break
			}
		}
	}
	return kinds
}

// tokens are the gates that name their person: links.
func tokens(gates []Gate) []Kind {
	var kinds []Kind
	for _, g := range gates {
		if info, _ := Info(g.Kind()); info.Identifies && !info.Held {
			kinds = append(kinds, info.Kind)
		}
	}
	return kinds
}

// count fills At and Of. The steps still to come are found by walking the offered way to its end, always taking what is
// offered first; if that ends anywhere but at the goal, nothing honest can be said and both stay 0. Steps done are the
// pieces of evidence gathered in this flow. Opening a link is no step. Duties done count for who was never active: they
// did them in this set-up.
func (v *view) count(step *Step) {
	done, left := 0, 0
	for _, e := range v.flow.Evidence {
		if info, ok := Info(e.Kind); ok && !link(info) && !e.At.Before(v.flow.Created) {
			done++
		}
	}
	if v.flow.Goal.Admit() && !v.person.EverActive {
		for _, d := range v.Then {
			if !slices.Contains(v.person.Owed, d) {
				done++
			}
		}
	}
	p, f, s := v.person, v.flow, *step
	for range 32 {
		if s.Act == ActAdmit {
			step.At, step.Of = min(done+1, done+left), done+left
			return
		}
		if s.Act == ActStuck {
			return
		}
		if info, _ := Info(s.first()); !link(info) || s.Act != ActProve {
			left++
		}
		p, f = walk(s, s.first(), p, f)
		s = look(v.slack, v.Rules, p, f).step()
	}
}

func link(i KindInfo) bool { return i.Identifies && !i.Held }

func (s Step) first() Kind {
	if len(s.Kinds) > 0 {
		return s.Kinds[0]
	}
	return ""
}

// walk returns person and flow after a step was taken with kind k, rightly. It shares nothing with its arguments.
func walk(s Step, k Kind, p Person, f Flow) (Person, Flow) {
	p.Held, p.Owed, f.Evidence = slices.Clone(p.Held), slices.Clone(p.Owed), slices.Clone(f.Evidence)
	switch s.Act {
	case ActPerform:
		p.Owed = slices.DeleteFunc(p.Owed, func(d Duty) bool { return d == s.Duty })
	case ActBind:
		if s.BehindOf(k).Way == ByReplace {
			p.Held = slices.DeleteFunc(p.Held, func(h Holding) bool { return h.Kind == k })
		}
		made := Holding{Kind: k, Credential: "new " + string(k), Bound: f.Now}
		p.Held = append(p.Held, made)
		f.Evidence = append(f.Evidence, Evidence{Kind: k, Credential: made.Credential, At: f.Now, Bound: true})
	default:
		e := Evidence{Kind: k, At: f.Now}
		for _, h := range p.Held {
			if h.Kind == k && !h.Suspended {
				e.Credential = h.Credential
			}
		}
		f.Evidence = append(f.Evidence, e)
	}
	return p, f
}
