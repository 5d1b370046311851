// Package realms holds the two realms that come with Doorward: a distributor's webshop, where customers manage their own
// people, and a wealth portal. They are examples to copy and what `doorward demo` runs; nothing else reads them.
package realms

import _ "embed"

// Shop is the realm file of Northline Supply.
//
//go:embed shop.toml
var Shop []byte

// Wealth is the realm file of Meridian Portal.
//
//go:embed wealth.toml
var Wealth []byte
