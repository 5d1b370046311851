package authn

import (
	"fmt"
	"slices"
	"testing"
)

// wholes lists what a person of the rules may hold: every set of the kinds in use that has a combination whole.
func wholes(r Rules) []set {
	var used set
	for _, c := range r.Login {
		used |= setOf(c.Kinds...)
	}
	for _, b := range r.Enrol {
		used |= setOf(b.Kinds...)
	}
	var all []set
	for s := used; ; s = (s - 1) & used {
		for _, c := range r.Login {
			if setOf(c.Kinds...).within(s) {
				all = append(all, s)
				break
			}
		}
		if s == 0 {
			return all
		}
	}
}

// single lists what a thief may have that the promise of the product calls a single thing, and S4's bad pairs: no set
// of these may bind or enter, whatever the person holds. A phone carries the phone factor and the authenticator app, a
// laptop the certificate and an authenticator extension; neither carries the gesture that a passkey asks for.
var single = []struct {
	name   string
	has    string
	grants []Grant
}{
	{"mailbox", "mail", nil},
	{"mailbox of an old invitation", "mail invite", nil},
	{"password", "password", nil},
	{"laptop", "cert totp", nil},
	{"phone", "phone totp", nil},
	{"recovery codes", "recovery", nil},
	{"call", "call", nil},
	{"phone number", "spoken call", nil},
	{"mailbox and phone number", "mail spoken call", nil},
	{"mailbox and one approver", "mail", []Grant{grantOf(1)}},
	{"mailbox, recovery codes and one approver", "mail recovery", []Grant{grantOf(1)}},
	{"mailbox, phone number and one approver", "mail spoken call", []Grant{grantOf(1)}},
	{"one approver again and again", "spoken call", []Grant{grantOf(1, Password), grantOf(1, TOTP), grantOf(1, Phone), grantOf(1, Cert), grantOf(1, Passkey)}},
	{"two approvers, nothing of the person's", "", []Grant{grantOf(2)}},
}

// runThieves proves that no single thing binds or enters, for everybody who was ever active.
func runThieves(t testing.TB, s slack, texts []string) (states int, err error) {
	for _, name := range texts {
		p := text(t, name)
		for _, a := range audiences {
			r := p.Rules(a)
			for _, held := range wholes(r) {
				for _, thief := range single {
					w := world{slack: s, rules: r, ever: true, held: held, can: kindset(thief.has), grants: thief.grants}
					got := explore(w, false)
					states += got.states
					if got.entered || got.bound != 0 {
						return states, fmt.Errorf("%s %s who hold %v: a thief with %s bound %v, entered: %v", name, a, held.kinds(), thief.name, got.bound.kinds(), got.entered)
					}
				}
			}
		}
	}
	return states, nil
}

// runLosses proves that every honest loss has a way back, and the shortest that the text has: with one approver where
// something remains and one kind is gone, with two in any case. A lost certificate may also be issued anew by staff.
func runLosses(t testing.TB, s slack, texts []string) (losses, alone int, err error) {
	for _, name := range texts {
		p := text(t, name)
		for _, a := range audiences {
			r := p.Rules(a)
			for _, held := range wholes(r) {
				for gone := held & factors; gone != 0; gone = (gone - 1) & held & factors {
					for _, ill := range []set{0, gone} {
						losses++
						w := world{slack: s, rules: r, ever: true, held: held, ill: ill, can: held&^gone | kindset("mail call spoken")}
						if explore(w, true).entered {
							alone++
							continue
						}
						w.grants = []Grant{grantOf(2, gone.kinds()...)}
						if explore(w, true).entered {
							continue
						}
						if gone.has(Cert) {
							w.made = kindset("cert") // staff issued another one after the request was approved
							w.ended = kindset("cert")
							if explore(w, true).entered {
								continue
							}
						}
						return losses, alone, fmt.Errorf("%s %s who hold %v and lost %v (suspended: %v) have no way back", name, a, held.kinds(), gone.kinds(), ill != 0)
					}
				}
			}
		}
	}
	return losses, alone, nil
}

