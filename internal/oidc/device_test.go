package oidc_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
)

// ask begins a device grant of the scanner, which is the operator's own and public.
func (s *street) ask(more ...string) map[string]any {
	s.t.Helper()
	form := url.Values{"client_id": {"scanner"}, "scope": {"openid email"}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	status, got := s.post("/oauth2/device_authorization", form)
	if status != http.StatusOK {
		s.t.Fatalf("%d %v", status, got)
	}
	return got
}

func (s *street) poll(asked map[string]any, edit ...func(*http.Request)) (int, map[string]any) {
	s.t.Helper()
	return s.post("/oauth2/token", url.Values{"grant_type": {directory.GrantDevice}, "device_code": {asked["device_code"].(string)}, "client_id": {"scanner"}}, edit...)
}

func (s *street) pollWants(asked map[string]any, want string) {
	s.t.Helper()
	if status, got := s.poll(asked); status != http.StatusBadRequest || got["error"] != want {
		s.t.Errorf("%d %v, want %s", status, got, want)
	}
}

// types enters a user code in a browser and returns the page that follows.
func (s *street) types(b *walker.Client, code string) *walker.Page {
	s.t.Helper()
	f := get(s.t, b, rig.Origin+"/oauth2/device").Form()
	f.Fill("user_code", code)
	page, err := b.Submit(f)
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

func asksAboutDevice(p *walker.Page) bool {
	return strings.HasPrefix(p.URL.Path, "/oauth2/authorize/") && len(p.Forms()) > 0
}

// allows enters a code and allows the device.
func (s *street) allows(b *walker.Client, asked map[string]any) {
	s.t.Helper()
	page := press(s.t, b, s.types(b, asked["user_code"].(string)), "Connect this device")
	if page.URL.Path != "/oauth2/device/allowed" {
		s.t.Fatalf("at %s: %s", page.URL, page.Main())
	}
}

// events counts what the audit says of a type, and returns the last.
func (s *street) events(kind string) (n int, last audit.Event) {
	s.t.Helper()
	s.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: "shop", Limit: 500})
		n, last = 0, audit.Event{}
		for _, e := range slices.Backward(all) {
			if e.Type == kind {
				n, last = n+1, e
			}
		}
		return err
	})
	return n, last
}

