package admin

import (
	"context"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/secret"
)

// What people can ask for and stop without being signed in. The rules:
//
//   - A form proves nothing: its request names an address and no person, until somebody who looks after the person says so.
//     The answer, the rows and the mails are the same whether the address is known (REQ B59).
//   - The links of notices only ever stop and freeze. Opening one changes nothing; each says on its page what it will do
//     (SEC A-1), and their tokens are made of the key ring: no dump holds one.

// Form is what somebody asks for.
type Form struct {
	Address string
	Why     helpdesk.Why
	Words   string
	Unseen  string // the field that nobody sees, see helpdesk: empty from people
}

// Ask takes the request form of somebody who is not signed in and returns the number of their request.
//
// Errors: fault.Invalid "address-invalid" (address), "why-missing" (why), "words-missing" (words, for Other alone),
// "text-long" (words), "form-filled" (the field that nobody sees), "form-old" and "form-quick" (the proof); fault.Throttled
// "too-many-requests".
func (s *Requests) Ask(ctx context.Context, c login.Caller, f Form, proof helpdesk.Proof) (number string, err error) {
	now := s.Clock()
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return "", err
	}
	address, err := directory.Canonical(f.Address)
	if err != nil {
		return "", fault.New(fault.Invalid, "address-invalid").In("address").Because(err)
	}
	if err := f.tidy(); err != nil {
		return "", err
	}
	if f.Unseen != "" {
		s.count("filled", helpdesk.Request{Why: f.Why})
		return "", fault.New(fault.Invalid, "form-filled")
	}
	err = s.Store.Write(ctx, func(tx RequestTx) error {
		var fresh bool
		if number, fresh, err = s.proven(tx, c, proof, now); err != nil || !fresh {
			return err
		}
		p, err := tx.PersonByAddress(realm.ID, address)
		if err != nil && !fault.Of(err, fault.NotFound) {
			return err
		}
		r := helpdesk.Request{
			ID: newID(), Realm: realm.ID, Number: number, Organization: p.Organization, Address: address, Why: f.Why, Words: f.Words,
			Channel: helpdesk.ByForm, Asked: 1, State: helpdesk.Open, Created: now,
		}
		if err := tx.AddHelpRequest(r); err != nil {
			return err
		}
		s.count("asked", r)
		if err := tx.Audit(audit.Event{
			Realm: realm.ID, At: now, Type: "request.asked", Actor: "anonymous", Person: p.ID, Organization: p.Organization,
			Network: c.Network, Browser: c.Agent, Data: facts(r),
		}); err != nil {
			return err
		}
		if err != nil || p.State == directory.Disabled {
			p = directory.Person{Realm: realm.ID, Language: realm.Languages[0]} // nobody: a decoy goes the same way
		}
		args := map[string]string{"number": r.Number, "why": string(f.Why)}
		if err := tx.Enqueue(login.Notice(realm.Realm, p, p, "request-asked", now, c.Network, c.Agent, args)); err != nil {
			return err
		}
		return s.task(tx, realm, p, r, c, now)
	})
	if fault.Of(err, fault.Exists) { // the number was taken: once in a million million, another form draws another
		err = fault.New(fault.Invalid, "form-old")
	}
	return number, s.tripped(ctx, err, audit.Event{Realm: realm.ID, At: now, Actor: "anonymous", Network: c.Network, Browser: c.Agent})
}

func (f *Form) tidy() error {
	f.Words = strings.TrimSpace(f.Words)
	switch {
	case !slices.Contains(helpdesk.Whys, f.Why) && f.Why != helpdesk.WhoHelps:
		return fault.New(fault.Invalid, "why-missing").In("why")
	case f.Why == helpdesk.Other && f.Words == "":
		return fault.New(fault.Invalid, "words-missing").In("words")
	case utf8.RuneCountInString(f.Words) > wordsMost:
		return fault.New(fault.Invalid, "text-long", "max", wordsMost).In("words")
	}
	return nil
}

