package arch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CheckPlan compares the module's packages with the plan and returns what differs, each line saying what to do.
func CheckPlan(packages []*Package, plan map[string]Room) []string {
	var found []string
	seen := map[string]bool{}
	for _, p := range packages {
		path := p.Rel()
		if len(p.GoFiles) == 0 { // tests only, such as e2e: nobody can import it
			seen[path] = true
			continue
		}
		seen[path] = true
		room, listed := plan[path]
		if !listed {
			found = append(found, fmt.Sprintf("%s is not in the plan: add it with its level and imports %q", path, own(p.Imports)))
			continue
		}
		imports := own(p.Imports)
		for _, i := range imports {
			if !slices.Contains(room.Imports, i) {
				found = append(found, fmt.Sprintf("%s imports %s, which the plan does not allow", path, i))
			}
		}
		for _, i := range room.Imports {
			if !slices.Contains(imports, i) {
				found = append(found, fmt.Sprintf("%s no longer imports %s: take it out of the plan", path, i))
			}
		}
	}
	for _, path := range sortedKeys(plan) {
		if !seen[path] {
			found = append(found, fmt.Sprintf("%s is in the plan and not in the module", path))
		}
	}
	return found
}

func own(imports []string) []string {
	var out []string
	for _, i := range imports {
		if r := rel(i); r != "" {
			out = append(out, r)
		}
	}
	slices.Sort(out)
	return out
}

// CheckLevels reads the plan itself: an entry that breaks the rules at the top of plan.go is wrong even when used.
func CheckLevels(plan map[string]Room, sideways map[string][]string) []string {
	var found []string
	used := map[string]bool{}
	for _, path := range sortedKeys(plan) {
		room := plan[path]
		for _, i := range room.Imports {
			target, ok := plan[i]
			switch {
			case !ok:
				found = append(found, fmt.Sprintf("%s may import %s, which is not in the plan", path, i))
			case target.Level == beside && room.Level != beside:
				found = append(found, fmt.Sprintf("%s imports %s, which is for tests only", path, i))
			case room.Level == doors && target.Level == doors && i == "internal/web" && strings.HasPrefix(path, "internal/web/"):
			case target.Level == room.Level && room.Level < wiring:
				if !slices.Contains(sideways[path], i) {
					found = append(found, fmt.Sprintf("%s imports %s of its own level", path, i))
				}
				used[path+" "+i] = true
			case target.Level > room.Level:
				found = append(found, fmt.Sprintf("%s imports %s, which stands above it", path, i))
			}
		}
	}
	for _, path := range sortedKeys(sideways) {
		for _, i := range sideways[path] {
			if !used[path+" "+i] {
				found = append(found, fmt.Sprintf("sideways: %s does not import %s", path, i))
			}
		}
	}
	return found
}

// purer are packages that levels 0 to 3 never import.
var purer = []string{"net/http", "database/sql", "os/exec"}

// CheckPurity finds outside worlds in the inner levels, and packages for tests in what ships.
func CheckPurity(packages []*Package, plan map[string]Room) []string {
	var found []string
	for _, p := range packages {
		room, ok := plan[p.Rel()]
		if !ok || len(p.GoFiles) == 0 {
			continue
		}
		for _, i := range p.Imports {
			if room.Level <= cases && slices.Contains(purer, i) {
				found = append(found, fmt.Sprintf("%s imports %s: levels 0 to 3 know neither HTTP nor SQL", p.Rel(), i))
			}
			if room.Level < beside && (i == "testing" || strings.HasPrefix(i, "net/http/httptest")) {
				found = append(found, fmt.Sprintf("%s imports %s outside of tests", p.Rel(), i))
			}
		}
		if room.Level < beside && room.Level <= cases && slices.Contains(p.Deps, "database/sql") {
			found = append(found, fmt.Sprintf("%s reaches database/sql through another package", p.Rel()))
		}
	}
	return found
}

// CheckNames refuses package names that say nothing.
func CheckNames(packages []*Package) []string {
	var found []string
	for _, p := range packages {
		for _, part := range append(strings.Split(p.Rel(), "/"), strings.TrimSuffix(p.Name, "_test")) {
			if slices.Contains(banned, part) {
				found = append(found, fmt.Sprintf("%s: the name %q says nothing about what is inside", p.Rel(), part))
				break
			}
		}
	}
	return found
}

// CheckSizes counts lines; read gives a file's bytes.
func CheckSizes(packages []*Package, read func(string) ([]byte, error)) ([]string, error) {
	var found []string
	for _, p := range packages {
		total := 0
		for _, name := range p.GoFiles {
			src, err := read(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			lines := bytes.Count(src, []byte("\n"))
			total += lines
			if lines > fileCap {
				found = append(found, fmt.Sprintf("%s/%s has %d lines, the cap is %d: split it by what it does", p.Rel(), name, lines, fileCap))
			}
		}
		limit := packageCap
		if n, ok := largerCaps[p.Rel()]; ok {
			limit = n
		}
		if total > limit {
			found = append(found, fmt.Sprintf("%s has %d lines, the cap is %d: it holds more than one thing", p.Rel(), total, limit))
		}
	}
	return found, nil
}

// unfinished marks what was left for later, spelled in pieces so that this file does not find itself.
var unfinished = []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"}

// CheckFinished finds marks of unfinished work in sources, and skips in tests: a test that can prove nothing must fail.
func CheckFinished(packages []*Package) ([]string, error) {
	var found []string
	for _, p := range packages {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			found = append(found, Unfinished(p.Rel()+"/"+name, src)...)
		}
	}
	return found, nil
}

// Unfinished reads one file line by line.
func Unfinished(name string, src []byte) []string {
	var found []string
	for n, line := range strings.Split(string(src), "\n") {
		for _, mark := range unfinished {
			if strings.Contains(line, mark) {
				found = append(found, fmt.Sprintf("%s:%d: %s: finish it or write down why not in docs/", name, n+1, mark))
			}
		}
		if strings.HasSuffix(name, "_test.go") && (strings.Contains(line, "t.Sk"+"ip") || strings.Contains(line, "b.Sk"+"ip")) {
			found = append(found, fmt.Sprintf("%s:%d: a skipped test proves nothing: make it fail instead", name, n+1))
		}
	}
	return found
}
