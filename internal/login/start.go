package login

import (
	"context"
	"slices"
	"time"

	"doorward/internal/activation"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Start is what a new flow begins with.
type Start struct {
	Address string     // as typed; empty when the flow rises from a session
	Goal    authn.Goal // zero: to be let in
	Return  string     // opaque, kept for the end
	Since   time.Time  // for the goal admit: what a session showed before counts for nothing (max_age, prompt=login); zero: FreshLife
}

// Begin starts a flow and answers with its first step. With a session (Caller.Session) the person is known from it and
// what was proven at most FreshLife ago counts; that is how a step-up, a spare and a change of factor begin. Otherwise
// the address is kept as typed and says nothing about whether it is known. A goal to bind is for who has a session; authn.Anew
// alone begins without one.
//
// Errors: fault.Invalid "address-invalid", fault.Throttled "too-many-starts", fault.Expired "session-over".
func (s *Service) Begin(ctx context.Context, c Caller, in Start) (View, error) {
	now := s.Clock()
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return View{}, err
	}
	f := authn.Flow{
		ID: newID(), Realm: realm.ID, Goal: in.Goal, Return: in.Return, Language: c.Language,
		State: authn.FlowOpen, Created: now, Expires: now.Add(FlowLife), Now: now,
	}
	if in.Address == "" {
		signed, err := s.Authenticate(ctx, c.Realm, c.Session)
		if err != nil {
			return View{}, err
		}
		f.Person, f.Session, f.Address = signed.Person.ID, signed.Session.ID, signed.Person.Address
		f.Evidence = carried(signed.Session.Evidence, in, now)
	} else if f.Address, err = directory.Canonical(in.Address); err != nil {
		return View{}, fault.New(fault.Invalid, "address-invalid").In("address").Because(err)
	} else if !in.Goal.Admit() && in.Goal != authn.Anew {
		return View{}, fault.New(fault.Forbidden, "not-expected")
	}
	browser, minted := s.browserOf(c)
	f.Browser = s.browserHash(browser)
	var st standing
	err = s.Store.Write(ctx, func(tx Tx) error {
		if err := beginning(c).Take(tx, now); err != nil {
			return err
		}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		if err := s.ask(ctx, tx, c, &st); err != nil {
			return err
		}
		return tx.AddFlow(st.flow)
	})
	if err != nil {
		return View{}, s.tripped(ctx, c, err, now, audit.Event{Person: f.Person})
	}
	v, err := s.view(ctx, st)
	if minted {
		v.Browser = browser
	}
	return v, err
}

// carried keeps what a flow takes from the session it rises from: what is young enough to change factors with, or to sign
// in what is no older than asked.
func carried(evidence []authn.Evidence, in Start, now time.Time) []authn.Evidence {
	since := now.Add(-FreshLife)
	if in.Goal.Admit() && !in.Since.IsZero() {
		since = in.Since
	}
	return slices.DeleteFunc(slices.Clone(evidence), func(e authn.Evidence) bool { return e.At.Before(since) })
}

// browserOf returns the caller's browser secret, or a new one.
func (s *Service) browserOf(c Caller) (browser secret.Text, isNew bool) {
	if c.Browser != "" {
		return c.Browser, false
	}
	return secret.Text(secret.Token()), true
}

// Look shows a flow to the browser it belongs to. Where the step needs a question (a seed to confirm) and none is open,
// it makes one: the old one has expired or was answered wrongly three times. Where nothing is left to do (the last duty
// was done in another tab, or what the session showed is enough) the flow ends here, as it would have with the last step.
func (s *Service) Look(ctx context.Context, c Caller, id string) (View, error) {
	var st standing
	load := func(tx Tx) error {
		f, err := s.own(tx, c, id, s.Clock())
		if err != nil {
			return err
		}
		st, err = s.stand(tx, f)
		return err
	}
	if err := s.Store.Read(ctx, load); err != nil {
		return View{}, err
	}
	if st.call.Collectable(st.flow.Now) {
		// An agent has confirmed. The browser that showed the code takes it, by the same way as all evidence.
		v, err := s.Prove(ctx, c, id, authn.Answer{Kind: st.call.Kind})
		if err == nil || !fault.Of(err, fault.Conflict) && !fault.Of(err, fault.Rejected) {
			return v, err
		}
		if err := s.Store.Read(ctx, load); err != nil { // another tab was quicker, or the agent's standing has changed
			return View{}, err
		}
	}
	var end View
	if s.wants(st) || st.step.Act == authn.ActAdmit {
		err := s.Store.Write(ctx, func(tx Tx) error {
			end = View{}
			if err := load(tx); err != nil {
				return err
			}
			if !s.wants(st) && st.step.Act != authn.ActAdmit {
				return nil
			}
			var err error
			end.Minted, end.Finished, end.Browser, err = s.arrive(ctx, tx, c, &st)
			return err
		})
		if err != nil {
			return View{}, err
		}
	}
	v, err := s.view(ctx, st)
	v.Minted, v.Finished, v.Browser = end.Minted, end.Finished, end.Browser
	return v, err
}

