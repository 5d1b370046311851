// Package selfservice is what a person does with their own account: look at their ways in, applications, sessions and
// history, rename and remove, end sessions, choose a language and what they want to be written to about.
//
// The rules:
//
//   - Everything is about the person behind the session; no method takes a person's id.
//   - What weakens an account or cannot be undone (removing a way in, or the access of an application) needs a complete
//     login at most five minutes old (SECURITY S5), and never leaves the account without a complete combination.
//   - Every change is audited in the same transaction and told to its owner by mail (SEC H-7).
package selfservice

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/recovery"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/session"
	"doorward/internal/token"
)

// Tx is what a person's own account needs of one transaction.
type Tx interface {
	Person(realm, id string) (directory.Person, error)
	UpdatePerson(directory.Person) error
	Credentials(realm, person string) ([]authn.Credential, error)
	UpdateCredential(authn.Credential) error
	Sessions(realm, person string) ([]session.Session, error)
	EndSession(realm, person, id, why string, now time.Time) (bool, error)
	EndSessions(realm, person, exceptID, why string, now time.Time) (int, error)
	Consents(realm, person string) ([]token.Consent, error)
	DeleteConsent(realm, person, client string) (bool, error)
	Authorizations(realm, person string) ([]token.Authorization, error) // not ended, newest first
	EndAuthorizations(realm, person, client, why string, now time.Time) (int, error)
	AddLogout(token.Logout) error
	Acceptances(realm, person string) ([]directory.Acceptance, error)
	Preferences(realm, person string) ([]directory.Preference, error)
	PutPreference(realm string, p directory.Preference) error
	Administrators(realm, organization string) ([]directory.Person, error)
	Events(audit.Query) ([]audit.Event, error)
	Audit(audit.Event) error
	Enqueue(mail.Message) error
	Bump()
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Rules tells which policy counts for a signed-in person.
type Rules interface {
	RulesFor(login.Signed) (authn.Rules, error)
}

// Service is safe for concurrent use.
type Service struct {
	Store Store
	Rules Rules
	Clock func() time.Time
}

// Overview is everything the security page shows.
type Overview struct {
	Credentials []authn.Credential // without Data
	Sessions    []session.Session
	History     []audit.Event
	Acceptances []directory.Acceptance
	Spare       bool // a second way of the kind that is used besides the password exists
	CanAdd      []authn.Kind
	Codes       Codes
}

// Codes is what is known of a person's recovery codes: never the codes.
type Codes struct {
	Made     time.Time // zero: they have none
	Left, Of int
}

// Few reports whether new ones should be made before the last is used.
func (c Codes) Few() bool { return !c.Made.IsZero() && c.Left <= recovery.Few }

// Overview loads the security page.
func (s *Service) Overview(ctx context.Context, by login.By) (Overview, error) {
	var o Overview
	rules, err := s.Rules.RulesFor(by.Signed)
	if err != nil {
		return o, err
	}
	p := by.Person
	err = s.Store.Read(ctx, func(tx Tx) error {
		o = Overview{}
		if o.Credentials, err = tx.Credentials(p.Realm, p.ID); err != nil {
			return err
		}
		for i, c := range o.Credentials {
			if c.Kind == authn.Recovery {
				o.Codes.Made = c.Created
				o.Codes.Left, o.Codes.Of = recovery.Left(c)
			}
			o.Credentials[i].Data = nil
		}
		if o.Sessions, err = tx.Sessions(p.Realm, p.ID); err != nil {
			return err
		}
		if o.Acceptances, err = tx.Acceptances(p.Realm, p.ID); err != nil {
			return err
		}
		o.History, err = tx.Events(audit.Query{Realm: p.Realm, Person: p.ID, Limit: 6})
		return err
	})
	factors := 0
	for _, c := range o.Credentials {
		if info, _ := authn.Info(c.Kind); info.Categories&authn.Possession != 0 && c.State == authn.Active {
			factors++
		}
	}
	o.Spare, o.CanAdd = factors > 1, enrolByLogin(rules)
	return o, err
}

// enrolByLogin lists the kinds that a complete login opens.
func enrolByLogin(r authn.Rules) []authn.Kind {
	var kinds []authn.Kind
	for _, b := range r.Enrol {
		for _, gates := range b.Gates {
			if slices.Equal(gates, []authn.Gate{authn.GateLogin}) {
				kinds = append(kinds, b.Kinds...)
			}
		}
	}
	return kinds
}

// HistoryPage is how many events a page of history holds.
const HistoryPage = 25

// History pages backwards through what happened to the person's account; before is the id of the last event of the
// page before, empty for the newest.
func (s *Service) History(ctx context.Context, by login.By, before string) (events []audit.Event, more bool, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		var err error
		events, err = tx.Events(audit.Query{Realm: by.Person.Realm, Person: by.Person.ID, BeforeID: before, Limit: HistoryPage + 1})
		return err
	})
	if len(events) > HistoryPage {
		return events[:HistoryPage], true, err
	}
	return events, false, err
}