func TestREQ_B70_SEC_O1_ADeviceIsConnectedElsewhere(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		if doc := s.metadata(); doc["device_authorization_endpoint"] != rig.Origin+"/oauth2/device_authorization" ||
			!slices.Contains(doc["grant_types_supported"].([]any), any(directory.GrantDevice)) {
			t.Errorf("discovery: %v %v", doc["device_authorization_endpoint"], doc["grant_types_supported"])
		}
		asked := s.ask("resource", "https://stock.example")
		code := asked["user_code"].(string)
		if asked["expires_in"] != float64(600) || asked["interval"] != float64(5) || asked["verification_uri"] != rig.Origin+"/oauth2/device" ||
			asked["verification_uri_complete"] != rig.Origin+"/oauth2/device?user_code="+code || len(code) != 9 {
			t.Fatalf("%v", asked)
		}
		s.pollWants(asked, "authorization_pending")

		// The address with the code fills the field, and nothing more. Case, dash and spaces do not matter.
		b := s.Browser("192.0.2.30")
		page := get(t, b, asked["verification_uri_complete"].(string))
		if f := page.Form(); f == nil || !strings.Contains(strings.Join(f.Values["user_code"], " "), code) {
			t.Fatalf("the field is not filled: %s", page.Main())
		}
		page = s.types(b, " "+strings.ToLower(strings.ReplaceAll(code, "-", " ")))
		if page.URL.Path != "/signin" {
			t.Fatalf("not led to sign in: %s", page.URL)
		}
		page, err := s.anna.Mind.Walk(b, page, asksAboutDevice)
		if err != nil {
			t.Fatal(err)
		}
		// The operator's own application, and asked all the same.
		for _, want := range []string{"Northline scanner", code, "198.51.100.20", "Nobody from us will ever ask you for such a code", "anna@alder.example", "another network"} {
			if !strings.Contains(page.Main(), want) {
				t.Errorf("the page does not say %q: %s", want, page.Main())
			}
		}
		s.Clock.Advance(6 * time.Second)
		s.pollWants(asked, "authorization_pending") // a page that was shown is no answer
		if page = press(t, b, page, "Connect this device"); page.URL.Path != "/oauth2/device/allowed" {
			t.Fatalf("at %s: %s", page.URL, page.Main())
		}
		status, got := s.poll(asked)
		if status != http.StatusOK || got["token_type"] != "Bearer" || got["refresh_token"] == nil || got["scope"] != "openid email" {
			t.Fatalf("%d %v", status, got)
		}
		if id := s.claims("scanner", got["id_token"]); id["sub"] != s.anna.Is.ID || id["acr"] != "urn:doorward:acr:mfa" || id["sid"] == nil {
			t.Errorf("claims are %v", id)
		}
		if n, e := s.events("client.device-allowed"); n != 1 || e.Person != s.anna.Is.ID || e.Data["name"] != "Northline scanner" || e.Data["device_network"] != "198.51.100.20" || e.Network != "192.0.2.30" {
			t.Errorf("%d events, %+v", n, e)
		}
		if n, _ := s.events("client.device-asked"); n != 1 {
			t.Errorf("%d askings", n)
		}
		mails := 0
		for _, l := range s.Deliver() {
			if l.Template == "device-connected" && l.To == "anna@alder.example" && strings.Contains(l.Text, "Northline scanner") && strings.Contains(l.Text, "198.51.100.20") {
				mails++
			}
		}
		if mails != 1 {
			t.Errorf("%d mails", mails)
		}
		if page := get(t, b, rig.Origin+"/account/history"); !strings.Contains(page.Main(), "A device was connected: Northline scanner.") {
			t.Errorf("the history is silent: %s", page.Main())
		}
		// It hangs on the session.
		if status, _ := s.userinfo(got["access_token"].(string)); status != http.StatusUnauthorized { // the token is for stock.example alone
			t.Errorf("a token of another audience opens userinfo: %d", status)
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}, "client_id": {"scanner"}}
		if status, got = s.post("/oauth2/token", form); status != http.StatusOK {
			t.Fatalf("refresh: %d %v", status, got)
		}
		s.Write(func(tx *sqlstore.Tx) error {
			_, err := tx.EndSessions("shop", s.anna.Is.ID, "", "test", s.Clock.Now())
			return err
		})
		form.Set("refresh_token", got["refresh_token"].(string))
		if status, got = s.post("/oauth2/token", form); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("after sign-out: %d %v", status, got)
		}
	})
}

// metadata is what discovery says.
func (s *street) metadata() (doc map[string]any) {
	s.t.Helper()
	res, err := s.Browser("198.51.100.20").HTTP.Get(rig.Origin + "/.well-known/openid-configuration")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&doc); err != nil {
		s.t.Fatal(err)
	}
	return doc
}

