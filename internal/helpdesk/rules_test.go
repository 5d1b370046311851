package helpdesk_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
)

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

func somebody(id string, role directory.Role) directory.Person {
	p := directory.Person{ID: id, Realm: "r", Organization: "alder", Role: role, State: directory.Active, FirstActive: noon}
	if role.Staff() {
		p.Organization = "house"
	}
	return p
}

func TestREQ_B40_SEC_H2_WhatARequestNeeds(t *testing.T) {
	member, boss := somebody("max", directory.Member), somebody("ada", directory.Administrator)
	base := helpdesk.Case{Target: member, Kinds: []authn.Kind{authn.TOTP}, Policy: 1, Remains: true, Required: []string{"call-back"}, Cooling: time.Hour, Longer: 24 * time.Hour}
	for _, c := range []struct {
		name    string
		change  func(*helpdesk.Case)
		people  int
		because string
		checks  int
		cooling time.Duration
	}{
		{"a member with something left", func(*helpdesk.Case) {}, 1, "", 1, 0},
		{"vouched for", func(c *helpdesk.Case) { c.Vouched = true }, 1, "", 0, 0},
		{"the policy wants two", func(c *helpdesk.Case) { c.Policy = 2 }, 2, "policy", 1, 0},
		{"an administrator", func(c *helpdesk.Case) { c.Target = boss }, 2, "privileged", 1, 0},
		{"staff", func(c *helpdesk.Case) { c.Target = somebody("s", directory.Agent) }, 2, "privileged", 1, 0},
		{"nothing remains", func(c *helpdesk.Case) { c.Remains = false }, 1, "", 1, time.Hour},
		{"an administrator, nothing remains", func(c *helpdesk.Case) { c.Target, c.Remains = boss, false }, 2, "privileged", 1, 24 * time.Hour},
		{"everything", func(c *helpdesk.Case) { c.All = true }, 2, "everything", 1, time.Hour},
		{"a failed check, vouched for", func(c *helpdesk.Case) { c.Failed, c.Vouched = true, true }, 2, "failed-check", 1, 0},
		{"refused, vouched for", func(c *helpdesk.Case) { c.Refused, c.Vouched = true, true }, 2, "refused", 1, 0},
		{"a second look", func(c *helpdesk.Case) { c.Sampled = true }, 2, "sample", 1, 0},
		{"beyond the daily number", func(c *helpdesk.Case) { c.Beyond = true }, 2, "limit", 1, 0},
		{"an administrator until lately, nothing remains", func(c *helpdesk.Case) { c.Demoted, c.Vouched, c.Remains = true, true, false }, 2, "demoted", 0, 24 * time.Hour},
		{"a new number to call back", func(c *helpdesk.Case) { c.Number = true }, 2, "number", 1, 0},
		{"a new number, vouched for", func(c *helpdesk.Case) { c.Number, c.Vouched = true, true }, 1, "", 0, 0},
		{"again", func(c *helpdesk.Case) { c.Again = true }, 2, "again", 1, 0},
		{"both factors", func(c *helpdesk.Case) { c.Both = true }, 2, "both", 1, 0},
	} {
		facts := base
		c.change(&facts)
		n := helpdesk.Compute(facts)
		if n.Approvers != c.people || len(n.Checks) != c.checks || n.Cooling != c.cooling || c.because != "" && !slices.Contains(n.Because, c.because) || c.because == "" && len(n.Because) > 0 {
			t.Errorf("%s: %+v", c.name, n)
		}
	}
}

