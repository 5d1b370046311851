package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"doorward/internal/fault"
)

func TestSEC_G1_AnHonestTrailIsProven(t *testing.T) {
	for _, n := range []int{1, 2, 3, 9, 10, 11, 64, 137, 501, 1203} {
		tr, _, anchor, v := grown(t, n)
		r := verify(t, tr, v, anchor.notes)
		if !r.OK() || r.Proven != int64(n) || r.Size != int64(n) || r.Pending != 0 || !r.ProvenAt.Equal(event(n-1).At) {
			t.Errorf("%d events: %+v", n, r)
		}
		if r.Anchored != (n+9)/10 || r.Checkpoints != (n+9)/10 {
			t.Errorf("%d events: %d checkpoints, %d anchored", n, r.Checkpoints, r.Anchored)
		}
	}
}

func TestSEC_G1_EachRowThatWasTouchedIsNamed(t *testing.T) {
	id := func(i int) string { return event(i).ID }
	renumber := func(tr *trail) {
		for i := range tr.leaves {
			tr.leaves[i].Index = int64(i)
		}
	}
	forged := func() Event {
		e := event(42)
		e.ID, e.Actor = strings.Replace(e.ID, "8000", "8fff", 1), "p2"
		return e
	}
	cases := []struct {
		name string
		do   func(t *testing.T, tr *trail)
		want []Finding
	}{
		{"edited actor", func(t *testing.T, tr *trail) { tr.events[42].Actor = "p2" }, []Finding{{Kind: Edited, Index: 42, Event: id(42)}}},
		{"edited time", func(t *testing.T, tr *trail) { tr.events[42].At = tr.events[42].At.Add(time.Millisecond) }, []Finding{{Kind: Edited, Index: 42, Event: id(42)}}},
		{"edited data", func(t *testing.T, tr *trail) { tr.events[0].Data = map[string]string{"kind": "passkey"} }, []Finding{{Kind: Edited, Index: 0, Event: id(0)}}},
		{"moved from field to field", func(t *testing.T, tr *trail) { tr.events[7].Session, tr.events[7].Organization = "o1", "" }, []Finding{{Kind: Edited, Index: 7, Event: id(7)}}},
		{"edited with its leaf", func(t *testing.T, tr *trail) {
			tr.events[42].Actor = "p2"
			tr.leaves[42].Hash = LeafHash(tr.events[42])
		}, []Finding{{Kind: Edited, Index: 42, Event: id(42)}}},
		{"leaf alone edited", func(t *testing.T, tr *trail) { tr.leaves[42].Hash[3] ^= 1 }, []Finding{{Kind: Edited, Index: 42, Event: id(42)}}},
		{"two edited", func(t *testing.T, tr *trail) { tr.events[42].Actor, tr.events[43].Actor = "p2", "p2" }, []Finding{{Kind: Edited, Index: 42, Event: id(42)}, {Kind: Edited, Index: 43, Event: id(43)}}},
		{"event deleted", func(t *testing.T, tr *trail) { tr.events = slices.Delete(tr.events, 42, 43) }, []Finding{{Kind: Deleted, Index: 42, Event: id(42)}}},
		{"leaf deleted", func(t *testing.T, tr *trail) { tr.leaves = slices.Delete(tr.leaves, 42, 43) }, []Finding{{Kind: Deleted, Index: 42, Event: id(42)}}},
		{"both deleted", func(t *testing.T, tr *trail) {
			tr.events, tr.leaves = slices.Delete(tr.events, 42, 43), slices.Delete(tr.leaves, 42, 43)
		}, []Finding{{Kind: Deleted, Index: 42}}},
		{"both deleted, the rest renumbered", func(t *testing.T, tr *trail) {
			tr.events, tr.leaves = slices.Delete(tr.events, 42, 43), slices.Delete(tr.leaves, 42, 43)
			renumber(tr)
		}, []Finding{{Kind: Deleted, Index: 42}, {Kind: Truncated, Index: 99, Until: 100}}},
		{"inserted, the rest renumbered", func(t *testing.T, tr *trail) {
			tr.events = append(tr.events, forged())
			tr.leaves = slices.Insert(tr.leaves, 42, Leaf{Event: forged().ID, Hash: LeafHash(forged())})
			renumber(tr)
		}, []Finding{{Kind: Inserted, Index: 42, Event: forged().ID}}},
		{"neighbors changed places", func(t *testing.T, tr *trail) {
			tr.leaves[42].Event, tr.leaves[43].Event = id(43), id(42)
			tr.leaves[42].Hash, tr.leaves[43].Hash = tr.leaves[43].Hash, tr.leaves[42].Hash
		}, []Finding{{Kind: Reordered, Index: 42, Event: id(43)}, {Kind: Reordered, Index: 43, Event: id(42)}}},
		{"far ones changed places", func(t *testing.T, tr *trail) {
			tr.leaves[5].Event, tr.leaves[95].Event = id(95), id(5)
			tr.leaves[5].Hash, tr.leaves[95].Hash = tr.leaves[95].Hash, tr.leaves[5].Hash
		}, []Finding{{Kind: Reordered, Index: 5, Event: id(95)}, {Kind: Reordered, Index: 95, Event: id(5)}}},
		{"one moved down the list", func(t *testing.T, tr *trail) {
			l := tr.leaves[20]
			tr.leaves = slices.Insert(slices.Delete(tr.leaves, 20, 21), 60, l)
			renumber(tr)
		}, []Finding{{Kind: Reordered, Index: 60, Event: id(20)}}},
		{"the end cut off with its checkpoints", func(t *testing.T, tr *trail) {
			tr.events, tr.leaves, tr.heads = tr.events[:90], tr.leaves[:90], tr.heads[:9]
			for x := range tr.tree {
				if x >= tlog.StoredHashCount(90) {
					delete(tr.tree, x)
				}
			}
		}, []Finding{{Kind: Truncated, Index: 90, Until: 100}}},
		{"all gone", func(t *testing.T, tr *trail) { *tr = trail{tree: map[int64]tlog.Hash{}} }, []Finding{{Kind: Truncated, Index: 0, Until: 100}}},
		{"row and tree rewritten together", func(t *testing.T, tr *trail) {
			tr.events[42].Actor = "p2"
			tr.replant(t)
		}, []Finding{{Kind: Rewritten, Index: 40, Until: 50, Event: id(40)}}},
		{"a node of the tree edited", func(t *testing.T, tr *trail) {
			x := tlog.StoredHashIndex(3, 2)
			h := tr.tree[x]
			h[0] ^= 1
			tr.tree[x] = h
		}, []Finding{{Kind: TreeEdited, Index: 23}, {Kind: TreeEdited, Index: 31}}},
		{"a leaf of the tree edited", func(t *testing.T, tr *trail) {
			x := tlog.StoredHashIndex(0, 42)
			h := tr.tree[x]
			h[0] ^= 1
			tr.tree[x] = h
		}, []Finding{{Kind: TreeEdited, Index: 42, Event: id(42)}, {Kind: TreeEdited, Index: 43}}},
		{"the end of the tree deleted", func(t *testing.T, tr *trail) {
			delete(tr.tree, tlog.StoredHashIndex(2, 24))
			delete(tr.tree, tlog.StoredHashIndex(1, 49))
			delete(tr.tree, tlog.StoredHashIndex(0, 99))
		}, []Finding{{Kind: TreeEdited, Index: 99, Event: id(99)}}},
		{"the last nodes deleted", func(t *testing.T, tr *trail) {
			delete(tr.tree, tlog.StoredHashIndex(2, 24))
			delete(tr.tree, tlog.StoredHashIndex(1, 49))
		}, []Finding{{Kind: TreeEdited, Index: 99}, {Kind: TreeEdited, Index: 99}}},
		{"a node of the tree deleted", func(t *testing.T, tr *trail) { delete(tr.tree, tlog.StoredHashIndex(3, 2)) }, []Finding{{Kind: TreeEdited, Index: 23}, {Kind: TreeEdited, Index: 31}}},
		{"slipped in, marked as placed", func(t *testing.T, tr *trail) {
			tr.events, tr.marked = append(tr.events, forged()), map[string]bool{forged().ID: true}
		}, []Finding{{Kind: Inserted, Index: -1, Event: forged().ID}}},
		{"leaf deleted, still marked as placed", func(t *testing.T, tr *trail) {
			tr.leaves, tr.marked = slices.Delete(tr.leaves, 42, 43), map[string]bool{id(42): true}
		}, []Finding{{Kind: Deleted, Index: 42, Event: id(42)}}},
		{"slipped in with an old date", func(t *testing.T, tr *trail) {
			e := forged()
			e.At = start.Add(-time.Hour)
			tr.events = append(tr.events, e)
		}, []Finding{{Kind: Backdated, Index: -1, Event: forged().ID}}},
		{"a checkpoint's row edited", func(t *testing.T, tr *trail) { tr.heads[4].At = start }, []Finding{{Kind: Unsigned, Index: -1}}},
		{"a checkpoint of another key", func(t *testing.T, tr *trail) {
			s, _ := key(t, 2)
			c, err := sign(s, 100, tr.heads[9].Root, start)
			if err != nil {
				t.Fatal(err)
			}
			tr.heads[9] = c
		}, []Finding{{Kind: Unsigned, Index: -1}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tr, _, anchor, v := grown(t, 100)
			c.do(t, tr)
			r := verify(t, tr, v, anchor.notes)
			if r.OK() {
				t.Fatal("nothing was found")
			}
			var got []Finding
			for _, f := range r.Findings {
				if f.Detail == "" || f.String() == "" {
					t.Errorf("a finding without words: %+v", f)
				}
				f.Detail = ""
				got = append(got, f)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found\n%v\nwant\n%v", r.Findings, c.want)
			}
		})
	}
}

