// Package session turns evidence into sessions: what was proven (amr, acr), how long it holds, and why it ended.
package session

import (
	"slices"
	"time"

	"doorward/internal/authn"
)

// Skew is how far the clocks of nodes may differ. What seems to come from further ahead was made by a clock that had
// jumped: it counts for nothing, or the jump would lengthen its life (SEC T-CLK2).
const Skew = time.Minute

// Session is one browser of one person in one realm. The browser holds an opaque secret; only its hash is stored.
type Session struct {
	ID       string
	Realm    string
	Person   string
	Hash     []byte // SHA-256 of the cookie's secret
	Evidence []authn.Evidence
	Created  time.Time
	Seen     time.Time // written at most once a minute
	Until    time.Time // absolute end
	Idle     time.Duration
	Network  string // address the sign-in came from
	Browser  string // "Firefox on Windows"
	Device   string // id of the known device, see Device
	Ended    time.Time
	Why      string // message key of the reason it ended
	Epoch    int64  // the person's session epoch when it was made; a higher one ends it
}

// Proved reports whether a credential took part in the sign-in, or in a step-up since.
func (s Session) Proved(credential string) bool {
	return slices.ContainsFunc(s.Evidence, func(e authn.Evidence) bool { return e.Credential == credential })
}

// Device marks a browser in which a person has signed in before: strangers' failures must not lock it out. It is no
// factor and proves nothing.
type Device struct {
	ID      string
	Realm   string
	Person  string
	Hash    []byte
	Created time.Time
	Seen    time.Time
}
