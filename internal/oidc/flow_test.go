package oidc_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

const (
	storeSecret = "a-random-secret-of-256-bits-in-real-life"
	callback    = "https://store.example/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// street is a realm with applications behind it, and somebody who signs in.
type street struct {
	*rig.Rig
	t       *testing.T
	anna    *rig.Somebody
	org     directory.Organization // hers
	network int                    // of the last request that was sent raw
	lane    *walker.Client         // for what is sent at once
	logged  int                    // how much of the log was looked at
}

func clients(r *directory.Realm) {
	sum := sha256.Sum256([]byte(storeSecret))
	secret := hex.EncodeToString(sum[:])
	scopes := []string{"openid", "profile", "email", "organization", "offline_access", "orders"}
	grants := []string{directory.GrantCode, directory.GrantRefresh, directory.GrantClientCredentials}
	r.Relying = []directory.RelyingParty{
		{ID: "store", Name: "Northline store", Home: "https://store.example", RedirectURIs: []string{callback}, PostLogoutURIs: []string{"https://store.example/bye"},
			BackchannelLogoutURI: "https://store.example/logout", Auth: directory.AuthSecretBasic, SecretSHA256: secret, Grants: grants, Scopes: scopes, FirstParty: true},
		{ID: "complaints", Name: "Complaints", Home: "https://complaints.example", RedirectURIs: []string{"https://complaints.example/cb"}, Auth: directory.AuthSecretPost, SecretSHA256: secret,
			Grants: grants[:2], Scopes: scopes, FirstParty: true, Pairwise: true, BackchannelLogoutURI: "https://complaints.example/logout"},
		{ID: "harbour", Name: "Harbour Logistics", Home: "https://harbour.example", RedirectURIs: []string{"https://harbour.example/cb"}, Auth: directory.AuthNone, Grants: grants[:1], Scopes: scopes},
		{ID: "scanner", Name: "Northline scanner", Auth: directory.AuthNone, Grants: []string{directory.GrantDevice, directory.GrantRefresh}, Scopes: scopes, Resources: []string{"https://stock.example"}, FirstParty: true},
		{ID: "frame", Name: "Harbour frame", Home: "https://harbour.example", Auth: directory.AuthSecretPost, SecretSHA256: secret, Grants: []string{directory.GrantDevice, directory.GrantRefresh}, Scopes: scopes,
			BackchannelLogoutURI: "https://harbour.example/logout"},
	}
}

// eachStreet runs a test on both databases, with the applications of clients or what changes put in their place.
func eachStreet(t *testing.T, test func(t *testing.T, s *street), changes ...func(*directory.Realm)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		s := &street{Rig: rig.New(t, store, append([]func(*directory.Realm){clients}, changes...)...), t: t}
		s.org = s.Organization("Alder Works", false)
		s.anna = s.Join(s.org, directory.Member, "Anna Alder", "anna@alder.example")
		s.lane = s.Browser("192.0.2.60")
		test(t, s)
	})
}

// hash is how the provider keeps a secret of one kind.
func (s *street) hash(purpose, plain string) []byte { return testdb.Ring().Hash(purpose, plain) }

