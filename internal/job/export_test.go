package job

import "context"

// Turn is one turn of a job, for tests that race nodes without timers.
func (r *Runner) Turn(ctx context.Context, j Job, woken bool) (ran bool, err error) {
	ran, _, err = r.turn(ctx, j, woken)
	return ran, err
}
