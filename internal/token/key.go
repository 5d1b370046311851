package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/fault"
)

// Rules of signing keys (SEC J-3).
//
//   - A key has one algorithm for its whole life. What a token's header says never chooses how it is checked.
//   - kid is the RFC 7638 thumbprint: it names the key itself, so a row that was swapped is seen when it is loaded.
//   - Published are public members only, and every key from the moment it exists until its end, so that a relying party
//     has a key in its cache before the first token that needs it, and until the last one has ended.

// Signature algorithms of RFC 7518 and RFC 8037 that Doorward signs with and accepts. There is no other.
const (
	ES256 = "ES256"
	EdDSA = "EdDSA" // with Ed25519
	PS256 = "PS256"
	RS256 = "RS256" // outside of FAPI 2.0 only
)

// Algs are the algorithms, the default first.
var Algs = []string{ES256, EdDSA, PS256, RS256}

const rsaBits = 3072

// NewKey makes a signing key. When it signs is for Plan to say; until then it is published and signs nothing. An RSA key
// takes most of a second. The error is fault.Invalid "alg-unknown" or the random source's.
func NewKey(realm, alg string, now time.Time) (Key, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case PS256, RS256:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return Key{}, fault.New(fault.Invalid, "alg-unknown")
	}
	if err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, err
	}
	id, err := thumbprint(private.Public())
	if err != nil {
		return Key{}, err
	}
	return Key{ID: id, Realm: realm, Alg: alg, Private: der, Created: now}, nil
}

// thumbprint is the RFC 7638 SHA-256 thumbprint of a public key, base64url.
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// fits reports whether a public key can verify an algorithm, and is of a strength that we accept from others too: RSA of
// 2048 to 4096 bits (more is work that a stranger makes us do) with an odd exponent of at least 65537.
func fits(public crypto.PublicKey, alg string) bool {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return alg == ES256 && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == EdDSA && len(k) == ed25519.PublicKeySize
	case *rsa.PublicKey:
		return (alg == PS256 || alg == RS256) && k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096 && k.N.Bit(0) == 1 &&
			k.E >= 65537 && k.E <= 1<<31-1 && k.E%2 == 1
	}
	return false
}

// SigningKey is a loaded key. It signs; which claims go in is the caller's.
type SigningKey struct {
	ID  string // kid
	Alg string

	row    Key
	signer crypto.Signer
	heads  map[string]string // typ -> encoded header and dot: it never changes for a key
}

func loadKey(k Key) (*SigningKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: not PKCS#8", k.ID) // the cause could quote what was read
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok || !fits(signer.Public(), k.Alg) {
		return nil, fmt.Errorf("signing key %s: not a key for %s", k.ID, k.Alg)
	}
	if id, err := thumbprint(signer.Public()); err != nil || id != k.ID {
		return nil, fmt.Errorf("signing key %s: the kid belongs to another key", k.ID)
	}
	s := &SigningKey{ID: k.ID, Alg: k.Alg, signer: signer, heads: map[string]string{}}
	s.row, s.row.Private = k, nil
	for _, typ := range types {
		head, err := json.Marshal(struct {
			Alg string `json:"alg"`
			Kid string `json:"kid"`
			Typ string `json:"typ"`
		}{k.Alg, k.ID, typ})
		if err != nil {
			return nil, err
		}
		s.heads[typ] = base64.RawURLEncoding.EncodeToString(head) + "."
	}
	return s, nil
}

// Format hides the private key from fmt, whatever the verb.
func (k *SigningKey) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%s %s", k.Alg, k.ID) }

// KeySet are the loaded keys of one realm. It is made anew when the rows change and never changes itself: callers share
// it without a lock.
type KeySet struct {
	keys  []*SigningKey // by Signs
	byID  map[string]*SigningKey
	spans []span
}

// span is a rendered key set and the time at which it is no longer right, zero for never.
type span struct {
	until time.Time
	jwks  []byte
}

// NewKeySet loads the keys of a realm and renders what is published. It fails on a row that is not what it says, rather
// than sign with a key that nobody can verify.
func NewKeySet(rows []Key) (*KeySet, error) {
	s := &KeySet{byID: make(map[string]*SigningKey, len(rows))}
	for _, row := range rows {
		if s.byID[row.ID] != nil {
			return nil, fmt.Errorf("signing key %s: stands twice", row.ID)
		}
		k, err := loadKey(row)
		if err != nil {
			return nil, err
		}
		s.keys, s.byID[k.ID] = append(s.keys, k), k
	}
	slices.SortFunc(s.keys, func(a, b *SigningKey) int { return order(a.row, b.row) })
	return s, s.render()
}

