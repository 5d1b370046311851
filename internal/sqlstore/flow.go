package sqlstore

import "doorward/internal/authn"

const flowColumns = `id, realm, person, browser, address, goal, evidence, question, question_data, wrong, return_to, one_time,
	choice, language, session, state, created, expires, version`

var (
	selectFlow = statement(`SELECT ` + flowColumns + ` FROM flow WHERE realm = $1 AND id = $2`)
	insertFlow = statement(`INSERT INTO flow (` + flowColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT DO NOTHING`)
	updateFlow = statement(`UPDATE flow SET person = $3, browser = $4, address = $5, goal = $6, evidence = $7, question = $8, question_data = $9,
		wrong = $10, return_to = $11, one_time = $12, choice = $13, language = $14, session = $15, state = $16, created = $17, expires = $18,
		version = version + 1 WHERE id = $1 AND realm = $2 AND version = $19`)
	existsFlow = statement(`SELECT 1 FROM flow WHERE id = $1`)
	voidFlows  = statement(`UPDATE flow SET state = 'void', question_data = NULL, version = version + 1
		WHERE realm = $1 AND person = $2 AND state = 'open' AND id <> $3`)
)

// question is an open question as stored; its Data lies sealed beside it.
type question struct {
	Kind    authn.Kind `json:"kind"`
	Binding bool       `json:"binding,omitempty"`
	Asked   int64      `json:"asked"`
	Expires int64      `json:"expires"`
}

func scanFlow(t *Tx, r row) (f authn.Flow, err error) {
	var q question
	var sealed []byte
	if err = r.Scan(&f.ID, &f.Realm, &f.Person, &f.Browser, &f.Address, document{&f.Goal}, document{&f.Evidence}, document{&q}, &sealed,
		&f.Wrong, &f.Return, &f.OneTime, &f.Choice, &f.Language, &f.Session, &f.State, stamp{&f.Created}, stamp{&f.Expires}, &f.Version); err != nil {
		return f, err
	}
	f.Open = authn.Question{Kind: q.Kind, Binding: q.Binding, Asked: instant(q.Asked), Expires: instant(q.Expires)}
	f.Open.Data, err = t.unseal("flow", "question_data", f.ID, sealed)
	return f, err
}

// flowValues are the values of flowColumns.
func (t *Tx) flowValues(f authn.Flow) ([]any, error) {
	goal, err := t.text(f.Goal)
	if err != nil {
		return nil, err
	}
	evidence, err := t.text(f.Evidence)
	if err != nil {
		return nil, err
	}
	asked, err := t.text(question{Kind: f.Open.Kind, Binding: f.Open.Binding, Asked: millis(f.Open.Asked), Expires: millis(f.Open.Expires)})
	if err != nil {
		return nil, err
	}
	sealed, err := t.seal("flow", "question_data", f.ID, f.Open.Data)
	if err != nil {
		return nil, err
	}
	return []any{
		f.ID, f.Realm, f.Person, f.Browser, f.Address, goal, evidence, asked, sealed, f.Wrong, f.Return, f.OneTime,
		f.Choice, f.Language, f.Session, f.State, millis(f.Created), millis(f.Expires), f.Version,
	}, nil
}

// AddFlow adds a flow; the Data of its open question is sealed for its row.
func (t *Tx) AddFlow(f authn.Flow) error {
	values, err := t.flowValues(f)
	if err != nil {
		return err
	}
	return t.insert(insertFlow, values...)
}

// Flow returns one flow of a realm, in whatever state.
func (t *Tx) Flow(realm, id string) (authn.Flow, error) {
	return one(t, scanFlow, selectFlow, realm, id)
}

// UpdateFlow stores a whole flow. Of two that started from the same version one wins, the other is "stale".
func (t *Tx) UpdateFlow(f authn.Flow) error {
	values, err := t.flowValues(f)
	if err != nil {
		return err
	}
	return t.update(existsFlow, f.ID, updateFlow, values...)
}

// VoidFlows ends the open flows of a person but one, and says how many. What they had asked is forgotten.
func (t *Tx) VoidFlows(realm, person, exceptID string) (int, error) {
	if person == "" {
		return 0, nil // the flows of nobody yet are strangers' to each other
	}
	return t.exec(voidFlows, realm, person, exceptID)
}
