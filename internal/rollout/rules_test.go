package rollout_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/rollout"
)

const plain = `
policy shop
  members
    login    password + totp else password
    enrol    invite -> password, totp
    enrol    login  -> totp
    replace  grant + mail -> totp
  administrators
    login    password + totp
    enrol    invite -> password, totp
  staff
    login    password + totp
    enrol    invite -> password, totp
`

// Which policies lie over each other for somebody: those of their organization, of what is rolled out there, and of the
// application they go to. One of an application that is not there, or that cannot be read, is an error and never no policy.
func TestREQ_B2_SEC_O9_WhichPoliciesLieOverEachOther(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	policies, err := authn.ParsePolicies(plain)
	if err != nil {
		t.Fatal(err)
	}
	const strict = "login password + totp"
	wave := func(from, until time.Duration) []directory.Rollout {
		return []directory.Rollout{{ID: "second", Policy: strict, Waves: []directory.Wave{
			{Organizations: []string{"alder"}, From: now.Add(from), Until: now.Add(until)},
		}}}
	}
	const day = 24 * time.Hour
	exempt := directory.Person{Role: directory.Member, Exempt: string(authn.TOTP), ExemptUntil: now.Add(time.Hour)}
	for _, c := range []struct {
		name   string
		realm  directory.Realm
		who    directory.Person
		org    directory.Organization
		goal   authn.Goal
		strict bool // a password alone lets nobody in
		soon   bool
		exempt bool
		fails  string
	}{
		{name: "nothing"},
		{name: "its organization", org: directory.Organization{Policy: strict}, strict: true},
		{name: "its organization, in words that are none", org: directory.Organization{ID: "alder", Policy: "login everything"}, fails: "policy of organization alder"},
		{name: "before its wave", realm: directory.Realm{Rollouts: wave(day, 2*day)}, org: directory.Organization{ID: "alder"}},
		{name: "in grace, to the millisecond", realm: directory.Realm{Rollouts: wave(-day, time.Millisecond)}, org: directory.Organization{ID: "alder"}, soon: true},
		{name: "at the end of grace", realm: directory.Realm{Rollouts: wave(-day, 0)}, org: directory.Organization{ID: "alder"}, strict: true},
		{name: "another organization", realm: directory.Realm{Rollouts: wave(-2*day, -day)}, org: directory.Organization{ID: "birch"}},
		{name: "a roll-out that cannot be read", realm: directory.Realm{Rollouts: []directory.Rollout{{ID: "x", Policy: "?", Waves: wave(-day, 0)[0].Waves}}}, org: directory.Organization{ID: "alder"}, fails: "policy of roll-out x"},
		{name: "an application that is gone", goal: authn.Goal{Client: "webshop"}, fails: "not-found"},
		{name: "an application of another name", realm: directory.Realm{Relying: []directory.RelyingParty{{ID: "webshop-2"}}}, goal: authn.Goal{Client: "webshop"}, fails: "not-found"},
		{name: "an application", realm: directory.Realm{Relying: []directory.RelyingParty{{ID: "webshop", Policy: strict}}}, goal: authn.Goal{Client: "webshop"}, strict: true},
		{name: "an application that cannot be read", realm: directory.Realm{Relying: []directory.RelyingParty{{ID: "webshop", Policy: "?"}}}, goal: authn.Goal{Client: "webshop"}, fails: "policy of relying party webshop"},
		{name: "exempt", who: exempt, exempt: true},
		{name: "exempt, at an application", who: exempt, realm: directory.Realm{Relying: []directory.RelyingParty{{ID: "webshop", Policy: " \n"}}}, goal: authn.Goal{Client: "webshop"}, exempt: true},
		{name: "exempt, at an application with a policy of its own", who: exempt, realm: directory.Realm{Relying: []directory.RelyingParty{{ID: "webshop", Policy: strict}}}, goal: authn.Goal{Client: "webshop"}, strict: true},
		{name: "exempt, where a class is asked for", who: exempt, goal: authn.Goal{ACR: "urn:doorward:acr:mfa"}, strict: true},
	} {
		if c.who.Role == "" {
			c.who.Role = directory.Member
		}
		rules, err := rollout.Rules(c.realm, policies, c.who, c.org, c.goal, now)
		switch f := fault.As(err); {
		case c.fails == "not-found":
			if f == nil || f.Kind != fault.NotFound || f.Code != c.fails {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		case c.fails != "":
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		alone := slices.ContainsFunc(rules.Login, func(l authn.Combination) bool { return len(l.Kinds) == 1 })
		if alone == c.strict || (rules.Soon != nil) != c.soon || (rules.Exempt == authn.TOTP) != c.exempt {
			t.Errorf("%s: %+v", c.name, rules)
		}
	}
}
