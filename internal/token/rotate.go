package token

import (
	"slices"
	"time"
)

// Rules of rotation (SEC J-3). Plan is a pure function: the caller makes the keys it asks for and stores everything in one
// transaction.
//
//   - A new key is published for a cache life before it signs, so that no relying party meets a token whose key it
//     cannot know yet. Only the first key of an algorithm signs at once: nobody was served by that algorithm before.
//   - The older key retires in the moment its successor begins, and stays published until the last token it may have
//     signed has ended, and a little longer for clocks that differ.
//   - A key never ends early, whatever the clock says: a wrong clock must not take keys away.

// Rotation says how keys follow each other.
type Rotation struct {
	Every    time.Duration // how long a key signs; at most MaxKeyAge
	CacheTTL time.Duration // for how long relying parties may keep the published set
	Longest  time.Duration // life of the longest-lived token that is signed
}

// MaxKeyAge is how long a key may sign at most.
const MaxKeyAge = 90 * 24 * time.Hour

// DefaultRotation leaves a month in which a job that failed can be noticed before a key is too old.
var DefaultRotation = Rotation{Every: 60 * 24 * time.Hour, CacheTTL: time.Hour, Longest: 12 * time.Hour}

// Skew is how far clocks of others may differ from ours.
const Skew = 30 * time.Second

// Planned is what is to be done with the keys of a realm.
type Planned struct {
	Add    []NextKey
	Retire []Retirement
}

// Nothing reports whether all is as it should be.
func (p Planned) Nothing() bool { return len(p.Add)+len(p.Retire) == 0 }

// NextKey is a key to be made with NewKey; its Signs is to be set.
type NextKey struct {
	Alg   string
	Signs time.Time
}

// Retirement are the times to be set on a key that has a successor.
type Retirement struct {
	ID      string
	Retires time.Time
	Ends    time.Time
}

// Plan says which keys of the algorithms in use are to be made, and which are to retire and end. Applied and asked again
// at the same time it plans nothing. Keys of an algorithm that is no longer in use are left alone.
func Plan(keys []Key, algs []string, now time.Time, r Rotation) Planned {
	var p Planned
	r.CacheTTL = max(r.CacheTTL, time.Minute)
	r.Every = max(min(r.Every, MaxKeyAge), 4*r.CacheTTL)
	ahead := r.CacheTTL + min(24*time.Hour, r.Every/4) // room for a job that runs late
	var seen []string
	for _, alg := range algs {
		if slices.Contains(seen, alg) {
			continue
		}
		seen = append(seen, alg)
		var chain []Key
		for _, k := range keys {
			if k.Alg == alg && !k.Signs.IsZero() && published(k, now) {
				chain = append(chain, k)
			}
		}
		slices.SortFunc(chain, order)
		if next, due := successor(chain, now, r.Every, r.CacheTTL, ahead); due {
			p.Add = append(p.Add, NextKey{alg, next})
			chain = append(chain, Key{Alg: alg, Signs: next})
			slices.SortFunc(chain, order)
		}
		for i := range len(chain) - 1 {
			k, at := chain[i], chain[i+1].Signs
			if k.ID == "" || !k.Retires.IsZero() && !at.Before(k.Retires) {
				continue
			}
			p.Retire = append(p.Retire, Retirement{k.ID, at, at.Add(max(r.Longest, 0) + 2*Skew)})
		}
	}
	return p
}

// successor says when the next key is to begin, and whether it is due now.
func successor(chain []Key, now time.Time, every, cache, ahead time.Duration) (time.Time, bool) {
	var current *Key
	for i := range chain {
		k := &chain[i]
		if now.Before(k.Signs) {
			if k.Signs.Sub(now) <= every+ahead { // further away it was made by a clock that had jumped
				return time.Time{}, false // the successor is there already
			}
			continue
		}
		if k.Retires.IsZero() || now.Before(k.Retires) {
			current = k
		}
	}
	if current == nil {
		return now, true
	}
	end := current.Signs.Add(every)
	if now.Before(end.Add(-ahead)) {
		return time.Time{}, false
	}
	if soon := now.Add(cache); end.Before(soon) {
		end = soon
	}
	return end, true
}
