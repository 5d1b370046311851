// Package clientkeys knows the public keys of clients: of the realm file, or read from where a client publishes them.
package clientkeys

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/token"
)

// Rules of keys that a client publishes at its jwks_uri.
//
//   - The address is the operator's own entry in the realm file, never one from a request: no stranger chooses what is called.
//   - A set is kept for as long as its answer allows, five to fifteen minutes. It is read again before that when a signature
//     names a key that is not in it, at most once a minute, whoever asks: unknown keys must not make us call in a loop.
//   - When reading fails the last good set holds on for a day: a client's site that is down for an hour takes nobody's sign-in
//     with it, and a key that was taken away there is taken away here once it can be read again. The next try is a minute later.
//   - Of many requests at once one reads and the others wait for it, none longer than fetchWait.

// Times of fetched keys.
const (
	fetchWait   = 5 * time.Second
	fetchAgain  = time.Minute // after an unknown key, or a failure
	fetchedMin  = 5 * time.Minute
	fetchedMax  = 15 * time.Minute
	fetchedLast = 24 * time.Hour // how long a set may be used that could not be read anew
)

// Fetch reads the JWK set at an https address and says for how long the answer may be kept, 0 where it does not say. It
// follows no redirects, takes JSON of at most 64 KiB, and gives up with the context.
type Fetch func(ctx context.Context, uri string) (body []byte, keep time.Duration, err error)

// fetched is the set of one address. Its fields are guarded by Sets.mu.
type fetched struct {
	keys  *token.ClientKeys // the last good set, nil for none yet
	read  time.Time         // when it was read
	until time.Time         // until when it is fresh
	tried time.Time         // when an answer or a failure came last
	busy  chan struct{}     // closed when the reading that goes on is over; nil when none does
}

// Options are what Sets are made of. All are needed.
type Options struct {
	Fetch Fetch
	Clock func() time.Time
	Count func(metric string, labels ...string)
	Log   *slog.Logger
}

// Sets are the fetched sets by address. There are no more of them than the realm files name, and few that were named
// before. They are safe for concurrent use.
type Sets struct {
	Options
	mu  sync.Mutex
	all map[string]*fetched
}

// New makes Sets without anything in them.
func New(o Options) *Sets { return &Sets{Options: o, all: map[string]*fetched{}} }

// Of gives the public keys of a client, from its entry or its jwks_uri. has says whether the key at hand is among them;
// where it is not and the keys were fetched, they may be fetched anew. The keys are returned all the same: to refuse is for
// the caller. The error is fault.Unavailable "client-keys-unreachable" when there are none and none can be had, or that of
// token.ParseClientKeys.
func (s *Sets) Of(ctx context.Context, rp directory.RelyingParty, has func(*token.ClientKeys) bool) (*token.ClientKeys, error) {
	if rp.JWKSURI == "" {
		return token.ParseClientKeys([]byte(rp.JWKS))
	}
	keys, err := s.fetchedSet(ctx, rp, false)
	if err != nil || has(keys) {
		return keys, err
	}
	return s.fetchedSet(ctx, rp, true)
}

// fetchedSet gives the set of an address, read anew when it is stale, or when anew is set and the last try is a while ago.
func (s *Sets) fetchedSet(ctx context.Context, rp directory.RelyingParty, anew bool) (*token.ClientKeys, error) {
	for {
		now := s.Clock()
		s.mu.Lock()
		f := s.all[rp.JWKSURI]
		if f == nil {
			f = &fetched{}
			s.all[rp.JWKSURI] = f
		}
		stale := f.keys == nil || !now.Before(f.until) || now.Before(f.read)
		again := now.Sub(f.tried) >= fetchAgain || now.Before(f.tried)
		if busy := f.busy; busy != nil && (stale || anew) {
			s.mu.Unlock()
			select {
			case <-busy:
				anew = false // what has just been read is new enough
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if !again || !stale && !anew {
			keys := f.keys
			if keys != nil && now.Sub(f.read) > fetchedLast {
				keys = nil
			}
			s.mu.Unlock()
			if keys == nil {
				return nil, fault.New(fault.Unavailable, "client-keys-unreachable")
			}
			return keys, nil
		}
		f.busy = make(chan struct{})
		s.mu.Unlock()
		// Not with the context of this request alone: others wait for the answer, and must not fail with a visitor who left.
		s.fetch(context.WithoutCancel(ctx), rp, f)
		anew = false
	}
}

// fetch reads the set once and keeps what came of it.
func (s *Sets) fetch(ctx context.Context, rp directory.RelyingParty, f *fetched) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	var keys *token.ClientKeys
	var keep time.Duration
	defer func() { // whatever happens, nobody waits for ever
		s.mu.Lock()
		defer s.mu.Unlock()
		if f.tried = s.Clock(); keys != nil {
			f.keys, f.read, f.until = keys, f.tried, f.tried.Add(min(max(keep, fetchedMin), fetchedMax))
		}
		close(f.busy)
		f.busy = nil
	}()
	var body []byte
	var err error
	body, keep, err = s.Fetch(ctx, rp.JWKSURI)
	if err == nil {
		keys, err = token.ParseClientKeys(body)
	}
	if err != nil {
		s.Count("client_keys", "result", "failed")
		s.Log.LogAttrs(ctx, slog.LevelWarn, "the keys of a client could not be read; those before stay for a day",
			slog.String("client", rp.ID), slog.String("jwks_uri", rp.JWKSURI), slog.String("error", err.Error()))
		return
	}
	s.Count("client_keys", "result", "read")
}

// Verified runs a check that wants a client's keys, once more with keys read anew where none of the first ones fits. The
// error is the check's, or that of Of.
func (s *Sets) Verified(ctx context.Context, rp directory.RelyingParty, check func(*token.ClientKeys) error) error {
	keys, err := s.Of(ctx, rp, func(k *token.ClientKeys) bool { return !token.NoKey(check(k)) })
	if err != nil {
		return err
	}
	return check(keys)
}
