package directory

import (
	"slices"
	"time"
)

// Realm is one front door: host name, brand, languages, policy, terms. It is declared in a TOML file and loaded by
// `doorward apply`; the database keeps it as one document with a version.
type Realm struct {
	ID           string         `toml:"realm" json:"id"`
	Name         string         `toml:"name" json:"name"`           // as people know it: "Northline Supply"
	Host         string         `toml:"host" json:"host"`           // the host name of the door, without port
	Origin       string         `toml:"origin" json:"origin"`       // https://HOST[:PORT], where links lead; default from host
	Languages    []string       `toml:"languages" json:"languages"` // of en de fr it; the first is the default
	Zone         string         `toml:"zone" json:"zone"`           // IANA time zone
	Policy       string         `toml:"policy" json:"policy"`       // text of the policy language
	Operator     string         `toml:"operator" json:"operator"`   // name of the realm's own organization
	Brand        Brand          `toml:"brand" json:"brand"`
	Desk         Desk           `toml:"desk" json:"desk"`
	Session      SessionLimits  `toml:"session" json:"session"`
	Invitation   Invitation     `toml:"invitation" json:"invitation"`
	Password     PasswordRules  `toml:"password" json:"password"`
	Apps         []App          `toml:"authenticator" json:"authenticators"`
	Terms        Terms          `toml:"terms" json:"terms"`
	Topics       []Topic        `toml:"topic" json:"topics"`
	Relying      []RelyingParty `toml:"relying_party" json:"relying_parties"`
	Requests     Requests       `toml:"requests" json:"requests"`
	Calls        Calls          `toml:"calls" json:"calls"`
	Manager      Localized      `toml:"password_managers" json:"password_managers"` // the operator's words on password managers, may be missing
	Rollouts     []Rollout      `toml:"rollout" json:"rollouts,omitempty"`
	Exemptions   Exemptions     `toml:"exemptions" json:"exemptions"`
	Certificates Certificates   `toml:"certificates" json:"certificates"`
	Version      int64          `toml:"-" json:"-"`
	PolicyLine   int            `toml:"-" json:"-"` // line of the file on which the policy's text begins; 0 when it came from the store
}

// Certificates are those of devices (package certify).
type Certificates struct {
	Days    int    `toml:"days" json:"days"`                   // how long one holds: 730 by default, 825 at most
	Attach  bool   `toml:"attach" json:"attach"`               // a file with a key goes with the letter, instead of a link to it
	Publish string `toml:"publish" json:"publish"`             // http(s)://HOST, where others find CA certificates and CRLs; empty: the realm's origin
	Renewal int    `toml:"renewal_days" json:"renewal_days"`   // before its end, from when its owner can renew one; 0: see Window
	Overlap int    `toml:"overlap_hours" json:"overlap_hours"` // how long the old one is accepted after the new one was first shown
	Twice   bool   `toml:"suspend_twice" json:"suspend_twice"` // one that is in use in two browsers at once is suspended until the desk has looked
}

// Window is how many days before its end a certificate can be renewed: two months, or half of its life where that is shorter.
func (c Certificates) Window() int {
	if c.Renewal > 0 {
		return c.Renewal
	}
	days := c.Days
	if days == 0 {
		days = CertificateDays
	}
	return max(1, min(CertificateRenewal, days/2))
}

// Both is how long the old one is accepted beside the new one that was shown.
func (c Certificates) Both() time.Duration {
	if c.Overlap == 0 {
		return CertificateOverlap * time.Hour
	}
	return time.Duration(c.Overlap) * time.Hour
}

// Requests is how help is given where something is lost (package helpdesk). The numbers may only be made stricter.
type Requests struct {
	Cooling       int         `toml:"cooling_minutes" json:"cooling_minutes"`           // where nothing that remains is shown, at least 60
	Longer        int         `toml:"privileged_cooling_hours" json:"privileged_hours"` // the same for administrators and staff, at least 24
	Agent         int         `toml:"per_agent" json:"per_agent"`                       // approvals by one agent in a day before a second has to look, at most 5
	Administrator int         `toml:"per_administrator" json:"per_administrator"`       // resets by one customer administrator in a day, at most 10
	SecondLook    int         `toml:"second_look_percent" json:"second_look_percent"`   // share of all others that a second has to look at, at least 5
	Checks        []CheckRule `toml:"check" json:"checks"`                              // what staff check about a caller; Checklist where there is none
}

// Exemptions is what two of staff may exempt a member from in an emergency (break-glass, REQ B65).
type Exemptions struct {
	Hours int `toml:"hours" json:"hours"` // how long one lasts at most, 0: there are none
}

// Calls are how a call is confirmed that a person reads a code in (package activation). Both may only be made stricter.
type Calls struct {
	Minutes     int  `toml:"minutes" json:"minutes"`           // how long a code lives, at most CallMinutes
	SecondAgent bool `toml:"second_agent" json:"second_agent"` // two confirm
}

