package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/rig"
	"doorward/internal/sqlstore"
)

// A client with offline_access is told once that the session ended, and lives on without it: also when the session has been
// forgotten (SEC O-9, O-11).
func TestSEC_O11_OfflineOutlivesTheSessionAndIsToldOnce(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.80")
		got := s.tokens(b, s.anna.Mind, "scope", "openid offline_access")
		online := s.tokens(b, s.anna.Mind)
		told := 0
		farewells := func() {
			t.Helper()
			if err := s.Provider.Farewells(context.Background(), []string{"shop"}, func(context.Context, string, url.Values) error { told++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		farewells()
		if told != 0 {
			t.Fatalf("told %d times of a session that is alive", told)
		}
		s.Write(func(tx *sqlstore.Tx) error {
			_, err := tx.EndSessions("shop", s.anna.Is.ID, "", "test", s.Clock.Now())
			return err
		})
		for range 3 {
			farewells()
			s.Clock.Advance(time.Minute)
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		if status, _ := s.refresh(online["refresh_token"].(string)); status == http.StatusOK {
			t.Error("what is not offline outlived its session")
		}
		status, next := s.refresh(got["refresh_token"].(string))
		if status != http.StatusOK {
			t.Fatalf("offline ended with its session: %d %v", status, next)
		}
		sid := s.claims("store", next["id_token"])["sid"].(string)
		s.Clock.Advance(40 * 24 * time.Hour)
		s.Write(func(tx *sqlstore.Tx) error {
			for {
				if n, err := tx.Sweep(s.Clock.Now()); n == 0 || err != nil {
					return err
				}
			}
		})
		s.Read(func(tx *sqlstore.Tx) error {
			if _, err := tx.Session("shop", sid); err == nil {
				t.Error("the session was not swept: the test proves nothing")
			}
			return nil
		})
		if status, next = s.refresh(next["refresh_token"].(string)); status != http.StatusOK {
			t.Fatalf("offline died with the row of its session: %d %v", status, next)
		}
		farewells()
		if told != 1 {
			t.Errorf("told again after the sweep: %d times", told)
		}
		// What was shown still has to be alive.
		s.Write(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials("shop", s.anna.Is.ID)
			for _, c := range all {
				if c.State = "suspended"; c.Kind == "totp" && err == nil {
					err = tx.UpdateCredential(c)
				}
			}
			return err
		})
		if status, _ := s.refresh(next["refresh_token"].(string)); status == http.StatusOK {
			t.Error("offline lives on without the factor that was shown for it")
		}
	})
}

// A session that ends while codes are issued from it leaves nothing alive behind.
func TestSEC_TRACE_ACodeAndTheEndOfItsSession(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		s.tokens(s.Browser("192.0.2.81"), s.anna.Mind)
		b := s.SignIn(s.anna, "192.0.2.82")
		var done sync.WaitGroup
		var codes atomic.Int64
		start := make(chan struct{})
		farewells := func() {
			if err := s.Provider.Farewells(context.Background(), []string{"shop"}, func(context.Context, string, url.Values) error { return nil }); err != nil {
				t.Error(err)
			}
		}
		for range 64 {
			done.Go(func() {
				<-start
				page, err := b.Get(request("store", callback, "scope", "openid"))
				if err == nil && page.URL.Query().Get("code") != "" {
					codes.Add(1)
				} else if err == nil && page.URL.Host != rig.Host {
					t.Errorf("neither a code nor a page: %s", page.URL)
				}
			})
		}
		done.Go(func() {
			<-start
			if err := s.Store.Write(context.Background(), func(tx *sqlstore.Tx) error {
				_, err := tx.EndSessions("shop", s.anna.Is.ID, "", "test", s.Clock.Now())
				return err
			}); err != nil {
				t.Error(err)
			}
			farewells()
		})
		close(start)
		done.Wait()
		farewells()
		s.Read(func(tx *sqlstore.Tx) error {
			live, err := tx.Authorizations("shop", s.anna.Is.ID)
			if len(live) != 0 {
				t.Errorf("%d authorizations outlived their session (%d codes were issued)", len(live), codes.Load())
			}
			return err
		})
	})
}