func TestSEC_O1_ADeviceThatAsksTooOftenTooLateOrInVain(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		asked := s.ask()
		s.pollWants(asked, "authorization_pending")
		s.Clock.Advance(4 * time.Second)
		s.pollWants(asked, "slow_down") // ten seconds from now on
		s.Clock.Advance(9 * time.Second)
		s.pollWants(asked, "slow_down") // fifteen
		s.Clock.Advance(15 * time.Second)
		s.pollWants(asked, "authorization_pending")
		for what, edit := range map[string]func(url.Values){
			"another client": func(f url.Values) { f.Set("client_id", "frame"); f.Set("client_secret", storeSecret) },
			"cut":            func(f url.Values) { f.Set("device_code", f.Get("device_code")[:42]) },
			"the user code":  func(f url.Values) { f.Set("device_code", asked["user_code"].(string)) },
			"none":           func(f url.Values) { f.Del("device_code") },
		} {
			form := url.Values{"grant_type": {directory.GrantDevice}, "device_code": {asked["device_code"].(string)}, "client_id": {"scanner"}}
			edit(form)
			if status, got := s.post("/oauth2/token", form); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
				t.Errorf("%s: %d %v", what, status, got)
			}
		}
		s.Clock.Advance(10*time.Minute - 28*time.Second)
		s.pollWants(asked, "expired_token")

		b := s.SignIn(s.anna, "192.0.2.30")
		asked = s.ask()
		page := s.types(b, asked["user_code"].(string))
		if done := press(t, b, page, "Do not connect"); done.URL.Path != "/oauth2/device/denied" {
			t.Fatalf("at %s", done.URL)
		}
		s.pollWants(asked, "access_denied")
		if n, e := s.events("client.device-denied"); n != 1 || e.Person != s.anna.Is.ID {
			t.Errorf("%d events, %+v", n, e)
		}
		if late := press(t, b, page, "Connect this device"); late.Status != http.StatusGone || !strings.Contains(late.Main(), "This code is over") {
			t.Errorf("allowed after it was denied: %d at %s: %s", late.Status, late.URL, late.Main())
		}
		s.pollWants(asked, "access_denied")

		// Allowed, and the device is gone: nothing of it stays.
		asked = s.ask("scope", "openid offline_access")
		s.allows(b, asked)
		s.Clock.Advance(10 * time.Minute)
		s.pollWants(asked, "expired_token")
		s.Read(func(tx *sqlstore.Tx) error {
			live, err := tx.Authorizations("shop", s.anna.Is.ID)
			if len(live) != 0 {
				t.Errorf("an authorization that nobody fetched lives on: %+v", live)
			}
			return err
		})
	})
}

func TestSEC_O1_WhoMayAskForADevice(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		for what, c := range map[string]struct {
			form url.Values
			want string
		}{
			"no grant":        {url.Values{"client_id": {"harbour"}, "scope": {"openid"}}, "unauthorized_client"},
			"unknown":         {url.Values{"client_id": {"nobody"}, "scope": {"openid"}}, "invalid_client"},
			"no secret":       {url.Values{"client_id": {"frame"}, "scope": {"openid"}}, "invalid_client"},
			"no scope":        {url.Values{"client_id": {"scanner"}}, "invalid_scope"},
			"foreign scope":   {url.Values{"client_id": {"scanner"}, "scope": {"admin"}}, "invalid_scope"},
			"foreign service": {url.Values{"client_id": {"scanner"}, "scope": {"openid"}, "resource": {"https://bank.example"}}, "invalid_target"},
		} {
			if _, got := s.post("/oauth2/device_authorization", c.form); got["error"] != c.want {
				t.Errorf("%s: %v, want %s", what, got, c.want)
			}
		}
		if _, got := s.post("/oauth2/token", url.Values{"grant_type": {directory.GrantDevice}, "device_code": {"x"}}, basic("store", storeSecret)); got["error"] != "unauthorized_client" {
			t.Errorf("a client without the grant polls: %v", got)
		}
		// The grant is taken away while a device waits.
		b, asked := s.SignIn(s.anna, "192.0.2.30"), s.ask()
		page := s.types(b, asked["user_code"].(string))
		s.relying(func(rp *directory.RelyingParty) {
			rp.Grants = slices.DeleteFunc(slices.Clone(rp.Grants), func(g string) bool { return g == directory.GrantDevice })
		})
		if got := press(t, b, page, "Connect this device"); got.Status != http.StatusBadRequest {
			t.Errorf("allowed: %d at %s", got.Status, got.URL)
		}
		s.pollWants(asked, "unauthorized_client")
		if doc := s.metadata(); doc["device_authorization_endpoint"] != nil || slices.Contains(doc["grant_types_supported"].([]any), any(directory.GrantDevice)) {
			t.Errorf("discovery offers what nobody may: %v", doc["grant_types_supported"])
		}
	})
}

