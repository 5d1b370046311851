package sqlstore

import (
	"strings"
	"time"

	"doorward/internal/helpdesk"
)

// Rules of requests for help: a person has one that is open or approved, which a unique index keeps; every change goes
// through the version, so that of an approval, a refusal, a cancellation and a use at once one happens.

const helpRequestColumns = `id, realm, number, person, organization, address, why, kinds, everything, words, reason, channel, opener, asked,
	checks, approvals, needed, state, live_from, live_until, created, closed, closed_by, closed_why, version`

const helpRequestLive = ` AND state IN ('open', 'approved')`

var (
	insertHelpRequest = statement(`INSERT INTO help_request (` + helpRequestColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
		ON CONFLICT DO NOTHING`)
	selectHelpRequest         = statement(`SELECT ` + helpRequestColumns + ` FROM help_request WHERE realm = $1 AND id = $2`)
	selectHelpRequestByNumber = statement(`SELECT ` + helpRequestColumns + ` FROM help_request WHERE realm = $1 AND number = $2`)
	selectHelpRequestsOf      = statement(`SELECT ` + helpRequestColumns + ` FROM help_request
		WHERE realm = $1 AND person = $2 AND person <> '' ORDER BY id DESC LIMIT $3`)
	selectHelpRequestsLive = statement(`SELECT ` + helpRequestColumns + ` FROM help_request
		WHERE realm = $1 AND person = $2 AND person <> ''` + helpRequestLive)
	selectHelpFound = map[helpdesk.State]helpTexts{
		"":                helpFound(helpRequestLive),
		helpdesk.Open:     helpFound(helpRequestLive + ` AND state = 'open'`),
		helpdesk.Approved: helpFound(helpRequestLive + ` AND state = 'approved'`),
		helpdesk.Ended:    helpFound(` AND state NOT IN ('open', 'approved')`),
	}
	selectHelped = statement(`SELECT person FROM help_request
		WHERE realm = $1 AND person IN (` + placeholders(2, credentialBatch) + `) AND person <> ''` + helpRequestLive)
	updateHelpRequest = statement(`UPDATE help_request SET person = $3, organization = $4, kinds = $5, everything = $6, reason = $7, asked = $8,
		checks = $9, approvals = $10, needed = $11, state = $12, live_from = $13, live_until = $14, closed = $15, closed_by = $16, closed_why = $17,
		why = $19, version = version + 1 WHERE id = $1 AND realm = $2 AND version = $18`)
	existsHelpRequest = statement(`SELECT 1 FROM help_request WHERE id = $1`)
)

// helpTexts are a search through all organizations and one within one of them: each has its index.
type helpTexts struct{ all, one string }

// helpFound is one page of requests. Checks and approvals are documents: who made one stands in them as "by", and what is
// typed into a document cannot look like that, since its quotation marks are escaped.
func helpFound(state string) helpTexts {
	page := func(organization string) string {
		return statement(`SELECT ` + helpRequestColumns + ` FROM help_request WHERE realm = $1 AND ` + organization + state + `
		AND ($5 = '' OR organization IN (SELECT id FROM organization WHERE realm = $1 AND sort >= $5 AND sort < $6))
		AND ($7 = '' OR opener = $7 OR closed_by = $7 OR checks LIKE '%"by":"' || $7 || '"%' OR approvals LIKE '%"by":"' || $7 || '"%')
		AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`)
	}
	return helpTexts{all: page(`$4 = ''`), one: page(`organization = $4`)}
}

func scanHelpRequest(_ *Tx, r row) (q helpdesk.Request, err error) {
	err = r.Scan(&q.ID, &q.Realm, &q.Number, &q.Person, &q.Organization, &q.Address, &q.Why, document{&q.Kinds}, &q.Everything, &q.Words,
		&q.Reason, &q.Channel, &q.Opener, &q.Asked, document{&q.Checks}, document{&q.Approvals}, &q.Needed, &q.State,
		stamp{&q.From}, stamp{&q.Until}, stamp{&q.Created}, stamp{&q.Closed}, &q.ClosedBy, &q.ClosedWhy, &q.Version)
	return q, err
}

func (t *Tx) helpDocuments(q helpdesk.Request) (kinds, checks, approvals string, err error) {
	if kinds, err = t.text(q.Kinds); err != nil {
		return "", "", "", err
	}
	if checks, err = t.text(q.Checks); err != nil {
		return "", "", "", err
	}
	approvals, err = t.text(q.Approvals)
	return kinds, checks, approvals, err
}

// AddHelpRequest adds a request. It fails with fault.Exists where its number is taken, or its person has another one that
// is open or approved.
func (t *Tx) AddHelpRequest(q helpdesk.Request) error {
	kinds, checks, approvals, err := t.helpDocuments(q)
	if err != nil {
		return err
	}
	return t.insert(insertHelpRequest, q.ID, q.Realm, q.Number, q.Person, q.Organization, q.Address, q.Why, kinds, q.Everything, q.Words,
		q.Reason, q.Channel, q.Opener, q.Asked, checks, approvals, q.Needed, q.State, millis(q.From), millis(q.Until), millis(q.Created),
		millis(q.Closed), q.ClosedBy, q.ClosedWhy, q.Version)
}

// HelpRequest finds a request of a realm.
func (t *Tx) HelpRequest(realm, id string) (helpdesk.Request, error) {
	return one(t, scanHelpRequest, selectHelpRequest, realm, id)
}

// HelpRequestByNumber finds a request by the number that is said on the phone.
func (t *Tx) HelpRequestByNumber(realm, number string) (helpdesk.Request, error) {
	return one(t, scanHelpRequest, selectHelpRequestByNumber, realm, number)
}

// HelpRequestsOf returns the newest requests about a person, in whatever state.
func (t *Tx) HelpRequestsOf(realm, person string, limit int) ([]helpdesk.Request, error) {
	return list(t, scanHelpRequest, selectHelpRequestsOf, realm, person, limit)
}

// HelpRequestsLive returns the open and approved requests about a person: one at most, and none for nobody.
func (t *Tx) HelpRequestsLive(realm, person string) ([]helpdesk.Request, error) {
	return list(t, scanHelpRequest, selectHelpRequestsLive, realm, person)
}

// Helped returns those of several people, at most fifty, whom an open or approved request helps.
func (t *Tx) Helped(realm string, people []string) ([]string, error) {
	if len(people) == 0 {
		return nil, nil
	}
	args := []any{realm}
	for i := range credentialBatch { // the last one again where there are fewer
		args = append(args, people[min(i, len(people)-1)])
	}
	return list(t, func(_ *Tx, r row) (id string, err error) { return id, r.Scan(&id) }, selectHelped, args...)
}

// HelpInbox pages through the open and approved requests of a realm, newest first; organization narrows it, before is the
// id of the last one of the page before.
func (t *Tx) HelpInbox(realm, organization, before string, limit int) ([]helpdesk.Request, error) {
	return t.HelpFound(helpdesk.Search{Realm: realm, Organization: organization, Before: before, Limit: limit})
}

// HelpFound pages through the requests that a search selects, newest first.
func (t *Tx) HelpFound(f helpdesk.Search) ([]helpdesk.Request, error) {
	texts, ok := selectHelpFound[f.State]
	if !ok || strings.ContainsAny(f.Mine, `%_\"`) { // an id that would match others'
		return nil, nil
	}
	text := texts.all
	if f.Organization != "" {
		text = texts.one
	}
	words := folded(strings.TrimSpace(f.Customer))
	return list(t, scanHelpRequest, text, f.Realm, f.Before, f.Limit, f.Organization, words, words+afterEverything, f.Mine)
}

// UpdateHelpRequest stores what may change of a request. Of two that started from the same version one wins, the other is
// "stale".
func (t *Tx) UpdateHelpRequest(q helpdesk.Request) error {
	kinds, checks, approvals, err := t.helpDocuments(q)
	if err != nil {
		return err
	}
	return t.update(existsHelpRequest, q.ID, updateHelpRequest, q.ID, q.Realm, q.Person, q.Organization, kinds, q.Everything, q.Reason, q.Asked,
		checks, approvals, q.Needed, q.State, millis(q.From), millis(q.Until), millis(q.Closed), q.ClosedBy, q.ClosedWhy, q.Version, q.Why)
}

// helpKept is how long a closed request stays: whoever looks after the same person sees what was refused.
const helpKept = 2 * 365 * 24 * time.Hour
