package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"doorward/internal/fault"
)

// Rules of verification:
//   - Nothing stored is believed. Every event is encoded and hashed anew, every node of the tree is computed anew, every
//     checkpoint's signature is checked.
//   - Signed roots decide which side is right. Where the stored tree agrees with them, each row is compared with its
//     leaf in that tree, and the rows that differ are named. Where rows and tree were rewritten together, the range
//     between the last root that holds and the first that does not is named.
//   - Only an anchor sees a trail whose end was cut off together with its checkpoints.

const (
	headsRead   = 1000 // stores give no more at once; anchors have all
	pendingRead = 1000
	pageSize    = 500
	window      = 64 // rows looked ahead to find where an insertion or deletion ends

	// lateness is how much older than a checkpoint before it an event may claim to be: two nodes' clocks differ, a
	// transaction takes its time.
	lateness = 10 * time.Minute
)

// Verify recomputes the whole trail within one transaction and names every row that was edited, deleted, inserted,
// reordered or cut off. anchored are checkpoints from outside (ReadAnchor). The error is only for what could not be read.
func Verify(ctx context.Context, tx Tx, v note.Verifier, anchored []string) (Report, error) {
	w := &walk{ctx: ctx, tx: tx, lost: map[tlog.Hash]int{}, surplus: map[tlog.Hash]int{}, moved: map[int64]tlog.Hash{}, seeds: newSeeds()}
	w.rows.fill, w.stored.fill = w.fillRows, w.fillStored
	if err := w.readHeads(v, anchored); err != nil {
		return Report{}, err
	}
	w.fromDB.want, w.anew.want = map[int64]tlog.Hash{}, map[int64]tlog.Hash{}
	for _, h := range w.heads {
		w.fromDB.want[h.Size], w.anew.want[h.Size] = tlog.Hash{}, tlog.Hash{}
	}
	var err error
	if w.size, err = tx.TreeSize(); err != nil {
		return Report{}, err
	}
	if err := w.align(); err != nil {
		return Report{}, err
	}
	if err := w.pending(); err != nil {
		return Report{}, err
	}
	if err := w.unplaced(); err != nil {
		return Report{}, err
	}
	w.settle()
	w.compareRoots()
	slices.SortStableFunc(w.report.Findings, func(a, b Finding) int { return cmp.Compare(a.Index, b.Index) })
	return w.report, nil
}

type head struct {
	Checkpoint
	anchor bool
}

func bySize(a, b head) int { return cmp.Compare(a.Size, b.Size) }

type row struct {
	leaf   Leaf
	now    tlog.Hash // of the event as it is
	absent bool      // the event's row is gone
}

type walk struct {
	ctx    context.Context
	tx     Tx
	report Report
	heads  []head // by size
	size   int64

	rows   ahead[row]
	stored ahead[tlog.Hash]
	nextAt int64       // leaf at which the next page of the stored tree begins
	rowAt  int64       // index at which the next page of leaves begins
	nodes  []tlog.Hash // right edge of the tree as stored
	fromDB frontier
	anew   frontier

	seeds seeds
	full  bool  // more events wait than were read
	known tally // of events that a leaf names or that wait for one

	lost    map[tlog.Hash]int   // hashes that a row should have -> finding
	surplus map[tlog.Hash]int   // hashes of rows that stand where they should not -> finding
	moved   map[int64]tlog.Hash // places explained by a swap -> the row that stands there now
}

func (w *walk) readHeads(v note.Verifier, anchored []string) error {
	stored, err := w.tx.Checkpoints(headsRead)
	if err != nil {
		return err
	}
	w.report.Checkpoints, w.report.Anchored = len(stored), len(anchored)
	for _, c := range stored {
		got, err := ReadCheckpoint(c.Note, v)
		switch {
		case err != nil:
			w.report.add(Finding{Kind: Unsigned, Index: -1, Detail: fmt.Sprintf("checkpoint of %d leaves: %v", c.Size, err)})
			continue
		case got.Size != c.Size || got.Root != c.Root || !got.At.Equal(c.At):
			w.report.add(Finding{Kind: Unsigned, Index: -1, Detail: fmt.Sprintf("the row of the checkpoint of %d leaves says something else", got.Size)})
		}
		w.heads = append(w.heads, head{Checkpoint: got})
	}
	for i, signed := range anchored {
		c, err := ReadCheckpoint(signed, v)
		if err != nil {
			w.report.add(Finding{Kind: Unsigned, Index: -1, Detail: fmt.Sprintf("anchored checkpoint %d: %v", i+1, err)})
			continue
		}
		w.heads = append(w.heads, head{Checkpoint: c, anchor: true})
	}
	slices.SortStableFunc(w.heads, bySize)
	for i := 1; i < len(w.heads); i++ {
		if a, b := w.heads[i-1], w.heads[i]; a.Size == b.Size && a.Root != b.Root {
			w.report.add(Finding{Kind: Disagree, Index: -1, Detail: fmt.Sprintf("two roots are signed for %d leaves", a.Size)})
		}
	}
	return nil
}

