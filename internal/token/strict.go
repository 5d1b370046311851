package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	jose "github.com/go-jose/go-jose/v4/json"
)

var errJSON = errors.New("token: not strict JSON")

// maxDepth is how deep what strangers send may nest.
const maxDepth = 12

// strict reports an error unless b is one JSON object in UTF-8 in which no object, however deep, has a member twice. Two
// readers of such a text can see two different things, and the one that checks is not the one that uses.
func strict(b []byte) error {
	if !utf8.Valid(b) || !json.Valid(b) {
		return errJSON
	}
	s := scanner{b: b}
	s.blank()
	if s.i == len(b) || b[s.i] != '{' || !s.value(0) {
		return errJSON
	}
	return nil
}

// scanner walks JSON that is known to be valid; it only looks for what validity does not forbid.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) blank() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// value skips one value and reports whether every object in it has each member once.
func (s *scanner) value(depth int) bool {
	if depth > maxDepth {
		return false
	}
	s.blank()
	switch s.b[s.i] {
	case '"':
		s.text()
		return true
	case '{', '[':
		object := s.b[s.i] == '{'
		var names [][]byte
		s.i++
		for {
			s.blank()
			switch s.b[s.i] {
			case '}', ']':
				s.i++
				return true
			case ',':
				s.i++
				continue
			}
			if object {
				name := s.text()
				for _, n := range names {
					if bytes.EqualFold(n, name) { // some readers take ISS for iss
						return false
					}
				}
				if len(names) == 64 {
					return false
				}
				names = append(names, name)
				s.blank()
				s.i++ // the colon
			}
			if !s.value(depth + 1) {
				return false
			}
		}
	}
	for s.i < len(s.b) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(s.b[s.i])) {
		s.i++
	}
	return true
}

// text skips a string and returns what it says, escapes resolved.
func (s *scanner) text() []byte {
	start, escaped := s.i, false
	for s.i++; s.b[s.i] != '"'; s.i++ {
		if s.b[s.i] == '\\' {
			escaped = true
			s.i++
		}
	}
	s.i++
	if !escaped {
		return s.b[start+1 : s.i-1]
	}
	var out string
	if json.Unmarshal(s.b[start:s.i], &out) != nil {
		return s.b[start:s.i]
	}
	return []byte(out)
}

// decode reads strict JSON into v. Names of members are compared letter by letter, unlike in encoding/json.
func decode(b []byte, v any) error {
	if err := strict(b); err != nil {
		return err
	}
	return jose.Unmarshal(b, v)
}
