package login

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/mail"
	"doorward/internal/secret"
	"doorward/internal/session"
)

// mint is the only place that makes a session. It is called with a standing whose step is admit, inside the transaction
// that recorded the last evidence or duty, and checks once more that nothing forbids it.
func (s *Service) mint(tx Tx, c Caller, st standing) (*Minted, error) {
	if st.step.Act != authn.ActAdmit || !st.flow.Goal.Admit() || disabled(st.person, st.org) {
		return nil, fault.New(fault.Forbidden, "not-expected")
	}
	now, p := st.flow.Now, st.person
	cookie := secret.Text(secret.Token())
	limits := session.LimitsFor(st.realm.Session, p.Role.Staff() || p.Role == directory.Administrator)
	se := session.Session{
		ID: newID(), Realm: p.Realm, Person: p.ID, Hash: tokenHash(cookie), Evidence: standsOn(st),
		Created: now, Seen: now, Until: now.Add(limits.Absolute), Idle: limits.Idle, Network: c.Network, Browser: c.Agent,
	}
	m := &Minted{Cookie: cookie, Return: st.flow.Return, First: !p.EverActive()}
	if err := s.remember(tx, c, st, &se, m); err != nil {
		return nil, err
	}
	if err := s.place(tx, c, st, &se); err != nil {
		return nil, err
	}
	if s.Certificates != nil {
		if err := s.Certificates.Risen(tx, Rise{c, st.realm, p, st.flow, se}); err != nil {
			return nil, err
		}
	}
	if err := tx.SignedIn(p.Realm, p.ID, now); err != nil {
		return nil, err
	}
	m.Session = se
	data := map[string]string{"amr": strings.Join(session.AMR(se.Evidence), " ")}
	if st.excused {
		data["exempt"] = p.Exempt
		s.Count("exemption", "what", "used")
		e := s.event(c, st.flow, "exemption.used", audit.Event{Session: se.ID, Organization: p.Organization})
		if err := breakglass.Use(tx, p, now, e, func(to directory.Person, template string, args map[string]string) mail.Message {
			return Notice(st.realm.Realm, to, p, template, now, c.Network, c.Agent, args)
		}); err != nil {
			return nil, movedOn(err)
		}
	}
	if m.First {
		if err := s.welcome(tx, c, st); err != nil {
			return nil, err
		}
	}
	if err := s.settle(tx, st); err != nil {
		return nil, err
	}
	s.Count("signin", "result", "succeeded")
	return m, tx.Audit(s.event(c, st.flow, "signin.succeeded", audit.Event{
		Session: se.ID, Organization: p.Organization, Data: data,
	}))
}

// place stores a new session. A rise of the same person in the same browser renews the session it rose from: it keeps
// its id, by which relying parties know it, and gets another secret; the old one is dead (SEC S-2). Any other session of
// this browser ends.
func (s *Service) place(tx Tx, c Caller, st standing, se *session.Session) error {
	old := st.flow.Session
	if c.Session != "" {
		have, err := tx.SessionByHash(tokenHash(c.Session))
		if err := ignoreMissing(err); err != nil {
			return err
		}
		if old == "" && have.Realm == se.Realm && have.Person == se.Person && have.Live(st.flow.Now) {
			old = have.ID
		}
		if have.ID != old {
			if err := s.endCaller(tx, c, se.Realm, "renewed", st.flow.Now); err != nil {
				return err
			}
		}
	}
	if old == "" {
		return tx.AddSession(*se)
	}
	se.ID = old
	tx.Bump()
	return tx.RenewSession(*se)
}

// standsOn is the evidence a session keeps: what was proven and counted when it was made. Proofs that were too old by
// then, links, and credentials that have ended would claim more than was shown (SEC O-10). What was bound stays where the
// policy let it count, marked as such: it never opens what needs a sign-in.
func standsOn(st standing) []authn.Evidence {
	return slices.DeleteFunc(counted(st.flow).Evidence, func(e authn.Evidence) bool {
		live := func(c authn.Credential) bool { return c.ID == e.Credential && c.State == authn.Active }
		return e.Bound && st.fresh || !slices.ContainsFunc(st.creds, live)
	})
}

