package login_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/session"
	"doorward/internal/sqlstore"
)

func TestREQ_B22_InvitationToAccount(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member).setUp()
		if !u.signedIn() {
			t.Fatal("the session does not hold")
		}
		want := []string{"invitation.sent", "flow.started", "credential.enrolled", "credential.enrolled", "evidence.shown",
			"evidence.shown", "terms.accepted", "preferences.changed", "setup.completed", "signin.succeeded"}
		if got := u.events(); !slices.Equal(got, want) {
			t.Errorf("events are\n%v, want\n%v", got, want)
		}
		h.read(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(h.realm.ID, u.id)
			if p.State != directory.Active || !p.EverActive() {
				t.Errorf("person is %+v", p)
			}
			return err
		})
		u.h.clock.advance(time.Minute)
		u.signIn() // as every day
	})
}

func TestREQ_B15_ALinkIsSpentByTheLastStepOnly(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member)
		token := u.invite()
		for range 50 { // scanners look, over and over
			if _, err := h.login.Peek(ctx, login.Caller{Realm: h.realm.ID}, login.SetUp, token); err != nil {
				t.Fatal(err)
			}
		}
		bot := &user{h: h, network: "198.51.100.9"}
		bot.follow(login.SetUp, token) // and even post the form
		v := u.follow(login.SetUp, token)
		v = u.proves(v, authn.Password, u.password)
		if _, err := h.login.Look(ctx, bot.caller(), v.Flow.ID); err == nil {
			t.Error("the flow moved to the person's browser, but the bot's still opens it")
		}
		// Left, and continued on another device: nothing is lost, the password is not asked again.
		phone := &user{h: h, id: u.id, address: u.address, password: u.password, network: "203.0.113.5"}
		l, err := h.login.Peek(ctx, phone.caller(), login.SetUp, token)
		must(t, err)
		if !l.Resumes {
			t.Error("the page does not say that set-up goes on")
		}
		v = phone.follow(login.SetUp, token)
		expect(t, v, authn.ActBind, authn.TOTP)
		v = phone.chooses(v)
		v = phone.proves(v, authn.TOTP, phone.code())
		phone.firstSignIn(v)
		_, err = h.login.Follow(ctx, phone.caller(), login.SetUp, token)
		wantCode(t, err, "link-used")
	})
}

func TestSEC_A2_ANewerInvitationVoidsTheOlder(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		u := h.person("Anna", directory.Member)
		old := u.invite()
		v := u.proves(u.follow(login.SetUp, old), authn.Password, u.password)
		h.clock.advance(time.Second)
		fresh := u.invite()
		_, err := h.login.Follow(context.Background(), u.caller(), login.SetUp, old)
		wantCode(t, err, "link-voided")
		_, err = h.login.Look(context.Background(), u.caller(), v.Flow.ID)
		wantCode(t, err, "flow-over")
		u.follow(login.SetUp, fresh)
	})
}

func TestSEC_A2_ALinkEndsToTheMillisecond(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member)
		token := u.invite()
		life := time.Duration(h.realm.Invitation.Days) * 24 * time.Hour
		h.clock.advance(life - time.Millisecond)
		_, err := h.login.Peek(ctx, u.caller(), login.SetUp, token)
		must(t, err)
		h.clock.advance(time.Millisecond)
		_, err = h.login.Follow(ctx, u.caller(), login.SetUp, token)
		wantCode(t, err, "link-expired")
		must(t, h.login.Resend(ctx, u.caller(), token)) // the page offers a new one
		u.follow(login.SetUp, u.link(login.SetUp))
	})
}

