package admin

import (
	"context"
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
)

// Alone opens a request that nobody approves, for whoever is signed in, has shown their password once more and lost what
// they have (helpdesk, Q9 to Q11; login.Bereft says that they stand there). It becomes a grant when the mailbox confirms it.
//
// Errors: fault.Forbidden "alone-closed"; fault.Exists "request-open" with the number; fault.Conflict "request-no-way",
// "person-shut"; fault.Throttled "too-many-requests".
func (s *Requests) Alone(ctx context.Context, by login.By, kind authn.Kind) (r helpdesk.Request, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx RequestTx) error {
		p, err := tx.Person(by.Person.Realm, by.Person.ID)
		if err != nil {
			return err
		}
		if p.State.Shut() {
			return fault.New(fault.Conflict, "person-shut")
		}
		if err := s.clear(tx, p, now); err != nil {
			return err
		}
		if err := s.pace(tx, p, now); err != nil {
			return err
		}
		r = helpdesk.Request{
			ID: newID(), Realm: p.Realm, Number: newNumber(), Person: p.ID, Organization: p.Organization, Address: p.Address, Why: helpdesk.FactorLost,
			Kinds: []authn.Kind{kind}, Channel: helpdesk.Unaided, Opener: p.ID, Asked: 1, State: helpdesk.Open, Created: now,
		}
		if err := s.mayAlone(tx, by.Realm, r, p, now); err != nil {
			return err
		}
		if err := tx.AddHelpRequest(r); fault.Of(err, fault.Exists) {
			return s.taken(tx, p)
		} else if err != nil {
			return err
		}
		s.count("asked", r)
		if err := tx.Audit(by.Event(now, "request.asked", "alone", facts(r))); err != nil {
			return err
		}
		return tx.Enqueue(by.Notice(now, "request-alone", map[string]string{
			"number": r.Number, "link": by.Realm.Origin + "/requests/confirm/" + helpdesk.ConfirmToken(s.Ring, r),
			"cancel": by.Realm.Origin + "/requests/stop/" + helpdesk.StopToken(s.Ring, r),
		}))
	})
	return r, err
}

// mayAlone gathers what helpdesk.MayAlone decides from.
func (s *Requests) mayAlone(tx RequestTx, realm *login.Realm, r helpdesk.Request, p directory.Person, now time.Time) error {
	c := helpdesk.Case{Target: p, Kinds: r.Kinds}
	var err error
	if c.Policy, c.Remains, err = s.policy(tx, realm, p, r.Kinds, false); err != nil {
		return err
	}
	all, err := tx.HelpRequestsOf(p.Realm, p.ID, lastFew)
	if err != nil {
		return err
	}
	earlier := slices.DeleteFunc(all, func(e helpdesk.Request) bool { return e.ID == r.ID })
	c.Failed, c.Refused = helpdesk.Suspect(earlier, now)
	c.Both, c.Again = helpdesk.Both(r.Kinds, false, earlier, now), helpdesk.Again(earlier, now)
	creds, err := tx.Credentials(p.Realm, p.ID)
	if err != nil {
		return err
	}
	var password time.Time
	for _, k := range creds {
		if k.Kind == authn.Password && k.State == authn.Active {
			password = k.Created
		}
	}
	return helpdesk.MayAlone(c, password, now)
}

// PeekAlone looks at the link that confirms a request without changing anything. Errors: fault.NotFound "link-unknown",
// fault.Expired "help-over"; with the latter Stopping is filled.
func (s *Requests) PeekAlone(ctx context.Context, realm, token string) (st Stopping, err error) {
	err = s.Store.Read(ctx, func(tx RequestTx) error {
		st, err = s.confirming(tx, realm, token)
		return err
	})
	return st, err
}

func (s *Requests) confirming(tx RequestTx, realm, token string) (st Stopping, err error) {
	if st, err = s.behind(tx, realm, token, helpdesk.ConfirmToken); err != nil {
		return st, err
	}
	if st.Request.Channel != helpdesk.Unaided {
		return st, fault.New(fault.NotFound, "link-unknown")
	}
	if !st.Request.Alone() || st.Request.Over(s.Clock()) || st.Person.State.Shut() {
		return st, fault.New(fault.Expired, "help-over")
	}
	return st, nil
}

// ConfirmAlone is the round trip: the request becomes a grant that opens after helpdesk.AloneCooling, and everybody who looks
// after the person is told, with a link that stops it. Confirming it again changes nothing.
//
// Errors: those of PeekAlone and of helpdesk.MayAlone, looked at once more; fault.Conflict "stale".
func (s *Requests) ConfirmAlone(ctx context.Context, c login.Caller, token string) (st Stopping, err error) {
	now := s.Clock()
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return st, err
	}
	err = insist(func() error {
		return s.Store.Write(ctx, func(tx RequestTx) error {
			if st, err = s.confirming(tx, c.Realm, token); err != nil || st.Request.State == helpdesk.Approved {
				return err
			}
			r, p := &st.Request, st.Person
			if err := s.mayAlone(tx, realm, *r, p, now); err != nil {
				return err
			}
			r.State, r.From = helpdesk.Approved, now.Add(helpdesk.AloneCooling)
			r.Until = r.From.Add(helpdesk.GrantFor)
			if err := s.update(tx, r); err != nil {
				return err
			}
			s.count("confirmed", *r)
			data := facts(*r)
			data["from"], data["until"] = r.From.UTC().Format(time.RFC3339), r.Until.UTC().Format(time.RFC3339)
			by := holder(realm, p, c)
			if err := tx.Audit(audit.Event{
				Realm: p.Realm, At: now, Type: "request.confirmed", Actor: p.ID, Person: p.ID, Organization: p.Organization,
				Network: c.Network, Browser: c.Agent, Data: data,
			}); err != nil {
				return err
			}
			if err := login.SendRecovery(tx, s.Ring, realm.Realm, p, login.Recovery{
				Request: *r, Now: now, Actor: p.ID, By: p.Name, Network: c.Network, Agent: c.Agent,
			}); err != nil {
				return err
			}
			return s.tell(tx, by, p, "request-approved", *r, now)
		})
	})
	return st, err
}
