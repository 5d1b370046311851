package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
)

// Rules makes the one policy for a person as it counts now: the realm's for their audience, made stricter by their
// organization's, by what has been rolled out to it, by that of the relying party they are on the way to, and by the
// classes it asked for. What is being rolled out lies beside it (Rules.Soon).
//
// A member's exemption counts for all of these but what an application asks for itself: that it gets, or nothing
// (REQ B65). Administrators and staff are never exempt, also who has become one since.
//
// It fails with fault.NotFound "not-found" where the goal names a relying party that the realm does not have.
func Rules(r directory.Realm, policies *authn.Policies, p directory.Person, o directory.Organization, g authn.Goal, now time.Time) (authn.Rules, error) {
	base := policies.Rules(AudienceOf(p.Role))
	var here, soon overlays
	if err := here.add("organization "+o.ID, o.Policy); err != nil {
		return base, err
	}
	for _, d := range r.Dues(o) {
		to := &here
		switch {
		case d.Grace(now):
			to = &soon
		case !d.Over(now):
			continue
		}
		if err := to.add("roll-out "+d.Rollout.ID, d.Rollout.Policy); err != nil {
			return base, err
		}
	}
	exempt := g.ACR == "" && p.IsExempt(now)
	if g.Client != "" {
		i := slices.IndexFunc(r.Relying, func(c directory.RelyingParty) bool { return c.ID == g.Client })
		if i < 0 {
			return base, fault.New(fault.NotFound, "not-found")
		}
		exempt = exempt && strings.TrimSpace(r.Relying[i].Policy) == ""
		if err := here.add("relying party "+g.Client, r.Relying[i].Policy); err != nil {
			return base, err
		}
	}
	rules := authn.Effective(base, here...)
	if len(soon) > 0 {
		after := authn.Effective(rules, soon...)
		rules.Soon = &after
	}
	if g.ACR != "" {
		rules = authn.Narrow(rules, strings.Fields(g.ACR)...)
	}
	if exempt {
		rules.Exempt = authn.Kind(p.Exempt)
	}
	return rules, nil
}

type overlays []authn.Overlay

func (all *overlays) add(whose, text string) error {
	if text == "" {
		return nil
	}
	o, err := authn.ParseOverlay(text)
	if err != nil {
		return fmt.Errorf("policy of %s: %w", whose, err)
	}
	*all = append(*all, o)
	return nil
}

// AudienceOf says which block of a policy counts for a role.
func AudienceOf(r directory.Role) authn.Audience {
	switch {
	case r.Staff():
		return authn.Staff
	case r == directory.Administrator:
		return authn.Administrators
	default:
		return authn.Members
	}
}
