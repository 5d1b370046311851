package audit

import (
	"fmt"
	"time"
)

// FindingKind says what was done to the trail.
type FindingKind string

// Kinds of findings.
const (
	Edited     FindingKind = "edited"     // the row says something else than when it was placed
	Deleted    FindingKind = "deleted"    // the row, or its leaf, is gone
	Inserted   FindingKind = "inserted"   // the row was put between others later
	Reordered  FindingKind = "reordered"  // the row stands at another place than it was given
	Truncated  FindingKind = "truncated"  // the end of the trail is gone: from Index to Until - 1
	Rewritten  FindingKind = "rewritten"  // rows and tree were changed together, somewhere from Index to Until - 1
	Backdated  FindingKind = "backdated"  // the row claims to be older than a checkpoint that does not hold it
	TreeEdited FindingKind = "tree"       // a hash of the stored tree was changed; the rows may be whole
	Unsigned   FindingKind = "unsigned"   // a checkpoint is not signed by the key, or does not say what its row says
	Disagree   FindingKind = "checkpoint" // two signed checkpoints cannot both be of one trail
)

// Finding names one row and what is wrong with it. Event is its id, empty where nobody can know it any more.
type Finding struct {
	Kind   FindingKind
	Index  int64 // of the leaf; -1 when there is none
	Until  int64 // for ranges: the leaf after the last
	Event  string
	Detail string
}

// String is one line for the command line.
func (f Finding) String() string {
	s := string(f.Kind)
	switch {
	case f.Until > f.Index+1:
		s += fmt.Sprintf(" leaves %d to %d", f.Index, f.Until-1)
	case f.Index >= 0:
		s += fmt.Sprintf(" leaf %d", f.Index)
	}
	if f.Event != "" {
		s += " event " + f.Event
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// Report is what a verification saw. Findings is empty for an honest trail; More counts those beyond the first thousand.
type Report struct {
	Size        int64 // leaves
	Pending     int   // events not yet placed, at most 1,000 are counted
	Checkpoints int   // read from the database
	Anchored    int   // given from outside; with none, a trail cut off at its end cannot be told
	Proven      int64 // leaves covered by a checkpoint whose root was recomputed
	ProvenAt    time.Time
	Findings    []Finding
	More        int
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

const maxFindings = 1000

// add returns the finding's place in the list, -1 when the list is full.
func (r *Report) add(f Finding) int {
	if len(r.Findings) == maxFindings {
		r.More++
		return -1
	}
	r.Findings = append(r.Findings, f)
	return len(r.Findings) - 1
}
