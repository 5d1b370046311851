package oidc

import (
	"context"
	"slices"
	"time"

	"doorward/internal/audit"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/token"
)

// keySet is the keys of a realm as they were read.
type keySet struct {
	set   *token.KeySet
	epoch int64
	read  time.Time
}

// keysFor bounds how long keys are kept without looking again.
const keysFor = time.Minute

// algs are the algorithms that the clients of a realm ask for, the default first.
func (p *Provider) algs(r *login.Realm) []string {
	algs := []string{token.ES256}
	for _, c := range r.Relying {
		for _, alg := range []string{c.IDTokenAlg, c.UserinfoAlg} {
			if c.Auth != "" && alg != "" && !slices.Contains(algs, alg) {
				algs = append(algs, alg)
			}
		}
	}
	return algs
}

// Keys are the keys of a realm, from memory where nothing changed. A realm that has none yet gets them here.
func (p *Provider) Keys(ctx context.Context, realm string) (*token.KeySet, error) {
	now, epoch := p.Clock(), p.Epoch()
	p.mu.Lock()
	have, ok := p.sets[realm]
	p.mu.Unlock()
	if age := now.Sub(have.read); ok && have.epoch == epoch && age >= 0 && age < keysFor {
		return have.set, nil
	}
	rows, err := p.rotate(ctx, realm, now)
	if err != nil {
		return nil, err
	}
	set, err := token.NewKeySet(rows)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.sets[realm] = keySet{set: set, epoch: epoch, read: now}
	p.mu.Unlock()
	return set, nil
}

// Rotate does what the plan of every realm's keys asks for. It is run as a job and may be run at any time.
func (p *Provider) Rotate(ctx context.Context, realms []string) error {
	for _, id := range realms {
		if _, err := p.rotate(ctx, id, p.Clock()); err != nil {
			return err
		}
	}
	return nil
}

// rotate reads the keys of a realm and carries out the plan for them, in one transaction. Of two nodes that begin at once
// the database lets one add the newest key; the other takes it as it is.
func (p *Provider) rotate(ctx context.Context, realm string, now time.Time) ([]token.Key, error) {
	r, err := p.Realms.Realm(realm)
	if err != nil {
		return nil, err
	}
	algs := p.algs(r)
	var rows []token.Key
	if err := p.Store.Read(ctx, func(tx Tx) error {
		rows, err = tx.Keys(realm)
		return err
	}); err != nil {
		return nil, err
	}
	if token.Plan(rows, algs, now, token.DefaultRotation).Nothing() {
		return rows, nil
	}
	err = p.Store.Write(ctx, func(tx Tx) error {
		if rows, err = tx.Keys(realm); err != nil {
			return err
		}
		plan := token.Plan(rows, algs, now, token.DefaultRotation)
		for _, old := range plan.Retire {
			if err := tx.RetireKey(realm, old.ID, old.Retires, old.Ends); err != nil {
				return err
			}
		}
		for _, next := range plan.Add {
			k, err := token.NewKey(realm, next.Alg, now)
			if err != nil {
				return err
			}
			k.Signs = next.Signs
			if err := tx.AddKey(k); err != nil {
				return err
			}
			if err := tx.Audit(audit.Event{Realm: realm, At: now, Type: "key.rotated", Actor: "system", Data: map[string]string{"kid": k.ID, "alg": k.Alg}}); err != nil {
				return err
			}
		}
		tx.Bump()
		rows, err = tx.Keys(realm)
		return err
	})
	if fault.Of(err, fault.Exists) || fault.Of(err, fault.Conflict) { // another node was faster, and planned the same
		err = p.Store.Read(ctx, func(tx Tx) error {
			rows, err = tx.Keys(realm)
			return err
		})
	}
	return rows, err
}
