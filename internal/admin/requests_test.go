package admin_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/mail"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

const why = "The phone fell into the harbour"

// helps is the help desk of a desk.
func (d *desk) helps() *admin.Requests {
	d.t.Helper()
	rules, err := login.New(login.Config{Ring: testdb.Ring(), Realms: fixedRealm{d.realm}, Clock: func() time.Time { return d.now }})
	if err != nil {
		d.t.Fatal(err)
	}
	return &admin.Requests{
		Store: sqlstore.For[admin.RequestTx](d.store), Ring: testdb.Ring(), Realms: fixedRealm{d.realm}, Rules: rules,
		Clock: func() time.Time { return d.now },
	}
}

// holding adds somebody with a password and an authenticator.
func (d *desk) holding(name, org string, role directory.Role) login.By {
	d.t.Helper()
	by := d.active(name, org, role)
	for _, k := range []authn.Kind{authn.Password, authn.TOTP} {
		d.write(func(tx *sqlstore.Tx) error {
			return tx.AddCredential(authn.Credential{
				ID: id(), Realm: d.realm.ID, Person: by.Person.ID, Kind: k, State: authn.Active, Data: []byte("{}"), Created: d.now.Add(-time.Hour),
			})
		})
	}
	return by
}

// calm is an id that is not chosen for a second look.
func calm() string {
	for {
		if i := id(); int(testdb.Ring().Hash("second-look", i)[0])*100 >= directory.SecondLookPercent*256 {
			return i
		}
	}
}

// plant puts a request into the store, as if somebody had opened it, checked and found good.
func (d *desk) plant(whom login.By, opener string, change ...func(*helpdesk.Request)) helpdesk.Request {
	d.t.Helper()
	r := helpdesk.Request{
		ID: calm(), Realm: d.realm.ID, Person: whom.Person.ID, Organization: whom.Person.Organization, Address: whom.Person.Address,
		Why: helpdesk.FactorLost, Kinds: []authn.Kind{authn.TOTP}, Reason: why, Channel: helpdesk.ByPhone, Opener: opener, Asked: 1, State: helpdesk.Open, Created: d.now,
		Checks: []helpdesk.Check{{Rule: "call-back", Result: helpdesk.Passed, Note: "as on file", By: "somebody", At: d.now}},
	}
	r.Number = "N" + r.ID
	for _, c := range change {
		c(&r)
	}
	d.write(func(tx *sqlstore.Tx) error { return tx.AddHelpRequest(r) })
	return r
}

func (d *desk) request(id string) (r helpdesk.Request) {
	d.t.Helper()
	d.write(func(tx *sqlstore.Tx) (err error) { r, err = tx.HelpRequest(d.realm.ID, id); return err })
	return r
}

// forget takes all requests away.
func (d *desk) forget() {
	d.write(func(tx *sqlstore.Tx) error { return erase(tx, d.realm.ID) })
}

// erase closes whatever is live, long ago.
func erase(tx *sqlstore.Tx, realm string) error {
	for {
		live, err := tx.HelpInbox(realm, "", "", 100)
		if err != nil || len(live) == 0 {
			return err
		}
		for _, r := range live {
			r.State, r.From, r.Approvals, r.Checks, r.Closed = helpdesk.Cancelled, time.Time{}, nil, nil, r.Created
			if err := tx.UpdateHelpRequest(r); err != nil {
				return err
			}
		}
	}
}

func word(err error) string {
	if err == nil {
		return "ok"
	}
	return code(err)
}

