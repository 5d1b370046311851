package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Keys of clients are read from where the operator said, and nowhere else.
func TestSEC_J1_FetchTakesJSONFromTheAddressItself(t *testing.T) {
	answer := func(kind, cache, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", cache)
			_, _ = w.Write([]byte(body))
		}
	}
	hung := make(chan struct{})
	called := 0
	mux := http.NewServeMux()
	mux.Handle("/keys", answer("application/json; charset=utf-8", "public, max-age=600", "{}"))
	mux.Handle("/set", answer("application/jwk-set+json", "", "{}"))
	mux.Handle("/full", answer("application/json", "max-age=x", strings.Repeat(" ", keysLimit)))
	mux.Handle("/big", answer("application/json", "", strings.Repeat(" ", keysLimit+1)))
	mux.Handle("/html", answer("text/html", "", "{}"))
	mux.Handle("/none", answer("", "", "{}"))
	mux.Handle("/target", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { called++; answer("application/json", "", "{}")(w, r) }))
	mux.Handle("/redirect", http.RedirectHandler("/target", http.StatusFound))
	mux.Handle("/hung", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}))
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	defer close(hung)
	client := outbound()
	client.Transport = srv.Client().Transport
	read := fetch(client)
	for path, want := range map[string]time.Duration{"/keys": 10 * time.Minute, "/set": 0, "/full": 0} {
		if body, keep, err := read(t.Context(), srv.URL+path); err != nil || len(body) == 0 || keep != want {
			t.Errorf("%s: %d bytes, %s, %v", path, len(body), keep, err)
		}
	}
	for _, path := range []string{"/big", "/html", "/none", "/redirect", "/missing"} {
		if _, _, err := read(t.Context(), srv.URL+path); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
	if called != 0 {
		t.Error("a redirect was followed")
	}
	if _, _, err := read(t.Context(), strings.Replace(srv.URL, "https:", "http:", 1)+"/keys"); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("http: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, _, err := read(ctx, srv.URL+"/hung"); err == nil {
		t.Error("a site that never answers was taken")
	}
	if client.Timeout != 5*time.Second {
		t.Errorf("a page would wait for %s", client.Timeout)
	}
}
