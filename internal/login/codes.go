package login

import (
	"context"
	"strconv"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/fault"
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
		step := st.step
		lost := wantsHad(step)
		switch {
		case f.OneTime != "" || f.Person == "" || f.Goal.Way == authn.ByEnrol || f.Goal.Admit() == found || step.Act != authn.ActProve:
			return fault.New(fault.Conflict, "not-expected")
		case found && !step.Offers(authn.Recovery), !found && lost == "":
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

// wantsHad is the first kind that a step asks for which is something had; empty for none.
func wantsHad(step authn.Step) authn.Kind {
	for _, k := range step.Kinds {
		if info, _ := authn.Info(k); info.Held && info.Categories&authn.Possession != 0 {
			return k
		}
	}
	return ""
}

// spentCode tells the owner at once that one of their codes was used: whoever holds the sheet cannot do it in silence.
func (p *proving) spentCode(tx Tx) error {
	data := map[string]string{"left": strconv.Itoa(p.shown.Left)}
	if err := tx.Enqueue(p.s.message(p.st, "recovery-used", p.c, data)); err != nil {
		return err
	}
	return tx.Audit(p.s.event(p.c, p.st.flow, "recovery.used", audit.Event{Organization: p.st.person.Organization, Data: data}))
}
