// Package login runs flows: it gathers evidence, asks the engine what comes next, and mints sessions.
//
// The rules of this package:
//
//   - Prove is the only way evidence enters. Its phases are fixed: load, expected now?, reserve an attempt (committed
//     before anything is compared), verify (outside any transaction), then in one transaction recheck, spend, record,
//     audit, and compute the next step. Links go the same way (Follow).
//   - The step is computed by authn.Next at every call and never stored.
//   - mint is the only place that makes a session.
//   - What a stranger sees is the same whether an address is known or not: same answers, same number of hash runs, same
//     number of writes, mail only through the outbox.
//   - A flow belongs to one browser. Its secret is in a cookie; a flow's id alone is worth nothing. Only a link that
//     leads to the flow moves it to another browser.
package login

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"doorward/internal/activation"
	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/memory"
	"doorward/internal/rollout"
	"doorward/internal/secret"
	"doorward/internal/session"
)

// Lifetimes that no realm can lengthen.
const (
	FlowLife  = 30 * time.Minute // a sign-in that is left lying
	ProofLife = 30 * time.Minute // a proof inside a longer flow (set-up can be resumed for days, a proof cannot)
	FreshLife = 5 * time.Minute  // a complete login that may change factors (SECURITY S5)
	ResetLife = 30 * time.Minute // the link of a forgotten password
	maxWrong  = 5                // wrong answers in one flow (SEC T-6)
	skew      = session.Skew     // how far nodes' clocks may differ; what is further ahead comes from a clock that jumped
)

// Realm is a realm with its policies compiled.
type Realm struct {
	directory.Realm
	Policies *authn.Policies
}

// Invites reports whether an invitation leads somebody of that role in.
func (r *Realm) Invites(role directory.Role) bool {
	return r.Policies.Rules(rollout.AudienceOf(role)).Invites()
}

// Realms finds realms; it is a cache that follows the store's epoch.
type Realms interface {
	Realm(id string) (*Realm, error)
}

// Config is what a Service is made of. All fields but Count and Certificates are needed.
type Config struct {
	Store   Store
	Ring    *secret.Ring
	Methods []authn.Method
	Realms  Realms
	Clock   func() time.Time
	Epoch   func() int64 // rises when a session, person, organization or credential may have ended
	Log     *slog.Logger
	Count   func(metric string, labels ...string) // counts something for the operator; labels are pairs

	Certificates Certificates // needed where a method knows certificates
}

// Service runs flows. It is safe for concurrent use.
type Service struct {
	Config
	methods map[authn.Kind]authn.Method
	cache   memory.Memory[cached]
}

// New makes a Service. It fails when two methods know the same kind.
func New(c Config) (*Service, error) {
	s := &Service{Config: c, methods: make(map[authn.Kind]authn.Method), cache: memory.Memory[cached]{Cap: cacheSize}}
	if s.Count == nil {
		s.Count = func(string, ...string) {}
	}
	for _, m := range c.Methods {
		if s.methods[m.Kind()] != nil {
			return nil, fmt.Errorf("login: two methods for kind %q", m.Kind())
		}
		s.methods[m.Kind()] = m
	}
	return s, nil
}

// Caller is who is on the other side of a door. Browser, Device and Session are secrets from cookies, empty when there
// are none. Network is the client's address as the trusted edge sees it; it is never a reason to let anybody in.
type Caller struct {
	Realm    string
	Browser  secret.Text
	Device   secret.Text
	Session  secret.Text
	Network  string
	Agent    string // "Firefox on Windows"
	Language string
	Return   string // where this browser was on the way to, where a link says nothing: an opaque id
}

// View is what a door shows: the flow, the step, and what the page needs. Person is empty until evidence has fixed it.
type View struct {
	Realm    *Realm
	Flow     authn.Flow
	Step     authn.Step
	Person   directory.Person
	Question authn.Question        // open for this step: a seed to show
	Ways     []Way                 // credentials the person may pick from, last used first; only once the person is known
	Codes    bool                  // the person has recovery codes, for when they cannot show what is asked (see Lose)
	Alone    bool                  // nothing is left but what the person knows: see Bereft
	Wait     time.Duration         // until the person can show this kind again (a code is spent and the next one is due)
	Call     activation.Activation // what the step waits for where a call can be shown, zero before a code was asked for
	Browser  secret.Text           // set when the door must store a new browser secret
	Minted   *Minted               // set when the person was let in by this call
	Finished bool                  // the goal was to bind, and it is reached
	Helped   helpdesk.Request      // set when the flow is stuck and somebody is at it: what to name on the phone, and since when or from when
	Ahead    []directory.Due       // beside a step that can be put off: what asks for it
}

