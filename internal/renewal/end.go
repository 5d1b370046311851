package renewal

import (
	"context"
	"errors"
	"slices"
	"time"

	"doorward/internal/certify"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
)

// Why a certificate is ended by its owner.
type Why string

// The reasons. Lost ends everything of the device: whoever has it has all its keys. Replaced is for one whose successor was
// shown.
const (
	Lost     Why = "lost"
	Unused   Why = "unused"
	Replaced Why = "replaced"
)

var reasons = map[Why]string{Lost: pki.KeyCompromise, Unused: pki.Cessation, Replaced: pki.Superseded}

// contact is whoever looks after a person.
type contact = directory.Person

// Last reports whether nothing else of the actor's would live if what End does for this reason were done.
func (s *Service) Last(ctx context.Context, by login.By, id string, why Why) (bool, error) {
	all, err := s.Devices(ctx, by)
	if err != nil {
		return false, err
	}
	ended, now := ending(all, id, why), s.Clock()
	for _, d := range all {
		for _, c := range d.All {
			if c.Live(now) && !c.FirstUsed.IsZero() && !slices.Contains(ended, c.ID) {
				return false, nil
			}
		}
	}
	return true, nil
}

// ending are the certificates that end: the one, or what is left of its device.
func ending(all []Device, id string, why Why) (ids []string) {
	for _, d := range all {
		if !slices.ContainsFunc(d.All, func(c Certificate) bool { return c.ID == id }) {
			continue
		}
		for _, c := range d.All {
			if c.ID == id || why == Lost && c.State != pki.Revoked {
				ids = append(ids, c.ID)
			}
		}
	}
	return ids
}

// End revokes one of the actor's certificates for good, and the sessions that were opened with it. sure says that the actor
// was told, and means it, that it is their last one.
//
// Errors: fault.Forbidden "login-not-fresh"; fault.NotFound; fault.Invalid "reason-unknown" (why), "certificate-last" (sure);
// fault.Conflict "certificate-other" where it was revoked already, or as Replaced while its successor was not shown.
func (s *Service) End(ctx context.Context, by login.By, id string, why Why, sure bool) error {
	now := s.Clock()
	if !by.Fresh(now) {
		return fault.New(fault.Forbidden, "login-not-fresh")
	}
	reason, ok := reasons[why]
	if !ok {
		return fault.New(fault.Invalid, "reason-unknown", "reason", string(why)).In("why")
	}
	r, err := s.Of(ctx, by, id)
	if err != nil {
		return err
	}
	if r.Old.State == pki.Revoked || why == Replaced && !r.Shown() {
		return fault.New(fault.Conflict, "certificate-other")
	}
	last, err := s.Last(ctx, by, id, why)
	if err != nil {
		return err
	}
	if last && !sure {
		return fault.New(fault.Invalid, "certificate-last").In("sure")
	}
	all, err := s.Devices(ctx, by)
	if err != nil {
		return err
	}
	var errs []error
	for _, one := range ending(all, id, why) {
		errs = append(errs, s.Issuer.Revoke(ctx, certify.Changed{
			Realm: by.Person.Realm, ID: one, Reason: reason, Organization: by.Person.Organization, By: actor(by),
			Stored: func(tx certify.Tx, c pki.Certificate) error {
				if err := s.emptied(tx, c); err != nil || c.ID != id { // one mail for a device
					return err
				}
				return s.notice(tx, by, now, "factor-removed", "certificate-ended-console", c, why != Replaced)
			},
		}))
	}
	return errors.Join(errs...)
}

// Suspend keeps one of the actor's certificates from being accepted until the desk has looked, and ends the sessions that were
// opened with it: whoever found the device could have suspended nothing, and must not resume anything either. own says whether
// this session was one of those. Errors: fault.NotFound; fault.Conflict "certificate-other" where it does not
// live.
func (s *Service) Suspend(ctx context.Context, by login.By, id string) (own bool, err error) {
	r, err := s.Of(ctx, by, id)
	if err != nil {
		return false, err
	}
	if r.Old.Over() || r.Old.State == pki.Suspended {
		return false, fault.New(fault.Conflict, "certificate-other")
	}
	now := s.Clock()
	return r.Old.Here, s.Issuer.Suspend(ctx, certify.Changed{
		Realm: by.Person.Realm, ID: id, Reason: string(Lost), Organization: by.Person.Organization, By: actor(by),
		Stored: func(tx certify.Tx, c pki.Certificate) error {
			return s.notice(tx, by, now, "factor-suspended", "certificate-ended-console", c, true)
		},
	})
}

// notice tells the owner, and their contact where it says so.
func (s *Service) notice(tx certify.Tx, by login.By, now time.Time, template, console string, c pki.Certificate, contact bool) error {
	return certify.Within(tx, func(tx Tx) error {
		if err := tx.Enqueue(by.Notice(now, template, map[string]string{"factor": c.Name, "kind": "cert"})); err != nil || !contact {
			return err
		}
		return s.tell(tx, by, now, console, c.Name)
	})
}
