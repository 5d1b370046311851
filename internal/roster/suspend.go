package roster

import (
	"context"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
)

// Suspend is what somebody does about a person who calls and has lost what they sign in with (SEC H-5): every authenticator
// of theirs can no longer be shown, and the sessions that were opened with one end. It takes nothing away and opens nothing:
// the person comes back by a complete sign-in with what else they hold, or by a request. Whoever may reset somebody may do it,
// alone and at once; the person is told of each.
//
// Errors: what directory.May returns; fault.Invalid "reason-short", "text-long" (reason); fault.Conflict "not-expected" where
// there is nothing that could be lost, "stale".
func (s *Service) Suspend(ctx context.Context, by login.By, id, reason string) (p directory.Person, err error) {
	if reason, err = admin.Reason(reason); err != nil {
		return p, err
	}
	err = s.Store.Write(ctx, func(tx Tx) error {
		if p, err = admin.Whom(tx, by, directory.ResetFactor, id); err != nil {
			return err
		}
		all, err := tx.Credentials(p.Realm, p.ID)
		if err != nil {
			return err
		}
		some := false
		for _, c := range all {
			if !login.MayBeLost(c) {
				continue
			}
			some = true
			if err := s.suspend(tx, by, p, c, reason); err != nil {
				return err
			}
		}
		if !some {
			return fault.New(fault.Conflict, "not-expected")
		}
		return nil
	})
	return p, err
}

func (s *Service) suspend(tx Tx, by login.By, p directory.Person, c authn.Credential, reason string) error {
	now := s.Clock()
	if _, err := login.Lost(tx, c, now); err != nil {
		return err
	}
	data := map[string]string{"kind": string(c.Kind), "name": c.Name, "credential": c.ID}
	if err := tx.Audit(by.EventAbout(p, now, "credential.suspended", reason, data)); err != nil {
		return err
	}
	return tx.Enqueue(by.NoticeTo(p, now, "factor-suspended", map[string]string{"factor": c.Name, "kind": string(c.Kind)}))
}
