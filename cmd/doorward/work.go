package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/job"
	"doorward/internal/mail"
	"doorward/internal/sqlstore"
)

// What runs by itself on a node.
//
//   - Mail: every node delivers; a commit that enqueues mail wakes it, and a look now and then finds what is due again.
//   - The audit tree: one node at a time (leased). Every node looks each second, with a read alone, whether there is an
//     event to place, and wakes the job only then: an idle house writes nothing.
//   - What is over of exemptions is closed, and mails about roll-outs are written: one node at a time, a unique row for each.
//   - Reminders about certificates that end soon, and the end of renewals that were given up: one node at a time.
//   - The sweep of what has expired, new signing keys, and telling applications about sessions that ended: one node at a
//     time.

const (
	mailEvery  = 2 * time.Second // another process on SQLite cannot wake us
	auditLook  = time.Second
	auditEvery = time.Minute
	sweepEvery = 10 * time.Minute
	keysEvery  = time.Hour

	exemptionsEvery = time.Minute
	rolloutsEvery   = 10 * time.Minute

	// Applications are told at once when a session ends here: whatever ends one wakes the job.
	farewellEvery = time.Minute

	// So is a CRL made where a certificate was revoked; this is for those that are due.
	publishEvery = 5 * time.Minute

	renewalsEvery = 10 * time.Minute
)

// work starts everything and returns a function that waits for its end after ctx is done.
func (h *house) work(ctx context.Context, sender mail.Sender) (wait func() error, err error) {
	signer, err := h.signer()
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	sequencer := &audit.Sequencer{Store: sqlstore.For[audit.Tx](h.store), Signer: signer, Anchors: h.anchors()}
	runner := &job.Runner{
		Store: sqlstore.For[job.Tx](h.store), Clock: h.clock, Holder: host + "/" + id.String(), Log: h.log, Count: h.metrics.Count,
		Jobs: []job.Job{
			{Name: "audit", Every: auditEvery, Run: sequencer.Run},
			{Name: "sweep", Every: sweepEvery, Run: h.sweep},
			{Name: "keys", Every: keysEvery, Run: func(ctx context.Context, _ time.Time) error { return h.provider.Rotate(ctx, h.realmIDs()) }},
			{Name: "exemptions", Every: exemptionsEvery, Run: func(ctx context.Context, _ time.Time) error { return h.exempts.Close(ctx, h.cache.All()) }},
			{Name: "rollouts", Every: rolloutsEvery, Run: h.writeRollouts},
			{Name: "certificates", Every: publishEvery, Run: h.publish},
			{Name: "renewals", Every: renewalsEvery, Run: h.renew},
			{Name: "farewells", Every: farewellEvery, Run: h.farewells},
		},
	}
	if err := runner.Start(ctx); err != nil {
		return nil, err
	}
	h.stops = append(h.stops, h.store.Watch(func() { runner.Wake("farewells"); runner.Wake("certificates") }))
	worker := &mail.Worker{Store: sqlstore.For[mail.Tx](h.store), Sender: sender, Clock: h.clock, From: h.conf.Mail.From, Ring: h.ring, Count: h.metrics.Count}
	if smtp, ok := sender.(*mail.SMTP); ok {
		worker.Within = smtp.Limit()
	}
	var running sync.WaitGroup
	running.Go(func() { h.deliver(ctx, worker) })
	running.Go(func() { h.place(ctx, func() { runner.Wake("audit") }) })
	return func() error {
		running.Wait()
		runner.Stop()
		// What happened last is placed and signed before the node is gone, so that a cut-off end would show.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := sequencer.Checkpoint(last, h.clock()); err != nil {
			return fmt.Errorf("sign the last checkpoint: %w", err)
		}
		return nil
	}, nil
}

// realmIDs names all realms.
func (h *house) realmIDs() (ids []string) {
	for _, r := range h.cache.All() {
		ids = append(ids, r.ID)
	}
	return ids
}

// writeRollouts writes to people about roll-outs whose grace runs. What fails for one realm keeps no other waiting.
func (h *house) writeRollouts(ctx context.Context, _ time.Time) error {
	var errs []error
	for _, id := range h.realmIDs() {
		r, err := h.cache.Realm(id)
		if err == nil {
			err = h.rollouts.Write(ctx, r.Realm, r.Policies)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// farewells tells applications about sessions that ended.
func (h *house) farewells(ctx context.Context, _ time.Time) error {
	return h.provider.Farewells(ctx, h.realmIDs(), post(h.outbound))
}

// deliver sends mail until ctx is done.
func (h *house) deliver(ctx context.Context, worker *mail.Worker) {
	due := make(chan struct{}, 1)
	stop := h.store.WatchTopic("mail", func() {
		select {
		case due <- struct{}{}:
		default:
		}
	})
	defer stop()
	ticker := time.NewTicker(mailEvery)
	defer ticker.Stop()
	for {
		if _, err := worker.Deliver(ctx); err != nil && ctx.Err() == nil {
			h.log.Error("mail could not be taken from the outbox", slog.String("error", err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
		case <-ticker.C:
		}
	}
}

// place wakes the sequencer while there are events without a place in the tree.
func (h *house) place(ctx context.Context, wake func()) {
	ticker := time.NewTicker(auditLook)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var waiting []audit.Event
		err := h.store.Read(ctx, func(tx *sqlstore.Tx) (err error) { waiting, err = tx.EventsWithoutLeaf(1); return err })
		if err != nil && !errors.Is(err, context.Canceled) {
			h.log.Error("the audit trail could not be looked at", slog.String("error", err.Error()))
		}
		if len(waiting) > 0 {
			wake()
		}
	}
}

// sweepRounds bounds one run: each round is a transaction of its own, so that nobody waits long for the writer.
const sweepRounds = 20

func (h *house) sweep(ctx context.Context, now time.Time) error {
	for range sweepRounds {
		n := 0
		err := h.store.Write(ctx, func(tx *sqlstore.Tx) (err error) { n, err = tx.Sweep(now); return err })
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// post sends a form to an application, with a client that follows no redirects, and takes any 2xx for an answer.
func post(client *http.Client) func(context.Context, string, url.Values) error {
	return func(ctx context.Context, to string, form url.Values) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := client.Do(req)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can be used again
		if answer.StatusCode < 200 || answer.StatusCode > 299 {
			return fmt.Errorf("the application answered %d", answer.StatusCode)
		}
		return nil
	}
}