// Way is one credential the person may show now.
type Way struct {
	Kind       authn.Kind
	Credential string
	Name       string
	Model      string
	LastUsed   time.Time
}

// Minted is a new session and what the browser must keep of it.
type Minted struct {
	Session session.Session
	Cookie  secret.Text
	Device  secret.Text // empty: the browser is known already
	Return  string
	First   bool // the first time this person was let in
}

// Blocked is why somebody disabled, or of a disabled organization, is stuck. They learn it only after they have shown
// who they are (REQ B71).
const Blocked authn.Reason = "blocked"

// standing is everything the engine and the methods need of a flow at one moment.
type standing struct {
	realm   *Realm
	flow    authn.Flow
	person  directory.Person // zero when unknown
	org     directory.Organization
	creds   []authn.Credential
	fresh   bool // what was bound does not admit
	step    authn.Step
	helped  helpdesk.Request
	call    activation.Activation // of this flow, where the step waits for one
	device  string                // id of the certificate that a call in this flow followed, empty for none
	excused bool                  // only an exemption lets the person in
}

// stand loads a flow's person and computes the step. It reads only.
func (s *Service) stand(tx Tx, f authn.Flow) (standing, error) {
	realm, err := s.Realms.Realm(f.Realm)
	if err != nil {
		return standing{}, err
	}
	st := standing{realm: realm, flow: f}
	if err := risen(tx, f); err != nil {
		return st, err
	}
	var p authn.Person
	if f.Person != "" {
		if st.person, err = tx.Person(f.Realm, f.Person); err != nil {
			return st, err
		}
		if st.org, err = tx.Organization(f.Realm, st.person.Organization); err != nil {
			return st, err
		}
		if err = breakglass.Weigh(tx, &st.person, s.Clock()); err != nil {
			return st, err
		}
		if st.creds, err = tx.Credentials(f.Realm, f.Person); err != nil {
			return st, err
		}
		st.creds = authn.Lasting(st.creds, f.Now)
		if p, err = s.enginePerson(tx, st); err != nil {
			return st, err
		}
	}
	st.flow.Subject = subject(realm, st.person, st.org, f.Address)
	rules, err := s.rules(realm, st.person, st.org, f.Goal)
	if err != nil {
		return st, err
	}
	rules.Fresh = rules.Fresh || elsewhere(st.flow)
	st.fresh = rules.Fresh
	stands := counted(st.flow)
	if err := st.follow(tx, &stands); err != nil {
		return st, err
	}
	st.step, st.excused = authn.Next(rules, p, stands), authn.Excused(rules, p, stands)
	if f.Person == "" && f.Goal.Admit() {
		if st.step, err = s.anybody(realm, st.flow); err != nil {
			return st, err
		}
	}
	// Who is shut out shows everything first and learns it then (REQ B71): whoever has stolen a password alone does not.
	if f.Person != "" && disabled(st.person, st.org) && st.step.Act != authn.ActProve {
		st.step = authn.Step{Act: authn.ActStuck, Reason: Blocked}
	}
	if f.Person != "" && st.step.Act == authn.ActStuck {
		st.helped, err = helped(tx, st.person)
		return st, err
	}
	return st, s.waits(tx, &st)
}

// elsewhere reports whether something was bound long ago, or in another browser before the link was followed again. It
// was not this visitor who chose that password, as far as anybody knows: it has to be shown, whatever the policy says.
func elsewhere(f authn.Flow) bool {
	move := lastMove(f.Evidence)
	return slices.ContainsFunc(f.Evidence, func(e authn.Evidence) bool {
		return e.Bound && (e.At.Before(move) || f.Now.Sub(e.At) > ProofLife)
	})
}

// counted drops proofs that are too old to admit anybody, or come from a clock that ran ahead. Once-only evidence and what was bound here stay; they lead to
// further steps, and what was bound admits only as long as elsewhere says no.
func counted(f authn.Flow) authn.Flow {
	kept := make([]authn.Evidence, 0, len(f.Evidence))
	for _, e := range f.Evidence {
		info, _ := authn.Info(e.Kind)
		if age := f.Now.Sub(e.At); (info.Held || activation.Leads(e.Kind)) && !e.Bound && (age > ProofLife || age < -skew) {
			continue
		}
		kept = append(kept, e)
	}
	f.Evidence = kept
	return f
}