// order is by when keys begin to sign; a key that was not told when comes last.
func order(a, b Key) int {
	if az, bz := a.Signs.IsZero(), b.Signs.IsZero(); az != bz {
		if az {
			return 1
		}
		return -1
	}
	if c := a.Signs.Compare(b.Signs); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

// render makes the JWK set of every span between two ends of keys, so that serving it is a look at the clock.
func (s *KeySet) render() error {
	var ends []time.Time
	for _, k := range s.keys {
		if !k.row.Ends.IsZero() {
			ends = append(ends, k.row.Ends)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	ends = slices.CompactFunc(ends, time.Time.Equal)
	for i := range len(ends) + 1 {
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
		var until time.Time
		if i < len(ends) {
			until = ends[i]
		}
		for _, k := range s.keys {
			if k.row.Ends.IsZero() || !until.IsZero() && !k.row.Ends.Before(until) {
				set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"})
			}
		}
		b, err := json.Marshal(set)
		if err != nil {
			return err
		}
		s.spans = append(s.spans, span{until, b})
	}
	return nil
}

// JWKS is the published key set (RFC 7517 5) as bytes to be served, which the caller must not change.
func (s *KeySet) JWKS(now time.Time) []byte {
	for _, p := range s.spans {
		if p.until.IsZero() || now.Before(p.until) {
			return p.jwks
		}
	}
	return nil // the last span has no end
}

// Signer is the key of an algorithm that signs now: the newest of which Signs <= now < Retires. Where the clock went
// back behind all of them it is the first that is published and not retired, because relying parties know it already.
// The error is fault.Unavailable "signing-key-missing".
func (s *KeySet) Signer(alg string, now time.Time) (*SigningKey, error) {
	var found, early *SigningKey
	for _, k := range s.keys {
		if k.Alg != alg || k.row.Signs.IsZero() || !published(k.row, now) || !k.row.Retires.IsZero() && !now.Before(k.row.Retires) {
			continue
		}
		if !now.Before(k.row.Signs) {
			found = k
		} else if early == nil {
			early = k
		}
	}
	switch {
	case found != nil:
		return found, nil
	case early != nil:
		return early, nil
	}
	return nil, fault.New(fault.Unavailable, "signing-key-missing", "alg", alg)
}

func published(k Key, now time.Time) bool { return k.Ends.IsZero() || now.Before(k.Ends) }

// verifier finds the published key that a kid names, letter by letter.
func (s *KeySet) verifier(kid string, now time.Time) (publicKey, bool) {
	k, ok := s.byID[kid]
	if !ok || !published(k.row, now) {
		return publicKey{}, false
	}
	return publicKey{kid: k.ID, alg: k.Alg, key: k.signer.Public()}, true
}

// sign makes a compact JWS (RFC 7515 7.1) of claims. The header was encoded when the key was loaded.
func (k *SigningKey) sign(typ string, claims any) (string, error) {
	head, ok := k.heads[typ]
	if !ok {
		return "", errors.New("token: no such type: " + typ)
	}
	var payload bytes.Buffer
	payload.Grow(1 << 10)
	enc := json.NewEncoder(&payload)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(claims); err != nil {
		return "", err
	}
	body := bytes.TrimSuffix(payload.Bytes(), []byte("\n"))
	out := make([]byte, 0, len(head)+base64.RawURLEncoding.EncodedLen(len(body))+1+base64.RawURLEncoding.EncodedLen(rsaBits/8))
	out = base64.RawURLEncoding.AppendEncode(append(out, head...), body)
	sig, err := k.signature(out)
	if err != nil {
		return "", err
	}
	out = base64.RawURLEncoding.AppendEncode(append(out, '.'), sig)
	if len(out) > MaxSize {
		return "", fault.New(fault.Invalid, "token-too-large")
	}
	return string(out), nil
}

// signature signs as RFC 7518 3.3 to 3.5 and RFC 8037 3.1 say.
func (k *SigningKey) signature(input []byte) ([]byte, error) {
	if private, ok := k.signer.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, input), nil
	}
	h := crypto.SHA256.New()
	h.Write(input)
	sum := h.Sum(nil)
	switch private := k.signer.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, sum)
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out, nil
	case *rsa.PrivateKey:
		if k.Alg == PS256 {
			return rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum)
	}
	return nil, errors.New("token: a key of no known kind")
}