// remember marks the browser as one this person signs in with, and tells them about a new one.
func (s *Service) remember(tx Tx, c Caller, st standing, se *session.Session, m *Minted) error {
	now, p := st.flow.Now, st.person
	known, err := s.knownDevice(tx, c, p.ID)
	if err != nil {
		return err
	}
	if known != "" {
		se.Device = known
		return tx.TouchDevice(known, now)
	}
	m.Device = secret.Text(secret.Token())
	d := session.Device{ID: newID(), Realm: p.Realm, Person: p.ID, Hash: tokenHash(m.Device), Created: now, Seen: now}
	se.Device = d.ID
	if err := tx.AddDevice(d); err != nil {
		return err
	}
	if m.First {
		return nil
	}
	if err := tx.Audit(s.event(c, st.flow, "device.added", audit.Event{Organization: p.Organization})); err != nil {
		return err
	}
	return tx.Enqueue(s.message(st, "signin-new-device", c, nil))
}

// welcome ends a set-up: whoever invited learns when and where it was finished (SECURITY, the promise's small print).
func (s *Service) welcome(tx Tx, c Caller, st standing) error {
	f, p := st.flow, st.person
	data := map[string]string{}
	if err := tx.Audit(s.event(c, f, "setup.completed", audit.Event{Organization: p.Organization, Data: data})); err != nil {
		return err
	}
	// From now on the person's mailbox is not them any more: every way in by an invitation closes.
	invited, err := invitation(tx, p.Realm, p.ID)
	if err != nil {
		return err
	}
	if _, err := tx.VoidOneTimes(p.Realm, p.ID, authn.Invite, "", f.Now); err != nil {
		return err
	}
	if _, err := tx.VoidFlows(p.Realm, p.ID, f.ID); err != nil || invited.By == "" {
		return err
	}
	by, err := tx.Person(p.Realm, invited.By)
	if err != nil {
		return ignoreMissing(err)
	}
	return tx.Enqueue(Notice(st.realm.Realm, by, p, "setup-complete", f.Now, c.Network, c.Agent,
		map[string]string{"name": p.Name, "address": p.Address}))
}

func ignoreMissing(err error) error {
	if fault.Of(err, fault.NotFound) {
		return nil
	}
	return err
}

// endCaller ends the session the caller came with, if it is a live one of the realm.
func (s *Service) endCaller(tx Tx, c Caller, realm, why string, now time.Time) error {
	if c.Session == "" {
		return nil
	}
	old, err := tx.SessionByHash(tokenHash(c.Session))
	if err != nil {
		return ignoreMissing(err)
	}
	if old.Realm != realm || !old.Ended.IsZero() {
		return nil
	}
	if _, err := tx.EndSession(realm, old.Person, old.ID, why, now); err != nil {
		return err
	}
	tx.Bump()
	return nil
}

// tokenHash is how a random 256-bit token is kept: SHA-256 is enough for what cannot be guessed.
func tokenHash(t secret.Text) []byte {
	h := sha256.Sum256([]byte(t))
	return h[:]
}

func hexed(b []byte) string { return hex.EncodeToString(b) }

func sortWays(ways []Way) {
	slices.SortStableFunc(ways, func(a, b Way) int { return b.LastUsed.Compare(a.LastUsed) })
}

// notifyAdministrators writes to everybody who manages the person's organization.
func (s *Service) notifyAdministrators(tx Tx, st standing, c Caller, template string, args map[string]string) error {
	admins, err := tx.Administrators(st.person.Realm, st.person.Organization)
	if err != nil {
		return err
	}
	for _, a := range admins {
		if a.ID == st.person.ID {
			continue
		}
		m := Notice(st.realm.Realm, a, st.person, template, st.flow.Now, c.Network, c.Agent, args)
		if err := tx.Enqueue(m); err != nil {
			return err
		}
	}
	return nil
}
