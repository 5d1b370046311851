package authn

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dice chooses one of n. Properties draw from rapid, which shrinks; the mutants from a fixed seed.
type dice func(n int) int

func rolled(t *rapid.T) dice {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "die") }
}

func some[T any](d dice, from []T, atMost int) []T {
	from = slices.Clone(from)
	n := 1 + d(atMost)
	var out []T
	for range min(n, len(from)) {
		i := d(len(from))
		out = append(out, from[i])
		from = slices.Delete(from, i, i+1)
	}
	return out
}

func randomTiers(d dice) []Tier {
	var tiers []Tier
	seen := map[set]bool{}
	for range 1 + d(3)/2 {
		var tier Tier
		for range 1 + d(2) {
			if c := some(d, loginKinds(), 3); !seen[setOf(c...)] {
				seen[setOf(c...)] = true
				tier = append(tier, c)
			}
		}
		if tier != nil {
			tiers = append(tiers, tier)
		}
	}
	return tiers
}

func randomLines(d dice, replace bool) []Binding {
	var lines []Binding
	for range 1 + d(3) {
		b := Binding{}
		for range 1 + d(3)/2 {
			b.Gates = append(b.Gates, some(d, gateWords(), 2))
		}
		if b.Any = replace && d(4) == 0; !b.Any {
			b.Kinds = some(d, append(loginKinds(), Recovery), 3)
		}
		lines = append(lines, b)
	}
	return lines
}

func randomPolicies(d dice) *Policies {
	p := &Policies{}
	if d(2) == 0 {
		p.Name = "random"
	}
	for i, a := range audiences {
		b := Block{Audience: a}
		if i > 0 && d(2) == 0 {
			continue
		}
		if i == 0 || d(2) == 0 {
			b.Login = randomTiers(d)
		}
		if d(2) == 0 {
			b.Enrol = randomLines(d, false)
		}
		if d(2) == 0 {
			b.Replace = randomLines(d, true)
		}
		b.Fresh = d(2) == 0
		if d(2) == 0 {
			b.Then = some(d, []Duty{Terms, Preferences}, 2)
		}
		p.Blocks = append(p.Blocks, b)
	}
	return p
}

func randomSet(d dice, of set) set {
	var s set
	for _, k := range of.kinds() {
		if d(2) == 0 {
			s |= bit(k)
		}
	}
	return s
}

func randomWorld(d dice) world {
	p := randomPolicies(d)
	p.Blocks[0].Enrol = append(p.Blocks[0].Enrol, randomLines(d, false)...)
	p.Blocks[0].Replace = append(p.Blocks[0].Replace, randomLines(d, true)...)
	w := world{known: true, rules: p.Rules(audiences[d(3)]), ever: d(4) > 0, held: randomSet(d, factors|bit(Recovery))}
	w.never = randomSet(d, factors) &^ w.held
	w.ill = w.held & randomSet(d, factors) & randomSet(d, factors)
	w.can = randomSet(d, setOf(Cert, Password, TOTP, Phone, Passkey, Recovery, Invite, Mail, Call, Spoken))
	for range d(3) {
		g := grantOf(1+d(2), some(d, loginKinds(), 2)...)
		g.Any = d(3) == 0
		w.grants = append(w.grants, g)
	}
	return w
}

// within proves that a world gives nothing that the text does not say, under the realm's rules and under stricter ones,
// and that an overlay never lets anybody do what the realm alone would not.
func (w world) within(d dice) (states int, err error) {
	may := permitted(w)
	deep := d(8) == 0 // mostly, who may come in is followed up to the entry only: behind it everything is theirs
	realm := explore(w, may.entered && !deep)
	if realm.entered && !may.entered || !realm.bound.within(may.bound) {
		return realm.states, fmt.Errorf("engine: bound %v, entered %v; the text: %v, %v", realm.bound.kinds(), realm.entered, may.bound.kinds(), may.entered)
	}
	strict := w
	for range 1 + d(2) {
		strict.rules = Effective(strict.rules, Overlay{Login: randomTiers(d)})
	}
	if d(4) == 0 {
		strict.rules = Narrow(strict.rules, ACRPhishingResistant)
	}
	over := explore(strict, may.entered && !deep)
	if over.entered && !may.entered {
		return over.states, fmt.Errorf("a stricter policy lets in whom the realm does not; realm %v, over it %v", w.rules.Login, strict.rules.Login)
	}
	if !over.bound.within(may.bound) {
		return over.states, fmt.Errorf("a stricter policy %v binds %v, the realm alone %v", strict.rules.Login, over.bound.kinds(), may.bound.kinds())
	}
	may = permitted(strict)
	if over.entered && !may.entered || !over.bound.within(may.bound) {
		return over.states, fmt.Errorf("under overlays: bound %v, entered %v; the text: %v, %v", over.bound.kinds(), over.entered, may.bound.kinds(), may.entered)
	}
	return realm.states + over.states, nil
}

// String tells a world for a failing test.
func (w world) String() string {
	b := Block{Enrol: w.rules.Enrol, Replace: w.rules.Replace, Fresh: w.rules.Fresh}
	return fmt.Sprintf("%v\n%vactive %v, holds %v, never held %v, suspended %v, has %v, requests %v", w.rules.Login, (&Policies{Blocks: []Block{b}}).String(),
		w.ever, w.held.kinds(), w.never.kinds(), w.ill.kinds(), w.can.kinds(), w.grants)
}