// Administrators lists who manages the person's organization (REQ B41).
func (s *Service) Administrators(ctx context.Context, by login.By) (people []directory.Person, err error) {
	err = s.Store.Read(ctx, func(tx Tx) error {
		people, err = tx.Administrators(by.Person.Realm, by.Person.Organization)
		return err
	})
	return people, err
}

// Manager is the staff member whom the people of an organization turn to where it has no administrator (REQ B48b); zero for
// none, and for one who is not at work.
func (s *Service) Manager(ctx context.Context, by login.By) (p directory.Person, err error) {
	if by.Organization.Manager == "" {
		return p, nil
	}
	err = s.Store.Read(ctx, func(tx Tx) error {
		p, err = tx.Person(by.Person.Realm, by.Organization.Manager)
		return err
	})
	if fault.Of(err, fault.NotFound) || err == nil && (!p.Role.Staff() || p.State != directory.Active) {
		return directory.Person{}, nil
	}
	return p, err
}

// EndSession signs one of the person's own sessions out. It fails with fault.NotFound when it is not theirs or over.
func (s *Service) EndSession(ctx context.Context, by login.By, id string) error {
	now := s.Clock()
	return s.Store.Write(ctx, func(tx Tx) error {
		ok, err := tx.EndSession(by.Person.Realm, by.Person.ID, id, "signed-out-elsewhere", now)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "not-found")
		}
		tx.Bump()
		return tx.Audit(by.Event(now, "session.ended", "signed-out-elsewhere", map[string]string{"session": id}))
	})
}

// EndOtherSessions signs the person out everywhere but here and says how many sessions that ended.
func (s *Service) EndOtherSessions(ctx context.Context, by login.By) (n int, err error) {
	now := s.Clock()
	err = s.Store.Write(ctx, func(tx Tx) error {
		if n, err = tx.EndSessions(by.Person.Realm, by.Person.ID, by.Session.ID, "signed-out-elsewhere", now); err != nil || n == 0 {
			return err
		}
		tx.Bump()
		if err := tx.Audit(by.Event(now, "session.ended", "signed-out-elsewhere", nil)); err != nil {
			return err
		}
		return tx.Enqueue(by.Notice(now, "sessions-ended", nil))
	})
	return n, err
}

// Settings are a person's language and time zone.
type Settings struct {
	Language string
	Zone     string // IANA name; empty for the realm's
}

// SaveSettings changes language and zone. Errors: fault.Invalid "language-unknown", "zone-unknown".
func (s *Service) SaveSettings(ctx context.Context, by login.By, in Settings) error {
	if !slices.Contains(by.Realm.Languages, in.Language) {
		return fault.New(fault.Invalid, "language-unknown").In("language")
	}
	if _, err := time.LoadLocation(in.Zone); err != nil || strings.EqualFold(in.Zone, "local") {
		return fault.New(fault.Invalid, "zone-unknown").In("zone")
	}
	now := s.Clock()
	return s.Store.Write(ctx, func(tx Tx) error {
		p, err := tx.Person(by.Person.Realm, by.Person.ID)
		if err != nil || p.Language == in.Language && p.Zone == in.Zone {
			return err
		}
		p.Language, p.Zone = in.Language, in.Zone
		if err := tx.UpdatePerson(p); err != nil {
			return err
		}
		tx.Bump() // sessions keep the person in memory
		return tx.Audit(by.Event(now, "person.changed", "", map[string]string{"language": in.Language, "zone": in.Zone}))
	})
}

// Topics lists what the person chose to be written to about.
func (s *Service) Topics(ctx context.Context, by login.By) (on map[string]bool, err error) {
	on = map[string]bool{}
	err = s.Store.Read(ctx, func(tx Tx) error {
		have, err := tx.Preferences(by.Person.Realm, by.Person.ID)
		for _, p := range have {
			on[p.Topic] = p.On
		}
		return err
	})
	return on, err
}

