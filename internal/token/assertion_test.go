package token

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorward/internal/fault"
)

func assertionClaims() m {
	return m{"iss": "shop", "sub": "shop", "aud": issuer, "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "jti": "j1"}
}

func rules(t testing.TB, fapi bool) AssertionRules {
	t.Helper()
	return AssertionRules{Client: "shop", Issuer: issuer, TokenEndpoint: endpoint, FAPI: fapi, Keys: clientKeys(t, Algs...), Now: now}
}

// TestSEC_O7_Assertion is the matrix of RFC 7523 3 and of the FAPI 2.0 suite's modules on client assertions.
func TestSEC_O7_Assertion(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	good := assertionClaims()
	for _, c := range []struct {
		name        string
		claims      m
		plain, fapi bool
	}{
		{"as it should be", good, true, true},
		{"aud token endpoint", clone(good, "aud", endpoint), true, false},
		{"aud PAR endpoint", clone(good, "aud", issuer+"/oauth2/par"), false, false},
		{"aud array of the issuer", clone(good, "aud", []string{issuer}), false, false},
		{"aud array with another", clone(good, "aud", []string{issuer, "https://other.example"}), false, false},
		{"aud array of the token endpoint", clone(good, "aud", []string{endpoint}), false, false},
		{"aud with slash", clone(good, "aud", issuer+"/"), false, false},
		{"aud in capitals", clone(good, "aud", strings.ToUpper(issuer)), false, false},
		{"aud of another realm", clone(good, "aud", "https://login.other.example"), false, false},
		{"aud empty", clone(good, "aud", ""), false, false},
		{"aud missing", clone(good, "aud", nil), false, false},
		{"aud number", clone(good, "aud", 1), false, false},
		{"aud null", func() m { c := clone(good); c["aud"] = json.RawMessage("null"); return c }(), false, false},
		{"iss another", clone(good, "iss", "other"), false, false},
		{"iss missing", clone(good, "iss", nil), false, false},
		{"sub another", clone(good, "sub", "other"), false, false},
		{"sub missing", clone(good, "sub", nil), false, false},
		{"iss issuer", clone(good, "iss", issuer), false, false},
		{"iss in another case", clone(good, "iss", "Shop", "sub", "Shop"), false, false},
		{"exp missing", clone(good, "exp", nil), false, false},
		{"exp past", clone(good, "exp", at(-Skew)), false, false},
		{"exp past, within skew", clone(good, "exp", at(-Skew+time.Second)), true, true},
		{"exp in five minutes", clone(good, "exp", at(AssertionLife)), true, true},
		{"exp in an hour", clone(good, "exp", at(time.Hour)), false, false},
		{"exp in six minutes", clone(good, "exp", at(6*time.Minute)), false, false},
		{"exp string", clone(good, "exp", fmt.Sprint(at(time.Minute))), false, false},
		{"exp huge", clone(good, "exp", 1e300), false, false},
		{"exp negative", clone(good, "exp", -1), false, false},
		{"exp null", func() m { c := clone(good); c["exp"] = json.RawMessage("null"); return c }(), false, false},
		{"exp with a fraction", clone(good, "exp", float64(at(time.Minute))+.5), true, true},
		{"iat ahead by ten seconds", clone(good, "iat", at(10*time.Second)), true, true},
		{"iat ahead by a minute", clone(good, "iat", at(time.Minute+time.Second)), false, false},
		{"iat missing", clone(good, "iat", nil), true, true},
		{"nbf ahead by ten seconds", clone(good, "nbf", at(10*time.Second)), true, true},
		{"nbf ahead by a minute", clone(good, "nbf", at(time.Minute+time.Second)), false, false},
		{"jti missing", clone(good, "jti", nil), false, false},
		{"jti empty", clone(good, "jti", ""), false, false},
		{"jti number", clone(good, "jti", 7), false, false},
		{"jti huge", clone(good, "jti", strings.Repeat("j", 513)), false, false},
	} {
		for _, alg := range []string{ES256, EdDSA} {
			raw := forge(t, alg, privateOf(t, alg), m{"alg": alg, "kid": "c-" + alg}, c.claims)
			for fapi, want := range map[bool]bool{false: c.plain, true: c.fapi} {
				once, err := VerifyAssertion(raw, rules(t, fapi))
				if (err == nil) != want {
					t.Errorf("%s, %s, fapi %v: %v", c.name, alg, fapi, err)
				}
				if err != nil {
					refused(t, c.name, err, CodeInvalidClient)
				} else if !strings.HasPrefix(once.Key, "client-assertion:") || !once.Expires.After(now) || len(once.Key) > 80 {
					t.Errorf("%s: once %+v", c.name, once)
				}
			}
		}
	}
}

func TestSEC_O7_AssertionAlgorithms(t *testing.T) {
	for alg, fapi := range map[string]bool{PS256: true, ES256: true, EdDSA: true, RS256: false} {
		raw := forge(t, alg, privateOf(t, alg), m{"alg": alg, "kid": "c-" + alg}, assertionClaims())
		if _, err := VerifyAssertion(raw, rules(t, false)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := VerifyAssertion(raw, rules(t, true)); (err == nil) != fapi {
			t.Errorf("%s under FAPI 2.0: %v", alg, err)
		}
	}
	// One RSA key without alg serves both; under FAPI 2.0 it still cannot be used for RS256.
	set := jsonOf(t, m{"keys": []any{publicJWK(t, privateOf(t, PS256).Public(), "r", "")}})
	keys, err := ParseClientKeys([]byte(set))
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{PS256, RS256} {
		r := rules(t, false)
		r.Keys = keys
		raw := forge(t, alg, privateOf(t, PS256), m{"alg": alg, "kid": "r"}, assertionClaims())
		if _, err := VerifyAssertion(raw, r); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		r.FAPI = true
		if _, err := VerifyAssertion(raw, r); (err == nil) != (alg == PS256) {
			t.Errorf("%s under FAPI 2.0: %v", alg, err)
		}
	}
}

// TestSEC_O7_AssertionIsSpentOncePerClient: the single use is the same for the same jti and another for everybody else.
func TestSEC_O7_AssertionIsSpentOncePerClient(t *testing.T) {
	key := func(iss, client, jti string) string { return once("k", now, iss, client, jti).Key }
	same := key(issuer, "shop", "j")
	for _, other := range []string{key(issuer, "shop", "J"), key(issuer, "sho", "pj"), key(issuer, "shopj", ""), key(issuer, "other", "j"), key(issuer+"x", "shop", "j"), once("d", now, issuer, "shop", "j").Key} {
		if other == same {
			t.Error("two single uses have one key")
		}
	}
	raw := forge(t, ES256, privateOf(t, ES256), m{"alg": ES256}, assertionClaims())
	one, err := VerifyAssertion(raw, rules(t, true))
	if err != nil {
		t.Fatal(err)
	}
	again := forge(t, ES256, privateOf(t, ES256), m{"alg": ES256, "typ": "JWT"}, assertionClaims()) // signed anew, same jti
	two, err := VerifyAssertion(again, rules(t, true))
	if err != nil || one != two {
		t.Errorf("%v %v %v", one, two, err)
	}
}

func TestAssertionClientBelievesNothing(t *testing.T) {
	raw := forge(t, ES256, freshEC(t), m{"alg": ES256}, assertionClaims())
	if c, err := AssertionClient(raw); err != nil || c != "shop" {
		t.Errorf("%q %v", c, err)
	}
	_, err := VerifyAssertion(raw, rules(t, false))
	refused(t, "a stranger's key", err, CodeInvalidClient)
	for name, raw := range map[string]string{
		"empty": "", "no token": "x", "no sub": forge(t, ES256, freshEC(t), m{"alg": ES256}, m{"iss": "shop"}), "twice": forge(t, ES256, freshEC(t), m{"alg": ES256}, `{"sub":"a","sub":"b"}`),
		"long": forge(t, ES256, freshEC(t), m{"alg": ES256}, m{"sub": strings.Repeat("x", 300)}),
	} {
		_, err := AssertionClient(raw)
		refused(t, name, err, CodeInvalidClient)
	}
	r := rules(t, false)
	r.Client = ""
	_, err = VerifyAssertion(forge(t, ES256, privateOf(t, ES256), m{"alg": ES256}, clone(assertionClaims(), "iss", "", "sub", "")), r)
	refused(t, "nobody", err, CodeInvalidClient)
	r = rules(t, false)
	r.Keys = nil
	_, err = VerifyAssertion(raw, r)
	refused(t, "a client without keys", err, CodeInvalidClient)
}

func TestSEC_J1_ClientKeys(t *testing.T) {
	ec, rs, ed := publicJWK(t, privateOf(t, ES256).Public(), "e", ""), publicJWK(t, privateOf(t, PS256).Public(), "r", ""), publicJWK(t, privateOf(t, EdDSA).Public(), "o", "")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	weak := ""
	if err == nil {
		weak = base64.RawURLEncoding.EncodeToString(small.N.Bytes())
	} else { // Go refuses to make such keys
		weak = base64.RawURLEncoding.EncodeToString(append([]byte{0x80}, append(make([]byte, 126), 1)...))
	}
	modulus := func(bits int, last byte) string {
		b := make([]byte, bits/8)
		b[0], b[len(b)-1] = 0x80, last
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for _, c := range []struct {
		name string
		set  any
		n    int
		bad  string
	}{
		{"three kinds", m{"keys": []any{ec, rs, ed}}, 3, ""},
		{"none", m{"keys": []any{}}, 0, ""},
		{"for encryption", m{"keys": []any{clone(ec, "use", "enc"), rs}}, 1, ""},
		{"of another kind", m{"keys": []any{m{"kty": "AKP", "pub": "AA"}, m{"kty": "OKP", "crv": "X25519", "x": ed["x"]}, m{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}, ec}}, 1, ""},
		{"an algorithm we do not use", m{"keys": []any{clone(rs, "alg", "RS512"), clone(ec, "alg", "ES384"), clone(rs, "alg", "HS256"), ec}}, 1, ""},
		{"an algorithm of another kind", m{"keys": []any{clone(ec, "alg", PS256), clone(rs, "alg", ES256), clone(ed, "alg", ES256)}}, 0, ""},
		{"weak RSA", m{"keys": []any{clone(rs, "n", weak)}}, 0, ""},
		{"huge RSA", m{"keys": []any{clone(rs, "n", modulus(8192, 1))}}, 0, ""},
		{"a modulus of our making", m{"keys": []any{clone(rs, "n", modulus(2048, 1))}}, 1, ""},
		{"exponent 1", m{"keys": []any{clone(rs, "e", "AQ")}}, 0, ""},
		{"exponent 3", m{"keys": []any{clone(rs, "e", "Aw")}}, 0, ""},
		{"even exponent", m{"keys": []any{clone(rs, "e", "AQAC")}}, 0, ""},
		{"even modulus", m{"keys": []any{clone(rs, "n", modulus(2048, 2))}}, 0, ""},
		{"point not on the curve", m{"keys": []any{clone(ec, "x", ec["y"])}}, 0, ""},
		{"point at infinity", m{"keys": []any{clone(ec, "x", encode(make([]byte, 32)), "y", encode(make([]byte, 32)))}}, 0, ""},
		{"short Ed25519", m{"keys": []any{clone(ed, "x", "AAAA")}}, 0, ""},
		{"private EC", m{"keys": []any{ec, clone(ec, "d", "AAAA")}}, 0, "client-keys-private"},
		{"private RSA", m{"keys": []any{clone(rs, "p", "AAAA")}}, 0, "client-keys-private"},
		{"symmetric", m{"keys": []any{ec, m{"kty": "oct", "k": "AAAA"}}}, 0, "client-keys-private"},
		{"twice", `{"keys":[],"keys":[]}`, 0, "client-keys-form"},
		{"a member twice", `{"keys":[{"kty":"EC","kty":"RSA"}]}`, 0, "client-keys-form"},
		{"no keys", m{}, 0, "client-keys-form"},
		{"one key alone", ec, 0, "client-keys-form"},
		{"no JSON", "x", 0, "client-keys-form"},
		{"empty", "", 0, "client-keys-form"},
		{"too many", m{"keys": func() (a []any) {
			for range maxKeys + 1 {
				a = append(a, ec)
			}
			return a
		}()}, 0, "client-keys-size"},
		{"too large", m{"keys": []any{}, "x": strings.Repeat("x", maxKeySet)}, 0, "client-keys-size"},
	} {
		text, ok := c.set.(string)
		if !ok {
			text = jsonOf(t, c.set)
		}
		k, err := ParseClientKeys([]byte(text))
		if c.bad == "" && (err != nil || k.Len() != c.n) || c.bad != "" && (fault.As(err) == nil || fault.As(err).Code != c.bad) {
			t.Errorf("%s: %d keys, %v", c.name, k.Len(), err)
		}
	}
}

// TestSEC_J1_KidAndTries: without kid every fitting key is tried, up to a bound; with kid the named ones alone.
func TestSEC_J1_KidAndTries(t *testing.T) {
	set := m{"keys": []any{}}
	for i := range maxTries {
		set["keys"] = append(set["keys"].([]any), publicJWK(t, freshEC(t).Public(), fmt.Sprint(i), ""))
	}
	own := privateOf(t, ES256)
	last := publicJWK(t, own.Public(), "mine", "")
	check := func(set m, header m, want bool) {
		t.Helper()
		keys, err := ParseClientKeys([]byte(jsonOf(t, set)))
		if err != nil {
			t.Fatal(err)
		}
		r := rules(t, true)
		r.Keys = keys
		if _, err := VerifyAssertion(forge(t, ES256, own, header, assertionClaims()), r); (err == nil) != want {
			t.Errorf("%v: %v", header, err)
		}
	}
	keys := set["keys"].([]any)
	check(m{"keys": append(keys[:maxTries-1:maxTries-1], last)}, m{"alg": ES256}, true)
	check(m{"keys": append(keys[:maxTries:maxTries], last)}, m{"alg": ES256}, false)
	check(m{"keys": append(keys[:maxTries:maxTries], last)}, m{"alg": ES256, "kid": "mine"}, true)
	check(m{"keys": append(keys[:maxTries:maxTries], last)}, m{"alg": ES256, "kid": "0"}, false)
	check(m{"keys": append(keys[:maxTries:maxTries], last)}, m{"alg": ES256, "kid": "Mine"}, false)
}
