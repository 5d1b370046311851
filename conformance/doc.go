// Package conformance asks the provider what the OpenID Foundation's public test plans ask a provider: one Go test for
// each module of a plan, under the module's name. It is written after what the plans check and is no certification;
// docs/conformance.md says what is decided otherwise, and why.
//
// Rules.
//
//   - The provider is a black box: a test sends what a client or a browser sends and reads what comes back. Tokens are
//     checked with go-jose and go-oidc, never with the product's own code. Addresses come from the discovery document.
//   - The person is a browser without scripts (internal/rig/walker), and everything runs on both databases.
//   - A module that was not run is not counted: the count at the end is of modules that ran here and passed on both
//     databases, and a whole run that counts fewer than the plan has fails.
//   - Where the plan accepts several answers, the module's row says which one is ours, and the test asks for that one.
//
// To add a plan: declare a plan with its modules beside its tests, add it to plans in table_test.go, and write one test
// for each row that calls each. Clients stand in clients_test.go. `go test ./conformance -update` writes the tables of
// docs/conformance.md.
package conformance
