package keyfile

import (
	"bytes"
	"strconv"
	"time"

	"doorward/internal/secret"
)

// State is where a parcel stands.
type State string

// The states. Ready: the file waits to be fetched. Attached: it left with the letter, and is not here any more. Signed: its
// owner's browser made a key and was given a certificate, and has not said yet that it arrived. Fetched: its owner has it, nobody
// else can. Ended: it was withdrawn, or nobody came in time.
const (
	Ready    State = "ready"
	Attached State = "attached"
	Signed   State = "signed"
	Fetched  State = "fetched"
	Ended    State = "ended"
)

// Parcel is a file with a key on its way to its owner, and the file's password on its way to their contact. The two never
// meet on one channel (REQ A12, A13), and each is there once: what was fetched or said is gone from the database in the
// statement that gives it out (REQ A16, SEC C-8).
type Parcel struct {
	ID          string
	Realm       string
	Certificate string // id of the certificate inside
	Person      string // who fetches the file
	Contact     string // the staff member who is shown the password, and nobody else; empty where the owner made it
	Sender      string // the staff member who issued it
	Target      Target
	Device      string // the device's name, as the person reads it
	Year        int    // when the certificate ends, for the file's name
	File        []byte // sealed; empty once it was fetched, or the parcel ended
	Password    []byte // sealed; empty once it was said, or the parcel ended
	Link        []byte // keyed hash of the link's secret, a new link replaces it; or FlowLink
	Sent        int    // how many links there were
	State       State
	Created     time.Time
	Until       time.Time // the link's end; the file goes with it. Of what was signed: until when it has to arrive
	Fetched     time.Time
	Said        time.Time // when the contact was shown the password
	Language    string    // of its letters; empty: the person's
	Letter      string    // id of the newest letter in which it left
	Proof       []byte    // keyed hash of the password: whoever knows it was told it
	Tries       int       // how often something else was typed as the password
	Version     int64
}

// Place binds what is sealed of a parcel, its "file" or its "password", to this row: put into another one it does not open.
func (p Parcel) Place(column string) secret.Place {
	return secret.Place{Table: "parcel", Column: column, Row: p.ID}
}

// Own reports whether its owner made it, by renewing a certificate: nobody else is shown anything of it, and no mail leads to it.
func (p Parcel) Own() bool { return p.Contact == "" }

// Taken reports whether somebody has fetched what there was to fetch.
func (p Parcel) Taken() bool { return p.State == Fetched || p.State == Signed }

// Open reports whether the file can be fetched at a moment.
func (p Parcel) Open(now time.Time) bool { return p.State == Ready && now.Before(p.Until) }

// Tries is how often one flow makes a file.
const Tries = 5

// FlowLink is the Link of the file that a flow makes for the nth time, counted from 0: no address leads to it, and of many
// that are made at once the database keeps one. hash is a keyed hash (secret.Ring.Hash).
func FlowLink(hash func(purpose, text string) []byte, flow string, n int) []byte {
	return hash("parcel-flow", flow+" "+strconv.Itoa(n))
}

// OfFlow reports whether a flow made it.
func (p Parcel) OfFlow(hash func(purpose, text string) []byte, flow string) bool {
	for n := range Tries {
		if bytes.Equal(p.Link, FlowLink(hash, flow, n)) {
			return true
		}
	}
	return false
}
