package login

import (
	"context"
	"slices"
	"strconv"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
)

// Recovery codes (SEC H-4). A code is evidence like any other and enters through Prove; what it opens is the engine's
// business: it replaces a factor and never lets anybody in.

// Lose turns a sign-in into the way back of a person who cannot show what it asks for and has recovery codes: its goal
// becomes to bind that kind anew. What was shown counts as before. found turns it back, as long as no code was shown.
//
// Errors: fault.Expired "flow-over"; fault.Conflict "not-expected" where the flow is of a link or asks for something else,
// and "no-recovery-codes" where no code would help.
func (s *Service) Lose(ctx context.Context, c Caller, id string, found bool) (View, error) {
	var st standing
	err := s.Store.Write(ctx, func(tx Tx) error {
		f, err := s.own(tx, c, id, s.Clock())
		if err != nil {
			return err
		}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		lost := st.lost()
		switch {
		case f.OneTime != "" || f.Person == "" || f.Goal.Way == authn.ByEnrol || f.Goal.Admit() == found,
			found && !st.step.Accepts(authn.ActProve, authn.Recovery), !found && lost == "":
			return fault.New(fault.Conflict, "not-expected")
		case found:
			f.Goal.Bind, f.Goal.Way = "", ""
		default:
			f.Goal.Bind, f.Goal.Way = lost, authn.ByReplace
		}
		f.Open = authn.Question{}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		if !found && !(st.step.Act == authn.ActProve && st.step.Offers(authn.Recovery)) {
			return fault.New(fault.Conflict, "no-recovery-codes")
		}
		return s.save(tx, &st.flow)
	})
	if err != nil {
		return View{}, err
	}
	return s.view(ctx, st)
}

// lost is the first kind that a person had and that the step asks for, or that is suspended where this is why nothing
// goes on; empty for none.
func (st standing) lost() authn.Kind {
	kinds := slices.Clone(st.step.Kinds)
	for _, c := range st.creds {
		if st.step.Reason == authn.FactorSuspended && c.State == authn.Suspended {
			kinds = append(kinds, c.Kind)
		}
	}
	for _, k := range kinds {
		if info, _ := authn.Info(k); info.Held && info.Categories&authn.Possession != 0 {
			return k
		}
	}
	return ""
}

// spentCode tells the owner at once that one of their codes was used: whoever holds the sheet cannot do it in silence.
func (p *proving) spentCode(tx Tx) error {
	data := map[string]string{"left": strconv.Itoa(p.shown.Left)}
	p.s.Count("recovery_code", "what", "used", "left", data["left"])
	if err := tx.Enqueue(p.s.message(p.st, "recovery-used", p.c, data)); err != nil {
		return err
	}
	return tx.Audit(p.s.event(p.c, p.st.flow, "recovery.used", audit.Event{Organization: p.st.person.Organization, Data: data}))
}

// bereft reports whether a flow is where somebody stands who is signed in, lost what they have and has nothing else left:
// they have shown their password lately, and only an approval, or a recovery code, would help (helpdesk, Q9).
func (st standing) bereft() bool {
	f := st.flow
	info, _ := authn.Info(f.Goal.Bind)
	if f.Session == "" || f.Goal.Way != authn.ByReplace || info.Categories != authn.Possession || st.step.Reason != authn.NeedsGrant {
		return false
	}
	if st.step.Act != authn.ActStuck && !st.step.Offers(authn.Recovery) {
		return false
	}
	return slices.ContainsFunc(f.Evidence, func(e authn.Evidence) bool {
		age := f.Now.Sub(e.At)
		return e.Kind == authn.Password && !e.Bound && age <= FreshLife && age >= -skew &&
			slices.ContainsFunc(st.creds, func(c authn.Credential) bool { return c.ID == e.Credential && c.State == authn.Active })
	})
}

// Bereft is who stands in a flow with nothing left, and what they lost. The session that the flow rose from lives, and was
// opened by a complete sign-in. Errors: fault.Expired "flow-over", "session-over"; fault.Conflict "not-expected".
func (s *Service) Bereft(ctx context.Context, c Caller, id string) (Signed, authn.Kind, error) {
	var st standing
	err := s.Store.Read(ctx, func(tx Tx) error {
		f, err := s.own(tx, c, id, s.Clock())
		if err != nil {
			return err
		}
		st, err = s.stand(tx, f)
		return err
	})
	if err != nil {
		return Signed{}, "", err
	}
	if !st.bereft() {
		return Signed{}, "", fault.New(fault.Conflict, "not-expected")
	}
	signed, err := s.Vouch(ctx, c.Realm, st.flow.Session)
	if err == nil && slices.ContainsFunc(signed.Session.Evidence, func(e authn.Evidence) bool { return e.Bound }) {
		err = fault.New(fault.Conflict, "not-expected")
	}
	return signed, st.flow.Goal.Bind, err
}

// disproved stops a person's own request (helpdesk, Q10): what it said was lost has just been shown.
func (s *Service) disproved(tx Tx, st standing, r helpdesk.Request) (bool, error) {
	shown := func(e authn.Evidence) bool {
		return !e.Bound && !e.At.Before(r.Created) && slices.Contains(r.Kinds, e.Kind)
	}
	if !r.Alone() || !slices.ContainsFunc(st.flow.Evidence, shown) {
		return false, nil
	}
	finish(&r, st.person.ID, "found", st.flow.Now)
	r.State = helpdesk.Cancelled
	if err := tx.UpdateHelpRequest(r); err != nil {
		return true, err
	}
	if _, err := tx.VoidOneTimes(r.Realm, r.Person, authn.Mail, Recover, st.flow.Now); err != nil {
		return true, err
	}
	c := Caller{}
	if err := tx.Enqueue(s.message(st, "request-cancelled", c, map[string]string{"number": r.Number})); err != nil {
		return true, err
	}
	return true, tx.Audit(s.event(c, st.flow, "request.cancelled", audit.Event{
		Organization: st.person.Organization, Reason: "found", Data: map[string]string{"request": r.ID, "number": r.Number},
	}))
}
