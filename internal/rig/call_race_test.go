package rig

import (
	"context"
	"strings"
	"sync"
	"testing"

	authority "doorward/internal/certify"
	"doorward/internal/pki"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// A certificate is revoked while the desk confirms its call: whoever is first, the call is confirmed once at most, and a page
// behind the revoked certificate sets nothing up.
func TestREQ_A26_A56_SEC_A3_C5_RevokedAmong64Confirmations(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		p := newPortal(t, store)
		who := p.client("Cleo Client", "cleo@moser.example")
		cert, parcel := p.device(who, "Laptop")
		b := p.BrowserWith("198.51.100.77", cert)
		page := p.shows(b, p.at(b, who.Is.Address))
		a := p.matched(who, p.luca, page)
		ctx := context.Background()
		seen, err := p.Calls.Look(ctx, p.as(p.luca), a.Person, a.ID)
		p.must(err)
		var mu sync.Mutex
		done := map[string]int{}
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				var what string
				if i%4 == 3 {
					what = "revoked " + word(p.Certs.Revoke(ctx, authority.Changed{Realm: p.Realm.ID, ID: parcel.Certificate, Reason: pki.KeyCompromise, By: authority.Operator}))
				} else {
					_, err := p.Calls.Confirm(ctx, p.as(p.luca), a.Person, a.ID, seen.Version, passed)
					what = "confirmed " + word(err)
				}
				mu.Lock()
				defer mu.Unlock()
				done[what]++
			})
		}
		all.Wait()
		t.Log(done)
		if done["revoked ok"] == 0 || done["confirmed ok"] > 1 {
			t.Errorf("%v", done)
		}
		page = p.again(b, page)
		if got := asks(page); got == "call" || strings.HasPrefix(got, "set") || strings.Contains(p.Holds(who), "password") {
			t.Errorf("behind a revoked certificate the page goes on with %s (%v)", got, done)
		}
		if f := page.FormTo("/certificate"); f != nil {
			page, err = b.Submit(f)
			p.must(err)
			if got := asks(page); got == "call" || strings.HasPrefix(got, "set") {
				t.Errorf("shown once more it leads to %s", got)
			}
		}
	})
}