// Guessing a user code: five wrong ones for a network and for a person, and no answer tells unknown, used and expired apart.
func TestSEC_O1_UserCodesAreNotGuessed(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		says := func(p *walker.Page) string { return p.Main() }
		b := s.SignIn(s.anna, "192.0.2.30")
		used, expired := s.ask(), s.ask()
		s.allows(b, used)
		s.Clock.Advance(10 * time.Minute)
		b = s.SignIn(s.anna, "192.0.2.30")
		var first string
		for what, code := range map[string]string{"unknown": "BBBB-BBBB", "used": used["user_code"].(string), "expired": expired["user_code"].(string)} {
			page := s.types(b, code)
			text := strings.ReplaceAll(says(page), code, "CODE")
			if first == "" {
				first = text
			}
			if page.Status != http.StatusUnprocessableEntity || text != first || page.URL.Path != "/oauth2/device" {
				t.Errorf("%s: %d %s", what, page.Status, says(page))
			}
		}
		good := s.ask()["user_code"].(string)
		s.types(b, "no code at all") // is no guess
		for range 3 {
			if page := s.types(b, good); !asksAboutDevice(page) { // nor is a right one
				t.Fatalf("at %s: %s", page.URL, says(page))
			}
		}
		s.types(b, "CCCC-CCCC")
		s.types(b, "CCCC-CCCC")
		if page := s.types(b, good); page.Status != http.StatusTooManyRequests {
			t.Errorf("after five wrong ones: %d at %s", page.Status, page.URL)
		}
		if page := s.types(s.Browser("192.0.2.30"), good); page.Status != http.StatusTooManyRequests {
			t.Errorf("signed out, the same network: %d at %s", page.Status, page.URL)
		}
		if page := s.types(s.Browser("192.0.2.31"), good); page.URL.Path != "/signin" {
			t.Errorf("another network: %d at %s", page.Status, page.URL)
		}
		if page := s.types(s.SignIn(s.anna, "192.0.2.31"), good); page.Status != http.StatusTooManyRequests {
			t.Errorf("the same person in another network: %d at %s", page.Status, page.URL)
		}
		s.Clock.Advance(10 * time.Minute)
		if page := s.types(b, s.ask()["user_code"].(string)); page.Status == http.StatusTooManyRequests {
			t.Error("it never ends")
		}
	})
}

// Nobody but the person who was asked answers, for nothing but what was shown.
func TestSEC_O1_TheConfirmationIsTheirs(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b, asked, other := s.SignIn(s.anna, "192.0.2.30"), s.ask(), s.ask()
		page := s.types(b, asked["user_code"].(string))
		allow := func(b *walker.Client, key, value string) *walker.Page {
			t.Helper()
			f := page.Forms()[0]
			for _, form := range page.Forms() {
				if len(form.Buttons()) == 2 {
					f = form
				}
			}
			f.Press(0)
			if key != "" {
				f.Values.Set(key, value)
			}
			next, err := b.Submit(f)
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		for what, c := range map[string][2]string{
			"the code of another device": {"user_code", other["user_code"].(string)},
			"no code":                    {"user_code", ""},
		} {
			if got := allow(b, c[0], c[1]); got.Status != http.StatusGone {
				t.Errorf("%s: %d at %s", what, got.Status, got.URL)
			}
		}
		if got := allow(b, "shown", "x"); !asksAboutDevice(got) {
			t.Errorf("an answer to no page: %d at %s", got.Status, got.URL)
		}
		ben := s.Join(s.Organization("Beech Ltd", false), directory.Member, "Ben Beech", "ben@beech.example")
		if got := allow(s.SignIn(ben, "192.0.2.33"), "", ""); got.URL.Path == "/oauth2/device/allowed" {
			t.Errorf("somebody else answered anna's page: %s", got.URL)
		}
		// Without the code the page is not shown: there would be nothing to compare.
		if got := get(t, s.SignIn(ben, "192.0.2.33"), page.URL.String()); got.URL.Path != "/oauth2/device" {
			t.Errorf("a page without the code: %s", got.URL)
		}
		s.pollWants(asked, "authorization_pending")
		if got := allow(b, "", ""); got.URL.Path != "/oauth2/device/allowed" {
			t.Errorf("anna herself: %d at %s", got.Status, got.URL)
		}
	})
}

