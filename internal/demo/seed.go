package demo

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/totp"
	"doorward/internal/directory"
	"doorward/internal/keyfile"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/pki"
	"doorward/internal/secret"
)

// Clock is the real time, or earlier while the demo's people are made: their set-up lies a day back, so that codes that
// were used then are long over.
type Clock struct {
	Real func() time.Time
	back atomic.Int64
}

// Now is the time.
func (c *Clock) Now() time.Time { return c.Real().Add(-time.Duration(c.back.Load())) }

func (c *Clock) setBack(d time.Duration) { c.back.Store(int64(d)) }

// Tx is what the demo needs of a transaction beside the use cases.
type Tx interface {
	StaffOrganization(realm string) (directory.Organization, error)
	Organization(realm, id string) (directory.Organization, error)
	Certificate(realm, id string) (pki.Certificate, error)
	AddOrganization(directory.Organization) error
	Person(realm, id string) (directory.Person, error)
	Mails(realm, person string, limit int) ([]mail.Message, error)
	ClaimMail(now time.Time, hold time.Duration, limit int) ([]mail.Message, error)
	VoidMails(realm, person, template string, now time.Time) (int, error)
	Audit(audit.Event) error
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Maker makes the people of a new directory.
type Maker struct {
	Store  Store
	Login  *login.Service
	People *admin.People
	Realms login.Realms
	Clock  *Clock
	Dir    string

	Certificates Certificates
}

// somebody is a person on their way in.
type somebody struct {
	Person
	id     string
	at     int
	realm  *login.Realm
	link   string
	caller login.Caller
	view   login.View
	key    totp.Key
	device string            // what a client calls it
	parcel keyfile.Parcel    // the file of its certificate
	leaf   *x509.Certificate // that certificate
}

// clientRealm is the realm whose customers come in with certificates.
const clientRealm = "wealth"

// client reports whether somebody comes in with a certificate.
func (s *somebody) client() bool { return s.Certificate != "" }

const (
	dayBack = 26 * time.Hour
	oneStep = time.Minute // until the authenticator's next code, and one more
)

// Make makes everybody and returns them with what they know and have. Mail about the way in is taken back, so that the
// mailbox holds the one invitation that is worth opening.
func (m *Maker) Make(ctx context.Context) ([]Person, error) {
	m.Clock.setBack(dayBack)
	defer m.Clock.setBack(0)
	orgs, err := m.organizations(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]*somebody, len(cast))
	for i, p := range cast {
		s := &somebody{Person: p, at: i}
		if s.realm, err = m.Realms.Realm(p.Realm); err != nil {
			return nil, err
		}
		if s.Organization == "" {
			s.Organization = s.realm.Operator
		}
		s.caller = login.Caller{Realm: p.Realm, Network: fmt.Sprintf("192.0.2.%d", 10+i), Agent: "Firefox on Linux", Language: "en"}
		s.device = strings.Fields(p.Name)[0] + "’s laptop"
		all[i] = s
	}
	// Two steps, with the clock moved on between them: the code that sets up an authenticator does not sign in.
	for _, step := range []func(context.Context, *somebody) error{
		func(ctx context.Context, s *somebody) error { return m.setUp(ctx, s, orgs) },
		m.signIn,
	} {
		if err := each(ctx, all, false, step); err != nil {
			return nil, err
		}
		m.Clock.setBack(dayBack - oneStep)
	}
	d, err := m.clients(ctx, all, orgs)
	if err != nil {
		return nil, err
	}
	if err := m.tidy(ctx, all); err != nil {
		return nil, err
	}
	m.Clock.setBack(0)
	people := make([]Person, len(all))
	for i, s := range all {
		if s.State == "invited" {
			if err := m.invite(ctx, s, orgs); err != nil {
				return nil, err
			}
			if s.client() {
				if err := m.send(ctx, s, d); err != nil {
					return nil, err
				}
			}
		}
		people[i] = s.Person
	}
	return people, nil
}

