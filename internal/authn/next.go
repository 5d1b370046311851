package authn

// Next computes the next step. Its rules are R1 to R7 of the design (R1: effective.go). Where those leave a case open,
// this is what was decided, and why:
//
//   - E1 A flow is anonymous until it has evidence (or rises from a session). An anonymous flow is only offered what
//     names a person, the same for everybody.
//   - E2 What can be shown is asked before a reason is told, so that a stranger learns nothing about an account.
//   - E3 Whether an else tier counts for admission is judged on everything held, granted or suspended or not: an
//     approved request never opens a lesser way in. For what has to be shown to replace K, K counts as not held.
//   - E4 Remnants are compared by their number of kinds; of several largest ones any suffices. A remnant with a
//     suspended part cannot be shown, and a smaller one does not step in: two approvers are needed then.
//   - E5 A remnant may be empty only behind grant2, behind a gate with login (which asks for more), or at the first
//     set-up of a person who was never active.
//   - E6 An enrol line without login is for the first set-up only: it is closed to whoever was ever active. So is every
//     gate with invite, wherever it stands.
//   - E7 A grant names kinds. Such a kind counts as lost while every credential of it is older than the grant's From. So
//     a lost phone that is still enrolled is not asked for again and again, a grant serves once per kind, and a
//     certificate issued after the approval counts as held.
//   - E8 A kind that is lost is still held: whoever finds it may show it and come in (Step.Also). A grant thus shuts
//     nobody out, and its approval alone changes nothing.
//   - E9 Goal admit with a whole combination that holds nothing lost or suspended: prove it; nothing is bound. Only when
//     each whole combination has a lost part, the lost kinds are bound behind replace lines with a grant.
//   - E10 Behind grant, one kind at a time is lost: the other lost kinds still count as held. Behind grant2 all kinds
//     are lost that requests with two approvers name.
//   - E11 No whole combination, and no grant: a kind that is not held at all may be bound behind a replace line as
//     well. It asks for exactly what the goal "bind that kind by replace" asks for.
//   - E12 The gate login asks for a combination of the strictest policy. Only for a kind that the person never held, and
//     while they hold no such combination whole, a combination of the next weaker floor will do: when an organization
//     turns a stricter policy on, its people enrol what is new with what they have. A kind that was held and ended (a
//     revoked passkey) does not open that way again, or ending it would weaken the account. What was bound in the flow
//     is no sign-in.
//   - E13 The call counts only if the certificate or the phone was shown before it, in the same flow; or whatever else of the
//     person's a combination asks for beside a certificate, such as their authenticator until there are phones.
//   - E14 Evidence is as good as its credential: ended, unknown or suspended since, it counts for nothing, also towards
//     login and remnants. Evidence of a kind without credential counts within its flow.
//   - E15 Under fresh only what was bound here is shown again; what was proven already is not asked twice.
//   - E16 Duties are owed for admission only. A goal to bind is reached when the flow has bound the kind.
//     A goal to bind that names neither way reaches nothing.
//   - E17 A grant that cannot help (not yet live, or it needs a second approver) leaves everything as it was.
//   - E18 While a stricter policy is being rolled out (Rules.Soon), the old rules alone let in. Who is let in by them, and
//     holds no combination of the new ones whole, is led to set up what is missing, and may put it off. It is bound
//     behind the same lines as after the end, judged by the new rules: a fresh sign-in with a whole combination of what
//     held before (E12), never a mailbox, a password alone or a new invitation. After the end the new rules are the
//     rules: the same step, and no way round it. Who held the kind once and lost it needs a grant before and after.
//   - E19 An exemption (Rules.Exempt) counts for the goal admit, and there for what has to be shown alone: a combination
//     without the exempt kind suffices where something remains that names its person, and the kind counts as not held
//     for else; where the strictest text asks for that kind alone, the one below it counts. For gates, remnants and bindings nothing changes: who is let in by less never enrols by less. It does
//     not count in a flow that came by a link, which is there to set something up, nor leads anybody to what comes Soon.
//   - E20 What is bound behind the call asks once more for the certificate that was shown before it: minutes have gone by, and
//     the call has proven who speaks, not that the device is still theirs. Another certificate does not do.

import (
	"cmp"
	"slices"
	"time"
)

// LoginAge is how old evidence may be at the gate login.
const LoginAge = 5 * time.Minute

// skew is how far evidence may seem to come from the future: nodes' clocks differ a little.
const skew = time.Minute

// Next computes the next step of a flow for a person under rules. It is pure: the time is f.Now. For the goal bind,
// ActAdmit means that the goal is reached; no session may be minted from it.
//
// The person is who the flow belongs to, with everything they hold; while f.Person is empty, the zero Person.
func Next(r Rules, p Person, f Flow) Step { return slack{}.next(r, p, f) }

