package recoverymatrix

import (
	"cmp"
	"context"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/rig"
)

// desk is the store of requests with a guard taken away.
type desk struct {
	admin.RequestStore
	weaken func(admin.RequestTx) admin.RequestTx
}

func (d desk) Write(ctx context.Context, fn func(admin.RequestTx) error) error {
	return d.RequestStore.Write(ctx, func(tx admin.RequestTx) error { return fn(d.weaken(tx)) })
}

// deskTx lets a test stand between the rules of requests and what is stored.
type deskTx struct {
	admin.RequestTx
	add, update func(*helpdesk.Request)
	load        func(*helpdesk.Request)
	quiet, mute bool
}

func (d deskTx) AddHelpRequest(q helpdesk.Request) error {
	if d.add != nil {
		d.add(&q)
	}
	return d.RequestTx.AddHelpRequest(q)
}

func (d deskTx) UpdateHelpRequest(q helpdesk.Request) error {
	if d.update != nil {
		d.update(&q)
	}
	return d.RequestTx.UpdateHelpRequest(q)
}

func (d deskTx) HelpRequest(realm, id string) (helpdesk.Request, error) {
	q, err := d.RequestTx.HelpRequest(realm, id)
	if d.load != nil {
		d.load(&q)
	}
	return q, err
}

func (d deskTx) Enqueue(m mail.Message) error {
	if d.mute {
		return nil
	}
	return d.RequestTx.Enqueue(m)
}

func (d deskTx) Audit(e audit.Event) error {
	if d.quiet {
		return nil
	}
	return d.RequestTx.Audit(e)
}

// requests wires a program whose requests are stored by a weakened store.
func requests(change deskTx) func(*rig.Rig) http.Handler {
	return func(r *rig.Rig) http.Handler {
		r.Requests.Store = desk{r.Requests.Store, func(tx admin.RequestTx) admin.RequestTx { d := change; d.RequestTx = tx; return d }}
		return r.Doors(r.Login)
	}
}

// flows is the store of sign-ins in which a link is taken for more than a mailbox.
type flows struct {
	login.Store
	kinds []authn.Kind
	goal  bool // and leads in
}

func (s flows) Write(ctx context.Context, fn func(login.Tx) error) error {
	return s.Store.Write(ctx, func(tx login.Tx) error { return fn(flowsTx{tx, s}) })
}

type flowsTx struct {
	login.Tx
	s flows
}

func (t flowsTx) AddFlow(f authn.Flow) error {
	if f.OneTime != "" {
		creds, err := t.Credentials(f.Realm, f.Person)
		if err != nil {
			return err
		}
		for _, c := range creds {
			if c.State == authn.Active && slices.Contains(t.s.kinds, c.Kind) {
				f.Evidence = append(f.Evidence, authn.Evidence{Kind: c.Kind, Credential: c.ID, At: f.Now})
			}
		}
		if t.s.goal {
			f.Goal = authn.Goal{}
		}
	}
	return t.Tx.AddFlow(f)
}

func links(s flows) func(*rig.Rig) http.Handler {
	return func(r *rig.Rig) http.Handler {
		s := s
		s.Store, r.Login.Store = r.Login.Store, nil
		r.Login.Store = s
		return r.Doors(r.Login)
	}
}

// Where the policy lets two fooled people and the mailbox help somebody who lost everything, the search finds the way, and
// finds it behind the cooling-off; it finds the ways of who has the password and the sheet of codes, or certificate, phone and
// mailbox, which are an owner's own. It can find something.
func TestSEC_H1_TheSearchFindsWhatThePolicyAllows(t *testing.T) {
	shop, certificates := newCast(t), newCast(t, rig.WithCertificates)
	for _, m := range []struct {
		c      *cast
		victim string
		wait   time.Duration
		attack
	}{
		{shop, "agent", 24 * time.Hour, attack{name: "mailbox and two", mailbox: true, desk: []string{"first", "second"}}},
		{shop, "max", 0, attack{name: "password and recovery codes", password: true, codes: true}},
		{certificates, "max", 0, attack{name: "certificate, phone and mailbox", cert: true, totp: true, mailbox: true}},
	} {
		a := m.aim(m.c, m.victim)
		a.quick, a.depth, a.waits = true, 8, nil
		if m.wait > 0 {
			a.waits = []time.Duration{m.wait}
		}
		if f := a.search(t, false); len(f.holes) == 0 {
			t.Errorf("%s: %d states, and no way", m.name, f.states)
		} else {
			t.Log(f.holes[0])
		}
	}
}

