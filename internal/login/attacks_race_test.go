package login_test

import (
	"context"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
)

// Sign-ins with the old password meet the change of it: whatever order the database chooses, afterwards nothing stands on
// the old one, there is one password, and the authenticator that was being added meanwhile came from a complete login.
func TestSEC_TRACE2_SignInsMeetANewPassword(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		for range 2 {
			h.clock.advance(time.Hour)
			u.session = ""
			u.signIn()
			adding := *u
			sp := adding.chooses(adding.spare())
			must(t, h.login.Forgot(ctx, u.caller(), u.address))
			resetting := *u
			reset := resetting.proves(resetting.follow(login.Password, u.link(login.Password)), authn.TOTP, u.code())
			h.clock.advance(30 * time.Second)
			code, added := u.key.Code(h.clock.now()), adding.key.Code(h.clock.now())
			others := make([]*user, 6)
			flows := make([]login.View, len(others))
			for i := range others {
				o := *u
				o.browser, o.session = "", ""
				others[i] = &o
				flows[i] = o.proves(o.begin(), authn.Password, u.password)
			}
			fresh := "quite another long sentence " + newID()
			together(len(others)+2, func(i int) bool {
				switch i {
				case 0:
					v, err := resetting.prove(reset, authn.Password, fresh)
					return err == nil && v.Finished
				case 1:
					v, err := adding.prove(sp, authn.TOTP, added)
					return err == nil && v.Finished
				}
				v, err := others[i-2].prove(flows[i-2], authn.TOTP, code)
				return err == nil && v.Minted != nil
			})
			for _, o := range append(others, u, &adding, &resetting) {
				if o.session != "" && o.signedIn() {
					t.Error("a session stands on the old password")
				}
			}
			passwords := 0
			h.read(func(tx *sqlstore.Tx) error {
				all, err := tx.Credentials(h.realm.ID, u.id)
				for _, c := range all {
					if c.Kind == authn.Password {
						passwords++
					}
				}
				return err
			})
			if passwords != 1 {
				t.Fatalf("%d passwords", passwords)
			}
			u.password, u.device, u.browser = fresh, resetting.device, resetting.browser
		}
	})
}

// Disabling somebody meets their sign-ins: afterwards no session holds, not even once they are enabled again.
func TestSEC_TRACE2_SignInsMeetADisabling(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		for range 2 {
			h.clock.advance(time.Hour)
			users := make([]*user, 8)
			flows := make([]login.View, len(users))
			codes := make([]string, len(users))
			for i := range users {
				o := *u
				o.browser, o.session = "", ""
				users[i] = &o
				flows[i] = o.proves(o.begin(), authn.Password, u.password)
			}
			h.clock.advance(30 * time.Second)
			for i := range codes {
				codes[i] = u.key.Code(h.clock.now())
			}
			together(len(users)+1, func(i int) bool {
				if i < len(users) {
					v, err := users[i].prove(flows[i], authn.TOTP, codes[i])
					return err == nil && v.Minted != nil
				}
				for {
					err := h.store.Write(context.Background(), func(tx *sqlstore.Tx) error { // as admin.People.Disable does
						p, err := tx.Person(h.realm.ID, u.id)
						if err != nil {
							return err
						}
						p.State = directory.Disabled
						if err := tx.UpdatePerson(p); err != nil {
							return err
						}
						tx.Bump()
						if _, err := tx.VoidFlows(h.realm.ID, u.id, ""); err != nil {
							return err
						}
						_, err = tx.EndSessions(h.realm.ID, u.id, "", "disabled", h.clock.now())
						return err
					})
					if !fault.Of(err, fault.Conflict) {
						return err == nil
					}
				}
			})
			u.state(directory.Active)
			for i, o := range users {
				if o.session != "" && o.signedIn() {
					t.Error("a session outlived the disabling")
				}
				if _, err := h.login.Look(context.Background(), o.caller(), flows[i].Flow.ID); err == nil {
					t.Error("a flow outlived the disabling")
				}
			}
		}
	})
}

// One answer at once from many tabs: the terms are accepted once, one session is made.
func TestSEC_TRACE_OneAcceptance(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		h.realm.Terms.Version = "99"
		h.clock.advance(time.Minute)
		v := u.proves(u.proves(u.begin(), authn.Password, u.password), authn.TOTP, u.code())
		expect(t, v, authn.ActPerform, authn.Terms)
		c := u.caller()
		got := together(64, func(i int) bool {
			next, err := h.login.Perform(context.Background(), c, v.Flow.ID, login.Done{
				Duty: authn.Terms, Typed: u.address, Read: true, Version: "99", Language: "en",
			})
			if err != nil && fault.As(err) == nil {
				t.Error(err)
			}
			return err == nil && next.Minted != nil
		})
		if got != 1 {
			t.Errorf("%d sessions", got)
		}
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Acceptances(h.realm.ID, u.id)
			n := 0
			for _, a := range all {
				if a.Version == "99" {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d proofs of one acceptance", n)
			}
			return err
		})
	})
}

// S-3: idle and absolute ends to the millisecond, whatever is asked in between.
func TestSEC_S3_SessionsEndToTheMillisecond(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for name, role := range map[string]directory.Role{"Anna": directory.Member, "Clara": directory.Administrator} {
			u := h.person(name, role).setUp()
			idle := 30 * time.Minute
			if role == directory.Administrator {
				idle = 15 * time.Minute
			}
			h.clock.advance(idle - time.Millisecond)
			if !u.signedIn() {
				t.Errorf("%s: over before it was idle for %s", name, idle)
			}
			h.clock.advance(idle)
			if u.signedIn() {
				t.Errorf("%s: lives at %s", name, idle)
			}
			u.session = ""
			u.signIn()
			began := h.clock.now()
			for h.clock.now().Before(began.Add(12*time.Hour - time.Millisecond)) {
				h.clock.advance(min(10*time.Minute, began.Add(12*time.Hour-time.Millisecond).Sub(h.clock.now())))
				if !u.signedIn() {
					t.Fatalf("%s: over after %s", name, h.clock.now().Sub(began))
				}
			}
			h.clock.advance(time.Millisecond)
			if u.signedIn() {
				t.Errorf("%s: lives after 12 hours", name)
			}
		}
	})
}

// What was looked up before something ended is not kept for after it: many ask while the session is being ended.
func TestSEC_S4_NoAnswerFromBeforeTheEndIsKept(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		for range 3 {
			h.clock.advance(time.Minute)
			u.session = ""
			u.signIn()
			cookie := u.session
			together(33, func(i int) bool {
				if i == 0 {
					return h.login.SignOut(context.Background(), u.caller()) == nil
				}
				_, err := h.login.Authenticate(context.Background(), h.realm.ID, cookie)
				return err == nil
			})
			if _, err := h.login.Authenticate(context.Background(), h.realm.ID, cookie); !fault.Of(err, fault.Expired) {
				t.Errorf("an ended session answers %v", err)
			}
			if _, err := h.login.Authenticate(context.Background(), h.realm.ID, cookie+"x"); err == nil {
				t.Error("an extended cookie is taken")
			}
			if _, err := h.login.Authenticate(context.Background(), h.realm.ID, cookie[:len(cookie)-1]); err == nil {
				t.Error("a shortened cookie is taken")
			}
			if _, err := h.login.Authenticate(context.Background(), h.realm.ID, secret.Text(" ")+cookie); err == nil {
				t.Error("a padded cookie is taken")
			}
		}
	})
}
