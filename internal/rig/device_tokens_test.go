package rig_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// What an application got of a sign-in with a certificate is refreshed while the certificate lives, and not after it.
func TestREQ_A56_SEC_O9_TokensOfASignInWithACertificateEndWithIt(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		w := withDevices(t, store, withBench)
		at, err := url.Parse(rig.Origin)
		if err != nil {
			t.Fatal(err)
		}
		have := flows(t, w.Rig, w.ann.Browser.HTTP.Jar.Cookies(at), 0)
		again := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {have["refresh_token"].(string)}}
		again.Set("refresh_token", asks(t, w.Rig, again)["refresh_token"].(string))
		w.Change(w.dev, func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Suspended, pki.Hold, w.Clock.Now() })
		w.Clock.Advance(5 * time.Second)
		req := httptest.NewRequest(http.MethodPost, rig.Origin+"/oauth2/token", strings.NewReader(again.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("bench", benchSecret)
		answer := httptest.NewRecorder()
		w.Handler.ServeHTTP(answer, req)
		if answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), "invalid_grant") {
			t.Errorf("with a suspended certificate: %d %s", answer.Code, answer.Body)
		}
		w.Change(w.dev, func(c *pki.Certificate) { c.State, c.Reason, c.Ended = pki.Issued, "", time.Time{} })
		w.Clock.Advance(5 * time.Second)
		asks(t, w.Rig, again)
	})
}
