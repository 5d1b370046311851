package oidc_test

import (
	"net/http"
	"strings"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig"
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