// oracle is written from the words of the design, apart from the engine: what may be had by any sequence of flows, as a
// fixpoint over what somebody controls. It knows no flows, steps or order, so it permits at least what the text permits.
type oracle struct {
	w      world
	recent *set // what was shown at most five minutes ago; nil: everything
	floors [][]Combination
	seen   map[set]bool
	out    outcome
}

func permitted(w world) outcome {
	o := &oracle{w: w, floors: append(append([][]Combination{}, w.rules.Floors...), w.rules.Login), seen: map[set]bool{}}
	o.visit(0)
	return o.out
}

// visit looks at the moment in which the kinds in made are the actor's own.
func (o *oracle) visit(made set) {
	if o.seen[made] {
		return
	}
	o.seen[made] = true
	o.out.states++
	o.out.bound |= made
	w := o.w
	held := w.held | made
	own := w.held&w.can&^w.ill | made
	for _, c := range o.floors[len(o.floors)-1] {
		if o.counts(c, held) && setOf(c.Kinds...).within(own) {
			o.out.entered = true
		}
	}
	for i, lines := range [][]Binding{w.rules.Enrol, w.rules.Replace} {
		for _, b := range lines {
			kinds := b.Kinds
			if b.Any {
				kinds = loginKinds()
			}
			for _, k := range kinds {
				for _, gates := range b.Gates {
					if !made.has(k) && o.may(k, gates, i == 1, made, held, own) {
						o.visit(made | bit(k))
					}
				}
			}
		}
	}
}

// callers is what the call may follow: certificate, phone, and what the realm asks to have beside a certificate.
func (o *oracle) callers() set {
	all := kindset("cert phone")
	for _, c := range o.floors[0] {
		if own := setOf(c.Kinds...); own.has(Cert) {
			all |= own & kindset("totp passkey")
		}
	}
	return all
}

func (o *oracle) counts(c Combination, held set) bool {
	for _, u := range c.Unless {
		if setOf(u...).within(held) {
			return false
		}
	}
	return true
}

func (o *oracle) may(k Kind, gates []Gate, replace bool, made, held, own set) bool {
	w := o.w
	var login, two bool
	for _, g := range gates {
		switch g {
		case GateLogin:
			login = true
			lately := own
			if o.recent != nil {
				lately = *o.recent
			}
			if !o.signIn(k, held, lately) {
				return false
			}
		case GateGrant, GateGrant2:
			two = two || g == GateGrant2
			ok := false
			for _, gr := range w.grants {
				ok = ok || (gr.Any || setOf(gr.Kinds...).has(k)) && (gr.Approvers > 1 || g == GateGrant)
			}
			if !ok {
				return false
			}
		case GateInvite:
			if w.ever || !w.can.has(Invite) {
				return false
			}
		case GateCall:
			if !w.can.has(Call) || own&o.callers() == 0 {
				return false
			}
		case GateMail, GateSpoken:
			if !w.can.has(g.Kind()) {
				return false
			}
		case GateRecovery:
			if !own.has(Recovery) {
				return false
			}
		default:
			if !own.has(g.Kind()) {
				return false
			}
		}
	}
	if !replace && !login && w.ever {
		return false // first set-up only
	}
	gone := set(0)
	if replace || !login {
		gone = bit(k)
	}
	if two {
		for _, gr := range w.grants {
			for _, l := range held.kinds() {
				if gr.Approvers > 1 && (gr.Any || setOf(gr.Kinds...).has(l)) && !made.has(l) {
					gone |= bit(l)
				}
			}
		}
	}
	if login && !replace && o.complete(o.floors[len(o.floors)-1], held) {
		return true
	}
	for _, floor := range o.floors {
		largest, shown := 0, false
		for _, c := range floor {
			if !o.counts(c, held&^gone) {
				continue
			}
			rest := setOf(c.Kinds...) & held &^ gone
			if rest.size() > largest {
				largest, shown = rest.size(), false
			}
			if rest.size() == largest && rest.within(own) {
				shown = true
			}
		}
		mayBeNothing := two || login || !replace
		if largest == 0 && !mayBeNothing || largest > 0 && !shown {
			return false
		}
	}
	return true
}

func (o *oracle) complete(floor []Combination, held set) bool {
	for _, c := range floor {
		if o.counts(c, held) && setOf(c.Kinds...).within(held) {
			return true
		}
	}
	return false
}

