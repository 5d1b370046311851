package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/rig"
	"doorward/internal/rig/walker"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
	"doorward/internal/token"
)

// held is what a client holds before something dies.
type held struct {
	browser                           *walker.Client
	code, first, access, refresh, own string
	id                                string
}

// deaths are everything that takes from a client what it was given, as it happens on one node. What a client holds of its
// own, of no person, dies with own alone.
var deaths = []struct {
	name string
	own  bool // the client's own token dies too
	kill func(t *testing.T, s *street, h held)
}{
	{"person disabled", false, func(t *testing.T, s *street, _ held) {
		s.Write(func(tx *sqlstore.Tx) error {
			p, err := tx.Person("shop", s.anna.Is.ID)
			p.State = directory.Disabled
			if err == nil {
				err = tx.UpdatePerson(p)
			}
			return err
		})
	}},
	{"organization disabled", false, func(t *testing.T, s *street, _ held) {
		s.Write(func(tx *sqlstore.Tx) error {
			o, err := tx.Organization("shop", s.anna.Is.Organization)
			o.State = directory.Disabled
			if err == nil {
				err = tx.UpdateOrganization(o)
			}
			return err
		})
	}},
	{"factor suspended", false, factorTo(authn.Suspended)},
	{"factor ended", false, factorTo(authn.Ended)},
	{"signed out", false, func(t *testing.T, s *street, h held) {
		get(t, h.browser, rig.Origin+"/oauth2/logout?id_token_hint="+url.QueryEscape(h.id))
	}},
	{"all sessions ended", false, func(t *testing.T, s *street, _ held) {
		s.Write(func(tx *sqlstore.Tx) error {
			_, err := tx.EndSessions("shop", s.anna.Is.ID, "", "test", s.Clock.Now())
			return err
		})
	}},
	{"given back", false, func(t *testing.T, s *street, h held) { s.give(h.refresh) }},
	{"access token given back", false, func(t *testing.T, s *street, h held) { s.give(h.access) }},
	{"code used again", false, func(t *testing.T, s *street, h held) { s.redeem(h.code) }},
	{"refresh token used again", false, func(t *testing.T, s *street, h held) { s.refresh(h.first) }},
	{"all of a client ended", false, func(t *testing.T, s *street, _ held) {
		s.Write(func(tx *sqlstore.Tx) error {
			_, err := tx.EndAuthorizations("shop", s.anna.Is.ID, "store", "test", s.Clock.Now())
			return err
		})
	}},
	{"client removed", true, func(t *testing.T, s *street, _ held) {
		s.Write(func(tx *sqlstore.Tx) error {
			r, err := tx.Realm("shop")
			r.Relying = r.Relying[1:]
			if err == nil {
				err = tx.PutRealm(r)
			}
			return err
		})
		if err := s.Realms.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
	}},
	{"client no client any more", true, func(t *testing.T, s *street, _ held) {
		s.Write(func(tx *sqlstore.Tx) error {
			r, err := tx.Realm("shop")
			r.Relying[0].Auth = ""
			if err == nil {
				err = tx.PutRealm(r)
			}
			return err
		})
		if err := s.Realms.Refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
	}},
}

func factorTo(state authn.CredentialState) func(*testing.T, *street, held) {
	return func(t *testing.T, s *street, _ held) {
		s.Write(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials("shop", s.anna.Is.ID)
			for _, c := range all {
				if c.State = state; c.Kind == authn.TOTP && err == nil {
					err = tx.UpdateCredential(c)
				}
			}
			return err
		})
	}
}

// give gives a token back.
func (s *street) give(tok string) {
	s.t.Helper()
	if status, got := s.post("/oauth2/revoke", url.Values{"token": {tok}}, basic("store", storeSecret)); status != http.StatusOK {
		s.t.Fatalf("revoke: %d %v", status, got)
	}
}

// itself is a token of the client's own.
func (s *street) itself() string {
	s.t.Helper()
	status, got := s.post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, basic("store", storeSecret))
	if status != http.StatusOK {
		s.t.Fatalf("client_credentials: %d %v", status, got)
	}
	return got["access_token"].(string)
}

// active asks as another client does.
func (s *street) active(tok string) bool {
	s.t.Helper()
	_, answer := s.post("/oauth2/introspect", url.Values{"token": {tok}, "client_id": {"complaints"}, "client_secret": {storeSecret}})
	return answer["active"] == true
}

// holds fills a client's hands.
func (s *street) holds() (h held) {
	s.t.Helper()
	h.browser = s.Browser("192.0.2.44")
	h.code = s.walks(h.browser, s.anna.Mind, request("store", callback), callback).Get("code")
	status, got := s.redeem(h.code)
	if status != http.StatusOK {
		s.t.Fatalf("%d %v", status, got)
	}
	h.first, h.id = got["refresh_token"].(string), got["id_token"].(string)
	if status, got = s.refresh(h.first); status != http.StatusOK {
		s.t.Fatalf("%d %v", status, got)
	}
	h.access, h.refresh, h.own = got["access_token"].(string), got["refresh_token"].(string), s.itself()
	s.Clock.Advance(11 * time.Second) // the first one's answer is not given again from now on
	return h
}

