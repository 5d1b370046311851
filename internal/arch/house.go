package arch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Module is the path of this module.
const Module = "doorward"

// Package is what `go list` says of one package.
type Package struct {
	ImportPath   string
	Name         string
	Dir          string
	Export       string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	Deps         []string
	Standard     bool
	Incomplete   bool
	DepsErrors   []struct{ Err string }
	Error        *struct{ Err string }
}

// Rel is the path inside the module, "" for the module's root and for other modules' packages.
func (p *Package) Rel() string { return rel(p.ImportPath) }

func rel(path string) string {
	if s, ok := strings.CutPrefix(path, Module+"/"); ok {
		return s
	}
	return ""
}

// House is the module as it stands: its packages in the order of `go list`, and the compiled form of all it imports.
type House struct {
	Packages []*Package
	Broken   []string // packages that do not build, and why
	exports  map[string]string
}

// sampled are packages that the mutation samples import, in the module's own code or not.
var sampled = []string{"crypto/tls", "html/template", "math/rand/v2"}

// Load asks the go command; root is the module's directory. Packages that do not build
// are listed as broken.
func Load(root string) (*House, error) {
	if err := look(root); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "list", "-e", "-export", "-deps", "-json=ImportPath,Name,Dir,Export,GoFiles,TestGoFiles,XTestGoFiles,Imports,Deps,Standard,Incomplete,DepsErrors,Error", "./...")
	cmd.Args = append(cmd.Args, sampled...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	h := &House{exports: map[string]string{}}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(Package)
		if err := dec.Decode(p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Export != "" {
			h.exports[p.ImportPath] = p.Export
		}
		if p.Rel() == "" {
			continue
		}
		if p.Error != nil && len(p.GoFiles) > 0 {
			h.Broken = append(h.Broken, fmt.Sprintf("%s: %s", p.ImportPath, p.Error.Err))
		}
		h.Packages = append(h.Packages, p)
	}
	slices.SortFunc(h.Packages, func(a, b *Package) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return h, nil
}

// look opens every folder of sources, so that the go command's test cache knows that a new file is a reason to run the
// tests of this package again: what `go list` reads, it does not see.
func look(root string) error {
	for _, top := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(_ string, _ os.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Sources is one package, parsed and with types: what the choke-point checks read.
type Sources struct {
	Path  string // inside the module
	Fset  *token.FileSet
	Files []*ast.File
	Types *types.Package
	Info  *types.Info
}

// Read parses and type-checks the package's own files, tests not included.
func (h *House) Read(p *Package) (*Sources, error) {
	files := make(map[string][]byte, len(p.GoFiles))
	for _, name := range p.GoFiles {
		src, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			return nil, err
		}
		files[filepath.Join(p.Dir, name)] = src
	}
	return h.Check(p.Rel(), files)
}

// Check parses and type-checks files as if they were the package at path. The mutation tests hand in bad samples.
func (h *House) Check(path string, files map[string][]byte) (*Sources, error) {
	s := &Sources{Path: path, Fset: token.NewFileSet(), Info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{},
		Defs: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
	}}
	for _, name := range sortedKeys(files) {
		f, err := parser.ParseFile(s.Fset, name, files[name], parser.ParseComments)
		if err != nil {
			return nil, err
		}
		s.Files = append(s.Files, f)
	}
	lookup := func(path string) (io.ReadCloser, error) {
		export, ok := h.exports[path]
		if !ok {
			return nil, fmt.Errorf("no compiled form of %s", path)
		}
		return os.Open(export)
	}
	conf := types.Config{Importer: importer.ForCompiler(s.Fset, "gc", lookup)}
	var err error
	s.Types, err = conf.Check(Module+"/"+path, s.Fset, s.Files, s.Info)
	return s, err
}

// at names a place for a finding.
func (s *Sources) at(n ast.Node) string {
	p := s.Fset.Position(n.Pos())
	return fmt.Sprintf("%s/%s:%d", s.Path, filepath.Base(p.Filename), p.Line)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
