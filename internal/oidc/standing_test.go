package oidc

import (
	"strconv"
	"testing"
	"time"
)

// What is remembered is worth something for its epoch alone, for four seconds, and in bounds.
func TestSEC_O9_WhatIsRememberedEnds(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	var s standings
	there := func(epoch int64, at time.Time) bool { _, ok := s.get("a", epoch, at); return ok }
	if there(0, now) {
		t.Error("something is known at the beginning")
	}
	s.put("a", 7, &known{at: now})
	for _, c := range []struct {
		what  string
		epoch int64
		at    time.Time
		want  bool
	}{
		{"at once", 7, now, true},
		{"just before its end", 7, now.Add(knownFor - 1), true},
		{"at its end", 7, now.Add(knownFor), false},
		{"with a clock that went back", 7, now.Add(-1), false},
		{"in the next epoch", 8, now, false},
		{"in the one before", 6, now, false},
	} {
		if there(c.epoch, c.at) != c.want {
			t.Errorf("%s: known is %v, want %v", c.what, !c.want, c.want)
		}
	}
	s.put("b", 8, &known{at: now})
	if there(7, now) || there(8, now) {
		t.Error("a new epoch left something of the one before")
	}
	s.put("a", 7, &known{at: now}) // read before something ended, stored after
	if there(7, now) || there(8, now) {
		t.Error("what was read in an older epoch is believed")
	}
	s.put("a", 8, &known{at: now})
	if s.drop("a"); there(8, now) {
		t.Error("what was dropped is still there")
	}
	for i := range 3 * knownCap {
		s.put(strconv.Itoa(i), 8, &known{at: now})
		if len(s.byID) > knownCap {
			t.Fatalf("%d are kept, %d at most", len(s.byID), knownCap)
		}
	}
}
