package apply_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"doorward/internal/apply"
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
		c, err := apply.NewCache(t.Context(), sqlstore.For[apply.CacheTx](here), slog.New(slog.DiscardHandler))
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
	c, err := apply.NewCache(t.Context(), sqlstore.For[apply.CacheTx](s), slog.New(slog.DiscardHandler))
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
		_, shipped, _, err := apply.ReadRealm(name, text)
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

// Whose people come in at a guarded host never depends on an order: a name that two claim is refused when a file is
// applied, and closed where it was written past that.
func TestREQ_B70_AGuardedHostBelongsToOne(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		a := realmsOf(store)
		with := func(text []byte, hosts string) []byte {
			return append(slices.Clone(text), "\n[[relying_party]]\nid = \"wiki\"\nname = \"Wiki\"\nhome = \"https://wiki.example/\"\nhosts = "+hosts+"\n"...)
		}
		if _, err := a.Apply(t.Context(), "shop.toml", with(realms.Shop, `["wiki.example", "docs.example:8443"]`), false); err != nil {
			t.Fatal(err)
		}
		for _, taken := range []string{`["wiki.example"]`, `["other.example", "docs.example"]`, `["docs.example:9443"]`, `["shop.localhost"]`} {
			if _, err := a.Apply(t.Context(), "wealth.toml", with(realms.Wealth, taken), false); err == nil || !strings.Contains(err.Error(), "belongs to realm shop already") {
				t.Errorf("%s: %v", taken, err)
			}
		}
		if _, err := a.Apply(t.Context(), "wealth.toml", with(realms.Wealth, `["vault.example"]`), false); err != nil {
			t.Fatal(err)
		}
		c, err := apply.NewCache(t.Context(), sqlstore.For[apply.CacheTx](store), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for host, realm := range map[string]string{
			"wiki.example": "shop", "docs.example:8443": "shop", "vault.example": "wealth", "docs.example": "", "wiki.example:8443": "", "shop.localhost": "", "other.example": "",
		} {
			r, rp, ok := c.Guard(host)
			if ok != (realm != "") || ok && (r.ID != realm || rp.ID != "wiki") {
				t.Errorf("%s is guarded: %t, %v", host, ok, r)
			}
		}
		for host, want := range map[string][2]bool{
			"wiki.example": {true, true}, "docs.example": {true, true}, "shop.localhost": {true, false}, "docs.example:8443": {false, false}, "other.example": {false, false},
		} {
			if got := [2]bool{c.Serves(host), c.Guards(host)}; got != want {
				t.Errorf("%s is served, guarded: %v", host, got)
			}
		}
		for _, claimed := range []string{"wiki.example", "shop.localhost"} { // past the rules
			if err := store.Write(t.Context(), func(tx *sqlstore.Tx) error {
				r, err := tx.Realm("wealth")
				if err != nil {
					return err
				}
				r.Relying[len(r.Relying)-1].Hosts = []string{claimed}
				return tx.PutRealm(r)
			}); err != nil {
				t.Fatal(err)
			}
			if err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, _, ok := c.Guard(claimed); ok {
				t.Errorf("%s is somebody's", claimed)
			}
			if r, ok := c.ByHost("shop.localhost"); !ok || r.ID != "shop" || c.Guards("shop.localhost") {
				t.Error("the realm's own host is not its own any more")
			}
		}
	})
}