// primed makes a node remember everything that is asked for below.
func (s *street) primed(h held) {
	s.t.Helper()
	if status, got := s.userinfo(h.access); status != http.StatusOK || !s.active(h.access) || !s.active(h.own) {
		s.t.Fatalf("not alive to begin with: %d %v", status, got)
	}
}

// dead asks every question once.
func (s *street) dead(h held, own bool) {
	s.t.Helper()
	if s.active(h.access) {
		s.t.Error("introspection: the access token of what died is active")
	}
	if status, _ := s.userinfo(h.access); status != http.StatusUnauthorized {
		s.t.Errorf("userinfo answers for what died: %d", status)
	}
	if s.active(h.own) == own {
		s.t.Errorf("the client's own token is active: %v", !own)
	}
	if status, got := s.refresh(h.refresh); status == http.StatusOK {
		s.t.Errorf("refresh gives for what died: %v", got)
	}
}

// Whatever dies on one node is dead on every other as soon as it hears of the epoch, which is within a second: by NOTIFY,
// or by its reading of the epoch. Nothing that it remembered is believed from then on.
func TestSEC_O9_NothingDeadAnswersWithinFiveSecondsOnEveryNode(t *testing.T) {
	for _, d := range deaths {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			testdb.EachAddress(t, func(t *testing.T, dsn string) {
				here, there := twoNodes(t, dsn, nil)
				h := here.holds()
				heard := make(chan struct{}, 1)
				defer there.Store.Watch(func() {
					select {
					case heard <- struct{}{}:
					default:
					}
				})()
				there.heed(here.Store.Epoch(), heard)
				there.primed(h)
				d.kill(t, here, h)
				there.heed(here.Store.Epoch(), heard)
				here.dead(h, d.own)
				there.dead(h, d.own)
			})
		})
	}
}

// heed waits until a node has heard of an epoch and done what it does then.
func (s *street) heed(epoch int64, heard <-chan struct{}) {
	s.t.Helper()
	for s.Store.Epoch() < epoch {
		select {
		case <-heard:
		case <-s.t.Context().Done():
			s.t.Fatal("the other node never heard")
		}
	}
	if err := s.Realms.Refresh(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// A node that hears nothing at all lets nothing that died live for five seconds either.
func TestSEC_O9_NothingDeadAnswersWithinFiveSecondsOnADeafNode(t *testing.T) {
	for _, d := range deaths {
		if d.own {
			continue // a node that hears nothing and still reaches the database is told of realms by no other way
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			testdb.EachAddress(t, func(t *testing.T, dsn string) {
				here, there := twoNodes(t, dsn, func() int64 { return 1 })
				h := here.holds()
				there.primed(h)
				d.kill(t, here, h)
				if !there.active(h.access) {
					t.Fatal("the deaf node looked at the database: nothing is remembered, and this test proves nothing")
				}
				there.Clock.Advance(4 * time.Second)
				there.dead(h, d.own)
			})
		})
	}
}

// A client's own token has no row until it is given back; then it is dead everywhere, once and for all.
func TestSEC_O9_AClientsOwnTokenIsGivenBack(t *testing.T) {
	testdb.EachAddress(t, func(t *testing.T, dsn string) {
		here, there := twoNodes(t, dsn, nil)
		own, other := here.itself(), here.itself()
		heard := make(chan struct{}, 1)
		defer there.Store.Watch(func() {
			select {
			case heard <- struct{}{}:
			default:
			}
		})()
		if !there.active(own) || !there.active(other) {
			t.Fatal("not alive to begin with")
		}
		if status, _ := there.userinfo(own); status != http.StatusForbidden && status != http.StatusUnauthorized {
			t.Errorf("userinfo of nobody: %d", status)
		}
		for range 2 {
			here.give(own)
			there.heed(here.Store.Epoch(), heard)
			if here.active(own) || there.active(own) {
				t.Error("what was given back is active")
			}
		}
		if !there.active(other) {
			t.Error("another token of the client died with it")
		}
		there.post("/oauth2/revoke", url.Values{"token": {other}, "client_id": {"complaints"}, "client_secret": {storeSecret}})
		if !there.active(other) {
			t.Error("a stranger gave it back")
		}
		here.Read(func(tx *sqlstore.Tx) error {
			all, err := tx.Authorizations("shop", "")
			if len(all) != 0 {
				t.Errorf("live rows of clients' own tokens: %v", all)
			}
			return err
		})
		if n, last := here.events("client.ended"); n != 1 || last.Reason != "revoked" {
			t.Errorf("given back twice is told %d times: %+v", n, last)
		}
		here.Clock.Advance(token.AccessLife)
		if here.active(other) {
			t.Error("active after its end")
		}
	})
}

// twoNodes are two nodes of one house; epoch is what the second hears of the first.
func twoNodes(t *testing.T, dsn string, epoch func() int64) (here, there *street) {
	t.Helper()
	one, two := testdb.Open(t, dsn), testdb.Open(t, dsn)
	here = &street{Rig: rig.New(t, one, clients), t: t}
	here.anna = here.Join(here.Organization("Alder Works", false), directory.Member, "Anna Alder", "anna@alder.example")
	return here, &street{Rig: here.Beside(two, epoch), t: t, anna: here.anna}
}