func TestSEC_H6_AFailedCheckStandsUntilAnotherPassesIt(t *testing.T) {
	check := func(rule string, how helpdesk.Result, by string) helpdesk.Check {
		return helpdesk.Check{Rule: rule, Result: how, By: by, At: noon}
	}
	pass, fail := helpdesk.Passed, helpdesk.Failed
	for _, c := range []struct {
		name   string
		checks []helpdesk.Check
		want   []string
	}{
		{"nothing checked", nil, []string{"call"}},
		{"passed", []helpdesk.Check{check("call", pass, "a")}, nil},
		{"another rule passed", []helpdesk.Check{check("other", pass, "a")}, []string{"call"}},
		{"failed", []helpdesk.Check{check("call", fail, "a")}, []string{"call"}},
		{"failed, passed by the same", []helpdesk.Check{check("call", fail, "a"), check("call", pass, "a")}, []string{"call"}},
		{"failed, passed by another", []helpdesk.Check{check("call", fail, "a"), check("call", pass, "b")}, nil},
		{"passed, failed by another", []helpdesk.Check{check("call", pass, "b"), check("call", fail, "a")}, []string{"call"}},
		{"failed twice, passed by the first of them", []helpdesk.Check{check("call", fail, "a"), check("call", fail, "b"), check("call", pass, "a")}, []string{"call"}},
		{"passed by another, then by who failed it", []helpdesk.Check{check("call", fail, "a"), check("call", pass, "b"), check("call", pass, "a")}, []string{"call"}},
		{"an optional one failed", []helpdesk.Check{check("call", pass, "a"), check("optional", fail, "a")}, nil},
	} {
		r := helpdesk.Request{Checks: c.checks}
		if got := r.Missing([]string{"call"}); !slices.Equal(got, c.want) {
			t.Errorf("%s: missing %v, want %v", c.name, got, c.want)
		}
		if r.AnyFailed() != slices.ContainsFunc(c.checks, func(c helpdesk.Check) bool { return c.Result == fail }) {
			t.Errorf("%s: AnyFailed", c.name)
		}
	}
	r := helpdesk.Request{Checks: []helpdesk.Check{check("call", fail, "a"), check("id", pass, "a"), check("call", pass, "b")}}
	if l := r.Latest(); len(l) != 2 || l[0].Rule != "call" || l[0].Result != pass || l[1].Rule != "id" {
		t.Errorf("latest %+v", l)
	}
}

func TestSEC_H3_TheTwoFactorsGoApart(t *testing.T) {
	pw, app := []authn.Kind{authn.Password}, []authn.Kind{authn.TOTP}
	was := func(kinds []authn.Kind, ago time.Duration) helpdesk.Request {
		at := noon.Add(-ago)
		return helpdesk.Request{Kinds: kinds, State: helpdesk.Done, From: at, Approvals: []helpdesk.Approval{{By: "a", At: at}}}
	}
	stopped := was(pw, time.Hour)
	stopped.State, stopped.From = helpdesk.Cancelled, time.Time{}
	all := was(nil, time.Hour)
	all.Everything = true
	for _, c := range []struct {
		name         string
		kinds        []authn.Kind
		all          bool
		earlier      []helpdesk.Request
		both, barred bool
	}{
		{"the first", app, false, nil, false, false},
		{"the same again", app, false, []helpdesk.Request{was(app, time.Hour)}, false, false},
		{"the other an hour ago", app, false, []helpdesk.Request{was(pw, time.Hour)}, true, true},
		{"the other way round", pw, false, []helpdesk.Request{was(app, 71*time.Hour)}, true, true},
		{"the other three days ago", app, false, []helpdesk.Request{was(pw, 72*time.Hour)}, false, false},
		{"the other, never granted", app, false, []helpdesk.Request{stopped}, false, true},
		{"after everything", app, false, []helpdesk.Request{all}, true, true},
		{"both at once", slices.Concat(pw, app), false, nil, true, false},
		{"everything after one", nil, true, []helpdesk.Request{was(app, time.Hour)}, true, true},
	} {
		if got := helpdesk.Both(c.kinds, c.all, c.earlier, noon); got != c.both {
			t.Errorf("%s: two are needed: %t", c.name, got)
		}
		if got := helpdesk.LetGo("a", c.kinds, c.all, c.earlier, noon); got != c.barred {
			t.Errorf("%s: who approved the other may not: %t", c.name, got)
		}
		if helpdesk.LetGo("b", c.kinds, c.all, c.earlier, noon) {
			t.Errorf("%s: somebody else may not", c.name)
		}
	}
}

