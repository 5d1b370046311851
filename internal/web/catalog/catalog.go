// Package catalog holds the words of the pages, one folder per language and one file per area, so that several people
// can add keys at once.
//
// The rules of a catalogue:
//
//   - A key is AREA "." NAME in kebab-case ("signin.password.title"); a file holds only keys of its own area. The area
//     of errors.json is "error": "error." + the Code of a fault.
//   - A message is a string, or an object of CLDR plural forms ("one", "many", "other"); the argument named n chooses.
//   - {name} is a placeholder. Every language has the same keys and placeholders; a plural form may leave {n} out.
//   - Where the page asks for rich text, **words** are strong and [words](name) is a link to the address in argument
//     name. Arguments are always escaped; nothing an operator or a person wrote ever becomes part of a message.
//   - Plain words, level B1. German says Sie and writes ss, French vous, Italian Lei. Quotes: “en”, «de», « fr », «it».
//     French is written with plain spaces; loading makes those before ? ! ; : and inside « » unbreakable.
package catalog

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

//go:embed en de fr it
var files embed.FS

// Languages the product speaks, in the order in which they are offered.
var Languages = []string{"en", "de", "fr", "it"}

// Names of the languages in themselves.
var Names = map[string]string{"en": "English", "de": "Deutsch", "fr": "Français", "it": "Italiano"}

// Message is one entry: plural forms by their CLDR name, a plain message under "other".
type Message map[string]string

// UnmarshalJSON reads a string or an object of plural forms.
func (m *Message) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*m = Message{"other": s}
		return nil
	}
	var forms map[string]string
	if err := json.Unmarshal(b, &forms); err != nil {
		return err
	}
	*m = forms
	return nil
}

// Load reads all files of one language. It fails on a key that stands in two files or in a file of another area.
func Load(lang string) (map[string]Message, error) {
	names, err := fs.Glob(files, lang+"/*.json")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("catalog: no files for language %q", lang)
	}
	all := map[string]Message{}
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var one map[string]Message
		if err := json.Unmarshal(b, &one); err != nil {
			return nil, fmt.Errorf("catalog: %s: %w", name, err)
		}
		area := strings.TrimSuffix(path.Base(name), ".json")
		if area == "errors" {
			area = "error"
		}
		for key, m := range one {
			if !strings.HasPrefix(key, area+".") {
				return nil, fmt.Errorf("catalog: %s: key %q is of another area", name, key)
			}
			if lang == "fr" {
				for form, text := range m {
					m[form] = unbreakable.Replace(text)
				}
			}
			all[key] = m
		}
	}
	return all, nil
}

// unbreakable puts the spaces of French typography where a line must not break.
var unbreakable = strings.NewReplacer(" ?", "\u202f?", " !", "\u202f!", " ;", "\u202f;", " :", "\u00a0:", "« ", "«\u00a0", " »", "\u00a0»")

// cached languages: read when first spoken, so that a start stays quick.
var cached = map[string]func() map[string]Message{
	"en": once("en"), "de": once("de"), "fr": once("fr"), "it": once("it"),
}

func once(lang string) func() map[string]Message {
	return sync.OnceValue(func() map[string]Message {
		all, err := Load(lang)
		if err != nil { // embedded files that every test reads: a broken one never leaves the house
			panic(err)
		}
		return all
	})
}

// Has reports whether the language knows the key.
func Has(lang, key string) bool {
	get, ok := cached[lang]
	if !ok {
		return false
	}
	_, ok = get()[key]
	return ok
}

// Find returns the raw message of a key in the form that count asks for, English where the language lacks it. ok is
// false for a key that nobody knows; the text is then the key in brackets, so that it is seen and found.
func Find(lang, key string, count int) (text string, ok bool) {
	for _, l := range []string{lang, "en"} {
		get, known := cached[l]
		if !known {
			continue
		}
		m, found := get()[key]
		if !found {
			continue
		}
		if len(m) == 1 {
			return m["other"], true
		}
		if s, ok := m[form(l, count)]; ok {
			return s, true
		}
		return m["other"], true
	}
	return "⟦" + key + "⟧", false
}

var tags = map[string]language.Tag{"en": language.English, "de": language.German, "fr": language.French, "it": language.Italian}

var forms = map[plural.Form]string{
	plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other",
}

// form is the CLDR cardinal form of a whole number.
func form(lang string, n int) string {
	if n < 0 {
		n = -n
	}
	return forms[plural.Cardinal.MatchPlural(tags[lang], n, 0, 0, 0, 0)]
}

// Fill replaces the placeholders of a raw message. arg answers for a name; what it does not know stays visible.
func Fill(text string, arg func(name string) (string, bool)) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			break
		}
		j := strings.IndexByte(text[i:], '}')
		if j < 0 {
			break
		}
		b.WriteString(text[:i])
		name := text[i+1 : i+j]
		if s, ok := arg(name); ok {
			b.WriteString(s)
		} else {
			b.WriteString(text[i : i+j+1])
		}
		text = text[i+j+1:]
	}
	b.WriteString(text)
	return b.String()
}

// Placeholders lists the names between braces, in order of appearance.
func Placeholders(text string) []string {
	var names []string
	Fill(text, func(name string) (string, bool) { names = append(names, name); return "", true })
	return names
}
