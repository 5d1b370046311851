package tomlfile

import (
	"errors"
	"strings"
	"testing"
)

type sample struct {
	Name  string   `toml:"name"`
	Count int      `toml:"count"`
	Words []string `toml:"words"`
	Text  string   `toml:"text"`
	Box   struct {
		A int               `toml:"a"`
		M map[string]string `toml:"m"`
	} `toml:"box"`
	Item []struct {
		ID    string              `toml:"id"`
		Steps map[string][]string `toml:"steps"`
	} `toml:"item"`
}

const good = `# a comment
name = "x"
count = 3
words = [
  "one",
  # between
  "two",
]
text = '''
first
second
'''
[box]
a = 1
m.en = "hello"
[[item]]
id = "i0"
[item.steps]
en = ["a"]
[[item]]
id = "i1"
steps = { en = ["b"], de = ["c"] }
`

func TestLinesOfKeys(t *testing.T) {
	var s sample
	d := Read("f.toml", []byte(good), &s)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"name": 2, "count": 3, "words": 4, "words[0]": 5, "words[1]": 7, "text": 9, "box": 13, "box.a": 14,
		"box.m": 15, "box.m.en": 15, "item[0]": 16, "item[0].id": 17, "item[0].steps": 18, "item[0].steps.en": 19,
		"item[1]": 20, "item[1].id": 21, "item[1].steps": 22, "item[1].steps.de": 22, "item[1].steps.fr": 22,
		"item[7].id": 16, "nothing": 1, "box.missing.deep": 13,
	} {
		if got := d.Line(path); got != want {
			t.Errorf("Line(%q) = %d, want %d", path, got, want)
		}
	}
	if got := d.TextLine("text"); got != 10 {
		t.Errorf("the text begins on line 10, not %d", got)
	}
	if got := d.TextLine("name"); got != 2 {
		t.Errorf("a plain string begins on its own line, not %d", got)
	}
	if !d.Has("count") || d.Has("item[0].steps.fr") {
		t.Error("Has tells what the file holds")
	}
}

func TestTextLineWithoutBreakAfterTheQuotes(t *testing.T) {
	var s sample
	d := Read("f.toml", []byte("\ntext = '''first\nsecond'''\n"), &s)
	if got := d.TextLine("text"); got != 2 || d.Err() != nil {
		t.Errorf("line %d, %v", got, d.Err())
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown keys, all of them", "name = 'x'\nnmae = 'y'\n[box]\nb = 2\n", "f.toml:2: nmae: unknown key\nf.toml:4: box.b: unknown key"},
		{"wrong type", "name = 'x'\ncount = 'three'\n", "f.toml:2: "},
		{"syntax", "name = 'x'\ncount = \n", "f.toml:2: "},
		{"twice", "name = 'x'\nname = 'y'\n", "f.toml:2: "},
		{"not UTF-8", "name = 'x'\n# \xff\n", "f.toml:2: not valid UTF-8"},
		{"too large", strings.Repeat("#", Limit+1), "f.toml: larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sample
			err := Read("f.toml", []byte(c.text), &s).Err()
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestProblemsAreSortedByLine(t *testing.T) {
	var s sample
	d := Read("f.toml", []byte(good), &s)
	d.Bad("box.a", "too %s", "small")
	d.Bad("name", "odd")
	d.BadAt(11, "text", "no such word")
	err := d.Err()
	var p Problems
	if !errors.As(err, &p) || len(p) != 3 {
		t.Fatal(err)
	}
	want := "f.toml:2: name: odd\nf.toml:11: text: no such word\nf.toml:14: box.a: too small"
	if err.Error() != want {
		t.Fatalf("got %s", err)
	}
}

// Whatever bytes come in, reading neither panics nor blames a line the file does not have.
func FuzzRead(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("[[item]]\n[[item.steps]]\n"))
	f.Add([]byte("a.b.c = {d = [1, {e = 2}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s sample
		d := Read("f", text, &s)
		last := strings.Count(string(text), "\n") + 1
		for path, line := range d.lines {
			if line < 1 || line > last {
				t.Fatalf("%s on line %d of %d", path, line, last)
			}
		}
		var p Problems
		if errors.As(d.Err(), &p) {
			for _, one := range p {
				if one.Line > last {
					t.Fatalf("%v: the file has %d lines", one, last)
				}
			}
		}
	})
}
