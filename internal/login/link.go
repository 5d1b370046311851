package login

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/onetime"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/mail"
	"doorward/internal/secret"
)

// Links lead to flows. The rules:
//
//   - Looking at a link changes nothing, however often and by whom (mail scanners open links, run scripts and even post
//     forms: SEC A-1). The first Follow starts the flow; any later one leads back to the same flow, on another device
//     too; the last step of the flow spends the link.
//   - A newer link of the same kind voids the older ones, and with them what their flows could lead to (SEC A-2).
//   - A link proves a mailbox and nothing else. What it may lead to is the policy's business.

// Purposes of links; a secret made for one never opens another (SEC O-15).
const (
	SetUp    = "set-up"
	Password = "password"
	Recover  = "recovery" // an approved request
)

// kinds of links by purpose.
var linkKinds = map[string]authn.Kind{SetUp: authn.Invite, Password: authn.Mail, Recover: authn.Mail}

// Link is what a page may show about a link before anything happens.
type Link struct {
	Realm   *Realm
	Purpose string
	Person  directory.Person
	Inviter string // name of who invited, empty when it was the command line
	Expires time.Time
	Resumes bool      // set-up has begun and goes on where it was left
	From    time.Time // until then the request that it is for waits; zero for one that is due
}

// Peek looks at a link without changing anything. Errors: fault.NotFound "link-unknown", fault.Expired "link-expired",
// "link-voided", "link-used"; with the last three the Link is filled, so that a page can offer a new one.
func (s *Service) Peek(ctx context.Context, c Caller, purpose, token string) (Link, error) {
	var l Link
	err := s.Store.Read(ctx, func(tx Tx) error {
		ot, p, verdict, err := s.link(ctx, tx, c.Realm, purpose, token)
		if err != nil {
			return err
		}
		realm, err := s.Realms.Realm(c.Realm)
		if err != nil {
			return err
		}
		l = Link{Realm: realm, Purpose: purpose, Person: p, Expires: ot.Expires, Resumes: ot.Flow != ""}
		if purpose == Recover {
			live, err := tx.HelpRequestsLive(ot.Realm, p.ID)
			if err != nil {
				return err
			}
			for _, r := range live {
				if r.State == helpdesk.Approved && s.Clock().Before(r.From) {
					l.From = r.From
				}
			}
		}
		if ot.By != "" {
			if by, err := tx.Person(ot.Realm, ot.By); err == nil {
				l.Inviter = by.Name
			}
		}
		return verdict
	})
	return l, err
}

// link finds a link and lets its method judge it. verdict is the method's, err is ours.
func (s *Service) link(ctx context.Context, tx Tx, realm, purpose, token string) (ot authn.OneTime, p directory.Person, verdict, err error) {
	unknown := fault.New(fault.NotFound, "link-unknown")
	kind, ok := linkKinds[purpose]
	if !ok {
		return ot, p, nil, unknown
	}
	m := s.methods[kind].(authn.Identifier)
	answer := authn.Answer{Kind: kind, Text: token, Model: purpose}
	_, plain, err := m.Identify(answer)
	if err != nil {
		return ot, p, nil, unknown
	}
	ot, err = tx.OneTimeByHash(kind, s.linkHash(kind, purpose, secret.Text(plain)))
	if fault.Of(err, fault.NotFound) || err == nil && ot.Realm != realm {
		return ot, p, nil, unknown
	}
	if err != nil {
		return ot, p, nil, err
	}
	if p, err = tx.Person(realm, ot.Person); err != nil {
		return ot, p, nil, unknown
	}
	data, err := json.Marshal(ot)
	if err != nil {
		return ot, p, nil, err
	}
	stored := []authn.Credential{{ID: ot.ID, Realm: realm, Person: ot.Person, Kind: kind, State: authn.Active, Data: data}}
	_, verdict = m.Verify(ctx, authn.Flow{Realm: realm, Now: s.Clock()}, stored, answer)
	if f := fault.As(verdict); f != nil && errors.Is(verdict, authn.ErrRejected) {
		code := f.Code
		if kind == authn.Invite && p.EverActive() {
			code = "link-used" // closed by what it was for, however that was finished: no newer one is to be looked for
		}
		verdict = fault.New(fault.Expired, code)
	}
	return ot, p, verdict, nil
}

