// Package admin is what administrators and staff may do: look after people, and help those who lost something.
package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/secret"
)

// People is what administrators and staff do about people: list, invite, invite again, withdraw. Who may do what is
// directory's table; every method asks it for the person at hand, loaded in the same transaction, so that an id from
// elsewhere answers like a missing one.
type People struct {
	Store  PeopleStore
	Ring   *secret.Ring
	Realms login.Realms
	Clock  func() time.Time
}

// PeopleTx is what People needs of one transaction.
type PeopleTx interface {
	login.Tx
	People(directory.PersonFilter) ([]directory.Person, error)
	AddPerson(directory.Person) error
	DeletePerson(realm, id string) error
	CredentialsOf(realm string, people []string) ([]authn.Credential, error)
	Helped(realm string, people []string) ([]string, error)
	HelpRequestsOf(realm, person string, limit int) ([]helpdesk.Request, error)
	OneTimes(realm, person string, kind authn.Kind) ([]authn.OneTime, error)
	CallerCheckBegun(realm, request, agent string) (bool, error)
	StaffOrganization(realm string) (directory.Organization, error)
	Organizations(realm, afterName, afterID string, limit int) ([]directory.Organization, error)
	Events(audit.Query) ([]audit.Event, error)
	Mails(realm, person string, limit int) ([]mail.Message, error)
	VoidMails(realm, person, template string, now time.Time) (int, error)
	MailHealth(realm string, now time.Time) (mail.Health, error)
}

// PeopleStore begins transactions.
type PeopleStore interface {
	Read(context.Context, func(PeopleTx) error) error
	Write(context.Context, func(PeopleTx) error) error
}

// PageSize is how many people a page of the list holds.
const PageSize = 50

// StalledAfter is when an invitation that led nowhere is worth a reminder.
const StalledAfter = 48 * time.Hour

// Listed is a person in a list, with what is needed to see at a glance whether they can come in.
type Listed struct {
	directory.Person
	Stage        directory.Stage
	Factors      []authn.Credential // what they hold besides the password, without Data
	Organization directory.Organization
	Helped       bool // a request about them is open, or a new set-up is allowed
}

// Page is one page of people.
type Page struct {
	People     []Listed
	More       bool
	Only       bool // the actor is the only administrator of their organization (REQ B44)
	Mail       mail.Health
	StaffView  bool
	Incomplete int // on this page: invited and not yet active
}

// Query selects people; what the actor may not see is left out whatever it asks for.
type Query struct {
	Organization string
	Text         string
	State        directory.PersonState
	Stalled      bool
	Standing     directory.Standing
	Role         directory.Role
	AfterName    string
	AfterID      string
}

// List pages through people by name. Customer administrators see their own organization only; staff see all of the
// realm. It fails with fault.Forbidden "not-allowed" for everybody else.
func (s *People) List(ctx context.Context, by login.By, q Query) (Page, error) {
	var page Page
	all := directory.MayListAll(by.Person)
	if !all && by.Person.Role != directory.Administrator {
		return page, fault.New(fault.Forbidden, "not-allowed")
	}
	now := s.Clock()
	f := directory.PersonFilter{
		Realm: by.Person.Realm, Organization: q.Organization, Query: strings.TrimSpace(q.Text), State: q.State, Standing: q.Standing, Role: q.Role,
		AfterName: q.AfterName, AfterID: q.AfterID, Limit: PageSize + 1,
	}
	if !all {
		f.Organization = by.Person.Organization
	}
	if q.Stalled {
		f.State, f.Stalled = directory.Invited, now.Add(-StalledAfter)
	}
	err := s.Store.Read(ctx, func(tx PeopleTx) error {
		page = Page{StaffView: all}
		people, err := tx.People(f)
		if err != nil {
			return err
		}
		if page.More = len(people) > PageSize; page.More {
			people = people[:PageSize]
		}
		people = slices.DeleteFunc(people, func(p directory.Person) bool { return directory.May(by.Person, directory.See, p) != nil })
		if page.People, err = s.listed(tx, f.Realm, people); err != nil {
			return err
		}
		for i, p := range page.People {
			if p.State == directory.Invited {
				page.Incomplete++
			}
			hide, err := veils(tx, by, p.Person, helpdesk.Request{})
			if err != nil {
				return err
			}
			if hide {
				page.People[i].veil()
			}
		}
		if by.Person.Role == directory.Administrator {
			admins, err := tx.Administrators(by.Person.Realm, by.Person.Organization)
			if err != nil {
				return err
			}
			page.Only = len(admins) < 2
		}
		page.Mail, err = tx.MailHealth(f.Realm, now)
		return err
	})
	return page, err
}

