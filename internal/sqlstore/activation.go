package sqlstore

import (
	"time"

	"doorward/internal/activation"
)

// Rules of activations: open codes of a realm differ and a flow has one open activation, which unique indexes keep; every
// change goes through the version, so that of a confirmation, a rejection and a newer code at once one happens. Entries are
// counted by a statement of their own, before anything is compared, and collecting is one as well.

const activationColumns = `id, realm, person, flow, kind, number, code, state, tries, device, network, browser, words, agent, agent_name,
	checks, confirmations, created, opened, expires, closed, closed_by, closed_why, version`

var (
	insertActivation = statement(`INSERT INTO activation (` + activationColumns + `)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
		ON CONFLICT DO NOTHING`)
	expireActivation = statement(`UPDATE activation SET state = 'expired', closed = $3, version = version + 1
		WHERE realm = $1 AND code = $2 AND state IN ('waiting', 'opened') AND expires < $3`)
	replaceActivations = statement(`UPDATE activation SET state = 'replaced', closed = $2, version = version + 1
		WHERE flow = $1 AND state IN ('waiting', 'opened', 'matched', 'confirmed')`)
	selectActivation       = statement(`SELECT ` + activationColumns + ` FROM activation WHERE realm = $1 AND id = $2`)
	selectActivationOfFlow = statement(`SELECT ` + activationColumns + ` FROM activation WHERE flow = $1 ORDER BY id DESC LIMIT 1`)
	selectActivationsOf    = statement(`SELECT ` + activationColumns + ` FROM activation WHERE realm = $1 AND person = $2 ORDER BY id DESC LIMIT $3`)
	tryActivation          = statement(`UPDATE activation SET tries = tries + 1
		WHERE id = $1 AND agent = $2 AND state = 'opened' AND tries < $3 AND expires >= $4 RETURNING tries`)
	useActivation = statement(`UPDATE activation SET state = 'used', closed = $2, version = version + 1
		WHERE id = $1 AND state = 'confirmed' AND expires >= $2`)
	updateActivation = statement(`UPDATE activation SET state = $3, words = $4, agent = $5, agent_name = $6, checks = $7, confirmations = $8,
		opened = $9, expires = $10, closed = $11, closed_by = $12, closed_why = $13, version = version + 1
		WHERE id = $1 AND version = $2`)
	existsActivation = statement(`SELECT 1 FROM activation WHERE id = $1`)
)

func scanActivation(_ *Tx, r row) (a activation.Activation, err error) {
	err = r.Scan(&a.ID, &a.Realm, &a.Person, &a.Flow, &a.Kind, &a.Number, &a.Hash, &a.State, &a.Tries, document{&a.Device}, &a.Network,
		&a.Browser, &a.Words, &a.Agent, &a.AgentName, document{&a.Checks}, document{&a.Confirmations}, stamp{&a.Created}, stamp{&a.Opened},
		stamp{&a.Expires}, stamp{&a.Closed}, &a.ClosedBy, &a.ClosedWhy, &a.Version)
	return a, err
}

func (t *Tx) activationDocuments(a activation.Activation) (device, checks, confirmations string, err error) {
	if device, err = t.text(a.Device); err != nil {
		return "", "", "", err
	}
	if checks, err = t.text(a.Checks); err != nil {
		return "", "", "", err
	}
	confirmations, err = t.text(a.Confirmations)
	return device, checks, confirmations, err
}

// AddActivation adds an activation, and closes one with the same code whose time is over. It fails with fault.Exists where
// its code is open, or its flow has an open activation.
func (t *Tx) AddActivation(a activation.Activation) error {
	device, checks, confirmations, err := t.activationDocuments(a)
	if err != nil {
		return err
	}
	if _, err := t.exec(expireActivation, a.Realm, a.Hash, millis(a.Created)); err != nil {
		return err
	}
	return t.insert(insertActivation, a.ID, a.Realm, a.Person, a.Flow, a.Kind, a.Number, a.Hash, a.State, a.Tries, device, a.Network, a.Browser,
		a.Words, a.Agent, a.AgentName, checks, confirmations, millis(a.Created), millis(a.Opened), millis(a.Expires), millis(a.Closed),
		a.ClosedBy, a.ClosedWhy, a.Version)
}

// ReplaceActivations kills the open activation of a flow, a confirmed one that was not collected included.
func (t *Tx) ReplaceActivations(flow string, now time.Time) error {
	_, err := t.exec(replaceActivations, flow, millis(now))
	return err
}

// Activation finds an activation of a realm.
func (t *Tx) Activation(realm, id string) (activation.Activation, error) {
	return one(t, scanActivation, selectActivation, realm, id)
}

// ActivationOfFlow finds the newest activation of a flow, in whatever state.
func (t *Tx) ActivationOfFlow(flow string) (activation.Activation, error) {
	return one(t, scanActivation, selectActivationOfFlow, flow)
}

// ActivationsOf returns the newest activations of a person, in whatever state.
func (t *Tx) ActivationsOf(realm, person string, limit int) ([]activation.Activation, error) {
	return list(t, scanActivation, selectActivationsOf, realm, person, limit)
}

// TryActivation takes one of the entries of an activation that the agent has open, and says the how manieth it is; 0 where
// none is left, its time is over, or it is open no more.
func (t *Tx) TryActivation(id, agent string, limit int, now time.Time) (int, error) {
	n, err := returning(t, scanInt, tryActivation, id, agent, limit, millis(now))
	if err != nil || len(n) == 0 {
		return 0, err
	}
	return int(n[0]), nil
}

// UseActivation collects a confirmed activation. Of all who do at once one gets through, the others are "stale".
func (t *Tx) UseActivation(id string, now time.Time) error {
	return t.update(existsActivation, id, useActivation, id, millis(now))
}

// UpdateActivation stores what may change of an activation; entries are none of it. Of two that started from the same
// version one wins, the other is "stale".
func (t *Tx) UpdateActivation(a activation.Activation) error {
	_, checks, confirmations, err := t.activationDocuments(a)
	if err != nil {
		return err
	}
	return t.update(existsActivation, a.ID, updateActivation, a.ID, a.Version, a.State, a.Words, a.Agent, a.AgentName, checks, confirmations,
		millis(a.Opened), millis(a.Expires), millis(a.Closed), a.ClosedBy, a.ClosedWhy)
}
