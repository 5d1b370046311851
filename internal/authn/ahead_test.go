package authn

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// randomWave is a world in which a stricter policy is being rolled out: what counts now, and what counts after the end.
func randomWave(d dice) (now, after world) {
	now = randomWorld(d)
	after = now
	for range 1 + d(2) {
		after.rules = Effective(after.rules, Overlay{Login: randomTiers(d)})
	}
	if d(4) == 0 {
		after.rules = Effective(after.rules, Overlay{Then: []Duty{Terms}, Fresh: d(2) == 0})
	}
	soon := after.rules
	now.rules.Soon = &soon
	return now, after
}

// waves proves that grace gives nothing but time: who comes in is who came in before, nothing is bound that the realm's
// text does not give, and who is not stranded by the new rules comes in after the end, however often they put it off.
func waves(d dice) (led bool, err error) {
	now, after := randomWave(d)
	may := permitted(now)
	old := now
	old.rules.Soon = nil
	before, during := explore(old, false), explore(now, false)
	switch {
	case during.entered != before.entered && may.entered != during.entered:
		return false, fmt.Errorf("grace lets in: %v, the old rules: %v; soon %v", during.entered, before.entered, after.rules.Login)
	case !during.bound.within(may.bound):
		return false, fmt.Errorf("grace binds %v, the text %v; soon %v", during.bound.kinds(), may.bound.kinds(), after.rules.Login)
	}
	led = during.later
	for range 10 { // a step that can be put off comes after the old rules, and putting it off lets in
		p, f := randomFlow(d, now)
		f.Goal = Goal{}
		step := now.next(now.rules, p, f)
		plain := now.next(old.rules, p, f)
		if step.Later && plain.Act != ActAdmit || !step.Later && show(step) != show(plain) {
			return false, fmt.Errorf("%q where the old rules say %q; soon %v", show(step), show(plain), after.rules.Login)
		}
		f.Later = true
		if put := now.next(now.rules, p, f); put.Later || show(put) != show(plain) {
			return false, fmt.Errorf("put off: %q, the old rules %q", show(put), show(plain))
		}
		if _, err := after.sound(d); err != nil { // after the end: nobody without a new combination
			return false, fmt.Errorf("after the end: %w", err)
		}
	}
	all := after
	all.grants = nil
	all.can = all.held | setOf(Mail, Call, Spoken)
	if !all.ever {
		all.can |= setOf(Invite)
	}
	all.known = false
	if _, stranded := Stranded(after.rules, after.person()); !stranded && !explore(all, true).entered {
		return false, fmt.Errorf("nobody says that %v are stranded by %v", after.held.kinds(), after.rules.Login)
	}
	return led, nil
}

func runWaves(s slack, d dice, rounds int) error {
	for range rounds {
		seed := uint64(d(1 << 30))
		if _, err := wavesOf(s, seed); err != nil {
			return err
		}
	}
	return nil
}

func wavesOf(s slack, seed uint64) (bool, error) {
	d := seeded(seed)
	if s == (slack{}) {
		return waves(d)
	}
	now, _ := randomWave(d)
	now.slack = s
	old := now.rules
	old.Soon = nil
	for range 10 {
		p, f := randomFlow(d, now)
		f.Goal = Goal{}
		if step, plain := now.next(now.rules, p, f), now.next(old, p, f); step.Later && plain.Act != ActAdmit {
			return false, fmt.Errorf("%q where the old rules say %q", show(step), show(plain))
		}
	}
	return false, nil
}

func TestREQ_B2_GraceGivesNothingButTime(t *testing.T) {
	led := 0
	rapid.Check(t, func(t *rapid.T) {
		is, err := waves(rolled(t))
		if err != nil {
			t.Fatal(err)
		}
		if is {
			led++
		}
	})
	d := seeded(3)
	for range 200 {
		is, err := wavesOf(slack{}, uint64(d(1<<30)))
		if err != nil {
			t.Fatal(err)
		}
		if is {
			led++
		}
	}
	t.Log("led to set something up:", led)
	if led < 20 {
		t.Errorf("only %d worlds led anybody: this proves nothing", led)
	}
}

