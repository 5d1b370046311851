package helpdesk_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/secret"
)

func TestSEC_H2_TheSecondYesCountsOnlyFromWhoCouldStillGiveIt(t *testing.T) {
	target := somebody("target", directory.Member)
	first, second := somebody("first", directory.Agent), somebody("second", directory.Supervisor)
	r := helpdesk.Request{Person: target.ID, Approvals: []helpdesk.Approval{{By: first.ID}, {By: second.ID}}}
	people := func() []directory.Person { return []directory.Person{first, second} }
	if n := r.Counting(target, people()); n != 2 {
		t.Errorf("%d of two count", n)
	}
	second.Role = directory.Agent // may be the first, never the second
	if n := r.Counting(target, people()); n != 1 {
		t.Errorf("an agent counts as the second: %d", n)
	}
}

func TestSEC_H6_WhatHasToPassBeforeAYes(t *testing.T) {
	need := helpdesk.Need{Checks: []string{"call", "id"}}
	r := helpdesk.Request{Checks: []helpdesk.Check{{Rule: "id", Result: helpdesk.Failed, By: "a"}}}
	if got := helpdesk.MustPass(somebody("agent", directory.Agent), r, need); len(got) != 2 {
		t.Errorf("staff pass %v", got)
	}
	if got := helpdesk.MustPass(somebody("admin", directory.Administrator), r, need); len(got) != 1 || got[0] != "id" {
		t.Errorf("customers pass %v", got)
	}
}

func TestREQ_B40_WhatCanBeEnrolledAnew(t *testing.T) {
	for name, c := range map[string]struct {
		kinds []authn.Kind
		want  bool
	}{
		"nothing": {nil, false}, "one": {[]authn.Kind{authn.TOTP}, true}, "two": {[]authn.Kind{authn.TOTP, authn.Password}, true},
		"twice the same": {[]authn.Kind{authn.TOTP, authn.TOTP}, false}, "a sheet of codes": {[]authn.Kind{authn.Recovery}, false},
		"a link": {[]authn.Kind{authn.Mail}, false}, "nonsense": {[]authn.Kind{"nonsense"}, false},
	} {
		if got := helpdesk.Lockable(c.kinds); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestREQ_B59_OnlyOurOwnChallengesForTheRealmAreTaken(t *testing.T) {
	ring, err := secret.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(noon.UnixMilli())
	good := helpdesk.NewChallenge(ring, "shop", now)
	stamp, rest, _ := strings.Cut(good, ".")
	for name, c := range map[string]struct {
		challenge, realm string
		at               time.Time
		want             bool
	}{
		"ours":             {good, "shop", now, true},
		"of another realm": {good, "wealth", now, false},
		"empty":            {"", "shop", now, false},
		"no dot":           {strings.ReplaceAll(good, ".", ""), "shop", now, false},
		"another time":     {stamp + "0." + rest, "shop", now, false},
		"another mark":     {good[:len(good)-1] + "!", "shop", now, false},
		"at its end":       {good, "shop", now.Add(helpdesk.ChallengeFor), true},
		"too old":          {good, "shop", now.Add(helpdesk.ChallengeFor + time.Millisecond), false},
		"from the future":  {good, "shop", now.Add(-time.Minute - time.Millisecond), false},
	} {
		if _, ok := (helpdesk.Proof{Challenge: c.challenge}).Made(ring, c.realm, c.at); ok != c.want {
			t.Errorf("%s: %t", name, ok)
		}
	}
	if (helpdesk.Proof{Challenge: good}).Works() {
		t.Error("no answer is a proof")
	}
	// An answer that is long enough to be expensive is not looked at, even where it were right.
	for i := range 1 << 19 { // one of 65,536 would be right
		if (helpdesk.Proof{Challenge: good, Answer: strings.Repeat("0", 21) + strconv.Itoa(i)}).Works() {
			t.Fatal("a long answer was hashed")
		}
	}
}

func TestSEC_H6_TheSameWordsSentTwiceAreOneCheck(t *testing.T) {
	said := helpdesk.Check{Rule: "call", Result: helpdesk.Passed, Note: "as on file", Evidence: "CALL-7", By: "a", Name: "A", At: noon}
	r := helpdesk.Request{Checks: []helpdesk.Check{said}}
	again := said
	again.At = noon.Add(time.Second)
	if !r.Noted(again) {
		t.Error("the same words a second later are new")
	}
	for name, change := range map[string]func(*helpdesk.Check){
		"rule": func(c *helpdesk.Check) { c.Rule = "id" }, "result": func(c *helpdesk.Check) { c.Result = helpdesk.Failed },
		"note": func(c *helpdesk.Check) { c.Note = "at home" }, "evidence": func(c *helpdesk.Check) { c.Evidence = "" },
		"person": func(c *helpdesk.Check) { c.By = "b" },
	} {
		other := said
		change(&other)
		if r.Noted(other) {
			t.Errorf("another %s is taken for the same", name)
		}
	}
	failed := said
	failed.Result = helpdesk.Failed
	if r.Checks = append(r.Checks, failed); r.Noted(said) {
		t.Error("what was said before the last word is new again")
	}
}
