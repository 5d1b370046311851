package sqlstore_test

import (
	"testing"

	"doorward/internal/authn"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

func TestFlowsAreVoided(t *testing.T) {
	testdb.Each(t, func(t *testing.T, s *sqlstore.Store) {
		put(t, s, func(tx *sqlstore.Tx) error {
			for _, f := range []authn.Flow{
				{ID: "1", Person: "p", State: authn.FlowOpen, Open: authn.Question{Kind: authn.TOTP, Data: []byte("seed")}},
				{ID: "2", Person: "p", State: authn.FlowOpen},
				{ID: "3", Person: "p", State: authn.FlowDone},
				{ID: "4", Person: "", State: authn.FlowOpen},
			} {
				f.Realm = "r"
				if err := tx.AddFlow(f); err != nil {
					return err
				}
			}
			return nil
		})
		put(t, s, func(tx *sqlstore.Tx) error {
			if n, err := tx.VoidFlows("r", "p", "2"); err != nil || n != 1 {
				t.Errorf("voided %d, %v", n, err)
			}
			if n, err := tx.VoidFlows("r", "", ""); err != nil || n != 0 { // strangers' flows are not nobody's
				t.Errorf("voided %d, %v", n, err)
			}
			return nil
		})
		f := get(t, s, func(tx *sqlstore.Tx) (authn.Flow, error) { return tx.Flow("r", "1") })
		if f.State != authn.FlowVoid || f.Open.Data != nil || f.Version != 1 {
			t.Errorf("got %+v", f)
		}
	})
}
