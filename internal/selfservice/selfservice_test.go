package selfservice_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"doorward/internal/audit"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/selfservice"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/realms"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// home is one person's account on a store.
type home struct {
	t     *testing.T
	store *sqlstore.Store
	self  *selfservice.Service
	by    login.By
}

type memberRules struct{ rules authn.Rules }

func (m memberRules) RulesFor(login.Signed) (authn.Rules, error) { return m.rules, nil }

func id() string { return uuid.Must(uuid.NewV7()).String() }

func each(t *testing.T, test func(t *testing.T, h *home)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		r, err := directory.ParseRealm("shop.toml", realms.Shop)
		if err != nil {
			t.Fatal(err)
		}
		policies, err := authn.ParsePolicies(r.Policy)
		if err != nil {
			t.Fatal(err)
		}
		h := &home{t: t, store: s}
		h.self = &selfservice.Service{
			Store: sqlstore.For[selfservice.Tx](s), Clock: func() time.Time { return now },
			Rules: memberRules{policies.Rules(authn.Members)},
		}
		org := directory.Organization{ID: id(), Realm: r.ID, Name: "Alder Works", State: directory.Active, Created: now}
		p := directory.Person{
			ID: id(), Realm: r.ID, Organization: org.ID, Address: "anna@example.com", Name: "Anna", Role: directory.Member,
			State: directory.Active, Language: "en", Created: now, FirstActive: now, Version: 1,
		}
		h.write(func(tx *sqlstore.Tx) error {
			if err := tx.PutRealm(r); err != nil {
				return err
			}
			if err := tx.AddOrganization(org); err != nil {
				return err
			}
			return tx.AddPerson(p)
		})
		h.by = login.By{Signed: login.Signed{Person: p, Organization: org, Realm: &login.Realm{Realm: r, Policies: policies}}, Network: "192.0.2.1", Agent: "Firefox on Windows"}
		h.by.Session = h.session(now)
		test(t, h)
	})
}

func (h *home) write(fn func(*sqlstore.Tx) error) {
	h.t.Helper()
	if err := h.store.Write(context.Background(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) session(at time.Time) session.Session {
	h.t.Helper()
	se := session.Session{
		ID: id(), Realm: "shop", Person: h.person(), Hash: []byte(id()), Created: at, Seen: at, Until: now.Add(12 * time.Hour), Idle: time.Hour,
		Evidence: []authn.Evidence{{Kind: authn.Password, At: at}, {Kind: authn.TOTP, At: at}},
	}
	h.write(func(tx *sqlstore.Tx) error { return tx.AddSession(se) })
	return se
}

func (h *home) person() string {
	var p directory.Person
	h.write(func(tx *sqlstore.Tx) (err error) {
		p, err = tx.PersonByAddress("shop", "anna@example.com")
		return err
	})
	return p.ID
}

func (h *home) holds(k authn.Kind, name string) string {
	h.t.Helper()
	c := authn.Credential{ID: id(), Realm: "shop", Person: h.by.Person.ID, Kind: k, State: authn.Active, Name: name, Data: []byte("{}"), Created: now}
	h.write(func(tx *sqlstore.Tx) error { return tx.AddCredential(c) })
	return c.ID
}

func (h *home) live() (names []string) {
	h.write(func(tx *sqlstore.Tx) error {
		all, err := tx.Credentials("shop", h.by.Person.ID)
		names = nil
		for _, c := range all {
			names = append(names, c.Name)
		}
		return err
	})
	slices.Sort(names)
	return names
}

func code(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestREQ_B63_RemoveASpareButNeverTheLastWayIn(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		ctx := context.Background()
		h.holds(authn.Password, "")
		phone, spare := h.holds(authn.TOTP, "Phone"), h.holds(authn.TOTP, "Spare")
		stale := h.by
		stale.Session = h.session(now.Add(-login.FreshLife - time.Second))
		if err := h.self.Remove(ctx, stale, spare); code(err) != "login-not-fresh" {
			t.Errorf("removed with a login of more than five minutes: %v", err)
		}
		if err := h.self.Remove(ctx, h.by, id()); code(err) != "not-found" {
			t.Errorf("removed what there is not: %v", err)
		}
		if err := h.self.Remove(ctx, h.by, spare); err != nil {
			t.Fatal(err)
		}
		if err := h.self.Remove(ctx, h.by, phone); code(err) != "last-way-in" {
			t.Errorf("the last one: %v", err)
		}
		if got := h.live(); !slices.Equal(got, []string{"", "Phone"}) {
			t.Errorf("what is left is %q", got)
		}
		var mails int
		h.write(func(tx *sqlstore.Tx) error {
			all, err := tx.Mails("shop", h.by.Person.ID, 10)
			mails = len(all)
			return err
		})
		if mails != 1 {
			t.Errorf("%d mails about it, want 1 (SEC H-7)", mails)
		}
	})
}

func TestSEC_TRACE2_TwoRemovalsAtOnceLeaveAWayIn(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		h.holds(authn.Password, "")
		factors := []string{h.holds(authn.TOTP, "Phone"), h.holds(authn.TOTP, "Spare")}
		var wait sync.WaitGroup
		for i := range 64 {
			wait.Add(1)
			go func() {
				defer wait.Done()
				_ = h.self.Remove(context.Background(), h.by, factors[i%2]) // one is refused; which one is chance
			}()
		}
		wait.Wait()
		if got := h.live(); len(got) != 2 {
			t.Errorf("what is left is %q, want the password and one factor", got)
		}
	})
}

