package directory

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests do not depend on the machine's own

	"doorward/internal/tomlfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

// smallest is the shortest file that is accepted.
const smallest = `realm = "tiny"
name = "Tiny"
host = "login.tiny.example"
languages = ["en"]
zone = "Europe/Zurich"
policy = '''
policy tiny
  members
    login password
'''
[desk]
phone = "+41 61 555 02 00"
mail = "help@tiny.example"
address = "Here 1"
hours.en = "always"
[[authenticator]]
id = "app"
name = "App"
kind = "app"
version = "1"
about.en = "An app."
stores.ios = "https://ios.example/app"
stores.android = "https://android.example/app?id=1"
steps.en = ["Open it."]
[terms]
version = "1"
in_force = 2026-09-01
text.en = "# One\nBe kind."
`

func TestParseRealmFillsDefaults(t *testing.T) {
	r, err := ParseRealm("tiny.toml", []byte(smallest))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case r.Origin != "https://login.tiny.example", r.Operator != "Tiny", r.PolicyLine != 7, r.Brand.Paper != r.Brand.Hue:
		t.Errorf("%+v", r)
	case r.Session != SessionLimits{Idle: 30, Absolute: 720, StaffIdle: 15, StaffAbsolute: 720}:
		t.Errorf("SEC S-3: %+v", r.Session)
	case r.Invitation.Days != 7, r.Password != PasswordRules{Length: 12, Memory: 19456, Passes: 2, Lanes: 1}:
		t.Errorf("%+v %+v", r.Invitation, r.Password)
	case !r.Terms.InForce.Equal(time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)):
		t.Errorf("a date is the same day everywhere, not %v", r.Terms.InForce)
	}
}

// Everything that is wrong is said at once, each with its line.
func TestParseRealmSaysEverythingThatIsWrong(t *testing.T) {
	for _, name := range []string{"broken", "relying"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".toml"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseRealm(name+".toml", text)
		var problems tomlfile.Problems
		if !errors.As(err, &problems) {
			t.Fatalf("got %v", err)
		}
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, readErr := os.ReadFile(golden)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if err.Error()+"\n" != string(want) {
			t.Errorf("got\n%s\nwant\n%s", err, want)
		}
		last := strings.Count(string(text), "\n") + 1
		for _, p := range problems {
			if p.Line < 1 || p.Line > last || p.Reason == "" {
				t.Errorf("%+v", p)
			}
		}
	}
}

// One change each to the smallest file: what it must say, and that nothing else is blamed.
func TestParseRealmRefuses(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`realm = "tiny"`, `realm = "-"`, "x:1: realm: 2 to 32"},
		{`host = "login.tiny.example"`, `host = "10.0.0.1"`, "x:3: host: "},
		{`zone = "Europe/Zurich"`, `zone = "Local"`, "x:5: zone: "},
		{`zone = "Europe/Zurich"`, `zone = "../etc/passwd"`, "x:5: zone: "},
		{`languages = ["en"]`, `languages = []`, "x:4: languages: "},
		{`languages = ["en"]`, `languages = ["en", "de"]`, `x:15: desk.hours: missing in "de"`},
		{`name = "Tiny"`, `name = "Ti\u202eny"`, "x:2: name: has a line break or another"},
		{`name = "Tiny"`, "name = \"Tiny\"\norigin = \"https://login.tiny.example/\"", "x:3: origin: "},
		{`name = "Tiny"`, "name = \"Tiny\"\norigin = \"https://other.example\"", "x:3: origin: "},
		{`name = "Tiny"`, "name = \"Tiny\"\norigin = \"https://login.tiny.example:443\"", "x:3: origin: "},
		{`name = "Tiny"`, "name = \"Tiny\"\norigin = \"https://login.tiny.example:0\"", "x:3: origin: "},
		{`name = "Tiny"`, "name = \"Tiny\"\norigin = \"https://a@login.tiny.example\"", "x:3: origin: "},
		{`[terms]`, "[session]\nidle_minutes = 31\n[terms]", "x:26: session.idle_minutes: 31 is not between 1 and 30"},
		{`[terms]`, "[session]\nidle_minutes = 0\n[terms]", "x:26: session.idle_minutes: 0 is not"},
		{`[terms]`, "[session]\nidle_minutes = 5\nstaff_idle_minutes = 6\n[terms]", "x:27: session.staff_idle_minutes: 6 is not between 1 and 5"},
		{`[terms]`, "[session]\nstaff_idle_minutes = 16\n[terms]", "x:26: session.staff_idle_minutes: 16 is not"},
		{`[terms]`, "[session]\nabsolute_minutes = 721\n[terms]", "x:26: session.absolute_minutes: 721 is not"},
		{`[terms]`, "[password]\nlength = 11\n[terms]", "x:26: password.length: 11 is not"},
		{`[terms]`, "[password]\nmemory_kib = 19455\n[terms]", "x:26: password.memory_kib: 19455 is not"},
		{`[terms]`, "[invitation]\ndays = 0\n[terms]", "x:26: invitation.days: 0 is not"},
		{`stores.ios = "https://ios.example/app"`, `stores.ios = "https://me:pw@ios.example/app"`, "x:22: authenticator[0].stores.ios: "},
		{`stores.ios = "https://ios.example/app"`, `stores.ios = "javascript:alert(1)"`, "x:22: authenticator[0].stores.ios: "},
		{`stores.ios = "https://ios.example/app"`, `stores.ios = "https:/\\evil.example/"`, "x:22: authenticator[0].stores.ios: "},
		{`stores.ios = "https://ios.example/app"`, ``, `x:23: authenticator[0].stores: the link for "ios" is missing`},
		{`kind = "app"`, `kind = "app"` + "\nhidden = true", "x:16: authenticator: at least one"},
		{`in_force = 2026-09-01`, ``, "x:25: terms.in_force: "},
		{`text.en = "# One\nBe kind."`, ``, `x:25: terms.text: missing in "en"`},
		{`version = "1"`, `version = 1`, "x:20: "},
	} {
		text := strings.Replace(smallest, c.old, c.new, 1)
		if text == smallest {
			t.Fatalf("%q is not there", c.old)
		}
		_, err := ParseRealm("x", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s instead of %s: got %v\nwant %s", c.new, c.old, err, c.want)
		} else if n := strings.Count(err.Error(), "\n"); n > 0 && !strings.Contains(c.new, `"de"`) {
			t.Errorf("%s: blames more than one thing: %v", c.new, err)
		}
	}
}

