package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Rules of the runner:
//   - A job runs on one node at a time: whoever has the lease. It is taken for a minute and renewed while the job runs;
//     a node that stops renewing (dead, or stopped by a signal) loses it, and its run is canceled when it finds out.
//   - A job runs once for each time it is due, however many nodes there are: who takes the lease looks in the same
//     transaction whether somebody else was there first.
//   - A failed run shows in its row and is tried again soon, wherever. A panic is a failed run.
//   - Stopping waits for the runs to return: their context is canceled, and leases are given back.

// Tx is what leases need of one transaction.
type Tx interface {
	TakeLease(name, holder string, now time.Time, ttl time.Duration) (bool, error)
	RenewLease(name, holder string, now time.Time, ttl time.Duration) (bool, error)
	EndLease(name, holder string, now time.Time, fault string) error
	Leases() ([]Lease, error)
}

// Store begins transactions.
type Store interface {
	Read(context.Context, func(Tx) error) error
	Write(context.Context, func(Tx) error) error
}

// Job is periodic work. Run is idempotent, since a node can die anywhere in it; now is when it began. Idle, where set,
// is asked before the lease is taken: when it reports that there is nothing to do, the turn is over without a write,
// so that an idle installation does not write every second.
type Job struct {
	Name  string
	Every time.Duration
	Run   func(ctx context.Context, now time.Time) error
	Idle  func(ctx context.Context, now time.Time) (bool, error)
}

// Times of leases and retries.
const (
	TTL       = time.Minute
	renewal   = TTL / 3
	retrySoon = time.Minute     // after a failed run, or sooner where the job runs more often
	wakeSoon  = 5 * time.Second // after being woken while another node has the lease
	giveBack  = 10 * time.Second
	errorMax  = 500
)

// Runner runs jobs. All fields are set before Start.
type Runner struct {
	Store  Store
	Clock  func() time.Time
	Holder string // this process, unlike any other: "host/uuid"
	Jobs   []Job
	Log    *slog.Logger
	Count  func(metric string, labels ...string) // "job" with name and result; nil for none

	mu     sync.Mutex
	wakes  map[string]chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Start begins to run the jobs, each in a goroutine of its own, and returns. They end with Stop or with ctx.
func (r *Runner) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		return errors.New("job: the runner was started twice")
	}
	wakes := make(map[string]chan struct{}, len(r.Jobs))
	for _, j := range r.Jobs {
		if _, twice := wakes[j.Name]; twice || j.Name == "" || j.Every <= 0 || j.Run == nil {
			return fmt.Errorf("job: %q has no name of its own, no interval or nothing to do", j.Name)
		}
		wakes[j.Name] = make(chan struct{}, 1)
	}
	r.wakes = wakes
	ctx, r.cancel = context.WithCancel(ctx)
	for _, j := range r.Jobs {
		r.done.Go(func() { r.loop(ctx, j, wakes[j.Name]) })
	}
	return nil
}

// Wake makes a job run now, due or not, unless it runs already; then it runs once more after that. It never waits.
func (r *Runner) Wake(name string) {
	r.mu.Lock()
	wake := r.wakes[name]
	r.mu.Unlock()
	select {
	case wake <- struct{}{}: // a nil channel is never ready
	default:
	}
}

// Stop cancels the runs and returns when all have returned and their leases are given back. It may be called twice.
func (r *Runner) Stop() {
	r.mu.Lock()
	if r.cancel != nil {
		r.cancel()
	}
	r.mu.Unlock()
	r.done.Wait()
}

func (r *Runner) loop(ctx context.Context, j Job, wake <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	woken := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
			woken = true
		case <-timer.C:
		}
		ran, wait, err := r.turn(ctx, j, woken)
		if err != nil && ctx.Err() == nil {
			r.Log.Error("job: no turn", "job", j.Name, "error", err)
			wait = min(j.Every, retrySoon)
		}
		if woken = woken && !ran; woken { // somebody else runs it, and may have begun before what we were woken for
			wait = min(wait, wakeSoon)
		}
		timer.Reset(wait)
	}
}

var errNotDue = errors.New("not due")