// task tells the administrators of a person's organization that somebody asked, and its account manager where there is no
// administrator (REQ B48b); where there is nobody to tell, one decoy goes the same way.
func (s *Requests) task(tx RequestTx, realm *login.Realm, p directory.Person, r helpdesk.Request, c login.Caller, now time.Time) error {
	var admins []directory.Person
	var err error
	if p.ID != "" && !p.Role.Staff() {
		if admins, err = tx.Administrators(p.Realm, p.Organization); err != nil {
			return err
		}
	}
	if admins = slices.DeleteFunc(admins, func(a directory.Person) bool { return a.ID == p.ID }); len(admins) == 0 && p.ID != "" && !p.Role.Staff() {
		manager, err := AccountManager(tx, p)
		if err != nil {
			return err
		}
		if manager.ID != "" {
			admins = append(admins, manager)
		}
	}
	if len(admins) == 0 {
		admins = []directory.Person{{Realm: realm.ID, Language: realm.Languages[0]}}
	}
	for _, a := range admins {
		if err := tx.Enqueue(login.Notice(realm.Realm, a, p, "request-task", now, c.Network, c.Agent, map[string]string{
			"number": r.Number, "name": p.Name, "address": named(a, p, r.Address), "why": string(r.Why),
		})); err != nil {
			return err
		}
	}
	return nil
}

// AccountManager is the staff member who looks after somebody's organization: whom its people turn to where no administrator
// can help. Zero for none, and for one who is not at work.
func AccountManager(tx PeopleTx, p directory.Person) (manager directory.Person, err error) {
	org, err := tx.Organization(p.Realm, p.Organization)
	if err != nil || org.Manager == "" {
		return manager, err
	}
	manager, err = tx.Person(p.Realm, org.Manager)
	if fault.Of(err, fault.NotFound) || err == nil && (!manager.Role.Staff() || manager.State != directory.Active) {
		return directory.Person{}, nil
	}
	return manager, err
}

// AskFor takes the request form of somebody who is signed in. Errors are those of Ask but for
// the proof, and fault.Exists "request-open".
func (s *Requests) AskFor(ctx context.Context, by login.By, f Form) (number string, err error) {
	now := s.Clock()
	if err := f.tidy(); err != nil {
		return "", err
	}
	err = s.Store.Write(ctx, func(tx RequestTx) error {
		p := by.Person
		if err := asking("person:"+p.Realm+":"+p.ID, askLimit).Take(tx, now); err != nil {
			return err
		}
		if err := s.clear(tx, p, now); err != nil {
			return err
		}
		if err := s.pace(tx, p, now); err != nil {
			return err
		}
		r := helpdesk.Request{
			ID: newID(), Realm: p.Realm, Number: newNumber(), Person: p.ID, Organization: p.Organization, Address: p.Address, Why: f.Why,
			Words: f.Words, Channel: helpdesk.ByAccount, Opener: p.ID, Asked: 1, State: helpdesk.Open, Created: now,
		}
		if err := tx.AddHelpRequest(r); fault.Of(err, fault.Exists) {
			return s.taken(tx, p)
		} else if err != nil {
			return err
		}
		number = r.Number
		s.count("asked", r)
		if err := tx.Audit(by.Event(now, "request.asked", "", facts(r))); err != nil {
			return err
		}
		if err := tx.Enqueue(by.Notice(now, "request-asked", map[string]string{"number": r.Number, "why": string(f.Why)})); err != nil {
			return err
		}
		return s.task(tx, by.Realm, p, r, login.Caller{Network: by.Network, Agent: by.Agent}, now)
	})
	return number, s.tripped(ctx, err, by.Event(now, "", "", nil))
}

// Stopping is what the page behind the link of a notice shows before anything happens.
type Stopping struct {
	Request helpdesk.Request
	Person  directory.Person
}

