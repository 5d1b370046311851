package token

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"slices"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/session"
)

// Assurance is what a session proves, in the words of OpenID Connect.
type Assurance struct {
	ACR      string   // the class reached, empty for none
	AMR      []string // RFC 8176
	AuthTime int64    // seconds since 1970; 0 when nothing was shown
}

// Assure reads the evidence that a session stands on (SEC O-10); what does not count there was left out when the session
// was made. Of several classes that were reached, the first that was asked for is named, else the
// strongest. A class that was not reached is never named, whatever was asked for.
func Assure(evidence []authn.Evidence, wanted ...string) Assurance {
	var kinds []authn.Kind
	for _, e := range evidence {
		kinds = append(kinds, e.Kind)
	}
	a := Assurance{AMR: session.AMR(evidence)}
	if at := session.AuthTime(evidence); !at.IsZero() {
		a.AuthTime = at.Unix()
	}
	reached := authn.Reaches(kinds)
	if len(reached) == 0 {
		return a
	}
	a.ACR = reached[len(reached)-1]
	if i := slices.IndexFunc(wanted, func(w string) bool { return slices.Contains(reached, w) }); i >= 0 {
		a.ACR = wanted[i]
	}
	return a
}

// Claims that a client can ask for by name, for discovery.
var Claims = []string{
	"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "sid",
	"name", "email", "email_verified", "locale", "zoneinfo", "org", "org_name", "roles",
}

// claimScope says which scope opens a claim.
var claimScope = map[string]string{
	"name": ScopeProfile, "locale": ScopeProfile, "zoneinfo": ScopeProfile,
	"email": ScopeEmail, "email_verified": ScopeEmail,
	"org": ScopeOrganization, "org_name": ScopeOrganization, "roles": ScopeOrganization,
}

// UserinfoClaims are the claims of the userinfo endpoint: those of the granted scopes (OpenID Connect Core 5.4) and those
// asked for by name. A claim by name is told where its scope is open to the client in the realm file; a person who is
// asked for consent is asked for that scope too, see ClaimsRequest.Scopes. zone is the realm's, for a person who has none.
func UserinfoClaims(rp directory.RelyingParty, scopes []string, asked ClaimsRequest, zone string, p directory.Person, o directory.Organization) Profile {
	return profile(func(name, scope string) bool {
		_, named := asked.Userinfo[name]
		return slices.Contains(scopes, scope) || named && slices.Contains(rp.Scopes, scope)
	}, zone, p, o)
}

// IDTokenClaims are the claims about the person in an ID token: those asked for by name, and organization and roles under
// their scope, because applications decide by them at the door. Everything else is at the userinfo endpoint.
func IDTokenClaims(rp directory.RelyingParty, scopes []string, asked ClaimsRequest, zone string, p directory.Person, o directory.Organization) Profile {
	return profile(func(name, scope string) bool {
		_, named := asked.IDToken[name]
		return scope == ScopeOrganization && slices.Contains(scopes, scope) || named && slices.Contains(rp.Scopes, scope)
	}, zone, p, o)
}

// profile tells what is told of a person.
func profile(told func(name, scope string) bool, zone string, p directory.Person, o directory.Organization) Profile {
	open := func(name string) bool { return told(name, claimScope[name]) }
	var c Profile
	if open("name") {
		c.Name = p.Name
	}
	if open("locale") {
		c.Locale = p.Language
	}
	if open("zoneinfo") {
		if c.Zone = p.Zone; c.Zone == "" {
			c.Zone = zone
		}
	}
	if open("email") {
		c.Email = p.Address
	}
	if open("email_verified") {
		// Who was admitted once came through a link in this mailbox; what bounced since is nobody's any more.
		verified := p.EverActive() && !p.Bounced
		c.EmailVerified = &verified
	}
	if open("org") {
		c.Organization = o.ID
	}
	if open("org_name") {
		c.OrganizationName = o.Name
	}
	if open("roles") {
		c.Roles = []string{string(p.Role)}
	}
	return c
}

// HalfHash is the at_hash of an access token (OpenID Connect Core 3.1.3.6): the left half of its hash, by the hash of the
// algorithm that signs the ID token, which for Ed25519 is SHA-512.
func HalfHash(alg, access string) string {
	if alg == EdDSA {
		sum := sha512.Sum512([]byte(access))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// ClaimsRequest is the claims parameter (OpenID Connect Core 5.5). Claims that are not ours are not kept.
type ClaimsRequest struct {
	Userinfo map[string]ClaimWish
	IDToken  map[string]ClaimWish
}

// ClaimWish is what a client says about one claim. Values are those it would take, empty for any.
type ClaimWish struct {
	Essential bool
	Values    []string
}

const maxClaims = 4 << 10

// ParseClaims reads a claims parameter; an empty one asks for nothing. The error is an *OAuthError "invalid_request".
func ParseClaims(s string) (ClaimsRequest, error) {
	var out ClaimsRequest
	if s == "" {
		return out, nil
	}
	bad := Refuse(CodeInvalidRequest, "claims is not the JSON object that OpenID Connect Core 5.5 describes")
	var outer struct {
		Userinfo map[string]json.RawMessage `json:"userinfo"`
		IDToken  map[string]json.RawMessage `json:"id_token"`
	}
	if len(s) > maxClaims {
		return out, bad
	}
	if err := decode([]byte(s), &outer); err != nil {
		return out, bad.Because(err)
	}
	var err error
	if out.Userinfo, err = wishes(outer.Userinfo); err == nil {
		out.IDToken, err = wishes(outer.IDToken)
	}
	if err != nil {
		return ClaimsRequest{}, bad.Because(err)
	}
	return out, nil
}

func wishes(members map[string]json.RawMessage) (map[string]ClaimWish, error) {
	out := map[string]ClaimWish{}
	for name, raw := range members {
		if !slices.Contains(Claims, name) {
			continue
		}
		if string(raw) == "null" {
			out[name] = ClaimWish{}
			continue
		}
		var w struct {
			Essential bool              `json:"essential"`
			Value     json.RawMessage   `json:"value"`
			Values    []json.RawMessage `json:"values"`
		}
		if err := decode(raw, &w); err != nil {
			return nil, err
		}
		wish := ClaimWish{Essential: w.Essential}
		if w.Value != nil {
			w.Values = append(w.Values, w.Value)
		}
		if len(w.Values) > 16 {
			return nil, errClaims
		}
		for _, v := range w.Values {
			var text string
			if json.Unmarshal(v, &text) != nil {
				text = string(v)
			}
			wish.Values = append(wish.Values, text)
		}
		out[name] = wish
	}
	return out, nil
}

// ACR is what the client says about acr: the classes it would take, and whether another one is an error (5.5.1.1).
func (c ClaimsRequest) ACR() (values []string, essential bool) {
	w := c.IDToken["acr"]
	return w.Values, w.Essential && len(w.Values) > 0
}

// Scopes are the scopes that claims asked for by name belong to: consent is asked for them as well.
func (c ClaimsRequest) Scopes() []string {
	var out []string
	for _, s := range Scopes {
		for name, scope := range claimScope {
			_, one := c.Userinfo[name]
			_, other := c.IDToken[name]
			if scope == s && (one || other) && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// Subject is the sub that the answer must have, empty for any (5.5.1). It is that of the client, see Subject.
func (c ClaimsRequest) Subject() string {
	for _, w := range []ClaimWish{c.IDToken["sub"], c.Userinfo["sub"]} {
		if len(w.Values) == 1 {
			return w.Values[0]
		}
	}
	return ""
}
