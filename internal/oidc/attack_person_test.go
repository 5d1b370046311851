package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
)

// Between the request and the code, and between the code and the tokens, anything may die. What is issued stands on what
// lives then, not on what lived when the page was opened (SEC O-4, O-9).
func TestSEC_O9_WhatDiesOnTheWayArrivesNowhere(t *testing.T) {
	person := func(change func(*directory.Person)) func(*street) {
		return func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				p, err := tx.Person("shop", s.anna.Is.ID)
				if change(&p); err == nil {
					err = tx.UpdatePerson(p)
				}
				tx.Bump()
				return err
			})
		}
	}
	for name, dies := range map[string]func(*street){
		"the person": person(func(p *directory.Person) { p.State = directory.Disabled }),
		"the organization": func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				o, err := tx.Organization("shop", s.anna.Is.Organization)
				if o.State = directory.Disabled; err == nil {
					err = tx.UpdateOrganization(o)
				}
				tx.Bump()
				return err
			})
		},
		"the session": func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				_, err := tx.EndSessions("shop", s.anna.Is.ID, "", "test", s.Clock.Now())
				tx.Bump()
				return err
			})
		},
		"the client": func(s *street) {
			s.Write(func(tx *sqlstore.Tx) error {
				r, err := tx.Realm("shop")
				if r.Relying = r.Relying[1:]; err == nil {
					err = tx.PutRealm(r)
				}
				return err
			})
			if err := s.Realms.Refresh(context.Background()); err != nil {
				s.t.Fatal(err)
			}
		},
		"the grant": func(s *street) {
			s.relying(func(rp *directory.RelyingParty) { rp.Grants = []string{directory.GrantClientCredentials} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachStreet(t, func(t *testing.T, s *street) {
				b := s.SignIn(s.anna, "192.0.2.60")
				code := get(t, b, request("store", callback)).URL.Query().Get("code")
				open := s.raw(http.MethodGet, "/oauth2/authorize", query(t, request("store", callback))).Header.Get("Location")
				dies(s)
				s.Clock.Advance(5 * time.Second)
				if a := s.raw(http.MethodGet, open, nil, as(b)); strings.Contains(a.Header.Get("Location"), "code=") || a.StatusCode >= 500 {
					t.Errorf("an open request gave a code: %d %s", a.StatusCode, a.Header.Get("Location"))
				}
				if status, got := s.redeem(code); status < 400 || status >= 500 || got["access_token"] != nil {
					t.Errorf("a code gave tokens: %d %v", status, got)
				}
			})
		})
	}
}

// A request is nobody's: whoever finishes it gets a code for themselves, in their own browser, once; after a sign-out it
// asks who is there.
func TestSEC_S2_ARequestIsNobodysSession(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		ben := s.Join(s.org, directory.Member, "Ben Alder", "ben@alder.example")
		anna, other := s.SignIn(s.anna, "192.0.2.60"), s.SignIn(ben, "192.0.2.61")
		open := func() string {
			return s.raw(http.MethodGet, "/oauth2/authorize", query(t, request("store", callback))).Header.Get("Location")
		}
		// The request that one of them began, in the browser of the other.
		at := open()
		a := s.raw(http.MethodGet, at, nil, as(other))
		_, got := s.redeem(codeOf(t, a))
		if sub := s.claims("store", got["id_token"])["sub"]; sub != ben.Is.ID {
			t.Errorf("Ben's browser gave a code for %v", sub)
		}
		if a := s.raw(http.MethodGet, at, nil, as(anna)); a.StatusCode != http.StatusGone || a.Header.Get("Location") != "" {
			t.Errorf("a second browser: %d %s", a.StatusCode, a.Header.Get("Location"))
		}
		// Nobody's browser learns what became of it, and a planted cookie leads to sign-in, not past it.
		if a := s.raw(http.MethodGet, at, nil); a.StatusCode != http.StatusGone || strings.Contains(a.body, "ben@") {
			t.Errorf("a stranger: %d", a.StatusCode)
		}
		at = open()
		get(t, anna, rig.Origin+"/account")
		page := get(t, anna, rig.Origin+"/signout")
		if _, err := anna.Submit(page.Form()); err != nil {
			t.Fatal(err)
		}
		if a := s.raw(http.MethodGet, at, nil, as(anna)); !strings.HasPrefix(a.Header.Get("Location"), "/signin") {
			t.Errorf("after a sign-out: %d %s", a.StatusCode, a.Header.Get("Location"))
		}
	})
}

