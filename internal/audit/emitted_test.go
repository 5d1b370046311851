package audit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestSEC_G2_EveryEventIsListedAndEveryListedOneHappens reads the source: a type that is emitted under a name nobody has
// listed is missed by alarms, and one that is listed and never emitted is an alarm that cannot ring.
func TestSEC_G2_EveryEventIsListedAndEveryListedOneHappens(t *testing.T) {
	emitted := map[string]string{}
	for _, root := range []string{"../../internal", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil && emits(f.Body) {
					for _, name := range eventNames(f.Body) {
						emitted[name] = path + " " + f.Name.Name
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(emitted) < 15 {
		t.Fatalf("found %d types only: %v", len(emitted), emitted)
	}
	for name, where := range emitted {
		if _, ok := TypeOf(name); !ok {
			t.Errorf("%s is emitted in %s and not listed", name, where)
		}
	}
	for _, x := range Types {
		if emitted[x.Name] == "" {
			t.Errorf("%s is listed and never emitted", x.Name)
		}
	}
}

// emits reports whether a body makes an event: it calls one of the functions that do, or writes an audit.Event with a type.
func emits(body ast.Node) (yes bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok {
				yes = yes || slices.Contains([]string{"event", "Event", "EventAbout", "sendLink"}, s.Sel.Name) && len(n.Args) >= 4
			}
		case *ast.CompositeLit:
			if s, ok := n.Type.(*ast.SelectorExpr); ok && s.Sel.Name == "Event" {
				for _, e := range n.Elts {
					kv, ok := e.(*ast.KeyValueExpr)
					yes = yes || ok && kv.Key.(*ast.Ident).Name == "Type"
				}
			}
		case *ast.AssignStmt: // about.Type = …
			for _, l := range n.Lhs {
				s, ok := l.(*ast.SelectorExpr)
				yes = yes || ok && s.Sel.Name == "Type" && len(eventNames(n)) > 0
			}
		}
		return !yes
	})
	return yes
}

var eventName = regexp.MustCompile(`^[a-z]+\.[a-z]+(-[a-z]+)*$`)

func eventNames(n ast.Node) (names []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && eventName.MatchString(s) {
				names = append(names, s)
			}
		}
		return true
	})
	return names
}
