// Package interop lets strangers' clients sign people in: libraries and servers that other people wrote, untouched, against
// the built program over real TLS. It holds tests only.
//
// Rules.
//   - The clients know an issuer, their own name and what proves it; everything else they find by discovery.
//   - What a client must notice (a wrong state, nonce or issuer) is shown to it as well: a client that does not look proves
//     nothing by being content.
//   - No name is resolved: the realm is at localhost, applications at 127.0.0.1. Cookies of one never reach the other.
//   - The examples of docs/integrate.md run here word for word.
package interop
