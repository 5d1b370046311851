package authn

import (
	"math/bits"
	"slices"
)

// set is a set of kinds: bit i stands for Kinds[i].
type set uint16

func bit(k Kind) set { return bits16[k] }

// bits16 holds the bit of every kind.
var bits16 = func() map[Kind]set {
	m := map[Kind]set{}
	for i, info := range Kinds {
		m[info.Kind] = 1 << i
	}
	return m
}()

func setOf(kinds ...Kind) set {
	var s set
	for _, k := range kinds {
		s |= bit(k)
	}
	return s
}

func (s set) has(k Kind) bool   { return bit(k) != 0 && s&bit(k) != 0 }
func (s set) within(t set) bool { return s&^t == 0 }
func (s set) size() int         { return bits.OnesCount16(uint16(s)) }

// kinds lists s in the order of the kind table.
func (s set) kinds() []Kind {
	var kinds []Kind
	for i, info := range Kinds {
		if s&(1<<i) != 0 {
			kinds = append(kinds, info.Kind)
		}
	}
	return kinds
}

// factors are the kinds that count in a combination. Recovery codes and once-only kinds are none: they never admit.
var factors = setOf(loginKinds()...)

// minimal drops every set that contains another, and doubles.
func minimal(sets []set) []set {
	var out []set
	for i, s := range sets {
		covered := slices.ContainsFunc(sets, func(t set) bool { return t != s && t.within(s) }) || slices.Contains(sets[:i], s)
		if !covered {
			out = append(out, s)
		}
	}
	return out
}

// callers is what the call may follow (E13): the certificate, the phone, and what the realm's combinations ask for beside a
// certificate of what people have.
func callers(floor []way) set {
	all := setOf(Cert, Phone)
	for _, w := range floor {
		for _, k := range w.kinds.kinds() {
			if info, _ := Info(k); w.kinds.has(Cert) && info.Categories&Possession != 0 {
				all |= bit(k)
			}
		}
	}
	return all
}
