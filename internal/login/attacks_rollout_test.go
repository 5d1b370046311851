package login_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
)

// rolls gives the realm a roll-out of the second step for the house's organization, with grace from tomorrow for a week.
func (h *house) rolls(t *testing.T) (from, until time.Time) {
	t.Helper()
	policies, err := authn.ParsePolicies("members\n login password\n enrol invite -> password\n enrol login -> totp\n replace mail -> password\n replace grant2 + mail -> any\n fresh\n")
	must(t, err)
	h.realm.Policies = policies
	from = h.clock.now().Add(24 * time.Hour)
	until = from.Add(7 * 24 * time.Hour)
	h.realm.Rollouts = []directory.Rollout{{
		ID: "codes", Name: directory.Localized{"en": "A second step"}, About: directory.Localized{"en": "You show a code as well."},
		Policy: "login password + totp", Waves: []directory.Wave{{Organizations: []string{h.org.ID}, From: from, Until: until}},
	}}
	return from, until
}

func (h *house) plain(name string) *user {
	u := h.person(name, directory.Member)
	u.proves(u.proves(u.follow("set-up", u.invite()), authn.Password, u.password), authn.Password, u.password)
	if !u.signedIn() {
		h.t.Fatal("not signed in by a password alone")
	}
	return u
}

func (u *user) anew() login.View {
	u.session = ""
	return u.proves(u.begin(), authn.Password, u.password)
}

func (u *user) later(v login.View) (login.View, error) {
	next, err := u.h.login.Later(context.Background(), u.caller(), v.Flow.ID)
	return u.took(next), err
}

func TestREQ_B84_GraceIsPutOffAndItsEndIsNot(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		from, until := h.rolls(t)
		anna, bert := h.plain("Anna"), h.plain("Bert")
		if v := anna.anew(); v.Minted == nil || v.Step.Later {
			t.Fatalf("before the wave: %s", describe(v))
		}
		h.clock.ms.Store(from.UnixMilli())
		early := bert.begin()
		if _, err := bert.later(early); !fault.Of(err, fault.Conflict) {
			t.Errorf("put off before anything was shown: %v", err)
		}
		v := anna.anew()
		expect(t, v, authn.ActBind, authn.TOTP)
		if !v.Step.Later || v.Minted != nil {
			t.Fatalf("in grace: %+v", v.Step)
		}
		// A relying party is not kept waiting: the session that was put off is a session.
		if v, err := anna.later(v); err != nil || v.Minted == nil {
			t.Fatalf("put off: %v, %s", err, describe(v))
		}
		if signed, err := h.login.Authenticate(t.Context(), h.realm.ID, anna.session); err != nil {
			t.Error(err)
		} else if ok, err := h.login.Suffices(t.Context(), signed, authn.Goal{}, time.Time{}); err != nil || !ok {
			t.Errorf("the session suffices: %v, %v", ok, err)
		}
		if !slices.Contains(anna.events(), "rollout.put-off") {
			t.Error("nobody wrote down that it was put off")
		}
		var delays map[string]int
		h.read(func(tx *sqlstore.Tx) (err error) {
			delays, err = tx.Delays(h.realm.ID, "codes", []string{anna.id, bert.id})
			return err
		})
		if delays[anna.id] != 1 || delays[bert.id] != 0 {
			t.Errorf("%v", delays)
		}
		// Bert sets it up. The code is not asked for again in grace: his password alone lets him in.
		v = bert.anew()
		expect(t, v, authn.ActBind, authn.TOTP)
		v = bert.proves(bert.chooses(v), authn.TOTP, bert.code())
		if v.Minted == nil {
			t.Fatalf("set up in grace: %s", describe(v))
		}
		if v.Minted.Session.Evidence[0].Kind != authn.Password || len(v.Minted.Session.Evidence) != 1 {
			t.Errorf("the session claims %+v", v.Minted.Session.Evidence)
		}
		notices := 0
		for _, m := range h.outbox() {
			if m.Template == "factor-added" && m.To == bert.address {
				notices++
			}
		}
		if notices != 1 {
			t.Errorf("%d notices of the new factor", notices)
		}

		h.clock.ms.Store(until.Add(-time.Minute).UnixMilli())
		held := anna.anew()
		if !held.Step.Later {
			t.Fatalf("a minute before the end: %+v", held.Step)
		}
		h.clock.ms.Store(until.Add(5 * time.Second).UnixMilli())
		if anna.signedIn() || bert.signedIn() {
			t.Error("a session outlives the end of grace that showed a password alone")
		}
		if v, err := anna.later(held); !fault.Of(err, fault.Conflict) || v.Minted != nil {
			t.Errorf("put off after the end, from a page of before: %v", err)
		}
		v = anna.anew()
		expect(t, v, authn.ActBind, authn.TOTP)
		if v.Step.Later {
			t.Error("it can be put off after the end")
		}
		if _, err := anna.later(v); !fault.Of(err, fault.Conflict) {
			t.Errorf("put off after the end: %v", err)
		}
		v = bert.anew()
		expect(t, v, authn.ActProve, authn.TOTP)
		if v = bert.proves(v, authn.TOTP, bert.code()); v.Minted == nil {
			t.Errorf("who is ready is not let in: %s", describe(v))
		}
		// A mailbox does not bind the first code: a reset of the password ends where the password is proven anew.
		v = anna.proves(anna.chooses(anna.anew()), authn.TOTP, anna.code())
		expect(t, v, authn.ActProve, authn.TOTP)
		if v = anna.proves(v, authn.TOTP, anna.code()); v.Minted == nil {
			t.Errorf("set up after the end: %s", describe(v))
		}
	})
}

