package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"doorward/internal/fault"
)

// trail is a store in memory whose tables a test can lay hands on, as somebody with the database's password could.
type trail struct {
	mu     sync.Mutex
	events []Event // by id
	leaves []Leaf  // by index
	tree   map[int64]tlog.Hash
	heads  []Checkpoint // oldest first
	writes int
	marked map[string]bool // events that say that they have a leaf although they have none
}

func (s *trail) Read(_ context.Context, f func(Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f(s)
}

func (s *trail) Write(_ context.Context, f func(Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return f(s)
}

func (s *trail) Events(q Query) (out []Event, err error) {
	if q.IDs == nil {
		all := slices.SortedFunc(slices.Values(s.events), func(a, b Event) int { return strings.Compare(b.ID, a.ID) })
		for _, e := range all {
			if (q.BeforeID == "" || e.ID < q.BeforeID) && len(out) < q.Limit {
				out = append(out, e)
			}
		}
		return out, nil
	}
	for _, e := range s.events {
		if slices.Contains(q.IDs, e.ID) && len(out) < q.Limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (s *trail) EventsWithoutLeaf(limit int) (out []Event, err error) {
	placed := map[string]bool{}
	for _, l := range s.leaves {
		placed[l.Event] = true
	}
	for _, e := range s.events {
		if !placed[e.ID] && !s.marked[e.ID] && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (s *trail) AppendLeaves(from int64, leaves []Leaf, hashes []tlog.Hash) error {
	if n, err := s.TreeSize(); err != nil || n != from {
		return fault.New(fault.Exists, "exists")
	}
	s.leaves = append(s.leaves, leaves...)
	for i, h := range hashes {
		s.tree[tlog.StoredHashCount(from)+int64(i)] = h
	}
	return nil
}

func (s *trail) TreeSize() (int64, error) {
	if len(s.leaves) == 0 {
		return 0, nil
	}
	return s.leaves[len(s.leaves)-1].Index + 1, nil
}

func (s *trail) TreeHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, x := range indexes {
		h, ok := s.tree[x]
		if !ok {
			return nil, fault.New(fault.NotFound, "not-found")
		}
		out = append(out, h)
	}
	return out, nil
}

func (s *trail) Leaves(from int64, limit int) (out []Leaf, err error) {
	for _, l := range s.leaves {
		if l.Index >= from && len(out) < limit {
			out = append(out, l)
		}
	}
	return out, nil
}

func (s *trail) AddCheckpoint(c Checkpoint) error { s.heads = append(s.heads, c); return nil }

func (s *trail) Checkpoints(limit int) (out []Checkpoint, err error) {
	for _, c := range slices.Backward(s.heads) {
		if len(out) < limit {
			out = append(out, c)
		}
	}
	return out, nil
}

// memory is an anchor in memory, and one that can be made to fail.
type memory struct {
	notes []string
	fail  error
}

func (m *memory) Put(_ context.Context, s string) error {
	if m.fail == nil {
		m.notes = append(m.notes, s)
	}
	return m.fail
}

func (m *memory) Last(context.Context) (string, error) {
	if len(m.notes) == 0 {
		return "", nil
	}
	return m.notes[len(m.notes)-1], nil
}

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func event(i int) Event {
	return Event{
		ID: fmt.Sprintf("018f0000-0000-7000-8000-%012d", i), Realm: "shop", At: start.Add(time.Duration(i) * time.Second), Type: "signin.succeeded",
		Actor: "p1", Person: "p1", Organization: "o1", Network: "192.0.2.1", Browser: "Firefox on Windows", Data: map[string]string{"kind": "totp"},
	}
}

func key(t testing.TB, b byte) (note.Signer, note.Verifier) {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	k := ed25519.NewKeyFromSeed(seed)
	s, err := NewSigner(k)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := VerifierKey(k.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

// grown is a trail of n events with a checkpoint every ten, anchored.
func grown(t testing.TB, n int) (*trail, *Sequencer, *memory, note.Verifier) {
	t.Helper()
	s, v := key(t, 1)
	tr, anchor := &trail{tree: map[int64]tlog.Hash{}}, &memory{}
	seq := &Sequencer{Store: tr, Signer: s, Anchors: []Anchor{anchor}}
	for i := range n {
		tr.events = append(tr.events, event(i))
		if i%10 == 9 || i == n-1 {
			if err := seq.Checkpoint(t.Context(), event(i).At); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tr, seq, anchor, v
}

func verify(t testing.TB, tr *trail, v note.Verifier, anchored []string) Report {
	t.Helper()
	r, err := Verify(t.Context(), tr, v, anchored)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// replant computes the whole tree anew over the leaves as they are, as a careful attacker would.
func (s *trail) replant(t testing.TB) {
	t.Helper()
	events := map[string]Event{}
	for _, e := range s.events {
		events[e.ID] = e
	}
	old := s.leaves
	s.leaves, s.tree = nil, map[int64]tlog.Hash{}
	for i, l := range old {
		leaves, hashes, err := grow(s, int64(i), []Event{events[l.Event]})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AppendLeaves(int64(i), leaves, hashes); err != nil {
			t.Fatal(err)
		}
	}
}
