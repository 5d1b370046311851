package authn

import (
	"cmp"
	"slices"
)

// route is one way to bind one kind: one alternative of one line, and how far the flow has come on it.
type route struct {
	Behind
	kind  Kind
	block Reason // why it is closed, empty where it is open
	lack  Gate   // the grant that is missing
	why   Reason // what is wrong with that grant
	next  []Kind // what could be shown now; empty on an open route: ready to bind
	gate  Gate   // the gate that next opens
	begun int    // how much of it has been shown
}

func (r route) ready() bool { return r.block == "" && len(r.next) == 0 }
func (r route) open() bool  { return r.block == "" && len(r.next) > 0 }

// targets are the kinds that binding would bring the goal admit closer, in the order of the lines: parts of counting
// combinations that are not held, or lost.
func (v *view) targets() []Kind {
	var want set
	for _, c := range v.counting(v.top(), v.held) {
		want |= c
	}
	want &^= v.held &^ v.lost &^ v.shut
	want &^= v.made
	var kinds []Kind
	for _, b := range slices.Concat(v.Enrol, v.Replace) {
		for _, k := range v.kinds(b) {
			if want.has(k) {
				kinds = add(kinds, k)
			}
		}
	}
	return kinds
}

// kinds are what a line binds.
func (v *view) kinds(b Binding) []Kind {
	if !b.Any {
		return b.Kinds
	}
	var all set
	for _, w := range v.floors[0] {
		all |= w.kinds
	}
	var kinds []Kind
	for _, k := range v.order {
		if all.has(k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// routes are the ways to bind k that the goal permits.
func (v *view) routes(k Kind) []route {
	goal := v.flow.Goal
	only := goal.Admit() && (v.held.has(k) || len(v.whole(v.top())) > 0) && !v.bindsAnyway // R4, E9: by a grant or not at all
	var all []route
	try := func(w Way, lines []Binding) {
		for _, b := range lines {
			if !slices.Contains(v.kinds(b), k) {
				continue
			}
			for _, gates := range b.Gates {
				login := slices.Contains(gates, GateLogin)
				grant := slices.Contains(gates, GateGrant) || slices.Contains(gates, GateGrant2)
				switch {
				case !goal.Admit() && goal.Way != ByEnrol && goal.Way != ByReplace:
				case goal.Way == ByEnrol && !(w == ByEnrol && login): // R6: signed in, nothing else
				case goal.Way == ByReplace && w == ByEnrol && (login || v.person.EverActive && !v.setUpAlways):
				case only && !(w == ByReplace && grant):
				default:
					all = append(all, v.route(k, w, gates))
				}
			}
		}
	}
	try(ByEnrol, v.Enrol)
	try(ByReplace, v.Replace)
	return all
}

// route follows one alternative: what remains is shown first, then the gates in the order of the text, then k is bound.
func (v *view) route(k Kind, w Way, gates []Gate) route {
	r := route{kind: k, Behind: Behind{Way: w, Gates: gates}}
	login := slices.Contains(gates, GateLogin)
	setUp := w == ByEnrol && !login
	if v.person.EverActive && (setUp && !v.setUpAlways || slices.Contains(gates, GateInvite) && !v.inviteAlways) {
		r.block = SetUpOver
		return r
	}
	var lost, extra set
	if w == ByReplace || v.held.has(k) && setUp {
		lost = bit(k)
	}
	for _, g := range gates {
		if g != GateGrant && g != GateGrant2 {
			extra |= bit(g.Kind()) & factors
			continue
		}
		approvers := 1
		if g == GateGrant2 && !v.oneApprover {
			approvers = 2
		}
		found, reason := v.grant(k, approvers)
		if r.Grant = found.ID; reason != "" {
			r.why, r.lack = reason, g
		}
		if g == GateGrant2 || v.manyAtOnce {
			lost |= v.named(approvers)
		}
	}
	if v.keepLost {
		lost = 0
	}
	lost &^= v.made // bound in this flow: it is there
	emptyOK := setUp || login || slices.Contains(gates, GateGrant2) || v.emptyRemnant
	needs, ok := v.remnants(lost, emptyOK)
	switch {
	case !ok:
		r.block = NothingLeft
		return r
	case !extra.within(v.held &^ lost):
		r.block = NothingLeft
		if missing := extra &^ v.held; missing.has(Cert) {
			r.block = NeedsCertificate
		}
		return r
	}
	if login && w == ByEnrol && len(v.whole(v.top())) > 0 {
		needs = []set{0} // the gate itself asks for a whole combination, and a recent one
	}
	for i := range needs {
		needs[i] |= extra
	}
	r.remnant(v, needs)
	if v.noGate {
		return r
	}
	beyond := r
	beyond.block, beyond.next = "", nil
	will := v.proof()
	for _, n := range needs {
		will |= n
	}
	beyond.through(v, gates, will)
	switch {
	case r.block != "":
	case r.why != "": // what remains is asked before the reason is told (E2), but no call that leads nowhere
		r.block = r.why
	case beyond.block != "":
		r.block, r.gate = beyond.block, beyond.gate
	case len(r.next) == 0:
		r = beyond
		if r.ready() && slices.Contains(gates, GateCall) && v.called != "" && !v.again && !v.certOnce {
			r.next, r.gate = []Kind{Cert}, GateCall // E20
		}
	}
	return r
}

// remnants lists what may be shown as "what remains" when the lost kinds are gone: on every floor the largest
// intersections of a counting combination with what is held. ok is false where nothing remains and something must.
func (v *view) remnants(lost set, emptyOK bool) (sets []set, ok bool) {
	have := v.held &^ lost
	sets = []set{0}
	floors := v.floors
	if v.topFloorOnly {
		floors = floors[len(floors)-1:]
	}
	for _, floor := range floors {
		var largest []set
		for _, c := range v.counting(floor, have) {
			c &= have
			switch {
			case v.anyRemnant:
				if c != 0 || emptyOK {
					largest = append(largest, c)
				}
			case len(largest) == 0 || c.size() > largest[0].size():
				largest = []set{c}
			case c.size() == largest[0].size():
				largest = append(largest, c)
			}
		}
		if len(largest) == 0 {
			largest = []set{0}
		}
		if !emptyOK && largest[0] == 0 {
			return nil, false
		}
		var crossed []set
		for _, a := range sets {
			for _, b := range largest {
				crossed = append(crossed, a|b)
			}
		}
		sets = minimal(crossed)
	}
	return sets, true
}

// remnant asks for what remains.
func (r *route) remnant(v *view, needs []set) {
	var open []set
	var rest set // what could be shown of remnants that cannot be shown whole
	for _, n := range needs {
		missing := n &^ v.proof()
		r.begun = max(r.begun, (n & v.proof()).size())
		switch {
		case missing == 0:
			return
		case missing&v.shut == 0:
			open = append(open, n)
		default:
			rest |= missing &^ v.shut
		}
	}
	if len(open) > 0 {
		r.next = v.nextOf(open, v.proof())
		return
	}
	r.block = FactorSuspended
	if k, any := v.first(rest); any {
		r.next = []Kind{k}
	}
}

// through asks for the gates, in order; a sign-in first, since the call may need what it shows. Will is what has been
// shown once what remains is.
func (r *route) through(v *view, gates []Gate, will set) {
	if slices.Contains(gates, GateLogin) {
		will |= r.login(v)
	}
	for _, g := range gates {
		k := g.Kind()
		switch {
		case r.block != "":
			return
		case k == "" || factors.has(k) || v.once.has(k):
		case k == Recovery && (!v.held.has(Recovery) || v.shut.has(Recovery)):
			r.block, r.gate = NoCodes, g
		case k == Call && will&v.calls == 0 && !v.callAnywhere:
			// The call binds a session that showed the certificate or the phone (E13): one of them comes first.
			have := v.calls & v.held &^ v.shut &^ v.lost &^ bit(r.kind)
			if have == 0 {
				r.block, r.gate = NeedsCertificate, g
			} else if r.gate == "" {
				r.next, r.gate = have.kinds(), g
			}
		case r.gate == "":
			r.next, r.gate = []Kind{k}, g
		}
	}
	r.begun += (v.once & gateKinds(gates)).size()
}

func gateKinds(gates []Gate) (s set) {
	for _, g := range gates {
		s |= bit(g.Kind())
	}
	return s
}

// login asks for a complete, recent combination (E12), and returns what that shows.
func (r *route) login(v *view) (will set) {
	var whole []set
	fresh := slices.Contains(v.person.Never, r.kind) || v.rollOutAlways
	for i := len(v.floors) - 1; i >= 0 && len(whole) == 0; i-- {
		if i == len(v.floors)-1 || fresh {
			whole = v.whole(v.floors[i])
		}
	}
	var open []set
	for _, c := range whole {
		if c.within(v.recent) {
			return c
		}
		if c&v.shut == 0 {
			open = append(open, c)
			will |= c
		}
	}
	switch {
	case len(whole) == 0:
		r.block, r.gate = NeedsSignIn, GateLogin
	case len(open) == 0:
		r.block, r.gate = FactorSuspended, GateLogin
	default:
		r.next, r.gate = v.nextOf(open, v.recent), GateLogin
	}
	return will
}

// merge makes one step of the routes to some kinds, which are in the order of set-up.
func (v *view) merge(order []Kind, all []route) Step {
	if step, ok := v.bind(order, all); ok {
		return step
	}
	byBegun := func(a, b route) int { return b.begun - a.begun }
	open := slices.DeleteFunc(slices.Clone(all), func(r route) bool { return !r.open() })
	slices.SortStableFunc(open, byBegun)
	stuck := v.stuck(all)
	if len(open) == 0 {
		// Nothing leads there. What can be shown is asked before the reason is told (E2).
		asks := slices.DeleteFunc(slices.Clone(all), func(r route) bool { return len(r.next) == 0 })
		if len(asks) == 0 {
			return stuck
		}
		slices.SortStableFunc(asks, byBegun)
		return Step{Act: ActProve, Kinds: asks[0].next}
	}
	step := Step{Act: ActProve, Gate: open[0].gate}
	for _, r := range open {
		for _, k := range r.next {
			if v.lost.has(k) {
				step.Also = add(step.Also, k) // taken if it is found, but not asked for
			} else {
				step.Kinds = add(step.Kinds, k)
			}
		}
	}
	if len(step.Kinds) == 0 {
		step.Kinds, step.Also = step.Also, nil
	}
	if !v.flow.Goal.Admit() && rank(stuck.Reason) <= rank(NeedsGrant) {
		step.Reason = stuck.Reason
	}
	return step
}

// bind offers what is ready: the first kind that leads on, in the order of set-up, and beside it only kinds that
// complete a combination. A kind whose turn has not come is not bound before its elders.
func (v *view) bind(order []Kind, all []route) (Step, bool) {
	step := Step{Act: ActBind}
	turn := true
	for _, k := range order {
		i := slices.IndexFunc(all, func(r route) bool { return r.kind == k && r.ready() })
		live := i >= 0 || slices.ContainsFunc(all, func(r route) bool { return r.kind == k && r.open() })
		if i >= 0 && (turn || v.completes(k)) {
			step.Kinds = append(step.Kinds, k)
			step.Behind = append(step.Behind, all[i].Behind)
		}
		turn = turn && !live
	}
	return step, len(step.Kinds) > 0
}

// completes reports whether a counting combination is whole once k is bound.
func (v *view) completes(k Kind) bool {
	have := v.held&^v.lost | v.bound | bit(k)
	return slices.ContainsFunc(v.counting(v.top(), v.held), func(c set) bool { return c.has(k) && c.within(have) })
}

// stuck tells the most useful reason of the routes.
func (v *view) stuck(all []route) Step {
	step := Step{Act: ActStuck, Reason: NoWay}
	grants := []Reason{GrantNotYet, GrantEnded, NeedsGrant, FactorSuspended, NeedsGrant2}
	if !v.flow.Goal.Admit() {
		step.Reason = NotOffered
	}
	if len(all) > 0 {
		first := slices.MinFunc(all, func(a, b route) int { return cmp.Compare(rank(a.block), rank(b.block)) })
		step.Reason = first.block
	}
	for _, r := range all {
		if step.Gate == "" && r.lack != "" && r.block == r.why && slices.Contains(grants, step.Reason) {
			step.Gate = r.lack
		}
	}
	return step
}

func rank(r Reason) int {
	if i := slices.Index(reasons, r); i >= 0 {
		return i
	}
	return len(reasons)
}
