package token

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"doorward/internal/secret"
)

// CodeLife is how long an authorization code can be redeemed (SEC O-4).
const CodeLife = 60 * time.Second

// Challenge is the S256 code challenge of a verifier (RFC 7636 4.2).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// validChallenge reports whether s can be an S256 challenge: 256 bits in base64url.
func validChallenge(s string) bool {
	b, err := b64.DecodeString(s)
	return err == nil && len(s) == 43 && len(b) == sha256.Size
}

// validVerifier is RFC 7636 4.1: 43 to 128 unreserved letters.
func validVerifier(s string) bool {
	if len(s) < 43 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !slices.Contains([]byte("-._~"), c) {
			return false
		}
	}
	return true
}

// VerifyPKCE reports whether a verifier belongs to a challenge. Both must be there: neither a code without challenge nor
// a request without verifier gets through (SEC O-3).
func VerifyPKCE(challenge, verifier string) bool {
	return validChallenge(challenge) && validVerifier(verifier) && secret.Equal(challenge, Challenge(verifier))
}

// Redeems checks everything that a code is bound to, all of it: realm, client, redirect address and PKCE verifier. That
// it is unused and in time is the store's to say, in one statement (UseCode). The error is an *OAuthError
// "invalid_grant", and does not say which of them it was.
func (c Code) Redeems(realm, client, redirect, verifier string) error {
	if c.Realm == "" || c.Client == "" || c.Redirect == "" || c.Realm != realm || c.Client != client || c.Redirect != redirect ||
		!VerifyPKCE(c.Challenge, verifier) {
		return Refuse(CodeInvalidGrant, "the code is not for this client, redirect_uri and code_verifier")
	}
	return nil
}
