package login_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/authn/totp"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// regrant is somebody whose lost authenticator was granted anew, with many flows that all stand at the same step: the new
// authenticator's first code is all that is missing.
type regrant struct {
	h          *house
	u          *user
	ada, ben   login.By // who look after them; Ada approved
	requests   *admin.Requests
	people     *admin.People
	request    helpdesk.Request
	flows      []string
	first      totp.Key // what the lost authenticator held
	code       string
	held, past string // the authenticator of before, and a notice that can be denied
}

func (h *house) by(name string, role directory.Role) login.By {
	h.t.Helper()
	p := directory.Person{
		ID: newID(), Realm: h.realm.ID, Organization: h.org.ID, Address: strings.ToLower(name) + "@sampleworks.example", Name: name,
		Role: role, State: directory.Active, Language: "en", Created: h.clock.now(), FirstActive: h.clock.now(),
	}
	h.write(func(tx *sqlstore.Tx) error { return tx.AddPerson(p) })
	return login.By{Signed: login.Signed{Person: p, Organization: h.org, Realm: h.realm}, Network: "192.0.2.1"}
}

const runners = 64

func newRegrant(h *house) *regrant {
	t := h.t
	t.Helper()
	ctx := context.Background()
	r := &regrant{
		h: h, u: h.person("Max", directory.Member).setUp(), ada: h.by("Ada", directory.Administrator), ben: h.by("Ben", directory.Administrator),
		requests: &admin.Requests{Store: sqlstore.For[admin.RequestTx](h.store), Ring: testdb.Ring(), Realms: h.realms, Rules: h.login, Clock: h.clock.now},
		people:   &admin.People{Store: sqlstore.For[admin.PeopleTx](h.store), Ring: testdb.Ring(), Realms: h.realms, Clock: h.clock.now},
	}
	h.clock.advance(time.Hour)
	r.held, r.first = r.active()[0].ID, r.u.key
	w := admin.Wish{Person: r.u.id, Kinds: []authn.Kind{authn.TOTP}, Reason: "The phone fell into the harbour", Channel: helpdesk.InPerson}
	var err error
	r.request, err = r.requests.Reset(ctx, r.ada, w)
	must(t, err)
	if r.request.State == helpdesk.Open { // two are needed, or it was chosen for a second look
		r.request, err = r.requests.Approve(ctx, r.ben, r.request.ID, r.request.Version)
		must(t, err)
	}
	h.write(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(h.realm.ID, r.u.id)
		if err != nil {
			return err
		}
		m := login.Notice(h.realm.Realm, p, p, "factor-added", h.clock.now(), "", "", map[string]string{"factor": "x", "kind": "totp"})
		r.past = m.ID
		return tx.Enqueue(m)
	})
	h.clock.advance(max(time.Minute, r.request.From.Sub(h.clock.now())+time.Minute))
	token := r.u.link(login.Recover)
	r.u.browser, r.u.session, r.u.device = "", "", ""
	v := r.u.proves(r.u.follow(login.Recover, token), authn.Password, r.u.password)
	expect(t, v, authn.ActBind, authn.TOTP)
	v = r.u.chooses(v)
	r.code = r.u.code()
	h.write(func(tx *sqlstore.Tx) error {
		f, err := tx.Flow(h.realm.ID, v.Flow.ID)
		r.flows = []string{f.ID}
		for len(r.flows) < runners && err == nil {
			f.ID = newID()
			r.flows = append(r.flows, f.ID)
			err = tx.AddFlow(f)
		}
		return err
	})
	return r
}

// bind shows the first code of the new authenticator in one of the flows.
func (r *regrant) bind(i int) error {
	_, err := r.h.login.Prove(context.Background(), r.u.caller(), r.flows[i], authn.Answer{Kind: authn.TOTP, Text: r.code, Name: "New phone"})
	return err
}

// active are the authenticators that count.
func (r *regrant) active() (out []authn.Credential) {
	r.h.t.Helper()
	r.h.read(func(tx *sqlstore.Tx) error {
		all, err := tx.Credentials(r.h.realm.ID, r.u.id)
		out = nil
		for _, c := range all {
			if c.Kind == authn.TOTP && c.State == authn.Active {
				out = append(out, c)
			}
		}
		return err
	})
	return out
}

