package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// Rules of this file: the nine engines of SECURITY stand in one place each, and nothing goes round them. About 150
// published flaws of other identity providers come from a second path that forgot what the first one checks.

// A Choke is one check over one package's sources, and the package paths to which it does not apply.
type Choke struct {
	Name   string
	Exempt func(path string) bool
	Find   func(*Sources) []string
}

// Chokes are all of them.
var Chokes = []Choke{
	callers("only login mints sessions", []string{"AddSession"}, "internal/login"),
	callers("only login adds credentials", []string{"AddCredential"}, "internal/login"),
	callers("one-time secrets are spent in login alone", []string{"UseOneTime"}, "internal/login"),
	callers("derived single uses are spent in login, those of protocol messages in their door, those of the request form and of showing what is one's own in their use cases", []string{"Spend"}, "internal/login", "internal/oidc", "internal/admin", "internal/certhost"),
	callers("attempts are reserved by use cases, and by the protocol door for its own endpoints", []string{"Reserve", "Release"}, "internal/limit", "internal/certhost", "internal/login", "internal/selfservice", "internal/admin", "internal/calls", "internal/roster", "internal/oidc", "internal/forwardauth"),
	{"only login asks methods, and certhost about what is shown as no evidence", under("internal/login", "internal/certhost"), askedMethods},
	{"the time comes from outside", wallClockRooms, wallClock},
	{"secrets are compared in constant time", under("internal/secret"), comparedSecrets},
	{"secrets are never printed", under("internal/secret"), printedSecrets},
	{"secrets keep their wrapping", under("internal/secret"), looseSecrets},
	{"random numbers are cryptographic", under(), imported("math/rand", "math/rand/v2")},
	{"markup is trusted in web alone", exactly("internal/web", "internal/web/help"), trustedMarkup},
	{"no hidden wiring", under(), initFunctions},
	{"nothing is printed or read from the environment inside", under("cmd/doorward", "bench", "docs/integrate", "internal/arch", "internal/testdb", "internal/rig", "internal/web/assets/build"), ambient},
	{"TLS is never switched off", under(), insecureTLS},
	{"no page waits for another machine", under("internal/mail", "internal/sqlstore", "internal/demo", "cmd", "bench", "internal/testdb", "internal/rig"), dialled},
}

func under(prefixes ...string) func(string) bool {
	return func(path string) bool {
		for _, p := range prefixes {
			if path == p || strings.HasPrefix(path, p+"/") {
				return true
			}
		}
		return false
	}
}

func exactly(paths ...string) func(string) bool {
	return func(path string) bool { return slices.Contains(paths, path) }
}

// wallClockRooms may look at the clock themselves: the wiring, and what is no part of the product.
func wallClockRooms(path string) bool {
	return under("cmd", "bench", "internal/testdb", "internal/rig", "internal/arch")(path)
}

// each walks every node of every file.
func (s *Sources) each(visit func(ast.Node)) {
	for _, f := range s.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			if n != nil {
				visit(n)
			}
			return true
		})
	}
}

// used resolves what an expression names, such as the function of a call, or nil.
func (s *Sources) used(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return s.Info.Uses[e]
	case *ast.SelectorExpr:
		return s.Info.Uses[e.Sel]
	case *ast.IndexExpr:
		return s.used(e.X)
	}
	return nil
}

func pathOf(o types.Object) string {
	if o == nil || o.Pkg() == nil {
		return ""
	}
	return o.Pkg().Path()
}

// callers finds uses of the store's methods outside of the rooms that may call them. The store itself and the wiring
// of transactions name them too, but only to implement them: a method value counts as a use, so that handing the method
// to somebody else is found as well.
func callers(name string, methods []string, rooms ...string) Choke {
	return Choke{name, under(append(rooms, "internal/sqlstore")...), func(s *Sources) []string {
		var found []string
		s.each(func(n ast.Node) {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains(methods, sel.Sel.Name) {
				return
			}
			o, ok := s.Info.Uses[sel.Sel].(*types.Func)
			if ok && strings.HasPrefix(pathOf(o), Module+"/") && o.Signature().Recv() != nil {
				found = append(found, fmt.Sprintf("%s: calls %s: %s", s.at(n), sel.Sel.Name, name))
			}
		})
		return found
	}}
}

