package authn

// Several policies become one (R1).
//
//   - The product: every combination of the one with every combination of the other, kinds united. So each combination
//     that results contains one that the weaker text asks for: stricter, never weaker.
//   - else in a product: a combination keeps the guards of both its parts ("counts only for who does not hold …
//     whole"), judged on the texts as written. Holding the better way of either text closes the lesser way.
//   - A superset is dropped only if the smaller combination counts whenever the larger one would.
//   - Duties are united, the realm's first; fresh in any text is fresh.
//   - What lay below is kept (Floors). Whoever binds something shows the largest remnant of every floor, so a text that
//     narrows the ways in can never shrink what has to be shown to enrol.

import "slices"

// Authentication context classes (acr) that a combination can reach. phr and phrh are the values registered for
// OpenID Connect (Extended Authentication Profile ACR Values 1.0).
const (
	ACRMultiFactor       = "urn:doorward:acr:mfa" // something known and something had
	ACRThreeFactor       = "urn:doorward:acr:3fa" // three different kinds, of both categories
	ACRPhishingResistant = "phr"                  // mfa, with a part that a look-alike page cannot relay
	ACRHardware          = "phrh"                 // phr, and that part's key is kept in hardware
)

// Effective lays overlays over the realm's rules, in the order given. Only the realm's enrol and replace lines hold.
func Effective(realm Rules, overlays ...Overlay) Rules {
	r := realm
	for _, o := range overlays {
		if o.Login != nil {
			r = r.over(product(r.Login, flatten(o.Login)))
		}
		r.Fresh = r.Fresh || o.Fresh
		for _, d := range o.Then {
			if !slices.Contains(r.Then, d) {
				r.Then = append(slices.Clone(r.Then), d)
			}
		}
	}
	return r
}

// Narrow keeps the combinations that reach one of the classes, as a relying party asks by acr_values. No class asked
// for changes nothing; a class that no combination reaches leaves rules that let nobody in.
func Narrow(r Rules, acr ...string) Rules {
	if len(acr) == 0 {
		return r
	}
	var kept []Combination
	for _, c := range r.Login {
		if slices.ContainsFunc(Reaches(c.Kinds), func(have string) bool { return slices.Contains(acr, have) }) {
			kept = append(kept, c)
		}
	}
	return r.over(kept)
}

// Reaches lists the classes that kinds shown together reach, the weakest first. Recovery codes and once-only kinds
// count for nothing.
func Reaches(kinds []Kind) []string {
	var proven Category
	var firm, hard bool
	shown := setOf(kinds...) & factors
	for _, k := range shown.kinds() {
		info, _ := Info(k)
		proven |= info.Categories
		firm = firm || !info.Phishable
		hard = hard || !info.Phishable && slices.Contains(info.AMR, "hwk")
	}
	if proven != Knowledge|Possession {
		return nil
	}
	acr := []string{ACRMultiFactor}
	if shown.size() >= 3 {
		acr = append(acr, ACRThreeFactor)
	}
	if firm {
		acr = append(acr, ACRPhishingResistant)
	}
	if hard {
		acr = append(acr, ACRHardware)
	}
	return acr
}

func (r Rules) over(login []Combination) Rules {
	r.Floors = append(slices.Clone(r.Floors), r.Login)
	r.Login = login
	return r
}

func product(low, high []Combination) []Combination {
	var all []Combination
	for _, a := range low {
		for _, b := range high {
			c := Combination{Kinds: slices.Clone(a.Kinds), Unless: slices.Concat(a.Unless, b.Unless)}
			for _, k := range b.Kinds {
				if !slices.Contains(c.Kinds, k) {
					c.Kinds = append(c.Kinds, k)
				}
			}
			all = append(all, c)
		}
	}
	var kept []Combination
	for i, c := range all {
		covered := false
		for j, d := range all {
			covered = covered || i != j && d.covers(c) && (j < i || !c.covers(d))
		}
		if !covered {
			kept = append(kept, c)
		}
	}
	return kept
}

// covers reports whether c asks for no more than d and counts whenever d does.
func (c Combination) covers(d Combination) bool {
	if !setOf(c.Kinds...).within(setOf(d.Kinds...)) {
		return false
	}
	for _, u := range c.Unless {
		implied := slices.ContainsFunc(d.Unless, func(v []Kind) bool { return setOf(v...).within(setOf(u...)) })
		if !implied {
			return false
		}
	}
	return true
}
