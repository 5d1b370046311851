package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/directory"
)

const (
	issuer   = "https://login.example.com"
	endpoint = "https://login.example.com/oauth2/token"
)

var now = time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)

// keyOf makes one key of each algorithm for all tests: RSA takes its time.
var keyOf = func() func(t testing.TB, alg string) Key {
	var mu sync.Mutex
	made := map[string]Key{}
	return func(t testing.TB, alg string) Key {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		k, ok := made[alg]
		if !ok {
			var err error
			if k, err = NewKey("shop", alg, now.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			k.Signs = now.Add(-time.Hour)
			made[alg] = k
		}
		return k
	}
}()

func keySet(t testing.TB, algs ...string) *KeySet {
	t.Helper()
	var rows []Key
	for _, alg := range algs {
		rows = append(rows, keyOf(t, alg))
	}
	s, err := NewKeySet(rows)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signer(t testing.TB, alg string) *SigningKey {
	t.Helper()
	k, err := keySet(t, alg).Signer(alg, now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func privateOf(t testing.TB, alg string) crypto.Signer {
	t.Helper()
	k, err := x509.ParsePKCS8PrivateKey(keyOf(t, alg).Private)
	if err != nil {
		t.Fatal(err)
	}
	return k.(crypto.Signer)
}

func encode(v any) string {
	switch v := v.(type) {
	case string:
		return base64.RawURLEncoding.EncodeToString([]byte(v))
	case []byte:
		return base64.RawURLEncoding.EncodeToString(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// forge signs any header and payload, strings as they are, with a key in the way that alg says.
func forge(t testing.TB, alg string, key any, header, payload any) string {
	t.Helper()
	input := encode(header) + "." + encode(payload)
	return input + "." + encode(rawSign(t, alg, key, input))
}

func rawSign(t testing.TB, alg string, key any, input string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch alg {
	case "HS256":
		h := hmac.New(sha256.New, key.([]byte))
		h.Write([]byte(input))
		return h.Sum(nil)
	case ES256:
		r, s, e := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
		if e != nil {
			t.Fatal(e)
		}
		sig = make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
	case EdDSA:
		sig = ed25519.Sign(key.(ed25519.PrivateKey), []byte(input))
	case PS256:
		sig, err = rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
	case RS256:
		sig, err = rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	default:
		t.Fatal("forge: " + alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

type m = map[string]any

// clone copies a map with changes; a nil value takes a member out.
func clone(of m, changes ...any) m {
	out := m{}
	for k, v := range of {
		out[k] = v
	}
	for i := 0; i < len(changes); i += 2 {
		if name := changes[i].(string); changes[i+1] == nil {
			delete(out, name)
		} else {
			out[name] = changes[i+1]
		}
	}
	return out
}

func publicJWK(t testing.TB, key crypto.PublicKey, kid, alg string) m {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: alg})
	if err != nil {
		t.Fatal(err)
	}
	var out m
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// clientKeys is a set with one key of each algorithm, kid = "c-" + alg.
func clientKeys(t testing.TB, algs ...string) *ClientKeys {
	t.Helper()
	set := m{"keys": []any{}}
	for _, alg := range algs {
		set["keys"] = append(set["keys"].([]any), publicJWK(t, privateOf(t, alg).Public(), "c-"+alg, alg))
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseClientKeys(b)
	if err != nil || k.Len() != len(algs) {
		t.Fatalf("client keys: %v, %d of %d", err, k.Len(), len(algs))
	}
	return k
}

func freshEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func refused(t testing.TB, name string, err error, code string) {
	t.Helper()
	e := AsOAuth(err)
	if e == nil {
		t.Errorf("%s: got %v, want %s", name, err, code)
		return
	}
	if e.Code != code {
		t.Errorf("%s: got %v, want %s", name, err, code)
	}
	for i := range len(e.Description) { // RFC 6749 5.2
		if c := e.Description[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			t.Errorf("%s: description has %q", name, c)
		}
	}
	if e.Description == "" {
		t.Errorf("%s: no description", name)
	}
}

func shop() directory.RelyingParty {
	return directory.RelyingParty{
		ID: "shop", Name: "Shop", Home: "https://shop.example.com/", Auth: directory.AuthSecretBasic,
		RedirectURIs: []string{"https://shop.example.com/cb"},
		Grants:       []string{directory.GrantCode, directory.GrantRefresh},
		Scopes:       []string{ScopeProfile, ScopeEmail, ScopeOrganization, ScopeOffline, "orders:read"},
		Resources:    []string{"https://api.example.com/orders", "urn:example:stock"},
	}
}

func goodParams() Params {
	return Params{
		"client_id": "shop", "redirect_uri": "https://shop.example.com/cb", "response_type": "code", "scope": "openid profile",
		"code_challenge": Challenge(strings.Repeat("v", 43)), "code_challenge_method": "S256", "state": "s1", "nonce": "n1",
	}
}

func with(p Params, pairs ...string) Params {
	out := Params{}
	for k, v := range p {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(out, pairs[i])
		} else {
			out[pairs[i]] = pairs[i+1]
		}
	}
	return out
}
