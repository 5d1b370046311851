// Package bundle turns TypeScript and CSS into the files that the pages load. Only the build command and the tests
// use it: what ships embeds the result.
package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// Make builds from dir (src/site.ts, src/key.ts, css/site.css) and returns the files by name. The result depends on the sources alone.
func Make(dir string) (map[string][]byte, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for name, entry := range map[string]string{"site.js": "src/site.ts", "key.js": "src/key.ts", "site.css": "css/site.css"} {
		result := api.Build(api.BuildOptions{
			AbsWorkingDir: abs, EntryPoints: []string{entry}, Bundle: true, Outfile: "out" + filepath.Ext(name),
			MinifyWhitespace: true, MinifySyntax: true, MinifyIdentifiers: true, LegalComments: api.LegalCommentsNone, Charset: api.CharsetUTF8,
			Format: api.FormatIIFE, Target: api.ES2020, LogLevel: api.LogLevelSilent,
			Supported: map[string]bool{"color-functions": true, "inset-property": true, "nesting": true, "media-range": true},
		})
		var problems []error
		for _, m := range append(result.Errors, result.Warnings...) {
			where := entry
			if m.Location != nil {
				where = fmt.Sprintf("%s:%d", m.Location.File, m.Location.Line)
			}
			problems = append(problems, fmt.Errorf("%s: %s", where, m.Text))
		}
		if err := errors.Join(problems...); err != nil {
			return nil, err
		}
		out[name] = result.OutputFiles[0].Contents
	}
	return out, nil
}

// Write makes the files and puts them into dir/dist.
func Write(dir string) error {
	files, err := Make(dir)
	if err != nil {
		return err
	}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, "dist", name), body, 0o644); err != nil { //nolint:gosec // public files
			return err
		}
	}
	return nil
}
