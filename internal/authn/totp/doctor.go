package totp

import (
	"math"
	"time"

	"doorward/internal/authn"
	"doorward/internal/fault"
)

// The clock doctor (REQ B52, B53). A code that is refused is also compared with the steps around. It is never accepted
// for that; but a phone whose clock is off can be told by how much, and a small drift can be learned.
//
// Why it is no oracle, for somebody who guesses or who has seen a code:
//
//  1. What is accepted does not change: the same number of steps with and without the doctor, moved by at most one step
//     after two codes of that seed in a row, and never beyond two.
//  2. A first find answers exactly like a miss: the same error, the same code, no Args. What differs is stored, not said.
//  3. Every step that was found is burnt, so even somebody who could tell a find from a miss by other means would know a
//     code that no longer opens anything. A verifier without a doctor would have taken it when its time came.
//  4. The hint comes with the second of two codes of one offset. Guessing both succeeds for about 40 pairs in 10^12, and
//     the limit of attempts ends long before; who makes two codes at will has the seed.
//  5. What the hint says (a clock is off by so much) is worth nothing without the seed.
//
// Two codes agree when they belong to different steps, the second at most two after the first (one may have passed
// unused while the person read the error), and when one clock could have shown both: a code stands for a period, so it
// tells the offset only up to a period, and two of them tell it better.
const (
	reach   = 10               // steps looked at to either side of the server's clock
	skipped = 2                // steps from the first code to the second, at most
	typing  = 20 * time.Second // by how much two codes may disagree because one was typed slowly
)

// seen is a find that was refused: which step's code, and when it came.
type seen struct {
	Step int64 `json:"step"`
	At   int64 `json:"at"` // Unix ms
}

// look finds the steps around now, outside of the window and after the last accepted one, whose code this is; the
// nearest to the server's clock first. More than one is a coincidence of one in a million.
func (d data) look(code string, now time.Time, strict bool) []int64 {
	var found []int64
	t := d.step(now)
	from, to := d.window(now, strict)
	for away := int64(0); away <= reach; away++ {
		for _, step := range []int64{t + away, t - away} {
			if d.matches(step, code) && step > d.Last && (step < from || step > to) && (away > 0 || found == nil) {
				found = append(found, step)
			}
		}
	}
	return found
}

// diagnose answers a code that no credential accepts: see the argument above.
func diagnose(candidates []candidate, code string, now time.Time, strict bool) (authn.Shown, error) {
	shown, verdict := authn.Shown{}, errWrong()
	for _, c := range candidates {
		found := c.look(code, now, strict)
		for _, step := range found {
			shown.Spend = append(shown.Spend, once(c.credential, step, now))
		}
		if len(found) == 0 || shown.Changed {
			continue
		}
		this := seen{Step: found[0], At: now.UnixMilli()}
		if c.Seen == nil || !c.agree(*c.Seen, this) {
			if c.Seen != nil && c.Seen.Step == this.Step {
				continue // the same code again: it neither confirms nor replaces what is known
			}
			c.Seen = &this
		} else {
			if verdict = c.learn(this, now, strict); verdict == nil {
				return c.accept(this.Step, now)
			}
		}
		var err error
		if shown.Credential, err = c.write(c.credential); err != nil {
			return authn.Shown{}, err
		}
		shown.Changed = true
	}
	return shown, verdict
}

// agree reports whether two refused codes come from one clock.
func (k Key) agree(first, second seen) bool {
	if n := second.Step - first.Step; n < 1 || n > skipped {
		return false
	}
	low, high := k.offset(first, second)
	return low <= high+typing
}

// offset is how far the device's clock is ahead, between low and high: what every code given allows. A device shows the
// code of a step while its clock is in that period.
func (k Key) offset(codes ...seen) (low, high time.Duration) {
	low, high = math.MinInt64, math.MaxInt64
	p := time.Duration(k.period()) * time.Second
	for _, s := range codes {
		begins := time.Unix(s.Step*k.period(), 0).Sub(time.UnixMilli(s.At))
		low, high = max(low, begins), min(high, begins+p)
	}
	return low, high
}

// learn draws the conclusion from the second of two agreeing codes: one step of drift, if drift can reach this clock at
// all, and the hint. Nil means that the device's clock is right again, after a drift had been learned: then the code is
// good by the window every credential begins with, and the drift is forgotten.
func (d *data) learn(second seen, now time.Time, strict bool) error {
	first := *d.Seen
	d.Seen = &second
	home := data{Key: d.Key}
	if from, to := home.window(now, strict); d.Drift != 0 && from <= second.Step && second.Step <= to {
		d.Drift = 0
		return nil
	}
	from, to := d.window(now, strict)
	switch target := d.Drift + max(second.Step-to, 0) + min(second.Step-from, 0); { // whose window just holds this step
	case target < -driftMax || target > driftMax: // the clock is too far off; moving would help nobody
	case target > d.Drift:
		d.Drift++
	case target < d.Drift:
		d.Drift--
	}
	low, high := d.offset(first, second)
	return errClock(low, high)
}

// errClock tells by how many seconds a clock is off, the middle of what is possible.
func errClock(low, high time.Duration) error {
	middle := low + (high-low)/2
	direction := "fast"
	if middle < 0 {
		direction, middle = "slow", -middle
	}
	return authn.Reject("code-clock", "seconds", int(math.Round(middle.Seconds())), "direction", direction).In("code")
}

// newKey turns the third wrong answer into its own message; what is known of the clock goes along.
func newKey(why error) error {
	e := authn.Reject("code-wrong-new-key").In("code")
	if f := fault.As(why); f != nil {
		e.Args = f.Args
	}
	return e
}
