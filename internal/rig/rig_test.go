package rig_test

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// The rig wires the program a second time, for tests. A door that the program has and the rig has not would be tested by
// nobody here.
func TestTheRigHasEveryDoor(t *testing.T) {
	doors := func(file string) (out []string) {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if p := strings.Trim(i.Path.Value, `"`); strings.HasPrefix(p, "doorward/internal/web/") || strings.HasPrefix(p, "doorward/internal/authn/") {
				out = append(out, p)
			}
		}
		slices.Sort(out)
		return out
	}
	program, rig := doors("../../cmd/doorward/wire.go"), doors("rig.go")
	if len(program) < 5 || !slices.Equal(program, rig) {
		t.Errorf("the program has %q, the rig %q", program, rig)
	}
}