// Peek looks at a link that stops a request, without changing anything. Errors: fault.NotFound "link-unknown",
// fault.Expired "help-over"; with the latter Stopping is filled, so that a page can say what became of the request.
func (s *Requests) Peek(ctx context.Context, realm, token string) (st Stopping, err error) {
	err = s.Store.Read(ctx, func(tx RequestTx) error {
		st, err = s.stopping(tx, realm, token)
		return err
	})
	return st, err
}

func (s *Requests) stopping(tx RequestTx, realm, token string) (st Stopping, err error) {
	if st, err = s.behind(tx, realm, token, helpdesk.StopToken); err != nil {
		return st, err
	}
	if st.Request.State != helpdesk.Open && st.Request.State != helpdesk.Approved || st.Request.Over(s.Clock()) {
		return st, fault.New(fault.Expired, "help-over")
	}
	return st, nil
}

// behind finds the request that a link names, and its person. made is what the link's token has to be. It fails with
// fault.NotFound "link-unknown" alike for whatever is wrong with the link.
func (s *Requests) behind(tx RequestTx, realm, token string, made func(*secret.Ring, helpdesk.Request) string) (st Stopping, err error) {
	unknown := fault.New(fault.NotFound, "link-unknown")
	id, _, ok := strings.Cut(token, ".")
	if !ok {
		return st, unknown
	}
	if st.Request, err = tx.HelpRequest(realm, id); err != nil {
		return st, unknown
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(made(s.Ring, st.Request))) != 1 || st.Request.Person == "" {
		return st, unknown
	}
	st.Person, err = tx.Person(realm, st.Request.Person)
	return st, err
}

// StopByLink cancels a request by the link of a notice, without a login. The link may be that of the person or of
// somebody who looks after them; either may stop what should not happen.
func (s *Requests) StopByLink(ctx context.Context, c login.Caller, token string) (st Stopping, err error) {
	now := s.Clock()
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return st, err
	}
	err = insist(func() error {
		return s.Store.Write(ctx, func(tx RequestTx) error {
			if st, err = s.stopping(tx, c.Realm, token); err != nil {
				return err
			}
			return s.stop(tx, holder(realm, st.Person, c), &st.Request, st.Person, "by-link", now)
		})
	})
	return st, err
}

// holder is who acts by a link: whoever holds a notice about the person, named as the person in the trail with the reason
// that says how.
func holder(realm *login.Realm, p directory.Person, c login.Caller) login.By {
	return login.By{Signed: login.Signed{Realm: realm, Person: p}, Network: c.Network, Agent: c.Agent}
}

// Denial is what the page behind "this was not me" shows: which notice it was, and of whom. Number is the request that
// freezing the account has opened, empty while it is not frozen.
type Denial struct {
	Mail   mail.Message
	Person directory.Person
	Number string
}

// denialFor is how long a notice can be denied.
const denialFor = 30 * 24 * time.Hour

// PeekDenial looks at the link of a notice without changing anything. Errors: fault.NotFound "link-unknown",
// fault.Expired "link-expired".
func (s *Requests) PeekDenial(ctx context.Context, realm, token string) (d Denial, err error) {
	err = s.Store.Read(ctx, func(tx RequestTx) error {
		d, err = s.denial(tx, realm, token)
		return err
	})
	return d, err
}

func (s *Requests) denial(tx RequestTx, realm, token string) (d Denial, err error) {
	unknown := fault.New(fault.NotFound, "link-unknown")
	id, ok := mail.DeniedID(s.Ring, realm, token)
	if !ok {
		return d, unknown
	}
	if d.Mail, err = tx.Mail(realm, id); err != nil || d.Mail.Person == "" || !mail.Notice(d.Mail.Template) {
		return d, unknown
	}
	if d.Person, err = tx.Person(realm, d.Mail.Person); err != nil {
		return d, unknown
	}
	if s.Clock().Sub(d.Mail.Created) > denialFor {
		return d, fault.New(fault.Expired, "link-expired", "at", d.Mail.Created.Add(denialFor).UTC().Format(time.RFC3339))
	}
	live, err := tx.HelpRequestsLive(realm, d.Person.ID)
	if err != nil {
		return d, err
	}
	for _, r := range live {
		if r.Why == helpdesk.NotMe && d.Person.State.Shut() && !r.Over(s.Clock()) {
			d.Number = r.Number
		}
	}
	return d, nil
}