// With one guard gone, the search finds the hole: it does not pass because it sees nothing.
func TestSEC_H1_EveryGuardThatIsGoneIsNoticed(t *testing.T) {
	c, certificates := newCast(t), newCast(t, rig.WithCertificates)
	owner, supervisor := c.people["owner"].Is.ID, c.people["supervisor"].Is.ID
	puppet := c.people["puppet"].Is.ID
	at := func(q *helpdesk.Request) time.Time { return q.Approvals[len(q.Approvals)-1].At }
	two, one := []string{"first", "second"}, []string{"first"}
	databases := []bool{false} // that both search alike is a test of its own
	if os.Getenv("DOORWARD_TORTURE") != "" {
		databases = []bool{false, true}
	}
	for _, m := range []struct {
		name   string
		a      attack
		victim string
		wait   time.Duration // 0: within the cooling-off
		silent bool          // what is found is silence
		weak   func(*rig.Rig) http.Handler
		rule   directory.Rule // that nobody wrote
		c      *cast          // nil: of the shop
	}{
		{name: "no cooling-off", victim: "agent", a: attack{mailbox: true, desk: two}, weak: requests(deskTx{update: func(q *helpdesk.Request) {
			if q.State == helpdesk.Approved {
				q.From = at(q)
			}
		}})},
		{name: "the same person twice", victim: "agent", wait: 24 * time.Hour, a: attack{mailbox: true, desk: one}, weak: requests(deskTx{load: func(q *helpdesk.Request) {
			for i := range q.Approvals {
				if q.Approvals[i].By == supervisor {
					q.Approvals[i].By, q.Opener = owner, ""
				}
			}
		}})},
		{name: "one where two are needed", victim: "agent", wait: 24 * time.Hour, a: attack{mailbox: true, desk: one}, weak: requests(deskTx{add: func(q *helpdesk.Request) {
			q.Approvals = []helpdesk.Approval{{By: owner, Role: directory.Owner, At: q.Created}}
		}, load: func(q *helpdesk.Request) { q.Opener = "" }})},
		{name: "the mail alone replaces what it must not", victim: "max", a: attack{mailbox: true}, weak: links(flows{kinds: []authn.Kind{authn.TOTP}})},
		{name: "the mail and a certificate replace what they must not", c: certificates, victim: "max", a: attack{mailbox: true, cert: true}, weak: links(flows{kinds: []authn.Kind{authn.TOTP}})},
		{name: "an administrator who is two", victim: "bea", a: attack{desk: []string{"ada", "puppet"}}, weak: requests(deskTx{update: func(q *helpdesk.Request) {
			if len(q.Approvals) == 1 {
				q.Approvals = append(q.Approvals, helpdesk.Approval{By: puppet, Role: directory.Administrator, At: at(q)})
				q.State, q.From = helpdesk.Approved, at(q)
			}
		}})},
		{name: "a link signs in", victim: "max", a: attack{mailbox: true}, weak: links(flows{kinds: []authn.Kind{authn.Password, authn.TOTP}, goal: true})},
		{name: "somebody helps themselves", victim: "agent", a: attack{desk: []string{"agent"}}, rule: directory.Rule{
			By: []directory.Role{directory.Agent}, Acts: []directory.Act{directory.ResetFactor}, As: directory.Self, To: []directory.Role{directory.Agent},
		}},
		{name: "nobody is written to", victim: "max", a: attack{desk: one}, silent: true, weak: requests(deskTx{mute: true})},
		{name: "nothing is written down", victim: "max", a: attack{desk: one}, silent: true, weak: requests(deskTx{quiet: true})},
	} {
		t.Run(m.name, func(t *testing.T) {
			rules := directory.Rules
			directory.Rules = append(slices.Clone(rules), m.rule)
			defer func() { directory.Rules = rules }()
			for _, postgres := range databases {
				of := *cmp.Or(m.c, c)
				of.postgres = postgres
				a := m.a.aim(&of, m.victim)
				a.quick, a.depth, a.weak = true, 7, m.weak
				if m.wait > 0 {
					a.waits = []time.Duration{m.wait}
				}
				if m.silent {
					a.depth = 2
				}
				f := a.search(t, false)
				found := f.holes
				if m.silent {
					found = f.silent
				}
				if len(found) == 0 {
					t.Errorf("PostgreSQL %t: %d states, and nothing is noticed", postgres, f.states)
				} else {
					t.Log(found[0])
				}
			}
		})
	}
}