// Who may do what about whom: every method against every role and relation. What an actor may not see answers as if there
// were nothing.
func TestSEC_Z_REQ_B40_WhoMayDoWhatAboutWhom(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		amy := d.holding("Amy", "Alder Works", directory.Administrator)
		gus := d.holding("Gus", "Northline", directory.Agent)
		mia := d.active("Mia", "Alder Works", directory.Member)
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		bea := d.active("Bea", "Birch Ltd", directory.Administrator)
		agent := d.active("Agent", "Northline", directory.Agent)
		super := d.active("Super", "Northline", directory.Supervisor)
		audi := d.active("Audi", "Northline", directory.Auditor)
		owner := d.active("Owner", "Northline", directory.Owner)
		off := d.active("Off", "Northline", directory.Owner)
		off.Person.State = directory.Disabled
		other := d.active("Other", "Northline", directory.Supervisor)

		nobody := login.By{}
		nobody.Person.Address, nobody.Person.Name = "nobody@nowhere.example", "nobody"
		const nf, na, ok, own, chk = "not-found", "not-allowed", "ok", "own-request", "checks-missing"
		wish := func(p login.By) admin.Wish {
			return admin.Wish{Person: p.Person.ID, Kinds: []authn.Kind{authn.TOTP}, Reason: why, Channel: helpdesk.ByPhone}
		}
		form := func(r *helpdesk.Request) { r.Person, r.Kinds, r.Channel, r.Checks = "", nil, helpdesk.ByForm, nil }
		methods := map[string]func(by, p login.By) error{
			"open": func(by, p login.By) error { _, err := s.Open(ctx, by, wish(p)); return err },
			"reset": func(by, p login.By) error {
				if p.Person.Role == directory.Agent { // two are needed, the first of whom checks
					w := wish(p)
					w.Kinds, w.Everything = nil, true
					_, err := s.Reset(ctx, by, w)
					return err
				}
				_, err := s.Reset(ctx, by, wish(p))
				return err
			},
			"check": func(by, p login.By) error {
				_, err := s.Check(ctx, by, d.plant(p, other.Person.ID).ID, helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "good"})
				return err
			},
			"approve": func(by, p login.By) error {
				_, err := s.Approve(ctx, by, d.plant(p, other.Person.ID).ID, 0)
				return err
			},
			"refuse": func(by, p login.By) error {
				_, err := s.Refuse(ctx, by, d.plant(p, other.Person.ID).ID, 0, why, false)
				return err
			},
			"cancel": func(by, p login.By) error {
				_, err := s.Cancel(ctx, by, d.plant(p, other.Person.ID).ID, why)
				return err
			},
			"answer": func(by, p login.By) error {
				_, err := s.Answer(ctx, by, d.plant(p, other.Person.ID).ID, 0, why)
				return err
			},
			"look": func(by, p login.By) error { _, err := s.Look(ctx, by, d.plant(p, other.Person.ID).ID); return err },
			"list": func(by, p login.By) error {
				r := d.plant(p, other.Person.ID)
				box, err := s.List(ctx, by, admin.Filter{})
				if err == nil && !slices.ContainsFunc(box.Items, func(i admin.Item) bool { return i.ID == r.ID }) {
					return fmt.Errorf("unlisted")
				}
				return err
			},
			"refuse form": func(by, p login.By) error {
				_, err := s.Refuse(ctx, by, d.plant(p, "", form).ID, 0, why, false)
				return err
			},
			"answer form": func(by, p login.By) error { _, err := s.Answer(ctx, by, d.plant(p, "", form).ID, 0, why); return err },
			"cancel form": func(by, p login.By) error { _, err := s.Cancel(ctx, by, d.plant(p, "", form).ID, why); return err },
			"look form":   func(by, p login.By) error { _, err := s.Look(ctx, by, d.plant(p, "", form).ID); return err },
			"take form": func(by, p login.By) error {
				w := wish(p)
				w.Ticket = d.plant(p, "", form).ID
				_, err := s.Open(ctx, by, w)
				return err
			},
		}
		columns := []login.By{ada, mia, bea, agent, super, audi, owner, off, max, amy, gus}
		un := "unlisted"
		// columns:              ada mia  bea agent super audi owner off max  amy  gus
		table := []struct {
			method string
			target login.By
			want   []string
		}{
			{"open", max, []string{ok, nf, nf, ok, ok, na, ok, na, na, ok, ok}},
			{"reset", max, []string{ok, nf, nf, chk, chk, na, chk, na, na, ok, chk}},
			{"check", max, []string{na, nf, nf, ok, ok, na, ok, na, na, na, ok}},
			{"approve", max, []string{ok, nf, nf, ok, ok, na, ok, na, own, ok, ok}},
			{"refuse", max, []string{ok, nf, nf, ok, ok, na, ok, na, na, ok, ok}},
			{"cancel", max, []string{ok, nf, nf, ok, ok, na, ok, na, ok, ok, ok}},
			{"answer", max, []string{ok, nf, nf, ok, ok, na, ok, na, na, ok, ok}},
			{"look", max, []string{ok, nf, nf, ok, ok, ok, ok, nf, nf, ok, ok}},
			{"list", max, []string{ok, na, un, ok, ok, ok, ok, na, na, ok, ok}},
			{"refuse form", max, []string{ok, nf, nf, ok, ok, na, ok, na, na, ok, ok}},
			{"answer form", max, []string{ok, nf, nf, ok, ok, na, ok, na, na, ok, ok}},
			{"cancel form", max, []string{ok, nf, nf, ok, ok, na, ok, na, na, ok, ok}},
			{"look form", max, []string{ok, nf, nf, ok, ok, ok, ok, nf, nf, ok, ok}},
			{"take form", max, []string{ok, nf, nf, ok, ok, na, ok, na, na, ok, ok}},
			{"open", amy, []string{ok, na, nf, ok, ok, na, ok, na, na, na, ok}},
			{"reset", amy, []string{ok, na, nf, chk, chk, na, chk, na, na, na, chk}},
			{"check", amy, []string{na, na, nf, ok, ok, na, ok, na, na, na, ok}},
			{"approve", amy, []string{ok, na, nf, ok, ok, na, ok, na, na, own, ok}},
			{"refuse", amy, []string{ok, na, nf, ok, ok, na, ok, na, na, na, ok}},
			{"cancel", amy, []string{ok, na, nf, ok, ok, na, ok, na, na, ok, ok}},
			{"look", amy, []string{ok, nf, nf, ok, ok, ok, ok, nf, nf, nf, ok}},
			{"list", amy, []string{ok, na, un, ok, ok, ok, ok, na, na, un, ok}},
			{"refuse form", amy, []string{ok, na, nf, ok, ok, na, ok, na, na, na, ok}},
			{"open", gus, []string{nf, nf, nf, na, ok, na, ok, na, nf, nf, na}},
			{"reset", gus, []string{nf, nf, nf, na, chk, na, chk, na, nf, nf, na}},
			{"check", gus, []string{nf, nf, nf, na, ok, na, ok, na, nf, nf, na}},
			{"approve", gus, []string{nf, nf, nf, na, ok, na, ok, na, nf, nf, own}},
			{"refuse", gus, []string{nf, nf, nf, na, ok, na, ok, na, nf, nf, na}},
			{"cancel", gus, []string{nf, nf, nf, na, ok, na, ok, na, nf, nf, ok}},
			{"look", gus, []string{nf, nf, nf, nf, ok, ok, ok, nf, nf, nf, nf}},
			{"list", gus, []string{un, na, un, un, ok, ok, ok, na, na, un, un}},
			{"refuse form", gus, []string{nf, nf, nf, na, ok, na, ok, na, nf, nf, na}},
			{"refuse form", nobody, []string{nf, nf, nf, ok, ok, na, ok, nf, nf, nf, ok}},
			{"answer form", nobody, []string{nf, nf, nf, ok, ok, na, ok, nf, nf, nf, ok}},
			{"cancel form", nobody, []string{nf, nf, nf, ok, ok, na, ok, nf, nf, nf, ok}},
			{"look form", nobody, []string{nf, nf, nf, ok, ok, ok, ok, nf, nf, nf, ok}},
		}
		for _, row := range table {
			for i, by := range columns {
				d.forget()
				d.now = d.now.Add(25 * time.Hour) // daily numbers begin anew
				if got := word(methods[row.method](by, row.target)); got != row.want[i] && !strings.HasSuffix(got, row.want[i]) {
					t.Errorf("%s (%s) %s about %s: %s, want %s", by.Person.Name, by.Person.Role, row.method, row.target.Person.Name, got, row.want[i])
				}
			}
		}
		// An id that is nobody's answers exactly as one of another organization.
		foreign := d.plant(max, other.Person.ID)
		for name, ask := range map[string]func(id string) error{
			"check": func(id string) error {
				_, err := s.Check(ctx, bea, id, helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "good"})
				return err
			},
			"approve": func(id string) error { _, err := s.Approve(ctx, bea, id, 0); return err },
			"refuse":  func(id string) error { _, err := s.Refuse(ctx, bea, id, 0, why, true); return err },
			"cancel":  func(id string) error { _, err := s.Cancel(ctx, bea, id, why); return err },
			"answer":  func(id string) error { _, err := s.Answer(ctx, bea, id, 0, why); return err },
			"look":    func(id string) error { _, err := s.Look(ctx, bea, id); return err },
			"ticket": func(id string) error {
				bob := wish(login.By{Signed: login.Signed{Person: directory.Person{ID: bea.Person.ID}}})
				bob.Ticket = id
				_, err := s.Open(ctx, agent, bob)
				return err
			},
		} {
			if a, b := fmt.Sprint(ask(foreign.ID)), fmt.Sprint(ask(id())); a != b {
				t.Errorf("%s: another organization's request says %q, none says %q", name, a, b)
			}
		}
	})
}

