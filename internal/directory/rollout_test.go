package directory

import (
	"strings"
	"testing"
	"time"
)

const waves = smallest + `
[[rollout]]
id = "codes"
name.en = "A second step"
about.en = "From spring on you show a code as well."
policy = """
login password + totp
"""
[[rollout.wave]]
organizations = ["Sample Works Ltd", "staff"]
from = 2026-12-01
until = 2026-12-15T08:00:00+01:00
[[rollout.wave]]
organizations = ["rest"]
from = 2027-01-10
until = 2027-02-10
`

func TestREQ_B84_WavesAreRead(t *testing.T) {
	r, err := ParseRealm("tiny.toml", []byte(waves))
	if err != nil {
		t.Fatal(err)
	}
	ro := r.Rollouts[0]
	zurich, _ := time.LoadLocation("Europe/Zurich")
	switch {
	case !ro.Waves[0].From.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, zurich)):
		t.Errorf("a date begins in the realm's zone: %v", ro.Waves[0].From)
	case !ro.Waves[0].Until.Equal(time.Date(2026, 12, 15, 7, 0, 0, 0, time.UTC)):
		t.Errorf("%v", ro.Waves[0].Until)
	case ro.PolicyLine != strings.Count(waves[:strings.Index(waves, "login password + totp")], "\n")+1:
		t.Errorf("the policy begins on line %d", ro.PolicyLine)
	}
	ro.Waves[0].Organizations[0] = "o1" // as it is stored
	for _, c := range []struct {
		o    Organization
		want int
	}{
		{Organization{ID: "o1"}, 0}, {Organization{ID: "o2"}, 1}, {Organization{ID: "own", Staff: true}, 0}, {Organization{}, -1},
	} {
		if got := ro.WaveOf(c.o); got != c.want {
			t.Errorf("%+v is in wave %d, want %d", c.o, got, c.want)
		}
	}
	ro.Waves[0].Organizations = []string{"o1"}
	if got := ro.WaveOf(Organization{ID: "own", Staff: true}); got != -1 {
		t.Errorf("the rest are customers: the realm's own organization is in wave %d", got)
	}
	d := r.Dues(Organization{ID: "o1"})[0]
	for _, c := range []struct {
		at          time.Time
		grace, over bool
	}{
		{d.From.Add(-time.Second), false, false}, {d.From, true, false}, {d.Until.Add(-time.Second), true, false}, {d.Until, false, true},
	} {
		if d.Grace(c.at) != c.grace || d.Over(c.at) != c.over {
			t.Errorf("%v: grace %v, over %v", c.at, d.Grace(c.at), d.Over(c.at))
		}
	}
}

func TestREQ_B84_WavesThatCannotBe(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`id = "codes"`, `id = "Codes"`, "rollout[0].id: 2 to 32"},
		{`name.en = "A second step"`, `name.de = "Zweiter Schritt"`, `rollout[0].name: missing in "en"`},
		{"login password + totp\n\"\"\"\n[[rollout.wave]]", "\"\"\"\n[[rollout.wave]]", "rollout[0].policy: missing or empty"},
		{`["rest"]`, `["staff"]`, `rollout[0].wave[1].organizations: "staff" stands in two waves`},
		{`["rest"]`, `["sample works ltd"]`, `stands in two waves`},
		{`["rest"]`, `[]`, `rollout[0].wave[1].organizations: at least one name`},
		{`["rest"]`, `[" x"]`, `is no name`},
		{`from = 2027-01-10`, `from = 2027-02-31`, ""},
		{`from = 2027-01-10`, `from = "soon"`, "rollout[0].wave[1].from: a date such as"},
		{`from = 2027-01-10`, ``, "rollout[0].wave[1].from: a date such as"},
		{`until = 2027-02-10`, `until = 2027-01-10`, "rollout[0].wave[1].until: grace lasts a day at least"},
		{`until = 2027-02-10`, `end = 2027-02-10`, "unknown key"},
	} {
		text := strings.Replace(waves, c.old, c.new, 1)
		if text == waves {
			t.Fatalf("%q is not there", c.old)
		}
		if _, err := ParseRealm("tiny.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.new, err, c.want)
		}
	}
	for _, hours := range []string{"-1", "73"} {
		if _, err := ParseRealm("tiny.toml", []byte(smallest+"[exemptions]\nhours = "+hours+"\n")); err == nil || !strings.Contains(err.Error(), "exemptions.hours: "+hours+" is not between 0 and 72") {
			t.Errorf("%s hours: %v", hours, err)
		}
	}
}