func TestREQ_B50_SessionsOfOneself(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		ctx := context.Background()
		h.holds(authn.Password, "")
		there, elsewhere := h.session(now), h.session(now)
		stranger := h.by
		stranger.Person.ID = id()
		if err := h.self.EndSession(ctx, stranger, there.ID); code(err) != "not-found" {
			t.Errorf("somebody else ended it: %v", err)
		}
		if err := h.self.EndSession(ctx, h.by, there.ID); err != nil {
			t.Fatal(err)
		}
		if err := h.self.EndSession(ctx, h.by, there.ID); code(err) != "not-found" {
			t.Errorf("ended twice: %v", err)
		}
		if n, err := h.self.EndOtherSessions(ctx, h.by); err != nil || n != 1 {
			t.Errorf("ended %d others, %v", n, err)
		}
		o, err := h.self.Overview(ctx, h.by)
		if err != nil || len(o.Sessions) != 1 || o.Sessions[0].ID != h.by.Session.ID {
			t.Errorf("left: %+v, %v (%s)", o.Sessions, err, elsewhere.ID)
		}
	})
}

func TestSEC_T7_TheOverviewHoldsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		h.holds(authn.Password, "")
		h.holds(authn.TOTP, "Phone")
		o, err := h.self.Overview(context.Background(), h.by)
		if err != nil || len(o.Credentials) != 2 || o.Spare || !slices.Contains(o.CanAdd, authn.TOTP) || slices.Contains(o.CanAdd, authn.Password) {
			t.Fatalf("%+v, %v", o, err)
		}
		for _, c := range o.Credentials {
			if c.Data != nil {
				t.Errorf("data of a %s leaves the use case", c.Kind)
			}
		}
	})
}

func TestRenameKeepsOthersOut(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		ctx := context.Background()
		phone := h.holds(authn.TOTP, "Phone")
		for name, want := range map[string]string{
			"": "name-missing", " \t ": "name-missing", strings.Repeat("n", selfservice.MaxName+1): "name-too-long",
			strings.Repeat("n", selfservice.MaxName): "<nil>", " Work \u00a0 phone ": "<nil>", "\xff": "name-missing",
		} {
			if err := h.self.Rename(ctx, h.by, phone, name); code(err) != want {
				t.Errorf("%q: %v, want %s", name, err, want)
			}
		}
		stranger := h.by
		stranger.Person.ID = id()
		if err := h.self.Rename(ctx, stranger, phone, "Mine"); code(err) != "not-found" {
			t.Errorf("somebody else renamed it: %v", err)
		}
	})
}

func TestREQ_B89_LanguageAndZone(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		ctx := context.Background()
		for in, want := range map[selfservice.Settings]string{
			{Language: "xx"}: "language-unknown", {Language: "de", Zone: "Moon/Sea"}: "zone-unknown",
			{Language: "de", Zone: "../../etc/passwd"}: "zone-unknown", {Language: "de", Zone: "Local"}: "zone-unknown",
			{Language: "de", Zone: "America/New_York"}: "<nil>",
		} {
			if err := h.self.SaveSettings(ctx, h.by, in); code(err) != want {
				t.Errorf("%+v: %v, want %s", in, err, want)
			}
		}
	})
}

func TestREQ_B27_TopicsAreOffUnlessChosen(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		ctx := context.Background()
		on, err := h.self.Topics(ctx, h.by)
		if err != nil || len(on) != 0 {
			t.Fatalf("%v, %v", on, err)
		}
		first := h.by.Realm.Topics[0].ID
		if err := h.self.SaveTopics(ctx, h.by, map[string]bool{first: true, "made-up": true}); err != nil {
			t.Fatal(err)
		}
		on, err = h.self.Topics(ctx, h.by)
		if err != nil || !on[first] || on["made-up"] || len(on) != len(h.by.Realm.Topics) {
			t.Errorf("%v, %v", on, err)
		}
	})
}

func TestREQ_B82_HistoryPagesWithoutLossOrRepetition(t *testing.T) {
	each(t, func(t *testing.T, h *home) {
		ctx := context.Background()
		for i := range 60 {
			h.write(func(tx *sqlstore.Tx) error {
				return tx.Audit(audit.Event{Realm: "shop", At: now.Add(time.Duration(i) * time.Second), Type: "signin.succeeded", Person: h.by.Person.ID})
			})
		}
		h.write(func(tx *sqlstore.Tx) error {
			return tx.Audit(audit.Event{Realm: "shop", At: now, Type: "signin.succeeded", Person: id()})
		})
		seen, before := map[string]bool{}, ""
		for {
			page, more, err := h.self.History(ctx, h.by, before)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				if seen[e.ID] || e.Person != h.by.Person.ID {
					t.Fatalf("%+v is of somebody else, or comes twice", e)
				}
				seen[e.ID] = true
			}
			if !more {
				break
			}
			before = page[len(page)-1].ID
		}
		if len(seen) != 60 {
			t.Errorf("%d events over all pages, want 60", len(seen))
		}
	})
}
