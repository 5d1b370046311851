package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// BenchmarkFront is what every request pays before and after its door.
func BenchmarkFront(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	s, err := New(Config{Settings: Settings{Plain: true, HSTS: true, Proxies: []string{"127.0.0.1"}}, Clock: time.Now, Log: slog.New(slog.NewJSONHandler(null, nil))}, Door{
		Name: "realm", Serves: func(string) bool { return true }, Pattern: func(*http.Request) string { return "GET /" },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
	})
	if err != nil {
		b.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, "http://shop.localhost/", nil)
	req.Header = http.Header{"User-Agent": {"Go-http-client/1.1"}, "Accept-Encoding": {"gzip"}, "Cookie": {"__Host-session=x"}}
	req.RemoteAddr = "192.0.2.1:4711"
	b.ReportAllocs()
	for b.Loop() {
		s.pages.Handler.ServeHTTP(httptest.NewRecorder(), req)
	}
}
