package totp

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"doorward/internal/authn"
	"doorward/internal/fault"
	"doorward/internal/secret"
)

func question(t testing.TB, k Key) authn.Question {
	t.Helper()
	q, err := New(Config{}).Offer(context.Background(), authn.Flow{Now: noon}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if k.Seed != nil {
		q.Data = []byte(`{"seed":"` + b64(k.Seed) + `"}`)
	}
	return q
}

func TestREQ_B34_TheKeyAsText(t *testing.T) {
	text, err := KeyText(question(t, Key{Seed: []byte("12345678901234567890")}))
	if err != nil || text.Reveal() != "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ" {
		t.Fatalf("%q, %v", text.Reveal(), err)
	}
	if text.String() == text.Reveal() {
		t.Error("the key prints")
	}
	if _, err := KeyText(authn.Question{}); !errors.Is(err, errOffer) {
		t.Errorf("no question: %v", err)
	}
	if _, err := URI(authn.Question{}, authn.Subject{}); !errors.Is(err, errOffer) {
		t.Errorf("no question: %v", err)
	}
}

func TestREQ_B34_TheAddressIsReadableByEveryApp(t *testing.T) {
	k := Key{Seed: []byte("12345678901234567890")}
	for _, c := range []struct {
		subject         authn.Subject
		issuer, account string
	}{
		{authn.Subject{Issuer: "Northline Supply", Address: "anna@kunde.example"}, "Northline Supply", "anna@kunde.example"},
		{authn.Subject{Issuer: "Müller & Söhne", Address: "j+shop@x.example"}, "Müller & Söhne", "j+shop@x.example"},
		{authn.Subject{Issuer: "Shop: North", Address: "a:b@x.example"}, "Shop North", "a b@x.example"},
		{authn.Subject{Issuer: "A/B?C#D=1&secret=AAAA", Address: "x@y.example/../z"}, "A/B?C#D=1&secret=AAAA", "x@y.example/../z"},
		{authn.Subject{Issuer: " ", Realm: "shop", Address: "x@y.example"}, "shop", "x@y.example"},
	} {
		uri, err := URI(question(t, k), c.subject)
		if err != nil {
			t.Fatal(err)
		}
		raw := uri.Reveal()
		if strings.Contains(raw, "+") {
			t.Errorf("%s: a plus sign is shown as it is by some apps", raw)
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/"+c.issuer+":"+c.account || strings.Count(u.Path, ":") != 1 || strings.Count(raw, ":") != 2 {
			t.Errorf("%s: label %q", raw, u.Path)
		}
		q := u.Query()
		for name, want := range map[string]string{
			"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "issuer": c.issuer, "algorithm": "SHA1", "digits": "6", "period": "30",
		} {
			if len(q[name]) != 1 || q.Get(name) != want {
				t.Errorf("%s: %s = %q, want %q", raw, name, q[name], want)
			}
		}
		if len(q) != 5 {
			t.Errorf("%s: %d parameters", raw, len(q))
		}
		back, issuer, account, err := ParseURI(uri)
		if err != nil || !bytes.Equal(back.Seed, k.Seed) || issuer != c.issuer || account != c.account {
			t.Errorf("%s: read back as %q, %q, %v", raw, issuer, account, err)
		}
	}
}

func TestParseURI(t *testing.T) {
	const seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for uri, want := range map[string]struct {
		part, issuer, account string
		digits                int
	}{
		"otpauth://totp/Shop:a@x.example?secret=" + seed:                                     {"", "Shop", "a@x.example", 6},
		"otpauth://totp/a@x.example?secret=" + seed + "&issuer=Shop":                         {"", "Shop", "a@x.example", 6},
		"otpauth://totp/Shop%3A%20a@x.example?secret=" + strings.ToLower(seed) + "&digits=8": {"", "Shop", "a@x.example", 8},
		"OTPAUTH://TOTP/x?secret=" + seed + "%3D%3D&algorithm=sha512&period=60":              {"", "", "x", 6},
		"otpauth://hotp/x?secret=" + seed + "&counter=1":                                     {part: "type"},
		"https://totp/x?secret=" + seed:                                                      {part: "scheme"},
		"otpauth://totp/x":                                                                   {part: "secret"},
		"otpauth://totp/x?secret=GEZDGNBV":                                                   {part: "secret"},
		"otpauth://totp/x?secret=0189":                                                       {part: "secret"},
		"otpauth://totp/x?secret=" + base32.StdEncoding.EncodeToString(make([]byte, 130)):    {part: "secret"},
		"otpauth://totp/x?secret=" + seed + "&algorithm=MD5":                                 {part: "algorithm"},
		"otpauth://totp/x?secret=" + seed + "&digits=7":                                      {part: "digits"},
		"otpauth://totp/x?secret=" + seed + "&digits=-6":                                     {part: "digits"},
		"otpauth://totp/x?secret=" + seed + "&digits=0":                                      {part: "digits"},
		"otpauth://totp/x?secret=" + seed + "&period=1":                                      {part: "period"},
		"otpauth://totp/x?secret=" + seed + "&period=99999999999999999999":                   {part: "period"},
		"otpauth://totp/x?secret=" + seed + "&issuer=%zz":                                    {part: "secret"},
		"otpauth://totp/" + strings.Repeat("x", 5000):                                        {part: "scheme"},
		"\x00": {part: "scheme"},
	} {
		k, issuer, account, err := ParseURI(secret.Text(uri))
		if want.part != "" {
			if f := fault.As(err); f == nil || f.Code != "totp-uri-invalid" || f.Args["part"] != want.part || k.Seed != nil {
				t.Errorf("%.80s: %v", uri, err)
			}
			continue
		}
		if err != nil || issuer != want.issuer || account != want.account || k.digits() != want.digits || len(k.Seed) != 20 {
			t.Errorf("%s: %q, %q, %d, %v", uri, issuer, account, k.digits(), err)
		}
	}
}

func FuzzURI(f *testing.F) {
	f.Add("Northline Supply", "anna@kunde.example")
	f.Add("a:b&secret=x#?/", ":::")
	f.Add("\xff\u202e", strings.Repeat("ü", 200))
	f.Fuzz(func(t *testing.T, issuer, account string) {
		k := Key{Seed: []byte("12345678901234567890")}
		uri, err := URI(question(t, k), authn.Subject{Issuer: issuer, Realm: "shop", Address: account})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(uri.Reveal())
		if err != nil || strings.Count(u.Path, ":") != 1 || strings.Count(uri.Reveal(), ":") != 2 || len(u.Query()) != 5 {
			t.Fatalf("%s: %v", uri.Reveal(), err)
		}
		back, gotIssuer, _, err := ParseURI(uri)
		if err != nil || !bytes.Equal(back.Seed, k.Seed) || gotIssuer == "" || utf8.RuneCountInString(u.Path) > 2*labelMax+2 {
			t.Fatalf("%s: %q, %v", uri.Reveal(), gotIssuer, err)
		}
	})
}

func FuzzParseURI(f *testing.F) {
	f.Add("otpauth://totp/Shop:a@x.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Shop&algorithm=SHA256&digits=8&period=60")
	f.Add("otpauth://totp/?secret=%20")
	f.Add("otpauth:totp")
	f.Fuzz(func(t *testing.T, uri string) {
		k, issuer, account, err := ParseURI(secret.Text(uri))
		if err != nil {
			if !fault.Of(err, fault.Invalid) || k.Seed != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := k.check(); err != nil {
			t.Fatalf("an impossible key: %v", err)
		}
		again, issuer2, account2, err := ParseURI(k.uri(issuer, account))
		if err != nil || !bytes.Equal(again.Seed, k.Seed) || again.digits() != k.digits() || again.period() != k.period() || issuer2 != issuer || account2 != account {
			t.Fatalf("%q, %q is read back as %q, %q: %v", issuer, account, issuer2, account2, err)
		}
	})
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
