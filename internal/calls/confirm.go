package calls

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"doorward/internal/activation"
	"doorward/internal/admin"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/pki"
)

const (
	noteLeast = 3
	noteMost  = 2000
)

// Confirm says that the caller is the person, with how each check went. The last yes that is needed is evidence, once the
// browser that waits has collected it. version is that of the call the agent has seen. A check that failed is kept and
// forbids to confirm; what is left is to reject.
//
// Errors: fault.Invalid "check-unknown", "result-missing", "note-short", "text-long" (fields result-RULE and note-RULE),
// "checks-missing" with the ids; fault.Conflict "call-over", "call-taken", "call-failed-check", "stale", "person-shut"; those of
// activation.MayConfirm; fault.NotFound.
func (d *Desk) Confirm(ctx context.Context, by login.By, person, id string, version int64, checks []helpdesk.Check) (confirmed bool, err error) {
	now := d.Clock()
	if checks, err = tidy(by, checks, now); err != nil {
		return false, err
	}
	var outcome error
	err = d.Store.Write(ctx, func(tx Tx) error {
		confirmed, outcome = false, nil
		c, err := d.load(tx, by, person, id, now)
		if err != nil || c.May != nil {
			return first(err, c.May)
		}
		a := c.Activation
		switch {
		case a.Version != version:
			return fault.New(fault.Conflict, "stale")
		case a.State != activation.Matched:
			return over()
		case !c.Mine && len(a.Confirmations) == 0:
			return fault.New(fault.Conflict, "call-taken")
		}
		a.Checks = append(a.Checks, checks...)
		failed := func(k helpdesk.Check) bool { return k.Result == helpdesk.Failed }
		if slices.ContainsFunc(a.Checks, failed) {
			if !slices.ContainsFunc(checks, failed) {
				return fault.New(fault.Conflict, "call-failed-check")
			}
			outcome = fault.New(fault.Conflict, "call-failed-check")
			if err := tx.UpdateActivation(a); err != nil {
				return err
			}
			return d.noted(tx, by, c, checks, now)
		}
		if missing := a.Missing(by.Realm.Requests.Strict().Required()); len(missing) > 0 {
			return fault.New(fault.Invalid, "checks-missing", "checks", missing).In("checks")
		}
		a.Confirmations = append(a.Confirmations, activation.Confirmation{By: by.Person.ID, Name: by.Person.Name, Session: by.Session.ID, At: now})
		confirmed = len(a.Confirmations) >= c.Needed
		kind, what := "activation.seconded", "seconded"
		if confirmed {
			kind, what = "activation.confirmed", "confirmed"
			a.State, a.Expires = activation.Confirmed, now.Add(activation.CollectFor)
		}
		if err := tx.UpdateActivation(a); err != nil {
			return err
		}
		if err := d.noted(tx, by, c, checks, now); err != nil {
			return err
		}
		d.count(what, a)
		if err := tx.Audit(by.EventAbout(c.Who, now, kind, "", facts(a))); err != nil || !confirmed {
			return err
		}
		return tx.Enqueue(by.NoticeTo(c.Who, now, "activation-confirmed", map[string]string{"number": a.Number}))
	})
	return confirmed, first(err, outcome)
}

// noted keeps what was checked in the trail.
func (d *Desk) noted(tx Tx, by login.By, c Call, checks []helpdesk.Check, now time.Time) error {
	for _, k := range checks {
		data := facts(c.Activation)
		data["check"], data["result"], data["evidence"] = k.Rule, string(k.Result), k.Evidence
		if err := tx.Audit(by.EventAbout(c.Who, now, "activation.checked", k.Note, data)); err != nil {
			return err
		}
	}
	return nil
}