func TestSEC_G1_OnlyTheAnchorSeesAnEndCutOff(t *testing.T) {
	tr, seq, anchor, v := grown(t, 100)
	cut, _, _, _ := grown(t, 70)
	*tr = trail{events: cut.events, leaves: cut.leaves, tree: cut.tree, heads: cut.heads}
	if r := verify(t, tr, v, nil); !r.OK() {
		t.Fatalf("the cut was not clean, so the test proves nothing: %v", r.Findings)
	}
	if r := verify(t, tr, v, anchor.notes); r.OK() || r.Findings[0].Kind != Truncated || r.Findings[0].Index != 70 || r.Findings[0].Until != 100 {
		t.Errorf("%v", r.Findings)
	}

	// Whoever cut it must not get the anchor to agree by waiting.
	if err := seq.Run(t.Context(), start.Add(time.Hour)); !errors.Is(err, ErrForked) || len(anchor.notes) != 10 {
		t.Errorf("the anchor took a shorter trail: %v", err)
	}
	for i := range 40 { // grown past the old size with other events
		e := event(100 + i)
		e.Actor = "p2"
		tr.events = append(tr.events, e)
	}
	if err := seq.Checkpoint(t.Context(), start.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	r := verify(t, tr, v, anchor.notes)
	if r.OK() || r.Findings[0].Kind != Rewritten || r.Findings[0].Index != 70 {
		t.Errorf("regrown: %v", r.Findings)
	}
}

func TestSEC_G1_AForkedTreeIsNotSigned(t *testing.T) {
	tr, seq, anchor, _ := grown(t, 100)
	tr.events[42].Actor = "p2"
	tr.replant(t)
	tr.events = append(tr.events, event(100))
	if err := seq.Checkpoint(t.Context(), start.Add(time.Hour)); !errors.Is(err, ErrForked) {
		t.Errorf("signed: %v", err)
	}
	if len(tr.heads) != 10 || len(anchor.notes) != 10 {
		t.Errorf("%d checkpoints, %d anchored", len(tr.heads), len(anchor.notes))
	}
	tr, seq, _, _ = grown(t, 100)
	tr.leaves, tr.events = tr.leaves[:50], tr.events[:50]
	if err := seq.Checkpoint(t.Context(), start.Add(time.Hour)); err == nil {
		t.Error("signed a shorter tree")
	}
}

func TestSEC_G1_AnySingleMutationIsFound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 130).Draw(rt, "events")
		tr, _, anchor, v := grown(t, n)
		i := rapid.IntRange(0, n-1).Draw(rt, "row")
		named := true
		switch rapid.IntRange(0, 4).Draw(rt, "mutation") {
		case 0:
			tr.events[i].Reason += "x"
		case 1:
			tr.events = slices.Delete(tr.events, i, i+1)
		case 2:
			tr.leaves = slices.Delete(tr.leaves, i, i+1)
			named = i < n-1 // the last leaf is a cut
		case 3:
			j := (i + rapid.IntRange(1, n-1).Draw(rt, "distance")) % n
			tr.leaves[i].Event, tr.leaves[j].Event = tr.leaves[j].Event, tr.leaves[i].Event
		case 4:
			tr.events[i].Actor = "p2"
			tr.replant(t)
			named = false // a range holds it
		}
		r := verify(t, tr, v, anchor.notes)
		hit := slices.ContainsFunc(r.Findings, func(f Finding) bool {
			return named && f.Event == event(i).ID || !named && f.Index <= int64(i) && int64(i) < f.Until
		})
		if !hit {
			rt.Fatalf("row %d not named: %v", i, r.Findings)
		}
	})
}

