package audit

import (
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Query selects events, newest first, keyset-paged by id. Empty fields select everything.
type Query struct {
	Realm        string // empty for all realms: verification only, never a page
	Person       string
	Organization string
	Types        []string
	IDs          []string // these events only, at most 1000; missing ones are left out
	BeforeID     string   // older than this one
	Limit        int
}

// Trail is what Raised reads.
type Trail interface {
	Events(Query) ([]Event, error)
}

// Raised reports whether one of two people of a realm has invited the other, or given them a role, after a time. What takes two
// people is nothing where one has made the other.
func Raised(t Trail, realm, one, other string, after time.Time) (bool, error) {
	for whom, by := range map[string]string{one: other, other: one} {
		events, err := t.Events(Query{Realm: realm, Person: whom, Types: []string{"person.added", "person.role"}, Limit: 100})
		if err != nil || slices.ContainsFunc(events, func(e Event) bool { return e.Actor == by && e.At.After(after) }) {
			return true, err
		}
	}
	return false, nil
}

// Leaf says at which place of the tree an event stands. Hash is LeafHash of the event as it was when it was placed.
type Leaf struct {
	Index int64
	Event string // id
	Hash  tlog.Hash
}

// Checkpoint is the signed head of the tree at a size. Note is the signed text itself; the other fields repeat it.
type Checkpoint struct {
	Size int64
	Root tlog.Hash
	Note string
	At   time.Time
}