// count is how often an event stands in the person's history.
func (r *regrant) count(kind string) (n int) {
	r.h.t.Helper()
	r.h.read(func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: r.h.realm.ID, Person: r.u.id, Limit: 1000})
		n = 0
		for _, e := range all {
			if e.Type == kind {
				n++
			}
		}
		return err
	})
	return n
}

func (r *regrant) now() (q helpdesk.Request) {
	r.h.t.Helper()
	r.h.read(func(tx *sqlstore.Tx) (err error) { q, err = tx.HelpRequest(r.h.realm.ID, r.request.ID); return err })
	return q
}

func word(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return fmt.Sprint(err)
}

// later is what flows are told whose grant is gone: somebody was faster, or they are asked for what counts now, and the code
// of an authenticator that was never bound is a wrong one.
func later(err error) bool {
	return slices.Contains([]string{"stale", "not-expected", "flow-over", "code-used", "code-wrong", "too-many-attempts", "too-many-wrong", "blocked"}, word(err))
}

// One grant, used in 64 flows at once: one of them binds, and every other one is told so.
func TestSEC_H1_TRACE_OneGrantIsUsedOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		r := newRegrant(h)
		said := make([]error, runners)
		bound := together(runners, func(i int) bool { said[i] = r.bind(i); return said[i] == nil })
		for _, err := range said {
			if err != nil && !later(err) {
				t.Errorf("a flow that came later is told %v", err)
			}
		}
		left := r.active()
		if bound != 1 || len(left) != 1 || left[0].ID == r.held || r.count("request.used") != 1 || r.count("credential.enrolled") != 3 {
			t.Errorf("%d flows have bound, %d authenticators, used %d times", bound, len(left), r.count("request.used"))
		}
		if q := r.now(); q.State != helpdesk.Done {
			t.Errorf("the request is %s", q.State)
		}
	})
}

// A grant is used in 56 flows while somebody takes it away in 8 others: whatever comes first, there is one outcome. Either it
// was used, once, or it was stopped, and then nothing was bound; and afterwards nobody binds anything.
func TestSEC_H1_H2_TRACE_AGrantThatIsTakenAwayMeanwhile(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name string
		take func(r *regrant) error
		// stops: the request itself is cancelled; else its use is forbidden while it stays approved.
		stops bool
		may   string // what one who takes it away may be told, because others did the same before
	}{
		{"stopped in the console", func(r *regrant) error {
			_, err := r.requests.Cancel(ctx, r.ben, r.request.ID, "Max says it was not him")
			return err
		}, true, "help-over"},
		{"stopped by the person", func(r *regrant) error {
			by := r.ben
			r.h.read(func(tx *sqlstore.Tx) (err error) { by.Person, err = tx.Person(r.h.realm.ID, r.u.id); return err })
			_, err := r.requests.Cancel(ctx, by, r.request.ID, "")
			return err
		}, true, "help-over"},
		{"stopped by the link of a notice", func(r *regrant) error {
			_, err := r.requests.StopByLink(ctx, login.Caller{Realm: r.h.realm.ID}, helpdesk.StopToken(testdb.Ring(), r.request))
			return err
		}, true, "help-over"},
		{"denied", func(r *regrant) error {
			_, err := r.requests.Deny(ctx, login.Caller{Realm: r.h.realm.ID}, mail.DenialToken(testdb.Ring(), r.h.realm.ID, r.past))
			return err
		}, true, ""},
		{"its approver disabled", func(r *regrant) error {
			_, err := r.people.Disable(ctx, r.ben, r.ada.Person.ID, "left the company")
			return err
		}, false, "stale"},
		{"its approver demoted", func(r *regrant) error {
			return r.h.store.Write(ctx, func(tx *sqlstore.Tx) error {
				p, err := tx.Person(r.h.realm.ID, r.ada.Person.ID)
				if err != nil || p.Role == directory.Member {
					return err
				}
				p.Role = directory.Member
				return tx.UpdatePerson(p)
			})
		}, false, "stale"},
		{"the policy applied anew", func(r *regrant) error {
			policies, err := authn.ParsePolicies(strings.Replace(r.h.realm.Policy, "recovery | grant + mail", "recovery", 1))
			if err != nil {
				return err
			}
			r.h.realms.mu.Lock()
			defer r.h.realms.mu.Unlock()
			stricter := *r.h.realm
			stricter.Policies = policies
			r.h.realms.r = &stricter
			return nil
		}, false, ""},
		{"the organization shut", func(r *regrant) error {
			return r.h.store.Write(ctx, func(tx *sqlstore.Tx) error {
				o, err := tx.Organization(r.h.realm.ID, r.h.org.ID)
				if err != nil || o.State == directory.Disabled {
					return err
				}
				o.State = directory.Disabled
				tx.Bump()
				return tx.UpdateOrganization(o)
			})
		}, false, "stale"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				r := newRegrant(h)
				var bound, taken atomic.Int64
				together(runners, func(i int) bool {
					if i%8 != 0 {
						if err := r.bind(i); err == nil {
							bound.Add(1)
						} else if !later(err) {
							t.Errorf("a flow is told %v", err)
						}
						return false
					}
					err := c.take(r)
					if err == nil {
						taken.Add(1)
					} else if word(err) != c.may {
						t.Errorf("who takes it away is told %v", err)
					}
					return false
				})
				q, left := r.now(), r.active()
				used := q.State == helpdesk.Done
				if n := bound.Load(); n > 1 || used != (n == 1) || r.count("request.used") != int(n) {
					t.Errorf("bound %d times, used %d times, the request is %s", n, r.count("request.used"), q.State)
				}
				if len(left) != 1 || used == (left[0].ID == r.held) {
					t.Errorf("used %t, and holds %+v", used, left)
				}
				switch {
				case c.stops && !used && (q.State != helpdesk.Cancelled || taken.Load() == 0 || r.count("request.cancelled") != 1):
					t.Errorf("neither used nor stopped: %s, %d events", q.State, r.count("request.cancelled"))
				case c.stops && used && c.name != "denied" && taken.Load() != 0:
					t.Error("used and stopped")
				case !c.stops && taken.Load() == 0:
					t.Error("it was never taken away")
				}
				// And nothing comes after it: not by the flows that are left, nor by one more look at the link.
				before := fmt.Sprint(left)
				for i := range r.flows {
					if err := r.bind(i); err == nil {
						t.Error("bound after it was taken away or used")
					}
				}
				if after := fmt.Sprint(r.active()); after != before {
					t.Errorf("held %s, now %s", before, after)
				}
			})
		})
	}
}

