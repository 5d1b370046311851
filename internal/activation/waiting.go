package activation

import (
	"time"

	"github.com/google/uuid"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

// Tx is what the waiting side needs of one transaction.
type Tx interface {
	Person(realm, id string) (directory.Person, error)
	AddActivation(Activation) error
	ActivationOfFlow(flow string) (Activation, error)
	ReplaceActivations(flow string, now time.Time) error
}

// Of loads the activation of a flow, zero where there is none. A confirmation whose giver could not give it any more has ended.
func Of(tx Tx, flow string, target directory.Person) (Activation, error) {
	a, err := tx.ActivationOfFlow(flow)
	if fault.Of(err, fault.NotFound) {
		return Activation{}, nil
	}
	if err != nil || a.State != Confirmed {
		return a, err
	}
	var people []directory.Person
	for _, c := range a.Confirmations {
		p, err := tx.Person(a.Realm, c.By)
		if err != nil && !fault.Of(err, fault.NotFound) {
			return a, err
		}
		people = append(people, p)
	}
	if !a.Counts(target, people) {
		a.State = Ended
	}
	return a, nil
}

// Begin stores the activation of a new code, which q holds, and kills the one before. A code that is open elsewhere is drawn
// again, so q changes. a says where it waits.
func Begin(tx Tx, ring *secret.Ring, f authn.Flow, q *authn.Question, a Activation) (Activation, error) {
	a.ID, a.Realm, a.Person, a.Flow, a.Kind = uuid.Must(uuid.NewV7()).String(), f.Realm, f.Person, f.ID, q.Kind
	a.Number, a.State, a.Created, a.Expires = secret.Typed()[:9], Waiting, f.Now, q.Expires
	if err := tx.ReplaceActivations(f.ID, f.Now); err != nil {
		return a, err
	}
	for try := 0; ; try++ {
		a.Hash = Hash(ring, f.Realm, string(q.Data))
		err := tx.AddActivation(a)
		if !fault.Of(err, fault.Exists) || try == 20 {
			return a, err
		}
		q.Data = []byte(NewCode())
	}
}