func (s *Service) linkHash(kind authn.Kind, purpose string, plain secret.Text) []byte {
	return s.Ring.Hash("onetime:"+string(kind)+":"+purpose, string(plain))
}

// Follow is the first submit behind a link: it starts the flow or leads back to it, and moves it to this browser.
// Errors as Peek, and fault.Throttled "too-many-links".
func (s *Service) Follow(ctx context.Context, c Caller, purpose, token string) (View, error) {
	if _, err := s.Realms.Realm(c.Realm); err != nil {
		return View{}, err
	}
	now := s.Clock()
	browser, isNew := s.browserOf(c)
	if err := s.Store.Write(ctx, func(tx Tx) error {
		return following(c).Take(tx, now)
	}); err != nil {
		return View{}, s.tripped(ctx, c, err, now, audit.Event{})
	}
	var st standing
	enter := func(tx Tx) error {
		ot, p, verdict, err := s.link(ctx, tx, c.Realm, purpose, token)
		if err = errors.Join(err, verdict); err != nil {
			return err
		}
		f, resumed, err := s.lead(tx, c, ot, p, now)
		if err != nil {
			return err
		}
		f.Browser = s.browserHash(browser)
		if st, err = s.stand(tx, f); err != nil {
			return err
		}
		if err := s.ask(ctx, tx, c, &st); err != nil {
			return err
		}
		if resumed {
			if err := s.save(tx, &st.flow); err != nil {
				return err
			}
			return tx.Audit(s.event(c, st.flow, "flow.resumed", audit.Event{Data: map[string]string{"purpose": purpose}}))
		}
		if err := tx.AddFlow(st.flow); err != nil {
			return err
		}
		if err := tx.LeadOneTime(ot.ID, ot.Flow, f.ID); err != nil {
			return err
		}
		return tx.Audit(s.event(c, st.flow, "flow.started", audit.Event{Data: map[string]string{"purpose": purpose}}))
	}
	err := s.Store.Write(ctx, enter)
	for range 3 { // somebody with the same link was faster: theirs is the flow, lead back to it
		if !fault.Of(err, fault.Conflict) {
			break
		}
		err = s.Store.Write(ctx, enter)
	}
	if err != nil {
		if f := fault.As(err); f != nil {
			return View{}, f
		}
		return View{}, err
	}
	v, err := s.view(ctx, st)
	if isNew {
		v.Browser = browser
	}
	return v, err
}

// lead finds the flow a link leads to, or makes it.
func (s *Service) lead(tx Tx, c Caller, ot authn.OneTime, p directory.Person, now time.Time) (f authn.Flow, resumed bool, err error) {
	if ot.Flow != "" {
		f, err = tx.Flow(ot.Realm, ot.Flow)
		if err != nil && !fault.Of(err, fault.NotFound) {
			return f, false, err
		}
		if err == nil && f.State == authn.FlowOpen && now.Before(f.Expires) {
			f.Now, f.Open = now, authn.Question{} // a seed shown on the other device is not shown again
			f.Evidence = moved(f.Evidence, ot, now)
			return f, true, nil
		}
	}
	f = authn.Flow{
		ID: newID(), Realm: ot.Realm, Person: p.ID, Address: p.Address, OneTime: ot.ID, Language: c.Language,
		Evidence: []authn.Evidence{{Kind: ot.Kind, Credential: ot.ID, At: now}},
		State:    authn.FlowOpen, Created: now, Expires: ot.Expires, Now: now, Return: cmp.Or(ot.Return, c.Return),
	}
	if ot.Purpose == Password {
		f.Goal = authn.Goal{Bind: authn.Password, Way: authn.ByReplace}
	}
	return f, false, nil
}

// moved is what a flow keeps when its link is followed again. Whoever has the mailbox can do that, so nothing that was
// proven before may carry them on: else a thief would wait until the owner has shown their second factor and take the
// flow over. What was bound stays bound; lastMove says from when on it counts towards admission.
func moved(evidence []authn.Evidence, ot authn.OneTime, now time.Time) []authn.Evidence {
	kept := []authn.Evidence{{Kind: ot.Kind, Credential: ot.ID, At: now}}
	for _, e := range evidence {
		if e.Bound {
			kept = append(kept, e)
		}
	}
	return kept
}

