package rig

import (
	"strings"
	"testing"

	"doorward/internal/helpdesk"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// A call is confirmed with every check filled in, by who has it, as they have seen it; after a check that failed it can only be
// rejected. What is refused leaves nothing behind.
func TestSEC_A3_H6_AChecklistOfACallHalfFilled(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		v := newVillage(t, store)
		_, page, a := v.waits(v.max, "198.51.100.77")
		v.open(v.cal, a)
		want(t, "the code", v.enter(v.cal, a, code(page)), "ok")
		confirm := func(by *Somebody, version int64, checks ...helpdesk.Check) string {
			_, err := v.Calls.Confirm(t.Context(), v.as(by), a.Person, a.ID, version, checks)
			return word(err)
		}
		now := v.newest(v.max)
		check := func(change func(*helpdesk.Check)) helpdesk.Check { c := passed[0]; change(&c); return c }
		for _, c := range []struct {
			what  string
			check helpdesk.Check
			want  string
		}{
			{"a check that is none", check(func(c *helpdesk.Check) { c.Rule = "no-such" }), "check-unknown"},
			{"no result", check(func(c *helpdesk.Check) { c.Result = "" }), "result-missing"},
			{"a result that is none", check(func(c *helpdesk.Check) { c.Result = "maybe" }), "result-missing"},
			{"no note", check(func(c *helpdesk.Check) { c.Note = " x " }), "note-short"},
			{"a long note", check(func(c *helpdesk.Check) { c.Evidence = strings.Repeat("x", 2000) }), "text-long"},
			{"nothing at all", helpdesk.Check{Rule: "call-back"}, "checks-missing"},
		} {
			want(t, c.what, confirm(v.cal, now.Version, c.check), c.want)
		}
		want(t, "as it was before", confirm(v.cal, now.Version-1, passed...), "stale")
		want(t, "by who has not got the call", confirm(v.cleo, now.Version, passed...), "call-taken")
		if got := v.newest(v.max); got.Version != now.Version || len(got.Checks)+len(got.Confirmations) != 0 {
			t.Errorf("something is left of what was refused: %+v", got)
		}
		want(t, "a check that failed", confirm(v.cal, now.Version, check(func(c *helpdesk.Check) { c.Result = helpdesk.Failed })), "call-failed-check")
		want(t, "and passes after all", confirm(v.cal, v.newest(v.max).Version, passed...), "call-failed-check")
		if got := v.newest(v.max); len(got.Checks) != 1 || len(got.Confirmations) != 0 {
			t.Errorf("after a check that failed: %+v", got)
		}
		want(t, "rejected for no reason", word(v.Calls.Reject(t.Context(), v.as(v.cal), a.Person, a.ID, " ")), "reason-short")
		want(t, "rejected by the person", word(v.Calls.Reject(t.Context(), v.as(v.max), a.Person, a.ID, "not me, I think")), "not-found")
	})
}
