package sqlstore

import (
	"strings"
	"time"
	"unicode/utf8"

	"doorward/internal/directory"
)

// Lists of people are paged by (name, id) in lower case, each from an index that starts with what the filter fixes: the
// organization, else that somebody was never active, else the role, else the state, else the realm alone. What else the filter names is checked row by row.
// A search is the union of two such pages, of names and of addresses that begin with the words. Addresses are looked up
// in their own index when the words are long enough to leave few; with one or two letters so many match that walking by
// name finds a page sooner.

const (
	personOwn = `id, realm, organization, address, name, role, state, language, zone, contact, created, first_active, last_sign_in,
	invitation, bounced, version, phone, phone_since`
	personColumns = personOwn + `, exempt, exempt_until` // the last two change with an exemption alone
	fewLetters    = 2
	// afterEverything sorts behind every text that goes on after a prefix.
	afterEverything = "\U0010FFFF"
)

var (
	selectPerson          = statement(`SELECT ` + personColumns + ` FROM person WHERE realm = $1 AND id = $2`)
	selectPersonByAddress = statement(`SELECT ` + personColumns + ` FROM person WHERE realm = $1 AND address = $2`)
	selectAdministrators  = statement(`SELECT ` + personColumns + ` FROM person
		WHERE realm = $1 AND role = 'administrator' AND organization = $2 AND state = 'active' ORDER BY sort, id`)
	insertPerson = statement(`INSERT INTO person (` + personOwn + `, sort)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT DO NOTHING`)
	updatePerson = statement(`UPDATE person SET organization = $3, address = $4, name = $5, role = $6, state = $7, language = $8, zone = $9,
		contact = $10, first_active = CASE WHEN first_active = 0 THEN $11 ELSE first_active END,
		last_sign_in = CASE WHEN $12 > last_sign_in THEN $12 ELSE last_sign_in END, invitation = $13, bounced = $14, sort = $15,
		phone = $17, phone_since = $18, version = version + 1
		WHERE id = $1 AND realm = $2 AND version = $16`)
	signedIn = statement(`UPDATE person SET state = 'active', last_sign_in = CASE WHEN $3 > last_sign_in THEN $3 ELSE last_sign_in END,
		version = CASE WHEN first_active = 0 THEN version + 1 ELSE version END,
		first_active = CASE WHEN first_active = 0 THEN $3 ELSE first_active END
		WHERE realm = $1 AND id = $2 AND state NOT IN ('disabled', 'frozen')`)
	holdPerson   = statement(`UPDATE person SET state = state WHERE id = $1 AND realm = $2 AND state = $3 AND address = $4`)
	deletePerson = statement(`DELETE FROM person WHERE realm = $1 AND id = $2 AND state = 'invited' AND first_active = 0`)
	removePerson = statement(`DELETE FROM person WHERE realm = $1 AND id = $2 AND version = $3`)
	existsPerson = statement(`SELECT 1 FROM person WHERE id = $1`)

	// $1 realm, $2 organization, $3 role, $4 state, $5 and $6 the keyset, $7 limit, $8 stalled, $9 and $10 the prefix and
	// its end
	peopleBy = [5]peopleTexts{
		peopleOf(`($2 = '' OR organization = $2) AND ($3 = '' OR role = $3) AND ($4 = '' OR state = $4)`, false),
		peopleOf(`organization = $2 AND ($3 = '' OR role = $3) AND ($4 = '' OR state = $4)`, true),
		peopleOf(`($2 = '' OR organization = $2) AND role = $3 AND ($4 = '' OR state = $4)`, false),
		peopleOf(`($2 = '' OR organization = $2) AND ($3 = '' OR role = $3) AND state = $4`, false),
		peopleOf(`($2 = '' OR organization = $2) AND ($3 = '' OR role = $3) AND ($4 = '' OR state = $4) AND first_active = 0`, true),
	}
	peopleStanding = map[directory.Standing]peopleTexts{
		directory.Blocked: peopleOf(peopleAny+` AND state IN ('disabled', 'frozen')`, false),
		directory.Unset: peopleOf(peopleAny+` AND NOT EXISTS (SELECT 1 FROM credential AS held WHERE held.realm = $1 AND held.person = person.id
			AND held.kind <> 'password' AND held.state <> 'ended')`, false),
		directory.Helped: peopleOf(peopleAny+` AND EXISTS (SELECT 1 FROM help_request AS help WHERE help.realm = $1 AND help.person = person.id
			AND help.person <> '' AND help.state IN ('open', 'approved'))`, false),
	}
)

