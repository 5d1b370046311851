package rig_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// wire stands between a store and PostgreSQL. It counts how often the store waits for an answer, and can be held.
type wire struct {
	trips atomic.Int64
	held  sync.RWMutex
}

// stretch puts a wire in front of the socket of an address and returns the address that leads over it.
func stretch(t testing.TB, dsn string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	const socket = ".s.PGSQL.5432"
	q := u.Query()
	server := filepath.Join(q.Get("host"), socket)
	dir, err := os.MkdirTemp("", "wire") // the name of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &wire{}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", server)
			if err != nil {
				near.Close()
				continue
			}
			var waits atomic.Bool
			go w.carry(far, near, func() {
				if waits.CompareAndSwap(false, true) {
					w.trips.Add(1)
				}
			})
			go w.carry(near, far, func() { waits.Store(false) })
		}
	}()
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return w, u.String()
}

func (w *wire) carry(to io.WriteCloser, from io.ReadCloser, said func()) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		w.held.RLock()
		said()
		_, err = to.Write(b[:n])
		w.held.RUnlock()
		if err != nil {
			return
		}
	}
}

// fewest is how often do waits for the database, the fewest times of five: a connection that stood idle is asked whether
// it is still there.
func (w *wire) fewest(do func()) int64 {
	least := int64(1 << 30)
	for range 5 {
		before := w.trips.Load()
		do()
		least = min(least, w.trips.Load()-before)
	}
	return least
}

// What is asked most often waits for no database (PERFORMANCE 18): it is answered while PostgreSQL says nothing at all. The
// code flow and refresh wait for what they write, and for nothing else.
func TestRoundTripsToPostgreSQL(t *testing.T) {
	w, dsn := stretch(t, testdb.PostgresAddress(t))
	store, err := sqlstore.Open(t.Context(), dsn, testdb.Ring(), sqlstore.Options{Clock: time.Now, Conns: 1, Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	r, cookies := provided(t, store)
	have := flows(t, r, cookies, 0)
	access := have["access_token"].(string)
	ask := func(method, path string, form url.Values, change func(*http.Request), status int) func() {
		return func() {
			req := httptest.NewRequest(method, rig.Origin+path, strings.NewReader(form.Encode()))
			if form != nil {
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if change != nil {
				change(req)
			}
			rec := httptest.NewRecorder()
			r.Handler.ServeHTTP(rec, req)
			if rec.Code != status {
				t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
			}
		}
	}
	client := func(req *http.Request) { req.SetBasicAuth("bench", benchSecret) }
	signed := func(req *http.Request) {
		for _, c := range cookies {
			req.AddCookie(c)
		}
	}
	for name, do := range map[string]func(){
		"discovery":          ask("GET", "/.well-known/openid-configuration", nil, nil, 200),
		"JWKS":               ask("GET", "/oauth2/jwks", nil, nil, 200),
		"client_credentials": ask("POST", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, client, 200),
		"introspection":      ask("POST", "/oauth2/introspect", url.Values{"token": {access}}, client, 200),
		"userinfo":           ask("GET", "/oauth2/userinfo", nil, func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+access) }, 200),
		"session check":      ask("GET", "/signin", nil, signed, 303),
	} {
		do() // and is remembered
		w.held.Lock()
		done := make(chan struct{})
		go func() { defer close(done); do() }()
		select {
		case <-done:
		case <-time.After(20 * time.Second): // far beyond what an answer takes
			t.Errorf("%s waits for the database", name)
		}
		w.held.Unlock()
		<-done
	}

	// BEGIN and COMMIT are one each, and every statement.
	var codes []string
	authorize := w.fewest(func() { codes = append(codes, authorizes(t, r, cookies, len(codes))) })
	redeem := w.fewest(func() { have, codes = redeems(t, r, codes[0]), codes[1:] })
	refresh := w.fewest(func() {
		have = asks(t, r, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {have["refresh_token"].(string)}})
	})
	if authorize > 7 || redeem > 5 || refresh > 4 {
		t.Errorf("round trips: %d for a code, %d to redeem it, %d for a refresh", authorize, redeem, refresh)
	}
}