func (s *People) listed(tx PeopleTx, realm string, people []directory.Person) ([]Listed, error) {
	ids := make([]string, len(people))
	for i, p := range people {
		ids[i] = p.ID
	}
	creds, err := tx.CredentialsOf(realm, ids)
	if err != nil {
		return nil, err
	}
	helped, err := tx.Helped(realm, ids)
	if err != nil {
		return nil, err
	}
	orgs := map[string]directory.Organization{}
	out := make([]Listed, len(people))
	for i, p := range people {
		l := Listed{Person: p, Helped: slices.Contains(helped, p.ID)}
		var kinds []authn.Kind
		for _, c := range creds {
			if c.Person != p.ID {
				continue
			}
			kinds = append(kinds, c.Kind)
			if c.Kind != authn.Password {
				l.Factors = append(l.Factors, c)
			}
		}
		if l.Stage, err = stage(tx, p, kinds); err != nil {
			return nil, err
		}
		if _, ok := orgs[p.Organization]; !ok {
			if orgs[p.Organization], err = tx.Organization(realm, p.Organization); err != nil {
				return nil, err
			}
		}
		l.Organization = orgs[p.Organization]
		out[i] = l
	}
	return out, nil
}

// stage says how far a person has come (REQ B81). It is derived from what they hold and did, never stored.
func stage(tx PeopleTx, p directory.Person, kinds []authn.Kind) (directory.Stage, error) {
	if p.EverActive() {
		return directory.StageActive, nil
	}
	accepted, err := tx.Acceptances(p.Realm, p.ID)
	if err != nil {
		return "", err
	}
	password := slices.Contains(kinds, authn.Password)
	factor := slices.ContainsFunc(kinds, func(k authn.Kind) bool { return k != authn.Password })
	switch {
	case len(accepted) > 0:
		return directory.StageTerms, nil
	case factor:
		return directory.StageFactor, nil
	case password:
		return directory.StagePassword, nil
	default:
		return directory.StageInvited, nil
	}
}

// Detail is one person's page.
type Detail struct {
	Listed
	Veiled      bool // what a caller could be asked for is left out: no check of a caller has begun
	Steps       []Step
	Timeline    []audit.Event
	Mails       []mail.Message
	Called      bool          // they are not invited: a certificate and a call are their way in
	Invitation  authn.OneTime // the newest, zero when there is none
	MayInvite   bool
	MayWithdraw bool
	MayHistory  bool

	Held       []authn.Credential // the password, too, without Data
	Sessions   int                // places where they are signed in
	Live       helpdesk.Request   // what helps them already, zero for nothing
	Earlier    []Past             // the last requests about them before that, newest first
	MayReset   bool               // open a request; whoever is being helped already waits for that
	MayDisable bool               // and enable
	MayEnd     bool               // end their sessions

	MayEdit   bool
	MayDelete bool
	Roles     []directory.Role // that the actor may give them, with the one they have; empty for none
	Assigned  directory.Person // the staff member assigned, zero for none
}

// Step is a stage somebody reached, and when.
type Step struct {
	Stage directory.Stage
	At    time.Time
}