// CheckRule is one line of the checklist.
type CheckRule struct {
	ID       string    `toml:"id" json:"id"`
	Name     Localized `toml:"name" json:"name"`
	About    Localized `toml:"about" json:"about"`       // what to do, and what not to read out
	Optional bool      `toml:"optional" json:"optional"` // may be left out; every other one has to pass
}

// Localized is a text per language; For falls back to English, then to any.
type Localized map[string]string

// For picks the text of a language.
func (l Localized) For(lang string) string {
	for _, k := range []string{lang, "en", "de", "fr", "it"} {
		if s, ok := l[k]; ok {
			return s
		}
	}
	return ""
}

// Brand is what a realm may set of the design tokens: hue 0..360, chroma <= .16, panel <= .44, round 1..2.
type Brand struct {
	Hue     float64 `toml:"hue" json:"hue"`
	Chroma  float64 `toml:"chroma" json:"chroma"`
	Paper   float64 `toml:"paper" json:"paper"`
	Tint    float64 `toml:"tint" json:"tint"`
	Panel   float64 `toml:"panel" json:"panel"`
	Round   float64 `toml:"round" json:"round"`
	Heading string  `toml:"heading" json:"heading"` // "sans" or "serif"
	Motif   string  `toml:"motif" json:"motif"`     // which built-in drawing and mark: "north", "meridian"
}

// Desk is the operator's help desk.
type Desk struct {
	Phone string    `toml:"phone" json:"phone"` // E.164 or as written; shown as a tel: link
	Mail  string    `toml:"mail" json:"mail"`
	Hours Localized `toml:"hours" json:"hours"`
	Place string    `toml:"address" json:"address"` // postal address in the foot of mails
}

// SessionLimits are minutes. Staff and administrators have their own, never longer than members'.
type SessionLimits struct {
	Idle          int `toml:"idle_minutes" json:"idle_minutes"`
	Absolute      int `toml:"absolute_minutes" json:"absolute_minutes"`
	StaffIdle     int `toml:"staff_idle_minutes" json:"staff_idle_minutes"`
	StaffAbsolute int `toml:"staff_absolute_minutes" json:"staff_absolute_minutes"`
}

// Invitation is how long an invitation lives: 7 days by default, 14 at most.
type Invitation struct {
	Days int `toml:"days" json:"days"`
}

// PasswordRules may only make the built-in floor stricter: length 12, Argon2id m = 19456 KiB, t = 2, p = 1.
type PasswordRules struct {
	Length int `toml:"length" json:"length"`
	Memory int `toml:"memory_kib" json:"memory_kib"`
	Passes int `toml:"passes" json:"passes"`
	Lanes  int `toml:"lanes" json:"lanes"`
}

// App is an authenticator the realm offers (REQ B8, B91): steps are data, versioned and per language.
type App struct {
	ID          string              `toml:"id" json:"id"`
	Name        string              `toml:"name" json:"name"`
	Kind        string              `toml:"kind" json:"kind"` // "app" (on a phone) or "extension" (in a browser)
	Recommended bool                `toml:"recommended" json:"recommended"`
	Hidden      bool                `toml:"hidden" json:"hidden"`
	About       Localized           `toml:"about" json:"about"`
	Stores      map[string]string   `toml:"stores" json:"stores"` // platform -> https address: ios android chrome firefox edge
	Steps       map[string][]string `toml:"steps" json:"steps"`   // language -> the steps after installing, before scanning
	Version     string              `toml:"version" json:"version"`
}

// Terms of the realm, per language. A new Version is accepted anew by everybody.
type Terms struct {
	Version string    `toml:"version" json:"version"`
	InForce time.Time `toml:"in_force" json:"in_force"`
	Text    Localized `toml:"text" json:"text"` // paragraphs; a line starting with "# " is a heading
}

// Topic is something a person may want to be written to about.
type Topic struct {
	ID    string    `toml:"id" json:"id"`
	Name  Localized `toml:"name" json:"name"`
	About Localized `toml:"about" json:"about"`
}

// Ways in which a relying party proves itself at the token endpoint (OpenID Connect Core 9, RFC 8705 2).
const (
	AuthNone          = "none" // a public client: PKCE and, where required, a key of its own (DPoP)
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
	AuthTLS           = "tls_client_auth"
	AuthSelfSignedTLS = "self_signed_tls_client_auth"
)

// Grants a relying party may use. There is no implicit, hybrid or password grant (SEC O-1).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
	GrantDevice            = "urn:ietf:params:oauth:grant-type:device_code"
)

// What a guarded application may be told in plain headers, beside the signed assertion and Remote-User.
const (
	ForwardEmail        = "email"        // Remote-Email
	ForwardName         = "name"         // Remote-Name
	ForwardOrganization = "organization" // Remote-Organization
	ForwardGroups       = "groups"       // Remote-Groups
)

// FAPI2 is the profile of a relying party for which the strict choices of the FAPI 2.0 Security Profile are made.
const FAPI2 = "fapi2"