const peopleAny = `($2 = '' OR organization = $2) AND ($3 = '' OR role = $3) AND ($4 = '' OR state = $4)`

// deleteOf deletes what belongs to a person alone.
var deleteOf = []string{
	statement(`DELETE FROM credential WHERE realm = $1 AND person = $2`),
	statement(`DELETE FROM flow WHERE realm = $1 AND person = $2 AND state = 'open'`),
	statement(`DELETE FROM preference WHERE realm = $1 AND person = $2`),
	statement(`DELETE FROM device WHERE realm = $1 AND person = $2`),
	statement(`DELETE FROM oidc_consent WHERE realm = $1 AND person = $2`),
}

// peopleTexts are the statements of one leading column: a list, a search by few letters, a search by many.
type peopleTexts struct{ list, few, many string }

func peopleOf(fixed string, narrow bool) (p peopleTexts) {
	page := func(more string) string {
		return `SELECT ` + personColumns + `, sort FROM person WHERE realm = $1 AND ` + fixed + more +
			` AND ($8 = CAST(0 AS BIGINT) OR (first_active = 0 AND invitation > 0 AND invitation < $8)) AND (sort, id) > ($5, $6) ORDER BY sort, id LIMIT $7`
	}
	search := func(byAddress string) string {
		return statement(`SELECT * FROM (` + page(` AND sort >= $9 AND sort < $10`) + `) AS named UNION SELECT * FROM (` + page(byAddress) +
			`) AS addressed ORDER BY sort, id LIMIT $7`)
	}
	p.list = statement(page(``))
	p.few = search(` AND address || '' >= $9 AND address || '' < $10`) // an expression keeps the address index out of it
	p.many = p.few
	if !narrow { // in an organization the walk is short anyway
		p.many = search(` AND address >= $9 AND address < $10`)
	}
	return p
}

func scanPerson(_ *Tx, r row) (p directory.Person, err error) {
	return p, r.Scan(personFields(&p)...)
}

func scanListedPerson(_ *Tx, r row) (p directory.Person, err error) {
	var sort string
	return p, r.Scan(append(personFields(&p), &sort)...)
}

func personFields(p *directory.Person) []any {
	return []any{
		&p.ID, &p.Realm, &p.Organization, &p.Address, &p.Name, &p.Role, &p.State, &p.Language, &p.Zone, &p.Contact,
		stamp{&p.Created}, stamp{&p.FirstActive}, stamp{&p.LastSignIn}, stamp{&p.Invitation}, &p.Bounced, &p.Version,
		&p.Phone, stamp{&p.PhoneSince}, &p.Exempt, stamp{&p.ExemptUntil},
	}
}

// Person returns one person of a realm.
func (t *Tx) Person(realm, id string) (directory.Person, error) {
	return one(t, scanPerson, selectPerson, realm, id)
}

// PersonByAddress finds a person by the canonical address.
func (t *Tx) PersonByAddress(realm, address string) (directory.Person, error) {
	return one(t, scanPerson, selectPersonByAddress, realm, address)
}

// AddPerson adds a person. It fails with fault.Exists when the address is taken in the realm.
func (t *Tx) AddPerson(p directory.Person) error {
	return t.insert(insertPerson, p.ID, p.Realm, p.Organization, p.Address, p.Name, p.Role, p.State, p.Language, p.Zone, p.Contact,
		millis(p.Created), millis(p.FirstActive), millis(p.LastSignIn), millis(p.Invitation), p.Bounced, p.Version, p.Phone,
		millis(p.PhoneSince), folded(p.Name))
}