func TestREQ_B73_ForgottenPasswordProvesTheSecondFactorToo(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		elsewhere := *u
		h.clock.advance(time.Hour)
		elsewhere.browser, elsewhere.device, elsewhere.session = "", "", ""
		elsewhere.signIn()
		must(t, h.login.Forgot(ctx, login.Caller{Realm: h.realm.ID, Network: "203.0.113.9"}, u.address))
		thief := &user{h: h, id: u.id, address: u.address, network: "203.0.113.9"}
		v := thief.follow(login.Password, u.link(login.Password))
		expect(t, v, authn.ActProve, authn.TOTP)
		if _, err := thief.prove(v, authn.Password, "something entirely new 77"); !fault.Of(err, fault.Conflict) {
			t.Fatalf("a mailbox alone set a password: %v", err)
		}
		v = u.follow(login.Password, u.link(login.Password))
		v = u.proves(v, authn.TOTP, u.code())
		expect(t, v, authn.ActBind, authn.Password)
		u.password = "quite another long sentence 42"
		v = u.proves(v, authn.Password, u.password)
		if !v.Finished || v.Minted != nil {
			t.Fatalf("want a finished flow without a session, got %+v", v)
		}
		if elsewhere.signedIn() || u.signedIn() {
			t.Error("a session outlived the old password")
		}
		u.session = ""
		u.signIn()
		found := false
		for _, m := range h.outbox() {
			found = found || m.Template == "password-changed" && m.To == u.address
		}
		if !found {
			t.Error("the owner was not told")
		}
	})
}

// A mailbox thief who waits until the owner has shown their second factor gains nothing by following the link again.
func TestSEC_TMBX_TakingAFlowOverTakesNoProofAlong(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Hour)
		must(t, h.login.Forgot(ctx, u.caller(), u.address))
		token := u.link(login.Password)
		v := u.proves(u.follow(login.Password, token), authn.TOTP, u.code())
		expect(t, v, authn.ActBind, authn.Password)
		thief := &user{h: h, id: u.id, address: u.address, network: "203.0.113.9"}
		v = thief.follow(login.Password, token)
		expect(t, v, authn.ActProve, authn.TOTP)
		if _, err := thief.prove(v, authn.Password, "umbrella stand in autumn 81"); err == nil {
			t.Fatal("a new password without the second factor")
		}
		// The same in a set-up: the owner has shown the password once more, the thief has to know it too.
		b := h.person("Bert", directory.Member)
		token = b.invite()
		v = b.proves(b.follow(login.SetUp, token), authn.Password, b.password)
		v = b.proves(b.chooses(v), authn.TOTP, b.code())
		b.proves(v, authn.Password, b.password)
		thief = &user{h: h, id: b.id, address: b.address, network: "203.0.113.9", key: b.key}
		expect(t, thief.follow(login.SetUp, token), authn.ActProve, authn.Password)
		// And where the policy does not ask to show again what was enrolled.
		h.laxer(t)
		c := h.person("Cleo", directory.Member)
		token = c.invite()
		c.proves(c.follow(login.SetUp, token), authn.Password, c.password)
		h.clock.advance(time.Second)
		thief = &user{h: h, id: c.id, address: c.address, network: "203.0.113.9"}
		v = thief.chooses(thief.follow(login.SetUp, token))
		v = thief.proves(v, authn.TOTP, thief.code())
		expect(t, v, authn.ActProve, authn.Password)
		// Undisturbed, such a policy lets the person through without asking twice.
		d := h.person("Dora", directory.Member)
		v = d.proves(d.follow(login.SetUp, d.invite()), authn.Password, d.password)
		v = d.proves(d.chooses(v), authn.TOTP, d.code())
		expect(t, v, authn.ActPerform, authn.Terms)
		v, err := d.perform(v, login.Done{Duty: authn.Terms, Typed: d.address, Read: true, Version: h.realm.Terms.Version, Language: "en"})
		must(t, err)
		v, err = d.perform(v, login.Done{Duty: authn.Preferences})
		must(t, err)
		if v.Minted == nil || !d.signedIn() {
			t.Fatalf("let in, and the session does not hold: %+v", v.Step)
		}
		if got := session.AMR(v.Minted.Session.Evidence); !slices.Contains(got, "mfa") {
			t.Errorf("amr is %v", got)
		}
		signed, err := h.login.Authenticate(ctx, h.realm.ID, d.session)
		must(t, err)
		if signed.Fresh(h.clock.now()) {
			t.Error("what was bound counts as a fresh sign-in")
		}
	})
}

