package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
)

// press submits the form of a page by the button with a value.
func press(t *testing.T, b *walker.Client, page *walker.Page, value string) *walker.Page {
	t.Helper()
	for _, f := range page.Forms() {
		for i, v := range f.Buttons() {
			if v == value {
				f.Press(i)
				next, err := b.Submit(f)
				if err != nil {
					t.Fatal(err)
				}
				return next
			}
		}
	}
	t.Fatalf("no button %q at %s: %s", value, page.URL, page.Main())
	return nil
}

func get(t *testing.T, b *walker.Client, address string) *walker.Page {
	t.Helper()
	page, err := b.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestSEC_O2_NothingIsSentToAnAddressThatIsNotTheClients(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.40")
		for _, redirect := range []string{
			"https://evil.example/", callback + "/", callback + "?x=1", callback + "#f", "https://store.example:8443/callback", "http://store.example/callback",
			"https://store.example@evil.example/callback", "https://store.example/callback/../x", "https://STORE.example/callback", "//store.example/callback", "",
			"https://complaints.example/cb", "javascript:alert(1)", "https://store.example/%63allback",
		} {
			page := get(t, b, request("store", redirect))
			if page.Status != http.StatusBadRequest || page.URL.Host != rig.Host {
				t.Errorf("%q: %d at %s", redirect, page.Status, page.URL)
			}
		}
		for _, client := range []string{"", "nobody", "STORE", "store "} {
			if page := get(t, b, request(client, callback)); page.Status != http.StatusBadRequest || page.URL.Host != rig.Host {
				t.Errorf("client %q: %d at %s", client, page.Status, page.URL)
			}
		}
		// Once the address is known to be the client's, it is told what is wrong, with state and iss.
		for want, more := range map[string][]string{
			"invalid_request":           {"code_challenge_method", "plain"},
			"unsupported_response_type": {"response_type", "token"},
			"invalid_scope":             {"scope", "admin"},
			"request_not_supported":     {"request", "e30."},
		} {
			q := get(t, b, request("store", callback, more...)).URL.Query()
			if q.Get("error") != want || q.Get("state") != "s-1" || q.Get("iss") != rig.Origin {
				t.Errorf("%v: %v, want %s", more, q, want)
			}
		}
	})
}

func TestSEC_O10_PromptAndMaxAge(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.41")
		if q := get(t, b, request("store", callback, "prompt", "none")).URL.Query(); q.Get("error") != "login_required" || q.Get("state") != "s-1" {
			t.Errorf("nobody is signed in: %v", q)
		}
		first := s.claims("store", s.tokens(b, s.anna.Mind)["id_token"])
		if q := get(t, b, request("store", callback, "prompt", "none")).URL.Query(); q.Get("code") == "" {
			t.Errorf("somebody is signed in: %v", q)
		}
		s.Clock.Advance(10 * time.Minute)
		if q := get(t, b, request("store", callback, "prompt", "none", "max_age", "300")).URL.Query(); q.Get("error") != "login_required" {
			t.Errorf("max_age is over: %v", q)
		}
		for _, more := range [][]string{{"max_age", "300"}, {"prompt", "login"}} {
			s.Clock.Advance(time.Minute)
			before := s.Clock.Now()
			again := s.claims("store", s.tokens(b, s.anna.Mind, more...)["id_token"])
			if at := int64(again["auth_time"].(float64)); at < before.Unix() {
				t.Errorf("%v: auth_time is %d, before %d", more, at, before.Unix())
			}
			if again["sid"] != first["sid"] {
				t.Errorf("%v: another sid: the other applications would lose the session", more)
			}
		}
		// A class that nobody here can reach: an error where it must be, and left out where it is a wish.
		essential := `{"id_token":{"acr":{"essential":true,"value":"phrh"}}}`
		page := get(t, b, request("store", callback, "claims", essential))
		if q := page.URL.Query(); q.Get("error") != "unmet_authentication_requirements" {
			t.Errorf("essential: %s %v", page.URL, q)
		}
		if q := get(t, b, request("store", callback, "acr_values", "phrh")).URL.Query(); q.Get("code") == "" {
			t.Errorf("wish: %v", q)
		}
	})
}

func TestSEC_O5_APushedRequestIsPresentedOnce(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		u, err := url.Parse(request("store", callback))
		if err != nil {
			t.Fatal(err)
		}
		form := u.Query()
		if status, got := s.post("/oauth2/par", form); status != http.StatusUnauthorized || got["error"] != "invalid_client" {
			t.Errorf("without a secret: %d %v", status, got)
		}
		push := func() string {
			status, got := s.post("/oauth2/par", form, basic("store", storeSecret))
			if status != http.StatusCreated {
				t.Fatalf("%d %v", status, got)
			}
			return got["request_uri"].(string)
		}
		at := func(client, uri string) string {
			return rig.Origin + "/oauth2/authorize?" + url.Values{"client_id": {client}, "request_uri": {uri}}.Encode()
		}
		b, uri := s.Browser("192.0.2.42"), push()
		if page := get(t, b, at("complaints", uri)); page.Status != http.StatusBadRequest {
			t.Errorf("another client: %d at %s", page.Status, page.URL)
		}
		if q := s.walks(b, s.anna.Mind, at("store", uri), callback); q.Get("code") == "" {
			t.Errorf("%v", q)
		}
		if page := get(t, b, at("store", uri)); page.Status != http.StatusBadRequest {
			t.Errorf("twice: %d at %s", page.Status, page.URL)
		}
		late := push()
		s.Clock.Advance(time.Minute)
		if page := get(t, b, at("store", late)); page.Status != http.StatusBadRequest {
			t.Errorf("after a minute: %d at %s", page.Status, page.URL)
		}
	})
}