// UpdatePerson changes everything but id, realm, created and an exemption. FirstActive is set once and LastSignIn never moves back, so
// that a copy from before a sign-in does not undo it. A new address that is taken is fault.Exists, and undoes the
// transaction.
func (t *Tx) UpdatePerson(p directory.Person) error {
	if p.State != directory.Active {
		t.Bump()
	}
	return t.update(existsPerson, p.ID, updatePerson, p.ID, p.Realm, p.Organization, p.Address, p.Name, p.Role, p.State, p.Language, p.Zone,
		p.Contact, millis(p.FirstActive), millis(p.LastSignIn), millis(p.Invitation), p.Bounced, folded(p.Name), p.Version,
		p.Phone, millis(p.PhoneSince))
}

// HoldPerson keeps a person as they were read from being shut out or given another address until this transaction is over,
// so that whoever does that finds what is made for them here. It fails with fault.Conflict "stale" where it has happened
// already. For nobody (no id) it takes as long and holds nobody.
func (t *Tx) HoldPerson(p directory.Person) error {
	n, err := t.exec(holdPerson, p.ID, p.Realm, p.State, p.Address)
	if err == nil && n == 0 && p.ID != "" {
		err = errStale
	}
	return err
}

// SignedIn notes a sign-in: the first one makes an invited person active and raises the version. It fails with
// fault.Conflict "stale" when the person was disabled meanwhile.
func (t *Tx) SignedIn(realm, person string, now time.Time) error {
	return t.update(existsPerson, person, signedIn, realm, person, millis(now))
}

// DeletePerson removes a person who was never active, with their credentials, open flows and preferences. Events,
// mail and one-time secrets stay: a link that was voided can still say so. Anybody else is fault.Conflict "stale": they can be disabled, never removed.
func (t *Tx) DeletePerson(realm, id string) error {
	if err := t.update(existsPerson, id, deletePerson, realm, id); err != nil {
		return err
	}
	return t.deleteRest(realm, id)
}

func (t *Tx) deleteRest(realm, id string) error {
	t.Bump()
	for _, text := range deleteOf {
		if _, err := t.exec(text, realm, id); err != nil {
			return err
		}
	}
	return nil
}

// RemovePerson removes somebody with their credentials, open flows, preferences, known browsers and what they allowed
// applications. Events, mails, requests, acceptances and ended sessions stay: history keeps its names. It fails with
// fault.Conflict "stale" when they changed meanwhile.
func (t *Tx) RemovePerson(p directory.Person) error {
	if err := t.update(existsPerson, p.ID, removePerson, p.Realm, p.ID, p.Version); err != nil {
		return err
	}
	return t.deleteRest(p.Realm, p.ID)
}

// People returns one page of the people a filter selects, by name.
func (t *Tx) People(f directory.PersonFilter) ([]directory.Person, error) {
	by := &peopleBy[0]
	standing, ok := peopleStanding[f.Standing]
	switch {
	case ok:
		by = &standing
	case f.Organization != "":
		by = &peopleBy[1]
	case !f.Stalled.IsZero():
		by = &peopleBy[4]
	case f.Role != "":
		by = &peopleBy[2]
	case f.State != "":
		by = &peopleBy[3]
	}
	args := []any{f.Realm, f.Organization, f.Role, f.State, folded(f.AfterName), f.AfterID, limited(f.Limit), millis(f.Stalled)}
	words := folded(strings.TrimSpace(f.Query))
	if words == "" {
		return list(t, scanListedPerson, by.list, args...)
	}
	text := by.many
	if utf8.RuneCountInString(words) <= fewLetters {
		text = by.few
	}
	return list(t, scanListedPerson, text, append(args, words, words+afterEverything)...)
}

// Administrators returns the active customer administrators of an organization, by name.
func (t *Tx) Administrators(realm, organization string) ([]directory.Person, error) {
	return list(t, scanPerson, selectAdministrators, realm, organization)
}
