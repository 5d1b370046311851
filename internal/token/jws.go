package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Rules of reading what claims to be signed (SEC J-1).
//
//   - The key is chosen first, by us: by kid among keys we know, or the key of a proof that is judged by its thumbprint.
//     The key has its algorithm; the header must name the same one. There is no code here that checks an HMAC, so a
//     public key can never be taken for a shared secret, and none for "none".
//   - The compact form alone, at most MaxSize, in strict base64url: each token has one spelling (SEC J-2).
//   - crit, zip, b64 and everything of encryption is refused: what we do not know we do not skip. jku, x5u, x5c and jwk
//     are never looked at, but for the jwk of a DPoP proof.
//   - No member stands twice. Times are whole seconds.

// MaxSize is the largest token that is read or made, in bytes.
const MaxSize = 8 << 10

var (
	errForm      = errors.New("token: not a compact JWS")
	errHeader    = errors.New("token: a header that is not taken")
	errSignature = errors.New("token: no key fits, or the signature is wrong")
	errTimes     = errors.New("token: expired, not yet valid or without times")
	errClaims    = errors.New("token: a claim is missing or not what it must be")
)

var b64 = base64.RawURLEncoding.Strict()

// publicKey is a key that can verify, with the one algorithm it is for; any is for keys of clients that did not say.
type publicKey struct {
	kid string
	alg string // empty: every algorithm that the key fits
	key crypto.PublicKey
}

// envelope is a compact JWS taken apart. Nothing in it is to be believed before verify.
type envelope struct {
	Alg, Kid, Typ string
	JWK           json.RawMessage
	payload       []byte
	input         string // what is signed
	signature     []byte
}

// refusedHeaders change how a token is to be read, or belong to encryption.
var refusedHeaders = []string{"crit", "zip", "b64", "enc", "p2c", "p2s", "epk", "apu", "apv", "iv", "tag"}

// open takes a compact JWS apart.
func open(raw string) (*envelope, error) {
	if len(raw) > MaxSize {
		return nil, errForm
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" || strings.ContainsAny(raw, "\r\n") {
		return nil, errForm // the decoder of the standard library skips line ends
	}
	head, err := b64.DecodeString(parts[0])
	if err != nil {
		return nil, errForm
	}
	e := &envelope{input: raw[:len(parts[0])+1+len(parts[1])]}
	if e.payload, err = b64.DecodeString(parts[1]); err != nil {
		return nil, errForm
	}
	if e.signature, err = b64.DecodeString(parts[2]); err != nil {
		return nil, errForm
	}
	var members map[string]json.RawMessage
	if err := decode(head, &members); err != nil {
		return nil, errHeader
	}
	for _, name := range refusedHeaders {
		if _, there := members[name]; there {
			return nil, errHeader
		}
	}
	for name, to := range map[string]*string{"alg": &e.Alg, "kid": &e.Kid, "typ": &e.Typ} {
		if v, there := members[name]; there && (!isString(v) || json.Unmarshal(v, to) != nil) {
			return nil, errHeader
		}
	}
	e.JWK = members["jwk"]
	if !slices.Contains(Algs, e.Alg) || len(e.Kid) > 256 {
		return nil, errHeader
	}
	// typ is compared without case, and "application/" may be left out (RFC 7515 4.1.9).
	e.Typ = strings.TrimPrefix(strings.ToLower(e.Typ), "application/")
	return e, nil
}

func isString(v json.RawMessage) bool { return len(v) > 0 && v[0] == '"' }

// verify reports whether the signature is the key's, by the algorithm that the key is for.
func (e *envelope) verify(k publicKey) bool {
	if k.alg != "" && k.alg != e.Alg || !fits(k.key, e.Alg) {
		return false
	}
	if public, ok := k.key.(ed25519.PublicKey); ok {
		return len(e.signature) == ed25519.SignatureSize && ed25519.Verify(public, []byte(e.input), e.signature)
	}
	h := crypto.SHA256.New()
	h.Write([]byte(e.input))
	sum := h.Sum(nil)
	switch public := k.key.(type) {
	case *ecdsa.PublicKey:
		if len(e.signature) != 64 {
			return false
		}
		return ecdsa.Verify(public, sum, new(big.Int).SetBytes(e.signature[:32]), new(big.Int).SetBytes(e.signature[32:]))
	case *rsa.PublicKey:
		if e.Alg == PS256 {
			return rsa.VerifyPSS(public, crypto.SHA256, sum, e.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum, e.signature) == nil
	}
	return false
}

// seconds is a NumericDate (RFC 7519 2). Fractions are allowed there and cut off here; what is no time of this age is
// refused, so that no addition overflows.
type seconds int64

// UnmarshalJSON reads a number.
func (s *seconds) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil || len(b) > 24 || string(b) == "null" {
		return errTimes
	}
	if f < 1 || f > 1<<40 {
		return errTimes
	}
	*s = seconds(f)
	return nil
}

func (s seconds) time() time.Time { return time.Unix(int64(s), 0).UTC() }

// times are the claims that every JWT shares.
type times struct {
	Expires   *seconds `json:"exp"`
	NotBefore *seconds `json:"nbf"`
	Issued    *seconds `json:"iat"`
}

// valid checks what is there: exp after now, nbf and iat not ahead of it, all with skew. Which of them must be there is
// the caller's.
func (t times) valid(now time.Time, skew time.Duration) error {
	if t.Expires != nil && !now.Before(t.Expires.time().Add(skew)) ||
		t.NotBefore != nil && t.NotBefore.time().After(now.Add(skew)) ||
		t.Issued != nil && t.Issued.time().After(now.Add(skew)) {
		return errTimes
	}
	return nil
}
