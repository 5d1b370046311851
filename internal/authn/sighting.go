package authn

import "time"

// Sighting is one way of a flow to the host where browsers show certificates, and back. Two tickets lead along it, one
// there and one back; each is stored as its keyed hash and works once.
type Sighting struct {
	ID      string
	Realm   string
	Flow    string // the one flow that can take what was seen
	Try     int    // at which of the hosts, counted from 0
	There   []byte // hash of the ticket to the host
	Back    []byte // hash of the ticket back; empty until a browser has come by
	Leaf    []byte // the certificate that the browser showed, as DER; empty: it showed none
	Network string // where that browser was
	Created time.Time
	Seen    time.Time // zero: no browser has come by
	Expires time.Time // of the ticket that is out
}