// save stores a flow and moves its version on.
func (s *Service) save(tx Tx, f *authn.Flow) error {
	if err := tx.UpdateFlow(*f); err != nil {
		return err
	}
	f.Version++
	return nil
}

// wanted is the kind whose question a step needs: the first one, or what the person chose.
func wanted(st standing) (authn.Kind, bool) {
	if st.step.Act != authn.ActProve && st.step.Act != authn.ActBind || len(st.step.Kinds) == 0 || st.flow.Person == "" {
		return "", false
	}
	return st.step.Kinds[0], true
}

// wants reports whether the step needs a question that is not open.
func (s *Service) wants(st standing) bool {
	k, ok := wanted(st)
	if activation.Leads(k) && st.step.Act == authn.ActProve && st.flow.Open.Kind == k {
		return false // a code that is over stays over until the person asks for another
	}
	if !ok || st.flow.Open.For(k, st.step.Act == authn.ActBind, st.flow.Now) {
		return false
	}
	if st.step.Act == authn.ActProve {
		_, asks := s.methods[k].(authn.Asker)
		return asks
	}
	_, offers := s.methods[k].(authn.Offerer)
	info, _ := authn.Info(k)
	return offers && (st.flow.Choice != "" || !info.Models)
}

// ask opens the question of the step, if it needs one.
func (s *Service) ask(ctx context.Context, tx Tx, c Caller, st *standing) error {
	if !s.wants(*st) {
		return nil
	}
	k, _ := wanted(*st)
	return s.askFor(ctx, tx, c, st, k)
}

func (s *Service) askFor(ctx context.Context, tx Tx, c Caller, st *standing, k authn.Kind) error {
	var q authn.Question
	var err error
	stored := ofKind(st.creds, k)
	if st.step.Act == authn.ActBind {
		q, err = s.methods[k].(authn.Offerer).Offer(ctx, st.flow, stored)
	} else {
		q, err = s.methods[k].(authn.Asker).Ask(ctx, st.flow, stored)
	}
	if err != nil {
		return err
	}
	q.Kind, q.Binding = k, st.step.Act == authn.ActBind
	if activation.Leads(k) {
		if err := s.await(tx, c, st, &q); err != nil {
			return err
		}
	}
	st.flow.Open, st.flow.Wrong = q, 0
	return nil
}

// Choose keeps which authenticator the person wants to set up. The seed shown before, if any, dies: another app gets
// another secret. Errors: fault.Invalid "authenticator-unknown", fault.Conflict "not-expected".
func (s *Service) Choose(ctx context.Context, c Caller, id, model string) (View, error) {
	var st standing
	err := s.Store.Write(ctx, func(tx Tx) error {
		f, err := s.own(tx, c, id, s.Clock())
		if err != nil {
			return err
		}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		if st.step.Act != authn.ActBind {
			return fault.New(fault.Conflict, "not-expected")
		}
		known := slices.ContainsFunc(st.realm.Apps, func(a directory.App) bool { return a.ID == model && !a.Hidden })
		if !known && model != "" {
			return fault.New(fault.Invalid, "authenticator-unknown").In("authenticator")
		}
		if st.flow.Choice != model {
			st.flow.Choice, st.flow.Open = model, authn.Question{}
		}
		if err := s.ask(ctx, tx, c, &st); err != nil {
			return err
		}
		return s.save(tx, &st.flow)
	})
	if err != nil {
		return View{}, err
	}
	return s.view(ctx, st)
}

// Abandon voids a flow: "not you?", or a change of mind. It is no error when the flow is over already.
func (s *Service) Abandon(ctx context.Context, c Caller, id string) error {
	err := s.Store.Write(ctx, func(tx Tx) error {
		f, err := s.own(tx, c, id, s.Clock())
		if err != nil {
			return err
		}
		f.State = authn.FlowVoid
		if err := tx.UpdateFlow(f); err != nil {
			return err
		}
		if f.Person == "" {
			return nil
		}
		return tx.Audit(s.event(c, f, "flow.voided", audit.Event{Reason: "left"}))
	})
	if fault.Of(err, fault.Expired) {
		return nil
	}
	return err
}

// event fills what every event of a flow shares.
func (s *Service) event(c Caller, f authn.Flow, kind string, e audit.Event) audit.Event {
	e.Realm, e.At, e.Type, e.Flow = f.Realm, f.Now, kind, f.ID
	e.Network, e.Browser = c.Network, c.Agent
	if e.Person == "" {
		e.Person = f.Person
	}
	if e.Actor == "" {
		e.Actor = e.Person
	}
	if e.Actor == "" {
		e.Actor = "anonymous"
	}
	return e
}