// Somebody says "this was not me" while 56 flows are at their last step: the account is frozen, and whoever came in first is
// out again.
func TestSEC_H7_TRACE2_SignInsMeetAFreeze(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		r := newRegrant(h)
		u := *r.u
		u.browser, u.session, u.device = "", "", ""
		_, err := r.requests.Cancel(ctx, r.ben, r.request.ID, "Max has found the phone") // the old authenticator is asked for again
		must(t, err)
		v := u.proves(u.begin(), authn.Password, u.password)
		flows := []string{v.Flow.ID}
		h.write(func(tx *sqlstore.Tx) error {
			f, err := tx.Flow(h.realm.ID, v.Flow.ID)
			for flows = flows[:1]; len(flows) < runners && err == nil; flows = append(flows, f.ID) {
				f.ID = newID()
				err = tx.AddFlow(f)
			}
			return err
		})
		h.clock.advance(time.Minute)
		token := mail.DenialToken(testdb.Ring(), h.realm.ID, r.past)
		key := r.first
		code, caller := key.Code(h.clock.now()), u.caller()
		minted := make([]*login.Minted, runners)
		together(runners, func(i int) bool {
			if i%8 == 4 {
				if _, err := r.requests.Deny(ctx, login.Caller{Realm: h.realm.ID, Network: "198.51.100.1"}, token); err != nil {
					t.Errorf("deny: %v", err)
				}
				return true
			}
			v, err := h.login.Prove(ctx, caller, flows[i], authn.Answer{Kind: authn.TOTP, Text: code})
			if minted[i] = v.Minted; err != nil && !later(err) {
				t.Errorf("a flow is told %v", err)
			}
			return true
		})
		in := 0
		for _, m := range minted {
			if m == nil {
				continue
			}
			in++
			if _, err := h.login.Authenticate(ctx, h.realm.ID, m.Cookie); !fault.Of(err, fault.Expired) {
				t.Errorf("a session outlived the freeze: %v", err)
			}
		}
		if in > 1 {
			t.Errorf("one code let %d in", in)
		}
		for _, id := range flows {
			if _, err := h.login.Look(ctx, caller, id); err == nil {
				t.Error("a flow outlived the freeze")
			}
		}
		if n := r.count("person.frozen"); n != 1 {
			t.Errorf("frozen %d times", n)
		}
	})
}