// SaveTopics changes what the person is written to about; topics the realm does not have are ignored.
func (s *Service) SaveTopics(ctx context.Context, by login.By, on map[string]bool) error {
	now := s.Clock()
	return s.Store.Write(ctx, func(tx Tx) error {
		data := map[string]string{}
		for _, t := range by.Realm.Topics {
			data[t.ID] = "off"
			if on[t.ID] {
				data[t.ID] = "on"
			}
			p := directory.Preference{Person: by.Person.ID, Topic: t.ID, On: on[t.ID], Changed: now}
			if err := tx.PutPreference(by.Person.Realm, p); err != nil {
				return err
			}
		}
		return tx.Audit(by.Event(now, "preferences.changed", "", data))
	})
}

// MaxName bounds the name of a credential, in characters.
const MaxName = 60

// CleanName tidies the name a person gives to an authenticator. It fails with fault.Invalid "name-missing" or
// "name-too-long" (field name).
func CleanName(name string) (string, error) {
	name = directory.Line(name)
	switch {
	case name == "":
		return "", fault.New(fault.Invalid, "name-missing").In("name")
	case utf8.RuneCountInString(name) > MaxName:
		return "", fault.New(fault.Invalid, "name-too-long", "max", MaxName).In("name")
	}
	return name, nil
}

// Rename gives one of the person's credentials another name.
func (s *Service) Rename(ctx context.Context, by login.By, credential, name string) error {
	name, err := CleanName(name)
	if err != nil {
		return err
	}
	now := s.Clock()
	return s.Store.Write(ctx, func(tx Tx) error {
		c, _, err := own(tx, by, credential)
		if err != nil || c.Name == name {
			return err
		}
		data := map[string]string{"kind": string(c.Kind), "from": c.Name, "name": name, "credential": c.ID}
		c.Name = name
		if err := tx.UpdateCredential(c); err != nil {
			return err
		}
		return tx.Audit(by.Event(now, "credential.renamed", "", data))
	})
}

// Remove ends one of the person's credentials. It needs a fresh complete login and leaves at least one complete
// combination. Errors: fault.Forbidden "login-not-fresh" (sign in again first), fault.Conflict "last-way-in",
// fault.NotFound.
func (s *Service) Remove(ctx context.Context, by login.By, credential string) error {
	now := s.Clock()
	if !by.Fresh(now) {
		return fault.New(fault.Forbidden, "login-not-fresh")
	}
	rules, err := s.Rules.RulesFor(by.Signed)
	if err != nil {
		return err
	}
	return s.Store.Write(ctx, func(tx Tx) error {
		// Two removals at once must not each count on what the other takes: both move the person's version, which is read
		// before the credentials are (SEC T-RACE2).
		p, err := tx.Person(by.Person.Realm, by.Person.ID)
		if err != nil {
			return err
		}
		c, rest, err := own(tx, by, credential)
		if err != nil {
			return err
		}
		if !complete(rules, by.Person, rest, now) {
			return fault.New(fault.Conflict, "last-way-in")
		}
		c.State, c.Ended = authn.Ended, now
		if err := tx.UpdateCredential(c); err != nil {
			return err
		}
		if err := tx.UpdatePerson(p); err != nil {
			return err
		}
		tx.Bump()
		data := map[string]string{"kind": string(c.Kind), "name": c.Name, "credential": c.ID}
		if err := tx.Audit(by.Event(now, "credential.ended", "removed", data)); err != nil {
			return err
		}
		return tx.Enqueue(by.Notice(now, "factor-removed", map[string]string{"factor": c.Name, "kind": string(c.Kind)}))
	})
}

// own finds a live credential of the person and the others beside it.
func own(tx Tx, by login.By, id string) (c authn.Credential, rest []authn.Credential, err error) {
	all, err := tx.Credentials(by.Person.Realm, by.Person.ID)
	if err != nil {
		return c, nil, err
	}
	i := slices.IndexFunc(all, func(c authn.Credential) bool { return c.ID == id })
	if i < 0 {
		return c, nil, fault.New(fault.NotFound, "not-found")
	}
	c = all[i]
	return c, slices.Delete(slices.Clone(all), i, i+1), nil
}

// complete asks the engine whether showing everything that can be shown of these would let the person in.
func complete(r authn.Rules, p directory.Person, held []authn.Credential, now time.Time) bool {
	ep := authn.Person{ID: p.ID, EverActive: p.EverActive(), Held: authn.Holdings(held)}
	f := authn.Flow{Realm: p.Realm, Person: p.ID, Now: now}
	for _, c := range held {
		if c.State == authn.Active {
			f.Evidence = append(f.Evidence, authn.Evidence{Kind: c.Kind, Credential: c.ID, At: now})
		}
	}
	return authn.Next(r, ep, f).Act == authn.ActAdmit
}