// staffed adds two supervisors.
func (h *house) staffed(t *testing.T) (one, two string) {
	t.Helper()
	h.write(func(tx *sqlstore.Tx) error {
		staff := directory.Organization{ID: newID(), Realm: h.realm.ID, Name: "Operators", Staff: true, State: directory.Active, Created: h.clock.now()}
		if err := tx.AddOrganization(staff); err != nil {
			return err
		}
		for i, id := range []*string{&one, &two} {
			*id = newID()
			if err := tx.AddPerson(directory.Person{
				ID: *id, Realm: h.realm.ID, Organization: staff.ID, Address: []string{"hana", "ivo"}[i] + "@northline.example", Name: []string{"Hana", "Ivo"}[i],
				Role: directory.Supervisor, State: directory.Active, Language: "en", Created: h.clock.now(), FirstActive: h.clock.now(),
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return one, two
}

// exempts gives an exemption by two supervisors.
func (u *user) exempts(t *testing.T, kind authn.Kind, life time.Duration) (e helpdesk.Exemption, one, two string) {
	t.Helper()
	one, two = u.h.staffed(t)
	now := u.h.clock.now()
	e = helpdesk.Exemption{ID: newID(), Realm: u.h.realm.ID, Person: u.id, Organization: u.h.org.ID, Kind: kind, Reason: "Phone lost on the way to the fair", Hours: 24,
		State: helpdesk.Proposed, By: one, ByName: "Hana", Created: now}
	u.h.write(func(tx *sqlstore.Tx) error { return tx.AddExemption(e) })
	e.Second, e.SecondName, e.Until = two, "Ivo", now.Add(life)
	u.h.write(func(tx *sqlstore.Tx) error { return tx.SecondExemption(e) })
	return e, one, two
}

func TestREQ_B65_AnExemptionLetsInAndOpensNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		admin := h.person("Dora", directory.Administrator).setUp()
		u.session = ""
		v := u.anew()
		expect(t, v, authn.ActProve, authn.TOTP)
		e, one, _ := u.exempts(t, authn.TOTP, 2*time.Hour)
		h.clock.advance(time.Second)
		v = u.anew()
		if v.Minted == nil {
			t.Fatalf("exempt and not let in: %s", describe(v))
		}
		events := u.events()
		if !slices.Contains(events, "exemption.used") {
			t.Errorf("%v", events)
		}
		to := map[string]int{}
		for _, m := range h.outbox() {
			if strings.HasPrefix(m.Template, "exemption-used") {
				to[m.To+" "+m.Template]++
			}
		}
		for _, want := range []string{u.address + " exemption-used", admin.address + " exemption-used-console", "hana@northline.example exemption-used-console", "ivo@northline.example exemption-used-console"} {
			if to[want] != 1 {
				t.Errorf("%s: %v", want, to)
			}
		}
		signed, err := h.login.Authenticate(t.Context(), h.realm.ID, u.session)
		must(t, err)
		if signed.Fresh(h.clock.now()) {
			t.Error("a sign-in with less than the policy asks for may change factors")
		}
		if ok, err := h.login.Suffices(t.Context(), signed, authn.Goal{ACR: authn.ACRMultiFactor}, time.Time{}); err != nil || ok {
			t.Errorf("an application that asks for two factors gets less: %v, %v", ok, err)
		}
		for _, goal := range []authn.Goal{{Bind: authn.TOTP, Way: authn.ByEnrol}, {Bind: authn.TOTP, Way: authn.ByReplace}} {
			v, err := h.login.Begin(t.Context(), u.caller(), login.Start{Goal: goal})
			if err == nil && v.Step.Act == authn.ActBind {
				t.Errorf("%v: enrolled by less", goal)
			}
		}
		if rules, err := h.login.RulesFor(signed); err != nil || rules.Exempt != "" {
			t.Errorf("what may be removed is judged with an exemption: %v", rules.Exempt)
		}

		// Whoever gave it loses the right to: it counts no more, and comes back with it.
		role := func(r directory.Role) {
			h.write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person(h.realm.ID, one)
				if err != nil {
					return err
				}
				p.Role = r
				tx.Bump()
				return tx.UpdatePerson(p)
			})
		}
		role(directory.Agent)
		if u.signedIn() {
			t.Error("it counts although who gave it could not give it any more")
		}
		role(directory.Supervisor)
		// An administrator is never exempt, also who becomes one.
		promote := func(r directory.Role) {
			h.write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person(h.realm.ID, u.id)
				if err != nil {
					return err
				}
				p.Role = r
				tx.Bump()
				return tx.UpdatePerson(p)
			})
		}
		if !u.signedIn() {
			t.Error("it does not count any more")
		}
		promote(directory.Administrator)
		if u.signedIn() {
			t.Error("an administrator is let in by an exemption")
		}
		promote(directory.Member)

		e.Closed, e.ClosedBy, e.ClosedWhy = h.clock.now(), one, "stopped"
		h.write(func(tx *sqlstore.Tx) error { return tx.CloseExemption(e) })
		if u.signedIn() {
			t.Error("the session outlives the exemption")
		}
		expect(t, u.anew(), authn.ActProve, authn.TOTP)
	})
}