func TestSequencerPlacesLateCommits(t *testing.T) {
	tr, seq, anchor, v := grown(t, 20)
	late := event(5)
	late.ID = strings.Replace(late.ID, "8000", "8001", 1) // older than those placed
	tr.events = append(tr.events[:6:6], append([]Event{late}, tr.events[6:]...)...)
	if err := seq.Run(t.Context(), event(20).At); err != nil {
		t.Fatal(err)
	}
	if len(tr.leaves) != 21 || tr.leaves[20].Event != late.ID {
		t.Fatalf("the late one is not placed last: %v", tr.leaves[len(tr.leaves)-1])
	}
	if r := verify(t, tr, v, anchor.notes); !r.OK() || r.Proven != 20 {
		t.Errorf("%+v", r)
	}
}

func TestSequencerIdlesWithoutWriting(t *testing.T) {
	tr, seq, anchor, _ := grown(t, 20)
	writes := tr.writes
	for i := range 5 {
		if idle, err := seq.Idle(t.Context(), start.Add(time.Duration(i)*time.Hour)); err != nil || !idle {
			t.Errorf("not idle: %v", err)
		}
		if err := seq.Run(t.Context(), start.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if tr.writes != writes || len(anchor.notes) != 2 || len(tr.heads) != 2 {
		t.Errorf("%d writes, %d anchored", tr.writes-writes, len(anchor.notes))
	}
	busy := func(why string) {
		t.Helper()
		if idle, err := seq.Idle(t.Context(), start.Add(9*time.Hour)); err != nil || idle {
			t.Errorf("idle although %s: %v", why, err)
		}
	}
	notes := anchor.notes
	anchor.notes = notes[:1]
	busy("an anchor is behind")
	anchor.notes = notes
	tr.events = append(tr.events, event(20))
	busy("an event waits")
	if err := seq.Run(t.Context(), event(20).At); err != nil { // placed, not yet signed
		t.Fatal(err)
	}
	busy("a checkpoint is due")
}

func TestCheckpointsAreDue(t *testing.T) {
	tr, seq, anchor, _ := grown(t, 10)
	at := event(9).At
	for i, c := range []struct {
		after time.Duration
		heads int
	}{{DefaultEvery - 1, 1}, {DefaultEvery, 2}, {DefaultEvery + time.Second, 2}, {2 * DefaultEvery, 3}, {time.Second, 4}} { // the last: the clock was set back
		tr.events = append(tr.events, event(10+i))
		if err := seq.Run(t.Context(), at.Add(c.after)); err != nil {
			t.Fatal(err)
		}
		if len(tr.heads) != c.heads || len(anchor.notes) != c.heads {
			t.Errorf("after %s: %d checkpoints, %d anchored; want %d", c.after, len(tr.heads), len(anchor.notes), c.heads)
		}
	}
}

func TestAFailingAnchorIsSeenAndCaughtUp(t *testing.T) {
	tr, seq, anchor, v := grown(t, 10)
	second := &memory{}
	seq.Anchors = append(seq.Anchors, second)
	broken := errors.New("disk full")
	anchor.fail = broken
	tr.events = append(tr.events, event(10))
	if err := seq.Checkpoint(t.Context(), event(10).At); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if len(tr.heads) != 2 || len(second.notes) != 1 {
		t.Errorf("%d checkpoints, %d in the other anchor", len(tr.heads), len(second.notes))
	}
	anchor.fail = nil
	if err := seq.Run(t.Context(), event(10).At); err != nil || len(anchor.notes) != 2 {
		t.Errorf("not caught up: %v, %d", err, len(anchor.notes))
	}
	if r := verify(t, tr, v, append(anchor.notes, second.notes...)); !r.OK() {
		t.Errorf("%v", r.Findings)
	}
}

func TestVerifyRefusesForeignAnchors(t *testing.T) {
	tr, _, anchor, v := grown(t, 30)
	s, _ := key(t, 2)
	foreign, err := sign(s, 300, tlog.Hash{}, start)
	if err != nil {
		t.Fatal(err)
	}
	r := verify(t, tr, v, append([]string{foreign.Note, "no note", ""}, anchor.notes...))
	if len(r.Findings) != 3 || r.Proven != 30 {
		t.Fatalf("%+v", r)
	}
	for _, f := range r.Findings {
		if f.Kind != Unsigned {
			t.Errorf("%v", f)
		}
	}
	mine, _ := key(t, 1)
	fork, err := sign(mine, 30, tlog.Hash{1}, start)
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(t, tr, v, append(anchor.notes, fork.Note)); r.OK() || r.Findings[0].Kind != Disagree {
		t.Errorf("two roots of one size: %v", r.Findings)
	}
}

func TestManyWaitingEventsAreNoForgery(t *testing.T) {
	tr, _, anchor, v := grown(t, 30)
	for i := range pendingRead + 200 {
		tr.events = append(tr.events, event(30+i))
	}
	if r := verify(t, tr, v, anchor.notes); !r.OK() || r.Pending != pendingRead {
		t.Errorf("%d pending, %v", r.Pending, r.Findings)
	}
}

func TestVerifyStops(t *testing.T) {
	tr, _, _, v := grown(t, 30)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, tr, v, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestFindingsAreBounded(t *testing.T) {
	tr, _, anchor, v := grown(t, 1500)
	for i := range tr.events {
		tr.events[i].Actor = "p2"
	}
	if r := verify(t, tr, v, anchor.notes); len(r.Findings) != maxFindings || r.More != 500 {
		t.Errorf("%d findings and %d more", len(r.Findings), r.More)
	}
}

func TestProofs(t *testing.T) {
	tr, _, _, v := grown(t, 57)
	tr.events = append(tr.events, event(57))
	for i := range int64(57) {
		p, err := Prove(tr, i)
		if err != nil || p.Event.ID != event(int(i)).ID {
			t.Fatalf("leaf %d: %v", i, err)
		}
		if err := p.Check(v); err != nil {
			t.Errorf("leaf %d: %v", i, err)
		}
		_, other := key(t, 2)
		for name, bad := range map[string]func(p *Proof){
			"event": func(p *Proof) { p.Event.Actor = "p2" }, "index": func(p *Proof) { p.Index++ }, "before the first": func(p *Proof) { p.Index = -1 },
			"path": func(p *Proof) { p.Path = slices.Clone(p.Path); p.Path[0][0] ^= 1 }, "checkpoint": func(p *Proof) { p.Checkpoint = tr.heads[0].Note },
			"text": func(p *Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "\n57\n", "\n58\n", 1) },
		} {
			q := p
			if bad(&q); q.Check(v) == nil && !(name == "checkpoint" && i > 100) {
				t.Errorf("leaf %d with another %s is still proven", i, name)
			}
		}
		if p.Check(other) == nil {
			t.Error("proven under another key")
		}
	}
	if _, err := Prove(tr, 57); !fault.Of(err, fault.NotFound) {
		t.Errorf("a leaf that is not there: %v", err)
	}
	tr.heads = nil
	if _, err := Prove(tr, 1); !fault.Of(err, fault.Unavailable) {
		t.Errorf("nothing signed: %v", err)
	}
	if s := fmt.Sprint(Finding{Kind: Truncated, Index: 3, Until: 9, Detail: "x"}); s != "truncated leaves 3 to 8: x" {
		t.Error(s)
	}
}
