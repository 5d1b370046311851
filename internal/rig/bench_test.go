package rig_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/testdb"
)

// BenchmarkSessionCheck is the path behind every request of somebody who is signed in, without sockets.
func BenchmarkSessionCheck(b *testing.B) {
	r := rig.New(b, testdb.SQLite(b))
	max := r.Join(r.Organization("Alder Works", false), directory.Member, "Max Alder", "max@alder.example")
	u, err := url.Parse(rig.Origin)
	if err != nil {
		b.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, rig.Origin+"/signin", nil)
	for _, c := range max.Browser.HTTP.Jar.Cookies(u) {
		req.AddCookie(c)
	}
	for b.Loop() {
		w := httptest.NewRecorder()
		r.Handler.ServeHTTP(w, req)
		if w.Code != http.StatusSeeOther {
			b.Fatal(w.Code)
		}
	}
}

// BenchmarkSignIn is everything around the hash: pages, rows, audit; the rig's hashes cost next to nothing.
func BenchmarkSignIn(b *testing.B) {
	r := rig.New(b, testdb.SQLite(b))
	max := r.Join(r.Organization("Alder Works", false), directory.Member, "Max Alder", "max@alder.example")
	for b.Loop() {
		c := r.Browser("192.0.2.77")
		page, err := c.Get(rig.Origin + "/signin")
		if err != nil {
			b.Fatal(err)
		}
		if _, err = max.Mind.Walk(c, page, walker.At("/account")); err != nil {
			b.Fatal(err)
		}
	}
}
