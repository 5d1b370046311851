package oidc

import (
	"context"
	"slices"
	"strings"
	"time"

	"doorward/internal/breakglass"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/token"
)

// What an authorization stands on, kept in memory: introspection, userinfo and refresh ask for it at every use (SEC O-9),
// and mostly nothing has changed.
//
//   - Kept are facts, never a verdict: the client, the realm and the clock are looked at every time.
//   - An answer is worth something only while the store's epoch stands that was there before it was read. Whatever ends
//     something raises the epoch in the same transaction, on whatever node.
//   - It is never kept longer than four seconds: a node that has lost sight of the epoch lets nothing live longer than that.
//   - What is not there is not kept, but for a client's own tokens, for which no row is what they live by.

const knownCap = 1 << 14 // some 2 KB each

// known is what was found about an authorization; it is never changed once it is remembered.
type known struct {
	token.Standing
	own bool // a client's own, of no person
}

// known finds what an authorization stands on, in memory or in the database. It fails with fault.NotFound. own says that
// the token at hand is a client's own.
func (p *Provider) known(ctx context.Context, realm, id string, own bool, now time.Time) (*known, error) {
	key, epoch := realm+" "+id, p.Epoch() // before anything is read
	if k, ok := p.standings.Get(key, epoch, now); ok && k.own == own {
		return k, nil
	}
	k := &known{own: own}
	err := p.Store.Read(ctx, func(tx Tx) (err error) {
		if !own {
			k.Standing, err = stood(tx, realm, id, now)
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
	p.standings.Put(key, epoch, now, k)
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
	case own && (!k.Ended.IsZero() || k.Authorization.Person != ""), !own && !p.stands(c, rp, k.Standing):
		return nil, errGrant
	}
	return k, nil
}

// standing is living inside of a transaction, from the database.
func (p *Provider) standing(tx Tx, c *call, rp directory.RelyingParty, id string) (token.Standing, error) {
	s, err := stood(tx, c.realm.ID, id, c.now)
	if notFound(err) || err == nil && !p.stands(c, rp, s) {
		err = errGrant
	}
	return s, err
}

// stood reads what an authorization stands on. An exemption stays with the person only while it counts.
func stood(tx Tx, realm, id string, now time.Time) (token.Standing, error) {
	s, err := tx.Standing(realm, id)
	if err == nil {
		err = breakglass.Weigh(tx, &s.Person, now)
	}
	return s, err
}

// stands reports whether everything that an authorization stands on is alive, and whether what was shown for it suffices by
// the policy as it is now, the client's own too: as a session, it is over at its next use where it does not.
func (p *Provider) stands(c *call, rp directory.RelyingParty, s token.Standing) bool {
	if !s.Stands(rp, c.now) {
		return false
	}
	held, shown := s.Held(c.now)
	enough, _ := p.Logins.Weigh(c.realm, login.Weighed{
		Person: s.Person, Organization: s.Organization, Client: rp.ID, Shown: shown, Held: held, At: s.Created,
	})
	return enough
}

// spending is a single use, and the refusal of a second one.
type spending struct {
	once    token.Once
	refusal *token.OAuthError
}

// spendAll spends what there is; where there is nothing, nothing is written.
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