// askedMethods finds calls of a Method's functions: evidence enters through login.Prove alone, where throttling, single
// use and the audit stand around it.
func askedMethods(s *Sources) []string {
	var found []string
	s.each(func(n ast.Node) {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Verify", "Enrol"}, sel.Sel.Name) {
			return
		}
		o, ok := s.Info.Uses[sel.Sel].(*types.Func)
		if !ok || o.Signature().Recv() == nil {
			return
		}
		if p := rel(pathOf(o)); p == "internal/authn" || strings.HasPrefix(p, "internal/authn/") {
			found = append(found, fmt.Sprintf("%s: asks a method itself: evidence enters through login alone", s.at(n)))
		}
	})
	return found
}

func wallClock(s *Sources) []string {
	var found []string
	s.each(func(n ast.Node) {
		if e, ok := n.(*ast.SelectorExpr); ok {
			if o := s.used(e); pathOf(o) == "time" && slices.Contains([]string{"Now", "Since", "Until"}, o.Name()) {
				found = append(found, fmt.Sprintf("%s: time.%s: take the time from the injected clock", s.at(n), o.Name()))
			}
		}
	})
	return found
}

// isSecret reports whether the type is secret.Text.
func isSecret(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Name() == "Text" && rel(pathOf(named.Obj())) == "internal/secret"
}

// secretInside finds a secret.Text in an expression, also behind a conversion to string or bytes.
func (s *Sources) secretInside(e ast.Expr) bool {
	e = ast.Unparen(e)
	if tv, ok := s.Info.Types[e]; ok && tv.Type != nil && isSecret(tv.Type) {
		return true
	}
	return s.converted(e)
}

// converted reports whether e turns a secret.Text into something that prints: a conversion, or its Reveal.
func (s *Sources) converted(e ast.Expr) bool {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return false
	}
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
		return s.secretInside(sel.X)
	}
	if len(call.Args) != 1 {
		return false
	}
	if tv, ok := s.Info.Types[call.Fun]; !ok || !tv.IsType() || isSecret(tv.Type) {
		return false
	}
	return s.secretInside(call.Args[0])
}

// comparedSecrets finds == and != between secrets; comparing with the empty constant tells nothing and is allowed.
func comparedSecrets(s *Sources) []string {
	var found []string
	s.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ || s.isEmpty(n.X) || s.isEmpty(n.Y) {
				return
			}
			if s.secretInside(n.X) || s.secretInside(n.Y) {
				found = append(found, fmt.Sprintf("%s: compares secrets with %s: use secret.Equal", s.at(n), n.Op))
			}
		case *ast.SwitchStmt:
			if n.Tag != nil && s.secretInside(n.Tag) {
				found = append(found, fmt.Sprintf("%s: switches on a secret: use secret.Equal", s.at(n)))
			}
		}
	})
	return found
}

func (s *Sources) isEmpty(e ast.Expr) bool {
	tv, ok := s.Info.Types[e]
	return ok && tv.Value != nil && tv.Value.ExactString() == `""`
}

// printers write what they are given where people and programs read it.
var printers = []string{"fmt", "log", "log/slog", "errors", Module + "/internal/fault"}

// printedSecrets finds secrets that were turned into strings right where they are printed. A secret.Text itself prints
// as [redacted], so handing one over whole is harmless.
func printedSecrets(s *Sources) []string {
	var found []string
	s.each(func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || !slices.Contains(printers, pathOf(s.used(call.Fun))) {
			return
		}
		for _, arg := range call.Args {
			ast.Inspect(arg, func(n ast.Node) bool {
				if e, ok := n.(ast.Expr); ok && s.converted(e) {
					found = append(found, fmt.Sprintf("%s: prints a secret", s.at(call)))
					return false
				}
				return true
			})
		}
	})
	return found
}

// looseSecrets finds secrets where their own wrapping cannot help them: fmt prints an unexported field by reflection
// without asking it, and JSON writes the keys of a map as they are.
func looseSecrets(s *Sources) []string {
	var found []string
	secret := func(e ast.Expr) bool {
		tv, ok := s.Info.Types[e]
		return ok && tv.Type != nil && isSecret(tv.Type)
	}
	s.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.StructType:
			for _, f := range n.Fields.List {
				for _, name := range f.Names {
					if secret(f.Type) && !name.IsExported() {
						found = append(found, fmt.Sprintf("%s: an unexported field prints the secret it holds", s.at(f)))
					}
				}
			}
		case *ast.MapType:
			if secret(n.Key) {
				found = append(found, fmt.Sprintf("%s: a secret as the key of a map", s.at(n)))
			}
		}
	})
	return found
}

