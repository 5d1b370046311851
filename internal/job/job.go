// Package job runs periodic work on exactly one node at a time: a lease in the database, taken, renewed and given back.
// Jobs are idempotent and take their time from outside.
package job

import "time"

// Lease is the row that says who works until when.
type Lease struct {
	Name   string
	Holder string
	Until  time.Time
	Last   time.Time // last complete run
	Error  string    // of the last run, empty when it went well
}
