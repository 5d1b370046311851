package admin

import (
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
)

// judge gathers what helpdesk.Compute decides from, and the other requests about the person, newest first.
func (s *Requests) judge(tx RequestTx, by login.By, r helpdesk.Request, p directory.Person, now time.Time) (helpdesk.Case, []helpdesk.Request, error) {
	q := by.Realm.Requests.Strict()
	c := helpdesk.Case{
		Target: p, Kinds: r.Kinds, All: r.Everything, Required: q.Required(),
		Cooling: time.Duration(q.Cooling) * time.Minute, Longer: time.Duration(q.Longer) * time.Hour,
		Vouched: by.Person.Role == directory.Administrator && by.Person.Organization == p.Organization,
		Sampled: s.sampled(r, q),
	}
	var err error
	if c.Policy, c.Remains, err = s.policy(tx, by.Realm, p, r.Kinds, r.Everything); err != nil {
		return c, nil, err
	}
	all, err := tx.HelpRequestsOf(p.Realm, p.ID, lastFew)
	if err != nil {
		return c, nil, err
	}
	earlier := slices.DeleteFunc(all, func(e helpdesk.Request) bool { return e.ID == r.ID })
	c.Failed, c.Refused = helpdesk.Suspect(earlier, now)
	c.Failed = c.Failed || r.AnyFailed()
	if c.Demoted, err = demoted(tx, p, now); err != nil {
		return c, nil, err
	}
	org, err := tx.Organization(p.Realm, p.Organization)
	if err != nil {
		return c, nil, err
	}
	for _, since := range []time.Time{p.PhoneSince, org.PhoneSince} {
		c.Number = c.Number || now.Sub(since) < helpdesk.Lately
	}
	if c.Raised, err = raised(tx, by.Person, r.Approvals, now); err != nil {
		return c, nil, err
	}
	c.Both = helpdesk.Both(r.Kinds, r.Everything, earlier, now)
	c.Again = helpdesk.Again(earlier, now)
	for _, e := range earlier { // chosen, seen to be, stopped and asked for again: the second look is still owed
		c.Sampled = c.Sampled || e.State == helpdesk.Cancelled && len(e.Approvals) > 0 && now.Sub(e.Created) < helpdesk.Lately && s.sampled(e, q)
	}
	return c, earlier, nil
}

// demoted reports whether somebody was more than a member lately, as the trail has it.
func demoted(tx RequestTx, p directory.Person, now time.Time) (bool, error) {
	events, err := tx.Events(audit.Query{Realm: p.Realm, Person: p.ID, Types: []string{"person.role"}, Limit: lastFew})
	return slices.ContainsFunc(events, func(e audit.Event) bool {
		return e.Data["was"] != string(directory.Member) && now.Sub(e.At) < helpdesk.Lately
	}), err
}

// raised reports whether somebody and one of those who approved already invited the other, or gave them a role, lately.
func raised(tx RequestTx, by directory.Person, approvals []helpdesk.Approval, now time.Time) (bool, error) {
	for _, a := range approvals {
		if yes, err := audit.Raised(tx, by.Realm, by.ID, a.By, now.Add(-helpdesk.Lately)); yes || err != nil {
			return yes, err
		}
	}
	return false, nil
}

// sampled reports whether a request was chosen for a second look. Nobody can tell beforehand which are.
func (s *Requests) sampled(r helpdesk.Request, q directory.Requests) bool {
	return int(s.Ring.Hash("second-look", r.ID)[0])*100 < q.SecondLook*256
}
