package authn

import "slices"

// ahead leads who would be let in now to what the rules ask for soon (E18). Whoever holds a new combination whole is
// ready, also where another was shown today. What leads nowhere is not begun: staff see who is stranded (Stranded).
func (v *view) ahead(now Step) Step {
	if v.Soon == nil || v.flow.Later || v.Exempt != "" || now.Act != ActAdmit && !v.soonFirst {
		return now
	}
	soon := look(v.slack, *v.Soon, v.person, v.flow)
	soon.Soon = nil
	next := soon.admit()
	if len(soon.whole(soon.top())) > 0 && next.Act != ActPerform {
		return now
	}
	switch next.Act {
	case ActBind, ActPerform:
	case ActProve:
		if soon.count(&next); next.Of == 0 {
			return now
		}
		next.At, next.Of = 0, 0
	default:
		return now
	}
	next.Later = true
	return next
}

// excused are the combinations that suffice while the person is exempt from a kind: each without it. Where a text asks
// for that kind alone, so that nothing would remain, it is what the text below it asks for. What cannot be shown is left
// out.
func (v *view) excused() (all []set) {
	if v.Exempt == "" || v.once != 0 && !v.exemptAll {
		return nil
	}
	held, remains := v.held&^bit(v.Exempt), false
	for i := len(v.floors) - 1; i >= 0 && !remains; i-- {
		for _, c := range v.counting(v.floors[i], held) {
			c &^= bit(v.Exempt)
			remains = remains || c != 0
			if c != 0 && c.within(held) && c&v.shut == 0 && names(c) {
				all = append(all, c)
			}
		}
	}
	return all
}

// names reports whether some kind of a combination names its person.
func names(c set) bool {
	return slices.ContainsFunc(c.kinds(), func(k Kind) bool { info, _ := Info(k); return info.Identifies })
}

// Excusable lists the kinds from which a person could be exempt under rules: those without which they could come in by
// less than before, with something they hold and can show.
func Excusable(r Rules, p Person) (kinds []Kind) {
	r.Soon = nil
	for _, i := range Kinds {
		r.Exempt = i.Kind
		v := look(slack{}, r, p, Flow{Person: p.ID, Session: "any", Now: trial, Created: trial})
		whole := v.whole(v.top())
		if slices.ContainsFunc(v.excused(), func(c set) bool {
			return !slices.ContainsFunc(whole, func(w set) bool { return w.within(c) })
		}) {
			kinds = append(kinds, i.Kind)
		}
	}
	return kinds
}

// Excused reports whether a flow is let in because of an exemption, and would not be without.
func Excused(r Rules, p Person, f Flow) bool {
	if r.Exempt == "" {
		return false
	}
	admits := func(s Step) bool { return s.Act == ActAdmit || s.Act == ActPerform }
	r.Soon = nil
	return f.Goal.Admit() && admits(Next(r, p, f)) && !admits(Next(r.Plain(), p, f))
}

// Lacks reports whether a person holds no combination of the rules whole: what an overlay that is rolled out asks of them
// has still to be set up.
func Lacks(r Rules, p Person) bool {
	v := look(slack{}, r, p, Flow{Person: p.ID, Session: "any", Now: trial, Created: trial})
	return len(v.whole(v.top())) == 0
}