func subject(r *Realm, p directory.Person, o directory.Organization, typed string) authn.Subject {
	sub := authn.Subject{Address: p.Address, Name: p.Name, Organization: o.Name, Realm: r.ID, Issuer: r.Name}
	if sub.Address == "" {
		sub.Address = typed
	}
	sub.Words = []string{r.Name, r.Host, r.Operator}
	return sub
}

// enginePerson tells the engine what it may know: holdings and the duties still owed.
func (s *Service) enginePerson(tx Tx, st standing) (authn.Person, error) {
	p := authn.Person{ID: st.person.ID, EverActive: st.person.EverActive(), Held: authn.Holdings(st.creds)}
	var err error
	if p.Grants, err = grants(tx, st.person); err != nil {
		return p, err
	}
	if p.Owed, err = s.owed(tx, st.realm, st.person); err != nil || st.org.Policy == "" && len(st.realm.Dues(st.org)) == 0 {
		return p, err
	}
	p.Never, err = never(tx, st.person)
	return p, err
}

// never lists the kinds a person has never held. It matters only where an organization's own policy, or one that is rolled
// out, asks for more than its people have: what is new to them they enrol with what they hold (authn, E12).
func never(tx Tx, p directory.Person) ([]authn.Kind, error) {
	ever, err := tx.KindsEver(p.Realm, p.ID)
	if err != nil {
		return nil, err
	}
	var kinds []authn.Kind
	for _, i := range authn.Kinds {
		if i.Held && !slices.Contains(ever, i.Kind) {
			kinds = append(kinds, i.Kind)
		}
	}
	return kinds, nil
}

// owed lists the duties a person has not done for the realm as it is now.
func (s *Service) owed(tx Tx, r *Realm, p directory.Person) ([]authn.Duty, error) {
	var owed []authn.Duty
	if r.Terms.Version != "" {
		accepted, err := tx.Acceptances(r.ID, p.ID)
		if err != nil {
			return nil, err
		}
		done := false
		for _, a := range accepted {
			done = done || a.Version == r.Terms.Version
		}
		if !done {
			owed = append(owed, authn.Terms)
		}
	}
	if len(r.Topics) > 0 {
		have, err := tx.Preferences(r.ID, p.ID)
		if err != nil {
			return nil, err
		}
		if len(have) == 0 { // asked once; later topics are off until the person turns them on
			owed = append(owed, authn.Preferences)
		}
	}
	return owed, nil
}

// view turns a standing into what a door shows.
func (s *Service) view(ctx context.Context, st standing) (View, error) {
	v := View{Realm: st.realm, Flow: st.flow, Step: st.step, Person: st.person, Helped: st.helped, Call: st.call}
	if st.step.Later {
		v.Ahead = st.dues()
	}
	v.Codes = st.flow.OneTime == "" && st.flow.Person != "" && st.flow.Goal.Admit() && st.lost() != "" && len(ofKind(st.creds, authn.Recovery)) > 0
	v.Alone = st.bereft()
	if st.flow.Person == "" || st.step.Act != authn.ActProve && st.step.Act != authn.ActBind {
		return v, nil
	}
	if q := st.flow.Open; st.step.Accepts(st.step.Act, q.Kind) && q.For(q.Kind, st.step.Act == authn.ActBind, st.flow.Now) {
		v.Question = q
	}
	if st.step.Act != authn.ActProve {
		return v, nil
	}
	for _, k := range st.step.Kinds {
		for _, c := range st.creds {
			if c.Kind == k && c.State == authn.Active {
				v.Ways = append(v.Ways, Way{Kind: k, Credential: c.ID, Name: c.Name, Model: c.Model, LastUsed: c.LastUsed})
			}
		}
	}
	sortWays(v.Ways)
	if len(st.step.Kinds) > 0 {
		if m, ok := s.methods[st.step.Kinds[0]].(authn.Waiter); ok {
			v.Wait = m.Wait(st.flow, ofKind(st.creds, st.step.Kinds[0]))
		}
	}
	return v, nil
}

func ofKind(all []authn.Credential, k authn.Kind) []authn.Credential {
	return slices.DeleteFunc(slices.Clone(all), func(c authn.Credential) bool { return c.Kind != k || c.State != authn.Active })
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