// signIn is the gate login: for a kind that was never held, the strictest floor of which a combination is held whole
// decides; for others the strictest there is.
func (o *oracle) signIn(k Kind, held, own set) bool {
	for i := len(o.floors) - 1; i >= 0; i-- {
		if i < len(o.floors)-1 && !o.w.never.has(k) {
			return false
		}
		if !o.complete(o.floors[i], held) {
			continue
		}
		for _, c := range o.floors[i] {
			if o.counts(c, held) && setOf(c.Kinds...).within(own) {
				return true
			}
		}
		return false
	}
	return false
}

// possessions lists everything a thief may bring: all sets of at most three things, and who approved what.
func possessions() []world {
	things := []Kind{Password, TOTP, Phone, Cert, Passkey, Mail, Call, Spoken, Recovery}
	var sets []set
	for i := range things {
		for j := i; j < len(things); j++ {
			for k := j; k < len(things); k++ {
				sets = append(sets, setOf(things[i], things[j], things[k]))
			}
		}
	}
	var all []world
	for i, s := range minimalDoubles(sets) {
		all = append(all, world{can: s})
		switch i % 3 {
		case 0:
			all = append(all, world{can: s, grants: []Grant{grantOf(1)}})
		case 1:
			all = append(all, world{can: s, grants: []Grant{grantOf(2, TOTP, Phone)}})
		case 2:
			all = append(all, world{can: s, grants: []Grant{grantOf(2)}})
		}
	}
	return all
}

func minimalDoubles(sets []set) []set {
	seen := map[set]bool{}
	var out []set
	for _, s := range sets {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// runText proves that whatever somebody brings, the engine gives nothing that the words of the text do not, and all that
// they do: where the text has a way in for who can say who they are, some flow finds it.
func runText(t testing.TB, s slack, texts []string) (states, entered int, err error) {
	for _, name := range texts {
		p := text(t, name)
		for _, a := range audiences {
			if a == Administrators && !slices.ContainsFunc(p.Blocks, func(b Block) bool { return b.Audience == a }) {
				continue // as members
			}
			r := p.Rules(a)
			for _, held := range wholes(r) {
				for _, w := range possessions() {
					w.slack, w.rules, w.ever, w.held = s, r, true, held
					may := permitted(w)
					// Whoever may come in is followed up to the entry: behind it everything is theirs.
					got := explore(w, may.entered)
					states += got.states
					if got.entered {
						entered++
					}
					named := w.can & (held | bit(Mail)) & kindset("cert password passkey mail")
					if may.entered && !got.entered && named != 0 {
						return states, entered, fmt.Errorf("%s %s who hold %v: with %v the text lets in, the engine does not", name, a, held.kinds(), w.can.kinds())
					}
					if got.entered && !may.entered || !got.bound.within(may.bound) {
						return states, entered, fmt.Errorf("%s %s who hold %v: with %v and %d requests the engine bound %v (entered: %v), the text lets %v (%v)", name, a,
							held.kinds(), w.can.kinds(), len(w.grants), got.bound.kinds(), got.entered, may.bound.kinds(), may.entered)
					}
				}
			}
		}
	}
	return states, entered, nil
}

func TestSEC_S4_NoSingleThingBindsOrEnters(t *testing.T) {
	states, err := runThieves(t, slack{}, shipped)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d states", states)
	if states < 10_000 {
		t.Errorf("only %d states: this proves nothing", states)
	}
}

func TestEveryHonestLossHasAWayBack(t *testing.T) {
	losses, alone, err := runLosses(t, slack{}, shipped)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d losses, %d without any request", losses, alone)
	if losses < 500 || alone == 0 || alone == losses {
		t.Errorf("%d losses, %d without a request: this proves nothing", losses, alone)
	}
}

func TestNobodyGetsWhatTheTextDoesNotSay(t *testing.T) {
	states, entered, err := runText(t, slack{}, shipped)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d states, %d thieves with enough to enter", states, entered)
	if states < 50_000 || entered < 100 {
		t.Errorf("%d states, %d entered: this proves nothing", states, entered)
	}
}
