package directory

import (
	"fmt"
	"slices"
	"time"
)

// Rollout is a stricter policy that is switched on organization by organization, in waves (REQ B2, B84). It lies over what
// counts for an organization already, so it can only be stricter. In grace people are led to set up what they lack and may
// put it off; after the end nothing less lets them in.
type Rollout struct {
	ID     string    `toml:"id" json:"id"`
	Name   Localized `toml:"name" json:"name"`
	About  Localized `toml:"about" json:"about"`   // what changes and what to do, for the people it is about
	Policy string    `toml:"policy" json:"policy"` // text of the policy language: login, then, fresh
	Waves  []Wave    `toml:"wave" json:"waves"`

	PolicyLine int `toml:"-" json:"-"` // line of the file on which Policy begins; 0 when it came from the store
}

// Wave is when it reaches some organizations: grace runs from From to Until, both moments.
type Wave struct {
	// Organizations are ids in the store. In the file stand names or ids, Everywhere, and Operators.
	Organizations []string  `toml:"organizations" json:"organizations"`
	From          time.Time `toml:"-" json:"from"`
	Until         time.Time `toml:"-" json:"until"`

	WrittenFrom  any `toml:"from" json:"-"`
	WrittenUntil any `toml:"until" json:"-"`
	Line         int `toml:"-" json:"-"` // line of the file on which Organizations stands; 0 when it came from the store
}

// moment reads a date or a time as it stands in a file: a date means its first moment in the realm's zone.
func moment(written any, zone *time.Location) (t time.Time, ok bool) {
	switch w := written.(type) {
	case time.Time:
		return w.UTC().Truncate(time.Second), true
	case fmt.Stringer: // a date without time
		t, err := time.ParseInLocation(time.DateOnly, w.String(), zone)
		return t.UTC(), err == nil
	}
	return t, false
}

// Words that stand for organizations in a wave.
const (
	Everywhere = "rest"  // every customer that no wave of the roll-out names
	Operators  = "staff" // the realm's own organization
)

// GraceLeast is how long grace lasts at least: whoever signs in once a day has seen it.
const GraceLeast = 24 * time.Hour

// Due is a roll-out as it stands for one organization.
type Due struct {
	Rollout Rollout
	Wave    int // index into Waves
	From    time.Time
	Until   time.Time
}

// Grace reports whether its grace runs: people are led there and may put it off.
func (d Due) Grace(now time.Time) bool { return !now.Before(d.From) && now.Before(d.Until) }

// Over reports whether grace has ended: its policy counts.
func (d Due) Over(now time.Time) bool { return !now.Before(d.Until) }

// Dues are the roll-outs that reach an organization at some time, in the order of the file.
func (r Realm) Dues(o Organization) (all []Due) {
	for _, ro := range r.Rollouts {
		if i := ro.WaveOf(o); i >= 0 {
			all = append(all, Due{Rollout: ro, Wave: i, From: ro.Waves[i].From, Until: ro.Waves[i].Until})
		}
	}
	return all
}

// WaveOf is the index of the wave that reaches an organization, -1 for none. What names it goes before Everywhere.
func (r Rollout) WaveOf(o Organization) int {
	if o.ID == "" {
		return -1
	}
	rest := -1
	for i, w := range r.Waves {
		if slices.Contains(w.Organizations, o.ID) || o.Staff && slices.Contains(w.Organizations, Operators) {
			return i
		}
		if !o.Staff && slices.Contains(w.Organizations, Everywhere) {
			rest = i
		}
	}
	return rest
}