func TestREQ_B40_WhatIsRefusedAndInWhichWords(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		ben := d.holding("Ben", "Alder Works", directory.Member)
		bare := d.active("Bare", "Alder Works", directory.Member) // holds nothing
		new := directory.Person{
			ID: id(), Realm: d.realm.ID, Organization: d.orgs["Alder Works"].ID, Address: "new@example.com", Name: "New", Role: directory.Member,
			State: directory.Invited, Language: "en", Created: d.now,
		}
		shut := d.holding("Shut", "Alder Works", directory.Member)
		d.write(func(tx *sqlstore.Tx) error {
			shut.Person.State = directory.Frozen
			if err := tx.AddPerson(new); err != nil {
				return err
			}
			return tx.UpdatePerson(shut.Person)
		})
		agent, super := d.active("Agent", "Northline", directory.Agent), d.active("Super", "Northline", directory.Supervisor)
		long := strings.Repeat("x", 2001)
		totp := []authn.Kind{authn.TOTP}
		good := admin.Wish{Person: max.Person.ID, Kinds: totp, Reason: why, Channel: helpdesk.ByPhone}
		with := func(change func(*admin.Wish)) admin.Wish { w := good; change(&w); return w }
		for _, c := range []struct {
			want string
			w    admin.Wish
		}{
			{"reason-short", with(func(w *admin.Wish) { w.Reason = "x" })},
			{"reason-short", with(func(w *admin.Wish) { w.Reason = " \n\t           x " })},
			{"text-long", with(func(w *admin.Wish) { w.Reason = long })},
			{"kinds-missing", with(func(w *admin.Wish) { w.Kinds = nil })},
			{"kinds-missing", with(func(w *admin.Wish) { w.Kinds = []authn.Kind{authn.TOTP, authn.TOTP} })},
			{"kinds-missing", with(func(w *admin.Wish) { w.Kinds = []authn.Kind{authn.Recovery} })},
			{"kinds-missing", with(func(w *admin.Wish) { w.Kinds = []authn.Kind{authn.Mail} })},
			{"kinds-missing", with(func(w *admin.Wish) { w.Kinds = []authn.Kind{"nonsense"} })},
			{"channel-missing", with(func(w *admin.Wish) { w.Channel = helpdesk.ByForm })},
			{"channel-missing", with(func(w *admin.Wish) { w.Channel = "" })},
			{"never-active", with(func(w *admin.Wish) { w.Person = new.ID })},
			{"person-shut", with(func(w *admin.Wish) { w.Person = shut.Person.ID })},
			{"request-no-way", with(func(w *admin.Wish) { w.Person, w.Kinds = bare.Person.ID, []authn.Kind{authn.Cert} })},
			{"not-found", with(func(w *admin.Wish) { w.Person = "" })},
			{"not-found", with(func(w *admin.Wish) { w.Ticket = "none" })},
		} {
			if _, err := s.Open(ctx, agent, c.w); code(err) != c.want {
				t.Errorf("%+v: %v, want %s", c.w, err, c.want)
			}
		}
		if n := len(d.mails()); n != 0 {
			t.Errorf("%d mails about what was refused", n)
		}

		r := d.plant(max, agent.Person.ID, func(r *helpdesk.Request) { r.Checks = nil })
		if _, err := s.Open(ctx, agent, good); code(err) != "request-open" || fault.As(err).Args["number"] != r.Number {
			t.Errorf("a second one: %v", err)
		}
		ticket := d.plant(max, "", func(r *helpdesk.Request) { r.Person, r.Kinds = "", nil })
		if _, err := s.Open(ctx, agent, with(func(w *admin.Wish) { w.Ticket = ticket.ID })); code(err) != "request-open" {
			t.Errorf("a ticket beside an open one: %v", err)
		}
		if _, err := s.Open(ctx, agent, with(func(w *admin.Wish) { w.Ticket, w.Person = ticket.ID, ben.Person.ID })); code(err) != "not-found" {
			t.Errorf("somebody else's ticket: %v", err)
		}
		if _, err := s.AskFor(ctx, max, admin.Form{Why: helpdesk.Blocked}); code(err) != "request-open" {
			t.Errorf("by themselves: %v", err)
		}
		if _, err := s.Approve(ctx, agent, ticket.ID, 0); code(err) != "request-nobody" {
			t.Errorf("a form is approved: %v", err)
		}

		for _, c := range []struct {
			want string
			c    helpdesk.Check
		}{
			{"check-unknown", helpdesk.Check{Rule: "no-such", Result: helpdesk.Passed, Note: "good"}},
			{"result-missing", helpdesk.Check{Rule: "call-back", Note: "good"}},
			{"note-short", helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: " x "}},
			{"text-long", helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "good", Evidence: long}},
		} {
			if _, err := s.Check(ctx, agent, r.ID, c.c); code(err) != c.want {
				t.Errorf("%+v: %v, want %s", c.c, err, c.want)
			}
		}
		passed := helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "good"}
		if _, err := s.Check(ctx, agent, ticket.ID, passed); code(err) != "request-nobody" {
			t.Errorf("a form is checked: %v", err)
		}
		if _, err := s.Approve(ctx, agent, r.ID, 7); code(err) != "stale" {
			t.Errorf("another version: %v", err)
		}
		if _, err := s.Approve(ctx, agent, r.ID, 0); code(err) != "checks-missing" {
			t.Errorf("without a check: %v", err)
		}
		if now := d.request(r.ID); now.Version != 0 || len(now.Checks) != 0 {
			t.Errorf("something stayed of it: %+v", now)
		}
		if _, err := s.Refuse(ctx, agent, r.ID, 0, "no", false); code(err) != "reason-short" {
			t.Errorf("refused without a reason: %v", err)
		}
		if _, err := s.Answer(ctx, agent, r.ID, 0, "no"); code(err) != "reason-short" {
			t.Errorf("answered without words: %v", err)
		}
		for _, do := range []func(v int64) error{
			func(v int64) error { _, err := s.Refuse(ctx, agent, r.ID, v, why, false); return err },
			func(v int64) error { _, err := s.Answer(ctx, agent, r.ID, v, why); return err },
		} {
			if err := do(7); code(err) != "stale" {
				t.Errorf("another version: %v", err)
			}
		}
		d.now = d.now.Add(helpdesk.OpenFor)
		if _, err := s.Approve(ctx, super, r.ID, 0); code(err) != "help-over" {
			t.Errorf("after a fortnight: %v", err)
		}
		if _, err := s.Check(ctx, agent, r.ID, passed); code(err) != "help-over" {
			t.Errorf("checked after a fortnight: %v", err)
		}
		d.forget()
		for name, err := range map[string]error{
			"check":   func() error { _, err := s.Check(ctx, agent, r.ID, passed); return err }(),
			"refuse":  func() error { _, err := s.Refuse(ctx, agent, r.ID, 1, why, false); return err }(),
			"answer":  func() error { _, err := s.Answer(ctx, agent, r.ID, 1, why); return err }(),
			"cancel":  func() error { _, err := s.Cancel(ctx, agent, r.ID, why); return err }(),
			"approve": func() error { _, err := s.Approve(ctx, agent, r.ID, 1); return err }(),
		} {
			if code(err) != "help-over" {
				t.Errorf("%s what is closed: %v", name, err)
			}
		}
		frozen := d.plant(shut, agent.Person.ID)
		if _, err := s.Approve(ctx, agent, frozen.ID, 0); code(err) != "person-shut" {
			t.Errorf("for somebody frozen: %v", err)
		}

		caller := func(n int) login.Caller {
			return login.Caller{Realm: d.realm.ID, Network: fmt.Sprint("198.51.100.", n)}
		}
		for _, c := range []struct {
			want string
			f    admin.Form
		}{
			{"address-invalid", admin.Form{Address: "nobody", Why: helpdesk.Blocked}},
			{"why-missing", admin.Form{Address: "a@b.example", Why: helpdesk.NotMe}},
			{"words-missing", admin.Form{Address: "a@b.example", Why: helpdesk.Other, Words: "  "}},
			{"text-long", admin.Form{Address: "a@b.example", Why: helpdesk.Blocked, Words: long}},
		} {
			if _, err := s.Ask(ctx, caller(1), c.f, helpdesk.Proof{}); code(err) != c.want {
				t.Errorf("%.40v: %v, want %s", c.f, err, c.want)
			}
		}
		for _, token := range []string{"", "x", r.ID, r.ID + ".x", frozen.ID + "." + strings.Repeat("0", 26)} {
			if _, err := s.Peek(ctx, d.realm.ID, token); code(err) != "link-unknown" {
				t.Errorf("a link %q: %v", token, err)
			}
			if _, err := s.StopByLink(ctx, caller(1), token); code(err) != "link-unknown" {
				t.Errorf("a link %q stops: %v", token, err)
			}
			if _, err := s.Deny(ctx, caller(1), token); code(err) != "link-unknown" {
				t.Errorf("a link %q freezes: %v", token, err)
			}
		}
	})
}

