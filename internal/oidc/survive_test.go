package oidc_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
)

// The request that started it all survives invitation, set-up, terms and preferences, in the browser that brought it and,
// when the mail was asked for there, on another device.
func TestREQ_B28_TheRequestSurvivesTheSetUp(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		org := s.Organization("Birch Ltd", false)
		link := func(address string) string {
			for _, l := range s.Deliver() {
				if l.To == address && strings.Contains(l.Text, rig.Origin+"/link/set-up/") {
					_, rest, _ := strings.Cut(l.Text, rig.Origin+"/link/set-up/")
					return rig.Origin + "/link/set-up/" + strings.Fields(rest)[0]
				}
			}
			t.Fatalf("no invitation for %s", address)
			return ""
		}
		_, invited := s.Invite(org, directory.Member, "Ida Birch", "ida@birch.example")
		b := s.Browser("192.0.2.50")
		if page := get(t, b, request("store", callback)); page.URL.Path != "/signin" {
			t.Fatalf("at %s", page.URL)
		}
		answer := s.walks(b, s.Mind("ida@birch.example"), invited, callback)
		if status, got := s.redeem(answer.Get("code")); status != http.StatusOK || answer.Get("state") != "s-1" {
			t.Errorf("same browser: %d %v, %v", status, got, answer)
		}

		s.Invite(org, directory.Member, "Otto Birch", "otto@birch.example")
		s.Deliver()
		b = s.Browser("192.0.2.51")
		get(t, b, request("store", callback))
		page := get(t, b, rig.Origin+"/signin/resend")
		f := page.Form()
		f.Fill("username", "otto@birch.example")
		f.Fill("email", "otto@birch.example")
		if _, err := b.Submit(f); err != nil {
			t.Fatal(err)
		}
		other := s.Browser("192.0.2.52") // a phone, where the mail is read
		answer = s.walks(other, s.Mind("otto@birch.example"), link("otto@birch.example"), callback)
		if status, got := s.redeem(answer.Get("code")); status != http.StatusOK || answer.Get("state") != "s-1" {
			t.Errorf("another device: %d %v, %v", status, got, answer)
		}
	})
}

// restarted is the same street after the program was stopped and started on the same database.
func (s *street) restarted() *street {
	s.t.Helper()
	return &street{Rig: s.Beside(s.Store, nil), t: s.t, anna: s.anna}
}

// moves has a browser go on with the program as it is now.
func (s *street) moves(b *walker.Client) { b.HTTP.Transport = s.Browser("192.0.2.60").HTTP.Transport }

// The program is stopped and started before every page that somebody answers between the application and the application:
// invitation, password, authenticator, terms, preferences. Nothing of a request lives in memory.
func TestREQ_B28_TheRequestSurvivesARestartAtEveryStep(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		_, link := s.Invite(s.Organization("Cedar AG", false), directory.Member, "Cleo Cedar", "cleo@cedar.example")
		b, mind, restarts := s.Browser("192.0.2.60"), s.Mind("cleo@cedar.example"), 0
		if page := get(t, b, request("store", callback)); page.URL.Path != "/signin" {
			t.Fatalf("at %s", page.URL)
		}
		mind.Seen = func(*walker.Page) {
			s = s.restarted()
			s.moves(b)
			restarts++
		}
		answer := s.walks(b, mind, link, callback)
		if restarts < 6 || answer.Get("state") != "s-1" {
			t.Errorf("%d restarts, then %v", restarts, answer)
		}
		s = s.restarted() // and between the code and the tokens
		status, got := s.redeem(answer.Get("code"))
		if status != http.StatusOK {
			t.Fatalf("%d %v", status, got)
		}
		s = s.restarted()
		if status, who := s.userinfo(got["access_token"].(string)); status != http.StatusOK || who["email"] != "cleo@cedar.example" {
			t.Errorf("userinfo: %d %v", status, who)
		}
		if status, got := s.refresh(got["refresh_token"].(string)); status != http.StatusOK {
			t.Errorf("refresh: %d %v", status, got)
		}
		s.moves(b)
		if q := get(t, b, request("store", callback, "prompt", "none")).URL.Query(); q.Get("code") == "" {
			t.Errorf("the session is gone: %v", q)
		}
	})
}

// A set-up that began at an application goes on, days later and after a restart, on another device, and leads to that
// application from there.
func TestREQ_B28_TheRequestSurvivesAChangeOfDevice(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		_, link := s.Invite(s.Organization("Dogwood SA", false), directory.Member, "Dora Dogwood", "dora@dogwood.example")
		desk, mind := s.Browser("192.0.2.61"), s.Mind("dora@dogwood.example")
		get(t, desk, request("store", callback))
		page, err := mind.Walk(desk, get(t, desk, link), func(p *walker.Page) bool { return strings.HasPrefix(p.Title(), "Choose your authenticator") })
		if err != nil {
			t.Fatal(err)
		}
		left := page.URL.String()
		s.Clock.Advance(5 * 24 * time.Hour)
		s = s.restarted()
		phone := s.Browser("203.0.113.61")
		answer := s.walks(phone, mind, link, callback)
		if status, got := s.redeem(answer.Get("code")); status != http.StatusOK || answer.Get("state") != "s-1" {
			t.Errorf("%d %v, %v", status, got, answer)
		}
		// What was left behind on the desk is over, and brings nobody in.
		s.moves(desk)
		if page := get(t, desk, left); page.Status != http.StatusGone {
			t.Errorf("the desk: %d at %s", page.Status, page.URL)
		}
		if q := get(t, desk, request("store", callback, "prompt", "none")).URL.Query(); q.Get("error") != "login_required" {
			t.Errorf("the desk is signed in: %v", q)
		}
	})
}

// An application of somebody else: the question whether it may know the person is asked and answered over restarts, too.
func TestREQ_B28_SEC_O14_ConsentSurvivesARestart(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		const cb = "https://harbour.example/cb"
		b, consents := s.Browser("192.0.2.62"), 0
		mind := *s.anna.Mind
		mind.Seen = func(p *walker.Page) {
			if strings.HasPrefix(p.URL.Path, "/oauth2/authorize/") {
				consents++
			}
			s = s.restarted()
			s.moves(b)
		}
		if q := s.walks(b, &mind, request("harbour", cb), cb); q.Get("code") == "" || q.Get("state") != "s-1" || consents != 1 {
			t.Fatalf("asked %d times, then %v", consents, q)
		}
		s = s.restarted()
		s.moves(b)
		if q := get(t, b, request("harbour", cb)).URL.Query(); q.Get("code") == "" {
			t.Errorf("asked again: %v", q)
		}
	})
}
