package sqlstore

import (
	"time"

	"doorward/internal/authn"
	"doorward/internal/helpdesk"
)

// Rules of exemptions: a person has one that is proposed or live, which a unique index keeps. Each step is an update of
// the state before: of two who second it, or of a use and an end at once, one finds the row as it wants it. The person's
// row says the same in short, so that nobody else pays for the look; it is changed in the same transaction.

const exemptionColumns = `id, realm, person, organization, kind, reason, hours, state, given_by, given_name, second_by, second_name,
	created, until, uses, used, closed, closed_by, closed_why`

var (
	insertExemption = statement(`INSERT INTO exemption (` + exemptionColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT DO NOTHING`)
	selectExemption   = statement(`SELECT ` + exemptionColumns + ` FROM exemption WHERE realm = $1 AND id = $2`)
	selectExemptionOf = statement(`SELECT ` + exemptionColumns + ` FROM exemption WHERE realm = $1 AND person = $2 AND state IN ('proposed', 'live')`)
	selectExemptions  = statement(`SELECT ` + exemptionColumns + ` FROM exemption WHERE realm = $1 AND state IN ('proposed', 'live') ORDER BY id`)
	secondExemption   = statement(`UPDATE exemption SET state = 'live', second_by = $3, second_name = $4, until = $5
		WHERE realm = $1 AND id = $2 AND state = 'proposed' AND given_by <> $3`)
	useExemption = statement(`UPDATE exemption SET uses = uses + 1, used = $3
		WHERE realm = $1 AND person = $2 AND state IN ('proposed', 'live') AND state = 'live' AND until > $3 RETURNING ` + exemptionColumns)
	closeExemption = statement(`UPDATE exemption SET state = 'ended', closed = $3, closed_by = $4, closed_why = $5
		WHERE realm = $1 AND id = $2 AND state IN ('proposed', 'live')`)
	markExempt = statement(`UPDATE person SET exempt = $3, exempt_until = $4, version = version + 1 WHERE realm = $1 AND id = $2`)

	insertRolloutNotice = statement(`INSERT INTO rollout_notice (realm, rollout, person, what, sent) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`)
	insertRolloutDelay  = statement(`INSERT INTO rollout_delay (realm, rollout, person, times, last) VALUES ($1, $2, $3, 1, $4)
		ON CONFLICT (realm, rollout, person) DO UPDATE SET times = rollout_delay.times + 1, last = $4`)
	selectRolloutDelays = statement(`SELECT person, times FROM rollout_delay WHERE realm = $1 AND rollout = $2 AND person IN (` +
		placeholders(3, credentialBatch) + `)`)
	selectKindsEverOf = statement(`SELECT DISTINCT person, kind FROM credential WHERE realm = $1 AND person IN (` + placeholders(2, credentialBatch) + `)`)
)

func scanExemption(_ *Tx, r row) (e helpdesk.Exemption, err error) {
	err = r.Scan(&e.ID, &e.Realm, &e.Person, &e.Organization, &e.Kind, &e.Reason, &e.Hours, &e.State, &e.By, &e.ByName, &e.Second, &e.SecondName,
		stamp{&e.Created}, stamp{&e.Until}, &e.Uses, stamp{&e.Used}, stamp{&e.Closed}, &e.ClosedBy, &e.ClosedWhy)
	return e, err
}

// AddExemption adds a proposal. It fails with fault.Exists where its person has one that is proposed or live.
func (t *Tx) AddExemption(e helpdesk.Exemption) error {
	return t.insert(insertExemption, e.ID, e.Realm, e.Person, e.Organization, e.Kind, e.Reason, e.Hours, e.State, e.By, e.ByName, e.Second,
		e.SecondName, millis(e.Created), millis(e.Until), e.Uses, millis(e.Used), millis(e.Closed), e.ClosedBy, e.ClosedWhy)
}

// Exemption finds one of a realm.
func (t *Tx) Exemption(realm, id string) (helpdesk.Exemption, error) {
	return one(t, scanExemption, selectExemption, realm, id)
}

// ExemptionOf finds the one of a person that is proposed or live.
func (t *Tx) ExemptionOf(realm, person string) (helpdesk.Exemption, error) {
	return one(t, scanExemption, selectExemptionOf, realm, person)
}

// Exemptions lists those of a realm that are proposed or live, oldest first.
func (t *Tx) Exemptions(realm string) ([]helpdesk.Exemption, error) {
	return list(t, scanExemption, selectExemptions, realm)
}

// SecondExemption makes a proposal live. It is fault.Conflict "stale" where it is none any more, or who seconds it is who
// proposed it.
func (t *Tx) SecondExemption(e helpdesk.Exemption) error {
	n, err := t.exec(secondExemption, e.Realm, e.ID, e.Second, e.SecondName, millis(e.Until))
	switch {
	case err != nil:
		return err
	case n == 0:
		return errStale
	}
	t.Bump()
	_, err = t.exec(markExempt, e.Realm, e.Person, e.Kind, millis(e.Until))
	return err
}

// UseExemption counts a sign-in by a person's exemption. It fails with fault.NotFound where none lives at now.
func (t *Tx) UseExemption(realm, person string, now time.Time) (helpdesk.Exemption, error) {
	all, err := returning(t, scanExemption, useExemption, realm, person, millis(now))
	if err == nil && len(all) == 0 {
		err = errNotFound
	}
	if err != nil {
		return helpdesk.Exemption{}, err
	}
	return all[0], nil
}

// CloseExemption ends one that is proposed or live, with Closed, ClosedBy and ClosedWhy; else it is fault.Conflict "stale".
func (t *Tx) CloseExemption(e helpdesk.Exemption) error {
	n, err := t.exec(closeExemption, e.Realm, e.ID, millis(e.Closed), e.ClosedBy, e.ClosedWhy)
	switch {
	case err != nil:
		return err
	case n == 0:
		return errStale
	}
	t.Bump()
	_, err = t.exec(markExempt, e.Realm, e.Person, "", int64(0))
	return err
}

// NoteRollout notes that a person was written to about a roll-out; fresh is false where they were before.
func (t *Tx) NoteRollout(realm, rollout, person, what string, now time.Time) (fresh bool, err error) {
	n, err := t.exec(insertRolloutNotice, realm, rollout, person, what, millis(now))
	return n > 0, err
}

// AddDelay counts that a person put off what a roll-out asks for.
func (t *Tx) AddDelay(realm, rollout, person string, now time.Time) error {
	_, err := t.exec(insertRolloutDelay, realm, rollout, person, millis(now))
	return err
}

// delays is how often one person put something off.
type delays struct {
	person string
	times  int
}

// Delays says how often each of several people put off what a roll-out asks for; who never did is left out.
func (t *Tx) Delays(realm, rollout string, people []string) (map[string]int, error) {
	out := map[string]int{}
	err := t.batches(people, func(some []any) error {
		all, err := list(t, func(_ *Tx, r row) (d delays, err error) { return d, r.Scan(&d.person, &d.times) },
			selectRolloutDelays, append([]any{realm, rollout}, some...)...)
		for _, d := range all {
			out[d.person] = d.times
		}
		return err
	})
	return out, err
}

// kindOf is a kind that a person holds or held.
type kindOf struct {
	person string
	kind   authn.Kind
}

// KindsEverOf is KindsEver for several people.
func (t *Tx) KindsEverOf(realm string, people []string) (map[string][]authn.Kind, error) {
	out := map[string][]authn.Kind{}
	err := t.batches(people, func(some []any) error {
		all, err := list(t, func(_ *Tx, r row) (k kindOf, err error) { return k, r.Scan(&k.person, &k.kind) },
			selectKindsEverOf, append([]any{realm}, some...)...)
		for _, k := range all {
			out[k.person] = append(out[k.person], k.kind)
		}
		return err
	})
	return out, err
}

// batches calls do with as many people at a time as a statement holds; the last one again where there are fewer.
func (t *Tx) batches(people []string, do func([]any) error) error {
	for len(people) > 0 {
		n := min(len(people), credentialBatch)
		some := make([]any, credentialBatch)
		for i := range some {
			some[i] = people[min(i, n-1)]
		}
		if err := do(some); err != nil {
			return err
		}
		people = people[n:]
	}
	return nil
}
