package login_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/authn/totp"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// late is a transaction that finds a request changed where it looks for the second time: between two statements of READ
// COMMITTED somebody else may have committed.
type late struct {
	login.Tx
	change func(*helpdesk.Request)
}

func (tx late) HelpRequest(realm, id string) (helpdesk.Request, error) {
	r, err := tx.Tx.HelpRequest(realm, id)
	tx.change(&r)
	return r, err
}

type lateStore struct {
	login.Store
	change func(*helpdesk.Request)
}

func (s *lateStore) Write(ctx context.Context, fn func(login.Tx) error) error {
	return s.Store.Write(ctx, func(tx login.Tx) error { return fn(late{tx, s.change}) })
}

// What a grant opens is looked at once more where it is used: one that is over by then, was stopped, or has lost who approved it,
// binds nothing, in that very transaction.
func TestSEC_H2_TRACE_AGrantThatChangedUnderItsUseBindsNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		r := newRegrant(h)
		store := &lateStore{Store: sqlstore.For[login.Tx](h.store)}
		service, err := login.New(login.Config{
			Store: store, Ring: testdb.Ring(), Realms: h.realms, Clock: h.clock.now, Epoch: h.store.Epoch,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Methods: []authn.Method{totp.New(totp.Config{})},
		})
		must(t, err)
		now := h.clock.now()
		for i, c := range []struct {
			name   string
			change func(*helpdesk.Request)
		}{
			{"stopped", func(q *helpdesk.Request) { q.State = helpdesk.Cancelled }},
			{"without who approved it", func(q *helpdesk.Request) { q.Approvals = nil; q.Opener = "" }},
			{"not yet", func(q *helpdesk.Request) { q.From = now.Add(time.Second) }},
			{"over", func(q *helpdesk.Request) { q.Until = now }},
			{"of somebody else", func(q *helpdesk.Request) { q.Person = newID() }},
		} {
			store.change = c.change
			_, err := service.Prove(ctx, r.u.caller(), r.flows[i], authn.Answer{Kind: authn.TOTP, Text: r.code, Name: "New phone"})
			if code := word(err); code != "stale" {
				t.Errorf("%s: %v", c.name, err)
			}
			if all := r.active(); len(all) != 1 || all[0].ID != r.held || r.now().State != helpdesk.Approved {
				t.Fatalf("%s: %d authenticators, the request is %s", c.name, len(all), r.now().State)
			}
		}
		store.change = func(*helpdesk.Request) {}
		if _, err := service.Prove(ctx, r.u.caller(), r.flows[0], authn.Answer{Kind: authn.TOTP, Text: r.code, Name: "New phone"}); err != nil || r.now().State != helpdesk.Done {
			t.Errorf("as it is: %v, the request is %s", err, r.now().State)
		}
	})
}

// The link of a grant is sent again where the mailbox is what is asked for, and nowhere else: not to a flow that came by the
// link, nor to one in which nothing was shown yet, and not for a request that is only open.
func TestSEC_A2_H2_TheLinkOfAGrantIsSentAgainOnlyWhereItIsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		r := newRegrant(h)
		links := func() int { return r.count("request.link-sent") }
		before := links()
		if err := h.login.Remind(ctx, r.u.caller(), r.flows[0]); word(err) != "not-expected" || links() != before {
			t.Errorf("a flow that came by the link: %v, %d more", err, links()-before)
		}
		u := *r.u
		u.browser, u.session, u.device = "", "", ""
		h.clock.advance(time.Minute)
		v := u.begin()
		if err := h.login.Remind(ctx, u.caller(), v.Flow.ID); word(err) != "not-expected" || links() != before {
			t.Errorf("nothing shown: %v, %d more", err, links()-before)
		}
		v = u.proves(v, authn.Password, u.password)
		for i := range 5 { // three a day; what is too much says nothing
			if err := h.login.Remind(ctx, u.caller(), v.Flow.ID); err != nil || links() != before+min(i+1, 3) {
				t.Errorf("%d: %v, %d more", i, err, links()-before)
			}
		}
	})
}
