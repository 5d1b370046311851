package audit

import (
	"fmt"
	"hash/maphash"
)

// The tree shows what became of its leaves. An event without a leaf is one of three: it is new and waits, its leaf was
// taken away, or it was slipped in by hand, marked as placed so that no sequencer ever looks at it. The third would show
// on every page that lists events, so all events are held against all leaves.

// tally is a sum over a set of ids that does not depend on their order, under seeds that nobody knows beforehand: two
// sets of the same sum are the same set.
type tally struct{ a, b uint64 }

type seeds struct{ a, b maphash.Seed }

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

func (s seeds) add(t *tally, id string) {
	t.a += maphash.String(s.a, id)
	t.b += maphash.String(s.b, id)
}

// pending looks at the events that wait for a leaf.
func (w *walk) pending() error {
	events, err := w.tx.EventsWithoutLeaf(pendingRead)
	if err != nil {
		return err
	}
	w.full = len(events) == pendingRead
	for _, e := range events {
		w.seeds.add(&w.known, e.ID)
		if w.named(e) {
			continue
		}
		w.report.Pending++
		w.checkTime(Leaf{Index: -1, Event: e.ID}, e, len(w.heads))
	}
	return nil
}

// named gives a finding about a lost leaf the name of its event.
func (w *walk) named(e Event) bool {
	i, ok := w.lost[LeafHash(e)]
	if !ok || i < 0 {
		return false
	}
	if f := &w.report.Findings[i]; f.Event == "" {
		f.Event, f.Detail = e.ID, "the row is there, its leaf was taken away"
	}
	return true
}

// unplaced finds events that have no leaf and do not wait for one. The common case needs no memory: the sums agree. With
// so many waiting that not all can be read, nothing is said; the report's Pending shows it, and the sequencer is to be
// looked at first.
func (w *walk) unplaced() error {
	var all tally
	if err := w.eachEvent(func(e Event) { w.seeds.add(&all, e.ID) }); err != nil || all == w.known || w.full {
		return err
	}
	known := map[string]bool{}
	end := int64(0)
	readLeaves := func() error {
		for {
			leaves, err := w.tx.Leaves(end, pageSize)
			if err != nil || len(leaves) == 0 {
				return err
			}
			for _, l := range leaves {
				known[l.Event], end = true, l.Index+1
			}
		}
	}
	if err := readLeaves(); err != nil {
		return err
	}
	var suspects []Event
	if err := w.eachEvent(func(e Event) {
		if !known[e.ID] && len(suspects) < pendingRead {
			suspects = append(suspects, e)
		}
	}); err != nil {
		return err
	}
	// A live system moves on meanwhile: what waited is placed by now. Waiting ones are read first, so that an event on
	// its way from one to the other is seen in one of the two.
	waiting, err := w.tx.EventsWithoutLeaf(pendingRead)
	if err != nil || len(waiting) == pendingRead {
		return err
	}
	for _, e := range waiting {
		known[e.ID] = true
	}
	if err := readLeaves(); err != nil {
		return err
	}
	for _, e := range suspects {
		if !known[e.ID] && !w.named(e) {
			w.report.add(Finding{Kind: Inserted, Index: -1, Event: e.ID, Detail: fmt.Sprintf("it claims to have a leaf, and no leaf names it (%s)", e.Type)})
		}
	}
	return nil
}

// eachEvent goes through the events of all realms.
func (w *walk) eachEvent(do func(Event)) error {
	for before := ""; ; {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		events, err := w.tx.Events(Query{BeforeID: before, Limit: pageSize})
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			do(e)
		}
		before = events[len(events)-1].ID
	}
}
