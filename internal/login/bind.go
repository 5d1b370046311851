package login

import (
	"maps"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/mail"
)

// bound stores a new credential. The old one of the kind ends only now, when the new one is confirmed (DESIGN R6):
//
//   - a password always replaces the password before it, and recovery codes all codes before them;
//   - a replacement (something was lost, or a reset was granted) ends all of the kind;
//   - a change names the one credential it replaces;
//   - a spare ends nothing.
//
// Whoever was active before is told by mail; where something ended, every other session of theirs ends and other
// browsers are no longer known (SEC K-5, REQ B54).
func (p *proving) bound(tx Tx) error {
	f := &p.st.flow
	kind := p.a.Kind
	c := p.shown.Credential
	if kind == authn.Cert { // it stands in a row of its own, and so does the old one
		f.Evidence, f.Wrong = append(f.Evidence, authn.Evidence{Kind: kind, Credential: c.ID, At: p.now, Bound: true}), 0
		return movedOn(p.s.Certificates.Confirmed(tx, Rise{Caller: p.c, Realm: p.st.realm, Person: p.st.person, Flow: *f}, c))
	}
	c.ID, c.Realm, c.Person, c.Kind, c.State = newID(), f.Realm, f.Person, kind, authn.Active
	c.Created, c.Ended, c.Version = p.now, time.Time{}, 0
	if c.Model = ""; kind != authn.Password {
		c.Model = f.Choice // one of the realm's, see Choose; what the answer says is anything
	}
	ended := 0
	for _, old := range p.st.creds {
		if old.Kind != kind || !p.ends(old) {
			continue
		}
		old.State, old.Ended = authn.Ended, p.now
		if err := tx.UpdateCredential(old); err != nil {
			return movedOn(err)
		}
		ended++
		if err := tx.Audit(p.s.event(p.c, *f, "credential.ended", audit.Event{
			Organization: p.st.person.Organization, Reason: "replaced",
			Data: map[string]string{"kind": string(kind), "name": old.Name, "credential": old.ID},
		})); err != nil {
			return err
		}
	}
	if err := tx.AddCredential(c); fault.Of(err, fault.Exists) {
		return errMoved // the first of its kind, made in another tab at the same time: that one ends, look again
	} else if err != nil {
		return err
	}
	if grant := p.st.step.BehindOf(kind).Grant; grant != "" {
		if err := p.use(tx, grant, kind); err != nil {
			return err
		}
	}
	f.Evidence = append(f.Evidence, authn.Evidence{Kind: kind, Credential: c.ID, At: p.now, Bound: true})
	f.Open, f.Wrong, f.Choice = authn.Question{}, 0, ""
	if err := tx.Audit(p.s.event(p.c, *f, "credential.enrolled", audit.Event{
		Organization: p.st.person.Organization,
		Data:         map[string]string{"kind": string(kind), "name": c.Name, "credential": c.ID, "model": c.Model},
	})); err != nil {
		return err
	}
	if !p.st.person.EverActive() {
		return nil // set-up: the owner is looking at it
	}
	if ended > 0 && kind != authn.Recovery { // a new sheet changes nothing about who is signed in
		if _, err := tx.EndSessions(f.Realm, f.Person, f.Session, "factor-changed", p.now); err != nil {
			return err
		}
		if _, err := tx.ForgetDevices(f.Realm, f.Person, p.device); err != nil {
			return err
		}
		tx.Bump()
	}
	return tx.Enqueue(p.notice(c, ended > 0))
}

// ends says whether an older credential of the same kind ends with the new one.
func (p *proving) ends(old authn.Credential) bool {
	if old.Kind == authn.Password || old.Kind == authn.Recovery || p.st.step.BehindOf(old.Kind).Way == authn.ByReplace {
		return true
	}
	return p.st.flow.Goal.Replaces == old.ID
}

// notice is the mail about a changed account (SEC H-7).
func (p *proving) notice(c authn.Credential, replaced bool) mail.Message {
	template := "factor-added"
	switch {
	case c.Kind == authn.Password:
		template = "password-changed"
	case c.Kind == authn.Recovery:
		template = "recovery-made"
		p.s.Count("recovery_code", "what", "made", "left", "all")
	case replaced:
		template = "factor-replaced"
	}
	return p.s.message(p.st, template, p.c, map[string]string{"factor": c.Name, "kind": string(c.Kind)})
}

// message is a mail to the person of a standing about their own account.
func (s *Service) message(st standing, template string, c Caller, args map[string]string) mail.Message {
	return Notice(st.realm.Realm, st.person, st.person, template, st.flow.Now, c.Network, c.Agent, args)
}

// Notice is a mail to a person about an account: who did it, when and where, and where to say "this was not me".
func Notice(r directory.Realm, to, by directory.Person, template string, now time.Time, network, agent string, args map[string]string) mail.Message {
	all := map[string]string{
		"who": by.Name, "at": now.UTC().Format(time.RFC3339), "network": network, "browser": agent,
		"not_me": r.Origin + "/not-me",
	}
	maps.Copy(all, args)
	return mail.Message{
		ID: newID(), Realm: r.ID, Person: to.ID, To: to.Address, Template: template, Language: to.Language, Args: all,
		State: mail.Waiting, Created: now, Due: now,
	}
}

var errMoved = fault.New(fault.Conflict, "stale")

func movedOn(err error) error {
	if err != nil {
		return errMoved
	}
	return nil
}
