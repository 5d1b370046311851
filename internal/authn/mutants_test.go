package authn

import (
	"reflect"
	"testing"
)

// mutants are deliberate weakenings, each a rule taken away, and what it would mean.
var mutants = []struct {
	rule  string
	slack slack
}{
	{"R5: nobody binds through a smaller remnant", slack{anyRemnant: true}},
	{"R6: what remains must not be empty", slack{emptyRemnant: true}},
	{"R6: what is replaced counts as not held (a lost phone loops)", slack{keepLost: true}},
	{"R3: suspended credentials cannot be shown", slack{suspendedShows: true}},
	{"suspended counts as held", slack{suspendedGone: true}},
	{"else: the lesser way is closed to who holds the better", slack{noElse: true}},
	{"R3: evidence counts only while its credential lives", slack{endedCounts: true}},
	{"fresh: what was bound here is shown again", slack{boundAdmits: true}},
	{"R5: what was bound here counts towards further binding", slack{boundForgotten: true}},
	{"E12: what was bound here is no sign-in", slack{boundIsLogin: true}},
	{"an invitation is for who was never active", slack{inviteAlways: true}},
	{"E6: enrol lines without login are for the first set-up", slack{setUpAlways: true}},
	{"grant2 needs two approvers", slack{oneApprover: true}},
	{"a grant has a beginning and an end", slack{grantAnyTime: true}},
	{"a grant names kinds", slack{grantAnyKind: true}},
	{"E7: a grant serves once per kind", slack{grantForever: true}},
	{"login: at most five minutes ago", slack{oldLogin: true}},
	{"a gate is a gate", slack{noGate: true}},
	{"duties come before admission", slack{noDuties: true}},
	{"R4: nothing is bound where a combination is whole", slack{bindsAnyway: true}},
	{"E12: ending a factor opens no lesser way to enrol it", slack{rollOutAlways: true}},
	{"E13: the call follows the certificate or the phone", slack{callAnywhere: true}},
	{"E20: the certificate is shown once more after the call", slack{certOnce: true}},
	{"an overlay never shrinks what has to be shown", slack{topFloorOnly: true}},
	{"R2: evidence of another person is nobody's", slack{otherPerson: true}},
	{"E18: what comes soon is set up by who is let in already", slack{soonFirst: true}},
	{"E19: an exemption opens no gate", slack{exemptOpens: true}},
	{"E19: a link sets up, also for who is exempt", slack{exemptAll: true}},
	{"E10: behind one approver, one kind at a time", slack{manyAtOnce: true}},
}

func TestEveryRuleIsNeeded(t *testing.T) {
	fields := reflect.TypeFor[slack]().NumField()
	if len(mutants) != fields || fields < 12 {
		t.Fatalf("%d mutants for %d rules that can be taken away", len(mutants), fields)
	}
	seen := map[slack]bool{{}: true}
	for _, m := range mutants {
		if seen[m.slack] {
			t.Errorf("%s: the same mutant twice", m.rule)
		}
		seen[m.slack] = true
		t.Run(m.rule, func(t *testing.T) {
			by := caught(t, m.slack)
			if by == "" {
				t.Error("nothing notices that this rule is gone")
			}
			t.Log(by)
		})
	}
	if by := caught(t, slack{}); by != "" {
		t.Errorf("with all rules in force: %s", by)
	}
}

// caught says which proof notices a weakening.
func caught(t *testing.T, s slack) string {
	proofs := []struct {
		name string
		run  func() error
	}{
		{"journeys", func() error { return runJourneys(t, s) }},
		{"thieves", func() error { _, err := runThieves(t, s, shipped); return err }},
		{"losses", func() error { _, _, err := runLosses(t, s, shipped); return err }},
		{"random", func() error { return runRandom(s, seeded(7), 150) }},
		{"exemptions", func() error { return runExemptions(s, seeded(9), 250) }},
		{"waves", func() error { return runWaves(s, seeded(11), 250) }},
		{"text", func() error { _, _, err := runText(t, s, shipped[:1]); return err }},
	}
	for _, p := range proofs {
		if err := p.run(); err != nil {
			return p.name + ": " + err.Error()
		}
	}
	return ""
}