// exempt proves that an exemption lets in by a combination without the kind and by nothing less, and binds nothing.
func exempt(s slack, d dice) (used bool, err error) {
	w := randomWorld(d)
	w.slack = s
	w.rules.Soon = nil
	plain := w
	w.rules.Exempt = loginKinds()[d(len(loginKinds()))]
	if d(3) == 0 {
		may, got := permitted(plain), explore(w, false)
		if !got.bound.within(may.bound) {
			return false, fmt.Errorf("exempt from %s: bound %v, the text %v\n%s", w.rules.Exempt, got.bound.kinds(), may.bound.kinds(), w)
		}
	}
	for range 25 {
		p, f := randomFlow(d, w)
		f.Goal = Goal{}
		step, without := w.next(w.rules, p, f), w.next(plain.rules, p, f)
		if (step.Act == ActAdmit || step.Act == ActPerform) && without.Act != step.Act {
			if err := w.excuses(p, f); err != nil {
				return false, fmt.Errorf("%q: %w\n%s", show(step), err, w)
			}
			used = true
		}
		if (without.Act == ActAdmit || without.Act == ActPerform) && step.Act != without.Act {
			return false, fmt.Errorf("exempt: %q, else %q", show(step), show(without))
		}
		if step.Act == ActBind && without.Act != ActBind {
			return false, fmt.Errorf("exempt from %s: %q, else %q\n%s", w.rules.Exempt, show(step), show(without), w)
		}
		f.Goal = goals[1+d(len(goals)-1)] // to bind something: as if there were no exemption
		if step, without := w.next(w.rules, p, f), w.next(plain.rules, p, f); show(step) != show(without) {
			return false, fmt.Errorf("exempt from %s, to bind %s: %q, else %q\n%s", w.rules.Exempt, f.Goal.Bind, show(step), show(without), w)
		}
	}
	return used, nil
}

// excuses judges a sign-in that only an exemption explains: a combination without the kind was shown, it names its person,
// and no link was in play.
func (w world) excuses(p Person, f Flow) error {
	var shown set
	for _, e := range f.Evidence {
		if info, _ := Info(e.Kind); !info.Held || e.Kind == Recovery && !e.Bound {
			if info.Held && e.Credential != "old "+string(e.Kind) {
				continue
			}
			if info.Held && !(w.held&^w.ill).has(e.Kind) || e.Kind == Call {
				continue
			}
			return fmt.Errorf("%s was shown", e.Kind)
		}
		if (w.held &^ w.ill).has(e.Kind) && e.Credential == "old "+string(e.Kind) && (!e.Bound || !w.rules.Fresh) {
			shown |= bit(e.Kind)
		}
	}
	o := &oracle{w: w, floors: [][]Combination{w.rules.Login}}
	for _, c := range slices.Concat(append([][]Combination{w.rules.Login}, w.rules.Floors...)...) {
		rest := setOf(c.Kinds...) &^ bit(w.rules.Exempt)
		if rest != 0 && rest.within(shown) && o.counts(c, w.held&^bit(w.rules.Exempt)) && names(rest) {
			return nil
		}
	}
	return fmt.Errorf("%v shown, exempt from %s", shown.kinds(), w.rules.Exempt)
}

func runExemptions(s slack, d dice, rounds int) error {
	for range rounds {
		if _, err := exempt(s, d); err != nil {
			return err
		}
	}
	return nil
}

func TestREQ_B4_AnExemptionLetsInByOneKindLessAndBindsNothing(t *testing.T) {
	used := 0
	d := seeded(4)
	for range 700 {
		is, err := exempt(slack{}, d)
		if err != nil {
			t.Fatal(err)
		}
		if is {
			used++
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if _, err := exempt(slack{}, rolled(t)); err != nil {
			t.Fatal(err)
		}
	})
	if used < 20 {
		t.Errorf("used in %d worlds: this proves nothing", used)
	}
}

func TestREQ_B65_WhoCanBeExempt(t *testing.T) {
	for _, c := range []struct{ policy, login, held, want string }{
		{"shop", "", "password totp", "totp phone"},
		{"shop", "", "password", "totp phone"},
		{"shop", "", "totp", ""},
		{"shop", "", "", ""},
		{"wealth", "", "cert password phone", "cert password phone"},
		{"shop", "passkey", "password totp", "passkey"},
		{"shop", "passkey", "password", ""},
		{"shop", "passkey", "password totp passkey", "passkey"},
	} {
		r := text(t, c.policy).Rules(Members)
		if c.login != "" {
			r = Effective(r, Overlay{Login: []Tier{{{Kind(c.login)}}}})
		}
		p := Person{ID: "somebody", EverActive: true}
		for _, k := range named(c.held) {
			p.Held = append(p.Held, Holding{Kind: k, Credential: string(k)})
		}
		got := setOf(Excusable(r, p)...)
		if got != kindset(c.want) {
			t.Errorf("%s %s, holds %s: %v", c.policy, c.login, c.held, got.kinds())
		}
		for _, k := range got.kinds() { // nobody is exempt to nothing
			r.Exempt = k
			if step := Next(r, p, Flow{Person: p.ID, Session: "s", Now: trial, Created: trial}); step.Act == ActAdmit || step.Act == ActPerform {
				t.Errorf("%s: exempt from %s, nothing shown: %q", c.policy, k, show(step))
			}
		}
	}
	for i := range 2 { // suspended is not shown, exempt or not
		r := text(t, "shop").Rules(Members)
		r.Exempt = TOTP
		p := Person{ID: "somebody", EverActive: true, Held: []Holding{{Kind: Password, Credential: "p", Suspended: i == 0}, {Kind: TOTP, Credential: "t"}}}
		f := Flow{Person: p.ID, Now: trial, Created: trial, Evidence: []Evidence{{Kind: Password, Credential: "p", At: trial}}}
		if got := Next(r, p, f).Act == ActAdmit || Next(r, p, f).Act == ActPerform; got != (i == 1) {
			t.Errorf("suspended %v: let in %v", i == 0, got)
		}
	}
}

