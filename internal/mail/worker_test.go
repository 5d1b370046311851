package mail_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/mail"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

var begin = time.UnixMilli(1_790_000_000_000).UTC()

// office is an outbox with a realm, a person, a clock that is set by hand, and a next hop that answers as told.
type office struct {
	t      *testing.T
	store  *sqlstore.Store
	worker *mail.Worker

	mu     sync.Mutex
	now    time.Time
	answer func(c mail.Composed) error
	sent   []mail.Composed
	counts map[string]int
}

func (o *office) Send(_ context.Context, c mail.Composed) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.answer != nil {
		if err := o.answer(c); err != nil {
			return err
		}
	}
	o.sent = append(o.sent, c)
	return nil
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

func open(t *testing.T, s *sqlstore.Store) *office {
	t.Helper()
	o := &office{t: t, store: s, now: begin, counts: map[string]int{}}
	o.worker = &mail.Worker{Store: sqlstore.For[mail.Tx](s), Sender: o, Clock: o.clock, Ring: testdb.Ring(), Count: func(metric string, labels ...string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.counts[metric+" "+strings.Join(labels, " ")]++
	}}
	o.write(func(tx *sqlstore.Tx) error {
		if err := tx.PutRealm(directory.Realm{
			ID: "shop", Name: "Northline Supply", Host: "shop.northline.example", Origin: "https://shop.northline.example", Languages: []string{"en"}, Zone: "Europe/Zurich",
		}); err != nil {
			return err
		}
		if err := tx.AddOrganization(directory.Organization{ID: "o1", Realm: "shop", Name: "Customer", State: directory.Active, Created: begin}); err != nil {
			return err
		}
		return tx.AddPerson(directory.Person{
			ID: "p1", Realm: "shop", Organization: "o1", Address: "ada@customer.example", Name: "Ada Sample", Role: directory.Member, State: directory.Active, Language: "en", Created: begin,
		})
	})
	return o
}

func (o *office) write(f func(tx *sqlstore.Tx) error) {
	o.t.Helper()
	if err := o.store.Write(o.t.Context(), f); err != nil {
		o.t.Fatal(err)
	}
}

const token = "7ZK2M4Q9XT1B3C5D7E9F0G2H4J"

func message(template string) mail.Message {
	const origin = "https://shop.northline.example"
	return mail.Message{
		ID: uuid.Must(uuid.NewV7()).String(), Realm: "shop", Person: "p1", To: "ada@customer.example", Template: template, Language: "en",
		State: mail.Waiting, Created: begin, Due: begin,
		Args: map[string]string{"link": origin + "/link/set-up/" + token, "code": "7ZK2-M4Q9-XT1B3-C5D7-E9F0-G2H4J",
			"expires": begin.Add(time.Hour).Format(time.RFC3339), "not_me": origin + "/help/not-me"},
	}
}

func (o *office) enqueue(all ...mail.Message) {
	o.t.Helper()
	for _, m := range all {
		o.write(func(tx *sqlstore.Tx) error { return tx.Enqueue(m) })
	}
}

func (o *office) deliver(want int) {
	o.t.Helper()
	n, err := o.worker.Deliver(o.t.Context())
	if err != nil || n != want {
		o.t.Fatalf("handled %d, want %d: %v", n, want, err)
	}
}

// row is the newest message of a person; "" are decoys.
func (o *office) row(person string) (m mail.Message) {
	o.t.Helper()
	o.write(func(tx *sqlstore.Tx) error {
		all, err := tx.Mails("shop", person, 1)
		if len(all) > 0 {
			m = all[0]
		}
		return err
	})
	return m
}

func (o *office) person() (p directory.Person) {
	o.t.Helper()
	o.write(func(tx *sqlstore.Tx) (err error) { p, err = tx.Person("shop", "p1"); return err })
	return p
}

func (o *office) events() (all []audit.Event) {
	o.t.Helper()
	o.write(func(tx *sqlstore.Tx) (err error) {
		all, err = tx.Events(audit.Query{Realm: "shop", Person: "p1", Limit: 100})
		return err
	})
	return all
}

func TestDeliverSendsOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		for range 25 {
			o.enqueue(message("invitation"))
		}
		later := message("password-changed")
		later.Due = begin.Add(time.Minute)
		o.enqueue(later)
		o.deliver(25)
		o.deliver(0)
		o.pass(time.Minute)
		o.deliver(1)
		if len(o.sent) != 26 || o.sent[25].Template != "password-changed" || o.sent[25].ID != later.ID {
			t.Errorf("%d sent", len(o.sent))
		}
		for i := 1; i < 25; i++ {
			if o.sent[i-1].ID >= o.sent[i].ID {
				t.Error("not in the order of the outbox")
			}
		}
		if m := o.row("p1"); m.State != mail.Sent || m.Attempts != 1 || !m.Done.Equal(begin.Add(time.Minute)) || m.LastError != "" {
			t.Errorf("%+v", m)
		}
		if !maps.Equal(o.counts, map[string]int{"mail result sent template invitation": 25, "mail result sent template password-changed": 1}) {
			t.Errorf("%v", o.counts)
		}
	})
}

func TestREQ_B16_RetriesThenGivesUpVisibly(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		o.answer = func(mail.Composed) error {
			return &mail.Refused{Stage: "to", Code: 451, Text: "greylisted https://shop.northline.example/link/set-up/" + token + " token " + token + "\r\nnext"}
		}
		o.enqueue(message("invitation"))
		var gaps []time.Duration
		last := begin
		for o.row("p1").State == mail.Waiting {
			o.deliver(1)
			o.deliver(0) // not due at once
			m := o.row("p1")
			if m.State == mail.Waiting {
				gaps = append(gaps, m.Due.Sub(last))
				last = m.Due
				o.pass(m.Due.Sub(o.clock()))
			}
			if len(gaps) > 50 {
				t.Fatal("it is never given up")
			}
		}
		want := []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 4 * time.Hour}
		if len(gaps) < 20 || fmt.Sprint(gaps[:6]) != fmt.Sprint(want) {
			t.Errorf("waited %v", gaps)
		}
		m := o.row("p1")
		if m.State != mail.Failed || !m.Done.Equal(begin.Add(mail.GiveUp)) || m.Attempts != len(gaps)+1 {
			t.Errorf("%+v", m)
		}
		if strings.Contains(m.LastError, token) || strings.Contains(m.LastError, "://") || strings.ContainsAny(m.LastError, "\r\n") || !strings.Contains(m.LastError, "451 greylisted") {
			t.Errorf("SEC G-3: kept %q", m.LastError)
		}
		if o.person().Bounced {
			t.Error("a server that says later is no wrong address")
		}
		all := o.events()
		if len(all) != 1 || all[0].Type != "mail.failed" || all[0].Actor != "system" || all[0].Data["template"] != "invitation" || strings.Contains(fmt.Sprint(all[0]), token) {
			t.Errorf("%+v", all)
		}
		var h mail.Health
		o.write(func(tx *sqlstore.Tx) (err error) { h, err = tx.MailHealth("shop", o.clock()); return err })
		if h.Failed != 1 || h.Waiting != 0 || h.LastError == "" {
			t.Errorf("%+v", h)
		}
		o.pass(24 * time.Hour)
		o.deliver(0)
	})
}