// slack takes rules away, one each. The zero value has all rules in force and is the only one outside of tests, which
// prove with the others that each rule is needed.
type slack struct {
	anyRemnant, emptyRemnant, rollOutAlways, keepLost, suspendedShows, suspendedGone, noElse, endedCounts, boundAdmits, boundForgotten,
	boundIsLogin, inviteAlways, setUpAlways, oneApprover, grantAnyTime, grantAnyKind, grantForever, oldLogin, noGate,
	noDuties, bindsAnyway, callAnywhere, certOnce, topFloorOnly, otherPerson, manyAtOnce, soonFirst, exemptOpens, exemptAll bool
}

func (s slack) next(r Rules, p Person, f Flow) Step {
	v := look(s, r, p, f)
	step := v.step()
	if v.known && step.Act != ActStuck && !step.Later {
		v.count(&step)
	}
	return step
}

// view is everything Next knows, as sets.
type view struct {
	slack
	Rules
	person Person
	flow   Flow
	known  bool

	floors [][]way // every floor, the strictest last
	order  []Kind  // kinds as the combinations name them

	held   set // active or suspended
	shut   set // held, but every credential of it is suspended
	shown  set // evidence from proving
	bound  set // evidence from enrolling
	made   set // of that, in this flow
	recent set // shown at most LoginAge ago
	calls  set // what the call may follow (E13)
	once   set // once-only kinds, and recovery codes
	lost   set // held, named by a live grant, not bound since

	cert   string // credential of the certificate that was shown last
	called string // of the one that the call followed, empty for none
	again  bool   // that one was shown after the call as well (E20)
}

// way is a combination as sets.
type way struct {
	kinds  set
	unless []set
}

func look(s slack, r Rules, p Person, f Flow) *view {
	v := &view{slack: s, Rules: r, person: p, flow: f}
	v.known = f.Person != "" && (len(f.Evidence) > 0 || f.Session != "") && (p.ID == f.Person || s.otherPerson)
	for _, login := range append(slices.Clone(r.Floors), r.Login) {
		v.floors = append(v.floors, ways(login))
	}
	v.calls = callers(v.floors[0])
	for _, c := range slices.Concat(append([][]Combination{r.Login}, r.Floors...)...) {
		for _, k := range c.Kinds {
			if !slices.Contains(v.order, k) {
				v.order = append(v.order, k)
			}
		}
	}
	if !v.known {
		v.person = Person{}
		return v
	}
	for _, h := range p.Held {
		if h.Suspended && s.suspendedGone {
			continue
		}
		v.held |= bit(h.Kind)
		if h.Suspended && !s.suspendedShows {
			v.shut |= bit(h.Kind)
		}
	}
	for _, h := range p.Held {
		if !h.Suspended {
			v.shut &^= bit(h.Kind)
		}
	}
	for _, e := range f.Evidence {
		v.see(e)
	}
	if e := bit(r.Exempt); s.exemptOpens {
		v.held, v.shown, v.recent = v.held|e, v.shown|e, v.recent|e
	}
	for _, k := range (v.held & factors).kinds() {
		if _, reason := v.grant(k, 1); reason == "" && !s.keepLost {
			v.lost |= bit(k)
		}
	}
	return v
}

func ways(login []Combination) []way {
	var all []way
	for _, c := range login {
		w := way{kinds: setOf(c.Kinds...)}
		if w.kinds == 0 || !w.kinds.within(factors) || slices.ContainsFunc(c.Kinds, func(k Kind) bool { return bit(k) == 0 }) {
			continue // nothing, or a kind that proves nothing, never admits
		}
		for _, u := range c.Unless {
			w.unless = append(w.unless, setOf(u...))
		}
		all = append(all, w)
	}
	return all
}

// see counts one piece of evidence, or not (R3).
func (v *view) see(e Evidence) {
	info, known := Info(e.Kind)
	if !known {
		return
	}
	if info.Held && !v.endedCounts {
		live := func(h Holding) bool {
			return h.Kind == e.Kind && h.Credential == e.Credential && (!h.Suspended || v.suspendedShows)
		}
		if e.Credential == "" || !slices.ContainsFunc(v.person.Held, live) {
			return
		}
	}
	b := bit(e.Kind)
	switch {
	case e.Kind == Call && (v.shown|v.bound)&v.calls == 0 && !v.callAnywhere:
	case !info.Held, e.Kind == Recovery && !e.Bound:
		v.once |= b
		if e.Kind == Call {
			v.called, v.again = v.cert, false
		}
	case e.Bound:
		v.bound |= b
		if !e.At.Before(v.flow.Created) { // a session hands its older evidence on; that binding is not this flow's
			v.made |= b
		}
	default:
		v.shown |= b
		if e.Kind == Cert {
			v.cert, v.again = e.Credential, v.again || e.Credential == v.called
		}
	}
	age := v.flow.Now.Sub(e.At)
	if info.Held && (!e.Bound || v.boundIsLogin) && (age <= LoginAge && age >= -skew || v.oldLogin) {
		v.recent |= b
	}
}