func TestSEC_O14_ConsentForOthersApplications(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		const cb = "https://harbour.example/cb"
		b := s.Browser("192.0.2.43")
		page := get(t, b, request("harbour", cb))
		page, err := s.anna.Mind.Walk(b, page, func(p *walker.Page) bool { return strings.Contains(p.URL.Path, "/oauth2/authorize/") })
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(page.Main(), "Harbour Logistics") {
			t.Errorf("the page does not say who asks: %s", page.Main())
		}
		// A class that nobody here can reach is a wish, and no way round the question.
		wish := get(t, b, request("harbour", cb, "acr_values", "phrh"))
		if !strings.HasPrefix(wish.URL.Path, "/oauth2/authorize/") {
			t.Fatalf("a code without consent: %s", wish.URL)
		}
		if q := press(t, b, wish, "Do not allow").URL.Query(); q.Get("error") != "access_denied" {
			t.Errorf("a wish, denied: %v", q)
		}
		if q := press(t, b, page, "Do not allow").URL.Query(); q.Get("error") != "access_denied" || q.Get("state") != "s-1" {
			t.Errorf("denied: %v", q)
		}
		if q := get(t, b, request("harbour", cb, "prompt", "none")).URL.Query(); q.Get("error") != "consent_required" {
			t.Errorf("none: %v", q)
		}
		if q := press(t, b, get(t, b, request("harbour", cb)), "Allow").URL.Query(); q.Get("code") == "" {
			t.Errorf("allowed: %v", q)
		}
		q := get(t, b, request("harbour", cb)).URL.Query()
		if q.Get("code") == "" {
			t.Fatalf("asked again: %v", q)
		}
		status, got := s.post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {cb}, "code_verifier": {verifier}, "client_id": {"harbour"}})
		if status != http.StatusOK || got["refresh_token"] != nil {
			t.Errorf("a public client: %d %v", status, got)
		}
		wish = get(t, b, request("harbour", cb, "acr_values", "phrh", "prompt", "consent"))
		if q := press(t, b, wish, "Allow").URL.Query(); q.Get("code") == "" {
			t.Errorf("a wish, allowed: %v", q)
		}
		if page := get(t, b, request("harbour", cb, "scope", "openid orders")); !strings.HasPrefix(page.URL.Path, "/oauth2/authorize/") {
			t.Errorf("a wider scope was given without asking: %s", page.URL)
		}
	})
}

func TestSEC_O9_NothingDeadAnswers(t *testing.T) {
	kill := map[string]func(s *street){
		"person": func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person("shop", s.anna.Is.ID)
				p.State = directory.Disabled
				if err == nil {
					err = tx.UpdatePerson(p)
				}
				return err
			})
		},
		"organization": func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				o, err := tx.Organization("shop", s.anna.Is.Organization)
				o.State = directory.Disabled
				if err == nil {
					err = tx.UpdateOrganization(o)
				}
				return err
			})
		},
		"factor": func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				all, err := tx.Credentials("shop", s.anna.Is.ID)
				for _, c := range all {
					if c.State = "suspended"; c.Kind == "totp" && err == nil {
						err = tx.UpdateCredential(c)
					}
				}
				return err
			})
		},
		"sessions": func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				_, err := tx.EndSessions("shop", s.anna.Is.ID, "", "test", s.Clock.Now())
				return err
			})
		},
		"client": func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				r, err := tx.Realm("shop")
				r.Relying = r.Relying[1:]
				if err == nil {
					err = tx.PutRealm(r)
				}
				return err
			})
			if err := s.Realms.Refresh(context.Background()); err != nil {
				s.t.Fatal(err)
			}
		},
	}
	for name, end := range kill {
		t.Run(name, func(t *testing.T) {
			eachStreet(t, func(t *testing.T, s *street) {
				got := s.tokens(s.Browser("192.0.2.44"), s.anna.Mind)
				access, refresh := got["access_token"].(string), got["refresh_token"].(string)
				look := func(tok string) any { // a refresh token is told to its own client only, while there is one
					status, answer := s.post("/oauth2/introspect", url.Values{"token": {tok}}, basic("store", storeSecret))
					if status == http.StatusUnauthorized {
						_, answer = s.post("/oauth2/introspect", url.Values{"token": {tok}, "client_id": {"complaints"}, "client_secret": {storeSecret}})
					}
					return answer["active"]
				}
				if look(access) != true || look(refresh) != true {
					t.Fatal("not alive to begin with")
				}
				end(s)
				if look(access) != false || look(refresh) != false {
					t.Errorf("introspection: %v %v", look(access), look(refresh))
				}
				if status, _ := s.userinfo(access); status != http.StatusUnauthorized {
					t.Errorf("userinfo: %d", status)
				}
				if status, _ := s.refresh(refresh); status == http.StatusOK {
					t.Error("refresh gave new tokens")
				}
			})
		})
	}
}

