package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"doorward/internal/fault"
)

// Proof shows that one event stands in the trail, to somebody who sees nothing else of it (RFC 6962, 2.1.1).
type Proof struct {
	Index      int64            `json:"index"`
	Event      Event            `json:"event"`
	Path       tlog.RecordProof `json:"path"`
	Checkpoint string           `json:"checkpoint"` // the signed note
}

// Prove exports the inclusion proof of a leaf under the newest checkpoint. fault.NotFound "not-found" when there is no
// such leaf; fault.Unavailable "audit-not-signed" when no checkpoint holds it yet.
func Prove(tx Tx, index int64) (Proof, error) {
	leaves, err := tx.Leaves(index, 1)
	if err != nil {
		return Proof{}, err
	}
	if len(leaves) == 0 || leaves[0].Index != index {
		return Proof{}, fault.New(fault.NotFound, "not-found")
	}
	events, err := tx.Events(Query{IDs: []string{leaves[0].Event}, Limit: 1})
	if err != nil {
		return Proof{}, err
	}
	if len(events) == 0 {
		return Proof{}, fault.New(fault.NotFound, "not-found")
	}
	newest, err := tx.Checkpoints(1)
	if err != nil {
		return Proof{}, err
	}
	if len(newest) == 0 || newest[0].Size <= index {
		return Proof{}, fault.New(fault.Unavailable, "audit-not-signed").After(DefaultEvery)
	}
	path, err := tlog.ProveRecord(newest[0].Size, index, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) { return readHashes(tx, indexes) }))
	if err != nil {
		return Proof{}, fmt.Errorf("prove leaf %d: %w", index, err)
	}
	return Proof{Index: index, Event: events[0], Path: path, Checkpoint: newest[0].Note}, nil
}

// Check reports nil when the proof's event stands in the trail whose checkpoint v's key signed.
func (p Proof) Check(v note.Verifier) error {
	c, err := ReadCheckpoint(p.Checkpoint, v)
	if err != nil {
		return err
	}
	if p.Index < 0 || p.Index >= c.Size {
		return fmt.Errorf("leaf %d is not under a checkpoint of %d leaves", p.Index, c.Size)
	}
	if err := tlog.CheckRecord(p.Path, c.Size, c.Root, p.Index, LeafHash(p.Event)); err != nil {
		return fmt.Errorf("leaf %d: %w", p.Index, err)
	}
	return nil
}
