package login

import (
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/rollout"
)

// rules is the one policy for a person as it counts now, see rollout.Rules.
func (s *Service) rules(r *Realm, p directory.Person, o directory.Organization, g authn.Goal) (authn.Rules, error) {
	rules, err := rollout.Rules(r.Realm, r.Policies, p, o, g, s.Clock())
	if fault.Of(err, fault.NotFound) {
		err = errFlow // the application was taken away meanwhile
	}
	return rules, err
}
