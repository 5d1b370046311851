// Package pki is what a certificate authority of devices knows: which certificates there are, what is in them and who may
// have them (RFC 5280), whether one that was shown is ours, and what is published about those that no longer hold.
//
// Rules:
//   - A certificate says which device of which person it is, in a name that only this program reads (DeviceURI). It carries
//     no right: what its owner may do stands in the database, and so does whether it lives.
//   - It is found by its issuer's key and its serial number, and must then be, byte for byte, the one that was stored. No
//     subject and no address leads to anybody: another authority can write the same ones (SEC C-3).
//   - Nothing here reads a clock, a database or a key ring. Private keys are seen as crypto.Signer alone.
package pki

import "time"

// State is where a certificate stands. What has run out is not a state of its own: time alone says so, see Standing.
type State string

// The states. Reserved: its row is durable and nothing was stored that is signed; either it is being issued this moment, or
// that was cut short, and then the row is an orphan that can only be revoked. Pending: signed and stored for one flow, which has to
// see it shown; it is accepted nowhere else, and nobody holds it yet. Issued: signed and stored, never shown.
// Active: it was shown by its device. Suspended: not accepted until somebody looks. Revoked: for good.
const (
	Reserved  State = "reserved"
	Pending   State = "pending"
	Issued    State = "issued"
	Active    State = "active"
	Suspended State = "suspended"
	Revoked   State = "revoked"
	Expired   State = "expired" // of Standing only, never stored
)

// Reasons of a revocation, as CRLs and OCSP answers say them (RFC 5280 5.3.1).
const (
	Unspecified   = "unspecified"
	KeyCompromise = "key-compromise" // the device is lost, or somebody else may have the key
	CACompromise  = "ca-compromise"
	Affiliation   = "affiliation-changed" // its owner has left
	Superseded    = "superseded"          // another one took its place
	Cessation     = "cessation"           // the device is no longer used
	Hold          = "hold"                // suspended
)

// Reasons are those that may be given for a revocation.
var Reasons = []string{Unspecified, KeyCompromise, CACompromise, Affiliation, Superseded, Cessation}

// reasonCodes are the numbers of RFC 5280 5.3.1.
var reasonCodes = map[string]int{Unspecified: 0, KeyCompromise: 1, CACompromise: 2, Affiliation: 3, Superseded: 4, Cessation: 5, Hold: 6}

// ReasonCode is the number of a reason; one that is not known says nothing (0).
func ReasonCode(reason string) int { return reasonCodes[reason] }

// Certificate is one device's certificate and what became of it. The row stands before the certificate does, so that
// there is never one nobody knows of (SEC C-2).
type Certificate struct {
	ID        string
	Realm     string
	Person    string // whose it is
	Device    string // which of their devices: the same for a certificate and the one that renews it
	Name      string // the device's name, as its owner reads it
	Authority string // id of the Authority that signed it
	Issuer    string // hex SHA-256 of that authority's SubjectPublicKeyInfo
	Serial    string // 32 hex digits
	Part      int    // which part of the authority's CRL speaks of it
	Key       string // hex SHA-256 of its own SubjectPublicKeyInfo: no key is certified twice
	TBS       string // hex SHA-256 of what was to be signed
	SHA256    string // hex SHA-256 of the whole; empty while reserved
	DER       []byte // empty while reserved
	NotBefore time.Time
	NotAfter  time.Time
	State     State
	Reason    string // of a suspension or revocation
	Requester string // person who asked for it: themselves, or staff
	Approver  string // staff member who issued it, empty where the person renewed it themselves
	Replaces  string // id of the certificate it renews; one that was not revoked has one successor at most
	Created   time.Time
	Ended     time.Time // when it was suspended or revoked
	Ends      time.Time // accepted until then, where that is before NotAfter: its successor was used
	FirstUsed time.Time
	LastUsed  time.Time
	Version   int64
}

// Standing is the state at a moment, Expired included: what has run out is Expired unless it was revoked before.
func (c Certificate) Standing(now time.Time) State {
	if c.State != Revoked && c.State != Reserved && (!now.Before(c.NotAfter) || !c.Ends.IsZero() && !now.Before(c.Ends)) {
		return Expired
	}
	return c.State
}

// Live reports whether the certificate is accepted at a moment.
func (c Certificate) Live(now time.Time) bool {
	s := c.Standing(now)
	return (s == Issued || s == Active) && !now.Before(c.NotBefore)
}

// Last is the certificate that its owner used last, or else was given last, whatever became of it: of all of a person, those in the
// making, or that were withdrawn before they were shown, left out. ok is false where there is none.
func Last(all []Certificate) (last Certificate, ok bool) {
	at := func(c Certificate) time.Time {
		if c.LastUsed.After(c.Created) {
			return c.LastUsed
		}
		return c.Created
	}
	for _, c := range all {
		given := c.State != Reserved && c.State != Pending && (c.State != Revoked || !c.FirstUsed.IsZero())
		if given && (!ok || at(c).After(at(last))) {
			last, ok = c, true
		}
	}
	return last, ok
}

// Class says what an authority's own certificate is for.
type Class string

// The classes. Root: the trust anchor; its key is never here. Issuing: signs certificates of devices, CRLs and responders.
// Responder: signs OCSP answers for one issuing authority (RFC 6960 4.2.2.2).
const (
	Root      Class = "root"
	Issuing   Class = "issuing"
	Responder Class = "responder"
)

// Standing of an authority.
const (
	Waiting   State = "waiting"   // its key is there, its certificate is not yet
	Published State = "published" // known to everybody, signs nothing yet: what comes after the one that signs
	Signs     State = "signs"     // of a realm's issuing authorities one
	Retired   State = "retired"   // signs no certificates any more; what it signed holds, and it speaks about that
)

// Authority is a certificate authority of a realm, or a responder that speaks for one. A revoked one is trusted for nothing,
// and so is everything it signed.
type Authority struct {
	ID        string
	Realm     string
	Class     Class
	Parent    string // id of the authority that signed its certificate; empty for a root, and where that one is not known here
	Name      string // common name
	SPKI      string // hex SHA-256 of its SubjectPublicKeyInfo
	SHA256    string // hex SHA-256 of its certificate; empty while waiting
	DER       []byte // its certificate; empty while waiting
	Private   []byte // PKCS #8; empty where the key is elsewhere
	KeyAt     string // where the key is, when not here: "pkcs11:…" (RFC 7512), or "offline"
	Parts     int    // among how many parts of its CRL new certificates are spread
	NotBefore time.Time
	NotAfter  time.Time
	State     State
	Reason    string
	Created   time.Time
	Ended     time.Time // when it was revoked
	Version   int64
}

// Trusted reports whether what the authority signed is accepted at a moment.
func (a Authority) Trusted(now time.Time) bool {
	return (a.State == Published || a.State == Signs || a.State == Retired) && !now.Before(a.NotBefore) && now.Before(a.NotAfter)
}

// CRL is the newest certificate revocation list of a part of an authority. Numbers rise by one.
type CRL struct {
	Realm      string
	Authority  string
	Part       int
	Number     int64
	DER        []byte
	ThisUpdate time.Time
	NextUpdate time.Time
}
