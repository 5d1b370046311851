package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What every request goes through, from the outside in: an id, the record for the log, rescue from panics, the edge, the
// host, the door. The log names the route's pattern and never the path or the query: links carry secrets in both (SEC G-3).

// front is the outermost handler.
type front struct {
	c        Config
	edge     Edge
	doors    []*door
	draining context.Context
}

type door struct {
	Door
	requests [6]prometheus.Counter // by class of status
	seconds  prometheus.Observer
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := f.c.Clock()
	rec := &record{ResponseWriter: w, id: newID()}
	rec.Header().Set("X-Request-Id", rec.id)
	if f.c.Settings.HSTS {
		rec.Header().Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	}
	wrong := misdirected(r)
	chain, unreadable := f.edge.Certificates(r)
	host := hostOf(r.Host)
	d := f.doorOf(host)
	told := false
	var original Original
	if d != nil && d.Asked != nil && d.Asked(r) {
		original, told = f.edge.Original(r)
	}
	f.edge.Admit(r, func(name string) { f.c.Metrics.dropped.WithLabelValues(name).Inc() })
	defer f.finish(rec, r, d, host, began)
	switch {
	case d == nil:
		f.refuse(rec, "unknown-host", "There is no door at this address.")
	case wrong:
		f.refuse(rec, "other-connection", "This connection was opened for another address. Please load the page again.")
	case d.AsksCertificate && unreadable != nil:
		f.c.Metrics.refused.WithLabelValues("client-certificate").Inc()
		plainPage(rec, http.StatusBadRequest, "The client certificate came in a form that cannot be read. The operator's proxy must send exactly one.")
	default:
		if !d.AsksCertificate {
			chain = nil
		}
		show(r, host, chain)
		if told {
			r = d.Told(r, original)
		}
		if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			// A stream ends only with its context: it must not hold up the end of the server. Browsers come back by themselves.
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(f.draining, cancel)()
			r = r.WithContext(ctx)
		}
		d.Handler.ServeHTTP(rec, r)
	}
}

// finish rescues from a panic and writes the record.
func (f *front) finish(rec *record, r *http.Request, d *door, host string, began time.Time) {
	p := recover()
	if p == http.ErrAbortHandler {
		panic(p)
	}
	if p != nil {
		f.c.Metrics.refused.WithLabelValues("panic").Inc()
		f.c.Log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("request", rec.id), slog.String("what", say(p)), slog.String("stack", string(debug.Stack())))
		if rec.status != 0 {
			defer panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		} else {
			plainPage(rec, http.StatusInternalServerError, "Something went wrong on our side. Please try again. If it happens again, tell the help desk this reference: "+rec.id)
		}
	}
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	ended := f.c.Clock()
	took := ended.Sub(began)
	name, pattern := "none", ""
	if d != nil {
		name = d.Name
		d.requests[min(max(rec.status/100, 0), 5)].Inc()
		d.seconds.Observe(took.Seconds())
		if pattern = rec.route; pattern == "" && d.Pattern != nil {
			pattern = d.Pattern(r)
		}
	} else {
		host = "" // not ours: a stranger chose it
	}
	if pattern == "" {
		pattern = r.Method + " (no route)"
		if len(r.Method) > 10 {
			pattern = "(no route)"
		}
	}
	to := f.c.Log.Handler()
	if !to.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	line := slog.NewRecord(ended.Local(), slog.LevelInfo, "request", 0) // of no place in the program: to find it costs more than it tells
	line.AddAttrs(slog.String("request", rec.id), slog.String("door", name), slog.String("host", host), slog.String("route", pattern),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", took),
		slog.String("network", peerOf(r.RemoteAddr).String()))
	_ = to.Handle(r.Context(), line) // where the log cannot be written there is nobody to tell
}

// say names a panic's value without the value: it may hold what somebody typed.
func say(p any) string {
	if e, ok := p.(runtime.Error); ok {
		return e.Error()
	}
	if e, ok := p.(error); ok {
		return "error of type " + fmt.Sprintf("%T", e)
	}
	return "value of type " + fmt.Sprintf("%T", p)
}

func (f *front) doorOf(host string) *door {
	for _, d := range f.doors {
		if d.Serves(host) {
			return d
		}
	}
	return nil
}

func (f *front) refuse(w http.ResponseWriter, why, words string) {
	f.c.Metrics.refused.WithLabelValues(why).Inc()
	plainPage(w, http.StatusMisdirectedRequest, words)
}

// plainPage answers where no door can: text that needs nothing and gives nothing away.
func plainPage(w http.ResponseWriter, status int, words string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(words + "\n")) // the visitor has gone away
}

// record keeps what the log wants to know about an answer.
type record struct {
	http.ResponseWriter
	id     string
	status int
	bytes  int64
	route  string // the pattern of the mux, where the door said so
}

// Route takes the pattern that a request took, from the door.
func (w *record) Route(pattern string) { w.route = pattern }

// Unwrap lets http.ResponseController reach the connection.
func (w *record) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *record) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *record) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// newID is 64 random bits: enough to find one line, and nothing that tells how many requests there are.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}