func TestREQ_B26_WhoDeclinesIsNotLetIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		admin := h.person("Clara", directory.Administrator).setUp()
		u := h.person("Anna", directory.Member)
		link := u.invite()
		v := u.proves(u.follow(login.SetUp, link), authn.Password, u.password)
		v = u.proves(u.chooses(v), authn.TOTP, u.code())
		v = u.proves(v, authn.Password, u.password)
		v = u.proves(v, authn.TOTP, u.code())
		for _, d := range []login.Done{
			{Duty: authn.Terms, Typed: u.address, Read: false, Version: h.realm.Terms.Version},
			{Duty: authn.Terms, Typed: "somebody@else.example", Read: true, Version: h.realm.Terms.Version},
			{Duty: authn.Terms, Typed: u.address, Read: true, Version: "an older one"},
			{Duty: authn.Preferences},
		} {
			if next, err := u.perform(v, d); err == nil || next.Minted != nil {
				t.Errorf("%+v was taken", d)
			}
		}
		must(t, h.login.Decline(context.Background(), u.caller(), v.Flow.ID))
		if _, err := u.perform(v, login.Done{Duty: authn.Terms, Typed: u.address, Read: true, Version: h.realm.Terms.Version}); err == nil {
			t.Error("a declined flow went on")
		}
		told := false
		for _, m := range h.outbox() {
			told = told || m.Template == "terms-declined" && m.To == admin.address
		}
		if !told {
			t.Error("the administrator was not told")
		}
		// A change of mind: the ordinary sign-in asks again.
		v = u.proves(u.begin(), authn.Password, u.password)
		v = u.proves(v, authn.TOTP, u.code())
		expect(t, v, authn.ActPerform, authn.Terms)
		v, err := u.perform(v, login.Done{Duty: authn.Terms, Typed: u.address, Read: true, Version: h.realm.Terms.Version, Language: "en"})
		must(t, err)
		if v, err = u.perform(v, login.Done{Duty: authn.Preferences}); err != nil || v.Minted == nil {
			t.Fatalf("not let in: %v", err)
		}
		// The set-up was finished without its link, which nothing is left to do for.
		if _, err := h.login.Peek(context.Background(), u.caller(), login.SetUp, link); !fault.Of(err, fault.Expired) || fault.As(err).Code != "link-used" {
			t.Errorf("the invitation of somebody who is active: %v", err)
		}
		if _, err := h.login.Follow(context.Background(), u.caller(), login.SetUp, link); !fault.Of(err, fault.Expired) || fault.As(err).Code != "link-used" {
			t.Errorf("the invitation of somebody who is active was followed: %v", err)
		}
	})
}

func TestREQ_B63_ASpareAuthenticator(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		first := u.key
		goal := authn.Goal{Bind: authn.TOTP, Way: authn.ByEnrol}
		h.clock.advance(login.FreshLife + time.Second)
		v, err := h.login.Begin(ctx, u.caller(), login.Start{Goal: goal})
		must(t, err)
		expect(t, u.took(v), authn.ActProve, authn.Password) // the login is older than five minutes
		v = u.proves(v, authn.Password, u.password)
		v = u.proves(v, authn.TOTP, u.code())
		expect(t, v, authn.ActBind, authn.TOTP)
		v = u.proves(u.chooses(v), authn.TOTP, u.code())
		if !v.Finished {
			t.Fatalf("not finished: %s", describe(v))
		}
		if !u.signedIn() {
			t.Error("a spare ended the session")
		}
		second := u.key
		for _, key := range []struct {
			name string
			use  func()
		}{{"first", func() { u.key = first }}, {"second", func() { u.key = second }}} {
			h.clock.advance(time.Minute)
			key.use()
			u.session = ""
			u.signIn()
		}
	})
}
