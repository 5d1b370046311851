package main

import (
	"context"
	"runtime/debug"
	"time"
)

// What a node holds while nobody needs it.
//
// Starting touches far more than running does: every template and catalogue is read once, and the kernel maps the
// neighbours of each page of the program that was touched. A small machine that runs several things should not go on
// paying for that. Both kinds of memory come back by themselves when they are needed: the heap from the system, pages of
// the program from the page cache.

const (
	restFirst = 2 * time.Second
	restEvery = 10 * time.Minute
)

// rest gives memory back soon after the start and now and then, until ctx is done.
func rest(ctx context.Context) {
	wait := restFirst
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = restEvery
		debug.FreeOSMemory()
		dropPages()
	}
}
