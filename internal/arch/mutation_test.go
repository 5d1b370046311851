package arch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A check that cannot fail proves nothing: each is shown a house that breaks it, and the same house whole.

func pkg(path string, imports ...string) *Package {
	p := &Package{ImportPath: Module + "/" + path, Name: path[strings.LastIndex(path, "/")+1:], GoFiles: []string{"a.go"}}
	for _, i := range imports {
		if strings.HasPrefix(i, "internal/") || strings.HasPrefix(i, "cmd/") {
			i = Module + "/" + i
		}
		p.Imports = append(p.Imports, i)
	}
	return p
}

func TestPlanChecksFindWhatTheyLookFor(t *testing.T) {
	plan := map[string]Room{
		"internal/fault":      {ground, nil},
		"internal/authn":      {nouns, []string{"internal/fault"}},
		"internal/session":    {nouns, []string{"internal/authn"}},
		"internal/web":        {doors, nil},
		"internal/web/signin": {doors, []string{"internal/web"}},
		"internal/sqlstore":   {outside, []string{"internal/authn"}},
	}
	side := map[string][]string{"internal/session": {"internal/authn"}}
	whole := func() []*Package {
		return []*Package{
			pkg("internal/fault"), pkg("internal/authn", "internal/fault"), pkg("internal/session", "internal/authn"),
			pkg("internal/web", "net/http"), pkg("internal/web/signin", "internal/web"), pkg("internal/sqlstore", "internal/authn", "database/sql"),
		}
	}
	all := func(packages []*Package, plan map[string]Room, side map[string][]string) []string {
		found := CheckPlan(packages, plan)
		found = append(found, CheckLevels(plan, side)...)
		found = append(found, CheckPurity(packages, plan)...)
		return append(found, CheckNames(packages)...)
	}
	if found := all(whole(), plan, side); len(found) > 0 {
		t.Fatalf("the whole house fails: %q", found)
	}
	change := func(path string, room Room) map[string]Room {
		m := map[string]Room{}
		for k, v := range plan {
			m[k] = v
		}
		m[path] = room
		return m
	}
	for _, c := range []struct {
		name     string
		packages []*Package
		plan     map[string]Room
		side     map[string][]string
		want     string
	}{
		{"unlisted package", append(whole(), pkg("internal/extra")), plan, side, "internal/extra is not in the plan"},
		{"import not allowed", append(whole()[1:], pkg("internal/fault", "internal/authn")), plan, side, "internal/fault imports internal/authn"},
		{"unused import", append(whole()[:1], append(whole()[2:], pkg("internal/authn"))...), plan, side, "no longer imports"},
		{"package gone", whole()[:5], plan, side, "not in the module"},
		{"upwards", whole(), change("internal/fault", Room{ground, []string{"internal/web"}}), side, "stands above"},
		{"own level", whole(), change("internal/authn", Room{nouns, []string{"internal/session"}}), side, "of its own level"},
		{"two doors", whole(), change("internal/web", Room{doors, []string{"internal/web/signin"}}), side, "of its own level"},
		{"door to store", whole(), change("internal/web", Room{doors, []string{"internal/sqlstore"}}), side, "stands above"},
		{"stale sideways", whole(), plan, map[string][]string{"internal/session": {"internal/authn"}, "internal/authn": {"internal/session"}}, "does not import"},
		{"planned import unknown", whole(), change("internal/web", Room{doors, []string{"internal/nowhere"}}), side, "which is not in the plan"},
		{"test room in product", whole(), func() map[string]Room {
			m := change("internal/web", Room{doors, []string{"internal/rig"}})
			m["internal/rig"] = Room{beside, nil}
			return m
		}(), side, "for tests only"},
		{"http inside", append(whole(), pkg("internal/authn", "internal/fault", "net/http")), plan, side, "neither HTTP nor SQL"},
		{"sql inside", append(whole(), pkg("internal/session", "internal/authn", "database/sql")), plan, side, "neither HTTP nor SQL"},
		{"testing inside", append(whole(), pkg("internal/web", "testing")), plan, side, "outside of tests"},
		{"banned name", append(whole(), pkg("internal/utils")), change("internal/utils", Room{nouns, nil}), side, "says nothing"},
		{"banned name deeper", append(whole(), pkg("internal/models/x")), change("internal/models/x", Room{nouns, nil}), side, "says nothing"},
	} {
		if found := all(c.packages, c.plan, c.side); !has(found, c.want) {
			t.Errorf("%s: not found; got %q", c.name, found)
		}
	}
}