// tidy checks what was typed about each check. One without result and note was not made.
func tidy(by login.By, checks []helpdesk.Check, now time.Time) (made []helpdesk.Check, err error) {
	rules := by.Realm.Requests.Strict().Checks
	for _, k := range checks {
		k.Note, k.Evidence = directory.Line(k.Note), directory.Line(k.Evidence)
		if k.Result == "" && k.Note == "" && k.Evidence == "" {
			continue
		}
		switch {
		case !slices.ContainsFunc(rules, func(r directory.CheckRule) bool { return r.ID == k.Rule }):
			return nil, fault.New(fault.Invalid, "check-unknown")
		case k.Result != helpdesk.Passed && k.Result != helpdesk.Failed:
			return nil, fault.New(fault.Invalid, "result-missing").In("result-" + k.Rule)
		case utf8.RuneCountInString(k.Note) < noteLeast:
			return nil, fault.New(fault.Invalid, "note-short", "min", noteLeast).In("note-" + k.Rule)
		case utf8.RuneCountInString(k.Note)+utf8.RuneCountInString(k.Evidence) > noteMost:
			return nil, fault.New(fault.Invalid, "text-long", "max", noteMost).In("note-" + k.Rule)
		}
		k.By, k.Name, k.At = by.Person.ID, by.Person.Name, now
		made = append(made, k)
	}
	return made, nil
}

// Reject ends a call that is not what it seems (REQ A28b): the session that waits and every other flow of the person are over,
// the request behind it is refused, a certificate is suspended, and the person is told. It counts also where another agent has
// the call, and where it was confirmed and not collected yet.
//
// Errors: fault.Invalid "reason-short", "text-long" (reason); fault.Conflict "call-over"; fault.Forbidden "not-allowed";
// fault.NotFound.
func (d *Desk) Reject(ctx context.Context, by login.By, person, id, reason string) error {
	now := d.Clock()
	reason, err := admin.Reason(reason)
	if err != nil {
		return err
	}
	return again(func() error {
		return d.Store.Write(ctx, func(tx Tx) error {
			c, err := d.load(tx, by, person, id, now)
			if err != nil {
				return err
			}
			if err := directory.May(by.Person, directory.ResetFactor, c.Who); err != nil {
				return err
			}
			if !c.Reject {
				return over()
			}
			a := c.Activation
			a.State, a.Closed, a.ClosedBy, a.ClosedWhy = activation.Rejected, now, by.Person.ID, reason
			if err := tx.UpdateActivation(a); err != nil {
				return err
			}
			d.count("rejected", a)
			if err := tx.Audit(by.EventAbout(c.Who, now, "activation.rejected", reason, facts(a))); err != nil {
				return err
			}
			if _, err := tx.VoidFlows(c.Realm, c.Person, ""); err != nil {
				return err
			}
			if err := d.suspend(tx, by, c, now); err != nil {
				return err
			}
			if err := d.Requests.Distrust(tx, by, c.Who, reason, now); err != nil {
				return err
			}
			return tx.Enqueue(by.NoticeTo(c.Who, now, "activation-rejected", map[string]string{"number": a.Number}))
		})
	})
}

// suspend takes the certificate out of use that the session has shown, until somebody has looked at it; sessions that stand on
// it end with it.
func (d *Desk) suspend(tx Tx, by login.By, c Call, now time.Time) error {
	if c.Device.Certificate == "" {
		return nil
	}
	on, err := tx.Certificate(c.Realm, c.Device.Certificate)
	if fault.Of(err, fault.NotFound) || err == nil && !on.Live(now) {
		return nil
	}
	if err != nil {
		return err
	}
	on.State, on.Reason, on.Ended = pki.Suspended, pki.Hold, now
	if err := tx.UpdateCertificate(on); err != nil {
		return err
	}
	if _, err := tx.EndSessions(c.Realm, c.Person, "", "factor-changed", now); err != nil {
		return err
	}
	tx.Bump()
	data := facts(c.Activation)
	data["name"], data["certificate"], data["serial"], data["until"] = on.Name, on.ID, on.Serial, on.NotAfter.UTC().Format(time.DateOnly)
	return tx.Audit(by.EventAbout(c.Who, now, "certificate.suspended", "call-rejected", data))
}
