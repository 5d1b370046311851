package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shown is a line of its own that names a file, and the block below it.
var shown = regexp.MustCompile("(?m)^`(integrate/[a-z]+/[A-Za-z.]+)`\n\n```([a-z]*)\n((?s:.*?))^```$")

// What docs/integrate.md shows are exactly the files that the tests of interop run: none is missing, none differs.
func TestIntegratePageShowsTheFilesThatRun(t *testing.T) {
	const page = "integrate.md"
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	text := shown.ReplaceAllStringFunc(string(src), func(block string) string {
		m := shown.FindStringSubmatch(block)
		found = append(found, m[1])
		file, err := os.ReadFile(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if m[3] != string(file) && !*update {
			t.Errorf("%s shows another %s than there is: go test ./docs -update", page, m[1])
		}
		return "`" + m[1] + "`\n\n```" + m[2] + "\n" + string(file) + "```"
	})
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var there []string
	if err := filepath.WalkDir("integrate", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			there = append(there, filepath.ToSlash(path))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if slices.Sort(there); !slices.Equal(found, there) || len(there) == 0 {
		t.Errorf("%s shows\n%s\nand there are\n%s", page, strings.Join(found, "\n"), strings.Join(there, "\n"))
	}
}
