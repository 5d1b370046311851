package arch

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// house loads the module once for all tests of this package.
var house = sync.OnceValues(func() (*House, error) { return Load(filepath.Join("..", "..")) })

func load(t *testing.T) *House {
	t.Helper()
	h, err := house()
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Packages) < len(Plan)/2 {
		t.Fatalf("only %d packages found: the checks would prove nothing", len(h.Packages))
	}
	return h
}

func report(t *testing.T, found []string) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

func TestPlanIsFollowed(t *testing.T) {
	h := load(t)
	report(t, h.Broken)
	report(t, CheckPlan(h.Packages, Plan))
	report(t, CheckLevels(Plan, sideways))
	report(t, CheckPurity(h.Packages, Plan))
	report(t, CheckNames(h.Packages))
}

func TestRoomsStaySmall(t *testing.T) {
	found, err := CheckSizes(load(t).Packages, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

func TestNothingIsLeftUnfinished(t *testing.T) {
	found, err := CheckFinished(load(t).Packages)
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

func TestNothingGoesRoundTheChokePoints(t *testing.T) {
	h := load(t)
	for _, p := range h.Packages {
		if len(p.GoFiles) == 0 {
			continue
		}
		s, err := h.Read(p)
		if err != nil {
			t.Errorf("%s: %v", p.ImportPath, err)
			continue
		}
		for _, c := range Chokes {
			if !c.Exempt(p.Rel()) {
				report(t, c.Find(s))
			}
		}
	}
}

// exempted packages must be where the check would otherwise find something or where the rule lives; a check that is
// exempt everywhere checks nothing.
func TestEveryChokePointAppliesSomewhere(t *testing.T) {
	h := load(t)
	for _, c := range Chokes {
		applies := 0
		for _, p := range h.Packages {
			if len(p.GoFiles) > 0 && !c.Exempt(p.Rel()) {
				applies++
			}
		}
		if applies == 0 {
			t.Errorf("%q applies to no package", c.Name)
		}
	}
}

func has(found []string, part string) bool {
	for _, f := range found {
		if strings.Contains(f, part) {
			return true
		}
	}
	return false
}
