// Package tomlfile reads declarations in TOML strictly, and says for every problem in which line it is. Realm files and
// the configuration of a node are read through it, so that both refuse what they do not know in the same words.
//
// The rules:
//   - Whatever the target struct does not know is a problem, never ignored: a misspelled limit would otherwise be no limit.
//   - Every problem is reported, not just the first, in the order of the lines.
//   - Nothing is taken from a file with a problem: callers use the value only when Err is nil.
package tomlfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Limit is how large a file may be, in bytes. Terms in four languages take about 40 kB.
const Limit = 1 << 20

// Problem is one thing to mend.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"` // from 1; 0 when no line of the file is to blame
	Key    string `json:"key,omitempty"`
	Reason string `json:"reason"`
}

// Error writes the problem as compilers do: file:line: key: reason.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line))
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Reason)
	return b.String()
}

// Problems is all that is to mend, in the order of the lines.
type Problems []Problem

// Error writes one problem per line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Document is a file that was read: where its keys stand and what is wrong with it.
type Document struct {
	file     string
	lines    map[string]int // path of a key, such as authenticator[1].steps.de, to its line
	texts    map[string]int // path of a string, to the line on which its first character stands
	readable bool
	problems Problems
}

// Read parses text into the struct that into points to. The Document is never nil; Err tells whether it may be used.
func Read(file string, text []byte, into any) *Document {
	d := &Document{file: file, lines: map[string]int{}, texts: map[string]int{}}
	switch {
	case len(text) > Limit:
		d.problems = append(d.problems, Problem{File: file, Reason: fmt.Sprintf("larger than %d bytes", Limit)})
		return d
	case !utf8.Valid(text):
		d.problems = append(d.problems, Problem{File: file, Line: badLine(text), Reason: "not valid UTF-8"})
		return d
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) // as TOML allows; texts are the same whoever saved them
	dec := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	err := dec.Decode(into)
	var unknown *toml.StrictMissingError
	var broken *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		for i := range unknown.Errors {
			one := &unknown.Errors[i]
			line, _ := one.Position()
			d.problems = append(d.problems, Problem{File: file, Line: line, Key: strings.Join(one.Key(), "."), Reason: "unknown key"})
		}
	case errors.As(err, &broken):
		line, _ := broken.Position()
		d.problems = append(d.problems, Problem{
			File: file, Line: line, Key: strings.Join(broken.Key(), "."),
			Reason: strings.TrimPrefix(broken.Error(), "toml: "),
		})
		return d // what follows a syntax error is guesswork
	case err != nil:
		d.problems = append(d.problems, Problem{File: file, Reason: strings.TrimPrefix(err.Error(), "toml: ")})
		return d
	}
	d.readable = true
	d.index(text)
	return d
}

// Unreadable reports whether the file is no TOML or has a value of a wrong type: the target is then filled in part only,
// and looking for more problems would blame what was never read.
func (d *Document) Unreadable() bool { return !d.readable }

// badLine finds the line of the first byte that is no UTF-8.
func badLine(text []byte) int {
	line := 1
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		text = text[n:]
	}
	return line
}

// Has reports whether the key stands in the file, so that a missing number can be told from zero.
func (d *Document) Has(path string) bool { _, ok := d.lines[path]; return ok }

// Line is where the key stands, or the nearest table around it, or 1.
func (d *Document) Line(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 1
}

// TextLine is the line on which the text of a string begins; for a multi-line string that starts with a line break it
// is the next one. Line n of the text stands on TextLine + n - 1.
func (d *Document) TextLine(path string) int {
	if line, ok := d.texts[path]; ok {
		return line
	}
	return d.Line(path)
}

// Bad adds a problem with the key.
func (d *Document) Bad(path, format string, args ...any) {
	d.BadAt(d.Line(path), path, format, args...)
}

// BadAt adds a problem on a line of its own choice.
func (d *Document) BadAt(line int, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Key: path, Reason: fmt.Sprintf(format, args...)})
}

// Err returns Problems in the order of the lines, or nil.
func (d *Document) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	out := slices.Clone(d.problems)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Key, b.Key), strings.Compare(a.Reason, b.Reason))
	})
	return slices.Compact(out)
}

// index notes where each key stands. The text has been decoded before, so that it is known to be well-formed.
func (d *Document) index(text []byte) {
	var p unstable.Parser
	p.Reset(text)
	count := map[string]int{}
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			path, line := "", 0
			for it := e.Key(); it.Next(); {
				node := it.Node()
				line = p.Shape(node.Raw).Start.Line
				path = join(path, string(node.Data))
				if e.Kind == unstable.ArrayTable && it.IsLast() {
					break
				}
				if n, ok := count[path]; ok { // a table below the last entry of an array
					path += "[" + strconv.Itoa(n-1) + "]"
				}
			}
			if e.Kind == unstable.ArrayTable {
				n := count[path]
				count[path] = n + 1
				d.set(path, line)
				path += "[" + strconv.Itoa(n) + "]"
			}
			d.set(path, line)
			table = path
		case unstable.KeyValue:
			d.pair(&p, table, e)
		}
	}
}

func (d *Document) pair(p *unstable.Parser, table string, e *unstable.Node) {
	path, line := table, 0
	for it := e.Key(); it.Next(); {
		node := it.Node()
		line = p.Shape(node.Raw).Start.Line
		path = join(path, string(node.Data))
		d.set(path, line)
	}
	d.value(p, path, line, e.Value())
}

func (d *Document) value(p *unstable.Parser, path string, line int, v *unstable.Node) {
	switch v.Kind {
	case unstable.String:
		d.texts[path] = line
		if v.Raw.Length > 0 {
			raw := p.Raw(v.Raw)
			d.texts[path] = p.Shape(v.Raw).Start.Line
			if len(raw) > 3 && (bytes.HasPrefix(raw, []byte(`'''`)) || bytes.HasPrefix(raw, []byte(`"""`))) {
				if raw[3] == '\n' {
					d.texts[path]++
				}
			}
		}
	case unstable.Array:
		n := 0
		for it := v.Children(); it.Next(); {
			child := it.Node()
			if child.Kind == unstable.Comment {
				continue
			}
			at := path + "[" + strconv.Itoa(n) + "]"
			if child.Raw.Length > 0 {
				line = p.Shape(child.Raw).Start.Line
			}
			d.set(at, line)
			d.value(p, at, line, child)
			n++
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			if child := it.Node(); child.Kind == unstable.KeyValue {
				d.pair(p, path, child)
			}
		}
	}
}

// set keeps the first place of a key: a table that is opened again keeps its heading.
func (d *Document) set(path string, line int) {
	if _, ok := d.lines[path]; !ok {
		d.lines[path] = line
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
