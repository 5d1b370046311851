package login

import (
	"context"
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/onetime"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/secret"
)

// What approved requests open (DESIGN R5, R6). A grant deletes nothing: it lets its person enrol, behind what the policy
// asks for. It is read anew at every step, so that cancelling it, or disabling who approved it, counts at once; and
// whoever uses it moves its version in the same transaction, so that a use and a cancellation never both succeed.

// grants are the approved requests about a person, as the engine sees them.
func grants(tx Tx, p directory.Person) ([]authn.Grant, error) {
	if !p.EverActive() {
		return nil, nil // the first set-up needs none, and nothing may shorten it
	}
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	if err != nil {
		return nil, err
	}
	var out []authn.Grant
	for _, r := range live {
		people, err := Approvers(tx, r)
		if err != nil {
			return nil, err
		}
		if g, ok := r.Grant(p, people); ok {
			out = append(out, g)
		}
	}
	return out, nil
}

// helped is the live request that tells a person why they are stuck and how long: the newest. There is none where nobody
// knows yet that they need help.
func helped(tx Tx, p directory.Person) (r helpdesk.Request, err error) {
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	for _, one := range live {
		if r.ID == "" || one.Created.After(r.Created) {
			r = one
		}
	}
	return r, err
}

// Approvers are those who said yes to a request, as they are now. Who is gone, or whose organization is shut, is left out.
func Approvers(tx Tx, r helpdesk.Request) (people []directory.Person, err error) {
	for _, a := range r.Approvals {
		p, err := tx.Person(r.Realm, a.By)
		if fault.Of(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		org, err := tx.Organization(r.Realm, p.Organization)
		if err != nil {
			return nil, err
		}
		if !disabled(p, org) {
			people = append(people, p)
		}
	}
	return people, nil
}

// use notes that a grant let a kind be bound. It fails with errMoved where the request changed since the step was
// computed: the step is computed again then, and finds what became of it.
func (p *proving) use(tx Tx, grant string, kind authn.Kind) error {
	r, err := tx.HelpRequest(p.st.flow.Realm, grant)
	if err != nil {
		return movedOn(err)
	}
	people, err := Approvers(tx, r)
	if err != nil {
		return err
	}
	g, ok := r.Grant(p.st.person, people)
	if !ok || p.now.Before(g.From) || !p.now.Before(g.Until) {
		return errMoved
	}
	if !r.Everything && !slices.ContainsFunc(r.Kinds, func(k authn.Kind) bool { return k != kind && !p.rebound(k, g.From) }) {
		finish(&r, p.st.person.ID, "used", p.now)
	}
	if err := tx.UpdateHelpRequest(r); err != nil {
		return movedOn(err)
	}
	return tx.Audit(p.s.event(p.c, p.st.flow, "request.used", audit.Event{
		Organization: p.st.person.Organization, Data: map[string]string{"request": r.ID, "number": r.Number, "kind": string(kind)},
	}))
}

// rebound reports whether a credential of the kind was bound since a time.
func (p *proving) rebound(k authn.Kind, since time.Time) bool {
	return slices.ContainsFunc(p.st.creds, func(c authn.Credential) bool {
		return c.Kind == k && c.State == authn.Active && !c.Created.Before(since)
	})
}

func finish(r *helpdesk.Request, by, why string, now time.Time) {
	r.State, r.Closed, r.ClosedBy, r.ClosedWhy = helpdesk.Done, now, by, why
}

// settle closes what a complete sign-in has made pointless: the person is in, so nothing that was granted for coming in
// may stay open behind them. A grant that cools off or waits for approval stays: they may have found what was lost for a
// day only, and its notices told them how to cancel it.
func (s *Service) settle(tx Tx, st standing) error {
	live, err := tx.HelpRequestsLive(st.person.Realm, st.person.ID)
	if err != nil {
		return err
	}
	for _, r := range live {
		if stopped, err := s.disproved(tx, st, r); err != nil {
			return err
		} else if stopped {
			continue
		}
		if r.State != helpdesk.Approved || !r.Everything || st.flow.Now.Before(r.From) {
			continue
		}
		if !slices.ContainsFunc(st.flow.Evidence, func(e authn.Evidence) bool { return e.Bound }) {
			continue
		}
		finish(&r, st.person.ID, "used", st.flow.Now)
		if err := tx.UpdateHelpRequest(r); err != nil {
			return err
		}
	}
	return nil
}

// Recovery is what a mail about an approved request says.
type Recovery struct {
	Request helpdesk.Request
	Now     time.Time
	Actor   string
	By      string // name of who approved
	Network string
	Agent   string
}

// SendRecovery sends the link that an approved request leads to: it proves the mailbox and nothing else, and what it may
// lead to is the engine's business (REQ B61, B62: it carries permission to enrol, never a login). It lives as long as the
// grant; a newer one voids the older.
func SendRecovery(tx Tx, ring *secret.Ring, realm directory.Realm, p directory.Person, in Recovery) error {
	ot, token := onetime.Make(authn.Mail, Recover)
	ot.ID, ot.Realm, ot.Person, ot.Created, ot.Expires = newID(), realm.ID, p.ID, in.Now, in.Request.Until
	ot.Hash = ring.Hash("onetime:"+string(authn.Mail)+":"+Recover, token.Reveal())
	ot.By = in.Actor
	return sendLink(tx, realm, p, ot, token, "request-approved", map[string]string{
		"who": in.By, "at": in.Now.UTC().Format(time.RFC3339), "network": in.Network, "browser": in.Agent,
		"from": in.Request.From.UTC().Format(time.RFC3339), "number": in.Request.Number,
		"cancel": realm.Origin + "/requests/stop/" + helpdesk.StopToken(ring, in.Request),
	}, audit.Event{Type: "request.link-sent", Actor: in.Actor, Network: in.Network, Browser: in.Agent,
		Data: map[string]string{"request": in.Request.ID, "number": in.Request.Number, "by": in.By}})
}

// Remind sends the link of an approved request again to a person who signs in elsewhere than by it: their flow, of this
// browser, has shown what remains and asks for the mailbox now. At most three a day; beyond that it sends nothing and says
// nothing, since the first link works.
//
// Errors: fault.Expired "flow-over", fault.Conflict "not-expected", fault.Throttled "too-many-mails".
func (s *Service) Remind(ctx context.Context, c Caller, id string) error {
	now := s.Clock()
	err := s.insist(ctx, func(tx Tx) error {
		f, err := s.own(tx, c, id, now)
		if err != nil {
			return err
		}
		st, err := s.stand(tx, f)
		if err != nil {
			return err
		}
		if st.step.Act != authn.ActProve || !st.step.Offers(authn.Mail) {
			return fault.New(fault.Conflict, "not-expected")
		}
		if err := mailing(c).Take(tx, now); err != nil {
			return err
		}
		if over, err := s.overLimit(tx, "remind:"+st.person.ID, 3, 24*time.Hour, now); err != nil || over {
			return err
		}
		live, err := tx.HelpRequestsLive(st.person.Realm, st.person.ID)
		if err != nil {
			return err
		}
		for _, r := range live {
			if r.State != helpdesk.Approved || len(r.Approvals) == 0 && !r.Alone() || !now.Before(r.Until) {
				continue
			}
			name := st.person.Name
			if !r.Alone() {
				name = r.Approvals[len(r.Approvals)-1].Name
			}
			return SendRecovery(tx, s.Ring, st.realm.Realm, st.person, Recovery{
				Request: r, Now: now, Actor: st.person.ID, By: name, Network: c.Network, Agent: c.Agent,
			})
		}
		return nil
	})
	return s.tripped(ctx, c, err, now, audit.Event{})
}
