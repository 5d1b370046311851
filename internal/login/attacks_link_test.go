package login_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/login"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

// invitedBy makes an invitation in an administrator's name.
func (u *user) invitedBy(by *user) string {
	u.h.t.Helper()
	u.h.write(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(u.h.realm.ID, u.id)
		if err != nil {
			return err
		}
		return login.Invite(tx, testdb.Ring(), u.h.realm.Realm, p, login.Invitation{
			Now: u.h.clock.now(), Actor: by.id, Inviter: by.id, Name: by.address, Return: "people",
		})
	})
	return u.link(login.SetUp)
}

func (h *house) told(template, to string) (n int) {
	for _, m := range h.outbox() {
		if m.Template == template && m.To == to {
			n++
		}
	}
	return n
}

// The promise's small print: before somebody was ever active their mailbox is them, but who invited learns when and
// where the set-up was finished. A thief with the mailbox must not get round that, neither by asking for the invitation
// again nor by finishing through the ordinary sign-in.
func TestSEC_TMBX_WhoInvitedLearnsHoweverTheSetUpEnds(t *testing.T) {
	ends := map[string]func(u *user, token string){
		"by a forgotten password": func(u *user, _ string) {
			must(u.h.t, u.h.login.Forgot(context.Background(), u.caller(), u.address))
			u.walk(u.follow(login.SetUp, u.link(login.SetUp)))
		},
		"by asking again": func(u *user, token string) {
			must(u.h.t, u.h.login.Resend(context.Background(), u.caller(), token))
			u.walk(u.follow(login.SetUp, u.link(login.SetUp)))
		},
		"by the ordinary sign-in": func(u *user, token string) {
			v := u.proves(u.follow(login.SetUp, token), authn.Password, u.password)
			u.proves(u.chooses(v), authn.TOTP, u.code())
			u.browser = ""
			u.firstSignIn(u.begin())
			if _, err := u.h.login.Follow(context.Background(), u.caller(), login.SetUp, token); err == nil {
				u.h.t.Error("the invitation still opens after the set-up was finished")
			}
		},
	}
	each(t, func(t *testing.T, h *house) {
		i := 0
		for name, end := range ends {
			i++
			admin := h.person("Clara"+string(rune('0'+i)), directory.Administrator)
			u := h.person("Person"+string(rune('0'+i)), directory.Member)
			end(u, u.invitedBy(admin))
			if !u.signedIn() {
				t.Fatalf("%s: not signed in", name)
			}
			if n := h.told("setup-complete", admin.address); n != 1 {
				t.Errorf("%s: the one who invited got %d mails, want 1", name, n)
			}
		}
	})
}

// walk sets up from the first step on.
func (u *user) walk(v login.View) {
	u.h.t.Helper()
	expect(u.h.t, v, authn.ActBind, authn.Password)
	v = u.proves(v, authn.Password, u.password)
	u.firstSignIn(u.proves(u.chooses(v), authn.TOTP, u.code()))
}

// A link that reached the wrong hands is replaced by a new invitation. What was set up by the old one is void with it:
// else the thief signs in with the password and the phone of their choice, and the person is asked for a password they
// never set.
func TestSEC_A2_ANewInvitationEndsWhatTheOlderSetUp(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member)
		thief := *u
		thief.network, thief.password = "203.0.113.9", "the thief's own long sentence 9"
		v := thief.proves(thief.follow(login.SetUp, u.invite()), authn.Password, thief.password)
		v = thief.proves(thief.chooses(v), authn.TOTP, thief.code())
		thief.proves(thief.proves(v, authn.Password, thief.password), authn.TOTP, thief.code())
		h.clock.advance(time.Hour)
		token := u.invite()
		if v, err := thief.prove(thief.begin(), authn.Password, thief.password); err == nil {
			t.Errorf("the thief's password is taken; the next step is %s", describe(v))
		}
		u.walk(u.follow(login.SetUp, token))
	})
}

// Who knows an address can ask for its invitation again; somebody in the middle of their set-up must not be thrown out
// by that.
func TestSEC_TLOCK_AStrangerCannotInterruptASetUp(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member)
		old := u.invite()
		h.clock.advance(time.Hour)
		v := u.proves(u.follow(login.SetUp, u.invite()), authn.Password, u.password)
		stranger := login.Caller{Realm: h.realm.ID, Network: "203.0.113.9"}
		must(t, h.login.Forgot(ctx, stranger, u.address))
		must(t, h.login.Resend(ctx, stranger, old)) // a link that was replaced
		u.proves(u.chooses(v), authn.TOTP, u.code())
		// Left for an hour, it is the owner who asks.
		h.clock.advance(time.Hour)
		must(t, h.login.Forgot(ctx, u.caller(), u.address))
		u.walk(u.follow(login.SetUp, u.link(login.SetUp)))
	})
}

