package login

import (
	"time"

	"doorward/internal/authn"
	"doorward/internal/session"
)

// LossTx is what Lost needs of one transaction.
type LossTx interface {
	UpdateCredential(authn.Credential) error
	Sessions(realm, person string) ([]session.Session, error)
	EndSession(realm, person, id, why string, now time.Time) (bool, error)
	Bump()
}

// MayBeLost reports whether a credential can be suspended: something had, that can be shown. A certificate is suspended where
// certificates are.
func MayBeLost(c authn.Credential) bool {
	info, _ := authn.Info(c.Kind)
	return c.State == authn.Active && c.Kind != authn.Cert && info.Categories&authn.Possession != 0
}

// Lost suspends a credential and ends the sessions that were opened with it, whose ids it returns. What is suspended still
// counts as held, so nothing weaker opens by it (SEC H-5). It fails with fault.Conflict "stale" where somebody was faster.
func Lost(tx LossTx, c authn.Credential, now time.Time) (ended []string, err error) {
	c.State = authn.Suspended
	if err := tx.UpdateCredential(c); err != nil {
		return nil, err
	}
	tx.Bump()
	all, err := tx.Sessions(c.Realm, c.Person)
	if err != nil {
		return nil, err
	}
	for _, se := range all {
		if !se.Proved(c.ID) {
			continue
		}
		if _, err := tx.EndSession(se.Realm, se.Person, se.ID, "factor-suspended", now); err != nil {
			return nil, err
		}
		ended = append(ended, se.ID)
	}
	return ended, nil
}