func TestREQ_B16_ARefusedAddressBouncesAtOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		o.answer = func(mail.Composed) error { return &mail.Refused{Stage: "to", Code: 550, Text: "no such user"} }
		o.enqueue(message("invitation"))
		o.deliver(1)
		if m := o.row("p1"); m.State != mail.Failed || m.Attempts != 1 || !strings.Contains(m.LastError, "no such user") {
			t.Errorf("%+v", m)
		}
		if !o.person().Bounced {
			t.Error("the person is not marked")
		}
		if all := o.events(); len(all) != 1 || all[0].Type != "mail.bounced" {
			t.Errorf("%+v", all)
		}
		o.answer = nil
		o.enqueue(message("password-changed"))
		o.deliver(1)
		if o.person().Bounced {
			t.Error("a mail came through, and the mark stays")
		}

		// A mail to an address they no longer have says nothing about the one they have.
		o.answer = func(mail.Composed) error { return &mail.Refused{Stage: "to", Code: 550, Text: "no such user"} }
		old := message("password-changed")
		old.To = "old@customer.example"
		o.enqueue(old)
		o.deliver(1)
		if o.person().Bounced {
			t.Error("marked for another address")
		}
		o.answer = func(mail.Composed) error { return &mail.Refused{Stage: "data", Code: 554, Text: "spam"} }
		o.enqueue(message("password-changed"))
		o.deliver(1)
		if m := o.row("p1"); m.State != mail.Failed || o.person().Bounced {
			t.Errorf("content refused: %+v", m)
		}
	})
}

func TestADecoyGoesNowhere(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		decoy := message("password-reset")
		decoy.To, decoy.Person = "", ""
		real := message("password-reset")
		o.enqueue(decoy, real)
		o.deliver(2)
		if len(o.sent) != 1 || o.sent[0].ID != real.ID {
			t.Fatalf("%d sent", len(o.sent))
		}
		a, b := o.row(""), o.row("p1")
		if a.State != b.State || a.Attempts != b.Attempts || !a.Done.Equal(b.Done) || a.LastError != b.LastError || len(o.events()) != 0 {
			t.Errorf("a stranger could tell them apart:\n%+v\n%+v", a, b)
		}
	})
}

func TestADeadHopHoldsTheRestAndCostsNoAttempts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		tries := 0
		o.answer = func(mail.Composed) error {
			tries++
			return &mail.Refused{Stage: "connect", Text: "connection refused"}
		}
		for range 30 {
			o.enqueue(message("invitation"))
		}
		o.deliver(1)
		if tries != 1 {
			t.Errorf("a dead server was called %d times", tries)
		}
		o.answer = nil
		o.deliver(29) // at once: they were given back
		o.pass(time.Minute)
		o.deliver(1)
		if len(o.sent) != 30 {
			t.Errorf("%d sent", len(o.sent))
		}
	})
}

func TestWhatCannotBeWrittenIsGivenUp(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		bad := message("invitation")
		bad.Args["link"] = "https://evil.example/link/set-up/" + token
		o.enqueue(bad)
		o.deliver(1)
		if m := o.row("p1"); m.State != mail.Failed || m.Attempts != 1 || strings.Contains(m.LastError, "evil") || len(o.sent) != 0 {
			t.Errorf("%+v", m)
		}
		gone := message("invitation")
		gone.Person = "nobody"
		o.enqueue(gone)
		o.deliver(1)
		if m := o.row("nobody"); m.State != mail.Void {
			t.Errorf("to a person who is gone: %+v", m)
		}
	})
}

func TestSEC_D2_ManyWorkersSendEachMailOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		const mails = 100
		for range mails {
			o.enqueue(message("invitation"))
		}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, err := o.worker.Deliver(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		seen := map[string]int{}
		for _, c := range o.sent {
			seen[c.ID]++
		}
		if len(o.sent) != mails || len(seen) != mails {
			t.Errorf("%d sent, %d different", len(o.sent), len(seen))
		}
	})
}

func TestAStoppedWorkerLosesNothingAndRepeatsNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		for range 5 {
			o.enqueue(message("invitation"))
		}
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		o.answer = func(mail.Composed) error {
			if n++; n == 3 {
				cancel() // stopped while the third is on its way: the server took it
			}
			return nil
		}
		if _, err := o.worker.Deliver(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if len(o.sent) != 3 {
			t.Errorf("%d sent before the stop", len(o.sent))
		}
		o.deliver(2)
		seen := map[string]bool{}
		for _, c := range o.sent {
			seen[c.ID] = true
		}
		if len(o.sent) != 5 || len(seen) != 5 {
			t.Errorf("%d sent, %d different", len(o.sent), len(seen))
		}

		// Stopped while a server keeps it waiting: not sent, not counted against it.
		o.enqueue(message("password-changed"))
		ctx, cancel = context.WithCancel(t.Context())
		o.answer = func(mail.Composed) error { cancel(); return ctx.Err() }
		if _, err := o.worker.Deliver(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if m := o.row("p1"); m.State != mail.Waiting || m.Attempts != 0 {
			t.Errorf("%+v", m)
		}
		o.answer = nil
		o.deliver(1)
	})
}

