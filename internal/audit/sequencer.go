package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Tx is what the tree needs of one transaction.
type Tx interface {
	Events(Query) ([]Event, error)
	// EventsWithoutLeaf are events that no leaf names, whatever their id: a transaction that commits late brings an id
	// older than those already placed.
	EventsWithoutLeaf(limit int) ([]Event, error)
	// AppendLeaves places leaves at from and onwards, and their tree hashes at tlog.StoredHashCount(from) and onwards.
	// It fails when a place is taken: two sequencers at once end in one error, never in two trees.
	AppendLeaves(from int64, leaves []Leaf, hashes []tlog.Hash) error
	TreeSize() (int64, error) // the index after the last leaf
	TreeHashes(indexes []int64) ([]tlog.Hash, error)
	Leaves(from int64, limit int) ([]Leaf, error)
	AddCheckpoint(Checkpoint) error
	Checkpoints(limit int) ([]Checkpoint, error) // newest first
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// ErrForked says that the tree does not extend its last signed checkpoint. Nothing is signed then: a signature over a
// rewritten trail would make it look honest. `doorward audit verify` names what was changed.
var ErrForked = errors.New("the audit tree does not extend its last checkpoint")

const batch = 500 // leaves in one transaction, so that the sign-in path never waits long for the writer

// DefaultEvery is how often a growing tree is signed and anchored.
const DefaultEvery = time.Minute

// Sequencer places events in the tree and signs its heads. One runs at a time (a leased job); a second does no harm.
type Sequencer struct {
	Store   Store
	Signer  note.Signer
	Anchors []Anchor
	Every   time.Duration // between checkpoints; DefaultEvery when zero
}

// Run places every event without a leaf, signs a checkpoint when one is due, and anchors the newest. A failing anchor is
// an error after everything else is done, and is tried again at the next run.
func (s *Sequencer) Run(ctx context.Context, now time.Time) error { return s.run(ctx, now, false) }

// Checkpoint is Run with a checkpoint now, due or not: before a backup, and when a node stops.
func (s *Sequencer) Checkpoint(ctx context.Context, now time.Time) error {
	return s.run(ctx, now, true)
}

func (s *Sequencer) run(ctx context.Context, now time.Time, force bool) error {
	for {
		n, err := s.place(ctx)
		if err != nil {
			return err
		}
		if n < batch {
			break
		}
	}
	newest, err := s.checkpoint(ctx, now, force)
	if err != nil || newest.Size == 0 {
		return err
	}
	var failed []error
	for _, a := range s.Anchors {
		failed = append(failed, anchor(ctx, a, newest))
	}
	return errors.Join(failed...)
}

// anchor keeps the newest checkpoint outside. An anchor that knows more leaves than the database is the sign of a trail
// that was cut off (or of an old backup put back): adding to it would bury that.
func anchor(ctx context.Context, a Anchor, newest Checkpoint) error {
	last, err := a.Last(ctx)
	if err != nil || last == newest.Note {
		return err
	}
	text, _, _ := strings.Cut(last, "\n\n")
	if c, err := readText(text + "\n"); err == nil && c.Size > newest.Size {
		return fmt.Errorf("%w: the anchor knows %d leaves, the database %d", ErrForked, c.Size, newest.Size)
	}
	return a.Put(ctx, newest.Note)
}

// Idle reports whether Run would find nothing to do: every event has its leaf, no checkpoint is due, and the anchors
// have the newest. It only reads.
func (s *Sequencer) Idle(ctx context.Context, now time.Time) (idle bool, err error) {
	var newest Checkpoint
	if err := s.Store.Read(ctx, func(tx Tx) error {
		waiting, err := tx.EventsWithoutLeaf(1)
		if err != nil {
			return err
		}
		var due bool
		newest, _, due, err = s.due(tx, now, false)
		idle = len(waiting) == 0 && !due
		return err
	}); err != nil || !idle || newest.Size == 0 {
		return idle, err
	}
	for _, a := range s.Anchors {
		if last, err := a.Last(ctx); err != nil || last != newest.Note {
			return false, err
		}
	}
	return true, nil
}

// place appends one batch. An idle node only reads.
func (s *Sequencer) place(ctx context.Context) (n int, err error) {
	idle := false
	if err := s.Store.Read(ctx, func(tx Tx) error {
		waiting, err := tx.EventsWithoutLeaf(1)
		idle = len(waiting) == 0
		return err
	}); err != nil || idle {
		return 0, err
	}
	err = s.Store.Write(ctx, func(tx Tx) error {
		events, err := tx.EventsWithoutLeaf(batch)
		if n = len(events); err != nil || n == 0 {
			return err
		}
		from, err := tx.TreeSize()
		if err != nil {
			return err
		}
		leaves, hashes, err := grow(tx, from, events)
		if err != nil {
			return err
		}
		return tx.AppendLeaves(from, leaves, hashes)
	})
	return n, err
}

// grow computes leaves and tree hashes of events placed at from and onwards.
func grow(tx Tx, from int64, events []Event) ([]Leaf, []tlog.Hash, error) {
	start := tlog.StoredHashCount(from)
	var fresh []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		var stored []int64
		var at []int
		for i, x := range indexes {
			if x >= start {
				out[i] = fresh[x-start]
			} else {
				stored, at = append(stored, x), append(at, i)
			}
		}
		if len(stored) == 0 {
			return out, nil
		}
		hashes, err := readHashes(tx, stored)
		if err != nil {
			return nil, err
		}
		for i, h := range hashes {
			out[at[i]] = h
		}
		return out, nil
	})
	leaves := make([]Leaf, len(events))
	for i, e := range events {
		leaves[i] = Leaf{Index: from + int64(i), Event: e.ID, Hash: LeafHash(e)}
		hashes, err := tlog.StoredHashesForRecordHash(leaves[i].Index, leaves[i].Hash, reader)
		if err != nil {
			return nil, nil, fmt.Errorf("grow the audit tree: %w", err)
		}
		fresh = append(fresh, hashes...)
	}
	return leaves, fresh, nil
}