func TestSEC_O1_TheDeviceIsConsentAndBound(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.SignIn(s.anna, "192.0.2.30")
		status, asked := s.post("/oauth2/device_authorization", url.Values{"client_id": {"frame"}, "client_secret": {storeSecret}, "scope": {"openid profile"}})
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, asked)
		}
		s.allows(b, asked)
		s.Read(func(tx *sqlstore.Tx) error {
			c, err := tx.Consent("shop", s.anna.Is.ID, "frame")
			if err == nil && !slices.Equal(c.Scopes, []string{"openid", "profile"}) {
				t.Errorf("consent is %+v", c)
			}
			return err
		})
		// A proof binds what is fetched, and a later one with another key is refused.
		k := newPocket(t)
		asked = s.ask("scope", "openid offline_access")
		s.allows(b, asked)
		status, got := s.poll(asked, dpop(k.proof(s.Clock.Now(), "POST", "/oauth2/token", "")))
		if status != http.StatusOK || got["token_type"] != "DPoP" {
			t.Fatalf("%d %v", status, got)
		}
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}, "client_id": {"scanner"}}
		if status, got := s.post("/oauth2/token", form); status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("without a proof: %d %v", status, got)
		}
		// offline_access outlives the session.
		s.Write(func(tx *sqlstore.Tx) error {
			_, err := tx.EndSessions("shop", s.anna.Is.ID, "", "test", s.Clock.Now())
			return err
		})
		if status, got := s.post("/oauth2/token", form, dpop(k.proof(s.Clock.Now(), "POST", "/oauth2/token", ""))); status != http.StatusOK {
			t.Errorf("offline: %d %v", status, got)
		}
	})
}

func TestSEC_O1_TRACE_OneDeviceCodeOneAnswer(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.SignIn(s.anna, "192.0.2.30")
		asked := s.ask()
		page := s.types(b, asked["user_code"].(string))
		var done sync.WaitGroup
		var allowed atomic.Int64
		for range 8 { // pages that were opened twice, while the device polls
			done.Go(func() {
				f := page.Forms()[len(page.Forms())-1]
				for _, form := range page.Forms() {
					if len(form.Buttons()) == 2 {
						f = form
					}
				}
				values := url.Values{"answer": {"allow"}, "user_code": f.Values["user_code"], "shown": f.Values["shown"]}
				req, err := http.NewRequest(http.MethodPost, page.URL.String(), strings.NewReader(values.Encode()))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("Sec-Fetch-Site", "same-origin")
				res, err := b.HTTP.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				if res.Header.Get("Location") == "/oauth2/device/allowed" || res.Request.URL.Path == "/oauth2/device/allowed" {
					allowed.Add(1)
				}
			})
			done.Go(func() { s.poll(asked) })
		}
		done.Wait()
		if n, _ := s.events("client.device-allowed"); n != 1 || allowed.Load() != 1 {
			t.Fatalf("allowed %d times, %d events", allowed.Load(), n)
		}
		asked = s.ask()
		s.allows(b, asked)
		var won atomic.Int64
		for range 64 {
			done.Go(func() {
				if status, _ := s.poll(asked); status == http.StatusOK {
					won.Add(1)
				}
			})
		}
		done.Wait()
		if won.Load() != 1 {
			t.Errorf("one device code gave tokens %d times", won.Load())
		}
		s.pollWants(asked, "invalid_grant")
		if n, e := s.events("client.ended"); n == 0 || e.Reason != "device-code-reused" {
			t.Errorf("the second use ended nothing: %d %+v", n, e)
		}
	})
}
