package token

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"doorward/internal/directory"
)

// Fuzz targets of everything that strangers send. Beyond not to panic, each holds an invariant.

func FuzzOpen(f *testing.F) {
	good, err := signer(f, ES256).SignAccessToken(sampleAccess())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, s := range spellings(good) {
		f.Add(s)
	}
	f.Add(proofExample)
	set := keySet(f, ES256)
	f.Fuzz(func(t *testing.T, raw string) {
		if e, err := open(raw); err == nil && len(raw) > MaxSize || err == nil && e.input+"."+encode(e.signature) != raw {
			t.Fatalf("a token has two spellings: %q", raw)
		}
		if _, err := set.VerifyAccessToken(raw, issuer, now); err == nil && raw != good {
			t.Fatalf("forged: %q", raw)
		}
	})
}

func FuzzStrict(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `{"a":{"b":[1,{"c":null}]}}`, `{"a":1,"\u0061":2}`, `[]`, `{"a":"\ud800"}`, ` { "a" : 1 , "b" : [ ] } `, `{"a":-1e5,"b":true}`, `{"a":"\"}"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := strict(b)
		if (err == nil) && !json.Valid(b) {
			t.Fatalf("not JSON: %q", b)
		}
		if err != nil {
			return
		}
		// The decoder of the standard library is asked for the members one by one: none comes twice.
		d := json.NewDecoder(bytes.NewReader(b))
		if !membersOnce(t, d) {
			t.Fatalf("a member twice: %q", b)
		}
		var v map[string]any
		if err := decode(b, &v); err != nil && !strings.Contains(err.Error(), "number") {
			t.Fatalf("strict, and not decoded: %q %v", b, err)
		}
	})
}

// membersOnce walks a value by tokens and reports whether each object has each member once.
func membersOnce(t *testing.T, d *json.Decoder) bool {
	tok, err := d.Token()
	if err != nil {
		return true
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return true
	}
	seen := map[string]bool{}
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return true
			}
			if seen[name.(string)] {
				return false
			}
			seen[name.(string)] = true
		}
		if !membersOnce(t, d) {
			return false
		}
	}
	_, err = d.Token()
	return err == nil
}

func FuzzReadParams(f *testing.F) {
	for _, s := range []string{"", "a=1&b=2", "a=1&a=2", "a=%zz", "resource=a&resource=b", "a=%00", ";", "a=1;b=2", "&&&", "%61=1&a=2"} {
		f.Add(s)
	}
	rp := shop()
	rp.RedirectURIs = registered
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := ReadParams(raw)
		if err != nil {
			if AsOAuth(err) == nil || AsOAuth(err).ToClient {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		for name, v := range p {
			if v == "" || name == "" || !text(v) {
				t.Fatalf("%q: %q=%q", raw, name, v)
			}
		}
		a, err := CheckRequest(with(p, "client_id", "shop"), rp, Channel{Pushed: true})
		if a.Redirect != "" && !MatchRedirect(rp, a.Redirect) || err != nil && AsOAuth(err).ToClient != (a.Redirect != "") {
			t.Fatalf("%q: to %q, %v", raw, a.Redirect, err)
		}
		if err == nil && !validChallenge(a.Challenge) {
			t.Fatalf("%q: no PKCE", raw)
		}
	})
}

func FuzzMatchRedirect(f *testing.F) {
	for _, s := range append(corpus(f), registered...) {
		f.Add(s)
	}
	rp := directory.RelyingParty{ID: "x", RedirectURIs: registered}
	f.Fuzz(func(t *testing.T, uri string) {
		if !MatchRedirect(rp, uri) {
			return
		}
		for _, r := range registered {
			if r == uri {
				return
			}
		}
		rest, ok := loopback(uri)
		if !ok || !strings.HasPrefix(uri, "http://127.0.0.1") && !strings.HasPrefix(uri, "http://[::1]") || len(uri) > len(rest)+6 {
			t.Fatalf("matched: %q", uri)
		}
	})
}

func FuzzClientKeys(f *testing.F) {
	f.Add([]byte(jsonOf(f, m{"keys": []any{publicJWK(f, privateOf(f, ES256).Public(), "e", ""), publicJWK(f, privateOf(f, EdDSA).Public(), "o", "")}})))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseClientKeys(b)
		if err != nil {
			return
		}
		for _, key := range k.keys {
			if !fitsAny(key.key) || key.alg != "" && !fits(key.key, key.alg) {
				t.Fatalf("%q: a key that fits nothing", b)
			}
		}
	})
}

func FuzzVerifyProof(f *testing.F) {
	f.Add(proofExample)
	f.Add(resourceExample)
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := VerifyProof(raw, ProofRules{Method: "POST", URL: "https://server.example.com/token", Now: now.AddDate(-7, 0, 0)})
		if err == nil && (len(p.JKT) != 43 || p.Once.Key == "") || err != nil && AsOAuth(err) == nil {
			t.Fatalf("%q: %+v %v", raw, p, err)
		}
	})
}

func FuzzAssertionAndRequestObject(f *testing.F) {
	f.Add(forge(f, ES256, privateOf(f, ES256), m{"alg": ES256}, assertionClaims()))
	f.Add(forge(f, ES256, privateOf(f, ES256), m{"alg": ES256}, m{"iss": "shop", "aud": issuer, "client_id": "shop", "max_age": 1, "claims": m{}}))
	f.Fuzz(func(t *testing.T, raw string) {
		if c, err := AssertionClient(raw); err == nil && (c == "" || len(c) > 256) || err != nil && AsOAuth(err) == nil {
			t.Fatalf("%q: %q %v", raw, c, err)
		}
		// The payload is read as if a registered key had signed it.
		p := Params{}
		if e, err := open(raw); err == nil {
			var members map[string]json.RawMessage
			if decode(e.payload, &members) == nil {
				for name, v := range members {
					_ = p.claim(name, v, map[string]bool{})
				}
			}
		}
		for name, v := range p {
			if !text(v) || v == "" {
				t.Fatalf("%q: %q=%q", raw, name, v)
			}
		}
	})
}

func FuzzParseClaims(f *testing.F) {
	for _, s := range []string{`{}`, `{"userinfo":{"name":null}}`, `{"id_token":{"acr":{"essential":true,"values":["a"]}}}`, `{"id_token":{"sub":{"value":1}}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseClaims(s)
		if err != nil {
			return
		}
		for _, w := range []map[string]ClaimWish{c.Userinfo, c.IDToken} {
			if len(w) > len(Claims) {
				t.Fatalf("%q: %v", s, w)
			}
		}
	})
}

func FuzzNormalized(f *testing.F) {
	for _, s := range append(corpus(f), "https://h.example/a/../b", "https://h.example/%61%2f", "http://[::1]:80/") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, ok := normalized(s)
		if !ok {
			return
		}
		if twice, ok := normalized(once); !ok || twice != once {
			t.Fatalf("%q became %q and then %q %v", s, once, twice, ok)
		}
	})
}

func FuzzParseScope(f *testing.F) {
	f.Add("openid profile")
	f.Fuzz(func(t *testing.T, s string) {
		out, err := ParseScope(s)
		if err != nil {
			return
		}
		if again, err := ParseScope(strings.Join(out, " ")); err != nil || len(again) != len(out) {
			t.Fatalf("%q: %q %v", s, out, err)
		}
	})
}
