package sqlstore_test

import (
	"testing"
	"time"

	"doorward/internal/admin"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

var _ admin.RequestTx = (*sqlstore.Tx)(nil)

// helpWish is a request with every field filled.
func helpWish(person string, change ...func(*helpdesk.Request)) helpdesk.Request {
	return filled(func(q *helpdesk.Request) {
		q.ID, q.Realm, q.Person, q.State, q.Version = newID(), "shop", person, helpdesk.Open, 0
		q.Number = q.ID
		for _, c := range change {
			c(q)
		}
	})
}

func TestSEC_H6_EveryFieldOfARequestIsKept(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		q := helpWish("max")
		put(t, s, func(tx *sqlstore.Tx) error { return tx.AddHelpRequest(q) })
		find := func() helpdesk.Request {
			return get(t, s, func(tx *sqlstore.Tx) (helpdesk.Request, error) { return tx.HelpRequest("shop", q.ID) })
		}
		same(t, find(), q)
		same(t, get(t, s, func(tx *sqlstore.Tx) (helpdesk.Request, error) { return tx.HelpRequestByNumber("shop", q.Number) }), q)

		changed := helpWish("moritz")
		changed.ID, changed.Number = q.ID, q.Number
		changed.Organization, changed.Why, changed.Reason = "another", "another why", "another reason"
		changed.Needed, changed.Asked, changed.Everything = 99, 98, false
		changed.Kinds, changed.Checks, changed.Approvals = changed.Kinds[:1], changed.Checks[:1], nil
		changed.From, changed.Until, changed.Closed = noon.Add(time.Hour), time.Time{}, noon.Add(2*time.Hour)
		put(t, s, func(tx *sqlstore.Tx) error { return tx.UpdateHelpRequest(changed) })
		changed.Version++
		same(t, find(), changed)
		for _, ask := range []func(*sqlstore.Tx) (helpdesk.Request, error){
			func(tx *sqlstore.Tx) (helpdesk.Request, error) { return tx.HelpRequest("other", q.ID) },
			func(tx *sqlstore.Tx) (helpdesk.Request, error) { return tx.HelpRequestByNumber("other", q.Number) },
		} {
			err := s.Read(t.Context(), func(tx *sqlstore.Tx) error { _, err := ask(tx); return err })
			if !fault.Of(err, fault.NotFound) {
				t.Errorf("another realm finds it: %v", err)
			}
		}
		write := func(q helpdesk.Request) error {
			return s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.UpdateHelpRequest(q) })
		}
		stale := changed
		stale.Version--
		refused(t, write(stale), fault.Conflict, "stale")
		gone := changed
		gone.ID = newID()
		if err := write(gone); !fault.Of(err, fault.NotFound) {
			t.Errorf("a request that is not there: %v", err)
		}
		other := changed
		other.Realm = "other"
		if err := write(other); err == nil {
			t.Error("another realm changes it")
		}
		same(t, find(), changed)
	})
}

func TestSEC_H1_APersonHasOneRequestThatIsOpenOrApproved(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		add := func(q helpdesk.Request) error {
			return s.Write(t.Context(), func(tx *sqlstore.Tx) error { return tx.AddHelpRequest(q) })
		}
		state := func(st helpdesk.State) func(*helpdesk.Request) { return func(q *helpdesk.Request) { q.State = st } }
		first := helpWish("max", state(helpdesk.Approved))
		for name, c := range map[string]struct {
			q  helpdesk.Request
			ok bool
		}{
			"somebody else":        {helpWish("moritz"), true},
			"nobody":               {helpWish(""), true},
			"nobody, once more":    {helpWish(""), true},
			"in another realm":     {helpWish("max", func(q *helpdesk.Request) { q.Realm = "other" }), true},
			"closed ones":          {helpWish("max", state(helpdesk.Done)), true},
			"refused ones":         {helpWish("max", state(helpdesk.Refused)), true},
			"a second, open":       {helpWish("max"), false},
			"a second, approved":   {helpWish("max", state(helpdesk.Approved)), false},
			"the number of before": {helpWish("moritz", func(q *helpdesk.Request) { q.Number, q.State = first.Number, helpdesk.Done }), false},
		} {
			if first.Version == 0 {
				if err := add(first); err != nil {
					t.Fatal(err)
				}
				first.Version++
			}
			err := add(c.q)
			if c.ok && err != nil || !c.ok && !fault.Of(err, fault.Exists) {
				t.Errorf("%s: %v", name, err)
			}
		}
		live := get(t, s, func(tx *sqlstore.Tx) ([]helpdesk.Request, error) { return tx.HelpRequestsLive("shop", "max") })
		if len(live) != 1 || live[0].ID != first.ID {
			t.Errorf("%d live", len(live))
		}
		if n := get(t, s, func(tx *sqlstore.Tx) ([]helpdesk.Request, error) { return tx.HelpRequestsLive("shop", "") }); len(n) != 0 {
			t.Errorf("nobody has %d", len(n))
		}
	})
}

