// Package arch is the plan of the house, kept as a test: which package may import which, how large a room may grow, and
// the choke points that nothing may go round. Plan is the only place where a dependency between two packages is
// decided; a package or an import that is not written here fails the build, and so does an entry that nobody uses.
//
// Rules.
//   - Imports point downwards: a package imports lower levels, and packages of its own level only where it says so.
//   - Levels 0 to 3 know neither HTTP nor SQL, and take the time from outside.
//   - Doors (level 4) translate. They import neither each other nor the store; rooms under web may import web.
//   - Packages beside the house (the test database, the rig, this one) are imported by tests alone.
package arch

// Levels of the house, see DESIGN in ARCHITECTURE.md.
const (
	ground  = iota // errors and secrets
	nouns          // pure types and rules
	methods        // one kind of evidence each
	cases          // use cases
	doors          // translate, hold no rule
	outside        // the store, the server
	wiring         // cmd: knows everybody
	beside         // for tests and tools only
)

// Room is one package: its level and what it imports of this module, paths relative to the module.
type Room struct {
	Level   int
	Imports []string
}

// Plan maps every package of the module to its room.
var Plan = map[string]Room{
	"internal/fault":    {ground, nil},
	"internal/secret":   {ground, []string{"internal/fault"}},
	"internal/tomlfile": {ground, nil},

	"internal/authn":     {nouns, []string{"internal/fault"}},
	"internal/directory": {nouns, []string{"internal/fault"}},
	"internal/session":   {nouns, []string{"internal/authn"}},
	"internal/audit":     {nouns, nil},
	"internal/mail":      {nouns, nil},
	"internal/job":       {nouns, nil},

	"internal/login": {cases, []string{
		"internal/audit", "internal/authn", "internal/authn/onetime", "internal/directory", "internal/fault", "internal/mail", "internal/secret",
		"internal/session",
	}},

	"internal/arch": {beside, nil},
}

// banned names say nothing about what is inside.
var banned = []string{
	"util", "utils", "common", "helper", "helpers", "model", "models", "type", "types", "dto", "base", "core", "misc",
	"shared", "lib", "stuff",
}

// Caps, in lines of code that is no test.
const (
	fileCap    = 400
	packageCap = 3000
)

// larger rooms: the store speaks for every aggregate.
var largerCaps = map[string]int{"internal/sqlstore": 5000}

// sideways lists the few pairs of one level that may import each other, left imports right. Plan says that an import
// is used; this says that it is right although it does not point downwards.
var sideways = map[string][]string{
	"internal/secret":  {"internal/fault"},
	"internal/session": {"internal/authn"},
}
