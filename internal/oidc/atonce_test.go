package oidc_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"doorward/internal/rig"
	"doorward/internal/rig/walker"
)

// first is the first answer to a request, before any redirect is followed.
func (s *street) first(b *walker.Client, address string) *http.Response {
	s.t.Helper()
	once := *b.HTTP
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := once.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	return res
}

// Who is signed in and has nothing more to do is back at the application with the first answer. Everything else goes by a
// kept request, as for somebody who is not signed in.
func TestREQ_B70_WhoIsSignedInIsSentBackAtOnce(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.61")
		if to := s.first(b, request("store", callback)).Header.Get("Location"); !strings.HasPrefix(to, "/oauth2/authorize/") {
			t.Errorf("a stranger is led to %q", to)
		}
		s.tokens(b, s.anna.Mind)
		res := s.first(b, request("store", callback))
		to, err := res.Location()
		if err != nil || !strings.HasPrefix(to.String(), callback) || to.Query().Get("state") != "s-1" || to.Query().Get("iss") != rig.Origin {
			t.Fatalf("%v %v", to, err)
		}
		if status, got := s.redeem(to.Query().Get("code")); status != http.StatusOK || s.claims("store", got["id_token"])["nonce"] != "n-1" {
			t.Errorf("%d %v", status, got)
		}
		s.Clock.Advance(time.Minute)
		for what, more := range map[string][]string{
			"prompt=login": {"prompt", "login"}, "max_age=0": {"max_age", "0"}, "prompt=consent": {"prompt", "consent"},
			"prompt=select_account": {"prompt", "select_account"}, "another person": {"claims", `{"id_token":{"sub":{"value":"somebody"}}}`},
			"more than was shown": {"acr_values", "phrh", "claims", `{"id_token":{"acr":{"essential":true,"values":["phrh"]}}}`},
		} {
			client, cb := "store", callback
			if what == "prompt=consent" {
				client, cb = "harbour", "https://harbour.example/cb"
			}
			if to := s.first(b, request(client, cb, more...)).Header.Get("Location"); !strings.HasPrefix(to, "/oauth2/authorize/") {
				t.Errorf("%s: led to %q", what, to)
			}
		}
		if to := s.first(b, request("harbour", "https://harbour.example/cb")).Header.Get("Location"); !strings.HasPrefix(to, "/oauth2/authorize/") {
			t.Errorf("who was never asked is led to %q", to)
		}
		if res := s.first(b, request("store", "https://evil.example/")); res.StatusCode != http.StatusBadRequest {
			t.Errorf("a foreign address: %d", res.StatusCode)
		}
		// It counts like any other: one network begins so many a minute.
		s.Clock.Advance(2 * time.Minute)
		for i := range 301 {
			res := s.first(b, request("store", callback))
			if want := map[bool]int{true: http.StatusSeeOther, false: http.StatusTooManyRequests}[i < 300]; res.StatusCode != want {
				t.Fatalf("request %d: %d, want %d", i, res.StatusCode, want)
			}
		}
	})
}
