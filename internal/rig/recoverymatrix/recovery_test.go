package recoverymatrix

import (
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
)

// attackers are those that nobody may be talked round by. The desk that is fooled is one that may act about the victim: for
// staff a supervisor, and an owner as the second. Whoever has the phone number is called back on it by both.
var attackers = []attack{
	{name: "mailbox", mailbox: true},
	{name: "phone number", desk: []string{"first", "second"}},
	{name: "phone", totp: true},
	{name: "laptop", totp: true, laptop: true},
	{name: "password", password: true},
	{name: "fooled agent", desk: []string{"first"}},
	{name: "rogue administrator", desk: []string{"ada"}},
	{name: "mailbox and agent", mailbox: true, desk: []string{"first"}},
	{name: "mailbox and phone number", mailbox: true, desk: []string{"first", "second"}},
	{name: "mailbox and rogue administrator", mailbox: true, desk: []string{"ada"}},
	{name: "mailbox and password", mailbox: true, password: true},
	{name: "recovery codes", codes: true, whom: []string{"max"}},
	{name: "recovery codes and mailbox", codes: true, mailbox: true, whom: []string{"max"}},
	{name: "recovery codes and agent", codes: true, desk: []string{"first"}, whom: []string{"max"}},
	{name: "rogue administrator twice", desk: []string{"ada", "puppet"}, whom: []string{"bea"}, depth: 4},
	{name: "mailbox, password and rogue administrator twice", mailbox: true, password: true, desk: []string{"ada", "puppet"}, whom: []string{"bea"}, depth: 3},
}

// holders are those of a realm whose members show a certificate first: what each of them has is less than the policy asks for.
var holders = []attack{
	{name: "certificate", cert: true},
	{name: "certificate and password", cert: true, password: true},
	{name: "certificate and phone", cert: true, totp: true, laptop: true},
	{name: "certificate and mailbox", cert: true, mailbox: true},
	{name: "certificate, mailbox and agent", cert: true, mailbox: true, desk: []string{"first"}},
	{name: "password and phone", password: true, totp: true},
	{name: "mailbox, password and phone", mailbox: true, password: true, totp: true},
}

// victims are a member, an administrator beside the rogue one, and one of the operator's own.
var victims = []string{"max", "bea", "agent"}

// aim turns an attacker on somebody. Their waits end a minute before the shortest cooling-off could.
func (a attack) aim(c *cast, victim string) *attack {
	a.cast, a.against = c, victim
	a.waits = []time.Duration{30 * time.Minute, 29 * time.Minute}
	names := map[string]string{"first": "agent", "second": "supervisor"}
	if victim == "agent" {
		names = map[string]string{"first": "supervisor", "second": "owner"}
	}
	if victim != "max" {
		a.waits = []time.Duration{12 * time.Hour, 12*time.Hour - time.Minute}
	}
	desk := []string{}
	for _, name := range a.desk {
		if names[name] != "" {
			name = names[name]
		}
		desk = append(desk, name)
	}
	a.desk = desk
	return &a
}

// Nobody who has one thing of another person, or a mailbox and somebody at the desk who believes them, gets a session or
// binds anything before the cooling-off is over; and whatever happens to somebody, they get a mail, and it stands in the
// trail.
func TestSEC_H1_THD1_TADM_TMBX_NobodyIsTalkedRound(t *testing.T) {
	c := newCast(t)
	var states, changes, moves atomic.Int64
	t.Run("searches", func(t *testing.T) {
		torture := os.Getenv("DOORWARD_TORTURE") != ""
		for _, one := range attackers {
			for _, victim := range victims {
				if len(one.whom) > 0 && !slices.Contains(one.whom, victim) {
					continue
				}
				for _, quick := range []bool{false, true} {
					if len(one.whom) > 0 && !quick && !torture {
						continue // broad is what others with more of the same were
					}
					if len(one.whom) == 0 && quick && victim != "max" && !torture {
						continue // whoever has a role needs more, and two people
					}
					a := one.aim(c, victim)
					a.quick = quick
					name := one.name + "/" + victim + "/everything"
					if quick {
						name = one.name + "/" + victim + "/far"
					}
					if a.depth == 0 {
						a.depth = 2
						if quick {
							a.depth = 6
						}
					}
					if torture {
						a.depth, a.deep = 5, true
						if quick {
							a.depth = 10
						}
					}
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						f := a.search(t, true)
						states.Add(int64(f.states))
						changes.Add(int64(f.edges))
						moves.Add(int64(f.moves))
						t.Logf("%d states, %d changes, %d moves", f.states, f.edges, f.moves)
						for _, h := range f.holes {
							t.Errorf("a way in: %s", h)
						}
						for _, s := range f.silent {
							t.Errorf("silent: %s", s)
						}
					})
				}
			}
		}
	})
	t.Logf("%d states, %d changes, %d moves in all", states.Load(), changes.Load(), moves.Load())
	if states.Load() < 120 || changes.Load() < 250 || moves.Load() < 1500 {
		t.Error("too few: this proves nothing")
	}
}

// Where members show a certificate first, none of those who have two things of three, or the mailbox beside them, gets on.
func TestSEC_H1_TMBX_NobodyIsTalkedRoundWhereCertificatesAreShown(t *testing.T) {
	c := newCast(t, rig.WithCertificates)
	for _, one := range holders {
		a := one.aim(c, "max")
		a.quick, a.depth = true, 5
		if a.cert && len(a.desk) > 0 {
			a.waits = nil // an approval that leaves the person something to show is open at once
		}
		if os.Getenv("DOORWARD_TORTURE") != "" {
			a.quick, a.deep = false, true
		}
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			f := a.search(t, true)
			t.Logf("%d states, %d changes, %d moves", f.states, f.edges, f.moves)
			for _, h := range f.holes {
				t.Errorf("a way in: %s", h)
			}
			for _, s := range f.silent {
				t.Errorf("silent: %s", s)
			}
			if f.edges < 1 || a.cert && f.routes["thief POST /signin/{flow}/certificate"] == 0 {
				t.Error("too little was tried, or the certificate never shown: this proves nothing")
			}
		})
	}
}

// A search is the same on both databases: as many states, changes and moves, and none leads in. Every request is one that a
// second person looks at: which are by chance differs from search to search.
func TestSEC_H1_TheSearchIsTheSameOnBothDatabases(t *testing.T) {
	c := newCast(t, func(r *directory.Realm) { r.Requests.SecondLook = 100 })
	for _, one := range []attack{{name: "mailbox and agent", mailbox: true, desk: []string{"first"}}, {name: "mailbox and password", mailbox: true, password: true}} {
		var on [2]found
		for i := range on {
			of := *c
			of.postgres = i == 1
			a := one.aim(&of, "max")
			a.quick, a.depth = true, 4
			on[i] = a.search(t, true)
			if len(on[i].holes)+len(on[i].silent) > 0 {
				t.Errorf("%s, PostgreSQL %t: %v %v", one.name, of.postgres, on[i].holes, on[i].silent)
			}
		}
		t.Logf("%s: %d states, %d changes, %d moves", one.name, on[0].states, on[0].edges, on[0].moves)
		if on[0].states != on[1].states || on[0].edges != on[1].edges || on[0].moves != on[1].moves || !maps.Equal(on[0].routes, on[1].routes) || on[0].edges < 5 {
			t.Errorf("%s: SQLite %+v, PostgreSQL %+v", one.name, on[0], on[1])
		}
	}
}
