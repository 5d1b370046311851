package audit

import (
	"encoding/binary"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// leafVersion opens the encoding of an event. A change of the encoding is a new version; leaves of older ones keep theirs.
const leafVersion = "doorward event 1\n"

// Encode is the canonical form of an event, which the tree is made over. The same event gives the same bytes on every
// node, database and release:
//
//	"doorward event 1\n"
//	ID, Realm, At, Type, Actor, Person, Organization, Session, Flow, Network, Browser, Reason
//	the number of Data's entries (4 bytes), then name and value of each, sorted by name
//
// A text is its length in bytes (4 bytes, big-endian) and its bytes. At is its Unix time in milliseconds (8 bytes,
// big-endian), which is what the store keeps. Lengths make the form unambiguous: nothing can be moved from one field
// into the next.
func Encode(e Event) []byte {
	b := append(make([]byte, 0, 512), leafVersion...)
	b = text(b, e.ID)
	b = text(b, e.Realm)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMilli()))
	for _, s := range []string{e.Type, e.Actor, e.Person, e.Organization, e.Session, e.Flow, e.Network, e.Browser, e.Reason} {
		b = text(b, s)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		b = text(text(b, k), e.Data[k])
	}
	return b
}

func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// LeafHash is the hash of an event as a leaf (RFC 6962, 2.1): SHA-256 of a zero byte and Encode.
func LeafHash(e Event) tlog.Hash { return tlog.RecordHash(Encode(e)) }
