package login

import (
	"crypto/subtle"
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/secret"
	"doorward/internal/session"
)

// errFlow is the one answer for flows that are unknown, foreign, over or expired: an id must not be probed.
var errFlow = fault.New(fault.Expired, "flow-over")

// own loads a flow for the browser it belongs to.
func (s *Service) own(tx Tx, c Caller, id string, now time.Time) (authn.Flow, error) {
	f, err := tx.Flow(c.Realm, id)
	if fault.Of(err, fault.NotFound) {
		return f, errFlow
	}
	if err != nil {
		return f, err
	}
	if c.Browser == "" || subtle.ConstantTimeCompare(f.Browser, s.browserHash(c.Browser)) != 1 {
		return f, errFlow
	}
	if f.State != authn.FlowOpen || !now.Before(f.Expires) || f.Created.Sub(now) > skew {
		return f, errFlow
	}
	f.Now = now
	return f, nil
}

// risen checks that the session a flow rose from still lives and was not renewed since. Its evidence was the session's: whoever ends the session,
// because a laptop was stolen, ends with it what somebody has begun there (SEC S-4).
func risen(tx Tx, f authn.Flow) error {
	if f.Session == "" {
		return nil
	}
	live, err := tx.Sessions(f.Realm, f.Person)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(live, func(se session.Session) bool {
		return se.ID == f.Session && se.Live(f.Now) && !se.Created.After(f.Created)
	}) {
		return errFlow
	}
	return nil
}

func (s *Service) browserHash(b secret.Text) []byte { return s.Ring.Hash("browser", string(b)) }