func readHashes(tx Tx, indexes []int64) ([]tlog.Hash, error) {
	hashes, err := tx.TreeHashes(indexes)
	if err == nil && len(hashes) != len(indexes) {
		err = fmt.Errorf("the audit tree gave %d hashes for %d", len(hashes), len(indexes))
	}
	return hashes, err
}

// checkpoint returns the newest checkpoint, made now when one is due.
func (s *Sequencer) checkpoint(ctx context.Context, now time.Time, force bool) (newest Checkpoint, err error) {
	due := false
	if err := s.Store.Read(ctx, func(tx Tx) (err error) {
		newest, _, due, err = s.due(tx, now, force)
		return err
	}); err != nil || !due {
		return newest, err
	}
	err = s.Store.Write(ctx, func(tx Tx) (err error) {
		var size int64
		newest, size, due, err = s.due(tx, now, force)
		if err != nil || !due {
			return err
		}
		reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) { return readHashes(tx, indexes) })
		root, err := tlog.TreeHash(size, reader)
		if err != nil {
			return fmt.Errorf("audit checkpoint: %w", err)
		}
		if err := extends(reader, newest, size, root); err != nil {
			return err
		}
		c, err := sign(s.Signer, size, root, now)
		if err != nil {
			return err
		}
		newest = c
		return tx.AddCheckpoint(c)
	})
	return newest, err
}

// due looks whether a checkpoint is to be signed now.
func (s *Sequencer) due(tx Tx, now time.Time, force bool) (newest Checkpoint, size int64, due bool, err error) {
	last, err := tx.Checkpoints(1)
	if err != nil {
		return newest, 0, false, err
	}
	if len(last) > 0 {
		newest = last[0]
	}
	if size, err = tx.TreeSize(); err != nil {
		return newest, 0, false, err
	}
	every := s.Every
	if every == 0 {
		every = DefaultEvery
	}
	age := now.Sub(newest.At) // negative when the clock was set back
	return newest, size, size != newest.Size && (force || newest.Size == 0 || age >= every || age < 0), nil
}

func extends(r tlog.HashReader, old Checkpoint, size int64, root tlog.Hash) error {
	if old.Size == 0 {
		return nil
	}
	if old.Size > size {
		return fmt.Errorf("%w: it had %d leaves and has %d", ErrForked, old.Size, size)
	}
	proof, err := tlog.ProveTree(size, old.Size, r)
	if err != nil {
		return fmt.Errorf("audit checkpoint: %w", err)
	}
	if tlog.CheckTree(proof, size, root, old.Size, old.Root) != nil {
		return fmt.Errorf("%w of %d leaves", ErrForked, old.Size)
	}
	return nil
}