// What a yes was given to does not change under it: a request that is opened anew for something else begins anew.
func TestSEC_H1_AnApprovalIsOfWhatWasAskedThen(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		agent, super := d.active("Agent", "Northline", directory.Agent), d.active("Super", "Northline", directory.Supervisor)
		r := d.plant(max, agent.Person.ID, func(r *helpdesk.Request) { r.Needed = 2 })
		if _, err := s.Approve(ctx, super, r.ID, 0); err != nil {
			t.Fatal(err)
		}
		r, err := s.Open(ctx, agent, admin.Wish{Person: max.Person.ID, Ticket: r.ID, Everything: true, Reason: why, Channel: helpdesk.ByPhone})
		if code(err) == "request-no-way" {
			t.Fatal(err)
		}
		if err != nil || len(r.Approvals) != 0 || r.Needed != 0 || len(d.request(r.ID).Approvals) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestSEC_H6_AFailedCheckStopsAnAdministratorToo(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		agent, ina := d.active("Agent", "Northline", directory.Agent), d.active("Ina", "Northline", directory.Agent)
		r := d.plant(max, agent.Person.ID, func(r *helpdesk.Request) { r.Checks = nil })
		check := func(by login.By, rule string, how helpdesk.Result) {
			t.Helper()
			var err error
			if r, err = s.Check(ctx, by, r.ID, helpdesk.Check{Rule: rule, Result: how, Note: "as it was"}); err != nil {
				t.Fatal(err)
			}
		}
		check(agent, "call-back", helpdesk.Failed)
		for range 2 {
			if _, err := s.Approve(ctx, ada, r.ID, r.Version); code(err) != "checks-missing" {
				t.Errorf("beside a failed check: %v", err)
			}
			check(agent, "call-back", helpdesk.Passed) // who failed it
		}
		check(ina, "call-back", helpdesk.Passed)
		if got, err := s.Approve(ctx, ada, r.ID, r.Version); err != nil || got.State != helpdesk.Open || got.Needed != 2 {
			t.Errorf("after another passed it: %+v, %v", got, err)
		}
	})
}

