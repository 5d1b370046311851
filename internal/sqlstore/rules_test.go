package sqlstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

func TestSEC_A1_OneTimeSecretsSayWhatHappenedToThem(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		add := func(id string, kind authn.Kind) {
			put(t, s, func(tx *sqlstore.Tx) error {
				return tx.AddOneTime(authn.OneTime{ID: id, Realm: "r", Person: "p", Kind: kind, Hash: []byte(id), Created: noon, Expires: noon.Add(time.Hour)})
			})
		}
		use := func(id string, kind authn.Kind, at time.Time) error {
			return s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.UseOneTime(id, kind, at) })
		}
		add("a", authn.Mail)
		refused(t, use("a", authn.Invite, noon), fault.NotFound, "not-found") // no kind stands in for another
		refused(t, use("a", authn.Mail, noon.Add(time.Hour)), fault.Expired, "one-time-expired")
		if err := use("a", authn.Mail, noon.Add(time.Hour-time.Millisecond)); err != nil {
			t.Error(err)
		}
		refused(t, use("a", authn.Mail, noon), fault.Conflict, "one-time-used")
		refused(t, use("a", authn.Mail, noon.Add(48*time.Hour)), fault.Conflict, "one-time-used")
		add("b", authn.Mail)
		add("c", authn.Mail)
		add("d", authn.Invite)
		put(t, s, func(tx *sqlstore.Tx) error {
			if n, err := tx.VoidOneTimes("r", "p", authn.Mail, "", noon); err != nil || n != 2 { // not the used one, not the invitation
				t.Errorf("voided %d, %v", n, err)
			}
			return nil
		})
		refused(t, use("b", authn.Mail, noon), fault.Expired, "one-time-voided")
		if err := use("d", authn.Invite, noon); err != nil {
			t.Error(err)
		}
		o := get(t, s, func(tx *sqlstore.Tx) (authn.OneTime, error) { return tx.OneTimeByHash(authn.Mail, []byte("a")) })
		if o.Used.IsZero() {
			t.Error("a used secret is not seen as used")
		}
		refused(t, s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.OneTimeByHash(authn.Invite, []byte("a")); return err }),
			fault.NotFound, "not-found")
		add("e", authn.Mail)
		lead := func(id, from, to string) error {
			return s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.LeadOneTime(id, from, to) })
		}
		for _, over := range []string{"a", "c"} { // a used and a voided one lead nowhere any more
			refused(t, lead(over, "", "flow1"), fault.Conflict, "stale")
		}
		if err := lead("e", "", "flow1"); err != nil {
			t.Error(err)
		}
		refused(t, lead("e", "", "flow2"), fault.Conflict, "stale")
		if err := lead("e", "flow1", "flow2"); err != nil {
			t.Error(err)
		}
	})
}

// The limiter against a model: random attempts, releases and pauses.
func TestSEC_T6_AttemptsFollowTheirModel(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		rapid.Check(t, func(r *rapid.T) {
			key, limit, window := newID(), rapid.IntRange(0, 4).Draw(r, "limit"), time.Minute
			now, until := noon, time.Time{}
			count, consecutive := 0, 0
			for range rapid.IntRange(1, 25).Draw(r, "steps") {
				switch rapid.SampledFrom([]string{"reserve", "reserve", "reserve", "release", "wait", "clear"}).Draw(r, "step") {
				case "reserve":
					if limit > 0 && (until.IsZero() || !now.Before(until)) {
						count, until = 0, now.Add(window)
					}
					want := count < limit
					var ok bool
					var retry time.Duration
					put(t, s, func(tx *sqlstore.Tx) (err error) { ok, retry, err = tx.Reserve(key, limit, window, now); return err })
					if ok != want {
						r.Fatalf("reserved %v with %d of %d taken", ok, count, limit)
					}
					if ok {
						count++
						consecutive++
					} else if limit > 0 && retry != until.Sub(now) {
						r.Fatalf("retry after %v, want %v", retry, until.Sub(now))
					}
				case "release":
					put(t, s, func(tx *sqlstore.Tx) error { return tx.Release(key) })
					count, consecutive = max(0, count-1), 0
				case "clear":
					put(t, s, func(tx *sqlstore.Tx) error { return tx.Clear(key) })
					count, consecutive, until = 0, 0, time.Time{}
				case "wait":
					now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(r, "seconds")) * time.Second)
				}
				if got := get(t, s, func(tx *sqlstore.Tx) (int, error) { return tx.Consecutive(key) }); got != consecutive {
					r.Fatalf("%d consecutive, want %d", got, consecutive)
				}
			}
		})
	})
}

