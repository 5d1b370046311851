package rig_test

import (
	"strings"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// An exemption is refused for who is shut out or was never in, and ends by itself where what it rests on has gone: who proposed
// it, the person, the time. What is over cannot be seconded or ended again.
func TestREQ_B65_SEC_H7_AnExemptionThatRestsOnNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		w := newTown(t, s)
		ctx := t.Context()
		super, owner := w.exempter(t, w.supervisor), w.exempter(t, w.owner)
		whom := w.memberA.Is.ID
		in := breakglass.Proposal{Person: whom, Kind: authn.TOTP, Hours: 24, Reason: "Phone left in a hotel, back on Friday"}
		set := func(who *rig.Somebody, change func(*directory.Person)) {
			w.Write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person(w.Realm.ID, who.Is.ID)
				if err != nil {
					return err
				}
				change(&p)
				return tx.UpdatePerson(p)
			})
		}
		state := func(st directory.PersonState) func(*directory.Person) {
			return func(p *directory.Person) { p.State = st }
		}
		refused := func(what string, err error, want string) {
			t.Helper()
			if f := fault.As(err); f == nil || f.Code != want {
				t.Errorf("%s: %v, want %s", what, err, want)
			}
		}
		propose := func(by breakglass.By, change func(*breakglass.Proposal)) (helpdesk.Exemption, error) {
			p := in
			change(&p)
			return w.Exempts.Propose(ctx, by, p)
		}
		same := func(*breakglass.Proposal) {}
		_, err := propose(super, func(p *breakglass.Proposal) { p.Reason = strings.Repeat("x", 501) })
		refused("a long reason", err, "text-long")
		_, err = propose(super, func(p *breakglass.Proposal) { p.Person = w.invitedB.ID })
		refused("who was never in", err, "not-active-yet")
		set(w.memberA, state(directory.Disabled))
		_, err = propose(super, same)
		refused("who is shut out", err, "person-shut")
		set(w.memberA, state(directory.Active))
		refused("none, ended by the person", w.Exempts.EndOwn(ctx, w.exempter(t, w.memberA)), "exemption-over")

		e, err := propose(super, same)
		if err != nil {
			t.Fatal(err)
		}
		_, err = propose(owner, same)
		refused("a second one beside it", err, "exemption-open")
		set(w.memberA, state(directory.Disabled))
		_, err = w.Exempts.Second(ctx, owner, whom, e.ID)
		refused("seconded for who is shut out", err, "person-shut")
		set(w.memberA, state(directory.Active))
		set(w.supervisor, func(p *directory.Person) { p.Role = directory.Agent })
		_, err = w.Exempts.Second(ctx, owner, whom, e.ID)
		refused("seconded after who was demoted", err, "exemption-over")
		set(w.supervisor, func(p *directory.Person) { p.Role = directory.Supervisor })
		_, err = w.Exempts.Second(ctx, owner, w.memberB.Is.ID, e.ID)
		refused("of somebody else", err, "not-found")
		_, err = w.Exempts.Second(ctx, w.exempter(t, w.adminB), whom, e.ID)
		refused("seconded by another administrator", err, "not-found")
		refused("ended by another administrator", w.Exempts.End(ctx, w.exempter(t, w.adminB), whom, e.ID), "not-found")
		refused("ended by an auditor", w.Exempts.End(ctx, w.exempter(t, w.auditor), whom, e.ID), "not-allowed")
		w.Clock.Advance(helpdesk.ProposedFor + time.Second)
		_, err = w.Exempts.Second(ctx, owner, whom, e.ID)
		refused("seconded too late", err, "exemption-over")

		if e, err = propose(super, same); err != nil { // beside one that has lapsed
			t.Fatal(err)
		}
		w.Write(func(tx *sqlstore.Tx) error {
			return tx.Audit(audit.Event{
				Realm: w.Realm.ID, At: w.Clock.Now().Add(time.Hour - helpdesk.Lately), Type: "person.role", Actor: owner.Person.ID, Person: w.supervisor.Is.ID,
				Organization: w.supervisor.Is.Organization, Data: map[string]string{"was": "agent", "role": "supervisor"},
			})
		})
		_, err = w.Exempts.Second(ctx, owner, whom, e.ID)
		refused("seconded by who made the first a supervisor this week", err, "second-raised")
		if c, err := w.Exempts.Look(ctx, owner, whom); err != nil || c.MaySecond {
			t.Errorf("the page offers it: %v", err)
		}
		w.Clock.Advance(time.Hour)
		if c, err := w.Exempts.Look(ctx, owner, whom); err != nil || !c.MaySecond {
			t.Errorf("a week later the page does not offer it: %v", err)
		}
		if _, err = w.Exempts.Second(ctx, owner, whom, e.ID); err != nil {
			t.Fatal(err)
		}
		if err = w.Exempts.End(ctx, w.exempter(t, w.adminA), whom, e.ID); err != nil {
			t.Fatal(err)
		}
		refused("ended twice", w.Exempts.End(ctx, super, whom, e.ID), "exemption-over")
		_, err = w.Exempts.Second(ctx, owner, whom, e.ID)
		refused("seconded when over", err, "exemption-over")

		// Who may not look into anybody's readiness learns that from the use case, whatever page asks.
		_, err = w.Rollouts.Report(ctx, w.memberA.Is, w.Realm.Realm, w.Realm.Policies)
		refused("a member reads about roll-outs", err, "not-allowed")
	})
}