func TestREQ_B65_AnExemptionEndsByItself(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		u.exempts(t, authn.TOTP, time.Minute)
		if v := u.anew(); v.Minted == nil {
			t.Fatalf("not let in: %s", describe(v))
		}
		h.clock.advance(time.Minute + 5*time.Second)
		if u.signedIn() {
			t.Error("the session outlives the exemption")
		}
		expect(t, u.anew(), authn.ActProve, authn.TOTP)
	})
}

// Of 64 sign-ins and the end of the exemption at once, each is one or the other: who comes after the end is not let in, and
// every use is counted.
func TestSEC_TRACE_AnExemptionUsedAndEndedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		e, one, _ := u.exempts(t, authn.TOTP, time.Hour)
		h.clock.advance(time.Second)
		n := 8
		people := make([]*user, n)
		views := make([]login.View, n)
		for i := range people {
			copied := *u
			copied.session, copied.browser = "", ""
			people[i] = &copied
			views[i] = people[i].begin()
		}
		e.Closed, e.ClosedBy, e.ClosedWhy = h.clock.now(), one, "stopped"
		in := together(n+1, func(i int) bool {
			if i == n {
				_ = h.store.Write(context.Background(), func(tx *sqlstore.Tx) error { return tx.CloseExemption(e) })
				return false
			}
			v, err := people[i].prove(views[i], authn.Password, u.password)
			return err == nil && v.Minted != nil
		})
		var after helpdesk.Exemption
		h.read(func(tx *sqlstore.Tx) (err error) { after, err = tx.Exemption(h.realm.ID, e.ID); return err })
		if after.State != helpdesk.Lapsed {
			t.Errorf("it is %s", after.State)
		}
		if after.Uses != in {
			t.Errorf("%d were let in, %d uses are counted", in, after.Uses)
		}
		for _, p := range people {
			if p.session != "" && p.signedIn() {
				t.Error("a session outlives the exemption")
			}
		}
		expect(t, u.anew(), authn.ActProve, authn.TOTP)
	})
}
