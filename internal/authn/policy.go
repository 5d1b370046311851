package authn

import (
	"slices"
	"strings"
)

// Audience is a group of people with a base policy of its own.
type Audience string

// Audiences, in the order in which a text holds them.
const (
	Members        Audience = "members"
	Administrators Audience = "administrators" // customer administrators
	Staff          Audience = "staff"          // the operator's own people
)

var audiences = []Audience{Members, Administrators, Staff}

// Gate is one word before the arrow of an enrol or replace line: a once-only kind, a kind that has to be shown, or one
// of the three words below.
type Gate string

// Gates that are no kinds.
const (
	GateLogin  Gate = "login"  // a complete combination, each part shown at most LoginAge ago
	GateGrant  Gate = "grant"  // an approved request that names the kind
	GateGrant2 Gate = "grant2" // the same, by two approvers
)

// Gates that are kinds.
const (
	GateInvite   = Gate(Invite)   // an invitation; only who was never active
	GateMail     = Gate(Mail)     // a round trip to the stored address
	GateCall     = Gate(Call)     // the activation call, where the certificate or the phone was shown (E13)
	GateSpoken   = Gate(Spoken)   // a spoken code, confirmed by an agent
	GateRecovery = Gate(Recovery) // a recovery code
)

// Kind returns the kind that opens the gate, empty for login, grant and grant2.
func (g Gate) Kind() Kind {
	if g == GateLogin || g == GateGrant || g == GateGrant2 {
		return ""
	}
	return Kind(g)
}

// Tier is a list of combinations of which any suffices, as written: the first kind of each is asked first.
type Tier [][]Kind

// Binding is one enrol or replace line: what may be bound behind which gate. Gates holds alternatives; all words of one
// must be fulfilled.
type Binding struct {
	Gates [][]Gate
	Kinds []Kind // in the order of set-up; empty with Any
	Any   bool   // every kind that a login combination of the audience names
	Line  int
}

// Block is what a text says about one audience. What it does not say is as for members, keyword by keyword: a block
// with a single replace line inherits no other replace line.
type Block struct {
	Audience  Audience
	Login     []Tier // tiers joined by else; nil: not said
	Enrol     []Binding
	Replace   []Binding
	Fresh     bool
	Then      []Duty
	Line      int
	LoginLine int
}

// Policies is the text of one realm.
type Policies struct {
	Name   string // empty where the text has no policy line
	Blocks []Block
}

// Overlay is the text of an organization or a relying party. It holds login, then and fresh, and nothing that binds.
type Overlay struct {
	Login []Tier
	Fresh bool
	Then  []Duty
}

// Combination is a set of kinds that suffices together. Unless lists what an earlier tier (else) holds: the combination
// counts only for a person who holds none of those whole.
type Combination struct {
	Kinds  []Kind
	Unless [][]Kind
}

// Rules is what holds for one person: the realm's block for their audience, made stricter by every overlay. The zero
// Rules lets nobody in.
type Rules struct {
	Login   []Combination
	Floors  [][]Combination // Login as it was before each overlay, the realm's own first
	Enrol   []Binding
	Replace []Binding
	Fresh   bool
	Then    []Duty

	Soon   *Rules // what holds from the end of grace on: who lacks it is led to set it up, and may put that off (Flow.Later)
	Exempt Kind   // what this person need not show for a time, because two of staff said so; empty for nothing
}

// Plain is r without an exemption, and without what comes soon: what counts where something is bound, removed or granted.
func (r Rules) Plain() Rules {
	r.Soon, r.Exempt = nil, ""
	return r
}

// Rules returns the rules of an audience, inherited lines filled in. An audience without a block is as members.
func (p *Policies) Rules(a Audience) Rules {
	b := p.block(a)
	return Rules{Login: flatten(b.Login), Enrol: b.Enrol, Replace: b.Replace, Fresh: b.Fresh, Then: b.Then}
}

// Invites reports whether an invitation opens anything: where no line to enrol has its gate, the way in begins with something
// else, such as a certificate that staff issue.
func (r Rules) Invites() bool {
	return slices.ContainsFunc(r.Enrol, func(b Binding) bool {
		return slices.ContainsFunc(b.Gates, func(g []Gate) bool { return slices.Contains(g, GateInvite) })
	})
}

// Asks reports whether a combination of some audience names the kind.
func (p *Policies) Asks(k Kind) bool {
	for _, b := range p.Blocks {
		for _, c := range flatten(b.Login) {
			if slices.Contains(c.Kinds, k) {
				return true
			}
		}
	}
	return false
}

// block returns what holds for an audience, inherited lines filled in.
func (p *Policies) block(a Audience) Block {
	var b Block
	for _, have := range p.Blocks {
		switch have.Audience {
		case a:
			own := have
			if a != Members {
				own.inherit(b)
			}
			return own
		case Members:
			b = have
		}
	}
	b.Audience = a
	return b
}

func (b *Block) inherit(from Block) {
	if b.Login == nil {
		b.Login, b.LoginLine = from.Login, from.LoginLine
	}
	if b.Enrol == nil {
		b.Enrol = from.Enrol
	}
	if b.Replace == nil {
		b.Replace = from.Replace
	}
	if b.Then == nil {
		b.Then = from.Then
	}
	b.Fresh = b.Fresh || from.Fresh // fresh cannot be unsaid: an audience is never laxer than members by silence
}

// flatten turns tiers into combinations with their guards.
func flatten(tiers []Tier) []Combination {
	var all []Combination
	var earlier [][]Kind
	for _, t := range tiers {
		for _, kinds := range t {
			all = append(all, Combination{Kinds: kinds, Unless: slices.Clone(earlier)})
		}
		earlier = append(earlier, t...)
	}
	return all
}

// String prints the canonical form: it parses back to the same policies, and printing that gives the same text.
func (p *Policies) String() string {
	var s strings.Builder
	indent := ""
	if p.Name != "" {
		s.WriteString("policy " + p.Name + "\n")
		indent = "  "
	}
	for _, b := range p.Blocks {
		s.WriteString(indent + string(b.Audience) + "\n")
		b.print(&s, indent+"  ")
	}
	return s.String()
}

// String prints the canonical form of an overlay.
func (o Overlay) String() string {
	var s strings.Builder
	b := Block{Login: o.Login, Fresh: o.Fresh, Then: o.Then}
	b.print(&s, "")
	return s.String()
}

func (b Block) print(s *strings.Builder, indent string) {
	if b.Login != nil {
		var tiers []string
		for _, t := range b.Login {
			tiers = append(tiers, joins(t, " | ", " + "))
		}
		s.WriteString(indent + "login " + strings.Join(tiers, " else ") + "\n")
	}
	for _, part := range []struct {
		word  string
		lines []Binding
	}{{"enrol", b.Enrol}, {"replace", b.Replace}} {
		for _, l := range part.lines {
			what := "any"
			if !l.Any {
				what = join(l.Kinds, ", ")
			}
			s.WriteString(indent + part.word + " " + joins(l.Gates, " | ", " + ") + " -> " + what + "\n")
		}
	}
	if b.Fresh {
		s.WriteString(indent + "fresh\n")
	}
	if b.Then != nil {
		s.WriteString(indent + "then " + join(b.Then, ", ") + "\n")
	}
}

func join[T ~string](words []T, sep string) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = string(w)
	}
	return strings.Join(s, sep)
}

func joins[T ~string](lists [][]T, outer, inner string) string {
	s := make([]string, len(lists))
	for i, l := range lists {
		s[i] = join(l, inner)
	}
	return strings.Join(s, outer)
}
