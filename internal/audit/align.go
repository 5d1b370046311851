package audit

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Alignment lays the rows beside the leaves of the stored tree and finds the shortest story that explains each
// difference: a row put in, a row taken out, two rows that changed places, a row that says something else.

// ahead reads pages and lets the reader look further than it has gone.
type ahead[T any] struct {
	fill func() ([]T, error)
	buf  []T
	over bool
}

func (a *ahead[T]) peek(k int) (v T, ok bool, err error) {
	for len(a.buf) <= k && !a.over {
		page, err := a.fill()
		if err != nil {
			return v, false, err
		}
		a.buf, a.over = append(a.buf, page...), len(page) == 0
	}
	if len(a.buf) <= k {
		return v, false, nil
	}
	return a.buf[k], true, nil
}

func (a *ahead[T]) drop(n int) { a.buf = a.buf[n:] }

// frontier is a growing tree of which only the right edge is kept (RFC 6962, 2.1). It keeps the roots at the wanted sizes.
type frontier struct {
	edge []tlog.Hash // of complete subtrees, largest first; their sizes are the bits of size
	size int64
	want map[int64]tlog.Hash
}

// push adds a leaf and calls inner for each node that it completes, from below.
func (f *frontier) push(leaf tlog.Hash, inner func()) {
	f.edge = append(f.edge, leaf)
	f.size++
	for n := f.size; n&1 == 0; n >>= 1 {
		k := len(f.edge)
		f.edge = append(f.edge[:k-2], tlog.NodeHash(f.edge[k-2], f.edge[k-1]))
		if inner != nil {
			inner()
		}
	}
	if _, ok := f.want[f.size]; ok {
		root := f.edge[len(f.edge)-1]
		for _, left := range slices.Backward(f.edge[:len(f.edge)-1]) {
			root = tlog.NodeHash(left, root)
		}
		f.want[f.size] = root
	}
}

// grown reports whether leaves were added since the walk began: those at the end of the stored tree are then new ones.
func (w *walk) grown() (bool, error) {
	size, err := w.tx.TreeSize()
	return size > w.size, err
}

func (w *walk) align() error {
	shift := int64(0) // how much higher rows are numbered than their leaves in the stored tree
	for at := int64(0); ; {
		r, isRow, err := w.rows.peek(0)
		if err != nil {
			return err
		}
		h, isLeaf, err := w.stored.peek(0)
		if err != nil {
			return err
		}
		if !isRow && isLeaf {
			if grown, err := w.grown(); err != nil || grown {
				return err
			}
		}
		switch {
		case !isRow && !isLeaf:
			return nil
		case !isLeaf:
			w.insertion(r)
			w.rows.drop(1)
		case !isRow || r.leaf.Index > at+shift:
			w.deletion(at, "", h)
			w.stored.drop(1)
			at++
		case r.is(h) || w.moved[at] == r.now && !r.absent:
			if r.leaf.Hash != r.now && r.is(h) {
				w.report.add(Finding{Kind: Edited, Index: r.leaf.Index, Event: r.leaf.Event, Detail: "its leaf row was changed, the event was not"})
			}
			w.rows.drop(1)
			w.stored.drop(1)
			at++
		default:
			put, taken, err := w.explain(at, r, h)
			if err != nil {
				return err
			}
			w.rows.drop(put)
			w.stored.drop(taken)
			at += int64(taken)
			shift += int64(put - taken)
		}
	}
}

func (r row) is(h tlog.Hash) bool { return !r.absent && r.now == h }

// explain names what happened where row r stands at a leaf that holds h, and returns how many rows and leaves that settles.
func (w *walk) explain(at int64, r row, h tlog.Hash) (put, taken int, err error) {
	for k := 1; k <= window; k++ {
		later, isRow, err := w.rows.peek(k)
		if err != nil {
			return 0, 0, err
		}
		hash, isLeaf, err := w.stored.peek(k)
		if err != nil {
			return 0, 0, err
		}
		inserted, deleted := isRow && later.is(h), isLeaf && r.is(hash)
		switch {
		case inserted && deleted:
			w.reordered(r, at+int64(k))
			w.reordered(later, at)
			w.moved[at+int64(k)] = later.now
			return 1, 1, nil
		case inserted:
			for i := range k {
				extra, _, err := w.rows.peek(i)
				if err != nil {
					return 0, 0, err
				}
				w.insertion(extra)
			}
			return k, 0, nil
		case deleted:
			for i := range k {
				gone, _, err := w.stored.peek(i)
				if err != nil {
					return 0, 0, err
				}
				w.deletion(at+int64(i), "", gone)
			}
			return 0, k, nil
		case !isRow && !isLeaf:
			k = window
		}
	}
	if r.absent {
		w.deletion(at, r.leaf.Event, h)
		return 1, 1, nil
	}
	i := w.report.add(Finding{Kind: Edited, Index: r.leaf.Index, Event: r.leaf.Event, Detail: "it says something else than when it was placed"})
	w.lost[h], w.surplus[r.now] = i, i
	return 1, 1, nil
}

func (w *walk) insertion(r row) {
	w.surplus[r.now] = w.report.add(Finding{Kind: Inserted, Index: r.leaf.Index, Event: r.leaf.Event, Detail: "the tree has no such leaf"})
}

func (w *walk) deletion(at int64, event string, h tlog.Hash) {
	w.lost[h] = w.report.add(Finding{Kind: Deleted, Index: at, Event: event, Detail: "the tree has this leaf and the row is gone"})
}

func (w *walk) reordered(r row, belongs int64) {
	w.report.add(Finding{Kind: Reordered, Index: r.leaf.Index, Event: r.leaf.Event, Detail: fmt.Sprintf("it belongs at leaf %d", belongs)})
}

// settle turns a row gone here and put in there into one that was moved.
func (w *walk) settle() {
	gone := map[int]bool{}
	for h, j := range w.surplus {
		i, ok := w.lost[h]
		if !ok || i < 0 || j < 0 || i == j {
			continue
		}
		from, to := w.report.Findings[i], &w.report.Findings[j]
		to.Kind, to.Detail = Reordered, fmt.Sprintf("it belongs at leaf %d", from.Index)
		gone[i] = from.Kind == Deleted && from.Event == ""
	}
	kept := w.report.Findings[:0]
	for i, f := range w.report.Findings {
		if !gone[i] {
			kept = append(kept, f)
		}
	}
	w.report.Findings = kept
}
