package recoverymatrix

import (
	"os"
	"sync/atomic"
	"testing"
	"time"
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
				for _, quick := range []bool{false, true} {
					if quick && victim != "max" && !torture {
						continue // whoever has a role needs more, and two people
					}
					a := one.aim(c, victim)
					a.depth, a.quick = 2, quick
					name := one.name + "/" + victim + "/everything"
					if quick {
						a.depth, name = 6, one.name+"/"+victim+"/far"
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
