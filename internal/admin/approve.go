package admin

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/limit"
	"doorward/internal/login"
)

const (
	daily   = 24 * time.Hour
	lastFew = 100 // requests about a person that are looked at: more than openLimit lets through in helpdesk.Lately
)

// Check notes how one check of the caller went. It is added and never changed; the same words sent again add nothing.
//
// Errors: fault.Invalid "check-unknown", "result-missing", "note-short"; fault.Conflict "help-over", "request-nobody"
// (the request names no person yet), "stale"; what directory.May returns: the desk checks, customers do not.
func (s *Requests) Check(ctx context.Context, by login.By, id string, c helpdesk.Check) (r helpdesk.Request, err error) {
	now := s.Clock()
	c.Note, c.Evidence = directory.Line(c.Note), directory.Line(c.Evidence)
	known := slices.ContainsFunc(by.Realm.Requests.Strict().Checks, func(rule directory.CheckRule) bool { return rule.ID == c.Rule })
	switch {
	case !known:
		return r, fault.New(fault.Invalid, "check-unknown").In("rule")
	case c.Result != helpdesk.Passed && c.Result != helpdesk.Failed:
		return r, fault.New(fault.Invalid, "result-missing").In("result")
	case utf8.RuneCountInString(c.Note) < noteLeast:
		return r, fault.New(fault.Invalid, "note-short", "min", noteLeast).In("note")
	case utf8.RuneCountInString(c.Note)+utf8.RuneCountInString(c.Evidence) > wordsMost:
		return r, fault.New(fault.Invalid, "text-long", "max", wordsMost).In("note")
	}
	err = s.Store.Write(ctx, func(tx RequestTx) error {
		var p directory.Person
		if r, p, err = s.about(tx, by, directory.ResetFactor, id); err != nil {
			return err
		}
		if !by.Person.Role.Staff() {
			return fault.New(fault.Forbidden, "not-allowed")
		}
		if r.State != helpdesk.Open || r.Over(now) {
			return fault.New(fault.Conflict, "help-over")
		}
		c.By, c.Name, c.At = by.Person.ID, by.Person.Name, now
		if r.Noted(c) {
			return nil
		}
		first := len(r.Checks) == 0
		r.Checks = append(r.Checks, c)
		if err := s.update(tx, &r); err != nil {
			return err
		}
		// Whoever is being impersonated learns of the call while it lasts: when it begins, and each time it goes wrong.
		switch {
		case c.Result == helpdesk.Failed:
			err = tx.Enqueue(s.notice(by, p, "request-check-failed", r, now))
		case first:
			err = tx.Enqueue(s.notice(by, p, "request-checked", r, now))
		}
		if err != nil {
			return err
		}
		data := facts(r)
		data["check"], data["result"], data["evidence"] = c.Rule, string(c.Result), c.Evidence
		return tx.Audit(by.EventAbout(p, now, "request.checked", c.Note, data))
	})
	return r, err
}

// about loads a request and its person, and asks whether the actor may do the act to them.
func (s *Requests) about(tx RequestTx, by login.By, act directory.Act, id string) (r helpdesk.Request, p directory.Person, err error) {
	if r, err = tx.HelpRequest(by.Person.Realm, id); err != nil {
		return r, p, err
	}
	if r.Person == "" {
		who, err := tx.PersonByAddress(r.Realm, r.Address)
		if err != nil && !fault.Of(err, fault.NotFound) {
			return r, p, err
		}
		if err := directory.MayHandle(by.Person, act, who); err != nil {
			return r, p, err
		}
		return r, who, fault.New(fault.Conflict, "request-nobody")
	}
	if p, err = tx.Person(r.Realm, r.Person); err != nil {
		return r, p, err
	}
	return r, p, directory.May(by.Person, act, p)
}

// Approve says yes. The last yes that is needed makes the request a grant and sends the link that uses it; what the
// person then has to show is the engine's business. version is that of the request the approver has seen: what changed
// since is looked at first.
//
// Errors: those of helpdesk.MayApprove and Need.Second; fault.Forbidden "factors-apart" for who approved lately that the person's other
// factor goes; fault.Invalid "checks-missing" with the ids; fault.Throttled "too-many-resets"; fault.Conflict "stale",
// "request-nobody", "request-no-way", "person-shut".
func (s *Requests) Approve(ctx context.Context, by login.By, id string, version int64) (r helpdesk.Request, err error) {
	now := s.Clock()
	var p directory.Person
	err = s.Store.Write(ctx, func(tx RequestTx) error {
		if r, p, err = s.about(tx, by, directory.See, id); err != nil {
			return err
		}
		if r.Version != version {
			return fault.New(fault.Conflict, "stale")
		}
		r, err = s.approve(tx, by, r, p, now)
		return err
	})
	return r, s.tripped(ctx, err, by.EventAbout(p, now, "", "", facts(r)))
}

