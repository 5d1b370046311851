package login

import (
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/mail"
)

// By is who acts in a use case: the person behind a live session, and where they are.
type By struct {
	Signed
	Network string
	Agent   string
}

// Event is an event about the actor's own account; callers set Person and Organization where it is about another.
func (by By) Event(now time.Time, kind, reason string, data map[string]string) audit.Event {
	return audit.Event{
		Realm: by.Person.Realm, At: now, Type: kind, Actor: by.Person.ID, Person: by.Person.ID,
		Organization: by.Person.Organization, Session: by.Session.ID, Network: by.Network, Browser: by.Agent,
		Reason: reason, Data: data,
	}
}

// EventAbout is an event about somebody else's account. The actor's name stands in it, so that the person's own history
// says who it was (REQ B82) without looking anybody up.
func (by By) EventAbout(p directory.Person, now time.Time, kind, reason string, data map[string]string) audit.Event {
	e := by.Event(now, kind, reason, data)
	e.Person, e.Organization = p.ID, p.Organization
	if e.Data == nil {
		e.Data = map[string]string{}
	}
	e.Data["by"] = by.Person.Name
	return e
}

// Notice is a mail to the actor about their own account.
func (by By) Notice(now time.Time, template string, args map[string]string) mail.Message {
	return Notice(by.Realm.Realm, by.Person, by.Person, template, now, by.Network, by.Agent, args)
}

// NoticeTo is a mail to somebody else about what the actor did to their account.
func (by By) NoticeTo(to directory.Person, now time.Time, template string, args map[string]string) mail.Message {
	return Notice(by.Realm.Realm, to, by.Person, template, now, by.Network, by.Agent, args)
}

// RulesOf is the one policy that counts for a person, whoever asks. It is the plain one: an exemption lets in, it opens
// nothing else.
func (s *Service) RulesOf(realm *Realm, p directory.Person, o directory.Organization) (authn.Rules, error) {
	rules, err := s.rules(realm, p, o, authn.Goal{})
	return rules.Plain(), err
}

// RulesFor is RulesOf for a signed-in person.
func (s *Service) RulesFor(signed Signed) (authn.Rules, error) {
	return s.RulesOf(signed.Realm, signed.Person, signed.Organization)
}
