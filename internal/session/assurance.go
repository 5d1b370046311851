package session

import (
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
)

// Limits are how long a session may live.
type Limits struct {
	Idle     time.Duration
	Absolute time.Duration
}

// Ceilings of SEC S-3: realms may only shorten.
var (
	memberCeiling = Limits{Idle: 30 * time.Minute, Absolute: 12 * time.Hour}
	staffCeiling  = Limits{Idle: 15 * time.Minute, Absolute: 12 * time.Hour}
)

// LimitsFor reads a realm's limits; trusted means staff and customer administrators. Values out of bounds (a document
// written by hand) fall back to the ceiling, never beyond it.
func LimitsFor(l directory.SessionLimits, trusted bool) Limits {
	top, idle, absolute := memberCeiling, l.Idle, l.Absolute
	if trusted {
		top, idle, absolute = staffCeiling, l.StaffIdle, l.StaffAbsolute
	}
	return Limits{Idle: within(idle, top.Idle), Absolute: within(absolute, top.Absolute)}
}

func within(minutes int, ceiling time.Duration) time.Duration {
	d := time.Duration(minutes) * time.Minute
	if d <= 0 || d > ceiling {
		return ceiling
	}
	return d
}

// Live reports whether a session still holds at the time, as far as the row itself says.
func (s Session) Live(now time.Time) bool {
	ahead := s.Created.Sub(now) > Skew || s.Seen.Sub(now) > Skew
	return s.Ended.IsZero() && now.Before(s.Until) && now.Before(s.Seen.Add(s.Idle)) && !ahead
}

// AMR lists the authentication methods of RFC 8176 that evidence stands for, and "mfa" when it spans two categories.
func AMR(evidence []authn.Evidence) []string {
	var amr []string
	var seen authn.Category
	add := func(v string) {
		if !slices.Contains(amr, v) {
			amr = append(amr, v)
		}
	}
	for _, e := range evidence {
		info, ok := authn.Info(e.Kind)
		if !ok || !info.Held {
			continue
		}
		seen |= info.Categories
		for _, v := range info.AMR {
			add(v)
		}
	}
	if seen == authn.Knowledge|authn.Possession {
		add("mfa")
	}
	return amr
}

// AuthTime is when the person was last authenticated in the sense of OpenID Connect: the newest proof.
func AuthTime(evidence []authn.Evidence) time.Time {
	var at time.Time
	for _, e := range evidence {
		if e.At.After(at) {
			at = e.At
		}
	}
	return at
}
