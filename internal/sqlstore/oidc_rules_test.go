package sqlstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"doorward/internal/fault"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

const tick = time.Millisecond

func write(t *testing.T, s *sqlstore.Store, fn func(*sqlstore.Tx) error) error {
	t.Helper()
	return s.Write(t.Context(), fn)
}

func TestREQ_B28_RequestsAreUsedAndAnsweredOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		add := func(id string, handle []byte) {
			put(t, s, func(tx *sqlstore.Tx) error {
				return tx.AddRequest(token.Request{ID: id, Realm: "r", Handle: handle, Created: noon, Expires: noon.Add(time.Minute)})
			})
		}
		use := func(id string, at time.Time) error {
			return write(t, s, func(tx *sqlstore.Tx) error { return tx.UseRequest("r", id, at) })
		}
		finish := func(id string, at time.Time) error {
			return write(t, s, func(tx *sqlstore.Tx) error { return tx.FinishRequest("r", id, at) })
		}
		keep := func(id string, until time.Time) {
			t.Helper()
			put(t, s, func(tx *sqlstore.Tx) error { return tx.KeepRequest("r", id, until) })
		}
		is := func(id string) token.Request {
			return get(t, s, func(tx *sqlstore.Tx) (token.Request, error) { return tx.Request("r", id) })
		}
		add("a", []byte("h"))
		refused(t, use("a", noon.Add(time.Minute)), fault.Expired, "request-expired")
		if err := use("a", noon.Add(time.Minute-tick)); err != nil {
			t.Error(err)
		}
		refused(t, use("a", noon), fault.Conflict, "request-used")
		refused(t, use("a", noon.Add(time.Hour)), fault.Conflict, "request-used")
		refused(t, finish("a", noon.Add(time.Minute)), fault.Expired, "request-expired")
		keep("a", noon.Add(time.Hour))
		keep("a", noon.Add(time.Second)) // a later call with less does not shorten
		if q := is("a"); !q.Expires.Equal(noon.Add(time.Hour)) || !q.Used.Equal(noon.Add(time.Minute-tick)) {
			t.Errorf("kept: %+v", q)
		}
		if err := finish("a", noon.Add(time.Hour-tick)); err != nil {
			t.Error(err)
		}
		refused(t, finish("a", noon), fault.Conflict, "request-over")
		keep("a", noon.Add(24*time.Hour)) // nothing brings an answered one back
		if q := is("a"); !q.Expires.Equal(noon.Add(time.Hour)) || !q.Over.Equal(noon.Add(time.Hour-tick)) {
			t.Errorf("over: %+v", q)
		}
		// Requests that were not pushed: many without a handle, and none is found by an empty one.
		add("b", nil)
		add("c", []byte{})
		for _, hash := range [][]byte{nil, {}} {
			refused(t, s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := tx.RequestByHandle("r", hash); return err }), fault.NotFound, "not-found")
		}
		if err := finish("b", noon); err != nil {
			t.Error(err)
		}
		refused(t, use("b", noon), fault.Conflict, "request-used") // an answered one is not presented afterwards
	})
}

func TestSEC_O4_CodesSayWhatHappenedToThem(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		code := token.Code{
			Hash: []byte("h"), Realm: "r", Client: "shop", Authorization: "a", Redirect: "https://shop.example/cb", Challenge: "c",
			Created: noon, Expires: noon.Add(time.Minute),
		}
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddCode(code) })
		use := func(at time.Time) (c token.Code, err error) {
			err = write(t, s, func(tx *sqlstore.Tx) (err error) { c, err = tx.UseCode(code.Hash, at); return err })
			return c, err
		}
		c, err := use(noon.Add(time.Minute))
		refused(t, err, fault.Expired, "code-expired")
		same(t, c, code)
		at := noon.Add(time.Minute - tick)
		used := code
		used.Used = at
		if c, err = use(at); err != nil {
			t.Error(err)
		}
		same(t, c, used)
		for _, again := range []time.Time{noon, noon.Add(time.Hour)} { // reuse is seen, also after the code's end
			c, err = use(again)
			refused(t, err, fault.Conflict, "code-used")
			same(t, c, used)
		}
	})
}

func TestSEC_O6_RefreshTokensSayWhatHappenedToThem(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			return tx.AddRefresh(token.Refresh{Hash: []byte("h"), Realm: "r", Authorization: "a", Created: noon, Expires: noon.Add(time.Hour)})
		})
		use := func(answer string, at time.Time) error {
			return write(t, s, func(tx *sqlstore.Tx) error { return tx.UseRefresh([]byte("h"), []byte(answer), at) })
		}
		is := func() token.Refresh {
			return get(t, s, func(tx *sqlstore.Tx) (token.Refresh, error) { return tx.Refresh([]byte("h")) })
		}
		refused(t, use("late", noon.Add(time.Hour)), fault.Expired, "refresh-expired")
		if f := is(); f.Answer != nil || !f.Used.IsZero() {
			t.Errorf("an expired token was used: %+v", f)
		}
		if err := use("first", noon.Add(time.Hour-tick)); err != nil {
			t.Error(err)
		}
		for _, at := range []time.Time{noon, noon.Add(2 * time.Hour)} {
			refused(t, use("second", at), fault.Conflict, "refresh-used")
		}
		if f := is(); string(f.Answer) != "first" || !f.Used.Equal(noon.Add(time.Hour-tick)) || f.Authorization != "a" {
			t.Errorf("used: %+v", f)
		}
	})
}