// relying changes the applications of the realm, as an operator does.
func (s *street) relying(change func(*directory.RelyingParty)) {
	s.t.Helper()
	s.Write(func(tx *sqlstore.Tx) error {
		r, err := tx.Realm("shop")
		if err != nil {
			return err
		}
		for i := range r.Relying {
			change(&r.Relying[i])
		}
		return tx.PutRealm(r)
	})
	if err := s.Realms.Refresh(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// request is the address of an authorization request.
func request(client, redirect string, more ...string) string {
	q := url.Values{
		"client_id": {client}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid profile email organization"},
		"state": {"s-1"}, "nonce": {"n-1"}, "code_challenge": {token.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return rig.Origin + "/oauth2/authorize?" + q.Encode()
}

// out reports that a walk has left for an address.
func out(redirect string) func(*walker.Page) bool {
	return func(p *walker.Page) bool { return strings.HasPrefix(p.URL.String(), redirect) }
}

// walks opens an address in somebody's browser and answers what is asked until they are at the client.
func (s *street) walks(b *walker.Client, mind *walker.Person, address, redirect string) url.Values {
	s.t.Helper()
	page, err := b.Get(address)
	if err == nil {
		page, err = mind.Walk(b, page, out(redirect))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return page.URL.Query()
}

// post calls an endpoint as a client does.
func (s *street) post(path string, form url.Values, edit ...func(*http.Request)) (int, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, rig.Origin+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, e := range edit {
		e(req)
	}
	return s.do(req)
}

func (s *street) do(req *http.Request) (int, map[string]any) {
	s.t.Helper()
	res, err := s.Browser("198.51.100.20").HTTP.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var out map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			s.t.Fatalf("%d %s: %v", res.StatusCode, b, err)
		}
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("%s: Cache-Control is %q", req.URL.Path, res.Header.Get("Cache-Control"))
	}
	return res.StatusCode, out
}

func basic(client, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(secret)) }
}

func (s *street) redeem(code string) (int, map[string]any) {
	s.t.Helper()
	return s.post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}, basic("store", storeSecret))
}

func (s *street) refresh(old string) (int, map[string]any) {
	s.t.Helper()
	return s.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old}}, basic("store", storeSecret))
}

func (s *street) userinfo(access string) (int, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, rig.Origin+"/oauth2/userinfo", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	return s.do(req)
}

// tokens signs somebody in to the store and returns what it got.
func (s *street) tokens(b *walker.Client, mind *walker.Person, more ...string) map[string]any {
	s.t.Helper()
	answer := s.walks(b, mind, request("store", callback, more...), callback)
	status, got := s.redeem(answer.Get("code"))
	if status != http.StatusOK {
		s.t.Fatalf("token endpoint: %d %v (answer %v)", status, got, answer)
	}
	return got
}

// claims verifies an ID token as an independent client does.
func (s *street) claims(client string, raw any) map[string]any {
	s.t.Helper()
	ctx := gooidc.ClientContext(context.Background(), s.Browser("198.51.100.21").HTTP)
	provider, err := gooidc.NewProvider(ctx, rig.Origin)
	if err != nil {
		s.t.Fatal(err)
	}
	id, err := provider.Verifier(&gooidc.Config{ClientID: client, Now: s.Clock.Now}).Verify(ctx, raw.(string))
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]any{}
	if err := id.Claims(&out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestREQ_B70_OneSignInForSeveralApplications(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.30")
		answer := s.walks(b, s.anna.Mind, request("store", callback), callback)
		if answer.Get("state") != "s-1" || answer.Get("iss") != rig.Origin || answer.Get("code") == "" {
			t.Fatalf("answer is %v", answer)
		}
		status, got := s.redeem(answer.Get("code"))
		if status != http.StatusOK || got["token_type"] != "Bearer" || got["expires_in"] != float64(300) || got["refresh_token"] == nil {
			t.Fatalf("%d %v", status, got)
		}
		id := s.claims("store", got["id_token"])
		for claim, want := range map[string]any{"nonce": "n-1", "sub": s.anna.Is.ID, "acr": "urn:doorward:acr:mfa"} {
			if id[claim] != want {
				t.Errorf("%s is %v, want %v", claim, id[claim], want)
			}
		}
		if amr, _ := id["amr"].([]any); !slices.Contains(amr, any("mfa")) || id["sid"] == nil || id["auth_time"] == nil || id["at_hash"] == nil {
			t.Errorf("claims are %v", id)
		}
		if status, who := s.userinfo(got["access_token"].(string)); status != http.StatusOK || who["email"] != "anna@alder.example" || who["org_name"] != "Alder Works" {
			t.Errorf("userinfo: %d %v", status, who)
		}
		// The second application asks nothing: one sign-in for both, under another name for the person (pairwise).
		page, err := b.Get(request("complaints", "https://complaints.example/cb"))
		if err != nil || !out("https://complaints.example/cb")(page) {
			t.Fatalf("%v, at %s", err, page.URL)
		}
		status, got = s.post("/oauth2/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {page.URL.Query().Get("code")}, "redirect_uri": {"https://complaints.example/cb"},
			"code_verifier": {verifier}, "client_id": {"complaints"}, "client_secret": {storeSecret},
		})
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, got)
		}
		if second := s.claims("complaints", got["id_token"]); second["sub"] == id["sub"] || second["sid"] != id["sid"] {
			t.Errorf("first %v %v, second %v %v", id["sub"], id["sid"], second["sub"], second["sid"])
		}
	})
}

