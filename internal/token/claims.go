package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// Rules of what is signed.
//
//   - Every kind of token has its own typ where a standard names one, so that none passes for another (RFC 8725 3.11).
//   - A token without issuer, audience or end is not signed.

// Values of typ.
const (
	typJWT           = "JWT" // ID token, userinfo
	typAccess        = "at+jwt"
	typLogout        = "logout+jwt"
	typIntrospection = "token-introspection+jwt"
	typForward       = "forward-auth+jwt" // our own: what a guarded application reads from a header
)

var types = []string{typJWT, typAccess, typLogout, typIntrospection, typForward}

// Lives of what is signed. Callers may make them shorter.
const (
	AccessLife = 5 * time.Minute
	LogoutLife = 2 * time.Minute // SEC O-11
	maxAccess  = time.Hour
)

// Audience is the aud claim: one value is written as a string, several as an array (RFC 7519 4.1.3).
type Audience []string

// MarshalJSON writes one value as a string.
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads both forms.
func (a *Audience) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte(`"`)) {
		var one string
		if err := json.Unmarshal(b, &one); err != nil {
			return err
		}
		*a = Audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return err
	}
	*a = many
	return nil
}

// Profile are the claims about a person and their organization. What was not asked for, or may not be told, is empty.
type Profile struct {
	Name             string   `json:"name,omitempty"`
	Email            string   `json:"email,omitempty"`
	EmailVerified    *bool    `json:"email_verified,omitempty"`
	Locale           string   `json:"locale,omitempty"`   // BCP 47
	Zone             string   `json:"zoneinfo,omitempty"` // IANA
	Organization     string   `json:"org,omitempty"`      // its id, which never changes and is never given again
	OrganizationName string   `json:"org_name,omitempty"`
	Roles            []string `json:"roles,omitempty"`
}

// IDToken is what an ID token says (OpenID Connect Core 2). Times are seconds since 1970.
type IDToken struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   Audience `json:"aud"`
	Authorized string   `json:"azp,omitempty"` // the client, where aud holds more than it
	Expires    int64    `json:"exp"`
	Issued     int64    `json:"iat"`
	AuthTime   int64    `json:"auth_time,omitempty"`
	Nonce      string   `json:"nonce,omitempty"`
	ACR        string   `json:"acr,omitempty"`
	AMR        []string `json:"amr,omitempty"`
	Session    string   `json:"sid,omitempty"`
	AccessHash string   `json:"at_hash,omitempty"` // see HalfHash
	Profile
}

// AccessToken is what an access token says (RFC 9068 2.2). For client_credentials the subject is the client.
type AccessToken struct {
	Issuer        string        `json:"iss"`
	Subject       string        `json:"sub"`
	Audience      Audience      `json:"aud"`
	Expires       int64         `json:"exp"`
	Issued        int64         `json:"iat"`
	ID            string        `json:"jti"`
	Client        string        `json:"client_id"`
	Scope         string        `json:"scope,omitempty"`
	Session       string        `json:"sid,omitempty"`
	Authorization string        `json:"grant_id,omitempty"` // id of the Authorization it came from
	AuthTime      int64         `json:"auth_time,omitempty"`
	ACR           string        `json:"acr,omitempty"`
	AMR           []string      `json:"amr,omitempty"`
	Organization  string        `json:"org,omitempty"`
	Roles         []string      `json:"roles,omitempty"`
	Confirmation  *Confirmation `json:"cnf,omitempty"`
}

// LogoutToken tells a client that a session has ended (OpenID Connect Back-Channel Logout 2.4). SignLogoutToken fills in
// the event.
type LogoutToken struct {
	Issuer   string                     `json:"iss"`
	Subject  string                     `json:"sub,omitempty"`
	Audience Audience                   `json:"aud"`
	Issued   int64                      `json:"iat"`
	Expires  int64                      `json:"exp"`
	ID       string                     `json:"jti"`
	Session  string                     `json:"sid,omitempty"`
	Events   map[string]json.RawMessage `json:"events"`
}

// BackchannelEvent is the member of events that makes a JWT a logout token.
const BackchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// Userinfo is the answer of the userinfo endpoint (OpenID Connect Core 5.3.2).
type Userinfo struct {
	Subject string `json:"sub"`
	Profile
}