// Nobody signs somebody else out, and what is sent along on the way out stays a parameter.
func TestSEC_O11_OnlyOnesOwnSessionEnds(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		ben := s.Join(s.org, directory.Member, "Ben Alder", "ben@alder.example")
		anna, other := s.SignIn(s.anna, "192.0.2.60"), s.SignIn(ben, "192.0.2.61")
		hint := s.tokens(anna, s.anna.Mind)["id_token"].(string)
		lives := func(who string, want bool) {
			t.Helper()
			b := anna
			if who == "Ben" {
				b = other
			}
			if a := s.raw(http.MethodGet, "/account", nil, as(b)); (a.StatusCode == http.StatusOK) != want {
				t.Errorf("%s is signed in: %v, want %v", who, !want, want)
			}
		}
		bye := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://store.example/bye"}}
		// Anna's hint in Ben's browser, and in a stranger's: nobody's session ends.
		if a := s.raw(http.MethodGet, "/oauth2/logout", bye, as(other)); a.StatusCode != http.StatusOK {
			t.Errorf("in Ben's browser: %d %s", a.StatusCode, a.Header.Get("Location"))
		}
		s.raw(http.MethodGet, "/oauth2/logout", bye)
		lives("Ben", true)
		lives("Anna", true)
		// From another site by GET without a hint, by POST, and by the form of the page: it is asked, or refused.
		foreign := func(r *http.Request) {
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		for _, a := range []answer{
			s.raw(http.MethodGet, "/oauth2/logout", url.Values{"client_id": {"store"}}, as(anna), foreign),
			s.raw(http.MethodPost, "/oauth2/logout", url.Values{"client_id": {"store"}}, as(anna), foreign),
			s.raw(http.MethodPost, "/oauth2/logout/confirm", url.Values{"answer": {"yes"}}, as(anna), foreign),
			s.raw(http.MethodGet, "/oauth2/logout/confirm", url.Values{"answer": {"yes"}}, as(anna)),
		} {
			if a.Header.Get("Location") != "" {
				t.Errorf("%s %s: %d %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.Header.Get("Location"))
			}
		}
		lives("Anna", true)
		for _, state := range []string{"x&post_logout_redirect_uri=https://evil.example", "#@evil.example", "\r\nSet-Cookie: a=b", "../../x", "?x", strings.Repeat("s", 2049)} {
			a := s.raw(http.MethodGet, "/oauth2/logout", plus(bye, "state", state))
			to, err := url.Parse(a.Header.Get("Location"))
			if err != nil || to.Scheme+"://"+to.Host+to.Path != "https://store.example/bye" || to.Fragment != "" || len(state) <= 2048 && to.Query().Get("state") != state && !strings.HasPrefix(state, "\r") || a.Header.Get("Set-Cookie") != "" && strings.Contains(a.Header.Get("Set-Cookie"), "a=b") {
				t.Errorf("state %.30q: %d %s", state, a.StatusCode, a.Header.Get("Location"))
			}
		}
		// Her own, at last.
		if a := s.raw(http.MethodGet, "/oauth2/logout", bye, as(anna)); a.Header.Get("Location") != "https://store.example/bye" {
			t.Errorf("her own: %d %s", a.StatusCode, a.Header.Get("Location"))
		}
		lives("Anna", false)
		lives("Ben", true)
	})
}