func TestSEC_S4_AuthorizationsEnd(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		var many []string // more sessions than one statement takes
		put(t, s, func(tx *sqlstore.Tx) error {
			for i, a := range []token.Authorization{
				{ID: "1", Person: "p", Client: "shop", Session: "s1"},
				{ID: "2", Person: "p", Client: "shop", Session: "s1", Offline: true},
				{ID: "3", Person: "p", Client: "portfolio", Session: "s2"},
				{ID: "4", Person: "p", Client: "complaints", Session: "s1"},
				{ID: "5", Person: "q", Client: "shop", Session: "s3"},
				{ID: "6", Person: "", Client: "robot"},
				{ID: "7", Person: "", Client: "other robot"},
				{ID: "8", Realm: "wealth", Person: "p", Client: "shop", Session: "s1"},
			} {
				if a.Realm == "" {
					a.Realm = "r"
				}
				a.Created = noon.Add(time.Duration(i) * time.Second)
				if err := tx.AddAuthorization(a); err != nil {
					return err
				}
			}
			for i := range 120 {
				id := fmt.Sprintf("m%03d", i)
				many = append(many, id)
				if err := tx.AddAuthorization(token.Authorization{ID: id, Realm: "r", Person: "many", Client: "shop", Session: id}); err != nil {
					return err
				}
			}
			return nil
		})
		many = append(many, many...) // and each again, in another statement
		live := func(person string) string {
			var ids []string
			for _, a := range get(t, s, func(tx *sqlstore.Tx) ([]token.Authorization, error) { return tx.Authorizations("r", person) }) {
				ids = append(ids, a.ID)
			}
			return strings.Join(ids, " ")
		}
		count := func(want int, end func(*sqlstore.Tx) (int, error)) {
			t.Helper()
			put(t, s, func(tx *sqlstore.Tx) error {
				n, err := end(tx)
				if n != want {
					t.Errorf("ended %d, want %d", n, want)
				}
				return err
			})
		}
		same(t, live("p"), "4 3 2 1")

		// Whom to tell: each client of each session once, whatever became of its authorization.
		put(t, s, func(tx *sqlstore.Tx) error {
			for _, c := range []struct {
				realm, id string
				want      bool
			}{{"wealth", "4", false}, {"r", "4", true}, {"r", "4", false}, {"r", "none", false}} {
				if ok, err := tx.EndAuthorization(c.realm, c.id, "withdrawn", noon); err != nil || ok != c.want {
					t.Errorf("%v: ended %v, %v", c, ok, err)
				}
			}
			return nil
		})
		tell := func(sessions ...string) []token.Logout {
			return get(t, s, func(tx *sqlstore.Tx) ([]token.Logout, error) { return tx.ClientsOfSessions("r", sessions) })
		}
		same(t, tell("s2", "s1", "", "s1"), []token.Logout{
			{Realm: "r", Session: "s1", Person: "p", Client: "complaints"},
			{Realm: "r", Session: "s1", Person: "p", Client: "shop"},
			{Realm: "r", Session: "s2", Person: "p", Client: "portfolio"},
		})
		if n := len(tell()) + len(tell("")); n != 0 {
			t.Errorf("%d clients of no session", n)
		}
		if n := len(tell(many...)); n != 120 {
			t.Errorf("%d clients to tell, want 120", n)
		}
		if all := get(t, s, func(tx *sqlstore.Tx) ([]token.Authorization, error) { return tx.AuthorizationsOfSession("r", "") }); len(all) != 0 {
			t.Error("authorizations without a session have one in common")
		}

		// A session takes its own along, except what lives on without it.
		sessions := func(ids ...string) func(*sqlstore.Tx) (int, error) {
			return func(tx *sqlstore.Tx) (int, error) {
				return tx.EndAuthorizationsOfSessions("r", ids, "signed-out", noon)
			}
		}
		count(0, sessions())
		count(0, sessions("", "none"))
		count(1, sessions("s1", "s1"))
		count(0, sessions("s1"))
		same(t, live("p"), "3 2")
		count(120, sessions(many...))
		same(t, live("q"), "5")
		a := get(t, s, func(tx *sqlstore.Tx) (token.Authorization, error) { return tx.Authorization("r", "1") })
		if a.Why != "signed-out" || !a.Ended.Equal(noon) {
			t.Errorf("ended: %+v", a)
		}
		if a = get(t, s, func(tx *sqlstore.Tx) (token.Authorization, error) { return tx.Authorization("r", "4") }); a.Why != "withdrawn" {
			t.Errorf("an ended one was ended again: %+v", a)
		}
		if a = get(t, s, func(tx *sqlstore.Tx) (token.Authorization, error) { return tx.Authorization("wealth", "8") }); !a.Ended.IsZero() {
			t.Error("another realm's ended")
		}

		// A person or a client takes everything along.
		all := func(person, client string) func(*sqlstore.Tx) (int, error) {
			return func(tx *sqlstore.Tx) (int, error) {
				return tx.EndAuthorizations("r", person, client, "disabled", noon.Add(time.Hour))
			}
		}
		count(0, all("", ""))
		count(0, all("p", "complaints"))
		count(1, all("p", "shop"))
		same(t, live("p"), "3")
		count(1, all("p", ""))
		count(1, all("", "robot"))
		same(t, live(""), "7")
		same(t, live("q"), "5")
	})
}