// Person loads one person's page for those who look after people. It fails with fault.NotFound for anybody the actor may
// not see, and always for a member: seeing an administrator's name and address is no reason to show when they signed in
// last and with what.
func (s *People) Person(ctx context.Context, by login.By, id string) (Detail, error) {
	var d Detail
	if !directory.MayListAll(by.Person) && by.Person.Role != directory.Administrator {
		return d, fault.New(fault.NotFound, "not-found")
	}
	realm, err := s.Realms.Realm(by.Person.Realm)
	if err != nil {
		return d, err
	}
	err = s.Store.Read(ctx, func(tx PeopleTx) error {
		d = Detail{}
		p, err := s.whom(tx, by, directory.See, id)
		if err != nil {
			return err
		}
		some, err := s.listed(tx, p.Realm, []directory.Person{p})
		if err != nil {
			return err
		}
		d.Listed = some[0]
		hide, err := veils(tx, by, p, helpdesk.Request{})
		if err != nil {
			return err
		}
		defer func() {
			if hide {
				d.veil()
			}
		}()
		invited := p.State == directory.Invited
		d.MayInvite = invited && directory.May(by.Person, directory.Invite, p) == nil && by.Realm.Invites(p.Role)
		d.MayWithdraw = invited && directory.May(by.Person, directory.Withdraw, p) == nil
		d.MayHistory = directory.May(by.Person, directory.SeeHistory, p) == nil
		if !d.MayHistory {
			return nil
		}
		if d.Timeline, err = tx.Events(audit.Query{Realm: p.Realm, Person: p.ID, Limit: 40}); err != nil {
			return err
		}
		d.Called = !realm.Invites(p.Role)
		d.Steps = steps(p, d.Timeline, d.Called)
		if d.Mails, err = tx.Mails(p.Realm, p.ID, 5); err != nil {
			return err
		}
		links, err := tx.OneTimes(p.Realm, p.ID, authn.Invite)
		for _, l := range links {
			if l.Created.After(d.Invitation.Created) {
				d.Invitation = l
			}
		}
		d.Invitation.Hash = nil
		if err != nil {
			return err
		}
		if err := s.standing(tx, by, p, &d); err != nil {
			return err
		}
		hide, err = veils(tx, by, p, d.Live)
		return err
	})
	return d, err
}

// standing fills in what somebody holds, what helps them already, and what the actor can do about it.
func (s *People) standing(tx PeopleTx, by login.By, p directory.Person, d *Detail) (err error) {
	if d.Held, err = tx.CredentialsOf(p.Realm, []string{p.ID}); err != nil {
		return err
	}
	for i := range d.Held {
		d.Held[i].Data = nil
	}
	sessions, err := tx.Sessions(p.Realm, p.ID)
	if err != nil {
		return err
	}
	d.Sessions = len(sessions)
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	if err != nil {
		return err
	}
	if len(live) > 0 && !live[0].Over(s.Clock()) {
		d.Live = live[0]
	}
	if d.Earlier, err = earlier(tx, by, p, d.Live.ID); err != nil {
		return err
	}
	may := func(act directory.Act) bool { return directory.May(by.Person, act, p) == nil }
	d.MayReset = p.EverActive() && !p.State.Shut() && may(directory.ResetFactor)
	d.MayDisable, d.MayEnd = may(directory.Disable), d.Sessions > 0 && may(directory.EndSessions)
	d.MayEdit, d.MayDelete = may(directory.Edit), may(directory.Delete)
	for _, role := range directory.Roles {
		if directory.MayAssign(by.Person, p, role, d.Organization) == nil {
			d.Roles = append(d.Roles, role)
		}
	}
	if len(d.Roles) < 2 {
		d.Roles = nil
	}
	if p.Contact == "" {
		return nil
	}
	d.Assigned, err = tx.Person(p.Realm, p.Contact)
	if fault.Of(err, fault.NotFound) {
		d.Assigned, err = directory.Person{}, nil
	}
	return err
}

// steps reads the times of the stages from the timeline (newest first).
func steps(p directory.Person, timeline []audit.Event, called bool) (out []Step) {
	at := map[directory.Stage]time.Time{}
	for _, e := range timeline {
		switch {
		case (e.Type == "invitation.sent" || e.Type == "invitation.resent") && at[directory.StageInvited].IsZero():
			at[directory.StageInvited] = e.At
		case e.Type == "certificate.issued":
			at[directory.StageCertificate] = e.At
		case e.Type == "activation.confirmed":
			at[directory.StageCall] = e.At
		case e.Type == "credential.enrolled" && e.Data["kind"] == string(authn.Password):
			at[directory.StagePassword] = e.At
		case e.Type == "credential.enrolled":
			at[directory.StageFactor] = e.At
		case e.Type == "evidence.shown" && !at[directory.StageFactor].After(e.At):
			at[directory.StageFirstLogin] = e.At
		case e.Type == "terms.accepted":
			at[directory.StageTerms] = e.At
		case e.Type == "preferences.changed":
			at[directory.StagePreferences] = e.At
		}
	}
	at[directory.StageActive] = p.FirstActive
	for _, st := range directory.WayIn(called) {
		out = append(out, Step{Stage: st, At: at[st]})
	}
	return out
}

func (s *People) whom(tx PeopleTx, by login.By, act directory.Act, id string) (directory.Person, error) {
	return Whom(tx, by, act, id)
}
