package login

import (
	"context"
	"slices"
	"time"

	"doorward/internal/activation"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/limit"
)

// The waiting side of a call (package activation; the agent's is package calls). The code lies sealed in the flow as its
// open question; the activation holds its hash. Both are written in one transaction, so a page never shows a code that no
// agent could compare.

// renewing bounds how many codes a person asks for.
func renewing(person string) limit.Budget {
	return limit.Budget{Key: "activation:" + person, Limit: 10, Window: time.Hour, Code: "too-many-codes"}
}

// waits loads the activation of a flow whose step can be shown by a call.
func (s *Service) waits(tx Tx, st *standing) (err error) {
	if st.step.Act != authn.ActProve || !slices.ContainsFunc(st.step.Kinds, activation.Leads) {
		return nil
	}
	st.call, err = activation.Of(tx, st.flow.ID, st.person)
	if st.call.State == activation.Confirmed && !st.step.Offers(st.call.Kind) {
		st.call.State = activation.Ended // the policy asks for another kind by now
	}
	return err
}

// follow drops a call from what counts when the certificate has ended in whose session it was made: it was the call of that
// certificate, and proves nothing without it (REQ A26). What was collected before a newer code was asked for counts for
// nothing either.
func (st *standing) follow(tx Tx, f *authn.Flow) error {
	if !slices.ContainsFunc(f.Evidence, func(e authn.Evidence) bool { return activation.Leads(e.Kind) }) {
		return nil
	}
	a, err := tx.ActivationOfFlow(f.ID)
	if err != nil {
		return ignoreMissing(err)
	}
	if st.device = a.Device.Certificate; st.device == "" {
		return nil
	}
	live := slices.ContainsFunc(st.creds, func(c authn.Credential) bool { return c.ID == st.device && c.State == authn.Active })
	f.Evidence = slices.DeleteFunc(f.Evidence, func(e authn.Evidence) bool {
		return activation.Leads(e.Kind) && (!live || e.Credential != a.ID)
	})
	return nil
}

// await stores the activation of a new code.
func (s *Service) await(tx Tx, c Caller, st *standing, q *authn.Question) (err error) {
	f := st.flow
	if life := f.Now.Add(st.realm.Calls.Life()); q.Expires.After(life) {
		q.Expires = life
	}
	a := activation.Activation{Network: c.Network, Browser: c.Agent}
	if a.Device, err = s.device(tx, *st); err != nil {
		return err
	}
	if st.call, err = activation.Begin(tx, s.Ring, f, q, a); err != nil {
		return err
	}
	s.Count("activation", "what", "asked", "kind", string(q.Kind))
	return tx.Audit(s.event(c, f, "activation.asked", audit.Event{
		Organization: st.person.Organization, Data: map[string]string{"number": st.call.Number, "kind": string(q.Kind), "activation": st.call.ID},
	}))
}

// device is what an agent sees of the certificate that a flow has shown last, or is to get; zero for none.
func (s *Service) device(tx Tx, st standing) (activation.Device, error) {
	shown := counted(st.flow).Evidence
	for i := len(shown) - 1; i >= 0; i-- {
		live := func(c authn.Credential) bool { return c.ID == shown[i].Credential && c.State == authn.Active }
		if shown[i].Kind == authn.Cert && slices.ContainsFunc(st.creds, live) && s.Certificates != nil {
			return s.Certificates.Device(tx, st.flow.Realm, shown[i].Credential)
		}
	}
	if st.flow.Goal != authn.Anew || s.Certificates == nil {
		return activation.Device{}, nil
	}
	return s.Certificates.Missing(tx, st.flow)
}

// Renew shows a new code to a flow that waits for a call; the old one is dead at once (REQ A25). Errors: fault.Expired
// "flow-over", fault.Conflict "not-expected", fault.Throttled "too-many-codes".
func (s *Service) Renew(ctx context.Context, c Caller, id string) (View, error) {
	now := s.Clock()
	var st standing
	err := s.Store.Write(ctx, func(tx Tx) error {
		f, err := s.own(tx, c, id, now)
		if err != nil {
			return err
		}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		i := slices.IndexFunc(st.step.Kinds, activation.Leads)
		if st.step.Act != authn.ActProve || i < 0 || st.call.Collectable(now) {
			return fault.New(fault.Conflict, "not-expected")
		}
		if err := renewing(f.Person).Take(tx, now); err != nil {
			return err
		}
		if err := s.askFor(ctx, tx, c, &st, st.step.Kinds[i]); err != nil {
			return err
		}
		return s.save(tx, &st.flow)
	})
	if err != nil {
		return View{}, s.tripped(ctx, c, err, now, audit.Event{Person: st.flow.Person, Flow: id})
	}
	return s.view(ctx, st)
}

// Awaits says how a flow that waits for a call stands, for the stream that moves its page on: what it answers changes
// whenever the page does, and is empty once the step is another. Unlike Look it collects nothing. It fails with fault.Expired
// "flow-over".
func (s *Service) Awaits(ctx context.Context, c Caller, id string) (mark string, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		f, err := s.own(tx, c, id, s.Clock())
		if err != nil {
			return err
		}
		st, err := s.stand(tx, f)
		if mark = ""; err == nil && st.step.Act == authn.ActProve && slices.ContainsFunc(st.step.Kinds, activation.Leads) {
			mark = st.call.Mark()
		}
		return err
	})
	return mark, err
}
