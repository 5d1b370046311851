package authn

// The policy language, one rule a line; # starts a comment; indentation is for people.
//
//	policy NAME                       at most once, before everything else
//	members | administrators | staff  starts a block; members come first
//	login    COMBINATIONS             password + totp | passkey, tiers joined by else
//	enrol    GATES -> KINDS           any number, in the order of set-up
//	replace  GATES -> KINDS or any    any number
//	fresh
//	then     DUTIES
//
// else binds weaker than |, which binds weaker than +. An overlay has no blocks and no enrol or replace line.

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"doorward/internal/fault"
)

// Limits that keep products of policies small. They are far beyond any text that makes sense.
const (
	maxPolicyText   = 64 << 10
	maxCombinations = 16
	maxBindings     = 32
)

// PolicyError says where a policy text is wrong and why. It wraps a fault of kind Invalid, code "policy-invalid". Line
// and Column count from 1; columns are characters.
type PolicyError struct {
	Line, Column int
	Reason       string
}

// Error implements error: "line 3, column 12: …".
func (e *PolicyError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Unwrap returns the fault for doors.
func (e *PolicyError) Unwrap() error {
	return fault.New(fault.Invalid, "policy-invalid", "line", e.Line, "column", e.Column, "reason", e.Reason)
}

// ParsePolicies reads the text of a realm. Every error is a *PolicyError. A text that parses may still strand people or
// open a hole: see Check.
func ParsePolicies(text string) (*Policies, error) {
	p := &Policies{}
	var block *Block
	err := eachLine(text, func(l *line) error {
		first := l.next()
		if i := slices.Index(audiences, Audience(first.text)); i >= 0 {
			for _, have := range p.Blocks {
				if have.Audience == audiences[i] {
					return first.wrong("%s were described on line %d already", first.text, have.Line)
				}
			}
			if len(p.Blocks) == 0 && audiences[i] != Members {
				return first.wrong("members must come first: what %s do not say is as for members", first.text)
			}
			p.Blocks = append(p.Blocks, Block{Audience: audiences[i], Line: first.line})
			block = &p.Blocks[len(p.Blocks)-1]
			return l.end()
		}
		if first.text == "policy" {
			if p.Name != "" || block != nil {
				return first.wrong("a realm's text holds one policy, named before everything else")
			}
			name := l.next()
			if !name.word() {
				return name.wrong("a policy needs a name")
			}
			p.Name = name.text
			return l.end()
		}
		if block == nil {
			return first.wrong("expected members, found %s", first)
		}
		return block.rule(first, l)
	})
	if err != nil {
		return nil, err
	}
	if len(p.Blocks) == 0 {
		return nil, &PolicyError{1, 1, "the text says nothing about members"}
	}
	if m := p.Blocks[0]; m.Login == nil {
		return nil, &PolicyError{m.Line, 1, "members need a login line"}
	}
	return p, nil
}

// ParseOverlay reads the text of an organization or a relying party. The empty text is an overlay that changes nothing.
func ParseOverlay(text string) (Overlay, error) {
	var b Block
	err := eachLine(text, func(l *line) error {
		first := l.next()
		switch first.text {
		case "login", "then", "fresh":
			return b.rule(first, l)
		case "enrol", "replace":
			return first.wrong("only the realm's own policy may hold %s lines; here stand login, then and fresh", first.text)
		}
		return first.wrong("expected login, then or fresh, found %s", first)
	})
	if err != nil {
		return Overlay{}, err
	}
	return Overlay{Login: b.Login, Fresh: b.Fresh, Then: b.Then}, nil
}

func (b *Block) rule(first token, l *line) (err error) {
	switch first.text {
	case "login":
		if b.Login != nil {
			return first.wrong("a second login line; join combinations with | or else")
		}
		b.LoginLine = first.line
		b.Login, err = l.tiers()
		return err
	case "enrol":
		return l.binding(first, &b.Enrol, false)
	case "replace":
		return l.binding(first, &b.Replace, true)
	case "fresh":
		if b.Fresh {
			return first.wrong("fresh is said already")
		}
		b.Fresh = true
		return l.end()
	case "then":
		if b.Then != nil {
			return first.wrong("a second then line; join duties with a comma")
		}
		b.Then, err = list(l, "a duty", []Duty{Terms, Preferences})
		return err
	case "enroll":
		return first.wrong("it is spelled enrol")
	}
	return first.wrong("expected login, enrol, replace, fresh, then or an audience, found %s", first)
}

// loginKinds are the kinds that may stand in a combination: held, and proof of a category. Recovery codes and once-only
// kinds never admit, so a text cannot even say it.
func loginKinds() []Kind {
	var kinds []Kind
	for _, i := range Kinds {
		if i.Held && i.Categories != 0 {
			kinds = append(kinds, i.Kind)
		}
	}
	return kinds
}

func gateWords() []Gate {
	gates := []Gate{GateInvite, GateMail, GateLogin, GateRecovery, GateGrant, GateGrant2, GateCall, GateSpoken}
	for _, k := range loginKinds() {
		gates = append(gates, Gate(k))
	}
	return gates
}

func (l *line) tiers() ([]Tier, error) {
	var tiers []Tier
	var seen []set
	tier := Tier{}
	for {
		start := l.peek()
		kinds, err := conjunction(l, "a kind", loginKinds())
		if err != nil {
			return nil, err
		}
		if slices.Contains(seen, setOf(kinds...)) {
			return nil, start.wrong("%s is there twice", join(kinds, " + "))
		}
		seen = append(seen, setOf(kinds...))
		if len(seen) > maxCombinations {
			return nil, start.wrong("more than %d combinations", maxCombinations)
		}
		tier = append(tier, kinds)
		switch t := l.next(); t.text {
		case "|":
		case "else":
			tiers, tier = append(tiers, tier), Tier{}
		case "":
			return append(tiers, tier), nil
		default:
			return nil, t.wrong("expected +, |, else or the end of the line, found %s", t)
		}
	}
}

func (l *line) binding(first token, to *[]Binding, any bool) error {
	b := Binding{Line: first.line}
	for sep := "|"; sep == "|"; {
		gates, err := conjunction(l, "a gate", gateWords())
		if err != nil {
			return err
		}
		b.Gates = append(b.Gates, gates)
		t := l.next()
		if sep = t.text; sep != "|" && sep != "->" || len(b.Gates) > maxCombinations {
			return t.wrong("expected +, | or ->, found %s", t)
		}
	}
	if t := l.peek(); t.text == "any" {
		if !any {
			return t.wrong("enrol names its kinds, in the order in which they are set up")
		}
		l.next()
		b.Any = true
		if err := l.end(); err != nil {
			return err
		}
	} else {
		var err error
		if b.Kinds, err = list(l, "a kind", append(loginKinds(), Recovery)); err != nil {
			return err
		}
	}
	if len(*to) == maxBindings {
		return first.wrong("more than %d %s lines", maxBindings, first.text)
	}
	*to = append(*to, b)
	return nil
}

// conjunction reads words joined by +; list reads words joined by commas up to the end of the line. A word twice is an
// error: it would look like two factors and be one.
func conjunction[T ~string](l *line, what string, known []T) ([]T, error) {
	return words(l, what, known, "+")
}

func list[T ~string](l *line, what string, known []T) ([]T, error) {
	got, err := words(l, what, known, ",")
	if err != nil {
		return nil, err
	}
	return got, l.end()
}

func words[T ~string](l *line, what string, known []T, sep string) ([]T, error) {
	var got []T
	for {
		t := l.next()
		w := T(t.text)
		switch {
		case !slices.Contains(known, w):
			return nil, t.wrong("expected %s (%s), found %s", what, join(known, ", "), t)
		case slices.Contains(got, w):
			return nil, t.wrong("%s is there twice", t)
		}
		got = append(got, w)
		if l.peek().text != sep {
			return got, nil
		}
		l.next()
	}
}

type token struct {
	text         string
	line, column int
}

func (t token) word() bool {
	return t.text != "" && !strings.ContainsAny(t.text, "+|,>")
}

func (t token) String() string {
	if t.text == "" {
		return "the end of the line"
	}
	return fmt.Sprintf("%q", t.text)
}

func (t token) wrong(format string, args ...any) error {
	return &PolicyError{t.line, t.column, fmt.Sprintf(format, args...)}
}

// line is one line of a text, cut into tokens. Past the last one it gives empty tokens at the end of the line.
type line struct {
	tokens []token
	stop   token
}

func (l *line) peek() token {
	if len(l.tokens) == 0 {
		return l.stop
	}
	return l.tokens[0]
}

func (l *line) next() token {
	t := l.peek()
	if len(l.tokens) > 0 {
		l.tokens = l.tokens[1:]
	}
	return t
}

func (l *line) end() error {
	if t := l.peek(); t.text != "" {
		return t.wrong("expected the end of the line, found %s", t)
	}
	return nil
}

// eachLine cuts a text into lines and tokens and calls f for every line that holds any.
func eachLine(text string, f func(*line) error) error {
	if len(text) > maxPolicyText {
		return &PolicyError{1, 1, fmt.Sprintf("the text is longer than %d bytes", maxPolicyText)}
	}
	for i, raw := range strings.Split(text, "\n") {
		l, err := cut(raw, i+1)
		if err != nil {
			return err
		}
		if len(l.tokens) == 0 {
			continue
		}
		if err := f(l); err != nil {
			return err
		}
	}
	return nil
}

func cut(raw string, number int) (*line, error) {
	l := &line{}
	column := 1
	for raw != "" {
		r, size := utf8.DecodeRuneInString(raw)
		at := token{line: number, column: column}
		n, chars := size, 1 // bytes and characters taken
		switch {
		case r == '#':
			raw = ""
			continue
		case r == ' ' || r == '\t' || r == '\r':
		case r == '+' || r == '|' || r == ',':
			at.text = string(r)
		case strings.HasPrefix(raw, "->"):
			at.text, n, chars = "->", 2, 2
		case wordRune(r):
			n = strings.IndexFunc(raw, func(r rune) bool { return !wordRune(r) })
			if n < 0 {
				n = len(raw)
			}
			at.text, chars = raw[:n], n
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return nil, at.wrong("an unreadable character")
		default:
			return nil, at.wrong("%q means nothing here", string(r))
		}
		if at.text != "" {
			l.tokens = append(l.tokens, at)
		}
		raw, column = raw[n:], column+chars
	}
	l.stop = token{line: number, column: column}
	return l, nil
}

func wordRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.'
}