// proof is what has been shown, in the sense of remnants and gates.
func (v *view) proof() set {
	if v.boundForgotten {
		return v.shown
	}
	return v.shown | v.bound
}

// admitting is what has been shown, in the sense of admission.
func (v *view) admitting() set {
	if v.Fresh && !v.boundAdmits {
		return v.shown
	}
	return v.shown | v.bound
}

// top is the strictest floor.
func (v *view) top() []way { return v.floors[len(v.floors)-1] }

// counting are the combinations of a floor that count for a person who holds these kinds.
func (v *view) counting(floor []way, held set) []set {
	var out []set
	for _, w := range floor {
		better := func(u set) bool { return u.within(held) }
		if v.noElse || !slices.ContainsFunc(w.unless, better) {
			out = append(out, w.kinds)
		}
	}
	return out
}

// whole are the counting combinations of a floor of which the person holds every part.
func (v *view) whole(floor []way) []set {
	return slices.DeleteFunc(v.counting(floor, v.held), func(c set) bool { return !c.within(v.held) })
}

func (v *view) step() Step {
	goal := v.flow.Goal
	switch {
	case !v.known:
		return v.anonymous()
	case goal.Admit():
		return v.ahead(v.admit())
	case v.made.has(goal.Bind):
		return Step{Act: ActAdmit}
	}
	return v.merge([]Kind{goal.Bind}, v.routes(goal.Bind))
}

// admit is the step towards the goal admit.
func (v *view) admit() Step {
	whole := v.whole(v.top())
	for _, c := range whole {
		if c.within(v.admitting()) {
			return v.duties()
		}
	}
	excused := v.excused()
	if slices.ContainsFunc(excused, func(c set) bool { return c.within(v.admitting()) }) {
		return v.duties()
	}
	var sound, open []set
	for _, c := range whole {
		if c&v.shut == 0 {
			open = append(open, c)
			if c&v.lost == 0 {
				sound = append(sound, c)
			}
		}
	}
	if len(sound) > 0 && !v.bindsAnyway || len(excused) > 0 {
		return v.prove(append(open, excused...))
	}
	// R5: nothing whole, or every whole combination has a lost or suspended part.
	var all []route
	for _, k := range v.targets() {
		all = append(all, v.routes(k)...)
	}
	granted := slices.ContainsFunc(all, func(r route) bool { return r.block == "" && r.Grant != "" })
	if len(whole) == 0 || granted || v.bindsAnyway {
		step := v.merge(v.targets(), all)
		for _, k := range v.nextOf(open, v.admitting()) {
			if step.Act != ActProve || !step.Offers(k) {
				step.Also = add(step.Also, k)
			}
		}
		return step
	}
	if len(open) > 0 {
		return v.prove(open)
	}
	// Every way has a suspended part. Ask for the rest before saying so (E2).
	for _, c := range whole {
		if next := v.nextOf([]set{c &^ v.shut}, v.admitting()); len(next) > 0 {
			return Step{Act: ActProve, Kinds: next}
		}
	}
	return Step{Act: ActStuck, Reason: FactorSuspended, Gate: v.stuck(all).Gate}
}

// duties follows a complete combination.
func (v *view) duties() Step {
	for _, d := range v.Then {
		if slices.Contains(v.person.Owed, d) && !v.noDuties {
			return Step{Act: ActPerform, Duty: d}
		}
	}
	return Step{Act: ActAdmit}
}

// prove offers the next kind of each combination (R4).
func (v *view) prove(open []set) Step {
	step := Step{Act: ActProve, Kinds: v.nextOf(open, v.admitting())}
	for _, g := range v.person.Grants {
		if v.flow.Now.Before(g.From) {
			step.Reason = GrantNotYet
		}
	}
	return step
}

// nextOf returns the first missing kind of each combination: what was begun comes first, then what holds nothing lost,
// then what was used last, then what the text names first.
func (v *view) nextOf(open []set, have set) []Kind {
	type choice struct {
		kind        Kind
		begun, lost int
		used        time.Time
	}
	var all []choice
	for _, c := range open {
		k, missing := v.first(c &^ have)
		if !missing {
			continue
		}
		ch := choice{kind: k, begun: (c & have).size(), lost: (c & v.lost &^ have).size()}
		for _, h := range v.person.Held {
			if h.Kind == k && h.LastUsed.After(ch.used) {
				ch.used = h.LastUsed
			}
		}
		all = append(all, ch)
	}
	slices.SortStableFunc(all, func(a, b choice) int {
		return cmp.Or(b.begun-a.begun, a.lost-b.lost, b.used.Compare(a.used))
	})
	var kinds []Kind
	for _, c := range all {
		kinds = add(kinds, c.kind)
	}
	return kinds
}

// first returns the kind of s that the combinations name first.
func (v *view) first(s set) (Kind, bool) {
	for _, k := range v.order {
		if s.has(k) {
			return k, true
		}
	}
	for _, k := range s.kinds() {
		return k, true
	}
	return "", false
}

func add[T comparable](list []T, more ...T) []T {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
