package server

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A number is asked for at every look, and one that nobody answers for is not there.
func TestGaugesAreAskedAtEveryLook(t *testing.T) {
	m := NewMetrics()
	look := func() string {
		w := httptest.NewRecorder()
		promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	if strings.Contains(look(), "doorward_crl_age_seconds") {
		t.Error("a number out of nowhere")
	}
	n := 0.0
	m.Measure("crl_age_seconds", func() map[string]float64 { n += 60; return map[string]float64{"wealth": n} })
	for _, want := range []string{"60", "120"} {
		if text := look(); !strings.Contains(text, `doorward_crl_age_seconds{realm="wealth"} `+want+"\n") {
			t.Errorf("want %s: %s", want, text)
		}
	}
}
