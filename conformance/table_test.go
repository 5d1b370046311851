package conformance

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// plan is one test plan of the OpenID Foundation.
type plan struct {
	name    string // as a certificate would say it
	id      string // as the suite calls it
	modules []module
}

// module is one row: what the suite calls it, the test here, and what was decided where the plan leaves a choice or where
// this provider differs; empty: as the plan has it.
type module struct{ name, test, how string }

// plans is everything that is counted.
var plans = []plan{basicOP, basicMore, configOP, logoutOP, backchannelOP, fapi2}

// databases that a module has to pass on.
const databases = 2

// tally is what ran and passed in this process.
var tally = struct {
	sync.Mutex
	passed map[string]bool
}{passed: map[string]bool{}}

// each runs the test of a module on both databases, and counts it when it passed on both.
func each(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	if !slices.ContainsFunc(plans, func(p plan) bool {
		return slices.ContainsFunc(p.modules, func(m module) bool { return m.test == t.Name() })
	}) {
		t.Fatalf("%s is in no plan", t.Name())
	}
	ran := 0
	t.Cleanup(func() {
		if t.Failed() || ran != databases {
			return
		}
		tally.Lock()
		defer tally.Unlock()
		tally.passed[t.Name()] = true
	})
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		test(t, newStage(t, store))
		ran++
	})
}

// TestMain counts. A run that was asked for everything and did less than the plans fails.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if flag.Lookup("test.list").Value.String() != "" {
		os.Exit(code)
	}
	whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	for _, p := range plans {
		n := 0
		for _, m := range p.modules {
			if tally.passed[m.test] {
				n++
			} else if whole {
				fmt.Printf("conformance: %s did not pass (%s)\n", m.name, m.test)
				code = max(code, 1)
			}
		}
		fmt.Printf("conformance: %s %d of %d modules passed\n", p.name, n, len(p.modules))
	}
	os.Exit(code)
}

// Every row has its test and every test of a module its row, so that neither can go missing alone.
func TestEveryModuleHasItsTest(t *testing.T) {
	written := map[string]bool{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "each" {
						written[fn.Name.Name] = true
					}
				}
				return true
			})
		}
	}
	rows := map[string]bool{}
	for _, p := range plans {
		names := map[string]bool{}
		for _, m := range p.modules {
			if !written[m.test] {
				t.Errorf("%s of %s has no test %s", m.name, p.id, m.test)
			}
			if names[m.name] {
				t.Errorf("%s stands twice in %s", m.name, p.id)
			}
			names[m.name], rows[m.test] = true, true
		}
		if len(p.modules) == 0 {
			t.Errorf("%s is empty", p.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if !rows[name] {
			t.Errorf("%s is in no plan", name)
		}
	}
}

var update = flag.Bool("update", false, "write the tables of docs/conformance.md")

// The document's tables are these tables.
func TestTheDocumentHasTheTables(t *testing.T) {
	const file, begin, end = "../docs/conformance.md", "<!-- tables -->\n", "<!-- end of tables -->\n"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost its marks", file)
	}
	var want strings.Builder
	for _, p := range plans {
		fmt.Fprintf(&want, "\n## %s\n\n`%s`, %d modules.\n\n| module | test | decided |\n|---|---|---|\n", p.name, p.id, len(p.modules))
		for _, m := range p.modules {
			fmt.Fprintf(&want, "| `%s` | `%s` | %s |\n", m.name, m.test, m.how)
		}
	}
	want.WriteString("\n")
	switch {
	case have == want.String():
	case *update:
		if err := os.WriteFile(file, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not say what the tables say: go test ./conformance -run TheDocument -update", file)
	}
}