// Deny freezes the account of whoever got a notice and says that it was not them: sessions, flows and links end, requests
// and grants are cancelled, and nobody gets in until somebody who looks after the person has enabled the account again. It
// opens the request for that, and names its number. While the account is frozen, doing it again changes nothing (SEC H-7).
//
// Whoever holds the mailbox can do this, and nothing but this: a thief who freezes an account locks out themselves.
func (s *Requests) Deny(ctx context.Context, c login.Caller, token string) (d Denial, err error) {
	now := s.Clock()
	realm, err := s.Realms.Realm(c.Realm)
	if err != nil {
		return d, err
	}
	err = insist(func() error {
		return s.Store.Write(ctx, func(tx RequestTx) error {
			if d, err = s.denial(tx, c.Realm, token); err != nil || d.Number != "" {
				return err
			}
			d.Number, err = s.freeze(tx, holder(realm, d.Person, c), d, now)
			return err
		})
	})
	return d, err
}

func (s *Requests) freeze(tx RequestTx, by login.By, d Denial, now time.Time) (string, error) {
	p := d.Person
	live, err := tx.HelpRequestsLive(p.Realm, p.ID)
	if err != nil {
		return "", err
	}
	for _, r := range live {
		r.State, r.Closed, r.ClosedWhy = helpdesk.Cancelled, now, "frozen"
		if err := tx.UpdateHelpRequest(r); err != nil {
			return "", err
		}
		if err := tx.Audit(by.Event(now, "request.cancelled", "frozen", facts(r))); err != nil {
			return "", err
		}
	}
	if p.State != directory.Disabled && p.State != directory.Frozen {
		p.State = directory.Frozen
		if err := tx.UpdatePerson(p); err != nil {
			return "", err
		}
	}
	if _, err := Shut(tx, p, "not-me", now); err != nil {
		return "", err
	}
	r := helpdesk.Request{
		ID: newID(), Realm: p.Realm, Number: newNumber(), Person: p.ID, Organization: p.Organization, Address: p.Address, Why: helpdesk.NotMe,
		Words: d.Mail.Template, Channel: helpdesk.ByMail, Asked: 1, State: helpdesk.Open, Created: now,
	}
	if err := tx.AddHelpRequest(r); err != nil {
		return "", err
	}
	s.count("frozen", r)
	data := facts(r)
	data["mail"] = d.Mail.Template
	if err := tx.Audit(by.Event(now, "person.frozen", "not-me", data)); err != nil {
		return "", err
	}
	if err := tx.Enqueue(by.Notice(now, "account-frozen", map[string]string{"number": r.Number})); err != nil {
		return "", err
	}
	others, err := s.beside(tx, p)
	if err != nil {
		return "", err
	}
	for _, o := range others {
		if o.ID == p.ID {
			continue
		}
		if err := tx.Enqueue(by.NoticeTo(o, now, "account-frozen-console", map[string]string{
			"number": r.Number, "name": p.Name, "address": named(o, p, p.Address),
		})); err != nil {
			return "", err
		}
	}
	return r.Number, nil
}

// Shut ends everything that could let a person in: sessions, links, open flows. It says how many sessions that were.
func Shut(tx PeopleTx, p directory.Person, why string, now time.Time) (sessions int, err error) {
	if sessions, err = tx.EndSessions(p.Realm, p.ID, "", why, now); err != nil {
		return sessions, err
	}
	tx.Bump()
	return sessions, VoidLinks(tx, p, now)
}

func is(err error, code string) bool { f := fault.As(err); return f != nil && f.Code == code }
