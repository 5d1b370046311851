package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"doorward/internal/testdb"
)

// logged is a log that a test reads while the program writes.
type logged struct {
	mu   sync.Mutex
	b    bytes.Buffer
	grew chan struct{}
}

func newLogged() *logged { return &logged{grew: make(chan struct{}, 1)} }

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.grew <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *logged) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// until waits for a line that holds the text; when the program ends before, the test fails with what it said.
func (l *logged) until(t *testing.T, text string, ended <-chan struct{}, said *logged) string {
	t.Helper()
	for {
		for line := range strings.Lines(l.String()) {
			if strings.Contains(line, text) {
				return line
			}
		}
		select {
		case <-l.grew:
		case <-ended:
			t.Fatalf("ended before %q:\n%s", text, said)
		}
	}
}

// do runs a command to its end.
func do(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), world{args: args, environ: environ, out: &out, errs: &errs, clock: time.Now}); code != done {
		t.Fatalf("%q: %d: %s", args, code, errs.String())
	}
	return out.String()
}

// A server takes realms and people that another process changes, and ends in order. The last checkpoint is signed.
func TestServeTakesWhatAnotherProcessChanges(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		dir := t.TempDir()
		do(t, nil, "init", "--dir", dir)
		conf := filepath.Join(dir, "doorward.toml")
		environ := []string{
			"DOORWARD_DATABASE_ADDRESS=" + dsn, "DOORWARD_SERVER_LISTEN=127.0.0.1:0", "DOORWARD_SERVER_OPERATIONS=127.0.0.1:0", "DOORWARD_SERVER_PLAIN=true",
			"DOORWARD_SERVER_PROXIES=127.0.0.1", "DOORWARD_MAIL_DIRECTORY=mail", "DOORWARD_AUDIT_ANCHOR=anchor",
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		errs, ended, code := newLogged(), make(chan struct{}), 0
		go func() {
			defer close(ended)
			code = run(ctx, world{args: []string{"serve", "--config", conf}, environ: environ, out: io.Discard, errs: errs, clock: time.Now})
		}()
		var line struct{ Listen string }
		if err := json.Unmarshal([]byte(errs.until(t, `"msg":"serving"`, ended, errs)), &line); err != nil {
			t.Fatal(err)
		}
		get := func() int {
			r, err := http.NewRequest("GET", "http://"+line.Listen+"/signin", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "shop.localhost"
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			return res.StatusCode
		}
		if got := get(); got != http.StatusMisdirectedRequest {
			t.Errorf("before there is a realm: %d", got)
		}
		do(t, environ, "apply", "--config", conf, filepath.Join("..", "..", "realms", "shop.toml"))
		for get() != http.StatusOK { // within a second; the test's own deadline says when it never comes
			<-time.After(20 * time.Millisecond)
		}
		do(t, environ, "user", "invite", "--config", conf, "--realm", "shop", "--role", "owner", "--email", "eva@northline.example", "--name", "Eva Lang")
		for {
			if mails, _ := filepath.Glob(filepath.Join(dir, "mail", "*-invitation-*.eml")); len(mails) == 1 {
				break
			}
			<-time.After(20 * time.Millisecond)
		}
		stop()
		if <-ended; code != done {
			t.Errorf("exit code %d: %s", code, errs.String())
		}
		var report struct {
			OK       bool
			Leaves   int
			Pending  int
			Proven   int
			Anchored int
		}
		if err := json.Unmarshal([]byte(do(t, environ, "audit", "verify", "--json", "--config", conf)), &report); err != nil {
			t.Fatal(err)
		}
		if !report.OK || report.Leaves < 3 || report.Pending != 0 || report.Proven != report.Leaves || report.Anchored == 0 {
			t.Errorf("after the end: %+v", report)
		}
	})
}
