package token

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rules of request objects (RFC 9101; FAPI 2.0 Message Signing 5.3.1).
//
//   - Signed by a registered key; none is refused although OpenID Connect Core 6.1 knows it: unsigned parameters can be
//     sent as parameters.
//   - iss is the client, aud the issuer. sub must not be the client: such an object would be a client assertion too
//     (RFC 9101 10.8).
//   - What is inside is the whole request. client_id and response_type outside are compared; everything else outside is
//     ignored (RFC 9101 6.3).
//   - Under FAPI 2.0 nbf and exp must be there, no more than an hour apart from now and from each other.

// RequestObjectRules are what a request object is checked against.
type RequestObjectRules struct {
	Client string
	Issuer string
	FAPI   bool
	Keys   *ClientKeys
	Now    time.Time
}

const objectLife = time.Hour

// envelopeClaims are about the object, not parameters.
var envelopeClaims = []string{"iss", "aud", "exp", "nbf", "iat", "jti", "sub"}

// ReadRequestObject verifies a request object and returns the parameters in it, under the rules of ReadParams. outer are
// the parameters that came beside it. The error is an *OAuthError "invalid_request_object"; it is for the person alone,
// since no redirect address is known yet.
func ReadRequestObject(raw string, outer Params, r RequestObjectRules) (Params, error) {
	bad := func(description string, cause error) (Params, error) {
		return nil, tell(CodeInvalidRequestObject, description).Because(cause)
	}
	e, err := open(raw)
	if err != nil {
		return bad("the request object is malformed or not signed", err)
	}
	if e.Typ != "" && e.Typ != "jwt" && e.Typ != "oauth-authz-req+jwt" {
		return bad("the request object has the typ of another token", errHeader)
	}
	if err := r.Keys.verify(e, ClientAlgs(r.FAPI)); err != nil {
		return bad("no registered key of an allowed algorithm verifies the request object", err)
	}
	var c struct {
		times
		Issuer   string   `json:"iss"`
		Subject  string   `json:"sub"`
		Audience Audience `json:"aud"`
	}
	var members map[string]json.RawMessage
	if err := decode(e.payload, &c); err != nil {
		return bad("the request object is malformed", err)
	}
	if err := decode(e.payload, &members); err != nil {
		return bad("the request object is malformed", err)
	}
	if r.Client == "" || c.Issuer != r.Client || c.Subject == r.Client || !slices.Contains(c.Audience, r.Issuer) {
		return bad("the request object: iss must be the client, aud the issuer", errClaims)
	}
	if err := c.valid(r.Now, Skew); err != nil {
		return bad("the request object is expired or not yet valid", err)
	}
	if r.FAPI {
		if c.Expires == nil || c.NotBefore == nil || r.Now.Sub(c.NotBefore.time()) > objectLife ||
			c.Expires.time().Sub(c.NotBefore.time()) > objectLife {
			return bad("the request object must have nbf and exp, an hour apart at most", errTimes)
		}
	}
	p := Params{}
	seen := map[string]bool{}
	for name, v := range members {
		if slices.Contains(envelopeClaims, name) {
			continue
		}
		if err := p.claim(name, v, seen); err != nil {
			return bad("a parameter in the request object is malformed", err)
		}
	}
	if p["request"] != "" || p["request_uri"] != "" {
		return bad("a request object cannot hold another", errClaims)
	}
	if p["client_id"] != r.Client || outer["client_id"] != "" && outer["client_id"] != r.Client ||
		outer["response_type"] != "" && outer["response_type"] != p["response_type"] {
		return bad("client_id and response_type must be the same inside and outside", errClaims)
	}
	return p, nil
}

// claim turns one claim of a request object into a parameter: strings as they are, whole numbers and objects as JSON,
// lists for resource only.
func (p Params) claim(name string, v json.RawMessage, seen map[string]bool) error {
	if len(name) > maxName || len(p) >= maxParam {
		return errClaims
	}
	var values []string
	switch {
	case name == "resource" && v[0] == '[':
		if err := json.Unmarshal(v, &values); err != nil {
			return err
		}
	case v[0] == '"':
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			return err
		}
		values = []string{s}
	case name == "max_age":
		if _, err := strconv.ParseUint(string(v), 10, 31); err != nil {
			return errClaims
		}
		values = []string{string(v)}
	case name == "claims" && v[0] == '{':
		values = []string{string(v)}
	case slices.Contains(known, name) || strings.HasPrefix(name, "request"):
		return errClaims
	default:
		return nil // unknown parameters are ignored
	}
	for _, s := range values {
		if len(s) > maxValue || !text(s) {
			return errClaims
		}
		if err := p.add(name, s, seen); err != nil {
			return err
		}
	}
	return nil
}
