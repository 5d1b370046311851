package rig_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// What stands on the listener stands on the real one: TLS, names and pages.
func TestServedIsTheRigOnARealListener(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		s := rig.New(t, store).Serve()
		anna := s.Join(s.Organization("Alder Works", false), directory.Member, "Anna Alder", "anna@alder.example")
		b := s.Browser()
		page, err := b.Get(rig.Origin + "/signin")
		if err == nil {
			_, err = anna.Mind.Walk(b, page, walker.At("/account"))
		}
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Client().Get(rig.Origin + "/account")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusSeeOther || res.ProtoMajor != 2 || res.TLS.Version != tls.VersionTLS13 {
			t.Errorf("a stranger without a session: %s over %s", res.Status, res.Proto)
		}
		if _, err := s.Client().Get("https://other.localhost/"); err == nil {
			t.Error("another name than the realm's is answered with a certificate that fits")
		}
	})
}
