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
	"internal/memory":   {ground, nil},
	"internal/secret":   {ground, []string{"internal/fault"}},
	"internal/tomlfile": {ground, nil},

	"internal/activation": {nouns, []string{"internal/authn", "internal/directory", "internal/fault", "internal/helpdesk", "internal/secret"}},
	"internal/audit":      {nouns, []string{"internal/fault"}},
	"internal/authn":      {nouns, []string{"internal/fault"}},
	"internal/clientcert": {nouns, []string{"internal/directory", "internal/token"}},
	"internal/clientkeys": {nouns, []string{"internal/directory", "internal/fault", "internal/token"}},
	"internal/directory":  {nouns, []string{"internal/fault", "internal/tomlfile"}},
	"internal/helpdesk":   {nouns, []string{"internal/authn", "internal/directory", "internal/fault", "internal/secret"}},
	"internal/job":        {nouns, nil},
	"internal/keyfile":    {nouns, []string{"internal/fault", "internal/secret"}},
	"internal/limit":      {nouns, []string{"internal/audit", "internal/fault"}},
	"internal/mail":       {nouns, []string{"internal/audit", "internal/directory", "internal/fault", "internal/secret"}},
	"internal/pki":        {nouns, []string{"internal/fault"}},
	"internal/session":    {nouns, []string{"internal/authn", "internal/directory"}},
	"internal/token": {nouns, []string{
		"internal/authn", "internal/directory", "internal/fault", "internal/secret", "internal/session",
	}},
	"realms": {nouns, nil},

	"internal/authn/password/dictionary": {nouns, nil},

	"internal/authn/devicecert": {methods, []string{"internal/authn", "internal/pki"}},
	"internal/authn/onetime":    {methods, []string{"internal/authn", "internal/secret"}},
	"internal/authn/password":   {methods, []string{"internal/authn", "internal/authn/password/dictionary", "internal/fault"}},
	"internal/authn/recovery":   {methods, []string{"internal/authn", "internal/fault", "internal/secret"}},
	"internal/authn/spoken":     {methods, []string{"internal/activation", "internal/authn"}},
	"internal/authn/totp":       {methods, []string{"internal/authn", "internal/fault", "internal/secret"}},

	"internal/admin": {cases, []string{
		"internal/audit", "internal/authn", "internal/directory", "internal/fault", "internal/helpdesk", "internal/limit",
		"internal/login", "internal/mail", "internal/secret",
	}},
	"internal/apply": {cases, []string{
		"internal/audit", "internal/authn", "internal/clientcert", "internal/directory", "internal/fault", "internal/login",
		"internal/token", "internal/tomlfile",
	}},
	"internal/breakglass": {cases, []string{
		"internal/audit", "internal/authn", "internal/directory", "internal/fault", "internal/helpdesk", "internal/mail",
	}},
	"internal/calls": {cases, []string{
		"internal/activation", "internal/admin", "internal/authn", "internal/directory", "internal/fault", "internal/helpdesk", "internal/limit", "internal/login", "internal/pki", "internal/secret",
	}},
	"internal/certify": {cases, []string{"internal/audit", "internal/directory", "internal/fault", "internal/pki"}},
	"internal/certhost": {cases, []string{
		"internal/activation", "internal/audit", "internal/authn", "internal/directory", "internal/fault", "internal/limit", "internal/login", "internal/pki", "internal/secret", "internal/session",
	}},
	"internal/enrolment": {cases, []string{
		"internal/audit", "internal/certhost", "internal/certify", "internal/directory", "internal/fault", "internal/handover", "internal/limit", "internal/login",
		"internal/mail", "internal/pki", "internal/renewal", "internal/secret",
	}},
	"internal/farewell": {cases, []string{"internal/directory", "internal/login", "internal/secret", "internal/token"}},
	"internal/handover": {cases, []string{
		"internal/audit", "internal/certify", "internal/directory", "internal/fault", "internal/keyfile", "internal/login", "internal/mail", "internal/pki",
		"internal/secret",
	}},
	"internal/login": {cases, []string{
		"internal/activation", "internal/audit", "internal/authn", "internal/authn/onetime", "internal/authn/spoken", "internal/breakglass", "internal/directory", "internal/fault",
		"internal/helpdesk", "internal/keyfile", "internal/limit", "internal/mail", "internal/memory", "internal/pki", "internal/rollout", "internal/secret", "internal/session",
	}},
	"internal/renewal": {cases, []string{
		"internal/audit", "internal/authn", "internal/certify", "internal/directory", "internal/fault", "internal/keyfile", "internal/login", "internal/mail",
		"internal/pki", "internal/secret", "internal/session",
	}},
	"internal/roster": {cases, []string{
		"internal/admin", "internal/audit", "internal/authn", "internal/directory", "internal/fault", "internal/helpdesk", "internal/login", "internal/mail", "internal/secret",
	}},
	"internal/rollout": {cases, []string{"internal/authn", "internal/directory", "internal/fault", "internal/mail"}},
	"internal/selfservice": {cases, []string{
		"internal/audit", "internal/authn", "internal/authn/recovery", "internal/directory", "internal/fault", "internal/login", "internal/mail",
		"internal/session", "internal/token",
	}},

	"internal/demo": {doors, []string{
		"internal/activation", "internal/admin", "internal/audit", "internal/authn", "internal/authn/totp", "internal/calls", "internal/certhost",
		"internal/certify", "internal/directory", "internal/fault", "internal/handover", "internal/helpdesk", "internal/keyfile",
		"internal/login", "internal/mail", "internal/pki", "internal/secret", "internal/web", "internal/web/catalog",
	}},
	"internal/est": {doors, []string{"internal/enrolment", "internal/fault", "internal/login", "internal/pki", "internal/web"}},
	"internal/forwardauth": {doors, []string{
		"internal/audit", "internal/authn", "internal/directory", "internal/fault", "internal/login", "internal/memory", "internal/secret",
		"internal/session", "internal/token", "internal/web",
	}},
	"internal/oidc": {doors, []string{
		"internal/audit", "internal/authn", "internal/breakglass", "internal/clientcert", "internal/clientkeys", "internal/directory", "internal/farewell", "internal/fault",
		"internal/login", "internal/mail", "internal/memory", "internal/secret", "internal/session", "internal/token", "internal/web",
	}},
	"internal/repository": {doors, []string{"internal/fault", "internal/pki", "internal/web"}},
	"internal/web": {doors, []string{
		"internal/audit", "internal/authn", "internal/directory", "internal/fault", "internal/login", "internal/secret",
		"internal/web/catalog",
	}},
	"internal/web/account": {doors, []string{
		"internal/rollout", "internal/breakglass", "internal/audit", "internal/authn", "internal/directory", "internal/fault", "internal/keyfile", "internal/login", "internal/pki", "internal/renewal", "internal/secret",
		"internal/selfservice", "internal/session", "internal/web",
	}},
	"internal/web/catalog":      {doors, nil},
	"internal/web/certificates": {doors, []string{"internal/directory", "internal/handover", "internal/keyfile", "internal/login", "internal/pki", "internal/web"}},
	"internal/web/console": {doors, []string{
		"internal/breakglass", "internal/rollout", "internal/activation", "internal/admin", "internal/authn", "internal/calls", "internal/directory", "internal/fault", "internal/helpdesk", "internal/login",
		"internal/enrolment", "internal/handover", "internal/keyfile", "internal/mail", "internal/pki", "internal/roster", "internal/web",
	}},
	"internal/web/parcel": {doors, []string{"internal/fault", "internal/handover", "internal/keyfile", "internal/login", "internal/web"}},
	"internal/web/help":   {doors, []string{"internal/directory", "internal/fault", "internal/web"}},
	"internal/web/requests": {doors, []string{
		"internal/admin", "internal/fault", "internal/helpdesk", "internal/login", "internal/mail", "internal/secret",
		"internal/web",
	}},
	"internal/web/signin": {doors, []string{
		"internal/activation", "internal/authn", "internal/authn/devicecert", "internal/authn/password", "internal/authn/recovery", "internal/authn/totp", "internal/directory", "internal/fault",
		"internal/helpdesk", "internal/keyfile", "internal/login", "internal/pki", "internal/renewal", "internal/secret", "internal/selfservice", "internal/web",
	}},

	"internal/hsm":    {outside, nil},
	"internal/server": {outside, []string{"internal/fault"}},
	"internal/sqlstore": {outside, []string{
		"internal/activation", "internal/audit", "internal/authn", "internal/directory", "internal/fault", "internal/job", "internal/mail",
		"internal/helpdesk", "internal/keyfile", "internal/pki", "internal/secret", "internal/session", "internal/token",
	}},

	"cmd/doorward": {wiring, []string{
		"internal/admin", "internal/apply", "internal/audit", "internal/authn", "internal/authn/devicecert", "internal/authn/onetime", "internal/authn/password",
		"internal/authn/recovery", "internal/authn/spoken", "internal/authn/totp", "internal/breakglass", "internal/calls", "internal/certhost", "internal/clientkeys", "internal/demo", "internal/directory", "internal/fault", "internal/forwardauth", "internal/job",
		"internal/login", "internal/mail", "internal/oidc", "internal/secret", "internal/selfservice", "internal/server",
		"internal/rollout", "internal/roster",
		"internal/certify", "internal/enrolment", "internal/est", "internal/handover", "internal/hsm", "internal/pki", "internal/renewal", "internal/repository",
		"internal/sqlstore", "internal/token", "internal/tomlfile", "internal/web", "internal/web/account", "internal/web/certificates", "internal/web/console",
		"internal/web/parcel", "internal/web/help", "internal/web/requests",
		"internal/web/signin", "realms",
	}},

	"bench": {beside, []string{
		"internal/certify", "internal/directory", "internal/pki", "internal/rig/walker", "internal/secret", "internal/sqlstore", "realms",
	}},
	"bench/floor":       {beside, nil},
	"conformance":       {beside, nil},
	"docs/integrate/go": {beside, nil},
	"e2e":               {beside, nil},
	"interop":           {beside, nil},
	"internal/arch":     {beside, nil},
	"internal/rig": {beside, []string{
		"internal/breakglass", "internal/rollout", "internal/admin", "internal/apply", "internal/authn", "internal/authn/devicecert", "internal/authn/onetime", "internal/authn/password", "internal/authn/recovery", "internal/authn/spoken", "internal/authn/totp",
		"internal/calls", "internal/certhost", "internal/clientkeys", "internal/directory", "internal/forwardauth", "internal/helpdesk", "internal/login", "internal/mail", "internal/oidc", "internal/pki", "internal/rig/walker", "internal/selfservice",
		"internal/roster",
		"internal/admin", "internal/apply", "internal/authn", "internal/authn/onetime", "internal/authn/password", "internal/authn/recovery", "internal/authn/totp",
		"internal/certify", "internal/clientkeys", "internal/directory", "internal/forwardauth", "internal/handover", "internal/helpdesk", "internal/login", "internal/mail", "internal/oidc", "internal/rig/walker", "internal/renewal", "internal/repository", "internal/selfservice", "internal/roster",
		"internal/enrolment", "internal/est",
		"internal/server", "internal/sqlstore", "internal/testdb", "internal/web", "internal/web/account", "internal/web/certificates", "internal/web/console",
		"internal/web/parcel", "internal/web/help", "internal/web/requests", "internal/web/signin", "realms",
	}},
	"internal/rig/recoverymatrix": {beside, nil},
	"internal/rig/walker":         {beside, nil},
	"internal/testdb":             {beside, []string{"internal/secret", "internal/sqlstore", "internal/testdb/postgres"}},
	"internal/testdb/cluster":     {beside, []string{"internal/testdb/postgres"}},
	"internal/testdb/postgres":    {beside, nil},
	"internal/web/assets/build":   {beside, []string{"internal/web/assets/bundle"}},
	"internal/web/assets/bundle":  {beside, nil},
	"internal/web/webtest":        {beside, []string{"internal/directory", "internal/web", "internal/web/catalog"}},
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

