package sqlstore_test

import (
	"regexp"
	"strings"
	"testing"

	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// One text serves both databases: each statement is prepared on each.
func TestEveryStatementPrepares(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		all := s.Texts()
		if len(all) < 140 {
			t.Fatalf("only %d statements are registered", len(all))
		}
		for _, text := range all {
			st, err := s.DB().PrepareContext(t.Context(), text)
			if err != nil {
				t.Errorf("%v:\n%s", err, text)
				continue
			}
			st.Close()
		}
	})
}

// whole are the statements that may walk a whole table or sort: the tables are small, or the walk is the point.
var whole = regexp.MustCompile(`FROM realm( ORDER BY.*)?$|FROM lease|SELECT id, realm, at, type.* FROM event WHERE \(\$1|MAX\(place\)|attempt WHERE until`)

// sorted are the statements that may sort what an index has found.
var sorted = regexp.MustCompile(`UNION|FROM credential|FROM one_time|FROM session|FROM person\s+WHERE realm = \$1 AND role = 'administrator'|last_error FROM mail|FROM oidc_key|SELECT DISTINCT session|AND person IN \(SELECT person.id FROM person`)

// Every look-up goes through an index and every page comes sorted out of one: with ten million people nothing may walk
// a table (PERFORMANCE, row 16). SQLite's plan stands for both, since the indexes are the same.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	s := testdb.SQLite(t)
	looked := 0
	for _, text := range s.Texts() {
		rows, err := s.DB().QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+text, make([]any, strings.Count(text, "$")+60)...)
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			looked++
			scan := strings.HasPrefix(step, "SCAN ") && !strings.Contains(step, "USING") && step != "SCAN CONSTANT ROW" &&
				!regexp.MustCompile(`^SCAN (named|addressed|\(|[0-9])`).MatchString(step)
			if scan && !whole.MatchString(text) {
				t.Errorf("%s:\n%s", step, text)
			}
			if strings.Contains(step, "TEMP B-TREE") && !sorted.MatchString(text) {
				t.Errorf("%s:\n%s", step, text)
			}
		}
		rows.Close()
	}
	if looked < 60 {
		t.Fatalf("only %d steps of plans were seen", looked)
	}
}

func TestNoStatementCountsOrSkipsRows(t *testing.T) {
	s := testdb.SQLite(t)
	for _, text := range s.Texts() {
		if strings.Contains(text, "OFFSET") {
			t.Errorf("skips rows:\n%s", text)
		}
		if strings.Contains(text, "COUNT(*)") && !strings.Contains(text, "FROM mail") { // partial indexes hold few
			t.Errorf("counts rows:\n%s", text)
		}
	}
}
