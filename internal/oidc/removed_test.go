package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"doorward/internal/rig"
	"doorward/internal/rig/walker"
)

// The person's own list of applications: what is removed there is over everywhere, and its client is told.
func TestREQ_B70_SEC_O14_RemovedAccessIsOver(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.SignIn(s.anna, "192.0.2.30")
		if page := get(t, b, rig.Origin+"/account/applications"); !strings.Contains(page.Main(), "No application yet") {
			t.Errorf("to begin with: %s", page.Main())
		}
		store := s.tokens(b, s.anna.Mind)
		status, asked := s.post("/oauth2/device_authorization", url.Values{"client_id": {"frame"}, "client_secret": {storeSecret}, "scope": {"openid profile offline_access orders"}})
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, asked)
		}
		s.allows(b, asked)
		frame := func(form url.Values) (int, map[string]any) {
			form.Set("client_id", "frame")
			form.Set("client_secret", storeSecret)
			return s.post("/oauth2/token", form)
		}
		status, got := frame(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {asked["device_code"].(string)}})
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, got)
		}
		page := get(t, b, rig.Origin+"/account/applications")
		for _, want := range []string{"Harbour frame", "Northline store", "Also while you are away", "Your name, language and time zone", "“orders”", "Of Northline Supply", "Remove access", "Sign out there", "Last used"} {
			if !strings.Contains(page.Main(), want) {
				t.Errorf("the list does not say %q: %s", want, page.Main())
			}
		}
		if strings.Contains(page.Main(), "Complaints") {
			t.Error("an application that does not know anna is listed")
		}
		// After five minutes one signs in again first, and comes back to the list.
		s.Clock.Advance(6 * time.Minute)
		remove := func() *walker.Page {
			t.Helper()
			f := get(t, b, rig.Origin+"/account/applications/frame/remove").FormTo("/account/applications/frame/remove")
			if f == nil {
				t.Fatal("no form")
			}
			next, err := b.Submit(f)
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		page = remove()
		if !strings.HasPrefix(page.URL.Path, "/signin/") {
			t.Fatalf("no fresh sign-in was asked for: %s", page.URL)
		}
		if _, err := s.anna.Mind.Walk(b, page, walker.At("/account/applications")); err != nil {
			t.Fatal(err)
		}
		if status, got = frame(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}); status != http.StatusOK {
			t.Fatalf("still there: %d %v", status, got)
		}
		if status, _ := s.userinfo(got["access_token"].(string)); status != http.StatusOK {
			t.Fatalf("still there: %d", status)
		}
		if page = remove(); page.URL.Path != "/account/applications" || page.FormTo("frame/remove") != nil || page.Link("Remove access") != "" {
			t.Fatalf("at %s: %s", page.URL, page.Main())
		}
		if status, _ := s.userinfo(got["access_token"].(string)); status != http.StatusUnauthorized {
			t.Errorf("userinfo answers: %d", status)
		}
		if _, answer := s.post("/oauth2/introspect", url.Values{"token": {got["access_token"].(string)}, "client_id": {"frame"}, "client_secret": {storeSecret}}); answer["active"] != false {
			t.Errorf("introspection: %v", answer)
		}
		if status, again := frame(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}); status != http.StatusBadRequest || again["error"] != "invalid_grant" {
			t.Errorf("refresh: %d %v", status, again)
		}
		if status, _ := s.refresh(store["refresh_token"].(string)); status != http.StatusOK {
			t.Errorf("the store went with it: %d", status)
		}
		told := map[string]string{}
		if err := s.Provider.Farewells(context.Background(), []string{"shop"}, func(_ context.Context, to string, form url.Values) error {
			told[to] = form.Get("logout_token")
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if c := s.claims("frame", told["https://harbour.example/logout"]); len(told) != 1 || c["sub"] != s.anna.Is.ID || c["sid"] == nil {
			t.Errorf("told %v, %v", told, c)
		}
		mails := 0
		for _, l := range s.Deliver() {
			if l.Template == "application-removed" && strings.Contains(l.Text, "Harbour frame") {
				mails++
			}
		}
		if n, _ := s.events("client.removed"); n != 1 || mails != 1 {
			t.Errorf("%d events, %d mails", n, mails)
		}
		if page := get(t, b, rig.Origin+"/account/applications/frame/remove"); page.Status != http.StatusNotFound {
			t.Errorf("removed, and asked about again: %d", page.Status)
		}
		if page := get(t, b, rig.Origin+"/account/applications/complaints/remove"); page.Status != http.StatusNotFound {
			t.Errorf("one that does not know anna: %d", page.Status)
		}
	})
}