// lastMove is when a flow came to its browser by a link; zero for a flow that began there.
func lastMove(evidence []authn.Evidence) (at time.Time) {
	for _, e := range evidence {
		if info, _ := authn.Info(e.Kind); !info.Held && info.Identifies && e.At.After(at) {
			at = e.At
		}
	}
	return at
}

// Forgot sends a link to set a new password, if there is anybody to send it to. Its answer is always nil unless the
// address cannot be one or the caller's network asks too often; it takes the same writes either way. A person who was
// never active gets their invitation again instead, unless they are in the middle of their set-up.
func (s *Service) Forgot(ctx context.Context, c Caller, typed string) error {
	now := s.Clock()
	address, err := directory.Canonical(typed)
	if err != nil {
		return fault.New(fault.Invalid, "address-invalid").In("address").Because(err)
	}
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return err
	}
	err = s.insist(ctx, func(tx Tx) error {
		if err := mailing(c).Take(tx, now); err != nil {
			return err
		}
		quiet, err := s.overLimit(tx, "forgot:"+realm.ID+":"+s.addressKey(address), 3, time.Hour, now)
		if err != nil {
			return err
		}
		p, err := tx.PersonByAddress(realm.ID, address)
		if err != nil && !fault.Of(err, fault.NotFound) {
			return err
		}
		if err == nil && !p.EverActive() && !quiet {
			if quiet, err = underWay(tx, p, now); err != nil {
				return err
			}
		}
		if err != nil || quiet || p.State.Shut() || !p.EverActive() && !realm.Invites(p.Role) {
			p = directory.Person{Realm: realm.ID, Language: realm.Languages[0]} // nobody: a decoy goes the same way
		}
		if p.ID != "" && !p.EverActive() {
			return Invite(tx, s.Ring, realm.Realm, p, Invitation{Now: now, Network: c.Network, Agent: c.Agent, Actor: p.ID, Return: c.Return})
		}
		ot, token := onetime.Make(authn.Mail, Password)
		ot.ID, ot.Realm, ot.Person, ot.Created, ot.Expires = newID(), realm.ID, p.ID, now, now.Add(ResetLife)
		ot.Hash = s.linkHash(authn.Mail, Password, token)
		return sendLink(tx, realm.Realm, p, ot, token, "password-reset", map[string]string{
			"network": c.Network, "browser": c.Agent,
		}, audit.Event{Type: "password.reset-asked", Actor: "anonymous", Network: c.Network, Browser: c.Agent})
	})
	return s.tripped(ctx, c, err, now, audit.Event{})
}

// sendLink voids older links of the kind and purpose, stores the new one, writes the mail and the event. A flow behind an older link
// ends at its last step, which cannot spend the link any more. Whoever shuts the person out changes their row first and voids
// their links then: one of the two sees the other (fault.Conflict "stale"), and no link outlives it.
func sendLink(tx Tx, r directory.Realm, p directory.Person, ot authn.OneTime, token secret.Text, template string, args map[string]string, e audit.Event) error {
	now := ot.Created
	if err := tx.HoldPerson(p); err != nil {
		return err
	}
	if _, err := tx.VoidOneTimes(r.ID, p.ID, ot.Kind, ot.Purpose, now); err != nil {
		return err
	}
	if err := tx.AddOneTime(ot); err != nil {
		return err
	}
	args["link"] = r.Origin + "/link/" + ot.Purpose + "/" + string(token)
	args["code"] = onetime.Spell(token)
	args["expires"] = ot.Expires.UTC().Format(time.RFC3339)
	m := mail.Message{
		ID: newID(), Realm: r.ID, Person: p.ID, To: p.Address, Template: template, Language: p.Language, Args: args,
		State: mail.Waiting, Created: now, Due: now,
	}
	if err := tx.Enqueue(m); err != nil {
		return err
	}
	e.Realm, e.At, e.Person, e.Organization = r.ID, now, p.ID, p.Organization
	return tx.Audit(e)
}
