package authn

import "slices"

// grant finds the approved request that lets k be bound, or says what is missing.
func (v *view) grant(k Kind, approvers int) (Grant, Reason) {
	reason := NeedsGrant
	if approvers > 1 {
		reason = NeedsGrant2
	}
	for _, g := range v.person.Grants {
		if g.Approvers < approvers || !v.names(g, k) || v.spent(g, k) {
			continue
		}
		switch {
		case v.grantAnyTime || !v.flow.Now.Before(g.From) && v.flow.Now.Before(g.Until):
			return g, ""
		case v.flow.Now.Before(g.From):
			reason = GrantNotYet
		case reason != GrantNotYet:
			reason = GrantEnded
		}
	}
	return Grant{}, reason
}

func (v *view) names(g Grant, k Kind) bool {
	return g.Any || slices.Contains(g.Kinds, k) || v.grantAnyKind
}

// spent reports whether k was bound since the grant: it has served its purpose, and k is there.
func (v *view) spent(g Grant, k Kind) bool {
	if v.grantForever {
		return false
	}
	return v.made.has(k) || slices.ContainsFunc(v.person.Held, func(h Holding) bool {
		return h.Kind == k && !h.Bound.IsZero() && !h.Bound.Before(g.From)
	})
}

// named are the held kinds that live grants with so many approvers name.
func (v *view) named(approvers int) set {
	var s set
	for _, k := range (v.held & factors).kinds() {
		if _, reason := v.grant(k, approvers); reason == "" {
			s |= bit(k)
		}
	}
	return s
}
