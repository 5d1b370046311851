package catalog

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sources is what the program's own files say: which words they use and which faults they raise.
type sources struct {
	literals map[string]bool     // string literals of Go and templates
	families []string            // constant beginnings of keys that are put together
	asked    map[string]string   // keys handed to T, Rich and their kind, with a place
	codes    map[string][]string // code of a fault, with the names of its arguments
}

const root = "../../.."

// words are the functions whose string arguments may be keys.
var words = map[string]bool{
	"T": true, "Rich": true, "Field": true, "Help": true, "Note": true, "Empty": true, "Do": true, "QR": true, "StoreQR": true, "Countdown": true, "Flash": true,
}

var templateString = regexp.MustCompile(`"([^"\s]+)"|` + "`([^`\\s]+)`")

func scan(t *testing.T) *sources {
	t.Helper()
	s := &sources{literals: map[string]bool{}, asked: map[string]string{}, codes: map[string][]string{}}
	for _, dir := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil && os.IsNotExist(err):
				return nil
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || d.Name() == "webtest"):
				return fs.SkipDir
			case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
				return s.golang(path)
			case strings.HasSuffix(path, ".html"):
				return s.template(path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(s.asked) < 20 || len(s.codes) < 5 {
		t.Fatalf("found only %d keys and %d codes in the sources: the scan looks in the wrong place", len(s.asked), len(s.codes))
	}
	return s
}

// area matches what can only be a key: the name of a file here, a point, a name.
var area = func() *regexp.Regexp {
	names := []string{"error"}
	entries, err := files.ReadDir("en")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return regexp.MustCompile(`^(` + strings.Join(names, "|") + `)\.[a-z0-9_.-]+$`)
}()

func (s *sources) template(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, m := range templateString.FindAllStringSubmatch(string(b), -1) {
		lit := m[1] + m[2]
		s.literal(lit)
		if area.MatchString(lit) && !strings.HasSuffix(lit, ".") && !strings.HasSuffix(lit, "-") {
			s.asked[lit] = path
		}
	}
	return nil
}

func (s *sources) literal(lit string) {
	s.literals[lit] = true
	if i := strings.IndexByte(lit, '%'); i > 0 {
		lit = lit[:i]
	}
	if strings.Contains(lit, ".") && (strings.HasSuffix(lit, ".") || strings.HasSuffix(lit, "-")) {
		s.families = append(s.families, lit)
	}
}

func (s *sources) golang(path string) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, nil, 0)
	if err != nil {
		return nil //nolint:nilerr // a file that does not parse fails elsewhere
	}
	web := strings.Contains(filepath.ToSlash(path), "internal/web")
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if lit, ok := text(n); ok {
				s.literal(lit)
			}
		case *ast.CallExpr:
			name := called(n.Fun)
			if web && words[name] {
				for _, a := range n.Args {
					if lit, ok := text(a); ok && area.MatchString(lit) {
						s.asked[lit] = fset.Position(a.Pos()).String()
					}
				}
			}
			s.raised(f.Name.Name, n)
		case *ast.KeyValueExpr:
			if k, ok := n.Key.(*ast.Ident); ok && web && k.Name == "Label" {
				if lit, ok := text(n.Value); ok && area.MatchString(lit) {
					s.asked[lit] = fset.Position(n.Pos()).String()
				}
			}
		}
		return true
	})
	return nil
}

// raised reads fault.New(kind, code, args…) and authn.Reject(code, args…).
func (s *sources) raised(pkg string, n *ast.CallExpr) {
	at := -1
	switch called(n.Fun) {
	case "New":
		if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "fault" {
				at = 1
			}
		}
	case "refuse": // how a method wraps authn.Reject
		at = 0
	case "Reject":
		if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "authn" {
				at = 0
			}
		} else if pkg == "authn" {
			at = 0
		}
	}
	if at < 0 || at >= len(n.Args) {
		return
	}
	code, ok := text(n.Args[at])
	if !ok {
		return
	}
	args := s.codes[code]
	for i := at + 1; i < len(n.Args); i += 2 {
		if name, ok := text(n.Args[i]); ok {
			args = append(args, name)
		}
	}
	s.codes[code] = args
}

func called(f ast.Expr) string {
	switch f := f.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

func TestREQ_B89_EveryKeyIsKnownAndUsed(t *testing.T) {
	s := scan(t)
	en, err := Load("en")
	if err != nil {
		t.Fatal(err)
	}
	for key, where := range s.asked {
		if _, ok := en[key]; !ok && !strings.HasPrefix(key, "error.") {
			t.Errorf("%s: no language knows %q", where, key)
		}
	}
	for key := range en {
		if code, isError := strings.CutPrefix(key, "error."); isError {
			if _, ok := s.codes[code]; ok || s.literals[code] { // a literal: some codes are handed to a function that makes the fault
				continue
			}
			if slices.ContainsFunc(slices.Collect(maps.Keys(s.codes)), func(c string) bool { return strings.HasPrefix(code, c+"-") }) {
				continue // a variant that a page chooses
			}
		}
		used := s.literals[key] || slices.ContainsFunc(s.families, func(f string) bool { return strings.HasPrefix(key, f) && f != "error." })
		if !used {
			t.Errorf("nothing uses %q: take it out", key)
		}
	}
}

// codes reads codes.txt: every code of a fault, and who reads its words.
func readCodes(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open("codes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	all := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		code, who, _ := strings.Cut(line, " ")
		if who = strings.TrimSpace(who); who != "page" && who != "operator" {
			t.Errorf("codes.txt: %q: a code is read by page or operator", line)
		}
		all[code] = who
	}
	return all
}

func TestEveryFaultHasItsWords(t *testing.T) {
	s, listed := scan(t), readCodes(t)
	en, err := Load("en")
	if err != nil {
		t.Fatal(err)
	}
	for code, args := range s.codes {
		who, ok := listed[code]
		m, has := en["error."+code]
		for key := range en {
			has = has || strings.HasPrefix(key, "error."+code+"-")
		}
		switch {
		case !ok:
			t.Errorf("code %q is not in codes.txt: add it, and for pages its words error.%s in four languages", code, code)
		case who == "page" && !has:
			t.Errorf("code %q reaches pages and has no words: error.%s", code, code)
		case who == "operator" && m != nil:
			t.Errorf("error.%s is for operators only and needs no words in four languages", code)
		}
		for _, form := range m {
			for _, p := range Placeholders(form) {
				if p != "retry" && !slices.Contains(args, p) {
					t.Errorf("error.%s speaks of {%s}, which nobody gives", code, p)
				}
			}
		}
	}
	for code := range listed {
		if _, ok := s.codes[code]; !ok && !s.literals[code] {
			t.Errorf("codes.txt lists %q, which nobody raises", code)
		}
	}
}
