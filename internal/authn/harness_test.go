package authn

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func text(t testing.TB, name string) *Policies {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".policy")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePolicies(string(b))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

// shipped are the policies that come with the product.
var shipped = []string{"shop", "wealth", "wealth-interim"}

func named(s string) []Kind {
	var kinds []Kind
	for _, w := range strings.Fields(s) {
		kinds = append(kinds, Kind(w))
	}
	return kinds
}

func kindset(s string) set { return setOf(named(s)...) }

// show prints a step in one line, as the journeys write it.
func show(s Step) string {
	var b strings.Builder
	b.WriteString(string(s.Act))
	switch s.Act {
	case ActPerform:
		b.WriteString(" " + string(s.Duty))
	case ActStuck:
		b.WriteString(" " + string(s.Reason))
		if s.Gate != "" {
			b.WriteString(" " + string(s.Gate))
		}
	case ActProve, ActBind:
		b.WriteString(" " + join(s.Kinds, " "))
	}
	if s.Act != ActStuck && s.Reason != "" {
		b.WriteString(" (" + string(s.Reason) + ")")
	}
	if len(s.Also) > 0 {
		b.WriteString(" also " + join(s.Also, " "))
	}
	return b.String()
}

// world is a person as the policy sees them, and what somebody (the person, or a thief) has in hand.
type world struct {
	slack
	rules  Rules
	ever   bool
	held   set // enrolled before
	ill    set // of those, suspended
	never  set // never held
	made   set // enrolled by the actor during this exploration
	ended  set // of held, ended by a replacement
	can    set // what the actor can show of held, and once-only kinds
	grants []Grant
	known  bool // the flow rises from a session, so nobody has to be named first
}

func grantOf(approvers int, kinds ...Kind) Grant {
	return Grant{ID: fmt.Sprint("request by ", approvers), Kinds: kinds, Any: len(kinds) == 0, Approvers: approvers,
		From: trial.Add(-time.Hour), Until: trial.Add(time.Hour)}
}

func (w world) person() Person {
	p := Person{ID: "somebody", EverActive: w.ever, Grants: w.grants, Never: (w.never &^ w.made).kinds()}
	for _, k := range (w.held &^ w.ended).kinds() {
		p.Held = append(p.Held, Holding{Kind: k, Credential: "old " + string(k), Suspended: w.ill.has(k), Bound: trial.Add(-1000 * time.Hour)})
	}
	for _, k := range w.made.kinds() {
		p.Held = append(p.Held, Holding{Kind: k, Credential: "new " + string(k), Bound: trial})
	}
	return p
}

// outcome is what somebody got out of a world.
type outcome struct {
	entered bool
	later   bool // somebody was led to what could be put off
	bound   set  // kinds the actor enrolled at any time
	states  int
}

// explore takes every way through every flow that the engine offers, one flow after the other, with what was enrolled in
// an earlier flow carried into the next.
func explore(w world, stopAtEntry bool) outcome {
	x := &explorer{stop: stopAtEntry, worlds: map[[2]set]bool{}}
	x.live(w)
	return x.outcome
}

type explorer struct {
	outcome
	stop   bool
	worlds map[[2]set]bool
}

var goals = func() []Goal {
	all := []Goal{{}}
	for _, k := range append(loginKinds(), Recovery) {
		all = append(all, Goal{Bind: k, Way: ByReplace}, Goal{Bind: k, Way: ByEnrol})
	}
	return all
}()

func (x *explorer) live(w world) {
	if x.worlds[[2]set{w.made, w.ended}] || x.stop && x.entered {
		return
	}
	x.worlds[[2]set{w.made, w.ended}] = true
	x.bound |= w.made
	for _, g := range goals {
		seen := map[[4]set]bool{}
		f := Flow{ID: "flow", Goal: g, Now: trial, Created: trial}
		if w.known {
			f.Person, f.Session = "somebody", "session"
		}
		x.flow(w, f, seen)
	}
}

// again marks a moment in which a certificate was shown after the call.
const again set = 1 << 15

func (x *explorer) flow(w world, f Flow, seen map[[4]set]bool) {
	if x.stop && x.entered {
		return
	}
	at := [4]set{0, 0, w.made, w.ended}
	for _, e := range f.Evidence {
		if e.Bound {
			at[1] |= bit(e.Kind)
		} else {
			if e.Kind == Cert && at[0].has(Call) {
				at[0] |= again
			}
			at[0] |= bit(e.Kind)
		}
	}
	if seen[at] {
		return
	}
	seen[at] = true
	x.states++
	step := look(w.slack, w.rules, w.person(), f).step()
	if step.Later { // put off: let in
		x.entered, x.later = true, true
	}
	switch step.Act {
	case ActAdmit, ActPerform:
		if f.Goal.Admit() {
			x.entered = true
		}
		x.live(w)
		return
	case ActBind:
		for _, k := range step.Kinds {
			next := w
			next.made |= bit(k)
			if step.BehindOf(k).Way == ByReplace {
				next.ended |= bit(k) & next.held
			}
			flow := f
			flow.Evidence = append(slices.Clone(f.Evidence), Evidence{Kind: k, Credential: "new " + string(k), At: trial, Bound: true})
			x.flow(next, flow, seen)
			x.live(next)
		}
	}
	offered := step.Also
	if step.Act == ActProve {
		offered = append(slices.Clone(step.Kinds), step.Also...)
	}
	for _, k := range offered {
		e := Evidence{Kind: k, At: trial}
		info, _ := Info(k)
		switch {
		case w.made.has(k):
			e.Credential = "new " + string(k)
		case !w.can.has(k):
			continue
		case info.Held:
			e.Credential = "old " + string(k)
		}
		flow := f
		flow.Person = "somebody"
		flow.Evidence = append(slices.Clone(f.Evidence), e)
		x.flow(w, flow, seen)
	}
}