// randomFlow is evidence as no honest door would gather it: stale, suspended, ended, of others, out of order.
func randomFlow(d dice, w world) (Person, Flow) {
	p := w.person()
	f := Flow{ID: "flow", Person: "somebody", Now: trial, Created: trial.Add(-20 * time.Minute), Goal: goals[0]}
	if d(2) == 0 {
		f.Goal = goals[d(len(goals))]
	}
	if d(10) == 0 {
		f.Person = "somebody else"
	}
	for range d(6) {
		e := Evidence{Kind: Kinds[d(len(Kinds))].Kind, At: trial.Add(-time.Duration(d(10)) * time.Minute)}
		if d(8) == 0 {
			e.At = trial.Add(time.Hour)
		}
		e.Credential = []string{"old ", "old ", "old ", "ended "}[d(4)] + string(e.Kind)
		e.Bound = d(4) == 0
		f.Evidence = append(f.Evidence, e)
	}
	return p, f
}

// sound judges one answer of Next by the text: whoever is let in has shown a combination, whoever binds has met a line.
func (w world) sound(d dice) (acts string, err error) {
	p, f := randomFlow(d, w)
	step := w.next(w.rules, p, f)
	var shown, bound, recent, once set
	for _, e := range f.Evidence {
		info, _ := Info(e.Kind)
		if !info.Held {
			once |= bit(e.Kind)
			continue
		}
		if !(w.held &^ w.ill).has(e.Kind) || e.Credential != "old "+string(e.Kind) {
			continue
		}
		if e.Bound {
			bound |= bit(e.Kind)
			continue
		}
		shown |= bit(e.Kind)
		if age := f.Now.Sub(e.At); age <= 5*time.Minute && age > -5*time.Minute {
			recent |= bit(e.Kind)
		}
	}
	judge := w
	judge.can = shown | bound | once
	o := &oracle{w: judge, recent: &recent, floors: append(slices.Clone(w.rules.Floors), w.rules.Login)}
	switch {
	case f.Person != p.ID && step.Act != ActProve && step.Act != ActStuck:
		return "", fmt.Errorf("evidence of somebody else leads to %q", show(step))
	case step.Act == ActPerform || step.Act == ActAdmit && f.Goal.Admit():
		own := shown
		if !w.rules.Fresh {
			own |= bound
		}
		for _, c := range w.rules.Login {
			if o.counts(c, w.held) && setOf(c.Kinds...).within(own) {
				return "admit", nil
			}
		}
		return "", fmt.Errorf("%q after %v, bound %v, of %v", show(step), shown.kinds(), bound.kinds(), w.rules.Login)
	case step.Act == ActAdmit:
		if !bound.has(f.Goal.Bind) {
			return "", fmt.Errorf("the goal %v counts as reached", f.Goal)
		}
	case step.Act == ActBind:
		for _, k := range step.Kinds {
			b := step.BehindOf(k)
			if !o.may(k, b.Gates, b.Way == ByReplace, bound, w.held, shown|bound) {
				return "", fmt.Errorf("%q behind %v after %v, bound %v, once %v; holds %v", show(step), b, shown.kinds(), bound.kinds(), once.kinds(), w.held.kinds())
			}
			if f.Goal.Way == ByEnrol && !slices.Contains(b.Gates, GateLogin) {
				return "", fmt.Errorf("a spare of %v behind %v", k, b)
			}
		}
		return "bind", nil
	}
	return "", nil
}

func runRandom(s slack, d dice, rounds int) error {
	for range rounds {
		w := randomWorld(d)
		w.slack = s
		if _, err := w.within(d); err != nil {
			return fmt.Errorf("%w\n%s", err, w)
		}
		for range 20 {
			if _, err := w.sound(d); err != nil {
				return fmt.Errorf("%w\n%s", err, w)
			}
		}
	}
	return nil
}

func seeded(seed uint64) dice {
	r := rand.New(rand.NewPCG(seed, seed))
	return r.IntN
}

func TestRandomPoliciesGiveNothingThatTheyDoNotSay(t *testing.T) {
	states := 0
	rapid.Check(t, func(t *rapid.T) {
		d := rolled(t)
		w := randomWorld(d)
		n, err := w.within(d)
		if err != nil {
			t.Fatalf("%v\n%s", err, w)
		}
		states += n
	})
	if err := runRandom(slack{}, seeded(1), 800); err != nil {
		t.Error(err)
	}
	if states < 500 {
		t.Errorf("only %d states: this proves nothing", states)
	}
}

func TestSEC_T9_RandomEvidenceAdmitsOnlyByTheText(t *testing.T) {
	acts := map[string]int{}
	d := seeded(2)
	for range 30_000 {
		act, err := randomWorld(d).sound(d)
		if err != nil {
			t.Fatal(err)
		}
		acts[act]++
	}
	rapid.Check(t, func(t *rapid.T) {
		d := rolled(t)
		if _, err := randomWorld(d).sound(d); err != nil {
			t.Fatal(err)
		}
	})
	t.Log(acts)
	if acts["admit"] < 100 || acts["bind"] < 100 {
		t.Errorf("%v: this proves nothing", acts)
	}
}

func TestPoliciesPrintAndParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := randomPolicies(rolled(t))
		printed := p.String()
		again, err := ParsePolicies(printed)
		if err != nil {
			t.Fatalf("%v in\n%s", err, printed)
		}
		if again.String() != printed {
			t.Fatalf("printed\n%s\nread back\n%s", printed, again)
		}
		for _, a := range audiences {
			if fmt.Sprint(bare(again.block(a))) != fmt.Sprint(bare(p.block(a))) {
				t.Fatalf("%s changed: %v, %v", a, again.block(a), p.block(a))
			}
		}
	})
}

// bare is a block without its places in the text.
func bare(b Block) Block {
	b.Line, b.LoginLine = 0, 0
	for _, lines := range []*[]Binding{&b.Enrol, &b.Replace} {
		*lines = slices.Clone(*lines)
		for i := range *lines {
			(*lines)[i].Line = 0
		}
	}
	return b
}
