// Package token holds the nouns of OpenID Connect and OAuth 2: signing keys, authorization requests, authorizations and
// what is issued from them, and the pure rules of JOSE: which algorithms, which claims, what a proof must say.
package token

import (
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
)

// Request is an authorization request that was checked and kept (OpenID Connect Core 3.1.2, RFC 9126): it survives sign-in,
// set-up, a restart and a change of device (REQ B28).
type Request struct {
	ID      string
	Realm   string
	Client  string
	Handle  []byte            // look-up hash of the request_uri's secret; empty when it was not pushed
	Params  map[string]string // as checked, defaults filled in
	JKT     string            // thumbprint of the DPoP key it is bound to, empty for none (RFC 9449 10)
	Created time.Time
	Expires time.Time
	Used    time.Time // when the request_uri was presented; it works once
	Over    time.Time // when a code or an error was sent back
}

// Authorization is what a person allowed a client in one go: the root of its code, its tokens and its log-out. For
// client_credentials Person is empty.
type Authorization struct {
	ID        string
	Realm     string
	Client    string
	Person    string
	Session   string // the session it came from; it ends with it unless Offline
	Scopes    []string
	Resources []string // resource indicators (RFC 8707)
	Claims    string   // the claims parameter, JSON
	Nonce     string
	ACR       string
	AMR       []string
	AuthTime  time.Time
	Offline   bool   // scope offline_access: lives on after the session
	JKT       string // DPoP key (RFC 9449), empty for none
	X5T       string // certificate thumbprint (RFC 8705), empty for none
	Created   time.Time
	Seen      time.Time // when tokens were last given of it
	Until     time.Time // absolute end of what can be refreshed
	Ended     time.Time
	Why       string
	Shown     []string // ids of the credentials that were shown for it, so that it can outlive its session; nil: not known
}

// Standing is an authorization of a person with everything it stands on, as read in one go (SEC O-9).
type Standing struct {
	Authorization
	Person       directory.Person
	Organization directory.Organization
	Evidence     []authn.Evidence // that its session stands on
	SessionUntil time.Time
	SessionEnded time.Time
	Credentials  []authn.Credential // of the person, without what belongs to a method; ended ones are left out
}

// Stands looks at everything an authorization stands on: itself, its client, the person, their organization, the session
// unless it outlives that, and every credential that was shown (SEC O-9). Whether all of that still suffices is the
// policy's to say.
func (s Standing) Stands(rp directory.RelyingParty, now time.Time) bool {
	if s.Authorization.Person == "" || rp.ID != s.Client || !s.Ended.IsZero() || !now.Before(s.Until) ||
		s.Person.State != directory.Active || s.Organization.State != directory.Active {
		return false
	}
	// Idleness is left out: a session that applications refresh is in use, and its absolute end still holds.
	if s.hangs() && (s.SessionUntil.IsZero() || !s.Offline && (!s.SessionEnded.IsZero() || !now.Before(s.SessionUntil))) {
		return false
	}
	return !slices.ContainsFunc(s.shown(), func(id string) bool {
		return !slices.ContainsFunc(s.Credentials, func(c authn.Credential) bool {
			return c.ID == id && c.State == authn.Active && (c.Expires.IsZero() || now.Before(c.Expires))
		})
	})
}

// hangs reports whether what was shown is only known from the session.
func (s Standing) hangs() bool { return !s.Offline || s.Shown == nil }

func (s Standing) shown() []string {
	if s.hangs() {
		return Shown(s.Evidence)
	}
	return s.Shown
}

// Held are the credentials that the person has now, and of these what was shown for the authorization, as evidence of
// the moment it was given.
func (s Standing) Held(now time.Time) (held []authn.Credential, shown []authn.Evidence) {
	for _, c := range s.Credentials {
		if !c.Expires.IsZero() && !now.Before(c.Expires) {
			continue
		}
		if held = append(held, c); slices.Contains(s.shown(), c.ID) {
			shown = append(shown, authn.Evidence{Kind: c.Kind, Credential: c.ID, At: s.Created})
		}
	}
	return held, shown
}

// Shown are the ids of the credentials that were shown, without what is shown once only.
func Shown(evidence []authn.Evidence) []string {
	ids := []string{}
	for _, e := range evidence {
		if info, _ := authn.Info(e.Kind); info.Held {
			ids = append(ids, e.Credential)
		}
	}
	return ids
}

// Itself reports whether an access token is its client's own (client_credentials): it names no session, and as its subject
// the client, whose id no person ever has.
func (a AccessToken) Itself() bool {
	return a.Session == "" && a.AuthTime == 0 && a.Subject == a.Client
}

// Code is an authorization code: by its hash, for one client, one redirect and one PKCE challenge. Used ones stay, so
// that a second use is seen and ends the authorization (RFC 9700 4.5).
type Code struct {
	Hash          []byte
	Realm         string
	Client        string
	Authorization string
	Redirect      string
	Challenge     string // S256
	Created       time.Time
	Expires       time.Time // at most 60 s
	Used          time.Time
}

// Refresh is a refresh token by its hash. The answer to its first use is kept sealed for ten seconds, so that a client
// that lost the answer gets the same one again (RFC 9700 4.14; SEC O-6); later use ends the authorization.
type Refresh struct {
	Hash          []byte
	Realm         string
	Client        string
	Authorization string
	Created       time.Time
	Expires       time.Time
	Used          time.Time
	Answer        []byte // sealed by the store; wiped by the sweep
}

// Key is a signing key of a realm. It is published before it signs and kept until the last token it signed has ended.
type Key struct {
	ID      string // kid
	Realm   string
	Alg     string // ES256, EdDSA, PS256, RS256
	Private []byte // PKCS#8 DER, sealed by the store
	Created time.Time
	Signs   time.Time // from then on it signs
	Retires time.Time // from then on it does not sign any more; zero while it is the newest
	Ends    time.Time // from then on it is not published any more; zero while it may be needed
}

// Consent is what a person allowed a client that is not the operator's own.
type Consent struct {
	Realm  string
	Person string
	Client string
	Scopes []string
	At     time.Time
}

// DeviceState is how far a device grant has come (RFC 8628).
type DeviceState string

// States of a device grant.
const (
	DeviceWaiting DeviceState = "waiting"
	DeviceAllowed DeviceState = "allowed"
	DeviceDenied  DeviceState = "denied"
	DeviceUsed    DeviceState = "used"
)

// Device is a device that waits until its person allows it elsewhere.
type Device struct {
	ID            string
	Realm         string
	Client        string
	Hash          []byte // of the device code
	UserCode      []byte // look-up hash of the user code
	Scopes        []string
	State         DeviceState
	Authorization string
	Created       time.Time
	Expires       time.Time
	Polled        time.Time
	Interval      time.Duration
	Version       int64
}

// Logout is one back-channel log-out to be delivered to a client (OpenID Connect Back-Channel Logout 1.0).
type Logout struct {
	ID       string
	Realm    string
	Client   string
	Person   string
	Session  string
	Attempts int
	Error    string
	Created  time.Time
	Due      time.Time
	Done     time.Time
}
