package main

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// twoNodes runs a test with two nodes on one PostgreSQL; on SQLite, which is for one machine, both are the same one and
// the changes come from another process.
func twoNodes(t *testing.T, test func(t *testing.T, s *site, a, b *node)) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := newSite(t, dsn)
		a := s.start()
		b := a
		if strings.HasPrefix(dsn, "postgres") {
			b = s.start()
		}
		test(t, s, a, b)
	})
}

// Whatever ends a session on one node ends it on the others: signing out, ending the others, a person disabled from the
// command line, a factor suspended. How soon is promised with an injected clock in login and sqlstore; that it happens
// between real processes is shown here.
func TestSEC_S4_WhatEndsOnOneNodeEndsOnAll(t *testing.T) {
	twoNodes(t, func(t *testing.T, s *site, a, b *node) {
		jonas, first := a.join("member", "Jonas Weber", "jonas@alder.example")
		b.moves(first)
		if !b.inside(first) {
			t.Fatal("a session of one node is none on the other")
		}
		second := a.signIn(jonas)
		third := a.signIn(jonas)
		b.moves(second)
		b.moves(third)
		if !b.inside(second) || !b.inside(third) {
			t.Fatal("sessions of one node are none on the other")
		}

		// Signed out on A with a browser that shares the session.
		a.moves(second)
		page, err := second.Get("https://" + shopHost + "/signout")
		s.must(err)
		out := page.Form()
		if out == nil {
			t.Fatal("nobody can sign out")
		}
		kept := second.HTTP.Jar // the cookie as a thief would have kept it
		thief := b.browser()
		for _, c := range kept.Cookies(page.URL) {
			thief.Header.Add("Cookie", c.Name+"="+c.Value)
		}
		thief.HTTP.Jar = nil
		if !b.inside(thief) {
			t.Fatal("the kept cookie is none")
		}
		_, err = second.Submit(out)
		s.must(err)
		b.refused(thief, "signed out")

		// The others ended from A.
		a.moves(first)
		page, err = first.Get("https://" + shopHost + "/account/security")
		s.must(err)
		_, err = first.Submit(page.FormTo("/account/sessions/end-others"))
		s.must(err)
		b.refused(third, "others ended")
		b.moves(first)
		if !b.inside(first) {
			t.Error("the session that ended the others has ended too")
		}

		// A factor suspended, as a help desk does, in the database alone.
		ring, err := secret.LoadRing(s.path("keyring"))
		s.must(err)
		store, err := sqlstore.Open(t.Context(), dsnOf(s), ring, sqlstore.Options{Clock: s.now, Conns: 1})
		s.must(err)
		defer store.Close()
		s.must(store.Write(t.Context(), func(tx *sqlstore.Tx) error {
			p, err := tx.PersonByAddress("shop", "jonas@alder.example")
			if err != nil {
				return err
			}
			all, err := tx.Credentials("shop", p.ID)
			if err != nil {
				return err
			}
			for _, c := range all {
				if c.Kind == authn.TOTP {
					c.State = authn.Suspended
					tx.Bump()
					return tx.UpdateCredential(c)
				}
			}
			t.Error("nothing to suspend")
			return nil
		}))
		b.refused(first, "factor suspended")

		// Disabled by another process while both serve.
		_, mara := a.join("member", "Mara Keller", "mara@alder.example")
		b.moves(mara)
		if !b.inside(mara) {
			t.Fatal("Mara is not in")
		}
		s.do("user", "disable", "--realm", "shop", "--email", "mara@alder.example", "--reason", "left")
		b.refused(mara, "disabled from the command line")
		a.moves(mara)
		a.refused(mara, "disabled, on the other node")
	})
}

func dsnOf(s *site) string {
	for _, e := range s.environ {
		if dsn, ok := strings.CutPrefix(e, "DOORWARD_DATABASE_ADDRESS="); ok {
			return dsn
		}
	}
	return ""
}

// A node on real sockets: HSTS, host and server name must agree, the operations have a listener of their own.
func TestSEC_N1_N2_ANodeOnItsSockets(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		s := newSite(t, dsn)
		n := s.start()
		ask := func(sni, host, path string) *http.Response {
			t.Helper()
			c := n.browser()
			c.HTTP.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: s.roots, ServerName: sni}
			c.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			r, err := http.NewRequest("GET", "https://"+sni+path, nil)
			s.must(err)
			r.Host = host
			res, err := c.HTTP.Do(r)
			s.must(err)
			res.Body.Close()
			return res
		}
		for _, c := range []struct {
			sni, host, path string
			want            int
			to              string
		}{
			{shopHost, shopHost, "/signin", http.StatusOK, ""},
			{"wealth.localhost", shopHost, "/signin", http.StatusMisdirectedRequest, ""},
			{shopHost, "wealth.localhost", "/signin", http.StatusMisdirectedRequest, ""},
			{shopHost, "bank.example", "/signin", http.StatusMisdirectedRequest, ""},
			{shopHost, shopHost, "/.well-known/change-password", http.StatusSeeOther, "/account/"},
			{shopHost, shopHost, "/metrics", http.StatusNotFound, ""},
			{shopHost, shopHost, "/readyz", http.StatusNotFound, ""},
			{shopHost, shopHost, "/dev/pages", http.StatusNotFound, ""},
		} {
			res := ask(c.sni, c.host, c.path)
			if res.StatusCode != c.want || !strings.HasPrefix(res.Header.Get("Location"), c.to) {
				t.Errorf("%s as %s on a connection to %s: %s %s", c.path, c.host, c.sni, res.Status, res.Header.Get("Location"))
			}
			if c.want == http.StatusOK && !strings.HasPrefix(res.Header.Get("Strict-Transport-Security"), "max-age=") {
				t.Error("no HSTS")
			}
		}
		if code, body := n.operations("/healthz"); code != http.StatusOK || body != "ok" && body != "ok\n" {
			t.Errorf("healthz: %d %q", code, body)
		}
		if code, body := n.operations("/readyz"); code != http.StatusOK || !strings.Contains(body, `"database":"ok"`) {
			t.Errorf("readyz: %d %s", code, body)
		}
		if code, body := n.operations("/metrics"); code != http.StatusOK || !strings.Contains(body, "doorward_") {
			t.Errorf("metrics: %d", code)
		}
		if code, _ := n.operations("/signin"); code != http.StatusNotFound {
			t.Errorf("the operations listener shows pages: %d", code)
		}
		// A clock that is wrong makes a node unready and says so.
		s.advance(time.Minute)
		if code, body := n.operations("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "away from the database") {
			t.Errorf("a minute off: %d %s", code, body)
		}
		n.stop()
	})
}