func TestSizeChecksFindWhatTheyLookFor(t *testing.T) {
	size := func(path string, files int, lines int) []string {
		p := &Package{ImportPath: Module + "/" + path}
		for i := range files {
			p.GoFiles = append(p.GoFiles, fmt.Sprintf("%d.go", i))
		}
		found, err := CheckSizes([]*Package{p}, func(string) ([]byte, error) { return []byte(strings.Repeat("\n", lines)), nil })
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, c := range []struct {
		path         string
		files, lines int
		ok           bool
	}{
		{"internal/a", 1, fileCap, true}, {"internal/a", 1, fileCap + 1, false},
		{"internal/a", 10, 300, true}, {"internal/a", 10, 301, false},
		{"internal/sqlstore", 15, 400, true}, {"internal/sqlstore", 16, 400, false},
	} {
		if found := size(c.path, c.files, c.lines); (len(found) == 0) != c.ok {
			t.Errorf("%s with %d files of %d lines: %q", c.path, c.files, c.lines, found)
		}
	}
	if _, err := CheckSizes([]*Package{pkg("internal/a")}, func(string) ([]byte, error) { return nil, errors.New("gone") }); err == nil {
		t.Error("an unreadable file passes")
	}
}

func TestUnfinishedWorkIsFound(t *testing.T) {
	for _, src := range []string{"// TO" + "DO: later", "// FIX" + "ME", "\tt.Sk" + "ip(\"no database\")", "\tt.Sk" + "ipNow()"} {
		if len(Unfinished("internal/a/a_test.go", []byte("package a\n"+src))) == 0 {
			t.Errorf("%q passes", src)
		}
	}
	if found := Unfinished("internal/a/a.go", []byte("package a\n\n// Skip leaves a row out.\n")); len(found) > 0 {
		t.Error(found)
	}
}

// samples break one choke point each; the line marked BAD must be found, and nothing may be found in the others.
var samples = []struct {
	choke, path, src string
}{
	{"the time comes from outside", "internal/sample", `import "time"
func f() time.Time { return time.Now() } // BAD`},
	{"the time comes from outside", "internal/sample", `import "time"
var clock = time.Now // BAD`},
	{"the time comes from outside", "internal/sample", `import "time"
func f(t time.Time) time.Duration { return time.Since(t) } // BAD`},
	{"the time comes from outside", "internal/sample", `import "time"
func f(now func() time.Time) time.Time { return now().Add(time.Minute) }`},
	{"random numbers are cryptographic", "internal/sample", `import "math/rand/v2" // BAD
func f() int { return rand.Int() }`},
	{"random numbers are cryptographic", "internal/sample", `import "crypto/rand"
func f(b []byte) { rand.Read(b) }`},
	{"markup is trusted in web alone", "internal/web/signin", `import "html/template"
func f(s string) any { return template.HTML(s) } // BAD`},
	{"markup is trusted in web alone", "internal/web/signin", `import "html/template"
type page struct { Link template.URL } // BAD`},
	{"no hidden wiring", "internal/sample", `func init() {} // BAD`},
	{"nothing is printed or read from the environment inside", "internal/sample", `import "os"
func f() string { return os.Getenv("DOORWARD_X") } // BAD`},
	{"nothing is printed or read from the environment inside", "internal/sample", `import "fmt"
func f() { fmt.Println("hello") } // BAD`},
	{"TLS is never switched off", "internal/sample", `import "crypto/tls"
func f() *tls.Config { return &tls.Config{InsecureSkipVerify: true} } // BAD`},
	{"TLS is never switched off", "internal/sample", `import "crypto/tls"
func f(c *tls.Config) { c.InsecureSkipVerify = true } // BAD`},
	{"no page waits for another machine", "internal/sample", `import "net"
func f() (net.Conn, error) { return net.Dial("tcp", "localhost:25") } // BAD`},
	{"no page waits for another machine", "internal/sample", `import "net"
func f() *net.Dialer { return &net.Dialer{} } // BAD`},
	{"no page waits for another machine", "internal/sample", `import "net/http"
var f = http.DefaultClient.Get // BAD`},
	{"no page waits for another machine", "internal/sample", `import ("context"; "doorward/internal/mail")
func f(s mail.Sender) error { return s.Send(context.Background(), mail.Composed{}) } // BAD`},
	{"no page waits for another machine", "internal/sample", `import "github.com/wneessen/go-mail/smtp" // BAD
var f = smtp.SendMail`},
	{"only login mints sessions", "internal/sample", `import ("doorward/internal/login"; "doorward/internal/session")
func f(tx login.Tx) error { return tx.AddSession(session.Session{}) } // BAD`},
	{"only login mints sessions", "internal/sample", `import "doorward/internal/login"
func f(tx login.Tx) any { return tx.AddSession } // BAD`},
	{"only login adds credentials", "internal/sample", `import ("doorward/internal/login"; "doorward/internal/authn")
func f(tx login.Tx) error { return tx.AddCredential(authn.Credential{}) } // BAD`},
	{"one-time secrets are spent in login alone", "internal/sample", `import ("doorward/internal/login"; "doorward/internal/authn"; "time")
func f(tx login.Tx, now time.Time) error { return tx.UseOneTime("id", authn.Invite, now) } // BAD`},
	{"derived single uses are spent in login, those of protocol messages in their door, those of the request form and of showing what is one's own in their use cases", "internal/sample", `import ("doorward/internal/login"; "time")
func f(tx login.Tx, now time.Time) (bool, error) { return tx.Spend("key", now) } // BAD`},
	{"attempts are reserved by use cases, and by the protocol door for its own endpoints", "internal/sample", `import "doorward/internal/login"
func f(tx login.Tx) error { return tx.Release("key") } // BAD`},
	{"only login asks methods, and certhost about what is shown as no evidence", "internal/sample", `import ("doorward/internal/authn"; "context")
func f(m authn.Method) { _, _ = m.Verify(context.Background(), authn.Flow{}, nil, authn.Answer{}) } // BAD`},
	{"only login asks methods, and certhost about what is shown as no evidence", "internal/sample", `import ("doorward/internal/authn"; "context")
func f(m authn.Enroller) { _, _ = m.Enrol(context.Background(), authn.Flow{}, nil, authn.Answer{}) } // BAD`},
	{"secrets are compared in constant time", "internal/sample", `import "doorward/internal/secret"
func f(a, b secret.Text) bool { return a == b } // BAD`},
	{"secrets are compared in constant time", "internal/sample", `import "doorward/internal/secret"
func f(a secret.Text, b string) bool { return string(a) != b } // BAD`},
	{"secrets are compared in constant time", "internal/sample", `import "doorward/internal/secret"
func f(a secret.Text) bool {
	switch a { // BAD
	case "right":
		return true
	}
	return false
}`},
	{"secrets are compared in constant time", "internal/sample", `import "doorward/internal/secret"
func f(a secret.Text) bool { return a == "" }`},
	{"secrets are never printed", "internal/sample", `import ("doorward/internal/secret"; "fmt")
func f(a secret.Text) string { return fmt.Sprint("code ", string(a)) } // BAD`},
	{"secrets are never printed", "internal/sample", `import ("doorward/internal/secret"; "log/slog")
func f(l *slog.Logger, a secret.Text) { l.Info("signed in", "code", []byte(a)) } // BAD`},
	{"secrets are never printed", "internal/sample", `import ("doorward/internal/secret"; "doorward/internal/fault")
func f(a secret.Text) error { return fault.New(fault.Invalid, "code", "was", "<"+string(a)+">") } // BAD`},
	{"secrets are never printed", "internal/sample", `import ("doorward/internal/secret"; "errors")
func f(a secret.Text) error { return errors.New("code " + a.Reveal()) } // BAD`},
	{"secrets are compared in constant time", "internal/sample", `import "doorward/internal/secret"
func f(a, b secret.Text) bool { return a.Reveal() == b.Reveal() } // BAD`},
	{"secrets are never printed", "internal/sample", `import ("doorward/internal/secret"; "fmt")
func f(a secret.Text) string { return fmt.Sprint("code ", a) }`},
	{"secrets keep their wrapping", "internal/sample", `import "doorward/internal/secret"
type seen map[secret.Text]bool // BAD`},
	{"secrets keep their wrapping", "internal/sample", `import "doorward/internal/secret"
type config struct {
	password secret.Text // BAD
}`},
	{"secrets keep their wrapping", "internal/sample", `import "doorward/internal/secret"
type config struct { Password secret.Text }`},
	{"only login asks methods, and certhost about what is shown as no evidence", "internal/sample", `type other struct{}
func (other) Verify() {}
func f(o other) { o.Verify() }`},
}

func TestChokePointChecksFindWhatTheyLookFor(t *testing.T) {
	h := load(t)
	tried := map[string]bool{}
	for i, sample := range samples {
		src := "package sample\n" + sample.src + "\n"
		s, err := h.Check(sample.path, map[string][]byte{"sample.go": []byte(src)})
		if err != nil {
			t.Fatalf("sample %d: %v\n%s", i, err, src)
		}
		var choke *Choke
		for j := range Chokes {
			if Chokes[j].Name == sample.choke {
				choke = &Chokes[j]
			}
		}
		if choke == nil || choke.Exempt(sample.path) {
			t.Fatalf("sample %d: no check %q for %s", i, sample.choke, sample.path)
		}
		want := ""
		for n, line := range strings.Split(src, "\n") {
			if strings.HasSuffix(line, "// BAD") {
				want = fmt.Sprintf("sample.go:%d:", n+1)
				tried[sample.choke] = true
			}
		}
		found := choke.Find(s)
		switch {
		case want == "" && len(found) > 0:
			t.Errorf("sample %d is good, and %q finds %q", i, sample.choke, found)
		case want != "" && !has(found, want):
			t.Errorf("%q does not find %s in\n%s(found %q)", sample.choke, want, src, found)
		}
	}
	for _, c := range Chokes {
		if !tried[c.Name] {
			t.Errorf("%q has no bad sample: nobody knows whether it can fail", c.Name)
		}
	}
}
