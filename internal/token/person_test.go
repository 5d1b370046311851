package token

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorward/internal/authn"
	"doorward/internal/directory"
	"doorward/internal/secret"
)

func TestRFC7636Example(t *testing.T) {
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if Challenge(verifier) != challenge || !VerifyPKCE(challenge, verifier) {
		t.Errorf("B: %s", Challenge(verifier))
	}
}

func TestSEC_O3_PKCE(t *testing.T) {
	v := strings.Repeat("aZ9-._~", 8)
	c := Challenge(v)
	for name, pair := range map[string][2]string{
		"no challenge": {"", v}, "no verifier": {c, ""}, "neither": {"", ""}, "plain": {v[:43], v[:43]}, "challenge for verifier": {c, c}, "short": {Challenge(v[:42]), v[:42]}, "long": {Challenge(strings.Repeat("a", 129)), strings.Repeat("a", 129)},
		"letters": {Challenge(v + "!"), v + "!"}, "blank": {Challenge(v + " "), v + " "}, "padded": {c + "=", v}, "another": {c, v + "a"}, "case": {swapCase(c), v}, "verifier in capitals": {c, strings.ToUpper(v)}, "truncated": {c[:42], v},
		"NUL": {Challenge(v + "\x00"), v + "\x00"}, "UTF-8": {Challenge(v + "é"), v + "é"},
	} {
		if VerifyPKCE(pair[0], pair[1]) {
			t.Errorf("%s was taken", name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.StringMatching(`[A-Za-z0-9._~-]{43,128}`).Draw(t, "verifier")
		w := rapid.StringMatching(`[A-Za-z0-9._~-]{43,128}`).Draw(t, "another")
		if !VerifyPKCE(Challenge(v), v) || VerifyPKCE(Challenge(v), w) != (v == w) {
			t.Fatal(v, w)
		}
	})
}

// TestSEC_O4_CodeIsBoundToAllOfThem (Pocket ID CVE-2026-28513: and became or).
func TestSEC_O4_CodeIsBoundToAllOfThem(t *testing.T) {
	v := strings.Repeat("v", 43)
	c := Code{Realm: "r", Client: "c", Redirect: "https://a.example/cb", Challenge: Challenge(v)}
	good := []string{c.Realm, c.Client, c.Redirect, v}
	if err := c.Redeems(good[0], good[1], good[2], good[3]); err != nil {
		t.Fatal(err)
	}
	for mask := 1; mask < 16; mask++ {
		for _, wrong := range []string{"", "x"} {
			p := slices.Clone(good)
			for i := range p {
				if mask&(1<<i) != 0 {
					p[i] = wrong
				}
			}
			refused(t, fmt.Sprint(p), c.Redeems(p[0], p[1], p[2], p[3]), CodeInvalidGrant)
		}
	}
	refused(t, "an empty code", Code{}.Redeems("", "", "", ""), CodeInvalidGrant)
	bare := c
	bare.Challenge = ""
	refused(t, "a code without challenge, no verifier", bare.Redeems("r", "c", c.Redirect, ""), CodeInvalidGrant)
	refused(t, "a code without challenge, a verifier", bare.Redeems("r", "c", c.Redirect, v), CodeInvalidGrant)
}

func TestSEC_O14_Subjects(t *testing.T) {
	ring, err := secret.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	public := shop()
	if got := Subject(ring, "r", public, "p1"); got != "p1" {
		t.Errorf("public: %s", got)
	}
	a := shop()
	a.Pairwise = true
	b := a
	b.ID, b.RedirectURIs = "other", []string{"https://shop.example.com/other"}
	far := a
	far.ID, far.RedirectURIs = "far", []string{"https://far.example.com/cb"}
	shared := far
	shared.SectorIdentifier = "shop.example.com"
	mixed := a
	mixed.RedirectURIs = append(slices.Clone(mixed.RedirectURIs), "https://far.example.com/cb")
	native := a
	native.ID, native.RedirectURIs = "native", []string{"http://127.0.0.1/cb"}
	native2 := native
	native2.ID = "native2"
	s := func(rp directory.RelyingParty, realm, person string) string { return Subject(ring, realm, rp, person) }
	same := s(a, "r", "p1")
	if same != s(a, "r", "p1") || same != s(b, "r", "p1") || same != s(shared, "r", "p1") {
		t.Error("one sector, one sub")
	}
	all := []string{"p1", same, s(far, "r", "p1"), s(mixed, "r", "p1"), s(native, "r", "p1"), s(native2, "r", "p1"), s(a, "r", "p2"), s(a, "r2", "p1"), s(a, "r", "p11")}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("two that differ have one sub: %v", all)
	}
	if strings.Contains(same, "p1") || len(same) != 43 {
		t.Errorf("sub %s", same)
	}
	if err := ring.Rotate(); err != nil || s(a, "r", "p1") != same {
		t.Errorf("a sub changed with the key ring: %v", err)
	}
	other, err := secret.NewRing()
	if err != nil || Subject(other, "r", a, "p1") == same {
		t.Error("a sub can be computed without the key ring")
	}
}

