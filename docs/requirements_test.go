// Package docs checks what the documents promise against the tests that prove it.
package docs

import (
	"encoding/csv"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// update rewrites the column of tests: go test ./docs -update
var update = flag.Bool("update", false, "write the names of the tests into the tables")

// Rules of the tables. A row is `| ids | what | state | tests |`, its ids in backquotes, as "B23" or "K-4".
//   - A row that is built or partly built names at least one test; so every id that is claimed has a proof.
//   - A planned row has no test yet. One that has is not planned any more.
//   - Test names carry ids: TestREQ_B23_..., TestSEC_K4_...; an id that no row has is a slip of the pen.
//   - A gate row is `| gate | state | tests |`: the tests stand there by hand and must exist.
//
// A test that exists passes: the suite fails with any test that does not, and internal/arch refuses tests that skip.
var (
	marks    = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Za-z0-9]*?(REQ|SEC)_[A-Za-z0-9_]+`)
	ids      = regexp.MustCompile(`^(?:[A-Z]{1,5}[0-9]+[a-z]?|T(?:AITM|PUSH|LAP|PHN|ADM|OPS|MBX|BOT|LNK|DB|DBW|KEK|AUD|BKP|IDOR|ENUM|LOCK|SPRAY|CSRF|CLK|RED|FIX|HOST|HDR|SMUG|SSRF|XML|REV|REN|RACE|WH|DOS|UPG|SUP|INS))$`)
	quoted   = regexp.MustCompile("`([^`]+)`")
	function = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// proofs maps "REQ_B23" to the tests that carry it, and lists every test there is, as "internal/x: TestName".
func proofs(t *testing.T) (byID map[string][]string, all map[string]string) {
	t.Helper()
	byID, all = map[string][]string{}, map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range function.FindAllStringSubmatch(string(src), -1) {
			name := m[1]
			all[name] = filepath.ToSlash(filepath.Dir(path)[3:])
			for _, id := range idsOf(name) {
				byID[id] = append(byID[id], name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return byID, all
}

// idsOf reads the ids in a test's name: TestREQ_B33_B34_Key has REQ_B33 and REQ_B34, TestSEC_TAC2_X has SEC_TAC2.
func idsOf(name string) []string {
	var out []string
	kind := ""
	for _, part := range strings.Split(marks.FindString(name), "_") {
		switch {
		case strings.HasSuffix(part, "REQ"):
			kind = "REQ_"
		case strings.HasSuffix(part, "SEC"):
			kind = "SEC_"
		case kind != "" && ids.MatchString(part):
			out = append(out, kind+part)
		case kind != "":
			return out // the words begin
		}
	}
	return out
}

// row is one line of a table.
type row struct {
	line  int
	ids   []string // as in test names, without the kind
	what  string
	state string
	tests []string
}

func parse(t *testing.T, src, file string) (lines []string, rows, gates []row) {
	t.Helper()
	lines = strings.Split(src, "\n")
	kind := ""
	for n, line := range lines {
		switch {
		case strings.HasPrefix(line, "| id | what | state | tests |"):
			kind = "id"
		case strings.HasPrefix(line, "| gate | state | tests |"):
			kind = "gate"
		case !strings.HasPrefix(line, "|"):
			kind = ""
		case strings.HasPrefix(line, "|-") || kind == "":
		default:
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			r := row{line: n}
			switch {
			case kind == "id" && (len(cells) == 3 || len(cells) == 4):
				for _, m := range quoted.FindAllStringSubmatch(cells[0], -1) {
					r.ids = append(r.ids, strings.ReplaceAll(m[1], "-", ""))
				}
				r.what, r.state = cells[1], strings.TrimSpace(strings.Trim(cells[2], "| "))
				if len(cells) == 4 {
					r.tests = names(cells[3])
				}
				rows = append(rows, r)
			case kind == "gate" && len(cells) >= 2:
				r.what, r.state = cells[0], strings.TrimSpace(strings.Trim(cells[1], "| "))
				if len(cells) == 3 {
					r.tests = names(cells[2])
				}
				gates = append(gates, r)
			default:
				t.Fatalf("%s:%d: a row of %d cells", file, n+1, len(cells))
			}
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no rows: nothing would be checked", file)
	}
	return lines, rows, gates
}

func names(cell string) []string {
	var out []string
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		out = append(out, m[1])
	}
	return out
}

// review says what is wrong with a document, given the tests there are.
func review(kind, file string, rows, gates []row, byID map[string][]string, all map[string]string) []string {
	var found []string
	known := map[string]bool{}
	for _, r := range rows {
		have := testsFor(kind, r, byID)
		for _, id := range r.ids {
			if known[kind+id] {
				found = append(found, fmt.Sprintf("%s:%d: %s stands twice", file, r.line+1, id))
			}
			known[kind+id] = true
		}
		first, _, _ := strings.Cut(r.state, ":")
		switch first {
		case "built", "partly":
			if len(r.ids) > 0 && len(have) == 0 {
				found = append(found, fmt.Sprintf("%s:%d: %q is %s and no test carries its id", file, r.line+1, r.ids, first))
			}
		case "planned":
			if len(have) > 0 {
				found = append(found, fmt.Sprintf("%s:%d: %q is planned and has tests: %q", file, r.line+1, r.ids, have))
			}
		default:
			found = append(found, fmt.Sprintf("%s:%d: state %q is none of built, partly, planned", file, r.line+1, r.state))
		}
		for _, name := range r.tests {
			if !slices.Contains(have, name) {
				found = append(found, fmt.Sprintf("%s:%d: %s is gone or carries other ids: go test ./docs -update", file, r.line+1, name))
			}
		}
		if len(have) > 0 && len(r.tests) == 0 {
			found = append(found, fmt.Sprintf("%s:%d: the tests are not named: go test ./docs -update", file, r.line+1))
		}
	}
	for _, id := range sorted(byID) {
		if strings.HasPrefix(id, kind) && !known[id] {
			found = append(found, fmt.Sprintf("%s: no row for %s, named by %q", file, id, byID[id]))
		}
	}
	for _, g := range gates {
		switch first, _, _ := strings.Cut(g.state, ":"); {
		case first != "built" && first != "partly" && first != "planned":
			found = append(found, fmt.Sprintf("%s:%d: state %q is none of built, partly, planned", file, g.line+1, g.state))
		case first != "planned" && len(g.tests) == 0:
			found = append(found, fmt.Sprintf("%s:%d: the gate %q has no test", file, g.line+1, g.what))
		}
		for _, name := range g.tests {
			if _, ok := all[name]; !ok {
				found = append(found, fmt.Sprintf("%s:%d: the gate %q names %s, and there is no such test", file, g.line+1, g.what, name))
			}
		}
	}
	return found
}

func testsFor(kind string, r row, byID map[string][]string) []string {
	var have []string
	for _, id := range r.ids {
		have = append(have, byID[kind+id]...)
	}
	slices.Sort(have)
	return slices.Compact(have)
}

func sorted(m map[string][]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func TestEveryClaimHasItsTest(t *testing.T) {
	byID, all := proofs(t)
	if len(all) < 20 {
		t.Fatalf("only %d tests found: nothing would be checked", len(all))
	}
	for kind, file := range map[string]string{"REQ_": "requirements.md", "SEC_": "security.md"} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines, rows, gates := parse(t, string(src), file)
		if *update {
			for i, r := range rows {
				have := testsFor(kind, r, byID)
				rows[i].tests = have
				first := ""
				for _, id := range strings.Fields(strings.Trim(strings.SplitN(lines[r.line], " | ", 2)[0], "| ")) {
					first += " " + id
				}
				cell := ""
				if len(have) > 0 {
					cell = " `" + strings.Join(have, "` `") + "`"
				}
				lines[r.line] = fmt.Sprintf("|%s | %s | %s |%s |", first, r.what, r.state, cell)
			}
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range review(kind, file, rows, gates, byID, all) {
			t.Error(f)
		}
	}
}

// The check itself, shown documents that are wrong.
func TestReviewFindsWhatItLooksFor(t *testing.T) {
	byID := map[string][]string{"REQ_B23": {"TestREQ_B23_Reuse"}, "REQ_B99": {"TestREQ_B99_Slip"}}
	all := map[string]string{"TestREQ_B23_Reuse": "internal/x", "TestOther": "internal/y"}
	const table = "| id | what | state | tests |\n|---|---|---|---|\n"
	for _, c := range []struct{ doc, want string }{
		{table + "| `B23` | codes | built | `TestREQ_B23_Reuse` |\n", "no row for REQ_B99"},
		{table + "| `B24` | terms | built | |\n", "no test carries its id"},
		{table + "| `B24` | terms | partly: half | |\n", "no test carries its id"},
		{table + "| `B23` | codes | planned | `TestREQ_B23_Reuse` |\n", "is planned and has tests"},
		{table + "| `B23` | codes | done | `TestREQ_B23_Reuse` |\n", "is none of"},
		{table + "| `B23` | codes | built | |\n", "are not named"},
		{table + "| `B23` | codes | built | `TestREQ_B23_Gone` |\n", "is gone"},
		{table + "| `B23` `B-23` | codes | built | `TestREQ_B23_Reuse` |\n", "stands twice"},
		{table + "| `B9` | x | planned | |\n\n| gate | state | tests |\n|---|---|---|\n| raced | built | `TestGone` |\n", "there is no such test"},
		{table + "| `B9` | x | planned | |\n\n| gate | state | tests |\n|---|---|---|\n| raced | built | |\n", "has no test"},
	} {
		_, rows, gates := parse(t, c.doc, "x.md")
		found := review("REQ_", "x.md", rows, gates, byID, all)
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, c.want) }) {
			t.Errorf("%q is not found in\n%s got %q", c.want, c.doc, found)
		}
	}
	if got := idsOf("TestREQ_B33_B34_KeyAsText"); !slices.Equal(got, []string{"REQ_B33", "REQ_B34"}) {
		t.Errorf("ids %q", got)
	}
	if got := idsOf("TestSEC_TLOCK_NoDeadEnd_A1"); !slices.Equal(got, []string{"SEC_TLOCK"}) {
		t.Errorf("ids %q", got)
	}
	if got := idsOf("TestSEC_TAC2_REQ_B23_Raced"); !slices.Equal(got, []string{"SEC_TAC2", "REQ_B23"}) {
		t.Errorf("ids %q", got)
	}
}

// A row of the ASVS list that is called tested names tests that exist.
func TestASVSRowsNameTests(t *testing.T) {
	_, all := proofs(t)
	f, err := os.Open("asvs.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, r := range rows[1:] {
		id, tests, status := r[0], strings.Fields(r[6]), r[7]
		if (status == "tested") != (len(tests) > 0) {
			t.Errorf("%s: status %q with tests %q", id, status, tests)
		}
		for _, name := range tests {
			if _, ok := all[name]; !ok {
				t.Errorf("%s names %s, and there is no such test", id, name)
			}
		}
		if status == "tested" {
			tested++
		}
	}
	if len(rows) < 340 || tested == 0 {
		t.Errorf("%d rows, %d tested", len(rows), tested)
	}
}