func TestSessionsEnd(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		live := func() (ids []string) {
			for _, v := range get(t, s, func(tx *sqlstore.Tx) ([]session.Session, error) { return tx.Sessions("r", "p") }) {
				ids = append(ids, v.ID)
			}
			return ids
		}
		put(t, s, func(tx *sqlstore.Tx) error {
			for _, id := range []string{"1", "2", "3"} {
				if err := tx.AddSession(session.Session{ID: id, Realm: "r", Person: "p", Hash: []byte(id), Created: noon, Seen: noon}); err != nil {
					return err
				}
			}
			return tx.AddSession(session.Session{ID: "4", Realm: "r", Person: "q", Hash: []byte("4")})
		})
		same(t, live(), []string{"3", "2", "1"})
		put(t, s, func(tx *sqlstore.Tx) error {
			for _, c := range []struct {
				realm, person, id string
				want              bool
			}{{"r", "q", "1", false}, {"x", "p", "1", false}, {"r", "p", "1", true}, {"r", "p", "1", false}} {
				if ok, err := tx.EndSession(c.realm, c.person, c.id, "signed-out", noon); err != nil || ok != c.want {
					t.Errorf("%v: ended %v, %v", c, ok, err)
				}
			}
			return errors.Join(tx.TouchSession("1", noon.Add(time.Minute)), tx.TouchSession("2", noon.Add(time.Minute)), tx.TouchSession("2", noon))
		})
		same(t, live(), []string{"3", "2"})
		seen := func(id string) session.Session {
			return get(t, s, func(tx *sqlstore.Tx) (session.Session, error) { return tx.SessionByHash([]byte(id)) })
		}
		if v := seen("1"); v.Why != "signed-out" || !v.Ended.Equal(noon) || !v.Seen.Equal(noon) {
			t.Errorf("an ended session changed: %+v", v)
		}
		if v := seen("2"); !v.Seen.Equal(noon.Add(time.Minute)) {
			t.Errorf("seen moved back: %+v", v)
		}
		put(t, s, func(tx *sqlstore.Tx) error {
			if n, err := tx.EndSessions("r", "p", "3", "password-changed", noon); err != nil || n != 1 {
				t.Errorf("ended %d, %v", n, err)
			}
			return nil
		})
		same(t, live(), []string{"3"})
		if v := seen("4"); !v.Ended.IsZero() {
			t.Error("another's session ended")
		}
	})
}

// Paging shows everybody once and in order, whatever the filter and the size of a page; a search ignores case.
func TestPeopleArePagedWithoutGaps(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		var all []directory.Person
		names := []string{"Ann", "ann", "Änne", "Bob", "Émile", "émile", "Zoë", "李雷", "O'Brien", "100%", "a_b"}
		roles := []directory.Role{directory.Member, directory.Administrator, directory.Agent}
		states := []directory.PersonState{directory.Invited, directory.Active, directory.Disabled}
		put(t, s, func(tx *sqlstore.Tx) error {
			for i := range 120 {
				p := directory.Person{
					ID: fmt.Sprintf("%03d", (i*37)%120), Realm: "r", Organization: fmt.Sprintf("o%d", i%4), Name: names[i%len(names)],
					Address: fmt.Sprintf("%s%d@example.com", []string{"ann", "info", "x"}[i%3], i), Role: roles[i%3], State: states[(i/3)%3],
				}
				if i%5 != 0 {
					p.Invitation = noon.Add(time.Duration(i) * time.Hour)
				}
				if p.State == directory.Active {
					p.FirstActive = noon
				}
				all = append(all, p)
				if err := tx.AddPerson(p); err != nil {
					return err
				}
			}
			return tx.AddPerson(directory.Person{ID: "other", Realm: "q", Name: "Ann", Address: "ann@example.com"})
		})
		rapid.Check(t, func(r *rapid.T) {
			f := directory.PersonFilter{
				Realm:        "r",
				Organization: rapid.SampledFrom([]string{"", "", "o1", "o9"}).Draw(r, "organization"),
				Role:         rapid.SampledFrom([]directory.Role{"", "", directory.Agent}).Draw(r, "role"),
				State:        rapid.SampledFrom([]directory.PersonState{"", "", directory.Invited}).Draw(r, "state"),
				Query:        rapid.SampledFrom([]string{"", "", "a", "AN", "ann", "Info1", "É", "%", "_", "李", "nobody", "'"}).Draw(r, "query"),
				Stalled:      rapid.SampledFrom([]time.Time{{}, {}, noon.Add(50 * time.Hour)}).Draw(r, "stalled"),
				Limit:        rapid.SampledFrom([]int{1, 7, 1000}).Draw(r, "limit"),
			}
			var want []string
			for _, p := range all {
				q := strings.ToLower(f.Query)
				if (f.Organization == "" || p.Organization == f.Organization) && (f.Role == "" || p.Role == f.Role) && (f.State == "" || p.State == f.State) &&
					(strings.HasPrefix(strings.ToLower(p.Name), q) || strings.HasPrefix(p.Address, q)) &&
					(f.Stalled.IsZero() || p.FirstActive.IsZero() && !p.Invitation.IsZero() && p.Invitation.Before(f.Stalled)) {
					want = append(want, strings.ToLower(p.Name)+" "+p.ID)
				}
			}
			slices.Sort(want)
			var got []string
			for {
				page := get(t, s, func(tx *sqlstore.Tx) ([]directory.Person, error) { return tx.People(f) })
				for _, p := range page {
					got = append(got, strings.ToLower(p.Name)+" "+p.ID)
					f.AfterName, f.AfterID = p.Name, p.ID
				}
				if len(page) < f.Limit {
					break
				}
			}
			if !slices.Equal(got, want) {
				r.Fatalf("%+v\ngot  %q\nwant %q", f, got, want)
			}
		})
	})
}