func imported(paths ...string) func(*Sources) []string {
	return func(s *Sources) []string {
		var found []string
		for _, f := range s.Files {
			for _, i := range f.Imports {
				if p := strings.Trim(i.Path.Value, `"`); slices.Contains(paths, p) {
					found = append(found, fmt.Sprintf("%s: imports %s", s.at(i), p))
				}
			}
		}
		return found
	}
}

// trustedMarkup finds the types that switch escaping off.
func trustedMarkup(s *Sources) []string {
	var found []string
	s.each(func(n ast.Node) {
		if e, ok := n.(*ast.SelectorExpr); ok {
			if o, ok := s.used(e).(*types.TypeName); ok && pathOf(o) == "html/template" &&
				slices.Contains([]string{"HTML", "HTMLAttr", "JS", "JSStr", "CSS", "URL", "Srcset"}, o.Name()) {
				found = append(found, fmt.Sprintf("%s: template.%s: only internal/web may vouch for markup", s.at(n), o.Name()))
			}
		}
	})
	return found
}

func initFunctions(s *Sources) []string {
	var found []string
	for _, f := range s.Files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, fmt.Sprintf("%s: init(): wire it in cmd/doorward, where it can be read", s.at(fn)))
			}
		}
	}
	return found
}

// ambient finds inputs and outputs that nobody handed in.
func ambient(s *Sources) []string {
	bad := map[string][]string{
		"os":  {"Getenv", "LookupEnv", "Environ", "Stdout", "Stderr", "Exit", "Args"},
		"fmt": {"Print", "Printf", "Println"},
		"log": {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf"},
	}
	var found []string
	s.each(func(n ast.Node) {
		if e, ok := n.(*ast.SelectorExpr); ok {
			if o := s.used(e); o != nil && slices.Contains(bad[pathOf(o)], o.Name()) {
				found = append(found, fmt.Sprintf("%s: %s.%s: take it as a parameter", s.at(n), pathOf(o), o.Name()))
			}
		}
	})
	return found
}

func insecureTLS(s *Sources) []string {
	var found []string
	s.each(func(n ast.Node) {
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && id.Name == "InsecureSkipVerify" {
				found = append(found, fmt.Sprintf("%s: InsecureSkipVerify", s.at(n)))
			}
		}
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "InsecureSkipVerify" {
			found = append(found, fmt.Sprintf("%s: InsecureSkipVerify", s.at(n)))
		}
	})
	return found
}

// dialled finds connections to other machines. Mail leaves through the worker and rows through the store; whatever else
// a request waited for could be slow, dead, or an address of the attacker's choice (SEC D-4, N-5).
func dialled(s *Sources) []string {
	bad := map[string][]string{
		"net":        {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer"},
		"crypto/tls": {"Dial", "DialWithDialer", "Dialer"},
		"net/http":   {"Get", "Head", "Post", "PostForm", "Client", "DefaultClient", "Transport", "DefaultTransport"},
	}
	found := imported("net/smtp", "github.com/wneessen/go-mail", "github.com/wneessen/go-mail/smtp")(s)
	s.each(func(n ast.Node) {
		e, ok := n.(*ast.SelectorExpr)
		if !ok {
			return
		}
		o := s.used(e)
		if f, ok := o.(*types.Func); ok && f.Signature().Recv() != nil {
			if f.Name() == "Send" && rel(pathOf(f)) == "internal/mail" {
				found = append(found, fmt.Sprintf("%s: sends a mail itself: put it into the outbox", s.at(n)))
			}
			return // http.Header has a Get too
		}
		if o != nil && o.Pkg() != nil && o.Parent() == o.Pkg().Scope() && slices.Contains(bad[pathOf(o)], o.Name()) {
			found = append(found, fmt.Sprintf("%s: %s.%s: no page waits for another machine", s.at(n), pathOf(o), o.Name()))
		}
	})
	return found
}