func (s *Requests) approve(tx RequestTx, by login.By, r helpdesk.Request, p directory.Person, now time.Time) (helpdesk.Request, error) {
	if err := helpdesk.MayApprove(by.Person, p, r, now); err != nil {
		return r, err
	}
	if p.State.Shut() {
		return r, fault.New(fault.Conflict, "person-shut")
	}
	if !r.Everything && len(r.Kinds) == 0 {
		return r, fault.New(fault.Conflict, "request-nobody") // nobody has said yet what it is about
	}
	c, earlier, err := s.judge(tx, by, r, p, now)
	if err != nil {
		return r, err
	}
	if helpdesk.LetGo(by.Person.ID, r.Kinds, r.Everything, earlier, now) {
		return r, fault.New(fault.Forbidden, "factors-apart")
	}
	if c.Beyond, err = s.spend(tx, by, r, now); err != nil {
		return r, err
	}
	need := helpdesk.Compute(c)
	if len(r.Approvals) > 0 {
		if err := need.Second(by.Person); err != nil {
			return r, err
		}
	}
	if missing := r.Missing(helpdesk.MustPass(by.Person, r, need)); len(missing) > 0 {
		return r, fault.New(fault.Invalid, "checks-missing", "checks", missing).In("checks")
	}
	r.Needed = max(r.Needed, need.Approvers)
	r.Approvals = append(r.Approvals, helpdesk.Approval{
		By: by.Person.ID, Name: by.Person.Name, Role: by.Person.Role, Session: by.Session.ID, At: now,
	})
	people, err := login.Approvers(tx, r)
	if err != nil {
		return r, err
	}
	if r.Counting(p, people) < r.Needed {
		if err := s.update(tx, &r); err != nil {
			return r, err
		}
		s.count("seconded", r)
		if err := tx.Audit(by.EventAbout(p, now, "request.seconded", r.Reason, facts(r))); err != nil {
			return r, err
		}
		if err := tx.Enqueue(s.notice(by, p, "request-seconded", r, now)); err != nil {
			return r, err
		}
		return r, s.wake(tx, by, p, r, need, now)
	}
	r.State, r.From = helpdesk.Approved, now.Add(need.Cooling)
	r.Until = r.From.Add(helpdesk.GrantFor)
	if err := s.update(tx, &r); err != nil {
		return r, err
	}
	s.count("approved", r)
	data := facts(r)
	data["from"], data["until"] = r.From.UTC().Format(time.RFC3339), r.Until.UTC().Format(time.RFC3339)
	if err := tx.Audit(by.EventAbout(p, now, "request.approved", r.Reason, data)); err != nil {
		return r, err
	}
	if err := login.SendRecovery(tx, s.Ring, by.Realm.Realm, p, login.Recovery{
		Request: r, Now: now, Actor: by.Person.ID, By: by.Person.Name, Network: by.Network, Agent: by.Agent,
	}); err != nil {
		return r, err
	}
	return r, s.tell(tx, by, p, "request-approved", r, now)
}

// spend takes one of the approver's daily number (SEC H-2). An agent beyond it needs a second; an administrator waits.
func (s *Requests) spend(tx RequestTx, by login.By, r helpdesk.Request, now time.Time) (beyond bool, err error) {
	q := by.Realm.Requests.Strict()
	if by.Person.Role.Staff() {
		ok, _, err := tx.Reserve("approve:"+by.Person.ID, q.Agent, daily, now)
		return !ok, err
	}
	return false, limit.Budget{Key: "approve:" + by.Person.ID, Limit: q.Administrator, Window: daily, Code: "too-many-resets"}.Take(tx, now)
}

// wake writes to those who can be the second: other administrators, and supervisors and owners for the desk.
func (s *Requests) wake(tx RequestTx, by login.By, p directory.Person, r helpdesk.Request, need helpdesk.Need, now time.Time) error {
	var some []directory.Person
	for _, role := range []directory.Role{directory.Supervisor, directory.Owner} {
		more, err := s.staff(tx, r.Realm, role)
		if err != nil {
			return err
		}
		some = append(some, more...)
	}
	if !p.Role.Staff() {
		more, err := tx.Administrators(p.Realm, p.Organization)
		if err != nil {
			return err
		}
		some = append(some, more...)
	}
	for _, o := range some {
		if helpdesk.MayApprove(o, p, r, now) != nil || need.Second(o) != nil {
			continue
		}
		if err := tx.Enqueue(by.NoticeTo(o, now, "request-second", map[string]string{
			"number": r.Number, "name": p.Name, "address": named(o, p, p.Address), "reason": r.Reason,
		})); err != nil {
			return err
		}
	}
	return nil
}

// Refuse says no. suspicious says that whoever asked was not the person: the others who look after them are told at
// once. The second refusal about one person within a day alarms the supervisors (SEC T-HD2).
//
// Errors: those of Reason; fault.Conflict "help-over", "stale"; what directory.May returns.
func (s *Requests) Refuse(ctx context.Context, by login.By, id string, version int64, reason string, suspicious bool) (r helpdesk.Request, err error) {
	now := s.Clock()
	if reason, err = Reason(reason); err != nil {
		return r, err
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
				"number": r.Number, "name": p.Name, "address": named(o, p, p.Address),
			})); err != nil {
				return err
			}
		}
	}
	return nil
}

// Cancel stops a request or a grant that was not used yet. Whoever may reset the person may do it and says why; the person
// themselves need not. Errors: those of Reason; fault.Conflict "help-over"; what directory.May returns.
func (s *Requests) Cancel(ctx context.Context, by login.By, id, reason string) (r helpdesk.Request, err error) {
	now := s.Clock()
	err = insist(func() error {
		return s.Store.Write(ctx, func(tx RequestTx) error {
			if r, err = tx.HelpRequest(by.Person.Realm, id); err != nil {
				return err
			}
			if r.Person == by.Person.ID {
				return s.stop(tx, by, &r, by.Person, directory.Line(reason), now)
			}
			var p directory.Person
			if r, p, err = s.about(tx, by, directory.ResetFactor, id); err != nil && !is(err, "request-nobody") {
				return err
			}
			why, err := Reason(reason)
			if err != nil {
				return err
			}
			return s.stop(tx, by, &r, p, why, now)
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
