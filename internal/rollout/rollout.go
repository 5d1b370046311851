// Package rollout switches stricter policies on in waves (REQ B2, B84): it says which policy counts for a person at a
// moment, who is ready for what comes, and writes to those who are not.
package rollout

import (
	"context"
	"slices"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/mail"
)

// Tx is what a roll-out needs of one transaction.
type Tx interface {
	People(directory.PersonFilter) ([]directory.Person, error)
	Organization(realm, id string) (directory.Organization, error)
	Organizations(realm, afterName, afterID string, limit int) ([]directory.Organization, error)
	Holdings
	Delays(realm, rollout string, people []string) (map[string]int, error)
	NoteRollout(realm, rollout, person, what string, now time.Time) (fresh bool, err error)
	Enqueue(mail.Message) error
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Service is safe for concurrent use.
type Service struct {
	Store Store
	Clock func() time.Time
	Count func(metric string, labels ...string) // may be nil
}

// Readiness is how a person stands to a roll-out.
type Readiness string

// Readinesses.
const (
	Ready    Readiness = "ready"    // holds a combination of the new policy whole
	Able     Readiness = "able"     // lacks something, and can set it up at the next sign-in
	Stranded Readiness = "stranded" // lacks something, and could not come in after the end without help
	SetsUp   Readiness = "sets-up"  // was never in: the first set-up asks for it
)

// PageSize is how many people are looked at in one transaction.
const PageSize = 200

// Standing is one person of a report.
type Standing struct {
	directory.Person
	Readiness Readiness
	Reason    authn.Reason // of who is stranded
	Delays    int          // how often they put it off
}

// judge says how somebody stands to rules that are to come.
func judge(after authn.Rules, p authn.Person) (Readiness, authn.Reason) {
	after = after.Plain()
	if !p.EverActive {
		return SetsUp, ""
	}
	if reason, is := authn.Stranded(after, p); is {
		return Stranded, reason
	}
	if authn.Lacks(after, p) {
		return Able, ""
	}
	return Ready, ""
}

// At is the plain policy that counts for a person at a time: every roll-out whose grace has ended by then.
func At(r directory.Realm, policies *authn.Policies, p directory.Person, o directory.Organization, t time.Time) (authn.Rules, error) {
	rules, err := Rules(r, policies, p, o, authn.Goal{}, t)
	return rules.Plain(), err
}

// Ends are the moments at which a grace of the realm ends after t, each once, in order.
func Ends(r directory.Realm, t time.Time) (ends []time.Time) {
	for _, ro := range r.Rollouts {
		for _, w := range ro.Waves {
			if w.Until.After(t) {
				ends = append(ends, w.Until)
			}
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	return slices.CompactFunc(ends, time.Time.Equal)
}

// Holdings finds what people hold and held.
type Holdings interface {
	CredentialsOf(realm string, people []string) ([]authn.Credential, error)
	KindsEverOf(realm string, people []string) (map[string][]authn.Kind, error)
}

// Known is what the engine knows of several people: what they hold, and what they never held.
func Known(tx Holdings, realm string, people []directory.Person) (map[string]authn.Person, error) {
	ids := make([]string, len(people))
	out := make(map[string]authn.Person, len(people))
	for i, p := range people {
		ids[i] = p.ID
		out[p.ID] = authn.Person{ID: p.ID, EverActive: p.EverActive()}
	}
	creds, err := tx.CredentialsOf(realm, ids)
	if err != nil {
		return nil, err
	}
	ever, err := tx.KindsEverOf(realm, ids)
	if err != nil {
		return nil, err
	}
	for _, c := range creds {
		p := out[c.Person]
		p.Held = append(p.Held, authn.Holding{Kind: c.Kind, Credential: c.ID, Suspended: c.State == authn.Suspended, Bound: c.Created, LastUsed: c.LastUsed})
		out[c.Person] = p
	}
	for id, p := range out {
		for _, i := range authn.Kinds {
			if i.Held && !slices.Contains(ever[id], i.Kind) {
				p.Never = append(p.Never, i.Kind)
			}
		}
		out[id] = p
	}
	return out, nil
}

// everybody calls do with the active and invited people of an organization, page by page, each page in a transaction of
// its own; done is called after each.
func (s *Service) everybody(ctx context.Context, realm, organization string, write bool, do func(tx Tx, people []directory.Person, known map[string]authn.Person) error, done func()) error {
	f := directory.PersonFilter{Realm: realm, Organization: organization, Limit: PageSize}
	for {
		var people []directory.Person
		begin := s.Store.Read
		if write {
			begin = s.Store.Write
		}
		if err := begin(ctx, func(tx Tx) (err error) {
			if people, err = tx.People(f); err != nil {
				return err
			}
			known, err := Known(tx, realm, people)
			if err != nil {
				return err
			}
			open := slices.DeleteFunc(slices.Clone(people), func(p directory.Person) bool { return p.State == directory.Disabled })
			return do(tx, open, known)
		}); err != nil {
			return err
		}
		done()
		if len(people) < PageSize {
			return nil
		}
		last := people[len(people)-1]
		f.AfterName, f.AfterID = last.Name, last.ID
	}
}

// organizations lists those of a realm that some wave reaches.
func (s *Service) organizations(ctx context.Context, r directory.Realm) (all []directory.Organization, err error) {
	var name, id string
	for {
		var some []directory.Organization
		if err := s.Store.Read(ctx, func(tx Tx) (err error) {
			some, err = tx.Organizations(r.ID, name, id, PageSize)
			return err
		}); err != nil {
			return nil, err
		}
		for _, o := range some {
			if o.State == directory.Active && len(r.Dues(o)) > 0 {
				all = append(all, o)
			}
		}
		if len(some) < PageSize {
			return all, nil
		}
		name, id = some[len(some)-1].Name, some[len(some)-1].ID
	}
}

// Row is a roll-out in one organization.
type Row struct {
	Due          directory.Due
	Organization directory.Organization
	People       int
	Count        map[Readiness]int
	Delays       int
}

// Report says for every roll-out and organization how many are ready, able and stranded. Staff see all of the realm,
// administrators their own organization. It fails with fault.Forbidden "not-allowed" for everybody else.
func (s *Service) Report(ctx context.Context, by directory.Person, r directory.Realm, policies *authn.Policies) (rows []Row, err error) {
	orgs, err := s.seen(ctx, by, r)
	if err != nil {
		return nil, err
	}
	for _, o := range orgs {
		for _, d := range r.Dues(o) {
			row := Row{Due: d, Organization: o, Count: map[Readiness]int{}}
			if err := s.each(ctx, r, policies, o, d, func(st Standing) {
				row.People++
				row.Count[st.Readiness]++
				row.Delays += st.Delays
			}); err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return a.Due.Until.Compare(b.Due.Until) })
	return rows, nil
}

// Asked is a roll-out in grace that asks something of a person.
type Asked struct {
	Due       directory.Due
	Readiness Readiness
}

// Mine are the roll-outs in grace that ask something of one person.
func (s *Service) Mine(ctx context.Context, p directory.Person, o directory.Organization, r directory.Realm, policies *authn.Policies) (all []Asked, err error) {
	now := s.Clock()
	dues := slices.DeleteFunc(r.Dues(o), func(d directory.Due) bool { return !d.Grace(now) })
	if len(dues) == 0 {
		return nil, nil
	}
	err = s.Store.Read(ctx, func(tx Tx) error {
		all = nil
		known, err := Known(tx, r.ID, []directory.Person{p})
		if err != nil {
			return err
		}
		for _, d := range dues {
			rules, err := At(r, policies, p, o, d.Until)
			if err != nil {
				return err
			}
			if how, _ := judge(rules, known[p.ID]); how == Able || how == Stranded {
				all = append(all, Asked{d, how})
			}
		}
		return nil
	})
	return all, err
}

// ListMost is how many people a list of a report holds.
const ListMost = 200

// List names those of one organization who are not ready for a roll-out: who is stranded first. more says that there are
// more than ListMost. Errors: those of Report; fault.NotFound where the organization or the roll-out is not there.
func (s *Service) List(ctx context.Context, by directory.Person, r directory.Realm, policies *authn.Policies, rollout, organization string) (row Row, people []Standing, more bool, err error) {
	orgs, err := s.seen(ctx, by, r)
	if err != nil {
		return row, nil, false, err
	}
	row.Count = map[Readiness]int{}
	for _, o := range orgs {
		for _, d := range r.Dues(o) {
			if o.ID == organization && d.Rollout.ID == rollout {
				row.Due, row.Organization = d, o
			}
		}
	}
	if row.Organization.ID == "" {
		return row, nil, false, fault.New(fault.NotFound, "not-found")
	}
	err = s.each(ctx, r, policies, row.Organization, row.Due, func(st Standing) {
		row.People++
		row.Count[st.Readiness]++
		row.Delays += st.Delays
		if st.Readiness != Ready {
			people = append(people, st)
		}
	})
	slices.SortStableFunc(people, func(a, b Standing) int { return order(a.Readiness) - order(b.Readiness) })
	if more = len(people) > ListMost; more {
		people = people[:ListMost]
	}
	return row, people, more, err
}

func order(r Readiness) int { return slices.Index([]Readiness{Stranded, Able, SetsUp, Ready}, r) }

// seen are the organizations that some wave reaches and the actor may look into.
func (s *Service) seen(ctx context.Context, by directory.Person, r directory.Realm) ([]directory.Organization, error) {
	all := directory.MayListAll(by)
	if !all && (by.Role != directory.Administrator || by.State != directory.Active) {
		return nil, fault.New(fault.Forbidden, "not-allowed")
	}
	orgs, err := s.organizations(ctx, r)
	if err != nil || all {
		return orgs, err
	}
	return slices.DeleteFunc(orgs, func(o directory.Organization) bool { return o.ID != by.Organization }), nil
}

// each judges everybody of an organization by what counts when a grace has ended.
func (s *Service) each(ctx context.Context, r directory.Realm, policies *authn.Policies, o directory.Organization, d directory.Due, do func(Standing)) error {
	at := d.Until
	if now := s.Clock(); now.After(at) {
		at = now
	}
	after := map[authn.Audience]authn.Rules{}
	var page []Standing // of one transaction, which may run again
	return s.everybody(ctx, r.ID, o.ID, false, func(tx Tx, people []directory.Person, known map[string]authn.Person) error {
		page = page[:0]
		ids := make([]string, len(people))
		for i, p := range people {
			ids[i] = p.ID
		}
		delays, err := tx.Delays(r.ID, d.Rollout.ID, ids)
		if err != nil {
			return err
		}
		for _, p := range people {
			rules, ok := after[AudienceOf(p.Role)]
			if !ok {
				if rules, err = At(r, policies, p, o, at); err != nil {
					return err
				}
				after[AudienceOf(p.Role)] = rules
			}
			st := Standing{Person: p, Delays: delays[p.ID]}
			st.Readiness, st.Reason = judge(rules, known[p.ID])
			page = append(page, st)
		}
		return nil
	}, func() {
		for _, st := range page {
			do(st)
		}
	})
}