// fillRows reads a page of leaves with their events, hashes the events anew and grows the tree made of them.
func (w *walk) fillRows() ([]row, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	leaves, err := w.tx.Leaves(w.rowAt, int(min(pageSize, max(w.size-w.rowAt, 1))))
	if err != nil || len(leaves) == 0 || leaves[0].Index >= w.size { // later ones came after the walk began
		return nil, err
	}
	ids := make([]string, len(leaves))
	for i, l := range leaves {
		ids[i] = l.Event
	}
	events, err := w.tx.Events(Query{IDs: ids, Limit: len(ids)})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Event, len(events))
	for _, e := range events {
		byID[e.ID] = e
	}
	rows := make([]row, len(leaves))
	for i, l := range leaves {
		e, there := byID[l.Event]
		rows[i] = row{leaf: l, absent: !there}
		if there {
			rows[i].now = LeafHash(e)
			w.seeds.add(&w.known, e.ID)
			heads, _ := slices.BinarySearchFunc(w.heads, l.Index+1, func(h head, x int64) int { return cmp.Compare(h.Size, x) })
			w.checkTime(l, e, heads)
		}
		w.anew.push(rows[i].now, nil)
		w.rowAt = l.Index + 1
	}
	return rows, nil
}

// checkTime compares an event's time with the newest checkpoint that cannot hold it: the last of the first n heads.
func (w *walk) checkTime(l Leaf, e Event, n int) {
	if n == 0 {
		return
	}
	if before := w.heads[n-1]; e.At.Add(lateness).Before(before.At) {
		w.report.add(Finding{Kind: Backdated, Index: l.Index, Event: l.Event,
			Detail: fmt.Sprintf("it says %s, but the checkpoint of %s does not hold it", e.At.UTC().Format(timeFormat), before.At.Format(timeFormat))})
	}
}

// fillStored reads a page of the stored tree and checks that its nodes follow from each other. It goes on beyond the last
// row, until no leaf is left: the tree may hold more than the rows do.
func (w *walk) fillStored() ([]tlog.Hash, error) {
	var indexes []int64
	for x := tlog.StoredHashCount(w.nextAt); x < tlog.StoredHashCount(w.nextAt+pageSize); x++ {
		indexes = append(indexes, x)
	}
	hashes, err := readHashes(w.tx, indexes)
	if fault.Of(err, fault.NotFound) {
		hashes, err = w.oneByOne(indexes)
	}
	if err != nil {
		return nil, err
	}
	var page []tlog.Hash
	for at := 0; at < len(hashes); w.nextAt++ {
		first := at
		page, w.nodes = append(page, hashes[at]), append(w.nodes, hashes[at])
		w.fromDB.push(hashes[at], func() {
			at++
			// Each node is held against its children as stored, so that one changed node does not accuse all above it.
			k := len(w.nodes)
			node := tlog.NodeHash(w.nodes[k-2], w.nodes[k-1])
			if at >= len(hashes) || hashes[at] != node {
				level, n := tlog.SplitStoredHashIndex(tlog.StoredHashCount(w.nextAt) + int64(at-first))
				w.report.add(Finding{Kind: TreeEdited, Index: w.nextAt, Detail: fmt.Sprintf("node %d of level %d does not follow from those below it", n, level)})
			}
			if at < len(hashes) {
				node = hashes[at]
			}
			w.nodes = append(w.nodes[:k-2], node)
		})
		at++
	}
	return page, nil
}

// oneByOne reads what is left of a page of the tree, up to the last hash there is; what is gone before it reads as zero
// and matches nothing.
func (w *walk) oneByOne(indexes []int64) ([]tlog.Hash, error) {
	hashes, end := make([]tlog.Hash, len(indexes)), 0
	for i := range indexes {
		h, err := readHashes(w.tx, indexes[i:i+1])
		if fault.Of(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		hashes[i], end = h[0], i+1
	}
	return hashes[:end], nil
}

// compareRoots holds both trees against the signed roots, smallest first, and stops at the first that fails.
func (w *walk) compareRoots() {
	w.report.Size = w.size
	var proven int64
	for _, h := range w.heads {
		if h.Size > w.size {
			last, where := w.heads[len(w.heads)-1], "the database"
			if last.anchor {
				where = "the anchor"
			}
			w.report.add(Finding{Kind: Truncated, Index: w.size, Until: last.Size,
				Detail: fmt.Sprintf("%s has a signed checkpoint of %d leaves", where, last.Size)})
			return
		}
		fromDB, anew := w.fromDB.want[h.Size], w.anew.want[h.Size]
		switch {
		case fromDB == h.Root:
			proven, w.report.Proven, w.report.ProvenAt = h.Size, h.Size, h.At
		case anew == h.Root: // the rows are right, so what was found in them was done to the tree
			for i := range w.report.Findings {
				if f := &w.report.Findings[i]; f.Index >= proven && f.Index < h.Size && f.Kind != Backdated && f.Kind != TreeEdited {
					f.Kind, f.Detail = TreeEdited, "the row is as it was signed, the stored tree is not"
				}
			}
			proven, w.report.Proven, w.report.ProvenAt = h.Size, h.Size, h.At
		default:
			w.report.add(Finding{Kind: Rewritten, Index: proven, Until: h.Size, Event: w.eventAt(proven),
				Detail: fmt.Sprintf("the tree of %d leaves has another root than the one signed at %s", h.Size, h.At.Format(timeFormat))})
			return
		}
	}
}

func (w *walk) eventAt(index int64) string {
	l, err := w.tx.Leaves(index, 1)
	if err != nil || len(l) == 0 || l[0].Index != index {
		return ""
	}
	return l[0].Event
}
