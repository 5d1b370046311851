package authn

import (
	"slices"
	"time"
)

// Stranded reports whether a person could not come in under rules, and why: with everything they hold and can show,
// their mailbox, an invitation where they were never active, and the call. Approved requests are left out: the question
// is who would need one.
func Stranded(r Rules, p Person) (Reason, bool) {
	p.Grants = nil
	if p.ID == "" {
		p.ID = "somebody"
	}
	can := setOf(Mail, Call, Spoken)
	if !p.EverActive {
		can |= setOf(Invite)
	}
	for _, h := range p.Held {
		if !h.Suspended {
			can |= bit(h.Kind)
		}
	}
	ok, why := try(r, p, Goal{}, can)
	for _, k := range loginKinds() {
		if ok {
			return "", false
		}
		// Perhaps what is missing, or names nobody at the first page, can be replaced first.
		if fixed, _ := try(r, p, Goal{Bind: k, Way: ByReplace}, can); fixed {
			then := p
			then.Held = append(holdings(bit(k)), p.Held...)
			ok, _ = try(r, then, Goal{}, can|bit(k))
		}
	}
	if ok {
		return "", false
	}
	if why == "" {
		why = NoWay // nothing that they have even names them
	}
	return why, true
}

// Helps reports whether an approved request would let a person in who can show these kinds, of what they hold and of what
// is shown once (the mailbox, the call, a spoken code), and nothing else. The window of the grant is not looked at.
func Helps(r Rules, p Person, g Grant, means ...Kind) bool {
	g.From, g.Until = trial.Add(-time.Hour), trial.Add(time.Hour)
	p.Grants, p.EverActive = []Grant{g}, true
	p.Held = slices.Clone(p.Held)
	for i := range p.Held {
		p.Held[i].Bound = time.Time{} // before the grant, whenever that is
	}
	if p.ID == "" {
		p.ID = "somebody"
	}
	ok, _ := try(r, p, Goal{}, setOf(means...))
	return ok
}

// approved is a live request by two approvers.
func approved(kinds ...Kind) Grant {
	return Grant{ID: "request", Kinds: kinds, Approvers: 2, From: trial.Add(-time.Hour), Until: trial.Add(time.Hour)}
}

// trial is the time at which walks of the checker happen. Nothing depends on which it is.
var trial = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// try walks every way that somebody with these means can take towards a goal, and returns the most useful reason if
// none reaches it.
func try(r Rules, p Person, g Goal, can set) (bool, Reason) {
	w := &walker{rules: r, seen: map[place]bool{}}
	return w.reach(p, Flow{ID: "trial", Goal: g, Now: trial, Created: trial}, can), w.why
}

type walker struct {
	rules Rules
	seen  map[place]bool
	why   Reason
}

// place is what tells two moments of one walk apart.
type place struct {
	shown, bound, held, owed uint16
	again                    bool // a certificate was shown after the call
}

func (w *walker) reach(p Person, f Flow, can set) bool {
	at := place{owed: uint16(len(p.Owed))}
	for _, e := range f.Evidence {
		if e.Bound {
			at.bound |= uint16(bit(e.Kind))
		} else {
			at.again = at.again || e.Kind == Cert && at.shown&uint16(bit(Call)) != 0
			at.shown |= uint16(bit(e.Kind))
		}
	}
	for _, h := range p.Held {
		at.held |= uint16(bit(h.Kind))
	}
	if w.seen[at] {
		return false
	}
	w.seen[at] = true
	step := look(slack{}, w.rules, p, f).step()
	switch step.Act {
	case ActAdmit:
		return true
	case ActPerform:
		next, flow := walk(step, "", p, f)
		return w.reach(next, flow, can)
	case ActStuck:
		if w.why == "" || rank(step.Reason) < rank(w.why) {
			w.why = step.Reason
		}
	case ActBind:
		for _, k := range step.Kinds {
			next, flow := walk(step, k, p, f)
			if w.reach(next, flow, can|bit(k)) {
				return true
			}
		}
	}
	shows := step
	shows.Act = ActProve
	offered := step.Also
	if step.Act == ActProve {
		offered = slices.Concat(step.Kinds, step.Also)
	}
	for _, k := range offered {
		if can.has(k) {
			next, flow := walk(shows, k, p, f)
			flow.Person = p.ID
			if w.reach(next, flow, can) {
				return true
			}
		}
	}
	return false
}
