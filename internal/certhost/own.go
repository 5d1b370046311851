package certhost

import (
	"context"
	"errors"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/login"
)

// OwnTx is what Own needs of a transaction.
type OwnTx interface{ login.Tx }

// OwnStore begins transactions.
type OwnStore interface {
	Write(context.Context, func(OwnTx) error) error
}

// Own leads the browser of somebody who is signed in to the host for certificates, to show one of their own that they have
// just installed. All fields are needed.
//
//   - What is shown so is no evidence: it leads into no flow, and nobody is signed in by it.
//   - It is judged as at every sign-in, and counts as its first use.
type Own struct {
	Ways  *Service
	Desk  *Desk
	Store OwnStore
}

var (
	errNone  = fault.New(fault.Rejected, "certificate-none")
	errOther = fault.New(fault.Rejected, "certificate-not-this")
)

// Leave makes a ticket and returns the address that it leads to, at the host of the nth try, counted from 0. place is the
// path of the page, below which /shown/TICKET takes what comes back. Errors: fault.Throttled "too-many-attempts".
func (o *Own) Leave(ctx context.Context, by login.By, place string, try int) (address string, err error) {
	return o.Ways.leave(ctx, login.Caller{Realm: by.Person.Realm, Network: by.Network, Agent: by.Agent}, by.Realm, place, by.Person.ID, try)
}

// Shown takes what came back with a ticket of Leave, and notes the use of the actor's certificate id. try is that of Leave,
// so that the next can be made at another host.
//
// Errors: fault.Expired "ticket-over"; fault.Rejected with a code of devicecert, "certificate-none" where none came, and
// "certificate-not-this" where it is another one.
func (o *Own) Shown(ctx context.Context, by login.By, place, ticket, id string) (try int, err error) {
	d, now := o.Desk, o.Desk.Clock()
	err = o.Store.Write(ctx, func(tx OwnTx) error {
		f := authn.Flow{ID: place, Realm: by.Person.Realm, Person: by.Person.ID, Now: now}
		seen, err := tx.SightingByBack(f.Realm, backHash(d.Ring, ticket))
		if fault.Of(err, fault.NotFound) || err == nil && (seen.Flow != place || !now.Before(seen.Expires)) {
			return errTicket
		}
		if err != nil {
			return err
		}
		if try = seen.Try; len(seen.Leaf) == 0 {
			return errNone
		}
		p, on, err := d.Presented(tx, f, ticket)
		if err != nil {
			return err
		}
		shown, err := d.Method.Verify(ctx, f, on, authn.Answer{Kind: authn.Cert, Presented: p})
		if err != nil {
			return err
		}
		if shown.Credential.ID != id || shown.Credential.Person != by.Person.ID {
			return errOther
		}
		for _, once := range shown.Spend {
			if fresh, err := tx.Spend(once.Key, once.Expires); err != nil || !fresh {
				return errors.Join(err, errTicket)
			}
		}
		return d.Used(tx, by.Realm, on[0], now)
	})
	return try, err
}

var errTicket = fault.New(fault.Expired, "ticket-over")
