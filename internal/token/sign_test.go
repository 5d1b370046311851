package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func sampleAccess() AccessToken {
	return AccessToken{
		Issuer: issuer, Subject: "01990000-0000-7000-8000-000000000001", Audience: Audience{issuer}, Issued: now.Unix(), Expires: now.Add(AccessLife).Unix(),
		ID: "j1", Client: "shop", Scope: "openid profile", Session: "s1", Authorization: "a1", AuthTime: now.Add(-time.Minute).Unix(),
		ACR: "urn:doorward:acr:mfa", AMR: []string{"pwd", "otp", "mfa"}, Organization: "o1", Roles: []string{"member"}, Confirmation: Bind("k", ""),
	}
}

func sampleID() IDToken {
	return IDToken{
		Issuer: issuer, Subject: "p1", Audience: Audience{"shop"}, Issued: now.Unix(), Expires: now.Add(time.Hour).Unix(),
		AuthTime: now.Unix(), Nonce: "<n&1>", ACR: "phr", AMR: []string{"hwk", "user", "mfa"}, Session: "s1",
	}
}

func parts(t *testing.T, raw string) (head, body map[string]any) {
	t.Helper()
	p := strings.Split(raw, ".")
	if len(p) != 3 {
		t.Fatal("not a compact JWS")
	}
	for i, to := range []*map[string]any{&head, &body} {
		b, err := base64.RawURLEncoding.DecodeString(p[i])
		if err != nil || json.Unmarshal(b, to) != nil {
			t.Fatal("part", i, err)
		}
	}
	return head, body
}

