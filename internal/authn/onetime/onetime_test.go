package onetime

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

var now = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func live() authn.OneTime {
	return authn.OneTime{
		ID: "o1", Realm: "shop", Person: "p1", Kind: authn.Invite, Purpose: "set-up",
		Created: now.Add(-time.Hour), Expires: now.Add(time.Hour),
	}
}

func stored(t testing.TB, o authn.OneTime) []authn.Credential {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return []authn.Credential{{ID: o.ID, Kind: o.Kind, Data: data}}
}

func TestREQ_B15_ALinkExplainsItself(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*authn.OneTime)
		code   string
	}{
		"live":                    {func(*authn.OneTime) {}, ""},
		"last moment":             {func(o *authn.OneTime) { o.Expires = now.Add(time.Millisecond) }, ""},
		"expired to the moment":   {func(o *authn.OneTime) { o.Expires = now }, "link-expired"},
		"expired":                 {func(o *authn.OneTime) { o.Expires = now.Add(-time.Second) }, "link-expired"},
		"never given an end":      {func(o *authn.OneTime) { o.Expires = time.Time{} }, "link-expired"},
		"used":                    {func(o *authn.OneTime) { o.Used = now }, "link-used"},
		"voided":                  {func(o *authn.OneTime) { o.Voided = now }, "link-voided"},
		"used, then voided":       {func(o *authn.OneTime) { o.Used, o.Voided = now, now }, "link-used"},
		"voided, then expired":    {func(o *authn.OneTime) { o.Voided, o.Expires = now, now }, "link-voided"},
		"another kind":            {func(o *authn.OneTime) { o.Kind = authn.Mail }, "link-unknown"},
		"another purpose":         {func(o *authn.OneTime) { o.Purpose = "password" }, "link-unknown"},
		"another realm":           {func(o *authn.OneTime) { o.Realm = "wealth" }, "link-unknown"},
		"another kind, and spent": {func(o *authn.OneTime) { o.Kind, o.Used = authn.Mail, now }, "link-unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			o := live()
			c.change(&o)
			shown, err := New(authn.Invite).Verify(context.Background(), authn.Flow{Realm: "shop", Now: now}, stored(t, o), authn.Answer{Model: "set-up"})
			if c.code == "" {
				if err != nil || shown.Credential.Person != "p1" || shown.Credential.ID != "o1" || shown.Credential.Kind != authn.Invite {
					t.Fatalf("got %+v, %v", shown.Credential, err)
				}
				return
			}
			if f := fault.As(err); f == nil || f.Code != c.code || !errors.Is(err, authn.ErrRejected) {
				t.Fatalf("got %v, want a rejection %q", err, c.code)
			}
			if shown.Credential.Person != "" {
				t.Fatal("a rejected link names its person")
			}
		})
	}
}

func TestSEC_A1_AnUnknownLinkIsRejectedAndDamageIsNot(t *testing.T) {
	m := New(authn.Mail)
	if _, err := m.Verify(context.Background(), authn.Flow{Now: now}, nil, authn.Answer{}); !errors.Is(err, authn.ErrRejected) || fault.As(err).Code != "link-unknown" {
		t.Fatalf("nothing stored: %v", err)
	}
	broken := []authn.Credential{{ID: "o1", Data: []byte("{")}}
	if _, err := m.Verify(context.Background(), authn.Flow{Now: now}, broken, authn.Answer{}); err == nil || errors.Is(err, authn.ErrRejected) {
		t.Fatalf("a damaged row is our failure, not the person's: %v", err)
	}
}

func TestREQ_B15_LinkAndTypedCodeAreOneSecret(t *testing.T) {
	m := New(authn.Invite)
	o, token := Make(authn.Invite, "set-up")
	if o.Kind != authn.Invite || o.Purpose != "set-up" || o.Hash != nil {
		t.Fatalf("made %+v", o)
	}
	if len(token) != 26 {
		t.Fatalf("a token of %d letters holds no 130 bits", len(token))
	}
	spelt := Spell(token)
	for _, text := range []string{
		token.Reveal(), spelt, strings.ToLower(spelt), strings.ReplaceAll(spelt, "-", " "), " " + spelt + "\n",
		strings.ReplaceAll(spelt, "0", "o"), strings.ReplaceAll(spelt, "1", "l"),
	} {
		purpose, plain, err := m.Identify(authn.Answer{Text: text, Model: "set-up"})
		if err != nil || purpose != "set-up" || !secret.Equal(plain, token.Reveal()) {
			t.Errorf("a spelling leads elsewhere: %q, %v", purpose, err)
		}
	}
	for _, text := range []string{"", "-", token.Reveal()[1:], token.Reveal() + "0", strings.Repeat("Ü", 26), strings.Repeat("0", 1<<20)} {
		if _, _, err := m.Identify(authn.Answer{Text: text}); !errors.Is(err, authn.ErrRejected) {
			t.Errorf("%.30q is taken for a token: %v", text, err)
		}
	}
	if got := Spell("no token"); got != "no token" {
		t.Errorf("Spell changed what it does not know: %q", got)
	}
}

func TestSEC_A1_NoTwoTokensAreEqual(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		_, token := Make(authn.Mail, "password")
		if seen[token.Reveal()] {
			t.Fatal("a token came twice")
		}
		seen[token.Reveal()] = true
	}
}

func FuzzIdentify(f *testing.F) {
	_, token := Make(authn.Invite, "set-up")
	f.Add(token.Reveal())
	f.Add(Spell(token))
	f.Add("https://shop.example/link/set-up/" + token.Reveal())
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, text string) {
		m := New(authn.Invite)
		_, plain, err := m.Identify(authn.Answer{Text: text})
		if err != nil {
			if !errors.Is(err, authn.ErrRejected) {
				t.Fatal(err)
			}
			return
		}
		if len(plain) != 26 || strings.IndexFunc(plain, func(r rune) bool { return r > unicode.MaxASCII || r == '-' }) >= 0 {
			t.Fatalf("%q is not canonical", plain)
		}
		if _, again, err := m.Identify(authn.Answer{Text: Spell(secret.Text(plain))}); err != nil || !secret.Equal(again, plain) {
			t.Fatalf("%q does not lead back to itself: %v", plain, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	data, _ := json.Marshal(live())
	f.Add(data)
	f.Add([]byte(`{"Kind":"invite","Expires":"9999-01-01T00:00:00Z"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		shown, err := New(authn.Invite).Verify(context.Background(), authn.Flow{Realm: "shop", Now: now},
			[]authn.Credential{{ID: "o1", Data: data}}, authn.Answer{Model: "set-up"})
		if err == nil && (shown.Credential.Realm != "shop" || shown.Credential.Kind != authn.Invite) {
			t.Fatalf("admitted %+v", shown.Credential)
		}
	})
}
