package recoverymatrix

import (
	"fmt"
	"slices"
	"strings"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/sqlstore"
)

// facts are what a state is: all that can decide what comes next, and what has happened to the victim.
type facts struct {
	canon string   // equal where two states lead to the same
	about string   // what stands about the victim: every change of it is in the trail
	told  string   // what a change of which the victim is told by mail
	event string   // newest event about the victim
	lost  []string // what the attackers have won
}

// facts reads the state. Ids are replaced by what they stand for, so that two ways to the same are the same.
func (x *stage) facts() (f facts) {
	x.T.Helper()
	victim := x.a.victim().Is
	x.Read(func(tx *sqlstore.Tx) error {
		f = facts{}
		var about, told, canon strings.Builder
		p, err := tx.Person(victim.Realm, victim.ID)
		if err != nil {
			if fault.Of(err, fault.NotFound) {
				f.canon, f.about, f.told = "gone", "gone", "gone"
				return nil
			}
			return err
		}
		fmt.Fprintf(&told, "%s %s %s %s %s;", p.State, p.Role, p.Name, p.Address, p.Organization)
		creds, err := tx.Credentials(p.Realm, p.ID)
		if err != nil {
			return err
		}
		for _, c := range creds {
			whose := "own"
			if !slices.Contains(x.a.own, c.ID) {
				whose = "foreign"
				f.lost = append(f.lost, "a new "+string(c.Kind)+" is bound")
			}
			fmt.Fprintf(&told, " %s %s %s;", c.Kind, whose, c.State)
		}
		certs, err := tx.CertificatesOf(p.Realm, p.ID, 20)
		if err != nil {
			return err
		}
		for _, c := range certs {
			if !slices.Contains(x.a.own, c.ID) {
				f.lost = append(f.lost, "a new certificate is out")
			}
			fmt.Fprintf(&told, " certificate %s;", c.State)
		}
		sessions, err := tx.Sessions(p.Realm, p.ID)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if !slices.Contains(x.a.own, s.ID) {
				f.lost = append(f.lost, "a session is open")
			}
		}
		fmt.Fprintf(&told, " %d sessions;", len(sessions))
		asked, err := tx.HelpRequestsOf(p.Realm, p.ID, 100)
		if err != nil {
			return err
		}
		for _, q := range asked {
			fmt.Fprintf(&told, " %s %s;", q.State, x.named(q))
			if q.Opener == p.ID && q.Channel != helpdesk.ByAccount {
				f.lost = append(f.lost, "somebody opened a request for themselves")
			}
			fmt.Fprintf(&about, " %s %s checks", q.State, x.named(q))
			done := map[string]bool{}
			for _, c := range q.Checks {
				if what := c.Rule + "=" + string(c.Result) + "/" + x.who(c.By); !done[what] {
					done[what] = true
					about.WriteString(" " + what)
				}
			}
			about.WriteString(" approved")
			for _, a := range q.Approvals {
				about.WriteString(" " + x.who(a.By))
				if a.By == p.ID {
					f.lost = append(f.lost, "somebody approved for themselves")
				}
			}
			if q.State == helpdesk.Approved && len(q.Approvals) < 2 && victim.Role != directory.Member {
				f.lost = append(f.lost, "one person decided about somebody who was more than a member")
			}
			if hand := func(a helpdesk.Approval) bool { return x.who(a.By) == "ada" || x.who(a.By) == "puppet" }; q.State == helpdesk.Approved && victim.Role != directory.Member &&
				len(q.Approvals) > 1 && !slices.ContainsFunc(q.Approvals, func(a helpdesk.Approval) bool { return !hand(a) }) {
				f.lost = append(f.lost, "one hand with two accounts decided about somebody who was more than a member")
			}
			open := q.State == helpdesk.Approved && !x.Clock.Now().Before(q.From)
			fmt.Fprintf(&about, " of %d usable %t;", q.Needed, open)
		}
		f.told = told.String()
		f.about = f.told + about.String()
		canon.WriteString(f.about)
		for _, kind := range []authn.Kind{authn.Invite, authn.Mail} {
			links, err := tx.OneTimes(p.Realm, p.ID, kind)
			if err != nil {
				return err
			}
			for _, l := range links {
				if l.Used.IsZero() && l.Voided.IsZero() && x.Clock.Now().Before(l.Expires) {
					fmt.Fprintf(&canon, " link %s led %t read %t;", l.Purpose, l.Flow != "", x.w.links[l.Purpose] != "")
				}
			}
		}
		called, err := tx.ActivationsOf(p.Realm, p.ID, 1)
		if err != nil {
			return err
		}
		for _, c := range called {
			fmt.Fprintf(&canon, " call %s live %t by %s, %d confirmed;", c.State, c.Live(x.Clock.Now()), x.who(c.Agent), len(c.Confirmations))
		}
		var flows []string
		for _, id := range x.w.flows {
			flow, err := tx.Flow(p.Realm, id)
			if err != nil || flow.State != authn.FlowOpen || !x.Clock.Now().Before(flow.Expires) {
				continue
			}
			s := fmt.Sprintf("flow %s %s link %t choice %t:", flow.Goal.Bind, flow.Goal.Way, flow.OneTime != "", flow.Choice != "")
			for _, e := range flow.Evidence {
				s += fmt.Sprintf(" %s/%t", e.Kind, e.Bound)
			}
			if !slices.Contains(flows, s) {
				flows = append(flows, s)
			}
		}
		slices.Sort(flows)
		fmt.Fprintf(&canon, "%v waited %d, desk %v", flows, x.w.waits, x.a.desk)
		f.canon = canon.String()
		events, err := tx.Events(audit.Query{Realm: p.Realm, Person: p.ID, Limit: 1})
		if err == nil && len(events) > 0 {
			f.event = events[0].ID
		}
		return err
	})
	return f
}

// named says what a request is for, and who opened it.
func (x *stage) named(q helpdesk.Request) string {
	return fmt.Sprintf("%s %v %t by %s", q.Why, q.Kinds, q.Everything, x.who(q.Opener))
}

// who names somebody of the cast.
func (x *stage) who(id string) string {
	for name, s := range x.cast.people {
		if s.Is.ID == id {
			return name
		}
	}
	return "somebody"
}

// live is the request about the victim that is open or approved.
func (x *stage) live() (q helpdesk.Request, ok bool) {
	x.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.HelpRequestsLive(x.a.victim().Is.Realm, x.a.victim().Is.ID)
		if len(all) > 0 {
			q, ok = all[0], true
		}
		return err
	})
	return q, ok
}

// tickets are the open requests of the form that name the victim's address and nobody yet.
func (x *stage) tickets() (ids []string) {
	x.Read(func(tx *sqlstore.Tx) error {
		ids = nil
		all, err := tx.HelpInbox(x.a.victim().Is.Realm, "", "", 20)
		for _, q := range all {
			if q.Person == "" && q.Address == x.a.victim().Is.Address {
				ids = append(ids, q.ID)
			}
		}
		return err
	})
	return ids
}
