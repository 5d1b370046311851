package mail

import "time"

// Health is the state of the outbox, for the console and the readiness page.
type Health struct {
	Waiting   int
	Oldest    time.Time // when the oldest waiting message was made; zero: none waits
	Failed    int       // given up within the last day
	LastError string    // of the newest message that failed or waits for a retry; empty when none does
}
