package apply_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"doorward/internal/apply"
	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/token"
	"doorward/realms"
)

// withParty is the shop with one more relying party.
func withParty(lines string) []byte {
	return []byte(string(realms.Shop) + "\n[[relying_party]]\nid = \"party\"\nname = \"Party\"\nhome = \"https://party.example/\"\n" + lines)
}

func set(t *testing.T, key any) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "1", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What other rooms read of a relying party is read when the file is, and blamed on its line.
func TestREQ_B28_PoliciesAndKeysOfRelyingParties(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const cb = "redirect_uris = [\"https://party.example/cb\"]\n"
	keys := func(set string) string { return "auth = \"private_key_jwt\"\n" + cb + "jwks = '''\n" + set + "\n'''\n" }
	for _, c := range []struct{ lines, at, want string }{
		{"policy = '''\nlogin password + totp\nthen terms\n'''\n", "", ""},
		{"policy = 'login passkey'\n", "", ""},
		{keys(set(t, key.Public())), "", ""},
		{"policy = '''\nlogin password + totp\nenrol mail -> totp\n'''\n", "enrol mail", "only the realm's own policy"},
		{"policy = '''\nlogin password + pigeon\n'''\n", "login password + pigeon", "pigeon"},
		{"policy = '''\nlogin cert\n'''\n", "login cert", "that nobody in this realm can have"},
		{"acr = [\"urn:doorward:acr:3fa\"]\nauth = \"none\"\n" + cb + "policy = '''\nlogin passkey\n'''\n", "login passkey", ""},
		{keys(`{"keys":[]}`), `{"keys":[]}`, "no key in it can be used"},
		{keys(set(t, weak.Public())), `{"keys":[{`, "no key in it can be used"},
		{keys(set(t, key)), `{"keys":[{`, "holds a private or symmetric key"},
		{keys(`{"keys":[{"kty":"oct","k":"AAAA"}]}`), `{"keys":[{`, "holds a private or symmetric key"},
		{keys(`[1]`), `[1]`, "not a JWK set"},
		{keys(`{"keys":[],"keys":[]}`), `{"keys":[]`, "not a JWK set"},
	} {
		text := withParty(c.lines)
		_, _, _, err := apply.ReadRealm("x", text)
		if c.at == "" {
			if err != nil {
				t.Errorf("%s: %v", c.lines, err)
			}
			continue
		}
		line := 0
		for i, l := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(l, c.at) {
				line = i + 1
			}
		}
		if err == nil || !strings.HasPrefix(err.Error(), "x:"+strconv.Itoa(line)+": relying_party.") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want line %d: %s", c.lines, err, line, c.want)
		}
	}
}

// acr that no combination of the realm reaches would shut everybody out.
func TestREQ_B28_AcrThatNobodyReachesIsRefused(t *testing.T) {
	const client = "auth = \"none\"\nredirect_uris = [\"https://party.example/cb\"]\n"
	if _, _, _, err := apply.ReadRealm("x", withParty(client+"acr = [\"urn:doorward:acr:mfa\"]\n")); err != nil {
		t.Error(err)
	}
	_, _, _, err := apply.ReadRealm("x", withParty(client+"acr = [\"phrh\"]\npolicy = 'login password + totp'\n"))
	if err != nil {
		t.Errorf("passkey + password + totp reaches phrh: %v", err)
	}
	text := strings.NewReplacer(" | passkey", "", "passkey else ", "", ", passkey", "").Replace(string(withParty(client + "acr = [\"phrh\"]\n")))
	_, _, _, err = apply.ReadRealm("x", []byte(text))
	if err == nil || !strings.Contains(err.Error(), "no way in reaches what acr asks for: phrh") {
		t.Errorf("got %v", err)
	}
}

// The directory and the token room each know what a redirect address, a class and a scope may be: what the one lets into
// a file the other must take, or a client is registered that never works.
func TestSEC_O2_WhatIsRegisteredIsTakenLater(t *testing.T) {
	bases := []string{
		"https://app.example", "https://app.example:8443", "http://127.0.0.1", "http://127.0.0.1:7", "http://[::1]:7", "http://localhost", "https://xn--bcher-kva.example",
		"com.example.app:", "https://192.0.2.1", "https://[2001:db8::1]", "https://a_b.example", "https://app.example.", "https://0x7f.1", "https://-a.example", "https://a..example",
	}
	tails := []string{
		"", "/", "/cb", "/cb?x=1", "/a/../b", "/a/..;x/b", "/%2e%2e/b", "/%2F", "/%5c", "/%00", "/@b", "/a%40b", "/cb?x=1;y=2", "/a;v=1", "/a%3b", "/ä", "/a b", "/*", "?x", "//b", "/a//b",
		"/cb?next=https://evil.example/", "/cb?a@b", "/.", "/..", "/.a", "/%252e", "/a|b",
	}
	accepted := 0
	for _, auth := range []string{"none", "client_secret_basic"} {
		for _, b := range bases {
			for _, tail := range tails {
				uri := b + tail
				lines := "auth = \"" + auth + "\"\nredirect_uris = ['" + uri + "']\n"
				if auth != "none" {
					lines += "secret_sha256 = \"" + strings.Repeat("0", 64) + "\"\n"
				}
				if _, err := directory.ParseRealm("x", withParty(lines)); err != nil {
					continue
				}
				accepted++
				if !token.ValidRedirect(uri, false) {
					t.Errorf("%s may be registered and is never taken", uri)
				}
			}
		}
	}
	if accepted < 40 {
		t.Errorf("only %d addresses were accepted: this proves nothing", accepted)
	}
	for _, acr := range []string{authn.ACRMultiFactor, authn.ACRThreeFactor, authn.ACRPhishingResistant, authn.ACRHardware} {
		if _, err := directory.ParseRealm("x", withParty("auth = \"none\"\nredirect_uris = [\"https://a.example/\"]\nacr = [\""+acr+"\"]\n")); err != nil {
			t.Error(err)
		}
	}
	for _, scope := range token.Scopes {
		lines := "auth = \"none\"\nredirect_uris = [\"https://a.example/\"]\ngrants = [\"authorization_code\", \"refresh_token\"]\nscopes = [\"" + scope + "\"]\n"
		if _, err := directory.ParseRealm("x", withParty(lines)); err != nil {
			t.Error(err)
		}
	}
	for _, alg := range token.Algs {
		if _, err := directory.ParseRealm("x", withParty("auth = \"none\"\nredirect_uris = [\"https://a.example/\"]\nid_token_alg = \""+alg+"\"\n")); err != nil {
			t.Error(err)
		}
	}
}
