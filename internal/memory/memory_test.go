package memory

import (
	"strconv"
	"testing"
	"time"
)

// What is remembered is worth something for its epoch alone, for four seconds, and in bounds.
func TestSEC_O9_WhatIsRememberedEnds(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	s := Memory[int]{Cap: 100}
	there := func(epoch int64, at time.Time) bool { _, ok := s.Get("a", epoch, at); return ok }
	if there(0, now) {
		t.Error("something is known at the beginning")
	}
	s.Put("a", 7, now, 1)
	for _, c := range []struct {
		what  string
		epoch int64
		at    time.Time
		want  bool
	}{
		{"at once", 7, now, true},
		{"just before its end", 7, now.Add(LiveFor - 1), true},
		{"at its end", 7, now.Add(LiveFor), false},
		{"with a clock that went back", 7, now.Add(-1), false},
		{"in the next epoch", 8, now, false},
		{"in the one before", 6, now, false},
	} {
		if there(c.epoch, c.at) != c.want {
			t.Errorf("%s: known is %v, want %v", c.what, !c.want, c.want)
		}
	}
	s.Put("b", 8, now, 1)
	if there(7, now) || there(8, now) {
		t.Error("a new epoch left something of the one before")
	}
	s.Put("a", 7, now, 1) // read before something ended, stored after
	if there(7, now) || there(8, now) {
		t.Error("what was read in an older epoch is believed")
	}
	s.Put("a", 8, now, 1)
	if s.Drop("a"); there(8, now) {
		t.Error("what was dropped is still there")
	}
	for i := range 3 * s.Cap {
		s.Put(strconv.Itoa(i), 8, now, 1)
		if len(s.byKey) > s.Cap {
			t.Fatalf("%d are kept, %d at most", len(s.byKey), s.Cap)
		}
	}
}