// A node dies while the next hop keeps it waiting: what it had in hand is one message, and that leaves within the minute by
// another node, not before the first can have given up.
func TestSEC_H7_ADeadWorkersMailIsTakenUpWithinTheMinute(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		for range 12 {
			o.enqueue(message("invitation"))
		}
		begun := make(chan struct{})
		dies := *o.worker
		dies.Sender = sender(func(ctx context.Context) error { close(begun); <-ctx.Done(); return ctx.Err() })
		dies.Store = dead{dies.Store, begun}
		ctx, over := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _, _ = dies.Deliver(ctx) }()
		defer func() { over(); <-done }()
		<-begun
		o.deliver(11)
		o.pass(mail.Within)
		o.deliver(0) // it may still be sending
		o.pass(time.Minute - mail.Within - 5*time.Second)
		o.deliver(1)
		if len(o.sent) != 12 {
			t.Errorf("%d sent", len(o.sent))
		}
	})
}

// sender is a next hop.
type sender func(context.Context) error

func (f sender) Send(ctx context.Context, _ mail.Composed) error { return f(ctx) }

// dead is the store of a node that writes nothing any more once it has died.
type dead struct {
	mail.Store
	since chan struct{}
}

func (d dead) Write(ctx context.Context, fn func(mail.Tx) error) error {
	select {
	case <-d.since:
		return errors.New("dead")
	default:
		return d.Store.Write(ctx, fn)
	}
}

// Two nodes live, and one of them has a slow server: neither sends what the other is sending, and no sending outlasts the
// time for which a message is in its node's hand.
func TestSEC_D2_H7_ASlowWorkerIsNotOvertaken(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		o := open(t, s)
		for range 3 {
			o.enqueue(message("invitation"))
		}
		quick, tries := *o.worker, map[string]int{}
		o.answer = func(c mail.Composed) error { tries[c.ID]++; return nil }
		slow := *o.worker
		slow.Within = 50 * time.Millisecond
		slow.Sender = sender(func(ctx context.Context) error {
			deadline, limited := ctx.Deadline()
			if !limited || time.Until(deadline) > slow.Within {
				t.Error("it may take longer than it is in hand")
			}
			o.pass(slow.Within)
			if n, err := quick.Deliver(t.Context()); err != nil || n != 2 {
				t.Errorf("the other node sends %d: %v", n, err)
			}
			<-ctx.Done()
			return &mail.Refused{Stage: "data", Text: "no answer in time"}
		})
		if n, err := slow.Deliver(t.Context()); err != nil || n != 1 || len(tries) != 2 {
			t.Errorf("handled %d, %v; the other has sent %v", n, err, tries)
		}
		o.pass(time.Minute) // by the schedule of retries
		o.deliver(1)
		for id, n := range tries {
			if n != 1 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
		if len(tries) != 3 {
			t.Errorf("%d sent", len(tries))
		}
	})
}

func TestFromIsTheConfiguredAddress(t *testing.T) {
	o := open(t, testdb.SQLite(t))
	o.enqueue(message("invitation"))
	o.deliver(1)
	o.worker.From = "door@operator.example"
	o.enqueue(message("invitation"))
	o.deliver(1)
	if o.sent[0].From != "no-reply@shop.northline.example" || o.sent[1].From != "door@operator.example" {
		t.Errorf("%s, %s", o.sent[0].From, o.sent[1].From)
	}
}
