package oidc_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/oidc"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// node is one of several that serve the same realm from the same database.
type node struct {
	*rig.Rig
	c *http.Client
}

// node makes another node beside the rig's, on a store of its own.
func (s *street) node(store *sqlstore.Store, epoch func() int64) *node {
	other := *s.Rig
	o := s.Provider.Options
	o.Store, o.Epoch = sqlstore.For[oidc.Tx](store), epoch
	other.Provider = oidc.New(o)
	other.Handler = other.Doors(other.Login)
	n := &node{Rig: &other}
	n.c = n.Browser("192.0.2.90").HTTP
	return n
}

// issue is an access token of the node, by client_credentials, and a signed answer about it.
func (n *node) issue() (tokens []string, err error) {
	call := func(path string, form url.Values, accept string) ([]byte, error) {
		req, err := http.NewRequest(http.MethodPost, rig.Origin+path, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", accept)
		basic("store", storeSecret)(req)
		res, err := n.c.Transport.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %d %s", path, res.StatusCode, b)
		}
		return b, err
	}
	b, err := call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders"}}, "*/*")
	if err != nil {
		return nil, err
	}
	var got struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(b, &got); err != nil {
		return nil, err
	}
	about, err := call("/oauth2/introspect", url.Values{"token": {got.Access}}, "application/token-introspection+jwt")
	if err != nil {
		return nil, err
	}
	var claims struct {
		Token struct{ Active bool } `json:"token_introspection"`
	}
	if object, err := jose.ParseSignedCompact(string(about), []jose.SignatureAlgorithm{jose.ES256}); err != nil || json.Unmarshal(object.UnsafePayloadWithoutVerification(), &claims) != nil || !claims.Token.Active {
		return nil, fmt.Errorf("the node does not know its own token: %s %v", about, err)
	}
	return []string{got.Access, string(about)}, nil
}

// keeper is a relying party that keeps the key set for exactly as long as it may, and never asks sooner: the least
// helpful one that the standards allow.
type keeper struct {
	keys  jose.JSONWebKeySet
	read  time.Time
	keeps time.Duration
}

var maxAge = regexp.MustCompile(`max-age=(\d+)`)

func (v *keeper) verify(now time.Time, from *node, raw string) error {
	if v.read.IsZero() || now.Sub(v.read) >= v.keeps {
		req, err := http.NewRequest(http.MethodGet, rig.Origin+"/oauth2/jwks", nil)
		if err != nil {
			return err
		}
		res, err := from.c.Transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		m := maxAge.FindStringSubmatch(res.Header.Get("Cache-Control"))
		if m == nil {
			return fmt.Errorf("the key set says nothing about how long it may be kept: %q", res.Header.Get("Cache-Control"))
		}
		seconds, err := strconv.Atoi(m[1])
		if err != nil {
			return err
		}
		v.keys = jose.JSONWebKeySet{}
		if err := json.NewDecoder(res.Body).Decode(&v.keys); err != nil {
			return err
		}
		v.read, v.keeps = now, time.Duration(seconds)*time.Second
	}
	object, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	kid := object.Signatures[0].Header.KeyID
	for _, k := range v.keys.Key(kid) {
		if _, err := object.Verify(k); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s is not in a key set read %s ago", kid, now.Sub(v.read))
}

// Keys rotate while two nodes sign and a third that hears of no change does, too; relying parties keep what was published
// for as long as it may be kept. No token is ever one that its reader cannot verify (SEC J-3).
func TestSEC_J3_RotationUnderLoadFailsNobody(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := &street{Rig: rig.New(t, testdb.Open(t, dsn), clients), t: t}
		second, third := testdb.Open(t, dsn), testdb.Open(t, dsn)
		deaf := func() int64 { return 1 }
		nodes := []*node{s.node(s.Store, s.Store.Epoch), s.node(second, second.Epoch), s.node(third, deaf)}
		readers := make([]*keeper, 4)
		for i := range readers {
			readers[i] = &keeper{}
		}
		type signed struct {
			raw   string
			until time.Time
		}
		var alive []signed
		kids, verified, steps := map[string]bool{}, 0, 0
		step := func(ahead time.Duration) {
			s.Clock.Advance(ahead)
			now := s.Clock.Now()
			steps++
			var mu sync.Mutex
			var done sync.WaitGroup
			for _, n := range nodes {
				done.Go(func() {
					tokens, err := n.issue()
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Errorf("%s: %v", now, err)
					}
					for _, raw := range tokens {
						alive = append(alive, signed{raw, now.Add(token.AccessLife)})
						if object, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256}); err == nil {
							kids[object.Signatures[0].Header.KeyID] = true
						}
					}
				})
			}
			done.Wait()
			for len(alive) > 0 && !now.Before(alive[0].until) {
				alive = alive[1:]
			}
			if len(alive) == 0 {
				t.Fatal("no node issues anything")
			}
			for i, v := range readers {
				done.Go(func() {
					for _, j := range []int{0, len(alive) / 2, len(alive) - 1 - i} { // the oldest, and one of each node's newest
						if err := v.verify(now, nodes[(i+steps)%len(nodes)], alive[max(j, 0)].raw); err != nil {
							t.Errorf("%s: reader %d: %v", now, i, err)
						}
						mu.Lock()
						verified++
						mu.Unlock()
					}
				})
			}
			done.Wait()
		}
		// next is when something happens to a key.
		next := func() (at time.Time) {
			s.Read(func(tx *sqlstore.Tx) error {
				keys, err := tx.Keys("shop")
				for _, k := range keys {
					for _, when := range []time.Time{k.Signs, k.Retires, k.Ends, k.Signs.Add(token.DefaultRotation.Every - 25*time.Hour)} {
						if when.After(s.Clock.Now()) && (at.IsZero() || when.Before(at)) {
							at = when
						}
					}
				}
				return err
			})
			return at
		}
		for range 40 {
			step(11 * time.Second)
		}
		for len(kids) < 5 && steps < 4000 && !t.Failed() {
			if at := next(); at.IsZero() || at.Sub(s.Clock.Now()) > 8*time.Minute {
				ahead := 13 * time.Hour
				if len(kids) == 3 && len(alive) > 0 {
					ahead = 70 * 24 * time.Hour // nobody comes for a long time, and the job does not run
				}
				if !at.IsZero() {
					ahead = min(ahead, at.Sub(s.Clock.Now())-6*time.Minute)
				}
				step(max(ahead, 11*time.Second))
				continue
			}
			for range 70 { // through it and out on the other side
				step(11 * time.Second)
			}
		}
		if len(kids) < 5 || verified < 5000 {
			t.Errorf("%d keys signed and %d tokens were verified: that proves little", len(kids), verified)
		}
		t.Logf("%d keys, %d steps, %d verified on %d nodes", len(kids), steps, verified, len(nodes))
	})
}