// TestClaimsAreWrittenAsTheStandardsSay pins names and forms, and that what is empty is not there.
func TestClaimsAreWrittenAsTheStandardsSay(t *testing.T) {
	k := signer(t, ES256)
	verified := true
	full := sampleID()
	full.Authorized, full.AccessHash = "shop", HalfHash(ES256, "t")
	full.Profile = Profile{"Ann", "ann@example.com", &verified, "de", "Europe/Zurich", "o1", "Acme", []string{"member"}}
	for _, c := range []struct {
		name, typ string
		raw       func() (string, error)
		want      string
	}{
		{"ID token", "JWT", func() (string, error) { return k.SignIDToken(full) }, "acr amr at_hash aud auth_time azp email email_verified exp iat iss locale name nonce org org_name roles sid sub zoneinfo"},
		{"least ID token", "JWT", func() (string, error) {
			return k.SignIDToken(IDToken{Issuer: issuer, Subject: "p", Audience: Audience{"c"}, Issued: 1, Expires: 2})
		}, "aud exp iat iss sub"},
		{"access token", "at+jwt", func() (string, error) { return k.SignAccessToken(sampleAccess()) }, "acr amr aud auth_time client_id cnf exp grant_id iat iss jti org roles scope sid sub"},
		{"logout token", "logout+jwt", func() (string, error) {
			return k.SignLogoutToken(LogoutToken{Issuer: issuer, Subject: "p", Session: "s", Audience: Audience{"c"}, Issued: 1, Expires: 121, ID: "j"})
		}, "aud events exp iat iss jti sid sub"},
		{"userinfo", "JWT", func() (string, error) { return k.SignUserinfo(issuer, "c", Userinfo{"p", full.Profile}) }, "aud email email_verified iss locale name org org_name roles sub zoneinfo"},
		{"introspection", "token-introspection+jwt", func() (string, error) {
			return k.SignIntrospection(issuer, "rs", now, Introspect(sampleAccess()))
		}, "aud iat iss token_introspection"},
		{"forward-auth", "forward-auth+jwt", func() (string, error) {
			return k.SignForward(Forward{Issuer: issuer, Subject: "p", Audience: Audience{"https://a.example.com"}, Issued: 1, Expires: 2})
		}, "aud exp iat iss sub"},
	} {
		raw, err := c.raw()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		head, body := parts(t, raw)
		if !reflect.DeepEqual(head, map[string]any{"alg": ES256, "kid": k.ID, "typ": c.typ}) {
			t.Errorf("%s: header %v", c.name, head)
		}
		var names []string
		for n := range body {
			names = append(names, n)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		if _, ok := body["aud"].(string); !ok {
			t.Errorf("%s: one audience is a string, not %v", c.name, body["aud"])
		}
	}
}

func TestSEC_O11_LogoutTokenIsTypedAndShort(t *testing.T) {
	k := signer(t, ES256)
	good := LogoutToken{Issuer: issuer, Session: "s", Audience: Audience{"c"}, Issued: now.Unix(), Expires: now.Add(LogoutLife).Unix(), ID: "j"}
	raw, err := k.SignLogoutToken(good)
	if err != nil {
		t.Fatal(err)
	}
	_, body := parts(t, raw)
	if !reflect.DeepEqual(body["events"], map[string]any{BackchannelEvent: map[string]any{}}) {
		t.Errorf("events: %v", body["events"])
	}
	if _, there := body["nonce"]; there {
		t.Error("a logout token must not have a nonce (Back-Channel Logout 2.4)")
	}
	long, nobody, once := good, good, good
	long.Expires++
	nobody.Session = ""
	once.ID = ""
	for _, bad := range []LogoutToken{long, nobody, once} {
		if _, err := k.SignLogoutToken(bad); err == nil {
			t.Errorf("signed %+v", bad)
		}
	}
}

func TestNothingIncompleteIsSigned(t *testing.T) {
	k := signer(t, ES256)
	change := map[string]func(*AccessToken){
		"issuer": func(a *AccessToken) { a.Issuer = "" }, "subject": func(a *AccessToken) { a.Subject = "" }, "audience": func(a *AccessToken) { a.Audience = nil },
		"empty audience": func(a *AccessToken) { a.Audience = Audience{"x", ""} }, "issued": func(a *AccessToken) { a.Issued = 0 },
		"end": func(a *AccessToken) { a.Expires = a.Issued }, "too long": func(a *AccessToken) { a.Expires = a.Issued + 3601 },
		"id": func(a *AccessToken) { a.ID = "" }, "client": func(a *AccessToken) { a.Client = "" }, "too large": func(a *AccessToken) { a.Scope = strings.Repeat("x", MaxSize) },
	}
	for name, f := range change {
		a := sampleAccess()
		f(&a)
		if _, err := k.SignAccessToken(a); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := k.SignIDToken(IDToken{}); err == nil {
		t.Error("an empty ID token was signed")
	}
	if _, err := k.SignUserinfo(issuer, "", Userinfo{Subject: "p"}); err == nil {
		t.Error("userinfo for nobody was signed")
	}
	if _, err := k.SignIntrospection(issuer, "", now, Introspection{}); err == nil {
		t.Error("introspection for nobody was signed")
	}
	if _, err := k.SignForward(Forward{}); err == nil {
		t.Error("an empty header was signed")
	}
	if _, err := k.sign("odd", m{}); err == nil {
		t.Error("an odd typ was signed")
	}
}

func TestIntrospectionOfTheDeadSaysNothingElse(t *testing.T) {
	b, err := json.Marshal(Introspection{})
	if err != nil || string(b) != `{"active":false}` {
		t.Errorf("%s %v", b, err)
	}
	for cnf, want := range map[*Confirmation]string{nil: "Bearer", Bind("k", ""): "DPoP", Bind("", "c"): "Bearer"} {
		a := sampleAccess()
		a.Confirmation = cnf
		if in := Introspect(a); !in.Active || in.Type != want || in.Subject != a.Subject || in.Confirmation != cnf {
			t.Errorf("%+v", in)
		}
	}
}

func TestHalfHashVectors(t *testing.T) {
	// OpenID Connect Core A.3 (RS256).
	if got := HalfHash(RS256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"); got != "77QmUPtjPfzWtF2AnpK9RQ" {
		t.Errorf("at_hash %s", got)
	}
	if n := len(HalfHash(EdDSA, "x")); n != 43 { // half of SHA-512
		t.Errorf("EdDSA: %d letters", n)
	}
}

func TestOwnTokensRoundTrip(t *testing.T) {
	set := keySet(t, Algs...)
	for _, alg := range Algs {
		k, err := set.Signer(alg, now)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := k.SignAccessToken(sampleAccess())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := set.VerifyAccessToken(raw, issuer, now); err != nil || !reflect.DeepEqual(got, sampleAccess()) {
			t.Errorf("%s: %v %+v", alg, err, got)
		}
		raw, err = k.SignIDToken(sampleID())
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{now, now.Add(1000 * time.Hour)} { // expired is allowed
			if got, err := set.VerifyIDTokenHint(raw, issuer, at); err != nil || !reflect.DeepEqual(got, sampleID()) {
				t.Errorf("%s at %v: %v %+v", alg, at, err, got)
			}
		}
	}
}

func TestSEC_J1_TimesOfOwnTokens(t *testing.T) {
	set, k := keySet(t, ES256), signer(t, ES256)
	a := sampleAccess()
	raw, err := k.SignAccessToken(a)
	if err != nil {
		t.Fatal(err)
	}
	for at, good := range map[time.Duration]bool{
		-61 * time.Second: false, -59 * time.Second: true, 0: true, AccessLife - time.Second: true, AccessLife: false, time.Hour: false,
	} {
		_, err := set.VerifyAccessToken(raw, issuer, now.Add(at))
		if (err == nil) != good {
			t.Errorf("after %v: %v", at, err)
		}
		if err != nil && !errors.Is(err, errTimes) {
			t.Errorf("after %v: %v is not about times", at, err)
		}
	}
	raw, err = k.SignIDToken(sampleID())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.VerifyIDTokenHint(raw, issuer, now.Add(-2*time.Minute)); err == nil {
		t.Error("a hint from ahead of us was taken")
	}
	_, err = set.VerifyIDTokenHint(raw, "https://login.other.example", now)
	refused(t, "a hint of another realm", err, CodeInvalidRequest)
	kid := keyOf(t, ES256).ID
	for name, claims := range map[string]m{
		"no iat": {"iss": issuer, "sub": "p", "aud": "shop", "exp": now.Unix()}, "no exp": {"iss": issuer, "sub": "p", "aud": "shop", "iat": now.Unix()}, "no sub": {"iss": issuer, "aud": "shop", "iat": 1, "exp": 2},
		"no aud": {"iss": issuer, "sub": "p", "iat": 1, "exp": 2}, "empty aud": {"iss": issuer, "sub": "p", "aud": []string{"shop", ""}, "iat": 1, "exp": 2}, "aud of numbers": {"iss": issuer, "sub": "p", "aud": []int{1}, "iat": 1, "exp": 2},
	} {
		_, err := set.VerifyIDTokenHint(forge(t, ES256, privateOf(t, ES256), m{"alg": ES256, "kid": kid, "typ": "JWT"}, claims), issuer, now)
		refused(t, name, err, CodeInvalidRequest)
	}
	var full m
	if err := json.Unmarshal([]byte(jsonOf(t, a)), &full); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][]any{
		"no iss": {"iss", nil}, "no sub": {"sub", nil}, "no aud": {"aud", nil}, "empty aud": {"aud", []string{}}, "no exp": {"exp", nil}, "no iat": {"iat", nil}, "no jti": {"jti", nil}, "no client": {"client_id", nil},
		"for a day": {"exp", now.Add(24 * time.Hour).Unix()}, "iat ahead": {"iat", now.Add(2 * time.Minute).Unix()}, "exp fraction": {"exp", 1.5e9 + .5}, "exp string": {"exp", "1"}, "scope array": {"scope", []string{"openid"}}, "cnf string": {"cnf", "x"},
	} {
		_, err := set.VerifyAccessToken(forge(t, ES256, privateOf(t, ES256), m{"alg": ES256, "kid": kid, "typ": "at+jwt"}, clone(full, change...)), issuer, now)
		refused(t, name, err, CodeInvalidToken)
	}
}

// TestSEC_J3_OldKeysVerifyUntilTheyEnd and not a moment longer; a key of another realm never does.
func TestSEC_J3_OldKeysVerifyUntilTheyEnd(t *testing.T) {
	row := keyOf(t, ES256)
	row.Retires, row.Ends = now.Add(time.Minute), now.Add(4*time.Minute)
	set, err := NewKeySet([]Key{row, keyOf(t, EdDSA)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signer(t, ES256).SignAccessToken(sampleAccess())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.VerifyAccessToken(raw, issuer, row.Ends.Add(-time.Millisecond)); err != nil {
		t.Errorf("retired, not ended: %v", err)
	}
	_, err = set.VerifyAccessToken(raw, issuer, row.Ends)
	refused(t, "ended key", err, CodeInvalidToken)
	_, err = keySet(t, EdDSA).VerifyAccessToken(raw, issuer, now)
	refused(t, "key of another realm", err, CodeInvalidToken)
	_, err = keySet(t, ES256).VerifyAccessToken(raw, issuer+"/", now)
	refused(t, "another issuer", err, CodeInvalidToken)
}

func TestAudienceRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Audience(rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "aud"))
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if len(a) == 1 != (b[0] == '"') {
			t.Fatalf("%s", b)
		}
		var back Audience
		if err := json.Unmarshal(b, &back); err != nil || !slices.EqualFunc(a, back, func(x, y string) bool { return strings.ToValidUTF8(x, "\ufffd") == y }) {
			t.Fatalf("%v %q -> %q", err, a, back)
		}
	})
	for _, bad := range []string{"1", "{}", `[1]`, `true`} {
		var a Audience
		if json.Unmarshal([]byte(bad), &a) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}