// Introspection is the answer to a resource server (RFC 7662 2.2). The zero value says that the token is not active, and
// nothing else, whatever was wrong with it.
type Introspection struct {
	Active       bool          `json:"active"`
	Issuer       string        `json:"iss,omitempty"`
	Subject      string        `json:"sub,omitempty"`
	Audience     Audience      `json:"aud,omitempty"`
	Expires      int64         `json:"exp,omitempty"`
	Issued       int64         `json:"iat,omitempty"`
	ID           string        `json:"jti,omitempty"`
	Client       string        `json:"client_id,omitempty"`
	Scope        string        `json:"scope,omitempty"`
	Type         string        `json:"token_type,omitempty"` // Bearer or DPoP; empty for a refresh token
	Session      string        `json:"sid,omitempty"`
	AuthTime     int64         `json:"auth_time,omitempty"`
	ACR          string        `json:"acr,omitempty"`
	AMR          []string      `json:"amr,omitempty"`
	Organization string        `json:"org,omitempty"`
	Roles        []string      `json:"roles,omitempty"`
	Confirmation *Confirmation `json:"cnf,omitempty"`
}

// Introspect says what an access token that was found to be alive says of itself.
func Introspect(a AccessToken) Introspection {
	kind := "Bearer"
	if a.Confirmation != nil && a.Confirmation.JKT != "" {
		kind = "DPoP"
	}
	return Introspection{
		Active: true, Issuer: a.Issuer, Subject: a.Subject, Audience: a.Audience, Expires: a.Expires, Issued: a.Issued, ID: a.ID,
		Client: a.Client, Scope: a.Scope, Type: kind, Session: a.Session, AuthTime: a.AuthTime, ACR: a.ACR, AMR: a.AMR,
		Organization: a.Organization, Roles: a.Roles, Confirmation: a.Confirmation,
	}
}

// Forward is what a guarded application reads from a header (forward-auth): short-lived, for one host.
type Forward struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience Audience `json:"aud"` // the origin of the application
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	Profile
}

var errIncomplete = errors.New("token: issuer, subject, audience or times are missing")

func complete(issuer, subject string, aud Audience, issued, expires int64, life time.Duration) error {
	if issuer == "" || subject == "" || len(aud) == 0 || issued <= 0 || expires <= issued || expires-issued > int64(life/time.Second) {
		return errIncomplete
	}
	for _, a := range aud {
		if a == "" {
			return errIncomplete
		}
	}
	return nil
}

// SignIDToken signs an ID token, for 24 hours at most.
func (k *SigningKey) SignIDToken(c IDToken) (string, error) {
	if err := complete(c.Issuer, c.Subject, c.Audience, c.Issued, c.Expires, 24*time.Hour); err != nil {
		return "", err
	}
	return k.sign(typJWT, c)
}

// SignAccessToken signs an access token, for an hour at most.
func (k *SigningKey) SignAccessToken(c AccessToken) (string, error) {
	if err := complete(c.Issuer, c.Subject, c.Audience, c.Issued, c.Expires, maxAccess); err != nil {
		return "", err
	}
	if c.ID == "" || c.Client == "" {
		return "", errIncomplete
	}
	return k.sign(typAccess, c)
}

// SignLogoutToken signs a logout token for two minutes at most. It names a session, a person or both.
func (k *SigningKey) SignLogoutToken(c LogoutToken) (string, error) {
	if err := complete(c.Issuer, c.Subject+c.Session, c.Audience, c.Issued, c.Expires, LogoutLife); err != nil {
		return "", err
	}
	if c.ID == "" {
		return "", errIncomplete
	}
	c.Events = map[string]json.RawMessage{BackchannelEvent: json.RawMessage("{}")}
	return k.sign(typLogout, c)
}

// SignUserinfo signs a userinfo answer for one client (OpenID Connect Core 5.3.2). It has no end, and so never passes for
// an ID token.
func (k *SigningKey) SignUserinfo(issuer, client string, u Userinfo) (string, error) {
	if issuer == "" || client == "" || u.Subject == "" {
		return "", errIncomplete
	}
	return k.sign(typJWT, struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Userinfo
	}{issuer, client, u})
}

// SignIntrospection signs an introspection answer for one resource server (RFC 9701 5). What was introspected stands in a
// member of its own, so that the answer never passes for the token.
func (k *SigningKey) SignIntrospection(issuer, audience string, now time.Time, in Introspection) (string, error) {
	if issuer == "" || audience == "" {
		return "", errIncomplete
	}
	return k.sign(typIntrospection, struct {
		Issuer   string        `json:"iss"`
		Audience string        `json:"aud"`
		Issued   int64         `json:"iat"`
		Token    Introspection `json:"token_introspection"`
	}{issuer, audience, now.Unix(), in})
}

// SignForward signs what a guarded application is told, for five minutes at most.
func (k *SigningKey) SignForward(c Forward) (string, error) {
	if err := complete(c.Issuer, c.Subject, c.Audience, c.Issued, c.Expires, AccessLife); err != nil {
		return "", err
	}
	return k.sign(typForward, c)
}