func TestConsentsAreReplacedAndTakenBack(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		first := token.Consent{Realm: "r", Person: "p", Client: "b", Scopes: []string{"openid"}, At: noon}
		second := token.Consent{Realm: "r", Person: "p", Client: "b", Scopes: []string{"openid", "email"}, At: noon.Add(time.Hour)}
		other := token.Consent{Realm: "r", Person: "p", Client: "A", At: noon}
		strange := token.Consent{Realm: "r", Person: "q", Client: "b", At: noon}
		put(t, s, func(tx *sqlstore.Tx) error {
			return errors.Join(tx.PutConsent(first), tx.PutConsent(second), tx.PutConsent(other), tx.PutConsent(strange))
		})
		of := func(person string) []token.Consent {
			return get(t, s, func(tx *sqlstore.Tx) ([]token.Consent, error) { return tx.Consents("r", person) })
		}
		same(t, of("p"), []token.Consent{other, second})
		put(t, s, func(tx *sqlstore.Tx) error {
			for _, want := range []bool{true, false} {
				if ok, err := tx.DeleteConsent("r", "p", "b"); err != nil || ok != want {
					t.Errorf("taken back %v, %v", ok, err)
				}
			}
			return nil
		})
		same(t, of("p"), []token.Consent{other})
		same(t, of("q"), []token.Consent{strange})
	})
}

func TestDeviceGrantsGoOn(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		d := token.Device{
			ID: "d", Realm: "r", Client: "tv", Hash: []byte("h"), UserCode: []byte("u"), State: token.DeviceWaiting,
			Created: noon, Expires: noon.Add(time.Minute), Interval: 5 * time.Second,
		}
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddDeviceGrant(d) })
		old := d
		d.State, d.Authorization, d.Polled, d.Interval = token.DeviceAllowed, "a", noon, 10*time.Second
		put(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateDeviceGrant(d) })
		d.Version++
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Device, error) { return tx.DeviceGrant([]byte("h")) }), d)
		refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateDeviceGrant(old) }), fault.Conflict, "stale")
		strange := d
		strange.Realm = "wealth"
		refused(t, write(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateDeviceGrant(strange) }), fault.Conflict, "stale")
		same(t, get(t, s, func(tx *sqlstore.Tx) (token.Device, error) { return tx.DeviceGrantByUserCode("r", []byte("u")) }), d)
	})
}

// A worker that dies gives its log-outs back; one that is done is not given out again; the reporter is woken.
func TestLogoutsAreDelivered(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		woken := make(chan struct{}, 1)
		stop := s.WatchTopic(sqlstore.LogoutTopic, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
		defer stop()
		put(t, s, func(tx *sqlstore.Tx) error {
			for i, due := range []time.Time{noon, noon.Add(-time.Minute), noon.Add(time.Minute)} {
				if err := tx.AddLogout(token.Logout{ID: fmt.Sprint(i), Realm: "r", Client: "shop", Session: "s", Created: noon, Due: due}); err != nil {
					return err
				}
			}
			return nil
		})
		<-woken
		claim := func(at time.Time, limit int) (ids []string) {
			put(t, s, func(tx *sqlstore.Tx) error {
				some, err := tx.ClaimLogouts(at, time.Minute, limit)
				ids = nil
				for _, l := range some {
					ids = append(ids, l.ID)
				}
				return err
			})
			slices.Sort(ids)
			return ids
		}
		finish := func(l token.Logout) {
			put(t, s, func(tx *sqlstore.Tx) error { return tx.FinishLogout(l) })
		}
		same(t, claim(noon, 1), []string{"1"}) // the oldest first
		same(t, claim(noon, 9), []string{"0"})
		same(t, claim(noon.Add(time.Minute-tick), 9), []string{})
		finish(token.Logout{ID: "0", Attempts: 1, Done: noon})
		finish(token.Logout{ID: "0", Attempts: 9, Due: noon}) // a late report of one that is done changes nothing
		finish(token.Logout{ID: "1", Attempts: 1, Error: "502", Due: noon.Add(2 * time.Minute)})
		same(t, claim(noon.Add(time.Minute), 9), []string{"2"})
		same(t, claim(noon.Add(2*time.Minute), 9), []string{"1", "2"}) // the second worker died
	})
}
