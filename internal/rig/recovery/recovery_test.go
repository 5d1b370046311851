package recovery

import (
	"os"
	"strconv"
	"testing"
	"time"

	"doorward/internal/authn/password"
)

// TestMain makes hashes cheap: a search computes thousands.
func TestMain(m *testing.M) {
	password.Floor = password.Params{Length: password.Floor.Length, Memory: 64, Passes: 1, Lanes: 1}
	os.Exit(m.Run())
}

// attackers are those of the brief: what they have, and who does as they ask. The desk that is fooled is one that may act
// about the victim: for staff a supervisor, and an owner as the second.
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
}

var (
	shortly = []time.Duration{30 * time.Minute, 29 * time.Minute}
	longer  = []time.Duration{12 * time.Hour, 11*time.Hour + 59*time.Minute}
)

// on aims an attacker at somebody.
func (a attack) on2(c *cast, victim string, depth int) *attack {
	a.cast, a.against, a.depth = c, victim, depth
	a.waits = shortly
	first, second := "agent", "supervisor"
	switch victim {
	case "agent":
		first, second = "supervisor", "owner"
		a.waits = longer
	case "bea":
		a.waits = longer
	}
	desk := []string{}
	for _, name := range a.desk {
		switch name {
		case "first":
			name = first
		case "second":
			name = second
		}
		desk = append(desk, name)
	}
	a.desk = desk
	return &a
}

func TestSEC_H1_THD1_TADM_TMBX_NoWayThroughTheHouse(t *testing.T) {
	c := newCast(t)
	for _, a := range attackers {
		for _, victim := range []string{"max", "bea", "agent"} {
			t.Run(a.name+"/"+victim, func(t *testing.T) {
				t.Parallel()
				start := time.Now()
				f := a.on2(c, victim, depth()).search(t, true)
				t.Logf("%d states, %d changes, %d moves in %v", f.states, f.edges, f.moves, time.Since(start).Round(time.Millisecond))
				for _, h := range f.holes {
					t.Errorf("a way in: %s", h)
				}
				for i, s := range f.silent {
					if i < 5 {
						t.Errorf("silent: %s", s)
					}
				}
			})
		}
	}
}

func depth() int { n, _ := strconv.Atoi(os.Getenv("D")); return max(n, 3) }