// turn runs the job when this node gets its lease, and says whether it ran and how long to wait for the next turn. woken
// runs it although it is not due.
func (r *Runner) turn(ctx context.Context, j Job, woken bool) (ran bool, wait time.Duration, err error) {
	began := r.Clock()
	if j.Idle != nil && !woken {
		idle, err := j.Idle(ctx, began)
		if err != nil || idle {
			return false, j.Every, err
		}
	}
	var row Lease
	mine := false
	err = r.Store.Write(ctx, func(tx Tx) (err error) {
		if mine, err = tx.TakeLease(j.Name, r.Holder, began, TTL); err != nil {
			return err
		}
		if row, err = find(tx, j.Name); err != nil {
			return err
		}
		// Looked at under the lease: whoever had it a moment ago may have done this turn's work.
		if mine && !woken && row.Error == "" && began.Before(row.Last.Add(j.Every)) && !began.Before(row.Last) {
			return errNotDue
		}
		return nil
	})
	switch {
	case errors.Is(err, errNotDue):
		return false, row.Last.Add(j.Every).Sub(began), nil
	case err != nil:
		return false, 0, err
	case !mine:
		return false, max(min(row.Until.Sub(began), j.Every), time.Millisecond), nil
	}
	failed := r.run(ctx, j, began)
	if err := r.end(ctx, j, began, failed); err != nil {
		return true, 0, err
	}
	if failed != nil {
		return true, min(j.Every, retrySoon), nil
	}
	return true, max(began.Add(j.Every).Sub(r.Clock()), 0), nil
}

func find(tx Tx, name string) (Lease, error) {
	all, err := tx.Leases()
	for _, l := range all {
		if l.Name == name {
			return l, err
		}
	}
	return Lease{}, err
}

// run runs the job while a second goroutine keeps the lease.
func (r *Runner) run(ctx context.Context, j Job, began time.Time) (failed error) {
	ctx, cancel := context.WithCancelCause(ctx)
	returned := make(chan struct{})
	var keeper sync.WaitGroup
	keeper.Go(func() { r.keep(ctx, returned, cancel, j) })
	defer func() {
		if p := recover(); p != nil {
			r.Log.Error("job: panic", "job", j.Name, "panic", p, "stack", string(debug.Stack()))
			failed = fmt.Errorf("panic: %v", p)
		}
		if failed != nil && ctx.Err() != nil {
			failed = context.Cause(ctx)
		}
		close(returned)
		keeper.Wait()
		cancel(nil)
	}()
	return j.Run(ctx, began)
}

var errLost = errors.New("the lease was lost: another node runs the job")

// keep renews the lease until the run has returned, also while the program stops: a run that takes its time to end must
// not meet another one. A database that does not answer is given as long as the lease holds.
func (r *Runner) keep(ctx context.Context, returned <-chan struct{}, cancel context.CancelCauseFunc, j Job) {
	tick := time.NewTicker(renewal)
	defer tick.Stop()
	until := r.Clock().Add(TTL)
	for {
		select {
		case <-returned:
			return
		case <-tick.C:
		}
		now, held := r.Clock(), false
		once, done := context.WithTimeout(context.WithoutCancel(ctx), giveBack)
		err := r.Store.Write(once, func(tx Tx) (err error) {
			held, err = tx.RenewLease(j.Name, r.Holder, now, TTL)
			return err
		})
		done()
		switch {
		case err == nil && held:
			until = now.Add(TTL)
		case err == nil || !r.Clock().Before(until):
			cancel(errLost)
			return
		}
	}
}

// end gives the lease back with what became of the run, also while the program stops. The row's last run is when it
// began: counted from its end, a job would drift and run every other time.
func (r *Runner) end(ctx context.Context, j Job, began time.Time, failed error) error {
	text, result := "", "done"
	if failed != nil {
		result = "failed"
		if text = failed.Error(); errors.Is(failed, context.Canceled) {
			text = "stopped before it was done"
		} else {
			r.Log.Error("job: failed", "job", j.Name, "error", failed)
		}
		if len(text) > errorMax {
			text = strings.ToValidUTF8(text[:errorMax], "") + "…"
		}
	}
	if r.Count != nil {
		r.Count("job", "name", j.Name, "result", result)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBack)
	defer cancel()
	return r.Store.Write(ctx, func(tx Tx) error { return tx.EndLease(j.Name, r.Holder, began, text) })
}
