package selfservice

import (
	"context"
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
)

// MaySuspend reports whether a credential can be suspended: something had, which can be lost.
func MaySuspend(c authn.Credential) bool { return login.MayBeLost(c) }

// Suspend says that something is lost: it can no longer be shown, and the sessions that were opened with it end, this one
// too. It needs no fresh login, since whoever has lost something must be quick and nothing weaker opens by it: what is
// suspended still counts as held (SEC H-5). It suspends the last one, too; a recovery code, an administrator or the desk
// helps then. own says whether this session was opened with it.
//
// Errors: fault.Conflict "not-expected" for what cannot be lost or is suspended already, "stale"; fault.NotFound.
func (s *Service) Suspend(ctx context.Context, by login.By, credential string) (own bool, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx Tx) error {
		c, err := s.turn(tx, by, credential, authn.Suspended, "factor-suspended", now)
		if err != nil {
			return err
		}
		ended, err := login.Lost(tx, c, now)
		own = slices.Contains(ended, by.Session.ID)
		return err
	})
	return own, err
}

// Resume lets something that was found again be shown again. Errors: fault.Forbidden "login-not-fresh", and those of Suspend.
func (s *Service) Resume(ctx context.Context, by login.By, credential string) error {
	now := s.Clock()
	if !by.Fresh(now) {
		return fault.New(fault.Forbidden, "login-not-fresh")
	}
	return s.Store.Write(ctx, func(tx Tx) error {
		_, err := s.turn(tx, by, credential, authn.Active, "factor-resumed", now)
		return err
	})
}

// turn suspends and resumes. The version of the credential decides between two of it.
func (s *Service) turn(tx Tx, by login.By, credential string, to authn.CredentialState, template string, now time.Time) (c authn.Credential, err error) {
	if c, _, err = own(tx, by, credential); err != nil {
		return c, err
	}
	if may := MaySuspend(c); to == authn.Suspended && !may || to == authn.Active && c.State != authn.Suspended {
		return c, fault.New(fault.Conflict, "not-expected")
	}
	if to == authn.Active {
		c.State = to
		if err := tx.UpdateCredential(c); err != nil {
			return c, err
		}
		tx.Bump()
	}
	event := map[authn.CredentialState]string{authn.Suspended: "credential.suspended", authn.Active: "credential.resumed"}[to]
	data := map[string]string{"kind": string(c.Kind), "name": c.Name, "credential": c.ID}
	if err := tx.Audit(by.Event(now, event, "", data)); err != nil {
		return c, err
	}
	return c, tx.Enqueue(by.Notice(now, template, map[string]string{"factor": c.Name, "kind": string(c.Kind)}))
}
