package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Events is a stream of server-sent events that moves a waiting page on. The page's script knows three events: "go" with
// a path to open, "reload", and "update", upon which it fetches the page again and replaces what carries data-live.
type Events struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// NewEvents starts the stream: the handler then sends until the request's context is done, and a Beat every 15 seconds,
// so that proxies keep the connection and a gone browser is noticed.
func NewEvents(w http.ResponseWriter) (*Events, error) {
	e := &Events{w: w, rc: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	if err := e.rc.SetWriteDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return e, e.Beat()
}

// Send writes one event. data is one line.
func (e *Events) Send(event, data string) error {
	if _, err := fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", event, strings.NewReplacer("\n", " ", "\r", " ").Replace(data)); err != nil {
		return err
	}
	return e.rc.Flush()
}

// Beat writes a comment.
func (e *Events) Beat() error {
	if _, err := e.w.Write([]byte(": \n\n")); err != nil {
		return err
	}
	return e.rc.Flush()
}
