package login_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/authn/onetime"
	"doorward/internal/authn/recovery"
	"doorward/internal/authn/spoken"
	"doorward/internal/authn/totp"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

// BenchmarkWeigh is the question that sessions, refreshes and introspections ask whenever nothing is remembered: would what
// was shown still admit? It reads no database.
func BenchmarkWeigh(b *testing.B) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	r, err := directory.ParseRealm("shop.toml", realms.Shop)
	must(b, err)
	policies, err := authn.ParsePolicies(r.Policy)
	must(b, err)
	realm := &login.Realm{Realm: r, Policies: policies}
	s := testdb.SQLite(b)
	service, err := login.New(login.Config{
		Store: sqlstore.For[login.Tx](s), Ring: testdb.Ring(), Realms: &oneRealm{r: realm}, Clock: func() time.Time { return now }, Epoch: s.Epoch,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Methods: []authn.Method{
			totp.New(totp.Config{}), recovery.New(testdb.Ring().Hash), onetime.New(authn.Invite), onetime.New(authn.Mail), spoken.New(authn.Call), spoken.New(authn.Spoken),
		},
	})
	must(b, err)
	org := directory.Organization{ID: newID(), Realm: r.ID, Name: "Sample Works Ltd", State: directory.Active, Created: now}
	w := login.Weighed{
		Person: directory.Person{ID: newID(), Realm: r.ID, Organization: org.ID, Role: directory.Member, State: directory.Active, Created: now}, Organization: org, At: now,
	}
	for _, kind := range []authn.Kind{authn.Password, authn.TOTP} {
		c := authn.Credential{ID: newID(), Realm: r.ID, Person: w.Person.ID, Kind: kind, State: authn.Active, Created: now.Add(-time.Hour)}
		w.Held = append(w.Held, c)
		w.Shown = append(w.Shown, authn.Evidence{Kind: kind, Credential: c.ID, At: now})
	}
	b.ReportAllocs()
	for b.Loop() {
		if suffices, excused := service.Weigh(realm, w); !suffices || excused {
			b.Fatal(suffices, excused)
		}
	}
}