func TestSEC_H2_H3_LimitsOfWhoApproves(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		agent, super := d.active("Agent", "Northline", directory.Agent), d.active("Super", "Northline", directory.Supervisor)
		ada, eve := d.active("Ada", "Alder Works", directory.Administrator), d.active("Eve", "Alder Works", directory.Administrator)
		n := 0
		next := func() login.By { n++; return d.holding(fmt.Sprint("Max", n), "Alder Works", directory.Member) }
		for i := range directory.ApprovalsPerAgent + 1 {
			r, err := s.Approve(ctx, agent, d.plant(next(), "x").ID, 0)
			want := helpdesk.Approved
			if i == directory.ApprovalsPerAgent {
				want = helpdesk.Open
			}
			if err != nil || r.State != want {
				t.Errorf("an agent's %d.: %s needs %d, %v", i+1, r.State, r.Needed, err)
			}
		}
		for i := range directory.ResetsPerAdministrator + 1 {
			_, err := s.Approve(ctx, ada, d.plant(next(), "x").ID, 0)
			if i < directory.ResetsPerAdministrator && err != nil || i == directory.ResetsPerAdministrator && code(err) != "too-many-resets" {
				t.Errorf("an administrator's %d.: %v", i+1, err)
			}
		}
		d.now = d.now.Add(25 * time.Hour)

		// A second grant within a day, used or not.
		max := next()
		r, err := s.Approve(ctx, ada, d.plant(max, "x").ID, 0)
		if err != nil || r.State != helpdesk.Approved {
			t.Fatal(r.State, err)
		}
		if _, err = s.Cancel(ctx, ada, r.ID, why); err != nil {
			t.Fatal(err)
		}
		if r, err = s.Approve(ctx, ada, d.plant(max, "x").ID, 0); err != nil || r.State != helpdesk.Open || r.Needed != 2 {
			t.Errorf("again within a day: %s needs %d, %v", r.State, r.Needed, err)
		}
		if _, err = s.Cancel(ctx, ada, r.ID, why); err != nil {
			t.Fatal(err)
		}
		// The password, after the authenticator: two others.
		d.now = d.now.Add(48 * time.Hour)
		r = d.plant(max, "x", func(r *helpdesk.Request) { r.Kinds = []authn.Kind{authn.Password} })
		d.write(func(tx *sqlstore.Tx) error { // she approved it 71 hours ago
			e, err := tx.HelpRequestsOf(d.realm.ID, max.Person.ID, 10)
			if err != nil {
				return err
			}
			for _, e := range e {
				for i := range e.Approvals {
					e.Approvals[i].At = d.now.Add(-71 * time.Hour)
				}
				if len(e.Approvals) > 0 {
					if err := tx.UpdateHelpRequest(e); err != nil {
						return err
					}
				}
			}
			return nil
		})
		switch _, err := s.Approve(ctx, ada, r.ID, 0); code(err) {
		case "factors-apart":
		default:
			t.Errorf("both factors by one: %v", err)
		}
		if r, err = s.Approve(ctx, eve, r.ID, 0); err != nil || r.State != helpdesk.Open || r.Needed != 2 {
			t.Errorf("by another: %s needs %d, %v", r.State, r.Needed, err)
		}
		if _, err = s.Approve(ctx, ada, r.ID, r.Version); code(err) != "factors-apart" {
			t.Errorf("as the second of two: %v", err)
		}
		if _, err = s.Approve(ctx, super, r.ID, r.Version); err != nil {
			t.Error(err)
		}
		// Nobody is asked about without end.
		bob := next()
		for i := range 11 {
			r, err := s.Open(ctx, agent, admin.Wish{Person: bob.Person.ID, Kinds: []authn.Kind{authn.TOTP}, Reason: why, Channel: helpdesk.ByPhone})
			if i == 10 {
				if code(err) != "too-many-requests" {
					t.Errorf("the 11th: %v", err)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Cancel(ctx, agent, r.ID, why); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Stopping what was chosen for a second look and asking again does not shake the second look off.
func TestSEC_H2_ASecondLookIsNotShakenOff(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		chosen := ""
		for chosen == "" {
			if i := id(); int(testdb.Ring().Hash("second-look", i)[0])*100 < directory.SecondLookPercent*256 {
				chosen = i
			}
		}
		d.plant(max, ada.Person.ID, func(r *helpdesk.Request) { r.ID = chosen })
		for i := range 3 {
			r, err := s.Approve(ctx, ada, chosen, 0)
			if err != nil || r.State != helpdesk.Open || r.Needed != 2 {
				t.Fatalf("try %d: %s needs %d, %v", i, r.State, r.Needed, err)
			}
			if _, err := s.Cancel(ctx, ada, r.ID, why); err != nil {
				t.Fatal(err)
			}
			chosen = d.plant(max, ada.Person.ID).ID
		}
	})
}

// One impostor, a script, 20 calls, five agents: at most one grant, and the supervisors hear of it after the second refusal
// (SEC T-HD2). Every other agent is fooled: they call back the number the caller gives them.
func TestSEC_THD2_TwentyCallsOfOneImpostor(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		d.active("Ada", "Alder Works", directory.Administrator)
		super := d.active("Super", "Northline", directory.Supervisor)
		var agents []login.By
		for i := range 5 {
			agents = append(agents, d.active(fmt.Sprint("Agent", i), "Northline", directory.Agent))
		}
		grants, refusals, alarms, calls := 0, 0, 0, 0
		looked := false // one that would have been a grant was chosen for a second look
		heard := func() (n int) {
			for _, m := range d.mails() {
				if m.Template == "request-alarm" && m.Person == super.Person.ID {
					n++
				}
			}
			return n
		}
		for call := range 20 {
			agent := agents[call%5]
			fooled := call%2 == 0
			d.now = d.now.Add(20 * time.Minute)
			calls++
			r, err := s.Open(ctx, agent, admin.Wish{Person: max.Person.ID, Kinds: []authn.Kind{[]authn.Kind{authn.TOTP, authn.Password}[call/5%2]}, Reason: why, Channel: helpdesk.ByPhone})
			if err != nil { // somebody asked too often, or one is open: the caller is sent away
				continue
			}
			how := helpdesk.Failed
			if fooled {
				how = helpdesk.Passed
			}
			if r, err = s.Check(ctx, agent, r.ID, helpdesk.Check{Rule: "call-back", Result: how, Note: "said the right things"}); err != nil {
				t.Fatal(err)
			}
			if fooled {
				got, err := s.Approve(ctx, agent, r.ID, r.Version)
				if err == nil && got.State == helpdesk.Approved {
					grants++
				}
				looked = looked || int(testdb.Ring().Hash("second-look", r.ID)[0])*100 < directory.SecondLookPercent*256
				if err == nil {
					r = got
				}
				// The impostor cannot use it: they have neither mailbox nor password. They call again, and the agent of the
				// next call makes room.
				if _, err := s.Cancel(ctx, agent, r.ID, "the caller asks for something else"); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if _, err := s.Refuse(ctx, agent, r.ID, r.Version, "gave a wrong number to call back", true); err != nil {
				t.Fatal(err)
			}
			refusals++
			if alarms = heard(); alarms != max0(refusals-1) {
				t.Errorf("after %d refusals %d alarms", refusals, alarms)
			}
		}
		if grants > 1 {
			t.Errorf("%d grants in %d calls", grants, calls)
		}
		if grants == 0 && !looked || refusals < 2 || alarms == 0 {
			t.Errorf("%d grants, %d refusals, %d alarms: the script proves nothing", grants, refusals, alarms)
		}
	})
}

func max0(n int) int { return max(0, n) }

// A form that is refused counts against whoever it named: the next agent sees it, and two are needed.
func TestSEC_THD2_ARefusedFormIsSeenByTheNext(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		agent := d.active("Agent", "Northline", directory.Agent)
		form := func(r *helpdesk.Request) { r.Person, r.Kinds, r.Channel, r.Checks = "", nil, helpdesk.ByForm, nil }
		if _, err := s.Refuse(ctx, agent, d.plant(max, "", form).ID, 0, "did not know the number", true); err != nil {
			t.Fatal(err)
		}
		r := d.plant(max, agent.Person.ID)
		c, err := s.Look(ctx, agent, r.ID)
		if err != nil || len(c.Earlier) != 1 || c.Need.Approvers != 2 || !slices.Contains(c.Need.Because, "refused") {
			t.Errorf("%+v, %v", c.Need, err)
		}
		if got, err := s.Approve(ctx, agent, r.ID, 0); err != nil || got.State != helpdesk.Open {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// "This was not me" freezes every time, also after the account was enabled again while the first denial is still open.
func TestSEC_H7_ADenialFreezesEveryTime(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		caller := login.Caller{Realm: d.realm.ID, Network: "198.51.100.1"}
		deny := func() string {
			t.Helper()
			m := login.Notice(d.realm.Realm, max.Person, max.Person, "factor-added", d.now, "", "", map[string]string{"factor": "x", "kind": "totp"})
			d.write(func(tx *sqlstore.Tx) error { return tx.Enqueue(m) })
			denied, err := s.Deny(ctx, caller, mail.DenialToken(testdb.Ring(), d.realm.ID, m.ID))
			if err != nil {
				t.Fatal(err)
			}
			return denied.Number
		}
		state := func() (p directory.Person) {
			d.write(func(tx *sqlstore.Tx) (err error) { p, err = tx.Person(d.realm.ID, max.Person.ID); return err })
			return p
		}
		grant, err := s.Approve(ctx, ada, d.plant(max, "x").ID, 0)
		if err != nil || grant.State != helpdesk.Approved {
			t.Fatal(err)
		}
		first := deny()
		if state().State != directory.Frozen || d.request(grant.ID).State != helpdesk.Cancelled {
			t.Error("not frozen, or the grant stayed")
		}
		if again := deny(); again != first {
			t.Errorf("a second denial says %s, the first %s", again, first)
		}
		if _, err := d.people.Enable(ctx, ada, max.Person.ID, "spoke to him"); err != nil {
			t.Fatal(err)
		}
		if second := deny(); state().State != directory.Frozen || second == first {
			t.Errorf("denied again after it was enabled: %s", state().State)
		}
		d.now = d.now.Add(31 * 24 * time.Hour)
		m := login.Notice(d.realm.Realm, max.Person, max.Person, "factor-added", d.now.Add(-31*24*time.Hour), "", "", nil)
		d.write(func(tx *sqlstore.Tx) error { return tx.Enqueue(m) })
		if _, err := s.PeekDenial(ctx, d.realm.ID, mail.DenialToken(testdb.Ring(), d.realm.ID, m.ID)); code(err) != "link-expired" {
			t.Errorf("a month later: %v", err)
		}
	})
}

// Everything that happens stands in the person's history with actor, method and reason, and is told to the owner.
func TestREQ_B82_SEC_H7_EverythingStandsInTheHistoryAndIsTold(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ctx, s := context.Background(), d.helps()
		max := d.holding("Max", "Alder Works", directory.Member)
		agent, super := d.active("Agent", "Northline", directory.Agent), d.active("Super", "Northline", directory.Supervisor)
		ada := d.active("Ada", "Alder Works", directory.Administrator)
		wish := admin.Wish{Person: max.Person.ID, Kinds: []authn.Kind{authn.TOTP}, Reason: why, Channel: helpdesk.ByPhone}
		told := map[string]bool{}
		step := func(what string, err error, event string, by login.By, reason, letter string, others ...login.By) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			var found *audit.Event
			d.write(func(tx *sqlstore.Tx) error {
				all, err := tx.Events(audit.Query{Realm: d.realm.ID, Person: max.Person.ID, Limit: 50})
				for i := range all {
					if all[i].Type == event && all[i].At.Equal(d.now) {
						found = &all[i]
						break
					}
				}
				return err
			})
			switch {
			case found == nil:
				t.Errorf("%s: no %s in the history", what, event)
			case found.Actor != by.Person.ID || found.Reason != reason || found.Network != by.Network || found.Data["number"] == "" || found.Data["channel"] == "":
				t.Errorf("%s: %+v", what, *found)
			}
			want := map[string]string{}
			if letter != "" {
				want[max.Person.ID] = letter
			}
			for _, o := range others {
				want[o.Person.ID] = letter + "-console"
			}
			for _, m := range d.mails() {
				if told[m.ID] {
					continue
				}
				told[m.ID] = true
				if want[m.Person] == m.Template {
					delete(want, m.Person)
				}
			}
			if len(want) > 0 {
				t.Errorf("%s: not told: %v", what, want)
			}
			d.now = d.now.Add(time.Minute)
		}
		r, err := s.Open(ctx, agent, wish)
		step("open", err, "request.opened", agent, why, "request-opened", ada)
		r, err = s.Check(ctx, agent, r.ID, helpdesk.Check{Rule: "call-back", Result: helpdesk.Failed, Note: "nobody answered"})
		step("check", err, "request.checked", agent, "nobody answered", "request-check-failed")
		r, err = s.Check(ctx, super, r.ID, helpdesk.Check{Rule: "call-back", Result: helpdesk.Passed, Note: "answered now"})
		step("check again", err, "request.checked", super, "answered now", "")
		r, err = s.Approve(ctx, agent, r.ID, r.Version)
		step("first yes", err, "request.seconded", agent, why, "request-seconded")
		r, err = s.Approve(ctx, super, r.ID, r.Version)
		step("second yes", err, "request.approved", super, why, "request-approved", ada)
		if r.State != helpdesk.Approved {
			t.Fatalf("%+v", r)
		}
		_, err = s.Cancel(ctx, agent, r.ID, "found the phone again")
		step("cancel", err, "request.cancelled", agent, "found the phone again", "request-cancelled", ada)
		wish.Reason = "Lost the phone once more"
		r, err = s.Open(ctx, ada, wish)
		step("open by an administrator", err, "request.opened", ada, wish.Reason, "request-opened")
		_, err = s.Refuse(ctx, ada, r.ID, r.Version, "has the phone in hand", true)
		step("refuse", err, "request.refused", ada, "has the phone in hand", "request-refused")
		_, err = s.AskFor(ctx, max, admin.Form{Why: helpdesk.Blocked})
		step("ask", err, "request.asked", max, "", "request-asked")
		var live []helpdesk.Request
		d.write(func(tx *sqlstore.Tx) (err error) {
			live, err = tx.HelpRequestsLive(d.realm.ID, max.Person.ID)
			return err
		})
		_, err = s.Answer(ctx, agent, live[0].ID, 0, "told on the phone what to do")
		step("answer", err, "request.answered", agent, "told on the phone what to do", "request-answered")
	})
}