// On PostgreSQL two requests for one person meet in the middle of their transactions. Whoever asks must not learn from
// the loser's error that there is a person.
func TestSEC_TENUM_ManyRequestsAtOnceTellNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		invited := h.person("Ida", directory.Member)
		token := invited.invite()
		active := h.person("Anna", directory.Member).setUp()
		for name, ask := range map[string]func(c login.Caller) error{
			"invited": func(c login.Caller) error { return h.login.Forgot(ctx, c, invited.address) },
			"active":  func(c login.Caller) error { return h.login.Forgot(ctx, c, active.address) },
			"nobody":  func(c login.Caller) error { return h.login.Forgot(ctx, c, "nobody@sampleworks.example") },
			"resend":  func(c login.Caller) error { return h.login.Resend(ctx, c, token) },
		} {
			if n := together(64, func(i int) bool {
				return ask(login.Caller{Realm: h.realm.ID, Network: newID()}) == nil
			}); n != 64 {
				t.Errorf("%s: %d of 64 got an error", name, 64-n)
			}
		}
	})
}

// An invitation that is replaced while its link is followed leaves no open flow behind.
func TestSEC_TRACE_AFollowedLinkIsReplacedWholly(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		for range 12 {
			u := h.person("P"+newID()[24:], directory.Member)
			token := u.invite()
			flows := make([]login.View, 8)
			callers := make([]*user, 8)
			together(8, func(i int) bool {
				c := *u
				c.network = newID()
				callers[i] = &c
				if i == 0 {
					u.tryInvite()
					return true
				}
				v, err := h.login.Follow(ctx, c.caller(), login.SetUp, token)
				if err == nil {
					flows[i] = c.took(v)
				}
				return err == nil
			})
			for i, v := range flows {
				if v.Flow.ID == "" {
					continue
				}
				if _, err := h.login.Look(ctx, callers[i].caller(), v.Flow.ID); err == nil {
					t.Fatal("a flow of the replaced invitation is open")
				}
			}
		}
	})
}

func (u *user) tryInvite() {
	for {
		err := u.h.store.Write(context.Background(), func(tx *sqlstore.Tx) error {
			p, err := tx.Person(u.h.realm.ID, u.id)
			return errors.Join(err, login.Invite(tx, testdb.Ring(), u.h.realm.Realm, p, login.Invitation{Now: u.h.clock.now(), Actor: "cli"}))
		})
		if err == nil {
			return
		}
	}
}

// What is made for nobody opens nothing: the secret of a decoy, wherever it leaked from, is an unknown link.
func TestSEC_TENUM_ADecoysLinkOpensNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := &user{h: h, network: "203.0.113.9"} // the decoy's mail is addressed to nobody
		must(t, h.login.Forgot(ctx, u.caller(), "nobody@sampleworks.example"))
		token := u.link(login.Password)
		for _, purpose := range []string{login.Password, login.SetUp, "", "session"} {
			_, err := h.login.Peek(ctx, u.caller(), purpose, token)
			wantCode(t, err, "link-unknown")
			_, err = h.login.Follow(ctx, u.caller(), purpose, token)
			wantCode(t, err, "link-unknown")
		}
		must(t, h.login.Resend(ctx, u.caller(), token))
		other := u.caller()
		other.Realm = "elsewhere"
		if _, err := h.login.Peek(ctx, other, login.Password, token); err == nil {
			t.Error("a link opens in another realm")
		}
	})
}

// A link of one purpose, realm or state never opens as another (SEC O-15), whatever is done with it.
func TestSEC_O15_LinksNeverStandInForEachOther(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member)
		set := u.invite()
		_, err := h.login.Follow(ctx, u.caller(), login.Password, set)
		wantCode(t, err, "link-unknown")
		u.walk(u.follow(login.SetUp, set))
		h.clock.advance(time.Minute)
		must(t, h.login.Forgot(ctx, u.caller(), u.address))
		older := u.link(login.Password)
		_, err = h.login.Follow(ctx, u.caller(), login.SetUp, older)
		wantCode(t, err, "link-unknown")
		v := u.proves(u.follow(login.Password, older), authn.TOTP, u.code())
		must(t, h.login.Forgot(ctx, u.caller(), u.address))
		if next, err := u.prove(v, authn.Password, "another long sentence 4711 here"); err == nil || next.Finished {
			t.Error("a flow went on to its end behind a link that was replaced")
		}
		h.clock.advance(time.Second)
		newer := u.link(login.Password)
		v = u.proves(u.follow(login.Password, newer), authn.TOTP, u.code())
		u.proves(v, authn.Password, "another long sentence 4711 here")
		for _, token := range []string{older, newer, set} {
			if _, err := h.login.Follow(ctx, u.caller(), login.Password, token); err == nil {
				t.Error("a link opened again")
			}
			must(t, h.login.Resend(ctx, u.caller(), token))
		}
		if n := h.told("invitation", u.address); n != 1 {
			t.Errorf("%d invitations, want the first one only", n)
		}
	})
}
