package token

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
)

// TestRequestObject is RFC 9101 and FAPI 2.0 Message Signing 5.3.1, each point broken once.
func TestRequestObject(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	good := m{
		"iss": "shop", "aud": issuer, "exp": at(time.Minute), "nbf": at(0), "client_id": "shop", "response_type": "code", "scope": "openid", "redirect_uri": "https://shop.example.com/cb", "state": "s",
		"max_age": 60, "claims": m{"id_token": m{"acr": m{"essential": true}}}, "resource": []string{"https://a.example", "https://b.example"}, "odd": m{"x": 1}, "code_challenge_method": "S256",
	}
	want := Params{
		"client_id": "shop", "response_type": "code", "scope": "openid", "redirect_uri": "https://shop.example.com/cb", "state": "s", "max_age": "60", "claims": `{"id_token":{"acr":{"essential":true}}}`,
		"resource": "https://a.example https://b.example", "code_challenge_method": "S256",
	}
	for _, c := range []struct {
		name        string
		header      m
		claims      m
		outer       Params
		plain, fapi bool
	}{
		{"as it should be", nil, good, nil, true, true},
		{"outer client", nil, good, Params{"client_id": "shop", "response_type": "code", "scope": "all", "redirect_uri": "https://evil.example"}, true, true},
		{"typ missing", m{"typ": nil}, good, nil, true, true},
		{"typ JWT", m{"typ": "JWT"}, good, nil, true, true},
		{"typ of an access token", m{"typ": "at+jwt"}, good, nil, false, false},
		{"aud array", nil, clone(good, "aud", []string{"https://x.example", issuer}), nil, true, true},
		{"aud another", nil, clone(good, "aud", "https://x.example"), nil, false, false},
		{"aud missing", nil, clone(good, "aud", nil), nil, false, false},
		{"iss missing", nil, clone(good, "iss", nil), nil, false, false},
		{"iss another", nil, clone(good, "iss", "other"), nil, false, false},
		{"sub the client", nil, clone(good, "sub", "shop"), nil, false, false},
		{"sub somebody", nil, clone(good, "sub", "p"), nil, true, true},
		{"exp missing", nil, clone(good, "exp", nil), nil, true, false},
		{"nbf missing", nil, clone(good, "nbf", nil), nil, true, false},
		{"exp past", nil, clone(good, "exp", at(-time.Minute)), nil, false, false},
		{"nbf ahead", nil, clone(good, "nbf", at(time.Minute)), nil, false, false},
		{"nbf two hours ago", nil, clone(good, "nbf", at(-2*time.Hour)), nil, true, false},
		{"exp in two hours", nil, clone(good, "exp", at(2*time.Hour)), nil, true, false},
		{"client_id missing", nil, clone(good, "client_id", nil), nil, false, false},
		{"client_id another", nil, clone(good, "client_id", "other"), nil, false, false},
		{"outer client another", nil, good, Params{"client_id": "other"}, false, false},
		{"outer response_type another", nil, good, Params{"response_type": "token"}, false, false},
		{"request inside", nil, clone(good, "request", "x"), nil, false, false},
		{"request_uri inside", nil, clone(good, "request_uri", "urn:x"), nil, false, false},
		{"request object inside", nil, clone(good, "request", m{}), nil, false, false},
		{"scope array", nil, clone(good, "scope", []string{"openid"}), nil, false, false},
		{"state number", nil, clone(good, "state", 1), nil, false, false},
		{"state null", nil, func() m { c := clone(good); c["state"] = json.RawMessage("null"); return c }(), nil, false, false},
		{"max_age fraction", nil, clone(good, "max_age", 1.5), nil, false, false},
		{"max_age negative", nil, clone(good, "max_age", -1), nil, false, false},
		{"claims string", nil, clone(good, "claims", "{}"), nil, true, true},
		{"claims array", nil, clone(good, "claims", []int{}), nil, false, false},
		{"resource number", nil, clone(good, "resource", []int{1}), nil, false, false},
		{"resource with a blank", nil, clone(good, "resource", []string{"a b"}), nil, false, false},
		{"control letter", nil, clone(good, "state", "a\x01"), nil, false, false},
	} {
		header := clone(m{"alg": ES256, "kid": "c-ES256", "typ": "oauth-authz-req+jwt"})
		for k, v := range c.header {
			header = clone(header, k, v)
		}
		raw := forge(t, ES256, privateOf(t, ES256), header, c.claims)
		for fapi, ok := range map[bool]bool{false: c.plain, true: c.fapi} {
			got, err := ReadRequestObject(raw, c.outer, RequestObjectRules{Client: "shop", Issuer: issuer, FAPI: fapi, Keys: clientKeys(t, Algs...), Now: now})
			if (err == nil) != ok {
				t.Errorf("%s, fapi %v: %v", c.name, fapi, err)
			}
			if err != nil {
				refused(t, c.name, err, CodeInvalidRequestObject)
				if AsOAuth(err).ToClient {
					t.Errorf("%s: told to an address that nobody checked", c.name)
				}
			}
			if c.name == "outer client" && !maps.Equal(got, want) {
				t.Errorf("parameters %v\nwant %v", got, want)
			}
		}
	}
	raw := forge(t, RS256, privateOf(t, RS256), m{"alg": RS256, "kid": "c-RS256"}, good)
	for fapi, ok := range map[bool]bool{false: true, true: false} {
		if _, err := ReadRequestObject(raw, nil, RequestObjectRules{Client: "shop", Issuer: issuer, FAPI: fapi, Keys: clientKeys(t, Algs...), Now: now}); (err == nil) != ok {
			t.Errorf("RS256, fapi %v: %v", fapi, err)
		}
	}
	// Blanks around values, which JSON allows, change nothing.
	spaced := strings.ReplaceAll(strings.ReplaceAll(jsonOf(t, good), ":", " :\n "), "https :\n ", "https:")
	if got, err := ReadRequestObject(forge(t, ES256, privateOf(t, ES256), m{"alg": ES256}, spaced), nil, RequestObjectRules{Client: "shop", Issuer: issuer, Keys: clientKeys(t, ES256), Now: now}); err != nil || got["max_age"] != "60" {
		t.Errorf("%v %v", got, err)
	}
}
