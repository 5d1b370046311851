package admin

import (
	"time"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
)

// What would help a person, from what is known about them (UX "Console": the next best action). It is a proposal: what is
// done about it asks directory.May like everything else.

// Advice is what would help, in the order in which it is looked for.
type Advice string

// Kinds of advice.
const (
	AdviceThaw     Advice = "thaw"     // frozen: speak with them, then enable
	AdviceEnable   Advice = "enable"   // disabled: enable, if they should get in
	AdviceAddress  Advice = "address"  // mails come back: nothing that is sent arrives
	AdviceResend   Advice = "resend"   // never here: the invitation is what helps
	AdviceCall     Advice = "call"     // never here and not invited: a certificate and a call are the way in
	AdviceRequest  Advice = "request"  // being helped already: go on there
	AdviceFactor   Advice = "factor"   // no second factor that counts: a new set-up
	AdviceWait     Advice = "wait"     // too many attempts: a pause, nothing is broken
	AdviceClock    Advice = "clock"    // codes of a phone whose clock is off
	AdviceCodes    Advice = "codes"    // codes are refused: ask for the phone first, reset if it is gone
	AdvicePassword Advice = "password" // the password is refused: they can set a new one themselves
	AdviceNothing  Advice = "nothing"  // nothing speaks for trouble
)

// Lately is how old a failure may be to be worth advice.
const Lately = 24 * time.Hour

// Advise says what would help somebody now.
func (d Detail) Advise(now time.Time) Advice {
	switch {
	case d.State == directory.Frozen:
		return AdviceThaw
	case d.State == directory.Disabled:
		return AdviceEnable
	case d.Bounced:
		return AdviceAddress
	case !d.EverActive() && d.Called:
		return AdviceCall
	case !d.EverActive():
		return AdviceResend
	case d.Live.ID != "":
		return AdviceRequest
	case !d.active():
		return AdviceFactor
	}
	failed := d.Failures(now)
	if len(failed) == 0 {
		return AdviceNothing
	}
	switch e := failed[0]; {
	case e.Type == "limiter.tripped":
		return AdviceWait
	case e.Data["code"] == "code-clock":
		return AdviceClock
	case e.Data["kind"] == string(authn.Password):
		return AdvicePassword
	}
	return AdviceCodes
}

func (d Detail) active() bool {
	for _, c := range d.Factors {
		if c.State == authn.Active {
			return true
		}
	}
	return false
}

// Failures are what went wrong lately and was not followed by a sign-in, newest first, at most three.
func (d Detail) Failures(now time.Time) (out []audit.Event) {
	for _, e := range d.Timeline {
		switch e.Type {
		case "signin.succeeded":
			return out
		case "signin.failed", "enrol.failed", "limiter.tripped":
			if e.Type == "limiter.tripped" && e.Data["kind"] == "" {
				continue // of a form, not of something that was shown
			}
			if now.Sub(e.At) < Lately && len(out) < 3 {
				out = append(out, e)
			}
		}
	}
	return out
}