func TestSEC_H1_OneRequestIsOpenedRaced(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		errs := race(t, stores, func(_ int, tx *sqlstore.Tx) error { return tx.AddHelpRequest(helpWish("max")) })
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !fault.Of(err, fault.Exists) {
				t.Error(err)
			}
		}
		one(t, won)
	})
}

func TestSEC_H1_OneStepOfARequestHappensRaced(t *testing.T) {
	nodes(t, func(t *testing.T, stores []*sqlstore.Store) {
		q := helpWish("max")
		put(t, stores[0], func(tx *sqlstore.Tx) error { return tx.AddHelpRequest(q) })
		states := []helpdesk.State{helpdesk.Approved, helpdesk.Cancelled, helpdesk.Refused, helpdesk.Done}
		errs := race(t, stores, func(i int, tx *sqlstore.Tx) error {
			q := q
			q.State = states[i%len(states)]
			return tx.UpdateHelpRequest(q)
		})
		one(t, winners(t, errs, fault.Conflict, "stale"))
	})
}

func TestREQ_B40_TheInboxIsPaged(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		var ids []string
		for i := range 9 {
			q := helpWish("", func(q *helpdesk.Request) {
				q.Organization = []string{"alder", "birch", ""}[i%3]
				if i >= 6 {
					q.State = helpdesk.Refused
				}
			})
			ids = append(ids, q.ID)
			put(t, s, func(tx *sqlstore.Tx) error { return tx.AddHelpRequest(q) })
		}
		put(t, s, func(tx *sqlstore.Tx) error {
			return tx.AddHelpRequest(helpWish("", func(q *helpdesk.Request) { q.Realm = "other" }))
		})
		pick := func(list func(tx *sqlstore.Tx) ([]helpdesk.Request, error)) (out []int) {
			for _, q := range get(t, s, list) {
				for i, id := range ids {
					if id == q.ID {
						out = append(out, i)
					}
				}
			}
			return out
		}
		same(t, pick(func(tx *sqlstore.Tx) ([]helpdesk.Request, error) { return tx.HelpInbox("shop", "", "", 4) }), []int{5, 4, 3, 2})
		same(t, pick(func(tx *sqlstore.Tx) ([]helpdesk.Request, error) { return tx.HelpInbox("shop", "", ids[2], 4) }), []int{1, 0})
		same(t, pick(func(tx *sqlstore.Tx) ([]helpdesk.Request, error) { return tx.HelpInbox("shop", "birch", "", 4) }), []int{4, 1})
		same(t, pick(func(tx *sqlstore.Tx) ([]helpdesk.Request, error) { return tx.HelpInbox("shop", "birch", ids[4], 4) }), []int{1})
		same(t, pick(func(tx *sqlstore.Tx) ([]helpdesk.Request, error) {
			return tx.HelpFound(helpdesk.Search{Realm: "shop", State: helpdesk.Ended, Limit: 4})
		}), []int{8, 7, 6})
		same(t, pick(func(tx *sqlstore.Tx) ([]helpdesk.Request, error) {
			return tx.HelpFound(helpdesk.Search{Realm: "shop", Organization: "alder", State: helpdesk.Ended, Before: ids[8], Limit: 4})
		}), []int{6})
	})
}

