package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Check says whether one thing this node needs is there. It must come back within a second or two.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// ClockSkew is how far this machine's clock may be from the database's, either way (SEC D-5): codes and lifetimes are
// judged by this clock, on several nodes by several.
const ClockSkew = 5 * time.Second

// CheckClock compares the clocks. The database's time is compared with the middle of the question and the answer.
func CheckClock(clock func() time.Time, database func(context.Context) (time.Time, error)) Check {
	return Check{"clock", func(ctx context.Context) error {
		before := clock()
		there, err := database(ctx)
		if err != nil {
			return err
		}
		here := before.Add(clock().Sub(before) / 2)
		if off := there.Sub(here).Abs(); off > ClockSkew {
			return fmt.Errorf("this machine's clock is %s away from the database's: check time synchronization", off.Round(time.Millisecond))
		}
		return nil
	}}
}

const checkTimeout = 3 * time.Second

func (s *Server) operationsMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plainPage(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics.Registry, promhttp.HandlerOpts{}))
	return mux
}

// ready runs all checks at once and answers 200, or 503 with what is wrong.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	result := make([]string, len(s.Ready))
	var all sync.WaitGroup
	for i, c := range s.Ready {
		all.Go(func() {
			result[i] = "ok"
			if err := c.Run(ctx); err != nil {
				result[i] = err.Error()
			}
		})
	}
	all.Wait()
	status, checks := http.StatusOK, map[string]string{}
	for i, c := range s.Ready {
		if checks[c.Name] = result[i]; result[i] != "ok" {
			status = http.StatusServiceUnavailable
		}
	}
	if s.draining.Load() {
		status, checks["draining"] = http.StatusServiceUnavailable, "this node is going down"
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": status == http.StatusOK, "checks": checks}) // the caller has gone away
}