// larger rooms: the store speaks for every aggregate, every kind of evidence passes through login, and the wiring
// knows every room.
var largerCaps = map[string]int{"cmd/doorward": 3200, "internal/sqlstore": 6000, "internal/login": 3400}

// sideways lists the few pairs of one level that may import each other, left imports right. Plan says that an import
// is used; this says that it is right although it does not point downwards.
var sideways = map[string][]string{
	"internal/activation":  {"internal/authn", "internal/directory", "internal/helpdesk"},
	"internal/admin":       {"internal/login"},
	"internal/apply":       {"internal/login"},
	"internal/calls":       {"internal/admin", "internal/login"},
	"internal/clientcert":  {"internal/directory", "internal/token"},
	"internal/clientkeys":  {"internal/directory", "internal/token"},
	"internal/demo":        {"internal/web", "internal/web/catalog"},
	"internal/certhost":    {"internal/login"},
	"internal/enrolment":   {"internal/certhost", "internal/certify", "internal/handover", "internal/login", "internal/renewal"},
	"internal/est":         {"internal/web"},
	"internal/farewell":    {"internal/login"},
	"internal/forwardauth": {"internal/web"},
	"internal/handover":    {"internal/certify", "internal/login"},
	"internal/helpdesk":    {"internal/authn", "internal/directory"},
	"internal/limit":       {"internal/audit"},
	"internal/login":       {"internal/breakglass", "internal/rollout"},
	"internal/mail":        {"internal/audit", "internal/directory"},
	"internal/oidc":        {"internal/web"},
	"internal/renewal":     {"internal/certify", "internal/login"},
	"internal/repository":  {"internal/web"},
	"internal/secret":      {"internal/fault"},
	"internal/roster":      {"internal/admin", "internal/login"},
	"internal/selfservice": {"internal/login"},
	"internal/session":     {"internal/authn", "internal/directory"},
	"internal/token":       {"internal/authn", "internal/directory", "internal/session"},
	"internal/web":         {"internal/web/catalog"},
}
