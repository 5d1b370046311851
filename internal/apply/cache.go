package apply

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
)

// CacheTx is what the cache reads.
type CacheTx interface {
	RealmVersions() (map[string]int64, error)
	Realm(id string) (directory.Realm, error)
}

// CacheStore begins reading transactions.
type CacheStore interface {
	Read(context.Context, func(CacheTx) error) error
}

// Cache keeps every realm in memory with its policy compiled. It answers without locks and without the database;
// Refresh is called whenever the epoch has risen and reads only the realms that have changed. What it hands out is never
// changed afterwards.
type Cache struct {
	store CacheStore
	log   *slog.Logger
	turn  sync.Mutex // one Refresh at a time: an older reading must not win
	now   atomic.Pointer[cached]
}

type cached struct {
	byID    map[string]*login.Realm
	byHost  map[string]*directory.Realm
	guarded map[string]guarded // by entry of hosts, with its port
	names   map[string]bool    // of guarded hosts, without port
	all     []*directory.Realm
}

type guarded struct {
	realm *login.Realm
	by    *directory.RelyingParty
}

// NewCache makes a Cache and fills it.
func NewCache(ctx context.Context, store CacheStore, log *slog.Logger) (*Cache, error) {
	c := &Cache{store: store, log: log}
	c.now.Store(&cached{})
	return c, c.Refresh(ctx)
}

// Refresh reads what has changed. When it fails, or a realm cannot be used, what was there before stays: a door that
// closes because of a slip in the database helps nobody, and every use case checks the rest.
func (c *Cache) Refresh(ctx context.Context) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	old := c.now.Load()
	next := &cached{
		byID: map[string]*login.Realm{}, byHost: map[string]*directory.Realm{}, guarded: map[string]guarded{}, names: map[string]bool{},
	}
	err := c.store.Read(ctx, func(tx CacheTx) error {
		versions, err := tx.RealmVersions()
		if err != nil {
			return err
		}
		for id, version := range versions {
			if have := old.byID[id]; have != nil && have.Version == version {
				next.byID[id] = have
				continue
			}
			r, err := tx.Realm(id)
			if err != nil {
				return err
			}
			compiled, err := authn.ParsePolicies(r.Policy)
			if err != nil {
				c.log.Error("a realm's policy cannot be read; the one before stays", slog.String("realm", id), slog.String("error", err.Error()))
				if have := old.byID[id]; have != nil {
					next.byID[id] = have
				}
				continue
			}
			next.byID[id] = &login.Realm{Realm: r, Policies: compiled}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the realms: %w", err)
	}
	for _, r := range next.byID {
		next.byHost[r.Host] = &r.Realm
		next.all = append(next.all, &r.Realm)
	}
	next.guard(c.log)
	slices.SortFunc(next.all, func(a, b *directory.Realm) int { return cmp.Compare(a.ID, b.ID) })
	c.now.Store(next)
	return nil
}

// Realm finds a realm by id, or fails with fault.NotFound "not-found".
func (c *Cache) Realm(id string) (*login.Realm, error) {
	if r := c.now.Load().byID[id]; r != nil {
		return r, nil
	}
	return nil, fault.New(fault.NotFound, "not-found")
}

// ByHost finds the realm whose door the host is; host is lower case, without port.
func (c *Cache) ByHost(host string) (*directory.Realm, bool) {
	r, ok := c.now.Load().byHost[host]
	return r, ok
}

// guard collects the guarded hosts. One that two realms claim, or that is a realm's own door, is nobody's: whose people
// would come in must not depend on an order. Applying a file refuses both; this is for what was written past it.
func (n *cached) guard(log *slog.Logger) {
	for _, r := range n.byID {
		for i := range r.Relying {
			for _, entry := range r.Relying[i].Hosts {
				name := directory.GuardedName(entry)
				if _, taken := n.byHost[name]; taken || n.names[name] {
					log.Error("a guarded host is claimed twice; it stays closed", slog.String("realm", r.ID), slog.String("host", entry))
					n.names[name] = true
					for other := range n.guarded {
						if directory.GuardedName(other) == name {
							delete(n.guarded, other)
						}
					}
					continue
				}
				n.names[name] = true
				n.guarded[entry] = guarded{r, &r.Relying[i]}
			}
		}
	}
}

// Serves reports whether the host is the door of a realm, or one that forward-auth guards.
func (c *Cache) Serves(host string) bool {
	now := c.now.Load()
	_, ok := now.byHost[host]
	return ok || now.names[host]
}

// Guards reports whether forward-auth guards the host: lower case, without port.
func (c *Cache) Guards(host string) bool {
	now := c.now.Load()
	_, own := now.byHost[host]
	return now.names[host] && !own
}

// Guard finds the application that a guarded host belongs to, and its realm. host is as the realm file writes it: lower
// case, with its port where that is not 443.
func (c *Cache) Guard(host string) (*login.Realm, *directory.RelyingParty, bool) {
	g, ok := c.now.Load().guarded[host]
	return g.realm, g.by, ok
}

// All lists the realms by id.
func (c *Cache) All() []*directory.Realm { return c.now.Load().all }
