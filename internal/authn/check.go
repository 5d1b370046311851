package authn

import (
	"fmt"
	"slices"
	"strings"
)

// Flaw says what a problem of a text leads to.
type Flaw string

// Flaws. A text with a hole or one that strands people must be refused; useless lines deserve a warning.
const (
	Hole    Flaw = "hole"
	Strands Flaw = "strands"
	Useless Flaw = "useless"
)

// Problem is something a text says that it should not. Words are plain English, for whoever wrote the text.
type Problem struct {
	Line     int
	Audience Audience
	Flaw     Flaw
	Words    string
}

// Grave reports whether the text must be refused.
func (p Problem) Grave() bool { return p.Flaw != Useless }

// String prints the problem for the command line.
func (p Problem) String() string {
	return fmt.Sprintf("line %d: %s (%s): %s", p.Line, p.Audience, p.Flaw, p.Words)
}

// Check finds what strands people or opens a hole, in the order of the text. What an audience inherits is judged again
// for it, and told once.
func Check(p *Policies) []Problem {
	c := &checker{members: p.block(Members)}
	for _, b := range p.Blocks {
		c.block = p.block(b.Audience)
		c.rules = p.Rules(b.Audience)
		c.login()
		c.enrol()
		c.replace()
		c.set()
		c.losses()
	}
	slices.SortStableFunc(c.found, func(a, b Problem) int { return a.Line - b.Line })
	return c.found
}

type checker struct {
	members, block Block
	rules          Rules
	found          []Problem
}

func (c *checker) add(flaw Flaw, line int, format string, args ...any) {
	p := Problem{Line: line, Audience: c.block.Audience, Flaw: flaw, Words: fmt.Sprintf(format, args...)}
	same := func(q Problem) bool { return q.Line == p.Line && q.Words == p.Words }
	if !slices.ContainsFunc(c.found, same) {
		c.found = append(c.found, p)
	}
}

func plus(kinds []Kind) string { return join(kinds, " + ") }

func (c *checker) login() {
	var earlier [][]Kind
	at := c.block.LoginLine
	for _, tier := range c.block.Login {
		for i, kinds := range tier {
			if Reaches(kinds) == nil {
				c.add(Hole, at, "%s proves one thing only; a sign-in needs something known and something had", plus(kinds))
			}
			if !slices.ContainsFunc(kinds, func(k Kind) bool { info, _ := Info(k); return info.Identifies }) {
				c.add(Strands, at, "%s names nobody: it needs a password, certificate or passkey", plus(kinds))
			}
			others := slices.Concat(earlier, tier[:i], tier[i+1:])
			for _, o := range others {
				if setOf(o...).within(setOf(kinds...)) {
					c.add(Useless, at, "%s is never needed, because %s suffices", plus(kinds), plus(o))
				}
			}
		}
		earlier = append(earlier, tier...)
	}
	if c.block.Audience != Administrators {
		return
	}
	for _, own := range c.rules.Login {
		enough := slices.ContainsFunc(flatten(c.members.Login), func(m Combination) bool {
			return setOf(m.Kinds...).within(setOf(own.Kinds...))
		})
		if !enough {
			c.add(Hole, at, "%s is less than members need", plus(own.Kinds))
		}
	}
}

// used are the kinds that combinations name.
func (c *checker) used() (s set) {
	for _, own := range c.rules.Login {
		s |= setOf(own.Kinds...)
	}
	return s
}

func (c *checker) gates(b Binding, word string, judge func(has func(...Gate) bool, text string)) {
	for _, gates := range b.Gates {
		has := func(any ...Gate) bool {
			return slices.ContainsFunc(gates, func(g Gate) bool { return slices.Contains(any, g) })
		}
		text := word + " " + join(gates, " + ")
		if has(GateCall) && c.used()&setOf(Cert, Phone) == 0 {
			c.add(Strands, b.Line, "%s: a call follows a certificate or phone, and no combination names one", text)
		}
		if has(GateGrant, GateGrant2) && !has(GateMail, GateCall, GateSpoken, GateLogin, GateRecovery) {
			c.add(Hole, b.Line, "%s: whoever approves would suffice; add mail, call or spoken", text)
		}
		if has(GateInvite) && has(GateLogin, GateRecovery, GateGrant, GateGrant2) {
			c.add(Useless, b.Line, "%s: an invitation is only for who was never active and has none of that", text)
		}
		judge(has, text)
	}
	for _, k := range b.Kinds {
		if k != Recovery && !c.used().has(k) {
			c.add(Useless, b.Line, "%s is in no combination", k)
		}
	}
}

func (c *checker) enrol() {
	for _, b := range c.block.Enrol {
		c.gates(b, "enrol", func(has func(...Gate) bool, text string) {
			if !has(GateLogin, GateInvite, GateCall, GateSpoken, GateGrant, GateGrant2) {
				c.add(Hole, b.Line, "%s: enrolling would be easier than signing in; use invite, call or login", text)
			}
			if slices.Contains(b.Kinds, Recovery) && !has(GateLogin) {
				c.add(Hole, b.Line, "%s: recovery codes are for who is signed in; use login", text)
			}
		})
	}
}

