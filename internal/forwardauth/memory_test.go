package forwardauth_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorward/internal/forwardauth"
	"doorward/internal/login"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// counting counts what reaches the database.
type counting struct {
	forwardauth.Store
	n *atomic.Int64
}

func (c counting) Read(ctx context.Context, fn func(forwardauth.Tx) error) error {
	c.n.Add(1)
	return c.Store.Read(ctx, fn)
}

func (c counting) Write(ctx context.Context, fn func(forwardauth.Tx) error) error {
	c.n.Add(1)
	return c.Store.Write(ctx, fn)
}

// vouching counts what login is asked.
type vouching struct {
	*login.Service
	n *atomic.Int64
}

func (v vouching) Vouch(ctx context.Context, realm, id string) (login.Signed, error) {
	v.n.Add(1)
	return v.Service.Vouch(ctx, realm, id)
}

// No question waits for the database while the last look is young; and no more than one look in four seconds is made,
// whatever is asked.
func TestQuestionsAreAnsweredFromMemory(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.through(s.SignIn(s.anna, "192.0.2.90"))
		s.get(b, "https://wiki.example/")
		var reads, vouched atomic.Int64
		door := forwardauth.New(forwardauth.Options{
			Store: counting{sqlstore.For[forwardauth.Tx](s.Store), &reads}, Ring: testdb.Ring(), Logins: vouching{s.Login, &vouched}, Realms: s.Realms,
			Keys: s.Provider.Keys, Clock: s.Clock.Now, Epoch: s.Store.Epoch,
		})
		s.Rig.Handler = door.Handler(s.Rig.Handler)
		cookie := cookieOf(b, wiki)
		for range 100 {
			if res := s.ask("/forward-auth/check", about(wiki, "/"), cookie); res.StatusCode != http.StatusOK {
				t.Fatal(res.StatusCode)
			}
		}
		if reads.Load() != 1 || vouched.Load() != 1 {
			t.Errorf("%d reads, %d sessions looked up for 100 questions", reads.Load(), vouched.Load())
		}
		s.Clock.Advance(4 * time.Second)
		for range 100 {
			s.ask("/forward-auth/check", about(wiki, "/"), cookie)
		}
		if reads.Load() != 2 || vouched.Load() != 2 {
			t.Errorf("%d reads, %d sessions looked up after four seconds", reads.Load(), vouched.Load())
		}
	})
}

// What opens something is in no log: not the ticket, not the cookies, not where people are led back to.
func TestSEC_G3_TLNK_TicketsAndCookiesAreInNoLog(t *testing.T) {
	eachStreet(t, func(t *testing.T, s *street) {
		b := s.through(s.SignIn(s.anna, "192.0.2.91"))
		at := s.ticket(b, wiki)
		own := cookieOf(b, wiki)
		s.get(b, at)
		s.get(s.browse("192.0.2.92"), at) // misused, too
		_, ticket, _ := strings.Cut(at, "ticket=")
		for _, c := range strings.Split(own+"; "+cookieOf(b, wiki)+"; x="+ticket, "; ") {
			_, value, _ := strings.Cut(c, "=")
			if len(value) < 40 {
				t.Fatalf("%q is no secret: this proves nothing", c)
			}
			if strings.Contains(s.Log.String(), value) {
				t.Errorf("the log holds %.14s…", c)
			}
		}
		for _, e := range s.events("client.authorized") {
			for k, v := range e.Data {
				if strings.Contains(v, ticket) {
					t.Errorf("the trail holds it in %s", k)
				}
			}
		}
		s.get(b, "https://wiki.example/very/private?search=illness")
		if strings.Contains(s.Log.String(), "illness") {
			t.Error("the log holds what people do in the application")
		}
		if page := s.get(b, rig.Origin+"/forward-auth/again?host=wiki.example&to=/"); page.Status != http.StatusOK {
			t.Error(page.Status)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	s := &street{Rig: rig.New(b, testdb.SQLite(b), guarded)}
	s.anna = s.Join(s.Organization("Alder Works", false), "member", "Anna Alder", "anna@alder.example")
	c := s.through(s.SignIn(s.anna, "192.0.2.90"))
	if _, err := c.Get("https://wiki.example/"); err != nil {
		b.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, rig.Origin+"/forward-auth/check", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Cookie", cookieOf(c, wiki))
	req = forwardauth.Told(req, about(wiki, "/"))
	w := &discard{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		s.Handler.ServeHTTP(w, req)
	}
	if w.status != http.StatusOK {
		b.Fatal(w.status)
	}
}

type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
