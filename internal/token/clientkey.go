package token

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/fault"
)

// Bounds of what a client publishes.
const (
	maxKeySet  = 64 << 10
	maxKeys    = 32
	maxTries   = 4 // signatures that are checked for one token without kid
	maxMembers = 40
)

// privateMembers of a JWK (RFC 7518 6.2.2, 6.3.2 and 6.4.1, RFC 9964).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// ClientKeys are the public keys of a client. The zero value has none.
type ClientKeys struct {
	keys  []publicKey
	certs []*x509.Certificate // of x5c, the leaf of each
}

// ParseClientKeys reads a client's JWK set (RFC 7517 5). Keys of kinds we do not use, and keys for encryption, are passed
// over as the standard wants. A set with a private or symmetric key in it is refused whole: its owner has published what
// nobody else may know. The error is fault.Invalid "client-keys-…".
func ParseClientKeys(set []byte) (*ClientKeys, error) {
	if len(set) > maxKeySet {
		return nil, fault.New(fault.Invalid, "client-keys-size")
	}
	var outer struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := decode(set, &outer); err != nil || outer.Keys == nil {
		return nil, fault.New(fault.Invalid, "client-keys-form")
	}
	if len(outer.Keys) > maxKeys {
		return nil, fault.New(fault.Invalid, "client-keys-size")
	}
	out := &ClientKeys{}
	for _, raw := range outer.Keys {
		var members map[string]json.RawMessage
		if err := decode(raw, &members); err != nil || len(members) > maxMembers {
			return nil, fault.New(fault.Invalid, "client-keys-form")
		}
		if private(members) {
			return nil, fault.New(fault.Invalid, "client-keys-private")
		}
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
			continue
		}
		if k.Algorithm != "" && !fits(k.Key, k.Algorithm) || !fitsAny(k.Key) {
			continue
		}
		out.keys = append(out.keys, publicKey{kid: k.KeyID, alg: k.Algorithm, key: k.Key})
		if len(k.Certificates) > 0 {
			out.certs = append(out.certs, k.Certificates[0])
		}
	}
	return out, nil
}

func private(members map[string]json.RawMessage) bool {
	return slices.ContainsFunc(privateMembers, func(m string) bool { _, there := members[m]; return there })
}

func fitsAny(key any) bool {
	return slices.ContainsFunc(Algs, func(alg string) bool { return fits(key, alg) })
}

// Len is how many keys can be used.
func (c *ClientKeys) Len() int {
	if c == nil {
		return 0
	}
	return len(c.keys)
}

// HasCertificates reports whether a client registered any certificate.
func (c *ClientKeys) HasCertificates() bool { return c != nil && len(c.certs) > 0 }

// HasCertificate reports whether a client registered this very certificate in x5c (RFC 8705 2.2).
func (c *ClientKeys) HasCertificate(der []byte) bool {
	return c != nil && len(der) > 0 && slices.ContainsFunc(c.certs, func(cert *x509.Certificate) bool { return bytes.Equal(cert.Raw, der) })
}

// verify checks a client's signature with an algorithm of the list. A kid names its keys letter by letter; without one,
// every key that fits is tried, up to a bound.
func (c *ClientKeys) verify(e *envelope, algs []string) error {
	if !slices.Contains(algs, e.Alg) {
		return errHeader
	}
	if c == nil {
		return errSignature
	}
	tries := 0
	for _, k := range c.keys {
		if e.Kid != "" && k.kid != e.Kid || k.alg != "" && k.alg != e.Alg || !fits(k.key, e.Alg) {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if e.verify(k) {
			return nil
		}
	}
	return errSignature
}

// NoKey reports whether an error of VerifyAssertion or ReadRequestObject means that no key of the set verifies: a newer set
// may have one.
func NoKey(err error) bool { return errors.Is(err, errSignature) }