func TestSEC_S3_StaffFollowShorterSessions(t *testing.T) {
	r, err := ParseRealm("x", []byte(strings.Replace(smallest, "[terms]", "[session]\nidle_minutes = 5\nabsolute_minutes = 60\n[terms]", 1)))
	if err != nil || r.Session != (SessionLimits{Idle: 5, Absolute: 60, StaffIdle: 5, StaffAbsolute: 60}) {
		t.Fatalf("%+v, %v", r.Session, err)
	}
}

// Certificates live for two years and can be renewed two months before their end, unless the realm says otherwise; what
// lives shorter is renewed in the second half of its life.
func TestREQ_A51_LifeAndRenewalOfCertificates(t *testing.T) {
	for text, want := range map[string]struct{ days, window, overlap int }{
		"":                              {730, 60, 24},
		"days = 30":                     {30, 15, 24},
		"days = 1":                      {1, 1, 24},
		"renewal_days = 90":             {730, 90, 24},
		"days = 30\noverlap_hours = 48": {30, 15, 48},
		"days = 30\nrenewal_days = 30":  {},
		"overlap_hours = 0":             {},
		"overlap_hours = 337":           {},
		"renewal_days = -1":             {},
	} {
		r, err := ParseRealm("x", []byte(strings.Replace(smallest, "[desk]", "[certificates]\n"+text+"\n[desk]", 1)))
		if c := r.Certificates; want.days == 0 && err == nil || want.days != 0 && (err != nil || c.Days != want.days || c.Window() != want.window || c.Overlap != want.overlap) {
			t.Errorf("%q: %+v, window %d, %v", text, c, c.Window(), err)
		}
	}
	if w := (Certificates{}).Window(); w != 60 {
		t.Errorf("of a realm from before: %d", w)
	}
}

func TestParseRealmAcceptsPortsAndWindowsLineEnds(t *testing.T) {
	text := strings.Replace(smallest, `name = "Tiny"`, "name = \"Tiny\"\norigin = \"https://login.tiny.example:8443\"", 1)
	one, err := ParseRealm("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseRealm("x", []byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil || other.Policy != one.Policy || other.PolicyLine != one.PolicyLine {
		t.Fatalf("%v: %q", err, other.Policy)
	}
}

// Whatever bytes come in, parsing ends with a realm or with problems, never with a panic.
func FuzzParseRealm(f *testing.F) {
	f.Add([]byte(smallest))
	broken, err := os.ReadFile(filepath.Join("testdata", "broken.toml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(broken)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRealm("f", text)
		var problems tomlfile.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%T", err)
		}
		if err == nil && (r.ID == "" || r.PolicyLine == 0 || len(r.Languages) == 0) {
			t.Fatalf("accepted: %+v", r)
		}
	})
}
