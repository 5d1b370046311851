package login

import (
	"context"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
)

// Later puts off what a roll-out in grace asks for, and lets the person in as its policy before does. It is counted, so
// that staff see who never gets to it. It fails with fault.Conflict "not-expected" where the step cannot be put off:
// before the old policy is satisfied, and from the end of grace on, whatever the page before said.
func (s *Service) Later(ctx context.Context, c Caller, id string) (View, error) {
	var st standing
	var v View
	err := s.Store.Write(ctx, func(tx Tx) error {
		v = View{}
		f, err := s.own(tx, c, id, s.Clock())
		if err != nil {
			return err
		}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		if !st.step.Later {
			return fault.New(fault.Conflict, "not-expected")
		}
		for _, d := range st.dues() {
			if err := tx.AddDelay(f.Realm, d.Rollout.ID, f.Person, st.flow.Now); err != nil {
				return err
			}
			if err := tx.Audit(s.event(c, f, "rollout.put-off", audit.Event{
				Organization: st.person.Organization, Data: map[string]string{"rollout": d.Rollout.ID, "until": d.Until.Format("2006-01-02")},
			})); err != nil {
				return err
			}
			s.Count("rollout", "what", "put-off")
		}
		f.Later, f.Open = true, authn.Question{}
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		v.Minted, v.Finished, v.Browser, err = s.arrive(ctx, tx, c, &st)
		return err
	})
	if err != nil {
		return View{}, err
	}
	shown, err := s.view(ctx, st)
	shown.Minted, shown.Finished, shown.Browser = v.Minted, v.Finished, v.Browser
	return shown, err
}

// dues are the roll-outs whose grace runs for the flow's person.
func (st standing) dues() (grace []directory.Due) {
	for _, d := range st.realm.Dues(st.org) {
		if d.Grace(st.flow.Now) {
			grace = append(grace, d)
		}
	}
	return grace
}