func TestSEC_TRACE_CodesAndRefreshTokensRaced(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.45")
		code := s.walks(b, s.anna.Mind, request("store", callback), callback).Get("code")
		var won atomic.Int64
		var done sync.WaitGroup
		for range 64 {
			done.Go(func() {
				if status, _ := s.redeem(code); status == http.StatusOK {
					won.Add(1)
				}
			})
		}
		done.Wait()
		if won.Load() != 1 {
			t.Errorf("one code gave tokens %d times", won.Load())
		}
		refresh := s.tokens(b, s.anna.Mind)["refresh_token"].(string)
		seen := make(chan any, 64)
		for range 64 {
			done.Go(func() {
				if status, got := s.refresh(refresh); status == http.StatusOK {
					seen <- got["refresh_token"]
				}
			})
		}
		done.Wait()
		close(seen)
		different := map[any]bool{}
		for v := range seen {
			different[v] = true
		}
		if len(different) != 1 {
			t.Errorf("one refresh token became %d", len(different))
		}
	})
}

func TestSEC_O11_SigningOutReachesTheOthers(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		ctx := context.Background()
		b := s.Browser("192.0.2.46")
		id := s.tokens(b, s.anna.Mind)["id_token"].(string)
		get(t, b, request("complaints", "https://complaints.example/cb"))
		sid := s.claims("store", id)["sid"]
		bye := func(more ...string) string {
			q := url.Values{"post_logout_redirect_uri": {"https://store.example/bye"}, "state": {"x"}}
			for i := 0; i < len(more); i += 2 {
				q.Set(more[i], more[i+1])
			}
			return rig.Origin + "/oauth2/logout?" + q.Encode()
		}
		if page := get(t, b, bye("client_id", "store", "post_logout_redirect_uri", "https://evil.example/")); page.Status != http.StatusBadRequest {
			t.Errorf("a foreign address: %d at %s", page.Status, page.URL)
		}
		if page := get(t, b, bye("client_id", "store")); page.URL.Host != rig.Host || page.Form() == nil {
			t.Errorf("without a hint it is not asked: %s", page.URL)
		}
		if page := get(t, b, bye("id_token_hint", id)); !strings.HasPrefix(page.URL.String(), "https://store.example/bye") || page.URL.Query().Get("state") != "x" {
			t.Errorf("with a hint: %s", page.URL)
		}
		if page := get(t, b, rig.Origin+"/account"); page.URL.Path == "/account" {
			t.Error("still signed in")
		}
		told := map[string]string{}
		send := func(_ context.Context, to string, form url.Values) error {
			told[to] = form.Get("logout_token")
			return nil
		}
		for range 2 { // and once is enough
			if err := s.Provider.Farewells(ctx, []string{"shop"}, send); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) != 2 {
			t.Fatalf("told %d applications, want 2", len(told))
		}
		if c := s.claims("store", told["https://store.example/logout"]); c["sid"] != sid || c["events"] == nil || c["nonce"] != nil {
			t.Errorf("logout token is %v", c)
		}
		told = map[string]string{}
		if err := s.Provider.Farewells(ctx, []string{"shop"}, send); err != nil || len(told) != 0 {
			t.Errorf("told again: %d, %v", len(told), err)
		}
	})
}

// A code of one kind never opens another's door.
func TestSEC_O15_KindsOfSecretsAreNotMixed(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.Browser("192.0.2.47")
		got := s.tokens(b, s.anna.Mind)
		access, refresh, id := got["access_token"].(string), got["refresh_token"].(string), got["id_token"].(string)
		code := s.walks(b, s.anna.Mind, request("store", callback), callback).Get("code")
		for name, secret := range map[string]string{"access": access, "refresh": refresh, "id": id, "verifier": verifier, "client secret": storeSecret} {
			if status, _ := s.redeem(secret); status == http.StatusOK {
				t.Errorf("%s as a code", name)
			}
		}
		for name, secret := range map[string]string{"access": access, "id": id, "code": code, "client secret": storeSecret} {
			if status, _ := s.refresh(secret); status == http.StatusOK {
				t.Errorf("%s as a refresh token", name)
			}
		}
		for name, secret := range map[string]string{"refresh": refresh, "id": id, "code": code, "cut": access[:len(access)-2], "changed": access[:len(access)-2] + "AA"} {
			if status, _ := s.userinfo(secret); status != http.StatusUnauthorized {
				t.Errorf("%s as an access token: %d", name, status)
			}
		}
		if status, _ := s.redeem(code); status != http.StatusOK {
			t.Error("the code was burnt by the wrong doors")
		}
	})
}