func TestSEC_O4_ACodeWorksOnceAndItsSecondUseEndsEverything(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		code := s.walks(s.Browser("192.0.2.30"), s.anna.Mind, request("store", callback), callback).Get("code")
		for what, form := range map[string]url.Values{
			"no verifier":     {"redirect_uri": {callback}},
			"wrong verifier":  {"redirect_uri": {callback}, "code_verifier": {strings.Repeat("a", 43)}},
			"other redirect":  {"redirect_uri": {callback + "/"}, "code_verifier": {verifier}},
			"no redirect":     {"code_verifier": {verifier}},
			"other code case": {"redirect_uri": {callback}, "code_verifier": {verifier}, "code": {strings.ToUpper(code)}},
			"code cut":        {"redirect_uri": {callback}, "code_verifier": {verifier}, "code": {code[:len(code)-1]}},
		} {
			form.Set("grant_type", "authorization_code")
			if form.Get("code") == "" {
				form.Set("code", code)
			}
			if status, got := s.post("/oauth2/token", form, basic("store", storeSecret)); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
				t.Errorf("%s: %d %v", what, status, got)
			}
		}
		if status, got := s.post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
			"client_id": {"complaints"}, "client_secret": {storeSecret}}); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("another client: %d %v", status, got)
		}
		status, got := s.redeem(code)
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, got)
		}
		if status, again := s.redeem(code); status != http.StatusBadRequest || again["error"] != "invalid_grant" {
			t.Errorf("twice: %d %v", status, again)
		}
		if status, _ := s.userinfo(got["access_token"].(string)); status != http.StatusUnauthorized {
			t.Errorf("the access token of a stolen code works: %d", status)
		}
		if status, _ := s.refresh(got["refresh_token"].(string)); status != http.StatusBadRequest {
			t.Errorf("the refresh token of a stolen code works: %d", status)
		}
	})
}

func TestSEC_O4_ACodeEndsAfterAMinute(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		code := s.walks(s.Browser("192.0.2.30"), s.anna.Mind, request("store", callback), callback).Get("code")
		s.Clock.Advance(token.CodeLife)
		if status, got := s.redeem(code); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
	})
}

func TestSEC_O6_ARefreshTokenRotates(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		first := s.tokens(s.Browser("192.0.2.30"), s.anna.Mind)["refresh_token"].(string)
		status, second := s.refresh(first)
		if status != http.StatusOK || second["refresh_token"] == first {
			t.Fatalf("%d %v", status, second)
		}
		s.Clock.Advance(9 * time.Second)
		if status, same := s.refresh(first); status != http.StatusOK || same["refresh_token"] != second["refresh_token"] || same["access_token"] != second["access_token"] {
			t.Errorf("within ten seconds: %d %v", status, same)
		}
		s.Clock.Advance(2 * time.Second)
		if status, got := s.refresh(first); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("after ten seconds: %d %v", status, got)
		}
		if status, _ := s.refresh(second["refresh_token"].(string)); status != http.StatusBadRequest {
			t.Errorf("reuse was seen, and the newest token still works: %d", status)
		}
		if status, _ := s.userinfo(second["access_token"].(string)); status != http.StatusUnauthorized {
			t.Errorf("reuse was seen, and the access token still works: %d", status)
		}
	})
}
