package login

import (
	"context"
	"slices"
	"time"

	"doorward/internal/authn"
)

// Suffices reports whether what a live session showed is enough for a relying party: by the policy as it is now, the
// party's own, and the classes it asked for. since is the oldest proof that counts, zero for any.
//
// What the person holds comes from the answer in hand, which is as old as Authenticate lets it be. A no is only said after
// a look at the database: a factor may have been added since, and nobody is asked twice for what they just set up.
func (s *Service) Suffices(ctx context.Context, signed Signed, goal authn.Goal, since time.Time) (bool, error) {
	rules, err := s.rules(signed.Realm, signed.Person, signed.Organization, goal)
	if err != nil {
		return false, err
	}
	rules.Fresh, rules.Soon = false, nil
	evidence := slices.DeleteFunc(slices.Clone(signed.Session.Evidence), func(e authn.Evidence) bool { return e.At.Before(since) })
	p := authn.Person{ID: signed.Person.ID, EverActive: true, Held: signed.held}
	f := authn.Flow{Realm: signed.Realm.ID, Person: signed.Person.ID, Evidence: evidence, Goal: goal, Now: s.Clock()}
	if authn.Next(rules, p, f).Act == authn.ActAdmit {
		return true, nil
	}
	var creds []authn.Credential
	if err := s.Store.Read(ctx, func(tx Tx) (err error) {
		creds, err = tx.Credentials(signed.Realm.ID, signed.Person.ID)
		return err
	}); err != nil {
		return false, err
	}
	p.Held = authn.Holdings(authn.Lasting(creds, s.Clock()))
	return authn.Next(rules, p, f).Act == authn.ActAdmit, nil
}