func TestPeopleLive(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		person := func(id string) directory.Person {
			return get(t, s, func(tx *sqlstore.Tx) (directory.Person, error) { return tx.Person("r", id) })
		}
		p := directory.Person{ID: "p", Realm: "r", Address: "p", State: directory.Invited, Role: directory.Administrator, Organization: "o"}
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(tx.AddPerson(p), tx.AddPerson(directory.Person{ID: "q", Realm: "r", Address: "q", State: directory.Disabled}),
				tx.AddPerson(directory.Person{ID: "w", Realm: "r", Address: "w", State: directory.Invited}),
				tx.AddCredential(authn.Credential{ID: "c", Realm: "r", Person: "w", State: authn.Active}),
				tx.AddFlow(authn.Flow{ID: "f", Realm: "r", Person: "w", State: authn.FlowOpen}))
		})
		if n := get(t, s, func(tx *sqlstore.Tx) ([]directory.Person, error) { return tx.Administrators("r", "o") }); len(n) != 0 {
			t.Error("who was never active is an active administrator")
		}
		put(t, s, func(tx *sqlstore.Tx) error { return tx.SignedIn("r", "p", noon) })
		refused(t, s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.UpdatePerson(p) }), fault.Conflict, "stale") // an old copy
		put(t, s, func(tx *sqlstore.Tx) error { return tx.SignedIn("r", "p", noon.Add(time.Hour)) })
		got := person("p")
		if got.State != directory.Active || !got.FirstActive.Equal(noon) || !got.LastSignIn.Equal(noon.Add(time.Hour)) || got.Version != 1 {
			t.Errorf("after two sign-ins: %+v", got)
		}
		if n := get(t, s, func(tx *sqlstore.Tx) ([]directory.Person, error) { return tx.Administrators("r", "o") }); len(n) != 1 {
			t.Error("an active administrator is missing")
		}
		got.FirstActive, got.LastSignIn = time.Time{}, noon // an older copy must not undo the sign-in
		put(t, s, func(tx *sqlstore.Tx) error { return tx.UpdatePerson(got) })
		if got = person("p"); !got.FirstActive.Equal(noon) || !got.LastSignIn.Equal(noon.Add(time.Hour)) {
			t.Errorf("an update undid a sign-in: %+v", got)
		}
		refused(t, s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.SignedIn("r", "q", noon) }), fault.Conflict, "stale")
		for _, id := range []string{"p", "q"} {
			refused(t, s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.DeletePerson("r", id) }), fault.Conflict, "stale")
		}
		put(t, s, func(tx *sqlstore.Tx) error { return tx.DeletePerson("r", "w") })
		refused(t, s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.Person("r", "w"); return err }), fault.NotFound, "not-found")
		refused(t, s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.Flow("r", "f"); return err }), fault.NotFound, "not-found")
		if n := get(t, s, func(tx *sqlstore.Tx) ([]authn.Credential, error) { return tx.Credentials("r", "w") }); len(n) != 0 {
			t.Error("credentials of a removed person are left")
		}
	})
}

