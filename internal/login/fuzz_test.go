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
	"doorward/internal/testdb"
)

// FuzzProve hands anything in at the second step of somebody's sign-in, and as a link: no panic, no error of ours, and
// nobody is let in, since no input holds a code that was made.
func FuzzProve(f *testing.F) {
	for _, s := range hostile()[:10] {
		f.Add("totp", s, s, s, s, s)
		f.Add(s, s, "", "", "", "")
	}
	f.Add("password", "an early boat across the lake 4", "", "", "", "")
	f.Add("invite", "0000-0000-00000-0000-0000-00000", "set-up", "", "", "")
	store := testdb.SQLite(f)
	var h *house
	var u *user
	f.Fuzz(func(t *testing.T, kind, text, credential, name, model, network string) {
		if h == nil {
			h = newHouse(t, store)
			u = h.person("Anna", directory.Member).setUp()
		}
		h.t = t
		ctx := context.Background()
		h.clock.advance(time.Hour)
		s := &user{h: h, address: u.address, device: u.device, network: "203.0.113.7"}
		v := s.proves(s.begin(), authn.Password, u.password)
		c := s.caller()
		c.Network, c.Agent, c.Device, c.Session = network, name, secret.Text(credential), secret.Text(model)
		if u.key.Code(h.clock.now()) == text || u.key.Code(h.clock.now().Add(-30*time.Second)) == text {
			return // a right code by chance
		}
		next, err := h.login.Prove(ctx, c, v.Flow.ID, authn.Answer{
			Kind: authn.Kind(kind), Address: model, Text: text, Confirm: text, Credential: credential, Name: name, Model: model,
		})
		if err == nil || next.Minted != nil {
			t.Errorf("%q %q was taken: %s", kind, text, describe(next))
		}
		if fault.As(err) == nil {
			t.Errorf("an error of ours: %v", err)
		}
		for _, purpose := range []string{login.SetUp, login.Password, credential} {
			if _, err := h.login.Peek(ctx, c, purpose, text); fault.As(err) == nil {
				t.Errorf("Peek: %v", err)
			}
			if _, err := h.login.Follow(ctx, c, purpose, text); fault.As(err) == nil {
				t.Errorf("Follow: %v", err)
			}
		}
		if err := h.login.Forgot(ctx, c, model); err != nil && fault.As(err) == nil {
			t.Errorf("Forgot: %v", err)
		}
	})
}
