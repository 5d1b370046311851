package rig_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

const benchSecret = "a-secret-of-the-benchmark-that-guards-nothing"

// withBench gives the realm one client.
func withBench(r *directory.Realm) {
	sum := sha256.Sum256([]byte(benchSecret))
	r.Relying = []directory.RelyingParty{{
		ID: "bench", Name: "Bench", Home: "https://app.localhost/", Auth: directory.AuthSecretBasic, SecretSHA256: hex.EncodeToString(sum[:]), FirstParty: true,
		RedirectURIs: []string{"https://app.localhost/callback"}, Scopes: []string{"openid", "profile", "email", "organization"},
		Grants: []string{directory.GrantCode, directory.GrantRefresh, directory.GrantClientCredentials},
	}}
}

// provided is the rig with a client and the session cookie of somebody who is signed in.
func provided(b testing.TB, store *sqlstore.Store) (*rig.Rig, []*http.Cookie) {
	b.Helper()
	r := rig.New(b, store, withBench)
	max := r.Join(r.Organization("Alder Works", false), directory.Member, "Max Alder", "max@alder.example")
	u, err := url.Parse(rig.Origin)
	if err != nil {
		b.Fatal(err)
	}
	return r, max.Browser.HTTP.Jar.Cookies(u)
}

func asks(b testing.TB, r *rig.Rig, form url.Values) map[string]any {
	b.Helper()
	req := httptest.NewRequest(http.MethodPost, rig.Origin+"/oauth2/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("bench", benchSecret)
	w := httptest.NewRecorder()
	r.Handler.ServeHTTP(w, req)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
	return out
}

func flows(b testing.TB, r *rig.Rig, cookies []*http.Cookie, i int) map[string]any {
	b.Helper()
	return redeems(b, r, authorizes(b, r, cookies, i))
}

func authorizes(b testing.TB, r *rig.Rig, cookies []*http.Cookie, i int) (code string) {
	b.Helper()
	req := httptest.NewRequest(http.MethodGet, rig.Origin+"/oauth2/authorize?"+url.Values{
		"client_id": {"bench"}, "redirect_uri": {"https://app.localhost/callback"}, "response_type": {"code"}, "scope": {"openid profile email organization"},
		"state": {"state"}, "nonce": {"nonce"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
	for _, c := range cookies {
		req.AddCookie(c)
	}
	req.RemoteAddr = "198.19." + string("0123456789"[i/2500%10]) + "." + string("0123456789"[i/250%10]) + ":1"
	w := httptest.NewRecorder()
	r.Handler.ServeHTTP(w, req)
	to, err := w.Result().Location()
	if err != nil || to.Query().Get("code") == "" {
		b.Fatalf("%d %v", w.Code, to)
	}
	return to.Query().Get("code")
}

func redeems(b testing.TB, r *rig.Rig, code string) map[string]any {
	b.Helper()
	return asks(b, r, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://app.localhost/callback"},
		"code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	})
}

// BenchmarkCodeFlow is a whole code flow with a live session.
func BenchmarkCodeFlow(b *testing.B) {
	r, cookies := provided(b, testdb.SQLite(b))
	i := 0
	for b.Loop() {
		flows(b, r, cookies, i)
		i++
	}
}

// BenchmarkRefresh is a refresh with rotation.
func BenchmarkRefresh(b *testing.B) {
	r, cookies := provided(b, testdb.SQLite(b))
	have := flows(b, r, cookies, 0)
	for b.Loop() {
		have = asks(b, r, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {have["refresh_token"].(string)}})
	}
}
