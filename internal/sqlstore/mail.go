package sqlstore

import (
	"encoding/json"
	"time"

	"doorward/internal/mail"
)

// Rules of the outbox: a message is a row in the transaction that wants it sent. Its Args may hold a link, so they are
// sealed, and are gone as soon as nobody needs them. A worker claims messages for a time; when it dies they are claimed
// again. The claim is one statement whose outer condition is looked at again under the row's lock, so no message is
// claimed twice.

// MailTopic is woken after a commit that enqueued mail.
const MailTopic = "mail"

const mailColumns = `id, realm, person, recipient, template, language, state, attempts, last_error, created, due, done`

var (
	insertMail = statement(`INSERT INTO mail (` + mailColumns + `, args, leased)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0) ON CONFLICT DO NOTHING`)
	claimMail = statement(`UPDATE mail SET leased = $2
		WHERE state = 'waiting' AND leased <= $1
		AND id IN (SELECT id FROM mail WHERE state = 'waiting' AND due <= $1 AND leased <= $1 ORDER BY due, id LIMIT $3)
		RETURNING ` + mailColumns + `, args`)
	finishMail = statement(`UPDATE mail SET state = $2, attempts = $3, last_error = $4, due = $5, done = $6, leased = 0,
		args = CASE WHEN $2 = 'waiting' THEN args ELSE NULL END
		WHERE id = $1 AND (state = 'waiting' OR $2 = 'sent')`)
	existsMail  = statement(`SELECT 1 FROM mail WHERE id = $1`)
	selectMails = statement(`SELECT ` + mailColumns + ` FROM mail WHERE realm = $1 AND person = $2 ORDER BY id DESC LIMIT $3`)
	selectMail  = statement(`SELECT ` + mailColumns + ` FROM mail WHERE realm = $1 AND id = $2`)
	voidMails   = statement(`UPDATE mail SET state = 'void', done = $4, args = NULL
		WHERE realm = $1 AND person = $2 AND template = $3 AND state = 'waiting'`)
	mailWaiting = statement(`SELECT COUNT(*), COALESCE(MIN(created), 0) FROM mail WHERE realm = $1 AND state = 'waiting'`)
	mailFailed  = statement(`SELECT COUNT(*) FROM mail WHERE realm = $1 AND state = 'failed' AND done > $2`)
	mailErrors  = statement(`SELECT last_error FROM mail
		WHERE realm = $1 AND last_error <> '' AND state IN ('waiting', 'failed') ORDER BY id DESC LIMIT 1`)
)

func mailFields(m *mail.Message) []any {
	return []any{
		&m.ID, &m.Realm, &m.Person, &m.To, &m.Template, &m.Language, &m.State, &m.Attempts, &m.LastError,
		stamp{&m.Created}, stamp{&m.Due}, stamp{&m.Done},
	}
}

func scanBareMail(_ *Tx, r row) (m mail.Message, err error) { return m, r.Scan(mailFields(&m)...) }

func scanMail(t *Tx, r row) (m mail.Message, err error) {
	var sealed []byte
	if err = r.Scan(append(mailFields(&m), &sealed)...); err != nil {
		return m, err
	}
	plain, err := t.unseal("mail", "args", m.ID, sealed)
	if err == nil && len(plain) > 0 {
		err = json.Unmarshal(plain, &m.Args)
	}
	return m, err
}

// Enqueue puts a message into the outbox and wakes the worker after the commit. A message without a state waits.
func (t *Tx) Enqueue(m mail.Message) error {
	if m.State == "" {
		m.State = mail.Waiting
	}
	var plain []byte
	if len(m.Args) > 0 && m.State == mail.Waiting {
		var err error
		if plain, err = json.Marshal(m.Args); err != nil {
			return t.fail(err)
		}
	}
	args, err := t.seal("mail", "args", m.ID, plain)
	if err != nil {
		return err
	}
	t.wake(MailTopic)
	return t.insert(insertMail, m.ID, m.Realm, m.Person, m.To, m.Template, m.Language, m.State, m.Attempts, m.LastError,
		millis(m.Created), millis(m.Due), millis(m.Done), args)
}

// ClaimMail hands out messages that are due, at most limit, until now + lease. Whoever does not finish one by then may
// see it claimed by another.
func (t *Tx) ClaimMail(now time.Time, lease time.Duration, limit int) ([]mail.Message, error) {
	return returning(t, scanMail, claimMail, millis(now), millis(now.Add(lease)), limited(limit))
}

// FinishMail stores what became of a claimed message: state, attempts, last error, due, done. Unless it waits for a
// retry its Args are gone. A message that was voided meanwhile stays void, but one that was sent is sent.
func (t *Tx) FinishMail(m mail.Message) error {
	n, err := t.exec(finishMail, m.ID, m.State, m.Attempts, m.LastError, millis(m.Due), millis(m.Done))
	if err == nil && n == 0 {
		_, err = one(t, scanInt, existsMail, m.ID)
	}
	return err
}

// Mails returns the newest messages to a person, without Args.
func (t *Tx) Mails(realm, person string, limit int) ([]mail.Message, error) {
	return list(t, scanBareMail, selectMails, realm, person, limited(limit))
}

// Mail finds one message of a realm, without its arguments.
func (t *Tx) Mail(realm, id string) (mail.Message, error) {
	return one(t, scanBareMail, selectMail, realm, id)
}

// VoidMails voids the waiting messages of a template to a person, and says how many.
func (t *Tx) VoidMails(realm, person, template string, now time.Time) (int, error) {
	return t.exec(voidMails, realm, person, template, millis(now))
}

// MailHealth says how the outbox of a realm is doing.
func (t *Tx) MailHealth(realm string, now time.Time) (h mail.Health, err error) {
	waiting := func(_ *Tx, r row) (int, error) {
		var n int
		return n, r.Scan(&n, stamp{&h.Oldest})
	}
	if h.Waiting, err = one(t, waiting, mailWaiting, realm); err != nil {
		return h, err
	}
	failed, err := one(t, scanInt, mailFailed, realm, millis(now.Add(-24*time.Hour)))
	if err != nil {
		return h, err
	}
	h.Failed = int(failed)
	words, err := list(t, func(_ *Tx, r row) (s string, err error) { return s, r.Scan(&s) }, mailErrors, realm)
	if len(words) > 0 {
		h.LastError = words[0]
	}
	return h, err
}