// A phone is lost, an exemption bridges the day, and the request for a new one is approved meanwhile: its link sets up.
func TestREQ_B4_ALinkSetsUpWhoIsExempt(t *testing.T) {
	if err := linkSetsUp(slack{}); err != nil {
		t.Error(err)
	}
	if err := linkSetsUp(slack{exemptAll: true}); err == nil {
		t.Error("this proves nothing")
	}
}

func linkSetsUp(s slack) error {
	p, err := ParsePolicies("members\n login password + totp\n enrol invite -> password, totp\n replace grant + mail -> totp\n")
	if err != nil {
		return err
	}
	r := p.Rules(Members)
	r.Exempt = TOTP
	w := world{slack: s, rules: r, ever: true, held: setOf(Password, TOTP), grants: []Grant{grantOf(1, TOTP)}}
	f := Flow{Person: "somebody", Now: trial, Created: trial, Evidence: []Evidence{{Kind: Mail, At: trial}, {Kind: Password, Credential: "old password", At: trial}}}
	if step := w.next(r, w.person(), f); step.Act != ActBind || !slices.Contains(step.Kinds, TOTP) {
		return fmt.Errorf("%q", show(step))
	}
	f.Evidence = f.Evidence[1:]
	if step := w.next(r, w.person(), f); step.Act != ActAdmit {
		return fmt.Errorf("without the link: %q", show(step))
	}
	return nil
}

// The journey of a wave: before it nothing, in it at the next sign-in and skipped, after it no way round.
func TestREQ_B84_LedAtTheNextSignInAndNoSkipAfterTheEnd(t *testing.T) {
	old := text(t, "shop").Rules(Members)
	strict := Effective(old, Overlay{Login: []Tier{{{Passkey}}}})
	p := Person{ID: "somebody", EverActive: true, Never: []Kind{Passkey, Phone},
		Held: []Holding{{Kind: Password, Credential: "p"}, {Kind: TOTP, Credential: "t"}}}
	grace := old
	grace.Soon = &strict
	at := func(kinds ...Kind) Flow {
		f := Flow{Person: p.ID, Session: "s", Now: trial, Created: trial}
		for _, k := range kinds {
			f.Evidence = append(f.Evidence, Evidence{Kind: k, Credential: string(k[:1]), At: trial})
		}
		return f
	}
	for _, c := range []struct {
		name  string
		r     Rules
		f     Flow
		later bool
		want  string
	}{
		{"before", old, at(Password, TOTP), false, "admit"},
		{"grace, half", grace, at(Password), false, "prove totp"},
		{"grace, whole", grace, at(Password, TOTP), false, "bind passkey"},
		{"grace, put off", grace, at(Password, TOTP), true, "admit"},
		{"after, half", strict, at(Password), false, "prove totp"},
		{"after, whole", strict, at(Password, TOTP), false, "bind passkey"},
		{"after, put off", strict, at(Password, TOTP), true, "bind passkey"},
	} {
		c.f.Later = c.later
		p := p
		p.Owed = nil
		if got := Next(c.r, p, c.f); show(got) != c.want || got.Later != (c.name == "grace, whole") {
			t.Errorf("%s: %q, want %q, later %v", c.name, show(got), c.want, got.Later)
		}
	}
	// A mailbox, a password, an old invitation: none binds the first passkey.
	for _, has := range []string{"mail", "mail password", "mail invite password", "mail call spoken"} {
		for _, r := range []Rules{grace, strict} {
			w := world{rules: r, ever: true, held: setOf(Password, TOTP), never: setOf(Passkey), can: kindset(has)}
			if got := explore(w, false); got.bound.has(Passkey) || got.entered {
				t.Errorf("%s: bound %v, entered %v", has, got.bound.kinds(), got.entered)
			}
		}
	}
	// Who held one once and lost it is not led there: that needs a request, before the end and after it.
	p.Never = nil
	if got := Next(grace, p, at(Password, TOTP)); show(got) != "admit" {
		t.Errorf("held once: %q", show(got))
	}
	if got := Next(strict, p, at(Password, TOTP)); got.Act == ActBind || got.Act == ActAdmit {
		t.Errorf("held once, after the end: %q", show(got))
	}
	if _, stranded := Stranded(strict, p); !stranded {
		t.Error("nobody says so")
	}
}
