package login_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
)

// Random sequences of everything a door can be made to do, by an attacker who has the mailbox and the password of
// somebody active, and the whole of another account: never a session of the victim.
func TestSEC_HardGate_RandomSequencesNeverAdmit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		victim := h.person("Vera", directory.Member).setUp()
		other := h.person("Otto", directory.Member).setUp()
		var tried, proven atomic.Int64
		for seed := range uint64(12) {
			rng := rand.New(rand.NewPCG(seed, 7))
			h.clock.advance(time.Hour)
			thief := &user{h: h, id: victim.id, address: victim.address, password: victim.password, network: fmt.Sprintf("203.0.113.%d", seed)}
			var flows []string
			see := func(v login.View, err error) {
				tried.Add(1)
				if v.Flow.ID != "" {
					flows = append(flows, v.Flow.ID)
				}
				thief.took(v)
				if v.Minted != nil && v.Minted.Session.Person == victim.id {
					t.Fatalf("seed %d: the thief is let in as the victim", seed)
				}
				if err == nil && v.Flow.Person == victim.id {
					proven.Add(1)
				}
			}
			for range 60 {
				flow := newID()
				if len(flows) > 0 {
					flow = flows[rng.IntN(len(flows))]
				}
				kinds := []authn.Kind{authn.Password, authn.TOTP, authn.Passkey, authn.Recovery, authn.Invite, authn.Mail, authn.Cert, "", authn.Call}
				texts := []string{victim.password, other.key.Code(h.clock.now()), "", "000000", "umbrella stand in autumn 81", victim.id}
				switch rng.IntN(9) {
				case 0:
					see(h.login.Begin(ctx, thief.caller(), login.Start{Address: victim.address}))
				case 1:
					see(h.login.Begin(ctx, thief.caller(), login.Start{Address: other.address}))
				case 2, 3, 4:
					see(h.login.Prove(ctx, thief.caller(), flow, authn.Answer{Kind: kinds[rng.IntN(len(kinds))], Text: texts[rng.IntN(len(texts))], Credential: victim.id}))
				case 5:
					must(t, ignoreThrottle(h.login.Forgot(ctx, thief.caller(), victim.address)))
					for _, m := range h.outbox() {
						if _, token, ok := strings.Cut(m.Args["link"], "/link/password/"); ok && m.To == victim.address {
							for _, purpose := range []string{login.Password, login.SetUp} {
								see(h.login.Follow(ctx, thief.caller(), purpose, token))
							}
							break
						}
					}
				case 6:
					see(h.login.Choose(ctx, thief.caller(), flow, h.realm.Apps[0].ID))
				case 7:
					see(h.login.Perform(ctx, thief.caller(), flow, login.Done{Duty: authn.Terms, Typed: victim.address, Read: true, Version: h.realm.Terms.Version}))
				case 8:
					for _, goal := range []authn.Goal{{}, {Bind: authn.TOTP, Way: authn.ByEnrol}, {Bind: authn.Password, Way: authn.ByReplace}} {
						see(h.login.Begin(ctx, thief.caller(), login.Start{Goal: goal}))
					}
				}
			}
		}
		if tried.Load() < 500 || proven.Load() < 5 {
			t.Fatalf("the attack proved nothing: %d tries, %d right steps", tried.Load(), proven.Load())
		}
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials(h.realm.ID, victim.id)
			if len(all) != 2 {
				t.Errorf("the victim holds %d credentials, want 2", len(all))
			}
			return err
		})
		h.clock.advance(time.Hour)
		victim.session = ""
		victim.signIn()
	})
}

func ignoreThrottle(err error) error {
	if fault.Of(err, fault.Throttled) {
		return nil
	}
	return err
}
