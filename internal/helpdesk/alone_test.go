package helpdesk_test

import (
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
)

func TestSEC_H2_AloneIsClosedWhereAnythingIsOdd(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	fine := helpdesk.Case{Target: directory.Person{ID: "p", Role: directory.Member}, Kinds: []authn.Kind{authn.TOTP}, Policy: 1, Remains: true}
	old := now.Add(-helpdesk.FactorsApart)
	if err := helpdesk.MayAlone(fine, old, now); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *helpdesk.Case){
		"administrator": func(c *helpdesk.Case) { c.Target.Role = directory.Administrator },
		"staff":         func(c *helpdesk.Case) { c.Target.Role = directory.Agent },
		"password":      func(c *helpdesk.Case) { c.Kinds = []authn.Kind{authn.Password} },
		"two kinds":     func(c *helpdesk.Case) { c.Kinds = []authn.Kind{authn.TOTP, authn.Password} },
		"a passkey":     func(c *helpdesk.Case) { c.Kinds = []authn.Kind{authn.Passkey} }, // is known and had at once
		"nothing":       func(c *helpdesk.Case) { c.Kinds = nil },
		"everything":    func(c *helpdesk.Case) { c.All = true },
		"policy":        func(c *helpdesk.Case) { c.Policy = 2 },
		"nothing left":  func(c *helpdesk.Case) { c.Remains = false },
		"failed check":  func(c *helpdesk.Case) { c.Failed = true },
		"refused":       func(c *helpdesk.Case) { c.Refused = true },
		"again":         func(c *helpdesk.Case) { c.Again = true },
		"both":          func(c *helpdesk.Case) { c.Both = true },
	} {
		c := fine
		change(&c)
		if err := helpdesk.MayAlone(c, old, now); !fault.Of(err, fault.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, set := range map[string]time.Time{"never set": {}, "set yesterday": now.Add(-24 * time.Hour), "set 72 hours ago": old.Add(time.Millisecond)} {
		if err := helpdesk.MayAlone(fine, set, now); !fault.Of(err, fault.Forbidden) {
			t.Errorf("password %s: %v", name, err)
		}
	}
}

func TestSEC_H2_WhatAnApproverTouchedIsNoLongerAlone(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	p := directory.Person{ID: "p", Role: directory.Member}
	r := helpdesk.Request{ID: "r", Person: "p", Opener: "p", Channel: helpdesk.Unaided, Kinds: []authn.Kind{authn.TOTP}, State: helpdesk.Approved, From: now, Until: now.Add(time.Hour)}
	if g, ok := r.Grant(p, nil); !ok || g.Approvers != 1 || g.Any || len(g.Kinds) != 1 {
		t.Fatalf("%+v %t", g, ok)
	}
	promoted := p
	promoted.Role = directory.Administrator
	for name, change := range map[string]func(r *helpdesk.Request){
		"an agent took it over": func(r *helpdesk.Request) { r.Opener = "a" },
		"half approved":         func(r *helpdesk.Request) { r.Approvals, r.Needed = []helpdesk.Approval{{By: "a"}}, 2 },
		"of the form":           func(r *helpdesk.Request) { r.Channel = helpdesk.ByAccount },
		"not confirmed":         func(r *helpdesk.Request) { r.State, r.From, r.Until = helpdesk.Open, time.Time{}, time.Time{} },
		"of nobody":             func(r *helpdesk.Request) { r.Person, r.Opener = "", "" },
	} {
		c := r
		change(&c)
		if _, ok := c.Grant(p, nil); ok {
			t.Errorf("%s: still a grant", name)
		}
	}
	if _, ok := r.Grant(promoted, nil); ok {
		t.Error("a grant for an administrator without an approver")
	}
	// What went this way counts for the next: the other factor is not let go beside it by one.
	if !helpdesk.Both([]authn.Kind{authn.Password}, false, []helpdesk.Request{r}, now.Add(71*time.Hour)) || !helpdesk.Again([]helpdesk.Request{r}, now.Add(23*time.Hour)) {
		t.Error("it is forgotten")
	}
	open := helpdesk.Request{Person: "p", Opener: "p", Channel: helpdesk.Unaided, State: helpdesk.Open, Created: now}
	if open.Over(now.Add(29*time.Minute)) || !open.Over(now.Add(30*time.Minute)) {
		t.Error("it waits for the mailbox for another time than half an hour")
	}
}
