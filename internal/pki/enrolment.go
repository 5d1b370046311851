package pki

import "time"

// Enrolment lets one managed device of a person ask for its first certificate by itself (RFC 7030). Its secret is good for
// one certificate; afterwards the row says that the device is managed, and may ask for the next ones with what it has.
type Enrolment struct {
	ID          string
	Realm       string
	Person      string // whose device it is
	Device      string // id the device will have
	Name        string // the device's name, as its owner reads it
	Sender      string // staff member who made it
	Secret      []byte // keyed hash
	State       EnrolmentState
	Certificate string // id of what it was spent for
	Created     time.Time
	Until       time.Time
	Used        time.Time
	Version     int64
}

// EnrolmentState says what became of an enrolment.
type EnrolmentState string

// The states.
const (
	EnrolmentReady EnrolmentState = "ready"
	EnrolmentUsed  EnrolmentState = "used"
	EnrolmentEnded EnrolmentState = "ended"
)

// Open reports whether the secret can be used at a moment.
func (e Enrolment) Open(now time.Time) bool { return e.State == EnrolmentReady && now.Before(e.Until) }
