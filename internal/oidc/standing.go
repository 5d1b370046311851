package oidc

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/token"
)

// What an authorization stands on, kept in memory: introspection, userinfo and refresh ask for it at every use (SEC O-9),
// and mostly nothing has changed.
//
//   - Kept are facts, never a verdict: the client, the realm and the clock are looked at every time.
//   - An answer is worth something only while the store's epoch stands that was there before it was read. Whatever ends
//     something raises the epoch in the same transaction, on whatever node.
//   - It is never kept longer than knownFor: a node that has lost sight of the epoch lets nothing live longer than that.
//   - What is not there is not kept, but for a client's own tokens, for which no row is what they live by.

const (
	knownFor = 4 * time.Second
	knownCap = 1 << 14 // some 2 KB each
)

// known is what was found about an authorization, and when.
type known struct {
	token.Standing
	own bool // a client's own, of no person
	at  time.Time
}

// standings is the memory of one epoch. A new epoch empties it at once.
type standings struct {
	mu    sync.Mutex
	epoch int64
	byID  map[string]*known // by realm and id; never changed once it is there
}

func (s *standings) get(key string, epoch int64, now time.Time) (*known, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != s.epoch {
		return nil, false
	}
	k, ok := s.byID[key]
	if !ok {
		return nil, false
	}
	age := now.Sub(k.at)
	return k, age >= 0 && age < knownFor
}

func (s *standings) put(key string, epoch int64, k *known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch < s.epoch {
		return // read before something ended
	}
	if epoch > s.epoch || len(s.byID) >= knownCap || s.byID == nil {
		s.byID = map[string]*known{}
		s.epoch = epoch
	}
	s.byID[key] = k
}

func (s *standings) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, key)
}

// known finds what an authorization stands on, in memory or in the database. It fails with fault.NotFound. own says that
// the token at hand is a client's own.
func (p *Provider) known(ctx context.Context, realm, id string, own bool, now time.Time) (*known, error) {
	key, epoch := realm+" "+id, p.Epoch() // before anything is read
	if k, ok := p.standings.get(key, epoch, now); ok && k.own == own {
		return k, nil
	}
	k := &known{own: own, at: now}
	err := p.Store.Read(ctx, func(tx Tx) (err error) {
		if !own {
			k.Standing, err = tx.Standing(realm, id)
			return err
		}
		if k.Authorization, err = tx.Authorization(realm, id); notFound(err) {
			k.Authorization, err = token.Authorization{}, nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	p.standings.put(key, epoch, k)
	return k, nil
}

// living is known for a token that must be alive, else it fails with invalid_grant.
func (p *Provider) living(c *call, rp directory.RelyingParty, id string, own bool) (*known, error) {
	k, err := p.known(c.r.Context(), c.realm.ID, id, own, c.now)
	switch {
	case notFound(err):
		return nil, errGrant
	case err != nil:
		return nil, err
	case own && (!k.Ended.IsZero() || k.Authorization.Person != ""), !own && !stands(k.Standing, rp, c.now):
		return nil, errGrant
	}
	return k, nil
}

// standing is living inside of a transaction, from the database.
func (p *Provider) standing(tx Tx, c *call, rp directory.RelyingParty, id string) (token.Standing, error) {
	s, err := tx.Standing(c.realm.ID, id)
	if notFound(err) || err == nil && !stands(s, rp, c.now) {
		err = errGrant
	}
	return s, err
}

// stands looks at everything an authorization stands on: itself, its client, the person, their organization, the session
// unless it outlives that, and every credential that was shown (SEC O-9).
func stands(s token.Standing, rp directory.RelyingParty, now time.Time) bool {
	if s.Authorization.Person == "" || rp.ID != s.Client || !s.Ended.IsZero() || !now.Before(s.Until) ||
		s.Person.State != directory.Active || s.Organization.State != directory.Active {
		return false
	}
	shown := s.Shown
	if !s.Offline || shown == nil {
		// Idleness is left out: a session that applications refresh is in use, and its absolute end still holds.
		if s.SessionUntil.IsZero() || !s.Offline && (!s.SessionEnded.IsZero() || !now.Before(s.SessionUntil)) {
			return false
		}
		shown = held(s.Evidence)
	}
	return !slices.ContainsFunc(shown, func(id string) bool { return !slices.Contains(s.Active, id) })
}

// held are the ids of the credentials that were shown, without what is shown once only.
func held(evidence []authn.Evidence) []string {
	ids := []string{}
	for _, e := range evidence {
		if info, _ := authn.Info(e.Kind); info.Held {
			ids = append(ids, e.Credential)
		}
	}
	return ids
}

// spending is a single use, and the refusal of a second one.
type spending struct {
	once    token.Once
	refusal *token.OAuthError
}

// spendAll spends what there is to spend; where there is nothing, nothing is written.
func (p *Provider) spendAll(c *call, all ...spending) error {
	all = slices.DeleteFunc(all, func(s spending) bool { return s.once.Key == "" })
	if len(all) == 0 {
		return nil
	}
	return p.Store.Write(c.r.Context(), func(tx Tx) error {
		for _, s := range all {
			if err := spend(tx, s.once, s.refusal); err != nil {
				return err
			}
		}
		return nil
	})
}

// found gives a client's own token the row by which it is revoked, if it has none yet.
func found(tx Tx, realm string, access token.AccessToken) error {
	err := tx.AddAuthorization(token.Authorization{
		ID: access.Authorization, Realm: realm, Client: access.Client, Scopes: strings.Fields(access.Scope),
		Created: time.Unix(access.Issued, 0), Until: time.Unix(access.Expires, 0),
	})
	if fault.Of(err, fault.Exists) {
		return nil
	}
	return err
}

// itself reports whether an access token is its client's own (client_credentials): it names no session, and as its subject
// the client, whose id no person ever has.
func itself(a token.AccessToken) bool {
	return a.Session == "" && a.AuthTime == 0 && a.Subject == a.Client
}
