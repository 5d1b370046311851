package login_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/secret"
	"doorward/internal/sqlstore"
)

// state changes a person's state behind the use cases' back.
func (u *user) state(to directory.PersonState) {
	u.h.write(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(u.h.realm.ID, u.id)
		if err != nil {
			return err
		}
		p.State = to
		tx.Bump()
		return tx.UpdatePerson(p)
	})
}

// A whole conversation with a stranger reads the same whoever the address belongs to: answers, steps, times to wait,
// events, mails. Seven guesses end a flow at the fifth; five more trip the limiter; then a new password is asked for
// until that is refused, too.
func TestSEC_TENUM_AConversationTellsNothing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		known := h.person("Anna", directory.Member).setUp()
		invited := h.person("Ida", directory.Member)
		invited.invite()
		halfway := h.person("Hal", directory.Member)
		halfway.proves(halfway.follow(login.SetUp, halfway.invite()), authn.Password, halfway.password)
		disabled := h.person("Dora", directory.Member).setUp()
		disabled.state(directory.Disabled)
		h.clock.advance(2 * time.Hour)
		tell := func(address string) string {
			var b strings.Builder
			s := h.stranger(address, "203.0.113."+fmt.Sprint(len(address)))
			runs, mails, events := h.pw.Runs(), len(h.outbox()), h.noted()
			say := func(v login.View, err error) {
				u := v.Person
				fmt.Fprintf(&b, "%v|%v|%d|%s|%+v|%s|", v.Step, v.Ways, v.Wait, u.ID+u.Name+u.Address, v.Question, v.Flow.State)
				if f := fault.As(err); f != nil {
					fmt.Fprintf(&b, "%d %s %s %v %s", f.Kind, f.Code, f.Field, f.Args, f.RetryAfter)
				} else {
					fmt.Fprint(&b, err)
				}
				fmt.Fprintln(&b)
			}
			for range 3 {
				v, err := h.login.Begin(ctx, s.caller(), login.Start{Address: address})
				say(v, err)
				s.took(v)
				say(h.login.Look(ctx, s.caller(), v.Flow.ID))
				say(h.login.Choose(ctx, s.caller(), v.Flow.ID, h.realm.Apps[0].ID))
				say(s.prove(v, authn.TOTP, "123456"))
				say(h.login.Perform(ctx, s.caller(), v.Flow.ID, login.Done{Duty: authn.Terms}))
				for i := range 6 {
					h.clock.advance(time.Second)
					say(s.prove(v, authn.Password, strings.Repeat("wrong, but long enough ", 1+i%2)))
				}
			}
			for range 5 {
				fmt.Fprintln(&b, h.login.Forgot(ctx, s.caller(), address))
			}
			fmt.Fprintln(&b, h.pw.Runs()-runs, len(h.outbox())-mails, h.noted()-events)
			return b.String()
		}
		want := tell("nobody@sampleworks.example")
		if !strings.Contains(want, "too-many-attempts") || !strings.Contains(want, "too-many-wrong") {
			t.Fatalf("the conversation proves nothing:\n%s", want)
		}
		for name, u := range map[string]*user{"known": known, "invited": invited, "halfway": halfway, "disabled": disabled} {
			if got := tell(u.address); got != want {
				t.Errorf("%s: the conversation differs:\n%s", name, firstDifference(got, want))
			}
		}
	})
}

// noted counts the events of the realm, without those about what ended with an older invitation: a half-finished set-up
// costs a row more, and nobody outside sees rows.
func (h *house) noted() (n int) {
	for _, e := range h.trail() {
		if e != "credential.ended" {
			n++
		}
	}
	return n
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			return fmt.Sprintf("line %d:\n%s\nwant\n%s", i, g[i], w[min(i, len(w)-1)])
		}
	}
	return "shorter"
}

// hostile are things that strangers put into fields.
func hostile() []string {
	return []string{
		"", "\x00", "a\x00b", "\xff\xfe", "\xed\xa0\x80", "\u202e\u2066", strings.Repeat("a", 1<<20), strings.Repeat("\U0001F600", 5000),
		"' OR 1=1 --", "{\"a\":1}", "../../etc/passwd", "%00", "\r\nBcc: x@y.example", "\ufeff", "０１２３４５", "-1", "NaN", "<script>",
	}
}