func (c *checker) replace() {
	var recovery, codes bool
	for _, b := range c.block.Enrol {
		codes = codes || slices.Contains(b.Kinds, Recovery)
	}
	for _, b := range c.block.Replace {
		kinds := b.Kinds
		if b.Any {
			kinds = c.used().kinds()
		}
		c.gates(b, "replace", func(has func(...Gate) bool, text string) {
			recovery = recovery || has(GateRecovery)
			strong := has(GateRecovery, GateGrant, GateGrant2, GateCall, GateLogin)
			switch {
			case has(GateInvite):
				c.add(Useless, b.Line, "%s: who was never active has nothing to replace", text)
			case has(GateRecovery) && !codes:
				c.add(Useless, b.Line, "%s: no enrol line lets anybody have recovery codes", text)
			case !strong && !has(GateMail):
				c.add(Hole, b.Line, "%s: nothing but what remains would be asked; add mail, recovery, grant or call", text)
			}
			for _, k := range kinds {
				if !strong && has(GateMail) && !c.mailSafe(k) {
					c.add(Hole, b.Line, "%s: the mailbox would stand in for %s, beside something that is only known", text, k)
				}
				if k == Recovery {
					c.add(Hole, b.Line, "%s: recovery codes are made anew by who is signed in; use enrol login", text)
				}
				if !has(GateGrant2) && c.alone(k) {
					c.add(Strands, b.Line, "%s: nothing remains to be shown when %s is gone; use grant2", text, k)
				}
			}
			if b.Any && !has(GateGrant2) {
				c.add(Hole, b.Line, "%s: any needs two approvers; use grant2", text)
			}
		})
	}
	if codes && !recovery {
		for _, b := range c.block.Enrol {
			if slices.Contains(b.Kinds, Recovery) {
				c.add(Useless, b.Line, "recovery codes open no replace line")
			}
		}
	}
}

// mailSafe reports whether every combination that loses k still asks for something had: a mailbox may give a password
// back, since the second factor remains, but never a factor.
func (c *checker) mailSafe(k Kind) bool {
	for _, own := range c.rules.Login {
		var had bool
		for _, o := range own.Kinds {
			info, _ := Info(o)
			had = had || o != k && info.Categories&Possession != 0
		}
		if slices.Contains(own.Kinds, k) && !had {
			return false
		}
	}
	return true
}

// alone reports whether k is all that any combination asks for.
func (c *checker) alone(k Kind) bool { return c.used() == setOf(k) }

// set walks the first set-up.
func (c *checker) set() {
	var bindable set
	for _, b := range c.block.Enrol {
		bindable |= setOf(b.Kinds...)
	}
	for _, b := range c.block.Replace {
		if b.Any {
			bindable |= c.used()
		}
		bindable |= setOf(b.Kinds...)
	}
	for _, k := range (c.used() &^ bindable).kinds() {
		if k != Cert { // staff issue certificates
			c.add(Strands, c.block.LoginLine, "no line lets anybody set up %s", k)
		}
	}
	for _, start := range []set{0, setOf(Cert)} {
		p := Person{ID: "somebody", Held: holdings(start)}
		if ok, _ := try(c.rules, p, Goal{}, start|setOf(Invite, Call, Spoken)); ok {
			return
		}
	}
	line := c.block.LoginLine
	if len(c.block.Enrol) > 0 {
		line = c.block.Enrol[0].Line
	}
	c.add(Strands, line, "who is new can never finish the set-up")
}

// losses asks, for who holds one combination and no more, whether each loss has a way back.
func (c *checker) losses() {
	help := setOf(Mail, Call, Spoken)
	for _, own := range c.rules.Login {
		held := setOf(own.Kinds...)
		var gone []string
		for _, k := range own.Kinds {
			p := Person{ID: "somebody", EverActive: true, Held: holdings(held), Grants: []Grant{approved(k)}}
			// A lost certificate may also be issued anew by staff: then it is shown as if it had been found.
			back, _ := try(c.rules, p, Goal{}, held&^bit(k)|help|setOf(Cert)&held)
			if !back {
				back, _ = try(c.rules, p, Goal{Bind: k, Way: ByReplace}, held&^bit(k)|help)
			}
			if !back {
				gone = append(gone, string(k))
			}
		}
		if len(gone) > 0 {
			c.add(Strands, c.block.LoginLine, "who has %s and loses %s has no way back", plus(own.Kinds), strings.Join(gone, " or "))
		}
		p := Person{ID: "somebody", EverActive: true, Held: holdings(held), Grants: []Grant{approved(own.Kinds...)}}
		if back, _ := try(c.rules, p, Goal{}, held&setOf(Cert)|help); !back && len(own.Kinds) > 1 {
			c.add(Strands, c.block.LoginLine, "who has %s and loses all of it has no way back", plus(own.Kinds))
		}
	}
}

func holdings(s set) []Holding {
	var all []Holding
	for _, k := range s.kinds() {
		all = append(all, Holding{Kind: k, Credential: "own " + string(k)})
	}
	return all
}