func TestSEC_O10_Assure(t *testing.T) {
	e := func(kinds ...authn.Kind) []authn.Evidence {
		var out []authn.Evidence
		for i, k := range kinds {
			out = append(out, authn.Evidence{Kind: k, At: now.Add(time.Duration(i) * time.Second)})
		}
		return out
	}
	for _, c := range []struct {
		name     string
		evidence []authn.Evidence
		wanted   []string
		acr, amr string
	}{
		{"password + totp", e(authn.Password, authn.TOTP), nil, authn.ACRMultiFactor, "pwd otp mfa"},
		{"passkey", e(authn.Passkey), nil, authn.ACRHardware, "hwk user mfa"},
		{"passkey, mfa asked", e(authn.Passkey), []string{authn.ACRMultiFactor}, authn.ACRMultiFactor, "hwk user mfa"},
		{"passkey, two asked", e(authn.Passkey), []string{authn.ACRThreeFactor, authn.ACRPhishingResistant, authn.ACRMultiFactor}, authn.ACRPhishingResistant, "hwk user mfa"},
		{"totp, more asked", e(authn.Password, authn.TOTP), []string{authn.ACRHardware}, authn.ACRMultiFactor, "pwd otp mfa"},
		{"password alone", e(authn.Password), []string{authn.ACRMultiFactor}, "", "pwd"},
		{"three", e(authn.Cert, authn.Password, authn.Phone), []string{authn.ACRThreeFactor}, authn.ACRThreeFactor, "swk pwd mfa"},
		{"nothing", nil, []string{authn.ACRMultiFactor}, "", ""},
		{"recovery counts for nothing", e(authn.Password, authn.Recovery), nil, "", "pwd otp"},
		{"an invitation counts for nothing", e(authn.Invite, authn.Password, authn.Mail), nil, "", "pwd"},
	} {
		a := Assure(c.evidence, c.wanted...)
		if a.ACR != c.acr || strings.Join(a.AMR, " ") != c.amr {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
	if a := Assure(e(authn.Password, authn.TOTP)); a.AuthTime != now.Add(time.Second).Unix() {
		t.Errorf("auth_time %d", a.AuthTime)
	}
	if a := Assure(nil); a.AuthTime != 0 {
		t.Errorf("auth_time %d", a.AuthTime)
	}
}

func TestClaimsByScopeAndByName(t *testing.T) {
	p := directory.Person{ID: "p1", Name: "Ann", Address: "ann@example.com", Role: directory.Administrator, Language: "de", FirstActive: now}
	o := directory.Organization{ID: "o1", Name: "Acme"}
	yes, no := true, false
	full := Profile{"Ann", "ann@example.com", &yes, "de", "Europe/Zurich", "o1", "Acme", []string{"administrator"}}
	parse := func(s string) ClaimsRequest {
		c, err := ParseClaims(s)
		if err != nil {
			t.Fatal(s, err)
		}
		return c
	}
	all := []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOrganization}
	rp := shop()
	for _, c := range []struct {
		name     string
		scopes   []string
		claims   string
		userinfo Profile
		id       Profile
	}{
		{"nothing", []string{ScopeOpenID}, "", Profile{}, Profile{}},
		{"everything", all, "", full, Profile{Organization: "o1", OrganizationName: "Acme", Roles: []string{"administrator"}}},
		{"profile", []string{ScopeProfile}, "", Profile{Name: "Ann", Locale: "de", Zone: "Europe/Zurich"}, Profile{}},
		{"email", []string{ScopeEmail}, "", Profile{Email: "ann@example.com", EmailVerified: &yes}, Profile{}},
		{"name by name", []string{ScopeOpenID}, `{"userinfo":{"name":{"essential":true}}}`, Profile{Name: "Ann"}, Profile{}},
		{"email by name in the ID token", []string{ScopeOpenID, ScopeEmail}, `{"id_token":{"email":null}}`, Profile{Email: "ann@example.com", EmailVerified: &yes}, Profile{Email: "ann@example.com"}},
		{"what nobody has", []string{ScopeOpenID}, `{"userinfo":{"phone_number":null,"password":null},"x":1}`, Profile{}, Profile{}},
	} {
		asked := parse(c.claims)
		if got := UserinfoClaims(rp, c.scopes, asked, "Europe/Zurich", p, o); !reflect.DeepEqual(got, c.userinfo) {
			t.Errorf("%s: userinfo %+v", c.name, got)
		}
		if got := IDTokenClaims(rp, c.scopes, asked, "Europe/Zurich", p, o); !reflect.DeepEqual(got, c.id) {
			t.Errorf("%s: ID token %+v", c.name, got)
		}
	}
	// By name, nothing that the realm file does not open to the client.
	poor := shop()
	poor.Scopes = nil
	every := parse(`{"userinfo":{"name":null,"email":null,"org":null,"roles":null},"id_token":{"name":null,"email":null,"org":null,"roles":null}}`)
	if got := UserinfoClaims(poor, []string{ScopeOpenID}, every, "", p, o); !reflect.DeepEqual(got, Profile{}) {
		t.Errorf("a client without scopes: %+v", got)
	}
	if got := IDTokenClaims(poor, []string{ScopeOpenID}, every, "", p, o); !reflect.DeepEqual(got, Profile{}) {
		t.Errorf("a client without scopes: %+v", got)
	}
	if got := every.Scopes(); !slices.Equal(got, []string{ScopeProfile, ScopeEmail, ScopeOrganization}) {
		t.Errorf("consent is asked for %v", got)
	}
	// An address is verified while its mailbox was proven and answers.
	for _, q := range []directory.Person{{}, {FirstActive: now, Bounced: true}} {
		if got := UserinfoClaims(rp, []string{ScopeEmail}, ClaimsRequest{}, "", q, o); !reflect.DeepEqual(got.EmailVerified, &no) {
			t.Errorf("%+v: %v", q, got.EmailVerified)
		}
	}
	p.Zone = "Asia/Tokyo"
	if got := UserinfoClaims(rp, all, ClaimsRequest{}, "Europe/Zurich", p, o); got.Zone != "Asia/Tokyo" {
		t.Errorf("zone %s", got.Zone)
	}
}

// TestClaimsOfDiscoveryExist: what is announced can be told, and the other way round.
func TestClaimsOfDiscoveryExist(t *testing.T) {
	for name := range claimScope {
		if !slices.Contains(Claims, name) {
			t.Errorf("%s is not announced", name)
		}
	}
	var tags []string
	var collect func(reflect.Type)
	collect = func(typ reflect.Type) {
		for f := range typ.Fields() {
			if f.Anonymous {
				collect(f.Type)
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			tags = append(tags, name)
		}
	}
	collect(reflect.TypeFor[IDToken]())
	for _, name := range Claims {
		if !slices.Contains(tags, name) {
			t.Errorf("%s is announced and never told", name)
		}
	}
}

func TestClaimsRequest(t *testing.T) {
	c, err := ParseClaims(`{"userinfo":{"sub":{"value":"s1"},"email_verified":{"value":true}},"id_token":{"auth_time":{"essential":true},"acr":{"values":["a","b"]}}}`)
	if err != nil || c.Subject() != "s1" || !c.IDToken["auth_time"].Essential || !slices.Equal(c.Userinfo["email_verified"].Values, []string{"true"}) {
		t.Errorf("%+v %v", c, err)
	}
	if v, must := c.ACR(); must || !slices.Equal(v, []string{"a", "b"}) {
		t.Errorf("acr %v %v", v, must)
	}
	for _, s := range []string{"", "{}", `{"id_token":{"sub":null}}`, `{"id_token":{"sub":{"values":["a","b"]}}}`} {
		if c, err := ParseClaims(s); err != nil || c.Subject() != "" {
			t.Errorf("%s: %q %v", s, c.Subject(), err)
		}
	}
	for name, s := range map[string]string{
		"no JSON": "x", "array": "[]", "string": `"x"`, "null": "null", "twice": `{"userinfo":{"name":null,"name":null}}`, "twice in another case": `{"userinfo":{"name":null,"NAME":null}}`, "bool": `{"userinfo":{"name":true}}`, "essential string": `{"userinfo":{"name":{"essential":"yes"}}}`,
		"values string": `{"userinfo":{"name":{"values":"x"}}}`, "huge": `{"x":"` + strings.Repeat("x", maxClaims) + `"}`, "deep": `{"userinfo":{"name":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`, "trailing": `{}{}`, "bad UTF-8": "{\"x\":\"\xff\"}",
		"many values": `{"id_token":{"acr":{"values":["a"` + strings.Repeat(`,"a"`, 16) + `]}}}`, "userinfo array": `{"userinfo":[]}`,
	} {
		_, err := ParseClaims(s)
		refused(t, name, err, CodeInvalidRequest)
	}
}

func TestRefusals(t *testing.T) {
	if AsOAuth(nil) != nil || AsOAuth(fmt.Errorf("x")) != nil {
		t.Error("what is no refusal")
	}
	cause := fmt.Errorf("cause")
	e := Refuse(CodeInvalidGrant, "d").Because(cause)
	if got := AsOAuth(fmt.Errorf("wrapped: %w", e)); got == nil || got.Error() != "invalid_grant: d: cause" || got.Unwrap() != cause || !got.ToClient {
		t.Errorf("%v", got)
	}
}
