package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/token"
)

// There is no way round PKCE with S256, whichever door a request comes in by, and whatever stands on one side only
// (SEC O-3; authentik CVE-2023-48228 and CVE-2024-23647, Gitea CVE-2026-26247).
func TestSEC_O3_NoDowngradeAtAnyDoor(t *testing.T) {
	challenge := token.Challenge(verifier)
	none := "\x00none"
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.SignIn(s.anna, "192.0.2.60")
		for name, c := range map[string][2]string{ // challenge, method
			"nothing":                    {none, none},
			"method only":                {none, "S256"},
			"plain":                      {verifier, "plain"},
			"plain without a word":       {verifier, none},
			"a challenge without method": {challenge, none},
			"an empty challenge":         {"", "S256"},
			"an empty method":            {challenge, ""},
			"both empty":                 {"", ""},
			"another case":               {challenge, "s256"},
			"S512":                       {challenge, "S512"},
			"none":                       {challenge, "none"},
			"two methods":                {challenge, "plain S256"},
			"the verifier":               {verifier + "A", "S256"},
			"42 letters":                 {challenge[:42], "S256"},
			"44 letters":                 {challenge + "A", "S256"},
			"padding":                    {challenge + "=", "S256"},
			"no base64url":               {strings.Repeat("+", 43), "S256"},
			"another spelling of it":     {challenge[:42] + otherSpelling(challenge[42]), "S256"},
			"129 letters":                {strings.Repeat("a", 129), "S256"},
		} {
			form := query(t, request("store", callback))
			for i, key := range []string{"code_challenge", "code_challenge_method"} {
				if form.Set(key, c[i]); c[i] == none {
					form.Del(key)
				}
			}
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				a := s.raw(method, "/oauth2/authorize", form, as(b))
				to := query(t, a.Header.Get("Location"))
				if !strings.HasPrefix(a.Header.Get("Location"), callback+"?") || to.Get("error") != "invalid_request" || to.Get("code") != "" || to.Get("state") != "s-1" || to.Get("iss") != rig.Origin || a.StatusCode != http.StatusSeeOther {
					t.Errorf("%s by %s: %d %s", name, method, a.StatusCode, a.Header.Get("Location"))
				}
			}
			if status, got := s.post("/oauth2/par", form, basic("store", storeSecret)); status != http.StatusBadRequest || got["error"] != "invalid_request" || got["request_uri"] != nil {
				t.Errorf("%s, pushed: %d %v", name, status, got)
			}
		}
		// Beside a pushed request nothing counts.
		_, pushed := s.post("/oauth2/par", query(t, request("store", callback)), basic("store", storeSecret))
		a := s.raw(http.MethodGet, "/oauth2/authorize", url.Values{"client_id": {"store"}, "request_uri": {pushed["request_uri"].(string)},
			"code_challenge": {token.Challenge(strings.Repeat("e", 43))}, "code_challenge_method": {"S256"}, "redirect_uri": {"https://evil.example/"}, "scope": {"openid"}, "state": {"evil"}}, as(b))
		codes := []string{codeOf(t, s.raw(http.MethodGet, a.Header.Get("Location"), nil, as(b)))}
		for range 3 {
			codes = append(codes, get(t, b, request("store", callback)).URL.Query().Get("code"))
		}
		for i, code := range codes {
			redeem := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}}
			for name, v := range map[string]string{
				"no verifier": none, "an empty one": "", "the challenge": challenge, "43 others": strings.Repeat("e", 43), "42 letters": verifier[:42], "more": verifier + "a", "129 letters": strings.Repeat("a", 129),
				"128 letters": strings.Repeat("a", 128), "a blank": verifier + " ", "a line end": verifier + "\n", "another case": strings.ToUpper(verifier), "plus": "+" + verifier[1:], "NUL": verifier + "\x00",
			} {
				form := plus(redeem, "code_verifier", v)
				if v == none {
					form.Del("code_verifier")
				}
				if status, got := s.post("/oauth2/token", form, basic("store", storeSecret)); status != http.StatusBadRequest || got["access_token"] != nil {
					t.Errorf("code %d with %s: %d %v", i, name, status, got)
				}
			}
			// What was tried wrongly burnt nothing, or a stranger could keep people out.
			if status, got := s.redeem(code); status != http.StatusOK {
				t.Errorf("code %d with the right verifier: %d %v", i, status, got)
			}
		}
		// A code that is kept without a challenge, from wherever, is redeemed by nobody.
		code := get(t, b, request("store", callback)).URL.Query().Get("code")
		hash := s.hash("oidc-code", code)
		s.Write(func(tx *sqlstore.Tx) error {
			c, err := tx.Code(hash)
			if err != nil {
				return err
			}
			c.Hash, c.Challenge = s.hash("oidc-code", "made by hand"), ""
			return tx.AddCode(c)
		})
		for _, v := range []string{none, "", verifier, token.Challenge("")} {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {"made by hand"}, "redirect_uri": {callback}, "code_verifier": {v}}
			if status, got := s.post("/oauth2/token", form, basic("store", storeSecret)); status != http.StatusBadRequest || got["access_token"] != nil {
				t.Errorf("without a challenge, with %q: %d %v", v, status, got)
			}
		}
	})
}

// otherSpelling is another last letter of 43 that decodes to the same bits by a reader that is not strict.
func otherSpelling(last byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[strings.IndexByte(letters, last)^1])
}

func codeOf(t *testing.T, a answer) string {
	t.Helper()
	return query(t, a.Header.Get("Location")).Get("code")
}

// Whoever knows the name of a public client can push; no network fills the house with it.
func TestSEC_O5_StrangersPushOnlySoMuch(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		form := query(t, request("harbour", harbour))
		refused := 0
		for i := range 310 {
			res := s.here(http.MethodPost, rig.Origin+"/oauth2/par", form)
			switch {
			case res.StatusCode == http.StatusCreated && i < 300:
			case res.StatusCode == http.StatusServiceUnavailable && i >= 300 && res.Header.Get("Retry-After") != "":
				refused++
			default:
				t.Fatalf("push %d: %d", i, res.StatusCode)
			}
		}
		if refused != 10 {
			t.Errorf("%d of 10 were refused", refused)
		}
		// Clients that authenticate are not kept out by it, from the same network.
		if res := s.here(http.MethodPost, rig.Origin+"/oauth2/par", query(t, request("store", callback)), basic("store", storeSecret)); res.StatusCode != http.StatusCreated {
			t.Errorf("the store: %d", res.StatusCode)
		}
		s.Clock.Advance(time.Minute)
		if res := s.here(http.MethodPost, rig.Origin+"/oauth2/par", form); res.StatusCode != http.StatusCreated {
			t.Errorf("a minute later: %d", res.StatusCode)
		}
	})
}
