package admin

import (
	"context"
	"time"
	"unicode/utf8"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
)

// How requests end without a grant: refused, or stopped.

// Refuse says no. suspicious says that whoever asked was not the person: the others who look after them are told at
// once. The second refusal about one person within a day alarms the supervisors (SEC T-HD2).
//
// Errors: fault.Invalid "reason-short"; fault.Conflict "help-over", "stale"; what directory.May returns.
func (s *Requests) Refuse(ctx context.Context, by login.By, id string, version int64, reason string, suspicious bool) (r helpdesk.Request, err error) {
	now := s.Clock()
	reason = directory.Line(reason)
	if utf8.RuneCountInString(reason) < reasonLeast {
		return r, fault.New(fault.Invalid, "reason-short", "min", reasonLeast).In("reason")
	}
	err = s.Store.Write(ctx, func(tx RequestTx) error {
		var p directory.Person
		if r, p, err = s.about(tx, by, directory.ResetFactor, id); err != nil && !is(err, "request-nobody") {
			return err
		}
		if r.Version != version {
			return fault.New(fault.Conflict, "stale")
		}
		if r.State != helpdesk.Open {
			return fault.New(fault.Conflict, "help-over")
		}
		if r.Person == "" && p.ID != "" { // whom the form named: the next who is asked about them sees it, and it counts
			r.Person, r.Organization = p.ID, p.Organization
		}
		r.State, r.Closed, r.ClosedBy, r.ClosedWhy = helpdesk.Refused, now, by.Person.ID, reason
		if err := s.update(tx, &r); err != nil {
			return err
		}
		s.count("refused", r)
		data := facts(r)
		if suspicious {
			data["suspicious"] = "true"
		}
		if r.Person == "" {
			e := by.Event(now, "request.refused", reason, data)
			e.Person, e.Organization = "", r.Organization
			return tx.Audit(e)
		}
		if err := tx.Audit(by.EventAbout(p, now, "request.refused", reason, data)); err != nil {
			return err
		}
		if err := s.tell(tx, by, p, "request-refused", r, now); err != nil {
			return err
		}
		return s.alarm(tx, by, p, r, now)
	})
	return r, err
}

// alarm tells supervisors and owners about a person whom somebody tries again and again to get into.
func (s *Requests) alarm(tx RequestTx, by login.By, p directory.Person, r helpdesk.Request, now time.Time) error {
	all, err := tx.HelpRequestsOf(p.Realm, p.ID, lastFew)
	if err != nil {
		return err
	}
	refused := 0
	for _, e := range all {
		if e.State == helpdesk.Refused && now.Sub(e.Closed) < daily {
			refused++
		}
	}
	if refused < 2 {
		return nil
	}
	s.count("alarmed", r)
	if err := tx.Audit(by.EventAbout(p, now, "request.alarm", "", facts(r))); err != nil {
		return err
	}
	for _, role := range []directory.Role{directory.Supervisor, directory.Owner} {
		people, err := s.staff(tx, p.Realm, role)
		if err != nil {
			return err
		}
		for _, o := range people {
			if err := tx.Enqueue(by.NoticeTo(o, now, "request-alarm", map[string]string{
				"number": r.Number, "name": p.Name, "address": p.Address,
			})); err != nil {
				return err
			}
		}
	}
	return nil
}

// Cancel stops a request or a grant that was not used yet. Whoever may reset the person may do it, and the person
// themselves. Errors: fault.Conflict "help-over"; what directory.May returns.
func (s *Requests) Cancel(ctx context.Context, by login.By, id, reason string) (r helpdesk.Request, err error) {
	now := s.Clock()
	err = insist(func() error {
		return s.Store.Write(ctx, func(tx RequestTx) error {
			if r, err = tx.HelpRequest(by.Person.Realm, id); err != nil {
				return err
			}
			p := by.Person
			if r.Person != p.ID || r.Person == "" {
				if r, p, err = s.about(tx, by, directory.ResetFactor, id); err != nil && !is(err, "request-nobody") {
					return err
				}
			}
			return s.stop(tx, by, &r, p, directory.Line(reason), now)
		})
	})
	return r, err
}

// insist tries again where somebody else was quicker: what stops and freezes needs no second look at what changed, and a
// crowd of other steps must not keep it from happening.
func insist(do func() error) error {
	for try := 0; ; try++ {
		if err := do(); try == 8 || !is(err, "stale") && !fault.Of(err, fault.Exists) {
			return err
		}
	}
}

// stop ends what is open or approved, and the link that was sent for it.
func (s *Requests) stop(tx RequestTx, by login.By, r *helpdesk.Request, p directory.Person, reason string, now time.Time) error {
	if r.State != helpdesk.Open && r.State != helpdesk.Approved {
		return fault.New(fault.Conflict, "help-over")
	}
	r.State, r.Closed, r.ClosedBy, r.ClosedWhy = helpdesk.Cancelled, now, by.Person.ID, reason
	if err := s.update(tx, r); err != nil {
		return err
	}
	s.count("cancelled", *r)
	if r.Person == "" {
		e := by.Event(now, "request.cancelled", reason, facts(*r))
		e.Person, e.Organization = "", r.Organization
		return tx.Audit(e)
	}
	if _, err := tx.VoidOneTimes(r.Realm, r.Person, authn.Mail, login.Recover, now); err != nil {
		return err
	}
	if err := tx.Audit(by.EventAbout(p, now, "request.cancelled", reason, facts(*r))); err != nil {
		return err
	}
	return s.tell(tx, by, p, "request-cancelled", *r, now)
}