// Closed requests go after two years; what is open stays, whatever its age.
func TestSEC_H6_ClosedRequestsStayForTwoYears(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		old := func(q *helpdesk.Request) { q.State, q.Closed = helpdesk.Refused, noon.Add(-2*365*24*time.Hour) }
		young := func(q *helpdesk.Request) {
			q.State, q.Closed = helpdesk.Refused, noon.Add(-2*365*24*time.Hour+time.Hour)
		}
		open := func(q *helpdesk.Request) { q.Created, q.Closed = noon.Add(-3*365*24*time.Hour), time.Time{} }
		for _, c := range []func(*helpdesk.Request){old, young, open} {
			put(t, s, func(tx *sqlstore.Tx) error { return tx.AddHelpRequest(helpWish("max", c)) })
		}
		put(t, s, func(tx *sqlstore.Tx) error { _, err := tx.Sweep(noon); return err })
		left := get(t, s, func(tx *sqlstore.Tx) ([]helpdesk.Request, error) { return tx.HelpRequestsOf("shop", "max", 10) })
		if len(left) != 2 {
			t.Errorf("%d are left, want the younger and the open one", len(left))
		}
		if few := get(t, s, func(tx *sqlstore.Tx) ([]helpdesk.Request, error) { return tx.HelpRequestsOf("shop", "max", 1) }); len(few) != 1 || few[0].ID != left[0].ID || few[0].ID < left[1].ID {
			t.Error("not the newest")
		}
	})
}

// What is mine is what I opened, checked, approved or ended. Nobody makes a request somebody else's by what they type, nor
// finds others' by an id that is a pattern.
func TestSEC_H6_WhatIsMineIsNotWhatOthersTyped(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		me := newID()
		saying := `as agreed, "by":"` + me + `", \"by\":\"` + me + `\"`
		want := map[string]bool{}
		add := func(mine bool, change func(*helpdesk.Request)) {
			q := helpWish(newID(), change)
			want[q.ID] = mine
			put(t, s, func(tx *sqlstore.Tx) error { return tx.AddHelpRequest(q) })
		}
		add(true, func(q *helpdesk.Request) { q.Opener = me })
		add(true, func(q *helpdesk.Request) { q.ClosedBy = me })
		add(true, func(q *helpdesk.Request) { q.Checks = append(q.Checks, helpdesk.Check{Rule: "id", By: me}) })
		add(true, func(q *helpdesk.Request) { q.Approvals = append(q.Approvals, helpdesk.Approval{By: me}) })
		add(false, func(q *helpdesk.Request) { q.Person = me })
		add(false, func(q *helpdesk.Request) { q.Opener, q.ClosedBy = me+"0", "0"+me })
		add(false, func(q *helpdesk.Request) {
			q.Checks = []helpdesk.Check{{Rule: saying, Note: saying, Evidence: saying, By: me + "0", Name: saying}}
		})
		add(false, func(q *helpdesk.Request) {
			q.Approvals = []helpdesk.Approval{{By: "0" + me, Name: saying, Session: me}}
		})
		add(false, func(q *helpdesk.Request) { q.Words, q.Reason, q.ClosedWhy, q.Address = saying, saying, saying, saying })
		found := func(mine string) map[string]bool {
			all := get(t, s, func(tx *sqlstore.Tx) ([]helpdesk.Request, error) {
				return tx.HelpFound(helpdesk.Search{Realm: "shop", Mine: mine, Limit: 100})
			})
			out := map[string]bool{}
			for _, q := range all {
				out[q.ID] = true
			}
			return out
		}
		got := found(me)
		for id, mine := range want {
			if got[id] != mine {
				t.Errorf("%s is mine: %t, found: %t", id, mine, got[id])
			}
		}
		for _, pattern := range []string{"%", "_%", me[:len(me)-1] + "_", me[:8], me[:8] + "%"} {
			if n := len(found(pattern)); n != 0 {
				t.Errorf("%q finds %d", pattern, n)
			}
		}
	})
}