// clients are those who need others to be there before they come in.
func (m *Maker) clients(ctx context.Context, all []*somebody, orgs map[string]directory.Organization) (d desk, err error) {
	realm, err := m.Realms.Realm(clientRealm)
	if err != nil {
		return d, err
	}
	if err = m.found(ctx, realm); err != nil {
		return d, err
	}
	if d, err = m.sit(ctx, all); err != nil {
		return d, err
	}
	err = each(ctx, all, true, func(ctx context.Context, s *somebody) error {
		if err := m.invite(ctx, s, orgs); err != nil {
			return err
		}
		return m.send(ctx, s, d)
	})
	if err == nil {
		err = m.open(ctx, all)
	}
	if err != nil {
		return d, err
	}
	return d, each(ctx, all, true, func(ctx context.Context, s *somebody) error { return m.become(ctx, s, d) })
}

// each does a step for everybody who is to be active, the clients or all others, as many at a time as passwords are hashed: more would wait for a
// place, and on a slow machine be sent away.
func each(ctx context.Context, all []*somebody, clients bool, step func(context.Context, *somebody) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, s := range all {
		if s.State != "active" || s.client() != clients {
			continue
		}
		g.Go(func() error {
			if err := step(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s.Email, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// organizations makes the customers' organizations and returns the id of every one by realm and name.
func (m *Maker) organizations(ctx context.Context) (map[string]directory.Organization, error) {
	orgs := map[string]directory.Organization{}
	now := m.Clock.Now()
	err := m.Store.Write(ctx, func(tx Tx) error {
		clear := map[string]directory.Organization{}
		for _, p := range cast {
			key := p.Realm + "/" + p.Organization
			if _, ok := clear[key]; ok {
				continue
			}
			if p.Organization == "" {
				staff, err := tx.StaffOrganization(p.Realm)
				if err != nil {
					return err
				}
				clear[key] = staff
				clear[p.Realm+"/"+staff.Name] = staff
				continue
			}
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			o := directory.Organization{ID: id.String(), Realm: p.Realm, Name: p.Organization, State: directory.Active, Created: now}
			if err := tx.AddOrganization(o); err != nil {
				return err
			}
			if err := tx.Audit(audit.Event{
				Realm: o.Realm, At: now, Type: "organization.added", Actor: "cli", Organization: o.ID, Data: map[string]string{"name": o.Name},
			}); err != nil {
				return err
			}
			clear[key] = o
		}
		orgs = clear
		return nil
	})
	return orgs, err
}

func (m *Maker) invite(ctx context.Context, s *somebody, orgs map[string]directory.Organization) error {
	by := admin.CommandLine(s.realm, orgs[s.Realm+"/"+s.realm.Operator])
	p, err := m.People.Invite(ctx, by, admin.Invitation{
		Address: s.Email, Name: s.Name, Role: Roles[s.Role], Organization: orgs[s.Realm+"/"+s.Organization].ID, Language: "en",
		Show: func(link string) { s.link = link },
	})
	s.id = p.ID
	return err
}

// setUp invites somebody and walks them through the first half: a password and an authenticator.
func (m *Maker) setUp(ctx context.Context, s *somebody, orgs map[string]directory.Organization) error {
	if err := m.invite(ctx, s, orgs); err != nil {
		return err
	}
	token := path.Base(s.link)
	view, err := m.Login.Follow(ctx, s.caller, login.SetUp, token)
	for err == nil {
		if view.Browser != "" {
			s.caller.Browser = view.Browser
		}
		s.view = view
		if view.Step.Act != authn.ActBind {
			return nil
		}
		view, err = m.bind(ctx, s)
	}
	return err
}

func (m *Maker) bind(ctx context.Context, s *somebody) (login.View, error) {
	flow := s.view.Flow.ID
	if s.view.Step.Accepts(authn.ActBind, authn.Password) {
		return m.choosePassword(ctx, s, flow)
	}
	view, err := m.Login.Choose(ctx, s.caller, flow, s.realm.Apps[0].ID)
	if err != nil {
		return view, err
	}
	uri, err := totp.URI(view.Question, view.Flow.Subject)
	if err != nil {
		return view, err
	}
	if s.key, _, _, err = totp.ParseURI(uri); err != nil {
		return view, err
	}
	text, err := totp.KeyText(view.Question)
	if err != nil {
		return view, err
	}
	s.TOTPSecret = strings.ReplaceAll(text.Reveal(), " ", "")
	return m.Login.Prove(ctx, s.caller, flow, authn.Answer{
		Kind: authn.TOTP, Text: s.key.Code(m.Clock.Now()), Name: s.realm.Apps[0].Name, Model: s.realm.Apps[0].ID,
	})
}

// choosePassword chooses as people do: again, when the product refuses one. By chance one random password in a thousand
// holds a name of its owner ("nina"), or is taken for a common one.
func (m *Maker) choosePassword(ctx context.Context, s *somebody, flow string) (view login.View, err error) {
	for range 4 {
		s.Password = password()
		view, err = m.Login.Prove(ctx, s.caller, flow, authn.Answer{Kind: authn.Password, Text: s.Password, Confirm: s.Password})
		if !errors.Is(err, authn.ErrRejected) {
			break
		}
	}
	return view, err
}

// signIn walks the second half: the first sign-in, the terms, what to be written to about; and signs out.
func (m *Maker) signIn(ctx context.Context, s *somebody) error {
	view := s.view
	for range 12 {
		var err error
		flow := view.Flow.ID
		switch {
		case view.Minted != nil:
			s.caller.Session = view.Minted.Cookie
			return m.Login.SignOut(ctx, s.caller)
		case view.Step.Accepts(authn.ActProve, authn.Password):
			view, err = m.Login.Prove(ctx, s.caller, flow, authn.Answer{Kind: authn.Password, Address: s.Email, Text: s.Password})
		case view.Step.Accepts(authn.ActProve, authn.TOTP):
			view, err = m.Login.Prove(ctx, s.caller, flow, authn.Answer{Kind: authn.TOTP, Text: s.key.Code(m.Clock.Now())})
		case view.Step.Act == authn.ActPerform:
			s.view = view
			view, err = m.perform(ctx, s)
		default:
			return fmt.Errorf("the way in stops at %+v", view.Step)
		}
		if err != nil {
			return err
		}
	}
	return errors.New("the way in does not end")
}

// perform does a duty.
func (m *Maker) perform(ctx context.Context, s *somebody) (login.View, error) {
	done := login.Done{Duty: s.view.Step.Duty}
	if done.Duty == authn.Terms {
		done.Typed, done.Read, done.Version, done.Language = s.Email, true, s.realm.Terms.Version, s.realm.Languages[0]
	}
	return m.Login.Perform(ctx, s.caller, s.view.Flow.ID, done)
}

// tidy takes back the mails about the way in that nobody needs to read.
func (m *Maker) tidy(ctx context.Context, all []*somebody) error {
	now := m.Clock.Now()
	return m.Store.Write(ctx, func(tx Tx) error {
		for _, s := range all {
			if s.State != "active" {
				continue
			}
			sent, err := tx.Mails(s.Realm, s.id, 50)
			if err != nil {
				return err
			}
			for _, one := range sent {
				if one.State != mail.Waiting {
					continue
				}
				if _, err := tx.VoidMails(s.Realm, s.id, one.Template, now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

const consonants, vowels = "bdfgklmnprstvz", "aeiou"

// password makes 18 random syllables: 110 bits, readable from the screen and typed without mistakes. Whoever reads one
// directory's file knows nothing of another's.
func password() string {
	var raw [36]byte
	_, _ = rand.Read(raw[:]) // never fails (Go 1.24)
	var b strings.Builder
	for i, r := range raw[:] {
		if i%2 == 0 {
			b.WriteByte(consonants[int(r)%len(consonants)])
		} else {
			b.WriteByte(vowels[int(r)%len(vowels)])
		}
		if i%8 == 7 && i < len(raw)-1 {
			b.WriteByte('-')
		}
	}
	return b.String()
}

// key reads a seed of demo.json, for the start page.
func key(base32 string) (totp.Key, error) {
	k, _, _, err := totp.ParseURI(secret.Text("otpauth://totp/x:x?secret=" + base32 + "&issuer=x"))
	return k, err
}