func TestOrganizationsArePaged(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			for i := range 25 {
				if err := tx.AddOrganization(directory.Organization{ID: fmt.Sprint(i), Realm: "r", Name: fmt.Sprintf("%c corp %d", "aBcD"[i%4], i)}); err != nil {
					return err
				}
			}
			return tx.AddOrganization(directory.Organization{ID: "other", Realm: "q", Name: "a"})
		})
		var got []string
		name, id := "", ""
		for {
			page := get(t, s, func(tx *sqlstore.Tx) ([]directory.Organization, error) { return tx.Organizations("r", name, id, 4) })
			if len(page) == 0 {
				break
			}
			for _, o := range page {
				got = append(got, strings.ToLower(o.Name))
				name, id = o.Name, o.ID
			}
		}
		if len(got) != 25 || !slices.IsSorted(got) {
			t.Errorf("got %q", got)
		}
	})
}

func TestCredentialsOfMany(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		var people []string
		put(t, s, func(tx *sqlstore.Tx) error {
			for i := range 120 {
				people = append(people, fmt.Sprint(i))
				state := []authn.CredentialState{authn.Active, authn.Suspended, authn.Ended}[i%3]
				if err := tx.AddCredential(authn.Credential{ID: newID(), Realm: "r", Person: people[i], Kind: authn.TOTP, State: state, Data: []byte("x")}); err != nil {
					return err
				}
			}
			return nil
		})
		for _, n := range []int{0, 1, 49, 50, 51, 120} {
			all := get(t, s, func(tx *sqlstore.Tx) ([]authn.Credential, error) { return tx.CredentialsOf("r", people[:n]) })
			if want := n - n/3; len(all) != want {
				t.Errorf("%d people have %d credentials, want %d", n, len(all), want)
			}
		}
	})
}

// The sweep takes what is of no more use to anybody, and nothing a moment earlier.
func TestSweep(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		const month, moment = 30 * 24 * time.Hour, time.Millisecond
		put(t, s, func(tx *sqlstore.Tx) error {
			_, err := tx.Spend("fresh", noon.Add(moment))
			_, err2 := tx.Spend("old", noon)
			_, _, err3 := tx.Reserve("idle", 5, time.Minute, noon.Add(-time.Minute))
			_, _, err4 := tx.Reserve("guessed at", 5, time.Minute, noon.Add(-time.Minute))
			_, _, err5 := tx.Reserve("guessed at long ago", 5, time.Minute, noon.Add(-6*month-time.Minute))
			return errors.Join(err, err2, err3, err4, err5, tx.Release("idle"),
				tx.AddFlow(authn.Flow{ID: "fresh", Realm: "r", Expires: noon.Add(moment)}), tx.AddFlow(authn.Flow{ID: "old", Realm: "r", Expires: noon}),
				tx.AddOneTime(authn.OneTime{ID: "fresh", Kind: authn.Mail, Hash: []byte("fresh"), Expires: noon.Add(moment - month)}),
				tx.AddOneTime(authn.OneTime{ID: "old", Kind: authn.Mail, Hash: []byte("old"), Expires: noon.Add(-month)}),
				tx.AddSession(session.Session{ID: "fresh", Hash: []byte("fresh"), Until: noon.Add(moment - month)}),
				tx.AddSession(session.Session{ID: "old", Hash: []byte("old"), Until: noon.Add(-month)}))
		})
		sweep := func() (n int) {
			put(t, s, func(tx *sqlstore.Tx) (err error) { n, err = tx.Sweep(noon); return err })
			return n
		}
		if n := sweep(); n != 6 {
			t.Errorf("swept %d rows, want 6", n)
		}
		if n := sweep(); n != 0 {
			t.Errorf("swept %d more rows", n)
		}
		for name, read := range map[string]func(*sqlstore.Tx, string) error{
			"flow":     func(tx *sqlstore.Tx, id string) error { _, err := tx.Flow("r", id); return err },
			"one-time": func(tx *sqlstore.Tx, id string) error { _, err := tx.OneTimeByHash(authn.Mail, []byte(id)); return err },
			"session":  func(tx *sqlstore.Tx, id string) error { _, err := tx.SessionByHash([]byte(id)); return err },
		} {
			if err := s.Read(t.Context(), func(tx *sqlstore.Tx) error { return read(tx, "fresh") }); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			refused(t, s.Read(t.Context(), func(tx *sqlstore.Tx) error { return read(tx, "old") }), fault.NotFound, "not-found")
		}
		put(t, s, func(tx *sqlstore.Tx) error {
			if fresh, _ := tx.Spend("fresh", noon); fresh {
				t.Error("a single use was forgotten before its time")
			}
			if n, _ := tx.Consecutive("guessed at"); n != 1 {
				t.Error("an attacker shed the count of consecutive attempts by waiting for the sweep")
			}
			return nil
		})
	})
}
