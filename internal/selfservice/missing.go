package selfservice

import (
	"context"
	"slices"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
)

// Missing are the ways in that whoever stands in a flow may say are lost (SEC H-5): what they have and are asked for, once their
// password was shown in this very flow, at most login.FreshLife ago. A mailbox does not suffice for that, and a stranger who
// only knows an address is not asked: neither could otherwise shut somebody out. Who knows the password can. That is less than
// they could do next, its owner hears of it at once, and a stolen password has to be dealt with in any case.
func Missing(v login.View) (lost []login.Way) {
	if v.Step.Act != authn.ActProve || v.Person.ID == "" || known(v) == "" {
		return nil
	}
	for _, w := range v.Ways {
		if login.MayBeLost(authn.Credential{Kind: w.Kind, State: authn.Active}) {
			lost = append(lost, w)
		}
	}
	return lost
}

// known is the id of the password that was shown in a flow and is fresh, empty for none.
func known(v login.View) string {
	i := slices.IndexFunc(v.Flow.Evidence, func(e authn.Evidence) bool {
		age := v.Flow.Now.Sub(e.At)
		return e.Kind == authn.Password && !e.Bound && age >= 0 && age <= login.FreshLife
	})
	if i < 0 {
		return ""
	}
	return v.Flow.Evidence[i].Credential
}

// Miss suspends something had that the person in a flow says is lost, and ends the sessions that were opened with it. It is
// taken up again as what was suspended in a session is. by is who stands in the flow, v what was looked at just now.
//
// Errors: fault.Conflict "not-expected" for what Missing does not name, or where the password was changed meanwhile; "stale";
// fault.NotFound.
func (s *Service) Miss(ctx context.Context, by login.By, v login.View, credential string) error {
	if !slices.ContainsFunc(Missing(v), func(w login.Way) bool { return w.Credential == credential }) {
		return fault.New(fault.Conflict, "not-expected")
	}
	now := s.Clock()
	return s.Store.Write(ctx, func(tx Tx) error {
		_, rest, err := own(tx, by, credential)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(rest, func(c authn.Credential) bool { return c.ID == known(v) && c.State == authn.Active }) {
			return fault.New(fault.Conflict, "not-expected")
		}
		c, err := s.turn(tx, by, credential, authn.Suspended, "factor-suspended", now)
		if err != nil {
			return err
		}
		_, err = login.Lost(tx, c, now)
		return err
	})
}
