package apply_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/apply"
	"doorward/internal/audit"
	"doorward/internal/fault"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/tomlfile"
	"doorward/realms"
)

var applyNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func realmsOf(s *sqlstore.Store) *apply.Realms {
	return &apply.Realms{Store: sqlstore.For[apply.RealmTx](s), Clock: func() time.Time { return applyNow }}
}

func applied(t *testing.T, s *sqlstore.Store) (events []audit.Event) {
	t.Helper()
	err := s.Read(t.Context(), func(tx *sqlstore.Tx) (err error) {
		events, err = tx.Events(audit.Query{Realm: "shop", Limit: 100})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestApplyFromNothingToTheSecondVersion(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		a := realmsOf(s)
		dry, err := a.Apply(t.Context(), "shop.toml", realms.Shop, true)
		if err != nil || !dry.New || !dry.Changed || dry.Old != "" || len(dry.Changes) != 1 {
			t.Fatalf("%+v, %v", dry, err)
		}
		if events := applied(t, s); len(events) != 0 {
			t.Fatalf("a dry run left %d events", len(events))
		}
		epoch := s.Epoch()
		first, err := a.Apply(t.Context(), "shop.toml", realms.Shop, false)
		if err != nil || first.Hash != dry.Hash {
			t.Fatalf("%+v, %v", first, err)
		}
		if s.Epoch() <= epoch {
			t.Error("running servers are not told")
		}
		err = s.Read(t.Context(), func(tx *sqlstore.Tx) error {
			r, err := tx.Realm("shop")
			if err != nil {
				return err
			}
			o, err := tx.StaffOrganization("shop")
			if r.Name != "Northline Supply" || o.Name != "Northline Supply AG" || !o.Staff {
				t.Errorf("%s, %+v", r.Name, o)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}

		again, err := a.Apply(t.Context(), "shop.toml", realms.Shop, false)
		if err != nil || again.Changed || len(again.Changes) != 0 || len(applied(t, s)) != 1 {
			t.Fatalf("the same file twice: %+v, %v", again, err)
		}

		text := strings.NewReplacer(
			`name = "Northline Supply"`, `name = "Northline"`, `operator = "Northline Supply AG"`, `operator = "Northline Group"`,
			"length = 12", "length = 16", `version = "4"`, `version = "5"`,
			"    login    passkey else password + totp | password + phone\n", "    login    passkey else password + totp\n",
		).Replace(string(realms.Shop))
		second, err := a.Apply(t.Context(), "shop.toml", []byte(text), false)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			`name: "Northline Supply" -> "Northline"`, `operator: "Northline Supply AG" -> "Northline Group"`,
			`password.length: "12" -> "16"`, "policy:", "  -     login    passkey else password + totp | password + phone",
			"  +     login    passkey else password + totp", `terms.version: "4" -> "5"`,
		}
		if !slices.Equal(second.Changes, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(second.Changes, "\n"), strings.Join(want, "\n"))
		}
		if len(second.Effects) != 3 {
			t.Errorf("%q", second.Effects)
		}
		events := applied(t, s)
		if len(events) != 2 || events[0].Type != "realm.applied" || events[0].Data["old"] != first.Hash || events[0].Data["new"] != second.Hash || events[0].Actor != "cli" {
			t.Errorf("%+v", events)
		}
		err = s.Read(t.Context(), func(tx *sqlstore.Tx) error {
			o, err := tx.StaffOrganization("shop")
			if o.Name != "Northline Group" {
				t.Errorf("the staff organization is still %q", o.Name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestABrokenFileNamesTheLineAndChangesNothing(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		a := realmsOf(s)
		if _, err := a.Apply(t.Context(), "shop.toml", realms.Shop, false); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ old, new, want string }{
			{"replace  mail   -> password\n", "replace  mail   -> pasword\n", "shop.toml:17: policy: "},
			{"replace  mail   -> password\n", "replace  mail   -> totp\n", "shop.toml:17: policy: members: "}, // a mailbox for a factor: a hole
			{"login    password + totp | password + phone | passkey", "login    password", "shop.toml:14: policy: "},
			{"length = 12", "length = 8", "password.length: 8 is not between 12"},
			{"motif = ", "motive = ", "brand.motive: unknown key"},
		} {
			text := strings.Replace(string(realms.Shop), c.old, c.new, 1)
			if text == string(realms.Shop) {
				t.Fatalf("%q is not there", c.old)
			}
			_, err := a.Apply(t.Context(), "shop.toml", []byte(text), false)
			var p tomlfile.Problems
			if !errors.As(err, &p) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v\nwant %s", c.new, err, c.want)
			}
		}
		if n := len(applied(t, s)); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

func TestOneHostOneRealm(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		a := realmsOf(s)
		if _, err := a.Apply(t.Context(), "shop.toml", realms.Shop, false); err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(realms.Wealth), `host = "wealth.localhost"`, `host = "shop.localhost"`, 1)
		for _, dry := range []bool{true, false} {
			if _, err := a.Apply(t.Context(), "wealth.toml", []byte(text), dry); err == nil || !strings.Contains(err.Error(), "is the host of realm shop already") {
				t.Errorf("dry %v: %v", dry, err)
			}
		}
	})
}

// Of many who apply at once, each either wins or is told so; the trail has one event per change.
func TestApplyAtOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		a := realmsOf(s)
		var all sync.WaitGroup
		errs := make(chan error, 64)
		for i := range 64 {
			text := strings.Replace(string(realms.Shop), "days = 7", "days = "+[]string{"3", "4", "5", "6"}[i%4], 1)
			all.Go(func() {
				_, err := a.Apply(context.WithoutCancel(t.Context()), "shop.toml", []byte(text), false)
				errs <- err
			})
		}
		all.Wait()
		close(errs)
		won := 0
		for err := range errs {
			if err == nil {
				won++
			} else if !fault.Of(err, fault.Conflict) && !fault.Of(err, fault.Exists) && !fault.Of(err, fault.Unavailable) {
				t.Errorf("%v", err)
			}
		}
		events := applied(t, s)
		if won == 0 || len(events) == 0 || len(events) > won {
			t.Fatalf("%d won, %d events", won, len(events))
		}
		for i := 1; i < len(events); i++ { // newest first: each starts where the one before ended
			if events[i-1].Data["old"] != events[i].Data["new"] {
				t.Errorf("event %d starts from %s, not %s", i-1, events[i-1].Data["old"], events[i].Data["new"])
			}
		}
	})
}

func TestShippedPoliciesAreCleanToTheLastLine(t *testing.T) {
	for name, text := range map[string][]byte{"shop.toml": realms.Shop, "wealth.toml": realms.Wealth} {
		if _, p, warnings, err := apply.ReadRealm(name, text); err != nil || p == nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", name, warnings, err)
		}
	}
}