// RelyingParty is an application behind the door: a client of the OpenID provider, an application behind forward-auth, or
// only a link on the person's page. Strings are as written in the realm file; what may be in them is checked when the
// file is read.
type RelyingParty struct {
	ID   string `toml:"id" json:"id"` // the client_id
	Name string `toml:"name" json:"name"`
	Home string `toml:"home" json:"home"` // where "on to the application" leads

	RedirectURIs         []string `toml:"redirect_uris" json:"redirect_uris,omitempty"`                         // compared letter by letter (SEC O-2)
	PostLogoutURIs       []string `toml:"post_logout_redirect_uris" json:"post_logout_redirect_uris,omitempty"` // as redirect_uris
	BackchannelLogoutURI string   `toml:"backchannel_logout_uri" json:"backchannel_logout_uri,omitempty"`
	Auth                 string   `toml:"auth" json:"auth,omitempty"`                                             // one of Auth…; empty for an application that is no client
	SecretSHA256         string   `toml:"secret_sha256" json:"secret_sha256,omitempty"`                           // hex of SHA-256 of a random secret of 256 bits
	JWKS                 string   `toml:"jwks" json:"jwks,omitempty"`                                             // the client's public keys, a JWK set (RFC 7517 5)
	JWKSURI              string   `toml:"jwks_uri" json:"jwks_uri,omitempty"`                                     // https; where they can be fetched instead
	TLSClientAuthSubject string   `toml:"tls_client_auth_subject_dn" json:"tls_client_auth_subject_dn,omitempty"` // RFC 4514; with AuthTLS one of the five names
	TLSClientAuthDNS     string   `toml:"tls_client_auth_san_dns" json:"tls_client_auth_san_dns,omitempty"`
	TLSClientAuthURI     string   `toml:"tls_client_auth_san_uri" json:"tls_client_auth_san_uri,omitempty"`
	TLSClientAuthIP      string   `toml:"tls_client_auth_san_ip" json:"tls_client_auth_san_ip,omitempty"`
	TLSClientAuthEmail   string   `toml:"tls_client_auth_san_email" json:"tls_client_auth_san_email,omitempty"`
	TLSClientAuthCA      string   `toml:"tls_client_auth_ca" json:"tls_client_auth_ca,omitempty"`                     // PEM: whose certificates count, with AuthTLS
	TLSBoundTokens       bool     `toml:"tls_bound_tokens" json:"tls_bound_tokens,omitempty"`                         // RFC 8705 3: tokens are bound to the client's certificate
	Grants               []string `toml:"grants" json:"grants,omitempty"`                                             // of Grant…
	Scopes               []string `toml:"scopes" json:"scopes,omitempty"`                                             // what it may ask for
	IDTokenAlg           string   `toml:"id_token_alg" json:"id_token_alg,omitempty"`                                 // ES256 (default), EdDSA, PS256, RS256
	UserinfoAlg          string   `toml:"userinfo_signed_response_alg" json:"userinfo_signed_response_alg,omitempty"` // userinfo as a JWT; empty: JSON
	Profile              string   `toml:"profile" json:"profile,omitempty"`                                           // "" or FAPI2
	RequirePAR           bool     `toml:"require_par" json:"require_par,omitempty"`                                   // RFC 9126; FAPI2 implies it
	RequireDPoP          bool     `toml:"require_dpop" json:"require_dpop,omitempty"`                                 // RFC 9449: tokens are bound to a key of the client
	DPoPNonce            bool     `toml:"dpop_nonce" json:"dpop_nonce,omitempty"`                                     // its proofs hold a nonce of ours (RFC 9449 8)
	RequireSigned        bool     `toml:"require_signed_request" json:"require_signed_request,omitempty"`             // RFC 9101: requests are request objects
	Policy               string   `toml:"policy" json:"policy,omitempty"`                                             // text of the policy language, stricter than the realm's only
	ACR                  []string `toml:"acr" json:"acr,omitempty"`                                                   // default acr_values
	FirstParty           bool     `toml:"first_party" json:"first_party,omitempty"`                                   // the operator's own: nobody is asked for consent
	Pairwise             bool     `toml:"pairwise" json:"pairwise,omitempty"`                                         // another sub per sector (OpenID Connect Core 8.1)
	SectorIdentifier     string   `toml:"sector_identifier" json:"sector_identifier,omitempty"`                       // host name that several clients share
	Resources            []string `toml:"resources" json:"resources,omitempty"`                                       // audiences it may ask tokens for (RFC 8707)
	Hosts                []string `toml:"hosts" json:"hosts,omitempty"`                                               // hosts that forward-auth guards for it, with :PORT where it is not 443
	ForwardHeaders       []string `toml:"forward_headers" json:"forward_headers,omitempty"`                           // what it is told in plain headers, of Forward…

	PolicyLine int `toml:"-" json:"-"` // line of the file on which Policy begins, or the relying party; 0 when it came from the store
	KeysLine   int `toml:"-" json:"-"` // and JWKS
	CALine     int `toml:"-" json:"-"` // and TLSClientAuthCA
}

// Strict reports whether the FAPI 2.0 choices are made for the client.
func (r RelyingParty) Strict() bool { return r.Profile == FAPI2 }

// May reports whether the client may use a grant.
func (r RelyingParty) May(grant string) bool { return slices.Contains(r.Grants, grant) }
