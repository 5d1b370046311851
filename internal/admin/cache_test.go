package admin_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"doorward/internal/admin"
	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// What another process applies is seen here as soon as the epoch has risen; what has not changed is not read again.
func TestCacheFollowsTheEpoch(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		here, there := testdb.Open(t, dsn), testdb.Open(t, dsn)
		a := realmsOf(there)
		if _, err := a.Apply(t.Context(), "wealth.toml", realms.Wealth, false); err != nil {
			t.Fatal(err)
		}
		c, err := admin.NewCache(t.Context(), sqlstore.For[admin.CacheTx](here), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		risen := make(chan struct{}, 8)
		stop := here.Watch(func() {
			if err := c.Refresh(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
			risen <- struct{}{}
		})
		defer stop()
		if _, ok := c.ByHost("shop.localhost"); ok || c.Serves("shop.localhost") {
			t.Fatal("a realm from nowhere")
		}
		if _, err := c.Realm("shop"); !fault.Of(err, fault.NotFound) {
			t.Fatal(err)
		}
		wealth, err := c.Realm("wealth")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Apply(t.Context(), "shop.toml", realms.Shop, false); err != nil {
			t.Fatal(err)
		}
		for !c.Serves("shop.localhost") {
			<-risen
		}
		r, err := c.Realm("shop")
		if err != nil || r.Policies == nil || len(c.All()) != 2 || c.All()[0].ID != "shop" {
			t.Fatalf("%+v, %v", r, err)
		}
		if again, _ := c.Realm("wealth"); again != wealth {
			t.Error("a realm that has not changed was read again")
		}
		text := strings.Replace(string(realms.Shop), `host = "shop.localhost"`, `host = "store.localhost"`, 1)
		if _, err := a.Apply(t.Context(), "shop.toml", []byte(text), false); err != nil {
			t.Fatal(err)
		}
		for !c.Serves("store.localhost") {
			<-risen
		}
		if c.Serves("shop.localhost") {
			t.Error("the old host is still a door")
		}
	})
}

// A policy that cannot be read (a slip in the database) does not take the door away.
func TestCacheKeepsWhatWorked(t *testing.T) {
	s := testdb.SQLite(t)
	if _, err := realmsOf(s).Apply(t.Context(), "shop.toml", realms.Shop, false); err != nil {
		t.Fatal(err)
	}
	c, err := admin.NewCache(t.Context(), sqlstore.For[admin.CacheTx](s), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Write(t.Context(), func(tx *sqlstore.Tx) error {
		r, err := tx.Realm("shop")
		if err != nil {
			return err
		}
		r.Policy = "nonsense"
		return tx.PutRealm(r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := c.Realm("shop")
	if err != nil || !c.Serves("shop.localhost") || len(r.Policies.Rules(authn.Members).Login) == 0 {
		t.Fatalf("%v", err)
	}
}

// The engine's proofs run over texts of their own; they are the shipped ones.
func TestTheShippedPoliciesAreThoseThatWereProven(t *testing.T) {
	for name, text := range map[string][]byte{"shop": realms.Shop, "wealth-interim": realms.Wealth} {
		proven, err := authn.ParsePolicies(read(t, "../authn/testdata/"+name+".policy"))
		if err != nil {
			t.Fatal(err)
		}
		_, shipped, _, err := admin.ReadRealm(name, text)
		if err != nil {
			t.Fatal(err)
		}
		if shipped.String() != proven.String() {
			t.Errorf("%s: shipped\n%s\nproven\n%s", name, shipped, proven)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
