package conformance

import (
	"crypto"
	_ "crypto/sha256" // for at_hash
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// tokens is an answer of the token endpoint that was checked.
type tokens struct {
	access, refresh, id string
	scope               string // what was granted
	header              jose.Header
	claims              map[string]any // of the ID token
}

// trade redeems a code and checks the whole answer (OpenID Connect Core 3.1.3.3, 3.1.3.7).
func (s *stage) trade(a attempt, code string) tokens {
	s.Helper()
	status, got := s.redeem(a, code)
	return s.answer(a, status, got)
}

// answer checks an answer of the token endpoint that should be a success.
func (s *stage) answer(a attempt, status int, got map[string]any) tokens {
	s.Helper()
	if status != http.StatusOK {
		s.Fatalf("token endpoint: %d %v", status, got)
	}
	t := tokens{access: text(got["access_token"]), refresh: text(got["refresh_token"]), id: text(got["id_token"]), scope: text(got["scope"])}
	if t.access == "" || t.id == "" || !strings.EqualFold(text(got["token_type"]), "Bearer") {
		s.Fatalf("tokens are %v", got)
	}
	if n, ok := got["expires_in"].(float64); !ok || n <= 0 {
		s.Errorf("expires_in is %v", got["expires_in"])
	}
	t.header, t.claims = s.verify(t.id, a.client.alg)
	s.checkIDToken(a, t)
	return t
}

// keys are the provider's published keys.
func (s *stage) keys() jose.JSONWebKeySet {
	s.Helper()
	status, _, doc := s.get(s.endpoint("jwks_uri"))
	if status != http.StatusOK {
		s.Fatalf("keys: %d", status)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		s.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(b, &set); err != nil {
		s.Fatal(err)
	}
	return set
}

// verify checks the signature of a token with the provider's published keys and returns its header and claims.
func (s *stage) verify(raw, alg string) (jose.Header, map[string]any) {
	s.Helper()
	if !s.lists("id_token_signing_alg_values_supported", alg) {
		s.Errorf("the discovery document does not name %s", alg)
	}
	sig, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		s.Fatalf("%s: %v", raw, err)
	}
	header := sig.Signatures[0].Header
	set := s.keys()
	found := set.Key(header.KeyID)
	if header.KeyID == "" || len(found) != 1 {
		s.Fatalf("kid %q is %d of the published keys", header.KeyID, len(found))
	}
	if found[0].Algorithm != alg || !found[0].IsPublic() {
		s.Errorf("key %s is for %s, public %v", header.KeyID, found[0].Algorithm, found[0].IsPublic())
	}
	payload, err := sig.Verify(found[0])
	if err != nil {
		s.Fatal(err)
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		s.Fatal(err)
	}
	return header, claims
}

// checkIDToken checks the claims of an ID token (OpenID Connect Core 2, 3.1.3.7).
func (s *stage) checkIDToken(a attempt, t tokens) {
	s.Helper()
	now := s.rig.Clock.Now()
	c := t.claims
	if c["iss"] != s.issuer {
		s.Errorf("iss is %v", c["iss"])
	}
	if !audience(c["aud"], a.client.id) {
		s.Errorf("aud is %v", c["aud"])
	}
	if azp, ok := c["azp"]; ok && azp != a.client.id {
		s.Errorf("azp is %v", azp)
	}
	if sub := text(c["sub"]); sub == "" || len(sub) > 255 || strings.ContainsFunc(sub, func(r rune) bool { return r > 127 }) {
		s.Errorf("sub is %v", c["sub"])
	}
	if exp := when(c["exp"]); !exp.After(now) || exp.After(now.Add(24*time.Hour)) {
		s.Errorf("exp is %v at %v", exp, now)
	}
	if iat := when(c["iat"]); iat.After(now) || iat.Before(now.Add(-5*time.Minute)) {
		s.Errorf("iat is %v at %v", iat, now)
	}
	if at, ok := c["auth_time"]; ok && when(at).After(now) {
		s.Errorf("auth_time is %v at %v", when(at), now)
	}
	if nonce := a.params.Get("nonce"); text(c["nonce"]) != nonce {
		s.Errorf("nonce is %v, sent %q", c["nonce"], nonce)
	}
	if h, ok := c["at_hash"]; ok && h != atHash(t.header.Algorithm, t.access) {
		s.Errorf("at_hash is %v", h)
	}
	if _, ok := c["name"]; ok && !strings.Contains(a.params.Get("claims"), `"name"`) {
		s.Error("the ID token has a name that nobody asked for there")
	}
}

// atHash is the left half of the hash that goes with an algorithm (OpenID Connect Core 3.1.3.6).
func atHash(alg, access string) string {
	h := crypto.SHA256
	if alg == "EdDSA" {
		h = crypto.SHA512
	}
	sum := h.New()
	sum.Write([]byte(access))
	b := sum.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(b[:len(b)/2])
}

// userinfo asks for the claims about Anna and checks what every answer has (OpenID Connect Core 5.3.2).
func (s *stage) userinfo(t tokens) map[string]any {
	s.Helper()
	status, _, got := s.get(s.endpoint("userinfo_endpoint"), bearer(t.access))
	return s.person(t, status, got)
}

// person checks an answer of the userinfo endpoint: sub as in the ID token, and standard claims of the right type.
func (s *stage) person(t tokens, status int, got map[string]any) map[string]any {
	s.Helper()
	if status != http.StatusOK {
		s.Fatalf("userinfo: %d %v", status, got)
	}
	if got["sub"] != t.claims["sub"] {
		s.Errorf("sub is %v, in the ID token %v", got["sub"], t.claims["sub"])
	}
	for name, v := range got {
		want := "string"
		switch name {
		case "email_verified", "phone_number_verified":
			want = "bool"
		case "updated_at":
			want = "float64"
		case "address":
			want = "map[string]interface {}"
		case "roles": // ours, a list of words
			want = "[]interface {}"
		}
		if kind := fmt.Sprintf("%T", v); kind != want || v == "" {
			s.Errorf("%s is %v (%s), want %s", name, v, kind, want)
		}
	}
	return got
}

// alive reports whether an access token is taken.
func (s *stage) alive(access string) bool {
	s.Helper()
	status, _, _ := s.get(s.endpoint("userinfo_endpoint"), bearer(access))
	if status != http.StatusOK && status != http.StatusUnauthorized {
		s.Errorf("userinfo: %d", status)
	}
	return status == http.StatusOK
}

// refresh asks for new tokens.
func (s *stage) refresh(c client, old string) (int, map[string]any) {
	s.Helper()
	return s.token(c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old}})
}

func text(v any) string { s, _ := v.(string); return s }

// when is a NumericDate; the zero time for anything else.
func when(v any) time.Time {
	n, ok := v.(float64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(int64(n), 0)
}

func audience(v any, id string) bool {
	switch v := v.(type) {
	case string:
		return v == id
	case []any:
		return len(v) == 1 && v[0] == id
	}
	return false
}
