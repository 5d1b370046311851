package mail

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Rules of delivery:
//   - At least once: a message is finished only after the next hop took it. A worker that dies in between has it sent
//     again, under the same Message-ID.
//   - A worker has one message in hand, for as long as one may take and a little longer: what a dead node held leaves
//     within the minute (SEC H-7), and nobody takes from a living one what it is still sending.
//   - Retries after 1, 5, 15 minutes, 1 hour, then every 4 hours; given up after 3 days, or at once when the next hop
//     says that it never will. Giving up is audited and shows in the console.
//   - A decoy goes the whole way but the network, so that neither rows nor times tell a stranger whether an address is known.
//   - What is kept of an error holds no link and no code, whatever a mail server quotes back.

// Limits of delivery.
const (
	GiveUp = 72 * time.Hour
	Within = 30 * time.Second // for one message, from the greeting of the next hop to its word that it has it
	margin = 10 * time.Second // to store what became of it, and for clocks of nodes that differ
)

var backoff = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour}

// Tx is what delivery needs of one transaction.
type Tx interface {
	ClaimMail(now time.Time, lease time.Duration, limit int) ([]Message, error)
	FinishMail(Message) error
	Realm(id string) (directory.Realm, error)
	Person(realm, id string) (directory.Person, error)
	UpdatePerson(directory.Person) error
	Audit(audit.Event) error
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Worker delivers the outbox. Several may run at once.
type Worker struct {
	Store  Store
	Sender Sender
	Clock  func() time.Time
	From   string                                // sender's address for every realm; the realm's desk when empty
	Within time.Duration                         // how long one message may take; Within when zero
	Ring   *secret.Ring                          // makes the links of "this was not me"
	Count  func(metric string, labels ...string) // "mail" with result and template; nil for none
}

// Deliver sends what is due until nothing is left, and returns how many messages it handled. The error is the store's,
// or the context's; a mail that does not go out is no error, it stands in its row. When the next hop itself fails, the
// rest waits for the next call.
func (w *Worker) Deliver(ctx context.Context) (handled int, err error) {
	for ctx.Err() == nil {
		now, lease := w.Clock(), w.within()+margin
		var claimed []Message
		if err := w.Store.Write(ctx, func(tx Tx) (err error) {
			claimed, err = tx.ClaimMail(now, lease, 1)
			return err
		}); err != nil || len(claimed) == 0 {
			return handled, err
		}
		general, err := w.one(ctx, claimed[0])
		if err == nil {
			handled++
		}
		if err != nil || general {
			return handled, err
		}
	}
	return handled, ctx.Err()
}

func (w *Worker) within() time.Duration {
	if w.Within > 0 {
		return w.Within
	}
	return Within
}

// one composes and sends one message. general says that the next hop refuses everything just now.
func (w *Worker) one(ctx context.Context, m Message) (general bool, err error) {
	var r directory.Realm
	var p directory.Person
	gone := false
	err = w.Store.Read(ctx, func(tx Tx) (err error) {
		gone = false
		if r, err = tx.Realm(m.Realm); err != nil {
			return err
		}
		if p = (directory.Person{}); m.Person != "" {
			p, err = tx.Person(m.Realm, m.Person)
		}
		return err
	})
	switch {
	case fault.Of(err, fault.NotFound):
		gone = true
	case err != nil:
		return false, err
	}
	if gone {
		m.State, m.Done = Void, w.Clock()
		return false, w.finish(ctx, m, "void", false)
	}
	c, err := Compose(r, p, Deniable(w.Ring, m), w.Clock())
	if err == nil && w.From != "" {
		c.From = w.From
	}
	if err == nil && m.To != "" {
		limited, cancel := context.WithTimeout(ctx, w.within())
		err = w.Sender.Send(limited, c)
		cancel()
	}
	if m.To == "" {
		err = nil // a decoy is always "sent": nobody waits for it
	}
	now := w.Clock()
	m.Attempts++
	if err == nil {
		m.State, m.Done, m.LastError = Sent, now, ""
		return false, w.finish(ctx, m, "sent", false)
	}
	if ctx.Err() != nil {
		m.Attempts-- // stopped by us, not refused: given back untried
		return true, errors.Join(ctx.Err(), w.Store.Write(context.WithoutCancel(ctx), func(tx Tx) error { return tx.FinishMail(m) }))
	}
	return w.failed(ctx, m, err, now)
}

func (w *Worker) failed(ctx context.Context, m Message, cause error, now time.Time) (general bool, err error) {
	var refused *Refused
	var unwritable *ErrCompose
	isRefused := errors.As(cause, &refused)
	m.LastError = harmless(cause.Error(), m)
	never := isRefused && refused.Permanent() || errors.As(cause, &unwritable)
	if never || now.Sub(m.Created) >= GiveUp {
		m.State, m.Done = Failed, now
		return false, w.finish(ctx, m, "failed", isRefused && refused.Bounced())
	}
	m.State, m.Due = Waiting, now.Add(backoff[min(m.Attempts, len(backoff))-1])
	if m.Due.After(m.Created.Add(GiveUp)) {
		m.Due = m.Created.Add(GiveUp)
	}
	return isRefused && refused.General(), w.finish(ctx, m, "retry", false)
}

// finish stores the outcome with what follows from it, in one transaction, also when the program is stopping: a mail
// that went out must not go out again.
func (w *Worker) finish(ctx context.Context, m Message, result string, bounced bool) error {
	write := func() error {
		return w.Store.Write(context.WithoutCancel(ctx), func(tx Tx) error { return w.record(tx, m, bounced) })
	}
	err := write()
	for range 3 { // somebody else changed the person at the same moment
		if !fault.Of(err, fault.Conflict) {
			break
		}
		err = write()
	}
	if err == nil && w.Count != nil {
		w.Count("mail", "result", result, "template", m.Template)
	}
	return err
}

func (w *Worker) record(tx Tx, m Message, bounced bool) error {
	if err := tx.FinishMail(m); err != nil {
		return err
	}
	if m.Person == "" || m.State != Failed && m.State != Sent {
		return nil
	}
	if err := w.mark(tx, m, bounced); err != nil || m.State == Sent {
		return err
	}
	kind := "mail.failed"
	if bounced {
		kind = "mail.bounced"
	}
	return tx.Audit(audit.Event{
		Realm: m.Realm, At: m.Done, Type: kind, Actor: "system", Person: m.Person, Reason: m.LastError,
		Data: map[string]string{"template": m.Template, "attempts": strconv.Itoa(m.Attempts)},
	})
}

// mark keeps the person's Bounced in step with their address, unless they have another one by now.
func (w *Worker) mark(tx Tx, m Message, bounced bool) error {
	if m.To == "" || m.State == Failed && !bounced {
		return nil
	}
	p, err := tx.Person(m.Realm, m.Person)
	if fault.Of(err, fault.NotFound) {
		return nil
	}
	if err != nil || p.Address != m.To || p.Bounced == bounced {
		return err
	}
	p.Bounced = bounced
	return tx.UpdatePerson(p)
}

const errorMax = 300

var links = regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://\S+`)

// harmless makes an error fit to be kept and shown: one line, bounded, without links, without the message's own secrets.
func harmless(s string, m Message) string {
	s = links.ReplaceAllString(plain(s), "[link]")
	link, code := m.Args["link"], m.Args["code"]
	for _, v := range []string{link[strings.LastIndexByte(link, '/')+1:], code, strings.ReplaceAll(code, "-", "")} {
		if v != "" {
			s = strings.ReplaceAll(s, v, "[redacted]")
		}
	}
	if r := []rune(s); len(r) > errorMax {
		s = string(r[:errorMax-1]) + "…"
	}
	return s
}
