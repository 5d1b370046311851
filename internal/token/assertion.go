package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Rules of client assertions (RFC 7523 3, private_key_jwt of OpenID Connect Core 9, FAPI 2.0 Security Profile 5.3.2.1).
//
//   - iss = sub = client_id. aud is one string: the issuer; outside of FAPI 2.0 the token endpoint will do. An array would
//     let another provider, named beside us, use here what was sent to it.
//   - exp and jti must be there, the end is at most five minutes away, and the jti is spent by the caller.
//   - PS256, ES256 or EdDSA; RS256 outside of FAPI 2.0. Never a shared secret.

// AssertionType is the value of client_assertion_type.
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// AssertionLife is how far away the end of an assertion may be.
const AssertionLife = 5 * time.Minute

var (
	strictAlgs = []string{PS256, ES256, EdDSA}
	looseAlgs  = []string{PS256, ES256, EdDSA, RS256}
)

// ClientAlgs are the algorithms by which a client may sign, for discovery and for the checks.
func ClientAlgs(fapi bool) []string {
	if fapi {
		return strictAlgs
	}
	return looseAlgs
}

// AssertionRules are what an assertion is checked against.
type AssertionRules struct {
	Client        string // client_id
	Issuer        string
	TokenEndpoint string // its URL; not looked at under FAPI
	FAPI          bool   // RelyingParty.Strict
	Keys          *ClientKeys
	Now           time.Time
}

// Once is a single use that the caller spends (the store's Spend) before it believes what was verified.
type Once struct {
	Key     string
	Expires time.Time
}

func once(kind string, expires time.Time, parts ...string) Once {
	h := sha256.New()
	for _, p := range parts {
		n := len(p)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		h.Write([]byte(p))
	}
	return Once{kind + ":" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)), expires}
}

type assertion struct {
	times
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ID       string          `json:"jti"`
}

// AssertionClient is the client that an assertion claims to be from, so that its keys can be looked up. Nothing is
// verified. The error is an *OAuthError "invalid_client".
func AssertionClient(raw string) (string, error) {
	e, err := open(raw)
	if err != nil {
		return "", Refuse(CodeInvalidClient, "client_assertion is malformed").Because(err)
	}
	var c assertion
	if err := decode(e.payload, &c); err != nil || c.Subject == "" || len(c.Subject) > 256 {
		return "", Refuse(CodeInvalidClient, "client_assertion names no client").Because(errClaims)
	}
	return c.Subject, nil
}

// VerifyAssertion checks a client assertion. The error is an *OAuthError "invalid_client".
func VerifyAssertion(raw string, r AssertionRules) (Once, error) {
	bad := func(description string, cause error) (Once, error) {
		return Once{}, Refuse(CodeInvalidClient, description).Because(cause)
	}
	e, err := open(raw)
	if err != nil {
		return bad("client_assertion is malformed", err)
	}
	if e.Typ != "" && e.Typ != "jwt" && e.Typ != "client-authentication+jwt" {
		return bad("client_assertion has the typ of another token", errHeader)
	}
	if err := r.Keys.verify(e, ClientAlgs(r.FAPI)); err != nil {
		return bad("client_assertion: no registered key of an allowed algorithm verifies it", err)
	}
	var c assertion
	if err := decode(e.payload, &c); err != nil {
		return bad("client_assertion is malformed", err)
	}
	if r.Client == "" || c.Issuer != r.Client || c.Subject != r.Client {
		return bad("client_assertion: iss and sub must be the client_id", errClaims)
	}
	var aud string
	if !isString(c.Audience) || json.Unmarshal(c.Audience, &aud) != nil || aud == "" ||
		aud != r.Issuer && (r.FAPI || aud != r.TokenEndpoint) {
		return bad("client_assertion: aud must be the issuer, as a string", errClaims)
	}
	if c.Expires == nil {
		return bad("client_assertion: exp is missing", errTimes)
	}
	end := c.Expires.time()
	if err := c.valid(r.Now, Skew); err != nil || end.After(r.Now.Add(AssertionLife+Skew)) {
		return bad("client_assertion is expired, not yet valid, or valid for more than five minutes", errTimes)
	}
	if c.ID == "" || len(c.ID) > 512 {
		return bad("client_assertion: jti is missing or too long", errClaims)
	}
	return once("client-assertion", end.Add(Skew), r.Issuer, r.Client, c.ID), nil
}

func lower(s string) string { return strings.ToLower(s) }