func TestSEC_H2_WhatEarlierRequestsTell(t *testing.T) {
	at := func(ago time.Duration) time.Time { return noon.Add(-ago) }
	grant := func(s helpdesk.State, ago time.Duration) helpdesk.Request {
		return helpdesk.Request{State: s, From: at(ago), Closed: at(ago), Approvals: []helpdesk.Approval{{By: "a", At: at(ago)}}}
	}
	for _, c := range []struct {
		name string
		r    helpdesk.Request
		want bool
	}{
		{"used today", grant(helpdesk.Done, 23*time.Hour), true},
		{"stopped today", grant(helpdesk.Cancelled, 23*time.Hour), true},
		{"yesterday", grant(helpdesk.Done, 24*time.Hour), false},
		{"approved two days ago, used today", func() helpdesk.Request {
			r := grant(helpdesk.Done, 48*time.Hour)
			r.Closed = at(time.Hour)
			return r
		}(), true},
		{"refused today", helpdesk.Request{State: helpdesk.Refused, Closed: at(time.Hour)}, false},
		{"answered", helpdesk.Request{State: helpdesk.Done, Closed: at(time.Hour)}, false},
	} {
		if got := helpdesk.Again([]helpdesk.Request{c.r}, noon); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	checked := func(ago time.Duration) helpdesk.Request {
		return helpdesk.Request{State: helpdesk.Cancelled, Checks: []helpdesk.Check{{Result: helpdesk.Failed, At: at(ago)}}}
	}
	for _, c := range []struct {
		r               helpdesk.Request
		failed, refused bool
	}{
		{checked(time.Hour), true, false}, {checked(helpdesk.Lately), false, false},
		{helpdesk.Request{State: helpdesk.Refused, Closed: at(6 * 24 * time.Hour)}, false, true},
		{helpdesk.Request{State: helpdesk.Refused, Closed: at(helpdesk.Lately)}, false, false},
		{helpdesk.Request{State: helpdesk.Cancelled, Closed: at(time.Hour)}, false, false},
	} {
		if failed, refused := helpdesk.Suspect([]helpdesk.Request{c.r}, noon); failed != c.failed || refused != c.refused {
			t.Errorf("%+v: failed %t, refused %t", c.r, failed, refused)
		}
	}
}

func TestWhenARequestIsOver(t *testing.T) {
	open := helpdesk.Request{State: helpdesk.Open, Created: noon}
	grant := helpdesk.Request{State: helpdesk.Approved, Created: noon, From: noon.Add(time.Hour), Until: noon.Add(25 * time.Hour)}
	for _, c := range []struct {
		r    helpdesk.Request
		at   time.Time
		over bool
	}{
		{open, noon.Add(helpdesk.OpenFor - 1), false}, {open, noon.Add(helpdesk.OpenFor), true},
		{grant, noon.Add(25*time.Hour - 1), false}, {grant, noon.Add(25 * time.Hour), true},
		{helpdesk.Request{State: helpdesk.Done}, noon, true}, {helpdesk.Request{State: helpdesk.Refused}, noon, true},
		{helpdesk.Request{State: helpdesk.Cancelled}, noon, true},
	} {
		if c.r.Over(c.at) != c.over {
			t.Errorf("%+v at %s: over %t", c.r, c.at, !c.over)
		}
	}
}

var roles = []directory.Role{directory.Member, directory.Administrator, directory.Agent, directory.Supervisor, directory.Auditor, directory.Owner}

// May, for two people of one house: whether the first may let go of a factor of the second (above: be the second to).
// Written down a second time on purpose, as what the rules of the house mean and not how they are looked up.
func outranks(by, target directory.Person, second bool) bool {
	if by.State != directory.Active || by.ID == target.ID {
		return false
	}
	switch by.Role {
	case directory.Administrator:
		return !target.Role.Staff() && by.Organization == target.Organization
	case directory.Agent:
		return !target.Role.Staff() && !second
	case directory.Supervisor:
		return !target.Role.Staff() || target.Role == directory.Agent
	case directory.Owner:
		return true
	}
	return false
}

// Whoever tries in whatever order: a grant has as many approvals as it needs, by different people who may give them now.
func TestSEC_H1_H2_H3_RandomApprovalsKeepTheRules(t *testing.T) {
	granted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var people []directory.Person
		for i := range 7 {
			p := somebody(string(rune(97+i)), rapid.SampledFrom(append(roles, directory.Owner, directory.Supervisor)).Draw(t, "role"))
			if !p.Role.Staff() && rapid.IntRange(0, 3).Draw(t, "elsewhere") == 0 {
				p.Organization = "birch"
			}
			people = append(people, p)
		}
		target := people[0]
		r := helpdesk.Request{ID: "q", Person: target.ID, Kinds: []authn.Kind{authn.TOTP}, State: helpdesk.Open, Created: noon, Opener: rapid.SampledFrom(people).Draw(t, "opener").ID}
		facts := helpdesk.Case{
			Target: target, Kinds: r.Kinds, Policy: rapid.IntRange(1, 2).Draw(t, "policy"), Remains: rapid.Bool().Draw(t, "remains"),
			All: rapid.Bool().Draw(t, "all"), Sampled: rapid.Bool().Draw(t, "sampled"), Failed: rapid.Bool().Draw(t, "failed"),
			Cooling: time.Hour, Longer: 24 * time.Hour,
		}
		for range 50 {
			by := rapid.SampledFrom(people).Draw(t, "by")
			first := len(r.Approvals) == 0
			err := helpdesk.MayApprove(by, target, r, noon)
			may := outranks(by, target, !first) && !slices.ContainsFunc(r.Approvals, func(a helpdesk.Approval) bool { return a.By == by.ID }) &&
				(first || by.ID != r.Opener)
			if (err == nil) != may {
				t.Fatalf("%s (%s) about %s (%s), first %t, approved by %+v: %v", by.ID, by.Role, target.ID, target.Role, first, r.Approvals, err)
			}
			if err != nil {
				refused++
				continue
			}
			need := helpdesk.Compute(facts)
			r.Needed = max(r.Needed, need.Approvers)
			if need.Approvers < facts.Policy || (target.Role != directory.Member || facts.All) && need.Approvers != 2 {
				t.Fatalf("%+v needs %+v", facts, need)
			}
			r.Approvals = append(r.Approvals, helpdesk.Approval{By: by.ID, Role: by.Role, At: noon})
			if r.Counting(target, people) >= r.Needed {
				r.State, r.From, r.Until = helpdesk.Approved, noon, noon.Add(time.Hour)
				break
			}
		}
		// Somebody is disabled, demoted or gone before it is used.
		now := slices.Clone(people)
		for i := range now {
			switch rapid.IntRange(0, 5).Draw(t, "fate") {
			case 0:
				now[i].State = directory.Disabled
			case 1:
				now[i].Role, now[i].Organization = directory.Member, "alder"
			case 2:
				now[i].ID = "gone"
			}
		}
		counting := map[string]bool{}
		for i, a := range r.Approvals {
			for _, p := range now {
				if p.ID == a.By && outranks(p, target, i > 0) {
					counting[a.By] = true
				}
			}
		}
		g, ok := r.Grant(target, now)
		if ok != (r.State == helpdesk.Approved && len(counting) >= r.Needed && r.Needed > 0) {
			t.Fatalf("%+v with %d approvals that count: a grant %t", r, len(counting), ok)
		}
		if ok {
			granted++
			if g.Approvers != len(counting) || g.Approvers < facts.Policy || counting[target.ID] || !g.From.Equal(r.From) || !g.Until.Equal(r.Until) || g.ID != r.ID {
				t.Fatalf("%+v from %+v", g, r)
			}
		}
		if _, ok := r.Grant(somebody("other", directory.Member), now); ok {
			t.Fatal("it opens somebody else's account")
		}
	})
	if granted < 5 || refused < 100 {
		t.Errorf("%d grants, %d refusals: little was tried", granted, refused)
	}
}

