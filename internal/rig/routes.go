package rig

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Route is one pattern that a door serves, as its source says.
type Route struct {
	Method, Path string
	File         string
}

// String is the pattern.
func (r Route) String() string { return r.Method + " " + r.Path }

// Params are the names in braces.
func (r Route) Params() []string {
	var out []string
	for _, m := range param.FindAllStringSubmatch(r.Path, -1) {
		out = append(out, m[1])
	}
	return out
}

// With puts values in the place of the names; it fails on a name it has no value for.
func (r Route) With(values map[string]string) (string, error) {
	path := r.Path
	for _, name := range r.Params() {
		v, ok := values[name]
		if !ok {
			return "", fmt.Errorf("%s: nobody knows what {%s} is: say so in the test of the guard", r, name)
		}
		path = strings.ReplaceAll(path, "{"+name+"}", v)
	}
	return path, nil
}

var (
	pattern = regexp.MustCompile(`"(GET|POST|PUT|PATCH|DELETE) (/[^" ]*)"`)
	param   = regexp.MustCompile(`\{([a-z]+)(?:\.\.\.)?\}`)
)

// Routes reads every pattern out of the sources of the doors under root, so that a new route is tested before anybody
// remembers to say so.
func Routes(root string) ([]Route, error) {
	var out []Route
	err := filepath.WalkDir(filepath.Join(root, "internal", "web"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(string(src), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "//") {
				continue
			}
			for _, m := range pattern.FindAllStringSubmatch(line, -1) {
				out = append(out, Route{Method: m[1], Path: strings.TrimSuffix(m[2], "{$}"), File: path})
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Route) int { return strings.Compare(a.String(), b.String()) })
	return slices.CompactFunc(out, func(a, b Route) bool { return a.String() == b.String() }), err
}