// Whatever is written into whichever field, the answer is a fault that can be shown, never an internal error, on both
// databases: PostgreSQL refuses NUL and broken UTF-8 where SQLite does not.
func TestSEC_V1_HostileTextIsNeverOurError(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member)
		fresh := u.follow(login.SetUp, u.invite())
		fresh = u.chooses(u.proves(fresh, authn.Password, u.password))
		for _, text := range hostile() {
			h.clock.advance(time.Hour)
			c := login.Caller{
				Realm: h.realm.ID, Browser: secret.Text(text), Device: secret.Text(text), Session: secret.Text(text), Network: text, Agent: text, Language: text,
			}
			ok := func(what string, err error) {
				t.Helper()
				if err != nil && fault.As(err) == nil {
					t.Errorf("%s with %.20q: %v", what, text, err)
				}
			}
			v, err := h.login.Begin(ctx, c, login.Start{Address: "nobody@sampleworks.example", Return: text})
			ok("Begin", err)
			if v.Browser != "" {
				c.Browser = v.Browser
			}
			_, err = h.login.Begin(ctx, c, login.Start{Address: text})
			ok("Begin with the address", err)
			_, err = h.login.Begin(ctx, c, login.Start{Goal: authn.Goal{Bind: authn.Kind(text), Way: authn.Way(text), Replaces: text}})
			ok("Begin with the goal", err)
			a := authn.Answer{Kind: authn.Password, Address: text, Text: text, Confirm: text, Credential: text, Name: text, Model: text}
			_, err = h.login.Prove(ctx, c, v.Flow.ID, a)
			ok("Prove", err)
			_, err = h.login.Prove(ctx, c, text, a)
			ok("Prove with the flow", err)
			a.Kind = authn.Kind(text)
			_, err = h.login.Prove(ctx, c, v.Flow.ID, a)
			ok("Prove with the kind", err)
			_, err = h.login.Choose(ctx, c, v.Flow.ID, text)
			ok("Choose", err)
			_, err = h.login.Perform(ctx, c, v.Flow.ID, login.Done{Duty: authn.Duty(text), Typed: text, Version: text, Language: text, Topics: map[string]bool{text: true}})
			ok("Perform", err)
			_, err = h.login.Look(ctx, c, text)
			ok("Look", err)
			for _, purpose := range []string{login.SetUp, login.Password, text} {
				_, err = h.login.Peek(ctx, c, purpose, text)
				ok("Peek", err)
				_, err = h.login.Follow(ctx, c, purpose, text)
				ok("Follow", err)
			}
			ok("Forgot", h.login.Forgot(ctx, c, text))
			ok("Forgot", h.login.Forgot(ctx, c, "nobody@sampleworks.example"))
			ok("Resend", h.login.Resend(ctx, c, text))
			ok("Decline", h.login.Decline(ctx, c, v.Flow.ID))
			ok("Abandon", h.login.Abandon(ctx, c, v.Flow.ID))
			ok("SignOut", h.login.SignOut(ctx, c))
			_, err = h.login.Authenticate(ctx, h.realm.ID, secret.Text(text))
			ok("Authenticate", err)
			_, err = h.login.Authenticate(ctx, text, secret.Text(text))
			ok("Authenticate in the realm", err)
			c.Realm = text
			_, err = h.login.Begin(ctx, c, login.Start{Address: "nobody@sampleworks.example"})
			ok("Begin in the realm", err)
			_, err = h.login.Follow(ctx, c, login.SetUp, text)
			ok("Follow in the realm", err)
		}
		// The same from somebody who is in the middle of a set-up, with a name and an agent of their choice.
		for _, text := range hostile() {
			h.clock.advance(5 * time.Minute)
			c := u.caller()
			c.Agent, c.Language, c.Network = text, text, text
			_, err := h.login.Prove(ctx, c, fresh.Flow.ID, authn.Answer{Kind: authn.TOTP, Text: text, Name: text, Model: text})
			if err != nil && fault.As(err) == nil {
				t.Errorf("enrolling with %.20q: %v", text, err)
			}
		}
		v, err := h.login.Choose(ctx, u.caller(), fresh.Flow.ID, h.realm.Apps[1].ID)
		must(t, err)
		u.connects(v)
		c := u.caller()
		c.Agent = "a\x00\xffb"
		v, err = h.login.Prove(ctx, c, v.Flow.ID, authn.Answer{Kind: authn.TOTP, Text: u.code(), Name: "my\x00 \xff\u202ephone" + strings.Repeat("x", 1000), Model: strings.Repeat("x", 1<<20)})
		must(t, err)
		v = u.proves(u.proves(v, authn.Password, u.password), authn.TOTP, u.code())
		_, err = h.login.Perform(ctx, c, v.Flow.ID, login.Done{Duty: authn.Terms, Typed: " " + u.address + "\t", Read: true, Version: h.realm.Terms.Version, Language: "\x00\xff"})
		must(t, err)
		h.read(func(tx *sqlstore.Tx) error {
			all, err := tx.Credentials(h.realm.ID, u.id)
			for _, c := range all {
				if len(c.Model) > 60 || len([]rune(c.Name)) > 60 || strings.ContainsAny(c.Name, "\x00\u202e") {
					t.Errorf("kept as %.80q, %.80q", c.Name, c.Model)
				}
			}
			return err
		})
	})
}

// Ids of another realm are ids of nothing.
func TestSEC_Z3_IdsOfAnotherRealmAreUnknown(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := context.Background()
		u := h.person("Anna", directory.Member).setUp()
		h.clock.advance(time.Minute)
		v := u.begin()
		signed, err := h.login.Authenticate(ctx, h.realm.ID, u.session) // now it is kept in memory
		must(t, err)
		c := u.caller()
		for _, realm := range []string{"wealth", "", "shop ", "SHOP", "%", "shop\x00"} {
			c.Realm = realm
			if _, err := h.login.Authenticate(ctx, realm, u.session); !fault.Of(err, fault.Expired) {
				t.Errorf("%q: the session answers %v", realm, err)
			}
			if _, err := h.login.Look(ctx, c, v.Flow.ID); err == nil {
				t.Errorf("%q sees the flow", realm)
			}
			if _, err := h.login.Prove(ctx, c, v.Flow.ID, authn.Answer{Kind: authn.Password, Text: u.password}); err == nil {
				t.Errorf("%q goes on with the flow", realm)
			}
			must(t, h.login.SignOut(ctx, c))
		}
		if !u.signedIn() || signed.Person.ID != u.id {
			t.Error("another realm signed the person out")
		}
	})
}