func TestREQ_B40_WhyAnApprovalIsRefused(t *testing.T) {
	max, ada, eve := somebody("max", directory.Member), somebody("ada", directory.Administrator), somebody("eve", directory.Administrator)
	gil, sue := somebody("gil", directory.Agent), somebody("sue", directory.Supervisor)
	bea := somebody("bea", directory.Administrator)
	bea.Organization = "birch"
	open := helpdesk.Request{Person: "max", Opener: "ada", State: helpdesk.Open, Created: noon}
	one := open
	one.Approvals = []helpdesk.Approval{{By: "gil"}}
	for _, c := range []struct {
		name string
		by   directory.Person
		r    helpdesk.Request
		at   time.Time
		kind fault.Kind
		code string
	}{
		{"the opener, first", ada, open, noon, 0, ""},
		{"the person", max, open, noon, fault.Forbidden, "own-request"},
		{"another organization's", bea, open, noon, fault.NotFound, "not-found"},
		{"the opener, second", ada, one, noon, fault.Forbidden, "second-approver"},
		{"twice", gil, one, noon, fault.Forbidden, "approved-already"},
		{"an agent, second", somebody("ina", directory.Agent), one, noon, fault.Forbidden, "not-allowed"},
		{"an administrator, second", eve, one, noon, 0, ""},
		{"a supervisor, second", sue, one, noon, 0, ""},
		{"an auditor", somebody("aud", directory.Auditor), open, noon, fault.Forbidden, "not-allowed"},
		{"too late", ada, open, noon.Add(helpdesk.OpenFor), fault.Conflict, "help-over"},
		{"closed", ada, helpdesk.Request{Person: "max", State: helpdesk.Refused}, noon, fault.Conflict, "help-over"},
	} {
		err := helpdesk.MayApprove(c.by, max, c.r, c.at)
		if c.code == "" && err != nil || c.code != "" && (!fault.Of(err, c.kind) || fault.As(err).Code != c.code) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
